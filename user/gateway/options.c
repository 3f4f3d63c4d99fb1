/* SPDX-License-Identifier: Apache-2.0 */
#include "user/gateway/options.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "config/core/engine/typo.h"
#include "config/core/values/values.h"
#include "config/source.h"
#include "user/base/check.h"
#include "user/base/limits.h"
#include "user/base/text.h"

const struct command command_list[COMMAND_COUNT] = {
#define COMMAND(id, word, arguments, function, doc) { word, arguments, doc },
#include "user/gateway/commands.def"
#undef COMMAND
};

#define IN(command) (1u << COMMAND_##command)
const struct option_row option_list[OPTION_COUNT] = {
#define OPTION(id, short_name, name, value, commands, doc) { short_name, name, value, commands, doc },
#include "user/gateway/options.def"
#undef OPTION
};
#undef IN

/* ------------------------------------------------------------------------------------ usage */

enum { USAGE_DOC_COLUMN = 38 };

static void usage_line(enum command_id command, FILE *out)
{
	const struct command *row = &command_list[command];

	fprintf(out, "  headgate%s%s%s%s", *row->word ? " " : "", row->word, *row->arguments ? " " : "",
		row->arguments);
	for (size_t i = 0; i < OPTION_COUNT; i++)
		if (option_list[i].commands >> command & 1) {
			fputs(" [OPTION]...", out);
			break;
		}
	fprintf(out, "\n      %s\n", row->doc);
}

static void usage_options(enum command_id command, FILE *out)
{
	for (size_t i = 0; i < OPTION_COUNT; i++) {
		const struct option_row *row = &option_list[i];
		struct text name;

		if (!(row->commands >> command & 1))
			continue;
		text_init(&name);
		text_fmt(&name, "  %s%s%s%s%s", row->short_name ? row->short_name : "",
			 row->short_name ? ", " : "", row->name, row->value ? " " : "",
			 row->value ? row->value : "");
		fprintf(out, "%-*.*s %s\n", USAGE_DOC_COLUMN, SPAN_FMT(text_span(&name)), row->doc);
		text_done(&name);
	}
}

void options_usage(enum command_id command, FILE *out)
{
	fputs("usage:\n", out);
	if (command != COMMAND_SERVE) {
		usage_line(command, out);
		usage_options(command, out);
		return;
	}
	fputs("  headgate -f FILE|DIR|- [OPTION]...\n      start the gateway\n"
	      "  headgate --kubernetes|--kubeconfig FILE [-f FILE] [OPTION]...\n"
	      "      start it with the objects of an API server; FILE may have a section config\n",
	      out);
	for (unsigned i = COMMAND_SERVE + 1; i < COMMAND_COUNT; i++)
		usage_line((enum command_id)i, out);
	fputs("options of the gateway; a command has its own, shown by headgate COMMAND --help:\n", out);
	usage_options(command, out);
	fputs("environment: ADMIN_ADDR STATS_ADDR READINESS_ADDR WORKER_THREADS\n", out);
}

/* ------------------------------------------------------------------------------------ arguments */

int options_fail(const char *what, const char *argument, const char *advice)
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

static int options_set_pool(struct options *options, const char *value)
{
	struct text why;
	int error;

	text_init(&why);
	error = address_pool_parse(span_str(value), &options->gateway_addresses, &why);
	text_char(&why, '\0');
	if (error)
		options_fail("--gateway-addresses:", why.failed ? value : why.data,
			     "write addresses, networks and ranges, as in 192.0.2.10,198.51.100.0/24,"
			     "2001:db8::10-2001:db8::1f");
	text_done(&why);
	return error;
}

/* value: the whole list. */
static int options_add_status_address(struct options *options, const char *value, struct span item)
{
	struct status_address *one = &options->status_address_list[options->status_address_count];
	struct address address;

	if (options->status_address_count == OPTIONS_STATUS_ADDRESSES_MAX)
		return options_fail("more than 16 --status-addresses:", value,
				    "leave some out: a Gateway has at most 16");
	*one = (struct status_address){ .value = item, .is_elsewhere = true };
	one->is_hostname = address_parse_ip(item, 0, &address) < 0;
	if (one->is_hostname && !value_is_hostname(item))
		return options_fail("--status-addresses has neither an address nor a host name:", value,
				    "write IP addresses and host names, as in 192.0.2.10,gw.example.com");
	options->status_address_count++;
	return 0;
}

static int options_set_status_addresses(struct options *options, const char *value)
{
	struct span rest = span_str(value), item;
	int error = 0;

	while (!error && span_split(&rest, ',', &item))
		error = options_add_status_address(options, value, span_trim(item));
	return error;
}

static int options_add_header(struct options *options, const char *value)
{
	const char *colon = strchr(value, ':');

	if (!colon || colon == value || value[strcspn(value, "\r\n")])
		return options_fail("no header:", value, "write -H 'name: value'");
	if (options->header_count == OPTIONS_HEADERS_MAX)
		return options_fail("more than 256 headers", NULL, "leave some out");
	options->header_list[options->header_count++] = value;
	return 0;
}

/* value: NULL if the option takes none. */
static int options_set(struct options *options, enum option_id id, const char *value)
{
	switch (id) {
	case OPTION_FILE:
		return options_add_file(options, value);
	case OPTION_KUBERNETES:
		options->kubernetes = true;
		return 0;
	case OPTION_KUBECONFIG:
		options->kubernetes = true;
		options->kubeconfig = value;
		return 0;
	case OPTION_KUBERNETES_COPY:
		options->kubernetes_copy = value;
		return 0;
	case OPTION_GATEWAY_ADDRESSES:
		return options_set_pool(options, value);
	case OPTION_GATEWAY_SERVICES:
		options->gateway_services = true;
		return 0;
	case OPTION_STATUS_ADDRESSES:
		return options_set_status_addresses(options, value);
	case OPTION_VALIDATE_ONLY:
		options->validate_only = true;
		return 0;
	case OPTION_STRICT:
		options->strict = true;
		return 0;
	case OPTION_LOG_LEVEL:
		return options_set_level(options, value);
	case OPTION_LOG_FORMAT:
		return options_set_format(options, value);
	case OPTION_NO_KEEPER:
		options->no_keeper = true;
		return 0;
	case OPTION_RESTART_LIMIT:
		return options_set_restart_limit(options, value);
	case OPTION_HEADER:
		return options_add_header(options, value);
	case OPTION_SOURCE:
		options->source = value;
		return 0;
	case OPTION_DESTINATION:
		options->destination = value;
		return 0;
	case OPTION_JSON:
		options->as_json = true;
		return 0;
	case OPTION_VERSION:
		options->show_version = true;
		return 0;
	case OPTION_HELP:
		options->show_help = true;
		return 0;
	case OPTION_ADMIN:
		options->admin = value;
		return 0;
	case OPTION_INTERVAL: /* of commands that parse their own */
	case OPTION_ONCE:
	case OPTION_PIN:
	case OPTION_SLOTS:
	case OPTION_WORKERS:
	case OPTION_USER:
	case OPTION_COUNT:
		break;
	}
	return -EINVAL;
}

/* True: the argument at *at is this option; *ret_value is NULL if it takes none, or has none. */
static bool option_is(const struct option_row *row, int argc, char **argv, int *at, const char **ret_value,
		      bool *ret_missing)
{
	const char *names[] = { row->short_name, row->name };

	*ret_value = NULL;
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		if (!names[i])
			continue;
		if (row->value)
			*ret_value = option_value(argc, argv, at, names[i], ret_missing);
		if (*ret_value || *ret_missing || (!row->value && strcmp(argv[*at], names[i]) == 0))
			return true;
	}
	return false;
}

static int options_add_argument(enum command_id command, struct options *options, const char *argument)
{
	const char *words[COMMAND_COUNT], *meant;
	struct text advice;

	if (command != COMMAND_SERVE && options->argument_count < OPTIONS_ARGUMENTS_MAX) {
		options->argument_list[options->argument_count++] = argument;
		return 0;
	}
	if (command != COMMAND_SERVE)
		return options_fail("too many arguments:", argument, "put quotes around one with blanks");
	for (size_t i = 0; i < COMMAND_COUNT; i++)
		words[i] = command_list[i].word;
	meant = typo_meant(span_str(argument), words + 1, COMMAND_COUNT - 1);
	text_init(&advice);
	text_fmt(&advice, meant ? "write headgate %s" : "write headgate -f %s", meant ? meant : argument);
	text_char(&advice, '\0');
	options_fail("no option or command:", argument,
		     text_error(&advice) ? "a configuration is given with -f FILE" : advice.data);
	text_done(&advice);
	return -EINVAL;
}

/* Parses one argument, and its value if it has one. */
static int options_take(enum command_id command, int argc, char **argv, int *at, struct options *options)
{
	const char *argument = argv[*at];
	bool missing = false;
	const char *value;

	for (unsigned id = 0; id < OPTION_COUNT; id++) {
		if (!(option_list[id].commands >> command & 1) ||
		    !option_is(&option_list[id], argc, argv, at, &value, &missing))
			continue;
		if (missing)
			return options_fail("no value after", argument, "write it as the next argument");
		return options_set(options, (enum option_id)id, value);
	}
	if (argument[0] != '-' || (command != COMMAND_SERVE && argument[1] == '\0'))
		return options_add_argument(command, options, argument);
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

int options_parse(enum command_id command, int argc, char **argv, struct options *ret_options)
{
	int error = 0;

	*ret_options = (struct options){ .restart_limit = OPTIONS_RESTART_LIMIT };
	for (int at = 0; at < argc && !error; at++)
		error = options_take(command, argc, argv, &at, ret_options);
	if (!error && command == COMMAND_SERVE)
		error = options_environment(ret_options);
	if (!error && !ret_options->kubernetes &&
	    (ret_options->kubernetes_copy || ret_options->gateway_services))
		error = options_fail(ret_options->gateway_services
					     ? "--gateway-services without an API server"
					     : "--kubernetes-copy without an API server",
				     NULL, "write --kubernetes or --kubeconfig FILE as well");
	if (!error && command == COMMAND_SERVE && !ret_options->source_count && !ret_options->kubernetes &&
	    !ret_options->show_version && !ret_options->show_help)
		error = options_fail("no configuration", NULL,
				     "type headgate -f FILE (- reads standard input); headgate --help lists "
				     "the commands");
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
