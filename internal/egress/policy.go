package egress

import (
	"net/netip"
)

// Policy says where requests may go. The zero value allows https to public addresses on port 443.
type Policy struct {
	// Allow are networks that may be reached although they are not public, on any port.
	Allow []netip.Prefix
	// Deny are networks that may not be reached although they are public, or although they are in Allow: the public
	// addresses of this installation, and the prefixes by which a local NAT64 translates.
	Deny []netip.Prefix
	// AllowHTTP permits http://, and port 80.
	AllowHTTP bool
}

// Permits reports whether a connection to an address may be made.
func (p *Policy) Permits(to netip.AddrPort) bool {
	a := to.Addr().Unmap()
	switch {
	case !a.IsValid() || a.Zone() != "" || isMetadata(a) || contains(p.Deny, a):
		return false
	case contains(p.Allow, a):
		return true
	}
	return p.permitsPort(to.Port()) && isPublic(a)
}

func (p *Policy) permitsPort(port uint16) bool {
	return port == 443 || port == 80 && p.AllowHTTP
}

func contains(networks []netip.Prefix, a netip.Addr) bool {
	for _, n := range networks {
		if n.Contains(a) {
			return true
		}
	}
	return false
}

// isPublic reports whether an address is unicast on the public internet. What is not known to be, is not.
func isPublic(a netip.Addr) bool {
	if a.Is4() {
		return !contains(special4, a)
	}
	return global6.Contains(a) && !contains(special6, a)
}

// isMetadata reports whether a cloud hands out credentials at an address, or whether a translator would bring us there.
func isMetadata(a netip.Addr) bool {
	for _, m := range metadata {
		if a == m {
			return true
		}
	}
	v4, ok := embedded(a)
	return ok && isMetadata(v4)
}

// embedded returns the IPv4 address that an IPv6 address stands for: by NAT64, 6to4, and the two old forms with it at the end.
func embedded(a netip.Addr) (netip.Addr, bool) {
	if a.Is4() {
		return a, false
	}
	b := a.As16()
	switch {
	case sixToFour.Contains(a):
		return netip.AddrFrom4([4]byte(b[2:6])), true
	case contains(translated, a):
		return netip.AddrFrom4([4]byte(b[12:])), true
	}
	return a, false
}

// prefixes reads the tables below.
func prefixes(all ...string) []netip.Prefix {
	read := make([]netip.Prefix, len(all))
	for i, s := range all {
		read[i] = netip.MustParsePrefix(s)
	}
	return read
}

// The tables follow IANA's registries of special-purpose addresses. Where a registry has exceptions that are reachable,
// such as single anycast addresses of protocols, the whole block is left out: no endpoint lives there.
var (
	special4 = prefixes(
		"0.0.0.0/8",       // this network; Linux takes 0.0.0.0 for itself
		"10.0.0.0/8",      // private
		"100.64.0.0/10",   // shared by carriers
		"127.0.0.0/8",     // loopback
		"169.254.0.0/16",  // link-local
		"172.16.0.0/12",   // private
		"192.0.0.0/24",    // protocols
		"192.0.2.0/24",    // documentation
		"192.31.196.0/24", // AS112
		"192.52.193.0/24", // AMT
		"192.88.99.0/24",  // 6to4 relays
		"192.168.0.0/16",  // private
		"192.175.48.0/24", // AS112
		"198.18.0.0/15",   // benchmarks
		"198.51.100.0/24", // documentation
		"203.0.113.0/24",  // documentation
		"224.0.0.0/4",     // multicast
		"240.0.0.0/4",     // reserved, and broadcast
	)
	// global6 is what is given out to the public. Loopback, unique local, link-local, multicast, IPv4 in its several
	// disguises, NAT64, segment routing and discard addresses all lie outside.
	global6  = netip.MustParsePrefix("2000::/3")
	special6 = prefixes(
		"2001::/23",         // protocols: Teredo, ORCHID, benchmarks, AMT, AS112
		"2001:db8::/32",     // documentation
		"2002::/16",         // 6to4
		"2620:4f:8000::/48", // AS112
		"3ffe::/16",         // once the 6bone
		"3fff::/20",         // documentation
	)
	sixToFour  = netip.MustParsePrefix("2002::/16")
	translated = prefixes("64:ff9b::/96", "::/96", "::ffff:0:0:0/96")
)

// metadata are addresses at which clouds hand out credentials. They stay closed whatever an operator allows.
var metadata = []netip.Addr{
	netip.MustParseAddr("169.254.169.254"), // most clouds
	netip.MustParseAddr("169.254.169.253"), // AWS, resolver
	netip.MustParseAddr("169.254.169.123"), // AWS, time
	netip.MustParseAddr("169.254.170.2"),   // ECS
	netip.MustParseAddr("169.254.170.23"),  // EKS
	netip.MustParseAddr("fd00:ec2::254"),   // EC2
	netip.MustParseAddr("fd00:ec2::23"),    // EKS
	netip.MustParseAddr("fd20:ce::254"),    // Google
	netip.MustParseAddr("100.100.100.200"), // Alibaba
	netip.MustParseAddr("192.0.0.192"),     // Oracle
	netip.MustParseAddr("168.63.129.16"),   // Azure, among public addresses
}
