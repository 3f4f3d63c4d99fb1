/* SPDX-License-Identifier: Apache-2.0 */
#include "user/http/refusal.h"

#include "user/base/check.h"

static const struct refusal {
	const char *text;
	uint16_t status;
} refusals[HTTP_BAD_COUNT] = {
#define HTTP_BAD(id, status_code, words) [BAD_##id] = { .text = words, .status = status_code },
#include "user/http/refusals.def"
#undef HTTP_BAD
};

const char *http_bad_text(enum http_bad bad)
{
	CHECK(bad < HTTP_BAD_COUNT);
	return refusals[bad].text;
}

uint16_t http_bad_status(enum http_bad bad)
{
	CHECK(bad < HTTP_BAD_COUNT);
	return refusals[bad].status;
}
