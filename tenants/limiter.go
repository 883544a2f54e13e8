package tenants

import (
	"context"
	"fmt"
	"math"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sluicemq/sluice/internal/engine"
	"github.com/sluicemq/sluice/internal/errs"
)

const (
	// settleEvery is how often a server settles with the others, for all tenants in one call: what one of them lets through
	// the others know that much later.
	settleEvery = 200 * time.Millisecond
	// refresh is how often a server with shares says that it has them. The script counts it for twice as long.
	refresh = time.Second
	// done is how long a tenant does nothing before a server gives its shares back.
	done = 2 * time.Second
	// maxSettled bounds the buckets of one script.
	maxSettled = 100
	// countedFor is for how long a server counts after its last beat.
	countedFor = 5 * engine.SessionBeat / 2
	// countEvery is how often servers are counted when there is nothing to settle.
	countEvery = 5 * time.Second
)

// rated are the limits that the Limiter holds, in tokens a second.
var rated = [...]Limit{LimitRequests, LimitBytesIn, LimitBytesOut}

// Limiter lets tenants do as much a second as they may, over all servers, without asking Redis for a request.
//
// Each limit of a tenant is a token bucket in Redis, which holds what may be done in one second. A server takes shares of
// it in advance and lets requests through as long as it has some. Five times a second it settles, for all tenants that
// have used half of their shares, in one call: it says what it has spent and gets new shares by what was asked for. A
// tenant that a server does not know yet begins with an advance, its part of the bucket by the number of servers, which
// is charged afterwards. So a tenant that stays far below its limits costs next to nothing, and one that does not gets
// its rate to the token, whichever servers it calls.
type Limiter struct {
	store    *Store
	accounts sync.Map // ID → *account
	servers  atomic.Int64
	counted  time.Duration // when servers were counted last
}

// account is what a server knows of the use of one tenant.
type account struct {
	mu      sync.Mutex
	buckets [len(rated)]bucket
	policy  []string      // for the header
	used    time.Duration // when something was asked for last
	dropped bool          // it is in the map no more
}

// bucket is a server's part of a token bucket.
type bucket struct {
	rate    float64 // tokens a second; 0: no limit
	tokens  float64 // of shares that are not spent
	advance float64 // what may be spent before the first settlement
	spent   float64 // without a share
	asked   float64 // since the last settlement, also what was refused
	refused bool    // since the last settlement
	target  float64 // of shares
	left    float64 // in the bucket, for each server
	among   float64 // how many servers have shares
	settled time.Duration
	over    bool // nothing is left to settle
}

// Rate is what a tenant is told of its limits.
type Rate struct {
	Limit Limit
	// Left is how much of it the tenant may use now at this server.
	Left int64
	// Policy is the value of the header RateLimit-Policy; nil for a tenant without limits. Do not change it.
	Policy []string
}

// NewLimiter returns the limiter of the tenants in store. Run must run, or tenants get their first advance only.
func NewLimiter(store *Store) *Limiter {
	l := &Limiter{store: store, counted: -countEvery}
	l.servers.Store(1)
	return l
}

// ErrRateLimited says that a tenant does more a second than it may.
var ErrRateLimited = &errs.Error{Kind: errs.RateLimited, Code: "rate_limited", RetryAfter: time.Second,
	Message: "The tenant does more than it may.",
	Fix:     "Wait as long as Retry-After says; put several messages into one request."}

// Admit lets a request of a tenant through whose body has so many bytes (below 0: nobody knows yet), or returns
// ErrRateLimited. What a request brings and gets is charged afterwards, so it may be more than there is, and then those
// behind it wait.
func (l *Limiter) Admit(id ID, t *Terms, bytesIn int64) (Rate, error) {
	if !t.Limits.rated() {
		return Rate{}, nil
	}
	a := l.account(id)
	defer a.mu.Unlock()
	a.used = l.store.terms.now()
	l.adopt(a, t.Limits)
	in := float64(max(bytesIn, 0))
	cost := [len(rated)]float64{1, in, 0}
	need := [len(rated)]float64{1, 0, 0}
	for i := range a.buckets {
		if b := &a.buckets[i]; !b.may(need[i]) {
			b.refused = true
			b.asked += cost[i]
			return a.rate(i), b.refusal(rated[i])
		}
	}
	for i := range a.buckets {
		a.buckets[i].spend(cost[i])
	}
	return a.rate(0), nil
}

// Charge notes bytes that came or went after a request was let through.
func (l *Limiter) Charge(id ID, t *Terms, bytesIn, bytesOut int64) {
	if bytesIn <= 0 && bytesOut <= 0 || t.Limits[LimitBytesIn] == 0 && t.Limits[LimitBytesOut] == 0 {
		return
	}
	a := l.account(id)
	defer a.mu.Unlock()
	a.used = l.store.terms.now()
	l.adopt(a, t.Limits)
	a.buckets[1].spend(float64(max(bytesIn, 0)))
	a.buckets[2].spend(float64(max(bytesOut, 0)))
}

// rated reports whether a limit concerns the Limiter.
func (l *Limits) rated() bool {
	return l[LimitRequests] != 0 || l[LimitBytesIn] != 0 || l[LimitBytesOut] != 0
}

// account returns the account of a tenant, locked.
func (l *Limiter) account(id ID) *account {
	for {
		v, ok := l.accounts.Load(id)
		if !ok {
			v, _ = l.accounts.LoadOrStore(id, &account{})
		}
		a := v.(*account)
		a.mu.Lock()
		if !a.dropped {
			return a
		}
		a.mu.Unlock()
	}
}

// adopt brings the buckets of an account up to what holds now.
func (l *Limiter) adopt(a *account, limits Limits) {
	changed := false
	for i, limit := range rated {
		b, rate := &a.buckets[i], float64(limits[limit])
		if b.rate == rate && !b.over {
			continue
		}
		changed = true
		if b.rate == 0 || b.over {
			*b = bucket{advance: rate / float64(l.servers.Load())}
		}
		b.rate = rate
		b.tokens, b.advance = min(b.tokens, rate), min(b.advance, rate)
	}
	if changed {
		a.policy = []string{policy(limits)}
	}
}

// policy writes the header RateLimit-Policy.
func policy(limits Limits) string {
	var all []string
	for _, limit := range rated {
		if n := limits[limit]; n != 0 {
			unit := ""
			if limit != LimitRequests {
				unit = `;qu="content-bytes"`
			}
			all = append(all, fmt.Sprintf(`"%s";q=%d;w=1%s`, limit, n, unit))
		}
	}
	return strings.Join(all, ", ")
}

// may reports whether n tokens are there, and for n = 0 whether any is.
func (b *bucket) may(n float64) bool {
	if b.rate == 0 {
		return true
	}
	if n == 0 {
		return b.tokens > 0 || b.advance > 0
	}
	const rounding = 1e-3 // shares are written with four digits
	return b.tokens >= n-rounding || b.advance >= n-rounding
}

// spend takes n tokens, also those that are not there.
func (b *bucket) spend(n float64) {
	if b.rate == 0 || n == 0 {
		return
	}
	b.asked += n
	if b.tokens >= n {
		b.tokens -= n
		return
	}
	if b.advance >= n {
		b.advance -= n
		b.spent += n
		return
	}
	b.spent += n - b.tokens
	b.tokens, b.advance = 0, 0
}

// refusal is ErrRateLimited with advice when to come again.
func (b *bucket) refusal(limit Limit) error {
	e := *ErrRateLimited
	e.Message = fmt.Sprintf("The tenant may have %.0f %s.", b.rate, limits[limit].said)
	if wait := time.Duration(-b.left / b.rate * float64(time.Second)); wait > e.RetryAfter {
		e.RetryAfter = wait
	}
	e.Usage = &errs.Usage{Quota: limit.String(), Limit: int64(b.rate)}
	return &e
}

// rate says what a tenant is told of bucket i, or of the first one that has a limit.
func (a *account) rate(i int) Rate {
	for a.buckets[i].rate == 0 {
		i = (i + 1) % len(rated)
	}
	b := &a.buckets[i]
	left := min(math.Floor(b.tokens+b.advance+max(b.left-b.spent, 0)), b.rate)
	return Rate{Limit: rated[i], Left: int64(left), Policy: a.policy}
}

// Run settles until ctx ends.
func (l *Limiter) Run(ctx context.Context) error {
	tick := make(chan struct{}, 1)
	for {
		l.settle(ctx)
		timer := l.store.terms.clock.AfterFunc(settleEvery, func() { tick <- struct{}{} })
		select {
		case <-ctx.Done():
			timer.Stop()
			return nil
		case <-tick:
		}
	}
}

// settlement is one bucket in a call.
type settlement struct {
	id           ID
	account      *account
	index        int
	rate         float64
	spent, want  float64
	held, target float64
}

// settle settles what is due. What could not be settled is due again.
func (l *Limiter) settle(ctx context.Context) {
	var all []settlement
	l.accounts.Range(func(key, value any) bool {
		all = append(all, value.(*account).due(key.(ID), l.store.terms.now(), l.servers.Load())...)
		return true
	})
	now := l.store.terms.now()
	if len(all) == 0 && now-l.counted < countEvery {
		return
	}
	l.counted = now
	for first := true; first || len(all) > 0; first = false {
		n := min(len(all), maxSettled)
		l.settleSome(ctx, all[:n])
		all = all[n:]
	}
}

// due returns what is to be settled of an account.
func (a *account) due(id ID, now time.Duration, servers int64) []settlement {
	a.mu.Lock()
	defer a.mu.Unlock()
	var list []settlement
	idle := now-a.used >= done
	for i := range a.buckets {
		b := &a.buckets[i]
		if b.rate == 0 {
			continue
		}
		s := settlement{id: id, account: a, index: i, rate: b.rate}
		switch {
		case idle && b.over && b.spent == 0:
			continue
		case idle:
			// Whoever comes before Redis has answered finds an advance, as at a server that does not know him.
			s.spent = b.spent - b.tokens
			b.tokens, b.advance = 0, b.rate/float64(servers)
		case b.spent > 0 || b.refused || b.tokens+b.advance <= b.target/2 || now-b.settled >= refresh:
			// A quarter more than was asked for, for what may come; and enough for a burst, which then finds here what the
			// bucket holds for this server.
			s.target = max(b.asked*5/4, b.rate/max(b.among, 1), 1)
			s.spent, s.held = b.spent, b.tokens
			s.want = max(s.target-b.tokens, 1)
		default:
			continue
		}
		b.spent, b.asked, b.refused, b.settled = 0, 0, false, now
		list = append(list, s)
	}
	return list
}

// settleSome settles some buckets in one call.
func (l *Limiter) settleSome(ctx context.Context, some []settlement) {
	args := []any{l.store.engine.Session().Number(), countedFor.Milliseconds()}
	for _, s := range some {
		args = append(args, s.id.s+"/"+rated[s.index].String(), s.rate, amount(s.spent), amount(s.want), amount(s.held))
	}
	got, err := l.store.run(ctx, ratesScript, []string{ratesKey, engine.SystemKey("sessions")}, args...)
	if err == nil && len(got) != 1+3*len(some) {
		err = engine.ErrBroken
	}
	if err == nil {
		if n, _ := strconv.ParseInt(got[0], 10, 64); n > 0 {
			l.servers.Store(n)
		}
	}
	for i, s := range some {
		if err != nil {
			s.undo()
		} else {
			s.apply(got[1+3*i], got[2+3*i], got[3+3*i])
		}
	}
	for _, s := range some {
		if s.account.drop(l.store.terms.now()) {
			l.accounts.CompareAndDelete(s.id, s.account)
		}
	}
}

// undo notes that a settlement did not come about.
func (s *settlement) undo() {
	s.account.mu.Lock()
	defer s.account.mu.Unlock()
	b := &s.account.buckets[s.index]
	if s.want == 0 {
		b.advance = 0 // there is what was to be given back
	}
	b.tokens += max(-s.spent, 0)
	b.spent += max(s.spent, 0)
}

// apply notes what came of a settlement, as rates.lua says it.
func (s *settlement) apply(share, left, servers string) {
	s.account.mu.Lock()
	defer s.account.mu.Unlock()
	b := &s.account.buckets[s.index]
	if share == "-" { // unless the tenant came back meanwhile
		b.over = b.spent == 0
		return
	}
	given, _ := strconv.ParseFloat(share, 64) // the script writes numbers
	rest, _ := strconv.ParseFloat(left, 64)
	among, _ := strconv.ParseFloat(servers, 64)
	b.tokens, b.advance, b.target, b.left, b.among = b.tokens+given, 0, s.target, rest/max(among, 1), among
}

// drop reports whether an account is of no use any more, and keeps others from using it then.
func (a *account) drop(now time.Duration) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if now-a.used < done {
		return false
	}
	for i := range a.buckets {
		if b := &a.buckets[i]; b.rate != 0 && (!b.over || b.spent > 0) {
			return false
		}
	}
	a.dropped = true
	return true
}

// amount writes tokens for a script.
func amount(n float64) string { return strconv.FormatFloat(n, 'f', 4, 64) }
