package server

import (
	"context"
	"log/slog"
	"net/http"
	"time"

	"github.com/sluicemq/sluice/handlers/aws"
	"github.com/sluicemq/sluice/internal/engine"
	"github.com/sluicemq/sluice/internal/room"
)

// awsDoor builds the handler of what AWS SDKs send.
func (s *Server) awsDoor(p *parts) *aws.Door {
	return aws.New(&aws.Door{
		Queues: p.queues, Topics: p.topics, Notifier: p.notifier, Tenants: p.tenants, Tasks: p.tasks, Auth: p.auth, Audit: p.audit,
		Limiter: p.limiter, Meter: p.meter, Crowd: p.crowd, NewID: p.engine.NewID, Answers: p.answers,
		Logger: s.logger, Region: s.config.Region, PublicURL: s.config.PublicURL,
		MaxWaitingReceives: s.config.MaxWaitingReceives, ClientAddress: s.clientAddress(),
		Doubt: func(ctx context.Context) error {
			if s.isInDoubt(ctx, p) {
				return engine.ErrUnavailable
			}
			return nil
		},
	})
}

// serveAWS is observe for the AWS door.
func (s *Server) serveAWS(door *aws.Door, crowd *crowd, w http.ResponseWriter, r *http.Request) {
	begin := time.Now()
	leave, err := crowd.enter(w, r)
	defer leave()
	var served aws.Served
	if err == nil {
		served = door.Serve(w, r)
	} else {
		served = aws.Refuse(w, r, room.ErrOverloaded)
	}
	took, route := time.Since(begin), "aws"
	if served.Action != "" {
		route += " " + served.Action
	}
	s.metrics.request(r.Method, route, served.Status, took)
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
