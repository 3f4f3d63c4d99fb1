/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>

#include "config/core/engine/expand.h"
#include "tests/lib/alloc.h"
#include "tests/lib/guard.h"
#include "tests/lib/test.h"
#include "user/base/check.h"
#include "user/base/limits.h"

TEST_GUARD(guard, 256 * 1024);

static const char *lookup(const char *name)
{
	static const char *const variables[][2] = {
		{ "PORT", "8080" },	{ "EMPTY", "" },     { "_x9", "under" },
		{ "HOME", "/home/me" }, { "LINES", "a\nb" }, { "UMLAUT", "gr\xc3\xbc\xc3\x9f" },
		{ "DOLLAR", "$PORT" },
	};

	for (size_t i = 0; i < ARRAY_LEN(variables); i++)
		if (strcmp(name, variables[i][0]) == 0)
			return variables[i][1];
	return NULL;
}

struct expanded {
	struct arena arena;
	struct config_report report;
	struct expansion expansion;
	int result;
	struct text errors;
};

static void expand(struct expanded *e, const char *text)
{
	size_t len = strlen(text);

	*e = (struct expanded){ 0 };
	arena_init(&e->arena, 4096);
	config_report_init(&e->report);
	text_init(&e->errors);
	e->result = expand_text(&e->arena, SPAN("t.yaml"), span_of(guard_end(&guard, text, len), len), lookup,
				&e->report, &e->expansion);
	config_report_print(&e->report, CONFIG_ERROR, "", &e->errors);
}

static void drop(struct expanded *e)
{
	text_done(&e->errors);
	config_report_done(&e->report);
	arena_done(&e->arena);
}

TEST(variables_are_replaced_and_other_dollars_stay)
{
	static const struct {
		const char *text;
		const char *expected;
	} rows[] = {
		{ "", "" },
		{ "port: $PORT", "port: 8080" },
		{ "port: ${PORT}\nx: 1\n", "port: 8080\nx: 1\n" },
		{ "$PORT$PORT${PORT}", "808080808080" },
		{ "a: $_x9-", "a: under-" },
		{ "a: \"$EMPTY\"", "a: \"\"" },
		{ "a: ${EMPTY:-full} ${NONE:-other} ${PORT:-1} ${NONE:-}", "a: full other 8080 " },
		{ "regex: ^/a$\n", "regex: ^/a$\n" },
		{ "regex: \"^/a$\"", "regex: \"^/a$\"" },
		{ "regex: (a$|b$)", "regex: (a$|b$)" },
		{ "price: $5 $ $", "price: $5 $ $" },
		{ "a$", "a$" },
		{ "$$PORT $$ $${PORT}", "$PORT $ ${PORT}" },
		{ "a: $DOLLAR", "a: $PORT" },
		{ "# set $NONE first\n  # and $NONE\na: $PORT # $PORT\n",
		  "# set $NONE first\n  # and $NONE\na: 8080 # 8080\n" },
		{ "host: unix:~/x.sock", "host: unix:/home/me/x.sock" },
		{ "a: ~\nb: ~/x\nc: unix:~x\n", "a: ~\nb: ~/x\nc: unix:~x\n" },
		{ "$PORT\n$PORT", "8080\n8080" },
		/* Complete password hashes, whose salts look like names. */
		{ "  alice:$apr1$YiPZEg5X$zKuMA0QopCi4HIP0BoYbt/\n  port:$PORT\n",
		  "  alice:$apr1$YiPZEg5X$zKuMA0QopCi4HIP0BoYbt/\n  port:8080\n" },
		{ "a: \"b:$2y$05$oSFIIq2nP7SCO/G4qh2AmuoHah3lVicBw2pU11IP8BGd9CG3ZULDm\\n$PORT\"",
		  "a: \"b:$2y$05$oSFIIq2nP7SCO/G4qh2AmuoHah3lVicBw2pU11IP8BGd9CG3ZULDm\\n8080\"" },
		{ "b:$y$j9T$r5FhZZpUIExAkMRz4gOWM/$bfrw7ZKGdrKsFnpOpEwwMGEBdu27aiip0BQi55XINnA",
		  "b:$y$j9T$r5FhZZpUIExAkMRz4gOWM/$bfrw7ZKGdrKsFnpOpEwwMGEBdu27aiip0BQi55XINnA" },
		{ "a: $_x9$PORT$_x9$PORT", "a: under8080under8080" },
		{ "regex: \"a:$5$\"", "regex: \"a:$5$\"" },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct expanded e;

		expand(&e, rows[i].text);
		if (e.result != 0 || !span_eq(e.expansion.text, span_str(rows[i].expected)))
			fail_msg("%s became (%d) %.*s", rows[i].text, e.result, SPAN_FMT(e.expansion.text));
		drop(&e);
	}
}

TEST(faults_name_the_variable_and_its_place)
{
	static const struct {
		const char *text;
		const char *place;
		const char *words;
		uint32_t count;
	} rows[] = {
		{ "a: 1\nb: $NONE\n", "t.yaml:2:4: ", "the environment variable NONE is not set", 1 },
		{ "a: $PORT $NONE", "t.yaml:1:10: ", "${NONE:-default}", 1 },
		{ "a: ${NONE}\nb: $NONE2\n", "t.yaml:1:4: ", "NONE is not set", 2 },
		{ "a: ${PORT\n", "t.yaml:1:4: ", "has no closing brace", 1 },
		{ "a: x{2}${3}", "t.yaml:1:8: ", "${} with \"3\" inside is not a variable", 1 },
		{ "a: ${PORT:+x}", "t.yaml:1:4: ", "is not a variable", 1 },
		{ "a: $LINES", "t.yaml:1:4: ", "$LINES contains a line break", 1 },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct expanded e;

		expand(&e, rows[i].text);
		assert_int_equal(e.result, -EINVAL);
		if (!span_starts(text_span(&e.errors), span_str(rows[i].place)) ||
		    !strstr(e.errors.data, rows[i].words) || e.report.count[CONFIG_ERROR] != rows[i].count)
			fail_msg("%s: %.*s", rows[i].text, SPAN_FMT(text_span(&e.errors)));
		drop(&e);
	}
}

/* Messages about the expanded text name the columns of the file. */
TEST(columns_are_those_of_the_file)
{
	static const struct {
		const char *text;
		const char *place;
	} rows[] = {
		{ "{a: $PORT, b: $UMLAUT, c: *x}", "t.yaml:1:27: " },
		{ "x: 1\ny: {a: ${EMPTY:-123}, b: $$, c: *x}", "t.yaml:2:33: " },
		{ "a: [${EMPTY:-1}, *x]", "t.yaml:1:18: " },
		{ "a: [1, *x]", "t.yaml:1:8: " },
		{ "a: [$$$$, *x]", "t.yaml:1:11: " },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct yaml_budget budget = { LIMIT_CONFIG_NODES };
		struct yaml_documents documents;
		struct yaml_source source;
		struct expanded e;

		expand(&e, rows[i].text);
		assert_int_equal(e.result, 0);
		source = (struct yaml_source){ SPAN("t.yaml"), e.expansion.text, e.expansion.shift_list,
					       e.expansion.shift_count };
		assert_int_equal(yaml_load(&e.arena, &source, &budget, &e.report, &documents), -EINVAL);
		config_report_print(&e.report, CONFIG_ERROR, "", &e.errors);
		if (!span_starts(text_span(&e.errors), span_str(rows[i].place)))
			fail_msg("%s: %.*s", rows[i].text, SPAN_FMT(text_span(&e.errors)));
		drop(&e);
	}
}

static int expand_once(void *context)
{
	struct expanded e;
	int r;

	expand(&e, context);
	r = e.result == 0 && e.report.failed ? -ENOMEM : e.result;
	drop(&e);
	return r;
}

TEST(each_allocation_may_fail)
{
	char text[2000];

	memset(text, '$', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	assert_true(alloc_fail_each(expand_once, text) > 3);
}

TEST(endless_braces_take_no_endless_time)
{
	static char text[200 * 1024 + 1];
	struct expanded e;

	for (size_t i = 0; i + 1 < sizeof(text); i += 2)
		memcpy(text + i, "${", 2);
	expand(&e, text);
	assert_int_equal(e.result, -EINVAL);
	assert_int_equal(e.report.count[CONFIG_ERROR], 100 * 1024);
	assert_int_equal(e.report.message_count, LIMIT_CONFIG_ERRORS);
	assert_non_null(strstr(e.errors.data, "and 102300 more\n"));
	drop(&e);
}
