/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <assert.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "user/base/limits.h"
#include "user/restart/crash.h"
#include "user/obs/trace.h"

/*
 * Memory that outlives a gateway: made by the keeper before the first one, shared by all that follow. Pages
 * nobody writes to cost nothing, so the tables are as large as they may ever have to be.
 */
enum restart_phase {
	RESTART_STARTING,
	RESTART_READY, /* it serves */
	RESTART_ENDING, /* it was told to end */
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
	RESTART_LAYOUT_VERSION = 4,
	RESTART_DESCRIPTORS = 1 << 20, /* above: not marked, not taken over */
	RESTART_KEPT = 1 << 16, /* descriptors that were there before the first gateway */
	RESTART_OBJECTS = 512,
	RESTART_TEXT_BYTES = 40, /* of a stream, in its entry */
	RESTART_LONG_TEXT_BYTES = 2048, /* where they are longer */
};

enum restart_lane {
	RESTART_LANE_COPY, /* nothing of it waits in user space */
	RESTART_LANE_SOCKMAP,
	RESTART_LANE_DIRECT,
	RESTART_LANE_DONE, /* it has ended, and its last byte was sent */
};

/* One way of a stream as its worker left it. */
struct restart_direction {
	/* Payload by lane, without what a running direction of the kernel's counts itself. */
	uint64_t copied_bytes;
	union { /* Lane direct is for tunnels, lane pipe for bodies. */
		uint64_t piped_bytes;
		uint64_t direct_bytes;
	};
	uint64_t sockmap_bytes;
	uint64_t active_ms; /* CLOCK_MONOTONIC: when a byte was moved last, in user space */
	uint8_t lane; /* enum restart_lane */
	bool is_direct; /* as of the union */
	atomic_uchar is_busy; /* bytes may be in the worker's memory, or the words above are being written */
};

/* A place in the maps of the sockmap lane; generation 0: none. */
struct restart_slot {
	uint32_t index;
	uint32_t generation;
};

enum restart_stream_kind {
	RESTART_STREAM_TCP,
	RESTART_STREAM_TLS, /* passed through */
	RESTART_STREAM_HTTP, /* CONNECT, or a connection that was upgraded */
	RESTART_STREAM_REQUEST, /* its head was sent, and nothing of an answer has come */
	RESTART_STREAM_RESPONSE, /* the request is complete, and the head of its answer was sent */
};

/*
 * A stream, at the number of its client's descriptor: what the new process needs besides both connections.
 * The names are hashes of those in the configuration (hash_bytes()), where it looks for them.
 */
struct restart_entry {
#define STREAM_FIELD(type, member, taken, put_back, is_sound) type member;
#define BODY_FIELD STREAM_FIELD
#include "user/restart/stream_fields.def"
#undef STREAM_FIELD
#undef BODY_FIELD
	uint16_t text_bytes[3]; /* method, host or server name, path; cut to RESTART_LONG_TEXT_BYTES in all */
	bool client_bypasses, backend_bypasses; /* their bytes are in queues of the same-host lanes */
	int backend_fd;
	struct restart_direction directions[2]; /* from the client, to the client */
	struct restart_slot client_slot, backend_slot;
	uint64_t client_cookie, backend_cookie; /* SO_COOKIE: a number may be another socket's by now */
	char texts[RESTART_TEXT_BYTES];
};
static_assert(sizeof(struct restart_entry) <= 256, "what a stream costs");

/* Descriptors of a kernel lane, in an order that it knows. */
struct restart_objects {
	uint32_t count; /* 0: none; written last */
	int list[RESTART_OBJECTS];
};

struct restart_state {
	atomic_uint phase; /* enum restart_phase, of the gateway that runs */
	uint64_t lives; /* gateways that were started; written by the keeper, while none runs */
	atomic_uint_fast64_t crashes; /* written by the keeper */
	atomic_uint_fast64_t log_dropped; /* lines of all processes (log_writer.h) */
	atomic_uint_fast64_t end_ms; /* that a gateway may take to end, by its configuration; 0: not known */
	uint32_t worker_count; /* of the first gateway that was ready; 0: none was */
	int oom_score; /* as it was given to the keeper (oom.h) */
	pid_t upgraded_from; /* the keeper whose sockets we have; 0: none, or it was told that we are ready */
	atomic_bool is_handed_over; /* our sockets: another program has them */
	/* to the program that is to take over (user/restart/handoff_channel.h); -1: none */
	int new_process_fd;
	int old_process_fd; /* from the program whose sockets we have; -1: none */
	uint32_t kept_count;
	int kept[RESTART_KEPT];
	/* Over all lives; written by the main thread of the gateway. */
	uint64_t listeners_taken_over;
	uint64_t clients_taken_over;
	/* By workers. */
	atomic_uint_fast64_t tunnels_resumed;
	atomic_uint_fast64_t responses_resumed;
	atomic_uint_fast64_t requests_resumed;
	atomic_uint_fast64_t not_resumed[CONN_STATUS_COUNT]; /* client connections, by their status */
	/* New processes go on with them (user/gateway/kernel_lanes.c). */
	struct restart_objects sockmap_objects, local_objects;
	uint64_t serials[LIMIT_WORKERS]; /* of streams, by worker: no id comes twice */
	struct crash crash;
	struct trace traces[LIMIT_WORKERS];
	atomic_uchar statuses[RESTART_DESCRIPTORS];
	/* Both by descriptor, of stream_count each; NULL: no memory for so much as a reservation. */
	struct restart_entry *streams;
	char (*long_texts)[RESTART_LONG_TEXT_BYTES];
	uint32_t stream_count;
};

/* What each byte of an entry is and means (stream_fields.def). Another program may have another one. */
uint64_t restart_state_layout(void);
const char *conn_status_name(enum conn_status status);
/* NULL without memory. */
struct restart_state *restart_state_create(void);
/*
 * The entry of the stream whose client has this descriptor, when it can go on: marked, with a backend that
 * is, and with no byte in the memory of who had it. Else NULL.
 */
struct restart_entry *restart_entry_resumable(struct restart_state *restart_state, int client_fd);
/* Where a stream's texts are, of `bytes` in all; the caller keeps to what fits. NULL: they do not. */
char *restart_entry_texts(struct restart_state *restart_state, int client_fd, size_t bytes);
void restart_state_free(struct restart_state *restart_state);
/* Notes what is open now: the new process leaves that alone. 0, -E2BIG, or -errno of /proc. */
int restart_state_keep_descriptors(struct restart_state *restart_state);
bool restart_state_keeps(const struct restart_state *restart_state, int fd);

/* By the thread that owns the descriptor. restart state: NULL does nothing. */
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

/* Of a stream that can go on. */
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
