package server

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/sluicemq/sluice/auth"
	"github.com/sluicemq/sluice/tenants"
)

// configSetting names the setting that names the file.
const configSetting = "config"

// setting is one row of the settings table.
type setting struct {
	name  string            // the key in the file; the flag is the same word with dashes
	env   string            // the variable, or "": none
	def   string            // the default, spelt as a user would spell it
	none  string            // a word for the empty value, because an empty variable counts as not set
	help  string            // what it does; the bounds are added from the fields below
	field func(*Config) any // pointer to its place; the type there decides how text is read

	oneOf    []string // the words allowed, when only some are
	min, max int64    // the bounds of a number, or of a duration in nanoseconds
	valid    func(Config) error

	noFile bool                  // not a key of the file
	secret func(raw string) bool // whether this text holds a secret; nil: never
}

// settings is the one place where a setting is named. Flags, variables, file keys, the help, the printed
// configuration, docs/configuration.md and the suggestions for misspelt names all come from it. To add a setting, add
// a field to Config and a row here, then run: go test ./server -run TestDocs -update
var settings = []setting{
	{name: configSetting, env: "SLUICE_CONFIG", noFile: true,
		help:  "YAML file with settings. A file that is named must exist; none is read unasked.",
		field: func(c *Config) any { return &c.File }},
	{name: "print_config", noFile: true, def: "false",
		help:  "Print every setting with its value and origin, secrets hidden, then exit.",
		field: func(c *Config) any { return &c.PrintAndExit }},

	{name: "listen", env: "SLUICE_LISTEN", def: "127.0.0.1:8080",
		help:  "Address of the API and the console, host:port. Without a host: all addresses.",
		field: func(c *Config) any { return &c.Listen }, valid: checkListen},
	{name: "metrics_listen", env: "SLUICE_METRICS_LISTEN", def: "127.0.0.1:8081", none: "off",
		help:  "Address of the metrics, host:port, or off.",
		field: func(c *Config) any { return &c.MetricsListen }, valid: checkMetricsListen},
	{name: "tls_cert", env: "SLUICE_TLS_CERT",
		help:  "PEM file with the certificate of the API's listener and its issuers. Read again when it changes. Empty: no TLS.",
		field: func(c *Config) any { return &c.TLSCert }, valid: checkTLS},
	{name: "tls_key", env: "SLUICE_TLS_KEY",
		help:  "PEM file with the key of the certificate.",
		field: func(c *Config) any { return &c.TLSKey }},
	{name: "public_url", env: "SLUICE_PUBLIC_URL",
		help:  "Public http or https address, perhaps with a path. Empty: taken from each request.",
		field: func(c *Config) any { return &c.PublicURL }, valid: checkPublicURL},
	{name: "trusted_proxies", env: "SLUICE_TRUSTED_PROXIES",
		help:  "Networks whose X-Forwarded headers count, such as 10.0.0.0/8,192.0.2.7.",
		field: func(c *Config) any { return &c.TrustedProxies }, valid: checkTrustedProxies},
	{name: "egress_allow", env: "SLUICE_EGRESS_ALLOW",
		help:  "Networks that webhooks may reach although they are not public, on any port, such as 10.0.0.0/8,127.0.0.1.",
		field: func(c *Config) any { return &c.EgressAllow }, valid: checkEgressAllow},
	{name: "egress_proxy", env: "SLUICE_EGRESS_PROXY",
		help:   "HTTP proxy through which all outgoing requests go, such as http://user:password@proxy.example.com:3128.",
		field:  func(c *Config) any { return &c.EgressProxy },
		secret: func(raw string) bool { return strings.Contains(raw, "@") }},
	{name: "egress_allow_http", env: "SLUICE_EGRESS_ALLOW_HTTP", def: "false",
		help:  "Let webhooks have http:// URLs, and reach port 80 of public addresses.",
		field: func(c *Config) any { return &c.EgressAllowHTTP }},

	{name: "smtp_url", env: "SLUICE_SMTP_URL",
		help:   "Mail server for letters about alarms, such as smtp://user:password@mail.example.com:587 or smtps://mail.example.com.",
		field:  func(c *Config) any { return &c.SMTP },
		secret: func(raw string) bool { return strings.Contains(raw, "@") }},
	{name: "smtp_from", env: "SLUICE_SMTP_FROM",
		help:  "Address that letters come from; needed with smtp_url.",
		field: func(c *Config) any { return &c.SMTPFrom }, valid: checkSMTPFrom},

	{name: "contact", env: "SLUICE_CONTACT",
		help:  "Where tenants ask for larger limits: an e-mail address, or the https address of a form or a chat. Empty: nowhere.",
		field: func(c *Config) any { return &c.Contact }, valid: checkContact},

	{name: "insecure_cookies", env: "SLUICE_INSECURE_COOKIES", def: "false",
		help:  "Let browsers sign in without TLS, also from other machines. For networks where nobody listens.",
		field: func(c *Config) any { return &c.InsecureCookies }},

	{name: "oidc_issuers", env: "SLUICE_OIDC_ISSUERS",
		help:  "Identity providers whose JWTs are taken: at most 8 https addresses, as their tokens name them.",
		field: func(c *Config) any { return &c.OIDCIssuers }, valid: checkOIDCIssuers},
	{name: "oidc_audience", env: "SLUICE_OIDC_AUDIENCE",
		help:  "Audience that their tokens must be for. Needed with oidc_issuers.",
		field: func(c *Config) any { return &c.OIDCAudience }, valid: checkOIDCAudience},
	{name: "oidc_tenant_claim", env: "SLUICE_OIDC_TENANT_CLAIM", def: auth.DefaultTenantClaim,
		help:  "Claim with the name of the tenant.",
		field: func(c *Config) any { return &c.OIDCTenantClaim }, valid: func(c Config) error { return checkClaim(c.OIDCTenantClaim) }},
	{name: "oidc_role_claim", env: "SLUICE_OIDC_ROLE_CLAIM", def: auth.DefaultRoleClaim,
		help:  "Claim with the role, or with a list of roles.",
		field: func(c *Config) any { return &c.OIDCRoleClaim }, valid: func(c Config) error { return checkClaim(c.OIDCRoleClaim) }},
	{name: "oidc_client_id", env: "SLUICE_OIDC_CLIENT_ID",
		help:  "What the identity providers know Sluice as, so that people sign in to the console with them: one for each of oidc_issuers, in their order; - for one with which nobody does.",
		field: func(c *Config) any { return &c.OIDCClientIDs }, valid: func(c Config) error { return checkOIDCClients(c, c.OIDCClientIDs) }},
	{name: "oidc_client_secret", env: "SLUICE_OIDC_CLIENT_SECRET",
		help:   "Secrets of these clients, in the same order; - for a public client. Empty: all are public.",
		field:  func(c *Config) any { return &c.OIDCClientSecrets },
		valid:  checkOIDCClientSecrets,
		secret: func(raw string) bool { return raw != "" }},
	{name: "oidc_names", env: "SLUICE_OIDC_NAMES",
		help:  "What the console calls the identity providers, in the same order. Empty: by their hosts.",
		field: func(c *Config) any { return &c.OIDCNames }, valid: func(c Config) error { return checkOIDCClients(c, c.OIDCNames) }},
	{name: "oidc_scopes", env: "SLUICE_OIDC_SCOPES", def: "openid profile",
		help:  "Scopes that are asked for when somebody signs in, with spaces between; openid is one of them.",
		field: func(c *Config) any { return &c.OIDCScopes }, valid: checkOIDCScopes},
	{name: "oidc_session", env: "SLUICE_OIDC_SESSION", def: "12h", min: int64(5 * time.Minute), max: int64(auth.SessionLife),
		help:  "How long a session of the console holds at most that somebody has opened with an identity provider.",
		field: func(c *Config) any { return &c.OIDCSession }},
	{name: "oidc_allow", env: "SLUICE_OIDC_ALLOW",
		help:  "Networks where identity providers may be although they are not public, such as 10.0.0.0/8. Webhooks may not reach them because of this.",
		field: func(c *Config) any { return &c.OIDCAllow }, valid: func(c Config) error { return checkNetworks(c.OIDCAllow) }},

	{name: "data_dir", env: "SLUICE_DATA_DIR", def: "./data",
		help:  "Directory of the generated keys and of the embedded Redis.",
		field: func(c *Config) any { return &c.DataDir }, valid: checkDataDir},
	{name: "master_key", env: "SLUICE_MASTER_KEY",
		help:   "Base64 of at least 32 random bytes. Empty: made once, kept in <data_dir>/master-key.",
		field:  func(c *Config) any { return &c.MasterKey },
		valid:  func(c Config) error { return c.MasterKey.check() },
		secret: func(raw string) bool { return raw != "" }},
	{name: "region", env: "SLUICE_REGION", def: "us-east-1",
		help:  "Region in ARNs and AWS signatures: 1 to 32 of a-z, 0-9 and dash.",
		field: func(c *Config) any { return &c.Region }, valid: checkRegion},

	{name: "redis_url", env: "SLUICE_REDIS_URL",
		help:   "redis://, rediss://, unix://, redis+cluster:// or redis+sentinel:// address. Empty: an embedded one.",
		field:  func(c *Config) any { return &c.RedisURL },
		secret: func(raw string) bool { return strings.Contains(raw, "@") }},
	{name: "require_durable", env: "SLUICE_REQUIRE_DURABLE", def: "false",
		help:  "Refuse to start on the in-memory engine, which loses everything at exit.",
		field: func(c *Config) any { return &c.RequireDurable }, valid: checkRequireDurable},
	{name: "durability", env: "SLUICE_DURABILITY", none: "any",
		help:  "Refuse to start when Redis gives less than this level.",
		field: func(c *Config) any { return &c.Durability },
		oneOf: []string{"any", "memory", "everysec", "fsync", "replicated", "replicated+fsync"}},
	{name: "durability_replicas", env: "SLUICE_DURABILITY_REPLICAS", def: "0", min: 0, max: 5,
		help:  "Replicas that confirm each write at the replicated levels; 0: all.",
		field: func(c *Config) any { return &c.DurabilityReplicas }},
	{name: "unsafe_redis", env: "SLUICE_UNSAFE_REDIS", def: "false",
		help:  "Start although the settings of Redis can lose messages.",
		field: func(c *Config) any { return &c.UnsafeRedis }},

	{name: "log_format", env: "SLUICE_LOG_FORMAT", def: "auto", oneOf: []string{"auto", "json", "text"},
		help:  "Form of the log; auto is text on a terminal and json elsewhere.",
		field: func(c *Config) any { return &c.LogFormat }},
	{name: "log_level", env: "SLUICE_LOG_LEVEL", def: "info", oneOf: []string{"debug", "info", "warn", "error"},
		help:  "Least level that is logged.",
		field: func(c *Config) any { return &c.LogLevel }},
	{name: "log_requests", env: "SLUICE_LOG_REQUESTS", def: "true",
		help:  "Log one line for each request.",
		field: func(c *Config) any { return &c.LogRequests }},
	{name: "request_log", env: "SLUICE_REQUEST_LOG", def: strconv.Itoa(tenants.DefaultRequestRate), min: 0, max: tenants.MaxRequestRate,
		help:  "Requests of each tenant that a server keeps for its request log each second, and four times as many that failed. 0 keeps none.",
		field: func(c *Config) any { return &c.RequestLog }},

	{name: "drain_timeout", env: "SLUICE_DRAIN_TIMEOUT", def: "25s", min: int64(time.Second), max: int64(10 * time.Minute),
		help:  "Time that running requests get after the signal to stop.",
		field: func(c *Config) any { return &c.DrainTimeout }},
	{name: "max_in_flight_requests", env: "SLUICE_MAX_REQUESTS", def: "4096", min: 1, max: 1_000_000,
		help:  "Requests worked on at once, without the waiting receives.",
		field: func(c *Config) any { return &c.MaxInFlightRequests }},
	{name: "max_waiting_receives", env: "SLUICE_MAX_WAITING_RECEIVES", def: "20000", min: 1, max: 1_000_000,
		help:  "Receives that wait for a message at once, and streams that are open.",
		field: func(c *Config) any { return &c.MaxWaitingReceives }},
	{name: "aws_waits", env: "SLUICE_AWS_WAITS", def: "false",
		help:  "Have clients of SQS wait 60 s between two purges, and before they reuse the name of a deleted queue, as SQS does.",
		field: func(c *Config) any { return &c.AWSWaits }},
	{name: "sigv4_replay_cache", env: "SLUICE_SIGV4_REPLAY_CACHE", def: "false",
		help:  "Have the AWS protocols take each signature once. Costs each request a round trip to Redis.",
		field: func(c *Config) any { return &c.SigV4ReplayCache }},
	{name: "max_in_flight_mib", env: "SLUICE_MAX_IN_FLIGHT_MIB", def: "128", min: 32, max: 1_000_000,
		help:  "MiB of large bodies of requests in memory at once, and as many of large answers.",
		field: func(c *Config) any { return &c.MaxInFlightMiB }},
	{name: "test_headers", env: "SLUICE_TEST_HEADERS", def: "false",
		help:  "Add Sluice-Now and Sluice-Seq to answers, for tests; needs a Redis on this machine.",
		field: func(c *Config) any { return &c.TestHeaders }, valid: checkTestHeaders},
}

func settingNamed(name string) (setting, bool) {
	i := slices.IndexFunc(settings, func(s setting) bool { return s.name == name })
	if i < 0 {
		return setting{}, false
	}
	return settings[i], true
}

// flag is the setting's name on the command line, without the two dashes.
func (s setting) flag() string { return strings.ReplaceAll(s.name, "_", "-") }

// fileKey is the setting's name in the file, or "" when it has none.
func (s setting) fileKey() string {
	if s.noFile {
		return ""
	}
	return s.name
}

// isList reports whether the file may give the setting as a YAML list.
func (s setting) isList() bool { return isList(s.field(&Config{})) }

// isSwitch reports whether the flag stands for true when it has no value.
func (s setting) isSwitch() bool {
	_, ok := s.field(&Config{}).(*bool)
	return ok
}

// parse reads raw into c, or leaves c as it is.
func (s setting) parse(c *Config, raw string) error {
	raw = strings.TrimSpace(raw)
	if s.none != "" && raw == s.none {
		raw = ""
	}
	if err := s.checkWord(raw); err != nil {
		return err
	}
	return parseValue(s.field(c), raw)
}

// checkWord holds a setting of a few words to them.
func (s setting) checkWord(word string) error {
	word = cmp.Or(word, s.none)
	if len(s.oneOf) == 0 || slices.Contains(s.oneOf, word) {
		return nil
	}
	return fmt.Errorf("must be one of %s, not %q%s", strings.Join(s.oneOf, ", "), word, didYouMean("", word, s.oneOf))
}

// text is the value in c as a user would spell it, with secrets hidden.
func (s setting) text(c *Config) string {
	return cmp.Or(valueText(s.field(c)), s.none)
}

// check says what is wrong with the value in c.
func (s setting) check(c *Config) error {
	if err := checkRange(s.field(c), s.min, s.max); err != nil {
		return err
	}
	if v := valueText(s.field(c)); v != "" && v == s.none {
		return fmt.Errorf("must be empty and not %q, which only users write", v)
	}
	if err := s.checkWord(s.text(c)); err != nil {
		return err
	}
	if s.valid != nil {
		return s.valid(*c)
	}
	return nil
}

// meaning is the help with the bounds.
func (s setting) meaning() string {
	switch {
	case len(s.oneOf) > 0:
		return s.help + " One of " + strings.Join(s.oneOf, ", ") + "."
	case s.max > 0:
		lo, hi := rangeText(s.field(&Config{}), s.min, s.max)
		return fmt.Sprintf("%s From %s to %s.", s.help, lo, hi)
	}
	return s.help
}
