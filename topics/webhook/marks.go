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
	m.of(s, topicOf{h.id.tenant, h.config.settings.Topic, h.config.settings.TopicUID})[h.id.uid] = mark
}

// of returns the marks that a topic is told of next. It is called with the pusher locked.
func (m *marks) of(s *Store, topic topicOf) map[string]int64 {
	if m.gathered == nil {
		m.gathered = map[topicOf]map[string]int64{}
	}
	if m.gathered[topic] == nil {
		m.gathered[topic] = map[string]int64{}
	}
	if !m.armed {
		m.armed = true
		s.clock.AfterFunc(markPace, func() { s.pusher.tellTopics() })
	}
	return m.gathered[topic]
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
		if more, _ := p.store.topics.Release(p.store.life, of.tenant, of.name, of.uid, list); more {
			p.mu.Lock()
			again := p.marks.of(p.store, of)
			for uid, mark := range list {
				again[uid] = max(again[uid], mark)
			}
			p.mu.Unlock()
		}
	}
}
