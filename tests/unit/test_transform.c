/* SPDX-License-Identifier: Apache-2.0 */
/* Transformations: what is accepted, what they make of a message, and what no client can make them do. */
#include "policy/transform.h"

#include <errno.h>

#include "admin/dump/config_dump_policy.h"
#include "config/snapshot.h"
#include "policy/expression/expression_json.h"
#include "policy/guard/transform_case.h"
#include "tests/lib/test_arena.h"
#include "tests/unit/config_text.h"
#include "tests/unit/dump_compact.h"

TEST_ARENA(arena, 256 * 1024);

#define BEGIN "binds: [{port: 3000, listeners: [{routes: [{backends: [{host: 'a:1'}], policies: {\n"
#define END "}}]}]}]\n"
#define AT " binds[0].listeners[0].routes[0].policies.transformations"

/* ---- what is accepted */

TEST(what_would_break_a_message_is_refused)
{
	static const struct config_refusal rows[] = {
		{ BEGIN "transformations: {}" END, "a.yaml:2:18:" AT ": ", "changes nothing" },
		{ BEGIN "transformations: {request: {}}" END,
		  "a.yaml:2:28:" AT ".request: ", "changes nothing" },
		{ BEGIN "transformations: {request: {set: {a: }}}" END,
		  "a.yaml:2:38:" AT ".request.set.a: ", "expected a text" },
		{ BEGIN "transformations: {request: {set: {a: 'b('}}}" END,
		  "a.yaml:2:38:" AT ".request.set.a: ", "is not understood" },
		{ BEGIN "transformations: {request: {set: {a: response.code}}}" END,
		  "a.yaml:2:38:" AT ".request.set.a: ", "is not understood" },
		{ BEGIN "transformations: {request: {set: {'a b': 'true'}}}" END,
		  "a.yaml:2:", "not a header name" },
		{ BEGIN "transformations: {request: {set: {content-length: '1'}}}" END,
		  "a.yaml:2:", "content-length" },
		{ BEGIN "transformations: {request: {add: {Transfer-Encoding: '1'}}}" END,
		  "a.yaml:2:", "ransfer-" },
		{ BEGIN "transformations: {request: {remove: [connection]}}" END,
		  "a.yaml:2:38:" AT ".request.remove[0]: ", "" },
		{ BEGIN "transformations: {request: {remove: [':path']}}" END,
		  "a.yaml:2:38:" AT ".request.remove[0]: ", "" },
		{ BEGIN "transformations: {request: {set: {host: '\"a\"'}}}" END, "a.yaml:2:", "host" },
		{ BEGIN "transformations: {request: {set: {':scheme': '\"a\"'}}}" END,
		  "a.yaml:2:46:" AT ".request.set[\":scheme\"]: ", "write :method, :path or :authority" },
		{ BEGIN "transformations: {request: {set: {':status': '200'}}}" END,
		  "a.yaml:2:46:" AT ".request.set[\":status\"]: ", "write :method, :path or :authority" },
		{ BEGIN "transformations: {response: {set: {':path': '\"/\"'}}}" END,
		  "a.yaml:2:45:" AT ".response.set[\":path\"]: ", "write :status" },
		{ BEGIN "transformations: {response: {body: ''}}" END,
		  "a.yaml:2:36:" AT ".response.body: ", "is empty; write at least one character" },
		{ BEGIN "transformations: {response: {body: request.body}}" END,
		  "a.yaml:2:36:" AT ".response.body: ",
		  "does not exist here, only in transformations of requests" },
		{ BEGIN "transformations: {request: {body: response.body}}" END,
		  "a.yaml:2:35:" AT ".request.body: ", "does not exist here" },
		{ BEGIN "transformations: {request: {replace: request.headers, set: {a: 'true'}}}" END,
		  "a.yaml:2:38:" AT ".request.replace: ",
		  "gives a set of headers; write a map of all headers" },
		{ BEGIN "transformations: {request: {replace: '\"a\"'}}" END,
		  "a.yaml:2:38:" AT ".request.replace: ", "gives a text; write a map of all headers" },
		{ BEGIN "transformations: {response: {replace: jwt.roles, metadata: [a]}}" END,
		  "a.yaml:2:60:" AT ".response.metadata: ", "expected a map" },
		{ BEGIN "transformations: {request: {metadata: {a: 'b('}}}" END,
		  "a.yaml:2:43:" AT ".request.metadata.a: ", "is not understood" },
		{ BEGIN "transformations: {request: {metadata: {a: request.headers}}}" END,
		  "a.yaml:2:43:" AT ".request.metadata.a: ", "is a set of headers; name one of them" },
		{ BEGIN "transformations: {conditional: []}" END,
		  "a.yaml:2:32:" AT ".conditional: ", "is empty" },
		{ BEGIN "transformations: {conditional: [{request: {remove: [a]}}, {condition: 'true', "
			"request: {remove: [a]}}]}" END,
		  "a.yaml:2:33:" AT ".conditional[0]: ", "has no condition" },
		{ BEGIN
		  "transformations: {request: {remove: [a]}, conditional: [{request: {remove: [a]}}]}" END,
		  "a.yaml:2:19:" AT ".request: ", "stands beside" },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		config_refused(&rows[i]);
}

/* ---- a policy and a message */

struct play {
	struct config_case c;
	const struct transformation *policy;
	struct request_head head;
	struct response_head response;
	struct expression_scratch scratch;
	struct expression_facts facts;
	struct transform_count count;
};

static void add_fields(struct fields *fields, const char *text)
{
	struct span rest = span_str(text), line;

	fields_init(fields, &arena);
	while (rest.len && span_split(&rest, '\n', &line)) {
		ptrdiff_t colon = span_find(line, ':');

		assert_int_equal(fields_add(fields, span_first(line, (size_t)colon),
					    span_trim(span_from(line, (size_t)colon + 1))),
				 0);
	}
}

static void play_begin(struct play *play, const char *policy, const char *fields)
{
	struct text text;

	*play = (struct play){ .head = { .method = METHOD_GET,
					 .method_text = SPAN("GET"),
					 .target = SPAN("/a/b?c"),
					 .path = SPAN("/a/b"),
					 .query = SPAN("c"),
					 .has_query = true,
					 .authority = SPAN("example.com"),
					 .version_major = 1,
					 .version_minor = 1 },
			       .response = { .status = 200, .reason = SPAN("Fine") } };
	text_init(&text);
	text_fmt(&text, BEGIN "transformations: {%s}" END, policy);
	config_case_text(&play->c, text.data);
	config_case_accepted(&play->c);
	play->policy = play->c.snapshot->bind_list[0]
			       .listener_list[0]
			       .route_list[0]
			       .inline_policies.value_list[0]
			       .object;
	text_done(&text);
	add_fields(&play->head.fields, fields);
	add_fields(&play->response.fields, fields);
	play->facts = (struct expression_facts){ .request = &play->head, .scratch = &play->scratch };
}

static void play_end(struct play *play)
{
	config_case_done(&play->c);
}

static const char *shown(const struct fields *fields, const char *format, struct span first,
			 struct span second, unsigned number)
{
	struct span copy;
	struct text text;

	text_init(&text);
	(void)format;
	if (number)
		text_fmt(&text, "%u\n", number);
	else
		text_fmt(&text, "%.*s %.*s\n", SPAN_FMT(first), SPAN_FMT(second));
	for (uint32_t i = 0; i < fields->count; i++)
		text_fmt(&text, "%.*s: %.*s\n", SPAN_FMT(fields->list[i].name),
			 SPAN_FMT(fields->list[i].value));
	copy = arena_copy(&arena, text_span(&text));
	text_done(&text);
	return copy.data;
}

/* "METHOD authority/path?query", then the fields. */
static const char *request_of(const struct play *play)
{
	const struct request_head *head = &play->head;
	struct text text;
	const char *all;

	text_init(&text);
	text_fmt(&text, "%.*s%.*s", SPAN_FMT(head->authority), SPAN_FMT(head->path));
	if (head->has_query)
		text_fmt(&text, "?%.*s", SPAN_FMT(head->query));
	all = shown(&head->fields, "", head->method_text, text_span(&text), 0);
	text_done(&text);
	return all;
}

static const struct path_rules rules = { 0 };

TEST(a_request_becomes_what_the_expressions_say)
{
	static const struct {
		const char *policy, *fields, *want;
		unsigned changed, failed;
	} rows[] = {
		{ "request: {set: {X-A: request.method + '-' + request.path}}", "x-a: 1\nX_A: 2\nb: c",
		  "GET example.com/a/b?c\nx-a: GET-/a/b\nb: c\n", 1, 0 },
		{ "request: {add: {x-a: '\"2\"'}}", "x-a: 1", "GET example.com/a/b?c\nx-a: 1\nx-a: 2\n", 1,
		  0 },
		{ "request: {remove: [X-A]}", "x_a: 1\nx-a: 2\nb: c", "GET example.com/a/b?c\nb: c\n", 0, 0 },
		/* add, then set, then remove; each sees what was before. */
		{ "request: {remove: [a], set: {b: 'request.headers[\"a\"]'}, add: {a: '\"x\"'}}", "",
		  "GET example.com/a/b?c\nb: x\n", 2, 0 },
		{ "request: {set: {a: '1 + 1', b: 'true'}}", "", "GET example.com/a/b?c\na: 2\nb: true\n", 2,
		  0 },
		/* Without a value that a field can have, nothing of the client's stays. */
		{ "request: {set: {x-a: 'request.headers[\"none\"]'}}", "x-a: forged\nX_A: forged",
		  "GET example.com/a/b?c\n", 0, 1 },
		{ "request: {add: {x-a: 'jwt.sub'}}", "x-a: forged", "GET example.com/a/b?c\n", 0, 1 },
		{ "request: {set: {x-a: '\"a\\r\\nb: c\"'}}", "x-a: forged", "GET example.com/a/b?c\n", 0,
		  1 },
		{ "request: {set: {x-a: '\"  a\\t\"'}}", "", "GET example.com/a/b?c\nx-a: a\n", 1, 0 },
		/* Pseudo header fields. */
		{ "request: {set: {':path': '\"/x\" + request.path'}}", "", "GET example.com/x/a/b\n", 1, 0 },
		{ "request: {set: {':path': 'request.pathAndQuery + \"&d=1\"'}}", "",
		  "GET example.com/a/b?c&d=1\n", 1, 0 },
		{ "request: {set: {':path': '\"/x/../%61//b?\"'}}", "", "GET example.com/a/b?\n", 1, 0 },
		{ "request: {set: {':path': '\"x\"'}}", "", "GET example.com/a/b?c\n", 0, 1 },
		{ "request: {set: {':path': '\"/a b\"'}}", "", "GET example.com/a/b?c\n", 0, 1 },
		{ "request: {set: {':path': '\"/a#b\"'}}", "", "GET example.com/a/b?c\n", 0, 1 },
		{ "request: {set: {':path': '\"/a%\"'}}", "", "GET example.com/a/b?c\n", 0, 1 },
		{ "request: {set: {':path': '\"/a%2Fb\"'}}", "", "GET example.com/a/b?c\n", 0, 1 },
		{ "request: {set: {':path': '\"http://b/\"'}}", "", "GET example.com/a/b?c\n", 0, 1 },
		{ "request: {set: {':authority': '\"b.example:80\"'}}", "", "GET b.example:80/a/b?c\n", 1,
		  0 },
		{ "request: {set: {':authority': '\"a@b\"'}}", "", "GET example.com/a/b?c\n", 0, 1 },
		{ "request: {set: {':authority': '\"\"'}}", "", "GET example.com/a/b?c\n", 0, 1 },
		{ "request: {set: {':method': '\"POST\"'}}", "", "POST example.com/a/b?c\n", 1, 0 },
		{ "request: {set: {':method': '\"HEAD\"'}}", "", "GET example.com/a/b?c\n", 0, 1 },
		{ "request: {set: {':method': '\"CONNECT\"'}}", "", "GET example.com/a/b?c\n", 0, 1 },
		{ "request: {set: {':method': '\"A B\"'}}", "", "GET example.com/a/b?c\n", 0, 1 },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct play play;

		play_begin(&play, rows[i].policy, rows[i].fields);
		assert_int_equal(transform_request(&play.policy->request, &play.facts, &rules, &play.head,
						   &arena, &play.count),
				 0);
		if (strcmp(request_of(&play), rows[i].want) != 0 || play.count.changed != rows[i].changed ||
		    play.count.failed != rows[i].failed)
			fail_msg("row %zu: %u changed, %u failed: %s", i, play.count.changed,
				 play.count.failed, request_of(&play));
		play_end(&play);
	}
}

TEST(a_method_with_another_framing_stays)
{
	static const struct {
		enum http_method method;
		struct span text;
	} rows[] = { { METHOD_HEAD, SPAN("HEAD") }, { METHOD_TRACE, SPAN("TRACE") } };

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct play play;

		play_begin(&play, "request: {set: {':method': '\"GET\"'}}", "");
		play.head.method = rows[i].method;
		play.head.method_text = rows[i].text;
		assert_int_equal(transform_request(&play.policy->request, &play.facts, NULL, &play.head,
						   &arena, &play.count),
				 0);
		assert_int_equal(play.head.method, rows[i].method);
		assert_span_equal(play.head.method_text, rows[i].text.data);
		play_end(&play);
	}
}

TEST(an_expression_that_gives_up_refuses_the_request)
{
	struct play play;
	char *long_value = arena_bytes(&arena, LIMIT_EXPRESSION_SCRATCH_BYTES);

	memset(long_value, 'a', LIMIT_EXPRESSION_SCRATCH_BYTES);
	play_begin(&play, "request: {set: {a: 'request.headers[\"x\"] + request.headers[\"x\"]'}}", "");
	assert_int_equal(
		fields_add(&play.head.fields, SPAN("x"), span_of(long_value, LIMIT_EXPRESSION_SCRATCH_BYTES)),
		0);
	assert_int_equal(
		transform_request(&play.policy->request, &play.facts, NULL, &play.head, &arena, &play.count),
		-E2BIG);
	play_end(&play);
}

TEST(a_response_becomes_what_the_expressions_say)
{
	static const struct {
		const char *policy;
		uint16_t status;
		const char *fields, *want;
	} rows[] = {
		{ "response: {set: {x-a: 'string(response.code) + request.path'}}", 200, "x-a: 1",
		  "200\nx-a: 200/a/b\n" },
		{ "response: {remove: [server], add: {b: 'response.headers[\"server\"]'}}", 200, "Server: s",
		  "200\nb: s\n" },
		{ "response: {set: {x-a: 'response.headers[\"none\"]'}}", 200, "x-a: 1", "200\n" },
		{ "response: {set: {':status': '404'}}", 200, "", "404\n" },
		{ "response: {set: {':status': 'response.code == 500 ? 503 : response.code'}}", 500, "",
		  "503\n" },
		{ "response: {set: {':status': '404', a: 'response.code'}}", 200, "", "404\na: 404\n" },
		{ "response: {set: {':status': '204'}}", 200, "", "200\n" },
		{ "response: {set: {':status': '200'}}", 204, "", "204\n" },
		{ "response: {set: {':status': '200'}}", 304, "", "304\n" },
		{ "response: {set: {':status': '200'}}", 101, "", "101\n" },
		{ "response: {set: {':status': '100'}}", 200, "", "200\n" },
		{ "response: {set: {':status': '600'}}", 200, "", "200\n" },
		{ "response: {set: {':status': '\"abc\"'}}", 200, "", "200\n" },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct play play;
		const char *have;

		play_begin(&play, rows[i].policy, rows[i].fields);
		play.response.status = rows[i].status;
		assert_int_equal(transform_response(&play.policy->response, &play.facts, &play.response,
						    &arena, &play.count),
				 0);
		have = shown(&play.response.fields, "", SPAN(""), SPAN(""), play.response.status);
		if (strcmp(have, rows[i].want) != 0)
			fail_msg("row %zu: %s", i, have);
		assert_true(play.response.status == rows[i].status || play.response.reason.len == 0);
		play_end(&play);
	}
}

/* ---- all headers at once */

#define FILTER "request: {replace: 'request.headers.filterKeys(k, k.startsWith(\"x-\"))'"

TEST(a_map_becomes_the_headers)
{
	static const struct {
		const char *policy, *fields, *want;
		unsigned changed, failed;
	} rows[] = {
		{ FILTER "}", "x-b: 2\nY: 1\nX-A: 1\nX-B: 3\ncookie: c",
		  "GET example.com/a/b?c\nx-a: 1\nx-b: 2\nx-b: 3\n", 3, 0 },
		{ FILTER ", set: {x-a: jwt.none}, add: {x-c: '1'}, remove: [x-b]}",
		  "X-A: 1\nx-b: 2\nx_a: forged", "GET example.com/a/b?c\nx-c: 1\n", 3, 1 },
		/* What frames the message stays, and no member replaces it. */
		{ "request: {replace: '{\"Host\": \"b\", \"content-length\": 9, \"connection\": \"x-a\", "
		  "\":path\": \"/b\", \"a b\": 1, \"\": 1, \"expect\": 1, "
		  "\"Content_Length\": 9, \"transfer_encoding\": \"chunked\", \"X-A\": request.method}'}",
		  "Host: a\nContent-Length: 1\nTransfer-Encoding: x\nExpect: y\nx-old: 1",
		  "GET example.com/a/b?c\nHost: a\nContent-Length: 1\nTransfer-Encoding: x\nExpect: y\n"
		  "x-a: GET\n",
		  1, 9 },
		{ "request: {replace: '{\"a\": [\" b \", \"B\"], \"t\": true, \"d\": 1.5, \"n\": null, "
		  "\"m\": "
		  "{\"a\": 1}, \"l\": [[1]], \"c\": \"a\\r\\nb: c\", \"e\": \"\"}'}",
		  "x-old: 1", "GET example.com/a/b?c\na: b\na: B\nd: 1.5\ne: \nt: true\n", 5, 4 },
		{ "request: {replace: '{}'}", "x-old: 1", "GET example.com/a/b?c\n", 0, 0 },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct play play;

		play_begin(&play, rows[i].policy, rows[i].fields);
		assert_int_equal(transform_request(&play.policy->request, &play.facts, &rules, &play.head,
						   &arena, &play.count),
				 0);
		if (strcmp(request_of(&play), rows[i].want) != 0 || play.count.changed != rows[i].changed ||
		    play.count.failed != rows[i].failed)
			fail_msg("row %zu: %u changed, %u failed: %s", i, play.count.changed,
				 play.count.failed, request_of(&play));
		play_end(&play);
	}
}

TEST(without_a_map_no_message_passes)
{
	static const struct {
		const char *policy;
		int error;
	} rows[] = {
		{ "jwt", -EBADMSG },
		{ "'default(jwt, 5)'", -EBADMSG },
		{ "'{\"a\": request.headers.none}'", -EBADMSG },
		{ "'{\"a\": request.headers.x + request.headers.x + request.headers.x + request.headers.x}'",
		  -E2BIG },
		{ "'{\"a\": request.headers.x, \"b\": request.headers.x}'", -E2BIG },
	};
	char *long_value = arena_bytes(&arena, LIMIT_TRANSFORM_BYTES * 3 / 4);

	memset(long_value, 'a', LIMIT_TRANSFORM_BYTES * 3 / 4);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		for (int is_response = 0; is_response < 2; is_response++) {
			struct fields *fields;
			struct play play;
			struct text text;

			text_init(&text);
			text_fmt(&text, "%s: {replace: %s}", is_response ? "response" : "request",
				 rows[i].policy);
			play_begin(&play, text.data, "x-old: 1");
			text_done(&text);
			assert_int_equal(fields_add(&play.head.fields, SPAN("x"),
						    span_of(long_value, LIMIT_TRANSFORM_BYTES * 3 / 4)),
					 0);
			fields = is_response ? &play.response.fields : &play.head.fields;
			assert_int_equal(is_response
						 ? transform_response(&play.policy->response, &play.facts,
								      &play.response, &arena, &play.count)
						 : transform_request(&play.policy->request, &play.facts, NULL,
								     &play.head, &arena, &play.count),
					 is_response && i == 3 ? -E2BIG : rows[i].error);
			/* As it was: the caller sends an error. */
			assert_non_null(fields_find(fields, SPAN("x-old")));
			play_end(&play);
		}
	}
}

/* ---- metadata */

TEST(metadata_is_for_all_later_expressions)
{
	static const char policy[] =
		"request: {metadata: {path: request.path, again: 'metadata.path + \"!\"', "
		"none: request.headers.none, many: '[{\"a\": request.method}]'}, "
		"set: {x-a: metadata.again, x-b: 'metadata.many[0].a', x-c: toJson(metadata)}}, "
		"response: {metadata: {path: '\"later\"', code: response.code}, "
		"set: {x-a: 'metadata.path + metadata.again + string(metadata.code)'}}";
	struct play play;

	play_begin(&play, policy, "");
	play.response.status = 204;
	assert_int_equal(transform_note(&play.policy->request, &play.facts, &arena, &play.count), 0);
	assert_int_equal(play.count.changed, 3);
	assert_int_equal(play.count.failed, 1);
	assert_int_equal(
		transform_request(&play.policy->request, &play.facts, NULL, &play.head, &arena, &play.count),
		0);
	assert_string_equal(request_of(&play),
			    "GET example.com/a/b?c\nx-a: /a/b!\nx-b: GET\nx-c: {\"again\":\"/a/b!\","
			    "\"many\":[{\"a\":\"GET\"}],\"path\":\"/a/b\"}\n");
	play.facts.response_code = 204;
	assert_int_equal(transform_note(&play.policy->response, &play.facts, &arena, &play.count), 0);
	assert_int_equal(
		transform_response(&play.policy->response, &play.facts, &play.response, &arena, &play.count),
		0);
	assert_string_equal(shown(&play.response.fields, "", SPAN(""), SPAN(""), 204),
			    "204\nx-a: later/a/b!204\n");
	play_end(&play);
}

TEST(a_size_is_not_counted_beyond_its_limit)
{
	enum { LEVELS = 64 };
	struct expression_value pairs[LEVELS][2], value = { .type = EXPRESSION_NULL };

	for (size_t i = 0; i < LEVELS; i++) {
		pairs[i][0] = pairs[i][1] = value;
		value = (struct expression_value){ .type = EXPRESSION_LIST, .count = 2, .items = pairs[i] };
		if (i == 1)
			assert_int_equal(expression_size(&value, LIMIT_TRANSFORM_BYTES), 7 * sizeof(value));
	}
	/* A copy would have 2^65 values. */
	assert_true(expression_size(&value, LIMIT_TRANSFORM_BYTES) > LIMIT_TRANSFORM_BYTES);
}

TEST(metadata_is_bounded)
{
	struct play play;
	char *long_value = arena_bytes(&arena, LIMIT_TRANSFORM_BYTES * 3 / 4);

	memset(long_value, 'a', LIMIT_TRANSFORM_BYTES * 3 / 4);
	play_begin(&play, "request: {metadata: {a: request.headers.x, b: request.headers.x, c: '1'}}", "");
	assert_int_equal(
		fields_add(&play.head.fields, SPAN("x"), span_of(long_value, LIMIT_TRANSFORM_BYTES * 3 / 4)),
		0);
	assert_int_equal(transform_note(&play.policy->request, &play.facts, &arena, &play.count), -E2BIG);
	assert_int_equal(play.facts.metadata->count, 2);
	assert_non_null(expression_member(play.facts.metadata, SPAN("c")));
	play_end(&play);
}

/* ---- conditions */

static int facts_of(void *context, uint32_t needs, const struct expression_facts **ret_facts)
{
	struct play *play = context;

	(void)needs;
	*ret_facts = &play->facts;
	return 0;
}

TEST(the_first_case_with_a_true_condition_counts)
{
#define CASES(last)                                                                                          \
	"conditional: [{condition: 'request.headers[\"t\"] == \"a\"', request: {set: {x: '1'}}}, "           \
	"{condition: 'request.headers[\"t\"] == \"b\"', request: {set: {x: '2'}}}" last "]"
#define LAST ", {request: {set: {x: '3'}}}"
	static const struct {
		const char *policy, *fields, *want;
	} rows[] = {
		{ CASES(LAST), "t: a", "1" },
		{ CASES(LAST), "t: b", "2" },
		{ CASES(LAST), "t: c", "3" },
		{ CASES(""), "t: c", NULL },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct guard_answer answer = { 0 };
		struct play play;
		struct guard_facts asked = { .facts = facts_of, .context = &play };

		play_begin(&play, rows[i].policy, rows[i].fields);
		assert_int_equal(transform_check(play.policy, &asked, &answer), GUARD_PASS);
		assert_int_equal(answer.transformation != NULL, rows[i].want != NULL);
		if (rows[i].want)
			assert_span_equal(answer.transformation->request.set_list[0].value, rows[i].want);
		play_end(&play);
	}
}

/* ---- what is shown */

TEST(the_dump_has_the_form_of_agentgateway)
{
	static const struct {
		const char *policy, *want;
	} rows[] = {
		{ "request: {set: {a: '1', ':path': '\"/\"'}, remove: [b]}",
		  "{\"transformation\":{\"request\":{\"set\":[[\"a\",\"1\"],[\":path\",\"\\\"/\\\"\"]],"
		  "\"remove\":[\"b\"]}}}" },
		{ "request: {replace: jwt.h, metadata: {b: '1', a: 'true'}}",
		  "{\"transformation\":{\"request\":{\"replace\":\"jwt.h\","
		  "\"metadata\":[[\"b\",\"1\"],[\"a\",\"true\"]]}}}" },
		{ "response: {add: {a: '1'}}",
		  "{\"transformation\":{\"response\":{\"add\":[[\"a\",\"1\"]]}}}" },
		{ "conditional: [{condition: 'true', response: {remove: [a]}}]",
		  "{\"transformation\":{\"conditional\":[{\"condition\":\"true\",\"response\":"
		  "{\"remove\":[\"a\"]}}]}}" },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct json_writer w;
		struct play play;
		struct text out;
		char *have;

		play_begin(&play, rows[i].policy, "");
		text_init(&out);
		json_begin(&w, &out);
		json_open_object(&w, NULL);
		dump_policy_value(&w, &(struct policy_value){ POLICY_TRANSFORMATION, play.policy });
		json_close(&w);
		have = compact(text_span(&out));
		assert_string_equal(have, rows[i].want);
		free(have);
		text_done(&out);
		play_end(&play);
	}
}

/* ---- manifests */

#define POLICY(spec)                                                                                         \
	"apiVersion: agentgateway.dev/v1alpha1\nkind: AgentgatewayPolicy\n"                                  \
	"metadata: {name: p, namespace: d}\nspec:\n"                                                         \
	"  targetRefs: [{group: gateway.networking.k8s.io, kind: HTTPRoute, name: r}]\n  " spec "\n"

TEST(manifests_have_the_same_with_lists)
{
	static const struct {
		const char *text, *key;
		enum policy_kind kind;
	} rows[] = {
		{ POLICY("traffic: {transformation: {request: {set: [{name: a, value: '1'}]}}}"),
		  "traffic/d/p:transformation:d/r", POLICY_TRANSFORMATION },
		{ POLICY("traffic: {transformation: {conditional: [{condition: 'true', policy: {request: "
			 "{set: "
			 "[{name: a, value: '1'}]}}}]}}"),
		  "traffic/d/p:transformation:d/r", POLICY_TRANSFORMATION },
		{ POLICY("traffic: {transformation: {request: {metadata: {a: 'true'}, replace: jwt.h}}}"),
		  "traffic/d/p:transformation:d/r", POLICY_TRANSFORMATION },
		{ POLICY("backend: {transformation: {response: {metadata: {a: response.code}}}}"),
		  "d/p:backend-transformation:d/r", POLICY_BACKEND_TRANSFORMATION },
		{ POLICY("backend: {transformation: {request: {set: [{name: a, value: backend.name}]}}}"),
		  "d/p:backend-transformation:d/r", POLICY_BACKEND_TRANSFORMATION },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct config_case c;

		config_case_text(&c, rows[i].text);
		config_case_accepted(&c);
		assert_int_equal(c.snapshot->policy_count, 1);
		assert_span_equal(c.snapshot->policy_list[0].key, rows[i].key);
		assert_int_equal(c.snapshot->policy_list[0].value.kind, rows[i].kind);
		config_case_done(&c);
	}
}
