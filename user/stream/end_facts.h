/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "user/stream/facts.h"

/*
 * What expressions can read of a stream that has ended: the request as the backend got it; of a tunnel, which
 * has given its head back, and of a resumed request only method, host and path, as the client sent them.
 */
struct end_facts {
	struct arena arena; /* owner */
	struct stream_facts facts;
	struct request_head head;
	struct expression_mcp mcp;
};

/*
 * needs: enum expression_needs. The record is borrowed, too. 0 or -ENOMEM: not known; end_facts_done()
 * follows in any case.
 */
int end_facts_fill(struct end_facts *facts, struct stream *stream, uint32_t needs,
		   const struct stream_record *record);
void end_facts_done(struct end_facts *facts);
