//go:build linux

package embedded_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sluicemq/sluice/internal/embedded"
)

func TestStartsRedisThatSyncsEveryWrite(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := start(t, embedded.Options{DataDir: dir, MaxMemory: 123 << 20, LookPath: onlyRedis(redisPath(t))})

	if got, want := s.Engine(), "redis-server"; got != want {
		t.Errorf("Engine() = %q, want %q", got, want)
	}
	if !s.Durable() || s.PID() == 0 || s.Restarts() != 0 {
		t.Errorf("Durable() = %t, PID() = %d, Restarts() = %d, want true, a process, 0", s.Durable(), s.PID(), s.Restarts())
	}
	if err := s.Ready(); err != nil {
		t.Errorf("Ready() = %v, want nil", err)
	}
	want := map[string]string{
		"port": "0", "unixsocketperm": "700", "dir": filepath.Join(dir, "redis"),
		"appendonly": "yes", "appendfsync": "always", "no-appendfsync-on-rewrite": "no", "save": "",
		"auto-aof-rewrite-min-size": "536870912", "auto-aof-rewrite-percentage": "100",
		"maxmemory": "128974848", "maxmemory-policy": "noeviction", "lazyfree-lazy-user-del": "yes",
	}
	client := connect(t, s.URL())
	got := map[string]string{}
	for name := range want {
		answer, err := client.ConfigGet(t.Context(), name).Result()
		if err != nil {
			t.Fatalf("CONFIG GET %s: %v", name, err)
		}
		got[name] = answer[name]
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("settings of the child (-want +got):\n%s", diff)
	}
}

func TestRecordsTheEngineAndItsVersion(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	start(t, embedded.Options{DataDir: dir, LookPath: onlyRedis(redisPath(t))})
	text, err := os.ReadFile(filepath.Join(dir, "redis", "engine"))
	if err != nil {
		t.Fatal(err)
	}
	if got := string(text); !strings.HasPrefix(got, "redis ") || strings.Count(got, ".") < 2 {
		t.Errorf("engine file = %q, want something like \"redis 7.0.15\"", got)
	}
}

func TestDataSurvivesCloseAndStart(t *testing.T) {
	t.Parallel()
	opt := embedded.Options{DataDir: t.TempDir()}
	first := start(t, opt)
	if err := connect(t, first.URL()).Set(t.Context(), "k", "v", 0).Err(); err != nil {
		t.Fatal(err)
	}
	pid := first.PID()
	if err := first.Close(); err != nil {
		t.Fatalf("Close: %v", err)
	}
	if alive(pid) {
		t.Errorf("process %d lives after Close", pid)
	}
	if err := first.Ready(); !errors.Is(err, embedded.ErrClosed) {
		t.Errorf("Ready() after Close = %v, want ErrClosed", err)
	}
	if err := first.Close(); err != nil {
		t.Errorf("second Close: %v", err)
	}

	second := start(t, opt)
	if got, err := connect(t, second.URL()).Get(t.Context(), "k").Result(); got != "v" {
		t.Errorf("after a restart GET k = %q, %v, want %q", got, err, "v")
	}
}

func TestCloseRemovesWhatOnlyARunningServerNeeds(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := start(t, embedded.Options{DataDir: dir}).Close(); err != nil {
		t.Fatal(err)
	}
	entries, err := os.ReadDir(filepath.Join(dir, "redis"))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, e := range entries {
		got = append(got, e.Name())
	}
	if diff := cmp.Diff([]string{"appendonlydir", "engine", "lock", "redis.log"}, got); diff != "" {
		t.Errorf("files after Close (-want +got):\n%s", diff)
	}
}

func TestCloseKillsAChildThatDoesNotObey(t *testing.T) {
	t.Parallel()
	opt := embedded.Options{DataDir: t.TempDir()}
	s, err := embedded.Start(t.Context(), opt)
	if err != nil {
		t.Fatal(err)
	}
	s.SetTermWait(200 * time.Millisecond)
	client := connect(t, s.URL())
	if err := client.Set(t.Context(), "k", "v", 0).Err(); err != nil {
		t.Fatal(err)
	}
	// A script without end: Redis sees to no signal until it is over.
	stuck := make(chan error, 1)
	go func() { stuck <- client.Eval(context.WithoutCancel(t.Context()), "while true do end", nil).Err() }()
	eventually(t, "Ready stays nil while a script runs", func() bool { return s.Ready() != nil })

	if err := s.Close(); err == nil || !strings.Contains(err.Error(), "was killed") {
		t.Errorf("Close() = %v, want an error that says it was killed", err)
	}
	if err := <-stuck; err == nil {
		t.Error("the script ended well")
	}
	if got, err := connect(t, start(t, opt).URL()).Get(t.Context(), "k").Result(); got != "v" {
		t.Errorf("GET k = %q, %v, want %q", got, err, "v")
	}
}

func TestLongAndOddDataDirectoriesWork(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		sub    string
		inside bool // the socket is in the data directory
	}{
		"longer than a socket path": {strings.Repeat("long/", 40), false},
		"spaces, quotes, percent":   {`a b"c'd%41?#é\`, true},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			root, err := os.MkdirTemp("", "") //nolint:usetesting // the path of t.TempDir is too long already
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = os.RemoveAll(root) })
			dir := filepath.Join(root, tt.sub)
			s := start(t, embedded.Options{DataDir: dir})
			client := connect(t, s.URL())
			if err := client.Set(t.Context(), "k", "v", 0).Err(); err != nil {
				t.Fatalf("SET through %s: %v", s.URL(), err)
			}
			socket := client.Options().Addr
			if info, err := os.Stat(filepath.Dir(socket)); err != nil || info.Mode().Perm() != 0o700 {
				t.Errorf("directory of the socket: %v, %v, want mode 0700", info.Mode(), err)
			}
			if err := s.Close(); err != nil {
				t.Errorf("Close: %v", err)
			}
			if _, err := os.Stat(socket); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("socket after Close: %v, want none", err)
			}
			parent := filepath.Dir(socket)
			if inside := strings.HasPrefix(parent, dir); inside != tt.inside {
				t.Errorf("socket = %s, in the data directory: %t, want %t", socket, inside, tt.inside)
			}
			if _, err := os.Stat(parent); !tt.inside && !errors.Is(err, os.ErrNotExist) {
				t.Errorf("temporary directory after Close: %v, want none", err)
			}
		})
	}
}

func TestStartTellsWhyTheChildDied(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	aof := filepath.Join(dir, "redis", "appendonlydir")
	if err := os.MkdirAll(aof, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(aof, "appendonly.aof.manifest"), []byte("nonsense\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	err := refuse(t, embedded.Options{DataDir: dir, LookPath: onlyRedis(redisPath(t))})
	for _, want := range []string{"exit status 1", "manifest"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("Start: %v, want it to contain %q", err, want)
		}
	}
}

func TestStartEndsWithItsContext(t *testing.T) {
	t.Parallel()
	// A server that never answers.
	script := fakeServer(t, "Redis server v=7.0.15'; [ \"$1\" = --version ] || exec sleep 600; : '")
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	_, err := embedded.Start(ctx, embedded.Options{DataDir: t.TempDir(), LookPath: onlyRedis(script)})
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Start = %v, want context.DeadlineExceeded", err)
	}
}

func TestChildSeesNoSettingsOfOurs(t *testing.T) {
	t.Setenv("SLUICE_MASTER_KEY", "not-for-redis")
	s := start(t, embedded.Options{DataDir: t.TempDir()})
	env, err := os.ReadFile(procFile(s.PID(), "environ"))
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(env, []byte("not-for-redis")) || !bytes.Contains(env, []byte("PATH=")) {
		t.Errorf("environment of the child = %q, want ours without SLUICE_*", env)
	}
}
