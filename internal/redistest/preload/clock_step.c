/*
 * clock_step.c shifts the wall clock of one process by an offset that can change at any time. The
 * monotonic clock is left alone, as a step of the real clock leaves it.
 *
 * Control file: [0] offset in nanoseconds.
 */
#include "control.h"
#include <sys/time.h>
#include <time.h>

#define SECOND 1000000000LL

static int64_t *control; /* NULL until the constructor has run: no offset yet */

__attribute__((constructor)) static void set_up(void) {
	control = map_control(sizeof *control);
}

/* Straight to the kernel: the C library's own clock_gettime is the one that is replaced here. */
static int read_clock(clockid_t id, struct timespec *t) {
	int64_t at;
	int r = (int)syscall(SYS_clock_gettime, id, t);
	if (r != 0 || control == NULL)
		return r;
	if (id != CLOCK_REALTIME && id != CLOCK_REALTIME_COARSE)
		return 0;
	at = t->tv_sec * SECOND + t->tv_nsec + __atomic_load_n(control, __ATOMIC_ACQUIRE);
	t->tv_sec = at / SECOND;
	t->tv_nsec = at % SECOND;
	if (t->tv_nsec < 0) { /* before 1970 the remainder is negative */
		t->tv_nsec += SECOND;
		t->tv_sec--;
	}
	return 0;
}

int clock_gettime(clockid_t id, struct timespec *t) {
	return read_clock(id, t);
}

int gettimeofday(struct timeval *restrict tv, void *restrict zone) {
	struct timespec t;
	(void)zone;
	if (read_clock(CLOCK_REALTIME, &t) != 0)
		return -1;
	tv->tv_sec = t.tv_sec;
	tv->tv_usec = t.tv_nsec / 1000;
	return 0;
}

time_t time(time_t *out) {
	struct timespec t;
	if (read_clock(CLOCK_REALTIME, &t) != 0)
		return (time_t)-1;
	if (out != NULL)
		*out = t.tv_sec;
	return t.tv_sec;
}
