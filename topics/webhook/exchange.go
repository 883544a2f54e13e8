package webhook

import (
	"context"
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
	lent     []lent
}

// exchange notes results and borrows up to n entries with their messages.
func (s *Store) exchange(ctx context.Context, id identity, known *config, results []result, n int) (exchanged, error) {
	ctx = context.WithoutCancel(ctx) // what was done is noted also when the server is about to end
	number, most, timeout := int64(0), 1, MaxTimeout
	if known != nil {
		number, most, timeout = known.number, known.endpoint.MaxInFlight, known.endpoint.Timeout
	}
	args := make([]any, 0, 10+10*len(results))
	args = append(args, (timeout + leaseSlack).Milliseconds(), n, most, number, breakFirst.Milliseconds(), breakMost.Milliseconds(), dice(),
		breakAfter, disableAfter.Milliseconds(), disableFailures)
	for i := range results {
		r := &results[i]
		charged := 0
		if r.verdict.charged {
			charged = 1
		}
		args = append(args, r.verdict.outcome, r.entry, r.lease, charged, r.verdict.wait.Milliseconds(), r.verdict.peace.Milliseconds(),
			r.verdict.health, r.verdict.code, r.message, r.log)
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

func (s *Store) readExchanged(ctx context.Context, id identity, known *config, list []any) (exchanged, error) {
	out := exchanged{next: engine.Number(list, 3), mark: engine.Number(list, 4), old: engine.Text(list, 5) == "1", disabled: engine.Text(list, 6) == "1", more: engine.Number(list, 7) > 0}
	c := known
	if engine.Text(list, 8) != "" {
		var err error
		if c, err = s.parseConfig(engine.Number(list, 2), engine.Text(list, 8), engine.Text(list, 9)); err != nil {
			return exchanged{}, err
		}
		out.config = c
	}
	for i := 10; i+2 < len(list); i += 3 {
		l, err := parseLent(engine.Text(list, i), engine.Text(list, i+1), engine.Text(list, i+2))
		if err != nil {
			return exchanged{}, err
		}
		out.lent = append(out.lent, l)
	}
	s.fill(ctx, id, c, out.lent)
	return out, nil
}

func parseLent(entry, lease, state string) (lent, error) {
	l := lent{entry: entry, lease: lease}
	head, message, _ := strings.Cut(state, "|")
	tries, _, _ := strings.Cut(head, ",")
	l.tries, _ = strconv.ParseInt(tries, 10, 64)
	if message == "" {
		return l, nil
	}
	sequence, _ := sequenceOf(entry)
	m, err := unpack(sequence, message)
	l.message, l.stored = &m, true
	return l, err
}

// fill finds the messages of entries that are pointers to the topic's log.
func (s *Store) fill(ctx context.Context, id identity, c *config, list []lent) {
	var asked []int64
	at := map[int64]*lent{}
	for i := range list {
		l := &list[i]
		if l.message != nil {
			continue
		}
		sequence, _ := sequenceOf(l.entry)
		if l.message = s.bodies.get(c.settings.TopicUID, sequence); l.message == nil {
			asked = append(asked, sequence)
			at[sequence] = l
		}
	}
	for len(asked) > 0 {
		found, told, err := s.fetch(ctx, id, c, asked)
		if err != nil || told == 0 {
			s.logger.Warn("messages for a webhook could not be read; they are kept", "tenant", id.tenant.String(), "uid", id.uid)
			return
		}
		for i := range found {
			at[found[i].Sequence].message = &found[i]
		}
		for _, sequence := range asked[:told] {
			at[sequence].missing = at[sequence].message == nil
		}
		asked = asked[told:]
	}
}

// fetch reads messages of the log, as many as one call gives, and remembers them.
func (s *Store) fetch(ctx context.Context, id identity, c *config, sequences []int64) ([]topics.Logged, int, error) {
	found, told, err := s.topics.Fetch(ctx, id.tenant, c.settings.TopicUID, sequences[:min(len(sequences), topics.MaxRead)])
	if err != nil {
		return nil, 0, err
	}
	for i := range found {
		s.bodies.put(c.settings.TopicUID, &found[i])
	}
	return found, told, nil
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
		s.fill(s.life, h.id, c, entries)
		mark, err := s.store(s.life, h.id, entries)
		if err != nil {
			s.logger.Warn("messages of a webhook could not be copied out of the log", "tenant", h.id.tenant.String(), "uid", h.id.uid, "error", err.Error())
			return
		}
		p.mu.Lock()
		p.marks.note(s, h, mark)
		p.mu.Unlock()
	}
}

// store copies messages into a webhook's own store, as many calls as their sizes ask for.
func (s *Store) store(ctx context.Context, id identity, entries []lent) (mark int64, err error) {
	var args []any
	size := 0
	flush := func() error {
		if len(args) == 0 {
			return nil
		}
		list, err := s.call(ctx, keepScript, id, args...)
		mark, args, size = engine.Number(list, 1), nil, 0
		return err
	}
	for i := range entries {
		var m []byte
		if entries[i].message != nil {
			m = pack(entries[i].message)
		} else if !entries[i].missing {
			return mark, engine.ErrUnavailable // it could not be read now
		}
		if size+len(m) > callBytes {
			if err := flush(); err != nil {
				return mark, err
			}
		}
		args, size = append(args, entries[i].entry, m), size+len(m)
	}
	return mark, flush()
}
