package queues_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/sluicemq/sluice/internal/engine"
	"github.com/sluicemq/sluice/internal/redistest"
	"github.com/sluicemq/sluice/queues"
	"github.com/sluicemq/sluice/queues/queuetest"
)

// grouped is a message of groupMachine's model, in the order of the sends. Its letter says where it is.
type grouped struct {
	queuetest.Letter
	n                      int // how many were sent before
	group, dedup, sequence string
}

// groupMachine plays histories on a queue with groups, FIFO or standard, and on a model of it: a list of all messages
// in the order in which they were sent.
type groupMachine struct {
	servers []*bench
	queue   string
	fifo    bool
	set     queues.Settings
	clock   int64
	all     []*grouped
	keys    map[string]*grouped // by deduplication key: the first message, with its time
	slips   []queuetest.Slip
	n       int
}

func (s *groupMachine) server(t *rapid.T) *bench {
	return s.servers[rapid.IntRange(0, len(s.servers)-1).Draw(t, "server")]
}

func (s *groupMachine) now() int64 { return max(s.servers[0].clock.Now().UnixMilli(), s.clock) }

// of returns the messages of a group, oldest first, as they are now. Those that retention has ended are not there, but
// in a FIFO queue it ends none behind one that is held or delayed.
func (s *groupMachine) of(group string) []*grouped {
	var out []*grouped
	blocked := false
	for _, g := range s.all {
		if g.group != group {
			continue
		}
		g.Letter = g.NowOf(s.now(), s.set)
		if g.Place != queuetest.Held && g.Ends > 0 && g.Ends <= s.now() {
			continue
		}
		busy := g.Place == queuetest.Held || g.Place == queuetest.Delayed
		if !busy && !(s.fifo && blocked) && g.Sent+s.set.Retention.Milliseconds() <= s.now() {
			continue
		}
		blocked = blocked || busy
		out = append(out, g)
	}
	return out
}

func (s *groupMachine) groups() []string {
	var names []string
	for _, g := range s.all {
		if !slices.Contains(names, g.group) {
			names = append(names, g.group)
		}
	}
	return names
}

// drop forgets what retention has ended.
func (s *groupMachine) drop() {
	var left []*grouped
	for _, group := range s.groups() {
		left = append(left, s.of(group)...)
	}
	slices.SortFunc(left, func(a, b *grouped) int { return a.n - b.n })
	s.all = left
}

// receivable returns what a receive may return of a group, in order.
func (s *groupMachine) receivable(group string) []*grouped {
	var out []*grouped
	for _, g := range s.of(group) {
		switch {
		case g.Place != queuetest.Held && g.Place != queuetest.Delayed:
			out = append(out, g)
		case s.fifo:
			return out
		}
	}
	return out
}

func (s *groupMachine) find(id engine.ID) *grouped {
	for _, group := range s.groups() {
		for _, g := range s.of(group) {
			if g.ID == id {
				return g
			}
		}
	}
	return nil
}

func (s *groupMachine) Send(t *rapid.T) {
	n := rapid.SampledFrom([]int{1, 1, 1, 2, 5}).Draw(t, "n")
	if len(s.all)+n > queuetest.Size {
		t.Skip("full")
	}
	groups := []string{"a", "b", "c"}
	if !s.fifo {
		groups = append(groups, "")
	}
	batch, first := make([]queues.Outgoing, n), s.n
	for i := range batch {
		s.n++
		m := queues.Outgoing{Body: fmt.Appendf(nil, "m%d", s.n), GroupID: rapid.SampledFrom(groups).Draw(t, "group")}
		if s.fifo {
			m.DeduplicationID = fmt.Sprint("d", s.n)
			if rapid.IntRange(0, 3).Draw(t, "again") == 0 {
				m.DeduplicationID = rapid.SampledFrom([]string{"x", "y"}).Draw(t, "dedup")
			}
		} else if rapid.Bool().Draw(t, "delayed") {
			d := time.Duration(rapid.SampledFrom([]int64{0, 1, 1000, 60_000}).Draw(t, "delay")) * time.Millisecond
			m.Delay = &d
		}
		if rapid.IntRange(0, 5).Draw(t, "own policy") == 0 {
			m.Retry = queuetest.DrawRetry(t)
		}
		if !s.fifo && m.GroupID == "" {
			m.Priority = rapid.SampledFrom([]int{0, 0, 3}).Draw(t, "priority")
		}
		if rapid.IntRange(0, 4).Draw(t, "with an end") == 0 {
			m.TTL = time.Duration(rapid.SampledFrom([]int{6, 20, 60}).Draw(t, "ttl")) * time.Second
			if m.Delay != nil && *m.Delay >= m.TTL {
				m.Delay = nil
			}
		}
		batch[i] = m
	}
	now := s.now()
	b := s.server(t)
	got, err := b.SendBatch(context.Background(), b.tenant, s.queue, batch, rapid.Bool().Draw(t, "atomic"))
	if err != nil {
		t.Fatalf("send: %v", err)
	}
	s.clock = now
	for i, m := range batch {
		if got[i].Err != nil {
			t.Fatalf("send %d: %v", i, got[i].Err)
		}
		g := &grouped{Letter: queuetest.Letter{ID: got[i].ID, Body: string(m.Body), Sent: now, Retry: m.Retry, Priority: m.Priority}, n: first + i, group: m.GroupID, dedup: m.DeduplicationID,
			sequence: got[i].SequenceNumber}
		if m.TTL > 0 {
			g.Ends = now + m.TTL.Milliseconds()
		}
		if s.fifo {
			key := m.DeduplicationID
			if s.set.FIFO.Scope == queues.ScopeGroup {
				key = m.GroupID + "/" + key
			}
			known := s.keys[key]
			again := known != nil && known.Sent+s.set.FIFO.Window.Milliseconds() > now
			if got[i].Replayed != again || again && (got[i].ID != known.ID || got[i].SequenceNumber != known.sequence) {
				t.Fatalf("send %d of %q: got %+v, first %+v", i, key, got[i], known)
			}
			if again {
				continue
			}
			s.keys[key] = g
			for _, other := range s.all {
				if len(g.sequence) != 20 || g.sequence <= other.sequence {
					t.Fatalf("sequence number %q comes after %q", g.sequence, other.sequence)
				}
			}
		}
		delay := s.set.Delay
		if m.Delay != nil {
			delay = *m.Delay
		}
		if delay > 0 {
			g.Place, g.Until = queuetest.Delayed, now+delay.Milliseconds()
		}
		s.all = append(s.all, g)
	}
}

func (s *groupMachine) Receive(t *rapid.T) {
	most := rapid.SampledFrom([]int{1, 2, 3, 10, 100}).Draw(t, "max")
	lasts := time.Duration(rapid.SampledFrom([]int64{0, 1, 1000, 30_000}).Draw(t, "timeout")) * time.Millisecond
	tidy := rapid.Bool().Draw(t, "tidy") // what retention has ended takes its group's turns, unless it is gone before
	if tidy {
		s.Stats(t)
	}
	s.drop()
	now, open := s.now(), map[string][]*grouped{}
	total, sources := 0, 0
	for _, group := range s.groups() {
		if open[group] = s.receivable(group); len(open[group]) > 0 {
			total += len(open[group])
			sources++
		}
	}
	b := s.server(t)
	opt := queues.ReceiveOptions{Max: most, VisibilityTimeout: &lasts}
	if opt.AutoAck = rapid.IntRange(0, 7).Draw(t, "auto") == 0; opt.AutoAck {
		opt.VisibilityTimeout = nil
	} else {
		opt.Consumer = queuetest.Consumer(t)
	}
	got, err := b.Receive(context.Background(), b.tenant, s.queue, opt)
	if err != nil {
		t.Fatalf("receive: %v", err)
	}
	if len(got) != min(most, total) {
		t.Fatalf("receive at %d: got %d messages, want %d of %d", now, len(got), most, total)
	}
	shares, order := map[string]int{}, []string{}
	for i, m := range got {
		if shares[m.GroupID]++; shares[m.GroupID] == 1 {
			order = append(order, m.GroupID)
		} else if s.fifo && got[i-1].GroupID != m.GroupID {
			t.Fatalf("receive: group %q comes back after %q", m.GroupID, got[i-1].GroupID)
		}
		want := s.find(m.ID)
		if m.GroupID != "" && (len(open[m.GroupID]) < shares[m.GroupID] || open[m.GroupID][shares[m.GroupID]-1] != want) {
			t.Fatalf("receive at %d: message %d of group %q is %q; it must be one of %v in this order", now, shares[m.GroupID], m.GroupID, m.Body, open[m.GroupID])
		}
	}
	for i, group := range order {
		// A FIFO queue empties a group before the next; in a standard queue each group has its share.
		if s.fifo && i+1 < len(order) && shares[group] != len(open[group]) {
			t.Fatalf("receive: %d of %d of group %q, and then another group", shares[group], len(open[group]), group)
		}
	}
	for group, list := range open {
		if tidy && !s.fifo && most >= sources && len(list) > 0 && shares[group] < min(len(list), most/sources) {
			t.Fatalf("receive of %d: group %q has %d messages and %d of %d groups' share", most, group, len(list), shares[group], sources)
		}
	}
	for _, m := range got {
		g := s.find(m.ID)
		g.Deliveries++
		g.Receives++
		if g.First == 0 {
			g.First = now
		}
		g.Place, g.Until, g.Received, g.By = queuetest.Held, now+lasts.Milliseconds(), now, opt.Consumer
		exp := s.shown(g)
		exp.HeldSince, exp.HeldBy = time.Time{}, "" // whoever receives it knows
		exp.ReceiptHandle, exp.State = m.ReceiptHandle, queues.InFlight
		if lasts == 0 { // over already
			exp.LeaseExpiresAt = queuetest.Millis(now)
		}
		if opt.AutoAck {
			exp.State, exp.LeaseExpiresAt = "", time.Time{}
		}
		if diff := gocmp.Diff(exp, m); diff != "" {
			t.Fatalf("received at %d (-want +got):\n%s", now, diff)
		}
		if opt.AutoAck {
			s.remove(g)
			continue
		}
		s.slips = append(s.slips, queuetest.Slip{Handle: m.ReceiptHandle, ID: g.ID, Delivery: g.Deliveries, Received: now})
	}
	if len(got) > 0 {
		s.clock = now
	}
}

func (s *groupMachine) shown(g *grouped) queues.Message {
	m := queues.Message{ID: g.ID, Body: g.Body, SentAt: queuetest.Millis(g.Sent), ReceiveCount: g.Receives, FailureCount: g.Receives, State: queues.Available, GroupID: g.group, Retry: g.Retry, Priority: g.Priority, ExpiresAt: g.Expires(),
		SequenceNumber: g.sequence, DeduplicationID: g.dedup}
	if g.First > 0 {
		m.FirstReceivedAt = queuetest.Millis(g.First)
	}
	switch g.Place {
	case queuetest.Held:
		m.State, m.LeaseExpiresAt, m.HeldSince, m.HeldBy = queues.InFlight, queuetest.Millis(g.Until), queuetest.Millis(g.Received), g.By
		m.FailureCount-- // the delivery under way has not failed
	case queuetest.Delayed:
		m.State, m.AvailableAt = queues.Delayed, queuetest.Millis(g.Until)
	}
	return m
}

func (s *groupMachine) Settle(t *rapid.T) {
	if len(s.slips) == 0 {
		t.Skip("nothing was received yet")
	}
	n := rapid.IntRange(1, 4).Draw(t, "n")
	list, slips := make([]queues.Settlement, n), make([]queuetest.Slip, n)
	for i := range list {
		slips[i] = s.slips[rapid.IntRange(max(0, len(s.slips)-8), len(s.slips)-1).Draw(t, "handle")]
		verb := rapid.SampledFrom([]queues.Verb{queues.Ack, queues.Ack, queues.Extend, queues.Return, queues.Fail}).Draw(t, "verb")
		span := rapid.SampledFrom([]int64{1, 1000, 30_000}).Draw(t, "for")
		if verb == queues.Return && rapid.Bool().Draw(t, "at once") {
			span = 0
		}
		list[i] = queues.Settlement{Verb: verb, ReceiptHandle: slips[i].Handle, For: time.Duration(span) * time.Millisecond}
	}
	s.drop()
	now := s.now()
	b := s.server(t)
	got, err := b.Settle(context.Background(), b.tenant, s.queue, list)
	if err != nil {
		t.Fatalf("settle: %v", err)
	}
	s.clock = now
	for i, one := range list {
		g := s.find(slips[i].ID)
		mine := g != nil && g.Deliveries == slips[i].Delivery
		ok := mine && (g.Place == queuetest.Held || one.Verb == queues.Ack && !s.fifo)
		if g == nil {
			ok = one.Verb == queues.Ack
			if s.fifo && ok && got[i].Err != nil { // over, and perhaps not tidied away yet
				continue
			}
		}
		if (got[i].Err == nil) != ok && !(g == nil && one.Verb == queues.Ack) {
			t.Fatalf("settlement %d (%c of %s, delivery %d of %+v) at %d: got %v", i, one.Verb, slips[i].ID, slips[i].Delivery, g, now, got[i].Err)
		}
		if !ok || g == nil {
			continue
		}
		if one.Verb != queues.Ack && one.Verb != queues.Extend && g.Ends > 0 && g.Ends <= now {
			s.remove(g)
			continue
		}
		switch one.Verb {
		case queues.Ack:
			s.remove(g)
		case queues.Extend:
			g.Until = now + one.For.Milliseconds()
		case queues.Return:
			g.Place, g.Until = queuetest.Back, 0
			if one.For > 0 {
				g.Place, g.Until = queuetest.Delayed, now+one.For.Milliseconds()
			}
		case queues.Fail:
			g.Place, g.Until = queuetest.Delayed, now+g.Wait(s.set)
		}
	}
}

func (s *groupMachine) remove(g *grouped) {
	s.all = slices.DeleteFunc(s.all, func(o *grouped) bool { return o == g })
}

func (s *groupMachine) Unreceive(t *rapid.T) {
	if len(s.slips) == 0 {
		t.Skip("nothing was received yet")
	}
	by := s.slips[rapid.IntRange(max(0, len(s.slips)-5), len(s.slips)-1).Draw(t, "handle")]
	b := s.server(t)
	s.drop()
	b.Unreceive(context.Background(), b.tenant, s.queue, []queues.Message{{ID: by.ID, ReceiptHandle: by.Handle}})
	if g := s.find(by.ID); g != nil && g.Deliveries == by.Delivery && g.Place == queuetest.Held {
		g.Place, g.Until = queuetest.Back, 0
		if g.Receives--; g.Receives == 0 {
			g.First = 0
		}
		if g.Ends > 0 && g.Ends <= s.now() {
			s.remove(g)
		}
	}
	s.clock = s.now()
}

func (s *groupMachine) Delete(t *rapid.T) {
	s.Stats(t)
	if len(s.all) == 0 {
		t.Skip("nothing is there")
	}
	g := rapid.SampledFrom(s.all).Draw(t, "message")
	b := s.server(t)
	if err := b.DeleteMessage(context.Background(), b.tenant, s.queue, g.ID); err != nil {
		t.Fatalf("delete: %v", err)
	}
	s.remove(g)
	s.clock = s.now()
	if err := b.DeleteMessage(context.Background(), b.tenant, s.queue, g.ID); !errors.Is(err, queues.ErrMessageNotFound) {
		t.Fatalf("delete it again: %v", err)
	}
}

func (s *groupMachine) DelayMessage(t *rapid.T) {
	s.Stats(t)
	if len(s.all) == 0 {
		t.Skip("nothing is there")
	}
	list := s.all
	if waiting := slices.DeleteFunc(slices.Clone(list), func(g *grouped) bool { return g.Place != queuetest.Delayed }); len(waiting) > 0 && rapid.IntRange(0, 3).Draw(t, "any") > 0 {
		list = waiting
	}
	g := rapid.SampledFrom(list).Draw(t, "message")
	now, ends := s.now(), g.Last(s.set)
	due, until := queuetest.DrawDue(t, now, ends)
	state, want := queuetest.JudgeDelay(g.Letter, true, now, until, ends)
	b := s.server(t)
	at, got, err := b.DelayMessage(context.Background(), b.tenant, s.queue, g.ID, due)
	if !errors.Is(err, want) || err == nil && (got != state || at.UnixMilli() != until) {
		t.Fatalf("delay %s at %d by %+v: got %s, %s, %v; want %d, %s, %v", g.ID, now, due, at, got, err, until, state, want)
	}
	if want == nil {
		g.Until = until
	}
	s.clock = now
}

func (s *groupMachine) Purge(t *rapid.T) {
	if rapid.IntRange(0, 5).Draw(t, "really") > 0 {
		t.Skip("not now")
	}
	b := s.server(t)
	if _, err := b.Purge(context.Background(), b.tenant, s.queue); err != nil {
		t.Fatalf("purge: %v", err)
	}
	s.all, s.clock = nil, s.now()
	clear(s.keys) // only a FIFO queue has any here
}

func (s *groupMachine) Stats(t *rapid.T) {
	s.drop()
	var n [3]int64
	oldest := int64(0)
	for _, g := range s.all {
		n[[]int{0, 0, 1, 2}[g.Place]]++
	}
	for _, group := range s.groups() {
		if list := s.receivable(group); len(list) > 0 {
			for _, g := range list {
				if oldest == 0 || g.Sent < oldest {
					oldest = g.Sent
				}
			}
		}
	}
	b := s.server(t)
	got, err := b.Stats(context.Background(), b.tenant, s.queue)
	if err != nil {
		t.Fatalf("stats: %v", err)
	}
	if n != [3]int64{got.Available, got.InFlight, got.Delayed} {
		t.Fatalf("stats at %d: got %+v, want %v", s.now(), got, n)
	}
	if want := time.Duration(s.now()-oldest) * time.Millisecond; oldest > 0 && got.OldestAge != want || oldest == 0 && got.OldestAge != 0 {
		t.Fatalf("stats: oldest %s, want %s", got.OldestAge, want)
	}
}

func (s *groupMachine) Peek(t *rapid.T) {
	s.Stats(t)
	opt := queues.PeekOptions{
		State: rapid.SampledFrom([]queues.State{"", queues.Available, queues.InFlight, queues.Delayed}).Draw(t, "state"),
		Limit: rapid.SampledFrom([]int{1, 3, 100}).Draw(t, "limit"),
	}
	want, got := []queues.Message{}, []queues.Message{}
	for _, g := range s.all {
		if m := s.shown(g); opt.State == "" || m.State == opt.State {
			want = append(want, m)
		}
	}
	for {
		b := s.server(t)
		page, err := b.Peek(context.Background(), b.tenant, s.queue, opt)
		if err != nil {
			t.Fatalf("peek: %v", err)
		}
		got = append(got, page.Messages...)
		if opt.Cursor = page.Next; opt.Cursor == "" {
			break
		}
	}
	byID := func(a, b queues.Message) int { return bytes.Compare(a.ID[:], b.ID[:]) }
	slices.SortFunc(want, byID)
	slices.SortFunc(got, byID)
	if diff := gocmp.Diff(want, got); diff != "" {
		t.Fatalf("peek of %q at %d (-want +got):\n%s", opt.State, s.now(), diff)
	}
	for _, m := range got {
		b := s.server(t)
		one, err := b.Message(context.Background(), b.tenant, s.queue, m.ID)
		if diff := gocmp.Diff(m, one); err != nil || diff != "" {
			t.Fatalf("message: %v (-peek +message):\n%s", err, diff)
		}
	}
}

func (s *groupMachine) Advance(t *rapid.T) {
	s.servers[0].clock.Advance(time.Duration(rapid.Int64Range(0, 20_000).Draw(t, "ms")) * time.Millisecond)
}

func (s *groupMachine) AdvanceToEdge(t *rapid.T) {
	var edges []int64
	for _, g := range s.all {
		edges = append(edges, g.Sent+s.set.Retention.Milliseconds())
		if g.Ends > 0 {
			edges = append(edges, g.Ends)
		}
		if g.Place == queuetest.Held || g.Place == queuetest.Delayed {
			edges = append(edges, g.Until, g.Until, g.Until+g.Wait(s.set))
		}
	}
	for _, k := range s.keys {
		edges = append(edges, k.Sent+s.set.FIFO.Window.Milliseconds())
	}
	slices.Sort(edges)
	edges = slices.DeleteFunc(edges, func(at int64) bool { return at < s.now() })
	if len(edges) == 0 {
		t.Skip("nothing ends")
	}
	n := min(len(edges)-1, rapid.SampledFrom([]int{0, 0, 1, 2, 5}).Draw(t, "which"))
	s.servers[0].clock.Set(queuetest.Millis(max(edges[n]+rapid.Int64Range(-1, 1).Draw(t, "off"), s.now())))
}

func (s *groupMachine) ForgetDesk(t *rapid.T) { s.server(t).ForgetDesks() }

func (s *groupMachine) Check(t *rapid.T) {
	b := s.servers[0]
	r, err := b.Check(context.Background(), b.tenant, s.queue)
	if err != nil || r.Used || len(r.Violations) > 0 {
		t.Fatalf("check: %v, used %v: %s", err, r.Used, strings.Join(r.Violations, "\n"))
	}
	if at := r.Changed.UnixMilli(); !r.Changed.IsZero() {
		s.clock = max(at, s.clock)
	}
}

// TestGroupModel plays random histories on FIFO queues and on standard queues with groups, with two servers, and on a
// model.
func TestGroupModel(t *testing.T) {
	t.Parallel()
	for _, fifo := range []bool{true, false} {
		t.Run(fmt.Sprint("redis, fifo ", fifo), func(t *testing.T) {
			t.Parallel()
			server := redistest.Start(t, redistest.Options{NoAOF: true})
			playGroups(t, newBench(t, engine.Options{URL: server.URL()}), fifo)
		})
		t.Run(fmt.Sprint("memory, fifo ", fifo), func(t *testing.T) {
			t.Parallel()
			playGroups(t, newBench(t, engine.Options{URL: redistest.Memory(t), Memory: true}), fifo)
		})
	}
}

func playGroups(t *testing.T, b *bench, fifo bool) {
	servers := []*bench{b, b.another(t)}
	play(t, b, modelChecks, memoryChecks, []string{"Send", "Receive", "Settle", "AdvanceToEdge"}, func(rt *rapid.T) (rapid.StateMachine, []string) {
		set := queues.DefaultSettings()
		set.Retention = time.Duration(rapid.SampledFrom([]int{60, 3600}).Draw(rt, "retention")) * time.Second
		set.Delay = time.Duration(rapid.SampledFrom([]int{0, 0, 5}).Draw(rt, "delay")) * time.Second
		set.Retry = *queuetest.DrawRetry(rt)
		name := fmt.Sprintf("q%d", names.Add(1))
		if fifo {
			name += ".fifo"
			set.FIFO.Scope = rapid.SampledFrom([]queues.Scope{queues.ScopeQueue, queues.ScopeGroup}).Draw(rt, "scope")
			set.FIFO.Window = time.Duration(rapid.SampledFrom([]int{20, 300}).Draw(rt, "window")) * time.Second
		}
		if _, _, err := b.Put(context.Background(), b.tenant, name, set, queues.Condition{}); err != nil {
			rt.Fatalf("put: %v", err)
		}
		return &groupMachine{servers: servers, queue: name, fifo: fifo, set: set, keys: map[string]*grouped{}}, []string{name}
	})
}
