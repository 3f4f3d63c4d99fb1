/* SPDX-License-Identifier: Apache-2.0 */
#include "user/mcp/child_words.h"

#include <errno.h>

#include "user/base/log.h"
#include "user/base/mem.h"
#include "user/base/text.h"

enum { SECOND_MS = 1000 };

int child_words_init(struct child_words *words, struct span name)
{
	*words = (struct child_words){ .name = hg_strndup(name.data, name.len) };
	return words->name ? 0 : -ENOMEM;
}

void child_words_done(struct child_words *words)
{
	hg_free(words->name);
	buf_done(&words->line);
	hg_free((char *)words->last.data);
}

static bool words_may_log(struct child_words *words, uint64_t now_ms)
{
	if (now_ms - words->second_ms >= SECOND_MS) {
		words->second_ms = now_ms;
		words->lines = 0;
	}
	if (words->lines >= LIMIT_MCP_LOG_LINES) {
		words->left_out++;
		return false;
	}
	words->lines++;
	return true;
}

static void words_log(struct child_words *words, struct span line)
{
	struct text text;

	text_init(&text);
	text_escaped(&text, line);
	if (words->left_out)
		log_info("mcp target %s says: %.*s (%llu lines before it were left out)", words->name,
			 SPAN_FMT(text_span(&text)), (unsigned long long)words->left_out);
	else
		log_info("mcp target %s says: %.*s", words->name, SPAN_FMT(text_span(&text)));
	words->left_out = 0;
	text_done(&text);
}

static void words_end_line(struct child_words *words, uint64_t now_ms)
{
	struct span line = buf_span(&words->line);
	char *last;

	if (line.len == 0)
		return;
	if (words_may_log(words, now_ms))
		words_log(words, line);
	last = hg_strndup(line.data, line.len);
	if (last) {
		hg_free((char *)words->last.data);
		words->last = span_of(last, line.len);
	}
	buf_done(&words->line);
}

/* The rest of a longer line is dropped. */
static void words_add(struct child_words *words, struct span bytes)
{
	size_t room = LIMIT_MCP_LOG_BYTES - buf_len(&words->line);

	(void)buf_append(&words->line, span_first(bytes, room), LIMIT_MCP_LOG_BYTES);
}

void child_words_take(struct child_words *words, struct span bytes, uint64_t now_ms)
{
	while (bytes.len) {
		ptrdiff_t end = span_find(bytes, '\n');
		struct span line = span_first(bytes, end < 0 ? bytes.len : (size_t)end);

		bytes = span_from(bytes, end < 0 ? bytes.len : (size_t)end + 1);
		if (end >= 0 && line.len && line.data[line.len - 1] == '\r')
			line.len--;
		words_add(words, line);
		if (end >= 0)
			words_end_line(words, now_ms);
	}
}
