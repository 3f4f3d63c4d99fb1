/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "admin/metrics/metrics.h"
#include "admin/metrics/process_stats.h"
#include "admin/prometheus.h"
#include "tests/lib/alloc.h"
#include "tests/lib/test.h"
#include "user/base/check.h"

enum { WORKERS = 2 };

struct fake {
	struct counters counters[WORKERS];
	struct request_metrics *requests[WORKERS];
	struct access_log *access_log;
	bool is_ready;
};

static void fake_config_status(void *context, struct admin_config_status *ret_status)
{
	(void)context;
	*ret_status = (struct admin_config_status){
		.generation = 3, .loaded_wall_us = 1790000000500000u, .reloads_ok = 2, .reloads_failed = 1
	};
}

static const struct snapshot *fake_snapshot(void *context)
{
	(void)context;
	return NULL;
}

static bool fake_is_ready(void *context, struct span *ret_pending)
{
	struct fake *fake = context;

	*ret_pending = SPAN("starting");
	return fake->is_ready;
}

static size_t fake_worker_count(void *context)
{
	(void)context;
	return WORKERS;
}

static void fake_worker_numbers(void *context, size_t index, struct worker_numbers *ret_numbers)
{
	struct fake *fake = context;

	*ret_numbers = (struct worker_numbers){
		.counters = &fake->counters[index],
		.requests = fake->requests[index],
		.access_log = fake->access_log,
	};
}

static void fake_extra(void *context, struct text *out)
{
	(void)context;
	text_str(out, "# HELP headgate_sockmap_available 1 when the lane can be used.\n"
		      "# TYPE headgate_sockmap_available gauge\nheadgate_sockmap_available 0\n");
}

static struct admin_hooks hooks_of(struct fake *fake)
{
	return (struct admin_hooks){
		.context = fake,
		.snapshot = fake_snapshot,
		.config_status = fake_config_status,
		.is_ready = fake_is_ready,
		.worker_count = fake_worker_count,
		.worker_numbers = fake_worker_numbers,
		.extra_metrics = fake_extra,
	};
}

static int setup(void **state)
{
	struct fake *fake = aligned_alloc(64, (sizeof(*fake) + 63) / 64 * 64);

	memset(fake, 0, sizeof(*fake));
	for (size_t i = 0; i < WORKERS; i++)
		fake->requests[i] = request_metrics_create();
	fake->access_log = access_log_create(STDERR_FILENO);
	*state = fake;
	return 0;
}

static int teardown(void **state)
{
	struct fake *fake = *state;

	for (size_t i = 0; i < WORKERS; i++)
		request_metrics_free(fake->requests[i]);
	access_log_free(fake->access_log);
	free(fake);
	return 0;
}

static char *metrics_of(struct fake *fake)
{
	struct admin_hooks hooks = hooks_of(fake);
	struct text out;
	char *copy;

	text_init(&out);
	assert_int_equal(metrics_write(&hooks, &out), 0);
	copy = strdup(out.data);
	text_done(&out);
	return copy;
}

static void assert_has_line(const char *text, const char *line)
{
	char want[512];

	snprintf(want, sizeof(want), "\n%s\n", line);
	if (!strstr(text, want))
		fail_msg("missing: %s", line);
}

/* The checker reads standard input and prints what it finds. */
static void assert_valid(const char *text)
{
	FILE *checker = popen("/usr/bin/python3 tests/lib/promcheck.py", "w");

	assert_non_null(checker);
	fputs(text, checker);
	assert_int_equal(pclose(checker), 0);
}

static struct stream_record record_of(struct span route, uint16_t status, uint64_t duration_ns)
{
	return (struct stream_record){
		.bind = SPAN("bind/8080"),
		.gateway = SPAN("default/default"),
		.listener = SPAN("http"),
		.route = route,
		.backend = SPAN("b"),
		.protocol = SPAN("http"),
		.method = SPAN("GET"),
		.status = status,
		.duration_ns = duration_ns,
	};
}

TEST_WITH(requests_of_all_workers_add_up, setup, teardown)
{
	struct fake *fake = *state;
	struct stream_record fast = record_of(SPAN("ns/a"), 200, 2000000);
	struct stream_record slow = record_of(SPAN("ns/a"), 200, 90000000000u);
	struct stream_record other = record_of(SPAN("ns/b"), 503, 0);
	char *text;

	request_metrics_add(fake->requests[0], &fast);
	request_metrics_add(fake->requests[1], &fast);
	request_metrics_add(fake->requests[1], &slow);
	request_metrics_add(fake->requests[1], &other);
	request_metrics_connection(fake->requests[0], SPAN("bind/8080"), SPAN("default/default"),
				   SPAN("http"), SPAN("http"));
	request_metrics_connection(fake->requests[1], SPAN("bind/8080"), SPAN("default/default"),
				   SPAN("http"), SPAN("http"));
	text = metrics_of(fake);
	assert_has_line(
		text,
		"agentgateway_requests_total{backend=\"b\",protocol=\"http\",method=\"GET\",status=\"200\","
		"reason=\"Upstream\",bind=\"bind/8080\",gateway=\"default/default\",listener=\"http\","
		"route=\"ns/a\",route_rule=\"unknown\"} 3");
	assert_has_line(
		text,
		"agentgateway_request_duration_seconds_sum{backend=\"b\",protocol=\"http\",method=\"GET\","
		"status=\"200\",reason=\"Upstream\",bind=\"bind/8080\",gateway=\"default/default\","
		"listener=\"http\",route=\"ns/a\",route_rule=\"unknown\"} 90.004");
	assert_has_line(
		text,
		"agentgateway_request_duration_seconds_bucket{backend=\"b\",protocol=\"http\",method=\"GET\","
		"status=\"200\",reason=\"Upstream\",bind=\"bind/8080\",gateway=\"default/default\","
		"listener=\"http\",route=\"ns/a\",route_rule=\"unknown\",le=\"80\"} 2");
	assert_has_line(text,
			"agentgateway_downstream_connections_total{protocol=\"http\",bind=\"bind/8080\","
			"gateway=\"default/default\",listener=\"http\"} 2");
	assert_null(strstr(text, "=\"overflow\""));
	assert_valid(text);
	free(text);
}

TEST_WITH(plain_counters_add_up_and_have_the_documented_prefix, setup, teardown)
{
	struct fake *fake = *state;
	char *text;

	counter_add(&fake->counters[0], COUNTER_DOWNSTREAM_SENT, 10);
	counter_add(&fake->counters[1], COUNTER_DOWNSTREAM_SENT, 32);
	counter_add(&fake->counters[0], COUNTER_RETRIES, 1);
	counter_add(&fake->counters[1], COUNTER_ACCEPTED, 7);
	/* A gauge may go up in one worker and down in another. */
	counter_add(&fake->counters[0], COUNTER_STREAMS_OPEN, 5);
	gauge_sub(&fake->counters[1], COUNTER_STREAMS_OPEN, 2);
	gauge_sub(&fake->counters[1], COUNTER_POOL_IDLE, 1);
	counter_end(&fake->counters[0], END_REQUEST_TIMEOUT);
	counter_end(&fake->counters[1], END_REQUEST_TIMEOUT);
	histogram_add(&fake->counters[0].upstream_connect, &histogram_connect, 1000000);
	histogram_add(&fake->counters[1].request_processing, &histogram_processing, 70000);
	text = metrics_of(fake);
	assert_has_line(text, "agentgateway_downstream_sent_bytes_total 42");
	assert_has_line(text, "agentgateway_retries_total 1");
	assert_has_line(text, "headgate_downstream_accepted_total 7");
	assert_has_line(text, "headgate_streams_open 3");
	assert_has_line(text, "headgate_upstream_pool_idle 0");
	assert_has_line(text, "headgate_timer_fired_total{timer=\"request_timeout\"} 2");
	assert_has_line(text, "headgate_stream_end_total{reason=\"request_timeout\"} 2");
	assert_null(strstr(text, "timer=\"ok\""));
	assert_has_line(text, "agentgateway_upstream_connect_duration_seconds_bucket{transport=\"plaintext\","
			      "le=\"0.0015\"} 1");
	assert_has_line(text, "agentgateway_upstream_connect_duration_seconds_bucket{transport=\"plaintext\","
			      "le=\"8\"} 1");
	assert_has_line(text, "agentgateway_request_processing_seconds_bucket{le=\"0.00005\"} 0");
	assert_has_line(text, "agentgateway_request_processing_seconds_bucket{le=\"0.0001\"} 1");
	assert_has_line(text, "agentgateway_request_processing_seconds_bucket{le=\"+Inf\"} 1");
	assert_has_line(text, "agentgateway_request_processing_seconds_sum 0.00007");
	assert_has_line(text, "headgate_config_reloads_total{result=\"failed\"} 1");
	assert_has_line(text, "headgate_config_generation 3");
	assert_has_line(text, "headgate_config_loaded_timestamp_seconds 1790000000.5");
	assert_has_line(text, "headgate_config_last_reload_successful 0");
	assert_has_line(text, "headgate_ready 0");
	assert_has_line(text, "headgate_workers 2");
	assert_has_line(text, "headgate_sockmap_available 0");
	assert_valid(text);
	free(text);
}

TEST_WITH(every_counter_of_the_table_is_shown, setup, teardown)
{
	static const char *const names[] = {
#define COUNTER(id, name, help) name,
#define GAUGE(id, name, help) name,
#define METRIC(id, type, name, labels, help)
#include "user/obs/metrics.def"
#undef COUNTER
#undef GAUGE
#undef METRIC
	};
	char *text = metrics_of(*state);

	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		char line[256];

		snprintf(line, sizeof(line), "\n%s ", names[i]);
		assert_non_null(strstr(text, line));
	}
	free(text);
}

TEST_WITH(label_values_cannot_break_the_line, setup, teardown)
{
	struct fake *fake = *state;
	struct stream_record record = record_of(SPAN("a\"b\\c\nd\xc3\xa4"), 200, 0);
	char *text;

	request_metrics_add(fake->requests[0], &record);
	text = metrics_of(fake);
	assert_non_null(strstr(text, "route=\"a\\\"b\\\\c\\nd\xc3\xa4\""));
	assert_valid(text);
	free(text);
}

TEST_WITH(many_series_of_several_workers_merge, setup, teardown)
{
	static const char requests[] = "agentgateway_requests_total{";
	struct fake *fake = *state;
	unsigned int lines = 0;
	char route[32];
	char *text;

	for (unsigned int i = 0; i < 1000; i++) {
		struct stream_record record;

		snprintf(route, sizeof(route), "ns/r%u", i);
		record = record_of(span_str(route), 200, 0);
		request_metrics_add(fake->requests[0], &record);
		if (i % 2)
			request_metrics_add(fake->requests[1], &record);
	}
	text = metrics_of(fake);
	/* Line by line: strstr() of a sanitizer measures the whole text each time. */
	for (const char *at = text; (at = strchr(at, '\n')); at++)
		lines += strncmp(at + 1, requests, sizeof(requests) - 1) == 0;
	assert_int_equal(lines, 1000);
	assert_valid(text);
	free(text);
}

static int write_metrics(void *context)
{
	struct admin_hooks hooks = hooks_of(context);
	struct text out;
	int error;

	text_init(&out);
	error = metrics_write(&hooks, &out);
	text_done(&out);
	return error;
}

TEST_WITH(writing_survives_lack_of_memory, setup, teardown)
{
	assert_true(alloc_fail_each(write_metrics, *state) >= 5);
}

TEST(the_checker_finds_what_is_wrong)
{
#define GAUGE_A "# HELP a x\n# TYPE a gauge\n"
#define COUNTER_A "# HELP a_total x\n# TYPE a_total counter\n"
#define HISTOGRAM_H "# HELP h x\n# TYPE h histogram\n"
	static const char *const wrong[] = {
		"",
		"a_total 1\n",
		COUNTER_A "a_total 1",
		COUNTER_A "a_total 1\na_total 2\n",
		COUNTER_A "a_total -1\n",
		"# HELP a x\n# TYPE a counter\na 1\n",
		"# HELP a_ms x\n# TYPE a_ms gauge\na_ms 1\n",
		GAUGE_A "a{b=\"c} 1\n",
		GAUGE_A "a{b=\"\\x\"} 1\n",
		GAUGE_A "a one\n",
		HISTOGRAM_H "h_bucket{le=\"1\"} 2\nh_bucket{le=\"+Inf\"} 1\nh_sum 1\nh_count 1\n",
		HISTOGRAM_H "h_bucket{le=\"1\"} 1\nh_sum 1\nh_count 1\n",
		HISTOGRAM_H "h_bucket{le=\"+Inf\"} 1\nh_sum 1\nh_count 2\n",
		GAUGE_A "a 1\n# HELP b x\n# TYPE b gauge\nb 1\na{c=\"d\"} 1\n",
	};

	for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
		FILE *checker = popen("/usr/bin/python3 tests/lib/promcheck.py >/dev/null", "w");
		int status;

		assert_non_null(checker);
		fputs(wrong[i], checker);
		status = pclose(checker);
		if (!WIFEXITED(status) || WEXITSTATUS(status) != 1)
			fail_msg("accepted: %s", wrong[i]);
	}
}

TEST(the_process_knows_itself)
{
	struct process_stats stats;

	process_stats_read(&stats);
	assert_true(stats.resident_bytes > 100000);
	assert_true(stats.virtual_bytes >= stats.resident_bytes);
	assert_true(stats.open_fds >= 3);
	assert_true(stats.max_fds >= stats.open_fds);
	assert_true(stats.threads >= 1);
	assert_true(stats.start_ms > 1600000000000u);
	assert_true(stats.cpu_ns > 0);
}
