/* SPDX-License-Identifier: Apache-2.0 */
/*
 * WebSocket echo (RFC 6455): every data frame is returned unchanged (same opcode, FIN and length, unmasked)
 * while it arrives, so a frame may be larger than memory; ping is answered with pong, close with close.
 * Invalid frames (no mask, reserved bits, fragmented control frame, unexpected continuation, long form of a
 * short length) get close 1002. Text is not validated as UTF-8, because it is returned before its end is
 * known.
 */
#ifndef HTTPBIN_WEBSOCKET_H
#define HTTPBIN_WEBSOCKET_H

#include "tests/origin/conn.h"
#include "tests/origin/sha1.h"

conn_step_fn websocket_step;
/* The value of Sec-WebSocket-Accept for a key of 24 characters. */
void websocket_accept(struct text key, char ret[SHA1_BASE64_BYTES]);
/* Queues a text message with the number. */
void websocket_push(struct conn *conn, uint64_t number);

#endif
