/* SPDX-License-Identifier: Apache-2.0 */
#include "config/gatewayapi/credential.h"

#include <stdio.h>

#include "config/core/values/tls_files.h"
#include "user/base/base64.h"
#include "user/base/limits.h"
#include "user/base/mem.h"
#include "user/base/text.h"

/* The result of reading an object. */
struct credential {
	const void *object; /* NULL: invalid */
	/* an error without the object's name; if object is set, it is the one from before the reload */
	struct span why;
};

enum { REFS_MAX = 64 }; /* in one list, as in the CRD */

#define BEFORE "the certificate from before the change stays in use"

/* -------------------------------------------------------------------------------- values */

/* A value of a Secret or ConfigMap. */
struct value {
	struct span text;
	char *bytes; /* owner: the decoded bytes, or NULL; wiped */
	size_t size;
};

static void value_done(struct value *value)
{
	if (value->bytes)
		tls_wipe(value->bytes, value->size);
	hg_free(value->bytes);
	*value = (struct value){ 0 };
}

static const struct yaml_node *member(const struct manifest_object *object, const char *map, const char *key)
{
	const struct yaml_node *node = decode_get(object->root, map);

	return node && node->kind == YAML_MAP ? decode_get(node, key) : NULL;
}

static bool value_decode(struct decoder *d, const struct yaml_node *node, struct value *ret)
{
	ssize_t len;

	ret->size = node->text.len + 1;
	ret->bytes = hg_malloc(ret->size);
	if (!ret->bytes) {
		d->failed = true;
		return false;
	}
	len = base64_decode(node->text, ret->bytes);
	if (len < 0) {
		value_done(ret);
		return false;
	}
	ret->text = span_of(ret->bytes, (size_t)len);
	return true;
}

/* As in Kubernetes, stringData overrides data. False: *ret_why, or no memory. */
static bool value_of(struct decoder *d, const struct manifest_object *object, const char *key,
		     struct value *ret, struct span *ret_why)
{
	bool is_secret = object->kind == MANIFEST_SECRET;
	const struct yaml_node *plain = member(object, is_secret ? "stringData" : "data", key);
	const struct yaml_node *coded = member(object, is_secret ? "data" : "binaryData", key);
	const struct yaml_node *node = plain ? plain : coded;

	*ret = (struct value){ 0 };
	if (!node)
		*ret_why = decode_text(d, "it has no %s", key);
	else if (node->kind != YAML_SCALAR)
		*ret_why = decode_text(d, "its %s is not a string", key);
	else if (node->text.len > LIMIT_TLS_FILE_BYTES)
		*ret_why = decode_text(d, "its %s is larger than %d bytes", key, LIMIT_TLS_FILE_BYTES);
	else if (plain)
		ret->text = node->text;
	else if (!value_decode(d, node, ret) && !d->failed)
		*ret_why = decode_text(d, "its %s is not in base64; write it so, or in %s", key,
				       is_secret ? "stringData" : "data");
	return !ret_why->len && !d->failed;
}

/* -------------------------------------------------------------------------------- references */

/* "Secret app/x" */
static struct span source_text(struct decoder *d, const struct manifest_ref *ref)
{
	return decode_text(d, "%.*s %.*s/%.*s", SPAN_FMT(ref->kind), SPAN_FMT(ref->namespace),
			   SPAN_FMT(ref->name));
}

static bool kind_of(const struct manifest_ref *ref, bool is_authority, enum manifest_kind *ret)
{
	*ret = span_eq(ref->kind, SPAN("Secret")) ? MANIFEST_SECRET : MANIFEST_CONFIG_MAP;
	return !ref->group.len && (span_eq(ref->kind, SPAN("Secret")) ||
				   (is_authority && span_eq(ref->kind, SPAN("ConfigMap"))));
}

/* NULL: *ret_why is set, or the error of the reference has been reported. */
static const struct manifest_object *resolve(struct manifests *m, const struct yaml_node *node,
					     const struct credential_place *place, bool is_authority,
					     struct manifest_ref *ref, struct span *ret_why)
{
	struct decoder *d = m->decoder;
	const struct manifest_object *object;
	enum manifest_kind kind;

	if (!decode_any_map(d, node) ||
	    !manifest_ref(d, node, place->from, "", is_authority ? "ConfigMap" : "Secret", ref)) {
		*ret_why = decode_text(d, "%s: the reference is not complete", place->invalid);
		return NULL;
	}
	if (!kind_of(ref, is_authority, &kind))
		*ret_why = decode_text(d, "%s: objects of kind %s in group %s cannot be used here, %s can",
				       place->invalid_kind, QUOTE(ref->kind), QUOTE(ref->group),
				       is_authority ? "ConfigMap and Secret" : "Secret");
	else if (place->is_local && !span_eq(ref->namespace, place->from->namespace))
		*ret_why = decode_text(d, "%s: %.*s is in another namespace", place->invalid,
				       SPAN_FMT(source_text(d, ref)));
	else if (!manifest_is_granted(m, place->from, ref))
		*ret_why = decode_text(d,
				       "RefNotPermitted: %.*s is in another namespace, and no ReferenceGrant "
				       "there allows it",
				       SPAN_FMT(source_text(d, ref)));
	if (ret_why->len || d->failed)
		return NULL;
	object = manifest_find(m, kind, ref->namespace, ref->name);
	if (!object)
		*ret_why =
			decode_text(d, "%s: there is no %.*s", place->invalid, SPAN_FMT(source_text(d, ref)));
	return object;
}

static void warn(struct manifests *m, const struct yaml_node *node, struct span why, const char *effect)
{
	config_warning(m->decoder->report, node, "%.*s; %s: correct it, or name another object",
		       SPAN_FMT(why), effect);
}

static struct span why_text(struct decoder *d, const struct credential_place *place,
			    const struct manifest_ref *ref, struct span why)
{
	return decode_text(d, "%s: %.*s: %.*s", place->invalid, SPAN_FMT(source_text(d, ref)), SPAN_FMT(why));
}

/* -------------------------------------------------------------------------------- identities */

static struct credential *credential_new(struct decoder *d, struct name_map *map, struct span key)
{
	struct credential *credential = decode_take(d, 1, sizeof(*credential));

	return credential && name_map_put(d, map, key, credential) ? credential : NULL;
}

/* An incomplete renewal must not stop a listener: keep the identity from before the reload. */
static void identity_read(struct decoder *d, const struct manifest_object *object, struct span name,
			  struct credential *credential)
{
	struct value cert = { 0 }, key = { 0 };

	if (value_of(d, object, "tls.crt", &cert, &credential->why) &&
	    value_of(d, object, "tls.key", &key, &credential->why))
		credential->object = tls_files_identity_text(d, name, cert.text, key.text, &credential->why);
	value_done(&cert);
	value_done(&key);
	if (!credential->object && !d->failed)
		credential->object = tls_files_identity_before(d, name);
}

static const struct credential *identity_of(struct manifests *m, const struct manifest_object *object)
{
	struct decoder *d = m->decoder;
	struct span key = decode_text(d, "%.*s/%.*s", SPAN_FMT(object->namespace), SPAN_FMT(object->name));
	struct credential *credential = key.data ? name_map_get(&m->identities, key) : NULL;

	if (credential || !key.data)
		return credential;
	credential = credential_new(d, &m->identities, key);
	if (credential)
		identity_read(d, object, key, credential);
	return credential;
}

const struct tls_identity *credential_identity(struct manifests *m, const struct yaml_node *node,
					       const struct credential_place *place, struct span *ret_source,
					       struct span *ret_why)
{
	const struct credential *credential = NULL;
	const struct manifest_object *object;
	struct decoder *d = m->decoder;
	struct manifest_ref ref = { 0 };

	*ret_source = *ret_why = (struct span){ 0 };
	object = resolve(m, node, place, false, &ref, ret_why);
	if (object) {
		*ret_source = source_text(d, &ref);
		credential = identity_of(m, object);
	}
	if (credential && credential->why.len)
		*ret_why = why_text(d, place, &ref, credential->why);
	if (ret_why->len)
		warn(m, node, *ret_why, credential && credential->object ? BEFORE : place->effect);
	if (!credential || !credential->object)
		return NULL;
	*ret_why = (struct span){ 0 };
	return credential->object;
}

/* -------------------------------------------------------------------------------- authorities */

/* The resolved references of one list. */
struct authorities {
	const struct yaml_node *node[REFS_MAX];
	struct span why[REFS_MAX]; /* empty: valid */
	const struct manifest_object *object[REFS_MAX]; /* NULL: invalid */
	uint32_t count;
	uint32_t good_count;
	const struct tls_trust *last; /* of the last valid one alone */
	struct span names; /* of all valid ones */
};

static const struct credential *authority_of(struct manifests *m, const struct manifest_object *object,
					     struct span name)
{
	struct credential *credential = name_map_get(&m->trusts, name);
	struct decoder *d = m->decoder;
	struct value value;

	if (credential)
		return credential;
	credential = credential_new(d, &m->trusts, name);
	if (!credential)
		return NULL;
	if (value_of(d, object, "ca.crt", &value, &credential->why))
		credential->object = tls_files_trust_text(d, value.text, &credential->why);
	value_done(&value);
	return credential;
}

/* Parses each authority separately: an invalid one must not invalidate the others. */
static void add_authority(struct manifests *m, const struct yaml_node *node,
			  const struct credential_place *place, struct authorities *all)
{
	const struct manifest_object *object;
	const struct credential *credential;
	struct decoder *d = m->decoder;
	struct manifest_ref ref = { 0 };
	uint32_t at = all->count++;
	struct span name;

	all->node[at] = node;
	object = resolve(m, node, place, true, &ref, &all->why[at]);
	name = object ? source_text(d, &ref) : (struct span){ 0 };
	credential = name.data ? authority_of(m, object, name) : NULL;
	if (!credential)
		return;
	if (!credential->object) {
		all->why[at] = why_text(d, place, &ref, credential->why);
		return;
	}
	all->object[at] = object;
	all->last = credential->object;
	all->names =
		all->good_count++ ? decode_text(d, "%.*s, %.*s", SPAN_FMT(all->names), SPAN_FMT(name)) : name;
}

static void join_pem(struct decoder *d, const struct authorities *all, struct text *out)
{
	for (uint32_t i = 0; i < all->count; i++) {
		struct value value = { 0 };
		struct span why = { 0 };

		if (all->object[i] && value_of(d, all->object[i], "ca.crt", &value, &why)) {
			text_add(out, value.text);
			text_char(out, '\n');
		}
		value_done(&value);
	}
	if (text_error(out))
		d->failed = true;
}

static const struct tls_trust *join(struct manifests *m, const struct authorities *all)
{
	struct credential *credential;
	struct decoder *d = m->decoder;
	struct text pem;

	if (all->good_count < 2)
		return all->last;
	credential = name_map_get(&m->trusts, all->names);
	if (credential || !all->names.data)
		return credential ? credential->object : NULL;
	credential = credential_new(d, &m->trusts, all->names);
	text_init(&pem);
	join_pem(d, all, &pem);
	if (credential && !d->failed)
		credential->object = tls_files_trust_text(d, text_span(&pem), &credential->why);
	text_done(&pem);
	return credential ? credential->object : NULL;
}

const struct tls_trust *credential_trust(struct manifests *m, const struct yaml_node *list,
					 const struct credential_place *place, struct span *ret_source,
					 struct span *ret_why)
{
	struct authorities all = { 0 };

	*ret_source = *ret_why = (struct span){ 0 };
	if (list->count > REFS_MAX) {
		config_error(m->decoder->report, list, "has more than %d references", REFS_MAX);
		return NULL;
	}
	yaml_each(node, list)
		add_authority(m, node, place, &all);
	for (uint32_t i = 0; i < all.count; i++)
		if (all.why[i].len)
			warn(m, all.node[i], all.why[i],
			     all.good_count ? "the other references are used" : place->effect);
	for (uint32_t i = all.count; i--;)
		if (all.why[i].len)
			*ret_why = all.why[i];
	*ret_source = all.names;
	return join(m, &all);
}

const struct tls_trust *credential_own_trust(struct manifests *m, const struct yaml_node *node,
					     const struct credential_place *place, struct span *ret_why)
{
	const struct credential *credential;
	const struct manifest_object *object;
	struct decoder *d = m->decoder;
	struct manifest_ref ref = { 0 };
	struct span name;

	*ret_why = (struct span){ 0 };
	object = resolve(m, node, place, false, &ref, ret_why);
	if (!object || (!member(object, "data", "ca.crt") && !member(object, "stringData", "ca.crt")))
		return NULL;
	name = source_text(d, &ref);
	credential = name.data ? authority_of(m, object, name) : NULL;
	if (credential && credential->why.len) {
		*ret_why = why_text(d, place, &ref, credential->why);
		warn(m, node, *ret_why, place->effect);
	}
	return credential ? credential->object : NULL;
}

/* -------------------------------------------------------------------------------- other values */

bool credential_one(struct manifests *m, const struct yaml_node *node, const struct manifest_object *object,
		    const char *key, bool (*each)(void *context, struct span key, struct span text),
		    void *context)
{
	struct decoder *d = m->decoder;
	struct span why = { 0 };
	struct value value;
	bool result = value_of(d, object, key, &value, &why);

	if (why.len)
		config_error(d->report, node, "%s %.*s/%.*s: %.*s", manifest_kind_name(object->kind),
			     SPAN_FMT(object->namespace), SPAN_FMT(object->name), SPAN_FMT(why));
	result = result && each(context, span_str(key), value.text);
	value_done(&value);
	return result;
}

static bool each_of_map(struct manifests *m, const struct yaml_node *node,
			const struct manifest_object *object, const struct yaml_node *map,
			const struct yaml_node *before,
			bool (*each)(void *context, struct span key, struct span text), void *context)
{
	bool result = true;

	if (!map || map->kind != YAML_MAP)
		return true;
	yaml_each(child, map) {
		struct span key = decode_keep(m->decoder, child->key);

		if (!key.data)
			return false;
		if (!before || before->kind != YAML_MAP || !yaml_get(before, key))
			result &= credential_one(m, node, object, key.data, each, context);
	}
	return result;
}

bool credential_each(struct manifests *m, const struct yaml_node *node, const struct manifest_object *object,
		     bool (*each)(void *context, struct span key, struct span text), void *context)
{
	bool is_secret = object->kind == MANIFEST_SECRET;
	const struct yaml_node *plain = decode_get(object->root, is_secret ? "stringData" : "data");
	const struct yaml_node *coded = decode_get(object->root, is_secret ? "data" : "binaryData");
	bool result = each_of_map(m, node, object, plain, NULL, each, context);

	return each_of_map(m, node, object, coded, plain, each, context) && result;
}

void credentials_done(struct manifests *m)
{
	name_map_done(&m->identities);
	name_map_done(&m->trusts);
}
