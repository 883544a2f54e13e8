package topics

import (
	"context"
	"strings"
	"time"

	"github.com/sluicemq/sluice/internal/engine"
	"github.com/sluicemq/sluice/tenants"
)

// MemoryMessages is MaxLogMessages of the in-memory engine.
const MemoryMessages = memoryMessages

// MaxDelivering is how many calls to queues and webhooks are under way at the same time.
const MaxDelivering = maxDelivering

// Stop ends what goes on in the background, as the death of the server does.
func (s *Store) Stop() { s.end() }

// SetStep has f called between the steps of what goes over several slots; its error ends the work there.
func (s *Store) SetStep(f func(done string) error) { s.steps.Store(&f) }

// Listen hears what other servers say. It calls up once when it does.
func (s *Store) Listen(ctx context.Context, up func()) {
	first := true
	s.engine.Listen(ctx, engine.TopicPrefix, func(on bool) {
		if on && first {
			first = false
			up()
		}
	}, s.heard)
}

// Tend looks at the index once.
func (s *Store) Tend(ctx context.Context) error { return s.tend(ctx) }

// Indexed returns how many entries of the index are a topic's.
func (s *Store) Indexed(ctx context.Context, t tenants.ID, name string) (int, error) {
	uid, err := s.registry.Lookup(ctx, t, name)
	if err != nil {
		return 0, err
	}
	all, err := s.engine.Single().ZRange(ctx, indexKey(), 0, -1).Result()
	n := 0
	for _, e := range all {
		if strings.Contains(e, ":"+uid+":") {
			n++
		}
	}
	return n, err
}

// Keys returns the keys of a topic.
func (s *Store) Keys(ctx context.Context, t tenants.ID, name string) ([]string, string, error) {
	uid, err := s.registry.Lookup(ctx, t, name)
	return topicKeys(t, uid), uid, err
}

// ForgetTopics drops what this server knows of all topics.
func (s *Store) ForgetTopics() {
	s.topics.Range(func(_, v any) bool {
		s.forget(v.(*topic))
		return true
	})
}

// PatternsKey is the key that holds a tenant's topic subscriptions.
func PatternsKey(t tenants.ID) string { return patternKeys(t)[1] }

// Source is the name by which a queue knows a subscription.
func Source(topicUID, uid string) string { return source(topicUID, uid) }

// Waiting returns how many reads wait at a topic on this server.
func (s *Store) Waiting(t tenants.ID, name string) int {
	v, ok := s.topics.Load(address{t, name})
	if !ok {
		return 0
	}
	r := &v.(*topic).readers
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.count
}

// SigningKeyKey is the key of Redis that holds what notifications are signed with.
func SigningKeyKey() string { return signingKeyKey() }

// TickOnce does what is due of schedules, whoever else does so.
func (s *Store) TickOnce(ctx context.Context) error {
	for range 100 { // bounded, because what cannot be reached stays due
		wait, err := s.RunDue(ctx)
		if err != nil || wait > 100*time.Millisecond { // while something is due it asks again sooner
			return err
		}
	}
	return nil
}

// Matches reports whether a pattern stands for a topic's name.
func Matches(pattern, name string) bool { return matches(pattern, name) }
