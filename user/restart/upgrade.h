/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <signal.h>

#include "user/restart/state.h"

/*
 * Another program takes over while this one serves. The keeper starts it with duplicates of the listening
 * sockets, whose numbers stand in the environment; its gateway finds them by their addresses like those of a
 * dead one, and says when it is ready. Then this gateway closes its duplicates, which resets nobody since the
 * sockets live on, hands over what it can (handoff_channel.h), and drains.
 */

enum { UPGRADE_PATH_BYTES = 4096 };

struct upgrade {
	char path[UPGRADE_PATH_BYTES]; /* of the program, as it was found at the start */
	char **argv; /* borrowed */
};

/* Before anything could be replaced. argv: of main(). 0 or -errno; then there are no upgrades. */
int upgrade_init(struct upgrade *upgrade, char **argv);
/*
 * Starts what stands at the path now, as another keeper. mask: the signals it starts with. Its process id, or
 * -errno; restart state->new_process_fd leads to it.
 */
pid_t upgrade_start(const struct upgrade *upgrade, struct restart_state *restart_state, const sigset_t *mask);
/* It has ended before it was ready. */
void upgrade_failed(struct restart_state *restart_state);
/*
 * By a program that was started so: the sockets are ours, restart state says from whom and for how many
 * workers, and where connections come from, which a program of another version does not say. After
 * restart_state_keep_descriptors(). 0, also when it was started by anybody else, or -EINVAL for an
 * environment of another version.
 */
int upgrade_take_over(struct restart_state *restart_state);
/* The gateway is ready: whoever had the sockets before may close them. Once. */
void upgrade_is_ready(struct restart_state *restart_state);
