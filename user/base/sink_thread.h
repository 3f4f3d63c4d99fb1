/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "user/base/sink.h"

/*
 * For a thread that must never wait: where the writes of a sink might (SINK_NOWAIT, SINK_POLLED), its lines
 * go through a pipe to a thread of their own, which may.
 *
 * Life: sink_thread_start(); writes by sink_write(), and -EPIPE once the destination is gone; sink_close();
 * sink_thread_end().
 */
struct sink_thread;

/*
 * Changes the sink, whose descriptor is borrowed until the end. *ret_thread: NULL if there is no need. 0, or
 * -errno: then nothing has changed.
 */
int sink_thread_start(struct sink *sink, struct sink_thread **ret_thread);
/* What the thread still has is written within LIMIT_LOG_END_MS, or lost. NULL is fine. */
void sink_thread_end(struct sink_thread *thread);
