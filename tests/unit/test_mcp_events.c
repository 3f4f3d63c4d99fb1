/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/lib/test.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "tests/lib/alloc.h"
#include "tests/lib/guard.h"
#include "user/base/check.h"
#include "user/base/limits.h"
#include "user/mcp/protocol/events.h"

TEST_GUARD(guard, 64 * 1024);

enum { MAX_BYTES = 1024 };

/* Reads all of it, at most `piece` bytes at a time, into "name|data|id\n" for each event. */
static int read_segments(struct span text, size_t first, size_t segment, char *out, size_t size)
{
	struct events_reader reader;
	struct events_event event;
	size_t len = 0;
	int result = 0;

	out[0] = '\0';
	events_reader_init(&reader, MAX_BYTES);
	for (size_t at = 0, next = first; at < text.len && result >= 0; at += next, next = segment) {
		struct span input;

		if (next > text.len - at)
			next = text.len - at;
		input = span_of(guard_end(&guard, text.data + at, next), next);
		while ((result = events_read(&reader, &input, &event)) > 0) {
			if (event.is_cut)
				len += (size_t)snprintf(out + len, size - len, "cut %llu ",
							(unsigned long long)event.call);
			len += (size_t)snprintf(out + len, size - len, "%.*s|%.*s|%.*s\n",
						SPAN_FMT(event.name), SPAN_FMT(event.data),
						SPAN_FMT(event.id));
		}
		assert_true(result < 0 || input.len == 0);
	}
	events_reader_done(&reader);
	return result;
}

static const struct stream {
	const char *text;
	const char *events;
} streams[] = {
	{ "data: a\n\n", "|a|\n" },
	{ "data:a\r\n\r\ndata: b\r\rdata:  c\n\n", "|a|\n|b|\n| c|\n" },
	{ "event: endpoint\ndata: /x?y=z\n\ndata: after\n\n", "endpoint|/x?y=z|\n|after|\n" },
	{ "id: 7\ndata: a\n\ndata: b\n\nid\ndata: c\n\n", "|a|7\n|b|7\n|c|\n" },
	{ "data: a\ndata: b\ndata\n\n", "|a\nb\n|\n" },
	{ ": comment\n:\ndata: a\n: more\n\n\n\n", "|a|\n" },
	{ "\xef\xbb\xbf"
	  "data: a\n\n",
	  "|a|\n" },
	{ "data: a\n\n\xef\xbb\xbf"
	  "data: b\n\n",
	  "|a|\n" },
	{ "event: lonely\n\ndata: a\n\n", "|a|\n" },
	{ "retry: 10\nnothing: x\nDATA: y\n data: z\ndata: a\n\n", "|a|\n" },
	{ "data: a\n\ndata: not complete\n", "|a|\n" },
	{ "data: a:b: c\n\n", "|a:b: c|\n" },
	{ "data:\n\ndata\n\n", "||\n||\n" },
};

TEST(events_are_the_same_however_the_bytes_are_cut)
{
	char whole[512];
	char cut[512];

	for (size_t i = 0; i < ARRAY_LEN(streams); i++) {
		struct span text = span_str(streams[i].text);

		assert_int_equal(read_segments(text, text.len, text.len, whole, sizeof(whole)), 0);
		assert_string_equal(whole, streams[i].events);
		for (size_t first = 1; first < text.len; first++) {
			for (size_t segment = 1; segment < 4; segment++) {
				assert_int_equal(read_segments(text, first, segment, cut, sizeof(cut)), 0);
				assert_string_equal(cut, whole);
			}
		}
	}
}

TEST(a_line_and_an_event_have_a_largest_size)
{
	char text[4 * MAX_BYTES];
	char out[8 * MAX_BYTES];
	size_t len;

	memset(text, 'x', sizeof(text));
	assert_int_equal(read_segments(span_of(text, MAX_BYTES), 100, 100, out, sizeof(out)), 0);
	assert_int_equal(read_segments(span_of(text, MAX_BYTES + 1), 100, 100, out, sizeof(out)), -EMSGSIZE);
	/* Many lines of one event. */
	len = 0;
	while (len + 110 < sizeof(text)) {
		memcpy(text + len, "data: ", 6);
		text[len + 105] = '\n';
		len += 106;
	}
	assert_int_equal(read_segments(span_of(text, len), 100, 100, out, sizeof(out)), 0);
}

TEST(of_an_event_that_is_too_large_the_answer_it_has_is_known_and_the_next_one_is_read)
{
	char text[4 * MAX_BYTES];
	char out[8 * MAX_BYTES];
	int len;

	for (size_t segment = 1; segment < 2 * MAX_BYTES; segment += segment < 20 ? 1 : 97) {
		/* In one line, and in many. */
		len = snprintf(text, sizeof(text),
			       "id: 1\ndata: {\"result\":\"%0*d\",\"id\":12}\n\ndata: a\n\n", MAX_BYTES, 0);
		assert_int_equal(
			read_segments(span_of(text, (size_t)len), segment, segment, out, sizeof(out)), 0);
		assert_string_equal(out, "cut 12 ||1\n|a|1\n");
		len = snprintf(text, sizeof(text),
			       "data: {\"id\":12,\ndata: \"result\":\"%0*d\"\ndata: }\n\n", MAX_BYTES - 20,
			       0);
		assert_int_equal(
			read_segments(span_of(text, (size_t)len), segment, segment, out, sizeof(out)), 0);
		assert_string_equal(out, "cut 12 ||\n");
	}
}

TEST(an_event_without_end_is_an_error)
{
	char text[(LIMIT_MCP_SKIP_FACTOR + 2) * MAX_BYTES];
	char out[128];

	memset(text, 'x', sizeof(text));
	memcpy(text, "data: ", 6);
	assert_int_equal(read_segments(span_of(text, sizeof(text)), 100, 100, out, sizeof(out)), -EMSGSIZE);
}

TEST(an_id_with_a_nul_in_it_is_ignored)
{
	static const char text[] = "id: 1\n\nid: a\0b\ndata: x\n\n";
	char out[128];

	assert_int_equal(read_segments(span_of(text, sizeof(text) - 1), 5, 5, out, sizeof(out)), 0);
	assert_string_equal(out, "|x|1\n");
}

TEST(what_is_written_is_read_again)
{
	struct iovec segments[] = { { (char *)"{\"a\":", 5 }, { NULL, 0 }, { (char *)"1}", 2 } };
	char out[256];
	struct buf buf;

	buf_init(&buf);
	assert_int_equal(events_write(&buf, SPAN(""), SPAN("1-2"), segments, 3, MAX_BYTES), 0);
	assert_int_equal(buf_append(&buf, SPAN(":\n\n"), MAX_BYTES), 0);
	assert_int_equal(events_write(&buf, SPAN("endpoint"), SPAN(""), segments, 1, MAX_BYTES), 0);
	assert_int_equal(read_segments(buf_span(&buf), 3, 3, out, sizeof(out)), 0);
	assert_string_equal(out, "|{\"a\":1}|1-2\nendpoint|{\"a\":|1-2\n");
	buf_done(&buf);
}

TEST(an_event_is_written_whole_or_not_at_all)
{
	struct iovec segment = { (char *)"0123456789", 10 };
	struct buf buf;
	size_t before;

	buf_init(&buf);
	assert_int_equal(events_write(&buf, SPAN("n"), SPAN("i"), &segment, 1, 100), 0);
	before = buf_len(&buf);
	assert_int_equal(events_write(&buf, SPAN("n"), SPAN("i"), &segment, 1, before + 20), -ENOBUFS);
	assert_int_equal(buf_len(&buf), before);
	buf_done(&buf);
}

static int read_once(void *context __attribute__((unused)))
{
	struct span input = SPAN("id: 1\nevent: e\ndata: a\n\ndata: b");
	struct events_reader reader;
	struct events_event event;
	int result;

	events_reader_init(&reader, MAX_BYTES);
	do
		result = events_read(&reader, &input, &event);
	while (result > 0);
	events_reader_done(&reader);
	return result;
}

TEST(a_reader_without_memory_says_so)
{
	assert_true(alloc_fail_each(read_once, NULL) >= 4);
}
