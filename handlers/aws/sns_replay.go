package aws

import (
	"encoding/json"
	"errors"
	"time"

	"github.com/sluicemq/sluice/internal/errs"
	"github.com/sluicemq/sluice/internal/tasks"
	"github.com/sluicemq/sluice/topics"
)

// replayScope is what is shown of a replay elsewhere.
type replayScope struct {
	Topic        string `json:"topic"`
	Subscription string `json:"subscription"`
}

const tooEarly = "ReplayPolicy: StartingPoint must not be before the topic's BeginningArchiveTime"

// window is from when to when a ReplayPolicy has messages replayed.
type window struct{ start, end time.Time } // end is zero: up to now

// setReplay reads the ReplayPolicy of a subscription, without a look at what the topic keeps.
func setReplay(topic string, set *topics.SubscriptionSettings, text string) error {
	set.Replay = topics.Replayed{}
	if text == "" {
		return nil
	}
	w, none, err := readReplayPolicy(text)
	switch {
	case err != nil:
		return err
	case none:
		return nil
	case !topics.IsFIFOName(topic):
		return errors.New("ReplayPolicy: is only for subscriptions to FIFO topics")
	case set.Queue == "":
		return errors.New("ReplayPolicy: is only for subscriptions of queues")
	}
	set.Replay.Policy = text
	if !w.end.IsZero() {
		set.Replay.Until = w.end.UnixMilli()
	}
	return nil
}

// readReplayPolicy reads the text of a policy; {} is none.
func readReplayPolicy(text string) (w window, none bool, err error) {
	var policy map[string]string
	if json.Unmarshal([]byte(text), &policy) != nil || policy == nil {
		return w, false, errors.New("ReplayPolicy: failed to parse JSON")
	}
	if len(policy) == 0 {
		return w, true, nil
	}
	for name, value := range policy {
		at := &w.start
		switch name {
		case "PointType":
			if value != "Timestamp" {
				return w, false, errors.New("ReplayPolicy: PointType must be Timestamp")
			}
			continue
		case "StartingPoint":
		case "EndingPoint":
			at = &w.end
		default:
			return w, false, errors.New("ReplayPolicy: Unexpected JSON member: " + clip(name))
		}
		if *at, err = time.Parse(time.RFC3339, value); err != nil || at.UnixMilli() <= 0 {
			return w, false, errors.New("ReplayPolicy: " + name + " must be a time such as 2026-01-31T12:00:00.000Z")
		}
	}
	switch {
	case policy["PointType"] == "" || w.start.IsZero():
		return w, false, errors.New("ReplayPolicy: must have PointType and StartingPoint")
	case !w.end.IsZero() && !w.start.Before(w.end):
		return w, false, errors.New("ReplayPolicy: EndingPoint must be later than StartingPoint")
	}
	return w, false, nil
}

// checkReplay refuses to replay what the topic does not keep. What it says begins with a prefix.
func (c *call) checkReplay(prefix, topic string, r topics.Replayed) error {
	if r.Policy == "" {
		return nil
	}
	t, err := c.door.Topics.Get(c.ctx, c.owner, topic)
	if err != nil {
		return err
	}
	w, _, err := readReplayPolicy(r.Policy)
	switch {
	case err != nil:
		return err
	case t.Settings.Retention == 0:
		return parameter("%sReplayPolicy: the topic has no ArchivePolicy", prefix)
	case w.start.Before(archiveBegin(&t).Truncate(time.Millisecond)):
		return parameter("%s%s", prefix, tooEarly)
	case w.start.After(c.door.Clock.Now()):
		return parameter("%sReplayPolicy: StartingPoint must not lie in the future", prefix)
	}
	return nil
}

// startReplay starts the task of a replay and returns its id.
func (c *call) startReplay(topic, name string, r topics.Replayed) (string, error) {
	w, _, err := readReplayPolicy(r.Policy)
	if err != nil {
		return "", err
	}
	n, err := c.door.Topics.PlanReplay(c.ctx, c.owner, topic, name, topics.ReplayOptions{From: topics.Place{Since: w.start}, Until: w.end, Marked: true})
	if errors.Is(err, topics.ErrNotRetained) {
		return "", parameter("%s", tooEarly)
	}
	if err != nil {
		return "", err
	}
	shown, err := json.Marshal(replayScope{topic, name})
	if err != nil {
		return "", err
	}
	n.Scope, n.CreatedBy = string(shown), c.who.KeyID
	t, err := c.door.Tasks.Start(c.ctx, c.owner.String(), n)
	if errs.KindOf(err) == errs.Quota {
		return "", errReplayLimit.with("%s", fault(err).message)
	}
	return t.ID, err
}

// beginReplay begins the replay that a subscription was made with.
func (c *call) beginReplay(topic, name string, r topics.Replayed) error {
	if r.Policy == "" {
		return nil
	}
	return c.replaceReplay(topic, name, r)
}

// changeReplay has a policy take the place of the one before, whose replay ends.
func (c *call) changeReplay(topic, name, text string) error {
	s, err := c.door.Topics.GetSubscription(c.ctx, c.owner, topic, name)
	if errs.KindOf(err) == errs.NotFound {
		return errNotFound.with(noSubscription)
	}
	if err != nil {
		return err
	}
	if err := setReplay(topic, &s.Settings, text); err != nil {
		return parameter("%s", err)
	}
	if err := c.checkReplay("", topic, s.Settings.Replay); err != nil {
		return err
	}
	return c.replaceReplay(topic, name, s.Settings.Replay)
}

// replaceReplay starts a replay, notes it, and ends the one before. What was started and could not be noted is ended.
func (c *call) replaceReplay(topic, name string, r topics.Replayed) error {
	var err error
	if r.Policy != "" {
		if r.Task, err = c.startReplay(topic, name, r); err != nil {
			return err
		}
	}
	old := ""
	_, err = c.door.Topics.UpdateSubscription(c.ctx, c.owner, topic, name, topics.Condition{}, func(have topics.SubscriptionSettings) topics.SubscriptionSettings {
		old, have.Replay = have.Replay.Task, r
		return have
	})
	if errs.KindOf(err) == errs.NotFound {
		err = errNotFound.with(noSubscription)
	}
	if err != nil {
		return errors.Join(err, c.endReplay(r.Task))
	}
	return c.endReplay(old)
}

func (c *call) endReplay(task string) error {
	if task == "" {
		return nil
	}
	_, err := c.door.Tasks.Cancel(c.ctx, c.owner.String(), task)
	if errors.Is(err, tasks.ErrNotFound) || errors.Is(err, tasks.ErrFinished) {
		return nil
	}
	return err
}

// replayStatus returns how far the replay of a subscription is.
func (c *call) replayStatus(r topics.Replayed) ([]pair, error) {
	if r.Policy == "" {
		return nil, nil
	}
	status := "Pending"
	if r.Task != "" {
		t, err := c.door.Tasks.Get(c.ctx, c.owner.String(), r.Task)
		switch {
		case errors.Is(err, tasks.ErrNotFound): // it ended so long ago that it is forgotten
			status = "Completed"
		case err != nil:
			return nil, err
		case t.Status == tasks.Failed || t.Status == tasks.Cancelling || t.Status == tasks.Cancelled:
			status = "Failed"
		case t.Status == tasks.Succeeded && c.door.Clock.Now().UnixMilli() >= r.Until:
			status = "Completed"
		case !t.StartedAt.IsZero():
			status = "In progress"
		}
	}
	return []pair{{"ReplayStatus", status}}, nil
}
