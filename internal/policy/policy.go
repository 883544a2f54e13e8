// Package policy judges by the policies of queues and topics, which say in the language of AWS what others may do.
//
// A policy is compiled once and then asked about each request. It can only say less than its owner meant, never more: a
// statement that allows something under a condition which is not known here allows nothing, and one that denies something
// so denies it to all others.
package policy

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Policy is a compiled policy. The nil policy says nothing. A Policy does not change and may be used by many at once.
type Policy struct {
	statements []statement
	denies     bool
}

// Limits are what a policy may have at most; 0 is any number.
type Limits struct {
	Statements, Principals, Conditions int
	DistinctSids                       bool // no two statements have one Sid
}

// Error is why a policy is not one.
type Error struct {
	Message string
	Limit   bool // it has too much of something
}

// Error returns the message.
func (e *Error) Error() string { return e.Message }

func malformed(format string, args ...any) error {
	return &Error{Message: fmt.Sprintf(format, args...)}
}

// IsLimit reports whether a policy was refused because it has too much of something.
func IsLimit(err error) bool {
	e, ok := errors.AsType[*Error](err)
	return ok && e.Limit
}

// statement is one of a policy's.
type statement struct {
	sid  string // "": none
	deny bool
	// never says that it has what is not evaluated here: it allows nothing, or is for all others.
	never      bool
	principals principals
	actions    patterns
	resources  patterns
	conditions []condition
}

// principals are who a statement is about.
type principals struct {
	others   bool // it is about everybody but them
	everyone bool
	accounts []string // numbers
	users    []string // ARNs
	services []string
}

// patterns are texts with * and ?, in lower case where case does not matter.
type patterns struct {
	others bool // all but what matches
	list   []string
}

// Compile reads a policy.
func Compile(text string, most Limits) (*Policy, error) {
	top, err := members(text)
	if err != nil {
		return nil, malformed("it is no JSON object: %s", err)
	}
	for name, raw := range top {
		switch name {
		case "Version":
			if v, ok := asText(raw); !ok || v != "2008-10-17" && v != "2012-10-17" {
				return nil, malformed("Version must be 2008-10-17 or 2012-10-17")
			}
		case "Id":
			if _, ok := asText(raw); !ok {
				return nil, malformed("Id must be text")
			}
		case "Statement":
		default:
			return nil, malformed("a policy has no %q", clip(name))
		}
	}
	list, ok := asList(top["Statement"])
	if !ok && top["Statement"] != nil {
		return nil, malformed("Statement must be an object or a list of objects")
	}
	if most.Statements > 0 && len(list) > most.Statements {
		return nil, &Error{fmt.Sprintf("%d statements were found, maximum allowed is %d.", len(list), most.Statements), true}
	}
	p := &Policy{}
	named, conditions := 0, 0
	sids := map[string]bool{}
	for i, raw := range list {
		s, err := compileStatement(string(raw))
		if err != nil {
			return nil, malformed("statement %d: %s", i+1, err)
		}
		if most.DistinctSids && s.sid != "" && sids[s.sid] {
			return nil, malformed("statement %d has the Sid %q of another one", i+1, clip(s.sid))
		}
		sids[s.sid] = true
		p.statements = append(p.statements, s)
		p.denies = p.denies || s.deny
		named += len(s.principals.accounts) + len(s.principals.users) + len(s.principals.services)
		conditions += len(s.conditions)
	}
	if most.Principals > 0 && named > most.Principals {
		return nil, &Error{fmt.Sprintf("%d principals were found, maximum allowed is %d.", named, most.Principals), true}
	}
	if most.Conditions > 0 && conditions > most.Conditions {
		return nil, &Error{fmt.Sprintf("%d conditions were found, maximum allowed is %d.", conditions, most.Conditions), true}
	}
	return p, nil
}

func compileStatement(text string) (statement, error) {
	var s statement
	m, err := members(text)
	if err != nil {
		return s, malformed("it is no JSON object: %s", err)
	}
	for _, pair := range [][2]string{{"Principal", "NotPrincipal"}, {"Action", "NotAction"}, {"Resource", "NotResource"}} {
		if m[pair[0]] != nil && m[pair[1]] != nil {
			return s, malformed("it has both %s and %s", pair[0], pair[1])
		}
	}
	effect, _ := asText(m["Effect"])
	if effect != "Allow" && effect != "Deny" {
		return s, malformed("Effect must be Allow or Deny")
	}
	s.deny = effect == "Deny"
	s.resources.others = true // without a word it is about what it is the policy of
	for name, raw := range m {
		err = nil
		switch name {
		case "Effect":
		case "Sid":
			var ok bool
			if s.sid, ok = asText(raw); !ok {
				err = malformed("Sid must be text")
			}
		case "Principal", "NotPrincipal":
			err = s.readPrincipals(raw, name == "NotPrincipal")
		case "Action", "NotAction":
			s.actions, err = readPatterns(name, raw, strings.ToLower)
		case "Resource", "NotResource":
			s.resources, err = readPatterns(name, raw, func(s string) string { return s })
		case "Condition":
			err = s.readConditions(raw)
		default:
			err = malformed("a statement has no %q", clip(name))
		}
		if err != nil {
			return s, err
		}
	}
	switch {
	case m["Principal"] == nil && m["NotPrincipal"] == nil:
		return s, malformed("it needs a Principal")
	case len(s.actions.list) == 0 || s.actions.variable():
		return s, malformed("it needs an Action")
	}
	s.never = s.never || s.principals.others && !s.deny || s.resources.variable()
	return s, nil
}

// variable reports whether there are variables of policies, which are not evaluated.
func (p *patterns) variable() bool {
	return slices.ContainsFunc(p.list, func(s string) bool { return strings.Contains(s, "${") })
}

func readPatterns(name string, raw []byte, fold func(string) string) (patterns, error) {
	list, ok := asTexts(raw)
	if !ok || len(list) == 0 {
		return patterns{}, malformed("%s must be text or a list of texts", name)
	}
	p := patterns{others: strings.HasPrefix(name, "Not")}
	for _, s := range list {
		p.list = append(p.list, fold(s))
	}
	return p, nil
}

func (p *patterns) has(s string) bool {
	return p.others != slices.ContainsFunc(p.list, func(pattern string) bool { return like(pattern, s) })
}

// readPrincipals reads who a statement is about. Kinds of principals that there are not here are nobody.
func (s *statement) readPrincipals(raw []byte, others bool) error {
	p := principals{others: others}
	if text, ok := asText(raw); ok {
		if text != "*" {
			return malformed("Principal must be * or an object")
		}
		p.everyone = true
		s.principals = p
		return nil
	}
	kinds, err := members(string(raw))
	if err != nil || len(kinds) == 0 {
		return malformed("Principal must be * or an object")
	}
	for kind, raw := range kinds {
		list, ok := asTexts(raw)
		if !ok || len(list) == 0 {
			return malformed("Principal %s must be text or a list of texts", clip(kind))
		}
		switch kind {
		case "AWS":
			for _, who := range list {
				account, user, ok := readPrincipal(who)
				switch {
				case who == "*":
					p.everyone = true
				case !ok:
					return malformed("invalid principal %q", clip(who))
				case user:
					p.users = append(p.users, who)
				default:
					p.accounts = append(p.accounts, account)
				}
			}
		case "Service":
			p.services = append(p.services, list...)
		case "Federated", "CanonicalUser":
			if s.never = true; others { // whom it leaves out is not known
				p.everyone = true
			}
		default:
			return malformed("invalid kind of principal %q", clip(kind))
		}
	}
	s.principals = p
	return nil
}

// readPrincipal reads a number of an account, the ARN of its root, or that of somebody in it.
func readPrincipal(text string) (account string, user, ok bool) {
	if isAccount(text) {
		return text, false, true
	}
	rest, found := strings.CutPrefix(text, "arn:aws:")
	service, rest, more := strings.Cut(rest, "::")
	account, who, last := strings.Cut(rest, ":")
	if !found || !more || !last || service != "iam" && service != "sts" || !isAccount(account) || who == "" {
		return "", false, false
	}
	return account, who != "root", true
}

func isAccount(s string) bool { return len(s) == 12 && strings.Trim(s, "0123456789") == "" }
