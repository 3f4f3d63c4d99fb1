/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/admin_fake.h"
#include "user/base/clock.h"
#include "user/base/units.h"

/* /ui/data and the page, over a real connection to the admin server. */

static const struct json_value *part(const struct json_value *root, const char *name)
{
	const struct json_value *found = json_member(root, name);

	assert_non_null(found);
	return found;
}

static size_t rows_of(const struct json_value *list)
{
	size_t count = 0;

	for (const struct json_value *row = json_first(list); row; row = json_next(row))
		count++;
	return count;
}

PLAYED(only_the_parts_that_were_asked_for_come)
{
	struct json_value *root = ask_json(*state, "GET /ui/data?parts=totals,config");

	assert_non_null(json_member(root, "totals"));
	assert_non_null(json_member(root, "config"));
	assert_null(json_member(root, "streams"));
	assert_null(json_member(root, "map"));
	assert_int_equal(json_member_whole(root, "generation"), 4);
	json_free(root);
	assert_answer(*state, ADMIN_PORT_ADMIN, "GET /ui/data?parts=x", 400, "parts is a list of");
}

PLAYED(totals_are_those_of_all_workers)
{
	struct fake *fake = *state;
	const struct json_value *totals;
	struct json_value *root;

	tally_add(&fake->counters.requests, 5);
	tally_add(&fake->counters.failures, 2);
	counter_end(&fake->counters, END_REQUEST_TIMEOUT);
	tally_add(&fake->counters.lane_bytes_out[LANE_SOCKMAP], 1000);
	root = ask_json(fake, "GET /ui/data?parts=totals");
	totals = part(root, "totals");
	/* Both workers of the fake show the same counters. */
	assert_int_equal(json_member_whole(totals, "requests"), 10);
	assert_int_equal(json_member_whole(totals, "failures"), 4);
	assert_int_equal(json_member_whole(part(totals, "reasons"), "request_timeout"), 2);
	assert_int_equal(rows_of(part(totals, "reasons")), 1);
	assert_int_equal(json_member_whole(part(totals, "lanesOut"), "sockmap"), 2000);
	json_free(root);
}

PLAYED(samples_come_once_and_in_portions)
{
	enum { LAST_S = 900, PORTION = 400 };
	struct fake *fake = *state;
	uint64_t now_s = clock_now_ns() / NS_PER_S, since = 0;
	uint64_t kept = now_s > LAST_S ? LAST_S : now_s - 1; /* the machine may have started just now */
	size_t rows = 0, answers = 0;
	bool has_more = true;

	for (uint64_t second = now_s - kept; second < now_s; second++) {
		seconds_begin(fake->seconds, second);
		tally_add(&fake->counters.requests, 1);
	}
	while (has_more) {
		char line[128];
		struct json_value *root;
		const struct json_value *samples;

		snprintf(line, sizeof(line), "GET /ui/data?parts=samples&since=%llu",
			 (unsigned long long)since);
		root = ask_json(fake, line);
		samples = part(root, "samples");
		assert_in_range(rows_of(part(samples, "rows")), 0, PORTION);
		rows += rows_of(part(samples, "rows"));
		since = json_member_whole(samples, "until");
		has_more = cJSON_IsTrue(tree(json_member(samples, "more")));
		json_free(root);
		answers++;
	}
	assert_int_equal(rows, kept);
	assert_int_equal(answers, (kept + PORTION - 1) / PORTION);
}

PLAYED(a_page_that_is_older_than_the_host_gets_samples)
{
	struct fake *fake = *state;
	uint64_t now_s = clock_now_ns() / NS_PER_S;
	struct json_value *root;
	const struct json_value *samples;

	seconds_begin(fake->seconds, now_s - 5);
	tally_add(&fake->counters.requests, 1);
	seconds_begin(fake->seconds, now_s - 1);
	root = ask_json(fake, "GET /ui/data?parts=samples&since=99999999999");
	samples = part(root, "samples");
	assert_int_equal(rows_of(part(samples, "rows")), 1);
	assert_in_range(json_member_whole(samples, "until"), now_s - 1, now_s + 3600);
	json_free(root);
}

PLAYED(streams_are_a_few_rows_of_many)
{
	struct fake *fake = *state;
	const struct json_value *streams;
	struct json_value *root;
	char *answer;

	fake->stream_count = 10000;
	root = ask_json(fake, "GET /ui/data?parts=streams,ends&sort=id");
	streams = part(root, "streams");
	assert_int_equal(json_member_whole(streams, "total"), 10000);
	assert_int_equal(rows_of(part(streams, "rows")), 40);
	assert_int_equal(json_member_whole(json_first(part(streams, "rows")), "id"), 1);
	assert_string_equal(json_member_text(json_first(part(streams, "rows")), "deadline"), "stream_idle");
	assert_string_equal(json_member_text(json_first(part(part(root, "ends"), "rows")), "reason"),
			    "stream_idle");
	assert_true(cJSON_IsTrue(tree(json_member(json_first(part(part(root, "ends"), "rows")), "timer"))));
	json_free(root);
	/* Nothing on the way is larger than what a page may cost in a second. */
	answer = ask(fake, ADMIN_PORT_ADMIN, "GET /ui/data?parts=totals,streams,ends");
	assert_in_range(strlen(answer), 1000, 20 * 1024);
	free(answer);
}

PLAYED(texts_of_clients_are_cut_and_escaped)
{
	enum { ROWS = 200, TEXTS = 8, TEXT_BYTES = 100, ESCAPE_BYTES = 6, REST_BYTES = 1024 };
	struct fake *fake = *state;
	const struct json_value *row;
	struct json_value *root;
	char *answer;

	fake->stream_count = 1000;
	fake->has_long_texts = true;
	answer = ask(fake, ADMIN_PORT_ADMIN, "GET /ui/data?parts=streams,ends&limit=200");
	assert_in_range(strlen(answer), 1000, 2 * ROWS * (TEXTS * TEXT_BYTES * ESCAPE_BYTES + REST_BYTES));
	free(answer);
	root = ask_json(fake, "GET /ui/data?parts=ends&limit=1");
	row = json_first(part(part(root, "ends"), "rows"));
	/* "\u00ff", in UTF-8 */
	assert_int_equal(strlen(json_member_text(row, "path")), 2 * TEXT_BYTES);
	assert_memory_equal(json_member_text(row, "path"), "\xc3\xbf\xc3\xbf", 4);
	json_free(root);
}

PLAYED(refusals_name_the_policy_and_the_rule)
{
	struct fake *fake = *state;
	const struct json_value *refusals;
	struct json_value *root;

	request_metrics_refusal(fake->requests, SPAN("localRateLimit"), SPAN("default/api"));
	root = ask_json(fake, "GET /ui/data?parts=refusals");
	refusals = json_first(part(part(root, "refusals"), "rows"));
	assert_string_equal(json_member_text(refusals, "policy"), "localRateLimit");
	assert_string_equal(json_member_text(refusals, "rule"), "default/api");
	assert_int_equal(json_member_whole(refusals, "count"), 1);
	json_free(root);
}

/* A route points at the backend as it was loaded; endpoints of the API server may have changed since. */
PLAYED(the_map_has_the_endpoints_that_are_in_force)
{
	struct endpoint before = { .text = SPAN("10.0.0.1:80") }, now = { .text = SPAN("10.0.0.2:80") };
	struct backend loaded = { .name = SPAN("n/s"), .endpoint_list = &before, .endpoint_count = 1 };
	struct backend current = { .name = SPAN("n/s"), .endpoint_list = &now, .endpoint_count = 1 };
	struct backend_ref ref = { .backend = &loaded };
	struct route route = { .backend_list = &ref, .backend_count = 1 };
	struct listener listener = { .route_list = &route, .route_count = 1 };
	struct bind bind = { .listener_list = &listener, .listener_count = 1 };
	struct fake *fake = *state;
	const struct json_value *backend;
	struct json_value *root;

	fake->snapshot.bind_list = &bind;
	fake->snapshot.backend_list = &current;
	fake->snapshot.bind_count = fake->snapshot.backend_count = 1;
	root = ask_json(fake, "GET /ui/data?parts=map");
	backend = json_first(part(part(root, "map"), "backends"));
	assert_string_equal(json_member_text(json_first(part(backend, "endpoints")), "name"), "10.0.0.2:80");
	json_free(root);
	fake->snapshot.bind_count = fake->snapshot.backend_count = 0;
}

PLAYED(errors_of_the_configuration_keep_file_and_line)
{
	struct json_value *root = ask_json(*state, "GET /ui/data?parts=config");
	const struct json_value *errors = part(part(root, "config"), "errors");

	assert_int_equal(rows_of(errors), 2);
	assert_string_equal(cJSON_GetStringValue(tree(json_first(errors))), "a.yaml:1:2: binds: wrong");
	json_free(root);
}

PLAYED(each_reason_has_its_words)
{
	struct json_value *root = ask_json(*state, "GET /ui/data?parts=words");

	assert_int_equal(rows_of(part(root, "words")), END_REASON_COUNT);
	json_free(root);
}

PLAYED(the_page_and_its_files_are_served_with_a_strict_policy)
{
	static const char *const paths[] = {
		"GET /ui",
		"GET /ui/",
#define PAGE_FILE(id, name, content_type) "GET /ui/" name,
#include "admin/ui/page_files.def"
#undef PAGE_FILE
	};
	size_t bytes = 0;

	for (size_t i = 0; i < ARRAY_LEN(paths); i++) {
		char *answer = ask(*state, ADMIN_PORT_ADMIN, paths[i]);

		assert_memory_equal(answer, "HTTP/1.1 200 OK\r\n", 17);
		assert_non_null(
			strstr(answer, "Content-Security-Policy: default-src 'none'; script-src 'self'; "));
		assert_non_null(strstr(answer, "frame-ancestors 'none'"));
		assert_null(strstr(answer, "unsafe"));
		assert_non_null(strstr(answer, "X-Content-Type-Options: nosniff\r\n"));
		bytes += i < 2 ? 0 : strlen(strstr(answer, "\r\n\r\n") + 4);
		free(answer);
	}
	assert_in_range(bytes, 10 * 1024, 150 * 1024);
	assert_answer(*state, ADMIN_PORT_ADMIN, "GET /ui/none.js", 404, "no such file");
	assert_answer(*state, ADMIN_PORT_ADMIN, "POST /ui/data", 405, "use GET, HEAD");
}

/* A page that a browser shows may not do what only an operator may: what clients sent stays text. */
PLAYED(no_file_of_the_page_writes_html)
{
	static const char *const paths[] = {
#define PAGE_FILE(id, name, content_type) "GET /ui/" name,
#include "admin/ui/page_files.def"
#undef PAGE_FILE
	};
	static const char *const words[] = { "innerHTML",      "outerHTML", "insertAdjacentHTML",
					     "document.write", "eval(",	    "new Function",
					     "srcdoc",	       "http:" };

	for (size_t i = 0; i < ARRAY_LEN(paths); i++) {
		char *answer = ask(*state, ADMIN_PORT_ADMIN, paths[i]);

		for (size_t w = 0; w < ARRAY_LEN(words); w++) {
			/* The names of XML namespaces are no addresses. */
			for (const char *at = answer; (at = strstr(at, words[w])); at++)
				if (!span_starts(span_str(at), SPAN("http://www.w3.org/2000/svg")))
					fail_msg("%s has %s", paths[i], words[w]);
		}
		free(answer);
	}
}
