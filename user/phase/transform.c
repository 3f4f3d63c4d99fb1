/* SPDX-License-Identifier: Apache-2.0 */
#include "user/phase/transform.h"

#include <errno.h>

#include "policy/match/normalization.h"
#include "policy/transform.h"
#include "user/phase/connect_tunnel.h"
#include "user/phase/forward_head.h"
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
	struct stream_facts f;
	int error = stream_facts_fill(&f, stream, side->needs, &exchange->arena);

	if (!error)
		error = transform_request(side, &f.facts, has_rules ? &rules : NULL, &exchange->head,
					  &exchange->arena, &count);
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
	if (!transformation->request.is_set)
		return 0;
	error = forward_head(stream);
	return error ? error : run_request(stream, &transformation->request);
}

int transform_for_backend(struct stream *stream)
{
	const struct transformation *transformation = stream->backend->transformation;

	return transformation && transformation->request.is_set && !connect_tunnel_is_asked(stream)
		       ? run_request(stream, &transformation->request)
		       : 0;
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

int transform_answer(struct stream *stream)
{
	struct exchange *exchange = stream->exchange;
	struct transform_count count = { 0 };
	struct stream_facts f;
	uint32_t needs = 0;
	int error;

	if (!transform_changes_answer(stream))
		return 0;
	for (size_t i = 0; i < RESPONSE_SIDES; i++)
		needs |= side_of(stream, i) ? side_of(stream, i)->needs : 0;
	error = stream_facts_fill(&f, stream, needs, &exchange->arena);
	for (size_t i = 0; i < RESPONSE_SIDES && !error; i++)
		if (side_of(stream, i))
			error = transform_response(side_of(stream, i), &f.facts, &exchange->response,
						   &exchange->response_arena, &count);
	trace(stream, &count);
	return error;
}

enum stream_step transform_failed(struct stream *stream, int error)
{
	return error == -E2BIG ? step_reply(stream, 400, SPAN("too long to be evaluated"), END_MATCH_GAVE_UP)
			       : step_reply(stream, 500, SPAN("no memory"), END_INTERNAL);
}
