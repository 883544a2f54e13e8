package tenants

import (
	"context"
	"fmt"
	"slices"
)

// atOnce is how many things of a tenant go at a time while somebody waits for more than that: who meets a tenant whose
// deletion is half done does so much of it.
const atOnce = 10

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

// OnErase is OnDelete for what may take long, because a tenant may have many things of its kind: f deletes at most so many
// of them, 0 to 100, and returns how many are left. It is called again until none is, after the hooks of OnDelete.
func (s *Store) OnErase(f func(ctx context.Context, id ID, most int) (left int64, err error)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.onErase = append(s.onErase, f)
}

// Delete deletes the tenant name with all that the hooks know of. A tenant that has queues is ErrNotEmpty: see PlanDelete.
func (s *Store) Delete(ctx context.Context, name string, cond Condition) error {
	e, err := s.close(ctx, name, cond, false)
	if err != nil {
		return err
	}
	for {
		left, err := s.finishDelete(ctx, e, 10*atOnce)
		if err != nil || left == 0 {
			return err
		}
	}
}

// close decides that a tenant is deleted: an empty one, or a suspended one whatever it has. It returns its entry.
func (s *Store) close(ctx context.Context, name string, cond Condition, whole bool) (entry, error) {
	if checkName(name) != nil {
		return entry{}, ErrNotFound
	}
	flag := "0"
	if whole {
		flag = "1"
	}
	for range maxRounds {
		e, ok, err := s.find(ctx, name, ID{})
		if err != nil {
			return entry{}, err
		}
		if !ok {
			return entry{}, ErrNotFound
		}
		if e.state == entryDeleting {
			return e, nil
		}
		if e.state == entryCreating {
			if _, err := s.finishCreate(ctx, e); err != nil {
				return entry{}, err
			}
		}
		answer, err := s.run(ctx, markScript, []string{recordKey(e.id), queuesKey(e.id)}, cond.IfMatch, cond.IfNoneMatch, flag)
		if err != nil {
			return entry{}, err
		}
		switch answer[0] {
		case "not_empty":
			return entry{}, ErrNotEmpty
		case "not_suspended":
			return entry{}, ErrNotSuspended
		case "precondition":
			return entry{}, ErrPrecondition
		case "ok":
			return e, s.step("marked")
		}
		if _, err := s.load(ctx, e); notFoundAside(err) != nil {
			return entry{}, err // the record is lost
		}
	}
	return entry{}, errBusy
}

// finishDelete takes a tenant that is marked through the rest of its deletion, or a part of it: at most so many of its
// things go. It returns how many are left; with none the tenant is gone. Each step may be repeated, and several servers may
// be at it together.
func (s *Store) finishDelete(ctx context.Context, e entry, most int) (left int64, err error) {
	answer, err := s.run(ctx, leaveScript, []string{entriesKey, idsKey, accountsKey}, e.name, e.id.s)
	if err != nil {
		return 0, err
	}
	if answer[0] == "gone" {
		return 0, nil
	}
	if err := s.step("left"); err != nil {
		return 0, err
	}
	if err := s.announce(ctx, Tenant{ID: e.id}); err != nil {
		return 0, err
	}
	s.mu.Lock()
	hooks := slices.Clone(s.onDelete)
	s.mu.Unlock()
	for _, hook := range hooks {
		if err := hook(ctx, e.id); err != nil {
			return 0, fmt.Errorf("delete tenant %s: %w", e.id, err)
		}
	}
	if err := s.forgetUsage(ctx, e.id); err != nil {
		return 0, err
	}
	if err := s.forgetTrouble(ctx, e.id); err != nil {
		return 0, err
	}
	if err := s.forgetCalls(ctx, e.id); err != nil {
		return 0, err
	}
	if left, err = s.erase(ctx, e.id, most); err != nil || left > 0 {
		return left, err
	}
	if err := s.step("hooked"); err != nil {
		return 0, err
	}
	if _, err := s.run(ctx, purgeScript, []string{recordKey(e.id), queuesKey(e.id), storedKey(e.id)}); err != nil {
		return 0, err
	}
	if err := s.step("purged"); err != nil {
		return 0, err
	}
	_, err = s.run(ctx, removeScript, []string{entriesKey, namesKey}, e.name, e.id.s)
	return 0, err
}

// erase deletes at most so many things of a tenant, of the first kind of which there are any, and returns how many of all
// kinds are left. With 0 it counts them.
func (s *Store) erase(ctx context.Context, id ID, most int) (left int64, err error) {
	s.mu.Lock()
	hooks := slices.Clone(s.onErase)
	s.mu.Unlock()
	for _, hook := range hooks {
		n, err := hook(ctx, id, most)
		if err != nil {
			return 0, fmt.Errorf("delete tenant %s: %w", id, err)
		}
		if left += n; n > 0 {
			most = 0 // the next kind has its turn when this one is done
		}
	}
	return left, nil
}
