package embedded_test

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"go.uber.org/goleak"

	"github.com/sluicemq/sluice/internal/embedded"
)

const (
	// parentDir is set for a copy of the test binary that plays the server which is killed.
	parentDir = "EMBEDDED_TEST_PARENT_DIR"
	// patience bounds every wait. It is only used up when a test fails.
	patience = 30 * time.Second
	tick     = 5 * time.Millisecond
)

func TestMain(m *testing.M) {
	if dir := os.Getenv(parentDir); dir != "" {
		playParent(dir)
	}
	goleak.VerifyTestMain(m)
}

// playParent starts a Redis, says where it is, and waits to be killed. It never returns.
func playParent(dir string) {
	s, err := embedded.Start(context.Background(), embedded.Options{DataDir: dir})
	if err != nil {
		fmt.Println("start:", err)
		os.Exit(1)
	}
	fmt.Println(s.PID(), s.URL())
	_, _ = io.Copy(io.Discard, os.Stdin) // ends with the test, should it forget to kill us
	_ = s.Close()
	os.Exit(0)
}

// start starts a server on dir and closes it when the test ends.
func start(t *testing.T, opt embedded.Options) *embedded.Server {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	s, err := embedded.Start(ctx, opt)
	if err != nil {
		t.Fatalf("Start(%+v): %v", opt, err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return s
}

// refuse returns the error of a Start that must fail.
func refuse(t *testing.T, opt embedded.Options) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	s, err := embedded.Start(ctx, opt)
	if err == nil {
		_ = s.Close()
		t.Fatalf("Start(%+v) = %s, want an error", opt, s.Engine())
	}
	return err
}

func connect(t *testing.T, url string) *redis.Client {
	t.Helper()
	opt, err := redis.ParseURL(url)
	if err != nil {
		t.Fatalf("ParseURL(%q): %v", url, err)
	}
	opt.MaxRetries = -1 // a retry could write twice
	opt.ContextTimeoutEnabled = true
	client := redis.NewClient(opt)
	t.Cleanup(func() { _ = client.Close() })
	return client
}

func eventually(t *testing.T, what string, cond func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(tick) {
		if cond() {
			return
		}
	}
	t.Fatalf("gave up after %s: %s", patience, what)
}

// noRedis is a PATH without any server.
func noRedis(name string) (string, error) {
	return "", &exec.Error{Name: name, Err: exec.ErrNotFound}
}

// onlyRedis is a PATH with redis-server at the given path.
func onlyRedis(path string) func(string) (string, error) {
	return func(name string) (string, error) {
		if name != "redis-server" {
			return noRedis(name)
		}
		return path, nil
	}
}

// redisPath fails the test when the machine has no redis-server: without it nothing here is tested.
func redisPath(t *testing.T) string {
	t.Helper()
	path, err := exec.LookPath("redis-server")
	if err != nil {
		t.Fatalf("install the Debian package redis-server: %v", err)
	}
	return path
}

// fakeServer writes a program that prints a version, and nothing else. Another process writes it: were the file open
// for writing here, a child that a parallel test forks would hold it open too, and starting it would be refused.
func fakeServer(t *testing.T, version string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "server")
	cmd := exec.Command("sh", "-c", `cat >"$0" && chmod 700 "$0"`, path)
	cmd.Stdin = strings.NewReader("#!/bin/sh\necho '" + version + "'\n")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("write a program: %v: %s", err, out)
	}
	return path
}

// wroteEngine makes a data directory with files that an engine has written.
func wroteEngine(t *testing.T, engine string) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "redis"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "redis", "engine"), []byte(engine+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return dir
}
