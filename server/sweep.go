package server

import (
	"context"
	"time"
)

// sweepEvery is how often the queues and topics of all tenants are walked, to free the memory of what has expired in those that
// nobody calls, and to finish what a crash left half done, such as messages on their way to a dead-letter queue. No
// answer depends on it.
const sweepEvery = 10 * time.Minute

// sweep walks all queues and topics, at the start and then from time to time. Several servers that do so at once only do it twice.
func (p *parts) sweep(ctx context.Context) error {
	tick := time.NewTicker(sweepEvery)
	defer tick.Stop()
	for {
		if mine, err := p.engine.Lease(ctx, "sweep", sweepEvery/2); err == nil && mine {
			p.walk(ctx)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// walk visits the queues and topics of all tenants once.
func (p *parts) walk(ctx context.Context) {
	for after := ""; ; {
		page, next, err := p.tenants.List(ctx, "", 100, after)
		if err != nil {
			return
		}
		for _, t := range page {
			_ = p.queues.Sweep(ctx, t.ID) // what fails is done at the next walk
			_ = p.topics.Sweep(ctx, t.ID)
			_ = p.monitor.Sweep(ctx, t.ID)
			_ = p.storage.Sweep(ctx, t.ID)
			_ = p.tenants.PruneUsage(ctx, t.ID)
		}
		if next == "" {
			return
		}
		after = next
	}
}
