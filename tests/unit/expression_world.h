/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "policy/expression/expression.h"
#include "policy/expression/expression_json.h"
#include "tests/lib/test_arena.h"
#include "user/base/check.h"
#include "user/mcp/json/json_text.h"
#include "user/net/address.h"

/* A request with everything that expressions can read. */
TEST_ARENA(arena, 16384);

static const char claims_json[] =
	"{\"sub\": \"alice\", \"exp\": 1700000000, \"score\": 0.5, \"big\": 18446744073709551615, "
	"\"neg\": -7, "
	"\"admin\": true, \"guest\": false, \"nothing\": null, \"email\": \"a\\u00e9\\\"b\", "
	"\"groups\": [\"ops-eu\", \"dev\"], \"mixed\": [1, \"a\", null, [2]], \"empty\": [], "
	"\"org\": {\"name\": \"acme\", \"roles\": {\"admin\": true}}, \"https://x/role\": \"r\", "
	"\"scope\": \"read write\", \"ip\": \"10.1.2.3\"}";

/* Everything that can be read, at once; what a point must not read is refused when it is compiled. */
struct world {
	struct request_head request;
	struct fields response;
	struct expression_source source;
	struct address address, peer, destination;
	struct expression_backend backend;
	struct expression_mcp mcp;
	struct expression_value claims, key, metadata, request_json, response_json;
	struct span names[2];
	struct expression_scratch scratch;
	struct expression_facts facts;
};

static struct expression_value json_of(const char *text, int want)
{
	struct mcp_json_checker *checker = mcp_json_checker_create();
	struct expression_value value = { .type = EXPRESSION_NONE };

	assert_non_null(checker);
	/* The tree borrows from the text. */
	assert_int_equal(expression_json(arena_copy(&arena, span_str(text)), checker, &arena, &value), want);
	mcp_json_checker_free(checker);
	return value;
}

static void request_fill(struct request_head *head)
{
	*head = (struct request_head){
		.method_text = SPAN("GET"),
		.target = SPAN("/a/b?x=1&y=%41+b&x=2"),
		.path = SPAN("/a/b"),
		.query = SPAN("x=1&y=%41+b&x=2"),
		.has_query = true,
		.is_secure = true,
		.authority = SPAN("Shop.example.com:8443"),
		.version_major = 1,
		.version_minor = 1,
	};
	fields_init(&head->fields, &arena);
	assert_int_equal(fields_add(&head->fields, SPAN("X-Team"), SPAN(" ops ")), 0);
	assert_int_equal(fields_add(&head->fields, SPAN("x-two"), SPAN("good")), 0);
	assert_int_equal(fields_add(&head->fields, SPAN("Cookie"), SPAN("a=1; session=s3")), 0);
	assert_int_equal(fields_add(&head->fields, SPAN("X-TWO"), SPAN("bad")), 0);
	assert_int_equal(fields_add(&head->fields, SPAN("cookie"), SPAN("b=2=3")), 0);
	assert_int_equal(fields_add(&head->fields, SPAN("x-hole"), SPAN("")), 0);
	assert_int_equal(fields_add(&head->fields, SPAN("x-hole"), SPAN("b")), 0);
	assert_int_equal(fields_add(&head->fields, SPAN("x-number"), SPAN("-12")), 0);
	assert_int_equal(fields_add(&head->fields, SPAN("x-utf8"), SPAN("a\xc3\xa9\xe2\x82\xac")), 0);
}

static void world_make(struct world *world)
{
	*world = (struct world){ .names = { SPAN("spiffe://td/ns/web/sa/front"), SPAN("front.example") } };
	request_fill(&world->request);
	fields_init(&world->response, &arena);
	assert_int_equal(fields_add(&world->response, SPAN("grpc-status"), SPAN("14")), 0);
	assert_int_equal(address_parse(SPAN("[::ffff:10.1.2.3]:4567"), &world->address), 0);
	assert_int_equal(address_parse(SPAN("[2001:db8:1:2:3::4]:80"), &world->peer), 0);
	assert_int_equal(address_parse(SPAN("192.0.2.1:8443"), &world->destination), 0);
	world->source = (struct expression_source){
		.address = &world->address,
		.raw_address = &world->peer,
		.subject = SPAN("CN=front"),
		.subject_cn = SPAN("front"),
		.issuer = SPAN("CN=ca"),
		.spiffe_id = world->names[0],
		.names = world->names,
		.name_count = 2,
	};
	world->backend = (struct expression_backend){ SPAN("pets"), SPAN("mcp"), SPAN("mcp") };
	world->mcp = (struct expression_mcp){ .method = SPAN("tools/call"),
					      .session = SPAN("s1"),
					      .target = SPAN("files"),
					      .tool = SPAN("read_file") };
	world->claims = json_of(claims_json, 0);
	world->key = json_of("{\"team\": \"a\", \"key\": \"<redacted>\"}", 0);
	world->metadata = json_of("{\"tier\": \"gold\"}", 0);
	world->request_json = json_of("{\"model\": \"m-1\", \"n\": [1, 2]}", 0);
	world->response_json = json_of("[\"a\"]", 0);
	world->facts = (struct expression_facts){
		.request = &world->request,
		.response_fields = &world->response,
		.response_code = 503,
		.random = 42,
		.scratch = &world->scratch,
		.start_ns = 1700000000000000000u,
		.end_ns = 1700000001500000000u,
		.source = &world->source,
		.destination = &world->destination,
		.sni = SPAN("shop.example.com"),
		.jwt = &world->claims,
		.api_key = &world->key,
		.metadata = &world->metadata,
		.basic_user = SPAN("bob"),
		.backend = &world->backend,
		.mcp = &world->mcp,
		.request_body = SPAN("{\"model\": \"m-1\", \"n\": [1, 2]}"),
		.response_body = SPAN("[\"a\"]"),
		.request_json = &world->request_json,
		.response_json = &world->response_json,
	};
}

static void compile(const char *text, enum expression_point point, struct expression *expression)
{
	char error[EXPRESSION_ERROR_BYTES] = "";

	if (expression_compile(span_str(text), point, &arena, expression, error) != 0)
		fail_msg("%s: %s", text, error);
}
