/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/mirror_play.h"

#include "tests/lib/alloc.h"

#define PLAYED(name) TEST_WITH(name, scene_make, scene_drop)

/* ---- the copy */

PLAYED(a_copy_is_the_request_by_the_rules_of_the_mirror_when_its_body_is_there)
{
	static struct header_pair added = { SPAN("x-mirror"), SPAN("yes") };
	static const struct header_modifier modifier = { .add_list = &added, .add_count = 1 };
	struct scene *scene = *state;
	struct stream *stream = &scene->stream;
	uint32_t kept_bytes = 0;
	const char *head;
	int fd;

	scene->ref.request_headers = &modifier;
	scene->backend.rewrites_host = true;
	scene->backend.authority = SPAN("mirror.example:81");
	scene->ref.authority = SPAN("mirror.example:81");
	stream->exchange->head.method = METHOD_POST;
	stream->exchange->head.method_text = SPAN("POST");
	stream->exchange->request_framing = (struct body_framing){ .kind = BODY_LENGTH, .length = 5 };
	assert_int_equal(fields_add(&stream->exchange->head.fields, SPAN("Expect"), SPAN("100-continue")), 0);
	replay_init(&stream->exchange->replay, &scene->counters, &kept_bytes);
	replay_add(&stream->exchange->replay, SPAN("hel"));
	mirror_one(scene);
	mirror_body_moved(stream);
	assert_int_equal(count(scene, COUNTER_MIRRORED), 0);
	replay_add(&stream->exchange->replay, SPAN("lo"));
	stream->upload.state = RELAY_DONE;
	stream->upload.decoder.is_done = true;
	mirror_body_moved(stream);
	assert_null(stream->exchange->mirror_plans);
	replay_drop(&stream->exchange->replay);
	fd = accept_one(scene);
	head = read_head(scene, fd);
	assert_int_equal(strncmp(head, "POST /a?b HTTP/1.1\r\n", 20), 0);
	assert_non_null(strcasestr(head, "\r\nhost: mirror.example:81\r\n"));
	assert_non_null(strcasestr(head, "\r\nx-mine: 1\r\n"));
	assert_non_null(strcasestr(head, "\r\nx-mirror: yes\r\n"));
	assert_non_null(strcasestr(head, "\r\ncontent-length: 5\r\n"));
	assert_non_null(strstr(head, "\r\n\r\nhello"));
	assert_null(strcasestr(head, "expect"));
	/* The client's own request is as it was. */
	assert_int_equal(stream->exchange->head.fields.count, 2);
	assert_true(span_eq(stream->exchange->head.authority, SPAN("asked.example")));
	assert_int_equal(count(scene, COUNTER_MIRRORED), 1);
	close(fd);
	UNTIL(scene, scene->proxy.mirror_count == 0);
}

PLAYED(a_body_that_was_not_kept_has_no_copy_and_is_counted)
{
	struct scene *scene = *state;
	struct stream *stream = &scene->stream;
	uint32_t kept_bytes = 0;

	replay_init(&stream->exchange->replay, &scene->counters, &kept_bytes);
	stream->exchange->request_framing = (struct body_framing){ .kind = BODY_CHUNKED };
	mirror_one(scene);
	replay_drop(&stream->exchange->replay);
	mirror_body_moved(stream);
	assert_null(stream->exchange->mirror_plans);
	stream->exchange->request_framing =
		(struct body_framing){ .kind = BODY_LENGTH, .length = LIMIT_RETRY_BODY_BYTES + 1 };
	mirror_one(scene);
	assert_null(stream->exchange->mirror_plans);
	assert_int_equal(count(scene, COUNTER_MIRRORED), 0);
	assert_int_equal(count(scene, COUNTER_MIRROR_DROPPED), 2);
}

PLAYED(nothing_is_copied_where_it_would_mean_something_else_or_lead_nowhere)
{
	struct scene *scene = *state;
	struct backend backends[] = { scene->backend,
				      { .index = 1, .kind = BACKEND_SERVICE },
				      { .index = 2, .kind = BACKEND_INVALID } };

	scene->proxy.lease->snapshot->backend_list = backends;
	scene->stream.exchange->upgrade.is_wanted = true;
	mirror_one(scene);
	scene->stream.exchange->upgrade.is_wanted = false;
	scene->policy.per_million = 0;
	mirror_one(scene);
	scene->policy.per_million = 1000000;
	scene->ref.backend = &backends[1];
	mirror_one(scene);
	scene->ref.backend = &backends[2];
	mirror_one(scene);
	scene->policy.ref = NULL;
	mirror_one(scene);
	assert_int_equal(scene->proxy.mirror_count, 0);
	assert_int_equal(count(scene, COUNTER_MIRRORED), 0);
	assert_int_equal(count(scene, COUNTER_MIRROR_DROPPED), 0);
}

PLAYED(the_share_of_copies_is_kept)
{
	struct scene *scene = *state;

	scene->policy.per_million = 250000;
	for (int i = 0; i < 400; i++) {
		mirror_request(&scene->stream);
		mirrors_stop(&scene->proxy);
	}
	assert_in_range(count(scene, COUNTER_MIRRORED), 60, 140);
}

PLAYED(beyond_the_limit_copies_are_dropped_and_counted)
{
	struct scene *scene = *state;

	scene->proxy.mirror_count = LIMIT_MIRRORS;
	mirror_one(scene);
	assert_int_equal(count(scene, COUNTER_MIRROR_DROPPED), 1);
	assert_int_equal(count(scene, COUNTER_MIRRORED), 0);
	scene->proxy.mirror_count = LIMIT_MIRRORS - 1;
	mirror_one(scene);
	assert_int_equal(count(scene, COUNTER_MIRRORED), 1);
	mirrors_stop(&scene->proxy);
	assert_int_equal(scene->proxy.mirror_count, LIMIT_MIRRORS - 1);
	scene->proxy.mirror_count = 0;
}

/* ---- the answer */

/* Answers one copy; false when the connection was closed afterwards, true when it is in the pool. */
static bool answer_is_pooled(struct scene *scene, const char *answer, bool then_close)
{
	uint64_t before = count(scene, COUNTER_POOL_IDLE);
	bool is_pooled;
	int fd;

	mirror_one(scene);
	fd = accept_one(scene);
	read_head(scene, fd);
	say(fd, answer);
	if (then_close)
		shutdown(fd, SHUT_WR);
	UNTIL(scene, scene->proxy.mirror_count == 0);
	is_pooled = count(scene, COUNTER_POOL_IDLE) > before;
	if (!is_pooled)
		UNTIL(scene, is_readable(fd));
	/* A pooled one is closed by the backend's end. */
	close(fd);
	UNTIL(scene, count(scene, COUNTER_POOL_IDLE) == before);
	return is_pooled;
}

PLAYED(what_the_mirror_answers_is_read_over_and_judged)
{
	static const struct {
		const char *answer;
		bool then_close;
		bool is_pooled;
		bool is_failure;
	} rows[] = {
		{ "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n12345", false, true, false },
		{ "HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n", false, true, false },
		{ "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nx: y\r\n\r\n", false,
		  true, false },
		{ "HTTP/1.1 100 C\r\n\r\nHTTP/1.1 103 E\r\n\r\nHTTP/1.1 204 N\r\n\r\n", false, true, false },
		{ "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nConnection: close\r\n\r\n1", false, false, false },
		{ "HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\n1", false, false, false },
		{ "HTTP/1.1 200 OK\r\n\r\nuntil the end", true, false, false },
		{ "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n12", false, false, false },
		{ "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n123", true, false, true },
		{ "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n", false, false, true },
		{ "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n1", false, false, true },
		{ "HTTP/1.1 101 S\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n", false, false, true },
		{ "nonsense\r\n\r\n", false, false, true },
		{ "HTTP/1.1 2", true, false, true },
	};
	struct scene *scene = *state;
	uint64_t failures = 0;

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		bool is_pooled = answer_is_pooled(scene, rows[i].answer, rows[i].then_close);

		failures += rows[i].is_failure;
		if (is_pooled != rows[i].is_pooled || count(scene, COUNTER_MIRROR_FAILURES) != failures)
			fail_msg("%s: pooled %d, failures %llu instead of %llu", rows[i].answer, is_pooled,
				 (unsigned long long)count(scene, COUNTER_MIRROR_FAILURES),
				 (unsigned long long)failures);
	}
}

PLAYED(too_many_interim_answers_end_it)
{
	struct scene *scene = *state;
	int fd;

	mirror_one(scene);
	fd = accept_one(scene);
	read_head(scene, fd);
	for (int i = 0; i < LIMIT_INTERIM_RESPONSES; i++)
		say(fd, "HTTP/1.1 102 Processing\r\n\r\n");
	play_for(scene->proxy.loop, 20);
	assert_int_equal(scene->proxy.mirror_count, 1);
	say(fd, "HTTP/1.1 102 Processing\r\n\r\n");
	UNTIL(scene, scene->proxy.mirror_count == 0);
	assert_int_equal(count(scene, COUNTER_MIRROR_FAILURES), 1);
	close(fd);
}

PLAYED(an_answer_is_read_up_to_its_limit)
{
	static char segment[64 * 1024];
	struct scene *scene = *state;
	int fd;

	mirror_one(scene);
	fd = accept_one(scene);
	read_head(scene, fd);
	say(fd, "HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n");
	for (size_t sent = 0; scene->proxy.mirror_count && sent < 8u * LIMIT_MIRROR_BODY_BYTES;) {
		ssize_t len = send(fd, segment, sizeof(segment), MSG_NOSIGNAL | MSG_DONTWAIT);

		sent += len > 0 ? (size_t)len : 0;
		play_for(scene->proxy.loop, 1);
	}
	assert_int_equal(scene->proxy.mirror_count, 0);
	assert_int_equal(count(scene, COUNTER_MIRROR_FAILURES), 1);
	assert_in_range(count(scene, COUNTER_UPSTREAM_RECEIVED), LIMIT_MIRROR_BODY_BYTES,
			LIMIT_MIRROR_BODY_BYTES + LIMIT_READ_BYTES + 4096);
	close(fd);
}

/* ---- connections */

/* A first copy that leaves its connection in the pool. */
static int warm_up(struct scene *scene)
{
	int fd;

	mirror_one(scene);
	fd = accept_one(scene);
	read_head(scene, fd);
	say(fd, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
	UNTIL(scene, count(scene, COUNTER_POOL_IDLE) == 1);
	return fd;
}

PLAYED(a_pooled_connection_is_used_again)
{
	struct scene *scene = *state;
	int fd = warm_up(scene);

	mirror_one(scene);
	assert_int_equal(strncmp(read_head(scene, fd), "GET /a?b", 8), 0);
	assert_int_equal(count(scene, COUNTER_POOL_HITS), 1);
	assert_int_equal(count(scene, COUNTER_UPSTREAM_CONNECTS), 1);
	say(fd, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
	UNTIL(scene, scene->proxy.mirror_count == 0);
	assert_int_equal(count(scene, COUNTER_MIRROR_FAILURES), 0);
	close(fd);
}

PLAYED(a_pooled_connection_that_dies_is_replaced_once)
{
	struct scene *scene = *state;
	int fd = warm_up(scene), again;

	mirror_one(scene);
	read_head(scene, fd);
	close(fd);
	again = accept_one(scene);
	assert_int_equal(strncmp(read_head(scene, again), "GET /a?b", 8), 0);
	close(again);
	UNTIL(scene, scene->proxy.mirror_count == 0);
	play_for(scene->proxy.loop, 50);
	assert_false(is_readable(scene->listener)); /* the new one is not */
	assert_int_equal(count(scene, COUNTER_MIRROR_FAILURES), 1);
}

PLAYED(a_refused_connect_is_a_failure_of_the_endpoint)
{
	struct scene *scene = *state;
	struct upstream_endpoint *endpoint;

	close(scene->listener);
	mirror_one(scene);
	UNTIL(scene, scene->proxy.mirror_count == 0);
	assert_int_equal(count(scene, COUNTER_MIRROR_FAILURES), 1);
	assert_int_equal(count(scene, COUNTER_UPSTREAM_CONNECT_FAILURES), 1);
	endpoint = upstream_pool_endpoint(
		&scene->proxy.pool, &scene->endpoint,
		&(struct upstream_wants){ .keepalive = &scene->config->upstream_keepalives });
	assert_int_equal(endpoint->load.failures, 1);
	assert_int_equal(endpoint->load.in_flight, 0);
	upstream_pool_leave(&scene->proxy.pool, endpoint);
	scene->listener = -1;
}

/* ---- time */

/* A listening socket with a full queue answers no SYN. */
static void fill_queue(struct scene *scene, int *fillers, size_t filler_count)
{
	struct address address = pair_loopback();

	close(scene->listener);
	scene->listener = pair_listen(&address, 0);
	scene->endpoint.address = address;
	for (size_t i = 0; i < filler_count; i++) {
		fillers[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
		assert_true(fillers[i] >= 0);
		(void)connect(fillers[i], &address.any, address.len);
	}
}

static uint64_t time_of_failure(struct scene *scene)
{
	uint64_t start_ms;

	mirror_one(scene);
	start_ms = clock_now_ms();
	UNTIL(scene, scene->proxy.mirror_count == 0);
	return clock_now_ms() - start_ms;
}

PLAYED(a_connect_ends_with_the_connect_timeout_of_the_backend)
{
	static const struct backend_tcp tcp = { .connect_timeout = { true, 150 * MS } };
	struct scene *scene = *state;
	int fillers[4];

	fill_queue(scene, fillers, ARRAY_LEN(fillers));
	scene->config->connect_timeout_ns = 400 * MS;
	assert_in_range(time_of_failure(scene), 399, LIMIT_MIRROR_MS - 1);
	assert_int_equal(count(scene, COUNTER_UPSTREAM_CONNECT_FAILURES), 1);
	scene->ref.tcp = &tcp;
	scene->config->connect_timeout_ns = 60000 * MS;
	assert_in_range(time_of_failure(scene), 149, LIMIT_MIRROR_MS - 1);
	assert_int_equal(count(scene, COUNTER_UPSTREAM_CONNECT_FAILURES), 2);
	assert_int_equal(count(scene, COUNTER_MIRROR_FAILURES), 2);
	for (size_t i = 0; i < ARRAY_LEN(fillers); i++)
		close(fillers[i]);
}

PLAYED(a_look_up_ends_with_the_connect_timeout_too)
{
	struct scene *scene = *state;

	scene->endpoint.is_resolved = false;
	scene->endpoint.host = SPAN("slow");
	name_server_set(&scene->names, true, 0, 1, 1);
	scene->config->connect_timeout_ns = 200 * MS;
	assert_in_range(time_of_failure(scene), 199, LIMIT_MIRROR_MS - 1);
	assert_int_equal(count(scene, COUNTER_UPSTREAM_CONNECTS), 0);
	assert_int_equal(count(scene, COUNTER_MIRROR_FAILURES), 1);
}

/* Of the timers that are armed; UINT64_MAX: none. */
static uint64_t first_deadline_ms(const struct timer_wheel *timers)
{
	uint64_t first_ms = UINT64_MAX;

	for (size_t i = 0; i < TIMER_WHEEL_LEVELS * TIMER_WHEEL_SLOTS; i++) {
		list_each(node, next, &timers->slots[i / TIMER_WHEEL_SLOTS][i % TIMER_WHEEL_SLOTS]) {
			const struct timer *timer = list_entry(node, struct timer, node);

			if (timer->deadline_ms < first_ms)
				first_ms = timer->deadline_ms;
		}
	}
	return first_ms;
}

PLAYED(the_connect_timeout_is_over_once_the_connection_stands)
{
	struct scene *scene = *state;
	const struct timer_wheel *timers = loop_timers(scene->proxy.loop);
	uint64_t start_ms;
	int fd;

	setenv("RES_OPTIONS", "timeout:30", 1); /* the first deadline is not that of the name server */
	scene->endpoint.is_resolved = false;
	scene->endpoint.host = SPAN("name");
	scene->config->connect_timeout_ns = 8000 * MS;
	mirror_one(scene);
	start_ms = loop_now_ms(scene->proxy.loop);
	assert_int_equal(first_deadline_ms(timers), start_ms + 8000);
	fd = accept_one(scene);
	read_head(scene, fd);
	assert_int_equal(first_deadline_ms(timers), start_ms + LIMIT_MIRROR_MS);
	say(fd, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
	UNTIL(scene, count(scene, COUNTER_POOL_IDLE) == 1);
	assert_int_equal(count(scene, COUNTER_MIRROR_FAILURES), 0);
	close(fd);
}

PLAYED(a_name_without_address_is_a_failure)
{
	struct scene *scene = *state;

	scene->endpoint.is_resolved = false;
	scene->endpoint.host = SPAN("missing");
	mirror_one(scene);
	UNTIL(scene, scene->proxy.mirror_count == 0);
	assert_int_equal(count(scene, COUNTER_MIRROR_FAILURES), 1);
}

PLAYED(a_silent_mirror_is_given_up_after_the_request_timeout_of_its_backend)
{
	static const struct backend_http http = { .request_timeout = { true, 200 * MS } };
	struct scene *scene = *state;

	scene->ref.http = &http;
	assert_in_range(time_of_failure(scene), 199, LIMIT_MIRROR_MS - 1);
	assert_int_equal(count(scene, COUNTER_MIRROR_FAILURES), 1);
	assert_int_equal(count(scene, COUNTER_UPSTREAM_CONNECT_FAILURES), 0);
}

/* ---- ends */

PLAYED(stopping_frees_copies_in_every_stage)
{
	struct scene *scene = *state;
	int fd = warm_up(scene), second;

	mirror_one(scene); /* on the pooled connection, sent */
	mirror_one(scene); /* connecting */
	UNTIL(scene, is_readable(scene->listener));
	second = accept_one(scene);
	read_head(scene, second);
	say(second, "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n123"); /* in its body */
	play_for(scene->proxy.loop, 20);
	scene->endpoint.is_resolved = false;
	scene->endpoint.host = SPAN("slow");
	name_server_set(&scene->names, true, 0, 1, 1);
	mirror_one(scene); /* resolving */
	mirror_one(scene);
	assert_int_equal(scene->proxy.mirror_count, 4);
	mirrors_stop(&scene->proxy);
	assert_int_equal(scene->proxy.mirror_count, 0);
	assert_int_equal(count(scene, COUNTER_MIRROR_FAILURES), 0); /* nobody failed */
	close(fd);
	close(second);
}

static int mirror_and_stop(void *context)
{
	struct scene *scene = context;

	mirror_request(&scene->stream);
	mirrors_stop(&scene->proxy);
	return 0;
}

PLAYED(lack_of_memory_costs_the_copy_and_nothing_else)
{
	struct scene *scene = *state;
	uint64_t made;

	assert_true(alloc_fail_each(mirror_and_stop, scene) >= 4); /* itself, head, bytes, endpoint */
	made = count(scene, COUNTER_MIRRORED);
	assert_true(count(scene, COUNTER_MIRROR_DROPPED) + count(scene, COUNTER_MIRROR_FAILURES) >= 4);
	assert_true(made > count(scene, COUNTER_MIRROR_FAILURES));
	assert_int_equal(scene->stream.exchange->head.fields.count, 1);
}
