/* SPDX-License-Identifier: Apache-2.0 */
#include "user/gateway/status_command.h"

#include <errno.h>

#include "admin/dump/status.h"
#include "config/snapshot.h"
#include "policy/compile/effective.h"
#include "user/gateway/options.h"
#include "user/net/host_addresses.h"
#include "user/net/own_address.h"

enum { EXIT_REFUSED = 1, EXIT_USAGE = 2 };

static int print(const struct text *out, FILE *file)
{
	if (text_error(out) || fwrite(out->data ? out->data : "", 1, out->len, file) != out->len)
		return EXIT_REFUSED;
	return 0;
}

static void print_messages(const struct config_report *report)
{
	struct text text;

	text_init(&text);
	config_report_print(report, CONFIG_ERROR, "", &text);
	config_report_print(report, CONFIG_WARNING, "warning: ", &text);
	(void)print(&text, stderr);
	text_done(&text);
}

static int print_status(const struct snapshot *snapshot, bool is_json)
{
	struct host_addresses host;
	struct status_host machine;
	struct text text;
	int status;

	text_init(&text);
	host_addresses_read(&host);
	machine = (struct status_host){ .address_list = host.list,
					.address_count = host.count,
					.has_address = own_address_has };
	if (is_json) {
		status_write(snapshot, &machine, &text);
		text_char(&text, '\n');
	} else {
		status_table(snapshot, &machine, &text);
	}
	status = print(&text, stdout);
	text_done(&text);
	return status;
}

static int load(const struct options *options, bool is_json)
{
	struct snapshot *snapshot = NULL;
	struct config_report report;
	int status, error;

	config_report_init(&report);
	error = config_load(options->source_list, options->source_count, NULL, &report, &snapshot);
	if (!error)
		error = policy_compile(snapshot, &report);
	print_messages(&report);
	config_report_done(&report);
	status = !error					? print_status(snapshot, is_json)
		 : error == -EINVAL || error == -ENOMEM ? EXIT_REFUSED
							: EXIT_USAGE;
	snapshot_unref(snapshot);
	return status;
}

int status_command(int argc, char **argv)
{
	static struct options options;

	if (options_parse(COMMAND_STATUS, argc, argv, &options) < 0)
		return EXIT_USAGE;
	if (options.show_help) {
		options_usage(COMMAND_STATUS, stdout);
		return 0;
	}
	if (!options.source_count || options.argument_count) {
		options_fail("no configuration", NULL, "write headgate status -f FILE");
		return EXIT_USAGE;
	}
	if (options_read_streams(&options) < 0)
		return EXIT_USAGE;
	return load(&options, options.as_json);
}
