package handlers

import (
	"context"
	"net/http"

	"github.com/labstack/echo/v4"

	"github.com/sluicemq/sluice/internal/logtail"
)

// Host tells of the server that runs the API.
type Host interface {
	// System says what it is and how it was set up, without secrets.
	System(ctx context.Context) (System, error)
	// Examine looks whether something is wrong. It changes nothing. nameless findings name nothing that is a tenant's. It fails
	// while others look.
	Examine(ctx context.Context, nameless bool) ([]Finding, error)
	// FollowLog follows what it logs, behind the line with this cursor where it is not "". The error is logtail.ErrCursor.
	FollowLog(cursor string) (*logtail.Follower, error)
	// Metrics are what it counts, in the text format of Prometheus.
	Metrics() (string, error)
}

// System is the server that answers, and what it runs on.
type System struct {
	Version   string  `json:"version" example:"1.0.0"`
	GoVersion string  `json:"go_version" example:"go1.26.8"`
	Platform  string  `json:"platform" example:"linux/amd64"`
	StartedAt Instant `json:"started_at" swaggertype:"string" format:"date-time"`
	// What stores everything: `redis`, or `redis-server`, `valkey-server` or `memory` where the server runs that itself.
	Engine       string `json:"engine" example:"redis-server"`
	RedisVersion string `json:"redis_version" example:"7.0.15"`
	// What an acknowledged write survives: `memory`, `everysec`, `fsync`, `replicated` or `replicated+fsync`.
	Durability string `json:"durability" example:"fsync"`
	// It was read from the storage itself.
	DurabilityVerified bool `json:"durability_verified" example:"true"`
	// The masters of Redis, by their addresses; none for `memory`, which has no limit of its own.
	Nodes []StorageNode `json:"nodes"`
	// When the certificate of the listener ends. Null: it speaks plain HTTP.
	CertificateExpiresAt *Instant `json:"certificate_expires_at" swaggertype:"string" format:"date-time" extensions:"x-nullable"`
	// All settings, as `sluice serve --print-config` shows them.
	Settings []Setting `json:"settings"`
}

// StorageNode is a Redis that stores messages.
type StorageNode struct {
	Address string `json:"address" example:"127.0.0.1:6379"`
	// Bytes of memory.
	Used int64 `json:"used" example:"734003200"`
	// Where it takes no more: sends are refused from 85 % of it on. 0: it has no limit.
	Limit int64 `json:"limit" example:"4294967296"`
}

// Setting is one setting of a server.
type Setting struct {
	Name string `json:"name" example:"listen"`
	// Its value as text; `***` for a secret, empty for none.
	Value string `json:"value" example:"127.0.0.1:8080"`
	// What has set it.
	Origin string `json:"origin" enums:"default,file,environment,flag" example:"environment"`
	// The flag, the variable, or the file and its line; empty for a default.
	Where string `json:"where" example:"SLUICE_LISTEN"`
}

// Verdict is what is thought of one thing.
type Verdict string

// The verdicts, from good to bad.
const (
	VerdictOK   Verdict = "ok"
	VerdictWarn Verdict = "warn" // worth a look
	VerdictFail Verdict = "fail" // messages are refused, or in danger
)

// Finding is what was found of one thing.
type Finding struct {
	Check string `json:"check" example:"memory"`
	// `ok`; `warn`: worth a look; `fail`: messages are refused, or in danger.
	Verdict Verdict `json:"verdict" swaggertype:"string" enums:"ok,warn,fail" example:"warn"`
	Detail  string  `json:"detail" example:"127.0.0.1:6379 uses 12 MiB and has no limit"`
	// What to do; only where something is not well.
	Fix string `json:"fix,omitempty" example:"Set maxmemory: otherwise the system ends Redis when memory runs out."`
	// The page of the documentation that explains it.
	Docs string `json:"docs" example:"docs/operations.md#room"`
}

// Examination is what a server found when it looked at itself.
type Examination struct {
	ExaminedAt Instant   `json:"examined_at" swaggertype:"string" format:"date-time"`
	Findings   []Finding `json:"findings"`
}

// SupportBundle is what helps others to find out what is wrong. It has no secrets, no messages and no names of tenants or of
// what is theirs: their ids stand there instead.
type SupportBundle struct {
	// Of this document.
	Format int     `json:"format" example:"1"`
	MadeAt Instant `json:"made_at" swaggertype:"string" format:"date-time"`
	System System  `json:"system"`
	// As `GET /v1/system/doctor` has them, with ids in the place of names.
	Findings []Finding `json:"findings"`
	// What this server counts, in the text format of Prometheus.
	Metrics string `json:"metrics" example:"sluice_ready 1"`
}

// bundleFormat is another number when a reader of bundles has to change.
const bundleFormat = 1

// getSystem shows what the server is and how it was set up.
//
//	@Summary		Get the server and its settings
//	@Description	Of the server that answers; others of the same installation may be set up otherwise. Secrets are `***`.
//	@ID				getSystem
//	@Tags			operators
//	@Success		200	{object}	System	"The server"
//	@Failure		400	{object}	Problem	"The request is malformed"
//	@Failure		415	{object}	Problem	"The request has a Content-Encoding"
//	@Failure		422	{object}	Problem	"A value is not allowed"
//	@Router			/v1/system [get]
func (a *API) getSystem(c echo.Context) error {
	if _, err := readQuery(c); err != nil {
		return err
	}
	s, err := a.Host.System(c.Request().Context())
	if err != nil {
		return err
	}
	return a.json(c, http.StatusOK, s)
}

// examineSystem looks whether something is wrong.
//
//	@Summary		Look for what is wrong
//	@Description	What `sluice doctor` looks at, as the server that answers sees it: its settings and files, its way to webhooks, Redis with its durability, memory, disk and clock, the data set, and the first 100 queues that have at most 10,000 messages each. It changes nothing, and takes 30 seconds at most; one that comes while another is under way waits for it, for 20 seconds at most (503 `overloaded`).
//	@ID				examineSystem
//	@Tags			operators
//	@Success		200	{object}	Examination	"What was found"
//	@Failure		400	{object}	Problem		"The request is malformed"
//	@Failure		415	{object}	Problem		"The request has a Content-Encoding"
//	@Failure		422	{object}	Problem		"A value is not allowed"
//	@Router			/v1/system/doctor [get]
func (a *API) examineSystem(c echo.Context) error {
	if _, err := readQuery(c); err != nil {
		return err
	}
	found, err := a.Host.Examine(c.Request().Context(), false)
	if err != nil {
		return err
	}
	return a.json(c, http.StatusOK, Examination{ExaminedAt: Instant{a.Clock.Now()}, Findings: found})
}

// getSupportBundle shows what helps others to find out what is wrong.
//
//	@Summary		Get a support bundle
//	@Description	One JSON document to read and then to give to whoever helps: the server with its settings, what it found when it looked at itself, and what it counts. Secrets are `***`. No message is in it, and no name of a tenant or of what is a tenant's: their ids stand there instead.
//	@ID				getSupportBundle
//	@Tags			operators
//	@Success		200	{object}	SupportBundle	"The bundle"
//	@Failure		400	{object}	Problem			"The request is malformed"
//	@Failure		415	{object}	Problem			"The request has a Content-Encoding"
//	@Failure		422	{object}	Problem			"A value is not allowed"
//	@Router			/v1/system/support_bundle [get]
func (a *API) getSupportBundle(c echo.Context) error {
	if _, err := readQuery(c); err != nil {
		return err
	}
	counted, err := a.Host.Metrics()
	if err != nil {
		return err
	}
	s, err := a.Host.System(c.Request().Context())
	if err != nil {
		return err
	}
	found, err := a.Host.Examine(c.Request().Context(), true)
	if err != nil {
		return err
	}
	return a.json(c, http.StatusOK, SupportBundle{Format: bundleFormat, MadeAt: Instant{a.Clock.Now()}, System: s, Findings: found, Metrics: counted})
}
