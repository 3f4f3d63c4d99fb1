/* SPDX-License-Identifier: Apache-2.0 */
/* Expressions beyond their limits, without memory, and claims that are refused. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "tests/lib/alloc.h"
#include "tests/unit/expression_world.h"

/* ---- limits */

static enum expression_truth test_with(const char *text, struct world *world)
{
	struct expression expression;

	compile(text, EXPRESSION_AT_END, &expression);
	return expression_test(&expression, &world->facts);
}

/* A list claim of so many numbers. */
static void long_claim(struct world *world, size_t count)
{
	char *text = malloc(count * 2 + 16);
	size_t len = (size_t)sprintf(text, "{\"n\":[1");

	while (--count)
		len += (size_t)sprintf(text + len, ",1");
	strcpy(text + len, "]}");
	world->claims = json_of(text, 0);
	free(text);
}

TEST(a_body_gets_the_memory_and_the_steps_that_it_needs)
{
	enum { BODY = 300000, LARGE = 2 * BODY };
	char *body = malloc(BODY), *large = malloc(LARGE);
	struct expression expression;
	struct world world;
	struct span text;

	world_make(&world);
	memset(body, 'a', BODY);
	world.facts.request_body = span_of(body, BODY);
	compile("request.body.replace('a', 'bb')", EXPRESSION_AT_TRANSFORM, &expression);
	assert_int_equal(expression_text(&expression, &world.facts, &text), -E2BIG);
	expression_scratch_init(&world.scratch);
	world.scratch.large = large;
	world.scratch.large_bytes = LARGE;
	assert_int_equal(expression_text(&expression, &world.facts, &text), 0);
	assert_int_equal(text.len, LARGE);
	assert_ptr_equal(text.data, large);
	assert_memory_equal(text.data + LARGE - 3, "bbb", 3);
	/* One byte too many. */
	compile("request.body.replace('a', 'bb') + '.'", EXPRESSION_AT_TRANSFORM, &expression);
	world.scratch.used = 0;
	assert_int_equal(expression_text(&expression, &world.facts, &text), -E2BIG);
	compile("toJson(request.body)", EXPRESSION_AT_TRANSFORM, &expression);
	world.scratch.used = 0;
	assert_int_equal(expression_text(&expression, &world.facts, &text), 0);
	assert_int_equal(text.len, BODY + 2);
	free(body);
	free(large);
}

TEST(a_tree_that_would_be_too_large_is_told_by_its_text)
{
	char text[2 * LIMIT_EXPRESSION_JSON_VALUES];

	for (size_t i = 0; i < sizeof(text); i++)
		text[i] = i % 2 ? ',' : i ? '1' : '[';
	assert_true(expression_json_is_small(span_of(text, sizeof(text) - 3)));
	assert_false(expression_json_is_small(span_of(text, sizeof(text) - 1)));
	memset(text, 'a', sizeof(text));
	assert_true(expression_json_is_small(span_of(text, sizeof(text))));
}

TEST(a_client_cannot_make_a_rule_pass_by_reaching_a_limit)
{
	static char long_value[LIMIT_EXPRESSION_SCRATCH_BYTES + 1];
	struct world world;

	world_make(&world);
	memset(long_value, 'a', sizeof(long_value));
	assert_int_equal(
		fields_add(&world.request.fields, SPAN("x-long"), span_of(long_value, sizeof(long_value))),
		0);
	/* memory */
	assert_int_equal(test_with("request.headers['x-long'].lowerAscii() == 'b'", &world),
			 EXPRESSION_GAVE_UP);
	assert_int_equal(test_with("!(request.headers['x-long'].upperAscii() == 'b')", &world),
			 EXPRESSION_GAVE_UP);
	assert_int_equal(test_with("request.headers['x-long'].upperAscii() == 'b' || true", &world),
			 EXPRESSION_GAVE_UP);
	assert_int_equal(test_with("default(request.headers['x-long'].upperAscii(), 'a') == 'b'", &world),
			 EXPRESSION_GAVE_UP);
	assert_int_equal(test_with("has(jwt.sub) && request.headers['x-long'].split('a').size() > 1", &world),
			 EXPRESSION_GAVE_UP);
	assert_int_equal(test_with("true || request.headers['x-long'].upperAscii() == 'b'", &world),
			 EXPRESSION_IS_TRUE);
	/* without memory for it */
	assert_int_equal(test_with("request.headers['x-long'].size() == 8193", &world), EXPRESSION_IS_TRUE);
	world.facts.scratch = NULL;
	assert_int_equal(test_with("request.headers['x-two'] == 'good'", &world), EXPRESSION_GAVE_UP);
	assert_int_equal(test_with("request.headers['x-long'].contains('b')", &world), EXPRESSION_IS_FALSE);
	world.facts.scratch = &world.scratch;
	/* steps */
	long_claim(&world, 3000);
	assert_int_equal(test_with("jwt.n.exists(i, i == 2)", &world), EXPRESSION_IS_FALSE);
	assert_int_equal(test_with("jwt.n.exists(i, jwt.n.exists(j, i + j == 5))", &world),
			 EXPRESSION_GAVE_UP);
	assert_int_equal(test_with("jwt.n.all(i, jwt.n == jwt.n)", &world), EXPRESSION_GAVE_UP);
	assert_int_equal(test_with("request.headers['x-long'].matches('b')", &world), EXPRESSION_IS_FALSE);
	assert_int_equal(test_with("jwt.n.exists(i, request.headers['x-long'].matches('b'))", &world),
			 EXPRESSION_GAVE_UP);
	long_claim(&world, LIMIT_EXPRESSION_STEPS + 1);
	assert_int_equal(test_with("2 in jwt.n", &world), EXPRESSION_GAVE_UP);
	assert_int_equal(test_with("!(2 in jwt.n)", &world), EXPRESSION_GAVE_UP);
}

static bool gives_up(const char *first, const char *each, int times, struct world *world)
{
	struct expression expression;
	struct expression_value value;
	struct text text;

	text_init(&text);
	text_str(&text, first);
	while (times--)
		text_str(&text, each);
	compile(text.data, EXPRESSION_AT_END, &expression);
	expression_scratch_init(&world->scratch);
	value = expression_evaluate(&expression, &world->facts);
	text_done(&text);
	if (value.type == EXPRESSION_NONE && value.gave_up)
		return true;
	assert_int_equal(value.type, EXPRESSION_LIST);
	return false;
}

/* Each step doubles what a copy would take, and adds a few bytes to the scratch memory. */
TEST(a_value_with_more_parts_than_steps_gives_up)
{
	static char long_value[LIMIT_EXPRESSION_SCRATCH_BYTES];
	struct world world;

	world_make(&world);
	assert_false(gives_up("[1]", ".map(a, [a, a])", 12, &world));
	assert_true(gives_up("[1]", ".map(a, [a, a])", 20, &world));
	assert_false(gives_up("[1]", ".map(a, {'x': a, 'y': a})", 12, &world));
	assert_true(gives_up("[1]", ".map(a, {'x': a, 'y': a})", 20, &world));
	/* Few parts with many bytes. */
	memset(long_value, 'a', sizeof(long_value));
	assert_int_equal(
		fields_add(&world.request.fields, SPAN("x-long"), span_of(long_value, sizeof(long_value))),
		0);
	assert_false(gives_up("[request.headers['x-long']]", ".map(a, [a, a])", 7, &world));
	assert_true(gives_up("[request.headers['x-long']]", ".map(a, [a, a])", 8, &world));
}

/* Texts that a condition makes for one item are gone with the next. */
TEST(conditions_give_their_memory_back)
{
	struct expression expression;
	struct world world;
	struct text json;

	world_make(&world);
	text_init(&json);
	text_str(&json, "{\"g\": [\"0123456789\"");
	for (int i = 0; i < 2000; i++)
		text_str(&json, ", \"0123456789\"");
	text_str(&json, "]}");
	world.claims = json_of(json.data, 0);
	expression_scratch_init(&world.scratch);
	compile("jwt.g.exists(g, g.upperAscii() == 'X')", EXPRESSION_AT_END, &expression);
	assert_int_equal(expression_test(&expression, &world.facts), EXPRESSION_IS_FALSE);
	assert_int_equal(world.scratch.used, 0);
	text_done(&json);
}

/* ---- lack of memory */

static int compile_once(void *context)
{
	char error[EXPRESSION_ERROR_BYTES];
	struct expression expression;
	struct arena own;
	int result;

	arena_init(&own, 64);
	result = expression_compile(
		SPAN("jwt.groups.exists(g, g.matches('a\\\\d')) && coalesce('\\t', jwt.a) in "
		     "[request.path, 'b'] && source.address in ['10.0.0.1'] && "
		     "has(mcp.tool)"),
		EXPRESSION_AT_MCP, &own, &expression, error);
	arena_done(&own);
	(void)context;
	return result;
}

TEST(lack_of_memory_is_said_and_patterns_are_freed)
{
	assert_true(alloc_fail_each(compile_once, NULL) > 20);
}

/* ---- trees */

TEST(claims_that_readers_disagree_about_are_refused)
{
	(void)json_of("{\"a\": 1, \"a\": 2}", -EBADMSG);
	(void)json_of("{\"a\": 1, \"\\u0061\": 2}", -EBADMSG);
	(void)json_of("{\"a\": {\"b\": 1, \"b\": 1}}", -EBADMSG);
	(void)json_of("{\"a\": 1", -EBADMSG);
	(void)json_of("", -EBADMSG);
	(void)json_of("{\"a\": \"\xff\"}", -EBADMSG);
}

static int read_once(void *context)
{
	struct mcp_json_checker *checker = context;
	struct expression_value value;
	struct arena own;
	int result;

	arena_init(&own, 64);
	result = expression_json(span_str(claims_json), checker, &own, &value);
	arena_done(&own);
	return result;
}

TEST(claims_are_read_or_lack_memory)
{
	struct mcp_json_checker *checker = mcp_json_checker_create();

	assert_non_null(checker);
	assert_true(alloc_fail_each(read_once, checker) > 5);
	mcp_json_checker_free(checker);
}
