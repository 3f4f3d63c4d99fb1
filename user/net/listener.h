/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "user/base/log.h"
#include "user/loop/loop.h"
#include "user/net/address.h"

/*
 * Accepts connections of one listening socket (user/net/listen.h) in a worker's loop.
 *
 * Invariants: accepting never takes the last descriptor (each listener holds one in reserve); a wake-up
 * accepts at most LIMIT_ACCEPT_BURST connections; out of descriptors (and make_room() finds none) or memory,
 * accepting pauses for
 * LIMIT_ACCEPT_PAUSE_MS, one queued connection is reset so that its client does not wait, and one line is
 * logged.
 */

enum net_listener_state {
	NET_LISTENER_STOPPED,
	NET_LISTENER_ACCEPTING,
	NET_LISTENER_BACKOFF, /* until the timer fires */
};

struct net_listener {
	struct loop *loop; /* borrowed */
	struct loop_source source; /* source.fd: owner */
	struct timer backoff;
	enum net_listener_state state;
	bool is_barred; /* what is accepted inherits a filter */
	int reserve_fd; /* owner; -1 while it could not be reopened */
	struct address local;
	uint64_t accepted_count;
	uint64_t backoff_count;
	uint64_t refused_count; /* connections reset for want of a descriptor */
	struct log_rate backoff_log;
	/* Takes fd. May stop the listener. peer: for the call, IPv4-mapped became IPv4. */
	void (*on_accept)(struct net_listener *listener, int fd, const struct address *peer);
	/* May be NULL; set after the start. No descriptor is left: true when there may be one now. */
	bool (*make_room)(struct net_listener *listener);
	/* May be NULL; set after the start. A back-off began: see the counters. May stop the listener. */
	void (*on_pause)(struct net_listener *listener);
};

/* Takes fd on success only. 0, -ENOSPC of the loop, or -errno. */
int net_listener_start(struct net_listener *listener, struct loop *loop, int fd,
		       void (*on_accept)(struct net_listener *listener, int fd, const struct address *peer));
/*
 * Lets no new connection begin, for good; what has begun completes and is accepted (user/net/syn_filter.h,
 * also for program). Without it, a connection that completes between a flush and the stop is reset. 0 (also
 * when it was done before), -EBADF once stopped, or -errno of syn_filter_attach(): then everything goes on as
 * before.
 */
int net_listener_bar(struct net_listener *listener, int program);
/*
 * Accepts everything the kernel has queued, whatever the state: right before a stop, since closing a
 * listening socket resets the connections in its queue. Returns how many.
 */
unsigned int net_listener_flush(struct net_listener *listener);
/*
 * Closes the socket and the reserve. Idempotent, also after a failed start; allowed in on_accept, so the
 * object must stay until the end of the turn (loop_defer).
 */
void net_listener_stop(struct net_listener *listener);
