package server_test

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sluicemq/sluice/internal/addr"
	"github.com/sluicemq/sluice/internal/redistest"
	"github.com/sluicemq/sluice/server"
	"github.com/sluicemq/sluice/server/servertest"
)

// rotate runs "sluice rotate-master-key" with a key, "" for the one in the data directory, and returns its status and all
// that it prints.
func rotate(t *testing.T, key string, args ...string) (int, string) {
	t.Helper()
	return rotateUntil(t, "", key, args...)
}

// rotateUntil is rotate of a process that dies after a step.
func rotateUntil(t *testing.T, last, key string, args ...string) (int, string) {
	t.Helper()
	var out bytes.Buffer
	env := servertest.CleanEnv()
	if key != "" {
		env = append(env, "SLUICE_MASTER_KEY="+key)
	}
	status := server.RotateMasterKeyInSteps(t.Context(), args, env, &out, &out, func(done string) error {
		if done == last {
			return errors.New("died after " + done)
		}
		return nil
	})
	return status, out.String()
}

// withKey starts a server with a master key, "" for the one in its data directory.
func withKey(t *testing.T, key string) servertest.Option {
	t.Helper()
	var k server.SecretKey
	if err := k.UnmarshalText([]byte(key)); err != nil {
		t.Fatal(err)
	}
	return func(c *server.Config) { c.MasterKey = k }
}

// warnedOf reports whether /readyz of a server warns of a master key.
func warnedOf(s *servertest.Server, words string) bool {
	_, r := readiness(s.URL())
	for _, w := range r.Warnings {
		if strings.Contains(w, words) {
			return true
		}
	}
	return false
}

func TestG30_TheMasterKeyIsRotatedUnderRunningServers(t *testing.T) {
	t.Parallel()
	redis := redistest.Start(t, redistest.Options{})
	a := servertest.New(t, servertest.WithRedis(redis.URL()), debug)
	b := servertest.New(t, servertest.WithRedis(redis.URL()), debug)
	mine := acquire(t, a)
	settings := []string{"--redis-url", redis.URL(), "--data-dir", a.DataDir}
	var printed strings.Builder
	run := func(want int, says, key string, args ...string) {
		t.Helper()
		status, out := rotate(t, key, append(args, settings...)...)
		if status != want || !strings.Contains(out, says) {
			t.Errorf("%v: %d %s; want %d and %q", args, status, out, want, says)
		}
		printed.WriteString(out)
	}
	run(0, "No rotation is under way", sharedKey, "--finish")
	run(0, "No rotation is under way", sharedKey, "--cancel")

	run(0, "--finish", sharedKey)
	next := keyIn(t, a.DataDir, "master-key.next")
	if info, err := os.Stat(filepath.Join(a.DataDir, "master-key.next")); err != nil || info.Mode() != 0o600 {
		t.Fatalf("the new key: %v, %v; want mode 0600", info, err)
	}
	run(0, fingerprint(t, next), sharedKey) // again, as after a crash: nothing new
	if keyIn(t, a.DataDir, "master-key.next") != next {
		t.Error("the second call has made another key")
	}
	for _, s := range []*servertest.Server{a, b} {
		within(t, 15*time.Second, "/readyz warns", func() bool { return warnedOf(s, "still has the old one") })
		mine.check(t, "while two keys open", s)
	}
	c := server.DefaultConfig()
	c.DataDir, c.MasterKey, c.Listen = a.DataDir, servertest.MasterKey, strings.TrimPrefix(a.URL(), "http://")
	c.RedisURL, _ = addr.ParseRedis(redis.URL())
	if got, all := patient(t, c); got["master key"] != server.VerdictWarn || !strings.Contains(all, fingerprint(t, next)) {
		t.Errorf("the doctor: %s", all)
	}
	run(1, "this is the old master key", sharedKey, "--finish")

	// One server after the other gets the new key, and works with those that have not.
	restart := func(s *servertest.Server) *servertest.Server {
		t.Helper()
		if err := s.Stop(); err != nil {
			t.Fatal(err)
		}
		printed.WriteString(s.Log.String())
		return servertest.New(t, servertest.WithRedis(redis.URL()), servertest.WithDataDir(s.DataDir), debug, withKey(t, next))
	}
	b = restart(b)
	mine.check(t, "the first server with the new key", b)
	mine.check(t, "the last one with the old key", a)
	later := acquireMore(t, b)
	if got := call(t, http.MethodGet, a.URL()+"/v1/whoami", later, ""); got.status != http.StatusOK {
		t.Errorf("a key that was made with the new master key, on a server with the old one: %s", got)
	}
	run(0, "This is the new master key already", next)
	run(1, "this is the new master key", next, "--cancel")

	run(0, "opens nothing any more", next, "--finish")
	run(0, "No rotation is under way", next, "--finish")
	mine.check(t, "a server with a key that opens nothing any more", a)
	within(t, 15*time.Second, "/readyz warns", func() bool { return warnedOf(a, "will not start again") })
	if warnedOf(b, "master key") {
		t.Error("/readyz warns of the new key")
	}
	refuses(t, fingerprint(t, next), sharedKey, "SLUICE_REDIS_URL="+redis.URL())
	run(1, "belongs to another master key", sharedKey)
	a = restart(a)
	b = restart(b)
	for _, s := range []*servertest.Server{a, b} {
		mine.check(t, "after the rotation", s)
		must(t, http.StatusOK, nil, http.MethodGet, s.URL()+"/v1/whoami", later, "")
	}
	c.MasterKey = server.SecretKey(decoded(t, next))
	if got, all := patient(t, c); got["master key"] != server.VerdictOK {
		t.Errorf("the doctor: %s", all)
	}
	if fields := redis.Client(t).HGetAll(t.Context(), installationKey).Val(); len(fields) != 4 || !strings.HasPrefix(fields["root"], fingerprint(t, next)+".") {
		t.Errorf("Redis has %v, want one copy, for the new key", fields)
	}
	var log struct {
		Data []struct {
			Operation, Outcome string
			Actor              struct{ Kind string }
			Target             struct{ Name string }
			Before, After      struct{ Fingerprints []string }
		}
	}
	must(t, http.StatusOK, &log, http.MethodGet, a.URL()+"/v1/operator_audit?actor=&limit=100", mine.operator, "")
	var told []string
	for _, e := range log.Data {
		if e.Actor.Kind == "command" {
			told = append(told, fmt.Sprint(e.Operation, " ", e.Outcome, " ", e.Before.Fingerprints, e.After.Fingerprints))
		}
	}
	one, two := fingerprint(t, sharedKey), fingerprint(t, next)
	want := []string{fmt.Sprintf("endMasterKey done [%s %s] [%s]", one, two, two), fmt.Sprintf("addMasterKey done [%s] [%s %s]", one, one, two)}
	if fmt.Sprint(told) != fmt.Sprint(want) {
		t.Errorf("the audit log has %q, want %q", told, want)
	}

	// And once more, so that it is no one-time thing: from a file, which somebody else may read.
	file := filepath.Join(t.TempDir(), "third")
	third := base64.StdEncoding.EncodeToString([]byte("a third master key of 32 bytes!!"))
	if err := os.WriteFile(file, []byte(third), 0o644); err != nil {
		t.Fatal(err)
	}
	run(0, "chmod 600", next, "--new-key", file)
	run(0, "The master key is "+fingerprint(t, third), third, "--finish")
	next = third
	a = restart(a)
	mine.check(t, "after two rotations", a)
	printed.WriteString(a.Log.String() + b.Log.String())
	for _, secret := range []string{sharedKey, string(servertest.MasterKey), keyIn(t, a.DataDir, "master-key.next"), third, string(decoded(t, third))} {
		if strings.Contains(printed.String(), secret) {
			t.Errorf("%q is in a log or was printed", secret)
		}
	}
}

// acquireMore returns another key of the tenant.
func acquireMore(t *testing.T, s *servertest.Server) string {
	t.Helper()
	var made struct{ Key string }
	must(t, http.StatusCreated, &made, http.MethodPost, s.URL()+"/v1/keys", s.Key, `{"name":"later"}`)
	return made.Key
}

func decoded(t *testing.T, key string) []byte {
	t.Helper()
	b, err := base64.StdEncoding.DecodeString(key)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// A server with its own Redis and its key in a file: one call does it all, and goes on where one before has died. Whatever
// the moment, the server starts again.
func TestG30_OneCallRotatesTheKeyOfAServerThatStandsAlone(t *testing.T) {
	t.Parallel()
	for _, step := range []string{"", "made", "added", "replaced", "ended"} {
		t.Run("dies "+step, func(t *testing.T) {
			t.Parallel()
			start := func(dir string) *servertest.Server {
				return servertest.New(t, servertest.WithEmbedded(), servertest.WithDataDir(dir), withKey(t, ""), quiet)
			}
			s := start(filepath.Join(t.TempDir(), "data"))
			old := keyIn(t, s.DataDir, "master-key")
			mine := acquire(t, s)
			if step != "" {
				status, out := rotateUntil(t, step, "", "--data-dir", s.DataDir)
				if status != 1 || !strings.Contains(out, "died after "+step) {
					t.Fatalf("%d %s", status, out)
				}
				mine.check(t, "the crash", s)
				if err := s.Stop(); err != nil {
					t.Fatal(err)
				}
				s = start(s.DataDir)
				mine.check(t, "a start after the crash", s)
			}
			begun := keyIn(t, s.DataDir, "master-key.next")
			status, out := rotate(t, "", "--data-dir", s.DataDir)
			now := keyIn(t, s.DataDir, "master-key")
			if status != 0 || now == old || begun != "" && now != begun || !strings.Contains(out, "The master key is "+fingerprint(t, now)) {
				t.Fatalf("%d %s; the key has changed: %t, to the one that was begun: %t", status, out, now != old, now == begun)
			}
			if strings.Contains(out, now) || strings.Contains(out, old) {
				t.Errorf("it prints a key: %s", out)
			}
			if info, err := os.Stat(filepath.Join(s.DataDir, "master-key")); err != nil || info.Mode() != 0o600 || keyIn(t, s.DataDir, "master-key.next") != "" {
				t.Errorf("master-key: %v, %v; and the file of the new key is there still: %t", info, err, keyIn(t, s.DataDir, "master-key.next") != "")
			}
			mine.check(t, "no restart", s)
			if status, out := rotate(t, "", "--data-dir", s.DataDir, "--finish"); status != 0 || !strings.Contains(out, "No rotation is under way") {
				t.Errorf("nothing to finish: %d %s", status, out)
			}
			if err := s.Stop(); err != nil {
				t.Fatal(err)
			}
			refuses(t, "belongs to another master key", old, "SLUICE_DATA_DIR="+s.DataDir)
			s = start(s.DataDir)
			mine.check(t, "a start after the rotation", s)
			if warnedOf(s, "master key") {
				t.Error("/readyz warns")
			}
		})
	}
}

// A file that the operator names is taken, and left to him.
func TestOneCallTakesTheKeyInAFile(t *testing.T) {
	t.Parallel()
	s := servertest.New(t, servertest.WithEmbedded(), withKey(t, ""), quiet)
	mine, old, own := acquire(t, s), keyIn(t, s.DataDir, "master-key"), filepath.Join(s.DataDir, "master-key")
	if status, out := rotate(t, "", "--data-dir", s.DataDir, "--new-key", own); status != 1 || !strings.Contains(out, "in use") || keyIn(t, s.DataDir, "master-key") != old {
		t.Fatalf("the key in use: %d %s", status, out)
	}
	dir := t.TempDir()
	next := base64.StdEncoding.EncodeToString([]byte("another master key of 32 bytes!!"))
	if err := os.WriteFile(filepath.Join(dir, "key"), []byte(next+"\r\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if status, out := rotate(t, "", "--data-dir", s.DataDir, "--new-key="+filepath.Join(dir, "key")); status != 0 || keyIn(t, s.DataDir, "master-key") != next {
		t.Fatalf("%d %s", status, out)
	}
	if keyIn(t, dir, "key") != next {
		t.Error("the file is gone")
	}
	if err := s.Stop(); err != nil {
		t.Fatal(err)
	}
	mine.check(t, "with the key of the file", servertest.New(t, servertest.WithEmbedded(), servertest.WithDataDir(s.DataDir), withKey(t, ""), quiet))
}

// With a Redis of its own nobody knows what other servers there are, so each step is one call.
func TestARotationCanBeCancelled(t *testing.T) {
	t.Parallel()
	redis := redistest.Start(t, redistest.Options{})
	s := servertest.New(t, servertest.WithRedis(redis.URL()), withKey(t, ""), quiet)
	mine := acquire(t, s)
	old := keyIn(t, s.DataDir, "master-key")
	settings := []string{"--redis-url", redis.URL(), "--data-dir", s.DataDir}
	for _, step := range []string{"made", "added"} {
		if status, out := rotateUntil(t, step, "", settings...); status != 1 {
			t.Fatalf("%d %s", status, out)
		}
	}
	next := keyIn(t, s.DataDir, "master-key.next")
	if keyIn(t, s.DataDir, "master-key") != old {
		t.Fatal("the key of the server was replaced")
	}
	other := filepath.Join(t.TempDir(), "other")
	for what, c := range map[string]struct {
		status int
		args   []string
		says   string
	}{
		"another new key":    {1, []string{"--new-key=" + other}, "is under way"},
		"the key in use":     {1, []string{"--new-key", filepath.Join(s.DataDir, "master-key")}, "that is in use"},
		"two things at once": {2, []string{"--finish", "--cancel"}, "only one of"},
		"no use for a file":  {2, []string{"--finish", "--new-key=x"}, "only one of"},
		"no file":            {2, []string{"--new-key"}, "needs a file"},
		"unknown":            {2, []string{"--finsh"}, "finsh"},
	} {
		status, out := rotate(t, "", append(settings[:len(settings):len(settings)], c.args...)...)
		if status != c.status || !strings.Contains(out, c.says) {
			t.Errorf("%s: %d %s; want %d and %q", what, status, out, c.status, c.says)
		}
	}
	if status, out := rotate(t, "", "--help"); status != 0 || !strings.Contains(out, "--cancel") {
		t.Errorf("help: %d %s", status, out)
	}
	if status, out := rotate(t, "", append(settings, "--cancel")...); status != 0 || !strings.Contains(out, "opens nothing any more") {
		t.Errorf("cancel: %d %s", status, out)
	}
	refuses(t, "belongs to another master key", next, "SLUICE_REDIS_URL="+redis.URL())
	if keyIn(t, s.DataDir, "master-key.next") != "" {
		t.Error("the key that was cancelled waits for the next rotation")
	}
	if err := s.Stop(); err != nil {
		t.Fatal(err)
	}
	s = servertest.New(t, servertest.WithRedis(redis.URL()), servertest.WithDataDir(s.DataDir), withKey(t, ""), quiet)
	mine.check(t, "after it was cancelled", s)

	damaged := filepath.Join(t.TempDir(), "damaged")
	if err := os.WriteFile(damaged, []byte(next[:20]), 0o600); err != nil {
		t.Fatal(err)
	}
	if status, out := rotate(t, "", append(settings, "--new-key", damaged)...); status != 1 || !strings.Contains(out, "damaged") || strings.Contains(out, next[:20]) {
		t.Errorf("a damaged new key: %d %s", status, out)
	}
	if status, out := rotate(t, "", settings...); status != 0 {
		t.Errorf("the next rotation: %d %s", status, out)
	}
	if keyIn(t, s.DataDir, "master-key.next") == next {
		t.Error("the next rotation brings the key that was cancelled")
	}
	// A server that reads its key from the file needs no restart to be ready for the end.
	within(t, 15*time.Second, "/readyz warns", func() bool { return warnedOf(s, "still has the old one") })
	if err := os.Rename(filepath.Join(s.DataDir, "master-key.next"), filepath.Join(s.DataDir, "master-key")); err != nil {
		t.Fatal(err)
	}
	within(t, 15*time.Second, "/readyz warns no more", func() bool { return !warnedOf(s, "master key") })
	if status, out := rotate(t, "", append(settings, "--finish")...); status != 0 {
		t.Errorf("finish: %d %s", status, out)
	}
	mine.check(t, "after it was finished", s)

	// Where the root cannot be read no key is made for it.
	client := redis.Client(t)
	broken := client.HGet(t.Context(), installationKey, "root").Val()[:30]
	client.HSet(t.Context(), installationKey, "root", broken)
	if status, out := rotate(t, "", settings...); status != 1 || !strings.Contains(out, "damaged") || keyIn(t, s.DataDir, "master-key.next") != "" ||
		client.HGet(t.Context(), installationKey, "root").Val() != broken {
		t.Errorf("a damaged root: %d %s", status, out)
	}
}

func TestAnInstallationWithoutARootIsRotatedToo(t *testing.T) {
	t.Parallel()
	redis := withoutRoot(t)
	s := servertest.New(t, servertest.WithRedis(redis.URL()), quiet)
	mine := acquire(t, s)
	settings := []string{"--redis-url", redis.URL(), "--data-dir", s.DataDir}
	if status, out := rotate(t, sharedKey, settings...); status != 0 {
		t.Fatalf("%d %s", status, out)
	}
	next := keyIn(t, s.DataDir, "master-key.next")
	if status, out := rotate(t, next, append(settings, "--finish")...); status != 0 || !strings.Contains(out, "keep it secret still") {
		t.Errorf("finish: %d %s", status, out)
	}
	refuses(t, "belongs to another master key", sharedKey, "SLUICE_REDIS_URL="+redis.URL())
	mine.check(t, "the server goes on", s)
	if err := s.Stop(); err != nil {
		t.Fatal(err)
	}
	mine.check(t, "with the new key", servertest.New(t, servertest.WithRedis(redis.URL()), servertest.WithDataDir(s.DataDir), withKey(t, next), quiet))
}

func TestTheKeyOfAnInstallationInMemoryIsNotRotated(t *testing.T) {
	t.Parallel()
	p := servertest.StartProcess(t, servertest.ProcessOptions{Env: []string{noRedis(t)}})
	p.WaitReady()
	before := keyIn(t, p.DataDir, "master-key")
	status, out := rotate(t, "", "--data-dir", p.DataDir)
	if status != 1 || !strings.Contains(out, "in memory") || keyIn(t, p.DataDir, "master-key") != before || keyIn(t, p.DataDir, "master-key.next") != "" {
		t.Errorf("%d %s", status, out)
	}
}
