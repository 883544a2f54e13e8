package queues

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/sluicemq/sluice/internal/engine"
	"github.com/sluicemq/sluice/internal/errs"
	"github.com/sluicemq/sluice/tenants"
)

// The limits of timelines; those of one message stand in lua/lib/timeline.lua: 100 steps and 32 KiB.
const (
	MaxTraceRetention = 14 * 24 * time.Hour
	// MaxTimelineBytes is how many bytes of memory the timelines of a queue's messages take together, about; where there is more
	// the oldest go.
	MaxTimelineBytes = 64 << 20
	// timelineEntry is how many of them each has beside its steps; see lua/lib/timeline.lua.
	timelineEntry = 200
)

// ErrNoTimeline says that nothing is known of what became of a message.
var ErrNoTimeline = &errs.Error{Kind: errs.NotFound, Code: "timeline_not_found",
	Message: "Nothing is known of what became of this message: it was never here, or not while the queue kept timelines, or too long ago."}

// Actor is who took a step in the life of a message. The zero value: nobody did.
type Actor struct {
	Kind    ActorKind
	Key     string // id of the key, or ""
	Member  string // id of the member who had signed in, or ""
	Link    string // id of the portal link with which the session was opened, or ""
	Address string // from where the request came, or ""
	Name    string // of the topic, the schedule or the task, the number of the account, or the id of who an identity provider knows
}

// ActorKind is what somebody is who takes a step.
type ActorKind string

// The kinds of actors. The first two are those of the audit log.
const (
	ByTenant   ActorKind = "tenant"
	ByOperator ActorKind = "operator"
	ByTopic    ActorKind = "topic"
	BySchedule ActorKind = "schedule"
	ByTask     ActorKind = "task"
	ByAccount  ActorKind = "account" // of another tenant, which the queue's policy lets in
)

// Event is what happened to a message.
type Event string

// The events. After those of the second part the message is not in the queue any more.
const (
	EventSent          Event = "sent"
	EventArrived       Event = "arrived" // from another queue
	EventReceived      Event = "received"
	EventLeaseExtended Event = "lease_extended"
	EventReturned      Event = "returned"
	EventPutBack       Event = "put_back" // its consumer never got it
	EventLeaseEnded    Event = "lease_ended"
	EventRescheduled   Event = "rescheduled" // it becomes available at another time
	EventCameBack      Event = "came_back"   // there was no queue where it was to go

	EventAcknowledged Event = "acknowledged"
	EventDeadLettered Event = "dead_lettered"
	EventForwarded    Event = "forwarded"
	EventMoved        Event = "moved"
	EventExpired      Event = "expired"
	EventDropped      Event = "dropped" // the queue was full
	EventDeleted      Event = "deleted"
	EventPurged       Event = "purged"
)

// events are the letters of lua/lib/timeline.lua.
var events = map[byte]Event{'s': EventSent, 'a': EventArrived, 'r': EventReceived, 'e': EventLeaseExtended, 'b': EventReturned, 'u': EventPutBack,
	'l': EventLeaseEnded, 't': EventRescheduled, 'c': EventCameBack, 'k': EventAcknowledged, 'd': EventDeadLettered, 'f': EventForwarded,
	'm': EventMoved, 'x': EventExpired, 'o': EventDropped, 'D': EventDeleted, 'p': EventPurged}

// lastSteps are the letters of events after which a message is not in the queue.
const lastSteps = "kdfmxoDp"

// Step is one thing that happened to a message.
type Step struct {
	At    time.Time
	Event Event
	Actor Actor
	// Delivery is the number of the delivery that it is about, or 0.
	Delivery       int
	LeaseExpiresAt time.Time // received, lease_extended
	// AvailableAt is from when on it can be received again; zero: at once.
	AvailableAt time.Time
	Consumer    string // received: what the consumer called itself
	// Error is what the consumer said, its first 256 bytes.
	Error string
	// Reason is why it was dead-lettered, here or where it came from, or "ttl" or "retention" of one that expired.
	Reason  string
	Queue   string    // where it went to or came from
	Message engine.ID // its id there
	Edited  bool      // moved: with another body
}

// Timeline is what became of a message, oldest first.
type Timeline struct {
	Steps []Step
	// LeftOut is how many steps are not in Steps because there were too many. They would stand behind the first one.
	LeftOut int
}

type callerKey struct{}

// By returns a context whose calls are those of somebody. who is asked only where a queue keeps timelines, and never after the
// call has returned, but for Consume, which asks at once.
func By(ctx context.Context, who func() Actor) context.Context {
	return context.WithValue(ctx, callerKey{}, caller(who))
}

// by is By for somebody who is known.
func by(ctx context.Context, who Actor) context.Context {
	return By(ctx, func() Actor { return who })
}

// caller says who calls; nil: nobody knows.
type caller func() Actor

// context returns one whose calls are those of the caller.
func (who caller) context() context.Context {
	if who == nil {
		return context.Background()
	}
	return By(context.Background(), who)
}

func callerOf(ctx context.Context) caller {
	who, _ := ctx.Value(callerKey{}).(caller)
	return who
}

// line says for how many items of a call the caller speaks, as lua/lib/timeline.lua takes it.
func (who caller) line(count int) string {
	var a Actor
	if who != nil {
		a = who()
	}
	return a.line(count)
}

func (a Actor) line(count int) string {
	return fmt.Sprintf("%d %s\t%s\t%s\t%s\t%s\t%s\n", count, a.Kind, plain(a.Key), plain(a.Member), plain(a.Link), plain(a.Address), plain(a.Name))
}

// linesOf returns who makes a call that joins those of several.
func linesOf[C any](batch []C, line func(C) string) func() string {
	return func() string {
		var b strings.Builder
		for _, c := range batch {
			b.WriteString(line(c))
		}
		return b.String()
	}
}

// plain returns a text as it may stand in a line.
func plain(s string) string {
	s = strings.Map(func(r rune) rune {
		if r < ' ' {
			return -1
		}
		return r
	}, s)
	return s[:min(len(s), 128)]
}

// known is the first argument of a call: the version of the settings that it knows and, where the queue keeps timelines, what
// the script needs for that. Most queues do not, and then nobody is asked who calls.
func (d *desk) known(ctx context.Context, c *config, ln *lane) string {
	if c.TraceRetention == 0 {
		return c.version
	}
	lines := callerOf(ctx).line(1)
	if ln.lines != nil {
		lines = ln.lines()
	}
	return fmt.Sprintf("%s|%d,%d|%s", c.version, c.TraceRetention.Milliseconds(), d.store.timelineRoom/int64(max(c.Shards, 1)), lines)
}

// makeTimelines makes the keys for timelines, of all shards, before the settings say that there are any.
func (s *Store) makeTimelines(ctx context.Context, t tenants.ID, uid string, shards int) error {
	return eachTimelines(t, uid, shards, func(key, which string) error {
		_, err := s.engine.Do(ctx, livesMakeScript, []string{key}, which)
		return err
	})
}

// dropTimelines removes them once the settings say that there are none, or the queue is gone.
func (s *Store) dropTimelines(ctx context.Context, t tenants.ID, uid string, shards int) error {
	return eachTimelines(t, uid, shards, func(key, _ string) error {
		_, err := s.engine.Do(ctx, livesDropScript, []string{key})
		return err
	})
}

// eachTimelines calls f for each key of the timelines of all shards, and what it is for.
func eachTimelines(t tenants.ID, uid string, shards int, f func(key, which string) error) error {
	for k := range shards {
		for i, key := range timelineKeys(t, shardUID(uid, k, shards)) {
			if err := f(key, [...]string{"lives", "steps"}[i]); err != nil {
				return err
			}
		}
	}
	return nil
}

// changedLately is for how long after a change of settings the walk through all queues, which comes every ten minutes, looks
// whether it was finished.
const changedLately = time.Hour

// tidyTimelines removes the timelines of a queue that keeps none any more and whose change somebody did not finish.
func (s *Store) tidyTimelines(ctx context.Context, t tenants.ID, queue string) error {
	return s.with(ctx, t, queue, func(d *desk) error {
		// The counts of just now have made sure that these are the settings.
		if c := d.config.Load(); c.TraceRetention == 0 && s.clock.Now().Sub(c.updated) < changedLately {
			return s.dropTimelines(ctx, t, d.uid, c.Shards)
		}
		return nil
	})
}

// Timeline returns what became of a message while the queue kept timelines, also after it is gone.
func (s *Store) Timeline(ctx context.Context, t tenants.ID, queue string, id engine.ID) (Timeline, error) {
	var line Timeline
	err := s.with(ctx, t, queue, func(d *desk) error {
		if d.config.Load().TraceRetention == 0 {
			// Before it refuses it makes sure that the settings are those of now.
			c, err := s.load(ctx, t, d.uid)
			if err != nil {
				return err
			}
			d.learn(c)
		}
		var err error
		line, err = d.of(id).timeline(ctx, id)
		return err
	})
	return line, err
}

func (d *desk) timeline(ctx context.Context, id engine.ID) (Timeline, error) {
	for step := 1; ; step++ {
		var now *config
		reply, err := d.alone(ctx, timelineScript, func(c *config) []any {
			now = c
			return []any{id[:], c.Retention.Milliseconds()}
		})
		if err != nil {
			return Timeline{}, err
		}
		if engine.Number(reply, 2) >= callMessages && step < maxTidy {
			continue
		}
		if now.TraceRetention == 0 {
			e := *ErrNoTimeline
			e.Message = "The queue keeps no timelines."
			e.Fix = `Have it keep them from now on: PATCH /v1/queues/{queue} with {"trace_retention":"7d"}.`
			return Timeline{}, &e
		}
		kept, last, here := engine.Text(reply, 3), engine.Number(reply, 4), engine.Number(reply, 5) == 1
		if kept == "" || !here && last+now.TraceRetention.Milliseconds() <= engine.Number(reply, 1) {
			return Timeline{}, noTimeline(engine.Number(reply, 7))
		}
		line, ended, err := parseTimeline(kept)
		if err != nil {
			return Timeline{}, engine.ErrBroken.Because(err)
		}
		if purges := engine.Text(reply, 6); !here && !ended && purges != "" {
			all, _, err := parseTimeline(purges)
			if err != nil {
				return Timeline{}, engine.ErrBroken.Because(err)
			}
			for _, p := range all.Steps {
				if p.At.UnixMilli() >= last {
					p.Delivery = 0 // that is how many there were
					line.Steps = append(line.Steps, p)
					break
				}
			}
		}
		return line, nil
	}
}

// noTimeline is ErrNoTimeline, and says of a queue that had no room for all until when they were dropped, ms.
func noTimeline(lost int64) error {
	if lost == 0 {
		return ErrNoTimeline
	}
	e := *ErrNoTimeline
	e.Message += fmt.Sprintf(" The timelines of messages to which nothing happened after %s were dropped, because a queue keeps at most %d bytes of them.",
		at(lost).Format(time.RFC3339), MaxTimelineBytes)
	return &e
}

var errTimeline = errors.New("a timeline is damaged")

// parseTimeline reads what lua/lib/timeline.lua wrote, and whether it ends with one of the last steps.
func parseTimeline(kept string) (line Timeline, ended bool, err error) {
	head, rest, _ := strings.Cut(kept, "|")
	f := strings.Split(head, ",")
	if len(f) != 3 || len(f[2]) != 1 {
		return line, false, errTimeline
	}
	if line.LeftOut, err = strconv.Atoi(f[1]); err != nil {
		return line, false, errTimeline
	}
	for rest != "" {
		size, more, _ := strings.Cut(rest, ":")
		n, err := strconv.Atoi(size)
		if err != nil || n < 1 || n > len(more) {
			return line, false, errTimeline
		}
		step, err := parseStep(more[:n])
		if err != nil {
			return line, false, err
		}
		// A lease that has ended is noted by who looks next. Nothing is told to have been before what it followed.
		if k := len(line.Steps); k > 0 && step.At.Before(line.Steps[k-1].At) {
			step.At = line.Steps[k-1].At
		}
		line.Steps, rest = append(line.Steps, step), more[n:]
	}
	return line, strings.Contains(lastSteps, f[2]), nil
}

func parseStep(text string) (Step, error) {
	numbers, rest, _ := strings.Cut(text[1:], "|")
	actor, said, ok := strings.Cut(rest, "\n")
	var n [3]int64
	for i, f := range strings.Split(numbers, ",") {
		v, err := strconv.ParseInt(f, 10, 64)
		if err != nil || i == len(n) {
			return Step{}, errTimeline
		}
		n[i] = v
	}
	step := Step{At: at(n[0]), Event: events[text[0]]}
	if !ok || step.Event == "" {
		return Step{}, errTimeline
	}
	if actor != "" {
		f := strings.Split(actor, "\t")
		if len(f) != 6 {
			return Step{}, errTimeline
		}
		step.Actor = Actor{Kind: ActorKind(f[0]), Key: f[1], Member: f[2], Link: f[3], Address: f[4], Name: f[5]}
	}
	other := time.Time{}
	if n[2] > 0 {
		other = at(n[2])
	}
	err := step.tell(text[0], int(n[1]), other, said)
	return step, err
}

// tell reads what is particular to an event.
func (s *Step) tell(letter byte, number int, other time.Time, said string) error {
	switch letter {
	case 'm':
		if len(said) < engine.IDSize {
			return errTimeline
		}
		copy(s.Message[:], said)
		s.Queue, s.Edited = said[engine.IDSize:], number == 1
		return nil
	case 'a':
		s.arrive()
		return nil
	case 'f':
		s.Queue = said
		return nil
	case 'x':
		s.Reason = map[string]string{"t": "ttl", "r": "retention"}[said]
		return nil
	}
	s.Delivery = number
	switch letter {
	case 'r', 'e':
		name, err := base64.RawURLEncoding.DecodeString(said)
		if err != nil {
			return errTimeline
		}
		s.LeaseExpiresAt, s.Consumer = other, string(name)
	case 'd':
		if said == "" || reasons[said[0]] == "" {
			return errTimeline
		}
		s.Reason, s.Error = string(reasons[said[0]]), valid(said[1:])
	default:
		s.AvailableAt, s.Error = other, valid(said)
	}
	return nil
}

// arrival is the line of a message that comes from another queue, in place of that of an actor; arrive reads it.
func (p parcel) arrival() string {
	return Actor{Kind: "queue", Key: p.was.String(), Member: string(p.letter), Name: p.from}.line(1)
}

func (s *Step) arrive() {
	from := s.Actor
	s.Actor, s.Queue = Actor{}, from.Name
	s.Message, _ = engine.ParseID(from.Key)
	if from.Member != "" && from.Member[0] != forwarded {
		s.Reason = string(reasons[from.Member[0]])
	}
}

// valid returns a text that may have been cut within a character.
func valid(s string) string { return strings.ToValidUTF8(s, "") }
