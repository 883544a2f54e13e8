package embedded

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

const (
	engineMemory = "memory"
	kindRedis    = "redis"
	kindValkey   = "valkey"

	// oldestMajor is the first version whose scripts can say what they may do when memory is full (#!lua flags).
	oldestMajor = 7
	// versionLimit is how long a server program may take to print its version; 5 ms are usual.
	versionLimit = 10 * time.Second
)

var errNotOnPath = errors.New("neither valkey-server nor redis-server is on PATH")

// engine is a server program's make and version. The zero value means that it is not known.
type engine struct {
	kind         string // kindRedis or kindValkey
	major, minor int
	version      string // "7.0.15"
}

// binary is a server program on this machine.
type binary struct {
	path string
	engine
}

// String returns what the engine file holds, such as "redis 7.0.15".
func (e engine) String() string { return e.kind + " " + e.version }

// program returns the name under which packages install the engine.
func (e engine) program() string { return e.kind + "-server" }

// find returns the first program on PATH that may open files of the engine wrote. Trying the second where the first
// may not lets an administrator install Valkey beside Redis without losing sight of the data.
func find(ctx context.Context, lookPath func(string) (string, error), wrote engine, dir string) (binary, error) {
	var refused error
	for _, name := range [...]string{"valkey-server", "redis-server"} {
		path, err := lookPath(name)
		if err != nil {
			continue
		}
		bin, err := probe(ctx, path)
		if err == nil {
			err = bin.mayOpen(wrote, dir)
		}
		if err == nil {
			return bin, nil
		}
		refused = errors.Join(refused, err)
	}
	if refused != nil {
		return binary{}, refused
	}
	if wrote != (engine{}) {
		// Not errNotOnPath: nobody may take this for leave to run in memory while there is data.
		return binary{}, fmt.Errorf("%w: %s holds files of %s, but no server is on PATH: install %s %d.%d or later, or move %s away to start empty",
			ErrWrongEngine, dir, wrote, wrote.program(), wrote.major, wrote.minor, dir)
	}
	return binary{}, errNotOnPath
}

// mayOpen returns why the engine must not open files that wrote has written.
func (e engine) mayOpen(wrote engine, dir string) error {
	switch {
	case e.major < oldestMajor:
		return fmt.Errorf("%s is too old, want %s %d.0 or later: upgrade it or set SLUICE_REDIS_URL", e, e.kind, oldestMajor)
	case wrote == (engine{}):
		return nil
	case e.kind != wrote.kind:
		return fmt.Errorf("%w: %s holds files of %s and cannot be opened by %s: install %s %d.%d or later, or move %s away to start empty",
			ErrWrongEngine, dir, wrote, e, wrote.program(), wrote.major, wrote.minor, dir)
	// The file format changes with minor versions too: 7.0, 7.2 and 7.4 of Redis each have their own.
	case e.major < wrote.major || e.major == wrote.major && e.minor < wrote.minor:
		return fmt.Errorf("%w: %s holds files of %s, which is newer than %s: upgrade %s to %d.%d or later, or move %s away to start empty",
			ErrWrongEngine, dir, wrote, e, e.program(), wrote.major, wrote.minor, dir)
	}
	return nil
}

// probe asks a program what it is. Its file name is no proof: distributions link redis-server to valkey-server.
func probe(ctx context.Context, path string) (binary, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return binary{}, fmt.Errorf("resolve %s: %w", path, err)
	}
	ctx, cancel := context.WithTimeout(ctx, versionLimit)
	defer cancel()
	cmd := exec.CommandContext(ctx, path, "--version")
	cmd.Env = childEnv()
	cmd.WaitDelay = time.Second // a grandchild that holds the pipe must not hold us
	out, err := cmd.Output()
	if err != nil {
		return binary{}, fmt.Errorf("ask %s for its version: %w", path, err)
	}
	e, err := parseVersion(string(out), filepath.Base(path))
	if err != nil {
		return binary{}, fmt.Errorf("ask %s for its version: %w", path, err)
	}
	return binary{path: path, engine: e}, nil
}

// parseVersion reads a line like "Redis server v=7.0.15 sha=00000000:0 malloc=jemalloc-5.3.0 bits=64 build=…".
func parseVersion(line, name string) (engine, error) {
	kind := kindRedis
	lower := strings.ToLower(line)
	if strings.Contains(lower, kindValkey) || !strings.Contains(lower, kindRedis) && strings.HasPrefix(name, kindValkey) {
		kind = kindValkey
	}
	for word := range strings.FieldsSeq(line) {
		if version, ok := strings.CutPrefix(word, "v="); ok {
			return parseEngine(kind + " " + version)
		}
	}
	return engine{}, fmt.Errorf("no version in %.80q", line)
}

// parseEngine is the reverse of engine.String.
func parseEngine(text string) (engine, error) {
	words := strings.Fields(text)
	if len(words) != 2 || words[0] != kindRedis && words[0] != kindValkey {
		return engine{}, fmt.Errorf("want an engine such as \"redis 7.0.15\", got %.80q", text)
	}
	parts := strings.Split(words[1], ".")
	if len(parts) < 2 {
		return engine{}, fmt.Errorf("want a version such as 7.0.15, got %.80q", words[1])
	}
	major, errMajor := strconv.Atoi(parts[0])
	minor, errMinor := strconv.Atoi(parts[1])
	if err := errors.Join(errMajor, errMinor); err != nil {
		return engine{}, fmt.Errorf("want a version such as 7.0.15, got %.80q: %w", words[1], err)
	}
	return engine{kind: words[0], major: major, minor: minor, version: words[1]}, nil
}

// readEngine returns the engine that wrote the files, or the zero engine when nothing was written yet.
func readEngine(path string) (engine, error) {
	text, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return engine{}, nil
	}
	if err != nil {
		return engine{}, fmt.Errorf("read which engine wrote the files: %w", err)
	}
	e, err := parseEngine(string(text))
	if err != nil {
		return engine{}, fmt.Errorf("read which engine wrote the files: %s: %w", path, err)
	}
	return e, nil
}

// writeEngine replaces the file in one step: half a version would refuse every later start.
func writeEngine(path string, e engine) error {
	next := path + ".next"
	if err := os.WriteFile(next, []byte(e.String()+"\n"), 0o600); err != nil {
		return fmt.Errorf("note which engine writes the files: %w", err)
	}
	if err := os.Rename(next, path); err != nil {
		return fmt.Errorf("note which engine writes the files: %w", err)
	}
	return nil
}
