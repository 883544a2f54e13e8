package queues_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/sluicemq/sluice/internal/errs"
	"github.com/sluicemq/sluice/queues"
)

// state returns the state of the group of a message that the test holds, "" for none.
func (b *bench) state(tb testing.TB, q string, m queues.Message) string {
	tb.Helper()
	state, err := b.GroupState(tb.Context(), b.tenant, q, m.ReceiptHandle)
	if err != nil {
		tb.Fatalf("state by %s: %v", m.Body, err)
	}
	if has := !state.EndsAt.IsZero(); has != (len(state.Content) > 0) || has && state.ContentType != "text/x" {
		tb.Errorf("state by %s: %+v", m.Body, state)
	}
	return string(state.Content)
}

func (b *bench) putState(tb testing.TB, q string, m queues.Message, content string) error {
	tb.Helper()
	ends, err := b.PutGroupState(tb.Context(), b.tenant, q, m.ReceiptHandle, queues.GroupState{Content: []byte(content), ContentType: "text/x"})
	if err == nil && !ends.Equal(b.clock.Now().Add(queues.DefaultSettings().Retention)) {
		tb.Errorf("the state ends at %s", ends)
	}
	return err
}

// wantNoState fails the test unless to read, to write and to delete a state are all refused with the error want.
func (b *bench) wantNoState(tb testing.TB, q, why, handle string, want error) {
	tb.Helper()
	_, read := b.GroupState(tb.Context(), b.tenant, q, handle)
	_, put := b.PutGroupState(tb.Context(), b.tenant, q, handle, queues.GroupState{Content: []byte("intruder")})
	for verb, err := range map[string]error{"read": read, "put": put, "delete": b.DeleteGroupState(tb.Context(), b.tenant, q, handle)} {
		if !errors.Is(err, want) {
			tb.Errorf("%s %s: got %v, want %v", verb, why, err, want)
		}
	}
}

// Whoever holds a message of a group reads and writes its state, on any server; it goes from holder to holder.
func TestTheHolderOfAGroupKeepsItsState(t *testing.T) {
	engines(t, func(t *testing.T, b *bench) {
		other := b.another(t)
		q := b.fifo(t, nil)
		b.post(t, q, "g:1", "g:2", "h:3")
		first := b.take1(t, q, "1")
		if third := other.take1(t, q, "3"); other.state(t, q, third) != "" {
			t.Error("a new group has a state")
		} else if err := b.putState(t, q, third, "of h"); err != nil {
			t.Fatal(err)
		}
		for _, content := range []string{"one", strings.Repeat("\x00", queues.MaxGroupState), "step 1"} {
			if err := b.putState(t, q, first, content); err != nil {
				t.Fatal(err)
			}
			if got := other.state(t, q, first); got != content {
				t.Errorf("the other server reads %d bytes, want %d", len(got), len(content))
			}
		}
		b.ack(t, q, first)
		b.wantNoState(t, q, "after the ack", first.ReceiptHandle, queues.ErrReceiptExpired)
		second := other.take1(t, q, "2")
		if got := b.state(t, q, second); got != "step 1" {
			t.Errorf("the next holder reads %q", got)
		}
		// Whoever is too slow is shut out, also while nobody else holds the message, and when it is received again.
		b.clock.Advance(30 * time.Second)
		b.wantNoState(t, q, "after the lease", second.ReceiptHandle, queues.ErrReceiptExpired)
		again := other.take1(t, q, "2")
		b.wantNoState(t, q, "when somebody else holds it", second.ReceiptHandle, queues.ErrReceiptExpired)
		b.settle(t, q, queues.Settlement{Verb: queues.Extend, ReceiptHandle: again.ReceiptHandle, For: time.Hour})
		b.clock.Advance(time.Minute)
		if got := b.another(t).state(t, q, again); got != "step 1" {
			t.Errorf("a new server reads %q", got)
		}
		if st, err := b.Stats(t.Context(), b.tenant, q); err != nil || st.Bytes <= int64(len("step 1")+len("of h")+2) {
			t.Errorf("stats %+v, %v: the states must count", st, err)
		}
		b.healthy(t, q)
		for range 2 {
			if err := other.DeleteGroupState(t.Context(), b.tenant, q, again.ReceiptHandle); err != nil {
				t.Fatal(err)
			}
			if got := b.state(t, q, again); got != "" {
				t.Errorf("deleted, and it reads %q", got)
			}
		}
		b.healthy(t, q)
	})
}

// A state that nobody writes for as long as the queue keeps messages is forgotten, and its bytes with it.
func TestAStateIsForgottenAfterTheRetention(t *testing.T) {
	engines(t, func(t *testing.T, b *bench) {
		q := b.fifo(t, func(s *queues.Settings) { s.VisibilityTimeout = queues.MaxVisibilityTimeout })
		retention := queues.DefaultSettings().Retention
		hold := func(body string) queues.Message {
			t.Helper()
			b.post(t, q, "g:"+body)
			return b.take1(t, q, body)
		}
		m := hold("1")
		if err := b.putState(t, q, m, "old"); err != nil {
			t.Fatal(err)
		}
		b.ack(t, q, m)
		b.clock.Advance(retention - time.Millisecond)
		m = hold("2")
		if got := b.state(t, q, m); got != "old" {
			t.Errorf("a moment before its end the state is %q", got)
		}
		b.clock.Advance(time.Millisecond)
		if got := b.state(t, q, m); got != "" {
			t.Errorf("at its end the state is %q", got)
		}
		b.ack(t, q, m)
		if st, err := b.Stats(t.Context(), b.tenant, q); err != nil || st.Bytes != 0 || st.Expired != 0 {
			t.Errorf("stats %+v, %v; want nothing left", st, err)
		}
		b.healthy(t, q)
		// Each write begins anew, and a purge ends all.
		m = hold("3")
		for range 3 {
			if err := b.putState(t, q, m, "kept"); err != nil {
				t.Fatal(err)
			}
			b.clock.Advance(time.Hour)
		}
		if _, err := b.Purge(t.Context(), b.tenant, q); err != nil {
			t.Fatal(err)
		}
		b.wantNoState(t, q, "after a purge", m.ReceiptHandle, queues.ErrReceiptExpired)
		m = hold("4")
		if st, err := b.Stats(t.Context(), b.tenant, q); err != nil || b.state(t, q, m) != "" || st.Bytes > 100 {
			t.Errorf("after a purge: %+v, %v, %q", st, err, b.state(t, q, m))
		}
		b.healthy(t, q)
	})
}

func TestStatesAreBounded(t *testing.T) {
	engines(t, func(t *testing.T, b *bench) {
		q := b.fifo(t, nil)
		b.post(t, q, "g:1")
		m := b.take1(t, q, "1")
		for _, state := range []queues.GroupState{{}, {Content: make([]byte, queues.MaxGroupState+1)}, {Content: []byte("x"), ContentType: strings.Repeat("t", 128)}} {
			if _, err := b.PutGroupState(t.Context(), b.tenant, q, m.ReceiptHandle, state); errs.KindOf(err) != errs.Invalid {
				t.Errorf("%d bytes of %q: got %v, want it refused", len(state.Content), state.ContentType, err)
			}
		}
		b.FillStates(t, b.tenant, q, b.clock.Now().Add(20*time.Second))
		if err := b.putState(t, q, m, "one more"); !errors.Is(err, queues.ErrStatesFull) {
			t.Errorf("one state too many: got %v, want %v", err, queues.ErrStatesFull)
		}
		b.clock.Advance(20 * time.Second)
		if err := b.putState(t, q, m, "those have ended"); err != nil {
			t.Error(err)
		}
		if st, err := b.Stats(t.Context(), b.tenant, q); err != nil || st.Bytes > 1000 {
			t.Errorf("stats %+v, %v; want what has ended forgotten", st, err)
		}
		b.healthy(t, q)
		if got := b.state(t, q, m); got != "those have ended" {
			t.Errorf("the state is %q", got)
		}
		// States count in a cap by bytes.
		full := b.fifo(t, capped(0, 2*queues.MinMessageSize, queues.Reject))
		b.post(t, full, "g:1")
		m = b.take1(t, full, "1")
		if err := b.putState(t, full, m, strings.Repeat("x", 2*queues.MinMessageSize)); !errors.Is(err, queues.ErrBytesFull) {
			t.Errorf("a state that does not fit: got %v, want %v", err, queues.ErrBytesFull)
		}
		if err := b.putState(t, full, m, strings.Repeat("x", 1900)); err != nil {
			t.Error(err)
		}
		if r := b.batch(t, full, false, queues.Outgoing{Body: []byte(strings.Repeat("y", 200)), GroupID: "g"}); !errors.Is(r[0].Err, queues.ErrBytesFull) {
			t.Errorf("a message that does not fit beside it: got %v, want %v", r[0].Err, queues.ErrBytesFull)
		}
		if err := b.putState(t, full, m, "less"); err != nil {
			t.Error(err)
		}
		if r := b.batch(t, full, false, queues.Outgoing{Body: []byte(strings.Repeat("y", 200)), GroupID: "g"}); r[0].Err != nil {
			t.Error(r[0].Err)
		}
		b.healthy(t, full)
	})
}

// Only the groups of FIFO queues have a state, and only its own receipts of a queue lead to it.
func TestAStateIsOfItsQueueAlone(t *testing.T) {
	engines(t, func(t *testing.T, b *bench) {
		q, twin := b.fifo(t, nil), b.fifo(t, nil)
		stranger := newBench(t, b.opt)
		for _, of := range []struct {
			b *bench
			q string
		}{{b, q}, {b, twin}, {stranger, stranger.fifo(t, nil)}} {
			of.b.post(t, of.q, "g:m")
			m := of.b.take1(t, of.q, "m")
			if got := of.b.state(t, of.q, m); got != "" {
				t.Errorf("the state is %q before it was written", got)
			}
			if err := of.b.putState(t, of.q, m, "of "+of.q); err != nil {
				t.Fatal(err)
			}
			if of.q != q {
				b.wantNoState(t, q, "by a receipt of another queue", m.ReceiptHandle, queues.ErrReceiptInvalid)
			}
		}
		b.wantNoState(t, q, "by no receipt", "rh_x", queues.ErrReceiptInvalid)
		b.wantNoState(t, "none.fifo", "of no queue", "rh_x", queues.ErrQueueNotFound)
		standard := b.queue(t, nil)
		b.batch(t, standard, false, queues.Outgoing{Body: []byte("m"), GroupID: "g"})
		b.wantNoState(t, standard, "of a standard queue", b.take1(t, standard, "m").ReceiptHandle, queues.ErrNoGroupState)
		if err := b.Delete(t.Context(), b.tenant, q, queues.Condition{}); err != nil {
			t.Fatal(err)
		}
		set := queues.DefaultSettings().For(q)
		set.FIFO.ContentBased = true
		if _, _, err := b.Put(t.Context(), b.tenant, q, set, queues.Condition{}); err != nil {
			t.Fatal(err)
		}
		b.post(t, q, "g:m")
		if m := b.take1(t, q, "m"); b.state(t, q, m) != "" {
			t.Error("a queue that was deleted and made again has the state of before")
		}
	})
}
