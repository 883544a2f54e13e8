package topics

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/sluicemq/sluice/internal/engine"
	"github.com/sluicemq/sluice/internal/errs"
	"github.com/sluicemq/sluice/queues"
	"github.com/sluicemq/sluice/tenants"
)

// Bounds of one script call; see lua/lib/topic.lua.
const (
	callMessages = 100
	callBytes    = 512 << 10
	// aloneBytes is the size from which a message is not joined with others: its transfer would delay theirs.
	aloneBytes = 64 << 10
)

// Published is the answer to a publish: the log has the message.
type Published struct {
	ID       engine.ID
	Sequence int64 // its place in the log
	At       time.Time
	Replayed bool // an earlier publish with the same idempotency key or deduplication id stored it
	Now      time.Time
}

// PublishResult is what became of one message of a batch: Published, or Err.
type PublishResult struct {
	Published
	Err error
}

// Publish appends one message to a topic's log. When the outcome is unknown the error goes with the id that the message
// has if it was stored.
func (s *Store) Publish(ctx context.Context, t tenants.ID, name string, m queues.Outgoing) (Published, error) {
	results, err := s.PublishBatch(ctx, t, name, []queues.Outgoing{m}, false)
	if err != nil {
		return Published{}, err
	}
	return results[0].Published, results[0].Err
}

// PublishBatch appends messages in their order, as many as go in one step at a time, and says of each what became of it.
// With atomic all are appended in one step or none; then an error of one is the error of all.
func (s *Store) PublishBatch(ctx context.Context, t tenants.ID, name string, batch []queues.Outgoing, atomic bool) ([]PublishResult, error) {
	var results []PublishResult
	err := s.with(ctx, t, name, func(tp *topic) error {
		var err error
		results, err = tp.publishBatch(ctx, batch, atomic)
		return err
	})
	s.count(t, name, results, err)
	return results, err
}

// count counts what was published.
func (s *Store) count(t tenants.ID, name string, results []PublishResult, err error) {
	stored := int64(0)
	for i := range results {
		if err == nil && results[i].Err == nil && !results[i].Replayed {
			stored++
		}
	}
	s.meter.Add(t, tenants.KindTopic, name, tenants.MetricPublished, stored)
}

func (tp *topic) publishBatch(ctx context.Context, batch []queues.Outgoing, atomic bool) ([]PublishResult, error) {
	terms, err := tp.store.terms(ctx, tp.at.tenant)
	if err != nil {
		return nil, err
	}
	c, k, verdicts, err := tp.judge(ctx, batch, terms)
	if err != nil {
		return nil, err
	}
	results := make([]PublishResult, len(batch))
	storable := tp.store.storage.Most(ctx, tp.at.tenant, terms)
	call := &publishCall{check: k, most: storable, atomic: atomic, done: make(chan struct{})}
	// broken is why a part of a FIFO batch was not stored. What comes behind it must not overtake it.
	var broken error
	flush := func() error {
		if len(call.items) == 0 {
			return nil
		}
		err := tp.publish(ctx, call)
		if atomic || errors.Is(err, errGone) {
			return err
		}
		if IsFIFOName(tp.at.name) {
			broken = err
		}
		call = &publishCall{check: k, most: storable, done: make(chan struct{})}
		return nil
	}
	for i := range batch {
		m := &batch[i]
		if verdicts != nil && verdicts[i] != nil {
			if atomic {
				return nil, verdicts[i]
			}
			results[i].Err = verdicts[i]
			continue
		}
		item := tp.pack(m, c, k, &results[i])
		if n := len(call.items); !atomic && n > 0 && (n == callMessages || call.size+len(item.record) > callBytes) {
			if err := flush(); err != nil {
				return nil, err
			}
		}
		if broken != nil {
			results[i].Err = broken
			continue
		}
		call.items = append(call.items, item)
		call.size += len(item.record)
	}
	if atomic && (len(call.items) > MaxAtomicBatch || call.size > MaxAtomicBytes) {
		return nil, ErrAtomicTooLarge
	}
	return results, flush()
}

// judge returns the settings by which messages are judged, and why each is refused, nil when none is: before one is, the settings
// of now are asked.
func (tp *topic) judge(ctx context.Context, batch []queues.Outgoing, terms *tenants.Terms) (c *config, k check, verdicts []error, err error) {
	c = tp.config.Load()
	for fresh := false; ; fresh = true {
		if c, k, err = tp.checked(ctx, c); err != nil {
			return nil, check{}, nil, err
		}
		verdicts = nil
		for i := range batch {
			err := c.admit(&batch[i], terms)
			if err == nil {
				err = k.admit(ctx, tp.store, &batch[i])
			}
			if err != nil && verdicts == nil {
				verdicts = make([]error, len(batch))
			}
			if err != nil {
				verdicts[i] = err
			}
		}
		if verdicts == nil || fresh {
			return c, k, verdicts, nil
		}
		now, _, err := tp.store.load(ctx, tp.keys, nil)
		if err != nil {
			return nil, check{}, nil, err
		}
		tp.config.Store(now)
		if now.version == c.version {
			return c, k, verdicts, nil
		}
		c = now
	}
}

// publish carries out a call. Its messages are judged again when the topic has got another schema meanwhile.
func (tp *topic) publish(ctx context.Context, call *publishCall) error {
	for range maxStale {
		tp.publishes.add(call)
		<-call.done
		if !errors.Is(call.err, errOtherSchema) {
			return call.err
		}
		_, k, err := tp.checked(ctx, tp.config.Load())
		if err != nil {
			return call.fail(err)
		}
		items := call.items[:0]
		for _, item := range call.items {
			err := k.admit(ctx, tp.store, item.message)
			switch {
			case err != nil && call.atomic:
				return err
			case err != nil:
				item.result.Err = err
			default:
				item.record = k.record(item.message)
				items = append(items, item)
			}
		}
		if call = (&publishCall{check: k, most: call.most, items: items, size: call.size, atomic: call.atomic, done: make(chan struct{})}); len(items) == 0 {
			return nil
		}
	}
	return call.fail(engine.ErrUnavailable)
}

// errOtherSchema says that the messages of a call were checked by another schema than the topic has.
var errOtherSchema = errors.New("the topic has another schema by now")

// admit checks a message of a tenant with these terms. Errors point at the part at fault.
func (c *config) admit(m *queues.Outgoing, terms *tenants.Terms) error {
	isFIFO := IsFIFOName(c.name)
	switch {
	case m.Delay != nil:
		return errs.Invalidf("/delay", "A message is published at once: it has no delay. Set the delay of the queues that subscribe.")
	case m.TTL != 0:
		return errs.Invalidf("/ttl", "A published message has no end of its own; the queues that subscribe have a retention.")
	case m.Priority != 0:
		return errs.Invalidf("/priority", "A published message has no priority.")
	case m.Retry != nil:
		return errs.Invalidf("/retry", "A published message has no retry policy of its own; the queues that subscribe have one.")
	case isFIFO && m.GroupID == "":
		return ErrGroupRequired
	case isFIFO && m.DeduplicationID == "" && m.IdempotencyKey == "" && !c.ContentBased:
		return ErrDeduplicationRequired
	case !isFIFO && m.DeduplicationID != "":
		return errs.Invalidf("/deduplication_id", "Only FIFO topics take a deduplication id. For a standard topic use the header Idempotency-Key.")
	}
	if size, most := sizeOf(m)+len(m.HTTP)+len(m.HTTPS), min(MaxMessageSize, int(terms.Limits[tenants.LimitMessageSize])); size > most {
		e := *ErrMessageTooLarge
		e.Message = fmt.Sprintf("The message has %d bytes with its attributes; this tenant may publish at most %d.", size, most)
		return &e
	}
	return m.Validate(c.asQueue())
}

// sizeOf returns how many bytes a message has with its attributes.
func sizeOf(m *queues.Outgoing) int {
	size := len(m.Body)
	for _, a := range m.Attributes {
		size += len(a.Name) + len(a.Type) + len(a.Value)
	}
	return size
}

// publishCall is one caller's messages for one script call.
type publishCall struct {
	check  check // by which they were admitted
	most   int64 // bytes that the tenant may store; 0: any number
	items  []publishItem
	size   int
	atomic bool
	err    error
	done   chan struct{}
}

// publishItem is one message on its way.
type publishItem struct {
	head, record []byte
	message      *queues.Outgoing
	result       *PublishResult
}

// fail gives a call up whose messages are certainly not stored.
func (c *publishCall) fail(err error) error {
	for i := range c.items {
		c.items[i].result.Err = err
	}
	return err
}

// pack prepares a message as publish.lua takes it. Its id is made here, before the call, so that a call that is repeated
// stores the same message.
func (tp *topic) pack(m *queues.Outgoing, c *config, k check, result *PublishResult) publishItem {
	result.ID = tp.store.engine.NewID(0)
	head := append(make([]byte, 0, 36), result.ID[:]...)
	return publishItem{head: append(head, m.RecognisedBy(c.asQueue())...), record: k.record(m), message: m, result: result}
}

// runPublishes appends the messages of several callers in one script call.
func (tp *topic) runPublishes(batch []*publishCall) {
	// The numbers are those of the whole server: a topic that it forgot and meets again must not begin anew.
	batch, reply, err := tp.append(context.Background(), tp.store.calls.Add(1), batch)
	now, verdicts := engine.Number(reply, 1), engine.Text(reply, 2)
	for _, c := range batch {
		for i := range c.items {
			one := c.items[i].result
			one.Now = at(now)
			switch {
			case err != nil:
				one.Err = err
			case len(verdicts) < verdictSize:
				one.Err = unexpected(verdicts)
			default:
				one.judge(verdicts[:verdictSize])
				verdicts = verdicts[verdictSize:]
			}
		}
		c.err = err
		close(c.done)
	}
	if err != nil || len(batch) == 0 {
		return
	}
	tp.readers.tell()
	if engine.Text(reply, 3) == "1" {
		tp.store.carry(tp.at.tenant, tp.uid)
	}
}

// append runs publish.lua for a batch of calls, and returns those that it was run for: the others were checked by another schema
// than that of now.
func (tp *topic) append(ctx context.Context, seq int64, batch []*publishCall) ([]*publishCall, []any, error) {
	s, entry, draws := tp.store, int64(0), 0
	for range maxStale {
		c, asked := tp.config.Load(), s.clock.Now()
		if batch = c.checkedBy(batch); len(batch) == 0 {
			return nil, nil, nil
		}
		args := tp.publishArgs(c, seq, entry, batch)
		reply, err := s.engine.Do(ctx, publishScript, tp.keys, args...)
		if err != nil {
			return batch, nil, err
		}
		list, err := verdict(reply)
		if err != nil {
			return batch, nil, err
		}
		switch engine.Text(list, 0) {
		case "ok":
			tp.policy.Confirm(asked)
			return batch, list, nil
		case "stale":
			now, err := decodeConfig(engine.Text(list, 1), engine.Text(list, 2))
			if err != nil {
				return batch, nil, engine.ErrBroken.Because(err)
			}
			tp.config.Store(now)
		case "idle":
			if entry, err = s.enter(ctx, tp.at.tenant, tp.uid, engine.Number(list, 1)); err != nil {
				return batch, nil, err
			}
		case "short":
			if draws++; draws > maxDraws {
				return batch, nil, engine.ErrUnavailable // others fill what is drawn
			}
			if err := tp.draw(ctx, batch[len(batch)-1].most, tenants.DrawNone, list); err != nil {
				return batch, nil, err
			}
		case "refused":
			return batch, nil, refusedBy(engine.Text(list, 1))
		default:
			return batch, nil, tp.store.refused(engine.Text(list, 0))
		}
	}
	return batch, nil, engine.ErrUnavailable
}

// checkedBy returns the calls whose messages were checked by the schema of these settings, and ends the others.
func (c *config) checkedBy(batch []*publishCall) []*publishCall {
	v, _ := c.Schemas.version(ofNoVersion)
	if !slices.ContainsFunc(batch, func(p *publishCall) bool { return p.check.version != v }) {
		return batch
	}
	var same []*publishCall
	for _, p := range batch {
		if p.check.version == v {
			same = append(same, p)
			continue
		}
		p.err = errOtherSchema
		close(p.done)
	}
	return same
}

func (tp *topic) publishArgs(c *config, seq, entry int64, batch []*publishCall) []any {
	s := tp.store
	atomic := 0
	if batch[0].atomic {
		atomic = 1
	}
	tell := ""
	if batch[len(batch)-1].most > 0 {
		tell = "1"
	}
	session := s.engine.Session().Number()
	args := make([]any, 0, 14+2*callMessages)
	args = append(args, c.version, fmt.Sprintf("L%d.0", session), seq, session, entry, leaseTime.Milliseconds(),
		c.Retention.Milliseconds(), Hold.Milliseconds(), dedupWindow.Milliseconds(), c.maxKeys(), s.maxLog(), MaxLogBytes, atomic, tell)
	for _, call := range batch {
		for i := range call.items {
			args = append(args, call.items[i].head, call.items[i].record)
		}
	}
	return args
}

// maxLog is how many messages the log of a topic may hold.
func (s *Store) maxLog() int {
	if s.engine.Memory() {
		return memoryMessages
	}
	return MaxLogMessages
}

func (s *Store) refused(word string) error {
	switch word {
	case "full":
		if s.engine.Memory() {
			return errMemoryFull
		}
		return ErrLogFull
	case "full_bytes":
		return ErrBytesFull
	case "dedup_full":
		return ErrKeysFull
	case "conflict":
		return ErrKeyReused
	case "late":
		return engine.ErrUnknown.Because(errLate)
	}
	return unexpected(word)
}

var errLate = errors.New("a later call has taken the lane")

// A verdict of publish.lua is a letter, an id and a place.
const (
	placeSize   = 7
	verdictSize = 1 + engine.IDSize + placeSize
)

func (r *PublishResult) judge(v string) {
	if v[0] == 'c' {
		r.Err = ErrKeyReused
		return
	}
	copy(r.ID[:], v[1:])
	r.Sequence, r.Replayed = parsePlace(v[1+engine.IDSize:]), v[0] == 'd'
	r.At = publishedAt(r.Sequence)
}

func parsePlace(place string) int64 {
	var b [8]byte
	copy(b[1:], place)
	return int64(binary.BigEndian.Uint64(b[:]))
}

// Sequence numbers are times since 2025, in 1/4096 ms, that never repeat and never go back.
const (
	epoch = 1735689600000
	fence = 4096
)

// PublishedAt returns when the message with a sequence number was published.
func PublishedAt(sequence int64) time.Time { return publishedAt(sequence) }

// publishedAt returns when the message with a sequence number was published. After more than 4,096 publishes in one
// millisecond it is a little later.
func publishedAt(sequence int64) time.Time { return at(sequence/fence + epoch) }

// maxSequence is behind all sequence numbers: what Lua's numbers hold exactly.
const maxSequence = 1<<53 - 1

// sequenceAt returns the smallest sequence number that a message published at an instant may have.
func sequenceAt(t time.Time) int64 { return max(t.UnixMilli()-epoch, 0) * fence }

// gatherer joins publishes to one topic. While none is under way one leaves at once; those that come meanwhile leave
// together when it is back. So many callers share a round trip and an fsync, and a lone one waits for nobody.
type gatherer struct {
	run func([]*publishCall)

	mu      sync.Mutex
	busy    bool
	pending []*publishCall
}

// add carries out a call, in this goroutine or another. It may return before or after the call is done.
func (g *gatherer) add(c *publishCall) {
	g.mu.Lock()
	g.pending = append(g.pending, c)
	if g.busy {
		g.mu.Unlock()
		return
	}
	g.busy = true
	batch := g.take()
	g.mu.Unlock()
	g.run(batch)
	if batch = g.next(); batch != nil {
		go func() { // so that the caller who came first may go
			for ; batch != nil; batch = g.next() {
				g.run(batch)
			}
		}()
	}
}

// next returns what has gathered, and nil when there is nothing.
func (g *gatherer) next() []*publishCall {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.busy = len(g.pending) > 0
	if !g.busy {
		return nil
	}
	return g.take()
}

// take removes the calls of the next batch from pending: at least one, then as many as fit. An atomic one travels alone.
func (g *gatherer) take() []*publishCall {
	messages, size, n := 0, 0, 0
	for _, c := range g.pending {
		messages, size = messages+len(c.items), size+c.size
		alone := c.atomic || c.size > aloneBytes
		if n > 0 && (alone || messages > callMessages || size > callBytes) {
			break
		}
		n++
		if alone {
			break
		}
	}
	batch := g.pending[:n:n]
	if g.pending = g.pending[n:]; len(g.pending) == 0 {
		g.pending = nil
	}
	return batch
}
