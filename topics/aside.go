package topics

// Whoever comes upon a message of a log that cannot be read goes past it, so that it stops nothing else. It stays in the log for
// as long as others do.

// passBy completes what became of a parcel by the messages that could not be read, as far as it has come.
func (r *round) passBy(p parcel, res result) result {
	for i := range p.page {
		if m := &p.page[i]; m.damaged && m.sequence <= res.to {
			res.damaged = append(res.damaged, m.sequence)
		}
	}
	if len(res.damaged) == 0 {
		return res
	}
	res.failed += int64(len(res.damaged))
	if !res.retry && (res.trouble == "=" || res.trouble == over(p.trouble)) {
		res.trouble = r.trouble(p.trouble, "", "message_damaged", "What is stored of a message cannot be read. It was passed by.")
	}
	return res
}

// tellDamaged tells the operator what a subscription has gone past.
func (r *round) tellDamaged(d *result) {
	if len(d.damaged) == 0 {
		return
	}
	r.store.setAside.Add(int64(len(d.damaged)))
	r.store.logger.Error("messages of a topic cannot be read; a subscription has passed them by", "tenant", r.tenant.String(), "topic", r.config.name,
		"subscription", d.sub.name, "messages", len(d.damaged), "first", d.damaged[0])
}

// A subscription that is damaged is not carried to, and stops no other. The log waits for it, as for one that is paused.

// tellAside tells the operator of subscriptions that are damaged, each once as long as this server carries the topic.
func (r *round) tellAside(topic string, aside map[string]bool) {
	for name := range aside {
		if !r.aside[name] {
			r.store.damaged.Add(1)
			r.store.logger.Error("a subscription cannot be read; nothing is carried to it", "tenant", r.tenant.String(), "topic", topic, "subscription", name)
		}
	}
}

// Damaged returns how many subscriptions this server has found damaged since it started.
func (s *Store) Damaged() int64 { return s.damaged.Load() }

// SetAside returns how many messages that could not be read this server passed by since it started, each once for each subscription.
func (s *Store) SetAside() int64 { return s.setAside.Load() }
