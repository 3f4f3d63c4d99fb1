/* SPDX-License-Identifier: Apache-2.0 */
#include "user/client/client_network.h"

#include "policy/guard/guard.h"
#include "user/base/text.h"
#include "user/client/client_facts.h"
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

bool client_network_admits(struct client *client, const struct guard_use *use, struct text *why)
{
	struct network_place place;
	const struct guard_facts facts = { .facts = facts_of, .context = &place };
	struct guard_answer answer = { 0 };
	int verdict;

	place.client = client;
	arena_init(&place.arena, 0);
	verdict = use->guard->check(use->object, &facts, &answer);
	arena_done(&place.arena);
	if (verdict == GUARD_PASS)
		return true;
	if (verdict < 0)
		answer.body = SPAN("no memory");
	request_metrics_refusal(client->proxy->metrics, span_str(use->guard->name), use->rule);
	guard_refusal_text(use, &answer, use->rule, why);
	return false;
}

enum end_reason client_network_begins(struct client *client, const struct guard_use *use)
{
	enum end_reason reason = END_OK;
	struct text why;

	if (!use || client->is_trusted)
		return END_OK;
	text_init(&why);
	if (!client_network_admits(client, use, &why)) {
		reason = use->guard->reason;
		client->proxy->handler->log_end(client, reason, text_span(&why));
	}
	text_done(&why);
	return reason;
}
