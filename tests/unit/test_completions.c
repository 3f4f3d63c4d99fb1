/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The completions of bash, zsh and fish in scripts/packaging/completions are made from the tables of commands
 * and options. With WRITE_REFERENCE in the environment it writes them anew, from the root of the tree.
 */
#include <stdio.h>
#include <stdlib.h>

#include "tests/lib/test.h"
#include "user/base/check.h"
#include "user/base/text.h"
#include "user/gateway/options.h"

#define HEAD "# SPDX-License-Identifier: Apache-2.0\n"

static bool has(unsigned command, const struct option_row *option)
{
	return option->commands >> command & 1;
}

static bool is_path(const char *value)
{
	return strstr(value, "FILE") || strstr(value, "DIR");
}

/* "a|b": words; FILE|DIR|- and "N" are not. */
static bool is_words(const char *value)
{
	return strchr(value, '|') && !is_path(value);
}

static void print_words(const char *value, struct text *out)
{
	for (; value && *value; value++)
		text_char(out, *value == '|' ? ' ' : *value);
}

/*
 * The words that may follow a command: those in lower case, as of "load|status|unload" or "[KEY|route NAME]".
 * False: there is none. out may be NULL.
 */
static bool print_verbs(unsigned command, struct text *out)
{
	struct span rest = span_str(command_list[command].arguments), part;
	const char *before = "";

	while (rest.len && span_split(&rest, '|', &part)) {
		size_t len = 0;

		while (part.len && part.data[0] == '[')
			part = span_from(part, 1);
		while (len < part.len && part.data[len] >= 'a' && part.data[len] <= 'z')
			len++;
		if (len && out)
			text_fmt(out, "%s%.*s", before, (int)len, part.data);
		before = len ? " " : before;
	}
	return *before;
}

static bool has_verbs(unsigned command)
{
	return print_verbs(command, NULL);
}

/* ---- bash */

#define BASH_FILES "compopt -o filenames && mapfile -t COMPREPLY < <(compgen -f -- \"$word\")"

/* What follows an option: "command,-f|command,--file)". */
static void print_bash_value(unsigned command, const struct option_row *option, struct text *out)
{
	const char *word = command_list[command].word;

	text_str(out, "\t");
	if (option->short_name)
		text_fmt(out, "%s,%s|", word, option->short_name);
	text_fmt(out, "%s,%s) ", word, option->name);
	if (is_path(option->value)) {
		text_str(out, BASH_FILES "; ");
	} else if (is_words(option->value)) {
		text_str(out, "mapfile -t COMPREPLY < <(compgen -W '");
		print_words(option->value, out);
		text_str(out, "' -- \"$word\"); ");
	}
	text_str(out, "return ;;\n");
}

static void print_bash_options(unsigned command, struct text *out)
{
	const char *before = "";

	text_fmt(out, "\t%s) words='", *command_list[command].word ? command_list[command].word : "''");
	for (unsigned i = 0; i < OPTION_COUNT; i++) {
		if (!has(command, &option_list[i]))
			continue;
		if (option_list[i].short_name)
			text_fmt(out, "%s%s", before, option_list[i].short_name);
		text_fmt(out, "%s%s", option_list[i].short_name ? " " : before, option_list[i].name);
		before = " ";
	}
	if (has_verbs(command)) {
		text_str(out, before);
		print_verbs(command, out);
	}
	text_str(out, "' ;;\n");
}

static void print_commands(const char *before, struct text *out)
{
	for (unsigned i = COMMAND_SERVE + 1; i < COMMAND_COUNT; i++)
		text_fmt(out, "%s%s", i == COMMAND_SERVE + 1 ? "" : before, command_list[i].word);
}

static void print_bash(struct text *out)
{
	text_str(out, HEAD "_headgate() {\n"
			   "\tlocal word=$2 before=$3 command= words=\n"
			   "\tCOMPREPLY=()\n"
			   "\tif ((COMP_CWORD > 1)); then\n"
			   "\t\tcase ${COMP_WORDS[1]} in ");
	print_commands("|", out);
	text_str(out, ") command=${COMP_WORDS[1]} ;; esac\n"
		      "\tfi\n"
		      "\tcase $command,$before in\n");
	for (unsigned command = 0; command < COMMAND_COUNT; command++)
		for (unsigned i = 0; i < OPTION_COUNT; i++)
			if (has(command, &option_list[i]) && option_list[i].value)
				print_bash_value(command, &option_list[i], out);
	text_str(out, "\tesac\n\tcase $command in\n");
	for (unsigned command = 0; command < COMMAND_COUNT; command++)
		print_bash_options(command, out);
	text_str(out, "\tesac\n\t((COMP_CWORD == 1)) && words+=' ");
	print_commands(" ", out);
	text_str(out, "'\n\tmapfile -t COMPREPLY < <(compgen -W \"$words\" -- \"$word\")\n");
	for (unsigned command = COMMAND_SERVE + 1; command < COMMAND_COUNT; command++)
		if (is_path(command_list[command].arguments))
			text_fmt(out, "\t[[ $command == %s ]] && " BASH_FILES "\n",
				 command_list[command].word);
	text_str(out, "\treturn 0\n}\ncomplete -F _headgate headgate\n");
}

/* ---- zsh */

/* In single quotes: none of its own, and no bracket or colon, which have a meaning there. */
static void print_zsh_text(const char *words, struct text *out)
{
	for (; *words; words++) {
		if (*words == '[' || *words == ']' || *words == ':')
			text_char(out, '\\');
		if (*words == '\'')
			text_str(out, "'\\''");
		else
			text_char(out, *words);
	}
}

static void print_zsh_option(const struct option_row *option, const char *name, struct text *out)
{
	text_fmt(out, " \\\n\t\t\t'*%s[", name);
	print_zsh_text(option->doc, out);
	text_char(out, ']');
	if (option->value && is_path(option->value))
		text_str(out, ":file:_files");
	else if (option->value && is_words(option->value)) {
		text_str(out, ":word:(");
		print_words(option->value, out);
		text_char(out, ')');
	} else if (option->value)
		text_str(out, ":value: ");
	text_char(out, '\'');
}

static void print_zsh(struct text *out)
{
	text_str(out, "#compdef headgate\n" HEAD "_headgate() {\n"
		      "\tlocal command=\n"
		      "\tlocal -a commands=(\n");
	for (unsigned i = COMMAND_SERVE + 1; i < COMMAND_COUNT; i++) {
		text_fmt(out, "\t\t'%s:", command_list[i].word);
		print_zsh_text(command_list[i].doc, out);
		text_str(out, "'\n");
	}
	text_str(out, "\t)\n\t((CURRENT > 2)) && command=$words[2]\n\tcase $command in\n");
	for (unsigned i = COMMAND_SERVE + 1; i <= COMMAND_COUNT; i++) {
		unsigned command = i == COMMAND_COUNT ? COMMAND_SERVE : i;

		text_fmt(out, "\t%s)\n", *command_list[command].word ? command_list[command].word : "*");
		if (command != COMMAND_SERVE)
			text_str(out, "\t\tshift words\n\t\t((CURRENT--))\n");
		text_str(out, "\t\t_arguments");
		for (unsigned k = 0; k < OPTION_COUNT; k++) {
			if (!has(command, &option_list[k]))
				continue;
			if (option_list[k].short_name)
				print_zsh_option(&option_list[k], option_list[k].short_name, out);
			print_zsh_option(&option_list[k], option_list[k].name, out);
		}
		if (command == COMMAND_SERVE)
			text_str(out, " \\\n\t\t\t'1: :{_describe command commands}'");
		else if (has_verbs(command)) {
			text_str(out, " \\\n\t\t\t'1:word:(");
			print_verbs(command, out);
			text_str(out, ")'");
		} else if (is_path(command_list[command].arguments))
			text_str(out, " \\\n\t\t\t'1:file:_files'");
		text_str(out, "\n\t\t;;\n");
	}
	text_str(out, "\tesac\n}\n_headgate \"$@\"\n");
}

/* ---- fish */

static void print_fish_text(const char *words, struct text *out)
{
	for (; *words; words++) {
		if (*words == '\'' || *words == '\\')
			text_char(out, '\\');
		text_char(out, *words);
	}
}

static void print_fish_when(unsigned command, struct text *out)
{
	text_str(out, "complete -c headgate -n '");
	if (command == COMMAND_SERVE) {
		text_str(out, "not __fish_seen_subcommand_from ");
		print_commands(" ", out);
	} else {
		text_fmt(out, "__fish_seen_subcommand_from %s", command_list[command].word);
	}
	text_char(out, '\'');
}

static void print_fish_option(unsigned command, const struct option_row *option, struct text *out)
{
	print_fish_when(command, out);
	if (option->short_name)
		text_fmt(out, " -s %s", option->short_name + 1);
	text_fmt(out, " -l %s", option->name + 2);
	if (option->value)
		text_str(out, is_path(option->value) ? " -r -F" : " -x");
	if (option->value && is_words(option->value)) {
		text_str(out, " -a '");
		print_words(option->value, out);
		text_char(out, '\'');
	}
	text_str(out, " -d '");
	print_fish_text(option->doc, out);
	text_str(out, "'\n");
}

static void print_fish(struct text *out)
{
	text_str(out, HEAD "complete -c headgate -f\n");
	for (unsigned command = 0; command < COMMAND_COUNT; command++) {
		if (command != COMMAND_SERVE) {
			text_fmt(out, "complete -c headgate -n __fish_use_subcommand -a %s -d '",
				 command_list[command].word);
			print_fish_text(command_list[command].doc, out);
			text_str(out, "'\n");
		}
		for (unsigned i = 0; i < OPTION_COUNT; i++)
			if (has(command, &option_list[i]))
				print_fish_option(command, &option_list[i], out);
		if (!has_verbs(command) && !is_path(command_list[command].arguments))
			continue;
		print_fish_when(command, out);
		if (has_verbs(command)) {
			text_str(out, " -a '");
			print_verbs(command, out);
			text_str(out, "'\n");
		} else {
			text_str(out, " -F\n");
		}
	}
}

/* ---- files */

static const struct completion {
	const char *path;
	void (*print)(struct text *out);
} completions[] = {
	{ "scripts/packaging/completions/headgate.bash", print_bash },
	{ "scripts/packaging/completions/_headgate", print_zsh },
	{ "scripts/packaging/completions/headgate.fish", print_fish },
};

static void write_file(const char *path, struct span text)
{
	FILE *file = fopen(path, "w");

	assert_non_null(file);
	assert_int_equal(fwrite(text.data, 1, text.len, file), text.len);
	assert_int_equal(fclose(file), 0);
}

TEST(the_completions_are_those_of_the_tables)
{
	for (size_t i = 0; i < ARRAY_LEN(completions); i++) {
		static char have[64 * 1024];
		struct text want;
		FILE *file;
		size_t len;

		text_init(&want);
		completions[i].print(&want);
		assert_int_equal(text_error(&want), 0);
		if (getenv("WRITE_REFERENCE"))
			write_file(completions[i].path, text_span(&want));
		file = fopen(completions[i].path, "r");
		assert_non_null(file);
		len = fread(have, 1, sizeof(have), file);
		fclose(file);
		if (!span_eq(span_of(have, len), text_span(&want)))
			fail_msg("%s is not that of the tables: WRITE_REFERENCE=1 %s", completions[i].path,
				 "build/release/unit/test_completions");
		text_done(&want);
	}
}
