/* SPDX-License-Identifier: Apache-2.0 */
#include "config/gatewayapi/unknown_kind.h"

#include <stdio.h>

#include "config/core/engine/typo.h"
#include "config/gatewayapi/target_kind.h"
#include "user/base/check.h"

struct unknown_kind {
	const struct yaml_node *root;
	struct span group;
	struct span kind;
	struct span namespace;
	bool is_backend_tls;
	bool is_broken; /* has no name or kind, or exists twice, which has been reported */
	bool is_version; /* one of our kinds in an unknown version */
	enum manifest_kind known; /* with is_version: that kind */
	bool is_refusal; /* its targets are not served */
	uint32_t targets;
};

/* An object, or a part of it, that must not be served. */
struct refusal {
	struct span section; /* empty: the whole object */
	bool is_backend_tls;
	const struct refusal *next; /* next one of the same object */
};

/* -------------------------------------------------------------------------------- what it asks for */

/* Parts of names, in lower case, that restrict access. */
static const char *const words[] = {
	"tls", "auth", "jwt", "oidc", "apikey", "security", "accesscontrol", "firewall", "waf",
};

static bool is_security_word(struct span name)
{
	char lower[64];
	size_t len = name.len < sizeof(lower) - 1 ? name.len : sizeof(lower) - 1;

	for (size_t i = 0; i < len; i++)
		lower[i] =
			(char)(name.data[i] >= 'A' && name.data[i] <= 'Z' ? name.data[i] + 32 : name.data[i]);
	lower[len] = '\0';
	/* "authority" is the host part of a URL. */
	if (strstr(lower, "authority"))
		return false;
	for (size_t i = 0; i < ARRAY_LEN(words); i++)
		if (strstr(lower, words[i]))
			return true;
	return false;
}

bool unknown_kind_is_harmless_word(struct span name)
{
	return !is_security_word(name);
}

enum { SECURITY_DEPTH = 4 }; /* levels of a spec that are searched */

static bool has_security_key(const struct yaml_node *node, unsigned depth)
{
	if (!node || depth == 0)
		return false;
	yaml_each(member, node) {
		if (node->kind == YAML_MAP && is_security_word(member->key))
			return true;
		if (member->kind != YAML_SCALAR && has_security_key(member, depth - 1))
			return true;
	}
	return false;
}

static bool is_security(const struct unknown_kind *unknown_kind)
{
	return is_security_word(unknown_kind->kind) || is_security_word(unknown_kind->group) ||
	       has_security_key(decode_get(unknown_kind->root, "spec"), SECURITY_DEPTH);
}

/* -------------------------------------------------------------------------------- what it may have meant */

static bool is_our_group(struct span group)
{
	return span_eq(group, SPAN(GROUP_GATEWAY)) || span_eq(group, SPAN(GROUP_AGENTGATEWAY));
}

static bool known_kind(const struct unknown_kind *unknown_kind, enum manifest_kind *ret)
{
	for (unsigned i = 0; i < MANIFEST_KIND_COUNT; i++) {
		*ret = (enum manifest_kind)i;
		if (span_eq(unknown_kind->group, span_str(manifest_kind_group(*ret))) &&
		    span_eq(unknown_kind->kind, span_str(manifest_kind_name(*ret))))
			return true;
	}
	return false;
}

/* Finds one of our kinds if the kind, or its group, is misspelt; NULL: not similar. */
static const char *meant_kind(const struct unknown_kind *unknown_kind, const char **ret_group)
{
	for (unsigned i = 0; i < MANIFEST_KIND_COUNT; i++) {
		const char *group = manifest_kind_group((enum manifest_kind)i);
		const char *name = manifest_kind_name((enum manifest_kind)i);

		*ret_group = group;
		if (span_eq(unknown_kind->group, span_str(group)) && typo_is_of(unknown_kind->kind, name))
			return name;
		if (*group && span_eq(unknown_kind->kind, span_str(name)) &&
		    typo_is_of(unknown_kind->group, group))
			return name;
	}
	return NULL;
}

/* -------------------------------------------------------------------------------- what it applies to */

static bool target_kind(struct span name, enum manifest_kind *ret)
{
	static const enum manifest_kind kinds[] = { MANIFEST_GATEWAY,	   MANIFEST_HTTP_ROUTE,
						    MANIFEST_GRPC_ROUTE,   MANIFEST_TCP_ROUTE,
						    MANIFEST_TLS_ROUTE,	   MANIFEST_SERVICE,
						    MANIFEST_LISTENER_SET, MANIFEST_X_LISTENER_SET,
						    MANIFEST_BACKEND };

	for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
		if (span_eq(name, span_str(manifest_kind_name(kinds[i])))) {
			*ret = kinds[i];
			return true;
		}
	}
	return false;
}

/* Reports no errors: the object is for another program, in an unknown form. */
static struct span scalar(const struct yaml_node *map, const char *key)
{
	const struct yaml_node *node = map && map->kind == YAML_MAP ? decode_get(map, key) : NULL;

	return node && node->kind == YAML_SCALAR ? node->text : (struct span){ 0 };
}

static struct span refusal_key(struct decoder *d, enum manifest_kind kind, struct span namespace,
			       struct span name)
{
	return decode_text(d, "%d/%.*s/%.*s", (int)kind, SPAN_FMT(namespace), SPAN_FMT(name));
}

/* If the object has no such part, it is unknown which one is meant: all of it is refused. */
static struct span known_section(struct manifests *m, enum manifest_kind kind, struct span namespace,
				 struct span name, struct span section)
{
	const struct manifest_object *object = manifest_find(m, kind, namespace, name);

	return object && target_kind_section(object, section) ? section : (struct span){ 0 };
}

static void refuse(struct manifests *m, bool is_backend_tls, enum manifest_kind kind, struct span namespace,
		   struct span name, struct span section)
{
	struct decoder *d = m->decoder;
	struct span key = refusal_key(d, kind, namespace, name);
	struct refusal *refusal = decode_take(d, 1, sizeof(*refusal)), *first;

	if (!key.data || !refusal)
		return;
	refusal->section = known_section(m, kind, namespace, name, section);
	refusal->is_backend_tls = is_backend_tls;
	first = name_map_get(&m->refusals, key);
	if (!first) {
		name_map_put(d, &m->refusals, key, refusal);
	} else {
		refusal->next = first->next;
		first->next = refusal;
	}
}

static void take_ref(struct manifests *m, struct unknown_kind *unknown_kind, const struct yaml_node *node)
{
	struct span name = scalar(node, "name"), namespace = scalar(node, "namespace");
	enum manifest_kind kind;

	if (!name.len || !target_kind(scalar(node, "kind"), &kind))
		return;
	unknown_kind->targets++;
	if (unknown_kind->is_refusal)
		refuse(m, unknown_kind->is_backend_tls, kind,
		       namespace.len ? namespace : unknown_kind->namespace, name,
		       scalar(node, "sectionName"));
}

/* Evaluates label selectors with plain names and values; any other selector matches the whole namespace. */
static bool selects(struct decoder *d, const struct yaml_node *selector, const struct manifest_object *object)
{
	const struct yaml_node *labels = decode_get(selector, "matchLabels");

	if (!labels || labels->kind != YAML_MAP)
		return true;
	if (!manifest_select(d, selector,
			     (uint64_t)labels->count * (1 + (object->labels ? object->labels->count : 0))))
		return false;
	yaml_each(label, labels) {
		const struct yaml_node *found = object->labels ? yaml_get(object->labels, label->key) : NULL;

		/* A label that cannot be read may be any. */
		if (label->kind == YAML_SCALAR &&
		    (!found || found->kind != YAML_SCALAR || !span_eq(found->text, label->text)))
			return false;
	}
	return true;
}

static void take_selector(struct manifests *m, struct unknown_kind *unknown_kind,
			  const struct yaml_node *node)
{
	enum manifest_kind kind;

	if (!target_kind(scalar(node, "kind"), &kind))
		return;
	unknown_kind->targets++;
	if (!manifest_select(m->decoder, node, m->objects[kind].count))
		return;
	for (uint32_t i = 0; unknown_kind->is_refusal && i < m->objects[kind].count; i++) {
		const struct manifest_object *object = m->objects[kind].list[i];

		if (span_eq(object->namespace, unknown_kind->namespace) && selects(m->decoder, node, object))
			refuse(m, unknown_kind->is_backend_tls, kind, object->namespace, object->name,
			       scalar(node, "sectionName"));
	}
}

static void take_targets(struct manifests *m, struct unknown_kind *unknown_kind)
{
	const struct yaml_node *spec = decode_get(unknown_kind->root, "spec"), *one, *list, *selectors;

	if (!spec || spec->kind != YAML_MAP)
		return;
	one = decode_get(spec, "targetRef");
	list = decode_get(spec, "targetRefs");
	selectors = decode_get(spec, "targetSelectors");
	if (one)
		take_ref(m, unknown_kind, one);
	if (list && list->kind == YAML_LIST)
		yaml_each(node, list)
			take_ref(m, unknown_kind, node);
	if (selectors && selectors->kind == YAML_LIST)
		yaml_each(node, selectors)
			take_selector(m, unknown_kind, node);
}

/* -------------------------------------------------------------------------------- what is said */

static void report_version(struct manifests *m, const struct unknown_kind *unknown_kind)
{
	config_warning(m->decoder->report, decode_get(unknown_kind->root, "apiVersion"),
		       "this gateway does not know that version of %s; what the object names gets status 500 "
		       "instead of being served without it: write it as %s/%s",
		       QUOTE(unknown_kind->kind), manifest_kind_group(unknown_kind->known),
		       manifest_kind_version(unknown_kind->known));
}

static void report_refusal(struct manifests *m, const struct unknown_kind *unknown_kind, const char *meant,
			   const char *group)
{
	const char *advice = "write it as an AgentgatewayPolicy, or remove it";
	char hint[200];

	if (meant) {
		snprintf(hint, sizeof(hint), "did you mean %s of %s?", meant, *group ? group : "v1");
		advice = hint;
	}
	config_warning(m->decoder->report, unknown_kind->root,
		       "%s of %s is a policy that this gateway does not know%s; what it names gets status "
		       "500 instead of being served without it: %s",
		       QUOTE(unknown_kind->kind), QUOTE(unknown_kind->group),
		       is_security(unknown_kind) ? ", and asks for security" : "", advice);
}

static void report_unknown(struct manifests *m, const struct unknown_kind *unknown_kind, const char *meant,
			   const char *group)
{
	struct config_report *report = m->decoder->report;

	if (meant)
		config_warning(report, unknown_kind->root,
			       "skipped: there is no kind %s of %s; did you mean %s of %s?",
			       QUOTE(unknown_kind->kind), QUOTE(unknown_kind->group), meant,
			       *group ? group : "v1");
	else
		config_warning(
			report, unknown_kind->root,
			"skipped: %s of %s is not supported by this gateway and has no effect; remove it, "
			"or write what it is for in routes and AgentgatewayPolicies",
			QUOTE(unknown_kind->kind), QUOTE(unknown_kind->group));
}

/* Kubernetes enforces objects of its own groups itself. */
static bool is_built_in(struct span group)
{
	return span_find(group, '.') < 0 || span_ends(group, SPAN(".k8s.io"));
}

/* Without a kind, it is a policy if it has targets and asks for security. */
static void decode_broken(struct manifests *m, struct unknown_kind *unknown_kind)
{
	unknown_kind->is_refusal = unknown_kind->kind.len || is_security(unknown_kind);
	take_targets(m, unknown_kind);
	if (unknown_kind->is_refusal && unknown_kind->targets)
		config_warning(m->decoder->report, unknown_kind->root,
			       "what it names gets status 500 instead of being served without it: correct "
			       "the object");
}

static void decode_unknown_kind(struct manifests *m, struct unknown_kind *unknown_kind)
{
	const char *group = "", *meant;
	bool is_ours;

	if (unknown_kind->is_broken) {
		decode_broken(m, unknown_kind);
		return;
	}
	unknown_kind->is_backend_tls = span_eq(unknown_kind->group, SPAN(GROUP_GATEWAY)) &&
				       span_eq(unknown_kind->kind, SPAN("BackendTLSPolicy"));
	unknown_kind->is_version = known_kind(unknown_kind, &unknown_kind->known);
	meant = unknown_kind->is_version ? NULL : meant_kind(unknown_kind, &group);
	is_ours = meant || is_our_group(unknown_kind->group);
	unknown_kind->is_refusal = is_ours || is_security(unknown_kind);
	take_targets(m, unknown_kind);
	if (unknown_kind->is_version)
		report_version(m, unknown_kind);
	else if (unknown_kind->targets && unknown_kind->is_refusal)
		report_refusal(m, unknown_kind, meant, group);
	else if (is_ours || unknown_kind->targets ||
		 (is_security_word(unknown_kind->kind) && !is_built_in(unknown_kind->group)))
		report_unknown(m, unknown_kind, meant, group);
	else
		config_info(m->decoder->report, unknown_kind->root,
			    "skipped: objects of kind %s (%s) are not used", QUOTE(unknown_kind->kind),
			    QUOTE(scalar(unknown_kind->root, "apiVersion")));
}

/* -------------------------------------------------------------------------------- */

static struct unknown_kind *add(struct manifests *m, struct yaml_document *document, struct span group,
				struct span kind)
{
	struct unknown_kind *unknown_kind = decode_take(m->decoder, 1, sizeof(*unknown_kind));
	const struct yaml_node *metadata = decode_get(document->root, "metadata");
	struct span name = scalar(metadata, "name");

	if (!unknown_kind)
		return NULL;
	*unknown_kind = (struct unknown_kind){ .root = document->root, .group = group, .kind = kind };
	unknown_kind->namespace = scalar(metadata, "namespace");
	if (!unknown_kind->namespace.len)
		unknown_kind->namespace = SPAN("default");
	if (name.len && kind.len)
		document->label = decode_text(m->decoder, "%.*s %.*s/%.*s", SPAN_FMT(kind),
					      SPAN_FMT(unknown_kind->namespace), SPAN_FMT(name));
	return build_push(m->decoder, &m->unknown_kinds, unknown_kind) ? unknown_kind : NULL;
}

void unknown_kind_add(struct manifests *m, struct yaml_document *document, struct span group,
		      struct span kind)
{
	(void)add(m, document, group, kind);
}

void unknown_kind_add_broken(struct manifests *m, struct yaml_document *document, struct span group,
			     struct span kind)
{
	struct unknown_kind *unknown_kind = add(m, document, group, kind);

	if (unknown_kind)
		unknown_kind->is_broken = true;
}

void unknown_kinds_decode(struct manifests *m)
{
	for (uint32_t i = 0; i < m->unknown_kinds.count; i++)
		decode_unknown_kind(m, m->unknown_kinds.list[i]);
}

bool unknown_kind_refuses(const struct manifests *m, const struct unknown_kind_question *question)
{
	char key[600];
	int len = snprintf(key, sizeof(key), "%d/%.*s/%.*s", (int)question->kind,
			   SPAN_FMT(question->namespace), SPAN_FMT(question->name));
	const struct refusal *refusal =
		len < (int)sizeof(key) ? name_map_get(&m->refusals, span_of(key, (size_t)len)) : NULL;

	for (; refusal; refusal = refusal->next) {
		if (refusal->is_backend_tls && question->route == MANIFEST_TLS_ROUTE)
			continue;
		if (!refusal->section.len || span_eq(refusal->section, question->section))
			return true;
	}
	return false;
}

bool unknown_kind_refuse(struct manifests *m, struct span kind, struct span namespace, struct span name,
			 struct span section)
{
	enum manifest_kind known;

	if (!target_kind(kind, &known))
		return false;
	refuse(m, true, known, namespace, name, decode_keep(m->decoder, section));
	return true;
}

void unknown_kind_refuse_object(struct manifests *m, enum manifest_kind kind, struct span namespace,
				struct span name, struct span section)
{
	refuse(m, false, kind, namespace, name, section);
}

bool unknown_kind_refuse_target(struct manifests *m, struct span namespace, const struct yaml_node *node)
{
	struct unknown_kind unknown_kind = { .namespace = namespace, .is_refusal = true };

	if (scalar(node, "name").len)
		take_ref(m, &unknown_kind, node);
	else
		take_selector(m, &unknown_kind, node);
	return unknown_kind.targets;
}

void strangers_done(struct manifests *m)
{
	build_list_done(&m->unknown_kinds);
	name_map_done(&m->refusals);
}
