package server

import (
	"crypto/rand"
	"io"
	"log"
	"log/slog"
	"os"
	"sync"
	"time"

	"github.com/sluicemq/sluice/internal/logtail"
)

// newLogger returns the program's log. Text is for people at a terminal, JSON for everything else.
func newLogger(c Config, w *logWriter) *slog.Logger {
	opt := &slog.HandlerOptions{Level: c.LogLevel}
	if c.LogFormat == "text" || c.LogFormat == "auto" && isTerminal(os.Stderr) {
		return slog.New(slog.NewTextHandler(w, opt))
	}
	return slog.New(slog.NewJSONHandler(w, opt))
}

func isTerminal(f *os.File) bool {
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

// logWriter joins log lines into fewer writes: a busy server writes thousands of request lines a second, and a system
// call for each would cost more than the line. A line is held back for at most logDelay. Those who follow the log hear of it as soon
// as it is written, so that not each line wakes them.
type logWriter struct {
	tail *logtail.Ring

	mu    sync.Mutex
	out   io.Writer
	buf   []byte
	timer *time.Timer
}

const (
	logDelay  = 100 * time.Millisecond
	logBuffer = 64 << 10
)

func newLogWriter(out io.Writer) *logWriter {
	name, _ := os.Hostname() // "" where the system does not say
	return &logWriter{tail: logtail.New(name, rand.Text()[:8]), out: out, buf: make([]byte, 0, logBuffer)}
}

// Write keeps the line p.
func (w *logWriter) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.buf) == 0 && w.timer == nil {
		w.timer = time.AfterFunc(logDelay, func() { _ = w.Flush() })
	}
	w.buf = append(w.buf, p...)
	w.tail.Write(p)
	if len(w.buf) >= logBuffer {
		return len(p), w.flush()
	}
	return len(p), nil
}

// Flush writes what is held back.
func (w *logWriter) Flush() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.flush()
}

func (w *logWriter) flush() error {
	if w.timer != nil {
		w.timer.Stop()
		w.timer = nil
	}
	if len(w.buf) == 0 {
		return nil
	}
	_, err := w.out.Write(w.buf)
	w.buf = w.buf[:0]
	w.tail.Tell()
	return err
}

// Close is Flush.
func (w *logWriter) Close() error { return w.Flush() }

// httpErrors turns what net/http says of broken connections into debug lines: strangers can cause them at will.
func (s *Server) httpErrors() *log.Logger {
	return slog.NewLogLogger(s.logger.Handler(), slog.LevelDebug)
}
