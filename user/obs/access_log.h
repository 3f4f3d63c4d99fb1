/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "user/obs/access_line.h"

/*
 * One line for each stream on standard output. Each worker collects lines and writes them with one write(2)
 * at the end of the turn, or when the buffer is full, so that logging never costs a system call for each
 * request. A reader that stops (a full pipe) must not stop the gateway: lines are then dropped and counted.
 */
struct access_log;

/* fd is borrowed and keeps its flags, see sink.h. NULL without memory. */
struct access_log *access_log_create(int fd);
void access_log_free(struct access_log *log);
/*
 * now_wall_us: read once a turn by the owner. remove_list: names of fields to leave out (frontend accessLog
 * policy). extras: fields of that policy, which replace those of their name; NULL: none.
 */
void access_log_add(struct access_log *log, const struct stream_record *record,
		    const struct access_extras *extras, uint64_t now_wall_us, const struct span *remove_list,
		    uint32_t remove_count);
/*
 * Writes the collected lines; never blocks. Returns the bytes left, 0: none. If the reader was not ready, the
 * owner calls again at the end of a later turn. Lines that cannot be written at all (EPIPE, ENOSPC) are
 * dropped and counted.
 */
size_t access_log_flush(struct access_log *log);
/* From any thread: lines dropped because the reader was too slow or gone, and lines collected. */
uint64_t access_log_dropped(const struct access_log *log);
uint64_t access_log_lines(const struct access_log *log);
