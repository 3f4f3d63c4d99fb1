/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * `headgate upgrade [PID]`: asks the keeper PID, else the only one there is, for an upgrade (upgrade.h), and
 * waits for what comes of it. argv: behind the verb. Exit status: 0 when the old program has ended, since the
 * new one has all of it; 1 when the old one goes on, or there is none; 2 for wrong arguments.
 */
int upgrade_command(int argc, char **argv);
