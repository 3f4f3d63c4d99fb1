/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>

#include "policy/headers.h"
#include "tests/lib/alloc.h"
#include "tests/unit/policy_model.h"

/* ---- modifiers */

static const char *joined(const struct fields *fields)
{
	static char text[512];
	size_t len = 0;

	text[0] = '\0';
	for (uint32_t i = 0; i < fields->count; i++) {
		const struct field *f = &fields->list[i];

		len += (size_t)snprintf(text + len, sizeof(text) - len, "%s%.*s=%.*s", i ? " " : "",
					SPAN_FMT(f->name), SPAN_FMT(f->value));
	}
	return text;
}

static struct header_pair add_list[] = { { { "x-a", 3 }, { "1", 1 } }, { { "x-a", 3 }, { "2", 1 } } };
static struct header_pair set_list[] = { { { "x-b", 3 }, { "3", 1 } }, { { "x-new", 5 }, { "4", 1 } } };
static struct span remove_list[] = { { "x-c", 3 }, { "x-none", 6 } };

static void fields_fill(struct fields *fields, struct arena *arena)
{
	fields_init(fields, arena);
	assert_int_equal(fields_add(fields, SPAN("X-A"), SPAN("0")), 0);
	assert_int_equal(fields_add(fields, SPAN("X-B"), SPAN("0")), 0);
	assert_int_equal(fields_add(fields, SPAN("x-b"), SPAN("00")), 0);
	assert_int_equal(fields_add(fields, SPAN("X-C"), SPAN("0")), 0);
	assert_int_equal(fields_add(fields, SPAN("x-c"), SPAN("00")), 0);
}

TEST(a_modifier_removes_sets_and_adds)
{
	static const struct header_modifier modifier = { add_list, 2, set_list, 2, remove_list, 2 };
	struct fields fields;
	struct arena arena;

	arena_init(&arena, 4096);
	fields_fill(&fields, &arena);
	assert_int_equal(headers_modify(&fields, &modifier), 0);
	assert_string_equal(joined(&fields), "X-A=0 x-b=3 x-new=4 x-a=1 x-a=2");
	arena_done(&arena);
}

TEST(what_is_removed_can_be_set_and_what_is_set_can_be_added_to)
{
	static struct header_pair set[] = { { { "x-c", 3 }, { "5", 1 } } },
				  add[] = { { { "x-c", 3 }, { "6", 1 } } };
	static const struct header_modifier modifier = { add, 1, set, 1, remove_list, 1 };
	struct fields fields;
	struct arena arena;

	arena_init(&arena, 4096);
	fields_fill(&fields, &arena);
	assert_int_equal(headers_modify(&fields, &modifier), 0);
	assert_string_equal(joined(&fields), "X-A=0 X-B=0 x-b=00 x-c=5 x-c=6");
	assert_int_equal(headers_modify(&fields, NULL), 0);
	arena_done(&arena);
}

TEST(a_field_that_is_removed_or_set_does_not_stay_with_underscores)
{
	static struct span removed[] = { { "x-internal", 10 }, { "x_other", 7 } };
	static struct header_pair set[] = { { { "x-user", 6 }, { "1", 1 } },
					    { { "x_role", 6 }, { "2", 1 } } };
	static const struct header_modifier modifier = {
		.remove_list = removed, .remove_count = 2, .set_list = set, .set_count = 2
	};
	static const char *const names[] = { "X_Internal", "x-internal", "X-Other", "x_other",	  "X_USER",
					     "X-User",	   "X-Role",	 "x-use_",  "x_internals" };
	struct fields fields;
	struct arena arena;

	arena_init(&arena, 4096);
	fields_init(&fields, &arena);
	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		assert_int_equal(fields_add(&fields, span_str(names[i]), SPAN("0")), 0);
	assert_int_equal(headers_modify(&fields, &modifier), 0);
	assert_string_equal(joined(&fields), "x-user=1 x-use_=0 x_internals=0 x_role=2");
	arena_done(&arena);
}

TEST(framing_and_routing_fields_may_not_be_modified)
{
	static const char *const refused[] = { "connection",
					       "Keep-Alive",
					       "proxy-connection",
					       "te",
					       "Transfer-Encoding",
					       "upgrade",
					       "http2-settings",
					       "Trailer",
					       "Content-Length",
					       "host",
					       "HOST",
					       ":path",
					       "" };
	static const char *const allowed[] = { "x-a",	       "authorization",	  "cookie", "set-cookie",
					       "content-type", "x-forwarded-for", "via",    "server",
					       "date",	       "cache-control" };

	for (size_t i = 0; i < ARRAY_LEN(refused); i++) {
		if (headers_may_modify(span_str(refused[i])))
			fail_msg("%s is allowed", refused[i]);
	}
	for (size_t i = 0; i < ARRAY_LEN(allowed); i++) {
		if (!headers_may_modify(span_str(allowed[i])))
			fail_msg("%s is refused", allowed[i]);
	}
}

/* ---- paths */

/* The first eleven are the table of HTTPPathModifier in the Gateway API. */
static const struct {
	enum path_match_kind match;
	const char *pattern;
	enum path_rewrite kind;
	const char *with;
	const char *path;
	const char *expected;
} path_cases[] = {
	{ PATH_PREFIX_SEGMENTS, "/foo", PATH_PREFIX, "/xyz", "/foo/bar", "/xyz/bar" },
	{ PATH_PREFIX_SEGMENTS, "/foo", PATH_PREFIX, "/xyz/", "/foo/bar", "/xyz/bar" },
	{ PATH_PREFIX_SEGMENTS, "/foo/", PATH_PREFIX, "/xyz", "/foo/bar", "/xyz/bar" },
	{ PATH_PREFIX_SEGMENTS, "/foo/", PATH_PREFIX, "/xyz/", "/foo/bar", "/xyz/bar" },
	{ PATH_PREFIX_SEGMENTS, "/foo", PATH_PREFIX, "/xyz", "/foo", "/xyz" },
	{ PATH_PREFIX_SEGMENTS, "/foo", PATH_PREFIX, "/xyz", "/foo/", "/xyz/" },
	{ PATH_PREFIX_SEGMENTS, "/foo", PATH_PREFIX, "", "/foo/bar", "/bar" },
	{ PATH_PREFIX_SEGMENTS, "/foo", PATH_PREFIX, "", "/foo/", "/" },
	{ PATH_PREFIX_SEGMENTS, "/foo", PATH_PREFIX, "", "/foo", "/" },
	{ PATH_PREFIX_SEGMENTS, "/foo", PATH_PREFIX, "/", "/foo/", "/" },
	{ PATH_PREFIX_SEGMENTS, "/foo", PATH_PREFIX, "/", "/foo", "/" },
	{ PATH_PREFIX_SEGMENTS, "/foo", PATH_PREFIX, "/", "/foo/bar", "/bar" },
	{ PATH_PREFIX_SEGMENTS, "/foo", PATH_PREFIX, "/xyz/", "/foo", "/xyz" },
	{ PATH_PREFIX_SEGMENTS, "/foo", PATH_PREFIX, "/xyz", "/foo//bar", "/xyz//bar" },
	{ PATH_PREFIX_SEGMENTS, "/foo", PATH_PREFIX, "/xyz", "/foo/foo/foo", "/xyz/foo/foo" },
	{ PATH_PREFIX_SEGMENTS, "/foo", PATH_PREFIX, "xyz", "/foo/bar", "/xyz/bar" },
	{ PATH_PREFIX_SEGMENTS, "/", PATH_PREFIX, "/xyz", "/bar", "/xyz/bar" },
	{ PATH_PREFIX_SEGMENTS, "/", PATH_PREFIX, "/xyz", "/", "/xyz/" },
	{ PATH_PREFIX_SEGMENTS, "/", PATH_PREFIX, "/", "/a/b", "/a/b" },
	{ PATH_PREFIX_SEGMENTS, "/", PATH_PREFIX, "/xyz", "*", "*" },
	{ PATH_EXACT, "/foo", PATH_PREFIX, "/xyz", "/foo", "/xyz" },
	{ PATH_EXACT, "/foo/", PATH_PREFIX, "/xyz", "/foo/", "/xyz/" },
	{ PATH_REGEX, "/f.*", PATH_PREFIX, "/xyz", "/foo", "/foo" },
	{ PATH_PREFIX_SEGMENTS, "/foo", PATH_FULL, "/xyz", "/foo/bar", "/xyz" },
	{ PATH_PREFIX_SEGMENTS, "/foo", PATH_FULL, "/xyz/", "/foo/bar", "/xyz/" },
	{ PATH_PREFIX_SEGMENTS, "/foo", PATH_FULL, "", "/foo/bar", "/" },
	{ PATH_PREFIX_SEGMENTS, "/foo", PATH_FULL, "xyz", "/foo/bar", "/xyz" },
	{ PATH_REGEX, "/f.*", PATH_FULL, "/xyz", "/foo", "/xyz" },
	{ PATH_PREFIX_SEGMENTS, "/foo", PATH_KEEP, "/xyz", "/foo/bar", "/foo/bar" },
};

TEST(paths_are_rewritten_by_whole_segments_and_queries_stay)
{
	for (size_t i = 0; i < ARRAY_LEN(path_cases); i++) {
		const struct route_match match = { .path_kind = path_cases[i].match,
						   .path = span_str(path_cases[i].pattern) };
		const struct url_rewrite rewrite = { .path_kind = path_cases[i].kind,
						     .path = span_str(path_cases[i].with) };
		struct request_head head;
		struct arena arena;

		arena_init(&arena, 1024);
		head = head_of(&arena, "GET", "a", path_cases[i].path);
		head.query = SPAN("q=/foo");
		head.has_query = true;
		assert_int_equal(headers_rewrite(&head, &rewrite, NULL, &match, NULL), 0);
		if (!span_eq(head.path, span_str(path_cases[i].expected)))
			fail_msg("row %zu: %s becomes %.*s", i, path_cases[i].path, SPAN_FMT(head.path));
		assert_text(head.query, "q=/foo");
		assert_true(head.has_query);
		arena_done(&arena);
	}
}

/* ---- authorities */

static const struct backend named = { .kind = BACKEND_HOST,
				      .rewrites_host = true,
				      .authority = { "backend:8000", 12 } };
static const struct backend literal = { .kind = BACKEND_HOST };
static const struct backend service = { .kind = BACKEND_SERVICE, .authority = { "svc.ns.svc:80", 13 } };

static const struct {
	bool has_rewrite;
	enum authority_rewrite kind;
	const char *with;
	uint16_t port;
	const struct backend *backend;
	const char *before;
	const char *after;
} authority_cases[] = {
	{ false, AUTHORITY_KEEP, NULL, 0, &named, "client:8080", "backend:8000" },
	{ false, AUTHORITY_KEEP, NULL, 0, &literal, "client:8080", "client:8080" },
	{ false, AUTHORITY_KEEP, NULL, 0, &service, "client:8080", "client:8080" },
	{ false, AUTHORITY_KEEP, NULL, 0, NULL, "client", "client" },
	{ true, AUTHORITY_KEEP, NULL, 0, &named, "client", "backend:8000" },
	{ true, AUTHORITY_NONE, NULL, 0, &named, "client:8080", "client:8080" },
	{ true, AUTHORITY_AUTO, NULL, 0, &named, "client:8080", "backend:8000" },
	{ true, AUTHORITY_AUTO, NULL, 0, &service, "client:8080", "svc.ns.svc:80" },
	{ true, AUTHORITY_AUTO, NULL, 0, &literal, "client:8080", "client:8080" },
	{ true, AUTHORITY_FULL, "new:1234", 0, &named, "client:8080", "new:1234" },
	{ true, AUTHORITY_FULL, "new", 0, &named, "client:8080", "new" },
	{ true, AUTHORITY_HOST, "new", 0, &named, "client:8080", "new:8080" },
	{ true, AUTHORITY_HOST, "new", 0, &named, "client", "new" },
	{ true, AUTHORITY_HOST, "new", 0, &named, "client:80", "new" },
	{ true, AUTHORITY_HOST, "new", 0, &named, "[::1]:8080", "new:8080" },
	{ true, AUTHORITY_HOST, "new", 0, &named, "", "new" },
	{ true, AUTHORITY_PORT, NULL, 1234, &named, "client:8080", "client:1234" },
	{ true, AUTHORITY_PORT, NULL, 1234, &named, "client", "client:1234" },
	{ true, AUTHORITY_PORT, NULL, 80, &named, "client:8080", "client" },
	{ true, AUTHORITY_PORT, NULL, 443, &named, "client", "client:443" },
	{ true, AUTHORITY_PORT, NULL, 1234, &named, "[::1]", "[::1]:1234" },
	{ true, AUTHORITY_PORT, NULL, 1234, &named, "", "" },
};

TEST(named_backends_get_their_name_unless_told_otherwise)
{
	for (size_t i = 0; i < ARRAY_LEN(authority_cases); i++) {
		const struct url_rewrite rewrite = { .authority_kind = authority_cases[i].kind,
						     .authority = span_str(authority_cases[i].with),
						     .port = authority_cases[i].port };
		const struct route_match match = { .path_kind = PATH_PREFIX_SEGMENTS, .path = SPAN("/") };
		const struct backend *backend = authority_cases[i].backend;
		const struct backend_ref ref = { .backend = backend,
						 .authority = backend ? backend->authority : SPAN("") };
		struct request_head head;
		struct arena arena;

		arena_init(&arena, 1024);
		head = head_of(&arena, "GET", authority_cases[i].before, "/a?b");
		assert_int_equal(headers_rewrite(&head, authority_cases[i].has_rewrite ? &rewrite : NULL,
						 NULL, &match, backend ? &ref : NULL),
				 0);
		if (!span_eq(head.authority, span_str(authority_cases[i].after)))
			fail_msg("row %zu: %.*s", i, SPAN_FMT(head.authority));
		assert_text(head.path, "/a");
		arena_done(&arena);
	}
}

TEST(a_host_rewrite_decides_where_no_url_rewrite_sets_the_host)
{
	static const struct host_rewrite own = { AUTHORITY_AUTO }, clients = { AUTHORITY_NONE };
	static const struct url_rewrite path = { .path_kind = PATH_FULL, .path = SPAN("/p") },
					full = { .authority_kind = AUTHORITY_FULL, .authority = SPAN("new") };
	static const struct {
		const struct url_rewrite *rewrite;
		const struct host_rewrite *host;
		bool is_named;
		const char *after;
	} rows[] = {
		{ NULL, &own, true, "backend:1" },   { NULL, &own, false, "backend:1" },
		{ NULL, &clients, true, "client" },  { &path, &clients, true, "client" },
		{ &path, &own, false, "backend:1" }, { &full, &own, true, "new" },
		{ &full, &clients, true, "new" },    { NULL, NULL, false, "client" },
		{ &path, NULL, true, "backend:1" },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		const struct route_match match = { .path_kind = PATH_PREFIX_SEGMENTS, .path = SPAN("/") };
		const struct backend backend = { .rewrites_host = rows[i].is_named };
		const struct backend_ref ref = { .backend = &backend, .authority = SPAN("backend:1") };
		struct request_head head;
		struct arena arena;

		arena_init(&arena, 1024);
		head = head_of(&arena, "GET", "client", "/a");
		assert_int_equal(headers_rewrite(&head, rows[i].rewrite, rows[i].host, &match, &ref), 0);
		if (!span_eq(head.authority, span_str(rows[i].after)))
			fail_msg("row %zu: %.*s", i, SPAN_FMT(head.authority));
		arena_done(&arena);
	}
}

/* ---- redirects */

static const struct {
	const char *scheme; /* of the redirect */
	enum authority_rewrite kind;
	const char *with;
	uint16_t port;
	enum path_rewrite path_kind;
	const char *path;
	const char *request_scheme;
	const char *host;
	const char *target;
	const char *location;
} redirects[] = {
	{ "https", AUTHORITY_KEEP, "", 0, PATH_KEEP, "", "http", "a.com", "/x?y=z", "https://a.com/x?y=z" },
	{ "https", AUTHORITY_KEEP, "", 0, PATH_KEEP, "", "http", "a.com:8080", "/x", "https://a.com/x" },
	{ "http", AUTHORITY_KEEP, "", 0, PATH_KEEP, "", "https", "a.com:8443", "/x", "http://a.com/x" },
	{ "http", AUTHORITY_KEEP, "", 0, PATH_KEEP, "", "http", "a.com:8080", "/x", "http://a.com/x" },
	{ "", AUTHORITY_KEEP, "", 0, PATH_FULL, "/n", "http", "a.com:8080", "/x", "http://a.com:8080/n" },
	{ "", AUTHORITY_KEEP, "", 0, PATH_FULL, "/n", "http", "a.com", "/x", "http://a.com/n" },
	{ "", AUTHORITY_KEEP, "", 0, PATH_FULL, "/n", "http", "a.com:80", "/x", "http://a.com/n" },
	{ "", AUTHORITY_KEEP, "", 0, PATH_FULL, "/n", "https", "a.com:443", "/x", "https://a.com/n" },
	{ "", AUTHORITY_KEEP, "", 0, PATH_FULL, "/n", "https", "a.com:80", "/x", "https://a.com:80/n" },
	{ "", AUTHORITY_HOST, "b.com", 0, PATH_KEEP, "", "http", "a.com:8080", "/x", "http://b.com:8080/x" },
	{ "", AUTHORITY_HOST, "b.com", 0, PATH_KEEP, "", "http", "a.com", "/x", "http://b.com/x" },
	{ "https", AUTHORITY_HOST, "b.com", 0, PATH_KEEP, "", "http", "a.com:8080", "/x", "https://b.com/x" },
	{ "", AUTHORITY_FULL, "b.com:8443", 0, PATH_KEEP, "", "http", "a.com:80", "/x",
	  "http://b.com:8443/x" },
	{ "https", AUTHORITY_FULL, "b.com:443", 0, PATH_KEEP, "", "http", "a.com", "/x", "https://b.com/x" },
	{ "https", AUTHORITY_FULL, "b.com:80", 0, PATH_KEEP, "", "http", "a.com", "/x",
	  "https://b.com:80/x" },
	{ "", AUTHORITY_FULL, "b.com", 0, PATH_KEEP, "", "http", "a.com:8080", "/x", "http://b.com/x" },
	{ "", AUTHORITY_FULL, "[::1]:81", 0, PATH_KEEP, "", "http", "a.com", "/x", "http://[::1]:81/x" },
	{ "", AUTHORITY_PORT, "", 8443, PATH_KEEP, "", "http", "a.com:80", "/x", "http://a.com:8443/x" },
	{ "https", AUTHORITY_PORT, "", 443, PATH_KEEP, "", "http", "a.com:80", "/x", "https://a.com/x" },
	{ "https", AUTHORITY_PORT, "", 8443, PATH_KEEP, "", "http", "a.com", "/x", "https://a.com:8443/x" },
	{ "", AUTHORITY_PORT, "", 80, PATH_KEEP, "", "http", "a.com:8080", "/x", "http://a.com/x" },
	{ "", AUTHORITY_AUTO, "", 0, PATH_PREFIX, "/n", "http", "a.com:81", "/x/y?q",
	  "http://a.com:81/n/y?q" },
	{ "", AUTHORITY_NONE, "", 0, PATH_PREFIX, "/", "http", "a.com", "/x", "http://a.com/" },
	{ "https", AUTHORITY_KEEP, "", 0, PATH_KEEP, "", "http", "a.com", "/x?", "https://a.com/x?" },
	{ "https", AUTHORITY_KEEP, "", 0, PATH_KEEP, "", "http", "a.com", "*", "https://a.com/" },
	{ "https", AUTHORITY_KEEP, "", 0, PATH_FULL, "/n", "http", "", "/x?q", "/n?q" },
	{ "", AUTHORITY_PORT, "", 8443, PATH_KEEP, "", "http", "", "/x", "/x" },
	{ "", AUTHORITY_HOST, "b.com", 0, PATH_KEEP, "", "http", "", "/x", "http://b.com/x" },
	{ "", AUTHORITY_KEEP, "", 0, PATH_KEEP, "", "http", "", "//evil.com/x", "/evil.com/x" },
	{ "", AUTHORITY_KEEP, "", 0, PATH_KEEP, "", "http", "a.com", "//evil.com/x",
	  "http://a.com//evil.com/x" },
	{ "", AUTHORITY_KEEP, "", 0, PATH_PREFIX, "", "http", "", "/x//evil.com", "/evil.com" },
};

TEST(locations_name_the_right_port)
{
	static const struct route_match match = { .path_kind = PATH_PREFIX_SEGMENTS, .path = { "/x", 2 } };

	for (size_t i = 0; i < ARRAY_LEN(redirects); i++) {
		const struct redirect_policy redirect = {
			.scheme = span_str(redirects[i].scheme),
			.url = { .authority_kind = redirects[i].kind,
				 .authority = span_str(redirects[i].with),
				 .port = redirects[i].port,
				 .path_kind = redirects[i].path_kind,
				 .path = span_str(redirects[i].path) },
		};
		struct request_head head;
		struct span location;
		struct arena arena;

		arena_init(&arena, 1024);
		head = head_of(&arena, "GET", redirects[i].host, redirects[i].target);
		assert_int_equal(headers_redirect(&head, &redirect, &match,
						  span_str(redirects[i].request_scheme), &arena, &location),
				 0);
		if (!span_eq(location, span_str(redirects[i].location)))
			fail_msg("row %zu: %.*s", i, SPAN_FMT(location));
		arena_done(&arena);
	}
}

/* ---- memory */

static int everything_once(void *context)
{
	static const struct header_modifier modifier = { add_list, 2, set_list, 2, remove_list, 2 };
	static const struct redirect_policy redirect = {
		.url = { .authority_kind = AUTHORITY_PORT,
			 .port = 81,
			 .path_kind = PATH_PREFIX,
			 .path = { "/n", 2 } },
	};
	static const struct route_match match = { .path_kind = PATH_PREFIX_SEGMENTS, .path = { "/x", 2 } };
	struct request_head head;
	struct span location;
	struct arena arena;
	int result;

	(void)context;
	arena_init(&arena, 1); /* every piece is an allocation */
	head = head_of(&arena, "GET", "a", "/x/y");
	result = headers_modify(&head.fields, &modifier);
	if (result == 0)
		result = headers_redirect(&head, &redirect, &match, SPAN("http"), &arena, &location);
	if (result == 0)
		result = headers_rewrite(&head, &redirect.url, NULL, &match, NULL);
	arena_done(&arena);
	return result;
}

TEST(every_failed_allocation_is_reported)
{
	assert_true(alloc_fail_each(everything_once, NULL) >= 6);
}
