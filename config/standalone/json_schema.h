/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "user/base/json_writer.h"

/*
 * Writes the JSON Schema (draft 2020-12) of a standalone file, from its rows. It describes the file before
 * its variables are expanded: each value that is no text may be one with a `$`. It accepts every file that
 * loads: what a row's own decoder reads is described in words only. 0 or -ENOMEM.
 */
int json_schema_write(struct json_writer *w);
