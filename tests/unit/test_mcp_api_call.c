/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/openapi_case.h"

#include "user/base/limits.h"
#include "user/mcp/json/json_text.h"
#include "user/mcp/target/api_call.h"
#include "user/mcp/target/api_result.h"

static const char document[] = OPENAPI_PATHS(
	"'/u/{id}/f.{ext}': {get: {operationId: path, parameters: [{name: id, in: path}, {name: ext, in: "
	"path}]}}, "
	"'/{a}{b}': {get: {operationId: two, parameters: [{name: a, in: path}, {name: b, in: path}]}}, "
	"/q: {get: {operationId: query, parameters: [{name: q, in: query}, {name: 'a&b', in: query}, {name: "
	"c, in: query, explode: false}, {name: é, in: query}, {name: deep, in: query, style: deepObject}]}}, "
	"/need: {get: {operationId: need, parameters: [{name: n, in: query, required: true}]}}, "
	"/h: {get: {operationId: header, parameters: [{name: X-A, in: header}, {name: X-B, in: header}]}}, "
	"/b: {post: {operationId: json, requestBody: {required: true, content: {application/json: {}}}}}, "
	"/o: {post: {operationId: optional, requestBody: {content: {application/json: {}}}}}");

/* What is sent: the target, then lines with "name: value" of each header, and the body; "!" and why not. */
static const struct call_case {
	const char *tool, *arguments, *want;
} call_cases[] = {
	{ "path", "{\"path\":{\"id\":7,\"ext\":\"png\"}}", "/v3/u/7/f.png" },
	{ "path", "{\"path\":{\"id\":\"a/b?c#d%20 é\",\"ext\":1}}", "/v3/u/a%2Fb%3Fc%23d%2520%20%C3%A9/f.1" },
	{ "path", "{\"path\":{\"id\":[\"a\",1,true],\"ext\":1}}", "/v3/u/a%2C1%2Ctrue/f.1" },
	{ "path", "{\"path\":{\"\\u0069d\":\"x\",\"ext\":1}}", "/v3/u/x/f.1" },
	{ "path", "{\"path\":{\"id\":\"..\",\"ext\":1}}",
	  "!path leads to another path; no value may have a segment . or .." },
	{ "path", "{\"path\":{\"id\":\".\",\"ext\":1}}",
	  "!path leads to another path; no value may have a segment . or .." },
	{ "path", "{\"path\":{\"id\":\"a/../../b\",\"ext\":1}}",
	  "!path leads to another path; no value may have a segment . or .." },
	{ "path", "{\"path\":{\"id\":\"a\\\\..\\\\b\",\"ext\":1}}",
	  "!path leads to another path; no value may have a segment . or .." },
	{ "path", "{\"path\":{\"id\":\"..;x\",\"ext\":1}}",
	  "!path leads to another path; no value may have a segment . or .." },
	{ "path", "{\"path\":{\"id\":\"a;..\",\"ext\":1}}", "/v3/u/a%3B../f.1" },
	{ "path", "{\"path\":{\"id\":\"%2e%2e\",\"ext\":1}}", "/v3/u/%252e%252e/f.1" },
	{ "two", "{\"path\":{\"a\":\".\",\"b\":\".\"}}",
	  "!path leads to another path; no value may have a segment . or .." },
	{ "two", "{\"path\":{\"a\":\".\",\"b\":\"x\"}}", "/v3/.x" },
	{ "path", "{\"path\":{\"id\":\"a\\r\\nX: y\",\"ext\":1}}",
	  "!path.id has control characters; remove them" },
	{ "path", "{\"path\":{\"id\":\"\\u0000\",\"ext\":1}}",
	  "!path.id has control characters; remove them" },
	{ "path", "{\"path\":{\"id\":\"\",\"ext\":1}}", "!path.id is empty; write a value" },
	{ "path", "{\"path\":{\"id\":[],\"ext\":1}}", "!path.id is empty; write a value" },
	{ "path", "{\"path\":{\"id\":{},\"ext\":1}}", "!path.id must be a single value, or a list of them" },
	{ "path", "{\"path\":{\"id\":[[]],\"ext\":1}}",
	  "!path.id must be a single value, or a list of them" },
	{ "path", "{\"path\":{\"id\":null,\"ext\":1}}", "!path.id is missing" },
	{ "path", "{\"path\":{\"ext\":1}}", "!path.id is missing" },
	{ "path", "", "!path.id is missing" },
	{ "path", "{\"path\":[]}", "!path must be an object" },
	{ "path", "[]", "!arguments must be an object" },
	{ "path", "{\"path\":{\"id\":1,\"id\":2,\"ext\":1}}", "!path.id is there twice" },
	{ "path", "{\"path\":{\"id\":1,\"i\\u0064\":2,\"ext\":1}}", "!path.id is there twice" },
	{ "path", "{\"path\":{\"id\":1,\"ext\":1},\"pat\\u0068\":{}}", "!path is there twice" },
	{ "path", "{\"path\":{\"id\":1,\"ext\":1,\"x\":1}}", "!path.x is no parameter of this tool" },
	{ "path", "{\"id\":1}",
	  "!id is no argument of this tool; write path, query, header or body, as in its schema" },
	{ "path", "{\"path\":{\"id\":1,\"ext\":1},\"body\":1}", "!body is no argument of this tool" },
	{ "path", "{\"path\":{\"id\":1,\"ext\":1},\"query\":{\"admin\":1}}",
	  "!query.admin is no parameter of this tool" },
	{ "query", "{}", "/v3/q" },
	{ "query", "{\"query\":{\"q\":\"a b&c=d+e\\r\\n\",\"a&b\":\"\"}}",
	  "/v3/q?q=a%20b%26c%3Dd%2Be%0D%0A&a%26b=" },
	{ "query", "{\"query\":{\"q\":[1,\"x,y\",false]}}", "/v3/q?q=1&q=x%2Cy&q=false" },
	{ "query", "{\"query\":{\"c\":[1,2],\"é\":null}}", "/v3/q?c=1%2C2" },
	{ "query", "{\"query\":{\"\\u00e9\":\"\\u00e9\"}}", "/v3/q?%C3%A9=%C3%A9" },
	{ "query", "{\"query\":{\"q\":{\"a\":1}}}", "!query.q must be a single value, or a list of them" },
	{ "query", "{\"query\":{\"q\":[{}]}}", "!query.q must be a single value, or a list of them" },
	{ "query", "{\"query\":{\"q\":[[1]]}}", "!query.q must be a single value, or a list of them" },
	{ "query", "{\"query\":{\"deep\":{}}}", "!query.deep is no parameter of this tool" },
	{ "need", "{}", "!query.n is missing" },
	{ "need", "{\"query\":{\"n\":null}}", "!query.n is missing" },
	{ "header", "{\"header\":{\"X-A\":\" a  b \",\"X-B\":[1,2]}}", "/v3/h\nX-A: a  b\nX-B: 1,2" },
	{ "header", "{\"header\":{\"X-A\":\"\"}}", "/v3/h\nX-A: " },
	{ "header", "{\"header\":{\"X-A\":\"a\\r\\nHost: b\"}}",
	  "!header.X-A has characters that a header cannot have; remove line ends and control characters" },
	{ "header", "{\"header\":{\"X-A\":\"a\\u0000\"}}",
	  "!header.X-A has characters that a header cannot have; remove line ends and control characters" },
	{ "header", "{\"header\":{\"Host\":\"x\"}}", "!header.Host is no parameter of this tool" },
	{ "json", "{\"body\":{\"a\": [1]}}", "/v3/b\n{\"a\": [1]}" },
	{ "json", "{\"body\":null}", "/v3/b\nnull" },
	{ "json", "{}", "!body is missing" },
	{ "optional", "{}", "/v3/o" },
};

static const struct openapi_operation *operation_of(const struct openapi_api *api, const char *name)
{
	for (uint32_t i = 0; i < api->operation_count; i++)
		if (span_eq(api->operation_list[i].tool, span_str(name)))
			return &api->operation_list[i];
	fail_msg("no operation %s", name);
	return api->operation_list;
}

static void show(const struct api_call *call, int error, struct text *to)
{
	if (error) {
		assert_int_equal(error, -EINVAL);
		text_fmt(to, "!%.*s", SPAN_FMT(text_span(&call->why)));
		return;
	}
	assert_int_equal(call->why.len, 0);
	text_add(to, text_span(&call->target));
	for (uint32_t i = 0; i < call->fields.count; i++)
		text_fmt(to, "\n%.*s: %.*s", SPAN_FMT(call->fields.list[i].name),
			 SPAN_FMT(call->fields.list[i].value));
	if (call->body.len)
		text_fmt(to, "\n%.*s", SPAN_FMT(call->body));
}

static void try_arguments(const struct openapi_api *api, struct mcp_json_checker *checker,
			  const struct call_case *row)
{
	size_t len = strlen(row->arguments);
	/* A copy without a NUL behind it: what is read too far is found. */
	char *arguments = malloc(len + !len);
	struct api_call call;
	struct text got;

	assert_non_null(arguments);
	memcpy(arguments, row->arguments, len);
	if (len && mcp_json_check(checker, span_of(arguments, len)) != 0)
		fail_msg("no JSON: %s", row->arguments);
	api_call_init(&call);
	text_init(&got);
	show(&call, api_call_make(&call, operation_of(api, row->tool), span_of(arguments, len)), &got);
	if (strcmp(got.data, row->want) != 0)
		fail_msg("%s %s: %s instead of %s", row->tool, row->arguments, got.data, row->want);
	text_done(&got);
	api_call_done(&call);
	free(arguments);
}

TEST(arguments_stay_within_their_places)
{
	struct mcp_json_checker *checker = mcp_json_checker_create();
	struct config_case c;

	config_case_text(&c, document);
	for (size_t i = 0; i < ARRAY_LEN(call_cases); i++)
		try_arguments(openapi_of(&c), checker, &call_cases[i]);
	config_case_done(&c);
	mcp_json_checker_free(checker);
}

/* No argument makes a URL or a header that no server would read, however it is made long. */
TEST(arguments_have_a_limit)
{
	static const char *const rows[][4] = {
		{ "query", "{\"query\":{\"q\":\"", "y", "\"}}" },
		{ "query", "{\"query\":{\"q\":[1", ",1", "]}}" },
		{ "path", "{\"path\":{\"ext\":1,\"id\":\"", "y", "\"}}" },
		{ "header", "{\"header\":{\"X-A\":\"", "y", "\"}}" },
	};
	struct config_case c;

	config_case_text(&c, document);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct api_call call;
		struct text text;

		text_init(&text);
		text_str(&text, rows[i][1]);
		for (int k = 0; k <= LIMIT_OPENAPI_URL_BYTES; k++)
			text_str(&text, rows[i][2]);
		text_str(&text, rows[i][3]);
		api_call_init(&call);
		assert_int_equal(
			api_call_make(&call, operation_of(openapi_of(&c), rows[i][0]), text_span(&text)),
			-EINVAL);
		assert_non_null(strstr(call.why.data, "is too long; write less"));
		assert_true(call.target.len <= LIMIT_OPENAPI_URL_BYTES + 100);
		api_call_done(&call);
		text_done(&text);
	}
	config_case_done(&c);
}

static struct result_case {
	const char *name;
	struct api_response response;
	const char *want;
} result_cases[] = {
	{ "an object",
	  { 200, SPAN("{\"a\":\"\\n\"}"), true },
	  "\"content\":[{\"type\":\"text\",\"text\":\"{\\\"a\\\":\\\"\\\\n\\\"}\"}],"
	  "\"structuredContent\":{\"a\":\"\\n\"}" },
	{ "a text", { 200, SPAN("a\nb"), false }, "\"content\":[{\"type\":\"text\",\"text\":\"a\\nb\"}]" },
	{ "nothing", { 204, SPAN(""), false }, "\"content\":[{\"type\":\"text\",\"text\":\"status 204\"}]" },
	{ "an error with its body",
	  { 404, SPAN("no pet"), false },
	  "\"content\":[{\"type\":\"text\",\"text\":\"status 404\"},{\"type\":\"text\",\"text\":\"no pet\"}],"
	  "\"isError\":true" },
	{ "an error with an object",
	  { 500, SPAN("{}"), true },
	  "\"content\":[{\"type\":\"text\",\"text\":\"status 500\"},{\"type\":\"text\",\"text\":\"{}\"}],"
	  "\"structuredContent\":{},\"isError\":true" },
	{ "a redirect",
	  { 302, SPAN(""), false },
	  "\"content\":[{\"type\":\"text\",\"text\":\"status 302: a redirect, which is not followed\"}],"
	  "\"isError\":true" },
	{ "bytes",
	  { 200, SPAN("\xff"), false },
	  "\"content\":[{\"type\":\"text\",\"text\":\"1 bytes that are no text\"}]" },
};

static void a_response_is_a_result(void **state)
{
	const struct result_case *row = *state;
	struct text got;

	text_init(&got);
	api_result_add(&got, &row->response);
	assert_string_equal(got.data, row->want);
	text_done(&got);
}
TEST_ROWS(a_response_is_a_result, result_cases);
