/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "config/load.h"

/*
 * Reads one standalone file of any form and appends it as YAML of the current form, which loads to the same
 * configuration except for the names of listeners. Keeps variables, each of which must stand for a text.
 * Drops comments.
 *
 * 0: *out is complete, and it loads; the report may have warnings of the file. -EINVAL: the file is invalid,
 * or a part of it has no place in the current form: the report says which. -ENOMEM, or another negative
 * errno: it cannot be read.
 */
int config_convert(const struct config_source *source, struct config_report *report, struct text *out);
