package mail_test

import (
	"crypto/tls"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sluicemq/sluice/internal/egress/egresstest"
	"github.com/sluicemq/sluice/internal/mail"
	"github.com/sluicemq/sluice/internal/mail/mailtest"
)

func parse(tb testing.TB, text string) mail.Server {
	tb.Helper()
	var s mail.Server
	if err := s.UnmarshalText([]byte(text)); err != nil {
		tb.Fatal(err)
	}
	return s
}

func pems(certificate, key string) ([]byte, []byte) { return []byte(certificate), []byte(key) }

func letter(to string) mail.Letter {
	return mail.Letter{To: to, Subject: "Alarm orders: ålarm", Text: "It is so.\n", ID: "a-1." + to, At: time.Unix(1_700_000_000, 0)}
}

func TestLettersArriveAndARefusalIsOfOne(t *testing.T) {
	t.Parallel()
	s := mailtest.Start(t, nil)
	s.Answer(func(to string) string {
		switch {
		case strings.HasPrefix(to, "gone"):
			return "550 no such user"
		case strings.HasPrefix(to, "busy"):
			return "451 try again later"
		}
		return ""
	})
	sender := mail.New(parse(t, s.URL), "sluice@example.com")
	out := sender.Send(t.Context(), []mail.Letter{letter("ana@example.com"), letter("gone@example.com"), letter("busy@example.com"), letter("not an address")})
	if out.Sent != 1 || out.Refused != 2 || out.Left != 1 || out.Err == nil {
		t.Errorf("outcome %+v", out)
	}
	want := []mailtest.Letter{{To: "ana@example.com", Subject: "=?UTF-8?q?Alarm_orders:_=C3=A5larm?=", ID: "<a-1.ana@example.com@example.com>", Text: "It is so.\n"}}
	if d := cmp.Diff(want, s.Letters()); d != "" {
		t.Errorf("letters (-want +got):\n%s", d)
	}
}

func TestNobodyThereIsNoRefusal(t *testing.T) {
	t.Parallel()
	out := mail.New(parse(t, "smtp://127.0.0.1:1"), "sluice@example.com").Send(t.Context(), []mail.Letter{letter("ana@example.com")})
	if out.Left != 1 || out.Refused != 0 || out.Err == nil {
		t.Errorf("outcome %+v", out)
	}
}

// A password and a letter go only over TLS, but on this machine.
func TestWhatLeavesThisMachineIsEncrypted(t *testing.T) {
	t.Parallel()
	plain := mailtest.Start(t, nil)
	address := strings.TrimPrefix(plain.URL, "smtp://")
	out := mail.NewTo(parse(t, "smtp://u:p@mail.example.com"), "sluice@example.com", address).Send(t.Context(), []mail.Letter{letter("ana@example.com")})
	if out.Left != 1 || len(plain.Letters()) != 0 || len(plain.Logins()) != 0 {
		t.Errorf("a server without TLS got %v, %v: %+v", plain.Letters(), plain.Logins(), out)
	}
	certificate, err := tls.X509KeyPair(pems(egresstest.NewAuthority(t).Issue(t, "mail")))
	if err != nil {
		t.Fatal(err)
	}
	secure := mailtest.Start(t, &certificate)
	out = mail.New(parse(t, strings.Replace(secure.URL, "smtp://", "smtp://u:p@", 1)), "sluice@example.com").Send(t.Context(), []mail.Letter{letter("ana@example.com")})
	if out.Sent != 1 {
		t.Errorf("by STARTTLS: %+v", out)
	}
	if d := cmp.Diff([]string{"PLAIN secure true"}, secure.Logins()); d != "" {
		t.Errorf("logins (-want +got):\n%s", d)
	}
	// The certificate of another one is nobody's.
	out = mail.NewTo(parse(t, "smtp://mail.example.com"), "sluice@example.com", strings.TrimPrefix(secure.URL, "smtp://")).Send(t.Context(), []mail.Letter{letter("ana@example.com")})
	if out.Left != 1 || out.Err == nil {
		t.Errorf("with a certificate of nobody: %+v", out)
	}
}

func TestTheAddressOfAServer(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]mail.Server{
		"":                                {},
		"smtp://mail.example.com":         {Host: "mail.example.com", Port: 587},
		"smtps://mail.example.com/":       {Host: "mail.example.com", Port: 465, TLS: true},
		"smtp://u%40x:p%2Fq@[::1]:25":     {Host: "::1", Port: 25, Username: "u@x", Password: "p/q"},
		"smtps://u:p@mail.example.com:99": {Host: "mail.example.com", Port: 99, TLS: true, Username: "u", Password: "p"},
	} {
		got := parse(t, text)
		if got.Host != want.Host || got.Port != want.Port || got.TLS != want.TLS || got.Username != want.Username || got.Password != want.Password {
			t.Errorf("%q: got %s", text, got)
		}
		if shown := fmt.Sprintf("%v %+v %x", got, got, got); strings.Contains(shown, "p/q") || strings.Contains(shown, "u@x") {
			t.Errorf("%q shows %s", text, shown)
		}
	}
	for _, text := range []string{"mail.example.com", "http://mail.example.com", "smtp://", "smtp://h:0", "smtp://h:x", "smtp://u@h", "smtp://:p@h", "smtp://h/path", "smtp://h?x=1"} {
		var s mail.Server
		if err := s.UnmarshalText([]byte(text)); err == nil || text != "" && strings.Contains(err.Error(), "u@h") {
			t.Errorf("%q: %v", text, err)
		}
	}
}
