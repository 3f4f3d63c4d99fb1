/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <pthread.h>
#include <stdatomic.h>

#include "user/kernel/local/local.h"

/* The private part of struct local, for the files of this directory and their tests. */

enum local_map {
	LOCAL_MAP_RECORDS,
	LOCAL_MAP_OF,
	LOCAL_MAP_ENDS,
	LOCAL_MAP_SOCKETS,
	LOCAL_MAP_ANNOUNCED,
	LOCAL_MAP_LISTENERS,
	LOCAL_MAP_FALLS,
	LOCAL_MAP_BYPASS_OF,
	LOCAL_MAP_BYPASS_FALLS,
	LOCAL_MAP_RINGS,
	LOCAL_MAP_CLOSED_SOCKET,
	LOCAL_MAP_COUNT,
};

/*
 * A freed slot is not reused for this time: a program that was running when its direction stopped has ended
 * by then, and cannot count for the next direction.
 */
#define LOCAL_REST_NS (1000ull * 1000 * 1000)

struct local_free_slot {
	uint32_t index;
	uint64_t freed_ns; /* CLOCK_MONOTONIC, 0: never used */
};

struct local {
	struct local_record *records; /* mapped */
	uint32_t slot_count;
	uint32_t receiver_bytes;
	int map_fds[LOCAL_MAP_COUNT]; /* owner, -1: none */
	int sockops_fd, message_fd, read_fd; /* programs; owner */
	int sockops_link_fd, message_link_fd, read_link_fd; /* owner; -1: none (messages: before 6.10) */
	int closed_socket_fd,
		/* owner; a connection that is shut down: bypass_refuse() in local.bpf.c */
		closed_socket_peer_fd;
	uint32_t ring_count;
	int *ring_fds; /* owner */
	bool *ring_is_taken; /* owner; taken by a struct local_worker; under `lock` */
	/* integrity errors of bypassed connections: user space finds them, not the program */
	atomic_uint_fast64_t bypass_failures[LOCAL_REASON_COUNT];
	atomic_uint_fast64_t bypass_left[LOCAL_REASON_COUNT]; /* bypass_leave() */
	atomic_uint bypass_count; /* connections that bypass TCP now */
	atomic_uint bypass_slots; /* two for each of them, and for each that has left the lane */
	pthread_mutex_t lock; /* protects the ring of free slots and ring_is_taken */
	struct local_free_slot *free_slots; /* owner; ring of slot_count, oldest first */
	uint32_t free_first, free_count;
	/* Slots of a crashed process that were not resumed yet (resume.h); under `lock`. */
	bool *is_left; /* owner, by slot; NULL: none */
	uint32_t left_count;
};

/* Allocates without programs and maps. NULL: no memory. */
struct local *local_alloc(const struct local_options *options);
/* Maps the records of the map, and builds the ring of free slots. Returns 0 or -errno. */
int local_map_records(struct local *local);

/* Takes a slot and clears its record. Returns 0 or -ENOSPC. */
int local_slot_take(struct local *local, struct local_handle *ret_slot);
void local_slot_give(struct local *local, struct local_handle slot);

/*
 * Sets the cookies of the direction between these sockets. *ret_source: local socket. Errors:
 * local_direction_start().
 */
int local_ends_of(struct local_direction *d, int source_fd, int target_fd, struct local_end *ret_source);
/*
 * Ends an announced connection's wait for its other end. True: that will not become a local socket. False: it
 * has, and is known now.
 */
bool local_give_up(struct local *local, uint64_t cookie);
/* SO_COOKIE. 0 or -errno. */
int local_cookie(int fd, uint64_t *ret_cookie);
/* local_program() of a socket's entry. */
void local_end_program(const struct local_end *end, char ret_program[LOCAL_PROGRAM_BYTES]);
struct bypass;
/* From now on the ring of its worker gets the events for its sender. */
void bypass_enter(struct bypass *bypass);
/* Looks a socket up. Returns 0 or -ENOENT. */
int local_end_find(const struct local *local, uint64_t cookie, struct local_end *ret_end);
/* Bytes carried so far, counted before the redirect. */
uint64_t local_lane_bytes(const struct local_record *record, enum local_lane lane);
