/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "config/load.h"

/*
 * Warns about secrets that stand in clear text in standalone files, instead of variables or hashes, and about
 * an admin interface that other hosts reach: it has no password. Looks at the files as written, with their
 * variables; manifests have Secrets for that. 0 or a negative errno, as config_load().
 */
int clear_text_warn(const struct config_source *source_list, size_t source_count,
		    struct config_report *report);
