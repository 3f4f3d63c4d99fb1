/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * headgate top [--admin ADDR] [--interval SECONDS] [--once]
 *
 * Shows the streams of a running gateway, fastest first, refreshed from GET /streams of its admin port or
 * socket. Redraws the screen on a terminal; otherwise, and with --once, prints the tables below each other.
 * argv[0] is "top". Returns the exit status: 0, 1 if the gateway does not answer, 2 for wrong arguments.
 */
int top_main(int argc, char **argv);
