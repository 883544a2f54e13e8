package aws_test

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	sdk "github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/sns"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/google/go-cmp/cmp"

	"github.com/sluicemq/sluice/auth"
	"github.com/sluicemq/sluice/handlers/aws"
	"github.com/sluicemq/sluice/internal/audit"
	"github.com/sluicemq/sluice/internal/clock"
	"github.com/sluicemq/sluice/internal/egress"
	"github.com/sluicemq/sluice/internal/engine"
	"github.com/sluicemq/sluice/internal/keyring"
	"github.com/sluicemq/sluice/internal/redistest"
	"github.com/sluicemq/sluice/internal/tasks"
	"github.com/sluicemq/sluice/queues"
	"github.com/sluicemq/sluice/tenants"
	"github.com/sluicemq/sluice/topics"
	"github.com/sluicemq/sluice/topics/webhook"
)

func TestMain(m *testing.M) { os.Exit(redistest.Main(m)) }

var (
	names     atomic.Int64
	masterKey = base64.StdEncoding.EncodeToString([]byte("0123456789abcdef0123456789abcdef"))
)

const region = "eu-test-1"

// doorTest is a door with a tenant of the test's own, on a clock that the test moves.
type doorTest struct {
	testing.TB
	door    *aws.Door
	clock   *clock.Fake
	queues  *queues.Store
	topics  *topics.Store
	redis   *engine.Engine
	audit   *audit.Store
	keys    *auth.KeyStore
	tenants *tenants.Store
	tenant  tenants.Tenant
	pair    sdk.Credentials
	url     string
	web     *egress.Policy // where webhooks may go; nil: there are none
	sqs     *sqs.Client
	sns     *sns.Client
}

// option changes a door before it opens.
type option func(*doorTest, *engine.Options)

func onMemory(t testing.TB) option {
	return func(_ *doorTest, opt *engine.Options) { opt.URL, opt.Memory = redistest.Memory(t), true }
}

// asTenant lets the door serve the tenant of another one, on the same Redis and by the same clock.
func asTenant(other *doorTest) option {
	return func(h *doorTest, opt *engine.Options) {
		h.clock, h.tenant, h.pair = other.clock, other.tenant, other.pair
		opt.Clock, opt.TestNow = h.clock, func() int64 { return h.clock.Now().UnixMilli() }
	}
}

// open opens a door. The clock begins with that of the SDKs, whose signatures have the time of the machine.
func open(tb testing.TB, options ...option) *doorTest {
	tb.Helper()
	fake := clock.NewFake(time.Now().Truncate(time.Second))
	h := &doorTest{TB: tb, clock: fake, door: &aws.Door{Clock: fake, Region: region}}
	opt := engine.Options{Clock: fake, TestNow: func() int64 { return fake.Now().UnixMilli() }}
	for _, change := range options {
		change(h, &opt)
	}
	h.door.Clock = h.clock
	if opt.URL == "" {
		opt.URL = redistest.URL(tb)
	}
	e, err := engine.Open(opt)
	h.must(err)
	tb.Cleanup(func() { _ = e.Close() })
	h.redis = e
	h.must(e.StartSession(tb.Context()))
	master, _, err := keyring.Open(tb.TempDir(), masterKey, nil)
	h.must(err)
	ring := master.Keyring()
	h.tenants = tenants.New(e, h.clock)
	h.keys = auth.NewKeyStore(e, ring, h.tenants, h.clock)
	storage := tenants.NewStorage(h.tenants)
	h.queues = queues.New(queues.Config{Engine: e, ReceiptKey: ring.Derive("receipts"), Clock: h.clock, Terms: h.tenants.Terms, Storage: storage})
	h.run(h.queues.Run)
	h.audit = audit.New(e)
	d := h.door
	srv := httptest.NewUnstartedServer(d)
	tb.Cleanup(srv.Close)
	h.url = "http://" + srv.Listener.Addr().String()
	d.Notifier = topics.NewNotifier(topics.NotifierConfig{Engine: e, Keys: ring, Region: region, Origin: h.url, Clock: h.clock,
		Account: func(ctx context.Context, id tenants.ID) (string, error) {
			t, err := h.tenants.ByID(ctx, id)
			return t.AccountNumber, err
		}})
	h.topics = topics.New(topics.Config{Engine: e, Queues: h.queues, Clock: h.clock, Terms: h.tenants.Terms, Storage: storage, Notifier: d.Notifier,
		ByAccount: h.tenants.ByAccount})
	d.Topics, d.Audit = h.topics, h.audit
	d.Limiter, d.Meter = tenants.NewLimiter(h.tenants), tenants.NewMeter(h.tenants)
	d.Queues, d.Tenants, d.Auth, d.Tasks, d.NewID = h.queues, h.tenants, auth.NewAuthenticator(h.keys, nil), tasks.New(e, h.clock), e.NewID
	if h.tenant.ID.IsZero() {
		h.tenant, _, err = h.tenants.Put(tb.Context(), fmt.Sprintf("a%d-%d", os.Getpid(), names.Add(1)), tenants.Settings{}, tenants.Condition{})
		h.must(err)
		h.pair = h.newPair(auth.NewKey{Name: "test"})
	}
	if h.web != nil {
		client := egress.New(egress.Config{Policy: *h.web, RootCAs: trusted()})
		tb.Cleanup(client.Close)
		d.Webhooks = webhook.New(webhook.Config{Engine: e, Topics: h.topics, Terms: h.tenants.Terms, Keys: ring, Egress: client, Clock: h.clock})
		h.run(d.Webhooks.Run)
		h.run(h.topics.Run)
	}
	aws.New(d)
	srv.Start()
	h.sqs, h.sns = h.client(h.pair), h.snsClient(h.pair)
	return h
}

func (h *doorTest) run(f func(context.Context) error) {
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

func (h *doorTest) must(err error) {
	h.Helper()
	if err != nil {
		h.Fatal(err)
	}
}

// newPair makes a key with an AWS pair.
func (h *doorTest) newPair(n auth.NewKey) sdk.Credentials {
	h.Helper()
	n.AWS = true
	made, err := h.keys.CreateTenantKey(h.Context(), h.tenant.ID, n)
	h.must(err)
	return sdk.Credentials{AccessKeyID: made.AWSAccessKeyID, SecretAccessKey: made.AWSSecret.Reveal()}
}

// client is the SDK as somebody uses it who has changed the endpoint and nothing else.
func (h *doorTest) client(pair sdk.Credentials) *sqs.Client {
	return sqs.New(sqs.Options{
		Region: region, BaseEndpoint: &h.url, Credentials: credentials.StaticCredentialsProvider{Value: pair}, RetryMaxAttempts: 1,
	})
}

// snsClient is the same for SNS, but that it signs at the time of the test's clock, which may be days ahead.
func (h *doorTest) snsClient(pair sdk.Credentials) *sns.Client {
	return sns.New(sns.Options{
		HTTPSignerV4: movedSigner{v4.NewSigner(), h.clock},
		Region:       region, BaseEndpoint: &h.url, Credentials: credentials.StaticCredentialsProvider{Value: pair}, RetryMaxAttempts: 1,
	})
}

// queue makes a queue and returns its address.
func (h *doorTest) queue(attributes map[string]string) string {
	h.Helper()
	name := fmt.Sprintf("q%d", names.Add(1))
	if strings.EqualFold(attributes["FifoQueue"], "true") {
		name += ".fifo"
	}
	out, err := h.sqs.CreateQueue(h.Context(), &sqs.CreateQueueInput{QueueName: &name, Attributes: attributes})
	h.must(err)
	return *out.QueueUrl
}

func nameOf(address string) string { return address[strings.LastIndexByte(address, '/')+1:] }

func (h *doorTest) arn(address string) string {
	return "arn:aws:sqs:" + region + ":" + h.tenant.AccountNumber + ":" + nameOf(address)
}

// answer is what came back.
type answer struct {
	testing.TB
	status int
	header http.Header
	body   string
}

// signed signs a request in its header, at the time of the test's clock.
func (h *doorTest) signed(method, path, body string, headers ...string) *http.Request {
	h.Helper()
	r, err := http.NewRequestWithContext(h.Context(), method, h.url+path, strings.NewReader(body))
	h.must(err)
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	h.sign(r, body)
	return r
}

func (h *doorTest) sign(r *http.Request, body string) {
	h.Helper()
	h.signFor("sqs", r, body)
}

func (h *doorTest) signFor(service string, r *http.Request, body string) {
	h.Helper()
	sum := sha256.Sum256([]byte(body))
	h.must(v4.NewSigner().SignHTTP(h.Context(), h.pair, r, hex.EncodeToString(sum[:]), service, region, h.clock.Now()))
}

func (h *doorTest) do(r *http.Request) *answer {
	h.Helper()
	res, err := http.DefaultClient.Do(r)
	h.must(err)
	defer func() { _ = res.Body.Close() }()
	body, err := io.ReadAll(res.Body)
	h.must(err)
	a := &answer{h.TB, res.StatusCode, res.Header, string(body)}
	a.wellFormed()
	return a
}

// wellFormed holds for every answer: it can be read, and has an id.
func (a *answer) wellFormed() {
	a.Helper()
	if len(a.header.Get("X-Amzn-Requestid")) != 36 {
		a.Errorf("no request id in %v", a.header)
	}
	if a.header.Get("Content-Type") == "application/x-amz-json-1.0" {
		if !json.Valid([]byte(a.body)) {
			a.Errorf("no JSON: %s", a.body)
		}
		return
	}
	for dec := xml.NewDecoder(strings.NewReader(a.body)); ; {
		if _, err := dec.Token(); errors.Is(err, io.EOF) {
			return
		} else if err != nil {
			a.Errorf("no XML: %v in %s", err, a.body)
			return
		}
	}
}

// json calls an action by the JSON protocol.
func (h *doorTest) json(action, body string) *answer {
	h.Helper()
	return h.do(h.signed("POST", "/", body, "Content-Type", "application/x-amz-json-1.0", "X-Amz-Target", "AmazonSQS."+action))
}

// query calls an action by the query protocol. params are names and values in turn.
func (h *doorTest) query(action string, params ...string) *answer {
	h.Helper()
	form := url.Values{"Action": {action}, "Version": {"2012-11-05"}}
	for i := 0; i < len(params); i += 2 {
		form.Set(params[i], params[i+1])
	}
	return h.form("/", form.Encode())
}

func (h *doorTest) form(path, body string) *answer {
	h.Helper()
	return h.do(h.signed("POST", path, body, "Content-Type", "application/x-www-form-urlencoded; charset=utf-8"))
}

// fails checks an error in either protocol: status, code of the query protocol, shape, and a part of the text.
func (a *answer) fails(status int, code, shape, words string) {
	a.Helper()
	got := struct{ code, shape, message string }{}
	if a.header.Get("Content-Type") == "application/x-amz-json-1.0" {
		var e struct {
			Type    string `json:"__type"`
			Message string `json:"message"`
		}
		if err := json.Unmarshal([]byte(a.body), &e); err != nil {
			a.Fatal(err)
		}
		got.code, _, _ = strings.Cut(a.header.Get("X-Amzn-Query-Error"), ";")
		got.shape, got.message = e.Type, e.Message
	} else {
		var e struct {
			Error struct {
				Type, Code, Message string
				Detail              *struct{}
			}
			RequestID string `xml:"RequestId"`
		}
		if err := xml.Unmarshal([]byte(a.body), &e); err != nil {
			a.Fatal(err)
		}
		if e.RequestID == "" || e.Error.Detail == nil {
			a.Errorf("incomplete: %s", a.body)
		}
		got.code, got.message, shape = e.Error.Code, e.Error.Message, ""
	}
	if a.status != status || got.code != code || !strings.HasSuffix(got.shape, shape) || !strings.Contains(got.message, words) {
		a.Errorf("got %d %s %s %q, want %d %s %s %q", a.status, got.code, got.shape, got.message, status, code, shape, words)
	}
}

// ok fails the test unless the answer is one of success, and reads JSON into v.
func (a *answer) ok(v any) *answer {
	a.Helper()
	if a.status != http.StatusOK {
		a.Fatalf("got %d: %s", a.status, a.body)
	}
	if v != nil {
		if err := json.Unmarshal([]byte(a.body), v); err != nil {
			a.Fatalf("%v in %s", err, a.body)
		}
	}
	return a
}

func diff(tb testing.TB, what string, want, got any) {
	tb.Helper()
	if d := cmp.Diff(want, got); d != "" {
		tb.Errorf("%s (-want +got):\n%s", what, d)
	}
}

// quoted returns s as JSON.
func quoted(s string) string {
	raw, _ := json.Marshal(s)
	return string(raw)
}
