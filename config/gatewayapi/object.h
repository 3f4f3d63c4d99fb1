/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "config/build.h"

/* Kubernetes objects by kind, namespace and name, with their common parts: metadata, labels, selectors. */
enum manifest_kind {
	MANIFEST_GATEWAY,
	MANIFEST_HTTP_ROUTE,
	MANIFEST_GRPC_ROUTE,
	MANIFEST_TCP_ROUTE,
	MANIFEST_TLS_ROUTE,
	MANIFEST_POLICY,
	MANIFEST_SERVICE,
	MANIFEST_ENDPOINT_SLICE,
	MANIFEST_ENDPOINTS,
	MANIFEST_REFERENCE_GRANT,
	MANIFEST_NAMESPACE,
	MANIFEST_GATEWAY_CLASS,
	MANIFEST_SECRET,
	MANIFEST_CONFIG_MAP,
	MANIFEST_BACKEND_TLS_POLICY,
	MANIFEST_BACKEND,
	MANIFEST_PARAMETERS,
	MANIFEST_LISTENER_SET,
	MANIFEST_X_LISTENER_SET,
	MANIFEST_KIND_COUNT,
};

#define GROUP_GATEWAY "gateway.networking.k8s.io"
#define GROUP_AGENTGATEWAY "agentgateway.dev"

struct manifest_object {
	enum manifest_kind kind;
	struct span name;
	struct span namespace; /* empty for a Namespace and a GatewayClass */
	/* The object is as it was before the reload; this is its new version, which is wrong. NULL: no. */
	const struct yaml_node *refused_root;
	bool is_foreign; /* a GatewayClass of another program, or a Gateway of such a class */
	int64_t created_s; /* INT64_MAX if absent */
	struct status_object *status; /* arena; NULL: its kind has none */
	const struct yaml_node *root;
	const struct yaml_node *labels; /* map; NULL: none */
	const struct yaml_node *annotations; /* map; NULL: none */
	const struct yaml_node *spec; /* NULL: none */
};

struct manifests {
	struct builder *builder; /* borrowed */
	struct decoder *decoder; /* that of the builder */
	struct pointer_list
		objects[MANIFEST_KIND_COUNT]; /* struct manifest_object, in the order of the files */
	struct name_map index; /* "kind/namespace/name" */
	struct pointer_list listeners; /* struct gateway_listener */
	struct name_map
		gateways; /* "kind/namespace/name" of a Gateway or ListenerSet -> struct gateway_source */
	struct name_map services; /* "namespace/name" -> struct service */
	struct name_map backends; /* "namespace/name" of an AgentgatewayBackend -> struct named_backend */
	struct name_map
		pool_members; /* "namespace/name" of a Gateway -> struct pool_member: gateway_pool.h */
	struct pointer_list unknown_kinds; /* struct stranger */
	struct name_map refusals; /* "kind/namespace/name" -> struct refusal */
	/* Of the route whose references are decoded: gets the reasons of invalid ones. NULL: no route. */
	struct conditions *ref_conditions;
	struct pointer_list status_targets; /* struct status_target */
	struct name_map service_users; /* name of a Service's backend -> struct service_user */
	struct name_map identities; /* "namespace/name" of a Secret -> struct credential */
	struct name_map trusts; /* the same, for all objects of one trust store, one per line */
};

/*
 * The first error of an object outside of these members of its spec (NULL-terminated list), which judge
 * themselves; NULL: none. Such an object is refused as a whole.
 */
const char *manifest_fault(const struct manifest_object *object, const char *const *parts);

const char *manifest_kind_name(enum manifest_kind kind);
const char *manifest_kind_group(enum manifest_kind kind);
const char *manifest_kind_version(enum manifest_kind kind); /* for suggestions */
/* Adds one document to its kind; unknown kinds are strangers (unknown_kind.h). */
void manifest_add(struct manifests *m, struct yaml_document *document);
const struct manifest_object *manifest_find(struct manifests *m, enum manifest_kind kind,
					    struct span namespace, struct span name);

/* The older object first, then by "namespace/name": the order of precedence of Gateway API. */
int manifest_order(const struct manifest_object *a, const struct manifest_object *b);

/* selector.c */
/*
 * Selectors are compared with every namespace and object: limits their size, and so the load time. False:
 * reported.
 */
bool manifest_is_small(struct decoder *d, const struct yaml_node *node);
struct span manifest_label(const struct yaml_node *labels, const char *name); /* data == NULL: absent */
/*
 * Evaluates matchLabels and matchExpressions of a selector. `namespace` is the value of the label
 * kubernetes.io/metadata.name, which every Namespace has; empty for other objects. An empty selector matches
 * everything. Reports errors.
 */
bool manifest_selector_fits(struct decoder *d, const struct yaml_node *selector,
			    const struct yaml_node *labels, struct span namespace);

/*
 * Call before a selector is compared with so many labels or objects. False if all selectors together take
 * too many steps; this is reported once.
 */
bool manifest_select(struct decoder *d, const struct yaml_node *node, uint64_t steps);

/* Evaluates the matchLabels of a selector alone. */
bool manifest_labels_fit(struct decoder *d, const struct yaml_node *wanted, const struct yaml_node *labels);

/* `group` and `kind` of a reference, with the defaults of its context. */
struct manifest_ref {
	struct span group;
	struct span kind;
	struct span name;
	struct span namespace; /* the object's namespace by default */
};
bool manifest_ref(struct decoder *d, const struct yaml_node *node, const struct manifest_object *from,
		  const char *group, const char *kind, struct manifest_ref *ret);

/* Reports errors of ReferenceGrants; one that has any allows nothing. */
void grants_check(struct manifests *m);
/* A reference into another namespace needs a ReferenceGrant there. */
bool manifest_is_granted(struct manifests *m, const struct manifest_object *from,
			 const struct manifest_ref *ref);
