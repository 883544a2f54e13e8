package handlers

import (
	"maps"
	"net/http"
	"slices"

	"github.com/sluicemq/sluice/topics/webhook"
)

// WebhookAuth is by what a webhook proves to its endpoint who it is, beside the signature. Password, token and the client's secret
// are stored encrypted and not shown again: *** stands for them, and given back it keeps what is there.
type WebhookAuth struct {
	Type string `json:"type" enums:"basic,bearer,oauth2"`
	// Of basic.
	Username string `json:"username,omitempty" validate:"omitempty,max=256" example:"sluice"`
	// Of basic.
	Password string `json:"password,omitempty" validate:"omitempty,max=4096" example:"***"`
	// Of bearer.
	Token string `json:"token,omitempty" validate:"omitempty,max=4096" example:"***"`
	// Of oauth2: where tokens are got, by the client credentials grant of OAuth 2.0.
	TokenURL     string `json:"token_url,omitempty" validate:"omitempty,max=2048" example:"https://id.example.com/oauth/token"`
	ClientID     string `json:"client_id,omitempty" validate:"omitempty,max=256" example:"sluice"`
	ClientSecret string `json:"client_secret,omitempty" validate:"omitempty,max=4096" example:"***"`
	// Of oauth2: what is asked for. Default: what the client has by itself.
	Scope string `json:"scope,omitempty" validate:"omitempty,max=1024" example:"hooks"`
	// Of oauth2: for whom the token is, where the token URL wants to know.
	Audience string `json:"audience,omitempty" validate:"omitempty,max=1024" example:"https://api.example.com"`
}

// webhookHeaders reads the headers of an endpoint as changes of them, so that a patch may speak of some only.
func (r *reader) webhookHeaders(add func(func(*webhook.Endpoint))) {
	seen := map[string]bool{}
	r.members(func(key []byte) {
		name := http.CanonicalHeaderKey(string(key))
		if seen[name] {
			r.fault("not_allowed", "stands twice, in different spellings")
		}
		seen[name] = true
		if r.null() {
			add(func(e *webhook.Endpoint) { e.DropHeader(name) })
		} else if s, ok := r.str(); ok {
			value := webhook.Hidden{Plain: string(s)}
			add(func(e *webhook.Endpoint) { e.SetHeader(name, value) })
		}
	})
}

// authMembers are the members of WebhookAuth beside the type, by the type that they belong to.
var authMembers = map[string]webhook.AuthType{
	"username": webhook.Basic, "password": webhook.Basic, "token": webhook.Bearer,
	"token_url": webhook.OAuth2, "client_id": webhook.OAuth2, "client_secret": webhook.OAuth2, "scope": webhook.OAuth2, "audience": webhook.OAuth2,
}

// webhookAuth reads a WebhookAuth.
func (r *reader) webhookAuth() *webhook.Auth {
	a := &webhook.Auth{}
	into := map[string]*string{"type": (*string)(&a.Type), "username": &a.Username, "password": &a.Secret.Plain, "token": &a.Secret.Plain,
		"token_url": &a.TokenURL, "client_id": &a.ClientID, "client_secret": &a.Secret.Plain, "scope": &a.Scope, "audience": &a.Audience}
	var given []string
	r.object(slices.Sorted(maps.Keys(into)), func(key []byte) {
		name := string(key)
		to := into[name]
		if to == nil {
			return
		}
		if s, ok := r.str(); ok {
			*to = string(s)
			given = append(given, name)
		}
	})
	if a.Type != webhook.Basic && a.Type != webhook.Bearer && a.Type != webhook.OAuth2 {
		r.fault("not_allowed", "has a type, which must be %s, %s or %s", webhook.Basic, webhook.Bearer, webhook.OAuth2)
		return a
	}
	for _, name := range given {
		if of := authMembers[name]; name != "type" && of != a.Type {
			r.fault("not_allowed", "has a member %s, which is for %s", name, of)
		}
	}
	return a
}

func shownHeaders(list []webhook.Header) map[string]string {
	if len(list) == 0 {
		return nil
	}
	out := make(map[string]string, len(list))
	for _, h := range list {
		out[h.Name] = webhook.Masked
	}
	return out
}

func shownAuth(a *webhook.Auth) *WebhookAuth {
	if a == nil {
		return nil
	}
	out := &WebhookAuth{Type: string(a.Type), Username: a.Username, TokenURL: a.TokenURL, ClientID: a.ClientID, Scope: a.Scope, Audience: a.Audience}
	switch a.Type {
	case webhook.Basic:
		out.Password = webhook.Masked
	case webhook.OAuth2:
		out.ClientSecret = webhook.Masked
	default:
		out.Token = webhook.Masked
	}
	return out
}
