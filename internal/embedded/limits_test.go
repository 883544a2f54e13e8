package embedded_test

import (
	"testing"
	"testing/fstest"

	"github.com/sluicemq/sluice/internal/embedded"
)

func TestDefaultMaxMemoryIsHalfOfWhatWeMayUse(t *testing.T) {
	t.Parallel()
	const meminfo = "MemTotal:        4194304 kB\nMemFree:          100 kB\n" // 4 GiB
	tests := map[string]struct {
		files map[string]string
		want  int64
	}{
		"nothing known": {nil, 1 << 30},
		"machine only":  {map[string]string{"proc/meminfo": meminfo}, 2 << 30},
		"cgroup 2": {map[string]string{"proc/meminfo": meminfo, "proc/self/cgroup": "0::/a/b\n",
			"sys/fs/cgroup/a/b/memory.max": "1073741824\n"}, 512 << 20},
		"cgroup 2, the parent allows less": {map[string]string{"proc/meminfo": meminfo, "proc/self/cgroup": "0::/a/b\n",
			"sys/fs/cgroup/a/b/memory.max": "max\n", "sys/fs/cgroup/a/memory.max": "536870912\n"}, 256 << 20},
		"cgroup 2 in a container": {map[string]string{"proc/meminfo": meminfo, "proc/self/cgroup": "0::/../host\n",
			"sys/fs/cgroup/memory.max": "268435456\n"}, 128 << 20},
		"cgroup 1": {map[string]string{"proc/meminfo": meminfo, "proc/self/cgroup": "3:cpu:/a\n2:memory:/a\n0::/\n",
			"sys/fs/cgroup/memory/a/memory.limit_in_bytes": "2147483648\n"}, 1 << 30},
		"cgroup 1 without a limit": {map[string]string{"proc/meminfo": meminfo, "proc/self/cgroup": "2:memory:/\n",
			"sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n"}, 2 << 30},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			root := fstest.MapFS{}
			for file, text := range tt.files {
				root[file] = &fstest.MapFile{Data: []byte(text)}
			}
			if got := embedded.DefaultMaxMemory(root); got != tt.want {
				t.Errorf("DefaultMaxMemory(%v) = %d, want %d", tt.files, got, tt.want)
			}
		})
	}
}

func TestTheDiskIsFullBeforeARewriteOfTheLogFillsIt(t *testing.T) {
	t.Parallel()
	const mib = 1 << 20
	for _, tt := range []struct {
		free uint64
		used int64
		full bool
		want string
	}{
		{64 * mib, 0, false, ""},
		{63 * mib, 0, false, "63 MiB are free on the disk of data, want 64."},
		{164 * mib, 100 * mib, false, ""},
		{163 * mib, 100 * mib, false, "163 MiB are free on the disk of data, want 164."},
		{204 * mib, 100 * mib, true, "204 MiB are free on the disk of data, want 205."},
		{205 * mib, 100 * mib, true, ""},
	} {
		if got := embedded.DiskFull(tt.free, tt.used, tt.full); got != tt.want {
			t.Errorf("DiskFull(%d, %d, %t) = %q, want %q", tt.free, tt.used, tt.full, got, tt.want)
		}
	}
}

func TestVersionLineNamesTheEngine(t *testing.T) {
	t.Parallel()
	tests := []struct{ line, name, want string }{
		{"Redis server v=7.0.15 sha=00000000:0 malloc=jemalloc-5.3.0 bits=64", "redis-server", "redis 7.0.15"},
		{"Valkey server v=8.1.3 sha=00000000:0 malloc=jemalloc-5.3.0 bits=64", "valkey-server", "valkey 8.1.3"},
		{"Valkey server v=8.1.3 sha=00000000:0 malloc=jemalloc-5.3.0 bits=64", "redis-server", "valkey 8.1.3"},
		{"Server v=7.2.5 sha=00000000:0 malloc=jemalloc-5.3.0 bits=64", "valkey-server", "valkey 7.2.5"},
	}
	for _, tt := range tests {
		if got, err := embedded.ParseVersion(tt.line, tt.name); got != tt.want {
			t.Errorf("ParseVersion(%q, %q) = %q, %v, want %q", tt.line, tt.name, got, err, tt.want)
		}
	}
	for _, line := range []string{"", "hello", "Redis server v=seven"} {
		if got, err := embedded.ParseVersion(line, "redis-server"); err == nil {
			t.Errorf("ParseVersion(%q) = %q, want an error", line, got)
		}
	}
}
