package server

import (
	"errors"
	"fmt"
	"net/url"
	"strings"

	"github.com/sluicemq/sluice/internal/addr"
	"github.com/sluicemq/sluice/internal/mail"
)

// maxContact bounds the contact, in bytes: each answer of whoami has it.
const maxContact = 2000

var errContact = errors.New("must be an e-mail address such as ops@example.com, or the address of a form or a chat such as " +
	"https://help.example.com/limits, http or https and without a user")

func checkContact(c Config) error {
	_, err := contactURL(c.Contact)
	return err
}

// contactURL returns where a browser goes that follows the contact: a mailto:, https: or http: URL, or "" for none. Its errors do not
// repeat text, because people paste addresses with passwords.
func contactURL(text string) (string, error) {
	if text == "" {
		return "", nil
	}
	if len(text) > maxContact {
		return "", fmt.Errorf("must have at most %d bytes", maxContact)
	}
	if mail.ValidAddress(text) {
		name, domain, _ := strings.Cut(text, "@")
		if !addr.IsHost(domain) {
			return "", errContact
		}
		return "mailto:" + url.QueryEscape(name) + "@" + domain, nil // a name may have what means something in URLs, such as & and ?
	}
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || !addr.IsHost(u.Hostname()) || u.Port() != "" && !addr.IsPort(u.Port(), 1) || u.User != nil ||
		strings.ContainsFunc(text, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return "", errContact
	}
	return u.String(), nil
}
