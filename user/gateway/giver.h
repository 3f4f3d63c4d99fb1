/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "user/base/list.h"
#include "user/restart/handoff_channel.h"
#include "user/loop/loop.h"

struct gateway;
struct message;

/*
 * The main thread's part in handing over to another program (user/restart/handoff_channel.h): sends what
 * workers give (user/restart/stream/quiesce.h), and keeps its descriptors until the other one has taken them.
 * What that one refuses goes back to its worker, by the same way as streams of a gateway that died; when it
 * is gone, what it has not answered is reset, since it may have moved bytes of it, and the rest goes back.
 */
struct giver {
	struct gateway *gateway; /* borrowed */
	struct loop_source source; /* of estate->heir_fd; its fd is negative while nothing is handed over */
	struct list waiting; /* of struct giver_item: not sent yet */
	struct list sent; /* and not answered */
	uint32_t sent_count;
	uint64_t numbers;
	uint64_t given_clients, given_streams, kept_streams, lost_streams; /* to say it */
};

void giver_init(struct giver *giver, struct gateway *gateway);
/* False: no other program that takes anything; log says why where one is there. */
bool giver_start(struct giver *giver);
/* proxy_shared.on_given; its context is the gateway. */
void giver_on_given(struct message *message, void *context);
/* Nothing is on its way. */
bool giver_is_done(const struct giver *giver);
/* Says what it has done. Idempotent; what is still on its way is reset. */
void giver_stop(struct giver *giver);
