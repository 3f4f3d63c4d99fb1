/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * headgate top [--admin ADDR] [--interval SECONDS] [--once]
 *
 * The streams of a running gateway, fastest first, refreshed from GET /streams of its admin port or socket.
 * On a terminal the screen is redrawn; elsewhere, and with --once, tables are printed one below the other.
 * argv[0] is "top". Returns the exit status: 0, 1 when the gateway cannot be asked, 2 for wrong arguments.
 */
int top_main(int argc, char **argv);
