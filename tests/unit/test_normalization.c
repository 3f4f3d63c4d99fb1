/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/match/normalization.h"

#include "tests/unit/policy_model.h"
#include "user/base/check.h"

#define RULES(...) ((struct request_rules){ __VA_ARGS__ })

/* What is said of a route with this path; empty: nothing. */
static void check_path(enum path_match_kind kind, const char *path, struct request_rules rules,
		       const char *part)
{
	struct listener *listener;
	struct model m;

	model_init(&m);
	listener = model_listener(&m, model_bind(&m, 8080), "infra", "gw", "http", "");
	listener->rules = rules;
	model_match(&m, model_route(&m, listener, "app/r.0.0.http"), kind, path);
	assert_false(m.failed);
	assert_int_equal(normalization_check(listener, m.snapshot->arena, &m.report), 0);
	if (m.report.count[CONFIG_WARNING] != (*part ? 1 : 0) ||
	    model_messages(&m, CONFIG_WARNING, part) != m.report.count[CONFIG_WARNING])
		fail_msg("%s: %u warnings, none with: %s", path, m.report.count[CONFIG_WARNING], part);
	model_done(&m);
}

TEST(a_path_that_no_request_has_any_more_is_a_warning_with_the_one_to_write)
{
	static const struct {
		const char *path, *write;
	} rows[] = {
		{ "/x/../admin", "write \"/admin\"" },
		{ "//admin", "write \"/admin\"" },
		{ "/%61dmin", "write \"/admin\"" },
		{ "/a/./b", "write \"/a/b\"" },
		{ "/%c3%a4", "write \"/%C3%A4\"" },
		{ "/a%2fb", "unless escapedSlashes" },
		{ "/a\\b", "unless escapedSlashes" },
		{ "/100%", "are refused" },
		{ "/admin", "" },
		{ "/a.b/..c/", "" },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		check_path(PATH_EXACT, rows[i].path, RULES(0), rows[i].write);
		check_path(PATH_PREFIX_SEGMENTS, rows[i].path, RULES(0), rows[i].write);
		check_path(PATH_EXACT, rows[i].path, RULES(.normalize_path = NORMALIZE_OFF), "");
		check_path(PATH_REGEX, rows[i].path, RULES(0), "");
	}
}

TEST(slashes_behind_a_prefix_are_no_other_spelling)
{
	check_path(PATH_PREFIX_SEGMENTS, "/a//", RULES(0), "");
	check_path(PATH_EXACT, "/a//", RULES(0), "write \"/a/\"");
	check_path(PATH_PREFIX_SEGMENTS, "/", RULES(0), "");
	check_path(PATH_PREFIX_SEGMENTS, "/a//b", RULES(0), "write \"/a/b\"");
}

TEST(the_rules_of_the_listener_say_what_is_normal)
{
	check_path(PATH_EXACT, "//a", RULES(.normalize_path = NORMALIZE_KEEP_SLASHES), "");
	check_path(PATH_EXACT, "/a%2Fb", RULES(.escaped_slashes = ESCAPED_KEEP), "");
	check_path(PATH_EXACT, "/a%2fb", RULES(.escaped_slashes = ESCAPED_KEEP), "write \"/a%2Fb\"");
	check_path(PATH_EXACT, "/a%2fb", RULES(.escaped_slashes = ESCAPED_DECODE), "write \"/a/b\"");
	check_path(PATH_EXACT, "/a;b", RULES(.semicolons = SEMICOLONS_KEEP), "");
	check_path(PATH_EXACT, "/a;b", RULES(.semicolons = SEMICOLONS_STRIP), "write \"/a\"");
	check_path(PATH_EXACT, "/a;b", RULES(.semicolons = SEMICOLONS_REJECT), "unless semicolons");
}
