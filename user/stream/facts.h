/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "user/client/client_facts.h"
#include "user/stream/stream.h"

/* What expressions can read of a stream. */
struct stream_facts {
	struct expression_facts facts;
	struct client_facts client;
	struct expression_backend backend;
	struct expression_scratch scratch;
};

/*
 * Fills in everything that the stream has, of what costs something only `needs` (enum expression_needs). The
 * texts of a certificate are in `arena`. Borrowed until the stream ends or its request changes. 0 or -ENOMEM.
 */
int stream_facts_fill(struct stream_facts *f, struct stream *stream, uint32_t needs, struct arena *arena);
/* For another backend than that of the stream: a service that is asked. */
void stream_facts_backend(struct stream_facts *f, const struct backend *backend, bool is_tcp);
