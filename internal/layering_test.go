// Package internal_test holds tests about the repository as a whole.
package internal_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const module = "github.com/sluicemq/sluice"

// floors lists every package of the program from the ground up, by its path below the module ("." is the program
// itself). A package may import what stands on a lower floor. Two packages on one floor are blind to each other.
//
// A new package gets a line here, on the lowest floor on which it can live.
var floors = [][]string{
	{"internal/errs", "internal/clock", "internal/addr", "internal/cron", "internal/logtail", "internal/mail", "internal/policy", "internal/rawjson", "internal/reach", "internal/suggest", "auth/sigv4", "openapi", "web"},
	tools,
	{"tenants"},
	{"queues", "auth"},
	{"topics"},
	{"topics/webhook"},
	{"monitor"},
	{"monitor/alarms"},
	{"monitor/feed"},
	{"handlers", "handlers/aws"},
	{"server"},
	{"."},
}

// tools is the one floor whose packages may import each other: Go itself forbids circles.
var tools = []string{
	"internal/audit",    // who changed what
	"internal/bench",    // load generator: speaks HTTP
	"internal/demo",     // believable traffic: speaks HTTP
	"internal/egress",   // the one guarded client for outgoing HTTP
	"internal/embedded", // the Redis that Sluice starts by itself
	"internal/engine",   // Redis client, scripts, outcomes, key names
	"internal/filter",   // filter policies
	"internal/keyring",  // installation secret and what is derived from it
	"internal/oidc",     // tokens of identity providers
	"internal/room",     // memory of requests and answers
	"internal/schema",   // JSON Schemas, and how they follow each other
	"internal/search",   // search language
	"internal/tasks",    // work in steps that survives a crash
}

// kits are packages for tests. Only test files and other kits import them; they may import every lower floor.
// The number is the index of the highest floor that a kit may import.
var kits = map[string]int{
	"internal/faultnet":          floorOf("internal/engine"),
	"internal/oidc/oidctest":     floorOf("internal/engine"),
	"internal/egress/egresstest": floorOf("internal/engine"),
	"internal/mail/mailtest":     floorOf("internal/engine"),
	"internal/redistest":         floorOf("internal/engine"),
	"queues/queuetest":           floorOf("queues"),
	"server/servertest":          floorOf("server"),
}

// alone are programs and tests that stand outside of the house: nobody imports them. Tests of the whole repository,
// in internal itself, may import everything.
var alone = []string{"internal", "internal/tools/openapi"}

// guarded are third-party modules that only some packages may import. Tests may use a guarded module where they
// look at what the code left behind, unless strict is set.
var guarded = []struct {
	prefix, why string
	strict      bool
	allowed     []string
}{
	{
		prefix: "github.com/labstack/", strict: true,
		why:     "the web framework stays at the edge, so that replacing it touches two packages",
		allowed: []string{"handlers", "server"},
	},
	{
		prefix: "github.com/redis/",
		why:    "Redis is spoken to where state is kept, by that package's own scripts",
		allowed: []string{
			"internal/engine", "internal/embedded", "internal/tasks", "internal/redistest", "internal/faultnet",
			"internal/bench", "tenants", "queues", "auth", "topics", "server", "server/servertest",
		},
	},
}

// callers are the packages that may make outgoing HTTP requests. Test files and kits may too.
var callers = []string{"internal/egress", "internal/bench", "internal/demo"}

// outgoing are the names of net/http by which a request leaves the process.
var outgoing = []string{"Client", "DefaultClient", "DefaultTransport", "Get", "Head", "Post", "PostForm", "Transport"}

// pkg is what the rules need to know of a package. All paths of our own are below the module.
type pkg struct {
	path    string
	imports []string // of the code
	tested  []string // of the tests
	http    []string // uses of net/http for outgoing requests, as "file:line: http.Get"
}

func TestHouseKeepsItsFloors(t *testing.T) {
	t.Parallel()
	pkgs, err := list("../...")
	if err != nil {
		t.Fatal(err)
	}
	if len(pkgs) < 3 {
		t.Fatalf("go list found %d packages; is this still the root of the module?", len(pkgs))
	}
	for _, fault := range faults(pkgs) {
		t.Error(fault)
	}
}

func TestRulesCatchEachFault(t *testing.T) {
	t.Parallel()
	const echo, redis = "github.com/labstack/echo/v4", "github.com/redis/go-redis/v9"
	for _, c := range []struct {
		name string
		pkg  pkg
		want string // "" for a package that is as it should be
	}{
		{"down", pkg{path: "queues", imports: []string{"tenants", "internal/engine", "internal/errs", redis}}, ""},
		{"up", pkg{path: "tenants", imports: []string{"queues"}}, "tenants imports queues, which stands above it"},
		{"far up", pkg{path: "internal/engine", imports: []string{"server"}}, "internal/engine imports server, which stands above it"},
		{"siblings", pkg{path: "auth", imports: []string{"queues"}}, "auth imports queues, its neighbour"},
		{"protocols", pkg{path: "handlers/aws", imports: []string{"handlers"}}, "handlers/aws imports handlers, its neighbour"},
		{"protocols reversed", pkg{path: "handlers", imports: []string{"handlers/aws"}}, "handlers imports handlers/aws, its neighbour"},
		{"webhook above topics", pkg{path: "topics", imports: []string{"topics/webhook"}}, "topics imports topics/webhook, which"},
		{"monitor below handlers", pkg{path: "monitor", imports: []string{"topics/webhook", "handlers"}}, "monitor imports handlers, which"},
		{"tools share", pkg{path: "internal/tasks", imports: []string{"internal/engine", "internal/clock", redis}}, ""},
		{"ground floor", pkg{path: "internal/errs", imports: []string{"internal/clock"}}, "internal/errs imports internal/clock, its neighbour"},
		{"program", pkg{path: ".", imports: []string{"server", "internal/bench", "internal/errs"}}, ""},
		{"program imported", pkg{path: "server", imports: []string{"."}}, "server imports ., which stands above it"},

		{"unknown", pkg{path: "billing"}, "billing is new: add it to floors in internal/layering_test.go"},
		{"unknown import", pkg{path: "server", imports: []string{"billing"}}, "server imports billing, which is new"},
		{"tool imported", pkg{path: "server", imports: []string{"internal/tools/openapi"}}, "which nobody may import"},

		{"kit in code", pkg{path: "queues", imports: []string{"internal/redistest"}}, "queues imports the test kit internal/redistest outside of a test"},
		{"kit in test", pkg{path: "queues", tested: []string{"internal/redistest", "internal/faultnet"}}, ""},
		{"high kit in low test", pkg{path: "queues", tested: []string{"server/servertest"}}, ""},
		{"kit in kit", pkg{path: "server/servertest", imports: []string{"internal/redistest", "server", "auth"}}, ""},
		{"kit too high", pkg{path: "internal/redistest", imports: []string{"queues"}}, "internal/redistest imports queues, which stands above it"},

		{"test of itself", pkg{path: "queues", tested: []string{"queues", "tenants"}}, ""},
		{"test beside", pkg{path: "auth", tested: []string{"queues"}}, ""},
		{"test up", pkg{path: "queues", tested: []string{"handlers"}}, "a test of queues imports handlers, which stands above it"},
		{"test of the whole", pkg{path: "internal", tested: []string{"server", "queues", redis, "internal/redistest"}}, ""},

		{"echo at the edge", pkg{path: "handlers", imports: []string{echo}}, ""},
		{"echo in the domain", pkg{path: "queues", imports: []string{echo}}, "queues imports " + echo},
		{"echo in aws", pkg{path: "handlers/aws", imports: []string{echo}}, "handlers/aws imports " + echo},
		{"echo's relatives", pkg{path: "auth", imports: []string{"github.com/labstack/echo-jwt/v4"}}, "auth imports github.com/labstack/echo-jwt/v4"},
		{"echo in a test", pkg{path: "queues", tested: []string{echo}}, "a test of queues imports " + echo},
		{"redis at the edge", pkg{path: "handlers", imports: []string{redis}}, "handlers imports " + redis},
		{"redis in a test", pkg{path: "handlers", tested: []string{redis}}, ""},
		{"redis in the kit", pkg{path: "internal/redistest", imports: []string{redis}}, ""},
		{"redis below webhook", pkg{path: "topics/webhook", imports: []string{redis}}, "topics/webhook imports " + redis},

		{"client in egress", pkg{path: "internal/egress", http: []string{"x.go:1: http.Client"}}, ""},
		{"client in a kit", pkg{path: "server/servertest", http: []string{"x.go:1: http.Client"}}, ""},
		{"client elsewhere", pkg{path: "auth", http: []string{"x.go:1: http.Get"}}, "x.go:1: http.Get makes outgoing requests"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			got := faults([]pkg{c.pkg})
			switch {
			case c.want == "" && len(got) > 0:
				t.Errorf("got %q, want no fault", got)
			case c.want != "" && (len(got) != 1 || !strings.Contains(got[0], c.want)):
				t.Errorf("got %q, want one fault with %q", got, c.want)
			}
		})
	}
}

func TestOutgoingHTTPIsFound(t *testing.T) {
	t.Parallel()
	const src = `package p

import (
	"net/http"
	other "net/http"

	"example.test/shadow/http2"
)

var client = &http.Client{}

func f(w http.ResponseWriter, r *http.Request, c http2.Client) {
	_, _ = http.Get("x")
	_, _ = other.DefaultClient.Do(r)
	http.Error(w, "no", http.StatusNotFound)
	http.NewRequest("GET", "x", nil)
}
`
	got, err := outgoingUses(token.NewFileSet(), "p.go", src)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"p.go:10: http.Client", "p.go:13: http.Get", "p.go:14: http.DefaultClient"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("uses (-want +got):\n%s", diff)
	}
	if got, err = outgoingUses(token.NewFileSet(), "q.go", "package p\nimport . \"net/http\"\n"); err != nil || len(got) != 1 {
		t.Errorf("a dot import: got %q and %v, want one use", got, err)
	}
}

// faults returns a sentence for each rule that a package breaks.
func faults(pkgs []pkg) (found []string) {
	for _, p := range pkgs {
		if !known(p.path) {
			found = append(found, p.path+" is new: add it to floors in internal/layering_test.go, "+
				"on the lowest floor on which it can live (or to kits or alone, if it is one of these)")
			continue
		}
		for _, to := range p.imports {
			found = append(found, importFault(p.path, to)...)
		}
		for _, to := range p.tested {
			found = append(found, testImportFault(p.path, to)...)
		}
		if _, kit := kits[p.path]; !kit && !slices.Contains(callers, p.path) {
			for _, use := range p.http {
				found = append(found, use+" makes outgoing requests in "+p.path+": take the client of internal/egress")
			}
		}
	}
	return found
}

// importFault judges an import in code.
func importFault(from, to string) []string {
	if isThirdParty(to) {
		return guardFault(from, from, to, false)
	}
	if _, kit := kits[to]; kit {
		if _, inKit := kits[from]; inKit {
			return nil
		}
		return []string{fmt.Sprintf("%s imports the test kit %s outside of a test", from, to)}
	}
	if fault := strangerFault(from, to); fault != nil {
		return fault
	}
	if slices.Contains(alone, from) {
		return nil
	}
	if highest, kit := kits[from]; kit {
		if floorOf(to) > highest {
			return []string{fmt.Sprintf("%s imports %s, which stands above it", from, to)}
		}
		return nil
	}
	switch a, b := floorOf(from), floorOf(to); {
	case b > a:
		return []string{fmt.Sprintf("%s imports %s, which stands above it", from, to)}
	case b == a && !slices.Contains(tools, from):
		return []string{fmt.Sprintf("%s imports %s, its neighbour: what both need belongs on a lower floor", from, to)}
	}
	return nil
}

// testImportFault judges an import in a test file, which may also take kits and neighbours.
func testImportFault(from, to string) []string {
	if isThirdParty(to) {
		return guardFault("a test of "+from, from, to, true)
	}
	if _, kit := kits[to]; kit || from == to || slices.Contains(alone, from) {
		return nil
	}
	if fault := strangerFault("a test of "+from, to); fault != nil {
		return fault
	}
	floor, kit := kits[from]
	if !kit {
		floor = floorOf(from)
	}
	if floorOf(to) > floor {
		return []string{fmt.Sprintf("a test of %s imports %s, which stands above it", from, to)}
	}
	return nil
}

// strangerFault judges imports of packages that stand on no floor.
func strangerFault(from, to string) []string {
	switch {
	case slices.Contains(alone, to):
		return []string{fmt.Sprintf("%s imports %s, which nobody may import", from, to)}
	case !known(to):
		return []string{fmt.Sprintf("%s imports %s, which is new: add it to floors in internal/layering_test.go", from, to)}
	}
	return nil
}

// guardFault judges an import of a third-party package. who is how the sentence calls the package from.
func guardFault(who, from, to string, test bool) []string {
	for _, g := range guarded {
		if strings.HasPrefix(to, g.prefix) && !slices.Contains(g.allowed, from) && (g.strict || !test) {
			return []string{fmt.Sprintf("%s imports %s: %s", who, to, g.why)}
		}
	}
	return nil
}

func known(p string) bool {
	_, kit := kits[p]
	return kit || slices.Contains(alone, p) || floorOf(p) >= 0
}

// floorOf returns the index of the floor on which p stands, and -1 for none.
func floorOf(p string) int {
	return slices.IndexFunc(floors, func(floor []string) bool { return slices.Contains(floor, p) })
}

// isThirdParty reports whether p is a path as list leaves it for packages of others, and not one below our module.
// The first part of theirs is a host name; those of the standard library never reach the rules.
func isThirdParty(p string) bool {
	first, _, _ := strings.Cut(p, "/")
	return p != "." && strings.Contains(first, ".")
}

// list asks the go command for the packages of this module.
func list(pattern string) ([]pkg, error) {
	// With -e a package that does not compile is still judged by its imports; the compiler reports the rest.
	out, err := exec.Command("go", "list", "-e", "-json=ImportPath,Dir,GoFiles,CgoFiles,IgnoredGoFiles,Imports,TestImports,XTestImports", pattern).Output()
	if err != nil {
		if failed, ok := errors.AsType[*exec.ExitError](err); ok {
			return nil, fmt.Errorf("go list: %w: %s", err, failed.Stderr)
		}
		return nil, fmt.Errorf("go list: %w", err)
	}
	var pkgs []pkg
	for dec := json.NewDecoder(bytes.NewReader(out)); ; {
		var l struct {
			ImportPath, Dir                    string
			GoFiles, CgoFiles, IgnoredGoFiles  []string
			Imports, TestImports, XTestImports []string
		}
		if err := dec.Decode(&l); errors.Is(err, io.EOF) {
			return pkgs, nil
		} else if err != nil {
			return nil, fmt.Errorf("go list: %w", err)
		}
		p := pkg{path: below(l.ImportPath), imports: ours(l.Imports), tested: ours(l.TestImports, l.XTestImports)}
		for _, name := range slices.Concat(l.GoFiles, l.CgoFiles, l.IgnoredGoFiles) {
			if strings.HasSuffix(name, "_test.go") {
				continue // ignored here by its build tags
			}
			uses, err := outgoingUses(token.NewFileSet(), filepath.Join(l.Dir, name), nil)
			if err != nil {
				continue // the compiler says it better
			}
			p.http = append(p.http, uses...)
		}
		pkgs = append(pkgs, p)
	}
}

// ours merges lists of import paths, drops the standard library and cuts the module from our own paths.
func ours(lists ...[]string) []string {
	var kept []string
	for _, p := range slices.Concat(lists...) {
		if first, _, _ := strings.Cut(p, "/"); strings.Contains(first, ".") {
			kept = append(kept, below(p))
		}
	}
	slices.Sort(kept)
	return slices.Compact(kept)
}

// below cuts the module from p, if it is ours.
func below(p string) string {
	if p == module {
		return "."
	}
	return strings.TrimPrefix(p, module+"/")
}

// outgoingUses finds where a file uses net/http to call others. src is as for parser.ParseFile.
func outgoingUses(fset *token.FileSet, name string, src any) (uses []string, err error) {
	file, err := parser.ParseFile(fset, name, src, parser.SkipObjectResolution)
	if err != nil {
		return nil, err
	}
	called := map[string]bool{} // the names that net/http has in this file
	for _, spec := range file.Imports {
		p, _ := strconv.Unquote(spec.Path.Value)
		switch {
		case p != "net/http":
		case spec.Name == nil:
			called[path.Base(p)] = true
		case spec.Name.Name == ".":
			uses = append(uses, fmt.Sprintf("%s:%d: import . \"net/http\"", name, fset.Position(spec.Pos()).Line))
		default:
			called[spec.Name.Name] = true
		}
	}
	ast.Inspect(file, func(n ast.Node) bool {
		if sel, ok := n.(*ast.SelectorExpr); ok {
			if x, ok := sel.X.(*ast.Ident); ok && called[x.Name] && slices.Contains(outgoing, sel.Sel.Name) {
				uses = append(uses, fmt.Sprintf("%s:%d: http.%s", name, fset.Position(sel.Pos()).Line, sel.Sel.Name))
			}
		}
		return true
	})
	return uses, nil
}
