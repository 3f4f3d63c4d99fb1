/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/* Part of config/model.h: settings of client connections. */

struct opt_duration {
	bool is_set;
	uint64_t ns;
};

struct opt_u64 {
	bool is_set;
	uint64_t value;
};

/* For client and backend sockets. The dump has all four members. */
struct keepalive_policy {
	bool enabled;
	uint64_t time_ns;
	uint64_t interval_ns;
	uint32_t retries;
};

/* 0 in these five: not configured. */
enum normalize_path {
	NORMALIZE_FULL = 1,
	NORMALIZE_KEEP_SLASHES,
	NORMALIZE_OFF,
};

enum escaped_slashes {
	ESCAPED_REJECT = 1,
	ESCAPED_KEEP,
	ESCAPED_DECODE,
};

enum semicolons {
	SEMICOLONS_KEEP = 1,
	SEMICOLONS_STRIP,
	SEMICOLONS_REJECT,
};

enum underscores {
	UNDERSCORES_KEEP = 1,
	UNDERSCORES_DROP,
	UNDERSCORES_REJECT,
};

enum trace_method {
	TRACE_METHOD_DENY = 1, /* 405 */
	TRACE_METHOD_FORWARD,
};

enum half_close {
	HALF_CLOSE_END = 1, /* a client that closes its side has given up its request */
	HALF_CLOSE_KEEP,
};

/* frontend http: always complete, with defaults. */
struct frontend_http {
	uint64_t max_buffer_bytes;
	struct opt_u64 http1_max_headers; /* unset: max_headers of `config` */
	uint64_t http1_idle_timeout_ns;
	/* True if the configuration sets the member, false if it has the default. */
	bool sets_max_buffer;
	bool sets_http1_idle_timeout;
	struct opt_u64 http2_window_bytes;
	struct opt_u64 http2_connection_window_bytes;
	struct opt_u64 http2_frame_bytes;
	struct opt_duration http2_keepalive_interval;
	struct opt_duration http2_keepalive_timeout;
	enum normalize_path normalize_path;
	enum escaped_slashes escaped_slashes;
	enum semicolons semicolons;
	enum trace_method trace;
	enum underscores underscores;
	enum half_close half_close;
};

/* The members that are read per request, when its listener is known. */
struct request_rules {
	enum normalize_path normalize_path;
	enum escaped_slashes escaped_slashes;
	enum semicolons semicolons;
	enum trace_method trace;
	enum underscores underscores;
	enum half_close half_close;
};

struct frontend_tcp {
	struct keepalive_policy keepalives;
};

enum connect_mode {
	CONNECT_DENY, /* 405 */
	CONNECT_ROUTE, /* a tunnel to the backend of the route */
};

struct frontend_connect {
	enum connect_mode mode;
};

/* Of PROXY headers: sums of PROXY_HEADER_V1 and PROXY_HEADER_V2 (user/net/proxy_header.h). */
enum proxy_versions {
	PROXY_VERSION_1 = 1,
	PROXY_VERSION_2,
	PROXY_VERSION_ALL,
};

enum proxy_mode {
	PROXY_STRICT, /* the gateway resets connections without a header, and those of untrusted peers */
	PROXY_OPTIONAL, /* the gateway serves such connections under the address of the peer */
};

/* Connections begin with a header of the PROXY protocol. */
struct frontend_proxy {
	enum proxy_versions version;
	enum proxy_mode mode;
};
