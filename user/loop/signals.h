/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "user/loop/loop.h"

/* SIGTERM, SIGINT, SIGHUP and SIGUSR2 as loop events of the main thread, by signalfd. SIGPIPE is ignored. */
struct signals {
	struct loop_source source;
	void (*on_signal)(struct signals *signals, int number);
};

/* SIGUSR1 and SIGUSR2 are the keeper's (upgrade): a process that serves does not end by them. */
void signals_ignore_upgrade(void);
/* Blocks the signals for the calling thread and all threads that it starts later. 0 or -errno. */
int signals_block(void);
int signals_start(struct signals *signals, struct loop *loop,
		  void (*on_signal)(struct signals *signals, int number));
void signals_stop(struct signals *signals, struct loop *loop);
