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

/* As deep as a stranger likes, and with as many values. */
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
