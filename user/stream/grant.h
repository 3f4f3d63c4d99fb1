/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "user/stream/stream.h"

/*
 * What the client of a stream may use at an MCP backend (policy/guard/mcp_access.h). The service of MCP finds
 * it by the number in headgate-request until the stream ends.
 */

/* Makes that of an attempt: exchange->access, 0 if no rules apply. Replaces an older one. 0 or -ENOMEM. */
int grant_make(struct stream *stream);
void grant_drop(struct stream *stream);
