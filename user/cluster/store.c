/* SPDX-License-Identifier: Apache-2.0 */
#include "user/cluster/store.h"

#include <errno.h>

#include "user/base/hash.h"
#include "user/base/limits.h"
#include "user/base/mem.h"
#include "user/mcp/json/json_text.h"

enum { BUCKETS = 1024, LOAD = 4 };

int store_init(struct store *store)
{
	*store = (struct store){ .bucket_count = BUCKETS };
	for (unsigned kind = 0; kind < KIND_COUNT; kind++)
		list_init(&store->objects[kind]);
	store->unapplied.has_others = true;
	store->buckets = hg_calloc(BUCKETS, sizeof(struct stored_object *));
	store->checker = mcp_json_checker_create();
	return store->buckets && store->checker ? 0 : -ENOMEM;
}

bool store_can_read(struct store *store, struct span text)
{
	return mcp_json_check(store->checker, text) == 0;
}

static uint64_t object_bytes(const struct stored_object *object)
{
	return sizeof(*object) + object->key.len + object->service.len + object->version.len +
	       object->text.len + object->status.len;
}

static void object_free(struct store *store, struct stored_object *object)
{
	store->bytes -= object_bytes(object);
	store->count[object->kind]--;
	list_remove(&object->node);
	/* A Secret does not stay in freed memory. */
	if (object->kind == KIND_SECRET)
		explicit_bzero((char *)object->text.data, object->text.len);
	hg_free(object);
}

void store_done(struct store *store)
{
	for (unsigned kind = 0; kind < KIND_COUNT; kind++)
		list_each(node, next, &store->objects[kind])
			object_free(store, list_entry(node, struct stored_object, node));
	store_changes_done(store);
	mentions_done(&store->mentions);
	hg_free(store->buckets);
	mcp_json_checker_free(store->checker);
	store->buckets = NULL;
	store->checker = NULL;
}

uint64_t store_count(const struct store *store)
{
	uint64_t sum = 0;

	for (unsigned kind = 0; kind < KIND_COUNT; kind++)
		sum += store->count[kind];
	return sum;
}

/* ---------------------------------------------------------------------------------------- changes */

void store_changes_done(struct store *store)
{
	for (uint32_t i = 0; i < store->unapplied.service_count; i++)
		text_done(&store->unapplied.service_list[i]);
	store->unapplied.service_count = 0;
	store->unapplied.has_others = false;
}

static void note_service(struct store_changes *changes, struct span service)
{
	struct text *text = &changes->service_list[changes->service_count];

	for (uint32_t i = 0; i < changes->service_count; i++)
		if (span_eq(text_span(&changes->service_list[i]), service))
			return;
	if (changes->service_count == STORE_CHANGED_SERVICES) {
		changes->has_others = true;
		return;
	}
	text_init(text);
	text_add(text, service);
	changes->has_others |= text->failed;
	changes->service_count++;
}

/*
 * An object that has come, gone or been replaced. One that nothing names is no change: what could name it
 * would be a change itself.
 */
static void note_change(struct store *store, const struct stored_object *object)
{
	if (!mentions_need(&store->mentions, object))
		return;
	store->changes++;
	if (object->service.len)
		note_service(&store->unapplied, object->service);
	else
		store->unapplied.has_others = true;
}

/* ---------------------------------------------------------------------------------------- look-up */

static uint64_t key_hash(enum kind_id kind, struct span key)
{
	return hash_mix(hash_bytes(key), kind);
}

/* The place that points at the object of that name, or the NULL at the end of its bucket. */
static struct stored_object **find(const struct store *store, enum kind_id kind, struct span key)
{
	struct stored_object **at = &store->buckets[key_hash(kind, key) & (store->bucket_count - 1)];

	while (*at && ((*at)->kind != kind || !span_eq((*at)->key, key)))
		at = &(*at)->next;
	return at;
}

const struct stored_object *store_get(const struct store *store, enum kind_id kind, struct span key)
{
	return *find(store, kind, key);
}

/* Without memory the buckets stay as they are: look-ups become slower. */
static void grow(struct store *store)
{
	uint32_t count = store->bucket_count * 2;
	struct stored_object **buckets;

	if (store_count(store) < (uint64_t)store->bucket_count * LOAD)
		return;
	buckets = hg_calloc(count, sizeof(struct stored_object *));
	if (!buckets)
		return;
	hg_free(store->buckets);
	store->buckets = buckets;
	store->bucket_count = count;
	for (unsigned kind = 0; kind < KIND_COUNT; kind++) {
		list_each(node, next, &store->objects[kind]) {
			struct stored_object *object = list_entry(node, struct stored_object, node);
			struct stored_object **at =
				&buckets[key_hash(object->kind, object->key) & (count - 1)];

			object->next = *at;
			*at = object;
		}
	}
}

/* ---------------------------------------------------------------------------------------- one object */

/*
 * The code of the character that `s` begins with, if JSON may have it in a string as it is, but YAML 1.1
 * refuses it or takes it for a line break; else 0.
 */
static unsigned barred_code(struct span s, size_t *ret_len)
{
	unsigned char c = (unsigned char)s.data[0], second = s.len > 1 ? (unsigned char)s.data[1] : 0,
		      third = s.len > 2 ? (unsigned char)s.data[2] : 0;

	*ret_len = c == 0x7f ? 1 : c == 0xc2 ? 2 : 3;
	if (c == 0x7f)
		return c;
	if (c == 0xc2 && second >= 0x80 && second < 0xa0)
		return second;
	if (c == 0xe2 && second == 0x80 && (third == 0xa8 || third == 0xa9))
		return 0x2028u + (third - 0xa8u);
	if (c == 0xef && second == 0xbf && third >= 0xbe)
		return 0xfffeu + (third - 0xbeu);
	return 0;
}

/* Appends JSON so that it is YAML too: a DEL in one ConfigMap must not make all objects unreadable. */
static void add_value(struct text *out, struct span value)
{
	size_t at = 0, len = 0;

	while (at < value.len) {
		bool is_plain = (unsigned char)value.data[at] < 0x7f;
		unsigned code = is_plain ? 0 : barred_code(span_from(value, at), &len);

		if (!code) {
			at++;
			continue;
		}
		text_add(out, span_first(value, at));
		text_fmt(out, "\\u%04x", code);
		value = span_from(value, at + len);
		at = 0;
	}
	text_add(out, value);
}

static void add_member(struct text *out, struct span key, struct span value)
{
	text_str(out, out->len && out->data[out->len - 1] != '{' ? ",\"" : "\"");
	text_add(out, key);
	text_str(out, "\":");
	add_value(out, value);
}

/* Appends `metadata` without managedFields, and mixes the rest but resourceVersion into the digest. */
static void add_metadata(struct text *out, struct span metadata, uint64_t *digest)
{
	struct mcp_json_walk walk = mcp_json_walk_of(metadata);
	struct span key, value;
	struct text kept;

	text_init(&kept);
	text_char(&kept, '{');
	while (mcp_json_next(&walk, &key, &value)) {
		if (span_eq(key, SPAN("managedFields")))
			continue;
		add_member(&kept, key, value);
		if (!span_eq(key, SPAN("resourceVersion")) && !span_eq(key, SPAN("generation")))
			*digest = hash_mix(*digest, hash_mix(hash_bytes(key), hash_bytes(value)));
	}
	text_char(&kept, '}');
	add_member(out, SPAN("metadata"), text_span(&kept));
	out->failed |= kept.failed;
	text_done(&kept);
}

struct parts {
	struct text text;
	struct span status;
	uint64_t digest;
};

/* `status` with the addresses alone. */
static void add_addresses(struct parts *parts, struct span status)
{
	struct span addresses = mcp_json_member(status, SPAN("addresses"));
	struct text kept;

	if (!addresses.len)
		return;
	text_init(&kept);
	text_char(&kept, '{');
	add_member(&kept, SPAN("addresses"), addresses);
	text_char(&kept, '}');
	add_member(&parts->text, SPAN("status"), text_span(&kept));
	parts->text.failed |= kept.failed;
	parts->digest = hash_mix(parts->digest, hash_bytes(addresses));
	text_done(&kept);
}

static void split(const struct store *store, enum kind_id kind, struct span api_version, struct span object,
		  struct parts *parts)
{
	struct mcp_json_walk walk = mcp_json_walk_of(object);
	struct span key, value;

	text_char(&parts->text, '{');
	if (!mcp_json_member(object, SPAN("apiVersion")).len)
		text_fmt(&parts->text, "\"apiVersion\":\"%.*s\",\"kind\":\"%s\"", SPAN_FMT(api_version),
			 kind_list[kind].name);
	while (mcp_json_next(&walk, &key, &value)) {
		if (span_eq(key, SPAN("metadata"))) {
			add_metadata(&parts->text, value, &parts->digest);
		} else if (span_eq(key, SPAN("status"))) {
			parts->status = value;
			if (kind == KIND_GATEWAY && store->keeps_addresses)
				add_addresses(parts, value);
		} else {
			add_member(&parts->text, key, value);
			parts->digest = hash_mix(parts->digest, hash_mix(hash_bytes(key), hash_bytes(value)));
		}
	}
	text_char(&parts->text, '}');
}

/* Names of Kubernetes are DNS labels: there are no escapes in them. */
static int name_key(struct span object, struct text *out)
{
	struct span metadata = mcp_json_member(object, SPAN("metadata"));
	struct span name = mcp_json_string(mcp_json_member(metadata, SPAN("name")));
	struct span namespace = mcp_json_string(mcp_json_member(metadata, SPAN("namespace")));

	if (!name.len)
		return -EBADMSG;
	text_add(out, namespace);
	if (namespace.len)
		text_char(out, '/');
	text_add(out, name);
	return text_error(out);
}

static struct span append(char **at, struct span s)
{
	struct span copy = span_of(*at, s.len);

	if (s.len)
		memcpy(*at, s.data, s.len);
	*at += s.len;
	return copy;
}

static struct stored_object *object_new(enum kind_id kind, struct span key, struct span service,
					struct span version, const struct parts *parts)
{
	struct span text = text_span(&parts->text);
	struct stored_object *object = hg_malloc(sizeof(*object) + key.len + service.len + version.len +
						 text.len + parts->status.len);
	char *at;

	if (!object)
		return NULL;
	*object = (struct stored_object){ .kind = kind, .digest = parts->digest };
	at = (char *)(object + 1);
	list_init(&object->node);
	object->key = append(&at, key);
	object->service = append(&at, service);
	object->version = append(&at, version);
	object->text = append(&at, text);
	object->status = append(&at, parts->status);
	return object;
}

static int insert(struct store *store, struct stored_object *object, uint64_t round)
{
	struct stored_object **at = find(store, object->kind, object->key), *old = *at;
	uint64_t old_bytes = old ? object_bytes(old) : 0;

	object->round = round;
	if (store->bytes - old_bytes + object_bytes(object) > LIMIT_CLUSTER_BYTES) {
		hg_free(object);
		return -EFBIG;
	}
	store->bytes += object_bytes(object);
	store->count[object->kind]++;
	if (old && old->digest != object->digest && !span_eq(old->service, object->service))
		note_change(store, old);
	if (!old || old->digest != object->digest)
		note_change(store, object);
	if (old && !span_eq(old->status, object->status))
		store->status_changes++;
	object->next = old ? old->next : NULL;
	*at = object;
	if (old) {
		list_add_tail(&old->node, &object->node);
		object_free(store, old);
	} else {
		list_add_tail(&store->objects[object->kind], &object->node);
		grow(store);
	}
	return 0;
}

/* "namespace/name" of the Service that an EndpointSlice belongs to. Without one, appends nothing. */
static void service_key(enum kind_id kind, struct span metadata, struct text *out)
{
	struct span labels = mcp_json_member(metadata, SPAN("labels"));
	struct span name = mcp_json_string(mcp_json_member(labels, SPAN("kubernetes.io/service-name")));
	struct span namespace = mcp_json_string(mcp_json_member(metadata, SPAN("namespace")));

	if (kind != KIND_ENDPOINT_SLICE || !name.len || !namespace.len || span_find(name, '\\') >= 0)
		return;
	text_add(out, namespace);
	text_char(out, '/');
	text_add(out, name);
}

int store_put(struct store *store, enum kind_id kind, struct span api_version, struct span json,
	      uint64_t round)
{
	struct span metadata = mcp_json_member(json, SPAN("metadata"));
	struct span version = mcp_json_string(mcp_json_member(metadata, SPAN("resourceVersion")));
	struct stored_object *object = NULL;
	struct parts parts = { 0 };
	struct text key, service;
	int result;

	text_init(&key);
	text_init(&service);
	text_init(&parts.text);
	result = name_key(json, &key);
	service_key(kind, metadata, &service);
	if (!result)
		result = text_error(&service);
	if (!result) {
		split(store, kind, api_version, json, &parts);
		result = text_error(&parts.text);
	}
	if (!result) {
		object = object_new(kind, text_span(&key), text_span(&service), version, &parts);
		result = object ? insert(store, object, round) : -ENOMEM;
	}
	if (kind == KIND_SECRET && parts.text.data)
		explicit_bzero(parts.text.data, parts.text.len);
	text_done(&parts.text);
	text_done(&service);
	text_done(&key);
	return result;
}

static void remove_at(struct store *store, struct stored_object **at)
{
	struct stored_object *object = *at;

	*at = object->next;
	note_change(store, object);
	object_free(store, object);
}

void store_remove(struct store *store, enum kind_id kind, struct span object)
{
	struct stored_object **at;
	struct text key;

	text_init(&key);
	if (name_key(object, &key) == 0) {
		at = find(store, kind, text_span(&key));
		if (*at)
			remove_at(store, at);
	}
	text_done(&key);
}

void store_sweep(struct store *store, enum kind_id kind, uint64_t round)
{
	list_each(node, next, &store->objects[kind]) {
		struct stored_object *object = list_entry(node, struct stored_object, node);

		if (object->round != round)
			remove_at(store, find(store, kind, object->key));
	}
}
