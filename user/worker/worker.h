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
 * One worker: a thread with its loop, its listeners, its clients, streams and pools. It shares no mutable
 * object with anybody; the main thread sends it messages and reads its counters.
 */
struct worker;

struct worker_options {
	uint32_t index;
	struct resolver *resolver; /* borrowed, thread-safe */
	struct proxy_shared *shared; /* borrowed */
	const struct inner *inner; /* borrowed, thread-safe: services of this process */
	struct gate *gate; /* borrowed; NULL: no kernel lane */
	struct near *near; /* borrowed, thread-safe; NULL: no same-host lanes */
	struct mailbox *owner; /* where answers go: the main thread */
	int access_log_fd;
	int syn_filter_program; /* borrowed; user/net/syn_filter.h, negative: none */
	struct trace *trace; /* borrowed; NULL: one of its own */
	uint64_t *serial; /* borrowed; of the last stream; NULL: they begin at 1 */
};

/*
 * Makes everything and starts the thread. Takes the snapshot reference. NULL on failure (the reference is
 * kept): no memory or thread, or `error` says why.
 */
struct worker *worker_start(const struct worker_options *options, struct snapshot *snapshot,
			    struct text *error);
/*
 * A new configuration for one worker: `listens` names every port it has; ports not named are closed and their
 * connections drain. Made first for all workers and then sent, so that a change reaches all of them or none.
 * Takes the snapshot reference on success; the descriptors when it is sent. NULL on no memory.
 */
struct worker_change *worker_change_create(struct snapshot *snapshot, const struct worker_listen *listens,
					   size_t count);
void worker_change_free(struct worker_change *change); /* one that was not sent; NULL is fine */
void worker_change_send(struct worker *worker, struct worker_change *change);
/*
 * A connection of a client that came in at this port: one that waits for nothing and has sent nothing, as if
 * it had just been accepted; or of a tunnel that another process had (user/restart/state.h, at this
 * descriptor), with that of its backend. Takes them on success: 0 or -ENOMEM. done, which may be NULL, is
 * called on the owner's loop: is_taken is false where they were reset here.
 */
int worker_adopt(struct worker *worker, int fd, uint16_t port, bool is_tunnel,
		 void (*done)(void *argument, bool is_taken), void *argument);
enum worker_phase {
	WORKER_DRAIN, /* go on accepting, answers say Connection: close */
	WORKER_GIVE, /* accept nothing, hand over what another program can go on with (quiesce.h) */
	WORKER_KEEP, /* that one takes nothing any more: drain */
	WORKER_CLOSE, /* close what is idle, end the ports (worker_ports_close), let streams finish */
};
/* 0 or -ENOMEM. */
int worker_set_phase(struct worker *worker, enum worker_phase phase);
/* From any thread: what the lanes have moved. */
/* From any thread: open clients, and whether WORKER_CLOSE was carried out, so that no more will come. */
uint64_t worker_open_clients(const struct worker *worker);
bool worker_has_closed(const struct worker *worker);
/* Answers on the owner's mailbox. 0 or -ENOMEM. list is the callee's. */
int worker_list_streams(struct worker *worker, bool history,
			void (*done)(void *argument, struct stream_list *list), void *argument);
int worker_close_stream(struct worker *worker, uint64_t id, void (*done)(void *argument, bool found),
			void *argument);
/* On the main thread. */
void worker_numbers(struct worker *worker, struct worker_numbers *ret_numbers);
/* Ends the loop and joins the thread; everything of the worker is freed. Streams still open are aborted. */
void worker_stop(struct worker *worker);
