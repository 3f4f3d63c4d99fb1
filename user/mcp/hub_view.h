/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "user/base/text.h"

struct mcp_hub;

/*
 * What /mcp/sessions shows: sessions, their targets and what is under way, as a JSON array. On the hub's
 * thread.
 */
void hub_view_write(struct mcp_hub *hub, struct text *out);
