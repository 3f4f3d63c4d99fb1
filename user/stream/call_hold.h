/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

struct stream;

/* Ends the call of a helper service that the stream waits for, or whose reply was read. Idempotent. */
void stream_drop_call(struct stream *stream);
