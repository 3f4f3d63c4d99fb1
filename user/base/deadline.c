/* SPDX-License-Identifier: Apache-2.0 */
#include "user/base/deadline.h"

static const char *const deadline_names[] = {
	[DEADLINE_NONE] = "",
#define DEADLINE(id, name) [DEADLINE_##id] = name,
#include "user/base/deadlines.def"
#undef DEADLINE
};

const char *stream_deadline_name(enum stream_deadline deadline)
{
	return deadline_names[deadline];
}
