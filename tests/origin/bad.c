/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/origin/bad.h"
#include "tests/origin/reply.h"
#include "tests/origin/worker.h"

#include <string.h>

#define HEAD_BYTES_MAX (16u << 20)
#define OK "HTTP/1.1 200 OK\r\n"

static const struct bad_answer {
	const char *kind;
	struct text bytes;
} answers[] = {
	{ "obs-fold", TEXT(OK "Content-Length: 2\r\nX-Fold: a\r\n b\r\n\r\nok") },
	{ "dup-cl", TEXT(OK "Content-Length: 2\r\nContent-Length: 3\r\n\r\nok") },
	{ "dup-cl-same", TEXT(OK "Content-Length: 2\r\nContent-Length: 2\r\n\r\nok") },
	{ "cl-list", TEXT(OK "Content-Length: 2, 2\r\n\r\nok") },
	{ "cl-plus", TEXT(OK "Content-Length: +2\r\n\r\nok") },
	{ "cl-negative", TEXT(OK "Content-Length: -2\r\n\r\nok") },
	{ "cl-hex", TEXT(OK "Content-Length: 0x2\r\n\r\nok") },
	{ "cl-empty", TEXT(OK "Content-Length:\r\n\r\nok") },
	{ "cl-overflow", TEXT(OK "Content-Length: 18446744073709551618\r\n\r\nok") },
	{ "cl-te", TEXT(OK "Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n") },
	{ "te-1.0", TEXT("HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n") },
	{ "te-gzip-chunked", TEXT(OK "Transfer-Encoding: gzip, chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n") },
	{ "te-identity", TEXT(OK "Transfer-Encoding: identity\r\n\r\nok") },
	{ "te-twice", TEXT(OK "Transfer-Encoding: chunked\r\nTransfer-Encoding: "
			      "chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n") },
	{ "te-xchunked", TEXT(OK "Transfer-Encoding: xchunked\r\n\r\n2\r\nok\r\n0\r\n\r\n") },
	{ "bad-chunk", TEXT(OK "Transfer-Encoding: chunked\r\n\r\nzz\r\nok\r\n0\r\n\r\n") },
	{ "bad-second-chunk", TEXT(OK "Transfer-Encoding: chunked\r\n\r\n2\r\nok\r\nzz\r\nok\r\n0\r\n\r\n") },
	{ "chunk-ext", TEXT(OK "Transfer-Encoding: chunked\r\n\r\n2;a=b;c=\"d\"\r\nok\r\n0;last\r\n\r\n") },
	{ "chunk-ext-lf", TEXT(OK "Transfer-Encoding: chunked\r\n\r\n2;a\nok\r\n0\r\n\r\n") },
	{ "chunk-lf", TEXT(OK "Transfer-Encoding: chunked\r\n\r\n2\nok\n0\n\n") },
	{ "chunk-long", TEXT(OK "Transfer-Encoding: chunked\r\n\r\n2\r\nokay\r\n0\r\n\r\n") },
	{ "chunk-overflow",
	  TEXT(OK "Transfer-Encoding: chunked\r\n\r\n10000000000000002\r\nok\r\n0\r\n\r\n") },
	{ "chunk-plus", TEXT(OK "Transfer-Encoding: chunked\r\n\r\n+2\r\nok\r\n0\r\n\r\n") },
	{ "chunk-space", TEXT(OK "Transfer-Encoding: chunked\r\n\r\n 2\r\nok\r\n0\r\n\r\n") },
	{ "trailer-cl",
	  TEXT(OK "Transfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nContent-Length: 9\r\n\r\n") },
	{ "trailer-fold", TEXT(OK "Transfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nX-A: a\r\n b\r\n\r\n") },
	{ "status-99", TEXT("HTTP/1.1 99 Low\r\nContent-Length: 2\r\n\r\nok") },
	{ "status-000", TEXT("HTTP/1.1 000 Zero\r\nContent-Length: 2\r\n\r\nok") },
	{ "status-600", TEXT("HTTP/1.1 600 High\r\nContent-Length: 2\r\n\r\nok") },
	{ "status-1000", TEXT("HTTP/1.1 1000 Long\r\nContent-Length: 2\r\n\r\nok") },
	{ "no-version", TEXT("200 OK\r\nContent-Length: 2\r\n\r\nok") },
	{ "http-2.0", TEXT("HTTP/2.0 200 OK\r\nContent-Length: 2\r\n\r\nok") },
	{ "http-0.9", TEXT("ok, without any head\r\n") },
	{ "two-spaces", TEXT("HTTP/1.1  200 OK\r\nContent-Length: 2\r\n\r\nok") },
	{ "ctl-reason", TEXT("HTTP/1.1 200 O\001K\r\nContent-Length: 2\r\n\r\nok") },
	{ "lf-only", TEXT("HTTP/1.1 200 OK\nContent-Length: 2\n\nok") },
	{ "bare-cr", TEXT(OK "Content-Length: 2\r\nX-Cr: a\rb\r\n\r\nok") },
	{ "nul-value", TEXT(OK "Content-Length: 2\r\nX-Nul: a\0b\r\n\r\nok") },
	{ "ctl-value", TEXT(OK "Content-Length: 2\r\nX-Ctl: a\001b\r\n\r\nok") },
	{ "bad-name", TEXT(OK "Content-Length: 2\r\nX(A): b\r\n\r\nok") },
	{ "empty-name", TEXT(OK "Content-Length: 2\r\n: b\r\n\r\nok") },
	{ "no-colon", TEXT(OK "Content-Length: 2\r\nX-A\r\n\r\nok") },
	{ "space-colon", TEXT(OK "Content-Length : 2\r\n\r\nok") },
	{ "leading-space", TEXT(OK " Content-Length: 2\r\n\r\nok") },
	{ "leading-crlf", TEXT("\r\n" OK "Content-Length: 2\r\n\r\nok") },
	{ "204-body", TEXT("HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\nhello") },
	{ "204-chunked",
	  TEXT("HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n") },
	{ "304-body", TEXT("HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\nhello") },
	{ "101-unasked",
	  TEXT("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n") },
	{ "100-body",
	  TEXT("HTTP/1.1 100 Continue\r\nContent-Length: 2\r\n\r\nok" OK "Content-Length: 2\r\n\r\nok") },
	{ "extra-bytes", TEXT(OK "Content-Length: 2\r\n\r\nok" OK "Content-Length: 6\r\n\r\npoison") },
};

static void bad_start(struct conn *conn)
{
	struct text kind = endpoint_argument(conn);

	for (size_t i = 0; i < sizeof(answers) / sizeof(answers[0]); i++) {
		if (text_is(kind, answers[i].kind)) {
			buffer_add_text(&conn->out, answers[i].bytes);
			reply_done(conn);
			return;
		}
	}
	reply_line(conn, 404, "no such kind; tests/origin/README.md lists them");
}

static void huge_head_start(struct conn *conn)
{
	uint64_t size = query_u64(conn->exchange.request.query, "bytes", 70000);

	if (size > HEAD_BYTES_MAX) {
		reply_line(conn, 400, "bytes must be at most 16777216");
		return;
	}
	buffer_puts(&conn->out, OK "Content-Length: 2\r\nX-Huge: ");
	if (buffer_reserve(&conn->out, size)) {
		memset(conn->out.data + conn->out.end, 'h', size);
		conn->out.end += size;
	}
	buffer_puts(&conn->out, "\r\n\r\nok");
	reply_done(conn);
}

static void many_headers_start(struct conn *conn)
{
	uint64_t count = query_u64(conn->exchange.request.query, "n", 200);

	if (count > 100000) {
		reply_line(conn, 400, "n must be at most 100000");
		return;
	}
	buffer_puts(&conn->out, OK "Content-Length: 2\r\n");
	for (uint64_t i = 0; i < count; i++)
		buffer_printf(&conn->out, "X-Many-%llu: %llu\r\n", (unsigned long long)i,
			      (unsigned long long)i);
	buffer_puts(&conn->out, "\r\nok");
	reply_done(conn);
}

static void too_many_1xx_start(struct conn *conn)
{
	uint64_t count = query_u64(conn->exchange.request.query, "n", 100);

	if (count > 100000) {
		reply_line(conn, 400, "n must be at most 100000");
		return;
	}
	for (uint64_t i = 0; i < count; i++)
		buffer_puts(&conn->out, "HTTP/1.1 103 Early Hints\r\nX-Hint: h\r\n\r\n");
	reply_line(conn, 200, "final");
}

/* The response is complete and correct; the exchange stays open until the extra bytes are sent. */
static void late_bytes_start(struct conn *conn)
{
	struct text query = conn->exchange.request.query;

	conn->exchange.due_ns = conn->worker->now_ns + query_u64(query, "ms", 100) * NS_PER_MS;
	buffer_puts(&conn->out, OK "Content-Length: 2\r\n\r\n");
	if (reply_has_body(conn, 200))
		buffer_puts(&conn->out, "ok");
}

static bool late_bytes_pump(struct conn *conn)
{
	if (conn->worker->now_ns < conn->exchange.due_ns) {
		conn_wake_at(conn, conn->exchange.due_ns);
		return false;
	}
	buffer_puts(&conn->out, OK "Content-Length: 6\r\n\r\npoison");
	reply_done(conn);
	return true;
}

const struct endpoint bad_endpoints[] = {
	{ .path = "/bad/huge-head", .start = huge_head_start },
	{ .path = "/bad/many-headers", .start = many_headers_start },
	{ .path = "/bad/too-many-1xx", .start = too_many_1xx_start },
	{ .path = "/bad/late-bytes", .start = late_bytes_start, .pump = late_bytes_pump },
	{ .path = "/bad/", .is_prefix = true, .start = bad_start },
	{ .path = NULL },
};
