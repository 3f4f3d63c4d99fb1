/* SPDX-License-Identifier: Apache-2.0 */
#include "user/obs/trace.h"

#include "user/base/check.h"
#include "user/base/choice_reason.h"
#include "user/base/deadline.h"
#include "user/base/end_reason.h"
#include "user/base/limit_kind.h"
#include "user/base/mem.h"
#include "user/base/session_result.h"
#include "user/base/stream_state.h"
#include "user/obs/record.h"

static const struct {
	const char *name;
	const char *a;
	const char *b;
} events[TRACE_EVENT_COUNT] = {
#define TRACE_EVENT(id, name, a, b) { name, a, b },
#include "user/base/units.h"
#include "user/obs/trace_events.def"
#undef TRACE_EVENT
};

struct trace *trace_create(void)
{
	return hg_calloc(1, sizeof(struct trace));
}

void trace_free(struct trace *trace)
{
	hg_free(trace);
}

static void slot_copy(const struct trace_slot *slot, struct trace_record *record)
{
	uint64_t event_a = atomic_load_explicit(&slot->event_a, memory_order_acquire);

	record->time_ns = atomic_load_explicit(&slot->time_ns, memory_order_acquire);
	record->id = atomic_load_explicit(&slot->id, memory_order_acquire);
	record->event = (enum trace_event)(event_a >> 32);
	record->a = (uint32_t)event_a;
	record->b = atomic_load_explicit(&slot->b, memory_order_acquire);
}

uint32_t trace_read(const struct trace *trace, struct trace_record *ret_list, uint32_t max)
{
	uint64_t end = atomic_load_explicit(&trace->done, memory_order_acquire);
	uint64_t start = end > TRACE_RECORDS ? end - TRACE_RECORDS : 0;
	uint64_t begun, lost;
	uint32_t count;

	if (end - start > max)
		start = end - max;
	count = (uint32_t)(end - start);
	for (uint32_t i = 0; i < count; i++)
		slot_copy(&trace->slots[(start + i) % TRACE_RECORDS], &ret_list[i]);
	begun = atomic_load_explicit(&trace->begun, memory_order_relaxed);
	/* A record that was started since then has overwritten the one TRACE_RECORDS before it. */
	lost = begun > start + TRACE_RECORDS ? begun - start - TRACE_RECORDS : 0;
	if (lost >= count)
		return 0;
	memmove(ret_list, ret_list + lost, (count - lost) * sizeof(ret_list[0]));
	return (uint32_t)(count - lost);
}

/* Words for the numbers of the tables. */
static const char *end_word(uint64_t value)
{
	return value < END_REASON_COUNT ? end_reason_text((enum end_reason)value) : NULL;
}

static const char *deadline_word(uint64_t value)
{
	return value < DEADLINE_COUNT ? stream_deadline_name((enum stream_deadline)value) : NULL;
}

static const char *state_word(uint64_t value)
{
	return value < STREAM_STATE_COUNT ? stream_state_name((enum stream_state)value) : NULL;
}

static const char *lane_word(uint64_t value)
{
	return value < LANE_COUNT ? lane_name((enum lane_id)value) : NULL;
}

static const char *errno_word(uint64_t value)
{
	return value <= INT32_MAX ? strerrorname_np((int)value) : NULL;
}

static const char *choice_word(uint64_t value)
{
	return value < CHOICE_REASON_COUNT ? choice_reason_word((enum choice_reason)value) : NULL;
}

/* Which limit of a backend is reached. */
static const char *limit_word(uint64_t value)
{
	static const char *const keys[LIMIT_KIND_COUNT] = {
		[LIMIT_KIND_BACKEND_CONNECTIONS] = "connectionsPerBackend",
		[LIMIT_KIND_BREAKER_CONNECTIONS] = "maxConnections",
		[LIMIT_KIND_BREAKER_ENDPOINT] = "perEndpoint.maxConnections",
		[LIMIT_KIND_BREAKER_REQUESTS] = "maxParallelRequests",
	};

	return value < LIMIT_KIND_COUNT ? keys[value] : NULL;
}

static const char *session_word(uint64_t value)
{
	return value < SESSION_RESULT_COUNT ? session_result_word((enum session_result)value) : NULL;
}

static const char *truth_word(uint64_t value)
{
	return value ? "true" : "false";
}

static const struct {
	const char *name;
	const char *(*word)(uint64_t value); /* static; NULL: not in the table */
} words[] = {
	{ "end_reason", end_word },  { "deadline", deadline_word }, { "state", state_word },
	{ "before", state_word },    { "lane_in", lane_word },	    { "lane_out", lane_word },
	{ "errno", errno_word },     { "resumed", truth_word },	    { "choice", choice_word },
	{ "session", session_word }, { "limit", limit_word },
};

static void add_number(struct text *out, const char *name, uint64_t value)
{
	const char *word = NULL;

	if (name[0] == '\0')
		return;
	for (size_t i = 0; i < ARRAY_LEN(words); i++)
		if (strcmp(name, words[i].name) == 0)
			word = words[i].word(value);
	if (word)
		text_fmt(out, " %s=%s", name, word);
	else
		text_fmt(out, " %s=%llu", name, (unsigned long long)value);
}

void trace_record_text(const struct trace_record *record, struct text *out)
{
	text_fmt(out, "%llu.%09llu %llu %s", (unsigned long long)(record->time_ns / NS_PER_S),
		 (unsigned long long)(record->time_ns % NS_PER_S), (unsigned long long)record->id,
		 events[record->event].name);
	add_number(out, events[record->event].a, record->a);
	add_number(out, events[record->event].b, record->b);
	text_char(out, '\n');
}
