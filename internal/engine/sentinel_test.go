package engine_test

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sluicemq/sluice/internal/engine"
	"github.com/sluicemq/sluice/internal/redistest"
)

func TestSentinelFailoversAreFollowed(t *testing.T) {
	t.Parallel()
	set := redistest.Sentinel(t, 2, 3)
	// Both replicas: one that need not confirm may be the one that is promoted.
	e := open(t, engine.Options{URL: set.URL(), Replicas: 2})
	keys := someKeys(4)
	for _, fault := range []struct {
		name string
		do   func(master *redistest.Server)
	}{
		{"SENTINEL FAILOVER", func(*redistest.Server) { set.Failover() }},
		{"kill -9", func(master *redistest.Server) {
			master.Kill9()
			set.Master() // waits for the successor
			master.Restart()
		}},
		{"SIGSTOP", func(master *redistest.Server) {
			master.Pause()
			set.Master()
			master.Cont()
		}},
	} {
		l := under(t, e, keys, func(l *ledger) {
			fault.do(set.Master())
			set.WaitOK()
			n := l.total()
			until(t, "writes go on", func() bool { return l.total() > n+200 })
		})
		lost := l.lost(t, e)
		t.Logf("%s: acknowledged %d, unknown %d, refused %d, lost %d, %v without writes", fault.name, l.total(), l.unsure, l.refused, lost, l.gap.Round(time.Millisecond))
		if lost > 0 {
			t.Errorf("%s: %d acknowledged operations are lost", fault.name, lost)
		}
	}
}

// A master that has become a replica refuses writes. Its connections are left and the new master is found.
func TestADemotedMasterIsLeft(t *testing.T) {
	t.Parallel()
	set := redistest.Sentinel(t, 1, 3)
	e := open(t, engine.Options{URL: set.URL(), Replicas: 1})
	k := key("k")
	mustCount(t, e, k, "before")
	e.SetReplicas(0) // there will be none for a while
	old := set.Master()
	set.Failover()
	set.WaitOK() // the old one follows the new one now
	if n := mustCount(t, e, k, "after"); n != 2 {
		t.Errorf("the operation has number %d, want 2", n)
	}
	if set.Master() == old {
		t.Fatal("nothing has failed over")
	}
	if _, err := e.Durability(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestWithoutSentinelsNothingIsDone(t *testing.T) {
	t.Parallel()
	e := open(t, engine.Options{URL: "redis+sentinel://127.0.0.1:1,127.0.0.1:2/none", Budget: 200 * time.Millisecond})
	_, err := count(e, key("k"), "op")
	if diff := cmp.Diff(unavailable, verdictOn(t, err)); diff != "" {
		t.Errorf("no sentinel answers (-want +got):\n%s\n%v", diff, errors.Unwrap(err))
	}
}
