/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <pthread.h>

#include "config/model.h"
#include "user/loop/mailbox.h"
#include "user/net/resolver.h"
#include "user/obs/numbers.h"
#include "user/client/worker_state.h"
#include "user/stream/view.h"
#include "user/worker/worker_ports.h"

/*
 * One worker: a thread with its loop, its listeners, clients, streams and pools. It shares no mutable object
 * with other threads; the main thread sends it messages and reads its counters.
 */
struct worker;

struct worker_options {
	uint32_t index;
	struct resolver *resolver; /* borrowed, thread-safe */
	struct proxy_shared *shared; /* borrowed */
	const struct inner *inner; /* borrowed, thread-safe: services of this process */
	struct sockmap *sockmap; /* borrowed; NULL: no kernel lane */
	struct local *local; /* borrowed, thread-safe; NULL: no same-host lanes */
	struct mailbox *owner; /* receives responses: the main thread */
	int access_log_fd;
	int syn_filter_program; /* borrowed; user/net/syn_filter.h, negative: none */
	struct trace *trace; /* borrowed; NULL: its own */
	uint64_t *serial; /* borrowed; of the last stream; NULL: starts at 1 */
};

/*
 * Creates everything and starts the thread. Takes the snapshot reference. Returns NULL on failure (the
 * reference is not taken): no memory or thread, or `error` has the reason.
 */
struct worker *worker_start(const struct worker_options *options, struct snapshot *snapshot,
			    struct text *error);
/*
 * A new configuration for one worker: `listens` names all of its ports; other ports are closed and their
 * connections drain. Create it for all workers before sending it to any, so that a change reaches all or
 * none. Takes the snapshot reference on success, and the descriptors when it is sent. NULL without memory.
 */
struct worker_change *worker_change_create(struct snapshot *snapshot, const struct worker_listen *listens,
					   size_t count);
/* The same for a copy of the snapshot in use (snapshot_copy()): its ports are the same. */
struct worker_change *worker_endpoints_create(struct snapshot *copy);
void worker_change_free(struct worker_change *change); /* one that was not sent; NULL allowed */
void worker_change_send(struct worker *worker, struct worker_change *change);
/*
 * Takes over a client's connection to the address `local`: an idle one, as if it had just been accepted, or
 * that of a stream of another process (its entry is at this descriptor, user/restart/state.h) with the
 * connection to its backend. Owns them on success: 0 or -ENOMEM. Resets those that it cannot resume.
 */
int worker_take_over(struct worker *worker, int fd, const struct address *local, bool is_stream);
enum worker_phase {
	WORKER_DRAIN, /* keep accepting; responses have Connection: close */
	WORKER_HAND_OFF, /* accept nothing, hand over what the new program can resume (quiesce.h) */
	WORKER_CLOSE, /* close what is idle, end the ports (worker_ports_close), let streams finish */
};
/* 0 or -ENOMEM. */
int worker_set_phase(struct worker *worker, enum worker_phase phase);
/* From any thread: open clients, and whether WORKER_CLOSE was executed, so that no more clients will come. */
uint64_t worker_open_clients(const struct worker *worker);
bool worker_has_closed(const struct worker *worker);
/*
 * The result comes on the owner's mailbox. 0 or -ENOMEM. The callee owns the list; the query must live until
 * then.
 */
int worker_list_streams(struct worker *worker, const struct stream_query *query,
			void (*done)(void *argument, struct stream_list *list), void *argument);
int worker_close_stream(struct worker *worker, uint64_t id, void (*done)(void *argument, bool found),
			void *argument);
/* On the main thread. */
void worker_numbers(struct worker *worker, struct worker_numbers *ret_numbers);
/*
 * Aborts open streams, ends the loops at the same time, joins the threads, and frees everything of the
 * workers.
 */
void workers_stop(struct worker **list, uint32_t count);
