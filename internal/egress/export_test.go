package egress

import "net"

// SetOwn replaces the addresses of this machine's interfaces.
func (c *Client) SetOwn(own func() ([]net.Addr, error)) { c.own = own }

// PermitsSocket judges what the dialer is about to connect to.
func (c *Client) PermitsSocket(network, address string) bool { return c.permits(network, address) }

// MaxIdentities bounds the identities of a client.
const MaxIdentities = maxIdentities

// Identities returns for how many identities a client keeps connections.
func (c *Client) Identities() int {
	c.owned.mu.Lock()
	defer c.owned.mu.Unlock()
	return c.owned.order.Len()
}
