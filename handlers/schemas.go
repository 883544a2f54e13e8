package handlers

import (
	"encoding/json"
	"net/http"
	"strconv"

	"github.com/labstack/echo/v4"

	"github.com/sluicemq/sluice/topics"
)

// TopicSchemas are the versions of a topic's schema.
type TopicSchemas struct {
	// How a new version has to follow the current one: what that one allows it does, too (backward), or the reverse (forward), or both (full).
	Compatibility string `json:"compatibility" enums:"none,backward,forward,full" example:"backward"`
	// The version by which messages are checked; null: they are not.
	Current *int64 `json:"current" extensions:"x-nullable" example:"2"`
	// By number, at most 20.
	Versions []SchemaVersion `json:"versions"`
}

// SchemaVersion is a version of a topic's schema, without the schema.
type SchemaVersion struct {
	// Numbers grow, and none is given again.
	Version int64 `json:"version" example:"2"`
	// Whether messages are checked by it.
	Current bool `json:"current" example:"true"`
	// Bytes of the schema.
	Size      int     `json:"size" example:"112"`
	CreatedAt Instant `json:"created_at" swaggertype:"string" format:"date-time"`
}

// TopicSchema is a version of a topic's schema.
type TopicSchema struct {
	// Numbers grow, and none is given again.
	Version int64 `json:"version" example:"2"`
	// Whether messages are checked by it.
	Current bool `json:"current" example:"true"`
	// Bytes of the schema.
	Size      int     `json:"size" example:"112"`
	CreatedAt Instant `json:"created_at" swaggertype:"string" format:"date-time"`
	// The schema, without the white space that it was given with.
	Schema json.RawMessage `json:"schema" swaggertype:"object"`
}

// SchemaInput is a new version of a topic's schema.
type SchemaInput struct {
	// JSON Schema 2020-12, or what $schema names: 2019-09 or draft-07. At most 64 KiB, 64 levels deep. Every $ref begins with #.
	Schema map[string]any `json:"schema" swaggertype:"object"`
}

// SchemasInput says what to change.
type SchemasInput struct {
	// How a new version has to follow the current one.
	Compatibility string `json:"compatibility,omitempty" enums:"none,backward,forward,full" example:"full"`
	// The version by which messages are checked; null for none.
	Current *int64 `json:"current,omitempty" validate:"min=1" extensions:"x-nullable" example:"1"`
}

// SchemaTest asks what a schema makes of a message.
type SchemaTest struct {
	// A schema that the topic need not have.
	Schema map[string]any `json:"schema,omitempty" swaggertype:"object"`
	// Instead of a schema: a version of the topic's. Default: the current one.
	Version *int64 `json:"version,omitempty" validate:"min=1" example:"2"`
	// The message, as in a batch. Nothing is published.
	Message BatchMessage `json:"message"`
}

// SchemaTested is what a schema makes of a message.
type SchemaTested struct {
	// Whether the message is as the schema says.
	Matched bool `json:"matched" example:"false"`
	// The version of the topic's schema that was asked; null for a schema that was given.
	Version *int64 `json:"version" extensions:"x-nullable" example:"2"`
	// Where the message is not as the schema says: at most 20 places.
	Failures []SchemaFailure `json:"failures"`
}

// SchemaFailure is a place at which a message is not as a schema says.
type SchemaFailure struct {
	// JSON Pointer into the body; empty for all of it.
	Path string `json:"path" example:"/order"`
	// What is wrong there.
	Detail string `json:"detail" example:"is string, must be integer"`
}

// newSchemas returns the versions of a topic's schema for an answer.
func newSchemas(s topics.Schemas) TopicSchemas {
	out := TopicSchemas{Compatibility: string(s.Compatibility), Versions: make([]SchemaVersion, len(s.Versions))}
	if s.Current != 0 {
		out.Current = &s.Current
	}
	for i, v := range s.Versions {
		out.Versions[i] = SchemaVersion{Version: v.Number, Current: v.Number == s.Current, Size: v.Size, CreatedAt: Instant{v.CreatedAt()}}
	}
	return out
}

// getSchemas shows the versions of a topic's schema.
//
//	@Summary		List the versions of a topic's schema
//	@ID				getSchemas
//	@Tags			schemas
//	@Param			topic	path		string			true	"Name of the topic"
//	@Success		200		{object}	TopicSchemas	"The versions"
//	@Failure		400		{object}	Problem			"The request is malformed"
//	@Failure		404		{object}	Problem			"No such topic"
//	@Failure		415		{object}	Problem			"The request has a Content-Encoding"
//	@Failure		422		{object}	Problem			"A value is not allowed"
//	@Router			/v1/topics/{topic}/schemas [get]
func (a *API) getSchemas(c echo.Context) error {
	if _, err := readQuery(c); err != nil {
		return err
	}
	ctx, t, _ := scope(c)
	set, err := a.Topics.GetSchemas(ctx, t, c.Param("topic"))
	if err != nil {
		return a.guessTopic(c, err)
	}
	return a.json(c, http.StatusOK, newSchemas(set))
}

// addSchema adds a version to a topic's schema.
//
//	@Summary		Add a version of a topic's schema
//	@Description	It becomes the current one: from then on messages that are not as it says are refused with 422 `schema_mismatch`, on all servers. What was published before stays.
//	@Description
//	@Description	A version that is not seen to follow the current one as `compatibility` asks for, `backward` unless it was changed, is refused with 409 `schema_incompatible`. The errors name each place and say whether something is `incompatible` there or `not_judged`. To add the current version again changes nothing.
//	@ID				addSchema
//	@Tags			schemas
//	@Accept			json
//	@Param			topic	path		string		true	"Name of the topic"
//	@Param			dry_run	query		bool		false	"Check, and change nothing"	default(false)
//	@Param			schema	body		SchemaInput	true	"The schema"
//	@Success		200		{object}	TopicSchema	"It is the current version already; or, with dry_run, it could be added"
//	@Success		201		{object}	TopicSchema	"Added"
//	@Header			201		{string}	Location	"The new version"
//	@Failure		400		{object}	Problem		"The request is malformed"
//	@Failure		403		{object}	Problem		"The topic has as many versions as it may have"
//	@Failure		404		{object}	Problem		"No such topic"
//	@Failure		408		{object}	Problem		"The body did not arrive in time"
//	@Failure		409		{object}	Problem		"The schema does not follow the current version"
//	@Failure		413		{object}	Problem		"The body is too large"
//	@Failure		415		{object}	Problem		"The body is not JSON"
//	@Failure		422		{object}	Problem		"A value is not allowed, or the schema is none (`schema_invalid`)"
//	@Failure		507		{object}	Problem		"The storage is full"
//	@Router			/v1/topics/{topic}/schemas [post]
func (a *API) addSchema(c echo.Context) error {
	q, err := readQuery(c, "dry_run")
	if err != nil {
		return err
	}
	look, err := q.flag("dry_run")
	if err != nil {
		return err
	}
	text := ""
	if err := a.readControl(c, func(r *reader) {
		r.object([]string{"schema"}, func(key []byte) {
			if string(key) == "schema" {
				text = r.schema()
			}
		})
		if text == "" && r.err == nil && len(r.faults) == 0 {
			r.fault("required", "must have the member schema")
		}
	}); err != nil {
		return err
	}
	if look {
		onlyLooks(c)
	}
	ctx, t, _ := scope(c)
	name := c.Param("topic")
	v, added, err := a.Topics.AddSchema(ctx, t, name, text, look)
	if err != nil {
		return a.guessTopic(c, err)
	}
	status := http.StatusOK
	if added && !look {
		status = http.StatusCreated
		c.Response().Header().Set("Location", a.link("/v1/topics/"+name+"/schemas/"+strconv.FormatInt(v.Number, 10)))
	}
	return a.json(c, status, newSchema(v, !added || !look, text))
}

func newSchema(v topics.SchemaVersion, current bool, text string) TopicSchema {
	return TopicSchema{Version: v.Number, Current: current, Size: v.Size, CreatedAt: Instant{v.CreatedAt()}, Schema: json.RawMessage(text)}
}

// updateSchemas changes which version of a topic's schema is current.
//
//	@Summary		Choose the current version of a topic's schema
//	@Description	`current` is the version by which messages are checked, any one that there is, or null for none: then they are not checked. It need not be compatible with the one before. `compatibility` says how a version has to follow that is added from now on. What the body leaves out stays.
//	@ID				updateSchemas
//	@Tags			schemas
//	@Accept			json
//	@Param			topic	path		string			true	"Name of the topic"
//	@Param			change	body		SchemasInput	true	"What to change"
//	@Success		200		{object}	TopicSchemas	"Changed, or as it was"
//	@Failure		400		{object}	Problem			"The request is malformed"
//	@Failure		404		{object}	Problem			"No such topic"
//	@Failure		408		{object}	Problem			"The body did not arrive in time"
//	@Failure		413		{object}	Problem			"The body is too large"
//	@Failure		415		{object}	Problem			"The body is not JSON"
//	@Failure		422		{object}	Problem			"A value is not allowed"
//	@Failure		507		{object}	Problem			"The storage is full"
//	@Router			/v1/topics/{topic}/schemas [patch]
func (a *API) updateSchemas(c echo.Context) error {
	if _, err := readQuery(c); err != nil {
		return err
	}
	var current *int64
	var mode *topics.Compatibility
	if err := a.readControl(c, func(r *reader) {
		r.object([]string{"compatibility", "current"}, func(key []byte) {
			switch string(key) {
			case "compatibility":
				if s, ok := r.str(); ok {
					word := topics.Compatibility(s)
					mode = &word
				}
			case "current":
				n, ok := int64(0), true
				if !r.null() {
					n, ok = r.integer(1, maxSchemaVersion)
				}
				if ok {
					current = &n
				}
			}
		})
	}); err != nil {
		return err
	}
	ctx, t, _ := scope(c)
	set, err := a.Topics.UpdateSchemas(ctx, t, c.Param("topic"), current, mode)
	if err != nil {
		return a.guessTopic(c, err)
	}
	return a.json(c, http.StatusOK, newSchemas(set))
}

// maxSchemaVersion is behind all numbers of versions.
const maxSchemaVersion = 1<<53 - 1

// schemaNumber returns the version that the path names, 0 for the current one.
func schemaNumber(c echo.Context) (int64, error) {
	text := c.Param("version")
	if text == "current" {
		return 0, nil
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n < 1 || text[0] == '+' {
		e := *topics.ErrSchemaNotFound
		e.Message = "A version of a schema is a number, or current."
		return 0, &e
	}
	return n, nil
}

// getSchema shows a version of a topic's schema.
//
//	@Summary		Get a version of a topic's schema
//	@ID				getSchema
//	@Tags			schemas
//	@Param			topic	path		string		true	"Name of the topic"
//	@Param			version	path		string		true	"Number of the version, or `current`"
//	@Success		200		{object}	TopicSchema	"The version"
//	@Failure		400		{object}	Problem		"The request is malformed"
//	@Failure		404		{object}	Problem		"No such topic or version"
//	@Failure		415		{object}	Problem		"The request has a Content-Encoding"
//	@Failure		422		{object}	Problem		"A value is not allowed"
//	@Router			/v1/topics/{topic}/schemas/{version} [get]
func (a *API) getSchema(c echo.Context) error {
	if _, err := readQuery(c); err != nil {
		return err
	}
	number, err := schemaNumber(c)
	if err != nil {
		return err
	}
	ctx, t, _ := scope(c)
	v, current, text, err := a.Topics.GetSchema(ctx, t, c.Param("topic"), number)
	if err != nil {
		return a.guessTopic(c, err)
	}
	return a.json(c, http.StatusOK, newSchema(v, current, text))
}

// deleteSchema deletes a version of a topic's schema.
//
//	@Summary		Delete a version of a topic's schema
//	@Description	Not the current one: that is 409 `schema_current`. Messages that have its number keep it.
//	@ID				deleteSchema
//	@Tags			schemas
//	@Param			topic	path	string	true	"Name of the topic"
//	@Param			version	path	string	true	"Number of the version"
//	@Success		204		"Deleted"
//	@Failure		400		{object}	Problem	"The request is malformed"
//	@Failure		404		{object}	Problem	"No such topic or version"
//	@Failure		409		{object}	Problem	"It is the current version"
//	@Failure		415		{object}	Problem	"The request has a Content-Encoding"
//	@Failure		422		{object}	Problem	"A value is not allowed"
//	@Router			/v1/topics/{topic}/schemas/{version} [delete]
func (a *API) deleteSchema(c echo.Context) error {
	if _, err := readQuery(c); err != nil {
		return err
	}
	number, err := schemaNumber(c)
	if err != nil {
		return err
	}
	ctx, t, _ := scope(c)
	if err := a.Topics.DeleteSchema(ctx, t, c.Param("topic"), number); err != nil {
		return a.guessTopic(c, err)
	}
	return c.NoContent(http.StatusNoContent)
}

// testSchema says what a schema makes of a message.
//
//	@Summary		Test a schema
//	@Description	Checks a message by the current version of a topic's schema, by another one, or by a schema that is given here. Nothing is published.
//	@ID				testSchema
//	@Tags			schemas
//	@Accept			json
//	@Param			topic	path		string			true	"Name of the topic"
//	@Param			test	body		SchemaTest		true	"A message, and a version or a schema"
//	@Success		200		{object}	SchemaTested	"What the schema makes of the message"
//	@Failure		400		{object}	Problem			"The request is malformed"
//	@Failure		404		{object}	Problem			"No such topic or version"
//	@Failure		408		{object}	Problem			"The body did not arrive in time"
//	@Failure		413		{object}	Problem			"The body is too large"
//	@Failure		415		{object}	Problem			"The body is not JSON"
//	@Failure		422		{object}	Problem			"A value is not allowed, or the schema is none (`schema_invalid`)"
//	@Router			/v1/topics/{topic}/schemas/test [post]
func (a *API) testSchema(c echo.Context) error {
	if _, err := readQuery(c); err != nil {
		return err
	}
	buf := getBuffer()
	defer buf.release()
	raw, err := a.controlBody(c, buf)
	if err != nil {
		return err
	}
	var text string
	var number int64
	var body []byte
	hasMessage := false
	if err := readJSON(raw, func(r *reader) {
		r.object([]string{"schema", "version", "message"}, func(key []byte) {
			switch string(key) {
			case "schema":
				text = r.schema()
			case "version":
				number, _ = r.integer(1, maxSchemaVersion)
			case "message":
				hasMessage = true
				m, _ := r.batchMessage()
				body = m.Body
			}
		})
		switch {
		case r.err != nil:
		case text != "" && number != 0:
			r.fault("not_allowed", "must have schema or version, not both")
		case !hasMessage:
			r.fault("required", "must have the member message")
		}
	}); err != nil {
		return err
	}
	ctx, t, _ := scope(c)
	tested, err := a.Topics.TestSchema(ctx, t, c.Param("topic"), text, number, body)
	if err != nil {
		return a.guessTopic(c, err)
	}
	out := SchemaTested{Matched: len(tested.Faults) == 0, Failures: make([]SchemaFailure, len(tested.Faults))}
	if tested.Version != 0 {
		out.Version = &tested.Version
	}
	for i, f := range tested.Faults {
		out.Failures[i] = SchemaFailure{Path: f.Pointer, Detail: f.Message}
	}
	return a.json(c, http.StatusOK, out)
}

// schema reads the text of a schema.
func (r *reader) schema() string {
	if r.next() != '{' {
		r.wrong("an object: a JSON Schema")
		return ""
	}
	from := r.i
	r.skip()
	if r.err != nil {
		return ""
	}
	return string(r.b[from:r.i])
}
