/* SPDX-License-Identifier: Apache-2.0 */
#include "config/gatewayapi/filter.h"

#include "config/gatewayapi/backend.h"
#include "config/gatewayapi/callout_policy.h"
#include "config/gatewayapi/service.h"
#include "config/core/values/policy_value.h"
#include "config/core/values/values.h"
#include "user/base/check.h"

/* -------------------------------------------------------------------------------- rewrite and redirect */

static void decode_path(struct decoder *d, const struct yaml_node *node, struct url_rewrite *rewrite)
{
	static const struct decode_key keys[] = { KEY("type"), KEY("replaceFullPath"),
						  KEY("replacePrefixMatch") };
	static const char *const types[] = { "ReplaceFullPath", "ReplacePrefixMatch" };
	static const char *const members[] = { "replaceFullPath", "replacePrefixMatch" };
	const struct yaml_node *value;
	unsigned index;

	if (!DECODE_MAP(d, node, keys))
		return;
	if (!DECODE_WORD(d, decode_need(d, node, "type", "write ReplaceFullPath or ReplacePrefixMatch"),
			 types, &index))
		return;
	if (decode_get(node, members[1 - index])) {
		config_error(d->report, decode_get(node, members[1 - index]),
			     "does not fit type %s; write %s instead", types[index], members[index]);
		return;
	}
	value = decode_need(d, node, members[index], "write the path that replaces it");
	/* An empty prefix means "/" in Gateway API. */
	if (index == 1 && value && value->kind == YAML_SCALAR && value->text.len == 0)
		rewrite->path = SPAN("/");
	else if (!value_path(d, value, &rewrite->path))
		return;
	rewrite->path_kind = index == 0 ? PATH_FULL : PATH_PREFIX;
}

static const void *decode_rewrite(struct decoder *d, const struct yaml_node *node)
{
	static const struct decode_key keys[] = { KEY("hostname"), KEY("path") };
	struct url_rewrite *rewrite;

	if (!DECODE_MAP(d, node, keys))
		return NULL;
	rewrite = decode_take(d, 1, sizeof(*rewrite));
	if (!rewrite)
		return NULL;
	if (value_hostname(d, decode_get(node, "hostname"), false, &rewrite->authority))
		rewrite->authority_kind = AUTHORITY_FULL;
	decode_path(d, decode_get(node, "path"), rewrite);
	return rewrite;
}

static const void *decode_redirect(struct decoder *d, const struct yaml_node *node)
{
	static const struct decode_key keys[] = { KEY("scheme"), KEY("hostname"), KEY("path"), KEY("port"),
						  KEY("statusCode") };
	struct redirect_policy *redirect;
	struct span host;
	uint16_t port;
	bool has_port;

	if (!DECODE_MAP(d, node, keys))
		return NULL;
	redirect = decode_take(d, 1, sizeof(*redirect));
	if (!redirect)
		return NULL;
	redirect->status = 302;
	value_scheme(d, decode_get(node, "scheme"), &redirect->scheme);
	value_redirect_status(d, decode_get(node, "statusCode"), &redirect->status);
	decode_path(d, decode_get(node, "path"), &redirect->url);
	has_port = decode_port(d, decode_get(node, "port"), &port);
	if (value_hostname(d, decode_get(node, "hostname"), false, &host)) {
		redirect->url.authority_kind = has_port ? AUTHORITY_FULL : AUTHORITY_HOST;
		redirect->url.authority = has_port ? decode_text(d, "%.*s:%u", SPAN_FMT(host), port) : host;
	} else if (has_port) {
		redirect->url.authority_kind = AUTHORITY_PORT;
		redirect->url.port = port;
	}
	return redirect;
}

/* -------------------------------------------------------------------------------- mirror */

static void decode_share(struct decoder *d, const struct yaml_node *node, uint32_t *ret_per_million)
{
	static const struct decode_key keys[] = { KEY("numerator"), KEY("denominator") };
	const struct yaml_node *percent = decode_get(node, "percent"),
			       *fraction = decode_get(node, "fraction");
	uint64_t numerator, denominator = 100;

	if (percent && fraction) {
		config_error_key(d->report, fraction,
				 "\"percent\" and \"fraction\" exclude each other; write only one of them");
		return;
	}
	if (decode_u64(d, percent, 0, 100, &numerator))
		*ret_per_million = (uint32_t)(numerator * 10000);
	if (!DECODE_MAP(d, fraction, keys))
		return;
	decode_u64(d, decode_get(fraction, "denominator"), 1, INT32_MAX, &denominator);
	if (decode_u64(d, decode_need(d, fraction, "numerator", "write how many requests of the denominator"),
		       0, denominator, &numerator))
		*ret_per_million = (uint32_t)(numerator * 1000000 / denominator);
}

static const void *decode_mirror(struct manifests *m, const struct yaml_node *node,
				 const struct manifest_object *route)
{
	static const struct decode_key keys[] = { KEY("backendRef"), KEY("percent"), KEY("fraction") };
	static const struct decode_key ref_keys[] = { KEY("name"), KEY("namespace"), KEY("group"),
						      KEY("kind"), KEY("port") };
	struct decoder *d = m->decoder;
	const struct yaml_node *ref;
	struct mirror_policy *mirror;

	if (!DECODE_MAP(d, node, keys))
		return NULL;
	mirror = decode_take(d, 1, sizeof(*mirror));
	if (!mirror)
		return NULL;
	mirror->per_million = 1000000;
	decode_share(d, node, &mirror->per_million);
	mirror->ref = decode_take(d, 1, sizeof(*mirror->ref));
	ref = decode_need(d, node, "backendRef", "write backendRef: {name: ..., port: ...}");
	if (!mirror->ref || !DECODE_MAP(d, ref, ref_keys) ||
	    !backend_ref_decode(m, ref, route, BACKEND_USER_MIRROR, mirror->ref))
		return NULL;
	mirror->ref->weight = 1;
	mirror->backend = (struct backend *)mirror->ref->backend;
	if (!build_ref(m->builder, mirror->ref) || !build_push(d, &m->builder->mirrors, mirror))
		return NULL;
	return mirror;
}

/* -------------------------------------------------------------------------------- filters */

enum filter_type {
	FILTER_REQUEST_HEADERS,
	FILTER_RESPONSE_HEADERS,
	FILTER_REDIRECT,
	FILTER_REWRITE,
	FILTER_MIRROR,
	FILTER_CORS,
	FILTER_EXTENSION,
	FILTER_EXTERNAL_AUTH,
	FILTER_TYPE_COUNT,
};

static const char *const filter_types[FILTER_TYPE_COUNT] = {
	"RequestHeaderModifier", "ResponseHeaderModifier",
	"RequestRedirect",	 "URLRewrite",
	"RequestMirror",	 "CORS",
	"ExtensionRef",		 "ExternalAuth"
};
static const char *const filter_refusals[FILTER_TYPE_COUNT] = {
	[FILTER_EXTENSION] = NOT_YET_GUARD("nothing is done of what it refers to"),
};

static const char *const filter_members[FILTER_TYPE_COUNT] = {
	"requestHeaderModifier", "responseHeaderModifier",
	"requestRedirect",	 "urlRewrite",
	"requestMirror",	 "cors",
	"extensionRef",		 "externalAuth"
};

/* Returns the member that belongs to the type of a filter; NULL after an error or a warning. */
static const struct yaml_node *filter_value(struct decoder *d, const struct yaml_node *node,
					    const struct manifest_object *route, enum filter_type *ret_type)
{
	static const struct decode_key keys[] = { KEY("type"),
						  KEY("requestHeaderModifier"),
						  KEY("responseHeaderModifier"),
						  KEY("requestRedirect"),
						  KEY("urlRewrite"),
						  KEY("requestMirror"),
						  KEY("cors"),
						  KEY("extensionRef"),
						  KEY("externalAuth") };
	const struct yaml_node *type_node, *value;
	unsigned index;

	if (!DECODE_MAP(d, node, keys))
		return NULL;
	type_node = decode_need(d, node, "type", "write one such as RequestHeaderModifier");
	if (!DECODE_WORD(d, type_node, filter_types, &index))
		return NULL;
	if (route->kind == MANIFEST_GRPC_ROUTE && (index == FILTER_REDIRECT || index == FILTER_REWRITE)) {
		config_error(d->report, type_node,
			     "a GRPCRoute cannot have filters of type %s; remove it, or write an HTTPRoute",
			     filter_types[index]);
		return NULL;
	}
	if (filter_refusals[index]) {
		config_warning(d->report, type_node, "requests to this get 500: the filter %s %s",
			       filter_types[index], filter_refusals[index]);
		*ret_type = (enum filter_type)index;
		return NULL;
	}
	value = decode_need(d, node, filter_members[index], "its type asks for it");
	*ret_type = (enum filter_type)index;
	return value;
}

static void add_once(struct decoder *d, const struct yaml_node *node, struct policy_values *values,
		     enum policy_kind kind, const void *object)
{
	if (!object)
		return;
	if (build_value_find(values, kind))
		config_error(d->report, node,
			     "there is another filter of this type in the rule; merge the two");
	else
		build_value(values, kind, object);
}

/* What it lacks is only a warning: the caller refuses the rule. */
static const void *decode_external_auth(struct manifests *m, const struct yaml_node *node,
					const struct manifest_object *route)
{
	bool *outer = m->decoder->lacks_guard, lacks = false;
	const void *authz;

	m->decoder->lacks_guard = &lacks;
	authz = callout_policy_filter(m, node, route);
	m->decoder->lacks_guard = outer;
	return lacks ? NULL : authz;
}

/* False: it is not supported, or lacks what it needs. */
static bool decode_filter(struct manifests *m, const struct yaml_node *node,
			  const struct manifest_object *route, struct policy_values *values)
{
	struct decoder *d = m->decoder;
	const struct yaml_node *value;
	enum filter_type type = FILTER_TYPE_COUNT;
	const void *mirror, *authz;

	value = filter_value(d, node, route, &type);
	if (!value)
		return type == FILTER_TYPE_COUNT || !filter_refusals[type];
	switch (type) {
	case FILTER_REQUEST_HEADERS:
		add_once(d, node, values, POLICY_REQUEST_HEADERS,
			 policy_value(d, value, POLICY_REQUEST_HEADERS));
		break;
	case FILTER_RESPONSE_HEADERS:
		add_once(d, node, values, POLICY_RESPONSE_HEADERS,
			 policy_value(d, value, POLICY_RESPONSE_HEADERS));
		break;
	case FILTER_REDIRECT:
		add_once(d, node, values, POLICY_REDIRECT, decode_redirect(d, value));
		break;
	case FILTER_REWRITE:
		add_once(d, node, values, POLICY_URL_REWRITE, decode_rewrite(d, value));
		break;
	case FILTER_MIRROR:
		mirror = decode_mirror(m, value, route);
		if (mirror)
			build_value(values, POLICY_MIRROR, mirror);
		break;
	case FILTER_CORS:
		add_once(d, node, values, POLICY_CORS, policy_value(d, value, POLICY_CORS));
		break;
	case FILTER_EXTERNAL_AUTH:
		/* Without its service the rule is not served. */
		authz = decode_external_auth(m, value, route);
		add_once(d, node, values, POLICY_EXT_AUTHZ, authz);
		return authz;
	case FILTER_EXTENSION:
	case FILTER_TYPE_COUNT:
		break;
	}
	return true;
}

typedef bool filter_fn(struct manifests *m, const struct yaml_node *node, const struct manifest_object *route,
		       struct policy_values *values);

static bool decode_filters(struct manifests *m, const struct yaml_node *list,
			   const struct manifest_object *route, filter_fn *decode,
			   struct policy_values *values)
{
	struct decoder *d = m->decoder;
	bool is_supported = true;

	if (list->count > FILTER_KINDS - 3) {
		config_error(d->report, list, "a rule or backendRef has at most %d filters, this one has %u",
			     FILTER_KINDS - 3, list->count);
		return true;
	}
	yaml_each(node, list)
		is_supported &= decode(m, node, route, values);
	if (build_value_find(values, POLICY_REDIRECT) && build_value_find(values, POLICY_URL_REWRITE))
		config_error(
			d->report, list,
			"RequestRedirect and URLRewrite exclude each other in one rule; keep one of them");
	return is_supported;
}

bool filters_decode(struct manifests *m, const struct yaml_node *list, const struct manifest_object *route,
		    struct policy_values *values)
{
	return !decode_list(m->decoder, list) || decode_filters(m, list, route, decode_filter, values);
}

/* True if this type has an effect for a single backend. */
static bool is_for_ref(enum filter_type type)
{
	return type == FILTER_REQUEST_HEADERS || type == FILTER_RESPONSE_HEADERS || type == FILTER_REWRITE ||
	       type == FILTER_REDIRECT || type == FILTER_MIRROR;
}

static bool decode_ref_filter(struct manifests *m, const struct yaml_node *node,
			      const struct manifest_object *route, struct policy_values *values)
{
	const struct yaml_node *type_node = decode_get(node, "type");

	for (unsigned i = 0; type_node && type_node->kind == YAML_SCALAR && i < FILTER_TYPE_COUNT; i++) {
		if (!span_eq(type_node->text, span_str(filter_types[i])) || filter_refusals[i] ||
		    is_for_ref((enum filter_type)i))
			continue;
		config_warning(m->decoder->report, node,
			       "requests to this get 500: a filter of type %s is not supported yet on a "
			       "backendRef; write it under rules[].filters",
			       filter_types[i]);
		return false;
	}
	return decode_filter(m, node, route, values);
}

bool filters_decode_ref(struct manifests *m, const struct yaml_node *list,
			const struct manifest_object *route, struct policy_values *ret)
{
	if (!decode_list(m->decoder, list) || !build_values(m->decoder, ret, FILTER_KINDS))
		return true;
	return decode_filters(m, list, route, decode_ref_filter, ret);
}
