/* SPDX-License-Identifier: Apache-2.0 */
#include "user/cluster/kind.h"

const struct kind kind_list[KIND_COUNT] = {
#define KIND(id, name, group, plural, versions, query) { name, group, plural, versions, query },
#include "user/cluster/kinds.def"
#undef KIND
};
