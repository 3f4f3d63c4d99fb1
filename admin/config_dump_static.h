/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "admin/config_dump.h"
#include "admin/json.h"

/*
 * The blocks `version` and `config` of the dump. `config` has the members of the original in its order
 * (null for what this program does not have), then our extensions under the names they have in the file.
 */
void dump_version(struct json_writer *w);
void dump_static_config(struct json_writer *w, const struct static_config *config,
			const struct config_dump_facts *facts);
