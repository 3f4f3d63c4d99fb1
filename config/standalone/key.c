/* SPDX-License-Identifier: Apache-2.0 */
#include "config/standalone/key.h"

#include <errno.h>

#include "config/core/engine/errors.h"
#include "config/core/engine/typo.h"
#include "config/core/values/guard_value.h"
#include "config/core/values/policy_value.h"
#include "config/core/values/tls_value.h"
#include "config/standalone/attach.h"
#include "config/standalone/listener.h"
#include "config/standalone/mcp.h"
#include "config/standalone/policy.h"
#include "config/standalone/route.h"
#include "config/standalone/static.h"

enum { NAMES_MAX = 128 };

/* ---- what is below a row whose decoder reads the keys itself */

struct link {
	const struct schema *schema; /* of the object with the key */
	const char *key;
	const struct schema *child; /* NULL: policies */
	enum policy_place place;
};

static const struct link links[] = {
	{ &root_schema, "config", .child = &static_schema },
	{ &root_schema, "gateways", .child = &gateway_schema },
	{ &root_schema, "mcp", .child = &mcp_schema },
	{ &bind_listener_schema, "tls", .child = &listener_tls_schema },
	{ &bind_listener_schema, "policies", .place = POLICIES_OF_LISTENER },
	{ &gateway_listener_schema, "tls", .child = &listener_tls_schema },
	{ &gateway_schema, "tls", .child = &listener_tls_schema },
	{ &route_schema, "policies", .place = POLICIES_OF_ROUTE },
	{ &route_schema, "backends", .child = &ref_schema },
	{ &tcp_route_schema, "policies", .place = POLICIES_OF_TCP_ROUTE },
	{ &tcp_route_schema, "backends", .child = &ref_schema },
	{ &ref_schema, "policies", .place = POLICIES_OF_BACKEND },
	{ &ref_schema, "mcp", .child = &mcp_servers_schema },
	{ &named_backend_schema, "policies", .place = POLICIES_OF_BACKEND },
	{ &named_backend_schema, "mcp", .child = &mcp_servers_schema },
	{ &attached_schema, "policy", .place = POLICIES_ATTACHED },
};

static const struct link *link_of(const struct schema *schema, const struct schema_row *row)
{
	for (size_t i = 0; i < ARRAY_LEN(links); i++)
		if (links[i].schema == schema && strcmp(links[i].key, row->key) == 0)
			return &links[i];
	return NULL;
}

/* ---- levels */

static int open_schema(const struct schema *schema, struct arena *arena, struct key_level *ret)
{
	void *object = arena_take(arena, schema->size_bytes ? schema->size_bytes : 1);

	if (!object)
		return -ENOMEM;
	schema_default(schema, object);
	*ret = (struct key_level){ .schema = schema, .object = object };
	return 0;
}

/* NULL: none. A mirror, and the limits of a list, have rows of standalone files only. */
static const struct schema *schema_of(const struct policy_entry *entry)
{
	switch (entry->kind) {
	case POLICY_MIRROR:
		return &mirror_schema;
	case POLICY_LOCAL_RATE_LIMIT:
		return &rate_rule_schema;
	default:
		return policy_schema(entry->kind);
	}
}

/* A policy of a listener is a key of a gateway. */
static const struct schema *schema_of_listener_policy(const struct schema *schema,
						      const struct schema_row *row)
{
	const struct policy_entry *list;
	size_t count;

	if (schema != &gateway_schema && schema != &gateway_listener_schema)
		return NULL;
	list = standalone_policy_entries(POLICIES_OF_LISTENER, &count);
	for (size_t i = 0; i < count; i++)
		if (!list[i].refusal && strcmp(list[i].name, row->key) == 0)
			return schema_of(&list[i]);
	return NULL;
}

int key_level_below(const struct key_level *level, const struct schema_row *row, struct arena *arena,
		    struct key_level *ret)
{
	const struct link *link = link_of(level->schema, row);
	const struct schema *child;
	int error;

	*ret = (struct key_level){ 0 };
	if (level->schema == &root_schema && strcmp(row->key, "frontendPolicies") == 0) {
		ret->entry_list = standalone_frontend_entries(&ret->entry_count);
		return 0;
	}
	if (link && !link->child) {
		ret->entry_list = standalone_policy_entries(link->place, &ret->entry_count);
		return 0;
	}
	/* Members of a section are in the same object, with its defaults. */
	if (row->child && row->type == SCHEMA_MAP) {
		*ret = (struct key_level){ .schema = row->child,
					   .object = schema_member(row, level->object) };
		return 0;
	}
	child = link ? link->child : row->child ? row->child : schema_of_listener_policy(level->schema, row);
	if (!child)
		return 0;
	error = open_schema(child, arena, ret);
	ret->has_names = !error && ret->schema == &gateway_schema;
	return error;
}

/* ---- names */

static bool is_known(const struct schema_row *row)
{
	return row->key && row->style != STYLE_MANIFEST;
}

const char *key_name(const struct key_level *level, size_t index, bool *ret_refused)
{
	if (!level->schema) {
		if (index >= level->entry_count)
			return NULL;
		*ret_refused = level->entry_list[index].refusal != NULL;
		return level->entry_list[index].name;
	}
	for (size_t i = 0; i < level->schema->row_count; i++) {
		const struct schema_row *row = &level->schema->rows[i];

		/* A key that may be a word or a map has two rows. */
		if (!is_known(row) || row->is_hidden || row->form == FORM_MAP || index--)
			continue;
		*ret_refused = row->refusal != NULL;
		return row->key;
	}
	return NULL;
}

static void fault_unknown(const struct key_level *level, struct span name, struct text *fault)
{
	const char *names[NAMES_MAX], *meant, *at;
	size_t count = 0;
	bool refused;

	while (count < NAMES_MAX && (at = key_name(level, count, &refused)) != NULL)
		names[count++] = at;
	meant = typo_meant(name, names, count);
	text_fmt(fault, "unknown key %s", QUOTE(name));
	if (count == 0)
		text_str(fault, "; nothing is below this key");
	else if (meant)
		text_fmt(fault, "; did you mean \"%s\"?", meant);
	else
		text_str(fault, "; write one of ");
	for (size_t i = 0; count && !meant && i < count; i++)
		text_fmt(fault, "%s%s", i ? ", " : "", names[i]);
}

/* ---- steps */

static const struct schema_row *row_of(const struct schema *schema, struct span name, bool prefers_map)
{
	const struct schema_row *found = NULL;

	for (size_t i = 0; i < schema->row_count; i++) {
		const struct schema_row *row = &schema->rows[i];

		if (is_known(row) && span_eq(span_str(row->key), name) &&
		    (!found || (prefers_map && row->form == FORM_MAP)))
			found = row;
	}
	return found;
}

int key_level_of_entry(const struct policy_entry *entry, struct arena *arena, struct key_level *ret)
{
	*ret = (struct key_level){ 0 };
	return entry->refusal || !schema_of(entry) ? 0 : open_schema(schema_of(entry), arena, ret);
}

static int step_entry(const struct key_level *level, struct span name, struct arena *arena, struct key *ret)
{
	for (size_t i = 0; i < level->entry_count; i++) {
		const struct policy_entry *entry = &level->entry_list[i];

		if (!span_eq(span_str(entry->name), name))
			continue;
		*ret = (struct key){ .entry = entry };
		return entry->refusal || !schema_of(entry)
			       ? 0
			       : open_schema(schema_of(entry), arena, &ret->below);
	}
	return -ENOENT;
}

/* is_last: no further key follows. */
static int step(const struct key_level *level, struct span name, bool is_last, struct arena *arena,
		struct key *ret)
{
	const struct schema_row *row;

	if (level->entry_list)
		return step_entry(level, name, arena, ret);
	row = level->schema ? row_of(level->schema, name, !is_last) : NULL;
	if (row) {
		*ret = (struct key){ .row = row, .object = level->object };
		return key_level_below(level, row, arena, &ret->below);
	}
	if (!level->has_names)
		return -ENOENT;
	*ret = (struct key){ .below = *level };
	ret->below.has_names = false;
	return 0;
}

/* Removes "[...]" behind a name. */
static struct span without_index(struct span name)
{
	ptrdiff_t bracket = span_find(name, '[');

	return bracket > 0 && span_ends(name, SPAN("]")) ? span_first(name, (size_t)bracket) : name;
}

int key_find(struct span path, struct arena *arena, struct key *ret, struct text *ret_fault)
{
	struct span name;
	int error;

	*ret = (struct key){ 0 };
	error = open_schema(&root_schema, arena, &ret->below);
	while (!error && path.len && span_split(&path, '.', &name)) {
		const struct key_level level = ret->below;

		name = without_index(name);
		error = step(&level, name, !path.len, arena, ret);
		if (error == -ENOENT)
			fault_unknown(&level, name, ret_fault);
	}
	return error;
}
