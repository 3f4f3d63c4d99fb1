/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "user/kernel/local/local.h"

/*
 * Which programs of this host are at the far ends of the gateway's connections now, and whether their
 * connections bypass TCP. Reads the maps, two system calls for each connection: for an operator who asks.
 */
struct local_program {
	char name[LOCAL_PROGRAM_BYTES]; /* as local_program() */
	bool is_client; /* it connected to the gateway; false: the gateway connected to it */
	bool bypasses; /* false: the connections are left to TCP */
	enum local_reason reason; /* why not; LOCAL_REASON_NONE: they never began */
	uint32_t connections;
};

enum {
	LOCAL_PROGRAMS_MAX = 256,
	LOCAL_PROGRAM_CONNECTIONS_MAX = 32768,
};

/* Rows that differ in any of the first four members. True: there are more connections or rows than these. */
bool local_programs(const struct local *local, struct local_program ret_rows[LOCAL_PROGRAMS_MAX],
		    size_t *ret_count);
