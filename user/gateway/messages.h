/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "config/core/errors.h"

/* What was said about a configuration, one message a line. */
struct messages {
	struct text errors;
	struct text warnings;
	uint32_t warning_count; /* also those that have no line any more */
	/* What the configuration names besides, as it was when it was read. */
	struct config_file *file_list; /* owner */
	uint32_t file_count;
	struct arena file_arena; /* of the paths */
};

void messages_init(struct messages *messages);
void messages_done(struct messages *messages);
/* Logs all of a report, adds its errors and warnings, and takes the files that it names. Once. */
void messages_add(struct messages *messages, struct config_report *report);
/*
 * Takes `other`, from a later load. The warnings that are kept are those of the configuration in force, from
 * the start on; the errors and files are those of the last load.
 */
void messages_take(struct messages *messages, struct messages *other, bool is_in_force);
