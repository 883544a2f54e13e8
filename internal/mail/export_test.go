package mail

import (
	"context"
	"net"

	gomail "github.com/wneessen/go-mail"
)

// NewTo is New for a server whose name leads to an address.
func NewTo(s Server, from, address string) *Sender {
	out := New(s, from)
	out.new = func() (*gomail.Client, error) {
		return gomail.NewClient(s.Host, append(s.options(), gomail.WithDialContextFunc(func(ctx context.Context, network, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, network, address)
		}))...)
	}
	return out
}
