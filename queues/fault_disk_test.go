package queues_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"sort"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/sluicemq/sluice/internal/engine"
	"github.com/sluicemq/sluice/internal/redistest"
	"github.com/sluicemq/sluice/queues"
)

// levels runs f with each way of writing the AOF.
func levels(t *testing.T, f func(t *testing.T, fsync string)) {
	t.Parallel()
	for _, fsync := range []string{"always", "everysec"} {
		t.Run(fsync, func(t *testing.T) {
			t.Parallel()
			f(t, fsync)
		})
	}
}

// settled puts all that was written so far on the disk, whatever the level.
func settled(t *testing.T, s *redistest.Server, fsync string) {
	t.Helper()
	c := s.Client(t)
	for _, v := range []string{"always", fsync} {
		if err := c.ConfigSet(t.Context(), "appendfsync", v).Err(); err != nil {
			t.Fatal(err)
		}
		if err := c.Set(t.Context(), "settled", v, 0).Err(); err != nil {
			t.Fatal(err)
		}
	}
}

// window returns how long before the crash the first of the lost messages was acknowledged.
func (tr *traffic) window(v verdict, crash time.Time) time.Duration {
	var w time.Duration
	for _, id := range v.lost {
		w = max(w, crash.Sub(tr.sent[id]))
	}
	return w
}

// TestG1c_StalledDisk lets the disk stall and then kills Redis. With fsync before each answer nothing is lost; without,
// what is lost was acknowledged in the last two seconds, as the documentation says.
func TestG1c_StalledDisk(t *testing.T) {
	levels(t, func(t *testing.T, fsync string) {
		disk := redistest.SlowFsync(t)
		s := redistest.Start(t, redistest.Options{Fsync: fsync, Preload: []string{disk.Lib()}})
		b := bare(t, engine.Options{URL: s.URL()}, nil)
		tr := newTraffic(t, b, 2)
		settled(t, s, fsync)
		consumers := 2
		if fsync != "always" {
			consumers = 0 // so that only sends can be lost
		}
		tr.run(4, consumers)
		tr.flows(t, 100)
		disk.Set(10 * time.Second)
		patiently(t, "an fsync waits", func() bool { return disk.Waiting() > 0 })
		for stalled := time.Now(); time.Since(stalled) < 1500*time.Millisecond; {
			time.Sleep(50 * time.Millisecond)
		}
		crash := time.Now()
		s.Kill9()
		disk.Set(0)
		s.Restart()
		tr.flows(t, 100)
		tr.end()
		v := tr.check(t)
		w := tr.window(v, crash)
		t.Logf("%s, disk stalled for 1.5 s, kill -9: %v; the first lost one was acknowledged %v before the crash; %s", fsync, v, w.Round(time.Millisecond), tr.errors())
		if fsync == "always" {
			v.flawless(t)
		} else if v.unexpected > 0 || w > 2100*time.Millisecond {
			t.Errorf("unexpected %d, window %v", v.unexpected, w)
		}
	})
}

// TestG1d_PowerLoss kills Redis and takes from its files what had not been synced.
func TestG1d_PowerLoss(t *testing.T) {
	levels(t, func(t *testing.T, fsync string) {
		power := redistest.PowerLoss(t)
		s := redistest.Start(t, redistest.Options{Fsync: fsync, Preload: []string{power.Lib()}})
		b := bare(t, engine.Options{URL: s.URL()}, nil)
		tr := newTraffic(t, b, 2)
		settled(t, s, fsync)
		consumers := 2
		if fsync != "always" {
			consumers = 0
		}
		const cuts = 4
		var taken int64
		var crashes []time.Time
		tr.run(4, consumers)
		for range cuts {
			tr.flows(t, 200)
			taken += power.Cut(s)
			crashes = append(crashes, time.Now())
			s.Restart()
		}
		tr.flows(t, 100)
		tr.end()
		v := tr.check(t)
		var w time.Duration
		for _, id := range v.lost {
			for _, crash := range crashes { // the first one after it
				if d := crash.Sub(tr.sent[id]); d >= 0 {
					w = max(w, d)
					break
				}
			}
		}
		t.Logf("%s, %d power cuts took %d bytes: %v; the first lost one was acknowledged %v before its cut; %s", fsync, cuts, taken, v, w.Round(time.Millisecond), tr.errors())
		if fsync == "always" {
			v.flawless(t)
		} else if v.unexpected > 0 {
			t.Errorf("unexpected %d", v.unexpected)
		}
	})
}

// TestG1g_DiskFull takes the room on disk away while messages flow. With everysec Redis then refuses writes and goes on by
// itself; with always it ends, in the middle of a write, and starts again where there is room.
func TestG1g_DiskFull(t *testing.T) {
	levels(t, func(t *testing.T, fsync string) {
		disk := redistest.DiskFull(t)
		s := redistest.Start(t, redistest.Options{Fsync: fsync, Preload: []string{disk.Lib()}})
		b := bare(t, engine.Options{URL: s.URL()}, nil)
		tr := newTraffic(t, b, 2)
		settled(t, s, fsync)
		tr.run(4, 2)
		const times = 4
		for n := range times {
			tr.flows(t, 200)
			refused := disk.Refused()
			disk.Fill(int64(10_000 + 137*n))
			patiently(t, "a write has no room", func() bool { return disk.Refused() > refused })
			if fsync == "always" {
				patiently(t, "redis ends", func() bool { return !s.Running() })
				disk.Free()
				s.Restart()
			} else {
				disk.Free()
			}
		}
		tr.flows(t, 100)
		tr.end()
		v := tr.check(t)
		t.Logf("%s, %d times no room on disk: %v; %s", fsync, times, v, tr.errors())
		v.flawless(t)
	})
}

// TestG1e_AOFCut ends the AOF at many bytes. Redis starts from each, and what it holds is the work of the first so many
// scripts, all of it: everything whose acknowledgement came before the cut is there, and no script is there by half.
func TestG1e_AOFCut(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t, redistest.Options{})
	b := bare(t, engine.Options{URL: s.URL()}, nil)
	q := b.queue(t, nil)
	type step struct {
		size   int64
		digest [32]byte
	}
	name := s.LastIncr()
	look := func() step {
		info, err := os.Stat(name)
		if err != nil {
			t.Fatal(err)
		}
		return step{info.Size(), digest(t, s.Client(t))}
	}
	steps := []step{look()}
	r := rand.New(rand.NewPCG(5, 6))
	var held []queues.Message
	for i := range 80 {
		var err error
		switch op := r.IntN(10); {
		case op < 3 || i < 5:
			var batch []queues.Outgoing
			for j := range 1 + r.IntN(5) {
				m := queues.Outgoing{Body: []byte(strings.Repeat("x", r.IntN(500)))}
				if j == 0 {
					m.IdempotencyKey = fmt.Sprint("key ", r.IntN(30))
					m.Body = []byte(m.IdempotencyKey)
				}
				if j == 1 {
					d := time.Hour
					m.Delay = &d
				}
				batch = append(batch, m)
			}
			_, err = b.SendBatch(t.Context(), b.tenant, q, batch, false)
		case op < 6:
			var got []queues.Message
			got, err = b.Receive(t.Context(), b.tenant, q, queues.ReceiveOptions{Max: 1 + r.IntN(4)})
			held = append(held, got...)
		case op < 9 && len(held) > 0:
			n := min(len(held), 1+r.IntN(4))
			var list []queues.Settlement
			for j, m := range held[:n] {
				list = append(list, []queues.Settlement{
					{Verb: queues.Ack, ReceiptHandle: m.ReceiptHandle},
					{Verb: queues.Return, ReceiptHandle: m.ReceiptHandle},
					{Verb: queues.Extend, ReceiptHandle: m.ReceiptHandle, For: time.Minute},
				}[j%3])
			}
			held = held[n:]
			_, err = b.Settle(t.Context(), b.tenant, q, list)
		case op == 9 && len(held) > 0:
			err = b.DeleteMessage(t.Context(), b.tenant, q, held[0].ID)
			held = held[1:]
		}
		if err != nil {
			t.Fatalf("step %d: %v", i, err)
		}
		steps = append(steps, look())
	}
	if _, err := b.Purge(t.Context(), b.tenant, q); err != nil {
		t.Fatal(err)
	}
	steps = append(steps, look())
	whole, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}

	first, last := steps[0].size, steps[len(steps)-1].size
	var offsets []int64
	for _, st := range steps { // the bytes around the end of each script
		offsets = append(offsets, max(first, st.size-1), st.size, min(last, st.size+1))
	}
	for len(offsets) < 300 {
		offsets = append(offsets, first+r.Int64N(last-first+1))
	}
	slices.Sort(offsets)
	offsets = slices.Compact(offsets)
	torn := 0
	began := time.Now()
	for _, size := range offsets {
		s.Kill9()
		if err := os.WriteFile(name, whole, 0o600); err != nil {
			t.Fatal(err)
		}
		s.CutAOF(size)
		s.Restart()
		at := sort.Search(len(steps), func(i int) bool { return steps[i].size > size }) - 1
		if got := digest(t, s.Client(t)); got != steps[at].digest {
			torn++
			t.Errorf("the AOF cut at byte %d of %d does not hold the work of the first %d scripts", size, last, at)
		}
		b.healthy(t, q)
	}
	t.Logf("%d offsets in %d bytes of %d scripts, torn %d, %v a restart", len(offsets), last-first, len(steps)-1, torn,
		(time.Since(began) / time.Duration(len(offsets))).Round(time.Millisecond))
	if len(offsets) < 200 {
		t.Errorf("only %d offsets", len(offsets))
	}
}

// digest sums up all that a server holds.
func digest(t *testing.T, c *redis.Client) [32]byte {
	t.Helper()
	ctx := context.Background()
	keys, err := c.Keys(ctx, "*").Result()
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(keys)
	var all bytes.Buffer
	for _, k := range keys {
		var content any
		switch kind := c.Type(ctx, k).Val(); kind {
		case "hash":
			content, err = c.HGetAll(ctx, k).Result() // fmt prints maps in the order of their keys
		case "list":
			content, err = c.LRange(ctx, k, 0, -1).Result()
		case "zset":
			content, err = c.ZRangeWithScores(ctx, k, 0, -1).Result()
		default:
			t.Fatalf("key %s is a %s", k, kind)
		}
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&all, "%q %q\n", k, fmt.Sprint(content))
	}
	_ = c.Close()
	return sha256.Sum256(all.Bytes())
}
