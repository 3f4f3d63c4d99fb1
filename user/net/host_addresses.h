/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdint.h>

#include "user/base/span.h"

/* The addresses at which other hosts may reach this one. */
enum { HOST_ADDRESSES_MAX = 16, HOST_ADDRESS_BYTES = 64 };

struct host_addresses {
	struct span list[HOST_ADDRESSES_MAX]; /* in `text` */
	uint32_t count;
	char text[HOST_ADDRESSES_MAX][HOST_ADDRESS_BYTES];
};

/*
 * Fills the list with addresses of interfaces that are up, without loopback and link-local ones; if there is
 * no other one, with 127.0.0.1. Further ones than the maximum are left out. getifaddrs(3).
 */
void host_addresses_read(struct host_addresses *ret);
