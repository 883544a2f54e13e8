package auth

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/sluicemq/sluice/internal/errs"
)

const (
	// MaxQueuePatterns bounds the patterns of queue names of a key.
	MaxQueuePatterns = 50
	// MaxQueuePattern bounds one pattern, in bytes: as long as a queue's name may be.
	MaxQueuePattern = 80
	// MaxAddresses bounds the addresses from which a key may be used.
	MaxAddresses = 50
)

// Grants is what a key may do, to which queues, from where and until when. It does not change.
type Grants struct {
	Scopes    []string       // as they were given: scopes, wildcards and roles
	Queues    []string       // patterns of names, in which * stands for any text; none: all queues
	Addresses []netip.Prefix // none: from everywhere
	ExpiresAt time.Time      // zero: never

	allowed Scopes
}

// May reports whether the scopes of want are all granted.
func (g *Grants) May(want Scopes) bool { return g != nil && g.allowed.Has(want) }

// Allowed returns the scopes that are granted.
func (g *Grants) Allowed() Scopes {
	if g == nil {
		return 0
	}
	return g.allowed
}

// Limited reports whether only some queues are granted.
func (g *Grants) Limited() bool { return g == nil || len(g.Queues) > 0 }

// Reaches reports whether a queue is granted.
func (g *Grants) Reaches(queue string) bool {
	if g == nil {
		return false
	}
	return len(g.Queues) == 0 || slices.ContainsFunc(g.Queues, func(p string) bool { return Matches(p, queue) })
}

// Prefix returns the text with which the names of all queues begin that are granted, "" for any.
func (g *Grants) Prefix() string {
	if g == nil || len(g.Queues) == 0 {
		return ""
	}
	common, _, _ := strings.Cut(g.Queues[0], everything)
	for _, p := range g.Queues[1:] {
		n := 0
		for n < len(common) && n < len(p) && common[n] == p[n] {
			n++
		}
		common = common[:n]
	}
	return common
}

// admits reports whether a request from an address is let in.
func (g *Grants) admits(address string) bool {
	if len(g.Addresses) == 0 {
		return true
	}
	a, err := netip.ParseAddr(address)
	if err != nil {
		return false
	}
	a = a.Unmap().WithZone("")
	return slices.ContainsFunc(g.Addresses, func(p netip.Prefix) bool { return p.Contains(a) })
}

// coversQueues reports whether every queue that the patterns of other name is granted too.
func (g *Grants) coversQueues(other []string) bool {
	if !g.Limited() {
		return true
	}
	// A pattern that matches another one as if that were a name matches whatever that one does: a * is met by a * only.
	return len(other) > 0 && !slices.ContainsFunc(other, func(p string) bool { return !g.Reaches(p) })
}

// Matches reports whether name is as pattern says, in time that grows with the product of their lengths at most.
func Matches(pattern, name string) bool {
	star, mark := -1, 0 // the last * and how much of name it stands for
	p, n := 0, 0
	for n < len(name) {
		switch {
		case p < len(pattern) && pattern[p] == '*':
			star, mark = p, n
			p++
		case p < len(pattern) && pattern[p] == name[n]:
			p++
			n++
		case star >= 0:
			mark++
			p, n = star+1, mark
		default:
			return false
		}
	}
	return strings.Trim(pattern[p:], "*") == ""
}

// checkQueues refuses what is no pattern of a queue's name.
func checkQueues(patterns []string) error {
	if len(patterns) > MaxQueuePatterns {
		return errs.Invalidf("/queues", "at most %d patterns are allowed; got %d", MaxQueuePatterns, len(patterns))
	}
	for i, p := range patterns {
		if p == "" || len(p) > MaxQueuePattern || strings.ContainsFunc(p, notInPattern) {
			return errs.Invalidf(fmt.Sprintf("/queues/%d", i), "must be the name of a queue, in which * stands for any text, of at most %d characters", MaxQueuePattern)
		}
	}
	return nil
}

func notInPattern(r rune) bool {
	return (r < '0' || r > '9') && (r < 'A' || r > 'Z') && (r < 'a' || r > 'z') && !strings.ContainsRune("-_.*", r)
}

// parseAddresses reads addresses and networks, as 192.0.2.7 and 10.0.0.0/8.
func parseAddresses(list []string) ([]netip.Prefix, error) {
	if len(list) > MaxAddresses {
		return nil, errs.Invalidf("/allowed_ips", "at most %d addresses are allowed; got %d", MaxAddresses, len(list))
	}
	var out []netip.Prefix
	for i, text := range list {
		p, err := parseAddress(text)
		if err != nil {
			return nil, errs.Invalidf(fmt.Sprintf("/allowed_ips/%d", i), "must be an address or a network, as 192.0.2.7 or 2001:db8::/32")
		}
		out = append(out, p)
	}
	return out, nil
}

func parseAddress(text string) (netip.Prefix, error) {
	if !strings.Contains(text, "/") {
		a, err := netip.ParseAddr(text)
		if err != nil || a.Zone() != "" {
			return netip.Prefix{}, fmt.Errorf("no address: %w", err)
		}
		a = a.Unmap()
		return netip.PrefixFrom(a, a.BitLen()), nil
	}
	p, err := netip.ParsePrefix(text)
	if err != nil {
		return p, err
	}
	if a := p.Addr(); a.Is4In6() {
		if p.Bits() < 96 {
			return p, fmt.Errorf("a network that holds all of IPv4 and more")
		}
		p = netip.PrefixFrom(a.Unmap(), p.Bits()-96)
	}
	return p.Masked(), nil
}

func prefixTexts(list []netip.Prefix) []string {
	var out []string
	for _, p := range list {
		if p.IsSingleIP() {
			out = append(out, p.Addr().String())
		} else {
			out = append(out, p.String())
		}
	}
	return out
}

// Manages reports whether a caller may see and end a key of his tenant: one that is limited to some queues deals with the
// keys of those only.
func (p Principal) Manages(k Key) bool { return p.Grants.coversQueues(k.Queues) }

// ManagesLink reports the same of a portal link.
func (p Principal) ManagesLink(l PortalLink) bool { return p.Grants.coversQueues(l.Queues) }

// bound keeps a key within what its maker may do himself. What it leaves out is as it is with its maker; what goes
// beyond that is ErrPermissionDenied. An operator who makes a tenant's key gives no more scopes than he has; where he is,
// and for how long, is no matter of the tenant's.
func (p *Principal) bound(kind Kind, n *NewKey) error {
	if p == nil {
		return nil
	}
	g := p.Grants
	if len(n.Scopes) == 0 {
		for _, entry := range g.Scopes {
			if parseScope(entry)&ofKind[kind] != 0 {
				n.Scopes = append(n.Scopes, entry)
			}
		}
		if len(n.Scopes) == 0 {
			return tooMuch("/scopes", "is left out, and the key of this request has none that the new one could have")
		}
	}
	for i, entry := range n.Scopes {
		if more := parseScope(entry) & ofKind[kind] &^ g.allowed; more != 0 {
			return tooMuch(fmt.Sprintf("/scopes/%d", i), "holds "+strings.Join(more.Names(), ", ")+", which the key of this request does not have")
		}
	}
	if p.Kind != kind {
		return nil
	}
	if len(n.Queues) == 0 {
		n.Queues = slices.Clone(g.Queues)
	}
	for i, pattern := range n.Queues {
		if !g.coversQueues([]string{pattern}) {
			return tooMuch(fmt.Sprintf("/queues/%d", i), "names queues that the key of this request does not reach")
		}
	}
	if len(n.AllowedIPs) == 0 {
		n.AllowedIPs = prefixTexts(g.Addresses)
	}
	for i, text := range n.AllowedIPs {
		if inner, err := parseAddress(text); err == nil && !g.contains(inner) {
			return tooMuch(fmt.Sprintf("/allowed_ips/%d", i), "lies outside of where the key of this request may be used")
		}
	}
	if n.ExpiresAt.IsZero() {
		n.ExpiresAt = g.ExpiresAt
	}
	if !g.ExpiresAt.IsZero() && n.ExpiresAt.After(g.ExpiresAt) {
		return tooMuch("/expires_at", "lies behind "+g.ExpiresAt.Format(time.RFC3339)+", when the key of this request ends")
	}
	return nil
}

// contains reports whether requests from all of a network are let in.
func (g *Grants) contains(inner netip.Prefix) bool {
	return len(g.Addresses) == 0 || slices.ContainsFunc(g.Addresses, func(outer netip.Prefix) bool {
		return outer.Bits() <= inner.Bits() && outer.Contains(inner.Addr())
	})
}

func tooMuch(pointer, what string) error {
	e := *ErrPermissionDenied
	e.Message = "A key gives no more than it has: " + pointer + " " + what + "."
	e.Fix = "Leave it out, or use a key that may do more."
	e.Fields = []errs.Field{{Pointer: pointer, Code: "not_allowed", Message: what}}
	return &e
}

// Denied returns ErrPermissionDenied with the name of the scope that is missing.
func Denied(scope string) error {
	e := *ErrPermissionDenied
	e.Message = "This needs the scope " + scope + ", which the key does not have."
	e.Fix = "Use a key with that scope. GET /v1/whoami shows those of a key."
	return &e
}
