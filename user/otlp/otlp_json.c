/* SPDX-License-Identifier: Apache-2.0 */
#include "user/otlp/otlp_json.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "user/base/check.h"
#include "user/base/json_writer.h"
#include "user/base/protobuf.h"
#include "user/mcp/json/json_text.h"

/* Kinds of values; from MESSAGES on a message with the fields of messages[kind - MESSAGES]. */
enum kind {
	TEXT,
	ID, /* bytes */
	BOOL,
	NUMBER, /* of 32 bits */
	LONG, /* of 64 bits */
	DOUBLE,
	MESSAGES,
	TRACES = MESSAGES,
	LOGS,
	RESOURCE_SPANS,
	RESOURCE_LOGS,
	SCOPE_SPANS,
	SCOPE_LOGS,
	RESOURCE,
	SCOPE,
	SPAN_RECORD,
	LOG_RECORD,
	STATUS,
	KEY_VALUE,
	ANY_VALUE,
};

struct member {
	uint32_t number;
	const char *name;
	enum kind kind;
	bool is_list;
};

/* opentelemetry-proto 1: what log_record.c, otlp_message.c and user/stream/tracing.c write. */
enum { MEMBERS_MAX = 13 };
/* clang-format off */
static const struct member messages[][MEMBERS_MAX] = {
	[TRACES - MESSAGES] = { { 1, "resourceSpans", RESOURCE_SPANS, true } },
	[LOGS - MESSAGES] = { { 1, "resourceLogs", RESOURCE_LOGS, true } },
	[RESOURCE_SPANS - MESSAGES] = {
		{ 1, "resource", RESOURCE, false }, { 2, "scopeSpans", SCOPE_SPANS, true } },
	[RESOURCE_LOGS - MESSAGES] = {
		{ 1, "resource", RESOURCE, false }, { 2, "scopeLogs", SCOPE_LOGS, true } },
	[SCOPE_SPANS - MESSAGES] = { { 1, "scope", SCOPE, false }, { 2, "spans", SPAN_RECORD, true } },
	[SCOPE_LOGS - MESSAGES] = { { 1, "scope", SCOPE, false }, { 2, "logRecords", LOG_RECORD, true } },
	[RESOURCE - MESSAGES] = { { 1, "attributes", KEY_VALUE, true } },
	[SCOPE - MESSAGES] = { { 1, "name", TEXT, false }, { 2, "version", TEXT, false } },
	[SPAN_RECORD - MESSAGES] = {
		{ 1, "traceId", ID, false }, { 2, "spanId", ID, false }, { 3, "traceState", TEXT, false },
		{ 4, "parentSpanId", ID, false }, { 5, "name", TEXT, false }, { 6, "kind", NUMBER, false },
		{ 7, "startTimeUnixNano", LONG, false }, { 8, "endTimeUnixNano", LONG, false },
		{ 9, "attributes", KEY_VALUE, true }, { 10, "droppedAttributesCount", NUMBER, false },
		{ 15, "status", STATUS, false }, { 16, "flags", NUMBER, false } },
	[LOG_RECORD - MESSAGES] = {
		{ 1, "timeUnixNano", LONG, false }, { 11, "observedTimeUnixNano", LONG, false },
		{ 2, "severityNumber", NUMBER, false }, { 3, "severityText", TEXT, false },
		{ 5, "body", ANY_VALUE, false }, { 6, "attributes", KEY_VALUE, true },
		{ 7, "droppedAttributesCount", NUMBER, false },
		{ 9, "traceId", ID, false }, { 10, "spanId", ID, false } },
	[STATUS - MESSAGES] = { { 2, "message", TEXT, false }, { 3, "code", NUMBER, false } },
	[KEY_VALUE - MESSAGES] = { { 1, "key", TEXT, false }, { 2, "value", ANY_VALUE, false } },
	[ANY_VALUE - MESSAGES] = {
		{ 1, "stringValue", TEXT, false }, { 2, "boolValue", BOOL, false },
		{ 3, "intValue", LONG, false }, { 4, "doubleValue", DOUBLE, false } },
};
/* clang-format on */

static void put_id(struct json_writer *w, const char *name, struct span bytes)
{
	static const char digits[] = "0123456789abcdef";
	char text[32];
	size_t len = 0;

	for (size_t i = 0; i < bytes.len && len + 2 <= sizeof(text); i++) {
		text[len++] = digits[(unsigned char)bytes.data[i] >> 4];
		text[len++] = digits[bytes.data[i] & 15];
	}
	json_string(w, name, span_of(text, len));
}

static void put_double(struct json_writer *w, const char *name, uint64_t bits)
{
	char digits[32];
	double value;

	memcpy(&value, &bits, sizeof(value));
	if (isnan(value) || isinf(value))
		json_str(w, name, isnan(value) ? "NaN" : value > 0 ? "Infinity" : "-Infinity");
	else
		json_number(w, name,
			    span_of(digits, (size_t)snprintf(digits, sizeof(digits), "%.17g", value)));
}

static int put_message(struct json_writer *w, const char *name, enum kind kind, struct span message);

static int put_value(struct json_writer *w, const char *name, const struct member *member,
		     const struct protobuf_field *field)
{
	char digits[24];

	switch (member->kind) {
	case TEXT:
		json_string(w, name, field->bytes);
		return 0;
	case ID:
		put_id(w, name, field->bytes);
		return 0;
	case BOOL:
		json_bool(w, name, field->value);
		return 0;
	case NUMBER:
		json_u64(w, name, field->value);
		return 0;
	case LONG:
		/* Times are below 2^63 until the year 2262; others have a sign. */
		json_string(w, name,
			    span_of(digits, (size_t)snprintf(digits, sizeof(digits), "%lld",
							     (long long)field->value)));
		return 0;
	case DOUBLE:
		put_double(w, name, field->value);
		return 0;
	default:
		return put_message(w, name, member->kind, field->bytes);
	}
}

/* The fields of a list may stand apart, so each member looks at all fields. */
static int put_member(struct json_writer *w, const struct member *member, struct span message)
{
	struct protobuf_field field;
	bool is_open = false;
	int error = 0, more;

	while (!error && (more = protobuf_next(&message, &field)) != 0) {
		if (more < 0)
			return more;
		if (field.number != member->number)
			continue;
		if (member->is_list && !is_open)
			json_open_array(w, member->name);
		is_open = true;
		error = put_value(w, member->is_list ? NULL : member->name, member, &field);
	}
	if (is_open && member->is_list)
		json_close(w);
	return error;
}

/* As deep as the table: a request, its resource, scope, record, attribute and value. */
static int put_message(struct json_writer *w, const char *name, enum kind kind, struct span message)
{
	const struct member *members = messages[kind - MESSAGES];
	int error = 0;

	json_open_object(w, name);
	for (size_t i = 0; !error && i < MEMBERS_MAX && members[i].name; i++)
		error = put_member(w, &members[i], message);
	json_close(w);
	return error;
}

int otlp_json_write(struct text *out, enum otlp_signal signal, struct span message)
{
	struct json_writer w;
	int error;

	json_begin_compact(&w, out);
	error = put_message(&w, NULL, signal == OTLP_LOGS ? LOGS : TRACES, message);
	return error ? error : text_error(out);
}

uint64_t otlp_json_rejected(enum otlp_signal signal, struct span response)
{
	struct span name = signal == OTLP_LOGS ? SPAN("rejectedLogRecords") : SPAN("rejectedSpans");
	struct span partial = mcp_json_member(mcp_json_trim(response), SPAN("partialSuccess"));
	struct span value = mcp_json_member(partial, name);
	struct span digits = mcp_json_type(value) == MCP_JSON_STRING ? mcp_json_string(value) : value;
	uint64_t rejected = 0;

	for (size_t i = 0; i < digits.len && i < 18; i++) {
		if (digits.data[i] < '0' || digits.data[i] > '9')
			return 0;
		rejected = rejected * 10 + (uint64_t)(digits.data[i] - '0');
	}
	return rejected;
}
