/* SPDX-License-Identifier: Apache-2.0 */
#include "config/core/engine/typo.h"
#include "tests/lib/test.h"
#include "user/base/check.h"

TEST(what_was_meant)
{
	static const char *const path[] = { "exact", "pathPrefix", "regex" };
	static const char *const protocol[] = { "HTTP", "TCP", "TLS" };
	static const char *const http[] = { "maxBufferSize", "http1IdleTimeout", "http2KeepaliveTimeout" };
	static const char *const route[] = { "timeout", "retry", "delay" };
	static const struct {
		const char *word;
		const char *const *names;
		const char *meant; /* NULL: who knows */
	} rows[] = {
		{ "prefix", path, "pathPrefix" },
		{ "PathPrefix", path, "pathPrefix" },
		{ "regexp", path, "regex" },
		{ "exakt", path, "exact" },
		{ "UDP", protocol, NULL },
		{ "udp", protocol, NULL },
		{ "FTP", protocol, NULL },
		{ "tcp", protocol, "TCP" },
		{ "TLSS", protocol, "TLS" },
		{ "Htp", protocol, "HTTP" },
		{ "idleTimeout", http, "http1IdleTimeout" },
		{ "http1IdleTimout", http, "http1IdleTimeout" },
		{ "timeouts", route, "timeout" },
		{ "retries", route, "retry" },
		{ "retryPolicy", route, "retry" },
		{ "redirect", route, NULL },
		{ "", route, NULL },
		{ "a very long word that nobody ever wrote in earnest anywhere", route, NULL },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		const char *meant = typo_meant(span_str(rows[i].word), rows[i].names, 3);

		if (!meant != !rows[i].meant || (meant && strcmp(meant, rows[i].meant) != 0))
			fail_msg("%s: %s", rows[i].word, meant ? meant : "nothing");
	}
}

TEST(a_typo_begins_with_the_same_letter_and_is_near)
{
	assert_true(typo_is_of(SPAN("HttpRoute"), "HTTPRoute"));
	assert_true(typo_is_of(SPAN("HTPRoute"), "HTTPRoute"));
	assert_true(typo_is_of(SPAN("AgentGatewayPolicies"), "AgentgatewayPolicy") == false);
	assert_true(typo_is_of(SPAN("AgentgatwayPolicy"), "AgentgatewayPolicy"));
	assert_false(typo_is_of(SPAN("UDPRoute"), "TCPRoute"));
	assert_false(typo_is_of(SPAN("Secret"), "Service"));
	assert_false(typo_is_of(SPAN("ServiceAccount"), "Service"));
	assert_false(typo_is_of(SPAN(""), "Service"));
}

TEST_GROUP(NULL, NULL);
