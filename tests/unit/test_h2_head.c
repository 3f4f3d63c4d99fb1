/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/h2_text.h"

static const struct refusal {
	enum h2_head_kind kind;
	struct span text;
	enum http_bad bad;
} refusals[] = {
/* clang-format off */
#define REQUEST(text, bad) { H2_HEAD_REQUEST, TEXT(text), bad }
#define RESPONSE(text, bad) { H2_HEAD_RESPONSE, TEXT(text), bad }
#define TRAILERS(text, bad) { H2_HEAD_TRAILERS, TEXT(text), bad }
	/* clang-format on */
	REQUEST(H2_GET_A, BAD_NONE),
	REQUEST(H2_GET_A "a=\nb=c d\xff\n", BAD_NONE),
	REQUEST(H2_GET "host=a\n", BAD_NONE),
	REQUEST(H2_GET_A "host=A:80\n", BAD_NONE),
	REQUEST(":method=GET\n:scheme=https\n:path=/\n:authority=a\nhost=a:443\n", BAD_NONE),
	REQUEST(":method=GET\n:scheme=HTTP\n:path=/\n:authority=[::1]:1\n", BAD_NONE),
	REQUEST(":path=/?a\n:method=X-Y\n:authority=a\n:scheme=http\n", BAD_NONE),
	REQUEST(":method=OPTIONS\n:scheme=http\n:path=*\n:authority=a\n", BAD_NONE),
	REQUEST(":method=CONNECT\n:authority=a:1\n", BAD_NONE),
	REQUEST(":method=CONNECT\n:authority=a\n:scheme=http\n:path=/\n:protocol=websocket\n", BAD_NONE),
	REQUEST(H2_GET_A "te=trailers\n", BAD_NONE),
	REQUEST(H2_GET_A "te=Trailers\n", BAD_NONE),
	/* what must be there, once, and in front */
	REQUEST("", BAD_PSEUDO_FIELD),
	REQUEST(":scheme=http\n:path=/\n:authority=a\n", BAD_PSEUDO_FIELD),
	REQUEST(":method=GET\n:path=/\n:authority=a\n", BAD_PSEUDO_FIELD),
	REQUEST(":method=GET\n:scheme=http\n:authority=a\n", BAD_PSEUDO_FIELD),
	REQUEST(H2_GET, BAD_HOST_MISSING),
	REQUEST(H2_GET_A ":path=/\n", BAD_PSEUDO_FIELD),
	REQUEST(H2_GET_A ":authority=a\n", BAD_PSEUDO_FIELD),
	REQUEST(H2_GET_A "a=b\n:protocol=websocket\n", BAD_PSEUDO_FIELD),
	REQUEST(H2_GET "a=b\n:authority=a\n", BAD_PSEUDO_FIELD),
	REQUEST(H2_GET_A ":status=200\n", BAD_PSEUDO_FIELD),
	REQUEST(H2_GET_A ":other=1\n", BAD_PSEUDO_FIELD),
	REQUEST(H2_GET_A ":=1\n", BAD_PSEUDO_FIELD),
	REQUEST(H2_GET_A ":Path=1\n", BAD_PSEUDO_FIELD),
	REQUEST(H2_GET_A ":protocol=websocket\n", BAD_PSEUDO_FIELD),
	REQUEST(":method=CONNECT\n:authority=a:1\n:path=/\n", BAD_PSEUDO_FIELD),
	REQUEST(":method=CONNECT\n:authority=a:1\n:scheme=http\n", BAD_PSEUDO_FIELD),
	REQUEST(":method=CONNECT\nhost=a:1\n", BAD_PSEUDO_FIELD),
	REQUEST(":method=CONNECT\n:authority=a\n", BAD_TARGET),
	REQUEST(":method=CONNECT\n:authority=a\n:path=/\n:protocol=websocket\n", BAD_PSEUDO_FIELD),
	REQUEST(":method=CONNECT\n:authority=a\n:scheme=http\n:path=/\n:protocol=web socket\n",
		BAD_PSEUDO_FIELD),
	/* values of pseudo-header fields */
	REQUEST(":method=\n:scheme=http\n:path=/\n:authority=a\n", BAD_METHOD),
	REQUEST(":method=GET /x\n:scheme=http\n:path=/\n:authority=a\n", BAD_METHOD),
	REQUEST(":method=GET\n:scheme=ftp\n:path=/\n:authority=a\n", BAD_SCHEME),
	REQUEST(":method=GET\n:scheme=http \n:path=/\n:authority=a\n", BAD_SCHEME),
	REQUEST(":method=GET\n:scheme=http\n:path=\n:authority=a\n", BAD_TARGET),
	REQUEST(":method=GET\n:scheme=http\n:path=a\n:authority=a\n", BAD_TARGET),
	REQUEST(":method=GET\n:scheme=http\n:path=?a\n:authority=a\n", BAD_TARGET),
	REQUEST(":method=GET\n:scheme=http\n:path=*\n:authority=a\n", BAD_TARGET),
	REQUEST(":method=OPTIONS\n:scheme=http\n:path=*?\n:authority=a\n", BAD_TARGET),
	REQUEST(":method=GET\n:scheme=http\n:path=/ HTTP/1.1\n:authority=a\n", BAD_TARGET),
	REQUEST(":method=GET\n:scheme=http\n:path=/#a\n:authority=a\n", BAD_TARGET),
	REQUEST(":method=GET\n:scheme=http\n:path=/\x7f\n:authority=a\n", BAD_TARGET),
	REQUEST(":method=GET\n:scheme=http\n:path=/\xe4\n:authority=a\n", BAD_TARGET),
	REQUEST(":method=GET\n:scheme=http\n:path=http://a/\n:authority=a\n", BAD_TARGET),
	REQUEST(H2_GET ":authority=\n", BAD_HOST_SYNTAX),
	REQUEST(H2_GET ":authority=u@a\n", BAD_HOST_SYNTAX),
	REQUEST(H2_GET ":authority=a:65536\n", BAD_HOST_SYNTAX),
	REQUEST(H2_GET ":authority=a/b\n", BAD_HOST_SYNTAX),
	REQUEST(H2_GET ":authority=a b\n", BAD_HOST_SYNTAX),
	REQUEST(H2_GET "host=u@a\n", BAD_HOST_SYNTAX),
	REQUEST(H2_GET_A "host=b\n", BAD_HOST_MISMATCH),
	REQUEST(H2_GET_A "host=a:443\n", BAD_HOST_MISMATCH),
	REQUEST(H2_GET_A "host=a\nhost=a\n", BAD_HOST_DUPLICATE),
	/* names and values of fields */
	REQUEST(H2_GET_A "=b\n", BAD_FIELD_NAME),
	REQUEST(H2_GET_A "a b=c\n", BAD_FIELD_NAME),
	REQUEST(H2_GET_A "a:b=c\n", BAD_FIELD_NAME),
	REQUEST(H2_GET_A "a\r=c\n", BAD_FIELD_NAME),
	REQUEST(H2_GET_A "a\0=c\n", BAD_FIELD_NAME),
	REQUEST(H2_GET_A "Accept=c\n", BAD_FIELD_CASE),
	REQUEST(H2_GET_A "a=b\rc=d\n", BAD_CONTROL_BYTE),
	REQUEST(H2_GET_A "a=b\0c\n", BAD_CONTROL_BYTE),
	REQUEST(H2_GET_A "a=\x1f\n", BAD_CONTROL_BYTE),
	REQUEST(H2_GET_A "a=\x7f\n", BAD_CONTROL_BYTE),
	REQUEST(H2_GET_A "a= b\n", BAD_FIELD_BLANKS),
	REQUEST(H2_GET_A "a=b\t\n", BAD_FIELD_BLANKS),
	/* the connection is not theirs */
	REQUEST(H2_GET_A "connection=close\n", BAD_CONNECTION_FIELD),
	REQUEST(H2_GET_A "keep-alive=1\n", BAD_CONNECTION_FIELD),
	REQUEST(H2_GET_A "proxy-connection=close\n", BAD_CONNECTION_FIELD),
	REQUEST(H2_GET_A "transfer-encoding=chunked\n", BAD_CONNECTION_FIELD),
	REQUEST(H2_GET_A "upgrade=websocket\n", BAD_CONNECTION_FIELD),
	REQUEST(H2_GET_A "http2-settings=a\n", BAD_CONNECTION_FIELD),
	REQUEST(H2_GET_A "te=gzip\n", BAD_CONNECTION_FIELD),
	REQUEST(H2_GET_A "te=trailers, gzip\n", BAD_CONNECTION_FIELD),
	REQUEST(H2_GET_A "te=\n", BAD_CONNECTION_FIELD),
	/* the first violation is the one reported */
	REQUEST(H2_GET_A "a=\x1f\nconnection=a\n:x=y\n", BAD_CONTROL_BYTE),

	RESPONSE(":status=200\n", BAD_NONE),
	RESPONSE(":status=599\nconnection-x=y\n", BAD_NONE),
	RESPONSE("", BAD_PSEUDO_FIELD),
	RESPONSE("a=b\n:status=200\n", BAD_PSEUDO_FIELD),
	RESPONSE(":status=200\n:status=200\n", BAD_PSEUDO_FIELD),
	RESPONSE(":status=200\n:path=/\n", BAD_PSEUDO_FIELD),
	RESPONSE(":status=20\n", BAD_STATUS),
	RESPONSE(":status=2000\n", BAD_STATUS),
	RESPONSE(":status=099\n", BAD_STATUS),
	RESPONSE(":status=600\n", BAD_STATUS),
	RESPONSE(":status=2x0\n", BAD_STATUS),
	RESPONSE(":status=101\n", BAD_STATUS),
	RESPONSE(":status=103\n", BAD_STATUS), /* with END_STREAM */

	TRAILERS("", BAD_NONE),
	TRAILERS("grpc-status=0\n", BAD_NONE),
	TRAILERS(":status=200\n", BAD_PSEUDO_FIELD),
	TRAILERS("a=b\n:path=/\n", BAD_PSEUDO_FIELD),
	TRAILERS("content-length=1\n", BAD_TRAILER),
	TRAILERS("host=a\n", BAD_TRAILER),
	TRAILERS("transfer-encoding=chunked\n", BAD_CONNECTION_FIELD),
	TRAILERS("A=b\n", BAD_FIELD_CASE),
};

TEST(each_rule_of_a_section_has_its_refusal)
{
	for (size_t i = 0; i < ARRAY_LEN(refusals); i++) {
		struct h2_head *head = h2_head_of(refusals[i].kind, refusals[i].text, true);

		assert_bad(head->bad, refusals[i].bad, refusals[i].text);
		assert_int_equal(h2_head_finish(head), refusals[i].bad);
		h2_head_free(head);
	}
	h2_head_free(NULL);
}

TEST(an_interim_response_goes_on)
{
	struct h2_head *head = h2_head_of(H2_HEAD_RESPONSE, SPAN(":status=103\nlink=a\n"), false);

	assert_int_equal(head->bad, BAD_NONE);
	assert_int_equal(head->status, 103);
	h2_head_free(head);
}

/* 10 + 4 + 32 bytes of ":authority", 1 + 1 + 32 of a field. */
TEST(a_section_is_limited_in_bytes_and_fields)
{
	const struct h2_head_limits tight = { .bytes = 46 + 2 * 34, .fields = 2 };
	struct h2_head *head = h2_head_create(H2_HEAD_REQUEST);
	struct h2_head *less;
	size_t taken;

	assert_int_equal(h2_head_add(head, SPAN(":authority"), SPAN("abcd"), &tight), 0);
	assert_int_equal(h2_head_add(head, SPAN("a"), SPAN("b"), &tight), 0);
	assert_int_equal(h2_head_add(head, SPAN("a"), SPAN("b"), &tight), 0);
	assert_int_equal(head->bad, BAD_NONE);
	assert_int_equal(head->list_bytes, tight.bytes);
	less = h2_head_create(H2_HEAD_TRAILERS);
	assert_int_equal(h2_head_add(less, SPAN("a"), SPAN("b"), &(struct h2_head_limits){ 34, 2 }), 0);
	assert_int_equal(less->bad, BAD_NONE);
	h2_head_free(less);
	less = h2_head_create(H2_HEAD_TRAILERS);
	assert_int_equal(h2_head_add(less, SPAN("a"), SPAN("b"), &(struct h2_head_limits){ 33, 2 }), 0);
	assert_int_equal(less->bad, BAD_HEAD_TOO_LONG);
	h2_head_free(less);
	taken = head->arena.total_bytes;
	assert_int_equal(h2_head_add(head, SPAN(""), SPAN(""), &tight), 0);
	assert_int_equal(head->bad, BAD_HEAD_TOO_LONG);
	for (int i = 0; i < 100000; i++)
		assert_int_equal(h2_head_add(head, SPAN("x-long-name"), SPAN("and a value"), &tight), 0);
	assert_int_equal(head->fields.count, 2);
	assert_int_equal(head->arena.total_bytes, taken);
	h2_head_free(head);

	head = h2_head_create(H2_HEAD_TRAILERS);
	for (int i = 0; i < 2; i++)
		assert_int_equal(h2_head_add(head, SPAN("a"), SPAN(""), &tight), 0);
	assert_int_equal(head->bad, BAD_NONE);
	assert_int_equal(h2_head_add(head, SPAN("a"), SPAN(""), &tight), 0);
	assert_int_equal(head->bad, BAD_TOO_MANY_FIELDS);
	h2_head_free(head);
}

/* RFC 9113 8.2.3 */
TEST(a_cookie_of_a_request_counts_as_one_field_in_however_many_it_comes)
{
	const struct h2_head_limits tight = { .bytes = 10000, .fields = 2 };
	struct h2_head *head = h2_head_create(H2_HEAD_REQUEST);

	for (int i = 0; i < 50; i++)
		assert_int_equal(h2_head_add(head, SPAN("cookie"), SPAN("a=1"), &tight), 0);
	assert_int_equal(h2_head_add(head, SPAN("a"), SPAN(""), &tight), 0);
	assert_int_equal(h2_head_add(head, SPAN("cookie"), SPAN("a=1"), &tight), 0);
	assert_int_equal(head->bad, BAD_NONE);
	assert_int_equal(h2_head_add(head, SPAN("b"), SPAN(""), &tight), 0);
	assert_int_equal(head->bad, BAD_TOO_MANY_FIELDS);
	h2_head_free(head);
	head = h2_head_create(H2_HEAD_TRAILERS);
	for (int i = 0; i < 3; i++)
		assert_int_equal(h2_head_add(head, SPAN("cookie"), SPAN("a=1"), &tight), 0);
	assert_int_equal(head->bad, BAD_TOO_MANY_FIELDS);
	h2_head_free(head);
}

TEST(the_count_of_bytes_does_not_wrap)
{
	const struct h2_head_limits wide = { .bytes = UINT32_MAX, .fields = 1 };
	struct h2_head *head = h2_head_create(H2_HEAD_TRAILERS);

	head->list_bytes = UINT32_MAX - 40;
	assert_int_equal(h2_head_add(head, SPAN("abcd"), SPAN("efgh"), &wide), 0);
	assert_int_equal(head->list_bytes, UINT32_MAX);
	assert_int_equal(h2_head_add(head, SPAN("abcd"), SPAN("efgh"), &wide), 0);
	assert_int_equal(head->list_bytes, UINT32_MAX);
	h2_head_free(head);
}
