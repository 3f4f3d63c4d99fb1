/* SPDX-License-Identifier: Apache-2.0 */
#include "user/mcp/remote_request.h"

#include <errno.h>
#include <string.h>

#include "config/snapshot.h"
#include "user/base/limits.h"
#include "user/base/mem.h"
#include "user/http/h1_write.h"
#include "user/upstream/upstream.h"

static void request_pump(void *owner);
static void request_arm(struct remote_request *request);

/* ------------------------------------------------------------------------------------ the peer */

int remote_peer_init(struct remote_peer *peer, struct mcp_targets *targets, const struct remote_place *place)
{
	*peer = (struct remote_peer){ .targets = targets,
				      .where = *place->where,
				      .tls = place->tls,
				      .connect_ms =
					      place->connect_ms ? place->connect_ms : LIMIT_MCP_CONNECT_MS };
	arena_init(&peer->arena, 256);
	peer->where.health = NULL;
	peer->where.text = arena_copy(&peer->arena, place->where->text);
	peer->where.host = arena_copy(&peer->arena, place->where->host);
	peer->authority = arena_copy(&peer->arena, place->authority);
	if (peer->where.text.data && peer->where.host.data && peer->authority.data)
		peer->endpoint = upstream_pool_endpoint(
			targets->pool, &peer->where,
			&(struct upstream_wants){ .keepalive = place->keepalive, .tls = place->tls });
	if (peer->endpoint) {
		peer->snapshot = peer->tls ? snapshot_ref(place->snapshot) : NULL;
		return 0;
	}
	arena_done(&peer->arena);
	return -ENOMEM;
}

void remote_peer_done(struct remote_peer *peer)
{
	if (!peer->endpoint)
		return;
	upstream_pool_leave(peer->targets->pool, peer->endpoint);
	peer->endpoint = NULL;
	snapshot_unref(peer->snapshot);
	peer->snapshot = NULL;
	arena_done(&peer->arena);
}

/* ------------------------------------------------------------------------------------ its end */

static void request_on_release(struct loop_deferred *deferred)
{
	struct remote_request *request = container_of(deferred, struct remote_request, release);

	buf_done(&request->out);
	buf_done(&request->text);
	events_reader_done(&request->events);
	body_decoder_done(&request->body);
	arena_done(&request->arena);
	hg_free(request);
}

/* The connection is kept when the response was complete and both sides allow it. */
static void request_let_go(struct remote_request *request, bool is_complete)
{
	struct upstream *upstream = request->upstream;

	if (!upstream)
		return;
	request->upstream = NULL;
	upstream->is_reusable &= is_complete && !conn_has_output(&upstream->conn);
	upstream->served++;
	upstream_pool_give(request->peer->targets->pool, upstream);
}

static void request_close(struct remote_request *request, bool is_complete)
{
	struct loop *loop = request->peer->targets->loop;

	request->is_over = true;
	list_remove(&request->node);
	timer_cancel(loop_timers(loop), &request->timer);
	loop_deferred_cancel(&request->again);
	if (request->dial.state != DIAL_IDLE)
		dial_cancel(&request->dial);
	request_let_go(request, is_complete);
	/* From here on nothing leads back to the peer, which its owner may free now. */
	loop_defer(loop, &request->release);
}

void remote_request_stop(struct remote_request *request)
{
	if (!request->is_over)
		request_close(request, false);
}

/* Its owner hears of it last: it may free the peer. */
static void request_end(struct remote_request *request, struct span why)
{
	if (request->is_over)
		return;
	request_close(request, why.len == 0);
	request->ops->on_end(request, why);
}

static void request_on_timer(struct timer *timer, uint64_t now_ms)
{
	struct remote_request *request = container_of(timer, struct remote_request, timer);

	(void)now_ms;
	if (request->dial.state != DIAL_IDLE)
		dial_expire(&request->dial);
	if (!request->upstream)
		request_end(request, SPAN("no connection in time"));
	else
		request_end(request, request->has_head ? SPAN("no end of the response in time")
						       : SPAN("no response head in time"));
}

/* ------------------------------------------------------------------------------------ the response */

static bool is_media_type(const struct fields *fields, struct span type)
{
	const struct field *field = fields_get(fields, FIELD_CONTENT_TYPE);
	struct span rest, value;

	if (!field)
		return false;
	rest = field->value;
	return span_split(&rest, ';', &value) && span_eq_nocase(span_trim(value), type);
}

/* False: there is nothing more to do. */
static bool request_on_head(struct remote_request *request, const struct response_head *head)
{
	struct body_framing framing;
	struct upstream *upstream = request->upstream;

	if (head->status < 200 && head->status != 101) {
		arena_reset(&request->arena);
		if (++request->interim_count <= LIMIT_INTERIM_RESPONSES)
			return true;
		request_end(request, SPAN("too many interim responses"));
		return false;
	}
	if (framing_response(head, request->method, &framing) || framing.kind == BODY_TUNNEL) {
		request_end(request, SPAN("a malformed response"));
		return false;
	}
	upstream->is_reusable = framing_response_keeps(head) && framing.kind != BODY_UNTIL_CLOSE;
	upstream->keep_alive_s = framing_keep_alive_s(head);
	body_decoder_init(&request->body, &framing);
	request->has_head = true;
	request->is_events = is_media_type(&head->fields, SPAN("text/event-stream"));
	request->is_text = is_media_type(&head->fields, SPAN("application/json"));
	request_arm(request);
	if (request->ops->on_head(request, head))
		return !request->is_over;
	remote_request_stop(request);
	return false;
}

static bool request_read_head(struct remote_request *request)
{
	struct response_head head;
	enum http_bad bad;

	switch (upstream_read_head(request->upstream, LIMIT_READ_BYTES, &request->arena, &head, &bad)) {
	case UPSTREAM_HEAD_MORE:
		return false;
	case UPSTREAM_HEAD_DONE:
		return request_on_head(request, &head);
	case UPSTREAM_HEAD_EOF:
	case UPSTREAM_HEAD_ERROR:
		request_end(request, SPAN("the connection ended before a response"));
		return false;
	case UPSTREAM_HEAD_BAD:
		request_end(request, SPAN("a malformed response"));
		return false;
	case UPSTREAM_HEAD_MEMORY:
		break;
	}
	request_end(request, SPAN("no memory for the response"));
	return false;
}

static void request_take_events(struct remote_request *request, struct span payload)
{
	struct events_event event;
	int result;

	while (!request->is_over && (result = events_read(&request->events, &payload, &event)) != 0) {
		if (result < 0) {
			request_end(request, result == -ENOMEM ? SPAN("no memory for an event")
							       : SPAN("an event that is too large"));
			return;
		}
		request->ops->on_event(request, &event);
	}
}

static void request_take_text(struct remote_request *request, struct span payload)
{
	int error = buf_append(&request->text, payload, LIMIT_MCP_MESSAGE_BYTES);

	if (error)
		request_end(request, error == -ENOBUFS ? SPAN("a message that is too large")
						       : SPAN("no memory for a message"));
}

/* The message is complete. Bytes behind it make the connection unfit for another request. */
static void request_complete(struct remote_request *request, bool is_exact)
{
	request->upstream->is_reusable &= is_exact;
	if (request->is_text && buf_len(&request->text))
		request->ops->on_text(request, buf_span(&request->text));
	request_end(request, SPAN(""));
}

/* One piece of the body. BODY_MORE unless it has ended, or broken; an owner may end the request meanwhile. */
static enum body_step request_take(struct remote_request *request, struct span in, size_t *ret_used)
{
	enum body_step step;

	*ret_used = 0;
	do {
		struct span payload;
		size_t consumed = 0;

		step = body_decode(&request->body, span_from(in, *ret_used), &consumed, &payload);
		*ret_used += consumed;
		if (step == BODY_DATA && request->is_events)
			request_take_events(request, payload);
		else if (step == BODY_DATA && request->is_text)
			request_take_text(request, payload);
	} while (step == BODY_DATA && !request->is_over);
	return step;
}

/* After request_take(). True: there may be more to read. */
static bool request_goes_on(struct remote_request *request, enum body_step step, bool is_exact)
{
	if (request->is_over)
		return false;
	if (step == BODY_END)
		request_complete(request, is_exact);
	else if (step == BODY_BAD)
		request_end(request, SPAN("a malformed response"));
	return step == BODY_MORE;
}

/* What came with the head. An owner that ends the request ends its connection, too. */
static bool request_read_kept(struct remote_request *request)
{
	struct buf *in = &request->upstream->conn.in;
	size_t used, len = buf_len(in);
	enum body_step step = request_take(request, buf_span(in), &used);

	if (request->is_over)
		return false;
	buf_consume(in, used);
	return request_goes_on(request, step, used == len);
}

/* The connection has ended, as a body without length does. */
static void request_on_eof(struct remote_request *request, ssize_t result)
{
	if (result == 0 && body_decode_eof(&request->body) == 0)
		request_complete(request, true);
	else
		request_end(request, SPAN("the connection ended in the response"));
}

static void request_read_body(struct remote_request *request)
{
	struct conn *conn = &request->upstream->conn;
	char *scratch = request->peer->targets->scratch;
	struct loop *loop = request->peer->targets->loop;
	uint64_t turn_end = conn->received_bytes + LIMIT_TURN_BYTES;

	if (!request_read_kept(request))
		return;
	while (!request->is_held) {
		enum body_step step;
		size_t used;
		ssize_t len;

		if (conn->received_bytes >= turn_end) {
			loop_again(loop, &request->again);
			return;
		}
		len = conn_recv(conn, scratch, LIMIT_READ_BYTES);
		if (len == -EAGAIN)
			return;
		if (len <= 0) {
			request_on_eof(request, len);
			return;
		}
		step = request_take(request, span_of(scratch, (size_t)len), &used);
		if (!request_goes_on(request, step, used == (size_t)len))
			return;
	}
}

static void request_pump(void *owner)
{
	struct remote_request *request = owner;

	if (request->is_over || request->is_held)
		return;
	/* An answer may have come all the same: reading finds it, or the end. */
	(void)conn_flush(&request->upstream->conn);
	while (!request->has_head) {
		if (!request_read_head(request))
			return;
	}
	request_read_body(request);
}

static void request_on_again(struct loop_deferred *deferred)
{
	struct remote_request *request = container_of(deferred, struct remote_request, again);

	if (request->failed.len)
		request_end(request, request->failed);
	else if (request->upstream)
		request_pump(request);
}

void remote_request_hold(struct remote_request *request, bool is_held)
{
	if (request->is_over || request->is_held == is_held)
		return;
	request->is_held = is_held;
	if (!is_held)
		loop_again(request->peer->targets->loop, &request->again);
}

/* ------------------------------------------------------------------------------------ the request */

/* Told in a turn of its own: never from within remote_request_start(). */
static void request_fail_later(struct remote_request *request, struct span why)
{
	request->failed = why;
	loop_again(request->peer->targets->loop, &request->again);
}

static void request_arm(struct remote_request *request)
{
	struct timer_wheel *timers = loop_timers(request->peer->targets->loop);
	uint64_t deadline_ms = request->end_deadline_ms;

	if (!request->has_head && request->head_deadline_ms)
		deadline_ms = request->head_deadline_ms;
	if (!request->upstream && (!deadline_ms || request->dial.options.deadline_ms < deadline_ms))
		deadline_ms = request->dial.options.deadline_ms;
	if (deadline_ms)
		timer_arm(timers, &request->timer, deadline_ms);
	else
		timer_cancel(timers, &request->timer);
}

void remote_request_limit(struct remote_request *request, uint64_t ms)
{
	if (request->is_over)
		return;
	request->end_deadline_ms = loop_now_ms(request->peer->targets->loop) + ms;
	request_arm(request);
}

static void request_send(struct remote_request *request, struct upstream *upstream)
{
	request->upstream = upstream;
	upstream_attach(upstream, request, request_pump);
	request_arm(request);
	if (buf_append(&upstream->conn.out, buf_span(&request->out), BUF_MAX_BYTES) < 0) {
		request_fail_later(request, SPAN("no memory for the request"));
		return;
	}
	buf_consume(&request->out, buf_len(&request->out));
	buf_release(&request->out);
	/* Its answer is read in a turn of its own. */
	(void)conn_flush(&upstream->conn);
	loop_again(request->peer->targets->loop, &request->again);
}

static void request_on_dialed(struct dial *dial, enum dial_result result, int error,
			      struct upstream *upstream)
{
	struct remote_request *request = container_of(dial, struct remote_request, dial);

	(void)error;
	dial_cancel(dial);
	switch (result) {
	case DIAL_DONE:
		request_send(request, upstream);
		return;
	case DIAL_DNS_FAILED:
		request_end(request, SPAN("its name does not resolve"));
		return;
	case DIAL_TIMEOUT:
	case DIAL_TLS_TIMEOUT:
		request_end(request, SPAN("no connection in time"));
		return;
	case DIAL_TLS_FAILED:
	case DIAL_TLS_VERIFY_FAILED:
		/* dial wrote why. */
		request_end(request, SPAN("no TLS with it"));
		return;
	case DIAL_UNDER_WAY:
	case DIAL_CONNECT_FAILED:
		break;
	}
	request_end(request, SPAN("no connection"));
}

static void request_open(struct remote_request *request)
{
	struct remote_peer *peer = request->peer;
	struct loop *loop = peer->targets->loop;
	struct dial_options options = { .where = &peer->where,
					.endpoint = peer->endpoint,
					.tls = peer->tls,
					.deadline_ms = loop_now_ms(loop) + peer->connect_ms };
	struct upstream *upstream = dial_reuse(peer->targets->pool, &options);
	int error;

	if (upstream) {
		request_send(request, upstream);
		return;
	}
	dial_init(&request->dial, peer->targets->pool, &options, request_on_dialed);
	if (dial_start(&request->dial, &error) == DIAL_UNDER_WAY)
		request_arm(request);
	else
		request_fail_later(request, SPAN("its name does not resolve"));
}

static int request_write(struct remote_request *request, const struct remote_ask *ask)
{
	static const struct span names[] = {
		[METHOD_GET] = SPAN("GET"), [METHOD_POST] = SPAN("POST"), [METHOD_DELETE] = SPAN("DELETE")
	};
	struct h1_write_options options = { .version_minor = 1 };
	struct body_framing framing = { .kind = ask->bytes ? BODY_LENGTH : BODY_NONE, .length = ask->bytes };
	struct request_head head = { .method = ask->method,
				     .method_text = names[ask->method],
				     .path = ask->path,
				     .authority = request->peer->authority,
				     .version_major = 1,
				     .version_minor = 1,
				     .fields = *ask->fields };
	ptrdiff_t query = span_find(ask->path, '?');
	int error;

	if (query >= 0) {
		head.has_query = true;
		head.query = span_from(ask->path, (size_t)query + 1);
		head.path = span_first(ask->path, (size_t)query);
	}
	error = h1_write_request(&request->out, &head, &framing, &options);
	for (int i = 0; i < ask->count && !error; i++)
		error = buf_append(&request->out, span_of(ask->pieces[i].iov_base, ask->pieces[i].iov_len),
				   BUF_MAX_BYTES);
	return error;
}

struct remote_request *remote_request_start(struct remote_peer *peer, const struct remote_ask *ask,
					    const struct remote_request_ops *ops, void *owner)
{
	struct remote_request *request = hg_calloc(1, sizeof(*request));

	if (!request)
		return NULL;
	list_init(&request->node);
	request->owner = owner;
	request->peer = peer;
	request->ops = ops;
	request->method = ask->method;
	if (ask->head_ms)
		request->head_deadline_ms = loop_now_ms(peer->targets->loop) + ask->head_ms;
	buf_init(&request->out);
	buf_init(&request->text);
	arena_init(&request->arena, 1024);
	events_reader_init(&request->events, LIMIT_MCP_MESSAGE_BYTES);
	timer_init(&request->timer, request_on_timer);
	loop_deferred_init(&request->again, request_on_again);
	loop_deferred_init(&request->release, request_on_release);
	if (request_write(request, ask) < 0) {
		request_on_release(&request->release);
		return NULL;
	}
	request_open(request);
	return request;
}
