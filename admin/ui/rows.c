/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/ui/rows.h"

#include "user/base/units.h"

enum { ROW_TEXT_BYTES = 100 }; /* longer texts, which a client may have chosen, are cut */

/* Absent texts are left out: most rows have few. */
static void write_text(struct json_writer *w, const char *key, struct span text)
{
	if (text.len)
		json_string(w, key, span_first(text, ROW_TEXT_BYTES));
}

static void write_who(struct json_writer *w, const struct stream_record *record)
{
	char lane[LANE_TEXT_BYTES];

	write_text(w, "client", record->source);
	write_text(w, "protocol", record->protocol);
	write_text(w, "listener", record->listener);
	write_text(w, "route", record->route);
	write_text(w, "backend", record->backend);
	write_text(w, "endpoint", record->endpoint);
	write_text(w, "method", record->method);
	write_text(w, "host", record->host.len ? record->host : record->sni);
	write_text(w, "path", record->path);
	if (record->status)
		json_u64(w, "status", record->status);
	if (record->retry_attempt)
		json_u64(w, "retry", record->retry_attempt);
	json_u64(w, "in", record->bytes_in);
	json_u64(w, "out", record->bytes_out);
	json_string(w, "lane", span_of(lane, lane_text(record, lane)));
}

static void write_totals(struct json_writer *w, const struct stream_list *list)
{
	json_u64(w, "total", list->total);
	json_u64(w, "matched", list->matched);
	json_open_array(w, "rows");
}

void rows_write_streams(struct json_writer *w, const struct stream_list *list)
{
	json_open_object(w, "streams");
	write_totals(w, list);
	for (size_t i = 0; i < list->view_count; i++) {
		const struct stream_view *view = &list->view_list[i];

		json_open_object(w, NULL);
		json_u64(w, "id", view->id);
		json_u64(w, "age", view->age_ms);
		json_str(w, "state", view->state);
		if (view->deadline) {
			json_str(w, "deadline", view->deadline);
			json_u64(w, "left",
				 view->deadline_left_ms > 0 ? (uint64_t)view->deadline_left_ms : 0);
		}
		json_u64(w, "idle",
			 view->idle_in_ms < view->idle_out_ms ? view->idle_in_ms : view->idle_out_ms);
		write_who(w, &view->record);
		json_close(w);
	}
	json_close(w);
	json_close(w);
}

void rows_write_ends(struct json_writer *w, const struct stream_list *list)
{
	json_open_object(w, "ends");
	write_totals(w, list);
	for (size_t i = 0; i < list->view_count; i++) {
		const struct stream_view *view = &list->view_list[i];

		json_open_object(w, NULL);
		json_u64(w, "id", view->id);
		json_u64(w, "at", view->ended_wall_us / NS_PER_US); /* milliseconds since the epoch */
		json_u64(w, "duration", view->record.duration_ns / NS_PER_MS);
		json_str(w, "reason", end_reason_text(view->record.reason));
		if (end_reason_is_timer(view->record.reason))
			json_bool(w, "timer", true);
		if (stream_record_has_failed(&view->record))
			json_bool(w, "failed", true);
		write_text(w, "error", view->record.error);
		write_who(w, &view->record);
		json_close(w);
	}
	json_close(w);
	json_close(w);
}

void rows_write_words(struct json_writer *w)
{
	json_open_object(w, "words");
	for (uint32_t i = 0; i < END_REASON_COUNT; i++)
		json_str(w, end_reason_text((enum end_reason)i), end_reason_explanation((enum end_reason)i));
	json_close(w);
}
