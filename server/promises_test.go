package server_test

import (
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// promiseTest is a promise's number and a package with tests of it.
type promiseTest struct{ number, pkg string }

// testsOfPromises returns the tests that bear a promise's number, from TestG1a_NothingIsLost… in queues/some_test.go.
func testsOfPromises(tb testing.TB) map[promiseTest][]string {
	tb.Helper()
	tests := map[promiseTest][]string{}
	name := regexp.MustCompile(`(?m)^func Test(G\d+[a-k]?)(?:_|[A-Z])\w*\(`)
	err := filepath.WalkDir("..", func(file string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && (d.Name() == "node_modules" || d.Name() != ".." && strings.HasPrefix(d.Name(), ".")) {
			return filepath.SkipDir
		}
		if !strings.HasSuffix(file, "_test.go") {
			return nil
		}
		raw, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		pkg := strings.TrimPrefix(path.Dir(filepath.ToSlash(file)), "../")
		for _, m := range name.FindAllStringSubmatch(string(raw), -1) {
			p := promiseTest{m[1], pkg}
			tests[p] = append(tests[p], strings.TrimSuffix(strings.TrimPrefix(m[0], "func "), "("))
		}
		return nil
	})
	if err != nil {
		tb.Fatal(err)
	}
	return tests
}

// A promise without a test is only a wish, and a test without a promise is one that nobody may rely on.
func TestPromisesNameTheirTests(t *testing.T) {
	t.Parallel()
	raw, err := os.ReadFile("../docs/promises.md")
	if err != nil {
		t.Fatal(err)
	}
	tests, named := testsOfPromises(t), map[promiseTest]bool{}
	row := regexp.MustCompile(`^\| (G[^|]*) \|.*\| ([^|]*) \|$`)
	number, code := regexp.MustCompile(`G\d+[a-k]?`), regexp.MustCompile("`([^`]*)`")
	rows := 0
	for line := range strings.Lines(string(raw)) {
		m := row.FindStringSubmatch(strings.TrimSpace(line))
		if m == nil {
			continue
		}
		rows++
		numbers, patterns := number.FindAllString(m[1], -1), 0
		var pkgs []string
		for _, c := range code.FindAllStringSubmatch(m[2], -1) {
			if strings.HasPrefix(c[1], "Test") {
				patterns++
				if n := number.FindString(c[1]); c[1] != "Test"+n+"_…" || !slices.Contains(numbers, n) {
					t.Errorf("the row of %s names %s", m[1], c[1])
				}
			} else {
				pkgs = append(pkgs, c[1])
			}
		}
		if patterns != len(numbers) || len(pkgs) == 0 {
			t.Errorf("the row of %s names tests of %d promises, in %q", m[1], patterns, pkgs)
		}
		for _, n := range numbers {
			for _, pkg := range pkgs {
				p := promiseTest{n, pkg}
				if named[p] = true; len(tests[p]) == 0 {
					t.Errorf("promise %s has no test in %s", n, pkg)
				}
			}
		}
	}
	for p, names := range tests {
		if !named[p] {
			t.Errorf("docs/promises.md does not name %s in %s for %s", strings.Join(names, ", "), p.pkg, p.number)
		}
	}
	if rows < 20 {
		t.Errorf("docs/promises.md has %d promises; has its form changed?", rows)
	}
	t.Logf("%d rows, %d packages with tests of promises", rows, len(tests))
}
