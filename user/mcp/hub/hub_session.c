/* SPDX-License-Identifier: Apache-2.0 */
#include "user/mcp/hub/hub_session.h"

#include <errno.h>
#include <string.h>
#include <sys/random.h>

#include "config/snapshot.h"
#include "user/base/hash.h"
#include "user/base/limits.h"
#include "user/base/mem.h"
#include "user/base/units.h"
#include "user/mcp/hub/hub_internal.h"
#include "user/mcp/hub/hub_watch.h"
#include "policy/guard/mcp_access.h"
#include "user/mcp/target/api.h"
#include "user/mcp/target/child.h"
#include "user/mcp/target/legacy.h"
#include "user/mcp/target/remote.h"

/* ------------------------------------------------------------------------------------ access */

static bool access_may(const struct mcp_access *access, const struct mcp_item *item)
{
	struct expression_mcp facts = { .method = item->method, .target = item->target };

	switch (item->kind) {
	case MCP_ITEM_TOOL:
		facts.tool = item->name;
		break;
	case MCP_ITEM_PROMPT:
		facts.prompt = item->name;
		break;
	case MCP_ITEM_RESOURCE:
		facts.resource = item->name;
		break;
	case MCP_ITEM_TASK:
		facts.task = item->name;
		break;
	}
	return mcp_access_may(access, &facts);
}

static const struct mcp_access_ops access_ops = { access_may, mcp_access_ref, mcp_access_unref };

enum { SHORT_LIFE_MS = 1000, FIRST_PAUSE_MS = 100, LAST_PAUSE_MS = 10000, REVIVE_MS = 1000 };

static uint64_t now_of(const struct hub_session *session)
{
	return loop_now_ms(session->hub->loop);
}

/* ------------------------------------------------------------------------------------ targets */

/*
 * A target that ends before it is of any use is not started again at once. One that ends later may have been
 * made to by its client, which is nobody else's fault.
 */
static void note_life(struct hub_link *link)
{
	struct hub_health *health = &link->session->service->health[link->index];
	uint64_t now_ms = now_of(link->session);

	if (now_ms - link->started_ms >= SHORT_LIFE_MS ||
	    mcp_session_target_version(link->session->mcp_session, link->index) != MCP_VERSION_NONE) {
		health->pause_ms = health->retry_ms = 0;
		return;
	}
	health->pause_ms = health->pause_ms ? health->pause_ms * 2 : FIRST_PAUSE_MS;
	if (health->pause_ms > LAST_PAUSE_MS)
		health->pause_ms = LAST_PAUSE_MS;
	health->retry_ms = now_ms + health->pause_ms;
}

static enum mcp_fault link_on_message(void *owner, uint64_t call, struct span text)
{
	struct hub_link *link = owner;
	enum mcp_fault fault = mcp_session_on_target(link->session->mcp_session, link->index, call, text,
						     now_of(link->session));

	if (fault)
		hub_log_trouble(link, &hub_health_of(link)->malformed, "wrote what is no message of JSON-RPC",
				mcp_fault_text(fault), text);
	hub_session_settle(link->session);
	return fault;
}

static void link_on_call_lost(void *owner, uint64_t call, struct span why)
{
	struct hub_link *link = owner;

	if (!call) {
		counter_add(&link->session->hub->counters, COUNTER_MCP_PROTOCOL_VIOLATIONS, 1);
		hub_log_trouble(link, &hub_health_of(link)->malformed, "wrote what is not passed on", why,
				SPAN(""));
	}
	mcp_session_on_call_lost(link->session->mcp_session, link->index, call, why, now_of(link->session));
	hub_session_settle(link->session);
}

static bool link_is_waited_for(void *owner, uint64_t call)
{
	struct hub_link *link = owner;

	return mcp_session_waits(link->session->mcp_session, link->index, call);
}

static void link_on_lost(void *owner, struct span why, struct span last)
{
	struct hub_link *link = owner;

	hub_log_target(link, "is lost", why, last);
	note_life(link);
	counter_add(&link->session->hub->counters, COUNTER_MCP_TARGETS_LOST, 1);
	mcp_session_on_target_lost(link->session->mcp_session, link->index, why, now_of(link->session));
	mcp_target_close(link->target);
	link->target = NULL;
	hub_session_settle(link->session);
}

static const struct mcp_target_events link_events = {
	.on_message = link_on_message,
	.on_call_lost = link_on_call_lost,
	.is_waited_for = link_is_waited_for,
	.on_lost = link_on_lost,
};

static int open_child(struct hub_link *link, const struct mcp_server *server, struct text *error)
{
	struct child_options options = { .name = server->name,
					 .command = server->command,
					 .arguments = (const char *const *)server->argument_list,
					 .environment = (const char *const *)server->environment_list,
					 .clear_environment = server->clear_environment };

	return child_open(&link->session->hub->targets, &options, &link_events, link, error, &link->target);
}

static int open_remote(struct hub_link *link, const struct mcp_server *server, const struct fields *client,
		       struct text *error)
{
	const struct static_config *config = &link->session->snapshot->config;
	const struct backend *backend = snapshot_backend(link->session->snapshot, server->backend);
	/* A session stays at one endpoint; sessions are spread over all of them. */
	uint64_t at = link->session->id_number % backend->endpoint_count;
	struct remote_place place = { .where = &backend->endpoint_list[at],
				      .authority = server->authority.len ? server->authority
									 : server->backend->authority,
				      .keepalive = &config->upstream_keepalives,
				      .tls = server->tls ? &server->tls->settings : NULL,
				      .proxy_version = server->proxy ? server->proxy->version : 0,
				      .modifier = server->request_headers,
				      .snapshot = link->session->snapshot,
				      .connect_ms = config->connect_timeout_ns / NS_PER_MS };
	struct mcp_targets *targets = &link->session->hub->targets;

	if (server->tls && server->tls->invalid_reason.len) {
		text_add(error, server->tls->invalid_reason);
		return -EINVAL;
	}
	if (server->transport == MCP_SSE)
		return legacy_open(targets, &(struct legacy_options){ place, server->path, client },
				   &link_events, link, &link->target);
	if (server->transport == MCP_OPENAPI)
		return api_open(targets, &(struct api_options){ place, server->api, server->name },
				&link_events, link, &link->target);
	return remote_open(targets, &(struct remote_options){ place, server->path }, &link_events, link,
			   &link->target);
}

/* False: it cannot be started now; said in the log, but for one that is not tried. */
static bool link_open(struct hub_link *link, const struct fields *client)
{
	const struct mcp_server *server = &link->session->servers->server_list[link->index];
	struct text error;
	int result;

	link->target = NULL;
	link->started_ms = now_of(link->session);
	if (link->started_ms < link->session->service->health[link->index].retry_ms)
		return false;
	text_init(&error);
	result = server->transport == MCP_STDIO ? open_child(link, server, &error)
						: open_remote(link, server, client, &error);
	if (result < 0) {
		hub_log_target(link, "is lost",
			       error.len ? text_span(&error) : span_str(strerrordesc_np(-result)), SPAN(""));
		note_life(link);
	} else if (link->session->holds) {
		mcp_target_hold(link->target, true);
	}
	text_done(&error);
	return result == 0;
}

static int link_send(void *context, uint32_t target, const struct mcp_out *out)
{
	struct hub_session *session = context;
	struct hub_link *link = &session->links[target];

	/* Whoever only knocks starts no process: the first message is a good initialize, or a request. */
	if (!link->started_ms)
		(void)link_open(link, session->kind == MCP_SESSION_SHARED ? NULL : out->fields);
	return link->target ? mcp_target_send(link->target, out) : -EPIPE;
}

static void link_forget(void *context, uint32_t target, uint64_t call)
{
	struct hub_session *session = context;

	if (session->links[target].target)
		mcp_target_forget(session->links[target].target, call);
}

static const struct mcp_link_ops link_ops = { .send = link_send, .forget = link_forget };

/* ------------------------------------------------------------------------------------ its end */

static void session_free(struct hub_session *session)
{
	struct mcp_hub *hub = session->hub;

	list_remove(&session->node);
	list_remove(&session->bucket);
	timer_cancel(loop_timers(hub->loop), &session->tick);
	timer_cancel(loop_timers(hub->loop), &session->revive);
	loop_deferred_cancel(&session->release);
	for (uint32_t i = 0; i < session->link_count; i++) {
		if (session->links[i].target)
			mcp_target_close(session->links[i].target);
	}
	mcp_session_free(session->mcp_session);
	hub->session_count--;
	gauge_sub(&hub->counters, COUNTER_MCP_SESSIONS, 1);
	hub_service_leave(hub, session->service);
	snapshot_unref(session->snapshot);
	hg_free(session);
}

static void session_on_release(struct loop_deferred *deferred)
{
	session_free(container_of(deferred, struct hub_session, release));
}

static void session_on_tick(struct timer *timer, uint64_t now_ms)
{
	(void)now_ms;
	hub_session_settle(container_of(timer, struct hub_session, tick));
}

static bool link_is_lost(const struct hub_link *link)
{
	return !link->target && link->started_ms &&
	       mcp_session_is_lost(link->session->mcp_session, link->index);
}

/* failOpen: a session that runs gets back what it has lost. */
static void arm_revive(struct hub_session *session)
{
	bool may = session->kind == MCP_SESSION_STATEFUL && session->servers->failures == MCP_FAILURES_OPEN &&
		   mcp_session_state(session->mcp_session) == MCP_SESSION_READY && !session->hub->is_stopping;

	for (uint32_t i = 0; i < session->link_count && may && !timer_is_armed(&session->revive); i++) {
		if (link_is_lost(&session->links[i]))
			timer_arm(loop_timers(session->hub->loop), &session->revive,
				  now_of(session) + REVIVE_MS);
	}
}

static void session_on_revive(struct timer *timer, uint64_t now_ms)
{
	struct hub_session *session = container_of(timer, struct hub_session, revive);

	for (uint32_t i = 0; i < session->link_count && !session->is_over; i++) {
		if (link_is_lost(&session->links[i]) && link_open(&session->links[i], NULL))
			mcp_session_on_target_back(session->mcp_session, i, now_ms);
	}
	hub_session_settle(session);
}

/* One that answers a single request, or that was replaced. */
static bool session_may_end(const struct hub_session *session)
{
	return (session->is_retired || (session->kind == MCP_SESSION_SINGLE && session->posts)) &&
	       !mcp_session_calls(session->mcp_session) &&
	       mcp_session_state(session->mcp_session) != MCP_SESSION_OPENING;
}

/* What the session has given up need not go on: it took no message, or was not initialized (failOpen). */
static void close_lost(struct hub_session *session)
{
	for (uint32_t i = 0; i < session->link_count; i++) {
		struct hub_link *link = &session->links[i];

		if (!link->target || !mcp_session_is_lost(session->mcp_session, i))
			continue;
		note_life(link);
		mcp_target_close(link->target);
		link->target = NULL;
	}
}

void hub_session_settle(struct hub_session *session)
{
	struct timer_wheel *timers = loop_timers(session->hub->loop);
	uint64_t next_ms;

	if (session->is_over)
		return;
	if (mcp_session_state(session->mcp_session) != MCP_SESSION_OVER) {
		next_ms = mcp_session_tick(session->mcp_session, now_of(session));
		if (next_ms)
			timer_arm(timers, &session->tick, next_ms);
		else
			timer_cancel(timers, &session->tick);
	}
	close_lost(session);
	arm_revive(session);
	if (mcp_session_state(session->mcp_session) == MCP_SESSION_READY && !session->ready_ms)
		session->ready_ms = now_of(session);
	if (mcp_session_state(session->mcp_session) != MCP_SESSION_OVER && session_may_end(session))
		mcp_session_end(session->mcp_session, MCP_ENDED, now_of(session));
	if (mcp_session_state(session->mcp_session) != MCP_SESSION_OVER)
		return;
	session->is_over = true;
	list_remove(&session->bucket);
	if (session->service->shared == session)
		session->service->shared = NULL;
	loop_defer(session->hub->loop, &session->release);
}

void hub_session_hold(struct hub_session *session, bool is_held)
{
	session->holds += is_held ? 1 : (uint32_t)-1;
	if (session->holds > 1 || (session->holds == 1 && !is_held))
		return;
	for (uint32_t i = 0; i < session->link_count; i++) {
		if (session->links[i].target)
			mcp_target_hold(session->links[i].target, is_held);
	}
}

void hub_session_end(struct hub_session *session, enum mcp_fault fault)
{
	if (session->is_over)
		return;
	mcp_session_end(session->mcp_session, fault, now_of(session));
	hub_session_settle(session);
}

void hub_sessions_free(struct mcp_hub *hub)
{
	list_each(node, next, &hub->sessions)
		session_free(list_entry(node, struct hub_session, node));
}

bool hub_session_is_idle(const struct hub_session *session, uint64_t before_ms)
{
	return !session->is_over && session->used_ms <= before_ms &&
	       !mcp_session_calls(session->mcp_session) && !mcp_session_stream(session->mcp_session);
}

/* ------------------------------------------------------------------------------------ its begin */

static struct list *bucket_of(struct mcp_hub *hub, struct span id)
{
	return &hub->buckets[hash_bytes(id) % HUB_BUCKETS];
}

static int give_id(struct hub_session *session)
{
	static const char digits[] = "0123456789abcdef";
	uint8_t random[HUB_ID_BYTES / 2];

	if (getrandom(random, sizeof(random), 0) != (ssize_t)sizeof(random))
		return -EAGAIN;
	for (size_t i = 0; i < sizeof(random); i++) {
		session->id[2 * i] = digits[random[i] >> 4];
		session->id[2 * i + 1] = digits[random[i] & 15];
	}
	list_add_tail(bucket_of(session->hub, span_of(session->id, HUB_ID_BYTES)), &session->bucket);
	return 0;
}

static struct mcp_session *make_session(struct hub_session *session, enum mcp_version version)
{
	const struct mcp_servers *servers = session->servers;
	struct mcp_session_setup setup = {
		.kind = session->kind,
		.names = hub_names_of(servers),
		.fail_open = servers->failures == MCP_FAILURES_OPEN,
		.checker = session->hub->checker,
		.link = &link_ops,
		.watch = &hub_watch,
		.access = &access_ops,
		.context = session,
		.server_name = SPAN("headgate"),
		.server_version = SPAN("1"),
		.version = version,
		.open_ms = session->hub->snapshot->config.mcp_initialize_ns / NS_PER_MS,
	};

	return mcp_session_create(&setup);
}

static struct hub_session *session_create(struct mcp_hub *hub, struct hub_service *service,
					  const struct hub_opening *opening)
{
	struct span client = span_first(opening->client, HUB_CLIENT_BYTES);
	enum mcp_session_kind kind = opening->kind;
	const struct mcp_servers *servers = service->backend->mcp;
	struct hub_session *session =
		hg_calloc(1, sizeof(*session) + servers->server_count * sizeof(session->links[0]));

	if (!session)
		return NULL;
	list_init(&session->bucket);
	session->hub = hub;
	session->service = service;
	session->servers = servers;
	session->kind = kind;
	session->created_ms = session->used_ms = loop_now_ms(hub->loop);
	session->link_count = servers->server_count;
	timer_init(&session->tick, session_on_tick);
	timer_init(&session->revive, session_on_revive);
	loop_deferred_init(&session->release, session_on_release);
	session->client_len = (uint8_t)client.len;
	if (client.len)
		memcpy(session->client, client.data, client.len);
	session->mcp_session = make_session(session, opening->version);
	if (!session->mcp_session || (kind == MCP_SESSION_STATEFUL && give_id(session) < 0)) {
		if (session->mcp_session)
			mcp_session_free(session->mcp_session);
		hg_free(session);
		return NULL;
	}
	session->snapshot = snapshot_ref(hub->snapshot);
	service->users++;
	hub->session_count++;
	counter_add(&hub->counters, COUNTER_MCP_SESSIONS, 1);
	list_add_tail(&hub->sessions, &session->node);
	return session;
}

bool hub_session_is_unconfirmed(const struct hub_session *session)
{
	return session->kind == MCP_SESSION_STATEFUL && session->posts <= 1;
}

bool hub_session_is_abandoned(const struct hub_session *session, uint64_t ttl_ms)
{
	uint64_t since_ms = session->ready_ms ? session->ready_ms : session->created_ms;

	return ttl_ms && hub_session_is_unconfirmed(session) && now_of(session) >= since_ms + ttl_ms &&
	       mcp_session_state(session->mcp_session) != MCP_SESSION_OPENING;
}

/* Processes that a session of the backend starts. */
static uint32_t children_of(const struct mcp_servers *servers)
{
	uint32_t count = 0;

	for (uint32_t i = 0; i < servers->server_count; i++)
		count += servers->server_list[i].transport == MCP_STDIO;
	return count;
}

/* One client, or clients that never come back, must not take what all others need. */
static enum mcp_fault opening_check(const struct mcp_hub *hub, const struct hub_service *service,
				    const struct hub_opening *opening)
{
	const struct mcp_limits *limits = &hub->snapshot->config.mcp_limits;
	uint32_t children = children_of(service->backend->mcp), own = 0, unconfirmed = 0;

	if (hub->is_draining || hub->session_count >= limits->sessions ||
	    (children && hub->targets.children + children > limits->children))
		return MCP_TOO_MANY_SESSIONS;
	if (opening->kind == MCP_SESSION_SHARED)
		return MCP_NONE;
	list_each(node, next, &hub->sessions) {
		const struct hub_session *session = list_entry(node, const struct hub_session, node);

		own += opening->client.len &&
		       span_eq(span_of(session->client, session->client_len), opening->client);
		unconfirmed += hub_session_is_unconfirmed(session);
	}
	if (own >= limits->sessions_per_client)
		return MCP_TOO_MANY_OF_CLIENT;
	if (opening->kind == MCP_SESSION_STATEFUL && unconfirmed >= limits->uninitialized_sessions)
		return MCP_TOO_MANY_SESSIONS;
	return MCP_NONE;
}

struct hub_session *hub_session_open(struct mcp_hub *hub, struct hub_service *service,
				     const struct hub_opening *opening, enum mcp_fault *ret_fault)
{
	struct hub_session *session;
	uint64_t sweep_ms;

	*ret_fault = service->backend ? opening_check(hub, service, opening) : MCP_NO_TARGET;
	if (*ret_fault)
		return NULL;
	*ret_fault = MCP_NO_MEMORY;
	session = session_create(hub, service, opening);
	if (!session)
		return NULL;
	for (uint32_t i = 0; i < session->link_count; i++) {
		session->links[i].session = session;
		session->links[i].index = i;
	}
	sweep_ms = loop_now_ms(hub->loop) + LIMIT_MCP_SWEEP_MS;
	if (!timer_is_armed(&hub->sweep) || hub->sweep.deadline_ms > sweep_ms)
		timer_arm(loop_timers(hub->loop), &hub->sweep, sweep_ms);
	return session;
}

struct hub_session *hub_session_find(struct mcp_hub *hub, const struct hub_service *service, struct span id)
{
	if (id.len != HUB_ID_BYTES)
		return NULL;
	list_each(node, next, bucket_of(hub, id)) {
		struct hub_session *session = list_entry(node, struct hub_session, bucket);

		if (session->service == service && span_eq(hub_session_id(session), id))
			return session;
	}
	return NULL;
}

struct hub_session *hub_session_shared(struct mcp_hub *hub, struct hub_service *service,
				       enum mcp_fault *ret_fault)
{
	struct hub_session *session = service->shared;

	if (!session) {
		service->shared = hub_session_open(
			hub, service, &(struct hub_opening){ .kind = MCP_SESSION_SHARED }, ret_fault);
		return service->shared;
	}
	for (uint32_t i = 0; i < session->link_count; i++) {
		struct hub_link *link = &session->links[i];

		if (!link->target && link->started_ms && link_open(link, NULL))
			mcp_session_on_target_back(session->mcp_session, i, now_of(session));
	}
	return session;
}
