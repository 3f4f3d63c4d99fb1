/* SPDX-License-Identifier: Apache-2.0 */
#include "user/mcp/hub.h"

#include <errno.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "config/snapshot.h"
#include "user/base/limits.h"
#include "user/base/log.h"
#include "user/base/mem.h"
#include "user/base/units.h"
#include "user/mcp/hub/call_metrics.h"
#include "user/mcp/hub/hub_internal.h"
#include "user/mcp/hub_view.h"
#include "user/tls/identity.h"
#include "user/upstream/upstream.h"

enum { HUB_SOURCES = 64 * 1024, HUB_UPSTREAMS = 16 * 1024 };

bool mcp_hub_is_wanted(const struct snapshot *snapshot)
{
	for (uint32_t i = 0; i < snapshot->backend_count; i++) {
		if (snapshot->backend_list[i].kind == BACKEND_MCP)
			return true;
	}
	return false;
}

/* ------------------------------------------------------------------------------------ sessions that end */

/* Those that nobody uses any more; at the end of the process those that nothing is under way of. */
static void end_idle(struct mcp_hub *hub, uint64_t before_ms, const struct hub_service *only)
{
	list_each(node, next, &hub->sessions) {
		struct hub_session *session = list_entry(node, struct hub_session, node);

		if ((!only || session->service == only) && hub_session_is_idle(session, before_ms))
			hub_session_end(session, MCP_ENDED);
	}
}

/* Seldom enough for thousands of sessions that do nothing, often enough for the time they may. */
static uint64_t sweep_ms(const struct mcp_hub *hub, uint64_t ttl_ms, bool is_soon)
{
	uint64_t pause_ms = ttl_ms ? ttl_ms / 16 : LIMIT_MCP_SWEEP_MAX_MS;

	if (hub->is_draining)
		return LIMIT_MCP_DRAIN_LOOK_MS;
	if (is_soon || pause_ms < LIMIT_MCP_SWEEP_MS)
		return LIMIT_MCP_SWEEP_MS;
	return pause_ms < LIMIT_MCP_SWEEP_MAX_MS ? pause_ms : LIMIT_MCP_SWEEP_MAX_MS;
}

static void hub_on_sweep(struct timer *timer, uint64_t now_ms)
{
	struct mcp_hub *hub = container_of(timer, struct mcp_hub, sweep);
	uint64_t ttl_ms = hub->snapshot->config.mcp_session_ttl_ns / NS_PER_MS;
	uint64_t unconfirmed_ms = hub->snapshot->config.mcp_uninitialized_ttl_ns / NS_PER_MS;
	bool is_soon = false;

	if (hub->is_draining)
		hub_end_unused(hub, NULL);
	else if (ttl_ms && now_ms > ttl_ms)
		end_idle(hub, now_ms - ttl_ms, NULL);
	list_each(node, next, &hub->sessions) {
		struct hub_session *session = list_entry(node, struct hub_session, node);

		if (hub_session_is_abandoned(session, unconfirmed_ms))
			hub_session_end(session, MCP_ENDED);
		is_soon |= !session->is_over && hub_session_is_unconfirmed(session);
	}
	list_each(node, next, &hub->services) {
		struct hub_service *service = list_entry(node, struct hub_service, node);

		if (!service->backend)
			hub_end_unused(hub, service);
		is_soon |= !service->backend;
	}
	if (hub->session_count)
		timer_arm(loop_timers(hub->loop), timer, now_ms + sweep_ms(hub, ttl_ms, is_soon));
}

void hub_end_unused(struct mcp_hub *hub, const struct hub_service *only)
{
	list_each(node, next, &hub->sessions) {
		struct hub_session *session = list_entry(node, struct hub_session, node);

		if ((!only || session->service == only) && !session->is_over &&
		    !mcp_session_calls(session->mcp_session))
			hub_session_end(session, MCP_ENDED);
	}
}

/* ------------------------------------------------------------------------------------ messages */

struct open_message {
	struct message message;
	int fd;
	size_t len;
	char name[];
};

static void hub_on_open(struct message *message, void *context)
{
	struct open_message *open = container_of(message, struct open_message, message);
	struct mcp_hub *hub = context;
	struct hub_service *service = hub_service_find(hub, span_of(open->name, open->len));

	if (service && !hub->is_stopping)
		mcp_server_open(hub, service, open->fd);
	else
		close(open->fd);
	hg_free(open);
}

static int hub_open(void *context, struct span service, int fd)
{
	struct mcp_hub *hub = context;
	struct open_message *open = hg_malloc(sizeof(*open) + service.len);

	if (!open) {
		close(fd);
		return -ENOMEM;
	}
	open->message.run = hub_on_open;
	open->fd = fd;
	open->len = service.len;
	memcpy(open->name, service.data, service.len);
	mailbox_send(hub->mailbox, &open->message);
	return 0;
}

struct snapshot_message {
	struct message message;
	struct snapshot *snapshot;
};

static bool texts_are_same(const char *const *a, uint32_t a_count, const char *const *b, uint32_t b_count)
{
	if (a_count != b_count)
		return false;
	for (uint32_t i = 0; i < a_count; i++) {
		if (strcmp(a[i], b[i]) != 0)
			return false;
	}
	return true;
}

/* What a URL has may change at any time: only the same one brings the next document. */
static bool api_is_same(const struct mcp_server *a, const struct mcp_server *b)
{
	if (a->api_url.len || b->api_url.len)
		return a->api == b->api;
	return !a->api || fetched_id(a->api) == fetched_id(b->api);
}

static bool pairs_are_same(const struct header_pair *a, uint32_t a_count, const struct header_pair *b,
			   uint32_t b_count)
{
	if (a_count != b_count)
		return false;
	for (uint32_t i = 0; i < a_count; i++) {
		if (!span_eq(a[i].name, b[i].name) || !span_eq(a[i].value, b[i].value))
			return false;
	}
	return true;
}

static bool modifiers_are_same(const struct header_modifier *a, const struct header_modifier *b)
{
	if (!a || !b)
		return a == b;
	if (!pairs_are_same(a->add_list, a->add_count, b->add_list, b->add_count) ||
	    !pairs_are_same(a->set_list, a->set_count, b->set_list, b->set_count) ||
	    a->remove_count != b->remove_count)
		return false;
	for (uint32_t i = 0; i < a->remove_count; i++) {
		if (!span_eq(a->remove_list[i], b->remove_list[i]))
			return false;
	}
	return true;
}

/* Keys of the backend are headers, too. */
static bool policies_are_same(const struct mcp_server *a, const struct mcp_server *b)
{
	return !a->tls == !b->tls &&
	       (!a->tls || (a->tls->settings.hash == b->tls->settings.hash &&
			    span_eq(a->tls->invalid_reason, b->tls->invalid_reason))) &&
	       !a->proxy == !b->proxy && (!a->proxy || a->proxy->version == b->proxy->version) &&
	       span_eq(a->authority, b->authority) &&
	       modifiers_are_same(a->request_headers, b->request_headers);
}

static bool server_is_same(const struct mcp_server *a, const struct mcp_server *b)
{
	if (!span_eq(a->name, b->name) || a->transport != b->transport)
		return false;
	if (a->transport != MCP_STDIO)
		return span_eq(a->path, b->path) && api_is_same(a, b) && policies_are_same(a, b) &&
		       span_eq(a->backend->endpoint_list[0].text, b->backend->endpoint_list[0].text);
	return strcmp(a->command, b->command) == 0 && a->clear_environment == b->clear_environment &&
	       texts_are_same((const char *const *)a->argument_list, a->argument_count,
			      (const char *const *)b->argument_list, b->argument_count) &&
	       texts_are_same((const char *const *)a->environment_list, a->environment_count,
			      (const char *const *)b->environment_list, b->environment_count);
}

static bool servers_are_same(const struct mcp_servers *a, const struct mcp_servers *b)
{
	if (a->server_count != b->server_count || a->prefixes != b->prefixes || a->failures != b->failures)
		return false;
	for (uint32_t i = 0; i < a->server_count; i++) {
		if (!server_is_same(&a->server_list[i], &b->server_list[i]))
			return false;
	}
	return true;
}

/*
 * Clients of the protocol without sessions cannot tell one set of targets from another: theirs is replaced.
 */
static void service_set_snapshot(struct mcp_hub *hub, struct hub_service *service)
{
	service->backend = hub_service_backend(hub, service->name);
	if (service->shared &&
	    (!service->backend || !servers_are_same(service->shared->servers, service->backend->mcp))) {
		struct hub_session *old = service->shared;

		service->shared = NULL;
		memset(service->health, 0, sizeof(service->health));
		old->is_retired = true;
		hub_session_settle(old);
	}
	if (!service->backend)
		hub_end_unused(hub, service);
	hub_service_free_unused(service);
}

static bool has_children(const struct snapshot *snapshot)
{
	for (uint32_t i = 0; i < snapshot->backend_count; i++) {
		const struct mcp_servers *servers = snapshot->backend_list[i].mcp;

		for (uint32_t k = 0; servers && k < servers->server_count; k++) {
			if (servers->server_list[k].transport == MCP_STDIO)
				return true;
		}
	}
	return false;
}

static void hub_on_snapshot(struct message *message, void *context)
{
	struct snapshot_message *update = container_of(message, struct snapshot_message, message);
	struct mcp_hub *hub = context;
	struct snapshot *old = hub->snapshot;
	bool is_copy = old && snapshot_base(old) == snapshot_base(update->snapshot);

	hub->snapshot = update->snapshot;
	hub->pool.config = &hub->snapshot->config;
	/* Only endpoints are others: sessions begun from now on go there. */
	if (is_copy) {
		snapshot_unref(old);
		hg_free(update);
		return;
	}
	hub->targets.message_bytes = hub->snapshot->config.mcp_limits.message_bytes;
	hub->targets.max_children = hub->snapshot->config.mcp_limits.children;
	tls_worker_forget(&hub->tls);
	/* Before the first one starts: a child has the same user, and could read what others have sent. */
	if (has_children(hub->snapshot))
		tls_forbid_dumps();
	list_each(node, next, &hub->services)
		service_set_snapshot(hub, list_entry(node, struct hub_service, node));
	if (hub->session_count)
		timer_arm(loop_timers(hub->loop), &hub->sweep, loop_now_ms(hub->loop) + LIMIT_MCP_SWEEP_MS);
	snapshot_unref(old);
	hg_free(update);
}

static void hub_on_drain(struct message *message, void *context)
{
	struct mcp_hub *hub = context;

	hub->is_draining = true;
	if (hub->snapshot)
		hub_on_sweep(&hub->sweep, loop_now_ms(hub->loop));
	hg_free(message);
}

struct list_message {
	struct message message;
	struct mcp_hub *hub;
	struct text json;
	void (*done)(void *argument, struct text *json);
	void *argument;
};

static void owner_on_list(struct message *message, void *context)
{
	struct list_message *query = container_of(message, struct list_message, message);

	(void)context;
	query->done(query->argument, &query->json);
	hg_free(query);
}

static void hub_on_list(struct message *message, void *context)
{
	struct list_message *query = container_of(message, struct list_message, message);
	struct mcp_hub *hub = context;

	hub_view_write(hub, &query->json);
	query->message.run = owner_on_list;
	mailbox_send(hub->owner, &query->message);
}

/* ------------------------------------------------------------------------------------ the end */

static void hub_leave(struct mcp_hub *hub)
{
	loop_stop(hub->loop);
}

static void hub_on_empty(struct mcp_targets *targets)
{
	struct mcp_hub *hub = container_of(targets, struct mcp_hub, targets);

	if (hub->is_stopping)
		hub_leave(hub);
}

static void hub_on_end(struct timer *timer, uint64_t now_ms)
{
	(void)now_ms;
	hub_leave(container_of(timer, struct mcp_hub, end));
}

static void hub_on_stop(struct message *message, void *context)
{
	struct mcp_hub *hub = context;

	(void)message;
	hub->is_stopping = true;
	mcp_server_stop(hub);
	list_each(node, next, &hub->sessions)
		hub_session_end(list_entry(node, struct hub_session, node), MCP_ENDED);
	timer_cancel(loop_timers(hub->loop), &hub->sweep);
	timer_arm(loop_timers(hub->loop), &hub->end, loop_now_ms(hub->loop) + LIMIT_MCP_END_MS);
	if (list_is_empty(&hub->sessions) && list_is_empty(&hub->targets.list))
		hub_leave(hub);
}

/* On its thread, after the loop: nothing may be left that refers to the pool. */
static void hub_clean(struct mcp_hub *hub)
{
	mcp_server_stop(hub);
	hub_sessions_free(hub);
	mcp_targets_abort(&hub->targets);
	upstream_pool_done(&hub->pool);
	timer_cancel(loop_timers(hub->loop), &hub->end);
	timer_cancel(loop_timers(hub->loop), &hub->sweep);
}

static void *hub_run(void *argument)
{
	struct mcp_hub *hub = argument;
	int error;

	pthread_setname_np(pthread_self(), "headgate-mcp");
	error = loop_run(hub->loop);
	if (error < 0)
		log_error("the MCP thread stopped: epoll failed: %s", strerrordesc_np(-error));
	hub_clean(hub);
	return NULL;
}

static void hub_free(struct mcp_hub *hub)
{
	resolver_client_free(hub->resolver);
	if (hub->mailbox)
		mailbox_drain(hub->mailbox);
	mailbox_free(hub->mailbox);
	loop_free(hub->loop);
	slab_free(hub->pool.upstreams);
	tls_worker_done(&hub->tls);
	hg_free(hub->relay.scratch);
	buf_done(&hub->frame);
	mcp_json_checker_free(hub->checker);
	mcp_call_metrics_done(&hub->calls);
	snapshot_unref(hub->snapshot);
	while (!list_is_empty(&hub->services))
		hg_free(list_entry(list_pop(&hub->services), struct hub_service, node));
	hg_free(hub);
}

/* ------------------------------------------------------------------------------------ the begin */

static void hub_on_upstream_stream(void *owner)
{
	(void)owner; /* HTTP/2, which nobody here asks for */
}

/* Nobody is given tickets here: the secret is any. */
static uint64_t hub_ticket_s(void *context)
{
	(void)context;
	return 0;
}

static bool hub_make(struct mcp_hub *hub, const struct mcp_hub_options *options)
{
	uint8_t secret[TICKET_SECRET_BYTES] = { 0 };

	hub->loop = loop_create(HUB_SOURCES);
	hub->mailbox = hub->loop ? mailbox_create(hub->loop, hub) : NULL;
	hub->resolver = hub->mailbox ? resolver_client_create(options->resolver, hub->loop) : NULL;
	hub->relay.scratch = hg_malloc(LIMIT_READ_BYTES);
	hub->relay.counters = &hub->counters;
	hub->checker = mcp_json_checker_create();
	hub->pool.upstreams = slab_create(sizeof(struct upstream), HUB_UPSTREAMS);
	hub->pool.loop = hub->loop;
	hub->pool.counters = &hub->counters;
	hub->pool.relay = &hub->relay;
	hub->pool.resolver = hub->resolver;
	hub->pool.on_stream = hub_on_upstream_stream;
	hub->pool.tls = &hub->tls;
	if (getrandom(&hub->pool.random, sizeof(uint64_t), 0) != (ssize_t)sizeof(uint64_t) ||
	    !hub->pool.random)
		hub->pool.random = 0x9e3779b97f4a7c15u;
	upstream_pool_init(&hub->pool);
	hub->targets = (struct mcp_targets){ .loop = hub->loop,
					     .checker = hub->checker,
					     .scratch = hub->relay.scratch,
					     .pool = &hub->pool,
					     .message_bytes = LIMIT_MCP_MESSAGE_BYTES,
					     .max_children = LIMIT_MCP_CHILDREN,
					     .on_empty = hub_on_empty };
	list_init(&hub->targets.list);
	tls_worker_init(&hub->tls, secret, hub_ticket_s, NULL);
	return hub->resolver && hub->relay.scratch && hub->checker && mcp_call_metrics_init(&hub->calls) &&
	       hub->pool.upstreams;
}

struct mcp_hub *mcp_hub_start(const struct mcp_hub_options *options)
{
	struct mcp_hub *hub = hg_calloc(1, sizeof(*hub));

	if (!hub)
		return NULL;
	list_init(&hub->services);
	list_init(&hub->sessions);
	list_init(&hub->server_conns);
	for (size_t i = 0; i < HUB_BUCKETS; i++)
		list_init(&hub->buckets[i]);
	buf_init(&hub->frame);
	timer_init(&hub->sweep, hub_on_sweep);
	timer_init(&hub->end, hub_on_end);
	hub->owner = options->owner;
	hub->inner = (struct inner){ .context = hub, .accesses = options->accesses, .open = hub_open };
	if (!hub_make(hub, options) || pthread_create(&hub->thread, NULL, hub_run, hub) != 0) {
		hub_free(hub);
		return NULL;
	}
	return hub;
}

/* ------------------------------------------------------------------------------------ other threads */

const struct inner *mcp_hub_inner(const struct mcp_hub *hub)
{
	return &hub->inner;
}

const struct counters *mcp_hub_counters(const struct mcp_hub *hub)
{
	return &hub->counters;
}

const struct series_table *mcp_hub_calls(const struct mcp_hub *hub)
{
	return hub->calls.shown;
}

int mcp_hub_set_snapshot(struct mcp_hub *hub, struct snapshot *snapshot)
{
	struct snapshot_message *update = hg_calloc(1, sizeof(*update));

	if (!update)
		return -ENOMEM;
	update->message.run = hub_on_snapshot;
	update->snapshot = snapshot;
	mailbox_send(hub->mailbox, &update->message);
	return 0;
}

int mcp_hub_drain(struct mcp_hub *hub)
{
	struct message *message = hg_calloc(1, sizeof(*message));

	if (!message)
		return -ENOMEM;
	message->run = hub_on_drain;
	mailbox_send(hub->mailbox, message);
	return 0;
}

int mcp_hub_list(struct mcp_hub *hub, void (*done)(void *argument, struct text *json), void *argument)
{
	struct list_message *query = hg_calloc(1, sizeof(*query));

	if (!query)
		return -ENOMEM;
	query->message.run = hub_on_list;
	text_init(&query->json);
	query->done = done;
	query->argument = argument;
	mailbox_send(hub->mailbox, &query->message);
	return 0;
}

void mcp_hub_stop(struct mcp_hub *hub)
{
	hub->stop.run = hub_on_stop;
	mailbox_send(hub->mailbox, &hub->stop);
	pthread_join(hub->thread, NULL);
	hub_free(hub);
}
