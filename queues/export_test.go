package queues

import "github.com/sluicemq/sluice/tenants"

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
