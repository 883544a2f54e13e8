package handlers

import (
	"encoding/json"
	"net/http"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/sluicemq/sluice/internal/audit"
)

// AuditEntry says who changed what.
type AuditEntry struct {
	ID string `json:"id" example:"evt_0kq1zv3m5c8g02r4b7fg"`
	// When it was begun.
	Time Instant `json:"time" swaggertype:"string" format:"date-time"`
	// Name of the operation, as in this description; an action of AWS with its service, as `sns:CreateTopic`.
	Operation string `json:"operation" example:"updateQueue"`
	// refused: by the permissions of who asked. unknown: it is under way, or may have been done.
	Outcome string `json:"outcome" enums:"done,refused,unknown"`
	// Code of the problem that the client got; null when it was done.
	Code  *string    `json:"code" extensions:"x-nullable" example:"permission_denied"`
	Actor AuditActor `json:"actor"`
	// Name of the tenant; null for what belongs to none.
	Tenant *string `json:"tenant" extensions:"x-nullable" example:"acme"`
	// From where the request came.
	SourceIP string `json:"source_ip" example:"192.0.2.7"`
	// The Request-Id of the answer, as in the log.
	RequestID string      `json:"request_id" example:"req_0kq1zv3m5c8g02r4b7fg"`
	Target    AuditTarget `json:"target"`
	// The signature of the request does not cover the operation: it came by a protocol of AWS with an `X-Amz-Target` that was not signed.
	UnsignedOperation bool `json:"unsigned_operation" example:"false"`
	// Its settings before the change; null when it was not there or has none.
	Before json.RawMessage `json:"before" swaggertype:"object" extensions:"x-nullable"`
	// Its settings after the change; null when it is not there or has none. Of sign-ins that failed how many the entry tells of.
	After json.RawMessage `json:"after" swaggertype:"object" extensions:"x-nullable"`
}

// AuditActor is who changed something.
type AuditActor struct {
	// link: nobody showed a key; a subscription was ended by the link in a notification. command: somebody on the machine of a server, by a command of the program. account:
	// somebody of another tenant, whom the policy of a queue or topic lets in. stranger: somebody who could not sign in.
	Kind string `json:"kind" enums:"tenant,operator,link,command,account,stranger"`
	// Empty for a member, with a portal link, for who an identity provider knows, for who is of another tenant, and where nobody showed a key.
	KeyID string `json:"key_id" example:"key_0kq1zv3m5c8g02r4b7fg"`
	// The member who has signed in with a password.
	MemberID *string `json:"member_id" extensions:"x-nullable" example:"usr_0kq1zv3m5c8g02r4b7fg"`
	// The portal link with which the session was opened.
	PortalLinkID *string `json:"portal_link_id" extensions:"x-nullable" example:"lnk_0kq1zv3m5c8g02r4b7fg"`
	// The access token, when it was not the key itself.
	TokenID *string `json:"token_id" extensions:"x-nullable" example:"tok_0kq1zv3m5c8g02r4b7fg"`
	// Who an identity provider says that it is, whose token was shown or who has signed in there.
	Identity *CallerIdentity `json:"identity" extensions:"x-nullable"`
	// The account number of another tenant.
	AccountNumber *string `json:"account_number" extensions:"x-nullable" example:"123456789012"`
	// The session of a browser, when the request came from one.
	SessionID *string `json:"session_id" extensions:"x-nullable" example:"ses_0kq1zv3m5c8g02r4b7fg"`
}

// AuditTarget is what was changed.
type AuditTarget struct {
	Type string `json:"type" enums:"queue,schedule,topic,subscription,topic_subscription,alarm,task,key,operator_key,portal_link,session,member,operator,tenant,plan"`
	// Its name, or its id; null for what was not made.
	Name *string `json:"name" extensions:"x-nullable" example:"orders"`
	// The queue to which it belongs.
	Queue *string `json:"queue" extensions:"x-nullable" example:"orders"`
	// The topic to which it belongs.
	Topic *string `json:"topic" extensions:"x-nullable" example:"orders.created"`
}

func newAuditEntry(e audit.Entry) AuditEntry {
	return AuditEntry{ID: e.ID, Time: Instant{e.At}, Operation: e.Operation, Outcome: string(e.Outcome), Code: textOrNull(e.Code),
		Actor: newAuditActor(e.Actor), Tenant: textOrNull(e.Tenant), SourceIP: e.Address, RequestID: e.Request, UnsignedOperation: e.Unsigned,
		Target: AuditTarget{Type: e.Target.Type, Name: textOrNull(e.Target.Name), Queue: textOrNull(e.Target.Queue), Topic: textOrNull(e.Target.Topic)},
		Before: orNull(e.Before), After: orNull(e.After)}
}

func newAuditActor(a audit.Actor) AuditActor {
	out := AuditActor{Kind: a.Kind, KeyID: a.Key, MemberID: textOrNull(a.Member), PortalLinkID: textOrNull(a.Link), TokenID: textOrNull(a.Token), AccountNumber: textOrNull(a.Account), SessionID: textOrNull(a.Session)}
	if a.Identity != "" {
		out.Identity = &CallerIdentity{ID: a.Identity, Issuer: a.Issuer, Subject: a.Subject}
	}
	return out
}

func orNull(state json.RawMessage) json.RawMessage {
	if state == nil {
		return json.RawMessage("null")
	}
	return state
}

// listAudit shows the audit log of the tenant of the request.
//
//	@Summary		List the audit log
//	@Description	Who changed what, latest first: the last 10,000 changes and 1,000 refusals, for 400 days. A key that is limited to some queues sees what was changed of those. A page may be short although more follow.
//	@ID				listAudit
//	@Tags			audit
//	@Param			actor		query		string				false	"Id of a key or of an access token"
//	@Param			operation	query		string				false	"Name of an operation"
//	@Param			target		query		string				false	"Name or id of what was changed"
//	@Param			outcome		query		string				false	"Outcome"	Enums(any, done, refused, unknown)	default(any)
//	@Param			from		query		string				false	"From this time on, such as 2030-01-02T03:04:05Z"
//	@Param			to			query		string				false	"Before this time"
//	@Param			limit		query		int					false	"Entries of a page"	minimum(1)	maximum(500)	default(50)
//	@Param			cursor		query		string				false	"The next_cursor of the page before"
//	@Success		200			{object}	Page[AuditEntry]	"The entries"
//	@Header			200			{string}	Link				"The next page"
//	@Failure		400			{object}	Problem				"The request is malformed"
//	@Failure		404			{object}	Problem				"No such tenant"
//	@Failure		415			{object}	Problem				"The request has a Content-Encoding"
//	@Failure		422			{object}	Problem				"A value is not allowed"
//	@Router			/v1/audit [get]
func (a *API) listAudit(c echo.Context) error {
	return a.answerAudit(c, audit.Log(RequestOf(c).Tenant.String()))
}

// listOperatorAudit shows the audit log of the installation.
//
//	@Summary		List the operators' audit log
//	@Description	What operators did, for whichever tenant, latest first: the last 10,000 changes and 1,000 refusals, for 400 days. What operators did for a tenant is in his log too. A page may be short although more follow.
//	@ID				listOperatorAudit
//	@Tags			audit
//	@Param			actor		query		string				false	"Id of a key or of an access token"
//	@Param			operation	query		string				false	"Name of an operation"
//	@Param			target		query		string				false	"Name or id of what was changed"
//	@Param			outcome		query		string				false	"Outcome"	Enums(any, done, refused, unknown)	default(any)
//	@Param			from		query		string				false	"From this time on, such as 2030-01-02T03:04:05Z"
//	@Param			to			query		string				false	"Before this time"
//	@Param			limit		query		int					false	"Entries of a page"	minimum(1)	maximum(500)	default(50)
//	@Param			cursor		query		string				false	"The next_cursor of the page before"
//	@Success		200			{object}	Page[AuditEntry]	"The entries"
//	@Header			200			{string}	Link				"The next page"
//	@Failure		400			{object}	Problem				"The request is malformed"
//	@Failure		415			{object}	Problem				"The request has a Content-Encoding"
//	@Failure		422			{object}	Problem				"A value is not allowed"
//	@Router			/v1/operator_audit [get]
func (a *API) listOperatorAudit(c echo.Context) error { return a.answerAudit(c, audit.Installation) }

func (a *API) answerAudit(c echo.Context, l audit.Log) error {
	q, err := readQuery(c, append([]string{"limit", "cursor"}, auditFilters...)...)
	if err != nil {
		return err
	}
	f, asked, err := readAuditFilter(c, &q)
	if err != nil {
		return err
	}
	limit, err := pageQuery(&q)
	if err != nil {
		return err
	}
	after, err := decodeCursor("audit", asked, &q)
	if err != nil {
		return err
	}
	page, next, err := a.Audit.List(c.Request().Context(), l, f, limit, after)
	if err != nil {
		return err
	}
	data := make([]AuditEntry, len(page))
	for i, e := range page {
		data[i] = newAuditEntry(e)
	}
	return answerPage(a, c, data, encodeCursor("audit", asked, next))
}

var auditFilters = []string{"actor", "operation", "target", "outcome", "from", "to"}

// readAuditFilter reads which entries are asked for, and returns the question as text too.
func readAuditFilter(c echo.Context, q *query) (f audit.Filter, asked string, err error) {
	f = audit.Filter{Actor: q.text("actor"), Operation: q.text("operation"), Target: q.text("target")}
	outcome, err := q.choice("outcome", "any", string(audit.Done), string(audit.Refused), string(audit.Unknown))
	if err != nil {
		return f, "", err
	}
	if outcome != "any" {
		f.Outcome = audit.Outcome(outcome)
	}
	if f.From, err = q.time("from"); err != nil {
		return f, "", err
	}
	if f.To, err = q.time("to"); err != nil {
		return f, "", err
	}
	if g := grants(c); g.Limited() {
		f.Sees = func(t audit.Target) bool {
			return t.Type == "queue" && g.Reaches(t.Name) || t.Queue != "" && g.Reaches(t.Queue)
		}
	}
	texts := make([]string, len(auditFilters))
	for i, name := range auditFilters {
		texts[i] = q.text(name)
	}
	return f, strings.Join(texts, "\x00"), nil
}

// time reads a parameter that is an instant; the zero time for none.
func (q *query) time(name string) (time.Time, error) {
	if !q.has(name) {
		return time.Time{}, nil
	}
	t, err := time.Parse(time.RFC3339, q.text(name))
	if err != nil {
		err = queryFault(name, "wrong_type", "must be a time such as 2030-01-02T03:04:05Z")
	}
	return t, err
}

// exportAudit shows all entries of the audit log of the tenant of the request.
//
//	@Summary		Export the audit log
//	@Description	All entries that are asked for, latest first, one JSON object a line, as in the list. What is written meanwhile is not in it. Should the storage fail meanwhile, the connection ends early.
//	@ID				exportAudit
//	@Tags			audit
//	@Param			actor		query		string		false	"Id of a key or of an access token"
//	@Param			operation	query		string		false	"Name of an operation"
//	@Param			target		query		string		false	"Name or id of what was changed"
//	@Param			outcome		query		string		false	"Outcome"	Enums(any, done, refused, unknown)	default(any)
//	@Param			from		query		string		false	"From this time on, such as 2030-01-02T03:04:05Z"
//	@Param			to			query		string		false	"Before this time"
//	@Success		200			{object}	AuditEntry	"The entries"
//	@Failure		400			{object}	Problem		"The request is malformed"
//	@Failure		404			{object}	Problem		"No such tenant"
//	@Failure		415			{object}	Problem		"The request has a Content-Encoding"
//	@Failure		422			{object}	Problem		"A value is not allowed"
//	@Router			/v1/audit/export [get]
func (a *API) exportAudit(c echo.Context) error {
	return a.streamAudit(c, audit.Log(RequestOf(c).Tenant.String()))
}

// exportOperatorAudit shows all entries of the audit log of the installation.
//
//	@Summary		Export the operators' audit log
//	@Description	All entries that are asked for, latest first, one JSON object a line, as in the list. What is written meanwhile is not in it. Should the storage fail meanwhile, the connection ends early.
//	@ID				exportOperatorAudit
//	@Tags			audit
//	@Param			actor		query		string		false	"Id of a key or of an access token"
//	@Param			operation	query		string		false	"Name of an operation"
//	@Param			target		query		string		false	"Name or id of what was changed"
//	@Param			outcome		query		string		false	"Outcome"	Enums(any, done, refused, unknown)	default(any)
//	@Param			from		query		string		false	"From this time on, such as 2030-01-02T03:04:05Z"
//	@Param			to			query		string		false	"Before this time"
//	@Success		200			{object}	AuditEntry	"The entries"
//	@Failure		400			{object}	Problem		"The request is malformed"
//	@Failure		415			{object}	Problem		"The request has a Content-Encoding"
//	@Failure		422			{object}	Problem		"A value is not allowed"
//	@Router			/v1/operator_audit/export [get]
func (a *API) exportOperatorAudit(c echo.Context) error {
	return a.streamAudit(c, audit.Installation)
}

// streamAudit writes a log page by page. There is an end to what a log holds, and so to this.
func (a *API) streamAudit(c echo.Context, l audit.Log) error {
	q, err := readQuery(c, auditFilters...)
	if err != nil {
		return err
	}
	f, _, err := readAuditFilter(c, &q)
	if err != nil {
		return err
	}
	return streamLines(c, newAuditEntry, func(after string) ([]audit.Entry, string, error) {
		return a.Audit.List(c.Request().Context(), l, f, maxLimit, after)
	})
}

// streamLines writes what list returns page by page as show shows it, one JSON object a line.
func streamLines[T, V any](c echo.Context, show func(T) V, list func(after string) ([]T, string, error)) error {
	w := c.Response()
	lines := json.NewEncoder(w)
	lines.SetEscapeHTML(false)
	for after := ""; ; {
		page, next, err := list(after)
		switch {
		case err != nil && !w.Committed:
			return err
		case err != nil:
			panic(http.ErrAbortHandler) // so that nobody takes a part for the whole
		}
		if !w.Committed {
			h := w.Header()
			h.Set("Content-Type", "application/x-ndjson")
			h["X-Content-Type-Options"] = noSniff
			w.WriteHeader(http.StatusOK)
		}
		if c.Request().Method == http.MethodHead {
			return nil
		}
		for _, e := range page {
			if err := lines.Encode(show(e)); err != nil {
				return nil //nolint:nilerr // the client has gone
			}
		}
		if next == "" {
			return nil
		}
		after = next
	}
}
