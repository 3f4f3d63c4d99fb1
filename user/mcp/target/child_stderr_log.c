/* SPDX-License-Identifier: Apache-2.0 */
#include "user/mcp/target/child_stderr_log.h"

#include <errno.h>

#include "user/base/log.h"
#include "user/base/mem.h"
#include "user/base/text.h"

enum { SECOND_MS = 1000 };

int child_stderr_log_init(struct child_stderr_log *stderr_log, struct span name)
{
	*stderr_log = (struct child_stderr_log){ .name = hg_strndup(name.data, name.len) };
	return stderr_log->name ? 0 : -ENOMEM;
}

void child_stderr_log_done(struct child_stderr_log *stderr_log)
{
	hg_free(stderr_log->name);
	buf_done(&stderr_log->line);
	hg_free((char *)stderr_log->last.data);
}

static bool stderr_log_may_write(struct child_stderr_log *stderr_log, uint64_t now_ms)
{
	if (now_ms - stderr_log->second_ms >= SECOND_MS) {
		stderr_log->second_ms = now_ms;
		stderr_log->lines = 0;
	}
	if (stderr_log->lines >= LIMIT_MCP_LOG_LINES) {
		stderr_log->left_out++;
		return false;
	}
	stderr_log->lines++;
	return true;
}

static void stderr_log_write(struct child_stderr_log *stderr_log, struct span line)
{
	struct text text;

	text_init(&text);
	text_escaped(&text, line);
	if (stderr_log->left_out)
		log_info("mcp target %s says: %.*s (%llu lines before it were left out)", stderr_log->name,
			 SPAN_FMT(text_span(&text)), (unsigned long long)stderr_log->left_out);
	else
		log_info("mcp target %s says: %.*s", stderr_log->name, SPAN_FMT(text_span(&text)));
	stderr_log->left_out = 0;
	text_done(&text);
}

static void stderr_log_end_line(struct child_stderr_log *stderr_log, uint64_t now_ms)
{
	struct span line = buf_span(&stderr_log->line);
	char *last;

	if (line.len == 0)
		return;
	if (stderr_log_may_write(stderr_log, now_ms))
		stderr_log_write(stderr_log, line);
	last = hg_strndup(line.data, line.len);
	if (last) {
		hg_free((char *)stderr_log->last.data);
		stderr_log->last = span_of(last, line.len);
	}
	buf_done(&stderr_log->line);
}

/* The rest of a longer line is dropped. */
static void words_add(struct child_stderr_log *stderr_log, struct span bytes)
{
	size_t room = LIMIT_MCP_LOG_BYTES - buf_len(&stderr_log->line);

	(void)buf_append(&stderr_log->line, span_first(bytes, room), LIMIT_MCP_LOG_BYTES);
}

void child_stderr_log_take(struct child_stderr_log *stderr_log, struct span bytes, uint64_t now_ms)
{
	while (bytes.len) {
		ptrdiff_t end = span_find(bytes, '\n');
		struct span line = span_first(bytes, end < 0 ? bytes.len : (size_t)end);

		bytes = span_from(bytes, end < 0 ? bytes.len : (size_t)end + 1);
		if (end >= 0 && line.len && line.data[line.len - 1] == '\r')
			line.len--;
		words_add(stderr_log, line);
		if (end >= 0)
			stderr_log_end_line(stderr_log, now_ms);
	}
}
