/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* evaluator - runs the corpus under the verdict engine and says how right it is. README.md tells how to read it. */
#include "cleanup.h"
#include "figures.h"
#include "label.h"
#include "run.h"
#include "scope.h"
#include "score.h"

#include <getopt.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
	SKIPPED = 77,   /* what automake takes for "skipped" */
	PATIENCE = 900, /* seconds for one run on a busy machine, before it counts as hung */
};

static const char usage[] =
	"usage: tests/leaks/evaluate [OPTION...]\n"
	"  --part tune|validation|sealed|beyond|all   which families (SPLIT); default: tune\n"
	"  --only NAME               this family only; may be given again\n"
	"  --shape steady|diurnal|bursty\n"
	"  --hook yes|no             plugins whose eviction hook is known, or is not; default: both\n"
	"  --kind leaky|clean\n"
	"  --seeds N                 runs of each family, shape and hook; default: 2\n"
	"  --clean-seeds N           the same for clean families with a hook; default: as --seeds\n"
	"  --first-seed N            default: 1\n"
	"  --jobs N                  runs at once; default: one a processor\n"
	"  --runs                    a line a run\n"
	"  --trace                   a line a second of each run, on stderr\n"
	"  --figures                 figures at the end\n"
	"  --check                   fail if a clean family is CONFIRMED or a leaky one is not found\n"
	"  --records FOLDER          keeps a record of each run's end there, for mtlsctl replay\n"
	"  --labels FOLDER           SPLIT and the parts with their labels; default: this folder\n"
	"  --plugins FOLDER          the parts with the built plugins; default: beside this program\n";

struct plan {
	struct run_order *orders;
	size_t count;
	struct run_result *results; /* shared with the children */
};

static struct {
	struct label labels[LABEL_FAMILIES];
	size_t label_count;
	const char *only[LABEL_FAMILIES], *records;
	size_t only_count;
	unsigned part, seeds, clean_seeds, first_seed, jobs;
	int shape, hook, leaky; /* -1: all */
	bool runs, trace, figures, check;
	char folder[PATH_MAX], plugins[PATH_MAX];
} options = {.part = LABEL_TUNE, .seeds = 2, .first_seed = 1, .shape = -1, .hook = -1, .leaky = -1, .folder = "."};

/* --- the plan ---------------------------------------------------------------------------------------------------- */

static bool
is_wanted(const struct label *label)
{
	if (options.leaky >= 0 && label->leaky != (options.leaky == 1))
		return false;
	for (size_t i = 0; i < options.only_count; i++) {
		if (strcmp(options.only[i], label->name) == 0)
			return true;
	}
	return options.only_count == 0 && (label->part & options.part) != 0;
}

static unsigned
seeds_of(const struct label *label, bool hook)
{
	return hook && !label->leaky && options.clean_seeds > 0 ? options.clean_seeds : options.seeds;
}

static void
plan_add(struct plan *plan, const struct label *label, bool hook)
{
	for (unsigned shape = 0; shape < TRAFFIC_SHAPES; shape++) {
		if (options.shape >= 0 && shape != (unsigned) options.shape)
			continue;
		for (unsigned seed = 0; seed < seeds_of(label, hook); seed++)
			plan->orders[plan->count++] = (struct run_order){
				.label = label,
				.plugins = options.plugins,
				.records = options.records,
				.shape = shape,
				.seed = options.first_seed + seed,
				.hook = hook,
			};
	}
}

static void
plan_make(struct plan *plan)
{
	unsigned most = options.seeds > options.clean_seeds ? options.seeds : options.clean_seeds;
	size_t room = options.label_count * TRAFFIC_SHAPES * 2 * most;

	plan->orders = calloc(room + 1, sizeof(*plan->orders));
	plan->results = mmap(NULL, (room + 1) * sizeof(*plan->results), PROT_READ | PROT_WRITE,
			     MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (plan->orders == NULL || plan->results == MAP_FAILED)
		abort();
	for (size_t i = 0; i < options.label_count; i++) {
		if (!is_wanted(&options.labels[i]))
			continue;
		for (int hook = 1; hook >= 0; hook--) {
			if (options.hook < 0 || options.hook == hook)
				plan_add(plan, &options.labels[i], hook == 1);
		}
	}
}

/* --- running ----------------------------------------------------------------------------------------------------- */

static void
print_run(const struct run_order *order, const struct run_result *result)
{
	char reached[VERDICT_CONFIRMED + 1][24];

	for (unsigned i = 0; i <= VERDICT_CONFIRMED; i++)
		(void) snprintf(reached[i], sizeof(reached[i]), result->reached[i] == RUN_NEVER ? "-" : "%llu",
				(unsigned long long) result->reached[i]);
	(void) printf(
		"%s %s hook=%s seed=%llu: %s%ssuspect %s likely %s confirmed %s; %s %s, axis %s%s %.2f (true %.2f), "
		"%.2f (true %.2f) B a request, site %s, %s, label's unit %.1f, probes %u rejected %u, %llu requests "
		"from %llu, %.1f s: %s\n",
		order->label->name, traffic_shape_name(order->shape), order->hook ? "yes" : "no",
		(unsigned long long) order->seed, result->failed ? "FAILED " : "", result->early ? "EARLY " : "",
		reached[VERDICT_SUSPECT], reached[VERDICT_LIKELY], reached[VERDICT_CONFIRMED],
		verdict_outcome_name(result->outcome), verdict_class_name(result->class),
		signals_axis_name(result->axis), result->separable ? "" : " (not separable)", result->rate,
		result->true_rate, result->per_request, result->true_per_request, result->site, result->function,
		result->true_unit, result->probes, result->rejected, (unsigned long long) result->requests,
		(unsigned long long) result->began, result->took, result->sentence);
}

static _Noreturn void
run_one(const struct plan *plan, size_t which)
{
	(void) alarm(PATIENCE);
	run_do(&plan->orders[which], options.trace, &plan->results[which]);
	_exit(0);
}

/* Each run in a process of its own: heaps of libraries and threads of plugins go with it. */
static void
plan_run(struct plan *plan)
{
	size_t begun = 0, ended = 0;
	unsigned running = 0;
	pid_t *children = calloc(plan->count + 1, sizeof(*children));

	if (children == NULL)
		abort();
	for (size_t i = 0; i < plan->count; i++)
		plan->results[i].failed = true; /* until it says otherwise */
	while (ended < plan->count) {
		for (; running < options.jobs && begun < plan->count; running++, begun++) {
			(void) fflush(stdout);
			children[begun] = fork();
			if (children[begun] < 0)
				abort();
			if (children[begun] == 0)
				run_one(plan, begun);
		}
		int status;
		pid_t pid = wait(&status);
		for (size_t i = 0; i < begun; i++) {
			if (children[i] != pid)
				continue;
			children[i] = 0; /* the number may come again */
			if (status != 0)
				plan->results[i].failed = true;
			if (options.runs || plan->results[i].failed)
				print_run(&plan->orders[i], &plan->results[i]);
		}
		running--;
		ended++;
	}
	free(children);
}

/* --- telling ----------------------------------------------------------------------------------------------------- */

static bool
is_summed(const struct label *label)
{
	return !label->foreign && label->part != LABEL_BEYOND;
}

static void
print_rates(const char *who, unsigned found, unsigned leaky, unsigned falsely, unsigned clean)
{
	if (leaky + clean == 0)
		return;
	(void) printf("%-22s  found %u of %u leaks (recall %.3f), %u false alarms in %u clean runs (precision %.3f)\n",
		      who, found, leaky, leaky > 0 ? (double) found / leaky : 0, falsely, clean,
		      found + falsely > 0 ? (double) found / (found + falsely) : 0);
}

static void
print_table(const struct plan *plan)
{
	struct score sums[2][2] = {0}; /* leaky, hook */

	score_print_head(stdout);
	for (size_t i = 0, next; i < plan->count; i = next) {
		const struct run_order *order = &plan->orders[i];
		struct score score = {0};
		for (next = i; next < plan->count && plan->orders[next].label == order->label &&
			       plan->orders[next].hook == order->hook;
		     next++) {
			score_add(&score, &plan->orders[next], &plan->results[next]);
			if (is_summed(order->label))
				score_add(&sums[order->label->leaky][order->hook], &plan->orders[next],
					  &plan->results[next]);
		}
		score_print_row(stdout, order->label->name, order->label->leaky ? "leaky" : "clean", order->hook,
				&score);
		score_clear(&score);
	}
	for (int leaky = 1; leaky >= 0; leaky--) {
		for (int hook = 1; hook >= 0; hook--) {
			struct score *sum = &sums[leaky][hook];
			if (sum->runs > 0)
				score_print_row(stdout, "SUM", leaky ? "leaky" : "clean", hook, sum);
		}
	}
	for (int hook = 1; hook >= 0; hook--) {
		const struct score *leaky = &sums[1][hook], *clean = &sums[0][hook];
		print_rates(hook ? "CONFIRMED, with a hook" : "LIKELY, without a hook", leaky->found, leaky->runs,
			    clean->goal + leaky->early, clean->runs);
	}
	for (unsigned kind = 0; kind < BASELINE_KINDS; kind++)
		print_rates(baseline_name(kind), sums[1][0].alarms[kind], sums[1][0].runs, sums[0][0].alarms[kind],
			    sums[0][0].runs);
	for (int leaky = 1; leaky >= 0; leaky--)
		for (int hook = 1; hook >= 0; hook--)
			score_clear(&sums[leaky][hook]);
}

/* What must hold for every run, tuned on or not: clean is never CONFIRMED; of those tuned on each leak is found. */
static int
check(const struct plan *plan)
{
	int bad = 0;

	for (size_t i = 0; i < plan->count; i++) {
		const struct run_order *order = &plan->orders[i];
		struct score score = {0};
		score_add(&score, order, &plan->results[i]);
		bool accused = is_summed(order->label) && order->hook && !order->label->leaky && score.goal > 0;
		bool missed = is_summed(order->label) && order->label->leaky && score.found == 0;
		if (score.failed || score.early || accused || missed) {
			bad++;
			(void) printf("%s: ", accused ? "falsely confirmed" : missed ? "missed" : "failed");
			print_run(order, &plan->results[i]);
		}
		score_clear(&score);
	}
	(void) printf("%zu passed, %d failed\n", plan->count - (size_t) bad, bad);
	return bad == 0 && plan->count > 0 ? 0 : 1;
}

/* --- options ----------------------------------------------------------------------------------------------------- */

static int
word_index(const char *word, const char *const *words, int count)
{
	for (int i = 0; i < count; i++) {
		if (strcmp(word, words[i]) == 0)
			return i;
	}
	(void) fprintf(stderr, "evaluate: there is no \"%s\" here\n%s", word, usage);
	exit(2);
}

static unsigned
read_part(const char *word)
{
	static const char *const words[] = {"tune", "validation", "sealed", "beyond", "all"};
	int number = word_index(word, words, ARRAY_LENGTH(words));

	return number == ARRAY_LENGTH(words) - 1 ? LABEL_ALL : 1U << number;
}

static unsigned
read_number(const char *text)
{
	char *end;
	unsigned long value = strtoul(text, &end, 10);

	if (*end != '\0' || end == text || value == 0 || value > 1000000) {
		(void) fprintf(stderr, "evaluate: \"%s\" is no number above 0\n", text);
		exit(2);
	}
	return (unsigned) value;
}

static void
read_options(int argc, char **argv)
{
	static const char *const hooks[] = {"no", "yes"}, *const shapes[] = {"steady", "diurnal", "bursty"},
				 *const kinds[] = {"clean", "leaky"};
	static const struct option rows[] = {
		{"part", required_argument, NULL, 'h'},
		{"only", required_argument, NULL, 'o'},
		{"shape", required_argument, NULL, 's'},
		{"hook", required_argument, NULL, 'k'},
		{"kind", required_argument, NULL, 'd'},
		{"seeds", required_argument, NULL, 'n'},
		{"clean-seeds", required_argument, NULL, 'c'},
		{"first-seed", required_argument, NULL, 'e'},
		{"jobs", required_argument, NULL, 'j'},
		{"runs", no_argument, NULL, 'r'},
		{"trace", no_argument, NULL, 't'},
		{"figures", no_argument, NULL, 'f'},
		{"check", no_argument, NULL, 'x'},
		{"labels", required_argument, NULL, 'l'},
		{"records", required_argument, NULL, 'w'},
		{"plugins", required_argument, NULL, 'p'},
		{NULL, 0, NULL, 0},
	};
	int option;

	while ((option = getopt_long(argc, argv, "", rows, NULL)) != -1) {
		switch (option) {
		case 'h':
			options.part = read_part(optarg);
			break;
		case 'o':
			options.only[options.only_count++ % LABEL_FAMILIES] = optarg;
			break;
		case 'w':
			options.records = optarg;
			break;
		case 's':
			options.shape = word_index(optarg, shapes, ARRAY_LENGTH(shapes));
			break;
		case 'k':
			options.hook = word_index(optarg, hooks, ARRAY_LENGTH(hooks));
			break;
		case 'd':
			options.leaky = word_index(optarg, kinds, ARRAY_LENGTH(kinds));
			break;
		case 'n':
			options.seeds = read_number(optarg);
			break;
		case 'c':
			options.clean_seeds = read_number(optarg);
			break;
		case 'e':
			options.first_seed = read_number(optarg);
			break;
		case 'j':
			options.jobs = read_number(optarg);
			break;
		case 'r':
			options.runs = true;
			break;
		case 't':
			options.trace = true;
			break;
		case 'f':
			options.figures = true;
			break;
		case 'x':
			options.check = true;
			break;
		case 'l':
			(void) snprintf(options.folder, sizeof(options.folder), "%s", optarg);
			break;
		case 'p':
			(void) snprintf(options.plugins, sizeof(options.plugins), "%s", optarg);
			break;
		default:
			(void) fputs(usage, stderr);
			exit(2);
		}
	}
}

int
main(int argc, char **argv)
{
	struct plan plan = {0};

	options.jobs = (unsigned) sysconf(_SC_NPROCESSORS_ONLN);
	ssize_t length = readlink("/proc/self/exe", options.plugins, sizeof(options.plugins) - 1);
	options.plugins[length > 0 ? length : 0] = '\0';
	char *slash = strrchr(options.plugins, '/');
	if (slash != NULL)
		*slash = '\0';
	read_options(argc, argv);
	if (!scope_active()) {
		(void) printf("skipped: without the heap layer there is nothing to judge\n");
		return SKIPPED;
	}
	int count = label_read_all(options.folder, options.labels, LABEL_FAMILIES);
	if (count < 0)
		return 2;
	options.label_count = (size_t) count;
	plan_make(&plan);
	plan_run(&plan);
	print_table(&plan);
	if (options.figures)
		figures_print(plan.orders, plan.results, plan.count, options.part);
	return options.check ? check(&plan) : 0;
}
