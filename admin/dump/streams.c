/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/dump/streams.h"

#include "user/base/clock.h"
#include "user/base/json_writer.h"

static void write_text(struct json_writer *w, const char *key, const char *value)
{
	json_string_or_null(w, key, span_str(value));
}

static void write_lanes(struct json_writer *w, const char *key, const uint64_t bytes[LANE_COUNT])
{
	json_open_object(w, key);
	for (uint32_t lane = 0; lane < LANE_COUNT; lane++)
		json_u64(w, lane_name((enum lane_id)lane), bytes[lane]);
	json_close(w);
}

static void write_us(struct json_writer *w, const char *key, uint32_t us)
{
	if (us)
		json_u64(w, key, us);
	else
		json_null(w, key);
}

static void write_who(struct json_writer *w, const struct stream_record *record)
{
#define RECORD_TEXT(member, key, example)                                                                    \
	if (key[0])                                                                                          \
		json_string_or_null(w, key, record->member);
#include "user/base/units.h"
#include "user/obs/record_texts.def"
#undef RECORD_TEXT
	if (record->status)
		json_u64(w, "status", record->status);
	else
		json_null(w, "status");
	json_u64(w, "retry_attempt", record->retry_attempt);
	json_u64(w, "delay_ms", record->delay_ms);
	write_us(w, "connect_us", record->connect_us);
	write_us(w, "head_us", record->head_us);
}

static void write_deadline(struct json_writer *w, const struct stream_view *view)
{
	json_str(w, "deadline", view->deadline);
	if (view->deadline && view->deadline_left_ms >= 0)
		json_u64(w, "deadline_left_ms", (uint64_t)view->deadline_left_ms);
	else
		json_null(w, "deadline_left_ms");
}

static void write_bytes(struct json_writer *w, const struct stream_view *view)
{
	const struct stream_record *record = &view->record;
	char lane[LANE_TEXT_BYTES];

	json_u64(w, "bytes_in", record->bytes_in);
	json_u64(w, "bytes_out", record->bytes_out);
	json_string(w, "lane", span_of(lane, lane_text(record, lane)));
	json_str(w, "lane_in", lane_name(record->lane_in));
	json_str(w, "lane_out", lane_name(record->lane_out));
	write_lanes(w, "lane_bytes_in", record->lane_bytes_in);
	write_lanes(w, "lane_bytes_out", record->lane_bytes_out);
	write_text(w, "gate_in", view->gate_in);
	write_text(w, "gate_out", view->gate_out);
	write_text(w, "gate_reason_in", view->gate_reason_in ? view->gate_reason_in : "");
	write_text(w, "gate_reason_out", view->gate_reason_out ? view->gate_reason_out : "");
	json_u64(w, "pauses_in", view->pauses_in);
	json_u64(w, "pauses_out", view->pauses_out);
}

static void write_end(struct json_writer *w, const struct stream_view *view)
{
	char date[CLOCK_RFC3339_BYTES];

	clock_rfc3339(view->ended_wall_us, date);
	json_str(w, "ended_at", date);
	json_u64(w, "duration_ms", view->record.duration_ns / NS_PER_MS);
	json_str(w, "close_reason", end_reason_text(view->record.reason));
	json_str(w, "timer",
		 end_reason_is_timer(view->record.reason) ? end_reason_text(view->record.reason) : NULL);
	json_str(w, "close_explanation", end_reason_explanation(view->record.reason));
	json_string_or_null(w, "error", view->record.error);
}

static void write_stream(struct json_writer *w, const struct stream_view *view, bool is_history)
{
	json_open_object(w, NULL);
	json_u64(w, "id", view->id);
	json_u64(w, "worker", view->worker);
	json_u64(w, "age_ms", view->age_ms);
	write_who(w, &view->record);
	json_str(w, "state", view->state);
	if (is_history) {
		write_bytes(w, view);
		write_end(w, view);
	} else {
		json_str(w, "state_explanation", view->state_explanation);
		write_deadline(w, view);
		write_bytes(w, view);
		json_u64(w, "idle_in_ms", view->idle_in_ms);
		json_u64(w, "idle_out_ms", view->idle_out_ms);
	}
	json_close(w);
}

int streams_write(const struct stream_list *list, bool is_history, struct text *out)
{
	struct json_writer w;

	json_begin(&w, out);
	json_open_array(&w, NULL);
	for (size_t i = 0; i < list->view_count; i++)
		write_stream(&w, &list->view_list[i], is_history);
	json_close(&w);
	return text_error(out);
}
