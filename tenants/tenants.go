// Package tenants holds the tenants of an installation: who they are, under which name and account number.
//
// A tenant lies in two slots of Redis. The registry of the installation gives out names, ids and account numbers; the
// record lies in the tenant's own slot, beside what belongs to the tenant, so that one script can check that the tenant
// is active and add something to it. What changes both goes in steps that anyone may repeat: whoever meets a creation
// or a deletion that was left half done finishes it first.
//
// Other packages rely on this layout:
//
//	sl:<id>:{<id>}:tenant  HASH; its field "state" is "active" exactly while things may be added to the tenant. A
//	                       script that adds one checks it, in the same slot.
//	sl:<id>:{<id>}:queues  HASH of the tenant's queues by name; a field "" counts as none. A tenant that has one is
//	                       not deleted.
//	sl:-:{sys}:tenant-ids  HASH id to name; holds an id from before the record is written until after the tenant is
//	                       marked as deleted, and never again. A script in the slot of the installation that adds
//	                       something for a tenant checks it: hooks of OnDelete run after that id is gone.
package tenants

import (
	"crypto/rand"
	"time"

	"github.com/sluicemq/sluice/internal/errs"
)

// ID names a tenant inside the program and in the keys of Redis. Only this package makes one, so whoever holds an ID
// got it from the store or from an authenticated credential, never from a request.
type ID struct{ s string }

const (
	idLength = 10
	// idAlphabet has 32 characters, without i, l, o and u.
	idAlphabet = "0123456789abcdefghjkmnpqrstvwxyz"
)

func newID() ID {
	raw := make([]byte, idLength)
	_, _ = rand.Read(raw) // never fails
	for i, b := range raw {
		raw[i] = idAlphabet[b&31]
	}
	return ID{string(raw)}
}

// ParseID reads what String printed, from a place that only this program writes. It reports false for anything else.
func ParseID(stored string) (ID, bool) {
	if len(stored) != idLength {
		return ID{}, false
	}
	for i := range len(stored) {
		c := stored[i]
		if (c < '0' || c > '9') && (c < 'a' || c > 'z') || c == 'i' || c == 'l' || c == 'o' || c == 'u' {
			return ID{}, false
		}
	}
	return ID{stored}, true
}

// String returns the id as keys and logs show it, and "" for none.
func (id ID) String() string { return id.s }

// MarshalText prints the id in logs. There is no way back: an ID is never read from a request.
func (id ID) MarshalText() ([]byte, error) { return []byte(id.s), nil }

// IsZero reports whether id names no tenant.
func (id ID) IsZero() bool { return id.s == "" }

// State says what a tenant may do.
type State string

// The states. A tenant that is being deleted is not found, so nobody sees that state.
const (
	// StateActive is the state of a tenant that may do everything.
	StateActive State = "active"
	// StateSuspended is the state of a tenant that may do only what its Suspension leaves. Its record says "active": what
	// it is given meanwhile, operators give it.
	StateSuspended State = "suspended"
	// StateLost is the state of a tenant that the registry knows and whose record Redis has lost. Only List shows it.
	StateLost State = "lost"

	stateDeleting State = "deleting"
)

// Tenant is one customer of the installation.
type Tenant struct {
	ID            ID
	Name          string // what people type; never changes
	AccountNumber string // 12 digits, as in ARNs; never changes
	State         State
	Labels        map[string]string
	Notes         string      // for operators
	Plan          string      // "" for a tenant that names none
	Limits        Limits      // its own, over those of the plan; see Plans.Limits for what holds
	AnySignature  bool        // see Settings
	Suspended     *Suspension // nil for a tenant that is not
	CreatedAt     time.Time
	UpdatedAt     time.Time
	ETag          string // changes with every change, and is not that of an earlier tenant of the same name
}

// Settings are what a caller may say of a tenant.
type Settings struct {
	// AccountNumber is 12 digits. Default: that of the existing tenant, 000000000000 for the tenant "default", and
	// random digits for others. It cannot be changed, because ARNs contain it.
	AccountNumber string
	// Labels are at most 50 pairs; see MaxLabels. Default none.
	Labels map[string]string
	// Notes are for operators, at most 4,096 bytes; see MaxNotes. Default none.
	Notes string
	// Plan is the name of the tenant's plan. Default: the plan "default", if there is one.
	Plan string
	// Limits hold for this tenant whatever its plan says. Default none.
	Limits Limits
	// AnySignature has the AWS protocols let in who names an AWS key pair of the tenant, whatever he has signed with, if he is a
	// program on the machine of a server. It is for development: whoever is on that machine has all that the tenant's pairs may.
	AnySignature bool
}

// Condition makes a change depend on the tenant as it is.
type Condition struct {
	// IfMatch is the ETag that the tenant must have, or "*" for a tenant that must exist. Default: no condition.
	IfMatch string
	// IfNoneMatch is an ETag that the tenant must not have, or "*" for a tenant that must not exist. Default: no
	// condition.
	IfNoneMatch string
}

// The errors of this package, besides those of the engine and validation_failed.
var (
	ErrNotFound = &errs.Error{Kind: errs.NotFound, Code: "tenant_not_found",
		Message: "There is no such tenant, or this key does not act for it."}
	ErrNotEmpty = &errs.Error{Kind: errs.Conflict, Code: "tenant_not_empty",
		Message: "The tenant still has queues.",
		Fix: "Delete its queues first, or suspend the tenant and delete it with all that it has: " +
			`POST /v1/tenants/{tenant}/suspend {"mode":"all"}, then DELETE /v1/tenants/{tenant}?confirm={tenant}`}
	// ErrNotSuspended refuses to delete a tenant with all that it has while it may still do something.
	ErrNotSuspended = &errs.Error{Kind: errs.Conflict, Code: "tenant_not_suspended",
		Message: "The tenant has queues and is not suspended, so somebody may still use them.",
		Fix:     `Suspend it first: POST /v1/tenants/{tenant}/suspend {"mode":"all"}`}
	ErrPrecondition = &errs.Error{Kind: errs.Precondition, Code: "precondition_failed",
		Message: "The tenant is not as If-Match or If-None-Match asks.",
		Fix:     "Read the tenant again and decide anew with its current ETag."}
	ErrAccountTaken = &errs.Error{Kind: errs.Conflict, Code: "account_taken",
		Message: "Another tenant has this account number, or had it.",
		Fix:     "Choose another number, or leave it out to get a random one."}
	ErrAccountFixed = &errs.Error{Kind: errs.Conflict, Code: "account_fixed",
		Message: "The account number of a tenant cannot be changed, because the ARNs of its queues and topics contain it.",
		Fix:     "Leave the account number out, or make another tenant."}
	// ErrLost says that Redis has lost a tenant's record: the tenant is neither there nor gone.
	ErrLost = &errs.Error{Kind: errs.Unavailable, Code: "data_lost",
		Message: "The storage has lost the record of this tenant. Nothing was changed.",
		Fix:     "The operator should restore Redis from a backup, or look why it came back without its data."}

	errLeaving = &errs.Error{Kind: errs.Conflict, Code: "tenant_deleting", RetryAfter: time.Second,
		Message: "A tenant of this name is being deleted with all that it has.",
		Fix:     "Wait until that has ended: GET /v1/tasks, as an operator and without the header Tenant, shows how far it is."}
	errBusy = &errs.Error{Kind: errs.Unavailable, Code: "not_ready", RetryAfter: time.Second,
		Message: "Others are changing this tenant at the same time. Nothing was changed.",
		Fix:     "Send the same request again."}
)
