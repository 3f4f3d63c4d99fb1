/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/ext_authz_play.h"

PLAY_TEST(metadata_may_be_parts_of_the_body_of_the_answer)
{
	static const struct {
		const char *body, *user; /* NULL: none */
	} rows[] = {
		{ "{\"Node\": {\"Name\": \"ann\"}}", "ann" },
		{ "{\"Node\": 1}", NULL },
		{ "no JSON", NULL },
		{ "", NULL },
	};
	const struct expression *list[] = { compiled_at("json(response.body).Node.Name",
							EXPRESSION_AT_ANSWER),
					    compiled_at("response.body", EXPRESSION_AT_ANSWER) };
	struct header_pair names[] = { { .name = SPAN("user") }, { .name = SPAN("whole") } };
	struct ext_authz_policy policy = over_http(CALLOUT_FAILURE_DENY);

	policy.http.metadata = (struct named_expressions){ names, list, ARRAY_LEN(list) };
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		const struct expression_value *user, *whole;
		struct guard_answer answer;

		play.reply.body = span_str(rows[i].body);
		assert_int_equal(decide(ext_authz_check, &policy, &answer), GUARD_PASS);
		user = expression_member(play.identity.ext_authz, SPAN("user"));
		whole = expression_member(play.identity.ext_authz, SPAN("whole"));
		assert_int_equal(user != NULL, rows[i].user != NULL);
		if (user)
			assert_true(span_eq(user->text, span_str(rows[i].user)));
		assert_true(span_eq(whole->text, span_str(rows[i].body)));
	}
}

PLAY_TEST(the_service_is_asked_with_the_pseudo_headers_that_the_policy_writes)
{
	static const struct {
		const char *name, *value;
		int verdict;
		const char *method, *path, *authority;
	} rows[] = {
		{ ":authority", "'local.sock'", GUARD_PASS, "GET", "/a", "local.sock" },
		{ ":method", "'POST'", GUARD_PASS, "POST", "/a", "a.test" },
		{ ":path", "'/x?y=1'", GUARD_PASS, "GET", "/x", "a.test" },
		/* Without a value: as it is. */
		{ ":authority", "request.headers['none']", GUARD_PASS, "GET", "/a", "a.test" },
		/* What is no proper value asks something else than the policy says. */
		{ ":authority", "'a b'", GUARD_REFUSE, NULL, NULL, NULL },
		{ ":method", "'CONNECT'", GUARD_REFUSE, NULL, NULL, NULL },
		{ ":path", "'x'", GUARD_REFUSE, NULL, NULL, NULL },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		const struct expression *expression = compiled(rows[i].value);
		struct header_pair name = { .name = span_str(rows[i].name) };
		struct ext_authz_policy policy = over_http(CALLOUT_FAILURE_ALLOW);
		struct guard_answer answer;

		policy.http.added = (struct named_expressions){ &name, &expression, 1 };
		assert_int_equal(decide(ext_authz_check, &policy, &answer), rows[i].verdict);
		if (rows[i].verdict == GUARD_REFUSE) {
			assert_int_equal(answer.status, 403);
			continue;
		}
		assert_true(span_eq(play.asked.method_text, span_str(rows[i].method)));
		assert_true(span_eq(play.asked.path, span_str(rows[i].path)));
		assert_true(span_eq(play.asked.authority, span_str(rows[i].authority)));
	}
}
