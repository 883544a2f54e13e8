package queues_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/sluicemq/sluice/internal/engine"
	"github.com/sluicemq/sluice/internal/errs"
	"github.com/sluicemq/sluice/internal/redistest"
	"github.com/sluicemq/sluice/queues"
)

// follower is a tail with what it has seen.
type follower struct {
	testing.TB
	*queues.Tail
	bench *bench
	err   error

	// Of the messages that it has seen.
	seen, cursors, groups, numbers []string
	states                         []queues.State
}

func (b *bench) tail(tb testing.TB, queue, cursor string) *follower {
	tb.Helper()
	t, err := b.Tail(tb.Context(), b.tenant, queue, cursor)
	if err != nil {
		tb.Fatalf("tail: %v", err)
	}
	tb.Cleanup(t.Close)
	return &follower{TB: tb, Tail: t, bench: b}
}

func (f *follower) take() {
	f.Helper()
	list, err := f.Take(f.Context())
	if err != nil {
		f.err = err
	}
	for _, s := range list {
		f.seen, f.cursors, f.states = append(f.seen, s.Body), append(f.cursors, s.Cursor), append(f.states, s.State)
		f.groups, f.numbers = append(f.groups, s.GroupID), append(f.numbers, s.SequenceNumber)
	}
}

// see moves the clock, second by second, until the follower has seen n messages.
func (f *follower) see(n int) {
	f.Helper()
	until(f, func() bool {
		f.bench.clock.Advance(time.Second)
		f.take()
		return len(f.seen) >= n
	})
}

func (f *follower) want(bodies ...string) {
	f.Helper()
	if d := cmp.Diff(bodies, f.seen); d != "" {
		f.Errorf("seen (-want +got):\n%s", d)
	}
}

func TestATailShowsWhatBecomesAvailable(t *testing.T) {
	engines(t, func(t *testing.T, b *bench) {
		q := b.queue(t, nil)
		other := b.another(t)
		b.send(t, q, "before")
		now, all := b.tail(t, q, queues.TailNow), b.tail(t, q, queues.TailBeginning)
		b.send(t, q, "1")
		other.send(t, q, "2")
		late := time.Hour // a slow look takes many seconds of this clock
		if _, err := b.Send(t.Context(), b.tenant, q, queues.Outgoing{Body: []byte("delayed"), Delay: &late}); err != nil {
			t.Fatal(err)
		}
		now.see(2)
		now.want("1", "2")
		all.see(3)
		all.want("before", "1", "2")
		// It changes nothing, and a message that comes back is shown again.
		if c := b.counts(t, q); c != [3]int64{3, 0, 1} {
			t.Errorf("counts are %v", c)
		}
		m := b.receive(t, q, 1)[0]
		if m.ReceiveCount != 1 {
			t.Errorf("received %d times", m.ReceiveCount)
		}
		b.settle(t, q, queues.Settlement{Verb: queues.Return, ReceiptHandle: m.ReceiptHandle})
		now.see(3)
		b.clock.Advance(late)
		now.see(4)
		now.want("1", "2", "before", "delayed")
		all.see(5)
		all.want("before", "1", "2", "before", "delayed")
		b.clock.Advance(time.Minute)
		now.take()
		now.want("1", "2", "before", "delayed")
	})
}

func TestATailGoesOnBehindItsCursor(t *testing.T) {
	engines(t, func(t *testing.T, b *bench) {
		q := b.queue(t, nil)
		var want []string
		for i := range 250 { // three looks
			want = append(want, fmt.Sprint(i))
			b.send(t, q, want[i])
		}
		first := b.tail(t, q, queues.TailBeginning)
		first.see(250)
		first.want(want...)
		list, err := b.Tail(t.Context(), b.tenant, q, queues.TailBeginning)
		if err != nil {
			t.Fatal(err)
		}
		defer list.Close()
		page, err := list.Take(t.Context())
		if err != nil || len(page) < 8 {
			t.Fatalf("got %d messages, %v", len(page), err)
		}
		again := b.another(t).tail(t, q, page[6].Cursor)
		again.see(243)
		again.want(want[7:]...)
		// What was taken before it looks it does not see, and it goes on behind that.
		resumed := b.tail(t, q, page[6].Cursor)
		resumed.take()
		for range 3 {
			b.receive(t, q, 100)
		}
		b.send(t, q, "new")
		resumed.see(1)
		until(t, func() bool {
			b.clock.Advance(time.Second)
			resumed.take()
			return resumed.seen[len(resumed.seen)-1] == "new"
		})
	})
}

func TestTailsShareTheirLooks(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t, redistest.Options{NoAOF: true})
	b := newBench(t, engine.Options{URL: s.URL()})
	q := b.queue(t, nil)
	var all []*follower
	for range 10 {
		f := b.tail(t, q, queues.TailNow)
		f.take()
		all = append(all, f)
	}
	count := countScripts(t, s)
	const looks = 20
	looked := func() { until(t, func() bool { return b.clock.Timers() == 1 }) } // the next look is set
	for range looks {
		b.clock.Advance(time.Second)
		looked()
	}
	for _, f := range all {
		f.take()
	}
	if ran, _ := count.since(t); ran["tail"] != looks {
		t.Errorf("ten tails of an idle queue looked %d times in %d seconds", ran["tail"], looks)
	}
	// One that does not read for long has missed nothing.
	for i := range 20 {
		b.send(t, q, fmt.Sprint(i))
		b.clock.Advance(time.Second)
	}
	for _, f := range all {
		f.see(20)
		if len(f.seen) != 20 {
			t.Errorf("saw %d: %q", len(f.seen), f.seen)
		}
	}
	looked()
	for _, f := range all {
		f.Close()
	}
	if n := b.clock.Timers(); n != 0 {
		t.Errorf("without tails %d looks are set", n)
	}
}

func TestTailsThatCannotBe(t *testing.T) {
	engines(t, func(t *testing.T, b *bench) {
		q := b.queue(t, nil)
		for _, cursor := range []string{"x", "!", queues.Cursor("r", "1"), "MXwyfHNob3J0", "LTF8Mnw"} {
			if _, err := b.Tail(t.Context(), b.tenant, q, cursor); errs.KindOf(err) != errs.Invalid {
				t.Errorf("cursor %q: got %v", cursor, err)
			}
		}
		if _, err := b.Tail(t.Context(), b.tenant, "nothing", queues.TailNow); !errors.Is(err, queues.ErrQueueNotFound) {
			t.Errorf("no queue: got %v", err)
		}
		if _, err := newBench(t, b.opt).Tail(t.Context(), newBench(t, b.opt).tenant, q, queues.TailNow); !errors.Is(err, queues.ErrQueueNotFound) {
			t.Errorf("another tenant: got %v", err)
		}
	})
}

func TestATailOfADeletedQueueEnds(t *testing.T) {
	engines(t, func(t *testing.T, b *bench) {
		q := b.queue(t, nil)
		b.send(t, q, "m")
		f := b.tail(t, q, queues.TailNow)
		f.take()
		if err := b.Delete(t.Context(), b.tenant, q, queues.Condition{}); err != nil {
			t.Fatal(err)
		}
		until(t, func() bool {
			b.clock.Advance(time.Second)
			f.take()
			return f.err != nil
		})
		if !errors.Is(f.err, queues.ErrQueueNotFound) {
			t.Errorf("got %v", f.err)
		}
	})
}

// grouped sends a message with a group to a standard queue.
func (b *bench) grouped(tb testing.TB, q, group, body string, delay time.Duration) {
	tb.Helper()
	if _, err := b.Send(tb.Context(), b.tenant, q, queues.Outgoing{GroupID: group, Body: []byte(body), Delay: &delay}); err != nil {
		tb.Fatalf("send %q: %v", body, err)
	}
}

func TestATailShowsMessagesOfGroupsWhenTheyCome(t *testing.T) {
	engines(t, func(t *testing.T, b *bench) {
		q := b.fifo(t, nil)
		b.post(t, q, "a:held", "a:behind", "b:free")
		m := b.take(t, q, 1, "held")[0]
		now, all := b.tail(t, q, queues.TailNow), b.tail(t, q, queues.TailBeginning)
		all.see(2) // what is held is not shown, what waits for it is
		b.post(t, q, "a:1")
		now.see(1)
		b.another(t).post(t, q, "b:2", "a:3")
		now.see(3)
		all.see(5)
		now.inOrder("1", "3")
		all.inOrder("behind", "1", "3")
		all.inOrder("free", "2")
		b.settle(t, q, queues.Settlement{Verb: queues.Return, ReceiptHandle: m.ReceiptHandle})
		b.post(t, q, "b:4")
		now.see(4)
		if len(now.seen) != 4 || now.seen[3] != "4" {
			t.Errorf("what came back was shown again: %q", now.seen)
		}
		if c := b.counts(t, q); c != [3]int64{7, 0, 0} {
			t.Errorf("counts are %v", c)
		}

		// A delay holds for the whole queue, and is no reason to show nothing.
		late := b.fifo(t, func(s *queues.Settings) { s.Delay = time.Minute })
		watch := b.tail(t, late, queues.TailNow)
		b.post(t, late, "a:late")
		watch.see(1)
		if s := watch.states; len(s) != 1 || s[0] != queues.Delayed {
			t.Errorf("states are %v", s)
		}
		b.clock.Advance(time.Minute)
		b.take(t, late, 1, "late")
		b.post(t, late, "a:later")
		watch.see(2)
		watch.want("late", "later")
	})
}

func TestATailOfAStandardQueueShowsGroupsToo(t *testing.T) {
	engines(t, func(t *testing.T, b *bench) {
		q := b.queue(t, nil)
		b.send(t, q, "alone")
		b.grouped(t, q, "a", "a1", 0)
		now, all := b.tail(t, q, queues.TailNow), b.tail(t, q, queues.TailBeginning)
		all.see(2)
		all.want("alone", "a1")
		b.grouped(t, q, "b", "b1", 0)
		b.grouped(t, q, "a", "late", 30*time.Second)
		b.send(t, q, "alone 2")
		now.see(2)
		b.clock.Advance(30 * time.Second)
		now.see(3)
		b.grouped(t, q, "a", "a2", 0)
		now.see(4)
		now.inOrder("b1", "late", "a2")
		now.inOrder("alone 2", "late", "a2")
		// A cursor between them is good for both.
		again := b.another(t).tail(t, q, now.cursors[2])
		again.see(1)
		again.want("a2")
	})
}

// inOrder checks the order of some of the messages that were seen.
func (f *follower) inOrder(bodies ...string) {
	f.Helper()
	var got []string
	for _, s := range f.seen {
		if slices.Contains(bodies, s) {
			got = append(got, s)
		}
	}
	if d := cmp.Diff(bodies, got); d != "" {
		f.Errorf("the order of these (-want +got):\n%s", d)
	}
}

// Whatever message a tail is broken off at, one that goes on behind its cursor shows all that it had not, once, and each
// group in its order.
func TestATailOfManyGroupsGoesOnBehindItsCursor(t *testing.T) {
	engines(t, func(t *testing.T, b *bench) {
		groups := 1200 // more than one look goes through
		if b.opt.Memory {
			groups = 120 // it would take half a minute
		}
		q := b.fifo(t, nil)
		sent := 0
		post := func(from, to int) {
			for g := from; g < to; g += 50 {
				var batch []string
				for i := g; i < min(g+50, to); i++ {
					batch = append(batch, fmt.Sprintf("g%d:%d", i, sent))
					sent++
				}
				b.post(t, q, batch...)
			}
		}
		post(0, groups)
		watch := b.tail(t, q, queues.TailNow)
		whole := b.tail(t, q, queues.TailBeginning)
		for range 4 { // while rounds are under way
			whole.take()
			post(0, groups/8)
			b.clock.Advance(time.Second)
			watch.take()
		}
		whole.see(sent)
		watch.see(groups / 2)
		for _, f := range []*follower{whole, watch} {
			once := map[string]bool{}
			for _, s := range f.seen {
				if once[s] {
					t.Errorf("%s was shown twice", s)
				}
				once[s] = true
			}
		}
		if len(whole.seen) != sent || len(watch.seen) != groups/2 {
			t.Errorf("seen are %d of %d, and %d of %d", len(whole.seen), sent, len(watch.seen), groups/2)
		}
		for _, at := range []int{0, 99, 100, groups - 1, groups, groups + groups/8, sent - 1} {
			rest := b.tail(t, q, whole.cursors[at])
			rest.see(sent - at - 1)
			want, got := slices.Clone(whole.seen[at+1:]), slices.Clone(rest.seen)
			slices.Sort(want)
			slices.Sort(got)
			if d := cmp.Diff(want, got, cmpopts.EquateEmpty()); d != "" {
				t.Errorf("behind message %d (-want +got):\n%s", at, d)
			}
			last := map[string]string{}
			for i, group := range rest.groups {
				if rest.numbers[i] <= last[group] {
					t.Errorf("behind message %d group %s is out of order", at, group)
				}
				last[group] = rest.numbers[i]
			}
		}
	})
}
