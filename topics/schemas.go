package topics

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/sluicemq/sluice/internal/engine"
	"github.com/sluicemq/sluice/internal/errs"
	"github.com/sluicemq/sluice/internal/schema"
	"github.com/sluicemq/sluice/tenants"
)

// MaxSchemas bounds the versions of a topic's schema.
const MaxSchemas = 20

// Schemas are what a topic's settings say of its schema. The texts of the versions lie beside the settings, so that these stay
// small; a version never changes and its number is never given again.
type Schemas struct {
	Compatibility Compatibility   `json:"compatibility,omitempty"`
	Current       int64           `json:"current,omitempty"` // the version by which messages are checked; 0: none is
	Last          int64           `json:"last,omitempty"`    // the highest number that was given
	Versions      []SchemaVersion `json:"versions,omitempty"`
}

// SchemaVersion is a version of a topic's schema, without the text.
type SchemaVersion struct {
	Number  int64  `json:"number"`
	Digest  string `json:"digest"` // of the text, by which servers know what they have compiled
	Size    int    `json:"size"`   // bytes of the text
	Created int64  `json:"created"`
}

// CreatedAt returns when the version was added.
func (v SchemaVersion) CreatedAt() time.Time { return at(v.Created) }

// Compatibility says how a new version has to follow the current one, in the words of schema registries.
type Compatibility string

// The compatibilities.
const (
	Backward     Compatibility = "backward" // the default: what the current version allows, the new one does, too
	Forward      Compatibility = "forward"  // what the new version allows, the current one does, too
	Full         Compatibility = "full"     // both
	Incompatible Compatibility = "none"     // it need not
)

const (
	ofNoVersion   = int64(0) // the number of no version; where one is looked for, of the current one
	schemaField   = "J"      // begins the fields of a topic's head that have texts
	digestedBytes = 12       // of the SHA-256 of a text, by which it is known
)

// compatibility returns what holds.
func (s Schemas) compatibility() Compatibility {
	if s.Compatibility == "" {
		return Backward
	}
	return s.Compatibility
}

func (s Schemas) same(o Schemas) bool {
	return s.Compatibility == o.Compatibility && s.Current == o.Current && s.Last == o.Last && slices.Equal(s.Versions, o.Versions)
}

// version returns the version with a number, and the current one for 0; false when there is none.
func (s Schemas) version(number int64) (SchemaVersion, bool) {
	if number == ofNoVersion {
		number = s.Current
	}
	i := slices.IndexFunc(s.Versions, func(v SchemaVersion) bool { return v.Number == number })
	if i < 0 || number == ofNoVersion {
		return SchemaVersion{}, false
	}
	return s.Versions[i], true
}

// GetSchemas returns the versions of a topic's schema and how they follow each other.
func (s *Store) GetSchemas(ctx context.Context, t tenants.ID, name string) (Schemas, error) {
	tp, err := s.Get(ctx, t, name)
	tp.Settings.Schemas.Compatibility = tp.Settings.Schemas.compatibility()
	return tp.Settings.Schemas, err
}

// GetSchema returns a version of a topic's schema, whether it is the current one, and its text; number 0 is the current one.
func (s *Store) GetSchema(ctx context.Context, t tenants.ID, name string, number int64) (v SchemaVersion, current bool, text string, err error) {
	err = s.with(ctx, t, name, func(tp *topic) error {
		for range maxStale {
			c, _, err := tp.look(ctx)
			if err != nil {
				return err
			}
			var ok bool
			if v, ok = c.Schemas.version(number); !ok {
				return noSchema(name, number)
			}
			current = v.Number == c.Schemas.Current
			if text, err = tp.schemaText(ctx, v); err != nil || text != "" {
				return err
			}
		}
		return engine.ErrUnavailable
	})
	return v, current, text, err
}

// AddSchema adds a version to a topic's schema and makes it the current one, unless it only looks whether it could. It reports
// false for a text that is the current version already.
func (s *Store) AddSchema(ctx context.Context, t tenants.ID, name, text string, look bool) (v SchemaVersion, added bool, err error) {
	next, err := schema.Compile([]byte(text))
	if err != nil {
		return SchemaVersion{}, false, schemaFault(err)
	}
	var compact bytes.Buffer
	if err := json.Compact(&compact, []byte(text)); err != nil {
		return SchemaVersion{}, false, err // it was read before
	}
	text = compact.String()
	sum := sha256.Sum256([]byte(text))
	digest := hex.EncodeToString(sum[:digestedBytes])
	err = s.changeSchemas(ctx, t, name, func(tp *topic, set *Schemas) (field, content string, err error) {
		current, _ := set.version(ofNoVersion)
		if current.Digest == digest {
			v, added = current, false
			return "", "", nil
		}
		if err := tp.follows(ctx, *set, next); err != nil {
			return "", "", err
		}
		if len(set.Versions) >= MaxSchemas {
			e := *ErrSchemaQuota
			e.Usage = &errs.Usage{Quota: "schemas", Limit: MaxSchemas, Used: int64(len(set.Versions))}
			return "", "", &e
		}
		v, added = SchemaVersion{Number: set.Last + 1, Digest: digest, Size: len(text), Created: s.clock.Now().UnixMilli()}, true
		if look {
			return "", "", nil
		}
		set.Last, set.Current, set.Versions = v.Number, v.Number, append(slices.Clone(set.Versions), v)
		return textField(v.Number), text, nil
	})
	return v, added, err
}

// UpdateSchemas changes which version is current, 0 for none, and how versions follow each other; nil for what stays.
func (s *Store) UpdateSchemas(ctx context.Context, t tenants.ID, name string, current *int64, mode *Compatibility) (Schemas, error) {
	if mode != nil && !slices.Contains([]Compatibility{Backward, Forward, Full, Incompatible}, *mode) {
		return Schemas{}, errs.Invalidf("/compatibility", "A compatibility is none, backward, forward or full, got %.20q.", string(*mode))
	}
	var out Schemas
	err := s.changeSchemas(ctx, t, name, func(_ *topic, set *Schemas) (field, content string, err error) {
		if current != nil && *current != ofNoVersion {
			if _, ok := set.version(*current); !ok {
				return "", "", errs.Invalidf("/current", "The topic has no version %d of its schema.", *current)
			}
		}
		if current != nil {
			set.Current = *current
		}
		if mode != nil {
			set.Compatibility = *mode
		}
		out = *set
		return "", "", nil
	})
	out.Compatibility = out.compatibility()
	return out, err
}

// DeleteSchema deletes a version of a topic's schema that is not the current one.
func (s *Store) DeleteSchema(ctx context.Context, t tenants.ID, name string, number int64) error {
	return s.changeSchemas(ctx, t, name, func(_ *topic, set *Schemas) (field, content string, err error) {
		v, ok := set.version(number)
		switch {
		case !ok || number == ofNoVersion:
			return "", "", noSchema(name, number)
		case v.Number == set.Current:
			return "", "", ErrSchemaCurrent
		}
		set.Versions = slices.DeleteFunc(slices.Clone(set.Versions), func(o SchemaVersion) bool { return o == v })
		return textField(number), "", nil
	})
}

// changeSchemas changes what a topic's settings say of its schema by a function, which may be called more than once. It returns
// a field for the text of a version, and that text or "" to remove it; no field for no text.
func (s *Store) changeSchemas(ctx context.Context, t tenants.ID, name string, f func(*topic, *Schemas) (field, content string, err error)) error {
	return s.with(ctx, t, name, func(tp *topic) error {
		for range maxStale {
			c, _, err := s.load(ctx, tp.keys, nil)
			if err != nil {
				return err
			}
			want := c.Settings
			field, content, err := f(tp, &want.Schemas)
			if err != nil || want.same(c.Settings) {
				return err
			}
			done, err := tp.replace(ctx, setSchemasScript, c, want, field, content)
			if err != nil {
				return err
			}
			if done {
				_, _, err = tp.look(ctx)
				return err
			}
		}
		return engine.ErrUnavailable
	})
}

// schemaFault has the error of a schema point at it.
func schemaFault(err error) error {
	e, ok := errors.AsType[*errs.Error](err)
	if !ok {
		return err
	}
	c := *e
	c.Fields = slices.Clone(e.Fields)
	for i := range c.Fields {
		c.Fields[i].Pointer = "/schema" + c.Fields[i].Pointer
	}
	return &c
}

// follows refuses a schema that does not follow the current version as the topic asks for.
func (tp *topic) follows(ctx context.Context, set Schemas, next *schema.Schema) error {
	v, ok := set.version(ofNoVersion)
	mode := set.compatibility()
	if !ok || mode == Incompatible {
		return nil
	}
	current, err := tp.compile(ctx, v)
	if err != nil {
		return err
	}
	before := fmt.Sprintf("version %d", v.Number)
	e := *ErrSchemaIncompatible
	e.Message = fmt.Sprintf("The schema is not seen to be compatible (%s) with version %d, the current one.", mode, v.Number)
	add := func(list []schema.Misfit, pointer func(schema.Misfit) string) {
		for _, m := range list {
			code := "incompatible"
			if m.Unjudged {
				code = "not_judged"
			}
			e.Fields = append(e.Fields, errs.Field{Pointer: "/schema" + pointer(m), Code: code, Message: m.Message})
		}
	}
	if mode != Forward {
		add(schema.Fits(current, next, before, "the new version"), func(m schema.Misfit) string { return m.Wide })
	}
	if mode != Backward {
		add(schema.Fits(next, current, "the new version", before), func(m schema.Misfit) string { return m.Narrow })
	}
	if len(e.Fields) == 0 {
		return nil
	}
	return &e
}

// schemaText reads the text of a version; "" when it is not there any more.
func (tp *topic) schemaText(ctx context.Context, v SchemaVersion) (string, error) {
	reply, err := tp.store.engine.Do(ctx, schemaTextScript, tp.keys, textField(v.Number))
	if err != nil {
		return "", err
	}
	list, err := verdict(reply)
	if err != nil {
		return "", err
	}
	return engine.Text(list, 1), nil
}

func textField(number int64) string { return schemaField + strconv.FormatInt(number, 10) }

func noSchema(topic string, number int64) error {
	e := *ErrSchemaNotFound
	e.Message = fmt.Sprintf("The topic %q has no version %d of a schema.", topic, number)
	if number == ofNoVersion {
		e.Message = fmt.Sprintf("The topic %q has no current version of a schema.", topic)
	}
	return &e
}

// compiled is a version of a topic's schema as this server checks by it.
type compiled struct {
	digest string
	schema *schema.Schema
}

// errNoText says that the text of a version is not there: it was deleted since the settings were read.
var errNoText = errors.New("the version of the schema is gone")

// compile returns a version of the topic's schema. The one that was needed last is at hand, which is the current one nearly always.
func (tp *topic) compile(ctx context.Context, v SchemaVersion) (*schema.Schema, error) {
	if have := tp.schema.Load(); have != nil && have.digest == v.Digest {
		return have.schema, nil
	}
	text, err := tp.schemaText(ctx, v)
	if err != nil {
		return nil, err
	}
	if text == "" {
		return nil, engine.ErrUnavailable.Because(errNoText)
	}
	s, err := schema.Compile([]byte(text))
	if err != nil {
		// It was good when it was added. Whoever brings messages waits for a server that understands it.
		return nil, engine.ErrUnavailable.Because(err)
	}
	tp.schema.Store(&compiled{v.Digest, s})
	return s, nil
}
