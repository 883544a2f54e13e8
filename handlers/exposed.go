package handlers

import (
	"context"
	"net/url"
	"strings"

	"github.com/labstack/echo/v4"

	"github.com/sluicemq/sluice/auth"
	"github.com/sluicemq/sluice/internal/errs"
)

var errCredentialsInURL = &errs.Error{Kind: errs.Malformed, Code: "credentials_in_url",
	Message: "A key in a URL ends up in logs and histories, so none is taken from there.",
	Fix:     "Send it as a header, with curl as -u $KEY: , and replace the key that was in the URL."}

// credentialNames are parameters by which people try to send a key.
var credentialNames = map[string]bool{
	"key": true, "api_key": true, "apikey": true, "api-key": true, "access_token": true, "token": true, "authorization": true,
}

// credentialIn returns what a query sends as a credential.
func credentialIn(rawQuery string) (credential string, ok bool) {
	for pair := range strings.SplitSeq(rawQuery, "&") {
		name, value, _ := strings.Cut(pair, "=")
		if credentialNames[strings.ToLower(name)] {
			value, _ = url.QueryUnescape(value)
			return value, true
		}
	}
	return "", false
}

// refuseExposed refuses a request with a credential in its URL. Where that is a good one, the audit log of its owner has it as
// refused, so that he knows which key to replace. The tenant pays for that as for any request.
func (a *API) refuseExposed(c echo.Context, rt guarded, credential string) error {
	ctx, req := c.Request().Context(), RequestOf(c)
	p, err := a.Auth.Authenticate(ctx, credential, c.RealIP())
	if err != nil {
		return errCredentialsInURL
	}
	req.Principal, req.Tenant = p, p.Tenant
	target := "operator_key"
	if p.Kind == auth.KindTenant {
		target = "key"
		if req.terms, err = a.Tenants.Terms(ctx, p.Tenant); err != nil {
			return err
		}
		if err := a.admit(c, req); err != nil {
			return err
		}
	}
	rt.change = &change{target: target}
	r := a.newRecord(c, &rt)
	r.Target.Name, r.Target.Queue, r.Target.Topic, r.Code = p.KeyID, "", "", errCredentialsInURL.Code
	ctx, cancel := context.WithTimeout(ctx, auditBudget)
	defer cancel()
	for _, l := range r.logs {
		if err := a.Audit.Refuse(ctx, l, r.Entry); err != nil {
			a.Logger.Warn("the audit log does not show that a key was in a URL", "request", r.Request, "key", p.KeyID, "error", err)
		}
	}
	return errCredentialsInURL
}
