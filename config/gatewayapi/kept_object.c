/* SPDX-License-Identifier: Apache-2.0 */
#include "config/gatewayapi/kept_object.h"

#include <errno.h>
#include <string.h>

#include "config/core/engine/yaml.h"
#include "user/base/json_writer.h"
#include "user/base/limits.h"

/* -------------------------------------------------------------------------------- trees to text */

/* Numbers, true, null and the like keep their meaning only without quotes. */
static bool is_plain(const struct yaml_node *node)
{
	if (node->is_quoted || !node->text.len)
		return false;
	for (size_t i = 0; i < node->text.len; i++) {
		char c = node->text.data[i];

		if (!((c | 0x20) >= 'a' && (c | 0x20) <= 'z') && !(c >= '0' && c <= '9') &&
		    !memchr("+-._~", c, 5))
			return false;
	}
	return true;
}

static void write_scalar(const struct yaml_node *node, struct text *out)
{
	if (yaml_is_null(node))
		text_str(out, "null");
	else if (is_plain(node))
		text_add(out, node->text);
	else
		json_quote(out, node->text);
}

/* JSON, which is YAML. The depth is bounded by LIMIT_CONFIG_DEPTH. */
static void write_node(const struct yaml_node *node, struct text *out)
{
	bool is_map = node->kind == YAML_MAP;

	if (node->kind == YAML_SCALAR) {
		write_scalar(node, out);
		return;
	}
	text_char(out, is_map ? '{' : '[');
	yaml_each(child, node) {
		if (child != node->first)
			text_str(out, ", ");
		if (is_map) {
			json_quote(out, child->key);
			text_str(out, ": ");
		}
		write_node(child, out);
	}
	text_char(out, is_map ? '}' : ']');
}

/* -------------------------------------------------------------------------------- keeping */

/* Secrets must not stay in memory; endpoints are many, and a wrong one costs only itself. */
static bool is_kept(unsigned kind)
{
	return kind != MANIFEST_SECRET && kind != MANIFEST_CONFIG_MAP && kind != MANIFEST_ENDPOINT_SLICE &&
	       kind != MANIFEST_ENDPOINTS;
}

static void save(struct manifests *m, const struct manifest_object *object)
{
	struct snapshot *snapshot = m->builder->snapshot;
	struct decoder *d = m->decoder;
	struct kept_object *kept = decode_take(d, 1, sizeof(*kept));
	struct text text;

	if (!kept)
		return;
	text_init(&text);
	write_node(object->root, &text);
	kept->label = decode_keep(d, object->root->document->label);
	kept->text = decode_keep(d, text_span(&text));
	kept->next = snapshot->kept_list;
	snapshot->kept_list = kept;
	d->failed |= text_error(&text) != 0;
	text_done(&text);
}

void kept_objects_save(struct manifests *m)
{
	for (unsigned kind = 0; kind < MANIFEST_KIND_COUNT; kind++) {
		const struct pointer_list *objects = &m->objects[kind];

		for (uint32_t i = 0; i < objects->count && is_kept(kind); i++) {
			const struct manifest_object *object = objects->list[i];

			if (!object->root->fault)
				save(m, object);
		}
	}
}

/* -------------------------------------------------------------------------------- taking back */

void kept_objects_find(struct manifests *m)
{
	const struct snapshot *previous = m->builder->previous;
	struct name_map kept = { 0 };

	for (const struct kept_object *at = previous ? previous->kept_list : NULL; at; at = at->next)
		if (!name_map_put(m->decoder, &kept, at->label, (void *)(uintptr_t)at))
			break;
	for (unsigned kind = 0; kind < MANIFEST_KIND_COUNT && kept.map; kind++) {
		const struct pointer_list *objects = &m->objects[kind];

		for (uint32_t i = 0; i < objects->count; i++) {
			const struct manifest_object *object = objects->list[i];
			const struct kept_object *found =
				object->root->fault ? name_map_get(&kept, object->root->document->label)
						    : NULL;

			if (found && !name_map_put(m->decoder, &m->builder->restore, found->label,
						   (void *)(uintptr_t)found))
				break;
		}
	}
	name_map_done(&kept);
}

struct yaml_document *kept_object_restore(struct manifests *m, const struct yaml_document *document)
{
	const struct kept_object *kept = name_map_get(&m->builder->restore, document->label);
	struct yaml_budget budget = { LIMIT_CONFIG_NODES };
	struct yaml_documents documents = { 0 };
	struct decoder *d = m->decoder;
	struct yaml_source source;

	if (!kept)
		return NULL;
	source = (struct yaml_source){
		.file = decode_text(d, "%.*s (before its change)", SPAN_FMT(document->file)),
		.text = kept->text,
	};
	if (!source.file.data || yaml_load(d->arena, &source, &budget, d->report, &documents) < 0 ||
	    documents.count != 1) {
		d->failed = true;
		return NULL;
	}
	return documents.list[0];
}
