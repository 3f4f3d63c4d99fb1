/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "user/proxy/stream.h"

/*
 * What a successor needs of a stream, kept where it outlives this process (user/keeper/estate.h): of a tunnel
 * from its beginning on; of a request, and of a response whose request is complete, once its body rides the
 * kernel lane or it has lasted a while, so that short ones cost nothing. Written each time its worker lets go
 * of a direction. A direction is busy while it is pumped, and stays so as long as bytes of it are in this
 * process's memory. Nothing of this without a keeper.
 */

/* The tunnel has begun, plain TCP on both sides; of others nothing is kept. */
void stream_estate_begin(struct stream *stream);
/* Around relay_pump() of one of its directions. */
void stream_estate_pumping(struct stream *stream, const struct relay *relay);
void stream_estate_pumped(struct stream *stream, struct relay *relay);
/* Behind a look for the head of an answer: nothing of it has come, or the way stays busy. */
void stream_estate_waits(struct stream *stream);
/* The head of the answer was written: from here on a response, where that can go on. */
void stream_estate_answers(struct stream *stream);
/* When an exchange without a row is worth one, in loop time; 0: it has one, may have it, or never gets it. */
uint64_t stream_estate_due_ms(const struct stream *stream);
/* Behind a pump of an exchange, and when it is due: it may have become one that is kept. */
void stream_estate_consider(struct stream *stream);
/* Its connections are about to be closed, or given to others. */
void stream_estate_end(struct stream *stream);

/* How names are known there. */
uint64_t stream_estate_listener(const struct listener *listener);
uint64_t stream_estate_route(const struct route *route);
uint64_t stream_estate_tcp_route(const struct tcp_route *route);
uint64_t stream_estate_backend(const struct backend_ref *ref);
