/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * `headgate bpf ...`: for operators who load the programs once with privileges and run the gateway without.
 *
 *   load --pin DIR [--slots N] [--workers N] [--user NAME]
 *   status [--pin DIR]
 *   unload --pin DIR
 *
 * argv[0] is the word after "bpf". Results go to standard output, one-line errors to standard error. Returns
 * the exit status: 0 done, 1 failed, 2 wrong usage.
 */
int sockmap_ctl_main(int argc, char **argv);
