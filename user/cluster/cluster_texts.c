/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>

#include "user/cluster/cluster.h"

enum { TEXT_BYTES = 4 * 1024 * 1024 }; /* of one source, with at least one object */

static const char *const name_list[KIND_COUNT] = {
#define KIND(id, name, group, plural, versions, query) "API server, " name,
#include "user/cluster/kinds.def"
#undef KIND
};

/* A document of its own. */
static void add_text(struct text *out, const struct stored_object *object)
{
	if (out->len)
		text_str(out, "---\n");
	text_add(out, object->text);
	text_char(out, '\n');
}

static struct text *begin(struct cluster_texts *texts, enum kind_id kind)
{
	struct text *text;

	if (texts->count == CLUSTER_SOURCES_MAX)
		return NULL;
	text = &texts->text_list[texts->count];
	text_init(text);
	texts->source_list[texts->count++] =
		(struct config_source){ .path = name_list[kind], .has_text = true, .is_of_api_server = true };
	return text;
}

static int add_kind(struct cluster_texts *texts, const struct store *store, enum kind_id kind)
{
	struct text *text = NULL;

	list_each(node, next, &store->objects[kind]) {
		const struct stored_object *object = list_entry(node, struct stored_object, node);

		if (!mentions_need(&store->mentions, object))
			continue;
		if (!text || text->len + object->text.len > TEXT_BYTES)
			text = begin(texts, kind);
		if (!text)
			return -E2BIG;
		add_text(text, object);
		if (text->failed)
			return -ENOMEM;
	}
	return 0;
}

/* ------------------------------------------------------------------------------------ endpoints alone */

static bool is_of(const struct stored_object *slice, const struct stored_object *const *services,
		  uint32_t count)
{
	for (uint32_t i = 0; i < count; i++)
		if (span_eq(slice->service, services[i]->key))
			return true;
	return false;
}

int cluster_texts_changed(const struct store *store, const struct snapshot *snapshot, struct text *out)
{
	const struct stored_object *services[STORE_CHANGED_SERVICES];
	uint32_t count = 0;

	if (store->unapplied.has_others)
		return -EAGAIN;
	for (uint32_t i = 0; i < store->unapplied.service_count; i++) {
		struct span key = text_span(&store->unapplied.service_list[i]);

		if (!config_uses_service(snapshot, key))
			continue;
		services[count] = store_get(store, KIND_SERVICE, key);
		if (!services[count])
			return -EAGAIN;
		add_text(out, services[count++]);
	}
	/* In the order of the store, as cluster_texts_make() has them. */
	list_each(node, next, &store->objects[KIND_ENDPOINT_SLICE]) {
		const struct stored_object *slice = list_entry(node, struct stored_object, node);

		if (count && is_of(slice, services, count))
			add_text(out, slice);
	}
	return text_error(out);
}

/* ------------------------------------------------------------------------------------ everything */

int cluster_texts_make(struct cluster_texts *texts, struct store *store, const struct snapshot *previous)
{
	int error = 0;

	mentions_update(&store->mentions, store, previous);
	texts->count = 0;
	for (unsigned kind = 0; kind < KIND_COUNT && !error; kind++)
		error = add_kind(texts, store, (enum kind_id)kind);
	for (uint32_t i = 0; i < texts->count; i++)
		texts->source_list[i].text = text_span(&texts->text_list[i]);
	return error;
}

void cluster_texts_done(struct cluster_texts *texts)
{
	for (uint32_t i = 0; i < texts->count; i++) {
		if (texts->text_list[i].data)
			explicit_bzero(texts->text_list[i].data, texts->text_list[i].len);
		text_done(&texts->text_list[i]);
	}
	texts->count = 0;
}
