/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "user/client/client.h"
#include "user/stream/stream.h"

/*
 * A worker whose program is replaced hands connections to the new one (user/restart/handoff_channel.h),
 * which resumes them as it would after a crash: clients of HTTP/1 without TLS while they are idle, and
 * tunnels and responses that have an entry in the restart state (checkpoint.h), once all of them is in the
 * kernel and in no lane. For that their directions come to rest (relay_quiesce()). What was handed over is
 * not of this process any more: no line, no record, no end. Everything else drains here.
 */
void quiesce_init(struct proxy *proxy);
/* From now on, until quiesce_end(): tries all there is, and what comes to rest or becomes idle later. */
void quiesce_begin(struct proxy *proxy);
/* Idempotent; what came to rest goes on. After a failed hand-off a drain also closes the idle clients. */
void quiesce_end(struct proxy *proxy);
/* Behind a pump: hands it over when it is at rest. */
void quiesce_stream(struct stream *stream);
/* Of an idle client: true when it was handed over. */
bool quiesce_client(struct client *client);
/* Could it be handed over, as soon as it is idle? */
bool quiesce_may_client(const struct client *client);
