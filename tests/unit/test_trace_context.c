/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "tests/lib/guard.h"
#include "tests/lib/test.h"
#include "user/base/arena.h"
#include "user/base/check.h"
#include "user/http/trace_context.h"

TEST_GUARD(guard, 4096);

#define TRACE "4bf92f3577b34da6a3ce929d0e0e4736"
#define PARENT "00f067aa0ba902b7"

/* ---- traceparent: the rules of W3C Trace Context 3.2.2 and 4.3 ---- */

static struct row {
	const char *name;
	const char *value;
	bool want;
	unsigned flags;
} parents[] = {
	{ "sampled", "00-" TRACE "-" PARENT "-01", true, 1 },
	{ "not sampled", "00-" TRACE "-" PARENT "-00", true, 0 },
	{ "the flag of level 2 is kept", "00-" TRACE "-" PARENT "-03", true, 3 },
	{ "flags that are not known are dropped", "00-" TRACE "-" PARENT "-ff", true, 3 },
	{ "a later version", "cc-" TRACE "-" PARENT "-01", true, 1 },
	{ "a later version with more", "cc-" TRACE "-" PARENT "-01-what-the-future-brings", true, 1 },
	{ "a later version with an empty member", "cc-" TRACE "-" PARENT "-01-", true, 1 },
	{ "a later version with more, not behind a dash", "cc-" TRACE "-" PARENT "-01.what", false, 0 },
	{ "version 00 with more", "00-" TRACE "-" PARENT "-01-more", false, 0 },
	{ "version 00 with a dash", "00-" TRACE "-" PARENT "-01-", false, 0 },
	{ "the version that does not exist", "ff-" TRACE "-" PARENT "-01", false, 0 },
	{ "a version in capitals", "0A-" TRACE "-" PARENT "-01", false, 0 },
	{ "capitals in the trace", "00-4BF92F3577B34DA6A3CE929D0E0E4736-" PARENT "-01", false, 0 },
	{ "capitals in the parent", "00-" TRACE "-00F067AA0BA902B7-01", false, 0 },
	{ "no trace", "00-00000000000000000000000000000000-" PARENT "-01", false, 0 },
	{ "half a trace of zeros", "00-0000000000000000a3ce929d0e0e4736-" PARENT "-01", true, 1 },
	{ "no parent", "00-" TRACE "-0000000000000000-01", false, 0 },
	{ "a letter in the trace", "00-4bf92f3577b34da6a3ce929d0e0e473g-" PARENT "-01", false, 0 },
	{ "a letter in the parent", "00-" TRACE "-00f067aa0ba902bg-01", false, 0 },
	{ "a letter in the flags", "00-" TRACE "-" PARENT "-0g", false, 0 },
	{ "one flag digit", "00-" TRACE "-" PARENT "-1", false, 0 },
	{ "another separator", "00_" TRACE "-" PARENT "-01", false, 0 },
	{ "no separator", "00-" TRACE "0" PARENT "-01", false, 0 },
	{ "no separator before the flags", "00-" TRACE "-" PARENT "001", false, 0 },
	{ "a short trace", "00-4bf92f3577b34da6-" PARENT "-01", false, 0 },
	{ "nothing", "", false, 0 },
};

static void a_traceparent_is_read_by_its_version(void **state)
{
	const struct row *row = *state;
	size_t len = strlen(row->value);
	struct trace_context context;

	assert_int_equal(trace_context_parse(span_of(guard_end(&guard, row->value, len), len), &context),
			 row->want);
	if (row->want)
		assert_int_equal(context.flags, row->flags);
}
TEST_ROWS(a_traceparent_is_read_by_its_version, parents);

TEST(what_is_written_is_version_00_and_reads_back)
{
	const struct trace_context from = { { 0x4bf92f3577b34da6, 0xa3ce929d0e0e4736 }, 0xf067aa0ba902b7, 1 };
	struct trace_context back;
	char text[TRACE_PARENT_BYTES];

	trace_context_write(&from, text);
	assert_memory_equal(text, "00-" TRACE "-" PARENT "-01", sizeof(text));
	assert_true(trace_context_parse(span_of(text, sizeof(text)), &back));
	assert_memory_equal(&back.trace_id, &from.trace_id, sizeof(from.trace_id));
	assert_true(back.span_id == from.span_id && back.flags == 1);
	assert_memory_equal(text + TRACE_SPAN_AT, PARENT, TRACE_SPAN_DIGITS);
}

TEST(no_id_is_zero)
{
	assert_true(trace_span_id(0) != 0);
	assert_true(trace_span_id(7) == 7);
}

TEST(a_request_has_one_traceparent_or_none_counts)
{
	static const char *const value = "00-" TRACE "-" PARENT "-01";
	struct trace_context context;
	struct fields fields;
	struct arena arena;

	arena_init(&arena, 1024);
	fields_init(&fields, &arena);
	assert_false(trace_context_find(&fields, &context));
	assert_int_equal(fields_add(&fields, SPAN("TraceParent"), span_str(value)), 0);
	assert_true(trace_context_find(&fields, &context));
	assert_int_equal(fields_add(&fields, SPAN("traceparent"), span_str(value)), 0);
	assert_false(trace_context_find(&fields, &context));
	arena_done(&arena);
}

/* ---- tracestate: 3.3.1 ---- */

#define MEMBERS_8(n) "a" n "=1,b" n "=1,c" n "=1,d" n "=1,e" n "=1,f" n "=1,g" n "=1,h" n "=1"
#define MEMBERS_32 MEMBERS_8("0") "," MEMBERS_8("1") "," MEMBERS_8("2") "," MEMBERS_8("3")
#define TEXT_64 "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define TEXT_256 TEXT_64 TEXT_64 TEXT_64 TEXT_64

static struct row states[] = {
	{ "a member", "rojo=00f067aa0ba902b7", true, 0 },
	{ "two", "rojo=1,congo=t61rcWkgMzE", true, 0 },
	{ "blanks around", "rojo=1 ,\tcongo=2", true, 0 },
	{ "a tenant", "0tenant@system=1", true, 0 },
	{ "all signs of a key", "a_-*/9=1", true, 0 },
	{ "a blank in the value", "a=b c", true, 0 },
	{ "nothing", "", true, 0 },
	{ "an empty member", "a=1,,b=2", true, 0 },
	{ "32 members", MEMBERS_32, true, 0 },
	{ "33 members", MEMBERS_32 ",z=1", false, 0 },
	{ "a long key", TEXT_256 "=1", true, 0 },
	{ "a longer key", TEXT_256 "0=1", false, 0 },
	{ "a long value", "a=" TEXT_256, true, 0 },
	{ "a longer value", "a=" TEXT_256 "0", false, 0 },
	{ "a long system", "t@abcdefghijklmn=1", true, 0 },
	{ "a longer system", "t@abcdefghijklmno=1", false, 0 },
	{ "a system that begins with a digit", "t@9=1", false, 0 },
	{ "no system", "t@=1", false, 0 },
	{ "the same key twice", "a=1,a=2", false, 0 },
	{ "capitals in a key", "A=1", false, 0 },
	{ "no key", "=1", false, 0 },
	{ "no value", "a=", false, 0 },
	{ "no mark", "a", false, 0 },
	{ "two marks", "a=b=c", false, 0 },
	{ "a control byte", "a=\x01", false, 0 },
	{ "a byte that is no ASCII", "a=\xc3\xa4", false, 0 },
};

static void a_tracestate_is_a_list_of_members(void **state)
{
	const struct row *row = *state;
	size_t len = strlen(row->value);

	assert_int_equal(trace_state_is_valid(span_of(guard_end(&guard, row->value, len), len)), row->want);
}
TEST_ROWS(a_tracestate_is_a_list_of_members, states);
