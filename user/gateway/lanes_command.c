/* SPDX-License-Identifier: Apache-2.0 */
#include "user/gateway/lanes_command.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "admin/top/top_client.h"
#include "user/gateway/command_config.h"
#include "user/gateway/options.h"

static int show(const struct options *options)
{
	const char *variable = getenv("ADMIN_ADDR");
	const char *admin = options->admin	    ? options->admin
			    : variable && *variable ? variable
						    : "localhost:15000";
	struct text body = { 0 }, error = { 0 };
	int result = top_fetch(span_str(admin), "GET", "/lanes", &body, &error);

	if (result == 0)
		result = command_print(&body, options->as_json);
	else if (result == -ESRCH)
		fputs("headgate lanes: this gateway is an older one, without /lanes: upgrade it\n", stderr);
	else
		fprintf(stderr, "headgate lanes: %.*s\n", SPAN_FMT(text_span(&error)));
	text_done(&error);
	text_done(&body);
	return (int)command_status_of(result);
}

int lanes_command(int argc, char **argv)
{
	static struct options options;

	if (options_parse(COMMAND_LANES, argc, argv, &options) < 0)
		return COMMAND_WRONG;
	if (options.show_help || options.argument_count) {
		options_usage(COMMAND_LANES, options.show_help ? stdout : stderr);
		return options.show_help ? COMMAND_DONE : COMMAND_WRONG;
	}
	return show(&options);
}
