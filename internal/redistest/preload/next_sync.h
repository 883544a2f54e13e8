/*
 * next_sync.h finds the fsync and fdatasync that would have been called without this library, so that
 * several of them can stand in one line.
 */
#include "control.h"
#include <dlfcn.h>

typedef int (*sync_func)(int);

static sync_func next_fsync, next_fdatasync;

static void find_next_sync(void) {
	next_fsync = (sync_func)dlsym(RTLD_NEXT, "fsync");
	next_fdatasync = (sync_func)dlsym(RTLD_NEXT, "fdatasync");
}

/* Another library's constructor may sync before ours has run: then there is nothing to find yet. */
static int real_fsync(int fd) {
	return next_fsync ? next_fsync(fd) : (int)syscall(SYS_fsync, fd);
}

static int real_fdatasync(int fd) {
	return next_fdatasync ? next_fdatasync(fd) : (int)syscall(SYS_fdatasync, fd);
}
