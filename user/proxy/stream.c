/* SPDX-License-Identifier: Apache-2.0 */
#include "user/proxy/stream.h"

#include <errno.h>

#include "user/base/limits.h"
#include "user/base/mem.h"
#include "user/proxy/attempt.h"
#include "user/proxy/attempt_body.h"
#include "user/proxy/attempt_hold.h"
#include "user/proxy/back.h"
#include "user/proxy/client.h"
#include "user/proxy/deadline.h"
#include "user/proxy/exchange.h"
#include "user/proxy/front.h"
#include "user/proxy/give.h"
#include "user/proxy/history.h"
#include "user/proxy/reply.h"
#include "user/proxy/response.h"
#include "user/proxy/step.h"
#include "user/proxy/stream_notes.h"
#include "user/proxy/tunnel.h"
#include "user/proxy/stream_estate.h"

#define TO(state) (1u << STREAM_##state)

static const struct {
	const char *name;
	unsigned int next;
} stream_states[] = {
#define STREAM_STATE(id, name, action, next) { name, next },
#include "user/proxy/stream_states.def"
#undef STREAM_STATE
};

#undef TO

const char *stream_state_name(enum stream_state state)
{
	return stream_states[state].name;
}

bool stream_state_allows(enum stream_state from, enum stream_state to)
{
	return stream_states[from].next >> to & 1;
}

void stream_set_state(struct stream *stream, enum stream_state state)
{
	CHECK(stream_state_allows(stream->state, state));
	proxy_trace(stream->proxy, stream->id, TRACE_STREAM_STATE, (uint32_t)state, (uint64_t)stream->state);
	stream->state = state;
	/* No attempt follows any more. */
	if (stream->exchange && state >= STREAM_RELAY)
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
	h2_head_free(exchange->front_head);
	h2_head_free(exchange->back_head);
	arena_done(&exchange->arena);
	arena_done(&exchange->response_arena);
	replay_drop(&exchange->replay);
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

int stream_keep_texts(struct stream *stream, const struct stream_texts *texts)
{
	size_t len = texts->method.len + texts->host.len + texts->path.len;
	struct stream_texts *kept = hg_malloc(sizeof(*kept) + len);
	char *at;

	if (!kept)
		return -ENOMEM;
	at = (char *)(kept + 1);
	kept->method = stream_put_text(&at, texts->method);
	kept->host = stream_put_text(&at, texts->host);
	kept->path = stream_put_text(&at, texts->path);
	stream->texts = kept;
	return 0;
}

bool stream_has_whole_request(const struct stream *stream)
{
	if (stream->exchange->request_framing.kind == BODY_NONE)
		return true;
	return stream->upload.state != RELAY_OFF && stream->upload.decoder.is_done;
}

/*
 * Not when the client still waits for a 100: it may never send the body, and go on with another request
 * instead.
 */
bool stream_request_may_outlast(const struct stream *stream)
{
	return stream->exchange->response.status < 400 && stream->upstream->is_reusable &&
	       !stream->upload_dead &&
	       (stream->is_continued || !fields_have(&stream->exchange->head.fields, FIELD_EXPECT));
}

void stream_drop_exchange(struct stream *stream)
{
	if (stream->exchange && stream_keep_texts(stream, &stream->exchange->texts) == 0)
		stream_free_exchange(stream);
}

static void stream_free(struct stream *stream)
{
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

struct stream *stream_create(struct client *client, const struct front *front, bool is_tcp)
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
	if (!is_tcp)
		replay_init(&stream->exchange->replay, proxy->counters, &client->replay_bytes);
	stream->is_tcp = is_tcp;
	stream->proxy = proxy;
	stream->client = client;
	stream->front = front;
	stream->handle = handle;
	stream->id = stream_history_next_id(proxy->history);
	stream->state = STREAM_NEW;
	stream->grpc_status = -1;
	stream->lease = lease_ref(proxy->lease);
	stream->start_ns = loop_now_ns(proxy->loop);
	relay_init(&stream->upload, &proxy->relay, RELAY_IN);
	relay_init(&stream->download, &proxy->relay, RELAY_OUT);
	timer_init(&stream->timer, stream_on_deadline);
	loop_deferred_init(&stream->again, stream_on_again);
	stream->attempt.endpoint_index = UINT32_MAX;
	proxy_trace(proxy, stream->id, TRACE_STREAM_BEGIN, (uint32_t)client->handle, 0);
	counter_add(proxy->counters, COUNTER_STREAMS_OPEN, 1);
	proxy->active_requests++;
	return stream;
}

void stream_on_relay(struct relay *relay)
{
	stream_run(relay->direction == RELAY_IN ? container_of(relay, struct stream, upload)
						: container_of(relay, struct stream, download),
		   STEP_PUMP);
}

static bool stream_wants_gate(const struct stream *stream, const struct splice_config *splice)
{
	return splice->mode != SPLICE_OFF && splice->lane_sockmap && !stream->backend->splice_off &&
	       !(stream->route && stream->route->splice_off) &&
	       !(stream->tcp_route && stream->tcp_route->splice_off);
}

bool stream_wants_near(const struct stream *stream)
{
	const struct splice_config *splice = &stream->lease->snapshot->config.splice;

	return stream->proxy->relay.near && splice->mode != SPLICE_OFF &&
	       (splice->lane_near || splice->lane_direct) && stream->backend->is_same_host;
}

void stream_offer_gate(struct stream *stream, struct relay *relay, bool with_credit)
{
	const struct splice_config *splice = &stream->lease->snapshot->config.splice;

	if (stream_wants_gate(stream, splice))
		relay_allow_gate(relay, splice->adaptive, splice->min_body_bytes,
				 with_credit ? (uint32_t)splice->credit_bytes : 0);
}

void stream_offer_near(struct stream *stream, struct relay *relay)
{
	const struct splice_config *splice = &stream->lease->snapshot->config.splice;
	bool is_client_paired = stream->listener && stream->listener->is_same_host;

	/* What a client sends is taken from its own socket: that needs its listener's word. */
	if (stream_wants_near(stream) && (relay->direction == RELAY_OUT || is_client_paired))
		relay_allow_near(relay, splice->lane_near, splice->lane_direct && is_client_paired);
}

/* A client that has its whole answer may take back what is left of its request. */
static enum end_reason stream_client_reason(const struct stream *stream, int error)
{
	if (stream->front->has_answer(stream))
		return stream->reason;
	return error == -EPROTO ? END_REQUEST_BAD : conn_end_reason(error, END_CLIENT_RST);
}

/* STEP_WAIT: the request body's direction goes on, or is done. */
static enum stream_step stream_check_upload(struct stream *stream)
{
	const struct relay *upload = &stream->upload;

	if (upload->state != RELAY_FAILED || stream->upload_dead)
		return STEP_WAIT;
	switch (upload->fail) {
	case RELAY_FAIL_SOURCE_SHORT:
		return step_end(stream, END_CLIENT_FIN, STREAM_END_CLOSE);
	case RELAY_FAIL_SOURCE_ERROR:
		return step_end(stream, stream_client_reason(stream, relay_source_error(upload)),
				STREAM_END_RESET);
	case RELAY_FAIL_SOURCE_BAD:
		return step_bad_request(stream, upload->decoder.bad);
	case RELAY_FAIL_POISONED:
		return step_end(stream, END_POISONED, STREAM_END_RESET);
	case RELAY_FAIL_MEMORY:
		return step_end(stream, END_INTERNAL, STREAM_END_RESET);
	case RELAY_FAIL_SINK:
		/* The backend may have answered before it stopped reading: its answer decides. */
		stream->upload_dead = true;
		break;
	case RELAY_FAIL_NONE:
		break;
	}
	return STEP_WAIT;
}

static enum stream_step stream_check_download(struct stream *stream)
{
	const struct relay *download = &stream->download;

	if (download->state == RELAY_DONE)
		return response_done(stream);
	if (download->state != RELAY_FAILED)
		return STEP_WAIT;
	switch (download->fail) {
	case RELAY_FAIL_SOURCE_SHORT:
		return step_end(stream, END_UPSTREAM_FIN, response_truncated(stream));
	case RELAY_FAIL_SOURCE_ERROR:
		stream->reset_code = stream->back->reset_code(stream);
		return step_end(stream, conn_end_reason(relay_source_error(download), END_UPSTREAM_RST),
				response_truncated(stream));
	case RELAY_FAIL_SOURCE_BAD:
		counter_add(stream->proxy->counters, COUNTER_BAD_RESPONSES, 1);
		return step_end(stream, END_RESPONSE_BAD, response_truncated(stream));
	case RELAY_FAIL_SINK:
		return step_end(stream, conn_end_reason(relay_sink_error(download), END_CLIENT_RST),
				STREAM_END_RESET);
	case RELAY_FAIL_POISONED:
		return step_end(stream, END_POISONED, STREAM_END_RESET);
	case RELAY_FAIL_MEMORY:
	case RELAY_FAIL_NONE:
		break;
	}
	return step_end(stream, END_INTERNAL, STREAM_END_RESET);
}

static bool stream_pump_response(struct stream *stream, uint64_t now_ms)
{
	bool again;

	stream_estate_pumping(stream, &stream->download);
	again = relay_pump(&stream->download, now_ms);
	stream_estate_pumped(stream, &stream->download);
	return again;
}

/* What a slow client has yet to read of interim answers. STEP_END: it is gone. */
static enum stream_step stream_flush_interim(struct stream *stream)
{
	int result = stream->interim_count ? stream->front->flush(stream) : 0;

	return result >= 0 ? STEP_WAIT
			   : step_end(stream, stream_client_reason(stream, result), STREAM_END_RESET);
}

static enum stream_step stream_pump_waiting(struct stream *stream)
{
	enum stream_step step;

	attempt_review_body(stream);
	stream_estate_pumping(stream, &stream->download);
	step = stream_flush_interim(stream);
	if (step == STEP_WAIT)
		step = attempt_read_response(stream);
	if (step == STEP_WAIT)
		stream_estate_waits(stream);
	return step;
}

static enum stream_step stream_pump_exchange(struct stream *stream)
{
	uint64_t now_ms = proxy_now_ms(stream->proxy);
	enum stream_step step;
	bool again;

	stream_estate_pumping(stream, &stream->upload);
	again = relay_pump(&stream->upload, now_ms);
	stream_estate_pumped(stream, &stream->upload);
	step = stream_check_upload(stream);
	if (step != STEP_WAIT)
		return step;
	if (stream->state == STREAM_WAIT_HEAD) {
		step = stream_pump_waiting(stream);
	} else if (stream->state == STREAM_RELAY) {
		again |= stream_pump_response(stream, now_ms);
		step = stream_check_download(stream);
	}
	if (step != STEP_WAIT)
		return step;
	stream_estate_consider(stream);
	if (again && stream->state != STREAM_CLOSED)
		stream_pump_again(stream);
	return STEP_WAIT;
}

/* ------------------------------------------------------------------------------------ the driver */

static enum stream_step stream_pump(struct stream *stream)
{
	switch (stream->state) {
	case STREAM_WAIT_HEAD:
	case STREAM_RELAY:
		return stream_pump_exchange(stream);
	case STREAM_TUNNEL:
		return tunnel_pump(stream);
	case STREAM_REPLY:
		return reply_flush(stream);
	case STREAM_NEW:
	case STREAM_DELAY:
	case STREAM_RESOLVE:
	case STREAM_CONNECT:
	case STREAM_BACKOFF:
	case STREAM_CLOSED:
	case STREAM_STATE_COUNT:
		break;
	}
	return STEP_WAIT;
}

static enum stream_step stream_take_step(struct stream *stream, enum stream_step step)
{
	switch (step) {
	case STEP_ROUTE:
		return exchange_route(stream);
	case STEP_FORWARD:
		return exchange_forward(stream);
	case STEP_ATTEMPT:
		return attempt_start(stream);
	case STEP_ATTEMPT_AGAIN:
		return attempt_again(stream);
	case STEP_CONNECTED:
		return attempt_send(stream);
	case STEP_FAILED:
		return attempt_failed(stream);
	case STEP_RESPONSE:
		return response_start(stream);
	case STEP_TUNNEL:
		return tunnel_start(stream);
	case STEP_REPLY:
		return reply_start(stream);
	case STEP_PUMP:
		return stream_pump(stream);
	case STEP_END:
		stream_finish(stream, stream->ending_reason, stream->ending);
		break;
	case STEP_WAIT:
	case STEP_COUNT:
		break;
	}
	return STEP_WAIT;
}

/* What was written to streams of HTTP/2 connections leaves with the other frames of this turn. */
static void stream_touch(struct stream *stream)
{
	if (stream->state == STREAM_CLOSED)
		return;
	stream->front->touch(stream);
	if (stream->upstream)
		stream->back->touch(stream);
}

/* Others get their turn before an attempt that would follow at once. */
static void stream_rest(struct stream *stream)
{
	stream->exchange->backoff_end_ms = proxy_now_ms(stream->proxy);
	stream_set_state(stream, STREAM_BACKOFF);
}

void stream_run(struct stream *stream, enum stream_step step)
{
	int attempts = 0;

	while (step != STEP_WAIT && stream->state != STREAM_CLOSED) {
		if (step == STEP_ATTEMPT_AGAIN && stream->exchange && ++attempts >= LIMIT_STREAM_ATTEMPTS) {
			stream_rest(stream);
			break;
		}
		step = stream_take_step(stream, step);
	}
	give_stream(stream);
	stream_touch(stream);
}

void stream_on_client(struct stream *stream)
{
	if (stream->state == STREAM_CLOSED)
		return;
	if (stream->state != STREAM_TUNNEL) {
		int error = stream->front->check(stream);

		if (error) {
			stream_finish(stream, stream_client_reason(stream, error), STREAM_END_RESET);
			return;
		}
		/* Events may come for hours: nobody who still wants them says that he is done. */
		if (notes_client_left(stream)) {
			stream_finish(stream, END_CLIENT_FIN, STREAM_END_RESET);
			return;
		}
	}
	stream_run(stream, STEP_PUMP);
}

void stream_on_upstream(void *owner)
{
	stream_run(owner, STEP_PUMP);
}

static void stream_report(struct stream *stream)
{
	struct proxy *proxy = stream->proxy;
	struct stream_record record;

	stream_fill_record(stream, &record);
	counter_end(proxy->counters, stream->reason);
	counter_add(proxy->counters, COUNTER_RESPONSE_BYTES, stream->download.payload_bytes);
	request_metrics_add(proxy->metrics, &record);
	stream_history_add(proxy->history, &record, proxy_wall_us(proxy));
	proxy_log(proxy, stream->lease, &record);
}

/* Nothing moves any more; its connections are still open. */
static void stream_stop(struct stream *stream, enum end_reason reason)
{
	struct proxy *proxy = stream->proxy;

	proxy_trace(proxy, stream->id, TRACE_STREAM_END, (uint32_t)reason, stream->status);
	stream_estate_end(stream);
	attempt_stop(stream);
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
	stream->reason = notes_reason(stream, reason);
	stream_report(stream);
	stream_stop(stream, reason);
	if (stream->upstream)
		stream->back->finish(stream, end);
	stream->front->finish(stream, reason, end);
}

void stream_part(struct stream *stream, int *ret_client_fd, int *ret_backend_fd)
{
	struct client *client = stream->client;

	stream_stop(stream, END_DRAINED);
	*ret_backend_fd = upstream_give(stream->upstream);
	stream->upstream = NULL;
	client->stream = NULL;
	*ret_client_fd = client_give(client);
}

void stream_abort(struct stream *stream, enum end_reason reason)
{
	stream_finish(stream, reason, STREAM_END_RESET);
}
