/* SPDX-License-Identifier: Apache-2.0 */
#include "user/phase/transform.h"

#include <errno.h>

#include "policy/guard/size.h"
#include "policy/match/normalization.h"
#include "policy/transform.h"
#include "user/phase/connect_tunnel.h"
#include "user/phase/forward_head.h"
#include "user/phase/held_body.h"
#include "user/phase/transform_body.h"
#include "user/stream/facts.h"
#include "user/stream/step.h"

static void trace(struct stream *stream, const struct transform_count *count)
{
	proxy_trace(stream->proxy, stream->id, TRACE_TRANSFORM, count->changed, count->failed);
}

static int run_request(struct stream *stream, const struct transform_side *side)
{
	struct exchange *exchange = stream->exchange;
	struct transform_count count = { 0 };
	struct path_rules rules;
	bool has_rules = path_rules_of(&stream->listener->rules, &rules);
	struct transform_body body = { 0 };
	struct stream_facts f;
	int error = stream_facts_fill(&f, stream, side->needs, &exchange->arena);

	if (!error && !stream->is_grpc)
		error = transform_read_body(stream, side, false, &f);
	if (!error)
		error = transform_note(side, &f.facts, &exchange->arena, &count);
	if (!error && !stream->is_grpc)
		error = transform_make_body(stream, side, false, &f, &body);
	if (!error)
		error = transform_request(side, &f.facts, has_rules ? &rules : NULL, &exchange->head,
					  &exchange->arena, &count);
	exchange->metadata = f.facts.metadata;
	count.changed += body.is_made;
	if (!error)
		error = transform_put_body(stream, false, &body);
	transform_drop_body(&body);
	trace(stream, &count);
	return error;
}

int transform_begin(struct stream *stream, const struct transformation *transformation)
{
	struct exchange *exchange = stream->exchange;
	int error = 0;

	if (connect_tunnel_is_asked(stream))
		return 0;
	exchange->response_sides[stream->route ? 0 : 1] =
		transformation->response.is_set ? &transformation->response : NULL;
	error = transform_hold_request(stream, transformation);
	if (error == GUARD_WAIT)
		exchange->held_for = transformation;
	if (error || !transformation->request.is_set)
		return error;
	if (!exchange->client_fields.arena)
		error = fields_clone(&exchange->head.fields, &exchange->arena, &exchange->client_fields);
	if (!error)
		error = forward_head(stream);
	return error ? error : run_request(stream, &transformation->request);
}

/* In the order in which they apply. */
static const struct transform_side *side_of(const struct stream *stream, size_t index)
{
	const struct transformation *own = stream->backend->transformation;

	if (index == 1)
		return own && own->response.is_set ? &own->response : NULL;
	return stream->exchange->response_sides[index / 2];
}

enum { RESPONSE_SIDES = 3 };

bool transform_changes_answer(const struct stream *stream)
{
	return side_of(stream, 0) || side_of(stream, 1) || side_of(stream, 2);
}

/* Asks for a response whose body can be read: all of it, as it is (RFC 9110 12.5.3, 14.2). */
static int ask_plainly(struct stream *stream)
{
	struct fields *fields = &stream->exchange->head.fields;

	fields_remove(fields, SPAN("range"));
	fields_remove(fields, SPAN("if-range"));
	return fields_set(fields, SPAN("accept-encoding"), SPAN("identity"));
}

int transform_for_backend(struct stream *stream)
{
	const struct transformation *transformation = stream->backend->transformation;
	int error = 0;

	if (connect_tunnel_is_asked(stream))
		return 0;
	for (size_t i = 0; i < RESPONSE_SIDES && !error; i++)
		if (side_of(stream, i) && transform_reads_body(side_of(stream, i)) && !stream->is_grpc)
			error = ask_plainly(stream);
	if (error || !transformation || !transformation->request.is_set)
		return error;
	return run_request(stream, &transformation->request);
}

/* The response is held back for this side. */
static bool holds(const struct stream *stream, const struct transform_side *side)
{
	return transform_reads_body(side) && transform_may_have_body(stream) && !transform_is_endless(stream);
}

bool transform_holds_answer(const struct stream *stream)
{
	for (size_t i = 0; i < RESPONSE_SIDES; i++)
		if (side_of(stream, i) && holds(stream, side_of(stream, i)))
			return true;
	return false;
}

bool transform_makes_answer(const struct stream *stream)
{
	for (size_t i = 0; i < RESPONSE_SIDES; i++)
		if (side_of(stream, i) && side_of(stream, i)->body)
			return true;
	return false;
}

bool transform_must_refuse(const struct stream *stream)
{
	return transform_makes_answer(stream) && transform_may_have_body(stream) &&
	       transform_is_endless(stream);
}

static int answer_side(struct stream *stream, const struct transform_side *side, struct stream_facts *f,
		       struct transform_count *count)
{
	struct exchange *exchange = stream->exchange;
	struct transform_body body = { 0 };
	int error = 0;

	/* Those of the side before are of a body that its new one has replaced. */
	f->facts.response_body = (struct span){ 0 };
	f->facts.response_json = NULL;
	f->facts.response_fields = &exchange->response.fields;
	f->facts.response_code = exchange->response.status;
	if (stream->state == STREAM_HOLD)
		error = transform_read_body(stream, side, true, f);
	if (!error)
		error = transform_note(side, &f->facts, &exchange->arena, count);
	/* What gives up in a response has no value. */
	error = error == -E2BIG ? 0 : error;
	exchange->metadata = f->facts.metadata;
	if (!error && stream->state == STREAM_HOLD)
		error = transform_make_body(stream, side, true, f, &body);
	else if (side->body)
		/* What describes the body of a response to HEAD does not fit the one that GET would get. */
		transform_forget_body(&exchange->response.fields);
	if (!error)
		error = transform_response(side, &f->facts, &exchange->response, &exchange->response_arena,
					   count);
	count->changed += body.is_made;
	if (!error)
		error = transform_put_body(stream, true, &body);
	transform_drop_body(&body);
	return error;
}

int transform_answer(struct stream *stream)
{
	struct transform_count count = { 0 };
	struct stream_facts f;
	uint32_t needs = 0;
	int error;

	if (!transform_changes_answer(stream))
		return 0;
	for (size_t i = 0; i < RESPONSE_SIDES; i++)
		needs |= side_of(stream, i) ? side_of(stream, i)->needs : 0;
	error = stream_facts_fill(&f, stream, needs, &stream->exchange->arena);
	for (size_t i = 0; i < RESPONSE_SIDES && !error; i++)
		if (side_of(stream, i))
			error = answer_side(stream, side_of(stream, i), &f, &count);
	trace(stream, &count);
	return error;
}

enum stream_step transform_failed(struct stream *stream, int error)
{
	switch (error) {
	case -E2BIG:
		return step_reply(stream, 400, SPAN("too long to be evaluated"), END_MATCH_GAVE_UP);
	case -EFBIG:
		/* The rest of the body is not read. */
		stream->close_client = true;
		return step_reply(stream, 413, SIZE_REFUSED, END_BODY_TOO_LARGE);
	case -ENOBUFS:
		return held_body_lost(stream);
	case -EMEDIUMTYPE:
		return step_reply(stream, 415, SPAN("the request body cannot be read here"),
				  END_BODY_UNCHANGED);
	case -EBADMSG:
		return step_reply(stream, 400, SPAN("the request cannot be transformed"), END_BODY_UNCHANGED);
	default:
		return step_reply(stream, 500, SPAN("no memory"), END_INTERNAL);
	}
}
