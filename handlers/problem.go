package handlers

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/sluicemq/sluice/internal/engine"
	"github.com/sluicemq/sluice/internal/errs"
	"github.com/sluicemq/sluice/tenants"
)

// Problem is the answer to what failed (RFC 9457).
type Problem struct {
	// Name of the kind of problem, as a URN. Stable.
	Type string `json:"type" example:"urn:sluice:error:queue_not_found"`
	// The code in words.
	Title string `json:"title" example:"Queue not found"`
	// HTTP status.
	Status int `json:"status" example:"404"`
	// Stable name of the kind of problem: what programs test.
	Code string `json:"code" example:"queue_not_found"`
	// What happened, for people. May change.
	Detail string `json:"detail" example:"There is no queue \"ordres\". Did you mean \"orders\"?"`
	// Path of the request.
	Instance string `json:"instance" example:"/v1/queues/ordres"`
	// Id of the request, as in the log.
	RequestID string `json:"request_id" example:"req_0kq1zv3m5c8g02r4b7fg"`
	// What to try next.
	Fix string `json:"fix,omitempty" example:"Create it: PUT /v1/queues/{queue}."`
	// With `outcome_unknown` of a send: the id that the message has if it was stored.
	MessageID string `json:"message_id,omitempty" example:"msg_0kq1zv3m5c8g02r4b7fg"`
	// With `quota_exceeded` and `rate_limited`: name of the limit that is reached, what it is, and how much of it is used.
	Quota string `json:"quota,omitempty" example:"unfinished_tasks"`
	Limit int64  `json:"limit,omitempty" example:"100"`
	Used  int64  `json:"used,omitempty" example:"100"`
	// With `rate_limited`: the limits that are reached, by their names in RateLimit-Policy.
	ViolatedPolicies []string `json:"violated-policies,omitempty" example:"requests_per_second"`
	// With `tenant_suspended`: where to ask whoever runs the installation, a mailto:, https: or http: URL, where somebody is named.
	Contact string `json:"contact,omitempty" example:"mailto:ops@example.com"`
	// The parts of the request at fault.
	Errors []Fault `json:"errors"`
}

// Fault is one part of a request that is at fault. At most one of pointer, header and query says where.
type Fault struct {
	// JSON Pointer into the body.
	Pointer string `json:"pointer,omitempty" example:"/visibility_timeout"`
	// Name of a header.
	Header string `json:"header,omitempty" example:"Message-Delay"`
	// Name of a query parameter.
	Query string `json:"query,omitempty" example:"wait"`
	// Stable name of what is wrong.
	Code string `json:"code" example:"out_of_range"`
	// What is allowed and what came.
	Detail string `json:"detail" example:"must be 0 to 43200"`
	// Of a filter: the line of the fault, from 1.
	Line int `json:"line,omitempty" validate:"omitempty,min=1" example:"1"`
	// Of a filter: the character of the line at which the fault is, from 1.
	Column int `json:"column,omitempty" validate:"omitempty,min=1" example:"5"`
}

// Codes of failures that only HTTP knows.
const (
	codeNotFound  = "not_found"
	codeMethod    = "method_not_allowed"
	codeMediaType = "unsupported_media_type"
	codeTimeout   = "request_timeout"
	codeTooLarge  = "request_too_large"
	codeUpgrade   = "websocket_required"
)

// statuses of the kinds.
var statuses = [...]int{
	errs.Internal:        http.StatusInternalServerError,
	errs.Malformed:       http.StatusBadRequest,
	errs.Invalid:         http.StatusUnprocessableEntity,
	errs.Unauthenticated: http.StatusUnauthorized,
	errs.Forbidden:       http.StatusForbidden,
	errs.NotFound:        http.StatusNotFound,
	errs.Conflict:        http.StatusConflict,
	errs.Gone:            http.StatusGone,
	errs.Precondition:    http.StatusPreconditionFailed,
	errs.TooLarge:        http.StatusRequestEntityTooLarge,
	errs.Quota:           http.StatusForbidden,
	errs.RateLimited:     http.StatusTooManyRequests,
	errs.StorageFull:     http.StatusInsufficientStorage,
	errs.Unavailable:     http.StatusServiceUnavailable,
	errs.Unknown:         http.StatusServiceUnavailable,
}

// codeStatuses are the statuses that no kind has.
var codeStatuses = map[string]int{
	codeMethod: http.StatusMethodNotAllowed, codeMediaType: http.StatusUnsupportedMediaType, codeTimeout: http.StatusRequestTimeout,
	codeUpgrade: http.StatusUpgradeRequired,
}

// maxRetryAfter bounds the advice to wait.
const maxRetryAfter = 24 * time.Hour

// asError returns err as an Error that a caller may see. What is none, is internal.
func asError(err error) *errs.Error {
	if e, ok := errors.AsType[*errs.Error](err); ok && e.Kind != errs.Internal {
		return e
	}
	if he, ok := errors.AsType[*echo.HTTPError](err); ok {
		switch he.Code {
		case http.StatusNotFound:
			return errs.New(errs.NotFound, codeNotFound, "There is nothing at this address.").
				WithFix("The operations are listed in /openapi.json.")
		case http.StatusMethodNotAllowed:
			return errs.New(errs.Malformed, codeMethod, "This address does not take that method.").
				WithFix("The header Allow lists those that it takes.")
		case http.StatusRequestEntityTooLarge:
			return errs.New(errs.TooLarge, codeTooLarge, "The body is too large.")
		}
	}
	return engine.ErrBroken.Because(err)
}

func statusOf(e *errs.Error) int {
	if s, ok := codeStatuses[e.Code]; ok {
		return s
	}
	return statuses[e.Kind]
}

// problem describes a failure of the request of c.
func problem(c echo.Context, e *errs.Error) *Problem {
	p := &Problem{
		Type: "urn:sluice:error:" + e.Code, Title: title(e.Code), Status: statusOf(e), Code: e.Code, Detail: e.Message,
		Instance: instance(c.Request()), Fix: e.Fix, Errors: make([]Fault, 0, len(e.Fields)),
	}
	if r := RequestOf(c); r != nil {
		p.RequestID = r.ID
	}
	if u := e.Usage; u != nil {
		p.Quota, p.Limit, p.Used = u.Quota, u.Limit, u.Used
		if e.Kind == errs.RateLimited {
			p.ViolatedPolicies = []string{u.Quota}
		}
	}
	for _, f := range e.Fields {
		p.Errors = append(p.Errors, Fault{Pointer: f.Pointer, Header: f.Header, Query: f.Query, Code: f.Code, Detail: f.Message, Line: f.Line, Column: f.Column})
	}
	return p
}

// maxInstance bounds what is repeated of a path.
const maxInstance = 512

func instance(r *http.Request) string {
	path := r.URL.EscapedPath()
	if len(path) > maxInstance {
		return path[:strings.LastIndexByte(path[:maxInstance], '/')+1]
	}
	return path
}

// title writes a code as words.
func title(code string) string {
	words := strings.ReplaceAll(code, "_", " ")
	if words == "" {
		return ""
	}
	return strings.ToUpper(words[:1]) + words[1:]
}

// withMessageID is a failure after which a message may have been stored.
type withMessageID struct {
	error
	id string
}

func (e withMessageID) Unwrap() error { return e.error }

// ErrorHandler answers what failed with a problem, and logs what an operator should look at. It works without Register.
func (a *API) ErrorHandler(err error, c echo.Context) {
	e := asError(err)
	if m := c.Request().Method; e.Kind == errs.Unknown && (m == http.MethodGet || m == http.MethodHead) {
		e = engine.ErrUnavailable.Because(e) // what only reads has changed nothing
	}
	a.ensureID(c)
	RequestOf(c).Code = e.Code
	p := problem(c, e)
	if m, ok := errors.AsType[withMessageID](err); ok {
		p.MessageID = m.id
	}
	if e.Code == tenants.ErrSuspended.Code {
		p.Contact = a.Contact // whoami, which has it for all others, is refused too
	}
	a.note(c, e, p.Status)
	if c.Response().Committed {
		return
	}
	h := c.Response().Header()
	for _, name := range []string{"Content-Length", "Content-Disposition", "Etag", "Location", "Link"} {
		h.Del(name) // of the answer that was begun
	}
	h["Cache-Control"] = noStore
	if p.Status == http.StatusUnauthorized {
		h.Set("WWW-Authenticate", `Bearer realm="sluice"`)
	}
	setRetryAfter(h, e.RetryAfter)
	body, err := marshal(p)
	if err != nil {
		body = []byte(`{}`)
	}
	_ = a.write(c, p.Status, problemType, body)
}

// setRetryAfter writes the advice to wait, in seconds, rounded up.
func setRetryAfter(h http.Header, d time.Duration) {
	if d <= 0 {
		return
	}
	d = min(d, maxRetryAfter)
	h.Set("Retry-After", strconv.FormatInt(int64((d+time.Second-1)/time.Second), 10))
}

// note logs a failure that is the server's own. A client that has gone does not make one.
func (a *API) note(c echo.Context, e *errs.Error, status int) {
	if status < http.StatusInternalServerError || a.Logger == nil || c.Request().Context().Err() != nil {
		return
	}
	attrs := []slog.Attr{
		slog.String("code", e.Code), slog.Int("status", status),
		slog.String("method", c.Request().Method), slog.String("route", c.Path()), // a path may hold a receipt handle
	}
	if r := RequestOf(c); r != nil {
		attrs = append(attrs, slog.String("request_id", r.ID), slog.String("tenant", r.Tenant.String()))
		if r.ClientID != "" {
			attrs = append(attrs, slog.String("client_request_id", r.ClientID))
		}
	}
	if e.Err != nil {
		attrs = append(attrs, slog.String("error", e.Err.Error()))
	}
	level := slog.LevelWarn
	if status == http.StatusInternalServerError {
		level = slog.LevelError
	}
	a.Logger.LogAttrs(context.Background(), level, "a request failed", attrs...)
}

// relocate returns err with the place of each fault changed by f.
func relocate(err error, f func(*errs.Field)) error {
	e, ok := errors.AsType[*errs.Error](err)
	if !ok || len(e.Fields) == 0 {
		return err
	}
	moved := *e
	moved.Fields = append([]errs.Field(nil), e.Fields...)
	for i := range moved.Fields {
		f(&moved.Fields[i])
	}
	return &moved
}

func quoted(s string) string {
	const longest = 80
	if len(s) > longest {
		return fmt.Sprintf("%q…", s[:longest])
	}
	return fmt.Sprintf("%q", s)
}
