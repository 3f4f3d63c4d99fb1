/* SPDX-License-Identifier: Apache-2.0 */
#include "config/gatewayapi/backend.h"

#include "config/core/values/forward_value.h"
#include "config/core/values/values.h"
#include "config/gatewayapi/backend_policy.h"
#include "config/gatewayapi/callout_policy.h"
#include "config/gatewayapi/mcp_backend.h"
#include "config/gatewayapi/service.h"
#include "config/gatewayapi/status.h"
#include "config/gatewayapi/unknown_kind.h"
#include "user/base/check.h"

#define ALLOWED_ADDRESSES "headgate/allowed-addresses"

/* -------------------------------------------------------------------------------- static */

static bool decode_unix(struct decoder *d, const struct yaml_node *node, struct backend *backend)
{
	struct yaml_node at;
	struct span path;

	if (!decode_name(d, node, &path))
		return false;
	at = *node;
	at.text = decode_text(d, "unix:%.*s", SPAN_FMT(path));
	return at.text.data && value_target(d, &at, backend);
}

static bool decode_static(struct decoder *d, const struct yaml_node *node, struct backend *backend)
{
	static const struct decode_key keys[] = { KEY("host"), KEY("port"), KEY("unixPath") };
	const struct yaml_node *host = decode_get(node, "host"), *path = decode_get(node, "unixPath");
	uint16_t port;

	if (!DECODE_MAP(d, node, keys))
		return false;
	if (path && (host || decode_get(node, "port"))) {
		config_error(d->report, path, "excludes host and port; write only one of the two forms");
		return false;
	}
	if (path)
		return decode_unix(d, path, backend);
	host = decode_need(d, node, "host", "write host and port, or unixPath");
	return decode_port(d, decode_need(d, node, "port", "write the port of the host"), &port) && host &&
	       value_host_target(d, host, port, backend);
}

/* -------------------------------------------------------------------------------- dynamicForwardProxy */

/* Networks with blanks or commas between them. */
static bool decode_allowed(struct decoder *d, const struct yaml_node *node, struct backend *backend)
{
	struct span rest, word;
	struct yaml_node at;
	bool is_valid = true;
	uint32_t size;

	if (!decode_string(d, node, &rest))
		return !node;
	size = (uint32_t)rest.len / 2 + 1;
	backend->allowed_list = decode_take(d, size, sizeof(*backend->allowed_list));
	while (backend->allowed_list && span_split(&rest, ',', &word)) {
		at = *node;
		at.text = span_trim(word);
		if (at.text.len && value_cidr(d, &at, &backend->allowed_list[backend->allowed_count]))
			backend->allowed_count++;
		else
			is_valid &= !at.text.len;
	}
	return is_valid;
}

static bool decode_dynamic(struct decoder *d, const struct yaml_node *node,
			   const struct manifest_object *object, struct backend *backend)
{
	const struct yaml_node *allowed =
		object->annotations ? yaml_get(object->annotations, SPAN(ALLOWED_ADDRESSES)) : NULL;

	return decode_any_map(d, node) && decode_map(d, node, NULL, 0) &&
	       decode_allowed(d, allowed, backend) && forward_value_backend(d, backend);
}

/* -------------------------------------------------------------------------------- objects */

enum backend_type {
	TYPE_STATIC,
	TYPE_DYNAMIC,
	TYPE_MCP,
	TYPE_AI,
	TYPE_AWS,
	TYPE_A2A,
	TYPE_COUNT,
};

static const char *const type_names[TYPE_COUNT] = {
	"static", "dynamicForwardProxy", "mcp", "ai", "aws", "a2a"
};
static const char *const type_refusals[TYPE_COUNT] = {
	[TYPE_AI] = "its \"ai\" is not supported yet: models are not called; static with the host of the "
		    "provider passes requests on unchanged",
	[TYPE_AWS] = "its \"aws\" is not supported yet: no service of AWS is called",
	[TYPE_A2A] = "its \"a2a\" is not supported yet: agents are not called; static passes their "
		     "calls on unchanged",
};

static bool decode_type(struct manifests *m, const struct manifest_object *object, struct backend *backend,
			const char **ret_reason)
{
	struct decoder *d = m->decoder;
	const struct yaml_node *chosen;
	unsigned type;

	*ret_reason = NULL;
	chosen = decode_choice(d, object->spec, type_names, TYPE_COUNT, &type);
	if (!chosen)
		return false;
	*ret_reason = type_refusals[type];
	if (*ret_reason)
		return false;
	switch ((enum backend_type)type) {
	case TYPE_STATIC:
		return decode_static(d, chosen, backend);
	case TYPE_DYNAMIC:
		return decode_dynamic(d, chosen, object, backend);
	default:
		return mcp_backend_decode(m, chosen, object, backend, ret_reason);
	}
}

static bool decode_policies(struct manifests *m, const struct manifest_object *object,
			    struct backend *backend)
{
	const struct yaml_node *node = decode_get(object->spec, "policies");
	struct found_policies found = { .count = 0 };

	if (!node)
		return true;
	backend_policies_decode(m, node, object, BACKEND_POLICIES, &callout_policy_links, &found);
	if (!build_values(m->decoder, &backend->inline_policies, FOUND_POLICIES_MAX))
		return false;
	for (uint32_t i = 0; i < found.count; i++)
		build_value(&backend->inline_policies, found.list[i].value.kind, found.list[i].value.object);
	return !found.lacks_guard;
}

static bool is_refused(const struct manifests *m, const struct manifest_object *object)
{
	return unknown_kind_refuses(
		m, &(struct unknown_kind_question){
			   MANIFEST_BACKEND, object->namespace, object->name, { 0 }, MANIFEST_HTTP_ROUTE });
}

static void decode_backend(struct manifests *m, struct named_backend *named)
{
	static const struct decode_key keys[] = {
		KEY("static"),	 KEY("dynamicForwardProxy"), KEY("mcp"), KEY("ai"), KEY("aws"), KEY("a2a"),
		KEY("policies"),
	};
	const struct manifest_object *object = named->object;
	struct backend parsed = { .name = object->name, .namespace = object->namespace, .is_listed = true };
	struct decoder *d = m->decoder;
	const char *reason;
	bool is_valid;

	if (!object->spec) {
		config_error(d->report, object->root,
			     "\"spec\" is missing; write spec: {static: {host: ..., port: ...}}");
		return;
	}
	if (!DECODE_MAP(d, object->spec, keys))
		return;
	is_valid = decode_type(m, object, &parsed, &reason);
	named->invalid_reason = reason;
	if (reason)
		return;
	if (!decode_policies(m, object, &parsed))
		named->invalid_reason = GUARD_REFUSAL;
	if (is_refused(m, object))
		named->invalid_reason = UNKNOWN_KIND_REFUSAL;
	if (!is_valid || named->invalid_reason)
		return;
	value_splice_end(d, manifest_splice(object), &parsed.splice_off, &parsed.is_same_host);
	if (object->root->fault)
		return;
	named->backend = build_backend(m->builder);
	if (named->backend)
		*named->backend = parsed;
}

static struct span key_of(struct manifests *m, const struct manifest_object *object)
{
	return decode_text(m->decoder, "%.*s/%.*s", SPAN_FMT(object->namespace), SPAN_FMT(object->name));
}

static struct named_backend *find_added(struct manifests *m, const struct manifest_object *object)
{
	struct span key = key_of(m, object);

	return key.data ? name_map_get(&m->backends, key) : NULL;
}

static void add_backend(struct manifests *m, const struct manifest_object *object)
{
	struct decoder *d = m->decoder;
	struct named_backend *named = decode_take(d, 1, sizeof(*named));
	struct span key = key_of(m, object);

	if (!named || !key.data || !name_map_put(d, &m->backends, key, named))
		return;
	named->object = object;
	decode_backend(m, named);
	if (!named->backend)
		status_fail(d, &object->status->conditions, CONDITION_ACCEPTED, "Invalid", "%s",
			    object->root->fault	    ? object->root->fault
			    : named->invalid_reason ? named->invalid_reason
						    : "it is not valid");
}

/*
 * A policy that cannot protect the backend was decoded after another one had named it: nothing calls it, and
 * whoever asks it gets no answer.
 */
static void refuse_late(struct manifests *m, struct named_backend *named)
{
	if (!named->backend || !is_refused(m, named->object))
		return;
	named->backend->kind = BACKEND_INVALID;
	named->backend->endpoint_count = 0;
	named->backend->is_listed = false;
	named->backend = NULL;
	named->invalid_reason = UNKNOWN_KIND_REFUSAL;
	status_fail(m->decoder, &named->object->status->conditions, CONDITION_ACCEPTED, "Invalid",
		    UNKNOWN_KIND_REFUSAL);
}

void backends_decode(struct manifests *m)
{
	const struct pointer_list *objects = &m->objects[MANIFEST_BACKEND];

	for (uint32_t i = 0; i < objects->count; i++) {
		struct named_backend *named = find_added(m, objects->list[i]);

		if (named)
			refuse_late(m, named);
		else
			add_backend(m, objects->list[i]);
	}
}

/* -------------------------------------------------------------------------------- references */

/*
 * Policies are decoded before backends, which they may refuse: what they ask is decoded when they name it.
 * Only what they can ask: other backends name Services, which a later policy may refuse.
 */
static const struct named_backend *find_backend(struct manifests *m, const struct manifest_object *object)
{
	struct named_backend *named = find_added(m, object);
	bool *outer = m->decoder->lacks_guard;

	if (named || !decode_get(object->spec, "static"))
		return named;
	/* What it lacks, its user does not. */
	m->decoder->lacks_guard = NULL;
	add_backend(m, object);
	m->decoder->lacks_guard = outer;
	return find_added(m, object);
}

#define NOT_A_SERVICE "it is no service that a policy can ask"
#define IS_GUARDED                                                                                           \
	"it has extAuth, authorization or mcp among its policies, which guard only requests of routes"

/* Such policies may name backends themselves: a circle of them would have no end. */
static bool is_guarded(const struct manifest_object *object)
{
	const struct yaml_node *policies = decode_get(object->spec, "policies");

	return decode_get(policies, "extAuth") || decode_get(policies, "authorization") ||
	       decode_get(policies, "mcp");
}

/* Why this backend cannot serve this user; NULL: it can. */
static const char *unfit_reason(const struct backend *backend, enum backend_user user)
{
	if (backend->kind == BACKEND_MCP && user == BACKEND_USER_TCP)
		return "an MCP backend answers HTTP requests only";
	if (backend->kind == BACKEND_DYNAMIC && user == BACKEND_USER_TCP)
		return "dynamicForwardProxy needs the host of a request, which a connection does not have";
	if (backend->kind == BACKEND_MCP && user == BACKEND_USER_MIRROR)
		return "copies of requests are not sent to MCP backends";
	if (backend->kind == BACKEND_DYNAMIC && user == BACKEND_USER_MIRROR)
		return "copies of requests are not sent to hosts that a client chooses";
	if ((backend->kind == BACKEND_MCP || backend->kind == BACKEND_DYNAMIC) &&
	    user == BACKEND_USER_SERVICE)
		return NOT_A_SERVICE;
	return NULL;
}

static bool named_ref(struct manifests *m, const struct yaml_node *node, const struct manifest_ref *target,
		      enum backend_user user, struct backend_ref *ref)
{
	const struct manifest_object *object =
		manifest_find(m, MANIFEST_BACKEND, target->namespace, target->name);
	const struct named_backend *named;
	const char *reason;

	if (!object)
		return service_ref_invalid(m, node, ref, target,
					   "BackendNotFound: there is no such AgentgatewayBackend");
	if (user == BACKEND_USER_SERVICE && is_guarded(object))
		return service_ref_invalid(m, node, ref, target, IS_GUARDED);
	named = find_backend(m, object);
	if (!named)
		return service_ref_invalid(m, node, ref, target, NOT_A_SERVICE);
	if (!named->backend)
		return service_ref_invalid(m, node, ref, target,
					   named->invalid_reason
						   ? named->invalid_reason
						   : "BackendNotFound: the AgentgatewayBackend is not valid");
	reason = unfit_reason(named->backend, user);
	if (reason)
		return service_ref_invalid(m, node, ref, target, reason);
	ref->backend_name =
		decode_text(m->decoder, "%.*s/%.*s", SPAN_FMT(target->namespace), SPAN_FMT(target->name));
	ref->backend = named->backend;
	return true;
}

bool backend_ref_decode(struct manifests *m, const struct yaml_node *node,
			const struct manifest_object *route, enum backend_user user, struct backend_ref *ref)
{
	struct manifest_ref target;
	bool is_service, is_named;

	ref->where = config_where(m->decoder->arena, node);
	if (!manifest_ref(m->decoder, node, route, "", "Service", &target))
		return false;
	is_service = !target.group.len && span_eq(target.kind, SPAN("Service"));
	is_named = span_eq(target.group, SPAN(GROUP_AGENTGATEWAY)) &&
		   span_eq(target.kind, span_str(manifest_kind_name(MANIFEST_BACKEND)));
	if (!is_service && !is_named)
		return service_ref_invalid(
			m, node, ref, &target,
			"InvalidKind: only backends of kind Service and AgentgatewayBackend are supported");
	if (is_service && !decode_get(node, "port"))
		return service_ref(m, node, &target, route, ref);
	if (!manifest_is_granted(m, route, &target))
		return service_ref_invalid(
			m, node, ref, &target,
			"RefNotPermitted: it is in another namespace, and no ReferenceGrant there allows it");
	return is_service ? service_ref(m, node, &target, route, ref)
			  : named_ref(m, node, &target, user, ref);
}
