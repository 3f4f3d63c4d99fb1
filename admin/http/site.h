/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "user/http/head.h"

/*
 * Decides which requests of browsers the admin port serves. It listens on loopback and requires no password,
 * so a page on any site could drive it through the operator's browser: by DNS rebinding (the page's own host
 * name then resolves to 127.0.0.1, and only Host shows it), or by a cross-site form or fetch (Origin and
 * Sec-Fetch-Site show it).
 */

/* True if Host is localhost or an IP literal, any port: no foreign DNS server can point such a name here. */
bool site_host_is_safe(struct span authority);
/*
 * True if a request that changes something does not come from a browser, or comes from a page of this host
 * and port and has the field X-Headgate. A form cannot send that field, and a script of another origin needs
 * a preflight for it (Fetch 4.8), which this server does not grant.
 */
bool site_origin_is_safe(const struct request_head *head);
