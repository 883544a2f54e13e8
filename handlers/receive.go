package handlers

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/sluicemq/sluice/internal/errs"
	"github.com/sluicemq/sluice/internal/room"
	"github.com/sluicemq/sluice/queues"
)

// Received is the answer to a receive.
type Received struct {
	// In the order in which they became available; empty when there is none.
	Messages []ReceivedMessage `json:"messages"`
	// True when there is none because receiving is paused. Asking again waits for its end.
	Paused bool `json:"paused,omitempty"`
	// What became of the acks that the request carried, in their order.
	Acked []Result `json:"acked,omitempty"`
}

// ReceivedMessage is a message that the caller holds now.
type ReceivedMessage struct {
	ID string `json:"id" example:"msg_0kq1zv3m5c8g02r4b7fg"`
	// Names this delivery: with it the message is acknowledged, returned or held for longer.
	// Null with `ack=auto`.
	ReceiptHandle string `json:"receipt_handle" extensions:"x-nullable" example:"rh_AQYl…"`
	// DELETE it to acknowledge the message. Null with `ack=auto`.
	AckURL string `json:"ack_url" extensions:"x-nullable" example:"/v1/queues/orders/receipts/rh_AQYl…"`
	// The body as text, or in base64 when it is not UTF-8.
	Body         string `json:"body" example:"{\"order\":7}"`
	BodyEncoding string `json:"body_encoding" enums:"utf8,base64"`
	MessageContent
	// When it becomes available again, unless it is acknowledged before. Null with `ack=auto`.
	LeaseExpiresAt Instant `json:"lease_expires_at" swaggertype:"string" format:"date-time" extensions:"x-nullable"`
	// With `body=json`: the body, when it is JSON.
	JSON any `json:"json,omitempty" extensions:"x-nullable"`
}

// ReceiveInput is what a receive may carry.
type ReceiveInput struct {
	// Receipt handles of messages that are done, at most 1,000. They are acknowledged first.
	Ack []string `json:"ack,omitempty" validate:"max=1000"`
}

// receiveOptions are how a client wants to receive.
type receiveOptions struct {
	queues.ReceiveOptions
	raw    bool
	asJSON bool
}

// receiveMessages lends messages to the caller.
//
//	@Summary		Receive messages
//	@Description	Lends up to `max` messages to the caller, for the visibility timeout. Until that is over nobody else gets them; acknowledge them before. Where there is none it waits up to `wait` seconds for the first one.
//	@Description
//	@Description	From a FIFO queue one receive may get several messages of one group, in their order. While somebody holds messages of a group nobody gets those behind them.
//	@Description
//	@Description	With `raw=true` the answer is one message as its sender wrote it, with the rest in headers: DELETE the `Location` to acknowledge it. When there is none it is 204.
//	@Description
//	@Description	At a queue that is paused a receive waits as at an empty one, and goes on as soon as it is resumed. When the wait is over before that the answer is empty and has `paused`.
//	@Description
//	@Description	With `ack=auto` the messages are deleted in the step that gives them and come at most once: what is lost on the way is lost. They have neither receipt handle nor lease.
//	@Description
//	@Description	What a client that has gone was given returns to the queue.
//	@ID				receiveMessages
//	@Tags			consuming
//	@Accept			json
//	@Param			queue				path		string			true	"Name of the queue"
//	@Param			max					query		int				false	"How many at most"	minimum(1)	maximum(100)	default(1)
//	@Param			wait				query		int				false	"Seconds to wait for the first one, or text such as 20s; default: as the queue says"	minimum(0)	maximum(20)
//	@Param			visibility_timeout	query		int				false	"Seconds for which they are lent, or text such as 5m; default: as the queue says"	minimum(0)	maximum(43200)
//	@Param			raw					query		bool			false	"Answer with the bytes of one message"	default(false)
//	@Param			body				query		string			false	"json adds the parsed body of messages that are JSON"	Enums(text, json)	default(text)
//	@Param			attempt_id			query		string			false	"From a FIFO queue: names this receive, so that it can be repeated when its answer was lost, within five minutes or the deduplication window if it is shorter, and gets the same messages and receipt handles while none of them was settled"	maxlength(128)
//	@Param			ack					query		string			false	"auto deletes the messages as they are given: they come at most once"	Enums(explicit, auto)	default(explicit)
//	@Param			consumer			query		string			false	"What you call yourself, in printable ASCII: whoever looks at messages in flight sees it as held_by. Not with ack=auto"	maxlength(128)
//	@Param			Prefer				header		string			false	"wait=20 is the same as the parameter"
//	@Param			acks				body		ReceiveInput	false	"Messages that are done"
//	@Success		200					{object}	Received		"Messages, or none"
//	@Header			200					{integer}	Retry-After		"Seconds: too many receives wait, so this one did not"
//	@Header			200					{string}	Preference-Applied	"The wait that was asked for by Prefer"
//	@Header			200					{string}	Location		"With raw=true: DELETE it to acknowledge the message"
//	@Header			200					{string}	Message-Id		"With raw=true: id of the message"
//	@Header			200					{string}	Receipt-Handle	"With raw=true: names this delivery"
//	@Header			200					{integer}	Message-Receive-Count	"With raw=true: how often it was received"
//	@Header			200					{integer}	Message-Failure-Count	"With raw=true: how often it failed"
//	@Header			200					{integer}	Message-Priority	"With raw=true: its priority"
//	@Header			200					{string}	Message-Expires-At	"With raw=true: when the message ends, if it has an end of its own"
//	@Header			200					{string}	Lease-Expires-At	"With raw=true: when it becomes available again"
//	@Header			200					{string}	Message-Sent-At	"With raw=true: when it was sent"
//	@Header			200					{string}	Message-Attributes	"With raw=true: the attributes as JSON, unless they are longer than 8 KiB"
//	@Header			200					{integer}	Message-Attributes-Omitted	"With raw=true: the length of attributes that are longer than that"
//	@Header			200					{string}	Message-Group-Id	"With raw=true: the group that the message belongs to"
//	@Header			200					{string}	Message-Deduplication-Id	"With raw=true: of a message in a FIFO queue"
//	@Header			200					{string}	Message-Sequence-Number	"With raw=true: of a message in a FIFO queue"
//	@Header			200					{string}	Traceparent	"With raw=true: the trace context of the sender"
//	@Success		204					"With raw=true: there is none"
//	@Header			204					{string}	Queue-Paused	"true when that is because receiving is paused"
//	@Failure		400					{object}	Problem			"The request is malformed"
//	@Failure		404					{object}	Problem			"No such queue"
//	@Failure		408					{object}	Problem			"The body did not arrive in time"
//	@Failure		413					{object}	Problem			"The body is too large"
//	@Failure		415					{object}	Problem			"The body is not JSON"
//	@Failure		422					{object}	Problem			"A value is not allowed"
//	@Router			/v1/queues/{queue}/receive [post]
func (a *API) receiveMessages(c echo.Context) error {
	opt, err := readReceiveOptions(c)
	if err != nil {
		return err
	}
	acks, err := a.readAcks(c)
	if err != nil {
		return err
	}
	if opt.raw && len(acks) > 0 {
		return invalid([]errs.Field{{Pointer: "/ack", Code: "contradiction", Message: "must be empty with raw=true, whose answer has no room for results"}})
	}
	ctx, t, name := scope(c)
	answer := getBuffer()
	defer answer.release()
	if answer.b = append(answer.b, '{'); len(acks) > 0 {
		r := results{b: append(answer.b, `"acked":[`...)}
		if err := a.settle(c, acks, &r); err != nil {
			return a.guess(c, err)
		}
		answer.b = append(r.b, "],"...)
	}
	begun := a.Clock.Now()
	messages, busy, err := a.receive(ctx, c, opt.ReceiveOptions)
	if err != nil {
		return a.guess(c, err)
	}
	if len(messages) > 0 && !opt.AutoAck && a.Clock.Now().Sub(begun) >= letInFor {
		if err := a.recheck(c); err != nil {
			a.Queues.Unreceive(context.WithoutCancel(ctx), t, name, messages)
			return err
		}
	}
	if busy && len(messages) == 0 {
		c.Response().Header().Set("Retry-After", "1")
	}
	paused := len(messages) == 0 && a.Queues.ReceivesPaused(t, name)
	switch {
	case opt.raw:
		if paused {
			c.Response().Header().Set("Queue-Paused", "true")
		}
		err = a.answerRaw(c, messages)
	default:
		if paused {
			answer.b = append(answer.b, `"paused":true,`...)
		}
		answer.b = append(a.appendMessages(answer.b, messages, name, opt.asJSON), '}')
		err = a.deliver(c, http.StatusOK, jsonType, answer.b, opt.AutoAck)
	}
	if err != nil {
		a.Queues.Unreceive(context.WithoutCancel(ctx), t, name, messages)
		if errors.Is(err, room.ErrOverloaded) {
			return err
		}
		a.Logger.Debug("a consumer has gone; its messages are back", "queue", name, "count", len(messages), "error", err.Error())
	}
	return nil
}

// letInFor is how long a receive may wait before it is asked again, with its messages in hand, whether its key and its
// tenant may still act.
const letInFor = time.Second

func readReceiveOptions(c echo.Context) (receiveOptions, error) {
	var o receiveOptions
	q, err := readQuery(c, "max", "wait", "visibility_timeout", "raw", "body", "attempt_id", "ack", "consumer")
	if err != nil {
		return o, err
	}
	if o.Max, err = q.number("max", 1, 1, queues.MaxReceive); err != nil {
		return o, err
	}
	if o.Wait, err = q.upTo("wait", queues.MaxWait); err != nil {
		return o, err
	}
	if o.VisibilityTimeout, err = q.upTo("visibility_timeout", queues.MaxVisibilityTimeout); err != nil {
		return o, err
	}
	if o.raw, err = q.flag("raw"); err != nil {
		return o, err
	}
	o.AttemptID = q.text("attempt_id")
	if o.Consumer, err = q.consumer(); err != nil {
		return o, err
	}
	ack, err := q.choice("ack", "explicit", "auto")
	if err != nil {
		return o, err
	}
	o.AutoAck = ack == "auto"
	body, err := q.choice("body", "text", "json")
	if err != nil {
		return o, err
	}
	o.asJSON = body == "json"
	switch {
	case o.raw && o.Max > 1:
		return o, queryFault("max", "contradiction", "must be 1 with raw=true")
	case o.raw && o.asJSON:
		return o, queryFault("body", "contradiction", "must be text with raw=true")
	}
	if o.Wait == nil {
		if o.Wait = preferredWait(c.Request().Header); o.Wait != nil {
			c.Response().Header().Set("Preference-Applied", "wait="+strconv.Itoa(wholeSeconds(*o.Wait)))
		}
	}
	return o, nil
}

// consumer reads what the caller calls itself. One that means to say it does.
func (q *query) consumer() (string, error) {
	if q.has("consumer") && q.text("consumer") == "" {
		return "", queryFault("consumer", "out_of_range", fmt.Sprintf("must have 1 to %d printable ASCII characters", queues.MaxConsumer))
	}
	return q.text("consumer"), nil
}

// readAcks reads the receipt handles that a receive carries.
func (a *API) readAcks(c echo.Context) ([]settlement, error) {
	if n := c.Request().ContentLength; n == 0 {
		return nil, nil
	}
	var acks []settlement
	err := a.readControl(c, func(r *reader) {
		r.object([]string{"ack"}, func(key []byte) {
			if string(key) == "ack" {
				acks = r.acks(acks)
			}
		})
	})
	return acks, err
}

// receive waits for messages, unless too many receives wait already: busy says that this one did not.
func (a *API) receive(ctx context.Context, c echo.Context, opt queues.ReceiveOptions) (messages []queues.Message, busy bool, err error) {
	if opt.Wait == nil || *opt.Wait > 0 { // without a word the queue decides, which may mean to wait
		leave, err := a.enterStream(c)
		if err != nil {
			none := time.Duration(0)
			opt.Wait, busy = &none, true
		} else {
			defer leave()
		}
	}
	_, t, name := scope(c)
	messages, err = a.Queues.Receive(ctx, t, name, opt)
	return messages, busy, err
}

// appendMessages writes the member messages of a Received.
func (a *API) appendMessages(b []byte, messages []queues.Message, queue string, asJSON bool) []byte {
	b = append(b, `"messages":[`...)
	base := a.link("/v1/queues/" + queue + "/receipts/")
	for i := range messages {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendReceived(b, &messages[i], base, asJSON)
	}
	return append(b, ']')
}

// maxAttributesHeader bounds the attributes in a header: many clients and proxies take no more than 8 or 16 KiB.
const maxAttributesHeader = 8 << 10

// answerRaw answers with one message as it was sent.
func (a *API) answerRaw(c echo.Context, messages []queues.Message) error {
	if len(messages) == 0 {
		return c.NoContent(http.StatusNoContent)
	}
	m := &messages[0]
	_, _, name := scope(c)
	h := c.Response().Header()
	if m.ReceiptHandle != "" {
		h.Set("Location", a.link("/v1/queues/"+name+"/receipts/"+m.ReceiptHandle))
		h.Set("Receipt-Handle", m.ReceiptHandle)
		h.Set("Lease-Expires-At", unquoted(appendTime(nil, m.LeaseExpiresAt)))
	}
	h.Set("Message-Id", messageID(m.ID))
	h.Set("Message-Receive-Count", strconv.Itoa(m.ReceiveCount))
	h.Set("Message-Failure-Count", strconv.Itoa(m.FailureCount))
	if !m.ExpiresAt.IsZero() {
		h.Set("Message-Expires-At", unquoted(appendTime(nil, m.ExpiresAt)))
	}
	h.Set(priorityHeader, strconv.Itoa(m.Priority))
	h.Set("Message-Sent-At", unquoted(appendTime(nil, m.SentAt)))
	if len(m.Attributes) > 0 {
		attributes := appendAttributes(nil, m.Attributes, appendASCII)
		if len(attributes) > maxAttributesHeader {
			h.Set("Message-Attributes-Omitted", strconv.Itoa(len(attributes)))
		} else {
			h.Set(attributesHeader, string(attributes))
		}
	}
	for name, value := range map[string]string{groupHeader: m.GroupID, dedupHeader: m.DeduplicationID,
		"Message-Sequence-Number": m.SequenceNumber, "Traceparent": m.TraceParent} {
		if value != "" {
			h.Set(name, value)
		}
	}
	h["Content-Security-Policy"] = inertPolicy
	answer := getBuffer()
	defer answer.release()
	answer.b = append(answer.b, m.Body...)
	return a.deliver(c, http.StatusOK, []string{contentType(m)}, answer.b, m.ReceiptHandle == "")
}

func unquoted(b []byte) string { return string(b[1 : len(b)-1]) }

var errGone = errors.New("the client has gone")

// deliver answers with messages. An error says that the client did not get them: it has gone, or the connection broke.
// For those that are given, acknowledged already, there is always room: to refuse them would lose them.
func (a *API) deliver(c echo.Context, status int, contentType []string, body []byte, given bool) error {
	if c.Request().Context().Err() != nil {
		return errGone
	}
	if given {
		defer a.Answers.Hold(int64(len(body)))()
		if err := put(c, status, contentType, body); err != nil {
			return err
		}
	} else if err := a.write(c, status, contentType, body); err != nil {
		return err
	}
	// Small answers stay in a buffer until the handler returns, and nobody would hear that they could not be sent. Echo's
	// own Flush does not tell either.
	err := http.NewResponseController(c.Response().Writer).Flush()
	if errors.Is(err, http.ErrNotSupported) {
		return nil
	}
	return err
}
