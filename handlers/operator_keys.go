package handlers

import (
	"net/http"

	"github.com/labstack/echo/v4"

	"github.com/sluicemq/sluice/tenants"
)

// createOperatorKey makes an operator's key.
//
//	@Summary		Create an operator's key
//	@Description	The answer is the only place that ever shows the key. It may no more than the key of the request: not more scopes or addresses, and for no longer. What is left out is as it is with that one.
//	@ID				createOperatorKey
//	@Tags			operators
//	@Accept			json
//	@Param			key	body		KeyInput	false	"The key"
//	@Success		201	{object}	CreatedKey	"Created"
//	@Failure		400	{object}	Problem		"The request is malformed"
//	@Failure		408	{object}	Problem		"The body did not arrive in time"
//	@Failure		413	{object}	Problem		"The body is too large"
//	@Failure		415	{object}	Problem		"The body is not JSON"
//	@Failure		422	{object}	Problem		"A value is not allowed"
//	@Failure		507	{object}	Problem		"The storage is full"
//	@Router			/v1/operator_keys [post]
func (a *API) createOperatorKey(c echo.Context) error {
	if _, err := readQuery(c); err != nil {
		return err
	}
	n, err := a.readKey(c)
	if err != nil {
		return err
	}
	k, err := a.Keys.CreateOperatorKey(c.Request().Context(), n)
	if err != nil {
		return err
	}
	return a.answerCreated(c, tenants.ID{}, k)
}

// listOperatorKeys shows the keys of all operators.
//
//	@Summary		List the operators' keys
//	@Description	Oldest first, and all of them: there are at most 1,000.
//	@ID				listOperatorKeys
//	@Tags			operators
//	@Success		200	{object}	Page[Key]	"The keys"
//	@Failure		400	{object}	Problem		"The request is malformed"
//	@Failure		415	{object}	Problem		"The request has a Content-Encoding"
//	@Failure		422	{object}	Problem		"A value is not allowed"
//	@Router			/v1/operator_keys [get]
func (a *API) listOperatorKeys(c echo.Context) error {
	if _, err := readQuery(c); err != nil {
		return err
	}
	keys, err := a.Keys.ListOperatorKeys(c.Request().Context())
	if err != nil {
		return err
	}
	return answerPage(a, c, a.manageable(c, keys), "")
}

// rotateOperatorKey replaces an operator's key.
//
//	@Summary		Rotate an operator's key
//	@Description	The answer is the only place that ever shows the new key. It may what the old one may, which goes on for `grace_period`. A key is rotated once; then its successor is.
//	@ID				rotateOperatorKey
//	@Tags			operators
//	@Accept			json
//	@Param			id			path		string		true	"Id of the key"
//	@Param			rotation	body		Rotation	false	"How"
//	@Success		201			{object}	RotatedKey	"The new key"
//	@Failure		400			{object}	Problem		"The request is malformed"
//	@Failure		404			{object}	Problem		"No such key"
//	@Failure		408			{object}	Problem		"The body did not arrive in time"
//	@Failure		409			{object}	Problem		"The key was rotated before (`key_rotated`)"
//	@Failure		413			{object}	Problem		"The body is too large"
//	@Failure		415			{object}	Problem		"The body is not JSON"
//	@Failure		422			{object}	Problem		"A value is not allowed"
//	@Failure		507			{object}	Problem		"The storage is full"
//	@Router			/v1/operator_keys/{id}/rotate [post]
func (a *API) rotateOperatorKey(c echo.Context) error {
	if _, err := readQuery(c); err != nil {
		return err
	}
	how, err := a.readRotation(c)
	if err != nil {
		return err
	}
	k, err := a.Keys.RotateOperatorKey(c.Request().Context(), c.Param("id"), how)
	if err != nil {
		return err
	}
	return a.answerRotated(c, tenants.ID{}, k)
}

// revokeOperatorKey ends an operator's key.
//
//	@Summary		Revoke an operator's key
//	@Description	At once on the server that answers, within 5 seconds on all others. Also the key of the request itself, and the last one: a server whose file `operator-key` is removed makes a new one at its next start.
//	@ID				revokeOperatorKey
//	@Tags			operators
//	@Param			id	path	string	true	"Id of the key"
//	@Success		204	"Revoked"
//	@Failure		400	{object}	Problem	"The request is malformed"
//	@Failure		404	{object}	Problem	"No such key"
//	@Failure		415	{object}	Problem	"The request has a Content-Encoding"
//	@Failure		422	{object}	Problem	"A value is not allowed"
//	@Router			/v1/operator_keys/{id} [delete]
func (a *API) revokeOperatorKey(c echo.Context) error {
	if _, err := readQuery(c); err != nil {
		return err
	}
	if err := a.Keys.RevokeOperatorKey(c.Request().Context(), c.Param("id")); err != nil {
		return err
	}
	return c.NoContent(http.StatusNoContent)
}
