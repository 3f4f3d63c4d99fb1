/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "policy/expression/expression_value.h"
#include "user/base/arena.h"

struct mcp_json_checker;

/*
 * JSON (RFC 8259) as a tree for expressions, in memory of `arena`; texts without escapes are borrowed from
 * `text`. Whole numbers of 64 bits are INT, all others DOUBLE. `checker` belongs to the thread. Returns 0;
 * -EBADMSG: not JSON, a number of more than 127 characters, or a member that occurs twice (readers would
 * disagree about it, RFC 7519 4); -ELOOP: too deep; -ENOMEM. The tree can have twenty times the size of the
 * text.
 */
int expression_json(struct span text, struct mcp_json_checker *checker, struct arena *arena,
		    struct expression_value *ret_value);
/* A copy of a value and all that it has, in `arena`; headers are null. 0 or -ENOMEM. */
int expression_copy(const struct expression_value *from, struct arena *arena, struct expression_value *ret);
/*
 * The bytes that a copy takes; beyond `most` only some of them are counted, because values may share their
 * items: a copy can have many more values than the evaluation had steps.
 */
size_t expression_size(const struct expression_value *value, size_t most);
/*
 * False: it may have more than LIMIT_EXPRESSION_JSON_VALUES values, so that its tree would be too large. For
 * texts that clients and backends choose.
 */
bool expression_json_is_small(struct span text);
/* Sorts members by name. -EBADMSG if two have one name. For trees that are built by hand. */
int expression_sort(struct expression_member *members, uint32_t count);
