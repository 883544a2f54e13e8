package redistest

import "testing"

// FullDisk takes the room on the disk away from a server.
type FullDisk struct{ *library }

// DiskFull builds the library that makes the disk full. It does nothing until Fill.
func DiskFull(tb testing.TB) *FullDisk {
	tb.Helper()
	return &FullDisk{compile(tb, "full_disk", 3)}
}

// Fill leaves room for so many bytes in files.
func (d *FullDisk) Fill(room int64) {
	d.word(1).Store(room)
	d.word(0).Store(1)
}

// Free makes room again.
func (d *FullDisk) Free() { d.word(0).Store(0) }

// Refused returns how many writes had no room.
func (d *FullDisk) Refused() int { return int(d.word(2).Load()) }
