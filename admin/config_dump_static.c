/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/config_dump_static.h"

#include <stdio.h>

#include "admin/config_dump_policy.h"
#include "gen/version.h"
#include "user/base/log.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define BUILD_PROFILE "sanitizer"
#elif defined(__OPTIMIZE__)
#define BUILD_PROFILE "release"
#else
#define BUILD_PROFILE "debug"
#endif

#if defined(__x86_64__)
#define BUILD_MACHINE "x86_64"
#elif defined(__aarch64__)
#define BUILD_MACHINE "aarch64"
#elif defined(__riscv)
#define BUILD_MACHINE "riscv64"
#else
#define BUILD_MACHINE "unknown"
#endif

/* "0.1.0+g1a2b3c4" carries its commit; a tagged build or a plain export does not. */
static void dump_revision(struct json_writer *w)
{
	const char *at = strstr(HEADGATE_VERSION, "+g");

	json_str(w, "git_revision", at ? at + 2 : "unknown");
}

void dump_version(struct json_writer *w)
{
	json_open_object(w, "version");
	json_str(w, "version", HEADGATE_VERSION);
	dump_revision(w);
	json_null(w, "rust_version");
	json_str(w, "build_profile", BUILD_PROFILE);
	json_str(w, "build_target", BUILD_MACHINE "-linux-gnu");
	json_str(w, "compiler", __VERSION__);
	json_close(w);
}

static void dump_backend(struct json_writer *w, const struct static_config *config)
{
	json_open_object(w, "backend");
	dump_keepalive(w, "keepalives", &config->upstream_keepalives);
	json_duration(w, "connectTimeout", config->connect_timeout_ns);
	json_duration(w, "poolIdleTimeout", config->pool_idle_ns);
	if (config->pool_max_size.is_set)
		json_u64(w, "poolMaxSize", config->pool_max_size.value);
	else
		json_null(w, "poolMaxSize");
	/* Ours: shown only where an operator wrote it. */
	dump_set_duration(w, "http2KeepaliveInterval", config->upstream_ping_interval);
	dump_set_duration(w, "http2KeepaliveTimeout", config->upstream_ping_timeout);
	json_close(w);
}

/* As in force: an operator may have changed the level since. */
static void dump_logging(struct json_writer *w, const struct static_config *config)
{
	json_open_object(w, "logging");
	json_str(w, "level", log_level_name(log_get_level()));
	json_str(w, "format", log_get_format() == LOG_JSON ? "json" : "text");
	json_bool(w, "accessLog", config->access_log);
	json_close(w);
}

static void dump_timeouts(struct json_writer *w, const struct timeouts_config *timeouts)
{
	json_open_object(w, "timeouts");
	json_duration(w, "streamIdle", timeouts->stream_idle_ns);
	json_duration(w, "tunnelIdle", timeouts->tunnel_idle_ns);
	json_duration(w, "halfClosed", timeouts->half_closed_ns);
	json_duration(w, "clientHeaderMin", timeouts->client_header_min_ns);
	json_duration(w, "maxConnectionAge", timeouts->max_connection_age_ns);
	json_duration(w, "maxConnectionAgeJitter", timeouts->max_connection_age_jitter_ns);
	json_close(w);
}

static void dump_splice(struct json_writer *w, const struct splice_config *splice)
{
	static const char *const modes[] = {
		[SPLICE_AUTO] = "auto",
		[SPLICE_OFF] = "off",
		[SPLICE_REQUIRE] = "require",
	};

	json_open_object(w, "splice");
	json_str(w, "mode", modes[splice->mode]);
	json_u64(w, "minBodyBytes", splice->min_body_bytes);
	json_u64(w, "creditBytes", splice->credit_bytes);
	json_u64(w, "maxTotalCredit", splice->max_total_credit_bytes);
	json_open_array(w, "lanes");
	if (splice->lane_pipe)
		json_str(w, NULL, "pipe");
	if (splice->lane_sockmap)
		json_str(w, NULL, "sockmap");
	if (splice->lane_near)
		json_str(w, NULL, "near");
	if (splice->lane_direct)
		json_str(w, NULL, "direct");
	json_close(w);
	json_bool(w, "adaptive", splice->adaptive);
	if (splice->force)
		json_bool(w, "force", true);
	if (splice->pin_dir.len)
		json_string(w, "pinDir", splice->pin_dir);
	json_close(w);
}

static void dump_limits(struct json_writer *w, const struct static_config *config)
{
	json_open_object(w, "limits");
	json_u64(w, "maxConnections", config->max_connections);
	json_u64(w, "requestLineBytes", config->max_request_line_bytes);
	json_u64(w, "headBytes", config->max_head_bytes);
	json_u64(w, "headers", config->max_headers);
	json_close(w);
}

static void dump_http2(struct json_writer *w, const struct http2_config *http2)
{
	json_open_object(w, "http2");
	json_u64(w, "maxConcurrentStreams", http2->max_concurrent_streams);
	json_u64(w, "headers", http2->max_headers);
	json_u64(w, "resetsPerSecond", http2->resets_per_second);
	json_u64(w, "glitchesPerSecond", http2->glitches_per_second);
	json_duration(w, "stallTimeout", http2->stall_ns);
	json_close(w);
}

static void dump_forwarded(struct json_writer *w, const struct static_config *config)
{
	char text[ADDRESS_TEXT_BYTES + sizeof("/128")];

	json_open_object(w, "forwarded");
	json_str(w, "mode", config->forwarded == FORWARDED_OFF ? "off" : "append");
	json_open_array(w, "trusted");
	for (uint32_t i = 0; i < config->trusted_count; i++) {
		const struct cidr *cidr = &config->trusted_list[i];
		size_t len = address_host_text(&cidr->network, text);

		len += (size_t)snprintf(text + len, sizeof(text) - len, "/%u", cidr->prefix_bits);
		json_string(w, NULL, span_of(text, len));
	}
	json_close(w);
	json_close(w);
}

static void dump_retry_config(struct json_writer *w, const struct retry_config *retry)
{
	json_open_object(w, "retry");
	json_bool(w, "honorRetryAfter", retry->honor_retry_after);
	json_duration(w, "retryAfterMax", retry->retry_after_max_ns);
	json_bool(w, "fullJitter", retry->full_jitter);
	json_u64(w, "budgetPercent", retry->budget_percent);
	json_u64(w, "budgetMin", retry->budget_min);
	json_close(w);
}

static void dump_extensions(struct json_writer *w, const struct static_config *config)
{
	dump_timeouts(w, &config->timeouts);
	dump_splice(w, &config->splice);
	dump_limits(w, config);
	dump_http2(w, &config->http2);
	dump_forwarded(w, config);
	json_bool(w, "via", config->via);
	dump_retry_config(w, &config->retry);
	json_bool(w, "exposeCloseReason", config->expose_close_reason);
	json_bool(w, "userTimeout", config->user_timeout);
}

static void dump_dns(struct json_writer *w, const struct static_config *config)
{
	json_open_object(w, "dns");
	json_duration(w, "refresh", config->dns_refresh_ns);
	json_close(w);
}

void dump_static_config(struct json_writer *w, const struct static_config *config,
			const struct config_dump_facts *facts)
{
	static const struct span off = { "off", 3 };

	json_open_object(w, "config");
	json_bool(w, "ipv6Enabled", config->ipv6_enabled);
	json_str(w, "network", "");
	json_duration(w, "terminationMaxDeadline", config->termination_max_ns);
	json_duration(w, "terminationMinDeadline", config->termination_min_ns);
	json_u64(w, "numWorkerThreads", facts->worker_count);
	json_string(w, "adminAddr", facts->admin_addr.len ? facts->admin_addr : off);
	json_string(w, "statsAddr", facts->stats_addr.len ? facts->stats_addr : off);
	json_string(w, "readinessAddr", facts->readiness_addr.len ? facts->readiness_addr : off);
	json_null(w, "selfAddr");
	json_null(w, "hbone");
	json_null(w, "xds");
	json_null(w, "ca");
	json_null(w, "tracing");
	json_null(w, "metrics");
	dump_logging(w, config);
	dump_dns(w, config);
	json_null(w, "proxyMetadata");
	json_str(w, "threadingMode", "threadPerCore");
	json_null(w, "sessionEncoder");
	dump_backend(w, config);
	dump_extensions(w, config);
	json_close(w);
}
