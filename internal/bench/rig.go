package bench

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// A run's phases. Work that ends while it is measured counts.
const (
	warmingUp int32 = iota
	measuring
	stopping
)

// rig is one run: a queue of its own, the workers, and what they found.
type rig struct {
	cfg     Config
	target  *target
	admin   *admin
	probe   *probe
	spec    Spec
	queue   string
	paths   paths
	pair    *awsPair // nil: the run is by REST
	label   label    // nil: messages have no more than a body
	phase   atomic.Int32
	workers []*worker // the books of all of them are checked
	checked bool      // by the mode itself
	result  *Result
}

// runOne makes the queue, does the work, drains and checks, and deletes the queue whatever happened. An error means that
// no run would do better, such as a key that is refused.
func runOne(ctx context.Context, cfg Config, target *target, probe *probe, spec Spec) (Result, error) {
	result := Result{Spec: spec, Figures: map[Figure]float64{}}
	ctx, cancel := context.WithTimeout(ctx, modeLimit+cfg.Duration+cfg.WarmUp)
	defer cancel()

	// Its own connection: it must be able to clean up after ctx is done.
	admin := &admin{conn: newConn(target)}
	defer admin.conn.close()
	var pair *awsPair
	if spec.Protocol == AWS {
		made, err := admin.createPair()
		if err != nil {
			return result, err
		}
		pair = &made
	}
	queue := "bench-" + spec.Mode + "-" + strings.ToLower(rand.Text()[:10])
	more := ""
	if cfg.Shards > 1 {
		more = fmt.Sprintf(`,"shards":%d`, cfg.Shards)
	}
	if err := admin.createQueue(queue, more); err != nil {
		return result, err
	}
	rig := &rig{
		cfg: cfg, target: target, admin: admin, probe: probe, spec: spec, queue: queue, result: &result,
		paths: newPaths(target, queuePath(queue)), pair: pair,
	}
	mode := Modes()[slices.IndexFunc(Modes(), func(m Mode) bool { return m.Name == spec.Mode })]
	rig.addWorkers(spec.Connections + mode.extra)
	defer context.AfterFunc(ctx, rig.abort)()
	if err := mode.run(rig, ctx); err != nil {
		rig.fail("stopped: " + err.Error())
	}
	if result.Skipped == "" && !rig.checked {
		rig.drainAndCheck(ctx)
	}
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		rig.fail(fmt.Sprintf("time limit of %s reached", modeLimit+cfg.Duration+cfg.WarmUp))
	}
	for _, w := range rig.workers {
		w.close()
		for kind, n := range w.errors {
			result.countError(kind, n)
		}
	}
	if err := admin.deleteQueue(queue); err != nil {
		rig.fail(fmt.Sprintf("delete the queue: %v; it is left behind", err))
	}
	if pair != nil {
		if err := admin.deleteKey(pair.key); err != nil {
			rig.fail(fmt.Sprintf("delete the key: %v; it is left behind", err))
		}
	}
	return result, nil
}

// addWorkers makes n workers, which connect when they first send.
func (r *rig) addWorkers(n int) {
	filling := padding(r.spec.Size)
	for id := range n {
		w := &worker{conn: newConn(r.target), rig: r, id: id, errors: map[string]int{}}
		w.book.padding = filling
		if r.pair != nil {
			w.sqs = newSQS(r.target, *r.pair, r.queue)
		}
		r.workers = append(r.workers, w)
	}
}

func (r *rig) abort() {
	for _, w := range r.workers {
		w.abort()
	}
}

func (r *rig) fail(kind string) { r.result.countError(kind, 1) }

func (r *rig) note(format string, args ...any) {
	r.result.Notes = append(r.result.Notes, fmt.Sprintf(format, args...))
}

func (r *Result) countError(kind string, n int) {
	if r.Errors == nil {
		r.Errors = map[string]int{}
	}
	r.Errors[kind] += n
}

// timed runs loop in every worker, measures from the end of the warm-up for the planned duration, and waits for the
// workers to finish what they have begun.
func (r *rig) timed(ctx context.Context, loop func(*worker)) {
	r.phase.Store(warmingUp)
	var all sync.WaitGroup
	r.restart()
	for _, w := range r.workers {
		all.Go(func() { loop(w) })
	}
	sleep(ctx, r.cfg.WarmUp)
	meter := r.probe.start()
	r.phase.Store(measuring)
	sleep(ctx, r.cfg.Duration)
	r.phase.Store(stopping)
	usage := meter.stop()
	all.Wait()
	r.record(usage)
}

// each runs work in every worker at once and waits for all; everything in it is measured.
func (r *rig) each(work func(*worker)) {
	r.phase.Store(measuring)
	var all sync.WaitGroup
	for _, w := range r.workers {
		all.Go(func() { work(w) })
	}
	all.Wait()
	r.phase.Store(stopping)
}

// record turns what the workers counted and the usage meanwhile into figures.
func (r *rig) record(u usage) {
	var counted int64
	var latencies histogram
	for _, w := range r.workers {
		counted += w.counted
		latencies.add(&w.latencies)
	}
	figures := r.result.Figures
	figures[Rate] = r.rate(u)
	if latencies.n > 0 {
		figures[P50], figures[P99] = latencies.milliseconds(0.50), latencies.milliseconds(0.99)
		figures[P999], figures[Max] = latencies.milliseconds(0.999), latencies.milliseconds(1)
	}
	if counted == 0 {
		return
	}
	per1000 := func(f Figure, cpu time.Duration, known bool) {
		if known {
			figures[f] = cpu.Seconds() * 1000 * 1000 / float64(counted)
		}
	}
	per1000(CPUClient, u.client, u.clientKnown)
	per1000(CPUServer, u.server, u.serverKnown)
	per1000(CPURedis, u.redis, u.redisKnown)
	per1000(CPUTotal, u.server+u.redis, u.serverKnown && u.redisKnown)
	if u.aofKnown && u.aofPerSecond > 0 { // zero: it is the AOF of another Redis
		figures[AOFBytes] = u.aofPerSecond / figures[Rate]
	}
}

// drainAndCheck empties the queue, closes the books and notes what is wrong.
func (r *rig) drainAndCheck(ctx context.Context) {
	complete := r.empty(ctx)
	r.result.Check.add(check(r.workers))
	if !complete && ctx.Err() == nil {
		r.fail(fmt.Sprintf("not empty after %s of draining", r.cfg.drainLimit))
	}
}

// drainWorkers is how many workers empty a queue; more would only get in each other's way.
const drainWorkers = 16

// empty receives and acks until the server says that nothing is left, in any state. It reports false when the limit came
// first: messages may then be in the queue still, so what is missing is not proved lost.
func (r *rig) empty(ctx context.Context) bool {
	until := time.Now().Add(r.cfg.drainLimit)
	for ctx.Err() == nil {
		var all sync.WaitGroup
		for _, w := range r.workers[:min(drainWorkers, len(r.workers))] {
			all.Go(func() {
				w.failures = 0 // a new chance: what went wrong before is on record
				for ctx.Err() == nil && !w.gaveUp() {
					n, ok := w.receive(maxReceive, 0, leaseSeconds, false)
					if ok && n == 0 {
						return
					}
					w.ack()
				}
			})
		}
		all.Wait()
		left, err := r.admin.stored(r.queue)
		switch {
		case err != nil:
			r.fail("count what is left: " + err.Error())
			return false
		case left == 0:
			return true
		case time.Now().After(until):
			return false
		}
		sleep(ctx, 50*time.Millisecond)
	}
	return false
}

// sleep returns after d or when ctx is done.
func sleep(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
