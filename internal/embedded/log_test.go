package embedded_test

import (
	"log/slog"
	"strings"
)

// logBuffer collects what a server logs.
type logBuffer struct{ lines chan string }

func newLog() (*slog.Logger, *logBuffer) {
	b := &logBuffer{lines: make(chan string, 1000)}
	return slog.New(slog.NewTextHandler(b, nil)), b
}

func (b *logBuffer) Write(p []byte) (int, error) {
	select {
	case b.lines <- string(p):
	default: // more than any test looks at
	}
	return len(p), nil
}

// has reports whether a line holds all words. It uses up the lines.
func (b *logBuffer) has(words ...string) bool {
	for {
		select {
		case line := <-b.lines:
			found := true
			for _, w := range words {
				found = found && strings.Contains(line, w)
			}
			if found {
				return true
			}
		default:
			return false
		}
	}
}
