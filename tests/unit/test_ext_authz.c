/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/guard/remote_limit.h"
#include "policy/guard/service.h"
#include "policy/guard/struct_value.h"
#include "tests/lib/alloc.h"
#include "tests/unit/ext_authz_play.h"
#include "user/base/protobuf.h"

static bool removes(const struct header_modifier *changes, const char *name)
{
	for (uint32_t i = 0; changes && i < changes->remove_count; i++)
		if (span_eq(changes->remove_list[i], span_str(name)))
			return true;
	return false;
}

PLAY_TEST(a_header_that_the_service_does_not_set_is_taken_from_the_client)
{
	struct ext_authz_policy policy = over_http(CALLOUT_FAILURE_DENY);
	struct guard_answer answer;

	assert_int_equal(fields_add(&play.reply_fields, SPAN("X-User"), SPAN("alice")), 0);
	assert_int_equal(fields_add(&play.head.fields, SPAN("x_role"), SPAN("admin")), 0);
	assert_int_equal(decide(ext_authz_check, &policy, &answer), GUARD_PASS);
	assert_int_equal(answer.request->set_count, 1);
	assert_true(span_eq(answer.request->set_list[0].value, SPAN("alice")));
	assert_true(removes(answer.request, "x-role"));
	assert_int_equal(headers_modify(&play.head.fields, answer.request), 0);
	assert_null(fields_find(&play.head.fields, SPAN("x_role")));
}

PLAY_TEST(what_the_service_says_to_its_connection_is_for_nobody_else)
{
	struct ext_authz_policy policy = over_http(CALLOUT_FAILURE_DENY);
	struct guard_answer answer;

	policy.http = (struct ext_authz_http){ .takes_all = true };
	assert_int_equal(fields_add(&play.reply_fields, SPAN("Connection"), SPAN("close, x-hop")), 0);
	assert_int_equal(fields_add(&play.reply_fields, SPAN("X-Hop"), SPAN("1")), 0);
	assert_int_equal(fields_add(&play.reply_fields, SPAN("X-User"), SPAN("alice")), 0);
	assert_int_equal(decide(ext_authz_check, &policy, &answer), GUARD_PASS);
	assert_int_equal(answer.request->set_count, 1);
	assert_true(span_eq(answer.request->set_list[0].name, SPAN("x-user")));
	play.reply.status = 403;
	assert_int_equal(decide(ext_authz_check, &policy, &answer), GUARD_REFUSE);
	assert_int_equal(answer.response->count, 1);
	assert_true(span_eq(answer.response->list[0].name, SPAN("X-User")));
}

PLAY_TEST(a_listed_header_that_the_service_says_to_its_connection_is_removed)
{
	struct ext_authz_policy policy = over_http(CALLOUT_FAILURE_DENY);
	struct guard_answer answer;

	assert_int_equal(fields_add(&play.reply_fields, SPAN("Connection"), SPAN("close, X-Role")), 0);
	assert_int_equal(fields_add(&play.reply_fields, SPAN("X-Role"), SPAN("admin")), 0);
	assert_int_equal(fields_add(&play.reply_fields, SPAN("X-User"), SPAN("alice")), 0);
	assert_int_equal(decide(ext_authz_check, &policy, &answer), GUARD_PASS);
	assert_int_equal(answer.request->set_count, 1);
	assert_true(span_eq(answer.request->set_list[0].name, SPAN("x-user")));
	assert_true(removes(answer.request, "x-role"));
}

static struct ext_authz_policy with_cache(unsigned failure_mode, const char *first, const char *second)
{
	struct ext_authz_policy policy = over_http(failure_mode);
	const struct expression **list = arena_take(&play.arena, 2 * sizeof(*list));

	assert_non_null(list);
	list[0] = compiled(first);
	list[1] = compiled(second);
	policy.cache = (struct answer_cache_policy){
		.is_set = true, .expression_list = list, .key_count = 2, .ttl_ns = 5, .most_entries = 4
	};
	return policy;
}

static void assert_key(const char *want)
{
	assert_int_equal(play.key_len, strlen(want));
	assert_memory_equal(play.key, want, play.key_len);
}

PLAY_TEST(only_an_answer_that_admits_is_kept)
{
	static const struct {
		uint16_t status;
		const char *control;
		int verdict;
		uint64_t kept_ns;
	} rows[] = {
		{ 200, NULL, GUARD_PASS, 5 },	    { 200, "max-age=1, no-store", GUARD_PASS, 0 },
		{ 204, "no-cache", GUARD_PASS, 0 }, { 403, NULL, GUARD_REFUSE, 0 },
		{ 302, NULL, GUARD_REFUSE, 0 },	    { 500, NULL, GUARD_PASS, 0 }, /* failureMode: allow */
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct ext_authz_policy policy =
			with_cache(CALLOUT_FAILURE_ALLOW, "request.path", "request.method");
		struct guard_answer answer;

		play.kept_ns = 0;
		play.reply.status = rows[i].status;
		fields_init(&play.reply_fields, &play.arena);
		if (rows[i].control)
			assert_int_equal(fields_add(&play.reply_fields, SPAN("Cache-Control"),
						    span_str(rows[i].control)),
					 0);
		assert_int_equal(decide(ext_authz_check, &policy, &answer), rows[i].verdict);
		assert_int_equal(play.kept_ns, rows[i].kept_ns);
		assert_key("2:/a3:GET");
	}
}

PLAY_TEST(a_kept_answer_admits_like_the_first_and_is_not_kept_again)
{
	struct ext_authz_policy policy = with_cache(CALLOUT_FAILURE_DENY, "request.path", "request.method");
	struct guard_answer answer;

	play.verdict = GUARD_PASS;
	assert_int_equal(fields_add(&play.reply_fields, SPAN("X-User"), SPAN("alice")), 0);
	assert_int_equal(decide(ext_authz_check, &policy, &answer), GUARD_PASS);
	assert_int_equal(play.kept_ns, 0);
	assert_true(span_eq(answer.request->set_list[0].value, SPAN("alice")));
	assert_true(removes(answer.request, "x-role"));
	/* Without a value of a key nobody knows what the answer depends on. */
	policy = with_cache(CALLOUT_FAILURE_DENY, "request.path", "request.headers[\"x-none\"]");
	play.verdict = GUARD_WAIT;
	assert_int_equal(decide(ext_authz_check, &policy, &answer), GUARD_PASS);
	assert_int_equal(play.key_len, 0);
}

static struct failing {
	const char *name;
	unsigned mode;
	int call; /* what the call says: an error, or GUARD_WAIT */
	uint16_t status; /* of the service; 0: a fault */
	int verdict;
	uint16_t refused; /* the status of the refusal */
} failings[] = {
	{ "deny, no call", CALLOUT_FAILURE_DENY, -EHOSTDOWN, 0, GUARD_REFUSE, 403 },
	{ "deny, a fault", CALLOUT_FAILURE_DENY, GUARD_WAIT, 0, GUARD_REFUSE, 403 },
	{ "deny, 500", CALLOUT_FAILURE_DENY, GUARD_WAIT, 500, GUARD_REFUSE, 403 },
	{ "deny, 101", CALLOUT_FAILURE_DENY, GUARD_WAIT, 101, GUARD_REFUSE, 403 },
	{ "a status, a fault", CALLOUT_FAILURE_STATUS, GUARD_WAIT, 0, GUARD_REFUSE, 503 },
	{ "allow, no call", CALLOUT_FAILURE_ALLOW, -EBUSY, 0, GUARD_PASS, 0 },
	{ "allow, a fault", CALLOUT_FAILURE_ALLOW, GUARD_WAIT, 0, GUARD_PASS, 0 },
	{ "allow, a refusal is no failure", CALLOUT_FAILURE_ALLOW, GUARD_WAIT, 403, GUARD_REFUSE, 403 },
	{ "what a request causes is no failure", CALLOUT_FAILURE_ALLOW, -EINVAL, 0, GUARD_REFUSE, 400 },
	{ "a call that cannot be made of it", CALLOUT_FAILURE_ALLOW, -EBADMSG, 0, GUARD_REFUSE, 400 },
	{ "no memory is an error, whatever the mode", CALLOUT_FAILURE_ALLOW, -ENOMEM, 0, -ENOMEM, 0 },
};

static void without_an_answer_the_mode_decides(void **state)
{
	const struct failing *row = *state;
	struct ext_authz_policy policy;
	struct guard_answer answer;

	play_open(4096);
	policy = over_http(row->mode);
	play.verdict = row->call;
	play.reply.status = row->status;
	play.reply.fault = row->status ? (struct span){ 0 } : SPAN("no response in time");
	assert_int_equal(decide(ext_authz_check, &policy, &answer), row->verdict);
	if (row->verdict == GUARD_REFUSE)
		assert_int_equal(answer.status, row->refused);
	if (row->call == -EBADMSG)
		assert_true(span_eq(answer.body, SPAN("the request cannot be transformed")));
	/* Whoever passes has no header that only the service may set. */
	if (row->verdict == GUARD_PASS)
		assert_true(removes(answer.request, "x-user") && removes(answer.request, "x-role"));
	arena_done(&play.arena);
}
TEST_ROWS(without_an_answer_the_mode_decides, failings);

PLAY_TEST(the_form_that_was_asked_for_is_the_one_that_is_answered)
{
	struct ext_authz_policy forms[2] = { over_http(CALLOUT_FAILURE_DENY),
					     over_http(CALLOUT_FAILURE_ALLOW) };
	struct ext_authz_policy policy = { .case_list = forms, .case_count = 2 };
	struct guard_answer answer = { 0 };

	forms[0].condition.expression = compiled("request.path == \"/b\"");
	fields_init(&answer.fields, &play.arena);
	assert_int_equal(ext_authz_check(&policy, &play.guard, &answer), GUARD_WAIT);
	assert_ptr_equal(play.reply.subject, &forms[1]);
	/* Another condition is true by now. */
	play.head.path = SPAN("/b");
	play.reply.fault = SPAN("gone");
	play.guard.reply = &play.reply;
	assert_int_equal(ext_authz_check(&policy, &play.guard, &answer), GUARD_PASS);
	play.guard.reply = NULL;
	forms[1].condition.expression = compiled("false");
	play.head.path = SPAN("/c");
	assert_int_equal(ext_authz_check(&policy, &play.guard, &answer), GUARD_PASS);
	assert_int_equal(play.calls, 1);
}

PLAY_TEST(a_descriptor_without_all_its_values_is_left_out_and_without_any_nobody_is_asked)
{
	struct header_pair pair = { SPAN("user"), { 0 } };
	const struct expression *expression = compiled("request.headers[\"x-user\"]");
	struct rate_descriptor descriptor = { .entries = { &pair, &expression, 1 } };
	struct remote_rate_limit policy = { .ref = &play.ref,
					    .domain = SPAN("d"),
					    .descriptor_list = &descriptor,
					    .descriptor_count = 1,
					    .failure_mode = CALLOUT_FAILURE_DENY };
	struct guard_answer answer;

	assert_int_equal(decide(remote_limit_check, &policy, &answer), GUARD_PASS);
	assert_int_equal(play.calls, 0);
	assert_int_equal(fields_add(&play.head.fields, SPAN("x-user"), SPAN("alice")), 0);
	/* An empty answer says nothing about the limit. */
	assert_int_equal(decide(remote_limit_check, &policy, &answer), GUARD_REFUSE);
	assert_int_equal(play.calls, 1);
	assert_int_equal(answer.status, 429);
	play.reply.fault = SPAN("gone");
	assert_int_equal(decide(remote_limit_check, &policy, &answer), GUARD_REFUSE);
	assert_int_equal(answer.status, 500);
	policy.failure_mode = CALLOUT_FAILURE_ALLOW;
	assert_int_equal(decide(remote_limit_check, &policy, &answer), GUARD_PASS);
	play.verdict = -EBADMSG;
	assert_int_equal(decide(remote_limit_check, &policy, &answer), GUARD_REFUSE);
	assert_true(span_eq(answer.body, SPAN("the request cannot be transformed")));
}

/* The last field of so many numbers within each other; data NULL: there is none. */
static struct span field_within(struct span message, const uint32_t *numbers, size_t count)
{
	struct protobuf_field field;

	for (size_t i = 0; i < count && message.data; i++) {
		struct span rest = message;

		message = (struct span){ 0 };
		while (protobuf_next(&rest, &field) > 0)
			if (protobuf_is(&field, numbers[i], PROTOBUF_LEN))
				message = field.bytes;
	}
	return message;
}

/* attributes 1 {metadata_context 11 {filter_metadata 1 {key 1, Struct 2}}} of the call, as {key: Struct} */
static struct span metadata_of_call(struct expression_value *ret_map)
{
	static const uint32_t one[] = { 1, 11, 1 };
	struct span entry = field_within(play.body, one, ARRAY_LEN(one));
	static const uint32_t key = 1, value = 2;

	*ret_map = (struct expression_value){ 0 };
	if (entry.data)
		assert_int_equal(struct_value_read(field_within(entry, &value, 1), &play.arena, ret_map), 0);
	return field_within(entry, &key, 1);
}

static const struct expression_member claim = { { "sub", 3 },
						{ .type = EXPRESSION_TEXT, .text = { "alice", 5 } } };
static const struct expression_value claims = { .type = EXPRESSION_MAP, .count = 1, .members = &claim };

PLAY_TEST(the_service_gets_maps_that_expressions_give_or_else_the_claims)
{
	static struct {
		const char *expression; /* NULL: none */
		bool has_token;
		const char *name; /* NULL: no metadata */
	} rows[] = {
		{ NULL, false, NULL },
		{ NULL, true, "envoy.filters.http.jwt_authn" },
		{ "jwt", true, "a" },
		{ "jwt", false, NULL },
		/* Neither a map, nor a value. */
		{ "jwt.sub", true, NULL },
		{ "jwt.none", true, NULL },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		const struct expression *expression =
			rows[i].expression ? compiled(rows[i].expression) : NULL;
		struct header_pair pair = { SPAN("a"), { 0 } };
		struct ext_authz_policy policy = { .ref = &play.ref, .failure_mode = CALLOUT_FAILURE_ALLOW };
		struct expression_value map;
		struct guard_answer answer;
		struct span name;

		if (expression)
			policy.grpc.metadata = (struct named_expressions){ &pair, &expression, 1 };
		play.jwt = rows[i].has_token ? &claims : NULL;
		decide(ext_authz_check, &policy, &answer);
		name = metadata_of_call(&map);
		assert_int_equal(name.data != NULL, rows[i].name != NULL);
		if (!rows[i].name)
			continue;
		assert_true(span_eq(name, span_str(rows[i].name)));
		if (!expression)
			map = *expression_member(&map, SPAN("jwt_payload"));
		assert_true(span_eq(expression_member(&map, SPAN("sub"))->text, SPAN("alice")));
	}
}

PLAY_TEST(the_service_gets_every_map)
{
	const struct expression *expressions[] = { compiled("jwt"), compiled("jwt") };
	struct header_pair pairs[] = { { SPAN("a"), { 0 } }, { SPAN("b"), { 0 } } };
	struct ext_authz_policy policy = { .ref = &play.ref, .failure_mode = CALLOUT_FAILURE_ALLOW };
	static const uint32_t numbers[] = { 1, 11 };
	struct expression_value map;
	struct guard_answer answer;

	policy.grpc.metadata = (struct named_expressions){ pairs, expressions, 2 };
	play.jwt = &claims;
	decide(ext_authz_check, &policy, &answer);
	/* The last one is that of the second name, and the first one is there, too. */
	assert_true(span_eq(metadata_of_call(&map), SPAN("b")));
	assert_int_equal(service_count_fields(field_within(play.body, numbers, ARRAY_LEN(numbers))), 2);
}

PLAY_TEST(metadata_that_nobody_can_tell_are_refused_whatever_the_mode)
{
	const struct expression *expression = compiled("jwt.long.matches(\"(a*)*b\") ? jwt : jwt");
	struct header_pair pair = { SPAN("a"), { 0 } };
	struct ext_authz_policy policy = { .ref = &play.ref, .failure_mode = CALLOUT_FAILURE_ALLOW };
	struct expression_member member = { SPAN("a"), { .type = EXPRESSION_MAP } };
	struct expression_value deep = { .type = EXPRESSION_MAP };
	struct guard_answer answer;
	struct expression_value large = { .type = EXPRESSION_MAP, .count = 1, .members = &member };
	char *bytes = arena_bytes(&play.arena, 1 << 20);

	assert_non_null(bytes);
	memset(bytes, 'a', 1 << 20);
	policy.grpc.metadata = (struct named_expressions){ &pair, &expression, 1 };
	/* Of what the service does not get, or its message would be too large. */
	member = (struct expression_member){ SPAN("long"), expression_span(span_of(bytes, 1 << 20)) };
	play.jwt = &large;
	assert_int_equal(decide(ext_authz_check, &policy, &answer), GUARD_REFUSE);
	assert_int_equal(answer.status, 400);
	/* A tree that is too deep for the message. */
	expression = compiled("jwt");
	member = (struct expression_member){ SPAN("a"), { .type = EXPRESSION_MAP } };
	for (unsigned i = 0; i <= STRUCT_VALUE_DEPTH; i++) {
		struct expression_member *next = arena_take(&play.arena, sizeof(*next));

		assert_non_null(next);
		*next = member;
		next->value = deep;
		deep = (struct expression_value){ .type = EXPRESSION_MAP, .count = 1, .members = next };
	}
	play.jwt = &deep;
	assert_int_equal(decide(ext_authz_check, &policy, &answer), GUARD_REFUSE);
	assert_int_equal(answer.status, 400);
	assert_int_equal(play.calls, 0);
}

/* {status 1 {code 1}, denied_response 2 {status 1 {code 1}}} */
static void add_refusal(struct protobuf_writer *w, uint16_t status)
{
	protobuf_open(w, 1);
	protobuf_number(w, 1, 7);
	protobuf_close(w);
	protobuf_open(w, 2);
	protobuf_open(w, 1);
	protobuf_number(w, 1, status);
	protobuf_close(w);
	protobuf_close(w);
}

/* {overall_code 1, response_headers_to_add 3 {key 1, value 2}} */
static void add_limit(struct protobuf_writer *w, uint64_t code)
{
	protobuf_number(w, 1, code);
	protobuf_entry(w, 3, SPAN("x-a"), SPAN("1\r\nx-b: 2"));
}

PLAY_TEST(a_refusal_that_cannot_be_passed_on_admits_nobody)
{
	struct ext_authz_policy http = over_http(CALLOUT_FAILURE_ALLOW);
	struct ext_authz_policy grpc = { .ref = &play.ref, .failure_mode = CALLOUT_FAILURE_ALLOW };
	struct guard_answer answer;
	struct protobuf_writer w;
	struct buf out;

	/* Its body was too large, or the connection ended in it. */
	play.reply.fault = SPAN("a response that is too large");
	play.reply.status = 403;
	assert_int_equal(decide(ext_authz_check, &http, &answer), GUARD_REFUSE);
	assert_int_equal(answer.status, 403);
	play.reply.status = 200;
	assert_int_equal(decide(ext_authz_check, &http, &answer), GUARD_PASS);
	play.reply.status = 503;
	assert_int_equal(decide(ext_authz_check, &http, &answer), GUARD_PASS);
	/* A refusal with the status of a success. */
	play.reply.fault = (struct span){ 0 };
	play.reply.status = 200;
	buf_init(&out);
	protobuf_init(&w, &out, 4096);
	add_refusal(&w, 200);
	play.reply.body = buf_span(&out);
	assert_int_equal(decide(ext_authz_check, &grpc, &answer), GUARD_REFUSE);
	assert_int_equal(answer.status, 403);
	grpc.failure_mode = CALLOUT_FAILURE_STATUS;
	grpc.failure_status = 503;
	assert_int_equal(decide(ext_authz_check, &grpc, &answer), GUARD_REFUSE);
	assert_int_equal(answer.status, 503);
	buf_done(&out);
}

PLAY_TEST(a_limit_that_is_exceeded_is_refused_whatever_else_the_answer_has)
{
	struct remote_rate_limit policy = { .ref = &play.ref, .failure_mode = CALLOUT_FAILURE_ALLOW };
	struct guard_answer answer;
	struct protobuf_writer w;
	struct buf out;

	play.reply.subject = &policy;
	play.guard.reply = &play.reply;
	for (uint64_t code = 0; code < 3; code++) {
		buf_init(&out);
		protobuf_init(&w, &out, 4096);
		add_limit(&w, code);
		play.reply.body = buf_span(&out);
		answer = (struct guard_answer){ 0 };
		fields_init(&answer.fields, &play.arena);
		assert_int_equal(remote_limit_check(&policy, &play.guard, &answer),
				 code == 2 ? GUARD_REFUSE : GUARD_PASS);
		assert_int_equal(answer.status, code == 2 ? 429 : 0);
		buf_done(&out);
	}
}

static void add_answer(struct buf *out)
{
	struct protobuf_writer w;

	protobuf_init(&w, out, 4096);
	protobuf_open(&w, 1);
	protobuf_close(&w);
	protobuf_open(&w, 3);
	protobuf_open(&w, 2);
	protobuf_entry(&w, 1, SPAN("X-User"), SPAN("alice"));
	protobuf_close(&w);
	protobuf_bytes(&w, 5, SPAN("x-secret"));
	protobuf_open(&w, 6);
	protobuf_entry(&w, 1, SPAN("x-seen"), SPAN("1"));
	protobuf_close(&w);
	protobuf_close(&w);
	assert_int_equal(w.error, 0);
}

/* Everything once, with new memory. */
static int decide_all(void *context)
{
	const struct span *message = context;
	struct ext_authz_policy http, grpc;
	struct guard_answer answer;
	int verdict;

	play_open(64);
	http = over_http(CALLOUT_FAILURE_DENY);
	grpc = (struct ext_authz_policy){ .ref = &play.ref, .failure_mode = CALLOUT_FAILURE_DENY };
	play.jwt = &claims;
	verdict = decide(ext_authz_check, &http, &answer);
	if (verdict != -ENOMEM) {
		assert_int_equal(verdict, GUARD_PASS);
		play.reply.body = *message;
		verdict = decide(ext_authz_check, &grpc, &answer);
	}
	arena_done(&play.arena);
	assert_true(verdict == GUARD_PASS || verdict == -ENOMEM);
	return verdict;
}

TEST(without_memory_nobody_passes)
{
	struct span message;
	struct buf out;

	buf_init(&out);
	add_answer(&out);
	message = buf_span(&out);
	assert_true(alloc_fail_each(decide_all, &message) > 3);
	buf_done(&out);
}
