/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "user/upstream/dial.h"

/*
 * A check over TCP: connects, with the handshake of TLS if the options ask for it, sends bytes, and looks
 * for bytes in what comes. It is a member of its owner's object.
 *
 * Life: tcp_check_client_init() -> the owner sets what stands above the line -> tcp_check_client_start() ->
 * on_end(), or tcp_check_client_stop() at any time -> tcp_check_client_done() in a later turn. Neither start
 * nor stop calls back.
 */
struct tcp_check_client {
	struct dial_options options; /* with a deadline; borrowed members live until the client has stopped */
	struct span send; /* borrowed, like the next one; empty: nothing */
	struct span receive; /* empty: a connection is enough */
	/* Once. why: empty if the check passed, otherwise a static text; error: -errno, 0: none. */
	void (*on_end)(struct tcp_check_client *client, struct span why, int error);
	/* ---- */
	struct upstream_pool *pool; /* borrowed */
	struct dial dial;
	struct upstream *upstream; /* owner; NULL until connected */
	struct timer timer;
	struct buf received;
	bool is_over;
	struct span failed; /* why the dial failed at once; static */
	struct loop_deferred again;
};

void tcp_check_client_init(struct tcp_check_client *client, struct upstream_pool *pool);
void tcp_check_client_start(struct tcp_check_client *client);
void tcp_check_client_stop(struct tcp_check_client *client); /* idempotent */
void tcp_check_client_done(struct tcp_check_client *client);
