/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "user/stream/stream.h"

/* Responses of our own: an error, or a response that the configuration defines. */

/* STEP_REPLY: ends the running attempt and sends stream->exchange->reply. */
enum stream_step reply_start(struct stream *stream);
/* In REPLY: continues sending; STEP_END when all of it is sent. */
enum stream_step reply_flush(struct stream *stream);
