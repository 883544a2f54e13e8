package handlers

import (
	"io"
	"strconv"

	"github.com/labstack/echo/v4"
)

// maxCharged bounds what a request is charged for a body that it announces: no body is larger.
const maxCharged = 32 << 20

// admit refuses a request of a tenant that does more a second than it may, before anything of its body is read.
func (a *API) admit(c echo.Context, req *Request) error {
	if a.Limiter == nil || req.terms == nil {
		return nil
	}
	r := c.Request()
	rate, err := a.Limiter.Admit(req.Tenant, req.terms, min(r.ContentLength, maxCharged))
	if rate.Policy == nil {
		return nil
	}
	h := c.Response().Header()
	h["Ratelimit-Policy"] = rate.Policy
	state := make([]byte, 0, 48)
	state = append(append(append(state, '"'), rate.Limit.String()...), `";r=`...)
	state = append(strconv.AppendInt(state, rate.Left, 10), ";t=1"...)
	h["Ratelimit"] = []string{string(state)}
	if err == nil && r.ContentLength < 0 {
		r.Body = &counted{ReadCloser: r.Body, api: a, c: c}
	}
	return err
}

// charge notes bytes of a request, or of its answer, beside those that were announced.
func (a *API) charge(c echo.Context, in, out int) {
	req := RequestOf(c)
	if a.Limiter == nil || req == nil || req.terms == nil {
		return
	}
	if out > 0 { // only one goroutine writes; another one may read
		req.charged += int64(out)
	}
	a.Limiter.Charge(req.Tenant, req.terms, int64(in), int64(out))
}

// chargeRest charges what nobody has charged of an answer that is written.
func (a *API) chargeRest(c echo.Context, req *Request) {
	if rest := c.Response().Size - req.charged; rest > 0 {
		a.charge(c, 0, int(rest))
	}
}

// counted is a body whose length is not known before.
type counted struct {
	io.ReadCloser
	api *API
	c   echo.Context
}

func (b *counted) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.api.charge(b.c, n, 0)
	return n, err
}
