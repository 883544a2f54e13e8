package handlers

import (
	"github.com/sluicemq/sluice/internal/egress"
	"github.com/sluicemq/sluice/topics/webhook"
)

// WebhookTLS is what a webhook shows to its endpoint when it connects, and by whom the endpoint's certificate may be signed.
type WebhookTLS struct {
	// PEM: the certificate, and behind it those that lead to its authority.
	ClientCertificate string `json:"client_certificate,omitempty" validate:"omitempty,max=8192" example:"-----BEGIN CERTIFICATE-----\n…\n-----END CERTIFICATE-----\n"`
	// PEM, without a password. It is stored encrypted and not shown again: *** stands for it, and given back it keeps what is there.
	ClientKey string `json:"client_key,omitempty" validate:"omitempty,max=4096" example:"***"`
	// PEM: the authorities that are trusted instead of those of the system.
	CA string `json:"ca,omitempty" validate:"omitempty,max=8192" example:"-----BEGIN CERTIFICATE-----\n…\n-----END CERTIFICATE-----\n"`
	// When the certificate ends. Read-only.
	ExpiresAt *Instant `json:"client_certificate_expires_at,omitempty" swaggertype:"string" format:"date-time"`
}

// webhookTLS reads a WebhookTLS.
func (r *reader) webhookTLS() *webhook.TLS {
	t := &webhook.TLS{}
	into := map[string]*string{"client_certificate": &t.Certificate, "client_key": &t.Key.Plain, "ca": &t.CA}
	r.object([]string{"client_certificate", "client_key", "ca"}, func(key []byte) {
		if string(key) == "client_certificate_expires_at" {
			r.skip() // who gives back what was shown
			return
		}
		to := into[string(key)]
		if to == nil {
			return
		}
		if s, ok := r.str(); ok {
			*to = string(s)
		}
	})
	return t
}

func shownTLS(t *webhook.TLS) *WebhookTLS {
	if t == nil {
		return nil
	}
	out := &WebhookTLS{ClientCertificate: t.Certificate, CA: t.CA}
	if t.Certificate != "" {
		_, expires := egress.Lifetime(t.Certificate)
		out.ClientKey, out.ExpiresAt = webhook.Masked, instant(expires.UTC())
	}
	return out
}
