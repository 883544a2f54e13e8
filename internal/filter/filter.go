// Package filter decides by a filter policy, in the language of SNS, whether a subscription gets a message: `{"tier":["pro",
// "team"],"total":[{"numeric":[">",100]}]}`.
//
// A policy is compiled once and then judges any number of messages, from many goroutines at a time. A Message is read once,
// whatever the number of policies that look at it. What a policy costs is bounded by its conditions times the values that
// it looks at: no pattern is tried twice, and no body is too deep.
//
// Where SNS leaves a choice:
//   - A key with several values, such as an array, holds if one of them meets one condition. That goes for anything-but,
//     too: it holds if one value is none of those listed.
//   - anything-but is met by whatever is there and is not listed, be it of another type or null. Nothing but exists:false is
//     met by what is not there.
//   - Numbers are compared to their last digit, however many there are. Text and numbers are never equal.
//   - Of a body's member that stands twice in one object both values count.
package filter

import (
	"github.com/sluicemq/sluice/internal/errs"
)

// The limits of a policy. Those on keys and complexity are those of SNS, which count as follows: the lengths of all arrays
// multiplied, each first multiplied by how deep its key is nested; the alternatives of an $or are added.
const (
	MaxBytes      = 256 << 10
	MaxKeys       = 5 // of the policy itself and of each alternative at its top; SNS counts the former only
	MaxComplexity = 150
	// MaxListed bounds the list of an anything-but, which SNS counts as one condition.
	MaxListed = 1000
	// MaxDepth bounds how deep a body, or the value of a String.Array, may be nested. A deeper one counts as no JSON.
	MaxDepth = 512
)

// Scope says what of a message a policy looks at.
type Scope uint8

// The scopes.
const (
	Attributes Scope = iota
	Body
)

// ParseScope reads the name that SNS gives to a scope.
func ParseScope(name string) (Scope, error) {
	switch name {
	case "MessageAttributes":
		return Attributes, nil
	case "MessageBody":
		return Body, nil
	}
	return 0, errs.Errorf(errs.Invalid, "filter_policy_scope_invalid", "FilterPolicyScope: Invalid value [%.100s]. Please use either MessageBody or MessageAttributes", name)
}

// String returns the name that SNS gives to the scope.
func (s Scope) String() string {
	if s == Body {
		return "MessageBody"
	}
	return "MessageAttributes"
}

// Policy says which messages are meant. It does not change. The zero value means all of them.
type Policy struct {
	scope Scope
	all   group
}

// Compile reads a policy. The empty text and {} mean every message. The error is an *errs.Error of kind Invalid and code
// "filter_policy_invalid", whose one field has line and column of what is wrong; Reason says it as SNS does.
func Compile(text string, scope Scope) (*Policy, error) {
	if text == "" {
		return &Policy{scope: scope}, nil
	}
	p := parser{scope: scope}
	all, err := p.policy(text)
	if err != nil {
		return nil, err
	}
	return &Policy{scope: scope, all: all}, nil
}

// IsEmpty reports whether the policy means every message.
func (p *Policy) IsEmpty() bool { return len(p.all.clauses) == 0 && len(p.all.either) == 0 }

// Match reports whether the message is meant by the policy.
func (p *Policy) Match(m *Message) bool {
	return p.IsEmpty() || m.takesPart(p.scope) && p.all.match(m, p.scope)
}

// group is what a JSON object of a policy says: each of the clauses holds, and of each list one group.
type group struct {
	clauses []clause
	either  [][]group
}

func (g *group) match(m *Message, scope Scope) bool {
	for i := range g.clauses {
		if !g.clauses[i].match(m, scope) {
			return false
		}
	}
	for _, alternatives := range g.either {
		if !anyMatches(alternatives, m, scope) {
			return false
		}
	}
	return true
}

func anyMatches(alternatives []group, m *Message, scope Scope) bool {
	for i := range alternatives {
		if alternatives[i].match(m, scope) {
			return true
		}
	}
	return false
}

// clause is a key with its conditions, of which one must be met.
type clause struct {
	name    string   // of the attribute, or the steps with dots between them
	steps   []string // to the value in a body
	pointer string   // JSON Pointer to the conditions in the policy
	written string   // the conditions as they stand there
	any     conditions
	present bool // one of the conditions is exists:true
	missing bool // one of the conditions is exists:false
}

// match reports whether one of the values that the clause is about meets one of the conditions.
func (c *clause) match(m *Message, scope Scope) bool {
	i := m.find(c, scope)
	if i == nothing {
		return c.missing
	}
	if c.present {
		return true
	}
	for ; i != nothing; i = m.values[i].next {
		if c.any.match(m, i) {
			return true
		}
	}
	return false
}
