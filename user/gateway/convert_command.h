/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* `headgate convert FILE`, without the first two words. Returns the exit status. */
int convert_command(int argc, char **argv);
