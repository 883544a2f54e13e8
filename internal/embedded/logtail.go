package embedded

import (
	"io"
	"os"
	"strings"
)

const (
	tailLines = 8
	tailBytes = 4 << 10
)

// logTail returns the last lines of the log that were written behind the offset from, joined for one line of ours.
// It is empty when there are none or they cannot be read: it only adds to an error that is reported anyway.
func logTail(path string, from int64) string {
	f, err := os.Open(path)
	if err != nil {
		return ""
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return ""
	}
	from = max(from, info.Size()-tailBytes)
	text, err := io.ReadAll(io.NewSectionReader(f, from, tailBytes))
	if err != nil {
		return ""
	}
	var lines []string
	for line := range strings.Lines(string(text)) {
		if line = strings.TrimSpace(line); line != "" {
			lines = append(lines, line)
		}
	}
	return strings.Join(lines[max(0, len(lines)-tailLines):], " | ")
}
