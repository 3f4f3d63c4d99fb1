/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "user/stream/stream.h"

/*
 * Changes the fields that every gateway changes, once for a request. Call it before the rules of the
 * configuration: fields named in the client's Connection must not remove fields that a rule adds, an identity
 * that a rule adds must not be taken for one of the client, and X-Forwarded-Host is the host that the client
 * requested, not the result of a rewrite. 0, -ENOMEM or -E2BIG.
 */
int forward_head(struct stream *stream);
struct span forward_head_scheme(const struct stream *stream); /* of the client's connection */
struct span forward_head_loop_id(const struct stream *stream); /* of this process, in CDN-Loop */
