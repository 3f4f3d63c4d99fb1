/* SPDX-License-Identifier: Apache-2.0 */
#include "user/gateway/status_command.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "admin/dump/status.h"
#include "config/snapshot.h"
#include "policy/compile/effective.h"
#include "user/base/mem.h"
#include "user/gateway/options.h"
#include "user/net/host_addresses.h"

enum { EXIT_REFUSED = 1, EXIT_USAGE = 2 };

static const char usage[] =
	"usage: headgate status -f FILE|DIR|- [-f ...] [--json]\n"
	"  --json  the status as JSON, in the form of the Kubernetes API, as GET /status shows it\n";

/* Removes the options of this command; the rest is that of the gateway. */
static int take_own(int argc, char **argv, bool *ret_is_json)
{
	int kept = 0;

	*ret_is_json = false;
	for (int i = 0; i < argc; i++) {
		if (strcmp(argv[i], "--json") == 0)
			*ret_is_json = true;
		else
			argv[kept++] = argv[i];
	}
	argv[kept] = NULL;
	return kept;
}

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
	struct text text;
	int status;

	text_init(&text);
	host_addresses_read(&host);
	if (is_json) {
		status_write(snapshot, &(struct status_host){ host.list, host.count }, &text);
		text_char(&text, '\n');
	} else {
		status_table(snapshot, &text);
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
	bool is_json;

	if (argc > 1 && (strcmp(argv[1], "-h") == 0 || strcmp(argv[1], "--help") == 0)) {
		fputs(usage, stdout);
		return 0;
	}
	argc = take_own(argc, argv, &is_json);
	if (argc == 1) {
		fputs(usage, stderr);
		return EXIT_USAGE;
	}
	if (options_parse(argc, argv, &options) < 0 || options_read_streams(&options) < 0)
		return EXIT_USAGE;
	return load(&options, is_json);
}
