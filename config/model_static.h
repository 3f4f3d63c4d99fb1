/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "config/model_frontend.h"
#include "config/model_mcp.h"
#include "config/model_otlp.h"
#include "user/base/h2_flood_kind.h"
#include "user/base/span.h"
#include "user/net/address.h"

/* The section `config` of a file: settings of the process. Part of the snapshot (config/model.h). */

struct timeouts_config {
	/* timers of this gateway; 0: off */
	uint64_t stream_idle_ns; /* no byte in either direction of a body */
	uint64_t tunnel_idle_ns; /* upgraded and TCP streams */
	uint64_t half_closed_ns; /* tunnel with one side closed */
	uint64_t client_header_min_ns; /* from the start of a head until it is complete */
	uint64_t client_body_stall_ns; /* no byte of a request body while the gateway waits for it */
	uint64_t client_read_stall_ns; /* an HTTP/1 client reads no byte of a waiting response */
	uint64_t max_connection_age_ns;
	uint64_t max_connection_age_jitter_ns;
};

enum splice_mode {
	SPLICE_AUTO,
	SPLICE_OFF,
	SPLICE_REQUIRE,
};

struct splice_config {
	enum splice_mode mode;
	uint64_t min_body_bytes;
	uint64_t credit_bytes;
	uint64_t max_total_credit_bytes;
	bool lane_pipe;
	bool lane_sockmap;
	/* opt-in, also required at the listener and the backend: is_same_host; it includes lane_bypass */
	bool lane_direct;
	bool lane_bypass; /* opt-in, also required at the listener or the backend for its connections */
	bool force; /* use both also on kernels with a known fault */
	/* bodies of unknown length and tunnels move to the kernel if their rate makes it worthwhile */
	bool adaptive;
	struct span pin_dir; /* pins of `headgate bpf load`; empty: load at start */
};

/* True if connections may bypass TCP: the programs of user/kernel/local are needed. */
static inline bool splice_bypasses(const struct splice_config *splice)
{
	return splice->mode != SPLICE_OFF && (splice->lane_direct || splice->lane_bypass);
}

enum forwarded_mode {
	FORWARDED_APPEND, /* keep and extend a trusted peer's fields; replace those of others */
	FORWARDED_OFF,
};

struct cidr {
	struct address network;
	uint8_t prefix_bits;
};

struct retry_config {
	bool honor_retry_after;
	uint64_t retry_after_max_ns;
	bool full_jitter;
	uint32_t budget_percent; /* of requests in flight; 0: no budget */
	uint32_t budget_min; /* retries always allowed concurrently */
};

/* Limits of an HTTP/2 connection of a client. */
struct http2_config {
	uint32_t max_concurrent_streams;
	uint32_t max_headers; /* fields of one head; its bytes: max_head_bytes */
	uint64_t idle_ns; /* without streams and PINGs; 0: no limit */
	uint64_t stall_ns; /* a response waits for window; 0: no limit */
};

/* Which addresses of names are used. */
enum dns_family {
	DNS_AUTO, /* all, or IPv4 without IPv6 */
	DNS_ALL,
	DNS_V4_PREFERRED,
	DNS_V4_ONLY,
	DNS_V6_ONLY,
};

struct basic_auth_policy; /* config/model_auth.h */
struct api_key_policy;

/* The section `config`. Keys, ranges and defaults: config/standalone/static.c. */
struct static_config {
	struct span admin_addr; /* "localhost:port" | "ip:port" | "unix:/path" | "off" */
	struct span stats_addr;
	struct span readiness_addr;
	/* Who may use the admin port from another host; both NULL: nobody may change anything from there. */
	const struct basic_auth_policy *admin_basic;
	const struct api_key_policy *admin_key;
	struct span admin_auth; /* which of them, for the dump; empty: none */
	bool has_session;
	struct span session_key; /* "<redacted>" if one is configured: struct snapshot has it */
	struct span zone; /* of this gateway; empty: unknown */
	bool ipv6_enabled;
	uint32_t worker_threads; /* 0: one per core */
	uint64_t termination_min_ns; /* connectionMinTerminationDeadline */
	uint64_t termination_max_ns; /* connectionTerminationDeadline */
	struct keepalive_policy upstream_keepalives;
	uint64_t connect_timeout_ns;
	uint64_t pool_idle_ns;
	struct opt_u64 pool_max_size;
	struct opt_duration upstream_ping_interval; /* backend.http2KeepaliveInterval; unset: no PINGs */
	struct opt_duration upstream_ping_timeout;
	uint64_t dns_refresh_ns;
	enum dns_family dns_family;
	bool dns_has_edns0; /* false: that of resolv.conf(5) */
	bool dns_edns0_is_on;
	struct timeouts_config timeouts;
	struct splice_config splice;
	struct http2_config http2;
	struct retry_config retry;
	bool via; /* add Via */
	enum forwarded_mode forwarded;
	struct cidr *trusted_list; /* peers whose X-Forwarded-* are kept */
	uint32_t trusted_count;
	struct cidr *proxy_trusted_list; /* peers whose PROXY headers are believed */
	uint32_t proxy_trusted_count;
	uint64_t max_connections;
	/* 0, also in the previous member: derived from the descriptor limit (user/gateway/resources.h). */
	uint64_t connections_per_client;
	uint64_t requests_per_client;
	uint64_t connections_per_backend;
	uint64_t regex_steps; /* per request; 0: derived from the expressions of the listener */
	uint64_t connection_head_bytes; /* of the running requests of an HTTP/2 connection */
	uint64_t worker_head_bytes; /* of all connections of a worker */
	uint32_t h2_floods[H2_FLOOD_COUNT]; /* per second */
	uint32_t max_request_line_bytes;
	uint32_t max_head_bytes;
	uint32_t max_headers; /* if http1MaxHeaders is not set */
	/* add the response header x-headgate-close-reason to error responses of the gateway */
	bool expose_close_reason;
	bool user_timeout; /* TCP_USER_TIMEOUT = time + interval x retries */
	struct span log_level; /* empty: not configured */
	struct span log_format; /* empty: not configured */
	bool access_log;
	bool has_tracing;
	struct tracing_policy tracing; /* if frontendPolicies has none */
	uint64_t mcp_session_ttl_ns; /* of an unused session; 0: no limit */
	/* of a session whose client sends nothing after initialize; 0: no limit */
	uint64_t mcp_uninitialized_ttl_ns;
	uint64_t mcp_initialize_ns; /* time for targets to answer initialize; 0: no limit */
	struct mcp_limits mcp_limits;
};
