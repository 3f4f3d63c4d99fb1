/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "config/model.h"
#include "user/base/text.h"
#include "user/http/head.h"

/*
 * Header modifiers, rewrites and redirects on a parsed head. All return 0 or -ENOMEM. Bytes that are made
 * come from the arena of the head's fields (or the one given); names and values of a modifier stay in the
 * snapshot, which has to outlive the head.
 */

/*
 * False for what a modifier must not touch, so that a configuration is refused: connection-specific fields,
 * Trailer and Content-Length, which the gateway writes itself (RFC 9110 7.6.1, RFC 9112 6), Host, which
 * urlRewrite.authority is for, and pseudo headers.
 */
bool headers_may_modify(struct span name);
/*
 * remove, then set, then add: each in the order written. `add` adds another field of that name (RFC 9110
 * 5.3). Names are removed, and replaced, in every spelling with "-" and "_".
 */
int headers_modify(struct fields *fields, const struct header_modifier *modifier);
/*
 * Rewrites head->authority and head->path as urlRewrite says; without an authority rewrite a backend given by
 * name gets its own. `match` tells the prefix that was matched. New bytes come from fields.arena.
 *
 *   authority    full: all of it; host: the port the client sent stays; port: the host stays, port 80 is left
 *                out; auto: that of the backend where it has a name; none: the client's stays
 *   path full    replaces the path
 *   path prefix  replaces the matched prefix by whole segments; trailing slashes of both are ignored, so
 *                "/foo" to "/xyz" turns /foo/bar into /xyz/bar and /foo/ into /xyz/; with "" or "/" /foo is /
 *                (Gateway API, HTTPPathModifier). An exact match counts as a prefix of itself; a regular
 *                expression has no prefix and the path stays
 *
 * The query always stays. Once for each attempt, on a copy of the head the client sent.
 */
int headers_rewrite(struct request_head *head, const struct url_rewrite *rewrite,
		    const struct route_match *match, const struct backend_ref *ref);
/*
 * The Location of a redirect. `scheme` is that of the request. Paths as in headers_rewrite; the query of the
 * request is kept. The port (Gateway API, HTTPRequestRedirectFilter): the one that is given; else, with a
 * scheme http or https given, the well-known one; else the one the client used. 80 with http and 443 with
 * https are not written. A request without a host, where none is configured either, gets a relative reference
 * (RFC 9110 10.2.2).
 */
int headers_redirect(const struct request_head *head, const struct redirect_policy *redirect,
		     const struct route_match *match, struct span scheme, struct arena *arena,
		     struct span *ret_location);
