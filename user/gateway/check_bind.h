/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "user/gateway/check_request.h"

/*
 * Sets request->bind: the port of the URL, or without one the default port of the scheme, or the only port
 * that fits; on the address of --destination, otherwise of the URL, otherwise on all addresses. 0, or -EINVAL
 * after one line on standard error that lists the ports.
 */
int check_bind_find(struct check_request *request);
/* The host of an authority, without the brackets of an IPv6 address. */
struct span check_bind_ip(struct span authority);
