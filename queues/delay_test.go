package queues_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/sluicemq/sluice/internal/engine"
	"github.com/sluicemq/sluice/internal/errs"
	"github.com/sluicemq/sluice/internal/redistest"
	"github.com/sluicemq/sluice/queues"
)

// redelay gives a delayed message another time and returns that.
func (b *bench) redelay(tb testing.TB, q string, id engine.ID, due queues.Due) time.Time {
	tb.Helper()
	at, state, err := b.DelayMessage(tb.Context(), b.tenant, q, id, due)
	if err != nil {
		tb.Fatalf("delay %+v: %v", due, err)
	}
	if now := !at.After(b.clock.Now()); now != (state == queues.Available) {
		tb.Errorf("a message that is available at %s is %s", at, state)
	}
	return at
}

func TestADelayedMessageGetsAnotherTime(t *testing.T) {
	engines(t, func(t *testing.T, b *bench) {
		other := b.another(t)
		q := b.queue(t, nil)
		sooner, later, now, past := b.delayed(t, q, "sooner", time.Hour), b.delayed(t, q, "later", time.Minute), b.delayed(t, q, "now", time.Hour), b.delayed(t, q, "past", time.Hour)
		same(t, "sooner", start.Add(10*time.Second), b.redelay(t, q, sooner.ID, queues.Due{After: 10 * time.Second}))
		same(t, "later", start.Add(24*time.Hour), other.redelay(t, q, later.ID, queues.Due{At: start.Add(24 * time.Hour)}))
		b.take(t, q, 10)
		b.send(t, q, "was there")
		b.clock.Advance(time.Second)
		same(t, "now", b.clock.Now(), other.redelay(t, q, now.ID, queues.Due{}))
		same(t, "past", b.clock.Now(), b.redelay(t, q, past.ID, queues.Due{At: start.Add(-time.Hour)}))
		if got := b.counts(t, q); got != [3]int64{3, 0, 2} {
			t.Errorf("counts: got %v", got)
		}
		b.ack(t, q, other.take(t, q, 10, "was there", "now", "past")...)
		b.clock.Advance(9 * time.Second)
		b.ack(t, q, b.take(t, q, 10, "sooner")...)
		b.clock.Advance(time.Hour)
		b.take(t, q, 10)
		m, err := b.Message(t.Context(), b.tenant, q, later.ID)
		if err != nil || m.State != queues.Delayed || !m.AvailableAt.Equal(start.Add(24*time.Hour)) {
			t.Errorf("later: %+v, %v", m, err)
		}
		// One that a consumer returned with a delay.
		b.redelay(t, q, later.ID, queues.Due{})
		held := b.take(t, q, 1, "later")[0]
		b.settle(t, q, queues.Settlement{Verb: queues.Return, ReceiptHandle: held.ReceiptHandle, For: time.Hour})
		b.redelay(t, q, later.ID, queues.Due{})
		if again := b.take(t, q, 1, "later")[0]; again.ReceiveCount != 2 {
			t.Errorf("received %+v, want the second time", again)
		}
		b.healthy(t, q)
	})
}

func TestOnlyADelayedMessageGetsAnotherTime(t *testing.T) {
	engines(t, func(t *testing.T, b *bench) {
		q := b.queue(t, func(s *queues.Settings) { s.Retention = time.Hour })
		refused := func(what string, id engine.ID, due queues.Due, want error) {
			t.Helper()
			if _, _, err := b.DelayMessage(t.Context(), b.tenant, q, id, due); !errors.Is(err, want) {
				t.Errorf("%s: got %v, want %v", what, err, want)
			}
		}
		invalid := &errs.Error{Code: "validation_failed"}
		m := b.delayed(t, q, "m", 30*time.Minute).ID
		b.clock.Advance(time.Minute)
		refused("at the end of retention", m, queues.Due{At: start.Add(time.Hour)}, invalid)
		refused("after retention", m, queues.Due{After: 59 * time.Minute}, invalid)
		refused("backwards", m, queues.Due{After: -time.Second}, invalid)
		refused("no message", engine.ID{}, queues.Due{}, queues.ErrMessageNotFound)
		refused("another message", b.engine.NewID(0), queues.Due{}, queues.ErrMessageNotFound)
		if got, err := b.Message(t.Context(), b.tenant, q, m); err != nil || !got.AvailableAt.Equal(start.Add(30*time.Minute)) {
			t.Errorf("after refusals: %+v, %v", got, err)
		}
		b.redelay(t, q, m, queues.Due{After: 59*time.Minute - time.Millisecond})
		b.redelay(t, q, m, queues.Due{After: time.Second})
		b.clock.Advance(time.Second)
		refused("when its time has come", m, queues.Due{}, queues.ErrMessageNotDelayed)
		held := b.take(t, q, 1, "m")[0]
		refused("in flight", m, queues.Due{}, queues.ErrMessageInFlight)
		b.clock.Advance(30 * time.Second)
		refused("when its lease has ended", m, queues.Due{After: time.Minute}, queues.ErrMessageNotDelayed)
		b.settle(t, q, queues.Settlement{Verb: queues.Ack, ReceiptHandle: held.ReceiptHandle})
		refused("when it is done", m, queues.Due{}, queues.ErrMessageNotFound)
		old := b.send(t, q, "old").ID
		b.clock.Advance(time.Hour)
		refused("after its retention", old, queues.Due{}, queues.ErrMessageNotFound)
		if _, _, err := b.DelayMessage(t.Context(), b.tenant, "nowhere", m, queues.Due{}); !errors.Is(err, queues.ErrQueueNotFound) {
			t.Errorf("in no queue: %v", err)
		}
		b.healthy(t, q)
	})
}

func TestADelayedMessageOfAGroupKeepsItsPlace(t *testing.T) {
	engines(t, func(t *testing.T, b *bench) {
		q := b.fifo(t, func(s *queues.Settings) { s.Delay = time.Minute })
		sent := b.post(t, q, "g:1", "g:2", "g:3", "h:4")
		b.redelay(t, q, sent[1].ID, queues.Due{})
		b.take(t, q, 10) // it waits for the first one
		b.redelay(t, q, sent[0].ID, queues.Due{})
		held := b.take(t, q, 10, "1", "2")
		b.redelay(t, q, sent[2].ID, queues.Due{})
		b.take(t, q, 10)
		b.ack(t, q, held...)
		b.ack(t, q, b.take(t, q, 10, "3")...)
		// One that is put off holds up those behind it.
		more := b.post(t, q, "h:5")
		b.redelay(t, q, sent[3].ID, queues.Due{After: time.Hour})
		b.redelay(t, q, more[0].ID, queues.Due{})
		b.clock.Advance(time.Minute)
		b.take(t, q, 10)
		b.clock.Advance(time.Hour)
		b.take(t, q, 10, "4", "5")
		b.healthy(t, q)

		standard := b.queue(t, nil)
		wait := time.Hour
		m := b.batch(t, standard, false, queues.Outgoing{GroupID: "g", Body: []byte("1"), Delay: &wait}, queues.Outgoing{GroupID: "g", Body: []byte("2")})
		b.redelay(t, standard, m[0].ID, queues.Due{})
		b.take(t, standard, 10, "1", "2")
		b.healthy(t, standard)
	})
}

// Whoever waits gets the message as soon as it is there, on any server.
func TestADelayedMessageThatIsDeliveredNowWakesAWaiter(t *testing.T) {
	engines(t, func(t *testing.T, a *bench) {
		b := a.another(t)
		for i := range 8 {
			waiter, caller := a, []*bench{a, b}[i%2]
			q := a.queue(t, nil)
			var id engine.ID
			if i%4 < 2 {
				id = a.delayed(t, q, "m", time.Hour).ID
			} else {
				q = a.fifo(t, func(s *queues.Settings) { s.Delay = time.Minute })
				id = a.post(t, q, "g:m")[0].ID
			}
			got := waiter.wait(t.Context(), q, time.Hour)
			waiter.awaitParked(t, q, 1)
			caller.redelay(t, q, id, queues.Due{})
			promptly(t, got).want(t, "m")
		}
		// Behind one that is held it is nothing to wake for, until that one is done.
		q := a.fifo(t, func(s *queues.Settings) { s.Delay = time.Minute })
		sent := a.post(t, q, "g:1", "g:2")
		a.redelay(t, q, sent[0].ID, queues.Due{})
		held := a.take(t, q, 1, "1")
		got := a.wait(t.Context(), q, time.Hour)
		a.awaitParked(t, q, 1)
		b.redelay(t, q, sent[1].ID, queues.Due{})
		a.awaitParked(t, q, 1)
		b.ack(t, q, held...)
		promptly(t, got).want(t, "2")
	})
}

// On the machine's clock: whoever waits for a later time learns of the earlier one.
func TestAWaiterLearnsOfAnEarlierTime(t *testing.T) {
	t.Parallel()
	url := redistest.Start(t, redistest.Options{NoAOF: true}).URL()
	a := real(t, engine.Options{URL: url}, nil)
	b := real(t, engine.Options{URL: url}, a)
	for i, caller := range []*bench{a, b} {
		q := a.queue(t, nil)
		body := fmt.Sprint("m", i)
		id := a.delayed(t, q, body, time.Hour).ID
		got := a.wait(t.Context(), q, time.Hour)
		a.awaitParked(t, q, 1)
		due, state, err := caller.DelayMessage(t.Context(), caller.tenant, q, id, queues.Due{After: 100 * time.Millisecond})
		if err != nil || state != queues.Delayed {
			t.Fatal(state, err)
		}
		came := promptly(t, got)
		came.want(t, body)
		if early := due.Sub(came.at); early > time.Millisecond {
			t.Errorf("it came %s before its time", early)
		}
	}
}

// The death of Redis forgets no time that was changed.
func TestAChangedDelayOutlivesARestartOfRedis(t *testing.T) {
	t.Parallel()
	r := redistest.Start(t, redistest.Options{})
	b := newBench(t, engine.Options{URL: r.URL()})
	q := b.queue(t, nil)
	now, later := b.delayed(t, q, "now", time.Hour).ID, b.delayed(t, q, "later", time.Minute).ID
	b.redelay(t, q, now, queues.Due{})
	b.redelay(t, q, later, queues.Due{After: time.Hour})
	r.Kill9()
	r.Restart()
	other := b.another(t)
	other.ack(t, q, other.take(t, q, 10, "now")...)
	b.clock.Advance(time.Hour)
	other.take(t, q, 10, "later")
}
