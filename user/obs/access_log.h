/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "user/obs/record.h"

/*
 * One line a stream on standard output. Lines are collected per worker and written with one write(2) when
 * the turn ends or the buffer is full, so that logging never costs a system call per request. A reader that
 * stops (a full pipe) must not stop the gateway: lines are then dropped and counted.
 */
struct access_log;

/* fd is borrowed and keeps its flags, see sink.h. NULL on no memory. */
struct access_log *access_log_create(int fd);
void access_log_free(struct access_log *log);
/*
 * now_wall_us is read once a turn by the owner. remove_list: field names left out (frontend accessLog
 * policy).
 */
void access_log_add(struct access_log *log, const struct stream_record *record, uint64_t now_wall_us,
		    const struct span *remove_list, uint32_t remove_count);
/*
 * Writes what was collected; never blocks. Returns the bytes left (0: nothing more to do): the reader was
 * not ready, the owner calls again at the end of a later turn. What cannot be written at all (EPIPE,
 * ENOSPC) is dropped and counted.
 */
size_t access_log_flush(struct access_log *log);
/* From any thread: lines lost because the reader was too slow or gone, and lines collected. */
uint64_t access_log_dropped(const struct access_log *log);
uint64_t access_log_lines(const struct access_log *log);
