package handlers

import "github.com/labstack/echo/v4"

// Operators who sign in with a password are members of no tenant.

// listOperators shows the operators who sign in with a password.
//
//	@Summary		List the operators
//	@Description	Those who sign in with a password, by e-mail address, and all of them: there are at most 1,000.
//	@ID				listOperators
//	@Tags			operators
//	@Success		200	{object}	Page[Member]	"The operators"
//	@Failure		400	{object}	Problem			"The request is malformed"
//	@Failure		415	{object}	Problem			"The request has a Content-Encoding"
//	@Failure		422	{object}	Problem			"A value is not allowed"
//	@Router			/v1/operators [get]
func (a *API) listOperators(c echo.Context) error { return a.listMembers(c) }

// inviteOperator makes somebody an operator.
//
//	@Summary		Invite an operator
//	@Description	As a member is invited. Of the roles, `owner` may do everything, and `viewer` look at everything.
//	@ID				inviteOperator
//	@Tags			operators
//	@Accept			json
//	@Param			member	body		MemberInput		true	"The operator"
//	@Success		201		{object}	InvitedMember	"Invited"
//	@Failure		400		{object}	Problem			"The request is malformed"
//	@Failure		408		{object}	Problem			"The body did not arrive in time"
//	@Failure		409		{object}	Problem			"There is an operator with this address (`member_exists`)"
//	@Failure		413		{object}	Problem			"The body is too large"
//	@Failure		415		{object}	Problem			"The body is not JSON"
//	@Failure		422		{object}	Problem			"A value is not allowed"
//	@Failure		507		{object}	Problem			"The storage is full"
//	@Router			/v1/operators [post]
func (a *API) inviteOperator(c echo.Context) error { return a.inviteMember(c) }

// inviteOperatorAgain makes a new invitation for an operator.
//
//	@Summary		Invite an operator again
//	@Description	Also for one who has forgotten his password: the old one holds until another one is set. The invitation before holds no more.
//	@ID				inviteOperatorAgain
//	@Tags			operators
//	@Accept			json
//	@Param			id			path		string			true	"Id of the operator"
//	@Param			invitation	body		InvitationInput	false	"The invitation"
//	@Success		201			{object}	InvitedMember	"Invited"
//	@Failure		400			{object}	Problem			"The request is malformed"
//	@Failure		404			{object}	Problem			"No such operator"
//	@Failure		408			{object}	Problem			"The body did not arrive in time"
//	@Failure		409			{object}	Problem			"Somebody else changed the operator just now (`member_changed`)"
//	@Failure		413			{object}	Problem			"The body is too large"
//	@Failure		415			{object}	Problem			"The body is not JSON"
//	@Failure		422			{object}	Problem			"A value is not allowed"
//	@Failure		507			{object}	Problem			"The storage is full"
//	@Router			/v1/operators/{id}/invitation [post]
func (a *API) inviteOperatorAgain(c echo.Context) error { return a.inviteMemberAgain(c) }

// updateOperator changes an operator.
//
//	@Summary		Change an operator
//	@Description	Their sessions have the new role at once on the server that answers, within 5 seconds on all others.
//	@ID				updateOperator
//	@Tags			operators
//	@Accept			json
//	@Param			id		path		string		true	"Id of the operator"
//	@Param			member	body		MemberPatch	true	"What changes"
//	@Success		200		{object}	Member		"Changed"
//	@Failure		400		{object}	Problem		"The request is malformed"
//	@Failure		404		{object}	Problem		"No such operator"
//	@Failure		408		{object}	Problem		"The body did not arrive in time"
//	@Failure		409		{object}	Problem		"Somebody else changed the operator just now (`member_changed`)"
//	@Failure		413		{object}	Problem		"The body is too large"
//	@Failure		415		{object}	Problem		"The body is not JSON"
//	@Failure		422		{object}	Problem		"A value is not allowed"
//	@Failure		507		{object}	Problem		"The storage is full"
//	@Router			/v1/operators/{id} [patch]
func (a *API) updateOperator(c echo.Context) error { return a.updateMember(c) }

// removeOperator removes an operator.
//
//	@Summary		Remove an operator
//	@Description	Their sessions end at once on the server that answers, within 5 seconds on all others. Keys that they made go on.
//	@ID				removeOperator
//	@Tags			operators
//	@Param			id	path	string	true	"Id of the operator"
//	@Success		204	"Removed"
//	@Failure		400	{object}	Problem	"The request is malformed"
//	@Failure		404	{object}	Problem	"No such operator"
//	@Failure		415	{object}	Problem	"The request has a Content-Encoding, or a body that a form can send"
//	@Failure		422	{object}	Problem	"A value is not allowed"
//	@Router			/v1/operators/{id} [delete]
func (a *API) removeOperator(c echo.Context) error { return a.removeMember(c) }
