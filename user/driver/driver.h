/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "user/stream/stream.h"

/*
 * The driver of streams: the only caller of phases. It receives events (from the client, the backend, the
 * kernel lane, the timer) and runs the steps that follow until one waits. Lower layers call it through
 * proxy->driver.
 */
extern const struct stream_driver stream_driver;

/*
 * Runs this step and those that follow from it; after LIMIT_STREAM_ATTEMPTS attempts it first gives other
 * streams a turn.
 */
void driver_run(struct stream *stream, enum stream_step step);
/* The client has sent bytes, can receive again, or is gone. */
void driver_on_client(struct stream *stream);
/* The same for the backend: upstream_pool.on_stream. */
void driver_on_upstream(void *stream);
/* Ends the stream at once: drain deadline, operator, the end of the client's connection. */
void driver_abort(struct stream *stream, enum end_reason reason);
/* The kernel lane has an event: relay_shared.wake. */
void driver_on_relay(struct relay *relay);
