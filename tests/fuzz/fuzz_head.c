/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Heads of requests and responses: every input is read as both. What has to hold for each:
 *   - the scan gives the same answer however the bytes are cut;
 *   - h1_parse is safe on bytes that were never scanned;
 *   - what we accept, a strict llhttp of our own, run here over the same bytes, reads in the same way;
 *   - an accepted head, written again, reads back as the same head.
 */
#include <errno.h>
#include <llhttp.h>
#include <stdio.h>
#include <stdlib.h>

#include "user/base/limits.h"
#include "user/http/framing.h"
#include "user/http/h1_parse.h"
#include "user/http/h1_write.h"
#include "user/http/head_scan.h"
#include "user/http/hop_by_hop.h"
#include "user/http/upgrade.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MUST(condition) must((condition), __LINE__, #condition)

static void must(bool condition, int line, const char *what)
{
	if (condition)
		return;
	fprintf(stderr, "line %d: broken: %s\n", line, what);
	abort();
}

/* ---- the scan ---- */

static const struct head_limits limits_default = {
	.line_bytes = LIMIT_REQUEST_LINE_BYTES,
	.head_bytes = LIMIT_HEAD_BYTES,
	.fields = LIMIT_HEADERS,
};
static const struct head_limits limits_small = { .line_bytes = 40, .head_bytes = 100, .fields = 3 };

static struct head_scan scan_segments(struct span in, bool is_response, const struct head_limits *limits,
				      size_t first, size_t piece)
{
	struct head_scan scan;
	enum scan_step step = SCAN_MORE;
	size_t given = first < in.len ? first : in.len;

	head_scan_init(&scan, is_response);
	for (;;) {
		/* A copy of its own for each call: nothing may be kept by address, or read past the end. */
		char *copy = malloc(given ? given : 1);

		MUST(copy);
		if (given)
			memcpy(copy, in.data, given);
		step = head_scan_run(&scan, span_of(copy, given), limits);
		free(copy);
		if (step == SCAN_MORE)
			MUST(scan.offset == given);
		if (step != SCAN_MORE || given == in.len)
			break;
		given = in.len - given > piece ? given + piece : in.len;
	}
	MUST((step == SCAN_BAD) == (scan.http_error != HTTP_ERROR_NONE));
	MUST((step == SCAN_DONE) == (scan.head_bytes != 0));
	return scan;
}

static void must_scan_same(struct head_scan a, struct head_scan b)
{
	MUST(a.http_error == b.http_error && a.offset == b.offset && a.head_bytes == b.head_bytes &&
	     a.field_count == b.field_count && a.state == b.state);
}

static struct head_scan scan_every_way(struct span in, bool is_response, const struct head_limits *limits)
{
	struct head_scan whole = scan_segments(in, is_response, limits, in.len, 1);
	size_t stride = in.len / 64 + 1;

	for (size_t cut = 0; cut < in.len; cut += stride)
		must_scan_same(whole, scan_segments(in, is_response, limits, cut, in.len));
	must_scan_same(whole, scan_segments(in, is_response, limits, 0, stride));
	return whole;
}

/* The parser does not look at these again. */
static bool is_limit(enum http_error http_error)
{
	return http_error == HTTP_ERROR_LINE_TOO_LONG || http_error == HTTP_ERROR_HEAD_TOO_LONG ||
	       http_error == HTTP_ERROR_TOO_MANY_FIELDS;
}

/* ---- the other reader ---- */

struct reading {
	struct fields fields;
	struct span target;
	struct span name;
	bool is_complete;
	bool keeps;
	uint16_t flags;
	uint64_t content_length;
};

static int reading_target(llhttp_t *parser, const char *at, size_t len)
{
	((struct reading *)parser->data)->target = span_of(at, len);
	return 0;
}

static int reading_name(llhttp_t *parser, const char *at, size_t len)
{
	((struct reading *)parser->data)->name = span_of(at, len);
	return 0;
}

static int reading_value(llhttp_t *parser, const char *at, size_t len)
{
	struct reading *reading = parser->data;

	MUST(fields_add(&reading->fields, reading->name, span_trim(span_of(at, len))) == 0);
	return 0;
}

static int reading_complete(llhttp_t *parser)
{
	struct reading *reading = parser->data;

	reading->is_complete = true;
	reading->flags = parser->flags;
	reading->content_length = parser->content_length;
	/* For a response without a length this is about the body; we ask about the connection alone. */
	reading->keeps = parser->http_minor > 0 ? !(parser->flags & F_CONNECTION_CLOSE)
						: (parser->flags & F_CONNECTION_KEEP_ALIVE) != 0;
	return HPE_PAUSED;
}

static llhttp_t read_again(struct span head, struct span method, bool is_response, struct arena *arena,
			   struct reading *reading)
{
	static llhttp_settings_t settings;
	llhttp_t parser;
	int result;

	llhttp_settings_init(&settings);
	settings.on_url = reading_target;
	settings.on_header_field = reading_name;
	settings.on_header_value = reading_value;
	settings.on_headers_complete = reading_complete;
	*reading = (struct reading){ 0 };
	fields_init(&reading->fields, arena);
	llhttp_init(&parser, is_response ? HTTP_RESPONSE : HTTP_REQUEST, &settings);
	parser.data = reading;
	if (!is_response && method_of(method) == METHOD_OTHER) {
		MUST(llhttp_execute(&parser, "POST", 4) == HPE_OK);
		head = span_from(head, method.len);
	}
	result = llhttp_execute(&parser, head.data, head.len);
	MUST(result == HPE_PAUSED && reading->is_complete);
	MUST(llhttp_get_error_pos(&parser) == head.data + head.len);
	return parser;
}

static void must_fields_same(const struct fields *a, const struct fields *b)
{
	MUST(a->count == b->count);
	for (uint32_t i = 0; i < a->count; i++) {
		MUST(span_eq(a->list[i].name, b->list[i].name));
		MUST(span_eq(a->list[i].value, b->list[i].value));
	}
}

/*
 * llhttp takes Proxy-Connection for Connection, overlooks an option that a tab touches, and lets keep-
 * alive win over close in HTTP/1.0; apart from that it must say what we say.
 */
static bool keeps_is_comparable(const struct fields *fields, struct span head)
{
	bool has_close = fields_list_has(fields, FIELD_CONNECTION, SPAN("close"));

	if (fields_have(fields, FIELD_PROXY_CONNECTION) || span_find(head, '\t') >= 0)
		return false;
	return !has_close || !fields_list_has(fields, FIELD_CONNECTION, SPAN("keep-alive"));
}

static void must_framing_same(const struct reading *reading, const struct fields *fields,
			      uint8_t version_minor)
{
	struct framing_fields said;

	MUST(framing_fields_read(fields, version_minor, &said) == HTTP_ERROR_NONE);
	MUST(((reading->flags & F_CHUNKED) != 0) == said.is_chunked);
	MUST(((reading->flags & F_TRANSFER_ENCODING) != 0) == said.is_chunked);
	MUST(((reading->flags & F_CONTENT_LENGTH) != 0) == said.has_length);
	MUST(!said.has_length || reading->content_length == said.length);
}

/* ---- requests ---- */

static const struct h1_write_options plain = { .version_minor = 1 };

static void request_round_trip(struct request_head *head, struct arena *arena)
{
	struct forwarded_facts facts = {
		.client_ip = SPAN("192.0.2.1"),
		.proto = SPAN("http"),
		.is_trusted = true,
	};
	struct body_framing framing;
	struct body_framing framing_again;
	struct upgrade_request upgrade;
	struct request_head again;
	struct head_scan scan;
	struct buf out;

	MUST(framing_request(head, &framing) == HTTP_ERROR_NONE);
	if (upgrade_of_request(head, &upgrade) == HTTP_ERROR_NONE && upgrade.is_wanted)
		MUST(upgrade.protocol.len > 0 && head->version_minor > 0 && head->method != METHOD_CONNECT);
	MUST(hop_by_hop_strip_request(head) == 0);
	MUST(hop_by_hop_add_forwarded(head, &facts) == 0);
	buf_init(&out);
	MUST(h1_write_request(&out, head, &framing, &plain) == 0);
	if (head->authority.len > 0) {
		scan = scan_segments(buf_span(&out), false,
				     &(struct head_limits){ 2 * LIMIT_HEAD_BYTES, 2 * LIMIT_HEAD_BYTES, 999 },
				     buf_len(&out), 1);
		MUST(scan.head_bytes == buf_len(&out));
		MUST(h1_parse_request(buf_span(&out), arena, &again, &framing_again) == HTTP_ERROR_NONE);
		MUST(framing_again.kind == framing.kind && framing_again.length == framing.length);
		MUST(framing_again.announces_length == framing.announces_length);
		MUST(span_eq(again.method_text, head->method_text) && span_eq(again.path, head->path));
		MUST(span_eq(again.authority, head->authority) && span_eq(again.query, head->query));
		MUST(again.has_query == head->has_query);
		MUST(hop_by_hop_strip_request(&again) == 0);
		fields_remove_id(&again.fields, FIELD_HOST);
		fields_remove_id(&head->fields, FIELD_HOST);
		must_fields_same(&again.fields, &head->fields);
	}
	buf_done(&out);
}

static void fuzz_request(struct span in)
{
	struct head_scan scan = scan_every_way(in, false, &limits_default);
	struct body_framing framing;
	struct request_head head;
	struct reading reading;
	struct arena arena;
	llhttp_t parser;
	enum http_error http_error;

	scan_every_way(in, false, &limits_small);
	arena_init(&arena, 4096);
	if (!scan.head_bytes) {
		http_error = h1_parse_request(in, &arena, &head, &framing);
		MUST(http_error != HTTP_ERROR_NONE || is_limit(scan.http_error));
		arena_done(&arena);
		return;
	}
	in = arena_copy(&arena, span_from(span_first(in, scan.head_bytes), scan.lead_bytes));
	http_error = h1_parse_request(in, &arena, &head, &framing);
	/* With our rules in front there is nothing left that only llhttp refuses. */
	MUST(http_error != HTTP_ERROR_SECOND_READER && http_error != HTTP_ERROR_NO_MEMORY);
	if (http_error == HTTP_ERROR_NONE) {
		parser = read_again(in, head.method_text, false, &arena, &reading);
		MUST(head.method == METHOD_OTHER ||
		     span_eq(head.method_text, span_str(llhttp_method_name(parser.method))));
		MUST(span_eq(reading.target, head.target));
		MUST(parser.http_major == 1 && parser.http_minor == head.version_minor);
		must_fields_same(&reading.fields, &head.fields);
		must_framing_same(&reading, &head.fields, head.version_minor);
		if (keeps_is_comparable(&head.fields, in))
			MUST(reading.keeps == framing_request_keeps(&head));
		request_round_trip(&head, &arena);
	}
	arena_done(&arena);
}

/* ---- responses ---- */

static void response_round_trip(struct response_head *head, enum http_method method, struct arena *arena)
{
	struct body_framing framing;
	struct body_framing framing_again;
	struct response_head copy = *head;
	struct response_head again;
	struct buf out;

	MUST(fields_clone(&head->fields, arena, &copy.fields) == 0);
	MUST(framing_response(&copy, method, &framing) == HTTP_ERROR_NONE);
	MUST(hop_by_hop_strip_response(&copy) == 0);
	buf_init(&out);
	MUST(h1_write_response(&out, &copy, &framing, &plain) == 0);
	MUST(h1_parse_response(buf_span(&out), arena, &again) == HTTP_ERROR_NONE);
	MUST(framing_response(&again, method, &framing_again) == HTTP_ERROR_NONE);
	MUST(framing_again.kind == framing.kind && framing_again.length == framing.length);
	MUST(framing_again.announces_length == framing.announces_length);
	MUST(framing_again.announced == framing.announced);
	if (framing.kind == BODY_UNTIL_CLOSE)
		MUST(!framing_response_keeps(&again));
	MUST(again.status == copy.status);
	MUST(span_eq(again.reason, copy.reason.len ? copy.reason : status_reason(copy.status)));
	MUST(hop_by_hop_strip_response(&again) == 0);
	must_fields_same(&again.fields, &copy.fields);
	buf_done(&out);
}

static void fuzz_response(struct span in)
{
	struct upgrade_request upgrade = { .is_wanted = true, .protocol = SPAN("websocket") };
	struct head_scan scan = scan_every_way(in, true, &limits_default);
	struct response_head head;
	struct reading reading;
	struct arena arena;
	llhttp_t parser;
	enum http_error http_error;

	scan_every_way(in, true, &limits_small);
	arena_init(&arena, 4096);
	if (!scan.head_bytes) {
		http_error = h1_parse_response(in, &arena, &head);
		MUST(http_error != HTTP_ERROR_NONE || is_limit(scan.http_error));
		arena_done(&arena);
		return;
	}
	in = arena_copy(&arena, span_from(span_first(in, scan.head_bytes), scan.lead_bytes));
	http_error = h1_parse_response(in, &arena, &head);
	MUST(http_error != HTTP_ERROR_SECOND_READER && http_error != HTTP_ERROR_NO_MEMORY);
	if (http_error == HTTP_ERROR_NONE) {
		parser = read_again(in, SPAN(""), true, &arena, &reading);
		MUST(parser.status_code == head.status);
		MUST(parser.http_major == 1 && parser.http_minor == head.version_minor);
		must_fields_same(&reading.fields, &head.fields);
		must_framing_same(&reading, &head.fields, head.version_minor);
		if (keeps_is_comparable(&head.fields, in) && head.status != 204)
			MUST(reading.keeps == framing_response_keeps(&head));
		(void)framing_keep_alive_s(&head);
		if (upgrade_accepts(&head, &upgrade))
			MUST(head.status == 101 && reading.flags & F_UPGRADE);
		response_round_trip(&head, METHOD_GET, &arena);
		response_round_trip(&head, METHOD_HEAD, &arena);
	}
	arena_done(&arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct span in = span_of(data, size);

	fuzz_request(in);
	fuzz_response(in);
	return 0;
}
