/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "user/client/client.h"
#include "user/client/service_call.h"

struct guard_use;
struct lease;

/*
 * networkAuthorization, when a connection is accepted (TLS: after the handshake; passed through: after the
 * ClientHello). True if the connection may stay. False: the metric counts the refusal, and `why` has what the
 * log shows; the caller closes the connection without a byte. A rule that cannot be evaluated refuses.
 */
bool client_network_admits(struct client *client, const struct guard_use *use, struct text *why);

/*
 * The same for a connection that will carry requests; NULL admits. What a trusted proxy connects is decided
 * for each request, whose head names the client. END_OK, or why the caller closes the connection, which is
 * logged already.
 */
enum end_reason client_network_begins(struct client *client, const struct guard_use *use);

/*
 * networkExtAuthz: a service is asked about a connection, after networkAuthorization and before the first
 * byte is read. Meanwhile the client is in state ASKED: nothing reads its bytes, and what it has sent counts
 * later.
 */
struct client_question {
	struct client *client;
	const struct guard_use *use; /* of the lease */
	struct lease *lease; /* one reference */
	struct service_call call;
	bool is_tunnel; /* a TCP or TLS route follows; false: HTTP */
	void (*on_answer)(struct client *client);
};

/*
 * Before the tunnel of a TCP or TLS route begins. *ret_service: the policy by which a service is asked; NULL:
 * none, or no listener would serve the client. If there is one, networkAuthorization decides here, and again
 * when the tunnel begins, because a reload may come between. Its verdict here is final: a rule may contain
 * random(). END_OK, or as client_network_begins().
 */
enum end_reason client_network_of_tunnel(struct client *client, const struct guard_use **ret_service);

/*
 * GUARD_PASS: the client may stay. GUARD_REFUSE: *ret_reason, which is logged already; the caller closes the
 * connection without a byte. GUARD_WAIT: on_answer() follows once, from the loop, unless
 * client_network_stop() comes first.
 */
int client_network_ask(struct client *client, const struct guard_use *use, bool is_tunnel,
		       void (*on_answer)(struct client *client), enum end_reason *ret_reason);
/* In on_answer(): GUARD_PASS or GUARD_REFUSE, as above. Frees the question. */
int client_network_answer(struct client *client, enum end_reason *ret_reason);
/* The client leaves state ASKED: ends the call, and frees the question. Idempotent. */
void client_network_stop(struct client *client);
