package server

import (
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/sluicemq/sluice/internal/addr"
	"github.com/sluicemq/sluice/internal/egress"
	"github.com/sluicemq/sluice/internal/mail"
)

// hidden stands in the place of a secret.
const hidden = "***"

// minKeyBytes is the least length of a master key: the output length of the SHA-256 that derives the others from it.
const minKeyBytes = 32

// SecretKey is a binary secret that users write in base64. It prints as ***.
type SecretKey []byte

// UnmarshalText reads base64, standard or URL-safe, with or without padding. Its errors do not repeat the text.
func (k *SecretKey) UnmarshalText(text []byte) error {
	s := strings.NewReplacer("-", "+", "_", "/").Replace(strings.TrimRight(string(text), "="))
	b, err := base64.RawStdEncoding.DecodeString(s)
	if err != nil {
		return fmt.Errorf("must be base64 of at least %d random bytes, such as `openssl rand -base64 32` prints", minKeyBytes)
	}
	*k = nil
	if len(b) > 0 {
		*k = b
	}
	return nil
}

func (k SecretKey) check() error {
	switch {
	case len(k) == 0:
		return nil
	case len(k) < minKeyBytes:
		return fmt.Errorf("has %d bytes and needs at least %d: make one with `openssl rand -base64 32`", len(k), minKeyBytes)
	case strings.Count(string(k), string(k[:1])) == len(k):
		return errors.New("repeats one byte: make one with `openssl rand -base64 32`")
	}
	return nil
}

// String returns *** for a key and "" for none.
func (k SecretKey) String() string {
	if len(k) == 0 {
		return ""
	}
	return hidden
}

// Format prints String for every verb, because %x and %d would pass a mere String by.
func (k SecretKey) Format(f fmt.State, _ rune) { io.WriteString(f, k.String()) }

// MarshalText keeps the key out of JSON and of slog.
func (k SecretKey) MarshalText() ([]byte, error) { return []byte(k.String()), nil }

// SecretList are secrets. It prints as ***.
type SecretList []string

// String returns *** for some and "" for none.
func (l SecretList) String() string {
	if len(l) == 0 {
		return ""
	}
	return hidden
}

// Format prints String for every verb.
func (l SecretList) Format(f fmt.State, _ rune) { io.WriteString(f, l.String()) }

// MarshalText keeps the secrets out of JSON and of slog.
func (l SecretList) MarshalText() ([]byte, error) { return []byte(l.String()), nil }

// parseValue reads raw into field, which is a pointer of one of the types listed here. It leaves *field alone when it
// returns an error. Errors continue the sentence that begins with the setting's name.
func parseValue(field any, raw string) error {
	switch p := field.(type) {
	case *string:
		*p = raw
		return nil
	case *bool:
		return set(p, raw, strconv.ParseBool, "true or false")
	case *int:
		return set(p, raw, strconv.Atoi, "a whole number")
	case *time.Duration:
		return set(p, raw, parseDuration, "a duration such as 30s, 5m or 1h")
	case *slog.Level:
		return p.UnmarshalText([]byte(raw))
	case **url.URL:
		return parsePublicURL(p, raw)
	case *[]netip.Prefix:
		return parsePrefixes(p, raw)
	case *[]string:
		*p = parseList(raw)
		return nil
	case *SecretList:
		*p = parseList(raw)
		return nil
	case *SecretKey:
		return p.UnmarshalText([]byte(raw))
	case *addr.Redis:
		return p.UnmarshalText([]byte(raw))
	case *egress.Proxy:
		return p.UnmarshalText([]byte(raw))
	case *mail.Server:
		return p.UnmarshalText([]byte(raw))
	}
	panic(fmt.Sprintf("no way to read a %T", field))
}

func parseList(raw string) (list []string) {
	if raw == "" {
		return nil
	}
	for part := range strings.SplitSeq(raw, ",") {
		list = append(list, strings.TrimSpace(part))
	}
	return list
}

func set[T any](p *T, raw string, parse func(string) (T, error), accepted string) error {
	v, err := parse(raw)
	if err != nil {
		return fmt.Errorf("must be %s, not %q", accepted, raw)
	}
	*p = v
	return nil
}

// parseDuration is time.ParseDuration without the bare zero, the only number which that takes without a unit.
func parseDuration(raw string) (time.Duration, error) {
	if _, err := strconv.ParseFloat(raw, 64); err == nil {
		return 0, errors.New("no unit")
	}
	return time.ParseDuration(raw)
}

// parsePublicURL does not repeat raw in its error, because people paste addresses with passwords.
func parsePublicURL(p **url.URL, raw string) error {
	if raw == "" {
		*p = nil
		return nil
	}
	u, err := url.Parse(raw)
	if err != nil {
		return errPublicURL
	}
	u.Path = strings.TrimSuffix(u.Path, "/")
	*p = u
	return nil
}

func parsePrefixes(p *[]netip.Prefix, raw string) error {
	if raw == "" {
		*p = nil
		return nil
	}
	var all []netip.Prefix
	for part := range strings.SplitSeq(raw, ",") {
		prefix, err := parsePrefix(strings.TrimSpace(part))
		if err != nil {
			return fmt.Errorf("must be networks such as 10.0.0.0/8 or 2001:db8::/32 with commas between, not %q", part)
		}
		all = append(all, prefix)
	}
	*p = all
	return nil
}

// parsePrefix takes a single address for the network that holds only it.
func parsePrefix(s string) (netip.Prefix, error) {
	if a, err := netip.ParseAddr(s); err == nil && a.Zone() == "" {
		return a.Unmap().Prefix(a.Unmap().BitLen())
	}
	return netip.ParsePrefix(s)
}

// valueText is the inverse of parseValue, but for secrets, which it hides.
func valueText(field any) string {
	switch p := field.(type) {
	case *string:
		return *p
	case *bool:
		return strconv.FormatBool(*p)
	case *int:
		return strconv.Itoa(*p)
	case *time.Duration:
		return durationText(*p)
	case *slog.Level:
		return strings.ToLower(p.String())
	case **url.URL:
		if *p == nil {
			return ""
		}
		return (*p).Redacted()
	case *[]string:
		return strings.Join(*p, ",")
	case *[]netip.Prefix:
		parts := make([]string, len(*p))
		for i, prefix := range *p {
			parts[i] = prefix.String()
		}
		return strings.Join(parts, ",")
	case *SecretKey:
		return p.String()
	case *SecretList:
		return p.String()
	case *addr.Redis:
		return p.String()
	case *egress.Proxy:
		return p.String()
	case *mail.Server:
		return p.String()
	}
	panic(fmt.Sprintf("no way to print a %T", field))
}

// durationText prints 10m and not 10m0s.
func durationText(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

func isList(field any) bool {
	switch field.(type) {
	case *[]netip.Prefix, *[]string, *SecretList:
		return true
	}
	return false
}

// checkRange holds numbers and durations to their bounds; other types have none.
func checkRange(field any, least, most int64) error {
	var v int64
	switch p := field.(type) {
	case *int:
		v = int64(*p)
	case *time.Duration:
		v = int64(*p)
	default:
		return nil
	}
	if v < least || v > most {
		lo, hi := rangeText(field, least, most)
		return fmt.Errorf("must be from %s to %s, not %s", lo, hi, valueText(field))
	}
	return nil
}

func rangeText(field any, least, most int64) (lo, hi string) {
	if _, ok := field.(*time.Duration); ok {
		return durationText(time.Duration(least)), durationText(time.Duration(most))
	}
	return strconv.FormatInt(least, 10), strconv.FormatInt(most, 10)
}

// base64 returns the key as the keyring reads it, and "" for none.
func (k SecretKey) base64() string {
	if len(k) == 0 {
		return ""
	}
	return base64.StdEncoding.EncodeToString(k)
}
