/* SPDX-License-Identifier: Apache-2.0 */
#include "user/mcp/target/remote_fields.h"

#include <errno.h>
#include <stdio.h>

#include "policy/headers.h"
#include "user/base/base64.h"
#include "user/base/check.h"
#include "user/mcp/json/json_text.h"

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

bool remote_passes_on(struct span name)
{
	static const struct span own[] = {
		SPAN("accept"),		  SPAN("accept-encoding"),
		SPAN("connection"),	  SPAN("content-encoding"),
		SPAN("content-length"),	  SPAN("content-type"),
		SPAN("expect"),		  SPAN("headgate-note"),
		SPAN("headgate-request"), SPAN("host"),
		SPAN("http2-settings"),	  SPAN("keep-alive"),
		SPAN("last-event-id"),	  SPAN("proxy-authorization"),
		SPAN("proxy-connection"), SPAN("te"),
		SPAN("trailer"),	  SPAN("transfer-encoding"),
		SPAN("upgrade"),
	};

	if (span_eq_nocase(span_first(name, 4), SPAN("mcp-")))
		return false;
	for (size_t i = 0; i < ARRAY_LEN(own); i++) {
		if (span_eq_nocase(name, own[i]))
			return false;
	}
	return true;
}

int remote_add_client(struct fields *fields, const struct fields *client,
		      const struct header_modifier *modifier)
{
	struct fields made;
	int error = 0;

	fields_init(&made, fields->arena);
	for (uint32_t i = 0; client && i < client->count && !error; i++)
		error = fields_add(&made, client->list[i].name, client->list[i].value);
	if (!error && modifier)
		error = headers_modify(&made, modifier);
	for (uint32_t i = 0; i < made.count && !error; i++) {
		if (remote_passes_on(made.list[i].name))
			error = fields_add(fields, made.list[i].name, made.list[i].value);
	}
	return error;
}

void remote_client_init(struct remote_client *client)
{
	arena_init(&client->arena, 1024);
	fields_init(&client->fields, &client->arena);
}

void remote_client_done(struct remote_client *client)
{
	arena_done(&client->arena);
}

void remote_client_keep(struct remote_client *client, const struct fields *fields)
{
	if (!fields)
		return;
	remote_client_done(client);
	remote_client_init(client);
	for (uint32_t i = 0; i < fields->count; i++) {
		struct span name = fields->list[i].name, value = fields->list[i].value;

		if (!remote_passes_on(name))
			continue;
		name = arena_copy(&client->arena, name);
		value = value.len ? arena_copy(&client->arena, value) : value;
		if (!name.data || (value.len && !value.data) ||
		    fields_add(&client->fields, name, value) < 0) {
			client->fields.count = 0;
			return;
		}
	}
}

void remote_explain(char *to, size_t size, unsigned int status, enum mcp_fault fault)
{
	if (fault)
		snprintf(to, size, "a response with status %u and an invalid message (%s)", status,
			 mcp_fault_text(fault).data);
	else if (status >= 300 && status < 400)
		snprintf(to, size, "a redirect with status %u that is not followed", status);
	else
		snprintf(to, size, "a response with status %u and without the answer", status);
}
