/* SPDX-License-Identifier: Apache-2.0 */
#include "user/mcp/protocol/fault.h"

#include "user/mcp/json/json_text.h"

struct fault_row {
	unsigned int status;
	int code;
	const char *text;
};

static const struct fault_row rows[] = {
#define MCP_FAULT(id, status, code, text) [MCP_##id] = { status, code, text },
#include "user/mcp/protocol/faults.def"
#undef MCP_FAULT
};

unsigned int mcp_fault_status(enum mcp_fault fault)
{
	return rows[fault].status;
}

struct span mcp_fault_text(enum mcp_fault fault)
{
	return span_str(rows[fault].text);
}

bool mcp_fault_is_denial(enum mcp_fault fault)
{
	switch (fault) {
	case MCP_UNKNOWN_TOOL:
	case MCP_UNKNOWN_PROMPT:
	case MCP_UNKNOWN_RESOURCE:
	case MCP_UNKNOWN_TASK:
	case MCP_DENIED_METHOD:
	case MCP_DENIED_FORM:
		return true;
	default:
		return false;
	}
}

void mcp_fault_write(struct text *to, struct span id, enum mcp_fault fault, struct span detail,
		     struct span data)
{
	struct text words;

	text_init(&words);
	text_str(&words, rows[fault].text);
	if (detail.len) {
		text_str(&words, ": ");
		text_add(&words, detail);
	}
	text_str(to, "{\"jsonrpc\":\"2.0\",\"id\":");
	text_add(to, id.len ? id : SPAN("null"));
	text_fmt(to, ",\"error\":{\"code\":%d,\"message\":", rows[fault].code);
	json_quote(to, text_span(&words));
	if (data.len) {
		text_str(to, ",\"data\":");
		text_add(to, data);
	}
	text_str(to, "}}");
	if (text_error(&words))
		to->failed = true;
	text_done(&words);
}
