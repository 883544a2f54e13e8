package bench

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// Overload: what the server does in a closed loop is taken for what it can do, then five times as many requests arrive,
// whether or not those before are answered, and then half as many.
const (
	callers      = 64 // in the closed loop
	excess       = 5
	rest         = 0.5
	overloadFor  = 3    // times the duration, as is the time after it
	overloadPool = 2048 // connections, so that no request waits for one as long as the server answers
	// usualFactor and usualSlack say which latency after the load is like the one before.
	usualFactor = 3
	usualSlack  = 20 * time.Millisecond
)

// overload: which share of what it can do the server still does while far more arrives, how fast it refuses what it cannot
// do, and how soon it is as fast as before.
func (r *rig) overload(ctx context.Context) error {
	crowd := r.workers
	r.workers = crowd[:callers]
	r.timed(ctx, func(w *worker) {
		for w.going() {
			start := time.Now()
			if w.offer() == http.StatusCreated {
				w.finish(start, r.spec.Batch)
			}
		}
	})
	r.workers = crowd
	capacity := r.result.Figures[Rate] / float64(r.spec.Batch)
	if capacity == 0 {
		return errors.New("nothing was accepted before the overload")
	}
	before := r.arrive(ctx, rest*capacity, r.cfg.Duration)
	during := r.arrive(ctx, excess*capacity, overloadFor*r.cfg.Duration)
	after := r.arrive(ctx, rest*capacity, overloadFor*r.cfg.Duration)

	figures := r.result.Figures
	usual := max(usualFactor*before.accepted.quantile(0.99), usualSlack)
	figures[Goodput] = during.rate(during.accepted.n) / capacity
	figures[P50], figures[P99] = during.accepted.milliseconds(0.50), during.accepted.milliseconds(0.99)
	figures[RefusalP99] = during.refused.milliseconds(0.99)
	figures[Recovery] = after.settled(usual).Seconds()
	r.note("%s requests/s can be done; %s arrived, %s were done and %s refused", number(capacity), number(during.rate(during.all)),
		number(during.rate(during.accepted.n)), number(during.rate(during.refused.n)))
	r.note("p99 %.1f ms at half of that before, %.1f ms after", before.accepted.milliseconds(0.99), after.accepted.milliseconds(0.99))
	return nil
}

// arrivals is what became of requests that arrived at a constant rate. Times are from when each should have arrived.
type arrivals struct {
	lasted            time.Duration
	all               int64
	accepted, refused histogram
	late              []lateness // of those that were refused or slow
}

type lateness struct{ at, took time.Duration }

func (a *arrivals) rate(n int64) float64 { return float64(n) / a.lasted.Seconds() }

// settled returns when the last request arrived that was refused or took longer than usual.
func (a *arrivals) settled(usual time.Duration) (last time.Duration) {
	for _, l := range a.late {
		if l.took > usual {
			last = max(last, l.at)
		}
	}
	return last
}

// arrive has requests arrive at a rate for a while, and returns when all are answered.
func (r *rig) arrive(ctx context.Context, perSecond float64, lasts time.Duration) *arrivals {
	sum := &arrivals{}
	total := max(int64(perSecond*lasts.Seconds()), 1)
	var next atomic.Int64
	var mu sync.Mutex
	var all sync.WaitGroup
	start := time.Now()
	for _, w := range r.workers {
		all.Go(func() {
			var mine arrivals
			for !w.gaveUp() && ctx.Err() == nil {
				i := next.Add(1) - 1
				if i >= total {
					break
				}
				at := time.Duration(float64(i) / perSecond * float64(time.Second))
				sleep(ctx, time.Until(start.Add(at)))
				status := w.offer()
				took := time.Since(start) - at
				mine.all++
				switch status {
				case http.StatusCreated:
					mine.accepted.record(took)
					if took > usualSlack {
						mine.late = append(mine.late, lateness{at, took})
					}
				case http.StatusServiceUnavailable, http.StatusTooManyRequests:
					mine.refused.record(took)
					mine.late = append(mine.late, lateness{at, answerLimit})
				}
			}
			mu.Lock()
			defer mu.Unlock()
			sum.all += mine.all
			sum.accepted.add(&mine.accepted)
			sum.refused.add(&mine.refused)
			sum.late = append(sum.late, mine.late...)
		})
	}
	all.Wait()
	sum.lasted = time.Since(start)
	return sum
}

// offer sends a batch that may be refused, and returns the status of the answer, 0 for none.
func (w *worker) offer() int {
	first := w.writeBatch(w.rig.spec.Batch)
	resp, err := w.call(w.rig.paths.batch, w.body, answerLimit)
	to := unsettled
	switch {
	case err != nil:
		w.fail("send-batch", resp, err)
		return 0
	case resp.status == http.StatusCreated:
		to = accepted
		w.failures = 0
	case resp.status == http.StatusServiceUnavailable || resp.status == http.StatusTooManyRequests:
		to = refused
		w.failures = 0
		if problemCode(resp.body) == "outcome_unknown" {
			to = unsettled
		}
		if !bytes.Contains(w.in[:w.end], []byte("\r\nRetry-After: ")) {
			w.fail("send-batch: no Retry-After", resp, nil)
		}
	default:
		w.fail("send-batch", resp, nil)
	}
	for i := range w.book.sent[first:] {
		w.book.sent[first+i] = to
	}
	return resp.status
}
