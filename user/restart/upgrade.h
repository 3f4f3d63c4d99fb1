/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <signal.h>

#include "user/restart/state.h"

/*
 * Upgrade: another program takes over while this one serves. The keeper starts it with duplicates of the
 * listening sockets, whose numbers are in its environment; its gateway finds them by their addresses, as
 * after a crash, and reports when it is ready. Then this gateway closes its duplicates, which resets no
 * connection because the sockets stay open there, hands over what it can (handoff_channel.h), and drains.
 */

enum { UPGRADE_PATH_BYTES = 4096 };

struct upgrade {
	char path[UPGRADE_PATH_BYTES]; /* of the program, determined at the start */
	char **argv; /* borrowed */
};

/* Call before the program file may be replaced. argv: of main(). 0 or -errno: upgrades are not possible. */
int upgrade_init(struct upgrade *upgrade, char **argv);
/*
 * Starts the program now at the path, as another keeper. mask: its signal mask. Returns its process id, or
 * -errno; restart_state->new_process_fd is the channel to it.
 */
pid_t upgrade_start(const struct upgrade *upgrade, struct restart_state *restart_state, const sigset_t *mask);
/* Call if the new program has ended before it was ready. */
void upgrade_failed(struct restart_state *restart_state);
/*
 * For a program that upgrade_start() has started: records the sockets in the restart state, the old keeper,
 * its number of workers, and the channel, if the old program has the same version. Call it after
 * restart_state_keep_descriptors(). 0, also if the program was started in another way, or -EINVAL for an
 * environment of another version.
 */
int upgrade_take_over(struct restart_state *restart_state);
/* Call once, when the gateway is ready: signals the old keeper that its gateway may close the sockets. */
void upgrade_is_ready(struct restart_state *restart_state);
