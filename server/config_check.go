package server

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"path"
	"regexp"
	"slices"
	"strings"
	"unicode"

	"github.com/sluicemq/sluice/internal/addr"
	"github.com/sluicemq/sluice/internal/mail"
)

// maxNetworks bounds the list that every request is compared with.
const maxNetworks = 256

var (
	regionPattern = regexp.MustCompile(`^[a-z0-9-]{1,32}$`)
	// subPathPattern leaves out everything that needs escapes, which proxies and routers read in different ways.
	subPathPattern = regexp.MustCompile(`^(/[A-Za-z0-9._-]+)+$`)

	errPublicURL = errors.New("must be an http or https address such as https://queues.example.com, " +
		"without user, query or fragment")
)

func checkListen(c Config) error { return checkAddress(c.Listen) }

func checkMetricsListen(c Config) error {
	if c.MetricsListen == "" {
		return nil
	}
	if err := checkAddress(c.MetricsListen); err != nil {
		return err
	}
	if c.MetricsListen == c.Listen && !strings.HasSuffix(c.Listen, ":0") {
		return fmt.Errorf("must differ from listen, %s", c.Listen)
	}
	return nil
}

func checkAddress(place string) error {
	host, port, err := net.SplitHostPort(place)
	if err != nil || host != "" && !addr.IsHost(host) || !addr.IsPort(port, 0) {
		return fmt.Errorf("must be host:port such as 127.0.0.1:8080, or :8080 for all addresses, not %q", place)
	}
	return nil
}

func checkSMTPFrom(c Config) error {
	switch {
	case c.SMTP.Host != "" && c.SMTPFrom == "":
		return errors.New("must be set with smtp_url: the address that letters come from")
	case c.SMTPFrom != "" && c.SMTP.Host == "":
		return errors.New("needs smtp_url, the mail server")
	case c.SMTPFrom != "" && !mail.ValidAddress(c.SMTPFrom):
		return fmt.Errorf("must be an address such as sluice@example.com, not %q", c.SMTPFrom)
	}
	return nil
}

func checkTLS(c Config) error {
	switch {
	case c.TLSCert != "" && c.TLSKey == "":
		return errors.New("needs tls_key, the file with its key")
	case c.TLSCert == "" && c.TLSKey != "":
		return errors.New("must be set with tls_key: the file with the certificate")
	}
	return nil
}

func checkPublicURL(c Config) error {
	u := c.PublicURL
	if u == nil {
		return nil
	}
	if u.Scheme != "http" && u.Scheme != "https" || !addr.IsHost(u.Hostname()) || u.Port() != "" && !addr.IsPort(u.Port(), 1) ||
		u.User != nil || u.RawQuery != "" || u.ForceQuery || u.Fragment != "" {
		return errPublicURL
	}
	if u.Path != "" && (!subPathPattern.MatchString(u.Path) || u.Path != path.Clean(u.Path)) {
		return errors.New("must have a path of letters, digits, dots, dashes and underscores, such as /queues")
	}
	return nil
}

func checkTrustedProxies(c Config) error { return checkNetworks(c.TrustedProxies) }

func checkEgressAllow(c Config) error { return checkNetworks(c.EgressAllow) }

// maxIssuers bounds the identity providers: each of them may speak for every tenant.
const maxIssuers = 8

func checkOIDCIssuers(c Config) error {
	switch {
	case len(c.OIDCIssuers) == 0:
		return nil
	case c.OIDCAudience == "":
		return errors.New("needs oidc_audience: without it a token that was made for anybody would be taken")
	case len(c.OIDCIssuers) > maxIssuers:
		return fmt.Errorf("must be at most %d addresses, not %d", maxIssuers, len(c.OIDCIssuers))
	}
	for i, issuer := range c.OIDCIssuers {
		u, err := url.Parse(issuer)
		if err != nil || !addr.IsHost(u.Hostname()) || u.Port() != "" && !addr.IsPort(u.Port(), 1) || u.User != nil || u.RawQuery != "" || u.ForceQuery || u.Fragment != "" {
			return errors.New("must be addresses such as https://login.example.com, without user, query or fragment, with commas between")
		}
		if u.Scheme != "https" && (u.Scheme != "http" || !c.EgressAllowHTTP) {
			return errors.New("must be https addresses; http:// takes egress_allow_http, and lets whoever is on the way make tokens")
		}
		if slices.Contains(c.OIDCIssuers[:i], issuer) {
			return fmt.Errorf("names %s twice", issuer)
		}
	}
	return nil
}

func checkOIDCAudience(c Config) error {
	switch {
	case c.OIDCAudience != "" && len(c.OIDCIssuers) == 0:
		return errors.New("needs oidc_issuers")
	case len(c.OIDCAudience) > maxClaim:
		return fmt.Errorf("must have at most %d bytes", maxClaim)
	}
	return nil
}

// noClient stands in a list for a provider that has none of what is listed.
const noClient = "-"

// checkOIDCClients holds a list to that of the providers.
func checkOIDCClients(c Config, list []string) error {
	switch {
	case len(list) == 0:
		return nil
	case len(list) != len(c.OIDCIssuers):
		return fmt.Errorf("must have one for each of oidc_issuers, with commas between: %d, not %d", len(c.OIDCIssuers), len(list))
	case slices.ContainsFunc(list, func(s string) bool { return s == "" || len(s) > maxClaim || strings.ContainsFunc(s, unicode.IsControl) }):
		return fmt.Errorf("must have 1 to %d bytes for each of oidc_issuers, without control characters", maxClaim)
	}
	return nil
}

// checkOIDCClientSecrets repeats none in its error.
func checkOIDCClientSecrets(c Config) error {
	if len(c.OIDCClientSecrets) > 0 && len(c.OIDCClientIDs) == 0 {
		return errors.New("needs oidc_client_id")
	}
	return checkOIDCClients(c, c.OIDCClientSecrets)
}

func checkOIDCScopes(c Config) error {
	if len(c.OIDCScopes) > maxClaim || !slices.Contains(strings.Fields(c.OIDCScopes), "openid") || strings.ContainsFunc(c.OIDCScopes, func(r rune) bool { return r < ' ' || r > '~' }) {
		return fmt.Errorf("must be scopes such as \"openid profile\", of at most %d bytes, with openid among them", maxClaim)
	}
	return nil
}

// maxClaim bounds the name of a claim and an audience, in bytes.
const maxClaim = 255

func checkClaim(name string) error {
	switch {
	case name == "" || len(name) > maxClaim:
		return fmt.Errorf("must be the name of a claim, of 1 to %d bytes", maxClaim)
	case slices.Contains([]string{"iss", "sub", "aud", "exp", "nbf", "iat", "jti"}, name):
		return fmt.Errorf("must not be %s, which every token has for something else", name)
	}
	return nil
}

func checkNetworks(list []netip.Prefix) error {
	if len(list) > maxNetworks {
		return fmt.Errorf("must be at most %d networks, not %d", maxNetworks, len(list))
	}
	for _, p := range list {
		if p != p.Masked() {
			return fmt.Errorf("has %s, which is an address inside a network: write %s", p, p.Masked())
		}
	}
	return nil
}

func checkDataDir(c Config) error {
	if c.DataDir == "" || strings.ContainsRune(c.DataDir, 0) {
		return errors.New("must be a directory")
	}
	return nil
}

func checkRegion(c Config) error {
	if !regionPattern.MatchString(c.Region) {
		return fmt.Errorf("must be 1 to 32 of a-z, 0-9 and dash, not %q", c.Region)
	}
	return nil
}

func checkRequireDurable(c Config) error {
	if c.RequireDurable && c.Durability == "memory" {
		return errors.New("contradicts durability: memory")
	}
	return nil
}

// checkTestHeaders keeps the headers, which tell one tenant about the pace of others, away from shared installations.
func checkTestHeaders(c Config) error {
	if c.TestHeaders && !c.RedisURL.IsZero() && !c.RedisURL.IsLoopback() {
		return errors.New("is for tests and needs a Redis on a loopback address or a unix socket")
	}
	return nil
}
