/* SPDX-License-Identifier: Apache-2.0 */
#include "user/phase/replay_body.h"

#include "policy/guard/size.h"
#include "user/base/limits.h"
#include "user/stream/attempt_hold.h"
#include "user/stream/upstream_side.h"

enum { BODY_REVIEW_BYTES = 4096 }; /* less is not worth a system call */

static bool attempt_has_policy_left(const struct stream *stream)
{
	const struct retry_policy *policy = stream->exchange->retry;

	return policy && stream->attempt.retries_done < policy->attempts;
}

bool attempt_keeps_body(const struct stream *stream)
{
	const struct body_framing *framing = &stream->exchange->request_framing;
	bool is_small = framing->kind == BODY_CHUNKED || framing->kind == BODY_FRAMED ||
			(framing->kind == BODY_LENGTH && framing->length <= LIMIT_RETRY_BODY_BYTES) ||
			(stream->upload.replay && stream->upload.decoder.is_done);

	return is_small && (stream->exchange->mirror_plans || attempt_has_policy_left(stream) ||
			    (stream->attempt.free_retries < LIMIT_FREE_RETRIES &&
			     (stream->upstream_side->is_shared || stream->upstream->served)));
}

void attempt_review_body(struct stream *stream)
{
	const struct replay *replay = stream->upload.replay;

	if (!replay || replay->left_bytes || stream->exchange->mirror_plans ||
	    replay->bytes < BODY_REVIEW_BYTES || attempt_has_policy_left(stream) ||
	    stream->upstream_side->is_shared || method_is_idempotent(stream->exchange->head.method) ||
	    stream->upstream_side->is_unseen(stream, 0))
		return;
	attempt_forget_body(stream);
}

void attempt_limit_body(struct stream *stream)
{
	enum body_kind kind = stream->exchange->request_framing.kind;
	uint64_t most_bytes;

	if (kind != BODY_NONE && kind != BODY_LENGTH &&
	    size_guard(&stream->route->effective.guards, false, &most_bytes))
		relay_limit(&stream->upload, most_bytes);
}
