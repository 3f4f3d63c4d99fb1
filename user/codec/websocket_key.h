/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdint.h>

enum { WEBSOCKET_KEY_BYTES = 24 };

/*
 * A Sec-WebSocket-Key (RFC 6455 4.1): 16 bytes in base64, 24 characters without a terminator. It only keeps
 * caches and confused servers out; it is no secret.
 */
void websocket_key_make(uint64_t first, uint64_t second, char out[WEBSOCKET_KEY_BYTES]);
