/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/dump/status.h"

#include <stdio.h>

#include "config/gatewayapi/condition.h"

enum { WIDTH_MAX = 60 }; /* of the first column; longer names move the rest of their line */

/* A line: an object, or a part of one. Twice: to measure the first column, and to write. */
struct table {
	struct text *out; /* NULL: only measures */
	const struct status_host *host;
	size_t width;
};

static void write_word(struct text *line, const struct conditions *conditions, enum condition_type type)
{
	const struct status_condition *one = &conditions->of[type];

	text_fmt(line, "  %-10s", !one->is_set ? "-" : one->is_true ? "True" : "False");
}

/* Positive conditions that are False, and those that are only ever set for trouble. */
static bool is_trouble(const struct status_condition *one, enum condition_type type)
{
	if (!one->is_set)
		return false;
	if (type == CONDITION_CONFLICTED || type == CONDITION_PARTIALLY_INVALID ||
	    type == CONDITION_INSECURE_FRONTEND || type == CONDITION_OVERLAPPING_TLS)
		return one->is_true;
	return !one->is_true || one->message.len;
}

static void write_trouble(struct table *table, const struct conditions *conditions)
{
	for (unsigned i = 0; i < CONDITION_TYPE_COUNT; i++) {
		const struct status_condition *one = &conditions->of[i];

		if (!is_trouble(one, (enum condition_type)i))
			continue;
		text_fmt(table->out, "    %s=%s %s: ", condition_name((enum condition_type)i),
			 one->is_true ? "True" : "False", one->reason);
		text_escaped(table->out, one->message);
		text_char(table->out, '\n');
	}
}

static void write_line(struct table *table, const struct text *name, const struct conditions *conditions,
		       const char *rest)
{
	struct span shown;
	struct text line;

	if (!table->out) {
		if (name->len > table->width && name->len <= WIDTH_MAX)
			table->width = name->len;
		return;
	}
	text_init(&line);
	text_fmt(&line, "%-*.*s", (int)table->width, SPAN_FMT(text_span(name)));
	if (conditions) {
		write_word(&line, conditions, CONDITION_ACCEPTED);
		write_word(&line, conditions, CONDITION_PROGRAMMED);
		write_word(&line, conditions, CONDITION_RESOLVED_REFS);
	}
	text_str(&line, rest);
	shown = text_span(&line);
	while (shown.len && shown.data[shown.len - 1] == ' ')
		shown.len--;
	text_add(table->out, shown);
	text_char(table->out, '\n');
	table->out->failed |= text_error(&line) != 0;
	text_done(&line);
	if (conditions)
		write_trouble(table, conditions);
}

static void write_listeners(struct table *table, const struct status_object *object, struct text *name)
{
	char rest[64];

	for (const struct status_listener *l = object->listener_list; l; l = l->next) {
		text_clear(name);
		text_str(name, "  listener ");
		text_escaped(name, l->name);
		snprintf(rest, sizeof(rest), "  %u", l->attached_routes);
		write_line(table, name, &l->conditions, rest);
	}
}

static void write_parents(struct table *table, const struct status_object *object, struct text *name)
{
	for (const struct status_parent *parent = object->parent_list; parent; parent = parent->next) {
		text_clear(name);
		text_str(name, object->form == STATUS_ROUTE ? "  parent " : "  at ");
		text_escaped(name, parent->kind);
		text_char(name, ' ');
		text_escaped(name, parent->namespace);
		text_char(name, '/');
		text_escaped(name, parent->name);
		if (parent->section.len) {
			text_char(name, ' ');
			text_escaped(name, parent->section);
		}
		if (parent->port)
			text_fmt(name, ":%u", parent->port);
		write_line(table, name, &parent->conditions, "");
	}
}

static void write_objects(struct table *table, const struct snapshot *snapshot, struct text *name)
{
	struct text message;

	text_init(&message);
	for (const struct status_object *object = snapshot->status_list; object; object = object->next) {
		bool has_own = object->form != STATUS_ROUTE && object->form != STATUS_POLICY;
		struct conditions own = status_conditions(object, table->host, &message);

		text_clear(name);
		text_fmt(name, "%s ", object->kind);
		if (object->namespace.len) {
			text_escaped(name, object->namespace);
			text_char(name, '/');
		}
		text_escaped(name, object->name);
		write_line(table, name, has_own ? &own : NULL, "");
		write_listeners(table, object, name);
		write_parents(table, object, name);
	}
	text_done(&message);
}

void status_table(const struct snapshot *snapshot, const struct status_host *host, struct text *out)
{
	struct table table = { .host = host, .width = sizeof("OBJECT") - 1 };
	struct text name;

	if (!snapshot->status_list) {
		text_str(out, "no Kubernetes objects\n");
		return;
	}
	text_init(&name);
	write_objects(&table, snapshot, &name);
	table.out = out;
	text_fmt(out, "%-*s  %-10s  %-10s  %-10s  %s\n", (int)table.width, "OBJECT", "ACCEPTED", "PROGRAMMED",
		 "REFS", "ROUTES");
	write_objects(&table, snapshot, &name);
	out->failed |= text_error(&name) != 0;
	text_done(&name);
}
