package handlers

import (
	"crypto/md5" // part of the SQS protocol
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/labstack/echo/v4"

	"github.com/sluicemq/sluice/internal/engine"
	"github.com/sluicemq/sluice/internal/errs"
	"github.com/sluicemq/sluice/queues"
)

// Message is a message as a look at the queue shows it.
type Message struct {
	ID    string `json:"id" example:"msg_0kq1zv3m5c8g02r4b7fg"`
	State string `json:"state" enums:"available,in_flight,delayed"`
	// The body as text, or in base64 when it is not UTF-8. Null for a key that may not read bodies; then there is no
	// `deduplication_id` either.
	Body         string `json:"body" extensions:"x-nullable" example:"{\"order\":7}"`
	BodyEncoding string `json:"body_encoding" enums:"utf8,base64"`
	MessageContent
	// When a message that waits, or waited, becomes or became available; null for one that always was.
	AvailableAt *Instant `json:"available_at" swaggertype:"string" format:"date-time" extensions:"x-nullable"`
	// When a message in flight becomes available again; null for others.
	LeaseExpiresAt *Instant `json:"lease_expires_at" swaggertype:"string" format:"date-time" extensions:"x-nullable"`
	// When a message in flight was received; null for others.
	HeldSince *Instant `json:"held_since" swaggertype:"string" format:"date-time" extensions:"x-nullable"`
	// What the consumer that holds a message in flight called itself when it received it; null for one that gave no name.
	HeldBy *string `json:"held_by" extensions:"x-nullable" example:"worker-7"`
}

// MessageContent is what every view of a message shows beside its body.
type MessageContent struct {
	// As the sender gave it.
	ContentType string `json:"content_type" example:"application/json"`
	// Bytes of the body.
	Size       int                         `json:"size" example:"11"`
	Attributes map[string]MessageAttribute `json:"attributes"`
	// The group that it belongs to; null for none.
	GroupID *string `json:"group_id" extensions:"x-nullable" example:"customer-42"`
	// Of a message in a FIFO queue: what it is recognised by when it is sent again. Null in a standard queue.
	DeduplicationID *string `json:"deduplication_id" extensions:"x-nullable"`
	// Of a message in a FIFO queue: 20 digits, growing with each message of the queue. Null in a standard queue.
	SequenceNumber *string `json:"sequence_number" extensions:"x-nullable" example:"00000244539289804801"`
	// How often it was received, this time included.
	ReceiveCount int `json:"receive_count" example:"1"`
	// How often it failed: was returned, or its lease ended.
	FailureCount int `json:"failure_count" example:"0"`
	// 0 to 9; see the queue's priority_step.
	Priority int `json:"priority" example:"0"`
	// Its own retry policy; null when it follows that of the queue.
	Retry *RetryPolicy `json:"retry" extensions:"x-nullable"`
	// When it ends by itself, before the queue's retention ends it; null when nobody said so.
	ExpiresAt       *Instant `json:"expires_at" swaggertype:"string" format:"date-time" extensions:"x-nullable"`
	SentAt          Instant  `json:"sent_at" swaggertype:"string" format:"date-time"`
	FirstReceivedAt *Instant `json:"first_received_at" swaggertype:"string" format:"date-time" extensions:"x-nullable"`
	// W3C trace context of the sender, where there was one.
	Traceparent string `json:"traceparent,omitempty"`
	// What a consumer said of the message when it returned it last, where one did.
	LastError string `json:"last_error,omitempty" example:"the bank is closed"`
	// Where the message came from, when it was not sent to this queue.
	Origin *MessageOrigin `json:"origin,omitempty"`
}

// MessageOrigin says where a message came from that was not sent to the queue in which it is.
type MessageOrigin struct {
	// The queue in which it was before; null for one that comes from a topic.
	Queue *string `json:"queue" extensions:"x-nullable" example:"orders"`
	// The topic that could not deliver it, where there is one.
	Topic string `json:"topic,omitempty" example:"orders.created"`
	// The subscription to which it could not be delivered, where there is one.
	Subscription string `json:"subscription,omitempty" example:"billing"`
	// It was received as often as that queue allows, its consumer gave it up, it was the oldest when that queue was full, someone moved
	// it, or a topic could not deliver it to a subscription.
	Reason string `json:"reason" enums:"max_receives,rejected,overflow,moved,undelivered"`
	// What a consumer said of it last, or why it could not be delivered; null for nothing.
	Error *string `json:"error" extensions:"x-nullable" example:"the bank is closed"`
	// When it left that queue or topic.
	LeftAt Instant `json:"left_at" swaggertype:"string" format:"date-time"`
	// Its id there.
	ID string `json:"id" example:"msg_0kq1zv3m5c8g02r4b7fg"`
	// How often it was received there.
	ReceiveCount int `json:"receive_count" example:"5"`
}

// MessageAttribute is a typed value beside the body.
type MessageAttribute struct {
	// String, Number or Binary, also with a label behind a dot as in Number.int.
	Type string `json:"type" example:"String"`
	// Text; of Binary the bytes in base64.
	Value string `json:"value" example:"order.created"`
}

// MessagePage is one part of a queue's messages.
type MessagePage struct {
	Data []Message `json:"data"`
	// Send it as `cursor` to get the next part; null on the last one.
	NextCursor *string `json:"next_cursor" extensions:"x-nullable" example:"cQBvAG9yZGVycw"`
	Scanned    Scanned `json:"scanned"`
}

// Scanned says how far a look at a queue went.
type Scanned struct {
	// How many messages were looked at for this part, those that do not match the filter included.
	Messages int `json:"messages" example:"10000"`
	// Whether it came to the end of the queue.
	Complete bool `json:"complete" example:"false"`
}

// SentMessage is the answer to a send.
type SentMessage struct {
	ID string `json:"id" example:"msg_0kq1zv3m5c8g02r4b7fg"`
	// Bytes of the body.
	Size        int     `json:"size" example:"11"`
	MD5OfBody   string  `json:"md5_of_body" example:"5d41402abc4b2a76b9719d911017c592"`
	AvailableAt Instant `json:"available_at" swaggertype:"string" format:"date-time"`
	// In a FIFO queue: 20 digits, growing with each message. Of a message that was there already, the number of that one.
	// Null in a standard queue.
	SequenceNumber *string `json:"sequence_number" extensions:"x-nullable" example:"00000244539289804801"`
}

// MessageInput is what a client wants changed of a delayed message: one of the two.
type MessageInput struct {
	// `now`, or the instant at which it becomes available; one that has passed means now.
	AvailableAt *string `json:"available_at,omitempty" example:"now"`
	// Seconds from now after which it becomes available, or text such as "5m"; 0 means now.
	Delay *int `json:"delay,omitempty" validate:"min=0,max=1209600"`
	// Of one in flight: seconds from now for which whoever has it holds it, or text such as "5m"; 0 returns it now.
	VisibilityTimeout *int `json:"visibility_timeout,omitempty" validate:"min=0,max=43200" example:"600"`
}

// ChangedMessage is when a message becomes available after a change.
type ChangedMessage struct {
	ID    string `json:"id" example:"msg_0kq1zv3m5c8g02r4b7fg"`
	State string `json:"state" enums:"available,in_flight,delayed,expired"`
	// When it becomes available, or became so just now; null while it is in flight, and when it is gone because its own end
	// came while it was held.
	AvailableAt *Instant `json:"available_at" swaggertype:"string" format:"date-time" extensions:"x-nullable"`
	// When its lease ends; null unless it is in flight.
	LeaseExpiresAt *Instant `json:"lease_expires_at" swaggertype:"string" format:"date-time" extensions:"x-nullable"`
}

const (
	maxContentType = 127 // what a queue keeps

	binaryMedia = "application/octet-stream"
	textMedia   = "text/plain; charset=utf-8"
)

var errEmptyMessage = &errs.Error{Kind: errs.Invalid, Code: "validation_failed",
	Message: "The message is empty.",
	Fix:     "Send at least one byte as the body of the request: curl … -d 'hello'.",
	Fields:  []errs.Field{{Code: "required", Message: "the body must have at least one byte"}}}

// sendMessage stores the body of the request as a message.
//
//	@Summary		Send a message
//	@Description	The body is the message, whatever its content type, and is never changed. Without a content type, or with the `application/x-www-form-urlencoded` of `curl -d`, it is kept as JSON, text or bytes, whichever it is.
//	@Description
//	@Description	Headers `Message-Attr-NAME: value` become attributes of type String; their names are lower-cased, because HTTP does not keep case. Other headers that begin with `Message-` are refused.
//	@ID				sendMessage
//	@Tags			messages
//	@Param			queue				path		string		true	"Name of the queue"
//	@Param			message				body		string		true	"The message"
//	@Param			delay				query		int			false	"Seconds that it stays hidden, or text such as 5m; the same as Message-Delay"	minimum(0)	maximum(1209600)
//	@Param			Message-Delay		header		int			false	"Seconds that it stays hidden, or text such as 5m"	minimum(0)	maximum(1209600)
//	@Param			Message-Attributes	header		string		false	"Attributes as JSON, with types and in exact case: {\"OrderId\":{\"type\":\"Number\",\"value\":\"7\"}}"
//	@Param			Message-Group-Id	header		string		false	"Group of the message: 1 to 128 ASCII letters, digits and punctuation marks. A FIFO queue needs one; in a standard queue groups take turns"	maxlength(128)
//	@Param			Message-Deduplication-Id	header	string	false	"For FIFO queues: a message with the same one is taken for the first, for the queue's deduplication window"	maxlength(128)
//	@Param			Message-Priority	header		int			false	"0 to 9: each step gives the message a head start of the queue's priority_step. Not for FIFO queues, nor beside a group"	minimum(0)	maximum(9)	default(0)
//	@Param			Message-TTL			header		int			false	"Seconds that the message lives, up to the queue's retention, or text such as 5m. It ends then unless somebody holds it"	minimum(1)	maximum(1209600)
//	@Param			Message-Retry		header		string		false	"The message's own retry policy as JSON, in place of the queue's: {\"backoff\":\"fixed\",\"delay\":\"10s\"}"
//	@Param			Traceparent			header		string		false	"W3C trace context, passed on"
//	@Param			Idempotency-Key		header		string		false	"The same key with the same message stores it once within five minutes"	maxlength(255)
//	@Success		201					{object}	SentMessage	"Stored"
//	@Header			201					{string}	Location	"The message"
//	@Header			201					{string}	Idempotent-Replayed	"true when an earlier send with this key or deduplication id stored it"
//	@Failure		400					{object}	Problem		"The request is malformed"
//	@Failure		404					{object}	Problem		"No such queue"
//	@Failure		408					{object}	Problem		"The body did not arrive in time"
//	@Failure		409					{object}	Problem		"Sending is paused, or webhooks and topics have sent the message on too often (`too_many_hops`)"
//	@Header			409					{integer}	Retry-After	"Seconds after which to try again"
//	@Failure		413					{object}	Problem		"The message is too large"
//	@Failure		415					{object}	Problem		"The request has a Content-Encoding"
//	@Failure		422					{object}	Problem		"A value is not allowed"
//	@Failure		507					{object}	Problem		"The storage is full; receiving goes on"
//	@Router			/v1/queues/{queue}/messages [post]
func (a *API) sendMessage(c echo.Context) error {
	q, err := readQuery(c, "delay")
	if err != nil {
		return err
	}
	var m queues.Outgoing
	if err := readMessageHeaders(c.Request().Header, &m); err != nil {
		return err
	}
	if m.Hops, err = hops(c); err != nil {
		return err
	}
	if err := delayOf(&q, &m); err != nil {
		return err
	}
	buf := getBuffer()
	defer buf.release()
	if m.Body, err = readBody(c, buf, queues.MaxMessageSize, messageTooLarge); err != nil {
		return err
	}
	if len(m.Body) == 0 {
		return errEmptyMessage
	}
	if m.ContentType, err = messageType(c.Request(), m.Body); err != nil {
		return err
	}
	ctx, t, name := scope(c)
	sent, err := a.Queues.Send(ctx, t, name, m)
	if err != nil {
		return a.guess(c, placeInHeaders(unknownOutcome(err, sent.ID), q.has("delay")))
	}
	if a.TestHeaders {
		setNow(c, sent.Now)
	}
	h := c.Response().Header()
	h["Location"] = []string{a.link("/v1/queues/" + name + "/messages/" + messageID(sent.ID))}
	if sent.Replayed {
		h.Set("Idempotent-Replayed", "true")
	}
	answer := getBuffer()
	defer answer.release()
	answer.b = appendSent(answer.b, &sent, len(m.Body), md5.Sum(m.Body))
	return a.write(c, http.StatusCreated, jsonType, answer.b)
}

// delayOf takes the delay from the query, which may say it in place of the header.
func delayOf(q *query, m *queues.Outgoing) error {
	d, err := q.duration("delay")
	switch {
	case err != nil:
		return err
	case d != nil && m.Delay != nil && *d != *m.Delay:
		return queryFault("delay", "contradiction", "says another time than the header Message-Delay")
	case d != nil:
		m.Delay = d
	}
	return nil
}

func messageTooLarge(limit int) error {
	e := *queues.ErrMessageTooLarge
	e.Message = fmt.Sprintf("A message has at most %d bytes.", limit)
	return &e
}

// unknownOutcome adds the id of a message that may have been stored to the error that says so.
func unknownOutcome(err error, id engine.ID) error {
	if errors.Is(err, engine.ErrUnknown) && id != (engine.ID{}) {
		return withMessageID{err, messageID(id)}
	}
	return err
}

// messageType returns the content type with which a message is kept.
func messageType(r *http.Request, body []byte) (string, error) {
	t := r.Header.Get("Content-Type")
	if t == "" || isForm(t) {
		return guessType(body), nil
	}
	if len(t) > maxContentType || !isPrintable(t) {
		return "", headerFault("Content-Type", "invalid", fmt.Sprintf("must be printable ASCII with at most %d characters", maxContentType))
	}
	return t, nil
}

// isForm reports whether t is what curl -d calls a body of which nobody said what it is.
func isForm(t string) bool {
	t, _, _ = strings.Cut(t, ";")
	return strings.EqualFold(strings.TrimSpace(t), formMedia)
}

func isPrintable(s string) bool {
	for i := range len(s) {
		if s[i] < ' ' || s[i] > '~' {
			return false
		}
	}
	return true
}

// guessType returns a content type for bytes of which nobody said what they are.
func guessType(body []byte) string {
	switch {
	case isJSON(body):
		return jsonMedia
	case utf8.Valid(body):
		return textMedia
	}
	return binaryMedia
}

// attributes reads the attributes of a message, and returns them by name.
func (r *reader) attributes() []queues.Attribute {
	var list []queues.Attribute
	r.members(func(key []byte) {
		a := queues.Attribute{Name: string(key)}
		ok := true
		value, has := []byte(nil), false
		r.object([]string{"type", "value"}, func(key []byte) {
			switch string(key) {
			case "type":
				var s []byte
				if s, has = r.str(); !has {
					ok = false
				}
				a.Type = string(s)
			case "value":
				s, got := r.str()
				ok = ok && got
				value = s
			}
		})
		if !ok || r.err != nil {
			return
		}
		if isBinary(a.Type) {
			raw, err := base64.StdEncoding.Strict().DecodeString(string(value))
			if err != nil {
				r.fault("invalid", "of type Binary must have a value in base64")
				return
			}
			value = raw
		}
		a.Value = string(value)
		list = append(list, a)
	})
	slices.SortFunc(list, func(a, b queues.Attribute) int { return strings.Compare(a.Name, b.Name) })
	return list
}

func isBinary(t string) bool { return t == "Binary" || strings.HasPrefix(t, "Binary.") }

// peekMessages shows messages and changes nothing.
//
//	@Summary		Look at messages
//	@Description	Takes nothing and changes nothing. A part may be short, or empty, although more follow: go on while there is a `next_cursor`. What is in the queue throughout is shown once.
//	@Description
//	@Description	With a `filter` only messages that match are shown, such as `attr.type:order.* body.customer.tier=pro age>1h`; the whole language is in docs/search.md. One request looks at 10,000 messages or 16 MiB at most, for about a second, and `scanned` says how far it came. A filter that is wrong is refused with `filter_invalid` and the place of the fault.
//	@ID				peekMessages
//	@Tags			messages
//	@Param			queue	path		string		true	"Name of the queue"
//	@Param			state	query		string		false	"Only messages in this state"	Enums(all, available, in_flight, delayed)	default(all)
//	@Param			filter	query		string		false	"Only messages that match"	maxlength(4096)
//	@Param			limit	query		int			false	"How many at most"	minimum(1)	maximum(100)	default(50)
//	@Param			cursor	query		string		false	"next_cursor of the part before, which had the same state and filter"
//	@Success		200		{object}	MessagePage	"A part of the messages"
//	@Header			200		{string}	Link		"The next part, with rel=next"
//	@Failure		400		{object}	Problem		"The request is malformed"
//	@Failure		404		{object}	Problem		"No such queue"
//	@Failure		415		{object}	Problem		"The request has a Content-Encoding"
//	@Failure		422		{object}	Problem		"A value is not allowed, or the filter is wrong"
//	@Router			/v1/queues/{queue}/messages [get]
func (a *API) peekMessages(c echo.Context) error {
	l, err := readGlance(c, "messages")
	if err != nil {
		return err
	}
	ctx, t, name := scope(c)
	var found queues.Found
	if l.filter.String() == "" {
		found.Page, err = a.Queues.Peek(ctx, t, name, l.PeekOptions)
		found.Looked = len(found.Messages)
	} else {
		found, err = a.Queues.Search(ctx, t, name, queues.SearchOptions{PeekOptions: l.PeekOptions, Match: l.filter.Match})
	}
	if err != nil {
		return a.guess(c, err)
	}
	next := l.next(found.Next)
	if next != "" {
		setNext(c, next)
	}
	answer := getBuffer()
	defer answer.release()
	answer.b = appendFound(answer.b, &found, next, readsBodies(c))
	return a.write(c, http.StatusOK, jsonType, answer.b)
}

// glance is what a request asks of the messages of a queue.
type glance struct {
	queues.PeekOptions
	filter      *queues.Filter
	list, bound string // which cursors hold
}

// readGlance reads the query of a look. list names what is listed, so that cursors of another list do not hold.
func readGlance(c echo.Context, list string) (glance, error) {
	q, err := readQuery(c, "state", "filter", "limit", "cursor")
	if err != nil {
		return glance{}, err
	}
	return glanceOf(c, &q, list, defaultLimit, queues.MaxPeek)
}

// glanceOf takes a look from a query, with how many messages it shows unless it says so, and at most.
func glanceOf(c echo.Context, q *query, list string, limit, most int) (glance, error) {
	state, err := q.choice("state", "all", "available", "in_flight", "delayed")
	if err != nil {
		return glance{}, err
	}
	l := glance{list: list}
	if l.filter, err = filterQuery(c, q); err != nil {
		return glance{}, err
	}
	if l.Limit, err = q.number("limit", limit, 1, most); err != nil {
		return glance{}, err
	}
	l.bound = state + boundTo(l.filter)
	if l.Cursor, err = decodeCursor(list, l.bound, q); err != nil {
		return glance{}, err
	}
	if state != "all" {
		l.State = queues.State(state)
	}
	return l, nil
}

// next returns the cursor of the part that begins where a store says; "": there is none.
func (l *glance) next(place string) string { return encodeCursor(l.list, l.bound, place) }

// filterQuery reads the filter of messages.
func filterQuery(c echo.Context, q *query) (*queues.Filter, error) {
	f, err := parseFilter(c, q.text("filter"))
	return f, relocate(err, func(f *errs.Field) { f.Query = "filter" })
}

// filterMember reads the filter of messages that a JSON object has.
func filterMember(c echo.Context, text string) (*queues.Filter, error) {
	f, err := parseFilter(c, text)
	return f, relocate(err, func(f *errs.Field) { f.Pointer = "/filter" })
}

// boundTo returns what a cursor keeps of a filter, so that it holds for no other.
func boundTo(filter *queues.Filter) string {
	if filter.String() == "" {
		return ""
	}
	sum := sha256.Sum256([]byte(filter.String()))
	return string(sum[:12])
}

// messageOf returns the message that the path names.
func (a *API) messageOf(c echo.Context) (queues.Message, error) {
	if _, err := readQuery(c); err != nil {
		return queues.Message{}, err
	}
	ctx, t, name := scope(c)
	m, err := a.Queues.Message(ctx, t, name, messageParam(c))
	return m, a.guess(c, err)
}

// messageParam returns the id of a message in the path. Text that is none becomes the id that no message has.
func messageParam(c echo.Context) engine.ID {
	id, _ := parseMessageID(c.Param("id"))
	return id
}

// parseMessageID reads the id of a message; false: it is none.
func parseMessageID(s string) (engine.ID, bool) {
	text, ok := strings.CutPrefix(s, messagePrefix)
	id, isID := engine.ParseID(text)
	if !ok || !isID {
		return engine.ID{}, false
	}
	return id, true
}

// getMessage shows one message and changes nothing.
//
//	@Summary		Look at one message
//	@ID				getMessage
//	@Tags			messages
//	@Param			queue	path		string	true	"Name of the queue"
//	@Param			id		path		string	true	"Id of the message"
//	@Success		200		{object}	Message	"The message"
//	@Failure		400		{object}	Problem	"The request is malformed"
//	@Failure		404		{object}	Problem	"No such message, or no such queue"
//	@Failure		415		{object}	Problem	"The request has a Content-Encoding"
//	@Failure		422		{object}	Problem	"A value is not allowed"
//	@Router			/v1/queues/{queue}/messages/{id} [get]
func (a *API) getMessage(c echo.Context) error {
	m, err := a.messageOf(c)
	if err != nil {
		return err
	}
	answer := getBuffer()
	defer answer.release()
	answer.b = appendPeeked(answer.b, &m, readsBodies(c))
	return a.write(c, http.StatusOK, jsonType, answer.b)
}

// getMessageBody answers with the bytes of one message's body.
//
//	@Summary		Get the body of a message
//	@Description	Exactly the bytes that were sent, in their content type. Browsers save them instead of showing them.
//	@ID				getMessageBody
//	@Tags			messages
//	@Param			queue	path		string	true	"Name of the queue"
//	@Param			id		path		string	true	"Id of the message"
//	@Success		200		{string}	string	"The bytes"
//	@Header			200		{string}	Content-Disposition	"attachment, with a file name"
//	@Failure		400		{object}	Problem	"The request is malformed"
//	@Failure		404		{object}	Problem	"No such message, or no such queue"
//	@Failure		415		{object}	Problem	"The request has a Content-Encoding"
//	@Failure		422		{object}	Problem	"A value is not allowed"
//	@Router			/v1/queues/{queue}/messages/{id}/body [get]
func (a *API) getMessageBody(c echo.Context) error {
	m, err := a.messageOf(c)
	if err != nil {
		return err
	}
	c.Response().Header().Set("Content-Disposition", `attachment; filename="`+messageID(m.ID)+`"`)
	return a.writeBody(c, &m)
}

// writeBody answers with the bytes of a message. They may be a hostile page: no browser shows or runs them.
func (a *API) writeBody(c echo.Context, m *queues.Message) error {
	c.Response().Header()["Content-Security-Policy"] = inertPolicy
	answer := getBuffer()
	defer answer.release()
	answer.b = append(answer.b, m.Body...)
	return a.write(c, http.StatusOK, []string{contentType(m)}, answer.b)
}

var inertPolicy = []string{"default-src 'none'; sandbox"}

// changeMessage delivers a delayed message now, or at another time, and extends or ends the lease of one in flight.
//
//	@Summary		Change when a message is available
//	@Description	`{"available_at":"now"}` makes it available now, `{"available_at":"2030-01-02T03:04:05Z"}` then, and `{"delay":"5m"}` in five minutes, always before its retention ends. It may have been delayed by its sender, by the queue, or by a consumer who returned it.
//	@Description
//	@Description	In a FIFO queue it still waits for those before it in its group, and those behind it wait for it.
//	@Description
//	@Description	To find delayed messages list those with `state=delayed`; to cancel one delete it.
//	@Description
//	@Description	Of a message in flight `{"visibility_timeout":600}` changes the lease, whoever holds it: it ends in 600 seconds, sooner or later than before, at most 12 hours after the message was received, and the receipt of who holds it stays good. `{"visibility_timeout":0}` returns the message now: it is available, this delivery counts as failed, and the receipt is one whose time is over. With either a FIFO queue does what it does when the holder says so.
//	@ID				changeMessage
//	@Tags			messages
//	@Accept			json
//	@Param			queue	path		string			true	"Name of the queue"
//	@Param			id		path		string			true	"Id of the message"
//	@Param			change	body		MessageInput	true	"When; one of the three"
//	@Success		200		{object}	ChangedMessage	"Changed"
//	@Failure		400		{object}	Problem			"The request is malformed"
//	@Failure		404		{object}	Problem			"No such message, or no such queue"
//	@Failure		408		{object}	Problem			"The body did not arrive in time"
//	@Failure		409		{object}	Problem			"It is in flight, or available already; or it is not in flight"
//	@Failure		413		{object}	Problem			"The body is too large"
//	@Failure		415		{object}	Problem			"The body is not JSON"
//	@Failure		422		{object}	Problem			"A value is not allowed"
//	@Router			/v1/queues/{queue}/messages/{id} [patch]
func (a *API) changeMessage(c echo.Context) error {
	if _, err := readQuery(c); err != nil {
		return err
	}
	var due queues.Due
	var timeout *time.Duration
	err := a.readControl(c, func(r *reader) {
		given := 0
		r.object([]string{"available_at", "delay", "visibility_timeout"}, func(key []byte) {
			given++
			switch string(key) {
			case "available_at":
				due.At = r.nowOrTime()
			case "delay":
				due.After, _ = r.duration()
			case "visibility_timeout":
				if d, ok := r.duration(); ok {
					timeout = &d
				}
			}
		})
		if r.err == nil && len(r.faults) == 0 && given != 1 {
			r.fault("required", "must have one of available_at, delay and visibility_timeout")
		}
	})
	if err != nil {
		return err
	}
	ctx, t, name := scope(c)
	id := messageParam(c)
	if timeout != nil {
		return a.holdMessage(c, id, *timeout)
	}
	available, state, err := a.Queues.DelayMessage(ctx, t, name, id, due)
	if err != nil {
		return a.guess(c, err)
	}
	return a.json(c, http.StatusOK, ChangedMessage{ID: messageID(id), State: string(state), AvailableAt: instant(available)})
}

// holdMessage extends or ends the lease of a message in flight.
func (a *API) holdMessage(c echo.Context, id engine.ID, span time.Duration) error {
	ctx, t, name := scope(c)
	done, err := a.Queues.HoldMessage(ctx, t, name, id, span)
	if err != nil {
		return a.guess(c, err)
	}
	out := ChangedMessage{ID: messageID(id)}
	switch {
	case done.Expired:
		out.State = "expired"
	case span > 0:
		out.State, out.LeaseExpiresAt = string(queues.InFlight), instant(done.LeaseExpiresAt)
	default:
		out.State, out.AvailableAt = string(queues.Available), instant(done.AvailableAt)
	}
	return a.json(c, http.StatusOK, out)
}

// nowOrTime reads an instant; the zero time is "now".
func (r *reader) nowOrTime() time.Time {
	s, ok := r.str()
	if !ok || string(s) == "now" {
		return time.Time{}
	}
	at, err := time.Parse(time.RFC3339, string(s))
	if err != nil {
		r.fault("wrong_type", `must be "now", or a time such as 2030-01-02T03:04:05Z`)
	}
	return at
}

// deleteMessage deletes one message, whoever holds it.
//
//	@Summary		Delete a message
//	@Description	Whoever holds it. To acknowledge what you received use its receipt.
//	@ID				deleteMessage
//	@Tags			messages
//	@Param			queue	path	string	true	"Name of the queue"
//	@Param			id		path	string	true	"Id of the message"
//	@Success		204		"Deleted"
//	@Failure		400		{object}	Problem	"The request is malformed"
//	@Failure		404		{object}	Problem	"No such message, or no such queue"
//	@Failure		415		{object}	Problem	"The request has a Content-Encoding"
//	@Failure		422		{object}	Problem	"A value is not allowed"
//	@Router			/v1/queues/{queue}/messages/{id} [delete]
func (a *API) deleteMessage(c echo.Context) error {
	if _, err := readQuery(c); err != nil {
		return err
	}
	ctx, t, name := scope(c)
	if err := a.Queues.DeleteMessage(ctx, t, name, messageParam(c)); err != nil {
		return a.guess(c, err)
	}
	return c.NoContent(http.StatusNoContent)
}
