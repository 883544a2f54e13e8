package tenants

import "context"

// ScriptFiles are the scripts of this package.
var ScriptFiles = scripts

// SetStep has f called between the steps of a creation or deletion; its error ends the call there.
func (s *Store) SetStep(f func(done string) error) { s.step = f }

// Purge is the step of a deletion that frees the tenant's own slot.
func (s *Store) Purge(ctx context.Context, id ID) (string, error) {
	answer, err := s.run(ctx, purgeScript, []string{recordKey(id), queuesKey(id), storedKey(id)})
	if err != nil {
		return "", err
	}
	return answer[0], nil
}

// Confirm asks for the mark, as Run does every two seconds.
func (s *Store) Confirm(ctx context.Context) { s.confirm(ctx) }

// Settle settles what is due, as Run does five times a second.
func (l *Limiter) Settle(ctx context.Context) { l.settle(ctx) }

// SettleMeanwhile settles what is due, and has something happen while Redis is asked.
func (l *Limiter) SettleMeanwhile(ctx context.Context, happens func()) {
	var all []settlement
	l.accounts.Range(func(key, value any) bool {
		all = append(all, value.(*account).due(key.(ID), l.store.terms.now(), l.servers.Load())...)
		return true
	})
	happens()
	l.settleSome(ctx, all)
}

// Accounts returns how many tenants a server keeps an account of.
func (l *Limiter) Accounts() (n int) {
	l.accounts.Range(func(any, any) bool {
		n++
		return true
	})
	return n
}
