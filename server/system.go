package server

import (
	"context"
	"runtime"
	"strings"
	"time"

	"github.com/prometheus/common/expfmt"

	"github.com/sluicemq/sluice/handlers"
	"github.com/sluicemq/sluice/internal/engine"
	"github.com/sluicemq/sluice/internal/logtail"
	"github.com/sluicemq/sluice/internal/room"
)

const (
	// examineLimit bounds a look of a server at itself, and examineWait how long one waits for another: an answer has a minute.
	examineLimit = 30 * time.Second
	examineWait  = 20 * time.Second
	// examineDeepest is how many messages the queues have at most into which it looks: all their records are read into memory that
	// requests need.
	examineDeepest = 10_000
)

// host is what operators ask of a server by the API.
type host struct {
	server *Server
	parts  *parts
	busy   chan struct{} // has room for the one look that is under way
}

func newHost(s *Server, p *parts) *host {
	return &host{server: s, parts: p, busy: make(chan struct{}, 1)}
}

// System implements handlers.Host.
func (h *host) System(ctx context.Context) (handlers.System, error) {
	r, _ := h.server.health.report()
	out := handlers.System{
		Version: Version, GoVersion: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH, StartedAt: handlers.Instant{Time: h.server.started},
		Engine: r.Engine, RedisVersion: r.Redis, Durability: r.Durability, DurabilityVerified: r.Verified, Nodes: []handlers.StorageNode{},
	}
	if c := h.server.certificate; c != nil {
		out.CertificateExpiresAt = &handlers.Instant{Time: c.current.Load().Leaf.NotAfter}
	}
	for _, s := range h.server.config.printed() {
		out.Settings = append(out.Settings, handlers.Setting{Name: s.name, Value: s.value, Origin: string(s.origin), Where: s.where})
	}
	if h.parts.engine.Memory() {
		return out, nil
	}
	nodes, err := h.parts.engine.Vitals(ctx)
	if err != nil {
		return out, engine.ErrUnavailable.Because(err)
	}
	for _, n := range nodes {
		out.Nodes = append(out.Nodes, handlers.StorageNode{Address: n.Addr, Used: n.Used, Limit: n.Limit})
	}
	return out, nil
}

// Examine implements handlers.Host: it is the doctor of the server that runs, without what can only be asked from outside.
func (h *host) Examine(ctx context.Context, nameless bool) ([]handlers.Finding, error) {
	patience, cancel := context.WithTimeout(ctx, examineWait)
	defer cancel()
	select {
	case h.busy <- struct{}{}:
		defer func() { <-h.busy }()
	case <-patience.Done(): // with no time left, everything would look broken
		return nil, room.Overloaded()
	}
	ctx, cancel = context.WithTimeout(ctx, examineLimit)
	defer cancel()
	p := h.parts
	d := &doctor{config: h.server.config, engine: p.engine, tenants: p.tenants, queues: p.queues, deepest: examineDeepest, nameless: nameless}
	d.config.Listen = h.server.api.Addr().String() // where it really is
	if p.embedded != nil {
		d.disk = p.embedded.DiskFull
	}
	d.lookAtConfig()
	d.lookAtCertificate()
	whole := d.lookAtFiles()
	r, _ := h.server.health.report()
	d.lookAtServer(r, nil)
	if whole { // the master key is needed to look further
		d.lookAtStorage(ctx)
	}
	return d.findings, nil
}

// FollowLog implements handlers.Host.
func (h *host) FollowLog(cursor string) (*logtail.Follower, error) {
	return h.server.logOut.tail.Follow(cursor)
}

// Metrics implements handlers.Host.
func (h *host) Metrics() (string, error) {
	families, err := h.server.metrics.registry.Gather()
	if err != nil {
		return "", err
	}
	var b strings.Builder
	for _, f := range families {
		if _, err := expfmt.MetricFamilyToText(&b, f); err != nil {
			return "", err
		}
	}
	return b.String(), nil
}
