package queues

import (
	"context"
	"errors"
	"time"

	"github.com/sluicemq/sluice/tenants"
)

// Ref names a queue with its keys: another queue of the same name has others.
type Ref struct {
	Tenant tenants.ID
	Name   string
	UID    string
}

// Active returns the queues for which this server has had calls since an instant. It asks nobody.
func (s *Store) Active(since time.Time) []Ref {
	var list []Ref
	from := since.UnixMilli()
	s.desks.Range(func(_, v any) bool {
		if d := v.(*desk); d.used.Load() >= from {
			list = append(list, Ref{d.at.tenant, d.at.name, d.uid})
		}
		return true
	})
	return list
}

// Look counts the messages of a queue that this server knows, as Stats does, without counting as a call for it. It returns
// ErrQueueNotFound for one that is gone or that the server has forgotten meanwhile.
func (s *Store) Look(ctx context.Context, r Ref) (Stats, error) {
	v, ok := s.desks.Load(address{r.Tenant, r.Name})
	if !ok || v.(*desk).uid != r.UID {
		return Stats{}, ErrQueueNotFound
	}
	st, err := v.(*desk).stats(ctx)
	if errors.Is(err, errGone) {
		return Stats{}, ErrQueueNotFound
	}
	return st, err
}

// Refs returns up to limit live queues of a tenant that come after the name after, by name, and the name after which the
// next part goes on, or "".
func (s *Store) Refs(ctx context.Context, t tenants.ID, after string, limit int) ([]Ref, string, error) {
	found, err := s.registry().List(ctx, t, "", after, limit)
	if err != nil {
		return nil, "", err
	}
	list := make([]Ref, len(found))
	for i, f := range found {
		list[i] = Ref{t, f.Name, f.UID}
	}
	if len(found) < limit {
		return list, "", nil
	}
	return list, found[len(found)-1].Name, nil
}

// Ref returns a queue with its keys.
func (s *Store) Ref(ctx context.Context, t tenants.ID, name string) (Ref, error) {
	d, err := s.desk(ctx, t, name)
	if err != nil {
		return Ref{}, err
	}
	return Ref{t, name, d.uid}, nil
}
