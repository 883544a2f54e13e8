package audit_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/redis/go-redis/v9"

	"github.com/sluicemq/sluice/internal/audit"
	"github.com/sluicemq/sluice/internal/clock"
	"github.com/sluicemq/sluice/internal/engine"
	"github.com/sluicemq/sluice/internal/redistest"
)

func TestMain(m *testing.M) { os.Exit(redistest.Main(m)) }

var (
	start = time.Date(2026, 5, 4, 3, 2, 1, 0, time.UTC)
	names atomic.Int64
)

// world is a server with a tenant of the test's own, on a clock that the test moves.
type world struct {
	*audit.Store
	clock *clock.Fake
	redis *redis.Client
	log   audit.Log
}

func worlds(t *testing.T, test func(t *testing.T, w *world)) {
	t.Parallel()
	t.Run("redis", func(t *testing.T) {
		t.Parallel()
		test(t, newWorld(t, engine.Options{URL: redistest.URL(t)}))
	})
	t.Run("memory", func(t *testing.T) {
		t.Parallel()
		test(t, newWorld(t, engine.Options{URL: redistest.Memory(t), Memory: true}))
	})
}

func newWorld(tb testing.TB, opt engine.Options) *world {
	tb.Helper()
	w := &world{clock: clock.NewFake(start)}
	opt.Clock, opt.TestNow = w.clock, func() int64 { return w.clock.Now().UnixMilli() }
	e, err := engine.Open(opt)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = e.Close() })
	if err := e.StartSession(tb.Context()); err != nil {
		tb.Fatal(err)
	}
	w.Store, w.redis = audit.New(e), e.Single()
	w.log = w.tenant(tb)
	return w
}

func (w *world) tenant(tb testing.TB) audit.Log {
	tb.Helper()
	l := audit.Log(fmt.Sprintf("t%d", names.Add(1)))
	if err := w.redis.HSet(tb.Context(), engine.TenantKey(string(l), "tenant"), "state", "active").Err(); err != nil {
		tb.Fatal(err)
	}
	return l
}

func (w *world) entry(target string) audit.Entry {
	return audit.Entry{ID: w.NewID(), Operation: "updateQueue", Actor: audit.Actor{Kind: "tenant", Key: "key_1"}, Tenant: "acme",
		Address: "192.0.2.7", Request: "req_1", Target: audit.Target{Type: "queue", Name: target}, Before: json.RawMessage(`{"delay":0}`)}
}

// list returns all entries that a filter wants, by pages of a size.
func (w *world) list(tb testing.TB, l audit.Log, f audit.Filter, limit int) (all []audit.Entry) {
	tb.Helper()
	for after, pages := "", 0; ; pages++ {
		page, next, err := w.List(tb.Context(), l, f, limit, after)
		if err != nil || len(page) > limit || pages > 1000 {
			tb.Fatalf("list: %d entries, %v", len(page), err)
		}
		all = append(all, page...)
		if next == "" {
			return all
		}
		after = next
	}
}

func targets(list []audit.Entry) string {
	names := make([]string, len(list))
	for i, e := range list {
		names[i] = e.Target.Name
	}
	return strings.Join(names, " ")
}

func (w *world) must(tb testing.TB, err error) {
	tb.Helper()
	if err != nil {
		tb.Fatal(err)
	}
}

func TestAnEntryIsUnknownUntilItsEnd(t *testing.T) {
	worlds(t, func(t *testing.T, w *world) {
		ctx := t.Context()
		e := w.entry("orders")
		w.must(t, w.Begin(ctx, w.log, e))
		want := e
		want.At, want.Outcome = start, audit.Unknown
		if diff := cmp.Diff([]audit.Entry{want}, w.list(t, w.log, audit.Filter{}, 10)); diff != "" {
			t.Errorf("begun (-want +got):\n%s", diff)
		}
		w.clock.Advance(time.Second)
		e.Outcome, e.After = audit.Done, json.RawMessage(`{"delay":5}`)
		w.must(t, w.End(ctx, w.log, e))
		want.Outcome, want.After = e.Outcome, e.After
		for range 2 { // a repeat of the beginning that comes late changes nothing
			if diff := cmp.Diff([]audit.Entry{want}, w.list(t, w.log, audit.Filter{}, 10)); diff != "" {
				t.Errorf("ended (-want +got):\n%s", diff)
			}
			w.must(t, w.Begin(ctx, w.log, e))
		}
		// Each log is its own.
		for _, other := range []audit.Log{w.tenant(t), audit.Installation} {
			for _, got := range w.list(t, other, audit.Filter{}, 10) {
				if got.ID == e.ID {
					t.Errorf("the entry is in the log %q too", other)
				}
			}
		}
		w.must(t, w.Drop(ctx, w.log, e.ID))
		w.must(t, w.Drop(ctx, w.log, e.ID))
		if got := w.list(t, w.log, audit.Filter{}, 10); len(got) != 0 {
			t.Errorf("after it was taken back: %+v", got)
		}
		w.checkBytes(t)
	})
}

// checkBytes compares what is counted with a recount.
func (w *world) checkBytes(t *testing.T) {
	t.Helper()
	all, err := w.redis.HGetAll(t.Context(), engine.TenantKey(string(w.log), "audit")).Result()
	w.must(t, err)
	sum := 0
	for id, text := range all {
		if id != "" {
			sum += len(text)
		}
	}
	if got := all[""]; got != fmt.Sprint(sum) && !(got == "" && sum == 0) {
		t.Errorf("counted bytes %q, want %d", got, sum)
	}
	if n := w.redis.ZCard(t.Context(), engine.TenantKey(string(w.log), "audit-order")).Val(); int(n) != max(len(all)-1, 0) {
		t.Errorf("%d places of %d entries", n, len(all)-1)
	}
}

func TestEntriesAreListedLatestFirstWithRefusalsAmongThem(t *testing.T) {
	worlds(t, func(t *testing.T, w *world) {
		for i := range 130 {
			e := w.entry(fmt.Sprintf("q%03d", i))
			if i%3 == 0 {
				e.Actor.Key, e.Actor.Token, e.Code = "key_2", "tok_2", "permission_denied"
				w.must(t, w.Refuse(t.Context(), w.log, e))
			} else {
				e.Outcome = audit.Done
				w.must(t, w.End(t.Context(), w.log, e))
			}
			if i%2 == 0 { // two share an instant
				w.clock.Advance(time.Second)
			}
		}
		for _, limit := range []int{1, 7, 50, 500} {
			got := w.list(t, w.log, audit.Filter{}, limit)
			if len(got) != 130 {
				t.Fatalf("%d entries by pages of %d, want 130", len(got), limit)
			}
			for i := 1; i < len(got); i++ {
				if got[i].At.After(got[i-1].At) {
					t.Fatalf("by pages of %d %s comes behind %s", limit, got[i].At, got[i-1].At)
				}
			}
		}
		for what, c := range map[string]struct {
			f    audit.Filter
			want int
		}{
			"a key":        {audit.Filter{Actor: "key_2"}, 44},
			"a token":      {audit.Filter{Actor: "tok_2"}, 44},
			"an operation": {audit.Filter{Operation: "updateQueue"}, 130},
			"another one":  {audit.Filter{Operation: "putQueue"}, 0},
			"an outcome":   {audit.Filter{Outcome: audit.Done}, 86},
			"a target":     {audit.Filter{Target: "q007"}, 1},
			"what is seen": {audit.Filter{Sees: func(t audit.Target) bool { return t.Name < "q010" }}, 10},
			"from":         {audit.Filter{From: start.Add(60 * time.Second)}, 11},
			"to":           {audit.Filter{To: start.Add(60 * time.Second)}, 119},
			"a second":     {audit.Filter{From: start.Add(60 * time.Second), To: start.Add(61 * time.Second)}, 2},
		} {
			for _, limit := range []int{3, 500} {
				if got := w.list(t, w.log, c.f, limit); len(got) != c.want {
					t.Errorf("%s by pages of %d: %d entries, want %d", what, limit, len(got), c.want)
				}
			}
		}
	})
}

func TestTheOldestEntriesGoFirst(t *testing.T) {
	worlds(t, func(t *testing.T, w *world) {
		big := json.RawMessage(`"` + strings.Repeat("x", audit.MaxState-2) + `"`)
		n := audit.MaxBytes/(2*audit.MaxState) + 50
		for i := range n {
			e := w.entry(fmt.Sprintf("q%05d", i))
			e.Before, e.After, e.Outcome = big, big, audit.Done
			w.must(t, w.End(t.Context(), w.log, e))
			w.clock.Advance(time.Millisecond)
		}
		w.checkBytes(t)
		got := w.list(t, w.log, audit.Filter{}, 500)
		if len(got) >= n || got[0].Target.Name != fmt.Sprintf("q%05d", n-1) || got[len(got)-1].Target.Name != fmt.Sprintf("q%05d", n-len(got)) {
			t.Fatalf("%d entries of %d, from %s to %s", len(got), n, got[0].Target.Name, got[len(got)-1].Target.Name)
		}
		if sum := w.redis.HGet(t.Context(), engine.TenantKey(string(w.log), "audit"), "").Val(); len(sum) > 8 || sum > fmt.Sprint(audit.MaxBytes) && len(sum) == 8 {
			t.Errorf("%s bytes are kept, want %d at most", sum, audit.MaxBytes)
		}
		// By age, ten with each new one.
		w.clock.Advance(audit.MaxAge)
		w.must(t, w.End(t.Context(), w.log, w.entry("new")))
		if after := w.list(t, w.log, audit.Filter{}, 500); len(after) != len(got)+1-10 {
			t.Errorf("%d entries, want ten fewer than %d and one more", len(after), len(got))
		}
		// What is too long is told by its length, and a name that nothing can have by its beginning.
		w.must(t, w.Refuse(t.Context(), w.log, w.entry(strings.Repeat("n", 5000))))
		if got := w.list(t, w.log, audit.Filter{Outcome: audit.Refused}, 1); got[0].Target.Name != strings.Repeat("n", 256) {
			t.Errorf("a long name has %d bytes", len(got[0].Target.Name))
		}
		e := w.entry("long")
		e.Outcome, e.After = audit.Done, json.RawMessage(`"`+strings.Repeat("x", audit.MaxState)+`"`)
		w.must(t, w.End(t.Context(), w.log, e))
		if text := string(w.list(t, w.log, audit.Filter{Target: "long"}, 500)[0].After); text != fmt.Sprintf(`{"bytes_left_out":%d}`, audit.MaxState+2) {
			t.Errorf("a long state is shown as %.50s", text)
		}
	})
}

func TestRefusalsPushOutNoChange(t *testing.T) {
	worlds(t, func(t *testing.T, w *world) {
		e := w.entry("mine")
		e.Outcome = audit.Done
		w.must(t, w.End(t.Context(), w.log, e))
		for range audit.MaxEntries/10 + 20 {
			w.must(t, w.Refuse(t.Context(), w.log, w.entry("theirs")))
		}
		if got := w.list(t, w.log, audit.Filter{Outcome: audit.Refused}, 500); len(got) != audit.MaxEntries/10 {
			t.Errorf("%d refusals are kept, want %d", len(got), audit.MaxEntries/10)
		}
		if got := targets(w.list(t, w.log, audit.Filter{Outcome: audit.Done}, 500)); got != "mine" {
			t.Errorf("changes: %q, want the one", got)
		}
	})
}

func TestADeletedTenantHasNoLog(t *testing.T) {
	worlds(t, func(t *testing.T, w *world) {
		ctx, staying := t.Context(), w.tenant(t)
		for _, l := range []audit.Log{w.log, staying} {
			w.must(t, w.Begin(ctx, l, w.entry("a")))
			w.must(t, w.Refuse(ctx, l, w.entry("b")))
		}
		w.must(t, w.redis.HSet(ctx, engine.TenantKey(string(w.log), "tenant"), "state", "deleting").Err())
		for range 2 {
			w.must(t, w.Forget(ctx, w.log))
			for what, err := range map[string]error{"begin": w.Begin(ctx, w.log, w.entry("c")), "end": w.End(ctx, w.log, w.entry("c")), "refuse": w.Refuse(ctx, w.log, w.entry("c"))} {
				if !errors.Is(err, audit.ErrGone) {
					t.Errorf("%s: %v, want %v", what, err, audit.ErrGone)
				}
			}
		}
		keys, err := w.redis.Keys(context.Background(), engine.TenantKey(string(w.log), "*")).Result()
		if err != nil || len(keys) != 1 {
			t.Errorf("what is left: %q, %v; want the tenant alone", keys, err)
		}
		if got := targets(w.list(t, staying, audit.Filter{}, 10)); got != "b a" {
			t.Errorf("the other tenant's log has %q", got)
		}
	})
}
