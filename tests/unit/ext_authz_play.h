/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <errno.h>

#include "policy/expression/expression.h"
#include "policy/expression/expression_json.h"
#include "policy/guard/ext_authz.h"
#include "policy/headers.h"
#include "tests/lib/test.h"
#include "tests/unit/policy_model.h"
#include "user/mcp/json/json_text.h"

/* A service that the test plays: what it was asked, and what it answers. */
static struct {
	struct arena arena;
	struct request_head head;
	struct address client;
	struct expression_source source;
	struct expression_facts facts;
	struct expression_scratch scratch;
	struct guard_facts guard;
	struct guard_identity identity;
	struct guard_verifier verifier;
	struct guard_reply reply;
	struct fields reply_fields;
	struct backend_ref ref;
	int calls, verdict;
	char key[64]; /* what the answer depends on */
	size_t key_len;
	struct request_head asked; /* of the call; in the arena */
	struct span body; /* of it */
	const struct expression_value *jwt;
	uint64_t kept_ns; /* for how long the last reply is kept; 0: it is not */
} play;

static inline int facts_of(void *context, uint32_t needs, const struct expression_facts **ret_facts)
{
	(void)context;
	(void)needs;
	expression_scratch_init(&play.scratch);
	play.facts = (struct expression_facts){
		.request = &play.head, .scratch = &play.scratch, .jwt = play.jwt, .source = &play.source
	};
	*ret_facts = &play.facts;
	return 0;
}

static inline int take_call(void *context, const struct guard_call *call)
{
	(void)context;
	play.calls++;
	play.reply.subject = call->subject;
	play.asked = *call->head;
	play.body = arena_copy(&play.arena, call->body);
	assert_true(call->cache_key.len <= sizeof(play.key));
	play.key_len = call->cache_key.len;
	if (play.key_len)
		memcpy(play.key, call->cache_key.data, play.key_len);
	if (play.verdict == GUARD_PASS) {
		*call->reply = play.reply;
		call->reply->is_kept = true;
	}
	return play.verdict;
}

static inline void keep(void *context, uint64_t ttl_ns)
{
	(void)context;
	play.kept_ns = ttl_ns;
}

static inline int read_tree(void *context, struct span text, const struct expression_value **ret)
{
	struct mcp_json_checker *checker = mcp_json_checker_create();
	struct expression_value *tree = arena_take(&play.arena, sizeof(*tree));
	int error;

	(void)context;
	assert_non_null(checker);
	assert_non_null(tree);
	error = expression_json(text, checker, &play.arena, tree);
	mcp_json_checker_free(checker);
	*ret = error ? NULL : tree;
	return error == -ENOMEM ? error : 0;
}

static inline void play_open(size_t block_bytes)
{
	memset(&play, 0, sizeof(play));
	arena_init(&play.arena, block_bytes);
	play.head = head_of(&play.arena, "GET", "a.test", "/a");
	assert_int_equal(address_parse_ip(SPAN("10.0.0.1"), 1, &play.client), 0);
	play.source = (struct expression_source){ .address = &play.client, .raw_address = &play.client };
	play.verdict = GUARD_WAIT;
	play.verifier.call = take_call;
	play.verifier.keep = keep;
	play.verifier.json = read_tree;
	play.guard = (struct guard_facts){ .head = &play.head,
					   .scheme = SPAN("http"),
					   .identity = &play.identity,
					   .verifier = &play.verifier,
					   .facts = facts_of };
	fields_init(&play.reply_fields, &play.arena);
	play.reply = (struct guard_reply){ .status = 200, .fields = &play.reply_fields };
}

static inline int open_play(void **state)
{
	(void)state;
	play_open(4096);
	return 0;
}

static inline int close_play(void **state)
{
	(void)state;
	arena_done(&play.arena);
	return 0;
}

#define PLAY_TEST(name) TEST_WITH(name, open_play, close_play)

typedef int guard_check(const void *object, const struct guard_facts *facts, struct guard_answer *answer);

/* Asks, and once more with the reply, if the guard waits for it. */
static inline int decide(guard_check *check, const void *object, struct guard_answer *answer)
{
	int verdict;

	*answer = (struct guard_answer){ 0 };
	fields_init(&answer->fields, &play.arena);
	play.guard.reply = NULL;
	verdict = check(object, &play.guard, answer);
	if (verdict != GUARD_WAIT)
		return verdict;
	play.guard.reply = &play.reply;
	return check(object, &play.guard, answer);
}

static inline const struct expression *compiled_at(const char *text, enum expression_point point)
{
	struct expression *expression = arena_take(&play.arena, sizeof(*expression));
	char error[EXPRESSION_ERROR_BYTES];

	assert_non_null(expression);
	if (expression_compile(span_str(text), point, &play.arena, expression, error) < 0)
		fail_msg("%s: %s", text, error);
	return expression;
}

static inline const struct expression *compiled(const char *text)
{
	return compiled_at(text, EXPRESSION_AT_REQUEST);
}

static struct span listed[] = { { "x-user", 6 }, { "x-role", 6 } };

static inline struct ext_authz_policy over_http(unsigned failure_mode)
{
	return (struct ext_authz_policy){
		.ref = &play.ref,
		.protocol = EXT_AUTHZ_HTTP,
		.http = { .response_header_list = listed, .response_header_count = 2 },
		.failure_mode = failure_mode,
		.failure_status = 503,
	};
}
