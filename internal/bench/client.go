package bench

import (
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
)

// Bounds of one exchange.
const (
	dialLimit    = 10 * time.Second
	answerLimit  = 30 * time.Second // above what a receive may wait
	maxHead      = 64 << 10
	maxAnswer    = 64 << 20 // a receive returns at most 16 MiB of bodies, which JSON may inflate
	firstBuffer  = 4 << 10  // grows to what the answers need
	deadlineStep = time.Second
)

var (
	errAborted = errors.New("stopped")
	errAnswer  = errors.New("not an HTTP/1.1 answer")
)

// target is the server as every connection sees it.
type target struct {
	address string      // host:port
	tls     *tls.Config // nil: plain http
	host    string      // value of Host
	prefix  string      // path below which the API lives, without a slash at the end
	common  string      // header lines that every request carries
	bearer  string      // value of Authorization
	shown   string      // URL to print, without credentials
}

func newTarget(rawURL, key string) (*target, error) {
	u, err := url.Parse(rawURL)
	if err != nil || u.Host == "" {
		return nil, fmt.Errorf("url: must look like http://127.0.0.1:8080, got %q", rawURL)
	}
	if strings.ContainsFunc(key, func(c rune) bool { return c <= ' ' || c > '~' }) {
		return nil, errors.New("key: must be printable ASCII without spaces")
	}
	t := &target{host: u.Host, prefix: strings.TrimSuffix(u.EscapedPath(), "/"), shown: u.Redacted()}
	port := u.Port()
	switch u.Scheme {
	case "http":
		if port == "" {
			port = "80"
		}
	case "https":
		if port == "" {
			port = "443"
		}
		t.tls = &tls.Config{ServerName: u.Hostname(), MinVersion: tls.VersionTLS12} // no ALPN: HTTP/1.1
	default:
		return nil, fmt.Errorf("url: must be http or https, got %q", rawURL)
	}
	t.address = net.JoinHostPort(u.Hostname(), port)
	t.bearer = "Bearer " + key
	t.common = "Host: " + t.host + "\r\nAuthorization: " + t.bearer + "\r\n"
	return t, nil
}

// head returns a request up to and including "Content-Length: ".
func (t *target) head(method, path, contentType string) []byte {
	h := method + " " + t.prefix + path + " HTTP/1.1\r\n" + t.common
	if contentType != "" {
		h += "Content-Type: " + contentType + "\r\n"
	}
	return []byte(h + "Content-Length: ")
}

// conn is one keep-alive connection, used by one goroutine at a time. After a failure the next request dials again.
type conn struct {
	target   *target
	nc       atomic.Pointer[net.Conn] // nil: not connected; atomic for abort
	aborted  atomic.Bool
	deadline time.Time // what nc has now
	out      []byte    // the request
	in       []byte    // in[:end] is what came of the answer
	end      int
}

func newConn(t *target) *conn { return &conn{target: t} }

func (c *conn) connected() bool { return c.nc.Load() != nil }

// abort makes the exchange under way, and every later one, fail at once. Any goroutine may call it.
func (c *conn) abort() {
	c.aborted.Store(true)
	if nc := c.nc.Load(); nc != nil {
		_ = (*nc).SetDeadline(time.Unix(1, 0))
	}
}

func (c *conn) close() {
	if nc := c.nc.Swap(nil); nc != nil {
		_ = (*nc).Close()
	}
}

// response is an answer. The body holds until the connection's next request.
type response struct {
	status int
	body   []byte
}

// call sends head, which ends in "Content-Length: ", with body and reads the answer.
func (c *conn) call(head, body []byte, limit time.Duration) (response, error) {
	c.out = append(c.out[:0], head...)
	c.finish(body)
	return c.exchange(limit)
}

// finish completes the request in c.out, which ends in "Content-Length: ".
func (c *conn) finish(body []byte) {
	c.out = strconv.AppendInt(c.out, int64(len(body)), 10)
	c.out = append(c.out, "\r\n\r\n"...)
	c.out = append(c.out, body...)
}

// exchange sends c.out and reads the answer.
func (c *conn) exchange(limit time.Duration) (response, error) {
	if err := c.write(limit); err != nil {
		return response{}, err
	}
	return c.read()
}

// write sends c.out. The answer may take until limit.
func (c *conn) write(limit time.Duration) error {
	if !c.connected() {
		if err := c.dial(); err != nil {
			return err
		}
	}
	nc := *c.nc.Load()
	// Moving the deadline costs as much as a tenth of a request, so it moves only when it is a step behind.
	if want := time.Now().Add(limit); want.Sub(c.deadline) > deadlineStep || c.deadline.Sub(want) > deadlineStep {
		c.deadline = want
		_ = nc.SetDeadline(want) // a closed connection says so in Write
	}
	if c.aborted.Load() { // after SetDeadline, which would undo abort's
		c.close()
		return errAborted
	}
	if _, err := nc.Write(c.out); err != nil {
		return c.broken(err)
	}
	return nil
}

func (c *conn) dial() error {
	if c.aborted.Load() {
		return errAborted
	}
	nc, err := net.DialTimeout("tcp", c.target.address, dialLimit) //nolint:noctx // its limit bounds it
	if err != nil {
		return fmt.Errorf("connect: %w", err)
	}
	if c.target.tls != nil {
		nc = tls.Client(nc, c.target.tls)
	}
	c.deadline = time.Time{}
	c.end = 0
	c.nc.Store(&nc)
	return nil
}

func (c *conn) broken(err error) error {
	c.close()
	if c.aborted.Load() {
		return errAborted
	}
	return err
}

// read reads the answer to what write sent.
func (c *conn) read() (response, error) {
	nc := c.nc.Load()
	if nc == nil {
		return response{}, errAborted
	}
	if c.in == nil {
		c.in = make([]byte, firstBuffer)
	}
	c.end = 0
	for {
		resp, closing, err := c.readOne(*nc)
		if err != nil {
			return resp, c.broken(err)
		}
		if resp.status >= 200 {
			if closing {
				c.close()
			}
			return resp, nil
		}
	}
}

// readOne reads one answer, which may be an interim one (1xx).
func (c *conn) readOne(nc net.Conn) (resp response, closing bool, err error) {
	var head int
	for seen := 0; ; {
		if head = bytes.Index(c.in[seen:c.end], []byte("\r\n\r\n")); head >= 0 {
			head += seen
			break
		}
		if seen = max(0, c.end-3); seen > maxHead {
			return resp, false, fmt.Errorf("%w: the head is longer than %d bytes", errAnswer, maxHead)
		}
		if err := c.fill(nc); err != nil {
			return resp, false, err
		}
	}
	resp.status, err = parseStatus(c.in[:head])
	if err != nil {
		return resp, false, err
	}
	length, chunked, closing := parseHeaders(c.in[:head])
	start := head + 4
	switch {
	case resp.status < 200: // the real answer follows, perhaps in the same packet
		c.end = copy(c.in, c.in[start:c.end])
		return resp, false, nil
	case resp.status == http.StatusNoContent || resp.status == http.StatusNotModified:
		length = 0
	case chunked:
		end, err := c.readChunks(nc, start)
		resp.body = c.in[start:end]
		return resp, closing, err
	case length < 0:
		return resp, false, fmt.Errorf("%w: neither Content-Length nor chunks", errAnswer)
	case length > maxAnswer:
		return resp, false, fmt.Errorf("%w: %d bytes", errAnswer, length)
	}
	if err := c.need(nc, start+length); err != nil {
		return resp, false, err
	}
	if c.end > start+length {
		return resp, false, fmt.Errorf("%w: more bytes than announced", errAnswer)
	}
	resp.body = c.in[start : start+length]
	return resp, closing, nil
}

// readChunks reads a chunked body from c.in[at:] on, closes the gaps between the chunks and returns where the body ends.
func (c *conn) readChunks(nc net.Conn, at int) (int, error) {
	end := at
	for {
		line, next, err := c.line(nc, at)
		if err != nil {
			return end, err
		}
		digits, _, _ := bytes.Cut(line, []byte(";"))
		size, err := strconv.ParseUint(string(bytes.TrimSpace(digits)), 16, 31)
		if err != nil {
			return end, fmt.Errorf("%w: chunk size %q", errAnswer, line)
		}
		if at = next; size == 0 {
			break
		}
		if end+int(size) > maxAnswer {
			return end, fmt.Errorf("%w: more than %d bytes", errAnswer, maxAnswer)
		}
		if err := c.need(nc, at+int(size)+2); err != nil {
			return end, err
		}
		end += copy(c.in[end:], c.in[at:at+int(size)])
		at += int(size) + 2
	}
	for { // trailers, then an empty line
		line, next, err := c.line(nc, at)
		if err != nil || len(line) == 0 {
			return end, err
		}
		at = next
	}
}

// line returns the line at c.in[at:] without its end, and where the next one starts.
func (c *conn) line(nc net.Conn, at int) ([]byte, int, error) {
	for {
		if n := bytes.Index(c.in[at:c.end], []byte("\r\n")); n >= 0 {
			return c.in[at : at+n], at + n + 2, nil
		}
		if c.end-at > maxHead {
			return nil, 0, errAnswer
		}
		if err := c.fill(nc); err != nil {
			return nil, 0, err
		}
	}
}

// need reads until c.in[:n] is there.
func (c *conn) need(nc net.Conn, n int) error {
	for c.end < n {
		if n > len(c.in) {
			c.in = append(c.in[:c.end], make([]byte, n-c.end)...)
			c.in = c.in[:cap(c.in)]
		}
		if err := c.fill(nc); err != nil {
			return err
		}
	}
	return nil
}

// fill reads what is there, at least one byte.
func (c *conn) fill(nc net.Conn) error {
	if c.end == len(c.in) {
		if c.end > 2*maxAnswer {
			return errAnswer
		}
		c.in = append(c.in, make([]byte, len(c.in))...)
	}
	n, err := nc.Read(c.in[c.end:])
	c.end += n
	if n > 0 {
		return nil
	}
	if err == nil {
		err = io.ErrNoProgress
	}
	return err
}

// parseStatus reads "HTTP/1.1 200 OK".
func parseStatus(head []byte) (int, error) {
	if len(head) < 12 || string(head[:7]) != "HTTP/1." || head[8] != ' ' {
		return 0, fmt.Errorf("%w: %.40q", errAnswer, head)
	}
	status := 0
	for _, digit := range head[9:12] {
		if digit < '0' || digit > '9' {
			return 0, fmt.Errorf("%w: %.40q", errAnswer, head)
		}
		status = status*10 + int(digit-'0')
	}
	return status, nil
}

// parseHeaders finds the three headers that say where an answer ends. length is -1 when there is none.
func parseHeaders(head []byte) (length int, chunked, closing bool) {
	length = -1
	for {
		n := bytes.IndexByte(head, '\n')
		if n < 0 {
			return length, chunked, closing
		}
		if head = head[n+1:]; len(head) == 0 {
			continue
		}
		switch head[0] | 0x20 {
		case 'c':
			if v, ok := headerValue(head, "content-length"); ok {
				if n, err := strconv.Atoi(string(v)); err == nil && n >= 0 {
					length = n
				}
			} else if v, ok := headerValue(head, "connection"); ok {
				closing = bytes.EqualFold(v, []byte("close"))
			}
		case 't':
			if v, ok := headerValue(head, "transfer-encoding"); ok {
				chunked = bytes.EqualFold(v, []byte("chunked"))
			}
		}
	}
}

// headerValue returns the value of the header line at the start of head, if it has that (lower-case) name.
func headerValue(head []byte, name string) ([]byte, bool) {
	if len(head) <= len(name) || head[len(name)] != ':' || !bytes.EqualFold(head[:len(name)], []byte(name)) {
		return nil, false
	}
	value, _, _ := bytes.Cut(head[len(name)+1:], []byte("\r"))
	return bytes.TrimSpace(value), true
}

// describe says what an answer that should not have been was: its status, and the code if it is a problem.
func describe(resp response) string {
	text := strconv.Itoa(resp.status)
	if code := problemCode(resp.body); code != "" {
		text += " " + code
	}
	return text
}
