package webhook

import (
	"container/list"

	"github.com/sluicemq/sluice/tenants"
)

// oftenWell is how many turns are of webhooks whose endpoints take what they are sent, for each one of the others, while both wait.
const oftenWell = 7

// line is the webhooks of a tenant that wait for their turn. Those whose endpoints take what they are sent do not wait for what there is to be
// done about the others: much is, and at the same time, when many hang.
type line struct {
	well, others queue
	turns        int // since the last one of the others
}

func (l *line) of(h *hook) *queue {
	if h.well {
		return &l.well
	}
	return &l.others
}

func (l *line) empty() bool { return l.well.empty() && l.others.empty() }

// queue is a part of a line, each webhook in one of the lists. Nobody stays in it who can have no turn until an
// attempt ends, of its own or at its host: others would wait behind it.
type queue struct {
	// noting have something to note, or nothing under way, so that nothing but a look at Redis says what there is to do. They have
	// their turn whatever is under way.
	noting list.List
	ready  list.List // others
	noted  bool      // the last turn was of noting: they take turns with ready
}

func (q *queue) empty() bool { return q.noting.Len()+q.ready.Len() == 0 }

// enter puts a webhook into the line. It is called locked.
func (p *pusher) enter(h *hook) {
	if h.running {
		h.again = true
		return
	}
	noting := len(h.results) > 0 || h.blind()
	l := p.lines[h.id.tenant]
	if h.at != nil && (!noting || l != nil && h.in == &l.of(h).noting) {
		return
	}
	if !noting && h.sending >= h.window {
		h.again = true // it comes back with the end of one of its attempts, and keeps nobody from what pusher.begin does
		return
	}
	p.leave(h)
	if l = p.lines[h.id.tenant]; l == nil {
		l = &line{}
		p.lines[h.id.tenant] = l
		p.line = append(p.line, h.id.tenant)
	}
	if h.in = &l.of(h).ready; noting {
		h.in = &l.of(h).noting
	}
	h.at = h.in.PushBack(h)
	p.hire()
}

// leave takes a webhook from where it waits. It is called locked.
func (p *pusher) leave(h *hook) {
	if h.at != nil {
		h.in.Remove(h.at)
		h.at, h.in = nil, nil
	}
}

// hire has somebody look at the line. It is called locked.
func (p *pusher) hire() {
	if p.working < maxTurns && len(p.lines) > 0 { // p.line lacks the tenant that is being looked at
		p.working++
		go p.work()
	}
}

// next takes a webhook that has something to note, or may send, with how many attempts it may begin; tenants take turns.
// It is nil when there is none now: what changes that looks again.
func (p *pusher) next() (*hook, int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for range p.line {
		t := p.line[0]
		p.line = p.line[1:]
		if p.turns[t] >= fewTurns && p.rivalled(t) {
			p.line = append(p.line, t) // the end of one of its turns looks again
			continue
		}
		l := p.lines[t]
		h, n := p.pick(t, l)
		if !l.empty() {
			p.line = append(p.line, t)
		} else {
			delete(p.lines, t)
		}
		if h == nil {
			continue
		}
		p.visited(t)
		h.running = true
		p.reserve(h, n)
		if h.config != nil {
			p.onHost(h.config.host, n)
		}
		return h, n
	}
	p.working--
	return nil, 0
}

// visited notes that a tenant has a turn now. It is called locked.
func (p *pusher) visited(t tenants.ID) {
	p.turns[t]++
	if p.last[0].tenant != t {
		p.last[1] = p.last[0]
	}
	p.last[0] = visit{t, p.store.clock.Now().UnixMilli()}
}

// left notes that a turn of a tenant has ended. It is called locked.
func (p *pusher) left(t tenants.ID) {
	if p.turns[t]--; p.turns[t] == 0 {
		delete(p.turns, t)
	}
}

// rivalled reports whether another tenant had a turn lately. It is called locked.
func (p *pusher) rivalled(t tenants.ID) bool {
	one := p.last[0]
	if one.tenant == t {
		one = p.last[1]
	}
	return p.store.clock.Now().UnixMilli()-one.at < rivalry.Milliseconds()
}

// pick takes one of a tenant's webhooks out of its line. It is nil when none may have its turn. It is called locked.
func (p *pusher) pick(t tenants.ID, l *line) (h *hook, n int) {
	if l.turns < oftenWell {
		if h, n = p.pickOf(t, &l.well); h != nil {
			l.turns++
			return h, n
		}
	}
	l.turns = 0
	if h, n = p.pickOf(t, &l.others); h == nil {
		h, n = p.pickOf(t, &l.well)
	}
	return h, n
}

func (p *pusher) pickOf(t tenants.ID, q *queue) (*hook, int) {
	q.noted = !q.noted
	if q.noted {
		if h := p.first(&q.noting); h != nil {
			return h, p.allowance(h)
		}
	}
	for p.room(t) > 0 {
		h := p.first(&q.ready)
		if h == nil {
			break
		}
		if n := p.allowance(h); n > 0 {
			return h, n
		}
		if h.sending < h.window {
			p.park(h)
			continue
		}
		// It comes back with the end of one of its attempts, and leaves its place at the host to another one.
		h.again = true
		p.pass(h)
	}
	if h := p.first(&q.noting); h != nil {
		return h, p.allowance(h)
	}
	return nil, 0
}

// first takes the first webhook of a list, of those for which this server sends or has something to note, or nil. It is called locked.
func (p *pusher) first(from *list.List) *hook {
	for e := from.Front(); e != nil; e = from.Front() {
		h := e.Value.(*hook)
		p.leave(h)
		if len(h.results) > 0 || p.fleet.mine(shardOf(h.id.uid)) {
			return h
		}
		p.pass(h)
	}
	return nil
}

// pass leaves the place that a webhook may have been called for to another one. It is called locked.
func (p *pusher) pass(h *hook) {
	if h.config != nil {
		p.call(h.config.host, 1)
	}
	if h.ails {
		p.call(ailingLane, 1)
	}
}

// ailingLane is no host, and stands for one where webhooks wait whose endpoints ail.
const ailingLane = ""

// park has a webhook wait for the end of an attempt at its host, or to an endpoint that ails: there are as many as there may be. It is
// called locked.
func (p *pusher) park(h *hook) {
	host := ailingLane
	if !h.ails || p.ailingRoom(h.id.tenant) > 0 {
		host = h.config.host
	}
	if p.parked[host] == nil {
		p.parked[host] = map[tenants.ID]*list.List{}
	}
	if p.parked[host][h.id.tenant] == nil {
		p.parked[host][h.id.tenant] = &list.List{}
	}
	h.in = p.parked[host][h.id.tenant]
	h.at = h.in.PushBack(h)
	// It may have been called for a place of the other kind, which is for another one.
	switch {
	case host == ailingLane:
		p.call(h.config.host, 1)
	case h.ails:
		p.call(ailingLane, 1)
	}
}

// call brings webhooks that wait for a host, or in ailingLane, back into the line, up to n of each tenant: which of them gets the place is a matter of
// whose turn it is. It is called locked.
func (p *pusher) call(host string, n int) {
	for t, waiting := range p.parked[host] {
		for range min(n, waiting.Len()) {
			h := waiting.Front().Value.(*hook)
			p.leave(h)
			p.enter(h)
		}
		if waiting.Len() == 0 {
			delete(p.parked[host], t)
		}
	}
	if len(p.parked[host]) == 0 {
		delete(p.parked, host)
	}
}

// blind reports whether a webhook has nothing under way, so that nothing but a look at Redis says what there is to do.
func (h *hook) blind() bool { return h.config == nil && h.sending == 0 }

// room is how many attempts a tenant may begin now. It is called locked.
func (p *pusher) room(t tenants.ID) int {
	if p.stopping {
		return 0
	}
	vacant := slots - p.sending
	return max(min(vacant, max(share-p.byTenant[t], vacant-slots/2)), 0)
}

// ailingRoom is how many of them may be to endpoints that ail. It is called locked.
func (p *pusher) ailingRoom(t tenants.ID) int {
	return min(ailingSlots-p.ailings, max(ailingShare-p.ailing[t], slots/4-p.sending))
}

// allowance is how many of them a webhook may begin. It is called locked.
func (p *pusher) allowance(h *hook) int {
	if !p.fleet.mine(shardOf(h.id.uid)) {
		return 0
	}
	n := min(h.window-h.sending, p.room(h.id.tenant), lendAtOnce)
	if h.config != nil {
		n = min(n, hostSlots-p.byHost[h.config.host])
	}
	if h.ails {
		n = min(n, p.ailingRoom(h.id.tenant))
	}
	if h.config == nil || !h.wanted {
		n = min(n, 1) // the others may have more use for the slots
	}
	return max(n, 0)
}
