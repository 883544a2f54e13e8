package handlers

import (
	"encoding/json"
	"net/http"

	"github.com/labstack/echo/v4"

	"github.com/sluicemq/sluice/internal/filter"
	"github.com/sluicemq/sluice/topics"
	"github.com/sluicemq/sluice/topics/webhook"
)

// Subscription is one way out of a topic.
type Subscription struct {
	Name string `json:"name" example:"billing"`
	// The topic that it belongs to.
	Topic string `json:"topic" example:"orders.created"`
	// The topic subscription from which it stems, and only with which it changes and goes; null for one of its own.
	TopicSubscription *string `json:"topic_subscription" extensions:"x-nullable" example:"audit"`
	// Whether it leads to a queue, to an HTTPS endpoint or to another topic.
	Protocol string `json:"protocol" enums:"queue,webhook,topic"`
	// The queue that gets the messages; null for a webhook or a topic.
	Queue *string `json:"queue" extensions:"x-nullable" example:"billing"`
	// The account number of another tenant to which the queue belongs; null for one of the same tenant.
	QueueAccount *string `json:"queue_account" extensions:"x-nullable" example:"123456789012"`
	// The topic that gets the messages; null for a queue or a webhook.
	TargetTopic *string `json:"target_topic" extensions:"x-nullable" example:"audit"`
	// The URL that gets the messages. This, timeout and max_in_flight are those of webhooks only.
	Endpoint string `json:"endpoint,omitempty" example:"https://example.com/hooks"`
	// Seconds that one attempt may take.
	Timeout int `json:"timeout,omitempty" example:"15"`
	// Attempts at the same time.
	MaxInFlight int `json:"max_in_flight,omitempty" example:"16"`
	// Requests a second at most; missing where there are as many as there are messages.
	MaxRate int `json:"max_rate,omitempty" example:"20"`
	// Seconds before the second attempt, the third and so on; null of a queue's, and where delivery_policy says it.
	RetrySchedule []int `json:"retry_schedule" extensions:"x-nullable"`
	// Statuses of answers after which a message is not tried again; null of a queue's, and where SNS says it.
	TerminalStatuses []int `json:"terminal_statuses" extensions:"x-nullable"`
	// What happens in a FIFO topic after the last attempt: the next message of the group has its turn, or the group waits.
	OnExhausted string `json:"on_exhausted,omitempty" enums:"skip_to_dlq,block"`
	// What happens when a webhook holds as many messages as it may: what comes goes to the dead-letter queue, or is dropped where there is
	// none; the oldest are dropped; or publishes to the topic are refused until it has got what there is.
	Overflow string `json:"overflow,omitempty" enums:"dlq,drop_oldest,reject_publish"`
	// Headers that are added to each request. Values are not shown again.
	Headers map[string]string `json:"headers,omitempty" example:"X-Team:***"`
	// What goes into the header Authorization of each request.
	Auth *WebhookAuth `json:"auth,omitempty"`
	// The client's certificate that is shown to the endpoint, and the authorities that are trusted.
	TLS *WebhookTLS `json:"tls,omitempty"`
	// How many messages one request carries; missing where it carries one.
	Batch *WebhookBatch `json:"batch,omitempty"`
	// How the endpoint of a webhook shows that it wants to be sent to.
	Verification string `json:"verification,omitempty" enums:"none,challenge,cloudevents,sns"`
	// How SNS tries the endpoint again, of a webhook that was made by Subscribe of SNS: what its delivery policy says otherwise than
	// that of its topic. null for all others, which have a retry_schedule or lead elsewhere.
	DeliveryPolicy map[string]any `json:"delivery_policy" extensions:"x-nullable" swaggertype:"object"`
	// What a client of SNS has had replayed last: its ReplayPolicy. What is published from its EndingPoint on does not arrive.
	ReplayPolicy map[string]any `json:"replay_policy,omitempty" swaggertype:"object"`
	// What a new webhook signs with; only in the answer that made it. Later: GET …/secret.
	Secret string `json:"secret,omitempty" example:"whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oDszrx2cZ8dPs="`
	// What verifies that, where it is of the type ed25519.
	PublicKey string `json:"public_key,omitempty" example:"whpk_QwNSaBX4zGf2lz5Fqr8Bs2wLxN3mBgxxnMLDHhjXgFY="`
	// How messages arrive: as if they had been sent, in a JSON object with all that is known of them, in the one that SNS sends, or
	// as CloudEvents, which a queue cannot have. A topic gets them raw.
	Format string `json:"format" enums:"raw,envelope,sns,cloudevents_binary,cloudevents_structured,cloudevents_batch"`
	// The queue that gets what cannot be delivered for good; null for none.
	DeadLetterQueue *string `json:"dead_letter_queue" extensions:"x-nullable" example:"billing-undelivered"`
	// Which messages arrive; null for all.
	FilterPolicy map[string]any `json:"filter_policy" extensions:"x-nullable" swaggertype:"object"`
	// What the filter policy looks at.
	FilterScope string `json:"filter_scope" enums:"attributes,body"`
	// Retrying: the queue or topic takes no messages now, or a webhook is full and has publishes refused. Broken: it is missing, and what is published is dropped; or what is
	// stored of the subscription is damaged, and what is published waits. Failing: the endpoint failed too often in a row, and gets
	// one attempt now and then. Disabled: it gets nothing until it is enabled. Unverified: it gets nothing until it answers a challenge.
	State string `json:"state" enums:"active,paused,retrying,broken,failing,disabled,unverified"`
	// null when it is not paused.
	PausedAt *Instant `json:"paused_at" swaggertype:"string" format:"date-time" extensions:"x-nullable"`
	// Messages that are still to come.
	Lag    int64              `json:"lag" example:"0"`
	Counts SubscriptionCounts `json:"counts"`
	// Why the last message did not arrive that did not; null when all did.
	LastError *SubscriptionError `json:"last_error" extensions:"x-nullable"`
	// How the endpoint of a webhook fares.
	Delivery  *WebhookStatus `json:"delivery,omitempty"`
	CreatedAt Instant        `json:"created_at" swaggertype:"string" format:"date-time"`
	UpdatedAt Instant        `json:"updated_at" swaggertype:"string" format:"date-time"`
	// Changes with the settings; the header ETag has it in quotes.
	ETag string `json:"etag" example:"5f3a90c1d2e47b68"`
}

// SubscriptionCounts are what became of the messages that were published since a subscription was made.
type SubscriptionCounts struct {
	// Stored in the queue or topic, or taken by the endpoint.
	Delivered int64 `json:"delivered" example:"118"`
	// Kept out by the filter policy.
	FilteredOut int64 `json:"filtered_out" example:"2"`
	// The queue or topic was missing, or the endpoint disabled or full, and there was no dead-letter queue; or they had waited for 14 days.
	Dropped int64 `json:"dropped" example:"0"`
	// The queue never takes them, because they are too large for it; or the topic, because they came through eight topics; or the
	// last attempt failed; or they went to the dead-letter queue instead.
	Failed int64 `json:"failed" example:"0"`
}

// SubscriptionError is why a message did not arrive.
type SubscriptionError struct {
	// As the code of the problem that a send would have got.
	Code string `json:"code" example:"storage_full"`
	// For people. May change.
	Detail string  `json:"detail" example:"The queue is full: it holds as many messages or bytes as it may."`
	At     Instant `json:"at" swaggertype:"string" format:"date-time"`
}

// SubscriptionInput is what a client says of a subscription. What is missing or null has its default.
type SubscriptionInput struct {
	// Whether it leads to a queue, to an HTTPS endpoint or to another topic. Default: what of them is given.
	Protocol string `json:"protocol,omitempty" enums:"queue,webhook,topic" extensions:"x-nullable"`
	// The queue that gets the messages. It stays as long as the subscription.
	Queue string `json:"queue,omitempty" validate:"omitempty,min=1,max=80" example:"billing"`
	// The topic that gets the messages instead, as they were published. It stays as long as the subscription.
	TargetTopic string `json:"target_topic,omitempty" validate:"omitempty,min=1,max=256" example:"audit" extensions:"x-nullable"`
	// The https URL that gets the messages instead.
	Endpoint string `json:"endpoint,omitempty" validate:"omitempty,max=2048" example:"https://example.com/hooks"`
	// What a new webhook signs with: whsec_ and base64 of 24 to 64 bytes, or whsk_ and base64 of an ed25519 private key. Default: one is made.
	Secret string `json:"secret,omitempty" example:"whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oDszrx2cZ8dPs="`
	// Of which type one is made: a secret that the endpoint needs too, or a pair of keys, of which it needs the public one alone.
	// Default: that of secret, and without one hmac.
	SecretType string `json:"secret_type,omitempty" enums:"hmac,ed25519"`
	// Seconds that one attempt of a webhook may take, or text such as "5s".
	Timeout *int `json:"timeout,omitempty" validate:"omitempty,min=1,max=30" default:"15" example:"15" extensions:"x-nullable"`
	// Attempts of a webhook at the same time.
	MaxInFlight *int `json:"max_in_flight,omitempty" validate:"omitempty,min=1,max=64" default:"16" example:"16" extensions:"x-nullable"`
	// Requests of a webhook a second at most, whichever servers send them. Default: as many as there are.
	MaxRate *int `json:"max_rate,omitempty" validate:"omitempty,min=1,max=1000" example:"20" extensions:"x-nullable"`
	// Seconds, or text such as "5m", before the second attempt, the third and so on: at most 30, each 1 s to 24 h, 13 days in
	// all. Each gets up to a quarter longer by chance. Default: 5s 5m 30m 2h 5h 10h 14h 20h 24h.
	RetrySchedule []int `json:"retry_schedule,omitempty" extensions:"x-nullable"`
	// Statuses of answers, each of 300 to 599, after which a message is not tried again: at most 20. Default: 410 413.
	TerminalStatuses []int `json:"terminal_statuses,omitempty" extensions:"x-nullable"`
	// What happens in a FIFO topic after the last attempt: the next message of the group has its turn, or the group waits.
	OnExhausted string `json:"on_exhausted,omitempty" enums:"skip_to_dlq,block" default:"skip_to_dlq" extensions:"x-nullable"`
	// What happens when a webhook holds as many messages as it may, 100,000: what comes goes to the dead-letter queue, or is dropped where
	// there is none; the oldest are dropped, of a standard topic and without a dead-letter queue only; or publishes to the topic are refused,
	// 429 subscription_full, until it has got what there is.
	Overflow string `json:"overflow,omitempty" enums:"dlq,drop_oldest,reject_publish" default:"dlq" extensions:"x-nullable"`
	// Headers that are added to each request of a webhook: at most 20, of 8 KiB together. Values are stored encrypted and not shown
	// again; *** keeps the one that is there, and in a PATCH null takes a header away.
	Headers map[string]string `json:"headers,omitempty" example:"X-Team:payments" extensions:"x-nullable"`
	// What goes into the header Authorization of each request of a webhook.
	Auth *WebhookAuth `json:"auth,omitempty" extensions:"x-nullable"`
	// The client's certificate that a webhook shows to its endpoint, and the authorities that are trusted.
	TLS *WebhookTLS `json:"tls,omitempty" extensions:"x-nullable"`
	// How many messages one request of a webhook carries, with the format envelope or cloudevents_batch: its body is a list of them.
	// Not for FIFO topics. Default: one message, or with cloudevents_batch a list of one.
	Batch *WebhookBatch `json:"batch,omitempty" extensions:"x-nullable"`
	// How the endpoint of a webhook shows that it wants to be sent to, before it gets anything: it repeats a challenge, or answers
	// OPTIONS as the webhook specification of CloudEvents says, or visits the SubscribeURL that SNS would send it. Another URL has to be
	// verified anew.
	Verification string `json:"verification,omitempty" enums:"none,challenge,cloudevents,sns" default:"none" extensions:"x-nullable"`
	// How messages arrive: as if they had been sent, in a JSON object with all that is known of them, in the one that SNS sends, or
	// as CloudEvents, which a queue cannot have: with what is known of them in headers, or in one JSON object, or in a list of
	// these. A topic gets them raw.
	Format string `json:"format,omitempty" enums:"raw,envelope,sns,cloudevents_binary,cloudevents_structured,cloudevents_batch" default:"raw" extensions:"x-nullable"`
	// The queue that gets what cannot be delivered for good, as the subscription would have delivered it: what the queue or topic is
	// missing for or never takes, what the last attempt of a webhook failed for, and what it cannot take because it is disabled or
	// full. A FIFO subscription to a FIFO topic needs a FIFO queue. Default: nothing gets it.
	DeadLetterQueue string `json:"dead_letter_queue,omitempty" validate:"omitempty,min=1,max=80" example:"billing-undelivered" extensions:"x-nullable"`
	// Which messages arrive, in the language of SNS filter policies; null for all.
	FilterPolicy map[string]any `json:"filter_policy,omitempty" extensions:"x-nullable" swaggertype:"object"`
	// What the filter policy looks at.
	FilterScope string `json:"filter_scope,omitempty" enums:"attributes,body" default:"attributes" extensions:"x-nullable"`
}

var subscriptionNames = append([]string{"protocol", "queue", "target_topic", "dead_letter_queue", "format", "filter_policy", "filter_scope"}, webhookNames...)

// subscriptionReadOnly are the members of Subscription that nobody sets.
var subscriptionReadOnly = map[string]bool{
	"public_key": true, "name": true, "topic": true, "topic_subscription": true, "delivery": true, "queue_account": true, "state": true, "paused_at": true, "lag": true, "delivery_policy": true, "replay_policy": true, "counts": true, "last_error": true, "created_at": true, "updated_at": true, "etag": true,
}

// readSubscription reads a SubscriptionInput as a change of settings, with the protocol that it names and the secret that it
// gives, or "".
func (r *reader) readSubscription() (change func(topics.SubscriptionSettings) topics.SubscriptionSettings, protocol string, secret webhook.Given) {
	return r.readSubscriptionAnd(subscriptionNames, func(key []byte) bool {
		if !subscriptionReadOnly[string(key)] {
			return false
		}
		r.fault(unknownField, "is read-only: leave it out")
		r.skip()
		return true
	})
}

// readSubscriptionAnd does so where there are other members, which more reads; it reports false for what it does not know.
func (r *reader) readSubscriptionAnd(names []string, more func(key []byte) bool) (change func(topics.SubscriptionSettings) topics.SubscriptionSettings, protocol string, secret webhook.Given) {
	var changes []func(*topics.SubscriptionSettings)
	wanted := ""
	add := func(change func(*topics.SubscriptionSettings)) { changes = append(changes, change) }
	r.object(names, func(key []byte) {
		switch string(key) {
		case "protocol":
			protocol := ""
			if !r.null() {
				s, ok := r.str()
				if protocol = string(s); ok && protocol != "queue" && protocol != "webhook" && protocol != "topic" {
					r.fault("not_allowed", "must be queue, webhook or topic")
				}
			}
			wanted = protocol
		case "endpoint", "timeout", "max_in_flight", "max_rate", "retry_schedule", "terminal_statuses", "on_exhausted", "overflow", "headers", "auth", "verification", "tls", "batch":
			r.endpointChange(key, func(change func(*webhook.Endpoint)) {
				add(func(s *topics.SubscriptionSettings) { changeEndpoint(s, change) })
			})
		case "secret":
			if s, ok := r.str(); ok {
				secret.Secret = string(s)
			}
		case "secret_type":
			secret.Type = r.secretType()
		case "queue", "target_topic", "dead_letter_queue":
			name := ""
			if !r.null() {
				s, _ := r.str()
				name = string(s)
			}
			switch string(key) {
			case "queue":
				add(func(s *topics.SubscriptionSettings) { s.Queue = name })
			case "target_topic":
				add(func(s *topics.SubscriptionSettings) { s.Topic = name })
			default:
				add(func(s *topics.SubscriptionSettings) { s.DeadLetterQueue = name })
			}
		case "format":
			format, ok := []byte("raw"), true
			if !r.null() {
				format, ok = r.str()
			}
			known, valid := topics.ParseFormat(string(format))
			if ok && !valid {
				r.fault("not_allowed", "must be raw, envelope, sns, cloudevents_binary, cloudevents_structured or cloudevents_batch")
			}
			add(func(s *topics.SubscriptionSettings) { s.Format = known })
		case "filter_policy":
			policy := r.policy()
			add(func(s *topics.SubscriptionSettings) { s.FilterPolicy = policy })
		case "filter_scope":
			scope := r.filterScope()
			add(func(s *topics.SubscriptionSettings) { s.FilterScope = scope })
		default:
			more(key)
		}
	})
	return func(s topics.SubscriptionSettings) topics.SubscriptionSettings {
		for _, change := range changes {
			change(&s)
		}
		return s
	}, wanted, secret
}

// policy reads a filter policy: its text as it stands there, and "" for null and {}.
func (r *reader) policy() string {
	if r.null() {
		return ""
	}
	if r.next() != '{' {
		r.wrong("an object, or null for all messages")
		return ""
	}
	from := r.i
	r.skip()
	if r.err != nil {
		return ""
	}
	text := string(r.b[from:r.i])
	if p, err := filter.Compile(text, filter.Attributes); err == nil && p.IsEmpty() {
		return ""
	}
	return text
}

func (r *reader) filterScope() filter.Scope {
	scope, ok := []byte("attributes"), true
	if !r.null() {
		scope, ok = r.str()
	}
	if ok && string(scope) != "attributes" && string(scope) != "body" {
		r.fault("not_allowed", "must be attributes or body")
	}
	if string(scope) == "body" {
		return filter.Body
	}
	return filter.Attributes
}

// putSubscription makes a subscription or replaces its settings.
//
//	@Summary		Create or replace a subscription
//	@Description	What is published from now on goes to the queue or topic, each message once, or to the endpoint, each message at least once, signed as Standard Webhooks defines it. A change holds for what is published after it: what was published before and has not arrived yet is filtered and packed as it was then.
//	@Description
//	@Description	A FIFO topic keeps the order of each group, also into standard queues; a FIFO queue or topic cannot subscribe to a standard topic. A message goes on from topic to topic at most eight times, and what would lead round is refused. A topic has at most 1,000 subscriptions.
//	@ID				putSubscription
//	@Tags			subscriptions
//	@Accept			json
//	@Param			topic			path		string				true	"Name of the topic"
//	@Param			subscription	path		string				true	"Name of the subscription: 1 to 80 letters, digits, - and _"
//	@Param			If-Match		header		string				false	"Only when the subscription has this ETag"
//	@Param			If-None-Match	header		string				false	"* to create only"
//	@Param			settings		body		SubscriptionInput	true	"The settings"
//	@Success		200				{object}	Subscription		"Replaced, or as it was"
//	@Header			200				{string}	ETag				"Version of the settings"
//	@Success		201				{object}	Subscription		"Created"
//	@Header			201				{string}	ETag				"Version of the settings"
//	@Header			201				{string}	Location			"The new subscription"
//	@Failure		400				{object}	Problem				"The request is malformed"
//	@Failure		403				{object}	Problem				"The topic has as many subscriptions as it may have"
//	@Failure		404				{object}	Problem				"No such topic"
//	@Failure		408				{object}	Problem				"The body did not arrive in time"
//	@Failure		409				{object}	Problem				"It is behind and was changed ten times since (`subscription_behind`), damaged (`subscription_damaged`), or stems from a topic subscription (`subscription_owned`)"
//	@Failure		412				{object}	Problem				"If-Match or If-None-Match did not hold"
//	@Failure		413				{object}	Problem				"The body is too large"
//	@Failure		415				{object}	Problem				"The body is not JSON"
//	@Failure		422				{object}	Problem				"A value is not allowed, the filter policy is wrong (`filter_policy_invalid`), there is no such queue or topic, or messages would go round"
//	@Failure		507				{object}	Problem				"The storage is full"
//	@Router			/v1/topics/{topic}/subscriptions/{subscription} [put]
func (a *API) putSubscription(c echo.Context) error {
	change, cond, err := a.subscriptionChange(c)
	if err != nil {
		return err
	}
	ctx, t, _ := scope(c)
	topic := c.Param("topic")
	s, created, err := a.Topics.PutSubscription(ctx, t, topic, c.Param("subscription"), change(topics.SubscriptionSettings{}), cond)
	if err != nil {
		return a.guessTopic(c, err)
	}
	if !created {
		return a.answerSubscription(c, http.StatusOK, s)
	}
	c.Response().Header().Set("Location", a.link("/v1/topics/"+topic+"/subscriptions/"+s.Name))
	c.Response().Header().Set("ETag", quoteTag(s.ETag))
	out := newSubscription(topic, s)
	if err := a.showWebhook(ctx, &out, &s); err != nil {
		return err
	}
	if s.Settings.Endpoint != "" {
		secrets, err := a.Webhooks.Secrets(ctx, s.Way)
		if err != nil {
			return err
		}
		c.Response().Header().Set("Cache-Control", "no-store")
		out.Secret, out.PublicKey = secrets[0].Secret, secrets[0].PublicKey
	}
	return a.json(c, http.StatusCreated, out)
}

// updateSubscription changes single settings of a subscription.
//
//	@Summary		Change settings of a subscription
//	@Description	A JSON Merge Patch (RFC 7396), but the filter policy is replaced as a whole: what the body leaves out stays, null brings back the default. The change holds for what is published after it.
//	@ID				updateSubscription
//	@Tags			subscriptions
//	@Accept			json
//	@Param			topic			path		string				true	"Name of the topic"
//	@Param			subscription	path		string				true	"Name of the subscription"
//	@Param			If-Match		header		string				false	"Only when the subscription has this ETag"
//	@Param			If-None-Match	header		string				false	"Only when the subscription has another ETag"
//	@Param			settings		body		SubscriptionInput	true	"The settings to change"
//	@Success		200				{object}	Subscription		"Changed, or as it was"
//	@Header			200				{string}	ETag				"Version of the settings"
//	@Failure		400				{object}	Problem				"The request is malformed"
//	@Failure		404				{object}	Problem				"No such topic or subscription"
//	@Failure		408				{object}	Problem				"The body did not arrive in time"
//	@Failure		409				{object}	Problem				"It is behind and was changed ten times since (`subscription_behind`), damaged (`subscription_damaged`), or stems from a topic subscription (`subscription_owned`)"
//	@Failure		412				{object}	Problem				"If-Match or If-None-Match did not hold"
//	@Failure		413				{object}	Problem				"The body is too large"
//	@Failure		415				{object}	Problem				"The body is not JSON"
//	@Failure		422				{object}	Problem				"A value is not allowed"
//	@Failure		507				{object}	Problem				"The storage is full"
//	@Router			/v1/topics/{topic}/subscriptions/{subscription} [patch]
func (a *API) updateSubscription(c echo.Context) error {
	change, cond, err := a.subscriptionChange(c)
	if err != nil {
		return err
	}
	ctx, t, _ := scope(c)
	s, err := a.Topics.UpdateSubscription(ctx, t, c.Param("topic"), c.Param("subscription"), cond, change)
	if err != nil {
		return a.guessTopic(c, err)
	}
	return a.answerSubscription(c, http.StatusOK, s)
}

// subscriptionChange reads what a body says of a subscription, and the condition under which it is to be done.
func (a *API) subscriptionChange(c echo.Context) (func(topics.SubscriptionSettings) topics.SubscriptionSettings, topics.Condition, error) {
	var change func(topics.SubscriptionSettings) topics.SubscriptionSettings
	var protocol string
	var secret webhook.Given
	if err := a.readControl(c, func(r *reader) { change, protocol, secret = r.readSubscription() }); err != nil {
		return nil, topics.Condition{}, err
	}
	change, err := a.led(change, protocol, secret)
	if err != nil {
		return nil, topics.Condition{}, err
	}
	cond, err := a.subscriptionCondition(c)
	return change, cond, err
}

// led has a change lead to where a protocol says, with a secret, where they are given.
func (a *API) led(change func(topics.SubscriptionSettings) topics.SubscriptionSettings, protocol string, secret webhook.Given) (func(topics.SubscriptionSettings) topics.SubscriptionSettings, error) {
	sealed, err := a.Webhooks.Seal(secret)
	if err != nil {
		return nil, err
	}
	if protocol != "" || sealed != "" {
		read := change
		change = func(s topics.SubscriptionSettings) topics.SubscriptionSettings {
			s = read(s)
			s.Secret = sealed
			switch { // another one than is given leaves nothing, and that is refused
			case protocol == "queue" && s.Queue == "":
				s.Endpoint, s.Topic = "", ""
			case protocol == "topic" && s.Topic == "":
				s.Endpoint, s.Queue = "", ""
			case protocol == "webhook" && s.Endpoint == "":
				s.Endpoint, s.Queue, s.Topic = webhook.Endpoint{}.Encode(), "", ""
			}
			return s
		}
	}
	return change, nil
}

// getSubscription shows a subscription.
//
//	@Summary		Get a subscription
//	@Description	With `If-None-Match` the answer is 304 while the settings are the same, whatever was published.
//	@ID				getSubscription
//	@Tags			subscriptions
//	@Param			topic			path		string			true	"Name of the topic"
//	@Param			subscription	path		string			true	"Name of the subscription"
//	@Param			If-None-Match	header		string			false	"Only when the subscription has another ETag"
//	@Success		200				{object}	Subscription	"The subscription"
//	@Header			200				{string}	ETag			"Version of the settings"
//	@Success		304				"The settings are the same"
//	@Failure		400				{object}	Problem			"The request is malformed"
//	@Failure		404				{object}	Problem			"No such topic or subscription"
//	@Failure		415				{object}	Problem			"The request has a Content-Encoding"
//	@Failure		422				{object}	Problem			"A value is not allowed"
//	@Router			/v1/topics/{topic}/subscriptions/{subscription} [get]
func (a *API) getSubscription(c echo.Context) error {
	cond, err := readConditional(c)
	if err != nil {
		return err
	}
	ctx, t, _ := scope(c)
	s, err := a.Topics.GetSubscription(ctx, t, c.Param("topic"), c.Param("subscription"))
	if err != nil {
		return a.guessTopic(c, err)
	}
	if cond.unchanged(s.ETag) {
		return notModified(c, s.ETag)
	}
	return a.answerSubscription(c, http.StatusOK, s)
}

// deleteSubscription ends a subscription.
//
//	@Summary		Delete a subscription
//	@Description	What its queue or topic has got already stays there; what was published and has not arrived yet does not arrive.
//	@ID				deleteSubscription
//	@Tags			subscriptions
//	@Param			topic			path	string	true	"Name of the topic"
//	@Param			subscription	path	string	true	"Name of the subscription"
//	@Param			If-Match		header	string	false	"Only when the subscription has this ETag"
//	@Param			If-None-Match	header	string	false	"Only when the subscription has another ETag"
//	@Success		204				"Deleted"
//	@Failure		400				{object}	Problem	"The request is malformed"
//	@Failure		404				{object}	Problem	"No such topic or subscription"
//	@Failure		409				{object}	Problem	"It stems from a topic subscription (`subscription_owned`)"
//	@Failure		412				{object}	Problem	"If-Match or If-None-Match did not hold"
//	@Failure		415				{object}	Problem	"The request has a Content-Encoding"
//	@Failure		422				{object}	Problem	"A value is not allowed"
//	@Router			/v1/topics/{topic}/subscriptions/{subscription} [delete]
func (a *API) deleteSubscription(c echo.Context) error {
	cond, err := a.subscriptionCondition(c)
	if err != nil {
		return err
	}
	ctx, t, _ := scope(c)
	if err := a.Topics.DeleteSubscription(ctx, t, c.Param("topic"), c.Param("subscription"), cond); err != nil {
		return a.guessTopic(c, err)
	}
	return c.NoContent(http.StatusNoContent)
}

// listSubscriptions shows a part of a topic's subscriptions.
//
//	@Summary		List subscriptions
//	@Description	By name.
//	@ID				listSubscriptions
//	@Tags			subscriptions
//	@Param			topic	path		string		true	"Name of the topic"
//	@Param			prefix	query		string		false	"Only names that begin with this"	maxlength(80)
//	@Param			limit	query		int			false	"How many at most"	minimum(1)	maximum(500)	default(50)
//	@Param			cursor	query		string		false	"next_cursor of the part before"
//	@Success		200		{object}	Page[Subscription]	"A part of the list"
//	@Header			200		{string}	Link		"The next part, with rel=next"
//	@Failure		400		{object}	Problem		"The request is malformed"
//	@Failure		404		{object}	Problem		"No such topic"
//	@Failure		415		{object}	Problem		"The request has a Content-Encoding"
//	@Failure		422		{object}	Problem		"A value is not allowed"
//	@Router			/v1/topics/{topic}/subscriptions [get]
func (a *API) listSubscriptions(c echo.Context) error {
	topic := c.Param("topic")
	part, err := readPart(c, "subscriptions", topic)
	if err != nil {
		return err
	}
	ctx, t, _ := scope(c)
	list, next, err := a.Topics.ListSubscriptions(ctx, t, topic, part.prefix, part.after, part.limit)
	if err != nil {
		return a.guessTopic(c, err)
	}
	data := make([]Subscription, len(list))
	for i, s := range list {
		data[i] = newSubscription(topic, s)
	}
	if err := a.showWebhooks(ctx, data, list); err != nil {
		return err
	}
	return answerPage(a, c, data, part.cursor(next))
}

// pauseSubscription has nothing delivered to a subscription for a while.
//
//	@Summary		Pause a subscription
//	@Description	What is published meanwhile waits in the topic's log, for 14 days at most.
//	@ID				pauseSubscription
//	@Tags			subscriptions
//	@Param			topic			path		string			true	"Name of the topic"
//	@Param			subscription	path		string			true	"Name of the subscription"
//	@Success		200				{object}	Subscription	"It is paused"
//	@Header			200				{string}	ETag			"Version of the settings"
//	@Failure		400				{object}	Problem			"The request is malformed"
//	@Failure		404				{object}	Problem			"No such topic or subscription"
//	@Failure		415				{object}	Problem			"The request has a Content-Encoding"
//	@Failure		422				{object}	Problem			"A value is not allowed"
//	@Router			/v1/topics/{topic}/subscriptions/{subscription}/pause [post]
func (a *API) pauseSubscription(c echo.Context) error {
	if _, err := readQuery(c); err != nil {
		return err
	}
	ctx, t, _ := scope(c)
	s, err := a.Topics.PauseSubscription(ctx, t, c.Param("topic"), c.Param("subscription"))
	if err != nil {
		return a.guessTopic(c, err)
	}
	return a.answerSubscription(c, http.StatusOK, s)
}

// resumeSubscription lets a paused subscription go on.
//
//	@Summary		Resume a subscription
//	@Description	It goes on where it was paused.
//	@ID				resumeSubscription
//	@Tags			subscriptions
//	@Param			topic			path		string			true	"Name of the topic"
//	@Param			subscription	path		string			true	"Name of the subscription"
//	@Success		200				{object}	Subscription	"It is not paused"
//	@Header			200				{string}	ETag			"Version of the settings"
//	@Failure		400				{object}	Problem			"The request is malformed"
//	@Failure		404				{object}	Problem			"No such topic or subscription"
//	@Failure		415				{object}	Problem			"The request has a Content-Encoding"
//	@Failure		422				{object}	Problem			"A value is not allowed"
//	@Router			/v1/topics/{topic}/subscriptions/{subscription}/resume [post]
func (a *API) resumeSubscription(c echo.Context) error {
	if _, err := readQuery(c); err != nil {
		return err
	}
	ctx, t, _ := scope(c)
	s, err := a.Topics.ResumeSubscription(ctx, t, c.Param("topic"), c.Param("subscription"))
	if err != nil {
		return a.guessTopic(c, err)
	}
	return a.answerSubscription(c, http.StatusOK, s)
}

func (a *API) answerSubscription(c echo.Context, status int, s topics.Subscription) error {
	c.Response().Header().Set("ETag", quoteTag(s.ETag))
	out := newSubscription(c.Param("topic"), s)
	if err := a.showWebhook(c.Request().Context(), &out, &s); err != nil {
		return err
	}
	return a.json(c, status, out)
}

func newSubscription(topic string, s topics.Subscription) Subscription {
	out := Subscription{Name: s.Name, Topic: topic, Protocol: "queue", Queue: textOrNull(s.Settings.Queue), QueueAccount: textOrNull(s.Settings.Account), TargetTopic: textOrNull(s.Settings.Topic),
		DeadLetterQueue: textOrNull(s.Settings.DeadLetterQueue), Format: s.Settings.Format.String(), FilterScope: scopeName(s.Settings.FilterScope),
		FilterPolicy: policyObject(s.Settings.FilterPolicy), ReplayPolicy: policyObject(s.Settings.Replay.Policy), State: string(s.State), PausedAt: instant(s.PausedAt), Lag: s.Lag,
		Counts:    SubscriptionCounts{Delivered: s.Delivered, FilteredOut: s.FilteredOut, Dropped: s.Dropped, Failed: s.Failed},
		CreatedAt: Instant{s.Created}, UpdatedAt: Instant{s.Updated}, ETag: s.ETag}
	if s.Settings.Topic != "" {
		out.Protocol = "topic"
	}
	if owner, owned := topics.CutOwned(s.Name); owned {
		out.TopicSubscription = &owner
	}
	out.fillEndpoint(&s)
	if e := s.LastError; e != nil {
		out.LastError = &SubscriptionError{Code: e.Code, Detail: e.Message, At: Instant{e.At}}
	}
	return out
}

// policyObject returns a filter policy as it was given, for an answer; nil for none.
func policyObject(text string) map[string]any {
	var object map[string]json.RawMessage
	if json.Unmarshal([]byte(text), &object) != nil {
		return nil
	}
	out := make(map[string]any, len(object))
	for name, value := range object {
		out[name] = value
	}
	return out
}

func scopeName(s filter.Scope) string {
	if s == filter.Body {
		return "body"
	}
	return "attributes"
}

// subscriptionCondition reads If-Match and If-None-Match for a change.
func (a *API) subscriptionCondition(c echo.Context) (topics.Condition, error) {
	return readStoreCondition(c, topics.ErrSubscriptionPrecondition, func() (string, error) {
		ctx, t, _ := scope(c)
		s, err := a.Topics.GetSubscription(ctx, t, c.Param("topic"), c.Param("subscription"))
		return s.ETag, err
	})
}
