/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "config/core/engine/schema.h"

/* What a row says to readers, in Markdown: config/README.md and `headgate explain`. */

void schema_value_words(const struct schema_row *row, struct text *out); /* "1..65535", "`auto`, `off`" */
/* object: with the defaults of its schema. "required"; "–": none. */
void schema_default_words(const struct schema_row *row, const void *object, struct text *out);
const char *schema_reload_words(const struct schema_row *row); /* when a changed value takes effect */
