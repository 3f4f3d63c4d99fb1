/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/origin/info.h"
#include "tests/origin/pattern.h"
#include "tests/origin/reply.h"
#include "tests/origin/worker.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

#define BODY_SHOWN_MAX 4096u
#define FIELD_VALUE_MAX 65536u

static bool field_seen_before(struct text fields, const char *end, struct text wanted)
{
	struct text name, value;

	while (fields.at < end && field_next(&fields, &name, &value)) {
		if (name.at == wanted.at)
			return false;
		if (text_same_nocase(name, wanted))
			return true;
	}
	return false;
}

/* Writes the values of one name: a string, or an array if the name occurs several times. */
static void json_values(struct buffer *json, struct text rest, struct text wanted)
{
	struct text name, value;
	size_t count = 0, at = json->end;

	while (field_next(&rest, &name, &value)) {
		if (!text_same_nocase(name, wanted))
			continue;
		if (count > 0)
			buffer_puts(json, ", ");
		json_string(json, value);
		count++;
	}
	if (count > 1 && buffer_reserve(json, 2)) {
		memmove(json->data + at + 1, json->data + at, json->end - at);
		json->data[at] = '[';
		json->end++;
		buffer_puts(json, "]");
	}
}

static void json_fields(struct buffer *json, struct text fields)
{
	struct text rest = fields, name, value;
	const char *comma = "";

	buffer_puts(json, "{");
	while (field_next(&rest, &name, &value)) {
		if (field_seen_before(fields, name.at, name))
			continue;
		buffer_puts(json, comma);
		json_string(json, name);
		buffer_puts(json, ": ");
		json_values(json, fields, name);
		comma = ", ";
	}
	buffer_puts(json, "}");
}

static void json_order(struct buffer *json, struct text fields)
{
	struct text name, value;
	const char *comma = "";

	buffer_puts(json, "[");
	while (field_next(&fields, &name, &value)) {
		buffer_puts(json, comma);
		buffer_puts(json, "[");
		json_string(json, name);
		buffer_puts(json, ", ");
		json_string(json, value);
		buffer_puts(json, "]");
		comma = ", ";
	}
	buffer_puts(json, "]");
}

static void json_key(struct buffer *json, const char *key)
{
	buffer_puts(json, ",\n\"");
	buffer_puts(json, key);
	buffer_puts(json, "\": ");
}

static void json_key_u64(struct buffer *json, const char *key, uint64_t number)
{
	json_key(json, key);
	buffer_u64(json, number);
}

static void json_key_text(struct buffer *json, const char *key, struct text text)
{
	json_key(json, key);
	json_string(json, text);
}

static void json_decoded(struct buffer *json, struct text text)
{
	static _Thread_local char decoded[FIELD_VALUE_MAX];

	json_string(json, (struct text){ decoded, text_unescape(text, decoded, sizeof(decoded)) });
}

/*
 * Writes names and decoded values. Of a repeated name only the first value is written; "target" has them
 * all.
 */
static void json_query(struct buffer *json, struct text query)
{
	struct text rest = query, name, value, first;
	const char *comma = "";

	buffer_puts(json, "{");
	while (query_next(&rest, &name, &value)) {
		struct text scan = query, other;

		while (query_next(&scan, &first, &other) && !text_same_nocase(first, name))
			continue;
		if (first.at != name.at)
			continue;
		buffer_puts(json, comma);
		json_decoded(json, name);
		buffer_puts(json, ": ");
		json_decoded(json, value);
		comma = ", ";
	}
	buffer_puts(json, "}");
}

static void json_peer(struct buffer *json, const struct conn *conn)
{
	union {
		struct sockaddr any;
		struct sockaddr_in v4;
		struct sockaddr_in6 v6;
		struct sockaddr_storage storage;
	} peer = { 0 };
	socklen_t size = sizeof(peer);
	char text[INET6_ADDRSTRLEN] = "";

	getpeername(conn->fd, &peer.any, &size);
	json_key(json, "peer");
	if (peer.any.sa_family == AF_INET) {
		inet_ntop(AF_INET, &peer.v4.sin_addr, text, sizeof(text));
		buffer_printf(json, "\"%s:%u\"", text, ntohs(peer.v4.sin_port));
	} else if (peer.any.sa_family == AF_INET6) {
		inet_ntop(AF_INET6, &peer.v6.sin6_addr, text, sizeof(text));
		buffer_printf(json, "\"[%s]:%u\"", text, ntohs(peer.v6.sin6_port));
	} else {
		buffer_puts(json, "\"unix\"");
	}
}

static void headers_start(struct conn *conn)
{
	struct buffer *json = &conn->worker->scratch;
	struct text fields = conn->exchange.request.fields;

	buffer_clear(json);
	buffer_puts(json, "{\"headers\": ");
	json_fields(json, fields);
	json_key(json, "order");
	json_order(json, fields);
	buffer_puts(json, "}\n");
	reply_json(conn, json);
}

struct anything_state {
	uint64_t fnv;
	uint32_t crc;
	bool is_started;
	bool is_pattern_bad;
};

static size_t anything_body(struct conn *conn, struct text data)
{
	struct anything_state *state = CONN_STATE(conn, struct anything_state);
	struct buffer *stash = &conn->exchange.stash;
	size_t room = BODY_SHOWN_MAX + 1 - buffer_size(stash);

	if (!state->is_started)
		state->fnv = FNV_START;
	state->is_started = true;
	state->fnv = fnv_add(state->fnv, data.at, data.size);
	state->crc = crc32_add(state->crc, data.at, data.size);
	state->is_pattern_bad |= !pattern_matches(conn->exchange.body.length, data.at, data.size);
	buffer_add(stash, data.at, data.size < room ? data.size : room);
	return data.size;
}

static void json_body(struct buffer *json, struct conn *conn)
{
	struct anything_state *state = CONN_STATE(conn, struct anything_state);
	const struct exchange *exchange = &conn->exchange;
	static const char *const framings[] = { "none", "content-length", "chunked" };
	const char *framing = framings[exchange->request.framing];

	json_key_text(json, "framing", (struct text){ framing, strlen(framing) });
	json_key_u64(json, "body_length", exchange->body.length);
	buffer_printf(json, ",\n\"body_fnv1a64\": \"%016llx\",\n\"body_crc32\": \"%08x\"",
		      (unsigned long long)(state->is_started ? state->fnv : FNV_START), state->crc);
	json_key(json, "body_is_pattern");
	buffer_puts(json, state->is_pattern_bad ? "false" : "true");
	json_key_u64(json, "chunks", exchange->body.chunks);
	json_key_u64(json, "chunk_extensions", exchange->body.extensions);
	json_key(json, "trailers");
	json_fields(json, body_trailer(&exchange->body));
	json_key(json, "body");
	if (exchange->body.length <= BODY_SHOWN_MAX)
		json_string(json, (struct text){ exchange->stash.data, buffer_size(&exchange->stash) });
	else
		buffer_puts(json, "null");
}

static void anything_start(struct conn *conn)
{
	struct buffer *json = &conn->worker->scratch;
	const struct request *request = &conn->exchange.request;
	const char *name = conn->worker->options->name ? conn->worker->options->name : "";

	buffer_clear(json);
	buffer_puts(json, "{\"method\": ");
	json_string(json, request->method);
	json_key_text(json, "target", request->target);
	json_key_text(json, "path", request->path);
	json_key(json, "query");
	json_query(json, request->query);
	json_key_text(json, "version", request->minor ? TEXT("HTTP/1.1") : TEXT("HTTP/1.0"));
	json_key(json, "headers");
	json_fields(json, request->fields);
	json_key(json, "order");
	json_order(json, request->fields);
	json_body(json, conn);
	json_key_u64(json, "connection", conn->serial);
	json_key_u64(json, "request", conn->exchange.serial);
	json_key_text(json, "origin", (struct text){ name, strlen(name) });
	json_peer(json, conn);
	buffer_puts(json, "}\n");
	reply_json(conn, json);
}

static void get_start(struct conn *conn)
{
	struct text method = conn->exchange.request.method;

	if (!text_is(method, "GET") && !text_is(method, "HEAD")) {
		reply_line(conn, 405, "only GET and HEAD here; /anything takes any method");
		return;
	}
	anything_start(conn);
}

static void status_start(struct conn *conn)
{
	static _Thread_local char decoded[FIELD_VALUE_MAX];
	struct text argument = endpoint_argument(conn), body = { "", 0 };
	uint64_t status;

	if (argument.size != 3 || !text_u64(argument, &status)) {
		reply_line(conn, 404, "the path needs three digits here");
		return;
	}
	if (query_find(conn->exchange.request.query, "body", &body))
		body = (struct text){ decoded, text_unescape(body, decoded, sizeof(decoded)) };
	reply_text(conn, (unsigned)status, "text/plain", body);
}

static bool value_is_safe(struct text value)
{
	for (size_t i = 0; i < value.size; i++) {
		unsigned char c = (unsigned char)value.at[i];

		if ((c < 0x20 && c != '\t') || c == 0x7f)
			return false;
	}
	return true;
}

static void redirect_start(struct conn *conn)
{
	static _Thread_local char decoded[FIELD_VALUE_MAX];
	struct text query = conn->exchange.request.query, to = { "", 0 };
	uint64_t status = query_u64(query, "code", 302);

	query_find(query, "to", &to);
	to = (struct text){ decoded, text_unescape(to, decoded, sizeof(decoded)) };
	if (to.size == 0 || !value_is_safe(to) || status < 300 || status > 399) {
		reply_line(conn, 400, "to must be a URL, code from 300 to 399");
		return;
	}
	reply_head(conn, (unsigned)status, NULL, status == 304 ? REPLY_NO_LENGTH : 0);
	reply_field(conn, "Location", to);
	reply_head_end(conn);
	reply_done(conn);
}

static bool extra_field(struct conn *conn, struct text name, struct text value)
{
	static _Thread_local char decoded[FIELD_VALUE_MAX];
	char field[256];
	size_t size = text_unescape(name, field, sizeof(field) - 1);

	for (size_t i = 0; i < size; i++) {
		if (!text_is_tchar((unsigned char)field[i]))
			return false;
	}
	field[size] = '\0';
	value = (struct text){ decoded, text_unescape(value, decoded, sizeof(decoded)) };
	if (size == 0 || !value_is_safe(value))
		return false;
	reply_field(conn, field, value);
	return true;
}

static void response_headers_start(struct conn *conn)
{
	struct text query = conn->exchange.request.query, name, value;
	struct buffer *json = &conn->worker->scratch;
	size_t head_start = conn->out.end;

	buffer_clear(json);
	json_query(json, query);
	buffer_puts(json, "\n");
	reply_head(conn, 200, "application/json", json->end);
	while (query_next(&query, &name, &value)) {
		if (!extra_field(conn, name, value)) {
			conn->out.end = head_start;
			reply_line(conn, 400, "names must be tokens, values without control bytes");
			return;
		}
	}
	reply_head_end(conn);
	if (reply_has_body(conn, 200))
		buffer_add(&conn->out, json->data, json->end);
	reply_done(conn);
}

static void stats_start(struct conn *conn)
{
	static const char *const names[COUNT_END] = {
		[COUNT_CONNECTIONS] = "connections", [COUNT_OPEN] = "open",
		[COUNT_REQUESTS] = "requests",	     [COUNT_BAD] = "bad_requests",
		[COUNT_TRUNCATED] = "truncated",     [COUNT_ABORTED] = "aborted",
		[COUNT_HALF_CLOSED] = "half_closed",
	};
	struct buffer *json = &conn->worker->scratch;

	buffer_clear(json);
	for (size_t i = 0; i < COUNT_END; i++)
		buffer_printf(json, "%s\"%s\": %llu", i ? ", " : "{", names[i],
			      (unsigned long long)worker_total((enum worker_counter)i));
	buffer_puts(json, "}\n");
	reply_json(conn, json);
}

const struct endpoint info_endpoints[] = {
	{ .path = "/headers", .start = headers_start },
	{ .path = "/get", .start = get_start },
	{ .path = "/anything", .start = anything_start, .body = anything_body },
	{ .path = "/anything/", .is_prefix = true, .start = anything_start, .body = anything_body },
	{ .path = "/status/", .is_prefix = true, .start = status_start },
	{ .path = "/redirect", .start = redirect_start },
	{ .path = "/response-headers", .start = response_headers_start },
	{ .path = "/stats", .start = stats_start },
	{ .path = NULL },
};
