/* SPDX-License-Identifier: Apache-2.0 */
#include "user/stream/facts.h"

#include "user/base/units.h"

void stream_facts_backend(struct stream_facts *f, const struct backend *backend, bool is_tcp)
{
	static const struct span types[] = {
		[BACKEND_HOST] = { "static", 6 },     [BACKEND_UNIX] = { "static", 6 },
		[BACKEND_SERVICE] = { "service", 7 }, [BACKEND_MCP] = { "mcp", 3 },
		[BACKEND_INVALID] = { "unknown", 7 },
	};

	f->backend = (struct expression_backend){
		.name = backend->name,
		.type = types[backend->kind],
		.protocol = backend->kind == BACKEND_MCP ? SPAN("mcp")
			    : is_tcp			 ? SPAN("tcp")
							 : SPAN("http"),
	};
	f->facts.backend = &f->backend;
}

static void fill_identity(struct expression_facts *facts, const struct guard_identity *identity)
{
	facts->jwt = identity->claims ? identity->claims->tree : NULL;
	facts->api_key = identity->api_key ? identity->api_key->tree : NULL;
	facts->basic_user = identity->basic_user;
	facts->ext_authz = identity->ext_authz;
}

int stream_facts_fill(struct stream_facts *f, struct stream *stream, uint32_t needs, struct arena *arena)
{
	struct expression_facts *facts = &f->facts;

	*facts = (struct expression_facts){
		.request = stream->exchange ? &stream->exchange->head : NULL,
		.random = proxy_random(stream->proxy),
		.scratch = &f->scratch,
		.start_ns = proxy_wall_us(stream->proxy) * NS_PER_US -
			    (loop_now_ns(stream->proxy->loop) - stream->start_ns),
	};
	if (stream->exchange) {
		fill_identity(facts, &stream->exchange->identity);
		facts->metadata = stream->exchange->metadata;
	}
	expression_scratch_init(&f->scratch);
	if (stream->backend && stream->backend->backend)
		stream_facts_backend(f, stream->backend->backend, stream->is_tcp);
	return client_facts_fill(&f->client, stream->client, facts->request ? &facts->request->fields : NULL,
				 needs, arena, facts);
}
