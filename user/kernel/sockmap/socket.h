/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "user/kernel/sockmap/worker.h"

/*
 * A gateway socket in the maps. It enters them once as a possible target, and leaves them when it is closed.
 * The verdict is attached to it only while it is the source of a direction. Targets and sources are different
 * sockets at any time: redirects into a socket and bytes that are passed up on it wait in the same queue of
 * the kernel, charged to no socket, and block each other. So one direction of a stream uses the kernel lane,
 * and the opposite one is ordinary.
 *
 * Life:   sockmap_socket_add -> { sockmap_direction_start ... end -> read, sockmap_socket_detach }* ->
 * sockmap_socket_remove -> close(fd)
 */
struct sockmap_direction;

struct sockmap_socket {
	struct sockmap_worker *worker; /* borrowed; NULL: not in the maps */
	int fd; /* borrowed; the caller closes it after sockmap_socket_remove() */
	struct sockmap_handle slot;
	uint64_t cookie;
	bool is_listed; /* the verdict would find its slot */
	bool is_source; /* the verdict sees what it receives */
	/*
	 * a direction to it was stopped without proof: redirects may wait in it, it can be no source any more
	 */
	bool is_doubtful;
	/* tcp_progress_position() when the verdict was attached, minus what the verdict had counted before */
	uint64_t base_position;
	uint64_t consumed_bytes; /* passed bytes read with recv(), by the lane or by the caller */
	struct sockmap_direction *inbound; /* the running direction that it is the source of */
	struct sockmap_direction *outbound; /* ... and the target of */
};

/*
 * Puts an established plain TCP socket into the maps, as a target for now. Sets TCP_NODELAY, SO_OOBINLINE and
 * an unlimited TCP_NOTSENT_LOWAT: the kernel forwards every skb at once, urgent bytes in line, and fills the
 * whole send buffer. Set keepalive and TCP_USER_TIMEOUT before. *socket belongs to the caller, and must not
 * move until sockmap_socket_remove(). Returns 0, -ENOSPC (no slot), -EOPNOTSUPP (not plain TCP, or the peer
 * has closed its side), -errno. On failure stay in the copy lane.
 */
int sockmap_socket_add(struct sockmap_worker *worker, struct sockmap_socket *socket, int fd);

/* True if it is in the maps. A zeroed struct is not, and NULL is not. */
static inline bool sockmap_socket_is_added(const struct sockmap_socket *socket)
{
	return socket && socket->worker != NULL;
}

/*
 * Reports that the caller has read `bytes` with recv() (not MSG_PEEK), between directions or after
 * SOCKMAP_STEP_TAKE.
 */
void sockmap_socket_note_read(struct sockmap_socket *socket, uint64_t bytes);

/*
 * Detaches the verdict: from now on the socket receives like any other. Call it between directions, after all
 * passed bytes have been read. Returns 0, also if no verdict was attached; -EAGAIN: bytes were passed up
 * meanwhile, recv() first; -EPROTO: an integrity error; -ENOTCONN (a side has sent FIN) or another -errno:
 * the verdict stays, recv() as before.
 */
int sockmap_socket_detach(struct sockmap_socket *socket);

/* True if all passed bytes have been read. Otherwise recv() may return EAGAIN a moment too early. */
bool sockmap_socket_is_drained(const struct sockmap_socket *socket);

/*
 * True if bytes of this source were lost or duplicated before they could be passed up: discard what recv()
 * returned since the last check, and reset the connection. Check it after each recv() between directions.
 */
bool sockmap_socket_has_integrity_error(const struct sockmap_socket *socket);

/*
 * Call when no direction uses it any more. Idempotent. Close the descriptor right afterwards: it must not be
 * used again.
 */
void sockmap_socket_remove(struct sockmap_socket *socket);

/*
 * For direction.c: from now on the verdict sees what arrives and what is already queued. Returns 0 or -errno.
 */
int sockmap_socket_attach(struct sockmap_socket *socket);
struct sockmap_record *sockmap_socket_record(const struct sockmap_socket *socket);
