/* SPDX-License-Identifier: Apache-2.0 */
#include "user/client/evict.h"

#include "user/base/limits.h"
#include "user/base/mem.h"
#include "user/client/admission.h"
#include "user/client/client_h2.h"
#include "user/net/descriptors.h"

enum {
	EVICT_LOOKS = 256, /* clients examined per search */
	EVICT_TRIES = 16, /* clients ended for one new client: a limit may have been lowered */
};

enum eviction { EVICT_NONE, EVICT_MADE, EVICT_ASKED };

/*
 * Unread bytes may be a request whose event is about to be delivered. An empty line before a request is none.
 */
static bool client_may_end(const struct client *client)
{
	return buf_len(&client->conn.in) <= client->http->scan.offset && !conn_has_unread(&client->conn);
}

static void evict_end(struct client *client)
{
	counter_add(client->proxy->counters, COUNTER_IDLE_CLOSED, 1);
	if (client->h2 && h2_session_refuse_more(client->h2->link.session) == 0)
		h2_link_push(&client->h2->link);
	client_close(client, END_EVICTED, false);
}

/* Ends an idle client. only: of this port; peer: of this address; NULL: any. */
static bool evict_make_here(struct proxy *proxy, const struct proxy_bind *only, const struct quota *peer)
{
	int looks = 0;

	list_each(node, next, &proxy->idle_clients) {
		struct client *client = list_entry(node, struct client_http, idle_node)->client;

		if (looks++ == EVICT_LOOKS)
			break;
		if ((only && client->bind != only) || (peer && client->peer != peer) ||
		    !client_may_end(client))
			continue;
		evict_end(client);
		return true;
	}
	return false;
}

/* ------------------------------------------------------------------------------------ other workers */

struct evict_message {
	struct message message;
	struct proxy *proxy;
};

static void evict_on_asked(struct message *message, void *context)
{
	struct evict_message *asked = container_of(message, struct evict_message, message);

	(void)context;
	atomic_fetch_sub_explicit(&asked->proxy->evict_asked, 1, memory_order_relaxed);
	evict_make_here(asked->proxy, NULL, NULL);
	hg_free(asked);
}

static uint64_t evict_spare(struct proxy *other)
{
	uint64_t idle = tally_read(&other->idle_count);
	uint64_t asked = atomic_load_explicit(&other->evict_asked, memory_order_relaxed);

	return idle > asked ? idle - asked : 0;
}

/* Asks the worker with the most idle clients to end one. True if a worker was asked. */
static bool evict_ask(struct proxy *proxy)
{
	struct proxy_shared *shared = proxy->shared;
	struct evict_message *message = NULL;
	struct proxy *best = NULL;

	pthread_mutex_lock(&shared->evict_lock);
	for (uint32_t i = 0; i < LIMIT_WORKERS; i++) {
		struct proxy *other = shared->proxies[i];

		if (other && other != proxy && evict_spare(other) > (best ? evict_spare(best) : 0))
			best = other;
	}
	if (best)
		message = hg_malloc(sizeof(*message));
	if (message) {
		*message = (struct evict_message){ .message.run = evict_on_asked, .proxy = best };
		atomic_fetch_add_explicit(&best->evict_asked, 1, memory_order_relaxed);
		mailbox_send(best->mailbox, &message->message);
	}
	pthread_mutex_unlock(&shared->evict_lock);
	return message;
}

void evict_open(struct proxy *proxy)
{
	pthread_mutex_lock(&proxy->shared->evict_lock);
	proxy->shared->proxies[proxy->index] = proxy;
	pthread_mutex_unlock(&proxy->shared->evict_lock);
}

void evict_shut(struct proxy *proxy)
{
	pthread_mutex_lock(&proxy->shared->evict_lock);
	proxy->shared->proxies[proxy->index] = NULL;
	pthread_mutex_unlock(&proxy->shared->evict_lock);
}

/* ------------------------------------------------------------------------------------ who asks */

static void evict_plan(const struct proxy *proxy, struct descriptor_plan *ret_plan)
{
	descriptors_plan(descriptors_limit(),
			 atomic_load_explicit(&proxy->shared->fixed_descriptors, memory_order_relaxed),
			 ret_plan);
}

uint64_t evict_pipes_below(const struct proxy *proxy)
{
	struct descriptor_plan plan;

	evict_plan(proxy, &plan);
	return plan.clients_below;
}

static enum eviction evict_make(struct proxy *proxy)
{
	if (evict_make_here(proxy, NULL, NULL))
		return EVICT_MADE;
	return evict_ask(proxy) ? EVICT_ASKED : EVICT_NONE;
}

bool evict_for_upstream(struct upstream_pool *pool)
{
	return evict_make_here(container_of(pool, struct proxy, pool), NULL, NULL) ||
	       upstream_pool_shed(pool);
}

/*
 * Ending a connection frees a lower descriptor. If *fd is still above the bound, the next call frees another.
 */
static bool evict_fits(struct upstream_pool *pool, int *fd, uint64_t below)
{
	if ((uint64_t)*fd < below)
		return true;
	if (!evict_for_upstream(pool))
		return false;
	*fd = descriptors_lower(*fd);
	return true;
}

/* True if *fd is within the bound, or another worker is about to free a descriptor. */
static bool evict_has_descriptor(struct proxy *proxy, int *fd)
{
	struct descriptor_plan plan;

	evict_plan(proxy, &plan);
	return evict_fits(&proxy->pool, fd, plan.clients_below) || evict_ask(proxy);
}

static bool evict_refuse(struct proxy *proxy, enum limit_kind kind)
{
	counter_limit(proxy->counters, kind);
	return false;
}

/* Checks the limits of the process and of the port. */
static bool evict_admit_here(struct proxy *proxy, struct proxy_bind *bind)
{
	for (int i = 0; i < EVICT_TRIES; i++) {
		if (admission_take(proxy, bind))
			return true;
		if (admission_port_is_full(bind)) {
			if (!evict_make_here(proxy, bind, NULL))
				return evict_refuse(proxy, LIMIT_KIND_LISTENER_CONNECTIONS);
			continue;
		}
		switch (evict_make(proxy)) {
		case EVICT_NONE:
			return evict_refuse(proxy, LIMIT_KIND_CONNECTIONS);
		case EVICT_MADE:
			break;
		case EVICT_ASKED:
			/* The limit is exceeded for a moment, by at most the number of idle clients. */
			admission_count(proxy, bind);
			return true;
		}
	}
	return evict_refuse(proxy, LIMIT_KIND_CONNECTIONS);
}

bool evict_admit_peer(struct proxy *proxy, struct quota *peer)
{
	for (int i = 0; i < EVICT_TRIES; i++) {
		if (admission_take_client(proxy, peer))
			return true;
		if (!evict_make_here(proxy, NULL, peer))
			break;
	}
	return evict_refuse(proxy, LIMIT_KIND_CLIENT_CONNECTIONS);
}

bool evict_admit(struct proxy *proxy, struct proxy_bind *bind, struct quota *peer, int *fd)
{
	if (!evict_admit_peer(proxy, peer))
		return false;
	if (!evict_has_descriptor(proxy, fd))
		(void)evict_refuse(proxy, LIMIT_KIND_CONNECTIONS);
	else if (evict_admit_here(proxy, bind))
		return true;
	admission_give_client(peer);
	return false;
}

bool evict_may_use(struct upstream_pool *pool, int *fd)
{
	struct descriptor_plan plan;

	evict_plan(container_of(pool, struct proxy, pool), &plan);
	return evict_fits(pool, fd, plan.backends_below);
}
