package handlers

import (
	"context"
	"errors"
	"net/http"

	"github.com/labstack/echo/v4"
	"golang.org/x/sync/errgroup"

	"github.com/sluicemq/sluice/tenants"
	"github.com/sluicemq/sluice/topics"
)

// TopicHealthList is how several topics fare.
type TopicHealthList struct {
	// In the order in which they were asked for, without those that are not there.
	Data []TopicHealth `json:"data"`
}

// TopicHealth is how the subscriptions of a topic fare, together.
type TopicHealth struct {
	Topic string `json:"topic" example:"orders.created"`
	// How many subscriptions are in each state.
	States SubscriptionStates `json:"states"`
	// What became of the messages of all of them.
	Counts SubscriptionCounts `json:"counts"`
	// Whether all subscriptions were looked at. Where it is false the topics before had too many.
	Complete bool `json:"complete" example:"true"`
}

// SubscriptionStates counts subscriptions by their state.
type SubscriptionStates struct {
	Active     int `json:"active" example:"3"`
	Paused     int `json:"paused" example:"0"`
	Retrying   int `json:"retrying" example:"0"`
	Broken     int `json:"broken" example:"0"`
	Failing    int `json:"failing" example:"1"`
	Disabled   int `json:"disabled" example:"0"`
	Unverified int `json:"unverified" example:"0"`
}

// add counts one that is in a state.
func (s *SubscriptionStates) add(state string) {
	switch state {
	case "active":
		s.Active++
	case "paused":
		s.Paused++
	case "retrying":
		s.Retrying++
	case "broken":
		s.Broken++
	case "failing":
		s.Failing++
	case "disabled":
		s.Disabled++
	case "unverified":
		s.Unverified++
	}
}

const (
	maxHealthTopics = 100 // of a request
	// maxHealthSubscriptions bounds the subscriptions of a request: each webhook among them is a call of Redis.
	maxHealthSubscriptions = 1000
)

// getTopicHealth shows how several topics fare.
//
//	@Summary		Get how several topics fare
//	@Description	Of each of the topics that `topics` names, how many subscriptions are in which state, and what became of messages: what a list of topics shows beside their names. It looks at 1,000 subscriptions at most, those of the first topics first; `complete` says of which topics it has seen all.
//	@ID				getTopicHealth
//	@Tags			topics
//	@Param			topics	query		string			true	"Names with commas between them, at most 100"	maxlength(25700)
//	@Success		200		{object}	TopicHealthList	"How they fare"
//	@Failure		400		{object}	Problem			"The request is malformed"
//	@Failure		404		{object}	Problem			"No such tenant"
//	@Failure		415		{object}	Problem			"The request has a Content-Encoding"
//	@Failure		422		{object}	Problem			"A value is not allowed"
//	@Router			/v1/topic_health [get]
func (a *API) getTopicHealth(c echo.Context) error {
	names, err := readNames(c, "topics", maxHealthTopics)
	if err != nil {
		return err
	}
	ctx, t, _ := scope(c)
	lists, err := a.subscriptionsOf(ctx, t, names)
	if err != nil {
		return err
	}
	out := TopicHealthList{Data: []TopicHealth{}}
	left := maxHealthSubscriptions
	for i, list := range lists {
		if list == nil {
			continue
		}
		looked := list[:min(left, len(list))]
		left -= len(looked)
		one := TopicHealth{Topic: names[i], Complete: len(looked) == len(list)}
		shown := make([]Subscription, len(looked))
		for k := range looked {
			shown[k] = newSubscription(names[i], looked[k])
		}
		if err := a.showWebhooks(ctx, shown, looked); err != nil {
			return err
		}
		for k := range shown {
			one.States.add(shown[k].State)
			one.Counts.add(shown[k].Counts)
		}
		out.Data = append(out.Data, one)
	}
	return a.json(c, http.StatusOK, out)
}

// add adds the counts of another one.
func (s *SubscriptionCounts) add(other SubscriptionCounts) {
	s.Delivered += other.Delivered
	s.FilteredOut += other.FilteredOut
	s.Dropped += other.Dropped
	s.Failed += other.Failed
}

// subscriptionsOf returns the subscriptions of some topics, in their order; nil for one that is not there.
func (a *API) subscriptionsOf(ctx context.Context, t tenants.ID, names []string) ([][]topics.Subscription, error) {
	lists := make([][]topics.Subscription, len(names))
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(16)
	for i, name := range names {
		g.Go(func() error {
			list, _, err := a.Topics.ListSubscriptions(gctx, t, name, "", "", topics.MaxSubscriptions)
			if errors.Is(err, topics.ErrTopicNotFound) {
				return nil
			}
			lists[i] = list
			return err
		})
	}
	return lists, g.Wait()
}
