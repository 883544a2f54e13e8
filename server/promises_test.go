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

// numberedTest is the number of a promise or a rule, and a package with tests of it.
type numberedTest struct{ number, pkg string }

// numberedTests returns the tests that bear such a number, from TestG1a_NothingIsLost… in queues/some_test.go.
func numberedTests(tb testing.TB, number string) map[numberedTest][]string {
	tb.Helper()
	tests := map[numberedTest][]string{}
	name := regexp.MustCompile(`(?m)^func Test(` + number + `)(?:_|[A-Z])\w*\(`)
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
			p := numberedTest{m[1], pkg}
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
	namesItsTests(t, "../docs/promises.md", `G\d+[a-k]?`, 20)
	namesItsTests(t, "../docs/promises.md", `A\d+`, 22)
}

// So it is with the rules of SQS and SNS.
func TestRulesNameTheirTests(t *testing.T) {
	t.Parallel()
	namesItsTests(t, "../docs/compatibility.md", `Q\d+`, 70)
	namesItsTests(t, "../docs/compatibility.md", `W\d+`, 5)
	namesItsTests(t, "../docs/compatibility.md", `N\d+`, 15)
}

// namesItsTests fails the test unless each row of the tables of a page has the tests that it names, and each test with a
// number like theirs has a row. A page with fewer rows than it had has another form.
func namesItsTests(t *testing.T, page, form string, fewest int) {
	t.Helper()
	raw, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	tests, named := numberedTests(t, form), map[numberedTest]bool{}
	row := regexp.MustCompile(`^\| (` + form + `[^|]*) \|.*\| ([^|]*) \|$`)
	number, code := regexp.MustCompile(form), regexp.MustCompile("`([^`]*)`")
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
			t.Errorf("the row of %s names tests of %d numbers, in %q", m[1], patterns, pkgs)
		}
		for _, n := range numbers {
			for _, pkg := range pkgs {
				p := numberedTest{n, pkg}
				if named[p] = true; len(tests[p]) == 0 {
					t.Errorf("%s has no test in %s", n, pkg)
				}
			}
		}
	}
	for p, names := range tests {
		if !named[p] {
			t.Errorf("%s does not name %s in %s for %s", page, strings.Join(names, ", "), p.pkg, p.number)
		}
	}
	if rows < fewest {
		t.Errorf("%s has %d rows; has its form changed?", page, rows)
	}
	t.Logf("%s: %d rows, %d packages with tests", page, rows, len(tests))
}
