package webhook

import (
	"context"
	"time"

	"github.com/sluicemq/sluice/internal/clock"
	"github.com/sluicemq/sluice/internal/egress"
	"github.com/sluicemq/sluice/tenants"
	"github.com/sluicemq/sluice/topics"
)

// SetStep has f called between the steps of a delivery; its error ends the work there, as the death of the server does.
func (s *Store) SetStep(f func(done string) error) { s.steps.Store(&f) }

// Judge says what an answer means for a message and for its endpoint.
func Judge(res *egress.Response, err error, terminal []int, now time.Time) (outcome, health, code string, charged bool, wait, peace time.Duration) {
	v := judge(res, err, terminal, now)
	return v.outcome, v.health, v.code, v.charged, v.wait, v.peace
}

// Keys returns the index of a webhook's shard, and the keys that are its own.
func Keys(w topics.Way) []string { return identity{w.Tenant, w.UID}.keys()[:1+len(parts)] }

// RecentKeys returns the keys of the latest attempts of a tenant in a shard.
func RecentKeys(t tenants.ID, shard int) []string { return recentKeys(t, shard) }

// Sender returns the session of the server that sends for a webhook, as this server sees it.
func (s *Store) Sender(w topics.Way) uint32 {
	s.pusher.fleet.mu.Lock()
	defer s.pusher.fleet.mu.Unlock()
	return s.pusher.fleet.senders[shardOf(w.UID)]
}

// Age puts a webhook's first failure so far back.
func (s *Store) Age(ctx context.Context, w topics.Way, failures int, by time.Duration) error {
	return s.engine.Single().HSet(ctx, identity{w.Tenant, w.UID}.keys()[1], "cf", failures, "fs", s.clock.Now().Add(-by).UnixMilli()).Err()
}

// Outage is what a server sees of many hosts.
type Outage struct{ o *outage }

// NewOutage returns one that has seen nothing.
func NewOutage(c clock.Clock) Outage { return Outage{newOutage(c)} }

// See notes how a host fared, and returns how most of them fail now.
func (o Outage) See(host, code string) string {
	now, _ := o.o.see(host, code)
	return now
}

// Known returns how many hosts are remembered, and how many notes of them.
func (o Outage) Known() (hosts, notes int) { return len(o.o.hosts), len(o.o.order) }

// The limits of the breaker.
const (
	BreakAfter = breakAfter
	Shards     = shards
	BreakFirst = breakFirst
	LeaseSlack = leaseSlack
	BeatLife   = beatLife
	MaxLost    = maxLost
	Entries    = 100_000
	Skips      = 10_000
	OutageMost = outageMost
	Stale      = time.Minute
	Host       = hostSlots
	Slots      = slots
	FewTurns   = fewTurns
	MaxTurns   = maxTurns
	Kept       = keptAtMost
	Logged     = 500
	LogBytes   = 2 << 20
	LogKept    = topics.Hold
)

// Waits returns the times between attempts by a delivery policy of SNS.
func Waits(p DeliveryPolicy) []time.Duration { return p.Retry.waits() }

// Idle reports whether this server looks at no webhook now, and has nothing to note.
func (s *Store) Idle() bool {
	p := s.pusher
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.working == 0 && p.unnoted == 0
}

// Through tells a webhook's topic that the log is not needed up to a sequence number, as the end of a delivery does.
func (s *Store) Through(w topics.Way, mark int64) {
	p := s.pusher
	p.mu.Lock()
	defer p.mu.Unlock()
	p.marks.note(s, p.hooks[identity{w.Tenant, w.UID}], mark)
}

// Telling reports whether topics are to be told what webhooks do not need any more.
func (s *Store) Telling() bool {
	p := s.pusher
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.marks.armed
}

// Unnoted returns how many results wait for a turn in which they are noted.
func (s *Store) Unnoted() int {
	s.pusher.mu.Lock()
	defer s.pusher.mu.Unlock()
	return s.pusher.unnoted
}

// Parked returns how many tenants have webhooks that wait for a host, of each host.
func (s *Store) Parked() (n int) {
	s.pusher.mu.Lock()
	defer s.pusher.mu.Unlock()
	for _, waiting := range s.pusher.parked {
		n += len(waiting)
	}
	return n
}

// Keeping reports whether messages of a webhook are being copied out of the log now.
func (s *Store) Keeping(w topics.Way) bool {
	s.pusher.mu.Lock()
	defer s.pusher.mu.Unlock()
	h := s.pusher.hooks[identity{w.Tenant, w.UID}]
	return h != nil && h.keeping
}
