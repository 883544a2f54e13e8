package queues_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sluicemq/sluice/internal/clock"
	"github.com/sluicemq/sluice/internal/engine"
	"github.com/sluicemq/sluice/internal/errs"
	"github.com/sluicemq/sluice/internal/faultnet"
	"github.com/sluicemq/sluice/internal/redistest"
	"github.com/sluicemq/sluice/queues"
	"github.com/sluicemq/sluice/tenants"
)

// bare starts a server's store on the machine's clock, with nothing that runs in the background, for a tenant of its
// own or, when there is one, for that of like.
func bare(tb testing.TB, opt engine.Options, like *bench) *bench {
	tb.Helper()
	e, err := engine.Open(opt)
	if err != nil {
		tb.Fatalf("open engine: %v", err)
	}
	tb.Cleanup(func() { _ = e.Close() })
	if err := e.StartSession(tb.Context()); err != nil {
		tb.Fatalf("start session: %v", err)
	}
	b := &bench{engine: e, opt: opt}
	b.Store = queues.New(queues.Config{Engine: e, ReceiptKey: []byte("0123456789abcdef0123456789abcdef")})
	if like != nil {
		b.tenant = like.tenant
		return b
	}
	name := fmt.Sprintf("t%d-%d", os.Getpid(), names.Add(1))
	tn, _, err := tenants.New(e, clock.Real{}).Put(tb.Context(), name, tenants.Settings{}, tenants.Condition{})
	if err != nil {
		tb.Fatalf("create tenant: %v", err)
	}
	b.tenant = tn.ID
	return b
}

func isUnknown(err error) bool { return errs.KindOf(err) == errs.Unknown }

// cutter makes calls through a proxy that cuts the connection, and looks at what came of them by another way.
type cutter struct {
	proxy  *faultnet.Proxy
	via    *bench // through the proxy
	direct *bench
	queue  string
	repeat bool // via repeats a call whose outcome is unknown
	score  *cutScore
	stored int64 // messages that are in the queue
}

// cutScore is what all cutters of a test have seen.
type cutScore struct{ cuts, silent, unknown, torn, duplicates atomic.Int64 }

// TestG1h_EveryByteCut ends the connection to Redis at every byte of a request and of its reply. The call was carried
// out or not, never in part; what was acknowledged was; and where the server repeats the call it is carried out once.
func TestG1h_EveryByteCut(t *testing.T) {
	t.Parallel()
	const workers = 4
	s := redistest.Start(t, redistest.Options{Port: true})
	var mu sync.Mutex
	figures := ""
	t.Cleanup(func() { t.Logf("bytes cut, of which nobody noticed, unknown, torn, duplicates\n%s", figures) })
	for _, op := range []struct {
		name    string
		prepare func(*cutter) (any, error)
		run     func(c *cutter, prepared any, k int) error
	}{
		{"send", func(*cutter) (any, error) { return nil, nil }, (*cutter).send},
		{"receive", (*cutter).prepareReceive, (*cutter).receive},
		{"ack", (*cutter).prepareAck, (*cutter).ack},
	} {
		for _, repeat := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s, repeated %t", op.name, repeat), func(t *testing.T) {
				t.Parallel()
				score := &cutScore{}
				began := time.Now()
				cutters := make([]*cutter, workers)
				for i := range cutters {
					cutters[i] = newCutter(t, s, repeat, score)
				}
				// What one call without a cut takes.
				first := cutters[0]
				prepared, err := op.prepare(first)
				if err != nil {
					t.Fatal(err)
				}
				before := first.proxy.Stats()
				// Without a second attempt a busy machine may be too slow to connect: then nothing was sent.
				for err = op.run(first, prepared, -1); errors.Is(err, engine.ErrUnavailable); err = op.run(first, prepared, -1) {
					before = first.proxy.Stats()
				}
				if err != nil {
					t.Fatal(err)
				}
				after := first.proxy.Stats()
				request, reply := after.RequestBytes-before.RequestBytes, after.ReplyBytes-before.ReplyBytes

				var next atomic.Int64
				var wg sync.WaitGroup
				for _, c := range cutters {
					wg.Go(func() {
						for k := next.Add(1) - 1; k <= request+reply+1; k = next.Add(1) - 1 {
							if err := c.cut(op.prepare, op.run, request, int(k)); err != nil {
								t.Errorf("%s, byte %d of %d and %d: %v", op.name, k, request, reply, err)
							}
						}
					})
				}
				wg.Wait()
				for _, c := range cutters {
					c.direct.healthy(t, c.queue)
				}
				mu.Lock()
				defer mu.Unlock()
				figures += fmt.Sprintf("%-8s repeated %-5t %4d (%d + %d) %3d %4d %d %d in %v\n", op.name, repeat, score.cuts.Load(), request, reply,
					score.silent.Load(), score.unknown.Load(), score.torn.Load(), score.duplicates.Load(), time.Since(began).Round(time.Millisecond))
				if score.torn.Load() > 0 || score.duplicates.Load() > 0 {
					t.Errorf("torn %d, duplicates %d", score.torn.Load(), score.duplicates.Load())
				}
			})
		}
	}
}

func newCutter(t *testing.T, s *redistest.Server, repeat bool, score *cutScore) *cutter {
	t.Helper()
	c := &cutter{proxy: faultnet.New(t, s.Network(), s.Addr()), repeat: repeat, score: score}
	c.direct = bare(t, engine.Options{URL: s.URL()}, nil)
	c.queue = c.direct.queue(t, nil)
	opt := engine.Options{URL: s.URL(), Dialer: c.proxy.Dialer()}
	if !repeat {
		opt.Budget = time.Nanosecond
	}
	// The scripts are loaded and the connection is open before anything is cut.
	c.direct.send(t, c.queue, "warm")
	m := c.direct.receive(t, c.queue, 1)[0]
	c.direct.settle(t, c.queue, queues.Settlement{Verb: queues.Ack, ReceiptHandle: m.ReceiptHandle})
	bare(t, engine.Options{URL: s.URL()}, c.direct).counts(t, c.queue) // which must read the settings, unlike who made the queue
	c.via = bare(t, opt, c.direct)
	if _, err := c.via.Stats(t.Context(), c.via.tenant, c.queue); err != nil {
		t.Fatal(err)
	}
	return c
}

// cut makes one call and cuts it at byte k of its request and the reply behind it.
func (c *cutter) cut(prepare func(*cutter) (any, error), run func(*cutter, any, int) error, request int64, k int) error {
	prepared, err := prepare(c)
	if err != nil {
		return fmt.Errorf("prepare: %w", err)
	}
	// A connection that the last cut has ended is noticed and replaced by this.
	if err := c.reconnect(); err != nil {
		return fmt.Errorf("reconnect: %w", err)
	}
	var fired <-chan struct{}
	if int64(k) <= request {
		fired = c.proxy.CutRequestAfter(int64(k))
	} else {
		fired = c.proxy.CutReplyAfter(int64(k) - request - 1)
	}
	err = run(c, prepared, k)
	c.score.cuts.Add(1)
	select {
	case <-fired:
	default: // the request was a few bytes shorter than the one that was measured, or the cut is right behind the last one
		c.score.silent.Add(1)
	}
	c.proxy.Heal()
	return err
}

func (c *cutter) reconnect() error {
	for try := 0; ; try++ {
		err := c.via.engine.Ping(context.Background())
		if err == nil || try == 10 {
			return err
		}
	}
}

// note classes the outcome of a call. It reports whether the call may have been carried out, and whether it must.
func (c *cutter) note(err error) (may, must bool, bad error) {
	switch {
	case err == nil:
		return true, true, nil
	case c.repeat:
		return true, false, fmt.Errorf("a call that is repeated ended with %w", err)
	case isUnknown(err):
		c.score.unknown.Add(1)
		return true, false, nil
	case errs.KindOf(err) == errs.Unavailable:
		return false, false, nil
	}
	return true, false, err
}

// counted holds the queue's counters against what must be stored.
func (c *cutter) counted(available, inFlight int64) error {
	st, err := c.direct.Stats(context.Background(), c.direct.tenant, c.queue)
	if err != nil {
		return err
	}
	if st.Available != available || st.InFlight != inFlight || st.Delayed != 0 {
		c.score.torn.Add(1)
		return fmt.Errorf("%d available, %d in flight, %d delayed; want %d, %d and 0", st.Available, st.InFlight, st.Delayed, available, inFlight)
	}
	return nil
}

func (c *cutter) send(_ any, k int) error {
	sent, err := c.via.Send(context.Background(), c.via.tenant, c.queue, queues.Outgoing{Body: []byte("send " + fmt.Sprint(k))})
	may, must, bad := c.note(err)
	if bad != nil {
		return bad
	}
	_, err = c.direct.Message(context.Background(), c.direct.tenant, c.queue, sent.ID)
	there := err == nil
	if err != nil && !errors.Is(err, queues.ErrMessageNotFound) {
		return err
	}
	if there && !may || !there && must {
		c.score.torn.Add(1)
		return fmt.Errorf("stored %t, but it must be %t and may be %t", there, must, may)
	}
	if there {
		c.stored++
	}
	if err := c.counted(c.stored, 0); err != nil {
		c.score.duplicates.Add(1)
		return err
	}
	return nil
}

// prepareReceive stores a message, which is the only one that is available.
func (c *cutter) prepareReceive() (any, error) {
	sent, err := c.direct.Send(context.Background(), c.direct.tenant, c.queue, queues.Outgoing{Body: []byte("m")})
	return sent.ID, err
}

func (c *cutter) receive(prepared any, _ int) error {
	id := prepared.(engine.ID)
	got, err := c.via.Receive(context.Background(), c.via.tenant, c.queue, queues.ReceiveOptions{Max: 10})
	may, must, bad := c.note(err)
	if bad != nil {
		return bad
	}
	if must && (len(got) != 1 || got[0].ID != id || got[0].ReceiveCount != 1) {
		c.score.torn.Add(1)
		return fmt.Errorf("received %+v, want message %s for the first time", got, id)
	}
	m, err := c.direct.Message(context.Background(), c.direct.tenant, c.queue, id)
	if err != nil {
		return err
	}
	lent := m.State == queues.InFlight
	if lent && !may || !lent && must {
		c.score.torn.Add(1)
		return fmt.Errorf("lent %t, but it must be %t and may be %t", lent, must, may)
	}
	available, inFlight := int64(1), int64(0)
	if lent {
		available, inFlight = 0, 1
	}
	if err := c.counted(available, inFlight); err != nil {
		return err
	}
	if must { // the lease is its caller's, whichever attempt took it
		out, err := c.direct.Settle(context.Background(), c.direct.tenant, c.queue,
			[]queues.Settlement{{Verb: queues.Ack, ReceiptHandle: got[0].ReceiptHandle}})
		if err != nil || out[0].Err != nil {
			return fmt.Errorf("ack of what was received: %w", errors.Join(err, out[0].Err))
		}
		return c.counted(0, 0)
	}
	return c.direct.DeleteMessage(context.Background(), c.direct.tenant, c.queue, id)
}

// prepareAck lends the only message.
func (c *cutter) prepareAck() (any, error) {
	if _, err := c.prepareReceive(); err != nil {
		return nil, err
	}
	got, err := c.direct.Receive(context.Background(), c.direct.tenant, c.queue, queues.ReceiveOptions{Max: 10})
	if err == nil && len(got) != 1 {
		err = fmt.Errorf("received %d messages, want 1", len(got))
	}
	if err != nil {
		return nil, err
	}
	return got[0], nil
}

func (c *cutter) ack(prepared any, _ int) error {
	m := prepared.(queues.Message)
	out, err := c.via.Settle(context.Background(), c.via.tenant, c.queue, []queues.Settlement{{Verb: queues.Ack, ReceiptHandle: m.ReceiptHandle}})
	if err == nil {
		err = out[0].Err
	}
	may, must, bad := c.note(err)
	if bad != nil {
		return bad
	}
	_, err = c.direct.Message(context.Background(), c.direct.tenant, c.queue, m.ID)
	gone := errors.Is(err, queues.ErrMessageNotFound)
	if err != nil && !gone {
		return err
	}
	if gone && !may || !gone && must {
		c.score.torn.Add(1)
		return fmt.Errorf("gone %t, but it must be %t and may be %t", gone, must, may)
	}
	if gone {
		return c.counted(0, 0)
	}
	if err := c.counted(0, 1); err != nil {
		return err
	}
	return c.direct.DeleteMessage(context.Background(), c.direct.tenant, c.queue, m.ID)
}

// TestG1f_MemoryFull lets producers fill Redis. What they were told is refused is not there, and consumers get
// everything else out, down to the last message, while nothing that drains is ever refused.
func TestG1f_MemoryFull(t *testing.T) {
	t.Parallel()
	const producers, consumers, refusals = 20, 4, 200
	s := redistest.Start(t, redistest.Options{MaxMemory: "8mb"})
	b := bare(t, engine.Options{URL: s.URL()}, nil)
	q, doomed := b.queue(t, func(s *queues.Settings) { s.VisibilityTimeout = time.Hour }), b.queue(t, nil)
	body := []byte(strings.Repeat("x", 2000))

	// Something in every state is there before memory runs out.
	var held []queues.Message
	for i := range 30 {
		b.send(t, doomed, fmt.Sprint("doomed ", i))
		b.send(t, q, fmt.Sprint("early ", i))
	}
	held = b.receive(t, q, 30)

	var mu sync.Mutex
	acked, refused := map[engine.ID]bool{}, map[engine.ID]bool{}
	for _, m := range held {
		acked[m.ID] = true
	}
	var wg sync.WaitGroup
	for range producers {
		wg.Go(func() {
			for {
				sent, err := b.Send(context.Background(), b.tenant, q, queues.Outgoing{Body: body})
				mu.Lock()
				switch {
				case err == nil:
					acked[sent.ID] = true
				case errors.Is(err, engine.ErrFull):
					refused[sent.ID] = true
				default:
					t.Errorf("send: %v", err)
				}
				enough := len(refused) >= refusals || t.Failed()
				mu.Unlock()
				if enough {
					return
				}
			}
		})
	}
	wg.Wait()
	// Where a call of many senders has no room, one of a single sender may still have some.
	var err error
	for tries := 0; err == nil && tries < 1000; tries++ {
		var sent queues.Sent
		if sent, err = b.Send(t.Context(), b.tenant, q, queues.Outgoing{Body: body}); err == nil {
			acked[sent.ID] = true
		}
	}
	if !errors.Is(err, engine.ErrFull) || errs.KindOf(err) != errs.StorageFull {
		t.Fatalf("send: %v; memory was meant to be full by now", err)
	}
	outOfMemory := b.engine.Outcomes()["full"]

	// Nothing of this needs memory to be free. Each is an error of the test when it is refused.
	for i, m := range held {
		verb := []queues.Settlement{
			{Verb: queues.Ack, ReceiptHandle: m.ReceiptHandle},
			{Verb: queues.Return, ReceiptHandle: m.ReceiptHandle},
			{Verb: queues.Return, ReceiptHandle: m.ReceiptHandle, For: 100 * time.Millisecond},
			{Verb: queues.Extend, ReceiptHandle: m.ReceiptHandle, For: 100 * time.Millisecond},
		}[i%4]
		if out := b.settle(t, q, verb); out[0].Err != nil {
			t.Errorf("%c: %v", verb.Verb, out[0].Err)
		}
		if verb.Verb == queues.Ack {
			delete(acked, m.ID)
		}
	}
	if _, err := b.Peek(t.Context(), b.tenant, q, queues.PeekOptions{}); err != nil {
		t.Errorf("peek: %v", err)
	}
	some := b.receive(t, doomed, 1)[0]
	if err := b.DeleteMessage(t.Context(), b.tenant, doomed, some.ID); err != nil {
		t.Errorf("delete a message: %v", err)
	}
	if n, err := b.Purge(t.Context(), b.tenant, doomed); err != nil || n != 29 {
		t.Errorf("purge: got %d, %v; want 29", n, err)
	}
	if err := b.Delete(t.Context(), b.tenant, doomed, queues.Condition{}); err != nil {
		t.Errorf("delete a queue: %v", err)
	}
	if _, err := b.engine.Beat(t.Context()); err != nil {
		t.Errorf("beat: %v", err)
	}
	full := b.counts(t, q)
	b.healthy(t, q)

	var drained, unexpected, twice atomic.Int64
	left := len(acked)
	for range consumers {
		wg.Go(func() {
			for {
				got, err := b.Receive(context.Background(), b.tenant, q, queues.ReceiveOptions{Max: 10})
				if err != nil {
					t.Errorf("receive: %v", err)
					return
				}
				var acks []queues.Settlement
				mu.Lock()
				for _, m := range got {
					switch {
					case refused[m.ID]:
						unexpected.Add(1)
					case !acked[m.ID]:
						twice.Add(1)
					}
					delete(acked, m.ID)
					acks = append(acks, queues.Settlement{Verb: queues.Ack, ReceiptHandle: m.ReceiptHandle})
				}
				missing := len(acked)
				mu.Unlock()
				if len(got) > 0 {
					out, err := b.Settle(context.Background(), b.tenant, q, acks)
					for _, o := range out {
						err = errors.Join(err, o.Err)
					}
					if err != nil {
						t.Errorf("settle: %v", err)
						return
					}
					drained.Add(int64(len(got)))
				} else if missing == 0 || t.Failed() {
					return
				} else {
					time.Sleep(10 * time.Millisecond) // some were returned with a delay
				}
			}
		})
	}
	wg.Wait()
	t.Logf("stored %d, refused %d; full with %v available, in flight, delayed; drained %d, not found %d, unexpected %d, twice %d; OOM on the drain side %d",
		left, len(refused), full, drained.Load(), len(acked), unexpected.Load(), twice.Load(), b.engine.Outcomes()["full"]-outOfMemory)
	if len(acked) > 0 || unexpected.Load() > 0 || twice.Load() > 0 {
		t.Errorf("of %d messages %d were lost; %d that were refused came, %d came twice", left, len(acked), unexpected.Load(), twice.Load())
	}
	if n := b.engine.Outcomes()["full"]; n != outOfMemory {
		t.Errorf("%d calls that drain were refused for want of memory", n-outOfMemory)
	}
	if got := b.counts(t, q); got != [3]int64{} {
		t.Errorf("counts after the drain: %v", got)
	}
	b.healthy(t, q)
	b.send(t, q, "there is room again")
}
