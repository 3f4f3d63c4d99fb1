/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "config/model.h"
#include "user/base/end_reason.h"
#include "user/http/head.h"
#include "user/http/refusal.h"

/*
 * What a request must pass between its listener and the search for its route. Needs no stream, so that
 * `headgate check-request` decides with the same functions.
 */
enum route_rules_verdict {
	ROUTE_RULES_PASS,
	ROUTE_RULES_END_HERE, /* Max-Forwards is 0: the gateway responds itself */
	ROUTE_RULES_REFUSE,
};

struct route_refusal {
	enum http_error
		http_error; /* not NONE: the status and text of refusals.def, and the connection ends */
	uint16_t status;
	struct span text;
	enum end_reason reason;
};

/*
 * Checks TRACE, Max-Forwards, loops (loop_id in CDN-Loop; empty: not checked) and names with an underscore,
 * and normalizes head->path. Changes the head; new bytes are in the arena.
 */
enum route_rules_verdict route_rules_apply(struct request_head *head, const struct listener *listener,
					   struct span loop_id, struct arena *arena,
					   struct route_refusal *ret_refusal);
/*
 * "http" or "https", as the browser used it: a trusted proxy in front may have terminated TLS. is_tls: the
 * gateway terminates it.
 */
struct span route_rules_scheme(const struct fields *fields, bool is_trusted, bool is_tls);
