package auth

import (
	"context"
	"time"

	"github.com/sluicemq/sluice/internal/engine"
	"github.com/sluicemq/sluice/internal/errs"
	"github.com/sluicemq/sluice/tenants"
)

// A signature of AWS covers a request and its time, but not how often the request is sent: who has seen one may send it again
// while it is valid. Where that must not be, Redis keeps each signature that was used until it is not valid any more, some
// 250 bytes for 15 minutes, and each request costs a round trip more.

// ErrReplayed is for a request whose signature another request has used.
var ErrReplayed = &errs.Error{Kind: errs.Forbidden, Code: "request_replayed",
	Message: "A request with this signature has been answered already, and this server takes each signature once. Sign the request anew."}

// Use notes that a request, by its id, has used a signature of the pair that is valid for so long. It may be repeated. For any
// other request the signature is ErrReplayed from then on, on all servers.
func (s Signer) Use(ctx context.Context, signature, request string, valid time.Duration) error {
	t := s.Tenant()
	answer, err := s.a.keys.run(ctx, noteSignatureScript, []string{tenantKey(t), signaturesKey(t), signatureEndsKey(t)},
		signature, request, max(valid, time.Second).Milliseconds())
	switch {
	case err != nil:
		return err
	case answer[0] == "used":
		return ErrReplayed
	case answer[0] == "gone":
		return ErrUnauthenticated
	}
	return nil
}

func (k *KeyStore) forgetSignatures(ctx context.Context, t tenants.ID) error {
	_, err := k.run(ctx, dropSignaturesScript, []string{signaturesKey(t), signatureEndsKey(t)})
	return err
}

func signaturesKey(t tenants.ID) string    { return engine.TenantKey(t.String(), "signatures") }     // HASH signature to request
func signatureEndsKey(t tenants.ID) string { return engine.TenantKey(t.String(), "signature-ends") } // ZSET signatures by their end
