/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <sys/socket.h>
#include <sys/un.h>

#include "user/loop/loop.h"

/*
 * What the supervisor that started the process is told, as sd_notify(3) describes: one datagram a message to
 * the Unix socket that NOTIFY_SOCKET names, and a sign of life at half of WATCHDOG_USEC when it is meant for
 * this process or its keeper (WATCHDOG_PID). Nobody is waited for; what cannot be sent is not repeated.
 */
struct supervisor {
	struct loop *loop; /* borrowed */
	struct timer timer; /* the next sign of life */
	struct sockaddr_un address;
	socklen_t address_len; /* 0: nobody asked */
	uint64_t interval_ms; /* 0: no signs of life are wanted */
};

enum supervisor_event {
	SUPERVISOR_RELOADED,
	SUPERVISOR_RELOADING,
	SUPERVISOR_STOPPING,
};

/* From the environment. */
void supervisor_init(struct supervisor *supervisor);
/* Signs of life begin. */
void supervisor_start(struct supervisor *supervisor, struct loop *loop);
void supervisor_stop(struct supervisor *supervisor);
/* main_pid: of the process that is to be watched. */
void supervisor_tell_ready(const struct supervisor *supervisor, pid_t main_pid);
void supervisor_tell(const struct supervisor *supervisor, enum supervisor_event event);
