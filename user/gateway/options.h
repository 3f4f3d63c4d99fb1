/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdio.h>

#include "config/model.h"
#include "config/load.h"
#include "user/base/log.h"

enum command_id {
#define COMMAND(id, word, arguments, function, doc) COMMAND_##id,
#include "user/gateway/commands.def"
#undef COMMAND
	COMMAND_COUNT,
};

/* A row of commands.def. */
struct command {
	const char *word;
	const char *arguments;
	const char *doc;
};

/* A row of options.def. */
struct option_row {
	const char *short_name; /* NULL: none */
	const char *name;
	const char *value; /* NULL: takes none */
	unsigned commands; /* a bit for each */
	const char *doc;
};

enum option_id {
#define OPTION(id, short_name, name, value, commands, doc) OPTION_##id,
#include "user/gateway/options.def"
#undef OPTION
	OPTION_COUNT,
};

extern const struct command command_list[COMMAND_COUNT];
extern const struct option_row option_list[OPTION_COUNT];

enum { OPTIONS_ARGUMENTS_MAX = 2, OPTIONS_HEADERS_MAX = 256 };
enum { OPTIONS_STATUS_ADDRESSES_MAX = 16 }; /* as in the CRD of Gateways */
enum { OPTIONS_SOURCES_MAX = 256, OPTIONS_RESTART_LIMIT = 10, OPTIONS_RESTART_LIMIT_MAX = 100000 };

/* The command line and the environment. Strings are borrowed from argv and environ. */
struct options {
	struct config_source source_list[OPTIONS_SOURCES_MAX];
	size_t source_count;
	bool kubernetes; /* the configuration comes from an API server */
	const char *kubeconfig; /* NULL: in a pod */
	const char *kubernetes_copy; /* NULL: none */
	struct address_pool gateway_addresses; /* without ranges: not given */
	bool gateway_services;
	struct status_address status_address_list[OPTIONS_STATUS_ADDRESSES_MAX];
	uint32_t status_address_count;
	bool validate_only;
	bool strict; /* warnings of the configuration are errors, also at a reload */
	bool show_version;
	bool show_help;
	bool has_log_level;
	enum log_level log_level;
	bool has_log_format;
	enum log_format log_format;
	bool no_keeper;
	uint32_t restart_limit; /* crashes of gateways before the keeper gives up; 0: no limit */
	/* of the other commands: */
	const char *argument_list[OPTIONS_ARGUMENTS_MAX]; /* what is no option */
	size_t argument_count;
	const char *header_list[OPTIONS_HEADERS_MAX]; /* "name: value" */
	size_t header_count;
	const char *source; /* NULL: not given */
	const char *destination; /* the same */
	const char *admin; /* the same */
	bool as_json;
	uint32_t worker_threads; /* WORKER_THREADS; 0: not set */
};

/*
 * Parses what follows the program, or the word of the command. 0, or -EINVAL after one line on standard error
 * that explains how to correct the arguments (exit status 2).
 */
int options_parse(enum command_id command, int argc, char **argv, struct options *ret_options);
/* One line on standard error. Returns -EINVAL. `argument` may be NULL. */
int options_fail(const char *what, const char *argument, const char *advice);
/*
 * Reads sources that can be read only once (standard input, pipes) into memory, so that a reload finds the
 * same content. The memory is never freed. 0, or a negative errno after one line on standard error.
 */
int options_read_streams(struct options *options);
/*
 * Sets level and format of the log: the command line takes precedence over the configuration. `old` is NULL
 * at the start; at a reload only changed settings are applied, so that a level set by POST /logging is kept
 * otherwise.
 */
void options_apply_logging(const struct options *options, const struct static_config *old,
			   const struct static_config *config);
/* The usage of one command; of SERVE: of all. */
void options_usage(enum command_id command, FILE *out);
