/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/guard/mcp_access.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>

#include "config/snapshot.h"
#include "policy/guard/authorize.h"
#include "user/base/mem.h"
#include "user/net/address.h"

enum { ACCESS_ARENA_BYTES = 2048, TABLE_BUCKETS = 1024 };

struct mcp_access {
	atomic_uint refs;
	struct list node; /* in a table */
	uint64_t number; /* in it */
	struct snapshot *snapshot; /* one reference */
	struct jwt_claims *claims; /* one reference, or NULL */
	const struct authorization_policy *policy; /* of the snapshot */
	struct arena arena; /* of the copies */
	struct expression_facts facts;
	struct expression_source source;
	struct expression_backend backend;
	struct request_head head;
	struct address address, raw_address, destination;
};

/* ---- copies */

/* 0 or -ENOMEM, as the next ones. */
static int copy(struct arena *arena, struct span *text)
{
	if (text->len)
		*text = arena_copy(arena, *text);
	return text->len && !text->data ? -ENOMEM : 0;
}

static int copy_all(struct arena *arena, struct span *const *texts, size_t count)
{
	int error = 0;

	for (size_t i = 0; i < count && !error; i++)
		error = copy(arena, texts[i]);
	return error;
}

/* Path and query as one text: expressions take them for one if they are next to each other. */
static int copy_path(struct arena *arena, struct request_head *head)
{
	char *bytes = arena_bytes(arena, head->path.len + 1 + head->query.len);

	if (!bytes)
		return -ENOMEM;
	memcpy(bytes, head->path.len ? head->path.data : "", head->path.len);
	bytes[head->path.len] = '?';
	memcpy(bytes + head->path.len + 1, head->query.len ? head->query.data : "", head->query.len);
	head->path = span_of(bytes, head->path.len);
	head->query = span_of(bytes + head->path.len + 1, head->query.len);
	return 0;
}

static int copy_head(struct mcp_access *access, const struct request_head *head)
{
	struct request_head *to = &access->head;
	struct span *texts[] = { &to->method_text, &to->target, &to->authority };
	int error;

	*to = *head;
	access->facts.request = to;
	error = fields_clone(&head->fields, &access->arena, &to->fields);
	if (!error)
		error = copy_path(&access->arena, to);
	if (!error)
		error = copy_all(&access->arena, texts, ARRAY_LEN(texts));
	for (uint32_t i = 0; i < to->fields.count && !error; i++) {
		struct span *field[] = { &to->fields.list[i].name, &to->fields.list[i].value };

		error = copy_all(&access->arena, field, ARRAY_LEN(field));
	}
	return error;
}

static int copy_source(struct mcp_access *access, const struct expression_source *source)
{
	struct expression_source *to = &access->source;
	struct span *texts[] = { &to->subject, &to->subject_cn, &to->issuer, &to->spiffe_id };
	struct span *names;
	int error;

	*to = *source;
	access->facts.source = to;
	if (source->address) {
		access->address = *source->address;
		to->address = &access->address;
	}
	if (source->raw_address) {
		access->raw_address = *source->raw_address;
		to->raw_address = &access->raw_address;
	}
	error = copy_all(&access->arena, texts, ARRAY_LEN(texts));
	names = error || !to->name_count ? NULL : arena_take(&access->arena, to->name_count * sizeof(*names));
	if (error || (to->name_count && !names))
		return -ENOMEM;
	for (uint32_t i = 0; i < to->name_count && !error; i++) {
		names[i] = source->names[i];
		error = copy(&access->arena, &names[i]);
	}
	to->names = names;
	return error;
}

static int copy_facts(struct mcp_access *access, const struct expression_facts *facts)
{
	struct expression_facts *to = &access->facts;
	struct span *texts[] = { &to->sni, &to->basic_user };
	int error = 0;

	*to = *facts;
	to->scratch = NULL;
	if (facts->destination) {
		access->destination = *facts->destination;
		to->destination = &access->destination;
	}
	if (facts->backend) {
		access->backend = *facts->backend; /* its texts are of the snapshot */
		to->backend = &access->backend;
	}
	if (facts->request)
		error = copy_head(access, facts->request);
	if (!error && facts->source)
		error = copy_source(access, facts->source);
	return error ? error : copy_all(&access->arena, texts, ARRAY_LEN(texts));
}

/* ---- life */

struct mcp_access *mcp_access_create(const struct authorization_policy *policy,
				     const struct expression_facts *facts, struct jwt_claims *claims,
				     struct snapshot *snapshot)
{
	struct mcp_access *access = hg_calloc(1, sizeof(*access));

	if (!access)
		return NULL;
	atomic_init(&access->refs, 1);
	list_init(&access->node);
	arena_init(&access->arena, ACCESS_ARENA_BYTES);
	access->policy = policy;
	access->snapshot = snapshot_ref(snapshot);
	access->claims = claims ? jwt_claims_ref(claims) : NULL;
	if (copy_facts(access, facts) < 0) {
		mcp_access_unref(access);
		return NULL;
	}
	return access;
}

struct mcp_access *mcp_access_ref(struct mcp_access *access)
{
	atomic_fetch_add_explicit(&access->refs, 1, memory_order_relaxed);
	return access;
}

void mcp_access_unref(struct mcp_access *access)
{
	if (!access || atomic_fetch_sub_explicit(&access->refs, 1, memory_order_acq_rel) > 1)
		return;
	jwt_claims_unref(access->claims);
	snapshot_unref(access->snapshot);
	arena_done(&access->arena);
	hg_free(access);
}

bool mcp_access_may(const struct mcp_access *access, const struct expression_mcp *item)
{
	struct expression_facts facts = access->facts;
	struct expression_scratch scratch;

	expression_scratch_init(&scratch);
	facts.scratch = &scratch;
	facts.mcp = item;
	return authorization_allows(access->policy, &facts);
}

/* ---- by number */

struct mcp_access_table {
	pthread_mutex_t lock;
	uint64_t last; /* number */
	struct list buckets[TABLE_BUCKETS];
};

struct mcp_access_table *mcp_access_table_create(void)
{
	struct mcp_access_table *table = hg_calloc(1, sizeof(*table));

	if (!table)
		return NULL;
	pthread_mutex_init(&table->lock, NULL);
	for (size_t i = 0; i < TABLE_BUCKETS; i++)
		list_init(&table->buckets[i]);
	return table;
}

void mcp_access_table_free(struct mcp_access_table *table)
{
	if (!table)
		return;
	pthread_mutex_destroy(&table->lock);
	hg_free(table);
}

uint64_t mcp_access_table_put(struct mcp_access_table *table, struct mcp_access *access)
{
	uint64_t number;

	pthread_mutex_lock(&table->lock);
	number = access->number = ++table->last;
	list_add_tail(&table->buckets[number % TABLE_BUCKETS], &access->node);
	pthread_mutex_unlock(&table->lock);
	return number;
}

/* With the lock. */
static struct mcp_access *find(struct mcp_access_table *table, uint64_t number)
{
	list_each(node, next, &table->buckets[number % TABLE_BUCKETS]) {
		struct mcp_access *access = list_entry(node, struct mcp_access, node);

		if (access->number == number)
			return access;
	}
	return NULL;
}

struct mcp_access *mcp_access_table_find(struct mcp_access_table *table, uint64_t number)
{
	struct mcp_access *access;

	pthread_mutex_lock(&table->lock);
	access = find(table, number);
	if (access)
		mcp_access_ref(access);
	pthread_mutex_unlock(&table->lock);
	return access;
}

void mcp_access_table_drop(struct mcp_access_table *table, uint64_t number)
{
	struct mcp_access *access;

	if (!number)
		return;
	pthread_mutex_lock(&table->lock);
	access = find(table, number);
	if (access)
		list_remove(&access->node);
	pthread_mutex_unlock(&table->lock);
	mcp_access_unref(access);
}
