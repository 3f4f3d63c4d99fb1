/* SPDX-License-Identifier: Apache-2.0 */
#include "user/gateway/check_command.h"

#include "config/snapshot.h"
#include "user/gateway/check_request.h"
#include "user/gateway/command_config.h"

static int parse(const struct options *options, struct check_request *request)
{
	struct span source = span_str(options->source ? options->source : "127.0.0.1");

	if (options->argument_count != 1 ||
	    !check_request_parse(span_str(options->argument_list[0]), request))
		return options_fail("no request", options->argument_count ? options->argument_list[0] : NULL,
				    "write headgate check-request 'GET http://host/path' -f FILE");
	if (!options->source_count)
		return options_fail("no configuration", NULL, "name it with -f FILE");
	if (address_parse_ip(source, 0, &request->client) < 0)
		return options_fail("--source is no address:", options->source,
				    "write one as 192.0.2.1 or ::1");
	if (options->destination &&
	    address_parse_ip(span_str(options->destination), 0, &request->destination) < 0)
		return options_fail("--destination is no address:", options->destination,
				    "write one as 192.0.2.1 or ::1");
	request->header_list = options->header_list;
	request->header_count = options->header_count;
	return 0;
}

static int check(struct options *options, struct check_request *request, struct config_report *report)
{
	struct snapshot *snapshot = NULL;
	struct json_writer w;
	struct text out;
	int error = command_load(options, report, &snapshot);

	if (error)
		return error;
	request->snapshot = snapshot;
	text_init(&out);
	json_begin(&w, &out);
	json_open_object(&w, NULL);
	error = check_request(request, &w);
	json_close(&w);
	if (!error)
		error = command_print(&out, options->as_json);
	text_done(&out);
	snapshot_unref(snapshot);
	return error;
}

int check_command(int argc, char **argv)
{
	static struct options options;
	static struct check_request request;
	struct config_report report;
	int error;

	if (options_parse(COMMAND_CHECK, argc, argv, &options) < 0)
		return COMMAND_WRONG;
	if (options.show_help) {
		options_usage(COMMAND_CHECK, stdout);
		return COMMAND_DONE;
	}
	if (parse(&options, &request) < 0)
		return COMMAND_WRONG;
	config_report_init(&report);
	error = check(&options, &request, &report);
	if (error)
		command_report(&report);
	config_report_done(&report);
	return (int)command_status_of(error);
}
