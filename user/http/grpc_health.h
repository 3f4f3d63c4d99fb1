/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "user/base/buf.h"

/*
 * The two messages of grpc.health.v1.Health/Check (the gRPC health checking protocol) with the prefix that
 * each message of gRPC has: HealthCheckRequest {string service = 1}, HealthCheckResponse {ServingStatus
 * status = 1}.
 */
enum grpc_health {
	GRPC_HEALTH_UNKNOWN = 0,
	GRPC_HEALTH_SERVING = 1,
	GRPC_HEALTH_NOT_SERVING = 2,
	GRPC_HEALTH_SERVICE_UNKNOWN = 3,
};

#define GRPC_HEALTH_PATH "/grpc.health.v1.Health/Check"

/* Appends the request. 0, -ENOMEM. */
int grpc_health_request(struct buf *out, struct span service);
/* The status in a complete body with one message: 0 and more, or -EBADMSG. */
int grpc_health_response(struct span body);
