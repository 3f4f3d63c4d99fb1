/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "user/stream/stream.h"

/*
 * Reports the outcome of attempts to the health of their endpoint (policy/health.h), if the backend has a
 * health policy. Each attempt reports at most once. Not reported: a client that leaves, a timeout while the
 * client was still sending, a pooled connection that died and is replaced for free, events after the response
 * head, and mirrored requests.
 */

/*
 * A final response head was received and is about to be used. A head that is malformed in a way that this
 * check does not see is reported by outcome_failed().
 */
void outcome_response(struct stream *stream);
/* The attempt ended without a usable response. */
void outcome_failed(struct stream *stream, enum try_outcome outcome);
/* A TCP connection is established, which counts as a success. */
void outcome_connected(struct stream *stream);
