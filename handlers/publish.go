package handlers

import (
	"crypto/md5" // part of the SNS protocol
	"encoding/hex"
	"net/http"

	"github.com/labstack/echo/v4"

	"github.com/sluicemq/sluice/queues"
	"github.com/sluicemq/sluice/topics"
)

// PublishedMessage is the answer to a publish.
type PublishedMessage struct {
	ID string `json:"id" example:"msg_0kq1zv3m5c8g02r4b7fg"`
	// Bytes of the body.
	Size      int    `json:"size" example:"11"`
	MD5OfBody string `json:"md5_of_body" example:"5d41402abc4b2a76b9719d911017c592"`
	// The message's place in the topic's log: 20 digits, growing with each message.
	SequenceNumber string  `json:"sequence_number" example:"00000151018143744000"`
	PublishedAt    Instant `json:"published_at" swaggertype:"string" format:"date-time"`
}

// publishMessage appends the body of the request to a topic's log.
//
//	@Summary		Publish a message
//	@Description	The body is the message, as in a send to a queue. It is answered once the log has it; from there it is brought to each subscription whose filter policy lets it through, once.
//	@Description
//	@Description	Headers `Message-Attr-NAME: value` become attributes of type String; their names are lower-cased, because HTTP does not keep case. A message has at most 256 KiB with its attributes.
//	@Description
//	@Description	A topic with a schema refuses what is not as it says with 422 `schema_mismatch`, whose errors point into the body, and adds the attribute `Sluice-Schema-Version`.
//	@Description
//	@Description	While a webhook of the topic is full whose `overflow` is `reject_publish`, the answer is 429 `subscription_full`, which names the subscription.
//	@ID				publishMessage
//	@Tags			topics
//	@Param			topic				path		string		true	"Name of the topic"
//	@Param			message				body		string		true	"The message"
//	@Param			Message-Attributes	header		string		false	"Attributes as JSON, with types and in exact case: {\"OrderId\":{\"type\":\"Number\",\"value\":\"7\"}}"
//	@Param			Message-Group-Id	header		string		false	"Group of the message: 1 to 128 ASCII letters, digits and punctuation marks. A FIFO topic needs one"	maxlength(128)
//	@Param			Message-Deduplication-Id	header	string	false	"For FIFO topics: a message with the same one is taken for the first, for five minutes"	maxlength(128)
//	@Param			Traceparent			header		string		false	"W3C trace context, passed on"
//	@Param			Idempotency-Key		header		string		false	"The same key with the same message publishes it once within five minutes"	maxlength(255)
//	@Success		201					{object}	PublishedMessage	"The log has it"
//	@Header			201					{string}	Idempotent-Replayed	"true when an earlier publish with this key or deduplication id stored it"
//	@Failure		400					{object}	Problem		"The request is malformed"
//	@Failure		404					{object}	Problem		"No such topic"
//	@Failure		408					{object}	Problem		"The body did not arrive in time"
//	@Failure		409					{object}	Problem		"Webhooks and topics have sent the message on too often (`too_many_hops`)"
//	@Failure		413					{object}	Problem		"The message is too large"
//	@Failure		415					{object}	Problem		"The request has a Content-Encoding"
//	@Failure		422					{object}	Problem		"A value is not allowed"
//	@Failure		507					{object}	Problem		"The log or the storage is full"
//	@Router			/v1/topics/{topic}/messages [post]
func (a *API) publishMessage(c echo.Context) error {
	if _, err := readQuery(c); err != nil {
		return err
	}
	var m queues.Outgoing
	if err := readMessageHeaders(c.Request().Header, &m); err != nil {
		return err
	}
	var err error
	if m.Hops, err = hops(c); err != nil {
		return err
	}
	buf := getBuffer()
	defer buf.release()
	if m.Body, err = readBody(c, buf, topics.MaxMessageSize, messageTooLarge); err != nil {
		return err
	}
	if len(m.Body) == 0 {
		return errEmptyMessage
	}
	if m.ContentType, err = messageType(c.Request(), m.Body); err != nil {
		return err
	}
	ctx, t, _ := scope(c)
	sent, err := a.Topics.Publish(ctx, t, c.Param("topic"), m)
	if err != nil {
		return a.guessTopic(c, placeInHeaders(unknownOutcome(err, sent.ID), false))
	}
	if a.TestHeaders {
		setNow(c, sent.Now)
	}
	if sent.Replayed {
		c.Response().Header().Set("Idempotent-Replayed", "true")
	}
	sum := md5.Sum(m.Body)
	return a.json(c, http.StatusCreated, PublishedMessage{ID: messageID(sent.ID), Size: len(m.Body), MD5OfBody: hex.EncodeToString(sum[:]),
		SequenceNumber: sequenceText(sent.Sequence), PublishedAt: Instant{sent.At}})
}

// publishMessages appends many messages to a topic's log.
//
//	@Summary		Publish many messages
//	@Description	Up to 1,000 messages in at most 16 MiB, as in a batch send to a queue; `delay`, `ttl`, `priority` and `retry` are not for topics. Each has a result of its own, so some may be stored when others are not: then the answer is 207. With `atomic=true`, for up to 100 messages and 512 KiB, all are stored or none.
//	@Description
//	@Description	As `application/x-ndjson` each line is the body of a message, or with `lines=envelope` an object like those of the JSON form. Empty lines count for nothing.
//	@ID				publishMessages
//	@Tags			topics
//	@Accept			json
//	@Param			topic			path		string	true	"Name of the topic"
//	@Param			batch			body		Batch	true	"The messages"
//	@Param			atomic			query		bool	false	"All or none"	default(false)
//	@Param			lines			query		string	false	"What a line of NDJSON is"	Enums(body, envelope)	default(body)
//	@Param			Idempotency-Key	header		string	false	"The same key with the same batch publishes it once within five minutes"	maxlength(255)
//	@Success		201				{object}	Results	"All stored"
//	@Header			201				{string}	Idempotent-Replayed	"true when an earlier batch with this key stored them all"
//	@Success		207				{object}	Results	"Some were not stored"
//	@Failure		400				{object}	Problem	"The request is malformed"
//	@Failure		404				{object}	Problem	"No such topic"
//	@Failure		408				{object}	Problem	"The body did not arrive in time"
//	@Failure		409				{object}	Problem	"Webhooks and topics have sent the messages on too often (`too_many_hops`)"
//	@Failure		413				{object}	Problem	"The body is too large, or with atomic=true a message is"
//	@Failure		415				{object}	Problem	"The body is neither JSON nor NDJSON"
//	@Failure		422				{object}	Problem	"A value is not allowed"
//	@Failure		507				{object}	Problem	"With atomic=true: the log or the storage is full"
//	@Router			/v1/topics/{topic}/messages/batch [post]
func (a *API) publishMessages(c echo.Context) error {
	buf := getBuffer()
	defer buf.release()
	list, atomic, err := readBatchRequest(c, buf)
	if err != nil {
		return err
	}
	good, err := list.good(atomic)
	if err != nil {
		return err
	}
	ctx, t, _ := scope(c)
	sent, err := a.Topics.PublishBatch(ctx, t, c.Param("topic"), good, atomic)
	if err != nil {
		return a.guessTopic(c, err)
	}
	return a.answerSent(c, list, func(k int) queues.SendResult {
		one := &sent[k]
		return queues.SendResult{Err: one.Err, Sent: queues.Sent{
			ID: one.ID, SequenceNumber: sequenceText(one.Sequence), Replayed: one.Replayed, Now: one.Now,
		}}
	})
}
