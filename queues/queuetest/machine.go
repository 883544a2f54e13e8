// Package queuetest plays random histories on a queue and on a model of it that is too plain to be wrong. It knows no door: who
// drives the queue, the store itself or a client of a protocol, is handed in.
package queuetest

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"github.com/sluicemq/sluice/internal/engine"
	"github.com/sluicemq/sluice/internal/errs"
	"github.com/sluicemq/sluice/queues"
)

// untyped leaves out the type of the body, which not every door knows.
var untyped = cmpopts.IgnoreFields(queues.Message{}, "ContentType")

// Size bounds the messages of a model, so that no call stops at its bound of a hundred.
const Size = 80

type keyed struct {
	at    int64
	ID    engine.ID
	print string
}

// model is what a queue does, told as plainly as possible. All times are milliseconds of the queue clock. It moves
// nothing by itself: what has ended by now is worked out each time.
type model struct {
	set            queues.Settings
	clock          int64 // of the last change
	all            map[engine.ID]*Letter
	line           []engine.ID // new messages, in the order of their sends; those that are not new any more are skipped
	keys           map[string]keyed
	Sent, Received int64
	dropped, dead  int64
	paused         queues.Paused
}

// over reports whether a message has ended: by its own end, unless it is held, or by retention, which never ends one that
// is held or delayed.
func (m *model) over(l Letter, now int64) bool {
	return l.Place != Held && l.Ends > 0 && l.Ends <= now ||
		(l.Place == Fresh || l.Place == Back) && l.Sent+m.set.Retention.Milliseconds() <= now
}

// look returns a message as a peek shows it, and whether it is there.
func (m *model) look(id engine.ID, now int64) (Letter, bool) {
	l, ok := m.all[id]
	if !ok {
		return Letter{}, false
	}
	seen := l.NowOf(now, m.set)
	return seen, !m.over(seen, now)
}

// lines returns what a receive could return: the new messages and those that came back, each in order.
func (m *model) lines(now int64) (news, returned []Letter) {
	for _, id := range m.line {
		if l, ok := m.look(id, now); ok && l.Place == Fresh {
			news = append(news, l)
		}
	}
	for id := range m.all {
		if l, ok := m.look(id, now); ok && l.Place == Back {
			returned = append(returned, l)
		}
	}
	slices.SortFunc(returned, func(a, b Letter) int {
		return cmp.Or(cmp.Compare(a.Since, b.Since), bytes.Compare(a.ID[:], b.ID[:]))
	})
	return news, returned
}

// next returns the messages in the order in which receives return them: the two lines merge, and of two messages the
// one that has been available for longer comes first.
func (m *model) next(now int64) []Letter {
	news, returned := m.lines(now)
	var out []Letter
	for len(news) > 0 || len(returned) > 0 {
		if len(news) == 0 || len(returned) > 0 && returned[0].Since <= news[0].ID.Time().UnixMilli() {
			out, returned = append(out, returned[0]), returned[1:]
		} else {
			out, news = append(out, news[0]), news[1:]
		}
	}
	return out
}

// drop forgets what retention has ended for good, and settles where the others are.
func (m *model) drop(now int64) {
	for id, l := range m.all {
		if *l = l.NowOf(now, m.set); m.over(*l, now) {
			delete(m.all, id)
		}
	}
}

func (m *model) counts(now int64) (n [3]int64) {
	for id := range m.all {
		if l, ok := m.look(id, now); ok {
			n[[]int{0, 0, 1, 2}[l.Place]]++
		}
	}
	return n
}

// Machine plays the same history on a queue and on the model. Its methods with a *rapid.T are the steps.
type Machine struct {
	Stage
	Queue string // made with the settings of the model

	m       model
	ids     []engine.ID // all that were ever sent
	slips   []Slip
	n       int
	stepped bool  // the clock went back: ids and times of sends do not go together any more
	made    int64 // the latest id that was made and not stored
}

// New returns a machine whose queue is still to be made, with these settings.
func New(stage Stage, set queues.Settings) *Machine {
	return &Machine{Stage: stage, m: model{set: set, all: map[engine.ID]*Letter{}, keys: map[string]keyed{}}}
}

func (s *Machine) driver(t *rapid.T) Driver {
	return s.Drivers[rapid.IntRange(0, len(s.Drivers)-1).Draw(t, "driver")]
}

// fake returns the clock of the test, and now the queue clock.
func (s *Machine) fake() int64 { return s.Clock.Now().UnixMilli() }
func (s *Machine) now() int64  { return max(s.fake(), s.m.clock) }

// Millis returns the instant that so many milliseconds since 1970 are.
func Millis(n int64) time.Time { return time.UnixMilli(n).UTC() }

// wrote notes that a call has changed the queue, and with it the queue clock.
func (s *Machine) wrote() { s.m.clock = s.now() }

// plain draws whether messages have nothing that only some doors can say.
func (s *Machine) plain(t *rapid.T) bool { return rapid.IntRange(0, 2).Draw(t, "plain") == 0 }

// outgoing draws a message. Its parts are few, so that keys meet again with the same and with another body.
func (s *Machine) outgoing(t *rapid.T, plain bool) queues.Outgoing {
	s.n++
	m := queues.Outgoing{Body: fmt.Appendf(nil, "m%d", s.n), ContentType: "text/plain"}
	if plain {
		if rapid.Bool().Draw(t, "delayed") {
			d := time.Duration(rapid.SampledFrom([]int{0, 1, 30, 90}).Draw(t, "delay")) * time.Second
			m.Delay = &d
		}
		return m
	}
	if rapid.IntRange(0, 2).Draw(t, "keyed") == 0 {
		m.IdempotencyKey = rapid.SampledFrom([]string{"k1", "k2", "k3"}).Draw(t, "key")
		m.Body = []byte(rapid.SampledFrom([]string{"same", "same", "other"}).Draw(t, "body"))
	}
	if rapid.IntRange(0, 3).Draw(t, "long") == 0 {
		m.Body = append(m.Body, strings.Repeat("x", 400)...)
	}
	if rapid.Bool().Draw(t, "delayed") {
		d := time.Duration(rapid.SampledFrom([]int64{0, 1, 1000, 30_000, 60_000, 2 * 3600_000}).Draw(t, "delay")) * time.Millisecond
		m.Delay = &d
	}
	if rapid.IntRange(0, 5).Draw(t, "own policy") == 0 {
		m.Retry = DrawRetry(t)
	}
	if rapid.IntRange(0, 3).Draw(t, "with priority") == 0 {
		m.Priority = rapid.SampledFrom([]int{0, 1, 2, 9}).Draw(t, "priority")
	}
	if rapid.IntRange(0, 4).Draw(t, "with an end") == 0 {
		m.TTL = time.Duration(rapid.SampledFrom([]int{1, 20, 60}).Draw(t, "ttl")) * time.Second
	}
	return m
}

// room keeps the queue small.
func (s *Machine) room(t *rapid.T, n int) {
	if len(s.m.all)+n > Size {
		t.Skip("full")
	}
}

// Send sends a message.
func (s *Machine) Send(t *rapid.T) {
	s.room(t, 1)
	s.send(t, []queues.Outgoing{s.outgoing(t, s.plain(t))}, false)
}

// SendBatch sends some at once.
func (s *Machine) SendBatch(t *rapid.T) {
	n := rapid.IntRange(2, 6).Draw(t, "n")
	s.room(t, n)
	batch, plain := make([]queues.Outgoing, n), s.plain(t)
	for i := range batch {
		batch[i] = s.outgoing(t, plain)
	}
	atomic := rapid.Bool().Draw(t, "atomic")
	if !atomic && s.m.set.WhenFull != queues.Reject {
		for i := range batch { // each pushes out the one before
			s.send(t, batch[i:i+1], false)
		}
		return
	}
	s.send(t, batch, atomic)
}

// sizeOf is how many bytes the record of a message has, and 0 where nobody can tell.
func (s *Machine) sizeOf(m queues.Outgoing) int64 {
	if s.Inside == nil {
		return 0
	}
	return s.Inside.Size(m)
}

// fits plays what becomes of new messages of these sizes that come to the queue together, and returns which of them it
// has no room for. It drops what they push out.
func (s *Machine) fits(sizes []int64, now int64) (full []bool) {
	count, size := int64(0), int64(0)
	for id, l := range s.m.all {
		if _, ok := s.m.look(id, now); ok {
			count, size = count+1, size+l.Size
		}
	}
	more := int64(0)
	for _, n := range sizes {
		more += n
	}
	set := s.m.set
	over := func(n, size int64) bool {
		return set.MaxMessages > 0 && n > set.MaxMessages || set.MaxBytes > 0 && size > set.MaxBytes
	}
	if set.WhenFull != queues.Reject && !over(int64(len(sizes)), more) {
		for over(count+int64(len(sizes)), size+more) {
			news, returned := s.m.lines(now)
			slices.SortFunc(returned, func(a, b Letter) int { return bytes.Compare(a.ID[:], b.ID[:]) })
			var oldest Letter
			switch {
			case len(returned) > 0 && (len(news) == 0 || !news[0].ID.Time().Before(returned[0].ID.Time())):
				oldest = returned[0]
			case len(news) > 0:
				oldest = news[0]
			}
			if oldest.ID == (engine.ID{}) {
				break
			}
			count, size = count-1, size-oldest.Size
			delete(s.m.all, oldest.ID)
			if set.WhenFull == queues.DropOldest {
				s.m.dropped++
			} else {
				s.m.dead++
			}
		}
	}
	for _, n := range sizes {
		no := over(count+1, size+n)
		if !no {
			count, size = count+1, size+n
		}
		full = append(full, no)
	}
	return full
}

// arrive waits until what was pushed out has come to the dead-letter queue: that moves the queue clock too.
func (s *Machine) arrive(t *rapid.T) {
	if s.Inside == nil {
		return
	}
	for deadline := time.Now().Add(time.Minute); s.Inside.Carrying(s.Queue); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("messages on their way to the dead-letter queue have not come there in ten seconds")
		}
	}
}

func (s *Machine) send(t *rapid.T, batch []queues.Outgoing, atomic bool) {
	type verdict struct {
		err    *errs.Error
		first  engine.ID // of a replay
		replay bool
	}
	now, window := s.now(), (5 * time.Minute).Milliseconds()
	verdicts := make([]verdict, len(batch))
	keys := map[string]keyed{}
	for k, v := range s.m.keys {
		keys[k] = v
	}
	var failed *errs.Error
	conflict, reached := false, false
	for i, m := range batch {
		v := &verdicts[i]
		if s.m.paused.Send != nil {
			v.err = queues.ErrQueuePaused
			failed = v.err
			continue
		}
		delay := s.m.set.Delay
		if m.Delay != nil {
			delay = *m.Delay
		}
		if m.Delay != nil && *m.Delay > s.m.set.Retention || m.TTL > 0 && delay >= m.TTL {
			v.err = &errs.Error{Code: "validation_failed"}
			failed = v.err
			continue
		}
		reached = true
		if m.IdempotencyKey == "" {
			continue
		}
		content := fmt.Sprintf("%s %v %d %s", m.Body, m.Retry, m.Priority, m.TTL)
		if m.Delay != nil {
			content = fmt.Sprintf("%s %v", content, *m.Delay)
		}
		first, ok := keys[m.IdempotencyKey]
		switch {
		case !ok || first.at+window <= now:
			keys[m.IdempotencyKey] = keyed{now, engine.ID{}, content} // its id is not known yet
		case first.print != content:
			v.err, conflict = queues.ErrKeyReused, true
		default:
			v.replay, v.first = true, first.ID
		}
	}
	if failed == nil && conflict {
		failed = queues.ErrKeyReused
	}
	// What reaches the queue and is new needs room. A message that was to be the first with its key takes the others with it.
	if reached && !(atomic && failed != nil) {
		var Fresh []int
		var sizes []int64
		for i, m := range batch {
			if v := verdicts[i]; v.err == nil && !v.replay {
				Fresh, sizes = append(Fresh, i), append(sizes, s.sizeOf(m))
			}
		}
		lost := map[string]bool{}
		for k, full := range s.fits(sizes, now) {
			if i := Fresh[k]; full {
				verdicts[i].err = queues.ErrMessagesFull
				lost[batch[i].IdempotencyKey] = true
				failed = queues.ErrMessagesFull
			}
		}
		for i, m := range batch {
			if v := &verdicts[i]; m.IdempotencyKey != "" && lost[m.IdempotencyKey] && (v.replay && v.first == (engine.ID{}) || errors.Is(v.err, queues.ErrKeyReused)) {
				v.err = queues.ErrMessagesFull
			}
		}
	}
	d := s.driver(t)
	got, err := d.SendBatch(context.Background(), s.Tenant, s.Queue, batch, atomic)
	s.arrive(t)
	if atomic && failed != nil {
		if !errors.Is(err, failed) {
			t.Fatalf("atomic send: got %v, want %v", err, failed)
		}
		s.made = s.fake()
		return
	}
	if err != nil {
		t.Fatalf("send: %v", err)
	}
	if reached {
		s.wrote()
	} else {
		s.made = s.fake()
	}
	firsts := map[string]engine.ID{}
	for i, m := range batch {
		v, r := verdicts[i], got[i]
		if v.err != nil {
			if !errors.Is(r.Err, v.err) {
				t.Fatalf("send %d of %d: got %v, want %v", i, len(batch), r.Err, v.err)
			}
			continue
		}
		if r.Err != nil || r.Replayed != v.replay || !r.Now.Equal(Millis(now)) {
			t.Fatalf("send %d of %d at %d: got %+v, replayed %v wanted", i, len(batch), now, r, v.replay)
		}
		if v.replay {
			if v.first == (engine.ID{}) {
				v.first = firsts[m.IdempotencyKey]
			}
			if r.ID != v.first {
				t.Fatalf("send %d of %d: got id %s, want that of the first one, %s", i, len(batch), r.ID, v.first)
			}
			continue
		}
		delay := s.m.set.Delay
		if m.Delay != nil {
			delay = *m.Delay
		}
		if !r.AvailableAt.Equal(Millis(now).Add(delay)) {
			t.Fatalf("send %d of %d: available at %s, want %s", i, len(batch), r.AvailableAt, Millis(now).Add(delay))
		}
		l := &Letter{ID: r.ID, Body: string(m.Body), Sent: now, Retry: m.Retry, Priority: m.Priority, Size: s.sizeOf(m)}
		if m.TTL > 0 {
			l.Ends = now + m.TTL.Milliseconds()
		}
		switch {
		case delay > 0:
			l.Place, l.Until = Delayed, now+delay.Milliseconds()
		case m.Retry != nil || m.Priority > 0:
			l.Place, l.Since = Back, l.From(now, s.m.set)
		default:
			s.m.line = append(s.m.line, r.ID)
		}
		if _, twice := s.m.all[r.ID]; twice {
			t.Fatalf("id %s was given twice", r.ID)
		}
		s.m.all[r.ID] = l
		s.m.Sent++
		s.ids = append(s.ids, r.ID)
		if m.IdempotencyKey != "" {
			k := keys[m.IdempotencyKey]
			k.ID = r.ID
			s.m.keys[m.IdempotencyKey] = k
			firsts[m.IdempotencyKey] = r.ID
		}
	}
}

// Receive receives, and holds what comes against what comes next in the model.
func (s *Machine) Receive(t *rapid.T) {
	opt := queues.ReceiveOptions{Max: rapid.SampledFrom([]int{1, 1, 2, 3, 10, 100}).Draw(t, "max")}
	lasts := s.m.set.VisibilityTimeout
	if opt.AutoAck = rapid.IntRange(0, 7).Draw(t, "auto") == 0; !opt.AutoAck && rapid.Bool().Draw(t, "own timeout") {
		lasts = time.Duration(rapid.SampledFrom([]int64{0, 1, 50, 1000, 30_000, 12 * 3600_000}).Draw(t, "timeout")) * time.Millisecond
		opt.VisibilityTimeout = &lasts
	}
	if !opt.AutoAck {
		opt.Consumer = Consumer(t)
	}
	now := s.now()
	want := s.m.next(now)
	want = want[:min(len(want), opt.Max)]
	if s.m.paused.Receive != nil {
		want = nil
	}
	d := s.driver(t)
	got, err := d.Receive(context.Background(), s.Tenant, s.Queue, opt)
	if err != nil {
		t.Fatalf("receive: %v", err)
	}
	if len(got) != len(want) {
		t.Fatalf("receive at %d: got %d messages, want %d: %v", now, len(got), len(want), want)
	}
	if s.stepped {
		want = s.anyMerge(t, got, now)
	}
	for i := range want {
		l := s.m.all[want[i].ID]
		l.Deliveries++
		l.Receives++
		if l.First == 0 {
			l.First = now
		}
		l.Place, l.Until, l.Received, l.By = Held, now+lasts.Milliseconds(), now, opt.Consumer
		exp := queues.Message{
			ID: l.ID, Body: l.Body, State: queues.InFlight, SentAt: Millis(l.Sent), ReceiveCount: l.Receives, FailureCount: l.Receives - 1, Retry: l.Retry, Priority: l.Priority, ExpiresAt: l.Expires(),
			FirstReceivedAt: Millis(l.First), LeaseExpiresAt: Millis(l.Until), ReceiptHandle: got[i].ReceiptHandle,
		}
		if opt.AutoAck {
			exp.State, exp.LeaseExpiresAt, exp.ReceiptHandle = "", time.Time{}, ""
			delete(s.m.all, l.ID)
		}
		if diff := gocmp.Diff(exp, got[i], untyped); diff != "" {
			t.Fatalf("received message %d of %d at %d (-want +got):\n%s", i, len(want), now, diff)
		}
		if !opt.AutoAck {
			s.slips = append(s.slips, Slip{got[i].ReceiptHandle, l.ID, l.Deliveries, now})
		}
	}
	s.m.Received += int64(len(want))
	if len(want) > 0 {
		s.wrote()
	}
}

// anyMerge accepts what was received in any mixture of the two lines, as long as each keeps its own order.
func (s *Machine) anyMerge(t *rapid.T, got []queues.Message, now int64) []Letter {
	news, returned := s.m.lines(now)
	var want []Letter
	for _, m := range got {
		switch {
		case len(news) > 0 && news[0].ID == m.ID:
			want, news = append(want, news[0]), news[1:]
		case len(returned) > 0 && returned[0].ID == m.ID:
			want, returned = append(want, returned[0]), returned[1:]
		default:
			t.Fatalf("received %s, which is the next of neither line: %v, %v", m.ID, news, returned)
		}
	}
	return want
}

// handle draws a receipt handle: mostly one that was given, current or not.
func (s *Machine) handle(t *rapid.T) (Slip, bool) {
	switch n := rapid.IntRange(0, 11).Draw(t, "kind of handle"); {
	case n == 0:
		return Slip{Handle: s.Foreign}, false
	case n == 1:
		return Slip{Handle: rapid.SampledFrom([]string{"", "rh_", "garbage", "rh_" + strings.Repeat("A", 51)}).Draw(t, "garbage")}, false
	case len(s.slips) == 0:
		t.Skip("nothing was received yet")
	}
	recent := max(0, len(s.slips)-10)
	return s.slips[rapid.IntRange(recent, len(s.slips)-1).Draw(t, "handle")], true
}

// Settle says of some receipts, old and wrong ones among them, what their consumers want.
func (s *Machine) Settle(t *rapid.T) {
	n := rapid.IntRange(1, 4).Draw(t, "n")
	list := make([]queues.Settlement, n)
	slips, known := make([]Slip, n), make([]bool, n)
	reaches := false
	for i := range list {
		slips[i], known[i] = s.handle(t)
		verb := rapid.SampledFrom([]queues.Verb{queues.Ack, queues.Extend, queues.Return, queues.Fail}).Draw(t, "verb")
		span := rapid.SampledFrom([]int64{0, 1, 1000, 59_000}).Draw(t, "for")
		if verb == queues.Extend {
			span = rapid.SampledFrom([]int64{1, 1000, 30_000, 3600_000, 12 * 3600_000}).Draw(t, "for")
		}
		list[i] = queues.Settlement{Verb: verb, ReceiptHandle: slips[i].Handle, For: time.Duration(span) * time.Millisecond}
		reaches = reaches || known[i]
	}
	d := s.driver(t)
	got, err := d.Settle(context.Background(), s.Tenant, s.Queue, list)
	if err != nil {
		t.Fatalf("settle: %v", err)
	}
	now := s.now()
	for i, one := range list {
		want, either := s.settle(one, slips[i], known[i], now)
		if mild, ok := d.(Mild); ok && mild.Mild() {
			either = either || errors.Is(want.Err, queues.ErrReceiptExpired)
			want = queues.Settled{Err: want.Err}
		}
		if either && (got[i].Err == nil || errors.Is(got[i].Err, queues.ErrReceiptExpired)) {
			continue
		}
		if !errors.Is(got[i].Err, want.Err) || got[i].Expired != want.Expired || !got[i].LeaseExpiresAt.Equal(want.LeaseExpiresAt) || !got[i].AvailableAt.Equal(want.AvailableAt) {
			t.Fatalf("settlement %d of %d (%c for %s, delivery %d of %s) at %d: got %+v, want %+v",
				i, n, one.Verb, one.For, slips[i].Delivery, slips[i].ID, now, got[i], want)
		}
	}
	if reaches {
		s.wrote()
	}
}

// settle says what becomes of one settlement. either: the message is over, and it depends on whether it has been
// tidied away if an old receipt is still known to be old.
func (s *Machine) settle(one queues.Settlement, by Slip, known bool, now int64) (want queues.Settled, either bool) {
	if !known {
		want.Err = queues.ErrReceiptInvalid
		return want, false
	}
	l, ok := s.m.all[by.ID]
	if one.Verb == queues.Extend && now+one.For.Milliseconds()-by.Received > queues.MaxVisibilityTimeout.Milliseconds() {
		// Held for too long in all. If the lease is over that is said first.
		if !ok || l.Deliveries != by.Delivery || l.NowOf(now, s.m.set).Place != Held {
			want.Err = queues.ErrReceiptExpired
		} else {
			want.Err = &errs.Error{Code: "validation_failed"}
		}
		return want, false
	}
	if !ok {
		if one.Verb != queues.Ack {
			want.Err = queues.ErrReceiptExpired
		}
		return want, false
	}
	seen := l.NowOf(now, s.m.set)
	if l.Deliveries != by.Delivery || one.Verb != queues.Ack && seen.Place != Held {
		want.Err = queues.ErrReceiptExpired
		return want, one.Verb == queues.Ack && s.m.over(seen, now)
	}
	if (one.Verb == queues.Return || one.Verb == queues.Fail) && l.Ends > 0 && l.Ends <= now {
		delete(s.m.all, by.ID)
		want.Expired = true
		return want, false
	}
	switch one.Verb {
	case queues.Ack:
		delete(s.m.all, by.ID)
	case queues.Extend:
		l.Until = now + one.For.Milliseconds()
		want.LeaseExpiresAt = Millis(l.Until)
	case queues.Return:
		l.Place, l.Since, l.Until = Back, l.From(now, s.m.set), 0
		if one.For > 0 {
			l.Place, l.Until = Delayed, now+one.For.Milliseconds()
		}
		want.AvailableAt = Millis(now).Add(one.For)
	case queues.Fail:
		l.Place, l.Until = Delayed, now+l.Wait(s.m.set)
		want.AvailableAt = Millis(l.Until)
	}
	return want, false
}

// Unreceive puts back what never reached its consumer: it has its place again and was not received, but a receipt of
// that delivery is an old one after the next.
func (s *Machine) Unreceive(t *rapid.T) {
	if len(s.slips) == 0 {
		t.Skip("nothing was received yet")
	}
	by := s.slips[rapid.IntRange(max(0, len(s.slips)-5), len(s.slips)-1).Draw(t, "handle")]
	d := s.driver(t)
	d.Unreceive(context.Background(), s.Tenant, s.Queue, []queues.Message{{ID: by.ID, ReceiptHandle: by.Handle}})
	now := s.now()
	if l, ok := s.m.all[by.ID]; ok && l.Deliveries == by.Delivery && l.NowOf(now, s.m.set).Place == Held {
		l.Place, l.Since, l.Until = Back, l.From(l.ID.Time().UnixMilli(), s.m.set), 0
		l.Receives--
		if l.Receives == 0 {
			l.First = 0
		}
		if l.Ends > 0 && l.Ends <= now {
			delete(s.m.all, by.ID)
		}
	}
	s.wrote()
}

// DeleteMessage deletes a message by its id.
func (s *Machine) DeleteMessage(t *rapid.T) {
	if len(s.ids) == 0 {
		t.Skip("nothing was sent yet")
	}
	id := s.ids[rapid.IntRange(max(0, len(s.ids)-12), len(s.ids)-1).Draw(t, "id")]
	d := s.driver(t)
	err := d.DeleteMessage(context.Background(), s.Tenant, s.Queue, id)
	var want error = queues.ErrMessageNotFound
	if _, ok := s.m.look(id, s.now()); ok {
		want = nil
	}
	if !errors.Is(err, want) {
		t.Fatalf("delete %s at %d: got %v, want %v", id, s.now(), err, want)
	}
	delete(s.m.all, id)
	s.wrote()
}

// DelayMessage sets when a delayed message is available.
func (s *Machine) DelayMessage(t *rapid.T) {
	if len(s.ids) == 0 {
		t.Skip("nothing was sent yet")
	}
	ids := s.ids
	if waiting := s.ofPlace(Delayed); len(waiting) > 0 && rapid.IntRange(0, 3).Draw(t, "any") > 0 {
		ids = waiting
	}
	id := ids[rapid.IntRange(max(0, len(ids)-12), len(ids)-1).Draw(t, "id")]
	now := s.now()
	l, ok := s.m.look(id, now)
	due, until := DrawDue(t, now, l.Last(s.m.set))
	state, want := JudgeDelay(l, ok, now, until, l.Last(s.m.set))
	d := s.driver(t)
	at, got, err := d.DelayMessage(context.Background(), s.Tenant, s.Queue, id, due)
	if !errors.Is(err, want) || err == nil && (got != state || at.UnixMilli() != until) {
		t.Fatalf("delay %s at %d by %+v: got %s, %s, %v; want %d, %s, %v", id, now, due, at, got, err, until, state, want)
	}
	if want == nil {
		s.m.all[id].Place, s.m.all[id].Until = Delayed, until
	}
	s.wrote()
}

// ofPlace returns the messages at a place, oldest first.
func (s *Machine) ofPlace(p Place) []engine.ID {
	var ids []engine.ID
	for _, id := range s.ids {
		if l, ok := s.m.look(id, s.now()); ok && l.Place == p {
			ids = append(ids, id)
		}
	}
	return ids
}

// DrawDue draws a time for a delayed message whose retention ends at ends, and returns also when that is.
func DrawDue(t *rapid.T, now, ends int64) (queues.Due, int64) {
	span := rapid.SampledFrom([]int64{0, 0, 1, 1000, 20_000, 4 * 86400_000}).Draw(t, "span")
	switch rapid.SampledFrom([]string{"span", "instant", "past", "end"}).Draw(t, "due") {
	case "span":
		return queues.Due{After: time.Duration(span) * time.Millisecond}, now + span
	case "past":
		return queues.Due{At: Millis(now - span)}, now
	case "end":
		ends += rapid.Int64Range(-1, 1).Draw(t, "off")
		return queues.Due{At: Millis(ends)}, max(now, ends)
	}
	return queues.Due{At: Millis(now + span)}, now + span
}

// JudgeDelay says what becomes of a message that is to be available from until on.
func JudgeDelay(l Letter, there bool, now, until, ends int64) (queues.State, error) {
	switch {
	case !there:
		return "", queues.ErrMessageNotFound
	case l.Place == Held:
		return "", queues.ErrMessageInFlight
	case l.Place != Delayed:
		return "", queues.ErrMessageNotDelayed
	case until >= ends:
		return "", &errs.Error{Code: "validation_failed"}
	case until > now:
		return queues.Delayed, nil
	}
	return queues.Available, nil
}

// Purge empties the queue, now and then.
func (s *Machine) Purge(t *rapid.T) {
	if rapid.IntRange(0, 3).Draw(t, "really") > 0 {
		t.Skip("not now")
	}
	now, most := s.now(), int64(len(s.m.all))
	s.m.drop(now)
	d := s.driver(t)
	n, err := d.Purge(context.Background(), s.Tenant, s.Queue)
	// What is over and was not tidied away yet may count.
	if err != nil || n < int64(len(s.m.all)) || n > most {
		t.Fatalf("purge: got %d and %v, want %d to %d", n, err, len(s.m.all), most)
	}
	s.m.all, s.m.line = map[engine.ID]*Letter{}, nil
	s.wrote()
}

// Update changes the settings.
func (s *Machine) Update(t *rapid.T) {
	s.Stats(t) // what has ended by the settings until now is gone, whatever they become
	set := s.m.set
	set.Retention = time.Duration(rapid.SampledFrom([]int{60, 61, 3600, 4 * 86400}).Draw(t, "retention")) * time.Second
	set.VisibilityTimeout = time.Duration(rapid.SampledFrom([]int{0, 1, 30, 12 * 3600}).Draw(t, "timeout")) * time.Second
	set.Delay = time.Duration(rapid.SampledFrom([]int{0, 0, 0, 5, 60}).Draw(t, "delay")) * time.Second
	set.MaxMessageSize = queues.MinMessageSize
	set.MaxMessages = int64(rapid.SampledFrom([]int{0, 0, 1, 5, 20}).Draw(t, "max messages"))
	full := []queues.WhenFull{queues.Reject, queues.DropOldest}
	if s.Inside != nil {
		set.MaxBytes = int64(rapid.SampledFrom([]int{0, 0, 2 * queues.MinMessageSize}).Draw(t, "max bytes"))
		full = append(full, queues.DeadLetterOldest)
	}
	set.WhenFull = rapid.SampledFrom(full).Draw(t, "when full")
	if set.Redrive = (queues.Redrive{}); set.WhenFull == queues.DeadLetterOldest {
		set.Redrive = queues.Redrive{DeadLetterQueue: s.Queue + "-dlq", MaxReceives: queues.MaxMaxReceives}
	}
	set.Retry = *DrawRetry(t)
	set.PriorityStep = time.Duration(rapid.SampledFrom([]int{1, 60, 86400}).Draw(t, "step")) * time.Second
	set.TraceRetention = time.Duration(rapid.SampledFrom([]int{0, 60, 14 * 86400}).Draw(t, "trace retention")) * time.Second
	d := s.driver(t)
	q, err := d.Update(context.Background(), s.Tenant, s.Queue, queues.Condition{}, func(queues.Settings) (queues.Settings, error) { return set, nil })
	if err != nil {
		t.Fatalf("update: %v", err)
	}
	if diff := gocmp.Diff(set, q.Settings); diff != "" {
		t.Fatalf("settings after the update (-want +got):\n%s", diff)
	}
	s.m.set = set
}

// Pause pauses or resumes; mostly it resumes, so that the histories are not of nothing.
func (s *Machine) Pause(t *rapid.T) {
	dir := rapid.SampledFrom([]queues.Direction{queues.DirectionReceive, queues.DirectionSend, queues.DirectionBoth}).Draw(t, "direction")
	now := Millis(s.fake())
	d, p := s.driver(t), &s.m.paused
	var q queues.Queue
	var err error
	if rapid.IntRange(0, 3).Draw(t, "pause") == 0 {
		if dir != queues.DirectionSend && p.Receive == nil {
			p.Receive = &queues.Pause{Since: now}
		}
		if dir != queues.DirectionReceive && p.Send == nil {
			p.Send = &queues.Pause{Since: now}
		}
		q, err = d.Pause(context.Background(), s.Tenant, s.Queue, dir, "", queues.Condition{})
	} else {
		if dir != queues.DirectionSend {
			p.Receive = nil
		}
		if dir != queues.DirectionReceive {
			p.Send = nil
		}
		q, err = d.Resume(context.Background(), s.Tenant, s.Queue, dir, queues.Condition{})
	}
	if diff := gocmp.Diff(s.m.paused, q.Paused); err != nil || diff != "" {
		t.Fatalf("pause %s: %v (-want +got):\n%s", dir, err, diff)
	}
}

// shown returns a message as a peek must show it.
func (s *Machine) shown(l Letter) queues.Message {
	m := queues.Message{ID: l.ID, Body: l.Body, SentAt: Millis(l.Sent), ReceiveCount: l.Receives, FailureCount: l.Receives, State: queues.Available, Retry: l.Retry, Priority: l.Priority, ExpiresAt: l.Expires()}
	if l.First > 0 {
		m.FirstReceivedAt = Millis(l.First)
	}
	switch l.Place {
	case Held:
		m.State, m.LeaseExpiresAt, m.HeldSince, m.HeldBy = queues.InFlight, Millis(l.Until), Millis(l.Received), l.By
		m.FailureCount-- // the delivery under way has not failed
	case Delayed:
		m.State, m.AvailableAt = queues.Delayed, Millis(l.Until)
	}
	return m
}

// Peek looks at all messages, or at those in one state, page by page.
func (s *Machine) Peek(t *rapid.T) {
	opt := queues.PeekOptions{
		State: rapid.SampledFrom([]queues.State{"", queues.Available, queues.InFlight, queues.Delayed}).Draw(t, "state"),
		Limit: rapid.SampledFrom([]int{1, 2, 7, 100}).Draw(t, "limit"),
	}
	now := s.now()
	want := []queues.Message{}
	for id := range s.m.all {
		if l, ok := s.m.look(id, now); ok {
			if m := s.shown(l); opt.State == "" || m.State == opt.State {
				want = append(want, m)
			}
		}
	}
	got := []queues.Message{}
	for pages := 0; ; pages++ {
		d := s.driver(t)
		page, err := d.Peek(context.Background(), s.Tenant, s.Queue, opt)
		if err != nil {
			t.Fatalf("peek: %v", err)
		}
		if len(page.Messages) > opt.Limit || pages > Size+len(s.ids) {
			t.Fatalf("peek: page %d has %d messages, limit %d", pages, len(page.Messages), opt.Limit)
		}
		got = append(got, page.Messages...)
		if opt.Cursor = page.Next; opt.Cursor == "" {
			break
		}
	}
	byID := func(a, b queues.Message) int { return bytes.Compare(a.ID[:], b.ID[:]) }
	slices.SortFunc(want, byID)
	slices.SortFunc(got, byID)
	if diff := gocmp.Diff(want, got, untyped); diff != "" {
		t.Fatalf("peek of %q in pages of %d at %d (-want +got):\n%s", opt.State, opt.Limit, now, diff)
	}
}

// Search has the model's queue searched at random moments of its history.
func (s *Machine) Search(t *rapid.T) {
	filter := rapid.SampledFrom([]string{"receives>=1", "state:available failures:0", "age<40s", "-state:delayed body:m1*", "first_received_at:*"}).Draw(t, "filter")
	f, err := queues.ParseFilter(filter)
	if err != nil {
		t.Fatal(err)
	}
	now, want, got := s.now(), []string{}, []string{}
	for id := range s.m.all {
		if l, ok := s.m.look(id, now); ok {
			if m := s.shown(l); f.Match(&m, Millis(now)) {
				want = append(want, id.String())
			}
		}
	}
	opt := queues.SearchOptions{PeekOptions: queues.PeekOptions{Limit: rapid.SampledFrom([]int{1, 3, 100}).Draw(t, "limit")}, Match: f.Match}
	for {
		d := s.driver(t)
		found, err := d.Search(context.Background(), s.Tenant, s.Queue, opt)
		if err != nil {
			t.Fatalf("search: %v", err)
		}
		for _, m := range found.Messages {
			got = append(got, m.ID.String())
		}
		if opt.Cursor = found.Next; opt.Cursor == "" {
			break
		}
	}
	slices.Sort(want)
	slices.Sort(got)
	if diff := gocmp.Diff(want, got); diff != "" {
		t.Fatalf("search for %s in parts of %d at %d (-want +got):\n%s", filter, opt.Limit, now, diff)
	}
}

// Message looks at one message.
func (s *Machine) Message(t *rapid.T) {
	if len(s.ids) == 0 {
		t.Skip("nothing was sent yet")
	}
	id := rapid.SampledFrom(s.ids).Draw(t, "id")
	d := s.driver(t)
	got, err := d.Message(context.Background(), s.Tenant, s.Queue, id)
	l, ok := s.m.look(id, s.now())
	if !ok {
		if !errors.Is(err, queues.ErrMessageNotFound) {
			t.Fatalf("message %s at %d: got %v, want %v", id, s.now(), err, queues.ErrMessageNotFound)
		}
		return
	}
	if err != nil {
		t.Fatalf("message %s at %d: %v", id, s.now(), err)
	}
	if diff := gocmp.Diff(s.shown(l), got, untyped); diff != "" {
		t.Fatalf("message %s at %d (-want +got):\n%s", id, s.now(), diff)
	}
}

// Stats compares the counts.
func (s *Machine) Stats(t *rapid.T) {
	now := s.now()
	d := s.driver(t)
	got, err := d.Stats(context.Background(), s.Tenant, s.Queue)
	if err != nil {
		t.Fatalf("stats: %v", err)
	}
	n, size := s.m.counts(now), int64(0)
	for id, l := range s.m.all {
		if _, ok := s.m.look(id, now); ok {
			size += l.Size
		}
	}
	if s.Inside == nil {
		size = got.Bytes
	}
	want := queues.Stats{
		Bytes: size, Dropped: s.m.dropped, DeadLettered: s.m.dead, Moving: got.Moving,
		Available: n[0], InFlight: n[1], Delayed: n[2], OldestAge: s.oldest(now),
		Sent: s.m.Sent, Received: s.m.Received, Deleted: got.Deleted, Expired: got.Expired, Now: Millis(now),
	}
	if diff := gocmp.Diff(want, got); diff != "" {
		t.Fatalf("stats (-want +got):\n%s", diff)
	}
	// An ack of a message that is over deletes it if it has not been tidied away.
	if gone := got.Sent - got.Dropped - got.DeadLettered - n[0] - n[1] - n[2]; got.Deleted+got.Expired != gone {
		t.Fatalf("stats: %d deleted and %d expired, want %d together", got.Deleted, got.Expired, gone)
	}
	s.m.drop(now)
}

// oldest returns the age of the oldest message that a receive could return. Of those that came back it is the one that
// was made first, which was also sent first unless a clock went back.
func (s *Machine) oldest(now int64) time.Duration {
	news, returned := s.m.lines(now)
	slices.SortFunc(returned, func(a, b Letter) int { return bytes.Compare(a.ID[:], b.ID[:]) })
	var heads []int64
	if len(news) > 0 {
		heads = append(heads, news[0].Sent)
	}
	if len(returned) > 0 {
		heads = append(heads, returned[0].Sent)
	}
	if len(heads) == 0 {
		return 0
	}
	return time.Duration(now-slices.Min(heads)) * time.Millisecond
}

// Advance moves the clock.
func (s *Machine) Advance(t *rapid.T) {
	s.Clock.Advance(time.Duration(rapid.Int64Range(0, 40_000).Draw(t, "ms")) * time.Millisecond)
}

// AdvanceToEdge goes to an instant at which something ends, one before it or one after it.
func (s *Machine) AdvanceToEdge(t *rapid.T) {
	var edges []int64
	for _, l := range s.m.all {
		edges = append(edges, l.Sent+s.m.set.Retention.Milliseconds())
		if l.Ends > 0 {
			edges = append(edges, l.Ends)
		}
		if l.Place == Held || l.Place == Delayed {
			edges = append(edges, l.Until, l.Until) // twice as likely
		}
		if l.Place == Held {
			edges = append(edges, l.Until+l.Wait(s.m.set))
		}
	}
	for _, k := range s.m.keys {
		edges = append(edges, k.at+(5*time.Minute).Milliseconds())
	}
	slices.Sort(edges)
	edges = slices.DeleteFunc(edges, func(at int64) bool { return at < s.fake() })
	if len(edges) == 0 {
		t.Skip("nothing ends")
	}
	// Mostly one of the next few: a step far ahead ends everything.
	n := min(len(edges)-1, rapid.SampledFrom([]int{0, 0, 1, 2, 5, 100}).Draw(t, "which"))
	to := edges[n] + rapid.Int64Range(-1, 1).Draw(t, "off")
	s.Clock.Set(Millis(max(to, s.fake())))
}

// ClockBack steps both clocks back. Ids that were made and not stored must not come to lie further ahead than the
// clocks may differ.
func (s *Machine) ClockBack(t *rapid.T) {
	to := s.fake() - rapid.Int64Range(0, 90_000).Draw(t, "ms")
	s.Clock.Set(Millis(max(to, s.made-29_000)))
	s.stepped = true
}

// ScriptFlush has Redis forget the scripts.
func (s *Machine) ScriptFlush(t *rapid.T) {
	if err := s.Engine.Single().ScriptFlush(context.Background()).Err(); err != nil {
		t.Fatalf("script flush: %v", err)
	}
}

// ForgetDesk has a server forget what it knows of the queue, as it does after ten idle minutes.
func (s *Machine) ForgetDesk(t *rapid.T) {
	if s.Inside == nil {
		t.Skip("only they can")
	}
	s.Inside.Forget(rapid.IntRange(0, len(s.Drivers)-1).Draw(t, "driver"))
}

// Check counts the queue again after each step.
func (s *Machine) Check(t *rapid.T) {
	r, err := s.Drivers[0].Check(context.Background(), s.Tenant, s.Queue)
	if err != nil {
		t.Fatalf("check: %v", err)
	}
	behind := s.m.clock-s.fake() > 30_000
	if r.Used || len(r.Violations) > 0 && !behind || len(r.Violations) > 1 {
		t.Fatalf("check: used %v, %q", r.Used, r.Violations)
	}
	// A call that may or may not have found something to tidy up may or may not have moved the queue clock.
	if at := r.Changed.UnixMilli(); !r.Changed.IsZero() && at != s.m.clock {
		if at != s.now() {
			t.Fatalf("check: the queue clock is at %d; it was at %d and should be there or at %d", at, s.m.clock, s.now())
		}
		s.m.clock = at
	}
}
