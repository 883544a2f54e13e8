package server_test

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/sluicemq/sluice/handlers"
	"github.com/sluicemq/sluice/internal/egress/egresstest"
	"github.com/sluicemq/sluice/server/servertest"
)

// loopback lets webhooks reach the receivers of tests.
var loopback = []string{"SLUICE_EGRESS_ALLOW=127.0.0.1", "SLUICE_EGRESS_ALLOW_HTTP=true"}

// The receiver of the documentation verifies what the program sends, and refuses what somebody else does.
func TestTheReceiverOfTheDocumentationVerifies(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../docs/webhooks.md")
	if err != nil {
		t.Fatal(err)
	}
	code := regexp.MustCompile("(?ms)^```python\n(.*?)^```").FindSubmatch(page)
	if code == nil {
		t.Fatal("docs/webhooks.md has no receiver")
	}
	file := filepath.Join(t.TempDir(), "receiver.py")
	if err := os.WriteFile(file, code[1], 0o600); err != nil {
		t.Fatal(err)
	}
	const secret = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oDszrx2cZ8dPs="
	port := servertest.FreePort(t)
	cmd := exec.Command("python3", file)
	cmd.Env = append(servertest.CleanEnv(), "SECRETS="+secret, fmt.Sprint("PORT=", port))
	var out servertest.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	p := servertest.StartProcess(t, servertest.ProcessOptions{Env: loopback})
	p.WaitReady()
	const topic = "/v1/topics/orders.created"
	must(t, http.StatusCreated, nil, http.MethodPut, p.URL+topic, p.Key, "")
	for i, s := range []string{secret, "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="} {
		must(t, http.StatusCreated, nil, http.MethodPut, p.URL+topic+fmt.Sprint("/subscriptions/s", i), p.Key,
			fmt.Sprintf(`{"endpoint":"http://127.0.0.1:%d/","secret":%q}`, port, s))
	}
	must(t, http.StatusCreated, nil, http.MethodPost, p.URL+topic+"/messages", p.Key, "hello")
	until(t, "the receiver has seen both", func() bool {
		return strings.Contains(out.String(), " ours b'hello'") && strings.Contains(out.String(), " NOT ours b'hello'")
	})
}

// The program is killed while it sends, and started again: all that was acknowledged arrives.
func TestG14_WebhooksOutliveTheProgram(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	seen := map[string]int{}
	rc := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		mu.Lock()
		defer mu.Unlock()
		seen[r.URL.Path+" "+string(body)]++
	}))
	t.Cleanup(rc.Close)
	count := func() int {
		mu.Lock()
		defer mu.Unlock()
		return len(seen)
	}
	p := servertest.StartProcess(t, servertest.ProcessOptions{Env: loopback})
	p.WaitReady()
	const topic, hooks, messages = "/v1/topics/orders.created", 5, 200
	must(t, http.StatusCreated, nil, http.MethodPut, p.URL+topic, p.Key, "")
	for i := range hooks {
		must(t, http.StatusCreated, nil, http.MethodPut, p.URL+topic+fmt.Sprint("/subscriptions/s", i), p.Key, fmt.Sprintf(`{"endpoint":"%s/%d","timeout":1}`, rc.URL, i))
	}
	batch := ""
	for i := range messages {
		batch += fmt.Sprintf("m%d\n", i)
	}
	must(t, http.StatusCreated, nil, http.MethodPost, p.URL+topic+"/messages/batch", p.Key, batch, "Content-Type", "application/x-ndjson")
	until(t, "some have arrived", func() bool { return count() > 50 })
	p.Kill9()
	before := count()
	p.Restart()
	p.WaitReady()
	until(t, "all that was acknowledged has arrived", func() bool { return count() == hooks*messages })
	mu.Lock()
	defer mu.Unlock()
	twice := 0
	for _, n := range seen {
		twice += n - 1
	}
	t.Logf("%d deliveries, %d of them before the kill, missing 0, more than once %d", hooks*messages, before, twice)
}

// With a proxy in the settings what leaves the program goes through it, also after a restart; when it does not let the program in,
// the answer says so, and neither that nor the log has the password.
func TestWhatLeavesTheProgramGoesThroughTheProxy(t *testing.T) {
	t.Parallel()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	proxy := egresstest.NewProxy(t, l)
	var came atomic.Int64
	rc := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { came.Add(1) }))
	t.Cleanup(rc.Close)
	p := servertest.StartProcess(t, servertest.ProcessOptions{Env: append([]string{"SLUICE_EGRESS_PROXY=http://me:s3cret@" + proxy.Addr}, loopback...)})
	p.WaitReady()
	const topic = "/v1/topics/orders.created"
	must(t, http.StatusCreated, nil, http.MethodPut, p.URL+topic, p.Key, "")
	must(t, http.StatusCreated, nil, http.MethodPut, p.URL+topic+"/subscriptions/s", p.Key, fmt.Sprintf(`{"endpoint":%q}`, rc.URL))
	must(t, http.StatusCreated, nil, http.MethodPost, p.URL+topic+"/messages", p.Key, "one")
	until(t, "it came", func() bool { return came.Load() == 1 })
	if asked := proxy.Asked(); len(asked) != 1 || "http://"+asked[0].Host != rc.URL {
		t.Errorf("the proxy was asked %v", asked)
	}
	p.Kill9()
	p.Restart()
	p.WaitReady()
	proxy.Answer(func(string) string { return "HTTP/1.1 407 Proxy Authentication Required\r\n\r\n" })
	var d handlers.Delivery
	must(t, http.StatusOK, &d, http.MethodPost, p.URL+topic+"/subscriptions/s/test", p.Key, "")
	if d.Error == nil || d.Error.Code != "proxy_failed" || !strings.Contains(d.Error.Detail, "proxy") || strings.Contains(d.Error.Detail, proxy.Addr) {
		t.Errorf("the test says %+v", d.Error)
	}
	until(t, "the log says so", func() bool { return strings.Contains(p.Log(), "the proxy for outgoing requests failed") })
	if text := p.Log(); strings.Contains(text, "s3cret") {
		t.Errorf("the log says %s", text)
	}
}
