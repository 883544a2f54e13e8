package redistest_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/sluicemq/sluice/internal/redistest"
)

func TestAKilledServerKeepsWhatItAcknowledged(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name string
		opts redistest.Options
	}{
		{"unix", redistest.Options{}},
		{"tcp", redistest.Options{Port: true}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			start := time.Now()
			s := redistest.Start(t, tc.opts)
			took(t, &start, "start")
			c := s.Client(t)
			fill(t, c, "k", 100)
			took(t, &start, "100 writes, fsync always")
			url, pid := s.URL(), s.PID()
			s.Kill9()
			if s.Running() {
				t.Error("Running after Kill9")
			}
			if err := c.Ping(context.Background()).Err(); err == nil {
				t.Error("PING after Kill9 was answered")
			}
			start = time.Now()
			s.Restart()
			took(t, &start, "restart")
			if s.URL() != url || s.PID() == pid {
				t.Errorf("URL %s, PID %d; want URL %s again and another PID", s.URL(), s.PID(), url)
			}
			if got := count(t, s.Client(t), "k", 100); got != 100 {
				t.Errorf("%d of 100 keys after the restart", got)
			}
		})
	}
}

func TestStopAndRestartOfARunningServer(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t, redistest.Options{Fsync: "no"})
	set(t, s.Client(t), "k")
	start := time.Now()
	s.Stop()
	took(t, &start, "stop")
	s.Restart()
	s.Restart() // stops it first
	if got := exists(t, s.Client(t), "k"); got != 1 {
		t.Errorf("EXISTS = %d, want 1: a stop writes everything", got)
	}
}

func TestWithoutAOFARestartIsEmpty(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t, redistest.Options{NoAOF: true})
	set(t, s.Client(t), "k")
	s.Restart()
	if got := exists(t, s.Client(t), "k"); got != 0 {
		t.Errorf("EXISTS = %d, want 0", got)
	}
}

func TestPauseHoldsRepliesUntilCont(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t, redistest.Options{})
	c := s.Client(t)
	set(t, c, "before")
	start := time.Now()
	s.Pause()
	took(t, &start, "pause")

	done := make(chan error, 1)
	go func() { done <- c.Set(context.Background(), "during", "v", 0).Err() }()
	select {
	case err := <-done:
		t.Fatalf("SET while paused ended with %v", err)
	case <-time.After(50 * time.Millisecond):
	}
	s.Cont()
	if err := <-done; err != nil {
		t.Errorf("SET after Cont: %v", err)
	}

	s.Pause()
	s.Kill9() // works on a paused process
	s.Restart()
	if got := exists(t, s.Client(t), "during"); got != 1 {
		t.Errorf("EXISTS = %d, want 1", got)
	}
}

func TestCutAOFLosesTheTailOnly(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t, redistest.Options{})
	c := s.Client(t)
	fill(t, c, "k", 9)
	whole := size(t, s.LastIncr())
	set(t, c, "k9")
	last := size(t, s.LastIncr()) - whole
	for torn := last - 1; torn >= 0; torn -= 7 {
		s.Kill9()
		s.CutAOF(whole + torn)
		start := time.Now()
		s.Restart()
		took(t, &start, "restart from a torn AOF")
		c = s.Client(t)
		if got := count(t, c, "k", 10); got != 9 {
			t.Errorf("last command cut at byte %d of %d: %d of 10 keys, want 9", torn, last, got)
		}
		set(t, c, "k9") // the start has cut off the torn command
	}
}

func TestWipeDataLeavesAnEmptyServer(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t, redistest.Options{})
	set(t, s.Client(t), "k")
	s.Stop()
	s.WipeData()
	s.Restart()
	if got := exists(t, s.Client(t), "k"); got != 0 {
		t.Errorf("EXISTS = %d, want 0", got)
	}
}

func TestOptionsReachTheServer(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "data of a test") // blanks must survive the configuration file
	s := redistest.Start(t, redistest.Options{
		Fsync: "everysec", MaxMemory: "3mb", Dir: dir, Extra: []string{"--maxclients", "77"},
	})
	c := s.Client(t)
	for key, want := range map[string]string{
		"appendfsync": "everysec", "maxmemory": "3145728", "maxmemory-policy": "noeviction",
		"maxclients": "77", "dir": dir, "save": "",
	} {
		if got := c.ConfigGet(context.Background(), key).Val()[key]; got != want {
			t.Errorf("%s = %q, want %q", key, got, want)
		}
	}
	if s.Dir() != dir || !strings.HasPrefix(s.LastIncr(), dir) {
		t.Errorf("Dir = %s, LastIncr = %s; want both in %s", s.Dir(), s.LastIncr(), dir)
	}
	const enough = 100 // of 64 KiB: twice the limit
	var err error
	for i := 0; i < enough && err == nil; i++ {
		err = c.Append(context.Background(), fmt.Sprint(i), strings.Repeat("x", 64<<10)).Err()
	}
	if err == nil || !strings.HasPrefix(err.Error(), "OOM") {
		t.Errorf("write over the limit: %v, want OOM", err)
	}
}

func TestABadOptionFailsWithTheServersWords(t *testing.T) {
	t.Parallel()
	s := ends(t, func(tb testing.TB) { redistest.Start(tb, redistest.Options{Fsync: "sometimes"}) })
	if !strings.Contains(s.fatal, "appendfsync sometimes") {
		t.Errorf("fatal %q, want what the server printed", s.fatal)
	}
	s = ends(t, func(tb testing.TB) { redistest.Start(tb, redistest.Options{Preload: []string{"/no/such.so"}}) })
	if !strings.Contains(s.fatal, "/no/such.so") {
		t.Errorf("fatal %q, want the library that is missing", s.fatal)
	}
}

func TestDamageToARunningServerIsRefused(t *testing.T) {
	t.Parallel()
	for name, damage := range map[string]func(*redistest.Server){
		"CutAOF":   func(s *redistest.Server) { s.CutAOF(0) },
		"WipeData": (*redistest.Server).WipeData,
	} {
		s := ends(t, func(tb testing.TB) {
			server := redistest.Start(tb, redistest.Options{})
			damage(server)
		})
		if !strings.Contains(s.fatal, "running server") {
			t.Errorf("%s: fatal %q, want a refusal", name, s.fatal)
		}
	}
}

func TestClientNeverRepeatsACommand(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t, redistest.Options{Port: true})
	if s.Network() != "tcp" {
		t.Errorf("Network = %s, want tcp", s.Network())
	}
	if host, _, err := net.SplitHostPort(s.Addr()); err != nil || host != "127.0.0.1" {
		t.Errorf("Addr = %s, want 127.0.0.1 and a port", s.Addr())
	}
	c := s.Client(t)
	if got := c.Options().MaxRetries; got > 0 {
		t.Errorf("MaxRetries = %d, want none", got)
	}
	if err := c.Get(context.Background(), "none").Err(); !errors.Is(err, redis.Nil) {
		t.Errorf("GET of no key: %v", err)
	}
}

func size(t *testing.T, path string) int64 {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	return info.Size()
}
