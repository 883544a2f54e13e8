package embedded

// setPID notes the running process, 0 for none. The file is for people, and for the next run should this one die.
func (c *child) setPID(pid int) {
	c.mu.Lock()
	c.pid = pid
	c.mu.Unlock()
	err := remove(c.files.pid())
	if pid != 0 {
		err = writePID(c.files.pid(), pid)
	}
	if err != nil {
		c.log.Warn("cannot note the process id of redis", "err", err)
	}
}

func (c *child) currentPID() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.pid
}

func (c *child) countRestart() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.restarts++
}

func (c *child) restartCount() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.restarts
}

func (c *child) setDown(reason error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.down = reason
}

// setUp notes the first answer of a process. Start waits for the very first.
func (c *child) setUp() {
	c.mu.Lock()
	c.down = nil
	restarts, pid := c.restarts, c.pid
	c.mu.Unlock()
	if restarts == 0 {
		c.first <- nil
	}
	c.log.Info("redis answers", "engine", c.bin.program(), "version", c.bin.version, "pid", pid, "restarts", restarts)
}

func (c *child) reason() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.down
}
