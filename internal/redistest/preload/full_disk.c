/*
 * full_disk.c makes the disk full: what is written to regular files beyond the room that is left fails,
 * and the write that meets the end is cut short, as the kernel does it. Sockets and pipes go on.
 *
 * Control file: [0] 1 while the disk has an end, [1] bytes of room, [2] how many writes have failed.
 */
#include "control.h"
#include <errno.h>
#include <sys/stat.h>
#include <sys/types.h>

static int64_t *control;

__attribute__((constructor)) static void set_up(void) {
	control = map_control(3 * sizeof *control);
}

static int is_file(int fd) {
	struct stat st;
	return fstat(fd, &st) == 0 && S_ISREG(st.st_mode);
}

ssize_t write(int fd, const void *data, size_t size) {
	if (control != NULL && __atomic_load_n(&control[0], __ATOMIC_ACQUIRE) != 0 && is_file(fd)) {
		int64_t before = __atomic_fetch_sub(&control[1], (int64_t)size, __ATOMIC_ACQ_REL);
		if (before < (int64_t)size) {
			__atomic_store_n(&control[1], 0, __ATOMIC_RELEASE);
			if (before <= 0) {
				__atomic_add_fetch(&control[2], 1, __ATOMIC_ACQ_REL);
				errno = ENOSPC;
				return -1;
			}
			size = (size_t)before;
		}
	}
	return syscall(SYS_write, fd, data, size);
}
