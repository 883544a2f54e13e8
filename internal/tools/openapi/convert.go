package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/getkin/kin-openapi/openapi2"
	"github.com/getkin/kin-openapi/openapi2conv"
	"github.com/getkin/kin-openapi/openapi3"
)

// problemName is the schema of every answer that reports a failure.
const problemName = "Problem"

const (
	mediaJSON    = "application/json"
	mediaProblem = "application/problem+json"
)

// convert returns the OpenAPI document for a Swagger 2.0 document, and notes that do not stop it.
func convert(swagger []byte) (doc []byte, notes []string, err error) {
	v2, err := readSwagger(swagger)
	if err != nil {
		return nil, nil, err
	}
	v3, err := openapi2conv.ToV3(v2)
	if err != nil {
		return nil, nil, fmt.Errorf("convert to OpenAPI 3: %w", err)
	}
	v3.OpenAPI = "3.0.3"
	if v3.Paths == nil {
		v3.Paths = openapi3.NewPaths()
	}
	if c := v3.Info.Contact; c != nil && c.Name+c.URL+c.Email == "" {
		v3.Info.Contact = nil // swag writes an empty one
	}
	tidySchemas(v3)
	if err := addExamples(v3); err != nil {
		return nil, nil, err
	}
	if err := describeSecurity(v3); err != nil {
		return nil, nil, err
	}
	if err := addCommonFailures(v3); err != nil {
		return nil, nil, err
	}
	markProblems(v3)
	notes, err = addForms(v3, forms)
	if err != nil {
		return nil, nil, err
	}
	slices.SortStableFunc(v3.Tags, func(a, b *openapi3.Tag) int { return strings.Compare(a.Name, b.Name) })
	doc, err = encode(v3)
	if err != nil {
		return nil, nil, err
	}
	return doc, notes, check(doc)
}

// readSwagger parses swag's document, after mending what the conversion would lose.
func readSwagger(swagger []byte) (*openapi2.T, error) {
	tree, err := decode(swagger)
	if err != nil {
		return nil, fmt.Errorf("parse swag's document: %w", err)
	}
	root, ok := tree.(map[string]any)
	if !ok || root["swagger"] != "2.0" {
		return nil, errors.New("the input is not a Swagger 2.0 document")
	}
	if err := shortenNames(root); err != nil {
		return nil, err
	}
	mended, err := json.Marshal(mendNullable(root))
	if err != nil {
		return nil, err
	}
	var v2 openapi2.T
	if err := json.Unmarshal(mended, &v2); err != nil {
		return nil, fmt.Errorf("parse swag's document: %w", err)
	}
	return &v2, nil
}

// shortenNames takes the Go package from every definition, so that the document speaks of Queue and not of
// handlers.Queue. It refuses two types that would then share a name.
func shortenNames(root map[string]any) error {
	definitions, _ := root["definitions"].(map[string]any)
	short := make(map[string]any, len(definitions))
	renamed := make(map[string]string, len(definitions))
	taken := make(map[string]string, len(definitions))
	for _, long := range slices.Sorted(maps.Keys(definitions)) {
		name := schemaName(long)
		if other, clash := taken[name]; clash {
			return fmt.Errorf("%s and %s would both be called %s: rename one, or give it a //@name", other, long, name)
		}
		taken[name], renamed[long], short[name] = long, name, definitions[long]
	}
	if definitions != nil {
		root["definitions"] = short
	}
	visit(root, func(m map[string]any) {
		ref, _ := m["$ref"].(string)
		if long, ok := strings.CutPrefix(ref, "#/definitions/"); ok && renamed[long] != "" {
			m["$ref"] = "#/definitions/" + renamed[long]
		}
	})
	return nil
}

// schemaName returns the name under which the API knows a Go type. Swag writes Page[queues.Queue] as
// "handlers.Page-queues_Queue"; it becomes PageOfQueue.
func schemaName(long string) string {
	outer, rest, generic := strings.Cut(long, "-")
	name := upperFirst(outer[strings.LastIndex(outer, ".")+1:])
	if !generic {
		return name
	}
	args := strings.Split(rest, "-")
	for i, arg := range args {
		list := ""
		for strings.HasPrefix(arg, "array_") {
			arg, list = strings.TrimPrefix(arg, "array_"), list+"ListOf"
		}
		args[i] = list + upperFirst(arg[strings.LastIndex(arg, "_")+1:])
	}
	return name + "Of" + strings.Join(args, "And")
}

func upperFirst(s string) string {
	if s == "" {
		return s
	}
	return strings.ToUpper(s[:1]) + s[1:]
}

// mendNullable gives "x-nullable" a boolean and a place where the conversion sees it: beside a "$ref" it would be
// dropped, inside an allOf it is kept.
func mendNullable(tree any) any {
	switch t := tree.(type) {
	case map[string]any:
		for k, v := range t {
			t[k] = mendNullable(v)
		}
		switch t["x-nullable"] {
		case true, "true":
			t["x-nullable"] = true
		default:
			delete(t, "x-nullable")
		}
		if ref, ok := t["$ref"].(string); ok && len(t) > 1 {
			delete(t, "$ref")
			t["allOf"] = []any{map[string]any{"$ref": ref}}
		}
		return t
	case []any:
		for i, v := range t {
			t[i] = mendNullable(v)
		}
	}
	return tree
}

// tidySchemas removes what the two tools left for themselves and makes null a legal value of every nullable enum.
func tidySchemas(doc *openapi3.T) {
	for _, op := range operations(doc) {
		if body := op.RequestBody; body != nil && body.Value != nil {
			delete(body.Value.Extensions, "x-originalParamName")
		}
	}
	seen := map[*openapi3.Schema]bool{}
	var tidy func(*openapi3.SchemaRef)
	tidy = func(ref *openapi3.SchemaRef) {
		if ref == nil || ref.Value == nil || seen[ref.Value] {
			return
		}
		s := ref.Value
		seen[s] = true
		// Go names are nobody's business outside, and the comments are in x-enum-descriptions too.
		delete(s.Extensions, "x-enum-varnames")
		delete(s.Extensions, "x-enum-comments")
		if s.Nullable && len(s.Enum) > 0 && !slices.Contains(s.Enum, nil) {
			s.Enum = append(s.Enum, nil)
		}
		slices.Sort(s.Required)
		tidy(s.Items)
		tidy(s.AdditionalProperties.Schema)
		for _, p := range s.Properties {
			tidy(p)
		}
		for _, list := range []openapi3.SchemaRefs{s.AllOf, s.AnyOf, s.OneOf} {
			for _, p := range list {
				tidy(p)
			}
		}
	}
	for _, s := range doc.Components.Schemas {
		tidy(s)
	}
	for _, op := range operations(doc) {
		for _, p := range op.Parameters {
			tidy(p.Value.Schema)
		}
		if op.RequestBody != nil && op.RequestBody.Value != nil {
			tidyContent(op.RequestBody.Value.Content, tidy)
		}
		for _, r := range op.Responses.Map() {
			tidyContent(r.Value.Content, tidy)
		}
	}
}

func tidyContent(content openapi3.Content, tidy func(*openapi3.SchemaRef)) {
	for _, media := range content {
		tidy(media.Schema)
	}
}

// describeSecurity states the ways to present a key, or a session. They hold for every operation, except for those marked
// "@x-public true".
func describeSecurity(doc *openapi3.T) error {
	doc.Components.SecuritySchemes = openapi3.SecuritySchemes{
		"bearer": {Value: openapi3.NewSecurityScheme().WithType("http").WithScheme("bearer").
			WithDescription("An API key or an access token: `Authorization: Bearer slk_…`.")},
		"basic": {Value: openapi3.NewSecurityScheme().WithType("http").WithScheme("basic").
			WithDescription("An API key as the user name, with an empty password: `curl -u slk_…:`.")},
		"cookie": {Value: openapi3.NewSecurityScheme().WithType("apiKey").WithIn("cookie").WithName("__Host-sluice-session").
			WithDescription("The session of a browser: `POST /v1/session`.")},
	}
	doc.Security = *openapi3.NewSecurityRequirements().
		With(openapi3.NewSecurityRequirement().Authenticate("bearer")).
		With(openapi3.NewSecurityRequirement().Authenticate("basic")).
		With(openapi3.NewSecurityRequirement().Authenticate("cookie"))
	for name, op := range operations(doc) {
		op.Security = nil // what a comment says by @Security would only repeat or contradict what stands above
		switch op.Extensions["x-public"] {
		case nil:
		case true:
			op.Security = openapi3.NewSecurityRequirements()
			delete(op.Extensions, "x-public")
		default:
			return fmt.Errorf("%s: @x-public is %v, but may only be true", name, op.Extensions["x-public"])
		}
	}
	return nil
}

// commonFailures can be the answer to any operation, so no comment has to repeat them.
var commonFailures = []struct {
	status, name, description string
	keyed                     bool // only where a key is asked for
	later                     bool // the answer says when to try again
}{
	{status: "401", name: "Unauthenticated", keyed: true, description: "No key, or one that does not hold"},
	{status: "403", name: "Forbidden", keyed: true, description: "The key may not do this, or a fixed limit is reached"},
	{status: "429", name: "RateLimited", later: true, description: "Too many requests"},
	{status: "500", name: "Internal", description: "A fault of the server"},
	{status: "503", name: "Unavailable", later: true, description: "Not now; `code` tells whether it may have been done"},
}

// addCommonFailures adds commonFailures to each operation whose comment does not describe the status itself.
func addCommonFailures(doc *openapi3.T) error {
	all := operations(doc)
	if len(all) == 0 {
		return nil
	}
	if doc.Components.Schemas[problemName] == nil {
		return fmt.Errorf("no operation answers with %s: describe its failures with @Failure", problemName)
	}
	doc.Components.Responses = openapi3.ResponseBodies{}
	for _, f := range commonFailures {
		r := openapi3.NewResponse().WithDescription(f.description).WithContent(openapi3.Content{
			mediaProblem: openapi3.NewMediaType().WithSchemaRef(problemRef()),
		})
		if f.later {
			r.Headers = openapi3.Headers{"Retry-After": {Value: &openapi3.Header{Parameter: openapi3.Parameter{
				Description: "Seconds to wait before the next try",
				Schema:      openapi3.NewIntegerSchema().NewRef(),
			}}}}
		}
		doc.Components.Responses[f.name] = &openapi3.ResponseRef{Value: r}
		for _, op := range all {
			if op.Responses.Value(f.status) == nil && (!f.keyed || op.Security == nil) {
				op.Responses.Set(f.status, &openapi3.ResponseRef{Ref: "#/components/responses/" + f.name, Value: r})
			}
		}
	}
	return nil
}

// markProblems gives each answer that is a Problem its own media type, which swag cannot set for one status alone.
func markProblems(doc *openapi3.T) {
	for _, op := range operations(doc) {
		for _, r := range op.Responses.Map() {
			for _, media := range r.Value.Content {
				if isProblem(media.Schema) {
					r.Value.Content = openapi3.Content{mediaProblem: media}
				}
			}
		}
	}
}

func problemRef() *openapi3.SchemaRef {
	return openapi3.NewSchemaRef("#/components/schemas/"+problemName, nil)
}

func isProblem(s *openapi3.SchemaRef) bool { return s != nil && s.Ref == problemRef().Ref }

// operations returns every operation by its name, such as "GET /v1/queues".
func operations(doc *openapi3.T) map[string]*openapi3.Operation {
	all := map[string]*openapi3.Operation{}
	for path, item := range doc.Paths.Map() {
		for method, op := range item.Operations() {
			if op.Responses == nil {
				op.Responses = openapi3.NewResponsesWithCapacity(0)
			}
			all[method+" "+path] = op
		}
	}
	return all
}

// encode writes doc with sorted keys and two spaces of indent.
func encode(doc *openapi3.T) ([]byte, error) {
	compact, err := json.Marshal(doc)
	if err != nil {
		return nil, fmt.Errorf("encode the document: %w", err)
	}
	tree, err := decode(compact) // maps come out sorted by key, structs do not
	if err != nil {
		return nil, fmt.Errorf("encode the document: %w", err)
	}
	var out bytes.Buffer
	enc := json.NewEncoder(&out)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(tree); err != nil {
		return nil, fmt.Errorf("encode the document: %w", err)
	}
	return out.Bytes(), nil
}

// decode parses JSON and keeps its numbers as they are written.
func decode(b []byte) (any, error) {
	dec := json.NewDecoder(bytes.NewReader(b))
	dec.UseNumber()
	var tree any
	err := dec.Decode(&tree)
	return tree, err
}

// visit calls f for each object in tree.
func visit(tree any, f func(map[string]any)) {
	switch t := tree.(type) {
	case map[string]any:
		f(t)
		for _, v := range t {
			visit(v, f)
		}
	case []any:
		for _, v := range t {
			visit(v, f)
		}
	}
}

// check reads the finished document as a client would and holds it against the standard and the rules of the house.
func check(doc []byte) error {
	v3, err := openapi3.NewLoader().LoadFromData(doc)
	if err != nil {
		return fmt.Errorf("the document does not load: %w", err)
	}
	if err := v3.Validate(context.Background(), openapi3.EnableMultiError()); err != nil {
		return fmt.Errorf("the document is not valid OpenAPI 3.0.3: %w", err)
	}
	return houseRules(v3)
}
