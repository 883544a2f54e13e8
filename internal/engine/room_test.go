package engine_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/sluicemq/sluice/internal/engine"
	"github.com/sluicemq/sluice/internal/redistest"
)

// A node that is almost full takes nothing more, can be emptied, and takes something again once there is room to spare.
func TestANodeThatIsAlmostFullCanOnlyBeEmptied(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t, redistest.Options{})
	e := open(t, engine.Options{URL: s.URL()})
	c := s.Client(t)
	k := key("k")
	mustCount(t, e, k, "early")
	if err := c.SetRange(t.Context(), "filler", 20<<20, "x").Err(); err != nil {
		t.Fatal(err)
	}
	var told int64 // how much is used
	disk := func(why string) func(int64) string {
		return func(used int64) string { told = used; return why }
	}
	check := func(what string, full bool, why string) {
		t.Helper()
		got, err := e.CheckRoom(t.Context(), disk(why))
		if err != nil || full != (got != "") {
			t.Errorf("%s: CheckRoom gives %q, %v; want full %t", what, got, err, full)
		}
		_, err = count(e, k, "more")
		if full != errors.Is(err, engine.ErrFull) || !full && err != nil {
			t.Errorf("%s: a script that needs room: %v, want refused %t", what, err, full)
		}
		if _, err := e.Do(t.Context(), drainScript, []string{k}, "more"); err != nil {
			t.Errorf("%s: a script that makes room: %v", what, err)
		}
		total(t, e, k)
	}
	check("without a limit", false, "")
	check("no room on disk", true, "The disk is full.")
	check("room on disk", false, "")
	for _, at := range []struct {
		percent int64
		full    bool
	}{{70, false}, {83, false}, {87, true}, {83, true}, {78, false}, {83, false}} {
		limit := fmt.Sprint(told * 100 / at.percent)
		if err := c.ConfigSet(t.Context(), "maxmemory", limit).Err(); err != nil {
			t.Fatal(err)
		}
		check(fmt.Sprint(at.percent, " % are used"), at.full, "")
	}
	if told < 20<<20 {
		t.Errorf("told that %d bytes are used, want more than 20 MiB", told)
	}
}
