/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "user/gate/worker.h"

/*
 * A gateway socket in the maps. It enters them once, serves any number of directions, as their source or
 * target, with changing partners, and leaves them only to be closed: taking a live socket out destroys the
 * bytes that wait in it. Between two directions it is an ordinary socket: recv() and send() as usual, every
 * recv() told here.
 *
 * Life:   gate_socket_add -> { gate_direction_start ... end -> recv, send }* -> gate_socket_remove ->
 * close(fd)
 */
struct gate_direction;

struct gate_socket {
	struct gate_worker *worker; /* borrowed; NULL: not in the maps */
	int fd; /* borrowed; the caller closes it after gate_socket_remove() */
	struct gate_handle slot;
	uint64_t cookie;
	bool is_source; /* the verdict sees what it receives; false until it is the source of a direction */
	uint64_t consumed_bytes; /* passed bytes taken out with recv(), by the lane or by the caller */
	struct gate_direction *inbound; /* the running direction this is the source of */
	struct gate_direction *outbound; /* ... and the target of */
};

/*
 * Puts an established plain TCP socket into the maps, as a target for now. Sets TCP_NODELAY, SO_OOBINLINE and
 * an unbounded TCP_NOTSENT_LOWAT: the kernel forwards every piece at once, urgent bytes in line, and fills
 * the whole send buffer. Set keepalive and TCP_USER_TIMEOUT before. *socket is the caller's, and must not
 * move until gate_socket_remove(). 0, -ENOSPC (no slot), -EOPNOTSUPP (not plain TCP, or the peer has closed
 * its side), -errno. On failure stay in the copy lane.
 */
int gate_socket_add(struct gate_worker *worker, struct gate_socket *socket, int fd);

/* Is it in the maps? A zeroed struct is not, and NULL is not. */
static inline bool gate_socket_is_added(const struct gate_socket *socket)
{
	return socket && socket->worker != NULL;
}

/* The caller has taken `bytes` out with recv() (not MSG_PEEK). No direction has it as its source. */
void gate_socket_note_read(struct gate_socket *socket, uint64_t bytes);

/*
 * Has everything that was received been read? recv() on a socket in the maps may say 0 (end) or EAGAIN while
 * passed bytes still wait behind redirected ones: believe an end only when this is true, else try again in a
 * millisecond.
 */
bool gate_socket_is_drained(const struct gate_socket *socket);

/*
 * Bytes of this source were lost or doubled before they could be passed up: what recv() gave since the last
 * check of this is not to be believed, reset the connection. Worth a look after each recv() between
 * directions.
 */
bool gate_socket_is_poisoned(const struct gate_socket *socket);

/* No direction uses it any more. Idempotent. Close the descriptor right after: it must not be used again. */
void gate_socket_remove(struct gate_socket *socket);

/* For pair.c: from now on the verdict sees what arrives, and what is queued already. 0 or -errno. */
int gate_socket_make_source(struct gate_socket *socket);
struct gate_record *gate_socket_record(const struct gate_socket *socket);
