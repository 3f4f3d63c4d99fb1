/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "user/http/fields.h"

/*
 * What a backend may read in the name of a field: CGI and its heirs turn both "-" and "_" into "_", so to
 * them X_Forwarded_For is X-Forwarded-For and Content_Length is Content-Length.
 */

/* The known field that such a reader sees, or FIELD_OTHER. */
enum field_id spelling_id(struct span name);
/* Such a reader sees `name` (lower case, with "-") in it. */
bool spelling_is_read_as(struct span field, struct span name);
/* What only a gateway in front of us could know (trusted_fields.def). */
bool spelling_is_claim(struct span name);
/* Such a field that says who the client is. */
bool spelling_is_identity(struct span name);
/* Not the name itself, but one that is read as one that frames a message or belongs to a connection. */
bool spelling_is_framing_twin(const struct field *field);
/*
 * May stand in a trailer section: it does not route, frame, authorise or speak for a gateway (RFC 9110
 * 6.5.1).
 */
bool spelling_may_trail(const struct field *field);
