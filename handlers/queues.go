package handlers

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/sluicemq/sluice/internal/errs"
	"github.com/sluicemq/sluice/internal/suggest"
	"github.com/sluicemq/sluice/internal/tasks"
	"github.com/sluicemq/sluice/monitor"
	"github.com/sluicemq/sluice/queues"
	"github.com/sluicemq/sluice/tenants"
)

// Queue is a queue with its settings and what is in it.
type Queue struct {
	Name string `json:"name" example:"orders"`
	// The name says it: that of a FIFO queue ends in .fifo.
	Type string `json:"type" enums:"standard,fifo"`
	// Seconds that a received message stays hidden.
	VisibilityTimeout int `json:"visibility_timeout" example:"30"`
	// Seconds that a message is kept.
	MessageRetention int `json:"message_retention" example:"345600"`
	// Seconds that a new message stays hidden.
	Delay int `json:"delay" example:"0"`
	// Seconds that a receive waits which does not say how long.
	ReceiveWait int `json:"receive_wait" example:"0"`
	// Bytes that a body may have with its attributes.
	MaxMessageSize int `json:"max_message_size" example:"1048576"`
	// Messages that the queue may hold; null for any number.
	MaxMessages *int64 `json:"max_messages" extensions:"x-nullable" example:"100000"`
	// Bytes that they may take; null for any number.
	MaxBytes *int64 `json:"max_bytes" extensions:"x-nullable" example:"1073741824"`
	// What becomes of a send for which there is no room.
	WhenFull string            `json:"when_full" enums:"reject,drop_oldest,dead_letter"`
	Labels   map[string]string `json:"labels"`
	// Null for a standard queue.
	FIFO *FIFO `json:"fifo" extensions:"x-nullable"`
	// When messages leave for a dead-letter queue; null: never.
	Redrive *Redrive `json:"redrive" extensions:"x-nullable"`
	// Which queues may have this one as their dead-letter queue; null: all.
	RedriveAllow *RedriveAllow `json:"redrive_allow" extensions:"x-nullable"`
	// The queue to which messages go on that come to this one, or topic: and the name of a topic; null: they stay.
	ForwardTo *string `json:"forward_to" extensions:"x-nullable" example:"all-orders"`
	// Seconds of head start that each step of a priority gives.
	PriorityStep int `json:"priority_step" example:"60"`
	// How long messages wait that failed.
	Retry RetryPolicy `json:"retry"`
	// Seconds that what became of a message is kept after the last that did; 0: the queue keeps no timelines.
	TraceRetention int `json:"trace_retention" example:"0"`
	// Over how many hash slots the queue is spread.
	Shards int `json:"shards" example:"1"`
	// What is paused; null for nothing. It is no setting: pause and resume change it.
	Paused *Paused `json:"paused" extensions:"x-nullable"`
	Counts Counts  `json:"counts"`
	// What all messages take, with their attributes and what is noted of them.
	Bytes int64 `json:"bytes" example:"1290"`
	// Seconds since the oldest message was sent that a receive could return; 0 when there is none.
	OldestAge float64     `json:"oldest_age" example:"12.5"`
	Totals    QueueTotals `json:"totals"`
	// Messages a second. 0 also for a queue that was not in use in the last ten seconds.
	Rates     Rates   `json:"rates"`
	ARN       string  `json:"arn" example:"arn:aws:sqs:us-east-1:000000000000:orders"`
	CreatedAt Instant `json:"created_at" swaggertype:"string" format:"date-time"`
	UpdatedAt Instant `json:"updated_at" swaggertype:"string" format:"date-time"`
	// Changes with the settings and with pauses; the header ETag has it in quotes.
	ETag string `json:"etag" example:"5f3a90c1d2e47b68"`
}

// FIFO is what only FIFO queues have.
type FIFO struct {
	// Whether a message without a deduplication id is recognised by its body.
	ContentBasedDeduplication bool `json:"content_based_deduplication"`
	// Where two messages with one deduplication id are the same: in the whole queue, or in their group.
	Scope string `json:"scope" enums:"queue,group"`
	// Seconds that a deduplication id is remembered.
	DeduplicationWindow int `json:"deduplication_window" example:"300"`
}

// FIFOInput is what a client says of what only FIFO queues have.
type FIFOInput struct {
	// A message without a deduplication id is recognised by its body.
	ContentBasedDeduplication bool `json:"content_based_deduplication,omitempty" default:"false"`
	// Where two messages with one deduplication id are the same: in the whole queue, or in their group.
	Scope string `json:"scope,omitempty" enums:"queue,group" default:"queue"`
	// Seconds that a deduplication id is remembered, or text such as "5m".
	DeduplicationWindow *int `json:"deduplication_window,omitempty" validate:"min=20,max=604800" default:"300" extensions:"x-nullable"`
}

// Redrive says when messages leave for a dead-letter queue.
type Redrive struct {
	// Another queue of the same type. It is made when it is not there.
	DeadLetterQueue string `json:"dead_letter_queue" example:"orders-dlq"`
	// How often a message is received; the receive after that takes it to the dead-letter queue.
	MaxReceives int `json:"max_receives" example:"5"`
}

// RedriveInput is what a client says of when messages leave for a dead-letter queue. In a PATCH what it leaves out stays.
type RedriveInput struct {
	// Another queue of the same type. It is made when it is not there.
	DeadLetterQueue string `json:"dead_letter_queue,omitempty" example:"orders-dlq"`
	// How often a message is received; the receive after that takes it to the dead-letter queue.
	MaxReceives int `json:"max_receives,omitempty" validate:"min=1,max=1000" example:"5"`
}

// RedriveAllow says which queues may name a queue as their dead-letter queue.
type RedriveAllow struct {
	Permission string `json:"permission" enums:"all,none,sources"`
	// With the permission sources: the queues that may, at most 10.
	Sources []string `json:"sources,omitempty" validate:"max=10"`
}

// Counts are the messages in a queue, by state.
type Counts struct {
	Available int64 `json:"available" example:"3"`
	InFlight  int64 `json:"in_flight" example:"1"`
	Delayed   int64 `json:"delayed" example:"0"`
	// On their way to another queue, and in no other count.
	Moving int64 `json:"moving" example:"0"`
}

// QueueTotals are what happened to messages since the queue was made.
type QueueTotals struct {
	Sent     int64 `json:"sent"`
	Received int64 `json:"received"`
	// Acknowledged, deleted or purged.
	Deleted int64 `json:"deleted"`
	// Ended by retention.
	Expired int64 `json:"expired"`
	// Left for the dead-letter queue.
	DeadLettered int64 `json:"dead_lettered"`
	// Moved or forwarded to another queue.
	Moved int64 `json:"moved"`
	// Deleted to make room, as `when_full` says.
	Dropped int64 `json:"dropped"`
}

// QueueInput is what a client says of a queue. What is missing or null has its default.
type QueueInput struct {
	// The name says it: that of a FIFO queue ends in .fifo, and no other's does.
	Type string `json:"type,omitempty" enums:"standard,fifo"`
	// Seconds that a received message stays hidden, or text such as "5m".
	VisibilityTimeout *int `json:"visibility_timeout,omitempty" validate:"min=0,max=43200" default:"30" extensions:"x-nullable"`
	// Seconds that a message is kept, or text such as "4d".
	MessageRetention *int `json:"message_retention,omitempty" validate:"min=60,max=1209600" default:"345600" extensions:"x-nullable"`
	// Seconds that a new message stays hidden, up to the retention, or text such as "5m".
	Delay *int `json:"delay,omitempty" validate:"min=0,max=1209600" default:"0" extensions:"x-nullable"`
	// Seconds that a receive waits which does not say how long, or text such as "20s".
	ReceiveWait *int `json:"receive_wait,omitempty" validate:"min=0,max=20" default:"0" extensions:"x-nullable"`
	// Bytes that a body may have with its attributes.
	MaxMessageSize *int `json:"max_message_size,omitempty" validate:"min=1024,max=1048576" default:"1048576" extensions:"x-nullable"`
	// Messages that the queue may hold; null for any number.
	MaxMessages *int64 `json:"max_messages,omitempty" validate:"min=1,max=1000000000" extensions:"x-nullable" example:"100000"`
	// Bytes that they may take, with their attributes and what is noted of them; at least 1,024 more than `max_message_size`. Null for any number.
	MaxBytes *int64 `json:"max_bytes,omitempty" validate:"min=2048,max=1099511627776" extensions:"x-nullable" example:"1073741824"`
	// What becomes of a send for which there is no room: it is refused, or the oldest available messages are deleted, or go to the dead-letter queue that `redrive` names.
	WhenFull *string `json:"when_full,omitempty" enums:"reject,drop_oldest,dead_letter" default:"reject" extensions:"x-nullable"`
	// At most 50. In a PATCH they are merged, and null removes one.
	Labels map[string]string `json:"labels,omitempty" extensions:"x-nullable"`
	// Only of a FIFO queue. What it leaves out has its default, and in a PATCH stays.
	FIFO *FIFOInput `json:"fifo,omitempty" extensions:"x-nullable"`
	// Null: messages are received as often as it takes.
	Redrive *RedriveInput `json:"redrive,omitempty" extensions:"x-nullable"`
	// Null: all may.
	RedriveAllow *RedriveAllow `json:"redrive_allow,omitempty" extensions:"x-nullable"`
	// Another queue of the same type, which is there, to which messages go on that come to this one from now on; or topic: and the name
	// of such a topic. Null: they stay.
	ForwardTo *string `json:"forward_to,omitempty" extensions:"x-nullable" example:"all-orders"`
	// Seconds of head start that each step of a priority gives, or text such as "5m".
	PriorityStep *int `json:"priority_step,omitempty" validate:"min=1,max=86400" default:"60" extensions:"x-nullable"`
	// How long messages wait that failed: that were returned without a delay, or whose lease ended. What it leaves out has its
	// default, and in a PATCH stays.
	Retry *RetryInput `json:"retry,omitempty" extensions:"x-nullable"`
	// Seconds that what became of a message is kept after the last that did, and as long as the message is there, or text such as "7d". 0: nothing is kept, and what was is dropped.
	TraceRetention *int `json:"trace_retention,omitempty" validate:"min=0,max=1209600" default:"0" extensions:"x-nullable"`
	// Over how many hash slots the queue is spread. It is settled when the queue is made: afterwards leave it out, or say the
	// same. A FIFO queue has one.
	Shards *int `json:"shards,omitempty" validate:"min=1,max=64" default:"1" extensions:"x-nullable"`
}

// settingNames are the members of QueueInput.
var settingNames = []string{
	"type", "visibility_timeout", "message_retention", "delay", "receive_wait", "max_message_size", "max_messages", "max_bytes", "when_full", "labels", "fifo", "redrive", "redrive_allow", "forward_to", "retry", "priority_step", "trace_retention", "shards",
}

// readOnlyNames are the members of Queue that nobody sets.
var readOnlyNames = map[string]bool{
	"name": true, "counts": true, "oldest_age": true, "totals": true, "arn": true, "created_at": true, "updated_at": true, "etag": true, "paused": true, "bytes": true, "rates": true,
}

// settingsChange is what a body says of a queue's settings.
type settingsChange struct {
	kind       string // the type that it names, or ""
	deadLetter string // the dead-letter queue that it names, or ""
	forwardTo  string // the queue or topic that it names, or ""
	changes    []func(*queues.Settings)
}

// check refuses a type that is not that of the queue's name, and places for messages that the caller does not reach.
func (s *settingsChange) check(c echo.Context, name string) error {
	isFIFO := queues.IsFIFOName(name)
	if err := forwardsWithin(c, s.forwardTo); err != nil {
		return err
	}
	switch {
	case s.deadLetter != "" && !grants(c).Reaches(s.deadLetter):
		return notReached(s.deadLetter, errs.Field{Pointer: "/redrive/dead_letter_queue"})
	case s.kind == "fifo" && !isFIFO && queues.ValidName(name) == nil:
		e := *asError(invalid([]errs.Field{{Pointer: "/type", Code: "not_allowed", Message: "is fifo, but only queues whose name ends in .fifo are"}}))
		e.Fix = fmt.Sprintf("Name the queue %q.", name+".fifo")
		return &e
	case s.kind == "standard" && isFIFO:
		return invalid([]errs.Field{{Pointer: "/type", Code: "not_allowed", Message: "is standard, but a queue whose name ends in .fifo is a FIFO queue"}})
	}
	return nil
}

// on returns the settings after the change.
func (s *settingsChange) on(set queues.Settings) queues.Settings {
	set.Labels = maps.Clone(set.Labels)
	for _, change := range s.changes {
		change(&set)
	}
	return set
}

// readSettings reads a QueueInput. With merge a label that is null goes.
func (r *reader) readSettings(merge bool) *settingsChange {
	s := &settingsChange{}
	usual := queues.DefaultSettings()
	add := func(change func(*queues.Settings)) { s.changes = append(s.changes, change) }
	span := func(otherwise time.Duration, set func(*queues.Settings, time.Duration)) {
		d, ok := otherwise, true
		if !r.null() {
			d, ok = r.duration()
		}
		if ok {
			add(func(q *queues.Settings) { set(q, d) })
		}
	}
	r.object(settingNames, func(key []byte) {
		switch string(key) {
		case "type":
			s.kind = r.queueType()
		case "visibility_timeout":
			span(usual.VisibilityTimeout, func(q *queues.Settings, d time.Duration) { q.VisibilityTimeout = d })
		case "message_retention":
			span(usual.Retention, func(q *queues.Settings, d time.Duration) { q.Retention = d })
		case "delay":
			span(usual.Delay, func(q *queues.Settings, d time.Duration) { q.Delay = d })
		case "receive_wait":
			span(usual.ReceiveWait, func(q *queues.Settings, d time.Duration) { q.ReceiveWait = d })
		case "max_message_size":
			n, ok := int64(usual.MaxMessageSize), true
			if !r.null() {
				n, ok = r.integer(queues.MinMessageSize, queues.MaxMessageSize)
			}
			if ok {
				add(func(q *queues.Settings) { q.MaxMessageSize = int(n) })
			}
		case "max_messages":
			r.limit(1, queues.MaxCapMessages, add, func(q *queues.Settings, n int64) { q.MaxMessages = n })
		case "max_bytes":
			r.limit(2*queues.MinMessageSize, queues.MaxCapBytes, add, func(q *queues.Settings, n int64) { q.MaxBytes = n })
		case "when_full":
			r.whenFull(add)
		case "labels":
			r.labels(merge, add)
		case "fifo":
			r.fifo(add)
		case "redrive":
			r.redrive(add, &s.deadLetter)
		case "redrive_allow":
			r.redriveAllow(add)
		case "forward_to":
			s.forwardTo = r.forwardTo(add)
		case "priority_step":
			span(usual.PriorityStep, func(q *queues.Settings, d time.Duration) { q.PriorityStep = d })
		case "trace_retention":
			span(usual.TraceRetention, func(q *queues.Settings, d time.Duration) { q.TraceRetention = d })
		case "shards":
			if !r.null() { // null says nothing of it
				if n, ok := r.integer(1, queues.MaxShards); ok {
					add(func(q *queues.Settings) { q.Shards = int(n) })
				}
			}
		case "retry":
			r.retry(func(change func(*queues.Retry)) { add(func(q *queues.Settings) { change(&q.Retry) }) })
		default:
			if readOnlyNames[string(key)] {
				r.fault(unknownField, "is read-only: leave it out")
				r.skip()
			}
		}
	})
	return s
}

// limit reads a whole number, of which null means that there is no limit.
func (r *reader) limit(low, high int64, add func(func(*queues.Settings)), set func(*queues.Settings, int64)) {
	n, ok := int64(0), true
	if !r.null() {
		n, ok = r.integer(low, high)
	}
	if ok {
		add(func(q *queues.Settings) { set(q, n) })
	}
}

// whenFull reads what becomes of a send for which there is no room. Null is the default.
func (r *reader) whenFull(add func(func(*queues.Settings))) {
	when, ok := []byte(queues.Reject), true
	if !r.null() {
		when, ok = r.str()
	}
	w := queues.WhenFull(when)
	if ok && w != queues.Reject && w != queues.DropOldest && w != queues.DeadLetterOldest {
		r.fault("not_allowed", "must be reject, drop_oldest or dead_letter")
	}
	add(func(q *queues.Settings) { q.WhenFull = w })
}

func (r *reader) queueType() string {
	if r.null() {
		return ""
	}
	t, ok := r.str()
	if ok && string(t) != "standard" && string(t) != "fifo" {
		r.fault("not_allowed", "must be standard or fifo")
	}
	return string(t)
}

// fifo reads a FIFOInput. Null brings back the defaults.
func (r *reader) fifo(add func(func(*queues.Settings))) {
	if r.null() {
		add(func(q *queues.Settings) { q.FIFO = queues.FIFO{} })
		return
	}
	r.object([]string{"content_based_deduplication", "scope", "deduplication_window"}, func(key []byte) {
		none := r.null()
		switch string(key) {
		case "content_based_deduplication":
			on, ok := false, true
			if !none {
				on, ok = r.boolean()
			}
			if ok {
				add(func(q *queues.Settings) { q.FIFO.ContentBased = on })
			}
		case "scope":
			s, ok := []byte(queues.ScopeQueue), true
			if !none {
				s, ok = r.str()
			}
			if scope := queues.Scope(s); ok {
				add(func(q *queues.Settings) { q.FIFO.Scope = scope })
			}
		case "deduplication_window":
			d, ok := time.Duration(0), true
			if !none {
				d, ok = r.duration()
				if ok && d == 0 {
					r.fault("out_of_range", "must be at least %d seconds", int(queues.MinWindow.Seconds()))
					ok = false
				}
			}
			if ok {
				add(func(q *queues.Settings) { q.FIFO.Window = d })
			}
		}
	})
}

// redrive reads a RedriveInput. deadLetter is set to the queue that it names.
func (r *reader) redrive(add func(func(*queues.Settings)), deadLetter *string) {
	if r.null() {
		add(func(q *queues.Settings) { q.Redrive = queues.Redrive{} })
		return
	}
	r.object([]string{"dead_letter_queue", "max_receives"}, func(key []byte) {
		switch string(key) {
		case "dead_letter_queue":
			if s, ok := r.str(); ok {
				name := string(s)
				*deadLetter = name
				add(func(q *queues.Settings) { q.Redrive.DeadLetterQueue = name })
			}
		case "max_receives":
			if n, ok := r.integer(1, queues.MaxMaxReceives); ok {
				add(func(q *queues.Settings) { q.Redrive.MaxReceives = int(n) })
			}
		}
	})
}

// redriveAllow reads a RedriveAllow.
func (r *reader) redriveAllow(add func(func(*queues.Settings))) {
	var allow queues.RedriveAllow
	if !r.null() {
		permission := ""
		r.object([]string{"permission", "sources"}, func(key []byte) {
			switch string(key) {
			case "permission":
				s, _ := r.str()
				permission = string(s)
			case "sources":
				r.array(queues.MaxRedriveSources, func(int) {
					if s, ok := r.str(); ok {
						allow.Sources = append(allow.Sources, string(s))
					}
				})
			}
		})
		switch {
		case permission != "all" && permission != "none" && permission != "sources":
			r.fault("not_allowed", "must have a permission that is all, none or sources")
		case (permission == "sources") != (len(allow.Sources) > 0):
			r.fault("contradiction", "must name sources with the permission sources, and only then")
		}
		allow.None = permission == "none"
	}
	add(func(q *queues.Settings) { q.RedriveAllow = allow })
}

// forwardTo reads the name of a queue or topic, or null for none.
func (r *reader) forwardTo(add func(func(*queues.Settings))) (name string) {
	if !r.null() {
		s, ok := r.str()
		if !ok {
			return ""
		}
		if name = string(s); name == "" {
			r.fault("not_allowed", "must be the name of a queue, topic: and that of a topic, or null")
		}
	}
	add(func(q *queues.Settings) { q.ForwardTo = name })
	return name
}

func (r *reader) labels(merge bool, add func(func(*queues.Settings))) {
	none := r.null()
	if none || !merge {
		add(func(q *queues.Settings) { q.Labels = nil })
	}
	if none {
		return
	}
	r.members(func(key []byte) {
		name := string(key)
		if merge && r.null() {
			add(func(q *queues.Settings) { delete(q.Labels, name) })
			return
		}
		value, ok := r.str()
		if !ok {
			return
		}
		text := string(value)
		add(func(q *queues.Settings) {
			if q.Labels == nil {
				q.Labels = map[string]string{}
			}
			q.Labels[name] = text
		})
	})
}

// putQueue makes a queue or replaces its settings.
//
//	@Summary		Create or replace a queue
//	@Description	What the body leaves out has its default, also when the queue is there already; only its `shards` stay. To change single settings use PATCH.
//	@ID				putQueue
//	@Tags			queues
//	@Accept			json
//	@Param			queue			path		string		true	"Name of the queue: 1 to 80 letters, digits, - and _; that of a FIFO queue ends in .fifo"
//	@Param			If-Match		header		string		false	"Only when the queue has this ETag"
//	@Param			If-None-Match	header		string		false	"* to create only"
//	@Param			settings		body		QueueInput	false	"The settings"
//	@Success		200				{object}	Queue		"Replaced, or as it was"
//	@Header			200				{string}	ETag		"Version of the settings"
//	@Success		201				{object}	Queue		"Created"
//	@Header			201				{string}	ETag		"Version of the settings"
//	@Header			201				{string}	Location	"The new queue"
//	@Failure		400				{object}	Problem		"The request is malformed"
//	@Failure		404				{object}	Problem		"No such tenant"
//	@Failure		408				{object}	Problem		"The body did not arrive in time"
//	@Failure		409				{object}	Problem		"The queue has another number of shards (`shards_fixed`)"
//	@Failure		412				{object}	Problem		"If-Match or If-None-Match did not hold"
//	@Failure		413				{object}	Problem		"The body is too large"
//	@Failure		415				{object}	Problem		"The body is not JSON"
//	@Failure		422				{object}	Problem		"A value is not allowed"
//	@Failure		507				{object}	Problem		"The storage is full"
//	@Router			/v1/queues/{queue} [put]
func (a *API) putQueue(c echo.Context) error {
	var change *settingsChange
	if err := a.readControl(c, func(r *reader) { change = r.readSettings(false) }); err != nil {
		return err
	}
	cond, err := a.queueCondition(c)
	if err != nil {
		return err
	}
	ctx, t, name := scope(c)
	if err := change.check(c, name); err != nil {
		return err
	}
	usual := queues.DefaultSettings()
	usual.Shards = 0 // as many as it has
	q, created, err := a.Queues.Put(ctx, t, name, change.on(usual), cond)
	if err != nil {
		return err
	}
	status := http.StatusOK
	if created {
		status = http.StatusCreated
		c.Response().Header().Set("Location", a.link("/v1/queues/"+q.Name))
	}
	return a.answerQueue(c, status, q)
}

// getQueue shows a queue.
//
//	@Summary		Get a queue
//	@Description	Counts are exact. With `If-None-Match` the answer is 304 while the settings are the same, whatever the counts.
//	@ID				getQueue
//	@Tags			queues
//	@Param			queue			path		string	true	"Name of the queue"
//	@Param			If-None-Match	header		string	false	"Only when the queue has another ETag"
//	@Success		200				{object}	Queue	"The queue"
//	@Header			200				{string}	ETag	"Version of the settings"
//	@Success		304				"The settings are the same"
//	@Failure		400				{object}	Problem	"The request is malformed"
//	@Failure		404				{object}	Problem	"No such queue"
//	@Failure		415				{object}	Problem	"The request has a Content-Encoding"
//	@Failure		422				{object}	Problem	"A value is not allowed"
//	@Router			/v1/queues/{queue} [get]
func (a *API) getQueue(c echo.Context) error {
	cond, err := readConditional(c)
	if err != nil {
		return err
	}
	ctx, t, name := scope(c)
	q, err := a.Queues.Get(ctx, t, name)
	if err != nil {
		return a.guess(c, err)
	}
	if cond.unchanged(q.ETag) {
		return notModified(c, q.ETag)
	}
	return a.answerQueue(c, http.StatusOK, q)
}

// updateQueue changes single settings of a queue.
//
//	@Summary		Change settings of a queue
//	@Description	A JSON Merge Patch (RFC 7396): what the body leaves out stays, null brings back the default.
//	@ID				updateQueue
//	@Tags			queues
//	@Accept			json
//	@Param			queue			path		string		true	"Name of the queue"
//	@Param			If-Match		header		string		false	"Only when the queue has this ETag"
//	@Param			If-None-Match	header		string		false	"Only when the queue has another ETag"
//	@Param			settings		body		QueueInput	true	"The settings to change"
//	@Success		200				{object}	Queue		"Changed, or as it was"
//	@Header			200				{string}	ETag		"Version of the settings"
//	@Failure		400				{object}	Problem		"The request is malformed"
//	@Failure		404				{object}	Problem		"No such queue"
//	@Failure		408				{object}	Problem		"The body did not arrive in time"
//	@Failure		409				{object}	Problem		"The queue has another number of shards (`shards_fixed`)"
//	@Failure		412				{object}	Problem		"If-Match or If-None-Match did not hold"
//	@Failure		413				{object}	Problem		"The body is too large"
//	@Failure		415				{object}	Problem		"The body is not JSON"
//	@Failure		422				{object}	Problem		"A value is not allowed"
//	@Failure		507				{object}	Problem		"The storage is full"
//	@Router			/v1/queues/{queue} [patch]
func (a *API) updateQueue(c echo.Context) error {
	var change *settingsChange
	if err := a.readControl(c, func(r *reader) { change = r.readSettings(true) }); err != nil {
		return err
	}
	cond, err := a.queueCondition(c)
	if err != nil {
		return err
	}
	ctx, t, name := scope(c)
	if err := change.check(c, name); err != nil {
		return err
	}
	q, err := a.Queues.Update(ctx, t, name, cond, func(have queues.Settings) (queues.Settings, error) { return change.on(have), nil })
	if err != nil {
		return a.guess(c, err)
	}
	return a.answerQueue(c, http.StatusOK, q)
}

// deleteQueue deletes a queue with all its messages.
//
//	@Summary		Delete a queue
//	@Description	With all its messages, also those that somebody holds.
//	@ID				deleteQueue
//	@Tags			queues
//	@Param			queue			path	string	true	"Name of the queue"
//	@Param			If-Match		header	string	false	"Only when the queue has this ETag"
//	@Param			If-None-Match	header	string	false	"Only when the queue has another ETag"
//	@Success		204				"Deleted"
//	@Failure		400				{object}	Problem	"The request is malformed"
//	@Failure		404				{object}	Problem	"No such queue"
//	@Failure		412				{object}	Problem	"If-Match or If-None-Match did not hold"
//	@Failure		415				{object}	Problem	"The request has a Content-Encoding"
//	@Failure		422				{object}	Problem	"A value is not allowed"
//	@Router			/v1/queues/{queue} [delete]
func (a *API) deleteQueue(c echo.Context) error {
	cond, err := a.queueCondition(c)
	if err != nil {
		return err
	}
	ctx, t, name := scope(c)
	if cond.Missing {
		if _, err := a.Queues.Get(ctx, t, name); err != nil {
			return a.guess(c, err)
		}
		return queues.ErrPrecondition
	}
	if err := a.Queues.Delete(ctx, t, name, cond); err != nil {
		return a.guess(c, err)
	}
	return c.NoContent(http.StatusNoContent)
}

// listQueues shows a part of a tenant's queues.
//
//	@Summary		List queues
//	@Description	With live counts. A key that is limited to some queues sees those only, and its parts may be short.
//	@Description
//	@Description	By name, or as `sort` says. What it sorts by is up to 20 seconds old, and a queue whose place changes between two parts may be in both or in none.
//	@ID				listQueues
//	@Tags			queues
//	@Param			prefix	query		string		false	"Only names that begin with this"	maxlength(80)
//	@Param			q		query		string		false	"Only names that contain this, in upper or lower case"
//	@Param			label	query		string		false	"Only queues that have this label: its key, or key=value. Parts may be short"	example(team=shop)
//	@Param			dead_letter_queue	query		string		false	"Only queues whose dead letters go to the queue of this name. Parts may be short"	maxlength(80)	example(orders-dlq)
//	@Param			sort	query		string		false	"By what they are sorted, with - before it for the largest first"	enums(name,-name,available,-available,in_flight,-in_flight,delayed,-delayed,oldest_age,-oldest_age,bytes,-bytes,sent_rate,-sent_rate,received_rate,-received_rate)
//	@Param			limit	query		int			false	"How many at most"	minimum(1)	maximum(500)	default(50)
//	@Param			cursor	query		string		false	"next_cursor of the part before"
//	@Success		200		{object}	Page[Queue]	"A part of the list"
//	@Header			200		{string}	Link		"The next part, with rel=next"
//	@Failure		400		{object}	Problem		"The request is malformed"
//	@Failure		404		{object}	Problem		"No such tenant"
//	@Failure		415		{object}	Problem		"The request has a Content-Encoding"
//	@Failure		422		{object}	Problem		"A value is not allowed"
//	@Router			/v1/queues [get]
func (a *API) listQueues(c echo.Context) error {
	q, err := readQuery(c, "prefix", "q", "label", "dead_letter_queue", "sort", "limit", "cursor")
	if err != nil {
		return err
	}
	limit, err := pageQuery(&q)
	if err != nil {
		return err
	}
	column, descending, err := readSort(&q, monitor.Columns)
	if err != nil {
		return err
	}
	filter := strings.Join([]string{q.text("prefix"), q.text("q"), q.text("label"), q.text("dead_letter_queue"), q.text("sort")}, "\x01")
	after, err := decodeCursor("queues", filter, &q)
	if err != nil {
		return err
	}
	ctx, t, _ := scope(c)
	number, err := a.account(ctx, t)
	if err != nil {
		return err
	}
	within, ok := narrower(q.text("prefix"), grants(c).Prefix())
	if !ok {
		return answerPage(a, c, []Queue{}, "")
	}
	part := strings.ToLower(q.text("q"))
	look := func(name string) bool {
		return strings.Contains(strings.ToLower(name), part) && grants(c).Reaches(name)
	}
	// There is no index of settings: these read all of them.
	bySettings := q.has("label") || q.has("dead_letter_queue")
	has := func(set queues.Settings) bool {
		return (!q.has("label") || hasLabel(set.Labels, q.text("label"))) &&
			(!q.has("dead_letter_queue") || set.Redrive.DeadLetterQueue != "" && set.Redrive.DeadLetterQueue == q.text("dead_letter_queue"))
	}
	var names []string
	var next string
	switch {
	case column == "" && bySettings:
		names, next, err = a.Queues.Where(ctx, t, within, after, limit, look, has)
	case column == "" && part == "":
		names, next, err = a.Queues.Names(ctx, t, within, after, limit)
		names = slices.DeleteFunc(names, func(name string) bool { return !look(name) })
	default:
		keep := func(name string) bool { return strings.HasPrefix(name, within) && look(name) }
		if bySettings {
			if keep, err = a.those(ctx, t, within, look, has); err != nil {
				return err
			}
		}
		names, next, err = a.Monitor.Sort(ctx, t, monitor.Order{
			Column: column, Descending: descending, After: after, Limit: limit, Keep: keep,
		})
		if errors.Is(err, monitor.ErrPlace) {
			return cursorFault
		}
	}
	if err != nil {
		return err
	}
	list, err := a.Queues.Listings(ctx, t, names)
	if err != nil {
		return err
	}
	names = names[:0]
	for _, l := range list {
		names = append(names, l.Name)
	}
	rates, err := a.Monitor.Rates(ctx, t, names...)
	if err != nil {
		return err
	}
	data := make([]Queue, len(list))
	for i, l := range list {
		data[i] = a.queue(l.Queue, l.Stats, rates[i], number)
	}
	return answerPage(a, c, data, encodeCursor("queues", filter, next))
}

// hasLabel reports whether label, a key or key=value, is among labels.
func hasLabel(labels map[string]string, label string) bool {
	for key, value := range labels {
		if label == key || label == key+"="+value {
			return true
		}
	}
	return false
}

// those finds all queues as queues.Store.Where does, and returns whether a name is one of theirs.
func (a *API) those(ctx context.Context, t tenants.ID, prefix string, look func(string) bool, keep func(queues.Settings) bool) (func(name string) bool, error) {
	is := map[string]bool{}
	for after := ""; ; {
		names, next, err := a.Queues.Where(ctx, t, prefix, after, maxLimit, look, keep)
		if err != nil {
			return nil, err
		}
		for _, name := range names {
			is[name] = true
		}
		if after = next; next == "" {
			return func(name string) bool { return is[name] }, nil
		}
	}
}

// Purge is what a client says to purge a queue.
type Purge struct {
	// The name of the queue, so that no other one is emptied by mistake.
	Confirm string `json:"confirm" example:"orders"`
	// Only messages that were sent at least so many seconds ago and that nobody holds, or text such as "1h30m". All
	// when it is left out.
	OlderThan *int `json:"older_than,omitempty" validate:"min=1,max=1209600" example:"3600" extensions:"x-nullable"`
	// Only messages that match and that nobody holds; see the filter of a look at messages.
	Filter string `json:"filter,omitempty" example:"reason:*timeout*"`
}

var errConfirm = &errs.Error{Kind: errs.Invalid, Code: "confirmation_mismatch"}

// purgeQueue deletes messages of a queue.
//
//	@Summary		Delete all messages of a queue, or the old ones
//	@Description	Without `older_than` all that are in it now, at once, also delayed ones and those that somebody holds.
//	@Description
//	@Description	With it a task begins that deletes available and delayed messages which were sent at least so long ago, up to 100 a step. Those that somebody holds when it comes to them stay.
//	@ID				purgeQueue
//	@Tags			queues
//	@Accept			json
//	@Param			queue	path		string	true	"Name of the queue"
//	@Param			purge	body		Purge	true	"The confirmation, and which messages"
//	@Success		202		{object}	Task	"The task; without `older_than` it is finished already"
//	@Header			202		{string}	Location	"The task"
//	@Failure		400		{object}	Problem	"The request is malformed"
//	@Failure		404		{object}	Problem	"No such queue"
//	@Failure		408		{object}	Problem	"The body did not arrive in time"
//	@Failure		409		{object}	Problem	"Another purge works on the queue (`task_already_running`)"
//	@Failure		413		{object}	Problem	"The body is too large"
//	@Failure		415		{object}	Problem	"The body is not JSON"
//	@Failure		422		{object}	Problem	"`confirm` is not the queue's name, or a value is not allowed"
//	@Failure		507		{object}	Problem	"The storage is full"
//	@Router			/v1/queues/{queue}/purge [post]
func (a *API) purgeQueue(c echo.Context) error {
	confirm, filter, opt := "", "", queues.PurgeOptions{}
	err := a.readControl(c, func(r *reader) {
		r.object([]string{"confirm", "older_than", "filter"}, func(key []byte) {
			switch string(key) {
			case "confirm":
				s, _ := r.str()
				confirm = string(s)
			case "older_than":
				opt.OlderThan = r.age()
			case "filter":
				s, _ := r.str()
				filter = string(s)
			}
		})
	})
	if err != nil {
		return err
	}
	if opt.Filter, err = filterMember(c, filter); err != nil {
		return err
	}
	ctx, t, name := scope(c)
	if _, err := a.Queues.Get(ctx, t, name); err != nil {
		return a.guess(c, err)
	}
	if confirm != name {
		e := *errConfirm
		e.Message = fmt.Sprintf("confirm must be the name of the queue, %q.", name)
		e.Fix = fmt.Sprintf(`Send {"confirm":%q} to delete all its messages.`, name)
		e.Fields = []errs.Field{{Pointer: "/confirm", Code: "not_allowed", Message: "must be the name of the queue"}}
		return &e
	}
	var task tasks.Task
	if opt.OlderThan == 0 && filter == "" {
		task, err = a.purgeAll(c)
	} else {
		task, err = a.purgeSome(c, opt)
	}
	if err != nil {
		return err
	}
	return a.accept(c, task)
}

// age reads how old a message is at least, or null for any age.
func (r *reader) age() time.Duration {
	if r.null() {
		return 0
	}
	d, ok := r.duration()
	if ok && (d < time.Second || d > queues.MaxRetention) {
		r.fault("out_of_range", "must be 1 to %d; leave it out to delete all messages", wholeSeconds(queues.MaxRetention))
	}
	return d
}

func (a *API) answerQueue(c echo.Context, status int, q queues.Queue) error {
	ctx, t, _ := scope(c)
	number, err := a.account(ctx, t)
	if err != nil {
		return err
	}
	stats, err := a.Queues.Stats(ctx, t, q.Name)
	if err != nil {
		return err
	}
	rates, err := a.Monitor.Rates(ctx, t, q.Name)
	if err != nil {
		return err
	}
	if a.TestHeaders {
		setNow(c, stats.Now)
	}
	c.Response().Header().Set("ETag", quoteTag(q.ETag))
	return a.json(c, status, a.queue(q, stats, rates[0], number))
}

func (a *API) queue(q queues.Queue, s queues.Stats, r monitor.Rates, account string) Queue {
	out := Queue{
		Name: q.Name, Type: "standard",
		VisibilityTimeout: wholeSeconds(q.Settings.VisibilityTimeout), MessageRetention: wholeSeconds(q.Settings.Retention),
		Delay: wholeSeconds(q.Settings.Delay), ReceiveWait: wholeSeconds(q.Settings.ReceiveWait),
		MaxMessageSize: q.Settings.MaxMessageSize, Labels: q.Settings.Labels,
		PriorityStep: wholeSeconds(q.Settings.PriorityStep), Retry: retryPolicy(q.Settings.Retry), Shards: q.Settings.Shards,
		TraceRetention: wholeSeconds(q.Settings.TraceRetention),
		WhenFull:       string(q.Settings.WhenFull), MaxMessages: limit(q.Settings.MaxMessages), MaxBytes: limit(q.Settings.MaxBytes), Bytes: s.Bytes,
		Paused:    newPaused(q.Paused),
		Counts:    Counts{Available: s.Available, InFlight: s.InFlight, Delayed: s.Delayed, Moving: s.Moving},
		OldestAge: round3(s.OldestAge.Seconds()),
		Totals: QueueTotals{Sent: s.Sent, Received: s.Received, Deleted: s.Deleted, Expired: s.Expired, DeadLettered: s.DeadLettered, Moved: s.Moved,
			Dropped: s.Dropped},
		Rates:     Rates{Sent: round3(r.Sent), Received: round3(r.Received)},
		ARN:       "arn:aws:sqs:" + a.Region + ":" + account + ":" + q.Name,
		CreatedAt: Instant{q.Created}, UpdatedAt: Instant{q.Updated}, ETag: q.ETag,
	}
	if out.Labels == nil {
		out.Labels = map[string]string{}
	}
	if r := q.Settings.Redrive; r != (queues.Redrive{}) {
		out.Redrive = &Redrive{DeadLetterQueue: r.DeadLetterQueue, MaxReceives: r.MaxReceives}
	}
	if a := q.Settings.RedriveAllow; a.None {
		out.RedriveAllow = &RedriveAllow{Permission: "none"}
	} else if len(a.Sources) > 0 {
		out.RedriveAllow = &RedriveAllow{Permission: "sources", Sources: a.Sources}
	}
	if to := q.Settings.ForwardTo; to != "" {
		out.ForwardTo = &to
	}
	if f := q.Settings.FIFO; q.Settings.IsFIFO() {
		out.Type = "fifo"
		out.FIFO = &FIFO{ContentBasedDeduplication: f.ContentBased, Scope: string(f.Scope), DeduplicationWindow: wholeSeconds(f.Window)}
	}
	return out
}

// round3 returns a number with three digits behind the point.
func round3(n float64) float64 { return math.Round(n*1000) / 1000 }

// limit returns a cap for an answer, and nil for none.
func limit(n int64) *int64 {
	if n == 0 {
		return nil
	}
	return &n
}

func wholeSeconds(d time.Duration) int { return int(d / time.Second) }

// scope returns what most calls begin with: the context, the tenant and the queue's name, "" where the path has none.
func scope(c echo.Context) (context.Context, tenants.ID, string) {
	ctx := queues.By(c.Request().Context(), func() queues.Actor { return actor(c) })
	return ctx, RequestOf(c).Tenant, c.Param("queue")
}

// queueCondition reads If-Match and If-None-Match for a change.
func (a *API) queueCondition(c echo.Context) (queues.Condition, error) {
	return readStoreCondition(c, queues.ErrPrecondition, func() (string, error) {
		ctx, t, name := scope(c)
		q, err := a.Queues.Get(ctx, t, name)
		return q.ETag, err
	})
}

// readStoreCondition reads If-Match and If-None-Match for a change of a thing. current finds the
// entity tag as it is; refusal says that it is not as asked.
func readStoreCondition(c echo.Context, refusal *errs.Error, current func() (string, error)) (queues.Condition, error) {
	if _, err := readQuery(c); err != nil {
		return queues.Condition{}, err
	}
	cond, err := readCondition(c.Request().Header)
	if err != nil {
		return queues.Condition{}, err
	}
	match, none, err := cond.one(current)
	if err != nil {
		return queues.Condition{}, err
	}
	if none != "" && none != "*" {
		// The store knows no "not this one": be sure that it is another one, and that it stays that.
		etag, err := current()
		switch {
		case err != nil && errs.KindOf(err) == errs.NotFound:
			return queues.Condition{ETag: match}, nil
		case err != nil:
			return queues.Condition{}, err
		case etag == none || match != "" && match != "*" && match != etag:
			return queues.Condition{}, refusal
		}
		return queues.Condition{ETag: etag}, nil
	}
	return queues.Condition{ETag: match, Missing: none == "*"}, nil
}

const (
	// guessEvery bounds how often a server looks for the name that was meant.
	guessEvery = 100 * time.Millisecond
	// guessAmong bounds the names it compares.
	guessAmong = 8
)

// guess adds the name that was probably meant to an error about a queue that does not exist.
func (a *API) guess(c echo.Context, err error) error {
	e, ok := errors.AsType[*errs.Error](err)
	if !ok || !errors.Is(e, queues.ErrQueueNotFound) {
		return err
	}
	ctx, t, name := scope(c)
	if queues.ValidName(name) != nil || len(name) < 2 {
		return err
	}
	if !a.mayGuess() {
		return err
	}
	names, _, listErr := a.Queues.Names(ctx, t, name[:min(len(name)-1, 3)], "", guessAmong)
	if listErr != nil {
		return err
	}
	names = slices.DeleteFunc(names, func(name string) bool { return !grants(c).Reaches(name) })
	if meant := suggest.Nearest(name, names); meant != "" {
		known := *e
		known.Message += fmt.Sprintf(" Did you mean %q?", meant)
		return &known
	}
	return err
}

// mayGuess reports whether it is time to look for the name that was meant.
func (a *API) mayGuess() bool {
	now, last := a.Clock.Now().UnixMilli(), a.guessed.Load()
	return (now-last >= guessEvery.Milliseconds() || now < last) && a.guessed.CompareAndSwap(last, now)
}

// setNow tells a test what time it is for the queue.
func setNow(c echo.Context, t time.Time) {
	c.Response().Header().Set(nowHeader, fmt.Sprint(t.UnixMilli()))
}
