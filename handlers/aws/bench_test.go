package aws_test

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// caller makes signed requests without a network. Beside them stand BenchmarkSend and BenchmarkBatchAndReceive of package
// handlers, which do the same work over REST.
type caller struct {
	*doorTest
	req  *http.Request
	sink recorder
}

func (h *doorTest) caller(action string) *caller {
	c := &caller{doorTest: h, req: httptest.NewRequestWithContext(h.Context(), http.MethodPost, h.url+"/", nil), sink: recorder{header: http.Header{}}}
	c.req.Header.Set("Content-Type", jsonMedia)
	c.req.Header.Set("X-Amz-Target", "AmazonSQS."+action)
	c.req.Header.Set("User-Agent", "bench")
	return c
}

// sign signs a body. The SDK's signer is not what is measured.
func (c *caller) sign(b *testing.B, body []byte) {
	b.StopTimer()
	c.req.Header.Del("Authorization")
	c.req.ContentLength = int64(len(body))
	c.doorTest.sign(c.req, string(body))
	b.StartTimer()
}

func (c *caller) call(body []byte) {
	clear(c.sink.header)
	c.sink.body = c.sink.body[:0]
	c.req.Body, c.req.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
	if c.door.ServeHTTP(&c.sink, c.req); c.sink.status != http.StatusOK {
		c.Fatalf("got %d %s", c.sink.status, c.sink.body)
	}
}

// BenchmarkRequest is what a request costs up to its action: parsing and the signature, without Redis.
func BenchmarkRequest(b *testing.B) {
	h := open(b)
	c := h.caller("ListQueues")
	body := []byte(`{"MaxResults":0}`)
	c.sign(b, body)
	c.req.Body = io.NopCloser(bytes.NewReader(body))
	b.ReportAllocs()
	for b.Loop() {
		clear(c.sink.header)
		c.sink.body = c.sink.body[:0]
		c.req.Body, c.req.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
		c.door.ServeHTTP(&c.sink, c.req)
		if c.sink.status != http.StatusBadRequest {
			b.Fatalf("got %d %s", c.sink.status, c.sink.body)
		}
	}
}

func BenchmarkSend(b *testing.B) {
	h := open(b)
	c := h.caller("SendMessage")
	body := []byte(in(h.queue(nil), `"MessageBody":"`+strings.Repeat("x", 256)+`"`))
	c.sign(b, body)
	b.ReportAllocs()
	for b.Loop() {
		c.call(body)
	}
}

// BenchmarkBatchAndReceive sends, receives and deletes ten messages.
func BenchmarkBatchAndReceive(b *testing.B) {
	h := open(b)
	address := h.queue(nil)
	send, receive, del := h.caller("SendMessageBatch"), h.caller("ReceiveMessage"), h.caller("DeleteMessageBatch")
	entries := make([]string, 10)
	for i := range entries {
		entries[i] = fmt.Sprintf(`{"Id":"%d","MessageBody":"%s"}`, i, strings.Repeat("x", 256))
	}
	batch := []byte(in(address, `"Entries":[`+strings.Join(entries, ",")+`]`))
	ten := []byte(in(address, `"MaxNumberOfMessages":10`))
	send.sign(b, batch)
	receive.sign(b, ten)
	handle := []byte(`"ReceiptHandle":`)
	b.ReportAllocs()
	for n := 0; b.Loop(); n++ {
		send.call(batch)
		receive.call(ten)
		var deletes []string
		for rest := receive.sink.body; ; {
			i := bytes.Index(rest, handle)
			if i < 0 {
				break
			}
			rest = rest[i+len(handle):]
			deletes = append(deletes, fmt.Sprintf(`{"Id":"%d","ReceiptHandle":%s}`, len(deletes), rest[:bytes.IndexByte(rest[1:], '"')+2]))
		}
		if len(deletes) != 10 {
			b.Fatalf("received %s", receive.sink.body)
		}
		body := []byte(in(address, `"Entries":[`+strings.Join(deletes, ",")+`]`))
		del.sign(b, body)
		del.call(body)
	}
}
