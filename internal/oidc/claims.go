package oidc

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// claims are what a token says, by name. They are read strictly: a name stands there once, and a time is a number.
type claims struct {
	all map[string]json.RawMessage
}

var (
	errTwice = errors.New("a claim stands there twice")
	strict   = base64.RawURLEncoding.Strict()
)

// decodeClaims reads the part of a token between its dots.
func decodeClaims(part string) (c claims, err error) {
	raw, err := strict.DecodeString(part)
	if err == nil {
		err = c.UnmarshalJSON(raw)
	}
	return c, err
}

// UnmarshalJSON reads a JSON object.
func (c *claims) UnmarshalJSON(raw []byte) error {
	d := json.NewDecoder(bytes.NewReader(raw))
	if begin, err := d.Token(); err != nil || begin != json.Delim('{') {
		return fmt.Errorf("claims are no object: %w", err)
	}
	c.all = map[string]json.RawMessage{}
	for d.More() {
		name, err := d.Token()
		if err != nil {
			return err
		}
		var value json.RawMessage
		if err := d.Decode(&value); err != nil {
			return err
		}
		if _, there := c.all[name.(string)]; there {
			return errTwice
		}
		c.all[name.(string)] = value
	}
	_, err := d.Token()
	return err
}

// text returns a claim that is text, and "" for any other.
func (c *claims) text(name string) string {
	var s *string
	if json.Unmarshal(c.all[name], &s) != nil || s == nil {
		return ""
	}
	return *s
}

// texts returns a claim that is text or a list of texts, and nothing for any other.
func (c *claims) texts(name string) []string {
	if s := c.text(name); s != "" {
		return []string{s}
	}
	var list []string
	if json.Unmarshal(c.all[name], &list) != nil {
		return nil
	}
	return list
}

// Text returns a claim that is text, and "" for any other.
func (t *Token) Text(name string) string { return t.claims.text(name) }

// Texts returns a claim that is text or a list of texts, and nothing for any other.
func (t *Token) Texts(name string) []string { return t.claims.texts(name) }

// latest is a time behind all that a token may name, so that no sum of times overflows.
const latest = 1 << 36 // seconds since 1970

func (c *claims) time(name string) (*jwt.NumericDate, error) {
	raw, there := c.all[name]
	if !there {
		return nil, nil
	}
	var seconds *float64
	if json.Unmarshal(raw, &seconds) != nil || seconds == nil || *seconds < 0 || *seconds > latest {
		return nil, jwt.ErrInvalidType
	}
	whole, part := math.Modf(*seconds)
	return jwt.NewNumericDate(time.Unix(int64(whole), int64(part*1e9))), nil
}

// GetExpirationTime returns exp, as jwt.Claims wants it; so do those below.
func (c *claims) GetExpirationTime() (*jwt.NumericDate, error) { return c.time("exp") }

// GetIssuedAt returns iat.
func (c *claims) GetIssuedAt() (*jwt.NumericDate, error) { return c.time("iat") }

// GetNotBefore returns nbf.
func (c *claims) GetNotBefore() (*jwt.NumericDate, error) { return c.time("nbf") }

// GetIssuer returns iss.
func (c *claims) GetIssuer() (string, error) { return c.text("iss"), nil }

// GetSubject returns sub.
func (c *claims) GetSubject() (string, error) { return c.text("sub"), nil }

// GetAudience returns aud.
func (c *claims) GetAudience() (jwt.ClaimStrings, error) {
	list := c.texts("aud")
	if _, there := c.all["aud"]; there && list == nil {
		return nil, jwt.ErrInvalidType
	}
	return list, nil
}
