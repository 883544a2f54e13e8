package handlers

import (
	"net/http"
	"strings"

	"github.com/labstack/echo/v4"

	"github.com/sluicemq/sluice/auth"
	"github.com/sluicemq/sluice/internal/errs"
	"github.com/sluicemq/sluice/queues"
)

// guarded is a route with what its scope means.
type guarded struct {
	route
	need   auth.Scopes
	change *change // nil for what the audit log does not have
}

// admits refuses who may not use a route at all.
func (rt *guarded) admits(p auth.Principal) error {
	if p.Viewing && rt.method != http.MethodGet && rt.operation != "endView" && rt.operation != "endSession" {
		return auth.ErrReadOnly
	}
	if rt.needs == operator && p.Kind != auth.KindOperator {
		e := *auth.ErrPermissionDenied
		e.Message = "This needs an operator's key (scope " + rt.scope + ")."
		e.Fix = "Use a key that begins with slo_."
		return &e
	}
	if !p.Grants.May(rt.need) {
		return auth.Denied(rt.scope)
	}
	return nil
}

// reaches refuses a request about a queue that the key does not reach. It is told the same whether or not there is such a
// queue: that there is none; but of one that it wants to make, that it may not.
func (rt *guarded) reaches(c echo.Context, p auth.Principal) error {
	if !p.Grants.Limited() {
		return nil
	}
	queue := c.Param("queue")
	switch {
	case strings.HasPrefix(rt.scope, "alarms:"):
		return errNoAlarms
	case strings.HasPrefix(rt.scope, "topics:") || c.Param("topic") != "":
		return errNoTopics
	case queue == "" || p.Grants.Reaches(queue):
		return nil
	case rt.method == http.MethodPut && strings.HasSuffix(rt.path, "/:queue"):
		return notReached(queue, errs.Field{})
	}
	return queues.ErrQueueNotFound
}

// errNoTopics refuses topics to keys that reach only some queues: a topic has messages of whoever publishes, for queues of
// whoever subscribes.
var errNoTopics = &errs.Error{Kind: errs.Forbidden, Code: auth.ErrPermissionDenied.Code,
	Message: "The key reaches only some queues, and so no topics.",
	Fix:     "Use a key that reaches all queues. GET /v1/whoami shows which queues a key reaches."}

// grants returns what the key of a request may do.
func grants(c echo.Context) *auth.Grants { return RequestOf(c).Principal.Grants }

// notReached says that the key does not reach a queue, which stands at a place in the request.
func notReached(queue string, at errs.Field) error {
	e := *auth.ErrPermissionDenied
	e.Message = "The key does not reach a queue named " + quoted(queue) + "."
	e.Fix = "Use a key that reaches it. GET /v1/whoami shows which queues a key reaches."
	if at != (errs.Field{}) {
		at.Code, at.Message = "not_allowed", "must name a queue that the key reaches"
		e.Fields = []errs.Field{at}
	}
	return &e
}

// reachesDestination refuses to move messages where the key does not reach. queue is "" where each message says itself
// where it came from.
func reachesDestination(c echo.Context, queue string, at errs.Field) error {
	g := grants(c)
	switch {
	case !g.Limited(), queue != "" && g.Reaches(queue):
		return nil
	case queue != "":
		return notReached(queue, at)
	}
	e := *auth.ErrPermissionDenied
	e.Message = "The key reaches only some queues, and messages may have come from others."
	e.Fix = "Name the queue to which they go: to."
	at.Code, at.Message = "not_allowed", "must name a queue that the key reaches"
	e.Fields = []errs.Field{at}
	return &e
}

var publishScope = auth.MustScope("topics:publish")

// forwardsWithin refuses that a queue forwards to where the key may not send, or publish, itself.
func forwardsWithin(c echo.Context, to string) error {
	g := grants(c)
	_, isTopic := queues.CutTopicTarget(to)
	switch {
	case to == "":
		return nil
	case !isTopic && !g.Reaches(to):
		return notReached(to, errs.Field{Pointer: "/forward_to"})
	case isTopic && g.Limited():
		return errNoTopics
	case isTopic && !g.May(publishScope):
		return auth.Denied("topics:publish")
	}
	return nil
}

// narrower returns the longer of two prefixes of names, of which one must be a prefix of the other: otherwise no name has
// both.
func narrower(a, b string) (prefix string, ok bool) {
	if len(a) < len(b) {
		a, b = b, a
	}
	return a, strings.HasPrefix(a, b)
}

const bodyScopeName = "messages:read_body"

var bodyScope = auth.MustScope(bodyScopeName)

// readsBodies reports whether looks at messages show their bodies.
func readsBodies(c echo.Context) bool { return grants(c).May(bodyScope) }

// parseFilter reads a filter of messages. Who may not read bodies may not ask about them either: the answers would tell.
func parseFilter(c echo.Context, text string) (*queues.Filter, error) {
	f, err := queues.ParseFilter(text)
	if err == nil && !readsBodies(c) && (f.Asks("body") || f.Asks("deduplication_id")) {
		return nil, auth.Denied(bodyScopeName)
	}
	return f, err
}
