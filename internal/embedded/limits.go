package embedded

import (
	"bytes"
	"fmt"
	"io/fs"
	"path"
	"strconv"
	"strings"
)

const (
	// minFreeBytes is the least room on disk to start with: below it the log could not even take a burst.
	minFreeBytes = 64 << 20
	// unknownMemory stands for the machine's memory where the system does not tell in /proc.
	unknownMemory = 2 << 30
	// maxCgroupDepth bounds the walk up the cgroup tree; real trees are a handful of levels deep.
	maxCgroupDepth = 64
)

// checkDisk returns ErrDiskFull when fewer than least bytes are free for us in dir.
func checkDisk(dir string, least uint64) error {
	free, err := freeBytes(dir)
	if err != nil {
		return fmt.Errorf("read the free space of %s: %w", dir, err)
	}
	if free < least {
		return fmt.Errorf("%w: %d MiB are free in %s, want %d or more: make room or choose another SLUICE_DATA_DIR",
			ErrDiskFull, free>>20, dir, least>>20)
	}
	return nil
}

// diskFull is diskFull of the disk that l is on.
func (l layout) diskFull(used int64, full bool) string {
	free, err := freeBytes(l.dir)
	if err != nil {
		return "" // Redis will say so when it cannot write
	}
	return diskFull(l.dir, free, used, full)
}

// diskFull returns why nothing more should be stored in dir while Redis uses so many bytes of memory, or "". It wants room
// for a burst and for the copy of everything that Redis makes when it rewrites its log; on a full disk Redis ends. Who is
// full already wants a quarter more, so that nobody is let in and out all the time.
func diskFull(dir string, free uint64, used int64, full bool) string {
	want := minFreeBytes + uint64(used)
	if full {
		want += want / 4
	}
	if free >= want {
		return ""
	}
	return fmt.Sprintf("%d MiB are free on the disk of %s, want %d.", free>>20, dir, want>>20)
}

// defaultMaxMemory returns half of the memory that this process may use, in bytes. The other half is for the copies
// that a rewrite of the log makes, and for ourselves. root is the root of the file system.
func defaultMaxMemory(root fs.FS) int64 {
	memory := int64(unknownMemory)
	if total, ok := machineMemory(root); ok {
		memory = total
	}
	if limit, ok := cgroupMemory(root); ok {
		memory = min(memory, limit)
	}
	return memory / 2
}

// machineMemory reads the line "MemTotal:  24683520 kB".
func machineMemory(root fs.FS) (int64, bool) {
	text, err := fs.ReadFile(root, "proc/meminfo")
	if err != nil {
		return 0, false
	}
	for line := range bytes.Lines(text) {
		words := strings.Fields(string(line))
		if len(words) == 3 && words[0] == "MemTotal:" && words[2] == "kB" {
			kib, err := strconv.ParseInt(words[1], 10, 64)
			return kib << 10, err == nil && kib > 0
		}
	}
	return 0, false
}

// cgroupMemory returns the lowest memory limit over this process. A parent may allow less than its child says.
func cgroupMemory(root fs.FS) (lowest int64, ok bool) {
	text, err := fs.ReadFile(root, "proc/self/cgroup")
	if err != nil {
		return 0, false
	}
	for line := range bytes.Lines(text) {
		// "0::/path" for version 2, "4:memory:/path" for version 1; only one of them controls memory.
		part := strings.SplitN(strings.TrimSpace(string(line)), ":", 3)
		if len(part) != 3 {
			continue
		}
		mount, file := "sys/fs/cgroup", "memory.max"
		if part[1] == "memory" {
			mount, file = "sys/fs/cgroup/memory", "memory.limit_in_bytes"
		} else if part[1] != "" {
			continue
		}
		// In a container the path may be the host's while only its end is mounted: the walk up to "/" finds it.
		dir := path.Clean("/" + part[2])
		for range maxCgroupDepth {
			if limit, found := readLimit(root, path.Join(mount, dir, file)); found && (!ok || limit < lowest) {
				lowest, ok = limit, true
			}
			if dir == "/" {
				break
			}
			dir = path.Dir(dir)
		}
	}
	return lowest, ok
}

// readLimit reads a number of bytes. "max" is no limit.
func readLimit(root fs.FS, name string) (int64, bool) {
	text, err := fs.ReadFile(root, name)
	if err != nil {
		return 0, false
	}
	limit, err := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64)
	return limit, err == nil && limit > 0
}
