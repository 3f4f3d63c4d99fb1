/* SPDX-License-Identifier: Apache-2.0 */
#include "user/http/refusal.h"

#include "user/base/check.h"

static const struct refusal {
	const char *text;
	uint16_t status;
} refusals[HTTP_ERROR_COUNT] = {
#define HTTP_ERROR(id, status_code, words) [HTTP_ERROR_##id] = { .text = words, .status = status_code },
#include "user/http/refusals.def"
#undef HTTP_ERROR
};

const char *http_error_text(enum http_error http_error)
{
	CHECK(http_error < HTTP_ERROR_COUNT);
	return refusals[http_error].text;
}

uint16_t http_error_status(enum http_error http_error)
{
	CHECK(http_error < HTTP_ERROR_COUNT);
	return refusals[http_error].status;
}
