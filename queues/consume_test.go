package queues_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sluicemq/sluice/internal/errs"
	"github.com/sluicemq/sluice/queues"
)

// reader is a consumer with what it has got.
type reader struct {
	testing.TB
	*queues.Consumer
	got    []queues.Message
	ending []queues.Message
	err    error
}

// consume starts a consumer that is closed when the test ends.
func (b *bench) consume(tb testing.TB, queue string, opt queues.ConsumeOptions) *reader {
	tb.Helper()
	c, err := b.Consume(tb.Context(), b.tenant, queue, opt)
	if err != nil {
		tb.Fatalf("consume: %v", err)
	}
	tb.Cleanup(func() { c.Close(false) })
	return &reader{TB: tb, Consumer: c}
}

// read takes what is there until ok says that it is enough, for at most a minute.
func (r *reader) read(ok func() bool) {
	r.Helper()
	limit := time.After(time.Minute)
	for {
		r.Pull()
		if ok() {
			return
		}
		select {
		case <-r.Changed():
		case <-limit:
			r.Fatalf("not in a minute: got %q, ending %d, error %v", bodies(r.got), len(r.ending), r.err)
		}
		t := r.Take()
		r.Written(t.Messages)
		r.got = append(r.got, t.Messages...)
		r.ending = append(r.ending, t.Ending...)
		if t.Err != nil {
			r.err = t.Err
		}
	}
}

func (r *reader) readMessages(n int) []queues.Message {
	r.Helper()
	r.read(func() bool { return len(r.got) >= n })
	return r.got
}

func ackOf(m queues.Message) queues.Settlement {
	return queues.Settlement{Verb: queues.Ack, ReceiptHandle: m.ReceiptHandle}
}

func TestAConsumerHoldsNoMoreThanItMay(t *testing.T) {
	engines(t, func(t *testing.T, b *bench) {
		q := b.queue(t, nil)
		for i := range 10 {
			b.send(t, q, fmt.Sprint(i))
		}
		r := b.consume(t, q, queues.ConsumeOptions{MaxInFlight: 3, Heartbeat: true})
		got := r.readMessages(3)
		if c := b.counts(t, q); c != [3]int64{7, 3, 0} {
			t.Errorf("counts with three held: got %v", c)
		}
		// Each way to settle makes room for one.
		b.settle(t, q, ackOf(got[0]))
		r.readMessages(4)
		b.settle(t, q, queues.Settlement{Verb: queues.Return, ReceiptHandle: got[1].ReceiptHandle, For: time.Hour})
		r.readMessages(5)
		// To extend one, or to settle one twice, makes none.
		b.settle(t, q, queues.Settlement{Verb: queues.Extend, ReceiptHandle: got[2].ReceiptHandle, For: time.Hour}, ackOf(got[0]))
		if n := r.Holding(); n != 3 {
			t.Errorf("held after that: got %d, want 3", n)
		}
		if d := cmp.Diff([]string{"0", "1", "2", "3", "4"}, bodies(r.got)); d != "" {
			t.Errorf("bodies (-want +got):\n%s", d)
		}
		if c := b.counts(t, q); c != [3]int64{5, 3, 1} {
			t.Errorf("counts at the end: got %v", c)
		}
	})
}

func TestAConsumerWaitsForWhatIsSent(t *testing.T) {
	engines(t, func(t *testing.T, b *bench) {
		q := b.queue(t, nil)
		r := b.consume(t, q, queues.ConsumeOptions{MaxInFlight: 2})
		r.Pull()
		b.awaitParked(t, q, 1)
		b.send(t, q, "a")
		r.readMessages(1)
		b.awaitParked(t, q, 1)
		b.clock.Advance(queues.MaxWait) // a wait that is over begins again
		b.send(t, q, "b")
		r.readMessages(2)
	})
}

func TestAConsumerThatEndsGivesBack(t *testing.T) {
	engines(t, func(t *testing.T, b *bench) {
		for _, c := range []struct {
			name     string
			giveBack bool
			want     [3]int64
			counts   []int // receive counts of what is received again
		}{
			{"and returns", true, [3]int64{4, 0, 0}, []int{1, 1, 2, 2}},
			{"and keeps", false, [3]int64{2, 2, 0}, []int{1, 1}},
		} {
			q := b.queue(t, nil)
			for i := range 2 {
				b.send(t, q, fmt.Sprint(i))
			}
			r := b.consume(t, q, queues.ConsumeOptions{MaxInFlight: 4, Heartbeat: true})
			r.readMessages(2)
			// Two more come, which nobody takes.
			b.send(t, q, "2")
			b.send(t, q, "3")
			until(t, func() bool { r.Pull(); return r.Holding() >= 3 })
			r.Close(c.giveBack)
			if got := b.counts(t, q); got != c.want {
				t.Errorf("%s: counts are %v, want %v", c.name, got, c.want)
			}
			var counts []int
			for _, m := range b.receive(t, q, 10) {
				counts = append(counts, m.ReceiveCount)
			}
			slices.Sort(counts)
			if d := cmp.Diff(c.counts, counts); d != "" {
				t.Errorf("%s: receive counts (-want +got):\n%s", c.name, d)
			}
		}
	})
}

// leaseEnd returns when the first of the leases ends, and zero when there is none.
func (b *bench) leaseEnd(tb testing.TB, queue string) time.Time {
	tb.Helper()
	page, err := b.Peek(tb.Context(), b.tenant, queue, queues.PeekOptions{State: queues.InFlight})
	if err != nil {
		tb.Fatal(err)
	}
	if len(page.Messages) == 0 {
		return time.Time{}
	}
	return page.Messages[0].LeaseExpiresAt
}

func TestAConsumerKeepsItsLeases(t *testing.T) {
	engines(t, func(t *testing.T, b *bench) {
		timeout := 9 * time.Second
		for _, heartbeat := range []bool{true, false} {
			q := b.queue(t, nil)
			b.send(t, q, "m")
			r := b.consume(t, q, queues.ConsumeOptions{MaxInFlight: 2, VisibilityTimeout: &timeout, Heartbeat: heartbeat})
			r.readMessages(1)
			for range 20 {
				lease := b.leaseEnd(t, q)
				b.clock.Advance(3 * time.Second)
				if heartbeat {
					until(t, func() bool { return b.leaseEnd(t, q).After(lease) && r.Armed() })
				}
			}
			if heartbeat {
				if c := b.counts(t, q); c != [3]int64{0, 1, 0} {
					t.Errorf("with a heartbeat: counts are %v after a minute", c)
				}
				continue
			}
			// Its lease has ended, so it is no longer counted and comes again.
			r.readMessages(2)
			if r.got[1].ReceiveCount != 2 {
				t.Errorf("without a heartbeat: received %d times, want 2", r.got[1].ReceiveCount)
			}
		}
	})
}

func TestALeaseThatCannotBeExtendedIsTold(t *testing.T) {
	engines(t, func(t *testing.T, b *bench) {
		q := b.queue(t, nil)
		b.send(t, q, "m")
		timeout := 6 * time.Hour
		r := b.consume(t, q, queues.ConsumeOptions{MaxInFlight: 1, VisibilityTimeout: &timeout, Heartbeat: true})
		m := r.readMessages(1)[0]
		for range 5 {
			lease := b.leaseEnd(t, q)
			b.clock.Advance(70 * time.Minute)
			until(t, func() bool { return b.leaseEnd(t, q).After(lease) && r.Armed() })
		}
		b.clock.Advance(70 * time.Minute) // seven hours, and six more would be too many
		r.read(func() bool { return len(r.ending) > 0 })
		if len(r.ending) != 1 || r.ending[0].ID != m.ID || r.ending[0].ReceiptHandle != m.ReceiptHandle {
			t.Fatalf("told: %+v, want the message", r.ending)
		}
		if n := r.Holding(); n != 0 {
			t.Errorf("still counted: %d", n)
		}
		if end := r.ending[0].LeaseExpiresAt; end.Sub(start) > 12*time.Hour || !end.After(b.clock.Now()) {
			t.Errorf("it is told that the lease ends after %s, now is %s", end.Sub(start), b.clock.Now().Sub(start))
		}
		// It can be acknowledged all the same.
		if res := b.settle(t, q, ackOf(m)); res[0].Err != nil {
			t.Errorf("ack: %v", res[0].Err)
		}
	})
}

func TestWhatAnotherServerSettlesMakesRoom(t *testing.T) {
	engines(t, func(t *testing.T, b *bench) {
		other := b.another(t)
		for _, heartbeat := range []bool{true, false} {
			q := b.queue(t, nil)
			for i := range 8 {
				b.send(t, q, fmt.Sprint(i))
			}
			r := b.consume(t, q, queues.ConsumeOptions{MaxInFlight: 4, Heartbeat: heartbeat})
			got := slices.Clone(r.readMessages(4))
			other.settle(t, q, ackOf(got[0]), queues.Settlement{Verb: queues.Return, ReceiptHandle: got[1].ReceiptHandle, For: time.Hour})
			if err := other.DeleteMessage(t.Context(), b.tenant, q, got[2].ID); err != nil {
				t.Fatal(err)
			}
			if n := r.Holding(); n != 4 {
				t.Errorf("held before the look: got %d, want 4", n)
			}
			b.clock.Advance(time.Second)
			r.readMessages(7)
			if c := b.counts(t, q); c != [3]int64{1, 4, 1} {
				t.Errorf("heartbeat %t: counts are %v", heartbeat, c)
			}
			// A look at what is held changes nothing.
			b.settle(t, q, queues.Settlement{Verb: queues.Extend, ReceiptHandle: got[3].ReceiptHandle, For: time.Minute})
			if _, err := other.Purge(t.Context(), b.tenant, q); err != nil {
				t.Fatal(err)
			}
			b.clock.Advance(time.Second)
			r.read(func() bool { return r.Holding() == 0 })
		}
	})
}

func TestAMeteredConsumerGetsWhatItAsksFor(t *testing.T) {
	engines(t, func(t *testing.T, b *bench) {
		q := b.queue(t, nil)
		for i := range 9 {
			b.send(t, q, fmt.Sprint(i))
		}
		r := b.consume(t, q, queues.ConsumeOptions{MaxInFlight: 5, Metered: true})
		r.Pull()
		if c := b.counts(t, q); c != [3]int64{9, 0, 0} {
			t.Errorf("without a grant: counts are %v", c)
		}
		r.Grant(2, 100)
		got := r.readMessages(2)
		b.settle(t, q, ackOf(got[0]), ackOf(got[1]))
		r.Pull()
		if c := b.counts(t, q); c != [3]int64{7, 0, 0} {
			t.Errorf("with the grant used up: counts are %v", c)
		}
		r.Grant(100, 100) // more than it may hold
		r.readMessages(7)
		if c := b.counts(t, q); c != [3]int64{2, 5, 0} {
			t.Errorf("with a large grant: counts are %v", c)
		}
	})
}

func TestConsumersThatCannotBe(t *testing.T) {
	engines(t, func(t *testing.T, b *bench) {
		q := b.queue(t, func(s *queues.Settings) { s.VisibilityTimeout = 0 })
		minute, zero, long := time.Minute, time.Duration(0), queues.MaxVisibilityTimeout+1
		for _, c := range []struct {
			queue string
			opt   queues.ConsumeOptions
			want  errs.Kind
		}{
			{q, queues.ConsumeOptions{MaxInFlight: 0, VisibilityTimeout: &minute}, errs.Invalid},
			{q, queues.ConsumeOptions{MaxInFlight: 101, VisibilityTimeout: &minute}, errs.Invalid},
			{q, queues.ConsumeOptions{MaxInFlight: 1, VisibilityTimeout: &zero}, errs.Invalid},
			{q, queues.ConsumeOptions{MaxInFlight: 1, VisibilityTimeout: &long}, errs.Invalid},
			{q, queues.ConsumeOptions{MaxInFlight: 1}, errs.Invalid}, // the queue's own is 0
			{"nothing", queues.ConsumeOptions{MaxInFlight: 1}, errs.NotFound},
		} {
			if _, err := b.Consume(t.Context(), b.tenant, c.queue, c.opt); errs.KindOf(err) != c.want {
				t.Errorf("%+v: got %v", c.opt, err)
			}
		}
		if _, err := b.Consume(t.Context(), b.tenant, q, queues.ConsumeOptions{MaxInFlight: 1, VisibilityTimeout: &minute}); err != nil {
			t.Errorf("what can be: %v", err)
		}
	})
}

func TestAConsumerOfADeletedQueueEnds(t *testing.T) {
	engines(t, func(t *testing.T, b *bench) {
		q := b.queue(t, nil)
		b.send(t, q, "m")
		r := b.consume(t, q, queues.ConsumeOptions{MaxInFlight: 2})
		r.readMessages(1)
		b.awaitParked(t, q, 1)
		if err := b.Delete(t.Context(), b.tenant, q, queues.Condition{}); err != nil {
			t.Fatal(err)
		}
		r.read(func() bool { return r.err != nil })
		if !errors.Is(r.err, queues.ErrQueueNotFound) {
			t.Errorf("got %v", r.err)
		}
		r.Close(true)
	})
}

func TestADrainingConsumerTakesNothing(t *testing.T) {
	engines(t, func(t *testing.T, b *bench) {
		q := b.queue(t, nil)
		other := b.another(t)
		r := b.consume(t, q, queues.ConsumeOptions{MaxInFlight: 2})
		r.Pull()
		b.awaitParked(t, q, 1)
		b.Drain()
		b.Drain()
		<-b.Draining()
		until(t, func() bool { return b.Parked(b.tenant, q) == 0 })
		other.send(t, q, "m")
		r.Pull()
		r.Close(true)
		if c := b.counts(t, q); c != [3]int64{1, 0, 0} {
			t.Errorf("counts are %v", c)
		}
	})
}

func TestConsumersOfTwoTenantsAndServersShareNothingElse(t *testing.T) {
	engines(t, func(t *testing.T, b *bench) {
		q := b.queue(t, nil)
		other := b.another(t)
		one := b.consume(t, q, queues.ConsumeOptions{MaxInFlight: 50, Heartbeat: true})
		two := other.consume(t, q, queues.ConsumeOptions{MaxInFlight: 50, Heartbeat: true})
		stranger := newBench(t, b.opt)
		if _, err := stranger.Consume(t.Context(), stranger.tenant, q, queues.ConsumeOptions{MaxInFlight: 1}); !errors.Is(err, queues.ErrQueueNotFound) {
			t.Errorf("another tenant: %v", err)
		}
		one.Pull()
		two.Pull()
		for i := range 40 {
			b.send(t, q, fmt.Sprint(i))
		}
		seen := map[string]bool{}
		limit := time.After(time.Minute)
		for len(seen) < 40 {
			for _, r := range []*reader{one, two} {
				for _, m := range r.Take().Messages {
					if seen[m.Body] {
						t.Errorf("%s came twice", m.Body)
					}
					seen[m.Body] = true
				}
				r.Pull()
			}
			if len(seen) == 40 {
				break
			}
			select {
			case <-one.Changed():
			case <-two.Changed():
			case <-limit:
				t.Fatalf("%d of 40 came", len(seen))
			}
		}
	})
}

func TestQ114_AConsumerDoesNotGetWhatIsBehindItsOwn(t *testing.T) {
	engines(t, func(t *testing.T, b *bench) {
		q := b.fifo(t, nil)
		other := b.another(t)
		b.post(t, q, "a:a1", "a:a2", "a:a3")
		one := b.consume(t, q, queues.ConsumeOptions{MaxInFlight: 2, Heartbeat: true})
		got := slices.Clone(one.readMessages(2))
		b.post(t, q, "b:b1", "a:a4")
		two := other.consume(t, q, queues.ConsumeOptions{MaxInFlight: 10, Heartbeat: true})
		two.readMessages(1)
		// There is room for one more, and none that may come.
		b.settle(t, q, ackOf(got[0]))
		one.Pull()
		b.awaitParked(t, q, 1)
		if d := cmp.Diff([]string{"b1"}, bodies(two.got)); d != "" {
			t.Errorf("the other one (-want +got):\n%s", d)
		}
		// The lease lasts, so the order does.
		for range 3 {
			lease := b.leaseEnd(t, q)
			b.clock.Advance(10 * time.Second)
			until(t, func() bool { return b.leaseEnd(t, q).After(lease) && one.Armed() && two.Armed() })
		}
		one.Close(true)
		two.readMessages(4)
		if d := cmp.Diff([]string{"b1", "a2", "a3", "a4"}, bodies(two.got)); d != "" {
			t.Errorf("the other one in the end (-want +got):\n%s", d)
		}
		if got := two.got[1].ReceiveCount; got != 2 {
			t.Errorf("what came back was received %d times, want 2", got)
		}
	})
}

// Consumers on two servers come and go, and half of them settle nothing. Each message is done once, and after all that
// stood before it in its group.
func TestG6_ConsumersThatComeAndGoKeepTheOrder(t *testing.T) {
	engines(t, func(t *testing.T, b *bench) {
		const groups, each = 5, 12
		q := b.fifo(t, nil)
		servers := []*bench{b, b.another(t)}
		for n := range each {
			for g := range groups {
				b.post(t, q, fmt.Sprintf("%d:%d.%d", g, g, n))
			}
		}
		next := map[string]int{} // of each group, the one that is due
		done, rounds := 0, 0
		for ; done < groups*each; rounds++ {
			if rounds > 1000 {
				t.Fatalf("%d messages done", done)
			}
			server := servers[rounds%2]
			r := server.consume(t, q, queues.ConsumeOptions{MaxInFlight: 1 + rounds%7})
			list := r.readMessages(1)
			for i, m := range list {
				var g, n int
				if _, err := fmt.Sscanf(m.Body, "%d.%d", &g, &n); err != nil {
					t.Fatal(err)
				}
				if rounds%3 == 2 && i >= len(list)/2 {
					break // it goes, with the rest
				}
				if next[m.GroupID] != n {
					t.Fatalf("group %d: got %d, want %d", g, n, next[m.GroupID])
				}
				if res := server.settle(t, q, ackOf(m)); res[0].Err != nil {
					t.Fatalf("ack %s: %v", m.Body, res[0].Err)
				}
				next[m.GroupID]++
				done++
			}
			r.Close(true)
		}
		if c := b.counts(t, q); c != [3]int64{} {
			t.Errorf("left over: %v", c)
		}
		t.Logf("%d messages in %d rounds", done, rounds)
	})
}
