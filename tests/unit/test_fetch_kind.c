/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/lib/alloc.h"
#include "tests/lib/test.h"

#include <errno.h>

#include "config/model_openapi.h"
#include "user/auth/jwk.h"
#include "user/base/limits.h"
#include "user/gateway/fetch_kind.h"

#define KEY(kid)                                                                                             \
	"{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"kid\":\"" kid                                                \
	"\",\"x\":\"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo\"}"

static struct read_case {
	const char *name;
	enum fetch_kind kind;
	const char *text;
	const char *why; /* part of it; NULL: a value */
	const char *note; /* part of it */
} read_cases[] = {
	{ "keys", FETCH_KEYS, "{\"keys\":[" KEY("a") "]}", NULL, "" },
	{ "keys, one of them unusable", FETCH_KEYS, "{\"keys\":[{}," KEY("a") "]}", NULL,
	  "1 cannot verify tokens; the one at index 0: " },
	{ "no keys", FETCH_KEYS, "{\"keys\":[]}", "no key in the response can verify tokens", "" },
	{ "a page instead of keys", FETCH_KEYS, "<html>", "the response is not a set of keys", "" },
	{ "JSON", FETCH_OPENAPI, "{\"openapi\":\"3.1.0\",\"paths\":{\"/p\":{\"get\":{}}}}", NULL, "" },
	{ "YAML", FETCH_OPENAPI, "openapi: 3.0.0\npaths:\n  /p: {get: {}}\n", NULL, "" },
	{ "a document with a form", FETCH_OPENAPI,
	  "{openapi: 3.0.0, paths: {/p: {get: {}, post: {requestBody: {required: true, content: {}}}}}}",
	  NULL, "warnings: 1; the first: response:1:" },
	{ "a variable is text", FETCH_OPENAPI,
	  "{openapi: 3.0.0, info: {title: '${HOME}'}, paths: {/p: {get: {}}}}", NULL, "" },
	{ "nothing", FETCH_OPENAPI, "", "has 0 documents; write one", "" },
	{ "a page", FETCH_OPENAPI, "<html></html>", "response:1:1: is not a document of OpenAPI 3.0 or 3.1",
	  "" },
	{ "half of a document", FETCH_OPENAPI, "{\"openapi\":\"3.1.0\",\"paths\":{\"/p\":{",
	  "response:", "" },
	{ "Swagger 2.0", FETCH_OPENAPI, "{swagger: '2.0', paths: {/p: {get: {}}}}", "Swagger 2.0 is older",
	  "" },
	{ "no operation", FETCH_OPENAPI, "{openapi: 3.0.0, paths: {}}", "has no operation that can be a tool",
	  "" },
	{ "a reference to another URL", FETCH_OPENAPI, "{openapi: 3.0.0, paths: {/p: {$ref: 'http://x/y'}}}",
	  "is not in this document", "" },
	{ "line ends in a message", FETCH_OPENAPI, "{openapi: 3.0.0, paths: {\"/p\\nx: y\": {get: {}}}}",
	  "is not a path", "" },
};

static void what_is_read_of_a_response(void **state)
{
	const struct read_case *row = *state;
	struct fetched_value *value;
	struct text why, note;

	text_init(&why);
	text_init(&note);
	value = fetch_kind_ops(row->kind)->read(span_str(row->text), SPAN("/"), &why, &note);
	assert_int_equal(value != NULL, row->why == NULL);
	if (row->why && (!why.len || !strstr(why.data, row->why)))
		fail_msg("%.*s instead of %s", SPAN_FMT(text_span(&why)), row->why);
	if (row->note[0] && (!note.len || !strstr(note.data, row->note)))
		fail_msg("%.*s instead of %s", SPAN_FMT(text_span(&note)), row->note);
	assert_int_equal(note.len > 0, row->note[0] != '\0');
	assert_int_equal(span_find(text_span(&why), '\n'), -1);
	if (value) {
		assert_int_not_equal(value->id, 0);
		fetched_value_unref(value);
	}
	text_done(&note);
	text_done(&why);
}
TEST_ROWS(what_is_read_of_a_response, read_cases);

static struct openapi_api *read_api(const char *text, const char *prefix)
{
	struct fetched_value *value;
	struct text why, note;

	text_init(&why);
	text_init(&note);
	value = fetch_kind_ops(FETCH_OPENAPI)->read(span_str(text), span_str(prefix), &why, &note);
	assert_non_null(value);
	text_done(&note);
	text_done(&why);
	return container_of(value, struct openapi_api, value);
}

TEST(the_prefix_and_the_text_make_another_document)
{
	static const char text[] = "{openapi: 3.0.0, paths: {/p: {get: {}}}}";
	struct openapi_api *a = read_api(text, "/"), *b = read_api(text, "/v9");
	struct openapi_api *c = read_api("{openapi: 3.0.1, paths: {/p: {get: {}}}}", "/");
	struct openapi_api *again = read_api(text, "/");

	assert_true(span_eq(b->operation_list[0].path, SPAN("/v9/p")));
	assert_int_equal(a->value.id, again->value.id);
	assert_int_not_equal(a->value.id, b->value.id);
	assert_int_not_equal(a->value.id, c->value.id);
	openapi_unref(a);
	openapi_unref(b);
	openapi_unref(c);
	openapi_unref(again);
}

/* The sender chooses the depth of a document and its number of values. */
TEST(documents_that_are_too_deep_or_too_large_are_refused)
{
	enum { LEVELS = 100000 };
	static const char *const units[] = { "[", "{a: ", "[1,", "? ", "- " };
	const struct fetch_kind_ops *ops = fetch_kind_ops(FETCH_OPENAPI);

	for (size_t i = 0; i < ARRAY_LEN(units); i++) {
		struct text text, why, note;

		text_init(&text);
		text_init(&why);
		text_init(&note);
		for (int k = 0; k < LEVELS; k++)
			text_str(&text, units[i]);
		assert_null(ops->read(text_span(&text), SPAN("/"), &why, &note));
		assert_true(why.len > 0);
		text_done(&note);
		text_done(&why);
		text_done(&text);
	}
}

/* One operation beside /p, of a thousand units: # is their number, *a a text, *m a map with a key. */
static struct repeat_case {
	const char *name;
	int bytes; /* of the text and the key */
	const char *begin, *unit, *end;
} repeat_cases[] = {
	{ "values of a list", 600, "post: {requestBody: {content: {application/json: {schema: {enum: [1",
	  ", *a", "]}}}}}" },
	{ "values of maps", 600, "post: {requestBody: {content: {application/json: {schema: {default: [1",
	  ", {b: *a}", "]}}}}}" },
	{ "keys of maps", 600, "post: {requestBody: {content: {application/json: {schema: {default: [1",
	  ", *m", "]}}}}}" },
	{ "keywords", 600, "post: {requestBody: {content: {application/json: {schema: {a: 1", ", k#: *a",
	  "}}}}}" },
	{ "properties", 600, "post: {requestBody: {content: {application/json: {schema: {properties: {a: {}",
	  ", k#: {description: *a}", "}}}}}}" },
	{ "its description", 300000, "post: {description: *a, x-a: [1", ", 1", "]}" },
	{ "its only parameter", 300000, "post: {parameters: [{in: query, name: *a}], x-a: [1", ", 1", "]}" },
	{ "parts of its content type", 1,
	  "post: {requestBody: {required: true, content: {? 'application/json;", "a=#;", "' : {}}}}" },
};

static void add_unit(struct text *to, const char *unit, int number)
{
	for (; *unit; unit++) {
		if (*unit == '#')
			text_fmt(to, "%d", number);
		else
			text_char(to, *unit);
	}
}

/* More than one tool may have, and less than all of them may. */
static void an_operation_that_repeats_too_much_is_left_out(void **state)
{
	const struct repeat_case *row = *state;
	struct text text, why, note;
	struct fetched_value *value;

	text_init(&text);
	text_init(&why);
	text_init(&note);
	text_fmt(&text, "openapi: 3.0.0\na: &a '%0*d'\nm: &m {'%0600d': 1}\npaths: {/p: {get: {}, ",
		 row->bytes, 1, 1);
	text_str(&text, row->begin);
	for (int i = 0; i < 1000; i++)
		add_unit(&text, row->unit, i);
	text_str(&text, row->end);
	text_str(&text, "}}\n");
	value = fetch_kind_ops(FETCH_OPENAPI)->read(text_span(&text), SPAN("/"), &why, &note);
	if (!value)
		fail_msg("%.*s", SPAN_FMT(text_span(&why)));
	assert_int_equal(container_of(value, struct openapi_api, value)->operation_count, 1);
	assert_non_null(strstr(note.data, "is not offered as a tool: "));
	fetched_value_unref(value);
	text_done(&note);
	text_done(&why);
	text_done(&text);
}
TEST_ROWS(an_operation_that_repeats_too_much_is_left_out, repeat_cases);

/* Ten thousand references to a member of a map with 20000 members. */
TEST(references_that_take_too_long_are_refused)
{
	enum { MEMBERS = 20000, REFERENCES = LIMIT_OPENAPI_EFFORT / MEMBERS };
	struct text text, why, note;

	text_init(&text);
	text_init(&why);
	text_init(&note);
	text_str(&text, "openapi: 3.0.0\nx: {a: {}");
	for (int i = 0; i < MEMBERS; i++)
		text_fmt(&text, ", k%d: 1", i);
	text_str(&text, "}\npaths: {/p: {get: {}, post: {requestBody: {content: {application/json: {schema: {"
			"allOf: [&r {$ref: '#/x/a'}");
	for (int i = 0; i < REFERENCES; i++)
		text_str(&text, ", *r");
	text_str(&text, "]}}}}}}}\n");
	assert_null(fetch_kind_ops(FETCH_OPENAPI)->read(text_span(&text), SPAN("/"), &why, &note));
	assert_non_null(strstr(why.data, "its references repeat more than 200000000 values"));
	text_done(&note);
	text_done(&why);
	text_done(&text);
}

static int read_once(void *context)
{
	struct fetched_value *value;
	struct text why, note;

	text_init(&why);
	text_init(&note);
	value = fetch_kind_ops(FETCH_OPENAPI)->read(span_str(context), SPAN("/"), &why, &note);
	if (value)
		fetched_value_unref(value);
	text_done(&note);
	text_done(&why);
	return value ? 0 : -ENOMEM;
}

TEST(without_memory_nothing_is_read_and_nothing_leaks)
{
	static char text[] =
		"{openapi: 3.0.0, paths: {/p: {get: {}, post: {requestBody: {required: true}}}}}";

	assert_true(alloc_fail_each(read_once, text) > 5);
}
