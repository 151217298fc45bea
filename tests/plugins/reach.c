/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* reach - tries what the query asks for and answers "errno N": ?read=PATH, ?write=PATH, ?connect=PORT (127.0.0.1),
 * ?exec, ?ptrace, ?unshare, ?thread. 0: it could. */
#include "fixture.h"

#include <arpa/inet.h>
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/wait.h>

static const mtlsd_host *host;

static int
reach_init(const mtlsd_host *given, mtlsd_instance *self FIXTURE_UNUSED, const mtlsd_config *config FIXTURE_UNUSED,
	   void **user FIXTURE_UNUSED, char *error FIXTURE_UNUSED, size_t error_size FIXTURE_UNUSED)
{
	host = given;
	return 0;
}

static int
try_open(const char *path, int flags)
{
	int fd = open(path, flags | O_CLOEXEC, 0600);

	if (fd < 0)
		return errno;
	close(fd);
	return 0;
}

static int
try_connect(int port)
{
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t) port)};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), r;

	if (fd < 0)
		return errno;
	inet_pton(AF_INET, "127.0.0.1", &address.sin_addr);
	r = connect(fd, (struct sockaddr *) &address, sizeof(address)) < 0 ? errno : 0;
	close(fd);
	return r;
}

/* The child tells by its exit code what execve said; 0 is /bin/true's. */
static int
try_exec(void)
{
	int status;
	pid_t child = fork();

	if (child < 0)
		return errno;
	if (child == 0) {
		execl("/bin/true", "true", (char *) NULL);
		_exit(errno);
	}
	if (waitpid(child, &status, 0) != child)
		return errno;
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void *
nothing(void *argument)
{
	return argument;
}

static int
try_thread(void)
{
	pthread_t thread;
	int r = pthread_create(&thread, NULL, nothing, NULL);

	return r ? r : pthread_join(thread, NULL);
}

static mtlsd_action
reach_request(void *user FIXTURE_UNUSED, mtlsd_request *request)
{
	const char *query = host->query(request) ? host->query(request) : "";
	char text[32];
	int result = -1;

	if (strncmp(query, "read=", 5) == 0)
		result = try_open(query + 5, O_RDONLY);
	else if (strncmp(query, "write=", 6) == 0)
		result = try_open(query + 6, O_WRONLY | O_CREAT);
	else if (strncmp(query, "connect=", 8) == 0)
		result = try_connect(atoi(query + 8));
	else if (strcmp(query, "exec") == 0)
		result = try_exec();
	else if (strcmp(query, "ptrace") == 0)
		result = ptrace(PTRACE_TRACEME, 0, NULL, NULL) < 0 ? errno : 0;
	else if (strcmp(query, "unshare") == 0)
		result = unshare(CLONE_NEWNS) < 0 ? errno : 0;
	else if (strcmp(query, "thread") == 0)
		result = try_thread();
	snprintf(text, sizeof(text), "errno %d\n", result);
	return fixture_answer(host, request, 200, text);
}

MTLSD_PLUGIN = {
	MTLSD_PLUGIN_HEAD("reach", "1.0", "tries what it is asked to try"),
	.flags = MTLSD_CONCURRENT,
	.init = reach_init,
	.request = reach_request,
};
