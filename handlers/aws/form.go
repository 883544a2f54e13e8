package aws

import (
	"encoding/base64"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

const (
	// maxParameters bounds the parameters of a request. A batch of ten messages with ten attributes each has some 400.
	maxParameters = 1000
	// maxIndex bounds the numbers in the names of parameters. They only give an order.
	maxIndex = 9999
)

// param is a parameter of the query protocol.
type param struct{ name, value string }

// form is the input of an action as parameters: Attribute.1.Name=… and so on. Lists may be counted from anywhere and with
// gaps, and be named as in JSON, because some SDKs do.
type form struct {
	params []param
	flaws  *flaws
}

// parseForm reads parameters from the query of an address and from a body. What is given twice, other than alike in both
// places, would mean one thing to one reader and another to the next.
func parseForm(query, body string, f *flaws) (form, *Fault) {
	list, err := parseParams(query)
	if err != nil || body == "" {
		return form{list, f}, err
	}
	more, err := parseParams(body)
	if err != nil || len(list) == 0 {
		return form{more, f}, err
	}
	all, err := distinct(slices.Compact(sorted(append(list, more...))))
	return form{all, f}, err
}

// parseParams reads the parameters of one place, without those of a signature.
func parseParams(text string) ([]param, *Fault) {
	var list []param
	for part := range strings.SplitSeq(text, "&") {
		if part == "" || strings.HasPrefix(part, "X-Amz-") {
			continue
		}
		if len(list) == maxParameters {
			return nil, errMalformedQuery.with("A request has at most %d parameters.", maxParameters)
		}
		name, val, _ := strings.Cut(part, "=")
		name, err := url.QueryUnescape(name)
		if err == nil {
			val, err = url.QueryUnescape(val)
		}
		if err != nil {
			return nil, errMalformedQuery.with("The parameters are not well formed.")
		}
		list = append(list, param{name, val})
	}
	return distinct(sorted(list))
}

func sorted(list []param) []param {
	slices.SortFunc(list, func(a, b param) int {
		if c := strings.Compare(a.name, b.name); c != 0 {
			return c
		}
		return strings.Compare(a.value, b.value)
	})
	return list
}

// distinct refuses a sorted list in which a name stands twice.
func distinct(list []param) ([]param, *Fault) {
	for i := 1; i < len(list); i++ {
		if list[i].name == list[i-1].name {
			return nil, errMalformedQuery.with("The parameter %s is given more than once.", clip(list[i].name))
		}
	}
	return list, nil
}

func (q form) text(name string) (string, bool) {
	for i := range q.params {
		if q.params[i].name == name {
			return q.params[i].value, true
		}
	}
	return "", false
}

func (q form) number(name string) (int64, bool) {
	s, ok := q.text(name)
	if !ok {
		return 0, false
	}
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil || s[0] == '+' {
		q.flaws.note(errInvalidParameter.with("Value %s for parameter %s is invalid. Reason: Must be an integer.", clip(s), name))
		return 0, false
	}
	return n, true
}

// below returns the parameters under one of two names, by their numbers. Those without a number come first.
func (q form) below(f field) []form {
	type group struct {
		index int
		form
	}
	var groups []group
	for _, p := range q.params {
		rest, ok := cutName(p.name, f.query)
		if !ok {
			if rest, ok = cutName(p.name, f.json); !ok {
				continue
			}
		}
		index, name := -1, rest
		if number, under, _ := strings.Cut(rest, "."); rest != "" && !letter(rest[0]) {
			n, err := strconv.Atoi(number)
			if err != nil || n < 0 || n > maxIndex || len(number) > 4 {
				q.flaws.note(errInvalidParameter.with("Value %s for parameter %s is invalid. Reason: Must be numbered from 1.", clip(number), f.query))
				return nil
			}
			index, name = n, under
		}
		at := slices.IndexFunc(groups, func(g group) bool { return g.index == index })
		if at < 0 {
			at = len(groups)
			groups = append(groups, group{index, form{flaws: q.flaws}})
		}
		groups[at].params = append(groups[at].params, param{name, p.value})
	}
	slices.SortFunc(groups, func(a, b group) int { return a.index - b.index })
	list := make([]form, len(groups))
	for i := range groups {
		list[i] = groups[i].form
	}
	return list
}

func letter(c byte) bool { return c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z' }

// cutName returns what stands behind a name and its dot.
func cutName(s, name string) (string, bool) {
	if len(s) == len(name) {
		return "", s == name
	}
	if len(s) > len(name) && s[len(name)] == '.' && s[:len(name)] == name {
		return s[len(name)+1:], true
	}
	return "", false
}

func (q form) texts(f field) []string {
	var list []string
	for _, g := range q.below(f) {
		if s, ok := g.text(""); ok {
			list = append(list, s)
		}
	}
	return list
}

func (q form) table(f field) []pair {
	var list []pair
	for _, g := range q.below(f) {
		key, ok := g.text(f.key)
		val, also := g.text(f.value)
		if !ok || !also {
			q.flaws.note(errMissingParameter.with("The request must contain the parameter %s.%s.", f.query, missing(ok, f)))
			return nil
		}
		list = append(list, pair{key, val})
	}
	return list
}

func missing(hasKey bool, f field) string {
	if hasKey {
		return f.value
	}
	return f.key
}

func (q form) list(f field) []input {
	groups := q.below(f)
	list := make([]input, len(groups))
	for i := range groups {
		list[i] = groups[i]
	}
	return list
}

func (q form) attributes(f field) []attribute {
	var list []attribute
	for _, g := range q.below(f) {
		var a attribute
		a.name, _ = g.text(f.key)
		a.kind, _ = g.text("Value.DataType")
		a.text, a.hasText = g.text("Value.StringValue")
		if a.binary, a.hasData = g.text("Value.BinaryValue"); a.hasData {
			raw, err := base64.StdEncoding.DecodeString(a.binary)
			if err != nil {
				q.flaws.note(errInvalidParameter.with("Value.BinaryValue of message attribute '%s' must be base64.", clip(a.name)))
			}
			a.binary = string(raw)
		}
		a.lists = slices.ContainsFunc(g.params, func(p param) bool {
			return strings.HasPrefix(p.name, "Value.StringListValue") || strings.HasPrefix(p.name, "Value.BinaryListValue")
		})
		list = append(list, a)
	}
	return list
}
