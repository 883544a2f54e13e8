package redistest_test

import (
	"context"
	"testing"
	"time"

	"github.com/sluicemq/sluice/internal/redistest"
)

func TestSlowFsyncHoldsAWriteUntilItIsLetGo(t *testing.T) {
	t.Parallel()
	start := time.Now()
	disk := redistest.SlowFsync(t)
	took(t, &start, "compile")
	s := redistest.Start(t, redistest.Options{Preload: []string{disk.Lib()}})
	c := s.Client(t)

	const delay = 200 * time.Millisecond
	set(t, c, "fast")
	disk.Set(delay)
	start = time.Now()
	set(t, c, "slow")
	if d := time.Since(start); d < delay {
		t.Errorf("write took %v, want at least %v", d, delay)
	}
	took(t, &start, "write with fsync 200 ms, always")

	disk.Set(time.Hour)
	done := make(chan error, 1)
	go func() { done <- c.Set(context.Background(), "held", "v", 0).Err() }()
	eventually(t, 5*time.Second, "an fsync waits", func() bool { return disk.Waiting() == 1 })
	disk.Set(0)
	if err := <-done; err != nil {
		t.Errorf("write after the disk recovered: %v", err)
	}
	if got := disk.Waiting(); got != 0 {
		t.Errorf("Waiting = %d, want 0", got)
	}
}

// With everysec, a write made while an fsync hangs is acknowledged before it has even left the process.
func TestSlowFsyncMakesEverysecLoseAcknowledgedWrites(t *testing.T) {
	t.Parallel()
	disk := redistest.SlowFsync(t)
	s := redistest.Start(t, redistest.Options{Fsync: "everysec", Preload: []string{disk.Lib()}})
	c := s.Client(t)
	start := time.Now()
	disk.Set(time.Hour)
	set(t, c, "written")
	eventually(t, 5*time.Second, "the background fsync waits", func() bool { return disk.Waiting() == 1 })
	set(t, c, "postponed")
	s.Kill9()
	disk.Set(0)
	took(t, &start, "kill with a hanging fsync, everysec")
	s.Restart()
	c = s.Client(t)
	if written, postponed := exists(t, c, "written"), exists(t, c, "postponed"); written != 1 || postponed != 0 {
		t.Errorf("written %d, postponed %d; want 1 and 0", written, postponed)
	}
}

func TestClockStepShiftsTIME(t *testing.T) {
	t.Parallel()
	clock := redistest.ClockStep(t)
	s := redistest.Start(t, redistest.Options{Preload: []string{clock.Lib()}})
	c := s.Client(t)
	ctx := context.Background()
	if err := c.Set(ctx, "ttl", "v", time.Minute).Err(); err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	check := func(want time.Duration) {
		t.Helper()
		if clock.Offset() != want {
			t.Errorf("Offset = %v, want %v", clock.Offset(), want)
		}
		before := time.Now()
		got, err := c.Time(ctx).Result()
		after := time.Now()
		if err != nil {
			t.Fatal(err)
		}
		// Redis answers in microseconds.
		if got.Before(before.Add(want).Truncate(time.Microsecond)) || got.After(after.Add(want)) {
			t.Errorf("TIME is off by %v, want %v", got.Sub(before), want)
		}
	}
	check(0)
	clock.Set(time.Hour)
	check(time.Hour)
	if got := exists(t, c, "ttl"); got != 0 {
		t.Error("a key with a minute to live is there an hour later")
	}
	clock.Step(-3 * time.Hour)
	check(-2 * time.Hour)
	clock.Step(1500 * time.Microsecond)
	check(-2*time.Hour + 1500*time.Microsecond)
	s.Kill9()
	s.Restart() // the offset is the machine's, not the process's
	c = s.Client(t)
	check(-2*time.Hour + 1500*time.Microsecond)
	clock.Set(0)
	check(0)
	took(t, &start, "five clock steps and a restart")
}

func TestPowerLossTakesOnlyWhatWasNotFsynced(t *testing.T) {
	t.Parallel()
	const writes = 500
	for _, tc := range []struct {
		fsync string
		want  int
	}{
		{"always", writes},
		{"no", 0}, // nothing was fsynced since the start, so nothing is safe
	} {
		t.Run(tc.fsync, func(t *testing.T) {
			t.Parallel()
			power := redistest.PowerLoss(t)
			s := redistest.Start(t, redistest.Options{Fsync: tc.fsync, Preload: []string{power.Lib()}})
			fill(t, s.Client(t), "k", writes)
			start := time.Now()
			lost := power.Cut(s)
			took(t, &start, "power cut, "+tc.fsync)
			if (lost == 0) != (tc.fsync == "always") {
				t.Errorf("%d bytes lost", lost)
			}
			s.Restart()
			if got := count(t, s.Client(t), "k", writes); got != tc.want {
				t.Errorf("%d of %d keys after the power cut, want %d", got, writes, tc.want)
			}
		})
	}
}

func TestPowerLossAfterARewrite(t *testing.T) {
	t.Parallel()
	power := redistest.PowerLoss(t)
	s := redistest.Start(t, redistest.Options{Preload: []string{power.Lib()}})
	c := s.Client(t)
	ctx := context.Background()
	for round := range 3 { // old files go and new ones get their inodes
		before := s.LastIncr()
		fill(t, c, string(rune('a'+round)), 20)
		if err := c.BgRewriteAOF(ctx).Err(); err != nil {
			t.Fatal(err)
		}
		eventually(t, 10*time.Second, "the rewrite ends", func() bool {
			info := c.InfoMap(ctx, "persistence").Item("Persistence", "aof_rewrite_in_progress")
			return info == "0" && s.LastIncr() != before
		})
	}
	set(t, c, "after")
	if lost := power.Cut(s); lost != 0 {
		t.Errorf("%d bytes lost with fsync always", lost)
	}
	s.Restart()
	c = s.Client(t)
	got := count(t, c, "a", 20) + count(t, c, "b", 20) + count(t, c, "c", 20) + int(exists(t, c, "after"))
	if got != 61 {
		t.Errorf("%d of 61 keys after the power cut", got)
	}
}

// The three libraries stand in one line: a power cut with a hanging fsync takes what hung.
func TestLibrariesCombine(t *testing.T) {
	t.Parallel()
	disk, power, clock := redistest.SlowFsync(t), redistest.PowerLoss(t), redistest.ClockStep(t)
	s := redistest.Start(t, redistest.Options{
		Fsync: "everysec", Preload: []string{disk.Lib(), power.Lib(), clock.Lib()},
	})
	c := s.Client(t)
	clock.Set(24 * time.Hour)
	if got := c.Time(context.Background()).Val(); time.Until(got) < 23*time.Hour {
		t.Errorf("TIME = %v, want a day ahead", got)
	}
	disk.Set(time.Hour)
	set(t, c, "hung")
	eventually(t, 5*time.Second, "the background fsync waits", func() bool { return disk.Waiting() > 0 })
	if lost := power.Cut(s); lost == 0 {
		t.Error("nothing lost while the fsync hung")
	}
	disk.Set(0)
	s.Restart()
	if got := exists(t, s.Client(t), "hung"); got != 0 {
		t.Errorf("EXISTS = %d, want 0: it never reached the disk", got)
	}
}
