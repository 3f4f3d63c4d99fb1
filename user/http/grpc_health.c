/* SPDX-License-Identifier: Apache-2.0 */
#include "user/http/grpc_health.h"

#include <errno.h>
#include <limits.h>

#include "user/base/protobuf.h"

enum {
	PREFIX_BYTES = 5, /* whether it is compressed, and its length in four bytes */
	FIELD_SERVICE = 1,
	FIELD_STATUS = 1,
};

int grpc_health_request(struct buf *out, struct span service)
{
	char prefix[PREFIX_BYTES] = { 0 };
	struct protobuf_writer writer;
	size_t start = buf_len(out), len;
	int error = buf_append(out, span_of(prefix, sizeof(prefix)), BUF_MAX_BYTES);

	if (error)
		return error;
	protobuf_init(&writer, out, BUF_MAX_BYTES);
	protobuf_bytes(&writer, FIELD_SERVICE, service);
	len = buf_len(out) - start - PREFIX_BYTES;
	for (size_t i = 1; i < PREFIX_BYTES; i++)
		buf_tail(out)[-(ptrdiff_t)(len + PREFIX_BYTES - i)] =
			(char)(len >> (8 * (PREFIX_BYTES - 1 - i)));
	return writer.error;
}

static int read_message(struct span in)
{
	uint64_t status = GRPC_HEALTH_UNKNOWN; /* proto3: of a message without the field */
	struct protobuf_field field;
	int result;

	while ((result = protobuf_next(&in, &field)) > 0)
		if (protobuf_is(&field, FIELD_STATUS, PROTOBUF_VARINT))
			status = field.value;
	return result == 0 && status <= INT_MAX ? (int)status : -EBADMSG;
}

int grpc_health_response(struct span body)
{
	uint32_t len = 0;

	if (body.len < PREFIX_BYTES || body.data[0] != 0)
		return -EBADMSG;
	for (int i = 1; i < PREFIX_BYTES; i++)
		len = len << 8 | (unsigned char)body.data[i];
	if (len != body.len - PREFIX_BYTES)
		return -EBADMSG;
	return read_message(span_from(body, PREFIX_BYTES));
}
