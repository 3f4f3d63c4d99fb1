/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* A purpose of calls: rows of callout_kinds.def. Here, because counters are kept by these kinds. */
enum callout_kind {
#define CALLOUT_KIND(id, name) CALLOUT_##id,
#include "user/base/callout_kinds.def"
#undef CALLOUT_KIND
	CALLOUT_KIND_COUNT,
};

/* How a call ended. */
enum callout_result {
	CALLOUT_ANSWERED, /* with a whole response, whatever it says */
	CALLOUT_FAILED, /* no connection, or no valid response */
	CALLOUT_LATE, /* no response in time */
	CALLOUT_SKIPPED, /* the service did not answer shortly before, or too many calls are under way */
	CALLOUT_KEPT, /* an earlier answer counts: no call was made */
	CALLOUT_RESULT_COUNT,
};
