package queues

import (
	"errors"
	"fmt"
	"time"

	"github.com/sluicemq/sluice/internal/cron"
	"github.com/sluicemq/sluice/internal/engine"
	"github.com/sluicemq/sluice/internal/errs"
)

// The limits of schedules.
const (
	// MaxSchedules bounds the schedules of one queue.
	MaxSchedules = 1000
	// MaxScheduledMessage bounds the body of a schedule's message with its attributes, in bytes: each tick reads it.
	MaxScheduledMessage = 64 << 10
	// MaxPauseReason bounds the reason of a pause, in bytes.
	MaxPauseReason = 255
	MinEvery       = time.Second
	MaxEvery       = 366 * 24 * time.Hour
	// MaxCatchUp bounds the missed ticks that MissedRunAll sends; older ones are left out.
	MaxCatchUp = 100
	// ShownRuns is how many of the coming ticks a Schedule shows.
	ShownRuns = 5
)

// MissedPolicy says what becomes of ticks that were not begun within a minute, because no server was running or the
// clock jumped.
type MissedPolicy string

// The policies.
const (
	MissedSkip    MissedPolicy = "skip"     // they are left out
	MissedRunOnce MissedPolicy = "run_once" // one message stands for all of them
	MissedRunAll  MissedPolicy = "run_all"  // each is made up for, at most the latest MaxCatchUp
)

// ScheduleSettings are what a schedule's owner decides. Either Cron or Every says when its ticks are.
type ScheduleSettings struct {
	Cron     string        // see package cron
	TimeZone string        // IANA name of the zone that Cron is meant in; "": UTC. Not with Every
	Every    time.Duration // whole seconds from MinEvery to MaxEvery, counted from StartsAt
	// StartsAt is the first tick of Every, and the instant before which Cron is not due. Zero: now, and with Every the
	// first tick is one interval later.
	StartsAt time.Time
	EndsAt   time.Time // the last instant at which there may be a tick; zero: no end
	Missed   MissedPolicy
	Message  Outgoing // without an idempotency key, deduplication id or trace: each tick has its own, or none
	Labels   map[string]string
}

// Schedule is a named recurring send to a queue.
type Schedule struct {
	Name     string
	Queue    string // where it sends to
	Settings ScheduleSettings

	Paused      bool
	PauseReason string
	PausedAt    time.Time // zero: not paused

	NextRuns  []time.Time   // at most ShownRuns, in the schedule's time zone; none while it is paused or when it has ended
	LastRun   ScheduleRun   // zero: none yet
	LastError ScheduleError // zero: none yet
	Runs      int64         // messages that were sent
	Missed    int64         // ticks that were left out; of one outage at most 10,000 are counted
	Errors    int64         // ticks whose message the queue refused

	Created, Updated time.Time
	ETag             string // changes with the settings, without quotes
}

// ScheduleRun is one message that a schedule sent.
type ScheduleRun struct {
	For       time.Time // the tick; zero when it was asked for by hand
	At        time.Time
	MessageID engine.ID
}

// ScheduleError is why a queue refused a schedule's message.
type ScheduleError struct {
	For     time.Time // the tick
	At      time.Time
	Code    string // of the problem
	Message string
}

var (
	// ErrScheduleNotFound says that a queue has no schedule of that name.
	ErrScheduleNotFound = &errs.Error{Kind: errs.NotFound, Code: "schedule_not_found", Message: "The queue has no such schedule."}
	// ErrScheduleQuota says that a queue has as many schedules as it may have.
	ErrScheduleQuota = &errs.Error{Kind: errs.Quota, Code: "quota_exceeded",
		Message: "The queue has as many schedules as it may have.",
		Fix:     "Delete schedules that nobody needs, or put some on another queue."}
	// ErrSchedulePrecondition says that a schedule is not as a Condition asks.
	ErrSchedulePrecondition = &errs.Error{Kind: errs.Precondition, Code: "precondition_failed",
		Message: "The schedule is not in the state that the request's If-Match or If-None-Match asked for.",
		Fix:     "Read the schedule again, look at its ETag, and repeat the change."}
)

// ValidScheduleName reports what is wrong with a schedule's name, or nil.
func ValidScheduleName(name string) error {
	if ValidName(name) == nil && !IsFIFOName(name) {
		return nil
	}
	return errs.Invalidf("", "A schedule's name has 1 to %d letters, digits, - and _.", MaxNameLength)
}

// Instants that can be said. Beyond them a time does not print as RFC 3339 asks, or is a mistake.
var (
	firstInstant = time.Date(1970, 1, 1, 0, 0, 0, 0, time.UTC)
	lastInstant  = time.Date(2200, 1, 1, 0, 0, 0, 0, time.UTC)
)

// Validate names every setting that is not allowed on a queue with the settings q.
func (s *ScheduleSettings) Validate(q Settings) error {
	fields := s.timingFaults()
	if s.Missed != MissedSkip && s.Missed != MissedRunOnce && s.Missed != MissedRunAll {
		fields = append(fields, errs.Field{Pointer: "/missed", Code: "not_allowed", Message: "must be one of skip, run_once, run_all"})
	}
	fields = append(fields, s.messageFaults(q)...)
	return notAllowed(append(fields, checkLabels(s.Labels)...))
}

// Coming returns at most ShownRuns ticks that a schedule would have which is made now, in its time zone. Only the settings that
// say when count; each of them that is not allowed is named.
func (s *ScheduleSettings) Coming(now time.Time) ([]time.Time, error) {
	if err := notAllowed(s.timingFaults()); err != nil {
		return nil, err
	}
	t, err := s.timing(now.Truncate(time.Second))
	if err != nil {
		return nil, err
	}
	return t.coming(now, ShownRuns), nil
}

func notAllowed(fields []errs.Field) error {
	if len(fields) == 0 {
		return nil
	}
	return &errs.Error{Kind: errs.Invalid, Code: "validation_failed", Fields: fields,
		Message: "One or more settings are not allowed: " + fields[0].Pointer + " " + fields[0].Message + "."}
}

// timingFaults says what is wrong with when it is due.
func (s *ScheduleSettings) timingFaults() (fields []errs.Field) {
	add := func(pointer, code, format string, args ...any) {
		fields = append(fields, errs.Field{Pointer: pointer, Code: code, Message: fmt.Sprintf(format, args...)})
	}
	switch {
	case s.Cron == "" && s.Every == 0:
		add("/cron", "required", "must be given, or every")
	case s.Cron != "" && s.Every != 0:
		add("/every", "contradiction", "must be absent where cron says when")
	case s.Cron != "":
		if _, err := cron.Parse(s.Cron); err != nil {
			add("/cron", "invalid", "must be a cron expression of five fields, such as 0 9 * * 1-5: %s", err)
		}
		if _, err := cron.Zone(s.TimeZone); err != nil {
			add("/time_zone", "invalid", "must be a name such as Europe/Berlin: %s", err)
		}
	default:
		if s.Every < MinEvery || s.Every > MaxEvery || s.Every%time.Second != 0 {
			add("/every", "out_of_range", "must be a whole number of seconds from %d to %d, got %g",
				MinEvery/time.Second, MaxEvery/time.Second, s.Every.Seconds())
		}
		if s.TimeZone != "" {
			add("/time_zone", "contradiction", "belongs to cron: every counts seconds, which are the same everywhere")
		}
	}
	for _, bound := range []struct {
		pointer string
		at      time.Time
	}{{"/starts_at", s.StartsAt}, {"/ends_at", s.EndsAt}} {
		if !bound.at.IsZero() && (bound.at.Before(firstInstant) || bound.at.After(lastInstant)) {
			add(bound.pointer, "out_of_range", "must be between the years 1970 and 2200")
		}
	}
	if !s.StartsAt.IsZero() && !s.EndsAt.IsZero() && s.EndsAt.Before(s.StartsAt) {
		add("/ends_at", "out_of_range", "must not be before starts_at")
	}
	return fields
}

// messageFaults says why the queue would refuse the message.
func (s *ScheduleSettings) messageFaults(q Settings) []errs.Field {
	if len(s.Message.Body) == 0 {
		return []errs.Field{{Pointer: "/message/body", Code: "required", Message: "must be text of at least one byte"}}
	}
	if s.Message.DeduplicationID != "" {
		return []errs.Field{{Pointer: "/message/deduplication_id", Code: "contradiction", Message: "must be absent: each tick has its own"}}
	}
	q.MaxMessageSize = min(q.MaxMessageSize, MaxScheduledMessage)
	m := s.Message
	m.IdempotencyKey = "tick" // stands for that of a tick, so that a FIFO queue asks for none
	err := m.Validate(q)
	e, ok := errors.AsType[*errs.Error](err)
	switch {
	case err == nil:
		return nil
	case ok && len(e.Fields) > 0:
		faults := make([]errs.Field, len(e.Fields))
		for i, f := range e.Fields {
			f.Pointer = "/message" + f.Pointer
			faults[i] = f
		}
		return faults
	case errors.Is(err, ErrMessageTooLarge):
		return []errs.Field{{Pointer: "/message", Code: "out_of_range", Message: fmt.Sprintf(
			"must have at most %d bytes with its attributes: what the queue takes, and for a schedule %d", q.MaxMessageSize, MaxScheduledMessage)}}
	}
	return []errs.Field{{Pointer: "/message", Code: "invalid", Message: "must be a message that the queue takes"}}
}
