package webhook

import (
	"net/http"
	"strconv"

	"github.com/sluicemq/sluice/internal/errs"
	"github.com/sluicemq/sluice/queues"
	"github.com/sluicemq/sluice/topics"
)

// hopsHeader says how often a message has been sent on, the request that carries it included. The endpoint of a webhook may be a topic or a
// queue, of this service or of another one like it: by this header a ring of them comes to an end, as one of topics does.
const hopsHeader = "Sluice-Hops"

// hop marks a request with the number of the message that has come furthest.
func (g *cargo) hop(h http.Header) {
	most := 0
	for _, l := range g.messages {
		most = max(most, l.Message.Hops)
	}
	h[hopsHeader] = []string{strconv.Itoa(most + 1)}
}

// Hops returns how often what a request brings has been sent on, by its headers; 0 where they do not say. It is topics.ErrTooManyHops
// where that is more often than a message may.
func Hops(h http.Header) (int, error) {
	said := h[hopsHeader]
	if len(said) == 0 {
		return 0, nil
	}
	n, err := strconv.Atoi(said[0])
	switch {
	case err != nil || n < 0:
		return 0, &errs.Error{Kind: errs.Invalid, Code: "validation_failed", Message: "Sluice-Hops is no number.",
			Fields: []errs.Field{{Header: hopsHeader, Code: "invalid", Message: "must be a number, as webhooks send it"}}}
	case n > queues.MaxHops:
		return 0, topics.ErrTooManyHops
	}
	return n, nil
}
