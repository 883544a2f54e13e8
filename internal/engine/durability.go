package engine

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"

	"github.com/redis/go-redis/v9"
)

// Level says what an acknowledged write survives. It is read from Redis, never assumed.
type Level uint8

// The levels, from the least to the most.
const (
	LevelMemory         Level = iota // nothing: the end of the process is the end of the data
	LevelEverySecond                 // a crash while the disk is healthy; up to two seconds are lost on power failure
	LevelFsync                       // also power failure: synced to disk before the answer
	LevelReplicated                  // also the loss of one node: confirmed by replicas before the answer
	LevelReplicatedSync              // both
)

var levelNames = [...]string{"memory", "everysec", "fsync", "replicated", "replicated+fsync"}

// String returns the name that settings, /readyz and metrics use.
func (l Level) String() string { return levelNames[l] }

// ParseLevel reads a level's name.
func ParseLevel(s string) (Level, error) {
	for i, n := range levelNames {
		if n == s {
			return Level(i), nil
		}
	}
	return 0, fmt.Errorf("durability %q: want one of %s", s, strings.Join(levelNames[:], ", "))
}

// Durability is what Redis said of itself.
type Durability struct {
	Level    Level
	Verified bool     // false where Redis forbids CONFIG: then the level is only what INFO shows
	Version  string   // of the oldest node, such as "7.0.15"
	Replicas int      // connected to the master that has the fewest
	Unsafe   []string // settings that lose messages silently: a server refuses to start with them
	Warnings []string // settings worth a look
}

// Durability asks every master for its settings and returns the weakest of them.
func (e *Engine) Durability(ctx context.Context) (Durability, error) {
	if e.opt.Memory {
		return Durability{Level: LevelMemory, Verified: true, Version: "in-memory"}, nil
	}
	var mu sync.Mutex
	all := Durability{Level: LevelReplicatedSync, Verified: true, Replicas: -1}
	err := e.eachMaster(ctx, func(ctx context.Context, c *redis.Client) error {
		one, err := e.nodeDurability(ctx, c)
		if err != nil {
			return err
		}
		mu.Lock()
		defer mu.Unlock()
		all.Level = min(all.Level, one.Level)
		all.Verified = all.Verified && one.Verified
		if all.Version == "" || olderVersion(one.Version, all.Version) {
			all.Version = one.Version
		}
		if all.Replicas < 0 || one.Replicas < all.Replicas {
			all.Replicas = one.Replicas
		}
		all.Unsafe = appendNew(all.Unsafe, one.Unsafe)
		all.Warnings = appendNew(all.Warnings, one.Warnings)
		return nil
	})
	return all, err
}

func (e *Engine) nodeDurability(ctx context.Context, c *redis.Client) (Durability, error) {
	info, err := c.Info(ctx).Result()
	if err != nil {
		return Durability{}, fmt.Errorf("read INFO: %w", err)
	}
	facts := parseInfo(info)
	d := Durability{Version: facts["redis_version"], Verified: true}
	d.Replicas, _ = strconv.Atoi(facts["connected_slaves"])
	if olderVersion(d.Version, "7.0") {
		d.Unsafe = append(d.Unsafe, fmt.Sprintf("Redis %s is too old: Sluice needs 7.0 or later, or Valkey", d.Version))
	}
	conf := map[string]string{}
	for _, name := range []string{"appendonly", "appendfsync", "no-appendfsync-on-rewrite", "maxmemory-policy", "min-replicas-to-write"} {
		m, err := c.ConfigGet(ctx, name).Result()
		if err != nil {
			var answer redis.Error
			if !errors.As(err, &answer) {
				return Durability{}, fmt.Errorf("read CONFIG: %w", err)
			}
			d.Verified = false
			break
		}
		conf[name] = m[name]
	}
	wait := int(e.wait.Load())
	d.Level = level(conf, facts, d.Verified, wait, d.Replicas)
	if p := cmp.Or(conf["maxmemory-policy"], facts["maxmemory_policy"]); p != "" && p != "noeviction" {
		d.Unsafe = append(d.Unsafe, fmt.Sprintf("maxmemory-policy is %q: Redis would delete messages silently when memory runs out; set it to noeviction", p))
	}
	if conf["appendfsync"] == "always" && conf["no-appendfsync-on-rewrite"] == "yes" {
		d.Unsafe = append(d.Unsafe, `no-appendfsync-on-rewrite is "yes": it switches appendfsync "always" off during every rewrite; set it to no`)
	}
	switch {
	case !d.Verified || d.Level != LevelMemory:
	case conf["appendonly"] == "yes":
		d.Warnings = append(d.Warnings, `appendfsync is "no": what the operating system has not written is lost on power failure`)
	default:
		d.Warnings = append(d.Warnings, "appendonly is off: everything since the last snapshot is lost when Redis stops")
	}
	if wait > 0 && wait < d.Replicas {
		d.Warnings = append(d.Warnings, fmt.Sprintf("%d of %d replicas confirm each write: a failover to another one loses what that lacks", wait, d.Replicas))
	}
	if !d.Verified {
		d.Warnings = append(d.Warnings, "Redis forbids CONFIG: the durability level cannot be verified")
	}
	return d, nil
}

// level combines what a node writes to disk with what its replicas confirm.
func level(conf, facts map[string]string, verified bool, wait, replicas int) Level {
	disk := LevelMemory
	switch {
	case verified && conf["appendonly"] == "yes" && conf["appendfsync"] == "always" && conf["no-appendfsync-on-rewrite"] != "yes":
		disk = LevelFsync
	case verified && conf["appendonly"] == "yes" && conf["appendfsync"] != "no":
		disk = LevelEverySecond
	case !verified && facts["aof_enabled"] == "1":
		disk = LevelEverySecond
	}
	if wait > 0 && replicas >= wait && disk >= LevelEverySecond {
		if disk == LevelFsync {
			return LevelReplicatedSync
		}
		return LevelReplicated
	}
	return disk
}

// parseInfo reads "name:value" lines.
func parseInfo(text string) map[string]string {
	facts := map[string]string{}
	lines := bufio.NewScanner(strings.NewReader(text))
	for lines.Scan() {
		if name, value, ok := strings.Cut(lines.Text(), ":"); ok {
			facts[name] = strings.TrimSpace(value)
		}
	}
	return facts
}

// olderVersion compares dotted numbers.
func olderVersion(a, b string) bool {
	as, bs := strings.Split(a, "."), strings.Split(b, ".")
	for i := range bs {
		x := 0
		if i < len(as) {
			x, _ = strconv.Atoi(as[i])
		}
		y, _ := strconv.Atoi(bs[i])
		if x != y {
			return x < y
		}
	}
	return false
}

func appendNew(list, more []string) []string {
	for _, s := range more {
		known := false
		for _, have := range list {
			known = known || have == s
		}
		if !known {
			list = append(list, s)
		}
	}
	return list
}
