package egress_test

import (
	"errors"
	"net"
	"net/netip"
	"testing"

	"github.com/sluicemq/sluice/internal/egress"
)

func prefixes(all ...string) (read []netip.Prefix) {
	for _, s := range all {
		read = append(read, netip.MustParsePrefix(s))
	}
	return read
}

// Whatever is not public unicast is closed, in whichever of its forms, and so are credentials of clouds.
func TestA6_OnlyPublicAddressesAreOpen(t *testing.T) {
	t.Parallel()
	c := egress.New(egress.Config{})
	for _, a := range []string{
		"1.1.1.1", "8.8.8.8", "93.184.216.34", "100.63.255.255", "100.128.0.0", "172.15.255.255", "172.32.0.0", "192.0.1.1", "198.17.255.255", "198.20.0.0", "223.255.255.255",
		"2606:4700:4700::1111", "2a00:1450:4001::1", "2001:4860:4860::8888", "2003::1", "3ff0::1", "::ffff:1.1.1.1",
	} {
		if to := netip.AddrPortFrom(netip.MustParseAddr(a), 443); !c.PermitsSocket("tcp4", to.String()) || !c.PermitsSocket("tcp6", to.String()) {
			t.Errorf("%s is closed", a)
		}
	}
	for _, a := range []string{
		"127.0.0.1", "127.255.255.255", "::1", // loopback
		"0.0.0.0", "0.1.2.3", "::", // this machine, says Linux
		"10.0.0.1", "10.255.255.255", "172.16.0.1", "172.31.255.255", "192.168.0.1", "fc00::1", "fd12:3456::1", "fdff:ffff::1", // private
		"169.254.0.1", "169.254.169.254", "fe80::1", "febf::1", "fec0::1", // link-local, site-local
		"169.254.170.2", "169.254.170.23", "169.254.169.123", "169.254.169.253", "fd00:ec2::254", "fd00:ec2::23", "fd20:ce::254", "100.100.100.200", "192.0.0.192", "168.63.129.16", // metadata
		"100.64.0.0", "100.127.255.255", // carriers
		"192.0.0.1", "192.0.2.1", "198.51.100.1", "203.0.113.1", "198.18.0.1", "198.19.255.255", "192.88.99.1", "192.31.196.1", "192.52.193.1", "192.175.48.1", // special
		"240.0.0.1", "255.255.255.255", "224.0.0.1", "239.255.255.255", "ff02::1", "ff0e::1", // reserved, multicast
		"::ffff:127.0.0.1", "::ffff:7f00:1", "::ffff:10.0.0.1", "::ffff:169.254.169.254", "::ffff:0.0.0.0", // IPv4-mapped
		"::127.0.0.1", "::7f00:1", "::1.1.1.1", "::ffff:0:127.0.0.1", "::ffff:0:1.1.1.1", // IPv4-compatible, translated
		"64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe", "64:ff9b::101:101", "64:ff9b:1::1", "64:ff9b:1:fffe::a00:1", // NAT64
		"2002::1", "2002:7f00:1::1", "2002:a9fe:a9fe::", "2001::1", "2001:0:4136:e378::1", "2001:10::1", "2001:20::1", "2001:2::1", "2001:1ff::1", // 6to4, Teredo, ORCHID
		"2001:db8::1", "3fff::1", "3fff:fff::1", "3ffe::1", "5f00::1", "100::1", "100:0:0:1::1", "2620:4f:8000::1", "4000::1", "1fff::1", "8000::1", "e000::1", // documentation, SRv6, discard, not given out
	} {
		to := netip.AddrPortFrom(netip.MustParseAddr(a), 443)
		if c.PermitsSocket("tcp4", to.String()) || c.PermitsSocket("tcp6", to.String()) {
			t.Errorf("%s is open", a)
		}
		p := egress.Policy{AllowHTTP: true}
		if p.Permits(to) || p.Permits(netip.AddrPortFrom(to.Addr(), 80)) {
			t.Errorf("%s is open with plain http", a)
		}
	}
	for _, a := range []string{"", "1.1.1.1", "example.com:443", "[fe80::1%lo]:443", "[2606:4700::1%eth0]:443", "[::1%25lo]:443", "1.1.1.1:70000", "1.1.1.1:0", "[1.1.1.1]:443", "2606:4700::1:443", "/run/redis.sock"} {
		if c.PermitsSocket("tcp4", a) || c.PermitsSocket("tcp6", a) {
			t.Errorf("%q is open", a)
		}
	}
	for _, network := range []string{"tcp", "udp4", "udp6", "unix", "ip4:icmp", ""} {
		if c.PermitsSocket(network, "1.1.1.1:443") {
			t.Errorf("network %q is open", network)
		}
	}
}

func TestPortsAreThoseOfHTTPS(t *testing.T) {
	t.Parallel()
	address := netip.MustParseAddr("1.1.1.1")
	secure, plain, allowed := egress.Policy{}, egress.Policy{AllowHTTP: true}, egress.Policy{Allow: prefixes("1.1.1.0/24")}
	for _, port := range []uint16{0, 1, 21, 22, 25, 53, 80, 443, 2375, 3306, 5432, 6379, 6443, 8080, 8443, 9200, 11211, 65535} {
		to := netip.AddrPortFrom(address, port)
		if got, want := secure.Permits(to), port == 443; got != want {
			t.Errorf("port %d: %t, want %t", port, got, want)
		}
		if got, want := plain.Permits(to), port == 443 || port == 80; got != want {
			t.Errorf("port %d with plain http: %t, want %t", port, got, want)
		}
		if !allowed.Permits(to) {
			t.Errorf("port %d of an allowed network is closed", port)
		}
	}
}

// What an operator allows is open on every port, but for what is denied, and for the credentials of clouds.
func TestOperatorsAllowAndDeny(t *testing.T) {
	t.Parallel()
	p := egress.Policy{Allow: prefixes("10.0.0.0/8", "fd00::/8", "169.254.0.0/16", "0.0.0.0/0", "::/0"), Deny: prefixes("10.1.0.0/16", "8.8.8.0/24", "2001:67c::/96")}
	for a, want := range map[string]bool{
		"10.0.0.1": true, "::ffff:10.0.0.1": true, "fd12::1": true, "169.254.1.1": true, "127.0.0.1": true, "::1": true,
		"10.1.0.1": false, "::ffff:10.1.0.1": false, "8.8.8.8": false, "2001:67c::808:808": false,
		"169.254.169.254": false, "::ffff:169.254.169.254": false, "64:ff9b::a9fe:a9fe": false, "2002:a9fe:a9fe::1": false, "::169.254.169.254": false, "::ffff:0:a9fe:a9fe": false,
		"168.63.129.16": false, "fd00:ec2::254": false, "100.100.100.200": false, "64:ff9b::7f00:1": true,
	} {
		if got := p.Permits(netip.AddrPortFrom(netip.MustParseAddr(a), 6379)); got != want {
			t.Errorf("%s: %t, want %t", a, got, want)
		}
	}
}

// A public address of this machine is as closed as a private one.
func TestOurOwnAddressesAreClosed(t *testing.T) {
	t.Parallel()
	c := egress.New(egress.Config{})
	c.SetOwn(func() ([]net.Addr, error) {
		return []net.Addr{&net.IPNet{IP: net.ParseIP("93.184.216.34"), Mask: net.CIDRMask(24, 32)}, &net.IPNet{IP: net.ParseIP("2a00::7"), Mask: net.CIDRMask(64, 128)}}, nil
	})
	for to, want := range map[string]bool{"93.184.216.34:443": false, "[::ffff:93.184.216.34]:443": false, "93.184.216.35:443": true, "[2a00::7]:443": false, "[2a00::8]:443": true} {
		if got := c.PermitsSocket("tcp4", to); got != want {
			t.Errorf("%s: %t, want %t", to, got, want)
		}
	}
	c.SetOwn(func() ([]net.Addr, error) { return nil, errors.New("no netlink") })
	if c.PermitsSocket("tcp4", "93.184.216.35:443") {
		t.Error("an address is open although nobody knows whose it is")
	}
	allowed := egress.New(egress.Config{Policy: egress.Policy{Allow: prefixes("93.184.216.34/32")}})
	allowed.SetOwn(func() ([]net.Addr, error) { return nil, errors.New("no netlink") })
	if !allowed.PermitsSocket("tcp4", "93.184.216.34:443") {
		t.Error("an address is closed although the operator allows it")
	}
}
