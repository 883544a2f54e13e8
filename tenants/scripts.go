package tenants

import (
	"context"
	"embed"
	"errors"
	"fmt"

	"github.com/sluicemq/sluice/internal/engine"
)

//go:embed lua/*.lua lua/lib/*.lua
var scripts embed.FS

// In the slot of the installation.
var (
	findScript    = engine.MustLoad(scripts, "find")
	accountScript = engine.MustLoad(scripts, "account")
	pageScript    = engine.MustLoad(scripts, "page")
	reserveScript = engine.MustLoad(scripts, "reserve")
	confirmScript = engine.MustLoad(scripts, "confirm")
	leaveScript   = engine.MustLoad(scripts, "leave")
	removeScript  = engine.MustLoad(scripts, "remove")

	announceScript   = engine.MustLoad(scripts, "announce")
	ratesScript      = engine.MustLoad(scripts, "rates")
	claimScript      = engine.MustLoad(scripts, "claim")
	plansScript      = engine.MustLoad(scripts, "plans")
	planPutScript    = engine.MustLoad(scripts, "plan_put")
	planDeleteScript = engine.MustLoad(scripts, "plan_delete")

	troubleAddScript  = engine.MustLoad(scripts, "trouble_add")
	troubleReadScript = engine.MustLoad(scripts, "trouble_read")
	troubleDropScript = engine.MustLoad(scripts, "trouble_drop")
)

// In the slot of a tenant.
var (
	createScript = engine.MustLoad(scripts, "create")
	readScript   = engine.MustLoad(scripts, "read")
	updateScript = engine.MustLoad(scripts, "update")
	markScript   = engine.MustLoad(scripts, "mark")
	purgeScript  = engine.MustLoad(scripts, "purge")

	keyCallsScript     = engine.MustLoad(scripts, "key_calls")
	usageAddScript     = engine.MustLoad(scripts, "usage_add")
	usageReadScript    = engine.MustLoad(scripts, "usage_read")
	usagePeriodsScript = engine.MustLoad(scripts, "usage_periods")
	usageDropScript    = engine.MustLoad(scripts, "usage_drop")

	requestLogAddScript  = engine.MustLoad(scripts, "request_log_add")
	requestLogReadScript = engine.MustLoad(scripts, "request_log_read")
	requestLogDropScript = engine.MustLoad(scripts, "request_log_drop")

	drawScript    = engine.MustLoad(scripts, "draw")
	heldScript    = engine.MustLoad(scripts, "held")
	holdersScript = engine.MustLoad(scripts, "holders")
	storedScript  = engine.MustLoad(scripts, "stored")
	countedScript = engine.MustLoad(scripts, "counted")
)

// The keys of the registry, all in the slot of the installation.
var (
	entriesKey  = engine.SystemKey("tenants")         // HASH name to entry
	namesKey    = engine.SystemKey("tenant-names")    // ZSET names, all with score 0
	idsKey      = engine.SystemKey("tenant-ids")      // HASH id to name
	accountsKey = engine.SystemKey("tenant-accounts") // HASH account to id, "-" when that is gone
	termsKey    = engine.SystemKey("tenant-terms")    // HASH "" to the mark
	ratesKey    = engine.SystemKey("rates")           // HASH "<id>/<limit>" to bucket
	plansKey    = engine.SystemKey("plans")           // HASH name to record
	// planTenantsKey is a ZSET of "<plan>/<id>", all with score 0.
	planTenantsKey = engine.SystemKey("plan-tenants")
)

func recordKey(id ID) string { return engine.TenantKey(id.s, "tenant") } // HASH
func queuesKey(id ID) string { return engine.TenantKey(id.s, "queues") } // HASH
func storedKey(id ID) string { return engine.TenantKey(id.s, "stored") } // HASH, see lua/lib/stored.lua

// run runs a script that answers with text or a list of texts. Missing values come as "".
func (s *Store) run(ctx context.Context, script *engine.Script, keys []string, args ...any) ([]string, error) {
	reply, err := s.engine.Do(ctx, script, keys, args...)
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
