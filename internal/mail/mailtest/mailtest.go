// Package mailtest is an SMTP server for tests.
package mailtest

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/mail"
	"net/textproto"
	"strings"
	"sync"
	"testing"
)

// Letter is one that came.
type Letter struct {
	To      string
	Subject string
	ID      string
	Text    string
}

// Server takes letters, or does not.
type Server struct {
	URL string // as a setting has it

	mu      sync.Mutex
	letters []Letter
	answer  func(to string) string
	logins  []string
}

// Start starts a server on this machine. With a certificate it offers STARTTLS.
func Start(tb testing.TB, certificate *tls.Certificate) *Server {
	tb.Helper()
	l, err := (&net.ListenConfig{}).Listen(tb.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	s := &Server{URL: "smtp://" + l.Addr().String()}
	var all sync.WaitGroup
	tb.Cleanup(func() {
		_ = l.Close()
		all.Wait()
	})
	all.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			all.Go(func() {
				defer func() { _ = conn.Close() }()
				s.serve(conn, certificate)
			})
		}
	})
	return s
}

// Answer has RCPT answered with what f says; "": it is taken.
func (s *Server) Answer(f func(to string) string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.answer = f
}

// Letters returns those that came.
func (s *Server) Letters() []Letter {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]Letter{}, s.letters...)
}

// Logins returns the methods by which clients have logged in, and over what.
func (s *Server) Logins() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string{}, s.logins...)
}

func (s *Server) serve(conn net.Conn, certificate *tls.Certificate) {
	in := bufio.NewReader(conn)
	say := func(line string) bool {
		_, err := fmt.Fprintf(conn, "%s\r\n", line)
		return err == nil
	}
	to, secure := "", false
	for ok := say("220 test"); ok; {
		line, err := in.ReadString('\n')
		if err != nil {
			return
		}
		verb, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
		switch strings.ToUpper(verb) {
		case "EHLO":
			offers := "250-test\r\n250-AUTH PLAIN\r\n"
			if certificate != nil && !secure {
				offers += "250-STARTTLS\r\n"
			}
			ok = say(offers + "250 8BITMIME")
		case "STARTTLS":
			say("220 go on")
			conn = tls.Server(conn, &tls.Config{Certificates: []tls.Certificate{*certificate}, MinVersion: tls.VersionTLS12})
			in, secure = bufio.NewReader(conn), true
		case "AUTH":
			s.mu.Lock()
			s.logins = append(s.logins, fmt.Sprintf("%s secure %t", strings.Fields(rest)[0], secure))
			s.mu.Unlock()
			ok = say("235 welcome")
		case "RCPT":
			to = strings.TrimSuffix(strings.TrimPrefix(strings.Fields(rest)[0], "TO:<"), ">")
			s.mu.Lock()
			answer := ""
			if s.answer != nil {
				answer = s.answer(to)
			}
			s.mu.Unlock()
			if answer == "" {
				answer = "250 ok"
			}
			ok = say(answer)
		case "DATA":
			say("354 go on")
			m, err := mail.ReadMessage(textproto.NewReader(in).DotReader())
			if err != nil {
				return
			}
			text, _ := io.ReadAll(m.Body)
			s.mu.Lock()
			s.letters = append(s.letters, Letter{to, m.Header.Get("Subject"), m.Header.Get("Message-ID"), string(text)})
			s.mu.Unlock()
			ok = say("250 ok")
		case "QUIT":
			say("221 bye")
			return
		default:
			ok = say("250 ok")
		}
	}
}
