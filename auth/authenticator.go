package auth

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/sluicemq/sluice/internal/clock"
	"github.com/sluicemq/sluice/internal/engine"
	"github.com/sluicemq/sluice/tenants"
)

const (
	// trust is how long a server believes what it has read of a key: with the time that an answer may take, a revoked
	// key stops within 5 s.
	trust = 4 * time.Second
	// beat is how often what was read is confirmed.
	beat = 2 * time.Second
	// idle is how long a key that nobody uses is kept.
	idle = time.Minute
	// doubt is how long a key that does not exist is not looked for again.
	doubt = 2 * time.Second

	// maxKnown, maxUnknown, maxTokens and maxNames bound what a server remembers: some 5 MB in all, and a few KB for each
	// token.
	maxKnown   = 10_000
	maxTokens  = 10_000
	maxUnknown = 10_000
	maxNames   = 1_000
)

// Authenticator tells who shows a key, or an access token that was made with one.
type Authenticator struct {
	keys    *KeyStore
	clock   clock.Clock
	started time.Time // all times below count from here, by the monotonic clock

	known   *cache // keys that exist
	unknown *cache // keys that do not
	tokens  *cache // access tokens that were verified
	loading engine.Joined[*entry]

	passwords *passwords
	guesses   *guesses
	wrong     *guesses   // keys that do not exist
	providers *Providers // nil for none

	signer *signer
	parser *jwt.Parser

	confirmed atomic.Pointer[confirmation]
	redis     atomic.Pointer[reading]

	naming  engine.Joined[tenants.ID]
	namesMu sync.Mutex
	names   map[string]named
}

// confirmation says that the records had a mark at some time. Whatever was read under that mark was still true then.
type confirmation struct {
	mark string
	at   time.Duration
}

// reading is the time of Redis, in milliseconds since 1970, when the server's was at.
type reading struct {
	millis int64
	at     time.Duration
}

type named struct {
	id tenants.ID
	at time.Duration
}

// NewAuthenticator returns an authenticator of the keys in keys and of the tokens of providers, nil for none. Without Run it
// works and asks Redis more often.
func NewAuthenticator(keys *KeyStore, providers *Providers) *Authenticator {
	a := &Authenticator{
		keys: keys, clock: keys.clock, started: keys.clock.Now(),
		known: newCache(maxKnown), unknown: newCache(maxUnknown), tokens: newCache(maxTokens), names: map[string]named{},
		passwords: newPasswords(keys.ring), guesses: newGuesses(guessing), wrong: newGuesses(tryingKeys),
		signer: newSigner(keys.ring), providers: providers,
	}
	a.parser = a.newParser()
	a.confirmed.Store(&confirmation{})
	a.redis.Store(&reading{})
	keys.onDrop(func(ended []digest) {
		a.known.forget(ended...)
		a.tokens.forget(ended...)
	})
	keys.tenants.OnDelete(a.removeMembers)
	return a
}

// now returns how long the server has been running.
func (a *Authenticator) now() time.Duration { return a.clock.Now().Sub(a.started) }

// Authenticate returns who the owner of a credential is that is shown from an IP address. ErrUnauthenticated is the answer
// to text that is no key, and to keys that do not exist or no longer do; ErrKeyExpired is the answer to those past their
// time, ErrTokenExpired to access tokens past theirs, ErrAddressNotAllowed to those that may not be used from there,
// errs.RateLimited to a network that has shown too many keys that do not exist: those that do still work. Where Redis does not answer and what is known is
// older than 4 s it is engine.ErrUnavailable: nobody is let in on old knowledge.
func (a *Authenticator) Authenticate(ctx context.Context, credential, address string) (Principal, error) {
	if hasTokenForm(credential) {
		return a.token(ctx, credential, address)
	}
	if _, err := ParseKey(credential); err != nil {
		return Principal{}, err
	}
	d := a.keys.hasher.digest(credential)
	e, err := a.entryOf(ctx, d)
	switch {
	case errors.Is(err, ErrUnauthenticated):
		return Principal{}, a.wrong.wrong(d, address, a.now())
	case err != nil:
		return Principal{}, err
	}
	return a.answer(e, a.now(), address)
}

// entryOf returns what is known of a key, if need be after a look into Redis.
func (a *Authenticator) entryOf(ctx context.Context, d digest) (*entry, error) {
	now := a.now()
	if e := a.known.get(d); e != nil && a.fresh(e, now) {
		e.asked.Store(int64(now))
		return e, nil
	}
	if e := a.unknown.get(d); e != nil && now-e.read < doubt {
		return nil, ErrUnauthenticated
	}
	return a.load(ctx, d)
}

// fresh reports whether an entry may still be believed.
func (a *Authenticator) fresh(e *entry, now time.Duration) bool {
	at := e.read
	if c := a.confirmed.Load(); c.at > at && c.mark == e.mark && e.mark != "" {
		at = c.at
	}
	return now-at < trust
}

// answer judges the expiry by the clock of Redis, which all servers share, and the address. What is let in is a use.
func (a *Authenticator) answer(e *entry, now time.Duration, address string) (Principal, error) {
	if e.expires != 0 && a.millis(now) >= e.expires {
		return Principal{}, ErrKeyExpired
	}
	if !e.principal.Grants.admits(address) {
		return Principal{}, ErrAddressNotAllowed
	}
	e.used.Store(int64(now))
	if e.from.Load() == nil {
		e.cameFrom(address)
	}
	return e.principal, nil
}

// millis returns the time of Redis, in milliseconds since 1970.
func (a *Authenticator) millis(now time.Duration) int64 {
	r := a.redis.Load()
	return r.millis + (now - r.at).Milliseconds()
}

// instant returns the time of Redis, in milliseconds since 1970, also on a server that has asked it nothing yet.
func (a *Authenticator) instant(ctx context.Context) (int64, error) {
	if a.redis.Load().millis == 0 {
		began := a.now()
		found, err := a.keys.lookup(ctx, nil)
		if err != nil {
			return 0, err
		}
		a.noteTime(found.now, began)
	}
	return a.millis(a.now()), nil
}

// load reads a key from Redis, once for all who ask for it at the same time. ctx ends the wait, not the reading.
func (a *Authenticator) load(ctx context.Context, d digest) (*entry, error) {
	e, err := a.loading.Do(ctx, string(d[:]), func(context.Context) (*entry, error) { return a.fetch(d) })
	if err == nil && e == nil {
		err = ErrUnauthenticated
	}
	return e, err
}

// fetch returns the entry of a key, nil for one that does not exist, and remembers either.
func (a *Authenticator) fetch(d digest) (*entry, error) {
	generation, began := a.known.generation(), a.now()
	// Whoever looked in vain just before the last reading ended finds here what it found.
	if e := a.known.get(d); e != nil && a.fresh(e, began) {
		return e, nil
	}
	found, err := a.keys.lookup(context.Background(), []digest{d})
	if err != nil {
		return nil, err
	}
	a.noteTime(found.now, began)
	e, err := a.newEntry(d, found.records[0], found.mark, began)
	if err != nil {
		return nil, err
	}
	if e != nil && e.session != nil {
		if e, err = a.unlessIdle(d, e, found.now); err != nil {
			return nil, err
		}
	}
	a.remember(d, e, began, generation)
	return e, nil
}

// noteTime notes the time of Redis. It is taken for that of the earliest instant at which it can have been read, so a
// key may expire too early, by the time that an answer takes, and never too late.
func (a *Authenticator) noteTime(millis int64, began time.Duration) {
	a.redis.Store(&reading{millis: millis, at: began})
}

// newEntry returns what the record under a digest says, and nil for a key that does not exist or was revoked.
func (a *Authenticator) newEntry(d digest, text, mark string, began time.Duration) (*entry, error) {
	if text == "" {
		return nil, nil
	}
	r, err := parseRecord(text)
	if err != nil || r.RevokedAt != 0 {
		return nil, err
	}
	if r.Session != nil {
		return newSessionEntry(d, r, mark, began)
	}
	grants, err := r.grants()
	if err != nil {
		return nil, err
	}
	p := Principal{Kind: r.Kind, KeyID: r.ID, TenantName: r.TenantName, Grants: grants}
	epoch := ""
	if r.Member != nil {
		p.KeyID, p.MemberID, epoch = "", r.ID, r.Member.Epoch
	}
	var ok bool
	if p.Tenant, ok = tenants.ParseID(r.Tenant); ok == (r.Kind == KindOperator) {
		return nil, engine.ErrBroken.Because(fmt.Errorf("record of %s is damaged: %s of tenant %q", r.ID, r.Kind, r.Tenant))
	}
	e := &entry{principal: p, epoch: epoch, expires: r.ExpiresAt, mark: mark, read: began, key: d}
	if r.Of != "" {
		e.key, _ = parseDigest(r.Of)
	}
	if e.secret, err = a.keys.unseal(r); err != nil {
		return nil, err
	}
	e.asked.Store(int64(began))
	return e, nil
}

// remember keeps what was read of a key: e, or nil for one that does not exist.
func (a *Authenticator) remember(d digest, e *entry, began time.Duration, generation uint64) {
	if e != nil {
		a.known.put(d, e, generation)
		return
	}
	a.known.remove(d)
	no := &entry{read: began}
	no.asked.Store(int64(began))
	a.unknown.put(d, no, 0) // of which nothing is ever forgotten
}

// Run confirms, until ctx ends, what the server knows of keys, so that requests need not wait for it.
func (a *Authenticator) Run(ctx context.Context) error {
	tick := make(chan struct{}, 1)
	swept := a.now()
	for {
		timer := a.clock.AfterFunc(beat, func() { tick <- struct{}{} })
		select {
		case <-ctx.Done():
			timer.Stop()
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), noteBudget)
			defer cancel()
			a.noteUses(last)
			return nil
		case <-tick:
		}
		a.confirm(ctx)
		a.noteUses(ctx)
		if now := a.now(); now-swept >= sweepEvery {
			swept = now
			a.sweep(ctx)
		}
	}
}

// confirm asks Redis for the mark of the records. What was read under the same mark is still true; other keys that are
// in use are read again. An error, which the engine has logged, leaves everything to grow old.
func (a *Authenticator) confirm(ctx context.Context) {
	began := a.now()
	found, err := a.keys.lookup(ctx, nil)
	if err != nil {
		return
	}
	a.noteTime(found.now, began)
	a.unknown.askedSince(began - doubt)
	a.tokens.askedSince(began - idle)
	var stale []digest
	for _, d := range a.known.askedSince(began - idle) {
		if e := a.known.get(d); e != nil && (e.mark != found.mark || e.mark == "") {
			stale = append(stale, d)
		}
	}
	for part := range slices.Chunk(stale, maxLookup) {
		if a.reread(ctx, part) != nil {
			return
		}
	}
	a.confirmed.Store(&confirmation{mark: found.mark, at: began})
}

// reread reads keys again that are known. When they were used, and what was noted of it, stays.
func (a *Authenticator) reread(ctx context.Context, digests []digest) error {
	generation, began := a.known.generation(), a.now()
	found, err := a.keys.lookup(ctx, digests)
	if err != nil {
		return err
	}
	for i, d := range digests {
		e, err := a.newEntry(d, found.records[i], found.mark, began)
		if err != nil {
			return err
		}
		if old := a.known.get(d); e != nil && old != nil {
			e.heir(old)
		}
		a.remember(d, e, began, generation)
	}
	return nil
}
