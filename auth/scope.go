package auth

import (
	"fmt"
	"slices"
	"strings"

	"github.com/sluicemq/sluice/internal/errs"
)

// Scopes is a set of what a key may do: one bit for each scope, so that a request is judged without a look-up.
type Scopes uint64

// tenantScopes are all scopes that there are for what belongs to a tenant. The order means nothing outside of this
// process.
var tenantScopes = []string{
	"queues:read", "queues:write", "queues:pause", "queues:purge", "queues:redrive",
	"messages:send", "messages:consume", "messages:peek", "messages:read_body", "messages:change", "messages:delete",
	"schedules:read", "schedules:write", "schedules:run",
	"topics:read", "topics:write", "topics:publish", "topics:consume", "topics:replay",
	"alarms:read", "alarms:write", "alarms:mute",
	"tasks:read", "tasks:write",
	"keys:read", "keys:write",
	"members:read", "members:write",
	"portal_links:read", "portal_links:write",
	"audit:read",
	"usage:read",
	"request_log:read",
}

// operatorScopes are those for what belongs to the installation. Only operators' keys have them.
var operatorScopes = []string{
	"tenants:read", "tenants:write",
	"plans:read", "plans:write",
	"operator_keys:read", "operator_keys:write",
	"operators:read", "operators:write",
	"operator_audit:read",
	"system:read",
}

// everything is the scope that holds all others, also those of later versions.
const everything = "*"

// roles are names for sets of scopes. A wildcard in one holds what later versions add.
var roles = map[string][]string{
	"owner":                 {everything},
	"developer":             {"queues:*", "messages:*", "schedules:*", "topics:*", "alarms:*", "tasks:*"},
	"operator":              {"*:read", "queues:pause", "queues:purge", "queues:redrive", "messages:peek", "messages:read_body", "messages:change", "messages:delete", "schedules:run", "topics:consume", "topics:replay", "alarms:mute", "tasks:*"},
	"viewer":                {"*:read", "messages:peek", "messages:read_body", "topics:consume"},
	"viewer_without_bodies": {"*:read", "messages:peek"},
}

var (
	scopeBits = map[string]Scopes{}
	// ofKind are the scopes that a kind of key can have.
	ofKind = map[Kind]Scopes{}
)

func init() {
	for i, name := range slices.Concat(tenantScopes, operatorScopes) {
		bit := Scopes(1) << i
		scopeBits[name] = bit
		ofKind[KindOperator] |= bit
		if i < len(tenantScopes) {
			ofKind[KindTenant] |= bit
		}
	}
	if len(scopeBits) > 64 {
		panic("auth: more scopes than bits")
	}
}

// MustScope returns the set of one scope, and the empty set for "". It panics when there is no such scope: those of the
// routes are constants of the program.
func MustScope(name string) Scopes {
	bit, ok := scopeBits[name]
	if !ok && name != "" {
		panic("auth: no such scope: " + name)
	}
	return bit
}

// Has reports whether all scopes of want are in s.
func (s Scopes) Has(want Scopes) bool { return s&want == want }

// Names returns the scopes in s, by name.
func (s Scopes) Names() []string {
	names := []string{}
	for name, bit := range scopeBits {
		if s.Has(bit) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// parseScope returns what one entry of a key's list of scopes means: a scope, all scopes of one thing ("queues:*"), one
// thing done to all ("*:read"), everything ("*"), or a role. It is the empty set for what is none of these.
func parseScope(entry string) Scopes {
	if list, ok := roles[entry]; ok {
		return parseScopes(list)
	}
	if entry == everything {
		entry = "*:*"
	}
	thing, action, ok := strings.Cut(entry, ":")
	if !ok {
		return 0
	}
	var s Scopes
	for name, bit := range scopeBits {
		t, a, _ := strings.Cut(name, ":")
		if (thing == everything || thing == t) && (action == everything || action == a) {
			s |= bit
		}
	}
	return s
}

// parseScopes returns what a list means. What this version does not know, because a later one wrote it, means nothing.
func parseScopes(list []string) (s Scopes) {
	for _, entry := range list {
		s |= parseScope(entry)
	}
	return s
}

// checkScopes refuses entries that mean nothing to a kind of key.
func checkScopes(kind Kind, list []string) error {
	if len(list) > MaxScopes {
		return errs.Invalidf("/scopes", "at most %d scopes are allowed; got %d", MaxScopes, len(list))
	}
	for i, entry := range list {
		pointer := fmt.Sprintf("/scopes/%d", i)
		switch s := parseScope(entry); {
		case s == 0:
			return errs.Invalidf(pointer, "is neither a scope, such as messages:send or queues:*, nor a role, such as developer")
		case s&ofKind[kind] == 0:
			return errs.Invalidf(pointer, "is a scope that only operators' keys can have")
		}
	}
	return nil
}
