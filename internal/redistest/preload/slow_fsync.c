/*
 * slow_fsync.c makes the disk slow: each fsync and fdatasync waits before it begins. The wait follows
 * the control file, so that lowering the delay lets go those that wait already.
 *
 * Control file: [0] delay in nanoseconds, [1] how many calls wait now.
 */
#include "next_sync.h"
#include <errno.h>
#include <time.h>

#define SECOND 1000000000LL
#define SLICE 1000000L /* 1 ms: how soon a lowered delay is noticed */

static int64_t *control;

__attribute__((constructor)) static void set_up(void) {
	find_next_sync();
	control = map_control(2 * sizeof *control);
	__atomic_store_n(&control[1], 0, __ATOMIC_RELEASE); /* a killed server leaves its count behind */
}

static int64_t monotonic(void) {
	struct timespec t = {0, 0};
	syscall(SYS_clock_gettime, CLOCK_MONOTONIC, &t);
	return t.tv_sec * SECOND + t.tv_nsec;
}

static void hold(void) {
	const struct timespec slice = {0, SLICE};
	int64_t since;
	int saved = errno;
	if (control == NULL || __atomic_load_n(&control[0], __ATOMIC_ACQUIRE) <= 0)
		return;
	since = monotonic();
	__atomic_add_fetch(&control[1], 1, __ATOMIC_ACQ_REL);
	while (monotonic() - since < __atomic_load_n(&control[0], __ATOMIC_ACQUIRE))
		nanosleep(&slice, NULL);
	__atomic_sub_fetch(&control[1], 1, __ATOMIC_ACQ_REL);
	errno = saved;
}

int fsync(int fd) {
	hold();
	return real_fsync(fd);
}

int fdatasync(int fd) {
	hold();
	return real_fdatasync(fd);
}
