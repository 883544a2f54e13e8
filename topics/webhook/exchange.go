package webhook

import (
	"context"
	"errors"
	"math"
	"strconv"
	"strings"

	"github.com/sluicemq/sluice/internal/engine"
	"github.com/sluicemq/sluice/topics"
)

// exchanged is what exchange.lua says.
type exchanged struct {
	config   *config // nil: as the caller knows it
	next     int64   // in how many milliseconds to look again, or -1
	mark     int64
	old      bool // messages should be copied out of the log
	disabled bool
	more     bool // there is more due that may be sent
	// challenge: the endpoint is to be challenged, which takes one of the attempts that were asked for.
	challenge bool
	letters   bool // dead letters are to be brought to their queue
	untold    bool // what befell the webhook is to be told
	// over: the subscription is to end, because its endpoint did not confirm it in time.
	over bool
	lent [][]lent // by the requests that carry them
}

// errDamaged says that the settings or secrets of a webhook cannot be read. Their texts are no part of it.
var errDamaged = errors.New("what is stored of the webhook cannot be read")

// taken is how many attempts begin now.
func (e *exchanged) taken() int {
	if e.challenge {
		return len(e.lent) + 1
	}
	return len(e.lent)
}

// exchange notes results and borrows entries with their messages for up to n requests, each of which carries so many at most, if it
// carries several.
func (s *Store) exchange(ctx context.Context, id identity, known *config, results []result, n, each int) (exchanged, error) {
	ctx = context.WithoutCancel(ctx) // what was done is noted also when the server is about to end
	args := make([]any, 0, 11+11*len(results))
	args = append(args, known.lending(n)...)
	args = append(args, breakFirst.Milliseconds(), breakMost.Milliseconds(), dice(),
		breakAfter, disableAfter.Milliseconds(), disableFailures, each)
	for i := range results {
		r := &results[i]
		charged := 0
		if r.verdict.charged {
			charged = 1
		}
		args = append(args, r.verdict.outcome, r.entry, r.lease, charged, r.verdict.wait.Milliseconds(), r.verdict.peace.Milliseconds(),
			r.verdict.health, r.verdict.code, r.message, r.log, r.short)
	}
	if err := s.step("settling"); err != nil {
		return exchanged{}, err
	}
	list, err := s.call(ctx, exchangeScript, id, args...)
	if err != nil {
		return exchanged{}, err
	}
	return s.readExchanged(ctx, id, known, list)
}

// lending is what scripts are told that lend entries for up to n requests: for how many milliseconds, n, how many requests may be under
// way at the same time, and the number of the settings, which may be nil.
func (c *config) lending(n int) []any {
	if c == nil {
		return []any{(MaxTimeout + leaseSlack).Milliseconds(), n, 1, 0}
	}
	return []any{(c.endpoint.Timeout + leaseSlack).Milliseconds(), n, c.endpoint.MaxInFlight, c.number}
}

func (s *Store) readExchanged(ctx context.Context, id identity, known *config, list []any) (exchanged, error) {
	out := exchanged{next: engine.Number(list, 3), mark: engine.Number(list, 4), old: engine.Text(list, 5) == "1", disabled: engine.Text(list, 6) == "1", more: engine.Text(list, 7) == "1",
		challenge: engine.Text(list, 10) == "1", over: engine.Text(list, 10) == "2",
		letters: engine.Number(list, 11)&1 != 0, untold: engine.Number(list, 11)&2 != 0}
	c := known
	if c == nil || engine.Text(list, 8) != "" {
		var err error
		if c, err = s.parseConfig(id, engine.Number(list, 2), engine.Text(list, 8), engine.Text(list, 9)); err != nil {
			return exchanged{}, errDamaged
		}
		out.config = c
	}
	var all []lent
	for i := 12; i+3 < len(list); i += 4 {
		l := parseLent(engine.Text(list, i), engine.Text(list, i+1), engine.Text(list, i+2))
		l.gap = engine.Number(list, i+3)
		all = append(all, l)
	}
	if len(all) == 0 {
		return out, nil
	}
	if !c.several() {
		s.fill(ctx, id, c, all, math.MaxInt)
	}
	if out.lent = c.groups(all); c.several() {
		for _, list := range out.lent {
			s.fill(ctx, id, c, list, c.endpoint.Batch.Bytes)
		}
	}
	return out, nil
}

// parseLent reads what is lent. What cannot be read says so, and is no reason not to send the rest.
func parseLent(entry, lease, state string) lent {
	l := lent{entry: entry, lease: lease}
	sequence, ok := sequenceOf(entry)
	if !ok {
		l.lacks = damaged
		return l
	}
	if state == "" {
		return l
	}
	head, message, whole := strings.Cut(state, "|")
	fields := strings.Split(head, ",")
	if !whole || len(fields) != 3 || fields[2] == damaged {
		l.lacks = damaged
		return l
	}
	var err error
	if l.tries, err = strconv.ParseInt(fields[0], 10, 64); err != nil {
		l.lacks = damaged
		return l
	}
	if times, ok := strings.CutPrefix(fields[2], "lost_"); ok {
		if n, _ := strconv.ParseInt(times, 10, 64); n >= maxLost {
			l.lacks = noResult
			return l
		}
	}
	if message == "" {
		return l
	}
	m, err := unpack(sequence, message)
	if err != nil {
		l.lacks = damaged
		return l
	}
	l.message, l.stored = &m, true
	return l
}

// fill finds the messages of entries that are pointers to the topic's log. It stops when it has read so many bytes of them, or some more.
func (s *Store) fill(ctx context.Context, id identity, c *config, list []lent, most int) {
	var asked []int64
	at := map[int64]*lent{}
	for i := range list {
		l := &list[i]
		if l.message != nil || l.lacks != "" {
			continue
		}
		sequence, ok := sequenceOf(l.entry)
		if !ok {
			l.lacks = damaged
		} else if l.message = s.bodies.get(c.settings.TopicUID, sequence); l.message == nil {
			asked = append(asked, sequence)
			at[sequence] = l
		}
	}
	for len(asked) > 0 {
		found, err := s.fetch(ctx, id, c, asked)
		if err != nil || found.Told == 0 {
			s.logger.Warn("messages for a webhook could not be read; they are kept", "tenant", id.tenant.String(), "uid", id.uid)
			return
		}
		for i := range found.Messages {
			at[found.Messages[i].Sequence].message = &found.Messages[i]
			most -= len(found.Messages[i].Message.Body)
		}
		for _, sequence := range found.Damaged {
			at[sequence].lacks = damaged
		}
		for _, sequence := range asked[:found.Told] {
			if l := at[sequence]; l.message == nil && l.lacks == "" {
				l.lacks = notRetained
			}
		}
		if asked = asked[found.Told:]; most <= 0 {
			for _, sequence := range asked {
				at[sequence].beyond = true
			}
			return
		}
	}
}

// fetch reads messages of the log, as many as one call gives, and remembers them.
func (s *Store) fetch(ctx context.Context, id identity, c *config, sequences []int64) (topics.Fetched, error) {
	found, err := s.topics.Fetch(ctx, id.tenant, c.settings.TopicUID, sequences[:min(len(sequences), topics.MaxRead)])
	for i := range found.Messages {
		s.bodies.put(c.settings.TopicUID, &found.Messages[i])
	}
	return found, err
}

// maxKeeps bounds the calls by which one visit copies messages out of the log, a hundred each.
const maxKeeps = 1000

// keep copies messages out of the topic's log that wait for long, because the endpoint is slow, down, paused or disabled. So
// the log of a topic is as long as its retention says, whatever one of its webhooks does.
func (p *pusher) keep(h *hook, c *config) {
	s := p.store
	defer func() {
		p.mu.Lock()
		h.keeping = false
		p.mu.Unlock()
	}()
	for range maxKeeps {
		list, err := s.call(s.life, oldScript, h.id, callEntries)
		if err != nil || len(list) < 2 {
			return
		}
		entries := make([]lent, len(list)-1)
		for i := range entries {
			entries[i].entry = engine.Text(list, i+1)
		}
		s.fill(s.life, h.id, c, entries, math.MaxInt)
		mark, room, err := s.store(s.life, h.id, entries)
		if err != nil {
			s.logger.Warn("messages of a webhook could not be copied out of the log", "tenant", h.id.tenant.String(), "uid", h.id.uid, "error", err.Error())
			return
		}
		p.mu.Lock()
		p.marks.note(s, h, mark)
		p.mu.Unlock()
		if !room {
			return // it is looked at again after a while
		}
	}
}

// store copies messages into a webhook's own store, as many calls as their sizes ask for, as long as there is room for any.
func (s *Store) store(ctx context.Context, id identity, entries []lent) (mark int64, room bool, err error) {
	room = true
	var args []any
	size := 0
	flush := func() error {
		if len(args) == 0 {
			return nil
		}
		list, err := s.call(ctx, keepScript, id, args...)
		mark, args, size = engine.Number(list, 1), nil, 0
		room = engine.Number(list, 2) > 0
		return err
	}
	for i := range entries {
		var m []byte
		if entries[i].message != nil {
			m = pack(entries[i].message)
		} else if entries[i].lacks == "" {
			return mark, room, engine.ErrUnavailable // it could not be read now
		}
		if size+len(m) > callBytes {
			if err := flush(); err != nil || !room {
				return mark, room, err
			}
		}
		args, size = append(args, entries[i].entry, m, entries[i].lacks), size+len(m)
	}
	err = flush()
	return mark, room, err
}
