/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/h2_text.h"

#include <errno.h>
#include <string.h>
#include <time.h>

#include "tests/lib/alloc.h"
#include "tests/lib/test_arena.h"
#include "user/http/hop_by_hop.h"

static const struct body_framing no_body = { .kind = BODY_NONE };
TEST_ARENA(arena, 4096);

/* ---- the same request in both versions ---- */

static const struct twin {
	struct span h2;
	struct span h1;
} twins[] = {
	{ TEXT(H2_GET_A), TEXT("GET / HTTP/1.1\r\nhost: a\r\n\r\n") },
	{ TEXT(H2_GET_A "host=A\nb=c\n"), TEXT("GET / HTTP/1.1\r\nhost: a\r\nb: c\r\n\r\n") },
	{ TEXT(H2_GET "x=y\nhost=a:80\n"), TEXT("GET / HTTP/1.1\r\nhost: a:80\r\nx: y\r\n\r\n") },
	{ TEXT(":method=POST\n:scheme=http\n:authority=a:1\n:path=/b/c?d=e\ncontent-length=5\nte=trailers\n"),
	  TEXT("POST /b/c?d=e HTTP/1.1\r\nhost: a:1\r\ncontent-length: 5\r\nte: trailers\r\n\r\n") },
	{ TEXT(":method=GET\n:scheme=http\n:authority=a\n:path=//?\n"),
	  TEXT("GET //? HTTP/1.1\r\nhost: a\r\n\r\n") },
	{ TEXT(":method=QUERY\n:scheme=http\n:authority=a\n:path=/\n"),
	  TEXT("QUERY / HTTP/1.1\r\nhost: a\r\n\r\n") },
	{ TEXT(":method=OPTIONS\n:scheme=http\n:authority=a\n:path=*\n"),
	  TEXT("OPTIONS * HTTP/1.1\r\nhost: a\r\n\r\n") },
	{ TEXT(":method=CONNECT\n:authority=a:1\n"), TEXT("CONNECT a:1 HTTP/1.1\r\nhost: a:1\r\n\r\n") },
	{ TEXT(H2_GET_A "b=c\ncookie=d=e\nf=g\ncookie=h\ncookie=i=j\nexpect=100-continue\n"),
	  TEXT("GET / HTTP/1.1\r\nhost: a\r\nb: c\r\ncookie: d=e; h; i=j\r\nf: g\r\nexpect: "
	       "100-continue\r\n\r\n") },
	{ TEXT(H2_GET_A "cookie=d=e; f=g\n"), TEXT("GET / HTTP/1.1\r\nhost: a\r\ncookie: d=e; f=g\r\n\r\n") },
	{ TEXT(H2_GET_A "cookie=\ncookie=b\ncookie=\n"),
	  TEXT("GET / HTTP/1.1\r\nhost: a\r\ncookie: b\r\n\r\n") },
	{ TEXT(H2_GET_A "cookie=\ncookie=\n"), TEXT("GET / HTTP/1.1\r\nhost: a\r\ncookie: \r\n\r\n") },
};

static void assert_fields_same(const struct fields *a, const struct fields *b)
{
	assert_int_equal(a->count, b->count);
	for (uint32_t i = 0; i < a->count; i++) {
		if (!span_eq(a->list[i].name, b->list[i].name) ||
		    !span_eq(a->list[i].value, b->list[i].value))
			fail_msg("%.*s=%.*s instead of %.*s=%.*s", SPAN_FMT(a->list[i].name),
				 SPAN_FMT(a->list[i].value), SPAN_FMT(b->list[i].name),
				 SPAN_FMT(b->list[i].value));
		assert_int_equal(a->list[i].id, b->list[i].id);
	}
	assert_int_equal(a->seen, b->seen);
}

static void assert_request_same(const struct request_head *a, const struct request_head *b)
{
	assert_int_equal(a->method, b->method);
	assert_true(span_eq(a->method_text, b->method_text));
	assert_true(span_eq(a->target, b->target));
	assert_true(span_eq(a->path, b->path));
	assert_true(span_eq(a->query, b->query));
	assert_int_equal(a->has_query, b->has_query);
	assert_true(span_eq(a->authority, b->authority));
	assert_fields_same(&a->fields, &b->fields);
}

TEST(a_request_is_the_same_object_in_both_versions)
{
	for (size_t i = 0; i < ARRAY_LEN(twins); i++) {
		struct h2_head *head = h2_head_of(H2_HEAD_REQUEST, twins[i].h2, true);
		struct request_head h1;
		struct request_head h2;
		struct span protocol;

		arena_reset(&arena);
		assert_bad(message_request(twins[i].h1, &arena, &h1), HTTP_ERROR_NONE, twins[i].h1);
		assert_bad(h2_head_to_request(head, &arena, &h2, &protocol), HTTP_ERROR_NONE, twins[i].h2);
		assert_request_same(&h2, &h1);
		assert_int_equal(h2.version_major, 2);
		assert_int_equal(h2.version_minor, 0);
		assert_int_equal(protocol.len, 0);
		h2_head_free(head);
	}
}

TEST(what_was_refused_becomes_no_request)
{
	static const struct span expectation = TEXT(H2_GET_A "expect=a\n");
	static const struct span protocol =
		TEXT(":method=CONNECT\n:authority=a\n:scheme=http\n:path=/\n:protocol=udp\n");
	struct h2_head *head;
	struct request_head request;
	struct response_head response;
	struct span wanted;

	head = h2_head_of(H2_HEAD_REQUEST, expectation, true);
	assert_int_equal(h2_head_to_request(head, &arena, &request, &wanted), HTTP_ERROR_EXPECTATION);
	h2_head_free(head);
	head = h2_head_of(H2_HEAD_REQUEST, protocol, false);
	assert_int_equal(h2_head_to_request(head, &arena, &request, &wanted), HTTP_ERROR_PROTOCOL);
	h2_head_free(head);
	head = h2_head_of(H2_HEAD_REQUEST, SPAN(H2_GET), false);
	assert_int_equal(h2_head_to_request(head, &arena, &request, &wanted), HTTP_ERROR_HOST_MISSING);
	h2_head_free(head);
	head = h2_head_of(H2_HEAD_RESPONSE, SPAN(":status=1\n"), false);
	assert_int_equal(h2_head_to_response(head, &arena, &response), HTTP_ERROR_STATUS);
	h2_head_free(head);
}

TEST(an_extended_connect_is_a_get_that_asks_for_a_protocol)
{
	struct h2_head *head =
		h2_head_of(H2_HEAD_REQUEST,
			   SPAN(":method=CONNECT\n:protocol=websocket\n:scheme=https\n:path=/chat?a\n"
				":authority=a\nsec-websocket-version=13\n"),
			   false);
	struct body_framing framing;
	struct request_head request;
	struct span protocol;

	assert_int_equal(h2_head_to_request(head, &arena, &request, &protocol), HTTP_ERROR_NONE);
	assert_span(protocol, "websocket");
	assert_int_equal(request.method, METHOD_GET);
	assert_span(request.method_text, "GET");
	assert_span(request.target, "/chat?a");
	assert_span(request.path, "/chat");
	assert_span(request.authority, "a");
	assert_int_equal(h2_head_request_framing(head, &request, &framing), HTTP_ERROR_NONE);
	assert_int_equal(framing.kind, BODY_NONE);
	h2_head_free(head);
}

TEST(a_response_loses_nothing)
{
	struct h2_head *head =
		h2_head_of(H2_HEAD_RESPONSE, SPAN(":status=404\na=b\nset-cookie=c\nset-cookie=d\n"), true);
	struct response_head response;

	assert_int_equal(h2_head_to_response(head, &arena, &response), HTTP_ERROR_NONE);
	assert_int_equal(response.status, 404);
	assert_int_equal(response.version_major, 2);
	assert_int_equal(response.version_minor, 0);
	assert_int_equal(response.reason.len, 0);
	assert_int_equal(response.fields.count, 3);
	assert_int_equal(fields_count_of(&response.fields, FIELD_SET_COOKIE), 2);
	h2_head_free(head);
}

/* ---- framing ---- */

#define POST ":method=POST\n:scheme=http\n:path=/\n:authority=a\n"
#define TRACE ":method=TRACE\n:scheme=http\n:path=/\n:authority=a\n"
#define CONNECT ":method=CONNECT\n:authority=a:1\n"
#define WEBSOCKET ":method=CONNECT\n:protocol=websocket\n:scheme=http\n:path=/\n:authority=a\n"

static const struct length {
	struct span text;
	bool has_end;
	enum http_error http_error;
	enum body_kind kind;
	uint64_t length; /* of the body, or announced */
	bool announces;
	enum http_method method; /* that a response answers */
} request_lengths[] = {
	{ TEXT(POST), true, HTTP_ERROR_NONE, BODY_NONE, 0, false, 0 },
	{ TEXT(POST), false, HTTP_ERROR_NONE, BODY_FRAMED, 0, false, 0 },
	{ TEXT(POST "content-length=5\n"), false, HTTP_ERROR_NONE, BODY_LENGTH, 5, false, 0 },
	{ TEXT(POST "content-length=5\n"), true, HTTP_ERROR_LENGTH_MISMATCH, 0, 0, false, 0 },
	{ TEXT(POST "content-length=0\n"), true, HTTP_ERROR_NONE, BODY_NONE, 0, true, 0 },
	{ TEXT(POST "content-length=0\n"), false, HTTP_ERROR_NONE, BODY_NONE, 0, true, 0 },
	{ TEXT(POST "content-length=x\n"), false, HTTP_ERROR_LENGTH_SYNTAX, 0, 0, false, 0 },
	{ TEXT(POST "content-length=1\ncontent-length=1\n"), false, HTTP_ERROR_LENGTH_DUPLICATE, 0, 0, false,
	  0 },
	{ TEXT(TRACE), true, HTTP_ERROR_NONE, BODY_NONE, 0, false, 0 },
	{ TEXT(TRACE), false, HTTP_ERROR_BODY_FORBIDDEN, 0, 0, false, 0 },
	{ TEXT(TRACE "content-length=1\n"), false, HTTP_ERROR_BODY_FORBIDDEN, 0, 0, false, 0 },
	{ TEXT(CONNECT), false, HTTP_ERROR_NONE, BODY_NONE, 0, false, 0 },
	{ TEXT(CONNECT "content-length=1\n"), false, HTTP_ERROR_BODY_FORBIDDEN, 0, 0, false, 0 },
	{ TEXT(WEBSOCKET), false, HTTP_ERROR_NONE, BODY_NONE, 0, false, 0 },
	{ TEXT(WEBSOCKET "content-length=1\n"), false, HTTP_ERROR_BODY_FORBIDDEN, 0, 0, false, 0 },
};

static const struct length response_lengths[] = {
	{ TEXT(":status=200\n"), false, HTTP_ERROR_NONE, BODY_FRAMED, 0, false, METHOD_GET },
	{ TEXT(":status=200\n"), true, HTTP_ERROR_NONE, BODY_NONE, 0, true, METHOD_GET },
	{ TEXT(":status=200\ncontent-length=5\n"), false, HTTP_ERROR_NONE, BODY_LENGTH, 5, false,
	  METHOD_GET },
	{ TEXT(":status=200\ncontent-length=5\n"), true, HTTP_ERROR_LENGTH_MISMATCH, 0, 0, false,
	  METHOD_GET },
	{ TEXT(":status=200\ncontent-length=5\n"), true, HTTP_ERROR_NONE, BODY_NONE, 5, true, METHOD_HEAD },
	{ TEXT(":status=200\n"), true, HTTP_ERROR_NONE, BODY_NONE, 0, false, METHOD_HEAD },
	{ TEXT(":status=304\ncontent-length=5\n"), true, HTTP_ERROR_NONE, BODY_NONE, 5, true, METHOD_GET },
	{ TEXT(":status=204\n"), true, HTTP_ERROR_NONE, BODY_NONE, 0, false, METHOD_GET },
	{ TEXT(":status=204\ncontent-length=5\n"), true, HTTP_ERROR_NONE, BODY_NONE, 0, false, METHOD_GET },
	{ TEXT(":status=103\n"), false, HTTP_ERROR_NONE, BODY_NONE, 0, false, METHOD_GET },
	{ TEXT(":status=103\ncontent-length=5\n"), false, HTTP_ERROR_BODY_FORBIDDEN, 0, 0, false,
	  METHOD_GET },
	{ TEXT(":status=200\n"), false, HTTP_ERROR_NONE, BODY_TUNNEL, 0, false, METHOD_CONNECT },
	{ TEXT(":status=200\ncontent-length=\n"), false, HTTP_ERROR_LENGTH_SYNTAX, 0, 0, false, METHOD_GET },
};

static void assert_length(const struct length *expected, enum http_error http_error,
			  const struct body_framing *framing)
{
	assert_bad(http_error, expected->http_error, expected->text);
	if (http_error != HTTP_ERROR_NONE)
		return;
	assert_int_equal(framing->kind, expected->kind);
	assert_int_equal(framing->announces_length, expected->announces);
	assert_int_equal(framing->kind == BODY_LENGTH ? framing->length : framing->announced,
			 expected->length);
}

TEST(the_length_of_a_body_follows_from_field_and_end)
{
	struct body_framing framing = { 0 };
	struct request_head request;
	struct response_head response;
	struct span protocol;

	for (size_t i = 0; i < ARRAY_LEN(request_lengths); i++) {
		const struct length *row = &request_lengths[i];
		struct h2_head *head = h2_head_of(H2_HEAD_REQUEST, row->text, row->has_end);

		assert_bad(h2_head_to_request(head, &arena, &request, &protocol), HTTP_ERROR_NONE, row->text);
		assert_length(row, h2_head_request_framing(head, &request, &framing), &framing);
		h2_head_free(head);
	}
	for (size_t i = 0; i < ARRAY_LEN(response_lengths); i++) {
		const struct length *row = &response_lengths[i];
		struct h2_head *head = h2_head_of(H2_HEAD_RESPONSE, row->text, row->has_end);

		assert_bad(h2_head_to_response(head, &arena, &response), HTTP_ERROR_NONE, row->text);
		assert_length(row, h2_head_response_framing(head, &response, row->method, &framing),
			      &framing);
		h2_head_free(head);
	}
}

/* ---- from HTTP/1 ---- */

static const struct outgoing {
	struct span h1;
	const char *h2;
} requests_out[] = {
	{ TEXT("GET /a?b HTTP/1.1\r\nHost: A:1\r\nUser-Agent: Me\r\nTE: trailers, gzip\r\nConnection: close, "
	       "X\r\nX: 1\r\n\r\n"),
	  ":method=GET\n:scheme=http\n:authority=A:1\n:path=/a?b\nuser-agent=Me\nte=trailers\n" },
	{ TEXT("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 05\r\nB: \r\n\r\n"),
	  ":method=POST\n:scheme=http\n:authority=a\n:path=/\nb=\ncontent-length=5\n" },
	{ TEXT("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"),
	  ":method=POST\n:scheme=http\n:authority=a\n:path=/\n" },
	{ TEXT("PUT /? HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n"),
	  ":method=PUT\n:scheme=http\n:authority=a\n:path=/?\ncontent-length=0\n" },
	{ TEXT("OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n"),
	  ":method=OPTIONS\n:scheme=http\n:authority=a\n:path=*\n" },
	{ TEXT("CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n"), ":method=CONNECT\n:authority=a:1\n" },
	{ TEXT("GET / HTTP/1.0\r\n\r\n"), ":method=GET\n:scheme=http\n:path=/\n" },
};

TEST(a_request_of_http_1_goes_on_in_http_2)
{
	for (size_t i = 0; i < ARRAY_LEN(requests_out); i++) {
		struct body_framing framing;
		struct request_head request;
		struct h2_head *head;

		arena_reset(&arena);
		assert_bad(message_request(requests_out[i].h1, &arena, &request), HTTP_ERROR_NONE,
			   requests_out[i].h1);
		assert_int_equal(framing_request(&request, &framing), HTTP_ERROR_NONE);
		assert_int_equal(hop_by_hop_strip_request(&request), 0);
		head = h2_head_from_request(&request, &framing);
		assert_string_equal(h2_text_of(head), requests_out[i].h2);
		assert_int_equal(head->http_error, HTTP_ERROR_NONE);
		h2_head_free(head);
	}
}

static const struct outgoing responses_out[] = {
	{ TEXT("HTTP/1.1 200 Fine\r\nServer: X\r\nContent-Length: 5\r\nHost: h\r\nTE: trailers\r\n\r\n"),
	  ":status=200\nserver=X\nhost=h\ncontent-length=5\n" },
	{ TEXT("HTTP/1.1 200\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n"), ":status=200\n" },
	{ TEXT("HTTP/1.1 304 Not\r\nContent-Length: 7\r\n\r\n"), ":status=304\ncontent-length=7\n" },
	{ TEXT("HTTP/1.1 204 No\r\nContent-Length: 7\r\n\r\n"), ":status=204\n" },
	{ TEXT("HTTP/1.1 103 Early\r\nLink: a\r\n\r\n"), ":status=103\nlink=a\n" },
};

TEST(a_response_of_http_1_goes_on_in_http_2)
{
	for (size_t i = 0; i < ARRAY_LEN(responses_out); i++) {
		struct body_framing framing;
		struct response_head response;
		struct h2_head *head;

		arena_reset(&arena);
		assert_bad(message_response(responses_out[i].h1, &arena, &response), HTTP_ERROR_NONE,
			   responses_out[i].h1);
		assert_int_equal(framing_response(&response, METHOD_GET, &framing), HTTP_ERROR_NONE);
		head = h2_head_from_response(&response, &framing);
		assert_string_equal(h2_text_of(head), responses_out[i].h2);
		assert_int_equal(head->http_error, HTTP_ERROR_NONE);
		h2_head_free(head);
	}
}

TEST(trailers_lose_what_may_not_be_there)
{
	struct h2_head *head;
	struct fields fields;

	arena_reset(&arena);
	fields_init(&fields, &arena);
	assert_int_equal(fields_add(&fields, SPAN("Grpc-Status"), SPAN("0")), 0);
	assert_int_equal(fields_add(&fields, SPAN("Content-Length"), SPAN("0")), 0);
	assert_int_equal(fields_add(&fields, SPAN("Host"), SPAN("a")), 0);
	assert_int_equal(fields_add(&fields, SPAN("Set-Cookie"), SPAN("a")), 0);
	assert_int_equal(fields_add(&fields, SPAN("TE"), SPAN("trailers")), 0);
	assert_int_equal(fields_add(&fields, SPAN(":path"), SPAN("/")), 0);
	assert_int_equal(fields_add(&fields, SPAN("X-Real-IP"), SPAN("6")), 0);
	assert_int_equal(fields_add(&fields, SPAN("x_forwarded_for"), SPAN("6")), 0);
	assert_int_equal(fields_add(&fields, SPAN("content_length"), SPAN("6")), 0);
	assert_int_equal(fields_add(&fields, SPAN("B"), SPAN(" c ")), 0);
	head = h2_head_from_trailers(&fields);
	assert_string_equal(h2_text_of(head), "grpc-status=0\nb=c\n");
	assert_int_equal(head->http_error, HTTP_ERROR_NONE);
	h2_head_free(head);
}

/* They wait for the end of a body; what they came with may be gone by then. */
TEST(trailers_are_copied)
{
	char name[] = "x-check", value[] = "abcd";
	struct h2_head *head;
	struct fields fields;

	arena_reset(&arena);
	fields_init(&fields, &arena);
	assert_int_equal(fields_add(&fields, span_str(name), span_str(value)), 0);
	assert_int_equal(fields_add(&fields, SPAN("Other"), span_str(value)), 0);
	head = h2_head_from_trailers(&fields);
	memset(name, '-', sizeof(name));
	memset(value, '-', sizeof(value));
	assert_string_equal(h2_text_of(head), "x-check=abcd\nother=abcd\n");
	h2_head_free(head);
}

TEST(what_would_break_a_backend_is_noted)
{
	static const struct unclean {
		struct span name;
		struct span value;
		enum http_error http_error;
	} list[] = {
		{ TEXT("a b"), TEXT("c"), HTTP_ERROR_FIELD_NAME },
		{ TEXT(""), TEXT("c"), HTTP_ERROR_FIELD_NAME },
		{ TEXT("a"), TEXT("b\r\nc: d"), HTTP_ERROR_CONTROL_BYTE },
	};
	struct request_head request = {
		.method = METHOD_GET, .method_text = SPAN("GET"), .path = SPAN("/a b"), .authority = SPAN("a")
	};
	struct h2_head *head;

	for (size_t i = 0; i < ARRAY_LEN(list); i++) {
		struct response_head response = { .status = 200 };

		fields_init(&response.fields, &arena);
		assert_int_equal(fields_add(&response.fields, list[i].name, list[i].value), 0);
		head = h2_head_from_response(&response, &no_body);
		assert_int_equal(head->http_error, list[i].http_error);
		assert_int_equal(head->fields.count, 0);
		h2_head_free(head);
	}
	head = h2_head_from_request(&request, &no_body);
	assert_int_equal(head->http_error, HTTP_ERROR_TARGET);
	h2_head_free(head);
}

/* ---- there and back ---- */

static uint32_t pick(uint32_t *random, uint32_t bound)
{
	*random = *random * 1664525u + 1013904223u;
	return (*random >> 8) % bound;
}

static struct span word(uint32_t *random, const char *letters, uint32_t min)
{
	uint32_t len = min + pick(random, 12);
	char *bytes = arena_bytes(&arena, len);

	for (uint32_t i = 0; i < len; i++)
		bytes[i] = letters[pick(random, (uint32_t)strlen(letters))];
	return span_of(bytes, len);
}

static void make_request(uint32_t *random, struct request_head *request, struct body_framing *framing)
{
	static const char *const methods[] = { "GET", "POST", "DELETE", "QUERY", "OPTIONS" };
	struct span path = word(random, "/ab.%-~", 1);
	bool has_length = pick(random, 2);
	uint32_t count = pick(random, 40);

	*request = (struct request_head){ .version_major = 2, .has_query = pick(random, 2) };
	request->method_text = span_str(methods[pick(random, ARRAY_LEN(methods))]);
	request->method = method_of(request->method_text);
	((char *)(uintptr_t)path.data)[0] = '/';
	request->path = path;
	request->query = request->has_query ? word(random, "?a=&/", 0) : SPAN("");
	request->authority = word(random, "ab.-", 1);
	fields_init(&request->fields, &arena);
	assert_int_equal(fields_add(&request->fields, SPAN("host"), request->authority), 0);
	for (uint32_t i = 0; i < count; i++)
		assert_int_equal(fields_add(&request->fields, word(random, "xyz-_", 6),
					    span_trim(word(random, "ab \t\xc3;=,", 0))),
				 0);
	*framing = (struct body_framing){ .kind = has_length ? BODY_LENGTH : BODY_FRAMED };
	framing->length = has_length ? 1 + pick(random, 100000) : 0;
}

TEST(a_request_survives_the_way_through_http_2)
{
	uint32_t seed = (uint32_t)time(NULL);
	uint32_t random = seed;

	print_message("seed %u\n", seed);
	for (int round = 0; round < 2000; round++) {
		struct body_framing framing;
		struct body_framing framing_again;
		struct request_head request;
		struct request_head again;
		struct h2_head *sent;
		struct h2_head *received;
		struct span protocol;

		arena_reset(&arena);
		make_request(&random, &request, &framing);
		sent = h2_head_from_request(&request, &framing);
		received = h2_head_of(H2_HEAD_REQUEST, span_str(h2_text_of(sent)), false);
		assert_int_equal(received->http_error, HTTP_ERROR_NONE);
		assert_int_equal(h2_head_to_request(received, &arena, &again, &protocol), HTTP_ERROR_NONE);
		assert_int_equal(h2_head_request_framing(received, &again, &framing_again), HTTP_ERROR_NONE);
		assert_int_equal(framing_again.kind, framing.kind);
		assert_int_equal(framing_again.length, framing.length);
		fields_remove_id(&again.fields, FIELD_CONTENT_LENGTH);
		again.fields.seen &= ~(UINT64_C(1) << FIELD_CONTENT_LENGTH);
		again.target = request.target;
		assert_request_same(&again, &request);
		h2_head_free(sent);
		h2_head_free(received);
	}
}

/* ---- memory ---- */

static int whole_way(void *context)
{
	struct h2_head *head = h2_head_create(H2_HEAD_REQUEST);
	static const char *const lines[] = { ":method", "GET",	      ":scheme", "http",   ":path",
					     "/",	":authority", "a",	 "cookie", "b",
					     "cookie",	"c",	      "x",	 "y" };
	struct body_framing framing = { .kind = BODY_LENGTH, .length = 5 };
	struct request_head request;
	struct h2_head *out = NULL;
	struct span protocol;
	struct arena local;
	int error = head ? 0 : -ENOMEM;

	(void)context;
	arena_init(&local, 256);
	for (size_t i = 0; i < ARRAY_LEN(lines) && !error; i += 2)
		error = h2_head_add(head, span_str(lines[i]), span_str(lines[i + 1]), &h2_text_limits);
	if (!error && h2_head_finish(head) == HTTP_ERROR_NONE &&
	    h2_head_to_request(head, &local, &request, &protocol) != HTTP_ERROR_NONE)
		error = -ENOMEM;
	if (!error) {
		struct response_head response = { .status = 200, .fields = request.fields };

		out = h2_head_from_request(&request, &framing);
		error = out ? 0 : -ENOMEM;
		h2_head_free(out);
		out = error ? NULL : h2_head_from_response(&response, &framing);
		error = out ? 0 : -ENOMEM;
	}
	h2_head_free(out);
	h2_head_free(head);
	arena_done(&local);
	return error;
}

TEST(running_out_of_memory_is_survived)
{
	assert_true(alloc_fail_each(whole_way, NULL) >= 8);
}
