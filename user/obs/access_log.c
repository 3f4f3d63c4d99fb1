/* SPDX-License-Identifier: Apache-2.0 */
#include "user/obs/access_log.h"

#include <errno.h>
#include <unistd.h>

#include "user/base/limits.h"
#include "user/base/log.h"
#include "user/base/mem.h"
#include "user/obs/access_line.h"
#include "user/base/sink.h"
#include "user/base/sink_thread.h"
#include "user/obs/tally.h"

struct access_log {
	struct sink sink;
	struct sink_thread *thread; /* owner; NULL: none */
	struct access_time time;
	size_t start; /* first byte not yet written */
	size_t end; /* one past the last byte */
	uint64_t stalled_us; /* turn in which the buffer was full and the reader not ready */
	atomic_uint_fast64_t dropped; /* lines; read by other threads */
	atomic_uint_fast64_t lines; /* lines collected */
	char data[LIMIT_ACCESS_LOG_BYTES];
};

struct access_log *access_log_create(int fd)
{
	struct access_log *log = hg_malloc(sizeof(*log));

	if (!log)
		return NULL;
	/* Do not touch data: pages that are never used cost nothing. */
	sink_open(&log->sink, fd);
	if (sink_thread_start(&log->sink, &log->thread) < 0) {
		sink_close(&log->sink);
		hg_free(log);
		return NULL;
	}
	log->time = (struct access_time){ 0 };
	log->start = 0;
	log->end = 0;
	log->stalled_us = 0;
	atomic_init(&log->dropped, 0);
	atomic_init(&log->lines, 0);
	return log;
}

void access_log_free(struct access_log *log)
{
	if (!log)
		return;
	sink_close(&log->sink);
	sink_thread_end(log->thread);
	hg_free(log);
}

static size_t compose(struct access_log *log, const struct stream_record *record,
		      const struct access_extras *extras, uint64_t now_wall_us, uint64_t removed)
{
	return access_line(log->data + log->end, sizeof(log->data) - log->end, log_get_format(), record,
			   extras, now_wall_us, removed, &log->time);
}

/* True if space was freed. Tried once a turn: a stopped reader must not cost a system call for each line. */
static bool make_room(struct access_log *log, uint64_t now_wall_us)
{
	if (log->stalled_us == now_wall_us)
		return false;
	if (access_log_flush(log) > 0)
		log->stalled_us = now_wall_us;
	if (log->start > 0) {
		memmove(log->data, log->data + log->start, log->end - log->start);
		log->end -= log->start;
		log->start = 0;
	}
	return true;
}

void access_log_add(struct access_log *log, const struct stream_record *record,
		    const struct access_extras *extras, uint64_t now_wall_us, const struct span *remove_list,
		    uint32_t remove_count)
{
	uint64_t removed = access_fields_mask(remove_list, remove_count);
	size_t len;

	for (uint32_t i = 0; extras && i < extras->count; i++)
		removed |= access_fields_mask(&extras->list[i].name, 1);
	len = compose(log, record, extras, now_wall_us, removed);
	if (len == 0 && make_room(log, now_wall_us))
		len = compose(log, record, extras, now_wall_us, removed);
	log->end += len;
	tally_add(len ? &log->lines : &log->dropped, 1);
}

static uint64_t lines_in(struct span lines)
{
	uint64_t lines_count = 0;
	struct span line;

	while (span_split(&lines, '\n', &line))
		lines_count += line.len > 0;
	return lines_count;
}

/*
 * The reader is gone for good (EPIPE), the disk is full, …: keeping the lines would only displace newer ones.
 */
static void give_up(struct access_log *log)
{
	tally_add(&log->dropped, lines_in(span_of(log->data + log->start, log->end - log->start)));
	log->start = log->end;
}

size_t access_log_flush(struct access_log *log)
{
	while (log->start < log->end) {
		ssize_t written =
			sink_write(&log->sink, span_of(log->data + log->start, log->end - log->start));

		if (written == -EAGAIN)
			return log->end - log->start;
		if (written < 0)
			give_up(log);
		else
			log->start += (size_t)written;
	}
	log->start = 0;
	log->end = 0;
	return 0;
}

uint64_t access_log_dropped(const struct access_log *log)
{
	return tally_read(&log->dropped);
}

uint64_t access_log_lines(const struct access_log *log)
{
	return tally_read(&log->lines);
}
