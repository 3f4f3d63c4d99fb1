/* SPDX-License-Identifier: Apache-2.0 */
#include "user/obs/record.h"

static const char *const lane_names[LANE_COUNT] = {
	[LANE_COPY] = "copy",
	[LANE_PIPE] = "pipe",
	[LANE_SOCKMAP] = "sockmap",
	[LANE_DIRECT] = "direct",
};

const char *lane_name(enum lane_id lane)
{
	return lane_names[lane];
}

static bool is_failure(enum end_reason reason)
{
	struct span class = span_str(end_reason_class(reason));

	return end_reason_is_timer(reason) || span_eq(class, SPAN("UpstreamFailure")) ||
	       span_eq(class, SPAN("NoHealthyBackend")) || span_eq(class, SPAN("Internal"));
}

bool stream_record_has_failed(const struct stream_record *record)
{
	return record->status >= 500 || (record->reason != END_OK && is_failure(record->reason));
}

size_t lane_text(const struct stream_record *record, char out[LANE_TEXT_BYTES])
{
	struct span in = span_str(lane_names[record->lane_in]);
	struct span to_client = span_str(lane_names[record->lane_out]);

	if (record->bytes_in == 0 || record->lane_in == record->lane_out) {
		memcpy(out, to_client.data, to_client.len);
		return to_client.len;
	}
	memcpy(out, in.data, in.len);
	if (record->bytes_out == 0)
		return in.len;
	out[in.len] = '/';
	memcpy(out + in.len + 1, to_client.data, to_client.len);
	return in.len + 1 + to_client.len;
}
