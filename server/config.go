package server

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"net/url"
	"slices"
	"time"

	"github.com/spf13/pflag"

	"github.com/sluicemq/sluice/internal/addr"
	"github.com/sluicemq/sluice/internal/egress"
	"github.com/sluicemq/sluice/internal/mail"
)

// ErrUsage is in every error of LoadConfig and Validate: the person who started the program has to change something.
var ErrUsage = errors.New("the configuration is wrong")

// ErrHelp is what LoadConfig returns for -h and --help. The caller answers it with Help.
var ErrHelp = pflag.ErrHelp

// Config is what one server is told when it starts: values that are parsed already. DefaultConfig and LoadConfig
// fill it; a test may then change fields before it calls New. It holds secrets, which no verb of fmt, no slog
// handler and no JSON encoder prints.
type Config struct {
	// File is the YAML file that was read. Default "": none.
	File string

	// PrintAndExit asks for PrintConfig instead of a server. Default false.
	PrintAndExit bool

	// Listen is the host:port of the API and the console. Default 127.0.0.1:8080. An empty host listens on all
	// addresses; port 0 picks a free one.
	Listen string

	// MetricsListen is the host:port of the metrics, or "" for none. Default 127.0.0.1:8081.
	MetricsListen string

	// TLSCert and TLSKey are PEM files with the certificate of the listener, those of its issuers behind it, and its key.
	// They are read again when they change. Default none: the listener speaks plain HTTP.
	TLSCert, TLSKey string

	// PublicURL is how clients reach the server when that differs from how it listens: http or https, perhaps with
	// a path below which everything is served, without a slash at the end. Default nil: taken from each request.
	PublicURL *url.URL

	// TrustedProxies are the networks whose word on the client's address and scheme counts, at most 256.
	// Default none.
	TrustedProxies []netip.Prefix

	// Contact is where tenants ask for larger limits: an e-mail address, or the http or https URL of a form or a chat, of at most
	// 2,000 bytes. Default none.
	Contact string

	// InsecureCookies lets browsers sign in over connections without TLS, also from other machines. Default false.
	InsecureCookies bool

	// EgressAllow are networks that webhooks may reach although they are not public, on any port, at most 256. Addresses
	// at which clouds hand out credentials stay closed. Default none.
	EgressAllow []netip.Prefix

	// EgressProxy is the HTTP proxy through which all outgoing requests go, by CONNECT. Default none, also where HTTPS_PROXY names one.
	EgressProxy egress.Proxy

	// EgressAllowHTTP lets webhooks have http:// URLs, and public ones port 80. Default false.
	EgressAllowHTTP bool

	// OIDCIssuers are the identity providers whose JWTs are taken as bearer tokens, and with which people may sign in, as these
	// name themselves: at most 8 https addresses. Default none.
	OIDCIssuers []string

	// OIDCAudience is for whom such a token must be. Default none; needed with OIDCIssuers.
	OIDCAudience string

	// OIDCTenantClaim and OIDCRoleClaim are the claims that say for which tenant a token is and which role it has. Default
	// sluice_tenant and sluice_role.
	OIDCTenantClaim, OIDCRoleClaim string

	// OIDCClientIDs are what the providers know Sluice as, so that people sign in to the console with them: one for each of
	// OIDCIssuers, in their order, and "-" for one with which nobody does. Default none: nobody does with any.
	OIDCClientIDs []string

	// OIDCClientSecrets are the secrets of the clients, in the same order, and "-" for a public one. Default none: all are public.
	OIDCClientSecrets SecretList

	// OIDCNames are what the console calls the providers, in the same order. Default none: by their hosts.
	OIDCNames []string

	// OIDCScopes are asked for when somebody signs in. Default "openid profile".
	OIDCScopes string

	// OIDCSession is how long a session holds at most that was opened so, 5m to 168h. Default 12h.
	OIDCSession time.Duration

	// OIDCAllow are networks in which providers may be although they are not public, besides EgressAllow, and that webhooks
	// may not reach because of this; at most 256. Default none.
	OIDCAllow []netip.Prefix

	// DataDir is the directory of the generated keys and of the embedded Redis. Default ./data.
	DataDir string

	// MasterKey opens the root secret from which the installation's keys are derived: at least 32 bytes. Default none: the
	// server keeps one in <DataDir>/master-key.
	MasterKey SecretKey

	// Region is the region in ARNs and in AWS signatures, 1 to 32 of a-z, 0-9 and dash. Default us-east-1.
	Region string

	// RedisURL says where Redis is. Default none: the server starts its own.
	RedisURL addr.Redis

	// RequireDurable refuses to start on the in-memory engine. Default false.
	RequireDurable bool

	// Durability is the least that Redis must give, or the server refuses to start: memory, everysec, fsync,
	// replicated or replicated+fsync. Default "": whatever Redis gives.
	Durability string

	// DurabilityReplicas is how many replicas must confirm a write at the replicated levels, 0 to 5. Default 0: all
	// that the shard has.
	DurabilityReplicas int

	// UnsafeRedis starts the server although the settings of Redis can lose messages. Default false.
	UnsafeRedis bool

	// LogFormat is json, text or auto: text on a terminal, json elsewhere. Default auto.
	LogFormat string

	// LogLevel is the least level that is logged: debug, info, warn or error. Default info.
	LogLevel slog.Level

	// LogRequests writes one line for each request. Default true.
	LogRequests bool

	// RequestLog is how many requests of each tenant that were answered with success are kept for its request log each second,
	// 0 to 50, and how many others, four times as many. Default 5.
	RequestLog int

	// DrainTimeout is how long running requests may take to end after the signal to stop, 1s to 10m. Default 25s,
	// which fits in the 30s that Kubernetes gives.
	DrainTimeout time.Duration

	// MaxInFlightRequests bounds the requests that are worked on at once, 1 to 1,000,000, without the waiting
	// receives. Default 4096.
	MaxInFlightRequests int

	// MaxWaitingReceives bounds the receives that wait for a message at once, with the open streams, 1 to 1,000,000.
	// Default 20000.
	MaxWaitingReceives int

	// AWSWaits has clients of SQS wait for a minute before they purge a queue again, or make one of the name of one that they have
	// deleted, as SQS does. Default false.
	AWSWaits bool

	// SMTP is the server that takes letters about alarms, and SMTPFrom the address that they come from. Default: none, and no letters.
	SMTP     mail.Server
	SMTPFrom string

	// SigV4ReplayCache has the AWS protocols take each signature once. Default false.
	SigV4ReplayCache bool

	// MaxInFlightMiB bounds what bodies of requests over 64 KiB take while the server works on them, in MiB, and likewise
	// answers that are being sent, 32 to 1,000,000. Default 128.
	MaxInFlightMiB int

	// TestHeaders adds Sluice-Now and Sluice-Seq to answers, for tests that check order; it needs a Redis on this
	// machine. Default false.
	TestHeaders bool

	origins map[string]given // by setting; what is not here is a default
	notes   []string         // what LoadConfig found worth a warning
}

// Origin says which kind of source a value came from.
type Origin string

// The origins, the stronger first.
const (
	FromFlag        Origin = "flag"
	FromEnvironment Origin = "environment"
	FromFile        Origin = "file"
	FromDefault     Origin = "default"
)

// given is one value as its source spells it.
type given struct {
	raw    string // not kept in Config: it may be a secret
	origin Origin
	where  string // the flag, the variable, or the file and line
}

// layer holds what one source gives, by setting.
type layer map[string]given

// DefaultConfig returns the configuration of a server that is told nothing.
func DefaultConfig() Config {
	var c Config
	for _, s := range settings {
		if err := s.parse(&c, s.def); err != nil {
			panic(fmt.Sprintf("default of %s: %v", s.name, err))
		}
	}
	return c
}

// LoadConfig reads the settings from args (without the program's name), environ (as os.Environ gives it) and the file
// that one of them names; a flag wins over the environment, that over the file, that over the default. It takes the
// whole environment and not a getenv because a misspelt variable is found only by looking at all of them.
//
// The result is valid. Otherwise the error is ErrHelp, or it is an ErrUsage that lists every problem found.
func LoadConfig(args, environ []string) (Config, error) {
	c := DefaultConfig()
	c.origins = map[string]given{}

	flags, err := readFlags(args)
	if errors.Is(err, ErrHelp) {
		return Config{}, ErrHelp
	}
	var problems []error
	if err != nil {
		problems = append(problems, err)
	}
	env, envProblems := readEnviron(environ)
	problems = append(problems, envProblems...)

	var file layer
	if from := cmp.Or(flags[configSetting], env[configSetting]); from.raw != "" {
		var fileProblems []error
		file, c.notes, fileProblems = readFile(from)
		problems = append(problems, fileProblems...)
	}

	// A value that cannot be read leaves its field at the default, so that it causes no second complaint.
	layers := []layer{flags, env, file}
	for _, s := range settings {
		if err := c.take(s, layers); err != nil {
			problems = append(problems, err)
		}
		c.notes = append(c.notes, secretNotes(s, layers)...)
	}
	if err := usageError(append(problems, c.problems()...)); err != nil {
		return Config{}, err
	}
	return c, nil
}

// take sets s from the first layer that gives it.
func (c *Config) take(s setting, layers []layer) error {
	for _, l := range layers {
		g, ok := l[s.name]
		if !ok {
			continue
		}
		c.origins[s.name] = given{origin: g.origin, where: g.where}
		if err := s.parse(c, g.raw); err != nil {
			return c.problem(s, err)
		}
		return nil
	}
	return nil
}

// Validate returns an ErrUsage that names every setting with a value out of its bounds, or nil.
func (c Config) Validate() error { return usageError(c.problems()) }

func (c Config) problems() []error {
	var all []error
	for _, s := range settings {
		if err := s.check(&c); err != nil {
			all = append(all, c.problem(s, err))
		}
	}
	return all
}

// problem names the setting and the place where a person finds it.
func (c Config) problem(s setting, err error) error {
	if g, ok := c.origins[s.name]; ok {
		return fmt.Errorf("%s (from %s) %w", s.name, g.where, err)
	}
	return fmt.Errorf("%s %w", s.name, err)
}

func usageError(problems []error) error {
	switch len(problems) {
	case 0:
		return nil
	case 1:
		return fmt.Errorf("%w: %w", ErrUsage, problems[0])
	}
	var list bytes.Buffer
	for _, err := range problems {
		fmt.Fprintf(&list, "\n  - %v", err)
	}
	return fmt.Errorf("%w:%s", ErrUsage, list.String())
}

// Origin says where the value of the named setting came from. It is FromDefault, too, for what a test has set by
// hand, and "" when there is no such setting.
func (c Config) Origin(name string) Origin {
	if _, ok := settingNamed(name); !ok {
		return ""
	}
	return cmp.Or(c.origins[name].origin, FromDefault)
}

// Warnings says what is allowed and still worth a line in the log at start. It holds no secrets.
func (c Config) Warnings() []string {
	all := slices.Clone(c.notes)
	if !addr.IsLoopback(c.Listen) && c.TLSCert == "" && (c.PublicURL == nil || c.PublicURL.Scheme != "https") {
		all = append(all, fmt.Sprintf("listen: %s is reachable from other machines without TLS: set tls_cert and "+
			"tls_key, or put a proxy in front that speaks TLS, and set public_url to its https address", c.Listen))
	}
	for _, p := range c.TrustedProxies {
		if p.Bits() == 0 {
			all = append(all, fmt.Sprintf("trusted_proxies: %s lets every client claim any address", p))
		}
	}
	if c.InsecureCookies {
		all = append(all, "insecure_cookies: whoever is on the way between a browser and this server can take sessions")
	}
	for _, p := range c.EgressAllow {
		if p.Bits() == 0 {
			all = append(all, fmt.Sprintf("egress_allow: %s lets every tenant reach this machine and all of its networks", p))
		}
	}
	if c.UnsafeRedis {
		all = append(all, "unsafe_redis: the settings of Redis are not enforced, messages can be lost without notice")
	}
	if c.TestHeaders {
		all = append(all, "test_headers: answers carry headers that are meant for tests only")
	}
	return all
}
