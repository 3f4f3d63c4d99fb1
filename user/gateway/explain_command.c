/* SPDX-License-Identifier: Apache-2.0 */
#include "user/gateway/explain_command.h"

#include <errno.h>

#include "config/core/engine/schema_words.h"
#include "config/standalone/key.h"
#include "config/standalone/policy.h"
#include "user/gateway/command_config.h"
#include "user/gateway/explain_route.h"

/* Of Markdown the words: `code` without its quotes, of [words](link) the words. */
static void add_plain(struct span s, struct text *out)
{
	bool is_code = false;

	for (size_t i = 0; i < s.len; i++) {
		struct span rest = span_from(s, i);

		if (s.data[i] == '`')
			is_code = !is_code;
		else if (!is_code && span_starts(rest, SPAN("](")) && span_find(rest, ')') > 0)
			i += (size_t)span_find(rest, ')');
		else if (is_code || s.data[i] != '[')
			text_char(out, s.data[i]);
	}
}

static void add_line(const char *name, struct span words, struct text *out)
{
	text_fmt(out, "  %-9s", name);
	add_plain(words, out);
	text_char(out, '\n');
}

static void describe_row(const struct key *key, bool is_of_process, struct text *out)
{
	const struct schema_row *row = key->row;
	struct text words;

	if (row->refusal) {
		add_line("refused", span_str(row->refusal), out);
		return;
	}
	text_init(&words);
	schema_value_words(row, &words);
	add_line("value", text_span(&words), out);
	text_clear(&words);
	schema_default_words(row, key->object, &words);
	add_line("default", span_eq(text_span(&words), SPAN("–")) ? SPAN("none") : text_span(&words), out);
	text_done(&words);
	if (is_of_process)
		add_line("reload", span_str(schema_reload_words(row)), out);
	if (row->doc)
		add_line("meaning", span_str(row->doc), out);
}

static void list_keys(const struct key_level *level, struct text *out)
{
	const char *before = level->has_names ? "  keys     NAME, and below it " : "  keys     ", *name;
	bool refused;

	for (size_t i = 0; (name = key_name(level, i, &refused)) != NULL; i++) {
		if (refused)
			continue;
		text_fmt(out, "%s%s", before, name);
		before = ", ";
	}
	text_char(out, '\n');
}

/* Rows of `config` say when a change takes effect; all others are read when the configuration is. */
static void describe(struct span path, const struct key *key, struct text *out)
{
	text_fmt(out, "%.*s\n", SPAN_FMT(path.len ? path : SPAN("a standalone file")));
	if (key->row)
		describe_row(key, span_starts(path, SPAN("config.")), out);
	else if (key->entry && key->entry->refusal)
		add_line("refused", span_str(key->entry->refusal), out);
	else if (key->entry)
		add_line("value", SPAN("a policy"), out);
	if (key->below.schema || key->below.entry_list)
		list_keys(&key->below, out);
}

static int explain(struct span path, struct text *out)
{
	struct arena arena;
	struct text fault;
	struct key key;
	int error;

	arena_init(&arena, 4096);
	text_init(&fault);
	error = key_find(path, &arena, &key, &fault);
	if (error == -ENOENT)
		fprintf(stderr, "headgate: %.*s: %.*s\n", SPAN_FMT(path), SPAN_FMT(text_span(&fault)));
	else if (!error)
		describe(path, &key, out);
	text_done(&fault);
	arena_done(&arena);
	return error;
}

static int explain_key(const struct options *options)
{
	struct text out;
	int error;

	if (options->argument_count > 1 || options->source_count) {
		options_fail(options->source_count ? "a key needs no file" : "more than one key", NULL,
			     "write headgate explain routes.policies.timeout, or explain route NAME -f FILE");
		return -ENOENT;
	}
	text_init(&out);
	error = explain(span_str(options->argument_count ? options->argument_list[0] : ""), &out);
	if (!error)
		error = text_error(&out);
	if (!error && (fwrite(out.data, 1, out.len, stdout) < out.len || fflush(stdout) < 0))
		error = -EIO;
	text_done(&out);
	return error;
}

static int explain_one_route(struct options *options)
{
	struct config_report report;
	struct json_writer w;
	struct text out;
	int error;

	if (options->argument_count != 2 || !options->source_count) {
		options_fail(options->source_count ? "no name of a route" : "no configuration", NULL,
			     "write headgate explain route NAME -f FILE");
		return -ENOENT;
	}
	config_report_init(&report);
	text_init(&out);
	json_begin(&w, &out);
	json_open_object(&w, NULL);
	error = explain_route(options, options->argument_list[1], &report, &w);
	json_close(&w);
	if (!error)
		error = command_print(&out, options->as_json);
	else if (error != -ENOENT)
		command_report(&report);
	text_done(&out);
	config_report_done(&report);
	return error;
}

int explain_command(int argc, char **argv)
{
	static struct options options;
	bool is_route;

	if (options_parse(COMMAND_EXPLAIN, argc, argv, &options) < 0)
		return COMMAND_WRONG;
	if (options.show_help) {
		options_usage(COMMAND_EXPLAIN, stdout);
		return COMMAND_DONE;
	}
	is_route = options.argument_count && strcmp(options.argument_list[0], "route") == 0;
	return (int)command_status_of(is_route ? explain_one_route(&options) : explain_key(&options));
}
