/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdint.h>

enum http_error {
#define HTTP_ERROR(id, status, text) HTTP_ERROR_##id,
#include "user/http/refusals.def"
#undef HTTP_ERROR
	HTTP_ERROR_COUNT,
};

const char *http_error_text(enum http_error http_error);
uint16_t http_error_status(enum http_error http_error);
