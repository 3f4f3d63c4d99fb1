/* SPDX-License-Identifier: Apache-2.0 */
#include "config/clear_text.h"

#include <errno.h>

#include "config/core/engine/yaml.h"
#include "config/source.h"
#include "user/base/check.h"
#include "user/base/limits.h"

#define BLOCK_BYTES (64 * 1024)

static bool is_literal(const struct yaml_node *node)
{
	return node->kind == YAML_SCALAR && node->text.len && span_find(node->text, '$') < 0;
}

static bool is_one_of(struct span word, const char *const *list, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (span_eq_nocase(word, span_str(list[i])))
			return true;
	return false;
}

/* The end of a name such as GITHUB_TOKEN. */
static bool names_secret(struct span name)
{
	static const char *const ends[] = { "token", "secret", "password", "passwd", "key" };

	for (size_t i = 0; i < ARRAY_LEN(ends); i++) {
		size_t len = strlen(ends[i]);

		if (name.len >= len && span_eq_nocase(span_from(name, name.len - len), span_str(ends[i])))
			return true;
	}
	return false;
}

static bool is_below(const struct yaml_node *node, const char *key, unsigned levels)
{
	for (; node && levels; levels--)
		node = node->parent;
	return node && span_eq(node->key, span_str(key));
}

/* backendAuth: {key: text}, {key: {value: text}}, {credentials: [{key: text}]} */
static bool is_backend_key(const struct yaml_node *node)
{
	if (span_eq(node->key, SPAN("key")))
		return is_below(node, "backendAuth", 1) ||
		       (is_below(node, "credentials", 2) && is_below(node, "backendAuth", 3));
	return span_eq(node->key, SPAN("value")) && is_below(node, "key", 1) &&
	       is_below(node, "backendAuth", 2);
}

/* Below these, headers have expressions for values: only one that is nothing but a text has a secret. */
static bool computes(const struct yaml_node *node)
{
	static const char *const keys[] = { "transformations", "accessLog", "metrics" };
	struct span text = node->text;
	bool is_text = text.len > 1 && (text.data[0] == '"' || text.data[0] == '\'') &&
		       span_find(span_from(text, 1), text.data[0]) == (ptrdiff_t)text.len - 2;

	while (node && !is_one_of(node->key, keys, ARRAY_LEN(keys)))
		node = node->parent;
	return node && !is_text;
}

static void judge(const struct yaml_node *node, struct config_report *report)
{
	static const char *const headers[] = { "authorization", "proxy-authorization", "cookie",
					       "x-api-key" };

	if (!is_literal(node))
		return;
	/* apiKey.keys[].key */
	if (span_eq(node->key, SPAN("key")) && is_below(node, "keys", 2) && is_below(node, "apiKey", 3))
		config_warning(report, node,
			       "an API key stands here in clear text; write keyHash: sha256:... as "
			       "sha256sum(1) prints it, or a variable as in key: $API_KEY");
	else if (is_backend_key(node))
		config_warning(
			report, node,
			"a key stands here in clear text; write a variable, as in \"$BACKEND_KEY\", or "
			"{file: /etc/headgate/key}");
	else if ((is_below(node, "set", 1) || is_below(node, "add", 1)) &&
		 is_one_of(node->key, headers, ARRAY_LEN(headers)) && !computes(node))
		config_warning(report, node,
			       "a credential stands here in clear text; write a variable, as in \"$TOKEN\"");
	else if (is_below(node, "env", 1) && names_secret(node->key))
		config_warning(report, node,
			       "a secret stands here in clear text; write a variable, as in \"$%.*s\"",
			       SPAN_FMT(node->key));
}

static void walk(const struct yaml_node *node, struct config_report *report)
{
	judge(node, report);
	yaml_each(child, node)
		walk(child, report);
}

static void judge_admin(const struct yaml_node *root, struct config_report *report)
{
	static const char *const own[] = { "localhost:", "127.", "[::1]:", "unix:", "off" };
	const struct yaml_node *config = yaml_get(root, SPAN("config"));
	const struct yaml_node *address = config ? yaml_get(config, SPAN("adminAddr")) : NULL;

	if (!address || !is_literal(address))
		return;
	for (size_t i = 0; i < ARRAY_LEN(own); i++)
		if (span_starts(address->text, span_str(own[i])))
			return;
	config_warning(report, address,
		       "other hosts reach the admin interface, which has no password and ends streams; write "
		       "localhost:15000, or unix:/path");
}

static int judge_text(struct arena *arena, const struct source_text *text, struct config_report *report)
{
	const struct yaml_source source = { .file = text->name, .text = text->text };
	struct yaml_budget budget = { LIMIT_CONFIG_NODES };
	struct yaml_documents documents = { 0 };
	int error = yaml_load(arena, &source, &budget, report, &documents);

	for (uint32_t i = 0; i < documents.count && !error; i++) {
		const struct yaml_node *root = documents.list[i]->root;

		if (yaml_get(root, SPAN("apiVersion")) || yaml_get(root, SPAN("kind")))
			continue;
		walk(root, report);
		judge_admin(root, report);
	}
	return error;
}

int clear_text_warn(const struct config_source *source_list, size_t source_count,
		    struct config_report *report)
{
	struct source_texts texts;
	struct arena arena;
	int error = 0;

	arena_init(&arena, BLOCK_BYTES);
	source_init(&texts);
	for (size_t i = 0; i < source_count && !error; i++)
		error = source_read(&arena, &source_list[i], report, &texts);
	for (uint32_t i = 0; i < texts.count && !error; i++)
		error = judge_text(&arena, &texts.list[i], report);
	source_done(&texts);
	arena_done(&arena);
	return error;
}
