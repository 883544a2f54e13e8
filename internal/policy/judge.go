package policy

import (
	"net/netip"
	"slices"
	"strings"
	"time"
)

// Request is what a policy is asked about.
type Request struct {
	Action   string // such as sqs:SendMessage
	Resource string // ARN of the queue or topic
	Own      bool   // the caller is of the account that the resource belongs to
	// Account and User are the caller's: a number and an ARN. "" for a service.
	Account, User string
	Service       string // such as sns.amazonaws.com; "" for a caller with a key
	// SourceARN and SourceAccount are of the resource on whose behalf a service acts; "" for a caller with a key.
	SourceARN, SourceAccount string
	Address                  string // IP address of the caller, or ""
	Secure                   bool   // the request came over TLS
	Region                   string
	Now                      time.Time
	// Protocol and Endpoint are those of a subscription that is to be made.
	Protocol, Endpoint string
}

// Denies reports whether the policy forbids a request, whatever allows it.
func (p *Policy) Denies(r *Request) bool {
	if p == nil || !p.denies {
		return false
	}
	return slices.ContainsFunc(p.statements, func(s statement) bool { return s.deny && s.applies(r) })
}

// HasDenials reports whether the policy forbids anything at all.
func (p *Policy) HasDenials() bool { return p != nil && p.denies }

// Allows reports whether the policy allows a request and does not forbid it.
func (p *Policy) Allows(r *Request) bool {
	if p == nil || p.Denies(r) {
		return false
	}
	return slices.ContainsFunc(p.statements, func(s statement) bool { return !s.deny && s.applies(r) })
}

func (s *statement) applies(r *Request) bool {
	if s.never && (!s.deny || r.Own) {
		return false
	}
	if !s.principals.have(r) || !s.actions.has(strings.ToLower(r.Action)) || !s.resources.has(r.Resource) {
		return s.never && s.deny && s.actions.has(strings.ToLower(r.Action))
	}
	for i := range s.conditions {
		if !s.conditions[i].holds(r, s.deny) {
			return false
		}
	}
	return true
}

// have reports whether a statement is about who asks.
func (p *principals) have(r *Request) bool {
	in := p.everyone
	if r.Service != "" {
		in = in || slices.Contains(p.services, r.Service)
	} else {
		in = in || slices.Contains(p.accounts, r.Account) || slices.Contains(p.users, r.User)
	}
	return in != p.others
}

// value returns what a request says of a key of conditions, given in lower case. known is false for keys that are not
// evaluated here, there for those of which this request says nothing.
func (r *Request) value(key string) (value string, there, known bool) {
	switch key {
	case "aws:sourcearn":
		value = r.SourceARN
	case "aws:sourceaccount":
		value = r.SourceAccount
	case "aws:sourceowner": // of a resource that acts, or the caller himself
		if value = r.SourceAccount; value == "" {
			value = r.Account
		}
	case "aws:principalaccount":
		value = r.Account
	case "aws:principalarn":
		value = r.User
	case "aws:sourceip":
		value = r.Address
	case "aws:requestedregion":
		value = r.Region
	case "aws:securetransport":
		if r.Service == "" {
			value = "false"
			if r.Secure {
				value = "true"
			}
		}
	case "aws:currenttime", "aws:epochtime":
		value = r.Now.UTC().Format(time.RFC3339)
	case "sns:protocol":
		value = r.Protocol
	case "sns:endpoint":
		value = r.Endpoint
	default:
		return "", false, false
	}
	return value, value != "", true
}

// within reports whether an address is in a range such as 10.0.0.0/8, or is the address.
func within(block, address string) bool {
	a, err := netip.ParseAddr(address)
	if err != nil {
		return false
	}
	p, ok := parseBlock(block)
	return ok && p.Contains(a.Unmap().WithZone(""))
}

func parseBlock(text string) (netip.Prefix, bool) {
	if a, err := netip.ParseAddr(text); err == nil {
		a = a.Unmap()
		return netip.PrefixFrom(a, a.BitLen()), a.Zone() == ""
	}
	p, err := netip.ParsePrefix(text)
	return p.Masked(), err == nil
}

// like reports whether s is as a pattern says, in which * stands for any characters and ? for one. It takes no longer than
// the product of their lengths, whatever they are, and what has more characters than s is no pattern of it.
func like(pattern, s string) bool {
	star, from := -1, 0
	if len(pattern)-strings.Count(pattern, "*") > len(s) {
		return false
	}
	i, k := 0, 0
	for k < len(s) {
		switch {
		case i < len(pattern) && pattern[i] == '*':
			star, from = i, k
			i++
		case i < len(pattern) && (pattern[i] == '?' || pattern[i] == s[k]):
			i++
			k++
		case star >= 0:
			from++
			i, k = star+1, from
		default:
			return false
		}
	}
	return strings.Trim(pattern[i:], "*") == ""
}
