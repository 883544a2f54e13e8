package server_test

import (
	"bufio"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/sluicemq/sluice/server/servertest"
)

// Requests that are damaged, or say two things, as a proxy in front might understand differently. What is stored is
// what was answered with 201, and after what nobody can frame the connection ends: its rest is no second request.
func TestDamagedHTTPIsRefused(t *testing.T) {
	t.Parallel()
	s := servertest.New(t)
	queue := newQueue(t, s.URL(), s.Key, "")
	head := func(line string) string { return line + "\r\nHost: x\r\nAuthorization: Bearer " + s.Key + "\r\n" }
	post := head("POST /v1/queues/" + queue + "/messages HTTP/1.1")
	chunked := post + "Transfer-Encoding: chunked\r\n\r\n"
	const two = "Content-Length: 2\r\n\r\nab"
	long := func(n int) string { return strings.Repeat("a", n<<10) }
	stored := 0
	for _, c := range []struct {
		what, raw string
		status    int
		ends      bool
	}{
		{"two lengths", post + "Content-Length: 2\r\nContent-Length: 3\r\n\r\nabc", 400, true},
		{"two equal lengths", post + "Content-Length: 2\r\n" + two, 201, false},
		{"a length with a sign", post + "Content-Length: +2\r\n\r\nab", 400, true},
		{"a negative length", post + "Content-Length: -1\r\n\r\nab", 400, true},
		{"a list of lengths", post + "Content-Length: 2, 2\r\n\r\nab", 400, true},
		{"a space before the colon", post + "Content-Length : 2\r\n\r\nab", 400, true},
		{"length and chunks", post + "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n", 201, true},
		{"chunks", chunked + "1\r\na\r\n0\r\n\r\n", 201, true},
		{"a credential behind the body", post + "Trailer: Authorization\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\nAuthorization: x\r\n\r\n", 201, true},
		{"compressed chunks", post + "Transfer-Encoding: gzip, chunked\r\n\r\n1\r\na\r\n0\r\n\r\n", 501, true},
		{"chunks by another name", post + "Transfer-Encoding: xchunked\r\n\r\n1\r\na\r\n0\r\n\r\n", 501, true},
		{"two transfer encodings", post + "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n1\r\na\r\n0\r\n\r\n", 501, true},
		{"a chunk's size that ends in LF", chunked + "1\na\r\n0\r\n\r\n", 400, true},
		{"a chunk's size with 0x", chunked + "0x2\r\nab\r\n0\r\n\r\n", 400, true},
		{"a chunk's size of 68 bits", chunked + "fffffffffffffffff\r\nab\r\n0\r\n\r\n", 400, true},
		{"a long chunk extension", chunked + "1;" + long(20) + "\r\na\r\n0\r\n\r\n", 400, true},
		{"a folded header", post + "X-A: b\r\n c\r\n" + two, 201, false},
		{"a header without a name", post + ": x\r\n" + two, 400, true},
		{"NUL in a header", post + "X-A: a\x00b\r\n" + two, 400, true},
		{"CR in a header", post + "X-A: a\rb\r\n" + two, 400, true},
		{"long headers", post + "X-A: " + long(40) + "\r\n" + two, 431, true},
		{"no Host", "GET /v1/queues HTTP/1.1\r\n\r\n", 400, true},
		{"two Hosts", "GET /v1/queues HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400, true},
		{"a Host with a space", "GET /v1/queues HTTP/1.1\r\nHost: a b\r\n\r\n", 400, true},
		{"HTTP/1.2", strings.Replace(post, "HTTP/1.1", "HTTP/1.2", 1) + two, 201, false},
		{"HTTP/3.0", strings.Replace(post, "HTTP/1.1", "HTTP/3.0", 1) + two, 505, true},
		{"HTTP/0.9", "GET /v1/queues\r\n\r\n", 400, true},
		{"TLS", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + long(1), 400, true},
		{"HTTP/2", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 404, true},
		{"a method with a bracket", strings.Replace(post, "POST", "PO(ST", 1) + two, 400, true},
		{"TRACE", strings.Replace(post, "POST", "TRACE", 1) + "\r\n", 405, false},
		{"CONNECT", "CONNECT x:80 HTTP/1.1\r\nHost: x:80\r\n\r\n", 405, false},
		{"another method", strings.Replace(post, "POST", "PUT", 1) + two, 405, false},
		{"another expectation", post + "Expect: foo\r\n" + two, 417, true},
		{"an empty segment", strings.Replace(post, "/v1/", "/v1//", 1) + two, 404, false},
		{"a way up", strings.Replace(post, "/v1/queues", "/v1/queues/../queues", 1) + two, 404, false},
		{"an escaped way up", strings.Replace(post, "/v1/queues", "/v1/queues/%2e%2e/queues", 1) + two, 404, false},
		{"a slash in a name", head("PUT /v1/queues/a%2Fb HTTP/1.1") + "Content-Length: 2\r\n\r\n{}", 422, false},
		{"NUL in a name", head("PUT /v1/queues/a%00b HTTP/1.1") + "Content-Length: 2\r\n\r\n{}", 422, false},
		{"a damaged escape", head("GET /v1/queues/a%zz HTTP/1.1") + "\r\n", 400, true},
		{"a space in the path", head("GET /v1/queues/a b HTTP/1.1") + "\r\n", 400, true},
		{"a long path", head("GET /v1/queues/"+long(40)+" HTTP/1.1") + "\r\n", 431, true},
		{"a body that is too large", post + "Content-Length: 20000000\r\n\r\n" + long(3<<10), 413, true},
		{"a compressed body", post + "Content-Encoding: gzip\r\n" + two, 415, false},
		{"length and chunks for AWS", "POST / HTTP/1.1\r\nHost: x\r\nX-Amz-Target: AmazonSQS.ListQueues\r\n" +
			"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n", 411, true},
	} {
		conn := dial(t, s.URL())
		go func() { _, _ = io.WriteString(conn, c.raw) }() // the server may answer, and close, before it has read all
		_ = conn.SetReadDeadline(time.Now().Add(time.Minute))
		in := bufio.NewReader(conn)
		resp, err := http.ReadResponse(in, nil)
		if err != nil {
			t.Errorf("%s: %v", c.what, err)
			continue
		}
		body, _ := io.ReadAll(resp.Body)
		if resp.StatusCode == http.StatusCreated {
			stored++
		}
		if resp.StatusCode != c.status {
			t.Errorf("%s: got %d %.200s, want %d", c.what, resp.StatusCode, body, c.status)
		}
		if c.ends {
			ended(t, conn, time.Minute)
		} else {
			_ = conn.Close()
		}
	}
	if got := queueCounts(t, s.URL(), s.Key, queue); got.Available != stored {
		t.Errorf("the queue has %+v, and %d sends were confirmed", got, stored)
	}
}
