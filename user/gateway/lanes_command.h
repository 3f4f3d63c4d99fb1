/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * headgate lanes [--admin ADDR] [--json]: prints which programs of this host bypass TCP, which not and why
 * (lane_programs.h), as a running gateway tells it. Returns the exit status.
 */
int lanes_command(int argc, char **argv);
