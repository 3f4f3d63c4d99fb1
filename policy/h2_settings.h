/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "config/model.h"

/*
 * Settings of one HTTP/2 connection with all defaults. For a client: taken when it is accepted, from the
 * frontend policy of its bind and `config`; for a backend: taken when it is opened. In units of RFC 9113.
 */
struct h2_settings {
	uint32_t window_bytes; /* of a stream: SETTINGS_INITIAL_WINDOW_SIZE, 1..2^31-1 */
	uint32_t connection_window_bytes; /* 65535..2^31-1, because no SETTING can make it smaller (6.9.2) */
	uint32_t frame_bytes; /* SETTINGS_MAX_FRAME_SIZE, 16384..16777215 */
	uint32_t max_streams; /* concurrent streams of the peer; 0 towards backends, which open none */
	uint32_t max_head_bytes; /* name + value + 32 of each field (6.5.2) */
	uint32_t max_headers; /* fields of one head */
	/*
	 * What a peer may do per second before the connection ends with ENHANCE_YOUR_CALM, by h2_flood_kind.
	 */
	const uint32_t *floods; /* borrowed from the configuration */
	uint64_t ping_interval_ns; /* 0: no PINGs */
	/* an unanswered PING ends the connection after this time; 0 without PINGs */
	uint64_t ping_timeout_ns;
};

void h2_settings_of_client(const struct frontend_http *http, const struct static_config *config,
			   struct h2_settings *ret);
void h2_settings_of_backend(const struct static_config *config, struct h2_settings *ret);

/* True if a request goes to a backend over HTTP/2. `is_grpc_call`: its content type is application/grpc. */
bool h2_to_backend(const struct backend_ref *ref, bool is_grpc_call);
