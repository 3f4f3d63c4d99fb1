/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* A program that the admin servers ask, with the servers in a loop of their own, and questions to them. */
#include <stdatomic.h>

#include "tests/unit/json_tree.h"
#include "admin/http/server.h"
#include "tests/lib/test.h"
#include "tests/unit/admin_play.h"
#include "user/base/mem.h"

/* Everything here runs in the loop's thread. */
struct fake {
	struct loop_play play;
	struct admin_hooks hooks;
	struct admin *admin;
	struct address address[ADMIN_PORT_COUNT];
	struct counters counters;
	struct request_metrics *requests;
	struct path_metrics *paths;
	struct seconds *seconds;
	struct trace *traces[2];
	struct snapshot snapshot;
	/* set and read by the test while the loop runs */
	atomic_bool has_no_snapshot;
	atomic_bool is_ready;
	atomic_uint quits;
	atomic_size_t stream_count;
	atomic_bool has_long_texts; /* all that a client can choose, and more */
	int start_result;
	struct text start_error;
	struct admin_addresses addresses;
};

static inline const struct snapshot *fake_snapshot(void *context)
{
	struct fake *fake = context;

	return fake->has_no_snapshot ? NULL : &fake->snapshot;
}

static inline void fake_config_status(void *context, struct admin_config_status *ret_status)
{
	(void)context;
	*ret_status = (struct admin_config_status){
		.generation = 4,
		.loaded_wall_us = 1790000000123456u,
		.last_reload_ok = false,
		.reloads_ok = 3,
		.reloads_failed = 1,
		.errors = SPAN("a.yaml:1:2: binds: wrong\na.yaml:9:1: x: \"worse\"\n"),
	};
}

static inline bool fake_is_ready(void *context, struct span *ret_pending)
{
	struct fake *fake = context;

	*ret_pending = SPAN("draining");
	return fake->is_ready;
}

static inline size_t fake_worker_count(void *context)
{
	struct fake *fake = context;

	return ARRAY_LEN(fake->traces);
}

static inline void fake_worker_numbers(void *context, size_t index, struct worker_numbers *ret_numbers)
{
	struct fake *fake = context;

	*ret_numbers = (struct worker_numbers){
		.counters = &fake->counters,
		.requests = fake->requests,
		.trace = fake->traces[index],
		.paths = fake->paths,
		.seconds = fake->seconds,
	};
}

static inline void fake_long_texts(struct stream_record *record)
{
	static char bytes[64 * 1024];
	struct span text = span_of(bytes, sizeof(bytes));

	memset(bytes, 0xff, sizeof(bytes));
	record->method = record->host = record->path = record->error = text;
	record->listener = record->route = record->backend = record->endpoint = text;
}

static inline void fake_list_streams(void *context, const struct stream_query *query,
				     void (*done)(void *argument, struct stream_list *list), void *argument)
{
	struct fake *fake = context;
	size_t count = fake->stream_count;
	struct stream_list list = { .view_list = hg_calloc(count + 1, sizeof(*list.view_list)),
				    .view_count = count,
				    .total = count,
				    .matched = count };
	bool history = query->is_history;
	struct span source = arena_copy(&list.texts, SPAN("10.0.0.1:5"));

	for (size_t i = 0; i < count; i++) {
		struct stream_view *view = &list.view_list[i];

		/* In no order at all. */
		view->id = (i * 7919) % count + 1;
		view->state = history ? "closed" : "RELAY";
		view->record.source = source;
		view->record.path = SPAN("/\x1b\xff");
		if (fake->has_long_texts)
			fake_long_texts(&view->record);
		view->record.protocol = SPAN("http");
		view->record.status = 200;
		view->record.bytes_in = 5;
		view->record.bytes_out = UINT64_MAX;
		view->record.lane_bytes_out[LANE_PIPE] = 77;
		view->record.lane_out = LANE_PIPE;
		view->record.reason = END_STREAM_IDLE;
		view->record.duration_ns = 1500000;
		view->deadline = history ? NULL : "stream_idle";
		view->deadline_left_ms = history ? -1 : 1234;
		view->age_ms = 10;
		view->ended_wall_us = 1790000000000000u + view->id;
		snprintf(view->gate_out, sizeof(view->gate_out), "open");
	}
	stream_view_sort(&list, query);
	done(argument, &list);
}

static inline void fake_close_stream(void *context, uint64_t id, void (*done)(void *argument, bool found),
				     void *argument)
{
	(void)context;
	done(argument, id == 12);
}

static inline void fake_quit(void *context)
{
	struct fake *fake = context;

	fake->quits++;
}

static inline void fake_start_admin(void *context)
{
	struct fake *fake = context;

	fake->start_result = admin_start(fake->play.loop, &fake->hooks, &fake->addresses, &fake->start_error,
					 &fake->admin);
	for (enum admin_port port = 0; port < ADMIN_PORT_COUNT && fake->start_result == 0; port++)
		admin_local_address(fake->admin, port, &fake->address[port]);
}

static inline void fake_stop_admin(void *context)
{
	struct fake *fake = context;

	admin_stop(fake->admin);
	fake->admin = NULL;
}

static inline struct fake *fake_create(void)
{
	struct fake *fake = aligned_alloc(64, (sizeof(*fake) + 63) / 64 * 64);

	memset(fake, 0, sizeof(*fake));
	fake->hooks = (struct admin_hooks){
		.context = fake,
		.snapshot = fake_snapshot,
		.config_status = fake_config_status,
		.is_ready = fake_is_ready,
		.worker_count = fake_worker_count,
		.worker_numbers = fake_worker_numbers,
		.list_streams = fake_list_streams,
		.close_stream = fake_close_stream,
		.quit = fake_quit,
	};
	fake->requests = request_metrics_create();
	fake->paths = path_metrics_create();
	fake->seconds = seconds_create(&fake->counters);
	for (size_t i = 0; i < ARRAY_LEN(fake->traces); i++)
		fake->traces[i] = trace_create();
	fake->is_ready = true;
	fake->stream_count = 3;
	fake->addresses.ipv6_enabled = true;
	loop_play_start(&fake->play);
	return fake;
}

static inline void fake_free(struct fake *fake)
{
	loop_play_do(&fake->play, fake_stop_admin, fake);
	loop_play_stop(&fake->play);
	request_metrics_free(fake->requests);
	path_metrics_free(fake->paths);
	seconds_free(fake->seconds);
	for (size_t i = 0; i < ARRAY_LEN(fake->traces); i++)
		trace_free(fake->traces[i]);
	text_done(&fake->start_error);
	free(fake);
}

static inline int setup(void **state)
{
	struct fake *fake = fake_create();

	for (size_t i = 0; i < ADMIN_PORT_COUNT; i++)
		fake->addresses.text[i] = SPAN("127.0.0.1:0");
	loop_play_do(&fake->play, fake_start_admin, fake);
	assert_int_equal(fake->start_result, 0);
	*state = fake;
	return 0;
}

static inline int teardown(void **state)
{
	fake_free(*state);
	return 0;
}

/* ---- asking */

static inline char *ask_with(struct fake *fake, enum admin_port port, const char *line, const char *fields)
{
	char request[2048];

	snprintf(request, sizeof(request), "%s HTTP/1.1\r\nConnection: close\r\n%s\r\n", line, fields);
	return client_ask(&fake->address[port], request, NULL);
}

static inline char *ask(struct fake *fake, enum admin_port port, const char *line)
{
	return ask_with(fake, port, line, "Host: localhost\r\n");
}

static inline void assert_answer(struct fake *fake, enum admin_port port, const char *line, int status,
				 const char *body)
{
	char *answer = ask(fake, port, line);
	char want[32];

	snprintf(want, sizeof(want), "HTTP/1.1 %d ", status);
	if (strncmp(answer, want, strlen(want)) != 0 || (body && !strstr(strstr(answer, "\r\n\r\n"), body)))
		fail_msg("%s: not %d \"%s\" but\n%.600s", line, status, body ? body : "", answer);
	free(answer);
}

static inline struct json_value *ask_json(struct fake *fake, const char *line)
{
	char *answer = ask(fake, ADMIN_PORT_ADMIN, line);
	struct json_value *root = json_parse(span_str(strstr(answer, "\r\n\r\n") + 4));

	assert_memory_equal(answer, "HTTP/1.1 200 OK\r\n", 17);
	assert_non_null(strcasestr(answer, "content-type: application/json\r\n"));
	assert_non_null(root);
	free(answer);
	return root;
}

static inline struct fake *start_on(const char *admin, const char *stats)
{
	struct fake *fake = fake_create();

	fake->addresses.text[ADMIN_PORT_ADMIN] = span_str(admin);
	fake->addresses.text[ADMIN_PORT_STATS] = span_str(stats);
	fake->addresses.text[ADMIN_PORT_READINESS] = SPAN("off");
	loop_play_do(&fake->play, fake_start_admin, fake);
	return fake;
}

#define PLAYED(test) TEST_WITH(test, setup, teardown)
