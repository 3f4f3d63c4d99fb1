/* SPDX-License-Identifier: Apache-2.0 */
#include "user/mcp/target/api_result.h"

#include "user/base/json_writer.h"

static bool is_utf8(struct span text)
{
	while (text.len) {
		size_t len = span_utf8_len(text);

		if (!len || text.data[0] == '\0')
			return false;
		text = span_from(text, len);
	}
	return true;
}

static void add_text(struct text *to, struct span text)
{
	text_str(to, "{\"type\":\"text\",\"text\":");
	json_quote(to, text);
	text_char(to, '}');
}

static void add_status(struct text *to, const struct api_response *response)
{
	text_fmt(to, "{\"type\":\"text\",\"text\":\"status %u%s\"}", response->status,
		 response->status >= 300 && response->status < 400 ? ": a redirect, which is not followed"
								   : "");
}

void api_result_add(struct text *to, const struct api_response *response)
{
	bool is_error = response->status >= 300;

	text_str(to, "\"content\":[");
	if (is_error || !response->body.len)
		add_status(to, response);
	if (is_error && response->body.len)
		text_char(to, ',');
	if (response->body.len && is_utf8(response->body))
		add_text(to, response->body);
	else if (response->body.len)
		text_fmt(to, "{\"type\":\"text\",\"text\":\"%zu bytes that are no text\"}",
			 response->body.len);
	text_char(to, ']');
	if (response->is_object) {
		text_str(to, ",\"structuredContent\":");
		text_add(to, response->body);
	}
	text_str(to, is_error ? ",\"isError\":true" : "");
}

void api_result_refuse(struct text *to, struct span why)
{
	text_str(to, "\"content\":[");
	add_text(to, why);
	text_str(to, "],\"isError\":true");
}
