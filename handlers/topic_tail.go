package handlers

import (
	"github.com/labstack/echo/v4"

	"github.com/sluicemq/sluice/topics"
)

// TopicTailItem is what a line or an event of a topic's tail holds: one of the two.
type TopicTailItem struct {
	Message TopicMessage `json:"message"`
	Event   StreamEvent  `json:"event"`
}

// tailTopic shows messages as they are published.
//
//	@Summary		Follow what is published as a stream
//	@Description	Shows each message of the topic's log once and in its order, from a place on, as long as the topic keeps it (`message_retention`). It begins with what is published from now on; with `after` or `since` it first shows what was published behind that place. Whoever connects again with the last `sequence_number` as `after` misses nothing and sees nothing twice.
//	@Description
//	@Description	Each line is a message, or an object with the member `event`. With `Accept: text/event-stream` they are server-sent events of the types `message`, whose id is the sequence number, and `end`. Each 15 seconds in which nothing else comes there is an empty line, or a comment. A reader that is so slow that messages behind its place are not kept any more gets the end `not_retained`.
//	@ID				tailTopic
//	@Tags			topics
//	@Param			topic			path		string			true	"Name of the topic"
//	@Param			after			query		string			false	"Sequence number behind which to begin"	maxlength(20)
//	@Param			since			query		string			false	"Instant of the publish with which to begin"	format(date-time)
//	@Param			group_id		query		string			false	"Only messages of this group"	maxlength(128)
//	@Param			Last-Event-ID	header		string			false	"The same as after, and comes before it: browsers send it when they connect again"
//	@Success		200				{object}	TopicTailItem	"Messages and events, until one side ends it"
//	@Failure		400				{object}	Problem			"The request is malformed"
//	@Failure		404				{object}	Problem			"No such topic"
//	@Failure		409				{object}	Problem			"Messages behind that place are not kept any more (`not_retained`)"
//	@Failure		415				{object}	Problem			"The request has a Content-Encoding"
//	@Failure		422				{object}	Problem			"A value is not allowed"
//	@Router			/v1/topics/{topic}/tail [get]
func (a *API) tailTopic(c echo.Context) error {
	opt, err := followFrom(c)
	if err != nil {
		return err
	}
	leave, err := a.enterStream(c)
	if err != nil {
		return err
	}
	defer leave()
	ctx, t, _ := scope(c)
	name := c.Param("topic")
	f, err := a.Topics.Follow(ctx, t, name, opt)
	if err != nil {
		return a.guessTopic(c, err)
	}
	defer f.Close()
	err = a.follow(c, f.Changed(), func(s *stream) error { return a.showPublished(c, s, f) })
	a.Logger.Debug("a tail of a topic has ended", "topic", name, "error", err)
	return nil
}

// followFrom returns where a tail of a topic begins, and of which group.
func followFrom(c echo.Context) (topics.ReadOptions, error) {
	var opt topics.ReadOptions
	q, err := readQuery(c, "after", "since", "group_id")
	if err != nil {
		return opt, err
	}
	if opt.Group, err = groupQuery(&q); err != nil {
		return opt, err
	}
	if opt.Place, err = placeQuery(&q); err != nil {
		return opt, err
	}
	opt.End = opt.After == nil && opt.Since.IsZero()
	last, err := lastEvent(c)
	if err != nil {
		return opt, err
	}
	if last != "" {
		n, ok := parseSequence(last)
		if !ok {
			return opt, headerFault("Last-Event-ID", "invalid", wantSequence)
		}
		opt.Place = topics.Place{After: &n}
	}
	return opt, nil
}

// showPublished writes what a follower has come by.
func (a *API) showPublished(c echo.Context, s *stream, f *topics.Follower) error {
	list, err := f.Take()
	if err != nil || len(list) == 0 {
		return err
	}
	if err := a.recheck(c); err != nil {
		return final{err}
	}
	for i := range list {
		m := newTopicMessage(&list[i])
		text, err := marshal(m)
		if err != nil {
			return final{err}
		}
		if err := s.item("message", m.SequenceNumber, func(b []byte) []byte { return append(b, text[:len(text)-1]...) }); err != nil {
			return broken{err}
		}
	}
	return unless(s.flush())
}
