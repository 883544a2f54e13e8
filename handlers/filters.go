package handlers

import (
	"net/http"

	"github.com/labstack/echo/v4"

	"github.com/sluicemq/sluice/internal/errs"
	"github.com/sluicemq/sluice/internal/filter"
	"github.com/sluicemq/sluice/queues"
	"github.com/sluicemq/sluice/topics"
)

// FilterTest asks which messages a filter policy lets through: one that is given here, or those of all subscriptions of
// a topic.
type FilterTest struct {
	// The policy, without a topic.
	FilterPolicy map[string]any `json:"filter_policy,omitempty" swaggertype:"object" extensions:"x-nullable"`
	// What the policy looks at.
	FilterScope string `json:"filter_scope,omitempty" enums:"attributes,body" default:"attributes" extensions:"x-nullable"`
	// Instead of a policy: the topic whose subscriptions are asked, by the settings that hold now.
	Topic string `json:"topic,omitempty" example:"orders.created"`
	// The message, as in a batch. Nothing is published.
	Message BatchMessage `json:"message"`
}

// FilterTested is what a filter policy makes of a message.
type FilterTested struct {
	// Whether the message gets through; with a topic, to any subscription.
	Matched bool `json:"matched" example:"false"`
	// What keeps the message out. Empty with a topic.
	Failures []FilterFailure `json:"failures"`
	// With a topic: what becomes of the message at each subscription, by name.
	Subscriptions []SubscriptionTested `json:"subscriptions,omitempty"`
}

// SubscriptionTested is what the filter policy of one subscription makes of a message.
type SubscriptionTested struct {
	Name     string          `json:"name" example:"billing"`
	Matched  bool            `json:"matched" example:"false"`
	Failures []FilterFailure `json:"failures"`
}

// FilterFailure is a part of a filter policy that a message does not satisfy.
type FilterFailure struct {
	// JSON Pointer to the conditions in the policy; empty when the message is none that the policy can look at.
	Path string `json:"path" example:"/tier"`
	// The conditions as the policy has them.
	Want any `json:"want" extensions:"x-nullable"`
	// The values that were there, at most 10.
	Got []any `json:"got"`
	// What is wrong, in a sentence.
	Detail string `json:"detail" example:"The message has no attribute \"tier\"."`
}

// testFilter says which messages filter policies let through.
//
//	@Summary		Test filter policies
//	@Description	Says whether a message gets past a filter policy, or past those of all subscriptions of a topic, and if not, at which part of the policy it fails and with which value. Nothing is published.
//	@ID				testFilter
//	@Tags			subscriptions
//	@Accept			json
//	@Param			test	body		FilterTest		true	"A policy or a topic, and a message"
//	@Success		200		{object}	FilterTested	"What becomes of the message"
//	@Failure		400		{object}	Problem			"The request is malformed"
//	@Failure		404		{object}	Problem			"No such topic"
//	@Failure		408		{object}	Problem			"The body did not arrive in time"
//	@Failure		413		{object}	Problem			"The body is too large"
//	@Failure		415		{object}	Problem			"The body is not JSON"
//	@Failure		422		{object}	Problem			"A value is not allowed, or the filter policy is wrong (`filter_policy_invalid`)"
//	@Router			/v1/filters/test [post]
func (a *API) testFilter(c echo.Context) error {
	if _, err := readQuery(c); err != nil {
		return err
	}
	buf := getBuffer()
	defer buf.release()
	body, err := a.controlBody(c, buf)
	if err != nil {
		return err
	}
	var test filterTest
	if err := readJSON(body, func(r *reader) { test = r.readFilterTest() }); err != nil {
		return err
	}
	var m filter.Message
	topics.Show(&m, &test.message)
	if test.topic == "" {
		policy, err := filter.Compile(test.policy, test.scope)
		if err != nil {
			return relocate(err, func(f *errs.Field) { f.Pointer = "/filter_policy" + f.Pointer })
		}
		failures := newFailures(policy.Explain(&m))
		return a.json(c, http.StatusOK, FilterTested{Matched: len(failures) == 0, Failures: failures})
	}
	ctx, t, _ := scope(c)
	tested, err := a.Topics.TestFilters(ctx, t, test.topic, &m)
	if err != nil {
		return err
	}
	out := FilterTested{Failures: []FilterFailure{}, Subscriptions: make([]SubscriptionTested, len(tested))}
	for i, one := range tested {
		out.Subscriptions[i] = SubscriptionTested{Name: one.Subscription, Matched: len(one.Failures) == 0, Failures: newFailures(one.Failures)}
		out.Matched = out.Matched || len(one.Failures) == 0
	}
	return a.json(c, http.StatusOK, out)
}

// FilterCountInput asks how many of a topic's last messages a filter policy lets through.
type FilterCountInput struct {
	// The policy; null for all messages.
	FilterPolicy map[string]any `json:"filter_policy" swaggertype:"object" extensions:"x-nullable"`
	// What the policy looks at.
	FilterScope string `json:"filter_scope,omitempty" enums:"attributes,body" default:"attributes" extensions:"x-nullable"`
	// How many messages, from the end of what the topic keeps.
	Last int `json:"last,omitempty" validate:"min=1,max=1000" default:"1000" example:"1000"`
}

// FilterCounted is how many messages a filter policy would have let through.
type FilterCounted struct {
	Matched int `json:"matched" example:"312"`
	// How many messages were looked at: fewer than were asked for where the topic keeps no more.
	Scanned Scanned `json:"scanned"`
	// When the first of them was published; null when there was none.
	OldestAt *Instant `json:"oldest_at" swaggertype:"string" format:"date-time" extensions:"x-nullable"`
}

// countFilter says how many of a topic's last messages a filter policy would have let through.
//
//	@Summary		Count what a filter policy would have let through
//	@Description	Of the last messages that the topic keeps (`message_retention`), 1,000 at most and 16 MiB of bodies: then the oldest of them were looked at, and `scanned.complete` is false. Nothing is published, and no subscription changes.
//	@ID				countFilter
//	@Tags			subscriptions
//	@Accept			json
//	@Param			topic	path		string				true	"Name of the topic"
//	@Param			policy	body		FilterCountInput	true	"The policy"
//	@Success		200		{object}	FilterCounted		"How many"
//	@Failure		400		{object}	Problem				"The request is malformed"
//	@Failure		404		{object}	Problem				"No such topic"
//	@Failure		408		{object}	Problem				"The body did not arrive in time"
//	@Failure		413		{object}	Problem				"The body is too large"
//	@Failure		415		{object}	Problem				"The body is not JSON"
//	@Failure		422		{object}	Problem				"A value is not allowed, or the filter policy is wrong (`filter_policy_invalid`)"
//	@Router			/v1/topics/{topic}/filters/count [post]
func (a *API) countFilter(c echo.Context) error {
	if _, err := readQuery(c); err != nil {
		return err
	}
	text, of, last := "", filter.Attributes, int64(topics.MaxLast)
	err := a.readControl(c, func(r *reader) {
		given := false
		r.object([]string{"filter_policy", "filter_scope", "last"}, func(key []byte) {
			switch string(key) {
			case "filter_policy":
				text, given = r.policy(), true
			case "filter_scope":
				of = r.filterScope()
			case "last":
				last, _ = r.integer(1, topics.MaxLast)
			}
		})
		if !given && r.err == nil {
			r.fault("required", "must have the member filter_policy")
		}
	})
	if err != nil {
		return err
	}
	policy, err := filter.Compile(text, of)
	if err != nil {
		return relocate(err, func(f *errs.Field) { f.Pointer = "/filter_policy" + f.Pointer })
	}
	ctx, t, _ := scope(c)
	got, err := a.Topics.CountMatching(ctx, t, c.Param("topic"), policy, int(last))
	if err != nil {
		return a.guessTopic(c, err)
	}
	return a.json(c, http.StatusOK, FilterCounted{Matched: got.Matched, Scanned: Scanned{Messages: got.Looked, Complete: got.Complete}, OldestAt: instant(got.Oldest)})
}

type filterTest struct {
	topic, policy string
	scope         filter.Scope
	message       queues.Outgoing
}

// readFilterTest reads a FilterTest.
func (r *reader) readFilterTest() filterTest {
	var test filterTest
	hasPolicy, hasMessage := false, false
	r.object([]string{"filter_policy", "filter_scope", "topic", "message"}, func(key []byte) {
		switch string(key) {
		case "filter_policy":
			hasPolicy = true
			test.policy = r.policy()
		case "filter_scope":
			test.scope = r.filterScope()
		case "topic":
			s, _ := r.str()
			test.topic = string(s)
		case "message":
			hasMessage = true
			test.message, _ = r.batchMessage()
		}
	})
	switch {
	case r.err != nil:
	case hasPolicy == (test.topic != ""):
		r.fault("required", "must have either filter_policy or topic")
	case !hasMessage:
		r.fault("required", "must have the member message")
	}
	return test
}

func newFailures(list []filter.Failure) []FilterFailure {
	out := make([]FilterFailure, len(list))
	for i, f := range list {
		out[i] = FilterFailure{Path: f.Path, Got: make([]any, len(f.Got)), Detail: f.Why}
		if f.Want != nil {
			out[i].Want = f.Want
		}
		for k, v := range f.Got {
			out[i].Got[k] = v
		}
	}
	return out
}
