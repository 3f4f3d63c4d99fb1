/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "policy/expression/expression_value.h"
#include "user/base/arena.h"

/*
 * google.protobuf.Struct (its struct.proto) as a map for expressions, with everything in memory of `arena`.
 * Whole numbers are INT, as of JSON. 0; -EBADMSG: malformed, a text that is not UTF-8, a name that occurs
 * twice, or deeper than STRUCT_VALUE_DEPTH; -ENOMEM. The tree can have twenty times the size of the message.
 */
enum { STRUCT_VALUE_DEPTH = 16 };
int struct_value_read(struct span message, struct arena *arena, struct expression_value *ret_map);
