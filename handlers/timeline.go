package handlers

import (
	"net/http"

	"github.com/labstack/echo/v4"

	"github.com/sluicemq/sluice/internal/engine"
	"github.com/sluicemq/sluice/queues"
)

// Timeline is what became of a message.
type Timeline struct {
	MessageID string `json:"message_id" example:"msg_0kq1zv3m5c8g02r4b7fg"`
	// Oldest first.
	Events []TimelineEvent `json:"events"`
	// How many are left out behind the first one, because there were more than a timeline holds.
	Omitted int `json:"omitted" example:"0"`
}

// TimelineEvent is one thing that happened to a message. It has what there is to say of it.
type TimelineEvent struct {
	At Instant `json:"at" swaggertype:"string" format:"date-time"`
	// The message is not in the queue any more after one of the last eight.
	Event string `json:"event" enums:"sent,arrived,received,lease_extended,returned,put_back,lease_ended,rescheduled,came_back,acknowledged,dead_lettered,forwarded,moved,expired,dropped,deleted,purged" example:"received"`
	// Who did it; null for what nobody did.
	Actor *TimelineActor `json:"actor" extensions:"x-nullable"`
	// Which delivery it is about; those whose consumer did not get the message count.
	Delivery       int      `json:"delivery,omitempty" example:"1"`
	LeaseExpiresAt *Instant `json:"lease_expires_at,omitempty" swaggertype:"string" format:"date-time"`
	// From when on the message can be received; without it at once.
	AvailableAt *Instant `json:"available_at,omitempty" swaggertype:"string" format:"date-time"`
	// What the consumer called itself.
	Consumer string `json:"consumer,omitempty" example:"worker-7"`
	// What the consumer said: its first 256 bytes.
	Error string `json:"error,omitempty" example:"the card was declined"`
	// Why it left for the dead-letter queue, or came here from another queue, or by what it expired.
	Reason string `json:"reason,omitempty" enums:"max_receives,rejected,overflow,moved,ttl,retention"`
	// The queue from which it came or to which it went.
	Queue string `json:"queue,omitempty" example:"orders-dlq"`
	// The id that it had or has there.
	MessageID string `json:"message_id,omitempty" example:"msg_0kq1zv3m5c8g02r4b7fg"`
	// It was moved with another body.
	Edited bool `json:"edited,omitempty"`
}

// TimelineActor is who did something, as the audit log names them.
type TimelineActor struct {
	Kind     string `json:"kind" enums:"tenant,operator,topic,schedule,task,account"`
	KeyID    string `json:"key_id,omitempty" example:"key_0kq1zv3m5c8g02r4b7fg"`
	MemberID string `json:"member_id,omitempty" example:"usr_0kq1zv3m5c8g02r4b7fg"`
	// The portal link with which the session was opened.
	PortalLinkID string `json:"portal_link_id,omitempty" example:"lnk_0kq1zv3m5c8g02r4b7fg"`
	// Who an identity provider says that it is, by its id in the audit log.
	IdentityID string `json:"identity_id,omitempty" example:"oid_0kq1zv3m5c8g02r4b7fg"`
	// From where the request came.
	SourceIP string `json:"source_ip,omitempty" example:"192.0.2.7"`
	// Name of the topic or the schedule, ARN of a topic of another tenant, id of the task, or number of the account of another tenant.
	Name string `json:"name,omitempty" example:"orders.created"`
}

// getMessageTimeline shows what became of a message, also of one that is gone.
//
//	@Summary		Look at the life of a message
//	@Description	Of a queue that keeps timelines, which `trace_retention` says: who sent the message, who received it when and for how long, and what ended it. It can be read for as long as the message is there, and for `trace_retention` after the last thing that happened to it. A timeline has at most 100 events; a queue has at most 64 MiB of timelines, of which the oldest go first.
//	@ID				getMessageTimeline
//	@Tags			messages
//	@Param			queue	path		string		true	"Name of the queue"
//	@Param			id		path		string		true	"Id of the message"
//	@Success		200		{object}	Timeline	"What became of it"
//	@Failure		400		{object}	Problem		"The request is malformed"
//	@Failure		404		{object}	Problem		"Nothing is known of such a message, or no such queue"
//	@Failure		415		{object}	Problem		"The request has a Content-Encoding"
//	@Failure		422		{object}	Problem		"A value is not allowed"
//	@Router			/v1/queues/{queue}/messages/{id}/timeline [get]
func (a *API) getMessageTimeline(c echo.Context) error {
	if _, err := readQuery(c); err != nil {
		return err
	}
	ctx, t, name := scope(c)
	id := messageParam(c)
	line, err := a.Queues.Timeline(ctx, t, name, id)
	if err != nil {
		return a.guess(c, err)
	}
	out := Timeline{MessageID: messageID(id), Events: make([]TimelineEvent, len(line.Steps)), Omitted: line.LeftOut}
	for i, s := range line.Steps {
		out.Events[i] = timelineEvent(s)
	}
	return a.json(c, http.StatusOK, out)
}

func timelineEvent(s queues.Step) TimelineEvent {
	e := TimelineEvent{At: Instant{s.At}, Event: string(s.Event), Delivery: s.Delivery, LeaseExpiresAt: instant(s.LeaseExpiresAt), AvailableAt: instant(s.AvailableAt),
		Consumer: s.Consumer, Error: s.Error, Reason: s.Reason, Queue: s.Queue, Edited: s.Edited}
	if s.Actor.Kind != "" {
		e.Actor = &TimelineActor{Kind: string(s.Actor.Kind), KeyID: s.Actor.Key, MemberID: s.Actor.Member, PortalLinkID: s.Actor.Link, SourceIP: s.Actor.Address, Name: s.Actor.Name}
		if s.Actor.Kind == queues.ByTenant {
			e.Actor.IdentityID, e.Actor.Name = s.Actor.Name, ""
		}
	}
	if s.Message != (engine.ID{}) {
		e.MessageID = messageID(s.Message)
	}
	return e
}

// actor is who makes the request, for timelines.
func actor(c echo.Context) queues.Actor {
	p := RequestOf(c).Principal
	a := queues.Actor{Kind: queues.ActorKind(p.Kind), Key: p.KeyID, Member: p.MemberID, Link: p.LinkID, Address: c.RealIP()}
	if p.Identity != nil {
		a.Name = p.Identity.ID
	}
	return a
}
