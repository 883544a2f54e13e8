// Package feed tells that something of a tenant has changed, so that who shows it looks again.
//
// A change is a hint: it says what to look at and not what is there. Who follows a feed hears of each change at least once,
// also over a broken connection. There is nothing that writes it: it is read from the audit log, the tasks and the alarms, once a
// second for all who follow a tenant on this server, and not at all while nobody does.
package feed

import (
	"context"
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/sluicemq/sluice/internal/audit"
	"github.com/sluicemq/sluice/internal/clock"
	"github.com/sluicemq/sluice/internal/errs"
	"github.com/sluicemq/sluice/internal/tasks"
	"github.com/sluicemq/sluice/monitor/alarms"
	"github.com/sluicemq/sluice/tenants"
)

// The bounds of a feed.
const (
	Period = time.Second // at most so often is looked

	// maxChanges is how many changes one look, or one return, tells one by one. Of more it says that anything may have changed.
	maxChanges = 500
	// kept is how many changes a feed keeps for followers that have not taken them.
	kept = 1000
	// maxTasks is how many unfinished tasks one look asks about; they take turns.
	maxTasks = 20
	// patience is how long a change is waited for that has begun. Then it is told although nobody knows how it ended.
	patience = 15 * time.Second
)

// Kinds are the types of what belongs to a tenant, as the audit log has them.
var Kinds = []string{"queue", "schedule", "topic", "subscription", "alarm", "task", "key", "member", "portal_link", "session"}

// InstallationKinds are the types of what belongs to no tenant.
var InstallationKinds = []string{"tenant", "plan", "operator", "operator_key", "session", "task"}

// Change says that something may be other than it was.
type Change struct {
	Type      string // one of the kinds
	Name      string // name or id; "": any of this type
	Queue     string // to which it belongs, or ""
	Topic     string // to which it belongs, or ""
	Operation string // what was asked for; "": it has changed by itself
	State     string // of a task or an alarm that has changed by itself
	Cursor    string // who comes back with it hears of what came behind this change
}

// ErrCursor is a cursor that no change has.
var ErrCursor = errs.New(errs.Invalid, "validation_failed", "The cursor is not one of a change. Start again without a cursor.")

// Config is what a Store needs.
type Config struct {
	Audit  *audit.Store
	Tasks  *tasks.Store
	Alarms *alarms.Store
	Clock  clock.Clock // default: the machine's
}

// Store holds the feeds that somebody follows on this server.
type Store struct {
	Config

	mu    sync.Mutex
	feeds map[tenants.ID]*feed
}

// New returns a Store without feeds.
func New(c Config) *Store {
	if c.Clock == nil {
		c.Clock = clock.Real{}
	}
	return &Store{Config: c, feeds: map[tenants.ID]*feed{}}
}

// feed is what was seen of one tenant, or of the installation.
type feed struct {
	*Store
	owner     tenants.ID
	followers int // guarded by Store.mu

	mu     sync.Mutex
	begun  bool
	next   time.Time // not before then is looked again
	low    time.Time // every change before that was told; by the clock of Redis
	told   map[string]time.Time
	begins map[string]time.Time // changes under way: when they were seen first, by this server's clock
	open   map[string]progress  // unfinished tasks
	turn   []string             // the order in which these are asked about
	alarms map[string]alarms.State
	events []Change
	base   int // of the first of events
}

type progress struct {
	status       tasks.Status
	looked, done int64
}

// Follower takes what has changed since it came.
type Follower struct {
	feed  *feed
	at    int
	first []Change // what came before, where it came back
}

// Follow begins to follow a tenant, or with the zero id the installation. cursor is that of the last change that was heard of;
// "": from now on.
func (s *Store) Follow(ctx context.Context, owner tenants.ID, cursor string) (*Follower, error) {
	from, err := parseCursor(cursor)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	f := s.feeds[owner]
	if f == nil {
		f = &feed{Store: s, owner: owner}
		s.feeds[owner] = f
	}
	f.followers++
	s.mu.Unlock()
	follower := &Follower{feed: f}
	if err := follower.begin(ctx, cursor != "", from); err != nil {
		follower.Close()
		return nil, err
	}
	return follower, nil
}

func (w *Follower) begin(ctx context.Context, back bool, from time.Time) error {
	f := w.feed
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.look(ctx); err != nil {
		return err
	}
	w.at = f.base + len(f.events)
	if !back {
		return nil
	}
	entries, all, err := f.Audit.Since(ctx, f.log(), from, maxChanges)
	if err != nil {
		return err
	}
	if !all {
		w.first = f.anything()
	} else {
		for i := range entries {
			w.first = append(w.first, changeOf(&entries[i]))
		}
		// What changed by itself meanwhile is not known.
		w.first = append(w.first, Change{Type: "task"})
		if !f.owner.IsZero() {
			w.first = append(w.first, Change{Type: "alarm"})
		}
	}
	place(w.first, from, f.low)
	return nil
}

// Take returns what has changed since the last call, which may be nothing.
func (w *Follower) Take(ctx context.Context) ([]Change, error) {
	f := w.feed
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.look(ctx); err != nil {
		return nil, err
	}
	out := w.first
	w.first = nil
	if w.at < f.base {
		missed := f.anything()
		place(missed, f.low, f.low)
		out = append(out, missed...)
	} else {
		out = append(out, f.events[w.at-f.base:]...)
	}
	w.at = f.base + len(f.events)
	return out, nil
}

// Close ends following.
func (w *Follower) Close() {
	s := w.feed.Store
	s.mu.Lock()
	defer s.mu.Unlock()
	if w.feed.followers--; w.feed.followers == 0 {
		delete(s.feeds, w.feed.owner)
	}
}

func (f *feed) log() audit.Log {
	if f.owner.IsZero() {
		return audit.Installation
	}
	return audit.Log(f.owner.String())
}

func (f *feed) taskOwner() string {
	if f.owner.IsZero() {
		return tasks.Installation
	}
	return f.owner.String()
}

// anything says of each type that any of it may have changed.
func (f *feed) anything() []Change {
	kinds := Kinds
	if f.owner.IsZero() {
		kinds = InstallationKinds
	}
	out := make([]Change, len(kinds))
	for i, kind := range kinds {
		out[i].Type = kind
	}
	return out
}

func changeOf(e *audit.Entry) Change {
	return Change{Type: e.Target.Type, Name: e.Target.Name, Queue: e.Target.Queue, Topic: e.Target.Topic, Operation: e.Operation}
}

// place gives changes their cursors: only behind the last one everything was heard of up to the end.
func place(list []Change, from, to time.Time) {
	for i := range list {
		list[i].Cursor = formatCursor(from)
	}
	if len(list) > 0 {
		list[len(list)-1].Cursor = formatCursor(to)
	}
}

const cursorLength = 13

// formatCursor writes an instant as milliseconds since 1970.
func formatCursor(t time.Time) string {
	return fmt.Sprintf("%0*d", cursorLength, max(t.UnixMilli(), 0))
}

func parseCursor(s string) (time.Time, error) {
	if s == "" {
		return time.Time{}, nil
	}
	ms, err := strconv.ParseUint(s, 10, 53)
	if err != nil || len(s) != cursorLength {
		return time.Time{}, ErrCursor
	}
	return time.UnixMilli(int64(ms)).UTC(), nil
}
