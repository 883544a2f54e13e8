package egress_test

import (
	"context"
	"net"
	"net/netip"
	"strings"
	"testing"

	"golang.org/x/net/dns/dnsmessage"
)

// answer is what a name server says of a name: addresses, or another name first, or a code.
type answer struct {
	cname     string
	addresses []string
	code      dnsmessage.RCode
	silent    bool
}

// nameServer returns a resolver that asks a server in this process. ask gets names in lower case without the dot at the end.
func nameServer(tb testing.TB, ask func(name string) answer) *net.Resolver {
	tb.Helper()
	conn, err := (&net.ListenConfig{}).ListenPacket(tb.Context(), "udp4", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = conn.Close() })
	go func() {
		buf := make([]byte, 1500)
		for {
			n, from, err := conn.ReadFrom(buf)
			if err != nil {
				return
			}
			var query dnsmessage.Message
			if query.Unpack(buf[:n]) != nil || len(query.Questions) != 1 {
				continue
			}
			q := query.Questions[0]
			a := ask(strings.TrimSuffix(strings.ToLower(q.Name.String()), "."))
			if a.silent {
				continue
			}
			if b, err := reply(query.ID, q, a).Pack(); err == nil {
				_, _ = conn.WriteTo(b, from)
			}
		}
	}()
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "udp4", conn.LocalAddr().String())
	}}
}

func reply(id uint16, q dnsmessage.Question, a answer) *dnsmessage.Message {
	m := &dnsmessage.Message{
		Header:    dnsmessage.Header{ID: id, Response: true, Authoritative: true, RecursionAvailable: true, RCode: a.code},
		Questions: []dnsmessage.Question{q},
	}
	name := q.Name
	add := func(body dnsmessage.ResourceBody, typ dnsmessage.Type) {
		m.Answers = append(m.Answers, dnsmessage.Resource{Header: dnsmessage.ResourceHeader{Name: name, Type: typ, Class: dnsmessage.ClassINET}, Body: body})
	}
	if a.cname != "" {
		to := dnsmessage.MustNewName(a.cname + ".")
		add(&dnsmessage.CNAMEResource{CNAME: to}, dnsmessage.TypeCNAME)
		name = to
	}
	for _, s := range a.addresses {
		switch ip := netip.MustParseAddr(s); {
		case ip.Is4() && q.Type == dnsmessage.TypeA:
			add(&dnsmessage.AResource{A: ip.As4()}, dnsmessage.TypeA)
		case ip.Is6() && q.Type == dnsmessage.TypeAAAA:
			add(&dnsmessage.AAAAResource{AAAA: ip.As16()}, dnsmessage.TypeAAAA)
		}
	}
	return m
}
