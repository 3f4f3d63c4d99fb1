/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include "tests/bpf/rig.h"

/* What a test itself sends and receives, while its gateway works. */

/* Sends or receives all of it on any socket, the gateway working meanwhile. False: not within the time. */
bool send_all(struct rig *rig, int fd, const char *bytes, size_t len);
/*
 * Writes the pattern of this seed from `position` on, until nothing has been taken in quiet_ms turns of 1 ms,
 * or `max` bytes or up to a piece of 16 KiB more. Returns how many were taken.
 */
uint64_t send_until_full(struct rig *rig, int fd, uint64_t seed, uint64_t position, uint64_t max,
			 uint64_t quiet_ms);
size_t receive_some(struct rig *rig, int fd, char *bytes, size_t len, int limit_ms);
/* The pattern of this seed from `position` on, at most 200000 bytes; they fail the test. */
void send_pattern(struct rig *rig, int fd, uint64_t seed, uint64_t position, size_t len);
void expect(struct rig *rig, int fd, uint64_t seed, uint64_t position, size_t len);
void expect_nothing(struct rig *rig, int fd);

/* The same without failing it. False: too few bytes came in time, or wrong ones. */
bool read_pattern(struct rig *rig, int fd, uint64_t seed, uint64_t position, uint64_t len);
bool put(struct rig *rig, int fd, const char *text);
bool says(struct rig *rig, int fd, const char *text);
bool is_silent(struct rig *rig, int fd);

/* Until so many bytes wait in the queue, or came at all; they fail the test. */
void await_unread(int fd, int count);
void await_received(struct rig *rig, int fd, uint64_t bytes);
/*
 * The pattern from client to server, both ends threads. Returns how often everything stood still although the
 * server had read all that had arrived and the client had more: 25 turns of 1 ms or more. Not all of it is
 * sent when there are `enough` of these.
 */
int carry_stalls(struct rig_stream *stream, uint64_t bytes, int enough);

/*
 * Sends into the tunnel and keeps its processor for so long: the kernel worker that carries the bytes on does
 * not run. The caller stays on another processor meanwhile, and joins the thread.
 */
struct starver {
	pthread_t thread;
	int fd;
	int ms;
	atomic_bool has_sent;
};

void starver_start(struct starver *starver, const cpu_set_t *allowed);

/* This thread, and those it starts, on one of the allowed processors: the first or the last. */
void stay_on(const cpu_set_t *allowed, bool is_first);
