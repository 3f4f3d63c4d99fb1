/* SPDX-License-Identifier: Apache-2.0 */
#include "user/mcp/target/child.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/pidfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "user/base/buf.h"
#include "user/base/check.h"
#include "user/base/limits.h"
#include "user/base/log.h"
#include "user/base/mem.h"
#include "user/mcp/protocol/id_scan.h"
#include "user/mcp/target/child_stderr_log.h"

/* An output that ended is nearly always a process that ends: how it ended is the better reason. */
enum { CHILD_SILENT_MS = 200 };

enum child_state {
#define CHILD_STATE(id, name, deadline_ms, next) CHILD_##id,
#include "user/mcp/target/child_states.def"
#undef CHILD_STATE
};

struct child {
	struct mcp_target target;
	struct mcp_targets *targets; /* borrowed */
	struct child_stderr_log stderr_log; /* what it says on standard error */
	enum child_state state;
	pid_t pid; /* of the process and of its group; not reaped before GONE */
	struct loop_source process; /* pidfd */
	struct loop_source input; /* ours to write; in the loop while `queue` holds bytes */
	struct loop_source output; /* in the loop unless held */
	struct loop_source errors;
	struct buf line; /* the beginning of a line whose end has not come */
	size_t skipped; /* bytes of a line that is too large to be kept; 0: there is none */
	struct mcp_id_scan scan; /* of that line */
	struct buf queue; /* what it has not taken */
	struct timer timer; /* of the state */
	struct text why; /* it is lost */
	bool is_held;
	bool is_lost;
	bool is_closed;
	struct loop_deferred lost;
	struct loop_deferred release;
};

static const struct {
	const char *name;
	uint32_t deadline_ms;
	uint32_t next;
} states[] = {
#define NEXT(id) (1u << CHILD_##id)
#define CHILD_STATE(id, name, deadline_ms, next) [CHILD_##id] = { name, deadline_ms, next },
#include "user/mcp/target/child_states.def"
#undef CHILD_STATE
#undef NEXT
};

static void child_set_state(struct child *child, enum child_state state)
{
	struct timer_wheel *timers = loop_timers(child->targets->loop);

	CHECK(states[child->state].next >> state & 1u);
	child->state = state;
	if (states[state].deadline_ms)
		timer_arm(timers, &child->timer,
			  loop_now_ms(child->targets->loop) + states[state].deadline_ms);
	else
		timer_cancel(timers, &child->timer);
}

/* ------------------------------------------------------------------------------------ end */

static void child_close_end(struct child *child, struct loop_source *end)
{
	loop_source_remove(child->targets->loop, end);
	if (end->fd >= 0)
		close(end->fd);
	end->fd = -1;
}

/* It is told by the end of its input that nobody wants more of it. */
static void child_leave(struct child *child)
{
	child_close_end(child, &child->input);
	buf_consume(&child->queue, buf_len(&child->queue));
	buf_release(&child->queue);
	if (child->state == CHILD_RUNNING || child->state == CHILD_SILENT)
		child_set_state(child, CHILD_LEAVING);
}

/* The owner learns it at the end of the turn: never from within a call of its own. */
static void child_lose(struct child *child)
{
	if (child->is_lost)
		return;
	child->is_lost = true;
	loop_defer(child->targets->loop, &child->lost);
	child_leave(child);
}

static void child_on_lost(struct loop_deferred *deferred)
{
	struct child *child = container_of(deferred, struct child, lost);
	const struct mcp_target_events *events = child->target.events;

	if (events)
		events->on_lost(child->target.owner, text_span(&child->why), child->stderr_log.last);
}

static void child_free(struct child *child)
{
	loop_deferred_cancel(&child->lost);
	loop_deferred_cancel(&child->release);
	list_remove(&child->target.node);
	child->targets->children--;
	buf_done(&child->line);
	buf_done(&child->queue);
	text_done(&child->why);
	child_stderr_log_done(&child->stderr_log);
	hg_free(child);
}

/* The last thing that is done about it. */
static void child_end(struct child *child)
{
	struct mcp_targets *targets = child->targets;

	child_free(child);
	if (list_is_empty(&targets->list) && targets->on_empty)
		targets->on_empty(targets);
}

static void child_on_release(struct loop_deferred *deferred)
{
	child_end(container_of(deferred, struct child, release));
}

static void child_describe_end(struct text *why, const siginfo_t *info)
{
	if (info->si_code == CLD_EXITED)
		text_fmt(why, "exited with status %d", info->si_status);
	else
		text_fmt(why, "was killed by signal %d (%s)", info->si_status,
			 sigabbrev_np(info->si_status) ? sigabbrev_np(info->si_status) : "?");
}

/*
 * Its group goes first: until it is reaped, its number cannot be the group of somebody else. Blocks only if
 * it has not ended.
 */
static void child_reap(struct child *child, siginfo_t *ret_info)
{
	kill(-child->pid, SIGKILL);
	while (waitid(P_PIDFD, (id_t)child->process.fd, ret_info, WEXITED) < 0 && errno == EINTR)
		;
	child_set_state(child, CHILD_GONE);
	child_close_end(child, &child->process);
	child_close_end(child, &child->input);
	child_close_end(child, &child->output);
	child_close_end(child, &child->errors);
}

static void child_on_timer(struct timer *timer, uint64_t now_ms)
{
	struct child *child = container_of(timer, struct child, timer);

	(void)now_ms;
	switch (child->state) {
	case CHILD_SILENT:
		text_str(&child->why, "closed its standard output");
		child_lose(child);
		break;
	case CHILD_LEAVING:
		child_close_end(child, &child->output);
		kill(-child->pid, SIGTERM);
		child_set_state(child, CHILD_TERMINATED);
		break;
	case CHILD_TERMINATED:
	case CHILD_KILLED:
		kill(-child->pid, SIGKILL);
		child_set_state(child, CHILD_KILLED);
		break;
	case CHILD_RUNNING:
	case CHILD_GONE:
		break;
	}
}

/* ------------------------------------------------------------------------------------ its output */

static ssize_t pipe_read(int fd, char *to, size_t most)
{
	ssize_t len;

	do {
		len = read(fd, to, most);
	} while (len < 0 && errno == EINTR);
	return len < 0 ? -errno : len;
}

static void child_deliver(struct child *child, struct span line)
{
	while (line.len && strchr(" \t\r", line.data[line.len - 1]))
		line.len--;
	if (!line.len)
		return;
	child->target.received++;
	(void)child->target.events->on_message(child->target.owner, 0, line);
}

static void child_drop_line(struct child *child)
{
	buf_consume(&child->line, buf_len(&child->line));
	buf_release(&child->line);
}

/* Of a line that is too large only the id of its message is of interest. */
static void child_skip(struct child *child, struct span bytes)
{
	if (!child->skipped) {
		mcp_id_scan_init(&child->scan);
		mcp_id_scan_take(&child->scan, buf_span(&child->line));
		child->skipped = buf_len(&child->line);
		child_drop_line(child);
	}
	mcp_id_scan_take(&child->scan, bytes);
	child->skipped += bytes.len;
}

/* 0, -ENOMEM, or -ENOBUFS: a line without end. */
static int child_keep(struct child *child, struct span bytes)
{
	size_t most = child->targets->message_bytes;
	int error = 0;

	/* A reload may have lowered the limit below what is stored. */
	if (!child->skipped && buf_len(&child->line) + bytes.len <= most)
		error = buf_append(&child->line, bytes, most);
	else
		child_skip(child, bytes);
	return child->skipped > LIMIT_MCP_SKIP_FACTOR * most ? -ENOBUFS : error;
}

/* The request that it was to answer is told; whatever else waits for the child goes on. */
static void child_end_skipped(struct child *child)
{
	char why[96];

	snprintf(why, sizeof(why), "a message of %zu bytes, more than limits.mcpMessageBytes",
		 child->skipped);
	child->skipped = 0;
	child->target.events->on_call_lost(child->target.owner, mcp_id_scan_call(&child->scan),
					   span_str(why));
}

/* The last bytes of a line. 0, or the error of child_keep(). */
static int child_take_line(struct child *child, struct span line)
{
	int error;

	if (!child->skipped && !buf_len(&child->line) && line.len <= child->targets->message_bytes) {
		child_deliver(child, line);
		return 0;
	}
	error = child_keep(child, line);
	if (error)
		return error;
	if (child->skipped) {
		child_end_skipped(child);
		return 0;
	}
	child_deliver(child, buf_span(&child->line));
	child_drop_line(child);
	return 0;
}

static bool child_is_heard(const struct child *child)
{
	return child->target.events && !child->is_lost;
}

static void child_take(struct child *child, struct span in)
{
	int error = 0;

	while (in.len && !error && child_is_heard(child)) {
		ptrdiff_t end = span_find(in, '\n');

		if (end < 0) {
			error = child_keep(child, in);
			break;
		}
		error = child_take_line(child, span_first(in, (size_t)end));
		in = span_from(in, (size_t)end + 1);
	}
	if (!error)
		return;
	text_str(&child->why, error == -ENOBUFS ? "wrote a line without end"
						: "wrote a line for which there is no memory");
	child_lose(child);
}

/* At most LIMIT_TURN_BYTES; the loop reports what is left in its next turn. False: the output has ended. */
static bool child_read(struct child *child)
{
	size_t taken = 0;

	while (taken < LIMIT_TURN_BYTES && child->output.fd >= 0 && !child->is_held) {
		ssize_t len = pipe_read(child->output.fd, child->targets->scratch, LIMIT_READ_BYTES);

		if (len == -EAGAIN)
			break;
		if (len <= 0)
			return false;
		taken += (size_t)len;
		child_take(child, span_of(child->targets->scratch, (size_t)len));
	}
	return true;
}

static void child_on_output(struct loop_source *source, uint32_t events)
{
	struct child *child = container_of(source, struct child, output);

	(void)events;
	if (child_read(child))
		return;
	child_close_end(child, &child->output);
	if (child->state == CHILD_RUNNING)
		child_set_state(child, CHILD_SILENT);
}

static void child_on_errors(struct loop_source *source, uint32_t events)
{
	struct child *child = container_of(source, struct child, errors);
	char bytes[4096];
	ssize_t len = pipe_read(source->fd, bytes, sizeof(bytes));

	(void)events;
	if (len > 0)
		child_stderr_log_take(&child->stderr_log, span_of(bytes, (size_t)len),
				      loop_now_ms(child->targets->loop));
	else if (len != -EAGAIN)
		child_close_end(child, source);
}

/* What it wrote before it ended counts, as far as the pipe held it. */
static void child_on_process(struct loop_source *source, uint32_t events)
{
	struct child *child = container_of(source, struct child, process);
	siginfo_t info = { 0 };

	(void)events;
	child->is_held = false;
	child_read(child);
	if (child->errors.fd >= 0)
		child_on_errors(&child->errors, EPOLLIN);
	child_reap(child, &info);
	if (!child->is_lost)
		child_describe_end(&child->why, &info);
	child_lose(child);
	if (child->is_closed)
		loop_defer(child->targets->loop, &child->release);
}

/* ------------------------------------------------------------------------------------ its input */

/* What it does not take waits for it; without it, whoever reads the other end is gone. */
static void child_flush(struct child *child)
{
	struct loop *loop = child->targets->loop;

	while (buf_len(&child->queue)) {
		struct span bytes = buf_span(&child->queue);
		ssize_t len = write(child->input.fd, bytes.data, bytes.len);

		if (len > 0) {
			buf_consume(&child->queue, (size_t)len);
		} else if (len < 0 && errno == EAGAIN) {
			if (child->input.handle || loop_source_add(loop, &child->input, EPOLLOUT) == 0)
				return;
			text_str(&child->why, "cannot be written to: too many descriptors");
			child_lose(child);
		} else if (len < 0 && errno != EINTR) {
			text_str(&child->why, "closed its standard input");
			child_lose(child);
		}
	}
	loop_source_remove(loop, &child->input);
	buf_release(&child->queue);
}

static void child_on_input(struct loop_source *source, uint32_t events)
{
	(void)events;
	child_flush(container_of(source, struct child, input));
}

static int child_send(struct mcp_target *target, const struct mcp_out *out)
{
	struct child *child = container_of(target, struct child, target);
	bool was_empty = !buf_len(&child->queue);
	int error;

	if (child->is_lost || child->state != CHILD_RUNNING)
		return -EPIPE;
	if (!mcp_targets_have_room(child->targets, buf_len(&child->queue), out->bytes + 1))
		return -ENOBUFS;
	error = buf_reserve(&child->queue, out->bytes + 1, BUF_MAX_BYTES);
	if (error)
		return error;
	for (int i = 0; i < out->count; i++) {
		memcpy(buf_tail(&child->queue), out->segments[i].iov_base, out->segments[i].iov_len);
		buf_commit(&child->queue, out->segments[i].iov_len);
	}
	*buf_tail(&child->queue) = '\n';
	buf_commit(&child->queue, 1);
	target->sent++;
	if (was_empty)
		child_flush(child);
	return 0;
}

/* A child is told by a message, which the session sends. */
static void child_forget(struct mcp_target *target, uint64_t call)
{
	(void)target;
	(void)call;
}

static void child_hold(struct mcp_target *target, bool is_held)
{
	struct child *child = container_of(target, struct child, target);

	if (child->is_held == is_held || child->output.fd < 0)
		return;
	child->is_held = is_held;
	/* Out of the loop: with an interest in nothing, its end would be reported again and again. */
	if (is_held) {
		loop_source_remove(child->targets->loop, &child->output);
	} else if (loop_source_add(child->targets->loop, &child->output, EPOLLIN) < 0) {
		text_str(&child->why, "cannot be read: too many descriptors");
		child_lose(child);
	}
}

static void child_describe(const struct mcp_target *target, struct mcp_target_view *ret_view)
{
	const struct child *child = container_of(target, const struct child, target);

	*ret_view = (struct mcp_target_view){ .state = states[child->state].name,
					      .pid = child->state == CHILD_GONE ? 0 : child->pid,
					      .sent = target->sent,
					      .received = target->received,
					      .queued_bytes = buf_len(&child->queue) };
}

static void child_close(struct mcp_target *target)
{
	struct child *child = container_of(target, struct child, target);

	child->is_closed = true;
	child_hold(target, false);
	if (child->state == CHILD_GONE)
		loop_defer(child->targets->loop, &child->release);
	else
		child_leave(child);
}

static void child_abort(struct mcp_target *target)
{
	struct child *child = container_of(target, struct child, target);
	siginfo_t info;

	if (child->state != CHILD_GONE)
		child_reap(child, &info);
	child_end(child);
}

static const struct mcp_target_ops child_ops = {
	.send = child_send,
	.forget = child_forget,
	.hold = child_hold,
	.describe = child_describe,
	.close = child_close,
	.abort = child_abort,
};

/* ------------------------------------------------------------------------------------ start */

/* From here on its ends belong to the object. -errno without a pidfd: they do not. */
static int child_watch(struct child *child, const int ends[3])
{
	struct loop *loop = child->targets->loop;
	int fd = pidfd_open(child->pid, 0), error;

	if (fd < 0)
		return -errno;
	loop_source_init(&child->process, fd, child_on_process);
	loop_source_init(&child->input, ends[STDIN_FILENO], child_on_input);
	loop_source_init(&child->output, ends[STDOUT_FILENO], child_on_output);
	loop_source_init(&child->errors, ends[STDERR_FILENO], child_on_errors);
	error = loop_source_add(loop, &child->process, EPOLLIN);
	if (!error)
		error = loop_source_add(loop, &child->output, EPOLLIN);
	if (!error)
		error = loop_source_add(loop, &child->errors, EPOLLIN);
	return error;
}

static struct child *child_create(struct mcp_targets *targets, const struct child_options *options)
{
	struct child *child = hg_calloc(1, sizeof(*child));

	if (!child || child_stderr_log_init(&child->stderr_log, options->name) < 0) {
		hg_free(child);
		return NULL;
	}
	child->targets = targets;
	child->target.ops = &child_ops;
	buf_init(&child->line);
	buf_init(&child->queue);
	text_init(&child->why);
	timer_init(&child->timer, child_on_timer);
	loop_deferred_init(&child->lost, child_on_lost);
	loop_deferred_init(&child->release, child_on_release);
	loop_source_init(&child->process, -1, child_on_process);
	list_add_tail(&targets->list, &child->target.node);
	targets->children++;
	return child;
}

/* 0, or -errno: then the process, if there is one, is no more. */
static int child_start(struct child *child, const struct child_options *options)
{
	siginfo_t info;
	int ends[3];
	int error = child_spawn(options, ends, &child->pid);

	if (error)
		return error;
	error = child_watch(child, ends);
	if (error && child->process.fd >= 0) {
		child_reap(child, &info);
	} else if (error) {
		/* Without a pidfd nobody would learn of its end. */
		for (size_t i = 0; i < ARRAY_LEN(ends); i++)
			close(ends[i]);
		kill(-child->pid, SIGKILL);
		while (waitpid(child->pid, NULL, 0) < 0 && errno == EINTR)
			;
	}
	return error;
}

int child_open(struct mcp_targets *targets, const struct child_options *options,
	       const struct mcp_target_events *events, void *owner, struct text *error,
	       struct mcp_target **ret_target)
{
	struct child *child;
	int result;

	if (targets->children >= targets->max_children) {
		text_fmt(error, "there are %u child processes already", targets->children);
		return -EAGAIN;
	}
	child = child_create(targets, options);
	if (!child)
		return -ENOMEM;
	result = child_start(child, options);
	if (result < 0) {
		text_fmt(error, "cannot start %s: %s", options->command, strerrordesc_np(-result));
		child_free(child);
		return result;
	}
	child->target.events = events;
	child->target.owner = owner;
	*ret_target = &child->target;
	return 0;
}
