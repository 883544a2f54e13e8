package alarms

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/sluicemq/sluice/internal/engine"
)

// An alarm lies in its tenant's slot as two texts: the definition, which its owner replaces, and the state, which each look
// at it replaces. Scripts compare the state as a whole and store it only where nothing else was stored meanwhile. A field
// that is missing has its zero value, so that old data and new programs, and the reverse, go together.

// definition is how what an owner says of an alarm lies in Redis. Times are milliseconds since 1970, spans seconds.
type definition struct {
	UID         string     `json:"uid"` // one that is deleted and made again has another
	Version     string     `json:"version"`
	Created     int64      `json:"created"`
	Updated     int64      `json:"updated"`
	Description string     `json:"description,omitempty"`
	Metric      Metric     `json:"metric"`
	Queue       string     `json:"queue,omitempty"`
	Topic       string     `json:"topic,omitempty"`
	Sub         string     `json:"subscription,omitempty"`
	Except      []string   `json:"except,omitempty"`
	Comparison  Comparison `json:"comparison"`
	Threshold   float64    `json:"threshold"`
	Period      int64      `json:"period"`
	Periods     int        `json:"periods"`
	NotifyTopic string     `json:"notify_topic,omitempty"`
	NotifyEmail []string   `json:"notify_email,omitempty"`
	NotifyOn    []State    `json:"notify_on,omitempty"`
	Disabled    bool       `json:"disabled,omitempty"`
}

// state is what became of an alarm.
type state struct {
	Rev     string   `json:"rev"` // another one in each text that is stored
	State   State    `json:"state"`
	Since   int64    `json:"since"`
	Looked  int64    `json:"looked,omitempty"` // 0: not since the settings were changed
	Value   *float64 `json:"value,omitempty"`
	Name    string   `json:"name,omitempty"` // whose value it is
	Streaks []streak `json:"streaks,omitempty"`
	// Seq is the number of the last change, Told that of the last one of which all is done, and Published that of the last one with
	// which the topic is done.
	Seq       int64        `json:"seq,omitempty"`
	Told      int64        `json:"told,omitempty"`
	Published int64        `json:"published,omitempty"`
	Muted     int64        `json:"muted,omitempty"` // until when
	MutedFor  string       `json:"muted_for,omitempty"`
	Trouble   *storedError `json:"trouble,omitempty"`
}

// streak is for how many periods in a row something has been beyond the threshold.
type streak struct {
	Name  string  `json:"name"`
	Count int     `json:"n"`
	Value float64 `json:"value"`
}

type storedError struct {
	At      int64  `json:"at"`
	Code    string `json:"code"`
	Message string `json:"message"`
}

// storedChange is a change of an alarm's state.
type storedChange struct {
	Seq   int64    `json:"seq"`
	At    int64    `json:"at"`
	From  State    `json:"from"`
	To    State    `json:"to"`
	Value *float64 `json:"value,omitempty"`
	Names []string `json:"names,omitempty"` // what is beyond the threshold, the worst first; else whose value it is
	Why   string   `json:"why"`
	Muted bool     `json:"muted,omitempty"`
}

// marks are what an alarm remembers of each thing from one look to the next: two numbers, whose meaning is the metric's.
type marks map[string][2]int64

// record is an alarm as it was read.
type record struct {
	name  string
	def   definition
	state state
	was   string // the text of the state
	marks marks  // nil: none were read, or there are none
}

func parseRecord(list []any, i int) (*record, error) {
	r := &record{name: engine.Text(list, i), was: engine.Text(list, i+2)}
	for _, part := range []struct {
		text string
		into any
	}{{engine.Text(list, i+1), &r.def}, {r.was, &r.state}, {engine.Text(list, i+3), &r.marks}} {
		if part.text == "" {
			continue
		}
		if err := json.Unmarshal([]byte(part.text), part.into); err != nil {
			return nil, engine.ErrBroken.Because(fmt.Errorf("read alarm: %w", err))
		}
	}
	return r, nil
}

func define(s *Settings) definition {
	on := slices.Clone(s.NotifyOn)
	slices.Sort(on)
	return definition{Description: s.Description, Metric: s.Metric, Queue: s.Queue, Topic: s.Topic, Sub: s.Subscription, Except: s.Except,
		Comparison: s.Comparison, Threshold: s.Threshold, Period: int64(s.Period.Seconds()), Periods: s.Periods,
		NotifyTopic: s.NotifyTopic, NotifyEmail: s.NotifyEmail, NotifyOn: on, Disabled: s.Disabled}
}

func (d *definition) settings() Settings {
	return Settings{Description: d.Description, Metric: d.Metric, Queue: d.Queue, Topic: d.Topic, Subscription: d.Sub, Except: d.Except,
		Comparison: d.Comparison, Threshold: d.Threshold, Period: time.Duration(d.Period) * time.Second, Periods: d.Periods,
		NotifyTopic: d.NotifyTopic, NotifyEmail: d.NotifyEmail, NotifyOn: d.NotifyOn, Disabled: d.Disabled}
}

// says reports whether the definition says what another one does, whenever and for whichever alarm that was.
func (d definition) says(other definition) bool {
	other.UID, other.Version, other.Created, other.Updated = d.UID, d.Version, d.Created, d.Updated
	a, errA := json.Marshal(d)
	b, errB := json.Marshal(other)
	return errA == nil && errB == nil && string(a) == string(b)
}

// encode returns the text of a state that nobody else writes.
func (s *Store) encode(st *state) string {
	st.Rev = s.Engine.NewID(0).String()
	text, _ := json.Marshal(st) // of numbers that are finite, and text
	return string(text)
}

// place is the field of the log for a change.
func (r *record) place(seq int64) string { return r.def.UID + "." + strconv.FormatInt(seq%Kept, 10) }

// Entry is an alarm as its owner sees it.
type Entry struct {
	Name     string
	Settings Settings
	State    State
	Since    time.Time
	Looked   time.Time // zero: not yet
	Value    *float64  // what was seen then; nil: nothing
	Seen     string    // whose value that is; "" where there is one thing
	Muted    time.Time // until when; zero: it is not
	MutedFor string
	Trouble  *Trouble // why not all were told of the last change; nil: they were, or need not be
	Created  time.Time
	Updated  time.Time
	ETag     string // changes with the settings, without quotes
}

// Trouble is why somebody was not told of a change.
type Trouble struct {
	At      time.Time
	Code    string
	Message string
}

// Change is one change of an alarm's state.
type Change struct {
	At       time.Time
	From, To State
	Value    *float64
	Names    []string
	Why      string
	Muted    bool // nobody was told
}

func at(ms int64) time.Time {
	if ms == 0 {
		return time.Time{}
	}
	return time.UnixMilli(ms).UTC()
}

func (r *record) entry(now time.Time) Entry {
	e := Entry{Name: r.name, Settings: r.def.settings(), State: r.state.State, Since: at(r.state.Since), Looked: at(r.state.Looked),
		Value: r.state.Value, Seen: r.state.Name, Created: at(r.def.Created), Updated: at(r.def.Updated), ETag: r.def.Version}
	if r.state.muted(now) {
		e.Muted, e.MutedFor = at(r.state.Muted), r.state.MutedFor
	}
	if t := r.state.Trouble; t != nil {
		e.Trouble = &Trouble{at(t.At), t.Code, t.Message}
	}
	return e
}

func (s *state) muted(now time.Time) bool { return s.Muted > now.UnixMilli() }
