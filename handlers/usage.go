package handlers

import (
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/sluicemq/sluice/auth"
	"github.com/sluicemq/sluice/internal/errs"
	"github.com/sluicemq/sluice/tenants"
)

// Usage is what a tenant did in one hour or day.
type Usage struct {
	// When the hour or day begins, in UTC.
	Start Instant `json:"start" swaggertype:"string" format:"date-time"`
	// With `by=queue`: its name. Null for the tenant as a whole, and for others.
	Queue *string `json:"queue" extensions:"x-nullable" example:"orders"`
	// With `by=topic`: its name. Null for the tenant as a whole, and for others.
	Topic *string `json:"topic" extensions:"x-nullable" example:"orders.created"`
	// These are all queues or topics beyond the 500 of that hour or day that are counted each for itself.
	Others bool `json:"others"`
	// Requests with the tenant's own keys that were let in; a stream counts when it ends.
	Requests int64 `json:"requests" example:"1200"`
	// Bytes of the bodies of these requests.
	BytesIn int64 `json:"bytes_in" example:"480000"`
	// Bytes of the bodies of their answers, but for problems.
	BytesOut int64 `json:"bytes_out" example:"510000"`
	// Messages that queues took from sends and schedules.
	MessagesSent int64 `json:"messages_sent" example:"1000"`
	// Messages that were given out, again and again if need be.
	MessagesReceived int64 `json:"messages_received" example:"1010"`
	// Messages that consumers were done with, or that were deleted one by one.
	MessagesDeleted int64 `json:"messages_deleted" example:"1000"`
	// Messages that topics took.
	MessagesPublished int64 `json:"messages_published" example:"10"`
	// Messages of topics that were brought to queues.
	MessagesDelivered int64 `json:"messages_delivered" example:"30"`
	// Requests that were refused because the tenant did too much a second: 429 `rate_limited`. Of the tenant as a whole only.
	Throttled int64 `json:"throttled" example:"12"`
	// Attempts of webhooks after which a message was not delivered. Of the tenant as a whole only.
	Undelivered int64 `json:"undelivered" example:"3"`
}

func newUsage(u tenants.Usage, by tenants.Kind) Usage {
	n := u.Counts
	out := Usage{Start: Instant{u.Start}, Others: u.Others,
		Requests: n[tenants.MetricRequests], BytesIn: n[tenants.MetricBytesIn], BytesOut: n[tenants.MetricBytesOut],
		MessagesSent: n[tenants.MetricSent], MessagesReceived: n[tenants.MetricReceived], MessagesDeleted: n[tenants.MetricDeleted],
		MessagesPublished: n[tenants.MetricPublished], MessagesDelivered: n[tenants.MetricDelivered], Throttled: n[tenants.MetricThrottled],
		Undelivered: n[tenants.MetricUndelivered]}
	switch {
	case u.Others:
	case by == tenants.KindQueue:
		out.Queue = &u.Name
	case by == tenants.KindTopic:
		out.Topic = &u.Name
	}
	return out
}

// getUsage shows what the tenant of the request has used.
//
//	@Summary		Get usage
//	@Description	By hour, for 7 days, or by day, for 400 days; the earliest first. Hours and days in which nothing was done are left out. It is up to 10 seconds behind.
//	@ID				getUsage
//	@Tags			usage
//	@Param			granularity	query		string		false	"Length of the periods"	Enums(hour, day)	default(hour)
//	@Param			from		query		string		false	"Periods that begin at this time or later, such as 2030-01-02T00:00:00Z. Default: 24 hours ago, or 30 days"
//	@Param			to			query		string		false	"Periods that begin before this time. Default: now"
//	@Param			by			query		string		false	"Of what"	Enums(total, queue, topic)	default(total)
//	@Param			name		query		string		false	"With `by=queue` or `by=topic`: only this one"	maxlength(256)
//	@Param			limit		query		int			false	"How many at most"	minimum(1)	maximum(500)	default(50)
//	@Param			cursor		query		string		false	"next_cursor of the part before"
//	@Success		200			{object}	Page[Usage]	"A part of the list"
//	@Header			200			{string}	Link		"The next part, with rel=next"
//	@Failure		400			{object}	Problem		"The request is malformed"
//	@Failure		404			{object}	Problem		"No such tenant"
//	@Failure		415			{object}	Problem		"The request has a Content-Encoding"
//	@Failure		422			{object}	Problem		"A value is not allowed"
//	@Router			/v1/usage [get]
func (a *API) getUsage(c echo.Context) error { return a.answerUsage(c, RequestOf(c).Tenant) }

// getTenantUsage shows an operator what a tenant has used.
//
//	@Summary		Get the usage of a tenant
//	@Description	As a tenant sees its own: by hour, for 7 days, or by day, for 400 days; the earliest first. Hours and days in which nothing was done are left out. It is up to 10 seconds behind.
//	@ID				getTenantUsage
//	@Tags			usage
//	@Param			tenant		path		string		true	"Name of the tenant"
//	@Param			granularity	query		string		false	"Length of the periods"	Enums(hour, day)	default(hour)
//	@Param			from		query		string		false	"Periods that begin at this time or later, such as 2030-01-02T00:00:00Z. Default: 24 hours ago, or 30 days"
//	@Param			to			query		string		false	"Periods that begin before this time. Default: now"
//	@Param			by			query		string		false	"Of what"	Enums(total, queue, topic)	default(total)
//	@Param			name		query		string		false	"With `by=queue` or `by=topic`: only this one"	maxlength(256)
//	@Param			limit		query		int			false	"How many at most"	minimum(1)	maximum(500)	default(50)
//	@Param			cursor		query		string		false	"next_cursor of the part before"
//	@Success		200			{object}	Page[Usage]	"A part of the list"
//	@Header			200			{string}	Link		"The next part, with rel=next"
//	@Failure		400			{object}	Problem		"The request is malformed"
//	@Failure		404			{object}	Problem		"No such tenant"
//	@Failure		415			{object}	Problem		"The request has a Content-Encoding"
//	@Failure		422			{object}	Problem		"A value is not allowed"
//	@Router			/v1/tenants/{tenant}/usage [get]
func (a *API) getTenantUsage(c echo.Context) error {
	t, err := a.Tenants.Get(c.Request().Context(), c.Param("tenant"))
	if err != nil {
		return err
	}
	return a.answerUsage(c, t.ID)
}

var usageFilters = []string{"granularity", "from", "to", "by", "name"}

func (a *API) answerUsage(c echo.Context, id tenants.ID) error {
	q, err := readQuery(c, append([]string{"limit", "cursor"}, usageFilters...)...)
	if err != nil {
		return err
	}
	asked, err := a.usageQuery(c, &q)
	if err != nil {
		return err
	}
	limit, err := pageQuery(&q)
	if err != nil {
		return err
	}
	texts := make([]string, len(usageFilters))
	for i, name := range usageFilters {
		texts[i] = q.text(name)
	}
	filter := strings.Join(texts, "\x00")
	after, err := decodeCursor("usage", filter, &q)
	if err != nil {
		return err
	}
	list, next, err := a.Tenants.Usage(c.Request().Context(), id, asked, limit, after)
	if err != nil {
		return err
	}
	data := make([]Usage, len(list))
	for i, u := range list {
		data[i] = newUsage(u, asked.By)
	}
	return answerPage(a, c, data, encodeCursor("usage", filter, next))
}

// usageQuery reads which usage is asked for.
func (a *API) usageQuery(c echo.Context, q *query) (asked tenants.UsageQuery, err error) {
	granularity, err := q.choice("granularity", string(tenants.ByHour), string(tenants.ByDay))
	if err != nil {
		return asked, err
	}
	by, err := q.choice("by", "total", "queue", "topic")
	if err != nil {
		return asked, err
	}
	asked.Granularity, asked.Name = tenants.Granularity(granularity), q.text("name")
	asked.By = map[string]tenants.Kind{"total": tenants.KindTenant, "queue": tenants.KindQueue, "topic": tenants.KindTopic}[by]
	if asked.By == tenants.KindTenant && q.has("name") {
		return asked, queryFault("name", "not_allowed", "goes with by=queue or by=topic")
	}
	if asked.From, err = q.time("from"); err != nil {
		return asked, err
	}
	if asked.To, err = q.time("to"); err != nil {
		return asked, err
	}
	if asked.To.IsZero() {
		asked.To = a.Clock.Now().Add(time.Second) // what has just begun is in it
	}
	if asked.From.IsZero() {
		span := 24 * time.Hour
		if asked.Granularity == tenants.ByDay {
			span *= 30
		}
		asked.From = asked.To.Add(-span)
	}
	if !asked.From.Before(asked.To) {
		return asked, queryFault("from", "out_of_range", "must be before to")
	}
	if g := grants(c); g.Limited() {
		if asked.By != tenants.KindQueue {
			return asked, errOwnUsage
		}
		asked.Sees = g.Reaches
	}
	return asked, nil
}

// errOwnUsage refuses what other queues are part of to keys that reach only some.
var errOwnUsage = &errs.Error{Kind: errs.Forbidden, Code: auth.ErrPermissionDenied.Code,
	Message: "The key reaches only some queues, and the usage of a tenant is that of all.",
	Fix:     "Ask with by=queue, or use a key that reaches all queues."}
