/* SPDX-License-Identifier: Apache-2.0 */
/* SHA-1 of a short text in base64, for the WebSocket handshake (RFC 6455 4.2.2, RFC 3174). */
#ifndef HTTPBIN_SHA1_H
#define HTTPBIN_SHA1_H

#include "tests/origin/text.h"

#define SHA1_INPUT_MAX 119u
#define SHA1_BASE64_BYTES 28u

/* text: at most SHA1_INPUT_MAX bytes. */
void sha1_base64(struct text text, char ret[SHA1_BASE64_BYTES]);

#endif
