/* SPDX-License-Identifier: Apache-2.0 */
#include "user/base/log_writer.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "user/base/clock.h"
#include "user/base/limits.h"
#include "user/base/sink.h"

enum { WRITER_POLL_MS = 50 };

static atomic_uint_fast64_t own_dropped;

/* Every line of the process goes through it: the log has no argument of ours. */
static struct {
	pthread_mutex_t lock; /* never held while somebody waits for a reader */
	pthread_cond_t is_filled; /* for the thread */
	struct sink sink;
	bool is_open;
	bool has_thread;
	uint64_t gap; /* dropped lines that no line has reported yet */
	atomic_uint_fast64_t *dropped;
	size_t start; /* first byte not written */
	size_t end; /* one past the last byte */
	char lines[LIMIT_LOG_BYTES];
} writer = {
	.lock = PTHREAD_MUTEX_INITIALIZER,
	.is_filled = PTHREAD_COND_INITIALIZER,
	.dropped = &own_dropped,
};

void log_writer_open(void)
{
	if (writer.is_open)
		return;
	(void)signal(SIGPIPE, SIG_IGN);
	sink_open(&writer.sink, STDERR_FILENO);
	if (writer.sink.is_owner && dup2(writer.sink.fd, STDERR_FILENO) == STDERR_FILENO) {
		sink_close(&writer.sink);
		sink_open(&writer.sink, STDERR_FILENO);
	}
	writer.is_open = true;
}

void log_writer_count_in(atomic_uint_fast64_t *dropped)
{
	writer.dropped = dropped ? dropped : &own_dropped;
}

uint64_t log_writer_dropped(void)
{
	return atomic_load_explicit(writer.dropped, memory_order_relaxed);
}

void log_writer_forked(void)
{
	writer.start = 0;
	writer.end = 0;
	writer.gap = 0;
	writer.has_thread = false;
}

/* ------------------------------------------------------------------------------------ with the lock held */

static void drop(uint64_t lines)
{
	atomic_fetch_add_explicit(writer.dropped, lines, memory_order_relaxed);
	writer.gap += lines;
}

static void drop_all(void)
{
	uint64_t lines = 0;

	for (size_t i = writer.start; i < writer.end; i++)
		lines += writer.lines[i] == '\n';
	writer.start = writer.end = 0;
	drop(lines);
}

/* True: nothing is left. What cannot be written at all (EPIPE, ENOSPC) is dropped. */
static bool flush(void)
{
	while (writer.start < writer.end) {
		ssize_t written = sink_write(&writer.sink,
					     span_of(writer.lines + writer.start, writer.end - writer.start));

		if (written == -EAGAIN)
			return false;
		if (written < 0)
			drop_all();
		else
			writer.start += (size_t)written;
	}
	writer.start = writer.end = 0;
	return true;
}

static bool append(struct span line)
{
	if (line.len > sizeof(writer.lines) - writer.end && writer.start) {
		memmove(writer.lines, writer.lines + writer.start, writer.end - writer.start);
		writer.end -= writer.start;
		writer.start = 0;
	}
	if (line.len > sizeof(writer.lines) - writer.end)
		return false;
	memcpy(writer.lines + writer.end, line.data, line.len);
	writer.end += line.len;
	return true;
}

/* Another thread's poll(2) may be right and this write(2) wait all the same: that is left to the thread. */
static bool may_write_here(void)
{
	return !writer.has_thread || (writer.sink.kind != SINK_POLLED && writer.sink.kind != SINK_NOWAIT);
}

/* ------------------------------------------------------------------------------------ everybody */

static void put_direct(struct span line)
{
	/* Nobody can be told when standard error is gone. */
	if (write(STDERR_FILENO, line.data, line.len) < 0)
		errno = 0;
}

void log_writer_put(struct span line)
{
	if (!writer.is_open) {
		put_direct(line);
		return;
	}
	pthread_mutex_lock(&writer.lock);
	if (may_write_here())
		(void)flush();
	if (!append(line))
		drop(1);
	if (may_write_here())
		(void)flush();
	if (writer.start < writer.end)
		pthread_cond_signal(&writer.is_filled);
	pthread_mutex_unlock(&writer.lock);
}

uint64_t log_writer_take_gap(void)
{
	uint64_t gap = 0;

	pthread_mutex_lock(&writer.lock);
	if (writer.start == writer.end) {
		gap = writer.gap;
		writer.gap = 0;
	}
	pthread_mutex_unlock(&writer.lock);
	return gap;
}

void log_writer_last_words(struct span line)
{
	if (writer.is_open)
		(void)sink_write(&writer.sink, line);
	else
		put_direct(line);
}

void log_writer_flush(void)
{
	pthread_mutex_lock(&writer.lock);
	if (writer.is_open && may_write_here())
		(void)flush();
	pthread_mutex_unlock(&writer.lock);
}

/* ------------------------------------------------------------------------------------ the thread */

static void wait_for_reader(int timeout_ms)
{
	struct pollfd fd = { .fd = writer.sink.fd, .events = POLLOUT };

	(void)poll(&fd, 1, timeout_ms);
}

/* This write may wait for the reader: a copy, without the lock. Only this thread writes then. */
static void write_unlocked(void)
{
	static char copy[LIMIT_LOG_BYTES];
	size_t len = writer.end - writer.start;
	ssize_t written;

	memcpy(copy, writer.lines + writer.start, len);
	pthread_mutex_unlock(&writer.lock);
	written = sink_write(&writer.sink, span_of(copy, len));
	pthread_mutex_lock(&writer.lock);
	if (written >= 0)
		writer.start += (size_t)written;
	else if (written != -EAGAIN)
		drop_all();
}

static void write_waiting(void)
{
	if (may_write_here())
		(void)flush();
	else
		write_unlocked();
	if (writer.start == writer.end)
		return;
	pthread_mutex_unlock(&writer.lock);
	wait_for_reader(WRITER_POLL_MS);
	pthread_mutex_lock(&writer.lock);
}

static void *writer_main(void *argument)
{
	(void)argument;
	pthread_mutex_lock(&writer.lock);
	for (;;) {
		if (writer.start < writer.end)
			write_waiting();
		else
			pthread_cond_wait(&writer.is_filled, &writer.lock);
	}
	return NULL;
}

int log_writer_start(void)
{
	pthread_attr_t attributes;
	pthread_t thread;
	int error = pthread_attr_init(&attributes);

	if (error)
		return -error;
	(void)pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
	pthread_mutex_lock(&writer.lock);
	error = pthread_create(&thread, &attributes, writer_main, NULL);
	writer.has_thread = error == 0;
	pthread_mutex_unlock(&writer.lock);
	pthread_attr_destroy(&attributes);
	return -error;
}

void log_writer_end(uint64_t max_ms)
{
	uint64_t end_ms = clock_now_ms() + max_ms;

	if (!writer.is_open)
		return;
	pthread_mutex_lock(&writer.lock);
	for (;;) {
		if (may_write_here())
			(void)flush();
		if (writer.start == writer.end || clock_now_ms() >= end_ms)
			break;
		pthread_mutex_unlock(&writer.lock);
		wait_for_reader(WRITER_POLL_MS);
		pthread_mutex_lock(&writer.lock);
	}
	drop_all();
	pthread_mutex_unlock(&writer.lock);
}
