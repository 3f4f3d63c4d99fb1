/* SPDX-License-Identifier: Apache-2.0 */
#include "user/kernel/sockmap/forward.h"

#include <errno.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include "user/base/clock.h"
#include "user/base/failpoint.h"
#include "user/kernel/common/broken.h"
#include "user/kernel/common/tcp_progress.h"
#include "user/kernel/sockmap/journal.h"
#include "user/kernel/sockmap/window.h"

static uint64_t least(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/* Passed bytes that belong to this direction and are not committed yet; sent_bytes of them are sent. */
static uint64_t forward_goal(const struct sockmap_direction *d, const struct direction_view *view)
{
	if (d->is_leaving)
		return d->sent_bytes;
	return least(view->passed_bytes - d->forwarded_bytes,
		     d->limit_bytes - view->redirected_bytes - d->forwarded_bytes);
}

/* True if the program may open the gate after the commit. */
static bool commit_reopens(const struct sockmap_direction *d, const struct direction_view *view)
{
	uint64_t forwarded = d->forwarded_bytes + d->sent_bytes;

	return forwarded == view->passed_bytes && !view->has_fin && !d->is_leaving &&
	       view->redirected_bytes + forwarded < d->limit_bytes;
}

static enum sockmap_step forward_commit(struct sockmap_direction *d, const struct direction_view *view)
{
	struct sockmap_user *user = &sockmap_socket_record(d->source)->user;

	if (commit_reopens(d, view)) {
		bool is_writable;
		int error = tcp_progress_is_writable(d->target->fd, &is_writable);

		if (error)
			return direction_reset(d, error);
		/*
		 * A gate reopened with a full send buffer would close with the next skb: wait for free space
		 * first.
		 */
		if (!is_writable) {
			d->wants_target_writable = true;
			return SOCKMAP_STEP_WAIT;
		}
	}
	/* Otherwise reading the bytes would reopen a window as large as all that TCP had let in. */
	if (user->flags & SOCKMAP_BOUNDED)
		window_bound(d->source->fd);
	failpoint(COMMIT);
	d->forwarded_bytes += d->sent_bytes;
	d->sent_bytes = 0;
	if (d->framing == SOCKMAP_CHUNKED_BODY)
		journal_begin(d->source, JOURNAL_COMMITTING);
	user->chunk = d->chunk;
	if (d->framing == SOCKMAP_CHUNKED_BODY)
		failpoint(COMMIT_CHUNK);
	__atomic_store_n(&user->forwarded_bytes, d->forwarded_bytes, __ATOMIC_RELEASE);
	if (d->framing == SOCKMAP_CHUNKED_BODY)
		journal_end(d->source, JOURNAL_COMMITTING);
	/* The other half of the wake-up rule: read passed_bytes only after this store is visible. */
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	failpoint(COMMITTED);
	direction_set_state(d, DIRECTION_CONSUME);
	return STEP_NEXT;
}

static enum sockmap_reason chunk_reason(enum walk_verdict verdict)
{
	switch (verdict) {
	case WALK_LAST:
		return SOCKMAP_REASON_CHUNK_LAST;
	case WALK_LONG:
		return SOCKMAP_REASON_CHUNK_LONG;
	case WALK_MANY:
		return SOCKMAP_REASON_CHUNK_MANY;
	case WALK_SYNTAX:
	case WALK_COVERED:
		break;
	}
	return SOCKMAP_REASON_CHUNK_SYNTAX;
}

void peek_shrink(struct sockmap_worker *worker)
{
	const uintptr_t page = 4096;
	uintptr_t from = ((uintptr_t)worker->peek + SOCKMAP_BUFFER_BYTES + page - 1) & ~(page - 1);
	uintptr_t to = ((uintptr_t)worker->peek + SOCKMAP_PEEK_BYTES) & ~(page - 1);

	if (worker->peeked_bytes > SOCKMAP_BUFFER_BYTES)
		madvise((void *)from, to - from, MADV_DONTNEED);
	worker->peeked_bytes = 0;
}

/* Sends the peeked bytes after sent_bytes. */
static enum sockmap_step forward_send(struct sockmap_direction *d, uint64_t peeked_bytes)
{
	const char *fresh = d->source->worker->peek + d->sent_bytes;
	size_t fresh_bytes = (size_t)(peeked_bytes - d->sent_bytes);

	if (d->framing == SOCKMAP_CHUNKED_BODY) {
		struct sockmap_chunk walked = d->chunk;
		enum walk_verdict verdict = chunk_walk(&walked, (const unsigned char *)fresh, fresh_bytes);

		/* The bytes need the full parser. Sent bytes are committed, the rest is for the caller. */
		if (verdict != WALK_COVERED) {
			d->reason = chunk_reason(verdict);
			direction_leave(d);
			return STEP_NEXT;
		}
	}
	ssize_t sent = send(d->target->fd, fresh, fresh_bytes, MSG_DONTWAIT | MSG_NOSIGNAL);
	failpoint(FORWARD_SENT);
	if (sent < 0) {
		if (errno == EINTR)
			return STEP_NEXT;
		if (errno != EAGAIN)
			return direction_reset(d, -errno);
		peek_shrink(d->source->worker);
		d->wants_target_writable = true;
		return SOCKMAP_STEP_WAIT;
	}
	if (d->framing == SOCKMAP_CHUNKED_BODY) {
		__u64 payload = 0;

		chunk_walk_counting(&d->chunk, (const unsigned char *)fresh, (size_t)sent, &payload);
		d->sent_framing_bytes += (uint64_t)sent - payload;
		journal_of(d->source)->sent_framing_bytes = d->sent_framing_bytes;
	}
	d->sent_bytes += (uint64_t)sent;
	d->sent_ns = clock_now_ns();
	d->wait_ms = 0;
	return STEP_NEXT;
}

enum sockmap_step forward_run(struct sockmap_direction *d, uint64_t now_ms)
{
	struct direction_view view = direction_look(d);
	uint64_t goal = forward_goal(d, &view);

	failpoint(FORWARD);
	if (view.integrity_error)
		return direction_set_integrity_error(d, view.integrity_error);
	if (goal == 0) {
		direction_set_state(d, DIRECTION_DRAIN);
		return STEP_NEXT;
	}
	if (d->sent_bytes == goal || d->sent_bytes == SOCKMAP_PEEK_BYTES)
		return forward_commit(d, &view);
	/*
	 * Counted bytes become readable a moment later; EAGAIN, and even 0 (after a FIN), mean nothing here,
	 * only the counters do.
	 */
	ssize_t peeked = recv(d->source->fd, d->source->worker->peek, (size_t)least(goal, SOCKMAP_PEEK_BYTES),
			      MSG_PEEK | MSG_DONTWAIT);
	if (peeked < 0 && errno != EAGAIN && errno != EINTR)
		return direction_reset(d, -errno);
	if (peeked > (ssize_t)d->source->worker->peeked_bytes)
		d->source->worker->peeked_bytes = (uint32_t)peeked;
	if (peeked < 0 && SOCKMAP_BROKEN(BREAK_COUNT)) {
		/*
		 * The broken rule: "EAGAIN means that everything is sent" makes the proof equal to the
		 * program's count.
		 */
		d->sent_bytes = goal;
		return forward_commit(d, &view);
	}
	if (peeked < 0 || (uint64_t)peeked <= d->sent_bytes)
		return direction_wait_tick(d, now_ms);
	failpoint(FORWARD_PEEKED);
	return forward_send(d, (uint64_t)peeked);
}

int consume_to(struct sockmap_socket *source, uint64_t position)
{
	uint64_t step = SOCKMAP_BROKEN(BREAK_STEPS) ? SOCKMAP_PEEK_BYTES : SOCKMAP_CONSUME_BYTES;

	while (source->consumed_bytes != position) {
		uint64_t want = least(position - source->consumed_bytes, step);
		ssize_t taken;

		journal_begin(source, JOURNAL_READING);
		failpoint(CONSUME_READING);
		taken = recv(source->fd, source->worker->peek, (size_t)want, MSG_DONTWAIT);
		failpoint(CONSUME_READ);
		if (taken > 0)
			source->consumed_bytes += (uint64_t)taken;
		journal_of(source)->consumed_bytes = source->consumed_bytes;
		journal_end(source, JOURNAL_READING);
		if (taken < 0 && (errno == EAGAIN || errno == EINTR))
			return -EAGAIN;
		if (taken <= 0)
			return taken < 0 ? -errno : -ECONNRESET;
	}
	return 0;
}

enum sockmap_step consume_run(struct sockmap_direction *d, uint64_t now_ms)
{
	int error;

	failpoint(CONSUME);
	error = consume_to(d->source, d->forwarded_bytes);
	if (error)
		return error == -EAGAIN ? direction_wait_tick(d, now_ms) : direction_reset(d, error);
	struct direction_view view = direction_look(d);
	bool is_stopped = !SOCKMAP_BROKEN(BREAK_LOOK) && direction_is_stopped(d, &view);
	direction_set_state(d, is_stopped ? DIRECTION_DRAIN : DIRECTION_OPEN);
	failpoint(CONSUMED);
	return d->state == DIRECTION_OPEN ? SOCKMAP_STEP_WAIT : STEP_NEXT;
}
