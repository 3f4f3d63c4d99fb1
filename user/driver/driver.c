/* SPDX-License-Identifier: Apache-2.0 */
#include "user/driver/driver.h"

#include "user/base/limits.h"
#include "user/driver/expire.h"
#include "user/phase/attempt.h"
#include "user/phase/guard.h"
#include "user/phase/held_body.h"
#include "user/phase/mirror.h"
#include "user/phase/replay_body.h"
#include "user/phase/reply.h"
#include "user/phase/response.h"
#include "user/phase/route.h"
#include "user/phase/tunnel.h"
#include "user/restart/stream/checkpoint.h"
#include "user/restart/stream/quiesce.h"
#include "user/stream/downstream.h"
#include "user/stream/internal_fields.h"
#include "user/stream/step.h"
#include "user/stream/upstream_side.h"

/* ------------------------------------------------------------------------------------ bytes move */

/* A client that has its whole response may cancel the rest of its request. */
static enum end_reason client_reason(const struct stream *stream, int error)
{
	if (stream->downstream->has_answer(stream))
		return stream->reason;
	return error == -EPROTO ? END_REQUEST_BAD : conn_end_reason(error, END_CLIENT_RST);
}

/* STEP_WAIT: the request body continues, or is complete. */
static enum stream_step check_upload(struct stream *stream)
{
	const struct relay *upload = &stream->upload;

	if (upload->state != RELAY_FAILED || stream->upload_dead)
		return STEP_WAIT;
	switch (upload->fail) {
	case RELAY_FAIL_SOURCE_SHORT:
		return step_end(stream, END_CLIENT_FIN, STREAM_END_CLOSE);
	case RELAY_FAIL_SOURCE_ERROR:
		return step_end(stream, client_reason(stream, relay_source_error(upload)), STREAM_END_RESET);
	case RELAY_FAIL_SOURCE_BAD:
		return upload->decoder.http_error == HTTP_ERROR_BODY_TOO_LARGE
			       ? guard_refuse_body(stream)
			       : step_bad_request(stream, upload->decoder.http_error);
	case RELAY_FAIL_INTEGRITY_ERROR:
		return step_end(stream, END_INTEGRITY_ERROR, STREAM_END_RESET);
	case RELAY_FAIL_MEMORY:
		return step_end(stream, END_INTERNAL, STREAM_END_RESET);
	case RELAY_FAIL_SINK:
		/* The backend may have responded before it stopped reading: its response decides. */
		stream->upload_dead = true;
		break;
	case RELAY_FAIL_NONE:
		break;
	}
	return STEP_WAIT;
}

static enum stream_step check_download(struct stream *stream)
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
		stream->reset_code = stream->upstream_side->reset_code(stream);
		return step_end(stream, conn_end_reason(relay_source_error(download), END_UPSTREAM_RST),
				response_truncated(stream));
	case RELAY_FAIL_SOURCE_BAD:
		if (download->decoder.http_error == HTTP_ERROR_BODY_TOO_LARGE)
			return step_end(stream, END_BODY_TOO_LARGE, response_truncated(stream));
		counter_add(stream->proxy->counters, COUNTER_BAD_RESPONSES, 1);
		return step_end(stream, END_RESPONSE_BAD, response_truncated(stream));
	case RELAY_FAIL_SINK:
		return step_end(stream, conn_end_reason(relay_sink_error(download), END_CLIENT_RST),
				STREAM_END_RESET);
	case RELAY_FAIL_INTEGRITY_ERROR:
		return step_end(stream, END_INTEGRITY_ERROR, STREAM_END_RESET);
	case RELAY_FAIL_MEMORY:
	case RELAY_FAIL_NONE:
		break;
	}
	return step_end(stream, END_INTERNAL, STREAM_END_RESET);
}

static bool pump_direction(struct stream *stream, struct relay *relay)
{
	bool again;

	if (stream->is_in_restart_state)
		checkpoint_before_pump(stream, relay);
	again = relay_pump(relay, proxy_now_ms(stream->proxy));
	if (stream->is_in_restart_state)
		checkpoint_after_pump(stream, relay);
	return again;
}

/* Sends pending interim responses to a slow client. STEP_END: the client is gone. */
static enum stream_step flush_interim(struct stream *stream)
{
	int result = stream->interim_count ? stream->downstream->flush(stream) : 0;

	return result >= 0 ? STEP_WAIT : step_end(stream, client_reason(stream, result), STREAM_END_RESET);
}

static enum stream_step pump_waiting(struct stream *stream)
{
	enum stream_step step;

	attempt_review_body(stream);
	if (stream->is_in_restart_state)
		checkpoint_before_pump(stream, &stream->download);
	step = flush_interim(stream);
	return step == STEP_WAIT ? attempt_read_response(stream) : step;
}

/*
 * True if an HTTP/1 client has sent its request and then a FIN: most clients that give up do so (RFC 9112 9.6
 * allows a server to read it that way). A reset has its own event.
 */
static bool has_client_given_up(struct stream *stream)
{
	enum half_close rule = stream->route && stream->route->half_close
				       ? stream->route->half_close
				       : stream->listener->rules.half_close;

	return stream->client->conn.has_hup && !stream->downstream_codec_h2 && rule != HALF_CLOSE_KEEP &&
	       stream_has_whole_request(stream) && stream->downstream->check(stream) == 0;
}

static enum stream_step give_up(struct stream *stream)
{
	return step_end(stream, END_CLIENT_GAVE_UP, STREAM_END_RESET);
}

static enum stream_step pump_exchange(struct stream *stream)
{
	bool again = pump_direction(stream, &stream->upload);
	enum stream_step step = check_upload(stream);

	if (step != STEP_WAIT)
		return step;
	if (stream->exchange->mirror_plans)
		mirror_body_moved(stream);
	if (stream->state == STREAM_WAIT_HEAD) {
		step = pump_waiting(stream);
	} else if (stream->state == STREAM_RELAY) {
		again |= pump_direction(stream, &stream->download);
		step = check_download(stream);
	}
	if (step != STEP_WAIT || stream->state == STREAM_CLOSED)
		return step;
	if (has_client_given_up(stream))
		return give_up(stream);
	if (again)
		stream_pump_again(stream);
	return STEP_WAIT;
}

/* A guard waits for the body of the request. */
static enum stream_step pump_held(struct stream *stream)
{
	bool again = pump_direction(stream, &stream->upload);
	enum stream_step step =
		stream->exchange->replay.is_lost ? held_body_lost(stream) : check_upload(stream);

	if (step == STEP_WAIT)
		step = held_body_moved(stream);
	if (step == STEP_WAIT && again)
		stream_pump_again(stream);
	return step;
}

/* A transformation waits for the body of the response. */
static enum stream_step pump_response(struct stream *stream)
{
	bool again = pump_direction(stream, &stream->upload);
	enum stream_step step = check_upload(stream);

	if (step != STEP_WAIT)
		return step;
	again |= pump_direction(stream, &stream->download);
	step = response_held(stream);
	if (step == STEP_WAIT && has_client_given_up(stream))
		return give_up(stream);
	if (step == STEP_WAIT && again)
		stream_pump_again(stream);
	return step;
}

static enum stream_step pump_tunnel(struct stream *stream)
{
	bool was_half_closed = tunnel_is_half_closed(stream);
	bool again = pump_direction(stream, &stream->upload);
	enum stream_step step;

	again |= pump_direction(stream, &stream->download);
	step = tunnel_pumped(stream, was_half_closed);
	if (step == STEP_WAIT && again)
		stream_pump_again(stream);
	return step;
}

/* ------------------------------------------------------------------------------------ steps */

static enum stream_step pump(struct stream *stream)
{
	switch (stream->state) {
	case STREAM_WAIT_HEAD:
	case STREAM_RELAY:
		return pump_exchange(stream);
	case STREAM_HOLD:
		return pump_response(stream);
	case STREAM_TUNNEL:
		return pump_tunnel(stream);
	case STREAM_REPLY:
		return reply_flush(stream);
	case STREAM_GUARD:
		if (stream->exchange->is_holding)
			return pump_held(stream);
		return has_client_given_up(stream) ? give_up(stream) : STEP_WAIT;
	case STREAM_DELAY:
	case STREAM_PENDING:
	case STREAM_RESOLVE:
	case STREAM_CONNECT:
	case STREAM_BACKOFF:
		return stream->exchange && has_client_given_up(stream) ? give_up(stream) : STEP_WAIT;
	case STREAM_NEW:
	case STREAM_CLOSED:
	case STREAM_STATE_COUNT:
		break;
	}
	return STEP_WAIT;
}

static enum stream_step take_step(struct stream *stream, enum stream_step step)
{
	switch (step) {
	case STEP_ROUTE:
		return exchange_route(stream);
	case STEP_GUARD:
		return exchange_guard(stream);
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
		return pump(stream);
	case STEP_END:
		stream_finish(stream, stream->ending_reason, stream->ending);
		break;
	case STEP_WAIT:
	case STEP_COUNT:
		break;
	}
	return STEP_WAIT;
}

/* Frames written to HTTP/2 streams are sent together at the end of this turn. */
static void touch(struct stream *stream)
{
	if (stream->state == STREAM_CLOSED)
		return;
	stream->downstream->touch(stream);
	if (stream->upstream)
		stream->upstream_side->touch(stream);
}

/* Gives other streams a turn before the next attempt. */
static void rest(struct stream *stream)
{
	stream->exchange->backoff_end_ms = proxy_now_ms(stream->proxy);
	stream_set_state(stream, STREAM_BACKOFF);
}

/* For a short request, checkpoints cost only these tests. */
static bool is_kept_by(const struct stream *stream, enum stream_step step)
{
	return stream->is_in_restart_state || step == STEP_TUNNEL ||
	       (step == STEP_PUMP && stream->proxy->look_after_ms && checkpoint_is_due(stream));
}

void driver_run(struct stream *stream, enum stream_step step)
{
	enum stream_step next;
	int attempts = 0;

	while (step != STEP_WAIT && stream->state != STREAM_CLOSED) {
		if (step == STEP_ATTEMPT_AGAIN && stream->exchange && ++attempts >= LIMIT_STREAM_ATTEMPTS) {
			rest(stream);
			break;
		}
		if (stream->is_in_restart_state)
			checkpoint_before_step(stream, step);
		next = take_step(stream, step);
		if (is_kept_by(stream, step))
			checkpoint_after_step(stream, step, next);
		step = next;
	}
	if (stream->proxy->is_handing_off)
		quiesce_stream(stream);
	touch(stream);
}

void driver_on_client(struct stream *stream)
{
	enum stream_step step = STEP_PUMP;

	if (stream->state == STREAM_CLOSED)
		return;
	if (stream->state != STREAM_TUNNEL) {
		int error = stream->downstream->check(stream);

		if (error)
			step = step_end(stream, client_reason(stream, error), STREAM_END_RESET);
		/*
		 * Events may keep coming for hours, but a client that still wants them does not send a FIN.
		 */
		else if (internal_fields_client_left(stream))
			step = step_end(stream, END_CLIENT_GAVE_UP, STREAM_END_RESET);
	}
	driver_run(stream, step);
}

void driver_on_upstream(void *owner)
{
	driver_run(owner, STEP_PUMP);
}

void driver_on_relay(struct relay *relay)
{
	driver_run(relay->direction == RELAY_IN ? container_of(relay, struct stream, upload)
						: container_of(relay, struct stream, download),
		   STEP_PUMP);
}

void driver_abort(struct stream *stream, enum end_reason reason)
{
	driver_run(stream, step_end(stream, reason, STREAM_END_RESET));
}

const struct stream_driver stream_driver = {
	.run = driver_run,
	.on_deadline = expire_on_timer,
};
