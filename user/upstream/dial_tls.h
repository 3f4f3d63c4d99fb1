/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "user/upstream/dial.h"

/* The part of a dial that is TLS. For dial.c. */

void dial_tls_init(struct dial *dial);
/* The handshake of a connected socket: dial_finish(), or on_done() with DIAL_TLS_*, maybe at once. */
void dial_tls_start(struct dial *dial, struct upstream *upstream);
/* It took too long: dial->tls.fault says so, and it is counted. */
void dial_tls_expire(struct dial *dial);
/* Gives up what is under way. Idempotent. */
void dial_tls_cancel(struct dial *dial);

/* Of dial.c. */
void dial_note_failure(struct dial *dial, int error);
void dial_progress(struct dial *dial);
/* The connection is there: on_done(). */
void dial_finish(struct dial *dial, struct upstream *upstream, bool is_http2);
