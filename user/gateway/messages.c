/* SPDX-License-Identifier: Apache-2.0 */
#include "user/gateway/messages.h"

#include "user/base/log.h"
#include "user/base/mem.h"

static void report_log(const struct config_report *report, bool is_refused)
{
	for (uint32_t i = 0; i < report->message_count; i++) {
		const struct config_message *message = &report->message_list[i];
		enum log_level level = message->severity == CONFIG_ERROR && is_refused ? LOG_ERROR
				       : message->severity == CONFIG_INFO	       ? LOG_INFO
										       : LOG_WARN;

		log_line(level, "%.*s", SPAN_FMT(message->text));
	}
}

/* What is wrong is named at the end, too, where users see it. */
static void report_culprits(const struct config_report *report, bool is_refused, struct text *out)
{
	struct text line;

	text_init(&line);
	config_report_culprits(report, is_refused, &line);
	if (line.len) {
		log_line(is_refused ? LOG_ERROR : LOG_WARN, "%.*s", SPAN_FMT(text_span(&line)));
		text_add(out, text_span(&line));
		text_char(out, '\n');
	}
	text_done(&line);
}

void messages_init(struct messages *messages)
{
	*messages = (struct messages){ 0 };
	text_init(&messages->errors);
	text_init(&messages->warnings);
	arena_init(&messages->file_arena, 4096);
}

static void files_done(struct messages *messages)
{
	hg_free(messages->file_list);
	arena_done(&messages->file_arena);
}

void messages_done(struct messages *messages)
{
	text_done(&messages->errors);
	text_done(&messages->warnings);
	files_done(messages);
}

void messages_add(struct messages *messages, struct config_report *report, bool is_refused)
{
	struct text *errors = is_refused ? &messages->errors : &messages->warnings;

	report_log(report, is_refused);
	config_report_print(report, CONFIG_ERROR, "", errors);
	report_culprits(report, is_refused, errors);
	config_report_print(report, CONFIG_WARNING, "", &messages->warnings);
	messages->warning_count += report->count[CONFIG_WARNING];
	if (!is_refused)
		messages->warning_count += report->count[CONFIG_ERROR];
	messages->file_list = report->named_list;
	messages->file_count = report->named_count;
	report->named_list = NULL;
	report->named_count = report->named_size = 0;
	arena_join(&messages->file_arena, &report->arena);
}

void messages_take(struct messages *messages, struct messages *other, bool is_in_force)
{
	if (is_in_force) {
		messages_done(messages);
		*messages = *other;
		return;
	}
	text_done(&messages->errors);
	messages->errors = other->errors;
	text_done(&other->warnings);
	files_done(messages);
	messages->file_list = other->file_list;
	messages->file_count = other->file_count;
	messages->file_arena = other->file_arena;
}
