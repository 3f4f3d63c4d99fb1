/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "user/base/list.h"
#include "user/loop/loop.h"

/*
 * Messages between threads. Workers share no mutable object, they send these instead. The receiver runs each
 * message in its own loop, in the order in which one sender sent them. The mailbox owns a message from send
 * to run; then run() owns it and may free it, keep it, or send it on to another mailbox as a response.
 */
struct message {
	struct list node;
	void (*run)(struct message *message, void *context);
};

struct mailbox;

/* context is passed to every run(). The mailbox adds its eventfd to the loop. */
struct mailbox *mailbox_create(struct loop *loop, void *context);
/*
 * Call both only when no sender can reach the mailbox any more. mailbox_drain() runs the queued messages once
 * more.
 */
void mailbox_drain(struct mailbox *mailbox);
void mailbox_free(struct mailbox *mailbox);
/* From any thread; takes the lock only briefly, and never fails. */
void mailbox_send(struct mailbox *mailbox, struct message *message);
