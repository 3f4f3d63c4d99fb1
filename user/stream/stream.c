/* SPDX-License-Identifier: Apache-2.0 */
#include "user/stream/stream.h"

#include <errno.h>

#include "user/base/mem.h"
#include "user/client/client.h"
#include "user/client/metric_labels.h"
#include "user/stream/attempt_hold.h"
#include "user/stream/call_hold.h"
#include "user/stream/deadline.h"
#include "user/stream/downstream.h"
#include "user/stream/grant.h"
#include "user/stream/history.h"
#include "user/stream/internal_fields.h"
#include "user/stream/log.h"
#include "user/stream/tracing.h"
#include "user/stream/upstream_side.h"

/*
 * When a timer is needed for the checkpoint: a response must be resumable even if its backend stays silent
 * after the head.
 */
static uint64_t stream_look_due_ms(const struct stream *stream)
{
	uint64_t look_ms = stream_look_ms(stream);

	if (stream->is_in_restart_state || stream->downstream_codec_h2 ||
	    (stream->state != STREAM_WAIT_HEAD && stream->state != STREAM_RELAY))
		return 0;
	return look_ms > proxy_now_ms(stream->proxy) ? look_ms : 0;
}

void stream_arm(struct stream *stream)
{
	struct timer_wheel *wheel = loop_timers(stream->proxy->loop);
	uint64_t at_ms, look_ms = stream_look_due_ms(stream);

	stream->deadline = deadline_next(stream, &at_ms);
	if (look_ms && (stream->deadline == DEADLINE_NONE || look_ms < at_ms))
		timer_arm(wheel, &stream->timer, look_ms);
	else if (stream->deadline == DEADLINE_NONE)
		timer_cancel(wheel, &stream->timer);
	else
		timer_arm(wheel, &stream->timer, at_ms);
}

void stream_set_state(struct stream *stream, enum stream_state state)
{
	CHECK(stream_state_allows(stream->state, state));
	proxy_trace(stream->proxy, stream->id, TRACE_STREAM_STATE, (uint32_t)state, (uint64_t)stream->state);
	stream->state = state;
	/* No other attempt can follow; this one may still have to send a part of the body. */
	if (stream->exchange && state == STREAM_RELAY && stream->upload.state == RELAY_OPEN &&
	    stream->exchange->replay.left_bytes)
		stream->exchange->replay.is_spare = true;
	else if (stream->exchange && state >= STREAM_RELAY)
		attempt_forget_body(stream);
	stream_arm(stream);
}

static int stream_make_exchange(struct stream *stream)
{
	stream->exchange = hg_take_zeroed(sizeof(*stream->exchange));
	if (!stream->exchange)
		return -ENOMEM;
	arena_init(&stream->exchange->arena, 2048);
	arena_init(&stream->exchange->response_arena, 2048);
	return 0;
}

static void stream_free_exchange(struct stream *stream)
{
	struct exchange *exchange = stream->exchange;

	if (!exchange)
		return;
	grant_drop(stream);
	attempt_drop_retry(stream);
	jwt_claims_unref(exchange->identity.claims);
	h2_head_free(exchange->downstream_head);
	h2_head_free(exchange->upstream_head);
	arena_done(&exchange->arena);
	arena_done(&exchange->response_arena);
	replay_drop(&exchange->replay);
	replay_drop(&exchange->answer);
	hg_give(exchange);
	stream->exchange = NULL;
}

static struct span stream_put_text(char **at, struct span text)
{
	struct span copy = span_of(*at, text.len);

	if (text.len)
		memcpy(*at, text.data, text.len);
	*at += text.len;
	return copy;
}

static struct span stream_field_text(const struct fields *fields, enum field_id id, size_t max)
{
	const struct field *field = fields_have(fields, id) ? fields_get(fields, id) : NULL;

	return field ? span_first(field->value, max) : (struct span){ 0 };
}

void stream_note_request(struct stream *stream)
{
	const struct request_head *head = &stream->exchange->head;
	struct stream_user *user = &stream->exchange->user;

	stream->exchange->texts.host = head->authority;
	stream->exchange->texts.path = head->target;
	user->request_id = stream_field_text(&head->fields, FIELD_X_REQUEST_ID, LIMIT_REQUEST_ID_BYTES);
	user->user_agent = stream_field_text(&head->fields, FIELD_USER_AGENT, LIMIT_USER_AGENT_BYTES);
}

uint32_t stream_us_since(const struct stream *stream, uint64_t then_ns)
{
	uint64_t us = (loop_now_ns(stream->proxy->loop) - then_ns) / NS_PER_US;

	return us > UINT32_MAX ? UINT32_MAX : us ? (uint32_t)us : 1;
}

int stream_keep_texts(struct stream *stream, const struct stream_texts *texts, const struct stream_user *user,
		      struct stream_tracing *tracing)
{
	size_t user_bytes = user ? sizeof(*user) + user->jwt_subject.len + user->basic.len +
					    user->request_id.len + user->user_agent.len
				 : 0;
	size_t tracing_bytes = tracing ? sizeof(struct stream_tracing *) : 0;
	size_t len = texts->method.len + texts->host.len + texts->path.len + user_bytes + tracing_bytes;
	struct stream_texts *kept = hg_malloc(sizeof(*kept) + len);
	char *at;

	if (!kept)
		return -ENOMEM;
	stream->keeps_user = user;
	stream->keeps_tracing = tracing;
	at = (char *)(kept + 1) + (user ? sizeof(*user) : 0);
	if (tracing)
		*(struct stream_tracing **)at = tracing;
	at += tracing_bytes;
	kept->method = stream_put_text(&at, texts->method);
	kept->host = stream_put_text(&at, texts->host);
	kept->path = stream_put_text(&at, texts->path);
	if (user) {
		struct stream_user *kept_user = (struct stream_user *)(kept + 1);

		kept_user->jwt_subject = stream_put_text(&at, user->jwt_subject);
		kept_user->basic = stream_put_text(&at, user->basic);
		kept_user->request_id = stream_put_text(&at, user->request_id);
		kept_user->user_agent = stream_put_text(&at, user->user_agent);
		kept_user->delay_ms = user->delay_ms;
	}
	stream->texts = kept;
	return 0;
}

bool stream_has_whole_request(const struct stream *stream)
{
	if (stream->exchange->request_framing.kind == BODY_NONE)
		return true;
	return stream->upload.state != RELAY_OFF && stream->upload.decoder.is_done;
}

/* False if the client still waits for a 100: it may never send the body, and send another request instead. */
bool stream_request_may_outlast(const struct stream *stream)
{
	return stream->exchange->response.status < 400 && stream->upstream->is_reusable &&
	       !stream->upload_dead &&
	       (stream->is_continued || !fields_have(&stream->exchange->head.fields, FIELD_EXPECT));
}

static bool stream_has_user(const struct stream_user *user)
{
	return user->jwt_subject.len || user->basic.len || user->request_id.len || user->user_agent.len ||
	       user->delay_ms;
}

void stream_drop_exchange(struct stream *stream)
{
	struct exchange *exchange = stream->exchange;
	const struct stream_user *user = exchange ? &exchange->user : NULL;

	if (!exchange || stream_keep_texts(stream, &exchange->texts, stream_has_user(user) ? user : NULL,
					   exchange->tracing) < 0)
		return;
	exchange->tracing = NULL;
	stream_free_exchange(stream);
}

static void stream_free(struct stream *stream)
{
	head_budget_drop(&stream->proxy->head_budget, stream->head_bytes);
	tracing_free(stream_tracing_of(stream));
	stream_free_exchange(stream);
	hg_free(stream->texts);
	lease_unref(stream->lease);
	proxy_mind_memory(stream->proxy);
	slab_give(stream->proxy->streams, stream->handle);
}

static void stream_on_again(struct loop_deferred *deferred)
{
	struct stream *stream = container_of(deferred, struct stream, again);

	stream->is_unseen = false;
	if (stream->state == STREAM_CLOSED)
		stream_free(stream);
	else
		stream_run(stream, STEP_PUMP);
}

void stream_pump_again(struct stream *stream)
{
	loop_again(stream->proxy->loop, &stream->again);
}

struct stream *stream_create(struct client *client, const struct downstream *downstream, bool is_tcp)
{
	struct proxy *proxy = client->proxy;
	uint64_t handle;
	struct stream *stream = slab_take(proxy->streams, &handle);

	if (!stream)
		return NULL;
	if (!is_tcp && stream_make_exchange(stream) < 0) {
		slab_give(proxy->streams, handle);
		return NULL;
	}
	if (!is_tcp) {
		replay_init(&stream->exchange->replay, proxy->counters, &client->replay_bytes);
		replay_init(&stream->exchange->answer, proxy->counters, &client->replay_bytes);
	}
	stream->is_tcp = is_tcp;
	stream->proxy = proxy;
	stream->client = client;
	stream->downstream = downstream;
	stream->handle = handle;
	stream->id = stream_history_next_id(proxy->history);
	stream->state = STREAM_NEW;
	stream->grpc_status = -1;
	stream->lease = lease_ref(proxy->lease);
	stream->start_ns = loop_now_ns(proxy->loop);
	relay_init(&stream->upload, &proxy->relay, RELAY_IN);
	relay_init(&stream->download, &proxy->relay, RELAY_OUT);
	timer_init(&stream->timer, proxy->driver->on_deadline);
	loop_deferred_init(&stream->again, stream_on_again);
	stream->attempt.endpoint_index = UINT32_MAX;
	proxy_trace(proxy, stream->id, TRACE_STREAM_BEGIN, (uint32_t)client->handle, 0);
	counter_add(proxy->counters, COUNTER_STREAMS_OPEN, 1);
	proxy->active_requests++;
	return stream;
}

static bool stream_wants_sockmap(const struct stream *stream, const struct splice_config *splice)
{
	return splice->mode != SPLICE_OFF && splice->lane_sockmap && !stream->backend->splice_off &&
	       !(stream->route && stream->route->splice_off) &&
	       !(stream->tcp_route && stream->tcp_route->splice_off);
}

static bool stream_wants_direct(const struct stream *stream)
{
	const struct splice_config *splice = &stream->lease->snapshot->config.splice;

	return stream->proxy->relay.local && splice->mode != SPLICE_OFF && splice->lane_direct &&
	       stream->listener && stream->listener->is_same_host && stream->backend->is_same_host;
}

void stream_offer_sockmap(struct stream *stream, struct relay *relay, bool with_credit)
{
	const struct splice_config *splice = &stream->lease->snapshot->config.splice;

	if (stream_wants_sockmap(stream, splice))
		relay_allow_sockmap(relay, splice->adaptive, splice->min_body_bytes,
				    with_credit ? (uint32_t)splice->credit_bytes : 0);
}

void stream_offer_direct(struct stream *stream, struct relay *relay)
{
	if (stream_wants_direct(stream))
		relay_allow_direct(relay);
}

static void stream_report(struct stream *stream)
{
	struct proxy *proxy = stream->proxy;
	struct metric_labels labels;
	struct stream_record record;

	stream_fill_record(stream, &record);
	if (stream->lease->snapshot->metrics)
		stream_add_labels(stream, &record, &labels);
	if (record.lane_in != LANE_COPY || record.lane_out != LANE_COPY)
		proxy_trace(proxy, stream->id, TRACE_STREAM_LANES, record.lane_in, record.lane_out);
	counter_end(proxy->counters, stream->reason);
	tally_add(&proxy->counters->requests, 1);
	tally_add(&proxy->counters->failures, stream_record_has_failed(&record));
	counter_add(proxy->counters, COUNTER_RESPONSE_BYTES, stream->download.payload_bytes);
	request_metrics_add(proxy->metrics, &record);
	path_metrics_add(proxy->paths, &record, loop_now_ns(proxy->loop) / NS_PER_S);
	stream_history_add(proxy->history, &record, proxy_wall_us(proxy));
	stream_log(stream, &record);
	tracing_end(stream, &record);
}

/* Stops both directions; the connections are still open. */
static void stream_stop(struct stream *stream, enum end_reason reason)
{
	struct proxy *proxy = stream->proxy;

	proxy_trace(proxy, stream->id, TRACE_STREAM_END, (uint32_t)reason, stream->status);
	attempt_stop(stream);
	stream_drop_call(stream);
	relay_stop(&stream->upload);
	relay_stop(&stream->download);
	stream_set_state(stream, STREAM_CLOSED);
	loop_deferred_cancel(&stream->again);
	gauge_sub(proxy->counters, COUNTER_STREAMS_OPEN, 1);
	proxy->active_requests--;
	loop_defer(proxy->loop, &stream->again);
}

void stream_finish(struct stream *stream, enum end_reason reason, enum stream_end end)
{
	if (stream->state == STREAM_CLOSED)
		return;
	stream->reason = internal_fields_reason(stream, reason);
	stream_report(stream);
	stream_stop(stream, reason);
	if (stream->upstream)
		stream->upstream_side->finish(stream, end);
	stream->downstream->finish(stream, reason, end);
}

void stream_part(struct stream *stream)
{
	struct client *client = stream->client;

	stream_stop(stream, END_DRAINED);
	upstream_close(stream->upstream, false);
	stream->upstream = NULL;
	client->stream = NULL;
	client_close(client, END_OK, false);
}
