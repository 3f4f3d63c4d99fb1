/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdatomic.h>
#include <stdint.h>

#include "user/base/span.h"

/*
 * Standard error of a process that serves. Until log_writer_open() a line is written with write(2), which
 * waits for the reader: so do commands. From then on nobody waits but the writer's own thread: what the
 * reader does not take at once stays in a buffer of LIMIT_LOG_BYTES, and a line that does not fit is dropped
 * and counted. Without the thread (in the keeper, and while a gateway starts) each further line and
 * log_writer_flush() try again.
 *
 * A pipe or terminal is opened a second time, non-blocking, and takes the number of standard error: what
 * libraries write there (a broken heap, a sanitizer) does not wait either. A regular file is written at
 * once: the page cache takes it. Thread-safe.
 */

/* Call before any thread and process starts. Ignores SIGPIPE: no reader may end the process. */
void log_writer_open(void);
/* Where dropped lines are counted, until another call. NULL: in a counter of this process. */
void log_writer_count_in(atomic_uint_fast64_t *dropped);
uint64_t log_writer_dropped(void);
/* In a new process that was cloned or forked: what waits is its parent's to write. */
void log_writer_forked(void);
/* The thread, for good; 0 or -errno. It has the signal mask and the privileges of the caller. */
int log_writer_start(void);
/* A whole line with its end. */
void log_writer_put(struct span line);
/* Lines dropped since the last call, once the buffer is empty again; 0 until then. */
uint64_t log_writer_take_gap(void);
/* Without lock and buffer, for a process that is about to abort; may be lost. */
void log_writer_last_words(struct span line);
/* Writes what waits as far as the reader takes it. */
void log_writer_flush(void);
/* Waits until the reader has taken everything, max_ms at most; what is left then is dropped and counted. */
void log_writer_end(uint64_t max_ms);
