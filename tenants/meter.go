package tenants

import (
	"context"
	"crypto/rand"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sluicemq/sluice/internal/engine"
)

// Metric is something that is counted of a tenant.
type Metric uint8

// The metrics. Redis holds them by their numbers: a new one goes to the end.
const (
	MetricRequests    Metric = iota // requests of the tenant's keys that were let in
	MetricBytesIn                   // bytes of their bodies
	MetricBytesOut                  // bytes of the bodies of their answers
	MetricSent                      // messages that a queue took
	MetricReceived                  // messages that were lent out, or given for good
	MetricDeleted                   // messages that consumers were done with, or that were deleted one by one
	MetricPublished                 // messages that a topic took
	MetricDelivered                 // messages of a topic that were brought to a queue
	MetricThrottled                 // requests that were refused because the tenant did too much a second
	MetricUndelivered               // attempts of webhooks after which a message was not delivered

	metricCount
)

// Counts are amounts of all metrics.
type Counts [metricCount]int64

// Kind says to what amounts belong.
type Kind byte

// The kinds.
const (
	KindTenant Kind = 0   // all of a tenant
	KindQueue  Kind = 'q' // one queue
	KindTopic  Kind = 't' // one topic
	KindKey    Kind = 'k' // one API key of the tenant: its requests alone, for KeyCalls; they are in no other sum
)

const (
	// flushEvery is how often a server adds what it has counted to what is kept: what usage says is so far behind.
	flushEvery = 10 * time.Second
	// maxFlushed bounds the queues and topics of one script.
	maxFlushed = 100
	// writerLife is for how long it is remembered what a server has said last. A server that cannot find out for as long
	// whether it was heard would be counted twice.
	writerLife = 48 * time.Hour
)

// Meter counts what tenants do. To count costs a look into a map and an addition; every ten seconds what was counted goes to
// Redis, one call for a tenant.
//
// What a server says has a number, and Redis remembers the last one of each server. A call of which nobody knows whether it
// arrived is made again as it was, until it is known, and counts once. Only what a server has not said when it is killed is
// lost: at most what it has done for ten seconds.
type Meter struct {
	store  *Store
	writer string // names this meter among all that there ever are

	mu    sync.RWMutex
	live  map[series]*tally
	since time.Time // when the counting of live began

	flushing sync.Mutex // guards what follows
	number   int64
	owed     map[ID]*owed
}

// series is what is counted for itself.
type series struct {
	tenant ID
	kind   Kind
	name   string
}

type tally [metricCount]atomic.Int64

// owed is what Redis has not been told of a tenant.
type owed struct {
	trying []statement                 // in the order of their numbers; these are said as they are until they are known to have arrived
	rest   map[int64]map[string]Counts // by hour since 1970 and field: for the statements behind them
}

// statement is one call of usage_add.lua.
type statement struct {
	number int64
	hour   int64 // since 1970
	fields []string
	counts []Counts
}

// NewMeter returns a meter of the tenants in store. Run must run, or nothing is kept.
func NewMeter(store *Store) *Meter {
	return &Meter{store: store, writer: rand.Text()[:16], live: map[series]*tally{}, since: store.terms.clock.Now(), owed: map[ID]*owed{}}
}

// Add counts n of a metric for a queue or topic that exists, or for none of them. A nil meter counts nothing.
func (m *Meter) Add(id ID, kind Kind, name string, metric Metric, n int64) {
	if m == nil || n == 0 {
		return
	}
	m.open(series{id, kind, name})[metric].Add(n)
	m.mu.RUnlock()
}

// AddRequest counts a request and the bytes of its body and of its answer.
func (m *Meter) AddRequest(id ID, kind Kind, name string, in, out int64) {
	if m == nil {
		return
	}
	t := m.open(series{id, kind, name})
	t[MetricRequests].Add(1)
	t[MetricBytesIn].Add(in)
	t[MetricBytesOut].Add(out)
	m.mu.RUnlock()
}

// AddCall counts a request made with a key; "": with none.
func (m *Meter) AddCall(id ID, keyID string) {
	if keyID != "" {
		m.Add(id, KindKey, keyID, MetricRequests, 1)
	}
}

// open returns the tally of a series, with m.mu locked for reading: until that is unlocked, nobody takes it away.
func (m *Meter) open(s series) *tally {
	for {
		m.mu.RLock()
		if t, ok := m.live[s]; ok {
			return t
		}
		m.mu.RUnlock()
		m.mu.Lock()
		if m.live[s] == nil {
			m.live[s] = &tally{}
		}
		m.mu.Unlock()
	}
}

// Run flushes every ten seconds and at the end of each hour, until ctx ends. Flush once more when nothing counts any more.
func (m *Meter) Run(ctx context.Context) error {
	tick := make(chan struct{}, 1)
	for {
		now := m.store.terms.clock.Now()
		wait := min(flushEvery, now.Truncate(time.Hour).Add(time.Hour).Sub(now))
		timer := m.store.terms.clock.AfterFunc(wait, func() { tick <- struct{}{} })
		select {
		case <-ctx.Done():
			timer.Stop()
			return nil
		case <-tick:
		}
		m.Flush(ctx)
	}
}

// Flush has what was counted so far kept. What Redis does not take now is kept for the next time.
func (m *Meter) Flush(ctx context.Context) {
	m.flushing.Lock()
	defer m.flushing.Unlock()
	m.take()
	for id, o := range m.owed {
		if m.settle(ctx, id, o) {
			delete(m.owed, id)
		}
	}
}

// take makes what was counted so far something that is owed. It belongs to the hour in which the counting began.
func (m *Meter) take() {
	m.mu.Lock()
	counted, hour := m.live, hourOf(m.since)
	m.live, m.since = map[series]*tally{}, m.store.terms.clock.Now()
	m.mu.Unlock()
	for s, t := range counted {
		o := m.owed[s.tenant]
		if o == nil {
			o = &owed{rest: map[int64]map[string]Counts{}}
			m.owed[s.tenant] = o
		}
		if o.rest[hour] == nil {
			o.rest[hour] = map[string]Counts{}
		}
		var n Counts
		for i := range t {
			n[i] = t[i].Load()
		}
		o.rest[hour][s.field()] = o.rest[hour][s.field()].plus(n)
	}
}

// settle says what is owed of a tenant, and reports whether all of it has arrived.
func (m *Meter) settle(ctx context.Context, id ID, o *owed) bool {
	for {
		if len(o.trying) == 0 {
			m.state(o)
		}
		if len(o.trying) == 0 {
			return true
		}
		fresh, err := m.store.addUsage(ctx, id, m.writer, o.trying[0])
		if err != nil {
			return false // the engine has logged it
		}
		if fresh {
			_ = m.store.PruneUsage(ctx, id) // or a walk through all tenants does it
		}
		o.trying = o.trying[1:]
	}
}

// state makes statements of the rest of what is owed, which is the first of its hours.
func (m *Meter) state(o *owed) {
	if len(o.rest) == 0 {
		return
	}
	hour := slices.Min(slices.Collect(maps.Keys(o.rest)))
	all := o.rest[hour]
	delete(o.rest, hour)
	for fields := range slices.Chunk(slices.Sorted(maps.Keys(all)), maxFlushed) {
		m.number++
		s := statement{number: m.number, hour: hour, fields: []string{""}, counts: []Counts{{}}}
		for _, f := range fields {
			if !strings.HasPrefix(f, string(KindKey)) { // its queue's or the tenant's has that request too
				s.counts[0] = s.counts[0].plus(all[f])
			}
			if f != "" {
				s.fields, s.counts = append(s.fields, f), append(s.counts, all[f])
			}
		}
		o.trying = append(o.trying, s)
	}
}

func (c Counts) plus(d Counts) Counts {
	for i := range c {
		c[i] += d[i]
	}
	return c
}

// String writes amounts as Redis holds them.
func (c Counts) String() string {
	var b []byte
	for i, n := range c {
		if i > 0 {
			b = append(b, ',')
		}
		b = strconv.AppendInt(b, n, 10)
	}
	return string(b)
}

// Refused counts a request that the limiter did not let in. A nil meter counts nothing.
func (m *Meter) Refused(id ID) { m.Add(id, KindTenant, "", MetricThrottled, 1) }

// parseCounts reads what String wrote, and leaves out metrics of newer servers.
func parseCounts(text string) (c Counts, err error) {
	for i, part := range strings.Split(text, ",") {
		n, err := strconv.ParseInt(part, 10, 64)
		if err != nil {
			return c, engine.ErrBroken.Because(fmt.Errorf("usage %q: %w", text, err))
		}
		if i < len(c) {
			c[i] = n
		}
	}
	return c, nil
}

// field names a series in Redis.
func (s series) field() string {
	if s.kind == KindTenant {
		return ""
	}
	return string(s.kind) + "/" + s.name
}

func hourOf(t time.Time) int64 { return t.Unix() / 3600 }
