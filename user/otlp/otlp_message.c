/* SPDX-License-Identifier: Apache-2.0 */
#include "user/otlp/otlp_message.h"

#include "gen/version.h"
#include "user/base/limits.h"
#include "user/base/protobuf.h"
#include "user/otlp/otlp_writer.h"

enum {
	/* Of the request, ResourceSpans and ScopeSpans, and of those for logs. */
	RESOURCE_RECORDS = 1,
	RESOURCE = 1,
	SCOPE_RECORDS = 2,
	SCOPE = 1,
	RECORDS = 2,
	ATTRIBUTES = 1, /* of Resource */
	SCOPE_NAME = 1,
	SCOPE_VERSION = 2,
	PARTIAL_SUCCESS = 1, /* of the response */
	REJECTED = 1, /* of it */
	/* What surrounds records, but for the resource: tags and lengths. */
	FRAME_BYTES = 128,
	RECORD_FRAME_BYTES = 16, /* the same of one record */
};

struct span otlp_method(enum otlp_signal signal)
{
	static const struct span methods[OTLP_SIGNAL_COUNT] = {
#define OTLP_SIGNAL(id, name, records, method) { method, sizeof(method) - 1 },
#include "user/base/otlp_signals.def"
#undef OTLP_SIGNAL
	};

	return methods[signal];
}

bool otlp_has_room(const struct buf *records)
{
	return buf_len(records) + LIMIT_OTLP_RECORD_BYTES + RECORD_FRAME_BYTES <= LIMIT_EXPORT_BATCH_BYTES;
}

int otlp_append_record(struct buf *records, struct span record)
{
	struct protobuf_writer writer;
	int error = buf_reserve(records, record.len + RECORD_FRAME_BYTES, LIMIT_EXPORT_BATCH_BYTES);

	/* First, so that no part of a record stays behind. */
	if (error)
		return error;
	protobuf_init(&writer, records, LIMIT_EXPORT_BATCH_BYTES);
	protobuf_bytes(&writer, RECORDS, record);
	return writer.error;
}

int otlp_write_message(struct buf *out, const struct otlp_target *target, struct span records)
{
	char memory[LIMIT_OTLP_RECORD_BYTES];
	struct protobuf_writer writer;
	struct otlp_writer resource;

	otlp_init(&resource, memory, sizeof(memory));
	for (uint32_t i = 0; i < target->resource_count; i++)
		otlp_value_attribute(&resource, ATTRIBUTES, target->resource_list[i].name,
				     target->resource_list[i].value);
	protobuf_init(&writer, out, resource.len + records.len + FRAME_BYTES);
	protobuf_open(&writer, RESOURCE_RECORDS);
	protobuf_bytes(&writer, RESOURCE, otlp_span(&resource));
	protobuf_open(&writer, SCOPE_RECORDS);
	protobuf_open(&writer, SCOPE);
	protobuf_bytes(&writer, SCOPE_NAME, SPAN("headgate"));
	protobuf_bytes(&writer, SCOPE_VERSION, SPAN(HEADGATE_VERSION));
	protobuf_close(&writer);
	protobuf_fields(&writer, records);
	protobuf_close(&writer);
	protobuf_close(&writer);
	return writer.error;
}

uint64_t otlp_rejected(struct span response)
{
	struct protobuf_field field, inner;
	uint64_t rejected = 0;

	while (protobuf_next(&response, &field) > 0) {
		struct span rest = field.bytes;

		if (!protobuf_is(&field, PARTIAL_SUCCESS, PROTOBUF_LEN))
			continue;
		while (protobuf_next(&rest, &inner) > 0)
			if (protobuf_is(&inner, REJECTED, PROTOBUF_VARINT))
				rejected = inner.value;
	}
	return rejected;
}
