/* SPDX-License-Identifier: Apache-2.0 */
#include "user/gateway/options.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "config/source.h"
#include "user/base/limits.h"

void options_usage(FILE *out)
{
	fputs("usage: headgate -f FILE|DIR|- [-f ...] [--validate-only] [--strict]\n"
	      "                [--log-level error|warn|info|debug] [--log-format text|json]\n"
	      "                [--no-keeper] [--restart-limit N]\n"
	      "       headgate convert FILE            print a file in the current form\n"
	      "       headgate top [--admin ADDR]      terminal view of the running streams\n"
	      "       headgate status -f FILE [--json] conditions of Kubernetes objects\n"
	      "       headgate upgrade [PID]           hand over to the installed program\n"
	      "       headgate bpf load --pin DIR | status | unload\n"
	      "       headgate -V | --version\n"
	      "       headgate -h | --help\n"
	      "environment: ADMIN_ADDR STATS_ADDR READINESS_ADDR WORKER_THREADS\n",
	      out);
}

static int options_fail(const char *what, const char *argument, const char *advice)
{
	fprintf(stderr, "headgate: %s%s%s; %s\n", what, argument ? " " : "", argument ? argument : "",
		advice);
	return -EINVAL;
}

/* Returns the value of "--name value" or "--name=value"; NULL if the argument is another option. */
static const char *option_value(int argc, char **argv, int *at, const char *name, bool *ret_missing)
{
	size_t len = strlen(name);

	if (strncmp(argv[*at], name, len) == 0 && name[0] == '-' && name[1] == '-' && argv[*at][len] == '=')
		return argv[*at] + len + 1;
	if (strcmp(argv[*at], name) != 0)
		return NULL;
	if (*at + 1 >= argc) {
		*ret_missing = true;
		return NULL;
	}
	return argv[++*at];
}

static int options_add_file(struct options *options, const char *path)
{
	if (*path == '\0')
		return options_fail("-f has an empty name", NULL,
				    "give a file, a directory, or - for standard input");
	if (options->source_count == OPTIONS_SOURCES_MAX)
		return options_fail("more than 256 -f options", NULL,
				    "put the files into a directory and name that");
	options->source_list[options->source_count++].path = path;
	return 0;
}

static int options_set_level(struct options *options, const char *value)
{
	if (log_level_parse(span_str(value), &options->log_level) < 0)
		return options_fail("unknown log level", value, "use error, warn, info or debug");
	options->has_log_level = true;
	return 0;
}

static int options_set_format(struct options *options, const char *value)
{
	if (strcmp(value, "text") != 0 && strcmp(value, "json") != 0)
		return options_fail("unknown log format", value, "use text or json");
	options->log_format = strcmp(value, "json") == 0 ? LOG_JSON : LOG_TEXT;
	options->has_log_format = true;
	return 0;
}

static int options_set_restart_limit(struct options *options, const char *value)
{
	uint64_t count;

	if (span_parse_u63(span_str(value), &count) < 0 || count > OPTIONS_RESTART_LIMIT_MAX)
		return options_fail("--restart-limit is not a number up to 100000:", value,
				    "0 means no limit");
	options->restart_limit = (uint32_t)count;
	return 0;
}

/* Parses one argument, and its value if it has one. */
static int options_take(int argc, char **argv, int *at, struct options *options)
{
	const char *argument = argv[*at];
	bool missing = false;
	const char *value;

	if (strcmp(argument, "--validate-only") == 0) {
		options->validate_only = true;
		return 0;
	}
	if (strcmp(argument, "--strict") == 0) {
		options->strict = true;
		return 0;
	}
	if (strcmp(argument, "--no-keeper") == 0) {
		options->no_keeper = true;
		return 0;
	}
	if (strcmp(argument, "-V") == 0 || strcmp(argument, "--version") == 0) {
		options->show_version = true;
		return 0;
	}
	if (strcmp(argument, "-h") == 0 || strcmp(argument, "--help") == 0) {
		options->show_help = true;
		return 0;
	}
	if ((value = option_value(argc, argv, at, "-f", &missing)) != NULL ||
	    (!missing && (value = option_value(argc, argv, at, "--file", &missing)) != NULL))
		return options_add_file(options, value);
	if (!missing && (value = option_value(argc, argv, at, "--log-level", &missing)) != NULL)
		return options_set_level(options, value);
	if (!missing && (value = option_value(argc, argv, at, "--log-format", &missing)) != NULL)
		return options_set_format(options, value);
	if (!missing && (value = option_value(argc, argv, at, "--restart-limit", &missing)) != NULL)
		return options_set_restart_limit(options, value);
	if (missing)
		return options_fail("no value after", argument, "write it as the next argument");
	if (argument[0] != '-')
		return options_fail("no option", argument, "a configuration is given with -f FILE");
	return options_fail("unknown option", argument, "headgate --help lists the options");
}

static int options_environment(struct options *options)
{
	const char *threads = getenv("WORKER_THREADS");
	uint64_t count;

	if (!threads || !*threads)
		return 0;
	if (span_parse_u63(span_str(threads), &count) < 0 || count < 1 || count > LIMIT_WORKERS)
		return options_fail("WORKER_THREADS is not a number from 1 to 256:", threads,
				    "correct or unset it");
	options->worker_threads = (uint32_t)count;
	return 0;
}

int options_parse(int argc, char **argv, struct options *ret_options)
{
	int error = 0;

	*ret_options = (struct options){ .restart_limit = OPTIONS_RESTART_LIMIT };
	for (int at = 1; at < argc && !error; at++)
		error = options_take(argc, argv, &at, ret_options);
	if (!error)
		error = options_environment(ret_options);
	if (!error && !ret_options->source_count && !ret_options->show_version && !ret_options->show_help)
		error = options_fail("no configuration", NULL,
				     "name one with -f FILE (- reads standard input)");
	return error;
}

/* ------------------------------------------------------------------------------------ sources */

static bool source_is_stream(const char *path)
{
	struct stat file;

	return strcmp(path, "-") == 0 ||
	       (stat(path, &file) == 0 && !S_ISREG(file.st_mode) && !S_ISDIR(file.st_mode));
}

static int options_read_stream(struct config_source *source)
{
	bool is_stdin = strcmp(source->path, "-") == 0;
	const char *name = is_stdin ? "standard input" : source->path;
	int fd = is_stdin ? STDIN_FILENO : open(source->path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	struct text text;
	int error;

	text_init(&text);
	error = fd < 0 ? -errno : source_read_all(fd, &text);
	if (!is_stdin && fd >= 0)
		close(fd);
	if (error) {
		text_done(&text);
		fprintf(stderr, "headgate: %s cannot be read: %s\n", name, strerrordesc_np(-error));
		return error;
	}
	*source = (struct config_source){ .path = name, .has_text = true, .text = text_span(&text) };
	return 0;
}

int options_read_streams(struct options *options)
{
	bool has_stdin = false;
	int error = 0;

	for (size_t i = 0; i < options->source_count && !error; i++) {
		const char *path = options->source_list[i].path;

		if (strcmp(path, "-") == 0 && has_stdin)
			return options_fail("-f - is given twice", NULL, "standard input can be read once");
		has_stdin |= strcmp(path, "-") == 0;
		if (source_is_stream(path))
			error = options_read_stream(&options->source_list[i]);
	}
	return error;
}

/* ------------------------------------------------------------------------------------ logging */

static void apply_level(const struct options *options, struct span old, struct span now, bool is_start)
{
	enum log_level level = LOG_INFO;

	if (options->has_log_level) {
		if (is_start)
			log_set_level(options->log_level);
	} else if (is_start || !span_eq(old, now)) {
		/* If empty, the level stays LOG_INFO; the decoder has rejected invalid names. */
		(void)log_level_parse(now, &level);
		log_set_level(level);
	}
}

void options_apply_logging(const struct options *options, const struct static_config *old,
			   const struct static_config *config)
{
	apply_level(options, old ? old->log_level : SPAN(""), config->log_level, !old);
	if (options->has_log_format)
		log_set_format(options->log_format);
	else
		log_set_format(span_eq(config->log_format, SPAN("json")) ? LOG_JSON : LOG_TEXT);
}
