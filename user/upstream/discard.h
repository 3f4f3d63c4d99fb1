/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "user/upstream/upstream.h"

/*
 * The rest of an answer that nobody wants, because its status is retried: it is read and thrown away behind
 * the back of the next attempt, so that the connection can carry another request. Takes the connection from
 * the caller, whose request was sent to its end and whose answer has `bytes` of body left, some of them in
 * conn.in. Closes it where that is too much, takes too long (LIMIT_DISCARD_*), or something follows.
 */
void upstream_discard(struct upstream *upstream, uint64_t bytes);
