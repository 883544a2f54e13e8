package handlers_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/sluicemq/sluice/handlers"
)

// wire is a listener with the bounds that a server has. It waits for a request no longer than patience.
func (h *apiTest) wire(patience time.Duration) *httptest.Server {
	srv := httptest.NewUnstartedServer(h.echo)
	srv.Config.ReadHeaderTimeout, srv.Config.ReadTimeout, srv.Config.MaxHeaderBytes = patience, patience, 16<<10
	srv.Start()
	h.Cleanup(srv.Close)
	return srv
}

func TestBrokenHTTPIsRefusedAndStoresNothing(t *testing.T) {
	t.Parallel()
	h := newAPITest(t)
	path := h.queue("")
	patient, hasty := h.wire(time.Minute), h.wire(time.Second)
	key := "Authorization: Bearer " + h.key + "\r\n"
	post := "POST " + path + "/messages HTTP/1.1\r\nHost: x\r\n" + key
	chunked := post + "Transfer-Encoding: chunked\r\n\r\n"
	line := func(target string) string { return "GET " + target + " HTTP/1.1\r\nHost: x\r\n" + key + "\r\n" }
	const end = "0\r\n\r\n"
	stored := int64(0)
	for _, c := range []struct {
		name, raw string
		status    int    // 0: the connection just ends
		code      string // of a problem; "" where net/http answers before the API sees anything
		closed    bool   // the answer says that the connection ends
	}{
		{"as it should be", post + "Content-Length: 2\r\n\r\nhi", 201, "", false},
		{"in chunks", chunked + "2\r\nhi\r\n" + end, 201, "", true},
		{"a length twice, the same", post + "Content-Length: 2\r\nContent-Length: 2\r\n\r\nhi", 201, "", false},
		{"a length and chunks", post + "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n" + end, 201, "", true},
		{"a folded line", post + "Message-Attr-A: b\r\n c\r\nContent-Length: 2\r\n\r\nhi", 201, "", false},
		{"HTTP/1.2", strings.Replace(post, "HTTP/1.1", "HTTP/1.2", 1) + "Content-Length: 2\r\n\r\nhi", 201, "", false},
		{"two lengths", post + "Content-Length: 2\r\nContent-Length: 3\r\n\r\nhi", 400, "", true},
		{"a length with a plus", post + "Content-Length: +2\r\n\r\nhi", 400, "", true},
		{"a negative length", post + "Content-Length: -1\r\n\r\n", 400, "", true},
		{"a list of lengths", post + "Content-Length: 2, 2\r\n\r\nhi", 400, "", true},
		{"gzip and chunks", post + "Transfer-Encoding: gzip, chunked\r\n\r\n", 501, "", true},
		{"unknown chunks", post + "Transfer-Encoding: xchunked\r\n\r\n", 501, "", true},
		{"two encodings", post + "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n2\r\nhi\r\n" + end, 501, "", true},
		{"a chunk size with a bare LF", chunked + "2\nhi\r\n" + end, 400, "malformed_request", true},
		{"a chunk size 0x2", chunked + "0x2\r\nhi\r\n" + end, 400, "malformed_request", true},
		{"a chunk size that overflows", chunked + "fffffffffffffffff\r\nhi\r\n" + end, 400, "malformed_request", true},
		{"a huge chunk extension", chunked + "2;" + strings.Repeat("a", 20000) + "\r\nhi\r\n" + end, 400, "malformed_request", true},
		{"chunks over the limit", chunked + "100001\r\n" + strings.Repeat("x", 1<<20+1) + "\r\n" + end, 413, "message_too_large", true},
		{"a length over the limit", post + "Content-Length: 99999999999\r\n\r\nx", 413, "message_too_large", true},
		{"a space before a colon", post + "Content-Length : 2\r\n\r\nhi", 400, "", true},
		{"no host", "POST " + path + "/messages HTTP/1.1\r\n" + key + "Content-Length: 2\r\n\r\nhi", 400, "", true},
		{"two hosts", post + "Host: y\r\nContent-Length: 2\r\n\r\nhi", 400, "", true},
		{"a host with a space", "POST " + path + "/messages HTTP/1.1\r\nHost: x y\r\n\r\n", 400, "", true},
		{"a NUL in a header", post + "X: a\x00b\r\nContent-Length: 2\r\n\r\nhi", 400, "", true},
		{"a bare CR in a header", post + "X: a\rb\r\nContent-Length: 2\r\n\r\nhi", 400, "", true},
		{"long headers", post + "X: " + strings.Repeat("a", 25000) + "\r\n\r\n", 431, "", true},
		{"a long address", line("/v1/queues/" + strings.Repeat("a", 25000)), 431, "", true},
		{"HTTP/3.0", strings.Replace(post, "HTTP/1.1", "HTTP/3.0", 1) + "\r\n", 505, "", true},
		{"HTTP/0.9", "GET /\r\n\r\n", 400, "", true},
		{"TLS", "\x16\x03\x01\x02\x00\x01\x00\r\n\r\n", 400, "", true},
		{"HTTP/2", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 404, "not_found", true},
		{"a method with a bracket", "PO(ST " + path + "/messages HTTP/1.1\r\nHost: x\r\n\r\n", 400, "", true},
		{"a broken escape", line("/v1/queues/%zz"), 400, "", true},
		{"a space in the address", line("/v1/queues/a b"), 400, "", true},
		{"an unknown expectation", post + "Expect: foo\r\nContent-Length: 2\r\n\r\nhi", 417, "", true},
		{"TRACE", "TRACE " + path + " HTTP/1.1\r\nHost: x\r\n" + key + "\r\n", 405, "method_not_allowed", false},
		{"CONNECT", "CONNECT x:443 HTTP/1.1\r\nHost: x\r\n" + key + "\r\n", 405, "method_not_allowed", false},
		{"an absolute address", line("http://y" + path), 200, "", false},
		{"two keys", "GET " + path + " HTTP/1.1\r\nHost: x\r\n" + key + key + "\r\n", 401, "unauthenticated", false},
		{"two kinds of keys", "GET " + path + " HTTP/1.1\r\nHost: x\r\n" + key + "Authorization: Basic " + basic(h.key, "") + "\r\n\r\n", 401, "unauthenticated", false},
		{"a header of a message twice", post + "Message-Delay: 1\r\nMessage-Delay: 1\r\nContent-Length: 2\r\n\r\nhi", 422, "validation_failed", false},
		{"an attribute twice in two cases", post + "Message-Attr-A: 1\r\nmessage-attr-a: 1\r\nContent-Length: 2\r\n\r\nhi", 422, "validation_failed", false},
		{"two idempotency keys", post + "Idempotency-Key: a\r\nIdempotency-Key: b\r\nContent-Length: 2\r\n\r\nhi", 422, "validation_failed", false},
		{"an empty idempotency key", post + "Idempotency-Key:\r\nContent-Length: 2\r\n\r\nhi", 422, "validation_failed", false},
		{"an attribute that is no UTF-8", post + "Message-Attr-A: \xff\r\nContent-Length: 2\r\n\r\nhi", 422, "validation_failed", false},
		{"an empty If-Match", "PUT " + path + " HTTP/1.1\r\nHost: x\r\n" + key + "If-Match:\r\n\r\n", 422, "validation_failed", false},
		{"headers that never end", post + "X: ", 0, "", true},
		{"a body that never ends", post + "Content-Length: 20\r\n\r\nhi", 408, "request_timeout", true},
		{"JSON that never ends", "PUT " + path + " HTTP/1.1\r\nHost: x\r\n" + key + "Content-Length: 20\r\n\r\n{", 408, "request_timeout", true},
		{"a body cut off", post + "Content-Length: 20\r\n\r\nhi" + cut, 400, "malformed_request", true},
		{"chunks cut off", chunked + "20\r\nhi" + cut, 400, "malformed_request", true},
	} {
		srv := patient
		if c.status == 0 || c.code == "request_timeout" {
			srv = hasty
		}
		res, body := exchange(t, srv.Listener.Addr().String(), c.raw)
		switch {
		case res == nil:
			if c.status != 0 {
				t.Errorf("%s: no answer, want %d", c.name, c.status)
			}
			continue
		case res.StatusCode != c.status || res.Close != c.closed:
			t.Errorf("%s: got %d, closing %t; want %d, closing %t\n%s", c.name, res.StatusCode, res.Close, c.status, c.closed, body)
		}
		if c.code != "" {
			var p handlers.Problem
			if err := json.Unmarshal(body, &p); err != nil || p.Code != c.code || res.Header.Get("Content-Type") != "application/problem+json" {
				t.Errorf("%s: got %s (%v), want a problem with %s", c.name, body, err, c.code)
			}
		}
		if res.StatusCode == 405 && res.Header.Get("Allow") == "" {
			t.Errorf("%s: 405 without Allow", c.name)
		}
		if res.StatusCode == 201 {
			stored++
		}
		h.wantCounts(path, [3]int64{stored, 0, 0})
	}
	for _, m := range h.receive(path, 100) {
		if m.Body != "hi" {
			t.Errorf("stored %q, want hi", m.Body)
		}
	}
}

// cut at the end of a request says that the client ends its half of the connection there.
const cut = "\x00CUT"

// exchange sends bytes as they are and returns the answer, or nil where the connection ends without one.
func exchange(t *testing.T, address, raw string) (*http.Response, []byte) {
	t.Helper()
	conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
	raw, half := strings.CutSuffix(raw, cut)
	if _, err := io.WriteString(conn, raw); err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Logf("the server stopped reading: %v", err) // it may have answered all the same
	}
	if half {
		_ = conn.(*net.TCPConn).CloseWrite()
	}
	res, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("no answer and no end in ten seconds to %.100q", raw)
	}
	if err != nil {
		return nil, nil
	}
	body, err := io.ReadAll(res.Body)
	if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Logf("the answer has no end: %v", err)
	}
	return res, bytes.TrimSpace(body)
}
