package handlers

import (
	"crypto/md5" // part of the SQS protocol
	"encoding/hex"
	"net/http"

	"github.com/labstack/echo/v4"
)

// The schedules of topics are as those of queues, whose handlers do the work, but for what a run answers.

// putTopicSchedule makes a schedule of a topic or replaces its settings.
//
//	@Summary		Create or replace a schedule of a topic
//	@Description	Publishes the message again and again: at the times of `cron` in `time_zone`, or with `every` each so many seconds. Each tick publishes one message, however many servers there are. All is as in a schedule of a queue, but the message has no `delay`.
//	@Description
//	@Description	A message for a FIFO topic has a `group_id`; its deduplication id is made of the names of the schedule and the tick. A topic has at most 1,000 schedules.
//	@ID				putTopicSchedule
//	@Tags			schedules
//	@Accept			json
//	@Param			topic			path		string			true	"Name of the topic"
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
//	@Failure		403				{object}	Problem			"The topic has as many schedules as it may have"
//	@Failure		404				{object}	Problem			"No such topic"
//	@Failure		408				{object}	Problem			"The body did not arrive in time"
//	@Failure		412				{object}	Problem			"If-Match or If-None-Match did not hold"
//	@Failure		413				{object}	Problem			"The body is too large"
//	@Failure		415				{object}	Problem			"The body is not JSON"
//	@Failure		422				{object}	Problem			"A value is not allowed"
//	@Failure		507				{object}	Problem			"The storage is full"
//	@Router			/v1/topics/{topic}/schedules/{schedule} [put]
func (a *API) putTopicSchedule(c echo.Context) error { return a.putSchedule(c) }

// getTopicSchedule shows a schedule of a topic.
//
//	@Summary		Get a schedule of a topic
//	@ID				getTopicSchedule
//	@Tags			schedules
//	@Param			topic			path		string		true	"Name of the topic"
//	@Param			schedule		path		string		true	"Name of the schedule"
//	@Param			If-None-Match	header		string		false	"Only when the schedule has another ETag"
//	@Success		200				{object}	Schedule	"The schedule"
//	@Header			200				{string}	ETag		"Version of the settings"
//	@Success		304				"The settings are the same"
//	@Failure		400				{object}	Problem		"The request is malformed"
//	@Failure		404				{object}	Problem		"No such topic or schedule"
//	@Failure		415				{object}	Problem		"The request has a Content-Encoding"
//	@Failure		422				{object}	Problem		"A value is not allowed"
//	@Router			/v1/topics/{topic}/schedules/{schedule} [get]
func (a *API) getTopicSchedule(c echo.Context) error { return a.getSchedule(c) }

// listTopicSchedules shows a part of a topic's schedules.
//
//	@Summary		List schedules of a topic
//	@Description	By name. A part may be short when messages are large.
//	@ID				listTopicSchedules
//	@Tags			schedules
//	@Param			topic	path		string			true	"Name of the topic"
//	@Param			prefix	query		string			false	"Only names that begin with this"	maxlength(80)
//	@Param			limit	query		int				false	"How many at most"	minimum(1)	maximum(500)	default(50)
//	@Param			cursor	query		string			false	"next_cursor of the part before"
//	@Success		200		{object}	Page[Schedule]	"A part of the list"
//	@Header			200		{string}	Link			"The next part, with rel=next"
//	@Failure		400		{object}	Problem			"The request is malformed"
//	@Failure		404		{object}	Problem			"No such topic"
//	@Failure		415		{object}	Problem			"The request has a Content-Encoding"
//	@Failure		422		{object}	Problem			"A value is not allowed"
//	@Router			/v1/topics/{topic}/schedules [get]
func (a *API) listTopicSchedules(c echo.Context) error { return a.listSchedules(c) }

// deleteTopicSchedule deletes a schedule of a topic.
//
//	@Summary		Delete a schedule of a topic
//	@Description	Messages that it has published stay. Deleting a topic deletes its schedules.
//	@ID				deleteTopicSchedule
//	@Tags			schedules
//	@Param			topic			path	string	true	"Name of the topic"
//	@Param			schedule		path	string	true	"Name of the schedule"
//	@Param			If-Match		header	string	false	"Only when the schedule has this ETag"
//	@Param			If-None-Match	header	string	false	"Only when the schedule has another ETag"
//	@Success		204				"Deleted"
//	@Failure		400				{object}	Problem	"The request is malformed"
//	@Failure		404				{object}	Problem	"No such topic or schedule"
//	@Failure		412				{object}	Problem	"If-Match or If-None-Match did not hold"
//	@Failure		415				{object}	Problem	"The request has a Content-Encoding"
//	@Failure		422				{object}	Problem	"A value is not allowed"
//	@Router			/v1/topics/{topic}/schedules/{schedule} [delete]
func (a *API) deleteTopicSchedule(c echo.Context) error { return a.deleteSchedule(c) }

// pauseTopicSchedule ends the ticks of a schedule of a topic for a while.
//
//	@Summary		Pause a schedule of a topic
//	@Description	It publishes nothing until it is resumed. To pause one that is paused replaces the reason.
//	@ID				pauseTopicSchedule
//	@Tags			schedules
//	@Accept			json
//	@Param			topic		path		string		true	"Name of the topic"
//	@Param			schedule	path		string		true	"Name of the schedule"
//	@Param			pause		body		PauseInput	false	"Why"
//	@Success		200			{object}	Schedule	"Paused"
//	@Header			200			{string}	ETag		"Version of the settings"
//	@Failure		400			{object}	Problem		"The request is malformed"
//	@Failure		404			{object}	Problem		"No such topic or schedule"
//	@Failure		408			{object}	Problem		"The body did not arrive in time"
//	@Failure		413			{object}	Problem		"The body is too large"
//	@Failure		415			{object}	Problem		"The body is not JSON"
//	@Failure		422			{object}	Problem		"A value is not allowed"
//	@Router			/v1/topics/{topic}/schedules/{schedule}/pause [post]
func (a *API) pauseTopicSchedule(c echo.Context) error { return a.pauseSchedule(c) }

// resumeTopicSchedule lets a schedule of a topic go on.
//
//	@Summary		Resume a schedule of a topic
//	@Description	With its next tick from now: those of the pause do not happen, whatever `missed` says.
//	@ID				resumeTopicSchedule
//	@Tags			schedules
//	@Param			topic		path		string		true	"Name of the topic"
//	@Param			schedule	path		string		true	"Name of the schedule"
//	@Success		200			{object}	Schedule	"It goes on, or was not paused"
//	@Header			200			{string}	ETag		"Version of the settings"
//	@Failure		400			{object}	Problem		"The request is malformed"
//	@Failure		404			{object}	Problem		"No such topic or schedule"
//	@Failure		415			{object}	Problem		"The request has a Content-Encoding"
//	@Failure		422			{object}	Problem		"A value is not allowed"
//	@Router			/v1/topics/{topic}/schedules/{schedule}/resume [post]
func (a *API) resumeTopicSchedule(c echo.Context) error { return a.resumeSchedule(c) }

// runTopicSchedule publishes the message of a schedule once.
//
//	@Summary		Publish the message of a schedule now
//	@Description	Once, also while the schedule is paused. Its ticks stay as they are.
//	@ID				runTopicSchedule
//	@Tags			schedules
//	@Param			topic			path		string				true	"Name of the topic"
//	@Param			schedule		path		string				true	"Name of the schedule"
//	@Param			Idempotency-Key	header		string				false	"The same key publishes once within five minutes"	maxlength(255)
//	@Success		201				{object}	PublishedMessage	"Published"
//	@Header			201				{string}	Idempotent-Replayed	"true when an earlier request with this key published it"
//	@Failure		400				{object}	Problem				"The request is malformed"
//	@Failure		404				{object}	Problem				"No such topic or schedule"
//	@Failure		413				{object}	Problem				"The tenant may not publish a message of this size any more"
//	@Failure		415				{object}	Problem				"The request has a Content-Encoding"
//	@Failure		422				{object}	Problem				"A value is not allowed"
//	@Failure		507				{object}	Problem				"The log or the storage is full"
//	@Router			/v1/topics/{topic}/schedules/{schedule}/run [post]
func (a *API) runTopicSchedule(c echo.Context) error {
	if _, err := readQuery(c); err != nil {
		return err
	}
	ctx, t, _ := scope(c)
	sent, m, err := a.Topics.RunSchedule(ctx, t, c.Param("topic"), c.Param("schedule"), c.Request().Header.Get("Idempotency-Key"))
	if err != nil {
		return a.guessTopic(c, unknownOutcome(err, sent.ID))
	}
	if sent.Replayed {
		c.Response().Header().Set("Idempotent-Replayed", "true")
	}
	sum := md5.Sum(m.Body)
	return a.json(c, http.StatusCreated, PublishedMessage{ID: messageID(sent.ID), Size: len(m.Body), MD5OfBody: hex.EncodeToString(sum[:]),
		SequenceNumber: sent.SequenceNumber, PublishedAt: Instant{sent.AvailableAt}})
}
