/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

#include "admin/top/top.h"
#include "gen/version.h"
#include "user/base/failpoint.h"
#include "user/base/limits.h"
#include "user/base/log_writer.h"
#include "user/restart/keeper.h"
#include "user/restart/upgrade_command.h"
#include "user/kernel/ctl/ctl.h"
#include "user/gateway/check_command.h"
#include "user/gateway/convert_command.h"
#include "user/gateway/explain_command.h"
#include "user/gateway/gateway.h"
#include "user/gateway/gateway_load.h"
#include "user/gateway/schema_command.h"
#include "user/gateway/status_command.h"
#include "user/gateway/lanes_command.h"
#include "user/gateway/lint_command.h"
#include "user/tls/allocator.h"

/* Arguments, limits, start and stop; other modules do everything else. */

enum exit_status {
	EXIT_OK = 0,
	EXIT_INVALID = 1, /* invalid configuration, or the gateway could not start */
	EXIT_USAGE = 2, /* invalid command line, or a file cannot be read */
};

static void raise_descriptor_limit(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
		limit.rlim_cur = limit.rlim_max;
		/* Not fatal: fewer descriptors only mean fewer connections. */
		if (setrlimit(RLIMIT_NOFILE, &limit) < 0)
			log_warn("the descriptor limit stays at its soft value: %s", strerrordesc_np(errno));
	}
}

/* Repeats the number of warnings, for users who see only the last line or a log without warnings. */
static void say_valid(uint32_t warnings)
{
	puts("Configuration is valid!");
	if (warnings)
		printf("%u %s\n", warnings, warnings == 1 ? "warning" : "warnings");
}

/* The objects of an API server, complete or those of the last run. NULL: the options name none. */
static int open_cluster(const struct options *options, struct cluster *cluster, struct cluster **ret)
{
	int error;

	*ret = NULL;
	if (!options->kubernetes)
		return 0;
	error = cluster_init(cluster, &(struct cluster_options){
					      .kubeconfig = options->kubeconfig,
					      .file = options->kubernetes_copy,
					      .has_pool = options->gateway_addresses.range_count,
					      .has_services = options->gateway_services,
				      });
	if (!error)
		error = cluster_wait(cluster);
	if (error)
		cluster_done(cluster);
	else
		*ret = cluster;
	return error;
}

/* The gateway, in this process. restart state: NULL without a keeper. */
static int serve(void *argument, struct restart_state *restart_state)
{
	struct options *options = argument;
	static struct gateway gateway;
	static struct cluster objects;
	struct takeover takeover;
	struct messages messages;
	struct snapshot *snapshot = NULL;
	struct cluster *cluster;
	uint64_t seen;
	int error;

	signals_ignore_upgrade();
	takeover_begin(&takeover, restart_state);
	seen = watch_signature(options->source_list, options->source_count);
	messages_init(&messages);
	error = open_cluster(options, &objects, &cluster);
	if (!error)
		error = gateway_load(options, cluster ? cluster_objects(cluster) : NULL, NULL, &messages,
				     &snapshot);
	if (error || options->validate_only) {
		if (!error)
			say_valid(messages.warning_count);
		messages_done(&messages);
		inherited_fds_leave(&takeover.inherited);
		snapshot_unref(snapshot);
		if (cluster)
			cluster_done(cluster);
		return !error || error == -EINTR	      ? EXIT_OK
		       : error == -EINVAL || error == -ENOMEM ? EXIT_INVALID
							      : EXIT_USAGE;
	}
	options_apply_logging(options, NULL, &snapshot->config);
	if (signals_block() < 0)
		return EXIT_INVALID;
	error = gateway_run(&gateway, options, cluster, snapshot, &messages, seen, &takeover);
	if (cluster)
		cluster_done(cluster);
	return error;
}

static int run(struct options *options, char **argv)
{
	static struct upgrade upgrade;
	const struct keeper_options keeper = {
		.restart_limit = options->restart_limit,
		.upgrade = upgrade_init(&upgrade, argv) == 0 ? &upgrade : NULL,
		.serve = serve,
		.argument = options,
	};
	int status;

	options_apply_logging(options, NULL, &(struct static_config){ 0 });
	if (options_read_streams(options) < 0)
		return EXIT_USAGE;
	/* Before the keeper starts: scanning a nearly full descriptor table needs a descriptor, too. */
	if (!options->validate_only)
		raise_descriptor_limit();
	if (options->validate_only)
		return serve(options, NULL);
	log_writer_open();
	status = options->no_keeper ? serve(options, NULL) : keeper_run(&keeper);
	log_writer_end(LIMIT_LOG_END_MS);
	return status;
}

static int run_top(int argc, char **argv)
{
	return top_main(argc + 1, argv - 1); /* begins with the word */
}

/* What follows the word of the command; returns the exit status. */
static int (*const run_list[COMMAND_COUNT])(int argc, char **argv) = {
#define COMMAND(id, word, arguments, function, doc) function,
#include "user/gateway/commands.def"
#undef COMMAND
};

/* Of the commands that do not read their arguments with options_parse(); top has more to say. */
static bool asks_for_help(unsigned command, int argc, char **argv)
{
	const char *last = argv[argc - 1];

	return (command == COMMAND_CONVERT || command == COMMAND_UPGRADE || command == COMMAND_BPF) &&
	       (strcmp(last, "-h") == 0 || strcmp(last, "--help") == 0);
}

int main(int argc, char **argv)
{
	static struct options options;

	failpoint_open();
	tls_share_memory();
	for (unsigned i = COMMAND_SERVE + 1; i < COMMAND_COUNT && argc > 1; i++) {
		if (strcmp(argv[1], command_list[i].word) != 0)
			continue;
		if (!asks_for_help(i, argc, argv))
			return run_list[i](argc - 2, argv + 2);
		options_usage((enum command_id)i, stdout);
		return EXIT_OK;
	}
	if (options_parse(COMMAND_SERVE, argc - 1, argv + 1, &options) < 0)
		return EXIT_USAGE;
	if (options.show_help) {
		options_usage(COMMAND_SERVE, stdout);
		return EXIT_OK;
	}
	if (options.show_version) {
		puts("headgate " HEADGATE_VERSION);
		return EXIT_OK;
	}
	return run(&options, argv);
}
