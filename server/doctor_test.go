package server_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sluicemq/sluice/internal/addr"
	"github.com/sluicemq/sluice/internal/redistest"
	"github.com/sluicemq/sluice/server"
	"github.com/sluicemq/sluice/server/servertest"
)

// patient returns a doctor's view of a server: the worst verdict of each check.
func patient(t *testing.T, c server.Config) (map[string]server.Verdict, string) {
	t.Helper()
	found := server.Doctor(t.Context(), c)
	for _, f := range found {
		explained(t, f)
		if (f.Verdict == server.VerdictOK) != (f.Fix == "") {
			t.Errorf("%+v: want a fix for what is not well, and only then", f)
		}
	}
	return verdicts(found), fmt.Sprintf("%+v", found)
}

func TestTheDoctorFindsWhatIsWrong(t *testing.T) {
	t.Parallel()
	redis := redistest.Start(t, redistest.Options{MaxMemory: "100mb"})
	s := servertest.New(t, servertest.WithRedis(redis.URL()), quiet)
	queue := newQueue(t, s.URL(), s.Key, "")
	must(t, 201, nil, "POST", s.URL()+"/v1/queues/"+queue+"/messages", s.Key, "secret body")

	c := server.DefaultConfig()
	c.DataDir, c.MasterKey, c.Listen = s.DataDir, servertest.MasterKey, strings.TrimPrefix(s.URL(), "http://")
	c.RedisURL, _ = addr.ParseRedis(redis.URL())
	healthy := map[string]server.Verdict{}
	for _, check := range []string{"configuration", "data directory", "server", "webhooks", "redis", "durability", "memory", "clock", "data set", "master key", "queues", "signatures"} {
		healthy[check] = server.VerdictOK
	}
	got, all := patient(t, c)
	if diff := cmp.Diff(healthy, got); diff != "" {
		t.Errorf("a healthy installation (-want +got):\n%s\n%s", diff, all)
	}
	if strings.Contains(all, "secret body") || strings.Contains(all, s.Key) {
		t.Errorf("the findings show a body or a key: %s", all)
	}

	// but returns the healthy verdicts with some that differ; "-" stands for a check that is not reached.
	but := func(verdicts ...string) map[string]server.Verdict {
		want := map[string]server.Verdict{}
		for check, v := range healthy {
			want[check] = v
		}
		for i := 0; i < len(verdicts); i += 2 {
			if verdicts[i+1] == "-" {
				delete(want, verdicts[i])
			} else {
				want[verdicts[i]] = server.Verdict(verdicts[i+1])
			}
		}
		return want
	}
	client := redis.Client(t)
	damage := func(what string, change func(*server.Config), want map[string]server.Verdict) {
		t.Helper()
		sick := c
		change(&sick)
		if got, all := patient(t, sick); !cmp.Equal(want, got) {
			t.Errorf("%s (-want +got):\n%s\n%s", what, cmp.Diff(want, got), all)
		}
	}
	damage("no server", func(c *server.Config) { c.Listen = fmt.Sprint("127.0.0.1:", servertest.FreePort(t)) }, but("server", "warn", "webhooks", "-"))
	cutOff := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintf(w, `{"status":"ready","version":%q,"webhook_outage":"timeout"}`, server.Version)
	}))
	t.Cleanup(cutOff.Close)
	damage("a server without a network", func(c *server.Config) { c.Listen = cutOff.Listener.Addr().String() }, but("webhooks", "fail"))
	damage("no data directory", func(c *server.Config) { c.DataDir = filepath.Join(c.DataDir, "no") },
		map[string]server.Verdict{"configuration": "ok", "data directory": "fail"})
	damage("another master key", func(c *server.Config) { c.MasterKey = server.SecretKey("another-master-key-of-32-bytes!!!") }, but("data set", "fail", "master key", "-", "queues", "-", "signatures", "-"))
	damage("another region", func(c *server.Config) { c.Region = "elsewhere-1" }, but("data set", "fail", "master key", "-", "queues", "-", "signatures", "-"))
	empty := redistest.Start(t, redistest.Options{MaxMemory: "100mb"})
	damage("another Redis", func(c *server.Config) { c.RedisURL, _ = addr.ParseRedis(empty.URL()) }, but("data set", "fail", "master key", "-", "queues", "-", "signatures", "-"))
	empty.Kill9()
	damage("no Redis", func(c *server.Config) { c.RedisURL, _ = addr.ParseRedis(empty.URL()) },
		but("redis", "fail", "durability", "-", "memory", "-", "clock", "-", "data set", "-", "master key", "-", "queues", "-", "signatures", "-"))

	if err := os.Chmod(filepath.Join(s.DataDir, "operator-key"), 0o644); err != nil {
		t.Fatal(err)
	}
	damage("a key that others may read", func(*server.Config) {}, but("data directory", "fail"))
	_ = os.Chmod(filepath.Join(s.DataDir, "operator-key"), 0o600)

	set := func(name, value string) {
		t.Helper()
		if err := client.ConfigSet(t.Context(), name, value).Err(); err != nil {
			t.Fatal(err)
		}
	}
	set("maxmemory", "0")
	damage("no limit of memory", func(*server.Config) {}, but("memory", "warn"))
	set("maxmemory", "100mb")
	set("appendfsync", "no")
	damage("writes that are not synced", func(*server.Config) {}, but("durability", "warn"))
	set("appendfsync", "always")

	signatures := func(on string) {
		t.Helper()
		must(t, 200, nil, "PATCH", s.URL()+"/v1/tenants/default", s.OperatorKey, `{"aws_any_signature":`+on+`}`)
	}
	signatures("true")
	damage("a tenant that needs no secret", func(*server.Config) {}, but("signatures", "warn"))
	signatures("false")

	keys, err := client.Keys(t.Context(), "sl:*:b").Result()
	if err != nil || len(keys) != 1 {
		t.Fatalf("keys %v, %v", keys, err)
	}
	if err := client.Del(t.Context(), keys[0]).Err(); err != nil {
		t.Fatal(err)
	}
	damage("a queue without its records", func(*server.Config) {}, but("queues", "fail"))
}

func TestTheDoctorFindsTheEmbeddedRedis(t *testing.T) {
	t.Parallel()
	s := servertest.New(t, servertest.WithEmbedded(), quiet)
	c := server.DefaultConfig()
	c.DataDir, c.MasterKey, c.Listen = s.DataDir, servertest.MasterKey, strings.TrimPrefix(s.URL(), "http://")
	got, all := patient(t, c)
	if got["disk"] != server.VerdictOK || got["memory"] != server.VerdictOK || got["queues"] != server.VerdictOK {
		t.Errorf("an embedded Redis: %s", all)
	}
	if err := s.Stop(); err != nil {
		t.Error(err)
	}
	got, all = patient(t, c)
	if got["redis"] != server.VerdictFail || got["server"] != server.VerdictWarn {
		t.Errorf("a server that has stopped: %s", all)
	}
}

func TestTheStatusOfTheDoctorIsTheWorstFinding(t *testing.T) {
	t.Parallel()
	key := "SLUICE_MASTER_KEY=" + base64.StdEncoding.EncodeToString(servertest.MasterKey)
	run := func(args ...string) (int, string) {
		var out, errOut bytes.Buffer
		status := server.DoctorCommand(t.Context(), args, []string{key}, &out, &errOut)
		if errOut.Len() > 0 {
			t.Errorf("%v: %s", args, &errOut)
		}
		return status, out.String()
	}
	if status, out := run("--no-such-setting"); status != 2 || !strings.Contains(out, "fail  configuration") {
		t.Errorf("a wrong setting: %d, %s", status, out)
	}
	if status, out := run("--help"); status != 0 || !strings.Contains(out, "--json") {
		t.Errorf("help: %d, %s", status, out)
	}
	status, out := run("--json", "--data-dir", filepath.Join(t.TempDir(), "none"))
	var got struct{ Findings []server.Finding }
	if err := json.Unmarshal([]byte(out), &got); err != nil || status != 2 || len(got.Findings) != 2 || got.Findings[1].Check != "data directory" {
		t.Errorf("JSON: %d, %v, %s", status, err, out)
	}
	s := servertest.New(t, servertest.WithEmbedded(), quiet)
	listen := strings.TrimPrefix(s.URL(), "http://")
	if status, out := run("--data-dir", s.DataDir, "--listen", listen); status != 0 {
		t.Errorf("a healthy installation: %d, %s", status, out)
	}
	if err := s.Stop(); err != nil {
		t.Error(err)
	}
	if status, out := run("--data-dir", s.DataDir, "--listen", listen, "--redis-url", redistest.URL(t)); status != 2 {
		t.Errorf("another Redis, and no server: %d, %s", status, out)
	}
}
