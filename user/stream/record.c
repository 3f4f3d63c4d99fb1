/* SPDX-License-Identifier: Apache-2.0 */
#include "user/client/client_tls.h"
#include "user/http/grpc.h"
#include "user/relay/conn_bypass.h"
#include "user/stream/internal_fields.h"
#include "user/stream/tracing.h"
#include "user/stream/upstream_side.h"
#include "user/tls/session.h"
#include "user/upstream/upstream_pool.h"

static struct span record_protocol(const struct stream *stream)
{
	if (stream->is_tls)
		return SPAN("tls");
	if (stream->is_grpc)
		return SPAN("grpc");
	return stream->is_tcp ? SPAN("tcp") : SPAN("http");
}

static enum lane_id record_lane(const struct relay *relay)
{
	enum lane_id best = LANE_COPY;

	for (int lane = 0; lane < LANE_COUNT; lane++) {
		if (relay->lane_bytes[lane] > relay->lane_bytes[best])
			best = (enum lane_id)lane;
	}
	return best;
}

static void record_fill_route(const struct stream *stream, struct stream_record *record)
{
	if (stream->listener) {
		record->gateway = stream->listener->gateway_label;
		record->listener = stream->listener->listener_name;
	}
	if (stream->client->bind->bind)
		record->bind = stream->client->bind->bind->key;
	if (stream->route) {
		record->route = stream->route->label;
		record->route_rule = stream->route->rule_name;
	} else if (stream->tcp_route) {
		record->route = stream->tcp_route->label;
		record->route_rule = stream->tcp_route->rule_name;
	}
	if (stream->backend)
		record->backend = stream->backend->backend->name;
	if (stream->attempt.endpoint)
		record->endpoint = stream->attempt.endpoint->text;
}

/* The status is in the trailers, unless the head was the whole response. */
static void record_fill_grpc(const struct stream *stream, struct stream_record *record)
{
	const struct fields *trailers = stream->upstream ? stream->upstream_side->trailers(stream) : NULL;
	int status = trailers ? grpc_status_read(trailers) : stream->grpc_status;

	record->has_grpc_status = stream->is_grpc && status >= 0;
	if (record->has_grpc_status)
		record->grpc_status = (uint16_t)status;
}

static struct span record_version(const struct stream *stream)
{
	if (stream->client_major == 2)
		return SPAN("HTTP/2.0");
	if (stream->client_major == 0)
		return (struct span){ 0 };
	return stream->client_minor ? SPAN("HTTP/1.1") : SPAN("HTTP/1.0");
}

static void record_fill_texts(const struct stream *stream, struct stream_record *record)
{
	const struct stream_texts *texts = stream->exchange ? &stream->exchange->texts : stream->texts;
	const struct stream_user *user = NULL;

	if (!stream->is_tcp)
		record->version = record_version(stream);
	if (!texts)
		return;
	if (stream->is_tcp) {
		record->sni = texts->host;
		record->error = texts->refusal;
		return;
	}
	record->method = texts->method;
	record->host = texts->host;
	record->path = texts->path;
	if (stream->exchange)
		user = &stream->exchange->user;
	else if (stream->keeps_user)
		user = (const struct stream_user *)(stream->texts + 1);
	if (user) {
		record->jwt_subject = user->jwt_subject;
		record->basic_user = user->basic;
		record->request_id = user->request_id;
		record->user_agent = user->user_agent;
		record->delay_ms = user->delay_ms;
	}
}

static void record_fill_tls(const struct stream *stream, struct stream_record *record)
{
	const struct tls_session *session = conn_tls(&stream->client->conn);

	if (!client_is_tls(stream->client))
		return;
	record->sni = stream->client->tls->server_name;
	if (!session)
		return;
	record->tls_version = span_str(tls_version_text(session));
	record->tls_cipher = span_str(tls_cipher_text(session));
}

static void record_fill_bypass(const struct stream *stream, struct stream_record *record)
{
	static const char *const names[] = { "", "client", "backend", "client/backend" };
	const struct conn *ends[] = { &stream->client->conn,
				      stream->upstream ? &stream->upstream->conn : NULL };
	struct span *const reasons[] = { &record->bypass_reason_client, &record->bypass_reason_backend };
	unsigned bypasses = 0;

	for (size_t i = 0; i < ARRAY_LEN(ends); i++) {
		struct bypass_stats stats;

		if (!ends[i] || !ends[i]->bypass)
			continue;
		if (conn_bypasses(ends[i]))
			bypasses |= 1u << i;
		stats = bypass_stats(ends[i]->bypass);
		if (stats.reason != LOCAL_REASON_NONE)
			*reasons[i] = span_str(local_reason_text(stats.reason));
	}
	record->bypass = span_str(names[bypasses]);
}

void stream_fill_record(struct stream *stream, struct stream_record *record)
{
	const struct client *client = stream->client;

	relay_refresh(&stream->upload, proxy_now_ms(stream->proxy));
	relay_refresh(&stream->download, proxy_now_ms(stream->proxy));

	*record = (struct stream_record){
		.id = stream->id,
		.source = span_of(client->source, client->source_len),
		.protocol = record_protocol(stream),
		.status = stream->head_sent ? stream->status : 0,
		.retry_attempt = stream->attempt.retries_done,
		.error = stream->exchange ? stream->exchange->error : (struct span){ 0 },
		.duration_ns = loop_now_ns(stream->proxy->loop) - stream->start_ns,
		.connect_us = stream->connect_us,
		.head_us = stream->head_us,
		.bytes_in = stream->upload.payload_bytes,
		.bytes_out = stream->download.payload_bytes,
		.lane_in = record_lane(&stream->upload),
		.lane_out = record_lane(&stream->download),
		.reason = stream->reason,
	};
	if (stream->is_resumed)
		record->resumed = SPAN("true");
	record_fill_route(stream, record);
	record_fill_grpc(stream, record);
	record_fill_texts(stream, record);
	record_fill_tls(stream, record);
	record_fill_bypass(stream, record);
	tracing_fill_record(stream, record);
	if (stream->exchange && stream->exchange->internal_fields.len) {
		record->mcp_method = internal_fields_get(stream, SPAN("mcp.method"));
		record->mcp_tool = internal_fields_get(stream, SPAN("mcp.tool"));
		record->mcp_session = internal_fields_get(stream, SPAN("mcp.session"));
		record->mcp_error = internal_fields_get(stream, SPAN("mcp.error"));
	}
	for (int lane = 0; lane < LANE_COUNT; lane++) {
		record->lane_bytes_in[lane] = stream->upload.lane_bytes[lane];
		record->lane_bytes_out[lane] = stream->download.lane_bytes[lane];
	}
}
