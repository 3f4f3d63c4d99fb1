/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "admin/hooks.h"
#include "user/base/json_writer.h"

/* Parts that change seldom: what is configured, and the state of the process. */
void state_write_config(struct json_writer *w, const struct admin_hooks *hooks);
void state_write_conditions(struct json_writer *w, const struct admin_hooks *hooks, uint32_t limit);
void state_write_certificates(struct json_writer *w, const struct admin_hooks *hooks, uint32_t limit,
			      int64_t now_s);
void state_write_restarts(struct json_writer *w, const struct admin_hooks *hooks);
/* The policies of the route with this key; nothing without such a route. */
void state_write_policies(struct json_writer *w, const struct admin_hooks *hooks, struct span key);
