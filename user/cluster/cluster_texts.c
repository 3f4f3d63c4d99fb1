/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>

#include "user/cluster/cluster.h"

enum { TEXT_BYTES = 4 * 1024 * 1024 }; /* of one source, with at least one object */

static const char *const name_list[KIND_COUNT] = {
#define KIND(id, name, group, plural, versions, query) "API server, " name,
#include "user/cluster/kinds.def"
#undef KIND
};

static struct text *begin(struct cluster_texts *texts, enum kind_id kind)
{
	struct text *text;

	if (texts->count == CLUSTER_SOURCES_MAX)
		return NULL;
	text = &texts->text_list[texts->count];
	text_init(text);
	texts->source_list[texts->count++] =
		(struct config_source){ .path = name_list[kind], .has_text = true };
	return text;
}

static int add_kind(struct cluster_texts *texts, const struct store *store, enum kind_id kind)
{
	struct text *text = NULL;

	list_each(node, next, &store->objects[kind]) {
		const struct stored_object *object = list_entry(node, struct stored_object, node);

		if (!text || text->len + object->text.len > TEXT_BYTES)
			text = begin(texts, kind);
		if (!text)
			return -E2BIG;
		if (text->len)
			text_str(text, "---\n");
		text_add(text, object->text);
		text_char(text, '\n');
		if (text->failed)
			return -ENOMEM;
	}
	return 0;
}

int cluster_texts_make(struct cluster_texts *texts, const struct store *store)
{
	int error = 0;

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
