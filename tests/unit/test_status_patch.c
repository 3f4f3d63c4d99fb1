/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>

#include "tests/lib/test.h"
#include "user/base/check.h"
#include "user/cluster/status_patch.h"

#define NOW "2026-11-25T12:00:00Z"
#define OLD "2020-01-01T00:00:00Z"

static const char *patch(const char *wanted, const char *stored)
{
	static char out[4000];
	struct text text;

	text_init(&text);
	if (status_patch(&text, span_str(wanted), span_str(stored), SPAN(NOW)))
		snprintf(out, sizeof(out), "%s", text.data);
	else
		snprintf(out, sizeof(out), "same%s", text.len ? ", but something was appended" : "");
	text_done(&text);
	return out;
}

#define CONDITION(type, status, time) "{\"type\":\"" type "\",\"status\":\"" status "\"" time "}"
#define AT(time) ",\"lastTransitionTime\":\"" time "\""
#define LIST(list) "{\"conditions\":[" list "]}"

TEST(conditions_keep_their_time_while_their_status_stays)
{
	static const struct {
		const char *wanted, *stored, *want;
	} rows[] = {
		{ LIST(CONDITION("Accepted", "True", "")), "", LIST(CONDITION("Accepted", "True", AT(NOW))) },
		{ LIST(CONDITION("Accepted", "True", "")), LIST(CONDITION("Accepted", "True", AT(OLD))),
		  "same" },
		{ LIST(CONDITION("Accepted", "False", "")), LIST(CONDITION("Accepted", "True", AT(OLD))),
		  LIST(CONDITION("Accepted", "False", AT(NOW))) },
		/* One that is true no more is left out. */
		{ LIST(CONDITION("Accepted", "True", "")),
		  LIST(CONDITION("Accepted", "True", AT(OLD)) "," CONDITION("PartiallyInvalid", "True",
									    AT(OLD))),
		  LIST(CONDITION("Accepted", "True", AT(OLD))) },
		/* One of another controller stays. */
		{ LIST(CONDITION("Accepted", "False", "")),
		  LIST(CONDITION("x/Other", "True", AT(OLD)) "," CONDITION("Accepted", "True", AT(OLD))),
		  LIST(CONDITION("Accepted", "False", AT(NOW)) "," CONDITION("x/Other", "True", AT(OLD))) },
		/* Order of members, blanks, and other members of the status do not matter. */
		{ LIST(CONDITION("Accepted", "True", "")),
		  "{ \"addresses\": [], \"conditions\": [ {\"lastTransitionTime\":\"" OLD
		  "\", \"status\": \"True\", \"type\":\"Accepted\"} ] }",
		  "same" },
		{ "{\"parents\":[]}", "", "same" },
		{ "{\"attachedListenerSets\":0}", "", "same" },
		{ "{\"attachedListenerSets\":0}", "{\"attachedListenerSets\":1}",
		  "{\"attachedListenerSets\":0}" },
		{ "{\"attachedRoutes\":2}", "{\"attachedRoutes\":1}", "{\"attachedRoutes\":2}" },
		{ "{\"message\":\"a \\\"b\\\" <c>\"}", "{\"message\":\"a \\\"b\\\" \\u003cc\\u003e\"}",
		  "same" },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		assert_string_equal(patch(rows[i].wanted, rows[i].stored), rows[i].want);
}

TEST(listeners_are_compared_by_name)
{
	assert_string_equal(
		patch("{\"listeners\":[{\"name\":\"b\",\"conditions\":[" CONDITION(
			      "Accepted", "True",
			      "") "]},{\"name\":\"a\",\"conditions\":[" CONDITION("Accepted", "True",
										  "") "]}]}",
		      "{\"listeners\":[{\"name\":\"a\",\"conditions\":[" CONDITION(
			      "Accepted", "True", AT(OLD)) "]},{\"name\":\"gone\"}]}"),
		"{\"listeners\":[{\"name\":\"b\",\"conditions\":[" CONDITION(
			"Accepted", "True",
			AT(NOW)) "]},{\"name\":\"a\",\"conditions\":[" CONDITION("Accepted", "True",
										 AT(OLD)) "]}]}");
}

#define PARENT(name, controller, list)                                                                       \
	"{\"parentRef\":{\"name\":\"" name "\"},\"controllerName\":\"" controller "\",\"conditions\":[" list \
	"]}"
#define OURS "headgate.dev/gateway"

TEST(entries_of_other_controllers_stay_and_ours_that_are_no_more_go)
{
	assert_string_equal(
		patch("{\"parents\":[" PARENT("g", OURS, CONDITION("Accepted", "True", "")) "]}",
		      "{\"parents\":[" PARENT("g", "x/y", CONDITION("Accepted", "False", AT(OLD))) "," PARENT(
			      "gone", OURS,
			      CONDITION("Accepted", "True", AT(OLD))) "," PARENT("g", OURS,
										 CONDITION("Accepted", "True",
											   AT(OLD))) "]}"),
		"{\"parents\":[" PARENT("g", OURS, CONDITION("Accepted", "True", AT(OLD))) "," PARENT(
			"g", "x/y", CONDITION("Accepted", "False", AT(OLD))) "]}");
	assert_string_equal(patch("{\"parents\":[]}", "{\"parents\":[" PARENT("g", OURS, "") "]}"),
			    "{\"parents\":[]}");
}
