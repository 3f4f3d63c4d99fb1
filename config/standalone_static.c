/* SPDX-License-Identifier: Apache-2.0 */
#include "config/standalone_static.h"

#include <unistd.h>

#include "config/values.h"
#include "user/base/check.h"
#include "user/base/limits.h"

#define NS_PER_MS 1000000ull
#define NS_PER_S 1000000000ull

/* "ip:port", "localhost:port", "unix:/path" or "off". */
static void decode_address(struct decoder *d, const struct yaml_node *node, struct span *ret)
{
	struct address address;
	struct span s, port;
	uint64_t number;

	if (!decode_string(d, node, &s))
		return;
	port = span_starts(s, SPAN("localhost:")) ? span_from(s, 10) : (struct span){ 0 };
	if (!span_eq(s, SPAN("off")) && address_parse(s, &address) < 0 &&
	    (span_parse_u63(port, &number) < 0 || number < 1 || number > UINT16_MAX)) {
		config_error(d->report, node,
			     "%s is not a listening address; write ip:port, [ip]:port, localhost:port, "
			     "unix:/path or off",
			     QUOTE(s));
		return;
	}
	s = decode_keep(d, s);
	if (s.data)
		*ret = s;
}

/* A number, or "N%" of the processors of this machine, at least one. */
static void decode_workers(struct decoder *d, const struct yaml_node *node, uint32_t *ret)
{
	uint64_t percent;
	long processors;

	if (!node)
		return;
	if (node->kind != YAML_SCALAR || !span_ends(node->text, SPAN("%"))) {
		decode_u32(d, node, 1, LIMIT_WORKERS, ret);
		return;
	}
	if (span_parse_u63(span_first(node->text, node->text.len - 1), &percent) < 0 || percent < 1 ||
	    percent > 100) {
		config_error(
			d->report, node,
			"%s is not a share of the processors; write 1%% to 100%%, or a number of threads",
			QUOTE(node->text));
		return;
	}
	processors = sysconf(_SC_NPROCESSORS_ONLN);
	if (processors < 1)
		processors = 1;
	if (processors > LIMIT_WORKERS)
		processors = LIMIT_WORKERS;
	*ret = (uint32_t)((uint64_t)processors * percent / 100);
	if (*ret == 0)
		*ret = 1;
}

static void decode_backend(struct decoder *d, const struct yaml_node *node, struct static_config *config)
{
	static const struct decode_key keys[] = {
		KEY("keepalives"),
		KEY("connectTimeout"),
		KEY("poolIdleTimeout"),
		KEY("poolMaxSize"),
		KEY("http2KeepaliveInterval"),
		KEY("http2KeepaliveTimeout"),
	};
	const struct yaml_node *ping_timeout = decode_get(node, "http2KeepaliveTimeout");
	bool is_object;

	if (!DECODE_MAP(d, node, keys))
		return;
	value_keepalive(d, decode_get(node, "keepalives"), &config->upstream_keepalives);
	value_connect_timeout(d, decode_get(node, "connectTimeout"), NS_PER_MS, &config->connect_timeout_ns,
			      &is_object);
	decode_duration(d, decode_get(node, "poolIdleTimeout"), NS_PER_MS, &config->pool_idle_ns);
	decode_opt_u64(d, decode_get(node, "poolMaxSize"), 0, 1000000, &config->pool_max_size);
	decode_opt_duration(d, decode_get(node, "http2KeepaliveInterval"), NS_PER_MS,
			    &config->upstream_ping_interval);
	decode_opt_duration(d, ping_timeout, NS_PER_MS, &config->upstream_ping_timeout);
	if (ping_timeout && !decode_get(node, "http2KeepaliveInterval"))
		config_error(d->report, ping_timeout,
			     "is how long a PING may stay unanswered, and none is sent; write "
			     "http2KeepaliveInterval too");
}

static void decode_logging(struct decoder *d, const struct yaml_node *node, struct static_config *config)
{
	static const char *const levels[] = { "error", "warn", "info", "debug" };
	static const char *const formats[] = KEY_REFUSED("text", "json");
	static const struct decode_key keys[] = {
		KEY("level"), KEY("format"), KEY("accessLog"), KEY_LATER("filter"), KEY_LATER("fields"),
	};
	unsigned index;

	if (!DECODE_MAP(d, node, keys))
		return;
	if (DECODE_WORD(d, decode_get(node, "level"), levels, &index))
		config->log_level = span_str(levels[index]);
	if (DECODE_WORD(d, decode_get(node, "format"), formats, &index))
		config->log_format = span_str(formats[index]);
	decode_bool(d, decode_get(node, "accessLog"), &config->access_log);
}

static void decode_timeouts(struct decoder *d, const struct yaml_node *node, struct timeouts_config *timeouts)
{
	static const struct decode_key keys[] = {
		KEY("streamIdle"),	KEY("tunnelIdle"),	 KEY("halfClosed"),
		KEY("clientHeaderMin"), KEY("maxConnectionAge"), KEY("maxConnectionAgeJitter"),
	};
	const struct yaml_node *jitter;

	if (!DECODE_MAP(d, node, keys))
		return;
	decode_duration(d, decode_get(node, "streamIdle"), 0, &timeouts->stream_idle_ns);
	decode_duration(d, decode_get(node, "tunnelIdle"), 0, &timeouts->tunnel_idle_ns);
	decode_duration(d, decode_get(node, "halfClosed"), 0, &timeouts->half_closed_ns);
	decode_duration(d, decode_get(node, "clientHeaderMin"), 0, &timeouts->client_header_min_ns);
	decode_duration(d, decode_get(node, "maxConnectionAge"), 0, &timeouts->max_connection_age_ns);
	jitter = decode_get(node, "maxConnectionAgeJitter");
	decode_duration(d, jitter, 0, &timeouts->max_connection_age_jitter_ns);
	if (timeouts->max_connection_age_jitter_ns && !timeouts->max_connection_age_ns)
		config_error(d->report, jitter,
			     "maxConnectionAgeJitter varies maxConnectionAge; set that too");
}

static void decode_lanes(struct decoder *d, const struct yaml_node *node, struct splice_config *splice)
{
	static const char *const lanes[] = { "pipe", "sockmap", "near", "direct" };
	bool is_on[ARRAY_LEN(lanes)] = { false };
	unsigned index;

	if (!decode_list(d, node))
		return;
	yaml_each(child, node)
		if (DECODE_WORD(d, child, lanes, &index))
			is_on[index] = true;
	splice->lane_pipe = is_on[0];
	splice->lane_sockmap = is_on[1];
	splice->lane_near = is_on[2];
	splice->lane_direct = is_on[3];
}

static void decode_splice(struct decoder *d, const struct yaml_node *node, struct splice_config *splice)
{
	static const char *const modes[] = { "auto", "off", "require" };
	static const enum splice_mode mode_of[] = { SPLICE_AUTO, SPLICE_OFF, SPLICE_REQUIRE };
	static const struct decode_key keys[] = {
		KEY("mode"), KEY("minBodyBytes"), KEY("creditBytes"), KEY("maxTotalCredit"), KEY("lanes"),
		KEY("adaptive"), KEY("pinDir"),	  KEY("force"),
	};
	unsigned index;

	if (!DECODE_MAP(d, node, keys))
		return;
	if (DECODE_WORD(d, decode_get(node, "mode"), modes, &index))
		splice->mode = mode_of[index];
	decode_u64(d, decode_get(node, "minBodyBytes"), 0, INT64_MAX, &splice->min_body_bytes);
	decode_u64(d, decode_get(node, "creditBytes"), 65536, 1ull << 30, &splice->credit_bytes);
	decode_u64(d, decode_get(node, "maxTotalCredit"), 65536, INT64_MAX, &splice->max_total_credit_bytes);
	decode_lanes(d, decode_get(node, "lanes"), splice);
	decode_bool(d, decode_get(node, "adaptive"), &splice->adaptive);
	decode_name(d, decode_get(node, "pinDir"), &splice->pin_dir);
	decode_bool(d, decode_get(node, "force"), &splice->force);
	if (splice->force && !splice->lane_near && !splice->lane_direct)
		config_error(d->report, decode_get(node, "force"),
			     "is about the lanes near and direct only; add them to lanes, or remove it");
	if (splice->max_total_credit_bytes < splice->credit_bytes)
		config_error(
			d->report, node,
			"maxTotalCredit (%llu) is less than creditBytes (%llu): no stream could be spliced",
			(unsigned long long)splice->max_total_credit_bytes,
			(unsigned long long)splice->credit_bytes);
	if (splice->mode == SPLICE_REQUIRE && !splice->lane_sockmap && !splice->lane_near &&
	    !splice->lane_direct)
		config_error(
			d->report, node,
			"mode require is about the kernel programs, and none of the lanes listed uses them: "
			"write lanes: [pipe, sockmap], or mode: auto");
}

static void decode_limits(struct decoder *d, const struct yaml_node *node, struct static_config *config)
{
	static const struct decode_key keys[] = {
		KEY("maxConnections"),
		KEY("requestLineBytes"),
		KEY("headBytes"),
		KEY("headers"),
	};

	if (!DECODE_MAP(d, node, keys))
		return;
	decode_u64(d, decode_get(node, "maxConnections"), 1, LIMIT_CONNECTIONS, &config->max_connections);
	decode_u32(d, decode_get(node, "requestLineBytes"), 128, LIMIT_REQUEST_LINE_BYTES,
		   &config->max_request_line_bytes);
	decode_u32(d, decode_get(node, "headBytes"), 512, LIMIT_HEAD_BYTES, &config->max_head_bytes);
	decode_u32(d, decode_get(node, "headers"), 8, LIMIT_HEADERS, &config->max_headers);
	if (config->max_request_line_bytes > config->max_head_bytes)
		config->max_request_line_bytes = config->max_head_bytes;
}

static void decode_http2(struct decoder *d, const struct yaml_node *node, struct http2_config *http2)
{
	static const struct decode_key keys[] = {
		KEY("maxConcurrentStreams"),
		KEY("headers"),
		KEY("resetsPerSecond"),
		KEY("glitchesPerSecond"),
		KEY("stallTimeout"),
	};

	if (!DECODE_MAP(d, node, keys))
		return;
	decode_u32(d, decode_get(node, "maxConcurrentStreams"), 1, LIMIT_H2_STREAMS_MAX,
		   &http2->max_concurrent_streams);
	decode_u32(d, decode_get(node, "headers"), 8, LIMIT_H2_HEADERS, &http2->max_headers);
	decode_u32(d, decode_get(node, "resetsPerSecond"), 1, 1000000, &http2->resets_per_second);
	decode_u32(d, decode_get(node, "glitchesPerSecond"), 1, 1000000, &http2->glitches_per_second);
	decode_duration(d, decode_get(node, "stallTimeout"), 0, &http2->stall_ns);
}

static void decode_forwarded(struct decoder *d, const struct yaml_node *node, struct static_config *config)
{
	static const char *const modes[] = KEY_REFUSED("append", "off");
	static const enum forwarded_mode mode_of[] = { FORWARDED_APPEND, FORWARDED_OFF };
	static const struct decode_key keys[] = { KEY("mode"), KEY("trusted") };
	const struct yaml_node *trusted;
	struct cidr *list;
	unsigned index;

	if (!DECODE_MAP(d, node, keys))
		return;
	if (DECODE_WORD(d, decode_get(node, "mode"), modes, &index))
		config->forwarded = mode_of[index];
	trusted = decode_get(node, "trusted");
	if (!decode_list(d, trusted))
		return;
	list = decode_take(d, trusted->count, sizeof(*list));
	if (!list)
		return;
	config->trusted_list = list;
	config->trusted_count = 0;
	yaml_each(child, trusted)
		if (value_cidr(d, child, &list[config->trusted_count]))
			config->trusted_count++;
}

static void decode_retry(struct decoder *d, const struct yaml_node *node, struct retry_config *retry)
{
	static const struct decode_key keys[] = {
		KEY("honorRetryAfter"), KEY("retryAfterMax"), KEY("fullJitter"),
		KEY("budgetPercent"),	KEY("budgetMin"),
	};

	if (!DECODE_MAP(d, node, keys))
		return;
	decode_bool(d, decode_get(node, "honorRetryAfter"), &retry->honor_retry_after);
	decode_duration(d, decode_get(node, "retryAfterMax"), 0, &retry->retry_after_max_ns);
	decode_bool(d, decode_get(node, "fullJitter"), &retry->full_jitter);
	decode_u32(d, decode_get(node, "budgetPercent"), 0, 100, &retry->budget_percent);
	decode_u32(d, decode_get(node, "budgetMin"), 0, 1000000, &retry->budget_min);
}

static void decode_dns(struct decoder *d, const struct yaml_node *node, struct static_config *config)
{
	static const struct decode_key keys[] = { KEY("refresh"), KEY_LATER("lookupFamily"),
						  KEY_LATER("edns0") };

	if (DECODE_MAP(d, node, keys))
		decode_duration(d, decode_get(node, "refresh"), NS_PER_S, &config->dns_refresh_ns);
}

static void decode_termination(struct decoder *d, const struct yaml_node *node, struct static_config *config)
{
	const struct yaml_node *least = decode_get(node, "connectionMinTerminationDeadline");
	const struct yaml_node *most = decode_get(node, "connectionTerminationDeadline");

	decode_duration(d, least, 0, &config->termination_min_ns);
	decode_duration(d, most, 0, &config->termination_max_ns);
	if (config->termination_min_ns > config->termination_max_ns)
		config_error(d->report, least,
			     "connectionMinTerminationDeadline is longer than connectionTerminationDeadline; "
			     "raise the latter%s",
			     most ? "" : ", which is 5s when not set");
}

void standalone_static(struct decoder *d, const struct yaml_node *node, struct static_config *config)
{
	static const struct decode_key keys[] = {
		KEY("adminAddr"),
		KEY("statsAddr"),
		KEY("readinessAddr"),
		KEY("enableIpv6"),
		KEY("workerThreads"),
		KEY("connectionTerminationDeadline"),
		KEY("connectionMinTerminationDeadline"),
		KEY("backend"),
		KEY("logging"),
		KEY("dns"),
		KEY("timeouts"),
		KEY("splice"),
		KEY("limits"),
		KEY("http2"),
		KEY("forwarded"),
		KEY("via"),
		KEY("retry"),
		KEY("exposeCloseReason"),
		KEY("userTimeout"),
		KEY_REFUSED("listener", "has been removed; move it to frontendPolicies"),
		KEY_LATER("metrics"),
		KEY_LATER("tracing"),
		KEY_LATER("session"),
		KEY_LATER("hbone"),
		KEY_LATER("network"),
		KEY_LATER("namespace"),
		KEY_LATER("gateway"),
		KEY_LATER("clusterId"),
		KEY_LATER("serviceAccount"),
		KEY_LATER("trustDomain"),
		KEY_LATER("localXdsPath"),
		KEY_LATER("xdsAddress"),
		KEY_LATER("xdsAuthToken"),
		KEY_LATER("xdsRootCert"),
		KEY_LATER("caAddress"),
		KEY_LATER("caAuthToken"),
		KEY_LATER("caRootCert"),
	};

	if (!DECODE_MAP(d, node, keys))
		return;
	decode_address(d, decode_get(node, "adminAddr"), &config->admin_addr);
	decode_address(d, decode_get(node, "statsAddr"), &config->stats_addr);
	decode_address(d, decode_get(node, "readinessAddr"), &config->readiness_addr);
	decode_bool(d, decode_get(node, "enableIpv6"), &config->ipv6_enabled);
	decode_workers(d, decode_get(node, "workerThreads"), &config->worker_threads);
	decode_termination(d, node, config);
	decode_backend(d, decode_get(node, "backend"), config);
	decode_logging(d, decode_get(node, "logging"), config);
	decode_dns(d, decode_get(node, "dns"), config);
	decode_timeouts(d, decode_get(node, "timeouts"), &config->timeouts);
	decode_splice(d, decode_get(node, "splice"), &config->splice);
	decode_limits(d, decode_get(node, "limits"), config);
	decode_http2(d, decode_get(node, "http2"), &config->http2);
	decode_forwarded(d, decode_get(node, "forwarded"), config);
	decode_bool(d, decode_get(node, "via"), &config->via);
	decode_retry(d, decode_get(node, "retry"), &config->retry);
	decode_bool(d, decode_get(node, "exposeCloseReason"), &config->expose_close_reason);
	decode_bool(d, decode_get(node, "userTimeout"), &config->user_timeout);
}
