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
 * accepts at most LIMIT_ACCEPT_BURST connections. Without memory, or without descriptors that make_room()
 * could free, accepting pauses for LIMIT_ACCEPT_PAUSE_MS, one queued connection is reset so that its client
 * does not wait, and one line is logged.
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
	bool is_barred; /* accepted sockets inherit the filter */
	int reserve_fd; /* owner; -1: could not be reopened */
	struct address local;
	uint64_t accepted_count;
	uint64_t backoff_count;
	uint64_t refused_count; /* connections reset because no descriptor was free */
	struct log_rate backoff_log;
	/*
	 * Takes ownership of fd. May stop the listener. peer: valid during the call; IPv4-mapped became IPv4.
	 */
	void (*on_accept)(struct net_listener *listener, int fd, const struct address *peer);
	/*
	 * May be NULL; set it after the start. Called without a free descriptor; returns true if one was
	 * freed.
	 */
	bool (*make_room)(struct net_listener *listener);
	/*
	 * May be NULL; set it after the start. Called when a back-off starts, see the counters. May stop the
	 * listener.
	 */
	void (*on_pause)(struct net_listener *listener);
};

/* Takes ownership of fd only on success. Returns 0, -ENOSPC of the loop, or -errno. */
int net_listener_start(struct net_listener *listener, struct loop *loop, int fd,
		       void (*on_accept)(struct net_listener *listener, int fd, const struct address *peer));
/*
 * Admits no new handshake any more; those under way complete and are accepted (user/net/syn_filter.h, also
 * for program). Without this, a connection that completes between flush and stop would be reset. Returns 0
 * (also if it was called before), -EBADF after a stop, or -errno of syn_filter_attach(): then nothing has
 * changed.
 */
int net_listener_bar(struct net_listener *listener, int program);
/*
 * Accepts all queued connections, in any state. Call it right before a stop, because closing a listening
 * socket resets the connections in its queue. Returns how many were accepted.
 */
unsigned int net_listener_flush(struct net_listener *listener);
/*
 * Closes the socket and the reserve. Idempotent, also after a failed start; allowed in on_accept, so the
 * object must live until the end of the turn (loop_defer).
 */
void net_listener_stop(struct net_listener *listener);
