package topics

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/sluicemq/sluice/internal/engine"
	"github.com/sluicemq/sluice/internal/errs"
	"github.com/sluicemq/sluice/internal/tasks"
	"github.com/sluicemq/sluice/tenants"
)

// How topics get the subscriptions that stem from topic subscriptions. There is one way: a topic is brought to what all of them say
// now, whatever it has. A topic that is made is so before its name is known, a task walks through the others after each change, and
// the sweep goes that way again, for what a crash left behind. Each looks, afterwards, whether what they say has changed meanwhile:
// so nobody who is late leaves behind what was said before.

// SpreadTask is the type of the tasks by which topics follow a topic subscription.
const SpreadTask = "topic_subscription"

const (
	// spreadAtOnce bounds the topics that a walk looks at the same time.
	spreadAtOnce = 8
	// spreadMost bounds the subscriptions that one step of a walk makes, at three calls or so each: it has half a minute.
	spreadMost = 1000
	// maxFailures bounds the topics that a topic subscription names because they could not follow, and maxFailureText what it says of
	// each, in bytes: a task remembers them all from step to step.
	maxFailures    = 5
	maxFailureText = 200
)

// conform brings a topic to what the topic subscriptions of its tenant say, and returns what they said last and why it could not
// follow, by their names. known is what the caller has read of them, or nil.
func (tp *topic) conform(ctx context.Context, known *patterns) (*patterns, map[string]TopicFailure, error) {
	s := tp.store
	known, err := s.readPatterns(ctx, tp.at.tenant, "", known)
	if err != nil {
		return nil, nil, err
	}
	for range maxStale {
		failures, err := tp.conformTo(ctx, known.list)
		if err != nil && !errors.Is(err, errChanged) {
			return known, nil, err
		}
		now, readErr := s.readPatterns(ctx, tp.at.tenant, "", known)
		if readErr != nil {
			return known, nil, readErr
		}
		if err == nil && now == known {
			return known, failures, nil
		}
		known = now
	}
	return known, nil, engine.ErrUnavailable
}

func (tp *topic) conformTo(ctx context.Context, list []*pattern) (map[string]TopicFailure, error) {
	snap, err := tp.subscriptions(ctx, "")
	if err != nil {
		return nil, err
	}
	have := map[string]*record{}
	for _, r := range snap.list {
		if owner, owned := CutOwned(r.name); owned {
			have[owner] = r
		}
	}
	failures := map[string]TopicFailure{}
	for _, p := range list {
		r := have[p.name]
		delete(have, p.name)
		if p.damaged {
			continue // what the topic has of it stays as it is
		}
		err := tp.conformOne(ctx, p, r)
		if f, lasting := failure(tp.at.name, err); lasting {
			failures[p.name] = f
		} else if err != nil {
			return nil, err
		}
	}
	for _, r := range have {
		if err := tp.endOwned(ctx, r); err != nil {
			return nil, err
		}
	}
	return failures, nil
}

// conformOne brings a topic to what one topic subscription says. r is the subscription that stems from it, or nil.
func (tp *topic) conformOne(ctx context.Context, p *pattern, r *record) error {
	wanted := p.wants(tp.at.name)
	if r != nil && (!wanted || r.last().Owner != p.UID) {
		if err := tp.endOwned(ctx, r); err != nil {
			return err
		}
		r = nil
	}
	switch {
	case !wanted, r != nil && r.last().Owned >= p.Version && p.Applied >= p.Version:
		return nil
	case r != nil && r.last().Owned >= p.Version: // whoever stored it may have died before its webhook knew
		return tp.configure(ctx, r.name, &r.last().storedSubscription)
	}
	set, err := p.settings()
	if err != nil {
		return engine.ErrBroken.Because(err)
	}
	set.Owner, set.Secret, set.Secrets = p.owner(), p.Secret, p.Secrets
	if r == nil {
		if err := tp.store.refuseRing(ctx, tp.at.tenant, tp.at.name, set); err != nil {
			return err
		}
	}
	if err := tp.store.step("pattern wanted"); err != nil {
		return err
	}
	if _, _, err := tp.storeSubscription(ctx, ownedPrefix+p.name, r, set); err != nil {
		return err
	}
	return tp.store.step("pattern spread")
}

func (tp *topic) endOwned(ctx context.Context, r *record) error {
	return tp.endSubscription(ctx, r, "")
}

// failure returns why a topic cannot follow, and false for what passes, and for nil.
func failure(topicName string, err error) (TopicFailure, bool) {
	e, ok := errors.AsType[*errs.Error](err)
	if !ok || e.Kind != errs.Quota && e.Kind != errs.Conflict && e.Kind != errs.Invalid {
		return TopicFailure{}, false
	}
	return TopicFailure{Topic: topicName, Code: e.Code, Message: strings.ToValidUTF8(e.Message[:min(len(e.Message), maxFailureText)], "")}, true
}

// conformNew does so for a topic whose name is not known yet; made says that its keys were made just now. What it cannot follow does not
// keep it from being there.
func (tp *topic) conformNew(ctx context.Context, made bool) (*patterns, error) {
	known, err := tp.store.readPatterns(ctx, tp.at.tenant, "", nil)
	if err != nil || made && !slices.ContainsFunc(known.list, func(p *pattern) bool { return p.wants(tp.at.name) }) {
		return known, err
	}
	return tp.conformNoting(ctx, known)
}

// conformSince does so for a topic whose name is known since a moment ago, when known was what the topic subscriptions said.
func (tp *topic) conformSince(ctx context.Context, known *patterns) error {
	now, err := tp.store.readPatterns(ctx, tp.at.tenant, "", known)
	if err != nil || now == known {
		return err
	}
	_, err = tp.conformNoting(ctx, now)
	return err
}

func (tp *topic) conformNoting(ctx context.Context, known *patterns) (*patterns, error) {
	after, failures, err := tp.conform(ctx, known)
	if err != nil {
		return nil, err
	}
	for name, f := range failures {
		if err := tp.store.noteFailure(ctx, tp.at.tenant, name, f); err != nil {
			return nil, err
		}
	}
	return after, nil
}

// noteFailure adds a topic to those that a topic subscription names because they could not follow.
func (s *Store) noteFailure(ctx context.Context, t tenants.ID, name string, f TopicFailure) error {
	for range maxStale {
		p, err := s.findPattern(ctx, t, name)
		if err != nil || p == nil || p.damaged || slices.ContainsFunc(p.Failures, func(have TopicFailure) bool { return have.Topic == f.Topic }) {
			return err
		}
		p.Failed++
		if len(p.Failures) < maxFailures {
			p.Failures = append(p.Failures, f)
		}
		if err := s.savePattern(ctx, t, p, false, false); !errors.Is(err, errChanged) {
			return err
		}
	}
	return engine.ErrUnavailable
}

// tally is how the topics follow a topic subscription, as far as a walk has come.
type tally struct {
	Failed   int64          `json:"failed,omitempty"`
	Failures []TopicFailure `json:"failures,omitempty"`
}

func (y *tally) add(f TopicFailure) {
	y.Failed++
	if len(y.Failures) < maxFailures {
		y.Failures = append(y.Failures, f)
	}
}

// closeWalk notes how the topics follow a version of a topic subscription, after a walk through all, or that it is gone where it was to be
// deleted. A version that came later is left to whoever walks for that.
func (s *Store) closeWalk(ctx context.Context, t tenants.ID, name string, of Owner, y tally) error {
	for range maxStale {
		p, err := s.findPattern(ctx, t, name)
		if err != nil || p == nil || p.damaged || p.owner() != of {
			return err
		}
		if p.Applied == of.Version && p.Failed == y.Failed && slices.Equal(p.Failures, y.Failures) && !p.Deleting {
			return nil
		}
		p.Applied, p.Failed, p.Failures = of.Version, y.Failed, y.Failures
		if err := s.savePattern(ctx, t, p, p.Deleting, false); !errors.Is(err, errChanged) {
			return err
		}
	}
	return engine.ErrUnavailable
}

// spreading is what a task of SpreadTask knows: which version of which topic subscription the topics are to follow.
type spreading struct {
	Name    string `json:"name"`
	UID     string `json:"uid"`
	Version int64  `json:"version"`
}

// spreadPlace is how far such a task is.
type spreadPlace struct {
	After string `json:"after"` // name of the last topic that was looked at
	tally
}

// PlanSpread returns the task by which the topics follow a topic subscription as it was changed last, and false where they do.
func (s *Store) PlanSpread(ctx context.Context, t tenants.ID, sub TopicSubscription) (tasks.NewTask, bool, error) {
	n := tasks.NewTask{Type: SpreadTask, Alone: true, Of: fmt.Sprintf("%s@%d", sub.owner.UID, sub.owner.Version)}
	if sub.State == Applied {
		return n, false, nil
	}
	total, err := s.registry.Count(ctx, t)
	if err != nil {
		return n, false, err
	}
	params, err := json.Marshal(spreading{sub.Name, sub.owner.UID, sub.owner.Version})
	n.Total, n.Params = total, string(params)
	return n, true, err
}

// Spreading is how tasks of SpreadTask are worked on.
func (s *Store) Spreading() tasks.Kind { return tasks.Kind{Step: s.spreadStep} }

// spreadStep brings some more topics to what the topic subscriptions say. Those that are there already stay as they are, so it may be
// repeated, and by several servers at once.
func (s *Store) spreadStep(ctx context.Context, w tasks.Work) (tasks.Result, error) {
	var plan spreading
	place := spreadPlace{}
	t, ok := tenants.ParseID(w.Tenant)
	err := json.Unmarshal([]byte(w.Params), &plan)
	if err == nil && w.State != "" {
		err = json.Unmarshal([]byte(w.State), &place)
	}
	if err != nil || !ok || plan.UID == "" {
		return tasks.Result{}, engine.ErrBroken.Because(fmt.Errorf("the parameters of task %s are damaged", w.Task.ID))
	}
	res := tasks.Result{State: w.State}
	if w.Most == 0 {
		return res, nil
	}
	known, err := s.readPatterns(ctx, t, "", nil)
	if err != nil {
		return res, err
	}
	names, next, err := s.registry.Page(ctx, t, "", place.After, min(w.Most, max(spreadMost/max(len(known.list), 1), 1)))
	if err != nil {
		return res, err
	}
	var mu sync.Mutex // of what has failed
	failed := map[string]TopicFailure{}
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(spreadAtOnce)
	for _, name := range names {
		g.Go(func() error {
			failures, err := s.spreadTo(gctx, t, name, known)
			if f, is := failures[plan.Name]; is {
				mu.Lock()
				defer mu.Unlock()
				failed[name] = f
			}
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return res, err
	}
	for _, name := range names {
		if f, is := failed[name]; is {
			place.add(f)
			res.Errors = append(res.Errors, tasks.ItemError{Item: name, Code: f.Code, Message: f.Message, At: s.clock.Now()})
		}
	}
	res.Looked, res.Failed = int64(len(names)), int64(len(res.Errors))
	res.Done = res.Looked - res.Failed
	if next == "" {
		res.Finished = true
		if err := s.closeWalk(ctx, t, plan.Name, Owner{plan.UID, plan.Version}, place.tally); err != nil {
			return res, err
		}
	}
	place.After = next
	state, err := json.Marshal(place)
	res.State = string(state)
	return res, err
}

// spreadTo brings one topic to what the topic subscriptions say. One that is gone, or whose data is lost, follows.
func (s *Store) spreadTo(ctx context.Context, t tenants.ID, name string, known *patterns) (map[string]TopicFailure, error) {
	var failures map[string]TopicFailure
	err := s.with(ctx, t, name, func(tp *topic) (err error) {
		_, failures, err = tp.conform(ctx, known)
		return err
	})
	if errors.Is(err, ErrTopicNotFound) || errors.Is(err, ErrDataLost) {
		return nil, nil
	}
	return failures, err
}

// sweeping is what a sweep of a tenant's topics finds out about its topic subscriptions.
type sweeping struct {
	begun *patterns // as they were at the beginning
	now   *patterns
	found map[string]*tally
}

func (s *Store) beginSweep(ctx context.Context, t tenants.ID) (*sweeping, error) {
	begun, err := s.readPatterns(ctx, t, "", nil)
	if err != nil {
		return nil, err
	}
	for _, p := range begun.list {
		if p.damaged {
			s.logger.Error("a topic subscription cannot be read; no topic follows it", "tenant", t.String(), "name", p.name)
		}
	}
	return &sweeping{begun: begun, now: begun, found: map[string]*tally{}}, nil
}

// visit brings a topic to what the topic subscriptions say.
func (w *sweeping) visit(ctx context.Context, tp *topic) error {
	now, failures, err := tp.conform(ctx, w.now)
	if err != nil {
		return err
	}
	w.now = now
	for name, f := range failures {
		if w.found[name] == nil {
			w.found[name] = &tally{}
		}
		w.found[name].add(f)
	}
	return nil
}

// end notes what the sweep has found out of those that are as they were at its beginning.
func (w *sweeping) end(ctx context.Context, s *Store, t tenants.ID) error {
	for _, p := range w.begun.list {
		y := tally{}
		if found := w.found[p.name]; found != nil {
			y = *found
		}
		if err := s.closeWalk(ctx, t, p.name, p.owner(), y); err != nil {
			return err
		}
	}
	return nil
}
