/* SPDX-License-Identifier: Apache-2.0 */
#include "user/http1/client.h"

#include <errno.h>

#include "user/base/limits.h"
#include "user/base/quota.h"
#include "user/http/connection_auth.h"

enum { ARENA_BLOCK_BYTES = 1024 };

static void client_open(struct http1_client *client);

/* ------------------------------------------------------------------------------------ its end */

static void client_uncount(struct http1_client *client)
{
	if (client->is_counted)
		quota_give_connection(client->options.quota);
	client->is_counted = false;
}

static void client_close(struct http1_client *client, bool is_complete)
{
	struct loop *loop = client->pool->loop;
	struct upstream *upstream = client->upstream;

	client->is_over = true;
	timer_cancel(loop_timers(loop), &client->timer);
	loop_deferred_cancel(&client->again);
	if (client->dial.state != DIAL_IDLE)
		dial_cancel(&client->dial);
	client_uncount(client);
	client->upstream = NULL;
	if (!upstream)
		return;
	/* Keep the connection if the response was complete and both sides allow it. */
	upstream->is_reusable &= is_complete && !conn_has_output(&upstream->conn);
	upstream->served++;
	upstream_pool_give(client->pool, upstream);
}

void http1_client_stop(struct http1_client *client)
{
	if (!client->is_over)
		client_close(client, false);
}

void http1_client_done(struct http1_client *client)
{
	buf_done(&client->out);
	body_decoder_done(&client->body);
	arena_done(&client->arena);
}

/* Calls the owner last, because it may free borrowed objects. */
static void client_end(struct http1_client *client, struct span why)
{
	if (client->is_over)
		return;
	client_close(client, why.len == 0);
	client->ops->on_end(client, why);
}

static void client_on_timer(struct timer *timer, uint64_t now_ms)
{
	struct http1_client *client = container_of(timer, struct http1_client, timer);

	(void)now_ms;
	if (client->dial.state != DIAL_IDLE)
		dial_expire(&client->dial);
	if (!client->upstream)
		client_end(client, SPAN("no connection in time"));
	else
		client_end(client, client->has_head ? SPAN("no end of the response in time")
						    : SPAN("no response head in time"));
}

static void earlier(uint64_t *deadline_ms, uint64_t other_ms)
{
	if (other_ms && (!*deadline_ms || other_ms < *deadline_ms))
		*deadline_ms = other_ms;
}

static void client_arm(struct http1_client *client)
{
	struct timer_wheel *timers = loop_timers(client->pool->loop);
	uint64_t deadline_ms = client->end_deadline_ms;

	if (!client->has_head)
		earlier(&deadline_ms, client->head_deadline_ms);
	if (!client->upstream)
		earlier(&deadline_ms, client->options.deadline_ms);
	if (deadline_ms)
		timer_arm(timers, &client->timer, deadline_ms);
	else
		timer_cancel(timers, &client->timer);
}

void http1_client_limit(struct http1_client *client, uint64_t ms)
{
	if (client->is_over)
		return;
	client->end_deadline_ms = loop_now_ms(client->pool->loop) + ms;
	client_arm(client);
}

/* ------------------------------------------------------------------------------------ the response */

/* False: the request is done. */
static bool client_on_head(struct http1_client *client, const struct response_head *head)
{
	struct body_framing framing;

	if (head->status < 200 && head->status != 101) {
		arena_reset(&client->arena);
		if (++client->interim_count <= LIMIT_INTERIM_RESPONSES)
			return true;
		client_end(client, SPAN("too many interim responses"));
		return false;
	}
	if (framing_response(head, client->method, &framing) || framing.kind == BODY_TUNNEL) {
		client_end(client, SPAN("a malformed response"));
		return false;
	}
	client->upstream->is_reusable = framing_response_keeps(head) && framing.kind != BODY_UNTIL_CLOSE;
	client->upstream->keep_alive_s = framing_keep_alive_s(head);
	client->upstream->is_bound |= connection_auth_is_asked(head);
	body_decoder_init(&client->body, &framing);
	client->has_head = true;
	client_arm(client);
	if (!client->ops->on_head || client->ops->on_head(client, head))
		return !client->is_over;
	http1_client_stop(client);
	return false;
}

static bool client_is_repeated(struct http1_client *client)
{
	struct upstream *upstream = client->upstream;

	if (!client->may_repeat || !upstream->served || upstream->has_response_bytes)
		return false;
	client->upstream = NULL;
	upstream_close(upstream, false);
	client_uncount(client);
	client->options.is_fresh = true;
	client_open(client);
	return true;
}

static bool client_read_head(struct http1_client *client)
{
	struct response_head head;
	enum http_error http_error;

	switch (upstream_read_head(client->upstream, LIMIT_READ_BYTES, &client->arena, &head, &http_error)) {
	case UPSTREAM_HEAD_MORE:
		return false;
	case UPSTREAM_HEAD_DONE:
		return client_on_head(client, &head);
	case UPSTREAM_HEAD_EOF:
	case UPSTREAM_HEAD_ERROR:
		if (!client_is_repeated(client))
			client_end(client, SPAN("the connection ended before a response"));
		return false;
	case UPSTREAM_HEAD_BAD:
		client_end(client, SPAN("a malformed response"));
		return false;
	case UPSTREAM_HEAD_MEMORY:
		break;
	}
	client_end(client, SPAN("no memory for the response"));
	return false;
}

/* The message is complete. Bytes after it make the connection unusable for another request. */
static void client_complete(struct http1_client *client, bool is_exact)
{
	client->upstream->is_reusable &= is_exact;
	client_end(client, SPAN(""));
}

/*
 * Decodes part of the body. BODY_MORE unless the body has ended or is malformed; a callback may stop the
 * client.
 */
static enum body_step client_take(struct http1_client *client, struct span in, size_t *ret_used)
{
	enum body_step step;

	*ret_used = 0;
	do {
		struct span payload;
		size_t consumed = 0;

		step = body_decode(&client->body, span_from(in, *ret_used), &consumed, &payload);
		*ret_used += consumed;
		if (step == BODY_DATA && client->ops->on_body)
			client->ops->on_body(client, payload);
	} while (step == BODY_DATA && !client->is_over);
	return step;
}

/* Acts on the result of client_take(). True: there may be more to read. */
static bool client_goes_on(struct http1_client *client, enum body_step step, bool is_exact)
{
	if (client->is_over)
		return false;
	if (step == BODY_END)
		client_complete(client, is_exact);
	else if (step == BODY_BAD)
		client_end(client, SPAN("a malformed response"));
	return step == BODY_MORE;
}

/* Processes the bytes received with the head. An owner that stops the client also ends its connection. */
static bool client_read_kept(struct http1_client *client)
{
	struct buf *in = &client->upstream->conn.in;
	size_t used, len = buf_len(in);
	enum body_step step = client_take(client, buf_span(in), &used);

	if (client->is_over)
		return false;
	buf_consume(in, used);
	return client_goes_on(client, step, used == len);
}

/* The connection has ended, which completes a body without length. */
static void client_on_eof(struct http1_client *client, ssize_t result)
{
	if (result == 0 && body_decode_eof(&client->body) == 0)
		client_complete(client, true);
	else
		client_end(client, SPAN("the connection ended in the response"));
}

static void client_read_body(struct http1_client *client)
{
	struct conn *conn = &client->upstream->conn;
	uint64_t turn_end = conn->received_bytes + LIMIT_TURN_BYTES;

	if (!client_read_kept(client))
		return;
	while (!client->is_held) {
		enum body_step step;
		size_t used;
		ssize_t len;

		if (conn->received_bytes >= client->received_end) {
			client_end(client, SPAN("a response that is too large"));
			return;
		}
		if (conn->received_bytes >= turn_end) {
			loop_again(client->pool->loop, &client->again);
			return;
		}
		len = conn_recv(conn, client->scratch, LIMIT_READ_BYTES);
		if (len == -EAGAIN)
			return;
		if (len <= 0) {
			client_on_eof(client, len);
			return;
		}
		step = client_take(client, span_of(client->scratch, (size_t)len), &used);
		if (!client_goes_on(client, step, used == (size_t)len))
			return;
	}
}

static void client_pump(void *owner)
{
	struct http1_client *client = owner;

	if (client->is_over || client->is_held)
		return;
	/* Ignore the error: a response may have arrived; reading finds it, or the end. */
	(void)conn_flush(&client->upstream->conn);
	while (!client->has_head) {
		if (!client_read_head(client))
			return;
	}
	client_read_body(client);
}

static void client_on_again(struct loop_deferred *deferred)
{
	struct http1_client *client = container_of(deferred, struct http1_client, again);

	if (client->failed.len)
		client_end(client, client->failed);
	else if (client->upstream)
		client_pump(client);
}

void http1_client_hold(struct http1_client *client, bool is_held)
{
	if (client->is_over || client->is_held == is_held)
		return;
	client->is_held = is_held;
	if (!is_held)
		loop_again(client->pool->loop, &client->again);
}

/* ------------------------------------------------------------------------------------ the request */

/* Fails in a later turn: never call back from within http1_client_start(). */
static void client_fail_later(struct http1_client *client, struct span why)
{
	client->failed = why;
	loop_again(client->pool->loop, &client->again);
}

static void client_send(struct http1_client *client, struct upstream *upstream)
{
	client->upstream = upstream;
	client->received_end =
		client->most_bytes ? upstream->conn.received_bytes + client->most_bytes : UINT64_MAX;
	upstream_attach(upstream, client, client_pump);
	upstream->is_bound |= client->is_bound;
	client->was_sent = true;
	client_arm(client);
	if (buf_append(&upstream->conn.out, buf_span(&client->out), BUF_MAX_BYTES) < 0) {
		client_fail_later(client, SPAN("no memory for the request"));
		return;
	}
	if (!client->may_repeat) {
		buf_consume(&client->out, buf_len(&client->out));
		buf_release(&client->out);
	}
	/* Read the response in a later turn: never call back from within http1_client_start(). */
	(void)conn_flush(&upstream->conn);
	loop_again(client->pool->loop, &client->again);
}

static void client_on_dialed(struct dial *dial, enum dial_result result, int error, struct upstream *upstream)
{
	struct http1_client *client = container_of(dial, struct http1_client, dial);

	client->dial_error = error;
	client->is_counted = dial->is_counted;
	dial->is_counted = false;
	dial_cancel(dial);
	if (result == DIAL_DONE)
		client_send(client, upstream);
	else
		client_end(client, dial_result_text(result)); /* the dial has logged why there is no TLS */
}

/* Sends on an idle connection, which is in use from now on. */
static void client_reuse(struct http1_client *client, struct upstream *upstream)
{
	struct quota *quota = client->options.quota;

	client->is_counted = quota && quota_take_connection(quota, client->options.quota_most);
	if (!quota || client->is_counted) {
		client_send(client, upstream);
		return;
	}
	upstream_pool_give(client->pool, upstream);
	client_fail_later(client, SPAN("too many connections to it"));
}

static void client_open(struct http1_client *client)
{
	struct upstream *upstream = dial_reuse(client->pool, &client->options);
	enum dial_result result;
	int error;

	if (upstream) {
		client_reuse(client, upstream);
		return;
	}
	client->options.deadline_ms = client->end_deadline_ms;
	if (client->connect_ms)
		earlier(&client->options.deadline_ms, loop_now_ms(client->pool->loop) + client->connect_ms);
	dial_init(&client->dial, client->pool, &client->options, client_on_dialed);
	result = dial_start(&client->dial, &error);
	if (result == DIAL_UNDER_WAY) {
		client_arm(client);
		return;
	}
	/* Returns the count of a dial that failed at once: its state is still DIAL_IDLE. */
	dial_cancel(&client->dial);
	client_fail_later(client, dial_result_text(result));
}

void http1_client_init(struct http1_client *client, struct upstream_pool *pool, char *scratch,
		       enum http_method method, const struct http1_client_ops *ops)
{
	*client = (struct http1_client){ .ops = ops, .pool = pool, .scratch = scratch, .method = method };
	buf_init(&client->out);
	arena_init(&client->arena, ARENA_BLOCK_BYTES);
	timer_init(&client->timer, client_on_timer);
	loop_deferred_init(&client->again, client_on_again);
}

void http1_client_start(struct http1_client *client)
{
	client_open(client);
}
