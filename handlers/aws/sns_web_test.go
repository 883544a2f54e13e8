package aws_test

import (
	"context"
	"crypto"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	sdk "github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/service/sns"

	"github.com/sluicemq/sluice/auth"
	"github.com/sluicemq/sluice/internal/clock"
	"github.com/sluicemq/sluice/internal/egress"
	"github.com/sluicemq/sluice/internal/engine"
	"github.com/sluicemq/sluice/internal/redistest"
	"github.com/sluicemq/sluice/tenants"
	"github.com/sluicemq/sluice/topics"
	"github.com/sluicemq/sluice/topics/webhook"
)

// withWeb lets web endpoints of the machine subscribe, on a Redis of the test's own: who sends for what is the installation's.
func withWeb(tb testing.TB) option {
	return func(h *doorTest, opt *engine.Options) {
		h.web = &egress.Policy{Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}, AllowHTTP: true}
		if opt.URL == "" {
			opt.URL = redistest.Start(tb, redistest.Options{}).URL()
		}
	}
}

// at lets a door be one of another server of an installation.
func at(address string) option { return func(_ *doorTest, opt *engine.Options) { opt.URL = address } }

// onBoth runs a test on Redis and on the in-memory engine.
func onBoth(t *testing.T, test func(t *testing.T, h *doorTest)) {
	t.Parallel()
	t.Run("redis", func(t *testing.T) {
		t.Parallel()
		test(t, open(t, withWeb(t)))
	})
	t.Run("memory", func(t *testing.T) {
		t.Parallel()
		test(t, open(t, onMemory(t), withWeb(t)))
	})
}

// post is a request that an endpoint got.
type post struct {
	header           http.Header
	body             string
	user, pass       string
	Type, MessageId  string //nolint:revive,staticcheck // as SNS writes them
	TopicArn         string
	Message, Subject string
	Token            string
	SubscribeURL     string
	UnsubscribeURL   string
	Timestamp        string
	SignatureVersion string
	Signature        string
	SigningCertURL   string
}

// webEnd is an endpoint that remembers what came.
type webEnd struct {
	*httptest.Server
	mu     sync.Mutex
	list   []post
	status func(n int, p post) int // what to answer to the nth; nil: 200
}

func newWebEnd(tb testing.TB) *webEnd {
	tb.Helper()
	return newEnd(tb, httptest.NewServer)
}

// trusted are the authorities by which an endpoint of httptest.NewTLSServer is known.
var trusted = sync.OnceValue(func() *x509.CertPool {
	srv := httptest.NewTLSServer(nil)
	defer srv.Close()
	pool := x509.NewCertPool()
	pool.AddCert(srv.Certificate())
	return pool
})

func newEnd(tb testing.TB, serve func(http.Handler) *httptest.Server) *webEnd {
	tb.Helper()
	e := &webEnd{}
	e.Server = serve(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		p := post{header: r.Header, body: string(body)}
		p.user, p.pass, _ = r.BasicAuth()
		_ = json.Unmarshal(body, &p)
		e.mu.Lock()
		e.list = append(e.list, p)
		n, status := len(e.list), e.status
		e.mu.Unlock()
		if status != nil {
			w.WriteHeader(status(n, p))
		}
	}))
	tb.Cleanup(e.Close)
	return e
}

func (e *webEnd) answers(status func(n int, p post) int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.status = status
}

func (e *webEnd) got() []post {
	e.mu.Lock()
	defer e.mu.Unlock()
	return slices.Clone(e.list)
}

// nth waits for the nth request.
func (e *webEnd) nth(tb testing.TB, n int) post {
	tb.Helper()
	until(tb, fmt.Sprintf("request %d", n), func() bool { return len(e.got()) >= n })
	return e.got()[n-1]
}

// movedSigner signs at the time of the test's clock.
type movedSigner struct {
	*v4.Signer
	clock *clock.Fake
}

func (s movedSigner) SignHTTP(ctx context.Context, c sdk.Credentials, r *http.Request, hash, service, region string, _ time.Time, opts ...func(*v4.SignerOptions)) error {
	return s.Signer.SignHTTP(ctx, c, r, hash, service, region, s.clock.Now(), opts...)
}

// forward moves the clock in small steps until a condition holds, at most so far.
func (h *doorTest) forward(most time.Duration, what string, ok func() bool) {
	h.Helper()
	for end := h.clock.Now().Add(most); !ok(); h.clock.Advance(max(time.Second, most/50)) {
		for try := 0; try < 20 && !ok(); try++ {
			time.Sleep(time.Millisecond)
		}
		if h.clock.Now().After(end) {
			h.Fatalf("not in %v: %s", most, what)
		}
	}
}

// subscribeWeb subscribes an endpoint and returns the ARN.
func (h *doorTest) subscribeWeb(topic, endpoint string, attributes map[string]string) string {
	h.Helper()
	protocol, _, _ := strings.Cut(endpoint, ":")
	out, err := h.sns.Subscribe(h.Context(), &sns.SubscribeInput{TopicArn: &topic, Protocol: &protocol, Endpoint: &endpoint, Attributes: attributes, ReturnSubscriptionArn: true})
	h.must(err)
	return *out.SubscriptionArn
}

// follow makes a GET of an address in a message.
func (h *doorTest) follow(address string) *answer {
	h.Helper()
	u, err := url.Parse(address)
	h.must(err)
	return h.unsigned(u.RawQuery)
}

// confirmed subscribes an endpoint that confirms at once.
func (h *doorTest) confirmed(topic string, e *webEnd, attributes map[string]string) string {
	h.Helper()
	n := len(e.got())
	sub := h.subscribeWeb(topic, e.URL, attributes)
	h.follow(e.nth(h, n+1).SubscribeURL).ok(nil)
	return sub
}

// signedRight checks the signature of a message by the certificate that it names.
func (h *doorTest) signedRight(p post) bool {
	h.Helper()
	text := ""
	for _, m := range [][2]string{{"Message", p.Message}, {"MessageId", p.MessageId}, {"Subject", p.Subject}, {"SubscribeURL", p.SubscribeURL},
		{"Timestamp", p.Timestamp}, {"Token", p.Token}, {"TopicArn", p.TopicArn}, {"Type", p.Type}} {
		if m[1] != "" {
			text += m[0] + "\n" + m[1] + "\n"
		}
	}
	signature, err := base64.StdEncoding.DecodeString(p.Signature)
	h.must(err)
	key := h.certificate(p.SigningCertURL).PublicKey.(*rsa.PublicKey)
	if p.SignatureVersion == "2" {
		sum := sha256.Sum256([]byte(text))
		return rsa.VerifyPKCS1v15(key, crypto.SHA256, sum[:], signature) == nil
	}
	sum := sha1.Sum([]byte(text))
	return rsa.VerifyPKCS1v15(key, crypto.SHA1, sum[:], signature) == nil
}

func (h *doorTest) listedARNs(topic string) []string {
	h.Helper()
	out, err := h.sns.ListSubscriptionsByTopic(h.Context(), &sns.ListSubscriptionsByTopicInput{TopicArn: &topic})
	h.must(err)
	list := []string{}
	for _, s := range out.Subscriptions {
		list = append(list, *s.SubscriptionArn)
	}
	return list
}

func (h *doorTest) setSub(sub, name, value string) {
	h.Helper()
	h.ask("SetSubscriptionAttributes", "SubscriptionArn", sub, "AttributeName", name, "AttributeValue", value).ok(nil)
}

func TestN23_WebEndpointsHaveTheProtocolOfTheirURL(t *testing.T) {
	t.Parallel()
	h := open(t, onMemory(t), withWeb(t))
	topic := h.topic(nil)
	refused := func(protocol, endpoint, words string) {
		t.Helper()
		h.refusesTo("Subscribe", words, "TopicArn", topic, "Protocol", protocol, "Endpoint", endpoint)
	}
	const mismatch = "Invalid parameter: Endpoint must match the specified protocol"
	refused("https", "http://127.0.0.1/", mismatch)
	refused("http", "https://127.0.0.1/", mismatch)
	refused("http", "127.0.0.1", mismatch)
	refused("http", "", "Endpoint")
	refused("https", "https://10.0.0.1/", "Invalid parameter: Endpoint Reason: ")
	refused("https", "https://a b/", "Invalid parameter: Endpoint Reason: ")
	h.refusesTo("Subscribe", "only SQS queues", "TopicArn", h.topic(map[string]string{"FifoTopic": "true"}), "Protocol", "https", "Endpoint", "https://example.com/")
	diff(t, "none was made", []string{}, h.listedARNs(topic))
	// Where the operator does not allow plain http, nobody subscribes by it.
	strict := open(t, onMemory(t), func(h *doorTest, _ *engine.Options) { h.web = &egress.Policy{} })
	strict.refusesTo("Subscribe", "Invalid parameter: Endpoint Reason: The URL must begin with https://", "TopicArn", strict.topic(nil), "Protocol", "http", "Endpoint", "http://example.com/")
}

func TestN16_AWebEndpointGetsWhatIsSaidToItsProtocol(t *testing.T) {
	onBoth(t, func(t *testing.T, h *doorTest) {
		topic, q, dead := h.topic(nil), h.queue(nil), h.queue(nil)
		plain, raw, secure, refusing := newWebEnd(t), newWebEnd(t), newEnd(t, httptest.NewTLSServer), newWebEnd(t)
		h.subscribe(topic, q, map[string]string{"RawMessageDelivery": "true"})
		sub := h.confirmed(topic, plain, nil)
		h.confirmed(topic, raw, map[string]string{"RawMessageDelivery": "true"})
		h.confirmed(topic, secure, nil)
		h.confirmed(topic, refusing, map[string]string{"RawMessageDelivery": "true", "RedrivePolicy": h.redrivePolicy(dead)})
		refusing.answers(func(int, post) int { return 404 })
		h.clock.Advance(time.Second)
		publish := func(n int, message string, want ...string) {
			t.Helper()
			h.ask("Publish", "TopicArn", topic, "Message", message, "MessageStructure", "json").ok(nil)
			p, s := plain.nth(t, n), secure.nth(t, n)
			diff(t, message, want, []string{*h.next(q).Body, p.Message, raw.nth(t, n).body, s.Message, *h.next(dead).Body})
			if !h.signedRight(p) || !h.signedRight(s) {
				t.Error("a notification is not signed as it is")
			}
		}
		publish(2, `{"default":"d","sqs":"q","http":"h","https":"s"}`, "q", "h", "h", "s", "h")
		publish(3, `{"default":"d","https":"s"}`, "d", "d", "d", "s", "d")
		publish(4, `{"default":"d","sqs":"q","http":7}`, "q", "d", "d", "d", "d")
		// What is tried again says the same.
		plain.answers(func(n int, _ post) int { return map[bool]int{true: 500, false: 200}[n == 5] })
		h.ask("PublishBatch", "TopicArn", topic, "PublishBatchRequestEntries.member.1.Id", "a", "PublishBatchRequestEntries.member.1.MessageStructure", "json",
			"PublishBatchRequestEntries.member.1.Message", `{"default":"d","http":"again"}`).ok(nil)
		way, err := h.topics.Of(t.Context(), h.tenant.ID, nameOfARN(topic), nameOfARN(sub))
		h.must(err)
		until(t, "another attempt is planned", func() bool {
			log, _, err := h.door.Webhooks.Attempts(t.Context(), way, 0, 100, func(a *webhook.Attempt) bool { return a.Outcome == webhook.Retrying })
			h.must(err)
			return len(log) == 1
		})
		h.clock.Advance(30 * time.Second)
		diff(t, "attempts", []string{"again", "again"}, []string{plain.nth(t, 5).Message, plain.nth(t, 6).Message})
		for _, message := range []string{`{"default":"d","https":""}`, `{"default":"d","http":"\u0001"}`} {
			h.refusesTo("Publish", "Invalid parameter: Empty message", "TopicArn", topic, "Message", message, "MessageStructure", "json")
		}
	})
}

func TestN25_AWebEndpointIsPendingUntilItConfirms(t *testing.T) {
	onBoth(t, func(t *testing.T, h *doorTest) {
		topic, e := h.topic(nil), newWebEnd(t)
		h.ask("Subscribe", "TopicArn", topic, "Protocol", "http", "Endpoint", e.URL).ok(nil)
		if got := h.ask("Subscribe", "TopicArn", topic, "Protocol", "http", "Endpoint", e.URL).between("<SubscriptionArn>", "</SubscriptionArn>"); got != "pending confirmation" {
			t.Errorf("the answer is %s", got)
		}
		sub := h.subscribeWeb(topic, e.URL, nil)
		if !strings.HasPrefix(sub, topic+":") {
			t.Errorf("the ARN is %s", sub)
		}
		want := map[string]string{"SubscriptionArn": sub, "TopicArn": topic, "Owner": h.tenant.AccountNumber, "Protocol": "http", "Endpoint": e.URL, "PendingConfirmation": "true",
			"ConfirmationWasAuthenticated": "false", "RawMessageDelivery": "false", "SubscriptionPrincipal": "arn:aws:iam::" + h.tenant.AccountNumber + ":root",
			"EffectiveDeliveryPolicy": `{"healthyRetryPolicy":{"minDelayTarget":20,"maxDelayTarget":20,"numRetries":3,"numMaxDelayRetries":0,"numNoDelayRetries":0,"numMinDelayRetries":0,"backoffFunction":"linear"},"sicklyRetryPolicy":null,"throttlePolicy":null,"requestPolicy":{"headerContentType":"text/plain; charset=UTF-8"},"guaranteed":false}`}
		diff(t, "pending", want, h.attributesOf(sub))
		diff(t, "listed", []string{"PendingConfirmation"}, h.listedARNs(topic))
		counts := func() []string {
			got := h.attributesOf(topic)
			return []string{got["SubscriptionsConfirmed"], got["SubscriptionsPending"], got["SubscriptionsDeleted"]}
		}
		diff(t, "counts", []string{"0", "1", "0"}, counts())

		asked := e.nth(t, 1)
		h.publish(topic, nil) // N-18: before it is confirmed
		until(t, "that is carried", func() bool {
			s, err := h.topics.GetSubscription(t.Context(), h.tenant.ID, nameOfARN(topic), nameOfARN(sub))
			h.must(err)
			return s.Dropped == 1 && s.Lag == 0
		})
		got := h.follow(asked.SubscribeURL).ok(nil)
		diff(t, "the answer", sub, got.between("<ConfirmSubscriptionResult><SubscriptionArn>", "</SubscriptionArn>"))
		want["PendingConfirmation"] = "false"
		diff(t, "confirmed", want, h.attributesOf(sub))
		diff(t, "listed", []string{sub}, h.listedARNs(topic))
		diff(t, "counts", []string{"1", "0", "0"}, counts())
		h.clock.Advance(time.Second)
		h.publish(topic, func(in *sns.PublishInput) { in.Message = sdk.String("after") })
		until(t, "a notification", func() bool {
			return slices.ContainsFunc(e.got(), func(p post) bool { return p.Type == "Notification" })
		})
		for _, p := range e.got() {
			if p.Type == "Notification" && p.Message != "after" {
				t.Errorf("it got %s", p.body)
			}
		}
		// N-26: who subscribes again as it is gets the ARN.
		diff(t, "again", sub, h.ask("Subscribe", "TopicArn", topic, "Protocol", "http", "Endpoint", e.URL).between("<SubscriptionArn>", "</SubscriptionArn>"))
	})
}

func TestN26_AWebEndpointSubscribesOnce(t *testing.T) {
	t.Parallel()
	h := open(t, onMemory(t), withWeb(t))
	topic, e := h.topic(nil), newWebEnd(t)
	const policy = `{"healthyRetryPolicy":{"numRetries":5}}`
	sub := h.subscribeWeb(topic, e.URL, map[string]string{"DeliveryPolicy": policy})
	diff(t, "the same", sub, h.subscribeWeb(topic, e.URL, map[string]string{"DeliveryPolicy": `{ "healthyRetryPolicy": {"numRetries": 5} }`}))
	diff(t, "the same", sub, h.subscribeWeb(topic, e.URL, nil))
	h.refusesTo("Subscribe", "Subscription already exists with different attributes", "TopicArn", topic, "Protocol", "http", "Endpoint", e.URL,
		"Attributes.entry.1.key", "DeliveryPolicy", "Attributes.entry.1.value", `{"healthyRetryPolicy":{"numRetries":6}}`)
	if other := h.subscribeWeb(topic, e.URL+"/other", nil); other == sub {
		t.Error("another endpoint has the same subscription")
	}
	// A webhook that was made by REST is the same, and needs no confirmation.
	_, _, err := h.topics.PutSubscription(t.Context(), h.tenant.ID, nameOfARN(topic), "by-rest", topics.SubscriptionSettings{Endpoint: webhook.Endpoint{URL: e.URL + "/rest"}.Encode()}, topics.Condition{})
	h.must(err)
	diff(t, "by REST", topic+":by-rest", h.ask("Subscribe", "TopicArn", topic, "Protocol", "http", "Endpoint", e.URL+"/rest").between("<SubscriptionArn>", "</SubscriptionArn>"))
	h.refusesTo("SetSubscriptionAttributes", "DeliveryPolicy: is only for subscriptions", "SubscriptionArn", topic+":by-rest", "AttributeName", "DeliveryPolicy", "AttributeValue", policy)
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() { h.subscribeWeb(topic, e.URL+"/many", nil) })
	}
	all.Wait()
	diff(t, "of many at once one makes it", 4, len(h.listedARNs(topic)))
}

// lateWebhooks are ones to which the first subscription does not come before it is let go.
type lateWebhooks struct {
	topics.Webhooks
	first atomic.Bool
	came  chan topics.Way
	goOn  chan struct{}
}

func (l *lateWebhooks) Configure(ctx context.Context, w topics.Way, set topics.WaySettings) error {
	if l.first.CompareAndSwap(false, true) {
		l.came <- w
		<-l.goOn
	}
	return l.Webhooks.Configure(ctx, w, set)
}

func TestN26_WhoSubscribesInTheMiddleOfAnotherGetsTheSame(t *testing.T) {
	onBoth(t, func(t *testing.T, h *doorTest) {
		late := &lateWebhooks{Webhooks: h.door.Webhooks, came: make(chan topics.Way, 1), goOn: make(chan struct{})}
		h.topics.Connect(late)
		topic, e := h.topic(nil), newWebEnd(t)
		first := make(chan string, 1)
		go func() { first <- h.subscribeWeb(topic, e.URL, nil) }()
		w := <-late.came
		second := h.subscribeWeb(topic, e.URL, nil)
		close(late.goOn)
		diff(t, "the first and the second", second, <-first)
		s, err := h.topics.GetSubscription(t.Context(), h.tenant.ID, w.Topic, w.Subscription)
		h.must(err)
		diff(t, "it is the one that was stored first", w.UID, s.Way.UID)
	})
}

// hexToken is one that nobody made.
var hexToken = strings.Repeat("0a", 100)

func TestN32_ATokenConfirmsAgainAsLongAsItLives(t *testing.T) {
	onBoth(t, func(t *testing.T, h *doorTest) {
		topic, e := h.topic(nil), newWebEnd(t)
		sub := h.subscribeWeb(topic, e.URL, nil)
		asked := e.nth(t, 1)
		diff(t, "the link", h.url+"/?Action=ConfirmSubscription&TopicArn="+topic+"&Token="+asked.Token, asked.SubscribeURL)
		for range 2 {
			diff(t, "by link", sub, h.follow(asked.SubscribeURL).between("<SubscriptionArn>", "</SubscriptionArn>"))
		}
		diff(t, "by nobody that is known", "false", h.attributesOf(sub)["ConfirmationWasAuthenticated"])
		out, err := h.sns.ConfirmSubscription(t.Context(), &sns.ConfirmSubscriptionInput{TopicArn: &topic, Token: &asked.Token})
		h.must(err)
		diff(t, "signed", sub, *out.SubscriptionArn)
		diff(t, "who confirmed is known", "true", h.attributesOf(sub)["ConfirmationWasAuthenticated"])
		// Only the token counts, not the topic.
		h.unsigned("Action=ConfirmSubscription&TopicArn=" + topic + "x&Token=" + asked.Token).ok(nil)
		h.clock.Advance(topics.ConfirmTime)
		h.follow(asked.SubscribeURL).fails(400, "InvalidParameter", "", "Invalid parameter: Token")
		diff(t, "it stays confirmed", "false", h.attributesOf(sub)["PendingConfirmation"])
	})
}

func TestN33_NoOtherTokenConfirmsASubscription(t *testing.T) {
	t.Parallel()
	h := open(t, onMemory(t), withWeb(t))
	topic, e := h.topic(nil), newWebEnd(t)
	sub := h.subscribeWeb(topic, e.URL, nil)
	token := e.nth(t, 1).Token
	pending := func(what string) {
		t.Helper()
		diff(t, what, "true", h.attributesOf(sub)["PendingConfirmation"])
	}
	changed := token[:len(token)-1] + "0"
	if changed == token {
		changed = token[:len(token)-1] + "1"
	}
	for _, wrong := range []string{hexToken, changed, token + "00", token[:len(token)-2]} {
		h.unsigned("Action=ConfirmSubscription&TopicArn="+topic+"&Token="+wrong).fails(400, "InvalidParameter", "", "Invalid parameter: Token")
	}
	for _, wrong := range []string{"abc", strings.ToUpper(token), token + "!"} {
		h.unsigned("Action=ConfirmSubscription&TopicArn="+topic+"&Token="+url.QueryEscape(wrong)).fails(400, "InvalidParameter", "", "Invalid token")
	}
	h.unsigned("Action=ConfirmSubscription&TopicArn=x&Token="+token).fails(400, "InvalidParameter", "", "Invalid parameter: Topic")
	h.unsigned("Action=ConfirmSubscription&TopicArn="+strings.Replace(topic, region, "us-west-9", 1)+"&Token="+token).fails(400, "InvalidParameter", "", "Invalid parameter: Topic")
	h.refusesTo("ConfirmSubscription", "AuthenticateOnUnsubscribe", "TopicArn", topic, "Token", token, "AuthenticateOnUnsubscribe", "maybe")
	pending("after wrong tokens")

	// Another tenant cannot use it, nor does a token of its own help.
	other, _, err := h.tenants.Put(t.Context(), fmt.Sprintf("other%d", names.Add(1)), tenants.Settings{}, tenants.Condition{})
	h.must(err)
	mine, pair := h.tenant, h.pair
	h.tenant = other
	h.pair = h.newPair(auth.NewKey{Name: "other"})
	h.refusesTo("ConfirmSubscription", "Invalid parameter: Token", "TopicArn", topic, "Token", token)
	h.tenant, h.pair = mine, pair
	pending("after another tenant's request")

	// A token is for the endpoint as it was, and for the subscription that there was.
	_, err = h.topics.UpdateSubscription(t.Context(), h.tenant.ID, nameOfARN(topic), nameOfARN(sub), topics.Condition{}, func(s topics.SubscriptionSettings) topics.SubscriptionSettings {
		end, err := webhook.ParseEndpoint(s.Endpoint)
		h.must(err)
		end.URL += "/moved"
		s.Endpoint = end.Encode()
		return s
	})
	h.must(err)
	h.unsigned("Action=ConfirmSubscription&TopicArn="+topic+"&Token="+token).fails(400, "InvalidParameter", "", "Invalid parameter: Token")
	pending("after the old token")
	h.ask("Unsubscribe", "SubscriptionArn", sub).ok(nil)
	again := h.subscribeWeb(topic, e.URL, nil)
	diff(t, "made again", sub, again)
	h.unsigned("Action=ConfirmSubscription&TopicArn="+topic+"&Token="+token).fails(400, "InvalidParameter", "", "Invalid parameter: Token")
	pending("after the token of the one before")
}

func TestN31_WhoDoesNotConfirmIsForgottenAfterThreeDays(t *testing.T) {
	onBoth(t, func(t *testing.T, h *doorTest) {
		topic, e, slow := h.topic(nil), newWebEnd(t), newWebEnd(t)
		kept := h.confirmed(topic, e, nil)
		h.subscribeWeb(topic, slow.URL, nil)
		token := slow.nth(t, 1).Token
		h.clock.Advance(topics.ConfirmTime - time.Minute)
		diff(t, "a minute before", []string{"PendingConfirmation", kept}, sortedARNs(h.listedARNs(topic)))
		h.clock.Advance(time.Minute)
		h.forward(time.Minute, "it is gone", func() bool { return len(h.listedARNs(topic)) == 1 })
		diff(t, "the other one stays", []string{kept}, h.listedARNs(topic))
		h.unsigned("Action=ConfirmSubscription&TopicArn="+topic+"&Token="+token).fails(400, "InvalidParameter", "", "Invalid parameter: Token")
		// Who subscribes again has another three days.
		n := len(slow.got())
		h.subscribeWeb(topic, slow.URL, nil)
		h.follow(slow.nth(t, n+1).SubscribeURL).ok(nil)
		h.clock.Advance(2 * topics.ConfirmTime)
		diff(t, "both", 2, len(h.listedARNs(topic)))
	})
}

func sortedARNs(list []string) []string {
	slices.Sort(list)
	return list
}

func TestN34_SubscribingAgainAsksAgain(t *testing.T) {
	onBoth(t, func(t *testing.T, h *doorTest) {
		topic, e := h.topic(nil), newWebEnd(t)
		sub := h.subscribeWeb(topic, e.URL, nil)
		first := e.nth(t, 1)
		h.clock.Advance(time.Hour)
		if n := len(e.got()); n != 1 {
			t.Errorf("it was asked %d times, and had answered", n)
		}
		h.clock.Advance(2*24*time.Hour - time.Hour)
		h.subscribeWeb(topic, e.URL, nil)
		second := e.nth(t, 2)
		if first.Token == second.Token || first.MessageId == second.MessageId {
			t.Error("the second question is the first")
		}
		h.clock.Advance(2 * 24 * time.Hour)
		diff(t, "it has three days more", []string{"PendingConfirmation"}, h.listedARNs(topic))
		h.follow(first.SubscribeURL).fails(400, "InvalidParameter", "", "Token")
		h.follow(second.SubscribeURL).ok(nil)
		diff(t, "confirmed", []string{sub}, h.listedARNs(topic))
	})
}

func TestN36_WhoUnsubscribesByTheLinkMayComeBack(t *testing.T) {
	onBoth(t, func(t *testing.T, h *doorTest) {
		topic, e := h.topic(nil), newWebEnd(t)
		sub := h.confirmed(topic, e, nil)
		h.clock.Advance(time.Minute)
		h.publish(topic, nil)
		link := e.nth(t, 2).UnsubscribeURL
		h.follow(link).ok(nil)
		asked := e.nth(t, 3)
		diff(t, "the question", []string{"UnsubscribeConfirmation", "UnsubscribeConfirmation", sub,
			"You have chosen to deactivate subscription " + sub + ".\nTo cancel this operation and restore the subscription, visit the SubscribeURL included in this message."},
			[]string{asked.Type, asked.header.Get("x-amz-sns-message-type"), asked.header.Get("x-amz-sns-subscription-arn"), asked.Message})
		if !h.signedRight(asked) {
			t.Error("the question is not signed")
		}
		h.follow(link).ok(nil)
		diff(t, "listed", []string{"Deleted"}, h.listedARNs(topic))
		diff(t, "counted", "1", h.attributesOf(topic)["SubscriptionsDeleted"])
		h.ask("GetSubscriptionAttributes", "SubscriptionArn", sub).fails(404, "NotFound", "", "Subscription does not exist")
		h.publish(topic, func(in *sns.PublishInput) { in.Message = sdk.String("lost") })
		h.clock.Advance(time.Minute)
		h.follow(asked.SubscribeURL).ok(nil)
		diff(t, "restored", []string{sub}, h.listedARNs(topic))
		h.clock.Advance(time.Minute)
		h.publish(topic, func(in *sns.PublishInput) { in.Message = sdk.String("kept") })
		diff(t, "what comes", "kept", e.nth(t, 4).Message)
		// Nobody restores it: it ends.
		h.follow(e.nth(t, 4).UnsubscribeURL).ok(nil)
		h.clock.Advance(topics.ConfirmTime)
		h.forward(time.Minute, "it is gone", func() bool { return len(h.listedARNs(topic)) == 0 })
		// Its owner ends one at once, and nobody is asked.
		sub = h.confirmed(topic, e, nil)
		n := len(e.got())
		h.ask("Unsubscribe", "SubscriptionArn", sub).ok(nil)
		diff(t, "ended", []string{}, h.listedARNs(topic))
		diff(t, "requests", n, len(e.got()))
	})
}

func TestN36_ALockedSubscriptionEndsBySignatureOnly(t *testing.T) {
	t.Parallel()
	h := open(t, onMemory(t), withWeb(t))
	topic, e := h.topic(nil), newWebEnd(t)
	sub := h.subscribeWeb(topic, e.URL, nil)
	token := e.nth(t, 1).Token
	_, err := h.sns.ConfirmSubscription(t.Context(), &sns.ConfirmSubscriptionInput{TopicArn: &topic, Token: &token, AuthenticateOnUnsubscribe: sdk.String("true")})
	h.must(err)
	h.unsigned("Action=ConfirmSubscription&TopicArn=" + topic + "&AuthenticateOnUnsubscribe=false&Token=" + token).ok(nil) // unlocks nothing
	h.clock.Advance(time.Second)
	h.publish(topic, nil)
	h.follow(e.nth(t, 2).UnsubscribeURL).fails(403, "MissingAuthenticationToken", "", "")
	diff(t, "it stays", []string{sub}, h.listedARNs(topic))
	h.ask("Unsubscribe", "SubscriptionArn", sub).ok(nil)
	diff(t, "it ends", []string{}, h.listedARNs(topic))
}

func TestN41_RequestsHaveTheHeadersOfSNS(t *testing.T) {
	t.Parallel()
	h := open(t, onMemory(t), withWeb(t))
	topic, e := h.topic(nil), newWebEnd(t)
	sub := h.confirmed(topic, e, nil)
	names := []string{"x-amz-sns-message-type", "x-amz-sns-topic-arn", "x-amz-sns-subscription-arn", "x-amz-sns-rawdelivery", "content-type", "user-agent"}
	headers := func(p post) []string {
		var list []string
		for _, n := range names {
			list = append(list, p.header.Get(n))
		}
		return list
	}
	const agent = "Amazon Simple Notification Service Agent"
	asked := e.nth(t, 1)
	diff(t, "confirmation", []string{"SubscriptionConfirmation", topic, "", "", "text/plain; charset=UTF-8", agent}, headers(asked))
	diff(t, "its id", asked.MessageId, asked.header.Get("x-amz-sns-message-id"))
	h.clock.Advance(time.Second)
	sent := h.publish(topic, nil)
	note := e.nth(t, 2)
	diff(t, "notification", []string{"Notification", topic, sub, "", "text/plain; charset=UTF-8", agent}, headers(note))
	diff(t, "its id", []string{*sent.MessageId, *sent.MessageId}, []string{note.header.Get("x-amz-sns-message-id"), note.MessageId})
	if note.header.Get("webhook-signature") == "" {
		t.Error("it has no signature of Standard Webhooks beside that of SNS")
	}
	h.setSub(sub, "RawMessageDelivery", "true")
	h.publish(topic, func(in *sns.PublishInput) { in.Message = sdk.String("bare") })
	raw := e.nth(t, 3)
	diff(t, "raw", []string{"Notification", topic, sub, "true", "text/plain; charset=UTF-8", agent, "bare"}, append(headers(raw), raw.body)) // N-43
}

func TestN42_APolicySetsTheContentTypeOfNotifications(t *testing.T) {
	t.Parallel()
	h := open(t, onMemory(t), withWeb(t))
	topic, e := h.topic(nil), newWebEnd(t)
	h.ask("SetTopicAttributes", "TopicArn", topic, "AttributeName", "DeliveryPolicy", "AttributeValue", `{"http":{"defaultRequestPolicy":{"headerContentType":"application/json"}}}`).ok(nil)
	sub := h.confirmed(topic, e, nil)
	send := func(n int) string {
		t.Helper()
		h.clock.Advance(2 * time.Second)
		h.publish(topic, nil)
		return e.nth(t, n).header.Get("content-type")
	}
	diff(t, "of a confirmation", "text/plain; charset=UTF-8", e.nth(t, 1).header.Get("content-type"))
	diff(t, "of the topic", "application/json", send(2))
	h.setSub(sub, "DeliveryPolicy", `{"requestPolicy":{"headerContentType":"text/csv"}}`)
	diff(t, "of the subscription", "text/csv", send(3))
	h.ask("SetTopicAttributes", "TopicArn", topic, "AttributeName", "DeliveryPolicy", "AttributeValue",
		`{"http":{"defaultRequestPolicy":{"headerContentType":"application/xml"},"disableSubscriptionOverrides":true}}`).ok(nil)
	diff(t, "of the topic alone", "application/xml", send(4))
}

func TestN44_AnswersMeanWhatTheyMeanToSNS(t *testing.T) {
	t.Parallel()
	h := open(t, onMemory(t), withWeb(t))
	topic, e := h.topic(nil), newWebEnd(t)
	sub := h.confirmed(topic, e, nil)
	way, err := h.topics.Of(t.Context(), h.tenant.ID, nameOfARN(topic), nameOfARN(sub))
	h.must(err)
	h.clock.Advance(time.Second)
	for _, c := range []struct {
		status int
		again  bool
	}{{200, false}, {204, false}, {301, false}, {400, false}, {404, false}, {410, false}, {413, false}, {429, true}, {500, true}, {503, true}} {
		n := len(e.got())
		e.answers(func(i int, _ post) int {
			if i == n+1 {
				return c.status
			}
			return 200
		})
		id := *h.publish(topic, nil).MessageId
		e.nth(t, n+1)
		if c.again {
			h.forward(time.Minute, fmt.Sprint(c.status, " is tried again"), func() bool { return len(e.got()) == n+2 })
			diff(t, "its id", id, e.nth(t, n+2).MessageId)
		}
		until(t, "it is done", func() bool {
			how, err := h.door.Webhooks.Status(t.Context(), way)
			h.must(err)
			return how.Pending == 0 && how.Gate == webhook.Open
		})
		if h.clock.Advance(time.Minute); !c.again && len(e.got()) != n+1 {
			t.Errorf("after %d it came %d times", c.status, len(e.got())-n)
		}
	}
	log, _, err := h.door.Webhooks.Attempts(t.Context(), way, 0, 100, func(a *webhook.Attempt) bool { return a.Outcome == webhook.Failed })
	h.must(err)
	diff(t, "failed for good", 5, len(log))
	// A user name and a password in the URL are a credential, and not shown.
	with := strings.Replace(e.URL, "http://", "http://ann:s3cret@", 1)
	e.answers(nil)
	n := len(e.got())
	other := h.subscribeWeb(topic, with, nil)
	asked := e.nth(t, n+1)
	diff(t, "credential", "ann s3cret", asked.user+" "+asked.pass)
	diff(t, "shown", strings.Replace(e.URL, "http://", "http://ann:****@", 1), h.attributesOf(other)["Endpoint"])
	h.clock.Advance(time.Minute)
	diff(t, "with another password", other, h.subscribeWeb(topic, strings.Replace(with, "s3cret", "n3w", 1), nil))
	diff(t, "credential", "ann n3w", e.nth(t, n+2).user+" "+e.nth(t, n+2).pass)
}

func TestN45_QuestionsAreTriedAgain(t *testing.T) {
	onBoth(t, func(t *testing.T, h *doorTest) {
		topic, e := h.topic(nil), newWebEnd(t)
		e.answers(func(int, post) int { return 500 })
		h.subscribeWeb(topic, e.URL, nil)
		e.nth(t, 1)
		h.forward(10*time.Minute, "three retries", func() bool { return len(e.got()) == 4 })
		h.clock.Advance(time.Hour)
		diff(t, "requests", 4, len(e.got()))
		h.follow(e.nth(t, 4).SubscribeURL).ok(nil)

		refusing := newWebEnd(t)
		refusing.answers(func(int, post) int { return 404 })
		h.subscribeWeb(topic, refusing.URL, nil)
		refusing.nth(t, 1)
		h.clock.Advance(time.Hour)
		diff(t, "after 404", 1, len(refusing.got()))
	})
}

func TestN46_TheQuestionIsAsSNSWritesIt(t *testing.T) {
	t.Parallel()
	h := open(t, onMemory(t), withWeb(t))
	for _, version := range []string{"1", "2"} {
		topic, e := h.topic(map[string]string{"SignatureVersion": version}), newWebEnd(t)
		h.subscribeWeb(topic, e.URL, nil)
		asked := e.nth(t, 1)
		form := regexp.MustCompile(`^\{
  "Type" : "SubscriptionConfirmation",
  "MessageId" : "[-0-9a-f]{36}",
  "Token" : "[0-9a-f]{200,}",
  "TopicArn" : "` + topic + `",
  "Message" : "You have chosen to subscribe to the topic ` + topic + `\.\\nTo confirm the subscription, visit the SubscribeURL included in this message\.",
  "SubscribeURL" : "` + h.url + `/\?Action=ConfirmSubscription&TopicArn=` + topic + `&Token=[0-9a-f]+",
  "Timestamp" : "\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z",
  "SignatureVersion" : "` + version + `",
  "Signature" : "[A-Za-z0-9+/]{342}==",
  "SigningCertURL" : "` + h.url + `/SimpleNotificationService-[0-9a-f]{32}\.pem"
\}$`)
		if !form.MatchString(asked.body) {
			t.Errorf("got %s", asked.body)
		}
		changed := asked
		changed.SubscribeURL += "x"
		if !h.signedRight(asked) || h.signedRight(changed) {
			t.Error("the signature does not cover the question")
		}
		h.follow(asked.SubscribeURL).ok(nil)
		h.clock.Advance(time.Second)
		h.publish(topic, func(in *sns.PublishInput) { in.Subject = sdk.String("s") })
		note := e.nth(t, 2)
		if !h.signedRight(note) || note.SignatureVersion != version {
			t.Errorf("the notification is not signed by version %s: %s", version, note.body)
		}
	}
}

func TestN51_PoliciesThatCannotBeAreRefused(t *testing.T) {
	t.Parallel()
	h := open(t, onMemory(t), withWeb(t))
	topic, e := h.topic(nil), newWebEnd(t)
	sub := h.subscribeWeb(topic, e.URL, nil)
	for _, c := range []struct{ policy, words string }{
		{`x`, "failed to parse JSON"},
		{`[]`, "failed to parse JSON"},
		{`{"other":1}`, "Unexpected JSON member: other"},
		{`{"healthyRetryPolicy":1}`, "healthyRetryPolicy must be an object"},
		{`{"healthyRetryPolicy":{"numRetries":101}}`, "healthyRetryPolicy.numRetries must be between 0 and 100"},
		{`{"healthyRetryPolicy":{"numRetries":-1}}`, "healthyRetryPolicy.numRetries"},
		{`{"healthyRetryPolicy":{"numRetries":"3"}}`, "healthyRetryPolicy must be"},
		{`{"healthyRetryPolicy":{"minDelayTarget":0}}`, "healthyRetryPolicy.minDelayTarget"},
		{`{"healthyRetryPolicy":{"minDelayTarget":21}}`, "healthyRetryPolicy.minDelayTarget"},
		{`{"healthyRetryPolicy":{"maxDelayTarget":3601}}`, "healthyRetryPolicy.maxDelayTarget"},
		{`{"healthyRetryPolicy":{"numRetries":2,"numNoDelayRetries":1,"numMinDelayRetries":1,"numMaxDelayRetries":1}}`, "healthyRetryPolicy.numRetries must not be less"},
		{`{"healthyRetryPolicy":{"numNoDelayRetries":-1}}`, "healthyRetryPolicy.numNoDelayRetries"},
		{`{"healthyRetryPolicy":{"numRetries":100,"minDelayTarget":40,"maxDelayTarget":40}}`, "healthyRetryPolicy: the retries must not take more than 3600 seconds"},
		{`{"healthyRetryPolicy":{"backoffFunction":"random"}}`, "healthyRetryPolicy.backoffFunction"},
		{`{"throttlePolicy":{"maxReceivesPerSecond":0}}`, "throttlePolicy.maxReceivesPerSecond"},
		{`{"throttlePolicy":{"maxReceivesPerSecond":1.5}}`, "throttlePolicy.maxReceivesPerSecond"},
		{`{"requestPolicy":{"headerContentType":"image/png"}}`, "requestPolicy.headerContentType"},
	} {
		h.refusesTo("SetSubscriptionAttributes", "Invalid parameter: DeliveryPolicy: "+c.words, "SubscriptionArn", sub, "AttributeName", "DeliveryPolicy", "AttributeValue", c.policy)
		h.refusesTo("Subscribe", "Invalid parameter: Attributes Reason: DeliveryPolicy: "+c.words, "TopicArn", topic, "Protocol", "http", "Endpoint", e.URL+"/x",
			"Attributes.entry.1.key", "DeliveryPolicy", "Attributes.entry.1.value", c.policy)
		ofTopic := c.policy
		if strings.HasPrefix(ofTopic, "{") {
			name := c.policy[2 : strings.Index(c.policy[2:], `"`)+2]
			ofTopic = `{"http":{"default` + strings.ToUpper(name[:1]) + name[1:] + c.policy[2+len(name):] + "}"
		}
		h.refusesTo("SetTopicAttributes", "Invalid parameter: Attributes Reason: DeliveryPolicy: ", "TopicArn", topic, "AttributeName", "DeliveryPolicy", "AttributeValue", ofTopic)
	}
	if _, there := h.attributesOf(sub)["DeliveryPolicy"]; there {
		t.Error("a policy that was refused is there")
	}
	diff(t, "subscriptions", 1, len(h.listedARNs(topic)))
}

func TestN52_RetriesHaveFourPhases(t *testing.T) {
	t.Parallel()
	h := open(t, onMemory(t), withWeb(t))
	topic, e := h.topic(nil), newWebEnd(t)
	sub := h.confirmed(topic, e, map[string]string{"DeliveryPolicy": `{"healthyRetryPolicy":{"numRetries":4,"numNoDelayRetries":1,"numMinDelayRetries":1,"numMaxDelayRetries":1,"minDelayTarget":10,"maxDelayTarget":60}}`})
	way, err := h.topics.Of(t.Context(), h.tenant.ID, nameOfARN(topic), nameOfARN(sub))
	h.must(err)
	e.answers(func(int, post) int { return 500 })
	h.clock.Advance(time.Second)
	h.publish(topic, nil)
	h.forward(time.Hour, "all attempts", func() bool {
		how, err := h.door.Webhooks.Status(t.Context(), way)
		h.must(err)
		return how.Failed == 1
	})
	log, _, err := h.door.Webhooks.Attempts(t.Context(), way, 0, 100, func(a *webhook.Attempt) bool { return a.Outcome != webhook.Challenged })
	h.must(err)
	slices.Reverse(log)
	var waits []time.Duration
	for _, a := range log[:len(log)-1] {
		waits = append(waits, a.Next.Sub(a.At)-time.Duration(a.Millis)*time.Millisecond)
	}
	if len(waits) != 4 {
		t.Fatalf("waits: %v", waits)
	}
	for i, least := range []time.Duration{0, 10 * time.Second, 10 * time.Second, time.Minute} {
		if waits[i] < least || waits[i] > least+least/4 {
			t.Errorf("wait %d is %v, want %v or up to a quarter more", i, waits[i], least)
		}
	}
}

func TestN53_AThrottleLimitsDeliveries(t *testing.T) {
	t.Parallel()
	h := open(t, onMemory(t), withWeb(t))
	topic, e := h.topic(nil), newWebEnd(t)
	sub := h.confirmed(topic, e, map[string]string{"DeliveryPolicy": `{"throttlePolicy":{"maxReceivesPerSecond":1}}`})
	way, err := h.topics.Of(t.Context(), h.tenant.ID, nameOfARN(topic), nameOfARN(sub))
	h.must(err)
	delivered := func(n int) {
		t.Helper()
		polls := 0
		until(t, fmt.Sprint(n, " deliveries"), func() bool {
			// A server that went to sleep just after the clock was moved sleeps for too long by that.
			if polls++; polls%500 == 0 {
				h.clock.Advance(100 * time.Millisecond)
			}
			how, err := h.door.Webhooks.Status(t.Context(), way)
			h.must(err)
			return how.Delivered == int64(n)
		})
		diff(t, "requests", n+1, len(e.got()))
	}
	h.clock.Advance(time.Second)
	h.publish(topic, nil)
	delivered(1) // by which the server learns of the policy
	h.clock.Advance(2 * time.Second)
	for range 4 {
		h.publish(topic, nil)
	}
	for n := 2; n <= 5; n++ {
		delivered(n)
		h.clock.Advance(900 * time.Millisecond)
		delivered(n)
		h.clock.Advance(100 * time.Millisecond)
	}
	// Without it what is published comes at once.
	h.setSub(sub, "DeliveryPolicy", "")
	h.publish(topic, nil)
	delivered(6) // by which the server learns of that
	for range 10 {
		h.publish(topic, nil)
	}
	delivered(16)
}

func TestN55_APolicyIsReadBackInItsParts(t *testing.T) {
	t.Parallel()
	h := open(t, onMemory(t), withWeb(t))
	topic, e := h.topic(nil), newWebEnd(t)
	sub := h.subscribeWeb(topic, e.URL, map[string]string{"DeliveryPolicy": `{"throttlePolicy":{"maxReceivesPerSecond":5}}`})
	h.ask("SetTopicAttributes", "TopicArn", topic, "AttributeName", "DeliveryPolicy", "AttributeValue", `{"http":{"defaultHealthyRetryPolicy":{"numRetries":7}}}`).ok(nil)
	got := h.attributesOf(sub)
	diff(t, "as set", `{"healthyRetryPolicy":null,"sicklyRetryPolicy":null,"throttlePolicy":{"maxReceivesPerSecond":5},"requestPolicy":null,"guaranteed":false}`, got["DeliveryPolicy"])
	diff(t, "what holds", `{"healthyRetryPolicy":{"minDelayTarget":20,"maxDelayTarget":20,"numRetries":7,"numMaxDelayRetries":0,"numNoDelayRetries":0,"numMinDelayRetries":0,"backoffFunction":"linear"},"sicklyRetryPolicy":null,"throttlePolicy":{"maxReceivesPerSecond":5},"requestPolicy":{"headerContentType":"text/plain; charset=UTF-8"},"guaranteed":false}`,
		got["EffectiveDeliveryPolicy"])
	// What was read back can be set again (Terraform does).
	h.setSub(sub, "DeliveryPolicy", got["DeliveryPolicy"])
	h.setSub(sub, "DeliveryPolicy", "")
	if _, there := h.attributesOf(sub)["DeliveryPolicy"]; there {
		t.Error("the policy is still there")
	}
}

func TestAFilterPolicyHoldsForAWebEndpoint(t *testing.T) {
	t.Parallel()
	h := open(t, onMemory(t), withWeb(t))
	topic, e := h.topic(nil), newWebEnd(t)
	h.confirmed(topic, e, map[string]string{"FilterPolicy": `{"tier":["gold"]}`, "FilterPolicyScope": "MessageBody"})
	h.clock.Advance(time.Second)
	for _, body := range []string{`{"tier":"tin"}`, `{"tier":"gold"}`} {
		h.publish(topic, func(in *sns.PublishInput) { in.Message = &body })
	}
	diff(t, "what comes", `{"tier":"gold"}`, e.nth(t, 2).Message)
}

// A token that one server sent confirms at another, and after a start of both.
func TestTokensAndSubscriptionsAreTheInstallations(t *testing.T) {
	t.Parallel()
	address := redistest.Start(t, redistest.Options{}).URL()
	a := open(t, at(address), withWeb(t))
	topic, e := a.topic(nil), newWebEnd(t)
	sub := a.subscribeWeb(topic, e.URL, nil)
	asked := e.nth(t, 1)
	b := open(t, asTenant(a), at(address), withWeb(t))
	diff(t, "pending at the other", "true", b.attributesOf(sub)["PendingConfirmation"])
	diff(t, "confirmed there", sub, b.follow(asked.SubscribeURL).between("<SubscriptionArn>", "</SubscriptionArn>"))
	diff(t, "and here", "false", a.attributesOf(sub)["PendingConfirmation"])
	a.clock.Advance(time.Second)
	b.publish(topic, nil)
	if note := e.nth(t, 2); !a.signedRight(note) {
		t.Errorf("the notification is not signed: %s", note.body)
	}
}

// fullWebhooks are ones that take nothing.
type fullWebhooks struct{ topics.Webhooks }

func (fullWebhooks) Deliver(_ context.Context, _ topics.Way, _ topics.WaySettings, list []topics.Logged, to int64) (topics.Handed, error) {
	if len(list) > 0 {
		to = list[0].Sequence - 1
	}
	return topics.Handed{Reached: to, Mark: to, Refused: len(list) > 0}, nil
}

func TestPublishesForAWebhookThatIsFullAreThrottled(t *testing.T) {
	onBoth(t, func(t *testing.T, h *doorTest) {
		h.topics.Connect(fullWebhooks{h.door.Webhooks})
		topic, e := h.topic(nil), newWebEnd(t)
		set := topics.SubscriptionSettings{Endpoint: webhook.Endpoint{URL: e.URL, Overflow: webhook.RejectPublish}.Encode()}
		_, _, err := h.topics.PutSubscription(t.Context(), h.tenant.ID, topic[strings.LastIndexByte(topic, ':')+1:], "full", set, topics.Condition{})
		h.must(err)
		var a *answer
		h.forward(time.Hour, "publishes are refused", func() bool {
			a = h.ask("Publish", "TopicArn", topic, "Message", "m")
			return a.status != http.StatusOK
		})
		a.fails(429, "Throttled", "", `"full"`)
		if a.header.Get("Retry-After") != "1" {
			t.Errorf("the refusal: %v", a.header)
		}
		h.publishes(topic, entry("a", "1"), entry("b", "2")).fails(429, "Throttled", "", `"full"`)
	})
}
