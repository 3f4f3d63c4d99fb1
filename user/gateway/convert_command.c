/* SPDX-License-Identifier: Apache-2.0 */
#include "user/gateway/convert_command.h"

#include <errno.h>
#include <stdio.h>

#include "config/convert.h"
#include "user/gateway/command_config.h"

int convert_command(int argc, char **argv)
{
	struct config_source source = { .path = argc == 1 ? argv[0] : NULL };
	struct config_report report;
	struct text out;
	int r;

	if (!source.path || (source.path[0] == '-' && source.path[1])) {
		fputs("usage: headgate convert FILE|-\n"
		      "prints a standalone configuration in the current form: gateways, with routes at the "
		      "top level\n",
		      stderr);
		return COMMAND_WRONG;
	}
	config_report_init(&report);
	text_init(&out);
	r = config_convert(&source, &report, &out);
	command_report(&report);
	if (r == 0 && (fwrite(out.data, 1, out.len, stdout) < out.len || fflush(stdout) < 0))
		r = -EIO;
	config_report_done(&report);
	text_done(&out);
	return (int)command_status_of(r);
}
