/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "config/model_guard.h"

/*
 * Origins of pages, as browsers send them (RFC 6454 6.2): scheme "://" host [":" port]. A missing port is the
 * scheme's default.
 */
struct origin {
	struct span scheme;
	struct span host; /* with brackets if it is an IPv6 address */
	uint16_t port; /* 0: unknown, the scheme has no default port */
};

/* False for everything else: `null`, a path, user information, several origins, other bytes. */
bool origin_parse(struct span text, struct origin *ret);
/* The same for a pattern: the host may also be `*`, or begin with `*.`. The texts are borrowed. */
bool origin_pattern_parse(struct span text, struct origin_pattern *ret);
/* Scheme and host are compared regardless of case. `*.` stands for one or more labels. */
bool origin_matches(const struct origin_pattern *pattern, const struct origin *origin);
