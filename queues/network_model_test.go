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
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"github.com/sluicemq/sluice/internal/engine"
	"github.com/sluicemq/sluice/internal/redistest"
	"github.com/sluicemq/sluice/queues"
	"github.com/sluicemq/sluice/queues/queuetest"
	"github.com/sluicemq/sluice/tenants"
)

// networkChecks is how many random histories TestNetworkModel plays of each kind of queue on real Redis, and
// networkMemoryChecks in memory. Each looks at four queues after each step.
const (
	networkChecks       = 25
	networkMemoryChecks = 4
)

// traveller is a message of networkMachine's model.
type traveller struct {
	queuetest.Letter
	queue, to    string // where it is, and for where it waits there, or ""
	came         int64  // when it came to its queue
	group, dedup string
	said         string // what a consumer said of it last
	before       int    // receives in other queues, which go on counting
	origin       *queues.Origin
}

// node is a queue of networkMachine's model. Its messages are in the machine's list.
type node struct {
	name                 string
	set                  queues.Settings
	paused               queues.Paused
	dead, moved, dropped int64
	pushes               int // how many messages this step has pushed out; which ones is seen afterwards
	// ended bounds how many messages count that retention has ended: in a standard queue what came from elsewhere may stand in
	// its group behind one that was sent later, and is tidied away after that one.
	ended int64
}

// lent is a receipt handle of one of the queues.
type lent struct {
	queuetest.Slip
	at *node
}

// networkMachine plays histories on four queues among which messages go: front forwards to work, both have the dead-letter
// queue dead, dead may forward to spare, and anything is moved anywhere. The model is a list of all messages in the order in
// which they came to where they are. Time does not go back. What receives return in which order is for the other models,
// but that of a FIFO group holds here too, through all queues.
type networkMachine struct {
	tb                       testing.TB
	servers                  []*bench
	fifo, sharded            bool
	front, work, dead, spare *node
	all                      []*traveller
	slips                    []lent
	n                        int
	went                     map[queues.Reason]int // of all histories: how many went to another queue, and why
}

func (s *networkMachine) server(t *rapid.T) *bench {
	return s.servers[rapid.IntRange(0, len(s.servers)-1).Draw(t, "server")]
}

func (s *networkMachine) now() int64     { return s.servers[0].clock.Now().UnixMilli() }
func (s *networkMachine) nodes() []*node { return []*node{s.front, s.work, s.dead, s.spare} }

func (s *networkMachine) node(name string) *node {
	for _, n := range s.nodes() {
		if n.name == name {
			return n
		}
	}
	return nil
}

// used draws a queue that has messages, mostly work or dead.
func (s *networkMachine) used(t *rapid.T) *node {
	s.tidy()
	all := []*node{s.work, s.work, s.work, s.dead, s.dead, s.spare, s.front}
	all = slices.DeleteFunc(all, func(n *node) bool { return len(s.in(n)) == 0 })
	if len(all) == 0 {
		t.Skip("nothing is there")
	}
	return s.draw(t, all...)
}

// draw draws one of some queues, by its name.
func (s *networkMachine) draw(t *rapid.T, of ...*node) *node {
	list := make([]string, len(of))
	for i, n := range of {
		list[i] = n.name
	}
	return s.node(rapid.SampledFrom(list).Draw(t, "queue"))
}

// tidy forgets what has ended, and works out where the others are by now.
func (s *networkMachine) tidy() {
	now, blocked := s.now(), map[string]bool{}
	s.all = slices.DeleteFunc(s.all, func(m *traveller) bool {
		if m.to != "" {
			return false
		}
		n := s.node(m.queue)
		set := n.set
		m.Letter = m.NowOf(now, set)
		since, group := m.Sent, m.queue+"/"+m.group
		if s.fifo {
			since = m.came
		}
		busy := m.Place == queuetest.Held || m.Place == queuetest.Delayed
		behind := s.fifo && blocked[group] // retention ends none behind one that is held or delayed
		over := m.Place != queuetest.Held && m.Ends > 0 && m.Ends <= now || !busy && !behind && since+set.Retention.Milliseconds() <= now
		blocked[group] = blocked[group] || busy && !over
		if over && !busy && !s.fifo && m.group != "" {
			n.ended++
		}
		return over
	})
}

// in returns the messages of a queue in the order in which they came, and waiting those that wait there for another one.
func (s *networkMachine) in(n *node) (list []*traveller)      { return s.those(n, false) }
func (s *networkMachine) waiting(n *node) (list []*traveller) { return s.those(n, true) }

func (s *networkMachine) those(n *node, waiting bool) (list []*traveller) {
	for _, m := range s.all {
		if m.queue == n.name && (m.to != "") == waiting {
			list = append(list, m)
		}
	}
	return list
}

// receivable returns what a receive could return, and those that were received too often: in a FIFO queue what stands before
// the first of its group that is held or delayed.
func (s *networkMachine) receivable(n *node) (list []*traveller) {
	blocked := map[string]bool{}
	for _, m := range s.in(n) {
		if m.Place == queuetest.Held || m.Place == queuetest.Delayed {
			blocked[m.group] = true
		} else if !s.fifo || !blocked[m.group] {
			list = append(list, m)
		}
	}
	return list
}

func (s *networkMachine) find(n *node, id engine.ID) *traveller {
	for _, m := range s.in(n) {
		if m.ID == id {
			return m
		}
	}
	return nil
}

func (s *networkMachine) remove(m *traveller) {
	s.all = slices.DeleteFunc(s.all, func(o *traveller) bool { return o == m })
}

// arrive puts a message that has left its queue where it goes.
func (s *networkMachine) arrive(m *traveller, to *node) {
	s.remove(m)
	s.all = append(s.all, m)
	m.queue, m.to, m.came = to.name, "", s.now()
	if to.set.ForwardTo != "" {
		m.to = to.set.ForwardTo
		to.moved++
		return
	}
	m.Place = queuetest.Back
	if m.Until > s.now() {
		m.Place = queuetest.Delayed
	}
}

// die takes a message to the dead-letter queue.
func (s *networkMachine) die(m *traveller, why queues.Reason, said string) {
	from := s.node(m.queue)
	from.dead++
	s.went[why]++
	o := &queues.Origin{Queue: m.queue, Reason: why, Error: said, At: queuetest.Millis(s.now()), ID: m.ID, Receives: m.before + m.Receives}
	if said == "" {
		o.Error = m.said
	}
	if o.FirstReceivedAt = m.firstReceived(); s.fifo {
		m.dedup = m.ID.String()
	}
	m.Letter = queuetest.Letter{ID: m.ID, Body: m.Body, Sent: m.Sent}
	m.origin, m.before, m.said = o, o.Receives, ""
	s.arrive(m, s.node(from.set.Redrive.DeadLetterQueue))
}

// move takes a message to another queue, where it begins anew.
func (s *networkMachine) move(m *traveller, id engine.ID, to *node) {
	s.node(m.queue).moved++
	s.went[queues.Moved]++
	m.origin = &queues.Origin{Queue: m.queue, Reason: queues.Moved, At: queuetest.Millis(s.now()), ID: m.ID}
	m.Letter = queuetest.Letter{ID: id, Body: m.Body, Sent: s.now()}
	m.before, m.said = 0, ""
	s.arrive(m, to)
}

// admit says whether a queue takes one more message that was sent or forwarded, and notes what that pushes out.
func (s *networkMachine) admit(n *node) bool {
	most := int(n.set.MaxMessages)
	if most == 0 {
		return true
	}
	stored, loose := len(s.in(n)), len(s.receivable(n))
	for n.set.WhenFull != queues.Reject && stored-n.pushes >= most && n.pushes < loose {
		n.pushes++
	}
	return stored-n.pushes < most
}

// settle brings what waits to where it goes, as far as there is room, in the model and in the queues.
func (s *networkMachine) settle(t *rapid.T) {
	s.flow()
	s.quiet(t)
	for _, n := range s.nodes() {
		s.pushOut(t, n)
	}
	s.flow()
	s.quiet(t)
}

// flow has what waits go on, one message after the other.
func (s *networkMachine) flow() {
	for s.tidy(); s.flowOne(); s.tidy() { // what arrives may have ended on its way
	}
}

func (s *networkMachine) flowOne() bool {
	for _, n := range s.nodes() {
		list := s.waiting(n)
		if len(list) == 0 {
			continue
		}
		m := list[0] // nothing overtakes it
		if to := s.node(m.to); to.paused.Send == nil && s.admit(to) {
			s.went["forwarded"]++
			s.arrive(m, to)
			return true
		}
	}
	return false
}

// quiet returns once just those messages are on their way that wait in the model.
func (s *networkMachine) quiet(t *rapid.T) {
	b := s.servers[0]
	for _, n := range s.nodes() {
		want := int64(len(s.waiting(n)))
		if want > 0 {
			b.Carry(s.tb, b.tenant, n.name) // what cannot go on may still push something out
		}
		for deadline := time.Now().Add(time.Minute); ; {
			st, err := b.Stats(context.Background(), b.tenant, n.name)
			if err != nil {
				t.Fatalf("stats: %v", err)
			}
			if st.Moving == want && !slices.ContainsFunc(s.servers, func(o *bench) bool { return o.Carrying(o.tenant, n.name) }) {
				break
			}
			if time.Now().After(deadline) {
				t.Fatalf("of %s %d messages are on their way, want %d", n.name, st.Moving, want)
			}
			b.Carry(s.tb, b.tenant, n.name)
		}
	}
}

// gone returns which of the messages are not in their queue any more.
func (s *networkMachine) gone(t *rapid.T, list []*traveller) (out []*traveller) {
	b := s.servers[0]
	for _, m := range list {
		_, err := b.Message(context.Background(), b.tenant, m.queue, m.ID)
		switch {
		case errors.Is(err, queues.ErrMessageNotFound):
			out = append(out, m)
		case err != nil:
			t.Fatalf("message: %v", err)
		}
	}
	return out
}

// pushOut sees which messages were pushed out of a full queue.
func (s *networkMachine) pushOut(t *rapid.T, n *node) {
	if n.pushes == 0 {
		return
	}
	list := s.receivable(n)
	out := s.gone(t, list)
	if len(out) != n.pushes {
		t.Fatalf("%d messages were pushed out of %s, want %d", len(out), n.name, n.pushes)
	}
	n.pushes = 0
	s.inOrder(t, n, list, out)
	for _, m := range out {
		if n.set.WhenFull == queues.DropOldest {
			n.dropped++
			s.remove(m)
		} else {
			s.die(m, queues.Overflow, "")
		}
	}
}

// inOrder checks that of each FIFO group the first ones were taken.
func (s *networkMachine) inOrder(t *rapid.T, n *node, list, taken []*traveller) {
	left := map[string]*traveller{}
	for _, m := range list {
		switch {
		case !slices.Contains(taken, m):
			left[m.group] = m
		case s.fifo && left[m.group] != nil:
			t.Fatalf("%q was taken from %s before %q of its group %q", m.Body, n.name, left[m.group].Body, m.group)
		}
	}
}

func (s *networkMachine) Send(t *rapid.T) {
	n := rapid.SampledFrom([]int{1, 1, 2, 4}).Draw(t, "n")
	if len(s.all)+n > queuetest.Size {
		t.Skip("full")
	}
	to := s.draw(t, s.front, s.front, s.work, s.dead)
	groups := []string{"a", "b"}
	if !s.fifo {
		groups = append(groups, "")
	}
	batch := make([]queues.Outgoing, n)
	for i := range batch {
		s.n++
		m := queues.Outgoing{Body: fmt.Appendf(nil, "m%d", s.n), GroupID: rapid.SampledFrom(groups).Draw(t, "group")}
		if s.fifo {
			m.DeduplicationID = fmt.Sprint("d", s.n)
		} else if s.work.set.MaxMessages == 0 && rapid.IntRange(0, 2).Draw(t, "delayed") == 0 {
			d := time.Duration(rapid.SampledFrom([]int64{1, 1000, 40_000}).Draw(t, "delay")) * time.Millisecond
			m.Delay = &d
		}
		if rapid.IntRange(0, 5).Draw(t, "own policy") == 0 {
			m.Retry = queuetest.DrawRetry(t)
		}
		if !s.fifo && m.GroupID == "" {
			m.Priority = rapid.SampledFrom([]int{0, 0, 3}).Draw(t, "priority")
		}
		if m.Delay == nil && rapid.IntRange(0, 4).Draw(t, "with an end") == 0 {
			m.TTL = time.Duration(rapid.SampledFrom([]int{6, 20, 60}).Draw(t, "ttl")) * time.Second
		}
		batch[i] = m
	}
	b := s.server(t)
	got, err := b.SendBatch(context.Background(), b.tenant, to.name, batch, false)
	if err != nil {
		t.Fatalf("send: %v", err)
	}
	now := s.now()
	for i, m := range batch {
		var want error
		if to.paused.Send != nil {
			want = queues.ErrQueuePaused
		} else if to.set.ForwardTo == "" && !s.admit(to) {
			want = queues.ErrMessagesFull
		}
		if !errors.Is(got[i].Err, want) {
			t.Fatalf("send %d of %d to %s: got %v, want %v", i, n, to.name, got[i].Err, want)
		}
		if want != nil {
			continue
		}
		l := queuetest.Letter{ID: got[i].ID, Body: string(m.Body), Sent: now, Retry: m.Retry, Priority: m.Priority}
		delay := to.set.Delay
		if m.Delay != nil {
			delay = *m.Delay
		}
		if delay > 0 {
			l.Until = now + delay.Milliseconds()
		}
		if m.TTL > 0 {
			l.Ends = now + m.TTL.Milliseconds()
		}
		s.arrive(&traveller{Letter: l, group: m.GroupID, dedup: m.DeduplicationID}, to)
	}
}

func (s *networkMachine) Receive(t *rapid.T) {
	n := s.used(t)
	most := rapid.SampledFrom([]int{2, 10, 1, 100}).Draw(t, "max")
	lasts := time.Duration(rapid.SampledFrom([]int64{30_000, 0, 1000, 1}).Draw(t, "timeout")) * time.Millisecond
	opt := queues.ReceiveOptions{Max: most, VisibilityTimeout: &lasts}
	if opt.AutoAck = rapid.IntRange(0, 9).Draw(t, "auto") == 0; opt.AutoAck {
		opt.VisibilityTimeout = nil
	} else {
		opt.Consumer = queuetest.Consumer(t)
	}
	list := s.receivable(n)
	var worn, taken []*traveller
	for _, m := range list {
		if limit := n.set.Redrive.MaxReceives; limit > 0 && m.Receives >= limit {
			worn = append(worn, m)
		}
	}
	b := s.server(t)
	got, err := b.Receive(context.Background(), b.tenant, n.name, opt)
	if err != nil {
		t.Fatalf("receive: %v", err)
	}
	if n.paused.Receive != nil {
		if len(got) > 0 {
			t.Fatalf("received %d messages of a queue that is paused", len(got))
		}
		return
	}
	for _, r := range got {
		i := slices.IndexFunc(list, func(m *traveller) bool { return m.ID == r.ID })
		if i < 0 || slices.Contains(worn, list[i]) {
			t.Fatalf("received %q of %s, which cannot be received", r.Body, n.name)
		}
		taken = append(taken, list[i])
	}
	left := s.gone(t, worn)
	s.inOrder(t, n, list, append(slices.Clone(taken), left...))
	last := map[string]int{}
	for _, m := range taken {
		i := slices.Index(list, m)
		if before, ok := last[m.group]; s.fifo && ok && i < before {
			t.Fatalf("received %q after %q of its group", m.Body, list[before].Body)
		}
		last[m.group] = i
	}
	if rest := len(list) - len(taken) - len(left); len(got) < most && rest > 0 && !(s.sharded && len(got) > 0) {
		t.Fatalf("received %d messages of %s, at most %d, and left %d", len(got), n.name, most, rest)
	}
	now := s.now()
	for i, m := range taken {
		m.Deliveries++
		m.Receives++
		if m.First == 0 {
			m.First = now
		}
		m.Place, m.Until, m.Received, m.By = queuetest.Held, now+lasts.Milliseconds(), now, opt.Consumer
		want := s.shown(m, got[i])
		want.HeldSince, want.HeldBy, want.ReceiptHandle = time.Time{}, "", got[i].ReceiptHandle // whoever receives it knows
		if opt.AutoAck {
			want.State, want.LeaseExpiresAt = "", time.Time{}
			s.remove(m)
		} else {
			s.slips = append(s.slips, lent{queuetest.Slip{Handle: got[i].ReceiptHandle, ID: m.ID, Delivery: m.Deliveries, Received: now}, n})
		}
		if diff := gocmp.Diff(want, got[i]); diff != "" {
			t.Fatalf("received of %s (-want +got):\n%s", n.name, diff)
		}
	}
	for _, m := range left {
		s.die(m, queues.MaxReceives, "")
	}
	for i := range taken {
		if !opt.AutoAck && rapid.Bool().Draw(t, "settled at once") {
			s.say(t, s.slips[len(s.slips)-1-i])
		}
	}
}

// firstReceived returns when a message was received for the first time, in whichever queue.
func (m *traveller) firstReceived() time.Time {
	switch {
	case m.origin != nil && !m.origin.FirstReceivedAt.IsZero():
		return m.origin.FirstReceivedAt
	case m.First > 0:
		return queuetest.Millis(m.First)
	}
	return time.Time{}
}

// shown returns a message as a peek must show it. Its sequence number is taken from there.
func (s *networkMachine) shown(m *traveller, got queues.Message) queues.Message {
	out := queues.Message{ID: m.ID, Body: m.Body, SentAt: queuetest.Millis(m.Sent), ReceiveCount: m.before + m.Receives, FailureCount: m.Receives, FirstReceivedAt: m.firstReceived(),
		State: queues.Available, GroupID: m.group, DeduplicationID: m.dedup, Retry: m.Retry, Priority: m.Priority, ExpiresAt: m.Expires(), LastError: m.said, Origin: m.origin}
	if s.fifo {
		out.SequenceNumber = got.SequenceNumber
	}
	switch m.Place {
	case queuetest.Held:
		out.State, out.LeaseExpiresAt, out.HeldSince, out.HeldBy = queues.InFlight, queuetest.Millis(m.Until), queuetest.Millis(m.Received), m.By
		out.FailureCount-- // the delivery under way has not failed
	case queuetest.Delayed:
		out.State, out.AvailableAt = queues.Delayed, queuetest.Millis(m.Until)
	}
	return out
}

func (s *networkMachine) Settle(t *rapid.T) {
	if len(s.slips) == 0 {
		t.Skip("nothing was received yet")
	}
	s.say(t, s.slips[len(s.slips)-1-rapid.IntRange(0, min(8, len(s.slips)-1)).Draw(t, "handle")])
}

// say settles what a receipt stands for, or tries to.
func (s *networkMachine) say(t *rapid.T, by lent) {
	verb := rapid.SampledFrom([]queues.Verb{queues.Return, queues.DeadLetter, queues.Fail, queues.Ack, queues.Extend}).Draw(t, "verb")
	one := queues.Settlement{Verb: verb, ReceiptHandle: by.Handle, For: time.Duration(rapid.SampledFrom([]int64{1, 1000, 30_000}).Draw(t, "for")) * time.Millisecond}
	if verb == queues.Return && rapid.IntRange(0, 2).Draw(t, "at once") < 2 {
		one.For = 0
	}
	if verb != queues.Ack && verb != queues.Extend && rapid.Bool().Draw(t, "says why") {
		one.Reason = rapid.SampledFrom([]string{"bank closed", "a,b|c\x00"}).Draw(t, "reason")
	}
	s.tidy()
	now, m := s.now(), s.find(by.at, by.ID)
	mine := m != nil && m.Deliveries == by.Delivery
	ok := mine && (m.Place == queuetest.Held || verb == queues.Ack && !s.fifo)
	nowhere := verb == queues.DeadLetter && by.at.set.Redrive.DeadLetterQueue == ""
	b := s.server(t)
	got, err := b.Settle(context.Background(), b.tenant, by.at.name, []queues.Settlement{one})
	if err != nil {
		t.Fatalf("settle: %v", err)
	}
	switch {
	case nowhere:
		if !errors.Is(got[0].Err, queues.ErrNoDeadLetterQueue) {
			t.Fatalf("given up in %s, which has no dead-letter queue: %v", by.at.name, got[0].Err)
		}
		return
	case m == nil && verb == queues.Ack: // gone, or over and perhaps not tidied away yet
		return
	case (got[0].Err == nil) != ok:
		t.Fatalf("settlement %c of %s, delivery %d of %+v in %s: got %v", verb, by.ID, by.Delivery, m, by.at.name, got[0].Err)
	case !ok:
		return
	}
	if (verb == queues.Return || verb == queues.Fail) && m.Ends > 0 && m.Ends <= now {
		s.remove(m)
		return
	}
	if one.Reason != "" {
		m.said = one.Reason
	}
	switch verb {
	case queues.Ack:
		s.remove(m)
	case queues.Extend:
		m.Until = now + one.For.Milliseconds()
	case queues.Return:
		m.Place, m.Until = queuetest.Back, 0
		if one.For > 0 {
			m.Place, m.Until = queuetest.Delayed, now+one.For.Milliseconds()
		}
	case queues.Fail:
		m.Place, m.Until = queuetest.Delayed, now+m.Wait(by.at.set)
	case queues.DeadLetter:
		s.die(m, queues.Rejected, one.Reason)
	}
}

// heldUp says whether somebody holds a message, or it stands in a FIFO queue behind a first one that is held or delayed.
func (s *networkMachine) heldUp(m *traveller) bool {
	if m.Place == queuetest.Held || !s.fifo {
		return m.Place == queuetest.Held
	}
	list := s.in(s.node(m.queue))
	first := list[slices.IndexFunc(list, func(o *traveller) bool { return o.group == m.group })]
	return first != m && (first.Place == queuetest.Held || first.Place == queuetest.Delayed)
}

// target returns where a message goes that is moved to a queue, or for "" back to where it came from, and nil where it
// cannot go there.
func (s *networkMachine) target(m *traveller, to string) *node {
	if to == "" && m.origin != nil {
		to = m.origin.Queue
	}
	if to == m.queue {
		return nil
	}
	return s.node(to)
}

// Move moves one message, and may edit it.
func (s *networkMachine) Move(t *rapid.T) {
	from := s.used(t)
	list := s.in(from)
	m := list[rapid.IntRange(0, len(list)-1).Draw(t, "message")]
	to := rapid.SampledFrom([]string{"", "", s.work.name, s.spare.name, s.front.name, s.dead.name}).Draw(t, "to")
	if to == from.name {
		to = ""
	}
	var change func(*queues.Outgoing)
	body := m.Body
	if rapid.Bool().Draw(t, "edited") {
		body += "!"
		change = func(o *queues.Outgoing) { o.Body = []byte(body) }
	}
	dest := s.target(m, to)
	if dest != nil && slices.ContainsFunc(s.waiting(from), func(o *traveller) bool { return o.to == dest.name }) {
		t.Skip("it may have to wait behind others")
	}
	b := s.server(t)
	got, err := b.Redrive(context.Background(), b.tenant, from.name, m.ID, to, change)
	var want error
	switch {
	case dest == nil:
		want = queues.ErrNoOrigin
	case s.heldUp(m):
		want = queues.ErrHeld
	}
	if !errors.Is(err, want) || err == nil && got.Queue != dest.name {
		t.Fatalf("move %q of %s to %q: got %+v, %v; want %v", m.Body, from.name, to, got, err, want)
	}
	if want == nil {
		m.Body = body
		s.move(m, got.ID, dest)
	}
}

// Redrive moves all that is available, as a task whose steps any server makes.
func (s *networkMachine) Redrive(t *rapid.T) {
	from := s.used(t)
	// What is moved is known by what arrives: nothing may push it out there at once, come to where it was, or take another way to
	// the same queue.
	for _, m := range s.all {
		if m.to != "" || m.queue == from.name && m.origin != nil && m.origin.Queue == s.front.name && (s.fifo || s.work.set.MaxMessages > 0) {
			t.Skip("what waits may come at any moment")
		}
	}
	to := rapid.SampledFrom([]string{"", "", s.work.name, s.spare.name}).Draw(t, "to")
	if to == from.name {
		to = ""
	}
	opt := queues.RedriveOptions{To: to}
	group := rapid.SampledFrom([]string{"*", "*", "a"}).Draw(t, "group")
	if group != "*" {
		opt.Filter, _ = queues.ParseFilter("group:" + group)
	}
	run := s.server(t).planRedrive(s.tb, from.name, opt)
	s.servers[0].clock.Advance(time.Millisecond) // what comes round again is later
	s.tidy()
	run.work.Most = rapid.SampledFrom([]int{1, 3, 100}).Draw(t, "most")
	for !run.step(s.tb, s.server(t)) {
	}
	done, failed := int64(0), int64(0)
	for _, m := range s.in(from) {
		if m.Place == queuetest.Held || m.Place == queuetest.Delayed || group != "*" && m.group != group {
			continue
		}
		switch dest := s.target(m, to); {
		case dest == nil:
			failed++
		case !s.heldUp(m):
			done++
			s.move(m, engine.ID{}, dest) // its id is seen where it arrives
		}
	}
	if run.done != done || run.failed != failed {
		t.Fatalf("redrive of %s to %q: moved %d, failed %d; want %d and %d", from.name, to, run.done, run.failed, done, failed)
	}
	if err := s.servers[0].Redriving().End(context.Background(), run.work); err != nil {
		t.Fatalf("end: %v", err)
	}
}

func (s *networkMachine) Delete(t *rapid.T) {
	n := s.used(t)
	list := s.in(n)
	m := list[rapid.IntRange(0, len(list)-1).Draw(t, "message")]
	b := s.server(t)
	if err := b.DeleteMessage(context.Background(), b.tenant, n.name, m.ID); err != nil {
		t.Fatalf("delete: %v", err)
	}
	s.remove(m)
}

func (s *networkMachine) Purge(t *rapid.T) {
	if rapid.IntRange(0, 5).Draw(t, "really") > 0 {
		t.Skip("not now")
	}
	n, b := s.used(t), s.server(t)
	if _, err := b.Purge(context.Background(), b.tenant, n.name); err != nil {
		t.Fatalf("purge: %v", err)
	}
	for _, m := range s.in(n) {
		s.remove(m)
	}
}

// Replace deletes the dead-letter queue or the one behind it with all that is in it, and makes another one of that name, to
// which what comes next goes.
func (s *networkMachine) Replace(t *rapid.T) {
	if rapid.IntRange(0, 3).Draw(t, "really") > 0 {
		t.Skip("not now")
	}
	s.settle(t)
	n, b := s.draw(t, s.dead, s.spare), s.server(t)
	if err := b.Delete(context.Background(), b.tenant, n.name, queues.Condition{}); err != nil {
		t.Fatalf("delete: %v", err)
	}
	for _, m := range append(s.in(n), s.waiting(n)...) {
		s.remove(m)
	}
	b = s.server(t)
	if _, _, err := b.Put(context.Background(), b.tenant, n.name, n.set, queues.Condition{}); err != nil {
		t.Fatalf("create again: %v", err)
	}
	n.dead, n.moved, n.dropped, n.ended = 0, 0, 0, 0
	s.slips = slices.DeleteFunc(s.slips, func(by lent) bool {
		if by.at != n {
			return false
		}
		got, err := b.Settle(context.Background(), b.tenant, n.name, []queues.Settlement{{Verb: queues.Ack, ReceiptHandle: by.Handle}})
		if err != nil || !errors.Is(got[0].Err, queues.ErrReceiptInvalid) {
			t.Fatalf("a receipt of the deleted queue: %v, %v", got, err)
		}
		return true
	})
}

// Pause pauses or resumes the queue to which front forwards.
func (s *networkMachine) Pause(t *rapid.T) {
	dir := rapid.SampledFrom([]queues.Direction{queues.DirectionReceive, queues.DirectionSend}).Draw(t, "direction")
	turn, b := s.servers[0].Resume, s.server(t)
	if rapid.IntRange(0, 2).Draw(t, "pause") == 0 {
		turn = func(ctx context.Context, tn tenants.ID, name string, dir queues.Direction, cond queues.Condition) (queues.Queue, error) {
			return b.Pause(ctx, tn, name, dir, "", cond)
		}
	}
	q, err := turn(context.Background(), b.tenant, s.work.name, dir, queues.Condition{})
	if err != nil {
		t.Fatalf("pause: %v", err)
	}
	s.work.paused = q.Paused
}

// Update changes who forwards, how often messages are received and what becomes of those that do not fit.
func (s *networkMachine) Update(t *rapid.T) {
	s.settle(t)
	n := s.draw(t, s.front, s.work, s.dead)
	set := n.set
	switch n {
	case s.front:
		set.ForwardTo = rapid.SampledFrom([]string{"", s.work.name}).Draw(t, "forward")
	case s.dead:
		set.ForwardTo = rapid.SampledFrom([]string{"", s.spare.name}).Draw(t, "forward")
	case s.work:
		set.Redrive.MaxReceives = rapid.SampledFrom([]int{1, 2, 5}).Draw(t, "max receives")
		if !s.sharded {
			set.MaxMessages = int64(rapid.SampledFrom([]int{0, 3, 5}).Draw(t, "max messages"))
			set.WhenFull = rapid.SampledFrom([]queues.WhenFull{queues.DeadLetterOldest, queues.DropOldest, queues.Reject}).Draw(t, "when full")
		}
	}
	b := s.server(t)
	if _, err := b.Update(context.Background(), b.tenant, n.name, queues.Condition{}, func(queues.Settings) (queues.Settings, error) { return set, nil }); err != nil {
		t.Fatalf("update: %v", err)
	}
	n.set = set
}

func (s *networkMachine) Advance(t *rapid.T) {
	s.servers[0].clock.Advance(time.Duration(rapid.Int64Range(0, 20_000).Draw(t, "ms")) * time.Millisecond)
}

// AdvanceToEdge goes to an instant at which something ends, one before it or one after it.
func (s *networkMachine) AdvanceToEdge(t *rapid.T) {
	var edges []int64
	for _, m := range s.all {
		set := s.node(m.queue).set
		since := m.Sent
		if s.fifo {
			since = m.came
		}
		edges = append(edges, since+set.Retention.Milliseconds(), m.Ends)
		if m.Place == queuetest.Held || m.Place == queuetest.Delayed {
			edges = append(edges, m.Until, m.Until, m.Until+m.Wait(set))
		}
	}
	slices.Sort(edges)
	edges = slices.DeleteFunc(edges, func(at int64) bool { return at < s.now() || at > s.now()+2*time.Hour.Milliseconds() })
	if len(edges) == 0 {
		t.Skip("nothing ends")
	}
	n := min(len(edges)-1, rapid.SampledFrom([]int{0, 0, 1, 2, 5}).Draw(t, "which"))
	s.servers[0].clock.Set(queuetest.Millis(max(edges[n]+rapid.Int64Range(-1, 1).Draw(t, "off"), s.now())))
}

func (s *networkMachine) ForgetDesk(t *rapid.T) { s.server(t).ForgetDesks() }

// Check compares all messages of all queues with the model, the counters with it and with a recount, and the invariants.
func (s *networkMachine) Check(t *rapid.T) {
	s.settle(t)
	b, ctx := s.servers[0], context.Background()
	for _, n := range s.nodes() {
		page, err := b.Peek(ctx, b.tenant, n.name, queues.PeekOptions{Limit: queues.MaxPeek})
		if err != nil {
			t.Fatalf("peek: %v", err)
		}
		seen := map[engine.ID]queues.Message{}
		for _, m := range page.Messages {
			seen[m.ID] = m
			for _, moved := range s.in(n) {
				if moved.ID == (engine.ID{}) && m.Origin != nil && m.Origin.ID == moved.origin.ID {
					moved.ID = m.ID
				}
			}
		}
		counts, last, want := [3]int64{}, map[string]string{}, []queues.Message{}
		for _, m := range s.in(n) {
			counts[[]int{0, 0, 1, 2}[m.Place]]++
			one := s.shown(m, seen[m.ID])
			if s.fifo && (len(one.SequenceNumber) != 20 || one.SequenceNumber <= last[m.group]) {
				t.Fatalf("in %s %q of group %q has the sequence number %q; the one before has %q", n.name, m.Body, m.group, one.SequenceNumber, last[m.group])
			}
			last[m.group] = one.SequenceNumber
			want = append(want, one)
		}
		byID := func(a, b queues.Message) int { return bytes.Compare(a.ID[:], b.ID[:]) }
		slices.SortFunc(want, byID)
		slices.SortFunc(page.Messages, byID)
		if diff := gocmp.Diff(want, page.Messages, cmpopts.EquateEmpty()); diff != "" {
			t.Fatalf("in %s at %d (-want +got):\n%s", n.name, s.now(), diff)
		}
		st, err := b.Stats(ctx, b.tenant, n.name)
		if err != nil {
			t.Fatalf("stats: %v", err)
		}
		counted := st.Available - counts[0]
		if counted > 0 && counted <= n.ended {
			counts[0] += counted
		}
		told := [7]int64{st.Available, st.InFlight, st.Delayed, st.Moving, st.DeadLettered, st.Moved, st.Dropped}
		if want := [7]int64{counts[0], counts[1], counts[2], int64(len(s.waiting(n))), n.dead, n.moved, n.dropped}; told != want {
			t.Fatalf("%s at %d: available, in flight, delayed, moving, dead, moved, dropped: got %d, want %d", n.name, s.now(), told, want)
		}
		r, err := b.Check(ctx, b.tenant, n.name)
		if err != nil || r.Used || len(r.Violations) > 0 {
			t.Fatalf("check of %s: %v, used %v: %s", n.name, err, r.Used, strings.Join(r.Violations, "\n"))
		}
		if recount := [3]int64{r.Available, r.InFlight, r.Delayed}; recount != counts {
			t.Fatalf("%s at %d: a recount found %d, want %d", n.name, s.now(), recount, counts)
		}
	}
}

// TestNetworkModel plays random histories on queues among which messages go, as dead letters, by redrives and forwards, with
// two servers, and on a model.
func TestNetworkModel(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{"standard", "FIFO", "shards"} {
		t.Run("redis, "+kind, func(t *testing.T) {
			t.Parallel()
			server := redistest.Start(t, redistest.Options{NoAOF: true})
			playNetwork(t, newBench(t, engine.Options{URL: server.URL()}), kind)
		})
		t.Run("memory, "+kind, func(t *testing.T) {
			t.Parallel()
			playNetwork(t, newBench(t, engine.Options{URL: redistest.Memory(t), Memory: true}), kind)
		})
	}
}

func playNetwork(t *testing.T, b *bench, kind string) {
	servers, went := []*bench{b, b.another(t)}, map[queues.Reason]int{}
	most, memoryMost := networkChecks, networkMemoryChecks
	if kind == "shards" { // ten queues to look at
		most, memoryMost = most/2, memoryMost/2
	}
	play(t, b, most, memoryMost, []string{"Receive", "Settle", "Send", "Receive", "Settle", "Redrive"}, func(rt *rapid.T) (rapid.StateMachine, []string) {
		s := &networkMachine{tb: t, servers: servers, fifo: kind == "FIFO", sharded: kind == "shards", went: went}
		s.make(rt)
		var list []string
		for _, n := range s.nodes() {
			list = append(list, n.name)
		}
		return s, list
	})
	t.Logf("went to another queue: %v", went)
}

// make makes the queues.
func (s *networkMachine) make(t *rapid.T) {
	k, suffix, b := names.Add(1), "", s.servers[0]
	if s.fifo {
		suffix = ".fifo"
	}
	create := func(name string, change func(*queues.Settings)) *node {
		n := &node{name: fmt.Sprintf("%s%d%s", name, k, suffix)}
		n.set = queues.DefaultSettings().For(n.name)
		if s.sharded && name != "spare" {
			n.set.Shards = 3
		}
		n.set.Retention = time.Duration(rapid.SampledFrom([]int{60, 3600}).Draw(t, "retention of "+name)) * time.Second
		if name == "work" && !s.fifo && !s.sharded {
			n.set.Retention = queues.MaxRetention // what has ended and still counts would be in the way of a cap
		}
		n.set.Retry = *queuetest.DrawRetry(t)
		if change != nil {
			change(&n.set)
		}
		if _, _, err := b.Put(context.Background(), b.tenant, n.name, n.set, queues.Condition{}); err != nil {
			t.Fatalf("create %s: %v", n.name, err)
		}
		return n
	}
	s.spare = create("spare", nil)
	s.dead = create("dead", func(set *queues.Settings) {
		set.ForwardTo = rapid.SampledFrom([]string{"", "", s.spare.name}).Draw(t, "the dead go on")
	})
	s.work = create("work", func(set *queues.Settings) {
		set.Redrive = queues.Redrive{DeadLetterQueue: s.dead.name, MaxReceives: rapid.IntRange(1, 3).Draw(t, "max receives")}
		if !s.sharded {
			set.MaxMessages = int64(rapid.SampledFrom([]int{0, 0, 4}).Draw(t, "max messages"))
			set.WhenFull = rapid.SampledFrom([]queues.WhenFull{queues.DeadLetterOldest, queues.DropOldest, queues.Reject}).Draw(t, "when full")
		}
	})
	s.front = create("front", func(set *queues.Settings) {
		set.ForwardTo = s.work.name
		set.Redrive = queues.Redrive{DeadLetterQueue: s.dead.name, MaxReceives: 1}
		if s.work.set.MaxMessages == 0 {
			set.Delay = time.Duration(rapid.SampledFrom([]int{0, 0, 5}).Draw(t, "delay")) * time.Second
		}
	})
}
