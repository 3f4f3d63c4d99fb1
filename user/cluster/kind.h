/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

enum kind_id {
#define KIND(id, name, group, plural, versions, query) KIND_##id,
#include "user/cluster/kinds.def"
#undef KIND
	KIND_COUNT,
};

/* A row of kinds.def. */
struct kind {
	const char *name;
	const char *group;
	const char *plural;
	const char *versions;
	const char *query;
};

extern const struct kind kind_list[KIND_COUNT];
