/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/openapi_case.h"

#include <unistd.h>

#include "tests/lib/alloc.h"
#include "tests/unit/dump_compact.h"
#include "user/base/limits.h"

#define BODY(schema)                                                                                         \
	"/p: {post: {operationId: p, requestBody: {required: true, content: {application/json: {"            \
	"schema: " schema "}}}}}"
#define GET(members) "/p: {get: {operationId: p, " members "}}"
#define PARAMETERS(list) GET("parameters: [" list "]")

TEST(an_operation_is_a_tool_with_its_parameters_and_its_body)
{
	const struct openapi_operation *operation;
	const struct openapi_api *api;
	struct config_case c;

	config_case_text(
		&c,
		OPENAPI_PATHS("'/pets/{petId}': {parameters: [{name: petId, in: path, required: true, "
			      "schema: {type: integer}}, {name: x-tag, in: header, schema: {type: "
			      "string}}], put: {operationId: putPet, summary: Change a pet, description: "
			      "All of it, parameters: [{name: X-Tag, in: header, required: true}, {name: q, "
			      "in: query, description: Words, schema: {type: array, description: no}}], "
			      "requestBody: {required: true, content: {text/plain: {}, application/json: "
			      "{schema: {type: object}}}}}}"));
	api = openapi_of(&c);
	assert_span_equal(api->title, "Pets");
	assert_span_equal(api->version, "1.2");
	assert_int_equal(api->operation_count, 1);
	operation = &api->operation_list[0];
	assert_span_equal(operation->tool, "putPet");
	assert_span_equal(operation->method, "PUT");
	assert_span_equal(operation->path, "/v3/pets/{petId}");
	assert_int_equal(operation->parameter_count, 3);
	assert_true(operation->is_body_required);
	assert_span_equal(operation->content_type, "application/json");
	assert_span_equal(
		operation->description,
		"{\"name\":\"putPet\",\"title\":\"Change a pet\",\"description\":\"All of it\","
		"\"inputSchema\":{\"type\":\"object\",\"properties\":{"
		"\"path\":{\"type\":\"object\",\"properties\":{\"petId\":{\"type\":\"integer\"}},"
		"\"required\":[\"petId\"]},"
		"\"query\":{\"type\":\"object\",\"properties\":{\"q\":{\"description\":\"Words\","
		"\"type\":\"array\"}}},"
		"\"header\":{\"type\":\"object\",\"properties\":{\"X-Tag\":{}},\"required\":[\"X-Tag\"]},"
		"\"body\":{\"type\":\"object\"}},\"required\":[\"path\",\"header\",\"body\"]}}");
	config_case_done(&c);
}

/* The schema of the body of the only tool. */
static struct span body_schema(const struct openapi_api *api)
{
	struct span text = api->operation_list[0].description;
	const char *at = strstr(text.data, "\"body\":");

	assert_non_null(at);
	at += 7;
	return span_of(at, text.len - (size_t)(at - text.data) - strlen("},\"required\":[\"body\"]}}"));
}

static struct schema_case {
	const char *name;
	const char *text; /* the configuration */
	const char *want;
} schema_cases[] = {
	{ "what is of JSON Schema stays",
	  OPENAPI_PATHS(BODY("{type: object, required: [a], properties: {a: "
			     "{type: string, enum: [x, '1'], default: x}, b: "
			     "{type: number, minimum: 1.5}}}")),
	  "{\"type\":\"object\",\"required\":[\"a\"],\"properties\":{\"a\":{\"type\":\"string\",\"enum\":"
	  "[\"x\",\"1\"],\"default\":\"x\"},\"b\":{\"type\":\"number\",\"minimum\":1.5}}}" },
	{ "what only OpenAPI has is dropped, but no property with its name",
	  OPENAPI_PATHS(BODY("{xml: {name: a}, example: {x: 1}, x-y: 1, discriminator: {}, required: true, "
			     "properties: {xml: {type: string}, nullable: {example: 1}, x-a: {}}}")),
	  "{\"properties\":{\"xml\":{\"type\":\"string\"},\"nullable\":{},\"x-a\":{}}}" },
	{ "nullable is a type more", OPENAPI_PATHS(BODY("{type: string, nullable: true}")),
	  "{\"type\":[\"string\",\"null\"]}" },
	{ "exclusive limits of 3.0 are dropped: JSON Schema has numbers there",
	  OPENAPI_PATHS(BODY("{minimum: 1, exclusiveMinimum: true, maximum: 5, exclusiveMaximum: false}")),
	  "{\"minimum\":1,\"maximum\":5}" },
	{ "exclusive limits of 3.1 stay", OPENAPI_PATHS(BODY("{exclusiveMinimum: 1, maximum: 5}")),
	  "{\"exclusiveMinimum\":1,\"maximum\":5}" },
	{ "references are resolved, also of parts with escapes",
	  OPENAPI_DOCUMENT(BODY("{$$ref: '#/components/schemas/a~1b%20c'}"),
			   "components: {schemas: {a/b c: {allOf: [{$$ref: '#/components/schemas/D'}]}, D: "
			   "{type: string}}}"),
	  "{\"allOf\":[{\"type\":\"string\"}]}" },
	{ "a schema within itself is of any value",
	  OPENAPI_DOCUMENT(BODY("{$$ref: '#/components/schemas/Node'}"),
			   "components: {schemas: {Node: {type: object, properties: {next: {$$ref: "
			   "'#/components/schemas/Node'}, all: {type: array, items: {$$ref: "
			   "'#/components/schemas/Node'}}}}}}"),
	  "{\"type\":\"object\",\"properties\":{\"next\":{},\"all\":{\"type\":\"array\",\"items\":{}}}}" },
	{ "bools are schemas", OPENAPI_PATHS(BODY("{additionalProperties: false, items: true}")),
	  "{\"additionalProperties\":false,\"items\":true}" },
	{ "what is no schema is of any value", OPENAPI_PATHS(BODY("[1]")), "{}" },
	{ "a $ref in a default is a value", OPENAPI_PATHS(BODY("{default: {$$ref: nowhere}}")),
	  "{\"default\":{\"$ref\":\"nowhere\"}}" },
};

static void schemas_become_json_schema(void **state)
{
	const struct schema_case *row = *state;
	struct config_case c;
	struct span got;

	config_case_text(&c, row->text);
	got = body_schema(openapi_of(&c));
	if (!span_eq(got, span_str(row->want)))
		fail_msg("%.*s instead of %s", SPAN_FMT(got), row->want);
	config_case_done(&c);
}
TEST_ROWS(schemas_become_json_schema, schema_cases);

TEST(deep_schemas_end_with_any_value)
{
	struct config_case c;
	struct text text;

	text_init(&text);
	text_str(&text,
		 "mcp: {targets: [{name: a, openapi: {host: 'h:1', schema: '{\"openapi\": \"3.1.0\", "
		 "\"paths\": {\"/p\": {\"post\": {\"operationId\": \"p\", \"requestBody\": {\"required\": "
		 "true, \"content\": {\"application/json\": {\"schema\": ");
	for (int i = 0; i < 20; i++)
		text_str(&text, "{\"not\": ");
	text_str(&text, "{\"type\": \"string\"}");
	for (int i = 0; i < 20; i++)
		text_char(&text, '}');
	text_str(&text, "}}}}}}}'}}]}\n");
	config_case_text(&c, text.data);
	assert_int_equal(body_schema(openapi_of(&c)).len, 16 * strlen("{\"not\":}") + 2);
	config_case_done(&c);
	text_done(&text);
}

/* Ten references of each level to the next: 10^9 schemas, if all of them were written. */
TEST(references_that_multiply_leave_only_their_operation_out)
{
	struct config_case c;
	struct text text;

	text_init(&text);
	text_str(&text,
		 "mcp: {targets: [{name: a, openapi: {host: 'h:1', schema: '{\"openapi\": \"3.1.0\", "
		 "\"paths\": {\"/q\": {\"get\": {}}, \"/p\": {\"post\": {\"requestBody\": {\"content\": "
		 "{\"application/json\": {\"schema\": {\"$$ref\": \"#/x/s0\"}}}}}}}, \"x\": {");
	for (int i = 0; i < 10; i++) {
		text_fmt(&text, "%s\"s%d\": {\"allOf\": [", i ? ", " : "", i);
		for (int k = 0; k < 10 && i < 9; k++)
			text_fmt(&text, "%s{\"$$ref\": \"#/x/s%d\"}", k ? ", " : "", i + 1);
		text_str(&text, "]}");
	}
	text_str(&text, "}}'}}]}\n");
	config_case_text(&c, text.data);
	assert_int_equal(openapi_of(&c)->operation_count, 1);
	config_case_says(&c, CONFIG_WARNING, "a.yaml (schema):1:", "or has more than 262144 bytes");
	config_case_done(&c);
	text_done(&text);
}

TEST(every_tool_has_a_name_of_its_own)
{
	static const char *const names[] = { "get_pet",	  "a.b-C",	     "get_a_b",	    "get_a_b_2",
					     "get_pet_3", "get_a_id_things", "delete_a_id", "a.b-C_4" };
	const struct openapi_api *api;
	struct config_case c;

	config_case_text(
		&c, OPENAPI_PATHS("/a: {get: {operationId: get_pet}, put: {operationId: a.b-C}}, /a/b: "
				  "{get: {}}, /a//b: {get: {}}, /c: {get: {operationId: get pet}}, "
				  "'/a/{id}/things': {get: {parameters: [{name: id, in: path}]}}, '/a/{id}': "
				  "{parameters: [{name: id, in: path}], delete: {operationId: ''}, put: "
				  "{operationId: a.b-C}}"));
	api = openapi_of(&c);
	assert_int_equal(api->operation_count, ARRAY_LEN(names));
	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		assert_span_equal(api->operation_list[i].tool, names[i]);
	config_case_done(&c);
}

TEST(the_path_beside_host_replaces_that_of_the_servers)
{
	static const struct {
		const char *keys, *servers, *want;
	} rows[] = {
		{ "host: 'h:1'", "[{url: 'https://x/api/v3/'}]", "/api/v3/p" },
		{ "host: 'h:1'", "[{url: /v2}]", "/v2/p" },
		{ "host: 'h:1'", "[{url: 'https://x'}, {url: 'https://y/z'}]", "/p" },
		{ "host: h, port: 1, path: /", "[{url: /v2}]", "/v2/p" },
		{ "host: 'http://h:1/v9/'", "[{url: /v2}, {url: '/{v}'}]", "/v9/p" },
		{ "backend: b", "[{url: /v2}]", "/v2/p" },
		{ "backend: b, path: /w", "[{url: /v2}]", "/w/p" },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct config_case c;
		char text[512];

		snprintf(
			text, sizeof(text),
			"backends: [{name: b, host: 'b:1'}]\nmcp: {targets: [{name: a, openapi: {%s, schema: "
			"\"{openapi: 3.1.0, servers: %s, paths: {/p: {get: {}}}}\"}}]}\n",
			rows[i].keys, rows[i].servers);
		config_case_text(&c, text);
		assert_span_equal(openapi_of(&c)->operation_list[0].path, rows[i].want);
		config_case_done(&c);
	}
}

/* Each is the only operation beside /ok, and a warning says why it is no tool. */
static struct left_case {
	const char *name;
	const char *text;
	const char *words;
} left_cases[] = {
	{ "a cookie that is required",
	  OPENAPI_PATHS("/ok: {get: {}}, " PARAMETERS("{name: c, in: cookie, required: true}")),
	  "it needs this cookie, or style" },
	{ "a style",
	  OPENAPI_PATHS(
		  "/ok: {get: {}}, '/p/{a}': {get: {parameters: [{name: a, in: path, style: matrix}]}}"),
	  "it needs this cookie, or style" },
	{ "a form",
	  OPENAPI_PATHS("/ok: {get: {}}, /p: {post: {requestBody: {required: true, content: "
			"{multipart/form-data: {}}}}}"),
	  "its body cannot be JSON" },
};

static void an_operation_that_no_tool_can_do_is_left_out(void **state)
{
	const struct left_case *row = *state;
	struct config_case c;

	config_case_text(&c, row->text);
	assert_int_equal(openapi_of(&c)->operation_count, 1);
	assert_span_equal(openapi_of(&c)->operation_list[0].path, "/v3/ok");
	config_case_says(&c, CONFIG_WARNING, "a.yaml (schema):", row->words);
	assert_int_equal(c.report.count[CONFIG_WARNING], 1);
	config_case_done(&c);
}
TEST_ROWS(an_operation_that_no_tool_can_do_is_left_out, left_cases);

TEST(headers_of_the_gateway_and_optional_cookies_are_no_arguments)
{
	struct config_case c;

	config_case_text(
		&c, OPENAPI_PATHS(PARAMETERS(
			    "{name: Authorization, in: header, required: true}, {name: HOST, in: header}, "
			    "{name: transfer-encoding, in: header}, {name: X-Forwarded-For, in: header}, "
			    "{name: Mcp-Session-Id, in: header}, {name: Cookie, in: header}, "
			    "{name: c, in: cookie}, {name: Content-Length, in: header}")));
	assert_int_equal(openapi_of(&c)->operation_list[0].parameter_count, 0);
	assert_null(strstr(openapi_of(&c)->operation_list[0].description.data, "header"));
	config_case_done(&c);
}

#define AS_SCHEMA(text) "mcp: {targets: [{name: a, openapi: {host: 'h:1', schema: " text "}}]}\n"

TEST(wrong_documents_are_refused)
{
	static const struct config_refusal rows[] = {
		{ "mcp: {targets: [{name: a, openapi: {host: 'h:1'}}]}\n",
		  "a.yaml:1:", "\"schema\" is missing; write the OpenAPI document" },
		{ "mcp: {targets: [{name: a, openapi: {schema: x}}]}\n", "a.yaml:1:", "host" },
		{ AS_SCHEMA("{url: ftp://x/api.json}"), "a.yaml:1:", "write one that begins with https://" },
		{ AS_SCHEMA("{url: x/api.json}"), "a.yaml:1:", "write one that begins with https://" },
		{ AS_SCHEMA("{url: 'https:///api.json'}"), "a.yaml:1:", "" },
		{ AS_SCHEMA("{url: 'https://x/a', file: /a}"), "a.yaml:1:", "file" },
		{ AS_SCHEMA("{}"), "a.yaml:1:", "file" },
		{ AS_SCHEMA("{file: /no/such}"), "a.yaml:1:", "/no/such" },
		{ AS_SCHEMA("[1]"), "a.yaml:1:", "" },
		{ AS_SCHEMA("''"), "a.yaml:1:", "has 0 documents; write one" },
		{ AS_SCHEMA("x"),
		  "a.yaml (schema):1:", "is not a document of OpenAPI 3.0 or 3.1; convert it" },
		{ AS_SCHEMA("'{'"), "a.yaml (schema):2:", "this is not YAML" },
		{ AS_SCHEMA("\"swagger: '2.0'\""),
		  "a.yaml (schema):1:", "convert it (Swagger 2.0 is older)" },
		{ AS_SCHEMA("'openapi: 4.0.0'"), "a.yaml (schema):1:", "is not a document of OpenAPI" },
		{ AS_SCHEMA("'openapi: 3.0.0'"), "a.yaml:1:", "has no operation that can be a tool" },
		{ AS_SCHEMA("'{openapi: 3.0.0, paths: {}}'"), "a.yaml:1:", "has no operation" },
		{ AS_SCHEMA("\"{openapi: 3.0.0, servers: [{url: '/{v}'}], paths: {/p: {get: {}}}}\""),
		  "a.yaml:1:", "\"/{v}\" cannot be the path of a server; write path: /v1 beside host" },
		{ AS_SCHEMA("\"{openapi: 3.0.0, servers: [{url: '/../x'}], paths: {/p: {get: {}}}}\""),
		  "a.yaml:1:", "cannot be the path of a server" },
		{ OPENAPI_PATHS("'/p/{id}': {get: {}}"),
		  "a.yaml (schema):4:", "each name in {} as a parameter with in: path" },
		{ OPENAPI_PATHS("'/p/{id': {get: {parameters: [{name: id, in: path}]}}"),
		  "a.yaml (schema):4:", "is not a path" },
		{ OPENAPI_PATHS("p: {get: {}}"), "a.yaml (schema):4:", "\"p\" is not a path" },
		{ OPENAPI_PATHS("/p?a=b: {get: {}}"), "a.yaml (schema):4:", "is not a path" },
		{ OPENAPI_PATHS("/p/../q: {get: {}}"), "a.yaml (schema):4:", "is not a path" },
		{ OPENAPI_PATHS("/p/%2E%2e/q: {get: {}}"), "a.yaml (schema):4:", "is not a path" },
		{ OPENAPI_PATHS("\"/p\\r\\nX: y\": {get: {}}"), "a.yaml (schema):4:", "is not a path" },
		{ OPENAPI_PATHS(PARAMETERS("{in: query}")), "a.yaml (schema):4:", "is no parameter" },
		{ OPENAPI_PATHS(PARAMETERS("{name: a, in: body}")), "a.yaml (schema):4:", "is no parameter" },
		{ OPENAPI_PATHS(PARAMETERS("{name: 'a b', in: header}")),
		  "a.yaml (schema):4:", "is no parameter" },
		{ OPENAPI_PATHS(PARAMETERS("{name: \"a\\r\\nb\", in: header}")),
		  "a.yaml (schema):4:", "is no parameter" },
		{ OPENAPI_PATHS(GET("parameters: {a: 1}")), "a.yaml (schema):4:", "is no parameter" },
		{ OPENAPI_PATHS(PARAMETERS("{$$ref: '#/components/parameters/a'}")),
		  "a.yaml (schema):4:", "there is no \"#/components/parameters/a\" in this document" },
		{ OPENAPI_PATHS(BODY("{$$ref: 'other.yaml#/a'}")),
		  "a.yaml (schema):4:", "\"other.yaml#/a\" is not in this document" },
		{ OPENAPI_PATHS(BODY("{properties: {a: {$$ref: 'http://x/a'}}}")),
		  "a.yaml (schema):4:", "is not in this document" },
		{ OPENAPI_DOCUMENT(BODY("{$$ref: '#/x'}"), "x: {$$ref: '#/y'}\n        y: {$$ref: '#/x'}"),
		  "a.yaml (schema):4:", "refers to itself" },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		config_refused(&rows[i]);
}

TEST(a_document_may_be_a_file_of_json_and_its_changes_count)
{
	char path[] = "/tmp/headgate-openapi-XXXXXX", text[256];
	const char json[] = "{\"openapi\":\"3.1.0\",\"paths\":{\"/p\":{\"get\":{\"operationId\":\"p\"}}}}";
	uint64_t digest;
	struct config_case c;
	int fd = mkstemp(path);
	char *dump;

	assert_true(fd >= 0);
	assert_int_equal(write(fd, json, strlen(json)), strlen(json));
	snprintf(text, sizeof(text), AS_SCHEMA("{file: '%s'}"), path);
	config_case_text(&c, text);
	assert_span_equal(openapi_of(&c)->operation_list[0].tool, "p");
	digest = openapi_of(&c)->value.id;
	assert_int_equal(c.report.named_count, 1);
	assert_span_equal(c.report.named_list[0].path, path);
	dump = compact_dump(c.snapshot);
	assert_has(dump, "{\"name\":\"a\",\"openapi\":{\"backend\":{\"backend\":\"mcp/mcp/0\"}}}");
	free(dump);
	config_case_done(&c);
	assert_int_equal(pwrite(fd, "{\"openapi\":\"3.1.1\"", 18, 0), 18);
	close(fd);
	config_case_text(&c, text);
	assert_true(openapi_of(&c)->value.id != digest);
	config_case_done(&c);
	unlink(path);
}

TEST(a_document_behind_a_url_is_not_there_until_it_is_fetched)
{
	const struct fetch_source *source;
	struct config_case c;
	char *dump;

	config_case_text(&c, "mcp: {targets: [{name: a, openapi: {host: 'http://h:1/v9', schema: {url: "
			     "'https://x/api.json?v=3'}}}]}\n");
	assert_null(openapi_hold(server_of(&c)->api));
	assert_int_equal(c.snapshot->fetch_count, 1);
	source = &c.snapshot->fetch_list[0];
	assert_int_equal(source->kind, FETCH_OPENAPI);
	assert_span_equal(source->url, "https://x/api.json?v=3");
	assert_span_equal(source->prefix, "/v9");
	assert_span_equal(source->path, "/api.json?v=3");
	assert_int_equal(source->backend->inline_policies.value_list[0].kind, POLICY_BACKEND_TLS);
	assert_ptr_equal(source->place, &server_of(&c)->api);
	dump = compact_dump(c.snapshot);
	assert_has(dump, "{\"name\":\"a\",\"openapi\":{\"backend\":{\"backend\":\"mcp/mcp/0\"},\"schema\":{"
			 "\"url\":\"https://x/api.json?v=3\",\"fetched\":0,\"tools\":0},\"path\":\"/v9\"}}");
	free(dump);
	assert_int_equal(c.report.count[CONFIG_WARNING], 0);
	config_case_done(&c);
	config_case_text(&c, AS_SCHEMA("{url: 'http://x/api.json'}"));
	config_case_says(&c, CONFIG_WARNING, "a.yaml:1:", "can make tools of other requests to the API");
	config_case_done(&c);
}

TEST(too_many_operations_are_refused)
{
	struct config_case c;
	struct text text;

	text_init(&text);
	text_str(&text,
		 "mcp: {targets: [{name: a, openapi: {host: 'h:1', schema: '{openapi: 3.1.0, paths: {");
	for (int i = 0; i <= LIMIT_OPENAPI_OPERATIONS; i++)
		text_fmt(&text, "/%d: {get: {}}, ", i);
	text_str(&text, "/: {get: {}}}}'}}]}\n");
	config_case_text(&c, text.data);
	assert_null(c.snapshot);
	config_case_says(&c, CONFIG_ERROR, "a.yaml:1:", "has 1026 operations");
	config_case_done(&c);
	text_done(&text);
}

static int load_once(void *context)
{
	struct config_case c;
	int result;

	config_case_text(&c, context);
	result = c.result;
	config_case_done(&c);
	return result;
}

TEST(without_memory_a_load_fails_and_nothing_leaks)
{
	static char text[] = OPENAPI_DOCUMENT(
		"'/p/{id}': {post: {operationId: a b, summary: s, parameters: [{name: id, in: path}, "
		"{name: q, in: query}], requestBody: {required: true, content: {application/json: "
		"{schema: {$$ref: '#/x'}}}}}}",
		"x: {type: object}");

	static char url[] = AS_SCHEMA("{url: 'http://x/api.json'}");

	assert_true(alloc_fail_each(load_once, text) > 10);
	assert_true(alloc_fail_each(load_once, url) > 10);
}
