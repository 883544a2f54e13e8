package handlers

import (
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/sluicemq/sluice/internal/errs"
	"github.com/sluicemq/sluice/topics/webhook"
)

// RecentDelivery is one attempt among those of all webhooks.
type RecentDelivery struct {
	// Of the message at this endpoint: all of its attempts have the same.
	ID           string `json:"id" example:"dlv_0000000a5c1e40"`
	Topic        string `json:"topic" example:"orders.created"`
	Subscription string `json:"subscription" example:"acme"`
	// As in the header webhook-id.
	MessageID string `json:"message_id" example:"msg_0603hz5c0c01g0003w50"`
	// Which attempt it was, and how many there are at most; null where there is no end of them, or only one is made, as of a test event.
	Attempt     int64 `json:"attempt" example:"1"`
	MaxAttempts *int  `json:"max_attempts" extensions:"x-nullable" example:"10"`
	// As in the list of one webhook.
	Status string  `json:"status" enums:"delivered,retrying,failed,test,challenge"`
	At     Instant `json:"at" swaggertype:"string" format:"date-time"`
	// Milliseconds that it took.
	Duration int64 `json:"duration_ms" example:"83"`
	// Status of the answer; null when there was none.
	ResponseStatus *int `json:"response_status" extensions:"x-nullable" example:"204"`
	// Why it is not delivered, as the code of a delivery's error; null when it is.
	ErrorCode *string `json:"error_code" extensions:"x-nullable" example:"http_500"`
	// When it was to be sent again; null when it is not.
	NextAttempt *Instant `json:"next_attempt_at" swaggertype:"string" format:"date-time" extensions:"x-nullable"`
}

// RecentDeliveryPage is a part of the latest attempts of all webhooks.
type RecentDeliveryPage struct {
	Data []RecentDelivery `json:"data"`
	// Send it as `cursor` to get the next part; null on the last one.
	NextCursor *string           `json:"next_cursor" extensions:"x-nullable" example:"cQBvAG9yZGVycw"`
	Scanned    ScannedDeliveries `json:"scanned"`
	// Of attempts that ended before this instant some are not kept any more; null: all that the list ever had are there.
	CompleteSince *Instant `json:"complete_since" swaggertype:"string" format:"date-time" extensions:"x-nullable"`
}

// ScannedDeliveries says how far a look at attempts went.
type ScannedDeliveries struct {
	// How many attempts were looked at for this part, those that do not match included.
	Attempts int `json:"attempts" example:"10000"`
	// Whether it came to the end of the list.
	Complete bool `json:"complete" example:"false"`
}

// ResendMatchingInput says which messages are sent again, as the parameters of the list do.
type ResendMatchingInput struct {
	// Of the attempt: failed for good, or waiting for its next attempt.
	Status string `json:"status,omitempty" enums:"failed,retrying" default:"failed" example:"failed"`
	// Status of the answer, or `2xx`, `3xx`, `4xx`, `5xx`, or `none`.
	HTTP         string `json:"http,omitempty" example:"5xx"`
	Topic        string `json:"topic,omitempty" example:"orders.created"`
	Subscription string `json:"subscription,omitempty" example:"acme"`
	MessageID    string `json:"message_id,omitempty" example:"msg_0603hz5c0c01g0003w50"`
	// Only attempts that ended then or later.
	Since *Instant `json:"since,omitempty" swaggertype:"string" format:"date-time" extensions:"x-nullable"`
	// next_cursor of the answer before, to go on.
	Cursor string `json:"cursor,omitempty" example:"cQBvAG9yZGVycw"`
}

// ResentMatching says how many messages are sent again.
type ResentMatching struct {
	Count int64 `json:"count" example:"12"`
	// Send it as `cursor`, with the same members, to go on; null when that was all.
	NextCursor *string `json:"next_cursor" extensions:"x-nullable" example:"cQBvAG9yZGVycw"`
}

// deliveryFilter is which attempts of all webhooks are wanted. "" is all of a kind.
type deliveryFilter struct {
	status, http, topic, subscription, message string
	since                                      time.Time
}

// isHTTP reports whether text names answers: a status, a class of them, or none.
func isHTTP(text string) bool {
	if text == "none" || len(text) == 3 && text[1:] == "xx" && text[0] >= '2' && text[0] <= '5' {
		return true
	}
	n, err := strconv.Atoi(text)
	return err == nil && len(text) == 3 && n >= 100 && n <= 599
}

const wantHTTP = "must be a status such as 404, or 2xx, 3xx, 4xx, 5xx or none"

// bound is the filter as text, for cursors.
func (f *deliveryFilter) bound() string {
	return strings.Join([]string{f.status, f.http, f.topic, f.subscription, f.message, f.since.UTC().Format(time.RFC3339Nano)}, "\x00")
}

func (f *deliveryFilter) recent() webhook.RecentFilter {
	return webhook.RecentFilter{Arrived: f.status == "" || f.status == webhook.Delivered, Others: f.status != webhook.Delivered, Since: f.since, Wanted: f.wants}
}

func (f *deliveryFilter) wants(r *webhook.Recent) bool {
	answered := strconv.Itoa(r.Status)
	switch {
	case f.status != "" && r.Outcome != f.status, f.topic != "" && r.Topic != f.topic, f.subscription != "" && r.Subscription != f.subscription,
		f.message != "" && r.MessageID != f.message:
		return false
	case f.http == "none":
		return r.Status == 0
	case strings.HasSuffix(f.http, "xx"):
		return len(answered) == 3 && answered[0] == f.http[0]
	}
	return f.http == "" || answered == f.http
}

// listAllDeliveries shows the latest attempts of all webhooks.
//
//	@Summary		List attempts of all webhooks
//	@Description	What was sent to any endpoint of the tenant and what came back, what ended last first. The headers and the answer of an attempt are in the list of its webhook.
//	@Description
//	@Description	Webhooks lie in 64 parts, by chance. Of each part the last 500 attempts are kept that arrived, and the last 500 of all others, so that what failed is not driven out by what arrived; `complete_since` says from when on none is missing. They are shown for 14 days, those of a webhook that was deleted too. One request looks at 10,000 attempts at most, and `scanned` says how far it came: where there is a `next_cursor` there may be more that match, also when this part has none.
//	@ID				listAllDeliveries
//	@Tags			webhooks
//	@Param			status			query		string				false	"Only those with this status"	Enums(all,delivered,retrying,failed,test,challenge)	default(all)
//	@Param			http			query		string				false	"Only those answered with this status, or with `2xx`, `3xx`, `4xx` or `5xx`, or `none` that were not"
//	@Param			topic			query		string				false	"Only those of this topic"
//	@Param			subscription	query		string				false	"Only those of subscriptions of this name"
//	@Param			message_id		query		string				false	"Only those of this message"
//	@Param			since			query		string				false	"Only those that ended at this time or later, such as 2030-01-02T03:04:05Z"
//	@Param			limit			query		int					false	"How many at most"	minimum(1)	maximum(500)	default(50)
//	@Param			cursor			query		string				false	"next_cursor of the part before"
//	@Success		200				{object}	RecentDeliveryPage	"A part of the list"
//	@Header			200				{string}	Link				"The next part, with rel=next"
//	@Failure		400				{object}	Problem				"The request is malformed"
//	@Failure		404				{object}	Problem				"No such tenant"
//	@Failure		415				{object}	Problem				"The request has a Content-Encoding"
//	@Failure		422				{object}	Problem				"A value is not allowed"
//	@Router			/v1/deliveries [get]
func (a *API) listAllDeliveries(c echo.Context) error {
	q, err := readQuery(c, "status", "http", "topic", "subscription", "message_id", "since", "limit", "cursor")
	if err != nil {
		return err
	}
	limit, err := pageQuery(&q)
	if err != nil {
		return err
	}
	f := deliveryFilter{http: q.text("http"), topic: q.text("topic"), subscription: q.text("subscription"), message: q.text("message_id")}
	if f.status, err = q.choice("status", "all", webhook.Delivered, webhook.Retrying, webhook.Failed, webhook.Tested, webhook.Challenged); err != nil {
		return err
	}
	if f.status == "all" {
		f.status = ""
	}
	if f.http != "" && !isHTTP(f.http) {
		return queryFault("http", "not_allowed", wantHTTP)
	}
	if f.since, err = q.time("since"); err != nil {
		return err
	}
	after, err := decodeCursor("all_deliveries", f.bound(), &q)
	if err != nil {
		return err
	}
	ctx, t, _ := scope(c)
	found, err := a.Webhooks.Recent(ctx, t, f.recent(), after, limit)
	if err != nil {
		return err
	}
	out := RecentDeliveryPage{Data: make([]RecentDelivery, len(found.List)), Scanned: ScannedDeliveries{Attempts: found.Looked, Complete: found.Next == ""},
		NextCursor: textOrNull(encodeCursor("all_deliveries", f.bound(), found.Next)), CompleteSince: instant(found.CompleteSince)}
	for i := range found.List {
		out.Data[i] = newRecentDelivery(&found.List[i])
	}
	if out.NextCursor != nil {
		setNext(c, *out.NextCursor)
	}
	return a.json(c, http.StatusOK, out)
}

func newRecentDelivery(r *webhook.Recent) RecentDelivery {
	out := RecentDelivery{ID: deliveryID(&r.Attempt), Topic: r.Topic, Subscription: r.Subscription, MessageID: r.MessageID, Attempt: r.Try, Status: r.Outcome,
		At: Instant{r.At}, Duration: r.Millis, ErrorCode: textOrNull(r.Code), NextAttempt: instant(r.Next)}
	if r.Most > 0 {
		out.MaxAttempts = &r.Most
	}
	if r.Status != 0 {
		out.ResponseStatus = &r.Status
	}
	return out
}

// resendMatchingDeliveries sends messages of any webhooks again.
//
//	@Summary		Send matching messages again
//	@Description	Those of which the list of all webhooks has an attempt that matches, and which have failed for good or wait for their next attempt still: with all of their attempts before them, and under the same `webhook-id`. What has arrived meanwhile, or is under way, is left alone, so a second call does no harm.
//	@Description
//	@Description	One request sends those of 500 attempts at most, and looks at 10,000. Go on with `next_cursor` as `cursor` until it is null.
//	@ID				resendMatchingDeliveries
//	@Tags			webhooks
//	@Accept			json
//	@Param			which	body		ResendMatchingInput	true	"Which ones"
//	@Success		202		{object}	ResentMatching		"How many are sent again"
//	@Failure		400		{object}	Problem				"The request is malformed"
//	@Failure		404		{object}	Problem				"No such tenant"
//	@Failure		408		{object}	Problem				"The body did not arrive in time"
//	@Failure		413		{object}	Problem				"The body is too large"
//	@Failure		415		{object}	Problem				"The body is not JSON"
//	@Failure		422		{object}	Problem				"A value is not allowed"
//	@Router			/v1/deliveries/resend [post]
func (a *API) resendMatchingDeliveries(c echo.Context) error {
	if _, err := readQuery(c); err != nil {
		return err
	}
	f, cursor, after := deliveryFilter{status: webhook.Failed}, "", ""
	if err := a.readControl(c, func(r *reader) { cursor = r.resendMatching(&f) }); err != nil {
		return err
	}
	if cursor != "" {
		var ok bool
		if after, ok = openCursor("resend_deliveries", f.bound(), cursor); !ok {
			return invalid([]errs.Field{{Pointer: "/cursor", Code: "invalid", Message: "must be the next_cursor of the answer before, with the same members; start again without it"}})
		}
	}
	ctx, t, _ := scope(c)
	n, next, err := a.Webhooks.ResendRecent(ctx, t, f.recent(), after, maxLimit)
	if err != nil {
		return err
	}
	return a.json(c, http.StatusAccepted, ResentMatching{Count: n, NextCursor: textOrNull(encodeCursor("resend_deliveries", f.bound(), next))})
}

// resendMatching reads a ResendMatchingInput, and returns its cursor.
func (r *reader) resendMatching(f *deliveryFilter) (cursor string) {
	texts := map[string]*string{"status": &f.status, "http": &f.http, "topic": &f.topic, "subscription": &f.subscription, "message_id": &f.message, "cursor": &cursor}
	r.object([]string{"status", "http", "topic", "subscription", "message_id", "since", "cursor"}, func(key []byte) {
		if string(key) == "since" {
			f.since = r.time()
			return
		}
		text, known := texts[string(key)]
		if !known {
			return
		}
		s, ok := r.str()
		*text = string(s)
		switch {
		case !ok:
		case string(key) == "status" && f.status != webhook.Failed && f.status != webhook.Retrying:
			r.fault("not_allowed", "must be %s or %s", webhook.Failed, webhook.Retrying)
		case string(key) == "http" && !isHTTP(f.http):
			r.fault("not_allowed", wantHTTP)
		}
	})
	return cursor
}
