/* SPDX-License-Identifier: Apache-2.0 */
#include "config/gatewayapi/callout_policy.h"

#include "config/core/values/access_log_value.h"
#include "config/core/values/callout_value.h"
#include "config/core/values/jwt_value.h"
#include "config/core/values/mcp_auth_value.h"
#include "config/core/values/tracing_value.h"
#include "config/core/values/url_value.h"
#include "config/core/values/values.h"
#include "config/gatewayapi/backend.h"
#include "config/gatewayapi/status.h"
#include "user/base/char_class.h"
#include "user/base/check.h"
#include "user/base/limits.h"

/* -------------------------------------------------------------------------------- the service */

struct service_source {
	struct manifests *m;
	const struct manifest_object *object;
	bool is_collector; /* nobody is let in or refused by it */
};

/* Only the export is left out: whatever else the policy says about the log stays in force. */
static void note_lost(const struct service_source *source, const struct yaml_node *node)
{
	static const char sentence[] =
		"nothing reaches this collector, so nothing is exported to it; name one that exists";
	struct decoder *d = source->m->decoder;

	config_warning(d->report, node, "%s", sentence);
	status_fail(d, &source->object->status->conditions, CONDITION_ACCEPTED, "Invalid",
		    "%.*s: %s; the rest is in force", SPAN_FMT(node->key), sentence);
}

static bool decode_ref(const struct service_source *source, const struct yaml_node *node,
		       struct backend_ref *ref)
{
	static const struct decode_key keys[] = { KEY("name"), KEY("namespace"), KEY("group"), KEY("kind"),
						  KEY("port") };
	struct decoder *d = source->m->decoder;

	if (!DECODE_MAP(d, node, keys) ||
	    !backend_ref_decode(source->m, node, source->object, BACKEND_USER_SERVICE, ref))
		return false;
	if (ref->is_invalid && source->is_collector)
		note_lost(source, node);
	else if (ref->is_invalid)
		decode_lacking(d, node,
			       "the service cannot be asked, so nobody may enter; name one that exists");
	return !ref->is_invalid;
}

static bool decode_url(const struct service_source *source, const struct yaml_node *node,
		       struct backend_ref *ref)
{
	struct decoder *d = source->m->decoder;
	struct url_target target;
	struct span text, name;

	if (!decode_name(d, node, &text))
		return false;
	name = decode_text(d, "%.*s/%.*s/%.*s", SPAN_FMT(source->object->namespace),
			   SPAN_FMT(source->object->name), SPAN_FMT(text));
	if (!name.data || !url_decode(d, node, text, name, &target))
		return false;
	if (!span_eq(target.path, SPAN("/"))) {
		config_error(d->report, node,
			     "has a path; write scheme, host and port only, and the path as %s",
			     source->is_collector ? "path" : "http.path");
		return false;
	}
	ref->where = config_where(d->arena, node);
	ref->backend = target.backend;
	ref->backend_name = name;
	return true;
}

static struct backend_ref *decode_service(void *context, const struct yaml_node *node)
{
	static const char *const choices[] = { "backendRef", "url" };
	const struct service_source *source = context;
	struct decoder *d = source->m->decoder;
	struct backend_ref *ref = decode_take(d, 1, sizeof(*ref));
	unsigned index;
	const struct yaml_node *chosen = decode_choice(d, node, choices, ARRAY_LEN(choices), &index);

	if (!ref || !chosen ||
	    !(index == 0 ? decode_ref(source, chosen, ref) : decode_url(source, chosen, ref)))
		return NULL;
	ref->weight = 1;
	return build_ref(source->m->builder, ref) ? ref : NULL;
}

/* -------------------------------------------------------------------------------- policies */

const void *callout_policy_ext_authz(struct manifests *m, const struct yaml_node *node,
				     const struct manifest_object *object)
{
	struct service_source source = { m, object, false };
	struct ext_authz_policy *policy = value_ext_authz(m->decoder, node);

	return policy && value_ext_authz_targets(m->decoder, node, policy, decode_service, &source) ? policy
												    : NULL;
}

const void *callout_policy_limit(struct manifests *m, const struct yaml_node *node,
				 const struct manifest_object *object)
{
	struct service_source source = { m, object, false };
	struct remote_rate_limit *policy = value_remote_limit(m->decoder, node);

	return policy && value_remote_limit_targets(m->decoder, node, policy, decode_service, &source)
		       ? policy
		       : NULL;
}

static const void *decode_jwt(struct manifests *m, const struct yaml_node *node,
			      const struct manifest_object *object, const struct schema *schema)
{
	struct service_source source = { m, object, false };
	struct jwt_auth_policy *policy = schema_decode_new(m->decoder, node, schema);

	return policy && jwt_decode_services(m->decoder, node, policy, decode_service, &source) ? policy
												: NULL;
}

const void *callout_policy_jwt(struct manifests *m, const struct yaml_node *node,
			       const struct manifest_object *object)
{
	return decode_jwt(m, node, object, &jwt_auth_schema);
}

const void *callout_policy_mcp(struct manifests *m, const struct yaml_node *node,
			       const struct manifest_object *object)
{
	return decode_jwt(m, node, object, &mcp_authentication_schema);
}

const struct backend_policy_links callout_policy_links = { callout_policy_ext_authz, callout_policy_mcp };

const void *callout_policy_access_log(struct manifests *m, const struct yaml_node *node,
				      const struct manifest_object *object)
{
	struct service_source source = { m, object, true };

	return value_access_log(m->decoder, node, decode_service, &source);
}

const void *callout_policy_tracing(struct manifests *m, const struct yaml_node *node,
				   const struct manifest_object *object)
{
	struct service_source source = { m, object, true };

	return value_tracing(m->decoder, node, decode_service, &source);
}

/* -------------------------------------------------------------------------------- ExternalAuth */

static bool decode_header_name(struct decoder *d, const struct yaml_node *node, void *ret)
{
	struct span name;

	if (!decode_name(d, node, &name))
		return false;
	if (!char_class_is_token(name)) {
		config_error(d->report, node, "%s is not the name of a header", QUOTE(name));
		return false;
	}
	*(struct span *)ret = decode_lower(d, name);
	return true;
}

/* first: stands before the list; empty: nothing does. */
static void decode_names(struct decoder *d, const struct yaml_node *node, struct span first,
			 struct span **ret_list, uint32_t *ret_count)
{
	struct span *list, *all;
	uint32_t count = 0;

	if (node && decode_list(d, node) && node->count > LIMIT_CALLOUT_NAMES)
		config_error(d->report, node, "has %u entries; %d are the most", node->count,
			     LIMIT_CALLOUT_NAMES);
	else if (node && !schema_decode_list(d, node, decode_header_name, sizeof(*list), &list, &count))
		return;
	if (!node || !count || !first.len) {
		*ret_list = count ? list : NULL;
		*ret_count = count;
		return;
	}
	all = decode_take(d, count + 1, sizeof(*all));
	if (!all)
		return;
	all[0] = first;
	memcpy(all + 1, list, count * sizeof(*all));
	*ret_list = all;
	*ret_count = count + 1;
}

static void decode_http(struct decoder *d, const struct yaml_node *node, struct ext_authz_policy *policy)
{
	static const struct decode_key keys[] = { KEY("path"), KEY("allowedHeaders"),
						  KEY("allowedResponseHeaders") };

	policy->http.takes_all = true;
	if (!node || !DECODE_MAP(d, node, keys))
		return;
	value_path(d, decode_get(node, "path"), &policy->http.prefix);
	/* Paths of requests begin with a slash. */
	while (policy->http.prefix.len && policy->http.prefix.data[policy->http.prefix.len - 1] == '/')
		policy->http.prefix.len--;
	decode_names(d, decode_get(node, "allowedHeaders"), SPAN("authorization"),
		     &policy->request_header_list, &policy->request_header_count);
	decode_names(d, decode_get(node, "allowedResponseHeaders"), (struct span){ 0 },
		     &policy->http.response_header_list, &policy->http.response_header_count);
	policy->http.takes_all = policy->http.response_header_count == 0;
}

static void decode_grpc(struct decoder *d, const struct yaml_node *node, struct ext_authz_policy *policy)
{
	static const struct decode_key keys[] = { KEY("allowedHeaders") };

	if (node && DECODE_MAP(d, node, keys))
		decode_names(d, decode_get(node, "allowedHeaders"), (struct span){ 0 },
			     &policy->request_header_list, &policy->request_header_count);
}

/* Without a size the service gets no body. */
static bool decode_forward_body(struct decoder *d, const struct yaml_node *node, struct ext_authz_body *body)
{
	static const struct decode_key keys[] = { KEY("maxSize") };
	const struct yaml_node *size = node && DECODE_MAP(d, node, keys) ? decode_get(node, "maxSize") : NULL;
	uint64_t bytes = 0;

	if (size && !decode_u64(d, size, 0, UINT16_MAX, &bytes))
		return false;
	body->is_set = bytes != 0;
	body->most_bytes = (uint32_t)bytes;
	return true;
}

const void *callout_policy_filter(struct manifests *m, const struct yaml_node *node,
				  const struct manifest_object *object)
{
	static const struct decode_key keys[] = { KEY("protocol"), KEY("backendRef"), KEY("grpc"),
						  KEY("http"), KEY("forwardBody") };
	static const char *const protocols[] = { "GRPC", "HTTP" };
	struct service_source source = { m, object, false };
	struct decoder *d = m->decoder;
	struct ext_authz_policy *policy;

	if (!DECODE_MAP(d, node, keys))
		return NULL;
	policy = decode_take(d, 1, sizeof(*policy));
	if (!policy || !decode_forward_body(d, decode_get(node, "forwardBody"), &policy->body) ||
	    !DECODE_WORD(d, decode_need(d, node, "protocol", "write HTTP or GRPC"), protocols,
			 &policy->protocol))
		return NULL;
	policy->failure_mode = CALLOUT_FAILURE_DENY;
	if (policy->protocol == EXT_AUTHZ_HTTP)
		decode_http(d, decode_get(node, "http"), policy);
	else
		decode_grpc(d, decode_get(node, "grpc"), policy);
	return value_ext_authz_targets(d, node, policy, decode_service, &source) ? policy : NULL;
}
