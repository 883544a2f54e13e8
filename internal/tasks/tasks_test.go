package tasks_test

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/redis/go-redis/v9"

	"github.com/sluicemq/sluice/internal/clock"
	"github.com/sluicemq/sluice/internal/engine"
	"github.com/sluicemq/sluice/internal/redistest"
	"github.com/sluicemq/sluice/internal/tasks"
)

func TestMain(m *testing.M) { os.Exit(redistest.Main(m)) }

var tenants atomic.Int64

// bench is a store with a tenant of the test's own.
type bench struct {
	*tasks.Store
	client *redis.Client
	tenant string
}

// engines runs a test on real Redis and on the in-memory engine.
func engines(t *testing.T, test func(t *testing.T, b *bench)) {
	t.Parallel()
	for name, opt := range map[string]engine.Options{
		"redis":  {URL: redistest.URL(t)},
		"memory": {URL: redistest.Memory(t), Memory: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e, err := engine.Open(opt)
			if err != nil {
				t.Fatalf("open engine: %v", err)
			}
			t.Cleanup(func() { _ = e.Close() })
			if err := e.StartSession(t.Context()); err != nil {
				t.Fatalf("start session: %v", err)
			}
			b := &bench{Store: tasks.New(e, clock.Real{}), client: e.Single(), tenant: fmt.Sprintf("t%d-%d", os.Getpid(), tenants.Add(1))}
			b.state(t, "active")
			test(t, b)
		})
	}
}

// state writes the state of the tenant, as package tenants does.
func (b *bench) state(t *testing.T, state string) {
	t.Helper()
	if err := b.client.HSet(t.Context(), engine.TenantKey(b.tenant, "tenant"), "state", state).Err(); err != nil {
		t.Fatal(err)
	}
}

func (b *bench) add(t *testing.T, task tasks.Task) string {
	t.Helper()
	id, err := b.Add(t.Context(), b.tenant, task)
	if err != nil {
		t.Fatalf("add %+v: %v", task, err)
	}
	return id
}

var made = time.Date(2026, 3, 1, 12, 0, 0, 120e6, time.UTC)

func TestATaskThatHasEndedIsKept(t *testing.T) {
	engines(t, func(t *testing.T, b *bench) {
		want := tasks.Task{Type: "purge", Status: tasks.Succeeded, Queue: "orders", Scope: `{"a":1}`, CreatedBy: "key",
			Progress: tasks.Progress{Total: 7, Looked: 7, Done: 6, Failed: 1, Worked: time.Second},
			Error:    &tasks.Failure{Code: "odd", Message: "It is odd."}, CreatedAt: made, StartedAt: made, FinishedAt: made.Add(time.Second)}
		want.ID = b.add(t, want)
		got, err := b.Get(t.Context(), b.tenant, want.ID)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("task (-want +got):\n%s", diff)
		}
		if _, err := b.Cancel(t.Context(), b.tenant, want.ID); !errors.Is(err, tasks.ErrFinished) {
			t.Errorf("cancel: got %v, want %v", err, tasks.ErrFinished)
		}
		list, next, err := b.List(t.Context(), b.tenant, tasks.Filter{}, 10, "")
		if diff := cmp.Diff([]tasks.Task{want}, list); diff != "" || next != "" || err != nil {
			t.Errorf("list: next %q, error %v, (-want +got):\n%s", next, err, diff)
		}
	})
}

func TestTasksAreListedNewestFirstInPages(t *testing.T) {
	engines(t, func(t *testing.T, b *bench) {
		var want []string
		for range 7 {
			want = append(want, b.add(t, tasks.Task{Type: "purge", Status: tasks.Succeeded, CreatedAt: made}))
		}
		slices.Reverse(want)
		var got []string
		pages := 0
		for after := ""; ; {
			page, next, err := b.List(t.Context(), b.tenant, tasks.Filter{}, 3, after)
			if err != nil {
				t.Fatal(err)
			}
			for _, one := range page {
				got = append(got, one.ID)
			}
			pages++
			if after = next; next == "" {
				break
			}
		}
		if diff := cmp.Diff(want, got); diff != "" || pages != 3 {
			t.Errorf("%d pages, want 3 (-want +got):\n%s", pages, diff)
		}
	})
}

func TestOnlyTheNewestThousandAreKept(t *testing.T) {
	engines(t, func(t *testing.T, b *bench) {
		var ids []string
		var mu sync.Mutex
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() {
				for range (tasks.MaxTasks + 40) / 4 {
					id, err := b.Add(t.Context(), b.tenant, tasks.Task{Type: "purge", Status: tasks.Succeeded, CreatedAt: made})
					if err != nil {
						t.Errorf("add: %v", err)
						return
					}
					mu.Lock()
					ids = append(ids, id)
					mu.Unlock()
				}
			})
		}
		wg.Wait()
		list, _, err := b.List(t.Context(), b.tenant, tasks.Filter{}, 2*tasks.MaxTasks, "")
		if err != nil {
			t.Fatal(err)
		}
		if len(list) != tasks.MaxTasks {
			t.Fatalf("kept %d tasks, want %d", len(list), tasks.MaxTasks)
		}
		// Callers that run at the same time may be stored in another order than their ids were made: of each the last
		// 900 are certainly among the newest.
		slices.Sort(ids)
		newest := ids[len(ids)-900:]
		slices.Reverse(newest)
		var got []string
		for _, one := range list[:900] {
			got = append(got, one.ID)
		}
		if diff := cmp.Diff(newest, got); diff != "" {
			t.Errorf("newest tasks (-want +got):\n%s", diff)
		}
	})
}

func TestTasksOfOthersAreNotFound(t *testing.T) {
	engines(t, func(t *testing.T, b *bench) {
		id := b.add(t, tasks.Task{Type: "purge", Status: tasks.Succeeded, CreatedAt: made})
		for _, c := range [][2]string{
			{"other", id}, {b.tenant, "task_" + engine.ID{}.String()}, {b.tenant, ""}, {b.tenant, "task_"}, {b.tenant, id + "x"}, {b.tenant, "x\x00"},
		} {
			if _, err := b.Get(t.Context(), c[0], c[1]); !errors.Is(err, tasks.ErrNotFound) {
				t.Errorf("tenant %s, task %q: got %v, want %v", c[0], c[1], err, tasks.ErrNotFound)
			}
		}
	})
}

func TestNothingIsAddedToATenantThatIsDeleted(t *testing.T) {
	engines(t, func(t *testing.T, b *bench) {
		b.add(t, tasks.Task{Type: "purge", Status: tasks.Succeeded, CreatedAt: made})
		b.state(t, "deleting")
		if _, err := b.Add(t.Context(), b.tenant, tasks.Task{Type: "purge"}); !errors.Is(err, tasks.ErrTenantGone) {
			t.Errorf("got %v, want %v", err, tasks.ErrTenantGone)
		}
		for range 2 { // a deletion may be repeated
			if err := b.Forget(t.Context(), b.tenant); err != nil {
				t.Fatal(err)
			}
		}
		keys, err := b.client.Exists(t.Context(), engine.TenantKey(b.tenant, "tasks")).Result()
		if err != nil || keys != 0 {
			t.Errorf("after Forget: %d keys, error %v; want none", keys, err)
		}
	})
}
