/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "user/loop/loop.h"
#include "user/net/address.h"
#include "user/net/socket.h"

/*
 * Connects to the first address of a list that accepts, one after the other, before a deadline.
 *
 * Each attempt gets an equal share of the time that is left: remaining / addresses left, at least
 * NET_CONNECT_SHARE_MIN_MS (and never more than remains), so that one address that drops packets cannot use
 * up the time of the others. The last address gets all that remains. Without a deadline, every address but
 * the last gets NET_CONNECT_SHARE_MAX_MS, and the last one as long as the kernel tries (about two minutes,
 * tcp_syn_retries).
 *
 * The callback runs from the loop, exactly once, never inside net_connect_start(): a result that is known at
 * once is delivered at the end of the turn (connected: Unix sockets) or in the next one (failed: no socket,
 * no route). The callback may free or restart the object, which is not accessed afterwards. Nothing is
 * allocated.
 */
enum {
	NET_CONNECT_SHARE_MIN_MS = 250,
	NET_CONNECT_SHARE_MAX_MS = 10000,
	/*
	 * Pause before the next attempt when the queue of a Unix listener is full (EAGAIN, which epoll cannot
	 * report).
	 */
	NET_CONNECT_UNIX_RETRY_MS = 10,
};

enum net_connect_state {
	NET_CONNECT_IDLE,
	NET_CONNECT_TRYING, /* in epoll until writable */
	NET_CONNECT_RETRY, /* Unix listener with a full queue: waits for the timer */
	NET_CONNECT_DELIVER, /* result known: callback in the same or the next turn */
};

struct net_connect {
	struct loop *loop; /* borrowed */
	struct loop_source source; /* source.fd: owner of the current socket, -1 without one */
	struct timer timer; /* end of the current attempt, or the next retry */
	struct loop_deferred deliver;
	const struct address *list; /* borrowed until the callback or the cancel */
	uint32_t count;
	uint32_t index; /* the current address */
	uint64_t deadline_ms; /* loop time; 0: none */
	uint64_t try_deadline_ms; /* end of this address' share; 0: none */
	struct socket_keepalive keepalive;
	/* Called with each new socket before connect(2); may be NULL. Set it between init and start. */
	void (*on_socket)(struct net_connect *job, int fd);
	/* Borrowed; NULL: none. This address fails with NET_CONNECT_AVOIDED. */
	const struct address *avoid;
	/* May be NULL. False: this address fails with NET_CONNECT_FORBIDDEN, and nothing is sent to it. */
	bool (*may_connect)(struct net_connect *job, const struct address *address);
	/* This and the next may be NULL. Called without a free descriptor; returns true if one was freed. */
	bool (*make_room)(struct net_connect *job);
	/*
	 * May this new descriptor be used? May replace it by another number; false: the attempt fails with
	 * -EMFILE.
	 */
	bool (*may_use)(struct net_connect *job, int *fd);
	enum net_connect_state state;
	int result;
	/*
	 * result 0: fd is a connected socket, which the callee owns, with TCP_NODELAY and the keepalive
	 * options set; index is that of the address that accepted. Otherwise result is -errno of the last
	 * attempt, -ETIMEDOUT after the deadline, or -EDESTADDRREQ for an empty list; fd is -1.
	 */
	void (*on_done)(struct net_connect *job, int result, int fd, uint32_t index);
};

/* connect(2) returns neither. */
#define NET_CONNECT_AVOIDED (-EDEADLK)
#define NET_CONNECT_FORBIDDEN (-EBADRQC)

/* Afterwards the object is idle and may be cancelled. */
void net_connect_init(struct net_connect *job,
		      void (*on_done)(struct net_connect *job, int result, int fd, uint32_t index));
/*
 * Starts with list[0]. deadline_ms is in loop_now_ms() time. keepalive may be NULL and is copied. job must be
 * idle.
 */
void net_connect_start(struct net_connect *job, struct loop *loop, const struct address *list, uint32_t count,
		       uint64_t deadline_ms, const struct socket_keepalive *keepalive);
/*
 * True if the result of on_done() is no fault of the addresses: this process has no descriptor, memory or
 * space in the loop left.
 */
bool net_connect_failed_here(int result);
/* Ends without a callback. Idempotent; allowed in any state. The object may be freed afterwards. */
void net_connect_cancel(struct net_connect *job);
