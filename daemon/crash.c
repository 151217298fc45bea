/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "crash.h"

#include "cleanup.h"
#include "heap-internal.h"
#include "layer.h"
#include "quarantine.h"
#include "scope-internal.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>

enum {
	CRASH_STACK = 64 << 10, /* the processor's saved state alone can take 12 KiB */
	CRASH_LINE = 512,
	CRASH_PATH = 128,
};

static const struct {
	int number;
	const char *name;
} crash_signals[] = {
	{SIGSEGV, "SIGSEGV"}, {SIGBUS, "SIGBUS"}, {SIGILL, "SIGILL"}, {SIGFPE, "SIGFPE"}, {SIGABRT, "SIGABRT"},
};

static bool crash_taken;
static _Thread_local void *crash_stack __attribute__((tls_model("local-exec")));
static _Thread_local const char *crash_route __attribute__((tls_model("local-exec")));
static _Thread_local const char *crash_path __attribute__((tls_model("local-exec")));

struct crash_line {
	size_t length;
	char text[CRASH_LINE];
};

static void
crash_add(struct crash_line *line, const char *text)
{
	while (*text != '\0' && line->length < CRASH_LINE - 1)
		line->text[line->length++] = *text++;
}

static void
crash_add_address(struct crash_line *line, uintptr_t address)
{
	char digits[2 * sizeof(address) + 1];
	size_t at = sizeof(digits);

	digits[--at] = '\0';
	do
		digits[--at] = "0123456789abcdef"[address % 16];
	while ((address /= 16) != 0);
	crash_add(line, "0x");
	crash_add(line, digits + at);
}

static uintptr_t
crash_instruction(const void *context)
{
#if defined(__x86_64__)
	return (uintptr_t) ((const ucontext_t *) context)->uc_mcontext.gregs[REG_RIP];
#elif defined(__aarch64__)
	return (uintptr_t) ((const ucontext_t *) context)->uc_mcontext.pc;
#else
	(void) context;
	return 0;
#endif
}

/* Whose memory it was: a live heap's, or a destroyed one's, which is what a stale pointer comes to. */
static void
crash_add_owner(struct crash_line *line, uintptr_t address)
{
	uintptr_t offset = address - bin_range.base;

	if (offset >= bin_range.bytes)
		return;
	unsigned slot = (unsigned) (offset >> bin_range.shift);
	crash_add(line, heap_in_slot(slot) != NULL ? " in the heap of " : " in the destroyed heap of ");
	crash_add(line, quarantine_name(slot));
}

static void
crash_report(int number, const siginfo_t *info, const void *context)
{
	const struct scope_space *space = bin_self.space;
	struct crash_line line = {.length = 0};
	const char *name = "a fatal signal";

	for (unsigned i = 0; i < ARRAY_LENGTH(crash_signals); i++)
		if (crash_signals[i].number == number)
			name = crash_signals[i].name;
	crash_add(&line, "mtlsd: ");
	crash_add(&line, name);
	if (space != NULL) {
		crash_add(&line, " in plugin ");
		crash_add(&line, space->own->name);
	}
	if (crash_route != NULL) {
		crash_add(&line, ", route ");
		crash_add(&line, crash_route);
		crash_add(&line, ", request ");
		/* A client chose it: its length may not push out what follows. */
		char path[CRASH_PATH + 1] = "";
		strncat(path, crash_path, CRASH_PATH);
		crash_add(&line, path);
	}
	crash_add(&line, ": instruction ");
	crash_add_address(&line, crash_instruction(context));
	if (info->si_code > 0 && number != SIGABRT) {
		crash_add(&line, ", address ");
		crash_add_address(&line, (uintptr_t) info->si_addr);
		crash_add_owner(&line, (uintptr_t) info->si_addr);
	}
	line.text[line.length++] = '\n'; /* crash_add leaves room */
	for (size_t at = 0; at < line.length;) {
		ssize_t written = write(STDERR_FILENO, line.text + at, line.length - at);
		if (written <= 0)
			break;
		at += (size_t) written;
	}
}

static void
crash_on_signal(int number, siginfo_t *info, void *context)
{
	crash_report(number, info, context);
	/* The default action was restored on the way in (SA_RESETHAND). Going back repeats a fault; a signal that was
	 * sent has to be sent again. */
	if (info->si_code <= 0 || number == SIGABRT)
		(void) raise(number);
}

int
crash_setup(void)
{
	struct sigaction action = {.sa_sigaction = crash_on_signal, .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_RESETHAND};

	if (MTLSD_SANITIZED)
		return 0;
	sigemptyset(&action.sa_mask);
	for (unsigned i = 0; i < ARRAY_LENGTH(crash_signals); i++)
		if (sigaction(crash_signals[i].number, &action, NULL) < 0)
			return -errno;
	crash_taken = true;
	crash_thread_begin();
	return 0;
}

void
crash_thread_begin(void)
{
	stack_t stack;

	if (!crash_taken || crash_stack != NULL)
		return;
	if (sigaltstack(NULL, &stack) < 0 || !(stack.ss_flags & SS_DISABLE))
		return; /* the thread has one of its own */
	void *memory = mmap(NULL, CRASH_STACK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
	if (memory == MAP_FAILED)
		return; /* a crash by stack overflow goes without report, no more */
	stack = (stack_t){.ss_sp = memory, .ss_size = CRASH_STACK};
	if (sigaltstack(&stack, NULL) < 0)
		(void) munmap(memory, CRASH_STACK);
	else
		crash_stack = memory;
}

void
crash_thread_end(void)
{
	stack_t none = {.ss_flags = SS_DISABLE};

	if (crash_stack == NULL)
		return;
	(void) sigaltstack(&none, NULL);
	(void) munmap(crash_stack, CRASH_STACK);
	crash_stack = NULL;
}

void
crash_note(const char *route, const char *path)
{
	crash_route = route;
	crash_path = path;
}

const char *
crash_noted_route(void)
{
	return crash_route;
}
