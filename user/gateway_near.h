/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "user/gateway.h"

/* The same-host lanes of the process (user/gate/near.h): may they be used, for which ports, numbers. */

/*
 * Fills gateway->near when config.splice.lanes asks for near or direct, or leaves it NULL with the reason in
 * gateway->near_why and one line in the log. Only `config.splice.mode: require` makes that fail: -errno with
 * `error`.
 */
int gateway_near_open(struct gateway *gateway, const struct splice_config *config, struct text *error);
/*
 * The ports whose connections may be paired: those of `from` that `to` has no more are forgotten, those of
 * `to` made known. Any of them may be NULL.
 */
void gateway_near_follow(struct near *near, const struct snapshot *from, const struct snapshot *to);
/* Part of hook extra_metrics. */
void gateway_near_metrics(const struct gateway *gateway, struct text *out);
