/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "user/stream/stream.h"

/*
 * The driver of streams: the only caller of phases. Events come here (from the client, the backend, the
 * kernel lane, the timer), and each runs the steps that follow from it until one waits. What stands below
 * reaches it through proxy->driver.
 */
extern const struct stream_driver stream_driver;

/*
 * Takes this step and those that follow from it; after LIMIT_STREAM_ATTEMPTS attempts others get their turn
 * first.
 */
void driver_run(struct stream *stream, enum stream_step step);
/* The client sent something, can take something again, or is gone. */
void driver_on_client(struct stream *stream);
/* The same of the backend: upstream_pool.on_stream. */
void driver_on_upstream(void *stream);
/* Stops at once, from outside: drain deadline, operator, the end of the client's connection. */
void driver_abort(struct stream *stream, enum end_reason reason);
/* The kernel lane has news: relay_shared.wake. */
void driver_on_relay(struct relay *relay);
