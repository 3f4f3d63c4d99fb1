/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "config/core/engine/errors.h"
#include "user/base/json_writer.h"
#include "user/gateway/options.h"

/* What commands that read or explain a configuration have in common. */

/* As main(): for every command. */
enum command_status {
	COMMAND_DONE = 0,
	COMMAND_INVALID = 1, /* invalid configuration, or findings */
	COMMAND_WRONG = 2, /* wrong arguments, or a file cannot be read */
};

/* Errors and warnings, on standard error. */
void command_report(const struct config_report *report);
/* The exit status for a result of config_load(), policy_compile() or the like. */
enum command_status command_status_of(int result);
/*
 * Loads and compiles the sources. 0 with one reference, or an error. The report has the messages of both
 * steps.
 */
int command_load(struct options *options, struct config_report *report, struct snapshot **ret_snapshot);
/*
 * Prints a complete JSON document on standard output, as YAML unless as_json is set. 0 or a negative errno.
 */
int command_print(const struct text *json, bool as_json);
