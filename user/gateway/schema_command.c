/* SPDX-License-Identifier: Apache-2.0 */
#include "user/gateway/schema_command.h"

#include "config/standalone/json_schema.h"
#include "user/gateway/command_config.h"

int schema_command(int argc, char **argv)
{
	static struct options options;
	struct json_writer w;
	struct text out;
	int error;

	if (options_parse(COMMAND_SCHEMA, argc, argv, &options) < 0)
		return COMMAND_WRONG;
	if (options.show_help || options.argument_count) {
		options_usage(COMMAND_SCHEMA, options.show_help ? stdout : stderr);
		return options.show_help ? COMMAND_DONE : COMMAND_WRONG;
	}
	text_init(&out);
	json_begin(&w, &out);
	error = json_schema_write(&w);
	if (!error)
		error = command_print(&out, true);
	text_done(&out);
	return (int)command_status_of(error);
}
