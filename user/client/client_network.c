/* SPDX-License-Identifier: Apache-2.0 */
#include "user/client/client_network.h"

#include <errno.h>

#include "policy/guard/guard.h"
#include "policy/match/route.h"
#include "user/base/limits.h"
#include "user/base/mem.h"
#include "user/base/text.h"
#include "user/callout/callout.h"
#include "user/client/client_facts.h"
#include "user/client/client_tls.h"
#include "user/obs/requests.h"

/* Where the facts of a connection are; large. */
struct network_place {
	const struct client *client;
	struct arena arena;
	struct client_facts client_facts;
	struct expression_facts facts;
	struct expression_scratch scratch;
};

static int facts_of(void *context, uint32_t needs, const struct expression_facts **ret_facts)
{
	struct network_place *place = context;

	expression_scratch_init(&place->scratch);
	place->facts = (struct expression_facts){
		.random = proxy_random(place->client->proxy),
		.scratch = &place->scratch,
	};
	*ret_facts = &place->facts;
	return client_facts_fill(&place->client_facts, place->client, NULL, needs, &place->arena,
				 &place->facts);
}

static int decide(const struct client *client, const struct guard_use *use, struct guard_answer *answer)
{
	struct network_place place;
	const struct guard_facts facts = { .facts = facts_of, .context = &place };
	int verdict;

	place.client = client;
	arena_init(&place.arena, 0);
	verdict = use->guard->check(use->object, &facts, answer);
	arena_done(&place.arena);
	return verdict;
}

bool client_network_admits(struct client *client, const struct guard_use *use, struct text *why)
{
	struct guard_answer answer = { 0 };
	int verdict = decide(client, use, &answer);

	if (verdict == GUARD_PASS)
		return true;
	if (verdict < 0)
		answer.body = SPAN("no memory");
	request_metrics_refusal(client->proxy->metrics, span_str(use->guard->name), use->rule);
	guard_refusal_text(use, &answer, use->rule, why);
	return false;
}

/* END_OK, or the reason, which is logged. NULL admits. */
static enum end_reason apply(struct client *client, const struct guard_use *use)
{
	enum end_reason reason = END_OK;
	struct text why;

	if (!use)
		return END_OK;
	text_init(&why);
	if (!client_network_admits(client, use, &why)) {
		reason = use->guard->reason;
		client->proxy->handler->log_end(client, reason, text_span(&why));
	}
	text_done(&why);
	return reason;
}

enum end_reason client_network_begins(struct client *client, const struct guard_use *use)
{
	return client->is_trusted ? END_OK : apply(client, use);
}

/* ------------------------------------------------------------------------------------ networkExtAuthz */

static void keep_answer(void *context, uint64_t ttl_ns)
{
	struct client_question *question = context;

	service_call_keep(&question->call, question->client->proxy, ttl_ns);
}

static void on_done(struct callout *callout, void *context)
{
	struct client_question *question = context;
	struct client *client = question->client;

	proxy_trace(client->proxy, client->handle, TRACE_CALLOUT, callout_result(callout),
		    callout_us(callout));
	question->on_answer(client);
}

static int start_call(void *context, const struct guard_call *call)
{
	struct client_question *question = context;

	return service_call_start(&question->call, question->client->proxy, question->lease, call, on_done,
				  question);
}

static enum end_reason reason_of(const struct client_question *question, const struct guard_answer *answer)
{
	const struct callout *callout = question->call.callout;

	switch (answer->reason) {
	case END_OK:
		return question->use->guard->reason;
	case END_EXT_AUTHZ_FAILED:
		return callout && callout_result(callout) == CALLOUT_LATE ? END_NETWORK_EXT_AUTHZ_TIMEOUT
									  : END_NETWORK_EXT_AUTHZ_FAILED;
	default:
		return answer->reason;
	}
}

/* Asks the guard, now or with the reply. place: of the facts. */
static int check_question(struct client_question *question, struct network_place *place,
			  struct guard_answer *answer)
{
	static const struct request_head head = { .method = METHOD_GET,
						  .method_text = { "GET", 3 },
						  .path = { "/", 1 } };
	const struct guard_use *use = question->use;
	const struct guard_verifier verifier = { .context = question,
						 .call = start_call,
						 .keep = keep_answer };
	struct guard_identity identity = { 0 };
	struct guard_reply reply;
	const struct guard_facts facts = {
		.head = &head,
		.identity = &identity,
		.verifier = &verifier,
		.facts = facts_of,
		.context = place,
		.now_ns = loop_now_ns(question->client->proxy->loop),
		.reply = service_call_reply(&question->call, &reply) ? &reply : NULL,
	};

	fields_init(&answer->fields, &place->arena);
	return use->guard->check(use->object, &facts, answer);
}

static void log_refusal(struct client *client, const struct guard_use *use, const struct guard_answer *answer,
			enum end_reason reason)
{
	struct text why;

	text_init(&why);
	request_metrics_refusal(client->proxy->metrics, span_str(use->guard->name), use->rule);
	guard_refusal_text(use, answer, use->rule, &why);
	client->proxy->handler->log_end(client, reason, text_span(&why));
	text_done(&why);
}

/* GUARD_PASS, GUARD_WAIT or GUARD_REFUSE. */
static int judge(struct client_question *question, enum end_reason *ret_reason)
{
	struct network_place place;
	struct guard_answer answer = { 0 };
	int verdict;

	place.client = question->client;
	arena_init(&place.arena, 0);
	verdict = check_question(question, &place, &answer);
	if (verdict < 0) {
		answer.why = SPAN("no memory");
		answer.reason = END_EXT_AUTHZ_FAILED;
	}
	if (verdict != GUARD_PASS && verdict != GUARD_WAIT) {
		*ret_reason = reason_of(question, &answer);
		log_refusal(question->client, question->use, &answer, *ret_reason);
		verdict = GUARD_REFUSE;
	}
	arena_done(&place.arena);
	return verdict;
}

static void forget(struct client_question *question)
{
	struct client *client = question->client;

	client->proxy->asked_clients--;
	service_call_drop(&question->call);
	lease_unref(question->lease);
	hg_give(question);
	client->question = NULL;
}

/* A stranger can cause it, so failureMode does not count. */
static int refuse_many(struct client *client, const struct guard_use *use, enum end_reason *ret_reason)
{
	const struct guard_answer answer = { .why = SPAN("too many connections wait for the service") };

	counter_limit(client->proxy->counters, LIMIT_KIND_ASKED_CLIENTS);
	*ret_reason = END_LIMIT;
	log_refusal(client, use, &answer, END_LIMIT);
	return GUARD_REFUSE;
}

enum end_reason client_network_of_tunnel(struct client *client, const struct guard_use **ret_service)
{
	const struct bind *bind = client->bind->bind;
	struct span sni = client->tls ? client->tls->server_name : (struct span){ 0 };
	const struct listener *listener;

	*ret_service = NULL;
	if (!bind || !bind->network_ext_authz)
		return END_OK;
	listener = listener_find(bind, sni);
	if (!listener)
		return END_OK;
	*ret_service = bind->network_ext_authz;
	return apply(client, guard_of_connections(&listener->guards));
}

int client_network_ask(struct client *client, const struct guard_use *use, bool is_tunnel,
		       void (*on_answer)(struct client *client), enum end_reason *ret_reason)
{
	struct proxy *proxy = client->proxy;
	struct client_question *question;
	int verdict;

	if (proxy->asked_clients >= LIMIT_ASKED_CLIENTS)
		return refuse_many(client, use, ret_reason);
	question = hg_take_zeroed(sizeof(*question));
	if (!question) {
		*ret_reason = END_INTERNAL;
		return GUARD_REFUSE;
	}
	proxy->asked_clients++;
	*question = (struct client_question){ .client = client,
					      .use = use,
					      .lease = lease_ref(proxy->lease),
					      .is_tunnel = is_tunnel,
					      .on_answer = on_answer };
	verdict = judge(question, ret_reason);
	if (verdict == GUARD_WAIT)
		client->question = question;
	else
		forget(question);
	return verdict;
}

int client_network_answer(struct client *client, enum end_reason *ret_reason)
{
	int verdict = judge(client->question, ret_reason);

	forget(client->question);
	return verdict;
}

void client_network_stop(struct client *client)
{
	if (client->question)
		forget(client->question);
}
