/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "user/gateway/messages.h"
#include "user/gateway/options.h"

struct store;

/*
 * Loads, compiles and reports a configuration. 0 with one reference in *ret_snapshot; otherwise a negative
 * errno of config_load() (-EINVAL: invalid content). Messages are logged and added to *messages. previous:
 * the configuration in force, or NULL. store: objects of an API server, or NULL.
 */
int gateway_load(const struct options *options, struct store *store, const struct snapshot *previous,
		 struct messages *messages, struct snapshot **ret_snapshot);
/* Warns, in the log and in `warnings`, about changed settings that take effect only at a restart. */
void gateway_load_warn_late(struct text *warnings, const struct static_config *old,
			    const struct static_config *new);
