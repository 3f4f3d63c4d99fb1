/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "user/stream/stream.h"

/* Answers of our own: an error, or what the configuration answers itself. */

/* STEP_REPLY: gives up the running attempt and sends stream->exchange->reply. */
enum stream_step reply_start(struct stream *stream);
/* In REPLY: goes on sending; STEP_END when all of it is out. */
enum stream_step reply_flush(struct stream *stream);
