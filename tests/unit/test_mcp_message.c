/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/lib/test.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "tests/lib/guard.h"
#include "user/base/check.h"
#include "user/base/limits.h"
#include "user/mcp/json/patch.h"
#include "user/mcp/protocol/message.h"

static struct mcp_json_checker *checker;
static struct guard guard;

static int group_make(void **state)
{
	guard_init(&guard, 64 * 1024);
	checker = mcp_json_checker_create();
	*state = NULL;
	return checker ? 0 : -1;
}

static int group_drop(void **state __attribute__((unused)))
{
	guard_done(&guard);
	mcp_json_checker_free(checker);
	return 0;
}

TEST_GROUP(group_make, group_drop);

static enum mcp_fault read_text(const char *text, struct mcp_post *post)
{
	size_t len = strlen(text);

	return mcp_post_read(checker, span_of(guard_end(&guard, text, len), len), post);
}

static struct mcp_message good(const char *text)
{
	struct mcp_post post;

	if (read_text(text, &post) != MCP_NONE)
		fail_msg("refused: %s", text);
	assert_int_equal(post.count, 1);
	assert_false(post.is_batch);
	return post.first;
}

static void assert_span(struct span s, const char *expected)
{
	if (!span_eq(s, span_str(expected)))
		fail_msg("%.*s is not %s", SPAN_FMT(s), expected);
}

TEST(a_request_is_read_with_all_that_names_it)
{
	struct mcp_message m =
		good(" {\"jsonrpc\":\"2.0\",\"id\":7,\"method\":\"tools/call\",\"params\":{\"name\":\"echo\","
		     "\"arguments\":{\"name\":\"x\",\"_meta\":1},\"_meta\":{\"progressToken\":\"t\"}}}\n");

	assert_int_equal(m.kind, MCP_REQUEST);
	assert_int_equal(m.method, MCP_METHOD_TOOLS_CALL);
	assert_span(m.id, "7");
	assert_span(m.method_text, "tools/call");
	assert_span(m.name, "\"echo\"");
	assert_span(m.token, "\"t\"");
	assert_int_equal(m.text.data[0], '{');
	assert_int_equal(m.text.data[m.text.len - 1], '}');
	assert_false(mcp_message_is_modern(&m));
}

TEST(every_kind_of_message_is_told_apart)
{
	assert_int_equal(good("{\"jsonrpc\":\"2.0\",\"method\":\"notifications/initialized\"}").kind,
			 MCP_NOTIFICATION);
	assert_int_equal(good("{\"jsonrpc\":\"2.0\",\"id\":\"a\",\"result\":{}}").kind, MCP_RESULT);
	assert_int_equal(good("{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":null}").kind, MCP_RESULT);
	assert_int_equal(good("{\"jsonrpc\":\"2.0\",\"id\":1,\"error\":{\"code\":-1,\"message\":\"\"}}").kind,
			 MCP_ERROR);
	assert_int_equal(good("{\"jsonrpc\":\"2.0\",\"id\":null,\"error\":{}}").id.len, 0);
	assert_int_equal(good("{\"jsonrpc\":\"2.0\",\"error\":{}}").kind, MCP_ERROR);
}

TEST(ids_are_strings_and_integers)
{
	static const char *const goods[] = {
		"0", "-1", "9007199254740993", "123456789012345678901234567890", "\"\"", "\"a\\u0000b\"",
	};
	static const char *const bads[] = { "null", "1.0", "1e3", "1.5", "true", "{}", "[1]", "-" };
	char text[256];
	struct mcp_post post;

	for (size_t i = 0; i < ARRAY_LEN(goods); i++) {
		snprintf(text, sizeof(text), "{\"jsonrpc\":\"2.0\",\"id\":%s,\"method\":\"ping\"}", goods[i]);
		assert_span(good(text).id, goods[i]);
	}
	for (size_t i = 0; i < ARRAY_LEN(bads); i++) {
		snprintf(text, sizeof(text), "{\"jsonrpc\":\"2.0\",\"id\":%s,\"method\":\"ping\"}", bads[i]);
		assert_int_not_equal(read_text(text, &post), MCP_NONE);
		snprintf(text, sizeof(text), "{\"jsonrpc\":\"2.0\",\"id\":%s,\"result\":{}}", bads[i]);
		assert_int_not_equal(read_text(text, &post), MCP_NONE);
	}
}

TEST(an_id_has_a_longest_length)
{
	char id[LIMIT_MCP_ID_BYTES + 2] = "";
	char text[2 * LIMIT_MCP_ID_BYTES];
	struct mcp_post post;

	for (size_t len = LIMIT_MCP_ID_BYTES; len <= LIMIT_MCP_ID_BYTES + 1; len++) {
		memset(id, 'x', len);
		id[0] = '"';
		id[len - 1] = '"';
		id[len] = '\0';
		snprintf(text, sizeof(text), "{\"jsonrpc\":\"2.0\",\"id\":%s,\"method\":\"ping\"}", id);
		assert_int_equal(read_text(text, &post), len <= LIMIT_MCP_ID_BYTES ? MCP_NONE : MCP_BAD_ID);
	}
}

static const struct refused {
	const char *text;
	enum mcp_fault fault;
} refuseds[] = {
	{ "", MCP_NOT_JSON },
	{ "{", MCP_NOT_JSON },
	{ "{}x", MCP_NOT_JSON },
	{ "17", MCP_NOT_JSON },
	{ "{}", MCP_ENVELOPE },
	{ "[]", MCP_BATCH_SIZE },
	{ "[1]", MCP_ENVELOPE },
	{ "[[]]", MCP_ENVELOPE },
	{ "{\"id\":1,\"method\":\"ping\"}", MCP_ENVELOPE },
	{ "{\"jsonrpc\":\"1.0\",\"id\":1,\"method\":\"ping\"}", MCP_ENVELOPE },
	{ "{\"jsonrpc\":2.0,\"id\":1,\"method\":\"ping\"}", MCP_ENVELOPE },
	{ "{\"jsonrpc\":\"2.0\",\"id\":1}", MCP_ENVELOPE },
	{ "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"\"}", MCP_ENVELOPE },
	{ "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":7}", MCP_ENVELOPE },
	{ "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"p\\u0069ng\"}", MCP_ENVELOPE },
	{ "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ping\",\"params\":[]}", MCP_ENVELOPE },
	{ "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ping\",\"params\":null}", MCP_ENVELOPE },
	{ "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ping\",\"result\":{}}", MCP_ENVELOPE },
	{ "{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{},\"error\":{}}", MCP_ENVELOPE },
	{ "{\"jsonrpc\":\"2.0\",\"id\":1,\"error\":\"no\"}", MCP_ENVELOPE },
	{ "{\"jsonrpc\":\"2.0\",\"result\":{}}", MCP_BAD_ID },
	{ "{\"jsonrpc\":\"2.0\",\"id\":1,\"id\":2,\"method\":\"ping\"}", MCP_DOUBLE_KEY },
	{ "{\"jsonrpc\":\"2.0\",\"id\":1,\"\\u0069d\":2,\"method\":\"ping\"}", MCP_DOUBLE_KEY },
	{ "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"a\",\"method\":\"b\"}", MCP_DOUBLE_KEY },
	{ "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/"
	  "call\",\"params\":{\"name\":\"a\",\"name\":\"b\"}}",
	  MCP_DOUBLE_KEY },
	{ "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/call\",\"params\":{\"n\\u0061me\":\"a\"}}",
	  MCP_DOUBLE_KEY },
	{ "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"x\",\"params\":{\"_meta\":{\"progressToken\":1,"
	  "\"progressToken\":2}}}",
	  MCP_DOUBLE_KEY },
	{ "[{\"jsonrpc\":\"2.0\",\"method\":\"a\"},{\"jsonrpc\":\"2.0\"}]", MCP_ENVELOPE },
};

TEST(what_is_no_message_is_refused_for_its_reason)
{
	for (size_t i = 0; i < ARRAY_LEN(refuseds); i++) {
		struct mcp_post post;
		enum mcp_fault fault = read_text(refuseds[i].text, &post);

		if (fault != refuseds[i].fault)
			fail_msg("%s: fault %d", refuseds[i].text, (int)fault);
	}
}

TEST(a_refused_request_keeps_its_id_for_the_answer)
{
	struct mcp_post post;

	assert_int_equal(read_text("{\"jsonrpc\":\"2.0\",\"id\":\"me\",\"method\":7}", &post), MCP_ENVELOPE);
	assert_span(post.first.id, "\"me\"");
}

TEST(every_prefix_of_a_message_is_refused)
{
	static const char text[] = "{\"jsonrpc\":\"2.0\",\"id\":\"\\u00e9\",\"method\":\"tools/"
				   "call\",\"params\":{\"name\":\"a\"}}";
	struct mcp_post post;

	for (size_t len = 0; len < sizeof(text) - 1; len++)
		assert_int_equal(mcp_post_read(checker, span_of(guard_end(&guard, text, len), len), &post),
				 MCP_NOT_JSON);
}

TEST(a_message_has_a_largest_size)
{
	size_t len = LIMIT_MCP_MESSAGE_MAX + 1;
	char *text = malloc(len);
	struct mcp_post post;

	assert_non_null(text);
	memset(text, ' ', len);
	memcpy(text, "{\"jsonrpc\":\"2.0\",\"method\":\"a\"}", 30);
	assert_int_equal(mcp_post_read(checker, span_of(text, len - 1), &post), MCP_NONE);
	assert_int_equal(mcp_post_read(checker, span_of(text, len), &post), MCP_TOO_LARGE);
	free(text);
}

TEST(a_batch_gives_its_messages_in_order)
{
	struct mcp_post post;
	struct mcp_message m;
	size_t at = 0;

	assert_int_equal(read_text("[ {\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"a\"} "
				   ",{\"jsonrpc\":\"2.0\",\"method\":\"b\"},"
				   "{\"jsonrpc\":\"2.0\",\"id\":\"x\",\"result\":[1]} ]",
				   &post),
			 MCP_NONE);
	assert_true(post.is_batch);
	assert_int_equal(post.count, 3);
	assert_int_equal(post.requests, 1);
	assert_true(mcp_post_next(&post, &at, &m));
	assert_span(m.method_text, "a");
	assert_true(mcp_post_next(&post, &at, &m));
	assert_span(m.method_text, "b");
	assert_true(mcp_post_next(&post, &at, &m));
	assert_span(m.result, "[1]");
	assert_false(mcp_post_next(&post, &at, &m));
	assert_false(mcp_post_next(&post, &at, &m));
}

TEST(a_batch_has_a_largest_number)
{
	char text[64 * (LIMIT_MCP_BATCH + 2)];
	struct mcp_post post;

	for (size_t count = LIMIT_MCP_BATCH; count <= LIMIT_MCP_BATCH + 1; count++) {
		size_t len = 0;

		for (size_t i = 0; i < count; i++)
			len += (size_t)snprintf(text + len, sizeof(text) - len,
						"%c{\"jsonrpc\":\"2.0\",\"method\":\"a\"}", i ? ',' : '[');
		snprintf(text + len, sizeof(text) - len, "]");
		assert_int_equal(read_text(text, &post),
				 count <= LIMIT_MCP_BATCH ? MCP_NONE : MCP_BATCH_SIZE);
	}
}

TEST(a_request_without_session_carries_its_version)
{
	struct mcp_message m =
		good("{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/list\",\"params\":{\"_meta\":{"
		     "\"io.modelcontextprotocol/protocolVersion\":\"2026-07-28\","
		     "\"io.modelcontextprotocol/clientCapabilities\":{}}}}");

	assert_true(mcp_message_is_modern(&m));
	assert_true(m.has_capabilities);
	assert_int_equal(mcp_version_of(m.version_text), MCP_2026_07_28);
	m = good("{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"initialize\",\"params\":{\"protocolVersion\":"
		 "\"2025-06-18\"}}");
	assert_false(mcp_message_is_modern(&m));
	assert_int_equal(mcp_version_of(m.version_text), MCP_2025_06_18);
	assert_int_equal(mcp_version_of(SPAN("2025-06-19")), MCP_VERSION_NONE);
}

TEST(parts_of_a_text_are_replaced_without_the_rest)
{
	static const char text[] = "{\"id\":7,\"name\":\"a_b\"}";
	struct mcp_patch splice = mcp_patch_of(span_of(text, sizeof(text) - 1));
	struct iovec segments[MCP_SEGMENTS];
	char joined[64] = "";
	size_t bytes;
	int count;

	mcp_patch_edit(&splice, span_of(text + 16, 2), SPAN(""));
	mcp_patch_edit(&splice, span_of(text + 6, 1), SPAN("12345"));
	mcp_patch_edit(&splice, span_of(text + sizeof(text) - 2, 0), SPAN(",\"x\":1"));
	count = mcp_patch_segments(&splice, segments, &bytes);
	for (int i = 0; i < count; i++)
		strncat(joined, segments[i].iov_base, segments[i].iov_len);
	assert_string_equal(joined, "{\"id\":12345,\"name\":\"b\",\"x\":1}");
	assert_int_equal(bytes, strlen(joined));
}

TEST(an_error_of_ours_is_a_message)
{
	static const int codes[] = {
#define MCP_FAULT(id, status, code, text) [MCP_##id] = code,
#include "user/mcp/protocol/faults.def"
#undef MCP_FAULT
	};
	struct mcp_post post;
	struct text text;

	text_init(&text);
	for (enum mcp_fault fault = MCP_NOT_JSON; fault < MCP_FAULT_COUNT; fault++) {
		text_clear(&text);
		mcp_fault_write(&text, SPAN("\"a\""), fault, SPAN("say \"why\"\n"), SPAN("[1]"));
		assert_int_equal(mcp_post_read(checker, text_span(&text), &post), MCP_NONE);
		assert_int_equal(post.first.kind, MCP_ERROR);
		assert_span(post.first.id, "\"a\"");
		assert_int_equal(atoi(mcp_json_member(post.first.error, SPAN("code")).data), codes[fault]);
		assert_true(mcp_fault_status(fault) >= 200 && mcp_fault_status(fault) < 600);
	}
	text_clear(&text);
	mcp_fault_write(&text, (struct span){ NULL, 0 }, MCP_NOT_JSON, SPAN(""), SPAN(""));
	assert_int_equal(mcp_post_read(checker, text_span(&text), &post), MCP_NONE);
	text_done(&text);
}
