/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * headgate top [--admin ADDR] [--interval SECONDS] [--once]
 *
 * Shows the streams of a running gateway, refreshed from GET /streams of its admin port or socket: on a
 * terminal as a screen with keys (top_screen.h); otherwise, and with --once, as tables below each other,
 * fastest stream first.
 * argv[0] is "top". Returns the exit status: 0, 1 if the gateway does not answer, 2 for wrong arguments.
 */
int top_main(int argc, char **argv);
