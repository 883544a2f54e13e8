package auth

import (
	"context"
	"time"

	"github.com/sluicemq/sluice/internal/engine"
)

const (
	// sweepEvery is how often each server forgets the sessions and the portal links that are over, so that these leave Redis in
	// the end, also those of tenants where nobody signs in.
	sweepEvery = time.Minute
	// maxSweep bounds how many one call forgets.
	maxSweep = 100
)

// sweep forgets the sessions and the portal links of everybody that are over. What is left after an error, which the engine has
// logged, comes with the next sweep.
func (a *Authenticator) sweep(ctx context.Context) {
	a.sweepBy(ctx, sweepSessionsScript, sessionKeys)
	a.sweepBy(ctx, sweepLinksScript, linkKeys)
}

func (a *Authenticator) sweepBy(ctx context.Context, script *engine.Script, keys []string) {
	for {
		got, err := a.keys.run(ctx, script, keys, maxSweep)
		if err != nil || got[0] != "more" || ctx.Err() != nil {
			return
		}
	}
}
