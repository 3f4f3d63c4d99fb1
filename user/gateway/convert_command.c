/* SPDX-License-Identifier: Apache-2.0 */
#include "user/gateway/convert_command.h"

#include <errno.h>
#include <stdio.h>

#include "config/convert.h"

enum { EXIT_DONE, EXIT_INVALID, EXIT_USAGE };

static void print(const struct config_report *report, enum config_severity severity, const char *prefix)
{
	struct text lines;

	text_init(&lines);
	config_report_print(report, severity, prefix, &lines);
	if (lines.len)
		fwrite(lines.data, 1, lines.len, stderr);
	text_done(&lines);
}

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
		return EXIT_USAGE;
	}
	config_report_init(&report);
	text_init(&out);
	r = config_convert(&source, &report, &out);
	print(&report, CONFIG_ERROR, "error: ");
	print(&report, CONFIG_WARNING, "warning: ");
	if (r == -ENOMEM)
		fputs("headgate: no memory\n", stderr);
	if (r == 0 && (fwrite(out.data, 1, out.len, stdout) < out.len || fflush(stdout) < 0))
		r = -EIO;
	config_report_done(&report);
	text_done(&out);
	return !r ? EXIT_DONE : r == -EINVAL || r == -ENOMEM ? EXIT_INVALID : EXIT_USAGE;
}
