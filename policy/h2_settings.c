/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/h2_settings.h"

#include "user/base/limits.h"
#include "user/base/units.h"

#define H2_WINDOW_DEFAULT 65535u /* of a connection before any WINDOW_UPDATE, RFC 9113 6.9.2 */

static uint32_t bytes_or(struct opt_u64 written, uint32_t otherwise)
{
	return written.is_set ? (uint32_t)written.value : otherwise;
}

static uint32_t larger(uint32_t a, uint32_t b)
{
	return a > b ? a : b;
}

static void set_pings(struct h2_settings *settings, struct opt_duration interval, struct opt_duration timeout)
{
	if (!interval.is_set)
		return;
	settings->ping_interval_ns = interval.ns;
	settings->ping_timeout_ns = timeout.is_set ? timeout.ns : LIMIT_H2_PING_TIMEOUT_MS * NS_PER_MS;
}

static void set_limits(struct h2_settings *settings, const struct static_config *config)
{
	settings->max_head_bytes = config->max_head_bytes;
	settings->max_headers = config->http2.max_headers;
	settings->floods = config->h2_floods;
}

void h2_settings_of_client(const struct frontend_http *http, const struct static_config *config,
			   struct h2_settings *ret)
{
	struct h2_settings settings = {
		.window_bytes = bytes_or(http->http2_window_bytes, LIMIT_H2_WINDOW_BYTES),
		.frame_bytes = bytes_or(http->http2_frame_bytes, LIMIT_H2_FRAME_BYTES),
		.max_streams = config->http2.max_concurrent_streams,
	};
	/* A stream cannot use more than the window of the connection. */
	uint32_t otherwise = larger(LIMIT_H2_CONNECTION_WINDOW_BYTES, settings.window_bytes);

	settings.connection_window_bytes =
		larger(bytes_or(http->http2_connection_window_bytes, otherwise), H2_WINDOW_DEFAULT);
	set_limits(&settings, config);
	set_pings(&settings, http->http2_keepalive_interval, http->http2_keepalive_timeout);
	*ret = settings;
}

void h2_settings_of_backend(const struct static_config *config, struct h2_settings *ret)
{
	struct h2_settings settings = {
		.window_bytes = LIMIT_H2_WINDOW_BYTES,
		.connection_window_bytes = LIMIT_H2_CONNECTION_WINDOW_BYTES,
		.frame_bytes = LIMIT_H2_FRAME_BYTES,
	};

	set_limits(&settings, config);
	set_pings(&settings, config->upstream_ping_interval, config->upstream_ping_timeout);
	*ret = settings;
}

bool h2_to_backend(const struct backend_ref *ref, bool is_grpc_call)
{
	return ref->http_version == BACKEND_HTTP2 || (ref->http_version == BACKEND_HTTP_AUTO && is_grpc_call);
}
