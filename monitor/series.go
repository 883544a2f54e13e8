package monitor

import (
	"context"
	"slices"
	"sort"
	"strconv"
	"time"

	"github.com/sluicemq/sluice/internal/engine"
	"github.com/sluicemq/sluice/queues"
	"github.com/sluicemq/sluice/tenants"
)

const (
	// fullAt is how many samples lie beside the packed ones before they are packed with them.
	fullAt = 36
	// MaxWindow is how far back series go.
	MaxWindow = 7 * 24 * time.Hour
	// MaxPoints is how many points one answer has at most.
	MaxPoints = 1500
)

// Series is what a queue, or all queues of a tenant, had and did in equal steps of time.
type Series struct {
	// From is when the first step begins of which something is known, To when the last one ends. That one may not be over yet.
	From, To time.Time
	Step     time.Duration
	// Points has a value for each step: of what is counted at an instant the last one, of the rest what came in it.
	Points []Values
}

// FinestStep is the smallest step for which a window has samples.
func FinestStep(window time.Duration) time.Duration {
	for _, t := range tiers {
		if window <= time.Duration(t.keep)*Step {
			return time.Duration(t.every) * Step
		}
	}
	return time.Duration(tiers[len(tiers)-1].every) * Step
}

// Queue returns the series of a queue, up to now. window and step are multiples of Step with at most MaxPoints between.
func (m *Monitor) Queue(ctx context.Context, t tenants.ID, name string, window, step time.Duration) (Series, error) {
	ref, err := m.queues.Ref(ctx, t, name)
	if err != nil {
		return Series{}, err
	}
	return m.series(ctx, queues.SeriesKey(t, ref.UID), window, step)
}

// Tenant returns the series of all queues of a tenant together, without Oldest. What queues counted that were deleted
// stays in it.
func (m *Monitor) Tenant(ctx context.Context, t tenants.ID, window, step time.Duration) (Series, error) {
	return m.series(ctx, board(t)[1], window, step)
}

// Installation returns the series of all queues of all tenants together, without Oldest.
func (m *Monitor) Installation(ctx context.Context, window, step time.Duration) (Series, error) {
	return m.series(ctx, fleet()[1], window, step)
}

func (m *Monitor) series(ctx context.Context, key string, window, step time.Duration) (Series, error) {
	h, _, fresh, err := m.load(ctx, key)
	if err != nil {
		return Series{}, err
	}
	h.add(fresh)
	return cut(h.samples(), m.now(), int64(window/Step), int64(step/Step)), nil
}

// bounds returns the spans with which a series begins and before which it ends.
func bounds(now, window, step int64) (begin, end int64) {
	end = (now/step + 1) * step
	return end - (window+step-1)/step*step, end
}

// cut makes a series of samples: steps of a number of spans each, of which the last one has the span now in it.
func cut(samples []Sample, now, window, step int64) Series {
	begin, end := bounds(now, window, step)
	s := Series{From: startOf(begin), To: startOf(end), Step: time.Duration(step) * Step, Points: make([]Values, 0, (end-begin)/step)}
	// before returns the last sample before a span.
	before := func(span int64) (Values, bool) {
		i := sort.Search(len(samples), func(i int) bool { return samples[i].Span >= span })
		if i == 0 {
			return Values{}, false // a queue begins with nothing
		}
		return samples[i-1].Values, true
	}
	last, _ := before(begin)
	for from := begin; from < end; from += step {
		have, known := before(from + step)
		if !known {
			s.From = startOf(from + step)
			continue
		}
		point := have
		for c := Sent; c < columns; c++ {
			point[c] = max(have[c]-last[c], 0)
		}
		last = have
		s.Points = append(s.Points, point)
	}
	return s
}

// load reads the series at key: what is packed, how often that was changed, and the samples beside it.
func (m *Monitor) load(ctx context.Context, key string) (h history, changed string, fresh []Sample, err error) {
	reply, err := m.engine.Do(ctx, seriesScript, []string{key})
	if err != nil {
		return h, "", nil, err
	}
	list, _ := reply.([]any)
	changed = "0"
	for i := 0; i+1 < len(list); i += 2 {
		field, value := engine.Text(list, i), engine.Text(list, i+1)
		switch field {
		case "p":
			if err := h.unpack([]byte(value)); err != nil {
				m.logger.Error("a series cannot be read; it begins anew", "key", key)
				h = history{}
			}
		case "n":
			changed = value
		default:
			span, err := strconv.ParseInt(field, 10, 64)
			if v, ok := parseValues(value); ok && err == nil {
				fresh = append(fresh, Sample{span, v})
			}
		}
	}
	return h, changed, fresh, nil
}

// packWhenFull packs the samples of a series when there are many. Where another server does so at the same time, one of
// them has its way.
func (m *Monitor) packWhenFull(ctx context.Context, key string, n int64) error {
	if n < fullAt {
		return nil
	}
	h, changed, fresh, err := m.load(ctx, key)
	if err != nil {
		return err
	}
	// The newest one may still be replaced.
	newest := m.now()
	fresh = slices.DeleteFunc(fresh, func(s Sample) bool { return s.Span >= newest })
	if len(fresh) == 0 {
		return nil
	}
	h.add(fresh)
	args := make([]any, 2, 2+len(fresh))
	args[0], args[1] = changed, h.pack()
	for _, s := range fresh {
		args = append(args, s.Span)
	}
	_, err = m.engine.Do(ctx, packScript, []string{key}, args...)
	return err
}
