/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "admin/dump/config_dump.h"
#include "user/base/json_writer.h"

/*
 * The blocks `version` and `config` of the dump. The schema rows of the section define the members of
 * `config` (config/standalone/static.h).
 */
void dump_version(struct json_writer *w);
void dump_static_config(struct json_writer *w, const struct static_config *config,
			const struct config_dump_facts *facts);
