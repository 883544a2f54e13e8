package topics

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"

	"github.com/sluicemq/sluice/internal/engine"
	"github.com/sluicemq/sluice/internal/errs"
	"github.com/sluicemq/sluice/internal/schema"
	"github.com/sluicemq/sluice/queues"
	"github.com/sluicemq/sluice/tenants"
)

// SchemaAttribute is the attribute of a message that says by which version of its topic's schema it was checked. An attribute
// reaches every subscriber, and policies may ask for it.
const SchemaAttribute = "Sluice-Schema-Version"

// check is how a topic checks messages: by a version of its schema, or by none.
type check struct {
	version SchemaVersion  // zero: messages are not checked
	schema  *schema.Schema // nil likewise
}

// checked returns the check that settings ask for, and the settings: those of now where the others name a version that is gone.
func (tp *topic) checked(ctx context.Context, c *config) (*config, check, error) {
	for range maxStale {
		v, ok := c.Schemas.version(ofNoVersion)
		if !ok {
			return c, check{}, nil
		}
		s, err := tp.compile(ctx, v)
		if !errors.Is(err, errNoText) {
			return c, check{v, s}, err
		}
		if c, _, err = tp.store.load(ctx, tp.keys, nil); err != nil {
			return nil, check{}, err
		}
		tp.config.Store(c)
	}
	return nil, check{}, engine.ErrUnavailable
}

// faults returns why a body is not as the schema says. As many bodies are checked at a time as there are processors: more would
// not be faster, and each takes memory.
func (s *Store) faults(ctx context.Context, by *schema.Schema, body []byte) ([]schema.Fault, error) {
	select {
	case s.checking <- struct{}{}:
	case <-ctx.Done():
		return nil, engine.ErrUnavailable.Because(ctx.Err())
	}
	defer func() { <-s.checking }()
	return by.Check(body), nil
}

// admit refuses a message that is not as the schema says.
func (k check) admit(ctx context.Context, s *Store, m *queues.Outgoing) error {
	if k.schema == nil {
		return nil
	}
	out := k.stamped(*m)
	if len(out.Attributes) > queues.MaxAttributes {
		return errs.Invalidf("/attributes", "The topic has a schema and adds the attribute %s, so a message has at most %d others.", SchemaAttribute, queues.MaxAttributes-1)
	}
	if size := sizeOf(&out); size > MaxMessageSize {
		e := *ErrMessageTooLarge
		e.Message = fmt.Sprintf("The message has %d bytes with its attributes and %s, which the topic adds; at most %d are allowed.", size, SchemaAttribute, MaxMessageSize)
		return &e
	}
	faults, err := s.faults(ctx, k.schema, m.Body)
	for _, text := range []string{m.HTTP, m.HTTPS} { // who gets one of these was promised as much
		if err == nil && len(faults) == 0 && text != "" {
			faults, err = s.faults(ctx, k.schema, []byte(text))
		}
	}
	if err != nil || len(faults) == 0 {
		return err
	}
	e := *ErrSchemaMismatch
	e.Message = "The message is not as version " + strconv.FormatInt(k.version.Number, 10) + " of the topic's schema says: " + faults[0].String() + "."
	for _, f := range faults {
		e.Fields = append(e.Fields, errs.Field{Pointer: "/body" + f.Pointer, Code: e.Code, Message: f.Message})
	}
	return &e
}

func isStamp(a queues.Attribute) bool { return a.Name == SchemaAttribute }

// record returns a message that was admitted as the log has it.
func (k check) record(m *queues.Outgoing) []byte {
	if k.schema == nil {
		return m.Record()
	}
	out := k.stamped(*m)
	return out.Record()
}

// stamped returns a message with the version by which it was checked in the place of any that it had.
func (k check) stamped(m queues.Outgoing) queues.Outgoing {
	m.Attributes = slices.DeleteFunc(append(make([]queues.Attribute, 0, len(m.Attributes)+1), m.Attributes...), isStamp)
	m.Attributes = append(m.Attributes, queues.Attribute{Name: SchemaAttribute, Type: "Number", Value: strconv.FormatInt(k.version.Number, 10)})
	return m
}

// passed returns a record that comes from another topic or a queue as this topic stores it. It was acknowledged there, so it is
// never refused: it has the version in it when it is as the schema says, and none when it is not.
func (k check) passed(ctx context.Context, s *Store, record []byte) ([]byte, error) {
	if k.schema == nil {
		return record, nil
	}
	m, err := queues.ParseRecord(string(record))
	if err != nil {
		return nil, err
	}
	err = k.admit(ctx, s, &m)
	switch kind := errs.KindOf(err); {
	case err == nil:
		return k.record(&m), nil
	case kind == errs.Invalid || kind == errs.TooLarge:
		m.Attributes = slices.DeleteFunc(m.Attributes, isStamp)
		return m.Record(), nil
	}
	return nil, err
}

// SchemaTested is what a schema makes of a body.
type SchemaTested struct {
	Version int64 // of the topic's schema; 0: of none
	Faults  []schema.Fault
}

// TestSchema checks a body by a version of a topic's schema, 0 for the current one, or by the text of one that need not be there.
func (s *Store) TestSchema(ctx context.Context, t tenants.ID, name, text string, number int64, body []byte) (SchemaTested, error) {
	out := SchemaTested{}
	if text != "" {
		if _, err := s.Get(ctx, t, name); err != nil {
			return out, err
		}
	} else {
		v, _, stored, err := s.GetSchema(ctx, t, name, number)
		if err != nil {
			return out, err
		}
		text, out.Version = stored, v.Number
	}
	by, err := schema.Compile([]byte(text))
	if err != nil {
		return out, schemaFault(err)
	}
	out.Faults, err = s.faults(ctx, by, body)
	return out, err
}
