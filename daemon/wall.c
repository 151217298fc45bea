/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "wall.h"

#include "cleanup.h"
#include "wall-plan.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <sched.h>
#include <seccomp.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

struct wall {
	struct wall_plan plan;
};

/* As the kernel's ABI 6 has it; older headers know a part. */
struct ruleset {
	uint64_t fs, net, scoped;
};

/* Rights by the ABI that brought them. */
static const uint64_t fs_read = LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR,
		      fs_first = (LANDLOCK_ACCESS_FS_MAKE_SYM << 1) - 1, fs_refer = UINT64_C(1) << 13,
		      fs_truncate = UINT64_C(1) << 14, net_connect = UINT64_C(1) << 1, scope_signal = UINT64_C(1) << 1;
/* What means something for a file that is no folder. */
static const uint64_t fs_of_files =
	LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_WRITE_FILE | UINT64_C(1) << 14;

/* --- Landlock ------------------------------------------------------------------------------------------------------
 */

static struct ruleset
ruleset_of(const struct wall_plan *plan, long abi)
{
	struct ruleset ruleset = {.fs = fs_first};

	if (abi >= 2)
		ruleset.fs |= fs_refer;
	if (abi >= 3)
		ruleset.fs |= fs_truncate;
	if (abi >= 4 && !plan->network)
		ruleset.net = net_connect;
	if (abi >= 6)
		ruleset.scoped = scope_signal;
	return ruleset;
}

static int
grant(int fd, const struct ruleset *ruleset, const struct wall_grant *grant)
{
	struct landlock_path_beneath_attr rule = {
		.allowed_access = grant->write ? ruleset->fs & ~LANDLOCK_ACCESS_FS_EXECUTE : ruleset->fs & fs_read,
	};
	struct stat status;

	int path = open(grant->path, O_PATH | O_CLOEXEC);
	if (path < 0)
		return errno == ENOENT ? 0 : -errno;
	int r = fstat(path, &status) < 0 ? -errno : 0;
	if (r == 0 && !S_ISDIR(status.st_mode))
		rule.allowed_access &= fs_of_files;
	rule.parent_fd = path;
	if (r == 0 && syscall(SYS_landlock_add_rule, fd, LANDLOCK_RULE_PATH_BENEATH, &rule, 0) < 0)
		r = -errno;
	(void) close(path);
	return r;
}

static int
landlock_raise(const struct wall_plan *plan, long abi, struct error *error)
{
	struct ruleset ruleset = ruleset_of(plan, abi);
	/* A kernel refuses a struct with more than it knows, unless the rest is zero: what is not known is. */
	int fd = (int) syscall(SYS_landlock_create_ruleset, &ruleset, sizeof(ruleset), 0);
	int r = 0;

	if (fd < 0)
		return error_set(error, -errno, "cannot put up the wall around files: %m");
	for (size_t i = 0; r == 0 && i < plan->count; i++) {
		r = grant(fd, &ruleset, &plan->grants[i]);
		if (r < 0)
			error_set(error, r, "cannot put up the wall around files: %s: %s", plan->grants[i].path,
				  strerror(-r));
	}
	if (r == 0 && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		r = error_set(error, -errno, "cannot put up the wall around files: no_new_privs: %m");
	if (r == 0 && syscall(SYS_landlock_restrict_self, fd, 0) < 0)
		r = error_set(error, -errno, "cannot put up the wall around files: %m");
	(void) close(fd);
	return r;
}

int
wall_raise(const struct config *config, struct wall **ret, const char **ret_missing, struct error *error)
{
	CLEANUP(wall_free) struct wall *wall = calloc(1, sizeof(*wall));
	int r = wall ? wall_plan_make(config, &wall->plan) : -ENOMEM;

	*ret_missing = NULL;
	if (r < 0)
		return error_set(error, r, "out of memory");
	long abi =
		wall->plan.files ? syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION) : -1;
	if (wall->plan.files && abi < 1)
		*ret_missing = "this kernel has no Landlock: daemon.walls.files is without effect";
	else if (wall->plan.files)
		r = landlock_raise(&wall->plan, abi, error);
	if (r < 0)
		return r;
	*ret = STEAL(wall);
	return 0;
}

int
wall_covers(const struct wall *wall, const struct config *config, struct error *error)
{
	CLEANUP(wall_plan_clear) struct wall_plan wanted = {0};
	int r = wall_plan_make(config, &wanted);

	if (r < 0)
		return error_set(error, r, "out of memory");
	const char *lacks = wall_plan_lacks(&wall->plan, &wanted);
	if (!lacks)
		return 0;
	return error_set(error, -EPERM,
			 "the new configuration needs %s, which the walls put up at the start do not let through: "
			 "needs a restart of the daemon",
			 lacks);
}

void
wall_free(struct wall **wall)
{
	if (!*wall)
		return;
	wall_plan_clear(&(*wall)->plan);
	free(*wall);
	*wall = NULL;
}

/* --- seccomp -------------------------------------------------------------------------------------------------------
 */

/* What neither the daemon nor a handler has any business with. */
static const char *const closed[] = {
	/* looking into other processes */
	"ptrace",
	"process_vm_readv",
	"process_vm_writev",
	"kcmp",
	"pidfd_getfd",
	"process_madvise",
	/* another view of the file system */
	"mount",
	"umount2",
	"umount",
	"pivot_root",
	"chroot",
	"move_mount",
	"fsopen",
	"fsconfig",
	"fsmount",
	"fspick",
	"open_tree",
	"mount_setattr",
	"open_by_handle_at",
	"quotactl",
	"quotactl_fd",
	"unshare",
	"setns",
	/* the machine */
	"reboot",
	"kexec_load",
	"kexec_file_load",
	"init_module",
	"finit_module",
	"delete_module",
	"swapon",
	"swapoff",
	"acct",
	"iopl",
	"ioperm",
	"settimeofday",
	"clock_settime",
	"clock_adjtime",
	"adjtimex",
	"stime",
	"sethostname",
	"setdomainname",
	"syslog",
	"vhangup",
	"personality",
	"modify_ldt",
	"lookup_dcookie",
	"uselib",
	"ustat",
	"nfsservctl",
	/* interfaces with a long list of holes */
	"bpf",
	"perf_event_open",
	"userfaultfd",
	"add_key",
	"request_key",
	"keyctl",
	"io_uring_setup",
	"io_uring_enter",
	"io_uring_register",
	/* becoming somebody else */
	"setuid",
	"setgid",
	"setreuid",
	"setregid",
	"setresuid",
	"setresgid",
	"setgroups",
	"setfsuid",
	"setfsgid",
	"capset",
};
static const char *const programs[] = {"execve", "execveat"};
static const uint64_t namespaces[] = {CLONE_NEWNS,   CLONE_NEWCGROUP, CLONE_NEWUTS, CLONE_NEWIPC,
				      CLONE_NEWUSER, CLONE_NEWPID,    CLONE_NEWNET};

static int
calls_close(scmp_filter_ctx filter, const char *const *names, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		int call = seccomp_syscall_resolve_name(names[i]);
		/* Another architecture may not have it. */
		int r = call == __NR_SCMP_ERROR || call < 0 ? 0
							    : seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), call, 0);
		if (r < 0)
			return r;
	}
	return 0;
}

/* clone3 takes its flags where no filter can read them; the C library falls back to clone. */
static int
namespaces_close(scmp_filter_ctx filter)
{
	int r = seccomp_rule_add(filter, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0);

	for (size_t i = 0; r == 0 && i < ARRAY_LENGTH(namespaces); i++)
		r = seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(clone), 1,
				     SCMP_A0(SCMP_CMP_MASKED_EQ, namespaces[i], namespaces[i]));
	return r;
}

int
wall_close(const struct wall *wall, struct error *error)
{
	if (!wall->plan.calls)
		return 0;
	scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ALLOW);
	if (!filter)
		return error_set(error, -ENOMEM, "out of memory");
	int r = seccomp_attr_set(filter, SCMP_FLTATR_CTL_TSYNC, 1);
	if (r == 0)
		r = calls_close(filter, closed, ARRAY_LENGTH(closed));
	if (r == 0 && !wall->plan.exec)
		r = calls_close(filter, programs, ARRAY_LENGTH(programs));
	if (r == 0)
		r = namespaces_close(filter);
	if (r == 0)
		r = seccomp_load(filter);
	seccomp_release(filter);
	return r < 0 ? error_set(error, r, "cannot close system calls: %s", strerror(-r)) : 0;
}
