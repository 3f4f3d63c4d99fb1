/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "config/build.h"

/* URLs of services that the gateway itself asks: each becomes a backend of its own. */
struct url_target {
	struct backend *backend; /* with a TLS policy for https: the authorities of the system */
	struct span path; /* with its query; "/" without one */
};

/* A backend for a host. name: in the dump. NULL: reported, or no memory. */
struct backend *url_host(struct decoder *d, struct span host, uint16_t port, struct span name);
/*
 * "https://name:port/path", "http://name/path", or "name:port/path" for http. node: where it is written, or
 * what it was made of; for messages only. False: reported.
 */
bool url_decode(struct decoder *d, const struct yaml_node *node, struct span text, struct span name,
		struct url_target *ret);
