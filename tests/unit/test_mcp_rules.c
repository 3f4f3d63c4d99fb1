/* SPDX-License-Identifier: Apache-2.0 */
/* Rules for MCP are evaluated in another thread, when the request that they read may be gone. */
#include <errno.h>
#include <pthread.h>
#include <string.h>

#include "config/snapshot.h"
#include "policy/guard/mcp_access.h"
#include "tests/lib/test_arena.h"
#include "user/base/check.h"
#include "user/base/mem.h"
#include "user/net/address.h"

TEST_ARENA(arena, 16 * 1024);

/* What a request has, in memory that ends with it. */
struct request {
	struct arena arena;
	struct request_head head;
	struct address address, destination;
	struct expression_source source;
	struct expression_facts facts;
};

static struct span text_of(struct request *request, const char *text)
{
	return arena_copy(&request->arena, span_str(text));
}

static struct request *request_make(void)
{
	struct request *request = hg_calloc(1, sizeof(*request));
	struct request_head *head = &request->head;
	struct span *names;

	assert_non_null(request);
	arena_init(&request->arena, 64);
	*head = (struct request_head){ .method = METHOD_POST,
				       .method_text = text_of(request, "POST"),
				       .target = text_of(request, "/mcp?a=b"),
				       .path = text_of(request, "/mcp"),
				       .query = text_of(request, "a=b"),
				       .has_query = true,
				       .authority = text_of(request, "tools.example"),
				       .version_major = 1,
				       .version_minor = 1 };
	fields_init(&head->fields, &request->arena);
	assert_int_equal(fields_add(&head->fields, text_of(request, "x-team"), text_of(request, "a")), 0);
	assert_int_equal(address_parse(SPAN("10.0.0.1:1"), &request->address), 0);
	assert_int_equal(address_parse(SPAN("10.0.0.2:443"), &request->destination), 0);
	names = arena_take(&request->arena, sizeof(*names));
	assert_non_null(names);
	*names = text_of(request, "front.example");
	request->source = (struct expression_source){ .address = &request->address,
						      .raw_address = &request->address,
						      .subject = text_of(request, "CN=front"),
						      .subject_cn = text_of(request, "front"),
						      .names = names,
						      .name_count = 1 };
	request->facts = (struct expression_facts){ .request = head,
						    .source = &request->source,
						    .destination = &request->destination,
						    .sni = text_of(request, "tools.example"),
						    .basic_user = text_of(request, "bob") };
	return request;
}

static void request_free(struct request *request)
{
	arena_done(&request->arena);
	memset(request, 0x5a, sizeof(*request));
	hg_free(request);
}

static const char *const everything[] = {
	"request.method == 'POST'",
	"request.path == '/mcp'",
	"request.pathAndQuery == '/mcp?a=b'",
	"request.uri == '/mcp?a=b'",
	"request.host == 'tools.example'",
	"request.headers['x-team'] == 'a'",
	"cidr('10.0.0.0/24').containsIP(source.address)",
	"source.port == 1",
	"source.subject == 'CN=front'",
	"source.subjectCn == 'front'",
	"'front.example' in source.subjectAltNames",
	"destination.port == 443",
	"destination.hostname == 'tools.example'",
	"basicAuth.username == 'bob'",
	"mcp.tool.name == 'echo'",
	"mcp.tool.target == 'one'",
	"mcp.methodName == 'tools/call'",
};

static struct authorization_policy *policy_of(const char *text)
{
	struct authorization_policy *policy = arena_take(&arena, sizeof(*policy));
	struct authorization_rule *rule = arena_take(&arena, sizeof(*rule));
	char error[EXPRESSION_ERROR_BYTES] = "";

	assert_true(policy && rule);
	rule->effect = AUTHORIZATION_ALLOW;
	rule->expression_count = 1;
	rule->expression_list = arena_take(&arena, sizeof(*rule->expression_list));
	if (expression_compile(span_str(text), EXPRESSION_AT_MCP, &arena, rule->expression_list, error) != 0)
		fail_msg("%s: %s", text, error);
	policy->rule_list = rule;
	policy->rule_count = 1;
	policy->needs = rule->expression_list[0].needs;
	return policy;
}

static const struct expression_mcp echo = { .method = SPAN("tools/call"),
					    .target = SPAN("one"),
					    .tool = SPAN("echo") };

TEST(an_access_has_all_that_rules_read_when_the_request_is_gone)
{
	for (size_t i = 0; i < ARRAY_LEN(everything); i++) {
		struct snapshot *snapshot = snapshot_create();
		struct request *request = request_make();
		struct mcp_access *access =
			mcp_access_create(policy_of(everything[i]), &request->facts, NULL, snapshot);

		assert_non_null(access);
		request_free(request);
		snapshot_unref(snapshot);
		if (!mcp_access_may(access, &echo))
			fail_msg("%s", everything[i]);
		mcp_access_unref(access);
	}
}

TEST(an_access_is_found_by_its_number_until_it_is_dropped)
{
	struct mcp_access_table *table = mcp_access_table_create();
	struct snapshot *snapshot = snapshot_create();
	struct request *request = request_make();
	struct mcp_access *found;
	uint64_t first, second;

	first = mcp_access_table_put(table,
				     mcp_access_create(policy_of("true"), &request->facts, NULL, snapshot));
	second = mcp_access_table_put(table,
				      mcp_access_create(policy_of("false"), &request->facts, NULL, snapshot));
	assert_true(first && second && first != second);
	found = mcp_access_table_find(table, second);
	assert_false(mcp_access_may(found, &echo));
	mcp_access_table_drop(table, second);
	assert_null(mcp_access_table_find(table, second));
	/* Who has found it keeps it. */
	assert_false(mcp_access_may(found, &echo));
	mcp_access_unref(found);
	assert_null(mcp_access_table_find(table, 0));
	assert_null(mcp_access_table_find(table, second + 1));
	mcp_access_table_drop(table, 0);
	mcp_access_table_drop(table, first);
	mcp_access_table_free(table);
	request_free(request);
	snapshot_unref(snapshot);
}

/* Rules that reach a limit refuse, also those that deny. */
TEST(a_rule_that_gives_up_allows_nothing)
{
	static char path[LIMIT_EXPRESSION_SCRATCH_BYTES];
	struct snapshot *snapshot = snapshot_create();
	struct request *request = request_make();
	struct mcp_access *access;

	memset(path, 'a', sizeof(path));
	request->head.path = span_of(path, sizeof(path));
	access = mcp_access_create(policy_of("true || size(request.path + request.path) > 0"),
				   &request->facts, NULL, snapshot);
	assert_true(mcp_access_may(access, &echo));
	mcp_access_unref(access);
	access = mcp_access_create(policy_of("size(request.path + request.path) > 0 || true"),
				   &request->facts, NULL, snapshot);
	assert_false(mcp_access_may(access, &echo));
	mcp_access_unref(access);
	request_free(request);
	snapshot_unref(snapshot);
}

/* Whom a rule would deny is not known. */
TEST(a_rule_about_an_address_that_is_not_known_allows_nothing)
{
	struct authorization_policy *policy = policy_of("cidr('10.0.0.0/24').containsIP(source.address)");
	struct snapshot *snapshot = snapshot_create();
	struct request *request = request_make();
	struct mcp_access *access;

	policy->rule_list[0].effect = AUTHORIZATION_DENY;
	request->source.address = NULL;
	access = mcp_access_create(policy, &request->facts, NULL, snapshot);
	assert_false(mcp_access_may(access, &echo));
	mcp_access_unref(access);
	request_free(request);
	snapshot_unref(snapshot);
}

TEST(without_memory_there_is_no_access)
{
	struct snapshot *snapshot = snapshot_create();
	const struct authorization_policy *policy = policy_of("true");
	struct request *request = request_make();
	struct mcp_access *access = NULL;
	unsigned failures = 0;

	for (size_t nth = 1; !access; nth++) {
		mem_fail_nth(nth);
		access = mcp_access_create(policy, &request->facts, NULL, snapshot);
		mem_fail_nth(0);
		failures += !access;
	}
	assert_true(failures > 0);
	mcp_access_unref(access);
	request_free(request);
	snapshot_unref(snapshot);
}
