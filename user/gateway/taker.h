/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "user/loop/loop.h"

struct gateway;

/*
 * Takes what the program before hands over while it drains (user/restart/handoff_channel.h): each item goes
 * to a worker, which adopts it like what a gateway that died has left, and what has become of it is the
 * answer.
 */
struct taker {
	struct gateway *gateway; /* borrowed */
	struct loop_source source; /* of estate->elder_fd; its fd is negative when there is none */
	uint32_t next_worker;
	uint64_t taken_clients, taken_streams, refused; /* to say it */
};

void taker_init(struct taker *taker, struct gateway *gateway);
/* Before the program before is told that this one is ready: from here on it is listened to. */
void taker_start(struct taker *taker);
/* Idempotent. */
void taker_stop(struct taker *taker);
