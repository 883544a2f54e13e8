package egress

import "net"

// SetOwn replaces the addresses of this machine's interfaces.
func (c *Client) SetOwn(own func() ([]net.Addr, error)) { c.own = own }

// PermitsSocket judges what the dialer is about to connect to.
func (c *Client) PermitsSocket(network, address string) bool { return c.permits(network, address) }
