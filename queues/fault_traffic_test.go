package queues_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sluicemq/sluice/internal/engine"
	"github.com/sluicemq/sluice/internal/errs"
	"github.com/sluicemq/sluice/queues"
)

// serve is bare with all that a server runs in the background.
func serve(tb testing.TB, opt engine.Options) *bench {
	tb.Helper()
	b := bare(tb, opt, nil)
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() { _ = b.Run(ctx) })
	tb.Cleanup(func() {
		cancel()
		wg.Wait()
	})
	return b
}

// traffic is producers and consumers at several queues, and what they were told. Its check is that of a whole queue:
// when all has been drained, every message whose send was acknowledged has come out, and nothing else has.
type traffic struct {
	b      *bench
	queues []string
	stop   atomic.Bool
	wg     sync.WaitGroup

	mu            sync.Mutex
	sent          map[engine.ID]time.Time // acknowledged sends, and when
	unsure, other map[engine.ID]bool      // sends with an unknown outcome, and those that were refused
	got           map[engine.ID]bool      // received
	done          map[engine.ID]time.Time // acknowledged acks, and when
	resurrected   int                     // came again after that
	codes         map[string]int          // errors by their codes
	count         map[string]int          // acknowledged sends by queue
	last          map[string]time.Time    // the last of them
	pause         time.Duration           // the longest time in which a queue had none
}

// newTraffic makes n queues. A message whose consumer never hears of it comes back after three seconds.
func newTraffic(tb testing.TB, b *bench, n int) *traffic {
	tb.Helper()
	tr := &traffic{b: b, sent: map[engine.ID]time.Time{}, unsure: map[engine.ID]bool{}, other: map[engine.ID]bool{}, got: map[engine.ID]bool{},
		done: map[engine.ID]time.Time{}, codes: map[string]int{}, count: map[string]int{}, last: map[string]time.Time{}}
	for range n {
		tr.queues = append(tr.queues, b.queue(tb, func(s *queues.Settings) { s.VisibilityTimeout = 3 * time.Second }))
	}
	return tr
}

// run starts so many producers and consumers at each queue.
func (tr *traffic) run(producers, consumers int) {
	tr.stop.Store(false)
	tr.mu.Lock()
	tr.last = map[string]time.Time{}
	tr.mu.Unlock()
	for _, q := range tr.queues {
		for range producers {
			tr.wg.Go(func() {
				for !tr.stop.Load() {
					tr.send(q)
				}
			})
		}
		for range consumers {
			tr.wg.Go(func() {
				for !tr.stop.Load() {
					tr.consume(q, 100*time.Millisecond)
				}
			})
		}
	}
}

// end lets everyone finish what they are at.
func (tr *traffic) end() {
	tr.stop.Store(true)
	tr.wg.Wait()
}

func (tr *traffic) send(q string) {
	sent, err := tr.b.Send(context.Background(), tr.b.tenant, q, queues.Outgoing{Body: []byte("message to " + q)})
	tr.mu.Lock()
	defer tr.mu.Unlock()
	switch now := time.Now(); {
	case err == nil:
		tr.sent[sent.ID] = now
		if last, ok := tr.last[q]; ok {
			tr.pause = max(tr.pause, now.Sub(last))
		}
		tr.last[q] = now
		tr.count[q]++
	case isUnknown(err):
		tr.unsure[sent.ID] = true
		tr.note("send", err)
	default:
		tr.other[sent.ID] = true
		tr.note("send", err)
	}
}

// note counts an error. It is called locked.
func (tr *traffic) note(op string, err error) {
	code := err.Error()
	if e, ok := errors.AsType[*errs.Error](err); ok {
		code = e.Code
	}
	tr.codes[op+" "+code]++
	if errs.KindOf(err) == errs.Internal {
		tr.codes[op+" "+err.Error()]++ // its cause is what one wants to know
	}
}

func (tr *traffic) consume(q string, wait time.Duration) {
	began := time.Now()
	got, err := tr.b.Receive(context.Background(), tr.b.tenant, q, queues.ReceiveOptions{Max: 10, Wait: &wait})
	var acks []queues.Settlement
	tr.mu.Lock()
	if err != nil {
		tr.note("receive", err)
	}
	for _, m := range got {
		if at, ok := tr.done[m.ID]; ok && at.Before(began) {
			tr.resurrected++
		}
		tr.got[m.ID] = true
		acks = append(acks, queues.Settlement{Verb: queues.Ack, ReceiptHandle: m.ReceiptHandle})
	}
	tr.mu.Unlock()
	if len(acks) == 0 {
		return
	}
	out, err := tr.b.Settle(context.Background(), tr.b.tenant, q, acks)
	tr.mu.Lock()
	defer tr.mu.Unlock()
	for i := range acks {
		e := err
		if e == nil {
			e = out[i].Err
		}
		if e == nil {
			tr.done[got[i].ID] = time.Now()
		} else {
			tr.note("ack", e)
		}
	}
}

// flows waits until every queue has taken n more messages.
func (tr *traffic) flows(tb testing.TB, n int) {
	tb.Helper()
	tr.mu.Lock()
	before := maps.Clone(tr.count)
	tr.mu.Unlock()
	patiently(tb, "sends go on at every queue", func() bool {
		tr.mu.Lock()
		defer tr.mu.Unlock()
		return !slices.ContainsFunc(tr.queues, func(q string) bool { return tr.count[q] < before[q]+n })
	})
}

// patiently is until for what takes a set of servers longer.
func patiently(tb testing.TB, what string, ok func() bool) {
	tb.Helper()
	for deadline := time.Now().Add(30 * time.Second); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			tb.Fatalf("not within 30 s: %s", what)
		}
	}
}

// drain receives and acknowledges until nothing is left.
func (tr *traffic) drain(tb testing.TB) {
	tb.Helper()
	var wg sync.WaitGroup
	for _, q := range tr.queues {
		wg.Go(func() {
			for deadline := time.Now().Add(30 * time.Second); ; {
				tr.consume(q, 20*time.Millisecond)
				st, err := tr.b.Stats(context.Background(), tr.b.tenant, q)
				if err == nil && st.Available == 0 && st.InFlight == 0 && st.Delayed == 0 {
					return
				}
				if time.Now().After(deadline) {
					tb.Errorf("queue %s cannot be drained: %+v, %v", q, st, err)
					return
				}
			}
		})
	}
	wg.Wait()
}

// verdict is the balance of all that was sent.
type verdict struct {
	acked, unsure, recovered int
	lost                     []engine.ID
	unexpected, resurrected  int
}

// check drains the queues and strikes the balance.
func (tr *traffic) check(tb testing.TB) verdict {
	tb.Helper()
	tr.drain(tb)
	v := verdict{acked: len(tr.sent), unsure: len(tr.unsure), resurrected: tr.resurrected}
	for id := range tr.sent {
		if !tr.got[id] {
			v.lost = append(v.lost, id)
		}
	}
	for id := range tr.got {
		if _, ok := tr.sent[id]; ok {
			continue
		}
		if tr.unsure[id] {
			v.recovered++
		} else {
			v.unexpected++
		}
	}
	for _, q := range tr.queues {
		tr.b.healthy(tb, q)
	}
	return v
}

// String is the line of figures.
func (v verdict) String() string {
	return fmt.Sprintf("acked %d, unknown %d of which %d stored, lost %d, unexpected %d, back after their ack %d",
		v.acked, v.unsure, v.recovered, len(v.lost), v.unexpected, v.resurrected)
}

// flawless fails the test if anything was lost, invented or brought back.
func (v verdict) flawless(tb testing.TB) {
	tb.Helper()
	if len(v.lost) > 0 || v.unexpected > 0 || v.resurrected > 0 {
		tb.Errorf("lost %d, unexpected %d, back after their ack %d", len(v.lost), v.unexpected, v.resurrected)
	}
}

// errors lists what callers were told, by code.
func (tr *traffic) errors() string {
	var list []string
	for _, code := range slices.Sorted(maps.Keys(tr.codes)) {
		list = append(list, fmt.Sprintf("%s %d", code, tr.codes[code]))
	}
	return strings.Join(list, ", ")
}
