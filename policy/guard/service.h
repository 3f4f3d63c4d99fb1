/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "policy/expression/expression.h"
#include "policy/guard/guard.h"

/* What guards that ask a helper service have in common. */

/*
 * Finds the first of several forms of a policy whose condition is true. `list` are `count` structures of
 * `form_bytes` each, which begin with their struct policy_condition. 1 with the form, 0: none counts, -E2BIG
 * if nobody can tell, or -ENOMEM.
 */
int service_choose(const void *list, size_t form_bytes, uint32_t count, const struct guard_facts *facts,
		   const void **ret_form);
/* The value as text, in `arena`. 0; -ENODATA: no value; -E2BIG: nobody can tell; -ENOMEM. */
int service_text(const struct expression *expression, const struct guard_facts *facts, struct arena *arena,
		 struct span *ret_text);
/* The request cannot be judged: 400, because its values are too long to be evaluated. */
int service_refuse_length(struct guard_answer *answer);
/*
 * For guard_verifier.call()'s error: GUARD_REFUSE, whatever the failure mode, if its request causes it; 0: it
 * does not.
 */
int service_refuse_request(struct guard_answer *answer, int error);

/* Changes of a request, with room for `most` of each kind. NULL without memory. */
struct header_modifier *service_changes(struct arena *arena, uint32_t most);
/* Both copy nothing: the name, in lower case, and the value are in the arena of the request. */
void service_set(struct header_modifier *changes, struct span name, struct span value);
void service_remove(struct header_modifier *changes, struct span name);
/* Copies them first. 0; -EBADMSG: a field that nobody may change; -ENOMEM. */
int service_take_header(struct header_modifier *changes, struct arena *arena, struct span name,
			struct span value);
/* All values of a field, joined (RFC 9110 5.3). data NULL: there is none, or no memory (*ret_error). */
struct span service_values(const struct fields *fields, struct span name, struct arena *arena,
			   int *ret_error);
/* A copy in lower case; data NULL without memory. */
struct span service_lower(struct arena *arena, struct span name);
/*
 * For a protobuf string, which must be UTF-8: the text itself, or a copy with `!` for each byte that is none.
 * data NULL without memory.
 */
struct span service_utf8(struct arena *arena, struct span text);
/* The same in place. */
void service_make_utf8(char *bytes, size_t len);
/* data NULL without memory. */
struct span service_join(struct arena *arena, const struct span *parts, size_t count);
/* A field for every response, copied; one that the gateway writes itself is left out. 0 or -ENOMEM. */
int service_answer_field(struct guard_answer *answer, struct span name, struct span value);

/* Envoy's HeaderValue, in its bytes. 0, or -EBADMSG: also a name or value that no header can have. */
int service_read_header(struct span message, struct span *ret_name, struct span *ret_value);
/* How many fields a message of protobuf has, as far as it can be read. */
uint32_t service_count_fields(struct span message);
