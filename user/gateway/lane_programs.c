/* SPDX-License-Identifier: Apache-2.0 */
#include "user/gateway/lane_programs.h"

#include "user/base/json_writer.h"
#include "user/kernel/common/probe.h"
#include "user/kernel/local/local_programs.h"

static void program_write(struct json_writer *w, const struct local_program *program)
{
	const char *reason = local_reason_text(program->reason);
	const char *explanation = local_reason_explanation(program->reason);

	if (program->reason == LOCAL_REASON_NONE) {
		reason = "not_begun";
		explanation = "its listener or backend lacks `splice: sameHost`, or all slots are taken";
	}
	json_open_object(w, NULL);
	json_string_or_null(w, "program", span_str(program->name));
	json_str(w, "side", program->is_client ? "client" : "backend");
	json_str(w, "lane", program->bypasses ? "bypass" : "tcp");
	json_str(w, "reason", program->bypasses ? NULL : reason);
	json_str(w, "explanation", program->bypasses ? NULL : explanation);
	json_u64(w, "connections", program->connections);
	json_close(w);
}

void lane_programs_write(const struct kernel_lanes *lanes, struct text *out)
{
	static struct local_program rows[LOCAL_PROGRAMS_MAX]; /* of the main thread */
	const struct text *why = &lanes->local_start.why;
	bool is_truncated = false;
	struct json_writer w;
	size_t count = 0;

	if (lanes->local)
		is_truncated = local_programs(lanes->local, rows, &count);
	json_begin(&w, out);
	json_open_object(&w, NULL);
	json_string_or_null(&w, "unavailable",
			    lanes->local ? SPAN("")
			    : why->len	 ? probe_reasons(why)
					 : SPAN("switched off by config.splice"));
	json_open_array(&w, "programs");
	for (size_t i = 0; i < count; i++)
		program_write(&w, &rows[i]);
	json_close(&w);
	json_bool(&w, "isTruncated", is_truncated);
	json_close(&w);
}
