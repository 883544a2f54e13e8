package webhook

import (
	"container/list"
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/sluicemq/sluice/tenants"
	"github.com/sluicemq/sluice/topics"
)

const (
	// slots is how many attempts a server has under way at most.
	slots = 1024
	// hostSlots is how many of them may go to one host, whoever's they are.
	hostSlots = 64
	// share is how many of them a tenant has for sure. It gets more only while half of all are free, so that one whose
	// endpoints hang does not keep the others waiting.
	share = slots / 4
	// ailingSlots is how many of all, and ailingShare how many of a tenant's, go to endpoints of which the last attempt failed, unless
	// three quarters of all are free: what is tried again does not keep what is sent for the first time waiting.
	ailingSlots = slots / 2
	ailingShare = share / 2
	// testShare is how many tests a tenant, and all tenants at one host, may have under way. They take slots like attempts.
	testShare = 8
	// firstWindow is how many attempts a webhook may have at the same time at first. Each success lets it have one more, up to
	// its max_in_flight, and each failure halves that: an endpoint that hangs takes few slots, one that comes back is not run over.
	firstWindow = 2
	// maxTurns is how many webhooks a server talks about with Redis at the same time. Each call may note and lend much, and what is
	// asked of another tenant's waits for it.
	maxTurns = 8
	// fewTurns is how many of them a tenant has while another one had any within the last rivalry: what that one wants next is not to wait in
	// Redis for much of another's.
	fewTurns = 2
	rivalry  = time.Second
	// lendAtOnce bounds the entries of one call.
	lendAtOnce = 16

	// The breaker of an endpoint opens after so many failures in a row, for so long, and twice as long each time a probe
	// fails as well, up to the longest time.
	breakAfter = 5
	breakFirst = 30 * time.Second
	breakMost  = 15 * time.Minute
	// An endpoint that had no success for so long, and failed so often, is disabled.
	disableAfter    = 5 * 24 * time.Hour
	disableFailures = 20

	// fewTimes is after how many requests without a 413 one may carry twice as many messages again: it may have been for a single large one.
	fewTimes = 100

	// idleHook is how long a webhook is remembered that has nothing to send.
	idleHook = 10 * time.Minute
)

// pusher decides which webhook may send when. It asks Redis of a webhook only when there is something due, or something
// to note; what it knows beside that is gone without harm when the server is.
type pusher struct {
	store *Store

	mu       sync.Mutex
	hooks    map[identity]*hook
	lines    map[tenants.ID]*line // of webhooks that have something to do
	line     []tenants.ID         // those in lines, by whose turn it is
	parked   map[string]map[tenants.ID]*list.List
	working  int
	turns    map[tenants.ID]int // that are under way
	last     [2]visit           // of the latest two tenants that had a turn, the latest first
	sending  int                // attempts that are under way, or about to be
	unnoted  int                // results that Redis does not know of yet
	byTenant map[tenants.ID]int
	byHost   map[string]int
	ailing   map[tenants.ID]int // of byTenant, those to endpoints that ail
	ailings  int                // of all tenants
	tests    map[any]int        // that are under way, by tenant and by host
	stopping bool

	fleet fleet
	marks marks
}

// visit is when a tenant had a turn.
type visit struct {
	tenant tenants.ID
	at     int64 // ms
}

// hook is a webhook as the pusher knows it.
type hook struct {
	id identity

	// Guarded by pusher.mu.
	config         *config       // nil: not known yet
	at             *list.Element // where it waits for its turn; nil: it does not
	in             *list.List    // that of at
	running, again bool
	wanted         bool // there may be something to send; else only what is under way has to be noted
	gone, keeping  bool
	damaged        bool     // its settings could not be read: nothing is lent until they can be
	results        []result // of attempts, to be noted
	sending        int
	window         int
	well           bool  // the endpoint has taken what it was sent last
	ails           bool  // the last attempt failed; neither, as long as nothing is known of it
	mark           int64 // the last one that was noted
	paced          int   // requests a second that its delivery policy allows, as Redis has been told; -1: it was not told
	used           int64 // when it last had its turn, ms
	// each is how many messages a request carries at most, by what fitted into the last ones, and few by what was too many for the
	// endpoint; taken is how many requests it has taken since.
	each, few, taken int
}

// result is what became of what was lent.
type result struct {
	entry, lease string
	verdict      verdict
	message      []byte // to be stored, of one that is not done
	log, short   string // for the webhook's log, and for the tenant's list
}

func newPusher(s *Store) *pusher {
	p := &pusher{store: s, hooks: map[identity]*hook{}, lines: map[tenants.ID]*line{}, parked: map[string]map[tenants.ID]*list.List{}, byTenant: map[tenants.ID]int{}, byHost: map[string]int{}, ailing: map[tenants.ID]int{}, turns: map[tenants.ID]int{}, tests: map[any]int{}}
	p.fleet.init(p)
	return p
}

// load returns how many attempts are under way, and for how many shards this server sends.
func (p *pusher) load() (sending, owned int64) {
	p.mu.Lock()
	sending = int64(p.sending)
	p.mu.Unlock()
	return sending, p.fleet.owned()
}

// known returns the settings of a webhook that this server knows, or nil.
func (p *pusher) known(id identity) *config {
	p.mu.Lock()
	defer p.mu.Unlock()
	if h := p.hooks[id]; h != nil {
		return h.config
	}
	return nil
}

// wake has a webhook take its turn.
func (p *pusher) wake(id identity) {
	p.mu.Lock()
	defer p.mu.Unlock()
	h := p.hooks[id]
	if h == nil {
		h = &hook{id: id, window: firstWindow, paced: -1, each: MaxBatchMessages, few: MaxBatchMessages}
		p.hooks[id] = h
	}
	h.wanted = true
	p.enter(h)
}

// reserve takes slots, or with a negative number gives them back. It is called locked.
func (p *pusher) reserve(h *hook, n int) {
	p.sending += n
	h.sending += n
	if p.byTenant[h.id.tenant] += n; p.byTenant[h.id.tenant] == 0 {
		delete(p.byTenant, h.id.tenant)
	}
	if h.ails {
		p.onAiling(h.id.tenant, n)
	}
}

// onAiling counts attempts to endpoints that ail. It is called locked.
func (p *pusher) onAiling(t tenants.ID, n int) {
	p.ailings += n
	if p.ailing[t] += n; p.ailing[t] == 0 {
		delete(p.ailing, t)
	}
	if n < 0 {
		p.call(ailingLane, -n)
	}
}

// fares notes whether an endpoint took what it was sent last, and counts what is under way to it accordingly. It is called locked.
func (p *pusher) fares(h *hook, well bool) {
	h.well = well
	if h.ails == !well {
		return
	}
	if h.ails = !well; h.ails {
		p.onAiling(h.id.tenant, h.sending)
	} else {
		p.onAiling(h.id.tenant, -h.sending)
	}
}

// onHost counts attempts to a host. It is called locked.
func (p *pusher) onHost(host string, n int) {
	if p.byHost[host] += n; p.byHost[host] == 0 {
		delete(p.byHost, host)
	}
	if n < 0 {
		p.call(host, -n)
	}
}

// beginTest reports whether a test may be made, and counts it if so.
func (p *pusher) beginTest(t tenants.ID, host string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.tests[t] >= testShare || p.tests[host] >= testShare || p.byHost[host] >= hostSlots || p.sending >= slots {
		return false
	}
	p.onTest(t, host, 1)
	return true
}

func (p *pusher) endTest(t tenants.ID, host string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.onTest(t, host, -1)
	p.hire()
}

// onTest counts tests. It is called locked.
func (p *pusher) onTest(t tenants.ID, host string, n int) {
	p.sending += n
	p.onHost(host, n)
	for _, of := range []any{t, host} {
		if p.tests[of] += n; p.tests[of] == 0 {
			delete(p.tests, of)
		}
	}
}

func (p *pusher) work() {
	for h, n := p.next(); h != nil; h, n = p.next() {
		p.turn(h, n)
	}
}

// turn notes what became of a webhook's attempts, and begins up to n new ones.
func (p *pusher) turn(h *hook, n int) {
	s := p.store
	p.mu.Lock()
	results, known := h.results, h.config
	if len(results) > callEntries {
		results = results[:callEntries:callEntries]
	}
	results = trimResults(results)
	if h.results = h.results[len(results):]; len(h.results) == 0 {
		h.results = nil // it would keep those that are noted
	}
	p.unnoted -= len(results)
	h.again, h.wanted = false, false
	each, damaged := min(h.each, h.few), h.damaged
	p.mu.Unlock()

	most := n
	if damaged || !s.mayAct(h.id.tenant) {
		most = held
	}
	got, err := s.exchange(s.life, h.id, known, results, most, each)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.left(h.id.tenant)
	p.took(h, known, results, n, got, err)
}

// loan is what a webhook may be lent at once, with the call that brings it messages.
type loan struct {
	hook  *hook // nil: none
	known *config
	most  int // requests, for which slots are reserved
	each  int
}

// begin has a webhook have its turn with a call that brings it n messages. It cannot where it has another one, or something to note, or
// where others of its tenant wait in the line: so a tenant with much to do has no more turns by this, and one with little does not
// wait behind it.
func (p *pusher) begin(id identity, n int) loan {
	if n == 0 || !p.store.mayAct(id.tenant) {
		return loan{}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	h := p.hooks[id]
	if h == nil || h.config == nil || h.damaged || h.running || h.at != nil || len(h.results) > 0 {
		return loan{}
	}
	if l := p.lines[id.tenant]; l != nil && (l.well.ready.Len() > 0 || !h.well && l.others.ready.Len() > 0) {
		return loan{}
	}
	h.wanted = true
	if n = min(n, p.allowance(h)); n == 0 {
		return loan{}
	}
	h.running, h.again, h.wanted = true, false, false
	p.reserve(h, n)
	p.onHost(h.config.host, n)
	return loan{h, h.config, n, min(h.each, h.few)}
}

// slow reports whether a webhook has not taken what it was sent last.
func (p *pusher) slow(id identity) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	h := p.hooks[id]
	return h != nil && !h.well
}

// brought ends the turn that begin began. reply is what enqueue.lua says of what is lent, and err why it did not.
func (p *pusher) brought(ctx context.Context, l loan, reply []any, err error) {
	if l.hook == nil {
		return
	}
	h := l.hook
	if err != nil { // what it has lent all the same comes back when that ends
		p.mu.Lock()
		defer p.mu.Unlock()
		h.running = false
		p.reserve(h, -l.most)
		p.onHost(l.known.host, -l.most)
		if h.again {
			p.enter(h)
		}
		p.hire()
		return
	}
	got, err := p.store.readExchanged(context.WithoutCancel(ctx), h.id, l.known, reply)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.took(h, l.known, nil, l.most, got, err)
}

// took ends a turn in which results were noted and up to n attempts could begin. It is called locked.
func (p *pusher) took(h *hook, known *config, results []result, n int, got exchanged, err error) {
	s := p.store
	h.running, h.used = false, s.clock.Now().UnixMilli()
	p.reserve(h, got.taken()-n)
	if err == nil && got.config != nil {
		got.more = got.more || known == nil && len(got.lent) > 0 // the one was lent without knowledge of how many may be
		h.config, h.each, h.few = got.config, MaxBatchMessages, MaxBatchMessages
	}
	if taken := got.taken(); taken > 0 {
		p.onHost(h.config.host, taken) // as it is now
	}
	if known != nil {
		p.onHost(known.host, -n)
	}
	switch {
	case errors.Is(err, topics.ErrNotConfigured):
		delete(p.hooks, h.id) // it has ended; what is lent still comes to an end by itself
		p.unnoted -= len(h.results)
		h.gone, h.results = true, nil
		return
	case errors.Is(err, errDamaged): // the results are noted
		if !h.damaged {
			h.damaged = true
			s.counted.damaged.Add(1)
			s.logger.Error("a webhook cannot be read; what is to be sent is kept", "tenant", h.id.tenant.String(), "uid", h.id.uid)
		}
		s.clock.AfterFunc(lookEvery, func() { p.wake(h.id) })
		p.hire()
		return
	case err != nil:
		h.results = append(results, h.results...)
		p.unnoted += len(results)
		s.logger.Warn("a webhook could not be looked at; what is to be sent is kept", "tenant", h.id.tenant.String(), "uid", h.id.uid, "error", err.Error())
		s.clock.AfterFunc(soon, func() { p.wake(h.id) })
		p.hire()
		return
	}
	if h.damaged {
		h.damaged, got.more = false, true // nothing was lent meanwhile
	}
	if got.disabled {
		s.counted.disabled.Add(1)
		s.logger.Info("a webhook was disabled, because its endpoint is gone or failed for too long", "tenant", h.id.tenant.String(),
			"topic", h.config.settings.Topic, "subscription", h.config.settings.Subscription)
	}
	p.marks.note(s, h, got.mark)
	if got.old && !h.keeping {
		h.keeping = true
		go p.keep(h, h.config)
	}
	if got.letters {
		go s.post(h.id, h.config)
	}
	if got.untold {
		go s.announce(h.id, h.config)
	}
	if got.challenge {
		go p.challenge(h, h.config)
	}
	if got.over {
		go s.expire(h.id, h.config)
	}
	for _, l := range got.lent {
		go p.deliver(h, h.config, l)
	}
	if got.more {
		h.wanted = true
	}
	if len(h.results) > 0 || h.again || got.more {
		p.enter(h)
	}
	if !got.more { // else it is in the line already
		p.fleet.arm(shardOf(h.id.uid), got.next)
	}
	p.hire()
}

// held asks for nothing to be lent, and for another look after a while: a tenant that may not act may be resumed.
const held = -1

// mayAct reports whether anything may be sent for a tenant now. What waits for one that is suspended stays as it is, and so it
// does while nobody knows.
func (s *Store) mayAct(t tenants.ID) bool {
	terms, err := s.terms(context.WithoutCancel(s.life), t)
	return err == nil && terms.MayAct() == nil
}

// trimResults bounds what one call stores.
func trimResults(list []result) []result {
	size := 0
	for i := range list {
		if size += len(list[i].message) + len(list[i].log) + len(list[i].short); i > 0 && size > callBytes {
			return list[:i:i]
		}
	}
	return list
}

// lent is an entry that this server may send until the lease is over.
type lent struct {
	entry, lease string
	tries        int64 // that were made before
	gap          int64 // how many messages of its group were skipped before it
	message      *topics.Logged
	stored       bool   // the webhook has the message, not the log
	beyond       bool   // it was not read, because the request carries enough without it
	lacks        string // why there is nothing to send: a code of lacking; "": there is, or it could not be read now
}

// deliver makes an attempt to send what is lent for one request.
func (p *pusher) deliver(h *hook, c *config, list []lent) {
	g, looked := c.load(list)
	results, tooMany, died := p.try(h, c, list[:looked], g)
	for _, l := range list[looked:] { // they waited long enough, and are due at once
		results = append(results, result{entry: l.entry, lease: l.lease, verdict: verdict{outcome: free, wait: -c.endpoint.Batch.Wait}})
	}
	for i := range results {
		p.count(h.id.tenant, &results[i].verdict)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.reserve(h, -1)
	p.onHost(c.host, -1)
	if died == nil && !h.gone {
		h.sized(looked, len(list), len(g.messages), tooMany)
		for i := range results {
			p.learn(h, &results[i].verdict, c.endpoint.MaxInFlight)
		}
		h.results = append(h.results, results...)
		p.unnoted += len(results)
		p.enter(h)
	}
	p.hire()
}

// sized notes how many messages of those that were lent a request could carry, and whether those were too many. It is called locked.
func (h *hook) sized(looked, lent, carried int, tooMany bool) {
	if h.each = min(2*h.each, MaxBatchMessages); looked < lent {
		h.each = looked
	}
	switch h.taken++; {
	case tooMany:
		h.few, h.taken = min(h.few, max(carried/2, 1)), 0
	case h.taken >= fewTimes:
		h.few, h.taken = min(2*h.few, MaxBatchMessages), 0
	}
}

// learn has an answer change how many attempts a webhook may have at the same time. It is called locked.
func (p *pusher) learn(h *hook, v *verdict, most int) {
	switch v.health {
	case healthy:
		p.fares(h, true)
		h.window = min(h.window+1, most)
	case failing, disabling:
		p.fares(h, false)
		h.window = max(h.window/2, 1)
	case neutral:
		if v.peace > 0 {
			h.window = max(h.window/2, 1)
		}
	}
}

// try makes one request, and returns what became of each message. What it says of the endpoint stands at one of them. The error
// is that of a step: the server is dead.
func (p *pusher) try(h *hook, c *config, list []lent, g cargo) (results []result, tooMany bool, died error) {
	s := p.store
	results = make([]result, len(list))
	var sent []int // places in list, in the order of g.messages
	tries := int64(0)
	for i := range list {
		l, res := &list[i], &results[i]
		res.entry, res.lease = l.entry, l.lease
		switch {
		case l.lacks != "":
			res.verdict, res.log, res.short = s.setAside(h.id, c, l)
		case l.message == nil: // it could not be read now
			res.verdict = verdict{outcome: free, wait: soon}
		default:
			sent, tries = append(sent, i), max(tries, l.tries+1)
		}
	}
	if len(sent) == 0 {
		return results, false, nil
	}
	if died = s.step("leased"); died != nil {
		return results, false, died
	}
	st, err := s.styleOf(s.life, h.id.tenant, c)
	if err == nil {
		err = p.pace(h, c, st)
	}
	if err != nil {
		for _, i := range sent {
			results[i].verdict = verdict{outcome: free, wait: soon}
		}
		return results, false, nil
	}
	v, a, tooMany := s.attempt(s.life, c, st, g, tries)
	chance := rand.Float64() // the same for all, so that they come together again
	for k, i := range sent {
		l, res, one := &list[i], &results[i], a
		res.verdict = v
		if k > 0 {
			res.verdict.health, res.verdict.peace = neutral, 0
			one.shorten()
		}
		one.Entry, one.MessageID, one.Try = l.entry, "msg_"+l.message.ID.String(), l.tries+1
		c.plan(st, &res.verdict, &one, chance)
		res.log, res.short = one.encode(), c.short(st, &one)
		if v.outcome == free && !v.charged && v.code == "canceled" {
			res.log, res.short = "", ""
		}
		if !l.stored && res.verdict.outcome != done {
			res.message = pack(l.message)
		}
	}
	return results, tooMany, s.step("requested")
}

func (p *pusher) count(t tenants.ID, v *verdict) {
	c := &p.store.counted
	switch v.outcome {
	case done:
		c.delivered.Add(1)
	case retry:
		c.retried.Add(1)
	case dead:
		c.failed.Add(1)
	default:
		c.released.Add(1)
	}
	if v.outcome == retry || v.outcome == dead {
		p.store.meter.Add(t, tenants.KindTenant, "", tenants.MetricUndelivered, 1)
	}
	if v.code == "endpoint_not_allowed" {
		c.refused.Add(1)
	}
}

// forget drops what this server knows of a webhook that has ended.
func (p *pusher) forget(id identity) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if h := p.hooks[id]; h != nil {
		h.gone = true
		delete(p.hooks, id)
	}
}

// forgetIdle drops webhooks that had nothing to do for long.
func (p *pusher) forgetIdle(before int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for id, h := range p.hooks {
		if h.used < before && h.at == nil && !h.running && !h.keeping && h.sending == 0 && len(h.results) == 0 {
			delete(p.hooks, id)
		}
	}
}

// run sends until ctx ends, and then gives what is under way a while.
func (p *pusher) run(ctx context.Context) {
	p.fleet.run(ctx)
	p.mu.Lock()
	p.stopping = true
	p.mu.Unlock()
	if !p.quiet(drain) {
		p.store.end()
		p.quiet(soon)
	}
}

// quiet waits until nothing is under way, and reports whether that came in time.
func (p *pusher) quiet(most time.Duration) bool {
	for end := time.Now().Add(most); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		p.mu.Lock()
		busy := p.sending > 0 || p.working > 0 || p.unnoted > 0
		p.mu.Unlock()
		if !busy {
			return true
		}
	}
	return false
}

// dice returns a number from 0 to 1000.
func dice() int { return rand.IntN(1001) }
