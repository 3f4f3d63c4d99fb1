/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* `headgate schema`: the JSON Schema of a standalone file, for editors. Returns the exit status. */
int schema_command(int argc, char **argv);
