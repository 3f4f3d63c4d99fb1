/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/bpf/actor.h"
#include "tests/bpf/rig.h"
#include "tests/lib/test.h"

/* A prime length, so that no period of the kernel's or ours hides a shift. */
#define PATTERN_BYTES 65521u

static const char *pattern_table(void)
{
	static char table[2 * PATTERN_BYTES];
	static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
	static bool is_filled;

	pthread_mutex_lock(&lock);
	if (!is_filled) {
		uint64_t state = 42;

		for (size_t i = 0; i < PATTERN_BYTES; i++)
			table[i] = table[i + PATTERN_BYTES] = (char)random_u32(&state);
		is_filled = true;
	}
	pthread_mutex_unlock(&lock);
	return table;
}

void pattern_fill(char *out, uint64_t seed, uint64_t position, size_t len)
{
	const char *table = pattern_table();

	while (len > 0) {
		size_t at = (size_t)((position + seed * 7919) % PATTERN_BYTES);
		size_t run = len < PATTERN_BYTES ? len : PATTERN_BYTES;

		memcpy(out, table + at, run);
		out += run;
		position += run;
		len -= run;
	}
}

int64_t pattern_check(const char *bytes, uint64_t seed, uint64_t position, size_t len)
{
	const char *table = pattern_table();
	uint64_t start = position;

	while (len > 0) {
		size_t at = (size_t)((position + seed * 7919) % PATTERN_BYTES);
		size_t run = len < PATTERN_BYTES ? len : PATTERN_BYTES;

		if (memcmp(bytes + (position - start), table + at, run)) {
			for (size_t i = 0; i < run; i++) {
				if (bytes[position - start + i] != table[at + i])
					return (int64_t)(position + i);
			}
		}
		position += run;
		len -= run;
	}
	return -1;
}

static void actor_pause(const struct actor *a, uint64_t *state)
{
	if (a->pause_every && random_u32(state) % a->pause_every == 0)
		usleep(random_u32(state) % a->pause_us);
}

static void *writer_run(void *arg)
{
	struct actor *a = arg;
	uint64_t state = a->seed + 1;
	char *piece = malloc(a->segment_max);

	while (a->done < a->bytes && piece) {
		uint64_t len = random_u32(&state) % a->segment_max + 1;
		ssize_t sent;

		if (len > a->bytes - a->done)
			len = a->bytes - a->done;
		pattern_fill(piece, a->seed, a->done, (size_t)len);
		sent = send(a->fd, piece, (size_t)len, MSG_NOSIGNAL);
		if (sent < 0 && errno == EPIPE && a->await_room && a->await_room(a->fd))
			continue;
		if (sent < 0) {
			a->error = errno;
			break;
		}
		a->done += (uint64_t)sent;
		actor_pause(a, &state);
	}
	free(piece);
	if (a->shuts_down && !a->error)
		shutdown(a->fd, SHUT_WR);
	a->is_finished = true;
	return NULL;
}

static void *reader_run(void *arg)
{
	struct actor *a = arg;
	uint64_t state = a->seed + 2;
	char *piece = malloc(a->segment_max);

	while ((a->done < a->bytes || a->expects_eof) && a->wrong_at < 0 && piece) {
		size_t len = random_u32(&state) % a->segment_max + 1;
		struct pollfd item = { .fd = a->fd, .events = POLLIN };
		ssize_t got = poll(&item, 1, -1) < 0 ? -1 : recv(a->fd, piece, len, MSG_DONTWAIT);

		if (got < 0 && errno == EAGAIN)
			continue;
		if (got < 0) {
			a->error = errno;
			break;
		}
		if (got == 0) {
			a->saw_eof = true;
			break;
		}
		a->wrong_at = pattern_check(piece, a->seed, a->done, (size_t)got);
		a->done += (uint64_t)got;
		actor_pause(a, &state);
	}
	free(piece);
	a->is_finished = true;
	return NULL;
}

static void actor_start(struct actor *a, int fd, uint64_t seed, uint64_t bytes, uint32_t segment_max,
			void *(*run)(void *))
{
	a->fd = fd;
	a->seed = seed;
	a->bytes = bytes;
	a->segment_max = segment_max;
	a->wrong_at = -1;
	if (a->pause_us == 0)
		a->pause_us = 1;
	assert_int_equal(pthread_create(&a->thread, NULL, run, a), 0);
}

void actor_write(struct actor *a, int fd, uint64_t seed, uint64_t bytes, uint32_t segment_max)
{
	set_blocking(fd, true);
	actor_start(a, fd, seed, bytes, segment_max, writer_run);
}

void actor_read(struct actor *a, int fd, uint64_t seed, uint64_t bytes, uint32_t segment_max)
{
	actor_start(a, fd, seed, bytes, segment_max, reader_run);
}

void actor_join(struct actor *a)
{
	pthread_join(a->thread, NULL);
}

bool actor_finished(void *actor)
{
	return ((struct actor *)actor)->is_finished;
}
