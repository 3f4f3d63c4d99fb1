/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "user/http/head.h"

/*
 * Removes connection-specific fields (RFC 9110 7.6.1): Connection and what it nominates (unless
 * protected), Keep-Alive, Proxy-Connection, TE (kept as "trailers" when the client said so), Upgrade,
 * HTTP2-Settings, Transfer-Encoding, Content-Length (framing writes them again). What Connection and
 * Upgrade said has to be asked before (framing_*_keeps, upgrade_of_request); spans taken from the fields
 * stay valid.
 *
 * From a request also Expect of an HTTP/1.0 client, which RFC 9110 10.1.1 says to ignore: the backend,
 * asked in HTTP/1.1, would answer it.
 *
 * 0, or -E2BIG for more than LIMIT_HEADERS nominations (heads of h1_parse never have so many).
 */
int hop_strip_request(struct request_head *head);
int hop_strip_response(struct response_head *head);

struct forwarded_facts {
	struct span client_ip; /* without port */
	struct span proto; /* "http" */
	bool is_trusted; /* the peer's own X-Forwarded-* may stay */
};
/*
 * X-Forwarded-For (append; several fields become one), -Proto, -Host (set when absent; -Host from
 * head->authority, not at all when that is empty). From an untrusted peer they are replaced, and the other
 * fields of trusted_fields.def are removed. The spans of `facts` must live as long as the head. 0 or -ENOMEM.
 */
int hop_add_forwarded(struct request_head *head, const struct forwarded_facts *facts);
/* Where the gateway says nothing itself: an untrusted peer cannot say who the client is. */
void hop_drop_identities(struct fields *fields);
/*
 * CDN-Loop (RFC 8586) says which gateways a request went through, so that each of them knows itself: Via
 * (RFC 9110 7.6.3) names the program. How often `id` is there, parameters do not count.
 */
uint32_t hop_count_laps(const struct fields *fields, struct span id);
int hop_add_lap(struct fields *fields, struct span id); /* 0 or -ENOMEM; id must live as long as the head */
/* The request came through a gateway, as far as its fields say. */
bool hop_was_forwarded(const struct fields *fields);
enum hop_limit {
	HOP_GOES_ON,
	HOP_ENDS_HERE, /* Max-Forwards is 0: the request is answered by whoever has it */
	HOP_IS_BAD, /* it is no number, or there are two of it */
	HOP_NO_MEMORY,
};
/* Max-Forwards of TRACE and OPTIONS counts down (RFC 9110 7.6.2); other methods have none. */
enum hop_limit hop_count_down(struct request_head *head);
/* "1.1 headgate", appended (RFC 9110 7.6.3); the version is that of the message received. 0 or -ENOMEM. */
int hop_add_via(struct fields *fields, uint8_t version_major, uint8_t version_minor);
