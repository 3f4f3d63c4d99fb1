/* SPDX-License-Identifier: Apache-2.0 */
#include "config/gatewayapi/backend_tls.h"

#include <errno.h>
#include <stdlib.h>

#include "config/core/values/tls_files.h"
#include "config/core/values/tls_value.h"
#include "config/core/values/values.h"
#include "config/gatewayapi/credential.h"
#include "config/gatewayapi/service.h"
#include "config/gatewayapi/status.h"
#include "config/gatewayapi/unknown_kind.h"

#define GETS_500 "what the policy is for gets status 500"

enum {
	TARGETS_MAX = 16, /* as in the CRD */
	NAMES_MAX = 16,
};

static const struct tls_value_keys words_keys = { "", "keyExchangeGroups", "alpnProtocols" };

static void set_invalid(struct backend_tls *tls, struct span why)
{
	if (!tls->invalid_reason.len)
		tls->invalid_reason = why;
}

/* The last step: reports settings that conflict. */
static void compile(struct manifests *m, const struct yaml_node *node, struct backend_tls *tls)
{
	struct tls_fault fault = { "" };
	struct decoder *d = m->decoder;
	int result;

	if (tls->invalid_reason.len || d->failed)
		return;
	result = settings_compile_client(&tls->settings, &fault);
	if (result == -ENOMEM) {
		d->failed = true;
	} else if (result < 0) {
		config_warning(d->report, node, "%s; " GETS_500, fault.text);
		set_invalid(tls, decode_text(d, "Invalid: %s", fault.text));
	}
}

static void use_system(struct manifests *m, const struct yaml_node *node, struct backend_tls *tls)
{
	struct span why;

	tls->settings.trust = tls_files_system(m->decoder, &why);
	if (tls->settings.trust)
		return;
	config_warning(m->decoder->report, node, "%.*s; " GETS_500, SPAN_FMT(why));
	set_invalid(tls, decode_text(m->decoder, "NoValidCACertificate: %.*s", SPAN_FMT(why)));
}

static void use_authorities(struct manifests *m, const struct manifest_object *object,
			    const struct yaml_node *list, struct backend_tls *tls)
{
	const struct credential_place place = {
		.from = object,
		.is_local = true,
		.invalid = "InvalidCACertificateRef",
		.invalid_kind = "InvalidKind",
		.effect = GETS_500,
	};
	struct span why;

	tls->settings.trust = credential_trust(m, list, &place, &tls->root_source, &why);
	status_fail_text(m->decoder, &object->status->conditions, CONDITION_RESOLVED_REFS, why,
			 place.invalid);
	if (!tls->settings.trust)
		set_invalid(tls, decode_text(m->decoder, "NoValidCACertificate: %.*s",
					     SPAN_FMT(why.len ? why : SPAN("there is none"))));
}

/* -------------------------------------------------------------------------------- AgentgatewayPolicy */

static void use_identity(struct manifests *m, const struct manifest_object *object,
			 const struct yaml_node *list, struct backend_tls *tls)
{
	const struct credential_place place = {
		.from = object,
		.is_local = true,
		.invalid = "InvalidClientCertificateRef",
		.invalid_kind = "InvalidKind",
		.effect = GETS_500,
	};
	struct span why;

	if (!decode_list(m->decoder, list))
		return;
	if (list->count != 1) {
		config_error(m->decoder->report, list, "has %u references; write one", list->count);
		return;
	}
	tls->settings.identity = credential_identity(m, list->first, &place, &tls->source.cert, &why);
	set_invalid(tls, why);
	status_fail_text(m->decoder, &object->status->conditions, CONDITION_RESOLVED_REFS, why,
			 place.invalid);
	if (tls->settings.trust)
		return;
	tls->settings.trust = credential_own_trust(m, list->first, &place, &why);
	set_invalid(tls, why);
	if (tls->settings.trust)
		tls->root_source = tls->source.cert;
}

static void decode_credentials(struct manifests *m, const struct manifest_object *object,
			       const struct yaml_node *node, struct backend_tls *tls)
{
	const struct yaml_node *authorities = decode_get(node, "caCertificateRefs"),
			       *identity = decode_get(node, "mtlsCertificateRef");

	if (authorities && decode_list(m->decoder, authorities))
		use_authorities(m, object, authorities, tls);
	if (identity)
		use_identity(m, object, identity, tls);
	if (!tls->settings.trust && !authorities && tls->settings.verify != TLS_VERIFY_NONE)
		use_system(m, node, tls);
}

static void decode_verify(struct decoder *d, const struct yaml_node *node, struct backend_tls *tls)
{
	static const char *const modes[] = { "All", "Hostname" };
	const struct yaml_node *skip = decode_get(node, "insecureSkipVerify");
	unsigned mode;

	if (!skip || !DECODE_WORD(d, skip, modes, &mode))
		return;
	tls->is_insecure = mode == 0;
	tls->is_insecure_host = mode == 1;
	tls->settings.verify = mode ? TLS_VERIFY_CHAIN : TLS_VERIFY_NONE;
	if (decode_get(node, "verifySubjectAltNames"))
		config_warning(d->report, decode_get(node, "verifySubjectAltNames"),
			       "has no effect: insecureSkipVerify accepts any name of the backend; "
			       "remove one of them");
}

static bool decode_word_name(struct decoder *d, const struct yaml_node *node, void *ret)
{
	return decode_name(d, node, ret);
}

static void decode_names(struct decoder *d, const struct yaml_node *map, const char *key,
			 struct span **ret_list, uint32_t *ret_count)
{
	const struct yaml_node *list = decode_get(map, key);

	if (!list || !decode_list(d, list))
		return;
	if (list->count < 1 || list->count > NAMES_MAX)
		config_error(d->report, list, "has %u entries; write 1 to %d", list->count, NAMES_MAX);
	else
		schema_decode_list(d, list, decode_word_name, sizeof(struct span), ret_list, ret_count);
}

const struct backend_tls *backend_tls_policy(struct manifests *m, const struct yaml_node *node,
					     const struct manifest_object *object)
{
	static const struct decode_key keys[] = {
		KEY("certificateSource"),
		KEY("mtlsCertificateRef"),
		KEY("caCertificateRefs"),
		KEY("insecureSkipVerify"),
		KEY("sni"),
		KEY("verifySubjectAltNames"),
		KEY("alpnProtocols"),
		KEY("keyExchangeGroups"),
	};
	static const char *const sources[] = { "Inline", "SPIFFE" };
	struct decoder *d = m->decoder;
	uint32_t errors = d->report->count[CONFIG_ERROR];
	struct backend_tls *tls;
	unsigned source = 0;

	if (!DECODE_MAP(d, node, keys))
		return NULL;
	tls = decode_take(d, 1, sizeof(*tls));
	if (!tls)
		return NULL;
	if (DECODE_WORD(d, decode_get(node, "certificateSource"), sources, &source) && source)
		config_error(d->report, decode_get(node, "certificateSource"), "SPIFFE " NOT_YET_SPIFFE);
	decode_verify(d, node, tls);
	value_hostname(d, decode_get(node, "sni"), false, &tls->settings.hostname);
	decode_names(d, node, "verifySubjectAltNames", &tls->settings.name_list, &tls->settings.name_count);
	decode_names(d, node, "alpnProtocols", &tls->words.alpn_list, &tls->words.alpn_count);
	decode_names(d, node, "keyExchangeGroups", &tls->words.group_list, &tls->words.group_count);
	tls_value_params(d, node, &words_keys, &tls->words, &tls->settings.params);
	decode_credentials(m, object, node, tls);
	if (d->report->count[CONFIG_ERROR] == errors)
		compile(m, node, tls);
	return tls;
}

/* -------------------------------------------------------------------------------- BackendTLSPolicy */

/* One BackendTLSPolicy during decoding. */
struct source {
	struct manifests *m;
	const struct manifest_object *object;
	struct backend_tls *tls;
};

static void refuse(struct source *source, const struct yaml_node *node, struct span why)
{
	struct decoder *d = source->m->decoder;

	config_warning(d->report, node, "%.*s; " GETS_500, SPAN_FMT(why));
	set_invalid(source->tls, decode_text(d, "Invalid: %.*s", SPAN_FMT(why)));
}

/* An unknown member may require more than the known ones: such a policy is invalid. */
static bool check_keys(struct source *source, const struct yaml_node *node, const char *const *keys,
		       size_t count)
{
	struct decoder *d = source->m->decoder;

	if (!node || node->kind != YAML_MAP) {
		refuse(source, node ? node : source->object->root,
		       node ? SPAN("this is not a map") : SPAN("a part of it is missing"));
		return false;
	}
	yaml_each(member, node) {
		bool is_known = false;

		for (size_t i = 0; i < count; i++)
			is_known |= span_eq(member->key, span_str(keys[i]));
		if (!is_known)
			refuse(source, member,
			       decode_text(d, "this gateway does not know %s", QUOTE(member->key)));
	}
	return true;
}
#define CHECK_KEYS(source, node, keys) check_keys(source, node, keys, ARRAY_LEN(keys))

static struct span text_of(const struct yaml_node *map, const char *key)
{
	const struct yaml_node *node = decode_get(map, key);

	return node && node->kind == YAML_SCALAR ? node->text : (struct span){ 0 };
}

static void decode_authorities(struct source *source, const struct yaml_node *validation)
{
	const struct yaml_node *list = decode_get(validation, "caCertificateRefs");
	struct span known = text_of(validation, "wellKnownCACertificates");
	bool has_list = list && list->kind == YAML_LIST && list->count;

	if (has_list == (known.len > 0))
		refuse(source, validation,
		       has_list ? SPAN("has both caCertificateRefs and wellKnownCACertificates; write one of "
				       "them")
				: SPAN("has no authorities; write caCertificateRefs: [{group: \"\", kind: "
				       "ConfigMap, name: ...}] or wellKnownCACertificates: System"));
	else if (has_list)
		use_authorities(source->m, source->object, list, source->tls);
	else if (span_eq(known, SPAN("System")))
		use_system(source->m, validation, source->tls);
	else
		refuse(source, decode_get(validation, "wellKnownCACertificates"),
		       SPAN("there is no such set of authorities here; write System"));
}

/*
 * Adds one of the accepted names of the certificate. An invalid entry invalidates the policy: otherwise a
 * certificate with one of the other names would be accepted.
 */
static void decode_name_wanted(struct source *source, const struct yaml_node *node)
{
	static const char *const keys[] = { "type", "hostname", "uri" };
	struct tls_client_settings *settings = &source->tls->settings;
	struct decoder *d = source->m->decoder;
	struct span type = text_of(node, "type"), name;

	if (!CHECK_KEYS(source, node, keys))
		return;
	name = text_of(node, span_eq(type, SPAN("URI")) ? "uri" : "hostname");
	if ((!span_eq(type, SPAN("URI")) && !span_eq(type, SPAN("Hostname"))) || !name.len) {
		refuse(source, node,
		       SPAN("is not a name; write {type: Hostname, hostname: ...} or {type: URI, uri: ...}"));
		return;
	}
	if (span_eq(type, SPAN("URI")) && span_find(name, ':') <= 0) {
		refuse(source, node, SPAN("is not a URI; write one such as spiffe://example.com/app"));
		return;
	}
	settings->name_list[settings->name_count++] =
		span_eq(type, SPAN("URI")) ? decode_keep(d, name) : decode_lower(d, name);
}

static void decode_names_wanted(struct source *source, const struct yaml_node *list)
{
	struct tls_client_settings *settings = &source->tls->settings;

	if (!list)
		return;
	if (list->kind != YAML_LIST || list->count > NAMES_MAX) {
		refuse(source, list, SPAN("is not a list of at most 16 names"));
		return;
	}
	settings->name_list = decode_take(source->m->decoder, list->count, sizeof(*settings->name_list));
	if (!settings->name_list)
		return;
	yaml_each(node, list)
		decode_name_wanted(source, node);
}

static void decode_validation(struct source *source, const struct yaml_node *node)
{
	static const char *const keys[] = { "hostname", "caCertificateRefs", "wellKnownCACertificates",
					    "subjectAltNames" };
	const struct yaml_node *hostname = decode_get(node, "hostname");
	struct span name = text_of(node, "hostname");

	if (!CHECK_KEYS(source, node, keys))
		return;
	if (!value_is_hostname(name))
		refuse(source, hostname ? hostname : node,
		       SPAN("hostname is no host name; write the one that the certificate is for"));
	source->tls->settings.hostname = decode_lower(source->m->decoder, name);
	decode_names_wanted(source, decode_get(node, "subjectAltNames"));
	decode_authorities(source, node);
}

static void decode_spec(struct source *source)
{
	static const char *const keys[] = { "targetRefs", "validation", "options" };
	const struct yaml_node *spec = source->object->spec, *options;

	if (!CHECK_KEYS(source, spec, keys))
		return;
	options = decode_get(spec, "options");
	if (options && options->kind == YAML_MAP)
		yaml_each(option, options)
			config_warning(
				source->m->decoder->report, option,
				"this gateway does not know the option %s; it has no effect: remove it",
				QUOTE(option->key));
	decode_validation(source, decode_get(spec, "validation"));
	compile(source->m, spec, source->tls);
}

/* -------------------------------------------------------------------------------- targets */

/* Targets of policies; `owners` maps "service/port" to the policy that has it. */
struct targets {
	struct name_map owners;
	struct pointer_list late; /* struct target: refused where no policy has them */
};

struct target {
	const struct source *source;
	const struct yaml_node *node;
	struct status_target *status; /* NULL: no memory */
	struct span name; /* of the Service, or with is_named of the AgentgatewayBackend */
	bool is_named;
	uint16_t port; /* 0: all ports */
	const struct backend_tls *tls;
};

static void add_policy(const struct target *target)
{
	const struct manifest_object *object = target->source->object;
	struct manifests *m = target->source->m;
	struct decoder *d = m->decoder;
	struct targeted_policy *policy = build_policy(m->builder);
	struct span name = target->is_named ? target->name
					    : service_hostname(d, object->namespace, target->name),
		    suffix = SPAN("");

	if (!policy)
		return;
	if (target->port)
		suffix = decode_text(d, "/%u", target->port);
	policy->key = decode_text(d, "%.*s/%.*s:backend-tls:%.*s/%.*s%.*s", SPAN_FMT(object->namespace),
				  SPAN_FMT(object->name), SPAN_FMT(object->namespace), SPAN_FMT(name),
				  SPAN_FMT(suffix));
	policy->has_name = true;
	policy->name_kind = SPAN("BackendTLSPolicy");
	policy->name = object->name;
	policy->namespace = object->namespace;
	policy->target = (struct policy_target){ .kind = target->is_named ? TARGET_BACKEND : TARGET_SERVICE,
						 .name = name,
						 .namespace = object->namespace,
						 .attach_namespace = object->namespace,
						 .port = target->port };
	policy->value = (struct policy_value){ POLICY_BACKEND_TLS, target->tls };
	policy->created_s = object->created_s;
	policy->where = config_where(d->arena, target->node);
}

static void claim(struct targets *targets, const struct target *target, bool is_quiet)
{
	const struct manifest_object *object = target->source->object, *holder;
	struct decoder *d = target->source->m->decoder;
	struct span key = decode_text(d, "%.*s/%.*s/%u%s", SPAN_FMT(object->namespace),
				      SPAN_FMT(target->name), target->port, target->is_named ? "b" : ""),
		    why;

	holder = key.data ? name_map_get(&targets->owners, key) : NULL;
	if (!holder && key.data && name_map_put(d, &targets->owners, key, (void *)(uintptr_t)object)) {
		add_policy(target);
		return;
	}
	if (!holder || holder == object || is_quiet)
		return;
	why = decode_text(
		d, "Conflicted: has no effect there: BackendTLSPolicy %.*s/%.*s has this target, and %s",
		SPAN_FMT(holder->namespace), SPAN_FMT(holder->name),
		holder->created_s < object->created_s ? "is older" : "comes first by name");
	config_warning(d->report, target->node, "%.*s", SPAN_FMT(why));
	if (target->status)
		status_fail_text(d, &target->status->conditions, CONDITION_ACCEPTED, why, "Conflicted");
}

/* Applies if no policy has this target. */
static void add_late(struct targets *targets, const struct target *target)
{
	struct decoder *d = target->source->m->decoder;
	struct target *late = decode_take(d, 1, sizeof(*late));

	if (!late)
		return;
	*late = *target;
	build_push(d, &targets->late, late);
}

/*
 * A port that does not exist: the intended one is unknown, so ports without their own policy are not served.
 */
static void take_later(struct targets *targets, struct target target, struct span section)
{
	struct decoder *d = target.source->m->decoder;
	struct backend_tls *tls = decode_take(d, 1, sizeof(*tls));

	if (!tls)
		return;
	config_warning(d->report, target.node,
		       "TargetNotFound: Service %.*s/%.*s has no port named %s; its ports without a "
		       "BackendTLSPolicy get status 500",
		       SPAN_FMT(target.source->object->namespace), SPAN_FMT(target.name), QUOTE(section));
	tls->invalid_reason =
		decode_text(d, "TargetNotFound: the Service has no port named %s", QUOTE(section));
	if (target.status)
		status_fail_text(d, &target.status->conditions, CONDITION_ACCEPTED, tls->invalid_reason,
				 "TargetNotFound");
	target.tls = tls;
	add_late(targets, &target);
}

static void decode_known_target(struct targets *targets, struct target target)
{
	struct manifests *m = target.source->m;
	struct span section = text_of(target.node, "sectionName"),
		    namespace = target.source->object->namespace;
	enum manifest_kind kind = target.is_named ? MANIFEST_BACKEND : MANIFEST_SERVICE;

	target.status = status_target_new(m, target.source->object->status, kind, namespace, target.name);
	if (target.is_named && target.status && !manifest_find(m, kind, namespace, target.name))
		status_fail(m->decoder, &target.status->conditions, CONDITION_ACCEPTED, "TargetNotFound",
			    "there is no AgentgatewayBackend of that name");
	if (section.len &&
	    service_port_named(m, namespace, target.name, section, &target.port) == SERVICE_PORT_MISSING)
		take_later(targets, target, section);
	else
		claim(targets, &target, false);
}

static bool is_service_ref(const struct yaml_node *node)
{
	struct span group = text_of(node, "group");

	return (!group.len || span_eq(group, SPAN("core"))) &&
	       span_eq(text_of(node, "kind"), SPAN("Service"));
}

/* A part of one is no target: it may be a target of MCP. */
static bool is_named_ref(const struct yaml_node *node)
{
	return span_eq(text_of(node, "group"), SPAN(GROUP_AGENTGATEWAY)) &&
	       span_eq(text_of(node, "kind"), span_str(manifest_kind_name(MANIFEST_BACKEND))) &&
	       !decode_get(node, "sectionName");
}

static void decode_target(struct targets *targets, const struct source *source, const struct yaml_node *node)
{
	struct manifests *m = source->m;
	struct target target = { .source = source, .node = node, .tls = source->tls };
	struct span kind = text_of(node, "kind");

	target.name = decode_keep(m->decoder, text_of(node, "name"));
	if (!target.name.len) {
		config_warning(m->decoder->report, node,
			       "names nothing; write {group: \"\", kind: Service, name: ...}");
		return;
	}
	target.is_named = is_named_ref(node);
	if (target.is_named || is_service_ref(node)) {
		decode_known_target(targets, target);
		return;
	}
	/* A policy on a route or a Gateway was also intended to have an effect. */
	if (unknown_kind_refuse(m, kind, source->object->namespace, target.name,
				text_of(node, "sectionName")))
		config_warning(
			m->decoder->report, node,
			"InvalidKind: a BackendTLSPolicy is for Services and whole AgentgatewayBackends; the "
			"%s it names gets 500: name one, or write backend.tls of an AgentgatewayPolicy",
			QUOTE(kind));
	else
		config_warning(m->decoder->report, node,
			       "InvalidKind: has no effect: there are no backends of kind %s here; name a "
			       "Service or an AgentgatewayBackend",
			       QUOTE(kind));
}

/*
 * The policy is in force as it was before the reload. To what only its new version names requests would be
 * sent in clear text: they are refused there, unless another policy has that target. The errors of the new
 * version have been reported.
 */
static void refuse_new_targets(struct targets *targets, const struct source *source)
{
	const struct yaml_node *spec = decode_get(source->object->refused_root, "spec"),
			       *list = decode_get(spec, "targetRefs");
	struct manifests *m = source->m;
	struct span namespace = source->object->namespace;
	struct backend_tls *tls = decode_take(m->decoder, 1, sizeof(*tls));

	if (!tls || !list || list->kind != YAML_LIST)
		return;
	tls->invalid_reason =
		SPAN("Invalid: the policy has an error, and its version from before, which is in "
		     "force, did not have this target");
	yaml_each(node, list) {
		struct target target = { .source = source, .node = node, .tls = tls };
		struct span section = text_of(node, "sectionName");

		target.name = decode_keep(m->decoder, text_of(node, "name"));
		target.is_named = is_named_ref(node);
		if (!target.is_named && !is_service_ref(node)) {
			unknown_kind_refuse(m, text_of(node, "kind"), namespace, target.name, section);
			continue;
		}
		if (section.len && !target.is_named)
			(void)service_port_named(m, namespace, target.name, section, &target.port);
		add_late(targets, &target);
	}
}

static void decode_policy(struct targets *targets, struct source *source)
{
	const struct yaml_node *list = decode_get(source->object->spec, "targetRefs");
	struct decoder *d = source->m->decoder;

	source->tls = decode_take(d, 1, sizeof(*source->tls));
	if (!source->tls)
		return;
	decode_spec(source);
	if (!list || list->kind != YAML_LIST || !list->count || list->count > TARGETS_MAX)
		config_error(d->report, list ? list : source->object->root,
			     "a BackendTLSPolicy has 1 to %d targetRefs", TARGETS_MAX);
	if (source->object->root->fault)
		set_invalid(source->tls, decode_text(d, "Invalid: %s", source->object->root->fault));
	status_fail_text(d, &source->object->status->conditions, CONDITION_ACCEPTED,
			 source->tls->invalid_reason, "Invalid");
	for (const struct yaml_node *node = list && list->kind == YAML_LIST ? list->first : NULL; node;
	     node = node->next)
		decode_target(targets, source, node);
	if (source->object->refused_root)
		refuse_new_targets(targets, source);
}

/* The older policy first, then by namespace and name. */
static int source_order(const void *left, const void *right)
{
	return manifest_order(((const struct source *)left)->object, ((const struct source *)right)->object);
}

void backend_tls_policies_decode(struct manifests *m)
{
	const struct pointer_list *objects = &m->objects[MANIFEST_BACKEND_TLS_POLICY];
	struct source *list = decode_take(m->decoder, objects->count, sizeof(*list));
	struct targets targets = { 0 };

	if (!list)
		return;
	for (uint32_t i = 0; i < objects->count; i++)
		list[i] = (struct source){ .m = m, .object = objects->list[i] };
	qsort(list, objects->count, sizeof(*list), source_order);
	for (uint32_t i = 0; i < objects->count; i++)
		decode_policy(&targets, &list[i]);
	for (uint32_t i = 0; i < targets.late.count; i++)
		claim(&targets, targets.late.list[i], true);
	name_map_done(&targets.owners);
	build_list_done(&targets.late);
}
