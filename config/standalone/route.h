/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "config/standalone/standalone.h"

/* `routes` and `tcpRoutes` of a listener whose key and protocol are set. */
void standalone_routes(struct standalone *s, const struct yaml_node *list, struct listener *listener);
void standalone_tcp_routes(struct standalone *s, const struct yaml_node *list, struct listener *listener);

/* Decodes `host`, `service` or `backend` of `node` into a registered reference. `name` is what a backend
 * object made for it is called. False when there is none (reported). */
bool standalone_target(struct standalone *s, const struct yaml_node *node, struct span name,
		       struct backend_ref *ref);

/* Top-level `backends`, which the references above may name. */
void standalone_named_backends(struct standalone *s, const struct yaml_node *list);
