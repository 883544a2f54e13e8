package queues_test

import (
	"context"
	"errors"
	"math"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sluicemq/sluice/internal/engine"
	"github.com/sluicemq/sluice/internal/errs"
	"github.com/sluicemq/sluice/queues"
	"github.com/sluicemq/sluice/queues/queuetest"
)

func retry(kind queues.Backoff, delay, longest time.Duration) queues.Retry {
	return queues.Retry{Backoff: kind, Delay: delay, MaxDelay: longest}
}

// fails receives the only message and has it fail, by a return or by the end of its lease, and returns how long it waits.
func (b *bench) fails(tb testing.TB, q string, times int, byReturn bool) []time.Duration {
	tb.Helper()
	var waits []time.Duration
	for i := range times {
		m := b.take(tb, q, 10, "m")[0]
		if m.FailureCount != i || m.ReceiveCount != i+1 {
			tb.Fatalf("failed %d times: got %d failures and %d receives", i, m.FailureCount, m.ReceiveCount)
		}
		if byReturn {
			out := b.settle(tb, q, queues.Settlement{Verb: queues.Fail, ReceiptHandle: m.ReceiptHandle})[0]
			if out.Err != nil || !out.AvailableAt.Equal(b.clock.Now().Add(out.Wait)) {
				tb.Fatalf("return: got %+v", out)
			}
		} else {
			b.clock.Advance(30 * time.Second)
		}
		seen, err := b.Message(tb.Context(), b.tenant, q, m.ID)
		if err != nil || seen.FailureCount != i+1 {
			tb.Fatalf("after failure %d: got %+v and %v", i+1, seen, err)
		}
		wait := time.Duration(0)
		if seen.State == queues.Delayed {
			wait = seen.AvailableAt.Sub(b.clock.Now())
			b.clock.Advance(wait - time.Millisecond)
			b.take(tb, q, 10)
			b.clock.Advance(time.Millisecond)
		}
		waits = append(waits, wait)
	}
	return waits
}

func TestBackoffFollowsFromTheFailures(t *testing.T) {
	engines(t, func(t *testing.T, b *bench) {
		const s = time.Second
		for _, c := range []struct {
			policy queues.Retry
			want   []time.Duration
		}{
			{queues.DefaultRetry(), []time.Duration{0, 0, 0}},
			{retry(queues.FixedBackoff, 5*s, time.Hour), []time.Duration{5 * s, 5 * s, 5 * s}},
			{retry(queues.LinearBackoff, 5*s, 12*s), []time.Duration{5 * s, 10 * s, 12 * s}},
			{retry(queues.ExponentialBackoff, 5*s, 30*s), []time.Duration{5 * s, 10 * s, 20 * s, 30 * s, 30 * s}},
		} {
			for _, byReturn := range []bool{true, false} {
				q := b.queue(t, func(set *queues.Settings) { set.Retry = c.policy })
				b.send(t, q, "m")
				if diff := cmp.Diff(c.want, b.fails(t, q, len(c.want), byReturn)); diff != "" {
					t.Errorf("%+v, returned %t (-want +got):\n%s", c.policy, byReturn, diff)
				}
				b.healthy(t, q)
			}
		}
	})
}

func TestTheBackoffOfManyFailuresIsBounded(t *testing.T) {
	engines(t, func(t *testing.T, b *bench) {
		q := b.queue(t, func(set *queues.Settings) { set.Retry = retry(queues.ExponentialBackoff, time.Second, 2*time.Second) })
		sent := b.send(t, q, "m")
		if err := b.SetSide(t, b.tenant, q, sent.ID, "0,0,1000000,0"); err != nil {
			t.Fatal(err)
		}
		m := b.take(t, q, 1, "m")[0]
		b.clock.Advance(30 * time.Second)
		if seen, err := b.Message(t.Context(), b.tenant, q, m.ID); err != nil || !seen.AvailableAt.Equal(m.LeaseExpiresAt.Add(2*time.Second)) {
			t.Errorf("got %+v and %v", seen, err)
		}
	})
}

func TestAnExplicitDelayOverridesTheBackoff(t *testing.T) {
	engines(t, func(t *testing.T, b *bench) {
		q := b.queue(t, func(set *queues.Settings) { set.Retry = retry(queues.FixedBackoff, time.Minute, time.Hour) })
		b.send(t, q, "m")
		b.settle(t, q, queues.Settlement{Verb: queues.Return, ReceiptHandle: b.take(t, q, 1, "m")[0].ReceiptHandle})
		b.settle(t, q, queues.Settlement{Verb: queues.Return, ReceiptHandle: b.take(t, q, 1, "m")[0].ReceiptHandle, For: time.Second})
		b.take(t, q, 1)
		b.clock.Advance(time.Second)
		m := b.take(t, q, 1, "m")[0]
		// It failed twice; what its consumer never saw counts for nothing, and comes back at once.
		b.Unreceive(t.Context(), b.tenant, q, []queues.Message{m})
		if m = b.take(t, q, 1, "m")[0]; m.FailureCount != 2 || m.ReceiveCount != 3 {
			t.Errorf("got %d failures and %d receives, want 2 and 3", m.FailureCount, m.ReceiveCount)
		}
		out := b.settle(t, q, queues.Settlement{Verb: queues.Fail, ReceiptHandle: m.ReceiptHandle})
		if out[0].Wait != time.Minute {
			t.Errorf("wait: got %s", out[0].Wait)
		}
		again := b.settle(t, q, queues.Settlement{Verb: queues.Fail, ReceiptHandle: m.ReceiptHandle})
		if !errors.Is(again[0].Err, queues.ErrReceiptExpired) {
			t.Errorf("a second return of one delivery: got %v", again[0].Err)
		}
		if got, want := b.counts(t, q), [3]int64{0, 0, 1}; got != want {
			t.Errorf("counts: got %v, want %v", got, want)
		}
	})
}

func TestAMessageMayHaveItsOwnRetryPolicy(t *testing.T) {
	engines(t, func(t *testing.T, b *bench) {
		for _, fifo := range []bool{false, true} {
			create := b.queue
			if fifo {
				create = b.fifo
			}
			q := create(t, func(set *queues.Settings) { set.Retry = retry(queues.FixedBackoff, time.Minute, time.Hour) })
			for _, own := range []queues.Retry{retry(queues.LinearBackoff, time.Second, time.Hour), queues.DefaultRetry()} {
				m := queues.Outgoing{Body: []byte("m"), Retry: &own}
				if fifo {
					m.GroupID, m.DeduplicationID = "g", string(own.Backoff)
				}
				if err := b.one(t, q, m); err != nil {
					t.Fatal(err)
				}
				want := []time.Duration{0, 0}
				if own.Backoff != queues.NoBackoff {
					want = []time.Duration{time.Second, 2 * time.Second}
				}
				if diff := cmp.Diff(want, b.fails(t, q, 2, false)); diff != "" {
					t.Errorf("FIFO %t, %+v (-want +got):\n%s", fifo, own, diff)
				}
				got := b.take(t, q, 1, "m")[0]
				if diff := cmp.Diff(&own, got.Retry); diff != "" {
					t.Errorf("policy (-sent +received):\n%s", diff)
				}
				b.ack(t, q, got)
				b.healthy(t, q)
			}
		}
	})
}

func TestAFIFOGroupWaitsWithItsFirstMessage(t *testing.T) {
	engines(t, func(t *testing.T, b *bench) {
		q := b.fifo(t, func(set *queues.Settings) { set.Retry = retry(queues.FixedBackoff, 10*time.Second, time.Hour) })
		b.post(t, q, "a:1", "a:2", "b:3")
		first := b.take(t, q, 1, "1")[0]
		b.settle(t, q, queues.Settlement{Verb: queues.Fail, ReceiptHandle: first.ReceiptHandle})
		b.ack(t, q, b.take(t, q, 10, "3")...)
		b.clock.Advance(10 * time.Second)
		b.take(t, q, 1, "1") // and now its lease ends
		b.clock.Advance(39 * time.Second)
		b.take(t, q, 10)
		b.healthy(t, q)
		b.clock.Advance(time.Second)
		b.take(t, q, 10, "1", "2")
		b.healthy(t, q)
	})
}

func TestJitterSpreadsWhatFailedTogether(t *testing.T) {
	engines(t, func(t *testing.T, b *bench) {
		q := b.queue(t, func(set *queues.Settings) {
			set.Retry = queues.Retry{Backoff: queues.FixedBackoff, Delay: 100 * time.Second, MaxDelay: time.Hour, Jitter: 0.5}
		})
		batch := make([]queues.Outgoing, 100)
		for i := range batch {
			batch[i].Body = []byte("m")
		}
		b.batch(t, q, false, batch...)
		b.receive(t, q, 100)
		b.clock.Advance(30 * time.Second)
		page := func() map[engine.ID]time.Time {
			seen := map[engine.ID]time.Time{}
			p, err := b.Peek(t.Context(), b.tenant, q, queues.PeekOptions{State: queues.Delayed, Limit: 100})
			if err != nil {
				t.Fatal(err)
			}
			for _, m := range p.Messages {
				seen[m.ID] = m.AvailableAt
			}
			return seen
		}
		before := page() // worked out by the look
		if got, want := b.counts(t, q), [3]int64{0, 0, 100}; got != want {
			t.Errorf("counts: got %v, want %v", got, want)
		}
		if diff := cmp.Diff(before, page()); diff != "" { // and as it was written down
			t.Errorf("looked up and written down differ (-look +written):\n%s", diff)
		}
		var quarters [4]int
		for id, at := range before {
			wait := at.Sub(b.clock.Now())
			if wait <= 50*time.Second || wait > 100*time.Second {
				t.Errorf("message %s waits %s", id, wait)
			}
			quarters[min(int((wait-50*time.Second)/(12500*time.Millisecond)), 3)]++
		}
		for _, n := range quarters {
			if n < 10 {
				t.Errorf("quarters: got %v, want about 25 each", quarters)
				break
			}
		}
	})
}

func TestAReceiveIsWokenWhenABackoffEnds(t *testing.T) {
	engines(t, func(t *testing.T, b *bench) {
		q := b.queue(t, func(set *queues.Settings) { set.Retry = retry(queues.FixedBackoff, 5*time.Second, time.Hour) })
		b.send(t, q, "m")
		b.receive(t, q, 1)
		other, wait := b.another(t), 20*time.Second
		b.clock.Advance(29 * time.Second)
		done := make(chan []queues.Message)
		go func() {
			got, err := other.Receive(context.Background(), b.tenant, q, queues.ReceiveOptions{Wait: &wait})
			if err != nil {
				t.Error(err)
			}
			done <- got
		}()
		other.awaitParked(t, q, 1)
		b.clock.Advance(time.Second) // the lease ends; the message waits
		until(t, func() bool { return other.Running(b.tenant, q) == 0 })
		other.awaitParked(t, q, 1)
		b.clock.Advance(5 * time.Second)
		if got := <-done; len(got) != 1 || got[0].FailureCount != 1 {
			t.Errorf("got %+v", got)
		}
	})
}

func TestARetryPolicyHoldsAtOnceOnAllServers(t *testing.T) {
	engines(t, func(t *testing.T, b *bench) {
		q := b.queue(t, nil)
		b.send(t, q, "m")
		other := b.another(t)
		m := other.take(t, q, 1, "m")[0]
		want := retry(queues.FixedBackoff, time.Minute, time.Hour)
		want.Jitter = 0.001
		if _, err := b.Update(t.Context(), b.tenant, q, queues.Condition{}, func(set queues.Settings) (queues.Settings, error) {
			set.Retry = want
			return set, nil
		}); err != nil {
			t.Fatal(err)
		}
		out := other.settle(t, q, queues.Settlement{Verb: queues.Fail, ReceiptHandle: m.ReceiptHandle})
		if out[0].Wait != queuetest.WaitOf(want, m.ID, 1) {
			t.Errorf("wait: got %+v, want %s", out[0], queuetest.WaitOf(want, m.ID, 1))
		}
		// A server that starts now finds the policy, the wait and the count.
		later := b.another(t)
		queue, err := later.Get(t.Context(), b.tenant, q)
		if diff := cmp.Diff(want, queue.Settings.Retry); err != nil || diff != "" {
			t.Errorf("policy: %v (-want +got):\n%s", err, diff)
		}
		later.take(t, q, 1)
		b.clock.Advance(out[0].Wait)
		if got := later.take(t, q, 1, "m"); got[0].FailureCount != 1 {
			t.Errorf("got %+v", got[0])
		}
	})
}

func TestRetryPoliciesHaveBounds(t *testing.T) {
	engines(t, func(t *testing.T, b *bench) {
		q := b.queue(t, nil)
		for pointer, bad := range map[string]queues.Retry{
			"/retry/backoff":   {Backoff: "often", Delay: time.Second, MaxDelay: time.Second},
			"/retry/delay":     retry(queues.FixedBackoff, 0, time.Hour),
			"/retry/max_delay": retry(queues.FixedBackoff, time.Minute, time.Second),
			"/retry/jitter":    {Backoff: queues.FixedBackoff, Delay: time.Second, MaxDelay: time.Second, Jitter: 1.5},
		} {
			refusedWith(t, b.one(t, q, queues.Outgoing{Body: []byte("m"), Retry: &bad}), "validation_failed", pointer)
			set := queues.DefaultSettings()
			set.Retry = bad
			_, _, err := b.Put(t.Context(), b.tenant, q, set, queues.Condition{})
			refusedWith(t, err, "validation_failed", pointer)
		}
		for _, bad := range []queues.Retry{
			retry(queues.FixedBackoff, 1500*time.Millisecond, time.Hour),
			retry(queues.FixedBackoff, queues.MaxRetryDelay+time.Second, queues.MaxRetryDelay+time.Second),
			{Backoff: queues.FixedBackoff, Delay: time.Second, MaxDelay: time.Second, Jitter: math.NaN()},
			{Backoff: queues.FixedBackoff, Delay: time.Second, MaxDelay: time.Second, Jitter: 0.0005},
		} {
			var e *errs.Error
			if err := b.one(t, q, queues.Outgoing{Body: []byte("m"), Retry: &bad}); !errors.As(err, &e) || e.Kind != errs.Invalid {
				t.Errorf("%+v: got %v", bad, err)
			}
		}
		good := retry(queues.ExponentialBackoff, queues.MaxRetryDelay, queues.MaxRetryDelay)
		good.Jitter = 1
		if err := b.one(t, q, queues.Outgoing{Body: []byte("m"), Retry: &good}); err != nil {
			t.Error(err)
		}
		b.take(t, q, 10, "m")
	})
}
