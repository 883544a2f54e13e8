package tenants

import (
	"context"
	"fmt"
	"slices"
)

// OnDelete has f called for each tenant that is deleted, after nothing more can be added to it and before its name is
// free. f deletes what its package keeps for the tenant. It may be called several times, on any server, so it must
// find nothing the second time. An error leaves the deletion half done, for the next one who meets the tenant.
//
// Register all hooks before the store is used: a store without them frees tenants whose things are still there.
func (s *Store) OnDelete(f func(ctx context.Context, id ID) error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.onDelete = append(s.onDelete, f)
}

// Delete deletes the tenant name with all that hooks of OnDelete know of. A tenant that has queues is ErrNotEmpty.
func (s *Store) Delete(ctx context.Context, name string, cond Condition) error {
	if checkName(name) != nil {
		return ErrNotFound
	}
	for range maxRounds {
		e, ok, err := s.find(ctx, name, ID{})
		if err != nil {
			return err
		}
		if !ok {
			return ErrNotFound
		}
		if e.state == entryDeleting {
			return s.finishDelete(ctx, e)
		}
		if e.state == entryCreating {
			if _, err := s.finishCreate(ctx, e); err != nil {
				return err
			}
		}
		answer, err := s.run(ctx, markScript, []string{recordKey(e.id), queuesKey(e.id)}, cond.IfMatch, cond.IfNoneMatch)
		if err != nil {
			return err
		}
		switch answer[0] {
		case "not_empty":
			return ErrNotEmpty
		case "precondition":
			return ErrPrecondition
		case "ok":
			if err := s.step("marked"); err != nil {
				return err
			}
			return s.finishDelete(ctx, e)
		}
		if _, err := s.load(ctx, e); notFoundAside(err) != nil {
			return err // the record is lost
		}
	}
	return errBusy
}

// finishDelete takes a tenant that is marked through the rest of its deletion. Each step may be repeated, and several
// servers may be at it together.
func (s *Store) finishDelete(ctx context.Context, e entry) error {
	answer, err := s.run(ctx, leaveScript, []string{entriesKey, idsKey, accountsKey}, e.name, e.id.s)
	if err != nil {
		return err
	}
	if answer[0] == "gone" {
		return nil
	}
	if err := s.step("left"); err != nil {
		return err
	}
	s.mu.Lock()
	hooks := slices.Clone(s.onDelete)
	s.mu.Unlock()
	for _, hook := range hooks {
		if err := hook(ctx, e.id); err != nil {
			return fmt.Errorf("delete tenant %s: %w", e.id, err)
		}
	}
	if err := s.step("hooked"); err != nil {
		return err
	}
	if _, err := s.run(ctx, purgeScript, []string{recordKey(e.id), queuesKey(e.id)}); err != nil {
		return err
	}
	if err := s.step("purged"); err != nil {
		return err
	}
	_, err = s.run(ctx, removeScript, []string{entriesKey, namesKey}, e.name, e.id.s)
	return err
}
