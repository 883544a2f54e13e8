// Command openapi turns the Swagger 2.0 document that swag writes into the OpenAPI 3.0.3 document that Sluice serves.
//
//	openapi IN OUT
//
// IN is swag's swagger.json, OUT the file to write. The same input always gives the same bytes, so that a comparison
// with the committed file shows whether somebody forgot to generate it.
package main

import (
	"fmt"
	"io"
	"os"
)

func main() {
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "usage: openapi IN OUT")
		os.Exit(2)
	}
	if err := run(os.Args[1], os.Args[2], os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, "openapi:", err)
		os.Exit(1)
	}
}

// run converts the file in to the file out and writes to warn what a person should look at.
func run(in, out string, warn io.Writer) error {
	swagger, err := os.ReadFile(in)
	if err != nil {
		return fmt.Errorf("read swag's document: %w", err)
	}
	doc, warnings, err := convert(swagger)
	if err != nil {
		return err
	}
	for _, w := range warnings {
		fmt.Fprintln(warn, "openapi: note:", w)
	}
	if err := os.WriteFile(out, doc, 0o644); err != nil { //nolint:gosec // a source file, readable like its neighbours
		return fmt.Errorf("write the document: %w", err)
	}
	return nil
}
