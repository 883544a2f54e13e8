package handlers

import (
	"encoding/base64"
	"net/http"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/labstack/echo/v4"

	"github.com/sluicemq/sluice/queues"
	"github.com/sluicemq/sluice/topics"
)

// TopicMessages is a part of a topic's log.
type TopicMessages struct {
	Messages []TopicMessage `json:"messages"`
	// Send it as `after` to read on; also when there was nothing, so that nothing is missed meanwhile.
	NextAfter string `json:"next_after" example:"00000151018143744001"`
}

// TopicMessage is a message as it was published.
type TopicMessage struct {
	ID string `json:"id" example:"msg_0kq1zv3m5c8g02r4b7fg"`
	// Its place in the log.
	SequenceNumber string  `json:"sequence_number" example:"00000151018143744000"`
	PublishedAt    Instant `json:"published_at" swaggertype:"string" format:"date-time"`
	// The body as text, or in base64 when it is not UTF-8.
	Body         string `json:"body" example:"{\"order\":7}"`
	BodyEncoding string `json:"body_encoding" enums:"utf8,base64"`
	ContentType  string `json:"content_type" example:"application/json"`
	// Bytes of the body.
	Size       int                         `json:"size" example:"11"`
	Attributes map[string]MessageAttribute `json:"attributes"`
	// The group that it belongs to; null for none.
	GroupID *string `json:"group_id" extensions:"x-nullable" example:"customer-42"`
	// W3C trace context of the publisher, where there was one.
	Traceparent string `json:"traceparent,omitempty"`
}

// ReplayInput says what a replay brings, and with which message it begins: by one of `after` and `since`, or with the oldest that is kept.
type ReplayInput struct {
	// All that the topic keeps; or of a webhook what failed for good, or what was missed: never tried, because the endpoint was disabled
	// or too much waited for it.
	What string `json:"what,omitempty" enums:"all,failed,missing" default:"all" example:"missing"`
	// Behind the message with this sequence number. Not for what failed.
	After string `json:"after,omitempty" example:"00000151018143744000"`
	// With what was published, or failed, from then on.
	Since *Instant `json:"since,omitempty" swaggertype:"string" format:"date-time" extensions:"x-nullable"`
	// Only what was published, or failed, before then. Default: before the request.
	Until *Instant `json:"until,omitempty" swaggertype:"string" format:"date-time" extensions:"x-nullable"`
}

// readTopicMessages shows messages of a topic's log.
//
//	@Summary		Read what was published
//	@Description	In the order of the publishes, while the topic keeps it (`message_retention`). Who reads keeps the place: send `next_after` of one answer as `after` of the next. Without `after` and `since` it begins with the oldest message that is kept.
//	@Description
//	@Description	With `group_id` only messages of that group come, such as all that has happened to one customer. An answer may be empty then although more come behind `next_after`: it goes through a part of the log at a time.
//	@Description
//	@Description	With `wait` an answer comes when there is a message, or at the end of that time. What is not kept any more is `not_retained`; `fix` says where to begin instead.
//	@ID				readTopicMessages
//	@Tags			topics
//	@Param			topic	path		string			true	"Name of the topic"
//	@Param			after	query		string			false	"Sequence number behind which to begin"	maxlength(20)
//	@Param			since	query		string			false	"Instant of the publish with which to begin"	format(date-time)
//	@Param			last	query		int				false	"So many messages before the end of the log to begin with"	minimum(1)	maximum(1000)
//	@Param			group_id	query		string		false	"Only messages of this group"	maxlength(128)
//	@Param			limit	query		int				false	"How many at most; there may be fewer when they are large"	minimum(1)	maximum(100)	default(50)
//	@Param			wait	query		int				false	"Seconds to wait for a message, or text such as 20s"	minimum(0)	maximum(20)	default(0)
//	@Success		200		{object}	TopicMessages	"A part of the log"
//	@Failure		400		{object}	Problem			"The request is malformed"
//	@Failure		404		{object}	Problem			"No such topic"
//	@Failure		409		{object}	Problem			"Messages behind that place are not kept any more (`not_retained`)"
//	@Failure		415		{object}	Problem			"The request has a Content-Encoding"
//	@Failure		422		{object}	Problem			"A value is not allowed"
//	@Router			/v1/topics/{topic}/messages [get]
func (a *API) readTopicMessages(c echo.Context) error {
	q, err := readQuery(c, "after", "since", "last", "group_id", "limit", "wait")
	if err != nil {
		return err
	}
	var opt topics.ReadOptions
	if opt.Place, err = placeQuery(&q); err != nil {
		return err
	}
	if opt.Last, err = q.number("last", 0, 1, topics.MaxLast); err != nil {
		return err
	}
	if opt.Last > 0 && (q.has("after") || q.has("since")) {
		return queryFault("last", "contradiction", "must not stand beside after or since")
	}
	if opt.Group, err = groupQuery(&q); err != nil {
		return err
	}
	if opt.Limit, err = q.number("limit", defaultLimit, 1, topics.MaxRead); err != nil {
		return err
	}
	wait, err := q.upTo("wait", queues.MaxWait)
	if err != nil {
		return err
	}
	if wait != nil && *wait > 0 {
		if leave, err := a.enterStream(c); err == nil { // else it is answered at once
			defer leave()
			opt.Wait = *wait
		}
	}
	ctx, t, _ := scope(c)
	page, err := a.Topics.Read(ctx, t, c.Param("topic"), opt)
	if err != nil {
		return a.guessTopic(c, err)
	}
	if a.TestHeaders {
		setNow(c, page.Now)
	}
	out := TopicMessages{Messages: make([]TopicMessage, len(page.Messages)), NextAfter: sequenceText(page.Next)}
	for i := range page.Messages {
		out.Messages[i] = newTopicMessage(&page.Messages[i])
	}
	return a.json(c, http.StatusOK, out)
}

// placeQuery reads where in a log to begin.
func placeQuery(q *query) (topics.Place, error) {
	var from topics.Place
	if q.has("after") {
		n, ok := parseSequence(q.text("after"))
		if !ok {
			return from, queryFault("after", "invalid", wantSequence)
		}
		from.After = &n
	}
	if q.has("since") {
		at, err := time.Parse(time.RFC3339, q.text("since"))
		if err != nil {
			return from, queryFault("since", "wrong_type", "must be a time such as 2030-01-02T03:04:05Z")
		}
		if from.Since = at; from.After != nil {
			return from, queryFault("since", "contradiction", "must not stand beside after")
		}
	}
	return from, nil
}

// groupQuery reads which group's messages are asked for, or "".
func groupQuery(q *query) (string, error) {
	group := q.text("group_id")
	if q.has("group_id") && (group == "" || len(group) > queues.MaxGroupID) {
		return "", queryFault("group_id", "invalid", "must be a group id: 1 to 128 characters")
	}
	return group, nil
}

const wantSequence = "must be a sequence number: up to 20 digits"

// parseSequence reads a sequence number of a topic.
func parseSequence(s string) (int64, bool) {
	for _, c := range s {
		if c < '0' || c > '9' {
			return 0, false
		}
	}
	n, err := strconv.ParseInt(s, 10, 64)
	return n, err == nil && len(s) <= 20 && n < 1<<53
}

func newTopicMessage(l *topics.Logged) TopicMessage {
	m := &l.Message
	out := TopicMessage{ID: messageID(l.ID), SequenceNumber: sequenceText(l.Sequence), PublishedAt: Instant{l.PublishedAt}, Body: string(m.Body),
		BodyEncoding: "utf8", ContentType: m.ContentType, Size: len(m.Body), Attributes: map[string]MessageAttribute{}, Traceparent: m.TraceParent}
	if !utf8.Valid(m.Body) {
		out.Body, out.BodyEncoding = base64.StdEncoding.EncodeToString(m.Body), "base64"
	}
	if m.GroupID != "" {
		out.GroupID = &m.GroupID
	}
	for _, a := range m.Attributes {
		value := a.Value
		if isBinary(a.Type) {
			value = base64.StdEncoding.EncodeToString([]byte(value))
		}
		out.Attributes[a.Name] = MessageAttribute{Type: a.Type, Value: value}
	}
	return out
}

// replaySubscription brings what was published to a subscription once more.
//
//	@Summary		Replay messages to a subscription
//	@Description	What the topic still keeps, from a place up to another one, goes to where the subscription leads once more, as far as its filter policy lets it through as it is now. It goes beside what is published meanwhile, and may come between it.
//	@Description
//	@Description	Of a webhook `failed` sends what failed for good again, with all of its attempts before it, and `missing` what was never tried: `gaps` of its `delivery` say where there is such. Who cancels that and asks for it again gets the rest, and nothing twice.
//	@ID				replaySubscription
//	@Tags			subscriptions
//	@Accept			json
//	@Param			topic			path		string		true	"Name of the topic"
//	@Param			subscription	path		string		true	"Name of the subscription"
//	@Param			replay			body		ReplayInput	false	"What, and where to begin; default: all, with the oldest message that is kept"
//	@Success		202				{object}	Task		"The task"
//	@Header			202				{string}	Location	"The task"
//	@Failure		400				{object}	Problem		"The request is malformed"
//	@Failure		404				{object}	Problem		"No such topic or subscription"
//	@Failure		408				{object}	Problem		"The body did not arrive in time"
//	@Failure		409				{object}	Problem		"Messages behind that place are not kept any more (`not_retained`), or the subscription leads to no webhook (`not_a_webhook`)"
//	@Failure		413				{object}	Problem		"The body is too large"
//	@Failure		415				{object}	Problem		"The body is not JSON"
//	@Failure		422				{object}	Problem		"A value is not allowed, or the subscription's queue is missing"
//	@Failure		507				{object}	Problem		"The storage is full"
//	@Router			/v1/topics/{topic}/subscriptions/{subscription}/replay [post]
func (a *API) replaySubscription(c echo.Context) error {
	if _, err := readQuery(c); err != nil {
		return err
	}
	var opt topics.ReplayOptions
	err := a.readControl(c, func(r *reader) {
		r.object([]string{"what", "after", "since", "until"}, func(key []byte) {
			switch string(key) {
			case "what":
				s, ok := r.str()
				opt.What = topics.Recovery(s)
				if ok && opt.What != topics.All && opt.What != topics.Failed && opt.What != topics.Missing {
					r.fault("not_allowed", "must be %s, %s or %s", topics.All, topics.Failed, topics.Missing)
				}
			case "after":
				s, ok := r.str()
				n, isNumber := parseSequence(string(s))
				if ok && !isNumber {
					r.fault("invalid", wantSequence)
				}
				opt.From.After = &n
			case "since":
				opt.From.Since = r.time()
			case "until":
				opt.Until = r.time()
			}
		})
		switch {
		case opt.From.After != nil && !opt.From.Since.IsZero():
			r.fault("contradiction", "must have after or since, not both")
		case !opt.Until.IsZero() && !opt.From.Since.Before(opt.Until):
			r.fault("contradiction", "must have an until that is later than since")
		}
	})
	if err != nil {
		return err
	}
	ctx, t, _ := scope(c)
	topic, name := c.Param("topic"), c.Param("subscription")
	n, err := a.Topics.PlanReplay(ctx, t, topic, name, opt)
	if err != nil {
		return a.guessTopic(c, err)
	}
	task, err := a.begin(c, n, TaskScope{Topic: topic, Subscription: name})
	if err != nil {
		return err
	}
	return a.accept(c, task)
}
