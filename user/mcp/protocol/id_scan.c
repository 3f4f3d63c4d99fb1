/* SPDX-License-Identifier: Apache-2.0 */
#include "user/mcp/protocol/id_scan.h"

#include <string.h>

static const uint64_t TOO_LARGE = 1ull << 53;

void mcp_id_scan_init(struct mcp_id_scan *scan)
{
	*scan = (struct mcp_id_scan){ 0 };
}

/* Within a string: false when it has ended. */
static bool take_text(struct mcp_id_scan *scan, char c)
{
	if (scan->is_escaped)
		scan->is_escaped = false;
	else if (c == '\\')
		scan->is_escaped = true;
	else if (c == '"')
		return false;
	if (scan->is_key && scan->depth == 1 && scan->key_len < sizeof(scan->key))
		scan->key[scan->key_len++] = c;
	return true;
}

static bool key_is(const struct mcp_id_scan *scan, struct span name)
{
	return span_eq(span_of(scan->key, scan->key_len), name);
}

/* Between the members of the message. */
static void take_mark(struct mcp_id_scan *scan, char c)
{
	switch (c) {
	case '"':
		scan->is_text = true;
		scan->is_id = false;
		if (scan->is_key)
			scan->key_len = 0;
		break;
	case ':':
		scan->is_key = false;
		scan->is_id = key_is(scan, SPAN("id"));
		if (scan->is_id)
			scan->number = 0;
		scan->has_method |= key_is(scan, SPAN("method"));
		break;
	case ',':
		scan->is_key = true;
		scan->is_id = false;
		break;
	default:
		if (scan->is_id && c >= '0' && c <= '9' && scan->number < TOO_LARGE)
			scan->number = scan->number * 10 + (uint64_t)(c - '0');
		else if (scan->is_id && c > ' ')
			scan->number = TOO_LARGE;
	}
}

static void take_byte(struct mcp_id_scan *scan, char c)
{
	if (c == '{' || c == '[') {
		if (scan->depth == 0)
			scan->is_message = scan->is_key = c == '{';
		scan->is_id = false;
		scan->depth++;
	} else if (c == '}' || c == ']') {
		scan->is_id = false;
		scan->depth -= scan->depth > 0;
	} else if (scan->depth == 1) {
		take_mark(scan, c);
	} else if (c == '"') {
		scan->is_text = true;
	}
}

void mcp_id_scan_take(struct mcp_id_scan *scan, struct span bytes)
{
	for (size_t i = 0; i < bytes.len; i++) {
		if (scan->is_text)
			scan->is_text = take_text(scan, bytes.data[i]);
		else
			take_byte(scan, bytes.data[i]);
	}
}

uint64_t mcp_id_scan_call(const struct mcp_id_scan *scan)
{
	return scan->is_message && !scan->has_method && scan->number < TOO_LARGE ? scan->number : 0;
}
