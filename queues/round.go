package queues

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/sluicemq/sluice/internal/engine"
	"github.com/sluicemq/sluice/internal/tasks"
	"github.com/sluicemq/sluice/tenants"
)

// selection says which messages of a queue a task is for. It is written down when the task is made.
type selection struct {
	UID    string   `json:"uid"`              // of the queue, so that one that is made anew under the same name is left alone
	Before int64    `json:"before"`           // ms: until when they were sent or came, by the queue clock
	Filter string   `json:"filter,omitempty"` // which of them; "": all
	IDs    []string `json:"ids,omitempty"`    // none: all
	To     string   `json:"to,omitempty"`     // of a redrive: the queue to which they go; "": to where they came from
}

// round is how far a task has come that goes through all messages of a queue, and what its last step met.
type round struct {
	looked int    // messages that the step looked at
	failed int    // messages with which it could do nothing
	over   bool   // it was the last one
	at     cursor // the zero value: the beginning
}

// The places of a round that are no place in the queue.
const roundStart, roundOver = ".", "-"

func (r round) String() string {
	place := roundStart
	switch {
	case r.over:
		place = roundOver
	case r.at != (cursor{}):
		place = r.at.String()
	}
	return fmt.Sprintf("%d %d %s", r.looked, r.failed, place)
}

// parseRound reads what String wrote for a round over view; see peek.lua.
func parseRound(s, view string) (round, error) {
	var r round
	if s == "" {
		return r, nil
	}
	var place string
	_, err := fmt.Sscanf(s, "%d %d %s", &r.looked, &r.failed, &place)
	if err == nil && place != roundStart && place != roundOver {
		r.at, err = parseCursor(place, view)
	}
	r.over = place == roundOver
	if err != nil {
		return r, engine.ErrBroken.Because(fmt.Errorf("a task is at %q, which is no place: %w", s, err))
	}
	return r, nil
}

// roundPage returns up to most messages that are wanted, and where the next page begins.
func (d *desk) roundPage(ctx context.Context, view string, from cursor, most int, wants func(*Message, time.Time) bool) (round, []Message, error) {
	page, err := d.peek(ctx, view, from, MaxPeek)
	next := round{looked: page.looked, at: page.next}
	var found []Message
	for i := range page.shown {
		m := &page.shown[i]
		if wants(&m.Message, page.now) {
			found = append(found, m.Message)
		}
		if len(found) == most && i+1 < len(page.shown) {
			next.looked, next.at = i+1, m.at
			break
		}
	}
	next.over = next.at == (cursor{})
	return next, found, err
}

// taskLane is the lane of a task among those of servers, which begin with L. Its calls have the numbers of the steps.
func taskLane(w tasks.Work) string { return "T" + w.Task.ID }

// readTask reads what a task was told when it was made, and how far it has come in a round over view.
func readTask(w tasks.Work, view string) (tenants.ID, selection, *Filter, round, error) {
	t, sel, err := readSelection(w)
	if err != nil {
		return t, sel, nil, round{}, err
	}
	filter, err := ParseFilter(sel.Filter)
	if err != nil {
		return t, sel, nil, round{}, err
	}
	from, err := parseRound(w.State, view)
	return t, sel, filter, from, err
}

func readSelection(w tasks.Work) (tenants.ID, selection, error) {
	var sel selection
	t, ok := tenants.ParseID(w.Tenant)
	if err := json.Unmarshal([]byte(w.Params), &sel); err != nil || !ok || sel.UID == "" {
		return t, sel, engine.ErrBroken.Because(fmt.Errorf("the parameters of task %s are damaged", w.Task.ID))
	}
	return t, sel, nil
}

// endTask removes the lane of a task that has ended.
func (s *Store) endTask(ctx context.Context, w tasks.Work) error {
	t, sel, err := readSelection(w)
	if err != nil {
		return err
	}
	err = s.with(ctx, t, w.Task.Queue, func(d *desk) error {
		if d.uid != sel.UID {
			return nil
		}
		return d.each(func(shard *desk) error {
			_, err := s.engine.Do(ctx, quitScript, shard.keys[:1], taskLane(w))
			return err
		})
	})
	if errors.Is(err, ErrQueueNotFound) {
		return nil
	}
	return err
}
