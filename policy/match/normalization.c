/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/match/normalization.h"

#include <errno.h>

bool path_rules_of(const struct request_rules *rules, struct path_rules *ret_rules)
{
	static const enum path_slashes slashes[] = {
		[0] = PATH_SLASHES_REJECT,
		[ESCAPED_REJECT] = PATH_SLASHES_REJECT,
		[ESCAPED_KEEP] = PATH_SLASHES_KEEP,
		[ESCAPED_DECODE] = PATH_SLASHES_DECODE,
	};
	static const enum path_semicolons semicolons[] = {
		[0] = PATH_SEMICOLONS_KEEP,
		[SEMICOLONS_KEEP] = PATH_SEMICOLONS_KEEP,
		[SEMICOLONS_STRIP] = PATH_SEMICOLONS_STRIP,
		[SEMICOLONS_REJECT] = PATH_SEMICOLONS_REJECT,
	};

	*ret_rules = (struct path_rules){ .keeps_double = rules->normalize_path == NORMALIZE_KEEP_SLASHES,
					  .slashes = slashes[rules->escaped_slashes],
					  .semicolons = semicolons[rules->semicolons] };
	return rules->normalize_path != NORMALIZE_OFF;
}

/* A prefix matches with and without trailing slashes. */
static struct span path_of(const struct route_match *match)
{
	struct span path = match->path;

	while (match->path_kind == PATH_PREFIX_SEGMENTS && path.len && path.data[path.len - 1] == '/')
		path.len--;
	return path;
}

static void warn_of_path(const struct listener *listener, const struct route *route,
			 const struct route_match *match, struct span normal, enum http_error http_error,
			 struct config_report *report)
{
	struct span where = match->where.len ? match->where : route->where;

	if (http_error)
		config_message_at(report, CONFIG_WARNING, where,
				  "the path %s fits no request to listener %s: such paths are refused%s",
				  QUOTE(match->path), QUOTE(listener->key),
				  http_error == HTTP_ERROR_PATH_SLASH ? " unless escapedSlashes allows them"
				  : http_error == HTTP_ERROR_PATH_SEMICOLON ? " unless semicolons allows them"
									    : "");
	else
		config_message_at(report, CONFIG_WARNING, where,
				  "the path %s fits no request to listener %s: paths are compared in their "
				  "normal spelling (normalizePath); write %s",
				  QUOTE(match->path), QUOTE(listener->key), QUOTE(normal));
}

int normalization_check(const struct listener *listener, struct arena *arena, struct config_report *report)
{
	struct path_rules rules;
	bool is_normalised = path_rules_of(&listener->rules, &rules);

	for (uint32_t r = 0; is_normalised && r < listener->route_count; r++) {
		const struct route *route = &listener->route_list[r];

		for (uint32_t m = 0; m < route->match_count; m++) {
			const struct route_match *match = &route->match_list[m];
			struct span path = path_of(match), normal;
			enum http_error http_error;

			if (match->path_kind == PATH_REGEX)
				continue;
			http_error = path_normalise(path, &rules, arena, &normal);
			if (http_error == HTTP_ERROR_NO_MEMORY)
				return -ENOMEM;
			if (http_error || !span_eq(path, normal))
				warn_of_path(listener, route, match, normal, http_error, report);
		}
	}
	return 0;
}
