package redistest

import (
	"embed"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sync/atomic"
	"syscall"
	"testing"
	"unsafe"
)

//go:embed preload
var preloadFiles embed.FS

// library is a shared object that redis-server loads before the C library, with the control file
// through which a test steers it. One library may serve several servers, which then share the control.
type library struct {
	path  string
	words []byte
}

// Lib returns the path for Options.Preload.
func (l *library) Lib() string { return l.path }

// word returns the nth 64-bit word of the control file. The server reads it as one, so it must be
// written as one: half of an offset would throw the clock by years.
func (l *library) word(n int) *atomic.Int64 {
	return (*atomic.Int64)(unsafe.Pointer(&l.words[8*n]))
}

// compile builds the named source with a control file of so many words. Without a compiler the test is
// skipped, but never on a build server, where nobody would notice.
func compile(tb testing.TB, source string, words int) *library {
	tb.Helper()
	if runtime.GOOS != "linux" {
		tb.Skipf("redistest: preloading %s needs Linux", source)
	}
	cc, err := exec.LookPath("cc")
	if err != nil {
		if ci := os.Getenv("CI"); ci != "" && ci != "false" {
			tb.Fatalf("redistest: compile %s: %v; apt-get install gcc libc6-dev", source, err)
		}
		tb.Skipf("redistest: compile %s: %v", source, err)
	}
	// Not the test's own TempDir: the loader splits its list of libraries at blanks and colons.
	dir, err := shortDir()
	if err != nil {
		tb.Fatalf("redistest: %v", err)
	}
	tb.Cleanup(func() { _ = os.RemoveAll(dir) })
	if err := os.CopyFS(dir, preloadFiles); err != nil {
		tb.Fatalf("redistest: %v", err)
	}
	l := &library{path: filepath.Join(dir, source+".so")}
	control := filepath.Join(dir, "control")
	l.words = mapFile(tb, control, 8*words)
	out, err := exec.Command(cc, "-O2", "-Wall", "-shared", "-fPIC", `-DCONTROL="`+control+`"`,
		"-o", l.path, filepath.Join(dir, "preload", source+".c"), "-ldl").CombinedOutput()
	if err != nil {
		tb.Fatalf("redistest: compile %s: %v\n%s", source, err, out)
	}
	return l
}

// mapFile creates a file of zeros and maps it. The mapping stays until the test binary ends: a page per
// test is cheaper than a crash when a late goroutine still steers.
func mapFile(tb testing.TB, path string, size int) []byte {
	tb.Helper()
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		tb.Fatalf("redistest: %v", err)
	}
	defer f.Close()
	if err := f.Truncate(int64(size)); err != nil {
		tb.Fatalf("redistest: %v", err)
	}
	m, err := syscall.Mmap(int(f.Fd()), 0, size, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_SHARED)
	if err != nil {
		tb.Fatalf("redistest: map %s: %v", path, err)
	}
	return m
}
