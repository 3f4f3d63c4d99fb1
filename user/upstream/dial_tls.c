/* SPDX-License-Identifier: Apache-2.0 */
#include "user/upstream/dial_tls.h"

#include <errno.h>
#include <string.h>

#include "user/base/limits.h"
#include "user/base/log.h"
#include "user/relay/conn_tls.h"
#include "user/tls/session.h"
#include "user/upstream/alpn.h"

enum { DIAL_TLS_LOG_MS = 1000 };

static void dial_tls_on_timer(struct timer *timer, uint64_t now_ms);
static void dial_tls_on_again(struct loop_deferred *deferred);

void dial_tls_init(struct dial *dial)
{
	timer_init(&dial->tls.timer, dial_tls_on_timer);
	loop_deferred_init(&dial->tls.again, dial_tls_on_again);
}

/* Stops all callbacks. */
static void dial_tls_quiet(struct dial *dial)
{
	timer_cancel(loop_timers(dial->pool->loop), &dial->tls.timer);
	loop_deferred_cancel(&dial->tls.again);
}

void dial_tls_cancel(struct dial *dial)
{
	dial_tls_quiet(dial);
	if (dial->tls.upstream)
		upstream_close(dial->tls.upstream, true);
	dial->tls.upstream = NULL;
}

/* ------------------------------------------------------------------------------------ failures */

static void dial_tls_count(struct dial *dial, enum dial_result result)
{
	struct upstream_pool *pool = dial->pool;
	uint64_t swallowed;

	counter_add(pool->counters,
		    result == DIAL_TLS_VERIFY_FAILED ? COUNTER_UPSTREAM_TLS_UNVERIFIED
						     : COUNTER_UPSTREAM_TLS_FAILURES,
		    1);
	if (dial->options.is_quiet ||
	    !log_rate_pass(&pool->tls_log, loop_now_ms(pool->loop), DIAL_TLS_LOG_MS, &swallowed))
		return;
	log_warn("no TLS with backend %.*s: %s (%llu more such failures since the last such line)",
		 SPAN_FMT(dial->options.where->text), dial->tls.fault.text, (unsigned long long)swallowed);
}

/* The alert with the reason is sent before FIN, if possible. The next handshake will be a full one. */
static void dial_tls_failed(struct dial *dial, enum dial_result result, int error)
{
	struct upstream *upstream = dial->tls.upstream;

	dial_tls_quiet(dial);
	dial->tls.upstream = NULL;
	tls_tickets_done(&dial->options.endpoint->shared->tickets);
	dial_tls_count(dial, result);
	dial_note_failure(dial, error);
	upstream_close(upstream, false);
	dial->on_done(dial, result, error, NULL);
}

void dial_tls_expire(struct dial *dial)
{
	tls_fault_set(&dial->tls.fault, dial->tls.upstream->conn.tls->handshake_bytes
						? "the TLS handshake was not complete in time"
						: "the backend did not answer the TLS ClientHello in time");
	dial_tls_count(dial, DIAL_TLS_TIMEOUT);
}

static void dial_tls_on_timer(struct timer *timer, uint64_t now_ms)
{
	struct dial *dial = container_of(timer, struct dial, tls.timer);

	(void)now_ms;
	dial_expire(dial);
	dial_tls_cancel(dial);
	dial->on_done(dial, DIAL_TLS_TIMEOUT, -ETIMEDOUT, NULL);
}

/* ------------------------------------------------------------------------------------ the handshake */

static void dial_tls_broken(struct dial *dial, int error)
{
	const struct tls_session *session = conn_tls(&dial->tls.upstream->conn);
	struct tls_fault *fault = &dial->tls.fault;
	enum tls_failure failure = tls_session_failure(session);

	if (error == -EPROTO)
		tls_fault_set(fault, "%s", tls_session_fault(session));
	else if (error == -EPIPE)
		tls_fault_set(fault, "the backend closed the connection in the TLS handshake");
	else if (error == -EMSGSIZE)
		tls_fault_set(fault, "the backend sent more than %u KiB in the TLS handshake",
			      (unsigned int)LIMIT_TLS_HANDSHAKE_BYTES / 1024);
	else
		tls_fault_set(fault, "%s, in the TLS handshake", strerrordesc_np(-error));
	dial_tls_failed(dial,
			error == -EPROTO && failure == TLS_FAIL_VERIFY ? DIAL_TLS_VERIFY_FAILED
								       : DIAL_TLS_FAILED,
			error);
}

static void dial_tls_done(struct dial *dial)
{
	struct upstream_pool *pool = dial->pool;
	struct upstream *upstream = dial->tls.upstream;
	const struct tls_session *session = conn_tls(&upstream->conn);
	bool is_http2 = false;

	if (!alpn_accept(dial->options.protocol, tls_alpn(session), &is_http2, &dial->tls.fault)) {
		dial_tls_failed(dial, DIAL_TLS_FAILED, -EPROTO);
		return;
	}
	histogram_add(&pool->counters->upstream_tls_handshake, &histogram_connect,
		      loop_now_ns(pool->loop) - dial->tls.start_ns);
	counter_add(pool->counters, COUNTER_UPSTREAM_TLS_HANDSHAKES, 1);
	if (tls_is_resumed(session))
		counter_add(pool->counters, COUNTER_UPSTREAM_TLS_RESUMED, 1);
	dial_tls_quiet(dial);
	if (dial->options.protocol == DIAL_EITHER)
		dial->options.endpoint->shared->spoken = is_http2 ? SPOKEN_HTTP2 : SPOKEN_HTTP1;
	dial->tls.upstream = NULL;
	upstream->owner = NULL;
	dial_finish(dial, upstream, is_http2);
}

/* Verifying a chain takes as long as a hundred requests: let others run in between. */
static bool dial_tls_may_step(struct upstream_pool *pool)
{
	uint64_t turn = loop_turn(pool->loop);

	if (pool->tls_turn != turn) {
		pool->tls_turn = turn;
		pool->tls_steps = 0;
	}
	return pool->tls_steps++ < LIMIT_TLS_TURN_STEPS;
}

static void dial_tls_step(void *owner)
{
	struct dial *dial = owner;
	int result;

	if (!dial_tls_may_step(dial->pool)) {
		loop_again(dial->pool->loop, &dial->tls.again);
		return;
	}
	result = conn_handshake(&dial->tls.upstream->conn);
	if (result == 0)
		dial_tls_done(dial);
	else if (result != -EAGAIN)
		dial_tls_broken(dial, result);
}

static void dial_tls_on_again(struct loop_deferred *deferred)
{
	dial_tls_step(container_of(deferred, struct dial, tls.again));
}

/* ------------------------------------------------------------------------------------ start */

static void dial_on_ticket(void *context, struct ssl_session_st *ticket)
{
	struct upstream_endpoint *endpoint = context;

	tls_tickets_keep(&endpoint->tickets, ticket);
}

/* The configured host: a name, or a literal address, which is verified as one. */
static struct span dial_tls_host(const struct endpoint *where, char text[ADDRESS_TEXT_BYTES])
{
	if (!where->is_resolved)
		return where->host;
	if (address_is_unix(&where->address))
		return (struct span){ 0 };
	return span_of(text, address_host_text(&where->address, text));
}

static struct tls_session *dial_tls_session(struct dial *dial)
{
	struct upstream_endpoint *endpoint = dial->options.endpoint->shared;
	struct tls_client_settings settings = *dial->options.tls;
	struct alpn_offer offer;
	char address[ADDRESS_TEXT_BYTES];
	struct ssl_session_st *ticket = tls_tickets_take(&endpoint->tickets);
	struct tls_session *session;

	alpn_offer(dial->options.protocol, &settings, &offer);
	session =
		tls_connect(dial->pool->tls, &settings, dial_tls_host(dial->options.where, address), ticket);
	if (ticket && tls_resume_is_single_use(ticket))
		tls_resume_free(ticket);
	else if (ticket)
		tls_tickets_keep(&endpoint->tickets, ticket);
	/* The connection holds a user count of the endpoint, which therefore outlives the session. */
	if (session)
		tls_on_ticket(session, dial_on_ticket, endpoint);
	return session;
}

void dial_tls_start(struct dial *dial, struct upstream *upstream)
{
	uint64_t now_ms = loop_now_ms(dial->pool->loop), deadline_ms = dial->options.deadline_ms;
	struct tls_session *session = dial_tls_session(dial);

	dial->tls.upstream = upstream;
	if (!session || conn_start_tls(&upstream->conn, session) < 0) {
		dial_tls_cancel(dial);
		dial_note_failure(dial, -ENOMEM);
		dial->on_done(dial, DIAL_CONNECT_FAILED, -ENOMEM, NULL);
		return;
	}
	dial->state = DIAL_TLS;
	dial->tls.start_ns = loop_now_ns(dial->pool->loop);
	timer_arm(loop_timers(dial->pool->loop), &dial->tls.timer,
		  deadline_ms ? deadline_ms : now_ms + LIMIT_BACKEND_TLS_MS);
	upstream_attach(upstream, dial, dial_tls_step);
	dial_progress(dial);
	dial_tls_step(dial);
}
