package policy

import (
	"slices"
	"strconv"
	"strings"
	"time"
)

// condition is one key of one operator.
type condition struct {
	key      string // in lower case
	values   []string
	match    func(value, wanted string) bool
	negated  bool // none of the values may match
	ifExists bool // it holds where the request says nothing of the key
	null     bool // it asks whether the request says nothing of the key
}

// operators say how what a request says is compared with a value of the policy.
var operators = map[string]func(value, wanted string) bool{
	"string":           func(value, wanted string) bool { return value == wanted },
	"stringignorecase": strings.EqualFold,
	"stringlike":       func(value, wanted string) bool { return like(wanted, value) },
	"arn":              func(value, wanted string) bool { return likeARN(wanted, value) },
	"bool":             strings.EqualFold,
	"ipaddress":        func(value, wanted string) bool { return within(wanted, value) },
}

// names are the operators by the names that they have in policies, in lower case.
var names = map[string]struct {
	operator string
	negated  bool
}{
	"stringequals": {"string", false}, "stringnotequals": {"string", true},
	"stringequalsignorecase": {"stringignorecase", false}, "stringnotequalsignorecase": {"stringignorecase", true},
	"stringlike": {"stringlike", false}, "stringnotlike": {"stringlike", true},
	"arnequals": {"arn", false}, "arnlike": {"arn", false}, "arnnotequals": {"arn", true}, "arnnotlike": {"arn", true},
	"bool": {"bool", false}, "ipaddress": {"ipaddress", false}, "notipaddress": {"ipaddress", true},
}

// unevaluated are operators that there are and that are not evaluated here.
var unevaluated = []string{"numericequals", "numericnotequals", "numericlessthan", "numericlessthanequals", "numericgreaterthan",
	"numericgreaterthanequals", "binaryequals"}

// dates are the operators on times.
var dates = map[string]func(order int) bool{
	"dateequals": func(o int) bool { return o == 0 }, "datenotequals": func(o int) bool { return o != 0 },
	"datelessthan": func(o int) bool { return o < 0 }, "datelessthanequals": func(o int) bool { return o <= 0 },
	"dategreaterthan": func(o int) bool { return o > 0 }, "dategreaterthanequals": func(o int) bool { return o >= 0 },
}

// readConditions reads all conditions of a statement.
func (s *statement) readConditions(raw []byte) error {
	all, err := members(string(raw))
	if err != nil {
		return malformed("Condition must be an object")
	}
	for operator, raw := range all {
		keys, err := members(string(raw))
		if err != nil {
			return malformed("Condition %s must be an object", clip(operator))
		}
		for key, raw := range keys {
			values, ok := asScalars(raw)
			if !ok || len(values) == 0 {
				return malformed("Condition %s of %s must be a value or a list of values", clip(operator), clip(key))
			}
			c := condition{key: strings.ToLower(key), values: values}
			if err := c.readOperator(operator); err != nil {
				return err
			}
			if _, _, known := (&Request{}).value(c.key); !known && !s.deny {
				s.never = true
			}
			if slices.ContainsFunc(values, func(v string) bool { return strings.Contains(v, "${") }) { // variables are not evaluated
				c.match, c.null = nil, false
			}
			if s.never = s.never || c.match == nil && !c.null; !s.never || s.deny {
				s.conditions = append(s.conditions, c)
			}
		}
	}
	return nil
}

// readOperator reads the name of an operator. One that is not evaluated has no match.
func (c *condition) readOperator(text string) error {
	name := strings.ToLower(text)
	set, rest, ofSet := strings.Cut(name, ":")
	if ofSet {
		if set != "forallvalues" && set != "foranyvalue" {
			return malformed("invalid condition operator %q", clip(text))
		}
		name = rest
	}
	if c.null = name == "null" && !ofSet; c.null {
		return nil
	}
	name, c.ifExists = strings.CutSuffix(name, "ifexists")
	known, ok := names[name]
	date, isDate := dates[name]
	switch {
	case ok && known.operator == "ipaddress" && !allOf(c.values, func(v string) bool { _, ok := parseBlock(v); return ok }),
		isDate && !allOf(c.values, func(v string) bool { _, ok := parseTime(v); return ok }):
		return malformed("invalid value for the condition %s", clip(text))
	case ofSet && (ok || isDate || slices.Contains(unevaluated, name)), slices.Contains(unevaluated, name):
	case ok:
		c.match, c.negated = operators[known.operator], known.negated
	case isDate:
		c.match = func(value, wanted string) bool {
			a, isTime := parseTime(value)
			b, _ := parseTime(wanted)
			return isTime && date(a.Compare(b))
		}
	default:
		return malformed("invalid condition operator %q", clip(text))
	}
	return nil
}

// holds reports whether a request is as the condition says.
func (c *condition) holds(r *Request, deny bool) bool {
	value, there, known := r.value(c.key)
	switch {
	case deny && !r.Own && (!known || c.match == nil && !c.null):
		return true // what it would say is not known, so it is taken for said
	case c.null:
		return slices.ContainsFunc(c.values, func(v string) bool { return strings.EqualFold(v, strconv.FormatBool(!there)) })
	case c.match == nil:
		return false
	case !there:
		return c.ifExists || c.negated
	}
	return c.negated != slices.ContainsFunc(c.values, func(wanted string) bool { return c.match(value, wanted) })
}

// likeARN compares ARNs part by part: a * goes no further than its part, but for the last.
func likeARN(pattern, arn string) bool {
	if pattern == "*" {
		return true
	}
	p, a := strings.SplitN(pattern, ":", 6), strings.SplitN(arn, ":", 6)
	return len(p) == len(a) && !slices.ContainsFunc([]int{0, 1, 2, 3, 4, 5}, func(i int) bool { return !like(p[i], a[i]) })
}

// parseTime reads a time as policies have it: of ISO 8601, or seconds since 1970.
func parseTime(text string) (time.Time, bool) {
	for _, layout := range []string{time.RFC3339, "2006-01-02T15:04Z07:00", time.DateOnly} {
		if t, err := time.Parse(layout, text); err == nil {
			return t, true
		}
	}
	n, err := strconv.ParseInt(text, 10, 64)
	return time.Unix(n, 0), err == nil
}

func allOf(list []string, ok func(string) bool) bool {
	return !slices.ContainsFunc(list, func(s string) bool { return !ok(s) })
}
