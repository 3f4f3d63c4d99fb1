/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "config/core/engine/yaml_node.h"

struct config_report;

/*
 * Parses text into node trees; the only user of libyaml. Accepts JSON, because YAML contains it.
 *
 * Refuses with a message: duplicate keys, keys that are not scalars, merge keys, unknown tags, NUL bytes,
 * bytes that are not UTF-8, more than LIMIT_CONFIG_DEPTH levels, and aliases whose expansion would exceed
 * LIMIT_CONFIG_NODES nodes. Of two equal keys the first one counts, so that the rest of the file can still
 * be checked.
 */
struct yaml_documents {
	struct yaml_document **list; /* arena */
	uint32_t count;
};

/* Remaining limits for a set of files; start with { LIMIT_CONFIG_NODES }. */
struct yaml_budget {
	uint32_t nodes_left;
};

/* A place where an inserted text moved the rest of its line; from config/core/engine/expand.h. */
struct yaml_shift {
	uint32_t line; /* from 1 */
	uint32_t column; /* from 1; characters of the new text from here on are moved */
	int32_t by; /* characters to subtract, including those of earlier shifts in the line */
};

struct yaml_source {
	struct span file; /* borrowed until the documents are freed */
	struct span text;
	const struct yaml_shift *shift_list; /* by line and column */
	uint32_t shift_count;
};

/*
 * Parses all documents of one text; omits empty documents. The result is in `arena`; its spans do not point
 * into the text. 0 (duplicate keys are only in the report), -ENOMEM, or -EINVAL with an error in the report.
 */
int yaml_load(struct arena *arena, const struct yaml_source *source, struct yaml_budget *budget,
	      struct config_report *report, struct yaml_documents *ret);
