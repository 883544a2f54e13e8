package monitor

import (
	"cmp"
	"context"
	"errors"
	"math"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/sluicemq/sluice/internal/engine"
	"github.com/sluicemq/sluice/queues"
	"github.com/sluicemq/sluice/tenants"
)

// entry is the newest sample of a queue on a board, and the rates of the time before it.
type entry struct {
	uid  string
	span int64
	Values
	before, sent, received int64           // the span of the sample before it, and what had come by then
	trouble                tenants.Trouble // of a tenant, where it is sorted by
}

// read returns what is on a board of the given names, or of all, by name.
func (m *Monitor) read(ctx context.Context, key string, names ...string) (map[string]entry, error) {
	args := make([]any, len(names))
	for i, name := range names {
		args[i] = name
	}
	reply, err := m.engine.Do(ctx, boardScript, []string{key}, args...)
	if err != nil {
		return nil, err
	}
	list, _ := reply.([]any)
	on := make(map[string]entry, len(list)/2)
	for i := 0; i+1 < len(list); i += 2 {
		if e, ok := parseEntry(engine.Text(list, i+1)); ok {
			on[engine.Text(list, i)] = e
		}
	}
	return on, nil
}

func parseEntry(s string) (e entry, ok bool) {
	f := strings.Fields(s)
	if len(f) != 4 {
		return e, false // the sums
	}
	var err error
	e.uid = f[0]
	if e.span, err = strconv.ParseInt(f[1], 10, 64); err != nil {
		return e, false
	}
	if e.Values, ok = parseValues(f[2]); !ok {
		return e, false
	}
	before, ok := parseValues(f[3])
	e.before, e.sent, e.received = before[0], before[1], before[2]
	return e, ok
}

// Rates are messages a second.
type Rates struct{ Sent, Received float64 }

// rates returns what came a second between the last two samples, and nothing when the newer one is not of the last span or
// the one before.
func (e entry) rates(now int64) Rates {
	if e.before == 0 || now-e.span > 2 || e.span <= e.before {
		return Rates{}
	}
	// A pause before the newest sample counts as one span: nothing came in it.
	seconds := float64(min(e.span-e.before, 2)) * Step.Seconds()
	return Rates{float64(e.Values[Sent]-e.sent) / seconds, float64(e.Values[Received]-e.received) / seconds}
}

// Columns are the words by which Sort sorts.
var Columns = []string{"name", "available", "in_flight", "delayed", "oldest_age", "bytes", "sent_rate", "received_rate"}

// key returns by what an entry is sorted in a column.
func (e entry) key(column string, now int64) float64 {
	switch column {
	case "available":
		return float64(e.Values[Available])
	case "in_flight":
		return float64(e.Values[InFlight])
	case "delayed":
		return float64(e.Values[Delayed])
	case "oldest_age":
		if e.Values[Oldest] == 0 {
			return math.Inf(-1)
		}
		return -float64(e.Values[Oldest]) // the age itself grows from one part of a list to the next
	case "bytes":
		return float64(e.Values[Bytes])
	case "sent_rate":
		return e.rates(now).Sent
	case "received_rate":
		return e.rates(now).Received
	case "throttled":
		return float64(e.trouble.Throttled)
	case "undelivered":
		return float64(e.trouble.Undelivered)
	}
	return 0
}

// freshFor is how long a server sorts by one reading of a board. What it reads is up to ten seconds old anyway.
const freshFor = 2 * time.Second

// snapshot is the queues of a tenant as this server has read them last.
type snapshot struct {
	mu    sync.Mutex
	taken time.Time
	names []string // all live queues, by name
	on    map[string]entry
}

// snapshot returns the tenant's queues as of a moment ago.
func (m *Monitor) snapshot(ctx context.Context, t tenants.ID) ([]string, map[string]entry, error) {
	v, known := m.snapshots.LoadOrStore(t, &snapshot{})
	if !known { // a megabyte for 10,000 queues, so it goes when nobody sorts any more
		m.clock.AfterFunc(time.Minute, func() { m.snapshots.CompareAndDelete(t, v) })
	}
	s := v.(*snapshot)
	s.mu.Lock() // who comes meanwhile gets the same
	defer s.mu.Unlock()
	if now := m.clock.Now(); s.on == nil || now.Sub(s.taken) >= freshFor {
		on, err := m.read(ctx, board(t)[0])
		if err != nil {
			return nil, nil, err
		}
		var names []string
		for after := ""; ; {
			refs, next, err := m.queues.Refs(ctx, t, after, 1000)
			if err != nil {
				return nil, nil, err
			}
			for _, r := range refs {
				names = append(names, r.Name)
				if e, ok := on[r.Name]; ok && e.uid != r.UID {
					delete(on, r.Name)
				}
			}
			if after = next; next == "" {
				break
			}
		}
		s.names, s.on, s.taken = names, on, now
	}
	return s.names, s.on, nil
}

// ErrPlace is the error of an Order that begins behind what is no place in such a list.
var ErrPlace = errors.New("no place in a list of queues")

// Order says which queues Sort returns, and in which order.
type Order struct {
	Column     string // one of Columns
	Descending bool
	Keep       func(name string) bool // nil: all
	// After is the place behind which to begin: the last one of the part before; "" at first.
	After string
	Limit int
}

// Sort returns names of a tenant's queues in an order, and the place behind which the next part begins, or "". The counts
// by which it sorts are at most 20 seconds old for queues that are in use. Queues of which nothing is known have nothing.
// One whose counts change between two parts may be in both, or in none.
func (m *Monitor) Sort(ctx context.Context, t tenants.ID, o Order) ([]string, string, error) {
	names, on, err := m.snapshot(ctx, t)
	if err != nil {
		return nil, "", err
	}
	return o.part(names, on, m.now())
}

// part returns the part of names that o asks for, and the place behind which the next one begins.
func (o Order) part(names []string, on map[string]entry, now int64) ([]string, string, error) {
	type row struct {
		name string
		key  float64
	}
	direction, ofNames := 1, 1
	if o.Descending {
		direction = -1
		if o.Column == "name" {
			ofNames = -1
		}
	}
	compare := func(a, b row) int {
		if c := cmp.Compare(a.key, b.key); c != 0 {
			return direction * c
		}
		return ofNames * strings.Compare(a.name, b.name)
	}
	rows := make([]row, 0, len(names))
	for _, name := range names {
		if o.Keep == nil || o.Keep(name) {
			rows = append(rows, row{name, on[name].key(o.Column, now)})
		}
	}
	slices.SortFunc(rows, compare)
	first := 0
	if o.After != "" {
		number, name, _ := strings.Cut(o.After, " ")
		key, err := strconv.ParseFloat(number, 64)
		if err != nil {
			return nil, "", ErrPlace
		}
		first, _ = slices.BinarySearchFunc(rows, row{name, key}, compare)
		if first < len(rows) && rows[first].name == name {
			first++
		}
	}
	last := min(first+o.Limit, len(rows))
	out := make([]string, 0, last-first)
	for _, r := range rows[first:last] {
		out = append(out, r.name)
	}
	if last == len(rows) || last == first {
		return out, "", nil
	}
	end := rows[last-1]
	return out, strconv.FormatFloat(end.key, 'g', -1, 64) + " " + end.name, nil
}

// Rates returns the rates of some queues of a tenant, in the order of their names.
func (m *Monitor) Rates(ctx context.Context, t tenants.ID, names ...string) ([]Rates, error) {
	out := make([]Rates, len(names))
	if len(names) == 0 {
		return out, nil
	}
	on, err := m.read(ctx, board(t)[0], names...)
	if err != nil {
		return nil, err
	}
	for i, name := range names {
		out[i] = on[name].rates(m.now())
	}
	return out, nil
}

// Newest is the newest sample of a queue. Of a queue of which nothing is known, because nobody has used it, the values are 0.
type Newest struct {
	Name string
	UID  string // of the queue whose sample it is; "" where nothing is known
	Values
}

// maxStale bounds the queues of a tenant that Newest looks at itself.
const maxStale = 100

// Newest returns the newest samples of all live queues of a tenant, by name. It costs one call and one more for each
// thousand queues, however many ask for it within two seconds. Of a queue that nobody calls, and in which delays or leases
// end meanwhile, the sample may be old: the first hundred of these are looked at.
func (m *Monitor) Newest(ctx context.Context, t tenants.ID) ([]Newest, error) {
	names, on, err := m.snapshot(ctx, t)
	if err != nil {
		return nil, err
	}
	stale := m.now() - int64(longestPause/Step)
	looked := 0
	out := make([]Newest, len(names))
	for i, name := range names {
		e := on[name]
		out[i] = Newest{name, e.uid, e.Values}
		if e.span >= stale || e.Values[InFlight]+e.Values[Delayed] == 0 || looked == maxStale {
			continue
		}
		looked++
		st, err := m.queues.Stats(ctx, t, name)
		if errors.Is(err, queues.ErrQueueNotFound) {
			continue // deleted just now: the next look will know
		}
		if err != nil {
			return nil, err
		}
		out[i].Values = valuesOf(st)
	}
	return out, nil
}
