/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "user/base/end_reason.h"
#include "user/base/span.h"

/* The lanes of a direction; their names are used in access log, metrics and /streams. */
enum lane_id {
	LANE_COPY,
	LANE_PIPE,
	LANE_SOCKMAP,
	LANE_DIRECT,
	LANE_COUNT,
};
const char *lane_name(enum lane_id lane);

/*
 * What is known of one finished or running stream. Filled by user/stream; read by the access log, the
 * counters and /streams. Spans are borrowed during the call.
 */
struct stream_record {
	uint64_t id;
	struct span added_labels; /* of metrics, as they stand in a sample: `,a="b"`; empty: none */
	/* Each is empty if unknown. */
#define RECORD_TEXT(member, key, example) struct span member;
#include "user/obs/record_texts.def"
#undef RECORD_TEXT
	uint16_t status; /* 0: none sent */
	bool has_grpc_status;
	uint16_t grpc_status;
	uint32_t retry_attempt; /* number of the retry, 0: none */
	uint64_t delay_ms; /* injected by a delay policy; 0: none */
	uint64_t duration_ns;
	uint32_t connect_us; /* until the backend was connected; 0: a connection was reused, or none */
	uint32_t head_us; /* from the start to the final head of the backend; 0: none came */
	uint64_t bytes_in; /* payload from the client: body or tunnel */
	uint64_t bytes_out; /* payload to the client */
	enum lane_id lane_in; /* lane that moved most bytes of that direction */
	enum lane_id lane_out;
	uint64_t lane_bytes_in[LANE_COUNT];
	uint64_t lane_bytes_out[LANE_COUNT];
	enum end_reason reason;
};

/*
 * True if the request or tunnel was not served as its client wanted: a status of 5xx, a failure of the
 * backend or of the gateway, or a timer that ended it.
 */
bool stream_record_has_failed(const struct stream_record *record);

/*
 * The lanes of both directions as one word: "copy", or "copy/pipe" (from the client / to the client) if they
 * differ. A direction without bytes is ignored. Returns the length; no terminator.
 */
#define LANE_TEXT_BYTES 40
size_t lane_text(const struct stream_record *record, char out[LANE_TEXT_BYTES]);
