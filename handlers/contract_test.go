package handlers_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/getkin/kin-openapi/routers/gorillamux"
	"github.com/labstack/echo/v4"

	"github.com/sluicemq/sluice/handlers"
	"github.com/sluicemq/sluice/internal/redistest"
	"github.com/sluicemq/sluice/openapi"
	"github.com/sluicemq/sluice/queues/queuetest"
)

func TestMain(m *testing.M) {
	doorChecksGiven = queuetest.Flags(doorChecks, doorSteps)
	code := redistest.Main(m)
	if code == 0 && !narrowed() {
		if untouched := contract.untouched(); len(untouched) > 0 {
			fmt.Fprintf(os.Stderr, "FAIL: no test has got a success from these operations: %s\n", strings.Join(untouched, ", "))
			code = 1
		}
	}
	os.Exit(code)
}

// narrowed reports whether only some of the tests were asked for.
func narrowed() bool {
	for _, name := range []string{"test.run", "test.skip", "test.list"} {
		if flag.Lookup(name).Value.String() != "" {
			return true
		}
	}
	return false
}

// contract is the description of the API, against which every answer of every test is held.
var contract = loadContract()

type described struct {
	doc    *openapi3.T
	router routers.Router

	mu      sync.Mutex
	touched map[string]bool // operation ids that answered with success
}

func loadContract() *described {
	doc, err := openapi3.NewLoader().LoadFromData(openapi.JSON)
	if err != nil {
		panic(err)
	}
	router, err := gorillamux.NewRouter(doc)
	if err != nil {
		panic(err)
	}
	return &described{doc: doc, router: router, touched: map[string]bool{}}
}

func (d *described) operations() map[string]string {
	all := map[string]string{} // "METHOD path" to id
	for path, item := range d.doc.Paths.Map() {
		for method, op := range item.Operations() {
			all[method+" "+path] = op.OperationID
		}
	}
	return all
}

func (d *described) untouched() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	var ids []string
	for _, id := range d.operations() {
		if !d.touched[id] {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	return ids
}

// check holds an answer against the description and against what is true of every answer.
func (d *described) check(h *apiTest, req *http.Request, body []byte, a *answer) {
	h.Helper()
	checkEvery(h, req, a)
	route, params, err := d.router.FindRoute(req)
	if err != nil {
		if a.status != http.StatusNotFound && a.status != http.StatusMethodNotAllowed && req.Method != http.MethodHead &&
			req.Method != http.MethodOptions {
			h.Errorf("%s: answered with %d, and the description has no such operation", a.asked, a.status)
		}
		return
	}
	options := &openapi3filter.Options{
		IncludeResponseStatus: true, MultiError: true, AuthenticationFunc: openapi3filter.NoopAuthenticationFunc,
		ExcludeResponseBody: isRaw(req, a), ExcludeRequestBody: req.Header.Get("Content-Type") != "application/json",
	}
	in := &openapi3filter.RequestValidationInput{Request: req, PathParams: params, Route: route, Options: options}
	out := &openapi3filter.ResponseValidationInput{RequestValidationInput: in, Status: a.status, Header: a.header, Options: options}
	out.SetBodyBytes(a.body)
	if err := openapi3filter.ValidateResponse(context.Background(), out); err != nil {
		h.Errorf("%s: the answer %d is not as described: %v\n%s", a.asked, a.status, err, a.body)
	}
	if a.status >= 400 {
		return
	}
	d.mu.Lock()
	d.touched[route.Operation.OperationID] = true
	d.mu.Unlock()
	if a.status == http.StatusMultiStatus || usesText(req, body) {
		return // durations may be text, which the description mentions in words only
	}
	asked := req.Clone(context.Background())
	asked.Body = io.NopCloser(bytes.NewReader(body))
	in.Request = asked
	if err := openapi3filter.ValidateRequest(context.Background(), in); err != nil {
		h.Errorf("%s: was accepted, and the description does not allow it: %v\n%s", a.asked, err, body)
	}
}

// isRaw reports whether an answer is bytes as they were sent.
func isRaw(req *http.Request, a *answer) bool {
	return a.status == http.StatusOK &&
		(strings.HasSuffix(req.URL.Path, "/body") || strings.HasSuffix(req.URL.Path, "/export") || strings.HasSuffix(req.URL.Path, "/group-state") && req.Method == http.MethodGet || strings.HasSuffix(req.URL.Path, "/receive") && req.URL.Query().Has("raw"))
}

// usesText reports whether a request says a duration, or no JSON, in a way that the description allows in words only.
func usesText(req *http.Request, body []byte) bool {
	for _, s := range []string{`"30s"`, `"5m"`, `"1h30m"`, `"4d"`, "wait=1s", "wait=20s", "delay=5m", ":null"} {
		if strings.Contains(req.URL.RawQuery, s) || bytes.Contains(body, []byte(s)) {
			return true
		}
	}
	return req.Header.Get("Message-Delay") == "5m"
}

// checkEvery holds an answer against what is true of every answer.
func checkEvery(h *apiTest, req *http.Request, a *answer) {
	h.Helper()
	id := a.header.Get("Request-Id")
	if !requestID.MatchString(id) {
		h.Errorf("%s: Request-Id is %q", a.asked, id)
	}
	if a.header.Get("Sluice-Now") == "" {
		h.Errorf("%s: no Sluice-Now, although the server has TestHeaders", a.asked)
	}
	media := a.header.Get("Content-Type")
	if len(a.body) > 0 && a.header.Get("X-Content-Type-Options") != "nosniff" {
		h.Errorf("%s: a body without nosniff", a.asked)
	}
	if a.status < 400 {
		return
	}
	for _, secret := range []string{h.key, h.operator} {
		if bytes.Contains(a.body, []byte(secret)) {
			h.Errorf("%s: the answer holds a key\n%s", a.asked, a.body)
		}
	}
	if media != "application/problem+json" {
		h.Errorf("%s: %d has content type %q", a.asked, a.status, media)
		return
	}
	if req.Method == http.MethodHead {
		return
	}
	var p handlers.Problem
	a.into(&p)
	if p.Status != a.status || p.RequestID != id || p.Type != "urn:sluice:error:"+p.Code || p.Title == "" || p.Detail == "" ||
		!strings.HasPrefix(p.Instance, "/") || p.Errors == nil {
		h.Errorf("%s: the problem is not whole: %+v", a.asked, p)
	}
	for _, f := range p.Errors {
		places := 0
		for _, s := range []string{f.Pointer, f.Header, f.Query} {
			if s != "" {
				places++
			}
		}
		if places > 1 || f.Code == "" || f.Detail == "" {
			h.Errorf("%s: the fault is not whole: %+v", a.asked, f)
		}
	}
	if a.status == http.StatusUnauthorized && a.header.Get("WWW-Authenticate") == "" {
		h.Errorf("%s: 401 without WWW-Authenticate", a.asked)
	}
	if a.status == http.StatusMethodNotAllowed && a.header.Get("Allow") == "" {
		h.Errorf("%s: 405 without Allow", a.asked)
	}
	if a.status == http.StatusServiceUnavailable && a.header.Get("Retry-After") == "" {
		h.Errorf("%s: 503 without Retry-After", a.asked)
	}
}

func TestRoutesAndDescriptionAreTheSame(t *testing.T) {
	t.Parallel()
	h := newAPITest(t, onMemory(t))
	listed := map[string]string{}
	for _, r := range handlers.Routes() {
		name := r.Method + " " + braces(r.Path)
		if listed[name] != "" {
			t.Errorf("%s stands twice in the table", name)
		}
		listed[name] = r.Operation
		if r.Scope == "" && r.Needs != "public" && r.Needs != "key" {
			t.Errorf("%s has no scope", name)
		}
	}
	diff(t, "operations of the description", listed, contract.operations())
	registered := map[string]bool{}
	for _, r := range h.echo.Routes() {
		if r.Method == http.MethodHead {
			continue // beside each GET
		}
		registered[r.Method+" "+braces(r.Path)] = true
	}
	diff(t, "routes of the server", slices.Sorted(maps.Keys(listed)), slices.Sorted(maps.Keys(registered)))
}

// braces turns a path of echo into one of the description.
func braces(path string) string {
	parts := strings.Split(path, "/")
	for i, p := range parts {
		if name, ok := strings.CutPrefix(p, ":"); ok {
			parts[i] = "{" + name + "}"
		}
	}
	return strings.Join(parts, "/")
}

// at fills the parameters of a route's path in.
func at(r handlers.TestRoute, queue, tenant string) string {
	return strings.NewReplacer(":queue", queue, ":tenant", tenant, ":handle", "rh_x", ":id", "x", ":schedule", "x", ":plan", "x").Replace(r.Path)
}

func TestEveryRouteAsksForItsKey(t *testing.T) {
	t.Parallel()
	h := newAPITest(t)
	path := h.queue("")
	h.sendText(path, "m")
	for _, r := range handlers.Routes() {
		target := at(r, queueName(path), h.tenant.Name)
		if r.Needs == "public" {
			continue
		}
		for what, value := range map[string]string{
			"no key": "", "no scheme": h.key, "an empty key": "Bearer ", "two spaces": "Bearer  " + h.key, "another scheme": "Digest x",
			"a wrong checksum": "Bearer " + h.key[:len(h.key)-1] + "!", "an unknown key": "Bearer slk_" + strings.Repeat("0", 36),
			"a password": "Basic " + basic(h.key, "x"), "no base64": "Basic !", "a session": "Bearer eyJhbGciOiJub25lIn0.e30.",
		} {
			p := h.do(r.Method, target, "", "Authorization", value).problem(401, "unauthenticated")
			if p.Fix == "" {
				t.Errorf("%s %s with %s: no advice", r.Method, target, what)
			}
		}
		switch r.Needs {
		case "operator":
			p := h.do(r.Method, target, "").problem(403, "permission_denied")
			if !strings.Contains(p.Detail, r.Scope) {
				t.Errorf("%s %s: %q does not name the scope %s", r.Method, target, p.Detail, r.Scope)
			}
		case "tenant":
			h.do(r.Method, target, "", "Authorization", "Bearer "+h.operator).problem(422, "tenant_required")
			h.do(r.Method, target, "", "Authorization", "Bearer "+h.operator, "Tenant", "nobody").problem(404, "tenant_not_found")
			h.do(r.Method, target, "", "Tenant", "default").problem(404, "tenant_not_found")
		}
	}
	h.wantCounts(path, [3]int64{1, 0, 0})
}

func TestTheErrorHandlerKeepsCausesToItself(t *testing.T) {
	t.Parallel()
	h := newAPITest(t, onMemory(t))
	h.echo.GET("/v1/broken", func(echo.Context) error { return errors.New("dial unix /secret/redis.sock: refused") })
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, h.url+"/v1/broken", nil)
	h.must(err)
	req.Header.Set("Request-Id", "mine-7")
	res, err := http.DefaultClient.Do(req)
	h.must(err)
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	h.must(err)
	var p handlers.Problem
	h.must(json.Unmarshal(text, &p))
	if res.StatusCode != 500 || p.Code != "internal" || bytes.Contains(text, []byte("secret")) {
		t.Errorf("got %d %s, want 500 internal without the cause", res.StatusCode, text)
	}
	for _, want := range []string{"/secret/redis.sock", p.RequestID, `"client_request_id":"mine-7"`} {
		if !strings.Contains(h.log.String(), want) {
			t.Errorf("the log does not hold %s:\n%s", want, h.log)
		}
	}
}
