package embedded_test

import (
	"errors"
	"math"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/sluicemq/sluice/internal/embedded"
)

func TestSecondServerOnADirectoryIsRefused(t *testing.T) {
	t.Parallel()
	tests := map[string]func(string) (string, error){
		"child":  onlyRedis(redisPath(t)),
		"memory": noRedis,
	}
	for name, lookPath := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			opt := embedded.Options{DataDir: t.TempDir(), LookPath: lookPath}
			first := start(t, opt)
			err := refuse(t, opt)
			if !errors.Is(err, embedded.ErrLocked) {
				t.Errorf("second Start = %v, want ErrLocked", err)
			}
			for _, want := range []string{opt.DataDir, "process " + strconv.Itoa(os.Getpid())} {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("second Start = %v, want it to contain %q", err, want)
				}
			}
			if err := first.Ready(); err != nil {
				t.Errorf("first server after the second was refused: %v", err)
			}
			if err := first.Close(); err != nil {
				t.Fatal(err)
			}
			start(t, opt)
		})
	}
}

func TestFilesOfAnotherEngineAreRefused(t *testing.T) {
	t.Parallel()
	redis8 := fakeServer(t, "Redis server v=8.2.1 sha=00000000:0 malloc=jemalloc-5.3.0 bits=64 build=0")
	valkey8 := fakeServer(t, "Valkey server v=8.1.3 sha=00000000:0 malloc=jemalloc-5.3.0 bits=64 build=0")
	tests := map[string]struct {
		wrote, server string
		want          []string
	}{
		"redis opens valkey":     {"valkey 8.1.3", redis8, []string{"files of valkey 8.1.3", "redis 8.2.1", "install valkey-server 8.1 or later"}},
		"valkey opens redis":     {"redis 7.0.15", valkey8, []string{"files of redis 7.0.15", "valkey 8.1.3", "install redis-server 7.0 or later"}},
		"older major version":    {"redis 9.0.0", redis8, []string{"redis 9.0.0", "newer than redis 8.2.1", "upgrade redis-server to 9.0"}},
		"older minor version":    {"redis 8.4.0", redis8, []string{"redis 8.4.0", "newer than redis 8.2.1", "upgrade redis-server to 8.4"}},
		"no server, but files":   {"redis 7.0.15", "", []string{"files of redis 7.0.15", "no server is on PATH", "install redis-server 7.0"}},
		"link to another engine": {"redis 7.0.15", valkey8, []string{"cannot be opened by valkey 8.1.3"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			opt := embedded.Options{DataDir: wroteEngine(t, tt.wrote), LookPath: noRedis}
			if tt.server != "" {
				opt.LookPath = onlyRedis(tt.server)
			}
			err := refuse(t, opt)
			if !errors.Is(err, embedded.ErrWrongEngine) {
				t.Errorf("Start = %v, want ErrWrongEngine", err)
			}
			for _, want := range append(tt.want, "move "+opt.DataDir+"/redis away") {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("Start = %v, want it to contain %q", err, want)
				}
			}
		})
	}
}

func TestFilesGoToTheEngineThatWroteThem(t *testing.T) {
	t.Parallel()
	valkey := fakeServer(t, "Valkey server v=8.1.3 sha=00000000:0")
	redis := redisPath(t)
	both := func(name string) (string, error) {
		if name == "valkey-server" {
			return valkey, nil
		}
		return redis, nil
	}
	s := start(t, embedded.Options{DataDir: wroteEngine(t, "redis 7.0.0"), LookPath: both})
	if got, want := s.Engine(), "redis-server"; got != want {
		t.Errorf("Engine() = %q, want %q", got, want)
	}
}

func TestServerWithoutScriptFlagsIsRefused(t *testing.T) {
	t.Parallel()
	old := fakeServer(t, "Redis server v=6.0.16 sha=00000000:0")
	err := refuse(t, embedded.Options{DataDir: t.TempDir(), LookPath: onlyRedis(old)})
	if want := "redis 6.0.16 is too old, want redis 7.0 or later"; !strings.Contains(err.Error(), want) {
		t.Errorf("Start = %v, want it to contain %q", err, want)
	}
}

func TestUnreadableEngineFileIsRefused(t *testing.T) {
	t.Parallel()
	err := refuse(t, embedded.Options{DataDir: wroteEngine(t, "nonsense")})
	if !strings.Contains(err.Error(), `got "nonsense`) {
		t.Errorf("Start = %v, want it to quote the file", err)
	}
}

func TestBadOptionsAreRefused(t *testing.T) {
	t.Parallel()
	tests := map[string]embedded.Options{
		"DataDir":   {LookPath: noRedis},
		"MaxMemory": {DataDir: t.TempDir(), LookPath: noRedis, MaxMemory: -1},
	}
	for field, opt := range tests {
		if err := refuse(t, opt); !strings.Contains(err.Error(), "Options."+field) {
			t.Errorf("Start(%+v) = %v, want it to name Options.%s", opt, err, field)
		}
	}
}

func TestFullDiskIsRefused(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := embedded.CheckDisk(dir, 1); err != nil {
		t.Errorf("CheckDisk(1 byte) = %v, want nil", err)
	}
	err := embedded.CheckDisk(dir, math.MaxInt64)
	if !errors.Is(err, embedded.ErrDiskFull) || !strings.Contains(err.Error(), dir) {
		t.Errorf("CheckDisk(8 EiB) = %v, want ErrDiskFull that names %s", err, dir)
	}
}
