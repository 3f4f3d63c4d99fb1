/* SPDX-License-Identifier: Apache-2.0 */
#include "user/relay/conn_bypass.h"

#include <errno.h>

#include "user/base/check.h"
#include "user/base/failpoint.h"
#include "user/base/limits.h"
#include "user/base/log.h"
#include "user/base/mem.h"
#include "user/base/text.h"
#include "user/kernel/common/tcp_progress.h"
#include "user/kernel/local/local_worker.h"
#include "user/kernel/local/resume.h"
#include "user/net/address.h"
#include "user/net/socket.h"

/* The receiver has space again. */
static void conn_on_room(struct bypass *bypass)
{
	struct conn *conn = bypass->owner;

	conn->can_write = true;
	conn->on_ready(conn);
}

/* At most one line in LOG_MS, because each connection of a program may be left to TCP for the same reason. */
static void log_tcp(const struct conn *conn, const struct local *local, enum local_reason reason)
{
	enum { LOG_MS = 60 * 1000 };
	static _Thread_local struct log_rate rate;
	char program[LOCAL_PROGRAM_BYTES];
	struct address peer;
	struct text text = { 0 };
	uint64_t suppressed;

	if (!log_rate_pass(&rate, loop_now_ms(conn->loop), LOG_MS, &suppressed) ||
	    socket_peer(conn_fd(conn), &peer) < 0)
		return;
	address_format(&peer, &text);
	local_program(local, conn_fd(conn), program);
	log_info("lane bypass: the connection with %.*s (program %s) goes through TCP from now on: %s",
		 SPAN_FMT(text_span(&text)), program[0] ? program : "unknown",
		 local_reason_explanation(reason));
	text_done(&text);
}

/* Part of what the connection has received may have come by the lane direct, not through its socket. */
static int conn_begin_bypass(struct conn *conn, struct bypass *bypass, struct local_worker *worker)
{
	uint64_t position = 0;
	/* Before the bypass starts: TCP counts everything read so far, and nothing that bypasses it later. */
	int error = conn->received_bytes ? tcp_progress_position(conn_fd(conn), &position) : 0;

	if (error)
		return -EAGAIN;
	error = bypass_start(bypass, worker, conn_fd(conn));
	if (error == -EOPNOTSUPP)
		log_tcp(conn, worker->local, LOCAL_REASON_BLOCKING);
	if (error)
		return error;
	bypass_note_other(bypass, conn->received_bytes - position);
	bypass_note_before(bypass, position);
	bypass_note_read(bypass, conn->received_bytes);
	return 0;
}

static int conn_enter_bypass(struct conn *conn, struct local_worker *worker, bool is_resumed)
{
	struct bypass *bypass = hg_calloc(1, sizeof(*bypass));
	int error;

	if (!bypass)
		return -ENOMEM;
	error = is_resumed ? bypass_resume(bypass, worker, conn_fd(conn), &conn->received_bytes)
			   : conn_begin_bypass(conn, bypass, worker);
	if (error) {
		hg_free(bypass);
		return error;
	}
	bypass->on_room = conn_on_room;
	bypass->owner = conn;
	conn->bypass = bypass;
	/* The event for bytes already in TCP's queue may have been delivered. */
	conn->can_read = true;
	failpoint(BYPASS_STARTED);
	return 0;
}

int conn_start_bypass(struct conn *conn, struct local_worker *worker)
{
	if (conn->bypass)
		return 0;
	if (conn->tls || conn->sockmap || conn->pipes)
		return -EBUSY;
	return conn->is_resumed ? -EOPNOTSUPP : conn_enter_bypass(conn, worker, false);
}

int conn_resume_bypass(struct conn *conn, struct local_worker *worker)
{
	CHECK(!conn->bypass && !conn->received_bytes);
	return worker ? conn_enter_bypass(conn, worker, true) : -EOPNOTSUPP;
}

bool conn_is_drained(const struct conn *conn)
{
	return conn->bypass && !conn->has_eof && !conn->has_hup && !conn->error && !buf_len(&conn->in) &&
	       bypass_is_drained(conn->bypass, conn->received_bytes);
}

uint64_t conn_bypass_bytes(const struct conn *conn)
{
	return conn->bypass ? bypass_sent_bytes(conn->bypass) + bypass_received_bytes(conn->bypass) : 0;
}

bool conn_bypasses(const struct conn *conn)
{
	return conn->bypass && !conn->bypass->has_left;
}

static void conn_count_body(struct conn *conn, bool prefers_tcp)
{
	if (!prefers_tcp)
		conn->bypass->tcp_bodies = 0;
	else if (conn->bypass->tcp_bodies < LIMIT_TCP_BODIES)
		conn->bypass->tcp_bodies++;
}

/* If the other end has sent more than was read, the next body tries again. */
static void conn_prefer_tcp(struct conn *conn)
{
	if (bypass_receive_tcp(conn->bypass, conn_fd(conn), conn->received_bytes))
		bypass_send_tcp(conn->bypass);
}

void conn_note_body(struct conn *source, struct conn *sink, uint64_t length)
{
	bool sink_bypasses = conn_bypasses(sink);
	bool prefers_tcp;

	if (!source->bypass)
		return;
	prefers_tcp = bypass_sends_files(source->bypass) && length >= LIMIT_PIPE_MIN_BODY_BYTES &&
		      (!sink_bypasses || length < LIMIT_TCP_BODY_BYTES);
	conn_count_body(source, prefers_tcp);
	if (!sink_bypasses)
		return;
	conn_count_body(sink, prefers_tcp);
	if (sink->bypass->tcp_bodies == LIMIT_TCP_BODIES)
		conn_prefer_tcp(sink);
}

void conn_choose_tcp(struct conn *source)
{
	if (conn_bypasses(source) && source->bypass->tcp_bodies == LIMIT_TCP_BODIES)
		conn_prefer_tcp(source);
}

bool conn_leave_bypass(struct conn *conn)
{
	if (!bypass_leave(conn->bypass))
		return false;
	log_tcp(conn, conn->bypass->local, bypass_stats(conn->bypass).reason);
	return true;
}

void conn_stop_bypass(struct conn *conn)
{
	if (!conn->bypass)
		return;
	bypass_stop(conn->bypass);
	hg_free(conn->bypass);
	conn->bypass = NULL;
}
