package handlers_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/labstack/echo/v4"

	"github.com/sluicemq/sluice/auth"
	"github.com/sluicemq/sluice/handlers"
	"github.com/sluicemq/sluice/internal/audit"
	"github.com/sluicemq/sluice/internal/clock"
	"github.com/sluicemq/sluice/internal/egress"
	"github.com/sluicemq/sluice/internal/engine"
	"github.com/sluicemq/sluice/internal/keyring"
	"github.com/sluicemq/sluice/internal/logtail"
	"github.com/sluicemq/sluice/internal/redistest"
	"github.com/sluicemq/sluice/internal/tasks"
	"github.com/sluicemq/sluice/monitor"
	"github.com/sluicemq/sluice/monitor/alarms"
	"github.com/sluicemq/sluice/monitor/feed"
	"github.com/sluicemq/sluice/queues"
	"github.com/sluicemq/sluice/tenants"
	"github.com/sluicemq/sluice/topics"
	"github.com/sluicemq/sluice/topics/webhook"
)

var (
	start = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	names atomic.Int64
	// masterKey is the same for all tests of the binary, because they share a Redis.
	masterKey = base64.StdEncoding.EncodeToString([]byte("0123456789abcdef0123456789abcdef"))
)

// apiTest is a server with a tenant of the test's own, on a clock that the test moves.
type apiTest struct {
	testing.TB
	api      *handlers.API
	echo     *echo.Echo
	url      string
	clock    *clock.Fake
	queues   *queues.Store
	topics   *topics.Store
	notifier *topics.Notifier
	tenants  *tenants.Store
	keys     *auth.KeyStore
	tenant   tenants.Tenant
	key      string // of the tenant
	operator string
	log      *lockedBuffer

	serverLog *logtail.Ring // that the API shows
}

// option changes a server before it starts.
type option func(*apiTest, *engine.Options)

func onMemory(t testing.TB) option {
	return func(_ *apiTest, opt *engine.Options) { opt.URL, opt.Memory = redistest.Memory(t), true }
}

func onServer(s *redistest.Server) option {
	return func(_ *apiTest, opt *engine.Options) { opt.URL = s.URL() }
}

func withAPI(change func(*handlers.API)) option {
	return func(h *apiTest, _ *engine.Options) { change(h.api) }
}

// newAPITest starts a server.
func newAPITest(tb testing.TB, options ...option) *apiTest {
	tb.Helper()
	fake := clock.NewFake(start)
	h := &apiTest{TB: tb, clock: fake, api: &handlers.API{Clock: fake, TestHeaders: true}, log: &lockedBuffer{}, serverLog: logtail.New("here", "run1")}
	opt := engine.Options{Clock: fake, TestNow: func() int64 { return fake.Now().UnixMilli() }}
	for _, change := range options {
		change(h, &opt)
	}
	if opt.URL == "" {
		opt.URL = redistest.URL(tb)
	}
	e, err := engine.Open(opt)
	h.must(err)
	tb.Cleanup(func() { _ = e.Close() })
	h.must(e.StartSession(tb.Context()))
	master, _, err := keyring.Open(tb.TempDir(), masterKey, nil)
	h.must(err)
	ring := master.Keyring()
	h.tenants = tenants.New(e, fake)
	h.keys = auth.NewKeyStore(e, ring, h.tenants, fake)
	meter := tenants.NewMeter(h.tenants)
	storage := tenants.NewStorage(h.tenants)
	h.queues = queues.New(queues.Config{Engine: e, ReceiptKey: ring.Derive("receipts"), Clock: fake, Terms: h.tenants.Terms, Storage: storage, Meter: meter})
	a := h.api
	a.Meter, a.Storage, a.Crowd = meter, storage, tenants.NewWaiting()
	a.Queues, a.Tenants, a.Keys, a.Auth = h.queues, h.tenants, h.keys, auth.NewAuthenticator(h.keys, nil)
	a.Audit = audit.New(e)
	h.tenants.OnDelete(func(ctx context.Context, id tenants.ID) error { return a.Audit.Forget(ctx, audit.Log(id.String())) })
	h.notifier = topics.NewNotifier(topics.NotifierConfig{Engine: e, Keys: ring, Region: "us-east-1", Origin: "https://sluice.example", Clock: fake,
		Account: func(ctx context.Context, id tenants.ID) (string, error) {
			t, err := h.tenants.ByID(ctx, id)
			return t.AccountNumber, err
		}})
	h.topics = topics.New(topics.Config{Engine: e, Queues: h.queues, Notifier: h.notifier, Clock: fake, Terms: h.tenants.Terms, Storage: storage, Meter: meter})
	a.Topics = h.topics
	a.Monitor = monitor.New(monitor.Config{Engine: e, Queues: h.queues, Troubles: h.tenants.Troubles, Clock: fake})
	h.tenants.OnDelete(a.Monitor.Forget)
	client := egress.New(egress.Config{Policy: egress.Policy{Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}, AllowHTTP: true}})
	tb.Cleanup(client.Close)
	a.Webhooks = webhook.New(webhook.Config{Engine: e, Topics: h.topics, Terms: h.tenants.Terms, Keys: ring, Egress: client, Meter: meter, Clock: fake})
	a.Alarms = alarms.New(alarms.Config{Engine: e, Monitor: a.Monitor, Topics: h.topics, Webhook: a.Webhooks.Status, Storage: storage, Terms: h.tenants.Terms, Clock: fake})
	h.tenants.OnDelete(a.Alarms.Forget)
	a.Tasks, a.NewID, a.Logger = tasks.New(e, fake), e.NewID, slog.New(slog.NewJSONHandler(h.log, nil))
	a.Feed = feed.New(feed.Config{Audit: a.Audit, Tasks: a.Tasks, Alarms: a.Alarms, Clock: fake})
	a.Limiter, a.Host = tenants.NewLimiter(h.tenants), host{h.serverLog}
	h.run(h.queues.Run)
	h.tenant = h.newTenant()
	h.key = h.newKey(h.tenant.ID)
	slo, err := h.keys.CreateOperatorKey(tb.Context(), auth.NewKey{Name: "test"})
	h.must(err)
	h.operator = slo.Secret.Reveal()
	tb.Cleanup(func() { // operators' keys are few and belong to all
		_ = h.keys.RevokeOperatorKey(context.Background(), slo.ID)
	})
	h.echo = echo.New()
	a.Register(h.echo)
	srv := httptest.NewServer(h.echo)
	tb.Cleanup(srv.Close)
	h.url = srv.URL
	return h
}

// host is a server that is well.
type host struct{ log *logtail.Ring }

func (h host) FollowLog(cursor string) (*logtail.Follower, error) { return h.log.Follow(cursor) }

func (host) System(context.Context) (handlers.System, error) {
	return handlers.System{Nodes: []handlers.StorageNode{}, Settings: []handlers.Setting{}}, nil
}

var wellServer = []handlers.Finding{{Check: "server", Verdict: handlers.VerdictOK, Docs: "docs/operations.md#health"}}

func (host) Examine(context.Context, bool) ([]handlers.Finding, error) { return wellServer, nil }

func (host) Metrics() (string, error) { return "sluice_ready 1\n", nil }

// work lets the server work on purges in this way. It would do so for all tests on its Redis, by its own clock: it needs
// one of its own.
func (h *apiTest) work(purging tasks.Kind) {
	h.run(tasks.NewRunner(tasks.Config{Store: h.api.Tasks, Clock: h.clock, Kinds: map[string]tasks.Kind{queues.PurgeTask: purging}}).Run)
}

// run runs f until the test ends.
func (h *apiTest) run(f func(context.Context) error) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = f(ctx)
	}()
	h.Cleanup(func() {
		cancel()
		<-done
	})
}

func (h *apiTest) must(err error) {
	h.Helper()
	if err != nil {
		h.Fatal(err)
	}
}

func (h *apiTest) newTenant() tenants.Tenant {
	h.Helper()
	t, _, err := h.tenants.Put(h.Context(), fmt.Sprintf("h%d-%d", os.Getpid(), names.Add(1)), tenants.Settings{}, tenants.Condition{})
	h.must(err)
	return t
}

func (h *apiTest) newKey(id tenants.ID) string {
	h.Helper()
	k, err := h.keys.CreateTenantKey(h.Context(), id, auth.NewKey{Name: "test"})
	h.must(err)
	return k.Secret.Reveal()
}

// answer is what came back, after it was found to be as the description says.
type answer struct {
	testing.TB
	status int
	header http.Header
	body   []byte
	asked  string
}

// do sends a request with the tenant's key and returns its answer. headers are names and values in turn; Authorization
// with "" sends no key.
func (h *apiTest) do(method, path, body string, headers ...string) *answer {
	h.Helper()
	req, err := http.NewRequestWithContext(h.Context(), method, h.url+path, strings.NewReader(body))
	h.must(err)
	return h.send(req, body, headers...)
}

// json is do for a body that is called JSON.
func (h *apiTest) json(method, path, body string, headers ...string) *answer {
	h.Helper()
	return h.do(method, path, body, append([]string{"Content-Type", "application/json"}, headers...)...)
}

// unled follows no redirects: they are answers.
var unled = &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}

func (h *apiTest) send(req *http.Request, body string, headers ...string) *answer {
	h.Helper()
	req.Header.Set("Authorization", "Bearer "+h.key)
	for i := 0; i < len(headers); i += 2 {
		if headers[i+1] == "" {
			req.Header.Del(headers[i])
		} else {
			req.Header.Set(headers[i], headers[i+1])
		}
	}
	asked := req.Method + " " + req.URL.RequestURI()
	res, err := unled.Do(req)
	if err != nil {
		h.Fatalf("%s: %v", asked, err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		h.Fatalf("%s: read the answer: %v", asked, err)
	}
	a := &answer{TB: h.TB, status: res.StatusCode, header: res.Header, body: text, asked: asked}
	contract.check(h, req, []byte(body), a)
	return a
}

// is fails the test unless the answer has this status.
func (a *answer) is(status int) *answer {
	a.Helper()
	if a.status != status {
		a.Fatalf("%s: got %d, want %d\n%s", a.asked, a.status, status, a.body)
	}
	return a
}

// into reads the answer, which has no member that v does not know.
func (a *answer) into(v any) {
	a.Helper()
	reflect.ValueOf(v).Elem().SetZero() // maps would keep what an earlier answer left
	dec := json.NewDecoder(bytes.NewReader(a.body))
	dec.DisallowUnknownFields()
	if err := dec.Decode(v); err != nil {
		a.Fatalf("%s: %v in\n%s", a.asked, err, a.body)
	}
}

// problem is the answer as a problem of this status and code.
func (a *answer) problem(status int, code string) handlers.Problem {
	a.Helper()
	a.is(status)
	var p handlers.Problem
	a.into(&p)
	if p.Code != code {
		a.Fatalf("%s: got code %q, want %q\n%s", a.asked, p.Code, code, a.body)
	}
	return p
}

// queue makes a queue and returns its path.
func (h *apiTest) queue(settings string) string {
	h.Helper()
	path := fmt.Sprintf("/v1/queues/q%d", names.Add(1))
	h.json("PUT", path, settings).is(201)
	return path
}

func queueName(path string) string { return path[strings.LastIndexByte(path, '/')+1:] }

// counts returns available, in flight and delayed.
func (h *apiTest) counts(path string) [3]int64 {
	h.Helper()
	st, err := h.queues.Stats(h.Context(), h.tenant.ID, queueName(path))
	h.must(err)
	return [3]int64{st.Available, st.InFlight, st.Delayed}
}

func (h *apiTest) wantCounts(path string, want [3]int64) {
	h.Helper()
	if got := h.counts(path); got != want {
		h.Errorf("counts of %s: got %v, want %v", path, got, want)
	}
}

func (h *apiTest) sendText(path, body string) handlers.SentMessage {
	h.Helper()
	var m handlers.SentMessage
	h.do("POST", path+"/messages", body, "Content-Type", "text/plain").is(201).into(&m)
	return m
}

// receive returns up to n messages.
func (h *apiTest) receive(path string, n int) []handlers.ReceivedMessage {
	h.Helper()
	var r handlers.Received
	h.do("POST", path+"/receive?max="+strconv.Itoa(n), "").is(200).into(&r)
	return r.Messages
}

func bodies(list []handlers.ReceivedMessage) []string {
	out := make([]string, len(list))
	for i, m := range list {
		out[i] = m.Body
	}
	return out
}

// later asks in the background.
func (h *apiTest) later(ask func() *answer) <-chan *answer {
	got := make(chan *answer, 1)
	go func() { got <- ask() }()
	return got
}

// until polls a condition for at most a minute.
func until(tb testing.TB, what string, ok func() bool) {
	tb.Helper()
	for deadline := time.Now().Add(time.Minute); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			tb.Fatalf("not in a minute: %s", what)
		}
	}
}

func diff(tb testing.TB, what string, want, got any) {
	tb.Helper()
	if d := cmp.Diff(want, got); d != "" {
		tb.Errorf("%s (-want +got):\n%s", what, d)
	}
}

// instant is a time after the start, as answers hold it.
func instant(after time.Duration) *handlers.Instant { return &handlers.Instant{Time: start.Add(after)} }

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

var requestID = regexp.MustCompile(`^req_[0-9a-z]{20}$`)
