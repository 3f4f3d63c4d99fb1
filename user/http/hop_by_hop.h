/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "user/http/head.h"

/*
 * Removes connection-specific fields (RFC 9110 7.6.1): Connection and the fields that it nominates (unless
 * protected), Keep-Alive, Proxy-Connection, TE (kept as "trailers" if the client sent that), Upgrade,
 * HTTP2-Settings, Transfer-Encoding, Content-Length (the framing writes them again). Evaluate Connection and
 * Upgrade before (framing_*_keeps, upgrade_of_request); spans taken from the fields stay valid.
 *
 * From a request it also removes Expect of an HTTP/1.0 client, which RFC 9110 10.1.1 says to ignore: the
 * backend, which gets HTTP/1.1, would respond to it.
 *
 * Returns 0, or -E2BIG for more than LIMIT_HEADERS nominations (heads of h1_parse never have so many).
 */
int hop_by_hop_strip_request(struct request_head *head);
int hop_by_hop_strip_response(struct response_head *head);

struct forwarded_facts {
	struct span client_ip; /* without port */
	struct span proto; /* "http" */
	bool is_trusted; /* the peer's own X-Forwarded-* are kept */
};
/*
 * X-Forwarded-For (append; several fields become one), -Proto, -Host (set when absent; -Host from
 * head->authority, not at all when that is empty). From an untrusted peer they are replaced, and the other
 * fields of trusted_fields.def are removed. The spans of `facts` must live as long as the head. 0 or -ENOMEM.
 */
int hop_by_hop_add_forwarded(struct request_head *head, const struct forwarded_facts *facts);
/* Where the gateway says nothing itself: an untrusted peer cannot say who the client is. */
void bypass_drop_identities(struct fields *fields);
/*
 * CDN-Loop (RFC 8586) lists the gateways that a request went through, so that each recognises itself (Via,
 * RFC 9110 7.6.3, names only the program). Returns how often `id` is listed; parameters are ignored.
 */
uint32_t hop_by_hop_count_laps(const struct fields *fields, struct span id);
int hop_by_hop_add_lap(struct fields *fields,
		       struct span id); /* 0 or -ENOMEM; id must live as long as the head */
/* True if the fields show that the request came through a gateway. */
bool hop_by_hop_was_forwarded(const struct fields *fields);
enum hop_by_hop_limit {
	HOP_BY_HOP_GOES_ON,
	HOP_BY_HOP_ENDS_HERE, /* Max-Forwards is 0: this server must respond */
	HOP_BY_HOP_IS_INVALID, /* no number, or more than one */
	HOP_BY_HOP_NO_MEMORY,
};
/* Decrements Max-Forwards of TRACE and OPTIONS (RFC 9110 7.6.2); other methods have none. */
enum hop_by_hop_limit hop_by_hop_count_down(struct request_head *head);
/* Appends "1.1 headgate" (RFC 9110 7.6.3), with the version of the received message. 0 or -ENOMEM. */
int hop_by_hop_add_via(struct fields *fields, uint8_t version_major, uint8_t version_minor);
