/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "user/base/list.h"
#include "user/loop/loop.h"

/*
 * Messages between threads: workers share no mutable object, they send these. The receiver runs each message
 * in its own loop, in the order sent by one sender. A message is owned by the mailbox from send to run; run()
 * owns it afterwards (it may free it, keep it, or send it on to another mailbox as the answer).
 */
struct message {
	struct list node;
	void (*run)(struct message *message, void *context);
};

struct mailbox;

/* context is handed to every run(). The mailbox adds its eventfd to the loop. */
struct mailbox *mailbox_create(struct loop *loop, void *context);
/*
 * Only after no sender can reach it any more. Messages still queued are run once more by mailbox_drain first.
 */
void mailbox_drain(struct mailbox *mailbox);
void mailbox_free(struct mailbox *mailbox);
/* From any thread; never blocks for long, never fails. */
void mailbox_send(struct mailbox *mailbox, struct message *message);
