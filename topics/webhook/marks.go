package webhook

import (
	"time"

	"github.com/sluicemq/sluice/tenants"
)

// markPace is how often the log of a topic is told what webhooks do not need any more.
const markPace = time.Second

// marks gathers up to where the logs of topics are not needed any more.
type marks struct {
	gathered map[topicOf]map[string]int64 // by the uids of webhooks
	armed    bool
}

type topicOf struct {
	tenant    tenants.ID
	name, uid string
}

// note remembers a webhook's mark. It is called with the pusher locked.
func (m *marks) note(s *Store, h *hook, mark int64) {
	if mark <= h.mark || h.config == nil {
		return
	}
	h.mark = mark
	of := topicOf{h.id.tenant, h.config.settings.Topic, h.config.settings.TopicUID}
	if m.gathered == nil {
		m.gathered = map[topicOf]map[string]int64{}
	}
	if m.gathered[of] == nil {
		m.gathered[of] = map[string]int64{}
	}
	m.gathered[of][h.id.uid] = mark
	if !m.armed {
		m.armed = true
		s.clock.AfterFunc(markPace, func() { s.pusher.tellTopics() })
	}
}

// tellTopics lets go of what is not needed. What fails here is done by the next delivery, or by the sweep.
func (p *pusher) tellTopics() {
	p.mu.Lock()
	all := p.marks.gathered
	p.marks.gathered, p.marks.armed = nil, false
	p.mu.Unlock()
	for of, list := range all {
		if p.store.life.Err() != nil {
			return
		}
		_ = p.store.topics.Release(p.store.life, of.tenant, of.name, of.uid, list)
	}
}
