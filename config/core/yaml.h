/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "config/core/yaml_node.h"

struct config_report;

/*
 * Text to node trees; the only user of libyaml. JSON is accepted because YAML contains it.
 *
 * Refused with a message: duplicate keys, keys that are not scalars, merge keys, unknown tags, NUL bytes,
 * bytes that are not UTF-8, more than LIMIT_CONFIG_DEPTH levels, and aliases whose expansion would exceed
 * LIMIT_CONFIG_NODES nodes. Of two equal keys the first counts, so that the rest of the file can still be
 * checked.
 */
struct yaml_documents {
	struct yaml_document **list; /* arena */
	uint32_t count;
};

/* What a set of files may still use; start with { LIMIT_CONFIG_NODES }. */
struct yaml_budget {
	uint32_t nodes_left;
};

/* Where an inserted text moved the rest of its line; config/core/expand.h makes them. */
struct yaml_shift {
	uint32_t line; /* from 1 */
	uint32_t column; /* from 1; characters of the new text from here on are moved */
	int32_t by; /* characters to take off, those of the shifts before it in the line included */
};

struct yaml_source {
	struct span file; /* borrowed until the documents are dropped */
	struct span text;
	const struct yaml_shift *shift_list; /* by line and column */
	uint32_t shift_count;
};

/*
 * Parses all documents of one text; empty documents are left out. Everything returned lives in `arena`; spans
 * do not point into the text. 0 (duplicate keys are only in the report), -ENOMEM, or -EINVAL with an error in
 * the report.
 */
int yaml_load(struct arena *arena, const struct yaml_source *source, struct yaml_budget *budget,
	      struct config_report *report, struct yaml_documents *ret);
