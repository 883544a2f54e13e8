package handlers

import (
	"net/http"

	"github.com/labstack/echo/v4"

	"github.com/sluicemq/sluice/internal/errs"
	"github.com/sluicemq/sluice/queues"
)

// TailedMessage is a message that a tail has come by.
type TailedMessage struct {
	Message
	// Another tail with this `cursor` goes on behind the message.
	Cursor string `json:"cursor" example:"MTJ8MTc2M…"`
}

// TailItem is what a line or an event of a tail holds: one of the two.
type TailItem struct {
	Message TailedMessage `json:"message"`
	Event   StreamEvent   `json:"event"`
}

const lastEventID = "Last-Event-Id"

// tailMessages shows messages as they come.
//
//	@Summary		Watch messages as a stream
//	@Description	Shows messages as they become available, and those of groups when they come to the queue. It receives nothing and changes nothing. The server looks once a second, and once for all who watch a queue, so what is received within that second is not shown; for each message exactly once use a topic or your own consumer.
//	@Description
//	@Description	Each line is a message with its `cursor`, or an object with the member `event`. With `Accept: text/event-stream` they are server-sent events of the types `message`, whose id is the cursor, and `end`. Each 15 seconds in which nothing else comes there is an empty line, or a comment.
//	@ID				tailMessages
//	@Tags			messages
//	@Param			queue			path		string		true	"Name of the queue"
//	@Param			since			query		string		false	"beginning shows first what is available already"	Enums(now, beginning)	default(now)
//	@Param			cursor			query		string		false	"Go on behind the message with this cursor"
//	@Param			Last-Event-ID	header		string		false	"The same as cursor, and comes before it: browsers send it when they connect again"
//	@Success		200				{object}	TailItem	"Messages and events, until one side ends it"
//	@Failure		400				{object}	Problem		"The request is malformed"
//	@Failure		404				{object}	Problem		"No such queue"
//	@Failure		415				{object}	Problem		"The request has a Content-Encoding"
//	@Failure		422				{object}	Problem		"A value is not allowed"
//	@Router			/v1/queues/{queue}/tail [get]
func (a *API) tailMessages(c echo.Context) error {
	from, err := tailFrom(c)
	if err != nil {
		return err
	}
	leave, err := a.enterStream(c)
	if err != nil {
		return err
	}
	defer leave()
	ctx, t, name := scope(c)
	tail, err := a.Queues.Tail(ctx, t, name, from)
	if err != nil {
		return a.guess(c, placeCursor(c, err))
	}
	defer tail.Close()
	err = a.follow(c, tail.Changed(), func(s *stream) error { return a.show(c, s, tail) })
	a.Logger.Debug("a tail has ended", "queue", name, "error", err)
	return nil
}

// follow answers with a stream of what take writes each time that something has changed, and returns why it is over.
func (a *API) follow(c echo.Context, changed <-chan struct{}, take func(*stream) error) error {
	s, err := a.openStream(c)
	defer s.release()
	if err != nil || c.Request().Method == http.MethodHead {
		return err
	}
	return a.run(c, c.Request().Context().Done(), s, flow{changed: changed, take: func() error { return take(s) }})
}

// tailFrom returns where a tail begins.
func tailFrom(c echo.Context) (string, error) {
	q, err := readQuery(c, "since", "cursor")
	if err != nil {
		return "", err
	}
	since, err := q.choice("since", "now", "beginning")
	if err != nil {
		return "", err
	}
	cursor := q.text("cursor")
	last, err := lastEvent(c)
	switch {
	case q.has("cursor") && (cursor == queues.TailNow || cursor == queues.TailBeginning):
		return "", queryFault("cursor", "invalid", "must be the cursor of a message of a tail")
	case err != nil:
		return "", err
	case last == queues.TailBeginning:
		return "", headerFault("Last-Event-ID", "invalid", "must be the id of an event of a tail")
	case last != "":
		return last, nil
	case q.has("cursor") && q.has("since"):
		return "", queryFault("since", "contradiction", "must be absent with a cursor")
	case q.has("cursor"):
		return cursor, nil
	case since == "beginning":
		return queues.TailBeginning, nil
	}
	return queues.TailNow, nil
}

// lastEvent returns the id of the last event of a stream that a client has seen, by the header of this name; "" where it does not say.
func lastEvent(c echo.Context) (string, error) {
	switch header := c.Request().Header[lastEventID]; len(header) {
	case 0:
		return "", nil
	case 1:
		return header[0], nil
	}
	return "", headerFault("Last-Event-ID", "duplicate", "must be given once")
}

// placeCursor points at the header where the cursor came from there.
func placeCursor(c echo.Context, err error) error {
	if c.Request().Header.Get(lastEventID) == "" {
		return err
	}
	return relocate(err, func(f *errs.Field) {
		if f.Query == "cursor" {
			f.Query, f.Header = "", "Last-Event-ID"
		}
	})
}

// show writes what a tail has come by.
func (a *API) show(c echo.Context, s *stream, tail *queues.Tail) error {
	list, err := tail.Take(c.Request().Context())
	if err != nil || len(list) == 0 {
		return err
	}
	if err := a.recheck(c); err != nil {
		return final{err}
	}
	for i := range list {
		m := &list[i]
		err := s.item("message", m.Cursor, func(b []byte) []byte {
			b = appendPeeked(b, &m.Message, readsBodies(c))
			return append(appendString(append(b[:len(b)-1], `,"cursor":`...), m.Cursor), '}')
		})
		if err != nil {
			return broken{err}
		}
	}
	return unless(s.flush())
}
