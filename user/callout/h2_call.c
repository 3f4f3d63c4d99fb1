/* SPDX-License-Identifier: Apache-2.0 */
#include "user/callout/h2_call.h"

#include "user/base/limits.h"
#include "user/base/quota.h"
#include "user/upstream/upstream_h2.h"

static void call_open(struct h2_call *call);

/* ------------------------------------------------------------------------------------ its end */

static void call_uncount(struct h2_call *call)
{
	if (call->is_counted)
		quota_give_connection(call->options.quota);
	call->is_counted = false;
}

/* The connection stays for others, unless it was opened for this call alone. */
static void call_leave(struct h2_call *call, enum h2_code code)
{
	struct upstream *upstream = call->upstream;

	call_uncount(call);
	call->upstream = NULL;
	if (!upstream)
		return;
	if (call->stream)
		h2_stream_release(call->stream, code);
	call->stream = NULL;
	if (call->is_single)
		list_remove(&upstream->h2->node);
	upstream_h2_leave(upstream);
}

static void call_close(struct h2_call *call, enum h2_code code)
{
	call->is_over = true;
	timer_cancel(loop_timers(call->pool->loop), &call->timer);
	loop_deferred_cancel(&call->again);
	if (call->dial.state != DIAL_IDLE)
		dial_cancel(&call->dial);
	call_leave(call, code);
}

void h2_call_stop(struct h2_call *call)
{
	if (!call->is_over)
		call_close(call, H2_CANCEL);
}

void h2_call_done(struct h2_call *call)
{
	h2_head_free(call->head);
	h2_head_free(call->response);
	h2_head_free(call->trailers);
	buf_done(&call->in);
}

static void call_end(struct h2_call *call, struct span why)
{
	if (call->is_over)
		return;
	call_close(call, why.len ? H2_CANCEL : H2_NO_ERROR);
	call->on_end(call, why);
}

/* Fails in a later turn: never call back from within h2_call_start(). */
static void call_fail_later(struct h2_call *call, struct span why)
{
	call->failed = why;
	loop_again(call->pool->loop, &call->again);
}

static void call_on_timer(struct timer *timer, uint64_t now_ms)
{
	struct h2_call *call = container_of(timer, struct h2_call, timer);

	(void)now_ms;
	if (call->dial.state != DIAL_IDLE)
		dial_expire(&call->dial);
	call->was_late = true;
	call_end(call, call->upstream ? SPAN("no response in time") : SPAN("no connection in time"));
}

/* ------------------------------------------------------------------------------------ the response */

/* False: the call has ended. */
static bool call_read_heads(struct h2_call *call)
{
	struct h2_head *head;

	while (!call->response && (head = h2_stream_head(call->stream)) != NULL) {
		bool is_invalid = head->http_error != 0;

		if (!is_invalid && head->status >= 200) {
			call->response = head;
			return true;
		}
		h2_head_free(head);
		if (is_invalid || ++call->interim_count > LIMIT_INTERIM_RESPONSES) {
			call_end(call, SPAN("a malformed response"));
			return false;
		}
	}
	return true;
}

/* False: the call has ended. */
static bool call_read_body(struct h2_call *call)
{
	struct buf *in = &call->stream->in;
	size_t len = buf_len(in);

	if (len == 0)
		return true;
	if (buf_append(&call->in, buf_span(in), call->most_bytes) < 0) {
		call_end(call, SPAN("a response that is too large"));
		return false;
	}
	h2_stream_consume(call->stream, len);
	h2_link_touch(&call->upstream->h2->link);
	return true;
}

/* A connection that has not accepted the stream: another one may. Two responses must not mix. */
static bool call_is_repeated(struct h2_call *call)
{
	if (!call->stream->is_unseen || call->is_repeated || call->response)
		return false;
	call->is_repeated = true;
	call->options.is_fresh = true;
	call->options.was_refused = !call->upstream->h2->is_dead;
	if (call->options.was_refused)
		upstream_h2_demote(call->upstream);
	call_leave(call, H2_CANCEL);
	call_open(call);
	return true;
}

static void call_read_end(struct h2_call *call)
{
	if (call->stream->is_invalid) {
		call_end(call, SPAN("a malformed response"));
	} else if (call->stream->has_end && call->response) {
		call->trailers = call->stream->trailers;
		call->stream->trailers = NULL;
		call->upstream->served++;
		call_end(call, SPAN(""));
	} else if (call->stream->is_reset && !call_is_repeated(call)) {
		call_end(call, call->response ? SPAN("the response was cut off")
					      : SPAN("the connection ended before a response"));
	}
}

static void call_on_event(void *owner)
{
	struct h2_call *call = owner;

	if (!call->is_over && call_read_heads(call) && call_read_body(call))
		call_read_end(call);
}

/* ------------------------------------------------------------------------------------ the request */

/* 0 or a negative errno. */
static int call_send_request(struct h2_call *call)
{
	struct iovec segment = { (void *)(uintptr_t)call->body.data, call->body.len };
	bool is_end = call->body.len == 0;
	int error = 0;

	call->stream = h2_stream_open(call->upstream->h2->link.session, call->head, is_end);
	if (!call->stream)
		return -ENOMEM;
	call->stream->owner = call;
	call->stream->on_event = call_on_event;
	call->was_sent = true;
	if (!is_end)
		error = h2_stream_write(call->stream, &segment, 1, call->body.len);
	if (!error && !is_end)
		error = h2_stream_end(call->stream, NULL);
	h2_link_touch(&call->upstream->h2->link);
	return error;
}

static void call_send(struct h2_call *call, struct upstream *upstream)
{
	call->upstream = upstream;
	upstream_h2_join(upstream);
	/* A shared connection counts as long as anybody uses it. */
	if (call->is_counted && !upstream->h2->quota) {
		upstream_h2_take_count(upstream, call->options.quota);
		call->is_counted = false;
	}
	timer_arm(loop_timers(call->pool->loop), &call->timer, call->end_deadline_ms);
	if (call_send_request(call) < 0)
		call_fail_later(call, SPAN("the request could not be sent"));
}

static void call_on_dialed(struct dial *dial, enum dial_result result, int error, struct upstream *upstream)
{
	struct h2_call *call = container_of(dial, struct h2_call, dial);

	call->dial_error = error;
	call->is_counted = dial->is_counted;
	dial->is_counted = false;
	/* The connection is in use before waiting dials go on. */
	if (result == DIAL_DONE)
		call_send(call, upstream);
	dial_cancel(dial);
	if (result == DIAL_DONE)
		return;
	call->was_late = result == DIAL_TIMEOUT || result == DIAL_TLS_TIMEOUT;
	call_end(call, dial_result_text(result));
}

static bool call_count(struct h2_call *call, const struct upstream *upstream)
{
	struct quota *quota = call->options.quota;

	if (!quota || upstream->h2->quota)
		return true;
	call->is_counted = quota_take_connection(quota, call->options.quota_most);
	return call->is_counted;
}

static void call_dial(struct h2_call *call)
{
	uint64_t connect_ms = loop_now_ms(call->pool->loop) + call->connect_ms;
	enum dial_result result;
	int error;

	call->options.deadline_ms =
		call->connect_ms && connect_ms < call->end_deadline_ms ? connect_ms : call->end_deadline_ms;
	dial_init(&call->dial, call->pool, &call->options, call_on_dialed);
	result = dial_start(&call->dial, &error);
	if (result == DIAL_UNDER_WAY) {
		timer_arm(loop_timers(call->pool->loop), &call->timer, call->options.deadline_ms);
		return;
	}
	/* Returns the count of a dial that failed at once: its state is still DIAL_IDLE. */
	dial_cancel(&call->dial);
	call_fail_later(call, dial_result_text(result));
}

static void call_open(struct h2_call *call)
{
	struct upstream *upstream = dial_reuse(call->pool, &call->options);

	if (!upstream)
		call_dial(call);
	else if (call_count(call, upstream))
		call_send(call, upstream);
	else
		call_fail_later(call, dial_result_text(DIAL_FULL));
}

static void call_on_again(struct loop_deferred *deferred)
{
	struct h2_call *call = container_of(deferred, struct h2_call, again);

	call_end(call, call->failed);
}

void h2_call_init(struct h2_call *call, struct upstream_pool *pool)
{
	*call = (struct h2_call){ .pool = pool };
	buf_init(&call->in);
	timer_init(&call->timer, call_on_timer);
	loop_deferred_init(&call->again, call_on_again);
}

void h2_call_start(struct h2_call *call)
{
	call_open(call);
}
