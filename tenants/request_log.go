package tenants

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	weak "math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/sluicemq/sluice/internal/audit"
	"github.com/sluicemq/sluice/internal/engine"
)

// Bounds of the request log.
const (
	// DefaultRequestRate is how many requests that were answered with success a server keeps of a tenant each second.
	DefaultRequestRate = 5
	// MaxRequestRate bounds what may be set.
	MaxRequestRate = 50
	// failedFactor is how many times as many that were refused, or failed, are kept.
	failedFactor = 4

	// requestLogBytes and requestLogAge are what is kept of each tenant; the oldest go first.
	requestLogBytes = 1 << 20
	requestLogAge   = 24 * time.Hour
	// logEvery is how often a server writes down what it has kept.
	logEvery = time.Second
	// maxLogged bounds the tenants that a server writes for in one go, and maxLogging those that it keeps requests of: they are
	// served in turn.
	maxLogged  = 200
	maxLogging = 10_000
	// logDelay is more than any request waits to be written down: requests that are older than their part by more are not there.
	logDelay = 10 * time.Minute
	// readParts is how many parts one script reads.
	readParts = 20
)

// Call is a request that was answered, as the request log has it. It holds no body, no path and no query.
type Call struct {
	ID        string      `json:"id"`
	At        time.Time   `json:"-"` // when it was answered, by the clock of Redis
	Age       int64       `json:"age"`
	Door      string      `json:"door"` // rest or aws
	Method    string      `json:"method"`
	Route     string      `json:"route"`
	Operation string      `json:"operation,omitempty"`
	Queue     string      `json:"queue,omitempty"`
	Topic     string      `json:"topic,omitempty"`
	Status    int         `json:"status"`
	Code      string      `json:"code,omitempty"` // of the problem
	Micros    int64       `json:"us"`             // from its head to the end of its answer
	Actor     audit.Actor `json:"actor"`
	Address   string      `json:"address,omitempty"`
}

// RequestLog keeps a sample of what tenants ask for. To note a request costs a look into a map, and more only where it is
// kept; each second what was kept goes to Redis, one call for a tenant. What a server has not written when it is killed
// is lost, and so is what Redis does not take.
type RequestLog struct {
	store *Store
	rate  int

	mu   sync.Mutex
	live map[ID]*sample
}

// sample is what was kept of a tenant since it was last written down.
type sample struct{ done, failed reservoir }

// reservoir is a random sample of all that came.
type reservoir struct {
	calls []Call
	seen  int
}

// place returns where in the sample the next one goes, -1 for one that is not kept.
func (r *reservoir) place(most int) int {
	r.seen++
	if len(r.calls) < most {
		r.calls = append(r.calls, Call{})
		return len(r.calls) - 1
	}
	if i := weak.IntN(r.seen); i < most {
		return i
	}
	return -1
}

// NewRequestLog returns the log of the tenants in store, of which each second rate requests are kept that were answered with
// success, and four times as many others. Run must run, or nothing is written. It is nil, and keeps nothing, with a rate of 0.
func NewRequestLog(store *Store, rate int) *RequestLog {
	if rate <= 0 {
		return nil
	}
	return &RequestLog{store: store, rate: rate, live: map[ID]*sample{}}
}

// Note notes a request of a tenant with its status. describe is asked for the rest only where the request is kept.
func (l *RequestLog) Note(id ID, status int, describe func() Call) {
	if l == nil || id.IsZero() {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	s := l.live[id]
	if s == nil {
		if len(l.live) >= maxLogging {
			return
		}
		s = &sample{}
		l.live[id] = s
	}
	r, most := &s.done, l.rate
	if status >= 400 {
		r, most = &s.failed, failedFactor*l.rate
	}
	if i := r.place(most); i >= 0 {
		r.calls[i] = describe()
		r.calls[i].Status, r.calls[i].At = status, l.store.terms.clock.Now()
	}
}

// Run writes what was kept each second, until ctx ends. Flush once more when nothing is noted any more.
func (l *RequestLog) Run(ctx context.Context) error {
	if l == nil {
		return nil
	}
	tick := make(chan struct{}, 1)
	for {
		timer := l.store.terms.clock.AfterFunc(logEvery, func() { tick <- struct{}{} })
		select {
		case <-ctx.Done():
			timer.Stop()
			return nil
		case <-tick:
		}
		l.Flush(ctx)
	}
}

// Flush writes what was kept, of at most 200 tenants.
func (l *RequestLog) Flush(ctx context.Context) {
	if l == nil {
		return
	}
	l.mu.Lock()
	taken := make(map[ID]*sample, min(len(l.live), maxLogged))
	for id, s := range l.live { // in random order, so that all get their turn
		if len(taken) == maxLogged {
			break
		}
		taken[id] = s
		delete(l.live, id)
	}
	l.mu.Unlock()
	for id, s := range taken {
		if ctx.Err() != nil {
			return
		}
		_ = l.write(ctx, id, append(s.done.calls, s.failed.calls...)) // a sample: what Redis does not take is not kept
	}
}

func (l *RequestLog) write(ctx context.Context, id ID, calls []Call) error {
	now := l.store.terms.clock.Now()
	for i := range calls {
		calls[i].Age = max(now.Sub(calls[i].At).Milliseconds(), 0)
	}
	text, err := json.Marshal(calls)
	if err != nil {
		return err
	}
	_, err = l.store.run(ctx, requestLogAddScript, []string{recordKey(id), requestLogKey(id), requestLogOrderKey(id)},
		rand.Text()[:16], string(text), requestLogBytes, requestLogAge.Milliseconds())
	return err
}

// CallFilter says which requests are asked for. The zero value means all.
type CallFilter struct {
	RequestID string // the Request-Id of one
	Actor     string // id of a key, a member, a portal link, an identity, an access token or a session
	Operation string
	Route     string
	Status    int       // one status, or 2, 4 or 5 for all that begin with it; 0: any
	From, To  time.Time // from the one on, before the other
	// Sees reports whether the reader may see what belongs to a queue; nil: all.
	Sees func(queue string) bool
}

func (f *CallFilter) wants(c *Call) bool {
	return (f.RequestID == "" || f.RequestID == c.ID) && (f.Actor == "" || c.Actor.Is(f.Actor)) && (f.Operation == "" || f.Operation == c.Operation) && (f.Route == "" || f.Route == c.Route) &&
		(f.Status == 0 || f.Status == c.Status || f.Status == c.Status/100) && (f.From.IsZero() || !c.At.Before(f.From)) && (f.To.IsZero() || c.At.Before(f.To)) &&
		(f.Sees == nil || c.Queue != "" && f.Sees(c.Queue))
}

// Calls returns up to limit requests of a tenant's request log, latest first, from behind after on: what the call before
// returned for next, and "" for the first one. next is "" behind the last one. Requests that servers wrote down together are
// in the order of their time, and these parts in the order in which they were written.
func (s *Store) Calls(ctx context.Context, id ID, f CallFilter, limit int, after string) (page []Call, next string, err error) {
	from, skip := "+", 0
	if !f.To.IsZero() {
		from = "(" + partPlace(f.To.Add(logDelay))
	}
	if place, n, ok := strings.Cut(after, "/"); ok {
		if skip, err = strconv.Atoi(n); err != nil {
			return nil, "", engine.ErrBroken.Because(err)
		}
		from = "[" + place
	}
	oldest := s.terms.clock.Now().Add(-requestLogAge)
	if f.From.After(oldest) {
		oldest = f.From
	}
	for {
		list, err := s.run(ctx, requestLogReadScript, []string{requestLogKey(id), requestLogOrderKey(id)}, from, "["+partPlace(oldest), readParts)
		if err != nil {
			return nil, "", err
		}
		for i := 0; i+1 < len(list); i += 2 {
			place := list[i]
			calls, err := readPart(place, list[i+1])
			if err != nil {
				return nil, "", err
			}
			if from != "["+place {
				skip = 0
			}
			for n := skip; n < len(calls); n++ {
				if !f.wants(&calls[n]) {
					continue
				}
				if len(page) == limit {
					return page, fmt.Sprintf("%s/%d", place, n), nil
				}
				page = append(page, calls[n])
			}
		}
		if len(list) < 2*readParts {
			return page, "", nil
		}
		from, skip = "("+list[len(list)-2], 0
	}
}

// partInstant is how many digits the instant has in the place of a part: enough until the year 2286.
const partInstant = 13

func partPlace(at time.Time) string { return fmt.Sprintf("%0*d", partInstant, max(at.UnixMilli(), 0)) }

// readPart returns the requests of a part, latest first.
func readPart(place, text string) (calls []Call, err error) {
	millis := int64(0)
	if len(place) > partInstant {
		millis, err = strconv.ParseInt(place[:partInstant], 10, 64)
	}
	if err == nil {
		err = json.Unmarshal([]byte(text), &calls)
	}
	if err != nil {
		return nil, engine.ErrBroken.Because(fmt.Errorf("part %s of the request log is damaged: %w", place, err))
	}
	for i := range calls {
		calls[i].At, calls[i].Age = time.UnixMilli(millis-calls[i].Age).UTC(), 0
	}
	slices.SortStableFunc(calls, func(a, b Call) int { return b.At.Compare(a.At) })
	return calls, nil
}

// forgetCalls deletes the request log of a tenant that is being deleted.
func (s *Store) forgetCalls(ctx context.Context, id ID) error {
	_, err := s.run(ctx, requestLogDropScript, []string{requestLogKey(id), requestLogOrderKey(id)})
	return err
}

func requestLogKey(id ID) string      { return engine.TenantKey(id.s, "request-log") }       // HASH part to instant and requests
func requestLogOrderKey(id ID) string { return engine.TenantKey(id.s, "request-log-order") } // ZSET of parts by their instant
