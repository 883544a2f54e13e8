package engine

import (
	"context"
	"embed"
	"fmt"
	"strconv"
	"time"
)

//go:embed lua/*.lua
var scripts embed.FS

var (
	sessionScript = MustLoad(scripts, "session")
	epochScript   = MustLoad(scripts, "epoch")
	resealScript  = MustLoad(scripts, "reseal")
	leaseScript   = MustLoad(scripts, "lease")
)

// SessionBeat is how often a server says that it lives. SessionLife is how long it counts as alive after that: far
// longer than any call may take, so that a call of a session that was given up can never arrive afterwards.
const (
	SessionBeat = 10 * time.Second
	SessionLife = time.Hour
)

// StartSession claims the next session number. Call it once, when Redis answers, before anything is sent.
func (e *Engine) StartSession(ctx context.Context) error {
	reply, err := e.Do(ctx, sessionScript, []string{SystemKey("sessions")}, 0, SessionLife.Milliseconds())
	if err != nil {
		return fmt.Errorf("claim a session: %w", err)
	}
	n, ok := reply.([]any)
	if !ok || len(n) == 0 {
		return fmt.Errorf("claim a session: unexpected answer %v", reply)
	}
	number, err := strconv.ParseUint(fmt.Sprint(n[0]), 10, 32)
	if err != nil {
		return fmt.Errorf("claim a session: %w", err)
	}
	e.session = NewSession(uint32(number))
	return nil
}

// Session returns the session that StartSession claimed.
func (e *Engine) Session() Session { return e.session }

// NewID returns an id for a shard.
func (e *Engine) NewID(shard int) ID { return e.session.NewID(e.opt.Clock.Now(), shard) }

// Beat says that this session lives and returns the numbers of all that do.
func (e *Engine) Beat(ctx context.Context) ([]uint32, error) {
	reply, err := e.Do(ctx, sessionScript, []string{SystemKey("sessions")}, e.session.Number(), SessionLife.Milliseconds())
	if err != nil {
		return nil, err
	}
	list, _ := reply.([]any)
	alive := make([]uint32, 0, len(list))
	for _, v := range list {
		n, err := strconv.ParseUint(fmt.Sprint(v), 10, 32)
		if err != nil {
			return nil, fmt.Errorf("read sessions: %w", err)
		}
		alive = append(alive, uint32(n))
	}
	return alive, nil
}

// Lease asks for the lease on a piece of background work that one server should do at a time, and reports whether this
// one has it now. It is for efficiency: work under a lease must be harmless when two servers do it.
func (e *Engine) Lease(ctx context.Context, work string, d time.Duration) (bool, error) {
	reply, err := e.Do(ctx, leaseScript, []string{SystemKey("leases")}, work, e.session.Number(), d.Milliseconds())
	if err != nil {
		return false, err
	}
	return reply == int64(1), nil
}
