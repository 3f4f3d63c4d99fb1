/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "config/core/engine/errors.h"

/* The messages about a configuration, one per line. */
struct messages {
	struct text errors;
	struct text warnings;
	uint32_t warning_count; /* includes warnings whose lines were dropped */
	/* Files that the configuration names, with their state when they were read. */
	struct config_file *file_list; /* owner */
	uint32_t file_count;
	struct arena file_arena; /* of the paths */
};

void messages_init(struct messages *messages);
void messages_done(struct messages *messages);
/*
 * Logs all messages of a report, adds its errors and warnings, and takes over its list of named files. Only
 * once. Errors of a configuration that is not refused are faults, and warnings here: the rest is served.
 */
void messages_add(struct messages *messages, struct config_report *report, bool is_refused);
/*
 * Takes over `other`, from a later load. Warnings stay those of the configuration in force, since its load;
 * errors and files are those of the last load.
 */
void messages_take(struct messages *messages, struct messages *other, bool is_in_force);
