package openapi_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sluicemq/sluice/openapi"
)

func get(t *testing.T, h http.Handler, method, url string, headers ...string) *http.Response {
	t.Helper()
	r := httptest.NewRequest(method, url, nil)
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w.Result()
}

func body(t *testing.T, r *http.Response) string {
	t.Helper()
	b, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestDocumentIsOpenAPI303(t *testing.T) {
	t.Parallel()
	var doc struct {
		OpenAPI string                     `json:"openapi"`
		Paths   map[string]json.RawMessage `json:"paths"`
	}
	if err := json.Unmarshal(openapi.JSON, &doc); err != nil {
		t.Fatal(err)
	}
	if doc.OpenAPI != "3.0.3" || doc.Paths == nil {
		t.Errorf("got openapi %q and paths %v, want 3.0.3 and an object", doc.OpenAPI, doc.Paths)
	}
}

func TestHandlerAnswersNotModifiedToItsOwnETag(t *testing.T) {
	t.Parallel()
	h := openapi.Handler()
	first := get(t, h, "GET", "/openapi.json")
	if diff := cmp.Diff(string(openapi.JSON), body(t, first)); diff != "" {
		t.Errorf("body (-want +got):\n%s", diff)
	}
	if got := first.Header.Get("Content-Type"); got != "application/json" {
		t.Errorf("content type: got %q, want application/json", got)
	}
	etag := first.Header.Get("ETag")
	for sent, want := range map[string]int{etag: 304, `"other"`: 200, `"other", ` + etag: 304} {
		if got := get(t, h, "GET", "/openapi.json", "If-None-Match", sent).StatusCode; got != want {
			t.Errorf("If-None-Match %s: got %d, want %d", sent, got, want)
		}
	}
	head := get(t, h, "HEAD", "/openapi.json")
	if got := body(t, head); head.StatusCode != 200 || got != "" {
		t.Errorf("HEAD: got %d with %d bytes, want 200 with none", head.StatusCode, len(got))
	}
}

func TestDocumentAndPageAreOnlyRead(t *testing.T) {
	t.Parallel()
	for path, h := range map[string]http.Handler{"/openapi.json": openapi.Handler(), "/docs/": openapi.Docs("/openapi.json")} {
		r := get(t, h, "POST", path)
		if r.StatusCode != 405 || r.Header.Get("Allow") != "GET, HEAD" {
			t.Errorf("POST %s: got %d, Allow %q; want 405 and GET, HEAD", path, r.StatusCode, r.Header.Get("Allow"))
		}
	}
}

// attribute finds what the page asks a browser to load.
var attribute = regexp.MustCompile(`(?:src|href)="([^"]*)"`)

func TestDocsLoadNothingFromOutside(t *testing.T) {
	t.Parallel()
	h := openapi.Docs("../openapi.json")
	for _, prefix := range []string{"", "/queues/api"} { // with and without a proxy's prefix left in the path
		page := body(t, get(t, h, "GET", prefix+"/docs/"))
		if !strings.Contains(page, `"../openapi.json"`) {
			t.Errorf("the page does not name its document:\n%s", page)
		}
		assets := attribute.FindAllStringSubmatch(page, -1)
		if len(assets) < 3 {
			t.Fatalf("the page loads %d files, want its styles and scripts", len(assets))
		}
		for _, a := range assets {
			name, local := strings.CutPrefix(a[1], "./")
			if !local {
				t.Errorf("the page loads %s", a[1])
				continue
			}
			r := get(t, h, "GET", prefix+"/docs/"+name, "Accept-Encoding", "gzip")
			if r.StatusCode != 200 || len(body(t, r)) == 0 {
				t.Errorf("%s: got %d, want 200 with content", name, r.StatusCode)
			}
		}
	}
	if r := get(t, h, "GET", "/docs/none.js"); r.StatusCode != 404 {
		t.Errorf("an unknown file: got %d, want 404", r.StatusCode)
	}
}

func TestDocsPolicyAllowsOnlyItsOwnScripts(t *testing.T) {
	t.Parallel()
	h := openapi.Docs("../openapi.json")
	r := get(t, h, "GET", "/docs/")
	policy := map[string]string{}
	for directive := range strings.SplitSeq(r.Header.Get("Content-Security-Policy"), "; ") {
		name, value, _ := strings.Cut(directive, " ")
		policy[name] = value
	}
	if got := policy["default-src"]; got != "'none'" {
		t.Errorf("default-src: got %q, want 'none'", got)
	}
	if got := policy["connect-src"]; got != "'self'" {
		t.Errorf("connect-src: got %q, want 'self'", got)
	}
	inline := strings.Count(body(t, r), "<script>")
	if got := strings.Count(policy["script-src"], "'sha256-"); got != inline || inline == 0 {
		t.Errorf("script-src: got %d hashes for %d inline scripts", got, inline)
	}
	if strings.Contains(policy["script-src"], "unsafe") {
		t.Errorf("script-src allows unsafe scripts: %s", policy["script-src"])
	}
}

func TestDocsLeadToThePageBelowAnyPrefix(t *testing.T) {
	t.Parallel()
	r := get(t, openapi.Docs("../openapi.json"), "GET", "/docs")
	if r.StatusCode != 308 || r.Header.Get("Location") != "./docs/" {
		t.Errorf("got %d to %q, want 308 to ./docs/", r.StatusCode, r.Header.Get("Location"))
	}
}
