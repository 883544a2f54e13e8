package server

import (
	"net/http"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/sluicemq/sluice/auth"
	"github.com/sluicemq/sluice/handlers"
	"github.com/sluicemq/sluice/handlers/aws"
	"github.com/sluicemq/sluice/queues"
	"github.com/sluicemq/sluice/tenants"
	"github.com/sluicemq/sluice/topics"
)

// noteREST notes a request for the request log of the tenant that it was for, or whose key it showed. Of its path only the
// names are told that a queue or topic can have: a path holds receipts.
func noteREST(l *tenants.RequestLog, c echo.Context, took time.Duration) {
	who := handlers.RequestOf(c)
	if l == nil || who == nil || who.Operation == "" {
		return
	}
	id := who.Tenant
	if id.IsZero() && who.Principal.Kind == auth.KindTenant {
		id = who.Principal.Tenant
	}
	l.Note(id, c.Response().Status, func() tenants.Call {
		call := tenants.Call{ID: who.ID, Door: "rest", Method: c.Request().Method, Route: template(c.Path()), Operation: who.Operation,
			Code: who.Code, Micros: took.Microseconds(), Actor: who.Principal.Actor(), Address: c.RealIP()}
		if queue := c.Param("queue"); queues.ValidName(queue) == nil {
			call.Queue = queue
		}
		if topic := c.Param("topic"); topics.ValidName(topic) == nil {
			call.Topic = topic
		}
		return call
	})
}

// noteAWS is noteREST for the AWS door.
func noteAWS(l *tenants.RequestLog, door *aws.Door, r *http.Request, served *aws.Served, took time.Duration) {
	l.Note(served.Principal.Tenant, served.Status, func() tenants.Call {
		call := tenants.Call{ID: served.ID, Door: "aws", Method: r.Method, Route: "/", Queue: served.Queue,
			Code: served.Code, Micros: took.Microseconds(), Actor: served.Principal.Actor(), Address: door.ClientAddress(r)}
		if served.Action != "" {
			call.Operation = served.Service + ":" + served.Action // as in the audit log
		}
		return call
	})
}

// template writes a route as the description of the API does: /v1/queues/{queue}.
func template(route string) string {
	parts := strings.Split(route, "/")
	for i, part := range parts {
		if name, ok := strings.CutPrefix(part, ":"); ok {
			parts[i] = "{" + name + "}"
		}
	}
	return strings.Join(parts, "/")
}
