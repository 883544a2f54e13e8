package bench

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// send: each worker sends, one after the other; the messages are taken out by the check.
func (r *rig) send(ctx context.Context) error {
	r.timed(ctx, func(w *worker) {
		for w.going() {
			start := time.Now()
			if n := w.send(r.spec.Batch); n > 0 {
				w.finish(start, n)
			}
		}
	})
	return nil
}

// lifecycle: each worker sends n, receives n, deletes n, and repeats. It may get what others sent.
func (r *rig) lifecycle(ctx context.Context) error {
	r.timed(ctx, func(w *worker) {
		for w.going() {
			start := time.Now()
			n, whole := w.sendAndReceive(r.spec.Batch, false)
			if len(w.handles) == 1 {
				whole = w.delete() && whole
			} else {
				whole = w.ack() && whole
			}
			if whole {
				w.finish(start, n)
			}
		}
	})
	return nil
}

// carried: as lifecycle, but the acks travel with the next receive.
func (r *rig) carried(ctx context.Context) error {
	r.timed(ctx, func(w *worker) {
		for w.going() {
			start := time.Now()
			if n, whole := w.sendAndReceive(r.spec.Batch, true); whole {
				w.finish(start, n)
			}
		}
		w.ack()
	})
	return nil
}

// sendAndReceive sends n messages and receives as many as were accepted. What the workers together have sent and not
// received is never less than what this one waits for, so receives find messages at once; one that does not is
// repeated until the run ends.
func (w *worker) sendAndReceive(n int, carry bool) (_ int, whole bool) {
	n = w.send(n)
	for left := n; left > 0; {
		got, ok := w.receive(left, shortPoll, leaseSeconds, carry)
		if left -= got; !ok || left > 0 && !w.going() {
			return n, false
		}
	}
	return n, n > 0
}

// Latency: a message each 5 ms to a receive that takes up to 10, so that it catches up after a hiccup.
const (
	latencyRate    = 200
	latencyReceive = 10
	preRoll        = 20 * time.Millisecond
)

// latency: one worker sends at a fixed rate, the other waits. Its receives carry the acks, so that it is away only for
// the time of one request.
func (r *rig) latency(ctx context.Context) error {
	sender, receiver := r.workers[0], r.workers[1]
	skip := int(latencyRate * r.cfg.WarmUp.Seconds())
	total := skip + max(1, int(latencyRate*r.cfg.Duration.Seconds()))
	stamps := make([]atomic.Int64, total) // when each was sent, since base
	base := time.Now()

	done := make(chan struct{})
	go func() {
		defer close(done)
		for seen := 0; seen < total && !receiver.gaveUp(); {
			receiver.receive(latencyReceive, longPoll, leaseSeconds, true)
			for _, d := range receiver.book.got[seen:] {
				if n := d.counter(); n >= skip && n < total {
					receiver.latencies.record(receiver.arrived.Sub(base) - time.Duration(stamps[n].Load()))
					receiver.counted++
				}
			}
			seen = len(receiver.book.got)
		}
	}()

	sleep(ctx, preRoll)
	var meter *meter
	start := time.Now()
	for i := 0; i < total && ctx.Err() == nil; i++ {
		sleep(ctx, time.Until(start.Add(time.Duration(i)*time.Second/latencyRate)))
		if i == skip {
			meter = r.probe.start()
		}
		stamps[i].Store(int64(time.Since(base)))
		sender.sendOne()
		if sender.gaveUp() {
			break
		}
	}
	select {
	case <-done:
	case <-time.After(r.cfg.grace):
		receiver.abort()
	case <-ctx.Done(): // which aborts it
	}
	<-done
	if meter != nil {
		r.record(meter.stop())
		r.result.Figures[Rate] = min(r.result.Figures[Rate], latencyRate) // the pauses at both ends are no work
	}
	for _, handle := range receiver.handles {
		sender.keep(handle)
	}
	sender.ack()
	return nil
}

// fillBatch is the batch in which a backlog is made; maxBatchBytes may call for a smaller one.
const fillBatch = 100

// fill sends total messages from all workers and returns how many were accepted.
func (r *rig) fill(total int) int {
	batch := min(fillBatch, max(1, maxBatchBytes/r.spec.Size))
	if r.spec.Protocol == AWS {
		batch = maxAWSBatch
	}
	var taken, stored atomic.Int64
	r.each(func(w *worker) {
		for !w.gaveUp() {
			n := min(batch, total-int(taken.Add(int64(batch)))+batch)
			if n <= 0 {
				return
			}
			stored.Add(int64(w.sendBatch(n)))
		}
	})
	return int(stored.Load())
}

// takeAll receives total messages, up to batch at a time, and calls settle with each lot in w.handles. It fails when
// nobody has found a message for a while although some are missing.
func (r *rig) takeAll(total, batch, lease int, settle func(*worker) bool) error {
	var taken, found atomic.Int64 // found is when, since begun
	begun := time.Now()
	missing := func() bool {
		return int(taken.Load()) < total && time.Since(begun)-time.Duration(found.Load()) < r.cfg.dryLimit
	}
	r.each(func(w *worker) {
		for missing() && !w.gaveUp() {
			start := time.Now()
			n, _ := w.receive(batch, 0, lease, false)
			if n == 0 {
				time.Sleep(dryPause)
				continue
			}
			found.Store(int64(time.Since(begun)))
			taken.Add(int64(n))
			if settle(w) {
				w.finish(start, n)
			}
		}
	})
	if n := int(taken.Load()); n < total {
		return fmt.Errorf("only %s of %s stored messages could be received", thousands(float64(n)), thousands(float64(total)))
	}
	return nil
}

// drain: the backlog is made first and is not part of the figures.
func (r *rig) drain(context.Context) error {
	stored := r.fill(r.spec.Messages)
	meter := r.probe.start()
	err := r.takeAll(stored, r.spec.Batch, leaseSeconds, (*worker).ack)
	r.record(meter.stop())
	return err
}

// shortAttribute is what a typical message carries besides its body.
const shortAttribute = `,"attributes":{"type":{"type":"String","value":"bench"}}`

// memory: what Redis holds for each message of a backlog.
func (r *rig) memory(ctx context.Context) error {
	if !r.needsRedis() {
		return nil
	}
	r.label = func(b []byte, _, _ int) []byte { return append(b, shortAttribute...) }
	each, err := r.weigh(ctx, func() (int, error) { return r.fill(r.spec.Messages), nil })
	if err != nil {
		return err
	}
	r.result.Figures[StoredBytes] = each
	return nil
}

// survivorShare is one survivor in that many messages.
const survivorShare = 100

// survivors: first a hundredth of the messages sent afresh, for comparison; then all of them, of which 99 in 100, chosen
// at random, are acked. The survivors are given back, so that both sides are measured as available messages.
func (r *rig) survivors(ctx context.Context) error {
	if !r.needsRedis() {
		return nil
	}
	fresh, err := r.weigh(ctx, func() (int, error) { return r.fill(max(1, r.spec.Messages/survivorShare)), nil })
	if err != nil {
		return err
	}
	if !r.empty(ctx) {
		return errors.New("the queue does not get empty")
	}
	left, err := r.weigh(ctx, func() (int, error) { return r.thinOut(r.fill(r.spec.Messages)) })
	if err != nil {
		return err
	}
	r.note("%.0f B for a message sent afresh, %.0f B for a survivor", fresh, left)
	r.result.Figures[SurvivorRatio] = left / fresh
	return nil
}

// weigh returns by how many bytes the data in Redis grows for each of the messages that store leaves there.
func (r *rig) weigh(ctx context.Context, store func() (int, error)) (float64, error) {
	before, err := r.probe.storedBytes(ctx, r.cfg.settlePause)
	if err != nil {
		return 0, err
	}
	n, err := store()
	if err != nil {
		return 0, err
	}
	after, err := r.probe.storedBytes(ctx, r.cfg.settlePause)
	if err != nil {
		return 0, err
	}
	if n == 0 {
		return 0, errors.New("no message was stored")
	}
	each := (after - before) / float64(n)
	if each < float64(r.spec.Size) {
		return 0, fmt.Errorf("%s holds %.0f B for a message of %d: it is not this server's Redis, or other work goes on there",
			r.probe.redis.address(), each, r.spec.Size)
	}
	return each, nil
}

// thinOut acks all but about one in survivorShare of the stored messages, gives those back and returns their number.
func (r *rig) thinOut(stored int) (int, error) {
	var survivors atomic.Int64
	kept := make([][][]byte, len(r.workers))
	err := r.takeAll(stored, maxReceive, holdSeconds, func(w *worker) bool {
		random := rand.New(rand.NewPCG(uint64(w.id), uint64(len(w.book.got))))
		first := len(w.book.got) - len(w.handles) // the book's last entries are those in hand
		gone := 0
		for i, handle := range w.handles {
			if random.IntN(survivorShare) == 0 {
				kept[w.id] = append(kept[w.id], slices.Clone(handle)) // it arrives for good after it is given back
				continue
			}
			// Swapped, not copied: each place of w.handles has memory of its own.
			w.handles[gone], w.handles[i] = w.handles[i], w.handles[gone]
			w.book.got[first+gone] = w.book.got[first+i]
			gone++
		}
		w.book.got, w.handles = w.book.got[:first+gone], w.handles[:gone]
		return w.ack()
	})
	r.each(func(w *worker) {
		for _, handle := range kept[w.id] {
			if w.giveBack(handle) {
				survivors.Add(1)
			}
		}
	})
	return int(survivors.Load()), err
}

// backlog: the same lifecycle twice, on an empty queue and with messages stored; the figures are those of the second.
func (r *rig) backlog(ctx context.Context) error {
	if err := r.lifecycle(ctx); err != nil {
		return err
	}
	empty := r.result.Figures[P99]
	stored := r.fill(r.spec.Messages)
	if err := r.lifecycle(ctx); err != nil {
		return err
	}
	r.note("p99 %.2f ms on an empty queue, %.2f ms with %s messages in it", empty, r.result.Figures[P99], thousands(float64(stored)))
	if empty > 0 {
		r.result.Figures[BacklogRatio] = r.result.Figures[P99] / empty
	}
	return nil
}

// needsRedis reports whether Redis can be asked, and leaves the mode out if not.
func (r *rig) needsRedis() bool {
	if r.probe.redis == nil {
		r.result.Skipped = "needs Redis's own figures: give --redis-url"
	}
	return r.probe.redis != nil
}

// Waiting receives must all be measured before the first one's wait is over.
const (
	dialers       = 64
	waitersSettle = 500 * time.Millisecond
	maxWindow     = 10 * time.Second
)

// waiting: Redis commands and server memory while many receives wait on one empty queue, against the same server
// without them. Then each gets one message.
func (r *rig) waiting(ctx context.Context) error {
	sender, waiters := r.workers[0], r.workers[1:]
	window := min(r.cfg.Duration, maxWindow)
	idle, commandsKnown := r.commandsPerSecond(ctx, window)
	memoryBefore, memoryKnown := residentBytes(r.probe.serverPID)

	opened := time.Now()
	var writing, reading sync.WaitGroup
	slots := make(chan struct{}, dialers)
	for _, w := range waiters {
		writing.Add(1)
		reading.Go(func() {
			slots <- struct{}{}
			err := w.ask()
			<-slots
			writing.Done()
			if err != nil {
				w.fail("receive", response{}, err)
				return
			}
			w.received(w.read())
		})
	}
	writing.Wait()
	sleep(ctx, waitersSettle)
	busy, _ := r.commandsPerSecond(ctx, window)
	memoryAfter, _ := residentBytes(r.probe.serverPID)
	switch {
	case memoryKnown && memoryAfter >= memoryBefore:
		r.result.Figures[WaiterBytes] = float64(memoryAfter-memoryBefore) / float64(len(waiters))
	case memoryKnown:
		r.note("the server gave memory back meanwhile, so what a waiter takes is not known: start it afresh")
	default:
		r.note("server memory left out: give --server-pid")
	}
	if commandsKnown {
		r.result.Figures[RedisCommands] = max(0, busy-idle)
		r.note("Redis commands/s: %.1f with the waiters, %.1f before", busy, idle)
	} else {
		r.note("Redis commands/s left out: give --redis-url")
	}
	if took := time.Since(opened); took > longPoll*time.Second {
		r.note("the first waits were over before the measurement was, after %s: use fewer --waiters", took.Round(time.Second))
	}

	for left := len(waiters); left > 0 && !sender.gaveUp() && ctx.Err() == nil; left -= fillBatch {
		sender.sendBatch(min(left, fillBatch))
	}
	ended := make(chan struct{})
	go func() {
		reading.Wait()
		close(ended)
	}()
	select {
	case <-ended:
	case <-time.After(r.cfg.grace):
		r.fail("waiting: not every waiter was woken by its message")
		for _, w := range waiters {
			w.abort()
		}
	case <-ctx.Done(): // which aborts them
	}
	<-ended
	for _, w := range waiters {
		w.close()
		for _, handle := range w.handles {
			sender.keep(handle)
		}
		if len(sender.handles) >= fillBatch {
			sender.ack()
		}
	}
	sender.ack()
	return nil
}

// ask sends a waiting receive for one message without reading the answer.
func (w *worker) ask() error {
	p := &w.rig.paths
	w.out = fmt.Appendf(w.out[:0], "%s1&wait=%d&visibility_timeout=%d%s", p.receive, longPoll, leaseSeconds, p.postTail)
	w.conn.finish(nil)
	return w.write(answerLimit)
}

// commandsPerSecond returns how many commands Redis carries out, less the question itself.
func (r *rig) commandsPerSecond(ctx context.Context, window time.Duration) (float64, bool) {
	if r.probe.redis == nil {
		return 0, false
	}
	before, err := r.probe.redis.number("stats", "total_commands_processed")
	if err != nil {
		return 0, false
	}
	start := time.Now()
	sleep(ctx, window)
	after, err := r.probe.redis.number("stats", "total_commands_processed")
	return max(0, after-before-1) / time.Since(start).Seconds(), err == nil
}
