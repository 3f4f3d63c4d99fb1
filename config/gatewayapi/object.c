/* SPDX-License-Identifier: Apache-2.0 */
#include "config/gatewayapi/object.h"

#include <stdio.h>
#include <time.h>

#include "config/core/values/tls_files.h"
#include "config/gatewayapi/kept_object.h"
#include "config/gatewayapi/unknown_kind.h"
#include "user/base/check.h"
#include "user/base/limits.h"

#define GATEWAY_VERSIONS "v1", "v1beta1", "v1alpha2", "v1alpha3"

static const struct {
	const char *group;
	const char *name;
	const char *versions[4]; /* supported; messages suggest the first one */
	/*
	 * An unknown version may contain requirements that are not visible here: its targets are not served.
	 */
	bool is_policy;
} kinds[MANIFEST_KIND_COUNT] = {
	[MANIFEST_GATEWAY] = { GROUP_GATEWAY, "Gateway", { GATEWAY_VERSIONS }, false },
	[MANIFEST_HTTP_ROUTE] = { GROUP_GATEWAY, "HTTPRoute", { GATEWAY_VERSIONS }, false },
	[MANIFEST_GRPC_ROUTE] = { GROUP_GATEWAY, "GRPCRoute", { GATEWAY_VERSIONS }, false },
	[MANIFEST_TCP_ROUTE] = { GROUP_GATEWAY, "TCPRoute", { GATEWAY_VERSIONS }, false },
	[MANIFEST_TLS_ROUTE] = { GROUP_GATEWAY, "TLSRoute", { GATEWAY_VERSIONS }, false },
	[MANIFEST_POLICY] = { GROUP_AGENTGATEWAY, "AgentgatewayPolicy", { "v1alpha1" }, true },
	[MANIFEST_SERVICE] = { "", "Service", { "v1" }, false },
	[MANIFEST_ENDPOINT_SLICE] = { "discovery.k8s.io", "EndpointSlice", { "v1", "v1beta1" }, false },
	[MANIFEST_ENDPOINTS] = { "", "Endpoints", { "v1" }, false },
	[MANIFEST_REFERENCE_GRANT] = { GROUP_GATEWAY, "ReferenceGrant", { GATEWAY_VERSIONS }, false },
	[MANIFEST_NAMESPACE] = { "", "Namespace", { "v1" }, false },
	[MANIFEST_GATEWAY_CLASS] = { GROUP_GATEWAY, "GatewayClass", { GATEWAY_VERSIONS }, false },
	[MANIFEST_SECRET] = { "", "Secret", { "v1" }, false },
	[MANIFEST_CONFIG_MAP] = { "", "ConfigMap", { "v1" }, false },
	[MANIFEST_BACKEND_TLS_POLICY] = { GROUP_GATEWAY, "BackendTLSPolicy", { "v1", "v1alpha3" }, true },
	[MANIFEST_BACKEND] = { GROUP_AGENTGATEWAY, "AgentgatewayBackend", { "v1alpha1" }, false },
	[MANIFEST_PARAMETERS] = { GROUP_AGENTGATEWAY, "AgentgatewayParameters", { "v1alpha1" }, false },
	[MANIFEST_LISTENER_SET] = { GROUP_GATEWAY, "ListenerSet", { "v1", "v1alpha1" }, false },
	[MANIFEST_X_LISTENER_SET] = { "gateway.networking.x-k8s.io", "XListenerSet", { "v1alpha1" }, false },
};

const char *manifest_kind_name(enum manifest_kind kind)
{
	return kinds[kind].name;
}

const char *manifest_kind_group(enum manifest_kind kind)
{
	return kinds[kind].group;
}

const char *manifest_kind_version(enum manifest_kind kind)
{
	return kinds[kind].versions[0];
}

/* -------------------------------------------------------------------------------- metadata */

static bool two_digits(struct span s, size_t at, int min, int max, int *ret)
{
	int value;

	if (s.len < at + 2 || s.data[at] < '0' || s.data[at] > '9' || s.data[at + 1] < '0' ||
	    s.data[at + 1] > '9')
		return false;
	value = (s.data[at] - '0') * 10 + (s.data[at + 1] - '0');
	*ret = value;
	return value >= min && value <= max;
}

/* "2026-01-31T23:59:59Z", the form of the Kubernetes API; ignores fractions of a second (RFC 3339 5.6). */
static bool parse_timestamp(struct span s, int64_t *ret_s)
{
	struct tm tm = { 0 };
	int century, year;

	if (s.len < 20 || s.data[4] != '-' || s.data[7] != '-' || s.data[10] != 'T' || s.data[13] != ':' ||
	    s.data[16] != ':' || s.data[s.len - 1] != 'Z' || (s.len > 20 && s.data[19] != '.'))
		return false;
	if (!two_digits(s, 0, 19, 99, &century) || !two_digits(s, 2, 0, 99, &year) ||
	    !two_digits(s, 5, 1, 12, &tm.tm_mon) || !two_digits(s, 8, 1, 31, &tm.tm_mday) ||
	    !two_digits(s, 11, 0, 23, &tm.tm_hour) || !two_digits(s, 14, 0, 59, &tm.tm_min) ||
	    !two_digits(s, 17, 0, 60, &tm.tm_sec))
		return false;
	tm.tm_year = century * 100 + year - 1900;
	tm.tm_mon--;
	*ret_s = timegm(&tm);
	return true;
}

static void decode_created(struct decoder *d, const struct yaml_node *node, struct manifest_object *object)
{
	struct span s;

	object->created_s = INT64_MAX;
	if (decode_string(d, node, &s) && !parse_timestamp(s, &object->created_s))
		config_error(d->report, node, "%s is not a time stamp; write it as 2026-01-31T23:59:59Z",
			     QUOTE(s));
}

static const struct yaml_node *string_map(struct decoder *d, const struct yaml_node *node)
{
	struct span value;

	if (!decode_any_map(d, node))
		return NULL;
	yaml_each(member, node)
		if (!yaml_is_null(member))
			decode_string(d, member, &value);
	return node;
}

/* The limit of Kubernetes: names of subdomains (RFC 1123). Keys of fixed size are made of names. */
static bool decode_object_name(struct decoder *d, const struct yaml_node *node, struct span *ret)
{
	enum { NAME_BYTES_MAX = 253 };

	if (!decode_name(d, node, ret))
		return false;
	if (ret->len <= NAME_BYTES_MAX)
		return true;
	config_error(d->report, node, "has %zu bytes; %d are the most", ret->len, NAME_BYTES_MAX);
	return false;
}

static bool decode_metadata(struct manifests *m, const struct yaml_node *root, struct manifest_object *object)
{
	struct decoder *d = m->decoder;
	const struct yaml_node *metadata =
		decode_need(d, root, "metadata", "write metadata: {name: ..., namespace: ...}");

	if (!decode_any_map(d, metadata))
		return false;
	if (!decode_object_name(d, decode_need(d, metadata, "name", "every object has a name"),
				&object->name))
		return false;
	if (object->kind != MANIFEST_NAMESPACE && object->kind != MANIFEST_GATEWAY_CLASS &&
	    !decode_object_name(d, decode_get(metadata, "namespace"), &object->namespace))
		object->namespace = SPAN("default");
	decode_created(d, decode_get(metadata, "creationTimestamp"), object);
	object->labels = string_map(d, decode_get(metadata, "labels"));
	if (object->labels && !manifest_is_small(d, object->labels))
		object->labels = NULL;
	object->annotations = string_map(d, decode_get(metadata, "annotations"));
	return true;
}

/* -------------------------------------------------------------------------------- collecting */

static void add_items(struct manifests *m, const struct yaml_node *root)
{
	const struct yaml_node *items = yaml_get(root, SPAN("items"));

	if (!items || !decode_list(m->decoder, items))
		return;
	for (struct yaml_node *item = items->first, *next; item; item = next) {
		struct yaml_document *document;

		next = item->next;
		if (!decode_any_map(m->decoder, item))
			continue;
		document = yaml_detach(m->decoder->arena, item);
		if (!document) {
			m->decoder->failed = true;
			return;
		}
		manifest_add(m, document);
	}
}

/* Most of these objects do not concern a gateway: only referenced ones are validated. */
static bool is_data(enum manifest_kind kind)
{
	return kind == MANIFEST_SECRET || kind == MANIFEST_CONFIG_MAP;
}

static bool is_status_form(enum manifest_kind kind, enum status_form *ret)
{
	switch (kind) {
	case MANIFEST_GATEWAY_CLASS:
		*ret = STATUS_CLASS;
		return true;
	case MANIFEST_BACKEND:
		*ret = STATUS_PLAIN;
		return true;
	case MANIFEST_GATEWAY:
		*ret = STATUS_GATEWAY;
		return true;
	case MANIFEST_LISTENER_SET:
	case MANIFEST_X_LISTENER_SET:
		*ret = STATUS_LISTENER_SET;
		return true;
	case MANIFEST_HTTP_ROUTE:
	case MANIFEST_GRPC_ROUTE:
	case MANIFEST_TCP_ROUTE:
	case MANIFEST_TLS_ROUTE:
		*ret = STATUS_ROUTE;
		return true;
	case MANIFEST_POLICY:
	case MANIFEST_BACKEND_TLS_POLICY:
		*ret = STATUS_POLICY;
		return true;
	default:
		return false;
	}
}

/* The version as written; a number that is none has been reported. */
static struct status_object *status_new(struct decoder *d, const struct manifest_object *object)
{
	const struct yaml_node *version = decode_get(object->root, "apiVersion");
	const struct yaml_node *generation = decode_get(decode_get(object->root, "metadata"), "generation");
	struct status_object *status;
	enum status_form form;

	if (!is_status_form(object->kind, &form))
		return NULL;
	status = decode_take(d, 1, sizeof(*status));
	if (!status)
		return NULL;
	status->form = form;
	status->kind = manifest_kind_name(object->kind);
	status->namespace = object->namespace;
	status->name = object->name;
	status->api_version = decode_keep(d, version->text);
	if (generation && generation->kind == YAML_SCALAR)
		(void)span_parse_u63(generation->text, &status->generation);
	return status;
}

/* A policy that is left out protects nothing: what it names must not be served. */
static void add_broken_policy(struct manifests *m, struct yaml_document *document, enum manifest_kind kind)
{
	if (kinds[kind].is_policy)
		unknown_kind_add_broken(m, document, span_str(kinds[kind].group), span_str(kinds[kind].name));
}

static void keep_object(struct manifests *m, struct yaml_document *document, struct manifest_object *object)
{
	struct decoder *d = m->decoder;
	struct span key = decode_text(d, "%d/%.*s/%.*s", (int)object->kind, SPAN_FMT(object->namespace),
				      SPAN_FMT(object->name));
	const struct manifest_object *first = key.data ? name_map_get(&m->index, key) : NULL;

	if (!key.data)
		return;
	if (first && is_data(object->kind)) {
		config_warning(d->report, object->root,
			       "is not used: this object is already in %.*s line %u; remove one of the two",
			       SPAN_FMT(first->root->document->file), first->root->line);
		return;
	}
	if (first) {
		config_error(d->report, object->root,
			     "this object is already in %.*s line %u; remove one of the two",
			     SPAN_FMT(first->root->document->file), first->root->line);
		add_broken_policy(m, document, object->kind);
		return;
	}
	object->status = status_new(d, object);
	if (name_map_put(d, &m->index, key, object))
		build_push(d, &m->objects[object->kind], object);
}

static bool find_kind(struct span group, struct span name, enum manifest_kind *ret)
{
	for (unsigned i = 0; i < MANIFEST_KIND_COUNT; i++) {
		if (span_eq(name, span_str(kinds[i].name)) && span_eq(group, span_str(kinds[i].group))) {
			*ret = (enum manifest_kind)i;
			return true;
		}
	}
	return false;
}

static size_t skip_digits(struct span s, size_t at)
{
	while (at < s.len && s.data[at] >= '0' && s.data[at] <= '9')
		at++;
	return at;
}

/* "v1", "v1beta1", "v1alpha2": the form of Kubernetes API versions. */
static bool is_version(struct span s)
{
	size_t at = skip_digits(s, 1), end;
	struct span rest;

	if (s.len < 2 || s.data[0] != 'v' || at == 1)
		return false;
	rest = span_from(s, at);
	if (rest.len == 0)
		return true;
	at = span_starts(rest, SPAN("alpha")) ? 5 : span_starts(rest, SPAN("beta")) ? 4 : rest.len;
	end = skip_digits(rest, at);
	return end > at && end == rest.len;
}

static bool is_known_version(enum manifest_kind kind, struct span version)
{
	for (size_t i = 0; i < ARRAY_LEN(kinds[kind].versions) && kinds[kind].versions[i]; i++)
		if (span_eq(version, span_str(kinds[kind].versions[i])))
			return true;
	return false;
}

/* A file for another API version must not be interpreted in part. */
static void check_version(struct decoder *d, const struct yaml_node *node, struct span version,
			  enum manifest_kind kind)
{
	const char *group = kinds[kind].group, *known = kinds[kind].versions[0];

	if (!is_version(version))
		config_error(d->report, node, "%s is not a version; write apiVersion: %s%s%s", QUOTE(version),
			     group, *group ? "/" : "", known);
	else if (!is_known_version(kind, version))
		config_warning(d->report, node,
			       "this gateway does not know version %s of %s and reads it as %s; write "
			       "apiVersion: %s%s%s",
			       QUOTE(version), kinds[kind].name, known, group, *group ? "/" : "", known);
}

static const struct decode_key root_keys[] = {
	KEY("apiVersion"), KEY("kind"), KEY("metadata"), KEY("spec"), KEY("status"),
};

static bool is_cluster_made(enum manifest_kind kind)
{
	return kind == MANIFEST_SERVICE || kind == MANIFEST_ENDPOINT_SLICE || kind == MANIFEST_ENDPOINTS ||
	       kind == MANIFEST_NAMESPACE;
}

static void label_document(struct decoder *d, struct yaml_document *document,
			   const struct manifest_object *object)
{
	const char *kind = kinds[object->kind].name;

	document->label = object->namespace.len
				  ? decode_text(d, "%s %.*s/%.*s", kind, SPAN_FMT(object->namespace),
						SPAN_FMT(object->name))
				  : decode_text(d, "%s %.*s", kind, SPAN_FMT(object->name));
}

static bool is_listed_key(struct span key, const char *const *list)
{
	for (; *list; list++)
		if (span_eq(key, span_str(*list)))
			return true;
	return false;
}

static const char *fault_outside(const struct yaml_node *map, const char *const *parts)
{
	if (map->has_own_fault || map->kind != YAML_MAP)
		return map->fault;
	yaml_each(member, map)
		if (member->fault && !is_listed_key(member->key, parts))
			return member->fault;
	return NULL;
}

const char *manifest_fault(const struct manifest_object *object, const char *const *parts)
{
	static const char *const spec[] = { "spec", NULL };
	const char *fault = fault_outside(object->root, spec);

	return fault || !object->spec ? fault : fault_outside(object->spec, parts);
}

static const struct yaml_node *map_or_none(const struct yaml_node *node)
{
	return node && node->kind == YAML_MAP ? node : NULL;
}

/* Does not report errors in its values, which may be secrets. */
static void add_data(struct manifests *m, struct yaml_document *document, struct manifest_object *object)
{
	const struct yaml_node *metadata = decode_get(document->root, "metadata");
	const struct yaml_node *name = decode_get(metadata, "name");
	const struct yaml_node *namespace = decode_get(metadata, "namespace");
	struct decoder *d = m->decoder;

	if (object->kind == MANIFEST_SECRET)
		d->files->has_secrets = true;
	if (!name || name->kind != YAML_SCALAR || !name->text.len) {
		config_info(d->report, document->root, "skipped: this %s has no name",
			    kinds[object->kind].name);
		return;
	}
	object->name = decode_keep(d, name->text);
	object->namespace = namespace && namespace->kind == YAML_SCALAR && namespace->text.len
				    ? decode_keep(d, namespace->text)
				    : SPAN("default");
	object->created_s = INT64_MAX;
	object->labels = map_or_none(decode_get(metadata, "labels"));
	label_document(d, document, object);
	keep_object(m, document, object);
}

/* "HTTPRoute app/r", from names without a check; the decoder of the metadata reports them. */
static void label_early(struct decoder *d, struct yaml_document *document, enum manifest_kind kind)
{
	const struct yaml_node *metadata = decode_get(document->root, "metadata");
	const struct yaml_node *name = decode_get(metadata, "name");
	const struct yaml_node *namespace = decode_get(metadata, "namespace");
	struct manifest_object object = { .kind = kind };

	if (!name || name->kind != YAML_SCALAR || (namespace && namespace->kind != YAML_SCALAR))
		return;
	object.name = name->text;
	if (kind != MANIFEST_NAMESPACE && kind != MANIFEST_GATEWAY_CLASS)
		object.namespace = namespace ? namespace->text : SPAN("default");
	label_document(d, document, &object);
}

/* Uses the object from before the reload instead of one with errors. */
static struct yaml_document *restore(struct manifests *m, struct yaml_document *document,
				     struct manifest_object *object)
{
	struct yaml_document *kept = m->builder->is_restoring ? kept_object_restore(m, document) : NULL;

	if (!kept)
		return document;
	kept->label = document->label;
	object->root = kept->root;
	object->spec = decode_get(kept->root, "spec");
	object->refused_root = document->root;
	return kept;
}

static void add_object(struct manifests *m, struct yaml_document *document, struct manifest_object *object)
{
	label_early(m->decoder, document, object->kind);
	document = restore(m, document, object);
	/* Objects that clusters generate may have more keys. */
	if (!is_cluster_made(object->kind))
		DECODE_MAP(m->decoder, document->root, root_keys);
	if (!decode_metadata(m, document->root, object)) {
		add_broken_policy(m, document, object->kind);
		return;
	}
	label_document(m->decoder, document, object);
	keep_object(m, document, object);
}

void manifest_add(struct manifests *m, struct yaml_document *document)
{
	const struct yaml_node *root = document->root, *kind_node, *version_node;
	struct manifest_object *object;
	struct span api, version, kind, group;
	struct decoder *d = m->decoder;
	ptrdiff_t slash;

	version_node = decode_need(d, root, "apiVersion", "write one such as gateway.networking.k8s.io/v1");
	kind_node = decode_need(d, root, "kind", "write one such as HTTPRoute");
	if (!decode_name(d, version_node, &api) || !decode_name(d, kind_node, &kind)) {
		/* It may have been meant to protect something. */
		unknown_kind_add_broken(m, document, SPAN(""), SPAN(""));
		return;
	}
	slash = span_find(api, '/');
	group = slash < 0 ? SPAN("") : span_first(api, (size_t)slash);
	version = span_from(api, slash < 0 ? 0 : (size_t)slash + 1);
	if (group.len == 0 && span_ends(kind, SPAN("List"))) {
		add_items(m, root);
		return;
	}
	object = decode_take(d, 1, sizeof(*object));
	if (!object)
		return;
	if (!find_kind(group, kind, &object->kind) || (kinds[object->kind].is_policy && is_version(version) &&
						       !is_known_version(object->kind, version))) {
		unknown_kind_add(m, document, group, kind);
		return;
	}
	object->root = root;
	object->spec = decode_get(root, "spec");
	if (is_data(object->kind)) {
		add_data(m, document, object);
		return;
	}
	check_version(d, version_node, version, object->kind);
	add_object(m, document, object);
}

const struct manifest_object *manifest_find(struct manifests *m, enum manifest_kind kind,
					    struct span namespace, struct span name)
{
	char key[600];
	int len = snprintf(key, sizeof(key), "%d/%.*s/%.*s", (int)kind, SPAN_FMT(namespace), SPAN_FMT(name));

	return len < (int)sizeof(key) ? name_map_get(&m->index, span_of(key, (size_t)len)) : NULL;
}

/* The order of the strings "namespace/name": "a-b/x" comes before "a/x". */
static int full_name_order(const struct manifest_object *a, const struct manifest_object *b)
{
	size_t len = a->namespace.len < b->namespace.len ? a->namespace.len : b->namespace.len;
	int order = span_compare(span_first(a->namespace, len), span_first(b->namespace, len));

	if (!order && a->namespace.len > len)
		order = (unsigned char)a->namespace.data[len] - '/';
	if (!order && b->namespace.len > len)
		order = '/' - (unsigned char)b->namespace.data[len];
	return order ? order : span_compare(a->name, b->name);
}

int manifest_order(const struct manifest_object *a, const struct manifest_object *b)
{
	int order = (a->created_s > b->created_s) - (a->created_s < b->created_s);

	return order ? order : full_name_order(a, b);
}

/* -------------------------------------------------------------------------------- references */

bool manifest_ref(struct decoder *d, const struct yaml_node *node, const struct manifest_object *from,
		  const char *group, const char *kind, struct manifest_ref *ret)
{
	const struct yaml_node *group_node = yaml_get(node, SPAN("group"));
	struct manifest_ref ref = { span_str(group), span_str(kind), { 0 }, from->namespace };

	/* The core group is the empty string; documentation calls it "core", and other gateways take that. */
	if (group_node && !yaml_is_null(group_node))
		decode_string(d, group_node, &ref.group);
	if (span_eq(ref.group, SPAN("core")))
		ref.group = SPAN("");
	decode_name(d, decode_get(node, "kind"), &ref.kind);
	decode_name(d, decode_get(node, "namespace"), &ref.namespace);
	if (!decode_name(d, decode_need(d, node, "name", "write the name of the object"), &ref.name))
		return false;
	*ret = ref;
	return true;
}
