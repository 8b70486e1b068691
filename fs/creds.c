/* SPDX-License-Identifier: MIT */
/* creds.c - take on a caller's rights for one system call, per thread. */
#include "creds.h"

#include <cap-ng.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/securebits.h>
#include <sched.h>
#include <sys/fsuid.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/macro.h"

/* An id that owns nothing. Not "nobody": filesystems may reserve blocks for that one. */
#define NOBODY ((uid_t)-2)

/* What any operation of fs may need; see the roles for the rest of the reasons. */
static const unsigned int needed[] = {
	CAP_CHOWN,	     /* chown, on behalf of who may */
	CAP_DAC_OVERRIDE,    /* reach every file of the source */
	CAP_DAC_READ_SEARCH, /* open_by_handle_at */
	CAP_FOWNER,	     /* chmod, utimes and ACLs of files of all users */
	CAP_FSETID,	     /* keep the set-group-ID bit the kernel allowed */
	CAP_IPC_LOCK,	     /* lock up to the mount's own limit */
	CAP_LINUX_IMMUTABLE, /* files marked so by root through the mount */
	CAP_MKNOD,	     /* device nodes, where the kernel let the caller */
	CAP_SETFCAP,	     /* security.capability attributes */
	CAP_SETGID,	     /* setfsgid */
	CAP_SETUID,	     /* setfsuid */
	CAP_SYS_ADMIN,	     /* passthrough, trusted attributes, page flags, unmount */
};

/* Effective sets of the roles; permitted stays, so that leaving can restore. */
#define CAP_BIT(cap) (1ull << (cap))
static const uint64_t role_capabilities[] = {
	[CREDS_CREATE] = CAP_BIT(CAP_DAC_OVERRIDE) | CAP_BIT(CAP_DAC_READ_SEARCH) |
			 CAP_BIT(CAP_FSETID) | CAP_BIT(CAP_MKNOD),
	[CREDS_CHANGE] = CAP_BIT(CAP_DAC_OVERRIDE) | CAP_BIT(CAP_DAC_READ_SEARCH),
	[CREDS_BACKING] = CAP_BIT(CAP_SYS_ADMIN),
};

static bool privileged;
static bool fixup; /* setfsuid() away from root takes all that overrides permissions, and back
		    * gives it again (capabilities(7)), as it does unless told not to */
static uint64_t permitted; /* what was kept; constant after start, as are: */
static gid_t own_groups[CREDS_GROUPS_MAX];
static unsigned int own_group_count;

/* What is executed as root gets all of the bounding set back, but for these two. */
static void forgo_execution(void)
{
	for (int cap = 0; prctl(PR_CAPBSET_READ, cap, 0, 0, 0) >= 0; cap++) {
		if (!(permitted & CAP_BIT(cap)))
			(void)prctl(PR_CAPBSET_DROP, cap, 0, 0, 0); /* CAP_SETPCAP */
	}
	(void)prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
}

int creds_drop_unneeded(void)
{
	int groups;

	capng_get_caps_process();
	privileged = geteuid() == 0 && capng_have_capability(CAPNG_EFFECTIVE, CAP_SETUID) &&
		     capng_have_capability(CAPNG_EFFECTIVE, CAP_SETGID) &&
		     capng_have_capability(CAPNG_EFFECTIVE, CAP_DAC_OVERRIDE);
	if (!privileged)
		return 0;
	fixup = !(prctl(PR_GET_SECUREBITS) & SECBIT_NO_SETUID_FIXUP);
	for (size_t i = 0; i < ARRAY_SIZE(needed); i++) {
		if (capng_have_capability(CAPNG_PERMITTED, needed[i]))
			permitted |= CAP_BIT(needed[i]);
	}
	groups = getgroups(CREDS_GROUPS_MAX, own_groups);
	own_group_count = groups > 0 ? (unsigned int)groups : 0;
	forgo_execution();
	capng_clear(CAPNG_SELECT_CAPS);
	for (size_t i = 0; i < ARRAY_SIZE(needed); i++) {
		if (permitted & CAP_BIT(needed[i]))
			(void)capng_update(CAPNG_ADD, CAPNG_EFFECTIVE | CAPNG_PERMITTED,
					   needed[i]);
	}
	return capng_apply(CAPNG_SELECT_CAPS) == 0 ? 0 : -EPERM;
}

bool creds_privileged(void)
{
	return privileged;
}

/* capset(2) of this thread. libcap-ng keeps one state per process image, too slow and not
 * made for switching with every request. */
static void set_effective(uint64_t effective)
{
	struct __user_cap_header_struct head = { _LINUX_CAPABILITY_VERSION_3, 0 };
	struct __user_cap_data_struct data[2] = {
		{ .effective = (uint32_t)effective, .permitted = (uint32_t)permitted },
		{ .effective = (uint32_t)(effective >> 32),
		  .permitted = (uint32_t)(permitted >> 32) },
	};

	(void)syscall(SYS_capset, &head, data);
}

struct creds creds_enter(enum creds_role role, uid_t uid, gid_t gid)
{
	struct creds creds = { .entered = false };

	if (!privileged)
		return creds;
	if (role == CREDS_BACKING) {
		uid = NOBODY;
		gid = NOBODY;
	} else if (uid == 0 && gid == 0) {
		return creds;
	}
	creds.entered = true;
	(void)setfsgid(gid);
	(void)setfsuid(uid);
	/* With every open, and what is left then gives no right over a file. */
	creds.fixed_up = role == CREDS_BACKING && fixup;
	/* Root stays root, whatever its group. */
	if (uid != 0 && !creds.fixed_up)
		set_effective(role_capabilities[role] & permitted);
	return creds;
}

/* Of this thread alone: libc's setgroups would change all of them. */
static void set_groups(unsigned int count, const gid_t *groups)
{
	(void)syscall(SYS_setgroups, (size_t)count, groups);
}

static struct creds enter_with_groups(const struct creds_user *user, uint64_t effective)
{
	struct creds creds = { .entered = false };

	if (!privileged || user->uid == 0)
		return creds;
	creds = (struct creds){ .entered = true, .groups = true };
	set_groups(user->group_count, user->groups);
	(void)setfsgid(user->gid);
	(void)setfsuid(user->uid);
	set_effective(effective & permitted);
	return creds;
}

struct creds creds_enter_user(const struct creds_user *user)
{
	return enter_with_groups(user, 0);
}

struct creds creds_enter_owner(const struct creds_user *user)
{
	return enter_with_groups(user, CAP_BIT(CAP_DAC_OVERRIDE) |
				       CAP_BIT(CAP_DAC_READ_SEARCH) | CAP_BIT(CAP_FOWNER));
}

void creds_leave(struct creds *creds)
{
	if (!creds->entered)
		return;
	/* Allowed without CAP_SETUID: the real user is still root. */
	(void)setfsuid(0);
	(void)setfsgid(0);
	if (!creds->fixed_up)
		set_effective(permitted);
	if (creds->groups)
		set_groups(own_group_count, own_groups);
	*creds = (struct creds){ .entered = false };
}

void creds_umask(mode_t mask)
{
	static _Thread_local bool separate;

	/* The umask belongs to the fs_struct, which threads share until they say otherwise. */
	if (!separate)
		separate = unshare(CLONE_FS) == 0;
	(void)umask(mask);
}

/* Without ACLs, for where the kernel will not tell: its answer for a read-only filesystem is
 * that, whoever asks. */
static bool mode_allows(const struct stat *st, const struct creds_user *user, int how)
{
	const mode_t others = how == W_OK ? S_IWOTH : S_IROTH;
	bool member = user->gid == st->st_gid;

	if (user->uid == 0 || user->uid == st->st_uid)
		return true;
	for (unsigned int i = 0; i < user->group_count && !member; i++)
		member = user->groups[i] == st->st_gid;
	return st->st_mode & (member ? others << 3 : others);
}

static int may(int fd, const struct creds_user *user, int how)
{
	_cleanup_creds_ struct creds creds = creds_enter_user(user);
	struct stat st;

	/* The system call itself: glibc 2.36 imitates AT_EACCESS by the mode bits. */
	if (syscall(SYS_faccessat2, fd, "", how, AT_EMPTY_PATH | AT_EACCESS) == 0)
		return 0;
	if (errno != EROFS && errno != ENOSYS)
		return -errno;
	if (fstat(fd, &st) < 0)
		return -errno;
	return mode_allows(&st, user, how) ? 0 : -EACCES;
}

int creds_may_write(int fd, const struct creds_user *user)
{
	return may(fd, user, W_OK);
}

int creds_may_read(int fd, const struct creds_user *user)
{
	return user->uid == 0 ? 0 : may(fd, user, R_OK);
}
