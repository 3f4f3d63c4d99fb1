/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/message.h"

#include "tests/lib/test_arena.h"
#include "user/base/check.h"
#include "user/http/upgrade.h"

#define GET "GET / HTTP/1.1\r\nHost: a\r\n"
#define POST "POST / HTTP/1.1\r\nHost: a\r\n"
#define SWITCH "HTTP/1.1 101 Switching Protocols\r\n"
#define END "\r\n"

TEST_ARENA(arena, 4096);

static const struct row {
	struct span text;
	enum http_error http_error;
	const char *protocol; /* NULL: none is wanted */
} rows[] = {
	{ TEXT(GET END), HTTP_ERROR_NONE, NULL },
	{ TEXT(GET "Connection: Upgrade\r\nUpgrade: websocket\r\n" END), HTTP_ERROR_NONE, "websocket" },
	{ TEXT(GET "Connection: keep-alive, upgrade\r\nUpgrade: WebSocket\r\n" END), HTTP_ERROR_NONE,
	  "WebSocket" },
	{ TEXT(GET "Connection: upgrade\r\nUpgrade: foo/1.2, websocket\r\n" END), HTTP_ERROR_NONE,
	  "foo/1.2" },
	{ TEXT(GET "Connection: upgrade\r\nUpgrade:\r\n" END), HTTP_ERROR_NONE, NULL },
	{ TEXT(GET "Connection: upgrade\r\nUpgrade: ,,\r\n" END), HTTP_ERROR_NONE, NULL },
	{ TEXT(GET "Connection: upgrade\r\nContent-Length: 0\r\nUpgrade: websocket\r\n" END), HTTP_ERROR_NONE,
	  "websocket" },
	/* Not nominated, or nothing to upgrade to. */
	{ TEXT(GET "Upgrade: websocket\r\n" END), HTTP_ERROR_NONE, NULL },
	{ TEXT(GET "Connection: upgrade\r\n" END), HTTP_ERROR_NONE, NULL },
	{ TEXT(POST "Upgrade: websocket\r\nContent-Length: 3\r\n" END), HTTP_ERROR_NONE, NULL },
	/* What common clients offer on any request. */
	{ TEXT(GET "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: x\r\n" END),
	  HTTP_ERROR_NONE, NULL },
	{ TEXT(POST "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: H2C\r\nContent-Length: 3\r\n" END),
	  HTTP_ERROR_NONE, NULL },
	{ TEXT(POST "Connection: Upgrade\r\nUpgrade: TLS/1.2\r\nContent-Length: 3\r\n" END), HTTP_ERROR_NONE,
	  NULL },
	{ TEXT(GET "Connection: upgrade\r\nUpgrade: h2c, TLS/1.0, websocket\r\n" END), HTTP_ERROR_NONE,
	  "websocket" },
	{ TEXT(GET "Connection: upgrade\r\nUpgrade: h2c\r\nUpgrade: websocket\r\n" END), HTTP_ERROR_NONE,
	  "websocket" },
	/* By any method, with or without a body. */
	{ TEXT(POST "Connection: upgrade\r\nUpgrade: SPDY/3.1\r\n" END), HTTP_ERROR_NONE, "SPDY/3.1" },
	{ TEXT(POST "Connection: upgrade\r\nUpgrade: h2c, websocket\r\n" END), HTTP_ERROR_NONE, "websocket" },
	{ TEXT(GET "Connection: upgrade\r\nUpgrade: websocket\r\nContent-Length: 3\r\n" END), HTTP_ERROR_NONE,
	  "websocket" },
	{ TEXT(GET "Connection: upgrade\r\nUpgrade: websocket\r\nTransfer-Encoding: chunked\r\n" END),
	  HTTP_ERROR_NONE, "websocket" },
	{ TEXT("HEAD / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: websocket\r\n" END),
	  HTTP_ERROR_NONE, "websocket" },
	/* Where there is no Upgrade. */
	{ TEXT("GET / HTTP/1.0\r\nConnection: upgrade\r\nUpgrade: websocket\r\n" END), HTTP_ERROR_NONE,
	  NULL },
	{ TEXT("CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\nConnection: upgrade\r\nUpgrade: websocket\r\n" END),
	  HTTP_ERROR_NONE, NULL },
	/* No protocols. */
	{ TEXT(GET "Connection: upgrade\r\nUpgrade: web socket\r\n" END), HTTP_ERROR_UPGRADE, NULL },
	{ TEXT(GET "Connection: upgrade\r\nUpgrade: websocket/\r\n" END), HTTP_ERROR_UPGRADE, NULL },
	{ TEXT(GET "Connection: upgrade\r\nUpgrade: /13\r\n" END), HTTP_ERROR_UPGRADE, NULL },
	{ TEXT(GET "Connection: upgrade\r\nUpgrade: websocket, a/b/c\r\n" END), HTTP_ERROR_UPGRADE, NULL },
};

TEST(any_request_of_http_1_1_may_ask_for_a_protocol)
{
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct upgrade_request upgrade = { .is_wanted = true, .protocol = SPAN("before") };
		struct request_head head;

		arena_reset(&arena);
		assert_bad(message_request(rows[i].text, &arena, &head), HTTP_ERROR_NONE, rows[i].text);
		assert_bad(upgrade_of_request(&head, &upgrade), rows[i].http_error, rows[i].text);
		if (rows[i].http_error != HTTP_ERROR_NONE) {
			assert_span(upgrade.protocol, "before");
			continue;
		}
		assert_int_equal(upgrade.is_wanted, rows[i].protocol != NULL);
		assert_span(upgrade.protocol, rows[i].protocol ? rows[i].protocol : "");
	}
}

static const struct answer {
	struct span text;
	bool accepts;
} answers[] = {
	{ TEXT(SWITCH "Connection: Upgrade\r\nUpgrade: WebSocket\r\n" END), true },
	{ TEXT(SWITCH "Connection: keep-alive, Upgrade\r\nUpgrade: websocket \r\n" END), true },
	{ TEXT(SWITCH "Connection: Upgrade\r\nUpgrade: h2c\r\n" END), false },
	{ TEXT(SWITCH "Connection: Upgrade\r\nUpgrade: websocket, h2c\r\n" END), false },
	{ TEXT(SWITCH "Connection: Upgrade\r\nUpgrade: websocket\r\nUpgrade: h2c\r\n" END), false },
	{ TEXT(SWITCH "Connection: Upgrade\r\n" END), false },
	{ TEXT(SWITCH "Upgrade: websocket\r\n" END), false },
	{ TEXT(SWITCH END), false },
	{ TEXT("HTTP/1.0 101 X\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" END), false },
	{ TEXT("HTTP/1.1 200 X\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" END), false },
};

TEST(only_a_101_to_the_same_protocol_accepts)
{
	struct upgrade_request upgrade = { .is_wanted = true, .protocol = SPAN("websocket") };
	struct upgrade_request none = { .is_wanted = false };

	for (size_t i = 0; i < ARRAY_LEN(answers); i++) {
		struct response_head head;

		arena_reset(&arena);
		assert_bad(message_response(answers[i].text, &arena, &head), HTTP_ERROR_NONE,
			   answers[i].text);
		if (upgrade_accepts(&head, &upgrade) != answers[i].accepts)
			fail_msg("not %d:\n%.*s", answers[i].accepts, SPAN_FMT(answers[i].text));
		assert_false(upgrade_accepts(&head, &none));
	}
}
