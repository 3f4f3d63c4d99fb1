/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Clients and servers of the tests: threads that write or check a byte pattern. */

/* Byte `position` of the stream with this seed. */
void pattern_fill(char *out, uint64_t seed, uint64_t position, size_t len);
/* Position of the first wrong byte, or -1. */
int64_t pattern_check(const char *bytes, uint64_t seed, uint64_t position, size_t len);

/* A thread that writes the pattern on a blocking socket, or reads it after poll(). */
struct actor {
	pthread_t thread;
	int fd;
	uint64_t seed;
	uint64_t bytes; /* to write, or expected */
	uint32_t segment_max; /* random pieces of 1..segment_max bytes */
	uint32_t pause_us; /* random pauses up to this between some pieces */
	uint32_t pause_every; /* one pause in that many pieces; 0: none */
	bool (*await_room)(int fd); /* writer: behind EPIPE; NULL: an error like others */
	bool shuts_down; /* writer: SHUT_WR at the end */
	bool expects_eof; /* reader: goes on to the end of the stream */
	/* results */
	uint64_t done;
	int64_t wrong_at; /* -1: all right */
	int error; /* errno */
	bool saw_eof;
	_Atomic bool is_finished;
};

void actor_write(struct actor *actor, int fd, uint64_t seed, uint64_t bytes, uint32_t segment_max);
void actor_read(struct actor *actor, int fd, uint64_t seed, uint64_t bytes, uint32_t segment_max);
void actor_join(struct actor *actor);
bool actor_finished(void *actor); /* is_done */
