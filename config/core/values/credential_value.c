/* SPDX-License-Identifier: Apache-2.0 */
#include "config/core/values/credential_value.h"

#include <errno.h>

#include "config/build.h"
#include "config/core/values/node_json.h"
#include "config/core/values/tls_files.h"
#include "config/core/values/values.h"
#include "policy/expression/expression.h"
#include "policy/expression/expression_json.h"
#include "user/auth/htpasswd.h"
#include "user/base/mem.h"
#include "user/mcp/json/json_text.h"

/* -------------------------------------------------------------------------------- location */

static bool decode_header_name(struct decoder *d, const struct yaml_node *node, void *ret)
{
	struct span name;

	return decode_name(d, node, &name) && value_header_name(d, node, name, ret);
}

/* A prefix ends with a blank, which decode_name() would not change. */
static const struct schema_row header_rows[] = {
	{ "name", AS_TEXT(struct credential_location, name), .decode = decode_header_name,
	  .need = "write the name of the header, as in name: x-api-key", .doc = "of the header" },
	{ "prefix", AS_TEXT(struct credential_location, prefix), .dump = DUMP_NOT_ZERO, .default_doc = "none",
	  .doc = "of its value, which is not part of the credential: `\"Bearer \"`; case does not matter" },
};
static const struct schema header_schema = SCHEMA(header_rows, struct credential_location);

static const struct schema_row query_rows[] = {
	{ "name", AS_TEXT(struct credential_location, name), .need = "write the name of the parameter",
	  .doc = "of the parameter" },
};
static const struct schema query_schema = SCHEMA(query_rows, struct credential_location);

static const struct schema_row cookie_rows[] = {
	{ "name", AS_TEXT(struct credential_location, name), .need = "write the name of the cookie",
	  .doc = "of the cookie" },
};
static const struct schema cookie_schema = SCHEMA(cookie_rows, struct credential_location);

static bool decode_location_expression(struct decoder *d, const struct yaml_node *node, void *ret)
{
	struct credential_location *location = container_of(ret, struct credential_location, text);
	struct expression *expression = decode_take(d, 1, sizeof(*expression));
	char error[EXPRESSION_ERROR_BYTES];
	int result;

	if (!expression || !decode_lines(d, node, &location->text))
		return false;
	result = expression_compile(location->text, EXPRESSION_AT_HEAD, d->arena, expression, error);
	if (result == -ENOMEM)
		d->failed = true;
	else if (result < 0)
		config_error(d->report, node, "the expression %s is not understood %s", QUOTE(location->text),
			     error);
	location->expression = expression;
	return result == 0;
}

static const struct schema_row location_rows[] = {
	{ "header", AS_SECTION(struct credential_location, &header_schema),
	  ONE_OF(struct credential_location, kind, LOCATION_HEADER) },
	{ "queryParameter", AS_SECTION(struct credential_location, &query_schema),
	  ONE_OF(struct credential_location, kind, LOCATION_QUERY) },
	{ "cookie", AS_SECTION(struct credential_location, &cookie_schema),
	  ONE_OF(struct credential_location, kind, LOCATION_COOKIE) },
	{ "expression", AS_TEXT(struct credential_location, text), .decode = decode_location_expression,
	  ONE_OF(struct credential_location, kind, LOCATION_EXPRESSION),
	  .doc = "its value as text; the backend gets it, too" },
};
const struct schema credential_location_schema =
	SCHEMA(location_rows, struct credential_location, .is_one_of = true);

bool credential_location_decode(struct decoder *d, const struct yaml_node *node, void *location)
{
	struct credential_location read = { 0 };

	if (!schema_decode(d, node, &credential_location_schema, &read))
		return false;
	*(struct credential_location *)location = read;
	return true;
}

void credential_location_default(struct credential_location *location, struct span prefix)
{
	if (location->name.len || location->text.len)
		return;
	location->name = SPAN("authorization");
	location->prefix = prefix;
}

void credential_mode_check(struct decoder *d, const struct yaml_node *policy, unsigned *mode)
{
	if (decode_get(policy, "mode"))
		return;
	*mode = d->is_manifest ? CREDENTIAL_STRICT : CREDENTIAL_OPTIONAL;
	if (d->is_manifest)
		return;
	config_warning(
		d->report, policy,
		"protects nothing: without \"mode\" requests without credentials pass; write mode: strict, "
		"or mode: optional if they are to pass");
}

/* -------------------------------------------------------------------------------- texts */

bool credential_string(struct decoder *d, const struct yaml_node *node, struct span *ret)
{
	if (!node || node->kind != YAML_SCALAR || yaml_is_null(node)) {
		if (node)
			config_error(d->report, node, "expected a text, found %s", yaml_kind_name(node));
		return false;
	}
	*ret = node->text;
	return true;
}

bool credential_text_read(struct decoder *d, const struct yaml_node *node, const char *example,
			  struct credential_text *ret)
{
	static const struct decode_key keys[] = { KEY("file") };
	const struct yaml_node *file;
	struct span path;

	*ret = (struct credential_text){ 0 };
	d->files->has_secrets = true;
	if (node->kind == YAML_SCALAR)
		return credential_string(d, node, &ret->text);
	if (!DECODE_MAP(d, node, keys))
		return false;
	file = decode_need(d, node, "file", example);
	if (!decode_name(d, file, &path))
		return false;
	return tls_files_text(d, file, path, &ret->bytes, &ret->size, &ret->text);
}

void credential_text_done(struct credential_text *text)
{
	if (text->bytes)
		tls_wipe(text->bytes, text->size);
	hg_free(text->bytes);
	*text = (struct credential_text){ 0 };
}

/* -------------------------------------------------------------------------------- basicAuth */

bool basic_auth_read_users(struct decoder *d, const struct yaml_node *node, struct span text,
			   struct basic_auth_policy *policy)
{
	struct htpasswd_fault fault = { 0 }, weak;
	int result = htpasswd_parse(d->arena, text, &policy->users, &fault, &weak);

	if (result == -ENOMEM) {
		d->failed = true;
		return false;
	}
	if (result < 0 && fault.line)
		config_error(d->report, node, "line %u: the user %s %s", fault.line, QUOTE(fault.name),
			     fault.what);
	else if (result < 0)
		config_error(d->report, node, "the list of users %s", fault.what);
	else if (weak.what)
		config_warning(d->report, node, "line %u: the user %s %s; write another with htpasswd -B",
			       weak.line, QUOTE(weak.name), weak.what);
	return result == 0;
}

static bool decode_users(struct decoder *d, const struct yaml_node *node, void *ret)
{
	struct credential_text text;
	bool is_valid = credential_text_read(d, node, "write htpasswd: {file: /etc/headgate/users}", &text) &&
			basic_auth_read_users(d, node, text.text, ret);

	credential_text_done(&text);
	return is_valid;
}

/* quoted-string (RFC 9110 5.6.4). */
static void quote(struct text *to, struct span s)
{
	text_char(to, '"');
	for (size_t i = 0; i < s.len; i++) {
		if (s.data[i] == '"' || s.data[i] == '\\')
			text_char(to, '\\');
		text_char(to, s.data[i]);
	}
	text_char(to, '"');
}

void basic_auth_finish(struct decoder *d, struct basic_auth_policy *policy)
{
	struct text text;

	build_of(d)->snapshot->has_users = true;
	credential_location_default(&policy->location, SPAN("Basic "));
	text_init(&text);
	text_str(&text, "Basic realm=");
	quote(&text, policy->realm);
	if (text_error(&text))
		d->failed = true;
	else
		policy->challenge = decode_keep(d, text_span(&text));
	text_done(&text);
}

static void check_basic_auth(struct decoder *d, const struct yaml_node *node, void *object)
{
	struct basic_auth_policy *policy = object;

	credential_mode_check(d, node, &policy->mode);
	if (!d->is_manifest)
		basic_auth_finish(d, policy);
}

static const struct schema_row basic_auth_rows[] = {
	{ "htpasswd", AS_REST(struct basic_auth_policy), .decode = decode_users, .style = STYLE_STANDALONE,
	  .need = "write the users as htpasswd -nB prints them, or htpasswd: {file: /etc/headgate/users}",
	  .value_doc = "text, or `{file: path}`",
	  .doc = "users and their hashed passwords, in all forms of `htpasswd` and `mkpasswd` but plain "
		 "text; `$apr1$…` and `$2y$…` need no escape. The gateway watches the file" },
	{ .shown_as = "htpasswd", .default_text = "<redacted>" },
	{ "realm", AS_TEXT(struct basic_auth_policy, realm), .default_text = "Restricted",
	  .doc = "what browsers show" },
	{ "mode", AS_WORD(struct basic_auth_policy, mode), WORDS("strict", "optional"),
	  .default_value = CREDENTIAL_OPTIONAL, .style = STYLE_STANDALONE,
	  .doc = "`strict`: a right password is necessary; `optional`: requests without one pass, too" },
	{ "mode", AS_WORD(struct basic_auth_policy, mode), WORDS("strict", "optional"),
	  MANIFEST_WORDS("Strict", "Optional"), .style = STYLE_MANIFEST },
	{ "authorizationLocation",
	  AS_MAP(struct basic_auth_policy, location, &credential_location_schema, struct credential_location),
	  .decode = credential_location_decode, .style = STYLE_STANDALONE,
	  .default_doc = "`Authorization: Basic`", .doc = "where it is; a right one is not passed on" },
	/* auth_policy_basic() reads the first two. */
	{ "users", AS_REST(struct basic_auth_policy), .style = STYLE_MANIFEST },
	{ "secretRef", AS_REST(struct basic_auth_policy), .style = STYLE_MANIFEST },
	{ "location",
	  AS_MAP(struct basic_auth_policy, location, &credential_location_schema, struct credential_location),
	  .decode = credential_location_decode, .style = STYLE_MANIFEST },
};
const struct schema basic_auth_schema =
	SCHEMA(basic_auth_rows, struct basic_auth_policy, .check = check_basic_auth);

/* -------------------------------------------------------------------------------- apiKey */

bool api_key_from_text(struct decoder *d, const struct yaml_node *node, struct span key, struct api_key *ret)
{
	if (key.len == 0 || key.len > API_KEY_BYTES) {
		config_error(d->report, node, "a key has 1 to %d bytes; this one has %zu", API_KEY_BYTES,
			     key.len);
		return false;
	}
	if (api_key_hash(key, ret->hash) < 0) {
		d->failed = true;
		return false;
	}
	return true;
}

bool api_key_from_hash(struct decoder *d, const struct yaml_node *node, struct span text, struct api_key *ret)
{
	if (api_key_hash_parse(text, ret->hash))
		return true;
	config_error(
		d->report, node,
		"is not sha256: and 64 hexadecimal digits; write what printf %%s KEY | sha256sum prints");
	return false;
}

static bool decode_key_text(struct decoder *d, const struct yaml_node *node, void *ret)
{
	struct span key;

	return credential_string(d, node, &key) && api_key_from_text(d, node, key, ret);
}

static bool decode_key_hash(struct decoder *d, const struct yaml_node *node, void *ret)
{
	struct span text;

	return credential_string(d, node, &text) && api_key_from_hash(d, node, text, ret);
}

static bool decode_metadata(struct decoder *d, const struct yaml_node *node, void *ret)
{
	return decode_any_map(d, node) && node_json(d, node, ret);
}

static const struct schema_row key_rows[] = {
	{ "key", AS_REST(struct api_key), .decode = decode_key_text, .value_doc = "string of 1 to 1024 bytes",
	  .default_doc = "one of these two", .doc = "the key; only its SHA-256 is kept" },
	{ "keyHash", AS_REST(struct api_key), .decode = decode_key_hash,
	  .value_doc = "`sha256:` and 64 digits", .default_doc = "one of these two",
	  .doc = "the SHA-256 of the key in hexadecimal" },
	{ "metadata", AS_TEXT(struct api_key, metadata), .decode = decode_metadata, .value_doc = "map",
	  .default_doc = "none", .doc = "what expressions see as `apiKey`" },
	{ "allowedModels", .refusal = NOT_YET_AI },
};

static void check_key(struct decoder *d, const struct yaml_node *node, void *object)
{
	bool has_key = decode_get(node, "key"), has_hash = decode_get(node, "keyHash");

	(void)object;
	if (has_key == has_hash)
		config_error(d->report, node, "%s; write one of them",
			     has_key ? "has both \"key\" and \"keyHash\""
				     : "has neither \"key\" nor \"keyHash\"");
}
static const struct schema key_schema = SCHEMA(key_rows, struct api_key, .check = check_key);

bool api_key_tree(struct decoder *d, const struct yaml_node *node, struct api_key *key)
{
	static const struct span hidden = SPAN("{\"key\":\"<redacted>\"");
	struct mcp_json_checker *checker = mcp_json_checker_create();
	struct expression_value *tree = decode_take(d, 1, sizeof(*tree));
	struct span members = key->metadata.len ? span_from(mcp_json_trim(key->metadata), 1) : SPAN("}");
	bool is_empty = mcp_json_trim(members).data[0] == '}';
	struct span text =
		decode_text(d, "%.*s%s%.*s", SPAN_FMT(hidden), is_empty ? "" : ",", SPAN_FMT(members));
	int error = checker && tree && text.data ? expression_json(text, checker, d->arena, tree) : -ENOMEM;

	mcp_json_checker_free(checker);
	key->tree = tree;
	if (error == -ENOMEM)
		d->failed = true;
	else if (error)
		config_error(d->report, node,
			     "the metadata of a key has the name \"key\", a name twice, or too many "
			     "levels; rename it");
	return error == 0;
}

static bool decode_key(struct decoder *d, const struct yaml_node *node, void *element)
{
	return schema_decode(d, node, &key_schema, element) && api_key_tree(d, node, element);
}

/* RFC 9110 11.6.1 wants a challenge with each 401; there is no registered scheme for a header of its own. */
static struct span api_key_challenge(const struct credential_location *location)
{
	bool is_authorization =
		location->kind == LOCATION_HEADER && span_eq(location->name, SPAN("authorization"));

	return is_authorization && span_eq_nocase(location->prefix, SPAN("Bearer ")) ? SPAN("Bearer")
										     : SPAN("ApiKey");
}

void api_key_finish(struct decoder *d, const struct yaml_node *node, struct api_key_policy *policy)
{
	uint32_t index = 0;
	int error;

	credential_location_default(&policy->location, SPAN("Bearer "));
	policy->challenge = api_key_challenge(&policy->location);
	error = api_keys_index(d->arena, &policy->keys, &index);
	if (error == -EEXIST)
		config_error(d->report, node, "the key at index %u occurs twice; remove one of them", index);
	else if (error)
		d->failed = true;
}

static void check_api_key(struct decoder *d, const struct yaml_node *node, void *object)
{
	const struct yaml_node *list = decode_get(node, "keys");
	struct api_key_policy *policy = object;

	if (list && list->count == 0)
		config_error(d->report, list, "is empty, so nobody could enter; write the keys");
	d->files->has_secrets = true;
	credential_mode_check(d, node, &policy->mode);
	if (!d->is_manifest)
		api_key_finish(d, node, policy);
}

static const struct schema_row api_key_rows[] = {
	{ "keys",
	  AS_OBJECTS(struct api_key_policy, keys.key_list, keys.key_count, &key_schema, struct api_key),
	  .element = decode_key, RANGE(1, API_KEYS), .style = STYLE_STANDALONE,
	  .need = "write the keys, as in keys: [{key: $API_KEY}]", .doc = "any of them" },
	{ .shown_as = "keys", .default_text = "<redacted>" },
	{ "mode", AS_WORD(struct api_key_policy, mode), CREDENTIAL_MODES,
	  .default_value = CREDENTIAL_OPTIONAL, .style = STYLE_STANDALONE, .doc = CREDENTIAL_MODE_DOC },
	{ "mode", AS_WORD(struct api_key_policy, mode), CREDENTIAL_MODES, .style = STYLE_MANIFEST },
	{ "location",
	  AS_MAP(struct api_key_policy, location, &credential_location_schema, struct credential_location),
	  .decode = credential_location_decode, .default_doc = "`Authorization: Bearer`",
	  .doc = "where it is; a valid one is not passed on" },
	/* auth_policy_api_key() reads them. */
	{ "secretRef", AS_REST(struct api_key_policy), .style = STYLE_MANIFEST },
	{ "secretSelector", AS_REST(struct api_key_policy), .style = STYLE_MANIFEST },
	{ "configMapSelector", AS_REST(struct api_key_policy), .style = STYLE_MANIFEST },
};
const struct schema api_key_schema = SCHEMA(api_key_rows, struct api_key_policy, .check = check_api_key);
