package redistest

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// Redis keeps a base file, the commands since in incremental files, and a manifest that names both.
const (
	aofDir      = "appendonlydir"
	aofManifest = "appendonly.aof.manifest"
)

// LastIncr returns the path of the file to which the AOF grows.
func (s *Server) LastIncr() string {
	s.tb.Helper()
	text, err := os.ReadFile(filepath.Join(s.dir, aofDir, aofManifest))
	if err != nil {
		s.tb.Fatalf("redistest: %v", err)
	}
	name, err := lastIncr(string(text))
	if err != nil {
		s.tb.Fatalf("redistest: %v", err)
	}
	return filepath.Join(s.dir, aofDir, name)
}

// lastIncr finds the last incremental file in a manifest, whose lines read
// "file appendonly.aof.1.incr.aof seq 1 type i".
func lastIncr(manifest string) (string, error) {
	name := ""
	for line := range strings.Lines(manifest) {
		f := strings.Fields(line)
		if len(f) >= 6 && f[0] == "file" && f[4] == "type" && f[5] == "i" {
			name = f[1]
		}
	}
	if name == "" {
		return "", fmt.Errorf("no incremental file in the manifest %q", manifest)
	}
	return name, nil
}

// CutAOF truncates the last incremental file of a server that is down, as a torn write would leave it.
func (s *Server) CutAOF(size int64) {
	s.tb.Helper()
	s.mustBeDown("cut the AOF")
	name := s.LastIncr()
	info, err := os.Stat(name)
	if err != nil {
		s.tb.Fatalf("redistest: %v", err)
	}
	// Truncate would make it longer, with zeros that stop the next start.
	if size > info.Size() {
		s.tb.Fatalf("redistest: cut the AOF at %d of %d bytes", size, info.Size())
	}
	if err := os.Truncate(name, size); err != nil {
		s.tb.Fatalf("redistest: %v", err)
	}
}

// WipeData removes what a server that is down has stored: it comes back empty, but with the same
// configuration and, in a cluster, the same identity.
func (s *Server) WipeData() {
	s.tb.Helper()
	s.mustBeDown("wipe the data")
	for _, name := range []string{aofDir, "dump.rdb"} {
		if err := os.RemoveAll(filepath.Join(s.dir, name)); err != nil {
			s.tb.Fatalf("redistest: %v", err)
		}
	}
}

func (s *Server) mustBeDown(what string) {
	s.tb.Helper()
	if s.Running() {
		s.tb.Fatalf("redistest: %s of a running server; Kill9 or Stop it first", what)
	}
}
