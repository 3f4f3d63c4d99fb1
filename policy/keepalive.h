/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "config/model.h"
#include "user/net/socket.h"

/*
 * policy may be NULL: everything is off and the socket keeps its options; `enabled: false` has the same
 * effect. Rounds fractions of a second up, and reduces values to the kernel's maximum (32767 s, 127 probes),
 * because setsockopt would refuse larger ones. With user_timeout, TCP_USER_TIMEOUT = time + interval x
 * retries: then unacknowledged data ends the connection as soon as a silent peer would (tcp(7)).
 */
void keepalive_options_of(const struct keepalive_policy *policy, bool user_timeout,
			  struct socket_keepalive *ret_options);
