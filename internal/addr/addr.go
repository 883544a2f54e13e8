// Package addr reads addresses as people write them: hosts, ports and where Redis is.
package addr

import (
	"net"
	"net/netip"
	"regexp"
	"strconv"
	"strings"
)

var hostPattern = regexp.MustCompile(`^[A-Za-z0-9_]([A-Za-z0-9._-]{0,251}[A-Za-z0-9_.])?$`)

// IsHost reports whether s is an IP address or may be a name. Container networks have names with underscores.
func IsHost(s string) bool {
	if strings.ContainsAny(s, ":%") {
		_, err := netip.ParseAddr(s)
		return err == nil
	}
	return hostPattern.MatchString(s)
}

// IsPort refuses the names of ports, signs and leading zeros.
func IsPort(s string, least uint64) bool {
	n, err := strconv.ParseUint(s, 10, 16)
	return err == nil && n >= least && s == strconv.FormatUint(n, 10)
}

// IsLoopback reports whether only this machine reaches addr, a host:port. It looks no names up: a name that means
// loopback today may mean something else tomorrow.
func IsLoopback(addr string) bool {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return false
	}
	if host == "localhost" {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.Unmap().IsLoopback()
}
