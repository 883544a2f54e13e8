package auth

import (
	"context"
	"encoding/json"
	"strings"
	"time"

	"github.com/sluicemq/sluice/internal/errs"
	"github.com/sluicemq/sluice/tenants"
)

// An operator looks at what a tenant has through the eyes of a viewer: while his session is a view it is the tenant's, and
// changes nothing. The session stays what it is, so the end of the view needs no other credential than its beginning.

// ViewLife is how long an operator sees as a tenant does, unless he ends it before.
const ViewLife = 30 * time.Minute

// viewRole is what a view may at most. The operator's own scopes bound it too.
const viewRole = "viewer"

// The errors of views.
var (
	ErrReadOnly = &errs.Error{Kind: errs.Forbidden, Code: "read_only_session",
		Message: "An operator who views a tenant changes nothing.",
		Fix:     "End the view: DELETE /v1/session/view-as. An operator's key or session changes what belongs to a tenant with the header Tenant."}
	ErrSessionRequired = &errs.Error{Kind: errs.Invalid, Code: "session_required",
		Message: "Only a session can be a view.",
		Fix:     "Sign in: POST /v1/session. With a key, name the tenant in the header Tenant."}
	ErrNoView = &errs.Error{Kind: errs.NotFound, Code: "view_not_found",
		Message: "This session views no tenant."}
	errSessionChanged = &errs.Error{Kind: errs.Conflict, Code: "session_changed",
		Message: "The session was changed just now by another request.",
		Fix:     "Send the request again."}
)

// View is a tenant as which an operator looks at things.
type View struct {
	Tenant     tenants.ID
	TenantName string
	EndsAt     time.Time
}

// viewRecord is a View as the record of a session holds it.
type viewRecord struct {
	Tenant     string `json:"tenant"`
	TenantName string `json:"tenant_name"`
	EndsAt     int64  `json:"ends_at"` // milliseconds since 1970
}

func (v *viewRecord) view() *View {
	if v == nil {
		return nil
	}
	id, ok := tenants.ParseID(v.Tenant)
	if !ok {
		return nil
	}
	return &View{Tenant: id, TenantName: v.TenantName, EndsAt: instant(v.EndsAt)}
}

// as returns what an operator is while he views a tenant.
func (v *View) as(p Principal) Principal {
	g := *p.Grants
	g.Scopes, g.allowed = []string{viewRole}, parseScope(viewRole)&ofKind[KindTenant]&g.allowed
	p.Kind, p.Tenant, p.TenantName, p.Grants, p.Viewing = KindTenant, v.Tenant, v.TenantName, &g, true
	return p
}

// ViewAs makes an operator's session a view of a tenant for ViewLife.
func (a *Authenticator) ViewAs(ctx context.Context, s Session, t tenants.ID, name string) (Session, error) {
	now, err := a.instant(ctx)
	if err != nil {
		return Session{}, err
	}
	return a.changeView(ctx, s, &viewRecord{Tenant: t.String(), TenantName: name, EndsAt: now + ViewLife.Milliseconds()})
}

// EndView makes a session what it was before it became a view.
func (a *Authenticator) EndView(ctx context.Context, s Session) (Session, error) {
	return a.changeView(ctx, s, nil)
}

func (a *Authenticator) changeView(ctx context.Context, s Session, v *viewRecord) (Session, error) {
	r, err := parseRecord(s.text)
	if err != nil {
		return Session{}, err
	}
	r.Session.View = v
	text, err := json.Marshal(r)
	if err != nil {
		return Session{}, err
	}
	d, _ := parseDigest(s.entry[strings.LastIndexByte(s.entry, '/')+1:])
	got, err := a.keys.run(ctx, changeSessionScript, []string{recordsKey}, d.String(), s.text, string(text), newMark())
	a.keys.tell([]digest{d})
	if err == nil && got[0] == "changed" {
		err = errSessionChanged
	}
	s.text, s.View = string(text), v.view()
	return s, err
}
