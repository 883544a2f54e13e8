package handlers

import (
	"net/http"

	"github.com/labstack/echo/v4"

	"github.com/sluicemq/sluice/queues"
)

// ReasonPage counts a part of a queue's messages by what is said of them.
type ReasonPage struct {
	// The reasons of this part, those of most messages first.
	Data []ReasonCount `json:"data"`
	// Messages whose reasons are not in `data`, because there are more than `limit`.
	Others int `json:"others" example:"0"`
	// How many messages match in this part.
	Matching int `json:"matching" example:"2014"`
	// Send it as `cursor` to count the next part; null on the last one.
	NextCursor *string `json:"next_cursor" extensions:"x-nullable" example:"cQBvAG9yZGVycw"`
	Scanned    Scanned `json:"scanned"`
}

// ReasonCount counts messages of which the same is said.
type ReasonCount struct {
	// What a consumer said of them last, or else why they are in this queue: `max_receives`, `rejected`, `overflow`, `moved` or
	// `undelivered`. Null where nothing is said.
	Reason *string `json:"reason" extensions:"x-nullable" example:"price: null"`
	Count  int     `json:"count" example:"2013"`
	// When the first of them came to the queue.
	FirstAt Instant `json:"first_at" swaggertype:"string" format:"date-time"`
	// When the last of them came to the queue.
	LastAt Instant `json:"last_at" swaggertype:"string" format:"date-time"`
	// The queues and topics from which they came, at most 10.
	Sources []string `json:"sources"`
	// What a look, a redrive or a purge takes as `filter` to mean these messages. Null where that is longer than a filter may be.
	Filter *string `json:"filter" extensions:"x-nullable" example:"reason=\"price: null\""`
}

// countReasons counts messages by what is said of them.
//
//	@Summary		Count messages by reason
//	@Description	Says of how many messages the same is said, mostly in a dead-letter queue: 2,013 × `price: null`. Takes nothing and changes nothing. The `filter` of each reason means its messages, for a look, a redrive or a purge.
//	@Description
//	@Description	One request looks at 10,000 messages or 16 MiB at most, for about a second, and `scanned` says how far it came. Where there is a `next_cursor` go on with it, and add up what has the same reason.
//	@ID				countReasons
//	@Tags			messages
//	@Param			queue	path		string		true	"Name of the queue"
//	@Param			state	query		string		false	"Only messages in this state"	Enums(all, available, in_flight, delayed)	default(all)
//	@Param			filter	query		string		false	"Only messages that match"	maxlength(4096)
//	@Param			limit	query		int			false	"How many reasons at most"	minimum(1)	maximum(100)	default(50)
//	@Param			cursor	query		string		false	"next_cursor of the part before, which had the same state and filter"
//	@Success		200		{object}	ReasonPage	"The counts of a part of the messages"
//	@Header			200		{string}	Link		"The next part, with rel=next"
//	@Failure		400		{object}	Problem		"The request is malformed"
//	@Failure		404		{object}	Problem		"No such queue"
//	@Failure		415		{object}	Problem		"The request has a Content-Encoding"
//	@Failure		422		{object}	Problem		"A value is not allowed, or the filter is wrong"
//	@Router			/v1/queues/{queue}/reasons [get]
func (a *API) countReasons(c echo.Context) error {
	l, err := readGlance(c, "reasons")
	if err != nil {
		return err
	}
	ctx, t, name := scope(c)
	found, err := a.Queues.Reasons(ctx, t, name, l.PeekOptions, l.filter)
	if err != nil {
		return a.guess(c, err)
	}
	out := ReasonPage{Data: make([]ReasonCount, len(found.Counts)), Others: found.Others, Matching: found.Matching,
		Scanned: Scanned{Messages: found.Looked, Complete: found.Next == ""}}
	if next := l.next(found.Next); next != "" {
		out.NextCursor = &next
		setNext(c, next)
	}
	for i := range found.Counts {
		out.Data[i] = newReasonCount(&found.Counts[i])
	}
	return a.json(c, http.StatusOK, out)
}

func newReasonCount(r *queues.ReasonCount) ReasonCount {
	out := ReasonCount{Count: r.Count, FirstAt: Instant{r.First}, LastAt: Instant{r.Last}, Sources: r.Sources}
	if r.Reason != "" {
		out.Reason = &r.Reason
	}
	if r.Filter != "" {
		out.Filter = &r.Filter
	}
	if out.Sources == nil {
		out.Sources = []string{}
	}
	return out
}
