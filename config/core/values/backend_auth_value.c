/* SPDX-License-Identifier: Apache-2.0 */
#include "config/core/values/backend_auth_value.h"

#include "config/core/values/credential_value.h"
#include "config/core/values/tls_files.h"
#include "policy/guard/credential.h"
#include "user/base/char_class.h"
#include "user/base/limits.h"
#include "user/base/mem.h"

/* -------------------------------------------------------------------------------- one credential */

static bool has_control(struct span s)
{
	for (size_t i = 0; i < s.len; i++)
		if (((unsigned char)s.data[i] < ' ' && s.data[i] != '\t') || s.data[i] == 0x7f)
			return true;
	return false;
}

/* cookie-octet (RFC 6265 4.1.1) */
static bool is_cookie_value(struct span s)
{
	for (size_t i = 0; i < s.len; i++)
		if ((unsigned char)s.data[i] <= ' ' || (unsigned char)s.data[i] > 0x7e ||
		    memchr("\",;\\", s.data[i], 4))
			return false;
	return true;
}

/* The message does not contain the secret. */
static const char *fault_of(const struct credential_location *location, struct span secret)
{
	if (secret.len > LIMIT_BACKEND_KEY_BYTES)
		return "is longer than 8192 bytes";
	if (location->kind == LOCATION_EXPRESSION)
		return "has an expression as its location, which finds credentials and cannot put one into a "
		       "request; write header, queryParameter or cookie";
	if (location->kind == LOCATION_COOKIE && !char_class_is_token(location->name))
		return "has a location that is not the name of a cookie; write a name of letters, digits, "
		       "- and _";
	if (location->kind == LOCATION_COOKIE && !is_cookie_value(secret))
		return "has a character that no cookie may have (RFC 6265 4.1.1): a blank, a quote, a comma, "
		       "a semicolon or a backslash; write header or queryParameter as its location";
	if (location->kind == LOCATION_HEADER && (has_control(secret) || has_control(location->prefix)))
		return "has a control character, such as a line break, which no header may have; remove it";
	return NULL;
}

static bool make_text(struct decoder *d, const struct yaml_node *node, struct span secret,
		      struct backend_credential *credential)
{
	const char *fault = fault_of(&credential->location, secret);
	struct text text;

	if (fault) {
		config_error(d->report, node, "%s", fault);
		return false;
	}
	text_init(&text);
	credential_write(&credential->location, secret, &text);
	if (text_error(&text))
		d->failed = true;
	else
		credential->text = decode_keep(d, text_span(&text));
	if (text.data)
		tls_wipe(text.data, text.size);
	text_done(&text);
	return !d->failed;
}

bool backend_credential_make(struct decoder *d, const struct yaml_node *node, struct span secret,
			     struct backend_credential *credential)
{
	/* Editors and tools put a line end behind it. */
	secret = span_trim(secret);
	while (secret.len && memchr("\r\n", secret.data[secret.len - 1], 2))
		secret = span_trim(span_first(secret, secret.len - 1));
	d->files->has_secrets = true;
	if (!secret.len) {
		config_error(d->report, node, "is empty; write the key that the backend expects");
		return false;
	}
	return make_text(d, node, secret, credential);
}

bool backend_auth_take_key(struct decoder *d, const struct yaml_node *node, struct span secret,
			   struct backend_auth_policy *policy)
{
	if (!policy->has_location)
		credential_location_default(&policy->own.location, SPAN("Bearer "));
	return backend_credential_make(d, node, secret, &policy->own);
}

/* A text in place, or {file}. */
static bool read_secret(struct decoder *d, const struct yaml_node *node,
			bool (*take)(struct decoder *d, const struct yaml_node *node, struct span secret,
				     void *object),
			void *object)
{
	struct credential_text text;
	bool is_valid = credential_text_read(d, node, "write file: /etc/headgate/key", &text) &&
			take(d, node, text.text, object);

	credential_text_done(&text);
	return is_valid;
}

/* -------------------------------------------------------------------------------- key, passthrough */

static bool take_key(struct decoder *d, const struct yaml_node *node, struct span secret, void *object)
{
	return backend_auth_take_key(d, node, secret, object);
}

static bool decode_key_text(struct decoder *d, const struct yaml_node *node, void *member)
{
	return read_secret(d, node, take_key, member);
}

#define LOCATION_ROW(text)                                                                                   \
	"location",                                                                                          \
		AS_MAP(struct backend_auth_policy, own.location, &credential_location_schema,                \
		       struct credential_location),                                                          \
		SET_BY(struct backend_auth_policy, has_location), .decode = credential_location_decode,      \
								  .default_doc = "`Authorization: Bearer`",  \
								  .doc = (text)

static const struct schema_row key_rows[] = {
	/* decode_key_map() reads the first two when it knows the location. */
	{ "value", AS_REST(struct backend_auth_policy), .value_doc = "text, or `{file: path}`",
	  .default_doc = "one of these two", .doc = "the key; a variable keeps it out of the file" },
	{ "file", AS_REST(struct backend_auth_policy), .value_doc = "path", .default_doc = "one of these two",
	  .doc = "alone: a file that contains only the key. The gateway watches it" },
	{ .shown_as = "value", .default_text = "<redacted>" },
	{ LOCATION_ROW("where the backend expects it; what the client sent there is removed") },
};
static const struct schema key_schema = SCHEMA(key_rows, struct backend_auth_policy);

static bool decode_key_map(struct decoder *d, const struct yaml_node *node, void *member)
{
	if (decode_get(node, "file"))
		return decode_key_text(d, node, member);
	if (!schema_decode(d, node, &key_schema, member))
		return false;
	node = decode_need(d, node, "value", "write the key, as in value: $BACKEND_KEY");
	return node && decode_key_text(d, node, member);
}

static const struct schema_row passthrough_rows[] = {
	{ LOCATION_ROW("where the backend expects the token that `jwtAuth` has verified and taken out") },
};
static const struct schema passthrough_schema = SCHEMA(passthrough_rows, struct backend_auth_policy);

/* In manifests the location stands beside it. */
static bool decode_manifest_passthrough(struct decoder *d, const struct yaml_node *node, void *member)
{
	(void)member;
	if (decode_any_map(d, node) && node->count)
		config_error(d->report, node, "has no keys; write passthrough: {}, and location beside it");
	return true;
}

/* -------------------------------------------------------------------------------- further credentials */

static bool take_credential(struct decoder *d, const struct yaml_node *node, struct span secret, void *object)
{
	return backend_credential_make(d, node, secret, object);
}

static const struct schema_row credential_rows[] = {
	{ "location",
	  AS_MAP(struct backend_credential, location, &credential_location_schema,
		 struct credential_location),
	  .decode = credential_location_decode,
	  .need = "write where the backend expects it, as in location: {header: {name: x-api-key}}",
	  .doc = "where the backend expects it" },
	{ "key", AS_REST(struct backend_credential), .need = "write the key, as in key: $BACKEND_KEY",
	  .value_doc = "text, or `{file: path}`", .doc = "the key" },
	{ .shown_as = "key", .default_text = "<redacted>" },
};
static const struct schema credential_schema = SCHEMA(credential_rows, struct backend_credential);

static bool decode_credential(struct decoder *d, const struct yaml_node *node, void *element)
{
	const struct yaml_node *key = decode_get(node, "key");

	return schema_decode(d, node, &credential_schema, element) && key && decode_get(node, "location") &&
	       read_secret(d, key, take_credential, element);
}

bool backend_auth_finish(struct decoder *d, const struct yaml_node *node,
			 const struct backend_auth_policy *policy)
{
	for (uint32_t i = 0; i < policy->credential_count; i++) {
		const struct credential_location *location = &policy->credential_list[i].location;
		bool is_double = (policy->has_key || policy->has_passthrough) &&
				 credential_removes(&policy->own.location, location);

		for (uint32_t k = 0; k < i; k++)
			is_double |= credential_removes(&policy->credential_list[k].location, location);
		if (!is_double)
			continue;
		config_error(d->report, node, "puts two credentials into %s of one request; remove one",
			     QUOTE(location->name));
		return false;
	}
	return true;
}

/* -------------------------------------------------------------------------------- all */

static void check_auth(struct decoder *d, const struct yaml_node *node, void *object)
{
	static const char *const kinds[] = { "key", "secretRef", "passthrough" };
	struct backend_auth_policy *policy = object;
	unsigned count = 0;

	for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
		count += decode_get(node, kinds[i]) != NULL;
	if (count > 1)
		config_error(d->report, node,
			     "has several of key%s and passthrough; write one of them, and others under "
			     "credentials",
			     d->is_manifest ? ", secretRef" : "");
	if (!count && d->is_manifest && policy->has_location)
		config_error(d->report, decode_get(node, "location"),
			     "is for key, secretRef and passthrough; write it into the entries of "
			     "credentials");
	if (!count && !decode_get(node, "credentials") && !schema_refuses(&backend_auth_schema, node))
		config_error(d->report, node, "sets nothing; write key, passthrough or credentials");
	if (policy->has_passthrough) {
		if (!policy->has_location)
			credential_location_default(&policy->own.location, SPAN("Bearer "));
		make_text(d, node, (struct span){ 0 }, &policy->own);
	}
	if (!d->is_manifest)
		backend_auth_finish(d, node, policy);
}

/* Of manifests, config/gatewayapi/auth_policy.c reads what is in Secrets. */
static const struct schema_row auth_rows[] = {
	/* Before the keys that need it. */
	{ LOCATION_ROW(NULL), .style = STYLE_MANIFEST },
	{ "key", AS_REST(struct backend_auth_policy), .style = STYLE_MANIFEST, .decode = decode_key_text,
	  SET_BY(struct backend_auth_policy, has_key) },
	{ "secretRef", AS_REST(struct backend_auth_policy), .style = STYLE_MANIFEST },
	{ "passthrough", AS_REST(struct backend_auth_policy), .style = STYLE_MANIFEST,
	  .decode = decode_manifest_passthrough, SET_BY(struct backend_auth_policy, has_passthrough) },
	{ "credentials", AS_REST(struct backend_auth_policy), .style = STYLE_MANIFEST },
	{ "key", AS_REST(struct backend_auth_policy), .style = STYLE_STANDALONE, .form = FORM_WORD,
	  .decode = decode_key_text, SET_BY(struct backend_auth_policy, has_key), .value_doc = "text",
	  .default_doc = "–", .doc = "a short form of `key.value`" },
	{ "key", AS_SECTION(struct backend_auth_policy, &key_schema), .style = STYLE_STANDALONE,
	  .form = FORM_MAP, .decode = decode_key_map, SET_BY(struct backend_auth_policy, has_key) },
	{ "passthrough", AS_SECTION(struct backend_auth_policy, &passthrough_schema),
	  .style = STYLE_STANDALONE, SET_BY(struct backend_auth_policy, has_passthrough) },
	{ "credentials",
	  AS_OBJECTS(struct backend_auth_policy, credential_list, credential_count, &credential_schema,
		     struct backend_credential),
	  .element = decode_credential, RANGE(1, LIMIT_BACKEND_CREDENTIALS), .style = STYLE_STANDALONE,
	  .dump = DUMP_NOT_ZERO, .doc = "further ones, alone or beside the other keys" },
	{ "aws", .refusal = NOT_YET_BACKEND_AUTH },
	{ "azure", .refusal = NOT_YET_BACKEND_AUTH },
	{ "gcp", .refusal = NOT_YET_BACKEND_AUTH },
	{ "copilot", .refusal = NOT_YET_BACKEND_AUTH },
	{ "jwtSign", .refusal = NOT_YET_BACKEND_AUTH },
	{ "oauthTokenExchange", .refusal = NOT_YET_BACKEND_AUTH },
	{ "crossAppAccess", .refusal = NOT_YET_BACKEND_AUTH },
};
const struct schema backend_auth_schema = SCHEMA(auth_rows, struct backend_auth_policy, .check = check_auth);
