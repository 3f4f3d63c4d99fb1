/* SPDX-License-Identifier: Apache-2.0 */
#include "user/stream/view.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "user/base/mem.h"
#include "user/base/units.h"
#include "user/stream/deadline.h"
#include "user/stream/history.h"
#include "user/stream/selection.h"
#include "user/stream/stream.h"

enum { TEXT_BLOCK_BYTES = 16 * 1024 };

static int view_list_start(struct stream_list *list, uint32_t most)
{
	*list = (struct stream_list){ .view_list = hg_calloc(most, sizeof(list->view_list[0])) };
	arena_init(&list->texts, TEXT_BLOCK_BYTES);
	return list->view_list ? 0 : -ENOMEM;
}

static bool view_keep(struct arena *texts, struct span *text)
{
	if (text->len == 0)
		return true;
	*text = arena_copy(texts, *text);
	return text->data != NULL;
}

/* Counts the next view, whose record is set, and copies its texts into the list. 0 or -ENOMEM. */
static int view_keep_texts(struct stream_list *list)
{
	struct stream_record *record = &list->view_list[list->view_count++].record;
	bool is_kept = true;

#define RECORD_TEXT(member, key, example) is_kept &= view_keep(&list->texts, &record->member);
#include "user/obs/record_texts.def"
#undef RECORD_TEXT
	return is_kept ? 0 : -ENOMEM;
}

static int view_list_finish(struct stream_list *list, int error, struct stream_list *ret_list)
{
	if (error)
		stream_list_done(list);
	else
		*ret_list = *list;
	return error;
}

static void view_fill_lane(const struct relay *relay, char *state, size_t size, const char **ret_reason,
			   uint64_t *ret_pauses)
{
	struct lane_view lane;

	relay_describe(relay, &lane);
	*ret_reason = lane.reason;
	*ret_pauses = lane.pauses;
	snprintf(state, size, "%s", lane.state ? lane.state : "");
}

/* The kernel's timestamp may be later than the clock of this turn. */
static uint64_t view_since(uint64_t then_ms, uint64_t now_ms)
{
	return now_ms > then_ms ? now_ms - then_ms : 0;
}

static void view_fill(struct stream_view *view, struct stream *stream, uint64_t now_ms)
{
	uint64_t at_ms;
	enum stream_deadline deadline = deadline_next(stream, &at_ms);

	stream_fill_record(stream, &view->record);
	view->id = stream->id;
	view->state = stream_state_name(stream->state);
	view->state_explanation = stream_state_action(stream->state);
	view->deadline = deadline == DEADLINE_NONE ? NULL : stream_deadline_name(deadline);
	view->deadline_left_ms = deadline == DEADLINE_NONE ? -1
				 : at_ms > now_ms	   ? (int64_t)(at_ms - now_ms)
							   : 0;
	view->age_ms = now_ms - stream->start_ns / NS_PER_MS;
	view->idle_in_ms = stream->upload.last_active_ms ? view_since(stream->upload.last_active_ms, now_ms)
							 : view->age_ms;
	view->idle_out_ms = stream->download.last_active_ms
				    ? view_since(stream->download.last_active_ms, now_ms)
				    : view->age_ms;
	view->worker = stream->proxy->index;
	view_fill_lane(&stream->upload, view->gate_in, sizeof(view->gate_in), &view->gate_reason_in,
		       &view->pauses_in);
	view_fill_lane(&stream->download, view->gate_out, sizeof(view->gate_out), &view->gate_reason_out,
		       &view->pauses_out);
}

/* ---- which streams are wanted */

static bool fits(struct span wanted, struct span value)
{
	return wanted.len == 0 || span_eq(wanted, value);
}

static struct span route_of(const struct stream *stream)
{
	if (stream->route)
		return stream->route->label;
	return stream->tcp_route ? stream->tcp_route->label : (struct span){ 0 };
}

/* Reads no more than the query asks for: there may be many streams. */
static bool stream_fits(const struct stream *stream, const struct stream_query *query)
{
	if (query->state.len && !span_eq(query->state, span_str(stream_state_name(stream->state))))
		return false;
	if (query->listener.len &&
	    (!stream->listener || !span_eq(query->listener, stream->listener->listener_name)))
		return false;
	if (query->route.len && !span_eq(query->route, route_of(stream)))
		return false;
	if (query->backend.len &&
	    (!stream->backend || !span_eq(query->backend, stream->backend->backend->name)))
		return false;
	return !query->endpoint.len ||
	       (stream->attempt.endpoint && span_eq(query->endpoint, stream->attempt.endpoint->text));
}

static bool record_fits(const struct stream_record *record, const struct stream_query *query)
{
	if (query->is_failed_only && !stream_record_has_failed(record))
		return false;
	return fits(query->listener, record->listener) && fits(query->route, record->route) &&
	       fits(query->backend, record->backend) && fits(query->endpoint, record->endpoint) &&
	       fits(query->reason, span_str(end_reason_text(record->reason)));
}

static uint64_t active_ms(const struct stream *stream)
{
	uint64_t in_ms = stream->upload.last_active_ms, out_ms = stream->download.last_active_ms;
	uint64_t latest_ms = in_ms > out_ms ? in_ms : out_ms;

	return latest_ms ? latest_ms : stream->start_ns / NS_PER_MS;
}

/*
 * The larger, the earlier in the list. From memory alone: relay_refresh(), which may ask the kernel, is for
 * the rows that are shown. So a timer may turn out to have been extended, and a byte to be still unknown.
 */
static uint64_t stream_key(const struct stream *stream, enum stream_sort sort)
{
	switch (sort) {
	case STREAM_SORT_ID:
		return ~stream->id;
	case STREAM_SORT_DEADLINE:
		return timer_is_armed(&stream->timer) ? ~stream->timer.deadline_ms : 0;
	case STREAM_SORT_AGE:
		return ~stream->start_ns;
	case STREAM_SORT_BYTES:
		return stream->upload.payload_bytes + stream->download.payload_bytes;
	case STREAM_SORT_IDLE:
		return ~active_ms(stream);
	}
	return 0;
}

/* The same of a row. */
static uint64_t view_key(const struct stream_view *view, enum stream_sort sort)
{
	switch (sort) {
	case STREAM_SORT_ID:
		return ~view->id;
	case STREAM_SORT_DEADLINE:
		return view->deadline_left_ms < 0 ? 0 : ~(uint64_t)view->deadline_left_ms;
	case STREAM_SORT_AGE:
		return view->age_ms;
	case STREAM_SORT_BYTES:
		return view->record.bytes_in + view->record.bytes_out;
	case STREAM_SORT_IDLE:
		return view->idle_in_ms < view->idle_out_ms ? view->idle_in_ms : view->idle_out_ms;
	}
	return 0;
}

static int order_u64(uint64_t a, uint64_t b)
{
	return a < b ? -1 : a > b;
}

static int view_compare(const void *a, const void *b, void *argument)
{
	const struct stream_view *left = a, *right = b;
	const struct stream_query *query = argument;
	int order = query->is_history ? order_u64(right->ended_wall_us, left->ended_wall_us)
				      : order_u64(view_key(right, query->sort), view_key(left, query->sort));

	if (order)
		return order;
	return query->is_history ? order_u64(right->id, left->id) : order_u64(left->id, right->id);
}

void stream_view_sort(struct stream_list *list, const struct stream_query *query)
{
	size_t limit = query->limit ? query->limit : query->is_history ? LIMIT_HISTORY_STREAMS : SIZE_MAX;

	if (list->view_count > 1)
		qsort_r(list->view_list, list->view_count, sizeof(list->view_list[0]), view_compare,
			(void *)query);
	if (list->view_count > limit)
		list->view_count = limit;
}

/* ---- lists */

static int view_add(struct stream_list *list, struct stream *stream, uint64_t now_ms)
{
	view_fill(&list->view_list[list->view_count], stream, now_ms);
	return view_keep_texts(list);
}

/* All streams, without a limit: `count` is what there was room made for. */
static int view_all(struct proxy *proxy, const struct stream_query *query, uint32_t count,
		    struct stream_list *list)
{
	struct stream *stream;
	uint32_t cursor = 0;
	uint64_t handle;
	int error = 0;

	while (!error && list->view_count < count &&
	       (stream = slab_next(proxy->streams, &cursor, &handle)) != NULL) {
		if (stream->state == STREAM_CLOSED)
			continue;
		list->total++;
		if (stream_fits(stream, query))
			error = view_add(list, stream, proxy_now_ms(proxy));
	}
	list->matched = list->view_count;
	return error;
}

static int view_top(struct proxy *proxy, const struct stream_query *query, struct stream_list *list)
{
	struct selection top = { .limit = query->limit };
	struct stream *stream;
	uint32_t cursor = 0;
	uint64_t handle;
	int error = 0;

	while ((stream = slab_next(proxy->streams, &cursor, &handle)) != NULL) {
		if (stream->state == STREAM_CLOSED)
			continue;
		list->total++;
		if (!stream_fits(stream, query))
			continue;
		list->matched++;
		selection_offer(&top, stream_key(stream, query->sort), stream);
	}
	for (uint32_t i = 0; i < top.count && !error; i++)
		error = view_add(list, top.list[i].object, proxy_now_ms(proxy));
	return error;
}

int stream_view_running(struct proxy *proxy, const struct stream_query *query, struct stream_list *ret_list)
{
	uint32_t count = slab_count(proxy->streams);
	struct stream_list list;
	int error = view_list_start(&list, query->limit && query->limit < count ? query->limit : count);

	if (!error)
		error = query->limit ? view_top(proxy, query, &list) : view_all(proxy, query, count, &list);
	return view_list_finish(&list, error, ret_list);
}

static void view_fill_end(struct stream_view *view, const struct stream_record *record,
			  const struct proxy *proxy, uint64_t ended_us)
{
	*view = (struct stream_view){
		.record = *record,
		.id = record->id,
		.state = stream_state_name(STREAM_CLOSED),
		.deadline_left_ms = -1,
		.age_ms = record->duration_ns / NS_PER_MS,
		.worker = proxy->index,
		.ended_wall_us = ended_us,
	};
}

int stream_view_history(struct proxy *proxy, const struct stream_query *query, struct stream_list *ret_list)
{
	size_t limit = query->limit ? query->limit : LIMIT_HISTORY_STREAMS;
	const struct stream_record *record;
	struct stream_list list;
	uint64_t ended_us;
	int error = view_list_start(&list, LIMIT_HISTORY_STREAMS);

	while (!error &&
	       (record = stream_history_get(proxy->history, (uint32_t)list.total, &ended_us)) != NULL) {
		list.total++;
		if (!record_fits(record, query))
			continue;
		list.matched++;
		if (list.view_count == limit)
			continue;
		view_fill_end(&list.view_list[list.view_count], record, proxy, ended_us);
		error = view_keep_texts(&list);
	}
	return view_list_finish(&list, error, ret_list);
}

int stream_view_join(struct stream_list *all, struct stream_list *part)
{
	size_t count = all->view_count + part->view_count;
	struct stream_view *views = count ? hg_realloc(all->view_list, count * sizeof(*views)) : NULL;

	all->total += part->total;
	all->matched += part->matched;
	if (views) {
		if (part->view_count)
			memcpy(views + all->view_count, part->view_list, part->view_count * sizeof(*views));
		all->view_list = views;
		all->view_count = count;
		arena_join(&all->texts, &part->texts);
	}
	stream_list_done(part);
	return views || count == 0 ? 0 : -ENOMEM;
}

void stream_list_done(struct stream_list *list)
{
	hg_free(list->view_list);
	arena_done(&list->texts);
	*list = (struct stream_list){ 0 };
}
