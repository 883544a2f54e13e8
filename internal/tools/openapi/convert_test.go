package main

import (
	"bytes"
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/google/go-cmp/cmp"
)

// fixture returns the sample document after edit has changed it.
func fixture(t *testing.T, edit func(root map[string]any)) []byte {
	t.Helper()
	b, err := os.ReadFile("testdata/swagger.json")
	if err != nil {
		t.Fatal(err)
	}
	var root map[string]any
	if err := json.Unmarshal(b, &root); err != nil {
		t.Fatal(err)
	}
	if edit != nil {
		edit(root)
	}
	b, err = json.Marshal(root)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func converted(t *testing.T) (*openapi3.T, []byte) {
	t.Helper()
	b, _, err := convert(fixture(t, nil))
	if err != nil {
		t.Fatal(err)
	}
	doc, err := openapi3.NewLoader().LoadFromData(b)
	if err != nil {
		t.Fatal(err)
	}
	return doc, b
}

// at returns the part of tree below the given keys, or nil.
func at(tree any, keys ...string) any {
	for _, k := range keys {
		m, _ := tree.(map[string]any)
		tree = m[k]
	}
	return tree
}

func TestConvertNamesTheStandardItMeets(t *testing.T) {
	t.Parallel()
	doc, b := converted(t)
	if doc.OpenAPI != "3.0.3" {
		t.Errorf("openapi: got %q, want 3.0.3", doc.OpenAPI)
	}
	if bytes.Contains(b, []byte("x-nullable")) || bytes.Contains(b, []byte("x-originalParamName")) ||
		bytes.Contains(b, []byte("x-enum-varnames")) || bytes.Contains(b, []byte(`"contact"`)) {
		t.Errorf("the document keeps what only the tools understand:\n%s", b)
	}
	var tags []string
	for _, tag := range doc.Tags {
		tags = append(tags, tag.Name)
	}
	if diff := cmp.Diff([]string{"messages", "queues"}, tags); diff != "" {
		t.Errorf("tags (-want +got):\n%s", diff)
	}
}

func TestConvertIsDeterministic(t *testing.T) {
	t.Parallel()
	_, first := converted(t)
	for range 10 {
		if _, again := converted(t); !bytes.Equal(first, again) {
			t.Fatalf("the same input gave two documents:\n%s", cmp.Diff(string(first), string(again)))
		}
	}
}

func TestSchemaNamesHaveNoPackage(t *testing.T) {
	t.Parallel()
	doc, _ := converted(t)
	got := slices.Sorted(maps.Keys(doc.Components.Schemas))
	want := []string{"Message", "PageOfQueue", "Problem", "Queue", "Redrive"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("schemas (-want +got):\n%s", diff)
	}
	for long, want := range map[string]string{
		"handlers.Queue":                          "Queue",
		"handlers.queueBody":                      "QueueBody",
		"Named":                                   "Named",
		"handlers.Page-queues_Queue":              "PageOfQueue",
		"handlers.Page-array_queues_Queue":        "PageOfListOfQueue",
		"handlers.Pair-string-queues_Queue":       "PairOfStringAndQueue",
		"github_com_sluicemq_sluice_queues.Queue": "Queue",
	} {
		if got := schemaName(long); got != want {
			t.Errorf("schemaName(%q): got %q, want %q", long, got, want)
		}
	}
}

func TestProblemsHaveTheirOwnMediaType(t *testing.T) {
	t.Parallel()
	doc, _ := converted(t)
	for name, op := range operations(doc) {
		for status, r := range op.Responses.Map() {
			for media, m := range r.Value.Content {
				if isProblem(m.Schema) != (media == "application/problem+json") {
					t.Errorf("%s %s: %s holds %q", name, status, media, m.Schema.Ref)
				}
			}
		}
	}
	want := map[string]string{ // status: the shared answer, or "" where the comment's own stands
		"200": "", "403": "", "401": "#/components/responses/Unauthenticated", "429": "#/components/responses/RateLimited",
		"500": "#/components/responses/Internal", "503": "#/components/responses/Unavailable",
	}
	got := map[string]string{}
	for status, r := range doc.Paths.Value("/v1/queues").Get.Responses.Map() {
		got[status] = r.Ref
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("answers of GET /v1/queues (-want +got):\n%s", diff)
	}
	if r := doc.Components.Responses["RateLimited"].Value; r.Headers["Retry-After"] == nil {
		t.Error("429 does not tell its Retry-After")
	}
}

func TestSecurityHoldsUnlessPublic(t *testing.T) {
	t.Parallel()
	doc, b := converted(t)
	want := openapi3.SecurityRequirements{{"bearer": {}}, {"basic": {}}, {"cookie": {}}}
	if diff := cmp.Diff(want, doc.Security); diff != "" {
		t.Errorf("security (-want +got):\n%s", diff)
	}
	if s := doc.Paths.Value("/v1/queues/{queue}").Put.Security; s != nil {
		t.Errorf("PUT /v1/queues/{queue}: got its own security %v, want the document's", *s)
	}
	public := doc.Paths.Value("/v1/signing_keys").Get
	if public.Security == nil || len(*public.Security) != 0 {
		t.Errorf("GET /v1/signing_keys: got security %v, want none", public.Security)
	}
	if public.Responses.Value("401") != nil || public.Responses.Value("503") == nil {
		t.Error("GET /v1/signing_keys: want 503 and no 401 among its answers")
	}
	if bytes.Contains(b, []byte("x-public")) {
		t.Error("the document keeps x-public")
	}
}

func TestNullSurvivesTheConversion(t *testing.T) {
	t.Parallel()
	_, b := converted(t)
	tree, err := decode(b)
	if err != nil {
		t.Fatal(err)
	}
	got := at(tree, "components", "schemas", "Queue", "properties")
	want := map[string]any{
		"direction": map[string]any{"type": "string", "enum": []any{"send", "receive", nil}, "nullable": true},
		"redrive": map[string]any{
			"allOf": []any{map[string]any{"$ref": "#/components/schemas/Redrive"}}, "nullable": true,
		},
		"state": map[string]any{"type": "string", "enum": []any{"on"}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("properties of Queue (-want +got):\n%s", diff)
	}
}

func TestFieldsShowWhatTheyMayHold(t *testing.T) {
	t.Parallel()
	b, _, err := convert(fixture(t, func(r map[string]any) {
		fields := at(r, "definitions", "queues.Redrive", "properties").(map[string]any)
		fields["at"] = map[string]any{"type": "string", "format": "date-time"}
		fields["labels"] = map[string]any{"type": "object"}
		fields["sent"] = map[string]any{"type": "array", "items": map[string]any{"type": "integer"}}
	}))
	if err != nil {
		t.Fatal(err)
	}
	doc, err := openapi3.NewLoader().LoadFromData(b)
	if err != nil {
		t.Fatal(err)
	}
	fields := doc.Components.Schemas["Redrive"].Value.Properties
	for field, want := range map[string]any{"at": instant, "labels": map[string]any{"team": "billing"}, "sent": []any{12.0, 0.0, 7.0}, "to": "orders"} {
		if diff := cmp.Diff(want, fields[field].Value.Example); diff != "" {
			t.Errorf("%s (-want +got):\n%s", field, diff)
		}
	}
}

func TestFormsThatSwagCannotExpress(t *testing.T) {
	t.Parallel()
	_, b := converted(t)
	tree, err := decode(b)
	if err != nil {
		t.Fatal(err)
	}
	medias := func(keys ...string) []string {
		m, _ := at(tree, append([]string{"paths"}, keys...)...).(map[string]any)
		return slices.Sorted(maps.Keys(m))
	}
	for _, c := range []struct {
		where []string
		want  []string
	}{
		{[]string{"/v1/queues/{queue}", "put", "requestBody", "content"}, []string{"application/json"}},
		{[]string{"/v1/queues/{queue}/messages", "post", "requestBody", "content"}, []string{"*/*"}},
		{[]string{"/v1/queues/{queue}/messages/batch", "post", "requestBody", "content"}, []string{"application/json", "application/x-ndjson"}},
		{[]string{"/v1/queues/{queue}/receive", "post", "responses", "200", "content"}, []string{"*/*", "application/json"}},
		{[]string{"/v1/queues/{queue}/tail", "get", "responses", "200", "content"}, []string{"application/x-ndjson", "text/event-stream"}},
	} {
		if diff := cmp.Diff(c.want, medias(c.where...)); diff != "" {
			t.Errorf("%v (-want +got):\n%s", c.where, diff)
		}
	}
	item := at(tree, "paths", "/v1/queues/{queue}/tail", "get", "responses", "200", "content", "text/event-stream", "x-item-schema")
	either := map[string]any{"oneOf": []any{
		map[string]any{"$ref": "#/components/schemas/Redrive"}, map[string]any{"$ref": "#/components/schemas/Message"},
	}}
	if diff := cmp.Diff(either, item); diff != "" {
		t.Errorf("item of the stream (-want +got):\n%s", diff)
	}
	if listed := at(tree, "components", "schemas", "TailItem"); listed != nil {
		t.Errorf("the type that lists the items is still there: %v", listed)
	}
	bytesAs := at(tree, "paths", "/v1/queues/{queue}/messages", "post", "requestBody", "content", "*/*", "schema", "format")
	if bytesAs != "binary" {
		t.Errorf("format of a raw body: got %v, want binary", bytesAs)
	}
}

func TestFormsTableHoldsEachOperationOnce(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for _, f := range forms {
		if seen[f.operation] {
			t.Errorf("%s stands twice", f.operation)
		}
		seen[f.operation] = true
		if len(f.request)+len(f.response) == 0 {
			t.Errorf("%s says nothing", f.operation)
		}
	}
}

func TestAFormWithoutOperationIsNoted(t *testing.T) {
	t.Parallel()
	_, notes, err := convert(fixture(t, func(root map[string]any) {
		delete(root["paths"].(map[string]any), "/v1/queues/{queue}/tail")
	}))
	if err != nil {
		t.Fatal(err)
	}
	if !slices.ContainsFunc(notes, func(n string) bool { return strings.Contains(n, "GET /v1/queues/{queue}/tail") }) {
		t.Errorf("notes: got %q, want one about the missing tail", notes)
	}
}

func TestConvertRefuses(t *testing.T) {
	t.Parallel()
	list := []string{"paths", "/v1/queues", "get"}
	for _, c := range []struct {
		name string
		edit func(root map[string]any)
		want string
	}{
		{"another version", func(r map[string]any) { r["swagger"] = "1.2" }, "not a Swagger 2.0 document"},
		{
			"two types of one name", func(r map[string]any) {
				r["definitions"].(map[string]any)["topics.Queue"] = map[string]any{"type": "object"}
			}, "queues.Queue and topics.Queue would both be called Queue",
		},
		{
			"a path without version", func(r map[string]any) {
				paths := r["paths"].(map[string]any)
				paths["/queues"] = paths["/v1/queues"]
				delete(paths, "/v1/queues")
			}, "GET /queues: the path of @Router",
		},
		{"no id", func(r map[string]any) { delete(at(r, list...).(map[string]any), "operationId") }, "GET /v1/queues: @ID is \"\""},
		{"a summary that is a sentence", func(r map[string]any) { at(r, list...).(map[string]any)["summary"] = "Lists." }, "@Summary"},
		{"an unknown tag", func(r map[string]any) { at(r, list...).(map[string]any)["tags"] = []any{"cues"} }, "@Tags"},
		{"a security flag that is no flag", func(r map[string]any) { at(r, list...).(map[string]any)["x-public"] = "yes" }, "@x-public is yes"},
		{
			"a failure that is no Problem", func(r map[string]any) {
				at(r, append(list, "responses")...).(map[string]any)["404"] = map[string]any{
					"description": "x", "schema": map[string]any{"type": "string"},
				}
			}, "404 has a body of application/json",
		},
		{
			"a failure without a body", func(r map[string]any) {
				at(r, append(list, "responses")...).(map[string]any)["404"] = map[string]any{"description": "x"}
			}, "404 has no body",
		},
		{
			"a Problem as success", func(r map[string]any) {
				at(r, append(list, "responses")...).(map[string]any)["202"] = map[string]any{
					"description": "x", "schema": map[string]any{"$ref": "#/definitions/handlers.Problem"},
				}
			}, "202 has a body of application/problem+json",
		},
		{
			"a field without an example", func(r map[string]any) {
				delete(at(r, "definitions", "queues.Redrive", "properties", "to").(map[string]any), "example")
			}, "Redrive.to: give it an example",
		},
		{"no success", func(r map[string]any) { delete(at(r, append(list, "responses")...).(map[string]any), "200") }, "no @Success"},
		{
			"a body of no type", func(r map[string]any) {
				delete(at(r, "paths", "/v1/queues/{queue}", "put").(map[string]any), "consumes")
			}, "add @Accept json",
		},
		{
			"an undeclared path parameter", func(r map[string]any) {
				delete(at(r, "paths", "/v1/queues/{queue}/tail", "get").(map[string]any), "parameters")
			}, "path parameter",
		},
		{
			"a raw request without a body", func(r map[string]any) {
				op := at(r, "paths", "/v1/queues/{queue}/messages", "post").(map[string]any)
				op["parameters"] = op["parameters"].([]any)[:1]
			}, "names a request body",
		},
		{
			"a stream without an answer 200", func(r map[string]any) {
				op := at(r, "paths", "/v1/queues/{queue}/tail", "get").(map[string]any)
				op["responses"] = map[string]any{"204": map[string]any{"description": "x"}}
			}, "names an answer 200",
		},
		{
			"a stream of one of nothing", func(r map[string]any) {
				at(r, "paths", "/v1/queues/{queue}/tail", "get", "responses", "200").(map[string]any)["schema"] = map[string]any{
					"$ref": "#/definitions/handlers.message",
				}
			}, "needs a type whose members are those types",
		},
		{
			"a reference to nothing", func(r map[string]any) {
				delete(r["definitions"].(map[string]any), "queues.Redrive")
			}, "Redrive",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			_, _, err := convert(fixture(t, c.edit))
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want an error with %q", err, c.want)
			}
		})
	}
}

func TestConvertTakesADocumentWithoutOperations(t *testing.T) {
	t.Parallel()
	doc, _, err := convert([]byte(`{"swagger":"2.0","info":{"title":"T","version":"1"},"paths":{}}`))
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Contains(doc, []byte(`"paths": {}`)) {
		t.Errorf("got %s, want empty paths", doc)
	}
}

func TestRunWritesTheDocumentAndItsNotes(t *testing.T) {
	t.Parallel()
	out := filepath.Join(t.TempDir(), "openapi.json")
	var warn bytes.Buffer
	if err := run("testdata/swagger.json", out, &warn); err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	_, want := converted(t)
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("file (-want +got):\n%s", diff)
	}
	if !strings.Contains(warn.String(), "GET /v1/queues/{queue}/ws") {
		t.Errorf("notes: got %q, want one about GET /v1/queues/{queue}/ws", warn.String())
	}
	if err := run("testdata/none.json", out, &warn); err == nil {
		t.Error("a missing input: got no error")
	}
}
