/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "user/http/head.h"
#include "user/http/refusal.h"

/* How to treat "%2F", "\" and "%5C": many backends take each of them for a slash, and many do not. */
enum path_slashes {
	PATH_SLASHES_REJECT,
	PATH_SLASHES_KEEP,
	PATH_SLASHES_DECODE, /* as a slash, before dot segments are removed */
};

/*
 * What ";" and "%3B" are: servlet containers take what follows in the segment for parameters, and read the
 * path without them; for others they are bytes like any other.
 */
enum path_semicolons {
	PATH_SEMICOLONS_KEEP,
	PATH_SEMICOLONS_STRIP, /* with what follows, up to the next slash, before dot segments are removed */
	PATH_SEMICOLONS_REJECT,
};

struct path_rules {
	bool keeps_double; /* "//" stays */
	enum path_slashes slashes;
	enum path_semicolons semicolons;
};

/*
 * One spelling for each path, so that routes cannot be passed by with another one (RFC 3986 6.2.2, 5.2.4):
 * escapes of unreserved characters are decoded, hexadecimal digits are upper-case, dot segments are gone,
 * runs of slashes are one. Refuses "%" without two digits and %00 (HTTP_ERROR_PATH), and what the rules
 * reject. What begins with no slash ("*", the nothing of CONNECT) stays.
 *
 * *ret_path is `path` itself if nothing had to change, otherwise a copy in `arena`, which is never longer.
 * Normalising the result again changes nothing.
 */
enum http_error path_normalise(struct span path, const struct path_rules *rules, struct arena *arena,
			       struct span *ret_path);
