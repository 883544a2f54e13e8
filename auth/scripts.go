package auth

import (
	"context"
	"embed"
	"errors"
	"fmt"

	"github.com/sluicemq/sluice/internal/engine"
	"github.com/sluicemq/sluice/tenants"
)

//go:embed lua/*.lua lua/lib/*.lua
var scripts embed.FS

var (
	lookupScript           = engine.MustLoad(scripts, "lookup")
	findScript             = engine.MustLoad(scripts, "find")
	listScript             = engine.MustLoad(scripts, "list")
	indexScript            = engine.MustLoad(scripts, "index")
	registerScript         = engine.MustLoad(scripts, "register")
	registerOperatorScript = engine.MustLoad(scripts, "register_operator")
	dropScript             = engine.MustLoad(scripts, "drop")
	unindexScript          = engine.MustLoad(scripts, "unindex")
	rotateScript           = engine.MustLoad(scripts, "rotate")
	rotateOperatorScript   = engine.MustLoad(scripts, "rotate_operator")
	usesScript             = engine.MustLoad(scripts, "uses")
	noteUsesScript         = engine.MustLoad(scripts, "note_uses")
	noteSignatureScript    = engine.MustLoad(scripts, "note_signature")
	dropSignaturesScript   = engine.MustLoad(scripts, "drop_signatures")

	openSessionScript    = engine.MustLoad(scripts, "open_session")
	endSessionsScript    = engine.MustLoad(scripts, "end_sessions")
	changeSessionScript  = engine.MustLoad(scripts, "change_session")
	sweepSessionsScript  = engine.MustLoad(scripts, "sweep_sessions")
	listEntriesScript    = engine.MustLoad(scripts, "list_entries")
	putPortalLinkScript  = engine.MustLoad(scripts, "put_portal_link")
	endPortalLinkScript  = engine.MustLoad(scripts, "end_portal_link")
	endPortalLinksScript = engine.MustLoad(scripts, "end_portal_links")
	sweepLinksScript     = engine.MustLoad(scripts, "sweep_portal_links")

	putMemberScript    = engine.MustLoad(scripts, "put_member")
	removeMemberScript = engine.MustLoad(scripts, "remove_member")

	signingKeysScript       = engine.MustLoad(scripts, "signing_keys")
	rotateSigningKeysScript = engine.MustLoad(scripts, "rotate_signing_keys")
)

// The keys of Redis. The first eleven lie in the slot of the installation, the others in that of a tenant.
var (
	recordsKey     = engine.SystemKey("keys")          // HASH digest to record; field "" holds the mark
	usesKey        = engine.SystemKey("key-uses")      // HASH digest to when and from where the key was used last
	operatorsKey   = engine.SystemKey("operator-keys") // HASH key id to digest
	signingKeysKey = engine.SystemKey("token-keys")    // HASH key id to when it begins to sign, and the sealed key
	tenantIDsKey   = engine.SystemKey("tenant-ids")    // HASH id to name, kept by tenants

	sessionIndexKey = engine.SystemKey("session-index") // ZSET sessions in the order of tenant, owner and end
	sessionEndsKey  = engine.SystemKey("session-ends")  // ZSET the same by when they end

	portalLinksKey    = engine.SystemKey("portal-links")     // ZSET portal links in the order of tenant and end
	portalLinkEndsKey = engine.SystemKey("portal-link-ends") // ZSET the same by when they end

	memberIndexKey  = engine.SystemKey("member-index")  // ZSET members in the order of tenants
	memberEmailsKey = engine.SystemKey("member-emails") // ZSET the same in the order of digests of addresses

	memberKeys  = []string{recordsKey, memberIndexKey, memberEmailsKey, tenantIDsKey}
	sessionKeys = []string{recordsKey, usesKey, sessionIndexKey, sessionEndsKey}
	linkKeys    = []string{recordsKey, portalLinksKey, portalLinkEndsKey}
)

func indexKey(t tenants.ID) string  { return engine.TenantKey(t.String(), "keys") }   // HASH key id to digest, or to "?" and digest
func tenantKey(t tenants.ID) string { return engine.TenantKey(t.String(), "tenant") } // HASH, kept by tenants

// run runs a script that answers with text or a list of texts. Missing values come as "".
func (k *KeyStore) run(ctx context.Context, script *engine.Script, keys []string, args ...any) ([]string, error) {
	reply, err := k.engine.Do(ctx, script, keys, args...)
	if err != nil {
		if script.ReadOnly && errors.Is(err, engine.ErrUnknown) {
			err = engine.ErrUnavailable.Because(err) // a read that got no answer has changed nothing
		}
		return nil, fmt.Errorf("%s: %w", script.Name, err)
	}
	list, ok := reply.([]any)
	if !ok {
		list = []any{reply}
	}
	texts := make([]string, len(list))
	for i, v := range list {
		switch v := v.(type) {
		case nil:
		case string:
			texts[i] = v
		default:
			return nil, engine.ErrBroken.Because(fmt.Errorf("%s: unexpected %T in the answer", script.Name, v))
		}
	}
	return texts, nil
}
