/* SPDX-License-Identifier: MIT */
/*
 * guard.c - the opt-in fault guard: a lost page reads as zeros, a store to a read-only
 * mapping stays private, and the process lives.
 *
 * Process-wide, as signal handlers are. The handlers look the address up in a list of
 * areas that only ever grows and whose slots are reused; each slot carries a sequence
 * number, odd while it is being changed, so that the handler needs no lock. What it needs
 * itself cannot change under it: the thread that faults uses the mapping. The addon is
 * linked with nodelete, for its handlers must outlive a worker that loaded it.
 */
#include "binding.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <ucontext.h>

#define CHUNK_SLOTS 128

struct guard_slot {
	atomic_uint sequence;
	atomic_uintptr_t begin, end; /* begin == end: free */
	atomic_int fd;
	atomic_uint_least64_t offset;
	atomic_bool writable;
	atomic_uint bus, write;	      /* faults that were survived */
	struct guard_slot *next_free; /* protected by `mutex` */
};

struct chunk {
	struct guard_slot slots[CHUNK_SLOTS];
	struct chunk *next; /* never changes once it can be seen */
};

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static struct guard_slot *free_slots; /* protected by `mutex` */
static _Atomic(struct chunk *) chunks;

static bool installed;		     /* protected by `mutex` */
static struct sigaction previous[2]; /* of SIGBUS, SIGSEGV; then constant */
static atomic_bool copy_writes;
static size_t page; /* constant once installed: no handler may call sysconf() */

/* ---- the list ---- */

static int add_chunk(void)
{
	struct chunk *chunk = calloc(1, sizeof(*chunk));

	if (!chunk)
		return -ENOMEM;
	for (size_t i = 0; i < CHUNK_SLOTS; i++) {
		chunk->slots[i].next_free = free_slots;
		free_slots = &chunk->slots[i];
	}
	chunk->next = atomic_load(&chunks);
	atomic_store(&chunks, chunk);
	return 0;
}

static void fill(struct guard_slot *slot, const struct guard_area *area)
{
	(void)atomic_fetch_add(&slot->sequence, 1);
	atomic_store(&slot->begin, area->begin);
	atomic_store(&slot->end, area->end);
	atomic_store(&slot->fd, area->fd);
	atomic_store(&slot->offset, area->offset);
	atomic_store(&slot->writable, area->writable);
	(void)atomic_fetch_add(&slot->sequence, 1);
}

struct guard_slot *guard_add(const struct guard_area *area)
{
	struct guard_slot *slot = NULL;

	(void)pthread_mutex_lock(&mutex);
	if (free_slots || add_chunk() == 0) {
		slot = free_slots;
		free_slots = slot->next_free;
		atomic_store(&slot->bus, 0);
		atomic_store(&slot->write, 0);
		fill(slot, area);
	}
	(void)pthread_mutex_unlock(&mutex);
	return slot;
}

void guard_remove(struct guard_slot *slot)
{
	const struct guard_area none = { .fd = -1 };

	if (!slot)
		return;
	(void)pthread_mutex_lock(&mutex);
	fill(slot, &none);
	slot->next_free = free_slots;
	free_slots = slot;
	(void)pthread_mutex_unlock(&mutex);
}

struct faults guard_faults(const struct guard_slot *slot)
{
	struct faults faults = { 0 };

	if (slot) {
		faults.bus = atomic_load(&slot->bus);
		faults.write = atomic_load(&slot->write);
	}
	return faults;
}

static bool read_slot(struct guard_slot *slot, uintptr_t addr, struct guard_area *ret)
{
	unsigned int before = atomic_load(&slot->sequence);

	ret->begin = atomic_load(&slot->begin);
	ret->end = atomic_load(&slot->end);
	ret->fd = atomic_load(&slot->fd);
	ret->offset = atomic_load(&slot->offset);
	ret->writable = atomic_load(&slot->writable);
	/* One that is being changed is not the one that we are using. */
	return !(before & 1) && before == atomic_load(&slot->sequence) &&
	       addr >= ret->begin && addr < ret->end;
}

static struct guard_slot *find(uintptr_t addr, struct guard_area *ret)
{
	for (struct chunk *chunk = atomic_load(&chunks); chunk; chunk = chunk->next)
		for (size_t i = 0; i < CHUNK_SLOTS; i++)
			if (read_slot(&chunk->slots[i], addr, ret))
				return &chunk->slots[i];
	return NULL;
}

/* ---- in the handlers ---- */

/* A lost page becomes a private page of zeros. */
static bool replace_lost(uintptr_t addr)
{
	void *at = (void *)(addr & ~(uintptr_t)(page - 1));
	struct guard_area area;
	struct guard_slot *slot = find(addr, &area);

	if (!slot || mmap(at, page, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == MAP_FAILED)
		return false;
	(void)atomic_fetch_add(&slot->bus, 1);
	return true;
}

static bool is_store(const void *context)
{
#ifdef __x86_64__
	const ucontext_t *user = context;

	return user->uc_mcontext.gregs[REG_ERR] & 2;
#else
	/* Lost elsewhere: a load that may not read is taken for a store, once. */
	(void)context;
	return true;
#endif
}

/* The page of a read-only mapping becomes private, so that the store never reaches the
 * file. A mapping without descriptor is private already. */
static bool make_private(uintptr_t addr)
{
	uintptr_t at = addr & ~(uintptr_t)(page - 1);
	struct guard_area area;
	struct guard_slot *slot = find(addr, &area);
	bool done;

	if (!slot || area.writable)
		return false;
	if (area.fd >= 0)
		done = mmap((void *)at, page, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_FIXED, area.fd,
			    (off_t)(area.offset + (at - area.begin))) != MAP_FAILED;
	else
		done = mprotect((void *)at, page, PROT_READ | PROT_WRITE) == 0;
	if (done)
		(void)atomic_fetch_add(&slot->write, 1);
	return done;
}

static void pass_on(int sig, siginfo_t *info, void *context)
{
	const struct sigaction *before = &previous[sig == SIGSEGV];
	struct sigaction action = { .sa_handler = SIG_DFL };

	if (before->sa_flags & SA_SIGINFO) {
		before->sa_sigaction(sig, info, context);
	} else if (before->sa_handler != SIG_DFL && before->sa_handler != SIG_IGN) {
		before->sa_handler(sig);
	} else if (before->sa_handler == SIG_DFL || info->si_code > 0) {
		/* A fault comes again by itself, and then ends the process. */
		(void)sigemptyset(&action.sa_mask);
		(void)sigaction(sig, &action, NULL);
		if (info->si_code <= 0)
			(void)raise(sig);
	}
}

static void on_fault(int sig, siginfo_t *info, void *context)
{
	uintptr_t addr = (uintptr_t)info->si_addr;
	int saved = errno;
	bool done = false;

	if (sig == SIGBUS && info->si_code == BUS_ADRERR)
		done = replace_lost(addr);
	else if (sig == SIGSEGV && info->si_code == SEGV_ACCERR &&
		 atomic_load(&copy_writes) && is_store(context))
		done = make_private(addr);
	if (!done)
		pass_on(sig, info, context);
	errno = saved;
}

/* ---- installing ---- */

static int install(int sig)
{
	struct sigaction action = {
		.sa_sigaction = on_fault,
		.sa_flags = SA_SIGINFO | SA_ONSTACK,
	};

	(void)sigemptyset(&action.sa_mask);
	/* Asked for first: another thread may run into the handler at once. */
	if (sigaction(sig, NULL, &previous[sig == SIGSEGV]) < 0 ||
	    sigaction(sig, &action, NULL) < 0)
		return -errno;
	return 0;
}

int guard_install(bool copy)
{
	int r = 0;

	(void)pthread_mutex_lock(&mutex);
	if (!installed) {
		page = (size_t)page_size();
		r = install(SIGBUS);
		if (r == 0)
			r = install(SIGSEGV);
		installed = r == 0;
	}
	if (r == 0 && copy)
		atomic_store(&copy_writes, true);
	(void)pthread_mutex_unlock(&mutex);
	return r;
}

/* ---- to JavaScript ---- */

/* installGuard(copyWrites) */
static napi_value js_install(napi_env env, napi_callback_info info)
{
	struct call c;
	bool copy;
	int r;

	if (!call_begin(env, info, &c) || !value_bool(&c, 0, &copy))
		return NULL;
	r = guard_install(copy);
	return r < 0 ? throw_errno(env, r, "sigaction", NULL) : NULL;
}

/* faults(handle): { bus, write }, also of a closed one. */
static napi_value js_faults(napi_env env, napi_callback_info info)
{
	napi_value object = NULL;
	struct handle *handle;
	struct faults faults;
	struct call c;

	if (!call_begin(env, info, &c) || !value_handle(&c, 0, &handle) ||
	    napi_create_object(env, &object) != napi_ok)
		return NULL;
	faults = handle_faults(handle);
	set_number(env, object, "bus", faults.bus);
	set_number(env, object, "write", faults.write);
	return object;
}

int guard_exports(napi_env env, napi_value exports)
{
	static const struct exported list[] = {
		{ "installGuard", js_install },
		{ "faults", js_faults },
	};

	return add_exports(env, exports, list, ARRAY_SIZE(list));
}
