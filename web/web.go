// Package web carries the console, a program for the browser, and serves it.
//
// The console is built from src into dist by "make console" and becomes part of the binary when that is built next.
// Nothing in dist is committed: without it everything else works, and the console's address says how to build it.
package web

import (
	"bytes"
	"compress/gzip"
	"crypto/rand"
	"embed"
	"encoding/base64"
	"io/fs"
	"mime"
	"net/http"
	"path"
	"strings"
	"sync"
	"time"
)

//go:embed all:dist
var embedded embed.FS

const (
	index = "index.html"
	// What stands in index.html for the nonce of an answer, and for the way from the page's address back to Base.
	noncePlace, basePlace = "__NONCE__", "__BASE__"
)

// Base is the path below which the console lives.
const Base = "/console/"

// Built reports whether the console is part of this binary.
func Built() bool {
	_, err := fs.Stat(embedded, "dist/"+index)
	return err == nil
}

// Handler serves the console: its files, and its page at every other address below Base, because the console itself knows
// what is shown there. It is for Base and everything below.
func Handler() http.Handler {
	dist, err := fs.Sub(embedded, "dist")
	if err != nil {
		panic(err) // the name is a constant
	}
	return newConsole(dist)
}

// console serves what was built into dist.
type console struct {
	dist   fs.FS
	page   []byte // nil: not built
	packed sync.Map
}

func newConsole(dist fs.FS) http.Handler {
	page, _ := fs.ReadFile(dist, index)
	return &console{dist: dist, page: page}
}

func (c *console) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		h.Set("Allow", "GET, HEAD")
		http.Error(w, "this address is only read", http.StatusMethodNotAllowed)
		return
	}
	name := strings.TrimPrefix(r.URL.Path, Base)
	switch {
	case strings.HasPrefix(name, "assets/"):
		c.serveAsset(w, r, name)
	case c.page == nil:
		h.Set("Content-Type", "text/html; charset=utf-8")
		h.Set("Cache-Control", "no-store")
		w.WriteHeader(http.StatusNotFound)
		_, _ = w.Write([]byte(notBuilt))
	default:
		c.servePage(w, name)
	}
}

// servePage answers with the page, which may run scripts and styles that carry the nonce of this answer and no others.
// Addresses in it are relative to a base that is counted from the request's own path, so that the console works below
// whatever prefix a proxy cuts off.
func (c *console) servePage(w http.ResponseWriter, name string) {
	nonce := newNonce()
	base := "./" + strings.Repeat("../", strings.Count(name, "/"))
	page := bytes.ReplaceAll(c.page, []byte(noncePlace), []byte(nonce))
	page = bytes.ReplaceAll(page, []byte(basePlace), []byte(base))
	h := w.Header()
	h.Set("Content-Security-Policy", "default-src 'none'; script-src 'self' 'nonce-"+nonce+"'; style-src 'self' 'nonce-"+nonce+"'; "+
		"img-src 'self' data:; font-src 'self'; connect-src 'self'; base-uri 'self'; form-action 'none'; frame-ancestors 'none'")
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Cache-Control", "no-store") // a nonce is for one answer
	_, _ = w.Write(page)
}

func newNonce() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails
	return base64.RawURLEncoding.EncodeToString(b[:])
}

// asset is a file as it goes over the wire.
type asset struct {
	plain, zipped []byte // zipped is nil where it saves nothing
	media         string
}

// serveAsset answers with a file whose name changes with what is in it.
func (c *console) serveAsset(w http.ResponseWriter, r *http.Request, name string) {
	load, _ := c.packed.LoadOrStore(name, sync.OnceValue(func() *asset { return c.load(name) }))
	a := load.(func() *asset)()
	if a == nil {
		c.packed.Delete(name) // what is asked for in vain is not remembered
		http.NotFound(w, r)
		return
	}
	h := w.Header()
	h.Set("Content-Type", a.media)
	h.Set("Cache-Control", "public, max-age=31536000, immutable")
	h.Set("Vary", "Accept-Encoding")
	body := a.plain
	if a.zipped != nil && strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") {
		h.Set("Content-Encoding", "gzip")
		body = a.zipped
	}
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(body))
}

// load reads a file, and packs it once and for all. It returns nil when there is no such file.
func (c *console) load(name string) *asset {
	plain, err := fs.ReadFile(c.dist, name)
	if err != nil {
		return nil
	}
	a := &asset{plain: plain, media: mime.TypeByExtension(path.Ext(name))}
	if a.media == "" {
		a.media = "application/octet-stream"
	}
	var b bytes.Buffer
	z, _ := gzip.NewWriterLevel(&b, gzip.BestCompression) // the level is a constant
	_, _ = z.Write(plain)                                 // into memory
	_ = z.Close()
	if b.Len() < len(plain) {
		a.zipped = b.Bytes()
	}
	return a
}

// notBuilt is the page of a binary without the console.
const notBuilt = `<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>Sluice</title></head>
<body>
<h1>The console is not part of this program</h1>
<p>It was built without it. With Node 20 and npm, in the source:</p>
<pre>make console build</pre>
<p>Then start bin/sluice again. <code>make run</code> does both. Everything else works:
<a href="../docs/">the API and its description</a>.</p>
</body>
</html>
`
