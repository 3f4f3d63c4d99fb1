/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "user/http/head.h"
#include "user/http/refusal.h"

/* Request targets and authorities (RFC 9112 3.2, RFC 3986 3.2). */

/*
 * Splits head->target into path, query, authority by its form; method decides which forms are allowed:
 *   CONNECT  host:port only (port required); path and query are empty
 *   OPTIONS  also "*", and "http://host" without a path, which means "*" (RFC 9112 3.2.4)
 *   all      "/path[?query]", "http[s]://host[:port][/path][?query]"
 * head->authority is set by absolute-form and CONNECT only, else left as it is. Refuses with TARGET every
 * byte that is not visible ASCII, and '#'.
 */
enum http_bad target_split(struct request_head *head);
/*
 * host[:port] of an authority: no userinfo, no blanks, none of , @ / ? # %. IPv6 literals in brackets,
 * without a zone. The port may be empty (RFC 3986 3.2.3) and is at most 65535. Not valid when empty.
 */
bool authority_is_valid(struct span authority);
/* Host part without port, brackets kept: "[::1]:80" -> "[::1]". Lower-casing is the caller's. */
struct span authority_host(struct span authority);
/* Digits of the port, or empty when there is none. */
struct span authority_port(struct span authority);
/*
 * Whether two valid authorities name the same place: hosts without regard to case; no port, an empty port and
 * `default_port` are the same. default_port 0: there is none.
 */
bool authority_same(struct span a, struct span b, uint16_t default_port);
/* 443 when the target of this head is an https URI, else 80. */
uint16_t target_default_port(const struct request_head *head);
