/* SPDX-License-Identifier: Apache-2.0 */
/*
 * WebSocket echo (RFC 6455): every data frame goes back as it came (same opcode, FIN and length, unmasked)
 * while it arrives, so a frame may be larger than memory; ping is answered with pong, close with close.
 * Frames that break the rules (no mask, reserved bits, fragmented control, stray continuation, long form of a
 * short length) get close 1002. Text is not checked for UTF-8, for it is sent back before its end is known.
 */
#ifndef HTTPBIN_WEBSOCKET_H
#define HTTPBIN_WEBSOCKET_H

#include "tests/origin/conn.h"
#include "tests/origin/sha1.h"

conn_step_fn websocket_step;
/* The value of Sec-WebSocket-Accept for a key of 24 characters. */
void websocket_accept(struct text key, char ret[SHA1_BASE64_BYTES]);
/* Queues a text message holding the number. */
void websocket_push(struct conn *conn, uint64_t number);

#endif
