/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "user/stream/stream.h"

/* Where an attempt goes: a backend of the route, and one of its endpoints. */

/* An endpoint of stream->backend, preferably where the request has not been. 0 or -ENOMEM. */
int place_choose(struct stream *stream);
/* A backend of the route that knows this client by a connection (connection_auth.h); NULL: none. */
const struct backend_ref *place_bound_backend(const struct stream *stream);
/* How connections to a backend are made. Borrows from both. */
struct upstream_wants place_wants(const struct backend_ref *ref, const struct static_config *config);
/* Another backend may be tried than the one that was chosen. */
bool place_may_change_backend(const struct stream *stream);
/* After stream->backend was chosen: the head that goes to it. 0 or -ENOMEM. */
int place_use_backend(struct stream *stream);
/* The attempt came to nothing here. */
void place_add_previous_host(struct stream *stream);
/* Somewhere the request may go and has not been. */
bool place_has_elsewhere(const struct stream *stream);
/* Each endpoint of the backend gets an attempt, then another backend of the rule. 0 or -ENOMEM. */
int place_change_backend(struct stream *stream);
