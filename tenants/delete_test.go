package tenants_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sluicemq/sluice/internal/engine"
	"github.com/sluicemq/sluice/internal/errs"
	"github.com/sluicemq/sluice/internal/redistest"
	"github.com/sluicemq/sluice/internal/tasks"
	"github.com/sluicemq/sluice/tenants"
)

func newMemoryWorld(t *testing.T) *world {
	t.Helper()
	return newWorld(t, engine.Options{URL: redistest.Memory(t), Memory: true})
}

func TestDeleteFreesTheNameAndNotTheAccount(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, w *world) {
		var hooked []tenants.ID
		w.OnDelete(func(_ context.Context, id tenants.ID) error {
			hooked = append(hooked, id)
			return nil
		})
		old := w.mustPut(t, w.name("acme"), tenants.Settings{Labels: map[string]string{"a": "b"}})
		beside := w.mustPut(t, w.name("beside"), tenants.Settings{})
		w.redis.HSet(t.Context(), engine.TenantKey(old.ID.String(), "queues"), "", "1") // a sentinel is no queue
		if err := w.Delete(t.Context(), old.Name, tenants.Condition{}); err != nil {
			t.Fatalf("Delete: %v", err)
		}
		if diff := cmp.Diff([]tenants.ID{old.ID}, hooked, sameTenant); diff != "" {
			t.Errorf("hooks (-want +got):\n%s", diff)
		}
		w.checkGone(t, old)
		if err := w.Delete(t.Context(), old.Name, tenants.Condition{}); !errors.Is(err, tenants.ErrNotFound) {
			t.Errorf("second Delete: got %v, want ErrNotFound", err)
		}
		// ARNs of the old one may live on in somebody's settings.
		if _, _, err := w.Put(t.Context(), old.Name, tenants.Settings{AccountNumber: old.AccountNumber}, tenants.Condition{}); !errors.Is(err, tenants.ErrAccountTaken) {
			t.Errorf("Put with the account number of the old tenant: %v, want ErrAccountTaken", err)
		}
		again, created, err := w.Put(t.Context(), old.Name, tenants.Settings{}, tenants.Condition{IfNoneMatch: "*"})
		if err != nil || !created {
			t.Fatalf("Put after Delete: created %v, %v", created, err)
		}
		if again.ID == old.ID || again.ETag == old.ETag || len(again.Labels) != 0 {
			t.Errorf("the new tenant %+v shares something with the old one %+v", again, old)
		}
		if _, err := w.ByID(t.Context(), old.ID); !errors.Is(err, tenants.ErrNotFound) {
			t.Errorf("the old id: got %v, want ErrNotFound", err)
		}
		if got, err := w.Get(t.Context(), beside.Name); err != nil || got.ID != beside.ID {
			t.Errorf("the tenant beside it: %+v, %v", got, err)
		}
	})
}

func TestATenantWithQueuesIsNotDeleted(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, w *world) {
		acme := w.mustPut(t, w.name("acme"), tenants.Settings{})
		queues := engine.TenantKey(acme.ID.String(), "queues")
		for _, sentinel := range []bool{false, true} {
			if sentinel {
				w.redis.HSet(t.Context(), queues, "", "1")
			}
			w.redis.HSet(t.Context(), queues, "orders", "uid")
			if err := w.Delete(t.Context(), acme.Name, tenants.Condition{}); !errors.Is(err, tenants.ErrNotEmpty) {
				t.Errorf("sentinel %v: got %v, want ErrNotEmpty", sentinel, err)
			}
			if got, err := w.Get(t.Context(), acme.Name); err != nil || got.State != tenants.StateActive {
				t.Errorf("after a refusal: %+v, %v; want the active tenant", got, err)
			}
			w.redis.HDel(t.Context(), queues, "orders")
		}
		if err := w.Delete(t.Context(), acme.Name, tenants.Condition{}); err != nil {
			t.Errorf("Delete of the empty tenant: %v", err)
		}
		w.checkGone(t, acme)
	})
}

// A tenant with all that it has goes in steps, each of which may be the last one of a server.
func TestATenantIsDeletedWithAllThatItHas(t *testing.T) {
	t.Parallel()
	for _, step := range []string{"none", "marked", "left", "erased", "hooked", "purged"} {
		t.Run("a server dies after "+step, func(t *testing.T) {
			t.Parallel()
			onBoth(t, func(t *testing.T, w *world) {
				acme, beside := w.mustPut(t, w.name("acme"), tenants.Settings{}), w.mustPut(t, w.name("beside"), tenants.Settings{})
				things := map[tenants.ID]*atomic.Int64{acme.ID: {}, beside.ID: {}}
				things[acme.ID].Store(250)
				things[beside.ID].Store(7)
				erase := func(_ context.Context, id tenants.ID, most int) (int64, error) {
					return things[id].Add(-min(int64(most), things[id].Load())), nil
				}
				w.OnErase(erase)
				dying := w.another()
				dying.OnErase(erase)
				w.redis.HSet(t.Context(), engine.TenantKey(acme.ID.String(), "queues"), "orders", "uid")

				for _, mode := range []tenants.Mode{"", tenants.ModeSend} {
					if mode != "" {
						_, err := w.Suspend(t.Context(), acme.Name, mode, `{"mode":"all"}`, tenants.Condition{})
						if err != nil {
							t.Fatal(err)
						}
					}
					if _, err := w.PlanDelete(t.Context(), acme.Name, tenants.Condition{}); !errors.Is(err, tenants.ErrNotSuspended) {
						t.Errorf("suspended %q: got %v, want ErrNotSuspended", mode, err)
					}
				}
				now, err := w.Suspend(t.Context(), acme.Name, tenants.ModeAll, "", tenants.Condition{})
				if err != nil {
					t.Fatal(err)
				}
				if _, err := w.PlanDelete(t.Context(), acme.Name, tenants.Condition{IfMatch: acme.ETag}); !errors.Is(err, tenants.ErrPrecondition) {
					t.Errorf("with an old ETag: got %v, want ErrPrecondition", err)
				}
				if got, err := w.Get(t.Context(), acme.Name); err != nil || got.ETag != now.ETag {
					t.Fatalf("after the refusals: %+v, %v", got, err)
				}

				dying.SetStep(crashAfter(step))
				n, err := dying.PlanDelete(t.Context(), acme.Name, tenants.Condition{IfMatch: now.ETag})
				if errors.Is(err, errCrash) {
					n, err = w.PlanDelete(t.Context(), acme.Name, tenants.Condition{})
				}
				if err != nil || n.Total != 250 || n.Type != tenants.DeleteTask {
					t.Fatalf("PlanDelete: %+v, %v", n, err)
				}
				work := tasks.Work{Params: n.Params, Most: tasks.MaxItems, Task: tasks.Task{Progress: tasks.Progress{Total: n.Total}}}
				var looked []int64
				for len(looked) < 10 {
					_, _ = dying.Deleting().Step(t.Context(), work) // what it did is not saved
					res, err := w.Deleting().Step(t.Context(), work)
					if err != nil {
						t.Fatalf("step %d: %v", len(looked), err)
					}
					looked = append(looked, res.Done)
					work.Task.Progress.Looked += res.Looked
					if res.Finished {
						break
					}
					if _, err := w.Get(t.Context(), acme.Name); !errors.Is(err, tenants.ErrNotFound) {
						t.Errorf("a tenant that is being deleted: %v, want ErrNotFound", err)
					}
				}
				if work.Task.Progress.Looked != 250 {
					t.Errorf("the steps did %d, want 250 in all", looked)
				}
				w.checkGone(t, acme)
				if got := things[beside.ID].Load(); got != 7 {
					t.Errorf("the tenant beside it has %d things, want 7", got)
				}
				w.mustPut(t, acme.Name, tenants.Settings{})
			})
		})
	}
}

// finders are the calls that may meet what somebody left half done.
var finders = map[string]func(*testing.T, *world, tenants.ID){
	"nobody": func(*testing.T, *world, tenants.ID) {},
	"get":    func(t *testing.T, w *world, _ tenants.ID) { _, _ = w.another().Get(t.Context(), w.name("acme")) },
	"by id":  func(t *testing.T, w *world, id tenants.ID) { _, _ = w.another().ByID(t.Context(), id) },
	"list":   func(t *testing.T, w *world, _ tenants.ID) { _, _, _ = w.another().List(t.Context(), w.prefix, 0, "") },
	"crash":  func(t *testing.T, w *world, _ tenants.ID) { crashEverywhere(t, w) },
}

// crashEverywhere meets the tenant with servers that die after each of their steps in turn.
func crashEverywhere(t *testing.T, w *world) {
	t.Helper()
	for _, step := range []string{"created", "left", "hooked", "purged"} {
		s := w.another()
		s.SetStep(crashAfter(step))
		_, _ = s.Get(t.Context(), w.name("acme"))
	}
}

func TestACreationThatDiedIsFinishedByWhoeverMeetsIt(t *testing.T) {
	t.Parallel()
	for _, step := range []string{"reserved", "created"} {
		for who, meet := range finders {
			t.Run(step+", "+who, func(t *testing.T) {
				t.Parallel()
				onBoth(t, func(t *testing.T, w *world) {
					dying := w.another()
					dying.SetStep(crashAfter(step))
					labels := map[string]string{"a": "b c d"}
					if _, _, err := dying.Put(t.Context(), w.name("acme"), tenants.Settings{Labels: labels}, tenants.Condition{}); !errors.Is(err, errCrash) {
						t.Fatalf("Put: got %v, want the crash", err)
					}
					meet(t, w, tenants.ID{})
					// The call that died took effect: the next one finds its tenant.
					if _, _, err := w.Put(t.Context(), w.name("acme"), tenants.Settings{}, tenants.Condition{IfNoneMatch: "*"}); !errors.Is(err, tenants.ErrPrecondition) {
						t.Errorf("Put of a new tenant: got %v, want ErrPrecondition", err)
					}
					got, err := w.Get(t.Context(), w.name("acme"))
					if diff := cmp.Diff(labels, got.Labels); diff != "" || err != nil {
						t.Errorf("Get: %v, labels (-want +got):\n%s", err, diff)
					}
					if err := w.Delete(t.Context(), w.name("acme"), tenants.Condition{IfMatch: got.ETag}); err != nil {
						t.Errorf("Delete: %v", err)
					}
					w.checkGone(t, got)
				})
			})
		}
	}
}

func TestAHalfMadeTenantCanBeReplacedAndDeleted(t *testing.T) {
	t.Parallel()
	for _, step := range []string{"reserved", "created"} {
		t.Run(step, func(t *testing.T) {
			t.Parallel()
			onBoth(t, func(t *testing.T, w *world) {
				dying := w.another()
				dying.SetStep(crashAfter(step))
				for _, name := range []string{"replaced", "deleted", "matched"} {
					_, _, _ = dying.Put(t.Context(), w.name(name), tenants.Settings{Labels: map[string]string{"a": "b"}}, tenants.Condition{})
				}
				got, created, err := w.Put(t.Context(), w.name("replaced"), tenants.Settings{}, tenants.Condition{})
				if err != nil || created || len(got.Labels) != 0 {
					t.Errorf("Put: %+v, created %v, %v; want the tenant without labels", got, created, err)
				}
				if _, _, err := w.Put(t.Context(), w.name("matched"), tenants.Settings{}, tenants.Condition{IfMatch: "*"}); err != nil {
					t.Errorf("Put with If-Match: %v", err)
				}
				if err := w.Delete(t.Context(), w.name("deleted"), tenants.Condition{}); err != nil {
					t.Errorf("Delete: %v", err)
				}
				if _, err := w.Get(t.Context(), w.name("deleted")); !errors.Is(err, tenants.ErrNotFound) {
					t.Errorf("Get: got %v, want ErrNotFound", err)
				}
			})
		})
	}
}

func TestADeletionThatDiedIsFinishedByWhoeverMeetsIt(t *testing.T) {
	t.Parallel()
	for _, step := range []string{"marked", "left", "hooked", "purged"} {
		for who, meet := range finders {
			t.Run(step+", "+who, func(t *testing.T) {
				t.Parallel()
				onBoth(t, func(t *testing.T, w *world) {
					old := w.mustPut(t, w.name("acme"), tenants.Settings{})
					dying := w.another()
					dying.SetStep(crashAfter(step))
					if err := dying.Delete(t.Context(), old.Name, tenants.Condition{}); !errors.Is(err, errCrash) {
						t.Fatalf("Delete: got %v, want the crash", err)
					}
					meet(t, w, old.ID)
					if _, err := w.Get(t.Context(), old.Name); !errors.Is(err, tenants.ErrNotFound) {
						t.Errorf("Get: got %v, want ErrNotFound", err)
					}
					if page, _, err := w.List(t.Context(), w.prefix, 0, ""); len(page) != 0 || err != nil {
						t.Errorf("List: %v, %v; want nothing", page, err)
					}
					w.checkGone(t, old)
					if _, created, err := w.Put(t.Context(), old.Name, tenants.Settings{}, tenants.Condition{IfNoneMatch: "*"}); err != nil || !created {
						t.Errorf("Put of a new tenant: created %v, %v", created, err)
					}
				})
			})
		}
		t.Run(step+", put at once", func(t *testing.T) {
			t.Parallel()
			onBoth(t, func(t *testing.T, w *world) {
				for _, cond := range []tenants.Condition{{}, {IfNoneMatch: "*"}} {
					old := w.mustPut(t, w.name("acme"), tenants.Settings{})
					dying := w.another()
					dying.SetStep(crashAfter(step))
					_ = dying.Delete(t.Context(), old.Name, tenants.Condition{})
					got, created, err := w.Put(t.Context(), old.Name, tenants.Settings{}, cond)
					if err != nil || !created || got.ID == old.ID {
						t.Errorf("Put(%+v): %+v, created %v, %v; want a new tenant", cond, got, created, err)
					}
					w.checkGone(t, tenants.Tenant{ID: old.ID, Name: old.Name})
				}
			})
		})
		t.Run(step+", delete again", func(t *testing.T) {
			t.Parallel()
			onBoth(t, func(t *testing.T, w *world) {
				old := w.mustPut(t, w.name("acme"), tenants.Settings{})
				dying := w.another()
				dying.SetStep(crashAfter(step))
				_ = dying.Delete(t.Context(), old.Name, tenants.Condition{})
				// The condition was judged when the deletion was decided.
				if err := w.Delete(t.Context(), old.Name, tenants.Condition{IfMatch: "0123"}); err != nil {
					t.Errorf("second Delete: %v", err)
				}
				w.checkGone(t, old)
			})
		})
	}
}

func TestAHookThatFailsLeavesTheDeletionToTheNext(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, w *world) {
		stuck := errs.New(errs.Unavailable, "stuck", "a hook is stuck")
		fail := true
		w.OnDelete(func(context.Context, tenants.ID) error {
			if fail {
				return stuck
			}
			return nil
		})
		old := w.mustPut(t, w.name("acme"), tenants.Settings{})
		if err := w.Delete(t.Context(), old.Name, tenants.Condition{}); !errors.Is(err, stuck) {
			t.Errorf("Delete: got %v, want the hook's error", err)
		}
		if _, err := w.Get(t.Context(), old.Name); !errors.Is(err, tenants.ErrNotFound) {
			t.Errorf("Get: got %v, want ErrNotFound", err)
		}
		if page, _, err := w.List(t.Context(), w.prefix, 0, ""); len(page) != 0 || err != nil {
			t.Errorf("List: %v, %v; want nothing", page, err)
		}
		if _, _, err := w.Put(t.Context(), old.Name, tenants.Settings{}, tenants.Condition{}); !errors.Is(err, stuck) || errors.Is(err, tenants.ErrNotFound) {
			t.Errorf("Put: got %v, want the hook's error", err)
		}
		fail = false
		if _, created, err := w.Put(t.Context(), old.Name, tenants.Settings{}, tenants.Condition{}); err != nil || !created {
			t.Errorf("Put once the hook works: created %v, %v", created, err)
		}
		w.checkGone(t, tenants.Tenant{ID: old.ID, Name: old.Name})
	})
}

// A creator that stalls while others finish its creation and delete the tenant must not bring it back.
func TestALateCreatorLeavesNothingBehind(t *testing.T) {
	t.Parallel()
	for _, step := range []string{"reserved", "created"} {
		t.Run(step, func(t *testing.T) {
			t.Parallel()
			onBoth(t, func(t *testing.T, w *world) {
				var deleted tenants.Tenant
				late := w.another()
				late.SetStep(func(done string) error {
					if done != step || !deleted.ID.IsZero() {
						return nil
					}
					var err error
					if deleted, err = w.Get(t.Context(), w.name("acme")); err != nil {
						return err
					}
					return w.Delete(t.Context(), w.name("acme"), tenants.Condition{})
				})
				got, created, err := late.Put(t.Context(), w.name("acme"), tenants.Settings{}, tenants.Condition{IfNoneMatch: "*"})
				if err != nil || !created || got.ID == deleted.ID {
					t.Errorf("Put: %+v, created %v, %v; want a tenant of its own", got, created, err)
				}
				w.checkGone(t, deleted)
				if found, err := w.Get(t.Context(), w.name("acme")); err != nil || found.ID != got.ID {
					t.Errorf("Get: %+v, %v; want what Put returned", found, err)
				}
			})
		})
	}
}

func TestALateCreatorFindsADeletionThatDied(t *testing.T) {
	t.Parallel()
	for _, step := range []string{"marked", "left", "hooked", "purged"} {
		t.Run(step, func(t *testing.T) {
			t.Parallel()
			onBoth(t, func(t *testing.T, w *world) {
				var deleted tenants.Tenant
				late := w.another()
				late.SetStep(func(done string) error {
					if done != "reserved" || !deleted.ID.IsZero() {
						return nil
					}
					dying := w.another()
					dying.SetStep(crashAfter(step))
					var err error
					deleted, err = dying.Get(t.Context(), w.name("acme"))
					_ = dying.Delete(t.Context(), w.name("acme"), tenants.Condition{})
					return err
				})
				got, created, err := late.Put(t.Context(), w.name("acme"), tenants.Settings{}, tenants.Condition{})
				if err != nil || !created || got.ID == deleted.ID {
					t.Errorf("Put: %+v, created %v, %v; want a tenant of its own", got, created, err)
				}
				w.checkGone(t, deleted)
			})
		})
	}
}

func TestALateCreatorKeepsWhatOthersChanged(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, w *world) {
		var changed tenants.Tenant
		late := w.another()
		late.SetStep(func(done string) error {
			if done == "reserved" {
				changed = w.mustPut(t, w.name("acme"), tenants.Settings{Labels: map[string]string{"a": "b"}})
			}
			return nil
		})
		if _, created, err := late.Put(t.Context(), w.name("acme"), tenants.Settings{}, tenants.Condition{IfNoneMatch: "*"}); err != nil || !created {
			t.Errorf("Put: created %v, %v; want true", created, err)
		}
		got, err := w.Get(t.Context(), w.name("acme"))
		if diff := cmp.Diff(changed, got, sameTenant); diff != "" || err != nil {
			t.Errorf("Get: %v (-want +got):\n%s", err, diff)
		}
	})
}

func TestAnActiveTenantIsNeverPurged(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, w *world) {
		acme := w.mustPut(t, w.name("acme"), tenants.Settings{})
		if answer, err := w.Purge(t.Context(), acme.ID); answer != "active" || err != nil {
			t.Errorf("purge: %q, %v; want active", answer, err)
		}
		if _, err := w.Get(t.Context(), acme.Name); err != nil {
			t.Errorf("Get: %v", err)
		}
	})
}

func TestALostAnswerChangesNothing(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, w *world) {
		hooks := 0
		w.OnDelete(func(context.Context, tenants.ID) error { hooks++; return nil })
		lose := func() { w.net.lose.Store(1) }
		for n := range 4 { // the nth call of each method loses its answer
			w.net.lose.Store(0)
			name := w.name(fmt.Sprint("acme", n))
			s := w.another()
			s.OnDelete(func(context.Context, tenants.ID) error { hooks++; return nil })
			steps := 0
			s.SetStep(func(string) error {
				if steps++; steps == n {
					lose()
				}
				return nil
			})
			if n == 0 {
				lose()
			}
			got, created, err := s.Put(t.Context(), name, tenants.Settings{}, tenants.Condition{IfNoneMatch: "*"})
			if err != nil || !created {
				t.Errorf("answer %d of Put lost: created %v, %v; want true", n, created, err)
			}
			lose()
			if _, _, err := s.Put(t.Context(), name, tenants.Settings{Labels: map[string]string{"a": "b"}}, tenants.Condition{IfNoneMatch: "0123"}); err != nil {
				t.Errorf("answer of an update lost: %v", err)
			}
			lose()
			if _, err := s.Get(t.Context(), name); err != nil {
				t.Errorf("answer of Get lost: %v", err)
			}
			steps = 0
			if n == 0 {
				lose()
			}
			if err := s.Delete(t.Context(), name, tenants.Condition{}); err != nil {
				t.Errorf("answer %d of Delete lost: %v", n, err)
			}
			w.checkGone(t, got)
		}
		if hooks != 4 {
			t.Errorf("hooks ran %d times, want once for each of 4 tenants", hooks)
		}
	})
}

func TestAConditionalUpdateSurvivesALostAnswer(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, w *world) {
		old := w.mustPut(t, w.name("acme"), tenants.Settings{})
		w.net.of.Store(&old.ETag) // which only the update names
		w.net.lose.Store(1)
		got, _, err := w.Put(t.Context(), old.Name, tenants.Settings{Labels: map[string]string{"a": "b"}}, tenants.Condition{IfMatch: old.ETag})
		if err != nil || got.ETag == old.ETag {
			t.Errorf("Put: %+v, %v; want the change, once", got, err)
		}
		if left := w.net.lose.Load(); left != 0 {
			t.Errorf("%d answers were to be lost and were not", left)
		}
	})
}

func TestOneOfManyMakesTheTenant(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, w *world) {
		const n = 20
		var wg sync.WaitGroup
		ids, made := make([]tenants.ID, n), make([]bool, n)
		for i := range n {
			cond := tenants.Condition{}
			if i%2 == 0 {
				cond.IfNoneMatch = "*"
			}
			wg.Go(func() {
				got, created, err := w.another().Put(t.Context(), w.name("acme"), tenants.Settings{}, cond)
				if err != nil && (cond.IfNoneMatch == "" || !errors.Is(err, tenants.ErrPrecondition)) {
					t.Errorf("Put(%+v): %v", cond, err)
				}
				ids[i], made[i] = got.ID, created
			})
		}
		wg.Wait()
		want, err := w.Get(t.Context(), w.name("acme"))
		if err != nil {
			t.Fatal(err)
		}
		makers := 0
		for i := range n {
			if made[i] {
				makers++
			}
			if !ids[i].IsZero() && ids[i] != want.ID {
				t.Errorf("a Put returned tenant %s, and the name leads to %s", ids[i], want.ID)
			}
		}
		if makers != 1 {
			t.Errorf("%d calls made the tenant, want 1", makers)
		}
	})
}

func TestPutsAndDeletesOfManyServersLeaveAWholeTenantOrNone(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, w *world) {
		var mu sync.Mutex
		seen := map[tenants.ID]tenants.Tenant{}
		var wg sync.WaitGroup
		for i := range 8 {
			s := w.another()
			wg.Go(func() {
				for range 15 {
					if i%2 == 0 {
						got, _, err := s.Put(t.Context(), w.name("acme"), tenants.Settings{}, tenants.Condition{})
						if err != nil && errs.KindOf(err) != errs.Unavailable {
							t.Errorf("Put: %v", err)
						}
						mu.Lock()
						seen[got.ID] = got
						mu.Unlock()
						continue
					}
					if err := s.Delete(t.Context(), w.name("acme"), tenants.Condition{}); err != nil &&
						!errors.Is(err, tenants.ErrNotFound) && errs.KindOf(err) != errs.Unavailable {
						t.Errorf("Delete: %v", err)
					}
				}
			})
		}
		wg.Wait()
		last, err := w.Get(t.Context(), w.name("acme"))
		if err != nil && !errors.Is(err, tenants.ErrNotFound) {
			t.Fatalf("Get: %v", err)
		}
		for id, old := range seen {
			if !id.IsZero() && id != last.ID {
				w.checkGone(t, old)
			}
		}
		if again := w.mustPut(t, w.name("acme"), tenants.Settings{}); err == nil && again.ID != last.ID {
			t.Errorf("Put found tenant %s, and Get %s", again.ID, last.ID)
		}
	})
}

func TestATenantCanBeDeletedWhileRedisIsFull(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t, redistest.Options{NoAOF: true})
	w := newWorld(t, engine.Options{URL: server.URL()})
	whole := w.mustPut(t, w.name("whole"), tenants.Settings{})
	dying := w.another()
	dying.SetStep(crashAfter("reserved"))
	_, _, _ = dying.Put(t.Context(), w.name("half"), tenants.Settings{}, tenants.Condition{})
	if err := w.redis.ConfigSet(t.Context(), "maxmemory", "1").Err(); err != nil {
		t.Fatal(err)
	}
	if _, _, err := w.Put(t.Context(), w.name("new"), tenants.Settings{}, tenants.Condition{}); !errors.Is(err, engine.ErrFull) {
		t.Errorf("Put while Redis is full: got %v, want ErrFull", err)
	}
	for _, name := range []string{"whole", "half"} {
		if err := w.Delete(t.Context(), w.name(name), tenants.Condition{}); err != nil {
			t.Errorf("Delete(%s) while Redis is full: %v", name, err)
		}
	}
	w.checkGone(t, whole)
	// That account numbers were given, and that something has changed, stays.
	left, err := w.redis.Keys(t.Context(), "*").Result()
	slices.Sort(left)
	if diff := cmp.Diff([]string{engine.SystemKey("tenant-accounts"), engine.SystemKey("tenant-terms")}, left); diff != "" || err != nil {
		t.Errorf("keys that are left: %v (-want +got):\n%s", err, diff)
	}
}

func TestWithoutRedisNothingIsClaimed(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t, redistest.Options{NoAOF: true})
	w := newWorld(t, engine.Options{URL: server.URL(), Budget: 300 * time.Millisecond})
	server.Stop()
	_, err := w.Get(t.Context(), w.name("acme"))
	if !errors.Is(err, engine.ErrUnavailable) {
		t.Errorf("Get: got %v, want ErrUnavailable", err)
	}
	if _, _, err := w.List(t.Context(), "", 0, ""); !errors.Is(err, engine.ErrUnavailable) {
		t.Errorf("List: got %v, want ErrUnavailable", err)
	}
	if _, _, err := w.Put(t.Context(), w.name("acme"), tenants.Settings{}, tenants.Condition{}); !errors.Is(err, engine.ErrUnavailable) {
		t.Errorf("Put: got %v, want ErrUnavailable", err)
	}
}

func TestWithoutAnswersOnlyChangesAreInDoubt(t *testing.T) {
	t.Parallel()
	w := newWorld(t, engine.Options{URL: redistest.Memory(t), Memory: true, Budget: 300 * time.Millisecond})
	w.mustPut(t, w.name("acme"), tenants.Settings{})
	w.net.lose.Store(1 << 20)
	if _, err := w.Get(t.Context(), w.name("acme")); !errors.Is(err, engine.ErrUnavailable) {
		t.Errorf("Get: got %v, want ErrUnavailable", err)
	}
	if _, _, err := w.Put(t.Context(), w.name("acme"), tenants.Settings{}, tenants.Condition{}); !errors.Is(err, engine.ErrUnknown) {
		t.Errorf("Put: got %v, want ErrUnknown", err)
	}
}
