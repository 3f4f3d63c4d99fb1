/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "user/restart/state.h"

/*
 * The channel over which a gateway that is replaced hands over what it has to the one that replaces it, while
 * both run: a pair of sockets (SOCK_SEQPACKET), made by the keeper that starts the other program. The new one
 * says hello when it serves; from then on the old one sends items with descriptors and gets an answer to
 * each. Nothing of it is read or written by anybody else.
 */
enum {
	/*
	 * Of what an item says beside stream_fields.def (estate_layout()). A program of another version or
	 * layout is handed nothing: the old one drains.
	 */
	HANDOVER_VERSION = 3,
	HANDOVER_MAGIC = 0x68673031,
};

struct handover_answer {
	uint64_t number;
	bool is_taken; /* else it is the sender's as before */
};

/* Both ends close at execve(2). 0 or -errno. */
int handover_pair(int *ret_from, int *ret_to);
/* Once, by who takes. 0 or -errno. */
int handover_say_hello(int fd);
/* Whether the other one has said it, and means the same by an item: 0, -EAGAIN, -EPROTONOSUPPORT, -errno. */
int handover_hear_hello(int fd);
/* Descriptors are duplicated. 0, -EAGAIN, or -errno. */
int handover_send(int fd, const struct handover_item *item);
/* Descriptors are the caller's. 1; 0: the other one is gone; -EAGAIN; -EBADMSG: closed again; -errno. */
int handover_receive(int fd, struct handover_item *ret_item);
/*
 * The stream's row in this process: what it says is no other than what came, both sockets are those it means,
 * and from here on they are marked. 0, -ERANGE (no room for a descriptor as high), or -ESTALE.
 */
int handover_write_row(struct estate *estate, const struct handover_item *item);
/* 0 or -errno: it cannot be told. */
int handover_answer(int fd, const struct handover_answer *answer);
/* 1; 0: the other one is gone; -EAGAIN; -errno. */
int handover_hear_answer(int fd, struct handover_answer *ret_answer);
