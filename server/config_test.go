package server

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/sluicemq/sluice/internal/addr"
	"github.com/sluicemq/sluice/internal/egress"
	"github.com/sluicemq/sluice/internal/mail"
)

var update = flag.Bool("update", false, "write the generated part of docs/configuration.md")

// A key and a password whose every trace is easy to find.
const (
	testKey      = "S3CRETKEYS3CRETKEYS3CRETKEYS3CRETKEYS3CRETK="
	testPassword = "hunter2"
)

// writeConfig returns the path of a private file with the given text.
func writeConfig(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "sluice.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// load is LoadConfig for settings that must be good.
func load(t *testing.T, args, environ []string) Config {
	t.Helper()
	c, err := LoadConfig(args, environ)
	if err != nil {
		t.Fatalf("LoadConfig(%q, %q): %v", args, environ, err)
	}
	return c
}

func TestDefaultsAreValidAndSilent(t *testing.T) {
	t.Parallel()
	got := load(t, nil, nil)
	want := Config{
		Listen: "127.0.0.1:8080", MetricsListen: "127.0.0.1:8081", DataDir: "./data", Region: "us-east-1",
		LogFormat: "auto", LogRequests: true, DrainTimeout: 25 * time.Second,
		MaxInFlightRequests: 4096, MaxWaitingReceives: 20000, MaxInFlightMiB: 128, RequestLog: 5,
		OIDCTenantClaim: "sluice_tenant", OIDCRoleClaim: "sluice_role", OIDCScopes: "openid profile", OIDCSession: 12 * time.Hour,
	}
	if diff := cmp.Diff(want, got, cmpopts.IgnoreUnexported(Config{})); diff != "" {
		t.Errorf("defaults (-want +got):\n%s", diff)
	}
	if err := DefaultConfig().Validate(); err != nil {
		t.Errorf("DefaultConfig().Validate() = %v", err)
	}
	if w := got.Warnings(); len(w) > 0 {
		t.Errorf("warnings of the defaults: %q", w)
	}
}

func TestFlagWinsOverEnvironmentOverFileOverDefault(t *testing.T) {
	t.Parallel()
	file := "--config=" + writeConfig(t, "region: from-file\nlog_requests: false\n")
	for _, tt := range []struct {
		name       string
		args, env  []string
		wantRegion string
		wantOrigin Origin
	}{
		{"nothing", nil, nil, "us-east-1", FromDefault},
		{"file", []string{file}, nil, "from-file", FromFile},
		{"environment over file", []string{file}, []string{"SLUICE_REGION=from-env"}, "from-env", FromEnvironment},
		{"flag over all", []string{file, "--region", "from-flag"}, []string{"SLUICE_REGION=from-env"}, "from-flag", FromFlag},
		{"file named by variable", nil, []string{"SLUICE_CONFIG=" + file[len("--config="):]}, "from-file", FromFile},
		{"empty variable is not set", []string{file}, []string{"SLUICE_REGION="}, "from-file", FromFile},
		{"last variable of a name", nil, []string{"SLUICE_REGION=a", "SLUICE_REGION=b"}, "b", FromEnvironment},
	} {
		c := load(t, tt.args, tt.env)
		if c.Region != tt.wantRegion || c.Origin("region") != tt.wantOrigin {
			t.Errorf("%s: region %s from %s, want %s from %s", tt.name, c.Region, c.Origin("region"), tt.wantRegion, tt.wantOrigin)
		}
	}
	c := load(t, []string{file, "--log-requests"}, nil)
	if !c.LogRequests {
		t.Error("--log-requests without a value did not win over false in the file")
	}
	if got := c.Origin("no_such_setting"); got != "" {
		t.Errorf("origin of an unknown setting = %q", got)
	}
}

// Each setting is given once by each source that has it, in a form that differs from the default.
func TestEverySettingFromEverySource(t *testing.T) {
	t.Parallel()
	values := map[string]string{
		"listen": "[::1]:0", "metrics_listen": "off", "public_url": "https://q.example.com/sub/",
		"tls_cert": "/etc/sluice/tls.crt", "tls_key": "/etc/sluice/tls.key",
		"trusted_proxies": "10.0.0.0/8, 192.0.2.7,2001:db8::/32", "data_dir": "/var/lib/sluice", "master_key": testKey,
		"region": "eu-1", "redis_url": "rediss://u:p@r.example:6380/2", "require_durable": "true",
		"durability": "replicated+fsync", "durability_replicas": "5", "unsafe_redis": "true", "log_format": "json",
		"log_level": "warn", "log_requests": "false", "drain_timeout": "1m30s", "max_in_flight_requests": "10",
		"max_waiting_receives": "1000000", "max_in_flight_mib": "64", "aws_waits": "true", "sigv4_replay_cache": "true", "request_log": "0", "test_headers": "false", "insecure_cookies": "true", "egress_allow": "127.0.0.0/8,::1", "egress_allow_http": "true", "egress_proxy": "https://u:p@proxy.example:3128", "smtp_url": "smtps://u:p@mail.example", "smtp_from": "sluice@mail.example", "contact": "https://help.example/limits?from=sluice#ask",
		"oidc_issuers": "https://a.example/main, https://b.example:8443", "oidc_audience": "us", "oidc_tenant_claim": "org", "oidc_role_claim": "https://a.example/roles",
		"oidc_client_id": "console,-", "oidc_client_secret": "s3cret+/=,-", "oidc_names": "Main login,B", "oidc_scopes": "openid email groups", "oidc_session": "1h", "oidc_allow": "10.0.0.0/8",
	}
	want := Config{
		Listen: "[::1]:0", TLSCert: "/etc/sluice/tls.crt", TLSKey: "/etc/sluice/tls.key", DataDir: "/var/lib/sluice", MasterKey: load(t, []string{"--master-key", testKey}, nil).MasterKey,
		TrustedProxies: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("192.0.2.7/32"),
			netip.MustParsePrefix("2001:db8::/32")},
		Region: "eu-1", RequireDurable: true, Durability: "replicated+fsync", DurabilityReplicas: 5, UnsafeRedis: true,
		RedisURL:  addr.Redis{Mode: addr.Standalone, TLS: true, Addrs: []string{"r.example:6380"}, Username: "u", Password: "p", DB: 2},
		LogFormat: "json", LogLevel: slog.LevelWarn, DrainTimeout: 90 * time.Second,
		MaxInFlightRequests: 10, MaxWaitingReceives: 1000000, AWSWaits: true, SigV4ReplayCache: true, MaxInFlightMiB: 64, EgressAllowHTTP: true, EgressProxy: egress.Proxy{Host: "proxy.example:3128", TLS: true, Username: "u", Password: "p"}, SMTP: mail.Server{Host: "mail.example", Port: 465, TLS: true, Username: "u", Password: "p"}, SMTPFrom: "sluice@mail.example", Contact: "https://help.example/limits?from=sluice#ask", InsecureCookies: true,
		EgressAllow: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")},
		OIDCIssuers: []string{"https://a.example/main", "https://b.example:8443"}, OIDCAudience: "us", OIDCTenantClaim: "org", OIDCRoleClaim: "https://a.example/roles",
		OIDCClientIDs: []string{"console", "-"}, OIDCClientSecrets: SecretList{"s3cret+/=", "-"}, OIDCNames: []string{"Main login", "B"}, OIDCScopes: "openid email groups", OIDCSession: time.Hour,
		OIDCAllow: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")},
	}
	var args, env []string
	var file strings.Builder
	for _, s := range settings {
		if s.noFile {
			continue
		}
		v, ok := values[s.name]
		if !ok {
			t.Fatalf("this test needs a value for %s", s.name)
		}
		args = append(args, "--"+s.flag()+"="+v)
		env = append(env, s.env+"="+v)
		fmt.Fprintf(&file, "%s: %q\n", s.fileKey(), v)
	}
	for origin, c := range map[Origin]Config{
		FromFlag:        load(t, args, nil),
		FromEnvironment: load(t, nil, env),
		FromFile:        load(t, []string{"--config", writeConfig(t, file.String())}, nil),
	} {
		if got := c.PublicURL.String(); got != "https://q.example.com/sub" {
			t.Errorf("%s: public_url = %s", origin, got)
		}
		c.PublicURL, c.File = nil, ""
		if diff := cmp.Diff(want, c, cmpopts.IgnoreUnexported(Config{}), cmpopts.EquateComparable(netip.Prefix{})); diff != "" {
			t.Errorf("%s (-want +got):\n%s", origin, diff)
		}
		for name := range values {
			if got := c.Origin(name); got != origin {
				t.Errorf("origin of %s = %s, want %s", name, got, origin)
			}
		}
	}
}

func TestFileForms(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"", "# only a comment\n", "---\n", "redis_url:\nregion: ~\n"} {
		c := load(t, []string{"--config", writeConfig(t, text)}, nil)
		if c.Region != "us-east-1" || c.Origin("region") != FromDefault {
			t.Errorf("file %q: region %s from %s", text, c.Region, c.Origin("region"))
		}
	}
	c := load(t, []string{"--config", writeConfig(t, "trusted_proxies:\n  - 10.0.0.0/8\n  - fd00::/8\nmetrics_listen: \"\"\n")}, nil)
	if len(c.TrustedProxies) != 2 || c.MetricsListen != "" {
		t.Errorf("trusted_proxies = %v, metrics_listen = %q", c.TrustedProxies, c.MetricsListen)
	}
}

// Each case is refused, and the message holds all of want: the setting or the misspelt name, and what to write.
func TestBadInputIsRefused(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name      string
		args, env []string
		file      string
		want      []string
	}{
		{name: "unknown flag", args: []string{"--lisen", ":80"}, want: []string{"--lisen", "did you mean --listen?"}},
		{name: "one dash", args: []string{"-region=a"}, want: []string{"-region", "did you mean --region?"}},
		{name: "unknown flag, nothing near", args: []string{"--frobnicate"}, want: []string{"unknown flag --frobnicate"}},
		{name: "flag without value", args: []string{"--listen"}, want: []string{"--listen", "needs an argument"}},
		{name: "stray word", args: []string{"--log-requests", "false"}, want: []string{`"false"`, "--log-requests=false"}},
		{name: "unknown variable", env: []string{"SLUICE_REDIS_URI=x"},
			want: []string{"SLUICE_REDIS_URI", "did you mean SLUICE_REDIS_URL?"}},
		{name: "port variable of a person", env: []string{"SLUICE_PORT=8080"}, want: []string{"SLUICE_PORT"}},
		{name: "variable of a flag", env: []string{"SLUICE_PRINT_CONFIG=1"}, want: []string{"SLUICE_PRINT_CONFIG"}},
		{name: "certificate without key", args: []string{"--tls-cert=a.crt"}, want: []string{"tls_cert", "needs tls_key"}},
		{name: "key without certificate", env: []string{"SLUICE_TLS_KEY=a.key"}, want: []string{"tls_cert must be set with tls_key"}},
		{name: "unknown key", file: "region: a\nredisUrl: x\n",
			want: []string{"sluice.yaml line 2", `"redisUrl"`, "did you mean redis_url?"}},
		{name: "file names a file", file: "config: other.yaml\n", want: []string{`unknown key "config"`}},
		{name: "merge key", file: "a: &a {region: b}\n<<: *a\n", want: []string{`unknown key "<<"`}},
		{name: "duplicate key", file: "region: a\n\nregion: a\n", want: []string{"line 3", "duplicate", `"region"`, "line 1"}},
		{name: "nested", file: "redis_url:\n  host: a\n", want: []string{"redis_url", "one value"}},
		{name: "list of one-value setting", file: "data_dir: [a, b]\n", want: []string{"data_dir", "one value"}},
		{name: "list in list", file: "trusted_proxies: [[a]]\n", want: []string{"trusted_proxies", "plain values"}},
		{name: "not a mapping", file: "- region\n", want: []string{"key: value"}},
		{name: "bare text", file: "region\n", want: []string{"key: value"}},
		{name: "broken YAML", file: "region: [\n", want: []string{"config", "sluice.yaml", "line"}},
		{name: "two documents", file: "region: a\n---\nregion: b\n", want: []string{"one YAML document"}},
		{name: "large file", file: strings.Repeat("#", maxFileBytes+1), want: []string{"larger than 1048576 bytes"}},
		{name: "missing file", args: []string{"--config", "/nonexistent/s.yaml"},
			want: []string{"config (from --config) /nonexistent/s.yaml: no such file"}},
		{name: "missing file by variable", env: []string{"SLUICE_CONFIG=/nonexistent/s.yaml"}, want: []string{"SLUICE_CONFIG"}},
		{name: "directory for file", args: []string{"--config=/"}, want: []string{"is a directory"}},

		{name: "port alone", args: []string{"--listen=8080"}, want: []string{"listen (from --listen)", "host:port", ":8080"}},
		{name: "port too high", args: []string{"--listen=:65536"}, want: []string{"listen"}},
		{name: "port by name", args: []string{"--listen=:http"}, want: []string{"listen"}},
		{name: "URL for address", args: []string{"--listen=http://0.0.0.0:80"}, want: []string{"listen"}},
		{name: "empty listen", args: []string{"--listen="}, want: []string{"listen"}},
		{name: "metrics on the same port", args: []string{"--metrics-listen=127.0.0.1:8080"}, want: []string{"metrics_listen", "differ"}},
		{name: "empty data_dir", args: []string{"--data-dir="}, want: []string{"data_dir"}},
		{name: "region", file: "region: EU_1\n", want: []string{"region (from ", "line 1)", `"EU_1"`}},
		{name: "long region", args: []string{"--region", strings.Repeat("a", 33)}, want: []string{"region"}},

		{name: "duration without unit", file: "drain_timeout: 30\n", want: []string{"drain_timeout", `"30"`, "30s, 5m or 1h"}},
		{name: "zero without unit", args: []string{"--drain-timeout=0"}, want: []string{"drain_timeout", "30s, 5m or 1h"}},
		{name: "days", args: []string{"--drain-timeout=1d"}, want: []string{"drain_timeout", "30s, 5m or 1h"}},
		{name: "negative duration", args: []string{"--drain-timeout=-5s"}, want: []string{"drain_timeout", "from 1s to 10m, not -5s"}},
		{name: "long duration", env: []string{"SLUICE_DRAIN_TIMEOUT=1h"},
			want: []string{"drain_timeout (from SLUICE_DRAIN_TIMEOUT)", "from 1s to 10m, not 1h"}},
		{name: "size for count", args: []string{"--max-waiting-receives=1GB"}, want: []string{"max_waiting_receives", "whole number"}},
		{name: "too many", args: []string{"--max-in-flight-requests=1000001"}, want: []string{"max_in_flight_requests", "1 to 1000000"}},
		{name: "none", env: []string{"SLUICE_MAX_REQUESTS=0"}, want: []string{"max_in_flight_requests"}},
		{name: "negative count", args: []string{"--durability-replicas=-1"}, want: []string{"durability_replicas", "0 to 5"}},
		{name: "count beyond int64", args: []string{"--durability-replicas=99999999999999999999"}, want: []string{"whole number"}},
		{name: "yes for true", file: "unsafe_redis: yes\n", want: []string{"unsafe_redis", "true or false"}},
		{name: "word", args: []string{"--durability=fsnyc"},
			want: []string{"durability", "memory, everysec, fsync", "did you mean fsync?"}},
		{name: "level with offset", args: []string{"--log-level=info+2"}, want: []string{"log_level", "debug, info, warn, error"}},
		{name: "format", args: []string{"--log-format=xml"}, want: []string{"log_format"}},
		{name: "contradiction", args: []string{"--require-durable", "--durability=memory"}, want: []string{"require_durable", "durability"}},
		{name: "test headers on a shared Redis", args: []string{"--test-headers", "--redis-url=redis://10.0.0.1"},
			want: []string{"test_headers", "loopback"}},
		{name: "test headers, one seed far", args: []string{"--test-headers", "--redis-url=redis+cluster://127.0.0.1,b"},
			want: []string{"test_headers"}},

		{name: "issuer without an audience", args: []string{"--oidc-issuers=https://a.example"}, want: []string{"oidc_issuers", "oidc_audience"}},
		{name: "audience without an issuer", env: []string{"SLUICE_OIDC_AUDIENCE=x"}, want: []string{"oidc_audience", "oidc_issuers"}},
		{name: "issuer over http", args: []string{"--oidc-issuers=http://a.example", "--oidc-audience=x"}, want: []string{"oidc_issuers", "https"}},
		{name: "issuer without a scheme", args: []string{"--oidc-issuers=a.example", "--oidc-audience=x"}, want: []string{"oidc_issuers", "https"}},
		{name: "issuer with a query", args: []string{"--oidc-issuers=https://a.example?x=1", "--oidc-audience=x"}, want: []string{"oidc_issuers", "query"}},
		{name: "issuer twice", args: []string{"--oidc-issuers=https://a.example,https://a.example", "--oidc-audience=x"}, want: []string{"oidc_issuers", "twice"}},
		{name: "many issuers", args: []string{"--oidc-issuers=" + strings.Repeat("https://a.example,", 8) + "https://a.example", "--oidc-audience=x"}, want: []string{"oidc_issuers", "at most 8"}},
		{name: "claim of every token", args: []string{"--oidc-role-claim=sub"}, want: []string{"oidc_role_claim", "sub"}},
		{name: "no claim", args: []string{"--oidc-tenant-claim="}, want: []string{"oidc_tenant_claim"}},
		{name: "clients and no issuers", args: []string{"--oidc-client-id=x"}, want: []string{"oidc_client_id", "oidc_issuers"}},
		{name: "clients for some issuers", args: []string{"--oidc-issuers=https://a.example,https://b.example", "--oidc-audience=x", "--oidc-client-id=x"}, want: []string{"oidc_client_id", "2, not 1"}},
		{name: "secret of no client", args: []string{"--oidc-issuers=https://a.example", "--oidc-audience=x"}, env: []string{"SLUICE_OIDC_CLIENT_SECRET=x"}, want: []string{"oidc_client_secret", "oidc_client_id"}},
		{name: "an empty client", args: []string{"--oidc-issuers=https://a.example,https://b.example", "--oidc-audience=x", "--oidc-client-id=x,"}, want: []string{"oidc_client_id", "1 to"}},
		{name: "names of others", args: []string{"--oidc-names=x"}, want: []string{"oidc_names", "0, not 1"}},
		{name: "scopes without openid", args: []string{"--oidc-scopes=profile"}, want: []string{"oidc_scopes", "openid"}},
		{name: "an endless session", args: []string{"--oidc-session=169h"}, want: []string{"oidc_session", "168h"}},
		{name: "provider's network with host bits", args: []string{"--oidc-allow=10.1.2.3/8"}, want: []string{"oidc_allow", "10.0.0.0/8"}},

		{name: "proxy with host bits", args: []string{"--trusted-proxies=10.1.2.3/8"}, want: []string{"trusted_proxies", "10.0.0.0/8"}},
		{name: "egress with host bits", args: []string{"--egress-allow=10.1.2.3/8"}, want: []string{"egress_allow", "10.0.0.0/8"}},
		{name: "mail server of another kind", args: []string{"--smtp-url=http://mail.example.com"}, want: []string{"smtp_url", "smtps://"}},
		{name: "mail server without an address", args: []string{"--smtp-url=smtp://mail.example.com"}, want: []string{"smtp_from", "smtp_url"}},
		{name: "address without a mail server", args: []string{"--smtp-from=a@example.com"}, want: []string{"smtp_from", "smtp_url"}},
		{name: "address that is none", args: []string{"--smtp-url=smtp://mail.example.com", "--smtp-from=Ana <a@example.com>"}, want: []string{"smtp_from", "sluice@example.com"}},
		{name: "contact of another scheme", args: []string{"--contact=javascript:alert(1)"}, want: []string{"contact (from --contact)", "ops@example.com", "https://"}},
		{name: "long contact", env: []string{"SLUICE_CONTACT=https://help.example.com/" + strings.Repeat("a", 2000)}, want: []string{"contact (from SLUICE_CONTACT)", "2000 bytes"}},
		{name: "proxy without a port", args: []string{"--egress-proxy=http://proxy.example.com"}, want: []string{"egress_proxy", "port"}},
		{name: "proxy of another kind", env: []string{"SLUICE_EGRESS_PROXY=socks5://proxy:1080"}, want: []string{"egress_proxy", "http://"}},
		{name: "proxy by name", args: []string{"--trusted-proxies=10.0.0.0/8,lb"}, want: []string{"trusted_proxies", `"lb"`}},
		{name: "empty proxy", args: []string{"--trusted-proxies=10.0.0.0/8,"}, want: []string{"trusted_proxies"}},
		{name: "too many proxies", args: []string{"--trusted-proxies=" + strings.Repeat("10.0.0.1,", 256) + "10.0.0.1"},
			want: []string{"trusted_proxies", "256"}},

		{name: "public URL without scheme", args: []string{"--public-url=q.example.com"}, want: []string{"public_url", "https://"}},
		{name: "public URL of other scheme", args: []string{"--public-url=ftp://q.example.com"}, want: []string{"public_url"}},
		{name: "public URL without host", args: []string{"--public-url=https://:443/a"}, want: []string{"public_url"}},
		{name: "public URL with query", args: []string{"--public-url=https://q.example.com/?a=b"}, want: []string{"public_url"}},
		{name: "public URL with fragment", args: []string{"--public-url=https://q.example.com/#a"}, want: []string{"public_url"}},
		{name: "public URL with port 0", args: []string{"--public-url=https://q.example.com:0"}, want: []string{"public_url"}},
		{name: "public URL with dots", args: []string{"--public-url=https://q.example.com/a/../b"}, want: []string{"public_url", "path"}},
		{name: "public URL with empty part", args: []string{"--public-url=https://q.example.com/a//b"}, want: []string{"public_url", "path"}},
		{name: "public URL with escape", args: []string{"--public-url=https://q.example.com/a%2fb%20"}, want: []string{"public_url", "path"}},

		{name: "short key", args: []string{"--master-key=c2hvcnQ="}, want: []string{"master_key", "5 bytes", "32", "openssl"}},
		{name: "key of zeros", args: []string{"--master-key=" + strings.Repeat("A", 43) + "="}, want: []string{"master_key", "repeats"}},
	} {
		args := tt.args
		if tt.file != "" {
			args = append([]string{"--config", writeConfig(t, tt.file)}, args...)
		}
		c, err := LoadConfig(args, tt.env)
		if !errors.Is(err, ErrUsage) {
			t.Errorf("%s: err = %v, want ErrUsage", tt.name, err)
			continue
		}
		for _, want := range tt.want {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%s: %q lacks %q", tt.name, err, want)
			}
		}
		if diff := cmp.Diff(Config{}, c, cmpopts.IgnoreUnexported(Config{})); diff != "" {
			t.Errorf("%s: a refused configuration came back:\n%s", tt.name, diff)
		}
	}
}

func TestAllProblemsAreReportedAtOnce(t *testing.T) {
	t.Parallel()
	file := writeConfig(t, "lisen: :80\nregion: A\n")
	_, err := LoadConfig([]string{"--config", file, "--drain-timeout=1h", "--nope"}, []string{"SLUICE_NO=1", "SLUICE_LOG_LEVEL=loud"})
	for _, want := range []string{"--nope", "SLUICE_NO", "lisen", "region", "drain_timeout", "log_level"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v lacks %q", err, want)
		}
	}
	c := DefaultConfig()
	c.Listen, c.DrainTimeout, c.LogLevel, c.Durability = "x", 0, slog.Level(3), "any"
	err = c.Validate()
	for _, want := range []string{"listen must", "drain_timeout must", "log_level must", "durability must be empty"} {
		if !errors.Is(err, ErrUsage) || !strings.Contains(err.Error(), want) {
			t.Errorf("%v lacks %q", err, want)
		}
	}
}

func TestVariablesOfOthersAreIgnored(t *testing.T) {
	t.Parallel()
	load(t, nil, []string{
		"SLUICE_TEST_REDIS=unix:///x", "SLUICE_TEST_REDIS_CLUSTER=a:1", "OTHER=1", "sluice_listen=x", "=C:=C:\\", "SLUICE_TYPO=",
		// What Kubernetes adds for services called sluice and sluice-metrics.
		"SLUICE_SERVICE_HOST=10.0.0.1", "SLUICE_SERVICE_PORT=8080", "SLUICE_SERVICE_PORT_HTTP=8080",
		"SLUICE_PORT=tcp://10.0.0.1:8080", "SLUICE_PORT_8080_TCP=tcp://10.0.0.1:8080", "SLUICE_PORT_8080_TCP_ADDR=10.0.0.1",
		"SLUICE_PORT_8080_TCP_PORT=8080", "SLUICE_PORT_8080_TCP_PROTO=tcp", "SLUICE_METRICS_SERVICE_HOST=10.0.0.2",
		"SLUICE_METRICS_PORT=tcp://10.0.0.2:8081",
	})
	if _, err := LoadConfig(nil, []string{"SLUICE_TEST_HEADER=1"}); !errors.Is(err, ErrUsage) {
		t.Errorf("SLUICE_TEST_HEADER: err = %v, want ErrUsage", err)
	}
}

// secretConfig has a secret in every place that may hold one.
func secretConfig(t *testing.T) Config {
	t.Helper()
	return load(t, []string{"--redis-url", "redis://admin:" + testPassword + "@10.0.0.1"}, []string{
		"SLUICE_OIDC_ISSUERS=https://a.example", "SLUICE_OIDC_AUDIENCE=x", "SLUICE_OIDC_CLIENT_ID=x", "SLUICE_OIDC_CLIENT_SECRET=" + testPassword,
		"SLUICE_EGRESS_PROXY=http://admin:" + testPassword + "@proxy.example.com:3128",
		"SLUICE_MASTER_KEY=" + testKey, "SLUICE_REDIS_URL=redis://admin:other-" + testPassword + "@10.0.0.1",
	})
}

func TestSecretsAreNeverPrinted(t *testing.T) {
	t.Parallel()
	c := secretConfig(t)
	var out bytes.Buffer
	if err := c.PrintConfig(&out); err != nil {
		t.Fatal(err)
	}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d"} {
		fmt.Fprintf(&out, verb+"\n", c)
		fmt.Fprintf(&out, verb+verb+verb+verb+"\n", c.MasterKey, c.RedisURL, c.OIDCClientSecrets, c.EgressProxy)
	}
	for _, v := range []any{c, &c, c.MasterKey, c.RedisURL, c.OIDCClientSecrets, c.EgressProxy} {
		if err := json.NewEncoder(&out).Encode(v); err != nil {
			t.Fatal(err)
		}
		slog.New(slog.NewTextHandler(&out, nil)).Info("start", "config", v)
		slog.New(slog.NewJSONHandler(&out, nil)).Info("start", "config", v)
	}
	fmt.Fprintln(&out, c.Warnings())
	for _, secret := range []string{
		testPassword, "admin", testKey, string(c.MasterKey), fmt.Sprintf("%x", []byte(c.MasterKey)),
		fmt.Sprintf("%v", []byte(c.MasterKey)), fmt.Sprintf("%x", testPassword), fmt.Sprintf("%X", testPassword),
	} {
		if strings.Contains(out.String(), secret) {
			t.Errorf("%q is in the output:\n%s", secret, out.String())
		}
	}
	// The same secrets in bad values.
	for _, env := range [][]string{
		{"SLUICE_MASTER_KEY=" + testKey + "!"}, {"SLUICE_MASTER_KEY=" + testKey[:20]},
		{"SLUICE_PUBLIC_URL=https://admin:" + testPassword + "@q.example.com"},
		{"SLUICE_PUBLIC_URL=https://admin:" + testPassword + "@q.example.com:port"},
		{"SLUICE_EGRESS_PROXY=http://admin:" + testPassword + "@proxy.example.com"},
		{"SLUICE_EGRESS_PROXY=socks5://admin:" + testPassword + "@proxy.example.com:1080"},
	} {
		_, err := LoadConfig(nil, env)
		if !errors.Is(err, ErrUsage) || strings.Contains(err.Error(), testPassword) || strings.Contains(err.Error(), testKey[:20]) {
			t.Errorf("%s: err = %v, want ErrUsage without the value", env, err)
		}
	}
}

func TestWarnings(t *testing.T) {
	t.Parallel()
	private := writeConfig(t, "master_key: "+testKey+"\nregion: a\n")
	public := writeConfig(t, "master_key: "+testKey+"\nredis_url: redis://u:p@r\n")
	harmless := writeConfig(t, "region: a\nredis_url: redis://r\n")
	for _, path := range []string{public, harmless} {
		if err := os.Chmod(path, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for _, tt := range []struct {
		name string
		args []string
		env  []string
		want []string // the beginning of each warning
	}{
		{name: "loopback", args: []string{"--listen=localhost:80"}},
		{name: "all addresses", args: []string{"--listen=:8080"}, want: []string{"listen: :8080 is reachable"}},
		{name: "one address", args: []string{"--listen=192.0.2.1:80", "--public-url=http://q"}, want: []string{"listen: "}},
		{name: "behind TLS", args: []string{"--listen=0.0.0.0:8080", "--public-url=https://q.example.com"}},
		{name: "with TLS", args: []string{"--listen=:8443", "--tls-cert=a", "--tls-key=b"}},
		{name: "private file", args: []string{"--config", private}},
		{name: "readable file without secrets", args: []string{"--config", harmless}},
		{name: "readable file", args: []string{"--config", public}, want: []string{"master_key: every user", "redis_url: every user"}},
		{name: "two secrets", args: []string{"--config", private}, env: []string{"SLUICE_MASTER_KEY=x" + testKey[1:]},
			want: []string{"master_key: SLUICE_MASTER_KEY and " + private + " line 1 differ, SLUICE_MASTER_KEY wins"}},
		{name: "one secret twice", args: []string{"--config", private}, env: []string{"SLUICE_MASTER_KEY=" + testKey}},
		{name: "secret as flag", args: []string{"--redis-url=redis://:p@r"}, want: []string{"redis_url: --redis-url shows the secret"}},
		{name: "no secret as flag", args: []string{"--redis-url=redis://r"}},
		{name: "all addresses", args: []string{"--egress-allow=0.0.0.0/0"}, want: []string{"egress_allow: 0.0.0.0/0"}},
		{name: "all proxies", args: []string{"--trusted-proxies=::/0"}, want: []string{"trusted_proxies: ::/0"}},
		{name: "unsafe", args: []string{"--unsafe-redis", "--test-headers", "--redis-url=unix:///r"},
			want: []string{"unsafe_redis: ", "test_headers: "}},
	} {
		got := load(t, tt.args, tt.env).Warnings()
		if len(got) != len(tt.want) {
			t.Errorf("%s: warnings %q, want %q", tt.name, got, tt.want)
			continue
		}
		for i := range got {
			if !strings.HasPrefix(got[i], tt.want[i]) {
				t.Errorf("%s: warning %q, want %q…", tt.name, got[i], tt.want[i])
			}
		}
	}
}

func TestHelpListsEachSettingOnce(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	if err := Help(&out); err != nil {
		t.Fatal(err)
	}
	words := map[string]int{}
	for _, w := range strings.Fields(out.String()) {
		words[w]++
	}
	for _, s := range settings {
		for _, name := range []string{"--" + s.flag(), s.env, s.fileKey()} {
			if name != "" && words[name] != 1 {
				t.Errorf("help has %s %d times", name, words[name])
			}
		}
	}
	for _, arg := range []string{"--help", "-h"} {
		if _, err := LoadConfig([]string{"--region=BAD", arg}, nil); !errors.Is(err, ErrHelp) {
			t.Errorf("%s: err = %v, want ErrHelp", arg, err)
		}
	}
}

func TestPrintConfigShowsValuesWithOrigin(t *testing.T) {
	t.Parallel()
	path := writeConfig(t, "drain_timeout: 60s\n")
	c := load(t, []string{"--print-config", "--config", path, "--metrics-listen=off"}, []string{"SLUICE_REDIS_URL=redis://u:p@r"})
	if !c.PrintAndExit {
		t.Error("--print-config is lost")
	}
	var out bytes.Buffer
	if err := c.PrintConfig(&out); err != nil {
		t.Fatal(err)
	}
	lines := map[string]string{}
	for line := range strings.Lines(out.String()) {
		f := strings.Fields(line)
		lines[f[0]] = strings.Join(f[1:], " ")
	}
	for name, want := range map[string]string{
		"drain_timeout":  "1m file (" + path + " line 1)",
		"metrics_listen": "off flag (--metrics-listen)",
		"redis_url":      "redis://***@r:6379 environment (SLUICE_REDIS_URL)",
		"master_key":     "- default",
		"durability":     "any default",
	} {
		if lines[name] != want {
			t.Errorf("%s: %q, want %q", name, lines[name], want)
		}
	}
}

// A name that breaks the pattern is hard to guess. The one that does is shorter than its key.
func TestNamesFollowOnePattern(t *testing.T) {
	t.Parallel()
	for _, s := range settings {
		want := envPrefix + strings.ToUpper(s.name)
		if s.env != "" && s.env != want && s.env != "SLUICE_MAX_REQUESTS" {
			t.Errorf("variable of %s = %s, want %s", s.name, s.env, want)
		}
	}
}

// The table in docs/configuration.md stands between two comments; the rest of the page is written by hand.
func TestDocsHaveTheSettings(t *testing.T) {
	t.Parallel()
	const path, begin, end = "../docs/configuration.md", "<!-- settings: begin -->\n", "<!-- settings: end -->\n"
	page, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, ok1 := strings.Cut(string(page), begin)
	got, after, ok2 := strings.Cut(rest, end)
	if !ok1 || !ok2 {
		t.Fatalf("%s lacks %q or %q", path, begin, end)
	}
	want := markdownTable()
	if *update {
		if err := os.WriteFile(path, []byte(before+begin+want+end+after), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s is stale; run go test ./server -run TestDocs -update (-want +got):\n%s", path, diff)
	}
}

// Whatever a file holds, reading it ends in a valid configuration or in an ErrUsage.
func FuzzConfigFile(f *testing.F) {
	for _, seed := range []string{"region: a\n", "region: a\nregion: b\n", "a: &a [*a]\n", "? [a]\n: b\n", "<<: {}\n", "--- !!null\n"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		c, err := LoadConfig([]string{"--config", writeConfig(t, text)}, nil)
		if err != nil && !errors.Is(err, ErrUsage) || err == nil && c.Validate() != nil {
			t.Errorf("LoadConfig: %v; Validate: %v", err, c.Validate())
		}
	})
}
