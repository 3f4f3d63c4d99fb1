/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdint.h>

/*
 * How the descriptors of the process are divided, so that no part of it takes the last one of another. The
 * kernel assigns the lowest free number: as long as each part stays below its own limit, higher numbers are
 * free for others, and no one has to count.
 */
struct descriptor_plan {
	uint64_t clients_below; /* connections of clients have smaller numbers */
	uint64_t backends_below; /* backend connections; above them files, names and admin servers */
	uint64_t connections; /* clients that fit, each with a backend connection */
	/* For one client address: an eighth, at least 64, but never more than half of connections. */
	uint64_t connections_of_client;
	/*
	 * Twice as many, at most half as well: a request of HTTP/2 needs one descriptor, a connection of
	 * HTTP/1 with its backend two.
	 */
	uint64_t requests_of_client;
};

/* limit: RLIMIT_NOFILE; fixed: descriptors that are open without any connection. */
void descriptors_plan(uint64_t limit, uint64_t fixed, struct descriptor_plan *ret_plan);
/* At least what the threads, ports and servers of a gateway keep open. */
uint64_t descriptors_fixed(uint32_t workers, uint32_t ports);
/* Moves fd to the lowest free number, and returns that; fd itself if there is no lower one. */
int descriptors_lower(int fd);
/*
 * Each descriptor that is open, in any order, until `each` returns something but 0: that, 0, or -errno of the
 * list.
 */
int descriptors_each(int (*each)(void *context, int fd), void *context);
/* The current soft limit, which other processes may change. */
uint64_t descriptors_limit(void);
