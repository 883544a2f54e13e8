package server

import (
	"strings"
	"testing"
)

func TestAContactIsALinkForBrowsers(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"":                                  "",
		"ops@example.com":                   "mailto:ops@example.com",
		"ops@mail":                          "mailto:ops@mail",
		"a&b?c=d%e/f+g@example.com":         "mailto:a%26b%3Fc%3Dd%25e%2Ff%2Bg@example.com",
		"https://help.example.com":          "https://help.example.com",
		"http://10.0.0.7:8080/ask":          "http://10.0.0.7:8080/ask",
		"HTTPS://help.example.com/?a=b&c#d": "https://help.example.com/?a=b&c#d",
		"https://h/" + strings.Repeat("a", maxContact-10): "https://h/" + strings.Repeat("a", maxContact-10),
	} {
		if got, err := contactURL(text); err != nil || got != want {
			t.Errorf("%q is %q, %v, want %q", text, got, err, want)
		}
	}
	for _, text := range []string{
		"ops", "ops@", "@example.com", "Ops <ops@example.com>", "mailto:ops@example.com", "ops@example.com?bcc=a", "ops@[10.0.0.7]", "a@example.com,b@example.com",
		"example.com/ask", "//example.com/ask", "/ask", "https:", "https://", "https:ask@example.com", "https://:443/", "https://example.com:0/", "https://example.com:http/",
		"javascript:alert(1)", "javascript://example.com/%0aalert(1)", "JavaScript:alert(1)", "data:text/html,x", "ftp://example.com/", "tel:+4912345", "slack://channel",
		"https://user@example.com/", "https://user:s3cret@example.com/", "https://example.com/a b", "https://example.com/\n", "https://example.com/ü", "https://example.com/%zz",
		"https://h/" + strings.Repeat("a", maxContact-9),
	} {
		got, err := contactURL(text)
		if err == nil || got != "" {
			t.Errorf("%q is %q, want a refusal", text, got)
		} else if strings.Contains(err.Error(), "s3cret") {
			t.Errorf("%q: the refusal repeats a password: %v", text, err)
		}
	}
}
