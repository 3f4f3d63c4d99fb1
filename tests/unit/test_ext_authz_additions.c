/* SPDX-License-Identifier: Apache-2.0 */
/* Headers that a service of extAuthz adds to the response, by Envoy's HeaderValueOption. */
#include <stdio.h>

#include "policy/guard/ext_authz.h"
#include "tests/lib/test_arena.h"
#include "user/base/check.h"
#include "user/base/protobuf.h"

TEST_ARENA(arena, 4096);

/* {status 1, ok_response 3 {...}}, which read_answer() closes. */
static void open_answer(struct protobuf_writer *w, struct buf *out)
{
	buf_init(out);
	protobuf_init(w, out, 4096);
	protobuf_open(w, 1);
	protobuf_close(w);
	protobuf_open(w, 3);
}

/* {response_headers_to_add 6 {header 1, append 2, append_action 3}} */
static void add_addition(struct protobuf_writer *w, struct span name, int append, int action)
{
	protobuf_open(w, 6);
	protobuf_entry(w, 1, name, SPAN("new"));
	if (append >= 0) {
		protobuf_open(w, 2);
		protobuf_number(w, 1, (uint64_t)append);
		protobuf_close(w);
	}
	protobuf_number(w, 3, (uint64_t)action);
	protobuf_close(w);
}

static void assert_values(const struct fields *fields, const char *name, const char *want)
{
	char have[64] = "";

	for (uint32_t i = 0; i < fields->count; i++)
		if (span_eq_nocase(fields->list[i].name, span_str(name)))
			snprintf(have + strlen(have), sizeof(have) - strlen(have), "%.*s;",
				 SPAN_FMT(fields->list[i].value));
	assert_string_equal(have, want);
}

/* Closes the answer, and returns the verdict about it. */
static int read_answer(struct protobuf_writer *w, struct buf *out, unsigned failure_mode,
		       struct guard_answer *answer)
{
	const struct ext_authz_policy policy = { .failure_mode = failure_mode };
	static const struct request_head head;
	struct guard_reply reply = { .status = 200 };
	const struct guard_facts facts = { .head = &head, .reply = &reply };
	int verdict;

	protobuf_close(w);
	assert_int_equal(w->error, 0);
	reply.body = buf_span(out);
	fields_init(&answer->fields, &arena);
	verdict = ext_authz_grpc_read(&policy, &facts, answer);
	buf_done(out);
	return verdict;
}

/* With one header for the response. */
static int decide(struct span name, int append, int action, struct guard_answer *answer)
{
	struct protobuf_writer w;
	struct buf out;

	open_answer(&w, &out);
	add_addition(&w, name, append, action);
	*answer = (struct guard_answer){ 0 };
	return read_answer(&w, &out, CALLOUT_FAILURE_DENY, answer);
}

TEST(a_header_for_the_response_is_added_or_replaces_as_the_service_says)
{
	enum { NONE = -1 };
	static const struct {
		const char *name;
		int append, action; /* BoolValue, or NONE; HeaderAppendAction, of which 0 is not sent */
		const char *there, *absent; /* what becomes of a response with "old" twice, and without */
	} rows[] = {
		{ "X-A", NONE, 0, "old;old;new;", "new;" },
		{ "x-a", NONE, 1, "old;old;", "new;" },
		{ "X-A", NONE, 2, "new;", "new;" },
		{ "x-a", NONE, 3, "new;", "" },
		{ "x-a", 1, 0, "old;old;new;", "new;" },
		{ "x-a", 0, 0, "new;", "new;" },
		/* A field of which there can be one. */
		{ "Content-Type", NONE, 0, "new;", "new;" },
		{ "Location", NONE, 0, "new;", "new;" },
		{ "Date", 1, 0, "new;", "new;" },
		{ "Set-Cookie", NONE, 0, "old;old;new;", "new;" },
		{ "Set-Cookie", NONE, 2, "new;", "new;" },
		/* The gateway writes it. */
		{ "Content-Length", NONE, 2, "old;old;", "" },
	};

	for (size_t i = 0; i < 2 * ARRAY_LEN(rows); i++) {
		struct span name = span_str(rows[i / 2].name);
		struct guard_answer answer;
		struct fields response;

		assert_int_equal(decide(name, rows[i / 2].append, rows[i / 2].action, &answer), GUARD_PASS);
		fields_init(&response, &arena);
		for (int k = 0; k < 2 && i % 2 == 0; k++)
			assert_int_equal(fields_add(&response, name, SPAN("old")), 0);
		assert_int_equal(guard_apply_additions(&answer.additions, &response), 0);
		assert_values(&response, rows[i / 2].name, i % 2 ? rows[i / 2].absent : rows[i / 2].there);
	}
}

TEST(an_unknown_action_is_a_malformed_answer)
{
	struct guard_answer answer;

	assert_int_equal(decide(SPAN("x-a"), -1, APPEND_ACTION_COUNT, &answer), GUARD_REFUSE);
}

/* Of an earlier answer they stay. */
TEST(nothing_of_a_malformed_answer_is_added)
{
	static const unsigned modes[] = { CALLOUT_FAILURE_ALLOW, CALLOUT_FAILURE_DENY };

	for (size_t i = 0; i < 2 * ARRAY_LEN(modes); i++) {
		bool has_earlier = i % 2;
		struct guard_answer answer = { 0 };
		struct protobuf_writer w;
		struct fields response;
		struct buf out;

		if (has_earlier)
			assert_int_equal(decide(SPAN("x-a"), -1, 0, &answer), GUARD_PASS);
		open_answer(&w, &out);
		add_addition(&w, SPAN("x-b"), -1, 0);
		add_addition(&w, SPAN("x-c"), -1, APPEND_ACTION_COUNT);
		assert_int_equal(read_answer(&w, &out, modes[i / 2], &answer),
				 i / 2 == 0 ? GUARD_PASS : GUARD_REFUSE);
		fields_init(&response, &arena);
		assert_int_equal(guard_apply_additions(&answer.additions, &response), 0);
		assert_int_equal(response.count, has_earlier);
		assert_values(&response, "x-a", has_earlier ? "new;" : "");
	}
}
