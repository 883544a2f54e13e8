package handlers

import (
	"io"
	"strconv"

	"github.com/labstack/echo/v4"

	"github.com/sluicemq/sluice/tenants"
)

// maxCharged bounds what a request is charged for a body that it announces: no body is larger.
const maxCharged = 32 << 20

// admit refuses a request of a tenant that does more a second than it may, before anything of its body is read.
func (a *API) admit(c echo.Context, req *Request) error {
	r := c.Request()
	if req.terms != nil && r.ContentLength < 0 {
		r.Body = &counted{ReadCloser: r.Body, api: a, c: c}
	}
	if a.Limiter == nil || req.terms == nil {
		return nil
	}
	rate, err := a.Limiter.Admit(req.Tenant, req.terms, min(r.ContentLength, maxCharged))
	if err != nil {
		a.Meter.Refused(req.Tenant)
	}
	if rate.Policy == nil {
		return nil
	}
	h := c.Response().Header()
	h["Ratelimit-Policy"] = rate.Policy
	state := make([]byte, 0, 48)
	state = append(append(append(state, '"'), rate.Limit.String()...), `";r=`...)
	state = append(strconv.AppendInt(state, rate.Left, 10), ";t=1"...)
	h["Ratelimit"] = []string{string(state)}
	return err
}

// charge notes bytes of a stream that has begun.
func (a *API) charge(c echo.Context, in, out int) {
	req := RequestOf(c)
	if req == nil || req.terms == nil {
		return
	}
	if out > 0 { // only one goroutine writes; another one may read
		req.charged += int64(out)
	}
	kind, name := subject(c)
	a.Meter.Add(req.Tenant, kind, name, tenants.MetricBytesIn, int64(in))
	a.Meter.Add(req.Tenant, kind, name, tenants.MetricBytesOut, int64(out))
	if a.Limiter != nil {
		a.Limiter.Charge(req.Tenant, req.terms, int64(in), int64(out))
	}
}

// countRequest charges what nobody has charged of an answer that is written, and counts the request: for its queue or topic where
// it was answered with success, for otherwise there may be none.
func (a *API) countRequest(c echo.Context, req *Request, err error) {
	if req.terms == nil {
		return
	}
	rest := max(c.Response().Size-req.charged, 0)
	kind, name := tenants.KindTenant, ""
	if err == nil {
		kind, name = subject(c)
	}
	a.Meter.AddRequest(req.Tenant, kind, name, req.read+max(c.Request().ContentLength, 0), rest)
	a.Meter.AddCall(req.Tenant, req.Principal.KeyID)
	if a.Limiter != nil && rest > 0 {
		a.Limiter.Charge(req.Tenant, req.terms, 0, rest)
	}
}

// subject returns to what the path of a request leads.
func subject(c echo.Context) (tenants.Kind, string) {
	if queue := c.Param("queue"); queue != "" {
		return tenants.KindQueue, queue
	}
	if topic := c.Param("topic"); topic != "" {
		return tenants.KindTopic, topic
	}
	return tenants.KindTenant, ""
}

// counted is a body whose length is not known before.
type counted struct {
	io.ReadCloser
	api *API
	c   echo.Context
}

func (b *counted) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	req := RequestOf(b.c)
	req.read += int64(n)
	if b.api.Limiter != nil {
		b.api.Limiter.Charge(req.Tenant, req.terms, int64(n), 0)
	}
	return n, err
}
