package main

import (
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"
)

var operationIDs = regexp.MustCompile(`^[a-z][A-Za-z0-9]*$`)

// houseRules returns everything that is legal in OpenAPI and not in this API.
func houseRules(doc *openapi3.T) error {
	var faults []error
	all := operations(doc)
	for _, name := range slices.Sorted(maps.Keys(all)) {
		for _, fault := range operationFaults(doc, name, all[name]) {
			faults = append(faults, fmt.Errorf("%s: %s", name, fault))
		}
	}
	return errors.Join(faults...)
}

func operationFaults(doc *openapi3.T, name string, op *openapi3.Operation) (faults []string) {
	if _, path, _ := strings.Cut(name, " "); !strings.HasPrefix(path, "/v1/") && !strings.HasPrefix(path, "/.well-known/") {
		faults = append(faults, "the path of @Router is written in full and begins with /v1/, or with /.well-known/ where a standard says so")
	}
	if !operationIDs.MatchString(op.OperationID) {
		faults = append(faults, fmt.Sprintf("@ID is %q; it names the operation in camelCase, as putQueue does", op.OperationID))
	}
	if op.Summary == "" || strings.HasSuffix(op.Summary, ".") {
		faults = append(faults, "@Summary is a short phrase without a full stop")
	}
	if len(op.Tags) != 1 || doc.Tags.Get(op.Tags[0]) == nil {
		faults = append(faults, "@Tags holds exactly one tag, which the general comment declares with @tag.name")
	}
	if b := op.RequestBody; b != nil && b.Value != nil {
		if m := b.Value.Content[string(raw)]; m != nil && m.Schema.Value.Format != "binary" {
			faults = append(faults, "the request may be of any type: add @Accept json, or a row to forms in media.go")
		}
	}
	succeeds := false
	for _, status := range slices.Sorted(maps.Keys(op.Responses.Map())) {
		failed := status >= "400"
		succeeds = succeeds || !failed
		for media, m := range op.Responses.Value(status).Value.Content {
			if failed != (media == mediaProblem && isProblem(m.Schema)) {
				faults = append(faults, fmt.Sprintf("%s has a body of %s: failures, and only they, are a %s", status, media, problemName))
			}
		}
		if failed && len(op.Responses.Value(status).Value.Content) == 0 {
			faults = append(faults, fmt.Sprintf("%s has no body: write {object} %s", status, problemName))
		}
	}
	if !succeeds {
		faults = append(faults, "no @Success")
	}
	return faults
}
