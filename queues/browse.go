package queues

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/sluicemq/sluice/internal/engine"
	"github.com/sluicemq/sluice/internal/errs"
	"github.com/sluicemq/sluice/tenants"
)

// PeekOptions say which messages to show.
type PeekOptions struct {
	State  State  // "" for all
	Limit  int    // 1 to MaxPeek; 0 means 50
	Cursor string // as the page before gave it; "" for the first
}

// Page is a part of a queue's messages.
type Page struct {
	Messages []Message
	Next     string // cursor of the next page; "" when this is the last
}

// views are the places that peek.lua looks at for a state, in this order.
var views = map[State]string{Available: "armfd", InFlight: "F", Delayed: "Dw", "": "armfdFDw"}

// Peek shows messages without lending them out or changing anything. A page may be short or empty although more
// follow: Next says so. Pages are stable: what is there throughout is shown once.
func (s *Store) Peek(ctx context.Context, t tenants.ID, queue string, opt PeekOptions) (Page, error) {
	view, from, err := opt.read(MaxPeek)
	if err != nil {
		return Page{}, err
	}
	var page Page
	err = s.with(ctx, t, queue, func(d *desk) error {
		page = Page{}
		bytes := 0
		// Where there are several shards, each call shows messages of one.
		for at := from; ; {
			p, err := d.peek(ctx, view, at, opt.Limit-len(page.Messages))
			if err != nil {
				return err
			}
			for i := range p.shown {
				page.Messages = append(page.Messages, p.shown[i].Message)
			}
			bytes += p.bytes
			page.Next = nextOf(p.next)
			if p.next.shard == at.shard || page.Next == "" || len(page.Messages) == opt.Limit || bytes >= callBytes {
				return nil
			}
			at = p.next
		}
	})
	return page, err
}

// read checks the options, of which most is the highest limit, fills in the limit, and returns what to look at and from where.
func (opt *PeekOptions) read(most int) (view string, from cursor, err error) {
	view, ok := views[opt.State]
	if !ok {
		return "", cursor{}, queryError("state", "state must be available, in_flight, delayed or all, got %q.", opt.State)
	}
	if opt.Limit < 0 || opt.Limit > most {
		return "", cursor{}, queryError("limit", "limit must be 1 to %d, got %d.", most, opt.Limit)
	}
	if opt.Limit == 0 {
		opt.Limit = 50
	}
	from, err = parseCursor(opt.Cursor, view)
	return view, from, err
}

// peeked is what one call of peek.lua shows.
type peeked struct {
	now    time.Time // of the queue's clock
	shown  []shown
	looked int    // messages, those that cannot be read too
	bytes  int    // of their records
	next   cursor // the zero value when nothing follows
}

// shown is a message with the place where it was seen.
type shown struct {
	Message
	at cursor
}

// peek calls peek.lua once, for one shard. Behind its last message comes the first of the next one.
func (d *desk) peek(ctx context.Context, view string, from cursor, limit int) (peeked, error) {
	if d.shards == nil && from.shard == 0 {
		return d.peekHere(ctx, view, from, limit)
	}
	if from.shard >= len(d.shards) {
		return peeked{}, errCursor
	}
	p, err := d.shards[from.shard].peekHere(ctx, view, from, limit)
	switch {
	case p.next != cursor{}:
		p.next.shard = from.shard
	case err == nil && from.shard+1 < len(d.shards):
		p.next.shard = from.shard + 1
	}
	for i := range p.shown {
		p.shown[i].at.shard = from.shard
	}
	return p, err
}

func (d *desk) peekHere(ctx context.Context, view string, from cursor, limit int) (peeked, error) {
	reply, err := d.alone(ctx, peekScript, func(c *config) []any {
		return []any{view, from.view, from.position, from.id, limit, c.Retention.Milliseconds()}
	})
	if err != nil {
		return peeked{}, err
	}
	p := peeked{now: at(engine.Number(reply, 1)), next: cursor{view: engine.Text(reply, 2), position: engine.Text(reply, 3), id: engine.Text(reply, 4)}}
	for i := 5; i+5 < len(reply); i += 6 {
		p.looked++
		p.bytes += len(engine.Text(reply, i+3))
		m, err := d.parsePeeked(engine.Text(reply, i), engine.Text(reply, i+2), engine.Text(reply, i+3), engine.Text(reply, i+4), engine.Text(reply, i+5))
		if err != nil {
			d.store.logger.Error("a stored message cannot be read", "queue", d.at.name, "uid", d.uid, "error", err.Error())
			continue
		}
		place := cursor{view: engine.Text(reply, i), position: engine.Text(reply, i+1), id: engine.Text(reply, i+2)}
		if place.view == "m" {
			place.id = place.id[engine.IDSize:] + place.id[:engine.IDSize] // as it stands there; see lua/lib/groups.lua
		}
		p.shown = append(p.shown, shown{m, place})
	}
	return p, nil
}

// Message shows one message by its id.
func (s *Store) Message(ctx context.Context, t tenants.ID, queue string, id engine.ID) (Message, error) {
	var m Message
	err := s.with(ctx, t, queue, func(d *desk) error {
		var err error
		m, err = d.of(id).message(ctx, id)
		return err
	})
	return m, err
}

func (d *desk) message(ctx context.Context, id engine.ID) (Message, error) {
	m, _, err := d.look(ctx, id)
	return m, err
}

// look is message, with the receipt that whoever holds the message has of it.
func (d *desk) look(ctx context.Context, id engine.ID) (Message, receipt, error) {
	reply, err := d.alone(ctx, messageScript, func(c *config) []any {
		return []any{id[:], c.Retention.Milliseconds()}
	})
	if err != nil {
		return Message{}, receipt{}, err
	}
	if engine.Text(reply, 2) == "" {
		return Message{}, receipt{}, ErrMessageNotFound
	}
	record, kept := engine.Text(reply, 3), engine.Text(reply, 4)
	m, err := d.parsePeeked(engine.Text(reply, 2), string(id[:]), record, kept, engine.Text(reply, 5))
	if err != nil {
		return Message{}, receipt{}, engine.ErrBroken.Because(err)
	}
	if m.State != InFlight {
		return m, receipt{}, nil
	}
	// Both were read just now.
	f, err := parseRecord(record, &Message{})
	before, bad := parseSide(kept)
	if err := errors.Join(err, bad); err != nil {
		return Message{}, receipt{}, engine.ErrBroken.Because(err)
	}
	return m, receipt{id: id, place: f.place, delivery: before.deliveries + 1, received: m.HeldSince, size: len(record)}, nil
}

// DeleteMessage deletes a message by its id, whoever holds it.
func (s *Store) DeleteMessage(ctx context.Context, t tenants.ID, queue string, id engine.ID) error {
	return s.with(ctx, t, queue, func(d *desk) error {
		reply, err := d.of(id).alone(ctx, deleteScript, func(c *config) []any {
			return []any{c.Retention.Milliseconds(), "", "", id[:]}
		})
		if err != nil {
			return err
		}
		if engine.Text(reply, 2) != "k" {
			return ErrMessageNotFound
		}
		s.meter.Add(t, tenants.KindQueue, queue, tenants.MetricDeleted, 1)
		return nil
	})
}

// Purge deletes all messages that are in the queue now, also those that somebody holds, and returns how many.
func (s *Store) Purge(ctx context.Context, t tenants.ID, queue string) (int64, error) {
	var count atomic.Int64
	err := s.with(ctx, t, queue, func(d *desk) error {
		return d.each(func(shard *desk) error {
			reply, err := shard.alone(ctx, purgeScript, func(*config) []any { return []any{} })
			count.Add(engine.Number(reply, 2))
			return err
		})
	})
	return count.Load(), err
}

// parsePeeked reads a message as peek.lua and message.lua show it.
func (d *desk) parsePeeked(view, id, record, sideRecord, score string) (Message, error) {
	var m Message
	copy(m.ID[:], id)
	f, err := parseRecord(record, &m)
	if err != nil {
		return m, err
	}
	if sideRecord != "" {
		s, err := parseSide(sideRecord)
		if err != nil {
			return m, err
		}
		s.tell(&m)
		if view == "F" {
			m.HeldBy, m.HeldSince = s.heldBy, s.heldSince
			if m.HeldSince.IsZero() {
				m.HeldSince = s.first // it was never held before
			}
		}
	}
	d.complete(&m, f)
	n, _ := strconv.ParseInt(score, 10, 64)
	if view == "F" || view == "f" || view == "w" {
		m.ReceiveCount++ // the delivery under way is counted when it ends
	}
	switch view {
	case "F":
		m.State = InFlight
		m.LeaseExpiresAt = leaseEnd(n)
	case "f":
		m.State = Available
		m.FailureCount++ // it has timed out, which is written down later
	case "w":
		m.FailureCount++ // likewise
		fallthrough
	case "D":
		m.State = Delayed
		m.AvailableAt = at(n)
	default:
		m.State = Available
	}
	return m, nil
}

// nextOf returns the cursor with which callers go on behind c, and "" where nothing follows.
func nextOf(c cursor) string {
	if c == (cursor{}) {
		return ""
	}
	return c.String()
}

// leaseEnd reads a score of the ZSET flight; see lua/lib/queue.lua.
func leaseEnd(score int64) time.Time { return at(score/4096 + 1735689600000) }

// cursor is a position in a peek.
type cursor struct {
	view, position, id string // empty: before the first message
	shard              int
}

// Behind the shard, which is left out when it is the first, stands s.
func (c cursor) String() string {
	text := c.view + c.position + "|" + c.id
	if c.shard > 0 {
		text = strconv.Itoa(c.shard) + "s" + text
	}
	return base64.RawURLEncoding.EncodeToString([]byte(text))
}

var errCursor = queryError("cursor", "The cursor is not one of this list. Start again without a cursor.")

func parseCursor(s, view string) (cursor, error) {
	if s == "" {
		return cursor{}, nil
	}
	raw, err := base64.RawURLEncoding.Strict().DecodeString(s)
	head, id, ok := strings.Cut(string(raw), "|")
	shard := 0
	if number, rest, found := strings.Cut(head, "s"); found {
		n, fault := strconv.ParseUint(number, 10, 6)
		if err != nil || fault != nil || n == 0 {
			return cursor{}, errCursor
		}
		if shard = int(n); rest == "" && id == "" {
			return cursor{shard: shard}, nil
		}
		head = rest
	}
	bad := err != nil || !ok || head == "" || !strings.Contains(view, head[:1]) || (id != "" && len(id) != engine.IDSize && len(id) != engine.IDSize+groupSize+placeSize)
	if !bad {
		_, err = strconv.ParseUint(head[1:], 10, 53) // what Lua and scores can hold
		bad = err != nil
	}
	if bad {
		return cursor{}, errCursor
	}
	return cursor{view: head[:1], position: head[1:], id: id, shard: shard}, nil
}

func queryError(name, format string, args ...any) error {
	msg := fmt.Sprintf(format, args...)
	return &errs.Error{Kind: errs.Invalid, Code: "validation_failed", Message: msg,
		Fields: []errs.Field{{Query: name, Code: "invalid", Message: msg}}}
}
