package tenants

import (
	"crypto/rand"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/sluicemq/sluice/internal/errs"
)

const (
	// MaxLabels bounds the labels of a tenant. All together they have at most 16 KiB.
	MaxLabels = 50
	// MaxLabelKey bounds the name of a label, in bytes.
	MaxLabelKey = 63
	// MaxLabelValue bounds the value of a label, in bytes.
	MaxLabelValue = 255
	// MaxNotes bounds what operators note of a tenant, in bytes.
	MaxNotes = 4096
	// MaxReason bounds the reason of a suspension, in bytes.
	MaxReason = 255

	// Default is the name of the tenant that a new installation has.
	Default = "default"
	// DefaultAccount is the account number of that tenant.
	DefaultAccount = "000000000000"

	maxName = 63
)

var (
	namePattern    = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,62}$`)
	accountPattern = regexp.MustCompile(`^[0-9]{12}$`)
	labelPattern   = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._/-]{0,62}$`)
)

// checkName refuses what is no name, with the rule and, where it can be guessed, the name that was meant.
func checkName(name string) error {
	if namePattern.MatchString(name) {
		return nil
	}
	err := errs.Invalidf("/name",
		"a tenant's name has 1 to 63 characters of a-z, 0-9 and -, the first of them not -; got %s", quote(name))
	if meant := meantName(name); meant != "" {
		return err.WithFix("Did you mean %q?", meant)
	}
	return err
}

// meantName returns a valid name close to an invalid one, or "".
func meantName(name string) string {
	if len(name) > maxName {
		return ""
	}
	meant := strings.Map(func(r rune) rune {
		if r == '_' || r == '.' || unicode.IsSpace(r) {
			return '-'
		}
		return unicode.ToLower(r)
	}, strings.TrimSpace(name))
	meant = strings.TrimLeft(meant, "-")
	if !namePattern.MatchString(meant) {
		return ""
	}
	return meant
}

// quote shows text of a caller, shortened.
func quote(text string) string {
	const longest = 80
	if utf8.RuneCountInString(text) > longest {
		return fmt.Sprintf("%q…", string([]rune(text)[:longest]))
	}
	return fmt.Sprintf("%q", text)
}

// checkAccount refuses an account number that the tenant name may not have. "" asks for none.
func checkAccount(name, account string) error {
	switch {
	case account == "":
		return nil
	case !accountPattern.MatchString(account):
		return errs.Invalidf("/account_number", "an account number has 12 digits; got %s", quote(account))
	case name == Default && account != DefaultAccount:
		return errs.Invalidf("/account_number", "the account number of the tenant %q is %s", Default, DefaultAccount)
	case name != Default && account == DefaultAccount:
		return errs.Invalidf("/account_number", "the account number %s belongs to the tenant %q", DefaultAccount, Default)
	}
	return nil
}

// newAccount returns the account number of a new tenant that asked for none. It never begins with 0: programs that
// take it for a number would lose that.
func newAccount(name string) string {
	if name == Default {
		return DefaultAccount
	}
	var raw [8]byte
	_, _ = rand.Read(raw[:]) // never fails
	const low, count = 100_000_000_000, 900_000_000_000
	return fmt.Sprint(low + binary.BigEndian.Uint64(raw[:])%count)
}

// encodeLabels checks labels and returns them as JSON, of which equal labels have only one.
func encodeLabels(labels map[string]string) (string, error) {
	if len(labels) > MaxLabels {
		return "", errs.Invalidf("/labels", "at most %d labels are allowed; got %d", MaxLabels, len(labels))
	}
	for key, value := range labels {
		if !labelPattern.MatchString(key) {
			return "", errs.Invalidf("/labels", "a label's name has 1 to %d characters of A-Z, a-z, 0-9 and . _ / -, "+
				"the first of them a letter or digit; got %s", MaxLabelKey, quote(key))
		}
		if len(value) > MaxLabelValue || !utf8.ValidString(value) || strings.ContainsFunc(value, unicode.IsControl) {
			return "", errs.Invalidf("/labels/"+pointerPart(key),
				"a label's value has at most %d bytes of UTF-8 without control characters", MaxLabelValue)
		}
	}
	if len(labels) == 0 {
		return "{}", nil
	}
	text, err := json.Marshal(labels) // sorted by key
	return string(text), err
}

// more is what a record holds of the settings beside the labels.
type more struct {
	Notes  string `json:"notes,omitempty"`
	Plan   string `json:"plan,omitempty"`
	Limits Limits `json:"limits,omitzero"`

	AnySignature bool `json:"any_signature,omitempty"`
}

// encode checks settings and returns them as a record holds them: the labels and the rest, each JSON, of which equal
// settings have only one.
func (set Settings) encode() (labels, rest string, err error) {
	if labels, err = encodeLabels(set.Labels); err != nil {
		return "", "", err
	}
	if len(set.Notes) > MaxNotes || !utf8.ValidString(set.Notes) {
		return "", "", errs.Invalidf("/notes", "notes have at most %d bytes of UTF-8", MaxNotes)
	}
	if err := set.Limits.check("/limits"); err != nil {
		return "", "", err
	}
	text, err := json.Marshal(more{Notes: set.Notes, Plan: set.Plan, Limits: set.Limits, AnySignature: set.AnySignature})
	return labels, string(text), err
}

// settings returns what Put would be given to leave the tenant as it is.
func (t Tenant) settings() Settings {
	return Settings{AccountNumber: t.AccountNumber, Labels: t.Labels, Notes: t.Notes, Plan: t.Plan, Limits: t.Limits, AnySignature: t.AnySignature}
}

// pointerPart escapes one part of a JSON Pointer.
func pointerPart(s string) string { return strings.NewReplacer("~", "~0", "/", "~1").Replace(s) }
