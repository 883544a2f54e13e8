package handlers

import (
	"crypto/md5" // part of the SQS protocol
	"encoding/base64"
	"net/http"
	"slices"
	"time"
	"unicode/utf8"

	"github.com/labstack/echo/v4"

	"github.com/sluicemq/sluice/queues"
)

// Schedule is a recurring send to a queue, or publish to a topic.
type Schedule struct {
	Name string `json:"name" example:"report"`
	// The queue that it belongs to and sends to. Missing where that is a topic.
	Queue string `json:"queue,omitempty" example:"orders"`
	// The topic that it belongs to and publishes to. Missing where that is a queue.
	Topic string `json:"topic,omitempty" example:"orders.created"`
	// null where `every` says when.
	Cron *string `json:"cron" extensions:"x-nullable" example:"0 9 * * 1-5"`
	// IANA name of the time zone that cron is meant in; null where `every` says when.
	TimeZone *string `json:"time_zone" extensions:"x-nullable" example:"Europe/Berlin"`
	// Seconds between two ticks; null where `cron` says when.
	Every *int `json:"every" extensions:"x-nullable" example:"300"`
	// null when nothing was said.
	StartsAt *Instant `json:"starts_at" swaggertype:"string" format:"date-time" extensions:"x-nullable"`
	// null for never.
	EndsAt *Instant `json:"ends_at" swaggertype:"string" format:"date-time" extensions:"x-nullable"`
	Missed string   `json:"missed" enums:"skip,run_once,run_all"`
	// null for a key that may not read bodies.
	Message *ScheduledMessage `json:"message" extensions:"x-nullable"`
	Labels  map[string]string `json:"labels"`
	Paused  bool              `json:"paused"`
	// Why it is paused, in the words of who paused it; null when it is not, or nobody said.
	PauseReason *string  `json:"pause_reason" extensions:"x-nullable" example:"migration"`
	PausedAt    *Instant `json:"paused_at" swaggertype:"string" format:"date-time" extensions:"x-nullable"`
	// The next five ticks, in the schedule's time zone. None while it is paused or after its end.
	NextRuns []LocalInstant `json:"next_runs" swaggertype:"array,string" example:"2026-03-02T09:00:00+01:00"`
	// The last message that was sent; null for none.
	LastRun *ScheduleRun `json:"last_run" extensions:"x-nullable"`
	// The last refusal of the queue; null for none.
	LastError *ScheduleError `json:"last_error" extensions:"x-nullable"`
	Counts    ScheduleCounts `json:"counts"`
	CreatedAt Instant        `json:"created_at" swaggertype:"string" format:"date-time"`
	UpdatedAt Instant        `json:"updated_at" swaggertype:"string" format:"date-time"`
	// Changes with the settings; the header ETag has it in quotes.
	ETag string `json:"etag" example:"5f3a90c1d2e47b68"`
}

// ScheduledMessage is the message that a schedule sends.
type ScheduledMessage struct {
	// The body, as text or in base64. With the attributes at most 64 KiB, and what the queue takes.
	Body         string `json:"body" example:"{\"report\":\"daily\"}"`
	BodyEncoding string `json:"body_encoding,omitempty" enums:"utf8,base64" default:"utf8"`
	// Default: JSON, text or bytes, whichever it is.
	ContentType string `json:"content_type,omitempty" example:"application/json"`
	// Seconds that it stays hidden, or text such as "5m". Default: as the queue says. Not for a FIFO queue.
	Delay      *int                        `json:"delay,omitempty" validate:"min=0,max=1209600" example:"30" extensions:"x-nullable"`
	Attributes map[string]MessageAttribute `json:"attributes,omitempty"`
	// The group of the messages. A FIFO queue needs one; in a standard queue groups take turns.
	GroupID string `json:"group_id,omitempty" validate:"max=128" example:"customer-42"`
}

// ScheduleRun is one message that a schedule sent.
type ScheduleRun struct {
	// The tick; null when it was asked for by hand.
	ScheduledFor *Instant `json:"scheduled_for" swaggertype:"string" format:"date-time" extensions:"x-nullable"`
	SentAt       Instant  `json:"sent_at" swaggertype:"string" format:"date-time"`
	MessageID    string   `json:"message_id" example:"msg_0kq1zv3m5c8g02r4b7fg"`
}

// ScheduleError is why the queue refused the message of a tick.
type ScheduleError struct {
	// The tick.
	ScheduledFor Instant `json:"scheduled_for" swaggertype:"string" format:"date-time"`
	At           Instant `json:"at" swaggertype:"string" format:"date-time"`
	// As the code of the problem that a send would have got.
	Code string `json:"code" example:"message_too_large"`
	// For people. May change.
	Detail string `json:"detail" example:"The message has 2014 bytes with its attributes; this queue takes at most 1024."`
}

// ScheduleCounts are what became of a schedule's ticks.
type ScheduleCounts struct {
	// Messages that were sent.
	Runs int64 `json:"runs" example:"120"`
	// Ticks that were left out because nothing could run them within a minute. Of one outage at most 10,000 are counted.
	Missed int64 `json:"missed" example:"2"`
	// Ticks whose message the queue refused.
	Errors int64 `json:"errors" example:"0"`
}

// ScheduleInput is what a client says of a schedule: when, and which message. What is missing or null has its default.
type ScheduleInput struct {
	// Five fields: minute, hour, day of the month, month, day of the week; or @hourly, @daily, @weekly, @monthly, @yearly.
	Cron string `json:"cron,omitempty" validate:"max=256" example:"0 9 * * 1-5" extensions:"x-nullable"`
	// IANA name of the time zone that cron is meant in.
	TimeZone string `json:"time_zone,omitempty" default:"UTC" example:"Europe/Berlin" extensions:"x-nullable"`
	// Instead of cron: seconds between two ticks, or text such as "5m".
	Every *int `json:"every,omitempty" validate:"min=1,max=31622400" extensions:"x-nullable"`
	// With `every` the first tick; default one interval from now. With `cron` there is no tick before it.
	StartsAt *Instant `json:"starts_at,omitempty" swaggertype:"string" format:"date-time" extensions:"x-nullable"`
	// There is no tick after it.
	EndsAt *Instant `json:"ends_at,omitempty" swaggertype:"string" format:"date-time" extensions:"x-nullable"`
	// What becomes of ticks that could not be run within a minute: they are left out, one message stands for all of them,
	// or each of the latest 100 is made up for.
	Missed  string           `json:"missed,omitempty" enums:"skip,run_once,run_all" default:"skip" extensions:"x-nullable"`
	Message ScheduledMessage `json:"message"`
	// At most 50.
	Labels map[string]string `json:"labels,omitempty" extensions:"x-nullable"`
}

// ScheduleTest is when a schedule would be due, as in ScheduleInput.
type ScheduleTest struct {
	// Five fields: minute, hour, day of the month, month, day of the week; or @hourly, @daily, @weekly, @monthly, @yearly.
	Cron string `json:"cron,omitempty" validate:"max=256" example:"0 9 * * 1-5" extensions:"x-nullable"`
	// IANA name of the time zone that cron is meant in.
	TimeZone string `json:"time_zone,omitempty" default:"UTC" example:"Europe/Berlin" extensions:"x-nullable"`
	// Instead of cron: seconds between two ticks, or text such as "5m".
	Every *int `json:"every,omitempty" validate:"min=1,max=31622400" extensions:"x-nullable"`
	// With `every` the first tick; default one interval from now. With `cron` there is no tick before it.
	StartsAt *Instant `json:"starts_at,omitempty" swaggertype:"string" format:"date-time" extensions:"x-nullable"`
	// There is no tick after it.
	EndsAt *Instant `json:"ends_at,omitempty" swaggertype:"string" format:"date-time" extensions:"x-nullable"`
}

// ScheduleTested is when a schedule would be due.
type ScheduleTested struct {
	// The next five ticks, in the schedule's time zone. None after its end.
	NextRuns []LocalInstant `json:"next_runs" swaggertype:"array,string" example:"2026-03-02T09:00:00+01:00"`
}

// PauseInput is what a client says when it pauses a schedule.
type PauseInput struct {
	// For people.
	Reason string `json:"reason,omitempty" validate:"max=255" example:"migration"`
}

// LocalInstant is a time as it is shown in its own time zone.
type LocalInstant struct{ time.Time }

// MarshalJSON writes the time with its offset.
func (i LocalInstant) MarshalJSON() ([]byte, error) {
	return i.AppendFormat(nil, `"2006-01-02T15:04:05.999Z07:00"`), nil
}

var (
	scheduleTimes = []string{"cron", "time_zone", "every", "starts_at", "ends_at"}
	scheduleNames = slices.Concat(scheduleTimes, []string{"missed", "message", "labels"})
)

// scheduleReadOnly are the members of Schedule that nobody sets.
var scheduleReadOnly = map[string]bool{
	"name": true, "queue": true, "topic": true, "paused": true, "pause_reason": true, "paused_at": true, "next_runs": true, "last_run": true,
	"last_error": true, "counts": true, "created_at": true, "updated_at": true, "etag": true,
}

// readSchedule reads a ScheduleInput. What it returns points into the text.
func (r *reader) readSchedule() queues.ScheduleSettings {
	s := queues.ScheduleSettings{Missed: queues.MissedSkip}
	has := false
	r.object(scheduleNames, func(key []byte) {
		switch string(key) {
		case "missed":
			r.word(func(text string) { s.Missed = queues.MissedPolicy(text) })
		case "message":
			has = true
			var ref string
			if s.Message, ref = r.batchMessage(); ref != "" {
				r.fault(unknownField, "must not have the member id: each message gets its own")
			}
		case "labels":
			if !r.null() {
				s.Labels = r.textMap()
			}
		default:
			if scheduleReadOnly[string(key)] {
				r.fault(unknownField, "is read-only: leave it out")
				r.skip()
				return
			}
			r.timing(string(key), &s)
		}
	})
	if !has && r.err == nil {
		r.fault("required", "must have the member message")
	}
	return s
}

// timing reads a member that says when a schedule is due, and leaves any other where it is.
func (r *reader) timing(key string, s *queues.ScheduleSettings) {
	switch key {
	case "cron":
		r.word(func(text string) { s.Cron = text })
	case "time_zone":
		r.word(func(text string) { s.TimeZone = text })
	case "every":
		if r.null() {
			return
		}
		if d, ok := r.duration(); ok && d <= 0 {
			r.fault("out_of_range", "must be 1 to %d seconds", wholeSeconds(queues.MaxEvery))
		} else if ok {
			s.Every = d
		}
	case "starts_at":
		s.StartsAt = r.time()
	case "ends_at":
		s.EndsAt = r.time()
	}
}

// word reads text that may be null, which sets nothing.
func (r *reader) word(set func(string)) {
	if r.null() {
		return
	}
	if text, ok := r.str(); ok {
		set(string(text))
	}
}

func localInstants(list []time.Time) []LocalInstant {
	out := make([]LocalInstant, len(list))
	for i, at := range list {
		out[i] = LocalInstant{at}
	}
	return out
}

// newSchedule shows a schedule of a queue, with its message or without.
func newSchedule(s queues.Schedule, message bool) Schedule {
	set := s.Settings
	out := Schedule{Name: s.Name, Queue: s.Queue, StartsAt: instant(set.StartsAt), EndsAt: instant(set.EndsAt),
		Missed: string(set.Missed), Labels: set.Labels, Paused: s.Paused,
		PausedAt: instant(s.PausedAt), NextRuns: localInstants(s.NextRuns),
		Counts:    ScheduleCounts{Runs: s.Runs, Missed: s.Missed, Errors: s.Errors},
		CreatedAt: Instant{s.Created}, UpdatedAt: Instant{s.Updated}, ETag: s.ETag}
	if message {
		out.Message = newScheduledMessage(set.Message)
	}
	if set.Every > 0 {
		every := wholeSeconds(set.Every)
		out.Every = &every
	} else {
		zone := set.TimeZone
		if zone == "" {
			zone = "UTC"
		}
		out.Cron, out.TimeZone = &set.Cron, &zone
	}
	if s.PauseReason != "" {
		out.PauseReason = &s.PauseReason
	}
	if out.Labels == nil {
		out.Labels = map[string]string{}
	}
	if l := s.LastRun; !l.At.IsZero() {
		out.LastRun = &ScheduleRun{ScheduledFor: instant(l.For), SentAt: Instant{l.At}, MessageID: messageID(l.MessageID)}
	}
	if e := s.LastError; !e.At.IsZero() {
		out.LastError = &ScheduleError{ScheduledFor: Instant{e.For}, At: Instant{e.At}, Code: e.Code, Detail: e.Message}
	}
	return out
}

// newTopicSchedule shows a schedule of a topic.
func newTopicSchedule(s queues.Schedule, message bool) Schedule {
	out := newSchedule(s, message)
	out.Queue, out.Topic = "", s.Queue
	return out
}

func newScheduledMessage(m queues.Outgoing) *ScheduledMessage {
	out := &ScheduledMessage{Body: string(m.Body), BodyEncoding: "utf8", ContentType: m.ContentType, GroupID: m.GroupID,
		Attributes: map[string]MessageAttribute{}}
	if !utf8.Valid(m.Body) {
		out.Body, out.BodyEncoding = base64.StdEncoding.EncodeToString(m.Body), "base64"
	}
	if m.Delay != nil {
		delay := wholeSeconds(*m.Delay)
		out.Delay = &delay
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

// putSchedule makes a schedule or replaces its settings.
//
//	@Summary		Create or replace a schedule
//	@Description	Sends the message again and again: at the times of `cron` in `time_zone`, or with `every` each so many seconds. Each tick sends one message, however many servers there are.
//	@Description
//	@Description	Where clocks are put forward, a time that does not occur is run when the gap ends, once; where they are put back, a time that occurs twice is run the first time. An expression that is due in every hour goes on in its rhythm.
//	@Description
//	@Description	A message for a FIFO queue has a `group_id`; its deduplication id is made of the names of the schedule and the tick.
//	@Description
//	@Description	What the body leaves out has its default, also when the schedule is there already. A paused schedule stays paused. A queue has at most 1,000 schedules.
//	@ID				putSchedule
//	@Tags			schedules
//	@Accept			json
//	@Param			queue			path		string			true	"Name of the queue"
//	@Param			schedule		path		string			true	"Name of the schedule: 1 to 80 letters, digits, - and _"
//	@Param			If-Match		header		string			false	"Only when the schedule has this ETag"
//	@Param			If-None-Match	header		string			false	"* to create only"
//	@Param			settings		body		ScheduleInput	true	"The settings"
//	@Success		200				{object}	Schedule		"Replaced, or as it was"
//	@Header			200				{string}	ETag			"Version of the settings"
//	@Success		201				{object}	Schedule		"Created"
//	@Header			201				{string}	ETag			"Version of the settings"
//	@Header			201				{string}	Location		"The new schedule"
//	@Failure		400				{object}	Problem			"The request is malformed"
//	@Failure		403				{object}	Problem			"The queue has as many schedules as it may have"
//	@Failure		404				{object}	Problem			"No such queue"
//	@Failure		408				{object}	Problem			"The body did not arrive in time"
//	@Failure		412				{object}	Problem			"If-Match or If-None-Match did not hold"
//	@Failure		413				{object}	Problem			"The body is too large"
//	@Failure		415				{object}	Problem			"The body is not JSON"
//	@Failure		422				{object}	Problem			"A value is not allowed"
//	@Failure		507				{object}	Problem			"The storage is full"
//	@Router			/v1/queues/{queue}/schedules/{schedule} [put]
func (a *API) putSchedule(c echo.Context) error {
	buf := getBuffer()
	defer buf.release()
	body, err := a.controlBody(c, buf)
	if err != nil {
		return err
	}
	var set queues.ScheduleSettings
	if err := readJSON(body, func(r *reader) { set = r.readSchedule() }); err != nil {
		return err
	}
	cond, err := a.scheduleCondition(c)
	if err != nil {
		return err
	}
	ctx, t, _ := scope(c)
	of := a.scheduler(c)
	s, created, err := of.PutSchedule(ctx, t, of.owner, c.Param("schedule"), set, cond)
	if err != nil {
		return of.guess(c, err)
	}
	status := http.StatusOK
	if created {
		status = http.StatusCreated
		c.Response().Header().Set("Location", a.link(of.path+"/schedules/"+s.Name))
	}
	return a.answerSchedule(c, status, s)
}

// getSchedule shows a schedule.
//
//	@Summary		Get a schedule
//	@ID				getSchedule
//	@Tags			schedules
//	@Param			queue			path		string		true	"Name of the queue"
//	@Param			schedule		path		string		true	"Name of the schedule"
//	@Param			If-None-Match	header		string		false	"Only when the schedule has another ETag"
//	@Success		200				{object}	Schedule	"The schedule"
//	@Header			200				{string}	ETag		"Version of the settings"
//	@Success		304				"The settings are the same"
//	@Failure		400				{object}	Problem		"The request is malformed"
//	@Failure		404				{object}	Problem		"No such queue or schedule"
//	@Failure		415				{object}	Problem		"The request has a Content-Encoding"
//	@Failure		422				{object}	Problem		"A value is not allowed"
//	@Router			/v1/queues/{queue}/schedules/{schedule} [get]
func (a *API) getSchedule(c echo.Context) error {
	cond, err := readConditional(c)
	if err != nil {
		return err
	}
	ctx, t, _ := scope(c)
	of := a.scheduler(c)
	s, err := of.GetSchedule(ctx, t, of.owner, c.Param("schedule"))
	if err != nil {
		return of.guess(c, err)
	}
	if cond.unchanged(s.ETag) {
		return notModified(c, s.ETag)
	}
	return a.answerSchedule(c, http.StatusOK, s)
}

// listSchedules shows a part of a queue's schedules.
//
//	@Summary		List schedules
//	@Description	By name. A part may be short when messages are large.
//	@ID				listSchedules
//	@Tags			schedules
//	@Param			queue	path		string			true	"Name of the queue"
//	@Param			prefix	query		string			false	"Only names that begin with this"	maxlength(80)
//	@Param			limit	query		int				false	"How many at most"	minimum(1)	maximum(500)	default(50)
//	@Param			cursor	query		string			false	"next_cursor of the part before"
//	@Success		200		{object}	Page[Schedule]	"A part of the list"
//	@Header			200		{string}	Link			"The next part, with rel=next"
//	@Failure		400		{object}	Problem			"The request is malformed"
//	@Failure		404		{object}	Problem			"No such queue"
//	@Failure		415		{object}	Problem			"The request has a Content-Encoding"
//	@Failure		422		{object}	Problem			"A value is not allowed"
//	@Router			/v1/queues/{queue}/schedules [get]
func (a *API) listSchedules(c echo.Context) error {
	ctx, t, _ := scope(c)
	of := a.scheduler(c)
	part, err := readPart(c, "schedules", of.path)
	if err != nil {
		return err
	}
	list, next, err := of.ListSchedules(ctx, t, of.owner, part.prefix, part.after, part.limit)
	if err != nil {
		return of.guess(c, err)
	}
	data := make([]Schedule, len(list))
	for i, s := range list {
		data[i] = of.show(s, readsBodies(c))
	}
	return answerPage(a, c, data, part.cursor(next))
}

// deleteSchedule deletes a schedule.
//
//	@Summary		Delete a schedule
//	@Description	Messages that it has sent stay. Deleting a queue deletes its schedules.
//	@ID				deleteSchedule
//	@Tags			schedules
//	@Param			queue			path	string	true	"Name of the queue"
//	@Param			schedule		path	string	true	"Name of the schedule"
//	@Param			If-Match		header	string	false	"Only when the schedule has this ETag"
//	@Param			If-None-Match	header	string	false	"Only when the schedule has another ETag"
//	@Success		204				"Deleted"
//	@Failure		400				{object}	Problem	"The request is malformed"
//	@Failure		404				{object}	Problem	"No such queue or schedule"
//	@Failure		412				{object}	Problem	"If-Match or If-None-Match did not hold"
//	@Failure		415				{object}	Problem	"The request has a Content-Encoding"
//	@Failure		422				{object}	Problem	"A value is not allowed"
//	@Router			/v1/queues/{queue}/schedules/{schedule} [delete]
func (a *API) deleteSchedule(c echo.Context) error {
	cond, err := a.scheduleCondition(c)
	if err != nil {
		return err
	}
	ctx, t, _ := scope(c)
	of := a.scheduler(c)
	if err := of.DeleteSchedule(ctx, t, of.owner, c.Param("schedule"), cond); err != nil {
		return of.guess(c, err)
	}
	return c.NoContent(http.StatusNoContent)
}

// pauseSchedule ends the ticks of a schedule for a while.
//
//	@Summary		Pause a schedule
//	@Description	It sends nothing until it is resumed. To pause one that is paused replaces the reason.
//	@ID				pauseSchedule
//	@Tags			schedules
//	@Accept			json
//	@Param			queue		path		string		true	"Name of the queue"
//	@Param			schedule	path		string		true	"Name of the schedule"
//	@Param			pause		body		PauseInput	false	"Why"
//	@Success		200			{object}	Schedule	"Paused"
//	@Header			200			{string}	ETag		"Version of the settings"
//	@Failure		400			{object}	Problem		"The request is malformed"
//	@Failure		404			{object}	Problem		"No such queue or schedule"
//	@Failure		408			{object}	Problem		"The body did not arrive in time"
//	@Failure		413			{object}	Problem		"The body is too large"
//	@Failure		415			{object}	Problem		"The body is not JSON"
//	@Failure		422			{object}	Problem		"A value is not allowed"
//	@Router			/v1/queues/{queue}/schedules/{schedule}/pause [post]
func (a *API) pauseSchedule(c echo.Context) error {
	reason := ""
	err := a.readControl(c, func(r *reader) {
		r.object([]string{"reason"}, func(key []byte) {
			if string(key) == "reason" && !r.null() {
				s, _ := r.str()
				reason = string(s)
			}
		})
	})
	if err != nil {
		return err
	}
	if _, err := readQuery(c); err != nil {
		return err
	}
	ctx, t, _ := scope(c)
	of := a.scheduler(c)
	s, err := of.PauseSchedule(ctx, t, of.owner, c.Param("schedule"), reason)
	if err != nil {
		return of.guess(c, err)
	}
	return a.answerSchedule(c, http.StatusOK, s)
}

// resumeSchedule lets a schedule go on.
//
//	@Summary		Resume a schedule
//	@Description	With its next tick from now: those of the pause do not happen, whatever `missed` says.
//	@ID				resumeSchedule
//	@Tags			schedules
//	@Param			queue		path		string		true	"Name of the queue"
//	@Param			schedule	path		string		true	"Name of the schedule"
//	@Success		200			{object}	Schedule	"It goes on, or was not paused"
//	@Header			200			{string}	ETag		"Version of the settings"
//	@Failure		400			{object}	Problem		"The request is malformed"
//	@Failure		404			{object}	Problem		"No such queue or schedule"
//	@Failure		415			{object}	Problem		"The request has a Content-Encoding"
//	@Failure		422			{object}	Problem		"A value is not allowed"
//	@Router			/v1/queues/{queue}/schedules/{schedule}/resume [post]
func (a *API) resumeSchedule(c echo.Context) error {
	if _, err := readQuery(c); err != nil {
		return err
	}
	ctx, t, _ := scope(c)
	of := a.scheduler(c)
	s, err := of.ResumeSchedule(ctx, t, of.owner, c.Param("schedule"))
	if err != nil {
		return of.guess(c, err)
	}
	return a.answerSchedule(c, http.StatusOK, s)
}

// runSchedule sends the message of a schedule once.
//
//	@Summary		Send the message of a schedule now
//	@Description	Once, also while the schedule is paused. Its ticks stay as they are.
//	@ID				runSchedule
//	@Tags			schedules
//	@Param			queue			path		string		true	"Name of the queue"
//	@Param			schedule		path		string		true	"Name of the schedule"
//	@Param			Idempotency-Key	header		string		false	"The same key sends once within five minutes, or a FIFO queue's deduplication window"	maxlength(255)
//	@Success		201				{object}	SentMessage	"Sent"
//	@Header			201				{string}	Location	"The message"
//	@Header			201				{string}	Idempotent-Replayed	"true when an earlier request with this key sent it"
//	@Failure		400				{object}	Problem		"The request is malformed"
//	@Failure		404				{object}	Problem		"No such queue or schedule"
//	@Failure		413				{object}	Problem		"The queue does not take a message of this size any more"
//	@Failure		415				{object}	Problem		"The request has a Content-Encoding"
//	@Failure		422				{object}	Problem		"A value is not allowed"
//	@Failure		507				{object}	Problem		"The storage is full"
//	@Router			/v1/queues/{queue}/schedules/{schedule}/run [post]
func (a *API) runSchedule(c echo.Context) error {
	if _, err := readQuery(c); err != nil {
		return err
	}
	ctx, t, queue := scope(c)
	sent, m, err := a.Queues.RunSchedule(ctx, t, queue, c.Param("schedule"), c.Request().Header.Get("Idempotency-Key"))
	if err != nil {
		return a.guess(c, unknownOutcome(err, sent.ID))
	}
	h := c.Response().Header()
	h["Location"] = []string{a.link("/v1/queues/" + queue + "/messages/" + messageID(sent.ID))}
	if sent.Replayed {
		h.Set("Idempotent-Replayed", "true")
	}
	answer := getBuffer()
	defer answer.release()
	answer.b = appendSent(answer.b, &sent, len(m.Body), md5.Sum(m.Body))
	return a.write(c, http.StatusCreated, jsonType, answer.b)
}

// testSchedule says when a schedule would be due.
//
//	@Summary		Test the times of a schedule
//	@Description	The next five ticks of a schedule that would be made now. Nothing is kept.
//	@ID				testSchedule
//	@Tags			schedules
//	@Accept			json
//	@Param			test	body		ScheduleTest	true	"When it is due"
//	@Success		200		{object}	ScheduleTested	"Its ticks"
//	@Failure		400		{object}	Problem			"The request is malformed"
//	@Failure		404		{object}	Problem			"No such tenant"
//	@Failure		408		{object}	Problem			"The body did not arrive in time"
//	@Failure		413		{object}	Problem			"The body is too large"
//	@Failure		415		{object}	Problem			"The body is not JSON"
//	@Failure		422		{object}	Problem			"A value is not allowed"
//	@Router			/v1/schedules/test [post]
func (a *API) testSchedule(c echo.Context) error {
	if _, err := readQuery(c); err != nil {
		return err
	}
	var set queues.ScheduleSettings
	err := a.readControl(c, func(r *reader) {
		r.object(scheduleTimes, func(key []byte) { r.timing(string(key), &set) })
	})
	if err != nil {
		return err
	}
	runs, err := set.Coming(a.Clock.Now())
	if err != nil {
		return err
	}
	return a.json(c, http.StatusOK, ScheduleTested{NextRuns: localInstants(runs)})
}

func (a *API) answerSchedule(c echo.Context, status int, s queues.Schedule) error {
	c.Response().Header().Set("ETag", quoteTag(s.ETag))
	return a.json(c, status, a.scheduler(c).show(s, readsBodies(c)))
}

// scheduler is the queue or topic in a path, and what its schedules are.
type scheduler struct {
	*queues.Schedules
	owner string
	path  string // of the owner
	show  func(s queues.Schedule, message bool) Schedule
	guess func(echo.Context, error) error
}

func (a *API) scheduler(c echo.Context) scheduler {
	if topic := c.Param("topic"); topic != "" {
		return scheduler{a.Topics.Schedules, topic, "/v1/topics/" + topic, newTopicSchedule, a.guessTopic}
	}
	queue := c.Param("queue")
	return scheduler{a.Queues.Schedules, queue, "/v1/queues/" + queue, newSchedule, a.guess}
}

// scheduleCondition reads If-Match and If-None-Match for a change.
func (a *API) scheduleCondition(c echo.Context) (queues.Condition, error) {
	return readStoreCondition(c, queues.ErrSchedulePrecondition, func() (string, error) {
		ctx, t, _ := scope(c)
		of := a.scheduler(c)
		s, err := of.GetSchedule(ctx, t, of.owner, c.Param("schedule"))
		return s.ETag, err
	})
}
