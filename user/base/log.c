/* SPDX-License-Identifier: Apache-2.0 */
#include "user/base/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>

#include "user/base/clock.h"
#include "user/base/log_writer.h"
#include "user/base/json_writer.h"

static const char *const level_names[] = { "error", "warn", "info", "debug" };
static atomic_int current_level = LOG_INFO;
static atomic_int current_format = LOG_TEXT;

void log_set_level(enum log_level level)
{
	atomic_store_explicit(&current_level, (int)level, memory_order_relaxed);
}

enum log_level log_get_level(void)
{
	return (enum log_level)atomic_load_explicit(&current_level, memory_order_relaxed);
}

void log_set_format(enum log_format format)
{
	atomic_store_explicit(&current_format, (int)format, memory_order_relaxed);
}

enum log_format log_get_format(void)
{
	return (enum log_format)atomic_load_explicit(&current_format, memory_order_relaxed);
}

int log_level_parse(struct span name, enum log_level *ret_level)
{
	for (int level = LOG_ERROR; level <= LOG_DEBUG; level++) {
		if (span_eq_nocase(name, span_str(level_names[level]))) {
			*ret_level = (enum log_level)level;
			return 0;
		}
	}
	return -EINVAL;
}

const char *log_level_name(enum log_level level)
{
	return level_names[level];
}

static void log_compose(struct text *line, enum log_level level, struct span message)
{
	char time[CLOCK_RFC3339_BYTES];

	clock_rfc3339(clock_wall_us(), time);
	if (log_get_format() == LOG_JSON) {
		text_fmt(line, "{\"level\":\"%s\",\"time\":\"%s\",\"scope\":\"headgate\",\"message\":",
			 level_names[level], time);
		json_quote_ascii(line, message);
		text_str(line, "}\n");
	} else {
		text_fmt(line, "%s\t%s\theadgate\t", time, level_names[level]);
		text_add(line, message);
		text_char(line, '\n');
	}
}

static void log_message(enum log_level level, struct span message)
{
	struct text line;

	text_init(&line);
	log_compose(&line, level, message);
	if (line.len)
		log_writer_put(text_span(&line));
	text_done(&line);
}

/* In front of the first line that the reader takes again. */
static void log_gap(uint64_t lines)
{
	char message[64];
	int len =
		snprintf(message, sizeof(message), "log lines dropped here: %llu", (unsigned long long)lines);

	log_message(LOG_WARN, span_of(message, (size_t)len));
}

void log_line(enum log_level level, const char *format, ...)
{
	char message[4096];
	va_list args;
	uint64_t gap;
	int len;

	if (level > log_get_level())
		return;
	va_start(args, format);
	len = vsnprintf(message, sizeof(message), format, args);
	va_end(args);
	if (len < 0)
		return;
	if ((size_t)len >= sizeof(message))
		len = (int)sizeof(message) - 1;
	gap = log_writer_take_gap();
	if (gap)
		log_gap(gap);
	log_message(level, span_of(message, (size_t)len));
}

bool log_rate_pass(struct log_rate *rate, uint64_t now_ms, uint64_t interval_ms, uint64_t *ret_suppressed)
{
	if (now_ms < rate->next_ms) {
		rate->suppressed++;
		return false;
	}
	*ret_suppressed = rate->suppressed;
	rate->suppressed = 0;
	rate->next_ms = now_ms + interval_ms;
	return true;
}
