package handlers

import (
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/sluicemq/sluice/auth"
	"github.com/sluicemq/sluice/internal/errs"
	"github.com/sluicemq/sluice/monitor/alarms"
	"github.com/sluicemq/sluice/queues"
)

// Alarm compares what is seen with a threshold, and tells when that changes.
type Alarm struct {
	Name string `json:"name" example:"orders-deep"`
	// For people, such as what to do; it is in each message about the alarm.
	Description string `json:"description" example:"See the runbook."`
	// What the alarm looks at.
	Metric string      `json:"metric" enums:"available,in_flight,delayed,oldest_age,dead_lettered,unreceived,webhook_failure_rate,quota_used"`
	Target AlarmTarget `json:"target"`
	// How a value compares with the threshold that is beyond it.
	Comparison string  `json:"comparison" example:">"`
	Threshold  float64 `json:"threshold" example:"1000"`
	// Seconds from one look to the next.
	Period int `json:"period" example:"60"`
	// For how many looks in a row a value must be beyond the threshold.
	Periods int         `json:"periods" example:"3"`
	Notify  AlarmNotify `json:"notify"`
	// Whether anybody looks.
	Enabled bool `json:"enabled" example:"true"`

	// What was found; `no_data` when nobody has looked yet, or there is nothing to look at.
	State string `json:"state" enums:"ok,alarm,no_data"`
	// Since when it has been so.
	Since Instant `json:"since" swaggertype:"string" format:"date-time"`
	// The worst value at the last look; null for none.
	Value *float64 `json:"value" extensions:"x-nullable" example:"1532"`
	// Whose value that is: a queue, a webhook as topic/subscription, or a limit; null for none.
	Seen *string `json:"seen" extensions:"x-nullable" example:"orders"`
	// When anybody looked last; null: not since the settings were changed.
	EvaluatedAt *Instant `json:"evaluated_at" swaggertype:"string" format:"date-time" extensions:"x-nullable"`
	// Until when nobody is told; null: everybody is.
	MutedUntil *Instant `json:"muted_until" swaggertype:"string" format:"date-time" extensions:"x-nullable"`
	// Why, in the words of who muted it; null when nobody said.
	MuteReason *string `json:"mute_reason" extensions:"x-nullable" example:"migration"`
	// Why not all were told of the last change; null when they were, or need not be.
	LastError *AlarmError `json:"last_error" extensions:"x-nullable"`
	CreatedAt Instant     `json:"created_at" swaggertype:"string" format:"date-time"`
	UpdatedAt Instant     `json:"updated_at" swaggertype:"string" format:"date-time"`
	// Changes with the settings; the header ETag has it in quotes.
	ETag string `json:"etag" example:"5f3a90c1d2e47b68"`
}

// AlarmTarget is what an alarm looks at: queues, or webhooks; with the metric quota_used neither. Names may be patterns, in
// which * stands for any text.
type AlarmTarget struct {
	Queue string `json:"queue,omitempty" validate:"max=256" example:"orders-*"`
	// With the metric webhook_failure_rate: of the webhooks.
	Topic        string `json:"topic,omitempty" validate:"max=256" example:"*"`
	Subscription string `json:"subscription,omitempty" validate:"max=256" example:"*"`
	// Patterns of queues, or of webhooks as topic/subscription, that are left out.
	Except []string `json:"except,omitempty" validate:"max=10" example:"*-dlq"`
}

// AlarmNotify says who is told.
type AlarmNotify struct {
	// The topic to which changes are published; null for none. Its subscriptions say who gets them: queues, or webhooks.
	Topic *string `json:"topic" extensions:"x-nullable" example:"alerts"`
	// Members of the tenant who get a letter of each change.
	Email []string `json:"email" example:"ana@example.com"`
	// Of which states.
	On []string `json:"on" example:"alarm,ok"`
}

// AlarmError is why somebody was not told of a change.
type AlarmError struct {
	At Instant `json:"at" swaggertype:"string" format:"date-time"`
	// As the code of the problem that a publish would have got; or of letters mail_failed, mail_refused, mail_limit, mail_off or not_a_member.
	Code string `json:"code" example:"topic_not_found"`
	// For people. May change.
	Detail string `json:"detail" example:"There is no topic \"alerts\"."`
}

// AlarmInput is what a client says of an alarm. What is missing or null has its default.
type AlarmInput struct {
	Description string `json:"description,omitempty" validate:"max=500" example:"See the runbook."`
	// What the alarm looks at: messages that are available, in flight or delayed; seconds that the oldest one waits (oldest_age);
	// messages that were dead-lettered in a period; seconds for which a queue has messages and nobody receives (unreceived);
	// per cent of the attempts of a period that failed; or per cent of the limit of which most is used.
	Metric string      `json:"metric" validate:"oneof=available in_flight delayed oldest_age dead_lettered unreceived webhook_failure_rate quota_used" example:"available"`
	Target AlarmTarget `json:"target,omitempty"`
	// How a value compares with the threshold that is beyond it.
	Comparison string  `json:"comparison,omitempty" enums:">,>=,<,<=" default:">"`
	Threshold  float64 `json:"threshold,omitempty" validate:"min=0" default:"0" example:"1000"`
	// Seconds from one look to the next, or text such as "5m": whole minutes.
	Period *int `json:"period,omitempty" validate:"min=60,max=86400" default:"60"`
	// For how many looks in a row a value must be beyond the threshold.
	Periods *int              `json:"periods,omitempty" validate:"min=1,max=60" default:"1"`
	Notify  *AlarmNotifyInput `json:"notify,omitempty"`
	// false: nobody looks.
	Enabled *bool `json:"enabled,omitempty" default:"true"`
}

// AlarmNotifyInput says who is to be told.
type AlarmNotifyInput struct {
	// A topic of the same tenant.
	Topic string `json:"topic,omitempty" example:"alerts" extensions:"x-nullable"`
	// Addresses of members of the tenant who have set a password; where the server sends letters.
	Email []string `json:"email,omitempty" validate:"max=10" example:"ana@example.com"`
	// Of which states. Default: alarm and ok.
	On []string `json:"on,omitempty" enums:"ok,alarm,no_data" example:"alarm,ok"`
}

// AlarmMute says for how long an alarm tells nobody.
type AlarmMute struct {
	// Seconds, or text such as "2h"; at most 30 days.
	For int `json:"for" validate:"min=1,max=2592000" example:"7200"`
	// Why.
	Reason string `json:"reason,omitempty" validate:"max=255" example:"migration"`
}

// AlarmChange is a change of an alarm's state.
type AlarmChange struct {
	At   Instant `json:"at" swaggertype:"string" format:"date-time"`
	From string  `json:"from" enums:"ok,alarm,no_data"`
	To   string  `json:"to" enums:"ok,alarm,no_data"`
	// The worst value; null for none.
	Value *float64 `json:"value" extensions:"x-nullable" example:"1532"`
	// What was beyond the threshold, the worst first, up to 20; or whose the value is.
	Names []string `json:"names" example:"orders"`
	// For people. May change.
	Reason string `json:"reason" example:"available of orders is 1532, which is > 1000, for 3 periods of 60 seconds."`
	// Nobody was told, because the alarm was muted.
	Muted bool `json:"muted" example:"false"`
}

// SuggestedAlarms says how the suggested alarms are made.
type SuggestedAlarms struct {
	// To which topic they publish. Default: to none.
	Topic string `json:"topic,omitempty" example:"alerts" extensions:"x-nullable"`
}

func newAlarm(e alarms.Entry) Alarm {
	set := e.Settings
	out := Alarm{Name: e.Name, Description: set.Description, Metric: string(set.Metric),
		Target:     AlarmTarget{set.Queue, set.Topic, set.Subscription, set.Except},
		Comparison: string(set.Comparison), Threshold: set.Threshold, Period: wholeSeconds(set.Period), Periods: set.Periods,
		Notify: AlarmNotify{Email: append([]string{}, set.NotifyEmail...), On: make([]string, len(set.NotifyOn))}, Enabled: !set.Disabled,
		State: string(e.State), Since: Instant{e.Since}, Value: e.Value, EvaluatedAt: instant(e.Looked), MutedUntil: instant(e.Muted),
		CreatedAt: Instant{e.Created}, UpdatedAt: Instant{e.Updated}, ETag: e.ETag}
	for i, s := range set.NotifyOn {
		out.Notify.On[i] = string(s)
	}
	if set.NotifyTopic != "" {
		out.Notify.Topic = &set.NotifyTopic
	}
	if e.Seen != "" {
		out.Seen = &e.Seen
	}
	if e.MutedFor != "" {
		out.MuteReason = &e.MutedFor
	}
	if t := e.Trouble; t != nil {
		out.LastError = &AlarmError{Instant{t.At}, t.Code, t.Message}
	}
	return out
}

var (
	alarmNames  = []string{"description", "metric", "target", "comparison", "threshold", "period", "periods", "notify", "enabled"}
	targetNames = []string{"queue", "topic", "subscription", "except"}
	// alarmReadOnly are the members of Alarm that nobody sets.
	alarmReadOnly = map[string]bool{"name": true, "state": true, "since": true, "value": true, "seen": true, "evaluated_at": true,
		"muted_until": true, "mute_reason": true, "last_error": true, "created_at": true, "updated_at": true, "etag": true}
)

// words reads text, or null for what there was.
func (r *reader) words(set func(string)) {
	if r.null() {
		return
	}
	if text, ok := r.str(); ok {
		set(string(text))
	}
}

// readAlarm reads an AlarmInput.
func (r *reader) readAlarm() alarms.Settings {
	s := alarms.Default()
	r.object(alarmNames, func(key []byte) {
		switch string(key) {
		case "description":
			r.words(func(text string) { s.Description = text })
		case "metric":
			r.words(func(text string) { s.Metric = alarms.Metric(text) })
		case "target":
			if !r.null() {
				r.readTarget(&s)
			}
		case "comparison":
			r.words(func(text string) { s.Comparison = alarms.Comparison(text) })
		case "threshold":
			if !r.null() {
				s.Threshold, _ = r.decimal(alarms.MaxThreshold)
			}
		case "period":
			if r.null() {
				return
			}
			if d, ok := r.duration(); ok {
				s.Period = d
			}
		case "periods":
			if r.null() {
				return
			}
			if n, ok := r.integer(1, alarms.MaxPeriods); ok {
				s.Periods = int(n)
			}
		case "notify":
			if !r.null() {
				r.readNotify(&s)
			}
		case "enabled":
			if r.null() {
				return
			}
			if on, ok := r.boolean(); ok {
				s.Disabled = !on
			}
		default:
			if alarmReadOnly[string(key)] {
				r.fault(unknownField, "is read-only: leave it out")
				r.skip()
			}
		}
	})
	return s
}

func (r *reader) readTarget(s *alarms.Settings) {
	r.object(targetNames, func(key []byte) {
		switch string(key) {
		case "queue":
			r.words(func(text string) { s.Queue = text })
		case "topic":
			r.words(func(text string) { s.Topic = text })
		case "subscription":
			r.words(func(text string) { s.Subscription = text })
		case "except":
			if !r.null() {
				r.array(alarms.MaxExcept, func(int) { r.words(func(text string) { s.Except = append(s.Except, text) }) })
			}
		}
	})
}

func (r *reader) readNotify(s *alarms.Settings) {
	r.object([]string{"topic", "email", "on"}, func(key []byte) {
		switch string(key) {
		case "topic":
			r.words(func(text string) { s.NotifyTopic = text })
		case "email":
			if !r.null() {
				r.array(alarms.MaxEmails, func(int) { r.words(func(text string) { s.NotifyEmail = append(s.NotifyEmail, text) }) })
			}
		case "on":
			if !r.null() {
				s.NotifyOn = []alarms.State{}
				r.array(len(alarms.States), func(int) { r.words(func(text string) { s.NotifyOn = append(s.NotifyOn, alarms.State(text)) }) })
			}
		}
	})
}

// errNoAlarms refuses alarms to keys that reach only some queues: an alarm may look at all of them.
var errNoAlarms = &errs.Error{Kind: errs.Forbidden, Code: auth.ErrPermissionDenied.Code,
	Message: "The key reaches only some queues, and so no alarms.",
	Fix:     "Use a key that reaches all queues. GET /v1/whoami shows which queues a key reaches."}

// putAlarm makes an alarm or replaces its settings.
//
//	@Summary		Create or replace an alarm
//	@Description	Looks once in each `period` at what `metric` and `target` say. Once a value has been beyond the threshold for `periods` looks in a row, the state is `alarm`; when none is any more, it is `ok`; when there is nothing to look at, it is `no_data`. Each change is in the history, published to the topic of `notify`, and written to its members.
//	@Description
//	@Description	An alarm has one state, however many queues its target means. What the body leaves out has its default, also when the alarm is there already. A changed alarm keeps its state until the next look. A tenant has at most 100 alarms.
//	@ID				putAlarm
//	@Tags			alarms
//	@Accept			json
//	@Param			alarm			path		string		true	"Name of the alarm: 1 to 80 letters, digits, - and _"
//	@Param			If-Match		header		string		false	"Only when the alarm has this ETag"
//	@Param			If-None-Match	header		string		false	"* to create only"
//	@Param			settings		body		AlarmInput	true	"The settings"
//	@Success		200				{object}	Alarm		"Replaced, or as it was"
//	@Header			200				{string}	ETag		"Version of the settings"
//	@Success		201				{object}	Alarm		"Created"
//	@Header			201				{string}	ETag		"Version of the settings"
//	@Header			201				{string}	Location	"The new alarm"
//	@Failure		400				{object}	Problem		"The request is malformed"
//	@Failure		403				{object}	Problem		"The tenant has as many alarms as it may have"
//	@Failure		404				{object}	Problem		"No such tenant"
//	@Failure		408				{object}	Problem		"The body did not arrive in time"
//	@Failure		409				{object}	Problem		"Others change the alarm again and again"
//	@Failure		412				{object}	Problem		"If-Match or If-None-Match did not hold"
//	@Failure		413				{object}	Problem		"The body is too large"
//	@Failure		415				{object}	Problem		"The body is not JSON"
//	@Failure		422				{object}	Problem		"A value is not allowed"
//	@Failure		507				{object}	Problem		"The storage is full"
//	@Router			/v1/alarms/{alarm} [put]
func (a *API) putAlarm(c echo.Context) error {
	var set alarms.Settings
	if err := a.readControl(c, func(r *reader) { set = r.readAlarm() }); err != nil {
		return err
	}
	cond, err := a.alarmCondition(c)
	if err != nil {
		return err
	}
	ctx, t, _ := scope(c)
	e, created, err := a.Alarms.Put(ctx, t, c.Param("alarm"), set, cond)
	if err != nil {
		return err
	}
	status := http.StatusOK
	if created {
		status = http.StatusCreated
		c.Response().Header().Set("Location", a.link("/v1/alarms/"+e.Name))
	}
	return a.answerAlarm(c, status, e)
}

// getAlarm shows an alarm.
//
//	@Summary		Get an alarm
//	@ID				getAlarm
//	@Tags			alarms
//	@Param			alarm			path		string	true	"Name of the alarm"
//	@Param			If-None-Match	header		string	false	"Only when the alarm has another ETag"
//	@Success		200				{object}	Alarm	"The alarm"
//	@Header			200				{string}	ETag	"Version of the settings"
//	@Success		304				"The settings are the same"
//	@Failure		400				{object}	Problem	"The request is malformed"
//	@Failure		404				{object}	Problem	"No such alarm"
//	@Failure		415				{object}	Problem	"The request has a Content-Encoding"
//	@Failure		422				{object}	Problem	"A value is not allowed"
//	@Router			/v1/alarms/{alarm} [get]
func (a *API) getAlarm(c echo.Context) error {
	cond, err := readConditional(c)
	if err != nil {
		return err
	}
	ctx, t, _ := scope(c)
	e, err := a.Alarms.Get(ctx, t, c.Param("alarm"))
	if err != nil {
		return err
	}
	if cond.unchanged(e.ETag) {
		return notModified(c, e.ETag)
	}
	return a.answerAlarm(c, http.StatusOK, e)
}

// listAlarms shows a part of a tenant's alarms.
//
//	@Summary		List alarms
//	@Description	By name.
//	@ID				listAlarms
//	@Tags			alarms
//	@Param			prefix	query		string		false	"Only names that begin with this"	maxlength(80)
//	@Param			state	query		string		false	"Only those in this state"	Enums(any, ok, alarm, no_data)	default(any)
//	@Param			limit	query		int			false	"How many at most"	minimum(1)	maximum(500)	default(50)
//	@Param			cursor	query		string		false	"next_cursor of the part before"
//	@Success		200		{object}	Page[Alarm]	"A part of the list"
//	@Header			200		{string}	Link		"The next part, with rel=next"
//	@Failure		400		{object}	Problem		"The request is malformed"
//	@Failure		404		{object}	Problem		"No such tenant"
//	@Failure		415		{object}	Problem		"The request has a Content-Encoding"
//	@Failure		422		{object}	Problem		"A value is not allowed"
//	@Router			/v1/alarms [get]
func (a *API) listAlarms(c echo.Context) error {
	q, err := readQuery(c, "prefix", "state", "limit", "cursor")
	if err != nil {
		return err
	}
	state, err := q.choice("state", "any", string(alarms.OK), string(alarms.Alarm), string(alarms.Unknown))
	if err != nil {
		return err
	}
	limit, err := pageQuery(&q)
	if err != nil {
		return err
	}
	prefix := q.text("prefix")
	after, err := decodeCursor("alarms", prefix+"\x00"+state, &q)
	if err != nil {
		return err
	}
	ctx, t, _ := scope(c)
	list, err := a.Alarms.List(ctx, t)
	if err != nil {
		return err
	}
	data, next := []Alarm{}, ""
	for _, e := range list {
		if e.Name <= after || !strings.HasPrefix(e.Name, prefix) || state != "any" && state != string(e.State) {
			continue
		}
		if len(data) == limit {
			next = data[limit-1].Name
			break
		}
		data = append(data, newAlarm(e))
	}
	return answerPage(a, c, data, encodeCursor("alarms", prefix+"\x00"+state, next))
}

// deleteAlarm deletes an alarm.
//
//	@Summary		Delete an alarm
//	@Description	With its history.
//	@ID				deleteAlarm
//	@Tags			alarms
//	@Param			alarm			path	string	true	"Name of the alarm"
//	@Param			If-Match		header	string	false	"Only when the alarm has this ETag"
//	@Param			If-None-Match	header	string	false	"Only when the alarm has another ETag"
//	@Success		204				"Deleted"
//	@Failure		400				{object}	Problem	"The request is malformed"
//	@Failure		404				{object}	Problem	"No such alarm"
//	@Failure		409				{object}	Problem	"Others change the alarm again and again"
//	@Failure		412				{object}	Problem	"If-Match or If-None-Match did not hold"
//	@Failure		415				{object}	Problem	"The request has a Content-Encoding"
//	@Failure		422				{object}	Problem	"A value is not allowed"
//	@Router			/v1/alarms/{alarm} [delete]
func (a *API) deleteAlarm(c echo.Context) error {
	cond, err := a.alarmCondition(c)
	if err != nil {
		return err
	}
	ctx, t, _ := scope(c)
	if err := a.Alarms.Delete(ctx, t, c.Param("alarm"), cond); err != nil {
		return err
	}
	return c.NoContent(http.StatusNoContent)
}

// muteAlarm keeps an alarm from telling anybody for a while.
//
//	@Summary		Mute an alarm
//	@Description	Changes of its state are in the history and are not published, also not later. To mute one that is muted replaces time and reason.
//	@ID				muteAlarm
//	@Tags			alarms
//	@Accept			json
//	@Param			alarm	path		string		true	"Name of the alarm"
//	@Param			mute	body		AlarmMute	true	"For how long, and why"
//	@Success		200		{object}	Alarm		"Muted"
//	@Header			200		{string}	ETag		"Version of the settings"
//	@Failure		400		{object}	Problem		"The request is malformed"
//	@Failure		404		{object}	Problem		"No such alarm"
//	@Failure		408		{object}	Problem		"The body did not arrive in time"
//	@Failure		409		{object}	Problem		"Others change the alarm again and again"
//	@Failure		413		{object}	Problem		"The body is too large"
//	@Failure		415		{object}	Problem		"The body is not JSON"
//	@Failure		422		{object}	Problem		"A value is not allowed"
//	@Router			/v1/alarms/{alarm}/mute [post]
func (a *API) muteAlarm(c echo.Context) error {
	var d time.Duration
	reason := ""
	err := a.readControl(c, func(r *reader) {
		has := false
		r.object([]string{"for", "reason"}, func(key []byte) {
			switch string(key) {
			case "for":
				has = true
				if span, ok := r.duration(); ok && (span <= 0 || span > alarms.MaxMute) {
					r.fault("out_of_range", "must be 1 to %d seconds", wholeSeconds(alarms.MaxMute))
				} else {
					d = span
				}
			case "reason":
				r.words(func(text string) { reason = text })
			}
		})
		if !has && r.err == nil {
			r.fault("required", "must have the member for")
		}
	})
	if err != nil {
		return err
	}
	return a.mute(c, d, reason)
}

// unmuteAlarm lets an alarm tell of changes again.
//
//	@Summary		Unmute an alarm
//	@ID				unmuteAlarm
//	@Tags			alarms
//	@Param			alarm	path		string	true	"Name of the alarm"
//	@Success		200		{object}	Alarm	"It tells of changes"
//	@Header			200		{string}	ETag	"Version of the settings"
//	@Failure		400		{object}	Problem	"The request is malformed"
//	@Failure		404		{object}	Problem	"No such alarm"
//	@Failure		409		{object}	Problem	"Others change the alarm again and again"
//	@Failure		415		{object}	Problem	"The request has a Content-Encoding"
//	@Failure		422		{object}	Problem	"A value is not allowed"
//	@Router			/v1/alarms/{alarm}/unmute [post]
func (a *API) unmuteAlarm(c echo.Context) error { return a.mute(c, 0, "") }

func (a *API) mute(c echo.Context, d time.Duration, reason string) error {
	if _, err := readQuery(c); err != nil {
		return err
	}
	ctx, t, _ := scope(c)
	e, err := a.Alarms.Mute(ctx, t, c.Param("alarm"), d, reason)
	if err != nil {
		return err
	}
	return a.answerAlarm(c, http.StatusOK, e)
}

// getAlarmHistory shows the changes of an alarm's state.
//
//	@Summary		Get the history of an alarm
//	@Description	The last 100 changes of its state, the latest first.
//	@ID				getAlarmHistory
//	@Tags			alarms
//	@Param			alarm	path		string				true	"Name of the alarm"
//	@Success		200		{object}	Page[AlarmChange]	"The changes"
//	@Failure		400		{object}	Problem				"The request is malformed"
//	@Failure		404		{object}	Problem				"No such alarm"
//	@Failure		415		{object}	Problem				"The request has a Content-Encoding"
//	@Failure		422		{object}	Problem				"A value is not allowed"
//	@Router			/v1/alarms/{alarm}/history [get]
func (a *API) getAlarmHistory(c echo.Context) error {
	if _, err := readQuery(c); err != nil {
		return err
	}
	ctx, t, _ := scope(c)
	list, err := a.Alarms.History(ctx, t, c.Param("alarm"))
	if err != nil {
		return err
	}
	data := make([]AlarmChange, len(list))
	for i, h := range list {
		data[i] = AlarmChange{At: Instant{h.At}, From: string(h.From), To: string(h.To), Value: h.Value, Names: h.Names, Reason: h.Why, Muted: h.Muted}
		if h.Names == nil {
			data[i].Names = []string{}
		}
	}
	return answerPage(a, c, data, "")
}

// addSuggestedAlarms makes the alarms that most tenants want.
//
//	@Summary		Create the suggested alarms
//	@Description	Of dead letters, of messages that are older than an hour, of queues from which nobody receives, of webhooks that fail, and of limits of which 80 or 95 per cent are used. Alarms of these names that are there already stay as they are.
//	@ID				addSuggestedAlarms
//	@Tags			alarms
//	@Accept			json
//	@Param			options	body		SuggestedAlarms	false	"To which topic they publish"
//	@Success		200		{object}	Page[Alarm]		"All of them, as they are now"
//	@Failure		400		{object}	Problem			"The request is malformed"
//	@Failure		403		{object}	Problem			"The tenant has as many alarms as it may have"
//	@Failure		404		{object}	Problem			"No such tenant"
//	@Failure		408		{object}	Problem			"The body did not arrive in time"
//	@Failure		409		{object}	Problem			"Others change an alarm again and again"
//	@Failure		413		{object}	Problem			"The body is too large"
//	@Failure		415		{object}	Problem			"The body is not JSON"
//	@Failure		422		{object}	Problem			"A value is not allowed"
//	@Failure		507		{object}	Problem			"The storage is full"
//	@Router			/v1/suggested_alarms [post]
func (a *API) addSuggestedAlarms(c echo.Context) error {
	topic := ""
	err := a.readControl(c, func(r *reader) {
		r.object([]string{"topic"}, func(key []byte) {
			if string(key) == "topic" {
				r.words(func(text string) { topic = text })
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
	suggested := alarms.Suggested(topic)
	data := []Alarm{}
	for _, name := range slices.Sorted(maps.Keys(suggested)) {
		e, _, err := a.Alarms.Put(ctx, t, name, suggested[name], queues.Condition{Missing: true})
		if errs.KindOf(err) == errs.Precondition {
			e, err = a.Alarms.Get(ctx, t, name)
		}
		if err != nil {
			return err
		}
		data = append(data, newAlarm(e))
	}
	return answerPage(a, c, data, "")
}

func (a *API) answerAlarm(c echo.Context, status int, e alarms.Entry) error {
	c.Response().Header().Set("ETag", quoteTag(e.ETag))
	return a.json(c, status, newAlarm(e))
}

// alarmCondition reads If-Match and If-None-Match for a change.
func (a *API) alarmCondition(c echo.Context) (queues.Condition, error) {
	return readStoreCondition(c, alarms.ErrPrecondition, func() (string, error) {
		ctx, t, _ := scope(c)
		e, err := a.Alarms.Get(ctx, t, c.Param("alarm"))
		return e.ETag, err
	})
}
