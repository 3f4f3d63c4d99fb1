/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "user/client/client.h"
#include "user/loop/mailbox.h"
#include "user/restart/state.h"
#include "user/stream/stream.h"

/*
 * A worker whose program is replaced hands over what another process can go on with: clients of HTTP/1
 * without TLS while they are idle, and streams that have a row in the estate (checkpoint.h) once all of
 * them is in the kernel. For that their directions come to rest (relay_rest()). What is handed over is not of
 * this process any more: no line, no record, no end.
 */
struct given {
	struct message message; /* to proxy_shared.given_to */
	struct handover_item item; /* with its descriptors; its number is the receiver's to set */
	uint32_t worker; /* who has given it */
};

void give_init(struct proxy *proxy);
/* From now on, until give_end(): tries all there is, and what comes to rest or becomes idle later. */
void give_begin(struct proxy *proxy);
void give_end(struct proxy *proxy); /* idempotent; what came to rest goes on */
/* Behind a pump: hands it over when it is at rest. */
void give_stream(struct stream *stream);
/* Of an idle client: true when it was handed over. */
bool give_client(struct client *client);
/* Could it be handed over, as soon as it is idle? */
bool give_may_client(const struct client *client);
