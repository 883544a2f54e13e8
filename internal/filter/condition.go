package filter

import (
	"net/netip"
	"slices"
	"strings"

	"github.com/sluicemq/sluice/internal/rawjson"
)

// conditions are several of which one must be met. The exact ones, of which there may be long lists, are sorted.
type conditions struct {
	texts   []string
	numbers []rawjson.Number
	others  []condition
}

// add adds a condition. What it equals goes where it is found fast.
func (cs *conditions) add(c condition) {
	switch c.op {
	case equals:
		cs.texts = append(cs.texts, c.text)
	case equalsNumber:
		cs.numbers = append(cs.numbers, c.more.low.number)
	default:
		cs.others = append(cs.others, c)
	}
}

// len returns how many conditions there are.
func (cs *conditions) len() int { return len(cs.texts) + len(cs.numbers) + len(cs.others) }

// sort is called once all conditions are there.
func (cs *conditions) sort() {
	slices.Sort(cs.texts)
	slices.SortFunc(cs.numbers, compareNumbers)
}

func compareNumbers(a, b rawjson.Number) int { return a.Compare(&b) }

// match judges value i of a message.
func (cs *conditions) match(m *Message, i int32) bool {
	switch m.values[i].kind {
	case rawjson.String:
		if len(cs.texts) > 0 {
			if _, ok := slices.BinarySearch(cs.texts, m.text(i)); ok {
				return true
			}
		}
	case rawjson.Numeric:
		if len(cs.numbers) > 0 {
			if n := m.number(i); n != nil {
				if _, ok := slices.BinarySearchFunc(cs.numbers, *n, compareNumbers); ok {
					return true
				}
			}
		}
	}
	for j := range cs.others {
		if cs.others[j].match(m, i) {
			return true
		}
	}
	return false
}

// condition is one thing that a policy can ask of a value. It is small, because there may be many, and their value may be a
// long list.
type condition struct {
	op   op
	kind rawjson.Kind // of is
	text string
	more *operand // of the operators that need it
}

// operand is what some operators compare with.
type operand struct {
	low, high bound // of within; of equalsNumber the low one is the number
	pattern   pattern
	network   netip.Prefix
	listed    conditions // of anythingBut: what the value must not meet
}

type op uint8

const (
	is           op = iota // true, false or null
	equals                 // text; kept among the exact ones
	equalsNumber           // the same
	within                 // numbers
	prefix                 //
	suffix                 //
	wildcard               //
	sameLetters            // text, whatever the case
	inNetwork              // addresses
	anythingBut            //
	exists                 // is judged by the clause, as it is about no value
)

// bound is an end of a range of numbers.
type bound struct {
	number    rawjson.Number
	given     bool
	exclusive bool
}

// match judges value i of a message.
func (c *condition) match(m *Message, i int32) bool {
	switch kind := m.values[i].kind; c.op {
	case is:
		return kind == c.kind
	case exists:
		return false
	case anythingBut:
		return !c.more.listed.match(m, i)
	case within:
		return kind == rawjson.Numeric && c.more.within(m.number(i))
	default:
		return kind == rawjson.String && c.matchText(m.text(i))
	}
}

func (c *condition) matchText(s string) bool {
	switch c.op {
	case prefix:
		return strings.HasPrefix(s, c.text)
	case suffix:
		return strings.HasSuffix(s, c.text)
	case wildcard:
		return c.more.pattern.match(s)
	case sameLetters:
		return strings.EqualFold(s, c.text)
	default:
		return inside(c.more.network, s)
	}
}

func (o *operand) within(n *rawjson.Number) bool {
	if n == nil {
		return false
	}
	if o.low.given {
		if order := n.Compare(&o.low.number); order < 0 || order == 0 && o.low.exclusive {
			return false
		}
	}
	if o.high.given {
		if order := n.Compare(&o.high.number); order > 0 || order == 0 && o.high.exclusive {
			return false
		}
	}
	return true
}

// longestAddress is the length of an IPv6 address with an IPv4 address in it. A zone makes it longer, and part of no network.
const longestAddress = len("ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255")

func inside(network netip.Prefix, s string) bool {
	if len(s) > longestAddress {
		return false
	}
	address, err := netip.ParseAddr(s)
	return err == nil && network.Contains(address.Unmap())
}

// pattern is text with wildcards: what stands before, between and behind them. It has two pieces or more.
type pattern []string

// match reports whether all of s is as the pattern says. Each piece is taken where it comes first, so nothing is looked at
// again, however many wildcards there are.
func (p pattern) match(s string) bool {
	s, ok := strings.CutPrefix(s, p[0])
	if !ok {
		return false
	}
	for _, piece := range p[1 : len(p)-1] {
		i := strings.Index(s, piece)
		if i < 0 {
			return false
		}
		s = s[i+len(piece):]
	}
	return strings.HasSuffix(s, p[len(p)-1])
}
