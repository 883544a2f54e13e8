package server

import (
	"context"
	"log/slog"
	"net/http"
	"time"

	"github.com/sluicemq/sluice/handlers/aws"
	"github.com/sluicemq/sluice/internal/engine"
	"github.com/sluicemq/sluice/tenants"
)

// awsDoor builds the handler of what AWS SDKs send.
func (s *Server) awsDoor(p *parts) *aws.Door {
	return aws.New(&aws.Door{
		Queues: p.queues, Topics: p.topics, Webhooks: p.webhooks, Notifier: p.notifier, Tenants: p.tenants, Tasks: p.tasks, Auth: p.auth, Audit: p.audit,
		Limiter: p.limiter, Meter: p.meter, Crowd: p.crowd, NewID: p.engine.NewID, Answers: p.answers,
		Logger: s.logger, Region: s.config.Region, PublicURL: s.config.PublicURL,
		Waits:              s.config.AWSWaits,
		OnceEach:           s.config.SigV4ReplayCache,
		MaxWaitingReceives: s.config.MaxWaitingReceives, ClientAddress: s.clientAddress(), IsLocal: isLocal,
		Doubt: func(ctx context.Context) error {
			if s.isInDoubt(ctx, p) {
				return engine.ErrUnavailable
			}
			return nil
		},
	})
}

// serveAWS is observe for the AWS door.
func (s *Server) serveAWS(door *aws.Door, requests *tenants.RequestLog, w http.ResponseWriter, r *http.Request, begin time.Time) {
	served := door.Serve(w, r)
	took, route := time.Since(begin), "aws"
	if served.Action != "" {
		route += " " + served.Action
	}
	s.metrics.request(r.Method, route, served.Status, took)
	noteAWS(requests, door, r, &served, took)
	if !s.config.LogRequests {
		return
	}
	level := slog.LevelInfo
	if served.Status >= http.StatusInternalServerError {
		level = slog.LevelError
	}
	if !s.logger.Enabled(r.Context(), level) {
		return
	}
	s.logger.LogAttrs(r.Context(), level, "request",
		slog.String("method", r.Method), slog.String("route", route), slog.Int("status", served.Status),
		slog.String("queue", served.Queue), slog.String("tenant", served.Principal.Tenant.String()), slog.String("key", served.Principal.KeyID),
		slog.String("client", door.ClientAddress(r)), slog.Int64("in", r.ContentLength), slog.Int64("out", served.Size),
		slog.Float64("ms", float64(took.Microseconds())/1000), slog.String("request_id", served.ID))
}
