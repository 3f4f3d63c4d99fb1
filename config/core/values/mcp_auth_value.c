/* SPDX-License-Identifier: Apache-2.0 */
#include "config/core/values/mcp_auth_value.h"

#include "config/core/values/jwt_value.h"
#include "config/core/values/node_json.h"
#include "user/base/json_writer.h"

enum { AUDIENCES_MAX = 64 };

#define NO_CLIENT_ID                                                                                         \
	"is not supported yet: the gateway registers no clients, and without it clients register at the "    \
	"authorization server; remove it if the server allows that, or give clients the id"

/* -------------------------------------------------------------------------------- providers */

static const char *const provider_words[] = { "auth0", "keycloak", "okta", "descope", "authentik", "entra" };
static const char *const provider_manifest_words[] = { "Auth0",	  "Keycloak",  "Okta",
						       "Descope", "Authentik", "Entra" };

/* {keycloak: {}}; a word in manifests. */
static bool decode_provider(struct decoder *d, const struct yaml_node *node, unsigned *ret)
{
	static const struct decode_key keys[] = { KEY("auth0"),	  KEY("keycloak"),  KEY("okta"),
						  KEY("descope"), KEY("authentik"), KEY("entra") };
	const struct yaml_node *chosen;

	if (d->is_manifest)
		return DECODE_WORD(d, node, provider_manifest_words, ret);
	if (!DECODE_MAP(d, node, keys))
		return false;
	chosen = decode_choice(d, node, provider_words, ARRAY_LEN(provider_words), ret);
	return chosen && decode_any_map(d, chosen);
}

/* Where it has its keys, if `jwks` is not written; NULL: the issuer's URL does not say. */
static const char *keys_path(const struct mcp_auth *auth)
{
	static const char *const paths[MCP_PROVIDERS] = {
		[MCP_PROVIDER_AUTH0] = "/.well-known/jwks.json",
		[MCP_PROVIDER_KEYCLOAK] = "/protocol/openid-connect/certs",
		[MCP_PROVIDER_OKTA] = "/.well-known/jwks.json",
		[MCP_PROVIDER_AUTHENTIK] = "/jwks/",
	};

	return auth->has_provider ? paths[auth->provider] : "/.well-known/jwks.json";
}

/* -------------------------------------------------------------------------------- URLs */

static struct span without_slash(struct span url)
{
	while (url.len && url.data[url.len - 1] == '/')
		url.len--;
	return url;
}

/* The length of "https://host:port" at the start; 0: not such a URL. */
static size_t origin_len(struct span url)
{
	size_t scheme = span_starts(url, SPAN("https://"))  ? strlen("https://")
			: span_starts(url, SPAN("http://")) ? strlen("http://")
							    : 0;
	ptrdiff_t slash = span_find(span_from(url, scheme), '/');

	if (!scheme || url.len == scheme)
		return 0;
	return slash < 0 ? url.len : scheme + (size_t)slash;
}

/* RFC 8414 3: the well-known name comes before the path. OpenID Connect Discovery 4: behind it. */
static struct span server_url(struct decoder *d, const struct mcp_auth *auth)
{
	struct span issuer = without_slash(auth->issuer);
	size_t origin = origin_len(issuer);

	if (auth->has_provider && auth->provider != MCP_PROVIDER_AUTH0)
		return decode_text(d, "%.*s/.well-known/openid-configuration", SPAN_FMT(issuer));
	return decode_text(d, "%.*s/.well-known/oauth-authorization-server%.*s",
			   SPAN_FMT(span_first(issuer, origin)), SPAN_FMT(span_from(issuer, origin)));
}

/* -------------------------------------------------------------------------------- metadata */

static bool is_upper(char c)
{
	return c >= 'A' && c <= 'Z';
}

/* scopesSupported becomes scopes_supported, resourcePolicyURI resource_policy_uri. */
static void add_snake(struct text *to, struct span name)
{
	for (size_t i = 0; i < name.len; i++) {
		char c = name.data[i], before = i ? name.data[i - 1] : '_';
		bool ends_word = i + 1 < name.len && !is_upper(name.data[i + 1]) && name.data[i + 1] != '_';

		if (is_upper(c) && before != '_' && before != '-' && (!is_upper(before) || ends_word))
			text_char(to, '_');
		text_char(to, is_upper(c) ? (char)(c | 0x20) : c == '-' || c == ' ' ? '_' : c);
	}
}

static bool take_resource(struct decoder *d, const struct yaml_node *node, struct mcp_auth *auth)
{
	struct span url;
	size_t origin;

	if (!decode_name(d, node, &url))
		return false;
	origin = origin_len(url);
	if (!origin) {
		config_error(d->report, node,
			     "%s is not a URL; write that of the endpoint, as in "
			     "https://tools.example.com/mcp",
			     QUOTE(url));
		return false;
	}
	auth->has_resource = true;
	auth->origin = decode_keep(d, span_first(url, origin));
	return true;
}

static bool take_member(struct decoder *d, const struct yaml_node *member, struct mcp_auth *auth,
			struct text *to)
{
	struct span value;
	struct text name;
	bool is_valid = node_json(d, member, &value);

	text_init(&name);
	add_snake(&name, member->key);
	if (span_eq(text_span(&name), SPAN("resource")))
		is_valid &= take_resource(d, member, auth);
	auth->has_servers |= span_eq(text_span(&name), SPAN("authorization_servers"));
	text_str(to, to->len ? "," : "");
	json_quote(to, text_span(&name));
	text_char(to, ':');
	text_add(to, value);
	d->failed |= text_error(&name) != 0;
	text_done(&name);
	return is_valid;
}

/* Members that agentgateway adds, unless they are written. */
static void add_defaults(const struct yaml_node *node, struct text *to)
{
	static const struct {
		const char *key, *snake, *value;
	} rows[] = {
		{ "mcpProtocolVersion", "mcp_protocol_version", "2025-06-18" },
		{ "resourceType", "resource_type", "mcp-server" },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		if (!node || (!decode_get(node, rows[i].key) && !decode_get(node, rows[i].snake)))
			text_fmt(to, "%s\"%s\":\"%s\"", to->len ? "," : "", rows[i].snake, rows[i].value);
}

static bool decode_metadata(struct decoder *d, const struct yaml_node *node, struct mcp_auth *auth)
{
	bool is_valid = !node || decode_any_map(d, node);
	struct text text;

	text_init(&text);
	if (node && is_valid) {
		is_valid = node_json(d, node, &auth->metadata);
		yaml_each(member, node)
			is_valid &= take_member(d, member, auth, &text);
	}
	add_defaults(is_valid ? node : NULL, &text);
	d->failed |= text_error(&text) != 0;
	auth->members = decode_keep(d, text_span(&text));
	text_done(&text);
	return is_valid && auth->members.data;
}

const struct mcp_auth *mcp_auth_decode(struct decoder *d, const struct yaml_node *node,
				       const struct jwt_provider *issuer)
{
	const struct yaml_node *provider = decode_get(node, "provider"), *id = decode_get(node, "clientId");
	struct mcp_auth *auth = decode_take(d, 1, sizeof(*auth));

	if (!auth)
		return NULL;
	auth->issuer = issuer->issuer;
	if (provider && !(auth->has_provider = decode_provider(d, provider, &auth->provider)))
		return NULL;
	if (id) {
		config_error(d->report, id, NO_CLIENT_ID);
		return NULL;
	}
	if (!decode_metadata(d, decode_get(node, "resourceMetadata"), auth))
		return NULL;
	auth->server_url = server_url(d, auth);
	return auth->server_url.data ? auth : NULL;
}

/* -------------------------------------------------------------------------------- the policy */

static bool decode_text_element(struct decoder *d, const struct yaml_node *node, void *element)
{
	return decode_name(d, node, element);
}

static const struct schema_row issuer_rows[] = {
	{ "issuer", AS_TEXT(struct jwt_provider, issuer) },
	{ "audiences", AS_LIST(SCHEMA_NAMES, struct jwt_provider, audience_list, audience_count, struct span),
	  .element = decode_text_element, RANGE(1, AUDIENCES_MAX) },
	{ "jwks", AS_REST(struct jwt_provider), .decode = jwt_decode_keys, .style = STYLE_STANDALONE },
	{ "jwks", AS_REST(struct jwt_provider), .decode = jwt_decode_remote, .style = STYLE_MANIFEST },
	{ "jwtValidationOptions", AS_SECTION(struct jwt_provider, &jwt_options_schema),
	  .style = STYLE_STANDALONE },
};
static const struct schema issuer_schema =
	SCHEMA(issuer_rows, struct jwt_provider, .check = jwt_provider_check);

/* The keys of an issuer that are not written are where its provider has them. */
static void derive_keys(struct decoder *d, const struct yaml_node *node, const struct mcp_auth *auth,
			struct jwt_provider *issuer)
{
	const char *path = keys_path(auth);
	struct span url = path ? decode_text(d, "%.*s%s", SPAN_FMT(without_slash(issuer->issuer)), path)
			       : (struct span){ 0 };

	if (!path)
		config_error(
			d->report, node,
			"write jwks: {url: https://...}, because the issuer of %s does not say where its "
			"keys are",
			provider_words[auth->provider]);
	else if (url.data)
		(void)jwt_remote_keys(d, node, url, 0, issuer);
}

static void check_mcp_authentication(struct decoder *d, const struct yaml_node *node, void *object)
{
	struct jwt_auth_policy *policy = object;
	struct jwt_provider *issuer = jwt_decode_single(d, node, &issuer_schema, policy);
	const struct yaml_node *audiences = decode_get(node, "audiences");

	if (audiences && audiences->count == 0)
		config_error(d->report, audiences,
			     "is empty, so that tokens for other services would be valid here; write the aud "
			     "of tokens for this one");
	policy->mcp = issuer && issuer->issuer.len ? mcp_auth_decode(d, node, issuer) : NULL;
	if (policy->mcp && !decode_get(node, "jwks") && !d->is_manifest)
		derive_keys(d, node, policy->mcp, issuer);
	if (policy->mode != CREDENTIAL_STRICT)
		config_warning(
			d->report, decode_get(node, "mode"),
			"protects nothing: requests without a token pass, and clients that get no 401 look "
			"for no token; write mode: strict, unless rules decide");
	jwt_auth_finish(policy);
}

static const struct schema_row mcp_authentication_rows[] = {
	{ "issuer", AS_REST(struct jwt_auth_policy), .need = "write the iss of its tokens",
	  .value_doc = "text",
	  .doc = "`iss` of the tokens, to the letter; its URL is the authorization server" },
	{ "audiences", AS_REST(struct jwt_auth_policy), .style = STYLE_STANDALONE,
	  .need = "write the aud of tokens", .value_doc = "list of texts", .doc = "one of them is in `aud`" },
	{ "audiences", AS_REST(struct jwt_auth_policy), .style = STYLE_MANIFEST },
	{ "jwks", AS_REST(struct jwt_auth_policy), .style = STYLE_MANIFEST,
	  .need = "write jwks: {url: https://...}" },
	{ "jwks", AS_REST(struct jwt_auth_policy), .style = STYLE_STANDALONE,
	  .value_doc = "text, `{file: path}`, `{url: https://…}`",
	  .default_doc = "a URL made of issuer and provider",
	  .doc = "the issuer's public keys, as for `jwtAuth`" },
	{ "provider", AS_REST(struct jwt_auth_policy),
	  .value_doc = "`{auth0: {}}`, `keycloak`, `okta`, `descope`, `authentik`, `entra`",
	  .default_doc = "none", .doc = "kind of authorization server: where its keys and its metadata are" },
	{ "resourceMetadata", AS_REST(struct jwt_auth_policy), .style = STYLE_STANDALONE,
	  .need = "write what clients are told, as in {resource: https://tools.example.com/mcp}",
	  .value_doc = "map",
	  .doc = "members of the metadata that the gateway serves (RFC 9728): `resource`, "
		 "`scopesSupported`, `bearerMethodsSupported` …" },
	{ "resourceMetadata", AS_REST(struct jwt_auth_policy), .style = STYLE_MANIFEST },
	{ "mode", AS_WORD(struct jwt_auth_policy, mode), CREDENTIAL_MODES, .default_value = CREDENTIAL_STRICT,
	  .doc = CREDENTIAL_MODE_DOC },
	{ "authorizationLocation",
	  AS_MAP(struct jwt_auth_policy, location, &credential_location_schema, struct credential_location),
	  .decode = credential_location_decode, .style = STYLE_STANDALONE,
	  .default_doc = "`Authorization: Bearer`", .doc = "where it is; a valid one is not passed on" },
	{ "jwtValidationOptions", AS_REST(struct jwt_auth_policy), .style = STYLE_STANDALONE,
	  .value_doc = "`{requiredClaims: [name, …]}`", .default_doc = "`[exp]`",
	  .doc = "claims that a token must have" },
	/* mcp_auth_decode() refuses it. */
	{ "clientId", AS_REST(struct jwt_auth_policy), .is_hidden = true },
	{ "clientSecret", .refusal = NO_CLIENT_ID },
	{ "clientSecretRef", .refusal = NO_CLIENT_ID },
};
const struct schema mcp_authentication_schema =
	SCHEMA(mcp_authentication_rows, struct jwt_auth_policy, .check = check_mcp_authentication);
