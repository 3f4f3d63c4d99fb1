/* SPDX-License-Identifier: Apache-2.0 */
#include "user/gateway/lint_command.h"

#include "config/clear_text.h"
#include "config/snapshot.h"
#include "policy/compile/doubts.h"
#include "user/gateway/command_config.h"

/* Warnings of the load are findings, too. */
static int lint(struct options *options, struct config_report *report)
{
	struct snapshot *snapshot = NULL;
	int error = command_load(options, report, &snapshot);

	if (error)
		return error;
	error = doubts_warn(snapshot, report);
	snapshot_unref(snapshot);
	/* A file that is YAML only with its variables has been read once: its text is not judged. */
	if (!error) {
		struct config_report texts;

		config_report_init(&texts);
		(void)clear_text_warn(options->source_list, options->source_count, &texts);
		for (uint32_t i = 0; i < texts.message_count; i++)
			if (texts.message_list[i].severity == CONFIG_WARNING)
				config_message_at(report, CONFIG_WARNING, (struct span){ 0 }, "%.*s",
						  SPAN_FMT(texts.message_list[i].text));
		config_report_done(&texts);
	}
	return error;
}

int lint_command(int argc, char **argv)
{
	static struct options options;
	struct config_report report;
	struct text findings;
	int status;

	if (options_parse(COMMAND_LINT, argc, argv, &options) < 0)
		return COMMAND_WRONG;
	if (options.show_help) {
		options_usage(COMMAND_LINT, stdout);
		return COMMAND_DONE;
	}
	if (!options.source_count || options.argument_count) {
		options_fail("no configuration", NULL, "write headgate lint -f FILE");
		return COMMAND_WRONG;
	}
	config_report_init(&report);
	status = (int)command_status_of(lint(&options, &report));
	if (status)
		command_report(&report);
	text_init(&findings);
	config_report_print(&report, CONFIG_WARNING, "", &findings);
	if (!status && findings.len) {
		fwrite(findings.data, 1, findings.len, stdout);
		status = COMMAND_INVALID;
	}
	text_done(&findings);
	config_report_done(&report);
	return fflush(stdout) < 0 ? (int)COMMAND_WRONG : status;
}
