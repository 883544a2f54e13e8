package filter

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/sluicemq/sluice/internal/rawjson"
)

// Failure is a part of a policy that a message does not satisfy.
type Failure struct {
	// Path is a JSON Pointer to the conditions in the policy, and "" when the message is none that it can look at.
	Path string
	// Want is the conditions as the policy has them.
	Want json.RawMessage
	// Got is the values that were there, at most MaxShown of them, long ones without their end.
	Got []json.RawMessage
	// Why is a sentence.
	Why string
}

// The limits of what an explanation repeats of a message.
const (
	MaxShown     = 10
	longestShown = 256 // bytes
)

// Explain returns what keeps a message from being meant by the policy, and nil if it is meant. Of an $or that does not hold
// it names all alternatives.
func (p *Policy) Explain(m *Message) []Failure {
	switch {
	case p.IsEmpty():
		return nil
	case m.takesPart(p.scope):
		return p.all.explain(nil, m, p.scope)
	case p.scope == Body:
		return []Failure{{Why: "The body is not a JSON object."}}
	}
	return []Failure{{Why: "The message has no attributes that policies look at, which are those of type String, Number and String.Array."}}
}

func (g *group) explain(all []Failure, m *Message, scope Scope) []Failure {
	for i := range g.clauses {
		if c := &g.clauses[i]; !c.match(m, scope) {
			all = append(all, c.explain(m, scope))
		}
	}
	for _, alternatives := range g.either {
		if anyMatches(alternatives, m, scope) {
			continue
		}
		for i := range alternatives {
			all = alternatives[i].explain(all, m, scope)
		}
	}
	return all
}

func (c *clause) explain(m *Message, scope Scope) Failure {
	f := Failure{Path: c.pointer, Want: json.RawMessage(c.written)}
	one, none := "a value", "no value"
	if scope == Attributes {
		one, none = "an attribute", "no attribute"
	}
	i := m.find(c, scope)
	if i == nothing {
		f.Why = fmt.Sprintf(`There is %s "%s".`, none, shortened(c.name))
		return f
	}
	var found kinds
	n := 0
	for ; i != nothing; i = m.values[i].next {
		found |= kindOf(m.values[i].kind)
		if n++; n <= MaxShown {
			f.Got = append(f.Got, m.shown(i))
		}
	}
	wanted := c.kinds()
	switch {
	case wanted == 0:
		f.Why = fmt.Sprintf(`There is %s "%s", and there should be none.`, one, shortened(c.name))
	case wanted&found == 0:
		f.Why = fmt.Sprintf("The conditions are about %s, and this is %s.", wanted, found)
	case n > 1:
		f.Why = fmt.Sprintf("None of the %d values meets one of the conditions.", n)
	default:
		f.Why = "The value meets none of the conditions."
	}
	return f
}

// shown returns value i as JSON.
func (m *Message) shown(i int32) json.RawMessage {
	v := &m.values[i]
	if v.kind == rawjson.String || len(v.text) > longestShown || !json.Valid([]byte(v.text)) {
		s := m.text(i)
		if len(s) > longestShown {
			s = strings.ToValidUTF8(s[:longestShown], "") + "…"
		}
		b, _ := json.Marshal(s) // a string always can be
		return b
	}
	return json.RawMessage(v.text)
}

// kinds is a set of kinds of values.
type kinds uint8

const (
	texts kinds = 1 << iota
	numbers
	words
)

func kindOf(k rawjson.Kind) kinds {
	switch k {
	case rawjson.String:
		return texts
	case rawjson.Numeric:
		return numbers
	default:
		return words
	}
}

// kinds returns what kinds of values can meet one of the conditions.
func (c *clause) kinds() (all kinds) {
	if len(c.any.texts) > 0 {
		all |= texts
	}
	if len(c.any.numbers) > 0 {
		all |= numbers
	}
	for _, one := range c.any.others {
		switch one.op {
		case exists:
		case is:
			all |= words
		case within:
			all |= numbers
		case anythingBut:
			all |= texts | numbers | words
		default:
			all |= texts
		}
	}
	return all
}

// String returns what is in the set, in words.
func (k kinds) String() string {
	var all []string
	for _, one := range []struct {
		kind kinds
		name string
	}{{texts, "text"}, {numbers, "a number"}, {words, "true, false or null"}} {
		if k&one.kind != 0 {
			all = append(all, one.name)
		}
	}
	return strings.Join(all, " or ")
}
