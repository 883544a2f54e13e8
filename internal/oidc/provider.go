package oidc

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/sync/singleflight"

	"github.com/sluicemq/sluice/internal/clock"
	"github.com/sluicemq/sluice/internal/egress"
)

const (
	// refreshAfter is how old what is known of a provider's keys becomes before it is asked again, so that a key which it has
	// taken back stops soon after.
	refreshAfter = 10 * time.Minute
	// pause is how far apart two questions are, whatever tokens are shown meanwhile. firstPause is the same while nothing
	// is known of a provider, as when both start together.
	pause      = time.Minute
	firstPause = 5 * time.Second
	// maxStale is for how long keys are used of a provider that does not answer.
	maxStale = 24 * time.Hour
	// fetchTimeout bounds both requests together, because requests of clients wait for them.
	fetchTimeout = 5 * time.Second
	// maxDiscovery and maxKeySet bound the two documents, in bytes.
	maxDiscovery = 64 << 10
	maxKeySet    = 256 << 10
)

// provider is what a server knows of an identity provider.
type provider struct {
	issuer string
	egress *egress.Client
	clock  clock.Clock
	start  time.Time // the times below count from here
	logger *slog.Logger

	client     *Client                   // nil: nobody signs in with it
	exchanging chan struct{}             // one for each code that is under way
	keys       atomic.Pointer[keySet]    // nil: not known
	endpoints  atomic.Pointer[endpoints] // nil: not known
	at         atomic.Int64              // time.Duration: when it said so last
	tried      atomic.Int64              // time.Duration: when it was asked last; never if negative
	asking     singleflight.Group
	waiting    atomic.Bool // somebody asks in the background
}

func newProvider(issuer string, c Config) *provider {
	p := &provider{issuer: issuer, egress: c.Egress, clock: c.Clock, start: c.Clock.Now(), logger: c.Logger, exchanging: make(chan struct{}, maxExchanges)}
	p.tried.Store(-int64(maxStale))
	return p
}

func (p *provider) now() time.Duration { return p.clock.Now().Sub(p.start) }

// age returns how long ago the provider said which keys it has.
func (p *provider) age() time.Duration { return p.now() - time.Duration(p.at.Load()) }

// known returns the keys that may be used, nil for none.
func (p *provider) known() *keySet {
	keys := p.keys.Load()
	if keys == nil || p.age() >= maxStale {
		return nil
	}
	return keys
}

// mayAsk reports whether the provider can be asked again by now.
func (p *provider) mayAsk() bool {
	after := pause
	if p.keys.Load() == nil {
		after = firstPause
	}
	return p.now()-time.Duration(p.tried.Load()) >= after
}

// key returns a key by its id and the keys among which it is; a nil key when there is none, and ErrUnavailable when the keys
// are not known. Where what is known is old, or has no such key, the provider is asked if it can be.
func (p *provider) key(ctx context.Context, id string) (*keySet, *key, error) {
	keys := p.known()
	if keys == nil || keys.byID[id] == nil || p.age() >= refreshAfter {
		if err := p.ask(ctx); err != nil {
			return nil, nil, err
		}
		if keys = p.known(); keys == nil {
			return nil, nil, ErrUnavailable
		}
	}
	return keys, keys.byID[id], nil
}

// holds reports whether keys are still those that are known, and has the provider asked in the background when that is old.
func (p *provider) holds(keys *keySet) bool {
	if p.age() >= refreshAfter && p.mayAsk() && p.waiting.CompareAndSwap(false, true) {
		go func() {
			defer p.waiting.Store(false)
			_ = p.ask(context.Background())
		}()
	}
	return p.known() == keys
}

// ask asks the provider for its keys, unless it was just asked; once for all who want it at the same time. ctx ends the wait,
// not the question. What it fails with is logged, and what was known before stays.
func (p *provider) ask(ctx context.Context) error {
	asked := p.asking.DoChan("", func() (any, error) {
		if !p.mayAsk() {
			return nil, nil
		}
		began := p.now()
		p.tried.Store(int64(began))
		limited, cancel := context.WithTimeout(context.WithoutCancel(ctx), fetchTimeout)
		defer cancel()
		keys, where, err := p.fetch(limited)
		if err != nil {
			p.logger.Warn("an identity provider does not say which keys it has", slog.String("issuer", p.issuer), slog.String("error", causeOf(err)))
			return nil, nil
		}
		p.at.Store(int64(began))
		p.endpoints.Store(where)
		if old := p.keys.Load(); old == nil || old.digest != keys.digest {
			p.keys.Store(keys)
		}
		return nil, nil
	})
	select {
	case <-ctx.Done():
		return ErrUnavailable.Because(ctx.Err())
	case <-asked:
		return nil
	}
}

// causeOf returns what an error says to the operator.
func causeOf(err error) string {
	if e, ok := errors.AsType[*egress.Error](err); ok {
		return e.Message + " " + e.Cause().Error()
	}
	return err.Error()
}

// fetch reads where the keys and the endpoints are, and the keys.
func (p *provider) fetch(ctx context.Context) (*keySet, *endpoints, error) {
	var discovery struct {
		Issuer string `json:"issuer"`
		Keys   string `json:"jwks_uri"`
		endpoints
	}
	raw, err := p.get(ctx, strings.TrimSuffix(p.issuer, "/")+"/.well-known/openid-configuration", maxDiscovery)
	if err != nil {
		return nil, nil, err
	}
	if err := json.Unmarshal(raw, &discovery); err != nil {
		return nil, nil, fmt.Errorf("its discovery document is no JSON: %w", err)
	}
	if discovery.Issuer != p.issuer {
		return nil, nil, fmt.Errorf("its discovery document is that of %.200q", discovery.Issuer)
	}
	if raw, err = p.get(ctx, discovery.Keys, maxKeySet); err != nil {
		return nil, nil, err
	}
	keys, err := parseKeys(raw)
	return keys, &discovery.endpoints, err
}

func (p *provider) get(ctx context.Context, url string, limit int) ([]byte, error) {
	answer, err := p.egress.Do(ctx, egress.Request{URL: url, Header: http.Header{"Accept": {"application/json"}}, MaxBody: limit, Whole: true, Timeout: fetchTimeout})
	if err != nil {
		return nil, err
	}
	if answer.Status != http.StatusOK {
		return nil, fmt.Errorf("%.200q answers %d; redirects are not followed", url, answer.Status)
	}
	return answer.Body, nil
}
