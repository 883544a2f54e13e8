package topics

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"github.com/sluicemq/sluice/internal/clock"
	"github.com/sluicemq/sluice/internal/engine"
	"github.com/sluicemq/sluice/internal/errs"
	"github.com/sluicemq/sluice/internal/filter"
	"github.com/sluicemq/sluice/queues"
	"github.com/sluicemq/sluice/tenants"
)

const (
	// maxPages bounds the pages of the log that one round reads: subscriptions that are at the same place share one.
	maxPages = 8
	// gather is how long a round waits for its deliveries. One that takes longer, because a Redis node is slow, is dealt
	// with in a later round, so that it does not hold up the others.
	gather = 50 * time.Millisecond
	// advanceAtOnce bounds the subscriptions of one call of advance.lua.
	advanceAtOnce = 100
	// needsAll is the mark of a webhook that could not be asked: it may point to whatever the log has. It says more once it can.
	needsAll = 1
)

// round carries a topic's messages. It knows where its subscriptions are as long as nobody else changes that, and reads
// it again when somebody did. It is used by one goroutine at a time.
type round struct {
	store  *Store
	tenant tenants.ID
	uid    string
	keys   []string
	wake   func() // asks for another turn

	config  *config
	sender  *Sender // nil while no subscription needs one
	version string  // of the subscriptions; "": they must be read
	subs    []*carried
	aside   map[string]bool // names of subscriptions that are damaged
	last    int64           // the last sequence number that was published, as far as known
	results chan result
	pending int         // deliveries under way
	waiting atomic.Bool // the turn that is under way waits for them
}

// carried is a subscription as round knows it.
type carried struct {
	record
	rules []rule // one for each version
	busy  bool   // a delivery is under way
	slow  bool   // it is brought what there is behind the others
	tries int    // deliveries in a row that did not get through
	until time.Time
	timer clock.Timer
}

// rule is what a version of a subscription's settings asks for.
type rule struct {
	from      int64
	policy    *filter.Policy
	policyKey string // by which it is found again: scope and text
	format    Format
	end       int64 // the sequence number from which on nothing is let through; 0: there is none
}

// rule returns the one that held when the message with a sequence number was published.
func (c *carried) rule(sequence int64) *rule {
	i := len(c.rules) - 1
	for i > 0 && c.rules[i].from >= sequence {
		i--
	}
	return &c.rules[i]
}

// result is what became of a part of the log for one subscription.
type result struct {
	sub                          *carried
	from, to                     int64
	delivered, filtered, dropped int64
	failed                       int64
	mark                         int64  // of a webhook: up to where it does not need the log; 0: it is not known
	expired                      bool   // all that came before `to` and is not kept any more was dropped
	trouble                      string // "=": as before
	full                         string // the name of the subscription where publishes are to be refused; "=": as before
	slow                         bool   // what it gets next comes behind what others get
	retry, grave                 bool   // it is to be tried again, after a while that grows where something is wrong
	damaged                      []int64
}

func (r *round) init(s *Store, t tenants.ID, uid string, wake func()) {
	r.store, r.tenant, r.uid, r.keys, r.wake = s, t, uid, topicKeys(t, uid), wake
	r.results = make(chan result, MaxSubscriptions)
}

// stop ends what would wake it.
func (r *round) stop() {
	for _, c := range r.subs {
		if c.timer != nil {
			c.timer.Stop()
		}
	}
}

// turn carries a page of the log, or as many as there are places at which subscriptions are, and reports whether there is
// more to do at once.
func (r *round) turn(ctx context.Context) (more bool, err error) {
	defer func() {
		r.waiting.Store(false)
		more = more || len(r.results) > 0 // whoever has not seen that has left its result before
	}()
	if err := r.advance(ctx, r.collect(nil)); err != nil {
		return false, err
	}
	if r.version == "" {
		if err := r.read(ctx); err != nil {
			return false, err
		}
	}
	places := r.places()
	idle := len(places) == 0
	if idle {
		places = []int64{r.last} // look whether there is something new
	}
	r.waiting.Store(true)
	launched := 0
	var f fetched
	for _, place := range places {
		if f, err = r.fetch(ctx, place); errors.Is(err, errNews) {
			r.version = ""
			return true, nil
		}
		if err != nil {
			return false, err
		}
		n, done := r.launch(ctx, place, f)
		launched += n
		if err := r.advance(ctx, done); err != nil {
			return false, err
		}
	}
	if err := r.store.step("carrying"); err != nil {
		return false, err
	}
	if launched > 0 {
		done := r.collect(time.After(gather))
		if err := r.store.step("delivered"); err != nil {
			return false, err
		}
		return true, r.advance(ctx, done)
	}
	if !idle || len(f.page) > 0 || r.version == "" {
		return true, nil
	}
	return false, r.settle(ctx, f)
}

// places are the sequence numbers behind which there is something for subscriptions that can take it, the latest first.
func (r *round) places() []int64 {
	var list []int64
	now := r.store.clock.Now()
	for _, c := range r.subs {
		if c.ready(now) && c.cursor < r.last && !slices.Contains(list, c.cursor) {
			list = append(list, c.cursor)
		}
	}
	slices.SortFunc(list, func(a, b int64) int { return cmp.Compare(b, a) })
	if len(list) > maxPages {
		// Whoever is behind must get on as well, so half of them are the last ones.
		list = append(list[:maxPages/2], list[len(list)-maxPages/2:]...)
	}
	return list
}

// rank says who is brought messages first.
func (c *carried) rank() int {
	if c.slow {
		return 1
	}
	return 0
}

func (c *carried) ready(now time.Time) bool { return !c.busy && c.paused == 0 && !now.Before(c.until) }

// read learns the topic's settings and its subscriptions.
func (r *round) read(ctx context.Context) error {
	c, _, err := r.store.load(ctx, r.keys, nil)
	if err != nil {
		return err
	}
	snap, err := r.store.subscriptions(ctx, r.keys, "", "0")
	if err != nil {
		return err
	}
	known := map[string]*carried{}
	for _, s := range r.subs {
		known[s.versions[0].UID] = s
	}
	subs := make([]*carried, 0, len(snap.list))
	aside := map[string]bool{}
	for _, rec := range snap.list {
		s := &carried{record: *rec}
		if old := known[rec.last().UID]; old != nil {
			s = old
			s.record = *rec
		}
		if s.damaged == nil {
			s.damaged = s.compile()
		}
		if s.damaged != nil {
			aside[s.name] = true
			continue
		}
		delete(known, rec.last().UID)
		subs = append(subs, s)
	}
	for _, gone := range known {
		if gone.timer != nil {
			gone.timer.Stop()
		}
	}
	if r.sender, err = r.store.notifier.senderFor(ctx, r.tenant, c, subs...); err != nil {
		return err
	}
	r.tellAside(c.name, aside)
	r.config, r.subs, r.aside, r.version, r.last = c, subs, aside, snap.version, max(r.last, snap.last)
	return nil
}

// compile makes the rules of a subscription. Those that are known stay.
func (c *carried) compile() error {
	known := map[string]*filter.Policy{}
	for _, old := range c.rules {
		known[old.policyKey] = old.policy
	}
	c.rules = make([]rule, len(c.versions))
	for i := range c.versions {
		v := &c.versions[i]
		set, err := v.settings()
		if err != nil {
			return engine.ErrBroken.Because(err)
		}
		key := v.Scope + " " + v.Policy
		policy := known[key]
		if policy == nil {
			if policy, err = filter.Compile(set.FilterPolicy, set.FilterScope); err != nil {
				return engine.ErrBroken.Because(fmt.Errorf("the filter policy of subscription %s: %w", c.name, err))
			}
			known[key] = policy
		}
		c.rules[i] = rule{from: v.from, policy: policy, policyKey: key, format: set.Format}
		if set.Replay.Until > 0 {
			c.rules[i].end = sequenceAt(time.UnixMilli(set.Replay.Until))
		}
	}
	return nil
}

// fetched is what fetch.lua says.
type fetched struct {
	now                time.Time
	last, floor, entry int64
	page               []published
}

// published is a message of the log. Of one that is damaged nothing is known but its sequence number.
type published struct {
	sequence int64
	id       engine.ID
	record   string
	message  queues.Outgoing
	marked   *published // what is sent in its place; nil: itself
	damaged  bool
}

// errNews says that the subscriptions have changed.
var errNews = errors.New("the subscriptions have changed")

// fetch reads a page of the log behind a place.
func (r *round) fetch(ctx context.Context, place int64) (fetched, error) {
	newest := "0"
	if place == r.last {
		newest = "1"
	}
	reply, err := r.store.engine.Do(ctx, fetchScript, r.keys, r.store.engine.Session().Number(), leaseTime.Milliseconds(), r.version, place, newest)
	if err != nil {
		return fetched{}, err
	}
	list, err := verdict(reply)
	if err != nil {
		return fetched{}, err
	}
	switch engine.Text(list, 0) {
	case "news":
		return fetched{}, errNews
	case "theirs":
		return fetched{}, errTheirs
	}
	f := fetched{now: at(engine.Number(list, 1)), last: engine.Number(list, 2), floor: engine.Number(list, 3), entry: engine.Number(list, 4)}
	r.last = max(r.last, f.last)
	f.page = parsePage(list[5:])
	return f, nil
}

// parsePage reads a part of the log. One that is damaged says nothing of the others.
func parsePage(list []any) []published {
	page := make([]published, 0, len(list)/2)
	for i := 0; i+1 < len(list); i += 2 {
		p, err := parsePublished(list, i)
		if err != nil {
			p = published{sequence: engine.Number(list, i), damaged: true}
		}
		page = append(page, p)
	}
	return page
}

// parsePublished reads the message of which a script tells at a place of its answer.
func parsePublished(list []any, i int) (published, error) {
	value := engine.Text(list, i+1)
	if len(value) < engine.IDSize {
		return published{}, engine.ErrBroken.Because(fmt.Errorf("message %s of a topic is missing or damaged", engine.Text(list, i)))
	}
	p := published{sequence: engine.Number(list, i), record: value[engine.IDSize:]}
	copy(p.id[:], value)
	var err error
	if p.message, err = queues.ParseRecord(p.record); err != nil {
		return published{}, engine.ErrBroken.Because(err)
	}
	return p, nil
}

// launch begins to deliver a page to the subscriptions that are at its place, and returns how many deliveries are under
// way and what became of those that needed none.
func (r *round) launch(ctx context.Context, place int64, f fetched) (launched int, done []result) {
	var here []*carried
	now := r.store.clock.Now()
	for _, c := range r.subs {
		if c.cursor == place && c.ready(now) {
			here = append(here, c)
		}
	}
	slices.SortStableFunc(here, func(a, b *carried) int { return a.rank() - b.rank() })
	if skip := max(place, f.floor); skip > place || len(f.page) == 0 && f.last > place {
		// What came next was not kept for so long, or is lost.
		if skip == place {
			skip = f.last
		}
		for _, c := range here {
			done = append(done, result{sub: c, from: place, to: skip, full: "=", expired: true,
				trouble: r.trouble(c.trouble, "", "message_expired", fmt.Sprintf("Messages were dropped that had waited for %d days.", int(Hold.Hours()/24)))})
		}
		return 0, done
	}
	if len(f.page) == 0 {
		return 0, nil
	}
	parcels := r.sort(here, f.page)
	end := f.page[len(f.page)-1].sequence
	for i, c := range here {
		p := parcels[i]
		p.from, p.to, p.page, p.queue, p.source, p.trouble = place, end, f.page, c.last().Queue, source(r.uid, c.last().UID), c.trouble
		v := c.last()
		p.way, p.settings = v.way(r.tenant, r.uid, r.config.name, c.name), v.waySettings()
		if len(p.list) == 0 && v.Endpoint == "" {
			res := p.count(end, 0)
			res.sub = c
			done = append(done, r.passBy(p, res))
			continue
		}
		c.busy = true
		r.pending++
		launched++
		r.store.carriers.delivering.pass(r.tenant, func() {
			res := r.passBy(p, r.deliver(ctx, p))
			res.sub = c
			r.results <- res
			if !r.waiting.Load() {
				r.wake()
			}
		})
	}
	return launched, done
}

// parcel is what a subscription gets of a page.
type parcel struct {
	queue, source string      // a topic, as queues.TopicTarget names it, is in the place of a queue
	way           Way         // instead of queue and source, where settings have an endpoint
	settings      WaySettings // of a subscription to a queue or topic, only the dead-letter queue
	from, to      int64
	page          []published
	list          []queues.Delivery
	trouble       *Trouble // that of the subscription, as it was before
}

// sort finds out which messages go to which of the subscriptions.
func (r *round) sort(here []*carried, page []published) []parcel {
	parcels := make([]parcel, len(here))
	var judged filter.Message
	for i := range page {
		p := &page[i]
		if p.damaged {
			continue
		}
		read := false
		var plain *queues.Delivery // made once for all
		var note *Notification     // likewise, because it takes a signature
		for k, c := range here {
			rule := c.rule(p.sequence)
			if rule.end > 0 && p.sequence >= rule.end {
				continue
			}
			if !rule.policy.IsEmpty() {
				if !read {
					read = true
					Show(&judged, &p.message)
				}
				if !rule.policy.Match(&judged) {
					continue
				}
			}
			toFIFO := queues.IsFIFOName(c.last().Queue)
			if _, toTopic := queues.CutTopicTarget(c.last().Queue); toTopic || c.last().Endpoint != "" {
				parcels[k].list = append(parcels[k].list, queues.Delivery{Sequence: p.sequence}) // see forward and hand
				continue
			}
			sent := p
			if p.marked != nil {
				sent = p.marked
			}
			switch rule.format {
			case Enveloped:
				parcels[k].list = append(parcels[k].list, r.envelope(c.name, sent, toFIFO))
				continue
			case Notified:
				if note == nil {
					l := sent.logged()
					note = r.sender.Notification(&l)
				}
				parcels[k].list = append(parcels[k].list, r.wrapped(note.For(c.name, at(c.last().Created)), sent, toFIFO))
				continue
			}
			if plain == nil {
				plain = &queues.Delivery{Sequence: p.sequence, Record: []byte(sent.record), GroupID: p.message.GroupID, Size: sizeOf(&sent.message)}
			}
			d := *plain
			if m := sent.message; !toFIFO && m.DeduplicationID != "" || m.Subject != "" || m.HTTP != "" || m.HTTPS != "" {
				m.Subject, m.HTTP, m.HTTPS = "", "", ""
				if !toFIFO {
					m.DeduplicationID = ""
				}
				d.Record = m.Record()
			}
			parcels[k].list = append(parcels[k].list, d)
		}
	}
	return parcels
}

// deliver brings a parcel to where a subscription leads.
func (r *round) deliver(ctx context.Context, p parcel) result {
	switch {
	case p.settings.Endpoint != "":
		return r.hand(ctx, p)
	case p.settings.DeadLetterQueue != "":
		return r.deliverOrBury(ctx, p)
	}
	got, err := r.store.bring(ctx, r.tenant, r.config, &p)
	switch {
	case errors.Is(err, queues.ErrQueueNotFound) || errors.Is(err, ErrTopicNotFound):
		return r.nowhere(p, err)
	case err != nil:
		return r.again(p, err)
	}
	return r.came(p, got)
}

// came says what became of a parcel that a queue or topic has taken as far as it goes.
func (r *round) came(p parcel, got queues.Delivered) result {
	res := p.count(max(got.Reached, p.from), len(got.Refused))
	switch {
	case res.to < p.to && got.Full != nil:
		code, message := explain(got.Full)
		res.retry = true
		res.trouble = r.trouble(p.trouble, Retrying, code, message)
	case res.to < p.to:
		res.retry = true
		res.trouble = r.trouble(p.trouble, Retrying, queues.ErrMessagesFull.Code, "The queue is full: it holds as many messages or bytes as it may.")
	case len(got.Refused) > 0:
		code, message := refusal(p.queue)
		res.trouble = r.trouble(p.trouble, "", code, message)
	default:
		res.trouble = over(p.trouble)
	}
	return res
}

// nowhere is what becomes of a parcel whose queue or topic is missing.
func (r *round) nowhere(p parcel, missing error) result {
	code, message := explain(missing)
	res := p.count(p.to, 0)
	res.delivered, res.dropped = 0, res.delivered
	res.trouble = r.trouble(p.trouble, Broken, code, message+" What is published meanwhile is dropped.")
	return res
}

// again is what becomes of a parcel that could not be brought and is tried again.
func (r *round) again(p parcel, err error) result {
	code, message := explain(err)
	return result{from: p.from, to: p.from, full: "=", retry: true, grave: errs.KindOf(err) != errs.Conflict, trouble: r.trouble(p.trouble, Retrying, code, message)}
}

// over is what is noted of a trouble that has ended.
func over(old *Trouble) string {
	if old == nil || old.State == "" {
		return "="
	}
	ended := *old
	ended.State = ""
	return ended.encode()
}

// count says what became of a parcel that has come up to a sequence number, but for messages that were refused, or are damaged.
func (p *parcel) count(to int64, refused int) result {
	res := result{from: p.from, to: to, trouble: "=", full: "=", failed: int64(refused)}
	for i := range p.list {
		if p.list[i].Sequence <= to {
			res.delivered++
		}
	}
	for i := range p.page {
		if !p.page[i].damaged && p.page[i].sequence <= to {
			res.filtered++
		}
	}
	res.filtered -= res.delivered
	res.delivered -= res.failed
	return res
}

// explain returns what people may know of an error.
func explain(err error) (code, message string) {
	if e, ok := errors.AsType[*errs.Error](err); ok && e.Kind != errs.Internal {
		return e.Code, e.Message
	}
	return engine.ErrBroken.Code, engine.ErrBroken.Message
}

// maxTrouble bounds the text of an error that is kept, in bytes.
const maxTrouble = 300

// trouble is what is noted of an error, and "=" when it is noted already.
func (r *round) trouble(old *Trouble, state State, code, message string) string {
	if old != nil && old.State == state && old.Code == code && state != "" {
		return "="
	}
	if len(message) > maxTrouble {
		message = message[:maxTrouble]
	}
	return (&Trouble{State: state, Code: code, Message: message, At: r.store.clock.Now().UTC()}).encode()
}

func (t *Trouble) encode() string {
	text, _ := json.Marshal(t) // never fails
	return string(text)
}

// collect returns the results that are there, or come before over. Those that come later wake the round.
func (r *round) collect(over <-chan time.Time) []result {
	var list []result
	for r.pending > 0 && (over != nil || len(r.results) > 0) {
		select {
		case res := <-r.results:
			r.pending--
			res.sub.busy, res.sub.slow = false, res.slow
			list = append(list, res)
		case <-over:
			over = nil
		}
	}
	return list
}

// advance notes how far subscriptions are.
func (r *round) advance(ctx context.Context, done []result) error {
	if len(done) == 0 {
		return nil
	}
	for len(done) > 0 {
		n := min(len(done), advanceAtOnce)
		if _, err := r.note(ctx, done[:n]); err != nil {
			r.version = ""
			return err
		}
		done = done[n:]
	}
	return r.store.step("advanced")
}

// note makes one call of advance.lua, and returns how many messages the log forgot.
func (r *round) note(ctx context.Context, done []result) (int64, error) {
	args := []any{r.config.Retention.Milliseconds(), Hold.Milliseconds()}
	for i := range done {
		d := &done[i]
		dropped := any(d.dropped)
		if d.expired {
			dropped = "?"
		}
		mark := any("=")
		switch {
		case d.mark > 0:
			mark = d.mark
		case d.sub.last().Endpoint != "":
			mark = needsAll
		}
		args = append(args, d.sub.last().UID, d.from, d.to, d.delivered, d.filtered, dropped, d.failed, d.trouble, mark, d.full)
	}
	reply, err := r.store.engine.Do(ctx, advanceScript, r.keys, args...)
	if err != nil {
		return 0, err
	}
	list, err := verdict(reply)
	if err != nil {
		return 0, err
	}
	verdicts := engine.Text(list, 1)
	for i := range done {
		if i >= len(verdicts) || verdicts[i] != '+' {
			r.version = "" // another server has moved it on, or it is gone
			continue
		}
		r.moved(&done[i])
		r.tellDamaged(&done[i])
		r.store.meter.Add(r.tenant, tenants.KindTopic, r.config.name, tenants.MetricDelivered, done[i].delivered)
	}
	return engine.Number(list, 2), nil
}

// moved takes over what was noted.
func (r *round) moved(d *result) {
	c := d.sub
	c.cursor = d.to
	if d.trouble != "=" {
		c.trouble = &Trouble{}
		if json.Unmarshal([]byte(d.trouble), c.trouble) != nil {
			r.version = ""
		}
	}
	if !d.retry {
		c.tries, c.until = 0, time.Time{}
		return
	}
	if d.to > d.from || !d.grave {
		c.tries = 0
	}
	c.tries++
	pause := min(firstPause<<min(c.tries-1, 10), longestPause)
	c.until = r.store.clock.Now().Add(pause)
	if c.timer != nil {
		c.timer.Stop()
	}
	c.timer = r.store.clock.AfterFunc(pause, r.wake)
}

// settle is for a topic of which nothing can be carried now: it frees what the log need not keep, and takes the topic out
// of the index when nothing is left to do.
func (r *round) settle(ctx context.Context, f fetched) error {
	if len(r.subs) == 0 && f.floor < f.last {
		for range maxTidy {
			gone, err := r.note(ctx, nil)
			if err != nil {
				return err
			}
			if gone < callMessages {
				break
			}
		}
	}
	if f.entry == 0 || r.pending > 0 || f.now.Sub(publishedAt(f.last)) < lookAfter {
		return nil
	}
	for _, c := range r.subs {
		if c.paused == 0 && c.cursor < f.last {
			return nil
		}
	}
	reply, err := r.store.engine.Do(ctx, restScript, r.keys, f.entry, f.last, r.version)
	if err != nil {
		return err
	}
	list, err := verdict(reply)
	if err != nil || engine.Text(list, 0) != "ok" {
		return err
	}
	if err := r.store.step("rested"); err != nil {
		return err
	}
	return r.store.index(ctx, "-", f.now, entry{r.tenant, r.uid, f.entry}.String())
}
