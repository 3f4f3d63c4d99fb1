/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "config/model_frontend.h"
#include "user/base/span.h"

/* Health policies of backends: judgements of responses, checks, and when an endpoint gets no requests. */

struct expression;

/* When an endpoint is evicted, and for how long. */
struct eviction_policy {
	struct opt_duration duration; /* unset: Retry-After, the backoff of the retry policy, or 3 s */
	bool has_restore_health; /* false: its health does not change */
	uint32_t restore_health; /* per million */
	uint32_t consecutive_failures; /* 0: not configured */
	bool has_health_threshold;
	uint32_t health_threshold; /* per million */
};

/* When an endpoint is ejected, until a check of the gateway succeeds. Counts are of consecutive failures. */
struct passive_policy {
	uint64_t interval_ns; /* of the failure share */
	uint32_t gateway_errors; /* 502, 503, 504; 0: any number, like the next two */
	uint32_t server_errors; /* 5xx */
	uint32_t local_failures; /* without a response; used only if they are split from the others */
	bool splits_local;
	struct opt_duration base_ejection; /* always set; an ejection lasts this long at least */
	uint32_t most_percent; /* of the endpoints that may be ejected at a time */
	uint32_t failure_percent; /* of the outcomes in an interval; 0: any share */
	uint32_t failure_volume; /* outcomes in the interval that a share needs */
	bool always_one; /* one may be ejected, whatever most_percent is */
};

enum health_check_type {
	HEALTH_CHECK_UNSET,
	HEALTH_CHECK_HTTP,
	HEALTH_CHECK_TCP,
	HEALTH_CHECK_GRPC,
};

struct http_check {
	struct span hostname; /* empty: that of the backend */
	struct span path; /* with its query */
	struct span method;
	uint16_t *expected_list; /* statuses of a passed check; none: 200 */
	uint32_t expected_count;
	uint16_t *retriable_list; /* statuses that count like no response; others end the endpoint's health */
	uint32_t retriable_count;
	struct span expected_response; /* in the body; empty: any body */
	struct span request_body;
};

struct tcp_check {
	struct span send; /* empty: nothing */
	struct span receive; /* in what comes; empty: a connection is enough */
};

/* Requests of the gateway itself that tell whether an endpoint works. */
struct health_check {
	enum health_check_type type;
	uint64_t timeout_ns; /* of one check, with its connection */
	uint64_t interval_ns; /* from the start of a check to that of the next */
	struct opt_duration healthy_interval; /* the same while the endpoint passes; unset: interval_ns */
	struct opt_duration
		initial_jitter; /* the first check begins within it; unset: see check_first_ms() */
	uint32_t unhealthy_threshold; /* failed checks that make it unhealthy */
	uint32_t healthy_threshold; /* passed checks that make it healthy */
	bool has_http; /* as written, for the dump, like the next three; the defaults are set without them */
	bool has_tcp;
	bool has_grpc;
	bool has_overrides;
	struct http_check http;
	struct tcp_check tcp;
	struct span grpc_service; /* empty: the server as a whole */
	uint16_t port; /* 0: that of the endpoint */
};

struct health_policy {
	struct span text; /* the expression as written; empty: the default */
	const struct expression *unhealthy; /* NULL: 5xx, grpc-status other than 0 */
	bool has_eviction; /* with neither of these two, outcomes only affect the choice of endpoints */
	struct eviction_policy eviction;
	bool has_passive;
	struct passive_policy passive;
	bool has_active;
	struct health_check active;
	uint32_t panic_percent; /* usable endpoints; if fewer are, all are used; 0: if none is */
};
