package engine_test

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/sluicemq/sluice/internal/engine"
)

func TestTheSealedRootIsReplacedByWhoHasSeenIt(t *testing.T) {
	everywhere(t, func(t *testing.T, opt engine.Options) {
		e := open(t, opt)
		have, err := e.Claim(t.Context(), engine.Identity{Epoch: "e", Fingerprint: "f", Region: "r", Root: "s1"}, true)
		if err != nil {
			t.Fatal(err)
		}
		check := func(what string, want engine.Identity) {
			t.Helper()
			if got, err := e.Claim(t.Context(), engine.Identity{}, false); err != nil || got != want {
				t.Errorf("%s: got %+v, %v; want %+v", what, got, err, want)
			}
		}
		change := func(seen engine.Identity, root, next string, want error) {
			t.Helper()
			if err := e.Reseal(t.Context(), seen, root, next); !errors.Is(err, want) {
				t.Errorf("from %+v to %q, %q: got %v, want %v", seen, root, next, err, want)
			}
		}
		both, last := have, have
		both.Next, last.Root = "s2", "s2"
		for _, stranger := range []engine.Identity{{}, {Epoch: "e"}, {Epoch: "x", Root: "s1"}, {Epoch: "e", Root: "s2"}, both} {
			change(stranger, "s1", "evil", engine.ErrResealed)
			check("after a refusal", have)
		}
		for range 2 { // the second is a repeat whose answer was lost
			change(have, "s1", "s2", nil)
			check("added", both)
		}
		change(have, "s1", "s3", engine.ErrResealed)
		for range 2 {
			change(both, "s2", "", nil)
			check("ended", last)
		}
	})
}

// A founder before there was a root left none.
func TestARootIsAddedToAnInstallationWithoutOne(t *testing.T) {
	everywhere(t, func(t *testing.T, opt engine.Options) {
		e := open(t, opt)
		have := engine.Identity{Epoch: "e", Fingerprint: "f", Region: "r"}
		if err := e.Single().HSet(t.Context(), engine.SystemKey("installation"), "epoch", "e", "fingerprint", "f", "region", "r").Err(); err != nil {
			t.Fatal(err)
		}
		if got, err := e.Claim(t.Context(), engine.Identity{Epoch: "x", Root: "s"}, true); err != nil || got != have {
			t.Errorf("got %+v, %v; want %+v: nothing is added by who only starts", got, err, have)
		}
		if err := e.Reseal(t.Context(), have, "s1", "s2"); err != nil {
			t.Fatal(err)
		}
		have.Root, have.Next = "s1", "s2"
		if got, err := e.Claim(t.Context(), engine.Identity{}, false); err != nil || got != have {
			t.Errorf("got %+v, %v; want %+v", got, err, have)
		}
	})
}

func TestADamagedInstallationIsNotFoundedAnew(t *testing.T) {
	everywhere(t, func(t *testing.T, opt engine.Options) {
		e := open(t, opt)
		key := engine.SystemKey("installation")
		if err := e.Single().HSet(t.Context(), key, "fingerprint", "f", "root", "s").Err(); err != nil {
			t.Fatal(err)
		}
		if _, err := e.Claim(t.Context(), engine.Identity{Epoch: "e", Root: "new"}, true); !errors.Is(err, engine.ErrBroken) {
			t.Errorf("got %v, want %v", err, engine.ErrBroken)
		}
		if got, err := e.Single().HGetAll(t.Context(), key).Result(); err != nil || len(got) != 2 || got["root"] != "s" {
			t.Errorf("it was changed to %v, %v", got, err)
		}
	})
}

func TestOfRotationsAtOnceOneIsBegun(t *testing.T) {
	everywhere(t, func(t *testing.T, opt engine.Options) {
		e := open(t, opt)
		have, err := e.Claim(t.Context(), engine.Identity{Epoch: "e", Root: "s"}, true)
		if err != nil {
			t.Fatal(err)
		}
		var begun atomic.Int64
		var wg sync.WaitGroup
		for i := range 10 {
			wg.Go(func() {
				switch err := e.Reseal(t.Context(), have, "s", fmt.Sprint("next", i)); {
				case err == nil:
					begun.Add(1)
				case !errors.Is(err, engine.ErrResealed):
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if begun.Load() != 1 {
			t.Errorf("%d were begun", begun.Load())
		}
	})
}
