/* SPDX-License-Identifier: Apache-2.0 */
#include "user/phase/mirror.h"

#include <errno.h>

#include "policy/headers.h"
#include "policy/timeout.h"
#include "user/base/limits.h"
#include "user/base/mem.h"
#include "user/http/body.h"
#include "user/http/h1_write.h"
#include "user/phase/endpoint_choice.h"
#include "user/stream/stream.h"
#include "user/upstream/dial.h"

/* One copy under way. It owns its bytes; of the configuration it borrows the backend, through its lease. */
struct mirror {
	struct proxy *proxy; /* borrowed */
	struct list node;
	struct lease *lease; /* one reference */
	const struct backend_ref *ref;
	enum http_method method;
	struct buf request;
	struct upstream_endpoint *endpoint; /* one user count */
	uint32_t endpoint_index;
	struct upstream *upstream; /* borrowed; NULL until connected */
	struct dial dial;
	struct timer timer;
	uint64_t deadline_ms;
	uint64_t connect_ms; /* connectTimeout of its backend, 0: none */
	uint64_t received_limit; /* of upstream->conn.received_bytes */
	struct arena arena; /* of the response head */
	struct body_decoder body;
	uint16_t interim_count;
	bool has_head;
	bool is_closed;
	struct loop_deferred again;
	struct loop_deferred release;
};

static void mirror_begin_attempt(struct mirror *mirror, bool is_fresh);

static void mirror_free(struct mirror *mirror)
{
	list_remove(&mirror->node);
	mirror->proxy->mirror_count--;
	buf_done(&mirror->request);
	body_decoder_done(&mirror->body);
	arena_done(&mirror->arena);
	lease_unref(mirror->lease);
	hg_free(mirror);
}

static void mirror_on_release(struct loop_deferred *deferred)
{
	mirror_free(container_of(deferred, struct mirror, release));
}

static void mirror_leave_endpoint(struct mirror *mirror)
{
	if (!mirror->endpoint)
		return;
	mirror->endpoint->load.in_flight--;
	upstream_pool_leave(&mirror->proxy->pool, mirror->endpoint);
	mirror->endpoint = NULL;
}

/* Ends it now; freed at the end of the turn. The connection is kept when the response was complete and allows
 * it. */
static void mirror_close(struct mirror *mirror, bool is_complete)
{
	struct proxy *proxy = mirror->proxy;

	if (mirror->is_closed)
		return;
	mirror->is_closed = true;
	if (!is_complete)
		counter_add(proxy->counters, COUNTER_MIRROR_FAILURES, 1);
	timer_cancel(loop_timers(proxy->loop), &mirror->timer);
	loop_deferred_cancel(&mirror->again);
	if (mirror->dial.state != DIAL_IDLE)
		dial_cancel(&mirror->dial);
	if (mirror->upstream) {
		mirror->upstream->is_reusable &= is_complete && !conn_has_output(&mirror->upstream->conn);
		mirror->upstream->served++;
		upstream_pool_give(&proxy->pool, mirror->upstream);
		mirror->upstream = NULL;
	}
	mirror_leave_endpoint(mirror);
	loop_defer(proxy->loop, &mirror->release);
}

static void mirror_failed(struct mirror *mirror)
{
	mirror_close(mirror, false);
}

static void mirror_on_timer(struct timer *timer, uint64_t now_ms)
{
	(void)now_ms;
	mirror_failed(container_of(timer, struct mirror, timer));
}

/* ------------------------------------------------------------------------------------ the response */

/*
 * A reused connection had died before one byte came back: a new one, once, where a second copy does no harm
 * (RFC 9110 9.2.2). True when another attempt runs.
 */
static bool mirror_is_repeated(struct mirror *mirror)
{
	struct upstream *upstream = mirror->upstream;

	if (!upstream->served || upstream->has_response_bytes || !method_is_idempotent(mirror->method))
		return false;
	mirror->upstream = NULL;
	upstream_close(upstream, false);
	mirror_leave_endpoint(mirror);
	mirror_begin_attempt(mirror, true);
	return true;
}

static void mirror_on_head(struct mirror *mirror, const struct response_head *head)
{
	struct body_framing framing;

	if (head->status < 200 && head->status != 101) {
		arena_reset(&mirror->arena);
		if (++mirror->interim_count > LIMIT_INTERIM_RESPONSES)
			mirror_failed(mirror);
		return;
	}
	if (framing_response(head, mirror->method, &framing) || framing.kind == BODY_TUNNEL) {
		mirror_failed(mirror);
		return;
	}
	mirror->upstream->is_reusable = framing_response_keeps(head) && framing.kind != BODY_UNTIL_CLOSE;
	mirror->upstream->keep_alive_s = framing_keep_alive_s(head);
	body_decoder_init(&mirror->body, &framing);
	mirror->has_head = true;
}

/* False when there is nothing more to do at the moment, or ever. */
static bool mirror_read_head(struct mirror *mirror)
{
	struct response_head head;
	enum http_bad bad;

	switch (upstream_read_head(mirror->upstream, LIMIT_READ_BYTES, &mirror->arena, &head, &bad)) {
	case UPSTREAM_HEAD_MORE:
		return false;
	case UPSTREAM_HEAD_DONE:
		mirror_on_head(mirror, &head);
		return !mirror->is_closed;
	case UPSTREAM_HEAD_EOF:
	case UPSTREAM_HEAD_ERROR:
		if (!mirror_is_repeated(mirror))
			mirror_failed(mirror);
		return false;
	case UPSTREAM_HEAD_BAD:
	case UPSTREAM_HEAD_MEMORY:
		break;
	}
	mirror_failed(mirror);
	return false;
}

/* Reads over the body in `in`: MORE, END or BAD. */
static enum body_step mirror_drop(struct mirror *mirror, struct span in, size_t *ret_used)
{
	enum body_step step;

	*ret_used = 0;
	do {
		struct span payload;
		size_t consumed = 0;

		step = body_decode(&mirror->body, span_from(in, *ret_used), &consumed, &payload);
		*ret_used += consumed;
	} while (step == BODY_DATA);
	return step;
}

/* One piece of the body; false at its end. What follows it makes the connection unfit for another request. */
static bool mirror_take(struct mirror *mirror, struct span in, size_t *ret_used)
{
	enum body_step step = mirror_drop(mirror, in, ret_used);

	if (step == BODY_MORE)
		return true;
	mirror->upstream->is_reusable &= *ret_used == in.len;
	return false;
}

static void mirror_read_body(struct mirror *mirror)
{
	struct conn *conn = &mirror->upstream->conn;
	uint64_t turn_end = conn->received_bytes + LIMIT_TURN_BYTES;
	size_t used;
	bool goes_on = mirror_take(mirror, buf_span(&conn->in), &used);

	buf_consume(&conn->in, used);
	while (goes_on && conn->received_bytes < turn_end) {
		ssize_t len = -ENOBUFS;

		if (conn->received_bytes < mirror->received_limit)
			len = conn_recv(conn, mirror->proxy->relay.scratch, LIMIT_READ_BYTES);
		if (len == -EAGAIN)
			return;
		if (len <= 0) {
			mirror_close(mirror, len == 0 && body_decode_eof(&mirror->body) == 0);
			return;
		}
		goes_on = mirror_take(mirror, span_of(mirror->proxy->relay.scratch, (size_t)len), &used);
	}
	if (goes_on)
		loop_again(mirror->proxy->loop, &mirror->again);
	else
		mirror_close(mirror, mirror->body.is_done);
}

static void mirror_pump(void *owner)
{
	struct mirror *mirror = owner;

	if (conn_flush(&mirror->upstream->conn) < 0) {
		if (!mirror_is_repeated(mirror))
			mirror_failed(mirror);
		return;
	}
	while (!mirror->has_head) {
		if (!mirror_read_head(mirror))
			return;
	}
	mirror_read_body(mirror);
}

static void mirror_on_again(struct loop_deferred *deferred)
{
	mirror_pump(container_of(deferred, struct mirror, again));
}

/* ------------------------------------------------------------------------------------ the request */

static void mirror_send(struct mirror *mirror, struct upstream *upstream)
{
	mirror->upstream = upstream;
	mirror->received_limit = upstream->conn.received_bytes + LIMIT_MIRROR_BODY_BYTES;
	upstream_attach(upstream, mirror, mirror_pump);
	if (buf_append(&upstream->conn.out, buf_span(&mirror->request), LIMIT_HEAD_WRITE_BYTES) < 0)
		mirror_failed(mirror);
	else
		mirror_pump(mirror);
}

static void mirror_on_dialed(struct dial *dial, enum dial_result result, int error, struct upstream *upstream)
{
	struct mirror *mirror = container_of(dial, struct mirror, dial);

	(void)error;
	dial_cancel(dial);
	if (result == DIAL_DONE)
		mirror_send(mirror, upstream);
	else
		mirror_failed(mirror);
}

/* The connect keeps its deadline itself, and counts what it means for the endpoint; a look-up has none. */
static void mirror_arm(struct mirror *mirror)
{
	timer_arm(loop_timers(mirror->proxy->loop), &mirror->timer,
		  mirror->dial.state == DIAL_RESOLVING ? mirror->dial.options.deadline_ms
						       : mirror->deadline_ms);
}

static void mirror_on_progress(struct dial *dial)
{
	mirror_arm(container_of(dial, struct mirror, dial));
}

static void mirror_open(struct mirror *mirror, const struct dial_options *options)
{
	int error;

	dial_init(&mirror->dial, &mirror->proxy->pool, options, mirror_on_dialed);
	mirror->dial.on_progress = mirror_on_progress;
	if (dial_start(&mirror->dial, &error) == DIAL_UNDER_WAY)
		mirror_arm(mirror);
	else
		mirror_failed(mirror);
}

static void mirror_begin_attempt(struct mirror *mirror, bool is_fresh)
{
	struct proxy *proxy = mirror->proxy;
	struct upstream_wants wants = place_wants(mirror->ref, &mirror->lease->snapshot->config);
	struct dial_options options = { .tls = wants.tls,
					.deadline_ms = mirror->deadline_ms,
					.is_fresh = is_fresh };
	struct upstream *upstream;

	if (mirror->connect_ms && proxy_now_ms(proxy) + mirror->connect_ms < mirror->deadline_ms)
		options.deadline_ms = proxy_now_ms(proxy) + mirror->connect_ms;
	mirror->endpoint = upstream_pool_choose(&proxy->pool, mirror->ref->backend, &wants, NULL, UINT32_MAX,
						&mirror->endpoint_index);
	if (!mirror->endpoint) {
		mirror_failed(mirror);
		return;
	}
	mirror->endpoint->load.in_flight++;
	options.endpoint = mirror->endpoint;
	options.where = &mirror->ref->backend->endpoint_list[mirror->endpoint_index];
	upstream = dial_reuse(&proxy->pool, &options);
	if (upstream)
		mirror_send(mirror, upstream);
	else
		mirror_open(mirror, &options);
}

/* On a copy of the head: the mirror's own header rules and host name, and no body. */
static int mirror_write_request(struct mirror *mirror, const struct stream *stream)
{
	struct h1_write_options options = { .version_minor = 1 };
	struct body_framing framing = { .kind = BODY_NONE,
					.announces_length =
						stream->exchange->request_framing.kind != BODY_NONE };
	struct request_head head = stream->exchange->head;
	int error = fields_clone(&stream->exchange->head.fields, &mirror->arena, &head.fields);

	if (!error && mirror->ref->request_headers)
		error = headers_modify(&head.fields, mirror->ref->request_headers);
	if (!error)
		error = headers_rewrite(&head, stream->route->effective.rewrite, stream->exchange->match,
					mirror->ref);
	if (error)
		return error;
	fields_remove_id(&head.fields, FIELD_EXPECT);
	error = h1_write_request(&mirror->request, &head, &framing, &options);
	arena_reset(&mirror->arena);
	return error;
}

static void mirror_start(struct stream *stream, const struct backend_ref *ref)
{
	struct proxy *proxy = stream->proxy;
	struct mirror *mirror = hg_calloc(1, sizeof(*mirror));
	struct exchange_timeouts timeouts;
	uint64_t limit_ms = LIMIT_MIRROR_MS;

	if (!mirror) {
		counter_add(proxy->counters, COUNTER_MIRROR_DROPPED, 1);
		return;
	}
	counter_add(proxy->counters, COUNTER_MIRRORED, 1);
	mirror->proxy = proxy;
	mirror->lease = lease_ref(stream->lease);
	mirror->ref = ref;
	mirror->method = stream->exchange->head.method;
	list_add_tail(&proxy->mirrors, &mirror->node);
	proxy->mirror_count++;
	buf_init(&mirror->request);
	arena_init(&mirror->arena, 2048);
	timer_init(&mirror->timer, mirror_on_timer);
	loop_deferred_init(&mirror->again, mirror_on_again);
	loop_deferred_init(&mirror->release, mirror_on_release);
	timeout_of_exchange(&mirror->lease->snapshot->config, NULL, ref, &timeouts);
	if (timeouts.per_try_ns && ns_to_ms(timeouts.per_try_ns) < limit_ms)
		limit_ms = ns_to_ms(timeouts.per_try_ns);
	mirror->connect_ms = ns_to_ms(timeouts.connect_ns);
	mirror->deadline_ms = proxy_now_ms(proxy) + limit_ms;
	timer_arm(loop_timers(proxy->loop), &mirror->timer, mirror->deadline_ms);
	if (mirror_write_request(mirror, stream) < 0)
		mirror_failed(mirror);
	else
		mirror_begin_attempt(mirror, false);
}

static bool mirror_leads_somewhere(const struct mirror_policy *policy)
{
	const struct backend_ref *ref = policy->ref;

	return ref && ref->backend->kind != BACKEND_INVALID && ref->backend->endpoint_count &&
	       !(ref->tls && ref->tls->invalid_reason.len);
}

void mirror_request(struct stream *stream)
{
	const struct route_policies *policies = &stream->route->effective;
	struct proxy *proxy = stream->proxy;

	for (uint32_t i = 0; i < policies->mirror_count; i++) {
		const struct mirror_policy *policy = policies->mirror_list[i];

		if (stream->exchange->upgrade.is_wanted || !mirror_leads_somewhere(policy) ||
		    proxy_random(proxy) % 1000000u >= policy->per_million)
			continue;
		if (proxy->mirror_count < LIMIT_MIRRORS)
			mirror_start(stream, policy->ref);
		else
			counter_add(proxy->counters, COUNTER_MIRROR_DROPPED, 1);
	}
}

void mirrors_stop(struct proxy *proxy)
{
	list_each(node, next, &proxy->mirrors) {
		struct mirror *mirror = list_entry(node, struct mirror, node);

		mirror_close(mirror, true);
		loop_deferred_cancel(&mirror->release);
		mirror_free(mirror);
	}
}
