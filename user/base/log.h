/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>

#include "user/base/span.h"

/*
 * Diagnostics on standard error. A line states what failed, on what object, why, and during which operation;
 * foreign bytes go through text_escaped() first. Thread-safe. log_writer.h drops lines.
 */
enum log_level {
	LOG_ERROR,
	LOG_WARN,
	LOG_INFO,
	LOG_DEBUG,
};

enum log_format {
	LOG_TEXT,
	LOG_JSON,
};

void log_set_level(enum log_level level);
enum log_level log_get_level(void);
void log_set_format(enum log_format format);
enum log_format log_get_format(void);
/* "error" "warn" "info" "debug"; -EINVAL otherwise. */
int log_level_parse(struct span name, enum log_level *ret_level);
const char *log_level_name(enum log_level level);

void log_line(enum log_level level, const char *format, ...) __attribute__((format(printf, 2, 3)));

#define log_error(...) log_line(LOG_ERROR, __VA_ARGS__)
#define log_warn(...) log_line(LOG_WARN, __VA_ARGS__)
#define log_info(...) log_line(LOG_INFO, __VA_ARGS__)
#define log_debug(...)                                                                                       \
	do {                                                                                                 \
		if (log_get_level() >= LOG_DEBUG)                                                            \
			log_line(LOG_DEBUG, __VA_ARGS__);                                                    \
	} while (0)

/*
 * True at most once in interval_ms for this cause; *ret_suppressed counts the lines suppressed since the last
 * one.
 */
struct log_rate {
	uint64_t next_ms;
	uint64_t suppressed;
};
bool log_rate_pass(struct log_rate *rate, uint64_t now_ms, uint64_t interval_ms, uint64_t *ret_suppressed);
