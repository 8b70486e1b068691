/* SPDX-License-Identifier: MIT */
/* cleanup.h - release memory, descriptors and mutexes when their scope ends. */
#ifndef MMAPFS_BASE_CLEANUP_H
#define MMAPFS_BASE_CLEANUP_H

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

static inline void cleanup_freep(void *p)
{
	free(*(void **)p);
}

/* Keeps errno, so that a cleanup cannot disturb `return -errno`. */
static inline void cleanup_closep(int *fd)
{
	int saved = errno;

	if (*fd >= 0)
		close(*fd);
	errno = saved;
}

static inline void cleanup_unlockp(pthread_mutex_t **mutex)
{
	if (*mutex)
		pthread_mutex_unlock(*mutex);
}

static inline pthread_mutex_t *mutex_locked(pthread_mutex_t *mutex)
{
	pthread_mutex_lock(mutex);
	return mutex;
}

#define _cleanup_(f) __attribute__((cleanup(f)))
#define _cleanup_free_ _cleanup_(cleanup_freep)
#define _cleanup_close_ _cleanup_(cleanup_closep)

/* Hold @mutex to the end of the scope. */
#define SCOPE_LOCK(mutex)                                                               \
	_cleanup_(cleanup_unlockp) __attribute__((unused)) pthread_mutex_t *scope_lock_ = \
		mutex_locked(mutex)

/* Hand a descriptor over: the variable no longer closes it. */
static inline int steal_fd(int *fd)
{
	int taken = *fd;

	*fd = -1;
	return taken;
}

#define steal_ptr(p)                      \
	({                                \
		__typeof__(p) *p_ = &(p); \
		__typeof__(p) taken_ = *p_; \
		*p_ = NULL;               \
		taken_;                   \
	})

#endif
