/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The first line is the arguments of a call, the rest an OpenAPI document in place. What has to hold:
 *   - the document is accepted or refused, and each tool is one JSON value with a name of few letters;
 *   - a call with these arguments is refused with a sentence, or its URL is one that every server splits in
 *     the same way: as many segments as the template, visible ASCII, no dot segment, also after decoding;
 *   - a header of the arguments is one that the document declares, on one line.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config/load.h"
#include "config/model_openapi.h"
#include "config/snapshot.h"
#include "user/base/char_class.h"
#include "user/base/json_writer.h"
#include "user/mcp/json/json_text.h"
#include "user/mcp/target/api_call.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MUST(condition)                                                                                      \
	do {                                                                                                 \
		if (!(condition)) {                                                                          \
			fprintf(stderr, "%s:%d: broken: %s\n", __FILE__, __LINE__, #condition);              \
			abort();                                                                             \
		}                                                                                            \
	} while (0)

/* The document as a quoted text of a configuration, in which variables are expanded. */
static void add_document(struct text *to, struct span document)
{
	struct text escaped;

	text_init(&escaped);
	for (size_t i = 0; i < document.len; i++) {
		if (document.data[i] == '$')
			text_char(&escaped, '$');
		text_char(&escaped, document.data[i]);
	}
	text_str(to, "mcp: {targets: [{name: a, openapi: {host: 'h:1', schema: ");
	json_quote(to, text_span(&escaped));
	text_str(to, "}}]}\n");
	text_done(&escaped);
}

static size_t count_of(struct span text, char c)
{
	size_t count = 0;

	for (size_t i = 0; i < text.len; i++)
		count += text.data[i] == c;
	return count;
}

/* The path with everything decoded. */
static void decode(struct span path, struct text *to)
{
	for (size_t i = 0; i < path.len; i++) {
		if (path.data[i] == '%') {
			MUST(i + 2 < path.len && octet_hex(path.data[i + 1]) >= 0 &&
			     octet_hex(path.data[i + 2]) >= 0);
			text_char(to, (char)(octet_hex(path.data[i + 1]) << 4 | octet_hex(path.data[i + 2])));
			i += 2;
		} else {
			text_char(to, path.data[i]);
		}
	}
}

static void check_target(const struct openapi_operation *operation, struct span target)
{
	ptrdiff_t query = span_find(target, '?');
	struct span path = query < 0 ? target : span_first(target, (size_t)query), rest, segment;
	struct text plain;

	text_init(&plain);
	MUST(char_class_is_target(target) && path.data[0] == '/');
	MUST(count_of(path, '/') == count_of(operation->path, '/') && count_of(target, '?') == (query >= 0));
	decode(path, &plain);
	rest = text_span(&plain);
	while (span_split(&rest, '/', &segment))
		MUST(!span_eq(segment, SPAN(".")) && !span_eq(segment, SPAN("..")));
	for (size_t i = 0; i < plain.len; i++)
		MUST((unsigned char)plain.data[i] >= ' ' && plain.data[i] != 0x7f);
	text_done(&plain);
}

static bool declares(const struct openapi_operation *operation, struct span name)
{
	for (uint32_t i = 0; i < operation->parameter_count; i++)
		if (operation->parameter_list[i].place == OPENAPI_HEADER &&
		    span_eq(operation->parameter_list[i].name, name))
			return true;
	return false;
}

static void try_call(const struct openapi_operation *operation, struct span arguments)
{
	struct api_call call;
	int error;

	api_call_init(&call);
	error = api_call_make(&call, operation, arguments);
	if (error) {
		MUST(error == -EINVAL && call.why.len);
	} else {
		check_target(operation, text_span(&call.target));
		for (uint32_t i = 0; i < call.fields.count; i++)
			MUST(char_class_is_token(call.fields.list[i].name) &&
			     char_class_is_text(call.fields.list[i].value) &&
			     declares(operation, call.fields.list[i].name));
		MUST(!call.body.len || operation->content_type.len);
	}
	api_call_done(&call);
}

static void check_api(const struct openapi_api *api, struct mcp_json_checker *checker, struct span arguments)
{
	bool has_arguments = mcp_json_check(checker, arguments) == 0;

	MUST(api->operation_count);
	for (uint32_t i = 0; i < api->operation_count; i++) {
		const struct openapi_operation *operation = &api->operation_list[i];

		MUST(mcp_json_check(checker, operation->description) == 0);
		MUST(operation->tool.len && char_class_is_token(operation->tool));
		MUST(span_eq(mcp_json_string(mcp_json_member(operation->description, SPAN("name"))),
			     operation->tool));
		if (has_arguments)
			try_call(operation, mcp_json_trim(arguments));
	}
}

static void check_server(const struct mcp_server *server, struct mcp_json_checker *checker,
			 struct span arguments)
{
	struct openapi_api *api = server->api ? openapi_hold(server->api) : NULL;

	if (api)
		check_api(api, checker, arguments);
	openapi_unref(api);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct span rest = span_of(data, size), arguments = { 0 };
	struct mcp_json_checker *checker = mcp_json_checker_create();
	struct config_source source = { .path = "a.yaml", .has_text = true };
	struct snapshot *snapshot = NULL;
	struct config_report report;
	struct text text;

	(void)span_split(&rest, '\n', &arguments);
	text_init(&text);
	add_document(&text, rest);
	source.text = text_span(&text);
	config_report_init(&report);
	if (config_load(&source, 1, NULL, &report, &snapshot) == 0)
		for (uint32_t i = 0; i < snapshot->backend_count; i++)
			if (snapshot->backend_list[i].kind == BACKEND_MCP)
				check_server(&snapshot->backend_list[i].mcp->server_list[0], checker,
					     arguments);
	MUST(snapshot || config_report_has_errors(&report));
	snapshot_unref(snapshot);
	config_report_done(&report);
	text_done(&text);
	mcp_json_checker_free(checker);
	return 0;
}
