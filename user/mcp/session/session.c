/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>

#include "user/base/check.h"
#include "user/base/limits.h"
#include "user/base/mem.h"
#include "user/base/text.h"
#include "user/mcp/session/session_internal.h"

void mcp_sink_init(struct mcp_sink *sink, const struct mcp_sink_ops *ops)
{
	*sink = (struct mcp_sink){ .ops = ops };
	list_init(&sink->requests);
	list_init(&sink->node);
}

struct mcp_session *mcp_session_create(const struct mcp_session_setup *setup)
{
	uint32_t count = setup->names.count;
	struct mcp_session *s;

	CHECK(count > 0 && count <= LIMIT_MCP_TARGETS);
	s = hg_calloc(1, sizeof(*s) + count * sizeof(s->targets[0]));
	if (!s)
		return NULL;
	s->setup = *setup;
	s->state = setup->kind == MCP_SESSION_SHARED ? MCP_SESSION_READY : MCP_SESSION_NEW;
	s->version = setup->kind == MCP_SESSION_SHARED ? MCP_2026_07_28 : MCP_VERSION_NONE;
	s->streams = MCP_STREAM_OWN;
	for (uint32_t i = 0; i < count; i++)
		s->targets[i].capabilities = MCP_CAN_ALL;
	list_init(&s->sinks);
	list_init(&s->settling);
	list_init(&s->requests);
	list_init(&s->detached);
	mcp_backlog_init(&s->backlog);
	return s;
}

static void sink_leave(struct list *list)
{
	while (!list_is_empty(list)) {
		struct mcp_sink *sink = list_entry(list_pop(list), struct mcp_sink, node);

		sink->session = NULL;
		sink->open = 0;
	}
}

void mcp_session_free(struct mcp_session *s)
{
	uint32_t cursor = 0;
	struct mcp_server_request *server_request;

	if (!s)
		return;
	list_each(node, next, &s->requests)
		mcp_request_free(s, list_entry(node, struct mcp_request, all));
	while ((server_request = mcp_ids_next(&s->server_requests, &cursor)))
		mcp_server_request_free(s, server_request);
	sink_leave(&s->sinks);
	sink_leave(&s->settling);
	CHECK(s->calls == 0 && s->bytes == 0 && s->sub_requests.count == 0 && s->server_requests.count == 0);
	mcp_ids_done(&s->sub_requests);
	mcp_ids_done(&s->server_requests);
	mcp_owners_done(&s->owners);
	mcp_backlog_done(&s->backlog);
	mcp_session_drop_held(s);
	hg_free((char *)s->opening.data);
	hg_free(s);
}

/* ---- the stream of a session ---- */

static void send_kept(struct mcp_session *s, struct mcp_sink *sink, struct mcp_buffered_event *buffered)
{
	struct iovec segment = { .iov_base = buffered->text, .iov_len = buffered->len };
	struct mcp_out out = {
		.segments = &segment,
		.count = 1,
		.bytes = buffered->len,
		.kind = buffered->kind,
		.version = s->version,
		.event = buffered->event,
		.status = 200,
	};

	if (sink->ops->send(sink, &out)) {
		buffered->was_sent = true;
		return;
	}
	sink->is_broken = true;
	list_remove(&sink->node);
	list_add_tail(&s->settling, &sink->node);
}

/*
 * Sends the events of the stream after `last`; events that were sent before only if the client requests
 * them.
 */
static void replay(struct mcp_session *s, struct mcp_sink *sink, uint64_t last)
{
	list_each(node, next, &s->backlog.list) {
		struct mcp_buffered_event *buffered = list_entry(node, struct mcp_buffered_event, node);

		if (buffered->event >> 32 != sink->stream || sink->is_broken)
			continue;
		if (last ? buffered->event > last : !buffered->was_sent)
			send_kept(s, sink, buffered);
		else if (last)
			mcp_backlog_drop(&s->backlog, buffered);
	}
}

/* Attaches the requests of a broken stream to the new one. */
static void reattach_requests(struct mcp_session *s, struct mcp_sink *sink)
{
	list_each(node, next, &s->detached) {
		struct mcp_request *r = list_entry(node, struct mcp_request, node);

		if (r->stream != sink->stream)
			continue;
		list_remove(&r->node);
		list_add_tail(&sink->requests, &r->node);
		r->sink = sink;
		r->detached_ms = 0;
		sink->open++;
	}
}

static bool knows_stream(const struct mcp_session *s, uint32_t stream)
{
	list_each(node, next, &s->detached) {
		if (list_entry(node, struct mcp_request, node)->stream == stream)
			return true;
	}
	list_each(node, next, &s->backlog.list) {
		if (list_entry(node, struct mcp_buffered_event, node)->event >> 32 == stream)
			return true;
	}
	return false;
}

struct mcp_verdict mcp_session_on_stream(struct mcp_session *s, struct mcp_sink *sink, uint64_t last_event)
{
	uint32_t stream = (uint32_t)(last_event >> 32);
	bool is_own = stream <= MCP_STREAM_OWN || !knows_stream(s, stream);

	if (s->state == MCP_SESSION_OVER)
		return (struct mcp_verdict){ MCP_REFUSED, MCP_ENDED, MCP_NONE };
	if (s->setup.kind != MCP_SESSION_STATEFUL || s->state != MCP_SESSION_READY)
		return (struct mcp_verdict){ MCP_REFUSED, MCP_NOT_READY, MCP_NONE };
	if (is_own && s->stream)
		return (struct mcp_verdict){ MCP_REFUSED, MCP_STREAM_TAKEN, MCP_NONE };
	sink->session = s;
	sink->stream = is_own ? MCP_STREAM_OWN : stream;
	list_add_tail(&s->sinks, &sink->node);
	if (is_own)
		s->stream = sink;
	replay(s, sink, stream == sink->stream ? last_event : 0);
	if (!is_own)
		reattach_requests(s, sink);
	if (!is_own && sink->open == 0 && !sink->is_broken) {
		list_remove(&sink->node);
		list_add_tail(&s->settling, &sink->node);
	}
	mcp_session_settle(s, s->now_ms);
	return (struct mcp_verdict){ MCP_WAITING, MCP_NONE, MCP_NONE };
}

void mcp_session_begin_stream(struct mcp_session *s, struct mcp_sink *sink)
{
	CHECK(sink->is_only && s->state == MCP_SESSION_NEW && !s->stream);
	sink->session = s;
	sink->stream = MCP_STREAM_OWN;
	list_add_tail(&s->sinks, &sink->node);
	s->stream = sink;
}

/* ---- ends ---- */

static void detached(struct mcp_session *s, struct mcp_sink *sink, uint64_t now_ms)
{
	while (!list_is_empty(&sink->requests)) {
		struct mcp_request *r = list_entry(list_pop(&sink->requests), struct mcp_request, node);

		r->sink = NULL;
		r->detached_ms = now_ms;
		list_add_tail(&s->detached, &r->node);
	}
}

static struct span gone_reason(enum mcp_gone why)
{
	return why == MCP_GONE_TIMEOUT ? SPAN("request timeout") : SPAN("the client disconnected");
}

static bool asks_to_initialize(const struct mcp_sink *sink)
{
	list_each(node, next, &sink->requests) {
		if (list_entry(node, struct mcp_request, node)->method == MCP_METHOD_INITIALIZE)
			return true;
	}
	return false;
}

void mcp_session_sink_gone(struct mcp_session *s, struct mcp_sink *sink, enum mcp_gone why, uint64_t now_ms)
{
	/* A session whose initialize was not answered is useless: no client has its id. */
	bool is_last = s->setup.kind == MCP_SESSION_SINGLE || sink->is_only || asks_to_initialize(sink);

	if (sink->session != s)
		return;
	s->now_ms = now_ms;
	list_remove(&sink->node);
	if (s->stream == sink)
		s->stream = NULL;
	if (s->held_sink == sink)
		s->held_sink = NULL;
	if (why == MCP_GONE_RESUMABLE && sink->is_resumable && s->setup.kind == MCP_SESSION_STATEFUL)
		detached(s, sink, now_ms);
	while (!list_is_empty(&sink->requests)) {
		struct mcp_request *r = list_entry(sink->requests.next, struct mcp_request, node);

		r->sink = NULL;
		mcp_request_cancel(s, r, gone_reason(why));
	}
	sink->session = NULL;
	sink->open = 0;
	mcp_session_settle(s, now_ms);
	if (is_last)
		mcp_session_end(s, MCP_ENDED, now_ms);
}

static void end_sinks(struct mcp_session *s, enum mcp_fault fault, struct span detail, uint64_t now_ms)
{
	list_each(node, next, &s->requests)
		mcp_request_fail(s, list_entry(node, struct mcp_request, all), fault, detail, now_ms);
	list_splice(&s->settling, &s->sinks);
}

/* Answers all open requests; afterwards nothing goes through the session. */
static void session_over(struct mcp_session *s, enum mcp_fault fault, struct span detail, uint64_t now_ms)
{
	uint32_t cursor = 0;
	struct mcp_server_request *server_request;

	if (s->state == MCP_SESSION_OVER)
		return;
	s->state = MCP_SESSION_OVER;
	if (s->held_sink)
		mcp_session_fail_held(s, fault, detail, now_ms);
	end_sinks(s, fault, detail, now_ms);
	while ((server_request = mcp_ids_next(&s->server_requests, &cursor)))
		mcp_server_request_free(s, server_request);
}

void mcp_session_end(struct mcp_session *s, enum mcp_fault fault, uint64_t now_ms)
{
	session_over(s, fault, (struct span){ NULL, 0 }, now_ms);
	mcp_session_settle(s, now_ms);
}

/* ---- targets that come and go ---- */

static uint32_t alive_count(const struct mcp_session *s)
{
	uint32_t alive = 0;

	for (uint32_t i = 0; i < s->setup.names.count; i++)
		alive += !s->targets[i].is_lost;
	return alive;
}

static void drop_server_requests(struct mcp_session *s, uint32_t target)
{
	uint32_t cursor = 0;
	struct mcp_server_request *server_request;

	while ((server_request = mcp_ids_next(&s->server_requests, &cursor))) {
		if (server_request->target == target)
			mcp_server_request_free(s, server_request);
	}
}

static void lose_target(struct mcp_session *s, uint32_t target, struct span reason, uint64_t now_ms)
{
	uint32_t cursor = 0;
	struct mcp_sub_request *sub_request;
	struct text why;
	bool was_there;

	if (s->targets[target].is_lost)
		return;
	was_there = s->state == MCP_SESSION_READY && !s->targets[target].is_joining;
	s->targets[target].is_lost = true;
	s->targets[target].is_failing = s->targets[target].is_joining = false;
	mcp_owners_forget(&s->owners, target);
	drop_server_requests(s, target);
	while ((sub_request = mcp_ids_next(&s->sub_requests, &cursor))) {
		if (sub_request->target == target)
			mcp_session_lose_sub_request(s, sub_request, reason, now_ms);
	}
	if (s->setup.kind == MCP_SESSION_SHARED)
		return;
	if (s->setup.fail_open && alive_count(s) > 0) {
		if (was_there)
			mcp_session_tell_changed(s, target, now_ms);
	} else {
		text_init(&why);
		mcp_session_reason(s, target, reason, &why);
		session_over(s, MCP_TARGET_LOST, text_span(&why), now_ms);
		text_done(&why);
	}
}

/* Gives up a target that the session itself found unusable. */
static void give_target_up(struct mcp_session *s, uint32_t target, struct span reason, uint64_t now_ms)
{
	if (s->setup.watch && !s->targets[target].is_lost)
		s->setup.watch->gave_up(s->setup.context, target, reason);
	lose_target(s, target, reason, now_ms);
}

void mcp_session_on_target_lost(struct mcp_session *s, uint32_t target, struct span reason, uint64_t now_ms)
{
	lose_target(s, target, reason, now_ms);
	mcp_session_settle(s, now_ms);
}

void mcp_session_on_target_back(struct mcp_session *s, uint32_t target, uint64_t now_ms)
{
	struct mcp_session_target *t = &s->targets[target];

	t->is_lost = t->is_failing = false;
	if (s->setup.kind == MCP_SESSION_SHARED)
		return;
	t->is_joining = true;
	t->version = MCP_VERSION_NONE;
	if (mcp_session_rejoin(s, target, now_ms) != 0)
		t->is_failing = s->is_failing = true;
	mcp_session_settle(s, now_ms);
}

void mcp_session_on_call_lost(struct mcp_session *s, uint32_t target, uint64_t call, struct span reason,
			      uint64_t now_ms)
{
	struct mcp_sub_request *sub_request = mcp_ids_find(&s->sub_requests, call);

	if (sub_request && sub_request->target == target)
		mcp_session_lose_sub_request(s, sub_request, reason, now_ms);
	mcp_session_settle(s, now_ms);
}

/* ---- the end of a turn ---- */

static void settle_sink(struct mcp_session *s, struct mcp_sink *sink, uint64_t now_ms)
{
	list_remove(&sink->node);
	if (s->stream == sink)
		s->stream = NULL;
	if (s->held_sink == sink)
		s->held_sink = NULL;
	while (!list_is_empty(&sink->requests)) {
		struct mcp_request *r = list_entry(sink->requests.next, struct mcp_request, node);

		/* The sink is in `settling` already: mcp_request_end() must not add it again. */
		r->sink = NULL;
		mcp_request_cancel(s, r, SPAN("the client does not read the responses"));
	}
	sink->session = NULL;
	sink->open = 0;
	if (!sink->is_broken)
		sink->ops->done(sink);
	else if (sink->is_only)
		session_over(s, MCP_ENDED, (struct span){ NULL, 0 }, now_ms);
}

void mcp_session_settle(struct mcp_session *s, uint64_t now_ms)
{
	while (s->is_failing || !list_is_empty(&s->settling)) {
		struct list *node;

		s->is_failing = false;
		for (uint32_t i = 0; i < s->setup.names.count; i++) {
			if (s->targets[i].is_failing)
				give_target_up(s, i, SPAN("it was not started, or does not read"), now_ms);
		}
		node = list_pop(&s->settling);
		if (node)
			settle_sink(s, list_entry(node, struct mcp_sink, node), now_ms);
	}
}

/* ---- time ---- */

static uint64_t earlier(uint64_t a, uint64_t b)
{
	return a == 0 ? b : b == 0 || a < b ? a : b;
}

static uint64_t tick_detached(struct mcp_session *s, uint64_t now_ms)
{
	uint64_t next_ms = 0;

	list_each(node, next, &s->detached) {
		struct mcp_request *r = list_entry(node, struct mcp_request, node);

		if (!r->detached_ms)
			continue;
		if (now_ms >= r->detached_ms + LIMIT_MCP_RESUME_MS)
			mcp_request_cancel(s, r, SPAN("the client did not reconnect"));
		else
			next_ms = earlier(next_ms, r->detached_ms + LIMIT_MCP_RESUME_MS);
	}
	return next_ms;
}

/* Rounds up, so that sessions wake up together; giving up some seconds late does no harm. */
static uint64_t coarse(uint64_t ms)
{
	const uint64_t step_ms = LIMIT_MCP_RESUME_MS / 8;

	return (ms + step_ms - 1) / step_ms * step_ms;
}

/* Gives up the targets that have not answered initialize in time. */
static void tick_opening(struct mcp_session *s, uint64_t now_ms)
{
	if (!s->open_ms || now_ms < s->open_ms)
		return;
	s->open_ms = 0;
	for (uint32_t i = 0; i < s->setup.names.count && s->state != MCP_SESSION_OVER; i++) {
		uint32_t cursor = 0;
		struct mcp_sub_request *sub_request;

		while ((sub_request = mcp_ids_next(&s->sub_requests, &cursor)) &&
		       (sub_request->target != i || sub_request->request->method != MCP_METHOD_INITIALIZE))
			continue;
		if (sub_request)
			give_target_up(s, i, SPAN("it did not answer initialize in time"), now_ms);
	}
}

uint64_t mcp_session_tick(struct mcp_session *s, uint64_t now_ms)
{
	uint64_t next_ms;

	s->now_ms = now_ms;
	tick_opening(s, now_ms);
	next_ms = earlier(tick_detached(s, now_ms), mcp_backlog_tick(&s->backlog, now_ms));
	mcp_session_settle(s, now_ms);
	return earlier(coarse(next_ms), s->open_ms);
}

/* ---- views ---- */

enum mcp_session_state mcp_session_state(const struct mcp_session *s)
{
	return s->state;
}

enum mcp_version mcp_session_version(const struct mcp_session *s)
{
	return s->version;
}

enum mcp_version mcp_session_target_version(const struct mcp_session *s, uint32_t target)
{
	return s->targets[target].version;
}

bool mcp_session_waits(const struct mcp_session *s, uint32_t target, uint64_t call)
{
	const struct mcp_sub_request *sub_request = mcp_ids_find(&s->sub_requests, call);

	return sub_request && sub_request->target == target;
}

bool mcp_session_is_lost(const struct mcp_session *s, uint32_t target)
{
	return s->targets[target].is_lost;
}

struct mcp_sink *mcp_session_stream(const struct mcp_session *s)
{
	return s->stream;
}

uint32_t mcp_session_calls(const struct mcp_session *s)
{
	return s->calls;
}

size_t mcp_session_bytes(const struct mcp_session *s)
{
	return sizeof(*s) + s->setup.names.count * sizeof(s->targets[0]) + s->bytes + s->backlog.bytes +
	       s->held.len + s->opening.len +
	       (s->sub_requests.size + s->server_requests.size) * 2 * sizeof(uint64_t) +
	       mcp_owners_bytes(&s->owners);
}

bool mcp_session_next_call(const struct mcp_session *s, uint32_t *cursor, struct mcp_call_view *ret)
{
	const struct mcp_sub_request *sub_request = mcp_ids_next(&s->sub_requests, cursor);

	if (!sub_request)
		return false;
	*ret = (struct mcp_call_view){
		.target = sub_request->target,
		.method = sub_request->request->method_text,
		.name = sub_request->request->name,
		.id = sub_request->request->id,
		.started_ms = sub_request->request->started_ms,
		.sink = sub_request->request->sink,
	};
	return true;
}

/* ---- event ids ---- */

size_t mcp_event_id_write(char *out, uint64_t event)
{
	size_t len = text_u64(out, event >> 32);

	out[len++] = '-';
	return len + text_u64(out + len, event & UINT32_MAX);
}

int mcp_event_id_read(struct span text, uint64_t *ret_event)
{
	ptrdiff_t dash = span_find(text, '-');
	uint64_t stream, number;

	if (dash < 0 || span_parse_u63(span_first(text, (size_t)dash), &stream) != 0 ||
	    span_parse_u63(span_from(text, (size_t)dash + 1), &number) != 0 || stream > UINT32_MAX ||
	    number > UINT32_MAX)
		return -EINVAL;
	*ret_event = stream << 32 | number;
	return 0;
}
