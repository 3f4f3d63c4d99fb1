/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <sched.h>
#include <stddef.h>
#include <stdint.h>

#include "tests/bpf/rig.h"

/* What a test itself sends and receives, while its gateway works. */

/* Sends or receives all of it on any socket, the gateway working meanwhile. False: not within the time. */
bool send_all(struct rig *rig, int fd, const char *bytes, size_t len);
/*
 * Writes the pattern of this seed from `position` on, until nothing has been taken for quiet_ms, or `max`
 * bytes or up to a piece of 16 KiB more. Returns how many were taken.
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

/* This thread, and those it starts, on one of the allowed processors: the first or the last. */
void stay_on(const cpu_set_t *allowed, bool is_first);
