package handlers

import (
	"errors"
	"fmt"
	"maps"
	"net/http"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/sluicemq/sluice/internal/errs"
	"github.com/sluicemq/sluice/internal/suggest"
	"github.com/sluicemq/sluice/queues"
	"github.com/sluicemq/sluice/topics"
)

// Topic is a topic with its settings and what its log holds.
type Topic struct {
	Name string `json:"name" example:"orders.created"`
	// The name says it: that of a FIFO topic ends in .fifo.
	Type string `json:"type" enums:"standard,fifo"`
	// Seconds that messages are kept, counted from their publish. 0: until all subscriptions have them.
	MessageRetention int `json:"message_retention" example:"86400"`
	// Null for a standard topic.
	FIFO   *TopicFIFO        `json:"fifo" extensions:"x-nullable"`
	Labels map[string]string `json:"labels"`
	// The version of the schema by which messages are checked; null: they are not.
	SchemaVersion *int64 `json:"schema_version" extensions:"x-nullable" example:"2"`
	// How many subscriptions there are.
	Subscriptions int64    `json:"subscriptions" example:"2"`
	Log           TopicLog `json:"log"`
	// Messages published since the topic was made.
	Published int64   `json:"published" example:"120"`
	ARN       string  `json:"arn" example:"arn:aws:sns:us-east-1:000000000000:orders"`
	CreatedAt Instant `json:"created_at" swaggertype:"string" format:"date-time"`
	UpdatedAt Instant `json:"updated_at" swaggertype:"string" format:"date-time"`
	// Changes with the settings; the header ETag has it in quotes.
	ETag string `json:"etag" example:"5f3a90c1d2e47b68"`
}

// TopicFIFO is what only FIFO topics have.
type TopicFIFO struct {
	// Whether a message without a deduplication id is recognised by its body.
	ContentBasedDeduplication bool `json:"content_based_deduplication"`
}

// TopicLog is what a topic keeps.
type TopicLog struct {
	// How many messages can be read.
	Messages int64 `json:"messages" example:"3"`
	// What the log takes, with messages that are about to be removed.
	Bytes int64 `json:"bytes" example:"1290"`
	// Sequence number of the oldest message that can be read; null when there is none.
	Oldest *string `json:"oldest" extensions:"x-nullable" example:"00000151018143744000"`
	// When it was published.
	OldestAt *Instant `json:"oldest_at" swaggertype:"string" format:"date-time" extensions:"x-nullable"`
	// Sequence number of the last message that was published; null when there was none.
	Last *string `json:"last" extensions:"x-nullable" example:"00000151018143744001"`
}

// TopicInput is what a client says of a topic. What is missing or null has its default.
type TopicInput struct {
	// The name says it: that of a FIFO topic ends in .fifo, and no other's does.
	Type string `json:"type,omitempty" enums:"standard,fifo"`
	// Seconds that messages are kept, counted from their publish, or text such as "4d". 0: until all subscriptions have them.
	MessageRetention *int `json:"message_retention,omitempty" validate:"min=0,max=1209600" default:"0" extensions:"x-nullable" example:"86400"`
	// Only of a FIFO topic.
	FIFO *TopicFIFOInput `json:"fifo,omitempty" extensions:"x-nullable"`
	// At most 50. In a PATCH they are merged, and null removes one.
	Labels map[string]string `json:"labels,omitempty" extensions:"x-nullable"`
}

// TopicFIFOInput is what a client says of what only FIFO topics have.
type TopicFIFOInput struct {
	// A message without a deduplication id is recognised by its body.
	ContentBasedDeduplication bool `json:"content_based_deduplication,omitempty" default:"false"`
}

var topicNames = []string{"type", "message_retention", "fifo", "labels"}

// topicReadOnly are the members of Topic that nobody sets.
var topicReadOnly = map[string]bool{
	"name": true, "schema_version": true, "subscriptions": true, "log": true, "published": true, "arn": true, "created_at": true, "updated_at": true, "etag": true,
}

// topicChange is what a body says of a topic's settings.
type topicChange struct {
	kind    string // the type that it names, or ""
	fifo    bool   // it names what only FIFO topics have
	changes []func(*topics.Settings)
}

// check refuses what does not go with the topic's name.
func (s *topicChange) check(name string) error {
	isFIFO := topics.IsFIFOName(name)
	switch {
	case s.kind == "fifo" && !isFIFO && topics.ValidName(name) == nil:
		e := *asError(invalid([]errs.Field{{Pointer: "/type", Code: "not_allowed", Message: "is fifo, but only topics whose name ends in .fifo are"}}))
		e.Fix = fmt.Sprintf("Name the topic %q.", name+".fifo")
		return &e
	case s.kind == "standard" && isFIFO:
		return invalid([]errs.Field{{Pointer: "/type", Code: "not_allowed", Message: "is standard, but a topic whose name ends in .fifo is a FIFO topic"}})
	case s.fifo && !isFIFO:
		return invalid([]errs.Field{{Pointer: "/fifo", Code: "not_allowed", Message: "must be absent: only topics whose name ends in .fifo are FIFO topics"}})
	}
	return nil
}

// on returns the settings after the change.
func (s *topicChange) on(set topics.Settings) topics.Settings {
	set.Labels = maps.Clone(set.Labels)
	for _, change := range s.changes {
		change(&set)
	}
	return set
}

// readTopic reads a TopicInput. With merge a label that is null goes.
func (r *reader) readTopic(merge bool) *topicChange {
	s := &topicChange{}
	add := func(change func(*topics.Settings)) { s.changes = append(s.changes, change) }
	r.object(topicNames, func(key []byte) {
		switch string(key) {
		case "type":
			s.kind = r.queueType()
		case "message_retention":
			d, ok := time.Duration(0), true
			if !r.null() {
				d, ok = r.duration()
			}
			if ok {
				add(func(t *topics.Settings) { t.Retention = d })
			}
		case "fifo":
			if r.null() {
				add(func(t *topics.Settings) { t.ContentBased = false })
				return
			}
			s.fifo = true
			r.object([]string{"content_based_deduplication"}, func([]byte) {
				on, ok := false, true
				if !r.null() {
					on, ok = r.boolean()
				}
				if ok {
					add(func(t *topics.Settings) { t.ContentBased = on })
				}
			})
		case "labels":
			r.labels(merge, func(change func(*queues.Settings)) {
				add(func(t *topics.Settings) {
					q := queues.Settings{Labels: t.Labels}
					change(&q)
					t.Labels = q.Labels
				})
			})
		default:
			if topicReadOnly[string(key)] {
				r.fault(unknownField, "is read-only: leave it out")
				r.skip()
			}
		}
	})
	return s
}

// putTopic makes a topic or replaces its settings.
//
//	@Summary		Create or replace a topic
//	@Description	What the body leaves out has its default, also when the topic is there already. To change single settings use PATCH.
//	@Description
//	@Description	A tenant has at most 10,000 topics. The log of one holds at most 1,000,000 messages and 1 GiB.
//	@Description
//	@Description	A topic of the name `sluice.events` gets what befalls the webhooks of its tenant.
//	@ID				putTopic
//	@Tags			topics
//	@Accept			json
//	@Param			topic			path		string		true	"Name of the topic: 1 to 256 letters, digits, - and _, with single dots inside it; that of a FIFO topic ends in .fifo"
//	@Param			If-Match		header		string		false	"Only when the topic has this ETag"
//	@Param			If-None-Match	header		string		false	"* to create only"
//	@Param			settings		body		TopicInput	false	"The settings"
//	@Success		200				{object}	Topic		"Replaced, or as it was"
//	@Header			200				{string}	ETag		"Version of the settings"
//	@Success		201				{object}	Topic		"Created"
//	@Header			201				{string}	ETag		"Version of the settings"
//	@Header			201				{string}	Location	"The new topic"
//	@Failure		400				{object}	Problem		"The request is malformed"
//	@Failure		403				{object}	Problem		"The tenant has as many topics as it may have"
//	@Failure		404				{object}	Problem		"No such tenant"
//	@Failure		408				{object}	Problem		"The body did not arrive in time"
//	@Failure		412				{object}	Problem		"If-Match or If-None-Match did not hold"
//	@Failure		413				{object}	Problem		"The body is too large"
//	@Failure		415				{object}	Problem		"The body is not JSON"
//	@Failure		422				{object}	Problem		"A value is not allowed"
//	@Failure		507				{object}	Problem		"The storage is full"
//	@Router			/v1/topics/{topic} [put]
func (a *API) putTopic(c echo.Context) error {
	var change *topicChange
	if err := a.readControl(c, func(r *reader) { change = r.readTopic(false) }); err != nil {
		return err
	}
	cond, err := a.topicCondition(c)
	if err != nil {
		return err
	}
	ctx, t, _ := scope(c)
	name := c.Param("topic")
	if err := change.check(name); err != nil {
		return err
	}
	tp, created, err := a.Topics.Put(ctx, t, name, change.on(topics.Settings{}), cond)
	if err != nil {
		return err
	}
	status := http.StatusOK
	if created {
		status = http.StatusCreated
		c.Response().Header().Set("Location", a.link("/v1/topics/"+tp.Name))
	}
	return a.answerTopic(c, status, tp)
}

// getTopic shows a topic.
//
//	@Summary		Get a topic
//	@Description	With `If-None-Match` the answer is 304 while the settings are the same, whatever was published.
//	@ID				getTopic
//	@Tags			topics
//	@Param			topic			path		string	true	"Name of the topic"
//	@Param			If-None-Match	header		string	false	"Only when the topic has another ETag"
//	@Success		200				{object}	Topic	"The topic"
//	@Header			200				{string}	ETag	"Version of the settings"
//	@Success		304				"The settings are the same"
//	@Failure		400				{object}	Problem	"The request is malformed"
//	@Failure		404				{object}	Problem	"No such topic"
//	@Failure		415				{object}	Problem	"The request has a Content-Encoding"
//	@Failure		422				{object}	Problem	"A value is not allowed"
//	@Router			/v1/topics/{topic} [get]
func (a *API) getTopic(c echo.Context) error {
	cond, err := readConditional(c)
	if err != nil {
		return err
	}
	ctx, t, _ := scope(c)
	tp, err := a.Topics.Get(ctx, t, c.Param("topic"))
	if err != nil {
		return a.guessTopic(c, err)
	}
	if cond.unchanged(tp.ETag) {
		return notModified(c, tp.ETag)
	}
	return a.answerTopic(c, http.StatusOK, tp)
}

// updateTopic changes single settings of a topic.
//
//	@Summary		Change settings of a topic
//	@Description	A JSON Merge Patch (RFC 7396): what the body leaves out stays, null brings back the default.
//	@ID				updateTopic
//	@Tags			topics
//	@Accept			json
//	@Param			topic			path		string		true	"Name of the topic"
//	@Param			If-Match		header		string		false	"Only when the topic has this ETag"
//	@Param			If-None-Match	header		string		false	"Only when the topic has another ETag"
//	@Param			settings		body		TopicInput	true	"The settings to change"
//	@Success		200				{object}	Topic		"Changed, or as it was"
//	@Header			200				{string}	ETag		"Version of the settings"
//	@Failure		400				{object}	Problem		"The request is malformed"
//	@Failure		404				{object}	Problem		"No such topic"
//	@Failure		408				{object}	Problem		"The body did not arrive in time"
//	@Failure		412				{object}	Problem		"If-Match or If-None-Match did not hold"
//	@Failure		413				{object}	Problem		"The body is too large"
//	@Failure		415				{object}	Problem		"The body is not JSON"
//	@Failure		422				{object}	Problem		"A value is not allowed"
//	@Failure		507				{object}	Problem		"The storage is full"
//	@Router			/v1/topics/{topic} [patch]
func (a *API) updateTopic(c echo.Context) error {
	var change *topicChange
	if err := a.readControl(c, func(r *reader) { change = r.readTopic(true) }); err != nil {
		return err
	}
	cond, err := a.topicCondition(c)
	if err != nil {
		return err
	}
	ctx, t, _ := scope(c)
	name := c.Param("topic")
	if err := change.check(name); err != nil {
		return err
	}
	tp, err := a.Topics.Update(ctx, t, name, cond, change.on)
	if err != nil {
		return a.guessTopic(c, err)
	}
	return a.answerTopic(c, http.StatusOK, tp)
}

// deleteTopic deletes a topic.
//
//	@Summary		Delete a topic
//	@Description	With its log and its subscriptions. What queues have got already stays there.
//	@ID				deleteTopic
//	@Tags			topics
//	@Param			topic			path	string	true	"Name of the topic"
//	@Param			If-Match		header	string	false	"Only when the topic has this ETag"
//	@Param			If-None-Match	header	string	false	"Only when the topic has another ETag"
//	@Success		204				"Deleted"
//	@Failure		400				{object}	Problem	"The request is malformed"
//	@Failure		404				{object}	Problem	"No such topic"
//	@Failure		412				{object}	Problem	"If-Match or If-None-Match did not hold"
//	@Failure		415				{object}	Problem	"The request has a Content-Encoding"
//	@Failure		422				{object}	Problem	"A value is not allowed"
//	@Router			/v1/topics/{topic} [delete]
func (a *API) deleteTopic(c echo.Context) error {
	cond, err := a.topicCondition(c)
	if err != nil {
		return err
	}
	ctx, t, _ := scope(c)
	name := c.Param("topic")
	if cond.Missing {
		if _, err := a.Topics.Get(ctx, t, name); err != nil {
			return a.guessTopic(c, err)
		}
		return topics.ErrPrecondition
	}
	if err := a.Topics.Delete(ctx, t, name, cond); err != nil {
		return a.guessTopic(c, err)
	}
	return c.NoContent(http.StatusNoContent)
}

// listTopics shows a part of a tenant's topics.
//
//	@Summary		List topics
//	@Description	By name.
//	@ID				listTopics
//	@Tags			topics
//	@Param			prefix	query		string		false	"Only names that begin with this"	maxlength(256)
//	@Param			limit	query		int			false	"How many at most"	minimum(1)	maximum(500)	default(50)
//	@Param			cursor	query		string		false	"next_cursor of the part before"
//	@Success		200		{object}	Page[Topic]	"A part of the list"
//	@Header			200		{string}	Link		"The next part, with rel=next"
//	@Failure		400		{object}	Problem		"The request is malformed"
//	@Failure		404		{object}	Problem		"No such tenant"
//	@Failure		415		{object}	Problem		"The request has a Content-Encoding"
//	@Failure		422		{object}	Problem		"A value is not allowed"
//	@Router			/v1/topics [get]
func (a *API) listTopics(c echo.Context) error {
	part, err := readPart(c, "topics", "")
	if err != nil {
		return err
	}
	ctx, t, _ := scope(c)
	account, err := a.account(ctx, t)
	if err != nil {
		return err
	}
	list, next, err := a.Topics.List(ctx, t, part.prefix, part.after, part.limit)
	if err != nil {
		return err
	}
	data := make([]Topic, len(list))
	for i, tp := range list {
		data[i] = a.topic(tp, account)
	}
	return answerPage(a, c, data, part.cursor(next))
}

func (a *API) answerTopic(c echo.Context, status int, tp topics.Topic) error {
	ctx, t, _ := scope(c)
	account, err := a.account(ctx, t)
	if err != nil {
		return err
	}
	if a.TestHeaders {
		setNow(c, tp.Now)
	}
	c.Response().Header().Set("ETag", quoteTag(tp.ETag))
	return a.json(c, status, a.topic(tp, account))
}

func (a *API) topic(tp topics.Topic, account string) Topic {
	out := Topic{Name: tp.Name, Type: "standard", MessageRetention: wholeSeconds(tp.Settings.Retention), Labels: tp.Settings.Labels,
		Subscriptions: tp.Subscriptions, Published: tp.Published,
		Log:       TopicLog{Messages: tp.Kept, Bytes: tp.Bytes, Oldest: sequence(tp.Oldest), OldestAt: instant(tp.OldestAt), Last: sequence(tp.Last)},
		ARN:       "arn:aws:sns:" + a.Region + ":" + account + ":" + tp.Name,
		CreatedAt: Instant{tp.Created}, UpdatedAt: Instant{tp.Updated}, ETag: tp.ETag}
	if out.Labels == nil {
		out.Labels = map[string]string{}
	}
	if current := tp.Settings.Schemas.Current; current != 0 {
		out.SchemaVersion = &current
	}
	if topics.IsFIFOName(tp.Name) {
		out.Type, out.FIFO = "fifo", &TopicFIFO{ContentBasedDeduplication: tp.Settings.ContentBased}
	}
	return out
}

// sequence writes a sequence number of a topic: 20 digits, so that it also sorts as text. Nil for none.
func sequence(n int64) *string {
	if n == 0 {
		return nil
	}
	text := sequenceText(n)
	return &text
}

func sequenceText(n int64) string { return fmt.Sprintf("%020d", n) }

// topicCondition reads If-Match and If-None-Match for a change.
func (a *API) topicCondition(c echo.Context) (topics.Condition, error) {
	return readStoreCondition(c, topics.ErrPrecondition, func() (string, error) {
		ctx, t, _ := scope(c)
		tp, err := a.Topics.Get(ctx, t, c.Param("topic"))
		return tp.ETag, err
	})
}

// guessTopic adds the name that was probably meant to an error about a topic that does not exist.
func (a *API) guessTopic(c echo.Context, err error) error {
	e, ok := errors.AsType[*errs.Error](err)
	if !ok || !errors.Is(e, topics.ErrTopicNotFound) {
		return err
	}
	ctx, t, _ := scope(c)
	name := c.Param("topic")
	if topics.ValidName(name) != nil || len(name) < 2 || !a.mayGuess() {
		return err
	}
	list, _, listErr := a.Topics.List(ctx, t, name[:min(len(name)-1, 3)], "", guessAmong)
	if listErr != nil {
		return err
	}
	names := make([]string, len(list))
	for i := range list {
		names[i] = list[i].Name
	}
	if meant := suggest.Nearest(name, names); meant != "" {
		known := *e
		known.Message += fmt.Sprintf(" Did you mean %q?", meant)
		return &known
	}
	return err
}
