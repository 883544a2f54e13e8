package topics

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/sluicemq/sluice/internal/engine"
	"github.com/sluicemq/sluice/internal/errs"
	"github.com/sluicemq/sluice/internal/tasks"
	"github.com/sluicemq/sluice/tenants"
)

// Recovery says which messages a replay brings.
type Recovery string

// What may be brought. Failed and Missing are for subscriptions that lead to a webhook.
const (
	All     Recovery = "all"     // what the topic keeps
	Failed  Recovery = "failed"  // what failed for good
	Missing Recovery = "missing" // what was never tried, because the endpoint was disabled or too much waited for it
)

// FailedTask and MissingTask are the types of the tasks that bring Failed and Missing. They have names of their own, so that an
// older server does not take them for a replay of all.
const (
	FailedTask  = "replay_failed"
	MissingTask = "replay_missing"
)

// planMissing returns the task that brings what a webhook has missed.
func (s *Store) planMissing(ctx context.Context, t tenants.ID, topicName, name string, opt ReplayOptions) (tasks.NewTask, error) {
	n := tasks.NewTask{Type: MissingTask}
	way, err := s.Of(ctx, t, topicName, name)
	if err != nil {
		return n, err
	}
	gaps, err := s.webhooks.Missed(ctx, way)
	if err != nil {
		return n, err
	}
	plan := replay{Topic: topicName, UID: way.TopicUID, Subscription: name, SubUID: way.UID}
	err = s.with(ctx, t, topicName, func(tp *topic) error { return tp.bound(ctx, &plan, opt) })
	if opt.From.after() == "" {
		plan.From = 0 // what is not kept any more is no gap afterwards
	}
	for _, g := range gaps {
		if g.Last > plan.From && g.First <= plan.Until {
			n.Total += g.Count
		}
	}
	return n, plan.into(&n, err)
}

// Restoring is how tasks of MissingTask are worked on. What is brought is no gap any more, so nothing is brought twice, and another
// task goes on where one that was cancelled has stopped.
func (s *Store) Restoring() tasks.Kind {
	return tasks.Kind{Step: func(ctx context.Context, w tasks.Work) (tasks.Result, error) {
		return s.replayStep(ctx, w, (*topic).restore)
	}}
}

// restore brings a page of the first gap behind a place.
func (tp *topic) restore(ctx context.Context, w tasks.Work, plan replay, from int64) (tasks.Result, error) {
	res := tasks.Result{State: strconv.FormatInt(from, 10)}
	sub, err := tp.replayed(ctx, plan)
	if err != nil {
		return res, err
	}
	way := sub.last().way(tp.at.tenant, tp.uid, plan.Topic, plan.Subscription)
	gaps, err := tp.store.webhooks.Missed(ctx, way)
	if err != nil {
		return res, err
	}
	for len(gaps) > 0 && gaps[0].Last <= from {
		gaps = gaps[1:]
	}
	if len(gaps) == 0 || gaps[0].First > plan.Until {
		res.Finished = true
		return res, nil
	}
	from = max(from, gaps[0].First-1)
	to := min(gaps[0].Last, plan.Until)
	page, err := tp.read(ctx, Place{After: &from}, w.Most)
	if errors.Is(err, ErrNotRetained) { // of what is not kept nothing can be brought
		page, err = tp.read(ctx, Place{}, w.Most)
	}
	if err != nil {
		return res, err
	}
	list := page.upTo(to)
	if len(list) == len(page.Messages) && page.first > 0 {
		to = min(to, page.Next) // there may be more behind it
	}
	r := round{store: tp.store, tenant: tp.at.tenant, uid: tp.uid, config: tp.config.Load()}
	p := r.sort([]*carried{sub}, list)[0]
	p.from, p.to, p.page = from, to, list
	got, err := tp.store.webhooks.Restore(ctx, way, p.messages(), from, to)
	if err != nil {
		return res, err
	}
	done := p.count(max(got.Reached, from), 0)
	res.State, res.Looked, res.Done, res.Finished = strconv.FormatInt(done.to, 10), done.delivered+done.filtered, done.delivered, done.to >= plan.Until
	if done.to < to {
		res.Pause = replayPause // it holds as many as it may
	}
	return res, nil
}

// failures says which failed messages are to be sent again: those of a time.
type failures struct {
	Topic        string    `json:"topic"`
	UID          string    `json:"uid"` // of the topic
	Subscription string    `json:"subscription"`
	SubUID       string    `json:"sub_uid"`
	Since        time.Time `json:"since,omitzero"`
	Before       time.Time `json:"before"`
}

// planFailed returns the task that has messages sent again that failed.
func (s *Store) planFailed(ctx context.Context, t tenants.ID, topicName, name string, opt ReplayOptions) (tasks.NewTask, error) {
	n := tasks.NewTask{Type: FailedTask}
	if opt.From.After != nil {
		return n, errs.Invalidf("/after", "What failed is told apart by when it failed: give since and until.")
	}
	way, err := s.Of(ctx, t, topicName, name)
	if err != nil {
		return n, err
	}
	got, err := s.webhooks.Revive(ctx, way, opt.From.Since, opt.Until, 0)
	if err != nil {
		return n, err
	}
	plan := failures{Topic: topicName, UID: way.TopicUID, Subscription: name, SubUID: way.UID, Since: opt.From.Since, Before: opt.Until}
	if plan.Before.IsZero() || plan.Before.After(got.Now) {
		plan.Before = got.Now // what fails again is not sent again
	}
	params, err := json.Marshal(plan)
	n.Params, n.Total = string(params), got.Left
	return n, err
}

// Reviving is how tasks of FailedTask are worked on.
func (s *Store) Reviving() tasks.Kind { return tasks.Kind{Step: s.reviveStep} }

// reviveStep has some more messages sent again. What was done is what is not left, so one that is made again counts nothing twice.
func (s *Store) reviveStep(ctx context.Context, w tasks.Work) (tasks.Result, error) {
	var plan failures
	t, ok := tenants.ParseID(w.Tenant)
	if err := json.Unmarshal([]byte(w.Params), &plan); err != nil || !ok || plan.UID == "" {
		return tasks.Result{}, engine.ErrBroken.Because(fmt.Errorf("the parameters of task %s are damaged", w.Task.ID))
	}
	way, err := s.Of(ctx, t, plan.Topic, plan.Subscription)
	if err != nil {
		return tasks.Result{}, err
	}
	if way.TopicUID != plan.UID || way.UID != plan.SubUID {
		return tasks.Result{}, subscriptionNotFound(plan.Topic, plan.Subscription)
	}
	got, err := s.webhooks.Revive(ctx, way, plan.Since, plan.Before, w.Most)
	if err != nil {
		return tasks.Result{}, err
	}
	looked := max(w.Task.Progress.Total-got.Left-w.Task.Progress.Looked, 0)
	return tasks.Result{Looked: looked, Done: looked, Finished: got.Left == 0}, nil
}
