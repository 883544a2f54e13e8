package handlers

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"net/http"
	"strconv"

	"github.com/labstack/echo/v4"

	"github.com/sluicemq/sluice/internal/engine"
	"github.com/sluicemq/sluice/internal/errs"
	"github.com/sluicemq/sluice/queues"
)

// Batch is many messages in one request.
type Batch struct {
	// 1 to 1,000 messages.
	Messages []BatchMessage `json:"messages" validate:"min=1,max=1000"`
}

// BatchMessage is one message of a batch.
type BatchMessage struct {
	// Names the message in the answer, once in a batch. Default: its index.
	ID string `json:"id,omitempty" validate:"omitempty,min=1,max=80" example:"a"`
	// The body, as text or in base64.
	Body         string `json:"body" example:"{\"order\":7}"`
	BodyEncoding string `json:"body_encoding,omitempty" enums:"utf8,base64" default:"utf8"`
	// Default: JSON, text or bytes, whichever it is.
	ContentType string `json:"content_type,omitempty" example:"application/json"`
	// Seconds that it stays hidden, or text such as "5m". Default: as the queue says.
	Delay      *int                        `json:"delay,omitempty" validate:"min=0,max=1209600" example:"30"`
	Attributes map[string]MessageAttribute `json:"attributes,omitempty"`
	// Group of the message. A FIFO queue needs one; in a standard queue groups take turns.
	GroupID string `json:"group_id,omitempty" validate:"omitempty,min=1,max=128" example:"customer-42"`
	// For FIFO queues: a message with the same one is taken for the first, for the queue's deduplication window.
	DeduplicationID string `json:"deduplication_id,omitempty" validate:"omitempty,min=1,max=128"`
	// Each step gives the message a head start of the queue's priority_step. Not for FIFO queues, nor beside a group.
	Priority int `json:"priority,omitempty" validate:"min=0,max=9" default:"0" example:"5"`
	// Seconds that the message lives, up to the queue's retention, or text such as "5m".
	TTL *int `json:"ttl,omitempty" validate:"min=1,max=1209600" example:"300"`
	// The message's own retry policy, in place of the queue's.
	Retry *RetryInput `json:"retry,omitempty" extensions:"x-nullable"`
}

var batchNames = []string{"id", "body", "body_encoding", "content_type", "delay", "attributes", "group_id", "deduplication_id", "retry", "priority", "ttl"}

const maxRef = 80

// batch is a batch while it is read.
type batch struct {
	items []queues.Outgoing
	refs  []string
	errs  []*errs.Error // of items that cannot be sent; nil for the others
}

// add adds an item. ref is its name, or "" for its index.
func (b *batch) add(ref string, m queues.Outgoing, err error) {
	if ref == "" {
		ref = strconv.Itoa(len(b.items))
	}
	var e *errs.Error
	if err != nil {
		e = asError(err)
	}
	b.items, b.refs, b.errs = append(b.items, m), append(b.refs, ref), append(b.errs, e)
}

// sendMessages stores many messages.
//
//	@Summary		Send many messages
//	@Description	Up to 1,000 messages in at most 16 MiB. Each has a result of its own, so some may be stored when others are not: then the answer is 207. With `atomic=true`, for up to 100 messages and 1 MiB, all are stored or none.
//	@Description
//	@Description	As `application/x-ndjson` each line is the body of a message, or with `lines=envelope` an object like those of the JSON form. Empty lines count for nothing.
//	@Description
//	@Description	With an `Idempotency-Key` each message is stored once within five minutes, when the same batch is sent again.
//	@ID				sendMessages
//	@Tags			messages
//	@Accept			json
//	@Param			queue			path		string	true	"Name of the queue"
//	@Param			batch			body		Batch	true	"The messages"
//	@Param			atomic			query		bool	false	"All or none"	default(false)
//	@Param			lines			query		string	false	"What a line of NDJSON is"	Enums(body, envelope)	default(body)
//	@Param			Idempotency-Key	header		string	false	"The same key with the same batch stores it once within five minutes"	maxlength(255)
//	@Success		201				{object}	Results	"All stored"
//	@Header			201				{string}	Idempotent-Replayed	"true when an earlier batch with this key stored them all"
//	@Success		207				{object}	Results	"Some were not stored"
//	@Failure		400				{object}	Problem	"The request is malformed"
//	@Failure		404				{object}	Problem	"No such queue"
//	@Failure		408				{object}	Problem	"The body did not arrive in time"
//	@Failure		409				{object}	Problem	"With atomic=true: sending is paused; or webhooks and topics have sent the messages on too often (`too_many_hops`)"
//	@Header			409				{integer}	Retry-After	"Seconds after which to try again"
//	@Failure		413				{object}	Problem	"The body is too large, or with atomic=true a message is"
//	@Failure		415				{object}	Problem	"The body is neither JSON nor NDJSON"
//	@Failure		422				{object}	Problem	"A value is not allowed"
//	@Failure		507				{object}	Problem	"With atomic=true: the storage is full"
//	@Router			/v1/queues/{queue}/messages/batch [post]
func (a *API) sendMessages(c echo.Context) error {
	buf := getBuffer()
	defer buf.release()
	list, atomic, err := readBatchRequest(c, buf)
	if err != nil {
		return err
	}
	return a.sendBatch(c, list, atomic)
}

// readBatchRequest reads a batch with its query and its key. The messages point into buf.
func readBatchRequest(c echo.Context, buf *buffer) (list *batch, atomic bool, err error) {
	q, err := readQuery(c, "atomic", "lines")
	if err != nil {
		return nil, false, err
	}
	if atomic, err = q.flag("atomic"); err != nil {
		return nil, false, err
	}
	lines, err := q.choice("lines", "body", "envelope")
	if err != nil {
		return nil, false, err
	}
	if list, err = readBatch(c, buf, lines == "envelope"); err != nil {
		return nil, false, err
	}
	if err := list.check(); err != nil {
		return nil, false, err
	}
	list.setKeys(c.Request().Header)
	n, err := hops(c)
	for i := range list.items {
		list.items[i].Hops = n
	}
	return list, atomic, err
}

// readBatch reads the body of a batch. The messages point into buf.
func readBatch(c echo.Context, buf *buffer, envelopes bool) (*batch, error) {
	body, err := readBody(c, buf, queues.MaxBatchBytes, requestTooLarge)
	if err != nil {
		return nil, err
	}
	media, err := mediaType(c.Request())
	if err != nil {
		return nil, err
	}
	switch media {
	case linesMedia:
		return readLines(body, envelopes), nil
	case "", jsonMedia, formMedia:
		return readEnvelope(body)
	}
	e := *asError(errMedia(c.Request().Header.Get("Content-Type")))
	e.Fix = "Send JSON as application/json, or one message a line as application/x-ndjson."
	return nil, &e
}

// readEnvelope reads a Batch.
func readEnvelope(body []byte) (*batch, error) {
	b := &batch{}
	has := false
	err := readJSON(body, func(r *reader) {
		r.object([]string{"messages"}, func(key []byte) {
			if string(key) != "messages" {
				return
			}
			has = true
			r.array(queues.MaxBatch, func(int) { b.read(r) })
		})
		if !has && r.err == nil {
			r.fault("required", "must have the member messages")
		}
	})
	return b, err
}

// read reads one BatchMessage. What is not allowed in it is the item's error and nobody else's.
func (b *batch) read(r *reader) {
	others := len(r.faults)
	m, ref := r.batchMessage()
	if r.err != nil {
		return
	}
	var err error
	if len(r.faults) > others {
		err = invalid(append([]errs.Field(nil), r.faults[others:]...))
		r.faults = r.faults[:others]
	}
	b.add(ref, m, err)
}

// batchMessage reads one BatchMessage.
func (r *reader) batchMessage() (m queues.Outgoing, ref string) {
	var encoding []byte
	hasBody, others := false, len(r.faults)
	r.object(batchNames, func(key []byte) {
		switch string(key) {
		case "id":
			s, ok := r.str()
			if ok && (len(s) == 0 || len(s) > maxRef) {
				r.fault("out_of_range", "must have 1 to %d bytes", maxRef)
			} else {
				ref = string(s)
			}
		case "body":
			m.Body, hasBody = r.str()
		case "body_encoding":
			s, ok := r.str()
			encoding = s
			if ok && string(s) != "utf8" && string(s) != "base64" {
				r.fault("not_allowed", "must be utf8 or base64")
			}
		case "content_type":
			s, ok := r.str()
			m.ContentType = string(s)
			if ok && (len(s) > maxContentType || !isPrintable(m.ContentType)) {
				r.fault("invalid", "must be printable ASCII with at most %d characters", maxContentType)
			}
		case "delay":
			if d, ok := r.duration(); ok {
				m.Delay = &d
			}
		case "attributes":
			m.Attributes = r.attributes()
		case "group_id":
			m.GroupID = r.token()
		case "deduplication_id":
			m.DeduplicationID = r.token()
		case "ttl":
			if d, ok := r.duration(); ok && d <= 0 {
				r.fault("out_of_range", "%s", wantTTL)
			} else if ok {
				m.TTL = d
			}
		case "priority":
			if n, ok := r.integer(0, queues.MaxPriority); ok {
				m.Priority = int(n)
			}
		case "retry":
			m.Retry = r.ownRetry()
		}
	})
	if r.err != nil {
		return m, ref
	}
	path := len(r.pointer)
	r.step([]byte("body"))
	if hasBody && string(encoding) == "base64" {
		raw, err := base64.StdEncoding.Strict().DecodeString(string(m.Body))
		if err != nil {
			r.fault("invalid", "must be base64, as body_encoding says")
		}
		m.Body = raw
	}
	if len(m.Body) == 0 && len(r.faults) == others {
		r.fault("required", "must be text of at least one byte")
	}
	r.pointer = r.pointer[:path]
	if m.ContentType == "" {
		m.ContentType = guessType(m.Body)
	}
	return m, ref
}

// token reads a group id or a deduplication id, of which the queue knows the rules. Null is none.
func (r *reader) token() string {
	if r.null() {
		return ""
	}
	s, ok := r.str()
	if ok && len(s) == 0 {
		r.fault("invalid", "must not be empty: leave it out for none")
	}
	return string(s)
}

// readLines reads NDJSON: each line a body, or an object like those of a Batch.
func readLines(body []byte, envelopes bool) *batch {
	b := &batch{}
	for len(body) > 0 && len(b.items) <= queues.MaxBatch {
		var line []byte
		line, body, _ = bytes.Cut(body, []byte{'\n'})
		line = bytes.TrimSuffix(line, []byte{'\r'})
		if len(bytes.TrimSpace(line)) == 0 {
			continue
		}
		if !envelopes {
			b.add("", queues.Outgoing{Body: line, ContentType: guessType(line)}, nil)
			continue
		}
		var m queues.Outgoing
		ref := ""
		err := readJSON(line, func(r *reader) {
			r.step([]byte(strconv.Itoa(len(b.items))))
			m, ref = r.batchMessage()
		})
		b.add(ref, m, err)
	}
	return b
}

// check refuses a batch that is not one.
func (b *batch) check() error {
	switch n := len(b.items); {
	case n == 0:
		return invalid([]errs.Field{{Pointer: "/messages", Code: "required", Message: "must have at least one message"}})
	case n > queues.MaxBatch:
		return invalid([]errs.Field{{Pointer: "/messages", Code: "too_many", Message: "must have at most " + strconv.Itoa(queues.MaxBatch) + " items"}})
	}
	seen := make(map[string]struct{}, len(b.refs))
	for i, ref := range b.refs {
		if _, twice := seen[ref]; twice {
			return invalid([]errs.Field{{Pointer: "/messages/" + strconv.Itoa(i) + "/id", Code: "duplicate",
				Message: "must name one message of the batch only; another one has this id, or stands at this index"}})
		}
		seen[ref] = struct{}{}
	}
	return nil
}

// setKeys gives each message a key of its own, made from that of the request and its place.
func (b *batch) setKeys(h http.Header) {
	keys := h["Idempotency-Key"]
	if len(keys) == 0 {
		return
	}
	sum := sha256.Sum256([]byte(keys[0]))
	base := "batch\x00" + base64.RawStdEncoding.EncodeToString(sum[:]) + "\x00" // no header has a NUL, so no single send has this key
	for i := range b.items {
		b.items[i].IdempotencyKey = base + strconv.Itoa(i)
	}
}

// good returns the items that can be sent. With all, an item that cannot is the error of the batch.
func (b *batch) good(all bool) ([]queues.Outgoing, error) {
	good := make([]queues.Outgoing, 0, len(b.items))
	for i := range b.items {
		switch {
		case b.errs[i] == nil:
			good = append(good, b.items[i])
		case all:
			return nil, b.errs[i]
		}
	}
	return good, nil
}

// sendBatch stores what can be stored of a batch and answers with what became of each item.
func (a *API) sendBatch(c echo.Context, b *batch, atomic bool) error {
	good, err := b.good(atomic)
	if err != nil {
		return err
	}
	ctx, t, name := scope(c)
	sent, err := a.Queues.SendBatch(ctx, t, name, good, atomic)
	if err != nil {
		return a.guess(c, err)
	}
	return a.answerSent(c, b, func(k int) queues.SendResult { return sent[k] })
}

// answerSent answers with what became of each item of a batch. sent returns that of the good one with index k.
func (a *API) answerSent(c echo.Context, b *batch, sent func(k int) queues.SendResult) error {
	answer := getBuffer()
	defer answer.release()
	r := results{b: append(answer.b, `{"results":[`...)}
	replayed, k := true, 0
	for i, ref := range b.refs {
		if e := b.errs[i]; e != nil {
			r.fail(ref, e, problem(c, e))
			continue
		}
		one := sent(k)
		k++
		if one.Err != nil {
			a.failItem(c, &r, ref, i, one.ID, one.Err)
			continue
		}
		replayed = replayed && one.Replayed
		r.begin(ref, http.StatusCreated)
		r.b = appendMessageID(append(r.b, `,"id":`...), one.ID)
		if one.SequenceNumber != "" {
			r.b = appendString(append(r.b, `,"sequence_number":`...), one.SequenceNumber)
		}
		r.b = append(r.b, '}')
		if a.TestHeaders {
			setNow(c, one.Now)
		}
	}
	answer.b = append(r.b, "]}"...)
	if replayed && !r.failed {
		c.Response().Header().Set("Idempotent-Replayed", "true")
	}
	return a.answerResults(c, http.StatusCreated, &r, answer.b)
}

// failItem writes the result of an item that was not stored.
func (a *API) failItem(c echo.Context, r *results, ref string, i int, id engine.ID, cause error) {
	err := relocate(cause, func(f *errs.Field) { f.Pointer = "/messages/" + strconv.Itoa(i) + f.Pointer })
	e := asError(err)
	p := problem(c, e)
	if m, ok := errors.AsType[withMessageID](unknownOutcome(cause, id)); ok {
		p.MessageID = m.id
	}
	if !r.failed { // one line in the log is enough
		a.note(c, e, p.Status)
	}
	r.fail(ref, e, p)
}
