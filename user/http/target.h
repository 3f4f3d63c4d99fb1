/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "user/http/head.h"
#include "user/http/refusal.h"

/* Request targets and authorities (RFC 9112 3.2, RFC 3986 3.2). */

/*
 * Splits head->target into path, query and authority by its form; the method decides which forms are allowed:
 *   CONNECT  host:port only (port required); path and query are empty
 *   OPTIONS  also "*", and "http://host" without a path, which means "*" (RFC 9112 3.2.4)
 *   all      "/path[?query]", "http[s]://host[:port][/path][?query]"
 * Only absolute-form and CONNECT set head->authority. Refuses with TARGET every byte that is not visible
 * ASCII, and '#'.
 */
enum http_error target_split(struct request_head *head);
/*
 * host[:port] of an authority: no userinfo, no blanks, none of , @ / ? # %. IPv6 literals in brackets,
 * without a zone. The port may be empty (RFC 3986 3.2.3) and is at most 65535. An empty authority is invalid.
 */
bool authority_is_valid(struct span authority);
/* The host without port, with brackets: "[::1]:80" -> "[::1]". The caller converts it to lower case. */
struct span authority_host(struct span authority);
/* The digits of the port, or empty if there is none. */
struct span authority_port(struct span authority);
/*
 * True if two valid authorities name the same place: hosts are compared regardless of case; no port, an empty
 * port and `default_port` are equal. default_port 0: there is none.
 */
bool authority_same(struct span a, struct span b, uint16_t default_port);
/* 443 if the target of this head is an https URI, otherwise 80. */
uint16_t target_default_port(const struct request_head *head);
