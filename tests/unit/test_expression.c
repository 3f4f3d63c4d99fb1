/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "policy/expression/expression.h"
#include "tests/lib/alloc.h"
#include "tests/lib/test.h"
#include "user/base/check.h"
#include "user/base/limits.h"

static void fill_request(struct request_head *request, struct fields *response, struct arena *arena)
{
	*request = (struct request_head){
		.method = METHOD_GET,
		.method_text = SPAN("GET"),
		.target = SPAN("/a/b?c=d"),
		.path = SPAN("/a/b"),
		.authority = SPAN("shop.example.com"),
	};
	fields_init(&request->fields, arena);
	assert_int_equal(fields_add(&request->fields, SPAN("X-Chaos"), SPAN("1")), 0);
	fields_init(response, arena);
	assert_int_equal(fields_add(response, SPAN("grpc-status"), SPAN("14")), 0);
}

/* ---- values */

static struct expression_value value_of(const char *text, uint16_t code, bool has_response)
{
	char error[EXPRESSION_ERROR_BYTES] = "";
	struct expression expression;
	struct expression_value value;
	struct request_head request;
	struct fields response;
	struct arena arena;
	struct expression_facts facts = { .request = &request, .response_code = code, .random = 42 };

	arena_init(&arena, 4096);
	fill_request(&request, &response, &arena);
	facts.response_fields = has_response ? &response : NULL;
	if (expression_compile(span_str(text), EXPRESSION_AT_RESPONSE, &arena, &expression, error) != 0)
		fail_msg("%s: %s", text, error);
	value = expression_evaluate(&expression, &facts);
	/* What may have no value has one of the announced type, or none. */
	if (value.type != expression.type && value.type != EXPRESSION_NONE &&
	    !(expression.type == EXPRESSION_DOUBLE && value.type == EXPRESSION_INT))
		fail_msg("%s is %s and not %s", text, expression_type_name(value.type),
			 expression_type_name(expression.type));
	arena_done(&arena);
	return value;
}

static const struct {
	const char *text;
	bool is_true;
} truths[] = {
	{ "true", true },
	{ "false", false },
	{ "!false", true },
	{ "!(1 == 1)", false },
	{ "response.code >= 500", true },
	{ "response.code > 503", false },
	{ "response.code <= 503", true },
	{ "response.code < 503", false },
	{ "response.code == 503", true },
	{ "response.code != 503", false },
	{ "response.code in [500, 503]", true },
	{ "response.code in [500, 502]", false },
	{ "response.code in []", false },
	{ "response.code == 429 || response.code >= 500", true },
	{ "response.code == 429 || response.code == 430", false },
	{ "response.code >= 500 && response.code != 501", true },
	{ "false && true || true", true },
	{ "true || true && false", true },
	{ "response.headers[\"grpc-status\"] == \"14\"", true },
	{ "response.headers['Grpc-Status'] != '0'", true },
	{ "'grpc-status' in response.headers", true },
	{ "'x-none' in response.headers", false },
	{ "request.method == \"GET\"", true },
	{ "request.method in ['PUT', 'POST']", false },
	{ "request.path.startsWith('/a')", true },
	{ "request.path.startsWith('/b')", false },
	{ "request.path.endsWith('/b')", true },
	{ "request.path.contains('/b?')", false },
	{ "request.uri.contains('/b?c')", true },
	{ "request.uri.contains('')", true },
	{ "request.host == 'shop.example.com'", true },
	{ "request.headers[\"x-chaos\"] == \"1\"", true },
	{ "'a' < 'b' && 'ab' > 'a'", true },
	{ "true != false", true },
	{ "duration('1s') > duration(\"999ms\")", true },
	{ "1 + 2 * 3 == 7 && (1 + 2) * 3 == 9", true },
	{ "10 - 3 - 2 == 5 && 100 / 10 / 5 == 2", true },
	{ "7 % 4 == 3 && -7 / 2 == -3", true },
	{ "7 / 2 == 3 && 7.0 / 2 == 3.5", true },
	{ "1 < 1.5 && 2.0 == 2", true },
	{ "int(3.9) == 3 && int(-3.9) == -3 && double(3) / 2 == 1.5", true },
	{ "(response.code >= 500 ? 1 : 2) == 1", true },
	{ "(false ? 1 : true ? 2 : 3) == 2", true },
	{ "random() >= 0.0 && random() < 1.0", true },
	{ "random() == random()", false },
	/* without a value on one side, where the other decides */
	{ "request.headers['no'] == '1' || true", true },
	{ "true || request.headers['no'] == '1'", true },
	{ "request.headers['no'] == '1' && false", false },
	{ "false && 1 / 0 == 1", false },
	/* NaN: equal to nothing */
	{ "0.0 / 0.0 == 0.0 / 0.0", false },
	{ "0.0 / 0.0 != 0.0 / 0.0", true },
	{ "0.0 / 0.0 < 1.0", false },
};

TEST(conditions_are_true_or_false_as_in_cel)
{
	for (size_t i = 0; i < ARRAY_LEN(truths); i++) {
		struct expression_value value = value_of(truths[i].text, 503, true);

		if (value.type != EXPRESSION_BOOL || value.is_true != truths[i].is_true)
			fail_msg("%s is not %s", truths[i].text, truths[i].is_true ? "true" : "false");
	}
}

TEST(what_has_no_value_says_so)
{
	static const char *const texts[] = {
		"request.headers['no'] == '1'",
		"request.headers.no == '1'",
		"!(request.headers['no'] == '1')",
		"request.headers['no'].startsWith('a')",
		"request.headers['no'] == '1' || false",
		"true && request.headers['no'] == '1'",
		"request.headers['no'] in ['a']",
		"(request.headers['no'] == '1') ? 1 : 2",
		"1 / 0",
		"1 % 0",
		"9223372036854775807 + 1",
		"-9223372036854775807 - 2",
		"9223372036854775807 * 2",
		"(-9223372036854775807 - 1) / -1",
		"-(-9223372036854775807 - 1)",
		"int(1.0 / 0.0)",
		"int(0.0 / 0.0)",
		"double(1 / 0)",
	};

	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		if (value_of(texts[i], 503, true).type != EXPRESSION_NONE)
			fail_msg("%s has a value", texts[i]);
	}
	assert_int_equal(value_of("response.headers['grpc-status'] == '14'", 503, false).type,
			 EXPRESSION_NONE);
	assert_false(value_of("'grpc-status' in response.headers", 503, false).is_true);
}

TEST(numbers_and_durations_come_out)
{
	assert_int_equal(value_of("duration(\"1.5s\")", 200, true).duration_ns, 1500000000);
	assert_int_equal(value_of("response.code * 2", 200, true).whole, 400);
	assert_true(value_of("0.25 + 0.25", 200, true).decimal == 0.5);
	assert_int_equal(value_of("true ? 500 : 0", 200, true).whole, 500);
	assert_int_equal(value_of("int(random() * 500)", 200, true).whole,
			 value_of("int(random() * 500.0)", 200, true).whole);
}

/* 1000 numbers: none outside, and the share below 0.1 is about a tenth. */
TEST(random_is_spread_evenly)
{
	char error[EXPRESSION_ERROR_BYTES];
	struct expression expression;
	struct request_head request;
	struct fields response;
	struct arena arena;
	unsigned int hits = 0;

	arena_init(&arena, 4096);
	fill_request(&request, &response, &arena);
	assert_int_equal(expression_compile(SPAN("random() < 0.1 ? 500 : 0"), EXPRESSION_AT_HEAD, &arena,
					    &expression, error),
			 0);
	for (uint64_t i = 0; i < 1000; i++) {
		struct expression_facts facts = { .request = &request, .random = i };

		hits += expression_evaluate(&expression, &facts).whole == 500;
	}
	assert_in_range(hits, 70, 130);
	arena_done(&arena);
}

/* ---- refusals */

static const struct {
	const char *text;
	const char *sentence;
} refusals[] = {
	{ "", "at character 1: expected a value, and the text ends" },
	{ "response.code >=", "at character 17: expected a value, and the text ends" },
	{ "response.code >= 500)", "at character 21: ) is left over" },
	{ "response.code = 500", "at character 15: = is no operator; write ==" },
	{ "true & false", "write &&" },
	{ "true | false", "write ||" },
	{ "true ; false", "; is not understood" },
	{ "response.status >= 500", "at character 1: response.status is not known; there are response.code, "
				    "response.headers" },
	{ "request.hots == ''", "request.hots is not known, perhaps request.host; there are request.method" },
	{ "request.bodies == ''", "request.bodies is not known; there are request.method, request.path, " },
	{ "response", "at character 9: expected a member, as in response.code" },
	{ "source.identity == 'a'", "expected a member, as in source.identity.trustDomain" },
	{ "respone.code == 1", "respone is not known; when there is a response there are request, source, "
			       "destination, jwt" },
	{ "jtw.sub == 'a'", "jtw is not known, perhaps jwt; when there is a response there are" },
	{ "llm.model == 'a'", "llm is not known: the gateway does not read requests to models" },
	{ "mcp.tool.name == 'a'", "mcp.tool.name does not exist here, only for messages to MCP backends" },
	{ "abcdefgh(1)", "abcdefgh() is not known; there are has(), default()" },
	{ "strin(1)", "strin() is not known, perhaps string(); there are" },
	{ "startsWith('a', 'b')", "startsWith() is called with a value and a dot before it, as in request." },
	{ "request.path.cidr('a')", "cidr() is called without a value and a dot before it, as in cidr(" },
	{ "request.path.begin('a')",
	  "begin() is not known; a text has startsWith(), endsWith(), contains()" },
	{ "request.path.startWith('a')", "startWith() is not known, perhaps startsWith(); a text has" },
	{ "request.headers.raw()", "raw() is not known; a set of headers has cookie()" },
	{ "(1).foo()", "foo() is not known; a whole number has no methods" },
	{ "request.path.size", "at character 14: size is called, as in jwt.groups.size() > 0" },
	{ "request.path.name", "name is not known; a text has no members" },
	{ "request.path.", "expected a name after the dot" },
	{ "response.code.startsWith('5')", "startsWith() needs a text before the dot, not a whole number" },
	{ "request.path.startsWith(5)", "at character 25: startsWith() needs a text, not a whole number" },
	{ "request.path.startsWith()",
	  "startsWith() has another number of values; write it as in request.path" },
	{ "request.path.startsWith('a', 'b')", "startsWith() has another number of values" },
	{ "request.path.split('a', 1, 2)", "split() has another number of values" },
	{ "size()", "expected a value before )" },
	{ "size(1)", "size() needs a text, a list or a map, not a whole number" },
	{ "response.code == '500'", "== cannot compare a whole number with a text" },
	{ "response.headers == 'a'", "== cannot compare a set of headers with a text" },
	{ "response.headers[1] == 'a'", "headers[] needs a text, not a whole number" },
	{ "request.path['a']", "[] works on headers, lists and claims, not on a text" },
	{ "jwt[true]", "[] needs a name or a position, not true or false" },
	{ "[1, 2]['a']", "[] needs a whole number, not a text" },
	{ "response.headers. ", "expected the name of a header" },
	{ "response.code in 500", "in needs a list" },
	{ "response.code in ['500']", "in compares a whole number with a list of another type" },
	{ "1 in response.headers", "in headers needs a text, not a whole number" },
	{ "1 in [1, 'a']", "the items of a list are of one type, and this one is a text" },
	{ "1 in [1, 2", "expected ]" },
	{ "{a: 1}", "a map has names in quotes" },
	{ "{'a' 1}", "expected :" },
	{ "{'a': 1", "expected }" },
	{ "{'a': 1,}", "a map has names in quotes" },
	{ "{'b': 1, 'a': 2, 'b': 3}", "a map has each name once" },
	{ "{'a': request.headers}", "a set of headers cannot be a member" },
	{ "[1].filterKeys(k, true)",
	  "filterKeys() needs a map or a set of headers before the dot, not a list" },
	{ "request.headers.filterKeys(k, 1)", "filterKeys() needs true or false" },
	{ "1 && true", "&& needs true or false, not a whole number" },
	{ "true || 'a'", "|| needs true or false, not a text" },
	{ "!1", "! needs true or false, not a whole number" },
	{ "-'a'", "- needs a number, not a text" },
	{ "'a' + 1",
	  "+ joins two texts or adds two numbers, and here are a text and a whole number; string() "
	  "makes a text" },
	{ "'a' - 'b'", "- needs a number, not a text" },
	{ "duration('1s') * 2", "* needs a number, not a duration" },
	{ "1.0 % 2", "% needs whole numbers" },
	{ "1 < 2 < 3", "comparisons do not chain" },
	{ "null < null", "< cannot compare null with null" },
	{ "source.address < '10.0.0.1'", "< cannot compare an address with a text" },
	{ "source.address == 'example.com'", "example.com is no IP address" },
	{ "source.address in ['10.0.0.1', 'a']", "a is no IP address" },
	{ "source.address == '10.0.0.0/8'",
	  "an address is no network; write cidr(\"10.0.0.0/8\").containsIP(" },
	{ "cidr('10.0.0.0/33')", "10.0.0.0/33 is no network; write cidr(\"10.0.0.0/8\")" },
	{ "cidr('host')", "host is no network" },
	{ "cidr(request.path)", "cidr() needs a text in quotes, as in cidr(\"10.0.0.0/8\")" },
	{ "request.path.matches('(a')", "at character 22: this regular expression does not compile: " },
	{ "request.path.matches(request.uri)", "matches() needs a text in quotes" },
	{ "1 ? 2 : 3", "? needs true or false, not a whole number" },
	{ "true ? 1 : 'a'", "both values of ?: are of one type, not a whole number and a text" },
	{ "true ? request.headers : request.headers", "both values of ?: are of one type" },
	{ "true ? 1", "expected :" },
	{ "default(1, 'a')", "the values of default() are of one type" },
	{ "default(1)", "default() has another number of values; write it as in default(" },
	{ "coalesce(1, 'a')", "the values of coalesce() are of one type" },
	{ "coalesce(1,2,3,4,5,6,7,8,9)", "coalesce() has at most 8 values" },
	{ "has(1)", "has() needs the name of a value, as in has(jwt.sub)" },
	{ "has(nobody)", "nobody is not known" },
	{ "has(mcp)", "mcp does not exist here, only for messages to MCP backends" },
	{ "random(1)", "expected ) before 1" },
	{ "[1].exists(1, true)", "exists() needs a name for the items, as in jwt.groups.exists(" },
	{ "[1].exists(x)", "expected , before )" },
	{ "[1].exists(x, 5)", "exists() needs true or false, not a whole number" },
	{ "[1].exists(x, true) && x == 1", "x is not known" },
	{ "[1].all(a,[1].all(b,[1].all(c,[1].all(d,[1].all(e,true)))))", "at most 4 of exists(), all()" },
	{ "int(true)", "int() needs a number or a text, not true or false" },
	{ "duration(5)", "duration() needs a text in quotes, as in request.endTime" },
	{ "duration('5')", "at character 10: this duration" },
	{ "duration('1s'", "expected )" },
	{ "500ms", "has letters behind a number" },
	{ "99999999999999999999", "is too large a number" },
	{ "'abc", "has no closing quote" },
	{ "'abc\\'", "has no closing quote" },
	{ "'''abc'''", "begins with three quotes" },
	{ "'a\\q' == request.path", "a\\q has an unknown escape; write \\\\ for a backslash" },
	{ "'\\u00' == request.path", "has an unknown escape" },
	{ "'\\x00' == request.path", "has an unknown escape" },
	{ "'\\ud800' == request.path", "has an unknown escape" },
	{ "()", "expected a value before )" },
	{ "request.body == 'a'", "request.body does not exist here, only in transformations of requests" },
	{ "json(request.uri)",
	  "json() reads only request.body and response.body, as in json(request.body).model" },
	{ "json()", "expected" },
};

TEST(every_refusal_says_where_and_what_to_write)
{
	size_t others = 0;

	for (size_t i = 0; i < ARRAY_LEN(refusals); i++) {
		char error[EXPRESSION_ERROR_BYTES] = "";
		struct expression expression;
		struct arena arena;
		int result;

		arena_init(&arena, 4096);
		result = expression_compile(span_str(refusals[i].text), EXPRESSION_AT_RESPONSE, &arena,
					    &expression, error);
		if (result != -EINVAL || !strstr(error, refusals[i].sentence))
			print_error("%s gives %d, \"%s\" instead of \"%s\"\n", refusals[i].text, result,
				    error, refusals[i].sentence),
				others++;
		arena_done(&arena);
	}
	assert_int_equal(others, 0);
}

TEST(a_request_has_no_response)
{
	char error[EXPRESSION_ERROR_BYTES];
	struct expression expression;
	struct arena arena;

	arena_init(&arena, 4096);
	assert_int_equal(expression_compile(SPAN("response.code == 1 ? 5 : 6"), EXPRESSION_AT_HEAD, &arena,
					    &expression, error),
			 -EINVAL);
	assert_string_equal(error, "at character 1: response.code does not exist here, only when there is a "
				   "response; before authentication there are request, source, destination");
	arena_done(&arena);
}

static int compile_repeated(const char *head, const char *part, const char *tail, unsigned int count,
			    char error[EXPRESSION_ERROR_BYTES])
{
	static char text[4 * LIMIT_EXPRESSION_BYTES];
	struct expression expression;
	struct arena arena;
	size_t len = (size_t)sprintf(text, "%s", head);
	int result;

	while (count--)
		len += (size_t)sprintf(text + len, "%s", part);
	len += (size_t)sprintf(text + len, "%s", tail);
	arena_init(&arena, 4096);
	result = expression_compile(span_of(text, len), EXPRESSION_AT_HEAD, &arena, &expression, error);
	arena_done(&arena);
	return result;
}

TEST(depth_and_length_are_bounded)
{
	char error[EXPRESSION_ERROR_BYTES];

	assert_int_equal(compile_repeated("1", " + 1", "", LIMIT_EXPRESSION_DEPTH - 1, error), 0);
	assert_int_equal(compile_repeated("1", " + 1", "", LIMIT_EXPRESSION_DEPTH, error), -EINVAL);
	assert_non_null(strstr(error, "more than 32 parts within each other"));
	assert_int_equal(compile_repeated("true", " || true", "", LIMIT_EXPRESSION_DEPTH, error), -EINVAL);
	assert_int_equal(compile_repeated("1", " * 1", "", LIMIT_EXPRESSION_DEPTH, error), -EINVAL);
	assert_int_equal(compile_repeated("", "(", "1", LIMIT_EXPRESSION_DEPTH, error), -EINVAL);
	assert_non_null(strstr(error, "more than 32 parts within each other"));
	assert_int_equal(compile_repeated("", "!", "true", LIMIT_EXPRESSION_DEPTH, error), -EINVAL);
	assert_int_equal(compile_repeated("", "-", "1", LIMIT_EXPRESSION_DEPTH - 1, error), 0);
	assert_int_equal(compile_repeated("1", " ", "", LIMIT_EXPRESSION_BYTES - 1, error), 0);
	assert_int_equal(compile_repeated("1", " ", "", LIMIT_EXPRESSION_BYTES, error), -EINVAL);
	assert_non_null(strstr(error, "at most 4096 bytes"));
}

TEST(every_prefix_is_refused_or_read_and_nothing_is_read_behind_it)
{
	static const char text[] = "request.headers['x-chaos'] in ['1', '2'] ? int(random() * 500.0) : "
				   "(request.path.startsWith('/a') ? -1 : 0)";

	for (size_t len = 0; len < sizeof(text); len++) {
		char error[EXPRESSION_ERROR_BYTES] = "";
		struct expression expression;
		struct arena arena;
		char *copy = malloc(len ? len : 1);
		int result;

		memcpy(copy, text, len);
		arena_init(&arena, 4096);
		result = expression_compile(span_of(copy, len), EXPRESSION_AT_HEAD, &arena, &expression,
					    error);
		assert_true(result == 0 || (result == -EINVAL && error[0]));
		assert_true(len != sizeof(text) - 1 || result == 0);
		arena_done(&arena);
		free(copy);
	}
}

static int compile_once(void *context)
{
	char error[EXPRESSION_ERROR_BYTES];
	struct expression expression;
	struct arena arena;
	int result;

	arena_init(&arena, 64);
	result = expression_compile(SPAN("request.path in ['/a', '/b'] ? -500 * 2 : int(random())"),
				    EXPRESSION_AT_HEAD, &arena, &expression, error);
	arena_done(&arena);
	(void)context;
	return result;
}

TEST(lack_of_memory_is_said)
{
	assert_true(alloc_fail_each(compile_once, NULL) > 5);
}
