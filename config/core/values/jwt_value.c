/* SPDX-License-Identifier: Apache-2.0 */
#include "config/core/values/jwt_value.h"

#include <errno.h>

#include "config/core/values/callout_value.h"
#include "config/core/values/fetch_value.h"
#include "config/core/values/mcp_auth_value.h"
#include "config/core/values/mcp_value.h"
#include "config/core/values/tls_files.h"
#include "user/base/units.h"

enum {
	AUDIENCES_MAX = 64,
	CLAIMS_MAX = 16,
	KEEP_MIN_S = 5 * 60, /* as in the CRD */
	KEEP_MAX_S = 24 * 3600, /* longer ones are shortened: keys that were withdrawn must go */
};

/* -------------------------------------------------------------------------------- keys */

bool jwt_read_keys(struct decoder *d, const struct yaml_node *node, struct span text,
		   struct jwt_provider *provider)
{
	struct jwk_report report;
	struct jwk_set *set = NULL;
	int result = jwk_set_parse(text, &set, &report);

	if (result == 0 && report.left_out)
		config_warning(d->report, node,
			       "%u of its keys cannot verify tokens; the one at index %u: %s",
			       report.left_out, report.index, report.what);
	if (result == 0)
		return fetch_value_keep(d, &set->value, &provider->keys);
	if (result == -ENOMEM)
		d->failed = true;
	else if (result == -ENOKEY && report.what)
		config_error(
			d->report, node,
			"has no key that can verify tokens; write RSA, P-256, P-384 or Ed25519 keys; the "
			"one at index %u: %s",
			report.index, report.what);
	else if (result == -ENOKEY)
		config_error(d->report, node, "has no keys; write those of the issuer, or its URL");
	else
		config_error(d->report, node,
			     result == -E2BIG
				     ? "is larger than 512 KiB"
				     : "is not a set of keys in JSON, as in {\"keys\": [{\"kty\": ...}]}");
	return false;
}

bool jwt_remote_keys(struct decoder *d, const struct yaml_node *node, struct span url, uint32_t keep_s,
		     struct jwt_provider *provider)
{
	const struct fetch_source source = {
		.kind = FETCH_KEYS, .url = url, .keep_s = keep_s, .place = &provider->keys
	};

	return fetch_value_url(d, node, &source, "can sign tokens");
}

bool jwt_decode_keys(struct decoder *d, const struct yaml_node *node, void *ret)
{
	static const struct decode_key keys[] = { KEY("url"), KEY("file") };
	const struct yaml_node *url = decode_get(node, "url");
	struct credential_text text;
	struct span address;
	bool is_valid;

	if (node->kind == YAML_MAP && (url || decode_get(node, "file") == NULL)) {
		if (!DECODE_MAP(d, node, keys) ||
		    !decode_need(d, node, "url", "write url: https://..., or file"))
			return false;
		if (decode_get(node, "file")) {
			config_error(d->report, node, "has both \"url\" and \"file\"; write one of them");
			return false;
		}
		return decode_name(d, url, &address) && jwt_remote_keys(d, url, address, 0, ret);
	}
	is_valid = credential_text_read(d, node, "write file: /etc/headgate/jwks.json", &text) &&
		   jwt_read_keys(d, node, text.text, ret);
	credential_text_done(&text);
	return is_valid;
}

/* 0 without it. False: reported. */
static bool decode_cache(struct decoder *d, const struct yaml_node *node, uint32_t *ret_keep_s)
{
	const struct yaml_node *duration = decode_get(node, "cacheDuration");
	uint64_t ns = 0;

	if (duration && !decode_duration(d, duration, KEEP_MIN_S * NS_PER_S, &ns))
		return false;
	*ret_keep_s = ns / NS_PER_S > KEEP_MAX_S ? KEEP_MAX_S : (uint32_t)(ns / NS_PER_S);
	return true;
}

bool jwt_decode_remote(struct decoder *d, const struct yaml_node *node, void *provider)
{
	static const struct decode_key keys[] = { KEY("url"), KEY("backendRef"), KEY("jwksPath"),
						  KEY("cacheDuration") };
	static const char *const choices[] = { "url", "backendRef" };
	const struct yaml_node *chosen;
	uint32_t keep_s;
	struct span text;
	unsigned index;

	if (!DECODE_MAP(d, node, keys))
		return false;
	chosen = decode_choice(d, node, choices, ARRAY_LEN(choices), &index);
	if (!chosen)
		return false;
	if (index == 1)
		return fetch_value_keep(d, NULL, &((struct jwt_provider *)provider)->keys);
	if (decode_get(node, "jwksPath")) {
		config_error(d->report, decode_get(node, "jwksPath"),
			     "is the path at a backendRef; write it into url");
		return false;
	}
	return decode_name(d, chosen, &text) && decode_cache(d, node, &keep_s) &&
	       jwt_remote_keys(d, chosen, text, keep_s, provider);
}

/* Whose path need not begin with a slash. */
static bool decode_service_path(struct decoder *d, const struct yaml_node *node, struct span *ret)
{
	const struct yaml_node *written =
		decode_need(d, node, "jwksPath", "write the path, as in .well-known/jwks.json");
	struct span text;

	if (!decode_name(d, written, &text))
		return false;
	*ret = decode_text(d, "%s%.*s", text.data[0] == '/' ? "" : "/", SPAN_FMT(text));
	return ret->data && mcp_value_path(d, written, *ret);
}

/* `jwks` with a backendRef. */
static bool decode_service_keys(struct decoder *d, const struct yaml_node *node,
				struct jwt_provider *provider,
				struct backend_ref *(*fn)(void *context, const struct yaml_node *node),
				void *context)
{
	struct fetch_source *source = decode_take(d, 1, sizeof(*source));
	struct backend_ref *ref;

	if (!source || !decode_service_path(d, node, &source->path) ||
	    !decode_cache(d, node, &source->keep_s) ||
	    !value_callout_target(d, node, false, fn, context, &ref))
		return false;
	source->kind = FETCH_KEYS;
	source->place = &provider->keys;
	source->ref = ref;
	source->backend = ref->backend;
	source->url = ref->service_name.len ? decode_text(d, "%.*s:%u%.*s", SPAN_FMT(ref->service_name),
							  ref->service_port, SPAN_FMT(source->path))
					    : decode_text(d, "%.*s%.*s", SPAN_FMT(ref->backend_name),
							  SPAN_FMT(source->path));
	return source->url.data && build_push(d, &build_of(d)->fetches, source);
}

/* Of the provider with this index, or of the policy itself. */
static const struct yaml_node *remote_node(const struct yaml_node *node, uint32_t index)
{
	const struct yaml_node *list = decode_get(node, "providers");

	if (!list)
		return decode_get(node, "jwks");
	yaml_each(child, list)
		if (child->index == index)
			return decode_get(decode_get(child, "jwks"), "remote");
	return NULL;
}

bool jwt_decode_services(struct decoder *d, const struct yaml_node *node, struct jwt_auth_policy *policy,
			 struct backend_ref *(*fn)(void *context, const struct yaml_node *node),
			 void *context)
{
	bool is_valid = true;

	for (uint32_t i = 0; i < policy->providers.provider_count; i++) {
		const struct yaml_node *remote = remote_node(node, i);

		if (decode_get(remote, "backendRef"))
			is_valid &= decode_service_keys(d, remote, &policy->providers.provider_list[i], fn,
							context);
	}
	return is_valid;
}

static bool decode_manifest_keys(struct decoder *d, const struct yaml_node *node, void *ret)
{
	static const char *const choices[] = { "inline", "remote" };
	static const struct decode_key keys[] = { KEY("inline"), KEY("remote") };
	const struct yaml_node *chosen;
	struct span text;
	unsigned index;

	if (!DECODE_MAP(d, node, keys))
		return false;
	chosen = decode_choice(d, node, choices, ARRAY_LEN(choices), &index);
	if (!chosen)
		return false;
	if (index == 1)
		return jwt_decode_remote(d, chosen, ret);
	return decode_string(d, chosen, &text) && jwt_read_keys(d, chosen, text, ret);
}

/* -------------------------------------------------------------------------------- providers */

static bool decode_text_element(struct decoder *d, const struct yaml_node *node, void *element)
{
	return decode_name(d, node, element);
}

static const struct schema_row options_rows[] = {
	{ "requiredClaims",
	  AS_LIST(SCHEMA_NAMES, struct jwt_provider, required_list, required_count, struct span),
	  .element = decode_text_element, RANGE(0, CLAIMS_MAX), .value_doc = "list of names",
	  .default_doc = "`[exp]`", .doc = "claims that a token must have" },
};
const struct schema jwt_options_schema = SCHEMA(options_rows, struct jwt_provider);

static const struct schema_row provider_rows[] = {
	{ "issuer", AS_TEXT(struct jwt_provider, issuer), .need = "write the iss of its tokens",
	  .doc = "`iss` of its tokens, to the letter" },
	{ "audiences", AS_LIST(SCHEMA_NAMES, struct jwt_provider, audience_list, audience_count, struct span),
	  .element = decode_text_element, RANGE(0, AUDIENCES_MAX), .dump = DUMP_NOT_ZERO,
	  .value_doc = "list of texts", .default_doc = "any", .doc = "one of them is in `aud`" },
	{ "jwks", AS_REST(struct jwt_provider), .decode = jwt_decode_keys, .style = STYLE_STANDALONE,
	  .need = "write jwks: {url: https://...}, {file: path} or the keys as text",
	  .value_doc = "text, `{file: path}`, `{url: https://…}`",
	  .doc = "the issuer's public keys: RSA, P-256, P-384, Ed25519, each with a `kid`. The gateway "
		 "watches a file, and fetches a URL" },
	{ "jwks", AS_REST(struct jwt_provider), .decode = decode_manifest_keys, .style = STYLE_MANIFEST,
	  .need = "write jwks: {inline: ...} or {remote: {url: https://...}}" },
	{ "jwtValidationOptions", AS_SECTION(struct jwt_provider, &jwt_options_schema),
	  .style = STYLE_STANDALONE },
};

/* Absent, unlike an empty list, means the default. */
void jwt_provider_check(struct decoder *d, const struct yaml_node *node, void *object)
{
	static struct span expires = SPAN("exp");
	struct jwt_provider *provider = object;

	(void)d;
	if (decode_get(decode_get(node, "jwtValidationOptions"), "requiredClaims"))
		return;
	provider->required_list = &expires;
	provider->required_count = 1;
}
static const struct schema provider_schema =
	SCHEMA(provider_rows, struct jwt_provider, .check = jwt_provider_check);

/* The provider must stay where it is: its keys may be fetched. */
static bool decode_provider(struct decoder *d, const struct yaml_node *node, void *element)
{
	return schema_decode(d, node, &provider_schema, element);
}

/* -------------------------------------------------------------------------------- jwtAuth */

void jwt_auth_finish(struct jwt_auth_policy *policy)
{
	policy->providers.id = jwt_providers_id();
	credential_location_default(&policy->location, SPAN("Bearer "));
	policy->challenge = SPAN("Bearer");
	policy->challenge_invalid = SPAN("Bearer error=\"invalid_token\"");
}

static bool is_of_provider(struct span key)
{
	for (size_t i = 0; i < ARRAY_LEN(provider_rows); i++)
		if (span_eq(key, span_str(provider_rows[i].key)))
			return true;
	return false;
}

static bool has_provider_keys(const struct yaml_node *node)
{
	yaml_each(child, node)
		if (is_of_provider(child->key))
			return true;
	return false;
}

struct jwt_provider *jwt_decode_single(struct decoder *d, const struct yaml_node *node,
				       const struct schema *schema, struct jwt_auth_policy *policy)
{
	struct jwt_provider *provider = decode_take(d, 1, sizeof(*provider));

	if (!provider)
		return NULL;
	policy->providers.provider_list = provider;
	policy->providers.provider_count = 1;
	schema_default(schema, provider);
	schema_decode_members(d, node, schema, provider);
	return provider;
}

/* `mcp` of a manifest: the clients are those of MCP. */
static void check_mcp(struct decoder *d, const struct yaml_node *node, struct jwt_auth_policy *policy)
{
	if (!node || !d->is_manifest)
		return;
	if (policy->providers.provider_count != 1)
		config_error(d->report, node, "needs exactly one provider; write one policy for each");
	else if (policy->mode != CREDENTIAL_STRICT)
		config_error(d->report, node,
			     "needs mode: Strict, because clients look for a token only after a 401");
	else
		policy->mcp = mcp_auth_decode(d, node, &policy->providers.provider_list[0]);
}

static void check_jwt_auth(struct decoder *d, const struct yaml_node *node, void *object)
{
	struct jwt_auth_policy *policy = object;
	const struct yaml_node *list = decode_get(node, "providers");
	bool has_list = list != NULL, has_single = has_provider_keys(node);

	if (list && list->count == 0)
		config_error(d->report, list, "is empty, so nobody could enter; write the issuers of tokens");

	if (has_list && has_single)
		config_error(
			d->report, node,
			"has \"providers\" beside the members of one provider; move these into the list");
	else if (!has_list && !d->is_manifest)
		(void)jwt_decode_single(d, node, &provider_schema, policy);
	credential_mode_check(d, node, &policy->mode);
	check_mcp(d, decode_get(node, "mcp"), policy);
	jwt_auth_finish(policy);
}

static const struct schema_row jwt_auth_rows[] = {
	{ "mode", AS_WORD(struct jwt_auth_policy, mode), CREDENTIAL_MODES,
	  .default_value = CREDENTIAL_OPTIONAL, .style = STYLE_STANDALONE, .doc = CREDENTIAL_MODE_DOC },
	{ "mode", AS_WORD(struct jwt_auth_policy, mode), CREDENTIAL_MODES, .style = STYLE_MANIFEST },
	{ "providers",
	  AS_OBJECTS(struct jwt_auth_policy, providers.provider_list, providers.provider_count,
		     &provider_schema, struct jwt_provider),
	  .element = decode_provider, RANGE(1, JWT_PROVIDERS), .style = STYLE_STANDALONE,
	  .default_doc = "the members of one, beside `mode`", .doc = "issuers of tokens" },
	{ "providers",
	  AS_OBJECTS(struct jwt_auth_policy, providers.provider_list, providers.provider_count,
		     &provider_schema, struct jwt_provider),
	  .element = decode_provider, RANGE(1, JWT_PROVIDERS), .style = STYLE_MANIFEST,
	  .need = "write the issuers of tokens" },
	{ "issuer", AS_REST(struct jwt_auth_policy), .style = STYLE_STANDALONE, .is_hidden = true },
	{ "audiences", AS_REST(struct jwt_auth_policy), .style = STYLE_STANDALONE, .is_hidden = true },
	{ "jwks", AS_REST(struct jwt_auth_policy), .style = STYLE_STANDALONE, .is_hidden = true },
	{ "jwtValidationOptions", AS_REST(struct jwt_auth_policy), .style = STYLE_STANDALONE,
	  .is_hidden = true },
	{ "mcp", AS_REST(struct jwt_auth_policy), .style = STYLE_MANIFEST },
	{ "location",
	  AS_MAP(struct jwt_auth_policy, location, &credential_location_schema, struct credential_location),
	  .decode = credential_location_decode, .default_doc = "`Authorization: Bearer`",
	  .doc = "where it is; a valid one is not passed on" },
};
const struct schema jwt_auth_schema = SCHEMA(jwt_auth_rows, struct jwt_auth_policy, .check = check_jwt_auth);
