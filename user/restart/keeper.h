/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "user/restart/upgrade.h"

struct keeper_options {
	const struct upgrade *upgrade; /* NULL: no upgrades */
	uint32_t restart_limit; /* more of them end the keeper; 0: no limit */
	/* Runs the gateway in its own process; returns its exit status. */
	int (*serve)(void *argument, struct restart_state *restart_state);
	void *argument;
};

/*
 * Runs gateways, one after the other, until one exits by itself. Call it without threads and with no
 * descriptors open but those it was started with. Returns the exit status of the program.
 */
int keeper_run(const struct keeper_options *options);
