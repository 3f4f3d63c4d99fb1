/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "user/upstream/dial.h"

/* The TLS part of a dial, for dial.c. */

void dial_tls_init(struct dial *dial);
/* Starts the handshake of a connected socket: dial_finish(), or on_done() with DIAL_TLS_*, maybe at once. */
void dial_tls_start(struct dial *dial, struct upstream *upstream);
/* The handshake took too long: stores that in dial->tls.fault, and counts it. */
void dial_tls_expire(struct dial *dial);
/* Aborts the handshake. Idempotent. */
void dial_tls_cancel(struct dial *dial);

/* Defined in dial.c. */
void dial_note_failure(struct dial *dial, int error);
void dial_progress(struct dial *dial);
/* Connected: calls on_done(). */
void dial_finish(struct dial *dial, struct upstream *upstream, bool is_http2);
