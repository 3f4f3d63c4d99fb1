/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "config/model.h"
#include "user/base/text.h"
#include "user/http/head.h"

/*
 * Header modifiers, rewrites and redirects on a parsed head. All return 0 or -ENOMEM. New bytes come from
 * the arena of the head's fields (or the one given); names and values of a modifier stay in the snapshot,
 * which must outlive the head.
 */

/*
 * False for fields that a modifier must not touch; a configuration with them is refused: connection-specific
 * fields, Trailer and Content-Length, which the gateway writes itself (RFC 9110 7.6.1, RFC 9112 6), Host,
 * for which there is urlRewrite.authority, and pseudo headers.
 */
bool headers_may_modify(struct span name);
/*
 * Applies remove, then set, then add, each in the order written. `add` adds another field of that name (RFC
 * 9110 5.3). Removes and replaces names in every spelling with "-" and "_".
 */
int headers_modify(struct fields *fields, const struct header_modifier *modifier);
/*
 * Rewrites head->authority and head->path according to urlRewrite; without an authority rewrite, hostRewrite
 * decides (NULL: a backend given by name gets its own name). `match` has the matched prefix. New bytes come
 * from fields.arena.
 *
 *   authority    full: replaces all of it; host: keeps the client's port; port: keeps the host, omits port
 *                80; auto: the name of the backend if it has one; none: keeps the client's
 *   path full    replaces the path
 *   path prefix  replaces the matched prefix by whole segments; ignores trailing slashes of both, so
 *                "/foo" to "/xyz" turns /foo/bar into /xyz/bar and /foo/ into /xyz/; with "" or "/" /foo
 *                becomes / (Gateway API, HTTPPathModifier). An exact match counts as a prefix of itself; a
 *                regular expression has no prefix, and the path stays
 *
 * Keeps the query. Called once per attempt, on a copy of the head that the client sent.
 */
int headers_rewrite(struct request_head *head, const struct url_rewrite *rewrite,
		    const struct host_rewrite *host, const struct route_match *match,
		    const struct backend_ref *ref);
/*
 * Builds the Location of a redirect. `scheme` is that of the request. Paths as in headers_rewrite; keeps the
 * query of the request. The port (Gateway API, HTTPRequestRedirectFilter): the configured one; otherwise,
 * with a configured scheme http or https, its default port; otherwise the port that the client used. Omits
 * 80 with http and 443 with https. If neither the request nor the configuration has a host, the result is a
 * relative reference (RFC 9110 10.2.2).
 */
int headers_redirect(const struct request_head *head, const struct redirect_policy *redirect,
		     const struct route_match *match, struct span scheme, struct arena *arena,
		     struct span *ret_location);
