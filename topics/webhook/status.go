package webhook

import (
	"context"
	"time"

	"github.com/sluicemq/sluice/internal/engine"
	"github.com/sluicemq/sluice/topics"
)

// Gate says whether an endpoint may be sent to.
type Gate string

// The gates.
const (
	Open      Gate = "open"
	Throttled Gate = "throttled" // it asked for peace
	Tripped   Gate = "tripped"   // its breaker is open, because it failed too often in a row
	Probing   Gate = "probing"   // its breaker lets one attempt through
	Suspended Gate = "paused"    // by its owner
	Off       Gate = "disabled"
	// Unverified: it gets nothing but challenges until it answers one.
	Unverified Gate = "unverified"
)

// Status says how a webhook fares.
type Status struct {
	Gate Gate
	// Until is when the gate opens by itself, or an unverified endpoint is challenged next; zero: it does not, or is open.
	Until time.Time
	// DisabledAt and Reason say since when and why it is disabled: gone, failing or by_request, or the code of what it answered.
	DisabledAt time.Time
	Reason     string
	// Failures is how many attempts failed in a row, FailingSince since when; zero: the last one did not.
	Failures     int64
	FailingSince time.Time
	LastSuccess  time.Time
	LastFailure  time.Time
	// Delivered is how many messages were, Attempts how many attempts were made, Failed how many messages failed for good,
	// Overflowed how many were dropped because the webhook held as many as it may, Missed how many were dropped while it was
	// disabled, since that began.
	Delivered, Attempts, Failed, Overflowed, Missed int64
	// Pending is how many are still to be sent or being sent, Sending the latter, Dead how many failed and are kept, Bytes
	// what the webhook stores of all.
	Pending, Sending, Dead, Bytes int64
	// Verified is since when the endpoint is verified as what it is now; zero: it is not, or need not be.
	Verified time.Time
	// Rate is how many requests a minute the endpoint allows; 0: it says nothing of it.
	Rate int64
	// Gaps are what was missed and is not brought yet, the lowest sequence numbers first.
	Gaps []topics.Gap
	// Ended is since when the endpoint is asked whether a link may have ended its subscription; zero: none has.
	Ended time.Time
	// Expires is when the subscription ends unless it is confirmed; zero: it does not.
	Expires time.Time
	// Next is when the next attempt is due; zero: there is nothing to send.
	Next time.Time
	// Damaged: its settings or secrets cannot be read, and nothing is sent.
	Damaged bool
}

// millis is the other way of moment.
func millis(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}

func moment(ms int64) time.Time {
	if ms == 0 {
		return time.Time{}
	}
	return time.UnixMilli(ms).UTC()
}

// Status returns how a webhook fares.
func (s *Store) Status(ctx context.Context, w topics.Way) (Status, error) {
	id := identity{w.Tenant, w.UID}
	list, err := s.call(ctx, statusScript, id)
	if err != nil {
		return Status{Gate: Open}, gone(err)
	}
	n := func(i int) int64 { return engine.Number(list, i) }
	now, paused, disabled, broken, peace := n(1), n(2), n(3), n(4), n(5)
	out := Status{Gate: Open, Failures: n(6), FailingSince: moment(n(7)), LastSuccess: moment(n(8)), LastFailure: moment(n(9)),
		Delivered: n(10), Attempts: n(11), Failed: n(12), Overflowed: n(13), Missed: n(14),
		Pending: n(15), Sending: n(16), Dead: n(17), Bytes: n(18), Next: moment(n(19)), DisabledAt: moment(disabled), Reason: engine.Text(list, 20),
		Verified: moment(n(26)), Rate: n(27), Gaps: parseGaps(engine.Text(list, 28)), Ended: moment(n(29)), Expires: moment(n(30))}
	switch {
	case disabled != 0:
		out.Gate = Off
	case paused != 0:
		out.Gate = Suspended
	case n(24) != 0:
		out.Gate, out.Until = Unverified, moment(n(25))
	case broken > now && broken >= peace:
		out.Gate, out.Until = Tripped, moment(broken)
	case peace > now:
		out.Gate, out.Until = Throttled, moment(peace)
	case broken != 0:
		out.Gate = Probing
	}
	_, err = s.configOf(id, list)
	out.Damaged = err != nil
	return out, nil
}
