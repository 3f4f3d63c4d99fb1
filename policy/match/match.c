/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/match/match.h"

#include "policy/match/match_value.h"
#include "user/base/limits.h"

struct span match_prefix_trim(struct span prefix)
{
	while (prefix.len && prefix.data[prefix.len - 1] == '/')
		prefix.len--;
	return prefix;
}

bool match_prefix(struct span path, struct span prefix)
{
	prefix = match_prefix_trim(prefix);
	if (prefix.len == 0)
		return true;
	return span_starts(path, prefix) && (path.len == prefix.len || path.data[prefix.len] == '/');
}

enum match_result match_path(const struct route_match *match, struct span path, struct regex_budget *budget)
{
	switch (match->path_kind) {
	case PATH_EXACT:
		return span_eq(path, match->path) ? MATCH_YES : MATCH_NO;
	case PATH_PREFIX_SEGMENTS:
		return match_prefix(path, match->path) ? MATCH_YES : MATCH_NO;
	case PATH_REGEX:
		return match_regex_run(match->path_regex, path, budget);
	}
	return MATCH_NO;
}

static enum match_result match_text(const struct text_match *match, struct span value, bool ignore_case,
				    struct regex_budget *budget)
{
	if (match->kind == TEXT_REGEX)
		return match_regex_run(match->regex, value, budget);
	if (ignore_case)
		return span_eq_nocase(value, match->value) ? MATCH_YES : MATCH_NO;
	return span_eq(value, match->value) ? MATCH_YES : MATCH_NO;
}

/* The result for a value that is too long to build. */
static enum match_result match_too_long(const struct text_match *match)
{
	return match->kind == TEXT_EXACT && match->value.len <= LIMIT_MATCH_VALUE_BYTES ? MATCH_NO
											: MATCH_GAVE_UP;
}

static enum match_result match_header(const struct text_match *match, const struct request_head *head,
				      struct regex_budget *budget)
{
	struct match_room room;
	struct span value;

	switch (match_value_find(MATCH_HEADER, match->name, head, &room, &value)) {
	case MATCH_NO:
		return MATCH_NO;
	case MATCH_GAVE_UP:
		return match_too_long(match);
	case MATCH_YES:
		return match_text(match, value, match_name_is_host(match->name), budget);
	}
	return MATCH_NO;
}

static enum match_result match_query(const struct text_match *match, const struct request_head *head,
				     struct regex_budget *budget)
{
	struct match_room room;
	struct span value;

	if (match->kind == TEXT_EXACT)
		return match_query_eq(match->name, match->value, head) ? MATCH_YES : MATCH_NO;
	switch (match_value_find(MATCH_QUERY, match->name, head, &room, &value)) {
	case MATCH_NO:
		return MATCH_NO;
	case MATCH_GAVE_UP:
		return MATCH_GAVE_UP;
	case MATCH_YES:
		return match_text(match, value, false, budget);
	}
	return MATCH_NO;
}

/* A condition that fails decides, even if the other is unknown. */
static enum match_result match_and(enum match_result one, enum match_result other)
{
	if (one == MATCH_NO || other == MATCH_NO)
		return MATCH_NO;
	return one == MATCH_GAVE_UP ? one : other;
}

enum match_result match_conditions(const struct route_match *match, const struct request_head *head,
				   struct regex_budget *budget)
{
	enum match_result result = MATCH_YES;

	if (match->method.len && !span_eq(match->method, head->method_text))
		return MATCH_NO;
	for (uint32_t i = 0; i < match->header_count && result != MATCH_NO; i++)
		result = match_and(result, match_header(&match->header_list[i], head, budget));
	for (uint32_t i = 0; i < match->query_count && result != MATCH_NO; i++)
		result = match_and(result, match_query(&match->query_list[i], head, budget));
	if (result != MATCH_NO && match->path_kind == PATH_REGEX)
		result = match_and(result, match_path(match, head->path, budget));
	return result;
}
