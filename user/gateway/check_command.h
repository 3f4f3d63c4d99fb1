/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * `headgate check-request 'METHOD URL' -f FILE ...`, without the first two words: what the gateway would do
 * with a request, without sending it. Returns the exit status.
 */
int check_command(int argc, char **argv);
