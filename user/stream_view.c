/* SPDX-License-Identifier: Apache-2.0 */
#include "user/stream_view.h"

#include <errno.h>
#include <stdio.h>

#include "user/base/mem.h"
#include "user/proxy/deadline.h"
#include "user/proxy/history.h"
#include "user/proxy/stream.h"

/* The text of all views moves while it grows: until the end a span holds an offset instead of an address. */
static void view_keep(struct text *text, struct span *span)
{
	size_t at = text->len;

	text_add(text, *span);
	span->data = (const char *)(uintptr_t)at;
}

#define VIEW_SPANS(record, do_span)                                                                          \
	do_span(&(record)->gateway);                                                                         \
	do_span(&(record)->listener);                                                                        \
	do_span(&(record)->bind);                                                                            \
	do_span(&(record)->route);                                                                           \
	do_span(&(record)->route_rule);                                                                      \
	do_span(&(record)->backend);                                                                         \
	do_span(&(record)->endpoint);                                                                        \
	do_span(&(record)->source);                                                                          \
	do_span(&(record)->protocol);                                                                        \
	do_span(&(record)->method);                                                                          \
	do_span(&(record)->host);                                                                            \
	do_span(&(record)->path);                                                                            \
	do_span(&(record)->version);                                                                         \
	do_span(&(record)->sni);                                                                             \
	do_span(&(record)->error)

static void view_keep_all(struct text *text, struct stream_record *record)
{
#define KEEP(span) view_keep(text, span)
	VIEW_SPANS(record, KEEP);
#undef KEEP
}

static void view_point_all(const char *text, struct stream_record *record)
{
#define POINT(span) (span)->data = text + (uintptr_t)(span)->data
	VIEW_SPANS(record, POINT);
#undef POINT
}

static void view_move_all(const char *from, const char *to, struct stream_record *record)
{
#define MOVE(span) (span)->data = to + ((span)->data - from)
	VIEW_SPANS(record, MOVE);
#undef MOVE
}

static int view_finish(struct text *text, struct stream_list *list)
{
	if (text_error(text)) {
		text_done(text);
		hg_free(list->view_list);
		*list = (struct stream_list){ 0 };
		return -ENOMEM;
	}
	list->text = text->data;
	list->text_len = text->len;
	for (size_t i = 0; i < list->view_count; i++)
		view_point_all(text->data, &list->view_list[i].record);
	return 0;
}

static void view_fill_near(const struct relay *relay, char *state, size_t size, const char **ret_reason,
			   uint64_t *ret_pauses)
{
	struct near_stats stats = near_direction_stats(&relay->near->direction);

	*ret_pauses = stats.falls;
	if (stats.reason != NEAR_REASON_NONE)
		*ret_reason = near_reason_text(stats.reason);
	snprintf(state, size, "%s", near_lane_text(stats.lane));
}

static void view_fill_gate(const struct relay *relay, char *state, size_t size, const char **ret_reason,
			   uint64_t *ret_pauses)
{
	struct gate_direction_stats stats;

	if (relay->lane == &lane_near)
		view_fill_near(relay, state, size, ret_reason, ret_pauses);
	if (relay->lane != &lane_sockmap)
		return;
	stats = gate_direction_stats(&relay->gate->direction);
	*ret_pauses = stats.pauses;
	if (stats.reason != GATE_REASON_NONE)
		*ret_reason = gate_reason_text(stats.reason);
	snprintf(state, size, "%s",
		 stats.is_open ? "open" : gate_direction_state_text(relay->gate->direction.state));
}

/* The kernel's stamp may be younger than the clock of this turn. */
static uint64_t view_since(uint64_t then_ms, uint64_t now_ms)
{
	return now_ms > then_ms ? now_ms - then_ms : 0;
}

static void view_fill(struct stream_view *view, struct stream *stream, struct text *text, uint64_t now_ms)
{
	uint64_t at_ms;
	enum stream_deadline deadline = deadline_next(stream, &at_ms);

	stream_fill_record(stream, &view->record);
	view_keep_all(text, &view->record);
	view->id = stream->id;
	view->state = stream_state_name(stream->state);
	view->deadline = deadline == DEADLINE_NONE ? NULL : stream_deadline_name(deadline);
	view->deadline_left_ms = deadline == DEADLINE_NONE ? -1
				 : at_ms > now_ms	   ? (int64_t)(at_ms - now_ms)
							   : 0;
	view->age_ms = now_ms - stream->start_ns / 1000000u;
	view->idle_in_ms = stream->upload.last_active_ms ? view_since(stream->upload.last_active_ms, now_ms)
							 : view->age_ms;
	view->idle_out_ms = stream->download.last_active_ms
				    ? view_since(stream->download.last_active_ms, now_ms)
				    : view->age_ms;
	view->worker = stream->proxy->index;
	view_fill_gate(&stream->upload, view->gate_in, sizeof(view->gate_in), &view->gate_reason_in,
		       &view->pauses_in);
	view_fill_gate(&stream->download, view->gate_out, sizeof(view->gate_out), &view->gate_reason_out,
		       &view->pauses_out);
}

int stream_view_running(struct proxy *proxy, struct stream_list *ret_list)
{
	uint32_t count = slab_count(proxy->streams);
	struct stream_list list = { .view_list = hg_calloc(count, sizeof(struct stream_view)) };
	uint64_t now_ms = proxy_now_ms(proxy);
	struct stream *stream;
	struct text text;
	uint32_t cursor = 0;
	uint64_t handle;

	if (!list.view_list)
		return -ENOMEM;
	text_init(&text);
	while ((stream = slab_next(proxy->streams, &cursor, &handle)) != NULL && list.view_count < count) {
		if (stream->state != STREAM_CLOSED)
			view_fill(&list.view_list[list.view_count++], stream, &text, now_ms);
	}
	if (view_finish(&text, &list) < 0)
		return -ENOMEM;
	*ret_list = list;
	return 0;
}

int stream_view_history(struct proxy *proxy, struct stream_list *ret_list)
{
	struct stream_list list = { .view_list =
					    hg_calloc(LIMIT_HISTORY_STREAMS, sizeof(struct stream_view)) };
	const struct stream_record *record;
	struct text text;
	uint64_t ended_us;

	if (!list.view_list)
		return -ENOMEM;
	text_init(&text);
	while ((record = stream_history_get(proxy->history, (uint32_t)list.view_count, &ended_us)) != NULL) {
		struct stream_view *view = &list.view_list[list.view_count++];

		view->record = *record;
		view_keep_all(&text, &view->record);
		view->id = record->id;
		view->state = stream_state_name(STREAM_CLOSED);
		view->deadline_left_ms = -1;
		view->age_ms = record->duration_ns / 1000000u;
		view->worker = proxy->index;
		view->ended_wall_us = ended_us;
	}
	if (view_finish(&text, &list) < 0)
		return -ENOMEM;
	*ret_list = list;
	return 0;
}

int stream_view_join(struct stream_list *all, struct stream_list *part)
{
	size_t count = all->view_count + part->view_count;
	struct stream_view *views;
	char *text;

	if (part->view_count == 0) {
		stream_list_done(part);
		return 0;
	}
	text = hg_malloc(all->text_len + part->text_len);
	views = text ? hg_realloc(all->view_list, count * sizeof(*views)) : NULL;
	if (!views) {
		hg_free(text);
		stream_list_done(part);
		return -ENOMEM;
	}
	if (all->text_len)
		memcpy(text, all->text, all->text_len);
	if (part->text_len)
		memcpy(text + all->text_len, part->text, part->text_len);
	memcpy(views + all->view_count, part->view_list, part->view_count * sizeof(*views));
	for (size_t i = 0; i < count; i++) {
		bool is_old = i < all->view_count;

		view_move_all(is_old ? all->text : part->text, is_old ? text : text + all->text_len,
			      &views[i].record);
	}
	hg_free(all->text);
	*all = (struct stream_list){ views, count, text, all->text_len + part->text_len };
	stream_list_done(part);
	return 0;
}
