/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/compile/regex_set.h"

#include <errno.h>

#include "config/snapshot.h"
#include "policy/match/match_value.h"
#include "user/base/hash.h"
#include "user/base/limits.h"

struct regex_set {
	struct snapshot *snapshot;
	struct config_report *report;
	struct hash_map *map; /* owner; pattern to struct match_regex; NULL while counting */
	size_t count;
	size_t distinct;
	uint64_t instructions; /* of all expressions of the listener */
};

static void pattern_refuse(struct regex_set *set, struct span pattern, struct span where,
			   const struct text *reason)
{
	config_message_at(set->report, CONFIG_ERROR, where,
			  "the regular expression %s does not compile: %.*s", QUOTE(pattern),
			  SPAN_FMT(text_span(reason)));
}

static int pattern_compile(struct regex_set *set, struct span pattern, struct span where,
			   struct match_regex **ret_regex)
{
	struct match_regex *regex;
	struct text reason;
	int result;

	text_init(&reason);
	result = match_regex_create(pattern, match_regex_memory(set->count), &regex, &reason);
	if (result == -EINVAL) {
		result = text_error(&reason);
		if (result == 0)
			pattern_refuse(set, pattern, where, &reason);
	} else if (result == 0) {
		result = snapshot_add_destructor(set->snapshot, match_regex_free, regex);
		if (result == 0) {
			(void)hash_map_put(set->map, pattern, regex); /* the map has capacity for all */
			*ret_regex = regex;
			set->instructions += match_regex_size(regex);
		} else {
			match_regex_free(regex);
		}
	}
	text_done(&reason);
	return result;
}

static int set_add(struct regex_set *set, struct span pattern, struct span where,
		   struct match_regex **ret_regex)
{
	if (!set->map) {
		set->count++;
		return 0;
	}
	*ret_regex = hash_map_get(set->map, pattern);
	if (*ret_regex) {
		set->instructions += match_regex_size(*ret_regex);
		return 0;
	}
	if (set->distinct++ == LIMIT_REGEX_COUNT)
		config_message_at(set->report, CONFIG_ERROR, where,
				  "%d different regular expressions are the most; write exact paths or "
				  "prefixes, or several of them as one, as in (?:a|b)",
				  (int)LIMIT_REGEX_COUNT);
	return set->distinct > LIMIT_REGEX_COUNT ? 0 : pattern_compile(set, pattern, where, ret_regex);
}

static int texts_add(struct regex_set *set, struct text_match *list, uint32_t count)
{
	int result = 0;

	for (uint32_t i = 0; i < count && result == 0; i++) {
		if (list[i].kind == TEXT_REGEX)
			result = set_add(set, list[i].value, list[i].where, &list[i].regex);
	}
	return result;
}

static void names_check(struct regex_set *set, const struct route_match *match)
{
	for (uint32_t i = 0; i < match->header_count; i++) {
		struct span name = match->header_list[i].name;

		if (name.len && name.data[0] == ':' && !match_pseudo_is_known(name))
			config_message_at(
				set->report, CONFIG_ERROR, match->header_list[i].where,
				"there is no pseudo header %s; write :method, :path, :authority or :scheme",
				QUOTE(name));
	}
}

static int route_add(struct regex_set *set, struct route *route)
{
	int result = 0;

	for (uint32_t i = 0; i < route->match_count && result == 0; i++) {
		struct route_match *match = &route->match_list[i];

		if (set->map)
			names_check(set, match);
		if (match->path_kind == PATH_REGEX)
			result = set_add(set, match->path, match->where, &match->path_regex);
		if (result == 0)
			result = texts_add(set, match->header_list, match->header_count);
		if (result == 0)
			result = texts_add(set, match->query_list, match->query_count);
	}
	return result;
}

static uint64_t steps_of(const struct regex_set *set)
{
	uint64_t written = set->snapshot->config.regex_steps;
	uint64_t needed = set->instructions * LIMIT_REGEX_SHORT_BYTES;

	if (written)
		return written;
	return needed > LIMIT_REGEX_REQUEST_STEPS ? needed : LIMIT_REGEX_REQUEST_STEPS;
}

static int set_walk(struct regex_set *set)
{
	int result = 0;

	for (uint32_t b = 0; b < set->snapshot->bind_count; b++) {
		struct bind *bind = &set->snapshot->bind_list[b];

		for (uint32_t l = 0; l < bind->listener_count; l++) {
			struct listener *listener = &bind->listener_list[l];

			set->instructions = 0;
			for (uint32_t r = 0; r < listener->route_count && result == 0; r++)
				result = route_add(set, &listener->route_list[r]);
			listener->regex_steps = steps_of(set);
		}
	}
	return result;
}

int regex_set_compile(struct snapshot *snapshot, struct config_report *report)
{
	struct regex_set set = { .snapshot = snapshot, .report = report };
	int result;

	(void)set_walk(&set); /* counts the patterns */
	set.map = hash_map_create(set.count);
	if (!set.map)
		return -ENOMEM;
	result = set_walk(&set);
	hash_map_free(set.map);
	return result;
}
