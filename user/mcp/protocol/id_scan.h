/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "user/base/span.h"

/*
 * Whose answer a message is that is too large to be kept: its `id` is found while the bytes pass, in any
 * pieces, wherever it stands, with a fixed amount of memory. What is no object has none, nor has a request or
 * notification. The text is not checked: of a malformed one the result may be any number.
 */
struct mcp_id_scan {
	uint32_t depth; /* of the place, 1: in the object that is the message */
	bool is_message; /* it is an object */
	bool is_text; /* within a string */
	bool is_escaped; /* behind a backslash in one */
	bool is_key; /* at the place of a key of the message, or within it */
	bool is_id; /* behind the key "id", in a number */
	bool has_method;
	char key[8]; /* as much as there is room for */
	uint32_t key_len;
	uint64_t number; /* 0: none */
};

void mcp_id_scan_init(struct mcp_id_scan *scan);
void mcp_id_scan_take(struct mcp_id_scan *scan, struct span bytes);
/* The id of an answer, as far as it was found; 0: none, or no number below 2^53. */
uint64_t mcp_id_scan_call(const struct mcp_id_scan *scan);
