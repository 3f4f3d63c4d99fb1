/* SPDX-License-Identifier: Apache-2.0 */
#include "user/kernel/sockmap/direction.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "user/base/check.h"
#include "user/base/clock.h"
#include "user/base/failpoint.h"
#include "user/kernel/common/broken.h"
#include "user/kernel/common/tcp_progress.h"
#include "user/kernel/sockmap/forward.h"
#include "user/kernel/sockmap/journal.h"
#include "user/kernel/sockmap/window.h"

#define STATE_BIT(id) (1u << DIRECTION_##id)

static const struct {
	const char *text;
	uint32_t next;
} states[DIRECTION_STATE_COUNT] = {
#define DIRECTION_STATE(id, text, explanation, next) [DIRECTION_##id] = { text, next },
#include "user/kernel/sockmap/direction_states.def"
#undef DIRECTION_STATE
};

const char *sockmap_direction_state_text(enum sockmap_direction_state state)
{
	CHECK((unsigned int)state < DIRECTION_STATE_COUNT);
	return states[state].text;
}

void direction_set_state(struct sockmap_direction *d, enum sockmap_direction_state state)
{
	if (d->state == state)
		return;
	CHECK(states[d->state].next & 1u << state);
	d->state = state;
	if (d->source)
		journal_phase(d->source, state);
	d->wait_ms = 0;
	d->stuck_since_ms = 0;
	d->wants_target_writable = false;
}

struct direction_view direction_look(const struct sockmap_direction *d)
{
	const struct sockmap_kernel *k = &sockmap_socket_record(d->source)->kernel;
	struct direction_view view;

	/* Load passed first: bytes passed after this load were never redirected before it. */
	view.passed_bytes = __atomic_load_n(&k->passed_bytes, __ATOMIC_ACQUIRE);
	view.redirected_bytes = __atomic_load_n(&k->redirected_bytes, __ATOMIC_ACQUIRE);
	view.has_fin = __atomic_load_n(&k->fins, __ATOMIC_ACQUIRE) != 0;
	view.integrity_error = __atomic_load_n(&k->integrity_error, __ATOMIC_ACQUIRE);
	return view;
}

bool direction_is_stopped(const struct sockmap_direction *d, const struct direction_view *view)
{
	return view->passed_bytes != d->forwarded_bytes || view->has_fin || d->is_leaving ||
	       view->integrity_error || view->redirected_bytes + view->passed_bytes >= d->limit_bytes;
}

enum sockmap_step direction_wait_tick(struct sockmap_direction *d, uint64_t now_ms)
{
	/* An event may come during a wait: continue that wait, do not double it. */
	if (d->wait_ms == 0 || now_ms >= d->due_ms) {
		d->wait_ms = d->wait_ms ? d->wait_ms * 2 : SOCKMAP_TICK_MIN_MS;
		if (d->wait_ms > SOCKMAP_TICK_MAX_MS)
			d->wait_ms = SOCKMAP_TICK_MAX_MS;
		d->due_ms = now_ms + d->wait_ms;
	}
	d->wants_target_writable = false;
	list_add_tail(&d->source->worker->ticking, &d->tick);
	return SOCKMAP_STEP_TICK;
}

/* The reason in the record may be from an earlier direction of this source. */
static enum sockmap_reason closing_reason(const struct sockmap_direction *d, const struct sockmap_kernel *k)
{
	bool has_closed = __atomic_load_n(&k->closes, __ATOMIC_RELAXED) != d->base_closes;
	bool was_kept_closed = __atomic_load_n(&k->opens, __ATOMIC_RELAXED) != d->base_opens &&
			       !__atomic_load_n(&k->is_open, __ATOMIC_RELAXED);

	return has_closed || was_kept_closed ? __atomic_load_n(&k->reason, __ATOMIC_RELAXED)
					     : SOCKMAP_REASON_NONE;
}

struct sockmap_direction_stats sockmap_direction_stats(const struct sockmap_direction *d)
{
	if (!sockmap_direction_is_running(d))
		return d->last;
	const struct sockmap_kernel *k = &sockmap_socket_record(d->source)->kernel;
	uint64_t kernel_ns = __atomic_load_n(&k->last_active_ns, __ATOMIC_RELAXED);
	return (struct sockmap_direction_stats){
		.redirected_bytes =
			__atomic_load_n(&k->redirected_bytes, __ATOMIC_RELAXED) - d->base_redirected_bytes,
		.copied_bytes = d->forwarded_bytes - d->base_forwarded_bytes + d->sent_bytes,
		.redirected_framing_bytes =
			__atomic_load_n(&k->framing_bytes, __ATOMIC_RELAXED) - d->base_framing_bytes,
		.copied_framing_bytes = d->sent_framing_bytes,
		.redirected_skbs = __atomic_load_n(&k->redirected_skbs, __ATOMIC_RELAXED) - d->base_skbs,
		.pauses = __atomic_load_n(&k->closes, __ATOMIC_RELAXED) - d->base_closes,
		.last_active_ns = kernel_ns > d->sent_ns ? kernel_ns : d->sent_ns,
		.is_open = __atomic_load_n(&k->is_open, __ATOMIC_RELAXED) != 0,
		.reason = closing_reason(d, k),
		.trimmed_bytes = __atomic_load_n(&k->trimmed_bytes, __ATOMIC_RELAXED) - d->base_trimmed_bytes,
	};
}

/* ---------------------------------------------------------------------------------------- start and end */

static void record_arm(struct sockmap_direction *d, const struct sockmap_direction_options *options)
{
	struct sockmap_user *user = &sockmap_socket_record(d->source)->user;

	user->peer = d->target->slot;
	user->limit_bytes = d->limit_bytes;
	user->credit_bytes = (uint32_t)d->credit_bytes;
	user->flags = (user->flags & SOCKMAP_BOUNDED) |
		      (options->framing == SOCKMAP_CHUNKED_BODY ? SOCKMAP_CHUNKED : 0);
	user->chunk = options->chunk;
	__atomic_store_n(&user->forwarded_bytes, d->forwarded_bytes, __ATOMIC_RELEASE);
	__atomic_store_n(&user->mode, SOCKMAP_MODE_KERNEL, __ATOMIC_RELEASE);
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
}

static void sockmap_disarm(struct sockmap_direction *d)
{
	__atomic_store_n(&sockmap_socket_record(d->source)->user.mode, SOCKMAP_MODE_USER, __ATOMIC_RELEASE);
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
}

static void direction_detach(struct sockmap_direction *d)
{
	struct sockmap_worker *w = d->source->worker;

	sockmap_disarm(d);
	d->last = sockmap_direction_stats(d);
	d->last.is_open = false;
	slots_return_credit(&w->sockmap->slots, d->credit_bytes);
	d->credit_bytes = 0;
	list_remove(&d->tick);
	direction_set_state(d, DIRECTION_IDLE);
	d->source->inbound = NULL;
	d->target->outbound = NULL;
	d->source = NULL;
	d->target = NULL;
	failpoint(LANE_LEFT);
}

/* Does not set `phase`, which follows when the verdict is attached. */
static void direction_note_start(const struct sockmap_direction *d)
{
	struct sockmap_journal *journal = journal_of(d->source);

	*journal = (struct sockmap_journal){
		.busy = JOURNAL_STARTING,
		.framing = (__u8)d->framing,
		.consumed_bytes = d->source->consumed_bytes,
		.base_redirected_bytes = d->base_redirected_bytes,
		.base_forwarded_bytes = d->base_forwarded_bytes,
		.base_written_bytes = d->base_written_bytes,
		.base_framing_bytes = d->base_framing_bytes,
		.seen_opens = d->seen_opens,
	};
}

static void direction_note_started(const struct sockmap_direction *d)
{
	journal_of(d->source)->base_position = d->source->base_position;
	journal_end(d->source, JOURNAL_STARTING);
}

static int start_check(const struct sockmap_direction_options *options)
{
	const struct sockmap_socket *source = options->source;
	const struct sockmap_socket *target = options->target;

	if (!sockmap_socket_is_added(source) || !sockmap_socket_is_added(target) || source == target ||
	    source->worker != target->worker)
		return -EINVAL;
	if (sockmap_socket_has_integrity_error(source) || sockmap_socket_has_integrity_error(target))
		return -EPROTO;
	if (source->is_doubtful)
		return -EBUSY;
	/* A socket is a source or a target, never both: see user/kernel/sockmap/socket.h. */
	if (source->outbound || target->inbound || target->is_source)
		return SOCKMAP_BROKEN(BREAK_ROLES) && !source->inbound && !target->outbound ? 0 : -EBUSY;
	return source->inbound || target->outbound ? -EBUSY : 0;
}

int sockmap_direction_start(struct sockmap_direction *d, const struct sockmap_direction_options *options)
{
	struct sockmap_socket *source = options->source;
	struct tcp_progress_view target_view, source_view;
	int error;

	CHECK(!sockmap_direction_is_running(d));
	error = start_check(options);
	if (!error)
		error = tcp_progress_look(options->target->fd, &target_view);
	/* Also a barrier: after it, no verdict of an earlier direction of this source is running. */
	if (!error)
		error = tcp_progress_look(source->fd, &source_view);
	if (!error && (tcp_progress_is_closed(&target_view) || tcp_progress_is_closed(&source_view)))
		error = -EPIPE;
	/* A sockmap takes no other socket, and the check below would consume the error of a reset. */
	if (!error && !source->is_source && !tcp_progress_is_established(&source_view))
		error = -EOPNOTSUPP;
	if (error)
		return error;

	struct sockmap_worker *w = source->worker;
	const struct sockmap_kernel *k = &sockmap_socket_record(source)->kernel;
	*d = (struct sockmap_direction){
		.on_event = d->on_event,
		.source = source,
		.target = options->target,
		.framing = options->framing,
		.chunk = options->chunk,
		.limit_bytes = SOCKMAP_NO_LIMIT,
		.forwarded_bytes = source->consumed_bytes,
		.base_redirected_bytes = k->redirected_bytes,
		.base_forwarded_bytes = source->consumed_bytes,
		.base_written_bytes = target_view.written_bytes,
		.base_skbs = k->redirected_skbs,
		.base_framing_bytes = k->framing_bytes,
		.base_trimmed_bytes = k->trimmed_bytes,
		.base_closes = k->closes,
		.base_opens = k->opens,
		.seen_opens = k->opens,
	};
	list_init(&d->tick);
	if (options->framing == SOCKMAP_LENGTH)
		d->limit_bytes = k->redirected_bytes + source->consumed_bytes + options->length_bytes;
	if (options->credit_bytes > 0 && slots_reserve_credit(&w->sockmap->slots, options->credit_bytes))
		d->credit_bytes = options->credit_bytes;
	/*
	 * The last direction may have left the gate open: the program must open it anew, with this
	 * direction's state.
	 */
	sockmap_socket_record(source)->kernel.is_open = 0;
	source->inbound = d;
	d->target->outbound = d;
	direction_note_start(d);
	failpoint(LANE_NOTED);
	direction_set_state(d, DIRECTION_OPEN);
	record_arm(d, options);
	failpoint(LANE_ARMED);
	error = sockmap_socket_attach(source);
	failpoint(LANE_VERDICT);
	if (error)
		direction_detach(d);
	else
		direction_note_started(d);
	failpoint(LANE_STARTED);
	return error;
}

static enum sockmap_step direction_end(struct sockmap_direction *d, enum sockmap_step step)
{
	if (d->limit_bytes != SOCKMAP_NO_LIMIT) {
		const struct sockmap_kernel *k = &sockmap_socket_record(d->source)->kernel;
		uint64_t position = k->redirected_bytes + d->forwarded_bytes;

		d->left_bytes = position < d->limit_bytes ? d->limit_bytes - position : 0;
	}
	if (step == SOCKMAP_STEP_RESET || step == SOCKMAP_STEP_INTEGRITY_ERROR)
		d->target->is_doubtful = true;
	if ((step == SOCKMAP_STEP_RESET || step == SOCKMAP_STEP_INTEGRITY_ERROR) &&
	    !SOCKMAP_BROKEN(BREAK_BARRIER)) {
		struct tcp_progress_view view;

		/*
		 * Without a proof, a verdict may be about to redirect, into the socket that gets the target's
		 * slot next. After taking this lock there is none.
		 */
		sockmap_disarm(d);
		tcp_progress_look(d->source->fd, &view);
	}
	direction_detach(d);
	return step;
}

enum sockmap_step direction_set_integrity_error(struct sockmap_direction *d, enum sockmap_reason reason)
{
	struct sockmap_worker *w = d->source->worker;

	w->integrity_errors++;
	/* The program has counted the errors that it found itself. */
	if (reason >= SOCKMAP_REASON_INTEGRITY_RECEIVED)
		atomic_fetch_add(&w->sockmap->proof_failures[reason], 1);
	d->reason = reason;
	return direction_end(d, SOCKMAP_STEP_INTEGRITY_ERROR);
}

enum sockmap_step direction_reset(struct sockmap_direction *d, int error)
{
	d->error = error;
	return direction_end(d, SOCKMAP_STEP_RESET);
}

void direction_leave(struct sockmap_direction *d)
{
	d->is_leaving = true;
	failpoint(LANE_LEAVING);
	/* From the next verdict on, everything is passed; drain_run() waits for one that may be running. */
	sockmap_disarm(d);
	failpoint(LANE_CLOSED);
}

void sockmap_direction_leave(struct sockmap_direction *d)
{
	CHECK(sockmap_direction_is_running(d));
	direction_leave(d);
	list_remove(&d->tick);
	d->due_ms = 0;
	list_add_tail(&d->source->worker->ticking, &d->tick);
}

void sockmap_direction_stop(struct sockmap_direction *d)
{
	if (sockmap_direction_is_running(d))
		direction_end(d, SOCKMAP_STEP_RESET);
}

/* ---------------------------------------------------------------------------------------- states */

static enum sockmap_step open_run(struct sockmap_direction *d)
{
	struct direction_view view = direction_look(d);

	if (!direction_is_stopped(d, &view))
		return SOCKMAP_STEP_WAIT;
	direction_set_state(d, DIRECTION_DRAIN);
	return STEP_NEXT;
}

/* The backlog moves when the target has space: soon if it is writable, otherwise EPOLLOUT will come. */
static enum sockmap_step drain_wait(struct sockmap_direction *d, uint64_t written_bytes, uint64_t now_ms)
{
	bool is_writable;
	int error = tcp_progress_is_writable(d->target->fd, &is_writable);

	if (error)
		return direction_reset(d, error);
	if (!is_writable) {
		peek_shrink(d->source->worker);
		d->stuck_since_ms = 0;
		d->wants_target_writable = true;
		return SOCKMAP_STEP_WAIT;
	}
	if (d->stuck_since_ms == 0 || d->stuck_written_bytes != written_bytes ||
	    now_ms - d->stuck_seen_ms > SOCKMAP_STUCK_LOOK_MS) {
		d->stuck_since_ms = now_ms ? now_ms : 1;
		d->stuck_written_bytes = written_bytes;
		d->wait_ms = 0; /* bytes move: check again soon */
	} else if (now_ms - d->stuck_since_ms > SOCKMAP_STUCK_MS) {
		return direction_set_integrity_error(d, SOCKMAP_REASON_INTEGRITY_STUCK);
	}
	d->stuck_seen_ms = now_ms;
	return direction_wait_tick(d, now_ms);
}

/* Nothing is under way: choose the next state. */
static enum sockmap_step drain_done(struct sockmap_direction *d, const struct direction_view *view,
				    const struct tcp_progress_view *source_view)
{
	const struct sockmap_kernel *k = &sockmap_socket_record(d->source)->kernel;

	if (!d->is_leaving)
		d->reason = closing_reason(d, k);
	if (k->opens != d->seen_opens) {
		d->chunk = k->chunk;
		d->seen_opens = k->opens;
		/* The gate is closed. Store the state for a process that resumes after a crash. */
		sockmap_socket_record(d->source)->user.chunk = d->chunk;
		journal_of(d->source)->seen_opens = d->seen_opens;
	}
	if (view->redirected_bytes + d->forwarded_bytes >= d->limit_bytes)
		return direction_end(d, SOCKMAP_STEP_DONE);
	if (view->passed_bytes < d->forwarded_bytes)
		return direction_set_integrity_error(d, SOCKMAP_REASON_INTEGRITY_COUNT);
	if (d->is_leaving)
		return direction_end(d, SOCKMAP_STEP_BYTES);
	if (view->passed_bytes != d->forwarded_bytes) {
		direction_set_state(d, DIRECTION_FORWARD);
		return STEP_NEXT;
	}
	/* Only the FIN is left; TCP counts it as one received byte. */
	if (source_view->received_bytes - k->received_base_bytes - 1 !=
	    view->redirected_bytes + view->passed_bytes)
		return direction_set_integrity_error(d, SOCKMAP_REASON_INTEGRITY_RECEIVED);
	return direction_end(d, SOCKMAP_STEP_EOF);
}

/* Bytes handed to the target since the start, by the program or by user space. */
static uint64_t handed_bytes(const struct sockmap_direction *d, const struct direction_view *view)
{
	return view->redirected_bytes - d->base_redirected_bytes + d->forwarded_bytes -
	       d->base_forwarded_bytes + d->sent_bytes;
}

bool sockmap_direction_is_settled(const struct sockmap_direction *d)
{
	struct tcp_progress_view source_view, target_view;
	struct direction_view view;

	/* A barrier: a verdict that is running counts before it ends. */
	if (tcp_progress_look(d->source->fd, &source_view) || tcp_progress_look(d->target->fd, &target_view))
		return false;
	view = direction_look(d);
	return !view.integrity_error && view.passed_bytes == d->source->consumed_bytes &&
	       target_view.written_bytes - d->base_written_bytes == handed_bytes(d, &view);
}

static enum sockmap_step drain_run(struct sockmap_direction *d, uint64_t now_ms)
{
	struct tcp_progress_view source_view, target_view;
	struct direction_view view = direction_look(d);
	int error;

	failpoint(DRAIN);
	if (!direction_is_stopped(d, &view)) {
		direction_set_state(d, DIRECTION_OPEN);
		return SOCKMAP_STEP_WAIT;
	}
	/*
	 * The verdict that closed the gate may still be running: after this barrier it has counted and queued
	 * everything.
	 */
	error = tcp_progress_look(d->source->fd, &source_view);
	if (error)
		return error == -EAGAIN ? direction_wait_tick(d, now_ms) : direction_reset(d, error);
	view = direction_look(d);
	if (view.integrity_error)
		return direction_set_integrity_error(d, view.integrity_error);
	/* Without the verdict the FIN is not seen here; recv() will return what it was. */
	if (tcp_progress_is_closed(&source_view) && !view.has_fin && d->source->is_source)
		return direction_reset(d, -ECONNRESET);
	error = tcp_progress_look(d->target->fd, &target_view);
	if (error)
		return error == -EAGAIN ? direction_wait_tick(d, now_ms) : direction_reset(d, error);
	uint64_t written = target_view.written_bytes - d->base_written_bytes;
	uint64_t handed = handed_bytes(d, &view);
	if (written > handed)
		return direction_set_integrity_error(d, SOCKMAP_REASON_INTEGRITY_WRITTEN);
	if (written < handed && !SOCKMAP_BROKEN(BREAK_FLUSH))
		return tcp_progress_is_closed(&target_view) ? direction_reset(d, -EPIPE)
							    : drain_wait(d, written, now_ms);
	return drain_done(d, &view, &source_view);
}

/*
 * Counts sent bytes as forwarded and reads them; the caller takes the rest and detaches the verdict. No flush
 * proof is needed: what is under way to the target stays ahead of bytes sent later.
 */
static enum sockmap_step take_run(struct sockmap_direction *d, uint64_t now_ms)
{
	struct tcp_progress_view view;
	int error = 0;

	direction_leave(d);
	journal_begin(d->source, JOURNAL_TAKING);
	d->take = SOCKMAP_TAKE_ASKED;
	/*
	 * A verdict that was running may have opened the gate again. After this barrier everything is passed.
	 */
	error = tcp_progress_look(d->source->fd, &view);
	if (error && error != -EAGAIN)
		return direction_reset(d, error);
	d->forwarded_bytes += d->sent_bytes;
	d->sent_bytes = 0;
	error = consume_to(d->source, d->forwarded_bytes);
	if (error)
		return error == -EAGAIN ? direction_wait_tick(d, now_ms) : direction_reset(d, error);
	d->take = SOCKMAP_TAKE_DONE;
	direction_set_state(d, DIRECTION_DRAIN);
	return SOCKMAP_STEP_TAKE;
}

/*
 * Only small skbs need this: with large ones there would be more bytes than anyone keeps for long, and
 * window_bound() limits them.
 */
static bool direction_is_tight(const struct sockmap_direction *d)
{
	const struct sockmap_kernel *k = &sockmap_socket_record(d->source)->kernel;

	/* Once started it must be finished, because it reads what counts as forwarded. */
	if (d->take != SOCKMAP_TAKE_NONE)
		return d->take == SOCKMAP_TAKE_ASKED;
	return d->source->is_source && __atomic_load_n(&k->is_tight, __ATOMIC_ACQUIRE) &&
	       __atomic_load_n(&k->passed_bytes, __ATOMIC_ACQUIRE) <=
		       d->source->consumed_bytes + SOCKMAP_TAKE_BYTES;
}

static void bound_window(struct sockmap_direction *d)
{
	struct sockmap_kernel *k = &sockmap_socket_record(d->source)->kernel;

	if (!__atomic_load_n(&k->is_wide, __ATOMIC_ACQUIRE))
		return;
	window_bound(d->source->fd);
	__atomic_store_n(&k->is_wide, 0, __ATOMIC_RELEASE);
}

enum sockmap_step sockmap_direction_step(struct sockmap_direction *d, uint64_t now_ms)
{
	CHECK(sockmap_direction_is_running(d));
	bound_window(d);
	list_remove(&d->tick);
	for (int round = 0; round < SOCKMAP_STEP_ROUNDS; round++) {
		enum sockmap_step step = STEP_NEXT;

		if (direction_is_tight(d))
			return take_run(d, now_ms);
		switch (d->state) {
		case DIRECTION_OPEN:
			step = open_run(d);
			break;
		case DIRECTION_DRAIN:
			step = drain_run(d, now_ms);
			break;
		case DIRECTION_FORWARD:
			step = forward_run(d, now_ms);
			break;
		case DIRECTION_CONSUME:
			step = consume_run(d, now_ms);
			break;
		case DIRECTION_IDLE:
		case DIRECTION_STATE_COUNT:
			CHECK(d->state != DIRECTION_IDLE && d->state != DIRECTION_STATE_COUNT);
		}
		if (step != STEP_NEXT)
			return step;
	}
	/* Let other directions run. */
	d->wait_ms = 0;
	return direction_wait_tick(d, now_ms);
}
