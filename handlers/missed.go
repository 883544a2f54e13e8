package handlers

import (
	"context"
	"encoding/json"
	"log/slog"
	"sync"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/sluicemq/sluice/auth"
	"github.com/sluicemq/sluice/internal/audit"
	"github.com/sluicemq/sluice/internal/errs"
)

// Sign-ins that failed are in the audit log of those whom they were about, and of the installation where that is nobody. Whoever
// guesses is not to push out what others were refused, so within a while one entry tells of all guesses that come from one
// network and are about one account, and one more entry of all that would be too many for a log.
const (
	missing     = 10 * time.Minute // auth counts guesses for as long
	missesOfLog = 10               // entries of one log and server within missing, and one for the rest
	maxMisses   = 10_000           // entries of all logs within missing
)

// stranger is the kind of who tried to sign in: nobody knows who it was.
const stranger = "stranger"

// misses are the sign-ins that failed lately on this server.
type misses struct {
	mu      sync.Mutex
	ends    time.Time
	entries map[missKey]*miss
	ofLog   map[audit.Log]int
}

// missKey is what the misses of one entry have in common.
type missKey struct {
	log     audit.Log
	network string // "": any
	target  audit.Target
}

// miss is an entry of misses. It is guarded by misses.mu.
type miss struct {
	log      audit.Log
	entry    audit.Entry
	attempts int
	writing  bool
}

// note counts a miss, and returns what is to be written of it, or nil where somebody is at that already.
func (m *misses) note(log audit.Log, e audit.Entry, now time.Time) *miss {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !now.Before(m.ends) {
		m.ends, m.entries, m.ofLog = now.Add(missing), map[missKey]*miss{}, map[audit.Log]int{}
	}
	key := missKey{log, auth.NetworkOf(e.Address).String(), e.Target}
	if m.entries[key] == nil && (m.ofLog[log] >= missesOfLog || len(m.entries) >= maxMisses) {
		if len(m.entries) >= maxMisses {
			log, e.Tenant = audit.Installation, ""
		}
		key = missKey{log: log}
		e.Address, e.Target.Name = "", ""
	}
	one := m.entries[key]
	if one == nil {
		one = &miss{log: log, entry: e}
		m.entries[key] = one
		m.ofLog[log]++
	}
	if one.attempts++; one.writing {
		return nil
	}
	one.writing = true
	return one
}

// next returns the entry as it is to be written, and false when that was done with so many attempts.
func (m *misses) next(one *miss, written int) (e audit.Entry, attempts int, more bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if one.attempts == written {
		one.writing = false
		return e, written, false
	}
	e = one.entry
	e.After, _ = json.Marshal(map[string]int{"attempts": one.attempts}) // never fails
	return e, one.attempts, true
}

// missed has the audit log tell of a sign-in that failed, unless it could not be judged. It returns the error. The log is written
// behind the answer, whose time says nothing of who there is.
func (a *API) missed(c echo.Context, err error, about []auth.Member) error {
	if errs.KindOf(err) != errs.Unauthenticated {
		return err
	}
	req := RequestOf(c)
	e := audit.Entry{Operation: req.Operation, Code: asError(err).Code, Actor: audit.Actor{Kind: stranger}, Address: c.RealIP(), Request: req.ID,
		Target: audit.Target{Type: "session"}}
	if len(about) == 0 {
		a.writeMiss(audit.Installation, e)
	}
	for i := range about {
		m := &about[i]
		log := audit.Installation
		e.Target = audit.Target{Type: "operator", Name: m.ID}
		if m.Kind == auth.KindTenant {
			log, e.Target.Type = audit.Log(m.Principal().Tenant.String()), "member"
		}
		e.Tenant = m.TenantName
		a.writeMiss(log, e)
	}
	return err
}

func (a *API) writeMiss(log audit.Log, e audit.Entry) {
	e.ID = a.Audit.NewID()
	one := a.misses.note(log, e, a.Clock.Now())
	if one == nil {
		return
	}
	go func() {
		for e, n, more := a.misses.next(one, 0); more; e, n, more = a.misses.next(one, n) {
			ctx, cancel := context.WithTimeout(context.Background(), auditBudget)
			err := a.Audit.Refuse(ctx, one.log, e)
			cancel()
			if err != nil {
				a.Logger.Warn("a sign-in that failed could not be written down", slog.String("request", e.Request), slog.String("error", err.Error()))
			}
		}
	}()
}
