package server

import (
	"context"
	"sync"

	"github.com/labstack/echo/v4"

	"github.com/sluicemq/sluice/internal/engine"
	"github.com/sluicemq/sluice/internal/errs"
)

// doubt keeps a server whose Redis has lost its data from calling things missing that are only gone from there: before
// it says "not found" it looks whether the data set is still the right one.
func (s *Server) doubt(p *parts) echo.MiddlewareFunc {
	return func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c echo.Context) error {
			err := next(c)
			if errs.KindOf(err) != errs.NotFound {
				return err
			}
			if s.isInDoubt(c.Request().Context(), p) {
				return engine.ErrUnavailable.Because(err)
			}
			return err
		}
	}
}

// isInDoubt reports whether what is missing may only be missing in this Redis.
func (s *Server) isInDoubt(ctx context.Context, p *parts) bool {
	ctx = context.WithoutCancel(ctx)
	p.looks.after(func() { s.look(ctx, p) })
	return s.health.has("data_replaced") || s.health.has("redis_unavailable")
}

// looks joins those who want to know how things are now: one look serves all who asked before it began.
type looks struct {
	mu           sync.Mutex
	begun, ended int
	over         chan struct{} // closed when the look that is under way has ended; nil while none is
}

// after returns when a look has ended that began after the call.
func (l *looks) after(look func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for mine := l.begun + 1; l.ended < mine; {
		if l.over != nil {
			over := l.over
			l.mu.Unlock()
			<-over
			l.mu.Lock()
			continue
		}
		l.begun++
		n := l.begun
		l.over = make(chan struct{})
		l.mu.Unlock()
		look()
		l.mu.Lock()
		l.ended = n
		close(l.over)
		l.over = nil
	}
}
