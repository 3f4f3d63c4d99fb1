/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "config/model.h"
#include "user/net/socket.h"

/*
 * policy may be NULL: everything off, the socket is left alone; `enabled: false` means the same. Parts of a
 * second are rounded up, values beyond the kernel's bounds (32767 s, 127 probes) become these bounds, because
 * setsockopt would refuse them. TCP_USER_TIMEOUT = time + interval x retries when asked for: then data that
 * is not acknowledged ends the connection as soon as a silent peer would (tcp(7)).
 */
void keepalive_options_of(const struct keepalive_policy *policy, bool user_timeout,
			  struct socket_keepalive *ret_options);
