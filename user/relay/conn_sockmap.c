/* SPDX-License-Identifier: Apache-2.0 */
#include "user/relay/conn_sockmap.h"

#include <errno.h>
#include <sys/socket.h>

#include "user/base/limits.h"
#include "user/base/mem.h"
#include "user/kernel/sockmap/resume.h"
#include "user/kernel/sockmap/window.h"

static void conn_on_sockmap_retry(struct timer *timer, uint64_t now_ms)
{
	struct conn *conn = container_of(timer, struct conn_sockmap, retry)->conn;

	(void)now_ms;
	conn->can_read = true;
	conn->on_ready(conn);
}

static struct timer *conn_sockmap_retry(struct conn *conn)
{
	return &container_of(conn->sockmap, struct conn_sockmap, socket)->retry;
}

bool conn_count_upload(struct conn *conn, struct counters *counters)
{
	struct conn_sockmap *sockmap = container_of(conn->sockmap, struct conn_sockmap, socket);

	if (sockmap->counters)
		return true;
	if (counter_get(counters, COUNTER_SOCKMAP_UPLOADS) >= LIMIT_SOCKMAP_UPLOADS)
		return false;
	counter_add(counters, COUNTER_SOCKMAP_UPLOADS, 1);
	sockmap->counters = counters;
	return true;
}

static void conn_uncount_upload(struct conn *conn)
{
	struct conn_sockmap *sockmap = container_of(conn->sockmap, struct conn_sockmap, socket);

	if (sockmap->counters)
		gauge_sub(sockmap->counters, COUNTER_SOCKMAP_UPLOADS, 1);
	sockmap->counters = NULL;
}

void conn_review_upload(struct conn *conn)
{
	if (!conn->sockmap->inbound && sockmap_socket_is_drained(conn->sockmap) &&
	    buf_len(&conn->in) <= LIMIT_READ_BYTES)
		conn_uncount_upload(conn);
}

void conn_leave_sockmap(struct conn *conn)
{
	if (!conn->sockmap)
		return;
	conn_uncount_upload(conn);
	timer_cancel(loop_timers(conn->loop), conn_sockmap_retry(conn));
	sockmap_socket_remove(conn->sockmap);
	hg_free(container_of(conn->sockmap, struct conn_sockmap, socket));
	conn->sockmap = NULL;
}

/* slot: NULL to take a new slot. */
static int conn_enter_sockmap(struct conn *conn, struct sockmap_worker *worker,
			      const struct sockmap_handle *slot)
{
	struct conn_sockmap *sockmap = hg_calloc(1, sizeof(*sockmap));
	int error;

	if (!sockmap)
		return -ENOMEM;
	error = slot ? sockmap_socket_resume(worker, &sockmap->socket, conn_fd(conn), *slot)
		     : sockmap_socket_add(worker, &sockmap->socket, conn_fd(conn));
	if (error) {
		hg_free(sockmap);
		return error;
	}
	sockmap->conn = conn;
	timer_init(&sockmap->retry, conn_on_sockmap_retry);
	conn->sockmap = &sockmap->socket;
	return 0;
}

int conn_join_sockmap(struct conn *conn, struct sockmap_worker *worker)
{
	if (conn->sockmap)
		return 0;
	CHECK(!conn->tls);
	if (conn->pipes || conn->bypass)
		return -EBUSY;
	return conn_enter_sockmap(conn, worker, NULL);
}

int conn_resume_sockmap(struct conn *conn, struct sockmap_worker *worker, struct sockmap_handle slot)
{
	CHECK(!conn->sockmap);
	return conn_enter_sockmap(conn, worker, &slot);
}

enum { CONN_SOCKMAP_RETRY_MS = 1 };

bool conn_must_retry(struct conn *conn)
{
	if (!sockmap_socket_is_added(conn->sockmap) || sockmap_socket_is_drained(conn->sockmap))
		return false;
	conn->can_read = false;
	timer_arm(loop_timers(conn->loop), conn_sockmap_retry(conn),
		  loop_now_ms(conn->loop) + CONN_SOCKMAP_RETRY_MS);
	return true;
}

bool conn_has_integrity_error(const struct conn *conn)
{
	return sockmap_socket_is_added(conn->sockmap) && sockmap_socket_has_integrity_error(conn->sockmap);
}

void conn_detach(struct conn *conn)
{
	if (conn->sockmap->is_source && !conn->sockmap->inbound && sockmap_socket_is_drained(conn->sockmap))
		(void)sockmap_socket_detach(conn->sockmap);
}

/* False: nothing to take now, or no memory. */
static bool conn_take_some(struct conn *conn, size_t most)
{
	ssize_t len = -1;

	if (buf_reserve(&conn->in, LIMIT_READ_BYTES, most + LIMIT_READ_BYTES) == 0)
		len = recv(conn_fd(conn), buf_tail(&conn->in), LIMIT_READ_BYTES, MSG_DONTWAIT);
	if (len <= 0)
		return false;
	buf_commit(&conn->in, (size_t)len);
	conn->received_bytes += (uint64_t)len;
	sockmap_socket_note_read(conn->sockmap, (uint64_t)len);
	return true;
}

static void conn_take_passed(struct conn *conn, size_t most)
{
	bool goes_on = true;

	while (goes_on && sockmap_socket_detach(conn->sockmap) == -EAGAIN)
		goes_on = buf_len(&conn->in) < most && conn_take_some(conn, most);
	if (conn_has_integrity_error(conn)) {
		/* The bytes are not those that the peer sent: discard them. */
		buf_done(&conn->in);
		conn->error = CONN_INTEGRITY_ERROR;
	}
	buf_release(&conn->in);
	conn->can_read = true;
	conn_review_upload(conn);
}

void conn_take_verdict_off(struct conn *conn)
{
	conn_take_passed(conn, LIMIT_SOCKMAP_TAKE_BYTES);
}

bool conn_empty_sockmap(struct conn *conn)
{
	int held, clamp;

	if (!conn->sockmap || !conn->sockmap->is_source)
		return true;
	if (conn->sockmap->inbound)
		return false;
	/* Hold the window: a fast sender could keep up with this reader. */
	clamp = window_shut(conn_fd(conn));
	held = window_hold(conn_fd(conn));
	conn_take_passed(conn, 2 * (size_t)conn->sockmap->worker->sockmap->tuned_max_bytes);
	window_let_go(conn_fd(conn), held);
	window_reopen(conn_fd(conn), clamp);
	return !conn->sockmap->is_source;
}
