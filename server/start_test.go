package server_test

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/sluicemq/sluice/internal/faultnet"
	"github.com/sluicemq/sluice/internal/redistest"
	"github.com/sluicemq/sluice/server/servertest"
)

// onFreePorts is the environment of a program that is not meant to come to listening for long.
func onFreePorts(env ...string) []string {
	return append([]string{"SLUICE_LISTEN=127.0.0.1:0", "SLUICE_METRICS_LISTEN=127.0.0.1:0", "SLUICE_LOG_FORMAT=json"}, env...)
}

func TestAServerRefusesToStartOnARedisThatIsNotSafe(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name  string
		redis redistest.Options
		args  []string
		want  []string // words of the refusal; none: it starts
	}{
		{"eviction", redistest.Options{Extra: []string{"--maxmemory-policy", "allkeys-lru"}}, nil,
			[]string{"maxmemory-policy", "allkeys-lru", "noeviction", "--unsafe-redis"}},
		{"eviction, allowed", redistest.Options{Extra: []string{"--maxmemory-policy", "allkeys-lru"}}, []string{"--unsafe-redis"}, nil},
		{"no sync during rewrites", redistest.Options{Extra: []string{"--no-appendfsync-on-rewrite", "yes"}}, nil,
			[]string{"no-appendfsync-on-rewrite", "always", "--unsafe-redis"}},
		{"less than asked for", redistest.Options{Fsync: "everysec"}, []string{"--durability=fsync"},
			[]string{"durability fsync", "everysec"}},
		{"no more than asked for", redistest.Options{Fsync: "everysec"}, []string{"--durability=everysec"}, nil},
		{"no replicas", redistest.Options{}, []string{"--durability=replicated"}, []string{"replicas", "has 0"}},
		{"nothing on disk", redistest.Options{NoAOF: true}, []string{"--require-durable"}, []string{"require_durable", "appendonly"}},
		{"nothing on disk, not asked for", redistest.Options{NoAOF: true}, nil, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			redis := redistest.Start(t, c.redis)
			if c.want == nil {
				p := servertest.StartProcess(t, servertest.ProcessOptions{Args: c.args, Env: []string{"SLUICE_REDIS_URL=" + redis.URL()}})
				p.WaitReady()
				return
			}
			status, out := servertest.RunBinary(t, t.TempDir(), onFreePorts("SLUICE_REDIS_URL="+redis.URL()), append([]string{"serve"}, c.args...)...)
			if status != 2 {
				t.Errorf("exit status %d, want 2:\n%s", status, out)
			}
			for _, w := range c.want {
				if !strings.Contains(out, w) {
					t.Errorf("the refusal does not say %q:\n%s", w, out)
				}
			}
			if keys := redis.Client(t).DBSize(t.Context()).Val(); keys != 0 {
				t.Errorf("the refused server left %d keys in Redis", keys)
			}
		})
	}
}

// noRedis is an environment in which neither redis-server nor valkey-server can be found.
func noRedis(t *testing.T) string { return "PATH=" + t.TempDir() }

func TestWithoutARedisProgramMessagesAreKeptInMemoryAndEverybodyIsTold(t *testing.T) {
	t.Parallel()
	p := servertest.StartProcess(t, servertest.ProcessOptions{Env: []string{noRedis(t)}})
	p.WaitReady()
	const banner = "IN MEMORY: everything is lost at exit"
	if !regexp.MustCompile(`(?m)^` + banner).MatchString(p.Log()) {
		t.Errorf("people at the terminal are not told:\n%s", p.Log())
	}
	inLog := regexp.MustCompile(`(?m)^\{.*"level":"WARN".*` + banner)
	until(t, "the log has the warning", func() bool { return inLog.MatchString(p.Log()) })
	_, r := readiness(p.URL)
	if r.Durability != "memory" || r.Engine != "memory" || len(r.Warnings) != 1 || !strings.HasPrefix(r.Warnings[0], banner) {
		t.Errorf("/readyz says %+v", r)
	}
	if got := metric(t, p.MetricsURL, "sluice_durability_level"); got != 0 {
		t.Errorf("sluice_durability_level is %g, want 0", got)
	}
	queue := newQueue(t, p.URL, p.Key, "")
	must(t, http.StatusCreated, nil, http.MethodPost, p.URL+"/v1/queues/"+queue+"/messages", p.Key, "hello")
	if got := drain(t, p.URL, p.Key, queue); len(got) != 1 || got[0] != "hello" {
		t.Errorf("got %q", got)
	}
	// Empty again, and with the same keys: nothing is claimed to have been kept.
	p.Restart()
	key := p.Key
	p.WaitReady()
	if p.Key != key {
		t.Error("the key has changed")
	}
	if a := call(t, http.MethodGet, p.URL+"/v1/queues/"+queue, key, ""); a.status != http.StatusNotFound {
		t.Errorf("after a restart the queue is still known: %s", a)
	}
}

func TestRequireDurableRefusesToRunInMemory(t *testing.T) {
	t.Parallel()
	status, out := servertest.RunBinary(t, t.TempDir(), onFreePorts(noRedis(t)), "serve", "--require-durable")
	if status != 2 || !strings.Contains(out, "redis-server") || !strings.Contains(out, "SLUICE_REDIS_URL") {
		t.Errorf("exit status %d, want 2 and what to do:\n%s", status, out)
	}
}

func TestWrongSettingsEndTheProgramWithStatusTwo(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		env    []string
		args   []string
		status int
		want   string
	}{
		{"unknown flag", nil, []string{"serve", "--lisen=x"}, 2, "--listen"},
		{"unknown variable", []string{"SLUICE_LISEN=x"}, []string{"serve"}, 2, "SLUICE_LISTEN"},
		{"unknown command", nil, []string{"sevre"}, 2, "sevre"},
		{"help", nil, []string{"--help"}, 0, "--redis-url"},
		{"version", nil, []string{"version"}, 0, "sluice"},
		{"print", nil, []string{"serve", "--print-config"}, 0, "data_dir"},
		{"a damaged master key", []string{"SLUICE_MASTER_KEY=short"}, []string{"serve"}, 2, "master_key"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			status, out := servertest.RunBinary(t, dir, c.env, c.args...)
			if status != c.status || !strings.Contains(out, c.want) {
				t.Errorf("exit status %d, want %d and %q:\n%s", status, c.status, c.want, out)
			}
			if left, _ := os.ReadDir(dir); len(left) > 0 {
				t.Errorf("it left %s behind", left[0].Name())
			}
		})
	}
}

func TestATakenPortEndsTheProgramWithStatusOne(t *testing.T) {
	t.Parallel()
	p := servertest.StartProcess(t, servertest.ProcessOptions{})
	p.WaitReady()
	status, out := servertest.RunBinary(t, t.TempDir(), []string{"SLUICE_LISTEN=" + strings.TrimPrefix(p.URL, "http://"), "SLUICE_METRICS_LISTEN=off"}, "serve")
	if status != 1 || !strings.Contains(out, "listen") {
		t.Errorf("exit status %d, want 1:\n%s", status, out)
	}
	status, out = servertest.RunBinary(t, filepath.Dir(p.DataDir), onFreePorts(), "serve")
	if status != 1 || !strings.Contains(out, "in use") {
		t.Errorf("on a data directory in use: exit status %d, want 1:\n%s", status, out)
	}
}

func TestTheFirstStartMakesKeysAndShowsThemOnce(t *testing.T) {
	t.Parallel()
	p := servertest.StartProcess(t, servertest.ProcessOptions{})
	p.WaitReady()
	for _, name := range []string{"operator-key", "default-key", "master-key", "installation"} {
		info, err := os.Stat(filepath.Join(p.DataDir, name))
		if err != nil {
			t.Error(err)
		} else if info.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %o, want 600", name, info.Mode().Perm())
		}
	}
	if info, err := os.Stat(p.DataDir); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("the data directory: %v, %v, want mode 700", info.Mode(), err)
	}
	master, err := os.ReadFile(filepath.Join(p.DataDir, "master-key"))
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(p.Log(), strings.TrimSpace(string(master))) {
		t.Error("the master key is shown")
	}

	// What the greeting tells a newcomer to type works as printed.
	var lines []string
	for line := range strings.Lines(p.Log()) {
		if line = strings.TrimSpace(line); strings.HasPrefix(line, "export KEY=") || strings.HasPrefix(line, "curl ") {
			lines = append(lines, line)
		}
	}
	if len(lines) != 4 {
		t.Fatalf("the greeting has %d lines to type, want 4:\n%s", len(lines), p.Log())
	}
	out := shell(t, t.TempDir(), strings.Join(lines, "\n"))
	if !strings.Contains(out, `"body":"hello"`) {
		t.Errorf("the lines of the greeting do not bring a message: %s", out)
	}
	docs := regexp.MustCompile(`The API: (\S+)`).FindStringSubmatch(p.Log())
	if docs == nil {
		t.Fatal("the greeting does not say where the API is described")
	}
	must(t, http.StatusOK, nil, http.MethodGet, docs[1], "", "")
	must(t, http.StatusOK, nil, http.MethodGet, p.URL+"/openapi.json", "", "")

	first := len(p.Log())
	for _, key := range []string{p.Key, p.OperatorKey} {
		if n := strings.Count(p.Log(), key); n != 1 {
			t.Errorf("a key was shown %d times, want once", n)
		}
	}
	key, operator := p.Key, p.OperatorKey
	p.Restart()
	p.WaitReady()
	if p.Key != key || p.OperatorKey != operator {
		t.Error("the second start has made new keys")
	}
	if again := p.Log()[first:]; strings.Contains(again, "slk_") || strings.Contains(again, "slo_") {
		t.Errorf("the second start shows keys:\n%s", again)
	}
	must(t, http.StatusOK, nil, http.MethodGet, p.URL+"/v1/queues/orders", p.Key, "")
}

// shell runs a script as people type it, but fails where curl or the server does.
func shell(tb testing.TB, dir, script string) string {
	tb.Helper()
	const strict = "set -euo pipefail\ncurl() { command curl --fail-with-body --max-time 30 -sS \"$@\"; }\n"
	cmd := exec.CommandContext(tb.Context(), "bash", "-c", strict+script)
	cmd.Dir, cmd.Env = dir, servertest.CleanEnv()
	var out, trouble bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &trouble
	if err := cmd.Run(); err != nil {
		tb.Fatalf("%v\n%s%s\nof\n%s", err, out.String(), trouble.String(), script)
	}
	return out.String()
}

func TestAServerWaitsForItsRedisAndNeverTakesAnother(t *testing.T) {
	t.Parallel()
	redis := redistest.Start(t, redistest.Options{Port: true})
	redis.Kill9()
	p := servertest.StartProcess(t, servertest.ProcessOptions{Env: []string{"SLUICE_REDIS_URL=" + redis.URL()}})
	until(t, "it listens", func() bool { status, _ := readiness(p.URL); return status != 0 })
	for range 20 {
		if a := call(t, http.MethodGet, p.URL+"/healthz", "", ""); a.status != http.StatusOK {
			t.Fatalf("/healthz without Redis: %s", a)
		}
		if status, r := readiness(p.URL); status != http.StatusServiceUnavailable || !r.has("starting") || r.Reasons[0].Detail == "" {
			t.Fatalf("/readyz without Redis: %d %+v", status, r)
		}
		a := call(t, http.MethodPut, p.URL+"/v1/queues/orders", "slk_x", "")
		if a.status != http.StatusServiceUnavailable || a.code() != "not_ready" || a.header.Get("Retry-After") == "" ||
			a.header.Get("Content-Type") != "application/problem+json" {
			t.Fatalf("the API without Redis: %s %v", a, a.header)
		}
		time.Sleep(100 * time.Millisecond)
	}
	if got := metric(t, p.MetricsURL, "sluice_ready"); got != 0 {
		t.Errorf("sluice_ready is %g, want 0", got)
	}
	if _, err := os.Stat(filepath.Join(p.DataDir, "redis")); err == nil {
		t.Error("it has started a Redis of its own")
	}
	redis.Restart()
	took := within(t, 5*time.Second, "it is ready once Redis is there", func() bool { return isReady(p.URL) })
	t.Logf("ready %s after Redis", took.Round(time.Millisecond))
	p.WaitReady()
	must(t, http.StatusCreated, nil, http.MethodPut, p.URL+"/v1/queues/orders", p.Key, "")
	if n := strings.Count(p.Log(), "waiting for redis"); n < 1 || n > 5 {
		t.Errorf("the log says %d times that it waits for Redis, want a few", n)
	}
}

// A Redis that goes away in the middle of a start is waited for, like one that is not there at all.
func TestAStartSurvivesARedisThatComesAndGoes(t *testing.T) {
	t.Parallel()
	redis := redistest.Start(t, redistest.Options{Port: true})
	proxy := faultnet.New(t, "tcp", redis.Addr())
	for _, after := range []int64{20, 40, 100, 4000, 5000, 6000} {
		proxy.CutEveryReplyAfter(after)
		s := servertest.Start(t, servertest.WithRedis("redis://"+proxy.Addr()), quiet)
		time.Sleep(300 * time.Millisecond)
		if status, _ := readiness(s.URL()); status == 0 {
			t.Fatalf("the server ended when answers were cut after %d bytes:\n%v\n%s", after, s.Stop(), s.Log)
		}
		proxy.Heal()
		select {
		case <-s.Booted():
		case <-time.After(patience):
			t.Fatalf("not ready after answers were cut after %d bytes:\n%s", after, s.Log)
		}
		if err := s.Stop(); err != nil {
			t.Errorf("after %d bytes: %v\n%s", after, err, s.Log)
		}
	}
}

func TestWhileRedisIsFrozenRequestsAreToldSoInTime(t *testing.T) {
	t.Parallel()
	redis := redistest.Start(t, redistest.Options{})
	s := servertest.New(t, servertest.WithRedis(redis.URL()), quiet)
	queue := newQueue(t, s.URL(), s.Key, "")
	path := s.URL() + "/v1/queues/" + queue
	redis.Pause()
	type timed struct {
		answer
		took time.Duration
	}
	answers := make(chan timed)
	for i := range 60 {
		go func() {
			begin := time.Now()
			var a answer
			switch i % 3 {
			case 0:
				a = try(http.MethodPost, path+"/messages", s.Key, fmt.Sprintf("frozen-%d", i))
			case 1:
				a = try(http.MethodPost, path+"/receive?wait=20", s.Key, "")
			default:
				a = try(http.MethodGet, path, s.Key, "")
			}
			answers <- timed{a, time.Since(begin)}
		}()
	}
	codes, longest := map[string]int{}, time.Duration(0)
	for range 60 {
		a := <-answers
		longest = max(longest, a.took)
		codes[a.code()]++
		if a.status != http.StatusServiceUnavailable || a.code() != "outcome_unknown" && a.code() != "not_ready" {
			t.Errorf("while Redis is frozen: %s after %s", a.answer, a.took)
		}
	}
	// Redis gets 5 s for a call. A request may have to wait for one that is on its way already, and then has its own.
	if longest > 15*time.Second {
		t.Errorf("an answer took %s", longest)
	}
	within(t, 10*time.Second, "/readyz is red", func() bool {
		status, r := readiness(s.URL())
		return status == http.StatusServiceUnavailable && r.has("redis_unavailable")
	})
	must(t, http.StatusOK, nil, http.MethodGet, s.URL()+"/healthz", "", "")
	redis.Cont()
	took := within(t, 10*time.Second, "the server is ready again", func() bool { return isReady(s.URL()) })
	must(t, http.StatusCreated, nil, http.MethodPost, path+"/messages", s.Key, "thawed")
	got := drain(t, s.URL(), s.Key, queue)
	seen := map[string]bool{}
	for _, b := range got {
		if seen[b] {
			t.Errorf("%s is there twice", b)
		}
		seen[b] = true
	}
	if !seen["thawed"] {
		t.Error("what was confirmed afterwards is lost")
	}
	t.Logf("60 requests to a frozen Redis: %v, the longest after %s; ready %s after the thaw; %d of 20 unknown sends were stored",
		codes, longest.Round(time.Millisecond), took.Round(time.Millisecond), len(got)-1)
}

func TestServersOfOneInstallationAgreeOnKeyAndRegion(t *testing.T) {
	t.Parallel()
	redis := redistest.Start(t, redistest.Options{})
	servertest.New(t, servertest.WithRedis(redis.URL()))
	for _, c := range []struct{ name, env, want string }{
		{"another master key", "SLUICE_MASTER_KEY=" + base64.StdEncoding.EncodeToString([]byte("another-master-key-of-32-bytes!!")), "SLUICE_MASTER_KEY"},
		{"a master key of its own", "", "SLUICE_MASTER_KEY"},
		{"another region", "SLUICE_REGION=eu-west-1", "us-east-1"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			env := onFreePorts("SLUICE_REDIS_URL=" + redis.URL())
			if c.name == "another region" {
				env = append(env, servertest.SharedKey())
			}
			if c.env != "" {
				env = append(env, c.env)
			}
			status, out := servertest.RunBinary(t, t.TempDir(), env, "serve")
			if status != 2 || !strings.Contains(out, c.want) {
				t.Errorf("exit status %d, want 2 and %q:\n%s", status, c.want, out)
			}
		})
	}
}
