/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * `headgate upgrade [PID]`: requests an upgrade (upgrade.h) from the keeper PID, or from the only keeper, and
 * waits for the result. argv: the arguments after the verb. Exit status: 0: the old program has ended, and
 * the new one has taken over; 1: the old one keeps serving, or there is none; 2: wrong arguments.
 */
int upgrade_command(int argc, char **argv);
