/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "config/load.h"
#include "policy/compile/effective.h"
#include "tests/lib/test.h"
#include "user/base/check.h"

/* A configuration from texts in the test, called a.yaml, b.yaml, … in messages. */
struct config_case {
	struct config_report report;
	struct snapshot *snapshot; /* NULL after a failure */
	int result;
	struct text messages[CONFIG_SEVERITY_COUNT]; /* lines */
};

static inline void config_case_load(struct config_case *c, const struct config_source *list, size_t count,
				    const struct config_setting *setting)
{
	*c = (struct config_case){ 0 };
	config_report_init(&c->report);
	c->result = config_load_with(list, count, setting, &c->report, &c->snapshot);
	assert_int_equal(c->snapshot != NULL, c->result == 0);
	for (unsigned i = 0; i < CONFIG_SEVERITY_COUNT; i++) {
		text_init(&c->messages[i]);
		config_report_print(&c->report, (enum config_severity)i, "", &c->messages[i]);
	}
}

static inline void config_case_sources(struct config_case *c, const struct config_source *list, size_t count)
{
	config_case_load(c, list, count, &(struct config_setting){ 0 });
}

static inline void config_case_texts(struct config_case *c, const char *const *texts, size_t count)
{
	static const char *const names[] = { "a.yaml", "b.yaml", "c.yaml" };
	struct config_source list[ARRAY_LEN(names)];

	assert_true(count <= ARRAY_LEN(names));
	for (size_t i = 0; i < count; i++)
		list[i] = (struct config_source){ .path = names[i],
						  .has_text = true,
						  .text = span_str(texts[i]) };
	config_case_sources(c, list, count);
}

static inline void config_case_text(struct config_case *c, const char *text)
{
	config_case_texts(c, &text, 1);
}

/* A text called a.yaml, with a setting. */
static inline void config_case_with(struct config_case *c, const char *text,
				    const struct config_setting *setting)
{
	const struct config_source source = { .path = "a.yaml", .has_text = true, .text = span_str(text) };

	config_case_load(c, &source, 1, setting);
}

static inline void config_case_done(struct config_case *c)
{
	for (unsigned i = 0; i < CONFIG_SEVERITY_COUNT; i++)
		text_done(&c->messages[i]);
	snapshot_unref(c->snapshot);
	config_report_done(&c->report);
}

static inline const char *config_case_lines(const struct config_case *c, enum config_severity severity)
{
	return c->messages[severity].len ? c->messages[severity].data : "";
}

static inline void config_case_accepted(const struct config_case *c)
{
	if (c->result != 0)
		fail_msg("refused with %d:\n%s", c->result, config_case_lines(c, CONFIG_ERROR));
	assert_int_equal(c->report.count[CONFIG_ERROR], 0);
}

/* One line of the severity begins with `place` and holds `words`. */
static inline void config_case_says(const struct config_case *c, enum config_severity severity,
				    const char *place, const char *words)
{
	struct span rest = text_span(&c->messages[severity]), line;

	while (span_split(&rest, '\n', &line))
		if (span_starts(line, span_str(place)) && memmem(line.data, line.len, words, strlen(words)))
			return;
	fail_msg("no line \"%s … %s\" in:\n%s", place, words, config_case_lines(c, severity));
}

#define weights_of(route) weights_add((route)->backend_list, (route)->backend_count)
static inline uint64_t weights_add(const struct backend_ref *list, uint32_t count)
{
	uint64_t sum = 0;

	for (uint32_t i = 0; i < count; i++)
		sum += list[i].weight;
	return sum;
}

/* A text with exactly one error: refused, or, as a fault of a Kubernetes object, loaded without that part. */
struct config_refusal {
	const char *text;
	const char *place; /* "a.yaml:3:5: path: " */
	const char *words; /* part of the sentence */
};

static inline void config_refused(const struct config_refusal *refusal)
{
	struct config_case c;

	config_case_text(&c, refusal->text);
	if (c.result != (c.report.fault_count ? 0 : -EINVAL))
		fail_msg("result %d for:\n%s", c.result, refusal->text);
	config_case_says(&c, CONFIG_ERROR, refusal->place, refusal->words);
	if (c.report.count[CONFIG_ERROR] != 1)
		fail_msg("%u errors instead of one:\n%s", c.report.count[CONFIG_ERROR],
			 config_case_lines(&c, CONFIG_ERROR));
	config_case_done(&c);
}

/* A text that loads, and then compiles (words NULL), or is refused with an error that holds `words`. */
static inline void config_compiles(const char *text, const char *words)
{
	struct config_case c;
	struct text messages;
	int result;

	config_case_text(&c, text);
	config_case_accepted(&c);
	result = policy_compile(c.snapshot, &c.report);
	text_init(&messages);
	config_report_print(&c.report, CONFIG_ERROR, "", &messages);
	if (!words && result)
		fail_msg("%d: %s", result, messages.len ? messages.data : "");
	if (words && (result == 0 || !messages.len || !strstr(messages.data, words)))
		fail_msg("%d, not \"%s\": %s", result, words, messages.len ? messages.data : "");
	text_done(&messages);
	config_case_done(&c);
}

#define assert_span_equal(span, text) assert_span(span, text, __FILE__, __LINE__)
static inline void assert_span(struct span s, const char *text, const char *file, int line)
{
	if (span_eq(s, span_str(text)))
		return;
	print_error("\"%.*s\" is not \"%s\"\n", SPAN_FMT(s), text);
	_fail(file, line);
}

/* The text is refused, and no message contains the secret. */
static inline void config_keeps_secret(const char *text, const char *secret)
{
	struct config_case c;

	config_case_text(&c, text);
	assert_int_not_equal(c.result, 0);
	for (unsigned severity = 0; severity < CONFIG_SEVERITY_COUNT; severity++)
		if (strstr(config_case_lines(&c, severity), secret))
			fail_msg("%s", config_case_lines(&c, severity));
	config_case_done(&c);
}
