package server

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/sluicemq/sluice/auth"
	"github.com/sluicemq/sluice/internal/audit"
	"github.com/sluicemq/sluice/internal/clock"
	"github.com/sluicemq/sluice/internal/egress"
	"github.com/sluicemq/sluice/internal/embedded"
	"github.com/sluicemq/sluice/internal/engine"
	"github.com/sluicemq/sluice/internal/keyring"
	"github.com/sluicemq/sluice/internal/mail"
	"github.com/sluicemq/sluice/internal/oidc"
	"github.com/sluicemq/sluice/internal/room"
	"github.com/sluicemq/sluice/internal/tasks"
	"github.com/sluicemq/sluice/monitor"
	"github.com/sluicemq/sluice/monitor/alarms"
	"github.com/sluicemq/sluice/queues"
	"github.com/sluicemq/sluice/tenants"
	"github.com/sluicemq/sluice/topics"
	"github.com/sluicemq/sluice/topics/webhook"
)

// parts are what runs once Redis answers.
type parts struct {
	embedded *embedded.Server // nil with a Redis of the operator's own
	engine   *engine.Engine
	tenants  *tenants.Store
	limiter  *tenants.Limiter
	storage  *tenants.Storage
	bodies   *room.Room // of requests
	answers  *room.Room
	meter    *tenants.Meter
	requests *tenants.RequestLog // nil: nothing is kept
	crowd    *tenants.Waiting
	keys     *auth.KeyStore
	auth     *auth.Authenticator
	queues   *queues.Store
	topics   *topics.Store
	monitor  *monitor.Monitor
	alarms   *alarms.Store
	notifier *topics.Notifier
	webhooks *webhook.Store
	egress   *egress.Client // for whatever tenants have leave the installation
	login    *egress.Client // for identity providers; nil when there are none
	tasks    *tasks.Store
	audit    *audit.Store
	runner   *tasks.Runner
	epoch    string // of the data set
	looks    looks
	watch    func(context.Context) error
}

// boot brings up Redis, checks that it may be trusted with messages, and makes the first keys.
func (s *Server) boot(ctx context.Context) (*parts, error) {
	p := &parts{}
	opt, name, err := s.chooseRedis(ctx, p)
	if err != nil {
		return nil, errors.Join(err, p.close())
	}
	if p.engine, err = engine.Open(opt); err != nil {
		return nil, errors.Join(err, p.close())
	}
	if err := s.prepare(ctx, p, name); err != nil {
		return nil, errors.Join(err, p.close())
	}
	return p, nil
}

// chooseRedis returns how to reach the Redis that was configured, or starts one. A configured Redis is waited for and
// never replaced.
func (s *Server) chooseRedis(ctx context.Context, p *parts) (engine.Options, string, error) {
	opt := engine.Options{Logger: s.logger, TestNow: s.clock}
	if !s.config.RedisURL.IsZero() {
		opt.URL = s.config.RedisURL.Reveal()
		return opt, "redis", nil
	}
	e, err := embedded.Start(ctx, embedded.Options{
		DataDir: s.config.DataDir, RequireDurable: s.config.RequireDurable, Logger: s.logger,
	})
	if errors.Is(err, embedded.ErrNotDurable) || errors.Is(err, embedded.ErrWrongEngine) {
		return opt, "", fmt.Errorf("%w: %w", ErrUsage, err) // it will not get better by trying again
	}
	if err != nil {
		return opt, "", err
	}
	p.embedded = e
	opt.URL, opt.Memory = e.URL(), !e.Durable()
	if opt.Memory {
		fmt.Fprintf(s.greet, "\n%s\n\n", embedded.MemoryBanner)
	}
	return opt, e.Engine(), nil
}

// prepare makes p ready to work. A Redis that goes away meanwhile is waited for, as one that is not there yet.
func (s *Server) prepare(ctx context.Context, p *parts, name string) error {
	fresh, err := s.newInstallation() // that is founded, if one is
	if err != nil {
		return err
	}
	for {
		if err := s.awaitRedis(ctx, p); err != nil {
			return err
		}
		err := s.adopt(ctx, p, name, fresh)
		if !errors.Is(err, engine.ErrUnavailable) && !errors.Is(err, engine.ErrUnknown) {
			return err
		}
		s.logger.Warn("redis went away while the server started", "error", err.Error())
	}
}

// awaitRedis returns once Redis answers.
func (s *Server) awaitRedis(ctx context.Context, p *parts) error {
	lastLog := time.Time{}
	return p.engine.WaitReady(ctx, func(err error) {
		s.health.set("starting", "Redis does not answer yet.")
		if time.Since(lastLog) > 5*time.Second {
			lastLog = time.Now()
			s.logger.Warn("waiting for redis", "redis", s.config.RedisURL.String(), "error", err.Error())
		}
	})
}

// adopt looks whether this Redis may be trusted and is the right one, and starts to work on it. Doing it again is
// harmless.
func (s *Server) adopt(ctx context.Context, p *parts, name string, fresh engine.Identity) error {
	d, err := s.durability(ctx, p)
	if err != nil {
		return err
	}
	if err := s.trust(p, d); err != nil {
		return err
	}
	d, err = s.durability(ctx, p) // once more: with the replicas that must confirm
	if err != nil {
		return err
	}
	if err := s.enough(d); err != nil {
		return err
	}
	s.health.setDurability(name, d)
	if err := p.engine.StartSession(ctx); err != nil {
		return err
	}
	epoch, root, err := s.claim(ctx, p, fresh)
	if err != nil {
		return err
	}
	p.tenants = tenants.New(p.engine, clock.Real{})
	p.limiter = tenants.NewLimiter(p.tenants)
	p.storage = tenants.NewStorage(p.tenants)
	p.meter = tenants.NewMeter(p.tenants)
	p.requests = tenants.NewRequestLog(p.tenants, s.config.RequestLog)
	p.crowd = tenants.NewWaiting()
	p.bodies, p.answers = room.New(int64(s.config.MaxInFlightMiB)<<20), room.New(int64(s.config.MaxInFlightMiB)<<20)
	// The key store hooks into the deletion of tenants, so it comes before anything uses them.
	p.keys = auth.NewKeyStore(p.engine, root, p.tenants, clock.Real{})
	p.auth = auth.NewAuthenticator(p.keys, s.providers(p))
	p.tasks = tasks.New(p.engine, clock.Real{})
	p.tenants.OnDelete(func(ctx context.Context, id tenants.ID) error { return p.tasks.Forget(ctx, id.String()) })
	p.audit = audit.New(p.engine)
	p.tenants.OnDelete(func(ctx context.Context, id tenants.ID) error { return p.audit.Forget(ctx, audit.Log(id.String())) })
	p.queues = queues.New(queues.Config{Engine: p.engine, ReceiptKey: root.Derive("receipts"), Logger: s.logger, Terms: p.tenants.Terms, Storage: p.storage, Meter: p.meter})
	p.notifier = topics.NewNotifier(topics.NotifierConfig{Engine: p.engine, Keys: root, Region: s.config.Region, Origin: s.origin(),
		Account: func(ctx context.Context, id tenants.ID) (string, error) {
			t, err := p.tenants.ByID(ctx, id)
			return t.AccountNumber, err
		}})
	p.topics = topics.New(topics.Config{Engine: p.engine, Queues: p.queues, Logger: s.logger, Terms: p.tenants.Terms, Storage: p.storage, Meter: p.meter, Notifier: p.notifier,
		ByAccount: p.tenants.ByAccount})
	p.egress = egress.New(egress.Config{Logger: s.logger, UserAgent: "Sluice", Proxy: s.config.EgressProxy, Policy: egress.Policy{Allow: s.config.EgressAllow, AllowHTTP: s.config.EgressAllowHTTP}})
	hooks := webhook.Config{Engine: p.engine, Topics: p.topics, Terms: p.tenants.Terms, Keys: root, Egress: p.egress, Meter: p.meter, Logger: s.logger}
	if u := s.config.PublicURL; u != nil {
		hooks.Origin = u.Hostname()
	}
	p.webhooks = webhook.New(hooks)
	p.monitor = monitor.New(monitor.Config{Engine: p.engine, Queues: p.queues, Troubles: p.tenants.Troubles, Logger: s.logger})
	p.tenants.OnDelete(p.monitor.Forget)
	watch := alarms.Config{Engine: p.engine, Monitor: p.monitor, Topics: p.topics, Webhook: p.webhooks.Status, Storage: p.storage, Terms: p.tenants.Terms, Logger: s.logger,
		Members: p.lettersFor}
	if s.config.SMTP.Host != "" {
		watch.Mail = mail.New(s.config.SMTP, s.config.SMTPFrom)
	}
	p.alarms = alarms.New(watch)
	p.tenants.OnDelete(p.alarms.Forget)
	p.tenants.OnDelete(p.topics.ForgetTopicSubscriptions)
	p.tenants.OnErase(p.topics.Erase) // before the queues, which get what is published
	p.tenants.OnErase(p.webhooks.EraseRecent)
	p.tenants.OnErase(p.queues.Erase)
	p.runner = tasks.NewRunner(tasks.Config{Store: p.tasks, Logger: s.logger, Kinds: map[string]tasks.Kind{
		queues.PurgeTask:   p.queues.Purging(),
		queues.RedriveTask: p.queues.Redriving(),
		topics.ReplayTask:  p.topics.Replaying(),
		topics.FailedTask:  p.topics.Reviving(),
		topics.MissingTask: p.topics.Restoring(),
		topics.SpreadTask:  p.topics.Spreading(),
		tenants.DeleteTask: p.tenants.Deleting(),
	}, Ready: func() bool { return !s.health.has("data_replaced") && !s.health.has("redis_unavailable") }})
	p.epoch = epoch
	p.watch = func(ctx context.Context) error { return s.watch(ctx, p, name) }
	if err := s.firstKeys(ctx, p, epoch == fresh.Epoch); err != nil {
		return err
	}
	return nil
}

// providers returns the identity providers that are trusted, nil for none. They are asked by a client of their own, so that
// a network where one of them is does not become open to webhooks.
func (s *Server) providers(p *parts) *auth.Providers {
	c := s.config
	if len(c.OIDCIssuers) == 0 {
		return nil
	}
	p.login = egress.New(egress.Config{Logger: s.logger, UserAgent: "Sluice", Proxy: c.EgressProxy, Policy: egress.Policy{Allow: slices.Concat(c.EgressAllow, c.OIDCAllow), AllowHTTP: c.EgressAllowHTTP}})
	known := oidc.Config{Issuers: c.OIDCIssuers, Audience: c.OIDCAudience, Scopes: c.OIDCScopes, Egress: p.login, Clock: clock.Real{}, Logger: s.logger}
	out := &auth.Providers{TenantClaim: c.OIDCTenantClaim, RoleClaim: c.OIDCRoleClaim, SessionLife: c.OIDCSession}
	for i, id := range c.OIDCClientIDs {
		if id == noClient {
			continue
		}
		client := oidc.Client{Issuer: c.OIDCIssuers[i], ID: id}
		if len(c.OIDCClientSecrets) > 0 && c.OIDCClientSecrets[i] != noClient {
			client.Secret = c.OIDCClientSecrets[i]
		}
		known.Clients = append(known.Clients, client)
		out.SignIn = append(out.SignIn, auth.Provider{Issuer: client.Issuer, Name: c.nameOfIssuer(i)})
	}
	out.Verifier = oidc.New(known)
	return out
}

// nameOfIssuer returns what people call an identity provider.
func (c Config) nameOfIssuer(i int) string {
	if len(c.OIDCNames) > 0 && c.OIDCNames[i] != noClient {
		return c.OIDCNames[i]
	}
	if u, err := url.Parse(c.OIDCIssuers[i]); err == nil {
		return u.Host
	}
	return c.OIDCIssuers[i]
}

// origin is what addresses of the AWS door begin with that are in messages, so that no request says how it is reached.
func (s *Server) origin() string {
	if u := s.config.PublicURL; u != nil {
		return u.Scheme + "://" + u.Host
	}
	return s.URL()
}

// durability asks Redis what it promises. No answer is engine.ErrUnavailable.
func (s *Server) durability(ctx context.Context, p *parts) (engine.Durability, error) {
	d, err := p.engine.Durability(ctx)
	if err != nil && engine.OutcomeOf(err) != engine.Broken {
		return d, engine.ErrUnavailable.Because(err)
	}
	return d, err
}

// trust refuses a Redis whose settings lose messages silently, and asks for the confirmation of replicas where the
// wanted level needs it.
func (s *Server) trust(p *parts, d engine.Durability) error {
	if len(d.Unsafe) > 0 && !s.config.UnsafeRedis {
		return fmt.Errorf("%w: this Redis is not safe for messages:\n  %s\nChange that, or start with --unsafe-redis", ErrUsage, strings.Join(d.Unsafe, "\n  "))
	}
	for _, w := range d.Warnings {
		s.logger.Warn(w) //nolint:sloglint // one of few sentences
	}
	if strings.HasPrefix(s.config.Durability, "replicated") {
		n := s.config.DurabilityReplicas
		if n == 0 {
			n = d.Replicas
		}
		if n < 1 || d.Replicas < n {
			return fmt.Errorf("%w: durability %s needs %d replicas behind each master, and one has %d", ErrUsage, s.config.Durability, max(n, 1), d.Replicas)
		}
		p.engine.SetReplicas(n)
	}
	return nil
}

// enough refuses a Redis that gives less than was asked for.
func (s *Server) enough(d engine.Durability) error {
	if s.config.RequireDurable && d.Verified && d.Level == engine.LevelMemory {
		return fmt.Errorf("%w: require_durable is set and this Redis keeps nothing on disk: set appendonly yes", ErrUsage)
	}
	if s.config.Durability == "" {
		return nil
	}
	want, err := engine.ParseLevel(s.config.Durability)
	if err != nil {
		return err
	}
	if d.Verified && d.Level < want {
		return fmt.Errorf("%w: durability %s is asked for and Redis gives %s", ErrUsage, want, d.Level)
	}
	return nil
}

// installationFile holds the epoch of the data set that this data directory belongs to.
const installationFile = "installation"

// claim makes sure that Redis holds this installation's data and that the master key opens its root secret, and returns
// its epoch and that. A server that knows an installation never founds another one in an empty Redis: its data is gone,
// and that must be seen.
func (s *Server) claim(ctx context.Context, p *parts, fresh engine.Identity) (string, *keyring.Keyring, error) {
	path := filepath.Join(s.config.DataDir, installationFile)
	known := ""
	if raw, err := os.ReadFile(path); err == nil && !p.engine.Memory() {
		known = strings.TrimSpace(string(raw))
	}
	have, err := p.engine.Claim(ctx, fresh, known == "")
	switch {
	case errors.Is(err, engine.ErrNoInstallation):
		return "", nil, fmt.Errorf("%w: Redis is empty, but %s says that it held installation %s. "+
			"Bring that data back, or remove the file to begin anew", ErrUsage, path, known)
	case err != nil:
		return "", nil, err
	case known != "" && have.Epoch != known:
		return "", nil, fmt.Errorf("%w: Redis holds installation %s, but %s names %s: it is another Redis, or was restored from another backup. "+
			"Use the right one, or remove the file to go on with this one", ErrUsage, have.Epoch, path, known)
	}
	root, err := openRoot(s.master, have)
	switch {
	case errors.Is(err, keyring.ErrOtherKey):
		return "", nil, fmt.Errorf("%w: %w. Give all servers the same SLUICE_MASTER_KEY or master-key file", ErrUsage, err)
	case err != nil:
		return "", nil, fmt.Errorf("%w: %w. Bring the data of Redis back from your backup", ErrUsage, err)
	case have.Region != fresh.Region:
		return "", nil, fmt.Errorf("%w: the data in Redis belongs to region %s, and this server has region %s", ErrUsage, have.Region, fresh.Region)
	}
	if known == "" && !p.engine.Memory() {
		if err := keyring.CreateFile(path, []byte(have.Epoch+"\n")); err != nil && !errors.Is(err, os.ErrExist) {
			return "", nil, err
		}
	}
	return have.Epoch, root, nil
}

const (
	watchEvery      = time.Second
	roomEvery       = 5 * time.Second // while there is room; a full Redis is looked at as often as everything else
	keyEvery        = 5 * time.Second
	durabilityEvery = time.Minute
)

// watch keeps /readyz true: does Redis answer, is it still the same data set, has it room, does the master key still open
// it, and what does it promise.
func (s *Server) watch(ctx context.Context, p *parts, name string) error {
	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	lastLevel, lastRoom, lastKey := time.Now(), time.Time{}, time.Time{}
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		p.looks.after(func() { s.look(ctx, p) })
		s.health.setOutage(p.webhooks.Outage())
		if time.Since(lastRoom) > roomEvery || s.health.isFull() {
			lastRoom = time.Now()
			s.checkRoom(ctx, p)
		}
		if time.Since(lastKey) > keyEvery {
			lastKey = time.Now()
			s.checkKey(ctx, p)
		}
		if time.Since(lastLevel) > durabilityEvery {
			lastLevel = time.Now()
			if d, err := p.engine.Durability(ctx); err == nil {
				s.health.setDurability(name, d)
			}
		}
	}
}

// checkRoom refuses sends while memory or the disk is almost full, and says so. The server stays ready: somebody must
// empty it.
func (s *Server) checkRoom(ctx context.Context, p *parts) {
	var disk func(used int64) string
	if p.embedded != nil {
		disk = func(used int64) string { return p.embedded.DiskFull(used, s.health.isFull()) }
	}
	why, err := p.engine.CheckRoom(ctx, disk)
	if err != nil {
		return // look says that Redis does not answer
	}
	switch full := s.health.isFull(); {
	case why != "" && !full:
		s.logger.Error("the storage is almost full: sends are refused until there is room", "reason", why)
	case why == "" && full:
		s.logger.Info("the storage has room again")
	}
	s.health.setFull(why)
}

func (s *Server) look(ctx context.Context, p *parts) {
	have, err := p.engine.Claim(ctx, engine.Identity{}, false)
	unreachable, replaced := "", ""
	switch {
	case errors.Is(err, engine.ErrNoInstallation):
		replaced = "Redis came back empty: the data of this installation is gone."
	case err != nil:
		unreachable = "Redis does not answer."
		if p.embedded != nil {
			if err := p.embedded.Ready(); err != nil {
				unreachable += " " + err.Error()
			}
		}
	case have.Epoch != p.epoch:
		replaced = "Redis holds another installation's data."
	}
	if replaced != "" && !s.health.has("data_replaced") {
		s.logger.Error("the data set in redis was replaced; requests are refused until the right one is back", "reason", replaced)
	}
	s.health.set("redis_unavailable", unreachable)
	if err == nil || replaced != "" {
		s.health.set("data_replaced", replaced)
	}
	skewed := ""
	if p.queues.Skewed() {
		skewed = "The clocks of Redis and of this server differ by more than 30 seconds, or both are behind the time of what queues have done already."
	}
	s.health.set("clock_skew", skewed)
}

// The files of the first keys, in the data directory.
const (
	operatorKeyFile = "operator-key"
	defaultKeyFile  = "default-key"
)

// firstKeys makes the operator's key, the tenant "default" and its key at the first start, and shows new ones once. What
// an operator has deleted or revoked since stays so; an installation that was founded just now has nothing of that kind,
// although the data directory may have key files from one before.
func (s *Server) firstKeys(ctx context.Context, p *parts, founded bool) error {
	file := filepath.Join(s.config.DataDir, operatorKeyFile)
	operator, made, err := p.keys.EnsureOperatorKey(ctx, file)
	if err = s.tolerate(err, file); err != nil {
		return err
	}
	if made {
		fmt.Fprintf(s.greet, "Operator key, also in %s:\n\n  %s\n\n", file, operator.Reveal())
	}
	file = filepath.Join(s.config.DataDir, defaultKeyFile)
	t, err := p.tenants.Get(ctx, tenants.Default)
	if errors.Is(err, tenants.ErrNotFound) {
		if _, err := os.Stat(file); err == nil && !founded {
			return nil
		}
		t, _, err = p.tenants.Put(ctx, tenants.Default, tenants.Settings{}, tenants.Condition{})
	}
	if err != nil {
		return err
	}
	key, made, err := p.keys.EnsureTenantKey(ctx, t.ID, file)
	if err = s.tolerate(err, file); err != nil {
		return err
	}
	if made {
		s.greeting(key.Reveal(), file)
	}
	return nil
}

// tolerate logs why a key file is of no use where that is somebody's decision and no reason not to start. A Redis that is
// full is none either: without servers nobody could empty it.
func (s *Server) tolerate(err error, file string) error {
	if errors.Is(err, engine.ErrFull) {
		s.logger.Warn("redis is full, so a key that it does not know yet cannot be used", "file", file)
		return nil
	}
	if errors.Is(err, auth.ErrFileRevoked) || errors.Is(err, auth.ErrTooManyKeys) || errors.Is(err, tenants.ErrNotFound) {
		s.logger.Warn("the key in this file is not in use", "file", file, "reason", err.Error())
		return nil
	}
	return err
}

// greeting shows a newcomer the first commands, ready to paste.
func (s *Server) greeting(key, file string) {
	fmt.Fprintf(s.greet, `Key of tenant "default", also in %[3]s. Try:

  export KEY=%[1]s
  curl -u $KEY: -X PUT %[2]s/v1/queues/orders
  curl -u $KEY: %[2]s/v1/queues/orders/messages -d 'hello'
  curl -u $KEY: -X POST '%[2]s/v1/queues/orders/receive?wait=20'

The API: %[2]s/docs

`, key, s.URL(), file)
}

// run runs the background work until ctx ends.
func (p *parts) run(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return p.queues.Run(ctx) })
	g.Go(func() error { return p.runner.Run(ctx) })
	g.Go(func() error { return p.queues.TickSchedules(ctx) })
	g.Go(func() error { return p.topics.TickSchedules(ctx) })
	g.Go(func() error { return p.topics.Run(ctx) })
	g.Go(func() error { return p.monitor.Run(ctx) })
	g.Go(func() error { return p.alarms.Run(ctx) })
	g.Go(func() error { return p.webhooks.Run(ctx) })
	g.Go(func() error { return p.auth.Run(ctx) })
	g.Go(func() error { return p.tenants.Run(ctx) })
	g.Go(func() error { return p.limiter.Run(ctx) })
	g.Go(func() error { return p.meter.Run(ctx) })
	g.Go(func() error { return p.requests.Run(ctx) })
	g.Go(func() error { return p.watch(ctx) })
	g.Go(func() error { return p.sweep(ctx) })
	err := g.Wait()
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastFlush)
	defer cancel()
	p.requests.Flush(last)
	p.meter.Flush(last) // of a server that stops nothing goes uncounted
	return err
}

// lastFlush bounds how long a server that stops tells what its tenants have used.
const lastFlush = 3 * time.Second

func (p *parts) close() error {
	var err error
	for _, c := range []*egress.Client{p.egress, p.login} {
		if c != nil {
			c.Close()
		}
	}
	if p.engine != nil {
		err = p.engine.Close()
	}
	if p.embedded != nil {
		err = errors.Join(err, p.embedded.Close())
	}
	return err
}

// lettersFor returns the name of a tenant and the addresses of those of its members who have set a password: that an address is
// theirs is known by the invitation.
func (p *parts) lettersFor(ctx context.Context, id tenants.ID) (string, []string, error) {
	t, err := p.tenants.ByID(ctx, id)
	if err != nil {
		return "", nil, err
	}
	members, err := p.auth.Members(ctx, id)
	var emails []string
	for _, m := range members {
		if !m.Invited {
			emails = append(emails, m.Email)
		}
	}
	return t.Name, emails, err
}
