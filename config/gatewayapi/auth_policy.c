/* SPDX-License-Identifier: Apache-2.0 */
#include "config/gatewayapi/auth_policy.h"

#include <stdio.h>

#include "config/core/values/backend_auth_value.h"
#include "config/core/values/credential_value.h"
#include "config/core/values/policy_value.h"
#include "config/core/values/tls_files.h"
#include "config/gatewayapi/credential.h"
#include "config/gatewayapi/service.h"
#include "user/base/check.h"
#include "user/base/limits.h"
#include "user/base/mem.h"
#include "user/mcp/json/json_text.h"

enum { USERS_MAX = 256 }; /* as in the CRD */

/* -------------------------------------------------------------------------------- objects */

/* The object of the policy's namespace that {name} refers to. NULL: reported. */
static const struct manifest_object *find_named(struct manifests *m, const struct yaml_node *node,
						const struct manifest_object *from, enum manifest_kind kind)
{
	struct decoder *d = m->decoder;
	const struct manifest_object *object;
	struct span name;

	if (!decode_name(d, decode_need(d, node, "name", "write the name of the object"), &name))
		return NULL;
	object = manifest_find(m, kind, from->namespace, name);
	if (!object)
		decode_lacking(d, node, "there is no %s %.*s/%.*s; add it", manifest_kind_name(kind),
			       SPAN_FMT(from->namespace), SPAN_FMT(name));
	return object;
}

static const struct manifest_object *named_object(struct manifests *m, const struct yaml_node *node,
						  const struct manifest_object *from, enum manifest_kind kind)
{
	static const struct decode_key keys[] = { KEY("name") };

	return DECODE_MAP(m->decoder, node, keys) ? find_named(m, node, from, kind) : NULL;
}

struct each_value {
	struct manifests *m;
	const struct yaml_node *node; /* of the reference, for messages */
	void *policy;
};

/* -------------------------------------------------------------------------------- basicAuthentication */

static bool take_users(void *context, struct span key, struct span text)
{
	const struct each_value *each = context;

	(void)key;
	return basic_auth_read_users(each->m->decoder, each->node, text, each->policy);
}

/* `users`: lines as htpasswd writes them. */
static bool take_list(struct decoder *d, const struct yaml_node *list, struct basic_auth_policy *policy)
{
	bool is_valid = decode_list(d, list);
	struct text text;

	if (!is_valid)
		return false;
	if (list->count > USERS_MAX) {
		config_error(d->report, list, "has %u users; %d are the most, or use secretRef", list->count,
			     USERS_MAX);
		return false;
	}
	text_init(&text);
	yaml_each(child, list) {
		struct span line;

		is_valid &= credential_string(d, child, &line);
		if (is_valid)
			text_add(&text, line);
		text_char(&text, '\n');
	}
	if (text_error(&text))
		d->failed = true;
	else if (is_valid)
		is_valid = basic_auth_read_users(d, list, text_span(&text), policy);
	if (text.data)
		tls_wipe(text.data, text.size);
	text_done(&text);
	return is_valid && !d->failed;
}

const void *auth_policy_basic(struct manifests *m, const struct yaml_node *node,
			      const struct manifest_object *object)
{
	static const char *const choices[] = { "users", "secretRef" };
	struct decoder *d = m->decoder;
	struct basic_auth_policy *policy = schema_decode_new(d, node, &basic_auth_schema);
	const struct manifest_object *secret;
	const struct yaml_node *chosen;
	unsigned index;
	bool is_valid;

	chosen = policy ? decode_choice(d, node, choices, ARRAY_LEN(choices), &index) : NULL;
	if (!chosen)
		return NULL;
	d->files->has_secrets = true;
	if (index == 0) {
		is_valid = take_list(d, chosen, policy);
	} else {
		struct each_value each = { m, chosen, policy };

		secret = named_object(m, chosen, object, MANIFEST_SECRET);
		is_valid = secret && credential_one(m, chosen, secret, ".htaccess", take_users, &each);
	}
	basic_auth_finish(d, policy);
	return is_valid ? policy : NULL;
}

/* -------------------------------------------------------------------------------- apiKeyAuthentication */

/* The keys so far; the policy gets them at the end. */
struct key_list {
	struct manifests *m;
	const struct yaml_node *node;
	struct pointer_list keys; /* struct api_key */
	struct mcp_json_checker *checker; /* owner */
};

/* {"key": …} or {"keyHash": …}, with "metadata". */
static bool take_object(struct key_list *list, struct span name, struct span json, struct api_key *key)
{
	static const struct span names[] = { SPAN("key"), SPAN("keyHash"), SPAN("metadata") };
	struct decoder *d = list->m->decoder;
	struct span values[ARRAY_LEN(names)] = { 0 };
	struct text text;
	bool is_valid;

	json = mcp_json_trim(json);
	if (mcp_json_check(list->checker, json) < 0 ||
	    !mcp_json_members(json, names, ARRAY_LEN(names), values) ||
	    (mcp_json_type(values[0]) == MCP_JSON_STRING) == (mcp_json_type(values[1]) == MCP_JSON_STRING) ||
	    (values[2].len && mcp_json_type(values[2]) != MCP_JSON_OBJECT)) {
		config_error(d->report, list->node,
			     "its value %s is not {\"key\": \"...\", \"metadata\": {...}} in JSON, nor with "
			     "keyHash",
			     QUOTE(name));
		return false;
	}
	if (values[2].len)
		key->metadata = decode_keep(d, values[2]);
	text_init(&text);
	mcp_json_unescape(&text, mcp_json_string(values[values[0].len ? 0 : 1]));
	if (text_error(&text))
		d->failed = true;
	is_valid = !d->failed && (values[0].len ? api_key_from_text(d, list->node, text_span(&text), key)
						: api_key_from_hash(d, list->node, text_span(&text), key));
	if (text.data)
		tls_wipe(text.data, text.size);
	text_done(&text);
	return is_valid;
}

/* Tools put a line end behind a value. */
static struct span without_end(struct span s)
{
	while (s.len && (s.data[s.len - 1] == '\n' || s.data[s.len - 1] == '\r'))
		s.len--;
	return s;
}

static bool take_key(void *context, struct span name, struct span text)
{
	struct key_list *list = context;
	struct decoder *d = list->m->decoder;
	struct api_key *key = decode_take(d, 1, sizeof(*key));
	bool is_valid;

	if (!key)
		return false;
	text = without_end(text);
	if (text.len && text.data[0] == '{')
		is_valid = take_object(list, name, text, key);
	else
		is_valid = api_key_from_text(d, list->node, text, key);
	return is_valid && api_key_tree(d, list->node, key) && build_push(d, &list->keys, key);
}

/* All objects of the kind in the namespace whose labels fit. */
static bool take_selected(struct key_list *list, const struct yaml_node *selector,
			  const struct manifest_object *from, enum manifest_kind kind)
{
	static const struct decode_key keys[] = { KEY("matchLabels") };
	const struct pointer_list *objects = &list->m->objects[kind];
	struct decoder *d = list->m->decoder;
	const struct yaml_node *labels;
	bool is_valid = true;

	if (!DECODE_MAP(d, selector, keys))
		return false;
	labels = decode_need(d, selector, "matchLabels", "write the labels of the objects");
	if (!labels || !decode_any_map(d, labels) || !manifest_select(d, selector, objects->count))
		return false;
	for (uint32_t i = 0; i < objects->count; i++) {
		const struct manifest_object *object = objects->list[i];

		if (span_eq(object->namespace, from->namespace) &&
		    manifest_labels_fit(d, labels, object->labels))
			is_valid &= credential_each(list->m, selector, object, take_key, list);
	}
	return is_valid;
}

static bool take_keys(struct key_list *list, const struct yaml_node *node, unsigned index,
		      const struct manifest_object *from)
{
	const struct manifest_object *secret;

	if (index)
		return take_selected(list, node, from, index == 1 ? MANIFEST_SECRET : MANIFEST_CONFIG_MAP);
	secret = named_object(list->m, node, from, MANIFEST_SECRET);
	return secret && credential_each(list->m, node, secret, take_key, list);
}

static bool keep_keys(struct decoder *d, const struct key_list *list, struct api_key_policy *policy)
{
	if (list->keys.count == 0) {
		decode_lacking(d, list->node,
			       "finds no keys, so nobody could enter; add an object with "
			       "these labels and at least one key");
		return false;
	}
	if (list->keys.count > API_KEYS) {
		config_error(d->report, list->node, "has more than %d keys; write fewer", API_KEYS);
		return false;
	}
	policy->keys.key_count = list->keys.count;
	if (!build_array(d, &list->keys, sizeof(struct api_key), &policy->keys.key_list))
		return false;
	api_key_finish(d, list->node, policy);
	return true;
}

const void *auth_policy_api_key(struct manifests *m, const struct yaml_node *node,
				const struct manifest_object *object)
{
	static const char *const choices[] = { "secretRef", "secretSelector", "configMapSelector" };
	struct decoder *d = m->decoder;
	struct api_key_policy *policy = schema_decode_new(d, node, &api_key_schema);
	struct key_list list = { .m = m };
	unsigned index;
	bool is_valid;

	list.node = policy ? decode_choice(d, node, choices, ARRAY_LEN(choices), &index) : NULL;
	if (!list.node)
		return NULL;
	list.checker = mcp_json_checker_create();
	d->failed |= !list.checker;
	is_valid = list.checker && take_keys(&list, list.node, index, object) && keep_keys(d, &list, policy);
	mcp_json_checker_free(list.checker);
	build_list_done(&list.keys);
	return is_valid ? policy : NULL;
}

/* -------------------------------------------------------------------------------- backend.auth */

/* A key in a Secret, and what it becomes. */
struct backend_key {
	struct decoder *d;
	const struct yaml_node *node; /* of the reference */
	bool has_default_name; /* a value may begin with "Bearer " */
	struct backend_auth_policy *policy; /* NULL: `credential` */
	struct backend_credential *credential;
};

static bool take_backend_key(void *context, struct span name, struct span text)
{
	const struct backend_key *key = context;
	struct span bearer = SPAN("Bearer ");

	(void)name;
	text = span_trim(text);
	if (key->has_default_name && span_eq_nocase(span_first(text, bearer.len), bearer))
		text = span_from(text, bearer.len);
	return key->policy ? backend_auth_take_key(key->d, key->node, text, key->policy)
			   : backend_credential_make(key->d, key->node, text, key->credential);
}

/* {name, key}, which may name the kind Secret. */
static bool take_from_secret(struct manifests *m, const struct yaml_node *ref,
			     const struct manifest_object *from, struct backend_key *key)
{
	static const struct decode_key keys[] = { KEY("name"), KEY("key"), KEY("group"), KEY("kind") };
	static const char *const kinds[] = { "Secret" }, *const groups[] = { "" };
	const struct manifest_object *secret;
	struct decoder *d = m->decoder;
	struct span name = SPAN("Authorization");
	char text[256];
	unsigned index;

	key->node = ref;
	key->has_default_name = !decode_get(ref, "key");
	if (!DECODE_MAP(d, ref, keys) ||
	    (decode_get(ref, "group") && !DECODE_WORD(d, decode_get(ref, "group"), groups, &index)) ||
	    (decode_get(ref, "kind") && !DECODE_WORD(d, decode_get(ref, "kind"), kinds, &index)) ||
	    (!key->has_default_name && !decode_name(d, decode_get(ref, "key"), &name)))
		return false;
	if (name.len >= sizeof(text)) {
		config_error(d->report, decode_get(ref, "key"), "is longer than 253 characters");
		return false;
	}
	snprintf(text, sizeof(text), "%.*s", SPAN_FMT(name));
	secret = find_named(m, ref, from, MANIFEST_SECRET);
	return secret && credential_one(m, ref, secret, text, take_backend_key, key);
}

static bool decode_credential(struct manifests *m, const struct yaml_node *node,
			      const struct manifest_object *object, struct backend_credential *credential)
{
	static const struct decode_key keys[] = { KEY("location"), KEY("secretRef") };
	struct backend_key key = { .d = m->decoder, .credential = credential };
	const struct yaml_node *location, *ref;

	if (!DECODE_MAP(m->decoder, node, keys))
		return false;
	location = decode_need(m->decoder, node, "location",
			       "write where the backend expects it, as in header: {name: x-api-key}");
	ref = decode_need(m->decoder, node, "secretRef", "write the name of the Secret");
	return location && ref && credential_location_decode(m->decoder, location, &credential->location) &&
	       take_from_secret(m, ref, object, &key);
}

static bool decode_credentials(struct manifests *m, const struct yaml_node *list,
			       const struct manifest_object *object, struct backend_auth_policy *policy)
{
	struct decoder *d = m->decoder;
	bool is_valid = true;

	if (!decode_list(d, list))
		return false;
	if (list->count < 1 || list->count > LIMIT_BACKEND_CREDENTIALS) {
		config_error(d->report, list, "has %u entries; write 1 to %d", list->count,
			     LIMIT_BACKEND_CREDENTIALS);
		return false;
	}
	policy->credential_list = decode_take(d, list->count, sizeof(*policy->credential_list));
	if (!policy->credential_list)
		return false;
	policy->credential_count = list->count;
	yaml_each(child, list)
		is_valid &= decode_credential(m, child, object, &policy->credential_list[child->index]);
	return is_valid;
}

const void *auth_policy_backend(struct manifests *m, const struct yaml_node *node,
				const struct manifest_object *object)
{
	struct backend_auth_policy *policy = schema_decode_new(m->decoder, node, &backend_auth_schema);
	const struct yaml_node *secret = decode_get(node, "secretRef"),
			       *credentials = decode_get(node, "credentials");
	struct backend_key key = { .d = m->decoder, .policy = policy };
	bool is_valid = policy && !schema_refuses(&backend_auth_schema, node);

	if (is_valid && secret) {
		policy->has_key = true;
		is_valid = take_from_secret(m, secret, object, &key);
	}
	if (is_valid && credentials)
		is_valid = decode_credentials(m, credentials, object, policy);
	return is_valid && backend_auth_finish(m->decoder, node, policy) ? policy : NULL;
}
