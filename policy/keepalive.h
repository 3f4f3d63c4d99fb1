/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "config/model.h"

/* Values for setsockopt(2), in the units of the kernel. */
struct keepalive_options {
	bool is_on; /* SO_KEEPALIVE */
	int idle_s; /* TCP_KEEPIDLE, at least 1 */
	int interval_s; /* TCP_KEEPINTVL, at least 1 */
	int count; /* TCP_KEEPCNT */
	unsigned int user_timeout_ms; /* TCP_USER_TIMEOUT, 0: leave alone */
};

/*
 * policy may be NULL: everything off, the socket is left alone; `enabled: false` means the same. Parts of a
 * second are rounded up, values beyond the kernel's bounds (32767 s, 127 probes) become these bounds, because
 * setsockopt would refuse them. TCP_USER_TIMEOUT = time + interval x retries when asked for: then data that
 * is not acknowledged ends the connection as soon as a silent peer would (tcp(7)).
 */
void keepalive_options_of(const struct keepalive_policy *policy, bool user_timeout,
			  struct keepalive_options *ret_options);
