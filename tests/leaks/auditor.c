/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* auditor - holds the labels of the corpus against the exact heap. It knows nothing of verdicts: what a family serves
 * is counted, what lives when nobody is served any more is looked up by site, and both must come to what the label
 * says.
 *
 * Of a leaky family: the bytes at the label's site, after everything that may go was evicted, are `bytes` for each unit
 * of the axis, but for chance, and at least `least` for a request. Of a clean one: it never holds more than its
 * `bound`, and nothing at all after fini. Of each: no bad free. Without the heap layer (under a sanitizer) families are
 * only served, for the sanitizer to see.
 */
#include "cleanup.h"
#include "course.h"
#include "heap.h"
#include "scope.h"
#include "timeline.h"

#include <dirent.h>
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
	SECOND = 1000000,
	PATIENCE = 600,    /* seconds for one audit on a busy machine, before it counts as hung */
	AFTERWARDS = 60,   /* seconds until the last has been answered, and threads have done their part */
	BRIEF = 60000,     /* requests after the onset, of a brief audit */
	RARE = 6,          /* times as many for a family that leaks little */
	LITTER = 96 * 1664 /* class bytes that requests under way hold at most (corpus_begin) */
};

static const char usage[] = "usage: tests/leaks/audit [--long] [--part PART] [NAME...]\n"
			    "  --long        all shapes of traffic, as many requests as runs have\n"
			    "  --part PART   of SPLIT; default: all\n"
			    "  NAME          these families only\n";

static struct {
	struct label labels[LABEL_FAMILIES];
	size_t count;
	char folder[PATH_MAX], plugins[PATH_MAX];
	const char *part;
	bool is_long;
} options;

struct audit {
	const struct label *label;
	struct course course;
	struct signals_exposure at_onset;
	bool begun;        /* the leak may have */
	uint64_t began_at; /* request */
	uint64_t most;     /* bytes that lived beside arenas */
};

/* --- measuring --------------------------------------------------------------------------------------------------- */

static struct heap *
own_heap(const struct audit *audit)
{
	struct scope_space *space = instance_space(stage_instance(audit->course.stage));

	return scope_active() ? scope_space_own(space) : NULL;
}

static uint64_t
live_bytes(const struct audit *audit)
{
	struct heap_live live = {0};

	if (own_heap(audit) != NULL)
		heap_live(own_heap(audit), &live);
	return live.bytes - live.arena_bytes;
}

static struct signals_exposure
read_exposure(const struct audit *audit)
{
	struct signals_sample sample = {0};

	(void) plugin_sample(stage_plugin(audit->course.stage), stage_instance(audit->course.stage), timeline_now(),
			     &sample);
	return sample.exposure;
}

static void
second(void *ctx)
{
	struct audit *audit = ctx;
	uint64_t live = live_bytes(audit);

	if (live > audit->most)
		audit->most = live;
	if (!audit->begun && course_past_onset(&audit->course)) {
		audit->begun = true;
		audit->began_at = audit->course.served;
		audit->at_onset = read_exposure(audit);
	}
}

/* --- what must hold ---------------------------------------------------------------------------------------------- */

static bool
fault(const struct audit *audit, const char *what, double is, double told)
{
	(void) printf("%s, %s: %s: %.4g, by the label %.4g\n", audit->label->name,
		      traffic_shape_name(audit->course.traffic.shape), what, is, told);
	return false;
}

static bool
leak_is_as_told(const struct audit *audit)
{
	const struct label *label = audit->label;
	struct signals_exposure now = read_exposure(audit);
	double bytes = (double) stage_site_bytes(audit->course.stage, label->site);
	double requests = (double) (now.count[SIGNALS_REQUESTS] - audit->at_onset.count[SIGNALS_REQUESTS]);

	if (label->foreign)
		return true; /* no site of its own tells */
	if (bytes < label->least * requests * (1 - label->spread))
		return fault(audit, "bytes a request, the least", bytes / requests, label->least);
	if (label->bytes <= 0)
		return true; /* it grows in steps */
	unsigned axis = (unsigned) __builtin_ctz(label->axes);
	double units = (double) (now.count[axis] - audit->at_onset.count[axis]);
	if (axis == SIGNALS_SECONDS)
		units /= SECOND;
	if (fabs(bytes / (label->bytes * units) - 1) > label->spread)
		return fault(audit, "bytes for each unit of the axis", bytes / units, label->bytes);
	return true;
}

/* One of the daemon's own goes by its name. */
static bool
thread_is_ours(const char *task)
{
	char path[64], name[16] = "";

	(void) snprintf(path, sizeof(path), "/proc/self/task/%.20s/comm", task);
	FILE *file = fopen(path, "re");
	if (file == NULL)
		return false;
	bool ours = fgets(name, sizeof(name), file) != NULL && strncmp(name, "mtlsd-", 6) == 0;
	(void) fclose(file);
	return ours;
}

/* Whether the plugin has some; the heap layer, which knows too, may be absent. */
static bool
has_threads(void)
{
	DIR *folder = opendir("/proc/self/task");
	unsigned count = 0;

	if (folder == NULL)
		return true;
	for (const struct dirent *entry; (entry = readdir(folder)) != NULL;)
		count += entry->d_name[0] != '.' && !thread_is_ours(entry->d_name);
	(void) closedir(folder);
	return count > 1;
}

static bool
end_is_empty(const struct audit *audit)
{
	struct instance *instance = stage_instance(audit->course.stage);
	const mtlsd_plugin *plugin = instance_descriptor(instance);
	struct instance_call call;

	/* A thread sleeps by the timeline, which nobody would move while fini waits for it. */
	if (plugin->fini == NULL || has_threads())
		return true;
	if (instance_call_exclusive(instance, &call) < 0)
		return fault(audit, "its own end could not be entered", 0, 0);
	plugin->fini(instance_user(instance));
	instance_call_end(&call);
	return audit->label->leaky || live_bytes(audit) == 0 ||
	       fault(audit, "bytes that live after fini", (double) live_bytes(audit), 0);
}

static bool
audit_ends_well(struct audit *audit)
{
	uint64_t claimed = 0;
	struct heap_usage end;

	course_pass(&audit->course, timeline_now() + AFTERWARDS * SECOND);
	if (crowd_size(audit->course.crowd) > 0)
		return fault(audit, "requests never answered", crowd_size(audit->course.crowd), 0);
	crowd_leave(audit->course.crowd);
	(void) instance_evict(stage_instance(audit->course.stage), UINT64_MAX, MTLSD_EVICT_STATE, &claimed);
	if (own_heap(audit) == NULL)
		return end_is_empty(audit);
	if (audit->label->leaky && !leak_is_as_told(audit))
		return false;
	if (audit->label->bound > 0 && (double) audit->most > audit->label->bound + LITTER)
		return fault(audit, "bytes at most", (double) audit->most - LITTER, audit->label->bound);
	if (!end_is_empty(audit))
		return false;
	heap_usage(own_heap(audit), &end);
	return end.faults == 0 || fault(audit, "bad frees", (double) end.faults, 0);
}

static uint64_t
requests_of(const struct label *label)
{
	if (options.is_long || !scope_active())
		return options.is_long ? label->requests : BRIEF / RARE;
	return label->least > 0 && label->least < 4 ? BRIEF * RARE : BRIEF;
}

static bool
audit_do(const struct label *label, enum traffic_shape shape)
{
	struct audit audit = {.label = label};
	bool reloaded;

	if (course_begin(&audit.course, label, options.plugins, shape, 1) < 0)
		return false;
	audit.course.second = second;
	audit.course.ctx = &audit;
	second(&audit);
	while (!audit.begun || audit.course.served - audit.began_at < requests_of(label)) {
		if (course_request(&audit.course, &reloaded) < 0)
			return false;
	}
	return audit_ends_well(&audit);
}

/* --- all of them ------------------------------------------------------------------------------------------------- */

/* 0: it holds. Each in a process of its own, as stages have to be. */
static pid_t
audit_begin(const struct label *label, enum traffic_shape shape)
{
	(void) fflush(stdout);
	pid_t pid = fork();
	if (pid < 0)
		abort();
	if (pid > 0)
		return pid;
	(void) alarm(PATIENCE);
	bool good = audit_do(label, shape);
	(void) fflush(stdout);
	_exit(good ? 0 : 1);
}

static bool
is_wanted(const struct label *label, int names, char **name)
{
	if (options.part != NULL && strcmp(options.part, label_part_name(label->part)) != 0)
		return false;
	for (int i = 0; i < names; i++) {
		if (strcmp(name[i], label->name) == 0)
			return true;
	}
	return names == 0;
}

static void
audit_await(unsigned *passed, unsigned *failed)
{
	int status = 1;
	(void) wait(&status);
	if (WIFSIGNALED(status))
		(void) printf("an audit ended by signal %d\n", WTERMSIG(status));
	*(status == 0 ? passed : failed) += 1;
}

static int
audit_all(int names, char **name)
{
	unsigned running = 0, passed = 0, failed = 0, jobs = (unsigned) sysconf(_SC_NPROCESSORS_ONLN);

	for (size_t i = 0; i < options.count; i++) {
		for (unsigned shape = 0; shape < (options.is_long ? (unsigned) TRAFFIC_SHAPES : 1); shape++) {
			if (!is_wanted(&options.labels[i], names, name))
				continue;
			if (running == jobs) {
				audit_await(&passed, &failed);
				running--;
			}
			(void) audit_begin(&options.labels[i], shape);
			running++;
		}
	}
	for (; running > 0; running--)
		audit_await(&passed, &failed);
	(void) printf("%u passed, %u failed\n", passed, failed);
	return failed == 0 && passed > 0 ? 0 : 1;
}

int
main(int argc, char **argv)
{
	int at = 3;

	if (argc < 3 || strcmp(argv[1], "--labels") != 0) {
		(void) fputs(usage, stderr);
		return 2;
	}
	(void) snprintf(options.folder, sizeof(options.folder), "%s", argv[2]);
	ssize_t length = readlink("/proc/self/exe", options.plugins, sizeof(options.plugins) - 1);
	options.plugins[length > 0 ? length : 0] = '\0';
	char *slash = strrchr(options.plugins, '/');
	if (slash != NULL)
		*slash = '\0';
	for (; at < argc && argv[at][0] == '-'; at++) {
		if (strcmp(argv[at], "--long") == 0) {
			options.is_long = true;
		} else if (strcmp(argv[at], "--part") == 0 && at + 1 < argc) {
			options.part = argv[++at];
		} else {
			(void) fputs(usage, stderr);
			return 2;
		}
	}
	int count = label_read_all(options.folder, options.labels, LABEL_FAMILIES);
	if (count < 0)
		return 2;
	options.count = (size_t) count;
	return audit_all(argc - at, argv + at);
}
