/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/compile/effective.h"
#include "tests/unit/config_text.h"
#include "policy/guard/guard.h"
#include "user/base/limits.h"
#include "user/client/client_network.h"
#include "user/obs/requests.h"

#define BEFORE "frontendPolicies: {networkExtAuthz: {"
#define BEHIND "}}\nbinds: [{port: 80, listeners: [{routes: []}]}, {port: 81, listeners: [{routes: []}]}]\n"
#define HTTP "host: 'a:1', protocol: {http: {}}"

TEST(what_would_not_decide_as_it_says_is_refused_when_it_is_loaded)
{
	static const struct {
		const char *text;
		const char *said; /* NULL: it is good */
	} rows[] = {
		{ HTTP, NULL },
		{ HTTP ", failureMode: allow, cache: {key: [source.address], ttl: 30s, maxEntries: 8}",
		  NULL },
		{ "host: 'a:1', protocol: {http: {path: '\"/a\"', body: source.address, addRequestHeaders: "
		  "{x-sni: destination.hostname, x-port: destination.port, x-name: source.subjectCn}}}",
		  NULL },
		{ "host: 'a:1'", "protocol: {http: {}}" },
		{ "host: 'a:1', protocol: {grpc: {}}", "write http: {}" },
		{ "protocol: {http: {}}", "host" },
		{ "host: 'a:1', protocol: {http: {path: request.path}}", "for a connection" },
		{ "host: 'a:1', protocol: {http: {body: request.method}}", "for a connection" },
		{ "host: 'a:1', protocol: {http: {addRequestHeaders: {x-a: jwt.sub}}}", "for a connection" },
		{ "host: 'a:1', protocol: {http: {redirect: '\"/\"'}}", "a connection gets none" },
		{ "host: 'a:1', protocol: {http: {metadata: {a: response.code}}}", "or write extAuthz" },
		{ "host: 'a:1', protocol: {http: {includeResponseHeaders: [a]}}", "or write extAuthz" },
		{ HTTP ", includeRequestHeaders: [a]", "or write extAuthz" },
		{ HTTP ", includeRequestBody: {maxRequestBytes: 1}", "or write extAuthz" },
		{ HTTP ", failureMode: {denyWithStatus: 429}", "deny" },
		{ HTTP ", cache: {key: [request.path], ttl: 1s}", "for a connection" },
		{ HTTP ", cache: {key: [], ttl: 1s}", "source.address" },
		{ HTTP ", conditional: []", "conditional" },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		char text[512];
		struct config_case c;

		assert_true(snprintf(text, sizeof(text), BEFORE "%s" BEHIND, rows[i].text) <
			    (int)sizeof(text));
		config_case_text(&c, text);
		if ((c.result == 0) != !rows[i].said ||
		    (rows[i].said && !strstr(config_case_lines(&c, CONFIG_ERROR), rows[i].said)))
			fail_msg("%s: %s", text, config_case_lines(&c, CONFIG_ERROR));
		if (c.result == 0)
			assert_int_equal(policy_compile(c.snapshot, &c.report), 0);
		for (uint32_t b = 0; c.result == 0 && b < c.snapshot->bind_count; b++)
			assert_non_null(c.snapshot->bind_list[b].network_ext_authz);
		config_case_done(&c);
	}
}

TEST(a_listener_that_it_does_not_guard_is_an_error)
{
	struct config_case c;
	struct text errors;

	config_case_text(&c, "frontendPolicies: {networkExtAuthz: {" HTTP "}}\n"
			     "binds: [{port: 80, listeners: [{routes: []}]}, {port: 81, listeners: "
			     "[{namespace: other, routes: []}]}]\n");
	assert_int_equal(c.result, 0);
	assert_int_equal(policy_compile(c.snapshot, &c.report), -EINVAL);
	text_init(&errors);
	config_report_print(&c.report, CONFIG_ERROR, "", &errors);
	assert_non_null(strstr(errors.data, "frontendPolicies.networkExtAuthz does not guard this listener"));
	text_done(&errors);
	config_case_done(&c);
}

TEST(a_client_has_no_memory_for_a_question_that_it_does_not_wait_for)
{
	assert_int_equal(offsetof(struct client, question), offsetof(struct client, linger_left));
	assert_true(sizeof(struct client) <= 352);
}

static enum end_reason logged;

static void note_end(struct client *client, enum end_reason reason, struct span error)
{
	(void)client;
	assert_true(span_starts(error, SPAN("too many connections wait")));
	logged = reason;
}

static void no_answer(struct client *client)
{
	(void)client;
	fail_msg("nobody was asked");
}

/* A stranger can open many connections: that must not open the port. */
TEST(one_connection_too_many_is_refused_whatever_the_failure_mode_is)
{
	static const struct client_handler handler = { .log_end = note_end };
	const struct ext_authz_policy policy = { .protocol = EXT_AUTHZ_HTTP,
						 .is_of_connections = true,
						 .failure_mode = CALLOUT_FAILURE_ALLOW };
	const struct guard_use use = { guard_kind_of(POLICY_NETWORK_EXT_AUTHZ), &policy, SPAN("rule"), NULL };
	static struct counters counters;
	static struct proxy proxy;
	struct client client = { .proxy = &proxy };
	enum end_reason reason = END_OK;

	proxy.counters = &counters;
	proxy.metrics = request_metrics_create();
	proxy.handler = &handler;
	proxy.asked_clients = LIMIT_ASKED_CLIENTS;
	assert_non_null(proxy.metrics);
	assert_int_equal(client_network_ask(&client, &use, false, no_answer, &reason), GUARD_REFUSE);
	assert_int_equal(reason, END_LIMIT);
	assert_int_equal(logged, END_LIMIT);
	assert_null(client.question);
	assert_int_equal(proxy.asked_clients, LIMIT_ASKED_CLIENTS);
	assert_int_equal(counters.limits[LIMIT_KIND_ASKED_CLIENTS], 1);
	request_metrics_free(proxy.metrics);
}
