/* SPDX-License-Identifier: Apache-2.0 */
#include "user/relay/conn_gate.h"

#include <errno.h>
#include <sys/socket.h>

#include "user/base/limits.h"
#include "user/base/mem.h"
#include "user/kernel/sockmap/adopt.h"
#include "user/kernel/sockmap/window.h"

static void conn_on_gate_retry(struct timer *timer, uint64_t now_ms)
{
	struct conn *conn = container_of(timer, struct conn_gate, retry)->conn;

	(void)now_ms;
	conn->can_read = true;
	conn->on_ready(conn);
}

static struct timer *conn_gate_retry(struct conn *conn)
{
	return &container_of(conn->gate, struct conn_gate, socket)->retry;
}

bool conn_count_upload(struct conn *conn, struct counters *counters)
{
	struct conn_gate *gate = container_of(conn->gate, struct conn_gate, socket);

	if (gate->counters)
		return true;
	if (counter_get(counters, COUNTER_GATE_UPLOADS) >= LIMIT_GATE_UPLOADS)
		return false;
	counter_add(counters, COUNTER_GATE_UPLOADS, 1);
	gate->counters = counters;
	return true;
}

static void conn_uncount_upload(struct conn *conn)
{
	struct conn_gate *gate = container_of(conn->gate, struct conn_gate, socket);

	if (gate->counters)
		gauge_sub(gate->counters, COUNTER_GATE_UPLOADS, 1);
	gate->counters = NULL;
}

void conn_review_upload(struct conn *conn)
{
	if (!conn->gate->inbound && gate_socket_is_drained(conn->gate) &&
	    buf_len(&conn->in) <= LIMIT_READ_BYTES)
		conn_uncount_upload(conn);
}

void conn_leave_gate(struct conn *conn)
{
	if (!conn->gate)
		return;
	conn_uncount_upload(conn);
	timer_cancel(loop_timers(conn->loop), conn_gate_retry(conn));
	gate_socket_remove(conn->gate);
	hg_free(container_of(conn->gate, struct conn_gate, socket));
	conn->gate = NULL;
}

/* slot: NULL to take a new slot. */
static int conn_enter_gate(struct conn *conn, struct gate_worker *worker, const struct gate_handle *slot)
{
	struct conn_gate *gate = hg_calloc(1, sizeof(*gate));
	int error;

	if (!gate)
		return -ENOMEM;
	error = slot ? gate_socket_adopt(worker, &gate->socket, conn_fd(conn), *slot)
		     : gate_socket_add(worker, &gate->socket, conn_fd(conn));
	if (error) {
		hg_free(gate);
		return error;
	}
	gate->conn = conn;
	timer_init(&gate->retry, conn_on_gate_retry);
	conn->gate = &gate->socket;
	return 0;
}

int conn_join_gate(struct conn *conn, struct gate_worker *worker)
{
	if (conn->gate)
		return 0;
	CHECK(!conn->tls);
	if (conn->pipes || conn->hop)
		return -EBUSY;
	return conn_enter_gate(conn, worker, NULL);
}

int conn_adopt_gate(struct conn *conn, struct gate_worker *worker, struct gate_handle slot)
{
	CHECK(!conn->gate);
	return conn_enter_gate(conn, worker, &slot);
}

enum { CONN_GATE_RETRY_MS = 1 };

bool conn_must_retry(struct conn *conn)
{
	if (!gate_socket_is_added(conn->gate) || gate_socket_is_drained(conn->gate))
		return false;
	conn->can_read = false;
	timer_arm(loop_timers(conn->loop), conn_gate_retry(conn),
		  loop_now_ms(conn->loop) + CONN_GATE_RETRY_MS);
	return true;
}

bool conn_is_poisoned(const struct conn *conn)
{
	return gate_socket_is_added(conn->gate) && gate_socket_is_poisoned(conn->gate);
}

void conn_detach(struct conn *conn)
{
	if (conn->gate->is_source && !conn->gate->inbound && gate_socket_is_drained(conn->gate))
		(void)gate_socket_detach(conn->gate);
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
	gate_socket_note_read(conn->gate, (uint64_t)len);
	return true;
}

static void conn_take_passed(struct conn *conn, size_t most)
{
	bool goes_on = true;

	while (goes_on && gate_socket_detach(conn->gate) == -EAGAIN)
		goes_on = buf_len(&conn->in) < most && conn_take_some(conn, most);
	if (conn_is_poisoned(conn)) {
		/* The bytes are not those that the peer sent: discard them. */
		buf_done(&conn->in);
		conn->error = CONN_POISONED;
	}
	buf_release(&conn->in);
	conn->can_read = true;
	conn_review_upload(conn);
}

void conn_take_verdict_off(struct conn *conn)
{
	conn_take_passed(conn, LIMIT_GATE_TAKE_BYTES);
}

bool conn_empty_gate(struct conn *conn)
{
	int held, clamp;

	if (!conn->gate || !conn->gate->is_source)
		return true;
	if (conn->gate->inbound)
		return false;
	/* Hold the window: a fast sender could keep up with this reader. */
	clamp = window_shut(conn_fd(conn));
	held = window_hold(conn_fd(conn));
	conn_take_passed(conn, 2 * (size_t)conn->gate->worker->gate->tuned_max_bytes);
	window_let_go(conn_fd(conn), held);
	window_reopen(conn_fd(conn), clamp);
	return !conn->gate->is_source;
}
