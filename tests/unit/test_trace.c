/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>

#include "tests/lib/alloc.h"
#include "tests/lib/test.h"
#include "user/base/check.h"
#include "user/base/deadline.h"
#include "user/base/end_reason.h"
#include "user/base/stream_state.h"
#include "user/obs/record.h"
#include "user/obs/trace.h"

static struct trace_record list[TRACE_RECORDS];

TEST(the_last_records_come_oldest_first)
{
	static const uint64_t counts[] = {
		0, 1, 5, TRACE_RECORDS - 1, TRACE_RECORDS, TRACE_RECORDS + 1, 3 * TRACE_RECORDS + 7
	};
	static const uint32_t maxima[] = { 0, 1, 3, TRACE_RECORDS - 1, TRACE_RECORDS };

	for (size_t c = 0; c < ARRAY_LEN(counts); c++) {
		struct trace *trace = trace_create();

		for (uint64_t i = 0; i < counts[c]; i++)
			trace_add(trace, 1000 + i, i, TRACE_RETRY, (uint32_t)i, ~i);
		for (size_t m = 0; m < ARRAY_LEN(maxima); m++) {
			uint64_t kept = counts[c] < TRACE_RECORDS ? counts[c] : TRACE_RECORDS;
			uint64_t want = kept < maxima[m] ? kept : maxima[m];

			assert_int_equal(trace_read(trace, list, maxima[m]), want);
			for (uint64_t i = 0; i < want; i++) {
				uint64_t id = counts[c] - want + i;

				assert_int_equal(list[i].id, id);
				assert_int_equal(list[i].time_ns, 1000 + id);
				assert_int_equal(list[i].event, TRACE_RETRY);
				assert_int_equal(list[i].a, (uint32_t)id);
				assert_int_equal(list[i].b, ~id);
			}
		}
		trace_free(trace);
	}
}

struct race {
	struct trace *trace;
	atomic_bool stop;
};

static void *write_records(void *argument)
{
	struct race *race = argument;

	for (uint64_t i = 0; !atomic_load_explicit(&race->stop, memory_order_relaxed); i++)
		trace_add(race->trace, i, i * 3, TRACE_ACCEPT, (uint32_t)i, i ^ 0x5555);
	return NULL;
}

TEST(a_reader_never_sees_half_a_record)
{
	struct race race = { .trace = trace_create() };
	pthread_t thread;

	assert_int_equal(pthread_create(&thread, NULL, write_records, &race), 0);
	while (atomic_load(&race.trace->done) < 2 * TRACE_RECORDS)
		sched_yield();
	for (int round = 0; round < 5000; round++) {
		uint32_t count = trace_read(race.trace, list, TRACE_RECORDS);

		for (uint32_t i = 0; i < count; i++) {
			uint64_t n = list[i].time_ns;

			if (list[i].id != n * 3 || list[i].a != (uint32_t)n || list[i].b != (n ^ 0x5555) ||
			    (i > 0 && n != list[i - 1].time_ns + 1))
				fail_msg("round %d, record %u of %u is torn or out of order", round, i,
					 count);
		}
	}
	atomic_store(&race.stop, true);
	pthread_join(thread, NULL);
	trace_free(race.trace);
}

TEST(records_are_decoded_by_name)
{
	static const struct {
		struct trace_record record;
		const char *want;
	} cases[] = {
		{ { 1500000000, 7, TRACE_STREAM_END, END_REQUEST_TIMEOUT, 504 },
		  "1.500000000 7 stream_end end_reason=request_timeout status=504\n" },
		{ { 0, 0, TRACE_RELOAD, 3, 2 }, "0.000000000 0 reload generation=3\n" },
		{ { 999, 3, TRACE_UPSTREAM_REUSED, 12, 0 }, "0.000000999 3 upstream_reused fd=12\n" },
		{ { 0, 1, TRACE_TIMER, DEADLINE_PER_TRY, 4 },
		  "0.000000000 1 timer deadline=per_try_timeout late_ms=4\n" },
		{ { 0, 1, TRACE_STREAM_STATE, STREAM_WAIT_HEAD, STREAM_CONNECT },
		  "0.000000000 1 stream_state state=wait_head before=connect\n" },
		{ { 0, 1, TRACE_STREAM_STATE, 99, 98 }, "0.000000000 1 stream_state state=99 before=98\n" },
		{ { 0, 1, TRACE_STREAM_LANES, LANE_COPY, LANE_SOCKMAP },
		  "0.000000000 1 stream_lanes lane_in=copy lane_out=sockmap\n" },
		{ { 0, 1, TRACE_UPSTREAM_FAILED, ECONNREFUSED, 0 },
		  "0.000000000 1 upstream_failed errno=ECONNREFUSED\n" },
		{ { 0, 1, TRACE_UPSTREAM_FAILED, UINT32_MAX, 0 },
		  "0.000000000 1 upstream_failed errno=4294967295\n" },
		{ { 0, 1, TRACE_UPSTREAM_TLS, 5, 1 }, "0.000000000 1 upstream_tls fd=5 resumed=true\n" },
		{ { 0, 1, TRACE_TIMER, 9999, 0 }, "0.000000000 1 timer deadline=9999 late_ms=0\n" },
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct text out;

		text_init(&out);
		trace_record_text(&cases[i].record, &out);
		assert_string_equal(out.data, cases[i].want);
		text_done(&out);
	}
}

static int create_and_free(void *context)
{
	struct trace *trace = trace_create();

	(void)context;
	trace_free(trace);
	return trace ? 0 : -ENOMEM;
}

TEST(creating_survives_lack_of_memory)
{
	assert_int_equal(alloc_fail_each(create_and_free, NULL), 1);
}
