package queues

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/sluicemq/sluice/internal/engine"
	"github.com/sluicemq/sluice/internal/errs"
	"github.com/sluicemq/sluice/internal/tasks"
	"github.com/sluicemq/sluice/tenants"
)

// RedriveTask is the type of the task that PlanRedrive plans.
const RedriveTask = "redrive"

const (
	// MaxRedriveIDs is how many messages a redrive may name by their ids.
	MaxRedriveIDs = 500
	// carryPause is how long a redrive waits when the messages that have left could not be brought to where they go.
	carryPause = 5 * time.Second
)

// The errors of moving messages.
var (
	ErrNoOrigin = &errs.Error{Kind: errs.Conflict, Code: "no_source_queue",
		Message: "The message came from no other queue, so there is none to which it could go back.",
		Fix:     `Name one: {"to":"orders"}.`}
	ErrHeld = &errs.Error{Kind: errs.Conflict, Code: "message_in_flight",
		Message: "Somebody holds the message, or in a FIFO queue the first one of its group, or that is delayed.",
		Fix:     "Wait until it is acknowledged or returned, or until its lease or its delay ends."}
)

// RedriveOptions say which messages to move, and where.
type RedriveOptions struct {
	To      string  // the name of a queue; "": each message to the queue from which it came
	Filter  *Filter // nil: all match
	IDs     []engine.ID
	Limit   int64 // how many at most; 0: no limit
	MaxRate int   // a second; 0: as fast as it goes
}

// redriveView is what a redrive looks at: what can be received, and what becomes so meanwhile. Of a FIFO queue that is
// groupView, where what was held or delayed stands in its place once the queue has been tidied.
const (
	redriveView = "drfam"
	groupView   = "m"
)

// inPlace puts messages of a FIFO queue in their places that are not held or delayed any more, so that none behind them
// leaves before them.
func (d *desk) inPlace(ctx context.Context) error {
	if !IsFIFOName(d.at.name) {
		return nil
	}
	_, err := d.stats(ctx)
	return err
}

// came is when a message came to its queue. A redrive moves what came before it began, so that none is moved twice.
func (m *Message) came() time.Time {
	if m.Origin != nil {
		return m.Origin.At
	}
	return m.SentAt
}

// PlanRedrive returns the task that moves messages of a queue which are available to another queue, where they begin anew:
// with new ids, sent now, and never received. Messages that somebody holds, or that come after now, stay.
func (s *Store) PlanRedrive(ctx context.Context, t tenants.ID, queue string, opt RedriveOptions) (tasks.NewTask, error) {
	n := tasks.NewTask{Type: RedriveTask, Queue: queue, Alone: true, Limit: opt.Limit, MaxRate: opt.MaxRate}
	if len(opt.IDs) > MaxRedriveIDs {
		return n, errs.Invalidf("/message_ids", "message_ids must be at most %d, got %d.", MaxRedriveIDs, len(opt.IDs))
	}
	err := s.with(ctx, t, queue, func(d *desk) error {
		if opt.To != "" {
			if err := s.movable(ctx, t, queue, opt.To); err != nil {
				return err
			}
		}
		st, err := d.stats(ctx)
		if err != nil {
			return err
		}
		// Messages of one shard stand together: a step takes those of one, and that remembers it.
		ids := slices.Clone(opt.IDs)
		slices.SortStableFunc(ids, func(a, b engine.ID) int { return d.of(a).index - d.of(b).index })
		names := make([]string, len(ids))
		for i := range names {
			names[i] = ids[i].String()
		}
		params, err := json.Marshal(selection{UID: d.uid, To: opt.To, Before: st.Now.UnixMilli(), Filter: opt.Filter.String(), IDs: names})
		n.Params, n.Total = string(params), st.Available
		if len(opt.IDs) > 0 {
			n.Total = int64(len(opt.IDs))
		}
		return err
	})
	return n, err
}

// movable checks that messages of a queue may be moved to another one.
func (s *Store) movable(ctx context.Context, t tenants.ID, queue, to string) error {
	switch {
	case to == queue:
		return errs.Invalidf("/to", "to must be another queue than the one from which messages are moved.")
	case IsFIFOName(to) != IsFIFOName(queue):
		return errs.Invalidf("/to", "Messages of a FIFO queue go to FIFO queues, and those of a standard queue to standard ones.")
	}
	if _, err := s.desk(ctx, t, to); err != nil {
		if errors.Is(err, ErrQueueNotFound) {
			return errs.Invalidf("/to", "There is no queue %q.", to)
		}
		return err
	}
	return nil
}

// CountMatching returns how many messages that a redrive or a purge would look at match, and whether it came to the end
// of the queue within the bounds of a search.
func (s *Store) CountMatching(ctx context.Context, t tenants.ID, queue string, filter *Filter) (matching, looked int, complete bool, err error) {
	opt := SearchOptions{PeekOptions: PeekOptions{State: Available, Limit: MaxPeek}, Match: func(m *Message, now time.Time) bool {
		if filter.Match(m, now) {
			matching++
		}
		return false
	}}
	view, from, err := opt.read(MaxPeek)
	if err != nil {
		return 0, 0, false, err
	}
	var found Found
	err = s.with(ctx, t, queue, func(d *desk) error {
		matching = 0 // another queue may have this name by now
		found, err = d.search(ctx, view, from, opt)
		return err
	})
	return matching, found.Looked, found.Next == "", err
}

// Redriving is how the tasks of PlanRedrive are worked on.
func (s *Store) Redriving() tasks.Kind { return tasks.Kind{Step: s.redriveStep, End: s.endTask} }

// redriveStep sends a page of messages off and brings them to where they go. What it remembers in the queue makes it
// repeatable, as that of a purge does.
func (s *Store) redriveStep(ctx context.Context, w tasks.Work) (tasks.Result, error) {
	t, sel, filter, from, err := readTask(w, redriveView)
	if err != nil {
		return tasks.Result{}, err
	}
	wants := func(m *Message, now time.Time) bool {
		return m.came().UnixMilli() <= sel.Before && filter.Match(m, now)
	}
	ctx = by(ctx, Actor{Kind: ByTask, Name: w.Task.ID})
	var res tasks.Result
	err = s.with(ctx, t, w.Task.Queue, func(d *desk) error {
		if d.uid != sel.UID {
			return notFound(w.Task.Queue)
		}
		if sel.To != "" {
			if _, err := s.desk(ctx, t, sel.To); err != nil { // it may have been deleted since
				return err
			}
		}
		if err := d.inPlace(ctx); err != nil {
			return err
		}
		var next round
		var leaving []departure
		var failures []tasks.ItemError
		shard := d.all()[from.at.shard] // all that leave in one step are in one shard, which remembers it
		switch {
		case len(sel.IDs) > 0:
			named := sel.named(from)
			if len(named) > 0 {
				shard = d.of(named[0])
			}
			if next.at = from.at; w.Most > 0 {
				next, leaving, failures, err = shard.namedDepartures(ctx, sel, from, w.Most, named)
			}
		case w.Most == 0:
			next.at = from.at
		default:
			var found []Message
			view := redriveView
			if IsFIFOName(w.Task.Queue) {
				if view = groupView; from.at.view != view {
					from.at = cursor{} // the beginning, also where an older server was among leases that had ended
				}
			}
			if next, found, err = d.roundPage(ctx, view, from.at, w.Most, wants); err == nil {
				leaving, failures = d.departures(ctx, sel.To, found)
			}
		}
		if err != nil {
			return err
		}
		next.failed = len(failures)
		reply, err := shard.numbered(ctx, departScript, &lane{field: taskLane(w), seq: w.Step}, departArgs(leaving, w.Until.UnixMilli(), next.String()))
		if err != nil {
			return err
		}
		verdicts, remembered := engine.Text(reply, 2), engine.Text(reply, 3)
		if next, err = parseRound(remembered, redriveView); err != nil {
			return err
		}
		res = tasks.Result{State: remembered, Looked: int64(next.looked), Done: int64(strings.Count(verdicts, "k")), Failed: int64(next.failed), Finished: next.over}
		if len(failures) <= next.failed {
			res.Errors = failures
		}
		if err := shard.carry(ctx); err != nil {
			shard.carrier.wake()
			res.Pause = carryPause
		}
		return nil
	})
	return res, err
}

// departure is a message that is to leave for another queue.
type departure struct {
	id, newID engine.ID
	to        string
	record    []byte // what its record becomes behind the stamp; nil: it stays
}

// departures returns how the messages leave, and says of those that cannot why.
func (d *desk) departures(ctx context.Context, to string, found []Message) (list []departure, failures []tasks.ItemError) {
	for i := range found {
		there, err := d.destination(ctx, to, &found[i])
		if err != nil {
			failures = append(failures, itemError(found[i].ID, err))
			continue
		}
		list = append(list, departure{id: found[i].ID, newID: d.store.engine.NewID(there.pick("", found[i].GroupID)), to: there.at.name})
	}
	return list, failures
}

// destination returns the queue to which a message goes; to is that which was asked for, or "". What came from this queue
// itself, through one that forwards, is where it would go.
func (d *desk) destination(ctx context.Context, to string, m *Message) (*desk, error) {
	if to == "" {
		if m.Origin == nil || m.Origin.Queue == "" || m.Origin.Queue == d.at.name {
			return nil, ErrNoOrigin
		}
		to = m.Origin.Queue
	}
	return d.store.desk(ctx, d.at.tenant, to)
}

// namedDepartures is departures for messages that were named by their ids. The place of the round is how many it has come past.
func (d *desk) namedDepartures(ctx context.Context, sel selection, from round, most int, ids []engine.ID) (round, []departure, []tasks.ItemError, error) {
	begin, n := len(sel.IDs)-len(ids), 0
	for n < min(len(ids), most) && d.first().of(ids[n]) == d {
		n++
	}
	ids = ids[:n]
	next := round{looked: n, at: cursor{view: redriveView[:1], position: strconv.Itoa(begin + n)}, over: begin+n >= len(sel.IDs)}
	var found []Message
	var failures []tasks.ItemError
	for _, id := range ids {
		m, err := d.message(ctx, id)
		switch {
		case err == nil && m.State == InFlight:
			failures = append(failures, itemError(id, ErrHeld))
		case err == nil:
			found = append(found, m)
		case errors.Is(err, ErrMessageNotFound):
			failures = append(failures, itemError(id, err))
		default:
			return next, nil, nil, err
		}
	}
	list, more := d.departures(ctx, sel.To, found)
	return next, list, append(failures, more...), nil
}

// named returns the ids that a round has not come past.
func (sel selection) named(from round) []engine.ID {
	begin := 0
	if from.at != (cursor{}) {
		begin, _ = strconv.Atoi(from.at.position)
	}
	var ids []engine.ID
	for _, name := range sel.IDs[min(begin, len(sel.IDs)):] {
		id, _ := engine.ParseID(name)
		ids = append(ids, id)
	}
	return ids
}

func itemError(id engine.ID, err error) tasks.ItemError {
	e, ok := errors.AsType[*errs.Error](err)
	if !ok {
		e = engine.ErrBroken
	}
	return tasks.ItemError{Item: messagePrefix + id.String(), Code: e.Code, Message: e.Message}
}

// departArgs are the arguments of depart.lua. until and next are those of a step of a task, else "".
func departArgs(list []departure, until any, next string) func(*config) []any {
	return func(c *config) []any {
		args := []any{c.Retention.Milliseconds(), until, next}
		for i := range list {
			args = append(args, list[i].id[:], list[i].newID[:], list[i].to, list[i].record)
		}
		return args
	}
}

// Redriven is a message that was moved.
type Redriven struct {
	ID    engine.ID // its new id
	Queue string    // where it is
}

// Redrive moves one message, which nobody holds, and may change its body and content type. to is the name of a queue, or
// "" for that from which it came. When the destination cannot take it for the moment it is on its way there.
func (s *Store) Redrive(ctx context.Context, t tenants.ID, queue string, id engine.ID, to string, change func(*Outgoing)) (Redriven, error) {
	var out Redriven
	err := s.with(ctx, t, queue, func(d *desk) error {
		d = d.of(id)
		m, err := d.message(ctx, id)
		if err != nil {
			return err
		}
		if to != "" {
			if err := s.movable(ctx, t, queue, to); err != nil {
				return err
			}
		}
		there, err := d.destination(ctx, to, &m)
		if err != nil {
			return err
		}
		if err := d.inPlace(ctx); err != nil {
			return err
		}
		one := departure{id: id, newID: s.engine.NewID(there.pick("", m.GroupID)), to: there.at.name}
		if change != nil {
			fresh := m.outgoing()
			change(&fresh)
			dest, err := s.Get(ctx, t, one.to)
			if err != nil {
				return err
			}
			if err := fresh.validateContent(dest.Settings); err != nil {
				return err
			}
			one.record = appendRecord(nil, &fresh, m.Origin)
		}
		reply, err := d.alone(ctx, departScript, departArgs([]departure{one}, "", ""))
		switch {
		case err != nil:
			return err
		case engine.Text(reply, 2) == "h":
			return ErrHeld
		case engine.Text(reply, 2) != "k":
			return ErrMessageNotFound
		}
		if d.carry(ctx) != nil {
			d.carrier.wake()
		}
		out = Redriven{ID: one.newID, Queue: one.to}
		return nil
	})
	return out, err
}
