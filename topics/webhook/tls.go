package webhook

import (
	"strings"
	"time"

	"github.com/sluicemq/sluice/internal/egress"
	"github.com/sluicemq/sluice/internal/engine"
	"github.com/sluicemq/sluice/internal/errs"
)

// TLS is what a webhook shows to its endpoint when it connects, and by whom the endpoint's certificate may be signed. All is PEM.
type TLS struct {
	Certificate string `json:"certificate,omitempty"` // of the client, and behind it those that lead to its authority
	Key         Hidden `json:"key,omitzero"`
	CA          string `json:"ca,omitempty"` // "": the authorities of the system
}

// checkTLS checks what connections show and trust, and seals the key. was are the settings that are there, or the zero value.
func (s *Store) checkTLS(e *Endpoint, was Endpoint) error {
	t := e.TLS
	if t == nil {
		return nil
	}
	if !strings.HasPrefix(e.URL, "https://") {
		return errs.Invalidf("/tls", "Certificates are for endpoints with https://.")
	}
	if t.Key != (Hidden{}) {
		var before *Hidden
		if was.TLS != nil && was.TLS.Key != (Hidden{}) {
			before = &was.TLS.Key
		}
		// A key never leaves, so it may stay when the endpoint moves.
		if err := s.hide(&t.Key, before, false, "/tls/client_key"); err != nil {
			return err
		}
	}
	_, err := s.identity("", t)
	if egress.KindOf(err) == egress.Invalid {
		return errs.Invalidf("/tls", "%s", err.Error())
	}
	if err != nil {
		return err
	}
	begins, expires := egress.Lifetime(t.Certificate)
	switch now := s.clock.Now(); {
	case was.TLS != nil && *was.TLS == *t: // it may have ended since
	case expires.IsZero():
	case !expires.After(now):
		return errs.Invalidf("/tls/client_certificate", "The client's certificate ended at %s.", expires.UTC().Format(time.RFC3339))
	case begins.After(now):
		return errs.Invalidf("/tls/client_certificate", "The client's certificate is not valid before %s.", begins.UTC().Format(time.RFC3339))
	}
	return nil
}

// identity returns what connections of a tenant show and trust.
func (s *Store) identity(owner string, t *TLS) (*egress.Identity, error) {
	key := ""
	if t.Key != (Hidden{}) {
		var err error
		if key, err = s.reveal(t.Key); err != nil {
			return nil, err
		}
	}
	return egress.NewIdentity(owner, t.Certificate, key, t.CA)
}

// openTLS makes what the connections of a webhook show and trust. Those of two tenants have nothing in common.
func (s *Store) openTLS(id identity, c *config) error {
	if c.endpoint.TLS == nil {
		return nil
	}
	var err error
	if c.identity, err = s.identity(id.tenant.String(), c.endpoint.TLS); err != nil {
		return engine.ErrBroken.Because(err)
	}
	return nil
}
