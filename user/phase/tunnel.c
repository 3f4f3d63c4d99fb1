/* SPDX-License-Identifier: Apache-2.0 */
#include "user/phase/tunnel.h"

#include "policy/balance.h"
#include "policy/guard/guard.h"
#include "policy/match/route.h"
#include "user/client/client.h"
#include "user/client/client_network.h"
#include "user/client/client_tls.h"
#include "user/stream/downstream.h"
#include "user/stream/step.h"
#include "user/stream/upstream_side.h"

/* False: the log has why. */
static bool admit(struct stream *stream, const struct guard_use *use, struct stream_texts *texts)
{
	struct text why;
	bool is_admitted;

	text_init(&why);
	is_admitted = client_network_admits(stream->client, use, &why);
	texts->refusal = text_span(&why);
	if (!is_admitted)
		(void)stream_keep_texts(stream, texts, NULL, NULL);
	text_done(&why);
	return is_admitted;
}

/* A port that passes all TLS through has no end of TLS that could send an alert. */
static bool ends_tls(const struct bind *bind)
{
	for (uint32_t i = 0; bind && i < bind->listener_count; i++)
		if (bind->listener_list[i].tls)
			return true;
	return false;
}

/* No listener or route has the server name. */
static enum stream_step refuse_name(struct stream *stream)
{
	bool is_told = stream->is_tls && ends_tls(stream->client->bind->bind) &&
		       client_tls_refuse_name(stream->client);

	return step_end(stream, END_NO_ROUTE, is_told ? STREAM_END_LINGER : STREAM_END_RESET);
}

enum stream_step tunnel_open(struct stream *stream, struct span sni)
{
	const struct bind *bind = stream->client->bind->bind;
	struct stream_texts texts = { .host = sni };
	const struct guard_use *network;
	const struct tcp_route *route;

	stream->listener = bind ? listener_find(bind, sni) : NULL;
	network = stream->listener ? guard_of_connections(&stream->listener->guards) : NULL;
	if (network && !admit(stream, network, &texts))
		return step_end(stream, network->guard->reason, STREAM_END_RESET);
	if (sni.len && stream_keep_texts(stream, &texts, NULL, NULL) < 0)
		return step_end(stream, END_INTERNAL, STREAM_END_RESET);
	route = stream->listener ? tcp_route_find(stream->listener, sni) : NULL;
	stream->tcp_route = route;
	if (!route)
		return refuse_name(stream);
	stream->backend = balance_backend(stream->lease->snapshot->backend_list, route->backend_list,
					  route->backend_count, route->weight_sum,
					  proxy_random(stream->proxy), proxy_now_ms(stream->proxy));
	if (!stream->backend || stream_backend(stream)->endpoint_count == 0)
		return step_end(stream, END_NO_BACKEND, STREAM_END_RESET);
	return STEP_ATTEMPT;
}

void tunnel_start_directions(struct stream *stream)
{
	static const struct body_framing tunnel = { .kind = BODY_TUNNEL };
	struct relay_end client = stream->downstream->end(stream);
	struct relay_end backend = stream->upstream_side->end(stream);
	uint64_t now_ms = proxy_now_ms(stream->proxy);

	relay_start(&stream->upload, client, backend, &tunnel, ENCODE_PLAIN, false, now_ms);
	relay_start(&stream->download, backend, client, &tunnel, ENCODE_PLAIN, false, now_ms);
	stream_offer_sockmap(stream, &stream->upload, false);
	stream_offer_sockmap(stream, &stream->download, false);
}

enum stream_step tunnel_start(struct stream *stream)
{
	/* After an upgrade the request body was already sent (response_switch()). */
	relay_stop(&stream->upload);
	relay_init(&stream->upload, &stream->proxy->relay, RELAY_IN);
	stream_drop_exchange(stream);
	stream->downstream->begin_tunnel(stream);
	tunnel_start_directions(stream);
	stream_offer_direct(stream, &stream->upload);
	stream_offer_direct(stream, &stream->download);
	stream->close_client = true;
	stream_set_state(stream, STREAM_TUNNEL);
	return STEP_PUMP;
}

bool tunnel_is_half_closed(const struct stream *stream)
{
	return relay_is_finished(&stream->upload) != relay_is_finished(&stream->download);
}

enum stream_end tunnel_end(struct stream *stream)
{
	return relay_is_settled(&stream->upload) && relay_is_settled(&stream->download) ? STREAM_END_CLOSE
											: STREAM_END_RESET;
}

/* Checks for a reset, or an unanswered keepalive, of the side that was read: STEP_END. */
static enum stream_step tunnel_check_source(struct stream *stream, const struct relay *relay,
					    enum end_reason reset)
{
	if (relay->state != RELAY_FAILED || relay->fail == RELAY_FAIL_SINK)
		return STEP_WAIT;
	if (relay->fail == RELAY_FAIL_SOURCE_ERROR)
		return step_end(stream, conn_end_reason(relay_source_error(relay), reset), STREAM_END_RESET);
	return step_end(stream,
			relay->fail == RELAY_FAIL_INTEGRITY_ERROR ? END_INTEGRITY_ERROR : END_INTERNAL,
			STREAM_END_RESET);
}

/* Checks for a reset that a blocked or finished direction would not find by reading: STEP_END. */
static enum stream_step tunnel_check_side(struct stream *stream, int error, enum end_reason reset)
{
	return error ? step_end(stream, conn_end_reason(error, reset), STREAM_END_RESET) : STEP_WAIT;
}

/* STEP_END if either side is gone. */
static enum stream_step tunnel_check_sides(struct stream *stream)
{
	enum stream_step step = tunnel_check_source(stream, &stream->upload, END_CLIENT_RST);

	if (step == STEP_WAIT)
		step = tunnel_check_source(stream, &stream->download, END_UPSTREAM_RST);
	if (step == STEP_WAIT)
		step = tunnel_check_side(stream, stream->downstream->check(stream), END_CLIENT_RST);
	if (step == STEP_WAIT)
		step = tunnel_check_side(stream, stream->upstream_side->check(stream), END_UPSTREAM_RST);
	return step;
}

/* False if the other direction failed on this one's source: then the EOF read there was that of a reset. */
static bool tunnel_forward_fin(struct relay *relay, const struct relay *other)
{
	/* The end of an HTTP/2 stream was sent with its last bytes. */
	if (relay->state != RELAY_DONE || !relay->sink || relay->sink->is_write_shut ||
	    other->state == RELAY_FAILED)
		return false;
	/*
	 * A truncated stream must not look complete (RFC 8446 6.1): TLS in the next connection can show that,
	 * too.
	 */
	if (relay->source && relay->source->is_truncated)
		conn_shutdown_cut(relay->sink);
	else
		conn_shutdown(relay->sink);
	return true;
}

/*
 * The send buffer may be too full for close_notify, and closing before it is sent would truncate the stream.
 */
static bool tunnel_is_leaving(const struct relay *relay)
{
	return relay->state == RELAY_DONE && relay->sink && conn_has_output(relay->sink);
}

/* STEP_END if both directions have ended. */
static enum stream_step tunnel_check_end(struct stream *stream)
{
	const struct relay *upload = &stream->upload;
	const struct relay *download = &stream->download;

	if (!relay_is_finished(upload) || !relay_is_finished(download) || tunnel_is_leaving(upload) ||
	    tunnel_is_leaving(download))
		return STEP_WAIT;
	/* A side that stopped reading is gone, but the bytes that it had sent before were still delivered. */
	if (upload->state == RELAY_FAILED)
		return step_end(stream, END_UPSTREAM_RST, STREAM_END_RESET);
	if (download->state == RELAY_FAILED)
		return step_end(stream, END_CLIENT_RST, STREAM_END_RESET);
	return step_end(stream, END_OK, STREAM_END_CLEAN);
}

enum stream_step tunnel_pumped(struct stream *stream, bool was_half_closed)
{
	enum stream_step step = tunnel_check_sides(stream);
	bool has_fin;

	if (step != STEP_WAIT)
		return step;
	has_fin = tunnel_forward_fin(&stream->upload, &stream->download);
	has_fin |= tunnel_forward_fin(&stream->download, &stream->upload);
	step = tunnel_check_end(stream);
	if (step != STEP_WAIT)
		return step;
	/*
	 * The end of one direction counts as progress: halfClosed starts now, however long both were quiet
	 * before.
	 */
	if (!was_half_closed && tunnel_is_half_closed(stream))
		stream->upload.last_active_ms = proxy_now_ms(stream->proxy);
	if (has_fin || was_half_closed != tunnel_is_half_closed(stream))
		stream_arm(stream);
	return STEP_WAIT;
}
