/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "user/http/fields.h"

/*
 * The parts of gRPC that a gateway needs: how to recognise a call, and how to express our own responses (the
 * gRPC over HTTP/2 protocol: Responses, and "HTTP to gRPC Status Code Mapping").
 */
enum grpc_status {
	GRPC_OK = 0,
	GRPC_UNKNOWN = 2,
	GRPC_DEADLINE_EXCEEDED = 4,
	GRPC_PERMISSION_DENIED = 7,
	GRPC_UNIMPLEMENTED = 12,
	GRPC_INTERNAL = 13,
	GRPC_UNAVAILABLE = 14,
	GRPC_UNAUTHENTICATED = 16,
};

/* The text of a message; clients take a few KiB of metadata, and each byte may become three. */
enum { GRPC_MESSAGE_BYTES = 1024 };

/* Content-Type "application/grpc", alone or with "+proto" or parameters. gRPC-Web is plain HTTP here. */
bool grpc_is_call(const struct fields *request);
/* The status for our own errors. A timeout is UNAVAILABLE, as in the documented mapping. */
enum grpc_status grpc_status_of_http(uint16_t status);
/*
 * Adds the fields of a trailers-only response: content-type, grpc-status, grpc-message with the beginning of
 * `text` percent-encoded. Use it with status 200 and no body. 0 or -ENOMEM.
 */
int grpc_answer(struct fields *fields, enum grpc_status status, struct span text);
/* The grpc-status of a header or trailer section: 0..999, or -1 without a valid one. */
int grpc_status_read(const struct fields *fields);
