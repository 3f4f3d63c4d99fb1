/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <assert.h>
#include <netinet/in.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "user/base/limits.h"
#include "user/restart/crash.h"
#include "user/obs/trace.h"

/*
 * Memory that outlives a gateway: created by the keeper before the first gateway, and shared by all that
 * follow. Unused pages cost nothing, so the tables have their maximum size.
 */
enum restart_phase {
	RESTART_STARTING,
	RESTART_READY, /* the gateway serves */
	RESTART_ENDING, /* the gateway is shutting down */
};

enum conn_status {
#define CONN_STATUS(id, name) CONN_STATUS_##id,
#include "user/restart/conn_status.def"
#undef CONN_STATUS
	CONN_STATUS_COUNT,
};

enum {
	/*
	 * Another one whenever an entry means something else and stream_fields.def is the same, also by a
	 * name that is made differently (checkpoint_route_name()): the new program would reset what it does
	 * not find.
	 */
	RESTART_LAYOUT_VERSION = 6,
	RESTART_DESCRIPTORS = 1 << 20, /* descriptors above have no status and are not resumed */
	RESTART_KEPT = 1 << 16, /* descriptors that were open before the first gateway */
	RESTART_OBJECTS = 512,
	RESTART_TEXT_BYTES = 40, /* of a stream's texts, in its entry */
	RESTART_LONG_TEXT_BYTES = 2048, /* if they are longer */
};

enum restart_lane {
	RESTART_LANE_COPY, /* no bytes wait in user space */
	RESTART_LANE_SOCKMAP,
	RESTART_LANE_DIRECT,
	RESTART_LANE_DONE, /* the direction has ended, and its last byte was sent */
};

/* One direction of a stream, as last written by its worker. */
struct restart_direction {
	/* Payload bytes by lane, excluding those that a running kernel direction counts itself. */
	uint64_t copied_bytes;
	union { /* Lane direct is for tunnels, lane pipe for bodies. */
		uint64_t piped_bytes;
		uint64_t direct_bytes;
	};
	uint64_t sockmap_bytes;
	uint64_t active_ms; /* CLOCK_MONOTONIC: when user space last moved a byte */
	uint8_t lane; /* enum restart_lane */
	bool is_direct; /* which member of the union is valid */
	atomic_uchar is_busy; /* bytes may be in the worker's memory, or the fields above are being written */
};

/* A slot in the maps of the sockmap lane; generation 0: none. */
struct restart_slot {
	uint32_t index;
	uint32_t generation;
};

enum restart_stream_kind {
	RESTART_STREAM_TCP,
	RESTART_STREAM_TLS, /* TLS passthrough */
	RESTART_STREAM_HTTP, /* CONNECT, or a connection that was upgraded */
	RESTART_STREAM_REQUEST, /* its head was sent, and no byte of a response was received */
	RESTART_STREAM_RESPONSE, /* the request is complete, and the response head was sent */
};

/*
 * A stream's entry, indexed by its client's descriptor: what a new process needs besides both connections.
 * Names are stored as hashes (hash_bytes()), by which the new process finds them in its configuration.
 */
struct restart_entry {
#define STREAM_FIELD(type, member, taken, put_back, is_sound) type member;
#define BODY_FIELD STREAM_FIELD
#include "user/restart/stream_fields.def"
#undef STREAM_FIELD
#undef BODY_FIELD
	/* method, host or server name, path; truncated to RESTART_LONG_TEXT_BYTES in total */
	uint16_t text_bytes[3];
	bool client_bypasses,
		backend_bypasses; /* the connection's bytes are in queues of the same-host lanes */
	int backend_fd;
	struct restart_direction directions[2]; /* from the client, to the client */
	struct restart_slot client_slot, backend_slot;
	uint64_t client_cookie, backend_cookie; /* SO_COOKIE: descriptor numbers are reused */
	char texts[RESTART_TEXT_BYTES];
};
static_assert(sizeof(struct restart_entry) <= 256, "what a stream costs");

/* What a PROXY header announced about a client's connection (user/restart/announced.h). */
struct restart_announced {
	atomic_uint_fast64_t cookie; /* SO_COOKIE of that connection; 0: none */
	struct sockaddr_in6 source, destination; /* or sockaddr_in; AF_UNSPEC: no addresses */
};

/* Descriptors of a kernel lane, in an order defined by the lane. */
struct restart_objects {
	uint32_t count; /* 0: none; written last */
	int list[RESTART_OBJECTS];
};

/* Why a gateway was started. */
enum restart_cause {
	RESTART_FIRST,
	RESTART_UPGRADE, /* in place of a process of another program */
	RESTART_CRASH, /* the one before it crashed, or could not start */
};

enum { RESTART_STARTS = 16 }; /* the last ones that are known */

struct restart_start {
	uint64_t wall_us;
	uint32_t cause; /* enum restart_cause */
};

struct restart_state {
	atomic_uint phase; /* enum restart_phase, of the running gateway */
	uint64_t lives; /* number of gateways started; written by the keeper, while none runs */
	struct restart_start starts[RESTART_STARTS]; /* number n, from 1, at n % RESTART_STARTS; likewise */
	atomic_uint_fast64_t crashes; /* written by the keeper */
	atomic_uint_fast64_t log_dropped; /* dropped lines of all processes (log_writer.h) */
	/* time that the configuration allows a gateway for its shutdown; 0: unknown */
	atomic_uint_fast64_t end_ms;
	uint32_t worker_count; /* workers of the first gateway that was ready; 0: none was */
	int oom_score; /* score of the keeper at its start (oom.h) */
	/* the old keeper during an upgrade; 0: none, or it was notified that we are ready */
	pid_t upgraded_from;
	atomic_bool is_handed_over; /* another program has our listening sockets */
	int new_process_fd; /* channel to the new program (user/restart/handoff_channel.h); -1: none */
	int old_process_fd; /* channel from the old program; -1: none */
	int old_health_fd; /* the same while it has the health of endpoints; also if layouts differ */
	uint32_t kept_count;
	int kept[RESTART_KEPT];
	/* Totals over all gateways; written by the main thread of the gateway. */
	uint64_t listeners_taken_over;
	uint64_t clients_taken_over;
	/* Written by workers. */
	atomic_uint_fast64_t tunnels_resumed;
	atomic_uint_fast64_t responses_resumed;
	atomic_uint_fast64_t requests_resumed;
	/* client connections that were reset, by status */
	atomic_uint_fast64_t not_resumed[CONN_STATUS_COUNT];
	/* New processes reuse them (user/gateway/kernel_lanes.c). */
	struct restart_objects sockmap_objects, local_objects;
	uint64_t serials[LIMIT_WORKERS]; /* last stream number by worker, so that no id repeats */
	struct crash crash;
	struct trace traces[LIMIT_WORKERS];
	atomic_uchar statuses[RESTART_DESCRIPTORS];
	/*
	 * All indexed by descriptor, with stream_count entries; NULL: not even address space could be
	 * reserved.
	 */
	struct restart_entry *streams;
	char (*long_texts)[RESTART_LONG_TEXT_BYTES];
	struct restart_announced *announced; /* the same; NULL: nothing can be recorded */
	uint32_t stream_count;
};

/* What each byte of an entry is and means (stream_fields.def). Another program may have another one. */
uint64_t restart_state_layout(void);
const char *conn_status_name(enum conn_status status);
/* NULL without memory. */
struct restart_state *restart_state_create(void);
/*
 * The entry of the stream whose client has this descriptor, if it can be resumed: both descriptors have their
 * status, and no bytes were in the memory of the process that had it. Otherwise NULL.
 */
struct restart_entry *restart_entry_resumable(struct restart_state *restart_state, int client_fd);
/* The memory of a stream's texts of `bytes` in total. NULL: too many bytes. */
char *restart_entry_texts(struct restart_state *restart_state, int client_fd, size_t bytes);
void restart_state_free(struct restart_state *restart_state);
/*
 * Records the descriptors that are open now, which new processes leave alone. 0, -E2BIG, or -errno of /proc.
 */
int restart_state_keep_descriptors(struct restart_state *restart_state);
bool restart_state_keeps(const struct restart_state *restart_state, int fd);

/* Called by the thread that owns the descriptor. Does nothing if restart state is NULL. */
static inline void conn_status_set(struct restart_state *restart_state, int fd, enum conn_status status)
{
	if (restart_state && fd >= 0 && fd < RESTART_DESCRIPTORS)
		atomic_store_explicit(&restart_state->statuses[fd], (unsigned char)status,
				      memory_order_relaxed);
}

static inline enum conn_status conn_status_of(const struct restart_state *restart_state, int fd)
{
	if (fd < 0 || fd >= RESTART_DESCRIPTORS)
		return CONN_STATUS_NONE;
	return (enum conn_status)atomic_load_explicit(&restart_state->statuses[fd], memory_order_relaxed);
}

/* The status of a stream that can be resumed. */
static inline enum conn_status conn_status_of_kind(enum restart_stream_kind kind)
{
	if (kind == RESTART_STREAM_REQUEST)
		return CONN_STATUS_WAITING;
	return kind == RESTART_STREAM_RESPONSE ? CONN_STATUS_RESPONSE : CONN_STATUS_TUNNEL;
}

static inline struct restart_entry *restart_entry(struct restart_state *restart_state, int client_fd)
{
	if (!restart_state || !restart_state->streams || client_fd < 0 ||
	    (uint32_t)client_fd >= restart_state->stream_count)
		return NULL;
	return &restart_state->streams[client_fd];
}

static inline void restart_state_set_phase(struct restart_state *restart_state, enum restart_phase phase)
{
	if (restart_state)
		atomic_store_explicit(&restart_state->phase, phase, memory_order_release);
}
