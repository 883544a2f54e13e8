package queues_test

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sluicemq/sluice/internal/engine"
	"github.com/sluicemq/sluice/internal/errs"
	"github.com/sluicemq/sluice/queues"
	"github.com/sluicemq/sluice/tenants"
)

const (
	mib = 1 << 20
	// weight is what counts for a message beside its record; see lua/lib/stored.lua.
	weight = 100
)

// mayStore gives the tenant a limit of stored bytes, 0 for none, which this server knows at once.
func (b *bench) mayStore(tb testing.TB, most int64) {
	tb.Helper()
	tn, err := b.tenants.ByID(tb.Context(), b.tenant)
	if err != nil {
		tb.Fatal(err)
	}
	_, err = b.tenants.Update(tb.Context(), tn.Name, tenants.Condition{}, func(set tenants.Settings) (tenants.Settings, error) {
		set.Limits[tenants.LimitStored] = most
		return set, nil
	})
	if err != nil {
		tb.Fatal(err)
	}
}

// holdings returns what all queues of the tenant may fill and have stored, and what the tenant has given out. It fails when
// that is less than the queues have.
func (b *bench) holdings(tb testing.TB) (granted, used, given int64) {
	tb.Helper()
	err := b.Holders(tb.Context(), b.tenant, func(uid string) error {
		h, err := b.Holding(tb.Context(), b.tenant, uid, false, 0)
		granted += h.Grant
		used += h.Used
		return err
	})
	if err != nil {
		tb.Fatal(err)
	}
	text, err := b.engine.Single().HGet(tb.Context(), engine.TenantKey(b.tenant.String(), "stored"), "sum").Result()
	if err != nil {
		tb.Fatal(err)
	}
	given, _ = strconv.ParseInt(text, 10, 64)
	if granted > given {
		tb.Errorf("the queues have grants of %d bytes, and the tenant has given out %d", granted, given)
	}
	return granted, used, given
}

// fillUp sends messages of so many bytes until one is refused, and returns how many were not.
func (b *bench) fillUp(tb testing.TB, queue string, size int) int {
	tb.Helper()
	body := []byte(strings.Repeat("x", size))
	for n := 0; ; n++ {
		_, err := b.Send(tb.Context(), b.tenant, queue, queues.Outgoing{Body: body})
		if tenants.IsStorageFull(err) {
			return n
		}
		if err != nil || n > 100_000 {
			tb.Fatalf("send %d: %v", n, err)
		}
	}
}

// drain receives and acknowledges all that is available, and returns it.
func (b *bench) drain(tb testing.TB, queue string) (all []string) {
	tb.Helper()
	for {
		got := b.receive(tb, queue, 100)
		if len(got) == 0 {
			return all
		}
		for _, m := range got {
			all = append(all, m.Body)
			b.settle(tb, queue, queues.Settlement{ReceiptHandle: m.ReceiptHandle, Verb: queues.Ack})
		}
	}
}

func TestATenantStoresAsMuchAsItMay(t *testing.T) {
	engines(t, func(t *testing.T, b *bench) {
		q, other := b.queue(t, nil), b.queue(t, nil)
		b.mayStore(t, mib)
		n := b.fillUp(t, q, 10_000)
		if want := mib / (10_000 + weight + 50); n < want || n > mib/10_000 {
			t.Errorf("%d messages of 10,000 bytes were stored, want %d or a few more", n, want)
		}
		_, err := b.Send(t.Context(), b.tenant, q, queues.Outgoing{Body: make([]byte, 10_000)})
		e, _ := errors.AsType[*errs.Error](err)
		_, used, given := b.holdings(t)
		want := errs.Usage{Quota: "stored_bytes", Limit: mib, Used: used}
		if e == nil || e.Kind != errs.StorageFull || e.Usage == nil || *e.Usage != want || e.Fix == "" || e.RetryAfter == 0 {
			t.Errorf("refused with %+v, want usage %+v", e, want)
		}
		if used > mib || given > mib {
			t.Errorf("%d bytes are stored and %d given out, at most %d may be", used, given, mib)
		}
		// What is smaller still fits; and nobody else is concerned.
		b.send(t, q, "small")
		mine := b.tenant
		stranger, _, err := b.tenants.Put(t.Context(), fmt.Sprintf("x%s", mine), tenants.Settings{}, tenants.Condition{})
		if err != nil {
			t.Fatal(err)
		}
		b.tenant = stranger.ID
		b.send(t, b.queue(t, nil), strings.Repeat("x", mib/2))
		b.tenant = mine

		// What is acknowledged makes room at once, and for other queues within a second.
		got := b.receive(t, q, 10)
		for _, m := range got {
			b.settle(t, q, queues.Settlement{ReceiptHandle: m.ReceiptHandle, Verb: queues.Ack})
		}
		if n := b.fillUp(t, q, 10_000); n != len(got) {
			t.Errorf("%d messages were stored after %d were acknowledged", n, len(got))
		}
		b.drain(t, q)
		b.clock.Advance(time.Minute)
		if n2 := b.fillUp(t, other, 10_000); n2 < n {
			t.Errorf("%d messages were stored in another queue, want %d as in the first", n2, n)
		}
		if _, used, given := b.holdings(t); used > mib || given > mib {
			t.Errorf("%d bytes are stored and %d given out, at most %d may be", used, given, mib)
		}
	})
}

func TestOfABatchIsStoredWhatTheTenantMayStore(t *testing.T) {
	engines(t, func(t *testing.T, b *bench) {
		q, fifo := b.queue(t, nil), b.fifo(t, nil)
		b.mayStore(t, mib)
		large, small := queues.Outgoing{Body: make([]byte, 400_000)}, queues.Outgoing{Body: []byte("small")}
		batch := []queues.Outgoing{large, large, large, small}
		got, err := b.SendBatch(t.Context(), b.tenant, q, batch, false)
		if err != nil {
			t.Fatal(err)
		}
		for i, want := range []bool{true, true, false, true} {
			if stored := got[i].Err == nil; stored != want || !stored && !tenants.IsStorageFull(got[i].Err) {
				t.Errorf("message %d: %v", i, got[i].Err)
			}
		}
		if _, err := b.SendBatch(t.Context(), b.tenant, q, []queues.Outgoing{small, large}, true); !tenants.IsStorageFull(err) {
			t.Errorf("an atomic batch: %v", err)
		}
		if c := b.counts(t, q); c != [3]int64{3, 0, 0} {
			t.Errorf("counts are %v", c)
		}
		// In a FIFO queue nothing overtakes what was refused.
		for i := range batch {
			batch[i].GroupID, batch[i].DeduplicationID = "g", strconv.Itoa(i)
		}
		got, err = b.SendBatch(t.Context(), b.tenant, fifo, batch[2:], false)
		if err != nil || !tenants.IsStorageFull(got[0].Err) || !tenants.IsStorageFull(got[1].Err) {
			t.Errorf("got %+v, %v", got, err)
		}
		// What was refused is not remembered as sent.
		b.drain(t, q)
		b.clock.Advance(time.Minute)
		got, err = b.SendBatch(t.Context(), b.tenant, fifo, batch[2:], false)
		if err != nil || got[0].Err != nil || got[1].Err != nil || got[0].Replayed {
			t.Errorf("with room: %+v, %v", got, err)
		}
	})
}

func TestAnotherLimitOfStoredBytesHoldsAtOnce(t *testing.T) {
	engines(t, func(t *testing.T, b *bench) {
		q, other := b.queue(t, nil), b.queue(t, nil)
		body := strings.Repeat("x", 100_000)
		for range 15 { // before there is a limit, nobody counts
			b.send(t, q, body)
		}
		b.mayStore(t, mib)
		if n := b.fillUp(t, other, 10); n != 0 {
			t.Errorf("a tenant with 1.5 MB could send %d messages after it got a limit of 1 MiB", n)
		}
		b.mayStore(t, 4*mib)
		b.fillUp(t, other, 100_000)
		if _, used, _ := b.holdings(t); used < 38*mib/10 || used > 4*mib {
			t.Errorf("%d bytes are stored, of %d", used, 4*mib)
		}
		b.mayStore(t, 2*mib)
		if n := b.fillUp(t, q, 10); n != 0 {
			t.Errorf("%d messages were stored after the limit was lowered", n)
		}
		if len(b.drain(t, other)) == 0 || len(b.receive(t, q, 1)) != 1 {
			t.Error("a tenant over its limit cannot receive")
		}
		b.clock.Advance(time.Minute)
		if n := b.fillUp(t, other, 100_000); n < 3 || n > 6 {
			t.Errorf("%d messages were stored where there was room for 5", n)
		}
		b.mayStore(t, 0)
		b.send(t, q, strings.Repeat("x", mib/2))
		b.mayStore(t, 2*mib) // as before; what came meanwhile is counted when its queue is used, or swept
		if n := b.fillUp(t, q, 10); n != 0 {
			t.Errorf("%d messages were stored by a tenant over its limit", n)
		}
	})
}

// What goes from one queue to another one takes its room along: a full tenant's messages get where they belong.
func TestAFullTenantsMessagesGetToOtherQueues(t *testing.T) {
	engines(t, func(t *testing.T, b *bench) {
		dead := b.queue(t, nil)
		q := b.queue(t, func(s *queues.Settings) {
			s.Redrive = queues.Redrive{DeadLetterQueue: dead, MaxReceives: 1}
			s.VisibilityTimeout = time.Second
		})
		b.mayStore(t, mib)
		n := b.fillUp(t, q, 20_000)
		for held := 0; held < n; {
			held += len(b.receive(t, q, 100))
		}
		b.clock.Advance(2 * time.Second)
		b.receive(t, q, 100) // sends them off
		until(t, func() bool {
			b.clock.Advance(time.Second)
			st, err := b.Stats(t.Context(), b.tenant, q)
			return err == nil && st.Moving == 0 && b.counts(t, dead)[0] == int64(n) // what has arrived may not have left yet
		})
		_, used, given := b.holdings(t)
		if used > mib+int64(n)*200 { // a dead letter also has its story
			t.Errorf("%d bytes are stored", used)
		}
		t.Logf("%d messages, %d bytes stored, %d given out", n, used, given)
		if n := b.fillUp(t, q, 20_000); n > 1 {
			t.Errorf("%d messages could be sent to the queue whose messages have only gone elsewhere", n)
		}
		if got := b.drain(t, dead); len(got) != n {
			t.Errorf("%d of %d dead letters are there", len(got), n)
		}
		b.clock.Advance(time.Minute)
		if again := b.fillUp(t, q, 20_000); again < n-1 {
			t.Errorf("%d messages could be sent when all was drained, %d before", again, n)
		}
	})
}

func TestWhatIsDeliveredWaitsForATenantThatIsFull(t *testing.T) {
	engines(t, func(t *testing.T, b *bench) {
		q, other := b.queue(t, nil), b.queue(t, nil)
		b.mayStore(t, mib)
		b.fillUp(t, other, 10_000)
		var list []queues.Delivery
		for i := range 10 {
			m := queues.Outgoing{Body: []byte(fmt.Sprintf("%d-%s", i, strings.Repeat("x", 50_000)))}
			list = append(list, queues.Delivery{Sequence: int64(i + 1), Record: m.Record(), Size: len(m.Body)})
		}
		deliver := func(want int64) {
			t.Helper()
			got, err := b.Deliver(t.Context(), b.tenant, q, "topic", list, 10)
			if err != nil || got.Reached != want || (want < 10) != tenants.IsStorageFull(got.Full) {
				t.Errorf("reached %d, full: %v, error: %v; want %d", got.Reached, got.Full, err, want)
			}
		}
		deliver(1) // an empty queue takes one, or nothing would ever move
		deliver(1)
		if got := b.drain(t, q); len(got) != 1 {
			t.Errorf("%d messages came", len(got))
		}
		deliver(2)
		b.drain(t, other)
		b.clock.Advance(time.Minute)
		deliver(10)
		if got := b.drain(t, q); len(got) != 9 || got[8][0] != '9' {
			t.Errorf("%d messages came", len(got))
		}
	})
}

func TestADeletedQueueGivesBackWhatItHad(t *testing.T) {
	engines(t, func(t *testing.T, b *bench) {
		q, other := b.queue(t, func(s *queues.Settings) { s.Shards = 2 }), b.queue(t, nil)
		b.mayStore(t, mib)
		b.fillUp(t, q, 10_000)
		if err := b.Delete(t.Context(), b.tenant, q, queues.Condition{}); err != nil {
			t.Fatal(err)
		}
		if granted, _, given := b.holdings(t); granted != 0 || given != 0 {
			t.Errorf("%d bytes are given out after the queue was deleted", given)
		}
		n := b.fillUp(t, other, 10_000)
		if _, err := b.Purge(t.Context(), b.tenant, other); err != nil {
			t.Fatal(err)
		}
		if again := b.fillUp(t, other, 10_000); again != n {
			t.Errorf("%d messages were stored after a purge, %d before", again, n)
		}
	})
}

// Many who send at the same time by two servers never store more than the tenant may, and use most of it.
func TestStoredBytesHoldOnTwoServers(t *testing.T) {
	engines(t, func(t *testing.T, b *bench) {
		const servers, senders, limit = 2, 4, 2 * mib
		qs := []string{b.queue(t, nil), b.queue(t, nil), b.queue(t, nil)}
		b.mayStore(t, limit)
		nodes := []*bench{b, b.another(t)}
		var wg sync.WaitGroup
		for i := range servers * senders {
			wg.Go(func() {
				for k := range 200 {
					body := make([]byte, 1000+k*37%5000)
					_, err := nodes[i%servers].Send(t.Context(), b.tenant, qs[(i+k)%len(qs)], queues.Outgoing{Body: body})
					if err != nil && !tenants.IsStorageFull(err) {
						t.Error(err)
					}
				}
			})
		}
		wg.Wait()
		b.clock.Advance(time.Minute)
		b.fillUp(t, qs[0], 5000)
		_, used, given := b.holdings(t)
		if used > limit || given > limit || used < limit*9/10 {
			t.Errorf("%d bytes are stored and %d given out, of %d", used, given, limit)
		}
		var stored int64
		for _, q := range qs {
			st, err := b.Stats(t.Context(), b.tenant, q)
			if err != nil {
				t.Fatal(err)
			}
			stored += st.Bytes + st.Available*weight
		}
		if stored != used {
			t.Errorf("%d bytes are counted, and by the queues' own counts there are %d", used, stored)
		}
	})
}

// Whatever is lost between the tenant and its queues, the queues never have more than was given out; and a count finds what
// is missing.
func TestALostGrantIsFoundAgain(t *testing.T) {
	engines(t, func(t *testing.T, b *bench) {
		q := b.queue(t, nil)
		b.mayStore(t, mib)
		b.send(t, q, "x")
		holder := ""
		if err := b.Holders(t.Context(), b.tenant, func(uid string) error {
			holder = uid
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		has, err := b.Holding(t.Context(), b.tenant, holder, false, 0)
		if err != nil {
			t.Fatal(err)
		}
		// A server draws most of it, for this queue and for one that is gone, and dies before it says so.
		for _, uid := range []string{holder, "gone"} {
			if _, err := b.storage.Draw(t.Context(), b.tenant, mib, tenants.Holder('q', uid), has, mib*4/10, tenants.DrawNone); err != nil {
				t.Fatal(err)
			}
		}
		if granted, _, given := b.holdings(t); granted >= given || given < mib*8/10 {
			t.Errorf("%d of %d bytes have arrived", granted, given)
		}
		// The tenant's record of it is lost as well, or a part of that.
		if n := b.fillUp(t, q, 10_000); n < 95 {
			t.Errorf("%d messages were stored, want about 100: what was lost is not found", n)
		}
		if err := b.engine.Single().HDel(t.Context(), engine.TenantKey(b.tenant.String(), "stored"), "q/"+holder, "sum", "used").Err(); err != nil {
			t.Fatal(err)
		}
		if err := b.storage.Sweep(t.Context(), b.tenant); err != nil {
			t.Fatal(err)
		}
		b.clock.Advance(time.Minute)
		if n := b.fillUp(t, b.queue(t, nil), 20_000); n != 0 {
			t.Errorf("%d more messages were stored after the count was lost and done again", n)
		}
		b.holdings(t)
	})
}

func TestStatesOfGroupsCount(t *testing.T) {
	engines(t, func(t *testing.T, b *bench) {
		q := b.fifo(t, nil)
		b.mayStore(t, mib)
		if err := b.one(t, q, queues.Outgoing{Body: []byte("m"), GroupID: "g", DeduplicationID: "1"}); err != nil {
			t.Fatal(err)
		}
		b.fillUp(t, b.queue(t, nil), 1000)
		m := b.receive(t, q, 1)[0]
		_, err := b.PutGroupState(t.Context(), b.tenant, q, m.ReceiptHandle, queues.GroupState{Content: make([]byte, 8000)})
		if !tenants.IsStorageFull(err) {
			t.Errorf("a state could be written: %v", err)
		}
		b.mayStore(t, 2*mib)
		if _, err = b.PutGroupState(t.Context(), b.tenant, q, m.ReceiptHandle, queues.GroupState{Content: make([]byte, 8000)}); err != nil {
			t.Error(err)
		}
	})
}
