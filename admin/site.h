/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "user/http/head.h"

/*
 * Which requests of browsers the admin port serves. It listens on loopback and asks for no password, so a
 * page on any site could drive it through the operator's browser: by DNS rebinding (the page's own host
 * name then resolves to 127.0.0.1, and only Host tells), or by a cross-site form or fetch (then Origin and
 * Sec-Fetch-Site tell).
 */

/* Host is localhost or an IP literal, any port: names that no foreign DNS server can point here. */
bool site_host_is_safe(struct span authority);
/* A request that changes something comes from no page, or from a page of this very host and port. */
bool site_origin_is_safe(const struct request_head *head);
