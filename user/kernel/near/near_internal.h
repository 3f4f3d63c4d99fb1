/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <pthread.h>
#include <stdatomic.h>

#include "user/kernel/near/near.h"

/* The private part of struct near, for near*.c and their tests. */

enum near_map {
	NEAR_MAP_RECORDS,
	NEAR_MAP_OF,
	NEAR_MAP_ENDS,
	NEAR_MAP_SOCKETS,
	NEAR_MAP_ANNOUNCED,
	NEAR_MAP_LISTENERS,
	NEAR_MAP_FALLS,
	NEAR_MAP_HOP_OF,
	NEAR_MAP_HOP_FALLS,
	NEAR_MAP_RINGS,
	NEAR_MAP_DAM,
	NEAR_MAP_COUNT,
};

/*
 * A freed slot is not reused for this time: a program that was running when its direction stopped has ended
 * by then, and cannot count for the next direction.
 */
#define NEAR_REST_NS (1000ull * 1000 * 1000)

struct near_free_slot {
	uint32_t index;
	uint64_t freed_ns; /* CLOCK_MONOTONIC, 0: never used */
};

struct near {
	struct near_record *records; /* mapped */
	uint32_t slot_count;
	uint32_t receiver_bytes;
	int map_fds[NEAR_MAP_COUNT]; /* owner, -1: none */
	int sockops_fd, message_fd, read_fd; /* programs; owner */
	int sockops_link_fd, message_link_fd, read_link_fd; /* owner; -1: none (messages: before 6.10) */
	int dam_fd, dam_peer_fd; /* owner; a connection that is shut down: hop_refuse() in near.bpf.c */
	uint32_t ring_count;
	int *ring_fds; /* owner */
	bool *ring_is_taken; /* owner; taken by a struct near_worker; under `lock` */
	/* integrity errors of bypassed connections: user space finds them, not the program */
	atomic_uint_fast64_t hop_failures[NEAR_REASON_COUNT];
	atomic_uint hop_count; /* connections that bypass TCP now */
	pthread_mutex_t lock; /* protects the ring of free slots and ring_is_taken */
	struct near_free_slot *free_slots; /* owner; ring of slot_count, oldest first */
	uint32_t free_first, free_count;
	/* Slots of a crashed process that were not resumed yet (adopt.h); under `lock`. */
	bool *is_left; /* owner, by slot; NULL: none */
	uint32_t left_count;
};

/* Allocates without programs and maps. NULL: no memory. */
struct near *near_alloc(const struct near_options *options);
/* Maps the records of the map, and builds the ring of free slots. Returns 0 or -errno. */
int near_map_records(struct near *near);

/* Takes a slot and clears its record. Returns 0 or -ENOSPC. */
int near_slot_take(struct near *near, struct near_handle *ret_slot);
void near_slot_give(struct near *near, struct near_handle slot);

/*
 * Sets the cookies of the direction between these sockets. *ret_source: near socket. Errors:
 * near_direction_start().
 */
int near_ends_of(struct near_direction *d, int source_fd, int target_fd, struct near_end *ret_source);
/* SO_COOKIE. 0 or -errno. */
int near_cookie(int fd, uint64_t *ret_cookie);
struct hop;
/* From now on the ring of its worker gets the events for its sender. */
void hop_enter(struct hop *hop);
/* Looks a socket up. Returns 0 or -ENOENT. */
int near_end_find(const struct near *near, uint64_t cookie, struct near_end *ret_end);
/* Bytes carried so far, counted before the redirect. */
uint64_t near_lane_bytes(const struct near_record *record, enum near_lane lane);
