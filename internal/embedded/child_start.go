package embedded

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"time"
)

const (
	// startLimit bounds the first start. It is there against a hang, not as a deadline: loading runs at some 100 MB
	// a second, so 100 GB take a quarter of an hour.
	startLimit = 30 * time.Minute
	// startNews is how often the log says what a long start is waiting for.
	startNews = 10 * time.Second
)

// startChild starts the program in its directory and waits until it answers.
func startChild(ctx context.Context, opt Options, files layout, bin binary) (*Server, error) {
	if err := os.MkdirAll(files.dir, 0o700); err != nil {
		return nil, fmt.Errorf("make the directory of redis: %w", err)
	}
	if err := checkDisk(files.dir, minFreeBytes); err != nil {
		return nil, err
	}
	lock, err := lockFiles(ctx, files, opt.Logger)
	if err != nil {
		return nil, err
	}
	if err := files.removeSocket(); err != nil {
		return nil, errors.Join(fmt.Errorf("remove the socket of an earlier run: %w", err), lock.Close())
	}
	socket, err := files.placeSocket()
	if err != nil {
		return nil, errors.Join(err, lock.Close())
	}
	c := newChild(bin, files, socket, opt.MaxMemory, lock, opt.Logger)
	go c.supervise()
	err = c.awaitFirst(ctx, opt.Logger)
	if err == nil {
		// Before anything is written by way of us, so the files never hold more than this file admits.
		err = writeEngine(files.engine(), bin.engine)
	}
	if err != nil {
		return nil, errors.Join(err, c.close())
	}
	address := url.URL{Scheme: "unix", Path: socket}
	return &Server{engine: bin.program(), url: address.String(), child: c}, nil
}

// awaitFirst waits for the end of the first start.
func (c *child) awaitFirst(ctx context.Context, log *slog.Logger) error {
	ctx, cancel := context.WithTimeout(ctx, startLimit)
	defer cancel()
	news := time.NewTicker(startNews)
	defer news.Stop()
	for {
		select {
		case err := <-c.first:
			return err
		case <-ctx.Done():
			return fmt.Errorf("wait for %s to answer: %w (%w)", c.bin.program(), context.Cause(ctx), c.reason())
		case <-news.C:
			log.Info("waiting for redis", "engine", c.bin.program(), "reason", c.reason())
		}
	}
}
