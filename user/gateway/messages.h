/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "config/core/errors.h"

/* What was said about a configuration, one message a line. */
struct messages {
	struct text errors;
	struct text warnings;
	uint32_t warning_count; /* also those that have no line any more */
};

void messages_init(struct messages *messages);
void messages_done(struct messages *messages);
/* Logs all of a report, and adds its errors and warnings. */
void messages_add(struct messages *messages, const struct config_report *report);
/*
 * Takes `other`, from a later load. The warnings that are kept are those of the configuration in force, from
 * the start on; the errors are those of the last load.
 */
void messages_take(struct messages *messages, struct messages *other, bool is_in_force);
