/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "user/mcp/hub/hub_internal.h"

/* What is logged and counted about the targets of sessions. */

/* `shown` is what a target wrote, for the log alone. It may be empty. */
void hub_log_target(const struct hub_link *link, const char *what, struct span why, struct span shown);
/* The same of what a target can do any number of times. */
void hub_log_trouble(const struct hub_link *link, struct log_rate *rate, const char *what, struct span why,
		     struct span shown);
struct hub_health *hub_health_of(const struct hub_link *link);
struct mcp_names hub_names_of(const struct mcp_servers *servers);
/* The context is the struct hub_session. */
extern const struct mcp_watch hub_watch;
