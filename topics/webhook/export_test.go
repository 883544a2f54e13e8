package webhook

import (
	"context"
	"time"

	"github.com/sluicemq/sluice/internal/egress"
	"github.com/sluicemq/sluice/topics"
)

// SetStep has f called between the steps of a delivery; its error ends the work there, as the death of the server does.
func (s *Store) SetStep(f func(done string) error) { s.steps.Store(&f) }

// Judge says what an answer means for a message and for its endpoint.
func Judge(res *egress.Response, err error, now time.Time) (outcome, health, code string, charged bool, wait, peace time.Duration) {
	v := judge(res, err, now)
	return v.outcome, v.health, v.code, v.charged, v.wait, v.peace
}

// Keys returns the keys of a webhook.
func Keys(w topics.Way) []string { return identity{w.Tenant, w.UID}.keys() }

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

// The limits of the breaker.
const (
	BreakAfter = breakAfter
	BreakFirst = breakFirst
	LeaseSlack = leaseSlack
	BeatLife   = beatLife
	Stale      = time.Minute
	Host       = hostSlots
)
