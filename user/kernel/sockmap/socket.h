/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "user/kernel/sockmap/worker.h"

/*
 * A gateway socket in the maps. It enters them once as a possible target, and leaves them to be closed. While
 * it is the source of a direction, and only then, the verdict is attached to it as well. Targets and sources
 * are different sockets at any time: redirects into a socket and the bytes that are passed up on it wait in
 * the same queue of the kernel, charged to nobody, in front of each other. So one way of a stream rides the
 * kernel lane, and the other way is an ordinary one.
 *
 * Life:   gate_socket_add -> { gate_direction_start ... end -> take out, gate_socket_detach }* ->
 * gate_socket_remove -> close(fd)
 */
struct gate_direction;

struct gate_socket {
	struct gate_worker *worker; /* borrowed; NULL: not in the maps */
	int fd; /* borrowed; the caller closes it after gate_socket_remove() */
	struct gate_handle slot;
	uint64_t cookie;
	bool is_listed; /* the verdict would find its slot */
	bool is_source; /* the verdict sees what it receives */
	/* a direction to it was stopped without proof: redirects may wait in it, no source any more */
	bool is_doubtful;
	/* delivery_position() when the verdict came on, less what it had counted before */
	uint64_t base_position;
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

/* The caller has taken `bytes` out with recv() (not MSG_PEEK), between directions or after GATE_STEP_TAKE. */
void gate_socket_note_read(struct gate_socket *socket, uint64_t bytes);

/*
 * Takes the verdict off: from here on TCP alone keeps what is received, as on any socket. Between directions,
 * once everything that was passed up has been taken out. 0, also when it was off; -EAGAIN: bytes were passed
 * up meanwhile, recv() first; -EPROTO: poisoned; -ENOTCONN (a side has said FIN) or other -errno: it stays,
 * recv() as before.
 */
int gate_socket_detach(struct gate_socket *socket);

/* Has everything that was passed up been read? Else recv() may say EAGAIN a moment too early. */
bool gate_socket_is_drained(const struct gate_socket *socket);

/*
 * Bytes of this source were lost or doubled before they could be passed up: what recv() gave since the last
 * check of this is not to be believed, reset the connection. Worth a look after each recv() between
 * directions.
 */
bool gate_socket_is_poisoned(const struct gate_socket *socket);

/* No direction uses it any more. Idempotent. Close the descriptor right after: it must not be used again. */
void gate_socket_remove(struct gate_socket *socket);

/* For direction.c: from now on the verdict sees what arrives, and what is queued already. 0 or -errno. */
int gate_socket_attach(struct gate_socket *socket);
struct gate_record *gate_socket_record(const struct gate_socket *socket);
