/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/h2_text.h"

static const struct refusal {
	enum h2_head_kind kind;
	struct span text;
	enum http_error http_error;
} refusals[] = {
/* clang-format off */
#define REQUEST(text, http_error) { H2_HEAD_REQUEST, TEXT(text), http_error }
#define RESPONSE(text, http_error) { H2_HEAD_RESPONSE, TEXT(text), http_error }
#define TRAILERS(text, http_error) { H2_HEAD_TRAILERS, TEXT(text), http_error }
	/* clang-format on */
	REQUEST(H2_GET_A, HTTP_ERROR_NONE),
	REQUEST(H2_GET_A "a=\nb=c d\xff\n", HTTP_ERROR_NONE),
	REQUEST(H2_GET "host=a\n", HTTP_ERROR_NONE),
	REQUEST(H2_GET_A "host=A:80\n", HTTP_ERROR_NONE),
	REQUEST(":method=GET\n:scheme=https\n:path=/\n:authority=a\nhost=a:443\n", HTTP_ERROR_NONE),
	REQUEST(":method=GET\n:scheme=HTTP\n:path=/\n:authority=[::1]:1\n", HTTP_ERROR_NONE),
	REQUEST(":path=/?a\n:method=X-Y\n:authority=a\n:scheme=http\n", HTTP_ERROR_NONE),
	REQUEST(":method=OPTIONS\n:scheme=http\n:path=*\n:authority=a\n", HTTP_ERROR_NONE),
	REQUEST(":method=CONNECT\n:authority=a:1\n", HTTP_ERROR_NONE),
	REQUEST(":method=CONNECT\n:authority=a\n:scheme=http\n:path=/\n:protocol=websocket\n",
		HTTP_ERROR_NONE),
	REQUEST(H2_GET_A "te=trailers\n", HTTP_ERROR_NONE),
	REQUEST(H2_GET_A "te=Trailers\n", HTTP_ERROR_NONE),
	/* what must be there, once, and in front */
	REQUEST("", HTTP_ERROR_PSEUDO_FIELD),
	REQUEST(":scheme=http\n:path=/\n:authority=a\n", HTTP_ERROR_PSEUDO_FIELD),
	REQUEST(":method=GET\n:path=/\n:authority=a\n", HTTP_ERROR_PSEUDO_FIELD),
	REQUEST(":method=GET\n:scheme=http\n:authority=a\n", HTTP_ERROR_PSEUDO_FIELD),
	REQUEST(H2_GET, HTTP_ERROR_HOST_MISSING),
	REQUEST(H2_GET_A ":path=/\n", HTTP_ERROR_PSEUDO_FIELD),
	REQUEST(H2_GET_A ":authority=a\n", HTTP_ERROR_PSEUDO_FIELD),
	REQUEST(H2_GET_A "a=b\n:protocol=websocket\n", HTTP_ERROR_PSEUDO_FIELD),
	REQUEST(H2_GET "a=b\n:authority=a\n", HTTP_ERROR_PSEUDO_FIELD),
	REQUEST(H2_GET_A ":status=200\n", HTTP_ERROR_PSEUDO_FIELD),
	REQUEST(H2_GET_A ":other=1\n", HTTP_ERROR_PSEUDO_FIELD),
	REQUEST(H2_GET_A ":=1\n", HTTP_ERROR_PSEUDO_FIELD),
	REQUEST(H2_GET_A ":Path=1\n", HTTP_ERROR_PSEUDO_FIELD),
	REQUEST(H2_GET_A ":protocol=websocket\n", HTTP_ERROR_PSEUDO_FIELD),
	REQUEST(":method=CONNECT\n:authority=a:1\n:path=/\n", HTTP_ERROR_PSEUDO_FIELD),
	REQUEST(":method=CONNECT\n:authority=a:1\n:scheme=http\n", HTTP_ERROR_PSEUDO_FIELD),
	REQUEST(":method=CONNECT\nhost=a:1\n", HTTP_ERROR_PSEUDO_FIELD),
	REQUEST(":method=CONNECT\n:authority=a\n", HTTP_ERROR_TARGET),
	REQUEST(":method=CONNECT\n:authority=a\n:path=/\n:protocol=websocket\n", HTTP_ERROR_PSEUDO_FIELD),
	REQUEST(":method=CONNECT\n:authority=a\n:scheme=http\n:path=/\n:protocol=web socket\n",
		HTTP_ERROR_PSEUDO_FIELD),
	/* values of pseudo-header fields */
	REQUEST(":method=\n:scheme=http\n:path=/\n:authority=a\n", HTTP_ERROR_METHOD),
	REQUEST(":method=GET /x\n:scheme=http\n:path=/\n:authority=a\n", HTTP_ERROR_METHOD),
	REQUEST(":method=GET\n:scheme=ftp\n:path=/\n:authority=a\n", HTTP_ERROR_SCHEME),
	REQUEST(":method=GET\n:scheme=http \n:path=/\n:authority=a\n", HTTP_ERROR_SCHEME),
	REQUEST(":method=GET\n:scheme=http\n:path=\n:authority=a\n", HTTP_ERROR_TARGET),
	REQUEST(":method=GET\n:scheme=http\n:path=a\n:authority=a\n", HTTP_ERROR_TARGET),
	REQUEST(":method=GET\n:scheme=http\n:path=?a\n:authority=a\n", HTTP_ERROR_TARGET),
	REQUEST(":method=GET\n:scheme=http\n:path=*\n:authority=a\n", HTTP_ERROR_TARGET),
	REQUEST(":method=OPTIONS\n:scheme=http\n:path=*?\n:authority=a\n", HTTP_ERROR_TARGET),
	REQUEST(":method=GET\n:scheme=http\n:path=/ HTTP/1.1\n:authority=a\n", HTTP_ERROR_TARGET),
	REQUEST(":method=GET\n:scheme=http\n:path=/#a\n:authority=a\n", HTTP_ERROR_TARGET),
	REQUEST(":method=GET\n:scheme=http\n:path=/\x7f\n:authority=a\n", HTTP_ERROR_TARGET),
	REQUEST(":method=GET\n:scheme=http\n:path=/\xe4\n:authority=a\n", HTTP_ERROR_TARGET),
	REQUEST(":method=GET\n:scheme=http\n:path=http://a/\n:authority=a\n", HTTP_ERROR_TARGET),
	REQUEST(H2_GET ":authority=\n", HTTP_ERROR_HOST_SYNTAX),
	REQUEST(H2_GET ":authority=u@a\n", HTTP_ERROR_HOST_SYNTAX),
	REQUEST(H2_GET ":authority=a:65536\n", HTTP_ERROR_HOST_SYNTAX),
	REQUEST(H2_GET ":authority=a/b\n", HTTP_ERROR_HOST_SYNTAX),
	REQUEST(H2_GET ":authority=a b\n", HTTP_ERROR_HOST_SYNTAX),
	REQUEST(H2_GET "host=u@a\n", HTTP_ERROR_HOST_SYNTAX),
	REQUEST(H2_GET_A "host=b\n", HTTP_ERROR_HOST_MISMATCH),
	REQUEST(H2_GET_A "host=a:443\n", HTTP_ERROR_HOST_MISMATCH),
	REQUEST(H2_GET_A "host=a\nhost=a\n", HTTP_ERROR_HOST_DUPLICATE),
	/* names and values of fields */
	REQUEST(H2_GET_A "=b\n", HTTP_ERROR_FIELD_NAME),
	REQUEST(H2_GET_A "a b=c\n", HTTP_ERROR_FIELD_NAME),
	REQUEST(H2_GET_A "a:b=c\n", HTTP_ERROR_FIELD_NAME),
	REQUEST(H2_GET_A "a\r=c\n", HTTP_ERROR_FIELD_NAME),
	REQUEST(H2_GET_A "a\0=c\n", HTTP_ERROR_FIELD_NAME),
	REQUEST(H2_GET_A "Accept=c\n", HTTP_ERROR_FIELD_CASE),
	REQUEST(H2_GET_A "a=b\rc=d\n", HTTP_ERROR_CONTROL_BYTE),
	REQUEST(H2_GET_A "a=b\0c\n", HTTP_ERROR_CONTROL_BYTE),
	REQUEST(H2_GET_A "a=\x1f\n", HTTP_ERROR_CONTROL_BYTE),
	REQUEST(H2_GET_A "a=\x7f\n", HTTP_ERROR_CONTROL_BYTE),
	REQUEST(H2_GET_A "a= b\n", HTTP_ERROR_FIELD_BLANKS),
	REQUEST(H2_GET_A "a=b\t\n", HTTP_ERROR_FIELD_BLANKS),
	/* the connection is not theirs */
	REQUEST(H2_GET_A "connection=close\n", HTTP_ERROR_CONNECTION_FIELD),
	REQUEST(H2_GET_A "keep-alive=1\n", HTTP_ERROR_CONNECTION_FIELD),
	REQUEST(H2_GET_A "proxy-connection=close\n", HTTP_ERROR_CONNECTION_FIELD),
	REQUEST(H2_GET_A "transfer-encoding=chunked\n", HTTP_ERROR_CONNECTION_FIELD),
	REQUEST(H2_GET_A "upgrade=websocket\n", HTTP_ERROR_CONNECTION_FIELD),
	REQUEST(H2_GET_A "http2-settings=a\n", HTTP_ERROR_CONNECTION_FIELD),
	REQUEST(H2_GET_A "te=gzip\n", HTTP_ERROR_CONNECTION_FIELD),
	REQUEST(H2_GET_A "te=trailers, gzip\n", HTTP_ERROR_CONNECTION_FIELD),
	REQUEST(H2_GET_A "te=\n", HTTP_ERROR_CONNECTION_FIELD),
	/* the first violation is the one reported */
	REQUEST(H2_GET_A "a=\x1f\nconnection=a\n:x=y\n", HTTP_ERROR_CONTROL_BYTE),

	RESPONSE(":status=200\n", HTTP_ERROR_NONE),
	RESPONSE(":status=599\nconnection-x=y\n", HTTP_ERROR_NONE),
	RESPONSE("", HTTP_ERROR_PSEUDO_FIELD),
	RESPONSE("a=b\n:status=200\n", HTTP_ERROR_PSEUDO_FIELD),
	RESPONSE(":status=200\n:status=200\n", HTTP_ERROR_PSEUDO_FIELD),
	RESPONSE(":status=200\n:path=/\n", HTTP_ERROR_PSEUDO_FIELD),
	RESPONSE(":status=20\n", HTTP_ERROR_STATUS),
	RESPONSE(":status=2000\n", HTTP_ERROR_STATUS),
	RESPONSE(":status=099\n", HTTP_ERROR_STATUS),
	RESPONSE(":status=600\n", HTTP_ERROR_STATUS),
	RESPONSE(":status=2x0\n", HTTP_ERROR_STATUS),
	RESPONSE(":status=101\n", HTTP_ERROR_STATUS),
	RESPONSE(":status=103\n", HTTP_ERROR_STATUS), /* with END_STREAM */

	TRAILERS("", HTTP_ERROR_NONE),
	TRAILERS("grpc-status=0\n", HTTP_ERROR_NONE),
	TRAILERS(":status=200\n", HTTP_ERROR_PSEUDO_FIELD),
	TRAILERS("a=b\n:path=/\n", HTTP_ERROR_PSEUDO_FIELD),
	TRAILERS("content-length=1\n", HTTP_ERROR_TRAILER),
	TRAILERS("host=a\n", HTTP_ERROR_TRAILER),
	TRAILERS("transfer-encoding=chunked\n", HTTP_ERROR_CONNECTION_FIELD),
	TRAILERS("A=b\n", HTTP_ERROR_FIELD_CASE),
};

TEST(each_rule_of_a_section_has_its_refusal)
{
	for (size_t i = 0; i < ARRAY_LEN(refusals); i++) {
		struct h2_head *head = h2_head_of(refusals[i].kind, refusals[i].text, true);

		assert_bad(head->http_error, refusals[i].http_error, refusals[i].text);
		assert_int_equal(h2_head_finish(head), refusals[i].http_error);
		h2_head_free(head);
	}
	h2_head_free(NULL);
}

TEST(an_interim_response_goes_on)
{
	struct h2_head *head = h2_head_of(H2_HEAD_RESPONSE, SPAN(":status=103\nlink=a\n"), false);

	assert_int_equal(head->http_error, HTTP_ERROR_NONE);
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
	assert_int_equal(head->http_error, HTTP_ERROR_NONE);
	assert_int_equal(head->list_bytes, tight.bytes);
	less = h2_head_create(H2_HEAD_TRAILERS);
	assert_int_equal(h2_head_add(less, SPAN("a"), SPAN("b"), &(struct h2_head_limits){ 34, 2 }), 0);
	assert_int_equal(less->http_error, HTTP_ERROR_NONE);
	h2_head_free(less);
	less = h2_head_create(H2_HEAD_TRAILERS);
	assert_int_equal(h2_head_add(less, SPAN("a"), SPAN("b"), &(struct h2_head_limits){ 33, 2 }), 0);
	assert_int_equal(less->http_error, HTTP_ERROR_HEAD_TOO_LONG);
	h2_head_free(less);
	taken = head->arena.total_bytes;
	assert_int_equal(h2_head_add(head, SPAN(""), SPAN(""), &tight), 0);
	assert_int_equal(head->http_error, HTTP_ERROR_HEAD_TOO_LONG);
	for (int i = 0; i < 100000; i++)
		assert_int_equal(h2_head_add(head, SPAN("x-long-name"), SPAN("and a value"), &tight), 0);
	assert_int_equal(head->fields.count, 2);
	assert_int_equal(head->arena.total_bytes, taken);
	h2_head_free(head);

	head = h2_head_create(H2_HEAD_TRAILERS);
	for (int i = 0; i < 2; i++)
		assert_int_equal(h2_head_add(head, SPAN("a"), SPAN(""), &tight), 0);
	assert_int_equal(head->http_error, HTTP_ERROR_NONE);
	assert_int_equal(h2_head_add(head, SPAN("a"), SPAN(""), &tight), 0);
	assert_int_equal(head->http_error, HTTP_ERROR_TOO_MANY_FIELDS);
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
	assert_int_equal(head->http_error, HTTP_ERROR_NONE);
	assert_int_equal(h2_head_add(head, SPAN("b"), SPAN(""), &tight), 0);
	assert_int_equal(head->http_error, HTTP_ERROR_TOO_MANY_FIELDS);
	h2_head_free(head);
	head = h2_head_create(H2_HEAD_TRAILERS);
	for (int i = 0; i < 3; i++)
		assert_int_equal(h2_head_add(head, SPAN("cookie"), SPAN("a=1"), &tight), 0);
	assert_int_equal(head->http_error, HTTP_ERROR_TOO_MANY_FIELDS);
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
