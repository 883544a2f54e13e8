package engine_test

import (
	"context"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"
	lua "github.com/yuin/gopher-lua"
	"github.com/yuin/gopher-lua/ast"
	"github.com/yuin/gopher-lua/parse"

	"github.com/sluicemq/sluice/internal/engine"
	"github.com/sluicemq/sluice/internal/redistest"
)

const goodHeader = `-- Does something.
-- KEYS[1] HASH a key
-- ARGV[3] an argument
-- Returns: "ok"
-- Flags: none
-- Again: nothing changes.
`

func load(text string, more ...string) (*engine.Script, error) {
	files := fstest.MapFS{"lua/s.lua": {Data: []byte(text)}}
	for i := 0; i < len(more); i += 2 {
		files["lua/"+more[i]+".lua"] = &fstest.MapFile{Data: []byte(more[i+1])}
	}
	return engine.Load(files, "s")
}

func TestAScriptSaysWhatItDoes(t *testing.T) {
	t.Parallel()
	without := func(prefix string) string {
		var kept []string
		for line := range strings.Lines(goodHeader) {
			if !strings.HasPrefix(line, prefix) {
				kept = append(kept, line)
			}
		}
		return strings.Join(kept, "")
	}
	for _, tc := range []struct {
		name, text, want string // want: a part of the error, or "" for none
		more             []string
	}{
		{name: "good", text: goodHeader + "return redis.call('HGET', KEYS[1], ARGV[3])"},
		{name: "without a sentence", text: without("-- Does"), want: "the header needs"},
		{name: "without Returns", text: without("-- Returns"), want: "the header needs"},
		{name: "without Flags", text: without("-- Flags"), want: "the header needs"},
		{name: "without Again", text: without("-- Again"), want: "the header needs"},
		{name: "without a header", text: "return 1", want: "the header needs"},
		{name: "header behind the code", text: "return 1\n" + goodHeader, want: "the header needs"},
		{name: "flag", text: strings.Replace(goodHeader, "none", "allow_oom", 1), want: `flags "allow_oom"`},
		{name: "two flags", text: strings.Replace(goodHeader, "none", "allow-oom,no-writes", 1), want: `flags "allow-oom,no-writes"`},
		{name: "undeclared key", text: goodHeader + "return KEYS[2]", want: "KEYS[2] is used"},
		{name: "undeclared argument", text: goodHeader + "return ARGV[4]", want: "ARGV[4] is used"},
		{name: "clocks need no words", text: goodHeader + "return ARGV[1] + ARGV[2]"},
		{name: "open end", text: strings.Replace(goodHeader, "ARGV[3]", "ARGV[3+]", 1) + "return ARGV[17]"},
		{name: "before the open end", text: strings.Replace(goodHeader, "ARGV[3]", "ARGV[5+]", 1) + "return ARGV[4]", want: "ARGV[4] is used"},
		{name: "included", text: goodHeader + "--- @include \"lib/a\"\nreturn a(KEYS[1])", more: []string{"lib/a", "-- A.\nlocal function a(k) return k end\n"}},
		{name: "shared", text: goodHeader + "--- @include \"lib/clock\"\nreturn read_clock(0)"},
		{name: "key of an include", text: goodHeader + "--- @include \"lib/a\"\nreturn KEYS[2]", more: []string{"lib/a", "-- KEYS[2] SET another key\n"}},
		{name: "undeclared key of an include", text: goodHeader + "--- @include \"lib/a\"\n", more: []string{"lib/a", "local x = KEYS[3]\n"}, want: "KEYS[3] is used"},
		{name: "unknown include", text: goodHeader + "--- @include \"lib/b\"\n", want: `include "lib/b"`},
		{name: "unknown include of an include", text: goodHeader + "--- @include \"lib/a\"\n", more: []string{"lib/a", "--- @include \"lib/b\"\n"}, want: `include "lib/b"`},
		{name: "include without quotes", text: goodHeader + "--- @include lib/clock\n", want: "@include lib/clock"},
		{name: "include with two dashes", text: goodHeader + "-- @include \"lib/clock\"\n", want: "@include"},
		{name: "include with a blank behind it", text: goodHeader + "--- @include \"lib/clock\" \n", want: "@include"},
		{name: "indented include", text: goodHeader + "  --- @include \"lib/clock\"\n", want: "@include"},
		{name: "include of what lies outside", text: goodHeader + "--- @include \"../secret\"\n", want: "@include"},
		{name: "malformed include of an include", text: goodHeader + "--- @include \"lib/a\"\n", more: []string{"lib/a", "---@include \"lib/b\"\n"}, want: "@include"},
	} {
		_, err := load(tc.text, tc.more...)
		switch {
		case tc.want == "" && err != nil:
			t.Errorf("%s: refused: %v", tc.name, err)
		case tc.want != "" && (err == nil || !strings.Contains(err.Error(), tc.want)):
			t.Errorf("%s: got %v, want an error with %s", tc.name, err, tc.want)
		}
	}
	if _, err := engine.Load(fstest.MapFS{}, "none"); err == nil {
		t.Error("a script that does not exist was loaded")
	}
	defer func() {
		if recover() == nil {
			t.Error("MustLoad did not panic")
		}
	}()
	engine.MustLoad(fstest.MapFS{}, "none")
}

func TestAHeaderIsRead(t *testing.T) {
	t.Parallel()
	s, err := load(strings.Replace(goodHeader, "none", "allow-oom", 1)+"--- @include \"lib/a\"\nreturn 'ok'\n",
		"lib/a", "-- KEYS[2] SET another\n-- ARGV[4+] more\nlocal a = 1\n")
	if err != nil {
		t.Fatal(err)
	}
	want := engine.Header{
		Summary: "Does something.", Keys: []int{1, 2}, Args: []int{1, 2, 3, 4},
		Returns: `"ok"`, Flags: "allow-oom", Again: "nothing changes.",
	}
	if diff := cmp.Diff(want, s.Header); diff != "" {
		t.Errorf("header (-want +got):\n%s", diff)
	}
	if !s.Drains || s.ReadOnly || s.Name != "s" {
		t.Errorf("got %+v, want one that drains", s)
	}
}

func TestAnIncludeIsDrawnInOnce(t *testing.T) {
	t.Parallel()
	s, err := load(goodHeader+"--- @include \"lib/a\"\n--- @include \"lib/b\"\n--- @include \"lib/a\"\nreturn a + b\n",
		"lib/a", "--- @include \"lib/b\"\nlocal a = b\n", // and around in a circle
		"lib/b", "--- @include \"lib/a\"\nlocal b = 1\n")
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{"local a = b", "local b = 1"} {
		if n := strings.Count(s.Text(), line); n != 1 {
			t.Errorf("%q is there %d times, want once:\n%s", line, n, s.Text())
		}
	}
	if strings.Index(s.Text(), "local b") > strings.Index(s.Text(), "local a") {
		t.Errorf("what a needs must come before it:\n%s", s.Text())
	}
}

func TestAPackagesOwnIncludeComesBeforeTheSharedOne(t *testing.T) {
	t.Parallel()
	s, err := load(goodHeader+"--- @include \"lib/clock\"\nreturn 1\n", "lib/clock", "local mine = 1\n")
	if err != nil || !strings.Contains(s.Text(), "local mine") || strings.Contains(s.Text(), "read_clock") {
		t.Errorf("got %v, %v", s, err)
	}
}

// module is one Lua file of the program.
type module struct {
	name string // such as "queues/send"
	raw  string
	*engine.Script
}

// modules loads every script of the program, whichever package it belongs to.
func modules(t *testing.T) []module {
	t.Helper()
	const root = "../.."
	var list []module
	err := filepath.WalkDir(root, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && (d.Name() == "node_modules" || d.Name() == "testdata" || p != root && strings.HasPrefix(d.Name(), ".")) {
			return filepath.SkipDir
		}
		if d.IsDir() || filepath.Ext(p) != ".lua" || path.Base(path.Dir(filepath.ToSlash(p))) != "lua" {
			return nil
		}
		dir := filepath.Dir(filepath.Dir(p))
		raw, err := os.ReadFile(p)
		if err != nil {
			return err
		}
		name := strings.TrimSuffix(filepath.Base(p), ".lua")
		rel, _ := filepath.Rel(root, dir)
		s, err := engine.Load(os.DirFS(dir), name)
		if err != nil {
			t.Errorf("%s: %v", p, err)
			return nil
		}
		list = append(list, module{filepath.ToSlash(rel) + "/" + name, string(raw), s})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(list) < 40 {
		t.Fatalf("%d scripts were found; is this still the root of the module?", len(list))
	}
	return list
}

// adds are the scripts that Redis may refuse when it is out of memory, because they make something new. All others
// must run then: a full queue is drained, purged and deleted, and what was begun is finished. A new script that is
// refused gets a line here.
var adds = []string{
	"auth/index", "auth/note_uses", "auth/open_session", "auth/put_member", "auth/put_portal_link", "auth/register", "auth/register_operator", "auth/rotate", "auth/rotate_operator", "internal/engine/epoch",
	"monitor/alarms/enter", "monitor/alarms/put", "monitor/append", "monitor/pack", "monitor/tally",
	"queues/confirm", "queues/deliver", "queues/init", "queues/lives_make", "queues/register", "queues/schedule_put", "queues/send", "queues/state_put",
	"tenants/claim", "tenants/plan_put", "tenants/request_log_add", "tenants/reserve", "tenants/trouble_add", "tenants/update", "tenants/usage_add",
	"topics/accept", "topics/init", "topics/publish", "topics/put_pattern", "topics/set_schemas", "topics/signing_key", "topics/subscribe", "topics/webhook/configure", "topics/webhook/enqueue", "topics/webhook/keep",
}

func TestScriptsThatDrainRunWithoutMemory(t *testing.T) {
	t.Parallel()
	for _, m := range modules(t) {
		first, _, _ := strings.Cut(m.Text(), "\n")
		want := map[string]string{"none": "#!lua", "allow-oom": "#!lua flags=allow-oom", "no-writes": "#!lua flags=no-writes"}
		if first != want[m.Header.Flags] {
			t.Errorf("%s begins with %q, want %q", m.name, first, want[m.Header.Flags])
		}
		if strings.HasPrefix(m.MemoryText(), "#!") {
			t.Errorf("%s: the in-memory engine knows no #! lines", m.name)
		}
		if m.Header.Flags == "none" && !slices.Contains(adds, m.name) {
			t.Errorf("%s is refused without memory", m.name)
		}
		if m.name == "queues/send" && m.Header.Flags != "none" {
			t.Errorf("%s must be refused without memory", m.name)
		}
	}
	for _, name := range []string{"receive", "settle", "delete", "delay", "purge", "stats", "pass", "erase", "retire", "unregister", "forget"} {
		if s, err := engine.Load(os.DirFS("../../queues"), name); err != nil || !s.Drains {
			t.Errorf("queues/%s: %v; it drains, so it needs allow-oom", name, err)
		}
	}
}

// known are the names that Redis, Valkey and the in-memory engine all have, as far as the scripts use them.
var known = map[string]bool{
	"redis": true, "KEYS": true, "ARGV": true, "cjson": true, "string": true, "table": true, "math": true,
	"tonumber": true, "type": true, "ipairs": true, "pairs": true, "next": true, "unpack": true, "select": true,
}

// banned are calls that differ between the engines, or that put text into an error, or that write numbers in a way that
// loses digits.
var banned = regexp.MustCompile(`\b(cmsgpack|struct|bit)\s*\.|\bredis\s*\.\s*(error_reply|status_reply|pcall|setresp|set_repl|replicate_commands|sha1hex|log|breakpoint|debug)\b|\b(tostring|loadstring|load|dofile|print|setmetatable|getmetatable|setfenv|getfenv|rawset|rawget|pcall|error|assert)\s*\(|%d`)

func TestScriptsKeepToWhatAllEnginesHave(t *testing.T) {
	t.Parallel()
	for _, m := range modules(t) {
		for n, line := range strings.Split(m.MemoryText(), "\n") {
			code, _, _ := strings.Cut(line, "--")
			// A pattern may look for digits; a format must not print them.
			if hit := banned.FindString(code); hit != "" && (hit != "%d" || strings.Contains(code, "string.format")) {
				t.Errorf("%s line %d uses %s: %s", m.name, n+1, hit, strings.TrimSpace(line))
			}
		}
		chunk, err := parse.Parse(strings.NewReader(m.MemoryText()), m.name)
		if err != nil {
			t.Errorf("%s: %v", m.name, err)
			continue
		}
		proto, err := lua.Compile(chunk, m.name)
		if err != nil {
			t.Errorf("%s: %v", m.name, err)
			continue
		}
		globals(proto, func(name string, assigned bool) {
			if assigned {
				t.Errorf("%s assigns to the global %s", m.name, name)
			} else if !known[name] {
				t.Errorf("%s uses the global %s", m.name, name)
			}
		})
	}
}

// globals calls f for each use of a global in a compiled chunk.
func globals(proto *lua.FunctionProto, f func(name string, assigned bool)) {
	for _, instruction := range proto.Code {
		switch op, constant := int(instruction>>26), int(instruction&0x3ffff); op {
		case lua.OP_GETGLOBAL, lua.OP_SETGLOBAL:
			f(proto.Constants[constant].String(), op == lua.OP_SETGLOBAL)
		}
	}
	for _, inner := range proto.FunctionPrototypes {
		globals(inner, f)
	}
}

// Every key comes from KEYS: no command is given one that the script made.
func TestScriptsMakeNoKeys(t *testing.T) {
	t.Parallel()
	calls := 0
	for _, m := range modules(t) {
		chunk, err := parse.Parse(strings.NewReader(m.MemoryText()), m.name)
		if err != nil {
			t.Errorf("%s: %v", m.name, err)
			continue
		}
		made := map[string]bool{} // locals that hold a text made by the script
		walk(chunk, func(node any) {
			if a, ok := node.(*ast.LocalAssignStmt); ok {
				for i, name := range a.Names {
					if i < len(a.Exprs) && isText(a.Exprs[i]) {
						made[name] = true
					}
				}
			}
		})
		walk(chunk, func(node any) {
			call, ok := node.(*ast.FuncCallExpr)
			if !ok || !isRedisCall(call) || len(call.Args) == 0 {
				return
			}
			calls++
			command, ok := call.Args[0].(*ast.StringExpr)
			if !ok {
				t.Errorf("%s line %d: the command is not written out", m.name, call.Line())
				return
			}
			if command.Value == "TIME" || command.Value == "PUBLISH" {
				return
			}
			if len(call.Args) < 2 {
				t.Errorf("%s line %d: %s without a key", m.name, call.Line(), command.Value)
				return
			}
			name, _ := call.Args[1].(*ast.IdentExpr)
			if isText(call.Args[1]) || name != nil && made[name.Value] {
				t.Errorf("%s line %d: the key of %s is made by the script", m.name, call.Line(), command.Value)
			}
		})
	}
	if calls < 300 {
		t.Errorf("only %d calls were found: the search is broken", calls)
	}
}

// The in-memory engine leaves a local as it was where "a and b" is assigned to it and a is false, unless a is a comparison.
func TestScriptsAssignNoConjunctions(t *testing.T) {
	t.Parallel()
	found := func(text string) (lines []int) {
		chunk, err := parse.Parse(strings.NewReader(text), "script")
		if err != nil {
			t.Fatal(err)
		}
		walk(chunk, func(node any) {
			a, ok := node.(*ast.AssignStmt)
			if !ok {
				return
			}
			for _, e := range a.Rhs {
				if risky(e) {
					lines = append(lines, a.Line())
				}
			}
		})
		return lines
	}
	for _, m := range modules(t) {
		for _, line := range found(m.MemoryText()) {
			t.Errorf("%s line %d: an \"and\" is assigned to a variable that exists; write it with an if", m.name, line)
		}
	}
	for text, want := range map[string]int{
		"local a = 1; a = f() and a > 0": 1, "local a = 1; a = 1 > 0 and f() and a > 0": 1, "local a = 1; a = f() or f() and a > 0": 1,
		"local a = f() and 1 > 0": 0, "local a = 1; a = a > 1 and f()": 0, "local a = 1; a = f() and 'x' or 'y'": 0,
	} {
		if got := len(found(text)); got != want {
			t.Errorf("%s: found %d, want %d", text, got, want)
		}
	}
}

// risky reports whether the value of e may be that of an "and" whose left side is no comparison.
func risky(e ast.Expr) bool {
	op, ok := e.(*ast.LogicalOpExpr)
	if !ok {
		return false
	}
	if op.Operator == "or" {
		return risky(op.Rhs)
	}
	left := op.Lhs
	for {
		inner, ok := left.(*ast.LogicalOpExpr)
		if !ok || inner.Operator != "and" {
			break
		}
		if _, ok := inner.Rhs.(*ast.RelationalOpExpr); !ok {
			return true
		}
		left = inner.Lhs
	}
	_, comparison := left.(*ast.RelationalOpExpr)
	return !comparison
}

func isRedisCall(c *ast.FuncCallExpr) bool {
	get, ok := c.Func.(*ast.AttrGetExpr)
	if !ok {
		return false
	}
	object, ok1 := get.Object.(*ast.IdentExpr)
	name, ok2 := get.Key.(*ast.StringExpr)
	return ok1 && ok2 && object.Value == "redis" && name.Value == "call"
}

func isText(e ast.Expr) bool {
	switch e.(type) {
	case *ast.StringExpr, *ast.StringConcatOpExpr:
		return true
	}
	return false
}

// walk calls f for every statement and expression below node.
func walk(node any, f func(any)) {
	f(node)
	each := func(list ...any) {
		for _, n := range list {
			if n != nil {
				walk(n, f)
			}
		}
	}
	exprs := func(list []ast.Expr) {
		for _, e := range list {
			walk(e, f)
		}
	}
	stmts := func(list []ast.Stmt) {
		for _, s := range list {
			walk(s, f)
		}
	}
	switch n := node.(type) {
	case []ast.Stmt:
		stmts(n)
	case *ast.AssignStmt:
		exprs(n.Lhs)
		exprs(n.Rhs)
	case *ast.LocalAssignStmt:
		exprs(n.Exprs)
	case *ast.FuncCallStmt:
		each(n.Expr)
	case *ast.DoBlockStmt:
		stmts(n.Stmts)
	case *ast.WhileStmt:
		each(n.Condition)
		stmts(n.Stmts)
	case *ast.RepeatStmt:
		each(n.Condition)
		stmts(n.Stmts)
	case *ast.IfStmt:
		each(n.Condition)
		stmts(n.Then)
		stmts(n.Else)
	case *ast.NumberForStmt:
		each(n.Init, n.Limit)
		if n.Step != nil {
			each(n.Step)
		}
		stmts(n.Stmts)
	case *ast.GenericForStmt:
		exprs(n.Exprs)
		stmts(n.Stmts)
	case *ast.FuncDefStmt:
		each(n.Func)
	case *ast.ReturnStmt:
		exprs(n.Exprs)
	case *ast.AttrGetExpr:
		each(n.Object, n.Key)
	case *ast.TableExpr:
		for _, field := range n.Fields {
			if field.Key != nil {
				each(field.Key)
			}
			each(field.Value)
		}
	case *ast.FuncCallExpr:
		if n.Func != nil {
			each(n.Func)
		}
		if n.Receiver != nil {
			each(n.Receiver)
		}
		exprs(n.Args)
	case *ast.LogicalOpExpr:
		each(n.Lhs, n.Rhs)
	case *ast.RelationalOpExpr:
		each(n.Lhs, n.Rhs)
	case *ast.StringConcatOpExpr:
		each(n.Lhs, n.Rhs)
	case *ast.ArithmeticOpExpr:
		each(n.Lhs, n.Rhs)
	case *ast.UnaryMinusOpExpr:
		each(n.Expr)
	case *ast.UnaryNotOpExpr:
		each(n.Expr)
	case *ast.UnaryLenOpExpr:
		each(n.Expr)
	case *ast.FunctionExpr:
		stmts(n.Stmts)
	}
}

// The checks above find what they are for.
func TestTheChecksOfScriptsBite(t *testing.T) {
	t.Parallel()
	for _, bad := range []string{"cmsgpack.pack(1)", "bit.band(1, 2)", "return redis.error_reply(x)", "local s = tostring(n)",
		"string.format('%d', n)", "redis.pcall('GET', k)"} {
		if !banned.MatchString(bad) {
			t.Errorf("%s was not found", bad)
		}
	}
	chunk, err := parse.Parse(strings.NewReader("local a = 1\nfunction f() b = a + c end"), "t")
	if err != nil {
		t.Fatal(err)
	}
	proto, err := lua.Compile(chunk, "t")
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]bool{}
	globals(proto, func(name string, assigned bool) { got[name] = assigned })
	if diff := cmp.Diff(map[string]bool{"f": true, "b": true, "c": false}, got); diff != "" {
		t.Errorf("globals (-want +got):\n%s", diff)
	}
}

// Both engines take every script, and Redis takes the flags.
func TestEveryScriptCompilesOnBothEngines(t *testing.T) {
	t.Parallel()
	server := open(t, engine.Options{URL: redistest.URL(t)}).Single()
	memory := open(t, engine.Options{URL: redistest.Memory(t), Memory: true}).Single()
	for _, m := range modules(t) {
		if err := server.ScriptLoad(context.Background(), m.Text()).Err(); err != nil {
			t.Errorf("%s on Redis: %v", m.name, err)
		}
		if err := memory.ScriptLoad(context.Background(), m.MemoryText()).Err(); err != nil {
			t.Errorf("%s in memory: %v", m.name, err)
		}
	}
}
