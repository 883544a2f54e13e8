package sigv4_test

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"

	"github.com/sluicemq/sluice/auth/sigv4"
)

const (
	keyID  = "SLAKAAAAAAAAAAAAAAAA"
	secret = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
	host   = "http://127.0.0.1:8080"
)

var (
	now  = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	pair = aws.Credentials{AccessKeyID: keyID, SecretAccessKey: secret}
)

// outgoing is a request that a client is about to send.
func outgoing(tb testing.TB, method, target, body string) *http.Request {
	tb.Helper()
	r, err := http.NewRequestWithContext(tb.Context(), method, target, strings.NewReader(body))
	if err != nil {
		tb.Fatal(err)
	}
	return r
}

func digest(body string) string {
	sum := sha256.Sum256([]byte(body))
	return hex.EncodeToString(sum[:])
}

// sign signs a request in its header, as the SDK does.
func sign(tb testing.TB, r *http.Request, body string) *http.Request {
	tb.Helper()
	if err := v4.NewSigner().SignHTTP(tb.Context(), pair, r, digest(body), "sqs", "us-east-1", now); err != nil {
		tb.Fatal(err)
	}
	return r
}

// presign signs a request in its query.
func presign(tb testing.TB, r *http.Request, body string, expires string) *http.Request {
	tb.Helper()
	q := r.URL.Query()
	q.Set("X-Amz-Expires", expires)
	r.URL.RawQuery = q.Encode()
	signed, header, err := v4.NewSigner().PresignHTTP(tb.Context(), pair, r, digest(body), "sqs", "us-east-1", now)
	if err != nil {
		tb.Fatal(err)
	}
	out := outgoing(tb, r.Method, signed, body)
	for name, values := range header {
		out.Header[name] = values
	}
	return out
}

// arrive returns the request as a server reads it, and its body.
func arrive(tb testing.TB, r *http.Request) (*http.Request, []byte) {
	tb.Helper()
	var wire bytes.Buffer
	body, err := r.GetBody()
	if err != nil {
		tb.Fatal(err)
	}
	r.Body = body
	if err := r.Write(&wire); err != nil {
		tb.Fatal(err)
	}
	got, err := http.ReadRequest(bufio.NewReader(&wire))
	if err != nil {
		tb.Fatalf("%v in\n%s", err, wire.String())
	}
	read, err := io.ReadAll(got.Body)
	if err != nil {
		tb.Fatal(err)
	}
	return got, read
}

var verifier sigv4.Verifier

// judge is what a server does with a signature.
func judge(tb testing.TB, r *http.Request, at time.Time) error {
	tb.Helper()
	got, body := arrive(tb, r)
	return judgeArrived(got, sigv4.Payload{Body: body}, at)
}

func judgeArrived(r *http.Request, p sigv4.Payload, at time.Time) error {
	s, err := sigv4.Parse(r)
	if err != nil {
		return err
	}
	if err := s.For("sqs"); err != nil {
		return err
	}
	if err := s.InTime(at); err != nil {
		return err
	}
	return verifier.Verify(r, s, p, secret)
}

// is fails unless err is a fault of this kind, with words in its message.
func is(tb testing.TB, err error, want sigv4.Fault, words ...string) {
	tb.Helper()
	e, ok := errors.AsType[*sigv4.Error](err)
	if !ok || e.Fault != want {
		tb.Fatalf("got %v, want fault %d", err, want)
	}
	for _, w := range words {
		if !strings.Contains(e.Message, w) {
			tb.Errorf("%q does not say %q", e.Message, w)
		}
	}
	if strings.Contains(e.Message, secret) {
		tb.Errorf("%q tells the secret", e.Message)
	}
}

// The SDK's own signer and this verifier agree about each of these.
func TestTakesWhatTheSDKSigned(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ method, target, body string }{
		{"POST", host + "/", `{"QueueUrl":"x"}`},
		{"POST", host, "Action=ListQueues&Version=2012-11-05"},
		{"GET", host + "/?Action=ListQueues&QueueNamePrefix=", ""},
		{"GET", host + "/123456789012/a_b-c.fifo?Action=SendMessage&MessageBody=a+b%20c%2Bd%C3%BC%00", ""},
		{"GET", host + "/?b=2&b=1&a=%7E~*%2A&A=%3D&empty&=v", ""},
		{"POST", "http://queue.example.com/123456789012/orders/", "x"},
		{"POST", host + "/a%2Fb%20c/%E2%98%83", ""},
		{"POST", host + "/", strings.Repeat("x", 1<<20)},
	} {
		t.Run(c.method+" "+c.target, func(t *testing.T) {
			t.Parallel()
			r := outgoing(t, c.method, c.target, c.body)
			r.Header.Set("X-Amz-Target", "AmazonSQS.SendMessage")
			r.Header.Set("X-Odd", "  a   b\tc  ")
			r.Header["X-Twice"] = []string{"1", " 2 "}
			if err := judge(t, sign(t, r, c.body), now); err != nil {
				t.Errorf("header: %v", err)
			}
			if err := judge(t, presign(t, outgoing(t, c.method, c.target, c.body), c.body, "300"), now); err != nil {
				t.Errorf("query: %v", err)
			}
		})
	}
}

func TestRefusesWhatWasChangedOnTheWay(t *testing.T) {
	t.Parallel()
	const target = host + "/123456789012/orders?Action=SendMessage&A=1"
	for name, change := range map[string]func(*http.Request){
		"method": func(r *http.Request) { r.Method = "PUT" },
		"path":   func(r *http.Request) { r.URL.Path = "/123456789012/others" },
		"query":  func(r *http.Request) { r.URL.RawQuery += "&B=2" },
		"host":   func(r *http.Request) { r.Host = "elsewhere.example.com" },
		"header": func(r *http.Request) { r.Header.Set("X-Amz-Target", "AmazonSQS.DeleteQueue") },
		"time":   func(r *http.Request) { r.Header.Set("X-Amz-Date", "20260301T120001Z") },
		"body": func(r *http.Request) {
			r.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader("Body")), nil }
		},
		"region":  func(r *http.Request) { replace(r, "us-east-1", "us-east-2") },
		"headers": func(r *http.Request) { replace(r, "host;", "") },
		"digits":  func(r *http.Request) { replace(r, "Signature=", "Signature=0") },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := outgoing(t, "POST", target, "body")
			r.Header.Set("X-Amz-Target", "AmazonSQS.SendMessage")
			sign(t, r, "body")
			if err := judge(t, r, now); err != nil {
				t.Fatalf("unchanged: %v", err)
			}
			r = outgoing(t, "POST", target, "body")
			r.Header.Set("X-Amz-Target", "AmazonSQS.SendMessage")
			change(sign(t, r, "body"))
			is(t, judge(t, r, now), sigv4.Mismatched)
		})
	}
}

func replace(r *http.Request, old, with string) {
	r.Header.Set("Authorization", strings.Replace(r.Header.Get("Authorization"), old, with, 1))
}

func TestRefusesAnotherSecret(t *testing.T) {
	t.Parallel()
	r, body := arrive(t, sign(t, outgoing(t, "POST", host, "x"), "x"))
	s, err := sigv4.Parse(r)
	if err != nil {
		t.Fatal(err)
	}
	var v sigv4.Verifier
	for range 2 { // also when the key of the right one is known
		is(t, v.Verify(r, s, sigv4.Payload{Body: body}, "another"), sigv4.Mismatched, "The request signature we calculated does not match the signature you provided.",
			"Canonical String", "host:127.0.0.1:8080")
		if err := v.Verify(r, s, sigv4.Payload{Body: body}, secret); err != nil {
			t.Fatal(err)
		}
	}
}

func TestTimeOfASignature(t *testing.T) {
	t.Parallel()
	header := func() *http.Request { return sign(t, outgoing(t, "POST", host, "x"), "x") }
	query := func() *http.Request { return presign(t, outgoing(t, "GET", host, ""), "", "1800") }
	for _, c := range []struct {
		name    string
		request func() *http.Request
		after   time.Duration
		ok      bool
	}{
		{"header", header, 0, true},
		{"header old", header, 15 * time.Minute, true},
		{"header too old", header, 15*time.Minute + time.Second, false},
		{"header ahead", header, -15 * time.Minute, true},
		{"header too far ahead", header, -15*time.Minute - time.Second, false},
		{"query", query, 30 * time.Minute, true},
		{"query expired", query, 30*time.Minute + time.Second, false},
		{"query ahead", query, -15*time.Minute - time.Second, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			err := judge(t, c.request(), now.Add(c.after))
			if c.ok && err != nil {
				t.Error(err)
			}
			if !c.ok {
				is(t, err, sigv4.Expired, "20260301T12", "Signature ")
			}
		})
	}
}

// kombu signs the host and the time only, and other clients use the header Date.
func TestTakesWhateverHeadersAClientSigns(t *testing.T) {
	t.Parallel()
	r := outgoing(t, "POST", host, "x")
	r.ContentLength = -1 // so that the SDK does not sign it
	sign(t, r, "x")
	r.ContentLength = 1
	r.Header.Set("X-Amz-Target", "AmazonSQS.SendMessage")
	if got := r.Header.Get("Authorization"); !strings.Contains(got, "SignedHeaders=host;x-amz-date,") {
		t.Fatalf("signed %q", got)
	}
	if err := judge(t, r, now); err != nil {
		t.Error(err)
	}
	r.Header.Set("X-Amz-Content-Sha256", digest("x"))
	if err := judge(t, r, now); err != nil {
		t.Error(err)
	}
	r.Header.Set("X-Amz-Content-Sha256", digest("y"))
	is(t, judge(t, r, now), sigv4.Mismatched, "x-amz-content-sha256")
}

func TestUnsignedPayloadNeedsAGuardedConnection(t *testing.T) {
	t.Parallel()
	r := outgoing(t, "POST", host, "x")
	r.Header.Set("X-Amz-Content-Sha256", "UNSIGNED-PAYLOAD")
	if err := v4.NewSigner().SignHTTP(t.Context(), pair, r, "UNSIGNED-PAYLOAD", "sqs", "us-east-1", now); err != nil {
		t.Fatal(err)
	}
	got, body := arrive(t, r)
	is(t, judgeArrived(got, sigv4.Payload{Body: body}, now), sigv4.Mismatched, "UNSIGNED-PAYLOAD")
	if err := judgeArrived(got, sigv4.Payload{Body: body, Guarded: true}, now); err != nil {
		t.Error(err)
	}
}

func TestWhatIsNoSignature(t *testing.T) {
	t.Parallel()
	const scope = keyID + "/20260301/us-east-1/sqs/aws4_request"
	authorization := func(text string) func(*http.Request) {
		return func(r *http.Request) { r.Header.Set("Authorization", text) }
	}
	query := func(changes ...string) func(*http.Request) {
		return func(r *http.Request) {
			r.Header.Del("Authorization")
			q := url.Values{"X-Amz-Algorithm": {"AWS4-HMAC-SHA256"}, "X-Amz-Credential": {scope}, "X-Amz-Date": {"20260301T120000Z"},
				"X-Amz-Expires": {"300"}, "X-Amz-SignedHeaders": {"host"}, "X-Amz-Signature": {"00"}}
			for i := 0; i < len(changes); i += 2 {
				q.Set(changes[i], changes[i+1])
			}
			r.URL.RawQuery = q.Encode()
		}
	}
	header := func(scope, signed string) func(*http.Request) {
		return authorization("AWS4-HMAC-SHA256 Credential=" + scope + ", SignedHeaders=" + signed + ", Signature=00")
	}
	for _, c := range []struct {
		name   string
		change func(*http.Request)
		want   sigv4.Fault
		words  string
	}{
		{"none", func(r *http.Request) { r.Header.Del("Authorization") }, sigv4.Missing, "is missing"},
		{"empty", authorization(""), sigv4.Missing, ""},
		{"both", func(r *http.Request) { r.URL.RawQuery = "X-Amz-Algorithm=x" }, sigv4.Ambiguous, "Authorization"},
		{"twice", func(r *http.Request) { r.Header.Add("Authorization", "x") }, sigv4.Ambiguous, ""},
		{"basic", authorization("Basic eDp5"), sigv4.Incomplete, "AWS4-HMAC-SHA256"},
		{"signature 2", authorization("AWS " + keyID + ":frJIUN8DYpKDtOLCwo//yllqDzg="), sigv4.Incomplete, ""},
		{"signature 4a", authorization("AWS4-ECDSA-P256-SHA256 Credential=x, SignedHeaders=host, Signature=00"), sigv4.Incomplete, ""},
		{"nothing of it", authorization("AWS4-HMAC-SHA256"), sigv4.Incomplete,
			"Authorization header requires 'Credential' parameter. Authorization header requires 'Signature' parameter. Authorization header requires 'SignedHeaders' parameter."},
		{"no time", func(r *http.Request) { r.Header.Del("X-Amz-Date") }, sigv4.Incomplete, "'X-Amz-Date' or a 'Date'"},
		{"no real time", func(r *http.Request) { r.Header.Set("X-Amz-Date", "20261301T120000Z") }, sigv4.Incomplete, "ISO-8601"},
		{"host not signed", header(scope, "x-amz-date"), sigv4.Mismatched, "Host"},
		{"many headers", header(scope, "host"+strings.Repeat(";a", 200)), sigv4.Incomplete, "100"},
		{"short scope", header(keyID+"/20260301/us-east-1", "host"), sigv4.Incomplete, "5 slash-delimited"},
		{"no region", header(keyID+"/20260301//sqs/aws4_request", "host"), sigv4.Incomplete, ""},
		{"other end", header(keyID+"/20260301/us-east-1/sqs/aws5_request", "host"), sigv4.Misscoped, "aws4_request"},
		{"other day", header(keyID+"/20260228/us-east-1/sqs/aws4_request", "host"), sigv4.Misscoped, "'20260228' should be '20260301'"},
		{"other service", header(keyID+"/20260301/us-east-1/s3/aws4_request", "host"), sigv4.Misscoped, "'sqs'"},
		{"query", query(), sigv4.Mismatched, ""},
		{"query without", query("X-Amz-Signature", "", "X-Amz-Date", ""), sigv4.Incomplete, "'X-Amz-Signature'"},
		{"query, other algorithm", query("X-Amz-Algorithm", "AWS4-ECDSA-P256-SHA256"), sigv4.Incomplete, ""},
		{"query, too long", query("X-Amz-Expires", "604801"), sigv4.Incomplete, "604800"},
		{"query, no time", query("X-Amz-Expires", "0"), sigv4.Incomplete, ""},
		{"query, negative", query("X-Amz-Expires", "-1"), sigv4.Incomplete, ""},
		{"query, endless", query("X-Amz-Expires", strings.Repeat("9", 400)), sigv4.Incomplete, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			r, body := arrive(t, sign(t, outgoing(t, "POST", host, "x"), "x"))
			r.Header.Set("Authorization", r.Header.Get("Authorization"))
			c.change(r)
			is(t, judgeArrived(r, sigv4.Payload{Body: body}, now), c.want, c.words)
		})
	}
}

func TestTimeInTheHeaderDate(t *testing.T) {
	t.Parallel()
	for _, date := range []string{"Sun, 01 Mar 2026 12:00:00 GMT", "20260301T120000Z"} {
		r, body := arrive(t, sign(t, outgoing(t, "POST", host, "x"), "x"))
		r.Header.Del("X-Amz-Date")
		r.Header.Set("Date", date)
		s, err := sigv4.Parse(r)
		if err != nil || !s.Time.Equal(now) {
			t.Errorf("%s: got %v and %v", date, s, err)
		}
		// The SDK has signed the other header.
		is(t, judgeArrived(r, sigv4.Payload{Body: body}, now), sigv4.Mismatched)
	}
}

// The memory of keys has an end, and who does not know a secret puts nothing there.
func TestMemoryOfKeysIsBounded(t *testing.T) {
	t.Parallel()
	var v sigv4.Verifier
	verify := func(region, with string) error {
		r := outgoing(t, "POST", host, "")
		if err := v4.NewSigner().SignHTTP(t.Context(), pair, r, digest(""), "sqs", region, now); err != nil {
			t.Fatal(err)
		}
		r, _ = arrive(t, r)
		s, err := sigv4.Parse(r)
		if err != nil {
			t.Fatal(err)
		}
		return v.Verify(r, s, sigv4.Payload{}, with)
	}
	if verify("a", "another") == nil || sigv4.Remembered(&v) != 0 {
		t.Errorf("a wrong secret is remembered")
	}
	for i := range 50 {
		if err := verify(fmt.Sprintf("r%d", i), secret); err != nil {
			t.Fatal(err)
		}
	}
	if got := sigv4.Remembered(&v); got != 50 {
		t.Errorf("%d keys are remembered, want 50", got)
	}
	sigv4.Fill(&v)
	if err := verify("one-more", secret); err != nil {
		t.Fatal(err)
	}
	if got := sigv4.Remembered(&v); got != sigv4.MaxKeys {
		t.Errorf("%d keys are remembered, want %d", got, sigv4.MaxKeys)
	}
}

// FuzzVerify signs requests with the SDK's signer: what it signed is taken, and nothing else.
func FuzzVerify(f *testing.F) {
	f.Add("/123456789012/orders", "Action=ListQueues", "x-any", "value", "body", byte(0))
	f.Add("/%2f%20", "a=b&a=%20+&;c=d", "x-any", "  a  b ", "", byte(3))
	f.Add("/", "%zz", "x-any", "", "\x00", byte(7))
	f.Fuzz(func(t *testing.T, path, query, name, value, body string, flip byte) {
		u, err := url.ParseRequestURI(host + "/" + strings.TrimPrefix(path, "/"))
		if err != nil || strings.ContainsAny(query, "# ;\x7f") || strings.ContainsFunc(query, func(r rune) bool { return r < ' ' || r > '~' }) {
			t.Skip()
		}
		if _, err := url.ParseQuery(query); err != nil || strings.Contains(query, "X-Amz-") {
			t.Skip()
		}
		u.RawQuery = query
		r := outgoing(t, "POST", u.String(), body)
		name = "X-Fuzz-" + strings.Map(func(c rune) rune {
			if c >= 'a' && c <= 'z' {
				return c
			}
			return -1
		}, name)
		if strings.ContainsFunc(value, func(c rune) bool { return c < ' ' || c > '~' }) {
			t.Skip()
		}
		r.Header.Set(name, value)
		got, arrived := arrive(t, sign(t, r, body))
		if err := judgeArrived(got, sigv4.Payload{Body: arrived}, now); err != nil {
			t.Fatalf("%q %q: %v", got.URL.String(), query, err)
		}
		s := got.Header.Get("Authorization")
		at := len(s) - 1 - int(flip)%64
		changed := []byte(s)
		changed[at] ^= 1
		got.Header.Set("Authorization", string(changed))
		is(t, judgeArrived(got, sigv4.Payload{Body: arrived}, now), sigv4.Mismatched)
	})
}

// FuzzParse reads what anybody may send.
func FuzzParse(f *testing.F) {
	f.Add("AWS4-HMAC-SHA256 Credential=a/20260301/r/sqs/aws4_request, SignedHeaders=host, Signature=00", "", "20260301T120000Z")
	f.Add("", "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=a%2F20260301%2Fr%2Fsqs%2Faws4_request&X-Amz-Date=20260301T120000Z&X-Amz-Expires=1&X-Amz-SignedHeaders=host&X-Amz-Signature=0", "")
	f.Fuzz(func(t *testing.T, authorization, query, date string) {
		r := &http.Request{Method: "GET", Host: "h", URL: &url.URL{Path: "/", RawQuery: query}, Header: http.Header{}}
		if authorization != "" {
			r.Header.Set("Authorization", authorization)
		}
		r.Header.Set("X-Amz-Date", date)
		if err := judgeArrived(r, sigv4.Payload{}, now); err == nil {
			t.Error("a signature by nobody is taken")
		} else if _, ok := errors.AsType[*sigv4.Error](err); !ok {
			t.Errorf("got %v", err)
		}
	})
}

func BenchmarkVerify(b *testing.B) {
	body := strings.Repeat("x", 400)
	r := outgoing(b, "POST", host, body)
	r.Header.Set("X-Amz-Target", "AmazonSQS.SendMessage")
	r.Header.Set("Content-Type", "application/x-amz-json-1.0")
	got, arrived := arrive(b, sign(b, r, body))
	b.ReportAllocs()
	for b.Loop() {
		if err := judgeArrived(got, sigv4.Payload{Body: arrived}, now); err != nil {
			b.Fatal(err)
		}
	}
}
