package server_test

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sluicemq/sluice/server"
	"github.com/sluicemq/sluice/server/servertest"
)

// These tests look at the whole program from outside: by HTTP, signals, exit statuses, files and what it prints.

func TestMain(m *testing.M) {
	flag.Parse()
	if !isSet("test.parallel") {
		// Most of these tests wait most of the time: for a kill, a lease, or a time-out of a minute.
		_ = flag.Set("test.parallel", "6")
	}
	os.Exit(servertest.Main(m))
}

func isSet(name string) (set bool) {
	flag.Visit(func(f *flag.Flag) { set = set || f.Name == name })
	return set
}

// patience bounds every wait. It is used up only when a test fails.
const patience = 30 * time.Second

// until polls a condition.
func until(tb testing.TB, what string, ok func() bool) {
	tb.Helper()
	within(tb, patience, what, ok)
}

// within is until with a limit of the promise's own. It returns how long it took.
func within(tb testing.TB, limit time.Duration, what string, ok func() bool) time.Duration {
	tb.Helper()
	begin := time.Now()
	for !ok() {
		if time.Since(begin) > limit {
			tb.Fatalf("not within %s: %s", limit, what)
		}
		time.Sleep(5 * time.Millisecond)
	}
	return time.Since(begin)
}

var queueNumber atomic.Int64

// newQueue makes a queue with a name of its own.
func newQueue(tb testing.TB, url, key, settings string) string {
	tb.Helper()
	name := fmt.Sprintf("q%d", queueNumber.Add(1))
	a := call(tb, http.MethodPut, url+"/v1/queues/"+name, key, settings)
	if a.status != http.StatusCreated {
		tb.Fatalf("create queue %s: %s", name, a)
	}
	return name
}

// answer is what came back for a request.
type answer struct {
	status int
	header http.Header
	body   string
	closes bool // the server closes the connection
	err    error
}

// String is for messages of tests.
func (a answer) String() string {
	if a.err != nil {
		return a.err.Error()
	}
	return fmt.Sprintf("%d %s", a.status, strings.TrimSpace(a.body))
}

// code returns the code of a problem.
func (a answer) code() string {
	var p struct{ Code string }
	_ = json.Unmarshal([]byte(a.body), &p)
	return p.Code
}

// client has no bound on connections, so that a test decides by its callers how many there are.
var client = &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 1000, DisableCompression: true}}

// ask sends one request. headers are names and values in turn.
func ask(ctx context.Context, c *http.Client, method, url, key, body string, headers ...string) answer {
	var r io.Reader
	if body != "" {
		r = strings.NewReader(body)
	}
	req, err := http.NewRequestWithContext(ctx, method, url, r)
	if err != nil {
		return answer{err: err}
	}
	if key != "" {
		req.SetBasicAuth(key, "")
	}
	for i := 0; i+1 < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	resp, err := c.Do(req)
	if err != nil {
		return answer{err: err}
	}
	defer func() { _ = resp.Body.Close() }()
	raw, err := io.ReadAll(resp.Body)
	return answer{status: resp.StatusCode, header: resp.Header, body: string(raw), closes: resp.Close, err: err}
}

// try sends one request that may fail.
func try(method, url, key, body string, headers ...string) answer {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	return ask(ctx, client, method, url, key, body, headers...)
}

// call sends one request that must be answered.
func call(tb testing.TB, method, url, key, body string, headers ...string) answer {
	tb.Helper()
	a := try(method, url, key, body, headers...)
	if a.err != nil {
		tb.Fatalf("%s %s: %v", method, url, a.err)
	}
	return a
}

// must sends one request that must be answered with want, and reads the answer into v unless that is nil.
func must(tb testing.TB, want int, v any, method, url, key, body string, headers ...string) answer {
	tb.Helper()
	a := call(tb, method, url, key, body, headers...)
	if a.status != want {
		tb.Fatalf("%s %s: got %s, want %d", method, url, a, want)
	}
	if v != nil {
		if err := json.Unmarshal([]byte(a.body), v); err != nil {
			tb.Fatalf("%s %s: %v in %s", method, url, err, a.body)
		}
	}
	return a
}

// readyz is the answer of /readyz.
type readyz struct {
	Status     string `json:"status"`
	Durability string `json:"durability"`
	Verified   bool   `json:"durability_verified"`
	Engine     string `json:"engine"`
	Reasons    []struct{ Code, Detail string }
	Warnings   []string
}

// readiness asks /readyz. The status is 0 when nobody answers.
func readiness(url string) (int, readyz) {
	a := try(http.MethodGet, url+"/readyz", "", "")
	var r readyz
	_ = json.Unmarshal([]byte(a.body), &r)
	return a.status, r
}

// has reports whether a reason is among the codes.
func (r readyz) has(code string) bool {
	for _, reason := range r.Reasons {
		if reason.Code == code {
			return true
		}
	}
	return false
}

func isReady(url string) bool {
	status, _ := readiness(url)
	return status == http.StatusOK
}

// counts are the messages of a queue by state.
type counts struct {
	Available int `json:"available"`
	InFlight  int `json:"in_flight"`
	Delayed   int `json:"delayed"`
}

func queueCounts(tb testing.TB, url, key, queue string) counts {
	tb.Helper()
	var q struct{ Counts counts }
	must(tb, http.StatusOK, &q, http.MethodGet, url+"/v1/queues/"+queue, key, "")
	return q.Counts
}

// quiet leaves the request lines out of a log that would only be long.
func quiet(c *server.Config) { c.LogRequests = false }

// metric returns the sum of a metric over its labels, and 0 where there is none.
func metric(tb testing.TB, metricsURL, name string) float64 {
	tb.Helper()
	sum := 0.0
	for line := range strings.Lines(must(tb, http.StatusOK, nil, http.MethodGet, metricsURL+"/metrics", "", "").body) {
		rest, ok := strings.CutPrefix(line, name)
		if !ok || rest[0] != ' ' && rest[0] != '{' {
			continue
		}
		text := strings.TrimSpace(rest[strings.LastIndexByte(rest, ' ')+1:])
		v, err := strconv.ParseFloat(text, 64)
		if err != nil {
			tb.Fatalf("metric %q: %v", line, err)
		}
		sum += v
	}
	return sum
}
