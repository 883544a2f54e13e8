package egress_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/sluicemq/sluice/internal/egress"
)

func TestURLsHaveOneForm(t *testing.T) {
	t.Parallel()
	open := egress.Policy{Allow: prefixes("10.0.0.0/8", "127.0.0.0/8", "fd00::/8"), AllowHTTP: true}
	for _, c := range []struct {
		policy    egress.Policy
		raw, want string
	}{
		{egress.Policy{}, "https://example.com/hooks?token=a%20b", "https://example.com/hooks?token=a%20b"},
		{egress.Policy{}, "HTTPS://Example.COM.:443/Hooks", "https://example.com/Hooks"},
		{egress.Policy{}, "https://example.com", "https://example.com"}, {egress.Policy{}, "https://example.com?", "https://example.com"},
		{egress.Policy{}, "https://bücher.example/é", "https://xn--bcher-kva.example/%C3%A9"}, {egress.Policy{}, "https://EXAMPLE。com/", "https://example.com/"},
		{egress.Policy{}, "https://раураl.com/", "https://xn--l-7sba6dbr.com/"}, // looks like another name, and is shown as what it is
		{egress.Policy{}, "https://1.1.1.1/a/../b//c", "https://1.1.1.1/a/../b//c"}, {egress.Policy{}, "https://[2606:4700::0:1111]:443/", "https://[2606:4700::1111]/"},
		{egress.Policy{}, "https://example.com/%2e%2e/%00?x=%0d%0a", "https://example.com/%2e%2e/%00?x=%0d%0a"},
		{egress.Policy{AllowHTTP: true}, "http://example.com:80/", "http://example.com/"}, {egress.Policy{AllowHTTP: true}, "https://example.com:80/", "https://example.com:80/"},
		{open, "http://10.0.0.7:8080/", "http://10.0.0.7:8080/"}, {open, "http://[fd00::1]:9000/", "http://[fd00::1]:9000/"}, {open, "http://hooks:9000/", "http://hooks:9000/"},
		{open, "http://my_hooks.default.svc.cluster.local/", "http://my_hooks.default.svc.cluster.local/"}, {open, "https://localhost:8443", "https://localhost:8443"}, {open, "http://127.0.0.1:1", "http://127.0.0.1:1"},
	} {
		got, err := c.policy.CheckURL(c.raw)
		if err != nil {
			t.Errorf("%s: %v", c.raw, err)
		} else if got.String() != c.want {
			t.Errorf("%s: got %s, want %s", c.raw, got, c.want)
		}
	}
}

func TestWrongURLsAreRefused(t *testing.T) {
	t.Parallel()
	cases := map[egress.Kind][]string{
		egress.NotAllowed: {
			"http://example.com/", // without AllowHTTP
			"https://127.0.0.1/", "https://[::1]/", "https://0.0.0.0/", "https://[::]/", "https://10.0.0.1/", "https://169.254.169.254/latest", "https://[::ffff:127.0.0.1]/", "https://[::ffff:7f00:1]/", "https://[64:ff9b::7f00:1]/",
			"https://１２７.0.0.1/", "https://127。0。0。1/", "https://①②⑦.⓪.⓪.①/", "https://127.0.0.1./",
			"https://localhost/", "https://LOCALHOST./", "https://a.localhost/", "https://printer.local/", "https://metadata.google.internal./", "https://redis/", "https://svc.default.svc.cluster.local/", "https://router.home.arpa/",
			"https://example.com:22/", "https://example.com:25/", "https://example.com:6379/", "https://example.com:11211/", "https://example.com:80/", "https://1.1.1.1:8443/",
		},
		egress.Invalid: {
			"", "example.com", "//example.com/", "/hooks", "https:example.com", "https:///hooks", "https://", "https://:443/", "https://?", "https:// ",
			"file:///etc/passwd", "gopher://example.com/", "ftp://example.com/", "unix:///run/redis.sock", "javascript:alert(1)", "dict://example.com/", "data:text/plain,x", "ldap://example.com/",
			"https://good@example.com/", "https://user:secret@example.com/", "https://@example.com/", "http://1.1.1.1 &@2.2.2.2# @3.3.3.3/", "https://example.com/#part", "https://example.com/#",
			"https://2130706433/", "https://017700000001/", "https://0x7f.1/", "https://127.1/", "https://0/", "https://0x7f000001/", "https://1.1.1.1.1/", "https://256.1.1.1/", "https://0177.0.0.1/", "https://example.0x7f/", "https://127.0.0.0x1/", "https://example.123/",
			`https://example.com\@evil.com/`, "https://exam\tple.com/", "https://example.com\r\n/", "https://example.com/\x00", "https://exa mple.com/", "https://example.com/\x7f", "https://example.com/\xff",
			"https://exam%00ple.com/", "https://%31%32%37.0.0.1/", "https://[127.0.0.1]/", "https://[::1]:80:80/", "https://[::1", "https://::1/", "https://[fe80::1%25eth0]/", "https://[::1%25lo]/", "https://[example.com]/", "https://[]/",
			"https://example..com/", "https://.example.com/", "https://example.com../", "https://exa!mple.com/", "https://" + strings.Repeat("a", 64) + ".com/", "https://" + strings.Repeat("a.", 130) + "com/",
			"https://example.com:/", "https://example.com:0/", "https://example.com:65536/", "https://example.com:https/", "https://example.com:-1/", "https://example.com:443:443/",
			"https://example.com/" + strings.Repeat("a", egress.MaxURL),
		},
	}
	for want, urls := range cases {
		for _, raw := range urls {
			p := egress.Policy{}
			got, err := p.CheckURL(raw)
			if egress.KindOf(err) != want {
				t.Errorf("%.100q: got %v and %v, want %s", raw, got, err, want)
			} else if strings.Contains(err.Error(), "secret") || strings.Contains(err.Error(), "127.0.0.1") {
				t.Errorf("%.100q: %q says too much", raw, err)
			}
		}
	}
	// What the operator allows is still no way to the credentials of a cloud, nor one without a scheme that is allowed.
	p := egress.Policy{Allow: prefixes("0.0.0.0/0", "::/0")}
	for _, raw := range []string{"https://169.254.169.254/", "https://[::ffff:a9fe:a9fe]/", "http://10.0.0.1/"} {
		if _, err := p.CheckURL(raw); egress.KindOf(err) != egress.NotAllowed {
			t.Errorf("%s: got %v", raw, err)
		}
	}
}

// A URL that is accepted is in its one form, and means to net/url what it seems to mean.
func FuzzCheckURL(f *testing.F) {
	for _, seed := range []string{
		"https://example.com/hooks?x=1", "https://[::1]:443/", "https://bücher.example:80/%2f", `https://a\@b`, "https://a@b:c@d/", "https://1.1.1.1 &@2.2.2.2# @3.3.3.3/", "https://[fe80::1%25lo]/", "https:example.com", "https://127。0。0。1",
		"https://[::ffff:127.0.0.1]", "https://0x7f.1", "https://example.com:65536", "https://xn--a", "https://\u00ad/", "https://ß.de", "https://a/%zz", "https://example.com//evil.com", "https://example.com/?a#b", "https://℀.com",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		for _, p := range []egress.Policy{{}, {AllowHTTP: true, Allow: prefixes("10.0.0.0/8", "::/0")}} {
			u, err := p.CheckURL(raw)
			if err != nil {
				if kind := egress.KindOf(err); kind != egress.Invalid && kind != egress.NotAllowed {
					t.Fatalf("%q: got the error %v", raw, err)
				}
				continue
			}
			again, err := p.CheckURL(u.String())
			if err != nil || again.String() != u.String() {
				t.Fatalf("%q becomes %q, which becomes %v (%v)", raw, u, again, err)
			}
			read, err := url.Parse(u.String())
			if err != nil || read.Host != u.Host || read.User != nil || read.Opaque != "" {
				t.Fatalf("%q becomes %q, which net/url reads as %v (%v)", raw, u, read, err)
			}
			for _, r := range u.String() {
				if r <= ' ' || r >= 0x7f || r == '\\' {
					t.Fatalf("%q becomes %q", raw, u)
				}
			}
		}
	})
}

func TestHeadersOfUsersAreChecked(t *testing.T) {
	t.Parallel()
	many := http.Header{}
	for i := range egress.MaxHeaders + 1 {
		many["X-"+strings.Repeat("a", i+1)] = []string{"x"}
	}
	for name, c := range map[string]struct {
		header http.Header
		want   string // "" for headers that are fine
	}{
		"fine":           {http.Header{"X-Api-Key": {"s3cret"}, "Authorization": {"Bearer x"}, "Content-Type": {"text/plain"}, "Cookie": {"a=b"}, "x-empty": {""}, "X-Tab": {"a\tb é"}}, ""},
		"nothing":        {nil, ""},
		"line feed":      {http.Header{"X-A": {"a\nX-B: c"}}, "line break"},
		"line break":     {http.Header{"X-A": {"a\r\n\r\nGET /"}}, "line break"},
		"zero":           {http.Header{"X-A": {"a\x00"}}, "line break"},
		"name":           {http.Header{"X A": {"a"}}, "no name of a header"},
		"name injection": {http.Header{"X-A: b\r\nHost": {"a"}}, "no name of a header"},
		"no name":        {http.Header{"": {"a"}}, "no name of a header"},
		"host":           {http.Header{"HOST": {"a"}}, "steers the connection"},
		"length":         {http.Header{"content-length": {"5"}}, "steers the connection"},
		"encoding":       {http.Header{"Transfer-Encoding": {"chunked"}}, "steers the connection"},
		"connection":     {http.Header{"Connection": {"X-Secret"}}, "steers the connection"},
		"upgrade":        {http.Header{"Upgrade": {"websocket"}}, "steers the connection"},
		"te":             {http.Header{"Te": {"trailers"}}, "steers the connection"},
		"trailer":        {http.Header{"Trailer": {"x"}}, "steers the connection"},
		"expect":         {http.Header{"Expect": {"100-continue"}}, "steers the connection"},
		"proxy":          {http.Header{"Proxy-Authorization": {"x"}}, "steers the connection"},
		"compression":    {http.Header{"Accept-Encoding": {"br"}}, "steers the connection"},
		"reserved":       {http.Header{"Webhook-Signature": {"x"}}, "set by the service"},
		"reserved name":  {http.Header{"TRACEPARENT": {"x"}}, "set by the service"},
		"twice":          {http.Header{"X-A": {"1"}, "x-a": {"2"}}, "stands twice"},
		"many":           {many, "at most 20"},
		"long":           {http.Header{"X-A": {strings.Repeat("a", egress.MaxHeaderBytes)}}, "at most 8192"},
	} {
		err := egress.CheckHeaders(c.header, "webhook-", "traceparent")
		switch {
		case c.want == "" && err != nil:
			t.Errorf("%s: %v", name, err)
		case c.want != "" && (egress.KindOf(err) != egress.Invalid || !strings.Contains(err.Error(), c.want)):
			t.Errorf("%s: got %v, want %q", name, err, c.want)
		}
	}
}
