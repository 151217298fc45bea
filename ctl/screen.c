/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "screen.h"

#include "cleanup.h"
#include "memory.h"
#include "monotonic.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <termios.h>

enum {
	SCREEN_COLUMNS = 80,
	SCREEN_LINES = 24,
	SCREEN_PIECE = 256, /* bytes */
	SCREEN_ESCAPE = 50, /* milliseconds the rest of a key's sequence may take */
};

/* Alternate page, no cursor; and back. */
static const char enter[] = "\033[?1049h\033[?25l", leave[] = "\033[?25h\033[?1049l";

static const int signals[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGPIPE, SIGTSTP, SIGCONT, SIGWINCH};

struct screen {
	int input, output, events;
	bool keys; /* input is a terminal */
	struct termios before;
	sigset_t mask; /* as it was */
	int signal;
};

/* Takes in one signal. SCREEN_END, SCREEN_REDRAW, SIGTSTP for the caller to do, or SCREEN_OTHER. */
static int
screen_read_signal(struct screen *screen)
{
	struct signalfd_siginfo event;

	if (read(screen->events, &event, sizeof(event)) != sizeof(event))
		return SCREEN_OTHER;
	if (event.ssi_signo == SIGTSTP || event.ssi_signo == SIGCONT)
		return (int) event.ssi_signo;
	if (event.ssi_signo == SIGWINCH)
		return SCREEN_REDRAW;
	screen->signal = (int) event.ssi_signo;
	return SCREEN_END;
}

/* False: the terminal takes nothing (somebody stopped its output, say) and a signal says that it is the end. Others
 * than that are of no use before the page is out. */
static bool
screen_wait_writable(struct screen *screen)
{
	struct pollfd ready[] = {
		{.fd = screen->output, .events = POLLOUT},
		{.fd = screen->events, .events = POLLIN},
	};

	for (;;) {
		if (poll(ready, ARRAY_LENGTH(ready), screen->signal ? 0 : -1) < 0 && errno != EINTR)
			return false;
		if (ready[0].revents)
			return true;
		if (screen->signal || (ready[1].revents && screen_read_signal(screen) == SCREEN_END))
			return false;
	}
}

/* In pieces that a terminal with any room takes without blocking. */
static void
screen_write(struct screen *screen, const char *text, size_t length)
{
	while (length > 0 && screen_wait_writable(screen)) {
		ssize_t n = write(screen->output, text, length < SCREEN_PIECE ? length : SCREEN_PIECE);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return;
		text += n;
		length -= (size_t) n;
	}
}

static void
screen_enter(struct screen *screen)
{
	struct termios raw = screen->before;

	raw.c_lflag &= ~(tcflag_t) (ICANON | ECHO);
	raw.c_cc[VMIN] = 1;
	raw.c_cc[VTIME] = 0;
	if (screen->keys)
		(void) tcsetattr(screen->input, TCSANOW, &raw);
	screen_write(screen, enter, sizeof(enter) - 1);
}

static void
screen_leave(struct screen *screen)
{
	screen_write(screen, leave, sizeof(leave) - 1);
	if (screen->keys)
		(void) tcsetattr(screen->input, TCSANOW, &screen->before);
}

/* The one that is shown, for an end in the middle of anything. */
static struct screen *screen_shown;

static void
screen_end(void)
{
	screen_leave(screen_shown);
}

int
screen_open(int input, int output, struct screen **ret)
{
	struct screen *screen;
	sigset_t mask;

	if (!isatty(output))
		return -ENOTTY;
	screen = calloc(1, sizeof(*screen));
	if (!screen)
		return -ENOMEM;
	screen->input = input;
	screen->output = output;
	screen->keys = isatty(input) && tcgetattr(input, &screen->before) == 0;
	sigemptyset(&mask);
	for (size_t i = 0; i < ARRAY_LENGTH(signals); i++)
		sigaddset(&mask, signals[i]);
	screen->events = signalfd(-1, &mask, SFD_CLOEXEC | SFD_NONBLOCK);
	if (screen->events < 0 || sigprocmask(SIG_BLOCK, &mask, &screen->mask) < 0) {
		int r = -errno;

		if (screen->events >= 0)
			(void) close(screen->events);
		free(screen);
		return r;
	}
	screen_shown = screen;
	memory_at_end(screen_end);
	screen_enter(screen);
	*ret = screen;
	return 0;
}

int
screen_close(struct screen **screen)
{
	struct screen *s = *screen;
	int number;

	if (!s)
		return 0;
	number = s->signal;
	memory_at_end(NULL);
	screen_leave(s);
	(void) close(s->events);
	(void) sigprocmask(SIG_SETMASK, &s->mask, NULL);
	free(STEAL(*screen));
	return number;
}

void
screen_size(const struct screen *screen, size_t *ret_columns, size_t *ret_lines)
{
	struct winsize size;
	bool known = ioctl(screen->output, TIOCGWINSZ, &size) == 0;

	*ret_columns = known && size.ws_col > 0 ? size.ws_col : SCREEN_COLUMNS;
	*ret_lines = known && size.ws_row > 0 ? size.ws_row : SCREEN_LINES;
}

void
screen_show(struct screen *screen, const char *page)
{
	CLEANUP_FREE char *text = NULL;
	size_t size = 0;
	FILE *out = open_memstream(&text, &size);

	if (!out)
		return;
	fputs("\033[H", out);
	while (*page) {
		size_t length = strcspn(page, "\n");

		/* Cleared before it is written: after a line as wide as the screen its last cell would go. */
		fprintf(out, "\033[2K%.*s\r\n", (int) length, page);
		page += length + (page[length] == '\n');
	}
	fputs("\033[J", out);
	if (fclose(out) == 0 && text)
		screen_write(screen, text, size);
}

/* The rest of a key that began with escape. */
static int
screen_read_sequence(const struct screen *screen)
{
	static const struct {
		const char *sequence;
		int key;
	} rows[] = {
		{"[A", SCREEN_UP},       {"[B", SCREEN_DOWN},       {"[C", SCREEN_RIGHT}, {"[D", SCREEN_LEFT},
		{"OA", SCREEN_UP},       {"OB", SCREEN_DOWN},       {"OC", SCREEN_RIGHT}, {"OD", SCREEN_LEFT},
		{"[5~", SCREEN_PAGE_UP}, {"[6~", SCREEN_PAGE_DOWN},
	};
	char sequence[8] = "";
	size_t length = 0;
	struct pollfd ready = {.fd = screen->input, .events = POLLIN};

	/* It ends with a letter or "~" behind its first byte. */
	while (length + 1 < sizeof(sequence) && poll(&ready, 1, SCREEN_ESCAPE) > 0 &&
	       read(screen->input, sequence + length, 1) == 1) {
		char c = sequence[length++];

		if (length > 1 && ((c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '~'))
			break;
	}
	for (size_t i = 0; i < ARRAY_LENGTH(rows); i++)
		if (strcmp(sequence, rows[i].sequence) == 0)
			return rows[i].key;
	return SCREEN_OTHER;
}

static int
screen_read_key(struct screen *screen)
{
	unsigned char c;
	ssize_t n = read(screen->input, &c, 1);

	if (n < 0 && (errno == EINTR || errno == EAGAIN))
		return SCREEN_OTHER;
	if (n <= 0)
		return SCREEN_END;
	return c == 033 ? screen_read_sequence(screen) : c;
}

/* As any program that is stopped: the terminal is the shell's until it goes on. */
static void
screen_stop(struct screen *screen)
{
	screen_leave(screen);
	(void) raise(SIGSTOP);
	screen_enter(screen);
}

static int
screen_handle_signal(struct screen *screen)
{
	int key = screen_read_signal(screen);

	if (key == SIGTSTP)
		screen_stop(screen);
	/* After a stop that was no key of ours the shell has had the terminal. */
	if (key == SIGCONT)
		screen_enter(screen);
	return key == SIGTSTP || key == SIGCONT ? SCREEN_REDRAW : key;
}

int
screen_wait(struct screen *screen, uint64_t deadline)
{
	struct pollfd ready[] = {
		{.fd = screen->events, .events = POLLIN},
		{.fd = screen->keys ? screen->input : -1, .events = POLLIN},
	};
	uint64_t now = monotonic_now(), left = deadline > now ? (deadline - now + 999) / 1000 : 0;
	int r = poll(ready, ARRAY_LENGTH(ready), left > INT_MAX ? INT_MAX : (int) left);

	if (r < 0)
		return errno == EINTR ? SCREEN_OTHER : SCREEN_END;
	if (screen->signal)
		return SCREEN_END;
	if (ready[0].revents)
		return screen_handle_signal(screen);
	if (ready[1].revents)
		return screen_read_key(screen);
	return SCREEN_TIMEOUT;
}
