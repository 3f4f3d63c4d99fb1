/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "user/upstream/upstream.h"

/*
 * Reads and discards the rest of a response whose status is retried, while the next attempt already runs, so
 * that the connection can carry another request. Takes the connection from the caller, which has sent its
 * request completely; the response has `bytes` of body left, some of them in conn.in. Closes the connection
 * if the rest is too long or too slow (LIMIT_DISCARD_*), or if bytes follow it.
 */
void upstream_discard(struct upstream *upstream, uint64_t bytes);
