package topics

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/sluicemq/sluice/internal/engine"
	"github.com/sluicemq/sluice/internal/errs"
	"github.com/sluicemq/sluice/queues"
	"github.com/sluicemq/sluice/tenants"
)

// source is the name by which a queue remembers how far a subscription, or a replay, was brought.
func source(topicUID, uid string) string { return topicUID + "." + uid }

// newUID returns a name that no other has: 60 random bits.
func newUID() string { return strings.ToLower(rand.Text()[:12]) }

// PutSubscription makes a subscription or replaces its settings, and reports whether it was made. What was published
// before is carried, or not, by the settings of then.
func (s *Store) PutSubscription(ctx context.Context, t tenants.ID, topicName, name string, set SubscriptionSettings, cond Condition) (Subscription, bool, error) {
	if _, owned := CutOwned(name); owned {
		return Subscription{}, false, errOwned(name)
	}
	if err := ValidSubscriptionName(name); err != nil {
		return Subscription{}, false, err
	}
	return s.changeSubscription(ctx, t, topicName, name, cond, func(have *SubscriptionSettings) (SubscriptionSettings, error) {
		if have != nil {
			set.Replay = have.Replay
			return set, nil
		}
		return set, s.findTarget(ctx, t, topicName, set)
	})
}

// Subscribe makes a subscription, as PutSubscription does, but the queue need not be there yet: what is published before it
// is, is dropped.
func (s *Store) Subscribe(ctx context.Context, t tenants.ID, topicName, name string, set SubscriptionSettings) (Subscription, error) {
	if err := ValidSubscriptionName(name); err != nil {
		return Subscription{}, err
	}
	out, _, err := s.changeSubscription(ctx, t, topicName, name, Condition{Missing: true}, func(*SubscriptionSettings) (SubscriptionSettings, error) { return set, nil })
	return out, err
}

// UpdateSubscription changes the settings of a subscription by a function of them. It may be called more than once.
func (s *Store) UpdateSubscription(ctx context.Context, t tenants.ID, topicName, name string, cond Condition, f func(SubscriptionSettings) SubscriptionSettings) (Subscription, error) {
	out, _, err := s.changeSubscription(ctx, t, topicName, name, cond, func(have *SubscriptionSettings) (SubscriptionSettings, error) {
		if have == nil {
			return SubscriptionSettings{}, subscriptionNotFound(topicName, name)
		}
		return f(*have), nil
	})
	return out, err
}

// Finish does what is left to do for a subscription whose storing has not come to its end. It is ErrSubscriptionNotFound when there
// is none with this uid any more.
func (s *Store) Finish(ctx context.Context, w Way) error {
	return s.with(ctx, w.Tenant, w.Topic, func(tp *topic) error {
		have, err := tp.find(ctx, w.Subscription)
		if err != nil {
			return err
		}
		if have.last().UID != w.UID {
			return subscriptionNotFound(w.Topic, w.Subscription)
		}
		return tp.configure(ctx, w.Subscription, &have.last().storedSubscription)
	})
}

// changeSubscription stores what f makes of the settings, nil for a subscription that is not there.
func (s *Store) changeSubscription(ctx context.Context, t tenants.ID, topicName, name string, cond Condition, f func(*SubscriptionSettings) (SubscriptionSettings, error)) (Subscription, bool, error) {
	var out Subscription
	created := false
	err := s.with(ctx, t, topicName, func(tp *topic) error {
		for range maxStale {
			snap, err := tp.subscriptions(ctx, name)
			if err != nil {
				return err
			}
			var have *record
			if len(snap.list) > 0 {
				have = snap.list[0]
			}
			out, created, err = tp.putSubscription(ctx, name, have, snap, cond, f)
			if !errors.Is(err, errChanged) {
				return err
			}
		}
		return engine.ErrUnavailable
	})
	return out, created, err
}

func (tp *topic) putSubscription(ctx context.Context, name string, have *record, snap snapshot, cond Condition, f func(*SubscriptionSettings) (SubscriptionSettings, error)) (Subscription, bool, error) {
	var before *SubscriptionSettings
	var shown Subscription
	if have != nil {
		shown = tp.show(have, snap)
		if have.damaged != nil {
			return shown, false, ErrSubscriptionDamaged.Because(have.damaged)
		}
		before = &shown.Settings
	}
	if !holds(cond, have != nil, shown.ETag) {
		return Subscription{}, false, ErrSubscriptionPrecondition
	}
	set, err := f(before)
	if err == nil {
		err = set.validateFor(tp.at.name)
	}
	if err == nil {
		err = tp.store.checkEndpoint(tp.at.name, &set, before)
	}
	switch {
	case err != nil:
		return Subscription{}, false, err
	case before != nil && *before == set:
		return shown, false, tp.configure(ctx, name, &have.last().storedSubscription) // whoever stored it may have died before
	case before != nil && before.Owner != (Owner{}):
		return Subscription{}, false, errOwned(name)
	}
	if err := set.follow(before); err != nil {
		return Subscription{}, false, err
	}
	if err := tp.store.findDeadLetters(ctx, tp.at.tenant, set, before); err != nil {
		return Subscription{}, false, err
	}
	return tp.storeSubscription(ctx, name, have, set)
}

// follow refuses settings that cannot come after others, nil for none: a subscription keeps the place to which it leads.
func (s *SubscriptionSettings) follow(before *SubscriptionSettings) error {
	switch {
	case before == nil:
	case s.Secret != "":
		return errs.Invalidf("/secret", "The subscription has a secret. To change it: POST …/rotate_secret.")
	case (before.Endpoint == "") != (s.Endpoint == ""), (before.Topic == "") != (s.Topic == ""):
		return errs.Invalidf("/protocol", "A subscription stays one to a queue, to a webhook or to a topic: make another subscription.")
	case before.Topic != s.Topic:
		return errs.Invalidf("/target_topic", "A subscription keeps its topic, %q: make another subscription for another topic.", before.Topic)
	case before.Account != s.Account:
		return errs.Invalidf("/queue", "A subscription keeps its queue, which is one of account %s here: change the subscription by the protocol of SNS, or make another one.", before.Account)
	case before.Queue != s.Queue:
		return errs.Invalidf("/queue", "A subscription keeps its queue, %q: make another subscription for another queue.", before.Queue)
	}
	return nil
}

func (tp *topic) storeSubscription(ctx context.Context, name string, have *record, set SubscriptionSettings) (Subscription, bool, error) {
	s, now := tp.store, tp.store.clock.Now().UnixMilli()
	st := set.stored()
	st.UID, st.Created, st.Updated, st.Rev = newUID(), now, now, s.engine.NewID(0).String()
	was, left := "", "" // left: the dead-letter queue that it had, and has no more
	if have != nil {
		was, st.UID, st.Created = have.last().raw, have.last().UID, have.last().Created
		if have.last().Dead != st.Dead {
			left = have.last().Dead
		}
	}
	if st.Endpoint = set.Endpoint; st.Endpoint != "" {
		switch st.Secret, st.Secrets = set.Secret, set.Secrets; {
		case have != nil:
			st.Secret, st.Version = have.last().Secret, have.last().Version+1
		case st.Secret == "":
			st.Secret = s.webhooks.NewSecret()
		}
	}
	raw, err := json.Marshal(st) //nolint:gosec // its secret is sealed
	if err != nil {
		return Subscription{}, false, err
	}
	terms, err := s.terms(ctx, tp.at.tenant)
	if err != nil {
		return Subscription{}, false, err
	}
	most := terms.Limits[tenants.LimitSubscriptions]
	reply, err := s.engine.Do(ctx, subscribeScript, tp.keys, name, was, string(raw), st.UID, most, MaxVersions, left)
	if err != nil {
		return Subscription{}, false, err
	}
	list, err := verdict(reply)
	if err != nil {
		return Subscription{}, false, err
	}
	switch engine.Text(list, 0) {
	case "changed":
		return Subscription{}, false, errChanged
	case "full":
		return Subscription{}, false, tenants.LimitSubscriptions.Reached(ErrSubscriptionQuota, most, most)
	case "busy":
		return Subscription{}, false, ErrSubscriptionBusy
	}
	if err := tp.configure(ctx, name, &st); err != nil {
		return Subscription{}, false, err
	}
	if left != "" {
		if err := s.releaseLetters(ctx, tp.at.tenant, tp.uid, tp.keys, st.UID, left); err != nil {
			return Subscription{}, false, err
		}
	}
	out, err := tp.getSubscription(ctx, name)
	return out, have == nil, err
}

// subscriptions reads one subscription, or with "" all.
func (tp *topic) subscriptions(ctx context.Context, name string) (snapshot, error) {
	return tp.store.subscriptions(ctx, tp.keys, name, "0")
}

func (s *Store) subscriptions(ctx context.Context, keys []string, name, retired string) (snapshot, error) {
	reply, err := s.engine.Do(ctx, subscriptionsScript, keys, name, retired)
	if err != nil {
		return snapshot{}, err
	}
	list, err := verdict(reply)
	if err != nil {
		return snapshot{}, err
	}
	return parseSnapshot(list), nil
}

func (tp *topic) getSubscription(ctx context.Context, name string) (Subscription, error) {
	if !IsSubscriptionName(name) {
		return Subscription{}, subscriptionNotFound(tp.at.name, name)
	}
	snap, err := tp.subscriptions(ctx, name)
	if err != nil {
		return Subscription{}, err
	}
	if len(snap.list) == 0 {
		return Subscription{}, subscriptionNotFound(tp.at.name, name)
	}
	return tp.show(snap.list[0], snap), nil
}

// GetSubscription returns a subscription of a topic.
func (s *Store) GetSubscription(ctx context.Context, t tenants.ID, topicName, name string) (Subscription, error) {
	var out Subscription
	err := s.with(ctx, t, topicName, func(tp *topic) error {
		var err error
		out, err = tp.getSubscription(ctx, name)
		return err
	})
	return out, err
}

// ListSubscriptions returns up to limit subscriptions of a topic whose names begin with prefix and come after the name
// after, by name, and the name after which the next page goes on, or "".
func (s *Store) ListSubscriptions(ctx context.Context, t tenants.ID, topicName, prefix, after string, limit int) ([]Subscription, string, error) {
	var out []Subscription
	next := ""
	err := s.with(ctx, t, topicName, func(tp *topic) error {
		snap, err := tp.subscriptions(ctx, "")
		if err != nil {
			return err
		}
		out, next = []Subscription{}, ""
		list := slices.DeleteFunc(snap.list, func(r *record) bool { return r.name <= after || !strings.HasPrefix(r.name, prefix) })
		slices.SortFunc(list, func(a, b *record) int { return cmp.Compare(a.name, b.name) })
		if len(list) > limit {
			list, next = list[:limit], list[limit-1].name
		}
		for _, r := range list {
			out = append(out, tp.show(r, snap))
		}
		return nil
	})
	return out, next, err
}

// DeleteSubscription ends a subscription. What its queue has got already stays there.
func (s *Store) DeleteSubscription(ctx context.Context, t tenants.ID, topicName, name string, cond Condition) error {
	return s.with(ctx, t, topicName, func(tp *topic) error {
		for range maxStale {
			snap, err := tp.subscriptions(ctx, name)
			if err != nil {
				return err
			}
			if len(snap.list) == 0 || !IsSubscriptionName(name) {
				return subscriptionNotFound(topicName, name)
			}
			v := snap.list[0].last()
			if !holds(cond, true, etag(v.UID, v.Rev)) {
				return ErrSubscriptionPrecondition
			}
			if v.Owner != "" {
				return errOwned(name)
			}
			was := ""
			if cond.ETag != "" && cond.ETag != "*" {
				was = v.raw
			}
			if err := tp.endSubscription(ctx, snap.list[0], was); !errors.Is(err, errChanged) {
				return err
			}
		}
		return engine.ErrUnavailable
	})
}

// endSubscription ends a subscription, with was only while that is its text, and otherwise says errChanged. It can be repeated.
func (tp *topic) endSubscription(ctx context.Context, r *record, was string) error {
	s, t, v, damaged := tp.store, tp.at.tenant, r.last(), ""
	if r.damaged != nil {
		if damaged = r.text; v.UID == "" {
			snap, err := tp.subscriptions(ctx, "")
			if err != nil {
				return err
			}
			v.UID = snap.orphan()
		}
	}
	reply, err := s.engine.Do(ctx, unsubscribeScript, tp.keys, r.name, v.UID, was, v.Queue, v.Dead, damaged)
	if err != nil {
		return err
	}
	list, err := verdict(reply)
	if err != nil {
		return err
	}
	if engine.Text(list, 0) != "ok" {
		return errChanged
	}
	if err := s.step("unsubscribed"); err != nil || v.UID == "" {
		return err
	}
	if err := s.release(ctx, t, tp.uid, tp.keys, v.UID, v.Queue); err != nil || v.Dead == "" {
		return err
	}
	return s.releaseLetters(ctx, t, tp.uid, tp.keys, v.UID, v.Dead)
}

// EndSubscription deletes the subscription with a uid, whatever its settings are, and is content when there is none.
func (s *Store) EndSubscription(ctx context.Context, w Way) error {
	for range maxStale {
		have, err := s.GetSubscription(ctx, w.Tenant, w.Topic, w.Subscription)
		if err == nil {
			if have.Way.UID != w.UID {
				return nil
			}
			err = s.DeleteSubscription(ctx, w.Tenant, w.Topic, w.Subscription, Condition{ETag: have.ETag})
		}
		switch {
		case errs.KindOf(err) == errs.NotFound:
			return nil
		case !errors.Is(err, ErrSubscriptionPrecondition):
			return err
		}
	}
	return engine.ErrUnavailable
}

// release has the place where a subscription led that has ended forget it, and then the topic. It can be repeated.
func (s *Store) release(ctx context.Context, t tenants.ID, topicUID string, keys []string, uid, queue string) error {
	if err := s.forgetEnd(ctx, t, topicUID, uid, queue); err != nil {
		return err
	}
	if err := s.step("forgotten"); err != nil {
		return err
	}
	_, err := s.engine.Do(ctx, releaseScript, keys, uid)
	return err
}

// releaseAll does so for all subscriptions of a retired topic.
func (s *Store) releaseAll(ctx context.Context, t tenants.ID, uid string, keys []string) error {
	snap, err := s.subscriptions(ctx, keys, "", "1")
	if errors.Is(err, errGone) {
		return nil // the keys are erased already, or were never made
	}
	if err != nil {
		return err
	}
	for _, r := range snap.list {
		v := r.last()
		if v.UID == "" {
			continue // nobody knows where it led
		}
		snap.ended[v.UID] = v.Queue
		for _, kind := range letterKinds {
			if v.Dead != "" {
				snap.ended[v.UID+kind] = v.Dead
			}
		}
	}
	for sub, queue := range snap.ended {
		if err := s.forgetEnd(ctx, t, uid, sub, queue); err != nil && !errors.Is(err, queues.ErrDataLost) {
			return err
		}
	}
	return nil
}

// PauseSubscription has nothing carried to a subscription until it is resumed. The log waits for it, for Hold at most.
func (s *Store) PauseSubscription(ctx context.Context, t tenants.ID, topicName, name string) (Subscription, error) {
	return s.suspend(ctx, t, topicName, name, "1")
}

// ResumeSubscription lets a paused subscription go on where it was.
func (s *Store) ResumeSubscription(ctx context.Context, t tenants.ID, topicName, name string) (Subscription, error) {
	return s.suspend(ctx, t, topicName, name, "0")
}

func (s *Store) suspend(ctx context.Context, t tenants.ID, topicName, name, paused string) (Subscription, error) {
	var out Subscription
	err := s.with(ctx, t, topicName, func(tp *topic) error {
		snap, err := tp.subscriptions(ctx, name)
		if err != nil {
			return err
		}
		if len(snap.list) == 0 || !IsSubscriptionName(name) {
			return subscriptionNotFound(topicName, name)
		}
		if err := snap.list[0].damaged; err != nil {
			return ErrSubscriptionDamaged.Because(err)
		}
		entry := int64(0)
		for range maxStale {
			reply, err := s.engine.Do(ctx, suspendScript, tp.keys, snap.list[0].last().UID, paused, s.engine.Session().Number(), entry, leaseTime.Milliseconds())
			if err != nil {
				return err
			}
			list, err := verdict(reply)
			if err != nil {
				return err
			}
			switch engine.Text(list, 0) {
			case "none":
				return subscriptionNotFound(topicName, name)
			case "idle":
				if entry, err = s.enter(ctx, t, tp.uid, engine.Number(list, 1)); err != nil {
					return err
				}
				continue
			}
			if engine.Text(list, 1) == "1" {
				s.carry(t, tp.uid)
			}
			if v := snap.list[0].last(); v.Endpoint != "" {
				if err := tp.configure(ctx, name, &v.storedSubscription); err != nil {
					return err
				}
				if err := s.webhooks.Suspend(ctx, v.way(t, tp.uid, topicName, name), paused == "1"); err != nil {
					return err
				}
			}
			out, err = tp.getSubscription(ctx, name)
			return err
		}
		return engine.ErrUnavailable
	})
	return out, err
}

// show returns a record as it is shown.
func (tp *topic) show(r *record, snap snapshot) Subscription {
	if r.damaged == nil {
		r.damaged = (&carried{record: *r}).compile()
	}
	out := r.subscription(snap.published)
	if r.last().Endpoint != "" {
		out.Way = r.last().way(tp.at.tenant, tp.uid, tp.at.name, r.name)
	}
	if r.damaged != nil {
		out.State, out.LastError = Broken, &Trouble{State: Broken, Code: ErrSubscriptionDamaged.Code, Message: ErrSubscriptionDamaged.Message, At: snap.now}
	}
	return out
}

func subscriptionNotFound(topicName, name string) error {
	e := *ErrSubscriptionNotFound
	e.Message = fmt.Sprintf("The topic %q has no subscription %q.", topicName, name)
	e.Fix = "Create it: PUT /v1/topics/{topic}/subscriptions/{subscription}."
	return &e
}

// sweepSubscriptions finishes deletions that a crash left half done, and lets go of what the log keeps for webhooks that
// a server has sent which then died.
func (tp *topic) sweepSubscriptions(ctx context.Context) error {
	snap, err := tp.subscriptions(ctx, "")
	if err != nil {
		return err
	}
	for uid, queue := range snap.ended {
		if err := tp.store.release(ctx, tp.at.tenant, tp.uid, tp.keys, uid, queue); err != nil {
			return err
		}
	}
	marks := map[string]int64{}
	for _, r := range snap.list {
		v := r.last()
		if v.Endpoint == "" || tp.store.webhooks == nil || r.damaged != nil {
			continue
		}
		got, err := tp.store.handOver(ctx, v.way(tp.at.tenant, tp.uid, tp.at.name, r.name), v.waySettings(), nil, 0)
		if err != nil {
			return err
		}
		marks[v.UID] = got.Mark
	}
	if len(marks) == 0 {
		return nil
	}
	_, err = tp.store.Release(ctx, tp.at.tenant, tp.at.name, tp.uid, marks)
	return err
}
