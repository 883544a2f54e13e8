package handlers

import (
	"errors"
	"net/http"

	"github.com/labstack/echo/v4"

	"github.com/sluicemq/sluice/internal/errs"
	"github.com/sluicemq/sluice/internal/tasks"
	"github.com/sluicemq/sluice/topics"
	"github.com/sluicemq/sluice/topics/webhook"
)

// TopicSubscription subscribes to all topics whose names match a pattern. Each of them has a subscription pattern.{name}.
type TopicSubscription struct {
	Name string `json:"name" example:"audit"`
	// Which topics, those to come included.
	Pattern string `json:"pattern" example:"orders.*.created"`
	// Whether it leads to a queue, to an HTTPS endpoint or to another topic.
	Protocol string `json:"protocol" enums:"queue,webhook,topic"`
	// The queue that gets the messages; null for a webhook or a topic.
	Queue *string `json:"queue" extensions:"x-nullable" example:"billing"`
	// The topic that gets the messages; null for a queue or a webhook.
	TargetTopic *string `json:"target_topic" extensions:"x-nullable" example:"audit"`
	// The URL that gets the messages. This, timeout and max_in_flight are those of webhooks only.
	Endpoint string `json:"endpoint,omitempty" example:"https://example.com/hooks"`
	// Seconds that one attempt may take.
	Timeout int `json:"timeout,omitempty" example:"15"`
	// Attempts at the same time, from each topic.
	MaxInFlight int `json:"max_in_flight,omitempty" example:"16"`
	// Requests a second at most, of the webhook of each topic; missing where there are as many as there are messages.
	MaxRate int `json:"max_rate,omitempty" example:"20"`
	// Seconds before the second attempt, the third and so on; null where it leads to no endpoint.
	RetrySchedule []int `json:"retry_schedule" extensions:"x-nullable"`
	// Statuses of answers after which a message is not tried again; null where it leads to a queue or a topic.
	TerminalStatuses []int `json:"terminal_statuses" extensions:"x-nullable"`
	// What happens in a FIFO topic after the last attempt: the next message of the group has its turn, or the group waits.
	OnExhausted string `json:"on_exhausted,omitempty" enums:"skip_to_dlq,block"`
	// What happens when the webhook of a topic holds as many messages as it may: what comes goes to the dead-letter queue, or is dropped where
	// there is none; the oldest are dropped; or publishes to that topic are refused until it has got what there is.
	Overflow string `json:"overflow,omitempty" enums:"dlq,drop_oldest,reject_publish"`
	// Headers that are added to each request. Values are not shown again.
	Headers map[string]string `json:"headers,omitempty" example:"X-Team:***"`
	// What goes into the header Authorization of each request.
	Auth *WebhookAuth `json:"auth,omitempty"`
	// The client's certificate that is shown to the endpoint, and the authorities that are trusted.
	TLS *WebhookTLS `json:"tls,omitempty"`
	// How many messages one request carries; missing where it carries one.
	Batch *WebhookBatch `json:"batch,omitempty"`
	// How the endpoint of a webhook shows that it wants to be sent to, for each topic.
	Verification string `json:"verification,omitempty" enums:"none,challenge,cloudevents"`
	// What the webhooks of all topics sign with; only in the answer that made it.
	Secret string `json:"secret,omitempty" example:"whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oDszrx2cZ8dPs="`
	// What verifies that, where it is of the type ed25519.
	PublicKey string `json:"public_key,omitempty" example:"whpk_QwNSaBX4zGf2lz5Fqr8Bs2wLxN3mBgxxnMLDHhjXgFY="`
	// How messages arrive.
	Format string `json:"format" enums:"raw,envelope,sns,cloudevents_binary,cloudevents_structured,cloudevents_batch"`
	// The queue that gets what cannot be delivered for good; null for none.
	DeadLetterQueue *string `json:"dead_letter_queue" extensions:"x-nullable" example:"billing-undelivered"`
	// Which messages arrive; null for all.
	FilterPolicy map[string]any `json:"filter_policy" extensions:"x-nullable" swaggertype:"object"`
	// What the filter policy looks at.
	FilterScope string `json:"filter_scope" enums:"attributes,body"`
	// Applying: some topics are as they were before the last change. Active: all follow, but those that failed; those to come do so
	// in either state. Deleting: some topics have the subscription still. Broken: what is stored of it is damaged, and no topic follows;
	// delete it and make it again.
	State string `json:"state" enums:"active,applying,deleting,broken"`
	// How many topics could not follow.
	FailedTopics int64 `json:"failed_topics" example:"0"`
	// Why, for up to five of them.
	Failures  []TopicFailure `json:"failures"`
	CreatedAt Instant        `json:"created_at" swaggertype:"string" format:"date-time"`
	UpdatedAt Instant        `json:"updated_at" swaggertype:"string" format:"date-time"`
	// Changes with the settings; the header ETag has it in quotes.
	ETag string `json:"etag" example:"5f3a90c1d2e47b68"`
}

// TopicFailure is why a topic has not got a subscription.
type TopicFailure struct {
	Topic string `json:"topic" example:"orders.eu.created"`
	// As the code of the problem that an ordinary subscription would have got.
	Code string `json:"code" example:"quota_exceeded"`
	// For people. May change.
	Detail string `json:"detail" example:"The topic has as many subscriptions as it may have."`
}

// TopicSubscriptionInput is what a client says of a topic subscription. What is missing or null has its default.
type TopicSubscriptionInput struct {
	// Which topics: segments between dots, of which * is any one and # at the end any number. With .fifo at the end only FIFO topics.
	Pattern string `json:"pattern,omitempty" validate:"omitempty,min=1,max=256" example:"orders.*.created"`
	SubscriptionInput
}

// topicSubscriptionReadOnly are the members of TopicSubscription that nobody sets.
var topicSubscriptionReadOnly = map[string]bool{"name": true, "public_key": true, "state": true, "failed_topics": true, "failures": true, "created_at": true, "updated_at": true, "etag": true}

// wild is a change of a topic subscription.
type wild struct {
	pattern *string // nil: it stays
	change  func(topics.SubscriptionSettings) topics.SubscriptionSettings
}

// apply returns what becomes of a pattern and settings.
func (w wild) apply(pattern string, set topics.SubscriptionSettings) (string, topics.SubscriptionSettings, error) {
	if w.pattern != nil {
		pattern = *w.pattern
	}
	set = w.change(set)
	if set.Endpoint != "" {
		if e, err := webhook.ParseEndpoint(set.Endpoint); err == nil && e.Verify == webhook.BySNS {
			return "", set, errs.Invalidf("/verification", "The endpoint of a topic subscription cannot be verified as SNS does it, by a link for each topic: use challenge or cloudevents.")
		}
	}
	return pattern, set, nil
}

// readTopicSubscription reads a TopicSubscriptionInput.
func (r *reader) readTopicSubscription() (pattern *string, change func(topics.SubscriptionSettings) topics.SubscriptionSettings, protocol string, secret webhook.Given) {
	change, protocol, secret = r.readSubscriptionAnd(append([]string{"pattern"}, subscriptionNames...), func(key []byte) bool {
		switch {
		case string(key) == "pattern":
			text := ""
			if !r.null() {
				s, _ := r.str()
				text = string(s)
			}
			pattern = &text
		case topicSubscriptionReadOnly[string(key)]:
			r.fault(unknownField, "is read-only: leave it out")
			r.skip()
		default:
			return false
		}
		return true
	})
	return pattern, change, protocol, secret
}

// topicSubscriptionChange reads what a body says of a topic subscription, and the condition under which it is to be done.
func (a *API) topicSubscriptionChange(c echo.Context) (wild, topics.Condition, error) {
	var w wild
	var protocol string
	var secret webhook.Given
	if err := a.readControl(c, func(r *reader) { w.pattern, w.change, protocol, secret = r.readTopicSubscription() }); err != nil {
		return w, topics.Condition{}, err
	}
	var err error
	if w.change, err = a.led(w.change, protocol, secret); err != nil {
		return w, topics.Condition{}, err
	}
	cond, err := a.topicSubscriptionCondition(c)
	return w, cond, err
}

// topicSubscriptionCondition reads If-Match and If-None-Match for a change.
func (a *API) topicSubscriptionCondition(c echo.Context) (topics.Condition, error) {
	return readStoreCondition(c, topics.ErrTopicSubscriptionPrecondition, func() (string, error) {
		ctx, t, _ := scope(c)
		s, err := a.Topics.GetTopicSubscription(ctx, t, c.Param("topic_subscription"))
		return s.ETag, err
	})
}

// putTopicSubscription makes a topic subscription or replaces its settings.
//
//	@Summary		Create or replace a topic subscription
//	@Description	Subscribes to every topic whose name matches the pattern, as an ordinary subscription does to one. In a pattern `*` is any one segment between dots and `#`, at its end, any number of segments, also none: `orders.*.created`, `orders.#`, `#`. A pattern that ends in `.fifo` is for FIFO topics, and another one for the others.
//	@Description
//	@Description	A topic that is made later is subscribed before anybody can publish to it. Those that are there follow by a task of the type `topic_subscription`; `state` is `applying` until then. Each has a subscription `pattern.{name}`, which changes and goes only with this one. A tenant has at most 100 topic subscriptions.
//	@ID				putTopicSubscription
//	@Tags			subscriptions
//	@Accept			json
//	@Param			topic_subscription	path		string					true	"Name of the topic subscription: 1 to 80 letters, digits, - and _"
//	@Param			If-Match			header		string					false	"Only when the topic subscription has this ETag"
//	@Param			If-None-Match		header		string					false	"* to create only"
//	@Param			settings			body		TopicSubscriptionInput	true	"The pattern and the settings"
//	@Success		200					{object}	TopicSubscription		"Replaced, or as it was"
//	@Header			200					{string}	ETag					"Version of the settings"
//	@Success		201					{object}	TopicSubscription		"Created"
//	@Header			201					{string}	ETag					"Version of the settings"
//	@Header			201					{string}	Location				"The new topic subscription"
//	@Failure		400					{object}	Problem					"The request is malformed"
//	@Failure		403					{object}	Problem					"The tenant has as many topic subscriptions as it may have"
//	@Failure		404					{object}	Problem					"No such tenant"
//	@Failure		408					{object}	Problem					"The body did not arrive in time"
//	@Failure		409					{object}	Problem					"It is being deleted (`topic_subscription_deleting`), or damaged (`topic_subscription_damaged`)"
//	@Failure		412					{object}	Problem					"If-Match or If-None-Match did not hold"
//	@Failure		413					{object}	Problem					"The body is too large"
//	@Failure		415					{object}	Problem					"The body is not JSON"
//	@Failure		422					{object}	Problem					"A value is not allowed, such as a pattern without `*` and `#`, or there is no such queue or topic"
//	@Failure		507					{object}	Problem					"The storage is full"
//	@Router			/v1/topic_subscriptions/{topic_subscription} [put]
func (a *API) putTopicSubscription(c echo.Context) error {
	w, cond, err := a.topicSubscriptionChange(c)
	if err != nil {
		return err
	}
	pattern, set, err := w.apply("", topics.SubscriptionSettings{})
	if err != nil {
		return err
	}
	ctx, t, _ := scope(c)
	s, created, err := a.Topics.PutTopicSubscription(ctx, t, c.Param("topic_subscription"), pattern, set, cond)
	if err != nil {
		return err
	}
	if err := a.spread(c, s); err != nil {
		return err
	}
	if !created {
		return a.answerTopicSubscription(c, http.StatusOK, s)
	}
	c.Response().Header().Set("Location", a.link("/v1/topic_subscriptions/"+s.Name))
	out := newTopicSubscription(s)
	if s.Settings.Secret != "" {
		made, err := a.Webhooks.Unseal(s.Settings.Secret)
		if err != nil {
			return err
		}
		out.Secret, out.PublicKey = made.Secret, made.PublicKey
		c.Response().Header().Set("Cache-Control", "no-store")
	}
	c.Response().Header().Set("ETag", quoteTag(s.ETag))
	return a.json(c, http.StatusCreated, out)
}

// spread begins the task by which the topics follow, where they do not.
func (a *API) spread(c echo.Context, s topics.TopicSubscription) error {
	ctx, t, _ := scope(c)
	n, needed, err := a.Topics.PlanSpread(ctx, t, s)
	if err != nil || !needed {
		return err
	}
	_, err = a.begin(c, n, TaskScope{TopicSubscription: s.Name})
	switch {
	case errors.Is(err, tasks.ErrAlreadyRunning):
		return nil
	case errors.Is(err, tasks.ErrQuota): // the sweep does it within ten minutes
		a.Logger.Warn("the topics follow a topic subscription later, as the tenant has too many tasks", "tenant", t.String(), "topic_subscription", s.Name)
		return nil
	}
	return err
}

// updateTopicSubscription changes single settings of a topic subscription.
//
//	@Summary		Change settings of a topic subscription
//	@Description	A JSON Merge Patch (RFC 7396), but the filter policy is replaced as a whole: what the body leaves out stays, null brings back the default. With another pattern, topics that do not match any more lose their subscription, with what has not arrived yet.
//	@ID				updateTopicSubscription
//	@Tags			subscriptions
//	@Accept			json
//	@Param			topic_subscription	path		string					true	"Name of the topic subscription"
//	@Param			If-Match			header		string					false	"Only when the topic subscription has this ETag"
//	@Param			If-None-Match		header		string					false	"Only when the topic subscription has another ETag"
//	@Param			settings			body		TopicSubscriptionInput	true	"What to change"
//	@Success		200					{object}	TopicSubscription		"Changed, or as it was"
//	@Header			200					{string}	ETag					"Version of the settings"
//	@Failure		400					{object}	Problem					"The request is malformed"
//	@Failure		404					{object}	Problem					"No such topic subscription"
//	@Failure		408					{object}	Problem					"The body did not arrive in time"
//	@Failure		409					{object}	Problem					"It is being deleted (`topic_subscription_deleting`), or damaged (`topic_subscription_damaged`)"
//	@Failure		412					{object}	Problem					"If-Match or If-None-Match did not hold"
//	@Failure		413					{object}	Problem					"The body is too large"
//	@Failure		415					{object}	Problem					"The body is not JSON"
//	@Failure		422					{object}	Problem					"A value is not allowed"
//	@Failure		507					{object}	Problem					"The storage is full"
//	@Router			/v1/topic_subscriptions/{topic_subscription} [patch]
func (a *API) updateTopicSubscription(c echo.Context) error {
	w, cond, err := a.topicSubscriptionChange(c)
	if err != nil {
		return err
	}
	ctx, t, _ := scope(c)
	s, err := a.Topics.UpdateTopicSubscription(ctx, t, c.Param("topic_subscription"), cond, w.apply)
	if err == nil {
		err = a.spread(c, s)
	}
	if err != nil {
		return err
	}
	return a.answerTopicSubscription(c, http.StatusOK, s)
}

// getTopicSubscription shows a topic subscription.
//
//	@Summary		Get a topic subscription
//	@Description	With `If-None-Match` the answer is 304 while the settings are the same, also where `state` is another one.
//	@ID				getTopicSubscription
//	@Tags			subscriptions
//	@Param			topic_subscription	path		string				true	"Name of the topic subscription"
//	@Param			If-None-Match		header		string				false	"Only when the topic subscription has another ETag"
//	@Success		200					{object}	TopicSubscription	"The topic subscription"
//	@Header			200					{string}	ETag				"Version of the settings"
//	@Success		304					"The settings are the same"
//	@Failure		400					{object}	Problem	"The request is malformed"
//	@Failure		404					{object}	Problem	"No such topic subscription"
//	@Failure		415					{object}	Problem	"The request has a Content-Encoding"
//	@Failure		422					{object}	Problem	"A value is not allowed"
//	@Router			/v1/topic_subscriptions/{topic_subscription} [get]
func (a *API) getTopicSubscription(c echo.Context) error {
	cond, err := readConditional(c)
	if err != nil {
		return err
	}
	ctx, t, _ := scope(c)
	s, err := a.Topics.GetTopicSubscription(ctx, t, c.Param("topic_subscription"))
	if err != nil {
		return err
	}
	if cond.unchanged(s.ETag) {
		return notModified(c, s.ETag)
	}
	return a.answerTopicSubscription(c, http.StatusOK, s)
}

// deleteTopicSubscription deletes a topic subscription.
//
//	@Summary		Delete a topic subscription
//	@Description	From now on no topic is subscribed by it. Those that are lose their subscription by a task of the type `topic_subscription`, and what has not arrived yet with it; `state` is `deleting` until then, and then there is no such topic subscription. To ask for it again does no harm.
//	@ID				deleteTopicSubscription
//	@Tags			subscriptions
//	@Param			topic_subscription	path		string				true	"Name of the topic subscription"
//	@Param			If-Match			header		string				false	"Only when the topic subscription has this ETag"
//	@Param			If-None-Match		header		string				false	"Only when the topic subscription has another ETag"
//	@Success		202					{object}	TopicSubscription	"It is being deleted"
//	@Header			202					{string}	ETag				"Version of the settings"
//	@Failure		400					{object}	Problem				"The request is malformed"
//	@Failure		404					{object}	Problem				"No such topic subscription"
//	@Failure		412					{object}	Problem				"If-Match or If-None-Match did not hold"
//	@Failure		415					{object}	Problem				"The request has a Content-Encoding"
//	@Failure		422					{object}	Problem				"A value is not allowed"
//	@Router			/v1/topic_subscriptions/{topic_subscription} [delete]
func (a *API) deleteTopicSubscription(c echo.Context) error {
	cond, err := a.topicSubscriptionCondition(c)
	if err != nil {
		return err
	}
	ctx, t, _ := scope(c)
	s, err := a.Topics.DeleteTopicSubscription(ctx, t, c.Param("topic_subscription"), cond)
	if err == nil {
		err = a.spread(c, s)
	}
	if err != nil {
		return err
	}
	return a.answerTopicSubscription(c, http.StatusAccepted, s)
}

// MatchingTopic is a topic whose name matches a topic subscription.
type MatchingTopic struct {
	Topic string `json:"topic" example:"orders.eu.created"`
	// Name of the subscription that it has, once it follows.
	Subscription string `json:"subscription" example:"pattern.audit"`
}

// listMatchingTopics shows which topics a topic subscription holds.
//
//	@Summary		List the topics of a topic subscription
//	@Description	Those whose names match its pattern now, by name. While `state` is `applying`, and where it failed, some of them may not have the subscription yet.
//	@ID				listMatchingTopics
//	@Tags			subscriptions
//	@Param			topic_subscription	path		string				true	"Name of the topic subscription"
//	@Param			limit				query		int					false	"How many at most"	minimum(1)	maximum(500)	default(50)
//	@Param			cursor				query		string				false	"next_cursor of the part before"
//	@Success		200					{object}	Page[MatchingTopic]	"A part of the list"
//	@Header			200					{string}	Link				"The next part, with rel=next"
//	@Failure		400					{object}	Problem				"The request is malformed"
//	@Failure		404					{object}	Problem				"No such topic subscription"
//	@Failure		409					{object}	Problem				"It is damaged (`topic_subscription_damaged`)"
//	@Failure		415					{object}	Problem				"The request has a Content-Encoding"
//	@Failure		422					{object}	Problem				"A value is not allowed"
//	@Router			/v1/topic_subscriptions/{topic_subscription}/topics [get]
func (a *API) listMatchingTopics(c echo.Context) error {
	q, err := readQuery(c, "limit", "cursor")
	if err != nil {
		return err
	}
	limit, err := pageQuery(&q)
	if err != nil {
		return err
	}
	name := c.Param("topic_subscription")
	after, err := decodeCursor("matching_topics", name, &q)
	if err != nil {
		return err
	}
	ctx, t, _ := scope(c)
	list, next, err := a.Topics.MatchingTopics(ctx, t, name, after, limit)
	if err != nil {
		return err
	}
	data := make([]MatchingTopic, len(list))
	for i, one := range list {
		data[i] = MatchingTopic{Topic: one, Subscription: topics.OwnedName(name)}
	}
	return answerPage(a, c, data, encodeCursor("matching_topics", name, next))
}

// getTopicSubscriptionSecret shows what the webhooks of a topic subscription sign with.
//
//	@Summary		Get the secrets of a topic subscription
//	@Description	Of one that leads to an endpoint: those with which the webhooks of all its topics sign, the newest one first.
//	@ID				getTopicSubscriptionSecret
//	@Tags			subscriptions
//	@Param			topic_subscription	path		string			true	"Name of the topic subscription"
//	@Success		200					{object}	WebhookSecrets	"The secrets"
//	@Failure		400					{object}	Problem			"The request is malformed"
//	@Failure		404					{object}	Problem			"No such topic subscription"
//	@Failure		409					{object}	Problem			"It leads to a queue or topic (`not_a_webhook`), or is damaged (`topic_subscription_damaged`)"
//	@Failure		415					{object}	Problem			"The request has a Content-Encoding"
//	@Failure		422					{object}	Problem			"A value is not allowed"
//	@Router			/v1/topic_subscriptions/{topic_subscription}/secret [get]
func (a *API) getTopicSubscriptionSecret(c echo.Context) error {
	if _, err := readQuery(c); err != nil {
		return err
	}
	ctx, t, _ := scope(c)
	of, err := a.Topics.TopicSubscriptionSigning(ctx, t, c.Param("topic_subscription"))
	if err != nil {
		return err
	}
	list, err := a.Webhooks.Signs(of)
	if err != nil {
		return err
	}
	return a.answerSecrets(c, http.StatusOK, list)
}

// rotateTopicSubscriptionSecret replaces what the webhooks of a topic subscription sign with.
//
//	@Summary		Rotate the secret of a topic subscription
//	@Description	As of one webhook: the new secret signs, and for `grace_period` the old one beside it. The webhooks of topics that are there follow by a task; `state` of the topic subscription is `applying` until then, and a webhook that has not followed signs with the old one alone, also where `grace_period` is 0. Those of topics to come sign with what holds then. At most five secrets sign at once.
//	@ID				rotateTopicSubscriptionSecret
//	@Tags			subscriptions
//	@Accept			json
//	@Param			topic_subscription	path		string			true	"Name of the topic subscription"
//	@Param			rotation			body		SecretRotation	false	"How"
//	@Success		201					{object}	WebhookSecrets	"The secrets, the new one first"
//	@Failure		400					{object}	Problem			"The request is malformed"
//	@Failure		404					{object}	Problem			"No such topic subscription"
//	@Failure		408					{object}	Problem			"The body did not arrive in time"
//	@Failure		409					{object}	Problem			"It leads to a queue or topic (`not_a_webhook`), or is being deleted (`topic_subscription_deleting`) or damaged (`topic_subscription_damaged`), or five secrets sign already (`too_many_secrets`)"
//	@Failure		413					{object}	Problem			"The body is too large"
//	@Failure		415					{object}	Problem			"The body is not JSON"
//	@Failure		422					{object}	Problem			"A value is not allowed"
//	@Router			/v1/topic_subscriptions/{topic_subscription}/rotate_secret [post]
func (a *API) rotateTopicSubscriptionSecret(c echo.Context) error {
	grace, secret, err := a.readSecretRotation(c)
	if err != nil {
		return err
	}
	ctx, t, _ := scope(c)
	var now topics.Signing
	s, err := a.Topics.RotateTopicSubscription(ctx, t, c.Param("topic_subscription"), func(was topics.Signing) (string, error) {
		now = was
		now.Secrets, err = a.Webhooks.RotateSigning(was, secret, grace)
		return now.Secrets, err
	})
	if err != nil {
		return err
	}
	if err := a.spread(c, s); err != nil {
		return err
	}
	list, err := a.Webhooks.Signs(now)
	if err != nil {
		return err
	}
	return a.answerSecrets(c, http.StatusCreated, list)
}

// listTopicSubscriptions shows a part of a tenant's topic subscriptions.
//
//	@Summary		List topic subscriptions
//	@Description	By name.
//	@ID				listTopicSubscriptions
//	@Tags			subscriptions
//	@Param			prefix	query		string					false	"Only names that begin with this"	maxlength(80)
//	@Param			limit	query		int						false	"How many at most"	minimum(1)	maximum(500)	default(50)
//	@Param			cursor	query		string					false	"next_cursor of the part before"
//	@Success		200		{object}	Page[TopicSubscription]	"A part of the list"
//	@Header			200		{string}	Link					"The next part, with rel=next"
//	@Failure		400		{object}	Problem					"The request is malformed"
//	@Failure		404		{object}	Problem					"No such tenant"
//	@Failure		415		{object}	Problem					"The request has a Content-Encoding"
//	@Failure		422		{object}	Problem					"A value is not allowed"
//	@Router			/v1/topic_subscriptions [get]
func (a *API) listTopicSubscriptions(c echo.Context) error {
	part, err := readPart(c, "topic_subscriptions", "")
	if err != nil {
		return err
	}
	ctx, t, _ := scope(c)
	list, next, err := a.Topics.ListTopicSubscriptions(ctx, t, part.prefix, part.after, part.limit)
	if err != nil {
		return err
	}
	data := make([]TopicSubscription, len(list))
	for i, s := range list {
		data[i] = newTopicSubscription(s)
	}
	return answerPage(a, c, data, part.cursor(next))
}

func (a *API) answerTopicSubscription(c echo.Context, status int, s topics.TopicSubscription) error {
	c.Response().Header().Set("ETag", quoteTag(s.ETag))
	return a.json(c, status, newTopicSubscription(s))
}

func newTopicSubscription(s topics.TopicSubscription) TopicSubscription {
	of := newSubscription(s.Pattern, topics.Subscription{Settings: s.Settings}) // as each of its topics has it
	out := TopicSubscription{Name: s.Name, Pattern: s.Pattern, Protocol: of.Protocol, Queue: of.Queue, TargetTopic: of.TargetTopic, Endpoint: of.Endpoint, Timeout: of.Timeout,
		MaxInFlight: of.MaxInFlight, MaxRate: of.MaxRate, RetrySchedule: of.RetrySchedule, TerminalStatuses: of.TerminalStatuses, OnExhausted: of.OnExhausted, Overflow: of.Overflow, Headers: of.Headers, Auth: of.Auth, TLS: of.TLS, Batch: of.Batch, Verification: of.Verification,
		Format: of.Format, DeadLetterQueue: of.DeadLetterQueue, FilterPolicy: of.FilterPolicy, FilterScope: of.FilterScope,
		State: string(s.State), FailedTopics: s.Failed, Failures: make([]TopicFailure, len(s.Failures)), CreatedAt: Instant{s.Created}, UpdatedAt: Instant{s.Updated}, ETag: s.ETag}
	for i, f := range s.Failures {
		out.Failures[i] = TopicFailure{Topic: f.Topic, Code: f.Code, Detail: f.Message}
	}
	return out
}
