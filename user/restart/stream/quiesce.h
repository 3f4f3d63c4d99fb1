/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "user/client/client.h"
#include "user/stream/stream.h"

/*
 * A worker whose program is replaced hands connections to the new one (user/restart/handoff_channel.h),
 * which resumes them as it would after a crash: idle clients of HTTP/1 without TLS, and tunnels and
 * responses that have an entry in the restart state (checkpoint.h), once all their bytes are in the kernel
 * and in no lane. For that their directions come to rest (relay_quiesce()). This process writes no log line
 * and no record for a connection that it has handed over. All others drain here.
 */
void quiesce_init(struct proxy *proxy);
/* Until quiesce_end(): hands over what is at rest or idle now, and what comes to rest later. */
void quiesce_begin(struct proxy *proxy);
/* Idempotent; directions at rest continue. After a failed hand-off a drain also closes the idle clients. */
void quiesce_end(struct proxy *proxy);
/* Call after a pump: hands the stream over if it is at rest. */
void quiesce_stream(struct stream *stream);
/* The client must be idle. True: it was handed over. */
bool quiesce_client(struct client *client);
/* True if the client can be handed over once it is idle. */
bool quiesce_may_client(const struct client *client);
