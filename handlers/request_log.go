package handlers

import (
	"strconv"
	"strings"

	"github.com/labstack/echo/v4"

	"github.com/sluicemq/sluice/tenants"
)

// LoggedRequest is a request as the request log has it.
type LoggedRequest struct {
	// The Request-Id of the answer.
	RequestID string `json:"request_id" example:"req_0kq1zv3m5c8g02r4b7fg"`
	// When it was answered.
	Time Instant `json:"time" swaggertype:"string" format:"date-time"`
	// By which it came: the API described here, or that of SQS and SNS.
	Door   string `json:"door" enums:"rest,aws" example:"rest"`
	Method string `json:"method" example:"POST"`
	// The route, not the path.
	Route string `json:"route" example:"/v1/queues/{queue}/messages"`
	// Name of the operation, as in this description, or the action of AWS; null for none that there is.
	Operation *string `json:"operation" extensions:"x-nullable" example:"sendMessage"`
	Queue     *string `json:"queue" extensions:"x-nullable" example:"orders"`
	Topic     *string `json:"topic" extensions:"x-nullable" example:"orders.created"`
	Status    int     `json:"status" example:"413"`
	// Code of the problem, or of the error of AWS; null when there was none.
	Code *string `json:"code" extensions:"x-nullable" example:"message_too_large"`
	// Milliseconds until it was answered, with the wait of a receive; of a stream until it ended.
	Duration float64    `json:"duration_ms" example:"1.25"`
	Actor    AuditActor `json:"actor"`
	SourceIP string     `json:"source_ip" example:"192.0.2.7"`
}

func newLoggedRequest(c tenants.Call) LoggedRequest {
	return LoggedRequest{RequestID: c.ID, Time: Instant{c.At}, Door: c.Door, Method: c.Method, Route: c.Route, Operation: textOrNull(c.Operation),
		Queue: textOrNull(c.Queue), Topic: textOrNull(c.Topic), Status: c.Status, Code: textOrNull(c.Code), Duration: float64(c.Micros) / 1000,
		Actor: newAuditActor(c.Actor), SourceIP: c.Address}
}

// listRequestLog shows requests of the tenant of the request.
//
//	@Summary		List the request log
//	@Description	Requests of the last 24 hours, latest first, without bodies: a sample, in which each server keeps up to 5 a second that were answered with success and 20 others, unless the installation says otherwise. It is up to two seconds behind. A key that is limited to some queues sees what was asked of those.
//	@ID				listRequestLog
//	@Tags			request_log
//	@Param			request_id	query		string				false	"The Request-Id of an answer"
//	@Param			actor		query		string				false	"Id of a key, a member, a portal link, an identity, an access token or a session"
//	@Param			operation	query		string				false	"Name of an operation, or of an action of AWS"
//	@Param			route		query		string				false	"Route, such as /v1/queues/{queue}/messages"
//	@Param			status		query		string				false	"Status of the answer, or `2xx`, `3xx`, `4xx` or `5xx`"
//	@Param			from		query		string				false	"From this time on, such as 2030-01-02T03:04:05Z"
//	@Param			to			query		string				false	"Before this time"
//	@Param			limit		query		int					false	"Requests of a page"	minimum(1)	maximum(500)	default(50)
//	@Param			cursor		query		string				false	"The next_cursor of the page before"
//	@Success		200			{object}	Page[LoggedRequest]	"The requests"
//	@Header			200			{string}	Link				"The next page"
//	@Failure		400			{object}	Problem				"The request is malformed"
//	@Failure		404			{object}	Problem				"No such tenant"
//	@Failure		415			{object}	Problem				"The request has a Content-Encoding"
//	@Failure		422			{object}	Problem				"A value is not allowed"
//	@Router			/v1/request_log [get]
func (a *API) listRequestLog(c echo.Context) error {
	q, err := readQuery(c, append([]string{"limit", "cursor"}, requestLogFilters...)...)
	if err != nil {
		return err
	}
	f, asked, err := readCallFilter(c, &q)
	if err != nil {
		return err
	}
	limit, err := pageQuery(&q)
	if err != nil {
		return err
	}
	after, err := decodeCursor("request_log", asked, &q)
	if err != nil {
		return err
	}
	page, next, err := a.Tenants.Calls(c.Request().Context(), RequestOf(c).Tenant, f, limit, after)
	if err != nil {
		return err
	}
	data := make([]LoggedRequest, len(page))
	for i, call := range page {
		data[i] = newLoggedRequest(call)
	}
	return answerPage(a, c, data, encodeCursor("request_log", asked, next))
}

// exportRequestLog shows all requests of the tenant of the request that are kept.
//
//	@Summary		Export the request log
//	@Description	All requests that are asked for, latest first, one JSON object a line, as in the list. Should the storage fail meanwhile, the connection ends early.
//	@ID				exportRequestLog
//	@Tags			request_log
//	@Param			request_id	query		string				false	"The Request-Id of an answer"
//	@Param			actor		query		string				false	"Id of a key, a member, a portal link, an identity, an access token or a session"
//	@Param			operation	query		string				false	"Name of an operation, or of an action of AWS"
//	@Param			route		query		string				false	"Route, such as /v1/queues/{queue}/messages"
//	@Param			status		query		string				false	"Status of the answer, or `2xx`, `3xx`, `4xx` or `5xx`"
//	@Param			from		query		string				false	"From this time on, such as 2030-01-02T03:04:05Z"
//	@Param			to			query		string				false	"Before this time"
//	@Success		200			{object}	LoggedRequest		"The requests"
//	@Failure		400			{object}	Problem				"The request is malformed"
//	@Failure		404			{object}	Problem				"No such tenant"
//	@Failure		415			{object}	Problem				"The request has a Content-Encoding"
//	@Failure		422			{object}	Problem				"A value is not allowed"
//	@Router			/v1/request_log/export [get]
func (a *API) exportRequestLog(c echo.Context) error {
	q, err := readQuery(c, requestLogFilters...)
	if err != nil {
		return err
	}
	f, _, err := readCallFilter(c, &q)
	if err != nil {
		return err
	}
	return streamLines(c, newLoggedRequest, func(after string) ([]tenants.Call, string, error) {
		return a.Tenants.Calls(c.Request().Context(), RequestOf(c).Tenant, f, maxLimit, after)
	})
}

var requestLogFilters = []string{"request_id", "actor", "operation", "route", "status", "from", "to"}

// readCallFilter reads which requests are asked for, and returns the question as text too.
func readCallFilter(c echo.Context, q *query) (f tenants.CallFilter, asked string, err error) {
	f = tenants.CallFilter{RequestID: q.text("request_id"), Actor: q.text("actor"), Operation: q.text("operation"), Route: q.text("route")}
	if q.has("status") {
		text := q.text("status")
		f.Status, err = strconv.Atoi(strings.TrimSuffix(text, "xx"))
		class := strings.HasSuffix(text, "xx")
		if err != nil || class && (f.Status < 2 || f.Status > 5) || !class && (f.Status < 100 || f.Status > 599) {
			return f, "", queryFault("status", "not_allowed", "must be a status such as 404, or 2xx, 3xx, 4xx or 5xx")
		}
	}
	if f.From, err = q.time("from"); err != nil {
		return f, "", err
	}
	if f.To, err = q.time("to"); err != nil {
		return f, "", err
	}
	if g := grants(c); g.Limited() {
		f.Sees = g.Reaches
	}
	texts := make([]string, len(requestLogFilters))
	for i, name := range requestLogFilters {
		texts[i] = q.text(name)
	}
	return f, strings.Join(texts, "\x00"), nil
}
