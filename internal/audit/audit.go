// Package audit keeps a record of who changed what.
//
// Each tenant has a log, and so has the installation. An entry is begun before the change and ended after it, so that no
// change is without one: where the end is missing, nobody knows whether it was done. What was refused lies in a list of its
// own beside that: whoever may do nothing cannot push out what others did.
package audit

import (
	"context"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/sluicemq/sluice/internal/engine"
)

// What is kept of each log; the oldest entries go first. These are for each of its two lists, of which that of refusals keeps
// a tenth of the entries and of the bytes.
const (
	MaxEntries = 10_000
	MaxBytes   = 16 << 20
	MaxAge     = 400 * 24 * time.Hour

	// MaxState bounds what an entry says of its target before and after, each, in bytes.
	MaxState = 4 << 10

	maxName     = 256 // bytes of a name, which may be one that nothing can have
	refusedPart = 10
	chunk       = 50  // entries of one script
	maxScan     = 500 // entries that one page looks at, so that a filter which matches nothing ends too
)

// Outcome is what became of a change.
type Outcome string

// The outcomes.
const (
	Done    Outcome = "done"
	Refused Outcome = "refused" // by the permissions of who asked
	Unknown Outcome = "unknown" // it may have been done: a server died, or Redis gave no answer
)

// Entry is one line of a log.
type Entry struct {
	ID        string    `json:"-"`
	At        time.Time `json:"-"` // by the clock of Redis, when it was begun
	Operation string    `json:"operation"`
	Outcome   Outcome   `json:"outcome"`
	Code      string    `json:"code,omitempty"` // of the problem, when it was not done
	Actor     Actor     `json:"actor"`
	Tenant    string    `json:"tenant,omitempty"` // name; "" for what belongs to no tenant
	Address   string    `json:"address,omitempty"`
	Request   string    `json:"request"` // id
	Target    Target    `json:"target"`
	// Unsigned says that the signature of a request does not cover what it asks for.
	Unsigned bool            `json:"unsigned,omitempty"`
	Before   json.RawMessage `json:"before,omitempty"` // nil: it was not there, or it has no settings
	After    json.RawMessage `json:"after,omitempty"`
}

// Actor is who changed something.
type Actor struct {
	Kind   string `json:"kind"`
	Key    string `json:"key"`                   // id
	Member string `json:"member,omitempty"`      // id of the member who has signed in, or ""; then Key is ""
	Link   string `json:"portal_link,omitempty"` // id of the portal link by which the session was opened, or ""; then Key is ""
	Token  string `json:"token,omitempty"`       // id of the access token, or ""
	// Identity is the id of who an identity provider says that it is, or ""; then Key is "". Issuer and Subject say that in
	// its own words.
	Identity string `json:"identity,omitempty"`
	Issuer   string `json:"issuer,omitempty"`
	Subject  string `json:"subject,omitempty"`
	// Account is the number of another tenant's account whose key it was, or ""; then Key is "".
	Account string `json:"account,omitempty"`
	// Session is the id of the session of a browser, or "".
	Session string `json:"session,omitempty"`
}

// Target is what was changed.
type Target struct {
	Type  string `json:"type"`
	Name  string `json:"name,omitempty"`  // or id; "" while it has none
	Queue string `json:"queue,omitempty"` // to which it belongs
	Topic string `json:"topic,omitempty"` // to which it belongs
}

// Log names a log: that of a tenant by its id, that of the installation by "".
type Log string

// Installation is the log of what belongs to no tenant, and of all that operators do.
const Installation Log = ""

// ErrGone is an entry for a tenant that is no more.
var ErrGone = errors.New("the tenant of the log is gone")

// Store keeps logs.
type Store struct{ engine *engine.Engine }

// New returns the store of the logs behind e.
func New(e *engine.Engine) *Store { return &Store{engine: e} }

//go:embed lua/*.lua
var scripts embed.FS

var (
	putScript    = engine.MustLoad(scripts, "put")
	dropScript   = engine.MustLoad(scripts, "drop")
	listScript   = engine.MustLoad(scripts, "list")
	forgetScript = engine.MustLoad(scripts, "forget")
)

// key returns a key in the slot of a log.
func (l Log) key(part string) string {
	if l == Installation {
		return engine.SystemKey(part)
	}
	return engine.TenantKey(string(l), part)
}

func (l Log) changes() []string  { return []string{l.key("audit"), l.key("audit-order")} }
func (l Log) refusals() []string { return []string{l.key("refusals"), l.key("refusals-order")} }

// NewID returns the id of a new entry.
func (s *Store) NewID() string { return "evt_" + s.engine.NewID(0).String() }

// Begin writes down that a change is about to be made, with an outcome that nobody knows yet.
func (s *Store) Begin(ctx context.Context, l Log, e Entry) error {
	e.Outcome = Unknown
	return s.put(ctx, l, l.changes(), e, "begin", 1)
}

// End writes down what became of a change.
func (s *Store) End(ctx context.Context, l Log, e Entry) error {
	return s.put(ctx, l, l.changes(), e, "end", 1)
}

// Refuse writes down that a change was refused, which was perhaps begun.
func (s *Store) Refuse(ctx context.Context, l Log, e Entry) error {
	e.Outcome = Refused
	return s.put(ctx, l, l.refusals(), e, "end", refusedPart)
}

// Drop takes back that a change was begun: nothing was changed.
func (s *Store) Drop(ctx context.Context, l Log, id string) error {
	_, err := s.engine.Do(ctx, dropScript, l.changes(), id)
	return err
}

func (s *Store) put(ctx context.Context, l Log, keys []string, e Entry, how string, part int) error {
	e.Before, e.After = bounded(e.Before), bounded(e.After)
	for _, text := range []*string{&e.Tenant, &e.Target.Name, &e.Target.Queue} {
		*text = (*text)[:min(len(*text), maxName)]
	}
	text, err := json.Marshal(e)
	if err != nil {
		return err
	}
	check := "tenant"
	if l == Installation {
		check = ""
	}
	reply, err := s.engine.Do(ctx, putScript, append(keys, l.key("tenant")), e.ID, string(text), how,
		MaxEntries/part, MaxBytes/part, MaxAge.Milliseconds(), check)
	if err == nil && reply == "gone" {
		err = ErrGone
	}
	return err
}

// bounded returns a state, or how long it is where that is too much.
func bounded(state json.RawMessage) json.RawMessage {
	if len(state) <= MaxState {
		return state
	}
	return json.RawMessage(fmt.Sprintf(`{"bytes_left_out":%d}`, len(state)))
}

// Forget deletes the log of a tenant.
func (s *Store) Forget(ctx context.Context, l Log) error {
	_, err := s.engine.Do(ctx, forgetScript, append(l.changes(), l.refusals()...))
	return err
}

// Filter says which entries are asked for. The zero value means all.
type Filter struct {
	Actor     string // id of a key, a member, a portal link, an identity, an access token or a session
	Operation string
	Target    string // name or id
	Outcome   Outcome
	From, To  time.Time // from the one on, before the other
	// Sees reports whether the reader may see what belongs to a target; nil: all.
	Sees func(Target) bool
}

// Is reports whether id, which is not "", is one of the ids by which an actor is known.
func (a *Actor) Is(id string) bool {
	return id == a.Key || id == a.Token || id == a.Session || id == a.Member || id == a.Link || id == a.Identity
}

func (f *Filter) wants(e *Entry) bool {
	return (f.Actor == "" || e.Actor.Is(f.Actor)) && (f.Operation == "" || f.Operation == e.Operation) &&
		(f.Target == "" || f.Target == e.Target.Name) && (f.Outcome == "" || f.Outcome == e.Outcome) && (f.Sees == nil || f.Sees(e.Target))
}

// List returns up to limit entries, latest first, from behind after on: what the call before returned for next, and "" for
// the first one. next is "" behind the last entry. A page may be short although more follow.
func (s *Store) List(ctx context.Context, l Log, f Filter, limit int, after string) (page []Entry, next string, err error) {
	list := []*walk{{keys: l.changes()}, {keys: l.refusals()}}
	for _, w := range list {
		w.from, w.to = "+", "-"
		if !f.To.IsZero() {
			w.from = "(" + place(f.To)
		}
		if after != "" && (w.from == "+" || after < w.from[1:]) {
			w.from = "(" + after
		}
		if !f.From.IsZero() {
			w.to = "[" + place(f.From)
		}
	}
	for range maxScan {
		first, err := s.latest(ctx, list)
		if err != nil || first == nil {
			return page, "", err
		}
		e, err := first.pop()
		if err != nil {
			return nil, "", err
		}
		next = placeOf(e)
		if f.wants(&e) {
			page = append(page, e)
		}
		if len(page) == limit {
			break
		}
	}
	return page, next, nil
}

// Since returns what was changed, or has begun, at an instant or after it by the clock of Redis, oldest first. It reads most
// entries: where there are more these are the latest, and all is false. Refusals are not among them.
func (s *Store) Since(ctx context.Context, l Log, from time.Time, most int) (entries []Entry, all bool, err error) {
	w := &walk{keys: l.changes(), from: "+", to: "[" + place(from)}
	for {
		if err := s.fill(ctx, w); err != nil {
			return nil, false, err
		}
		if all = len(w.places) == 0; all || len(entries) == most {
			slices.Reverse(entries)
			return entries, all, nil
		}
		e, err := w.pop()
		if err != nil {
			return nil, false, err
		}
		entries = append(entries, e)
	}
}

// walk is a way through one list of a log, from the latest entry to the oldest.
type walk struct {
	keys     []string
	from, to string
	places   []string
	entries  []string
	over     bool
}

// latest returns the one of two walks whose next entry is the latest, nil when both are over.
func (s *Store) latest(ctx context.Context, list []*walk) (first *walk, err error) {
	for _, w := range list {
		if err := s.fill(ctx, w); err != nil {
			return nil, err
		}
		if len(w.places) > 0 && (first == nil || w.places[0] > first.places[0]) {
			first = w
		}
	}
	return first, nil
}

func (s *Store) fill(ctx context.Context, w *walk) error {
	if len(w.places) > 0 || w.over {
		return nil
	}
	reply, err := s.engine.Do(ctx, listScript, w.keys, w.from, w.to, chunk)
	if errors.Is(err, engine.ErrUnknown) {
		err = engine.ErrUnavailable.Because(err) // a read that got no answer has changed nothing
	}
	if err != nil {
		return err
	}
	texts, _ := reply.([]any)
	for i := 0; i+1 < len(texts); i += 2 {
		place, _ := texts[i].(string)
		entry, _ := texts[i+1].(string)
		w.places, w.entries = append(w.places, place), append(w.entries, entry)
	}
	w.over = len(w.places) < chunk
	if n := len(w.places); n > 0 {
		w.from = "(" + w.places[n-1]
	}
	return nil
}

func (w *walk) pop() (e Entry, err error) {
	at, text := w.places[0], w.entries[0]
	w.places, w.entries = w.places[1:], w.entries[1:]
	if err = json.Unmarshal([]byte(text), &e); err != nil || len(at) < instantLength {
		return e, engine.ErrBroken.Because(fmt.Errorf("entry %s of the audit log is damaged: %w", at, err))
	}
	millis, err := strconv.ParseInt(strings.TrimLeft(at[:instantLength], "0"), 10, 64)
	if err != nil {
		return e, engine.ErrBroken.Because(fmt.Errorf("entry %s of the audit log is damaged: %w", at, err))
	}
	e.ID, e.At = at[instantLength:], time.UnixMilli(millis).UTC()
	return e, nil
}

// instantLength is how many digits an instant has in a place: enough until the year 2286.
const instantLength = 13

// place is where entries of an instant begin.
func place(at time.Time) string { return fmt.Sprintf("%013d", max(at.UnixMilli(), 0)) }

func placeOf(e Entry) string { return place(e.At) + e.ID }
