/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/unit/json_tree.h"
#include "tests/lib/alloc.h"
#include "tests/lib/guard.h"
#include "tests/lib/test.h"
#include "user/base/check.h"
#include "user/base/limits.h"
#include "user/obs/access_line.h"
#include "user/obs/access_log.h"

#define WALL_US 1790000000123456ull /* 2026-09-21T14:13:20.123456Z */
#define DATE "2026-09-21T14:13:20.123456Z"

static struct stream_record full_record(void)
{
	return (struct stream_record){
		.id = 7,
		.gateway = SPAN("default/default"),
		.listener = SPAN("http"),
		.bind = SPAN("bind/8080"),
		.route = SPAN("httpbin/retry"),
		.route_rule = SPAN("rule0"),
		.backend = SPAN("httpbin"),
		.endpoint = SPAN("127.0.0.1:8000"),
		.source = SPAN("127.0.0.1:54321"),
		.protocol = SPAN("http"),
		.mcp_method = SPAN("tools/call"),
		.mcp_tool = SPAN("get weather"),
		.mcp_session = SPAN("8f14e45f"),
		.mcp_error = SPAN("files: exited"),
		.method = SPAN("GET"),
		.host = SPAN("retry.example"),
		.path = SPAN("/unstable?fail=3"),
		.request_id = SPAN("4bf92f35"),
		.user_agent = SPAN("curl/7.88.1 (x)"),
		.version = SPAN("HTTP/1.1"),
		.status = 504,
		.has_grpc_status = true,
		.grpc_status = 14,
		.sni = SPAN("sni.example"),
		.tls_version = SPAN("TLSv1.3"),
		.retry_attempt = 3,
		.delay_ms = 250,
		.error = SPAN("upstream call timeout"),
		.duration_ns = 2001999999,
		.connect_us = 312,
		.head_us = UINT32_MAX,
		.bytes_in = 12,
		.bytes_out = 18446744073709551615ull,
		.lane_in = LANE_COPY,
		.lane_out = LANE_PIPE,
		.bypass = SPAN("client/backend"),
		.bypass_reason_client = SPAN("receiver_full"),
		.bypass_reason_backend = SPAN("receiver_unread"),
		.resumed = SPAN("true"),
		.reason = END_PER_TRY_TIMEOUT,
	};
}

static struct span line_of(char *out, size_t size, enum log_format format, const struct stream_record *record,
			   uint64_t removed)
{
	struct access_time time = { 0 };

	return span_of(out, access_line(out, size, format, record, NULL, WALL_US, removed, &time));
}

static void assert_line(struct span line, const char *want)
{
	char *text = strndup(line.data, line.len);

	assert_string_equal(text, want);
	free(text);
}

TEST(a_text_line_has_every_field_in_the_documented_order)
{
	struct stream_record record = full_record();
	char out[1024];

	assert_line(
		line_of(out, sizeof(out), LOG_TEXT, &record, 0), DATE
		"\tinfo\trequest gateway=default/default listener=http route_rule=rule0 route=httpbin/retry"
		" endpoint=127.0.0.1:8000 src.addr=127.0.0.1:54321 http.method=GET http.host=retry.example"
		" http.path=/unstable?fail=3 http.request_id=4bf92f35 http.user_agent=\"curl/7.88.1 (x)\""
		" http.version=HTTP/1.1 http.status=504 grpc.status=14"
		" tls.sni=sni.example tls.version=TLSv1.3"
		" protocol=http mcp.method=tools/call mcp.tool=\"get weather\" mcp.session=8f14e45f"
		" mcp.error=\"files: exited\""
		" delay=250ms retry.attempt=3 error=\"upstream call timeout\" reason=Timeout"
		" duration=2001ms backend.connect=0.312ms backend.head=4294967.295ms"
		" bytes_in=12 bytes_out=18446744073709551615 lane=copy/pipe"
		" bypass=client/backend bypass_reason_client=receiver_full "
		"bypass_reason_backend=receiver_unread"
		" resumed=true stream.id=7 close_reason=per_try_timeout\n");
}

TEST(fields_of_a_policy_end_the_line_and_cannot_break_it)
{
	static const struct access_extra list[] = {
		{ SPAN("team"), SPAN("a"), false },	  { SPAN("n"), SPAN("-7"), true },
		{ SPAN("empty"), SPAN(""), false },	  { SPAN("say"), SPAN("a b=\"c\"\n\xff"), false },
		{ SPAN("list"), SPAN("[\"a\"]"), false },
	};
	static const struct access_extras extras = { list, ARRAY_LEN(list) };
	struct stream_record record = { .protocol = SPAN("http"), .reason = END_OK };
	struct access_time time = { 0 };
	char out[1024];
	size_t len = access_line(out, sizeof(out), LOG_TEXT, &record, &extras, WALL_US, 0, &time);

	assert_line(
		span_of(out, len), DATE
		"\tinfo\trequest protocol=http duration=0ms bytes_in=0 bytes_out=0 lane=copy close_reason=ok"
		" team=a n=-7 empty=\"\" say=\"a b=\\\"c\\\"\\x0a\\xff\" list=\"[\\\"a\\\"]\"\n");
	len = access_line(out, sizeof(out), LOG_JSON, &record, &extras, WALL_US, 0, &time);
	out[len - 1] = '\0';
	assert_non_null(strstr(out,
			       ",\"close_reason\":\"ok\",\"team\":\"a\",\"n\":-7,\"empty\":\"\",\"say\":\"a "
			       "b=\\\"c\\\"\\n"));
	assert_non_null(strstr(out, "\"list\":\"[\\\"a\\\"]\"}"));
}

TEST(fields_without_a_value_are_left_out)
{
	struct stream_record record = {
		.source = SPAN("[::1]:9"),
		.endpoint = SPAN("unix:/run/x.sock"),
		.protocol = SPAN("tcp"),
		.reason = END_OK,
	};
	char out[512];

	assert_line(line_of(out, sizeof(out), LOG_TEXT, &record, 0), DATE
		    "\tinfo\trequest endpoint=unix:/run/x.sock src.addr=[::1]:9 protocol=tcp duration=0ms"
		    " bytes_in=0 bytes_out=0 lane=copy close_reason=ok\n");
}

TEST(the_class_upstream_is_not_worth_a_word)
{
	struct stream_record record = { .protocol = SPAN("http") };
	char out[512];

	for (uint32_t reason = 0; reason < END_REASON_COUNT; reason++) {
		const char *class = end_reason_class((enum end_reason)reason);
		struct span line;
		char want[64];

		record.reason = (enum end_reason)reason;
		line = line_of(out, sizeof(out) - 1, LOG_TEXT, &record, 0);
		out[line.len] = '\0';
		snprintf(want, sizeof(want), " reason=%s ", class);
		assert_int_equal(strstr(out, want) != NULL, strcmp(class, "Upstream") != 0);
	}
}

TEST(foreign_bytes_never_make_a_second_line_or_field)
{
	static const struct {
		struct span path;
		const char *text;
		const char *json;
	} cases[] = {
		{ SPAN("/plain?a=b&c=%20"), " http.path=/plain?a=b&c=%20 ", "\"/plain?a=b&c=%20\"" },
		{ SPAN("/a b"), " http.path=\"/a b\" ", "\"/a b\"" },
		{ SPAN("/\" close_reason=ok"), " http.path=\"/\\\" close_reason=ok\" ",
		  "\"/\\\" close_reason=ok\"" },
		{ SPAN("/\\"), " http.path=\"/\\\\\" ", "\"/\\\\\"" },
		{ SPAN("/\n2026"), " http.path=\"/\\x0a2026\" ", "\"/\\n2026\"" },
		{ SPAN("/\x1b[2J\x7f"), " http.path=\"/\\x1b[2J\\x7f\" ", "\"/\\u001b[2J\\u007f\"" },
		{ SPAN("/\xc3\xa4\xff"), " http.path=\"/\\xc3\\xa4\\xff\" ", "\"/\\u00c3\\u00a4\\u00ff\"" },
		{ SPAN("/\0x"), " http.path=\"/\\x00x\" ", "\"/\\u0000x\"" },
	};
	char out[512], want[128];

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct stream_record record = { .protocol = SPAN("http"), .path = cases[i].path };
		struct span line = line_of(out, sizeof(out) - 1, LOG_TEXT, &record, 0);

		out[line.len] = '\0';
		assert_int_equal(span_find(line, '\n'), line.len - 1);
		assert_non_null(strstr(out, cases[i].text));
		line = line_of(out, sizeof(out) - 1, LOG_JSON, &record, 0);
		out[line.len] = '\0';
		assert_int_equal(span_find(line, '\n'), line.len - 1);
		snprintf(want, sizeof(want), "\"http.path\":%s", cases[i].json);
		assert_non_null(strstr(out, want));
	}
}

TEST(a_json_line_is_one_object_with_the_same_fields)
{
	struct stream_record record = full_record();
	char out[1024];
	struct json_value *root = json_parse(line_of(out, sizeof(out), LOG_JSON, &record, 0));

	assert_non_null(root);
	assert_string_equal(json_member_text(root, "time"), DATE);
	assert_string_equal(json_member_text(root, "level"), "info");
	assert_string_equal(json_member_text(root, "scope"), "request");
	assert_string_equal(json_member_text(root, "gateway"), "default/default");
	assert_int_equal(json_member_whole(root, "http.status"), 504);
	assert_string_equal(json_member_text(root, "error"), "upstream call timeout");
	assert_string_equal(json_member_text(root, "duration"), "2001ms");
	assert_string_equal(json_member_text(root, "backend.connect"), "0.312ms");
	assert_string_equal(json_member_text(root, "http.request_id"), "4bf92f35");
	assert_string_equal(json_member_text(root, "http.user_agent"), "curl/7.88.1 (x)");
	assert_int_equal(json_member_whole(root, "stream.id"), 7);
	assert_string_equal(json_member_text(root, "lane"), "copy/pipe");
	assert_string_equal(json_member_text(root, "close_reason"), "per_try_timeout");
	json_free(root);
}

TEST(every_field_can_be_removed_by_its_name)
{
	static const char *const names[] = {
#define ACCESS_FIELD(id, name, explanation, ...) name,
#include "user/obs/access_fields.def"
#undef ACCESS_FIELD
	};
	struct stream_record record = full_record();
	char out[1024], key[64];

	record.jwt_subject = SPAN("alice");
	record.basic_user = SPAN("bob");
	record.trace_id = SPAN("4bf92f3577b34da6a3ce929d0e0e4736");
	record.span_id = SPAN("00f067aa0ba902b7");
	for (uint32_t field = 0; field < ACCESS_FIELD_COUNT; field++) {
		struct span name = span_str(names[field]);
		uint64_t mask = access_fields_mask(&name, 1);
		struct span line;

		assert_int_equal(mask, 1ull << field);
		line = line_of(out, sizeof(out) - 1, LOG_TEXT, &record, 0);
		out[line.len] = '\0';
		snprintf(key, sizeof(key), " %s=", names[field]);
		assert_non_null(strstr(out, key));
		line = line_of(out, sizeof(out) - 1, LOG_TEXT, &record, mask);
		out[line.len] = '\0';
		assert_null(strstr(out, key));
	}
	assert_int_equal(access_fields_mask(&SPAN("http.pat"), 1), 0);
}

TEST(a_line_that_does_not_fit_says_so_at_every_size)
{
	struct stream_record record = full_record();
	char out[1024];
	size_t len;
	struct guard guard;

	guard_init(&guard, sizeof(out));
	for (enum log_format format = LOG_TEXT; format <= LOG_JSON; format++) {
		len = line_of(out, sizeof(out), format, &record, 0).len;
		for (size_t size = 0; size <= len + 1; size++) {
			char *room = guard_end(&guard, out, size);

			assert_int_equal(line_of(room, size, format, &record, 0).len, size <= len ? 0 : len);
		}
	}
	guard_done(&guard);
}

TEST(the_date_is_right_across_seconds)
{
	struct stream_record record = { .protocol = SPAN("http") };
	struct access_time time = { 0 };
	char out[512], want[CLOCK_RFC3339_BYTES];
	static const uint64_t moments[] = { 0,
					    1,
					    999999,
					    1000000,
					    1999999,
					    WALL_US,
					    WALL_US + 1,
					    WALL_US + 876543,
					    WALL_US + 876544,
					    WALL_US - 99,
					    4102444799999999u,
					    4102444800000000u };

	for (size_t i = 0; i < ARRAY_LEN(moments); i++) {
		assert_true(access_line(out, sizeof(out), LOG_TEXT, &record, NULL, moments[i], 0, &time) > 0);
		clock_rfc3339(moments[i], want);
		assert_memory_equal(out, want, CLOCK_RFC3339_BYTES - 1);
	}
}

TEST(the_lane_is_one_word_unless_the_directions_differ)
{
	static const struct {
		uint64_t in, to_client;
		enum lane_id lane_in, lane_out;
		const char *want;
	} cases[] = {
		{ 1, 1, LANE_COPY, LANE_COPY, "copy" },
		{ 1, 1, LANE_COPY, LANE_PIPE, "copy/pipe" },
		{ 0, 1, LANE_COPY, LANE_PIPE, "pipe" },
		{ 1, 0, LANE_SOCKMAP, LANE_COPY, "sockmap" },
		{ 0, 0, LANE_COPY, LANE_COPY, "copy" },
		{ 5, 5, LANE_SOCKMAP, LANE_SOCKMAP, "sockmap" },
		{ 5, 5, LANE_SOCKMAP, LANE_PIPE, "sockmap/pipe" },
		{ 5, 5, LANE_SOCKMAP, LANE_DIRECT, "sockmap/direct" },
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct stream_record record = { .bytes_in = cases[i].in,
						.bytes_out = cases[i].to_client,
						.lane_in = cases[i].lane_in,
						.lane_out = cases[i].lane_out };
		char out[LANE_TEXT_BYTES];

		assert_true(span_eq(span_of(out, lane_text(&record, out)), span_str(cases[i].want)));
	}
}

/* ---- the log */

static size_t read_some(int fd, char *out, size_t size)
{
	ssize_t got = read(fd, out, size);

	assert_true(got >= 0 || errno == EAGAIN);
	return got > 0 ? (size_t)got : 0;
}

TEST(lines_are_collected_until_flushed)
{
	struct stream_record record = full_record();
	struct access_log *log;
	char out[4096];
	size_t len;
	int pipe_fds[2];

	assert_int_equal(pipe2(pipe_fds, O_CLOEXEC), 0);
	assert_int_equal(fcntl(pipe_fds[0], F_SETFL, O_NONBLOCK), 0);
	log = access_log_create(pipe_fds[1]);
	assert_non_null(log);
	access_log_add(log, &record, NULL, WALL_US, NULL, 0);
	access_log_add(log, &record, NULL, WALL_US, &SPAN("http.path"), 1);
	assert_int_equal(read_some(pipe_fds[0], out, sizeof(out)), 0);
	assert_int_equal(access_log_flush(log), 0);
	len = read_some(pipe_fds[0], out, sizeof(out) - 1);
	out[len] = '\0';
	assert_memory_equal(out, DATE, strlen(DATE));
	assert_non_null(strstr(strchr(out, '\n') + 1, "http.host=retry.example http.request_id="));
	/* One of the name of a usual field replaces it. */
	access_log_add(
		log, &record,
		&(struct access_extras){ &(struct access_extra){ SPAN("http.path"), SPAN("/x"), false }, 1 },
		WALL_US, NULL, 0);
	assert_int_equal(access_log_flush(log), 0);
	len = read_some(pipe_fds[0], out, sizeof(out) - 1);
	out[len] = '\0';
	assert_non_null(strstr(out, "http.host=retry.example http.request_id="));
	assert_non_null(strstr(out, " http.path=/x\n"));
	assert_int_equal(access_log_lines(log), 3);
	assert_int_equal(access_log_dropped(log), 0);
	access_log_free(log);
	close(pipe_fds[0]);
	close(pipe_fds[1]);
}

/* More lines than buffer and pipe can hold, nobody reads; then everything that was not dropped is whole. */
static void stall(int read_fd, int write_fd)
{
	struct stream_record record = full_record();
	struct access_log *log = access_log_create(write_fd);
	uint64_t added = 0, seen = 0;
	size_t left, len = 0;
	char *all = malloc(64 * 1024 * 1024);

	assert_non_null(log);
	assert_non_null(all);
	alarm(20);
	for (; access_log_dropped(log) < 1000; added++) {
		record.bytes_in = added;
		access_log_add(log, &record, NULL, WALL_US + added / 100, NULL, 0);
		if (added % 50 == 0)
			access_log_flush(log);
	}
	assert_true(access_log_flush(log) > 0);
	assert_int_equal(access_log_lines(log) + access_log_dropped(log), added);
	do {
		len += read_some(read_fd, all + len, 64 * 1024 * 1024 - len);
		left = access_log_flush(log);
	} while (left > 0);
	access_log_free(log);
	close(write_fd);
	for (size_t more = 1; more; len += more)
		more = read_some(read_fd, all + len, 64 * 1024 * 1024 - len);
	alarm(0);
	for (struct span rest = span_of(all, len), line; span_split(&rest, '\n', &line) && line.len; seen++) {
		assert_true(span_starts(line, SPAN("2026-09-21T14:13:20.")));
		assert_true(
			span_ends(line, SPAN("pipe bypass=client/backend bypass_reason_client=receiver_full"
					     " bypass_reason_backend=receiver_unread"
					     " resumed=true stream.id=7 close_reason=per_try_timeout")));
	}
	assert_int_equal(seen + 1000, added);
	close(read_fd);
	free(all);
}

TEST(a_stopped_reader_of_a_pipe_costs_lines_but_never_time)
{
	int pipe_fds[2];
	int flags;

	assert_int_equal(pipe2(pipe_fds, O_CLOEXEC), 0);
	assert_int_equal(fcntl(pipe_fds[0], F_SETFL, O_NONBLOCK), 0);
	flags = fcntl(pipe_fds[1], F_GETFL);
	assert_false(flags & O_NONBLOCK);
	stall(pipe_fds[0], pipe_fds[1]);
}

TEST(a_stopped_reader_of_a_socket_costs_lines_but_never_time)
{
	int pair[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	assert_int_equal(fcntl(pair[0], F_SETFL, O_NONBLOCK), 0);
	stall(pair[0], pair[1]);
}

TEST(the_shared_description_keeps_its_flags)
{
	struct stream_record record = full_record();
	struct access_log *log;
	int pipe_fds[2], flags;

	assert_int_equal(pipe2(pipe_fds, O_CLOEXEC), 0);
	flags = fcntl(pipe_fds[1], F_GETFL);
	log = access_log_create(pipe_fds[1]);
	access_log_add(log, &record, NULL, WALL_US, NULL, 0);
	assert_int_equal(access_log_flush(log), 0);
	assert_int_equal(fcntl(pipe_fds[1], F_GETFL), flags);
	access_log_free(log);
	assert_int_equal(fcntl(pipe_fds[1], F_GETFL), flags);
	close(pipe_fds[0]);
	close(pipe_fds[1]);
}

TEST(a_reader_that_is_gone_costs_the_lines_only)
{
	struct stream_record record = full_record();
	struct access_log *log;
	int pipe_fds[2];

	assert_int_equal(pipe2(pipe_fds, O_CLOEXEC), 0);
	log = access_log_create(pipe_fds[1]);
	close(pipe_fds[0]);
	for (int i = 0; i < 3; i++)
		access_log_add(log, &record, NULL, WALL_US, NULL, 0);
	assert_int_equal(access_log_flush(log), 0);
	assert_int_equal(access_log_dropped(log), 3);
	access_log_add(log, &record, NULL, WALL_US, NULL, 0);
	assert_int_equal(access_log_flush(log), 0);
	assert_int_equal(access_log_dropped(log), 4);
	access_log_free(log);
	close(pipe_fds[1]);
}

TEST(a_file_gets_every_line)
{
	struct stream_record record = full_record();
	FILE *file = tmpfile();
	struct access_log *log = access_log_create(fileno(file));
	char line[1024];
	unsigned int count = 0;

	for (int i = 0; i < 5000; i++)
		access_log_add(log, &record, NULL, WALL_US, NULL, 0);
	assert_int_equal(access_log_flush(log), 0);
	assert_int_equal(access_log_dropped(log), 0);
	rewind(file);
	while (fgets(line, sizeof(line), file))
		count += strncmp(line, DATE, strlen(DATE)) == 0 && strchr(line, '\n');
	assert_int_equal(count, 5000);
	access_log_free(log);
	fclose(file);
}

TEST(a_line_larger_than_the_buffer_is_dropped_and_the_next_one_is_not)
{
	struct stream_record record = full_record();
	struct access_log *log;
	size_t huge = LIMIT_ACCESS_LOG_BYTES;
	char *path = malloc(huge);
	char out[1024];
	int pipe_fds[2];

	memset(path, 'p', huge);
	assert_int_equal(pipe2(pipe_fds, O_CLOEXEC), 0);
	log = access_log_create(pipe_fds[1]);
	record.path = span_of(path, huge);
	access_log_add(log, &record, NULL, WALL_US, NULL, 0);
	assert_int_equal(access_log_dropped(log), 1);
	record.path = SPAN("/short");
	access_log_add(log, &record, NULL, WALL_US, NULL, 0);
	assert_int_equal(access_log_flush(log), 0);
	assert_true(read_some(pipe_fds[0], out, sizeof(out)) > 100);
	assert_int_equal(access_log_dropped(log), 1);
	access_log_free(log);
	close(pipe_fds[0]);
	close(pipe_fds[1]);
	free(path);
}

TEST(a_stopped_reader_is_asked_once_a_turn)
{
	struct stream_record record = full_record();
	char *all = malloc(1024 * 1024);
	struct access_log *log;
	uint64_t dropped;
	int pipe_fds[2];

	assert_int_equal(pipe2(pipe_fds, O_CLOEXEC), 0);
	assert_int_equal(fcntl(pipe_fds[0], F_SETFL, O_NONBLOCK), 0);
	log = access_log_create(pipe_fds[1]);
	while (access_log_dropped(log) == 0)
		access_log_add(log, &record, NULL, WALL_US, NULL, 0);
	dropped = access_log_dropped(log);
	/* There is room again, but in this turn nobody looks. */
	assert_true(read_some(pipe_fds[0], all, 1024 * 1024) > 0);
	access_log_add(log, &record, NULL, WALL_US, NULL, 0);
	assert_int_equal(access_log_dropped(log), dropped + 1);
	access_log_add(log, &record, NULL, WALL_US + 1, NULL, 0);
	assert_int_equal(access_log_dropped(log), dropped + 1);
	access_log_free(log);
	close(pipe_fds[0]);
	close(pipe_fds[1]);
	free(all);
}

enum { WRITERS = 4, LINES_EACH = 4000 };

static void *write_lines(void *argument)
{
	struct stream_record record = full_record();
	struct access_log *log = access_log_create(*(int *)argument);

	for (uint64_t i = 0; i < LINES_EACH; i++) {
		access_log_add(log, &record, NULL, WALL_US, NULL, 0);
		while (i % 20 == 0 && access_log_flush(log) > 0)
			usleep(100);
	}
	while (access_log_flush(log) > 0)
		usleep(100);
	access_log_free(log);
	return NULL;
}

TEST(lines_of_several_workers_do_not_mix)
{
	pthread_t threads[WRITERS];
	char line[1024];
	unsigned int whole = 0, broken = 0;
	int pipe_fds[2];
	FILE *in;

	assert_int_equal(pipe2(pipe_fds, O_CLOEXEC), 0);
	for (int i = 0; i < WRITERS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, write_lines, &pipe_fds[1]), 0);
	in = fdopen(pipe_fds[0], "r");
	while (whole + broken < WRITERS * LINES_EACH && fgets(line, sizeof(line), in)) {
		bool is_whole = strncmp(line, DATE "\t", strlen(DATE) + 1) == 0 &&
				strstr(line, " close_reason=per_try_timeout\n") != NULL;

		whole += is_whole;
		broken += !is_whole;
	}
	for (int i = 0; i < WRITERS; i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(broken, 0);
	assert_int_equal(whole, WRITERS * LINES_EACH);
	fclose(in);
	close(pipe_fds[1]);
}

static int create_and_free(void *context)
{
	struct access_log *log = access_log_create(STDERR_FILENO);

	(void)context;
	access_log_free(log);
	return log ? 0 : -ENOMEM;
}

TEST(creating_survives_lack_of_memory)
{
	assert_int_equal(alloc_fail_each(create_and_free, NULL), 1);
}
