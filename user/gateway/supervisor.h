/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <sys/socket.h>
#include <sys/un.h>

#include "user/loop/loop.h"

/*
 * Notifies the supervisor that started the process, as sd_notify(3) describes: one datagram per message to
 * the Unix socket in NOTIFY_SOCKET, and a sign of life at half of WATCHDOG_USEC if it is meant for this
 * process or its keeper (WATCHDOG_PID). Sending never blocks, and failures are not retried.
 */
struct supervisor {
	struct loop *loop; /* borrowed */
	struct timer timer; /* for the next sign of life */
	struct sockaddr_un address;
	socklen_t address_len; /* 0: no supervisor */
	uint64_t interval_ms; /* 0: no watchdog */
};

enum supervisor_event {
	SUPERVISOR_RELOADED,
	SUPERVISOR_RELOADING,
	SUPERVISOR_STOPPING,
};

/* Reads the environment. */
void supervisor_init(struct supervisor *supervisor);
/* Starts the signs of life. */
void supervisor_start(struct supervisor *supervisor, struct loop *loop);
void supervisor_stop(struct supervisor *supervisor);
/* main_pid: the process that the supervisor must watch. */
void supervisor_tell_ready(const struct supervisor *supervisor, pid_t main_pid);
void supervisor_tell(const struct supervisor *supervisor, enum supervisor_event event);
