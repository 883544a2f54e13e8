package handlers

import (
	"errors"

	"github.com/labstack/echo/v4"

	"github.com/sluicemq/sluice/auth"
	"github.com/sluicemq/sluice/monitor/feed"
)

// ChangeEvent says that something may be other than it was.
type ChangeEvent struct {
	Type string `json:"type" enums:"queue,schedule,topic,subscription,topic_subscription,alarm,task,key,member,portal_link,session,tenant,plan,operator,operator_key"`
	// Its name or id; null: any of this type may have changed.
	Name *string `json:"name" extensions:"x-nullable" example:"orders"`
	// The queue to which it belongs.
	Queue *string `json:"queue" extensions:"x-nullable" example:"orders"`
	// The topic to which it belongs.
	Topic *string `json:"topic" extensions:"x-nullable" example:"orders.created"`
	// What was asked for, as in the audit log; null where it has changed by itself.
	Operation *string `json:"operation" extensions:"x-nullable" example:"updateQueue"`
	// Of a task or an alarm that has changed by itself: its status, or its state.
	State *string `json:"state" extensions:"x-nullable" example:"succeeded"`
	// Another stream with this `cursor` goes on behind this event.
	Cursor string `json:"cursor" example:"1772438400000"`
}

// ChangeItem is what a line or an event of the stream holds: one of the two.
type ChangeItem struct {
	Change ChangeEvent `json:"change"`
	Event  StreamEvent `json:"event"`
}

// seenWith says which scope a key needs to hear of changes of a type.
var seenWith = map[string]auth.Scopes{}

func init() {
	for kind, scope := range map[string]string{
		"queue": "queues:read", "schedule": "schedules:read", "topic": "topics:read", "subscription": "topics:read", "topic_subscription": "topics:read", "alarm": "alarms:read",
		"task": "tasks:read", "key": "keys:read", "session": "keys:read", "member": "members:read", "portal_link": "portal_links:read",
		"tenant": "tenants:read", "plan": "plans:read", "operator": "operators:read", "operator_key": "operator_keys:read",
	} {
		seenWith[kind] = auth.MustScope(scope)
	}
}

// streamEvents says what changes.
//
//	@Summary		Follow what changes as a stream
//	@Description	Says that a queue, a topic, a subscription, a topic subscription, a schedule, an alarm, a task, a key, a member, a portal link or a session was made, changed or deleted, by whomever, within three seconds; and of alarms and tasks also when they change by themselves. An event says what to look at again, not what is there. Messages that come and go are no events.
//	@Description
//	@Description	A key hears of what it may read, and one that is limited to some queues of those. An operator who names no tenant hears of tenants, plans, operators, their keys and the installation's tasks.
//	@Description
//	@Description	Each event is told at least once, also to whoever connects again with the last `cursor`; then some may come twice. Where more has happened than can be told, `name` is null: anything of that type may have changed.
//	@Description
//	@Description	Each line is an event, or an object with the member `event`. With `Accept: text/event-stream` they are server-sent events of the types `change`, whose id is the cursor, and `end`. Each 15 seconds in which nothing else comes there is an empty line, or a comment.
//	@ID				streamEvents
//	@Tags			audit
//	@Param			cursor			query		string		false	"Go on behind the event with this cursor"	maxlength(13)
//	@Param			Last-Event-ID	header		string		false	"The same as cursor, and comes before it: browsers send it when they connect again"
//	@Success		200				{object}	ChangeItem	"Changes and events, until one side ends it"
//	@Failure		400				{object}	Problem		"The request is malformed"
//	@Failure		404				{object}	Problem		"No such tenant"
//	@Failure		415				{object}	Problem		"The request has a Content-Encoding"
//	@Failure		422				{object}	Problem		"A value is not allowed"
//	@Router			/v1/events [get]
func (a *API) streamEvents(c echo.Context) error {
	q, err := readQuery(c, "cursor")
	if err != nil {
		return err
	}
	last, err := lastEvent(c)
	if err != nil {
		return err
	}
	cursor, inHeader := q.text("cursor"), last != ""
	if inHeader {
		cursor = last
	}
	leave, err := a.enterStream(c)
	if err != nil {
		return err
	}
	defer leave()
	f, err := a.Feed.Follow(c.Request().Context(), RequestOf(c).Tenant, cursor)
	switch {
	case errors.Is(err, feed.ErrCursor) && inHeader:
		return headerFault("Last-Event-ID", "invalid", "must be the id of an event of this stream")
	case errors.Is(err, feed.ErrCursor):
		return queryFault("cursor", "invalid", "must be the cursor of an event of this stream")
	case err != nil:
		return err
	}
	defer f.Close()
	err = a.follow(c, nil, func(s *stream) error { return a.showChanges(c, s, f) })
	a.Logger.Debug("a stream of events has ended", "error", err)
	return nil
}

// showChanges writes what has changed, as far as the key may read it.
func (a *API) showChanges(c echo.Context, s *stream, f *feed.Follower) error {
	list, err := f.Take(c.Request().Context())
	if err != nil {
		return err
	}
	for i := range list {
		e := &list[i]
		if !hearsOf(grants(c), e) {
			continue
		}
		text, err := marshal(ChangeEvent{Type: e.Type, Name: textOrNull(e.Name), Queue: textOrNull(e.Queue), Topic: textOrNull(e.Topic),
			Operation: textOrNull(e.Operation), State: textOrNull(e.State), Cursor: e.Cursor})
		if err != nil {
			return final{err}
		}
		if err := s.item("change", e.Cursor, func(b []byte) []byte { return append(b, text[:len(text)-1]...) }); err != nil {
			return broken{err}
		}
	}
	return unless(s.flush())
}

// hearsOf reports whether a key is told of a change.
func hearsOf(g *auth.Grants, e *feed.Change) bool {
	scope, known := seenWith[e.Type]
	switch {
	case !known || !g.May(scope):
		return false
	case !g.Limited():
		return true
	case e.Type == "queue" && e.Name != "":
		return g.Reaches(e.Name)
	}
	return e.Queue != "" && g.Reaches(e.Queue) || e.Name == "" && (e.Type == "queue" || e.Type == "schedule" || e.Type == "task")
}
