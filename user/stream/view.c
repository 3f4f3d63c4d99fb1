/* SPDX-License-Identifier: Apache-2.0 */
#include "user/stream/view.h"

#include <errno.h>
#include <stdio.h>

#include "user/base/mem.h"
#include "user/base/units.h"
#include "user/stream/deadline.h"
#include "user/stream/history.h"
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

int stream_view_running(struct proxy *proxy, struct stream_list *ret_list)
{
	uint32_t count = slab_count(proxy->streams);
	struct stream_list list;
	uint64_t now_ms = proxy_now_ms(proxy);
	struct stream *stream;
	uint32_t cursor = 0;
	uint64_t handle;
	int error = view_list_start(&list, count);

	while (!error && list.view_count < count &&
	       (stream = slab_next(proxy->streams, &cursor, &handle)) != NULL) {
		if (stream->state == STREAM_CLOSED)
			continue;
		view_fill(&list.view_list[list.view_count], stream, now_ms);
		error = view_keep_texts(&list);
	}
	return view_list_finish(&list, error, ret_list);
}

int stream_view_history(struct proxy *proxy, struct stream_list *ret_list)
{
	const struct stream_record *record;
	struct stream_list list;
	uint64_t ended_us;
	int error = view_list_start(&list, LIMIT_HISTORY_STREAMS);

	while (!error &&
	       (record = stream_history_get(proxy->history, (uint32_t)list.view_count, &ended_us)) != NULL) {
		list.view_list[list.view_count] = (struct stream_view){
			.record = *record,
			.id = record->id,
			.state = stream_state_name(STREAM_CLOSED),
			.deadline_left_ms = -1,
			.age_ms = record->duration_ns / NS_PER_MS,
			.worker = proxy->index,
			.ended_wall_us = ended_us,
		};
		error = view_keep_texts(&list);
	}
	return view_list_finish(&list, error, ret_list);
}

int stream_view_join(struct stream_list *all, struct stream_list *part)
{
	size_t count = all->view_count + part->view_count;
	struct stream_view *views = count ? hg_realloc(all->view_list, count * sizeof(*views)) : NULL;

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
