/* SPDX-License-Identifier: Apache-2.0 */
#include "config/core/values/openapi_value.h"

#include <errno.h>
#include <string.h>

#include "config/build.h"
#include "config/core/engine/yaml.h"
#include "config/core/values/fetch_value.h"
#include "config/core/values/openapi_operation.h"
#include "config/core/values/tls_files.h"
#include "user/base/check.h"
#include "user/base/hash.h"
#include "user/base/limits.h"
#include "user/base/mem.h"

enum { BLOCK_BYTES = 64 * 1024 };

/* -------------------------------------------------------------------------------- the document */

struct source {
	struct span file;
	struct span text;
	char *bytes; /* owner; NULL: in place */
};

/* False: reported. */
static bool source_read(struct decoder *d, const struct yaml_node *node, struct source *ret)
{
	const struct yaml_node *file = decode_get(node, "file");
	size_t size;

	*ret = (struct source){ 0 };
	if (node->kind != YAML_MAP) {
		ret->file = decode_text(d, "%.*s (schema)", SPAN_FMT(node->document->file));
		return decode_string(d, node, &ret->text);
	}
	return decode_name(d, file, &ret->file) &&
	       tls_files_text(d, file, ret->file, &ret->bytes, &size, &ret->text);
}

static bool has_version(struct decoder *d, const struct yaml_node *root)
{
	struct span version = openapi_text(root, "openapi");

	if (span_starts(version, SPAN("3.0")) || span_starts(version, SPAN("3.1")))
		return true;
	config_error(d->report, root,
		     "is not a document of OpenAPI 3.0 or 3.1; convert it (Swagger 2.0 is older), or correct "
		     "the key openapi");
	return false;
}

/* The path of the first server's URL, without a slash at the end. */
static struct span server_path(const struct yaml_node *root)
{
	const struct yaml_node *servers = decode_get(root, "servers");
	struct span path =
		servers && servers->first ? openapi_text(servers->first, "url") : (struct span){ 0 };
	ptrdiff_t slash = 0;

	for (size_t i = 0; i + 2 < path.len && !slash; i++)
		if (memcmp(path.data + i, "://", 3) == 0)
			slash = (ptrdiff_t)i + 3;
	path = span_from(path, (size_t)slash);
	slash = slash ? span_find(path, '/') : 0;
	return slash < 0 ? (struct span){ 0 } : span_from(path, (size_t)slash);
}

/* -------------------------------------------------------------------------------- operations */

struct reader {
	struct openapi_document document;
	struct openapi_api *api;
	struct span prefix;
	struct name_map names; /* of tools */
	size_t bytes; /* of all tools */
	uint32_t count; /* operations */
	uint32_t repeats; /* names with a number so far */
};

/* Of tools, which may have 128 of these letters (MCP 2025-11-25, server/tools), with a prefix. */
enum { NAME_BYTES = 64 };

/* Other letters become one underscore. */
static void add_name(struct text *to, struct span from)
{
	for (size_t i = 0; i < from.len && to->len < NAME_BYTES; i++) {
		char c = from.data[i];

		if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
		    c == '-' || c == '.')
			text_char(to, c);
		else if (to->len && to->data[to->len - 1] != '_' && i + 1 < from.len)
			text_char(to, '_');
	}
}

/* The id, or method and path, with a number if another tool has this name. */
static struct span make_name(struct reader *reader, const struct openapi_source *source)
{
	struct decoder *d = reader->document.d;
	struct span made, name;
	struct text text;

	text_init(&text);
	add_name(&text, openapi_text(source->node, "operationId"));
	if (!text.len) {
		add_name(&text, source->node->key);
		text_char(&text, '_');
		add_name(&text, source->path);
	}
	d->failed |= text_error(&text) != 0;
	made = name = decode_keep(d, text_span(&text));
	text_done(&text);
	while (!d->failed && name_map_get(&reader->names, name))
		name = decode_text(d, "%.*s_%u", SPAN_FMT(made), ++reader->repeats + 1);
	if (!d->failed)
		(void)name_map_put(d, &reader->names, name, reader);
	return name;
}

static void count_one(struct reader *reader, const struct openapi_source *source)
{
	(void)source;
	reader->count++;
}

static void read_one(struct reader *reader, const struct openapi_source *source)
{
	struct openapi_api *api = reader->api;
	struct openapi_operation *operation = &api->operation_list[api->operation_count];
	struct span name;

	if (reader->bytes > LIMIT_OPENAPI_TOOLS_BYTES ||
	    !openapi_spend(&reader->document,
			   source->node->count + openapi_text(source->node, "operationId").len))
		return;
	name = make_name(reader, source);
	if (reader->document.d->failed ||
	    !openapi_operation_read(&reader->document, source, reader->prefix, name, operation))
		return;
	reader->bytes += operation->description.len;
	api->operation_count++;
}

static struct span method_of_key(struct span key)
{
	static const struct span methods[] = { SPAN("GET"),	SPAN("PUT"),  SPAN("POST"), SPAN("DELETE"),
					       SPAN("OPTIONS"), SPAN("HEAD"), SPAN("PATCH") };

	for (size_t i = 0; i < ARRAY_LEN(methods); i++)
		if (span_eq_nocase(key, methods[i]))
			return methods[i];
	return (struct span){ 0 };
}

static void each_operation(struct reader *reader, const struct yaml_node *paths,
			   void (*visit)(struct reader *reader, const struct openapi_source *source))
{
	yaml_each(path, paths) {
		struct openapi_source source = { .path = path->key,
						 .item = openapi_resolve(&reader->document, path) };

		if (span_starts(path->key, SPAN("x-")) || !source.item)
			continue;
		yaml_each(member, source.item) {
			source.method = method_of_key(member->key);
			source.node = member;
			if (source.method.len && member->kind == YAML_MAP)
				visit(reader, &source);
		}
	}
}

/* Errors are reported. */
static void read_operations(struct reader *reader, const struct yaml_node *node)
{
	const struct yaml_node *paths = decode_get(reader->document.root, "paths");
	struct decoder *d = reader->document.d;

	if (paths)
		each_operation(reader, paths, count_one);
	if (reader->count && reader->count <= LIMIT_OPENAPI_OPERATIONS) {
		reader->api->operation_list =
			decode_take(d, reader->count, sizeof(*reader->api->operation_list));
		if (reader->api->operation_list)
			each_operation(reader, paths, read_one);
	}
	if (reader->count > LIMIT_OPENAPI_OPERATIONS || reader->bytes > LIMIT_OPENAPI_TOOLS_BYTES)
		config_error(
			d->report, node,
			"has %u operations, with tools of %zu bytes, and may have %d and %d; remove some",
			reader->count, reader->bytes, LIMIT_OPENAPI_OPERATIONS, LIMIT_OPENAPI_TOOLS_BYTES);
	else if (!reader->api->operation_count && !config_report_has_errors(d->report))
		config_error(d->report, node, "has no operation that can be a tool; write one under `paths`");
}

static void read_document(struct decoder *d, const struct yaml_node *node, const struct yaml_node *root,
			  struct span prefix, struct openapi_api *api)
{
	struct reader reader = {
		.document = { .d = d,
			      .root = root,
			      .most_bytes = LIMIT_OPENAPI_TOOL_BYTES,
			      .effort_left = LIMIT_OPENAPI_EFFORT },
		.api = api,
		.prefix = span_eq(prefix, SPAN("/")) ? server_path(root) : prefix,
	};

	if (!has_version(d, root))
		return;
	while (reader.prefix.len && reader.prefix.data[reader.prefix.len - 1] == '/')
		reader.prefix.len--;
	if (!openapi_path_is_valid(reader.prefix)) {
		config_error(d->report, node,
			     "%s cannot be the path of a server; write path: /v1 beside host",
			     QUOTE(reader.prefix));
		return;
	}
	api->title = decode_keep(d, openapi_text(decode_get(root, "info"), "title"));
	api->version = decode_keep(d, openapi_text(decode_get(root, "info"), "version"));
	read_operations(&reader, node);
	name_map_done(&reader.names);
}

/* -------------------------------------------------------------------------------- all of it */

static void api_free(struct fetched_value *value)
{
	struct openapi_api *api = container_of(value, struct openapi_api, value);

	arena_done(&api->arena);
	hg_free(api);
}

/* False: reported, or no memory. */
static bool load(struct decoder *d, const struct yaml_node *node, const struct yaml_source *source,
		 struct span prefix, struct arena *arena, struct openapi_api *api)
{
	struct yaml_budget budget = { LIMIT_CONFIG_NODES };
	uint32_t errors = d->report->count[CONFIG_ERROR];
	struct yaml_documents documents;
	int error = yaml_load(arena, source, &budget, d->report, &documents);

	d->failed = error == -ENOMEM;
	if (error)
		return false;
	if (documents.count != 1) {
		config_error(d->report, node, "has %u documents; write one", documents.count);
		return false;
	}
	read_document(d, node, documents.list[0]->root, prefix, api);
	return d->report->count[CONFIG_ERROR] == errors && !d->failed;
}

struct openapi_api *openapi_read(struct config_report *report, const struct yaml_node *node, struct span file,
				 struct span text, struct span prefix, bool *ret_failed)
{
	const struct yaml_source source = { .file = file, .text = text };
	struct openapi_api *api = hg_calloc(1, sizeof(*api));
	struct decoder d = { .report = report, .failed = !api };
	struct arena arena;

	if (api) {
		atomic_init(&api->value.refs, 1);
		api->value.id = hash_mix(hash_bytes(text), hash_bytes(prefix)) | 1;
		api->value.free = api_free;
		arena_init(&api->arena, BLOCK_BYTES);
		arena_init(&arena, BLOCK_BYTES);
		d.arena = &api->arena;
		if (!load(&d, node, &source, prefix, &arena, api)) {
			openapi_unref(api);
			api = NULL;
		}
		arena_done(&arena);
	}
	*ret_failed = d.failed;
	return api;
}

static bool read_here(struct decoder *d, const struct yaml_node *node, struct mcp_server *server)
{
	struct openapi_api *api = NULL;
	struct source source;
	bool has_failed = false;

	if (source_read(d, node, &source))
		api = openapi_read(d->report, node, source.file, source.text, server->path, &has_failed);
	hg_free(source.bytes);
	d->failed |= has_failed;
	return api && fetch_value_keep(d, &api->value, &server->api);
}

bool openapi_value(struct decoder *d, const struct yaml_node *node, struct mcp_server *server)
{
	static const struct decode_key keys[] = { KEY("file"), KEY("url") };
	static const char *const choices[] = { "file", "url" };
	struct fetch_source source = { FETCH_OPENAPI, .prefix = server->path, .place = &server->api };
	const struct yaml_node *chosen;
	unsigned index;

	if (node->kind != YAML_MAP)
		return read_here(d, node, server);
	if (!DECODE_MAP(d, node, keys))
		return false;
	chosen = decode_choice(d, node, choices, ARRAY_LEN(choices), &index);
	if (!chosen || index == 0)
		return chosen && read_here(d, node, server);
	if (!decode_name(d, chosen, &source.url))
		return false;
	server->api_url = source.url;
	return fetch_value_url(d, chosen, &source,
			       "can make tools of other requests to the API, with its credentials");
}
