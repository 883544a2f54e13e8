package monitor

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/sluicemq/sluice/internal/engine"
	"github.com/sluicemq/sluice/queues"
	"github.com/sluicemq/sluice/tenants"
)

const (
	// longestPause is how long a queue is left alone that nobody calls and that still changes with the time: leases end in
	// it, or delays.
	longestPause = 10 * time.Minute
	// lookers is how many queues are looked at together.
	lookers = 4
	// tallied is how many samples go into one call.
	tallied = 100
)

// watch is a queue of which samples are taken.
type watch struct {
	values Values
	known  bool // values are those of the last sample
	due    time.Time
	pause  time.Duration
}

// newest is a sample for a board. Without values the thing is gone.
type newest struct{ name, uid, values string }

// Record takes a sample of each queue for which this server had calls since the last time, or that changed since then. It
// goes on where one fails, and returns one of the errors. Two calls at once run one after the other.
func (m *Monitor) Record(ctx context.Context) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := m.clock.Now()
	for _, ref := range m.queues.Active(m.last) {
		w := m.watched[ref]
		if w == nil {
			w = &watch{}
			m.watched[ref] = w
		}
		w.due, w.pause = now, 0
	}
	m.last = now

	var mu sync.Mutex
	var failed error
	seen := map[tenants.ID][]newest{}
	var g errgroup.Group
	g.SetLimit(lookers)
	var gone []queues.Ref
	for ref, w := range m.watched {
		if w.due.After(now) {
			continue
		}
		g.Go(func() error {
			over, sample, err := m.look(ctx, ref, w)
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				failed = err
			}
			if over {
				gone = append(gone, ref)
			}
			if sample != nil {
				seen[ref.Tenant] = append(seen[ref.Tenant], *sample)
			}
			return nil
		})
	}
	_ = g.Wait()
	for _, ref := range gone {
		delete(m.watched, ref)
	}
	if err := m.sum(ctx, spanOf(now), seen); err != nil {
		failed = err
	}
	return failed
}

// look takes a sample of a queue. over: it need not be watched any more.
func (m *Monitor) look(ctx context.Context, ref queues.Ref, w *watch) (over bool, sample *newest, err error) {
	st, err := m.queues.Look(ctx, ref)
	if errors.Is(err, queues.ErrQueueNotFound) {
		return true, nil, nil
	}
	if err != nil {
		return false, nil, err
	}
	values := valuesOf(st)
	changed := !w.known || values != w.values
	if changed {
		if err := m.append(ctx, ref, m.now(), values); err != nil {
			return false, nil, err
		}
		w.values, w.known = values, true
		sample = &newest{ref.Name, ref.UID, values.String()}
	}
	if !changed && w.pause > 0 && st.InFlight+st.Delayed == 0 {
		return true, nil, nil
	}
	w.pause = min(max(2*w.pause, Step), longestPause)
	w.due = m.clock.Now().Add(w.pause - Step/2) // the next round may begin a little sooner than a step later
	return false, sample, nil
}

// sum puts samples on the boards of their tenants, and what the tenants have then on that of the installation.
func (m *Monitor) sum(ctx context.Context, span int64, seen map[tenants.ID][]newest) error {
	var failed error
	var sums []newest
	for t, list := range seen {
		all, err := m.tally(ctx, board(t), span, list)
		if err != nil {
			failed = err
			continue
		}
		sums = append(sums, newest{t.String(), t.String(), all})
	}
	if _, err := m.tally(ctx, fleet(), span, sums); err != nil {
		failed = err
	}
	return failed
}

// tally puts samples on a board and returns the values of all that are on it.
func (m *Monitor) tally(ctx context.Context, keys []string, span int64, list []newest) (all string, err error) {
	for part := range slices.Chunk(list, tallied) {
		args := make([]any, 2, 2+3*len(part))
		args[0], args[1] = span, "0"
		if keys[0] == fleet()[0] {
			args[1] = "1"
		}
		for _, n := range part {
			args = append(args, n.name, n.uid, n.values)
		}
		reply, err := m.engine.Do(ctx, tallyScript, keys, args...)
		if err != nil {
			return "", err
		}
		answer, _ := reply.([]any)
		all = engine.Text(answer, 0)
		if err := m.packWhenFull(ctx, keys[1], engine.Number(answer, 1)); err != nil {
			return "", err
		}
	}
	return all, nil
}

// append adds a sample to the series of a queue, unless that is gone.
func (m *Monitor) append(ctx context.Context, ref queues.Ref, span int64, v Values) error {
	key := queues.SeriesKey(ref.Tenant, ref.UID)
	reply, err := m.engine.Do(ctx, appendScript, []string{key, queues.HeadKey(ref.Tenant, ref.UID)}, span, v.String())
	if err != nil {
		return err
	}
	n, _ := reply.(int64)
	return m.packWhenFull(ctx, key, n)
}
