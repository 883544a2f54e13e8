package queues

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/sluicemq/sluice/internal/engine"
	"github.com/sluicemq/sluice/tenants"
)

// A schedule lies in its queue's slot as two texts: the definition, which its owner replaces, and the state, which every
// tick replaces. Scripts compare the state as a whole and store it only where nothing else was stored meanwhile.

// definition is how what an owner says of a schedule lies in Redis. Times are milliseconds since 1970, spans
// milliseconds. A field that is missing has its zero value, so that old data and new programs, and the reverse, go
// together.
type definition struct {
	Queue    string            `json:"queue"` // where it sends to: the queue in whose slot it lies
	UID      string            `json:"uid"`   // of the schedule: one that is deleted and made again has another
	Created  int64             `json:"created"`
	Updated  int64             `json:"updated"`
	Cron     string            `json:"cron,omitempty"`
	TimeZone string            `json:"time_zone,omitempty"`
	Every    int64             `json:"every,omitempty"`
	Anchor   int64             `json:"anchor,omitempty"` // from which Every counts without Starts
	Starts   *int64            `json:"starts,omitempty"`
	Ends     *int64            `json:"ends,omitempty"`
	Missed   MissedPolicy      `json:"missed"`
	Message  []byte            `json:"message"` // a record without its stamp
	Delay    *int64            `json:"delay,omitempty"`
	Labels   map[string]string `json:"labels,omitempty"`
}

// scheduleState is what becomes of a schedule. Rev is another one in each text that is stored.
type scheduleState struct {
	Rev      string         `json:"rev"`
	Version  string         `json:"version"`        // of the definition
	Life     string         `json:"life,omitempty"` // part of the entry in the index; "": it is not there. Never the same again after a pause or a change
	Next     int64          `json:"next,omitempty"` // the first tick that is not dealt with; 0: none
	Tried    int64          `json:"tried,omitempty"`
	Paused   *storedPause   `json:"paused,omitempty"`
	Runs     int64          `json:"runs,omitempty"`
	Missed   int64          `json:"missed,omitempty"`
	Errors   int64          `json:"errors,omitempty"`
	LastRun  *storedRun     `json:"last_run,omitempty"`
	LastFail *storedFailure `json:"last_error,omitempty"`
}

type storedPause struct {
	At     int64  `json:"at"`
	Reason string `json:"reason,omitempty"`
}

type storedRun struct {
	For int64  `json:"for,omitempty"`
	At  int64  `json:"at"`
	ID  string `json:"id"`
}

type storedFailure struct {
	For     int64  `json:"for"`
	At      int64  `json:"at"`
	Code    string `json:"code"`
	Message string `json:"message"`
}

// scheduleRecord is a schedule as it was read.
type scheduleRecord struct {
	name     string
	def      definition
	state    scheduleState
	was      string // the text of the state
	settings ScheduleSettings
	timing   timing
}

func parseSchedule(name, def, state string) (*scheduleRecord, error) {
	r := &scheduleRecord{name: name, was: state}
	if err := json.Unmarshal([]byte(def), &r.def); err != nil {
		return nil, fmt.Errorf("read schedule: %w", err)
	}
	if err := json.Unmarshal([]byte(state), &r.state); err != nil {
		return nil, fmt.Errorf("read schedule: %w", err)
	}
	var err error
	if r.settings, err = r.def.settings(); err != nil {
		return nil, fmt.Errorf("read schedule: %w", err)
	}
	r.timing, err = r.settings.timing(at(r.def.Anchor))
	return r, err
}

// define returns the definition of settings. What they do not say is left zero.
func define(s *ScheduleSettings) definition {
	d := definition{Cron: s.Cron, TimeZone: s.TimeZone, Every: s.Every.Milliseconds(), Starts: millis(s.StartsAt), Ends: millis(s.EndsAt),
		Missed: s.Missed, Message: appendRecord(nil, &s.Message, nil), Labels: s.Labels}
	if s.Message.Delay != nil {
		ms := s.Message.Delay.Milliseconds()
		d.Delay = &ms
	}
	return d
}

func (d *definition) settings() (ScheduleSettings, error) {
	s := ScheduleSettings{Cron: d.Cron, TimeZone: d.TimeZone, Every: time.Duration(d.Every) * time.Millisecond,
		StartsAt: instantOf(d.Starts), EndsAt: instantOf(d.Ends), Missed: d.Missed, Labels: d.Labels}
	var m Message
	if _, err := parseRecord(strings.Repeat("\x00", stampSize)+string(d.Message), &m); err != nil {
		return s, err
	}
	s.Message = Outgoing{Body: []byte(m.Body), ContentType: m.ContentType, Attributes: m.Attributes, GroupID: m.GroupID}
	if d.Delay != nil {
		delay := time.Duration(*d.Delay) * time.Millisecond
		s.Message.Delay = &delay
	}
	return s, nil
}

// says reports whether the definition says what another one does, whenever and for whichever schedule that was.
func (d definition) says(other definition) bool {
	other.Queue, other.UID, other.Created, other.Updated, other.Anchor = d.Queue, d.UID, d.Created, d.Updated, d.Anchor
	a, errA := json.Marshal(d)
	b, errB := json.Marshal(other)
	return errA == nil && errB == nil && string(a) == string(b)
}

func millis(t time.Time) *int64 {
	if t.IsZero() {
		return nil
	}
	ms := t.UnixMilli()
	return &ms
}

func instantOf(ms *int64) time.Time {
	if ms == nil {
		return time.Time{}
	}
	return at(*ms)
}

// unixMilli is 0 for no time.
func unixMilli(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}

// due reports whether a tick is to be dealt with.
func (r *scheduleRecord) due(now time.Time) bool {
	return r.state.Paused == nil && r.state.Next != 0 && r.state.Next <= now.UnixMilli()
}

// message returns what is sent under a name that the same send, when it is repeated, has again. A FIFO queue gets the
// name as the deduplication id, so that consumers see it and equal bodies are no duplicates; another one as a key that
// no header can hold, for a header has no NUL.
func (r *scheduleRecord) message(name string) Outgoing {
	m := r.settings.Message
	if IsFIFOName(r.def.Queue) {
		m.DeduplicationID = r.name + "/" + name
	} else {
		m.IdempotencyKey = "schedule\x00" + r.def.UID + "\x00" + name
	}
	return m
}

// tickName names the message of a tick.
func tickName(tick time.Time) string { return tick.UTC().Format(time.RFC3339Nano) }

// schedule returns what its owner sees.
func (r *scheduleRecord) schedule(now time.Time) Schedule {
	s := Schedule{Name: r.name, Queue: r.def.Queue, Settings: r.settings, Runs: r.state.Runs, Missed: r.state.Missed, Errors: r.state.Errors,
		Created: at(r.def.Created), Updated: at(r.def.Updated), ETag: etag(r.def.UID, r.state.Version)}
	if p := r.state.Paused; p != nil {
		s.Paused, s.PausedAt, s.PauseReason = true, at(p.At), p.Reason
	} else {
		s.NextRuns = r.timing.coming(now, ShownRuns)
	}
	if l := r.state.LastRun; l != nil {
		s.LastRun.At = at(l.At)
		s.LastRun.MessageID, _ = engine.ParseID(l.ID)
		if l.For != 0 {
			s.LastRun.For = at(l.For)
		}
	}
	if f := r.state.LastFail; f != nil {
		s.LastError = ScheduleError{For: at(f.For), At: at(f.At), Code: f.Code, Message: f.Message}
	}
	return s
}

// entry is a schedule in the index of the installation, from where servers know what is due.
type entry struct {
	tenant    tenants.ID
	uid, name string // of the queue's keys; of the schedule
	life      string
}

func (e entry) String() string {
	return e.tenant.String() + ":" + e.uid + ":" + e.name + ":" + e.life
}

func parseEntry(text string) (entry, bool) {
	f := strings.Split(text, ":")
	if len(f) != 4 {
		return entry{}, false
	}
	t, ok := tenants.ParseID(f[0])
	return entry{t, f[1], f[2], f[3]}, ok
}

// born returns when the schedule took the life of the entry, by the clock of the server that gave it.
func (e entry) born() time.Time {
	id, _ := engine.ParseID(e.life)
	return id.Time()
}
