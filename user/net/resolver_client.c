/* SPDX-License-Identifier: Apache-2.0 */
#include "user/net/resolver_client.h"

#include <errno.h>

#include "user/base/limits.h"
#include "user/base/mem.h"
#include "user/net/lookup.h"
#include "user/net/name_table.h"
#include "user/net/resolver.h"

struct resolver_client {
	struct resolver *resolver; /* borrowed */
	struct loop *loop; /* borrowed */
	/* Names of the configuration, and those that clients chose. */
	struct client_share {
		uint32_t lookup_count; /* in progress */
		uint32_t queue_len;
		struct list queue; /* of struct client_name, oldest first */
	} shares[2];
	struct name_table names; /* of struct client_name */
};

struct client_name {
	struct name_entry entry; /* busy while queued or looked up, and so while queries wait */
	struct resolver_client *client; /* borrowed */
	bool is_chosen; /* by a client: its share has it while it is busy */
	struct list queue; /* in that of its share while it waits for a look-up */
	struct lookup *lookup;
	struct resolver_answer answer;
	struct list waiting; /* of struct resolver_query */
};

/*
 * Passes the answer to every waiting query. A callback may cancel others in the list, and cause the name to
 * be freed.
 */
static void client_name_answer(struct client_name *name)
{
	struct resolver_list *list = name->answer.list;
	int result = name->answer.result;
	struct list due;
	struct list *node;

	list_init(&due);
	list_splice(&due, &name->waiting);
	if (list)
		resolver_list_ref(list);
	while ((node = list_pop(&due)) != NULL) {
		struct resolver_query *query = list_entry(node, struct resolver_query, node);

		query->on_result(query, result, list ? resolver_list_ref(list) : NULL);
	}
	resolver_list_unref(list);
}

static void client_name_finish(struct client_name *name, int result, struct address *list, uint32_t count)
{
	struct span host = span_of(name->entry.host, name->entry.host_len);
	struct resolver_answer answer;

	resolver_tell(name->client->resolver, host, name->entry.port, result, list, count, &answer);
	resolver_answer_set(&name->answer, answer);
	name->entry.is_busy = false;
	client_name_answer(name);
}

static int client_name_look_up(struct client_name *name);

static struct client_share *share_of(struct client_name *name)
{
	return &name->client->shares[name->is_chosen];
}

/*
 * Names that clients chose get half of the look-ups, however many wait: silent name servers hold each of them
 * for long.
 */
static bool has_room(const struct resolver_client *client, bool is_chosen)
{
	uint32_t chosen = client->shares[true].lookup_count;

	return client->shares[false].lookup_count + chosen < RESOLVER_LOOKUPS &&
	       (!is_chosen || chosen < RESOLVER_LOOKUPS / 2);
}

/* The next name whose look-up may start; NULL: none. */
static struct client_name *next_queued(struct resolver_client *client)
{
	for (int is_chosen = 0; is_chosen < 2; is_chosen++) {
		struct client_share *share = &client->shares[is_chosen];
		struct list *node = has_room(client, is_chosen) ? list_pop(&share->queue) : NULL;

		if (!node)
			continue;
		share->queue_len--;
		return list_entry(node, struct client_name, queue);
	}
	return NULL;
}

/* Starts the next look-up before callbacks can take its slot. */
static void client_name_on_found(void *context, int result, struct address *list, uint32_t count)
{
	struct client_name *name = context;
	struct resolver_client *client = name->client;
	struct client_name *next;

	name->lookup = NULL;
	share_of(name)->lookup_count--;
	while ((next = next_queued(client)) != NULL) {
		int error = client_name_look_up(next);

		if (error != -EINPROGRESS)
			client_name_finish(next, error, NULL, 0);
	}
	client_name_finish(name, result, list, count);
}

/* Returns -EINPROGRESS, -ENOBUFS or -ENOMEM. */
static int client_name_look_up(struct client_name *name)
{
	struct resolver_client *client = name->client;
	struct client_share *share = share_of(name);

	if (!has_room(client, name->is_chosen)) {
		if (share->queue_len >= LIMIT_RESOLVE_QUEUE)
			return -ENOBUFS;
		list_add_tail(&share->queue, &name->queue);
		share->queue_len++;
	} else {
		name->lookup = lookup_start(client->loop, resolver_lookup(client->resolver), name->entry.host,
					    client_name_on_found, name);
		if (!name->lookup)
			return -ENOMEM;
		share->lookup_count++;
	}
	name->entry.is_busy = true;
	return -EINPROGRESS;
}

struct resolver_client *resolver_client_create(struct resolver *resolver, struct loop *loop)
{
	struct resolver_client *client = hg_calloc(1, sizeof(*client));

	if (!client)
		return NULL;
	client->resolver = resolver;
	client->loop = loop;
	list_init(&client->shares[false].queue);
	list_init(&client->shares[true].queue);
	name_table_init(&client->names);
	return client;
}

static void client_name_free(struct client_name *name)
{
	CHECK(list_is_empty(&name->waiting));
	lookup_cancel(name->lookup);
	list_remove(&name->queue);
	name_table_remove(&name->client->names, &name->entry);
	resolver_list_unref(name->answer.list);
	hg_free(name);
}

void resolver_client_free(struct resolver_client *client)
{
	struct name_entry *entry;

	if (!client)
		return;
	while ((entry = name_table_any(&client->names)) != NULL)
		client_name_free(container_of(entry, struct client_name, entry));
	hg_free(client);
}

/* The cached name, or a new one; NULL with the reason in *ret_error. */
static struct client_name *client_name_take(struct resolver_client *client, struct span host, uint16_t port,
					    int *ret_error)
{
	struct name_entry *entry = name_table_find(&client->names, host, port);
	struct client_name *name;

	if (entry)
		return container_of(entry, struct client_name, entry);
	if (client->names.count >= LIMIT_RESOLVE_NAMES) {
		entry = name_table_oldest(&client->names);
		if (!entry) {
			*ret_error = -ENOBUFS;
			return NULL;
		}
		client_name_free(container_of(entry, struct client_name, entry));
	}
	name = hg_calloc(1, sizeof(*name));
	if (!name) {
		*ret_error = -ENOMEM;
		return NULL;
	}
	name->client = client;
	list_init(&name->queue);
	list_init(&name->waiting);
	name_table_add(&client->names, &name->entry, host, port);
	return name;
}

/* The configuration has the name, too, and it waits among those that clients chose. */
static void client_name_promote(struct client_name *name)
{
	struct client_share *share = share_of(name);

	if (!name->is_chosen || list_is_empty(&name->queue))
		return;
	list_remove(&name->queue);
	name->is_chosen = false;
	if (client_name_look_up(name) == -EINPROGRESS) {
		share->queue_len--;
		return;
	}
	name->is_chosen = true;
	list_add_tail(&share->queue, &name->queue);
}

/* Returns 0 if the process knew the answer, otherwise the result of client_name_look_up(). */
static int client_name_ask(struct client_name *name, bool is_chosen)
{
	struct span host = span_of(name->entry.host, name->entry.host_len);
	struct resolver_answer answer;
	bool must_look_up;

	name->is_chosen = is_chosen;
	must_look_up = resolver_ask(name->client->resolver, host, name->entry.port, &answer);

	if (answer.list || !name->answer.list)
		resolver_answer_set(&name->answer, answer);
	return must_look_up ? client_name_look_up(name) : 0;
}

static bool is_host(struct span host)
{
	if (host.len == 0 || host.len > NAME_HOST_BYTES)
		return false;
	for (size_t i = 0; i < host.len; i++) {
		unsigned char c = (unsigned char)host.data[i];
		bool is_plain = (unsigned char)((c | 0x20) - 'a') < 26 || (unsigned char)(c - '0') < 10;

		if (!is_plain && !memchr("-._:%", c, 5))
			return false;
	}
	return true;
}

static int literal_list(const struct address *address, struct resolver_list **ret_list)
{
	struct resolver_list *list = resolver_list_create(1);

	if (!list)
		return -ENOMEM;
	list->address_list[0] = *address;
	*ret_list = list;
	return 0;
}

void resolver_query_init(struct resolver_query *query,
			 void (*on_result)(struct resolver_query *query, int result,
					   struct resolver_list *list))
{
	list_init(&query->node);
	query->is_chosen = false;
	query->on_result = on_result;
}

int resolver_query_start(struct resolver_client *client, struct span host, uint16_t port,
			 struct resolver_query *query, struct resolver_list **ret_list)
{
	uint64_t now_ms = loop_now_ms(client->loop);
	struct client_name *name;
	struct address address;
	int error = -EINPROGRESS;

	CHECK(list_is_empty(&query->node));
	if (address_parse_ip(host, port, &address) == 0)
		return literal_list(&address, ret_list);
	if (!is_host(host))
		return -EINVAL;
	name = client_name_take(client, host, port, &error);
	if (!name)
		return error;
	if (now_ms >= name->answer.fresh_until_ms && !name->entry.is_busy)
		error = client_name_ask(name, query->is_chosen);
	else if (!query->is_chosen)
		client_name_promote(name);
	if (name->answer.list && now_ms < name->answer.stale_until_ms) {
		*ret_list = resolver_list_ref(name->answer.list);
		return 0;
	}
	if (error == 0 || now_ms < name->answer.fresh_until_ms)
		return name->answer.result;
	if (error == -EINPROGRESS)
		list_add_tail(&name->waiting, &query->node);
	return error;
}

struct resolver_list *resolver_known(struct resolver_client *client, struct span host, uint16_t port,
				     bool is_chosen)
{
	struct name_entry *entry = name_table_find(&client->names, host, port);
	struct client_name *name;

	if (!entry)
		return NULL;
	name = container_of(entry, struct client_name, entry);
	/* Ignore a failure: a query that needs the answer will return it. */
	if (loop_now_ms(client->loop) >= name->answer.fresh_until_ms && !name->entry.is_busy)
		(void)client_name_ask(name, is_chosen);
	return name->answer.list ? resolver_list_ref(name->answer.list) : NULL;
}

void resolver_query_cancel(struct resolver_query *query)
{
	list_remove(&query->node);
}
