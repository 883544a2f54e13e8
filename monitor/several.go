package monitor

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/sluicemq/sluice/queues"
	"github.com/sluicemq/sluice/tenants"
)

// Named is the series of a queue.
type Named struct {
	Queue string
	Series
}

// atOnce is how many series are read at the same time for one who asks for several.
const atOnce = 8

// Queues returns the series of several queues, without those that are not there. One that nobody has used within the window has
// no points, and costs nothing but its part of one call.
func (m *Monitor) Queues(ctx context.Context, t tenants.ID, names []string, window, step time.Duration) ([]Named, error) {
	if len(names) == 0 {
		return nil, nil
	}
	on, err := m.read(ctx, board(t)[0], names...)
	if err != nil {
		return nil, err
	}
	found := make([]*Named, len(names))
	faults := make([]error, len(names))
	turns := make(chan struct{}, atOnce)
	var reading sync.WaitGroup
	for i, name := range names {
		turns <- struct{}{}
		reading.Go(func() {
			defer func() { <-turns }()
			found[i], faults[i] = m.named(ctx, t, name, on[name], window, step)
		})
	}
	reading.Wait()
	if err := errors.Join(faults...); err != nil {
		return nil, err
	}
	out := make([]Named, 0, len(names))
	for _, n := range found {
		if n != nil {
			out = append(out, *n)
		}
	}
	return out, nil
}

// named returns the series of one queue, nil when it is not there. e is what the board has of its name.
func (m *Monitor) named(ctx context.Context, t tenants.ID, name string, e entry, window, step time.Duration) (*Named, error) {
	ref, err := m.queues.Ref(ctx, t, name)
	if errors.Is(err, queues.ErrQueueNotFound) {
		return nil, nil //nolint:nilnil // nothing is there, which is no error
	}
	if err != nil {
		return nil, err
	}
	out := &Named{Queue: name}
	if e.uid != ref.UID || m.now()-e.span > int64(window/Step) {
		return out, nil
	}
	out.Series, err = m.series(ctx, queues.SeriesKey(t, ref.UID), window, step)
	return out, err
}

// Bounds returns from when to when a series is that is asked for at an instant, where all of it is known.
func Bounds(now time.Time, window, step time.Duration) (from, to time.Time) {
	begin, end := bounds(spanOf(now), int64(window/Step), int64(step/Step))
	return startOf(begin), startOf(end)
}
