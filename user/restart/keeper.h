/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "user/restart/upgrade.h"

struct keeper_options {
	const struct upgrade *upgrade; /* NULL: not possible */
	uint32_t restart_limit; /* more end the keeper; 0: never */
	/* The gateway, in a process of its own; returns its exit status. */
	int (*serve)(void *argument, struct restart_state *restart_state);
	void *argument;
};

/*
 * Runs gateways, one after the other, until one ends by itself. For a process without threads that has
 * nothing open but what it was given. Exit status of the program.
 */
int keeper_run(const struct keeper_options *options);
