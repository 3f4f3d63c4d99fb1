/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "policy/expression/expression_value.h"
#include "user/base/arena.h"
#include "user/base/protobuf.h"

/*
 * google.protobuf.Struct (its struct.proto) as a map for expressions, with everything in memory of `arena`.
 * Whole numbers are INT, as of JSON. 0; -EBADMSG: malformed, a text that is not UTF-8, a name that occurs
 * twice, or deeper than STRUCT_VALUE_DEPTH; -ENOMEM. The tree can have twenty times the size of the message.
 */
enum { STRUCT_VALUE_DEPTH = 16 };
int struct_value_read(struct span message, struct arena *arena, struct expression_value *ret_map);
/*
 * The fields of a Struct with the members of a map, into the message that is open. Numbers become doubles;
 * what is neither a number nor true or false, a text, as in JSON, with `!` for bytes that are not UTF-8. 0;
 * -E2BIG: deeper than STRUCT_VALUE_DEPTH; -ENOMEM. The writer has its own error.
 */
int struct_value_write(const struct expression_value *map, struct arena *arena, struct protobuf_writer *out);
