package tenants

import (
	"context"
	"encoding/json"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/sluicemq/sluice/internal/errs"
)

// Mode says what a suspended tenant may not do.
type Mode string

// The modes.
const (
	// ModeSend lets a tenant do everything but send: what it has it can receive, look at and delete.
	ModeSend Mode = "send"
	// ModeAll lets a tenant do nothing.
	ModeAll Mode = "all"
)

// Suspension says since when and why a tenant may not act as it would. Operators act for it all the same.
type Suspension struct {
	Mode   Mode
	Reason string // for the tenant, who reads it with each refusal
	Since  time.Time
	// Until is when it ends by itself, to a millisecond; zero: when the tenant is resumed.
	Until time.Time
}

// storedSuspension is a Suspension as a record has it. lua/lib/record.lua knows the order of its members.
type storedSuspension struct {
	Mode   Mode   `json:"mode"`
	Reason string `json:"reason,omitempty"`
	Until  int64  `json:"until,omitempty"` // milliseconds since 1970
}

func parseSuspension(text, since string) (*Suspension, error) {
	var stored storedSuspension
	if err := json.Unmarshal([]byte(text), &stored); err != nil {
		return nil, err
	}
	at, err := parseMillis(since)
	if err != nil {
		return nil, err
	}
	s := &Suspension{Mode: stored.Mode, Reason: stored.Reason, Since: at}
	if stored.Until != 0 {
		s.Until = time.UnixMilli(stored.Until).UTC()
	}
	return s, nil
}

// over reports whether it has ended by itself.
func (s *Suspension) over(now time.Time) bool { return !s.Until.IsZero() && !now.Before(s.Until) }

// ErrSuspended says that the tenant is suspended, and why.
var ErrSuspended = &errs.Error{Kind: errs.Forbidden, Code: "tenant_suspended",
	Message: "The tenant is suspended.",
	Fix:     "Ask the operator of this installation."}

// refusal is ErrSuspended as the tenant reads it.
func (s *Suspension) refusal() error {
	e := *ErrSuspended
	if s.Mode == ModeSend {
		e.Message = "The tenant is suspended and may not send."
		e.Fix = "Ask the operator of this installation. What is there can be received and deleted."
	}
	if !s.Until.IsZero() {
		e.Message += " That ends at " + s.Until.Format(time.RFC3339) + "."
	}
	if s.Reason != "" {
		e.Message += " The reason: " + s.Reason
	}
	return &e
}

// Suspend keeps the tenant name from sending, or from everything, until it is resumed. It holds on every server within
// 5 s, and on this one at once. A tenant that is suspended already stays so since then, with the new mode and reason.
func (s *Store) Suspend(ctx context.Context, name string, mode Mode, reason string, cond Condition) (Tenant, error) {
	return s.SuspendUntil(ctx, name, mode, reason, time.Time{}, cond)
}

// SuspendUntil is Suspend with an end: from that instant on the tenant may act again, by the clock of each server. The zero time is
// none, and one that is not to come is refused.
func (s *Store) SuspendUntil(ctx context.Context, name string, mode Mode, reason string, until time.Time, cond Condition) (Tenant, error) {
	if mode != ModeSend && mode != ModeAll {
		return Tenant{}, errs.Invalidf("/mode", "must be send or all; got %s", quote(string(mode)))
	}
	if len(reason) > MaxReason || !utf8.ValidString(reason) || strings.ContainsFunc(reason, unicode.IsControl) {
		return Tenant{}, errs.Invalidf("/reason", "a reason has at most %d bytes of UTF-8 without control characters", MaxReason)
	}
	stored := storedSuspension{Mode: mode, Reason: reason}
	if !until.IsZero() {
		if !until.After(s.terms.clock.Now()) {
			return Tenant{}, errs.Invalidf("/until", "must be in the future")
		}
		stored.Until = until.UnixMilli()
	}
	text, err := json.Marshal(stored)
	if err != nil {
		return Tenant{}, err
	}
	return s.suspend(ctx, name, string(text), cond)
}

// Resume ends a suspension. A tenant that is not suspended stays as it is.
func (s *Store) Resume(ctx context.Context, name string, cond Condition) (Tenant, error) {
	return s.suspend(ctx, name, "", cond)
}

func (s *Store) suspend(ctx context.Context, name, suspended string, cond Condition) (Tenant, error) {
	return s.amend(ctx, name, cond, func(Tenant) (change, error) {
		return change{labels: keep, more: keep, suspended: suspended}, nil
	})
}
