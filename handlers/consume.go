package handlers

import (
	"time"

	"github.com/labstack/echo/v4"

	"github.com/sluicemq/sluice/queues"
)

// ConsumeItem is what a line or an event of a consume stream holds: one of the two.
type ConsumeItem struct {
	Message ReceivedMessage `json:"message"`
	Event   StreamEvent     `json:"event"`
}

// consumeOptions are how a client wants its stream.
type consumeOptions struct {
	queues.ConsumeOptions
	keep bool // what it holds when it goes
}

const defaultMaxInFlight = 10

// consumeMessages lends messages to the caller for as long as it is connected.
//
//	@Summary		Consume messages as a stream
//	@Description	Lends messages as they come, at most `max_in_flight` at a time: settle one by the ordinary operations, on any server, and the next one follows. What is settled on another server than the stream's makes room after up to 20 seconds.
//	@Description
//	@Description	Each line is a message as a receive returns it, or an object with the member `event`. With `Accept: text/event-stream` they are server-sent events of the types `message`, `end` and `lease_ending`. Each 15 seconds in which nothing else comes there is an empty line, or a comment.
//	@Description
//	@Description	Leases are extended for as long as the stream lives, up to 12 hours after the receive. When the stream ends, whoever ends it, what the client has got and not settled returns to the queue at once, and what it has not got goes back as if it had not been lent.
//	@ID				consumeMessages
//	@Tags			consuming
//	@Param			queue				path		string		true	"Name of the queue"
//	@Param			max_in_flight		query		int			false	"How many messages the client holds at most"	minimum(1)	maximum(100)	default(10)
//	@Param			visibility_timeout	query		int			false	"Seconds for which a message is lent, and extended, or text such as 5m; default: as the queue says"	minimum(1)	maximum(43200)
//	@Param			heartbeat			query		string		false	"none leaves it to the client to extend leases"	Enums(auto, none)	default(auto)
//	@Param			on_disconnect		query		string		false	"keep leaves messages lent that the client has got, until their leases end"	Enums(return, keep)	default(return)
//	@Param			consumer			query		string		false	"What you call yourself, in printable ASCII: whoever looks at messages in flight sees it as held_by"	maxlength(128)
//	@Success		200					{object}	ConsumeItem	"Messages and events, until one side ends it"
//	@Failure		400					{object}	Problem		"The request is malformed"
//	@Failure		404					{object}	Problem		"No such queue"
//	@Failure		408					{object}	Problem		"The body did not arrive in time"
//	@Failure		413					{object}	Problem		"The body is too large"
//	@Failure		415					{object}	Problem		"The body is not JSON"
//	@Failure		422					{object}	Problem		"A value is not allowed"
//	@Router			/v1/queues/{queue}/consume [post]
func (a *API) consumeMessages(c echo.Context) error {
	opt, err := readConsumeOptions(c, defaultMaxInFlight)
	if err != nil {
		return err
	}
	// There is nothing to say in a body. Reading it to its end lets the server notice when the client goes.
	if err := a.readControl(c, func(r *reader) { r.object(nil, func([]byte) {}) }); err != nil {
		return err
	}
	leave, err := a.enterStream(c)
	if err != nil {
		return err
	}
	defer leave()
	ctx, t, name := scope(c)
	consumer, err := a.Queues.Consume(ctx, t, name, opt.ConsumeOptions)
	if err != nil {
		return a.guess(c, err)
	}
	defer func() { consumer.Close(!opt.keep) }()
	s, err := a.openStream(c)
	defer s.release()
	if err == nil {
		err = a.consume(c, ctx.Done(), s, consumer, flow{})
	}
	a.Logger.Debug("a stream has ended", "queue", name, "error", err)
	return nil
}

func readConsumeOptions(c echo.Context, most int) (consumeOptions, error) {
	var o consumeOptions
	q, err := readQuery(c, "max_in_flight", "visibility_timeout", "heartbeat", "on_disconnect", "consumer")
	if err != nil {
		return o, err
	}
	if o.MaxInFlight, err = q.number("max_in_flight", most, 1, queues.MaxReceive); err != nil {
		return o, err
	}
	if o.VisibilityTimeout, err = q.upTo("visibility_timeout", queues.MaxVisibilityTimeout); err != nil {
		return o, err
	}
	if v := o.VisibilityTimeout; v != nil && *v < time.Second {
		return o, queryFault("visibility_timeout", "out_of_range", "must be 1 to 43200 seconds")
	}
	if o.Consumer, err = q.consumer(); err != nil {
		return o, err
	}
	heartbeat, err := q.choice("heartbeat", "auto", "none")
	if err != nil {
		return o, err
	}
	gone, err := q.choice("on_disconnect", "return", "keep")
	o.Heartbeat, o.keep = heartbeat == "auto", gone == "keep"
	return o, err
}

// consume feeds a stream from a consumer until either is over, and returns why. more is what else goes to the stream.
func (a *API) consume(c echo.Context, gone <-chan struct{}, s sink, consumer *queues.Consumer, more flow) error {
	more.changed, more.pull = consumer.Changed(), consumer.Pull
	more.take = func() error {
		taken := consumer.Take()
		if len(taken.Messages) > 0 {
			if err := a.lend(c, s, consumer, taken.Messages); err != nil {
				return err
			}
		}
		for i := range taken.Ending {
			if err := s.event(leaseEnding(&taken.Ending[i])); err != nil {
				return broken{err}
			}
		}
		return taken.Err
	}
	return a.run(c, gone, s, more)
}

// lend writes messages, unless the client's key has ended: then they go back with the end of the stream.
func (a *API) lend(c echo.Context, s sink, consumer *queues.Consumer, list []queues.Message) error {
	if err := a.recheck(c); err != nil {
		return final{err}
	}
	for i := range list {
		if err := s.message(&list[i]); err != nil {
			return broken{err}
		}
	}
	if err := s.flush(); err != nil {
		return broken{err}
	}
	consumer.Written(list)
	return nil
}
