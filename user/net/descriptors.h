/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdint.h>

/*
 * How the descriptors of the process are shared out, so that none of its parts takes the last one of another.
 * The kernel gives the lowest free number: as long as everybody keeps below a bound of its own, what is above
 * is free for others, and nobody has to count.
 */
struct descriptor_plan {
	uint64_t clients_below; /* connections of clients: smaller numbers */
	uint64_t backends_below; /* connections to backends; beyond are files, names and the admin servers */
	uint64_t connections; /* clients with a backend connection each that there is room for */
};

/* limit: as RLIMIT_NOFILE says; fixed: descriptors that are open without any connection. */
void descriptors_plan(uint64_t limit, uint64_t fixed, struct descriptor_plan *ret_plan);
/* What the threads, ports and servers of a gateway keep open, no less. */
uint64_t descriptors_fixed(uint32_t workers, uint32_t ports);
/* The same with the lowest free number, which is what fits now; fd itself where there is none lower. */
int descriptors_lower(int fd);
/* The soft limit as it is now: it may be changed from outside. */
uint64_t descriptors_limit(void);
