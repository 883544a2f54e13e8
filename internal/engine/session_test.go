package engine_test

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sluicemq/sluice/internal/clock"
	"github.com/sluicemq/sluice/internal/engine"
	"github.com/sluicemq/sluice/internal/redistest"
)

// everywhere runs a test on real Redis and on the in-memory engine, each of its own.
func everywhere(t *testing.T, test func(t *testing.T, opt engine.Options)) {
	t.Parallel()
	t.Run("redis", func(t *testing.T) {
		t.Parallel()
		test(t, engine.Options{URL: redistest.Start(t, redistest.Options{}).URL()})
	})
	t.Run("memory", func(t *testing.T) {
		t.Parallel()
		test(t, engine.Options{URL: redistest.Memory(t), Memory: true})
	})
}

func start(t *testing.T, opt engine.Options) *engine.Engine {
	t.Helper()
	e := open(t, opt)
	if err := e.StartSession(t.Context()); err != nil {
		t.Fatal(err)
	}
	return e
}

func TestSessionsAreUnique(t *testing.T) {
	everywhere(t, func(t *testing.T, opt engine.Options) {
		const servers = 100
		var mu sync.Mutex
		seen := map[uint32]bool{}
		var wg sync.WaitGroup
		for range servers {
			e := open(t, opt)
			wg.Go(func() {
				if err := e.StartSession(t.Context()); err != nil {
					t.Error(err)
				}
				mu.Lock()
				defer mu.Unlock()
				if n := e.Session().Number(); seen[n] || n == 0 {
					t.Errorf("number %d was given twice, or is none", n)
				}
				seen[e.Session().Number()] = true
			})
		}
		wg.Wait()
	})
}

func TestBeatForgetsTheSilent(t *testing.T) {
	everywhere(t, func(t *testing.T, opt engine.Options) {
		now := clock.NewFake(noon)
		opt.Clock = now
		opt.TestNow = func() int64 { return now.Now().UnixMilli() }
		a, b, c := start(t, opt), start(t, opt), start(t, opt)
		numbers := func(list ...*engine.Engine) []uint32 {
			var out []uint32
			for _, e := range list {
				out = append(out, e.Session().Number())
			}
			slices.Sort(out)
			return out
		}
		beat := func(e *engine.Engine, want ...*engine.Engine) {
			t.Helper()
			alive, err := e.Beat(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if alive[0] != e.Session().Number() {
				t.Errorf("the beat of %d names %d first", e.Session().Number(), alive[0])
			}
			slices.Sort(alive)
			if diff := cmp.Diff(numbers(want...), alive); diff != "" {
				t.Errorf("alive (-want +got):\n%s", diff)
			}
		}
		beat(a, a, b, c)
		now.Advance(engine.SessionLife - time.Second)
		beat(b, a, b, c)
		now.Advance(time.Second)
		beat(a, a, b, c) // just as long is not yet too long
		now.Advance(time.Millisecond)
		beat(a, a, b)
		beat(c, a, b, c) // it was only away
		now.Advance(engine.SessionLife + time.Millisecond)
		beat(b, b)
		if d := start(t, opt); slices.Contains(numbers(a, b, c), d.Session().Number()) {
			t.Errorf("number %d was given again", d.Session().Number())
		}
	})
}

// A beat whose answer is lost, and a claim whose answer is lost, are sent again.
func TestAClaimWithALostAnswerSkipsANumber(t *testing.T) {
	t.Parallel()
	e, direct, p := proxied(t, 0)
	if err := direct.StartSession(t.Context()); err != nil {
		t.Fatal(err)
	}
	mustCount(t, e, key("k"), "warm")
	p.CutReplyAfter(0)
	if err := e.StartSession(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got, other := e.Session().Number(), direct.Session().Number(); got == other {
		t.Errorf("both servers have number %d", got)
	}
	p.CutReplyAfter(0)
	if alive, err := e.Beat(t.Context()); err != nil || !slices.Contains(alive, direct.Session().Number()) {
		t.Errorf("beat: got %v, %v", alive, err)
	}
}

func TestOneServerHasTheLease(t *testing.T) {
	everywhere(t, func(t *testing.T, opt engine.Options) {
		now := clock.NewFake(noon)
		opt.Clock = now
		opt.TestNow = func() int64 { return now.Now().UnixMilli() }
		a, b := start(t, opt), start(t, opt)
		ask := func(e *engine.Engine, work string, want bool) {
			t.Helper()
			if got, err := e.Lease(t.Context(), work, 10*time.Second); err != nil || got != want {
				t.Errorf("lease on %s: got %t, %v; want %t", work, got, err, want)
			}
		}
		ask(a, "sweep", true)
		ask(b, "sweep", false)
		ask(b, "other", true)
		now.Advance(9 * time.Second)
		ask(a, "sweep", true) // kept, for ten seconds from now
		now.Advance(10*time.Second - time.Millisecond)
		ask(b, "sweep", false)
		now.Advance(time.Millisecond)
		ask(b, "sweep", true)
		ask(a, "sweep", false)
	})
}

func TestManyServersAskForOneLease(t *testing.T) {
	t.Parallel()
	opt := engine.Options{URL: redistest.Start(t, redistest.Options{}).URL()}
	var have atomic.Int64
	var wg sync.WaitGroup
	for range 20 {
		e := start(t, opt)
		wg.Go(func() {
			got, err := e.Lease(t.Context(), "work", time.Minute)
			if err != nil {
				t.Error(err)
			}
			if got {
				have.Add(1)
			}
		})
	}
	wg.Wait()
	if have.Load() != 1 {
		t.Errorf("%d servers have the lease", have.Load())
	}
}

func TestAnInstallationKeepsItsIdentity(t *testing.T) {
	everywhere(t, func(t *testing.T, opt engine.Options) {
		e := open(t, opt)
		mine := engine.Identity{Epoch: "e1", Fingerprint: "f1", Region: "r1", Root: "s1"}
		if _, err := e.Claim(t.Context(), mine, false); !errors.Is(err, engine.ErrNoInstallation) {
			t.Errorf("an empty Redis: got %v, want %v", err, engine.ErrNoInstallation)
		}
		for i, want := range []engine.Identity{mine, {Epoch: "e2", Fingerprint: "f2", Region: "r2", Root: "s2"}} {
			for _, found := range []bool{true, false} {
				got, err := e.Claim(t.Context(), want, found)
				if err != nil || got != mine {
					t.Errorf("server %d, to be founded %t: got %+v, %v; want %+v", i, found, got, err, mine)
				}
			}
		}
	})
}

func TestServersFoundOneInstallation(t *testing.T) {
	t.Parallel()
	opt := engine.Options{URL: redistest.Start(t, redistest.Options{}).URL()}
	var mu sync.Mutex
	seen := map[engine.Identity]bool{}
	var wg sync.WaitGroup
	for i := range 20 {
		e := open(t, opt)
		wg.Go(func() {
			got, err := e.Claim(t.Context(), engine.Identity{Epoch: fmt.Sprint("e", i), Fingerprint: fmt.Sprint("f", i), Region: "r", Root: fmt.Sprint("s", i)}, true)
			if err != nil {
				t.Error(err)
			}
			mu.Lock()
			defer mu.Unlock()
			seen[got] = true
		})
	}
	wg.Wait()
	if len(seen) != 1 {
		t.Errorf("they founded %d installations: %v", len(seen), seen)
	}
}
