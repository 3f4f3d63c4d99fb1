/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "config/model.h"
#include "policy/expression/expression.h"
#include "user/http/head.h"
#include "user/http/path.h"

/*
 * Transformations (the case that counts: policy/guard/transform_case.h): fields and pseudo header fields of
 * a message become the values of expressions. Each expression sees what those before it have changed.
 *
 * A value that no field can have (an expression without a value, a control character) removes the field: a
 * client must not be able to send itself what the policy was to set. A pseudo header field without a proper
 * value stays as it is. Headers that `replace` must not change, because they frame the message or name its
 * host, stay; of its members those are left out that no field can be.
 */

/* What was done, for /trace. */
struct transform_count {
	uint32_t changed;
	uint32_t failed; /* had no proper value */
};

/*
 * Adds the metadata of the side to facts->metadata, which becomes another map in `arena`; facts->scratch is
 * used. A member without a value stays as it was. Call it before the others. 0; -ENOMEM; -E2BIG: an
 * expression gave up, or has more than LIMIT_TRANSFORM_BYTES, and is left out: refuse a request.
 */
int transform_note(const struct transform_side *side, struct expression_facts *facts, struct arena *arena,
		   struct transform_count *count);
/*
 * Changes a request head. facts->request is this head, facts->scratch is used. rules: for a path, NULL: it is
 * not normalized. New texts are in `arena`. 0; -ENOMEM; -E2BIG: an expression gave
 * up, -EBADMSG: `replace` is no map: refuse the request.
 *
 * `:method` changes neither from nor to HEAD, CONNECT or TRACE, which change how messages are framed or where
 * they end (RFC 9110 9.3); `:path` may have a query, and is normalized as the client's.
 */
int transform_request(const struct transform_side *side, const struct expression_facts *facts,
		      const struct path_rules *rules, struct request_head *head, struct arena *arena,
		      struct transform_count *count);
/*
 * The same for a response head. `:status` changes only among 200..599 without 204, 205 and 304, whose
 * messages have another framing (RFC 9112 6.3). An expression that gives up has no value, but that of
 * `replace`: as in requests.
 */
int transform_response(const struct transform_side *side, struct expression_facts *facts,
		       struct response_head *head, struct arena *arena, struct transform_count *count);

/*
 * True if it reads the body, or makes a new one: then the caller fills in the body among the facts. The new
 * one is side->body, evaluated before anything is changed.
 */
bool transform_reads_body(const struct transform_side *side);
/* Removes what describes the bytes of the old body. The caller writes its length. */
void transform_forget_body(struct fields *fields);

/* Names that a transformation may change. `name` is in lower case. */
bool transform_may_change(struct span name, bool is_response);
