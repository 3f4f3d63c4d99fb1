/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdint.h>

enum http_bad {
#define HTTP_BAD(id, status, text) BAD_##id,
#include "user/http/refusals.def"
#undef HTTP_BAD
	HTTP_BAD_COUNT,
};

const char *http_bad_text(enum http_bad bad);
uint16_t http_bad_status(enum http_bad bad);
