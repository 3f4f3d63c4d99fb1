/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "user/http/fields.h"

/*
 * How a backend may read the name of a field: CGI and similar interfaces turn both "-" and "_" into "_", so
 * for them X_Forwarded_For is X-Forwarded-For and Content_Length is Content-Length.
 */

/* The known field that such a reader sees, or FIELD_OTHER. */
enum field_id field_name_id(struct span name);
/* True if a reader, also one that turns "." into "_", takes `field` for `name` (lower case, with "-"). */
bool field_name_is_read_as(struct span field, struct span name);
/* What only a gateway in front of us could know (trusted_fields.def). */
bool field_name_is_forwarding(struct span name);
/* Such a field that says who the client is. */
bool spelling_is_identity(struct span name);
/* True for a different spelling of a name that frames a message or belongs to a connection. */
bool field_name_is_framing_lookalike(const struct field *field);
/*
 * True if the field is allowed in a trailer section: it does not route, frame, authorise or describe what a
 * gateway saw (RFC 9110 6.5.1).
 */
bool field_name_may_trail(const struct field *field);
