package queues_test

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/sluicemq/sluice/internal/engine"
	"github.com/sluicemq/sluice/internal/errs"
	"github.com/sluicemq/sluice/internal/redistest"
	"github.com/sluicemq/sluice/queues"
)

const (
	// modelChecks is how many random histories TestModel plays on real Redis, and memoryChecks on the in-memory engine,
	// whose Lua is slow. Each has about modelSteps steps.
	modelChecks  = 300
	memoryChecks = 40
	modelSteps   = 50
	// modelSize bounds the messages of the model, so that no call stops at its bound of a hundred.
	modelSize = 80
)

// place is where the model has a message.
type place int

const (
	fresh   place = iota // new: in the line of new messages
	back                 // was returned, timed out or delayed: in the line of those, by since
	held                 // lent out until until
	delayed              // not before until
)

// letter is a message as the model has it.
type letter struct {
	id         engine.ID
	body       string
	sent       int64
	place      place
	since      int64 // in the line of those that came back
	until      int64
	deliveries uint32
	receives   int
	first      int64 // 0: never received
	retry      *queues.Retry
	priority   int
	ends       int64 // 0: never by itself
	size       int64 // bytes of its record
	received   int64 // of one that is held: since when
	by         string
}

// consumer draws a name under which to receive, mostly none.
func consumer(t *rapid.T) string {
	return rapid.SampledFrom([]string{"", "", "", "worker-1", "a, ,e \"x\""}).Draw(t, "consumer")
}

// slip is a receipt handle that the model has seen.
type slip struct {
	handle   string
	id       engine.ID
	delivery uint32
	received int64
}

type keyed struct {
	at    int64
	id    engine.ID
	print string
}

// model is what a queue does, told as plainly as possible. All times are milliseconds of the queue clock. It moves
// nothing by itself: what has ended by now is worked out each time.
type model struct {
	set            queues.Settings
	clock          int64 // of the last change
	all            map[engine.ID]*letter
	line           []engine.ID // new messages, in the order of their sends; those that are not new any more are skipped
	keys           map[string]keyed
	sent, received int64
	dropped, dead  int64
	paused         queues.Paused
}

// wait returns how long a message waits that has just failed. Each of its receives has.
func (l letter) wait(set queues.Settings) int64 {
	policy := set.Retry
	if l.retry != nil {
		policy = *l.retry
	}
	return waitOf(policy, l.id, l.receives).Milliseconds()
}

// from returns the place in the line of those that came back of a message that is available since then.
func (l letter) from(since int64, set queues.Settings) int64 {
	return since - int64(l.priority)*set.PriorityStep.Milliseconds()
}

// last returns when a message ends at the latest.
func (l letter) last(set queues.Settings) int64 {
	last := l.sent + set.Retention.Milliseconds()
	if l.ends > 0 {
		last = min(last, l.ends)
	}
	return last
}

func (l letter) expires() time.Time {
	if l.ends == 0 {
		return time.Time{}
	}
	return ms(l.ends)
}

// nowOf returns what and where a message is at now: what has ended is available since then, or since its back-off ended.
func (l letter) nowOf(now int64, set queues.Settings) letter {
	if l.place == held && l.until <= now {
		l.place, l.until = delayed, l.until+l.wait(set)
	}
	if l.place == delayed && l.until <= now {
		l.place, l.since, l.until = back, l.from(l.until, set), 0
	}
	return l
}

// over reports whether a message has ended: by its own end, unless it is held, or by retention, which never ends one that
// is held or delayed.
func (m *model) over(l letter, now int64) bool {
	return l.place != held && l.ends > 0 && l.ends <= now ||
		(l.place == fresh || l.place == back) && l.sent+m.set.Retention.Milliseconds() <= now
}

// look returns a message as a peek shows it, and whether it is there.
func (m *model) look(id engine.ID, now int64) (letter, bool) {
	l, ok := m.all[id]
	if !ok {
		return letter{}, false
	}
	seen := l.nowOf(now, m.set)
	return seen, !m.over(seen, now)
}

// lines returns what a receive could return: the new messages and those that came back, each in order.
func (m *model) lines(now int64) (news, returned []letter) {
	for _, id := range m.line {
		if l, ok := m.look(id, now); ok && l.place == fresh {
			news = append(news, l)
		}
	}
	for id := range m.all {
		if l, ok := m.look(id, now); ok && l.place == back {
			returned = append(returned, l)
		}
	}
	slices.SortFunc(returned, func(a, b letter) int {
		return cmp.Or(cmp.Compare(a.since, b.since), bytes.Compare(a.id[:], b.id[:]))
	})
	return news, returned
}

// next returns the messages in the order in which receives return them: the two lines merge, and of two messages the
// one that has been available for longer comes first.
func (m *model) next(now int64) []letter {
	news, returned := m.lines(now)
	var out []letter
	for len(news) > 0 || len(returned) > 0 {
		if len(news) == 0 || len(returned) > 0 && returned[0].since <= news[0].id.Time().UnixMilli() {
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
		if *l = l.nowOf(now, m.set); m.over(*l, now) {
			delete(m.all, id)
		}
	}
}

func (m *model) counts(now int64) (n [3]int64) {
	for id := range m.all {
		if l, ok := m.look(id, now); ok {
			n[[]int{0, 0, 1, 2}[l.place]]++
		}
	}
	return n
}

// machine plays the same history on a queue and on the model.
type machine struct {
	servers []*bench // on one Redis
	queue   string
	foreign string // a receipt handle of another queue
	m       model
	ids     []engine.ID // all that were ever sent
	slips   []slip
	n       int
	stepped bool  // the clock went back: ids and times of sends do not go together any more
	made    int64 // the latest id that was made and not stored
}

func (s *machine) server(t *rapid.T) *bench {
	return s.servers[rapid.IntRange(0, len(s.servers)-1).Draw(t, "server")]
}

// fake returns the clock of the test, and now the queue clock.
func (s *machine) fake() int64 { return s.servers[0].clock.Now().UnixMilli() }
func (s *machine) now() int64  { return max(s.fake(), s.m.clock) }

func ms(n int64) time.Time { return time.UnixMilli(n).UTC() }

// wrote notes that a call has changed the queue, and with it the queue clock.
func (s *machine) wrote() { s.m.clock = s.now() }

// outgoing draws a message. Its parts are few, so that keys meet again with the same and with another body.
func (s *machine) outgoing(t *rapid.T) queues.Outgoing {
	s.n++
	m := queues.Outgoing{Body: fmt.Appendf(nil, "m%d", s.n)}
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
		m.Retry = drawRetry(t)
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
func (s *machine) room(t *rapid.T, n int) {
	if len(s.m.all)+n > modelSize {
		t.Skip("full")
	}
}

func (s *machine) Send(t *rapid.T) {
	s.room(t, 1)
	s.send(t, []queues.Outgoing{s.outgoing(t)}, false)
}

func (s *machine) SendBatch(t *rapid.T) {
	n := rapid.IntRange(2, 6).Draw(t, "n")
	s.room(t, n)
	batch := make([]queues.Outgoing, n)
	for i := range batch {
		batch[i] = s.outgoing(t)
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

// sizeOf is how many bytes the record of a message has.
func sizeOf(m queues.Outgoing) int64 { return int64(len(queues.Stamp(0)) + len(queues.Pack(&m))) }

// fits plays what becomes of new messages of these sizes that come to the queue together, and returns which of them it
// has no room for. It drops what they push out.
func (s *machine) fits(sizes []int64, now int64) (full []bool) {
	count, size := int64(0), int64(0)
	for id, l := range s.m.all {
		if _, ok := s.m.look(id, now); ok {
			count, size = count+1, size+l.size
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
			slices.SortFunc(returned, func(a, b letter) int { return bytes.Compare(a.id[:], b.id[:]) })
			var oldest letter
			switch {
			case len(returned) > 0 && (len(news) == 0 || !news[0].id.Time().Before(returned[0].id.Time())):
				oldest = returned[0]
			case len(news) > 0:
				oldest = news[0]
			}
			if oldest.id == (engine.ID{}) {
				break
			}
			count, size = count-1, size-oldest.size
			delete(s.m.all, oldest.id)
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
func (s *machine) arrive(t *rapid.T) {
	for deadline := time.Now().Add(time.Minute); s.servers[0].Carrying(s.servers[0].tenant, s.queue) || s.servers[1].Carrying(s.servers[1].tenant, s.queue); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("messages on their way to the dead-letter queue have not come there in ten seconds")
		}
	}
}

func (s *machine) send(t *rapid.T, batch []queues.Outgoing, atomic bool) {
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
			v.replay, v.first = true, first.id
		}
	}
	if failed == nil && conflict {
		failed = queues.ErrKeyReused
	}
	// What reaches the queue and is new needs room. A message that was to be the first with its key takes the others with it.
	if reached && !(atomic && failed != nil) {
		var fresh []int
		var sizes []int64
		for i, m := range batch {
			if v := verdicts[i]; v.err == nil && !v.replay {
				fresh, sizes = append(fresh, i), append(sizes, sizeOf(m))
			}
		}
		lost := map[string]bool{}
		for k, full := range s.fits(sizes, now) {
			if i := fresh[k]; full {
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
	b := s.server(t)
	got, err := b.SendBatch(context.Background(), b.tenant, s.queue, batch, atomic)
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
		if r.Err != nil || r.Replayed != v.replay || !r.Now.Equal(ms(now)) {
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
		if !r.AvailableAt.Equal(ms(now).Add(delay)) {
			t.Fatalf("send %d of %d: available at %s, want %s", i, len(batch), r.AvailableAt, ms(now).Add(delay))
		}
		l := &letter{id: r.ID, body: string(m.Body), sent: now, retry: m.Retry, priority: m.Priority, size: sizeOf(m)}
		if m.TTL > 0 {
			l.ends = now + m.TTL.Milliseconds()
		}
		switch {
		case delay > 0:
			l.place, l.until = delayed, now+delay.Milliseconds()
		case m.Retry != nil || m.Priority > 0:
			l.place, l.since = back, l.from(now, s.m.set)
		default:
			s.m.line = append(s.m.line, r.ID)
		}
		if _, twice := s.m.all[r.ID]; twice {
			t.Fatalf("id %s was given twice", r.ID)
		}
		s.m.all[r.ID] = l
		s.m.sent++
		s.ids = append(s.ids, r.ID)
		if m.IdempotencyKey != "" {
			k := keys[m.IdempotencyKey]
			k.id = r.ID
			s.m.keys[m.IdempotencyKey] = k
			firsts[m.IdempotencyKey] = r.ID
		}
	}
}

func (s *machine) Receive(t *rapid.T) {
	opt := queues.ReceiveOptions{Max: rapid.SampledFrom([]int{1, 1, 2, 3, 10, 100}).Draw(t, "max")}
	lasts := s.m.set.VisibilityTimeout
	if opt.AutoAck = rapid.IntRange(0, 7).Draw(t, "auto") == 0; !opt.AutoAck && rapid.Bool().Draw(t, "own timeout") {
		lasts = time.Duration(rapid.SampledFrom([]int64{0, 1, 50, 1000, 30_000, 12 * 3600_000}).Draw(t, "timeout")) * time.Millisecond
		opt.VisibilityTimeout = &lasts
	}
	if !opt.AutoAck {
		opt.Consumer = consumer(t)
	}
	now := s.now()
	want := s.m.next(now)
	want = want[:min(len(want), opt.Max)]
	if s.m.paused.Receive != nil {
		want = nil
	}
	b := s.server(t)
	got, err := b.Receive(context.Background(), b.tenant, s.queue, opt)
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
		l := s.m.all[want[i].id]
		l.deliveries++
		l.receives++
		if l.first == 0 {
			l.first = now
		}
		l.place, l.until, l.received, l.by = held, now+lasts.Milliseconds(), now, opt.Consumer
		exp := queues.Message{
			ID: l.id, Body: l.body, State: queues.InFlight, SentAt: ms(l.sent), ReceiveCount: l.receives, FailureCount: l.receives - 1, Retry: l.retry, Priority: l.priority, ExpiresAt: l.expires(),
			FirstReceivedAt: ms(l.first), LeaseExpiresAt: ms(l.until), ReceiptHandle: got[i].ReceiptHandle,
		}
		if opt.AutoAck {
			exp.State, exp.LeaseExpiresAt, exp.ReceiptHandle = "", time.Time{}, ""
			delete(s.m.all, l.id)
		}
		if diff := gocmp.Diff(exp, got[i]); diff != "" {
			t.Fatalf("received message %d of %d at %d (-want +got):\n%s", i, len(want), now, diff)
		}
		if !opt.AutoAck {
			s.slips = append(s.slips, slip{got[i].ReceiptHandle, l.id, l.deliveries, now})
		}
	}
	s.m.received += int64(len(want))
	if len(want) > 0 {
		s.wrote()
	}
}

// anyMerge accepts what was received in any mixture of the two lines, as long as each keeps its own order.
func (s *machine) anyMerge(t *rapid.T, got []queues.Message, now int64) []letter {
	news, returned := s.m.lines(now)
	var want []letter
	for _, m := range got {
		switch {
		case len(news) > 0 && news[0].id == m.ID:
			want, news = append(want, news[0]), news[1:]
		case len(returned) > 0 && returned[0].id == m.ID:
			want, returned = append(want, returned[0]), returned[1:]
		default:
			t.Fatalf("received %s, which is the next of neither line: %v, %v", m.ID, news, returned)
		}
	}
	return want
}

// handle draws a receipt handle: mostly one that was given, current or not.
func (s *machine) handle(t *rapid.T) (slip, bool) {
	switch n := rapid.IntRange(0, 11).Draw(t, "kind of handle"); {
	case n == 0:
		return slip{handle: s.foreign}, false
	case n == 1:
		return slip{handle: rapid.SampledFrom([]string{"", "rh_", "garbage", "rh_" + strings.Repeat("A", 51)}).Draw(t, "garbage")}, false
	case len(s.slips) == 0:
		t.Skip("nothing was received yet")
	}
	recent := max(0, len(s.slips)-10)
	return s.slips[rapid.IntRange(recent, len(s.slips)-1).Draw(t, "handle")], true
}

func (s *machine) Settle(t *rapid.T) {
	n := rapid.IntRange(1, 4).Draw(t, "n")
	list := make([]queues.Settlement, n)
	slips, known := make([]slip, n), make([]bool, n)
	reaches := false
	for i := range list {
		slips[i], known[i] = s.handle(t)
		verb := rapid.SampledFrom([]queues.Verb{queues.Ack, queues.Extend, queues.Return, queues.Fail}).Draw(t, "verb")
		span := rapid.SampledFrom([]int64{0, 1, 1000, 59_000}).Draw(t, "for")
		if verb == queues.Extend {
			span = rapid.SampledFrom([]int64{1, 1000, 30_000, 3600_000, 12 * 3600_000}).Draw(t, "for")
		}
		list[i] = queues.Settlement{Verb: verb, ReceiptHandle: slips[i].handle, For: time.Duration(span) * time.Millisecond}
		reaches = reaches || known[i]
	}
	b := s.server(t)
	got, err := b.Settle(context.Background(), b.tenant, s.queue, list)
	if err != nil {
		t.Fatalf("settle: %v", err)
	}
	now := s.now()
	for i, one := range list {
		want, either := s.settle(one, slips[i], known[i], now)
		if either && (got[i].Err == nil || errors.Is(got[i].Err, queues.ErrReceiptExpired)) {
			continue
		}
		if !errors.Is(got[i].Err, want.Err) || got[i].Expired != want.Expired || !got[i].LeaseExpiresAt.Equal(want.LeaseExpiresAt) || !got[i].AvailableAt.Equal(want.AvailableAt) {
			t.Fatalf("settlement %d of %d (%c for %s, delivery %d of %s) at %d: got %+v, want %+v",
				i, n, one.Verb, one.For, slips[i].delivery, slips[i].id, now, got[i], want)
		}
	}
	if reaches {
		s.wrote()
	}
}

// settle says what becomes of one settlement. either: the message is over, and it depends on whether it has been
// tidied away if an old receipt is still known to be old.
func (s *machine) settle(one queues.Settlement, by slip, known bool, now int64) (want queues.Settled, either bool) {
	if !known {
		want.Err = queues.ErrReceiptInvalid
		return want, false
	}
	l, ok := s.m.all[by.id]
	if one.Verb == queues.Extend && now+one.For.Milliseconds()-by.received > queues.MaxVisibilityTimeout.Milliseconds() {
		// Held for too long in all. If the lease is over that is said first.
		if !ok || l.deliveries != by.delivery || l.nowOf(now, s.m.set).place != held {
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
	seen := l.nowOf(now, s.m.set)
	if l.deliveries != by.delivery || one.Verb != queues.Ack && seen.place != held {
		want.Err = queues.ErrReceiptExpired
		return want, one.Verb == queues.Ack && s.m.over(seen, now)
	}
	if (one.Verb == queues.Return || one.Verb == queues.Fail) && l.ends > 0 && l.ends <= now {
		delete(s.m.all, by.id)
		want.Expired = true
		return want, false
	}
	switch one.Verb {
	case queues.Ack:
		delete(s.m.all, by.id)
	case queues.Extend:
		l.until = now + one.For.Milliseconds()
		want.LeaseExpiresAt = ms(l.until)
	case queues.Return:
		l.place, l.since, l.until = back, l.from(now, s.m.set), 0
		if one.For > 0 {
			l.place, l.until = delayed, now+one.For.Milliseconds()
		}
		want.AvailableAt = ms(now).Add(one.For)
	case queues.Fail:
		l.place, l.until = delayed, now+l.wait(s.m.set)
		want.AvailableAt = ms(l.until)
	}
	return want, false
}

// Unreceive puts back what never reached its consumer: it has its place again and was not received, but a receipt of
// that delivery is an old one after the next.
func (s *machine) Unreceive(t *rapid.T) {
	if len(s.slips) == 0 {
		t.Skip("nothing was received yet")
	}
	by := s.slips[rapid.IntRange(max(0, len(s.slips)-5), len(s.slips)-1).Draw(t, "handle")]
	b := s.server(t)
	b.Unreceive(context.Background(), b.tenant, s.queue, []queues.Message{{ID: by.id, ReceiptHandle: by.handle}})
	now := s.now()
	if l, ok := s.m.all[by.id]; ok && l.deliveries == by.delivery && l.nowOf(now, s.m.set).place == held {
		l.place, l.since, l.until = back, l.from(l.id.Time().UnixMilli(), s.m.set), 0
		l.receives--
		if l.receives == 0 {
			l.first = 0
		}
		if l.ends > 0 && l.ends <= now {
			delete(s.m.all, by.id)
		}
	}
	s.wrote()
}

func (s *machine) DeleteMessage(t *rapid.T) {
	if len(s.ids) == 0 {
		t.Skip("nothing was sent yet")
	}
	id := s.ids[rapid.IntRange(max(0, len(s.ids)-12), len(s.ids)-1).Draw(t, "id")]
	b := s.server(t)
	err := b.DeleteMessage(context.Background(), b.tenant, s.queue, id)
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

func (s *machine) DelayMessage(t *rapid.T) {
	if len(s.ids) == 0 {
		t.Skip("nothing was sent yet")
	}
	ids := s.ids
	if waiting := s.ofPlace(delayed); len(waiting) > 0 && rapid.IntRange(0, 3).Draw(t, "any") > 0 {
		ids = waiting
	}
	id := ids[rapid.IntRange(max(0, len(ids)-12), len(ids)-1).Draw(t, "id")]
	now := s.now()
	l, ok := s.m.look(id, now)
	due, until := drawDue(t, now, l.last(s.m.set))
	state, want := judgeDelay(l, ok, now, until, l.last(s.m.set))
	b := s.server(t)
	at, got, err := b.DelayMessage(context.Background(), b.tenant, s.queue, id, due)
	if !errors.Is(err, want) || err == nil && (got != state || at.UnixMilli() != until) {
		t.Fatalf("delay %s at %d by %+v: got %s, %s, %v; want %d, %s, %v", id, now, due, at, got, err, until, state, want)
	}
	if want == nil {
		s.m.all[id].place, s.m.all[id].until = delayed, until
	}
	s.wrote()
}

// ofPlace returns the messages at a place, oldest first.
func (s *machine) ofPlace(p place) []engine.ID {
	var ids []engine.ID
	for _, id := range s.ids {
		if l, ok := s.m.look(id, s.now()); ok && l.place == p {
			ids = append(ids, id)
		}
	}
	return ids
}

// drawDue draws a time for a delayed message whose retention ends at ends, and returns also when that is.
func drawDue(t *rapid.T, now, ends int64) (queues.Due, int64) {
	span := rapid.SampledFrom([]int64{0, 0, 1, 1000, 20_000, 4 * 86400_000}).Draw(t, "span")
	switch rapid.SampledFrom([]string{"span", "instant", "past", "end"}).Draw(t, "due") {
	case "span":
		return queues.Due{After: time.Duration(span) * time.Millisecond}, now + span
	case "past":
		return queues.Due{At: ms(now - span)}, now
	case "end":
		ends += rapid.Int64Range(-1, 1).Draw(t, "off")
		return queues.Due{At: ms(ends)}, max(now, ends)
	}
	return queues.Due{At: ms(now + span)}, now + span
}

// judgeDelay says what becomes of a message that is to be available from until on.
func judgeDelay(l letter, there bool, now, until, ends int64) (queues.State, error) {
	switch {
	case !there:
		return "", queues.ErrMessageNotFound
	case l.place == held:
		return "", queues.ErrMessageInFlight
	case l.place != delayed:
		return "", queues.ErrMessageNotDelayed
	case until >= ends:
		return "", &errs.Error{Code: "validation_failed"}
	case until > now:
		return queues.Delayed, nil
	}
	return queues.Available, nil
}

func (s *machine) Purge(t *rapid.T) {
	if rapid.IntRange(0, 3).Draw(t, "really") > 0 {
		t.Skip("not now")
	}
	now, most := s.now(), int64(len(s.m.all))
	s.m.drop(now)
	b := s.server(t)
	n, err := b.Purge(context.Background(), b.tenant, s.queue)
	// What is over and was not tidied away yet may count.
	if err != nil || n < int64(len(s.m.all)) || n > most {
		t.Fatalf("purge: got %d and %v, want %d to %d", n, err, len(s.m.all), most)
	}
	s.m.all, s.m.line = map[engine.ID]*letter{}, nil
	s.wrote()
}

func (s *machine) Update(t *rapid.T) {
	s.Stats(t) // what has ended by the settings until now is gone, whatever they become
	set := s.m.set
	set.Retention = time.Duration(rapid.SampledFrom([]int{60, 61, 3600, 4 * 86400}).Draw(t, "retention")) * time.Second
	set.VisibilityTimeout = time.Duration(rapid.SampledFrom([]int{0, 1, 30, 12 * 3600}).Draw(t, "timeout")) * time.Second
	set.Delay = time.Duration(rapid.SampledFrom([]int{0, 0, 0, 5, 60}).Draw(t, "delay")) * time.Second
	set.MaxMessageSize = queues.MinMessageSize
	set.MaxMessages = int64(rapid.SampledFrom([]int{0, 0, 1, 5, 20}).Draw(t, "max messages"))
	set.MaxBytes = int64(rapid.SampledFrom([]int{0, 0, 2 * queues.MinMessageSize}).Draw(t, "max bytes"))
	set.WhenFull = rapid.SampledFrom([]queues.WhenFull{queues.Reject, queues.DropOldest, queues.DeadLetterOldest}).Draw(t, "when full")
	if set.Redrive = (queues.Redrive{}); set.WhenFull == queues.DeadLetterOldest {
		set.Redrive = queues.Redrive{DeadLetterQueue: s.queue + "-dlq", MaxReceives: queues.MaxMaxReceives}
	}
	set.Retry = *drawRetry(t)
	set.PriorityStep = time.Duration(rapid.SampledFrom([]int{1, 60, 86400}).Draw(t, "step")) * time.Second
	set.TraceRetention = time.Duration(rapid.SampledFrom([]int{0, 60, 14 * 86400}).Draw(t, "trace retention")) * time.Second
	b := s.server(t)
	q, err := b.Update(context.Background(), b.tenant, s.queue, queues.Condition{}, func(queues.Settings) (queues.Settings, error) { return set, nil })
	if err != nil {
		t.Fatalf("update: %v", err)
	}
	if diff := gocmp.Diff(set, q.Settings); diff != "" {
		t.Fatalf("settings after the update (-want +got):\n%s", diff)
	}
	s.m.set = set
}

// Pause pauses or resumes; mostly it resumes, so that the histories are not of nothing.
func (s *machine) Pause(t *rapid.T) {
	dir := rapid.SampledFrom([]queues.Direction{queues.DirectionReceive, queues.DirectionSend, queues.DirectionBoth}).Draw(t, "direction")
	now := ms(s.fake())
	b, p := s.server(t), &s.m.paused
	var q queues.Queue
	var err error
	if rapid.IntRange(0, 3).Draw(t, "pause") == 0 {
		if dir != queues.DirectionSend && p.Receive == nil {
			p.Receive = &queues.Pause{Since: now}
		}
		if dir != queues.DirectionReceive && p.Send == nil {
			p.Send = &queues.Pause{Since: now}
		}
		q, err = b.Pause(context.Background(), b.tenant, s.queue, dir, "", queues.Condition{})
	} else {
		if dir != queues.DirectionSend {
			p.Receive = nil
		}
		if dir != queues.DirectionReceive {
			p.Send = nil
		}
		q, err = b.Resume(context.Background(), b.tenant, s.queue, dir, queues.Condition{})
	}
	if diff := gocmp.Diff(s.m.paused, q.Paused); err != nil || diff != "" {
		t.Fatalf("pause %s: %v (-want +got):\n%s", dir, err, diff)
	}
}

// shown returns a message as a peek must show it.
func (s *machine) shown(l letter) queues.Message {
	m := queues.Message{ID: l.id, Body: l.body, SentAt: ms(l.sent), ReceiveCount: l.receives, FailureCount: l.receives, State: queues.Available, Retry: l.retry, Priority: l.priority, ExpiresAt: l.expires()}
	if l.first > 0 {
		m.FirstReceivedAt = ms(l.first)
	}
	switch l.place {
	case held:
		m.State, m.LeaseExpiresAt, m.HeldSince, m.HeldBy = queues.InFlight, ms(l.until), ms(l.received), l.by
		m.FailureCount-- // the delivery under way has not failed
	case delayed:
		m.State, m.AvailableAt = queues.Delayed, ms(l.until)
	}
	return m
}

func (s *machine) Peek(t *rapid.T) {
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
		b := s.server(t)
		page, err := b.Peek(context.Background(), b.tenant, s.queue, opt)
		if err != nil {
			t.Fatalf("peek: %v", err)
		}
		if len(page.Messages) > opt.Limit || pages > modelSize+len(s.ids) {
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
	if diff := gocmp.Diff(want, got); diff != "" {
		t.Fatalf("peek of %q in pages of %d at %d (-want +got):\n%s", opt.State, opt.Limit, now, diff)
	}
}

func (s *machine) Message(t *rapid.T) {
	if len(s.ids) == 0 {
		t.Skip("nothing was sent yet")
	}
	id := rapid.SampledFrom(s.ids).Draw(t, "id")
	b := s.server(t)
	got, err := b.Message(context.Background(), b.tenant, s.queue, id)
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
	if diff := gocmp.Diff(s.shown(l), got); diff != "" {
		t.Fatalf("message %s at %d (-want +got):\n%s", id, s.now(), diff)
	}
}

func (s *machine) Stats(t *rapid.T) {
	now := s.now()
	b := s.server(t)
	got, err := b.Stats(context.Background(), b.tenant, s.queue)
	if err != nil {
		t.Fatalf("stats: %v", err)
	}
	n, size := s.m.counts(now), int64(0)
	for id, l := range s.m.all {
		if _, ok := s.m.look(id, now); ok {
			size += l.size
		}
	}
	want := queues.Stats{
		Bytes: size, Dropped: s.m.dropped, DeadLettered: s.m.dead, Moving: got.Moving,
		Available: n[0], InFlight: n[1], Delayed: n[2], OldestAge: s.oldest(now),
		Sent: s.m.sent, Received: s.m.received, Deleted: got.Deleted, Expired: got.Expired, Now: ms(now),
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
func (s *machine) oldest(now int64) time.Duration {
	news, returned := s.m.lines(now)
	slices.SortFunc(returned, func(a, b letter) int { return bytes.Compare(a.id[:], b.id[:]) })
	var heads []int64
	if len(news) > 0 {
		heads = append(heads, news[0].sent)
	}
	if len(returned) > 0 {
		heads = append(heads, returned[0].sent)
	}
	if len(heads) == 0 {
		return 0
	}
	return time.Duration(now-slices.Min(heads)) * time.Millisecond
}

func (s *machine) Advance(t *rapid.T) {
	s.servers[0].clock.Advance(time.Duration(rapid.Int64Range(0, 40_000).Draw(t, "ms")) * time.Millisecond)
}

// AdvanceToEdge goes to an instant at which something ends, one before it or one after it.
func (s *machine) AdvanceToEdge(t *rapid.T) {
	var edges []int64
	for _, l := range s.m.all {
		edges = append(edges, l.sent+s.m.set.Retention.Milliseconds())
		if l.ends > 0 {
			edges = append(edges, l.ends)
		}
		if l.place == held || l.place == delayed {
			edges = append(edges, l.until, l.until) // twice as likely
		}
		if l.place == held {
			edges = append(edges, l.until+l.wait(s.m.set))
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
	s.servers[0].clock.Set(ms(max(to, s.fake())))
}

// ClockBack steps both clocks back. Ids that were made and not stored must not come to lie further ahead than the
// clocks may differ.
func (s *machine) ClockBack(t *rapid.T) {
	to := s.fake() - rapid.Int64Range(0, 90_000).Draw(t, "ms")
	s.servers[0].clock.Set(ms(max(to, s.made-29_000)))
	s.stepped = true
}

func (s *machine) ScriptFlush(t *rapid.T) {
	if err := s.server(t).engine.Single().ScriptFlush(context.Background()).Err(); err != nil {
		t.Fatalf("script flush: %v", err)
	}
}

// ForgetDesk has a server forget what it knows of the queue, as it does after ten idle minutes.
func (s *machine) ForgetDesk(t *rapid.T) { s.server(t).ForgetDesks() }

func (s *machine) Check(t *rapid.T) {
	b := s.servers[0]
	r, err := b.Check(context.Background(), b.tenant, s.queue)
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

// TestModel plays random histories on a queue, with two servers, and on a model of it that is too plain to be wrong.
func TestModel(t *testing.T) {
	t.Parallel()
	t.Run("redis", func(t *testing.T) {
		t.Parallel()
		// On a Redis without a disk: thousands of steps, and no promise about disks.
		server := redistest.Start(t, redistest.Options{NoAOF: true})
		playModel(t, newBench(t, engine.Options{URL: server.URL()}))
	})
	t.Run("memory", func(t *testing.T) {
		t.Parallel()
		playModel(t, newBench(t, engine.Options{URL: redistest.Memory(t), Memory: true}))
	})
}

func playModel(t *testing.T, b *bench) {
	servers := []*bench{b, b.another(t)}
	other := b.queue(t, nil)
	b.send(t, other, "m")
	foreign := b.receive(t, other, 1)[0].ReceiptHandle
	play(t, b, modelChecks, memoryChecks, []string{"Send", "SendBatch", "Receive", "Settle", "AdvanceToEdge"}, func(rt *rapid.T) (rapid.StateMachine, []string) {
		s := &machine{servers: servers, foreign: foreign, m: model{
			set: queues.DefaultSettings(), all: map[engine.ID]*letter{}, keys: map[string]keyed{},
		}}
		// Timelines change nothing else, and Check holds them against where the messages are.
		s.m.set.TraceRetention = time.Duration(rapid.SampledFrom([]int{0, 60, 14 * 86400}).Draw(rt, "trace retention")) * time.Second
		s.queue = b.queue(t, func(set *queues.Settings) { *set = s.m.set })
		return s, []string{s.queue}
	})
}

// play plays random histories on the machines that begin makes, at most so many on real Redis and in memory, unless the
// command line says it. The actions in often are drawn more often, once more for each time that they are named. The queues
// of a history are deleted after it.
func play(t *testing.T, b *bench, most, memoryMost int, often []string, begin func(*rapid.T) (rapid.StateMachine, []string)) {
	if b.engine.Memory() {
		most = memoryMost
	}
	began, steps, checks := time.Now(), 0, 0
	latest := b.clock.Now() // of all histories so far
	rapid.Check(t, func(rt *rapid.T) {
		if checks >= most && !checksGiven {
			return
		}
		checks++
		// Each history begins a day after all others, so that it goes the same way when it is played again.
		b.clock.Set(latest.Add(24 * time.Hour))
		s, list := begin(rt)
		actions := rapid.StateMachineActions(s)
		for i, name := range often {
			actions[fmt.Sprint(i, " ", name)] = actions[name] // the first ones by name are drawn more often
		}
		check := actions[""]
		actions[""] = func(rt *rapid.T) {
			steps++
			if now := b.clock.Now(); now.After(latest) {
				latest = now
			}
			check(rt)
		}
		rt.Repeat(actions)
		for _, name := range list {
			if err := b.Delete(context.Background(), b.tenant, name, queues.Condition{}); err != nil {
				rt.Fatalf("delete the queue: %v", err)
			}
		}
	})
	t.Logf("%d histories, %d steps in %s", checks, steps, time.Since(began).Round(time.Millisecond))
}

// checksGiven says that the command line asks for a number of checks.
var checksGiven bool

// setModelChecks sets how many histories TestModel plays, unless the command line says it. A failure prints the seed
// that repeats it; files beside the source are not wanted.
func setModelChecks() {
	flag.Parse()
	flag.Visit(func(f *flag.Flag) { checksGiven = checksGiven || f.Name == "rapid.checks" })
	if !checksGiven {
		_ = flag.Set("rapid.checks", strconv.Itoa(modelChecks))
		_ = flag.Set("rapid.steps", strconv.Itoa(modelSteps))
	}
	_ = flag.Set("rapid.nofailfile", "true")
}
