/*
 * sync_log.c notes how much of each file is safe on disk: its size before an fsync or fdatasync that
 * then succeeded. What was written since would not survive a power failure.
 *
 * Control file: [0] set once the table is full, then from [2] on pairs of key and size. The key mixes
 * inode and time of birth, because file systems hand the inode of a deleted file to the next new one.
 * Forked children share the table. There is no lock that a kill could leave behind: two threads may
 * enter one file twice, and the reader takes the larger size.
 */
#include "next_sync.h"
#include <errno.h>
#include <sys/stat.h>

#define WORDS 8192 /* 4095 files; keep in step with syncLogWords in powerloss.go */

static int64_t *control;

__attribute__((constructor)) static void set_up(void) {
	find_next_sync();
	control = map_control(WORDS * sizeof *control);
}

struct mark {
	int64_t key;
	int64_t size;
};

/* The key must be computed as fileKey in powerloss.go does. */
static struct mark look(int fd) {
	struct mark m = {0, 0};
	struct statx st;
	uint64_t born;
	if (control == NULL || syscall(SYS_statx, fd, "", AT_EMPTY_PATH, STATX_INO | STATX_SIZE | STATX_BTIME, &st) != 0)
		return m;
	born = (uint64_t)st.stx_btime.tv_sec * 1000000000u + st.stx_btime.tv_nsec;
	m.key = (int64_t)(st.stx_ino ^ born * 0x9e3779b97f4a7c15u);
	m.size = (int64_t)st.stx_size;
	return m;
}

static void raise_to(int64_t *slot, int64_t size) {
	int64_t have = __atomic_load_n(slot, __ATOMIC_ACQUIRE);
	while (have < size &&
	       !__atomic_compare_exchange_n(slot, &have, size, 0, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE)) {
	}
}

static void note(struct mark m) {
	int i;
	if (m.key == 0)
		return;
	for (i = 2; i + 1 < WORDS; i += 2) {
		int64_t have = 0;
		if (__atomic_compare_exchange_n(&control[i], &have, m.key, 0, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE) ||
		    have == m.key) {
			raise_to(&control[i + 1], m.size);
			return;
		}
	}
	__atomic_store_n(&control[0], 1, __ATOMIC_RELEASE);
}

/* The size is read before the sync, so that bytes written meanwhile do not count as safe. */
#define SYNC(name)                                                                                           \
	int name(int fd) {                                                                                   \
		int saved = errno;                                                                           \
		struct mark m = look(fd);                                                                    \
		errno = saved;                                                                               \
		int r = real_##name(fd);                                                                     \
		if (r == 0)                                                                                  \
			note(m);                                                                             \
		return r;                                                                                    \
	}

SYNC(fsync)
SYNC(fdatasync)
