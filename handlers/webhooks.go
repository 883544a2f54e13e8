package handlers

import (
	"cmp"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/labstack/echo/v4"
	"golang.org/x/sync/errgroup"

	"github.com/sluicemq/sluice/topics"
	"github.com/sluicemq/sluice/topics/webhook"
)

// WebhookStatus is how an endpoint fares.
type WebhookStatus struct {
	// Open: it is sent to. Throttled: it asked for peace. Tripped: it failed too often in a row, and is left alone for a while.
	// Probing: one attempt shows whether it works again. Disabled: it gets nothing until it is enabled.
	// Unverified: it gets nothing but challenges until it answers one.
	Gate string `json:"gate" enums:"open,throttled,tripped,probing,paused,disabled,unverified"`
	// When the gate opens by itself, or an unverified endpoint is challenged next; null when it is open, or neither comes.
	Until *Instant `json:"until" swaggertype:"string" format:"date-time" extensions:"x-nullable"`
	// Since when the endpoint is verified; null when it is not, or need not be.
	VerifiedAt *Instant `json:"verified_at" swaggertype:"string" format:"date-time" extensions:"x-nullable"`
	// Requests a minute that it allowed when it was verified, and gets at most; null when it set no limit.
	AllowedRate *int64 `json:"allowed_rate" extensions:"x-nullable" example:"600"`
	// null when it is not disabled.
	DisabledAt *Instant `json:"disabled_at" swaggertype:"string" format:"date-time" extensions:"x-nullable"`
	// Why it is disabled: by_request, failing for five days without a success, or what it answered, such as http_410.
	DisabledReason string `json:"disabled_reason,omitempty" example:"http_410"`
	// Attempts that failed in a row.
	ConsecutiveFailures int64 `json:"consecutive_failures" example:"0"`
	// When the first of them was; null when the last attempt was a success.
	FailingSince *Instant `json:"failing_since" swaggertype:"string" format:"date-time" extensions:"x-nullable"`
	LastSuccess  *Instant `json:"last_success_at" swaggertype:"string" format:"date-time" extensions:"x-nullable"`
	LastFailure  *Instant `json:"last_failure_at" swaggertype:"string" format:"date-time" extensions:"x-nullable"`
	// Messages that are to be sent, or are being sent.
	Pending int64 `json:"pending" example:"0"`
	Sending int64 `json:"sending" example:"0"`
	// Messages that failed for good and are kept, for 14 days, to be sent again.
	Failed int64 `json:"failed" example:"0"`
	// Attempts since the subscription was made.
	Attempts int64 `json:"attempts" example:"118"`
	// Messages that were dropped because it held as many as it may: what came, or the oldest.
	Overflowed int64 `json:"overflowed" example:"0"`
	// Messages that were dropped since the endpoint was disabled.
	Missed int64 `json:"missed" example:"0"`
	// What was never tried, because the endpoint was disabled or held as many messages as it may: a replay of `missing` brings it while the topic keeps it. At most 64.
	Gaps []WebhookGap `json:"gaps"`
	// When the next attempt is due; null when there is nothing to send.
	NextAttempt *Instant `json:"next_attempt_at" swaggertype:"string" format:"date-time" extensions:"x-nullable"`
}

// WebhookGap is a part of the topic's log of which a webhook has tried nothing.
type WebhookGap struct {
	// Sequence numbers of the first message and the last.
	First string `json:"first" example:"00000151018143744000"`
	Last  string `json:"last" example:"00000151018143752192"`
	// When they were published.
	FirstAt Instant `json:"first_at" swaggertype:"string" format:"date-time"`
	LastAt  Instant `json:"last_at" swaggertype:"string" format:"date-time"`
	// How many messages; an estimate once some of them were brought.
	Count int64 `json:"count" example:"3"`
}

// WebhookSecrets are what a webhook signs with, the newest one first.
type WebhookSecrets struct {
	Secrets []WebhookSecret `json:"secrets"`
}

// WebhookSecret is one of them.
type WebhookSecret struct {
	// As Standard Webhooks writes it.
	Secret string `json:"secret" example:"whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oDszrx2cZ8dPs="`
	Type   string `json:"type" enums:"hmac,ed25519"`
	// What verifies, of the type ed25519; null where that is the secret itself.
	PublicKey *string `json:"public_key" extensions:"x-nullable" example:"whpk_QwNSaBX4zGf2lz5Fqr8Bs2wLxN3mBgxxnMLDHhjXgFY="`
	CreatedAt Instant `json:"created_at" swaggertype:"string" format:"date-time"`
	// Until when it signs beside the newer ones; null for the newest.
	ExpiresAt *Instant `json:"expires_at" swaggertype:"string" format:"date-time" extensions:"x-nullable"`
}

// SecretRotation is how to replace a webhook's secret.
type SecretRotation struct {
	// Seconds that the old one goes on to sign beside the new one, or text such as "1h"; 0: not at all, nor do older ones.
	GracePeriod *int `json:"grace_period,omitempty" validate:"min=0,max=604800" default:"86400" example:"86400"`
	// The new one: whsec_ and base64 of 24 to 64 bytes, or whsk_ and base64 of an ed25519 private key. Default: one is made.
	Secret string `json:"secret,omitempty" example:"whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oDszrx2cZ8dPs="`
	// Of which type one is made. Default: that of secret, and without one that of the newest.
	SecretType string `json:"secret_type,omitempty" enums:"hmac,ed25519"`
}

// Delivery is one attempt to send a message.
type Delivery struct {
	// Of the message at this endpoint: all of its attempts have the same.
	ID string `json:"id" example:"dlv_0000000a5c1e40"`
	// As in the header webhook-id.
	MessageID string `json:"message_id" example:"msg_0603hz5c0c01g0003w50"`
	// Which attempt it was.
	Attempt int64 `json:"attempt" example:"1"`
	// The header webhook-id of the request, where its body was a list of messages; null where it was one.
	BatchID *string `json:"batch_id" extensions:"x-nullable" example:"batch_5v4q2h0m8c1r9t3k7n6d0b2g"`
	// How many messages that had; null where it was one.
	BatchSize *int `json:"batch_size" extensions:"x-nullable" example:"10"`
	// What became of the message: delivered; retrying, it is sent again; failed, it is not, by itself; test, it was a test event; challenge, it was
	// one to verify the endpoint.
	Status string  `json:"status" enums:"delivered,retrying,failed,test,challenge"`
	At     Instant `json:"at" swaggertype:"string" format:"date-time"`
	// Milliseconds that it took.
	Duration int64 `json:"duration_ms" example:"83"`
	// How long the parts of that took; null in attempts of servers before this member, and where no request was made.
	Timing *DeliveryTiming `json:"timing" extensions:"x-nullable"`
	// Headers of the request, as far as the server sets them; *** stands for what the subscription adds, and for credentials. Empty in
	// attempts of servers before this member.
	RequestHeaders map[string]string `json:"request_headers"`
	// Status of the answer; null when there was none.
	ResponseStatus *int `json:"response_status" extensions:"x-nullable" example:"204"`
	// Headers of the answer, 2,048 bytes of them at most; *** stands for cookies. Empty when there was none.
	ResponseHeaders map[string]string `json:"response_headers"`
	// The beginning of the answer: 1,024 bytes of it, and among the attempts of one message, with message_id, 16,384.
	Response string `json:"response" example:""`
	// There was more than that.
	ResponseTruncated bool `json:"response_truncated" example:"false"`
	// Why it is not delivered; null when it is.
	Error *DeliveryError `json:"error" extensions:"x-nullable"`
	// When it was to be sent again; null when it is not.
	NextAttempt *Instant `json:"next_attempt_at" swaggertype:"string" format:"date-time" extensions:"x-nullable"`
}

// DeliveryTiming is how long the parts of a request took, in milliseconds, until they failed or were done. Null where there was no such
// part: a connection that was used before is neither looked up nor made.
type DeliveryTiming struct {
	// The lookup of the name.
	DNS *float64 `json:"dns_ms" extensions:"x-nullable" example:"1.25"`
	// The connection, to the proxy where there is one.
	Connect *float64 `json:"connect_ms" extensions:"x-nullable" example:"11.5"`
	TLS     *float64 `json:"tls_ms" extensions:"x-nullable" example:"24.1"`
	// From the end of the request to the first byte of the answer.
	FirstByte *float64 `json:"first_byte_ms" extensions:"x-nullable" example:"43.75"`
}

// DeliveryError is why an attempt failed.
type DeliveryError struct {
	// Stable: http_ and the status, redirect_refused, timeout, connect_failed, name_not_found, dns_failed, tls_failed,
	// connection_closed, response_too_large, response_invalid, endpoint_not_allowed, proxy_failed, proxy_refused, not_retained, damaged, no_result, challenge_failed, endpoint_changed, or token_failed.
	Code string `json:"code" example:"http_500"`
	// For people. May change.
	Detail string `json:"detail" example:"The endpoint answered 500 Internal Server Error."`
}

// DeliveryRequest is the request with which a message would go to its endpoint now.
type DeliveryRequest struct {
	Method string `json:"method" example:"POST"`
	URL    string `json:"url" example:"https://example.com/hooks"`
	// By name. The value of one that the subscription adds, and of Authorization, is ***: it is given once and never shown.
	Headers []DeliveryHeader `json:"headers"`
	// As text, or in base64 where the bytes are no UTF-8.
	Body         string `json:"body" example:"{\"order\":7}"`
	BodyEncoding string `json:"body_encoding" enums:"utf8,base64"`
	// The endpoint is also shown the client certificate of the subscription.
	ClientCertificate bool `json:"client_certificate" example:"false"`
}

// DeliveryHeader is a header of a request.
type DeliveryHeader struct {
	Name  string `json:"name" example:"Webhook-Id"`
	Value string `json:"value" example:"msg_0603hz5c0c01g0003w50"`
}

// Resent says how many messages are sent again.
type Resent struct {
	Count int64 `json:"count" example:"12"`
}

// webhookNames are members of SubscriptionInput for subscriptions with an endpoint.
var webhookNames = []string{"endpoint", "secret", "secret_type", "timeout", "max_in_flight", "max_rate", "retry_schedule", "terminal_statuses", "on_exhausted", "overflow", "headers", "auth", "verification", "tls", "batch"}

// endpointChange reads a member of SubscriptionInput that is about the endpoint.
func (r *reader) endpointChange(key []byte, add func(func(*webhook.Endpoint))) {
	none := r.null()
	switch string(key) {
	case "endpoint":
		if none {
			add(func(e *webhook.Endpoint) { e.URL = "" })
		} else if s, ok := r.str(); ok {
			url := string(s)
			add(func(e *webhook.Endpoint) { e.URL = url })
		}
	case "timeout":
		var d time.Duration
		if !none {
			var ok bool
			if d, ok = r.duration(); ok && (d < webhook.MinTimeout || d > webhook.MaxTimeout) {
				r.fault("out_of_range", "must be %d to %d seconds", int(webhook.MinTimeout.Seconds()), int(webhook.MaxTimeout.Seconds()))
			}
		}
		add(func(e *webhook.Endpoint) { e.Timeout = d })
	case "max_in_flight":
		n := int64(0)
		if !none {
			n, _ = r.integer(1, webhook.MaxMaxInFlight)
		}
		add(func(e *webhook.Endpoint) { e.MaxInFlight = int(n) })
	case "max_rate":
		n := int64(0)
		if !none {
			n, _ = r.integer(1, webhook.MaxMaxRate)
		}
		add(func(e *webhook.Endpoint) { e.MaxRate = int(n) })
	case "retry_schedule":
		var waits []time.Duration
		if !none {
			waits = []time.Duration{}
			r.array(webhook.MaxRetries, func(int) {
				if d, ok := r.duration(); ok {
					waits = append(waits, d)
				}
			})
		}
		add(func(e *webhook.Endpoint) { e.Retries = waits })
	case "terminal_statuses":
		var statuses []int
		if !none {
			statuses = []int{}
			r.array(webhook.MaxTerminal, func(int) {
				if n, ok := r.integer(300, 599); ok {
					statuses = append(statuses, int(n))
				}
			})
		}
		add(func(e *webhook.Endpoint) { e.Terminal = statuses })
	case "on_exhausted":
		what := ""
		if !none {
			s, ok := r.str()
			if what = string(s); ok && what != string(webhook.Skip) && what != string(webhook.Block) {
				r.fault("not_allowed", "must be %s or %s", webhook.Skip, webhook.Block)
			}
		}
		add(func(e *webhook.Endpoint) { e.OnExhausted = webhook.Exhausted(what) })
	case "overflow":
		what := ""
		if !none {
			s, ok := r.str()
			if what = string(s); ok && what != string(webhook.DropNewest) && what != string(webhook.DropOldest) && what != string(webhook.RejectPublish) {
				r.fault("not_allowed", "must be %s, %s or %s", webhook.DropNewest, webhook.DropOldest, webhook.RejectPublish)
			}
		}
		add(func(e *webhook.Endpoint) { e.Overflow = webhook.Overflow(what) })
	case "verification":
		way := "none"
		if !none {
			s, ok := r.str()
			if way = string(s); ok && way != "none" && way != string(webhook.ByEcho) && way != string(webhook.ByCloudEvents) && way != string(webhook.BySNS) {
				r.fault("not_allowed", "must be none, %s, %s or %s", webhook.ByEcho, webhook.ByCloudEvents, webhook.BySNS)
			}
		}
		if way == "none" {
			way = ""
		}
		add(func(e *webhook.Endpoint) { e.Verify = webhook.Verification(way) })
	case "headers":
		if none {
			add(func(e *webhook.Endpoint) { e.Headers = nil })
		} else {
			r.webhookHeaders(add)
		}
	case "tls":
		var t *webhook.TLS
		if !none {
			t = r.webhookTLS()
		}
		add(func(e *webhook.Endpoint) { e.TLS = t })
	case "batch":
		var b *webhook.Batch
		if !none {
			b = r.webhookBatch()
		}
		add(func(e *webhook.Endpoint) { e.Batch = b })
	case "auth":
		var auth *webhook.Auth
		if !none {
			auth = r.webhookAuth()
		}
		add(func(e *webhook.Endpoint) { e.Auth = auth })
	}
}

// changeEndpoint changes the settings of an endpoint, which are text to package topics.
func changeEndpoint(s *topics.SubscriptionSettings, change func(*webhook.Endpoint)) {
	var e webhook.Endpoint
	if s.Endpoint != "" {
		e, _ = webhook.ParseEndpoint(s.Endpoint) // it was written by Encode
	}
	change(&e)
	if s.Endpoint = e.Encode(); s.Endpoint == (webhook.Endpoint{}).Encode() {
		s.Endpoint = ""
	}
}

// showWebhook adds what is known of a webhook to a subscription.
func (a *API) showWebhook(ctx context.Context, out *Subscription, s *topics.Subscription) error {
	if s.Settings.Endpoint == "" {
		return nil
	}
	st, err := a.Webhooks.Status(ctx, s.Way)
	if errors.Is(err, topics.ErrSubscriptionNotFound) {
		return nil // it has just ended, or is about to be made
	}
	if err != nil {
		return err
	}
	out.Delivery = &WebhookStatus{Gate: string(st.Gate), Until: instant(st.Until), VerifiedAt: instant(st.Verified), DisabledAt: instant(st.DisabledAt), DisabledReason: st.Reason,
		ConsecutiveFailures: st.Failures, FailingSince: instant(st.FailingSince), LastSuccess: instant(st.LastSuccess), LastFailure: instant(st.LastFailure),
		Pending: st.Pending, Sending: st.Sending, Failed: st.Dead, Attempts: st.Attempts, Overflowed: st.Overflowed, Missed: st.Missed, NextAttempt: instant(st.Next), Gaps: make([]WebhookGap, len(st.Gaps))}
	for i, g := range st.Gaps {
		out.Delivery.Gaps[i] = WebhookGap{First: sequenceText(g.First), Last: sequenceText(g.Last), FirstAt: Instant{topics.PublishedAt(g.First)},
			LastAt: Instant{topics.PublishedAt(g.Last)}, Count: g.Count}
	}
	if st.Rate > 0 {
		out.Delivery.AllowedRate = &st.Rate
	}
	out.Counts.Delivered, out.Counts.Failed = st.Delivered, st.Failed
	out.Lag += st.Pending
	if out.State == string(topics.Disabled) { // it may be enabled since
		out.State = string(topics.Active)
	}
	if e := out.LastError; e != nil && e.Code == webhook.ErrDisabled.Code && st.Gate != webhook.Off {
		out.LastError = nil // that it is disabled is no more true; what was dropped meanwhile is in counts and gaps
	}
	switch {
	case st.Damaged:
		damaged := topics.ErrSubscriptionDamaged
		out.State, out.LastError = string(topics.Broken), &SubscriptionError{Code: damaged.Code, Detail: damaged.Message, At: Instant{a.Clock.Now()}}
	case st.Gate == webhook.Off:
		out.State = string(topics.Disabled)
	case out.State == string(topics.Active) && st.Gate == webhook.Unverified:
		out.State = string(webhook.Unverified)
	case out.State == string(topics.Active) && (st.Gate == webhook.Tripped || st.Gate == webhook.Probing):
		out.State = "failing"
	}
	return nil
}

// fillEndpoint shows the settings of an endpoint.
func (out *Subscription) fillEndpoint(s *topics.Subscription) {
	if s.Settings.Endpoint == "" {
		return
	}
	e, _ := webhook.ParseEndpoint(s.Settings.Endpoint) // it was written by Encode
	e = e.Filled()
	out.Protocol, out.Endpoint, out.Timeout, out.MaxInFlight, out.MaxRate = "webhook", e.URL, wholeSeconds(e.Timeout), e.MaxInFlight, e.MaxRate
	if e.SNS != nil {
		out.DeliveryPolicy = map[string]any{}
		_ = json.Unmarshal([]byte(e.SNS.Policy), &out.DeliveryPolicy) // it was found to be an object
	} else {
		out.RetrySchedule = make([]int, len(e.Retries))
		for i, d := range e.Retries {
			out.RetrySchedule[i] = wholeSeconds(d)
		}
		out.TerminalStatuses = e.Terminal
	}
	if topics.IsFIFOName(out.Topic) {
		out.OnExhausted = string(e.OnExhausted)
	}
	out.Overflow = string(e.Overflow)
	out.Headers, out.Auth, out.TLS = shownHeaders(e.Headers), shownAuth(e.Auth), shownTLS(e.TLS)
	out.Batch = shownBatch(e.Batch)
	out.Verification = cmp.Or(string(e.Verify), "none")
}

// showWebhooks does it for a list.
func (a *API) showWebhooks(ctx context.Context, data []Subscription, list []topics.Subscription) error {
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(16)
	for i := range list {
		g.Go(func() error { return a.showWebhook(gctx, &data[i], &list[i]) })
	}
	return g.Wait()
}

// way returns the webhook that the path names.
func (a *API) way(c echo.Context) (topics.Way, error) {
	ctx, t, _ := scope(c)
	w, err := a.Topics.Of(ctx, t, c.Param("topic"), c.Param("subscription"))
	if err != nil {
		return w, a.guessTopic(c, err)
	}
	return w, nil
}

// getSubscriptionSecret shows what a webhook signs with.
//
//	@Summary		Get the secrets of a webhook
//	@Description	The newest one first. More than one sign for a while after a rotation; who verifies needs only one of them.
//	@ID				getSubscriptionSecret
//	@Tags			webhooks
//	@Param			topic			path		string			true	"Name of the topic"
//	@Param			subscription	path		string			true	"Name of the subscription"
//	@Success		200				{object}	WebhookSecrets	"The secrets"
//	@Failure		400				{object}	Problem			"The request is malformed"
//	@Failure		404				{object}	Problem			"No such topic or subscription"
//	@Failure		409				{object}	Problem			"The subscription leads to a queue or topic (`not_a_webhook`)"
//	@Failure		415				{object}	Problem			"The request has a Content-Encoding"
//	@Failure		422				{object}	Problem			"A value is not allowed"
//	@Router			/v1/topics/{topic}/subscriptions/{subscription}/secret [get]
func (a *API) getSubscriptionSecret(c echo.Context) error {
	if _, err := readQuery(c); err != nil {
		return err
	}
	w, err := a.way(c)
	if err != nil {
		return err
	}
	list, err := a.Webhooks.Secrets(c.Request().Context(), w)
	if err != nil {
		return err
	}
	return a.answerSecrets(c, http.StatusOK, list)
}

func (a *API) answerSecrets(c echo.Context, status int, list []webhook.Secret) error {
	c.Response().Header().Set("Cache-Control", "no-store")
	out := WebhookSecrets{Secrets: make([]WebhookSecret, len(list))}
	for i, s := range list {
		out.Secrets[i] = WebhookSecret{Secret: s.Secret, Type: s.Type, PublicKey: textOrNull(s.PublicKey), CreatedAt: Instant{s.Created}, ExpiresAt: instant(s.Ends)}
	}
	return a.json(c, status, out)
}

// rotateSubscriptionSecret replaces what a webhook signs with.
//
//	@Summary		Rotate the secret of a webhook
//	@Description	From now on each request is signed with the new secret, and for `grace_period` with the old one as well, so that who verifies may change at any time in between. At most five secrets sign at once.
//	@ID				rotateSubscriptionSecret
//	@Tags			webhooks
//	@Accept			json
//	@Param			topic			path		string			true	"Name of the topic"
//	@Param			subscription	path		string			true	"Name of the subscription"
//	@Param			rotation		body		SecretRotation	false	"How"
//	@Success		201				{object}	WebhookSecrets	"The secrets, the new one first"
//	@Failure		400				{object}	Problem			"The request is malformed"
//	@Failure		404				{object}	Problem			"No such topic or subscription"
//	@Failure		408				{object}	Problem			"The body did not arrive in time"
//	@Failure		409				{object}	Problem			"The subscription leads to a queue or topic (`not_a_webhook`), or stems from a topic subscription (`subscription_owned`), or five secrets sign already (`too_many_secrets`)"
//	@Failure		413				{object}	Problem			"The body is too large"
//	@Failure		415				{object}	Problem			"The body is not JSON"
//	@Failure		422				{object}	Problem			"A value is not allowed"
//	@Router			/v1/topics/{topic}/subscriptions/{subscription}/rotate_secret [post]
func (a *API) rotateSubscriptionSecret(c echo.Context) error {
	grace, secret, err := a.readSecretRotation(c)
	if err != nil {
		return err
	}
	w, err := a.way(c)
	if err != nil {
		return err
	}
	if err := topics.RefuseOwned(w.Subscription); err != nil {
		return err
	}
	list, err := a.Webhooks.Rotate(c.Request().Context(), w, secret, grace)
	if err != nil {
		return err
	}
	return a.answerSecrets(c, http.StatusCreated, list)
}

// readSecretRotation reads a SecretRotation.
func (a *API) readSecretRotation(c echo.Context) (grace time.Duration, secret webhook.Given, err error) {
	if _, err := readQuery(c); err != nil {
		return 0, secret, err
	}
	grace = webhook.DefaultOverlap
	err = a.readControl(c, func(r *reader) {
		r.object([]string{"grace_period", "secret", "secret_type"}, func(key []byte) {
			switch string(key) {
			case "grace_period":
				d, ok := r.duration()
				if grace = d; ok && (d < 0 || d > webhook.MaxOverlap) {
					r.fault("out_of_range", "must be 0 to %d seconds", int(webhook.MaxOverlap.Seconds()))
				}
			case "secret":
				s, _ := r.str()
				secret.Secret = string(s)
			case "secret_type":
				secret.Type = r.secretType()
			}
		})
	})
	return grace, secret, err
}

// secretType reads of which type a new secret is to be.
func (r *reader) secretType() string {
	s, ok := r.str()
	if text := string(s); !ok || text == webhook.HMAC || text == webhook.Ed25519 {
		return text
	}
	r.fault("not_allowed", "must be %s or %s", webhook.HMAC, webhook.Ed25519)
	return ""
}

// enableSubscription lets a webhook send again.
//
//	@Summary		Enable a webhook
//	@Description	What waits is sent, also when the endpoint was disabled because it failed for too long or answered 410, and when its breaker is open. What was published while it was disabled is named by `gaps` of its `delivery`, and comes by a replay of `missing`.
//	@ID				enableSubscription
//	@Tags			webhooks
//	@Param			topic			path		string			true	"Name of the topic"
//	@Param			subscription	path		string			true	"Name of the subscription"
//	@Success		200				{object}	Subscription	"It is enabled"
//	@Header			200				{string}	ETag			"Version of the settings"
//	@Failure		400				{object}	Problem			"The request is malformed"
//	@Failure		404				{object}	Problem			"No such topic or subscription"
//	@Failure		409				{object}	Problem			"The subscription leads to a queue or topic (`not_a_webhook`)"
//	@Failure		415				{object}	Problem			"The request has a Content-Encoding"
//	@Failure		422				{object}	Problem			"A value is not allowed"
//	@Router			/v1/topics/{topic}/subscriptions/{subscription}/enable [post]
func (a *API) enableSubscription(c echo.Context) error {
	return a.gate(c, func(ctx context.Context, w topics.Way) error { return a.Webhooks.Enable(ctx, w) })
}

// disableSubscription stops a webhook.
//
//	@Summary		Disable a webhook
//	@Description	What waits is kept, for 14 days at most. What is published meanwhile is dropped, and can be replayed as long as the topic keeps it. To lose nothing, pause it instead.
//	@ID				disableSubscription
//	@Tags			webhooks
//	@Param			topic			path		string			true	"Name of the topic"
//	@Param			subscription	path		string			true	"Name of the subscription"
//	@Success		200				{object}	Subscription	"It is disabled"
//	@Header			200				{string}	ETag			"Version of the settings"
//	@Failure		400				{object}	Problem			"The request is malformed"
//	@Failure		404				{object}	Problem			"No such topic or subscription"
//	@Failure		409				{object}	Problem			"The subscription leads to a queue or topic (`not_a_webhook`)"
//	@Failure		415				{object}	Problem			"The request has a Content-Encoding"
//	@Failure		422				{object}	Problem			"A value is not allowed"
//	@Router			/v1/topics/{topic}/subscriptions/{subscription}/disable [post]
func (a *API) disableSubscription(c echo.Context) error {
	return a.gate(c, func(ctx context.Context, w topics.Way) error { return a.Webhooks.Disable(ctx, w) })
}

func (a *API) gate(c echo.Context, change func(context.Context, topics.Way) error) error {
	if _, err := readQuery(c); err != nil {
		return err
	}
	w, err := a.way(c)
	if err != nil {
		return err
	}
	ctx, t, _ := scope(c)
	if err := change(ctx, w); err != nil {
		return err
	}
	s, err := a.Topics.GetSubscription(ctx, t, c.Param("topic"), c.Param("subscription"))
	if err != nil {
		return err
	}
	return a.answerSubscription(c, http.StatusOK, s)
}

// testSubscription sends a test event.
//
//	@Summary		Send a test event
//	@Description	One request, now, whatever the state of an endpoint that is verified or need not be, with the body `{"type":"sluice.test",…}`, signed as all others. The answer says what came of it. It is not tried again, and changes nothing of how the endpoint fares.
//	@ID				testSubscription
//	@Tags			webhooks
//	@Param			topic			path		string		true	"Name of the topic"
//	@Param			subscription	path		string		true	"Name of the subscription"
//	@Success		200				{object}	Delivery	"What came of it, success or not"
//	@Failure		400				{object}	Problem		"The request is malformed"
//	@Failure		404				{object}	Problem		"No such topic or subscription"
//	@Failure		409				{object}	Problem		"The subscription leads to a queue or topic (`not_a_webhook`), or the endpoint is not verified (`endpoint_unverified`)"
//	@Failure		415				{object}	Problem		"The request has a Content-Encoding"
//	@Failure		422				{object}	Problem		"A value is not allowed"
//	@Router			/v1/topics/{topic}/subscriptions/{subscription}/test [post]
func (a *API) testSubscription(c echo.Context) error {
	return a.tried(c, a.Webhooks.Test)
}

// confirmSubscription challenges an endpoint.
//
//	@Summary		Verify the endpoint of a webhook
//	@Description	Challenges it now, as its `verification` says: with `challenge` it answers a `POST` of `{"type":"sluice.challenge","challenge":"…",…}` by the text of the challenge, or by `{"challenge":"…"}`; with `cloudevents` it answers `OPTIONS` by `WebHook-Allowed-Origin`; with `sns` it is sent a `SubscriptionConfirmation`, and is verified when somebody visits the `SubscribeURL` in it. The answer says what came of it. Once every ten seconds.
//	@ID				confirmSubscription
//	@Tags			webhooks
//	@Param			topic			path		string		true	"Name of the topic"
//	@Param			subscription	path		string		true	"Name of the subscription"
//	@Success		200				{object}	Delivery	"What came of it, success or not"
//	@Failure		400				{object}	Problem		"The request is malformed"
//	@Failure		404				{object}	Problem		"No such topic or subscription"
//	@Failure		409				{object}	Problem		"The subscription leads to a queue (`not_a_webhook`), or its endpoint need not be verified (`no_verification`)"
//	@Failure		415				{object}	Problem		"The request has a Content-Encoding"
//	@Failure		422				{object}	Problem		"A value is not allowed"
//	@Router			/v1/topics/{topic}/subscriptions/{subscription}/confirm [post]
func (a *API) confirmSubscription(c echo.Context) error {
	return a.tried(c, a.Webhooks.Confirm)
}

// tried makes one request to an endpoint and shows what came of it.
func (a *API) tried(c echo.Context, try func(context.Context, topics.Way) (webhook.Attempt, error)) error {
	if _, err := readQuery(c); err != nil {
		return err
	}
	w, err := a.way(c)
	if err != nil {
		return err
	}
	got, err := try(c.Request().Context(), w)
	if err != nil {
		return err
	}
	return a.json(c, http.StatusOK, newDelivery(&got))
}

func newDelivery(at *webhook.Attempt) Delivery {
	out := Delivery{ID: deliveryID(at), MessageID: at.MessageID, Attempt: at.Try, Status: at.Outcome, At: Instant{at.At}, Duration: at.Millis,
		RequestHeaders: orEmpty(at.Sent), ResponseHeaders: orEmpty(at.Answered), Response: at.Response, ResponseTruncated: at.Truncated, NextAttempt: instant(at.Next)}
	if t := at.Timing; t != nil {
		out.Timing = &DeliveryTiming{DNS: millis(t.Lookup), Connect: millis(t.Connect), TLS: millis(t.TLS), FirstByte: millis(t.FirstByte)}
	}
	if at.Status != 0 {
		out.ResponseStatus = &at.Status
	}
	if at.Batch != "" {
		out.BatchID, out.BatchSize = &at.Batch, &at.Size
	}
	if at.Code != "" {
		out.Error = &DeliveryError{Code: at.Code, Detail: at.Error}
	}
	return out
}

// listedAnswer is how many bytes of an answer a list of many messages' attempts shows.
const listedAnswer = 1024

// shorten leaves the beginning of the answer, so that a list stays small also where each answer is a page of HTML.
func (d *Delivery) shorten() {
	if len(d.Response) <= listedAnswer {
		return
	}
	end := listedAnswer
	for !utf8.RuneStart(d.Response[end]) {
		end--
	}
	d.Response, d.ResponseTruncated = d.Response[:end], true
}

// millis returns microseconds as milliseconds.
func millis(micros *int64) *float64 {
	if micros == nil {
		return nil
	}
	ms := float64(*micros) / 1000
	return &ms
}

// orEmpty returns a map that is shown as an object where there is none.
func orEmpty(m map[string]string) map[string]string {
	if m == nil {
		return map[string]string{}
	}
	return m
}

// deliveryID names a message at an endpoint; test events have the id of the event.
func deliveryID(at *webhook.Attempt) string {
	return "dlv_" + cmp.Or(at.Entry, strings.TrimPrefix(at.MessageID, "msg_"))
}

// listDeliveries shows the attempts of a webhook.
//
//	@Summary		List attempts
//	@Description	What was sent and what came back, the latest first. The last 500 attempts of each webhook are kept, and 2 MiB of them, for 14 days. With `message_id` the answers are shown as far as they are kept, else their first 1,024 bytes.
//	@ID				listDeliveries
//	@Tags			webhooks
//	@Param			topic			path		string			true	"Name of the topic"
//	@Param			subscription	path		string			true	"Name of the subscription"
//	@Param			status			query		string			false	"Only those with this status"	Enums(all,delivered,retrying,failed,test,challenge)	default(all)
//	@Param			message_id		query		string			false	"Only those of this message"
//	@Param			limit			query		int				false	"How many at most"	minimum(1)	maximum(500)	default(50)
//	@Param			cursor			query		string			false	"next_cursor of the part before"
//	@Success		200				{object}	Page[Delivery]	"A part of the list"
//	@Header			200				{string}	Link			"The next part, with rel=next"
//	@Failure		400				{object}	Problem			"The request is malformed"
//	@Failure		404				{object}	Problem			"No such topic or subscription"
//	@Failure		409				{object}	Problem			"The subscription leads to a queue or topic (`not_a_webhook`)"
//	@Failure		415				{object}	Problem			"The request has a Content-Encoding"
//	@Failure		422				{object}	Problem			"A value is not allowed"
//	@Router			/v1/topics/{topic}/subscriptions/{subscription}/deliveries [get]
func (a *API) listDeliveries(c echo.Context) error {
	q, err := readQuery(c, "status", "message_id", "limit", "cursor")
	if err != nil {
		return err
	}
	limit, err := pageQuery(&q)
	if err != nil {
		return err
	}
	status, err := q.choice("status", "all", webhook.Delivered, webhook.Retrying, webhook.Failed, webhook.Tested, webhook.Challenged)
	if err != nil {
		return err
	}
	message := q.text("message_id")
	bound := strings.Join([]string{c.Param("topic"), c.Param("subscription"), status, message}, "\x00")
	after, err := decodeCursor("deliveries", bound, &q)
	if err != nil {
		return err
	}
	before, _ := strconv.ParseInt(after, 10, 64) // encodeCursor was given a number
	w, err := a.way(c)
	if err != nil {
		return err
	}
	list, next, err := a.Webhooks.Attempts(c.Request().Context(), w, before, limit, func(at *webhook.Attempt) bool {
		return (status == "all" || at.Outcome == status) && (message == "" || at.MessageID == message)
	})
	if err != nil {
		return err
	}
	data := make([]Delivery, len(list))
	for i := range list {
		if data[i] = newDelivery(&list[i]); message == "" {
			data[i].shorten()
		}
	}
	cursor := ""
	if next > 0 {
		cursor = encodeCursor("deliveries", bound, strconv.FormatInt(next, 10))
	}
	return answerPage(a, c, data, cursor)
}

// delivery returns the webhook and the entry that the path of a request without parameters names.
func (a *API) delivery(c echo.Context) (w topics.Way, entry string, err error) {
	if _, err = readQuery(c); err != nil {
		return w, "", err
	}
	if w, err = a.way(c); err != nil {
		return w, "", err
	}
	entry, ok := strings.CutPrefix(c.Param("id"), "dlv_")
	if !ok {
		return w, "", webhook.ErrDeliveryNotFound
	}
	return w, entry, nil
}

// getDeliveryRequest shows the request with which a message would go to its endpoint now.
//
//	@Summary		Show the request of a delivery
//	@Description	The request with which the message would go to its endpoint now, alone: its URL, its headers with a signature of this moment, which most receivers take for five minutes, and its body. So somebody can send it themselves, from another place or to a receiver that is being written. It sends nothing and changes nothing. Who may read it may as well read the secret.
//	@ID				getDeliveryRequest
//	@Tags			webhooks
//	@Param			topic			path		string			true	"Name of the topic"
//	@Param			subscription	path		string			true	"Name of the subscription"
//	@Param			id				path		string			true	"Id of the delivery"
//	@Success		200				{object}	DeliveryRequest	"The request"
//	@Failure		400				{object}	Problem			"The request is malformed"
//	@Failure		404				{object}	Problem			"No such topic or subscription, or no such delivery, or its message is not kept any more (`delivery_not_found`)"
//	@Failure		409				{object}	Problem			"The subscription leads to a queue or topic (`not_a_webhook`)"
//	@Failure		415				{object}	Problem			"The request has a Content-Encoding"
//	@Failure		422				{object}	Problem			"A value is not allowed"
//	@Router			/v1/topics/{topic}/subscriptions/{subscription}/deliveries/{id}/request [get]
func (a *API) getDeliveryRequest(c echo.Context) error {
	w, entry, err := a.delivery(c)
	if err != nil {
		return err
	}
	r, err := a.Webhooks.Show(c.Request().Context(), w, entry)
	if err != nil {
		return err
	}
	out := DeliveryRequest{Method: r.Method, URL: r.URL, Headers: []DeliveryHeader{}, Body: string(r.Body), BodyEncoding: "utf8", ClientCertificate: r.Identity}
	for _, name := range slices.Sorted(maps.Keys(r.Header)) {
		for _, value := range r.Header[name] {
			out.Headers = append(out.Headers, DeliveryHeader{name, value})
		}
	}
	if !utf8.Valid(r.Body) {
		out.Body, out.BodyEncoding = base64.StdEncoding.EncodeToString(r.Body), "base64"
	}
	return a.json(c, http.StatusOK, out)
}

// ElsewhereInput says where a message is sent as a test.
type ElsewhereInput struct {
	// Under the rules for endpoints.
	URL string `json:"url" validate:"min=1,max=2048" example:"https://receiver.example.com/hooks"`
}

// testDelivery sends a message to another URL.
//
//	@Summary		Send a delivery to another URL, as a test
//	@Description	One request, now, with the message as its endpoint would get it, under the same `webhook-id` and signed with the secrets of the webhook; but without the headers, credentials and certificate that the subscription adds, which are for its own endpoint. The URL is under the rules for endpoints. The answer says what came of it. It is not tried again, stands in no list, and changes nothing of the delivery or of how the endpoint fares.
//	@ID				testDelivery
//	@Tags			webhooks
//	@Accept			json
//	@Param			topic			path		string			true	"Name of the topic"
//	@Param			subscription	path		string			true	"Name of the subscription"
//	@Param			id				path		string			true	"Id of the delivery"
//	@Param			where			body		ElsewhereInput	true	"Where to"
//	@Success		200				{object}	Delivery		"What came of it, success or not"
//	@Failure		400				{object}	Problem			"The request is malformed"
//	@Failure		404				{object}	Problem			"No such topic or subscription, or no such delivery, or its message is not kept any more (`delivery_not_found`)"
//	@Failure		408				{object}	Problem			"The body did not arrive in time"
//	@Failure		409				{object}	Problem			"The subscription leads to a queue or topic (`not_a_webhook`)"
//	@Failure		413				{object}	Problem			"The body is too large"
//	@Failure		415				{object}	Problem			"The body is not JSON"
//	@Failure		422				{object}	Problem			"A value is not allowed"
//	@Router			/v1/topics/{topic}/subscriptions/{subscription}/deliveries/{id}/test [post]
func (a *API) testDelivery(c echo.Context) error {
	url := ""
	err := a.readControl(c, func(r *reader) {
		r.object([]string{"url"}, func(key []byte) {
			if string(key) == "url" {
				s, _ := r.str()
				url = string(s)
			}
		})
	})
	if err != nil {
		return err
	}
	w, entry, err := a.delivery(c)
	if err != nil {
		return err
	}
	got, err := a.Webhooks.TryElsewhere(c.Request().Context(), w, entry, url)
	if err != nil {
		return err
	}
	return a.json(c, http.StatusOK, newDelivery(&got))
}

// resendDelivery sends a message to an endpoint again.
//
//	@Summary		Send a message again
//	@Description	Whatever became of it, with all of its attempts before it and under the same `webhook-id`. A message that was delivered is sent again as long as the topic keeps it; one that waits for its next attempt is sent now.
//	@ID				resendDelivery
//	@Tags			webhooks
//	@Param			topic			path	string	true	"Name of the topic"
//	@Param			subscription	path	string	true	"Name of the subscription"
//	@Param			id				path	string	true	"Id of the delivery"
//	@Success		202				"It is sent again"
//	@Failure		400				{object}	Problem	"The request is malformed"
//	@Failure		404				{object}	Problem	"No such topic or subscription, or no such delivery (`delivery_not_found`)"
//	@Failure		409				{object}	Problem	"The subscription leads to a queue or topic (`not_a_webhook`), or is disabled (`endpoint_disabled`)"
//	@Failure		415				{object}	Problem	"The request has a Content-Encoding"
//	@Failure		422				{object}	Problem	"A value is not allowed"
//	@Failure		507				{object}	Problem	"The webhook holds as many messages as it may"
//	@Router			/v1/topics/{topic}/subscriptions/{subscription}/deliveries/{id}/resend [post]
func (a *API) resendDelivery(c echo.Context) error {
	w, entry, err := a.delivery(c)
	if err != nil {
		return err
	}
	if err := a.Webhooks.Resend(c.Request().Context(), w, entry); err != nil {
		return err
	}
	return c.NoContent(http.StatusAccepted)
}

// resendDeliveries sends all failed messages again.
//
//	@Summary		Send failed messages again
//	@Description	All that failed for good since an instant, or at all, with all of their attempts before them.
//	@ID				resendDeliveries
//	@Tags			webhooks
//	@Accept			json
//	@Param			topic			path		string		true	"Name of the topic"
//	@Param			subscription	path		string		true	"Name of the subscription"
//	@Param			which			body		ResendInput	false	"Which ones"
//	@Success		202				{object}	Resent		"How many are sent again"
//	@Failure		400				{object}	Problem		"The request is malformed"
//	@Failure		404				{object}	Problem		"No such topic or subscription"
//	@Failure		408				{object}	Problem		"The body did not arrive in time"
//	@Failure		409				{object}	Problem		"The subscription leads to a queue or topic (`not_a_webhook`)"
//	@Failure		413				{object}	Problem		"The body is too large"
//	@Failure		415				{object}	Problem		"The body is not JSON"
//	@Failure		422				{object}	Problem		"A value is not allowed"
//	@Router			/v1/topics/{topic}/subscriptions/{subscription}/deliveries/resend [post]
func (a *API) resendDeliveries(c echo.Context) error {
	if _, err := readQuery(c); err != nil {
		return err
	}
	var since time.Time
	err := a.readControl(c, func(r *reader) {
		r.object([]string{"since"}, func(key []byte) {
			if string(key) == "since" {
				since = r.time()
			}
		})
	})
	if err != nil {
		return err
	}
	w, err := a.way(c)
	if err != nil {
		return err
	}
	n, err := a.Webhooks.ResendFailed(c.Request().Context(), w, since)
	if err != nil {
		return err
	}
	return a.json(c, http.StatusAccepted, Resent{Count: n})
}

// ResendInput says which failed messages are sent again.
type ResendInput struct {
	// Only those that failed then or later. Default: all.
	Since *Instant `json:"since,omitempty" swaggertype:"string" format:"date-time" extensions:"x-nullable"`
}
