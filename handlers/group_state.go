package handlers

import (
	"cmp"
	"net/http"

	"github.com/labstack/echo/v4"

	"github.com/sluicemq/sluice/internal/errs"
	"github.com/sluicemq/sluice/queues"
)

// GroupState is what was written as the state of a group.
type GroupState struct {
	// Bytes of the state.
	Size int `json:"size" example:"42"`
	// When it is forgotten, unless it is written again.
	ExpiresAt Instant `json:"expires_at" swaggertype:"string" format:"date-time"`
}

var errEmptyState = &errs.Error{Kind: errs.Invalid, Code: "validation_failed",
	Message: "The state is empty.",
	Fix:     "Send at least one byte as the body of the request, or DELETE the state to have none.",
	Fields:  []errs.Field{{Code: "required", Message: "the body must have at least one byte"}}}

// getGroupState answers with the state of the group of a message that the caller holds.
//
//	@Summary		Get the state of a group
//	@Description	A group of a FIFO queue may have a state, a small value that whoever holds a message of the group reads and writes. The answer is the bytes that were written, or 204 when it has none.
//	@ID				getGroupState
//	@Tags			consuming
//	@Param			queue	path		string	true	"Name of the queue"
//	@Param			handle	path		string	true	"Receipt handle of a message of the group"
//	@Success		200		{string}	string	"The bytes"
//	@Header			200		{string}	State-Expires-At	"When it is forgotten, unless it is written again"
//	@Success		204		"The group has no state"
//	@Failure		400		{object}	Problem	"The request is malformed"
//	@Failure		404		{object}	Problem	"Not a receipt handle of this queue, or no such queue"
//	@Failure		409		{object}	Problem	"The queue is a standard queue"
//	@Failure		410		{object}	Problem	"The message is not held by this receipt"
//	@Failure		415		{object}	Problem	"The request has a Content-Encoding"
//	@Failure		422		{object}	Problem	"A value is not allowed"
//	@Router			/v1/queues/{queue}/receipts/{handle}/group-state [get]
func (a *API) getGroupState(c echo.Context) error {
	if _, err := readQuery(c); err != nil {
		return err
	}
	ctx, t, name := scope(c)
	state, err := a.Queues.GroupState(ctx, t, name, c.Param("handle"))
	switch {
	case err != nil:
		return a.guess(c, err)
	case state.EndsAt.IsZero():
		return c.NoContent(http.StatusNoContent)
	}
	h := c.Response().Header()
	h.Set("State-Expires-At", unquoted(appendTime(nil, state.EndsAt)))
	h["Content-Security-Policy"] = inertPolicy
	return a.write(c, http.StatusOK, []string{cmp.Or(state.ContentType, binaryMedia)}, state.Content)
}

// putGroupState replaces the state of the group of a message that the caller holds.
//
//	@Summary		Write the state of a group
//	@Description	The body is the state, up to 8 KiB of any content type. It is kept for the queue's `message_retention` since it was written last. A queue keeps the states of 10,000 groups. They count in its `bytes`.
//	@ID				putGroupState
//	@Tags			consuming
//	@Param			queue	path		string		true	"Name of the queue"
//	@Param			handle	path		string		true	"Receipt handle of a message of the group"
//	@Param			state	body		string		true	"The state"
//	@Success		200		{object}	GroupState	"Written"
//	@Failure		400		{object}	Problem		"The request is malformed"
//	@Failure		404		{object}	Problem		"Not a receipt handle of this queue, or no such queue"
//	@Failure		408		{object}	Problem		"The body did not arrive in time"
//	@Failure		409		{object}	Problem		"The queue is a standard queue"
//	@Failure		410		{object}	Problem		"The message is not held by this receipt"
//	@Failure		413		{object}	Problem		"The state is too large"
//	@Failure		415		{object}	Problem		"The request has a Content-Encoding"
//	@Failure		422		{object}	Problem		"A value is not allowed"
//	@Failure		507		{object}	Problem		"There is no room for it"
//	@Router			/v1/queues/{queue}/receipts/{handle}/group-state [put]
func (a *API) putGroupState(c echo.Context) error {
	if _, err := readQuery(c); err != nil {
		return err
	}
	buf := getBuffer()
	defer buf.release()
	body, err := readBody(c, buf, queues.MaxGroupState, requestTooLarge)
	switch {
	case err != nil:
		return err
	case len(body) == 0:
		return errEmptyState
	}
	state := queues.GroupState{Content: body}
	if state.ContentType, err = messageType(c.Request(), body); err != nil {
		return err
	}
	ctx, t, name := scope(c)
	ends, err := a.Queues.PutGroupState(ctx, t, name, c.Param("handle"), state)
	if err != nil {
		return a.guess(c, err)
	}
	return a.json(c, http.StatusOK, GroupState{Size: len(body), ExpiresAt: Instant{ends}})
}

// deleteGroupState forgets the state of the group of a message that the caller holds.
//
//	@Summary		Delete the state of a group
//	@ID				deleteGroupState
//	@Tags			consuming
//	@Param			queue	path	string	true	"Name of the queue"
//	@Param			handle	path	string	true	"Receipt handle of a message of the group"
//	@Success		204		"The group has no state now"
//	@Failure		400		{object}	Problem	"The request is malformed"
//	@Failure		404		{object}	Problem	"Not a receipt handle of this queue, or no such queue"
//	@Failure		409		{object}	Problem	"The queue is a standard queue"
//	@Failure		410		{object}	Problem	"The message is not held by this receipt"
//	@Failure		415		{object}	Problem	"The request has a Content-Encoding"
//	@Failure		422		{object}	Problem	"A value is not allowed"
//	@Router			/v1/queues/{queue}/receipts/{handle}/group-state [delete]
func (a *API) deleteGroupState(c echo.Context) error {
	if _, err := readQuery(c); err != nil {
		return err
	}
	ctx, t, name := scope(c)
	if err := a.Queues.DeleteGroupState(ctx, t, name, c.Param("handle")); err != nil {
		return a.guess(c, err)
	}
	return c.NoContent(http.StatusNoContent)
}
