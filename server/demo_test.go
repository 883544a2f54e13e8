package server_test

import (
	"bytes"
	"net/http"
	"strings"
	"testing"

	"github.com/sluicemq/sluice/internal/demo"
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
	s := servertest.New(t, quiet)
	at := []string{"--url", s.URL(), "--key", s.Key}
	var page struct {
		Data []struct {
			Name   string
			Totals struct {
				Sent    int64
				Deleted int64
			}
		}
	}
	for range 2 { // again: what is there stays
		runDemo(t, 0, append(at, "--for", "2s", "--rate", "50", "--backlog", "150")...)
	}
	must(t, http.StatusOK, &page, http.MethodGet, s.URL()+"/v1/queues", s.Key, "")
	sent := map[string]int64{}
	for _, q := range page.Data {
		sent[q.Name] = q.Totals.Sent
		if q.Name == "orders" && (q.Totals.Sent < 300 || q.Totals.Deleted == 0) {
			t.Errorf("orders: %+v", q.Totals)
		}
	}
	for _, name := range []string{"orders", "orders-dlq", "mail", "payments.fifo", "reports"} {
		if sent[name] == 0 {
			t.Errorf("nothing came to %s", name)
		}
	}
	for range 2 {
		runDemo(t, 0, append(at, "--remove")...)
	}
	must(t, http.StatusOK, &page, http.MethodGet, s.URL()+"/v1/queues", s.Key, "")
	if len(page.Data) > 0 {
		t.Errorf("left: %+v", page.Data)
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
