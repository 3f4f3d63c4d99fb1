/* SPDX-License-Identifier: Apache-2.0 */
#include "config/core/engine/yaml.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <yaml.h>

#include "config/core/engine/errors.h"
#include "user/base/check.h"
#include "user/base/limits.h"
#include "user/base/mem.h"

#define TAG_PREFIX "tag:yaml.org,2002:"

struct anchor {
	struct anchor *older;
	struct span name;
	struct yaml_node *node;
	bool is_open; /* its collection is incomplete: an alias to it would contain itself */
};

struct loader {
	yaml_parser_t parser;
	struct arena *arena;
	const struct yaml_source *source;
	struct yaml_budget *budget;
	struct config_report *report;
	struct yaml_document *document;
	struct anchor *anchors; /* newest first */
	uint32_t anchor_count;
};

/* The place of a new node: its parent, and its key if the parent is a map. */
struct slot {
	struct yaml_node *parent;
	struct span key;
	uint32_t key_line;
	uint32_t key_column;
	uint32_t depth;
};

/* -------------------------------------------------------------------------------- places and messages */

static uint32_t column_of(const struct yaml_source *source, uint32_t line, uint32_t column)
{
	int64_t result = column;
	uint32_t low = 0, high = source->shift_count;

	/* Find the last shift at or before the place. */
	while (low < high) {
		uint32_t middle = (low + high) / 2;
		const struct yaml_shift *shift = &source->shift_list[middle];

		if (shift->line < line || (shift->line == line && shift->column <= column))
			low = middle + 1;
		else
			high = middle;
	}
	if (low && source->shift_list[low - 1].line == line)
		result -= source->shift_list[low - 1].by;
	return result < 1 ? 1 : (uint32_t)result;
}

static void set_mark(const struct yaml_source *source, const yaml_mark_t *mark, uint32_t *ret_line,
		     uint32_t *ret_column)
{
	*ret_line = (uint32_t)mark->line + 1;
	*ret_column = column_of(source, *ret_line, (uint32_t)mark->column + 1);
}

static int __attribute__((format(printf, 3, 4)))
refuse_at(struct loader *l, const yaml_mark_t *mark, const char *format, ...)
{
	char sentence[400];
	struct text where;
	va_list arguments;
	uint32_t line, column;

	va_start(arguments, format);
	vsnprintf(sentence, sizeof(sentence), format, arguments);
	va_end(arguments);
	set_mark(l->source, mark, &line, &column);
	text_init(&where);
	text_escaped(&where, l->source->file);
	text_fmt(&where, ":%u:%u", line, column);
	config_message_at(l->report, CONFIG_ERROR, text_span(&where), "%s", sentence);
	text_done(&where);
	return -EINVAL;
}

/* For bytes libyaml has only an offset. */
static yaml_mark_t mark_of_offset(struct span text, size_t offset)
{
	yaml_mark_t mark = { 0 };

	for (size_t i = 0; i < offset && i < text.len; i++) {
		if (text.data[i] == '\n') {
			mark.line++;
			mark.column = 0;
		} else if (((unsigned char)text.data[i] & 0xc0) != 0x80) {
			mark.column++;
		}
	}
	return mark;
}

static int refuse_syntax(struct loader *l)
{
	const yaml_parser_t *parser = &l->parser;
	const char *problem = parser->problem ? parser->problem : "it cannot be read";
	yaml_mark_t mark = parser->problem_mark;

	switch (parser->error) {
	case YAML_MEMORY_ERROR:
		return -ENOMEM;
	case YAML_READER_ERROR:
		mark = mark_of_offset(l->source->text, parser->problem_offset);
		return refuse_at(l, &mark,
				 "this is not clean UTF-8 text (%s): save the file as UTF-8 without control "
				 "characters",
				 problem);
	case YAML_SCANNER_ERROR:
	case YAML_PARSER_ERROR:
	case YAML_NO_ERROR:
	case YAML_COMPOSER_ERROR:
	case YAML_WRITER_ERROR:
	case YAML_EMITTER_ERROR:
		break;
	}
	if (strcmp(problem, "found character that cannot start any token") == 0)
		return refuse_at(l, &mark,
				 "this is not YAML: a value cannot start with this character; "
				 "indent with spaces, not tabs, and put the value in quotes");
	if (strcmp(problem, "did not find expected <document start>") == 0)
		return refuse_at(
			l, &mark,
			"this is not YAML: the document before has ended here; if this is another one, "
			"begin it with a line \"---\"");
	if (parser->context)
		return refuse_at(
			l, &mark,
			"this is not YAML: %s, %s (line %zu); check indentation and quotes here and above",
			problem, parser->context, parser->context_mark.line + 1);
	return refuse_at(l, &mark, "this is not YAML: %s; check indentation and quotes here and above",
			 problem);
}

/* -------------------------------------------------------------------------------- nodes */

static int make_node(struct loader *l, enum yaml_kind kind, const yaml_mark_t *mark, const struct slot *slot,
		     struct yaml_node **ret)
{
	struct yaml_node *node;

	if (l->budget->nodes_left == 0)
		return refuse_at(l, mark,
				 "the configuration is too large: it has too many values, aliases included "
				 "(limits: %d in files, %d in objects of an API server); split it",
				 LIMIT_CONFIG_NODES, LIMIT_CLUSTER_NODES);
	if (slot->depth > LIMIT_CONFIG_DEPTH)
		return refuse_at(l, mark, "nested deeper than %d levels", LIMIT_CONFIG_DEPTH);
	l->budget->nodes_left--;
	node = arena_take(l->arena, sizeof(*node));
	if (!node)
		return -ENOMEM;
	*node = (struct yaml_node){
		.kind = kind,
		.key = slot->key,
		.key_line = slot->key_line,
		.key_column = slot->key_column,
		.parent = slot->parent,
		.document = l->document,
	};
	set_mark(l->source, mark, &node->line, &node->column);
	if (slot->parent) {
		node->index = slot->parent->count++;
		if (slot->parent->last)
			slot->parent->last->next = node;
		else
			slot->parent->first = node;
		slot->parent->last = node;
	}
	*ret = node;
	return 0;
}

static int check_tag(struct loader *l, const yaml_char_t *tag, const yaml_mark_t *mark, bool *ret_is_text)
{
	static const char *const known[] = { "str", "int", "float", "bool", "null", "map", "seq" };
	const char *name = (const char *)tag;

	*ret_is_text = false;
	if (!tag || strcmp(name, "!") == 0) {
		*ret_is_text = tag != NULL;
		return 0;
	}
	if (strncmp(name, TAG_PREFIX, sizeof(TAG_PREFIX) - 1) == 0) {
		for (size_t i = 0; i < ARRAY_LEN(known); i++) {
			if (strcmp(name + sizeof(TAG_PREFIX) - 1, known[i]) == 0) {
				*ret_is_text = i == 0;
				return 0;
			}
		}
	}
	return refuse_at(l, mark, "the tag %s has no meaning here; write the plain value without a tag",
			 QUOTE(span_str(name)));
}

static int take_scalar_text(struct loader *l, const yaml_event_t *event, struct span *ret)
{
	struct span s = { (const char *)event->data.scalar.value, event->data.scalar.length };

	if (span_find(s, '\0') >= 0)
		return refuse_at(l, &event->start_mark, "a text may not contain a NUL byte");
	s = arena_copy(l->arena, s);
	if (!s.data)
		return -ENOMEM;
	*ret = s;
	return 0;
}

/* -------------------------------------------------------------------------------- anchors and aliases */

static int add_anchor(struct loader *l, const yaml_char_t *name, struct yaml_node *node,
		      const yaml_mark_t *mark, struct anchor **ret)
{
	struct anchor *anchor;

	*ret = NULL;
	if (!name)
		return 0;
	if (l->anchor_count == LIMIT_CONFIG_ANCHORS)
		return refuse_at(l, mark, "more than %d anchors in one document", LIMIT_CONFIG_ANCHORS);
	anchor = arena_take(l->arena, sizeof(*anchor));
	if (!anchor)
		return -ENOMEM;
	*anchor = (struct anchor){ .older = l->anchors, .node = node };
	anchor->name = arena_copy(l->arena, span_str((const char *)name));
	if (!anchor->name.data)
		return -ENOMEM;
	l->anchors = anchor;
	l->anchor_count++;
	*ret = anchor;
	return 0;
}

static int copy_node(struct loader *l, const struct yaml_node *from, const yaml_mark_t *alias,
		     const struct slot *slot)
{
	struct yaml_node *node;
	int r = make_node(l, from->kind, alias, slot, &node);

	if (r < 0)
		return r;
	node->line = from->line;
	node->column = from->column;
	node->is_quoted = from->is_quoted;
	node->text = from->text;
	yaml_each(child, from) {
		struct slot inner = { node, child->key, child->key_line, child->key_column, slot->depth + 1 };

		r = copy_node(l, child, alias, &inner);
		if (r < 0)
			return r;
	}
	return 0;
}

static int expand_alias(struct loader *l, const yaml_event_t *event, const struct slot *slot)
{
	struct span name = span_str((const char *)event->data.alias.anchor);
	const struct anchor *anchor = l->anchors;

	while (anchor && !span_eq(anchor->name, name))
		anchor = anchor->older;
	if (!anchor)
		return refuse_at(l, &event->start_mark,
				 "the alias *%.*s has no anchor: write &%.*s before the value it repeats",
				 SPAN_FMT(span_first(name, 60)), SPAN_FMT(span_first(name, 60)));
	if (anchor->is_open)
		return refuse_at(l, &event->start_mark, "the alias *%.*s stands inside the value it repeats",
				 SPAN_FMT(span_first(name, 60)));
	return copy_node(l, anchor->node, &event->start_mark, slot);
}

/* -------------------------------------------------------------------------------- parsing */

static int parse_node(struct loader *l, yaml_event_t *event, const struct slot *slot);

static int next_event(struct loader *l, yaml_event_t *event)
{
	return yaml_parser_parse(&l->parser, event) ? 0 : refuse_syntax(l);
}

/* Duplicate keys: YAML 1.2 3.2.1.3 forbids them, and one of the two would be silently ignored. */
static int compare_members(const void *a, const void *b)
{
	const struct yaml_node *x = *(const struct yaml_node *const *)a,
			       *y = *(const struct yaml_node *const *)b;
	int order = span_compare(x->key, y->key);

	return order ? order : (x->index < y->index ? -1 : 1);
}

static int check_duplicates(struct loader *l, const struct yaml_node *map)
{
	const struct yaml_node **members;
	size_t count = 0;

	if (map->count < 2)
		return 0;
	members = hg_malloc(map->count * sizeof(struct yaml_node *));
	if (!members)
		return -ENOMEM;
	yaml_each(child, map)
		members[count++] = child;
	qsort(members, count, sizeof(struct yaml_node *), compare_members);
	for (size_t i = 1; i < count; i++)
		if (span_eq(members[i - 1]->key, members[i]->key))
			config_error_key(l->report, members[i],
					 "the key %s stands here twice (first in line %u); remove one",
					 QUOTE(members[i]->key), members[i - 1]->key_line);
	hg_free(members);
	return 0;
}

static int parse_key(struct loader *l, const yaml_event_t *event, struct slot *slot)
{
	int r;

	if (event->type != YAML_SCALAR_EVENT)
		return refuse_at(l, &event->start_mark,
				 "a key must be a plain word, not a map, list or alias");
	r = take_scalar_text(l, event, &slot->key);
	if (r < 0)
		return r;
	set_mark(l->source, &event->start_mark, &slot->key_line, &slot->key_column);
	if (event->data.scalar.style == YAML_PLAIN_SCALAR_STYLE && span_eq(slot->key, SPAN("<<")))
		return refuse_at(l, &event->start_mark,
				 "merge keys (<<) are not supported; write the keys out");
	return 0;
}

static int parse_members(struct loader *l, struct yaml_node *node, uint32_t depth)
{
	bool is_map = node->kind == YAML_MAP;
	yaml_event_type_t end = is_map ? YAML_MAPPING_END_EVENT : YAML_SEQUENCE_END_EVENT;

	for (;;) {
		struct slot slot = { .parent = node, .depth = depth + 1 };
		yaml_event_t event;
		bool at_end;
		int r = next_event(l, &event);

		if (r < 0)
			return r;
		at_end = event.type == end;
		if (!at_end && is_map) {
			r = parse_key(l, &event, &slot);
			yaml_event_delete(&event);
			if (r == 0)
				r = next_event(l, &event);
			if (r < 0)
				return r;
		}
		if (!at_end)
			r = parse_node(l, &event, &slot);
		yaml_event_delete(&event);
		if (r < 0)
			return r;
		if (at_end)
			return is_map ? check_duplicates(l, node) : 0;
	}
}

static int parse_collection(struct loader *l, const yaml_event_t *event, const struct slot *slot)
{
	bool is_map = event->type == YAML_MAPPING_START_EVENT, is_text;
	const yaml_char_t *tag = is_map ? event->data.mapping_start.tag : event->data.sequence_start.tag;
	const yaml_char_t *name =
		is_map ? event->data.mapping_start.anchor : event->data.sequence_start.anchor;
	struct yaml_node *node;
	struct anchor *anchor;
	int r;

	r = check_tag(l, tag, &event->start_mark, &is_text);
	if (r == 0)
		r = make_node(l, is_map ? YAML_MAP : YAML_LIST, &event->start_mark, slot, &node);
	if (r == 0)
		r = add_anchor(l, name, node, &event->start_mark, &anchor);
	if (r < 0)
		return r;
	if (anchor)
		anchor->is_open = true;
	if (!slot->parent)
		l->document->root = node;
	r = parse_members(l, node, slot->depth);
	if (anchor)
		anchor->is_open = false;
	return r;
}

static int parse_scalar(struct loader *l, const yaml_event_t *event, const struct slot *slot)
{
	struct yaml_node *node;
	struct anchor *anchor;
	bool is_text;
	int r;

	r = check_tag(l, event->data.scalar.tag, &event->start_mark, &is_text);
	if (r == 0)
		r = make_node(l, YAML_SCALAR, &event->start_mark, slot, &node);
	if (r == 0)
		r = take_scalar_text(l, event, &node->text);
	if (r == 0)
		r = add_anchor(l, event->data.scalar.anchor, node, &event->start_mark, &anchor);
	if (r < 0)
		return r;
	node->is_quoted = is_text || event->data.scalar.style != YAML_PLAIN_SCALAR_STYLE;
	if (!slot->parent)
		l->document->root = node;
	return 0;
}

static int parse_node(struct loader *l, yaml_event_t *event, const struct slot *slot)
{
	if (event->type == YAML_ALIAS_EVENT)
		return expand_alias(l, event, slot);
	if (event->type == YAML_SCALAR_EVENT)
		return parse_scalar(l, event, slot);
	if (event->type == YAML_MAPPING_START_EVENT || event->type == YAML_SEQUENCE_START_EVENT)
		return parse_collection(l, event, slot);
	return refuse_at(l, &event->start_mark, "a value is missing here");
}

static int keep_document(struct loader *l, struct yaml_documents *documents, uint32_t *size)
{
	if (!l->document->root || yaml_is_null(l->document->root))
		return 0;
	if (documents->count == *size) {
		uint32_t bigger = *size ? *size * 2 : 8;
		struct yaml_document **list = arena_take(l->arena, bigger * sizeof(struct yaml_document *));

		if (!list)
			return -ENOMEM;
		if (documents->count)
			memcpy(list, documents->list, documents->count * sizeof(struct yaml_document *));
		documents->list = list;
		*size = bigger;
	}
	documents->list[documents->count++] = l->document;
	return 0;
}

static int parse_document(struct loader *l)
{
	struct slot slot = { .depth = 1 };
	yaml_event_t event;
	int r;

	l->document = arena_take(l->arena, sizeof(*l->document));
	if (!l->document)
		return -ENOMEM;
	l->document->file = l->source->file;
	l->anchors = NULL;
	l->anchor_count = 0;
	r = next_event(l, &event);
	if (r < 0)
		return r;
	r = parse_node(l, &event, &slot);
	yaml_event_delete(&event);
	return r;
}

static int parse_stream(struct loader *l, struct yaml_documents *documents)
{
	uint32_t size = 0;

	for (;;) {
		yaml_event_t event;
		yaml_event_type_t type;
		int r = next_event(l, &event);

		if (r < 0)
			return r;
		type = event.type;
		yaml_event_delete(&event);
		if (type == YAML_STREAM_END_EVENT)
			return 0;
		if (type != YAML_DOCUMENT_START_EVENT)
			continue;
		r = parse_document(l);
		if (r == 0)
			r = keep_document(l, documents, &size);
		if (r < 0)
			return r;
	}
}

int yaml_load(struct arena *arena, const struct yaml_source *source, struct yaml_budget *budget,
	      struct config_report *report, struct yaml_documents *ret)
{
	struct loader l = { .arena = arena, .source = source, .budget = budget, .report = report };
	struct yaml_documents documents = { 0 };
	int r;

	if (!yaml_parser_initialize(&l.parser))
		return -ENOMEM;
	yaml_parser_set_encoding(&l.parser, YAML_UTF8_ENCODING);
	/* libyaml asserts a non-NULL address, even for an empty text. */
	yaml_parser_set_input_string(&l.parser,
				     (const unsigned char *)(source->text.len ? source->text.data : ""),
				     source->text.len);
	r = parse_stream(&l, &documents);
	yaml_parser_delete(&l.parser);
	if (r == 0)
		*ret = documents;
	return r;
}
