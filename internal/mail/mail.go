// Package mail sends letters by the one SMTP server that the operator has named.
package mail

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/mail"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"time"

	gomail "github.com/wneessen/go-mail"
)

// Server is where letters are handed in. The zero value is none. It prints without its user and password.
type Server struct {
	Host     string // without the port
	Port     int
	TLS      bool   // from the first byte; else by STARTTLS, which only a server on this machine may lack
	Username string // "": none
	Password string
}

const (
	submission  = 587 // the port of smtp
	submissions = 465 // the port of smtps
	// timeout is how long handing in takes at most, for all letters of a call.
	timeout = 15 * time.Second
)

var errServer = errors.New("must be such as smtp://user:password@mail.example.com:587 or smtps://mail.example.com, with escapes in user and password where they have other characters")

// UnmarshalText reads a URL of the scheme smtp or smtps. Its errors do not repeat the text, which may hold a password.
func (s *Server) UnmarshalText(text []byte) error {
	if len(text) == 0 {
		*s = Server{}
		return nil
	}
	u, err := url.Parse(string(text))
	if err != nil || u.Scheme != "smtp" && u.Scheme != "smtps" || u.Hostname() == "" || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.Fragment != "" || u.Opaque != "" {
		return errServer
	}
	out := Server{Host: u.Hostname(), Port: submission, TLS: u.Scheme == "smtps"}
	if out.TLS {
		out.Port = submissions
	}
	if u.Port() != "" {
		if out.Port, err = strconv.Atoi(u.Port()); err != nil || out.Port < 1 || out.Port > 65535 {
			return errServer
		}
	}
	if u.User != nil {
		out.Username = u.User.Username()
		out.Password, _ = u.User.Password()
		if out.Username == "" || out.Password == "" {
			return errServer
		}
	}
	*s = out
	return nil
}

// String returns the URL with *** for user and password, and "" for none.
func (s Server) String() string {
	if s.Host == "" {
		return ""
	}
	text := "smtp://"
	if s.TLS {
		text = "smtps://"
	}
	if s.Username != "" {
		text += "***:***@"
	}
	return text + net.JoinHostPort(s.Host, strconv.Itoa(s.Port))
}

// Format prints String for every verb.
func (s Server) Format(f fmt.State, _ rune) { io.WriteString(f, s.String()) }

// MarshalText keeps user and password out of JSON and of slog.
func (s Server) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// isLocal reports whether what is said to the server leaves this machine.
func (s Server) isLocal() bool {
	a, err := netip.ParseAddr(s.Host)
	return s.Host == "localhost" || err == nil && a.IsLoopback()
}

// ValidAddress reports whether text is an address that a letter may come from or go to, without a name.
func ValidAddress(text string) bool {
	a, err := mail.ParseAddress(text)
	return err == nil && a.Address == text
}

// Letter is one text for somebody.
type Letter struct {
	To      string
	Subject string
	Text    string
	// ID is the same for the same letter, so that a mail program may tell when it comes twice.
	ID string
	At time.Time
}

// Sender hands letters in. It may be used by many goroutines.
type Sender struct {
	from   string
	domain string
	new    func() (*gomail.Client, error)
}

// New returns a Sender of letters that come from an address.
func New(s Server, from string) *Sender {
	_, domain, _ := strings.Cut(from, "@")
	return &Sender{from: from, domain: domain, new: func() (*gomail.Client, error) { return gomail.NewClient(s.Host, s.options()...) }}
}

func (s Server) options() []gomail.Option {
	list := []gomail.Option{gomail.WithPort(s.Port), gomail.WithTimeout(timeout), gomail.WithTLSPolicy(gomail.TLSMandatory)}
	switch {
	case s.TLS:
		list = append(list, gomail.WithSSL())
	case s.isLocal():
		list = append(list, gomail.WithTLSPolicy(gomail.TLSOpportunistic))
	}
	if s.isLocal() {
		// Whoever speaks TLS on this machine seldom has a certificate for it, and nobody else listens.
		list = append(list, gomail.WithTLSConfig(&tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS12})) //nolint:gosec // see above
	}
	if s.Username != "" {
		list = append(list, gomail.WithSMTPAuth(gomail.SMTPAuthAutoDiscover), gomail.WithUsername(s.Username), gomail.WithPassword(s.Password))
	}
	return list
}

// Outcome is what became of letters.
type Outcome struct {
	Sent    int
	Refused int // for good
	// Left are the others, and Err says why, without addresses: the server cannot be reached, takes nothing now, or does not let us in.
	Left int
	Err  error
}

// Send hands letters in, by one connection.
func (s *Sender) Send(ctx context.Context, letters []Letter) Outcome {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	list := make([]*gomail.Msg, 0, len(letters))
	out := Outcome{}
	for i := range letters {
		m, err := s.message(&letters[i])
		if err != nil {
			out.Refused++
			continue
		}
		list = append(list, m)
	}
	if len(list) == 0 {
		return out
	}
	client, err := s.new()
	if err == nil {
		err = client.DialAndSendWithContext(ctx, list...)
	}
	for _, m := range list {
		said, _ := errors.AsType[*gomail.SendError](m.SendError())
		if said != nil && said.ErrorCode() != 0 {
			err = fmt.Errorf("it answered %d", said.ErrorCode()) // its words may have addresses
		}
		switch {
		case m.IsDelivered():
			out.Sent++
		case said != nil && said.ErrorCode() >= 500:
			out.Refused++
		default:
			out.Left++
		}
	}
	if out.Left > 0 {
		out.Err = err
	}
	return out
}

func (s *Sender) message(l *Letter) (*gomail.Msg, error) {
	m := gomail.NewMsg()
	if err := m.FromFormat("Sluice", s.from); err != nil {
		return nil, err
	}
	if err := m.To(l.To); err != nil {
		return nil, err
	}
	m.Subject(l.Subject)
	m.SetMessageIDWithValue(l.ID + "@" + s.domain)
	m.SetDateWithValue(l.At)
	m.SetGenHeader("Auto-Submitted", "auto-generated")
	m.SetBodyString(gomail.TypeTextPlain, l.Text)
	return m, nil
}
