/* SPDX-License-Identifier: Apache-2.0 */
#include "config/convert.h"

#include <errno.h>

#include "config/core/engine/expand.h"
#include "config/core/engine/yaml.h"
#include "config/core/engine/yaml_write.h"
#include "config/source.h"
#include "config/standalone/convert.h"
#include "user/base/check.h"
#include "user/base/limits.h"

#define BLOCK_BYTES (64 * 1024)

/* The messages of the load are those of the file. */
static int check(const char *name, struct span text, struct config_report *report)
{
	struct config_source source = { .path = name, .has_text = true, .text = text };
	struct snapshot *snapshot = NULL;
	int r = config_load(&source, 1, NULL, report, &snapshot);

	snapshot_unref(snapshot);
	return r;
}

/*
 * A variable may only stand for a text: convert moves the parts of a map or list separately. `node` has its
 * variables unexpanded. The depth is bounded by LIMIT_CONFIG_DEPTH.
 */
static void compare_shape(struct config_report *report, const struct yaml_node *node,
			  const struct yaml_node *expanded)
{
	const struct yaml_node *other = expanded->first;

	if (node->kind != expanded->kind || node->count != expanded->count ||
	    !span_eq(node->key, expanded->key)) {
		config_error(report, node,
			     "has a variable that stands for more than a text; write its value, because "
			     "convert moves its parts");
		return;
	}
	for (const struct yaml_node *child = node->first; child; child = child->next, other = other->next)
		compare_shape(report, child, other);
}

static int check_shape(struct arena *arena, const struct source_text *text, struct config_report *report,
		       const struct yaml_node *root)
{
	struct expansion expansion = { .text = text->text };
	struct yaml_budget budget = { LIMIT_CONFIG_NODES };
	struct yaml_documents documents = { 0 };
	struct yaml_source source = { .file = text->name };
	int r = expand_text(arena, text->name, text->text, expand_environment, report, &expansion);

	source.text = expansion.text;
	if (r == 0)
		r = yaml_load(arena, &source, &budget, report, &documents);
	if (r < 0)
		return r;
	compare_shape(report, root, documents.list[0]->root);
	return config_report_has_errors(report) ? -EINVAL : 0;
}

/* Outdated kinds and versions, whose replacement has the same fields. */
static const struct replacement {
	const char *kind, *version, *advice;
} replacements[] = {
	{ "XListenerSet", NULL, "apiVersion: gateway.networking.k8s.io/v1 and kind: ListenerSet" },
	{ "BackendTLSPolicy", "gateway.networking.k8s.io/v1alpha3",
	  "apiVersion: gateway.networking.k8s.io/v1" },
};

/* Manifests are not converted: reports for each object what to do instead. False: it is not a manifest. */
static bool refuse_manifest(struct config_report *report, const struct yaml_node *root)
{
	const struct yaml_node *kind = yaml_get(root, SPAN("kind")),
			       *version = yaml_get(root, SPAN("apiVersion"));
	const char *advice = NULL;

	if (!kind && !version)
		return false;
	for (size_t i = 0; kind && i < ARRAY_LEN(replacements); i++)
		if (span_eq(kind->text, span_str(replacements[i].kind)) &&
		    (!replacements[i].version ||
		     (version && span_eq(version->text, span_str(replacements[i].version)))))
			advice = replacements[i].advice;
	config_error(report, root,
		     "this %s is not converted: Kubernetes manifests are a form of their own%s%s",
		     kind && kind->text.len ? QUOTE(kind->text) : "object",
		     advice ? ", whose current one is " : ", which is current; leave it as it is",
		     advice ? advice : "");
	return true;
}

/* Does not expand variables: the new file keeps them. */
static int parse(struct arena *arena, const struct source_text *text, struct config_report *report,
		 const struct yaml_node **ret)
{
	struct yaml_source source = { .file = text->name, .text = text->text };
	struct yaml_budget budget = { LIMIT_CONFIG_NODES };
	struct yaml_documents documents = { 0 };
	int r = yaml_load(arena, &source, &budget, report, &documents);
	bool has_manifest = false;

	if (r == -EINVAL)
		config_message_at(
			report, CONFIG_ERROR, text->name,
			"is YAML only after its variables are expanded, and convert keeps them; put "
			"quotes around them");
	if (r < 0)
		return r;
	for (uint32_t i = 0; i < documents.count; i++)
		has_manifest |= refuse_manifest(report, documents.list[i]->root);
	if (has_manifest)
		return -EINVAL;
	if (documents.count != 1) {
		config_message_at(report, CONFIG_ERROR, text->name,
				  "is not one standalone configuration; write it as one document");
		return -EINVAL;
	}
	*ret = documents.list[0]->root;
	return check_shape(arena, text, report, *ret);
}

static int convert(struct arena *arena, const struct yaml_node *root, struct config_report *report,
		   struct text *out)
{
	struct decoder decoder = { .arena = arena, .report = report };
	const struct yaml_node *converted = standalone_convert(&decoder, root);

	if (!converted || report->failed)
		return -ENOMEM;
	if (config_report_has_errors(report))
		return -EINVAL;
	yaml_write(converted, out);
	return text_error(out);
}

int config_convert(const struct config_source *source, struct config_report *report, struct text *out)
{
	const struct yaml_node *root = NULL;
	struct source_texts texts;
	struct arena arena;
	int r;

	arena_init(&arena, BLOCK_BYTES);
	source_init(&texts);
	r = source_read(&arena, source, report, &texts);
	if (r == 0 && texts.count != 1) {
		config_message_at(report, CONFIG_ERROR, span_str(source->path),
				  "is not one file; convert each file of the directory");
		r = -EINVAL;
	}
	if (r == 0)
		r = check(source->path, texts.list[0].text, report);
	if (r == 0)
		r = parse(&arena, &texts.list[0], report, &root);
	if (r == 0)
		r = convert(&arena, root, report, out);
	if (r == 0) {
		struct config_report again;

		config_report_init(&again);
		r = check("the converted file", text_span(out), &again);
		for (uint32_t i = 0; i < again.message_count; i++)
			if (again.message_list[i].severity == CONFIG_ERROR)
				config_message_at(report, CONFIG_ERROR, (struct span){ 0 }, "%.*s",
						  SPAN_FMT(again.message_list[i].text));
		config_report_done(&again);
	}
	source_done(&texts);
	arena_done(&arena);
	return r;
}
