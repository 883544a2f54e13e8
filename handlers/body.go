package handlers

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"

	"github.com/labstack/echo/v4"

	"github.com/sluicemq/sluice/internal/errs"
	"github.com/sluicemq/sluice/internal/room"
)

const (
	// maxControlBody bounds the JSON of everything but messages; the longest is 1,000 receipt handles.
	maxControlBody = 1 << 20
	// firstRead is how much room a body gets before any of it has come, so that a length that a client only claims
	// costs no memory.
	firstRead = 64 << 10
	// maxKeptBuffer is the largest buffer that is kept for the next request.
	maxKeptBuffer = 256 << 10
)

const (
	jsonMedia    = "application/json"
	mergeMedia   = "application/merge-patch+json"
	formMedia    = "application/x-www-form-urlencoded"
	linesMedia   = "application/x-ndjson"
	problemMedia = "application/problem+json"
)

// Values of Content-Type, ready to be put into a header. They are never changed.
var (
	jsonType    = []string{jsonMedia}
	problemType = []string{problemMedia}
)

var buffers = sync.Pool{New: func() any { return new(buffer) }}

// buffer is memory for a body or an answer.
type buffer struct{ b []byte }

func getBuffer() *buffer { return buffers.Get().(*buffer) }

// release gives the buffer back: nothing may point into it any more.
func (b *buffer) release() {
	if cap(b.b) <= maxKeptBuffer {
		b.b = b.b[:0]
		buffers.Put(b)
	}
}

// readBody reads the whole body of a request into buf. A body that is longer than limit is tooLarge, and the
// connection closes, because nobody wants to read the rest.
func readBody(c echo.Context, buf *buffer, limit int, tooLarge func(limit int) error) ([]byte, error) {
	r, h := c.Request(), c.Response().Header()
	switch n := r.ContentLength; {
	case n > int64(limit):
		h.Set("Connection", "close")
		return nil, tooLarge(limit)
	case n == 0 || r.Body == nil || r.Body == http.NoBody:
		return nil, nil
	case n > 0:
		buf.b = grow(buf.b[:0], int(min(n, firstRead)))
		b, err := readSized(r.Body, buf.b, int(n))
		buf.b = b
		if err != nil {
			return nil, bodyError(h, err)
		}
		return b, nil
	}
	// Chunks. net/http hides whether a Content-Length stood beside them, which is how requests are smuggled past a proxy
	// that reads the other one, so the connection ends with this request.
	h.Set("Connection", "close")
	buf.b = grow(buf.b[:0], 4<<10)
	for {
		n, err := r.Body.Read(buf.b[len(buf.b):cap(buf.b)])
		buf.b = buf.b[:len(buf.b)+n]
		switch {
		case len(buf.b) > limit:
			return nil, tooLarge(limit)
		case errors.Is(err, io.EOF):
			return buf.b, nil
		case err != nil:
			return nil, bodyError(h, err)
		}
		if len(buf.b) == cap(buf.b) {
			buf.b = grow(buf.b, 2*cap(buf.b))
		}
	}
}

// readSized reads n bytes. Room is made as they come.
func readSized(r io.Reader, b []byte, n int) ([]byte, error) {
	for len(b) < n {
		if len(b) == cap(b) {
			b = grow(b, min(2*cap(b), n))
		}
		k, err := r.Read(b[len(b):min(cap(b), n)])
		b = b[:len(b)+k]
		if err != nil && len(b) < n {
			if errors.Is(err, io.EOF) {
				err = io.ErrUnexpectedEOF
			}
			return b, err
		}
	}
	return b, nil
}

// grow returns b with room for n bytes in all.
func grow(b []byte, n int) []byte {
	if cap(b) >= n {
		return b
	}
	bigger := make([]byte, len(b), n)
	copy(bigger, b)
	return bigger
}

// bodyError says why a body could not be read.
func bodyError(h http.Header, err error) error {
	h.Set("Connection", "close")
	if errors.Is(err, room.ErrOverloaded) {
		return err
	}
	if timeout, ok := errors.AsType[net.Error](err); ok && timeout.Timeout() {
		return errs.New(errs.Malformed, codeTimeout, "The body did not arrive in time.").Because(err)
	}
	return errs.New(errs.Malformed, errMalformed.Code, "The body ended early or is not framed as HTTP asks.").Because(err)
}

func requestTooLarge(limit int) error {
	return errs.New(errs.TooLarge, codeTooLarge, fmt.Sprintf("The body may have at most %d bytes here.", limit))
}

// mediaType returns the media type of a request's body in lower case, without parameters, and "" where none is given.
func mediaType(r *http.Request) (string, error) {
	value := r.Header.Get("Content-Type")
	if value == "" {
		return "", nil
	}
	media, params, err := mime.ParseMediaType(value)
	if err != nil {
		return "", errMedia(value)
	}
	if charset, ok := params["charset"]; ok && !strings.EqualFold(charset, "utf-8") && !strings.EqualFold(charset, "us-ascii") {
		return "", errMedia(value)
	}
	return media, nil
}

func errMedia(value string) error {
	return &errs.Error{Kind: errs.Malformed, Code: codeMediaType,
		Message: "A body of the content type " + quoted(value) + " is not understood here.",
		Fix:     "Send JSON in UTF-8, as application/json.",
		Fields:  []errs.Field{{Header: "Content-Type", Code: "not_supported", Message: "must be application/json"}}}
}

// readControl reads a JSON body by f. Nothing at all counts as {}. JSON is taken for what it is when it is called a
// form, because that is what curl -d calls it.
func (a *API) readControl(c echo.Context, f func(r *reader)) error {
	buf := getBuffer()
	defer buf.release()
	body, err := a.controlBody(c, buf)
	if err != nil {
		return err
	}
	return readJSON(body, f)
}

var emptyObject = []byte("{}")

// controlBody returns the JSON of a request.
func (a *API) controlBody(c echo.Context, buf *buffer) ([]byte, error) {
	body, err := readBody(c, buf, maxControlBody, requestTooLarge)
	if err != nil {
		return nil, err
	}
	if len(body) == 0 {
		return emptyObject, nil
	}
	media, err := mediaType(c.Request())
	if err != nil {
		return nil, err
	}
	switch {
	case media == "", media == jsonMedia, media == formMedia, media == mergeMedia && c.Request().Method == http.MethodPatch:
		return body, nil
	}
	return nil, errMedia(c.Request().Header.Get("Content-Type"))
}

// marshal returns v as JSON in which <, > and & stay what they are.
func marshal(v any) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

// json answers with v.
func (a *API) json(c echo.Context, status int, v any) error {
	body, err := marshal(v)
	if err != nil {
		return err
	}
	return a.write(c, status, jsonType, body)
}

// write answers with body. An error says that the client did not get it.
func (a *API) write(c echo.Context, status int, contentType []string, body []byte) error {
	give, err := a.Answers.Take(int64(len(body)))
	if err != nil {
		return err
	}
	defer give()
	return put(c, status, contentType, body)
}

// put is write for a body that has its room.
func put(c echo.Context, status int, contentType []string, body []byte) error {
	w := c.Response()
	h := w.Header()
	h["Content-Type"] = contentType
	h["X-Content-Type-Options"] = noSniff
	h["Content-Length"] = []string{strconv.Itoa(len(body))}
	w.WriteHeader(status)
	if c.Request().Method == http.MethodHead {
		return nil
	}
	_, err := w.Write(body)
	return err
}

var noSniff = []string{"nosniff"}
