package server_test

import (
	"bytes"
	"context"
	"net/http"
	"strings"
	"testing"

	"github.com/sluicemq/sluice/internal/demo"
	"github.com/sluicemq/sluice/internal/redistest"
	"github.com/sluicemq/sluice/server/servertest"
)

// runDemo runs "sluice demo" and returns what it printed.
func runDemo(t *testing.T, want int, args ...string) string {
	t.Helper()
	var out bytes.Buffer
	if got := demo.Command(args, &out, &out, func(string) string { return "" }); got != want {
		t.Fatalf("sluice demo %q ended with %d, want %d: %s", args, got, want, out.String())
	}
	return out.String()
}

func TestTheDemoFillsATenantAndCleansUp(t *testing.T) {
	t.Parallel()
	redis := redistest.Start(t, redistest.Options{NoAOF: true})
	s := servertest.New(t, servertest.WithRedis(redis.URL()), quiet)
	totals := func() map[string]int64 {
		var page struct {
			Data []struct {
				Name   string
				Totals struct{ Sent, Deleted int64 }
			}
		}
		must(t, http.StatusOK, &page, http.MethodGet, s.URL()+"/v1/queues", s.Key, "")
		out := map[string]int64{}
		for _, q := range page.Data {
			out[q.Name] = q.Totals.Sent
			out[q.Name+" done"] = q.Totals.Deleted
		}
		return out
	}
	shop := demo.New(demo.Config{URL: s.URL(), Key: s.Key, Rate: 50, Backlog: 20})
	if err := shop.Open(t.Context()); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- shop.Run(ctx) }()
	until(t, "all queues have traffic", func() bool {
		n := totals()
		for _, name := range []string{"orders", "orders done", "orders-dlq", "mail", "mail done", "payments.fifo", "payments.fifo done", "reports"} {
			if n[name] == 0 {
				return false
			}
		}
		return true
	})
	cancel()
	if err := <-ended; err != nil {
		t.Errorf("the shop: %v", err)
	}
	at := []string{"--url", s.URL(), "--key", s.Key}
	runDemo(t, 0, append(at, "--for", "1ms", "--backlog", "0")...) // what is there stays
	for range 2 {
		runDemo(t, 0, append(at, "--remove")...)
	}
	if left := totals(); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
}

func TestTheDemoSaysWhatIsWrong(t *testing.T) {
	t.Parallel()
	s := servertest.New(t, quiet)
	for _, args := range [][]string{{"--rate", "0"}, {"--rate", "1001"}, {"--backlog", "-1"}, {"--for", "-1s"}, {"more"}, {"--nothing"}, {}} {
		runDemo(t, 2, args...)
	}
	if out := runDemo(t, 1, "--url", s.URL(), "--key", "slk_wrong", "--for", "1s"); !strings.Contains(out, "401") {
		t.Errorf("with a wrong key: %s", out)
	}
}
