package queues_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sluicemq/sluice/internal/engine"
	"github.com/sluicemq/sluice/internal/faultnet"
	"github.com/sluicemq/sluice/internal/redistest"
	"github.com/sluicemq/sluice/queues"
)

// lossy is a server whose next reply from Redis can be lost, and one beside it that is well.
type lossy struct {
	*bench
	well  *bench
	proxy *faultnet.Proxy
}

func newLossy(t *testing.T) lossy {
	t.Helper()
	s := redistest.Start(t, redistest.Options{NoAOF: true})
	l := lossy{well: bare(t, engine.Options{URL: s.URL()}, nil), proxy: faultnet.New(t, s.Network(), s.Addr())}
	l.bench = bare(t, engine.Options{URL: s.URL(), Dialer: l.proxy.Dialer()}, l.well)
	// Redis shall know all scripts by now: the reply that is lost is to be that of a script, not that there is none.
	q := l.well.queue(t, nil)
	l.well.send(t, q, "m")
	m := l.well.receive(t, q, 1)[0]
	l.well.settle(t, q, queues.Settlement{Verb: queues.Return, ReceiptHandle: m.ReceiptHandle})
	if _, _, err := l.well.DelayMessage(t.Context(), l.tenant, q, m.ID, queues.Due{}); !errors.Is(err, queues.ErrMessageNotDelayed) {
		t.Fatal(err)
	}
	if err := l.well.DeleteMessage(t.Context(), l.tenant, q, m.ID); err != nil {
		t.Fatal(err)
	}
	if _, err := l.well.Purge(t.Context(), l.tenant, q); err != nil {
		t.Fatal(err)
	}
	if _, _, err := l.well.Put(t.Context(), l.tenant, q, withTimeout(time.Minute), queues.Condition{}); err != nil {
		t.Fatal(err)
	}
	if err := l.well.Delete(t.Context(), l.tenant, q, queues.Condition{}); err != nil {
		t.Fatal(err)
	}
	return l
}

// lose makes a call whose reply is lost after the script has run.
func (l lossy) lose(t *testing.T, call func()) {
	t.Helper()
	fired := l.proxy.CutReplyAfter(0)
	call()
	select {
	case <-fired:
	default:
		t.Fatal("no reply was lost")
	}
}

// A call whose reply is lost is repeated and has its effect once, with the first answer.
func TestLostReplies(t *testing.T) {
	t.Parallel()
	l := newLossy(t)
	queue := func(bodies ...string) string {
		q := l.well.queue(t, nil)
		for _, body := range bodies {
			l.well.send(t, q, body)
		}
		l.counts(t, q) // the lossy server knows the queue
		return q
	}
	t.Run("send", func(t *testing.T) {
		q := queue()
		var sent []queues.SendResult
		l.lose(t, func() {
			sent = l.batch(t, q, false, queues.Outgoing{Body: []byte("a")}, keyedMessage("k", "b"), keyedMessage("k", "b"))
		})
		got := l.well.receive(t, q, 10)
		if diff := cmp.Diff([]string{"a", "b"}, bodies(got)); diff != "" {
			t.Fatalf("received (-want +got):\n%s", diff)
		}
		if sent[0].ID != got[0].ID || sent[1].ID != got[1].ID || sent[1].Replayed || sent[2].ID != got[1].ID || !sent[2].Replayed {
			t.Errorf("sent %+v, received %s and %s", sent, got[0].ID, got[1].ID)
		}
	})
	t.Run("receive", func(t *testing.T) {
		q := queue("a", "b", "c")
		var got []queues.Message
		l.lose(t, func() { got = l.receive(t, q, 2) })
		if diff := cmp.Diff([]string{"a", "b"}, bodies(got)); diff != "" {
			t.Fatalf("received (-want +got):\n%s", diff)
		}
		for _, m := range got {
			if m.ReceiveCount != 1 || l.Delivery(t, l.tenant, q, m.ReceiptHandle) != 1 {
				t.Errorf("received %+v, want the first delivery", m)
			}
			there, err := l.well.Message(t.Context(), l.tenant, q, m.ID)
			if err != nil || !there.LeaseExpiresAt.Equal(m.LeaseExpiresAt) || !there.FirstReceivedAt.Equal(m.FirstReceivedAt) {
				t.Errorf("received %+v, but the queue has %+v, %v", m, there, err)
			}
			out := l.well.settle(t, q, queues.Settlement{Verb: queues.Ack, ReceiptHandle: m.ReceiptHandle})
			if out[0].Err != nil {
				t.Errorf("ack: %v", out[0].Err)
			}
		}
		if got := l.well.counts(t, q); got != [3]int64{1, 0, 0} {
			t.Errorf("counts: got %v, want one available", got)
		}
	})
	t.Run("settle", func(t *testing.T) {
		q := queue("acked", "returned", "delayed", "extended", "unreceived")
		held := l.receive(t, q, 10)
		verb := func(i int, v queues.Verb, d time.Duration) queues.Settlement {
			return queues.Settlement{Verb: v, ReceiptHandle: held[i].ReceiptHandle, For: d}
		}
		var out []queues.Settled
		l.lose(t, func() {
			out = l.settle(t, q, verb(0, queues.Ack, 0), verb(1, queues.Return, 0), verb(2, queues.Return, time.Hour), verb(3, queues.Extend, time.Hour))
		})
		for i, o := range out {
			if o.Err != nil {
				t.Errorf("settlement %d: %v", i, o.Err)
			}
		}
		l.lose(t, func() { l.Unreceive(t.Context(), l.tenant, q, held[4:]) })
		if got := l.well.counts(t, q); got != [3]int64{2, 1, 1} {
			t.Errorf("counts: got %v, want 2 available, 1 in flight and 1 delayed", got)
		}
		for _, m := range l.well.receive(t, q, 10) {
			want := map[string]int{"returned": 2, "unreceived": 1}[m.Body]
			if m.ReceiveCount != want || l.Delivery(t, l.tenant, q, m.ReceiptHandle) != 2 {
				t.Errorf("received %+v, want the second delivery and count %d", m, want)
			}
		}
	})
	t.Run("delay", func(t *testing.T) {
		q := queue()
		id := l.well.delayed(t, q, "m", time.Hour).ID
		l.lose(t, func() {
			if _, state, err := l.DelayMessage(t.Context(), l.tenant, q, id, queues.Due{}); err != nil || state != queues.Available {
				t.Errorf("delay: %s, %v", state, err)
			}
		})
		l.well.take(t, q, 10, "m")
		l.lose(t, func() {
			if _, _, err := l.DelayMessage(t.Context(), l.tenant, q, id, queues.Due{}); !errors.Is(err, queues.ErrMessageInFlight) {
				t.Errorf("delay of one in flight: %v", err)
			}
		})
	})
	t.Run("delete and purge", func(t *testing.T) {
		q := queue("a", "b")
		m := l.well.receive(t, q, 1)[0]
		l.lose(t, func() {
			if err := l.DeleteMessage(t.Context(), l.tenant, q, m.ID); err != nil {
				t.Errorf("delete: %v", err)
			}
		})
		l.lose(t, func() {
			if n, err := l.Purge(t.Context(), l.tenant, q); n != 1 || err != nil {
				t.Errorf("purge: %d, %v; want 1", n, err)
			}
		})
	})
	t.Run("create, update and delete", func(t *testing.T) {
		var q queues.Queue
		var err error
		l.lose(t, func() { // of the first step
			q, _, err = l.Put(t.Context(), l.tenant, "made", withTimeout(time.Minute), queues.Condition{})
		})
		if err != nil || q.Settings.VisibilityTimeout != time.Minute {
			t.Fatalf("put: %+v, %v", q, err)
		}
		l.lose(t, func() {
			_, err = l.Update(t.Context(), l.tenant, "made", queues.Condition{ETag: q.ETag}, func(s queues.Settings) (queues.Settings, error) {
				s.VisibilityTimeout = time.Hour
				return s, nil
			})
		})
		if err != nil {
			t.Errorf("update: %v", err)
		}
		l.lose(t, func() { err = l.Delete(t.Context(), l.tenant, "made", queues.Condition{}) })
		if err != nil {
			t.Errorf("delete: %v", err)
		}
		l.well.missing(t, "made")
	})
	page, _, err := l.well.List(t.Context(), l.tenant, "", "", 100)
	if err != nil {
		t.Fatal(err)
	}
	for _, q := range page {
		l.well.healthy(t, q.Name)
	}
}

// A receive whose reply was lost is repeated after its lease has ended and somebody else has the message: it belongs
// to them.
func TestG3_ALostReceiveDoesNotTakeWhatOthersHoldByNow(t *testing.T) {
	t.Parallel()
	l := newLossy(t)
	q := l.well.queue(t, nil)
	for _, body := range []string{"taken", "acked", "left"} {
		l.well.send(t, q, body)
	}
	l.counts(t, q)
	short := 300 * time.Millisecond
	l.proxy.SwallowReplies()
	got := make(chan arrival, 1)
	go func() {
		list, err := l.Receive(t.Context(), l.tenant, q, queues.ReceiveOptions{Max: 3, VisibilityTimeout: &short})
		got <- arrival{list, err, time.Now()}
	}()
	head := l.Keys(l.tenant, q)["h"]
	until(t, func() bool { return l.well.engine.Single().HGet(t.Context(), head, "out").Val() == "3" }) // lent, however short
	var others []queues.Message
	until(t, func() bool {
		others = append(others, l.well.receive(t, q, 2-len(others))...)
		return len(others) == 2
	})
	l.well.settle(t, q, queues.Settlement{Verb: queues.Ack, ReceiptHandle: others[1].ReceiptHandle})
	l.proxy.Heal()
	// The call is repeated. What it was lent once is not its own any more.
	a := <-got
	if a.err != nil {
		t.Fatal(a.err)
	}
	for _, m := range a.list {
		if m.ID == others[0].ID || m.ID == others[1].ID {
			t.Errorf("%q was given to two consumers at once", m.Body)
		}
	}
	out := l.well.settle(t, q, queues.Settlement{Verb: queues.Extend, ReceiptHandle: others[0].ReceiptHandle, For: time.Minute})
	if out[0].Err != nil {
		t.Errorf("the holder lost its lease: %v", out[0].Err)
	}
	l.well.healthy(t, q)
}

// A request that hung in the network is carried out elsewhere meanwhile and arrives at last: it must not run again,
// neither as a copy of the last call nor, later, as an old one.
func TestARequestThatArrivesLate(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t, redistest.Options{NoAOF: true})
	proxy := faultnet.New(t, s.Network(), s.Addr())
	var hang atomic.Bool
	well := bare(t, engine.Options{URL: s.URL()}, nil)
	b := bare(t, engine.Options{URL: s.URL(), Dialer: func(ctx context.Context, network, addr string) (net.Conn, error) {
		if hang.Load() {
			return proxy.Dialer()(ctx, network, addr)
		}
		return (&net.Dialer{}).DialContext(ctx, s.Network(), s.Addr())
	}}, well)
	for _, later := range []bool{false, true} {
		t.Run(fmt.Sprint("after a later call: ", later), func(t *testing.T) {
			q := well.queue(t, nil)
			hang.Store(true)
			b.Disconnect(t.Context())
			b.counts(t, q) // on a connection through the proxy
			proxy.BlackHole()
			done := make(chan queues.SendResult, 1)
			go func() { done <- b.batch(t, q, false, queues.Outgoing{Body: []byte("m")})[0] }()
			hang.Store(false) // the next attempt goes through
			if sent := <-done; sent.Err != nil {
				t.Fatalf("send: %v", sent.Err)
			}
			want := []string{"m"}
			if later {
				b.send(t, q, "n")
				want = append(want, "n")
			}
			got := bodies(well.receive(t, q, 10))
			run := scriptsRun(t, s)
			proxy.Heal()
			until(t, func() bool { return scriptsRun(t, s) != run }) // the late one has arrived
			got = append(got, bodies(well.receive(t, q, 10))...)
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("received (-want +got):\n%s", diff)
			}
			well.healthy(t, q)
		})
	}
}

// scriptsRun returns what Redis has counted of the scripts that it ran.
func scriptsRun(t *testing.T, s *redistest.Server) string {
	t.Helper()
	return s.Client(t).InfoMap(t.Context(), "commandstats").Item("Commandstats", "cmdstat_evalsha")
}
