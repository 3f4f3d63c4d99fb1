/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/message.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "tests/lib/alloc.h"
#include "tests/lib/test_arena.h"
#include "user/base/check.h"
#include "user/http/hop_by_hop.h"

#define GET "GET / HTTP/1.1\r\nHost: a\r\n"
#define OK "HTTP/1.1 200 OK\r\n"
#define END "\r\n"

TEST_ARENA(arena, 4096);

/* "name=value|name=value" */
static void assert_fields(const struct fields *fields, const char *expected, struct span text)
{
	char actual[1024] = "";
	uint64_t seen = 0;

	for (uint32_t i = 0; i < fields->count; i++) {
		size_t len = strlen(actual);

		snprintf(actual + len, sizeof(actual) - len, "%s%.*s=%.*s", i ? "|" : "",
			 SPAN_FMT(fields->list[i].name), SPAN_FMT(fields->list[i].value));
		seen |= UINT64_C(1) << fields->list[i].id;
	}
	if (strcmp(actual, expected) != 0)
		fail_msg("%s\ninstead of %s\nfrom %.*s", actual, expected, SPAN_FMT(text));
	assert_int_equal(fields->seen, seen);
}

static const struct strip {
	struct span text;
	const char *left;
} request_strips[] = {
	{ TEXT(GET "Accept: b\r\nX: c\r\n" END), "Host=a|Accept=b|X=c" },
	{ TEXT(GET "Connection: keep-alive\r\nKeep-Alive: 5\r\nProxy-Connection: x\r\nA: b\r\n" END),
	  "Host=a|A=b" },
	{ TEXT(GET "X-One: 1\r\nConnection: x-one, X-Two\r\nx-two: 2\r\nX-Two: 3\r\nX-Three: 3\r\n" END),
	  "Host=a|X-Three=3" },
	{ TEXT(GET "Connection: a\r\nA: 1\r\nConnection: b ,,\tc\r\nB: 2\r\nC: 3\r\nD: 4\r\n" END),
	  "Host=a|D=4" },
	{ TEXT(GET "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: x\r\n" END),
	  "Host=a" },
	{ TEXT(GET "Transfer-Encoding: chunked\r\nTrailer: X\r\n" END), "Host=a|Trailer=X" },
	{ TEXT(GET "Content-Length: 0\r\n" END), "Host=a" },
	/* What some backends read as framing. */
	{ TEXT(GET "Content_Length: 5\r\nTRANSFER_ENCODING: chunked\r\nkeep_alive: 1\r\n"
		   "Proxy_Connection: x\r\nHTTP2_Settings: x\r\nContent_Lengths: 1\r\nUser_Agent: u\r\n" END),
	  "Host=a|Content_Lengths=1|User_Agent=u" },
	/* Nominations of what routes, frames, authorises or tells where a request came from. */
	{ TEXT(GET "Connection: Host, Content-Length, X-Forwarded-For, Authorization, Cookie, Via\r\n"
		   "X-Forwarded-For: 1\r\nAuthorization: 2\r\nCookie: 3\r\nVia: 4\r\n" END),
	  "Host=a|X-Forwarded-For=1|Authorization=2|Cookie=3|Via=4" },
	/* TE */
	{ TEXT(GET "TE: trailers\r\nConnection: TE\r\n" END), "Host=a|TE=trailers" },
	{ TEXT(GET "te: gzip;q=0.5, Trailers\r\n" END), "Host=a|te=trailers" },
	{ TEXT(GET "TE: trailers\r\nTE: gzip, trailers\r\n" END), "Host=a|TE=trailers" },
	{ TEXT(GET "TE: gzip\r\nConnection: te\r\n" END), "Host=a" },
	{ TEXT(GET "TE: trailers;q=1\r\n" END), "Host=a" },
	{ TEXT(GET "TE:\r\n" END), "Host=a" },
	/* An expectation of a client that cannot understand the answer. */
	{ TEXT(GET "Expect: 100-continue\r\n" END), "Host=a|Expect=100-continue" },
	{ TEXT("GET / HTTP/1.0\r\nExpect: 100-continue\r\nA: b\r\n" END), "A=b" },
};

static const struct strip response_strips[] = {
	{ TEXT(OK "Server: a\r\nConnection: close, X-Debug\r\nX-Debug: 1\r\nKeep-Alive: timeout=5\r\n" END),
	  "Server=a" },
	{ TEXT(OK "Content-Length: 3\r\nTE: trailers\r\nUpgrade: h2c\r\nDate: d\r\n" END), "Date=d" },
	{ TEXT(OK "Connection: set-cookie\r\nSet-Cookie: a\r\nSet-Cookie: b\r\n" END),
	  "Set-Cookie=a|Set-Cookie=b" },
};

TEST(requests_lose_what_belongs_to_the_connection)
{
	for (size_t i = 0; i < ARRAY_LEN(request_strips); i++) {
		struct request_head head;

		arena_reset(&arena);
		assert_bad(message_request(request_strips[i].text, &arena, &head), HTTP_ERROR_NONE,
			   request_strips[i].text);
		assert_int_equal(hop_by_hop_strip_request(&head), 0);
		assert_fields(&head.fields, request_strips[i].left, request_strips[i].text);
		assert_int_equal(hop_by_hop_strip_request(&head), 0);
		assert_fields(&head.fields, request_strips[i].left, request_strips[i].text);
	}
}

TEST(responses_lose_what_belongs_to_the_connection)
{
	for (size_t i = 0; i < ARRAY_LEN(response_strips); i++) {
		struct response_head head;

		arena_reset(&arena);
		assert_bad(message_response(response_strips[i].text, &arena, &head), HTTP_ERROR_NONE,
			   response_strips[i].text);
		assert_int_equal(hop_by_hop_strip_response(&head), 0);
		assert_fields(&head.fields, response_strips[i].left, response_strips[i].text);
	}
}

TEST(too_many_nominations_are_an_error)
{
	struct response_head head = { .status = 200, .version_major = 1, .version_minor = 1 };
	char value[512];

	arena_reset(&arena);
	memset(value, ',', LIMIT_HEADERS);
	fields_init(&head.fields, &arena);
	assert_int_equal(fields_add(&head.fields, SPAN("Connection"), span_of(value, LIMIT_HEADERS)), 0);
	assert_int_equal(hop_by_hop_strip_response(&head), -E2BIG);
	head.fields.list[0].value.len--;
	assert_int_equal(hop_by_hop_strip_response(&head), 0);
}

static const struct forward {
	struct span text;
	bool is_trusted;
	const char *left;
} forwards[] = {
	{ TEXT(GET END), false, "Host=a|X-Forwarded-For=10.0.0.1|X-Forwarded-Proto=http|X-Forwarded-Host=a" },
	{ TEXT(GET END), true, "Host=a|X-Forwarded-For=10.0.0.1|X-Forwarded-Proto=http|X-Forwarded-Host=a" },
	{ TEXT("GET / HTTP/1.0\r\nX-Forwarded-Host: evil\r\n" END), false,
	  "X-Forwarded-For=10.0.0.1|X-Forwarded-Proto=http" },
	{ TEXT(GET "X-Forwarded-For: 1\r\nA: b\r\nx-forwarded-for: 2, 3\r\nX-Forwarded-Proto: https\r\n"
		   "X-Forwarded-Host: c\r\nForwarded: for=1\r\n" END),
	  false, "Host=a|X-Forwarded-For=10.0.0.1|A=b|X-Forwarded-Proto=http|X-Forwarded-Host=a" },
	{ TEXT(GET "X-Forwarded-For: 1\r\nA: b\r\nx-forwarded-for: 2, 3\r\nX-Forwarded-Proto: https\r\n"
		   "X-Forwarded-Host: c\r\nForwarded: for=1\r\n" END),
	  true,
	  "Host=a|X-Forwarded-For=1, 2, 3, 10.0.0.1|A=b|X-Forwarded-Proto=https|X-Forwarded-Host=c|"
	  "Forwarded=for=1" },
	{ TEXT(GET "X-Forwarded-For:\r\n" END), true,
	  "Host=a|X-Forwarded-For=10.0.0.1|X-Forwarded-Proto=http|X-Forwarded-Host=a" },
};

static const struct forwarded_facts facts = { .client_ip = TEXT("10.0.0.1"), .proto = TEXT("http") };

TEST(only_a_trusted_peer_says_where_a_request_came_from)
{
	for (size_t i = 0; i < ARRAY_LEN(forwards); i++) {
		struct forwarded_facts known = facts;
		struct request_head head;

		known.is_trusted = forwards[i].is_trusted;
		arena_reset(&arena);
		assert_bad(message_request(forwards[i].text, &arena, &head), HTTP_ERROR_NONE,
			   forwards[i].text);
		assert_int_equal(hop_by_hop_add_forwarded(&head, &known), 0);
		assert_fields(&head.fields, forwards[i].left, forwards[i].text);
	}
}

TEST(via_is_appended_with_the_version_received)
{
	struct request_head head;

	arena_reset(&arena);
	assert_int_equal(message_request(SPAN(GET "Via: 1.0 x\r\n" END), &arena, &head), HTTP_ERROR_NONE);
	assert_int_equal(hop_by_hop_add_via(&head.fields, 1, 1), 0);
	assert_int_equal(hop_by_hop_add_via(&head.fields, 1, 0), 0);
	assert_int_equal(hop_by_hop_add_via(&head.fields, 2, 0), 0);
	assert_fields(&head.fields, "Host=a|Via=1.0 x|Via=1.1 headgate|Via=1.0 headgate|Via=2.0 headgate",
		      SPAN(""));
}

TEST(a_gateway_counts_its_own_laps_and_no_others)
{
	static const struct {
		struct span lines;
		uint32_t laps;
	} heads[] = {
		{ TEXT(""), 0 },
		{ TEXT("CDN-Loop: headgate-1\r\n"), 1 },
		{ TEXT("cdn-loop: a, headgate-1;v=1 , headgate-12,headgate-1\r\n"
		       "CDN-Loop:\r\nCDN-Loop: headgate-1\r\n"),
		  3 },
		{ TEXT("CDN-Loop: headgate-2, headgate, \"headgate-1\", x;headgate-1\r\n"), 0 },
		{ TEXT("Via: headgate-1\r\nX: headgate-1\r\nConnection: CDN-Loop\r\n"
		       "CDN-Loop: headgate-1\r\n"),
		  1 },
	};

	for (size_t i = 0; i < ARRAY_LEN(heads); i++) {
		struct request_head head;
		char text[512];
		int len = snprintf(text, sizeof(text), GET "%.*s" END, SPAN_FMT(heads[i].lines));

		arena_reset(&arena);
		assert_int_equal(message_request(span_of(text, (size_t)len), &arena, &head), HTTP_ERROR_NONE);
		assert_int_equal(hop_by_hop_strip_request(&head), 0);
		assert_int_equal(hop_by_hop_count_laps(&head.fields, SPAN("headgate-1")), heads[i].laps);
		assert_int_equal(hop_by_hop_was_forwarded(&head.fields), i > 0);
		assert_int_equal(hop_by_hop_add_lap(&head.fields, SPAN("headgate-1")), 0);
		assert_int_equal(hop_by_hop_count_laps(&head.fields, SPAN("headgate-1")), heads[i].laps + 1);
	}
}

static int add_all(void *context)
{
	struct forwarded_facts known = facts;
	struct request_head head = { .authority = SPAN("a"), .version_major = 1, .version_minor = 1 };
	struct arena own;
	int error;

	(void)context;
	known.is_trusted = true;
	arena_init(&own, 32);
	fields_init(&head.fields, &own);
	error = fields_add(&head.fields, SPAN("X-Forwarded-For"), SPAN("192.0.2.1, 192.0.2.2"));
	if (!error)
		error = hop_by_hop_strip_request(&head);
	if (!error)
		error = hop_by_hop_add_forwarded(&head, &known);
	for (int i = 0; !error && i < 20; i++)
		error = hop_by_hop_add_via(&head.fields, 1, 1);
	arena_done(&own);
	return error;
}

TEST(max_forwards_counts_down_for_TRACE_and_OPTIONS_alone)
{
	static const struct {
		enum http_method method;
		const char *value;
		enum hop_by_hop_limit limit;
		const char *left;
	} rows[] = {
		{ METHOD_OPTIONS, "10", HOP_BY_HOP_GOES_ON, "9" },
		{ METHOD_TRACE, "1", HOP_BY_HOP_GOES_ON, "0" },
		{ METHOD_TRACE, "0", HOP_BY_HOP_ENDS_HERE, "0" },
		{ METHOD_TRACE, "00", HOP_BY_HOP_ENDS_HERE, "00" },
		{ METHOD_OPTIONS, "-1", HOP_BY_HOP_IS_INVALID, "-1" },
		{ METHOD_OPTIONS, "", HOP_BY_HOP_IS_INVALID, "" },
		{ METHOD_GET, "0", HOP_BY_HOP_GOES_ON, "0" },
		{ METHOD_GET, "x", HOP_BY_HOP_GOES_ON, "x" },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct request_head head = { .method = rows[i].method };

		fields_init(&head.fields, &arena);
		assert_int_equal(hop_by_hop_count_down(&head), HOP_BY_HOP_GOES_ON);
		assert_int_equal(fields_add(&head.fields, SPAN("Max-Forwards"), span_str(rows[i].value)), 0);
		assert_int_equal(hop_by_hop_count_down(&head), rows[i].limit);
		assert_true(
			span_eq(fields_get(&head.fields, FIELD_MAX_FORWARDS)->value, span_str(rows[i].left)));
		assert_int_equal(fields_add(&head.fields, SPAN("max-forwards"), SPAN("3")), 0);
		assert_int_equal(hop_by_hop_count_down(&head),
				 rows[i].method == METHOD_GET ? HOP_BY_HOP_GOES_ON : HOP_BY_HOP_IS_INVALID);
	}
}

TEST(no_memory_is_an_error)
{
	assert_true(alloc_fail_each(add_all, NULL) >= 3);
}
