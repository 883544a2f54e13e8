package web

import (
	"bytes"
	"compress/gzip"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"testing/fstest"
)

const testPage = `<base href="__BASE__"><script nonce="__NONCE__" src="./assets/a.js"></script>`

func get(h http.Handler, method, path string, header ...string) *http.Response {
	r := httptest.NewRequest(method, path, http.NoBody)
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w.Result()
}

func text(t *testing.T, r *http.Response) string {
	t.Helper()
	b, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestPageIsServedAtEveryAddressWithItsOwnNonce(t *testing.T) {
	t.Parallel()
	h := newConsole(fstest.MapFS{"index.html": {Data: []byte(testPage)}})
	nonces := map[string]bool{}
	for path, base := range map[string]string{
		"/console/":                         "./",
		"/console/sign-in":                  "./",
		"/console/t/default/queues":         "./../../",
		"/console/t/default/queues/a.fifo/": "./../../../../",
	} {
		r := get(h, http.MethodGet, path)
		body, policy := text(t, r), r.Header.Get("Content-Security-Policy")
		nonce := regexp.MustCompile(`nonce="([\w-]{22})"`).FindStringSubmatch(body)
		if nonce == nil {
			t.Fatalf("%s: no nonce in %s", path, body)
		}
		if nonces[nonce[1]] {
			t.Errorf("%s: the nonce was used before", path)
		}
		nonces[nonce[1]] = true
		if !strings.Contains(policy, "script-src 'self' 'nonce-"+nonce[1]+"'") || strings.Contains(policy, "unsafe") {
			t.Errorf("%s: policy %s", path, policy)
		}
		if !strings.Contains(body, `<base href="`+base+`">`) {
			t.Errorf("%s: got %s, want the base %s", path, body, base)
		}
		if r.Header.Get("Cache-Control") != "no-store" {
			t.Errorf("%s: a page with a nonce may be kept: %v", path, r.Header)
		}
	}
}

func TestAssetsAreKeptAndPacked(t *testing.T) {
	t.Parallel()
	script := strings.Repeat("let a = 1;\n", 1000)
	h := newConsole(fstest.MapFS{"index.html": {Data: []byte(testPage)}, "assets/a.js": {Data: []byte(script)}})
	r := get(h, http.MethodGet, "/console/assets/a.js")
	if got := text(t, r); got != script || !strings.HasPrefix(r.Header.Get("Content-Type"), "text/javascript") {
		t.Errorf("plain: %d bytes, %v", len(got), r.Header)
	}
	if got := r.Header.Get("Cache-Control"); !strings.Contains(got, "immutable") {
		t.Errorf("Cache-Control %q", got)
	}
	r = get(h, http.MethodGet, "/console/assets/a.js", "Accept-Encoding", "br, gzip")
	packed := text(t, r)
	z, err := gzip.NewReader(bytes.NewReader([]byte(packed)))
	if err != nil {
		t.Fatal(err)
	}
	if plain, err := io.ReadAll(z); err != nil || string(plain) != script || len(packed) > len(script)/10 {
		t.Errorf("packed: %d bytes of %d, %v", len(plain), len(packed), err)
	}
	for _, path := range []string{"/console/assets/b.js", "/console/assets/../index.html", "/console/assets/"} {
		if r := get(h, http.MethodGet, path); r.StatusCode != http.StatusNotFound {
			t.Errorf("%s: %d, want 404", path, r.StatusCode)
		}
	}
}

func TestWithoutTheConsoleItSaysHowToBuildIt(t *testing.T) {
	t.Parallel()
	h := newConsole(fstest.MapFS{".gitkeep": {}})
	r := get(h, http.MethodGet, "/console/t/default/queues")
	if body := text(t, r); r.StatusCode != http.StatusNotFound || !strings.Contains(body, "make console") {
		t.Errorf("got %d %s", r.StatusCode, body)
	}
}

func TestConsoleIsOnlyRead(t *testing.T) {
	t.Parallel()
	h := newConsole(fstest.MapFS{"index.html": {Data: []byte(testPage)}})
	if r := get(h, http.MethodPost, "/console/"); r.StatusCode != http.StatusMethodNotAllowed {
		t.Errorf("POST: %d", r.StatusCode)
	}
}
