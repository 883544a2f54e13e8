package alarms

import (
	"context"
	"errors"
	"time"

	"github.com/sluicemq/sluice/auth"
	"github.com/sluicemq/sluice/internal/errs"
	"github.com/sluicemq/sluice/monitor"
	"github.com/sluicemq/sluice/tenants"
	"github.com/sluicemq/sluice/topics"
	"github.com/sluicemq/sluice/topics/webhook"
)

// reading is what was seen of one thing.
type reading struct {
	name  string
	value float64
	known bool // otherwise there is the thing, and nothing to say of it
}

// survey is one look at a tenant. What several alarms need is read once.
type survey struct {
	store  *Store
	tenant tenants.ID
	terms  *tenants.Terms
	now    time.Time
	queues []monitor.Newest
	hooks  map[string]webhook.Status // by topic/subscription
	topics []string
	quotas []reading
}

// read returns what is seen of the things that an alarm looks at, and what it has to remember of them until the next time.
func (v *survey) read(ctx context.Context, r *record) ([]reading, marks, error) {
	set := r.def.settings()
	before := r.marks
	if r.state.Looked == 0 {
		before = nil // what was remembered is of other settings
	}
	switch set.Metric {
	case FailureRate:
		return v.failures(ctx, &set, before)
	case QuotaUsed:
		list, err := v.quota(ctx)
		return list, nil, err
	}
	if v.queues == nil {
		list, err := v.store.Monitor.Newest(ctx, v.tenant)
		if err != nil {
			return nil, nil, err
		}
		v.queues = append([]monitor.Newest{}, list...)
	}
	var out []reading
	var after marks
	if set.Metric.remembers() {
		after = marks{}
	}
	for i := range v.queues {
		if q := &v.queues[i]; set.includes(q.Name) {
			out = append(out, reading{q.Name, v.value(set.Metric, q, before, after), true})
		}
	}
	return out, after, nil
}

// value returns the value of a metric of a queue.
func (v *survey) value(m Metric, q *monitor.Newest, before, after marks) float64 {
	switch m {
	case Available:
		return float64(q.Values[monitor.Available])
	case InFlight:
		return float64(q.Values[monitor.InFlight])
	case Delayed:
		return float64(q.Values[monitor.Delayed])
	case OldestAge:
		if q.Values[monitor.Oldest] == 0 {
			return 0
		}
		return max(v.now.Sub(time.UnixMilli(q.Values[monitor.Oldest])).Seconds(), 0)
	case DeadLettered:
		n := q.Values[monitor.DeadLettered]
		if n == 0 {
			return 0
		}
		after[q.UID] = [2]int64{n}
		if before == nil {
			return 0 // nobody knows how long ago
		}
		return float64(max(n-before[q.UID][0], 0)) // of a queue that was not there before all of them
	}
	// Unreceived: remembered is how many had been received, and since when that has been so.
	if q.Values[monitor.Available] == 0 {
		return 0
	}
	mark := [2]int64{q.Values[monitor.Received], v.now.UnixMilli()}
	if old, ok := before[q.UID]; ok && old[0] == mark[0] {
		mark[1] = old[1]
	}
	after[q.UID] = mark
	return v.now.Sub(time.UnixMilli(mark[1])).Seconds()
}

const (
	// maxTopics and maxWebhooks bound what one look asks of a tenant's topics and webhooks. Those behind, by name, are not
	// looked at.
	maxTopics   = 200
	maxWebhooks = 100
)

// failures returns how many of a hundred attempts failed since the last look, of each webhook.
func (v *survey) failures(ctx context.Context, set *Settings, before marks) ([]reading, marks, error) {
	hooks, err := v.webhooks(ctx, set)
	if err != nil {
		return nil, nil, err
	}
	var out []reading
	after := marks{}
	for name, st := range hooks {
		r := reading{name: name}
		old, seen := before[name]
		after[name] = [2]int64{st.Attempts, st.Delivered}
		made, brought := st.Attempts-old[0], st.Delivered-old[1]
		switch {
		case st.Gate == webhook.Off && st.Reason != "by_request":
			r.value, r.known = 100, true
		case seen && made > 0 && brought >= 0:
			r.value, r.known = 100*float64(max(made-brought, 0))/float64(made), true
		}
		out = append(out, r)
	}
	return out, after, nil
}

// webhooks returns how the webhooks fare that an alarm looks at.
func (v *survey) webhooks(ctx context.Context, set *Settings) (map[string]webhook.Status, error) {
	if v.store.Webhook == nil {
		return nil, nil
	}
	if v.topics == nil {
		names, _, err := v.store.Topics.Names(ctx, v.tenant, "", "", maxTopics)
		if err != nil {
			return nil, err
		}
		v.topics, v.hooks = append([]string{}, names...), map[string]webhook.Status{}
	}
	out := map[string]webhook.Status{}
	for _, topic := range v.topics {
		if !auth.Matches(set.Topic, topic) {
			continue
		}
		subs, _, err := v.store.Topics.ListSubscriptions(ctx, v.tenant, topic, "", "", topics.MaxSubscriptions)
		if errors.Is(err, topics.ErrTopicNotFound) {
			continue // deleted just now
		}
		if err != nil {
			return nil, err
		}
		for i := range subs {
			name := topic + "/" + subs[i].Name
			if subs[i].Settings.Endpoint == "" || !set.includes(name) {
				continue
			}
			st, known := v.hooks[name]
			if !known {
				if len(v.hooks) == maxWebhooks {
					return out, nil
				}
				if st, err = v.store.Webhook(ctx, subs[i].Way); err != nil {
					if errs.KindOf(err) == errs.NotFound {
						continue
					}
					return nil, err
				}
				v.hooks[name] = st
			}
			out[name] = st
		}
	}
	return out, nil
}

// quota returns how much of each limit the tenant has used, in per cent.
func (v *survey) quota(ctx context.Context) ([]reading, error) {
	if v.quotas != nil {
		return v.quotas, nil
	}
	add := func(l tenants.Limit, used int64) {
		if most := v.terms.Limits[l]; most > 0 {
			v.quotas = append(v.quotas, reading{l.String(), 100 * float64(used) / float64(most), true})
		}
	}
	all, err := v.store.Monitor.Newest(ctx, v.tenant)
	if err != nil {
		return nil, err
	}
	add(tenants.LimitQueues, int64(len(all)))
	n := int64(0)
	for after := ""; ; {
		names, next, err := v.store.Topics.Names(ctx, v.tenant, "", after, 1000)
		if err != nil {
			return nil, err
		}
		n += int64(len(names))
		if after = next; next == "" {
			break
		}
	}
	add(tenants.LimitTopics, n)
	if v.store.Storage != nil && v.terms.Limits[tenants.LimitStored] > 0 {
		used, err := v.store.Storage.Used(ctx, v.tenant)
		if err != nil {
			return nil, err
		}
		add(tenants.LimitStored, used)
	}
	return v.quotas, nil
}
