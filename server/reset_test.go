package server_test

import (
	"bytes"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sluicemq/sluice/internal/redistest"
	"github.com/sluicemq/sluice/server"
	"github.com/sluicemq/sluice/server/servertest"
)

// resetOperator runs "sluice reset-operator" and returns its status and all that it prints.
func resetOperator(t *testing.T, args ...string) (int, string) {
	t.Helper()
	var out bytes.Buffer
	env := append(servertest.CleanEnv(), servertest.SharedKey())
	status := server.ResetOperatorCommand(t.Context(), args, env, &out, &out)
	return status, out.String()
}

func TestG20_ResetOperatorPutsAnotherKeyInThePlaceOfTheOld(t *testing.T) {
	t.Parallel()
	redis := redistest.Start(t, redistest.Options{})
	a := servertest.New(t, servertest.WithRedis(redis.URL()), quiet)
	b := servertest.New(t, servertest.WithRedis(redis.URL()), quiet)
	file := filepath.Join(a.DataDir, "operator-key")
	read := func() string {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		return strings.TrimSpace(string(text))
	}
	status := func(s *servertest.Server, key string) int {
		return call(t, http.MethodGet, s.URL()+"/v1/tenants", key, "").status
	}
	old := read()
	if got := status(b, old); got != http.StatusOK {
		t.Fatalf("before: %d", got)
	}
	code, printed := resetOperator(t, "--data-dir", a.DataDir, "--redis-url", redis.URL())
	if code != 0 || !strings.Contains(printed, file) || !strings.Contains(printed, "is revoked") {
		t.Fatalf("reset-operator: %d %s", code, printed)
	}
	next := read()
	if strings.Contains(printed, next) || strings.Contains(printed, old) {
		t.Error("it prints a key")
	}
	for _, s := range []*servertest.Server{a, b} {
		if got := status(s, next); got != http.StatusOK {
			t.Errorf("the new key: %d", got)
		}
		within(t, 5*time.Second, "the old key stops", func() bool { return status(s, old) == http.StatusUnauthorized })
	}
	var log struct {
		Data []struct {
			Operation, Outcome string
			Actor              struct{ Kind string }
			Target             struct{ Type, Name string }
			Before             struct{ ID string }
		}
	}
	must(t, http.StatusOK, &log, http.MethodGet, a.URL()+"/v1/operator_audit?operation=resetOperatorKey", next, "")
	if len(log.Data) != 1 || log.Data[0].Outcome != "done" || log.Data[0].Actor.Kind != "command" || log.Data[0].Target.Type != "operator_key" ||
		!strings.Contains(printed, log.Data[0].Target.Name) || !strings.Contains(printed, log.Data[0].Before.ID) {
		t.Errorf("the audit log has %+v", log.Data)
	}

	if err := a.Stop(); err != nil {
		t.Fatal(err)
	}
	c := servertest.New(t, servertest.WithRedis(redis.URL()), servertest.WithDataDir(a.DataDir), quiet)
	if got := status(c, next); got != http.StatusOK || read() != next {
		t.Errorf("after a restart: %d", got)
	}

	// Where it cannot be done nothing changes.
	empty := redistest.Start(t, redistest.Options{})
	nowhere := fmt.Sprintf("redis://127.0.0.1:%d", servertest.FreePort(t))
	for what, args := range map[string][]string{
		"Redis does not answer": {"--data-dir", a.DataDir, "--redis-url", nowhere},
		"another Redis":         {"--data-dir", a.DataDir, "--redis-url", empty.URL()},
		"no server runs":        {"--data-dir", a.DataDir},
		"another folder":        {"--data-dir", filepath.Join(a.DataDir, "no"), "--redis-url", redis.URL()},
		"an unknown setting":    {"--data-dri", a.DataDir},
	} {
		if code, printed := resetOperator(t, args...); code == 0 || !strings.Contains(printed, "sluice: ") || read() != next {
			t.Errorf("%s: %d %s", what, code, printed)
		}
	}
	if got := status(c, next); got != http.StatusOK {
		t.Errorf("after refusals: %d", got)
	}
}
