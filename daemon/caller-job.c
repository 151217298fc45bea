/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Commands under way: run at once or as a job, put on record, turned into their reply. */
#include "caller-internal.h"
#include "event.h"
#include "job.h"
#include "pace.h"
#include "rendering.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { CALLER_READING_JOBS_MAX = 8 };

static void
caller_job_free(struct caller_job *job)
{
	if (job->call.output >= 0)
		(void) close(job->call.output);
	json_decref(job->call.arguments);
	json_decref(job->reply);
	free(job->text);
	free(job);
}

/* "restart leak", for the journal and the list of jobs. */
static void
caller_job_name(const struct caller_job *job, char *buffer, size_t size)
{
	const struct command *command = job->call.command;
	const char *plugin = command_string(&job->call, "plugin");

	snprintf(buffer, size, "%s%s%s", command->name ? command->name : command->method, plugin ? " " : "",
		 plugin ? plugin : "");
}

/* The numbers and words of a reply in one line. */
static void
caller_job_summary(const struct caller_job *job, char *buffer, size_t size)
{
	size_t used = 0;
	const char *key;
	json_t *value;

	buffer[0] = '\0';
	if (job->result < 0) {
		snprintf(buffer, size, "%s", job->error.text);
		return;
	}
	json_object_foreach(job->reply, key, value) {
		if (used >= size)
			break;
		if (strcmp(key, "plugin") == 0)
			continue; /* the command's line says it already */
		if (json_is_integer(value))
			used += (size_t) snprintf(buffer + used, size - used, "%s%s=%" JSON_INTEGER_FORMAT,
						  used ? " " : "", key, json_integer_value(value));
		else if (json_is_string(value))
			used += (size_t) snprintf(buffer + used, size - used, "%s%s=%s", used ? " " : "", key,
						  json_string_value(value));
	}
}

static bool
caller_job_is_change(const struct caller_job *job)
{
	return job->call.changes && !command_flag(&job->call, "dry_run");
}

/* Every change, done or failed, is on record with who wanted it. */
static void
caller_job_log(const struct caller_job *job)
{
	char what[96], summary[sizeof(job->error.text)], uid[24], pid[24], id[24];

	if (!caller_job_is_change(job))
		return;
	caller_job_name(job, what, sizeof(what));
	caller_job_summary(job, summary, sizeof(summary));
	snprintf(uid, sizeof(uid), "%" PRIuMAX, (uintmax_t) job->uid);
	snprintf(pid, sizeof(pid), "%" PRIiMAX, (intmax_t) job->pid);
	snprintf(id, sizeof(id), "%" PRIu64, job->id);
	event_log(job->result < 0 ? EVENT_CHANGE_FAILED : EVENT_CHANGED,
		  LOG_FIELDS({"MTLSD_COMMAND", job->call.command->name},
			     {"MTLSD_PLUGIN", command_string(&job->call, "plugin")}, {"MTLSD_UID", uid},
			     {"MTLSD_PID", pid}, {"MTLSD_JOB", job->id ? id : NULL},
			     {"MTLSD_RESULT", job->result < 0 ? caller_error_name(job->result) : "ok"}),
		  "%s by uid %s, pid %s: %s%s%s", what, uid, pid, job->result < 0 ? "failed" : "done",
		  *summary ? ": " : "", summary);
}

static json_t *
caller_job_message(struct caller_job *job)
{
	json_t *parameters = STEAL(job->reply);

	if (job->result >= 0)
		return wire_reply(parameters, false);
	if (!parameters)
		parameters = json_object();
	if (json_object_set_new(parameters, "message",
				command_text(job->error.text[0] ? job->error.text : strerror(-job->result))) < 0) {
		json_decref(parameters);
		return NULL;
	}
	return wire_error(caller_error_name(job->result), parameters);
}

static void
caller_job_work(void *argument)
{
	struct caller_job *job = argument;

	job->result = job->call.command->run(&job->call, &job->reply, &job->error);
}

/* Not on the main thread, which others wait for: a reply may have megabytes. */
static void
caller_job_write(struct caller_job *job)
{
	json_t *message = caller_job_message(job);

	job->text_result =
		message ? rendering_make(message, JSON_COMPACT, "", WIRE_REPLY_MAX, &job->text, &job->text_length)
			: -ENOMEM;
	json_decref(message);
	job->written = true;
}

/* The thread of a slow command. Looking may take its time; those who are served meanwhile shall not notice. */
static void
caller_job_thread(void *argument)
{
	struct caller_job *job = argument;

	if (!job->call.changes)
		pace_begin();
	caller_job_work(job);
	if (!job->call.changes && !job->oneway)
		caller_job_write(job);
}

/* The end of a command, quick or slow. The caller may have gone. */
static void
caller_job_end(struct caller_job *job)
{
	struct caller *caller = job->caller;

	caller_job_log(job);
	if (caller && job->written)
		caller_send_text(caller, job->text_result, STEAL(job->text), job->text_length);
	else if (caller && !job->oneway)
		caller_send(caller, caller_job_message(job));
	caller_job_free(job);
}

static void
caller_job_done(void *argument)
{
	struct caller_job *job = argument;
	struct caller *caller = job->caller;
	char summary[sizeof(job->error.text)];

	if (!job->call.changes)
		job->service->reading_jobs--;
	/* Of readings and rehearsals the list keeps nothing: they would push changes out of it. */
	if (caller_job_is_change(job)) {
		caller_job_summary(job, summary, sizeof(summary));
		job_set_result(job->service->context.jobs, job->id, job->result, summary);
	}
	caller_job_end(job);
	if (!caller)
		return;
	caller->job = NULL;
	caller_turn(caller);
}

/* Starts a slow command. On failure the job is the caller of this function's again. */
static int
caller_job_start(struct caller *caller, struct caller_job *job, const struct wire_call *call)
{
	bool waits = !command_flag(&job->call, "no_block") && !call->oneway;
	char what[96];
	int r;

	if (!job->call.changes && job->service->reading_jobs >= CALLER_READING_JOBS_MAX)
		return error_set(&job->error, -EBUSY, "%d reading jobs run already; try again",
				 CALLER_READING_JOBS_MAX);
	caller_job_name(job, what, sizeof(what));
	if (!waits)
		job->caller = NULL;
	r = job_start(job->service->context.jobs, what, caller_job_thread, caller_job_done, job, &job->id);
	if (r < 0) {
		job->caller = caller;
		if (r == -EAGAIN)
			return error_set(&job->error, -EBUSY, "too many jobs run already; see jobs, and try again");
		return error_set(&job->error, r, "no job can be started: %s", strerror(-r));
	}
	if (!job->call.changes)
		job->service->reading_jobs++;
	if (waits)
		caller->job = job;
	if (!call->oneway && (!waits || (call->more && job->call.changes)))
		caller_send(caller, wire_reply(json_pack("{s:I}", "job", (json_int_t) job->id), waits));
	return 0;
}

void
caller_run(struct caller *caller, const struct wire_call *call, const struct command *command, json_t *arguments,
	   int output)
{
	struct caller_job *job = calloc(1, sizeof(*job));
	int r;

	if (!job) {
		if (output >= 0)
			(void) close(output);
		json_decref(arguments);
		if (!call->oneway)
			caller_send(caller, NULL);
		return;
	}
	job->service = caller->service;
	job->caller = caller;
	job->uid = caller->peer.uid;
	job->pid = caller->peer.pid;
	job->oneway = call->oneway;
	job->call = (struct command_call){
		.command = command,
		.context = &caller->service->context,
		.arguments = arguments,
		.output = output,
		.changes = command_changes(command, arguments),
	};
	if (!command->slow) {
		caller_job_work(job);
		caller_job_end(job);
		return;
	}
	/* Once its thread runs the job is the thread's: nothing of it is written here any more. */
	r = caller_job_start(caller, job, call);
	if (r < 0) {
		job->result = r;
		caller_job_end(job);
	}
}
