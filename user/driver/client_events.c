/* SPDX-License-Identifier: Apache-2.0 */
#include "user/codec/codec.h"
#include "user/driver/client_events.h"

#include <errno.h>

#include "policy/expression/expression.h"
#include "policy/match/route.h"
#include "user/base/units.h"
#include "user/client/client_facts.h"
#include "user/client/client_h2.h"
#include "user/client/client_tls.h"
#include "user/client/log_entry.h"
#include "user/driver/driver.h"
#include "user/phase/tunnel.h"
#include "user/restart/stream/conn_status.h"
#include "user/restart/stream/quiesce.h"
#include "user/stream/history.h"
#include "user/stream/step.h"

/*
 * A reset that arrived together with the request has no event of its own: check for it before any backend is
 * contacted. An HTTP/2 stream that we have reset gets no response, but its log line has the reason.
 */
static void begin(struct stream *stream, enum http_error http_error)
{
	int error = stream->downstream->check(stream);

	if (http_error == HTTP_ERROR_HEADS_OF_WORKER)
		counter_limit(stream->proxy->counters, LIMIT_KIND_WORKER_HEADS);
	if (http_error == HTTP_ERROR_HEADS_OF_CONNECTION)
		counter_limit(stream->proxy->counters, LIMIT_KIND_CONNECTION_HEADS);

	if (error && (error != -EPROTO || !stream->downstream_codec_h2))
		driver_run(stream,
			   step_end(stream, conn_end_reason(error, END_CLIENT_RST), STREAM_END_RESET));
	else
		driver_run(stream, http_error ? step_bad_request(stream, http_error) : STEP_ROUTE);
}

static bool begin_request(struct client *client, struct arena *arena, struct span head,
			  enum http_error http_error)
{
	struct stream *stream = stream_create(client, &downstream_codec_h1, false);

	if (!stream)
		return false;
	client->stream = stream;
	client->requests++;
	client_set_state(client, CLIENT_STREAM);
	arena_done(&stream->exchange->arena);
	stream->exchange->arena = *arena;
	stream->head_bytes = (uint32_t)head.len;
	if (!head_budget_hold(&client->proxy->head_budget, head.len) && !http_error)
		http_error = HTTP_ERROR_HEADS_OF_WORKER;
	begin(stream, http_error ? http_error : downstream_codec_h1_parse(stream, head));
	return true;
}

static void begin_h2_request(struct client *client, struct h2_stream *h2_stream)
{
	struct stream *stream = stream_create(client, &downstream_codec_h2, false);

	h2_stream->news = 0;
	if (stream) {
		begin(stream, downstream_codec_h2_take(stream, h2_stream));
		return;
	}
	h2_stream_release(h2_stream, H2_REFUSED_STREAM);
	client_h2_stream_over(client);
}

static bool begin_tunnel(struct client *client, bool is_tls, struct span sni)
{
	struct stream *stream = stream_create(client, &downstream_codec_h1, true);

	if (!stream)
		return false;
	client->stream = stream;
	stream->is_tls = is_tls;
	stream->close_client = true;
	client_set_state(client, CLIENT_STREAM);
	driver_run(stream, tunnel_open(stream, sni));
	return true;
}

/* Of what expressions read there is only the client. */
static void log_client(struct client *client, const struct stream_record *record)
{
	const struct access_log_policy *policy = client->proxy->lease->snapshot->access_log;
	struct expression_scratch scratch;
	struct expression_facts facts = { .scratch = &scratch,
					  .random = proxy_random(client->proxy),
					  .end_ns = proxy_wall_us(client->proxy) * NS_PER_US };
	struct client_facts own;
	struct arena arena;
	bool is_known;

	arena_init(&arena, 1024);
	is_known = client_facts_fill(&own, client, NULL, policy->needs, &arena, &facts) == 0;
	log_entry_write(client->proxy, client->proxy->lease, record, is_known ? &facts : NULL);
	arena_done(&arena);
}

/* What the listener serves, as far as it is known. */
static struct span protocol_of(const struct client *client)
{
	const struct bind *bind = client->bind->bind;
	struct span sni = client->tls ? client->tls->server_name : (struct span){ 0 };
	const struct listener *listener = bind ? listener_find(bind, sni) : NULL;

	if (!listener || listener->protocol == PROTOCOL_HTTP || listener->protocol == PROTOCOL_HTTPS)
		return SPAN("http");
	return client->tls ? SPAN("tls") : SPAN("tcp");
}

/* Logs the end of a connection that no stream logs. */
static void log_end(struct client *client, enum end_reason reason, struct span error)
{
	struct proxy *proxy = client->proxy;
	struct stream_record record = {
		.id = stream_history_next_id(proxy->history),
		.source = span_of(client->source, client->source_len),
		.protocol = protocol_of(client),
		.version = client->h2 ? SPAN("HTTP/2.0") : (struct span){ 0 },
		.sni = client->tls ? client->tls->server_name : (struct span){ 0 },
		.error = error,
		.reason = reason,
	};

	if (client->bind->bind)
		record.bind = client->bind->bind->key;
	stream_history_add(proxy->history, &record, proxy_wall_us(proxy));
	if (log_entry_has_expressions(proxy->lease->snapshot->access_log))
		log_client(client, &record);
	else
		log_entry_write(proxy, proxy->lease, &record, NULL);
}

const struct client_handler stream_handler = {
	.begin_request = begin_request,
	.begin_h2_request = begin_h2_request,
	.begin_tunnel = begin_tunnel,
	.on_ready = driver_on_client,
	.on_close = driver_abort,
	.log_end = log_end,
	.on_state = client_set_conn_status,
	.on_reading = client_set_reading,
	.may_hand_off = quiesce_may_client,
	.hand_off = quiesce_client,
};
