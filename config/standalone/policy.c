/* SPDX-License-Identifier: Apache-2.0 */
#include "config/standalone/policy.h"

#include "config/core/policy_value.h"
#include "config/standalone/target.h"
#include "config/core/values.h"
#include "user/base/check.h"
#include "user/base/limits.h"

#define ELSEWHERE_BACKEND "belongs to a backend; write it under backends[].policies"
#define NO_TLS "is not supported yet: this gateway does not speak TLS itself; remove it"

/* Everything the original knows and this gateway does not. */
#define REFUSED_TRAFFIC                                                                                      \
	KEY_LATER("cors"), KEY_LATER("csrf"), KEY_LATER("localRateLimit"), KEY_LATER("remoteRateLimit"),     \
		KEY_LATER("extAuthz"), KEY_LATER("extProc"), KEY_LATER("jwtAuth"), KEY_LATER("oidc"),        \
		KEY_LATER("basicAuth"), KEY_LATER("apiKey"), KEY_LATER("authorization"),                     \
		KEY_LATER("mcpAuthorization"), KEY_LATER("mcpAuthentication"), KEY_LATER("a2a"),             \
		KEY_LATER("ai"), KEY_LATER("transformations"), KEY_LATER("buffer"),                          \
		KEY_REFUSED("hostRewrite", "is not supported yet; use urlRewrite.authority")
#define REFUSED_BACKEND                                                                                      \
	KEY_REFUSED("backendTLS", NO_TLS), KEY_LATER("backendAuth"), KEY_LATER("backendTunnel"),             \
		KEY_LATER("inferenceRouting"), KEY_LATER("sessionAffinity"), KEY_LATER("sessionPersistence")

/* -------------------------------------------------------------------------------- values */

static bool decode_header_pairs(struct decoder *d, const struct yaml_node *node,
				struct header_pair **ret_list, uint32_t *ret_count)
{
	struct header_pair *list;
	uint32_t count = 0;

	if (!decode_any_map(d, node))
		return false;
	if (node->count > LIMIT_HEADERS) {
		config_error(d->report, node, "%u headers are more than the %d of one message", node->count,
			     LIMIT_HEADERS);
		return false;
	}
	list = decode_take(d, node->count, sizeof(*list));
	if (!list)
		return false;
	yaml_each(member, node) {
		struct header_pair pair;
		bool is_good = value_header_name(d, member, member->key, &pair.name);

		if (value_header_value(d, member, &pair.value) && is_good)
			list[count++] = pair;
	}
	*ret_list = list;
	*ret_count = count;
	return true;
}

static const void *decode_headers(struct decoder *d, const struct yaml_node *node)
{
	static const struct decode_key keys[] = { KEY("add"), KEY("set"), KEY("remove") };
	struct header_modifier *policy;

	if (!DECODE_MAP(d, node, keys))
		return NULL;
	policy = decode_take(d, 1, sizeof(*policy));
	if (!policy)
		return NULL;
	decode_header_pairs(d, decode_get(node, "add"), &policy->add_list, &policy->add_count);
	decode_header_pairs(d, decode_get(node, "set"), &policy->set_list, &policy->set_count);
	policy_value_removals(d, decode_get(node, "remove"), policy);
	return policy;
}

static void decode_authority(struct decoder *d, const struct yaml_node *node, struct url_rewrite *rewrite)
{
	static const struct decode_key keys[] = { KEY("full"), KEY("host"), KEY("port") };
	static const char *const choices[] = { "full", "host", "port" };
	static const char *const words[] = { "auto", "none" };
	const struct yaml_node *chosen;
	unsigned index;

	if (!node)
		return;
	if (node->kind == YAML_SCALAR) {
		if (DECODE_WORD(d, node, words, &index))
			rewrite->authority_kind = index == 0 ? AUTHORITY_AUTO : AUTHORITY_NONE;
		return;
	}
	if (!DECODE_MAP(d, node, keys))
		return;
	chosen = decode_choice(d, node, choices, ARRAY_LEN(choices), &index);
	if (!chosen)
		return;
	if (index == 2) {
		if (decode_port(d, chosen, &rewrite->port))
			rewrite->authority_kind = AUTHORITY_PORT;
	} else if (index == 1) {
		if (value_hostname(d, chosen, false, &rewrite->authority))
			rewrite->authority_kind = AUTHORITY_HOST;
	} else if (decode_name(d, chosen, &rewrite->authority)) {
		if (span_find(rewrite->authority, '/') >= 0 || span_find(rewrite->authority, ' ') >= 0 ||
		    span_find(rewrite->authority, '@') >= 0)
			config_error(d->report, chosen, "%s is not an authority; write name or name:port",
				     QUOTE(rewrite->authority));
		else
			rewrite->authority_kind = AUTHORITY_FULL;
	}
}

static void decode_path_rewrite(struct decoder *d, const struct yaml_node *node, struct url_rewrite *rewrite)
{
	static const struct decode_key keys[] = { KEY("full"), KEY("prefix") };
	static const char *const choices[] = { "full", "prefix" };
	const struct yaml_node *chosen;
	unsigned index;

	if (!DECODE_MAP(d, node, keys))
		return;
	chosen = decode_choice(d, node, choices, ARRAY_LEN(choices), &index);
	if (chosen && value_path(d, chosen, &rewrite->path))
		rewrite->path_kind = index == 0 ? PATH_FULL : PATH_PREFIX;
}

static const void *decode_rewrite(struct decoder *d, const struct yaml_node *node)
{
	static const struct decode_key keys[] = { KEY("authority"), KEY("path") };
	struct url_rewrite *policy;

	if (!DECODE_MAP(d, node, keys))
		return NULL;
	policy = decode_take(d, 1, sizeof(*policy));
	if (!policy)
		return NULL;
	decode_authority(d, decode_get(node, "authority"), policy);
	decode_path_rewrite(d, decode_get(node, "path"), policy);
	return policy;
}

static const void *decode_redirect(struct decoder *d, const struct yaml_node *node)
{
	static const struct decode_key keys[] = { KEY("scheme"), KEY("authority"), KEY("path"),
						  KEY("status") };
	struct redirect_policy *policy;

	if (!DECODE_MAP(d, node, keys))
		return NULL;
	policy = decode_take(d, 1, sizeof(*policy));
	if (!policy)
		return NULL;
	policy->status = 302;
	value_scheme(d, decode_get(node, "scheme"), &policy->scheme);
	decode_authority(d, decode_get(node, "authority"), &policy->url);
	decode_path_rewrite(d, decode_get(node, "path"), &policy->url);
	value_redirect_status(d, decode_get(node, "status"), &policy->status);
	if (node->count == 0)
		config_error(d->report, node,
			     "a redirect to the same place would never end; write scheme, authority or "
			     "path");
	return policy;
}

static const void *decode_mirror(struct standalone *s, const struct yaml_node *node, struct span base)
{
	static const struct decode_key keys[] = { KEY("backend"), KEY("percentage") };
	static const struct decode_key target_keys[] = { KEY("host"), KEY("service"), KEY("backend") };
	struct decoder *d = s->decoder;
	const struct yaml_node *target;
	struct mirror_policy *policy;

	if (!DECODE_MAP(d, node, keys))
		return NULL;
	policy = decode_take(d, 1, sizeof(*policy));
	if (!policy)
		return NULL;
	policy->per_million = 1000000;
	decode_fraction(d, decode_get(node, "percentage"), &policy->per_million);
	policy->ref = decode_take(d, 1, sizeof(*policy->ref));
	target = decode_need(d, node, "backend", "write backend: {host: \"name:port\"}");
	if (!policy->ref || !DECODE_MAP(d, target, target_keys) ||
	    !standalone_target(s, target, decode_text(d, "%.*s/mirror", SPAN_FMT(base)), policy->ref))
		return NULL;
	policy->ref->weight = 1;
	policy->backend = (struct backend *)policy->ref->backend;
	return build_push(d, &s->builder->mirrors, policy) ? policy : NULL;
}

/* -------------------------------------------------------------------------------- sets of policies */

struct policy_entry {
	const char *name;
	enum policy_kind kind;
	/* NULL: it has rows, or is a mirror. */
	const void *(*decode)(struct decoder *d, const struct yaml_node *node);
};

/* In the order of the dump. */
static const struct policy_entry traffic_entries[] = {
	{ "timeout", POLICY_TIMEOUT, NULL },
	{ "retry", POLICY_RETRY, NULL },
	{ "delay", POLICY_DELAY, NULL },
	{ "requestHeaderModifier", POLICY_REQUEST_HEADERS, decode_headers },
	{ "responseHeaderModifier", POLICY_RESPONSE_HEADERS, decode_headers },
	{ "requestRedirect", POLICY_REDIRECT, decode_redirect },
	{ "urlRewrite", POLICY_URL_REWRITE, decode_rewrite },
	{ "requestMirror", POLICY_MIRROR, NULL },
	{ "directResponse", POLICY_DIRECT_RESPONSE, policy_value_direct_response },
};

static const struct policy_entry backend_entries[] = {
	{ "http", POLICY_BACKEND_HTTP, NULL },
	{ "tcp", POLICY_BACKEND_TCP, NULL },
	{ "health", POLICY_BACKEND_HEALTH, NULL },
	{ "requestHeaderModifier", POLICY_REQUEST_HEADERS, decode_headers },
	{ "responseHeaderModifier", POLICY_RESPONSE_HEADERS, decode_headers },
};

#define TRAFFIC_KEYS                                                                                         \
	KEY("timeout"), KEY("retry"), KEY("delay"), KEY("requestHeaderModifier"),                            \
		KEY("responseHeaderModifier"), KEY("requestRedirect"), KEY("urlRewrite"),                    \
		KEY("requestMirror"), KEY("directResponse")

/* A mirror has a target, which is named after what the policy belongs to. */
static const void *decode_entry(struct standalone *s, const struct policy_entry *entry,
				const struct yaml_node *node, struct span base)
{
	if (entry->kind == POLICY_MIRROR)
		return decode_mirror(s, node, base);
	return entry->decode ? entry->decode(s->decoder, node) : policy_value(s->decoder, node, entry->kind);
}

static const struct policy_entry *find_entry(const struct policy_entry *list, size_t count,
					     const struct yaml_node *node)
{
	for (size_t i = 0; i < count; i++)
		if (decode_get(node, list[i].name))
			return &list[i];
	return NULL;
}

static void decode_entries(struct standalone *s, const struct yaml_node *node,
			   const struct policy_entry *entries, size_t entry_count, struct span base,
			   struct policy_values *ret)
{
	if (!build_values(s->decoder, ret, (uint32_t)entry_count))
		return;
	for (size_t i = 0; i < entry_count; i++) {
		const struct yaml_node *child = decode_get(node, entries[i].name);
		const void *object = child ? decode_entry(s, &entries[i], child, base) : NULL;

		if (object)
			build_value(ret, entries[i].kind, object);
	}
}

void standalone_route_policies(struct standalone *s, const struct yaml_node *node, struct span base,
			       struct policy_values *ret)
{
	static const struct decode_key keys[] = { TRAFFIC_KEYS, REFUSED_TRAFFIC, REFUSED_BACKEND,
						  KEY_REFUSED("http", ELSEWHERE_BACKEND),
						  KEY_REFUSED("tcp", ELSEWHERE_BACKEND),
						  KEY_REFUSED("health", ELSEWHERE_BACKEND) };

	if (DECODE_MAP(s->decoder, node, keys))
		decode_entries(s, node, traffic_entries, ARRAY_LEN(traffic_entries), base, ret);
}

void standalone_backend_policies(struct standalone *s, const struct yaml_node *node,
				 struct policy_values *ret)
{
	static const struct decode_key keys[] = {
		KEY("http"),
		KEY("tcp"),
		KEY("health"),
		KEY("requestHeaderModifier"),
		KEY("responseHeaderModifier"),
		KEY_REFUSED("delay", "belongs to a route; write it under routes[].policies"),
		KEY_REFUSED("timeout", "belongs to a route; write it under routes[].policies, or use "
				       "http.requestTimeout here"),
		KEY_REFUSED("retry", "belongs to a route; write it under routes[].policies"),
		KEY_LATER("requestRedirect"),
		REFUSED_BACKEND,
		REFUSED_TRAFFIC
	};

	if (DECODE_MAP(s->decoder, node, keys))
		decode_entries(s, node, backend_entries, ARRAY_LEN(backend_entries), (struct span){ 0 }, ret);
}

bool standalone_single_policy(struct standalone *s, const struct yaml_node *node, struct span base,
			      struct policy_value *ret)
{
	static const struct decode_key keys[] = { TRAFFIC_KEYS,	 KEY("http"),	  KEY("tcp"),
						  KEY("health"), REFUSED_TRAFFIC, REFUSED_BACKEND };
	const struct policy_entry *found;

	if (!DECODE_MAP(s->decoder, node, keys))
		return false;
	if (node->count != 1) {
		config_error(s->decoder->report, node,
			     "'policies' must contain exactly 1 policy each; this one has %u: write "
			     "one element of the list for each",
			     node->count);
		return false;
	}
	found = find_entry(traffic_entries, ARRAY_LEN(traffic_entries), node);
	if (!found)
		found = find_entry(backend_entries, ARRAY_LEN(backend_entries), node);
	if (!found)
		return false;
	ret->kind = found->kind;
	ret->object = decode_entry(s, found, decode_get(node, found->name), base);
	return ret->object != NULL;
}
