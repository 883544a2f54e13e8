package server_test

import (
	"cmp"
	"context"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/sluicemq/sluice/handlers"
	"github.com/sluicemq/sluice/internal/addr"
	"github.com/sluicemq/sluice/internal/redistest"
	"github.com/sluicemq/sluice/internal/room"
	"github.com/sluicemq/sluice/server"
	"github.com/sluicemq/sluice/server/servertest"
)

var notInAnchors = regexp.MustCompile(`[^a-z0-9 _-]`)

// explained fails unless a page of the documentation has the heading to which a finding leads.
func explained(t *testing.T, f server.Finding) {
	t.Helper()
	page, anchor, _ := strings.Cut(f.Docs, "#")
	raw, err := os.ReadFile("../" + page)
	if err != nil {
		t.Errorf("%s: %v", f.Check, err)
		return
	}
	for line := range strings.Lines(string(raw)) {
		title := strings.ToLower(strings.TrimSpace(strings.TrimLeft(line, "#")))
		if strings.HasPrefix(line, "#") && strings.ReplaceAll(notInAnchors.ReplaceAllString(title, ""), " ", "-") == anchor {
			return
		}
	}
	t.Errorf("%s leads to %s, where no heading is", f.Check, f.Docs)
}

// verdicts returns the worst verdict of each check.
func verdicts(found []server.Finding) map[string]server.Verdict {
	worst := map[string]server.Verdict{}
	order := []server.Verdict{"", server.VerdictOK, server.VerdictWarn, server.VerdictFail}
	for _, f := range found {
		worst[f.Check] = slices.MaxFunc([]server.Verdict{f.Verdict, worst[f.Check]}, func(a, b server.Verdict) int { return cmp.Compare(slices.Index(order, a), slices.Index(order, b)) })
	}
	return worst
}

// A server finds of itself what the doctor finds on its machine, but looks into no queue that takes much memory to read.
func TestAServerLooksAtItself(t *testing.T) {
	t.Parallel()
	redis := redistest.Start(t, redistest.Options{MaxMemory: "100mb"})
	s := servertest.New(t, servertest.WithRedis(redis.URL()), quiet)
	queue := newQueue(t, s.URL(), s.Key, "")
	examine := func() ([]server.Finding, string) {
		t.Helper()
		var got handlers.Examination
		a := must(t, http.StatusOK, &got, http.MethodGet, s.URL()+"/v1/system/doctor", s.OperatorKey, "")
		for _, f := range got.Findings {
			explained(t, f)
		}
		return got.Findings, a.body
	}
	c := server.DefaultConfig()
	c.DataDir, c.MasterKey, c.Listen = s.DataDir, servertest.MasterKey, strings.TrimPrefix(s.URL(), "http://")
	c.RedisURL, _ = addr.ParseRedis(redis.URL())
	found, all := examine()
	if diff := gocmp.Diff(verdicts(server.Doctor(t.Context(), c)), verdicts(found)); diff != "" {
		t.Errorf("the doctor and the server disagree (-doctor +server):\n%s\n%s", diff, all)
	}
	if strings.Contains(all, "more than") {
		t.Errorf("the one queue is small, but %s", all)
	}

	set := func(name, value string) {
		t.Helper()
		if err := redis.Client(t).ConfigSet(t.Context(), name, value).Err(); err != nil {
			t.Fatal(err)
		}
	}
	set("maxmemory", "0")
	must(t, http.StatusOK, nil, http.MethodPatch, s.URL()+"/v1/tenants/default", s.OperatorKey, `{"aws_any_signature":true}`)
	found, all = examine()
	got := verdicts(found)
	if got["memory"] != server.VerdictWarn || got["signatures"] != server.VerdictWarn || !strings.Contains(all, "tenant default") {
		t.Errorf("no limit of memory, and a tenant that needs no secret: %s", all)
	}
	set("maxmemory", "100mb")

	lines := strings.Repeat(`{"body":"x"}`+"\n", 1000)
	for range 10 {
		must(t, http.StatusCreated, nil, http.MethodPost, s.URL()+"/v1/queues/"+queue+"/messages/batch?lines=envelope", s.Key, lines, "Content-Type", "application/x-ndjson")
	}
	if _, all = examine(); strings.Contains(all, "more than") {
		t.Errorf("with 10,000 messages: %s", all)
	}
	must(t, http.StatusCreated, nil, http.MethodPost, s.URL()+"/v1/queues/"+queue+"/messages", s.Key, "one more")
	if _, all = examine(); !strings.Contains(all, `0 of 1 looked at are whole, 1 have more than 10000 messages`) {
		t.Errorf("with 10,001 messages: %s", all)
	}

	var about handlers.System
	must(t, http.StatusOK, &about, http.MethodGet, s.URL()+"/v1/system", s.OperatorKey, "")
	if n := about.Nodes; len(n) != 1 || n[0].Limit != 100<<20 || n[0].Used < 1<<20 {
		t.Errorf("the one Redis: %+v", n)
	}
	for _, path := range []string{"/v1/system", "/v1/system/doctor", "/v1/system/support_bundle"} {
		must(t, http.StatusForbidden, nil, http.MethodGet, s.URL()+path, s.Key, "")
		must(t, http.StatusUnprocessableEntity, nil, http.MethodGet, s.URL()+path+"?deep=true", s.OperatorKey, "")
	}
}

// Who has waited in vain gets no findings: with no time left everything would look broken.
func TestAServerThatIsLookedAtAsksToWait(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if found, err := server.ExamineWhileOthersLook(ctx); !errors.Is(err, room.ErrOverloaded) || found != nil {
		t.Errorf("got %v, %v", found, err)
	}
}

func TestAServerInMemoryLooksAtItself(t *testing.T) {
	t.Parallel()
	p := servertest.StartProcess(t, servertest.ProcessOptions{Env: []string{noRedis(t), "SLUICE_REDIS_URL=", "SLUICE_LOG_REQUESTS=false"}})
	p.WaitReady()
	newQueue(t, p.URL, p.Key, "")
	var got handlers.Examination
	a := must(t, http.StatusOK, &got, http.MethodGet, p.URL+"/v1/system/doctor", p.OperatorKey, "")
	found := verdicts(got.Findings)
	if found["durability"] != server.VerdictWarn || found["queues"] != server.VerdictOK || found["data set"] != server.VerdictOK {
		t.Errorf("in memory: %s", a.body)
	}
	var about handlers.System
	must(t, http.StatusOK, &about, http.MethodGet, p.URL+"/v1/system", p.OperatorKey, "")
	if about.Engine != "memory" || about.Durability != "memory" || about.CertificateExpiresAt != nil || len(about.Nodes) != 0 {
		t.Errorf("in memory: %+v", about)
	}
	origin := map[string]handlers.Setting{}
	for _, s := range about.Settings {
		origin[s.Name] = s
	}
	want := handlers.Setting{Name: "log_requests", Value: "false", Origin: "environment", Where: "SLUICE_LOG_REQUESTS"}
	if diff := gocmp.Diff(want, origin["log_requests"]); diff != "" {
		t.Errorf("where a setting came from (-want +got):\n%s", diff)
	}
	if got := origin["region"]; got.Origin != "default" || got.Where != "" || got.Value != "us-east-1" {
		t.Errorf("a default: %+v", got)
	}
}

// What a bundle is for is given to strangers.
func TestASupportBundleHasNoSecretsAndNoNames(t *testing.T) {
	t.Parallel()
	redis := redistest.Start(t, redistest.Options{MaxMemory: "100mb", Port: true})
	if err := redis.Client(t).Do(t.Context(), "ACL", "SETUSER", "sluice", "on", ">planted-redis", "~*", "&*", "+@all").Err(); err != nil {
		t.Fatal(err)
	}
	withSecrets := func(c *server.Config) {
		c.RedisURL, _ = addr.ParseRedis(strings.Replace(redis.URL(), "redis://", "redis://sluice:planted-redis@", 1))
		c.OIDCIssuers, c.OIDCAudience, c.OIDCClientIDs, c.OIDCClientSecrets = []string{"https://id.example.com"}, "sluice", []string{"console"}, server.SecretList{"planted-oidc"}
		for field, text := range map[interface{ UnmarshalText([]byte) error }]string{&c.EgressProxy: "http://sluice:planted-proxy@proxy.example.com:3128", &c.SMTP: "smtp://sluice:planted-mail@mail.example.com:587"} {
			if err := field.UnmarshalText([]byte(text)); err != nil {
				t.Fatal(err)
			}
		}
		c.SMTPFrom = "sluice@example.com"
	}
	s := servertest.New(t, withSecrets, quiet)
	do := func(want int, v any, method, path, key, body string) {
		t.Helper()
		must(t, want, v, method, s.URL()+path, key, body)
	}
	do(http.StatusCreated, nil, http.MethodPut, "/v1/tenants/planted-tenant", s.OperatorKey, `{"aws_any_signature":true}`)
	var made struct {
		Key string
		AWS struct {
			ID     string `json:"access_key_id"`
			Secret string `json:"secret_access_key"`
		}
	}
	do(http.StatusCreated, &made, http.MethodPost, "/v1/tenants/planted-tenant/keys", s.OperatorKey, `{"name":"planted-key","aws":true}`)
	do(http.StatusCreated, nil, http.MethodPut, "/v1/queues/planted-queue", made.Key, "")
	do(http.StatusCreated, nil, http.MethodPost, "/v1/queues/planted-queue/messages", made.Key, "planted-body")
	do(http.StatusCreated, nil, http.MethodPut, "/v1/topics/planted-topic", made.Key, "")
	// One that has a fault, which is named to the operator.
	client := redis.Client(t)
	keys, err := client.Keys(t.Context(), "sl:*:b").Result()
	if err != nil || len(keys) != 1 {
		t.Fatalf("keys %v, %v", keys, err)
	}
	if err := client.Del(t.Context(), keys[0]).Err(); err != nil {
		t.Fatal(err)
	}
	if shown := call(t, http.MethodGet, s.URL()+"/v1/system/doctor", s.OperatorKey, "").body; !strings.Contains(shown, "planted-tenant/planted-queue") {
		t.Errorf("the operator is not told which queue has a fault: %s", shown)
	}

	var bundle handlers.SupportBundle
	text := must(t, http.StatusOK, &bundle, http.MethodGet, s.URL()+"/v1/system/support_bundle", s.OperatorKey, "").body
	planted := []string{"planted", made.Key, made.AWS.ID, made.AWS.Secret, s.Key, s.OperatorKey,
		string(servertest.MasterKey), base64.StdEncoding.EncodeToString(servertest.MasterKey)}
	for _, secret := range planted {
		if secret == "" || strings.Contains(text, secret) {
			t.Errorf("the bundle has %q: %s", secret, text)
		}
	}
	got := verdicts(bundle.Findings)
	if got["queues"] != server.VerdictFail || got["signatures"] != server.VerdictWarn {
		t.Errorf("the bundle does not say what is wrong: %+v", bundle.Findings)
	}
	if !strings.Contains(bundle.Metrics, "\nsluice_ready 1\n") || bundle.System.Version != server.Version || len(bundle.System.Settings) < 20 {
		t.Errorf("the bundle lacks something: %s", text)
	}
	for _, s := range bundle.System.Settings {
		if secret := s.Name == "master_key" || s.Name == "oidc_client_secret"; secret && s.Value != "***" {
			t.Errorf("%+v", s)
		}
	}
	must(t, http.StatusForbidden, nil, http.MethodGet, s.URL()+"/v1/system/support_bundle", made.Key, "")
}

func TestTheEndOfACertificateIsSeen(t *testing.T) {
	t.Parallel()
	p := newPairs(t)
	lasts := func(d time.Duration) *x509.Certificate {
		return p.write(t, 1, func(c *x509.Certificate) { c.NotAfter = time.Now().Add(d) })
	}
	first := lasts(20 * 24 * time.Hour)
	s := servertest.New(t, p.use, quiet)
	trusted := trusting(t, first)
	var about handlers.System
	if a := ask(t.Context(), trusted, http.MethodGet, s.URL()+"/v1/system", s.OperatorKey, ""); a.err != nil || json.Unmarshal([]byte(a.body), &about) != nil {
		t.Fatalf("got %s, %v", a, a.err)
	}
	if about.CertificateExpiresAt == nil || !about.CertificateExpiresAt.Equal(first.NotAfter) {
		t.Errorf("the certificate ends at %v, want %v", about.CertificateExpiresAt, first.NotAfter)
	}
	c := server.DefaultConfig()
	p.use(&c)
	judge := func(want server.Verdict, what string) {
		t.Helper()
		found := server.Doctor(t.Context(), c)
		for _, f := range found {
			if f.Check == "certificate" {
				explained(t, f)
			}
		}
		if got := verdicts(found)["certificate"]; got != want || !strings.Contains(fmt.Sprint(found), what) {
			t.Errorf("got %q, want %q and %q: %+v", got, want, what, found)
		}
	}
	judge(server.VerdictOK, "valid until")
	lasts(3*24*time.Hour + time.Hour)
	judge(server.VerdictWarn, "in 3 days")
	lasts(-time.Minute)
	judge(server.VerdictFail, "it expired at")
	if err := os.Remove(p.key); err != nil {
		t.Fatal(err)
	}
	judge(server.VerdictFail, "no such file")
}

// A copy of the data directory is a backup, as docs/operations.md says.
func TestACopyOfTheDataDirectoryStartsAgain(t *testing.T) {
	t.Parallel()
	s := servertest.New(t, servertest.WithEmbedded(), quiet)
	queue := newQueue(t, s.URL(), s.Key, "")
	must(t, http.StatusCreated, nil, http.MethodPost, s.URL()+"/v1/queues/"+queue+"/messages", s.Key, "kept")
	if err := s.Stop(); err != nil {
		t.Fatal(err)
	}
	backup := t.TempDir()
	if err := os.CopyFS(backup, os.DirFS(s.DataDir)); err != nil {
		t.Fatal(err)
	}
	restored := servertest.New(t, servertest.WithEmbedded(), servertest.WithDataDir(backup), quiet)
	if a := must(t, http.StatusOK, nil, http.MethodPost, restored.URL()+"/v1/queues/"+queue+"/receive", s.Key, ""); !strings.Contains(a.body, `"kept"`) {
		t.Errorf("the restored queue gave %s", a.body)
	}
}
