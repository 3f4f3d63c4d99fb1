/* SPDX-License-Identifier: Apache-2.0 */
#include "user/phase/endpoint_choice.h"

#include <errno.h>

#include "policy/balance.h"
#include "policy/headers.h"
#include "user/base/mem.h"
#include "user/stream/attempt_hold.h"

struct upstream_wants place_wants(const struct backend_ref *ref, const struct static_config *config)
{
	return (struct upstream_wants){
		.keepalive = ref->tcp ? &ref->tcp->keepalives : &config->upstream_keepalives,
		.tls = ref->tls ? &ref->tls->settings : NULL,
		.hops = ref->is_same_host && splice_hops(&config->splice),
	};
}

int place_choose(struct stream *stream)
{
	struct attempt *attempt = &stream->attempt;
	struct upstream_wants wants = place_wants(stream->backend, &stream->lease->snapshot->config);

	attempt->endpoint =
		upstream_pool_choose(&stream->proxy->pool, stream->backend->backend, &wants, attempt->tried,
				     attempt->endpoint_index, &attempt->endpoint_index);
	if (!attempt->endpoint)
		return -ENOMEM;
	attempt->endpoint->load.in_flight++;
	return 0;
}

static const struct backend_ref *place_list(const struct stream *stream, uint32_t *ret_count)
{
	*ret_count = stream->is_tcp ? stream->tcp_route->backend_count : stream->route->backend_count;
	return stream->is_tcp ? stream->tcp_route->backend_list : stream->route->backend_list;
}

bool place_has_elsewhere(const struct stream *stream)
{
	uint32_t count;
	const struct backend_ref *list = place_list(stream, &count);

	return balance_has_elsewhere(list, count, stream->backend, stream->attempt.tried);
}

bool place_may_change_backend(const struct stream *stream)
{
	return stream->route->backend_count > 1;
}

int place_use_backend(struct stream *stream)
{
	int error = 0;

	if (place_may_change_backend(stream)) {
		stream->exchange->head = stream->exchange->plain_head;
		error = fields_clone(&stream->exchange->plain_head.fields, &stream->exchange->arena,
				     &stream->exchange->head.fields);
	}
	if (!error && stream->backend->request_headers)
		error = headers_modify(&stream->exchange->head.fields, stream->backend->request_headers);
	if (!error)
		error = headers_rewrite(&stream->exchange->head, stream->route->effective.rewrite,
					stream->exchange->match, stream->backend);
	return error;
}

void place_note_tried(struct stream *stream)
{
	struct attempt *attempt = &stream->attempt;

	if (!attempt->tried)
		attempt->tried = hg_calloc(1, sizeof(*attempt->tried));
	if (attempt->tried && attempt->endpoint_index != UINT32_MAX)
		tried_note(attempt->tried, stream->backend->backend->index, attempt->endpoint_index);
}

int place_change_backend(struct stream *stream)
{
	struct attempt *attempt = &stream->attempt;
	const struct backend_ref *next = stream->backend;
	uint32_t count;
	const struct backend_ref *list = place_list(stream, &count);

	/* Of more endpoints than are remembered, or without memory for it, the number of tries decides. */
	if (++attempt->tries_here >= next->backend->endpoint_count ||
	    !balance_has_untried(next->backend, attempt->tried))
		next = balance_backend_again(list, count, next, attempt->tried, proxy_random(stream->proxy));
	if (next == stream->backend || next->backend->endpoint_count == 0)
		return 0;
	attempt_leave_endpoint(stream);
	stream->backend = next;
	attempt->tries_here = 0;
	attempt->endpoint_index = UINT32_MAX;
	return stream->exchange ? place_use_backend(stream) : 0;
}
