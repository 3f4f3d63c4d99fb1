/* SPDX-License-Identifier: Apache-2.0 */

#include "tests/unit/admin_fake.h"
#include "policy/health_group.h"
#include "user/base/clock.h"
#include "user/base/limits.h"
#include "user/base/log.h"

/* ---- the endpoints */

PLAYED(every_endpoint_answers_its_methods_and_no_other)
{
	static const struct {
		enum admin_port port;
		const char *path;
		bool get, post;
		const char *allow;
	} cases[] = {
		{ ADMIN_PORT_ADMIN, "/", true, false, "GET, HEAD" },
		{ ADMIN_PORT_ADMIN, "/config_dump", true, false, "GET, HEAD" },
		{ ADMIN_PORT_ADMIN, "/config_status", true, false, "GET, HEAD" },
		{ ADMIN_PORT_ADMIN, "/streams", true, false, "GET, HEAD" },
		{ ADMIN_PORT_ADMIN, "/streams?history=1", true, false, "GET, HEAD" },
		{ ADMIN_PORT_ADMIN, "/streams/12/close", false, true, "POST" },
		{ ADMIN_PORT_ADMIN, "/endpoints", true, false, "GET, HEAD" },
		{ ADMIN_PORT_ADMIN, "/logging", true, true, "GET, HEAD, POST" },
		{ ADMIN_PORT_ADMIN, "/trace", true, false, "GET, HEAD" },
		{ ADMIN_PORT_ADMIN, "/memory", true, false, "GET, HEAD" },
		{ ADMIN_PORT_ADMIN, "/quitquitquit", false, true, "POST" },
		{ ADMIN_PORT_STATS, "/metrics", true, false, "GET, HEAD" },
		{ ADMIN_PORT_STATS, "/stats/prometheus", true, false, "GET, HEAD" },
		{ ADMIN_PORT_READINESS, "/healthz/ready", true, false, "GET, HEAD" },
	};
	static const char *const methods[] = { "GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS" };

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		for (size_t m = 0; m < ARRAY_LEN(methods); m++) {
			bool is_fine = m < 2 ? cases[i].get : m == 2 && cases[i].post;
			char line[128], allow[64];
			char *answer;

			snprintf(line, sizeof(line), "%s %s", methods[m], cases[i].path);
			answer = ask(*state, cases[i].port, line);
			if (strncmp(answer, is_fine ? "HTTP/1.1 200 " : "HTTP/1.1 405 ", 13) != 0)
				fail_msg("%s\n%.300s", line, answer);
			snprintf(allow, sizeof(allow), "\r\nAllow: %s\r\n", cases[i].allow);
			assert_int_equal(strcasestr(answer, allow) != NULL, !is_fine);
			free(answer);
		}
	}
}

TEST(the_docs_have_a_row_for_every_endpoint)
{
	static const char *const paths[] = {
#define ENDPOINT(port, methods, path, handle, what) path,
#include "admin/http/endpoints.def"
#undef ENDPOINT
	};
	char readme[32768], cell[128];
	FILE *file = fopen("docs/admin-and-metrics.md", "r");

	assert_non_null(file);
	readme[fread(readme, 1, sizeof(readme) - 1, file)] = '\0';
	fclose(file);
	for (size_t i = 0; i < ARRAY_LEN(paths); i++) {
		const char *star = strchr(paths[i], '*');

		/* The table says <id> where the pattern has a star. */
		if (star)
			snprintf(cell, sizeof(cell), "%.*s<id>%s", (int)(star - paths[i]), paths[i],
				 star + 1);
		else
			snprintf(cell, sizeof(cell), "%s", paths[i]);
		if (!strstr(readme, cell))
			fail_msg("docs/admin-and-metrics.md does not name %s", cell);
	}
}

PLAYED(an_unknown_path_lists_what_the_port_has)
{
	static const char *const wrong[] = { "/nothing",    "/config_dump/",   "//",
					     "/streams/12", "/streams//close", "/streams/1/2/close",
					     "/metrics",    "/config_dumpx",   "/healthz/ready" };

	for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
		char line[64];

		snprintf(line, sizeof(line), "GET %s", wrong[i]);
		assert_answer(*state, ADMIN_PORT_ADMIN, line, 404, "/quitquitquit");
	}
	assert_answer(*state, ADMIN_PORT_STATS, "GET /", 404, "/stats/prometheus");
	assert_answer(*state, ADMIN_PORT_STATS, "GET /config_dump", 404, "/metrics");
	assert_answer(*state, ADMIN_PORT_READINESS, "GET /ready", 404, "/healthz/ready");
}

PLAYED(config_dump_is_pretty_json_of_the_snapshot_in_force)
{
	struct fake *fake = *state;
	struct json_value *root = ask_json(fake, "GET /config_dump");
	const struct json_value *config = json_member(root, "config");

	assert_ptr_equal(json_first(root), json_member(root, "workloads"));
	assert_int_equal(json_member_whole(config, "numWorkerThreads"), 2);
	assert_string_equal(json_member_text(config, "adminAddr"), "127.0.0.1:0");
	json_free(root);
	assert_answer(fake, ADMIN_PORT_ADMIN, "GET /config_dump", 200, "\n  \"binds\": [],\n");
	fake->has_no_snapshot = true;
	assert_answer(fake, ADMIN_PORT_ADMIN, "GET /config_dump", 503, "no configuration is loaded yet");
	assert_answer(fake, ADMIN_PORT_ADMIN, "GET /memory", 200, "\"configurationBytes\": 0");
}

PLAYED(config_status_shows_the_errors_of_the_last_reload)
{
	struct json_value *root = ask_json(*state, "GET /config_status");
	const struct json_value *errors = json_member(root, "errors");

	assert_int_equal(json_member_whole(root, "generation"), 4);
	assert_string_equal(json_member_text(root, "loadedAt"), "2026-09-21T14:13:20.123456Z");
	assert_int_equal(json_member_whole(root, "reloadsFailed"), 1);
	assert_string_equal(json_text(json_first(errors)), "a.yaml:1:2: binds: wrong");
	assert_string_equal(json_text(json_next(json_first(errors))), "a.yaml:9:1: x: \"worse\"");
	assert_null(json_next(json_next(json_first(errors))));
	assert_null(json_first(json_member(root, "warnings")));
	json_free(root);
	assert_answer(*state, ADMIN_PORT_ADMIN, "GET /config_status", 200, "\"lastReloadOk\": false");
}

PLAYED(watched_endpoints_are_listed_with_their_health)
{
	static struct endpoint_health ill = { .text = SPAN("10.0.0.1:80") },
				      well = { .text = SPAN("10.0.0.2:80") };
	struct endpoint endpoints[] = {
		{ .text = SPAN("10.0.0.1:80"), .weight = 3, .health = &ill },
		{ .text = SPAN("10.0.0.2:80"),
		  .priority = 1,
		  .zone = SPAN("z"),
		  .weight = 1,
		  .health = &well },
	};
	static const struct health_policy checked = { .has_active = true };
	static const struct backend_ref ref = { .health = &checked };
	struct health_group group;
	struct backend backends[] = {
		{ .name = SPAN("plain") },
		{ .name = SPAN("ns/svc"), .endpoint_list = endpoints, .endpoint_count = 2 }
	};
	struct fake *fake = *state;

	atomic_store(&ill.lost, 510000);
	atomic_store(&ill.failures, 2);
	atomic_store(&ill.evictions, 1);
	atomic_store(&ill.evictions_total, 4);
	atomic_store(&ill.evicted_until_ms, clock_now_ms() + 999999);
	assert_answer(fake, ADMIN_PORT_ADMIN, "GET /endpoints", 200, "\r\n\r\n[]\n");
	fake->snapshot.backend_list = backends;
	fake->snapshot.backend_count = 2;
	assert_answer(
		fake, ADMIN_PORT_ADMIN, "GET /endpoints", 200,
		"{\n    \"backend\": \"ns/svc\",\n    \"endpoint\": \"10.0.0.1:80\",\n    \"index\": 0,\n"
		"    \"priority\": 0,\n    \"weight\": 3,\n    \"health\": 0.49,\n"
		"    \"failures\": 2,\n    \"evicted\": true,\n    \"evicted_left_ms\": 99");
	assert_answer(
		fake, ADMIN_PORT_ADMIN, "GET /endpoints", 200,
		"    \"evictions_in_a_row\": 1,\n    \"evictions_total\": 4,\n"
		"    \"ejected\": false,\n    \"panic\": false\n  },\n  {\n"
		"    \"backend\": \"ns/svc\",\n    \"endpoint\": \"10.0.0.2:80\",\n    \"index\": 1,\n"
		"    \"priority\": 1,\n    \"zone\": \"z\",\n    \"weight\": 1,\n    \"health\": 1.00,\n"
		"    \"failures\": 0,\n    \"evicted\": false,\n    \"evicted_left_ms\": 0,\n"
		"    \"evictions_in_a_row\": 0,\n    \"evictions_total\": 0,\n"
		"    \"ejected\": false,\n    \"panic\": false\n  }\n]\n");
	assert_answer(fake, ADMIN_PORT_STATS, "GET /metrics", 200, "\nheadgate_endpoints_evicted 1\n");
	assert_answer(fake, ADMIN_PORT_STATS, "GET /metrics", 200, "\nheadgate_endpoints_unhealthy 0\n");
	health_group_init(&group, &ref);
	backends[1].health_group = &group;
	atomic_store(&well.out, HEALTH_OUT_CHECKS);
	well.checks_failed = 3;
	well.checks_total = 9;
	well.checks_failed_total = 4;
	assert_answer(fake, ADMIN_PORT_ADMIN, "GET /endpoints", 200,
		      "    \"failures\": 0,\n    \"evicted\": true,\n    \"evicted_left_ms\": 0,\n");
	assert_answer(fake, ADMIN_PORT_ADMIN, "GET /endpoints", 200,
		      "    \"checks\": {\n      \"healthy\": false,\n      \"passed\": 0,\n"
		      "      \"failed\": 3,\n      \"total\": 9,\n      \"failed_total\": 4,\n"
		      "      \"last_failure\": \"\"\n    }\n  }\n]\n");
	assert_answer(fake, ADMIN_PORT_STATS, "GET /metrics", 200, "\nheadgate_endpoints_unhealthy 1\n");
	assert_answer(fake, ADMIN_PORT_ADMIN, "GET /endpoints?history=1", 200, "\r\n\r\n[]\n");
	fake->snapshot.backend_list = NULL;
	fake->snapshot.backend_count = 0;
	assert_answer(fake, ADMIN_PORT_STATS, "GET /metrics", 200, "\nheadgate_endpoints_evicted 0\n");
}

PLAYED(streams_are_listed_by_id)
{
	struct fake *fake = *state;
	struct json_value *root;
	uint64_t last = 0;
	size_t count = 0;

	fake->stream_count = 500;
	root = ask_json(fake, "GET /streams");
	for (const struct json_value *stream = json_first(root); stream;
	     stream = json_next(stream), count++) {
		assert_true(json_member_whole(stream, "id") > last);
		last = json_member_whole(stream, "id");
		assert_string_equal(json_member_text(stream, "client"), "10.0.0.1:5");
		assert_string_equal(json_member_text(stream, "state"), "RELAY");
		assert_string_equal(json_member_text(stream, "deadline"), "stream_idle");
		assert_int_equal(json_member_whole(stream, "deadline_left_ms"), 1234);
		assert_int_equal(json_member_whole(stream, "bytes_in"), 5);
		assert_string_equal(json_member_text(stream, "lane"), "copy/pipe");
		assert_int_equal(json_member_whole(json_member(stream, "lane_bytes_out"), "pipe"), 77);
		assert_string_equal(json_member_text(stream, "gate_out"), "open");
		assert_true(json_is_null(json_member(stream, "gate_in")));
		assert_true(json_is_null(json_member(stream, "gate_reason_in")));
		assert_true(json_is_null(json_member(stream, "route")));
		assert_null(json_member(stream, "close_reason"));
	}
	assert_int_equal(count, 500);
	json_free(root);
	assert_answer(fake, ADMIN_PORT_ADMIN, "GET /streams", 200, "\"bytes_out\": 18446744073709551615");
	fake->stream_count = 0;
	assert_answer(fake, ADMIN_PORT_ADMIN, "GET /streams", 200, "\r\n\r\n[]\n");
}

PLAYED(the_history_is_newest_first_and_bounded)
{
	struct fake *fake = *state;
	struct json_value *root;
	uint64_t last = UINT64_MAX;
	size_t count = 0;

	fake->stream_count = 1000;
	root = ask_json(fake, "GET /streams?history=1");
	for (const struct json_value *stream = json_first(root); stream;
	     stream = json_next(stream), count++) {
		assert_true(json_member_whole(stream, "id") < last);
		last = json_member_whole(stream, "id");
		assert_string_equal(json_member_text(stream, "close_reason"), "stream_idle");
		assert_true(strlen(json_member_text(stream, "close_explanation")) > 10);
		assert_int_equal(json_member_whole(stream, "status"), 200);
		assert_int_equal(json_member_whole(stream, "duration_ms"), 1);
		assert_string_equal(json_member_text(stream, "state"), "closed");
		assert_null(json_member(stream, "deadline"));
	}
	assert_int_equal(count, LIMIT_HISTORY_STREAMS);
	assert_int_equal(last, 1000 - LIMIT_HISTORY_STREAMS + 1);
	json_free(root);
	assert_answer(fake, ADMIN_PORT_ADMIN, "GET /streams?history=0", 200, "\"deadline\"");
	assert_answer(fake, ADMIN_PORT_ADMIN, "GET /streams?x=1&history", 200, "\"close_reason\"");
}

PLAYED(a_stream_is_closed_by_its_id)
{
	assert_answer(*state, ADMIN_PORT_ADMIN, "POST /streams/12/close", 200, "closed stream 12\n");
	assert_answer(*state, ADMIN_PORT_ADMIN, "POST /streams/13/close", 404, "no stream 13 is running\n");
	assert_answer(*state, ADMIN_PORT_ADMIN, "POST /streams/x/close", 400, "a stream id is a number");
	assert_answer(*state, ADMIN_PORT_ADMIN, "POST /streams/-1/close", 400, NULL);
	assert_answer(*state, ADMIN_PORT_ADMIN, "POST /streams/99999999999999999999/close", 400, NULL);
}

PLAYED(logging_shows_and_sets_the_level)
{
	log_set_level(LOG_ERROR);
	assert_answer(*state, ADMIN_PORT_ADMIN, "GET /logging", 200, "current log level is error\n");
	assert_answer(*state, ADMIN_PORT_ADMIN, "POST /logging?level=warn", 200,
		      "current log level is warn\n");
	assert_int_equal(log_get_level(), LOG_WARN);
	assert_answer(*state, ADMIN_PORT_ADMIN, "POST /logging?x=y&level=error", 200,
		      "current log level is error\n");
	assert_answer(*state, ADMIN_PORT_ADMIN, "POST /logging?level=loud", 400,
		      "use error, warn, info or debug");
	assert_answer(*state, ADMIN_PORT_ADMIN, "POST /logging?level=", 400, NULL);
	assert_answer(*state, ADMIN_PORT_ADMIN, "POST /logging", 200, "current log level is error\n");
	/* GET changes nothing. */
	assert_answer(*state, ADMIN_PORT_ADMIN, "GET /logging?level=debug", 200,
		      "current log level is error\n");
	assert_int_equal(log_get_level(), LOG_ERROR);
}

PLAYED(quitting_is_answered_and_asked_for_once)
{
	struct fake *fake = *state;

	assert_answer(fake, ADMIN_PORT_ADMIN, "POST /quitquitquit", 200, "\r\n\r\nshutdown now\n");
	assert_int_equal(fake->quits, 1);
	assert_answer(fake, ADMIN_PORT_ADMIN, "GET /quitquitquit", 405, NULL);
	assert_int_equal(fake->quits, 1);
}

PLAYED(the_trace_of_all_workers_comes_in_the_order_of_time)
{
	struct fake *fake = *state;

	for (uint64_t i = 0; i < 4; i++)
		trace_add(fake->traces[i % 2], 1000000000 * i, 7 + i % 2, TRACE_RETRY, (uint32_t)i, 0);
	assert_answer(fake, ADMIN_PORT_ADMIN, "GET /trace", 200,
		      "\r\n\r\n0.000000000 7 retry attempt=0\n1.000000000 8 retry attempt=1\n"
		      "2.000000000 7 retry attempt=2\n3.000000000 8 retry attempt=3\n");
	assert_answer(fake, ADMIN_PORT_ADMIN, "GET /trace?id=8", 200,
		      "\r\n\r\n1.000000000 8 retry attempt=1\n3.000000000 8 retry attempt=3\n");
	assert_answer(fake, ADMIN_PORT_ADMIN, "GET /trace?id=x", 400, "a stream id is a number");
}

PLAYED(memory_is_a_json_of_numbers)
{
	struct json_value *root = ask_json(*state, "GET /memory");

	assert_true(json_member_whole(root, "residentBytes") > 100000);
	assert_true(json_member_whole(root, "openFds") > 3);
	assert_non_null(json_member(json_member(root, "heap"), "usedBytes"));
	json_free(root);
}

PLAYED(readiness_says_what_is_pending)
{
	struct fake *fake = *state;

	assert_answer(fake, ADMIN_PORT_READINESS, "GET /healthz/ready", 200, "\r\n\r\nready\n");
	fake->is_ready = false;
	assert_answer(fake, ADMIN_PORT_READINESS, "GET /healthz/ready", 500,
		      "\r\n\r\nnot ready, pending: draining\n");
	assert_answer(fake, ADMIN_PORT_READINESS, "POST /healthz/ready", 405, NULL);
}

PLAYED(metrics_have_the_content_type_of_the_format)
{
	char *answer = ask(*state, ADMIN_PORT_STATS, "GET /metrics");

	assert_non_null(strcasestr(answer, "content-type: text/plain; version=0.0.4; charset=utf-8\r\n"));
	assert_non_null(strstr(answer, "# TYPE agentgateway_requests_total counter\n"));
	free(answer);
}

static int only_errors(void **state)
{
	(void)state;
	log_set_level(LOG_ERROR);
	return 0;
}

TEST_GROUP(only_errors, NULL);
