package queues

import (
	"cmp"
	"context"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/sluicemq/sluice/internal/clock"
	"github.com/sluicemq/sluice/internal/engine"
	"github.com/sluicemq/sluice/tenants"
)

const (
	// tailPace is how often a server looks for new messages of a queue that somebody watches.
	tailPace = time.Second
	// tailRush is the same after a look that did not show all there is.
	tailRush = 100 * time.Millisecond
	// maxTailPages bounds the looks that wait for a slow reader. One that needs more reads on by itself.
	maxTailPages = 4
)

// Where a tail begins.
const (
	TailNow       = ""  // with what becomes available from now on
	TailBeginning = "0" // with what is available
)

// Seen is a message that a tail has come by, and the cursor with which another one goes on behind it.
type Seen struct {
	Message
	Cursor string
}

// Tail shows messages of a queue as they become available, without receiving them: it changes nothing, and what is
// received before it looks it does not see. Messages of groups it shows when they come to the queue, and not again. All
// tails of a queue on a server share their looks.
//
// It is driven by one goroutine: Changed says that there is something to Take.
type Tail struct {
	store   *Store
	at      address
	changed chan struct{}
	from    position

	mu     sync.Mutex
	pages  []tailPage // looks that were shared and not taken
	behind bool       // it has missed looks, and reads by itself until it has come to the end
	err    error
}

// Tail returns a tail of a queue that begins behind cursor: that of a message, TailNow or TailBeginning.
func (s *Store) Tail(ctx context.Context, t tenants.ID, queue, cursor string) (*Tail, error) {
	tail := &Tail{store: s, at: address{t, queue}, changed: make(chan struct{}, 1)}
	var err error
	if tail.from, err = parsePosition(cursor); err != nil {
		return nil, err
	}
	page, err := s.tail(ctx, tail.at, tail.from, MaxPeek)
	if err != nil {
		return nil, err
	}
	tail.from, tail.behind, tail.pages = page.from, page.more, []tailPage{page}
	end := page.to
	if page.more {
		now, err := s.tail(ctx, tail.at, position{}, 1)
		if err != nil {
			return nil, err
		}
		end = now.to
	}
	s.watches.join(tail, end)
	tail.notify()
	return tail, nil
}

// Changed says that there is something to Take.
func (t *Tail) Changed() <-chan struct{} { return t.changed }

func (t *Tail) notify() {
	select {
	case t.changed <- struct{}{}:
	default: // it has been told already
	}
}

// Take returns what has come since the last time. An error of the kind errs.Unavailable passes: call Take again in a
// moment.
func (t *Tail) Take(ctx context.Context) ([]Seen, error) {
	t.mu.Lock()
	pages, behind, err := t.pages, t.behind, t.err
	t.pages = nil
	t.mu.Unlock()
	if err != nil {
		return nil, err
	}
	var list []Seen
	for _, p := range pages {
		if !p.from.seenBy(t.from) {
			behind = true
			break
		}
		list = t.take(list, p)
	}
	if len(list) == 0 && behind {
		page, err := t.store.tail(ctx, t.at, t.from, MaxPeek)
		if err != nil {
			t.mu.Lock()
			t.behind = true
			t.mu.Unlock()
			return nil, err
		}
		list, behind = t.take(list, page), page.more
	}
	t.mu.Lock()
	t.behind = behind
	t.mu.Unlock()
	if behind {
		t.notify()
	}
	return list, nil
}

// take adds what the tail has not seen of a page.
func (t *Tail) take(list []Seen, p tailPage) []Seen {
	for _, s := range p.seen {
		if !s.seenBy(t.from) {
			t.from = t.from.later(s.at)
			list = append(list, Seen{s.Message, t.from.String()})
		}
	}
	t.from = t.from.later(p.to)
	return list
}

// show hands the tail a look that was shared, or an error after which no more come.
func (t *Tail) show(p tailPage, err error) {
	t.mu.Lock()
	switch {
	case err != nil:
		t.err = err
	case t.behind: // it comes to this by itself
	case len(t.pages) == maxTailPages:
		t.pages, t.behind = nil, true
	default:
		t.pages = append(t.pages, p)
	}
	t.mu.Unlock()
	t.notify()
}

// Close ends the tail.
func (t *Tail) Close() { t.store.watches.leave(t) }

// tailPage is what one look has shown.
type tailPage struct {
	from, to position
	seen     []seenAt
	more     bool // there may be more behind it
}

type seenAt struct {
	Message
	part part
	at   position // behind the message
}

// part is where a message was found, and so which part of a position counts for it.
type part int

const (
	listed part = iota
	others
	groups
)

// seenBy reports whether whoever is at p has seen the message.
func (s *seenAt) seenBy(p position) bool {
	switch s.part {
	case listed:
		return compareNumbers(s.at.list, p.list) <= 0
	case others:
		return compareTimes(s.at, p) <= 0
	}
	place := placeOf(s.at.entry)
	return compareNumbers(place, p.placed) <= 0 || compareNumbers(place, p.upto) <= 0 && s.at.entry <= p.entry
}

// tail looks at what has become available behind a position.
func (s *Store) tail(ctx context.Context, a address, from position, limit int) (tailPage, error) {
	page := tailPage{from: from}
	err := s.with(ctx, a.tenant, a.name, func(d *desk) error {
		if d.shards != nil {
			return ErrSharded
		}
		reply, err := d.alone(ctx, tailScript, func(c *config) []any {
			return []any{from.list, from.since, from.after, from.placed, from.upto, from.entry, limit, c.Retention.Milliseconds()}
		})
		if err != nil {
			return err
		}
		page.to = position{engine.Text(reply, 2), engine.Text(reply, 3), engine.Text(reply, 4), engine.Text(reply, 5), engine.Text(reply, 6), engine.Text(reply, 7)}
		page.more, page.seen = engine.Text(reply, 8) == "1", nil
		if from == (position{}) {
			page.from = page.to
		}
		at := page.from
		for i := 9; i+6 < len(reply); i += 7 {
			letter, number, behind := engine.Text(reply, i), engine.Text(reply, i+5), engine.Text(reply, i+6)
			var found part
			switch {
			case letter == "r":
				found, at.list = listed, number
			case len(behind) == engine.IDSize:
				found, at.since, at.after = others, number, behind
			default:
				found, at.upto, at.entry = groups, number, behind
			}
			m, err := d.parsePeeked(letter, engine.Text(reply, i+1), engine.Text(reply, i+2), engine.Text(reply, i+3), engine.Text(reply, i+4))
			if err != nil {
				d.store.logger.Error("a stored message cannot be read", "queue", d.at.name, "uid", d.uid, "error", err.Error())
				continue
			}
			page.seen = append(page.seen, seenAt{m, found, at})
		}
		return nil
	})
	return page, err
}

// position is how far a tail has come: in the list, in what became available otherwise, and in the groups; see
// lua/tail.lua. The zero value is the end as it is now.
type position struct{ list, since, after, placed, upto, entry string }

func (p position) String() string {
	head := p.list + "|" + p.since + "|" + p.placed + "|" + p.upto + "|"
	return base64.RawURLEncoding.EncodeToString([]byte(head + p.after + p.entry))
}

// entrySize is that of an entry of the ZSET members.
const entrySize = groupSize + placeSize + engine.IDSize

func parsePosition(cursor string) (position, error) {
	switch cursor {
	case TailNow:
		return position{}, nil
	case TailBeginning:
		return position{list: "0", since: "0", placed: "0", upto: "0"}, nil
	}
	raw, err := base64.RawURLEncoding.Strict().DecodeString(cursor)
	f := strings.SplitN(string(raw), "|", 5)
	bad := err != nil || len(f) < 5
	for i := 0; i < 4 && !bad; i++ {
		_, err := strconv.ParseUint(f[i], 10, 53) // what Lua and scores can hold
		bad = err != nil
	}
	if !bad {
		p := position{list: f[0], since: f[1], placed: f[2], upto: f[3]}
		switch len(f[4]) {
		case 0:
			return p, nil
		case engine.IDSize:
			p.after = f[4]
			return p, nil
		case entrySize:
			p.entry = f[4]
			return p, nil
		case engine.IDSize + entrySize:
			p.after, p.entry = f[4][:engine.IDSize], f[4][engine.IDSize:]
			return p, nil
		}
	}
	return position{}, queryError("cursor", "The cursor is not one of a tail. Start again without a cursor.")
}

// seenBy reports whether whoever is at q has seen all that p has seen.
func (p position) seenBy(q position) bool {
	return compareNumbers(p.list, q.list) <= 0 && compareTimes(p, q) <= 0 && p.groupsSeenBy(q)
}

func (p position) groupsSeenBy(q position) bool {
	return compareNumbers(p.upto, q.placed) <= 0 ||
		compareNumbers(p.placed, q.placed) <= 0 && compareNumbers(p.upto, q.upto) <= 0 && p.entry <= q.entry
}

// later is the later of each part. Of the groups, p must not be within another round than q: a tail that reads by itself
// is shown no rounds of others.
func (p position) later(q position) position {
	if compareNumbers(p.list, q.list) < 0 {
		p.list = q.list
	}
	if compareTimes(p, q) < 0 {
		p.since, p.after = q.since, q.after
	}
	if !q.groupsSeenBy(p) {
		if compareNumbers(p.placed, q.placed) < 0 {
			p.placed = q.placed
		}
		p.upto, p.entry = q.upto, q.entry
	}
	return p
}

func compareTimes(p, q position) int {
	return cmp.Or(compareNumbers(p.since, q.since), strings.Compare(p.after, q.after))
}

// compareNumbers compares what Lua and ParseUint take for numbers without signs or leading zeros.
func compareNumbers(a, b string) int {
	return cmp.Or(cmp.Compare(len(a), len(b)), strings.Compare(a, b))
}

// placeOf returns the place of an entry as a number.
func placeOf(entry string) string {
	var b [8]byte
	copy(b[1:], entry[groupSize:groupSize+placeSize])
	return strconv.FormatUint(binary.BigEndian.Uint64(b[:]), 10)
}

// watches look at the queues that have tails on this server.
type watches struct {
	mu sync.Mutex
	of map[address]*watch
}

// watch looks at one queue for all its tails. It is guarded by watches.mu.
type watch struct {
	store *Store
	at    address
	from  position
	tails map[*Tail]struct{}
	timer clock.Timer
}

// join adds a tail. end is where the queue ended a moment ago.
func (w *watches) join(t *Tail, end position) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.of == nil {
		w.of = map[address]*watch{}
	}
	one := w.of[t.at]
	if one == nil {
		one = &watch{store: t.store, at: t.at, from: end, tails: map[*Tail]struct{}{}}
		one.timer = t.store.clock.AfterFunc(tailPace, one.look)
		w.of[t.at] = one
	}
	one.tails[t] = struct{}{}
}

func (w *watches) leave(t *Tail) {
	w.mu.Lock()
	defer w.mu.Unlock()
	one := w.of[t.at]
	if one == nil {
		return
	}
	delete(one.tails, t)
	if len(one.tails) == 0 {
		one.timer.Stop()
		delete(w.of, t.at)
	}
}

// look shows the tails what is new.
func (w *watch) look() {
	page, err := w.store.tail(context.Background(), w.at, w.from, MaxPeek)
	all := &w.store.watches
	all.mu.Lock()
	defer all.mu.Unlock()
	if all.of[w.at] != w {
		return // the last tail has gone meanwhile
	}
	pace := tailPace
	switch {
	case errors.Is(err, ErrQueueNotFound) || errors.Is(err, ErrDataLost) || errors.Is(err, ErrSharded):
		for t := range w.tails {
			t.show(page, err)
		}
	case err == nil:
		w.from = page.to
		if page.more {
			pace = tailRush
		}
		for t := range w.tails {
			if len(page.seen) > 0 {
				t.show(page, nil)
			}
		}
	}
	w.timer = w.store.clock.AfterFunc(pace, w.look)
}
