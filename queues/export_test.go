package queues

import (
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/sluicemq/sluice/internal/engine"
	"github.com/sluicemq/sluice/tenants"
)

// Parked returns how many receives wait at a queue's desk on this server.
func (s *Store) Parked(t tenants.ID, queue string) int {
	v, ok := s.desks.Load(address{t, queue})
	if !ok {
		return 0
	}
	return int(v.(*desk).waiters.count.Load())
}

// Keys returns the keys of a queue by their letters; see lua/lib/queue.lua.
func (s *Store) Keys(t tenants.ID, queue string) map[string]string {
	v, ok := s.desks.Load(address{t, queue})
	if !ok {
		return nil
	}
	keys := map[string]string{}
	for i, p := range parts {
		keys[p] = v.(*desk).keys[i]
	}
	return keys
}

// ForgetDesks drops what this server knows of all queues, as it does of those that nobody used for ten minutes.
func (s *Store) ForgetDesks() {
	s.desks.Range(func(_, v any) bool {
		s.forget(v.(*desk))
		return true
	})
}

// SetStep has f called between the steps of a creation or deletion; its error ends the call there.
func (s *Store) SetStep(f func(done string) error) { s.step = f }

// TenantKeys returns the prefix of all keys of a tenant, and the keys of its registry.
func TenantKeys(t tenants.ID) (prefix, registry, names string) {
	return engine.Prefix + t.String() + ":", registryKey(t), namesKey(t)
}

// Beat says that this server lives, as it does every ten seconds.
func (s *Store) Beat(tb testing.TB) {
	tb.Helper()
	alive, err := s.engine.Beat(tb.Context())
	if err != nil {
		tb.Fatal(err)
	}
	s.noteAlive(alive)
}

// FillKeys fills a queue's memory of idempotency keys up to its bound, as of now.
func (s *Store) FillKeys(tb testing.TB, t tenants.ID, queue string) {
	tb.Helper()
	keys, now := s.Keys(t, queue), strconv.FormatInt(s.clock.Now().UnixMilli(), 10)
	pipe := s.engine.Single().Pipeline()
	for i := 0; i < maxDedupKeys; i += 1000 {
		var fields, order []any
		for j := i; j < i+1000; j++ {
			digest := fmt.Sprintf("%016d", j)
			fields = append(fields, digest, now+"|"+strings.Repeat("i", engine.IDSize)+"printed!")
			order = append(order, digest+now)
		}
		pipe.HSet(tb.Context(), keys["i"], fields...)
		pipe.RPush(tb.Context(), keys["j"], order...)
	}
	if _, err := pipe.Exec(tb.Context()); err != nil {
		tb.Fatal(err)
	}
}
