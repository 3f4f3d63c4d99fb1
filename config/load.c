/* SPDX-License-Identifier: Apache-2.0 */
#include "config/load.h"

#include <errno.h>

#include "config/build.h"
#include "config/core/engine/expand.h"
#include "config/core/values/tls_files.h"
#include "config/gatewayapi/gatewayapi.h"
#include "config/gatewayapi/service_update.h"
#include "config/source.h"
#include "config/standalone/standalone.h"
#include "config/standalone/static.h"
#include "user/base/limits.h"
#include "user/base/mem.h"

#define TEXT_BLOCK_BYTES (64 * 1024)

/* -------------------------------------------------------------------------------- documents */

/* Documents of all files, by style. */
struct document_set {
	struct pointer_list standalone; /* struct yaml_document */
	struct pointer_list manifests;
};

/*
 * True if the line starts, after an opening brace and quotes, with the key that every Kubernetes object has.
 */
static bool has_api_version(struct span line)
{
	while (line.len && strchr("{\"' \t", line.data[0]) && line.data[0])
		line = span_from(line, 1);
	return span_starts(line, SPAN("apiVersion"));
}

/*
 * Variables are not expanded in manifests. The decision is made on the text, because expansion precedes
 * parsing. An indented key belongs to another object, but in JSON everything is indented.
 */
static bool is_manifest_text(struct span text)
{
	struct span rest = text, line;
	bool is_json = false, is_first = true;

	while (span_split(&rest, '\n', &line)) {
		if (is_first && span_trim(line).len) {
			is_json = span_trim(line).data[0] == '{';
			is_first = false;
		}
		if (is_json && memmem(line.data, line.len, "\"apiVersion\"", 12))
			return true;
		if (line.len && line.data[0] != ' ' && line.data[0] != '\t' && has_api_version(line))
			return true;
	}
	return false;
}

static int sort_documents(struct decoder *d, const struct yaml_documents *documents, struct document_set *set)
{
	for (uint32_t i = 0; i < documents->count; i++) {
		struct yaml_document *document = documents->list[i];
		const struct yaml_node *root = document->root;

		if (root->kind != YAML_MAP) {
			config_error(d->report, root,
				     "a configuration is a map with keys such as gateways, or a Kubernetes "
				     "object; this is %s",
				     yaml_kind_name(root));
			continue;
		}
		if (!build_push(d,
				yaml_get(root, SPAN("apiVersion")) || yaml_get(root, SPAN("kind"))
					? &set->manifests
					: &set->standalone,
				document))
			return -ENOMEM;
	}
	return 0;
}

/* YAML 1.2 5.2: a byte order mark at the start is not content. Editors add it. */
static struct span without_mark(struct span text)
{
	return span_starts(text, SPAN("\xef\xbb\xbf")) ? span_from(text, 3) : text;
}

static int load_texts(struct decoder *d, struct arena *arena, const struct source_texts *texts,
		      struct document_set *set)
{
	struct yaml_budget files = { LIMIT_CONFIG_NODES }, objects = { LIMIT_CLUSTER_NODES };
	uint64_t bytes = 0;

	for (uint32_t i = 0; i < texts->count; i++) {
		const struct source_text *source = &texts->list[i];
		struct span text = without_mark(source->text);
		struct expansion expansion = { .text = text };
		struct yaml_documents documents = { 0 };
		struct yaml_source input;
		int r = 0;

		if (!is_manifest_text(text))
			r = expand_text(arena, source->name, text, expand_environment, d->report, &expansion);
		input = (struct yaml_source){ source->name, expansion.text, expansion.shift_list,
					      expansion.shift_count };
		bytes += source->is_of_api_server ? 0 : expansion.text.len;
		if (r == 0 && bytes > LIMIT_CONFIG_TOTAL_BYTES) {
			config_message_at(d->report, CONFIG_ERROR, source->name,
					  "does not fit: it and the files before it are larger than 64 MiB "
					  "together once their variables are expanded; use shorter values");
			return -EINVAL;
		}
		if (r == 0)
			r = yaml_load(arena, &input, source->is_of_api_server ? &objects : &files, d->report,
				      &documents);
		if (r == 0)
			r = sort_documents(d, &documents, set);
		if (r == -ENOMEM)
			return r;
	}
	return 0;
}

/* -------------------------------------------------------------------------------- decoding */

static void decode_documents(struct builder *b, const struct document_set *set)
{
	const struct yaml_document *first = NULL;

	for (uint32_t i = 0; i < set->standalone.count; i++) {
		const struct yaml_document *document = set->standalone.list[i];

		if (first) {
			config_error(b->decoder.report, document->root,
				     "there is already a standalone configuration in %.*s line %u; merge the "
				     "two into one file",
				     SPAN_FMT(first->file), first->root->line);
			continue;
		}
		first = document;
		if (set->manifests.count && standalone_has_routing(document->root)) {
			const struct yaml_document *manifest = set->manifests.list[0];

			config_error(b->decoder.report, document->root,
				     "a standalone file next to Kubernetes manifests (%.*s) may only have "
				     "the section config; move "
				     "the rest into manifests, or load it alone",
				     SPAN_FMT(manifest->file));
			continue;
		}
		standalone_decode(b, document->root);
	}
	if (set->manifests.count)
		gatewayapi_decode(b, (struct yaml_document *const *)set->manifests.list,
				  set->manifests.count);
}

/* At the first document: what is missing has no place. */
static void warn_of_no_port(struct decoder *d, const struct document_set *set,
			    const struct source_texts *texts)
{
	bool is_manifest = set->manifests.count > 0;
	const struct pointer_list *list = is_manifest ? &set->manifests : &set->standalone;
	const struct yaml_document *first = list->count ? list->list[0] : NULL;
	struct span where = { 0 };

	if (!first && texts->count)
		where = decode_text(d, "%.*s:1:1", SPAN_FMT(texts->list[0].name));
	if (first)
		where = decode_text(d, "%.*s:%u:%u", SPAN_FMT(first->file), first->root->line,
				    first->root->column);
	config_message_at(d->report, CONFIG_WARNING, where,
			  "the configuration listens on no port, so nothing is served: %s",
			  is_manifest
				  ? "add a Gateway with a listener that is valid, as in spec: {listeners: "
				    "[{name: http, port: 80, protocol: HTTP}]}"
				  : "write gateways: {default: {port: 8080}}, and routes beside it");
}

/* What one decoding of the texts needs, and leaves for the next one. */
struct load {
	const struct config_setting *setting;
	const struct source_texts *texts;
	struct arena *arena; /* of the texts; the caller frees it afterwards */
	struct config_report *report;
	struct name_map restore; /* as in struct builder; its keys and values belong to `previous` */
	bool has_secrets; /* in the texts */
};

static int load_snapshot(struct load *load, struct snapshot *snapshot)
{
	struct config_report *report = load->report;
	struct document_set set = { 0 };
	struct builder builder;
	struct tls_files files;
	struct arena nodes;
	int r;

	build_init(&builder, snapshot, report);
	builder.previous = load->setting->previous;
	builder.setting = load->setting;
	builder.is_restoring = load->restore.map;
	builder.restore = load->restore;
	tls_files_init(&files, snapshot, load->setting->previous);
	builder.decoder.files = &files;
	arena_init(&nodes, TEXT_BLOCK_BYTES);
	schema_default(&static_schema, &snapshot->config);
	r = load_texts(&builder.decoder, &nodes, load->texts, &set);
	if (r == 0) {
		decode_documents(&builder, &set);
		build_finish(&builder);
		if (snapshot->bind_count == 0 && !config_report_has_errors(report))
			warn_of_no_port(&builder.decoder, &set, load->texts);
	}
	if (builder.decoder.failed || report->failed)
		r = -ENOMEM;
	hg_free(set.standalone.list);
	hg_free(set.manifests.list);
	snapshot->has_secrets = files.has_secrets;
	load->has_secrets = files.has_secrets;
	if (files.has_secrets)
		arena_wipe(&nodes);
	if (r == 0)
		tls_files_keep(&files);
	tls_files_done(&files);
	load->restore = builder.restore;
	builder.restore = (struct name_map){ 0 };
	build_done(&builder);
	arena_done(&nodes);
	return r;
}

/* The faults of objects that stay in force as they were are kept: the second decoding does not see them. */
static void carry_faults(const struct config_report *from, const struct name_map *restored,
			 struct config_report *into)
{
	for (uint32_t i = 0; i < from->message_count; i++) {
		const struct config_message *message = &from->message_list[i];

		if (message->is_fault && name_map_get(restored, message->object))
			config_fault_at(into, message->text,
					"the object stays in force as it was before its change");
	}
}

/*
 * Objects that have an error now and had none before stay in force as they were: decodes everything again
 * with those. Replaces *snapshot and the content of the report.
 */
static int load_again(struct load *load, struct snapshot **snapshot)
{
	struct config_report *report = load->report, again;
	int r;

	config_report_init(&again);
	again.file_count = report->file_count;
	carry_faults(report, &load->restore, &again);
	snapshot_unref(*snapshot);
	*snapshot = snapshot_create();
	load->report = &again;
	r = *snapshot ? load_snapshot(load, *snapshot) : -ENOMEM;
	config_report_done(report);
	*report = again;
	return r;
}

static int load_all(struct load *load, struct snapshot **snapshot)
{
	int r = load_snapshot(load, *snapshot);

	if (r == 0 && load->restore.map && !config_report_refuses(load->report))
		r = load_again(load, snapshot);
	name_map_done(&load->restore);
	if (load->has_secrets)
		arena_wipe(load->arena);
	return r;
}

static int read_sources(struct arena *arena, const struct config_source *source_list, size_t source_count,
			struct config_report *report, struct source_texts *texts)
{
	int result = 0;

	for (size_t i = 0; i < source_count; i++) {
		int r = source_read(arena, &source_list[i], report, texts);

		if (r == -ENOMEM)
			return r;
		if (result == 0)
			result = r;
	}
	return result;
}

int config_load_with(const struct config_source *source_list, size_t source_count,
		     const struct config_setting *setting, struct config_report *report,
		     struct snapshot **ret)
{
	struct snapshot *snapshot = snapshot_create();
	struct source_texts texts;
	struct arena arena;
	struct load load = { .setting = setting, .texts = &texts, .arena = &arena, .report = report };
	int r;

	if (!snapshot)
		return -ENOMEM;
	source_init(&texts);
	arena_init(&arena, TEXT_BLOCK_BYTES);
	r = read_sources(&arena, source_list, source_count, report, &texts);
	report->file_count = texts.count;
	if (r == 0)
		r = load_all(&load, &snapshot);
	if (r == 0 && config_report_refuses(report))
		r = -EINVAL;
	if (report->failed)
		r = -ENOMEM;
	source_done(&texts);
	arena_done(&arena);
	if (r < 0) {
		snapshot_unref(snapshot);
		return r;
	}
	*ret = snapshot;
	return 0;
}

/* -------------------------------------------------------------------------------- endpoints alone */

bool config_uses_service(const struct snapshot *snapshot, struct span key)
{
	return service_is_used(snapshot, key);
}

int config_load_endpoints(struct span text, struct snapshot *copy)
{
	struct yaml_source source = { .file = SPAN("endpoints"), .text = text };
	struct yaml_budget budget = { LIMIT_CLUSTER_NODES };
	struct yaml_documents documents = { 0 };
	struct config_report report;
	struct builder builder;
	struct arena nodes;
	int r;

	config_report_init(&report);
	arena_init(&nodes, TEXT_BLOCK_BYTES);
	build_init(&builder, copy, &report);
	builder.decoder.arena = &nodes;
	r = yaml_load(&nodes, &source, &budget, &report, &documents);
	if (r == 0)
		r = gatewayapi_update(&builder, documents.list, documents.count, copy);
	if (builder.decoder.failed || report.failed)
		r = -ENOMEM;
	build_done(&builder);
	arena_done(&nodes);
	config_report_done(&report);
	return r == 0 || r == -ENOMEM ? r : -EAGAIN;
}
