// Package openapi carries the description of the REST API and serves it, as a document and as a page to read.
//
// openapi.json is generated from the comments on the handlers by "make openapi".
package openapi

import (
	"bytes"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"encoding/hex"
	"net/http"
	"net/url"
	"path"
	"regexp"
	"strings"
	"time"

	"github.com/swaggest/swgui"
	"github.com/swaggest/swgui/v5emb"
)

// JSON is the OpenAPI 3.0.3 document. Nobody may change its bytes.
//
//go:embed openapi.json
var JSON []byte

// Handler serves JSON. A client that names its ETag in If-None-Match gets 304 while the document is the same.
func Handler() http.Handler {
	sum := sha256.Sum256(JSON)
	etag := `"` + hex.EncodeToString(sum[:8]) + `"`
	return readOnly(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Type", "application/json")
		h.Set("Cache-Control", "no-cache")
		h.Set("ETag", etag)
		h.Set("X-Content-Type-Options", "nosniff")
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(JSON))
	})
}

// Docs serves a page on which people read the document at specURL and try its operations. It needs nothing from
// outside: styles and scripts are part of the program.
//
// Mount it at /docs and everything below. The page itself is /docs/, and /docs leads there. A specURL that begins
// with a dot, such as "../openapi.json", is relative to the page and so holds below any prefix that a proxy adds.
func Docs(specURL string) http.Handler {
	const base = "/docs/"
	ui := v5emb.NewHandlerWithConfig(swgui.Config{
		Title:            "Sluice API",
		SwaggerJSON:      specURL,
		BasePath:         "./",
		InternalBasePath: base,
		SettingsUI: map[string]string{
			"defaultModelsExpandDepth": "0",
			"tryItOutEnabled":          "false",
			"persistAuthorization":     "false", // a key stays in this tab's memory
			"requestInterceptor":       belowSpec,
		},
	})
	page := render(ui, base)
	policy := contentPolicy(page)
	return readOnly(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", policy)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cache-Control", "no-cache")
		switch name := r.URL.Path[strings.LastIndex(r.URL.Path, "/")+1:]; name {
		case "":
			h.Set("Content-Type", "text/html; charset=utf-8")
			http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(page))
		case path.Base(base):
			h.Set("Location", "."+base) // relative: http.Redirect would drop a proxy's prefix
			w.WriteHeader(http.StatusPermanentRedirect)
		default:
			asset := r.Clone(r.Context())
			asset.URL.Path = base + name
			ui.ServeHTTP(w, asset)
		}
	})
}

// belowSpec is a JavaScript function by which "Try it out" calls the server that served the document, also when that
// server lives below a prefix. The variable url is the document's address in the page's script.
const belowSpec = `function (req) {
				var to = new URL(req.url, window.location.href);
				if (!req.loadSpec && to.origin === window.location.origin) {
					req.url = new URL("." + to.pathname + to.search, new URL(url, window.location.href)).href;
				}
				return req;
			}`

// readOnly refuses every method but GET and HEAD.
func readOnly(next http.HandlerFunc) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			w.Header().Set("Allow", "GET, HEAD")
			http.Error(w, "this address is only read", http.StatusMethodNotAllowed)
			return
		}
		next(w, r)
	})
}

var inlineScripts = regexp.MustCompile(`(?s)<script>(.*?)</script>`)

// contentPolicy allows what the page holds and this server's own files, and nothing else. The two scripts inside the
// page are named by their hashes, so that no other inline script runs; styles may be inline because the page sets
// them on elements.
func contentPolicy(page []byte) string {
	scripts := "'self'"
	for _, m := range inlineScripts.FindAllSubmatch(page, -1) {
		sum := sha256.Sum256(m[1])
		scripts += " 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
	}
	return "default-src 'none'; script-src " + scripts + "; style-src 'self' 'unsafe-inline'; " +
		"img-src 'self' data:; font-src 'self' data:; connect-src 'self'; " +
		"base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
}

// render returns what ui answers to a GET of path. The page never changes, so it is made once.
func render(ui http.Handler, path string) []byte {
	page := &recorder{header: http.Header{}}
	ui.ServeHTTP(page, &http.Request{Method: http.MethodGet, URL: &url.URL{Path: path}})
	return page.body.Bytes()
}

// recorder keeps the body of an answer.
type recorder struct {
	header http.Header
	body   bytes.Buffer
}

func (r *recorder) Header() http.Header         { return r.header }
func (r *recorder) Write(p []byte) (int, error) { return r.body.Write(p) }
func (r *recorder) WriteHeader(int)             {}
