package bench

import (
	"context"
	"crypto/rand"
	"errors"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// mostFIFO is how many messages the modes of FIFO queues take, a tenth of the deduplication ids that a queue remembers.
	mostFIFO = 100_000
	// fewGroups is how many groups the queue has that a queue with many is compared to, and how many messages at most the
	// group that a long one is compared to.
	fewGroups = 100
)

// label appends JSON that a message of a batch gets besides id and body, with a leading comma.
type label func(b []byte, worker, counter int) []byte

func inGroup(b []byte, name string, numbers ...int) []byte {
	b = append(append(b, `,"group_id":"`...), name...)
	for _, n := range numbers {
		b = strconv.AppendInt(append(b, '-'), int64(n), 10)
	}
	return append(b, '"')
}

// onFIFOQueue has work done on a FIFO queue of its own, which is emptied and deleted whatever comes of it. Each stretch of
// work needs one, because a queue remembers the deduplication ids of what is gone.
func (r *rig) onFIFOQueue(ctx context.Context, work func() error) (err error) {
	queue := "bench-" + strings.ToLower(rand.Text()[:10]) + ".fifo"
	if err := r.admin.createQueue(queue, `,"fifo":{"content_based_deduplication":true}`); err != nil {
		return err
	}
	before, paths := r.queue, r.paths
	r.queue, r.paths = queue, newPaths(r.target, queuePath(queue))
	defer func() {
		r.queue, r.paths = before, paths
		err = errors.Join(err, r.admin.deleteQueue(queue))
	}()
	err = work()
	if !r.empty(ctx) && ctx.Err() == nil {
		err = errors.Join(err, errors.New("the queue does not get empty"))
	}
	return err
}

// through sends total messages to a FIFO queue and then receives and acks them. It returns what that took, and by how
// many bytes each message made Redis grow; 0 when Redis cannot be asked.
func (r *rig) through(ctx context.Context, total int, group label) (used usage, each float64, err error) {
	r.label = group
	r.restart()
	err = r.onFIFOQueue(ctx, func() (err error) {
		stored := 0
		fill := func() (int, error) {
			meter := r.probe.start()
			stored = r.fill(total)
			used = meter.stop()
			return stored, nil
		}
		if r.probe.redis != nil {
			each, err = r.weigh(ctx, fill)
		} else {
			_, err = fill()
		}
		if err != nil {
			return err
		}
		meter := r.probe.start()
		err = r.takeAll(stored, r.spec.Batch, leaseSeconds, (*worker).ack)
		used = used.plus(meter.stop())
		return err
	})
	return used, each, err
}

// compare records the figures of used beside the rate of the same work with few.
func (r *rig) compare(used usage, each, few float64) {
	r.record(used)
	if each > 0 {
		r.result.Figures[StoredBytes] = each
	}
	if few > 0 {
		r.result.Figures[ScaleRatio] = r.result.Figures[Rate] / few
	}
}

// fifo: as many groups as messages, against few groups with the same messages. A receive of a batch serves as many groups
// there, and here one.
func (r *rig) fifo(ctx context.Context) error {
	used, each, err := r.through(ctx, r.spec.Messages, func(b []byte, _, counter int) []byte { return inGroup(b, "g", counter%fewGroups) })
	if err != nil {
		return err
	}
	few := r.rate(used)
	r.note("%s msg/s and %.0f B in Redis for each with the messages in %d groups", number(few), each, fewGroups)
	used, each, err = r.through(ctx, r.spec.Messages, func(b []byte, worker, counter int) []byte { return inGroup(b, "g", worker, counter) })
	r.compare(used, each, few)
	return err
}

// fifoGroup: all messages in one group, which only one consumer has at a time, against a group that is emptied each time
// before more is sent to it.
func (r *rig) fifoGroup(ctx context.Context) error {
	w := r.workers[0]
	r.label = func(b []byte, _, _ int) []byte { return inGroup(b, "g") }
	total, few := max(fewGroups, r.spec.Messages/10), 0.
	err := r.onFIFOQueue(ctx, func() error {
		meter := r.probe.start()
		for done := 0; done < total && !w.gaveUp(); {
			n := r.fill(min(r.spec.Batch, total-done))
			if err := r.takeAll(n, r.spec.Batch, leaseSeconds, (*worker).ack); err != nil {
				return err
			}
			done += n
		}
		few = r.rate(meter.stop())
		return nil
	})
	if err != nil {
		return err
	}
	r.note("%s msg/s with a group of at most %d messages", number(few), r.spec.Batch)
	used, each, err := r.through(ctx, r.spec.Messages, r.label)
	r.compare(used, each, few)
	for i := 1; i < len(w.book.got); i++ {
		if w.book.got[i].counter() < w.book.got[i-1].counter() {
			r.fail("receive: out of order")
		}
	}
	return err
}

// Fair: 200 messages a second of twenty quiet groups. One noisy group sends a hundred times as much as each of them, and
// has a backlog besides, and all are received by ten a hundred times a second: five times what the quiet ones send, and
// less than all together do.
const (
	quietSenders  = 4
	quietGroups   = 5 // of each sender
	quietPeriod   = time.Second / 50
	noise         = 100
	noisyPeriod   = time.Second / 100
	fairConsumers = 16
	fairPeriod    = time.Second / 100
	fairReceive   = 10
	fairFor       = 3 // times the duration, for one percent of the messages is few
)

// fair: the dwell time of quiet groups, from before the send to the body's arrival, without and with a noisy group. The
// receives are made at the same times, so that nothing differs but what is in the queue.
func (r *rig) fair(ctx context.Context) error {
	noisy := r.workers[quietSenders]
	r.label = func(b []byte, worker, counter int) []byte {
		if worker < quietSenders {
			return inGroup(b, "quiet", worker, counter%quietGroups)
		}
		return inGroup(b, "noisy")
	}
	r.record(r.dwell(ctx, false))
	alone := r.result.Figures[P99]
	if !r.empty(ctx) {
		return errors.New("the queue does not get empty")
	}
	for left := r.spec.Messages; left > 0 && !noisy.gaveUp(); left -= fillBatch {
		noisy.sendBatch(min(fillBatch, left))
	}
	r.record(r.dwell(ctx, true))
	beside := r.result.Figures[P99]
	r.note("dwell p99 of %d quiet groups %.2f ms alone, %.2f ms beside one that sends %d times as much as each", quietSenders*quietGroups, alone, beside, noise)
	if alone > 0 {
		r.result.Figures[QuietRatio] = beside / alone
	}
	return nil
}

// dwell has the quiet groups send, and the noisy one too if there is one, and receives from all.
func (r *rig) dwell(ctx context.Context, noisy bool) usage {
	r.restart()
	r.phase.Store(measuring)
	lasts := fairFor * r.cfg.Duration
	first, stamps := make([]int, quietSenders), make([][]atomic.Int64, quietSenders) // when each was sent, since base
	base := time.Now()
	every := func(i int, period time.Duration) bool {
		at := time.Duration(i) * period
		if at >= lasts {
			return false
		}
		sleep(ctx, time.Until(base.Add(at)))
		return ctx.Err() == nil
	}
	for k := range stamps {
		first[k], stamps[k] = len(r.workers[k].book.sent), make([]atomic.Int64, lasts/quietPeriod+1)
	}
	meter := r.probe.start()
	var all sync.WaitGroup
	for k, w := range r.workers[:quietSenders] {
		all.Go(func() {
			for i := 0; every(i, quietPeriod) && !w.gaveUp(); i++ {
				stamps[k][i].Store(int64(time.Since(base)))
				w.sendBatch(1)
			}
		})
	}
	if w := r.workers[quietSenders]; noisy {
		const share = noise * int(noisyPeriod) / (int(quietPeriod) * quietGroups) // of its messages in one batch
		all.Go(func() {
			for i := 0; every(i, noisyPeriod) && !w.gaveUp(); i++ {
				w.sendBatch(share)
			}
		})
	}
	for k, w := range r.workers[quietSenders+1:] {
		all.Go(func() {
			seen := len(w.book.got)
			for i := k; every(i, fairPeriod) && !w.gaveUp(); i += fairConsumers {
				w.receive(fairReceive, 0, leaseSeconds, true)
				for _, d := range w.book.got[seen:] {
					w.counted++
					if s := d.sender(); d != stray && s < quietSenders && d.counter() >= first[s] {
						w.latencies.record(w.arrived.Sub(base) - time.Duration(stamps[s][d.counter()-first[s]].Load()))
					}
				}
				seen = len(w.book.got)
			}
		})
	}
	all.Wait()
	used := meter.stop()
	r.phase.Store(stopping)
	for _, w := range r.workers[quietSenders+1:] {
		w.ack()
	}
	return used
}

// restart forgets what was measured so far.
func (r *rig) restart() {
	for _, w := range r.workers {
		w.latencies, w.counted = histogram{}, 0
	}
}

// rate returns the messages a second of the workers in the time that u took.
func (r *rig) rate(u usage) float64 {
	var counted int64
	for _, w := range r.workers {
		counted += w.counted
	}
	return float64(counted) / u.elapsed.Seconds()
}
