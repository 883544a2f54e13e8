/*
 * control.h maps the file through which a test steers a library while the server runs.
 *
 * The libraries in this folder stand between redis-server and the C library. They call no malloc and,
 * on the way to the kernel, no function that might: jemalloc asks for the time while it sets itself up,
 * and an allocation there would recurse until the stack ends.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef CONTROL
#error "compile with -DCONTROL='\"path\"'"
#endif

/* A server that silently ignored its faults would let every test pass, so a failure here ends it. */
static void *map_control(size_t size) {
	static const char msg[] = "preload: cannot map " CONTROL "\n";
	void *m = MAP_FAILED;
	int fd = open(CONTROL, O_RDWR | O_CLOEXEC);
	if (fd >= 0) {
		m = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
		close(fd);
	}
	if (m == MAP_FAILED) {
		if (write(2, msg, sizeof msg - 1) < 0) {
			/* nowhere left to say it */
		}
		_exit(97);
	}
	return m;
}
