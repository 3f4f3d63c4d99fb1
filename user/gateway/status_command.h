/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * `headgate status -f FILE... [--json]`: loads a configuration as the gateway would, and prints the status of
 * its Kubernetes objects, as a table or as JSON (GET /status); errors and warnings of files go to standard
 * error. Opens no port. Exit status: 0: loaded, whatever the conditions are; 1: the configuration is refused;
 * 2: wrong arguments, or a file cannot be read. argv: behind the word.
 */
int status_command(int argc, char **argv);
