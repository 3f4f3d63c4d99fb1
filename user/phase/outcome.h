/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "user/stream/stream.h"

/*
 * What attempts say about the health of their endpoint (policy/health.h), where the backend has a health
 * policy. Each attempt says one thing at most. What says nothing: a client that leaves, a timeout while the
 * client was still sending, a pooled connection that died and is replaced for free, what happens behind the
 * response head, and mirrored requests.
 */

/*
 * A final response head came and is about to be used. One that is malformed in another way than a scan shows
 * is left to outcome_failed().
 */
void outcome_response(struct stream *stream);
/* The attempt ended without a response that could be used. */
void outcome_failed(struct stream *stream, enum try_outcome outcome);
/* A TCP connection stands: as good as an answer gets there. */
void outcome_connected(struct stream *stream);
