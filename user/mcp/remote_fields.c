/* SPDX-License-Identifier: Apache-2.0 */
#include "user/mcp/remote_fields.h"

#include <errno.h>

#include "user/base/base64.h"
#include "user/mcp/json_text.h"

static bool is_plain_value(struct span value)
{
	if (!value.len || value.data[0] == ' ' || value.data[value.len - 1] == ' ' ||
	    span_starts(value, SPAN("=?base64?")))
		return false;
	for (size_t i = 0; i < value.len; i++) {
		if (value.data[i] < ' ' || value.data[i] > '~')
			return false;
	}
	return true;
}

void remote_header_value(struct text *to, struct span plain)
{
	if (is_plain_value(plain)) {
		text_add(to, plain);
		return;
	}
	text_str(to, "=?base64?");
	base64_encode(to, plain);
	text_str(to, "?=");
}

int remote_add_mirrored(struct fields *fields, struct span name, struct span value)
{
	struct text plain, safe;
	struct span copy = { 0 };
	int error;

	if (!value.len)
		return 0;
	text_init(&plain);
	text_init(&safe);
	mcp_json_unescape(&plain, value);
	remote_header_value(&safe, text_span(&plain));
	if (!text_error(&plain) && !text_error(&safe))
		copy = arena_copy(fields->arena, text_span(&safe));
	error = copy.data ? fields_add(fields, name, copy) : -ENOMEM;
	text_done(&plain);
	text_done(&safe);
	return error;
}
