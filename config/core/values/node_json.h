/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "config/core/engine/decode.h"

/*
 * A node as JSON (RFC 8259), kept in the snapshot: for values that the configuration only passes on. Unquoted
 * scalars are null, true, false or numbers if JSON has them, otherwise strings. False: reported.
 */
bool node_json(struct decoder *d, const struct yaml_node *node, struct span *ret);
/*
 * The same, appended to a text, with at most so many levels of maps and lists, until the text has more bytes
 * than these. False: there is more, or the text is larger; what was appended is then only a part.
 */
bool node_json_add(const struct yaml_node *node, uint32_t levels, size_t most_bytes, struct text *out);
