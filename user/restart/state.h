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
enum estate_phase {
	ESTATE_STARTING,
	ESTATE_READY, /* it serves */
	ESTATE_ENDING, /* it was told to end */
};

enum estate_mark {
#define ESTATE_MARK(id, name) ESTATE_MARK_##id,
#include "user/restart/conn_status.def"
#undef ESTATE_MARK
	ESTATE_MARK_COUNT,
};

enum {
	/*
	 * Another one whenever a row means something else and stream_fields.def is the same, also by a name
	 * that is made differently (checkpoint_route_name()): the new program would reset what it does not
	 * find.
	 */
	ESTATE_LAYOUT_VERSION = 4,
	ESTATE_DESCRIPTORS = 1 << 20, /* above: not marked, not adopted */
	ESTATE_KEPT = 1 << 16, /* descriptors that were there before the first gateway */
	ESTATE_OBJECTS = 512,
	ESTATE_TEXT_BYTES = 40, /* of a stream, in its row */
	ESTATE_LONG_TEXT_BYTES = 2048, /* where they are longer */
};

enum estate_lane {
	ESTATE_LANE_COPY, /* nothing of it waits in user space */
	ESTATE_LANE_SOCKMAP,
	ESTATE_LANE_DIRECT,
	ESTATE_LANE_DONE, /* it has ended, and its last byte was sent */
};

/* One way of a stream as its worker left it. */
struct estate_way {
	/* Payload by lane, without what a running direction of the kernel's counts itself. */
	uint64_t copied_bytes;
	union { /* Lane direct is for tunnels, lane pipe for bodies. */
		uint64_t piped_bytes;
		uint64_t direct_bytes;
	};
	uint64_t sockmap_bytes;
	uint64_t active_ms; /* CLOCK_MONOTONIC: when a byte was moved last, in user space */
	uint8_t lane; /* enum estate_lane */
	bool is_direct; /* as of the union */
	atomic_uchar is_busy; /* bytes may be in the worker's memory, or the words above are being written */
};

/* A place in the maps of the sockmap lane; generation 0: none. */
struct estate_slot {
	uint32_t index;
	uint32_t generation;
};

enum estate_stream_kind {
	ESTATE_STREAM_TCP,
	ESTATE_STREAM_TLS, /* passed through */
	ESTATE_STREAM_HTTP, /* CONNECT, or a connection that was upgraded */
	ESTATE_STREAM_REQUEST, /* its head was sent, and nothing of an answer has come */
	ESTATE_STREAM_RESPONSE, /* the request is complete, and the head of its answer was sent */
};

/*
 * A stream, at the number of its client's descriptor: what a successor needs besides both connections. The
 * names are hashes of those in the configuration (hash_bytes()), where it looks for them.
 */
struct estate_stream {
#define STREAM_FIELD(type, member, taken, put_back, is_sound) type member;
#define BODY_FIELD STREAM_FIELD
#include "user/restart/stream_fields.def"
#undef STREAM_FIELD
#undef BODY_FIELD
	uint16_t text_bytes[3]; /* method, host or server name, path; cut to ESTATE_LONG_TEXT_BYTES in all */
	bool client_hops, backend_hops; /* their bytes are in queues of the same-host lanes */
	int backend_fd;
	struct estate_way ways[2]; /* from the client, to the client */
	struct estate_slot client_slot, backend_slot;
	uint64_t client_cookie, backend_cookie; /* SO_COOKIE: a number may be another socket's by now */
	char texts[ESTATE_TEXT_BYTES];
};
static_assert(sizeof(struct estate_stream) <= 256, "what a stream costs");

/* Descriptors of a kernel lane, in an order that it knows. */
struct estate_objects {
	uint32_t count; /* 0: none; written last */
	int list[ESTATE_OBJECTS];
};

struct estate {
	atomic_uint phase; /* enum estate_phase, of the gateway that runs */
	uint64_t lives; /* gateways that were started; written by the keeper, while none runs */
	atomic_uint_fast64_t deaths; /* written by the keeper */
	atomic_uint_fast64_t log_dropped; /* lines of all processes (log_writer.h) */
	atomic_uint_fast64_t end_ms; /* that a gateway may take to end, by its configuration; 0: not known */
	uint32_t worker_count; /* of the first gateway that was ready; 0: none was */
	int oom_score; /* as it was given to the keeper (oom.h) */
	pid_t upgraded_from; /* the keeper whose sockets we have; 0: none, or it was told that we are ready */
	atomic_bool is_handed_over; /* our sockets: another program has them */
	int heir_fd; /* to the program that is to take over (user/restart/handoff_channel.h); -1: none */
	int elder_fd; /* from the program whose sockets we have; -1: none */
	uint32_t kept_count;
	int kept[ESTATE_KEPT];
	/* Over all lives; written by the main thread of the gateway. */
	uint64_t listeners_adopted;
	uint64_t clients_adopted;
	/* By workers. */
	atomic_uint_fast64_t tunnels_adopted;
	atomic_uint_fast64_t responses_adopted;
	atomic_uint_fast64_t requests_adopted;
	atomic_uint_fast64_t not_adopted[ESTATE_MARK_COUNT]; /* client connections, by their mark */
	/* Successors go on with them (user/gateway/kernel_lanes.c). */
	struct estate_objects gate_objects, near_objects;
	uint64_t serials[LIMIT_WORKERS]; /* of streams, by worker: no id comes twice */
	struct crash crash;
	struct trace traces[LIMIT_WORKERS];
	atomic_uchar marks[ESTATE_DESCRIPTORS];
	/* Both by descriptor, of stream_count each; NULL: no memory for so much as a reservation. */
	struct estate_stream *streams;
	char (*long_texts)[ESTATE_LONG_TEXT_BYTES];
	uint32_t stream_count;
};

/* What each byte of a row is and means (stream_fields.def). Another program may have another one. */
uint64_t estate_layout(void);
const char *estate_mark_name(enum estate_mark mark);
/* NULL without memory. */
struct estate *estate_create(void);
/*
 * The row of the stream whose client has this descriptor, when it can go on: marked, with a backend that is,
 * and with no byte in the memory of who had it. Else NULL.
 */
struct estate_stream *estate_adoptable(struct estate *estate, int client_fd);
/* Where a stream's texts are, of `bytes` in all; the caller keeps to what fits. NULL: they do not. */
char *estate_texts(struct estate *estate, int client_fd, size_t bytes);
void estate_free(struct estate *estate);
/* Notes what is open now: a successor leaves that alone. 0, -E2BIG, or -errno of /proc. */
int estate_keep_descriptors(struct estate *estate);
bool estate_keeps(const struct estate *estate, int fd);

/* By the thread that owns the descriptor. estate: NULL does nothing. */
static inline void estate_mark(struct estate *estate, int fd, enum estate_mark mark)
{
	if (estate && fd >= 0 && fd < ESTATE_DESCRIPTORS)
		atomic_store_explicit(&estate->marks[fd], (unsigned char)mark, memory_order_relaxed);
}

static inline enum estate_mark estate_mark_of(const struct estate *estate, int fd)
{
	if (fd < 0 || fd >= ESTATE_DESCRIPTORS)
		return ESTATE_MARK_NONE;
	return (enum estate_mark)atomic_load_explicit(&estate->marks[fd], memory_order_relaxed);
}

/* Of a stream that can go on. */
static inline enum estate_mark estate_mark_of_kind(enum estate_stream_kind kind)
{
	if (kind == ESTATE_STREAM_REQUEST)
		return ESTATE_MARK_WAITING;
	return kind == ESTATE_STREAM_RESPONSE ? ESTATE_MARK_RESPONSE : ESTATE_MARK_TUNNEL;
}

static inline struct estate_stream *estate_stream(struct estate *estate, int client_fd)
{
	if (!estate || !estate->streams || client_fd < 0 || (uint32_t)client_fd >= estate->stream_count)
		return NULL;
	return &estate->streams[client_fd];
}

static inline void estate_set_phase(struct estate *estate, enum estate_phase phase)
{
	if (estate)
		atomic_store_explicit(&estate->phase, phase, memory_order_release);
}
