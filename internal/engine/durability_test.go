package engine_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/sluicemq/sluice/internal/engine"
	"github.com/sluicemq/sluice/internal/redistest"
)

func TestTheDurabilityLevelIsReadFromRedis(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name     string
		opts     redistest.Options
		level    engine.Level
		verified bool
		unsafe   string // part of the only complaint, or "" for none
		warning  string // as above
	}{
		{"no AOF", redistest.Options{NoAOF: true}, engine.LevelMemory, true, "", "appendonly is off"},
		{"everysec", redistest.Options{Fsync: "everysec"}, engine.LevelEverySecond, true, "", ""},
		{"never synced", redistest.Options{Fsync: "no"}, engine.LevelMemory, true, "", "appendfsync"},
		{"always", redistest.Options{}, engine.LevelFsync, true, "", ""},
		{"always, but not during a rewrite", redistest.Options{Extra: []string{"--no-appendfsync-on-rewrite", "yes"}},
			engine.LevelEverySecond, true, "no-appendfsync-on-rewrite", ""},
		{"everysec, not during a rewrite", redistest.Options{Fsync: "everysec", Extra: []string{"--no-appendfsync-on-rewrite", "yes"}},
			engine.LevelEverySecond, true, "", ""},
		{"eviction", redistest.Options{Extra: []string{"--maxmemory-policy", "allkeys-lru"}}, engine.LevelFsync, true, "allkeys-lru", ""},
		{"CONFIG renamed", redistest.Options{Extra: []string{"--rename-command", "CONFIG", "hidden"}},
			engine.LevelEverySecond, false, "", "forbids CONFIG"},
		{"CONFIG renamed, eviction", redistest.Options{Extra: []string{"--rename-command", "CONFIG", "hidden", "--maxmemory-policy", "volatile-lru"}},
			engine.LevelEverySecond, false, "volatile-lru", "forbids CONFIG"},
		{"CONFIG renamed, no AOF", redistest.Options{NoAOF: true, Extra: []string{"--rename-command", "CONFIG", "hidden"}},
			engine.LevelMemory, false, "", "forbids CONFIG"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			e := open(t, engine.Options{URL: redistest.Start(t, tc.opts).URL()})
			d, err := e.Durability(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if d.Level != tc.level || d.Verified != tc.verified || d.Replicas != 0 || !strings.HasPrefix(d.Version, "7.") {
				t.Errorf("got %+v, want level %s, verified %t, no replicas", d, tc.level, tc.verified)
			}
			only(t, "unsafe", d.Unsafe, tc.unsafe)
			only(t, "warnings", d.Warnings, tc.warning)
		})
	}
}

func only(t *testing.T, what string, got []string, want string) {
	t.Helper()
	if want == "" && len(got) > 0 || want != "" && (len(got) != 1 || !strings.Contains(got[0], want)) {
		t.Errorf("%s: got %q, want one with %q", what, got, want)
	}
}

func TestWithoutThePermissionTheLevelIsNotVerified(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t, redistest.Options{Port: true})
	if err := s.Client(t).Do(t.Context(), "ACL", "SETUSER", "app", "on", ">secret", "~*", "&*", "+@all", "-config").Err(); err != nil {
		t.Fatal(err)
	}
	e := open(t, engine.Options{URL: "redis://app:secret@" + s.Addr()})
	d, err := e.Durability(t.Context())
	if err != nil || d.Verified || d.Level != engine.LevelEverySecond {
		t.Errorf("got %+v, %v; want %s, not verified", d, err, engine.LevelEverySecond)
	}
	mustCount(t, e, key("k"), "op")
}

func TestReplicasCountWhenTheyAreWaitedFor(t *testing.T) {
	t.Parallel()
	for _, fsync := range []string{"always", "everysec"} {
		t.Run(fsync, func(t *testing.T) {
			t.Parallel()
			disk, both := engine.LevelFsync, engine.LevelReplicatedSync
			if fsync == "everysec" {
				disk, both = engine.LevelEverySecond, engine.LevelReplicated
			}
			master, replica := pair(t, redistest.Options{Fsync: fsync})
			e := open(t, engine.Options{URL: master.URL()})
			check := func(wait, replicas int, want engine.Level) {
				t.Helper()
				e.SetReplicas(wait)
				d, err := e.Durability(t.Context())
				if err != nil || d.Level != want || d.Replicas != replicas {
					t.Errorf("waiting for %d: got %+v, %v; want %s with %d replicas", wait, d, err, want, replicas)
				}
			}
			check(0, 1, disk)
			check(1, 1, both)
			check(2, 1, disk)
			only(t, "warnings", warnings(t, e), "")
			replica.Kill9()
			until(t, "the master sees no replica", func() bool {
				d, err := e.Durability(t.Context())
				return err == nil && d.Replicas == 0
			})
			check(1, 0, disk)
		})
	}
}

func warnings(t *testing.T, e *engine.Engine) []string {
	t.Helper()
	d, err := e.Durability(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return d.Warnings
}

// One of two replicas is enough for a level, but not for a failover to the other one.
func TestReplicasThatNeedNotConfirmAreAWarning(t *testing.T) {
	t.Parallel()
	f := newFake(t, nil)
	f.other = func(_ *fakeConn, args []string) string {
		switch strings.ToLower(args[0]) {
		case "info":
			return bulk("redis_version:7.0.15\r\nconnected_slaves:2\r\n")
		case "config":
			value := map[string]string{"appendonly": "yes", "appendfsync": "always", "no-appendfsync-on-rewrite": "no",
				"maxmemory-policy": "noeviction", "min-replicas-to-write": "0"}[args[2]]
			return "*2\r\n" + bulk(args[2]) + bulk(value)
		}
		return ""
	}
	for wait, want := range []string{"", "1 of 2 replicas", "", ""} {
		only(t, fmt.Sprint("warnings, waiting for ", wait), warnings(t, open(t, engine.Options{URL: f.url(), Replicas: wait})), want)
	}
}

func TestAClusterIsAsDurableAsItsWeakestMaster(t *testing.T) {
	t.Parallel()
	c := redistest.Cluster(t, 3, 0)
	e := open(t, engine.Options{URL: clusterURL(c)})
	d, err := e.Durability(t.Context())
	if err != nil || d.Level != engine.LevelFsync || d.Replicas != 0 || len(d.Unsafe) != 0 {
		t.Errorf("got %+v, %v; want %s", d, err, engine.LevelFsync)
	}
	if err := c.Nodes[1].Client(t).ConfigSet(t.Context(), "appendfsync", "everysec").Err(); err != nil {
		t.Fatal(err)
	}
	for _, n := range c.Nodes[1:] {
		if err := n.Client(t).ConfigSet(t.Context(), "maxmemory-policy", "allkeys-random").Err(); err != nil {
			t.Fatal(err)
		}
	}
	d, err = e.Durability(t.Context())
	if err != nil || d.Level != engine.LevelEverySecond {
		t.Errorf("got %+v, %v; want %s", d, err, engine.LevelEverySecond)
	}
	only(t, "unsafe", d.Unsafe, "allkeys-random") // said once for both nodes
}

func TestTheInMemoryEngineKeepsNothing(t *testing.T) {
	t.Parallel()
	e := open(t, engine.Options{URL: redistest.Memory(t), Memory: true})
	if d, err := e.Durability(t.Context()); err != nil || d.Level != engine.LevelMemory || !d.Verified || !e.Memory() {
		t.Errorf("got %+v, %v", d, err)
	}
}

// A server that is not Redis 7 is refused by its version, however that is written.
func TestOldServersAreUnsafe(t *testing.T) {
	t.Parallel()
	for version, want := range map[string]string{
		"7.0": "", "7.0.15": "", "7.2": "", "10.1.2": "", "8.0.0-rc1": "", "6.2.14": "6.2.14 is too old", "6": "6 is too old", "": " is too old",
	} {
		f := newFake(t, nil)
		f.other = func(_ *fakeConn, args []string) string {
			switch strings.ToLower(args[0]) {
			case "info":
				return bulk(fmt.Sprintf("# Server\r\nredis_version:%s\r\naof_enabled:1\r\nmaxmemory_policy:noeviction\r\n", version))
			case "config":
				return "-NOPERM no\r\n"
			}
			return ""
		}
		e := open(t, engine.Options{URL: f.url()})
		d, err := e.Durability(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		only(t, "unsafe, version "+version, d.Unsafe, want)
	}
}

func TestLevelsHaveNames(t *testing.T) {
	t.Parallel()
	for l, name := range map[engine.Level]string{engine.LevelMemory: "memory", engine.LevelEverySecond: "everysec",
		engine.LevelFsync: "fsync", engine.LevelReplicated: "replicated", engine.LevelReplicatedSync: "replicated+fsync"} {
		if got, err := engine.ParseLevel(name); got != l || err != nil || l.String() != name {
			t.Errorf("%s parses as %s, %v", name, got, err)
		}
	}
	if _, err := engine.ParseLevel("Fsync"); err == nil || !strings.Contains(err.Error(), "replicated+fsync") {
		t.Errorf("a wrong name: got %v, want the right ones", err)
	}
}
