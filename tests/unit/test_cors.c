/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/guard/cors.h"
#include "tests/lib/alloc.h"
#include "tests/lib/test_arena.h"
#include "tests/unit/config_text.h"
#include "tests/unit/policy_model.h"

TEST_ARENA(arena, 4096);

static struct config_case loaded;

/* The policy, as a standalone file has it. */
static const struct cors_policy *policy_of(const char *members)
{
	char text[1024];

	snprintf(text, sizeof(text),
		 "binds: [{port: 80, listeners: [{routes: [{backends: [{host: 'a:1'}],"
		 " policies: {cors: {%s}}}]}]}]\n",
		 members);
	config_case_text(&loaded, text);
	config_case_accepted(&loaded);
	return loaded.snapshot->bind_list[0]
		.listener_list[0]
		.route_list[0]
		.inline_policies.value_list[0]
		.object;
}

struct row {
	const char *name;
	const char *policy;
	const char *method;
	const char *request; /* "name: value\n"... */
	int verdict;
	const char *fields; /* of the response, in order, without Vary and without removals */
};

static void add_lines(struct fields *fields, const char *lines)
{
	struct span rest = span_str(lines), line;

	while (span_split(&rest, '\n', &line)) {
		ptrdiff_t colon = span_find(line, ':');

		if (colon > 0)
			assert_int_equal(fields_add(fields, span_first(line, (size_t)colon),
						    span_trim(span_from(line, (size_t)colon + 1))),
					 0);
	}
}

static int decide(const struct cors_policy *policy, const char *method, const char *lines,
		  struct fields *ret_fields)
{
	struct request_head head = head_of(&arena, method, "a.test", "/");
	struct guard_facts facts = { .head = &head, .scheme = SPAN("http") };
	struct guard_answer answer = { 0 };
	int verdict;

	fields_init(&answer.fields, &arena);
	add_lines(&head.fields, lines);
	verdict = cors_check(policy, &facts, &answer);
	if (verdict == GUARD_ANSWER) {
		assert_int_equal(answer.status, 200);
		assert_int_equal(answer.body.len, 0);
	}
	*ret_fields = answer.fields;
	return verdict;
}

#define LISTS                                                                                                \
	"allowOrigins: ['https://a.test', 'https://*.b.test'], allowMethods: [GET, PUT], "                   \
	"allowHeaders: [x-one, x-two], exposeHeaders: [x-three, x-four], maxAge: 1h"
#define ALL "allowOrigins: ['*'], allowMethods: ['*'], allowHeaders: ['*'], exposeHeaders: ['*']"
#define CREDENTIALS ", allowCredentials: true"
#define ASKS "Access-Control-Request-Method: PUT\n"
#define NAMES "Access-Control-Request-Headers: x-one, x-two\n"

static struct row cors_rows[] = {
	{ "without Origin", LISTS, "GET", "", GUARD_PASS, "" },
	{ "allowed", LISTS, "GET", "Origin: https://a.test\n", GUARD_PASS,
	  "access-control-allow-origin: https://a.test\naccess-control-expose-headers: x-three, x-four\n" },
	{ "allowed by wildcard", LISTS, "GET", "Origin: https://x.y.b.test\n", GUARD_PASS,
	  "access-control-allow-origin: https://x.y.b.test\n"
	  "access-control-expose-headers: x-three, x-four\n" },
	{ "with credentials", LISTS CREDENTIALS, "GET", "Origin: https://a.test\n", GUARD_PASS,
	  "access-control-allow-origin: https://a.test\naccess-control-allow-credentials: true\n"
	  "access-control-expose-headers: x-three, x-four\n" },
	{ "another origin is served without fields", LISTS CREDENTIALS, "POST", "Origin: https://c.test\n",
	  GUARD_PASS, "" },
	{ "two Origin fields are none", LISTS, "GET", "Origin: https://a.test\nOrigin: https://a.test\n",
	  GUARD_PASS, "" },
	{ "null is not allowed", LISTS, "GET", "Origin: null\n", GUARD_PASS, "" },
	{ "null without credentials reads what all may read", ALL, "GET", "Origin: null\n", GUARD_PASS,
	  "access-control-allow-origin: *\naccess-control-expose-headers: *\n" },
	{ "null never has credentials", ALL CREDENTIALS, "GET", "Origin: null\n", GUARD_PASS, "" },
	{ "preflight", LISTS, "OPTIONS", "Origin: https://a.test\n" ASKS NAMES, GUARD_ANSWER,
	  "access-control-allow-origin: https://a.test\naccess-control-expose-headers: x-three, x-four\n"
	  "access-control-allow-methods: GET, PUT\naccess-control-allow-headers: x-one, x-two\n"
	  "access-control-max-age: 3600\n" },
	{ "preflight of another origin", LISTS, "OPTIONS", "Origin: https://c.test\n" ASKS, GUARD_ANSWER,
	  "" },
	{ "OPTIONS without a method is no preflight", LISTS, "OPTIONS", "Origin: https://a.test\n",
	  GUARD_PASS,
	  "access-control-allow-origin: https://a.test\naccess-control-expose-headers: x-three, x-four\n" },
	{ "OPTIONS without an origin is no preflight", LISTS, "OPTIONS", ASKS, GUARD_PASS, "" },
	{ "GET is no preflight", LISTS, "GET", "Origin: https://c.test\n" ASKS, GUARD_PASS, "" },
	{ "all without credentials", ALL, "OPTIONS", "Origin: https://c.test:99\n" ASKS, GUARD_ANSWER,
	  "access-control-allow-origin: https://c.test:99\naccess-control-expose-headers: *\n"
	  "access-control-allow-methods: PUT\naccess-control-allow-headers: *\n" },
	{ "all with credentials", ALL CREDENTIALS, "OPTIONS", "Origin: https://c.test\n" ASKS NAMES,
	  GUARD_ANSWER,
	  "access-control-allow-origin: https://c.test\naccess-control-allow-credentials: true\n"
	  "access-control-allow-methods: PUT\naccess-control-allow-headers: x-one, x-two\n" },
	{ "all with credentials, no names asked", ALL CREDENTIALS, "OPTIONS", "Origin: https://c.test\n" ASKS,
	  GUARD_ANSWER,
	  "access-control-allow-origin: https://c.test\naccess-control-allow-credentials: true\n"
	  "access-control-allow-methods: PUT\n" },
	{ "what is not a list of names is not repeated", ALL CREDENTIALS, "OPTIONS",
	  "Origin: https://c.test\n" ASKS "Access-Control-Request-Headers: <script>\n", GUARD_ANSWER,
	  "access-control-allow-origin: https://c.test\naccess-control-allow-credentials: true\n"
	  "access-control-allow-methods: PUT\n" },
	{ "nothing configured", "", "OPTIONS", "Origin: https://a.test\n" ASKS, GUARD_ANSWER, "" },
};

static void cors_row(void **state)
{
	const struct row *row = *state;
	struct fields fields;
	struct text found;

	text_init(&found);
	assert_int_equal(decide(policy_of(row->policy), row->method, row->request, &fields), row->verdict);
	assert_true(span_eq(fields_find(&fields, SPAN("vary"))->value, SPAN("Origin")));
	for (uint32_t i = 0; i < fields.count; i++) {
		const struct field *field = &fields.list[i];

		if (field->value.len && !span_eq(field->name, SPAN("vary")))
			text_fmt(&found, "%.*s: %.*s\n", SPAN_FMT(field->name), SPAN_FMT(field->value));
	}
	text_char(&found, '\0');
	assert_string_equal(text_span(&found).data, row->fields);
	text_done(&found);
	config_case_done(&loaded);
}
TEST_ROWS(cors_row, cors_rows);

TEST(fields_of_the_policy_replace_those_of_the_backend)
{
	const struct cors_policy *policy = policy_of("allowOrigins: ['https://a.test']");
	struct fields guard_fields, response;

	decide(policy, "GET", "Origin: https://c.test\n", &guard_fields);
	fields_init(&response, &arena);
	add_lines(&response, "Access-Control-Allow-Origin: *\nAccess-Control-Allow-Credentials: true\n"
			     "Vary: accept , ORIGIN\nX-Other: 1\n");
	assert_int_equal(guard_apply(&guard_fields, &response), 0);
	assert_int_equal(response.count, 2);
	assert_non_null(fields_find(&response, SPAN("x-other")));
	assert_non_null(fields_find(&response, SPAN("vary")));
	decide(policy, "GET", "Origin: https://a.test\n", &guard_fields);
	fields_init(&response, &arena);
	add_lines(&response, "Access-Control-Allow-Origin: *\nVary: Accept\n");
	assert_int_equal(guard_apply(&guard_fields, &response), 0);
	assert_int_equal(response.count, 3);
	assert_true(span_eq(fields_find(&response, SPAN("access-control-allow-origin"))->value,
			    SPAN("https://a.test")));
	config_case_done(&loaded);
}

static int run(void *context)
{
	struct arena small;
	struct request_head head;
	struct guard_facts facts = { .head = &head };
	struct guard_answer answer = { 0 };
	int verdict;

	head = head_of(&arena, "OPTIONS", "a.test", "/");
	add_lines(&head.fields, "Origin: https://a.test\n" ASKS NAMES);
	arena_init(&small, 64);
	fields_init(&answer.fields, &small);
	verdict = cors_check(context, &facts, &answer);
	arena_done(&small);
	assert_true(verdict == GUARD_ANSWER || verdict == -ENOMEM);
	return verdict == GUARD_ANSWER ? 0 : verdict;
}

TEST(without_memory_nothing_is_permitted)
{
	const struct cors_policy *policy = policy_of(LISTS);

	assert_true(alloc_fail_each(run, (void *)policy) > 0);
	config_case_done(&loaded);
}
