/* SPDX-License-Identifier: Apache-2.0 */
#include "user/phase/guard.h"

#include <errno.h>

#include "policy/guard/credential.h"
#include "policy/guard/size.h"
#include "user/base/text.h"
#include "user/client/client_tls.h"
#include "user/obs/requests.h"
#include "user/phase/guard_call.h"
#include "user/phase/route_rules.h"
#include "user/phase/transform.h"
#include "user/phase/verify.h"
#include "user/stream/call_hold.h"
#include "user/stream/facts.h"
#include "user/stream/step.h"

static struct span rule_of(const struct stream *stream, const struct guard_use *use)
{
	if (use->rule.len || !stream->route)
		return use->rule;
	return use->guard->phases & GUARD_PHASE_BACKEND ? stream->backend->backend->name
							: stream->route->label;
}

/*
 * Fields of this response only. The body is not always text; with `exposeCloseReason` it is the detail, which
 * is.
 */
static enum stream_step with_type(struct stream *stream, const struct guard_answer *answer,
				  enum stream_step step)
{
	struct stream_reply *reply = &stream->exchange->reply;

	if (step == STEP_REPLY && reply->body.data == answer->body.data)
		reply->type = answer->type;
	if (step == STEP_REPLY)
		reply->fields = answer->response;
	return step;
}

static enum stream_step refuse(struct stream *stream, const struct guard_use *use,
			       const struct guard_answer *answer)
{
	struct span policy = span_str(use->guard->name), rule = rule_of(stream, use), detail;
	struct text text;

	request_metrics_refusal(stream->proxy->metrics, policy, rule);
	text_init(&text);
	guard_refusal_text(use, answer, rule, &text);
	detail = arena_copy(&stream->exchange->arena, text_span(&text));
	text_done(&text);
	return with_type(stream, answer,
			 step_reply_kind(stream, answer->status, answer->body, detail,
					 answer->reason ? answer->reason : use->guard->reason));
}

enum stream_step guard_refuse_body(struct stream *stream)
{
	const struct guard_answer answer = { .status = 413, .body = SIZE_REFUSED };
	uint64_t most_bytes;
	const struct guard_use *use = size_guard(&stream->route->effective.guards, false, &most_bytes);

	/* The rest of the body is not read. */
	stream->close_client = true;
	return use ? refuse(stream, use, &answer) : step_end(stream, END_BODY_TOO_LARGE, STREAM_END_RESET);
}

static enum stream_step wait_for_guard(struct stream *stream)
{
	stream_set_state(stream, STREAM_GUARD);
	/* The body may have come with the head. */
	return stream->exchange->is_holding ? STEP_PUMP : STEP_WAIT;
}

/* The log has no credential, right or wrong: it shows the query without the parameter, and no such header. */
static int hide_parameter(struct stream *stream, const struct credential_location *location)
{
	struct exchange *exchange = stream->exchange;
	struct request_head shown = exchange->head;
	int error = credential_remove(location, &shown, &exchange->arena);
	struct text text;

	if (error)
		return error;
	text_init(&text);
	text_add(&text, shown.path);
	if (shown.has_query) {
		text_char(&text, '?');
		text_add(&text, shown.query);
	}
	exchange->texts.path = arena_copy(&exchange->arena, text_span(&text));
	text_done(&text);
	return exchange->texts.path.data ? 0 : -ENOMEM;
}

/* An expression may read any header. */
static void hide_header(struct stream_user *user, const struct credential_location *location)
{
	enum field_id id = field_id_of(location->name);
	bool is_any = location->kind == LOCATION_EXPRESSION;

	if (is_any || id == FIELD_USER_AGENT)
		user->user_agent = (struct span){ 0 };
	if (is_any || id == FIELD_X_REQUEST_ID)
		user->request_id = (struct span){ 0 };
}

static int take_out(struct stream *stream, const struct credential_location *location, bool is_valid)
{
	int error = location->kind == LOCATION_QUERY ? hide_parameter(stream, location) : 0;

	hide_header(&stream->exchange->user, location);
	if (!error && is_valid)
		error = credential_remove(location, &stream->exchange->head, &stream->exchange->arena);
	return error;
}

/* What the log shows of the client. */
static int name_client(struct stream *stream)
{
	struct exchange *exchange = stream->exchange;
	struct text text;

	exchange->user.basic = exchange->identity.basic_user;
	if (!exchange->identity.claims)
		return 0;
	text_init(&text);
	jwt_subject(exchange->identity.claims, &text);
	exchange->user.jwt_subject = arena_copy(&exchange->arena, text_span(&text));
	text_done(&text);
	return exchange->user.jwt_subject.data ? 0 : -ENOMEM;
}

/* A transformation whose body has come was chosen before: its conditions are evaluated once. */
static int check(struct stream *stream, const struct guard_use *use, const struct guard_facts *facts,
		 struct guard_answer *answer)
{
	const struct transformation **held_for = &stream->exchange->held_for;

	if (!*held_for)
		return use->guard->check(use->object, facts, answer);
	answer->transformation = *held_for;
	*held_for = NULL;
	return GUARD_PASS;
}

/* True: the next guard decides. */
static bool ask(struct stream *stream, const struct guard_use *use, struct guard_facts *facts,
		enum stream_step *ret_step)
{
	struct guard_answer answer = { .fields = stream->exchange->guard_fields,
				       .additions = stream->exchange->guard_additions };
	const struct fields *sent = &stream->exchange->client_fields;
	struct guard_reply reply;
	int verdict, error;

	facts->state = use->state;
	facts->client_fields = sent->arena ? sent : NULL;
	facts->reply = guard_call_reply(stream, &reply) ? &reply : NULL;
	verdict = check(stream, use, facts, &answer);
	if (verdict != GUARD_WAIT)
		stream_drop_call(stream);
	stream->exchange->guard_fields = answer.fields;
	stream->exchange->guard_additions = answer.additions;
	error = answer.credential ? take_out(stream, answer.credential, answer.is_valid) : 0;
	if (!error && verdict == GUARD_PASS && answer.request)
		error = guard_call_change(stream, answer.request);
	if (!error && answer.is_valid)
		error = name_client(stream);
	if (!error && verdict == GUARD_PASS && answer.transformation)
		error = transform_begin(stream, answer.transformation);
	if (error)
		verdict = error;
	switch (verdict) {
	case GUARD_PASS:
		return true;
	case GUARD_ANSWER:
		*ret_step =
			with_type(stream, &answer,
				  step_local_reply(stream, answer.status, answer.body, (struct span){ 0 }));
		return false;
	case GUARD_REFUSE:
		*ret_step = refuse(stream, use, &answer);
		return false;
	case GUARD_WAIT:
		*ret_step = wait_for_guard(stream);
		return false;
	default:
		*ret_step = transform_failed(stream, verdict);
		return false;
	}
}

/* Where the facts of a stream are; large. */
struct fact_place {
	struct stream *stream;
	struct stream_facts facts;
};

static int facts_of(void *context, uint32_t needs, const struct expression_facts **ret_facts)
{
	struct fact_place *place = context;

	*ret_facts = &place->facts.facts;
	return stream_facts_fill(&place->facts, place->stream, needs, &place->stream->exchange->arena);
}

static bool ask_all(struct stream *stream, const struct guard_list *list, enum stream_step *ret_step)
{
	struct exchange *exchange = stream->exchange;
	const struct guard_verifier verifier = verify_for(stream);
	struct fact_place place;
	bool is_unknown = exchange->request_framing.kind == BODY_CHUNKED ||
			  exchange->request_framing.kind == BODY_FRAMED;
	struct guard_facts facts = {
		.head = &exchange->head,
		.declared_bytes = is_unknown ? exchange->replay.bytes : exchange->request_framing.length,
		.has_unknown_body = is_unknown,
		.scheme = route_rules_scheme(&exchange->head.fields, stream->client->is_trusted,
					     client_is_tls(stream->client)),
		.identity = &exchange->identity,
		.verifier = &verifier,
		.facts = facts_of,
		.context = &place,
		.now_ns = loop_now_ns(stream->proxy->loop)
	};

	place.stream = stream;
	if (!exchange->guard_fields.arena)
		fields_init(&exchange->guard_fields, &exchange->arena);
	for (; exchange->guards_passed < list->count; exchange->guards_passed++) {
		if (!ask(stream, &list->list[exchange->guards_passed], &facts, ret_step))
			return false;
	}
	exchange->guards_passed = 0;
	return true;
}

bool guard_pass(struct stream *stream, const struct guard_list *list, enum stream_step *ret_step)
{
	return list->count == 0 || ask_all(stream, list, ret_step);
}
