package redistest

import (
	"os"
	"path/filepath"
	"testing"
)

// The table of sync_log.c: the words it has and the first pair of key and size.
const (
	syncLogWords = 8192
	syncLogFirst = 2
)

// PowerCut knows which bytes of a server's files had reached the disk.
type PowerCut struct{ *library }

// PowerLoss builds the library that watches a server's fsyncs.
func PowerLoss(tb testing.TB) *PowerCut {
	tb.Helper()
	return &PowerCut{compile(tb, "sync_log", syncLogWords)}
}

// Cut kills the server and leaves of its AOF only what was fsynced, as a power failure may. It returns
// how many bytes that took. Directories are taken to be safe: a file may end up empty, not absent.
func (p *PowerCut) Cut(s *Server) int64 {
	s.tb.Helper()
	s.Kill9()
	if p.word(0).Load() != 0 {
		s.tb.Fatalf("redistest: more files were fsynced than the table of %d words holds", syncLogWords)
	}
	files, err := filepath.Glob(filepath.Join(s.dir, aofDir, "*"))
	if err != nil || len(files) == 0 {
		s.tb.Fatalf("redistest: no AOF in %s to cut (%v)", s.dir, err)
	}
	synced := p.sizes()
	var lost int64
	for _, name := range files {
		n, err := cutFile(name, synced)
		if err != nil {
			s.tb.Fatalf("redistest: cut the power: %v", err)
		}
		lost += n
	}
	return lost
}

// sizes returns the synced size of each file that was ever synced.
func (p *PowerCut) sizes() map[uint64]int64 {
	sizes := map[uint64]int64{}
	for i := syncLogFirst; i+1 < syncLogWords && p.word(i).Load() != 0; i += 2 {
		key := uint64(p.word(i).Load())
		sizes[key] = max(sizes[key], p.word(i+1).Load())
	}
	return sizes
}

// cutFile truncates one file to its synced size and returns how many bytes that took.
func cutFile(name string, synced map[uint64]int64) (int64, error) {
	info, err := os.Stat(name)
	if err != nil {
		return 0, err
	}
	key, err := fileKey(name)
	if err != nil {
		return 0, err
	}
	lost := info.Size() - synced[key] // nothing, if the file was never synced
	if lost <= 0 {
		return 0, nil
	}
	return lost, os.Truncate(name, synced[key])
}
