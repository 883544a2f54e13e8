package tenants

import (
	"sync"
	"time"

	"github.com/sluicemq/sluice/internal/errs"
)

// Waiting counts what waits on this server for its tenants, receives and open streams, so that no tenant takes all the places
// that there are. The limit holds for each server: to hold it for all together would cost each wait a round trip.
type Waiting struct {
	mu     sync.Mutex
	counts map[ID]int64 // without those of whom nothing waits
}

// NewWaiting returns a Waiting of whom nothing waits.
func NewWaiting() *Waiting { return &Waiting{counts: map[ID]int64{}} }

// ErrTooManyWaiting says that as many receives and streams wait for a tenant on this server as may.
var ErrTooManyWaiting = &errs.Error{Kind: errs.RateLimited, Code: "too_many_waiting", RetryAfter: time.Second,
	Message: "The tenant has as many waiting receives and open streams on this server as it may have.",
	Fix:     "End streams that nobody needs, or ask the operator for a higher limit."}

// Enter counts one more that waits for a tenant, or returns ErrTooManyWaiting. Call leave when it waits no more. Without terms
// there is no limit.
func (w *Waiting) Enter(id ID, t *Terms) (leave func(), err error) {
	if w == nil || t == nil || t.Limits[LimitWaiting] == 0 {
		return func() {}, nil
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	most := t.Limits[LimitWaiting]
	if n := w.counts[id]; n >= most {
		return func() {}, LimitWaiting.Reached(ErrTooManyWaiting, most, n)
	}
	w.counts[id]++
	return func() { w.leave(id) }, nil
}

func (w *Waiting) leave(id ID) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.counts[id]--; w.counts[id] == 0 {
		delete(w.counts, id)
	}
}
