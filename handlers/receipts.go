package handlers

import (
	"net/http"
	"strconv"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/sluicemq/sluice/internal/errs"
	"github.com/sluicemq/sluice/queues"
)

// Result is what became of one item of a request.
type Result struct {
	// The item: the id that the request gave it, or else where it stands in the request.
	Ref string `json:"ref" example:"/ack/0"`
	// The status that a request of its own would have got.
	Status int `json:"status" example:"204"`
	// Of an item that was sent: the id of the message.
	ID string `json:"id,omitempty" example:"msg_0kq1zv3m5c8g02r4b7fg"`
	// Of an item that was sent to a FIFO queue: 20 digits, growing with each message.
	SequenceNumber string `json:"sequence_number,omitempty" example:"00000244539289804801"`
	// Of a lease that was extended: when it ends.
	LeaseExpiresAt *Instant `json:"lease_expires_at,omitempty" swaggertype:"string" format:"date-time"`
	// Of a message that was returned: when it is available; missing when its own end came while it was held.
	AvailableAt *Instant `json:"available_at,omitempty" swaggertype:"string" format:"date-time"`
	// Of an item that failed: why.
	Error *Problem `json:"error,omitempty"`
}

// Results are what became of each item of a request, in the order of the request.
type Results struct {
	Results []Result `json:"results"`
}

// Receipt is a delivery after it was changed.
type Receipt struct {
	ReceiptHandle string `json:"receipt_handle" example:"rh_AQYl…"`
	State         string `json:"state" enums:"available,in_flight,delayed,dead_lettered,expired"`
	// When the message becomes available again; null unless it is in flight.
	LeaseExpiresAt *Instant `json:"lease_expires_at" swaggertype:"string" format:"date-time" extensions:"x-nullable"`
	// Since when, or from when on, the message is available; null while it is in flight, and when it is gone because its own
	// end came while it was held.
	AvailableAt *Instant `json:"available_at" swaggertype:"string" format:"date-time" extensions:"x-nullable"`
}

// ReceiptInput is what a client wants done with a message that it holds: one of the first four.
type ReceiptInput struct {
	// Seconds from now for which to hold it, or text such as "5m"; 0 returns it now.
	VisibilityTimeout *int `json:"visibility_timeout,omitempty" validate:"min=0,max=43200" example:"60"`
	// Seconds after which it is available again, up to the queue's retention, or text such as "5m".
	Delay *int `json:"delay,omitempty" validate:"min=0,max=1209600" example:"30"`
	// true returns it: it is available again when its retry policy says, at once if there is none.
	Return *bool `json:"return,omitempty" enums:"true"`
	// true gives the message up: it leaves for the dead-letter queue at once.
	DeadLetter bool `json:"dead_letter,omitempty" example:"false"`
	// Why it is returned or given up, at most 1,024 bytes. It is kept as the message's last error.
	Reason string `json:"reason,omitempty" example:"the bank is closed"`
}

// AckInput is what a client wants done with messages that it holds, at most 1,000 in all.
type AckInput struct {
	// Receipt handles of messages that are done.
	Ack []string `json:"ack,omitempty" validate:"max=1000"`
	// Messages that become available again.
	Return []ReturnInput `json:"return,omitempty" validate:"max=1000"`
	// Messages that are held for longer.
	Extend []ExtendInput `json:"extend,omitempty" validate:"max=1000"`
	// Messages that leave for the dead-letter queue.
	DeadLetter []DeadLetterInput `json:"dead_letter,omitempty" validate:"max=1000"`
}

// DeadLetterInput is a message that leaves for the dead-letter queue.
type DeadLetterInput struct {
	ReceiptHandle string `json:"receipt_handle" example:"rh_AQYl…"`
	// Why, at most 1,024 bytes.
	Reason string `json:"reason,omitempty" example:"no such customer"`
}

// ReturnInput is a message that becomes available again.
type ReturnInput struct {
	ReceiptHandle string `json:"receipt_handle" example:"rh_AQYl…"`
	// Seconds after which it does, or text such as "5m". Default: as its retry policy says.
	Delay *int `json:"delay,omitempty" validate:"min=0,max=1209600" example:"0"`
	// Why, at most 1,024 bytes. It is kept as the message's last error.
	Reason string `json:"reason,omitempty" example:"the bank is closed"`
}

// ExtendInput is a message that is held for longer.
type ExtendInput struct {
	ReceiptHandle string `json:"receipt_handle" example:"rh_AQYl…"`
	// Seconds from now, or text such as "5m"; 0 returns it now.
	VisibilityTimeout int `json:"visibility_timeout" validate:"min=0,max=43200" example:"60"`
}

// settlement is one item, with its list and its place there.
type settlement struct {
	queues.Settlement
	list  string
	index int
}

// ref names the item as a JSON Pointer into the request.
func (s *settlement) ref() string { return "/" + s.list + "/" + strconv.Itoa(s.index) }

// returned returns how to return a message that is available after d, or when its retry policy says.
func returned(handle string, d *time.Duration) queues.Settlement {
	if d == nil {
		return queues.Settlement{Verb: queues.Fail, ReceiptHandle: handle}
	}
	return queues.Settlement{Verb: queues.Return, ReceiptHandle: handle, For: *d}
}

// held returns how to hold a message for d from now on.
func held(handle string, d *time.Duration) queues.Settlement {
	if *d == 0 {
		return queues.Settlement{Verb: queues.Return, ReceiptHandle: handle}
	}
	return queues.Settlement{Verb: queues.Extend, ReceiptHandle: handle, For: *d}
}

// acks reads a list of receipt handles and adds them to list.
func (r *reader) acks(list []settlement) []settlement {
	r.array(queues.MaxSettle, func(i int) {
		if handle, ok := r.str(); ok {
			list = append(list, settlement{queues.Settlement{Verb: queues.Ack, ReceiptHandle: string(handle)}, "ack", i})
		}
	})
	return list
}

// leases reads a list of objects with a receipt handle, a time span and a reason, whichever of these has a name, and
// adds them to list.
func (r *reader) leases(list []settlement, name, span, reason string, as func(string, *time.Duration) queues.Settlement) []settlement {
	names := []string{"receipt_handle"}
	for _, n := range []string{span, reason} {
		if n != "" {
			names = append(names, n)
		}
	}
	r.array(queues.MaxSettle, func(i int) {
		handle, why, hasHandle := "", "", false
		var given *time.Duration
		r.object(names, func(key []byte) {
			switch string(key) {
			case "receipt_handle":
				s, ok := r.str()
				handle, hasHandle = string(s), ok
			case span:
				if d, ok := r.duration(); ok {
					given = &d
				}
			case reason:
				s, _ := r.str()
				why = string(s)
			}
		})
		switch {
		case !hasHandle && r.err == nil:
			r.fault("required", "must have a receipt_handle")
		case given == nil && span == "visibility_timeout":
			r.fault("required", "must have a visibility_timeout")
		default:
			one := settlement{as(handle, given), name, i}
			one.Reason = why
			list = append(list, one)
		}
	})
	return list
}

// ackMessage acknowledges one message.
//
//	@Summary		Acknowledge a message
//	@Description	It is deleted. Doing it again is fine. The newest receipt works even when its time is over, unless somebody else has received the message since.
//	@ID				ackMessage
//	@Tags			consuming
//	@Param			queue	path	string	true	"Name of the queue"
//	@Param			handle	path	string	true	"Receipt handle"
//	@Success		204		"Done, now or before"
//	@Failure		400		{object}	Problem	"The request is malformed"
//	@Failure		404		{object}	Problem	"Not a receipt handle of this queue, or no such queue"
//	@Failure		410		{object}	Problem	"Somebody else has received the message since"
//	@Failure		415		{object}	Problem	"The request has a Content-Encoding"
//	@Failure		422		{object}	Problem	"A value is not allowed"
//	@Router			/v1/queues/{queue}/receipts/{handle} [delete]
func (a *API) ackMessage(c echo.Context) error {
	if _, err := readQuery(c); err != nil {
		return err
	}
	if _, err := a.settleOne(c, queues.Settlement{Verb: queues.Ack, ReceiptHandle: c.Param("handle")}); err != nil {
		return a.guess(c, err)
	}
	return c.NoContent(http.StatusNoContent)
}

func (a *API) settleOne(c echo.Context, s queues.Settlement) (queues.Settled, error) {
	ctx, t, name := scope(c)
	done, err := a.Queues.Settle(ctx, t, name, []queues.Settlement{s})
	if err != nil {
		return queues.Settled{}, err
	}
	return done[0], done[0].Err
}

// changeReceipt holds a message for longer, returns it or gives it up.
//
//	@Summary		Extend, return or give up a message
//	@Description	`{"visibility_timeout":60}` holds it for 60 seconds from now on, and 0 returns it now. `{"delay":30}` returns it, and it is available in 30 seconds; `{"return":true}` returns it, and it is available when its retry policy says. `{"dead_letter":true}` takes it to the dead-letter queue. The last three may say why: `{"delay":30,"reason":"the bank is closed"}`.
//	@ID				changeReceipt
//	@Tags			consuming
//	@Accept			json
//	@Param			queue	path		string			true	"Name of the queue"
//	@Param			handle	path		string			true	"Receipt handle"
//	@Param			change	body		ReceiptInput	true	"What to do with it"
//	@Success		200		{object}	Receipt			"Done"
//	@Failure		400		{object}	Problem			"The request is malformed"
//	@Failure		404		{object}	Problem			"Not a receipt handle of this queue, or no such queue"
//	@Failure		408		{object}	Problem			"The body did not arrive in time"
//	@Failure		409		{object}	Problem			"The queue has no dead-letter queue"
//	@Failure		410		{object}	Problem			"The time is over, or somebody else has received the message since"
//	@Failure		413		{object}	Problem			"The body is too large"
//	@Failure		415		{object}	Problem			"The body is not JSON"
//	@Failure		422		{object}	Problem			"A value is not allowed"
//	@Router			/v1/queues/{queue}/receipts/{handle} [patch]
func (a *API) changeReceipt(c echo.Context) error {
	if _, err := readQuery(c); err != nil {
		return err
	}
	var timeout, delay *time.Duration
	fail, dead, reason := false, false, ""
	err := a.readControl(c, func(r *reader) {
		r.object([]string{"visibility_timeout", "delay", "return", "dead_letter", "reason"}, func(key []byte) {
			switch string(key) {
			case "visibility_timeout":
				if d, ok := r.duration(); ok {
					timeout = &d
				}
			case "delay":
				if d, ok := r.duration(); ok {
					delay = &d
				}
			case "return":
				yes, ok := r.boolean()
				if fail = yes; ok && !yes {
					r.fault("not_allowed", "must be true, or left out")
				}
			case "dead_letter":
				dead, _ = r.boolean()
			case "reason":
				s, _ := r.str()
				reason = string(s)
			}
		})
		given := 0
		for _, is := range []bool{timeout != nil, delay != nil, fail, dead} {
			if is {
				given++
			}
		}
		switch {
		case r.err != nil || len(r.faults) > 0:
		case given != 1:
			r.fault("required", "must have one of visibility_timeout, delay, return and dead_letter")
		case reason != "" && timeout != nil && *timeout > 0:
			r.fault("contradiction", "has a reason for a message that is neither returned nor given up")
		}
	})
	if err != nil {
		return err
	}
	s := returned(c.Param("handle"), delay)
	switch {
	case dead:
		s.Verb = queues.DeadLetter
	case timeout != nil:
		s = held(s.ReceiptHandle, timeout)
	}
	s.Reason = reason
	done, err := a.settleOne(c, s)
	if err != nil {
		return a.guess(c, err)
	}
	out := Receipt{ReceiptHandle: s.ReceiptHandle}
	switch {
	case s.Verb == queues.DeadLetter:
		out.State = "dead_lettered"
	case s.Verb == queues.Extend:
		out.State, out.LeaseExpiresAt = string(queues.InFlight), instant(done.LeaseExpiresAt)
	case done.Expired:
		out.State = "expired"
	case done.Wait > 0:
		out.State, out.AvailableAt = string(queues.Delayed), instant(done.AvailableAt)
	default:
		out.State, out.AvailableAt = string(queues.Available), instant(done.AvailableAt)
	}
	return a.json(c, http.StatusOK, out)
}

// ackMessages acknowledges, returns and extends many messages.
//
//	@Summary		Acknowledge, return, extend and give up messages
//	@Description	Up to 1,000 in all. Each has a result of its own: 204 for an ack or a message given up, 200 for a return or an extension.
//	@ID				ackMessages
//	@Tags			consuming
//	@Accept			json
//	@Param			queue		path		string		true	"Name of the queue"
//	@Param			messages	body		AckInput	true	"What to do with which messages"
//	@Success		200			{object}	Results		"All done"
//	@Success		207			{object}	Results		"Some were not done"
//	@Failure		400			{object}	Problem		"The request is malformed"
//	@Failure		404			{object}	Problem		"No such queue"
//	@Failure		408			{object}	Problem		"The body did not arrive in time"
//	@Failure		413			{object}	Problem		"The body is too large"
//	@Failure		415			{object}	Problem		"The body is not JSON"
//	@Failure		422			{object}	Problem		"A value is not allowed"
//	@Router			/v1/queues/{queue}/ack [post]
func (a *API) ackMessages(c echo.Context) error {
	if _, err := readQuery(c); err != nil {
		return err
	}
	var list []settlement
	err := a.readControl(c, func(r *reader) {
		r.object([]string{"ack", "return", "extend", "dead_letter"}, func(key []byte) {
			switch string(key) {
			case "ack":
				list = r.acks(list)
			case "return":
				list = r.leases(list, "return", "delay", "reason", returned)
			case "extend":
				list = r.leases(list, "extend", "visibility_timeout", "", held)
			case "dead_letter":
				list = r.leases(list, "dead_letter", "", "reason", func(handle string, _ *time.Duration) queues.Settlement {
					return queues.Settlement{Verb: queues.DeadLetter, ReceiptHandle: handle}
				})
			}
		})
		switch {
		case r.err != nil || len(r.faults) > 0:
		case len(list) == 0:
			r.fault("required", "must name at least one message, in ack, return, extend or dead_letter")
		case len(list) > queues.MaxSettle:
			r.fault("too_many", "must name at most %d messages in all, got %d", queues.MaxSettle, len(list))
		}
	})
	if err != nil {
		return err
	}
	answer := getBuffer()
	defer answer.release()
	r := results{b: append(answer.b, `{"results":[`...)}
	if err := a.settle(c, list, &r); err != nil {
		return a.guess(c, err)
	}
	answer.b = append(r.b, "]}"...)
	return a.answerResults(c, http.StatusOK, &r, answer.b)
}

// settle carries out list and writes its results.
func (a *API) settle(c echo.Context, list []settlement, r *results) error {
	ctx, t, name := scope(c)
	plain := make([]queues.Settlement, len(list))
	for i := range list {
		plain[i] = list[i].Settlement
	}
	done, err := a.Queues.Settle(ctx, t, name, plain)
	if err != nil {
		return err
	}
	for i := range done {
		s, d := &list[i], &done[i]
		switch {
		case d.Err != nil:
			e := asError(relocate(d.Err, func(f *errs.Field) { f.Pointer = s.ref() + f.Pointer }))
			r.fail(s.ref(), e, problem(c, e))
		case s.Verb == queues.Ack, s.Verb == queues.DeadLetter:
			r.begin(s.ref(), http.StatusNoContent)
			r.b = append(r.b, '}')
		case s.Verb == queues.Extend:
			r.begin(s.ref(), http.StatusOK)
			r.b = append(appendTime(append(r.b, `,"lease_expires_at":`...), d.LeaseExpiresAt), '}')
		default:
			r.begin(s.ref(), http.StatusOK)
			if !d.Expired {
				r.b = appendTime(append(r.b, `,"available_at":`...), d.AvailableAt)
			}
			r.b = append(r.b, '}')
		}
	}
	return nil
}

// answerResults answers with body, as 207 when an item failed.
func (a *API) answerResults(c echo.Context, status int, r *results, body []byte) error {
	if r.failed {
		status = http.StatusMultiStatus
		setRetryAfter(c.Response().Header(), r.retry)
	}
	return a.write(c, status, jsonType, body)
}
