/* SPDX-License-Identifier: Apache-2.0 */

#include <stdio.h>
#include <string.h>

#include "tests/lib/alloc.h"
#include "tests/lib/test.h"
#include "user/base/check.h"
#include "user/stream/history.h"

static struct stream_history *make(void **state, uint32_t worker)
{
	struct stream_history *history = stream_history_create(worker, NULL);

	(void)state;
	assert_non_null(history);
	return history;
}

TEST(ids_are_unique_name_their_worker_and_fit_a_double)
{
	struct stream_history *first = make(state, 0);
	struct stream_history *last = make(state, LIMIT_WORKERS - 1);
	uint64_t id = stream_history_next_id(first);

	assert_int_equal(id >> STREAM_ID_WORKER_SHIFT, 1);
	assert_int_equal(stream_history_next_id(first), id + 1);
	id = stream_history_next_id(last);
	assert_int_equal(id >> STREAM_ID_WORKER_SHIFT, LIMIT_WORKERS);
	assert_true(id < 1ull << 53);
	assert_int_equal((uint64_t)(double)id, id);
	stream_history_free(first);
	stream_history_free(last);
}

TEST(entries_come_newest_first_and_the_oldest_go)
{
	struct stream_history *history = make(state, 0);
	uint64_t ended_us = 7;

	assert_null(stream_history_get(history, 0, &ended_us));
	for (uint64_t added = 1; added <= LIMIT_HISTORY_STREAMS * 2 + 3; added++) {
		struct stream_record record = { .id = added, .status = (uint16_t)added };
		uint64_t kept = added < LIMIT_HISTORY_STREAMS ? added : LIMIT_HISTORY_STREAMS;

		stream_history_add(history, &record, added * 10);
		for (uint32_t i = 0; i < kept; i++) {
			const struct stream_record *found = stream_history_get(history, i, &ended_us);

			assert_non_null(found);
			assert_int_equal(found->id, added - i);
			assert_int_equal(found->status, (uint16_t)(added - i));
			assert_int_equal(ended_us, (added - i) * 10);
		}
		assert_null(stream_history_get(history, (uint32_t)kept, &ended_us));
	}
	stream_history_free(history);
}

TEST(texts_are_copies)
{
	struct stream_history *history = make(state, 0);
	char path[] = "/original";
	struct stream_record record = { .path = span_of(path, strlen(path)),
					.host = SPAN("host"),
					.sni = SPAN("") };
	const struct stream_record *found;
	uint64_t ended_us;

	stream_history_add(history, &record, 1);
	memset(path, 'x', sizeof(path));
	found = stream_history_get(history, 0, &ended_us);
	assert_true(span_eq(found->path, SPAN("/original")));
	assert_true(span_eq(found->host, SPAN("host")));
	assert_int_equal(found->sni.len, 0);
	assert_ptr_not_equal(found->host.data, record.host.data);
	stream_history_free(history);
}

/* Foreign text of any length is cut, our own names are not. */
TEST(long_texts_are_cut_and_leave_the_names_whole)
{
	static char huge[100000];
	struct stream_history *history = make(state, 0);
	struct stream_record record = {
		.gateway = SPAN("default/default"),
		.listener = SPAN("http"),
		.route = SPAN("httpbin/retry"),
		.endpoint = SPAN("127.0.0.1:8000"),
		.error = SPAN("upstream call timeout"),
		.method = span_of(huge, 20),
		.host = span_of(huge, sizeof(huge)),
		.path = span_of(huge, sizeof(huge)),
	};
	const struct stream_record *found;
	uint64_t ended_us;

	memset(huge, 'h', sizeof(huge));
	stream_history_add(history, &record, 1);
	found = stream_history_get(history, 0, &ended_us);
	assert_true(span_eq(found->gateway, record.gateway));
	assert_true(span_eq(found->route, record.route));
	assert_true(span_eq(found->endpoint, record.endpoint));
	assert_true(span_eq(found->error, record.error));
	assert_true(span_eq(found->method, record.method));
	assert_true(found->host.len > 100 && found->host.len < 1000);
	assert_memory_equal(found->host.data, huge, found->host.len);
	assert_true(found->path.len < 1000);
	stream_history_free(history);
}

TEST(names_of_any_length_are_cut_too)
{
	static char huge[5000];
	struct stream_history *history = make(state, 0);
	struct stream_record record = { 0 };
	struct span *texts[] = { &record.gateway,  &record.listener, &record.bind,  &record.source,
				 &record.endpoint, &record.backend,  &record.route, &record.route_rule,
				 &record.protocol, &record.version,  &record.error, &record.method,
				 &record.host,	   &record.sni,	     &record.path };
	uint64_t ended_us;

	memset(huge, 'n', sizeof(huge));
	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		*texts[i] = span_of(huge, sizeof(huge));
		stream_history_add(history, &record, i);
		assert_int_equal(stream_history_get(history, 0, &ended_us)->id, 0);
	}
	stream_history_free(history);
}

static int create_once(void *context)
{
	struct stream_history *history = stream_history_create(0, NULL);

	(void)context;
	if (!history)
		return -12;
	stream_history_free(history);
	return 0;
}

TEST(without_memory_there_is_none)
{
	assert_int_equal(alloc_fail_each(create_once, NULL), 1);
	stream_history_free(NULL);
}
