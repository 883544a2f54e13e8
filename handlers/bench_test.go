package handlers_test

import (
	"bytes"
	"crypto/md5"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/sluicemq/sluice/handlers"
	"github.com/sluicemq/sluice/internal/engine"
	"github.com/sluicemq/sluice/queues"
)

// sample is a message of 256 bytes as a receive returns it.
func sample() queues.Message {
	return queues.Message{
		ID: engine.NewSession(7).NewID(start, 0), Body: fmt.Sprintf("%-256s", `{"order":7,"name":"é"}`), ContentType: "application/json",
		Attributes: []queues.Attribute{{Name: "type", Type: "String", Value: "order.created"}},
		State:      queues.InFlight, SentAt: start, ReceiveCount: 1, FirstReceivedAt: start, LeaseExpiresAt: start.Add(30 * time.Second),
		ReceiptHandle: "rh_AQIihuOAAAAAHwAABwAAAAEBnKlFCgAAI97TOvEaOtXqwnA",
	}
}

func BenchmarkAppendReceived(b *testing.B) {
	m, buf := sample(), make([]byte, 0, 4096)
	b.ReportAllocs()
	for b.Loop() {
		buf = handlers.AppendReceived(buf[:0], &m, "/v1/queues/orders/receipts/", false)
	}
	b.SetBytes(int64(len(buf)))
}

// BenchmarkReceivedByReflection is the same by encoding/json, for comparison.
func BenchmarkReceivedByReflection(b *testing.B) {
	m := sample()
	var out handlers.ReceivedMessage
	if err := json.Unmarshal(handlers.AppendReceived(nil, &m, "/v1/queues/orders/receipts/", false), &out); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := json.Marshal(out); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkAppendSent(b *testing.B) {
	s, sum, buf := queues.Sent{ID: sample().ID, AvailableAt: start}, md5.Sum([]byte("x")), make([]byte, 0, 512)
	b.ReportAllocs()
	for b.Loop() {
		buf = handlers.AppendSent(buf[:0], &s, 256, sum)
	}
}

// batchBody is a batch of n messages with bodies of size bytes, which hold a quote each.
func batchBody(n, size int) []byte {
	var b bytes.Buffer
	b.WriteString(`{"messages":[`)
	for i := range n {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, `{"id":"%d","body":"\"%s","delay":5,"attributes":{"type":{"type":"String","value":"order.created"}}}`, i, strings.Repeat("x", size-1))
	}
	b.WriteString("]}")
	return b.Bytes()
}

var batches = []struct{ n, size int }{{10, 256}, {1000, 256}, {1000, 16000}}

func BenchmarkReadBatch(b *testing.B) {
	for _, c := range batches {
		b.Run(fmt.Sprintf("%dx%d", c.n, c.size), func(b *testing.B) {
			body := batchBody(c.n, c.size)
			b.SetBytes(int64(len(body)))
			b.ReportAllocs()
			for b.Loop() {
				if n, wrong, err := handlers.ReadBatch(body); n != c.n || wrong != 0 || err != nil {
					b.Fatal(n, wrong, err)
				}
			}
		})
	}
}

// BenchmarkReadBatchByReflection is the same by encoding/json, which checks less, for comparison.
func BenchmarkReadBatchByReflection(b *testing.B) {
	for _, c := range batches {
		b.Run(fmt.Sprintf("%dx%d", c.n, c.size), func(b *testing.B) {
			body := batchBody(c.n, c.size)
			b.SetBytes(int64(len(body)))
			b.ReportAllocs()
			for b.Loop() {
				var out handlers.Batch
				dec := json.NewDecoder(bytes.NewReader(body))
				dec.DisallowUnknownFields()
				if err := dec.Decode(&out); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// sink is a connection that takes everything.
type sink struct {
	header http.Header
	status int
	body   []byte
}

func (s *sink) Header() http.Header         { return s.header }
func (s *sink) WriteHeader(status int)      { s.status = status }
func (s *sink) Write(b []byte) (int, error) { s.body = append(s.body, b...); return len(b), nil }

// caller makes one request again and again, without a network.
type caller struct {
	*apiTest
	req  *http.Request
	sink sink
}

func (h *apiTest) caller(method, path string) *caller {
	c := &caller{apiTest: h, req: httptest.NewRequestWithContext(h.Context(), method, path, nil), sink: sink{header: http.Header{}}}
	c.req.Header.Set("Authorization", "Bearer "+h.key)
	c.req.Header.Set("User-Agent", "bench")
	c.req.Header.Set("Accept", "*/*")
	return c
}

func (c *caller) call(body []byte, status int) {
	clear(c.sink.header)
	c.sink.body = c.sink.body[:0]
	c.req.Body, c.req.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
	if len(body) == 0 {
		c.req.Body = http.NoBody
	}
	if c.echo.ServeHTTP(&c.sink, c.req); c.sink.status != status {
		c.Fatalf("%s %s: got %d, want %d: %s", c.req.Method, c.req.URL, c.sink.status, status, c.sink.body)
	}
}

// BenchmarkRequest is what every request costs before its handler: routing, ids, the key.
func BenchmarkRequest(b *testing.B) {
	h := newAPITest(b)
	c := h.caller("GET", "/v1/whoami")
	c.req.Header.Set("Authorization", "Bearer "+h.operator)
	b.ReportAllocs()
	for b.Loop() {
		c.call(nil, 200)
	}
}

// BenchmarkSend is a send from request to answer, with a Redis that writes to disk before it answers.
func BenchmarkSend(b *testing.B) {
	h := newAPITest(b)
	path := h.queue("")
	c := h.caller("POST", path+"/messages")
	c.req.Header.Set("Content-Type", "text/plain")
	body := bytes.Repeat([]byte("x"), 256)
	b.ReportAllocs()
	for b.Loop() {
		c.call(body, 201)
	}
}

// BenchmarkSendRefused is a send up to where its headers are read, so without Redis.
func BenchmarkSendRefused(b *testing.B) {
	h := newAPITest(b)
	c := h.caller("POST", h.queue("")+"/messages")
	c.req.Header.Set("Message-Dealy", "9")
	body := bytes.Repeat([]byte("x"), 256)
	b.ReportAllocs()
	for b.Loop() {
		c.call(body, 422)
	}
}

// BenchmarkBatchAndReceive sends and receives ten messages, and acknowledges them with the next receive.
func BenchmarkBatchAndReceive(b *testing.B) {
	h := newAPITest(b)
	path := h.queue("")
	send, receive := h.caller("POST", path+"/messages/batch"), h.caller("POST", path+"/receive?max=10&wait=0")
	send.req.Header.Set("Content-Type", "application/json")
	receive.req.Header.Set("Content-Type", "application/json")
	var body bytes.Buffer
	for i := range 10 {
		fmt.Fprintf(&body, `,{"id":"%d","body":"%s"}`, i, strings.Repeat("x", 256))
	}
	batch := []byte(`{"messages":[` + body.String()[1:] + `]}`)
	handle := []byte(`"receipt_handle":"`)
	acks := []byte(`{"ack":[]}`)
	b.ReportAllocs()
	for b.Loop() {
		send.call(batch, 201)
		receive.call(acks, 200)
		acks = append(acks[:0], `{"ack":[`...)
		for rest := receive.sink.body; ; {
			i := bytes.Index(rest, handle)
			if i < 0 {
				break
			}
			rest = rest[i+len(handle)-1:]
			acks = append(append(acks, rest[:bytes.IndexByte(rest[1:], '"')+2]...), ',')
		}
		acks = append(bytes.TrimSuffix(acks, []byte(",")), "]}"...)
	}
}
