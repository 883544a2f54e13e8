//go:build linux

package embedded_test

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/sluicemq/sluice/internal/embedded"
)

func TestChildIsRestartedAfterKillAndLosesNothingAcknowledged(t *testing.T) {
	t.Parallel()
	// A link, so that the test decides when the child can come back, and so sees Ready while it cannot.
	link := filepath.Join(t.TempDir(), "redis-server")
	if err := os.Symlink(redisPath(t), link); err != nil {
		t.Fatal(err)
	}
	log, lines := newLog()
	s := start(t, embedded.Options{DataDir: t.TempDir(), LookPath: onlyRedis(link), Logger: log})
	client := connect(t, s.URL())
	pid := s.PID()

	acked, stop := writeUntilStopped(t, client)
	eventually(t, "writes are acknowledged", func() bool { return acked.total() > 100 })
	if err := os.Remove(link); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	var reason string
	eventually(t, "Ready says that the program is missing", func() bool {
		if err := s.Ready(); err != nil {
			reason = err.Error()
		}
		return strings.Contains(reason, "no such file") && strings.Contains(reason, "started again within")
	})
	stop()
	if got := s.PID(); got != 0 {
		t.Errorf("PID() while down = %d, want 0", got)
	}
	if !lines.has("redis died", "signal: killed", "restart_in=100ms") {
		t.Error("the death is not logged with its exit status")
	}

	if err := os.Symlink(redisPath(t), link); err != nil {
		t.Fatal(err)
	}
	eventually(t, "Ready is nil again", func() bool { return s.Ready() == nil })
	if s.Restarts() == 0 || s.PID() == 0 || s.PID() == pid {
		t.Errorf("Restarts() = %d, PID() = %d after %d, want a new process", s.Restarts(), s.PID(), pid)
	}
	acked.check(t, client)
}

func TestChildComesBackByItself(t *testing.T) {
	t.Parallel()
	s := start(t, embedded.Options{DataDir: t.TempDir()})
	client := connect(t, s.URL())
	for round := 1; round <= 3; round++ {
		if err := client.Incr(t.Context(), "n").Err(); err != nil {
			t.Fatal(err)
		}
		if err := syscall.Kill(s.PID(), syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		eventually(t, "the child is restarted and answers", func() bool { return s.Restarts() == round && s.Ready() == nil })
		// The pool may still hold connections to the dead process; fresh ones must work.
		if got, err := connect(t, s.URL()).Get(t.Context(), "n").Int(); got != round {
			t.Errorf("round %d: GET n = %d, %v, want %d", round, got, err, round)
		}
		client = connect(t, s.URL())
	}
}

func TestReadyIsRedWhileTheChildHangs(t *testing.T) {
	t.Parallel()
	s := start(t, embedded.Options{DataDir: t.TempDir()})
	if err := syscall.Kill(s.PID(), syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	err := s.Ready()
	if err := syscall.Kill(s.PID(), syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	if err == nil || !strings.Contains(err.Error(), "timeout") {
		t.Errorf("Ready() of a stopped process = %v, want a timeout", err)
	}
	eventually(t, "Ready is nil again", func() bool { return s.Ready() == nil })
}

func TestHalfRewritesAreRemoved(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	half := filepath.Join(dir, "redis", "temp-rewriteaof-bg-1.aof")
	if err := os.MkdirAll(filepath.Dir(half), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(half, []byte("half"), 0o600); err != nil {
		t.Fatal(err)
	}
	start(t, embedded.Options{DataDir: dir})
	if _, err := os.Stat(half); err == nil {
		t.Errorf("%s is still there", half)
	}
}

func TestChildDiesWithItsParent(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	parent := exec.Command(os.Args[0])
	parent.Env = append(os.Environ(), parentDir+"="+dir)
	stdin, err := parent.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	defer stdin.Close()
	stdout, err := parent.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := parent.Start(); err != nil {
		t.Fatal(err)
	}
	line, _ := bufio.NewReader(stdout).ReadString('\n')
	var pid int
	var url string
	if _, err := fmt.Sscan(line, &pid, &url); err != nil {
		_ = parent.Process.Kill()
		_ = parent.Wait()
		t.Fatalf("the parent says %q: %v", line, err)
	}
	defer func() {
		if t.Failed() && alive(pid) {
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
	}()
	setErr := connect(t, url).Set(t.Context(), "k", "v", 0).Err()
	if group, err := syscall.Getpgid(pid); group != pid {
		t.Errorf("process group of the child = %d, %v, want its own, %d", group, err, pid)
	}
	if err := parent.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = parent.Wait() // "signal: killed"
	if setErr != nil {
		t.Fatal(setErr)
	}
	eventually(t, "the child dies with its parent", func() bool { return !alive(pid) })

	if got, err := connect(t, start(t, embedded.Options{DataDir: dir}).URL()).Get(t.Context(), "k").Result(); got != "v" {
		t.Errorf("GET k from the next server = %q, %v, want %q", got, err, "v")
	}
}

// An orphan can be left behind only where the kernel has no death signal, so the test makes one by hand.
func TestOrphanOfAnEarlierRunIsEnded(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	orphan, _ := startOrphan(t, filepath.Join(dir, "redis"), "--dir")
	s := start(t, embedded.Options{DataDir: dir})
	if err := s.Ready(); err != nil {
		t.Errorf("Ready() = %v, want nil", err)
	}
	if alive(orphan) {
		t.Error("the orphan lives beside the new child")
	}
}

func TestProcessThatIsNotOursIsLeftAlone(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	// It holds the lock, but its arguments do not say that it works in this directory.
	_, stranger := startOrphan(t, filepath.Join(dir, "redis"), "--note")
	ctx, cancel := context.WithTimeout(t.Context(), patience/100)
	defer cancel()
	if s, err := embedded.Start(ctx, embedded.Options{DataDir: dir}); err == nil {
		_ = s.Close()
		t.Error("Start took a directory whose lock is held")
	}
	select {
	case <-stranger:
		t.Error("a process that is not ours was ended")
	default:
	}
}

// startOrphan starts a process that holds the lock of a Redis directory and has its arguments, but for the name of
// the one before the directory. The channel is closed when it has ended.
func startOrphan(t *testing.T, dir, flag string) (pid int, ended <-chan struct{}) {
	t.Helper()
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	lock, err := os.Create(filepath.Join(dir, "lock"))
	if err != nil {
		t.Fatal(err)
	}
	defer lock.Close()
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("sh", "-c", "read forever", "redis-server", flag, dir, "--port", "0")
	cmd.ExtraFiles = []*os.File{lock}
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	wait := make(chan struct{})
	go func() {
		_ = cmd.Wait()
		close(wait)
	}()
	t.Cleanup(func() {
		_ = stdin.Close()
		<-wait
	})
	pid = cmd.Process.Pid
	if err := os.WriteFile(filepath.Join(dir, "redis.pid"), []byte(strconv.Itoa(pid)), 0o600); err != nil {
		t.Fatal(err)
	}
	return pid, wait
}

// ledger counts, for each list, the pushes that were acknowledged.
type ledger struct {
	mu   sync.Mutex
	acks map[string]int64
}

func (l *ledger) total() (n int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, acked := range l.acks {
		n += acked
	}
	return n
}

// check compares what was acknowledged with what is there. One push per writer may be there without an answer.
func (l *ledger) check(t *testing.T, client *redis.Client) {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	for key, acked := range l.acks {
		got, err := client.LLen(t.Context(), key).Result()
		if err != nil || got < acked || got > acked+1 {
			t.Errorf("LLEN %s = %d, %v, want the %d acknowledged and at most one more", key, got, err, acked)
		}
	}
}

// writeUntilStopped pushes from several goroutines, each until its first error or until stop.
func writeUntilStopped(t *testing.T, client *redis.Client) (*ledger, func()) {
	l := &ledger{acks: map[string]int64{}}
	ctx, cancel := context.WithCancel(t.Context())
	var writers sync.WaitGroup
	for i := range 4 {
		key := fmt.Sprintf("list:%d", i)
		writers.Go(func() {
			for client.RPush(ctx, key, "x").Err() == nil {
				l.mu.Lock()
				l.acks[key]++
				l.mu.Unlock()
			}
		})
	}
	stop := func() {
		cancel()
		writers.Wait()
	}
	t.Cleanup(stop)
	return l, stop
}

func procFile(pid int, name string) string {
	return filepath.Join("/proc", strconv.Itoa(pid), name)
}

// alive reports whether a process runs. A dead one that nobody has waited for yet does not.
func alive(pid int) bool {
	stat, err := os.ReadFile(procFile(pid, "stat"))
	if err != nil {
		return false
	}
	_, rest, _ := strings.Cut(string(stat), ") ")
	return !strings.HasPrefix(rest, "Z")
}
