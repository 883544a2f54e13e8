package topics

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/sluicemq/sluice/internal/engine"
	"github.com/sluicemq/sluice/internal/tasks"
	"github.com/sluicemq/sluice/queues"
	"github.com/sluicemq/sluice/tenants"
)

// ReplayTask is the type of the task that brings what a topic keeps once more; for the others see recover.go.
const ReplayTask = "replay"

// ReplayOptions says what a replay brings.
type ReplayOptions struct {
	What  Recovery
	From  Place
	Until time.Time // only what was published before, or failed before for Failed; zero: up to now
	// Marked has each message say that it was replayed, as it does in SNS: by an attribute, where there is room for one.
	Marked bool
}

// ReplayedAttribute is by which a message says so.
const ReplayedAttribute = "Replayed"

// replayPause is how long a replay waits when its queue is full or paused.
const replayPause = time.Second

// replay says what a replay is to bring. It is written down when the task is made.
type replay struct {
	Topic        string `json:"topic"`
	UID          string `json:"uid"` // of the topic, so that one that is made anew under the same name is left alone
	Subscription string `json:"subscription"`
	SubUID       string `json:"sub_uid"`
	Queue        string `json:"queue"` // or a topic, as queues.TopicTarget names it; "": to its webhook
	From         int64  `json:"from"`  // the sequence number behind which it begins
	Until        int64  `json:"until"` // that of the last message
	Marked       bool   `json:"marked,omitempty"`
}

// PlanReplay returns the task that brings messages of a topic's log to one of its subscriptions once more, from a place
// up to another one, as far as its filter policy, as it is now, lets them through.
func (s *Store) PlanReplay(ctx context.Context, t tenants.ID, topicName, name string, opt ReplayOptions) (tasks.NewTask, error) {
	switch opt.What {
	case Failed:
		return s.planFailed(ctx, t, topicName, name, opt)
	case Missing:
		return s.planMissing(ctx, t, topicName, name, opt)
	}
	n := tasks.NewTask{Type: ReplayTask}
	err := s.with(ctx, t, topicName, func(tp *topic) error {
		rec, err := tp.find(ctx, name)
		if err != nil {
			return err
		}
		v := rec.last()
		set, err := v.settings()
		if err != nil {
			return engine.ErrBroken.Because(err)
		}
		if err := s.there(ctx, t, set); err != nil {
			return err
		}
		plan := replay{Topic: topicName, UID: tp.uid, Subscription: name, SubUID: v.UID, Queue: v.Queue, Marked: opt.Marked}
		if err := tp.bound(ctx, &plan, opt); err != nil {
			return err
		}
		_, st, err := s.load(ctx, tp.keys, tp.config.Load())
		n.Total = st.Kept
		return plan.into(&n, err)
	})
	return n, err
}

// bound finds the places between which a replay is.
func (tp *topic) bound(ctx context.Context, plan *replay, opt ReplayOptions) error {
	snap, err := tp.subscriptions(ctx, plan.Subscription)
	if err != nil {
		return err
	}
	page, err := tp.read(ctx, opt.From, 1)
	if err != nil {
		return err
	}
	plan.From, plan.Until = snap.last, snap.last
	if page.first > 0 {
		plan.From = page.first - 1
	}
	if !opt.Until.IsZero() {
		plan.Until = min(plan.Until, sequenceAt(opt.Until)-1)
	}
	return nil
}

// into writes a plan down in a task, unless there is an error.
func (plan replay) into(n *tasks.NewTask, err error) error {
	if err != nil {
		return err
	}
	params, err := json.Marshal(plan)
	n.Params = string(params)
	return err
}

// Replaying is how the tasks of PlanReplay are worked on. A replay is a source of its own for the queue, which remembers
// how far it was brought, so a step that is made again stores nothing twice.
func (s *Store) Replaying() tasks.Kind {
	return tasks.Kind{End: s.endReplay, Step: func(ctx context.Context, w tasks.Work) (tasks.Result, error) {
		return s.replayStep(ctx, w, (*topic).replay)
	}}
}

func readReplay(w tasks.Work) (tenants.ID, replay, error) {
	var plan replay
	t, ok := tenants.ParseID(w.Tenant)
	if err := json.Unmarshal([]byte(w.Params), &plan); err != nil || !ok || plan.UID == "" {
		return t, plan, engine.ErrBroken.Because(fmt.Errorf("the parameters of task %s are damaged", w.Task.ID))
	}
	return t, plan, nil
}

// replayStep brings a page of the log. Its state is the sequence number up to which all was brought.
func (s *Store) replayStep(ctx context.Context, w tasks.Work, bring func(*topic, context.Context, tasks.Work, replay, int64) (tasks.Result, error)) (tasks.Result, error) {
	t, plan, err := readReplay(w)
	if err != nil {
		return tasks.Result{}, err
	}
	from := plan.From
	if w.State != "" {
		if from, err = strconv.ParseInt(w.State, 10, 64); err != nil {
			return tasks.Result{}, engine.ErrBroken.Because(err)
		}
	}
	res := tasks.Result{State: strconv.FormatInt(from, 10), Finished: from >= plan.Until}
	if res.Finished || w.Most == 0 {
		return res, nil
	}
	err = s.with(ctx, t, plan.Topic, func(tp *topic) error {
		if tp.uid != plan.UID {
			return notFound(plan.Topic)
		}
		res, err = bring(tp, ctx, w, plan, from)
		return err
	})
	return res, err
}

func (tp *topic) replay(ctx context.Context, w tasks.Work, plan replay, from int64) (tasks.Result, error) {
	res := tasks.Result{State: strconv.FormatInt(from, 10)}
	sub, err := tp.replayed(ctx, plan)
	if err != nil {
		return res, err
	}
	page, err := tp.read(ctx, Place{After: &from}, w.Most)
	if err != nil {
		return res, err
	}
	r := round{store: tp.store, tenant: tp.at.tenant, uid: tp.uid, config: tp.config.Load()}
	if r.sender, err = tp.store.notifier.senderFor(ctx, tp.at.tenant, r.config, sub); err != nil {
		return res, err
	}
	list := page.upTo(plan.Until)
	if len(list) == 0 { // but perhaps something that is damaged
		res.State, res.Finished = strconv.FormatInt(page.Next, 10), page.first == 0 || page.Next >= plan.Until
		return res, nil
	}
	if plan.Marked {
		mark(list)
	}
	p := r.sort([]*carried{sub}, list)[0]
	p.queue, p.source, p.from, p.to, p.page = plan.Queue, source(plan.UID, w.Task.ID), from, list[len(list)-1].sequence, list
	if len(p.list) == 0 {
		res.State, res.Looked, res.Finished = strconv.FormatInt(p.to, 10), int64(len(list)), p.to >= plan.Until
		return res, nil
	}
	if v := sub.last(); v.Endpoint != "" {
		return tp.replayToWebhook(ctx, plan, v, p)
	}
	got, err := tp.store.bring(ctx, tp.at.tenant, r.config, &p)
	if errors.Is(err, queues.ErrQueuePaused) {
		res.Pause = replayPause
		return res, nil
	}
	if err != nil {
		return res, err
	}
	if got.Reached < p.to {
		res.Pause = replayPause
	}
	done := p.count(max(got.Reached, from), len(got.Refused))
	res.State, res.Looked, res.Done, res.Failed = strconv.FormatInt(done.to, 10), done.delivered+done.filtered+done.failed, done.delivered, done.failed
	res.Finished = done.to >= plan.Until
	code, message := refusal(p.queue)
	for _, n := range got.Refused {
		for i := range list {
			if list[i].sequence == n {
				res.Errors = append(res.Errors, tasks.ItemError{Item: "msg_" + list[i].id.String(), Code: code, Message: message, At: tp.store.clock.Now()})
			}
		}
	}
	return res, nil
}

// replayed returns the subscription of a replay, with the filter policy that it has now for all messages.
func (tp *topic) replayed(ctx context.Context, plan replay) (*carried, error) {
	rec, err := tp.find(ctx, plan.Subscription)
	if err != nil {
		return nil, err
	}
	if rec.last().UID != plan.SubUID {
		return nil, subscriptionNotFound(plan.Topic, plan.Subscription)
	}
	sub := &carried{record: *rec}
	if err := sub.compile(); err != nil {
		return nil, err
	}
	sub.rules = sub.rules[len(sub.rules)-1:]
	sub.rules[0].end = 0 // what it is not to get from now on, it may have had before
	return sub, nil
}

// mark has messages say that they were replayed. Policies judge them as they were published.
func mark(list []published) {
	for i := range list {
		p := &list[i]
		m := p.message
		m.Attributes = slices.DeleteFunc(slices.Clone(m.Attributes), func(a queues.Attribute) bool { return a.Name == ReplayedAttribute })
		if len(m.Attributes) == queues.MaxAttributes {
			continue
		}
		m.Attributes = append(m.Attributes, queues.Attribute{Name: ReplayedAttribute, Type: "String", Value: "true"})
		p.marked = &published{sequence: p.sequence, id: p.id, record: string(m.Record()), message: m}
	}
}

// upTo returns the messages of a page up to a sequence number.
func (p *Page) upTo(last int64) []published {
	var list []published
	for _, m := range p.Messages {
		if m.Sequence <= last {
			list = append(list, published{sequence: m.Sequence, id: m.ID, record: string(m.Message.Record()), message: m.Message})
		}
	}
	return list
}

// replayToWebhook brings a page to a webhook, which takes no second time what it has still to send.
func (tp *topic) replayToWebhook(ctx context.Context, plan replay, v *version, p parcel) (tasks.Result, error) {
	w := v.way(tp.at.tenant, tp.uid, plan.Topic, plan.Subscription)
	got, err := tp.store.webhooks.Replay(ctx, w, p.messages())
	if errors.Is(err, ErrNotConfigured) {
		if err = tp.store.webhooks.Configure(ctx, w, v.waySettings()); err == nil {
			got, err = tp.store.webhooks.Replay(ctx, w, p.messages())
		}
	}
	if err != nil {
		return tasks.Result{State: strconv.FormatInt(p.from, 10)}, err
	}
	done := p.count(max(got.Reached, p.from), 0)
	res := tasks.Result{State: strconv.FormatInt(done.to, 10), Looked: done.delivered + done.filtered, Done: done.delivered, Finished: done.to >= plan.Until}
	if done.to < p.to {
		res.Pause = replayPause // it holds as many as it may
	}
	return res, nil
}

// endReplay has the queue or topic forget a replay that has ended.
func (s *Store) endReplay(ctx context.Context, w tasks.Work) error {
	t, plan, err := readReplay(w)
	if err != nil {
		return err
	}
	if plan.Queue == "" {
		return nil
	}
	return s.forgetSource(ctx, t, plan.Queue, source(plan.UID, w.Task.ID))
}
