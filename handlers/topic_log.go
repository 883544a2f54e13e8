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
	ID string `json:"id" example:"msg_0kq1zv3m5c8g02r4b7ft"`
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

// ReplayInput says with which message a replay begins: one of the two, or with the oldest that is kept.
type ReplayInput struct {
	// Behind the message with this sequence number.
	After string `json:"after,omitempty" example:"00000151018143744000"`
	// With what was published from then on.
	Since *Instant `json:"since,omitempty" swaggertype:"string" format:"date-time" extensions:"x-nullable"`
}

// readTopicMessages shows messages of a topic's log.
//
//	@Summary		Read what was published
//	@Description	In the order of the publishes, while the topic keeps it (`message_retention`). Who reads keeps the place: send `next_after` of one answer as `after` of the next. Without `after` and `since` it begins with the oldest message that is kept.
//	@Description
//	@Description	With `wait` an answer comes when there is a message, or at the end of that time. What is not kept any more is `not_retained`; `fix` says where to begin instead.
//	@ID				readTopicMessages
//	@Tags			topics
//	@Param			topic	path		string			true	"Name of the topic"
//	@Param			after	query		string			false	"Sequence number behind which to begin"	maxlength(20)
//	@Param			since	query		string			false	"Instant of the publish with which to begin"	format(date-time)
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
	q, err := readQuery(c, "after", "since", "limit", "wait")
	if err != nil {
		return err
	}
	from, err := placeQuery(&q)
	if err != nil {
		return err
	}
	limit, err := q.number("limit", defaultLimit, 1, topics.MaxRead)
	if err != nil {
		return err
	}
	wait, err := q.upTo("wait", queues.MaxWait)
	if err != nil {
		return err
	}
	patience := time.Duration(0)
	if wait != nil && *wait > 0 {
		patience = *wait
		leave, err := a.enterStream(c)
		if err != nil {
			patience = 0
		} else {
			defer leave()
		}
	}
	ctx, t, _ := scope(c)
	page, err := a.Topics.Read(ctx, t, c.Param("topic"), topics.ReadOptions{Place: from, Limit: limit, Wait: patience})
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
//	@Description	What the topic still keeps, from a place up to now, goes to the subscription's queue once more, as far as its filter policy lets it through as it is now. It goes beside what is published meanwhile, and may come between it.
//	@ID				replaySubscription
//	@Tags			subscriptions
//	@Accept			json
//	@Param			topic			path		string		true	"Name of the topic"
//	@Param			subscription	path		string		true	"Name of the subscription"
//	@Param			replay			body		ReplayInput	false	"Where to begin; default: with the oldest message that is kept"
//	@Success		202				{object}	Task		"The task"
//	@Header			202				{string}	Location	"The task"
//	@Failure		400				{object}	Problem		"The request is malformed"
//	@Failure		404				{object}	Problem		"No such topic or subscription"
//	@Failure		408				{object}	Problem		"The body did not arrive in time"
//	@Failure		409				{object}	Problem		"Messages behind that place are not kept any more (`not_retained`)"
//	@Failure		413				{object}	Problem		"The body is too large"
//	@Failure		415				{object}	Problem		"The body is not JSON"
//	@Failure		422				{object}	Problem		"A value is not allowed, or the subscription's queue is missing"
//	@Failure		507				{object}	Problem		"The storage is full"
//	@Router			/v1/topics/{topic}/subscriptions/{subscription}/replay [post]
func (a *API) replaySubscription(c echo.Context) error {
	if _, err := readQuery(c); err != nil {
		return err
	}
	var from topics.Place
	err := a.readControl(c, func(r *reader) {
		r.object([]string{"after", "since"}, func(key []byte) {
			switch string(key) {
			case "after":
				s, ok := r.str()
				n, isNumber := parseSequence(string(s))
				if ok && !isNumber {
					r.fault("invalid", wantSequence)
				}
				from.After = &n
			case "since":
				from.Since = r.time()
			}
		})
		if from.After != nil && !from.Since.IsZero() {
			r.fault("contradiction", "must have after or since, not both")
		}
	})
	if err != nil {
		return err
	}
	ctx, t, _ := scope(c)
	topic, name := c.Param("topic"), c.Param("subscription")
	n, err := a.Topics.PlanReplay(ctx, t, topic, name, topics.ReplayOptions{From: from})
	if err != nil {
		return a.guessTopic(c, err)
	}
	task, err := a.begin(c, n, TaskScope{Topic: topic, Subscription: name})
	if err != nil {
		return err
	}
	return a.accept(c, task)
}
