/* SPDX-License-Identifier: Apache-2.0 */
#include "config/standalone/static.h"

#include <assert.h>
#include <errno.h>
#include <unistd.h>

#include "config/core/values/policy_value.h"
#include "config/core/values/session_value.h"
#include "config/core/values/tracing_value.h"
#include "config/core/values/values.h"
#include "config/standalone/trusted.h"
#include "user/base/check.h"
#include "user/base/limits.h"
#include "user/base/units.h"

/* -------------------------------------------------------------------------------- values */

/* "ip:port", "localhost:port", "unix:/path" or "off". */
static bool decode_address(struct decoder *d, const struct yaml_node *node, void *ret)
{
	struct address address;
	struct span s, port;
	uint64_t number;
	int error;

	if (!decode_string(d, node, &s))
		return false;
	error = span_eq(s, SPAN("off")) ? 0 : address_parse(s, &address);
	if (error == -ENAMETOOLONG) {
		config_error(d->report, node,
			     "%s is too long for a socket path; write unix:/path with at most 107 bytes of "
			     "path",
			     QUOTE(s));
		return false;
	}
	port = span_starts(s, SPAN("localhost:")) ? span_from(s, 10) : (struct span){ 0 };
	if (error < 0 && (span_parse_u63(port, &number) < 0 || number < 1 || number > UINT16_MAX)) {
		config_error(d->report, node,
			     "%s is not a listening address; write ip:port, [ip]:port, localhost:port, "
			     "unix:/path or off",
			     QUOTE(s));
		return false;
	}
	s = decode_keep(d, s);
	if (!s.data)
		return false;
	*(struct span *)ret = s;
	return true;
}

/* A number, also as a string, "auto", or "N%" of this machine's processors, at least one. */
static bool decode_workers(struct decoder *d, const struct yaml_node *node, void *ret)
{
	uint64_t percent, number;
	long processors;
	uint32_t count;

	if (node->kind == YAML_SCALAR && span_eq(node->text, SPAN("auto"))) {
		*(uint32_t *)ret = 0;
		return true;
	}
	if (node->kind == YAML_SCALAR && node->is_quoted && span_parse_u63(node->text, &number) == 0 &&
	    number >= 1 && number <= LIMIT_WORKERS) {
		*(uint32_t *)ret = (uint32_t)number;
		return true;
	}
	if (node->kind != YAML_SCALAR || !span_ends(node->text, SPAN("%")))
		return decode_u32(d, node, 1, LIMIT_WORKERS, ret);
	if (span_parse_u63(span_first(node->text, node->text.len - 1), &percent) < 0 || percent < 1 ||
	    percent > 100) {
		config_error(
			d->report, node,
			"%s is not a share of the processors; write 1%% to 100%%, or a number of threads",
			QUOTE(node->text));
		return false;
	}
	processors = sysconf(_SC_NPROCESSORS_ONLN);
	if (processors < 1)
		processors = 1;
	if (processors > LIMIT_WORKERS)
		processors = LIMIT_WORKERS;
	count = (uint32_t)((uint64_t)processors * percent / 100);
	*(uint32_t *)ret = count ? count : 1;
	return true;
}

static const char *const level_words[] = { "error", "warn", "info", "debug", "trace" };

/* "info,x=debug", the form of Rust's tracing: only the level without a name counts. */
static struct span level_of_list(struct decoder *d, const struct yaml_node *node)
{
	struct span rest = node->text, element, level = SPAN("info");

	while (span_split(&rest, ',', &element)) {
		element = span_trim(element);
		if (span_find(element, '=') < 0)
			level = element;
	}
	if (span_find(node->text, '=') >= 0)
		config_warning(d->report, node,
			       "levels of parts of the program do not exist here; all of it has the level %s",
			       QUOTE(level));
	return level;
}

static bool decode_level(struct decoder *d, const struct yaml_node *node, void *ret)
{
	struct yaml_node plain = *node;
	unsigned index;

	if (node->kind == YAML_SCALAR)
		plain.text = level_of_list(d, node);
	if (!DECODE_WORD(d, &plain, level_words, &index))
		return false;
	if (span_eq(plain.text, SPAN("trace"))) {
		config_warning(d->report, node, "trace says no more than debug here");
		index--;
	}
	*(struct span *)ret = span_str(level_words[index]);
	return true;
}

static bool decode_connect_timeout(struct decoder *d, const struct yaml_node *node, void *ret)
{
	bool is_object;

	return value_connect_timeout(d, node, NS_PER_MS, ret, &is_object);
}

/* The same credentials as in policies; nobody enters without one. */
static bool is_strict(struct decoder *d, const struct yaml_node *node, unsigned mode,
		      const struct credential_location *location)
{
	if (mode != CREDENTIAL_STRICT)
		config_error(d->report, node,
			     "needs mode: strict, because nobody may enter without a credential");
	else if (location->kind == LOCATION_EXPRESSION)
		config_error(d->report, node,
			     "the admin port has no expressions; name the header, query parameter or cookie");
	else
		return true;
	return false;
}

static bool decode_admin_auth(struct decoder *d, const struct yaml_node *node, void *ret)
{
	bool is_map = node->kind == YAML_MAP && node->count == 1;
	const struct yaml_node *basic = is_map ? decode_get(node, "basicAuth") : NULL,
			       *key = is_map ? decode_get(node, "apiKey") : NULL;
	struct static_config *config = container_of(ret, struct static_config, admin_auth);

	if (!basic && !key) {
		config_error(d->report, node,
			     "is either basicAuth or apiKey, as in policies; write, for example, adminAuth: "
			     "{basicAuth: {mode: strict, htpasswd: {file: /etc/headgate/admins}}}");
		return false;
	}
	config->admin_auth = basic ? SPAN("basicAuth") : SPAN("apiKey");
	if (basic) {
		config->admin_basic = policy_value(d, basic, POLICY_BASIC_AUTH);
		return config->admin_basic &&
		       is_strict(d, basic, config->admin_basic->mode, &config->admin_basic->location);
	}
	config->admin_key = policy_value(d, key, POLICY_API_KEY);
	return config->admin_key && is_strict(d, key, config->admin_key->mode, &config->admin_key->location);
}

/* -------------------------------------------------------------------------------- sections */

#define ADDRESS_DOC "`ip:port`, `[ip]:port`, `localhost:port`, `unix:/path`, `off`"

static const struct schema_row logging_rows[] = {
	{ "level", AS_TEXT(struct static_config, log_level), .default_text = "info", .decode = decode_level,
	  .value_doc = "`error`, `warn`, `info`, `debug`, `trace` (as `debug`), or a list such as "
		       "`info,name=debug`, in which only the level without a name counts",
	  .doc = "a reload changes the level only if it changed in the file, so that `POST /logging` is "
		 "kept until then; never with `--log-level`" },
	{ "format", AS_WORD_TEXT(struct static_config, log_format), WORDS("text", "json"),
	  .default_doc = "`text`", .doc = "of the lines on standard error" },
	{ "accessLog", AS_BOOL(struct static_config, access_log), .default_value = true,
	  .doc = "extension: one line per request on standard output" },
	{ "filter", .refusal = "has moved; write frontendPolicies: {accessLog: {filter: ...}}" },
	{ "fields", .refusal = "has moved; write frontendPolicies: {accessLog: {add: ..., remove: ...}}" },
	{ "database", .refusal = NOT_YET_DATABASE_LOGGING },
};
static const struct schema logging_schema = SCHEMA(logging_rows, struct static_config);

static const struct schema_row dns_rows[] = {
	{ "refresh", AS_DURATION(struct static_config, dns_refresh_ns), AT_LEAST(NS_PER_S),
	  .default_value = 30 * NS_PER_S, .reload = RELOAD_START,
	  .doc = "extension: interval for resolving backend names again, by /etc/hosts and DNS" },
	{ "lookupFamily", AS_WORD(struct static_config, dns_family),
	  WORDS("Auto", "All", "V4Preferred", "V4Only", "V6Only"), .reload = RELOAD_START,
	  .doc = "addresses of backend names that are used; `Auto`: all, or IPv4 with `enableIpv6: false`" },
	{ "edns0", AS_BOOL(struct static_config, dns_edns0_is_on),
	  SET_BY(struct static_config, dns_has_edns0), .dump = DUMP_NULL, .reload = RELOAD_START,
	  .default_doc = "that of `/etc/resolv.conf`",
	  .doc = "queries allow UDP responses of more than 512 bytes (RFC 6891)" },
};
static const struct schema dns_schema = SCHEMA(dns_rows, struct static_config);

static void check_backend(struct decoder *d, const struct yaml_node *node, void *object)
{
	const struct yaml_node *timeout = decode_get(node, "http2KeepaliveTimeout");

	(void)object;
	if (timeout && !decode_get(node, "http2KeepaliveInterval"))
		config_error(d->report, timeout,
			     "is how long a PING may stay unanswered, and none is sent; write "
			     "http2KeepaliveInterval too");
}

static const struct schema_row backend_rows[] = {
	{ "keepalives",
	  AS_MAP(struct static_config, upstream_keepalives, &keepalive_schema, struct keepalive_policy) },
	{ "connectTimeout", AS_DURATION(struct static_config, connect_timeout_ns), AT_LEAST(NS_PER_MS),
	  .default_value = 10 * NS_PER_S, .decode = decode_connect_timeout,
	  .doc = "all addresses of an attempt together" },
	{ "poolIdleTimeout", AS_DURATION(struct static_config, pool_idle_ns), AT_LEAST(NS_PER_MS),
	  .default_value = 90 * NS_PER_S, .doc = "closes an idle connection after this time" },
	{ "poolMaxSize", AS_OPT_U64(struct static_config, pool_max_size), RANGE(0, 1000000),
	  .dump = DUMP_NULL, .default_doc = "1024", .doc = "idle connections per endpoint and worker" },
	{ "http2KeepaliveInterval", AS_OPT_DURATION(struct static_config, upstream_ping_interval),
	  AT_LEAST(NS_PER_MS), .reload = RELOAD_ACCEPT, .default_doc = "no PINGs",
	  .doc = "extension: interval of PINGs on HTTP/2 connections to backends; gRPC servers refuse "
		 "more than one in 5m by default" },
	{ "http2KeepaliveTimeout", AS_OPT_DURATION(struct static_config, upstream_ping_timeout),
	  AT_LEAST(NS_PER_MS), .reload = RELOAD_ACCEPT, .default_doc = "`20s` with PINGs",
	  .doc = "extension: a PING without an answer in this time closes the connection" },
};
static const struct schema backend_schema =
	SCHEMA(backend_rows, struct static_config, .check = check_backend);

static void check_timeouts(struct decoder *d, const struct yaml_node *node, void *object)
{
	const struct timeouts_config *timeouts = object;

	if (timeouts->max_connection_age_jitter_ns && !timeouts->max_connection_age_ns)
		config_error(d->report, decode_get(node, "maxConnectionAgeJitter"),
			     "maxConnectionAgeJitter varies maxConnectionAge; set that too");
}

static const struct schema_row timeouts_rows[] = {
	{ "streamIdle", AS_DURATION(struct timeouts_config, stream_idle_ns), .default_doc = "off",
	  .doc = "ends a stream without bytes of a body in either direction" },
	{ "tunnelIdle", AS_DURATION(struct timeouts_config, tunnel_idle_ns), .default_doc = "off",
	  .doc = "the same for upgraded connections and TCP" },
	{ "halfClosed", AS_DURATION(struct timeouts_config, half_closed_ns), .default_doc = "off",
	  .doc = "ends a tunnel with one side closed" },
	{ "clientHeaderMin", AS_DURATION(struct timeouts_config, client_header_min_ns),
	  .default_value = LIMIT_CLIENT_HEAD_MS * NS_PER_MS, .reload = RELOAD_ACCEPT,
	  .doc = "time for a request head after its first byte, otherwise 408, in HTTP/2 GOAWAY; `0s` is "
		 "off" },
	{ "clientBodyStall", AS_DURATION(struct timeouts_config, client_body_stall_ns),
	  .default_value = LIMIT_CLIENT_STALL_MS * NS_PER_MS,
	  .doc = "408 if no byte of a request body arrives while the backend accepts more and has not "
		 "started its response; after that `streamIdle` applies; gRPC is exempt, `0s` is off" },
	{ "clientReadStall", AS_DURATION(struct timeouts_config, client_read_stall_ns),
	  .default_value = LIMIT_CLIENT_READ_STALL_MS * NS_PER_MS,
	  .doc = "ends an HTTP/1 response whose bytes wait while its client reads none, after this time "
		 "or up to half as much more; a response without waiting bytes is not cut; `0s` is off. "
		 "HTTP/2: `http2.stallTimeout`" },
	{ "maxConnectionAge", AS_DURATION(struct timeouts_config, max_connection_age_ns),
	  .default_doc = "off", .reload = RELOAD_ACCEPT,
	  .doc = "after this time a client connection ends with its request" },
	{ "maxConnectionAgeJitter", AS_DURATION(struct timeouts_config, max_connection_age_jitter_ns),
	  .reload = RELOAD_ACCEPT,
	  .doc = "adds a random part of this, so that connections do not end together" },
};
static const struct schema timeouts_schema =
	SCHEMA(timeouts_rows, struct timeouts_config, .check = check_timeouts);

/* -------------------------------------------------------------------------------- kernel lanes */

enum { LANE_PIPE, LANE_SOCKMAP, LANE_DIRECT, LANE_BYPASS, LANE_COUNT };

#define LANE_AT(lane, member)                                                                                \
	static_assert(offsetof(struct splice_config, member) ==                                              \
			      offsetof(struct splice_config, lane_pipe) + (lane) * sizeof(bool),             \
		      "the lanes stand in the order of their words")
LANE_AT(LANE_SOCKMAP, lane_sockmap);
LANE_AT(LANE_DIRECT, lane_direct);
LANE_AT(LANE_BYPASS, lane_bypass);

/* A reload can switch lanes off and on again, but only a start can load their programs, or require them. */
static bool is_mode_late(const void *started, const void *new)
{
	enum splice_mode was = *(const enum splice_mode *)started, is = *(const enum splice_mode *)new;

	return (was == SPLICE_OFF && is != SPLICE_OFF) || (was != SPLICE_REQUIRE && is == SPLICE_REQUIRE);
}

static bool is_lane_late(const void *old, const void *new)
{
	const bool *was = old, *is = new;

	for (unsigned lane = LANE_SOCKMAP; lane < LANE_COUNT; lane++)
		if (!was[lane] && is[lane])
			return true;
	return false;
}

static void check_splice(struct decoder *d, const struct yaml_node *node, void *object)
{
	const struct splice_config *splice = object;

	if (splice->force && !splice->lane_direct && !splice->lane_bypass)
		config_error(d->report, decode_get(node, "force"),
			     "is about the lanes direct and bypass only; add them to lanes, or remove it");
	if (splice->max_total_credit_bytes < splice->credit_bytes)
		config_error(
			d->report, node,
			"maxTotalCredit (%llu) is less than creditBytes (%llu): no stream could be spliced",
			(unsigned long long)splice->max_total_credit_bytes,
			(unsigned long long)splice->credit_bytes);
	if (splice->mode == SPLICE_REQUIRE && !splice->lane_sockmap && !splice_bypasses(splice))
		config_error(
			d->report, node,
			"mode require is about the kernel programs, and none of the lanes listed uses them: "
			"write lanes: [pipe, sockmap], or mode: auto");
}

static const struct schema_row splice_rows[] = {
	/* In the order of enum splice_mode. */
	{ "mode", AS_WORD(struct splice_config, mode), WORDS("auto", "off", "require"),
	  .reload = RELOAD_START, .needs_start = is_mode_late,
	  .doc = "`off`: user space only; `require`: do not start without the kernel programs of all "
		 "`lanes`, at least one of which needs them" },
	{ "minBodyBytes", AS_U64(struct splice_config, min_body_bytes), AT_LEAST(0),
	  .default_value = LIMIT_PIPE_MIN_BODY_BYTES, .doc = "shorter bodies stay in user space" },
	{ "creditBytes", AS_U64(struct splice_config, credit_bytes), RANGE(65536, 1ull << 30),
	  .default_value = 64 * 1024,
	  .doc = "bytes of one direction that may wait in the kernel beyond the send buffer; "
		 "measurements show no gain from more: a kernel thread polls a full send buffer at every "
		 "clock tick" },
	{ "maxTotalCredit", AS_U64(struct splice_config, max_total_credit_bytes), AT_LEAST(65536),
	  .default_value = 1024ull * 1024 * 1024, .reload = RELOAD_START, .doc = "of all directions" },
	{ "lanes", AS_FLAGS(struct splice_config, lane_pipe), WORDS("pipe", "sockmap", "direct", "bypass"),
	  .default_value = 1u << LANE_PIPE | 1u << LANE_SOCKMAP, .reload = RELOAD_START,
	  .needs_start = is_lane_late,
	  .doc = "`direct` is for tunnels between processes of this host, `bypass` for connections of the "
		 "gateway to one; `direct` includes `bypass`: see below" },
	{ "adaptive", AS_BOOL(struct splice_config, adaptive), .default_value = true,
	  .doc = "moves tunnels and bodies into the kernel lane, and back to user space, depending on their "
		 "data rate; `false`: they use the lane from the start to the end, which is slower for "
		 "rapid small messages and for fast bodies of known length" },
	{ "force", AS_BOOL(struct splice_config, force), .reload = RELOAD_START, .dump = DUMP_NOT_ZERO,
	  .doc = "use the lanes `direct` and `bypass` also on kernels with the fault CVE-2026-74589, which "
		 "a hostile process on this host can exploit" },
	{ "pinDir", AS_TEXT(struct splice_config, pin_dir), .reload = RELOAD_START, .dump = DUMP_NOT_ZERO,
	  .doc = "directory of a BPF file system where `headgate bpf load --pin DIR` left programs and maps; "
		 "without it the gateway loads them itself" },
};
static const struct schema splice_schema = SCHEMA(splice_rows, struct splice_config, .check = check_splice);

/* -------------------------------------------------------------------------------- HTTP */

static void check_limits(struct decoder *d, const struct yaml_node *node, void *object)
{
	struct static_config *config = object;

	(void)d;
	(void)node;
	if (config->max_request_line_bytes > config->max_head_bytes)
		config->max_request_line_bytes = config->max_head_bytes;
}

/* A client that exceeds a limit gets ENHANCE_YOUR_CALM, and the metric has the kind. */
static const struct schema_row flood_rows[] = {
#define H2_FLOOD(id, name, written, a_second, in_life, explanation)                                          \
	{ written,                                                                                           \
	  AS_U32(struct static_config, h2_floods[H2_FLOOD_##id]),                                            \
	  RANGE(1, 1000000),                                                                                 \
	  .default_value = (a_second),                                                                       \
	  .reload = RELOAD_ACCEPT,                                                                           \
	  .doc = explanation },
#define H2_FLOOD_FIXED(id, name, explanation)
#include "user/base/h2_floods.def"
#undef H2_FLOOD
};
static const struct schema flood_schema = SCHEMA(flood_rows, struct static_config);

static const struct schema_row limits_rows[] = {
	{ "maxConnections", AS_U64(struct static_config, max_connections), RANGE(1, LIMIT_CONNECTIONS),
	  .default_doc = "what the descriptor limit allows, with a backend connection each",
	  .doc = "of clients, in the process; the gateway closes the one idle longest for a new one" },
	{ "connectionsPerClient", AS_U64(struct static_config, connections_per_client),
	  RANGE(1, LIMIT_CONNECTIONS),
	  .default_doc = "an eighth of what the descriptor limit allows, at least 64, at most half",
	  .doc = "of one client address (IPv6: of a /64), in the process; the gateway closes an idle one "
		 "of that address for a new one, otherwise 503 or a reset; does not apply to addresses "
		 "in `forwarded.trusted`" },
	{ "requestsPerClient", AS_U64(struct static_config, requests_per_client), RANGE(1, LIMIT_CONNECTIONS),
	  .default_doc = "a quarter of what the descriptor limit allows, at least 128, at most half",
	  .doc = "running HTTP/2 requests of one client address, in the process: further ones get "
		 "REFUSED_STREAM; the same exception" },
	{ "connectionsPerBackend", AS_U64(struct static_config, connections_per_backend),
	  RANGE(1, LIMIT_CONNECTIONS), .default_doc = "what the descriptor limit allows",
	  .doc = "connections in use to all endpoints of one backend, in the process; beyond the limit "
		 "requests get 503 with the reason `backend_limit`; requests that share an HTTP/2 "
		 "connection do not count" },
	{ "requestLineBytes", AS_U32(struct static_config, max_request_line_bytes),
	  RANGE(128, LIMIT_REQUEST_LINE_BYTES), .default_value = LIMIT_REQUEST_LINE_BYTES,
	  .reload = RELOAD_ACCEPT, .doc = "414 beyond" },
	{ "headBytes", AS_U32(struct static_config, max_head_bytes), RANGE(512, LIMIT_HEAD_BYTES),
	  .default_value = LIMIT_HEAD_BYTES, .reload = RELOAD_ACCEPT, .doc = "431 beyond" },
	{ "headers", AS_U32(struct static_config, max_headers), RANGE(8, LIMIT_HEADERS),
	  .default_value = LIMIT_HEADERS, .reload = RELOAD_ACCEPT,
	  .doc = "431 beyond; `http1MaxHeaders` overrides it" },
	{ "connectionHeadBytes", AS_U64(struct static_config, connection_head_bytes),
	  RANGE(LIMIT_HEAD_BYTES, 1ull << 30), .default_value = LIMIT_H2_HEADS_BYTES, .reload = RELOAD_ACCEPT,
	  .doc = "decoded heads of the running requests of an HTTP/2 connection; beyond 262144 also 64 "
		 "times the bytes that the client has sent; 431 beyond" },
	{ "workerHeadBytes", AS_U64(struct static_config, worker_head_bytes), RANGE(1024 * 1024, 1ull << 40),
	  .default_value = LIMIT_WORKER_HEAD_BYTES,
	  .doc = "the same for all requests of a worker, including "
		 "HTTP/1" },
	{ "regexSteps", AS_U64(struct static_config, regex_steps), RANGE(LIMIT_REGEX_STEPS, 1ull << 40),
	  .default_doc = "8388608, or the steps of 512 bytes with all expressions of a listener",
	  .doc = "bytes times instructions of all regular expressions of one request; 400 beyond" },
	{ "http2Floods", AS_SECTION(struct static_config, &flood_schema) },
	{ "mcpSessions", AS_U32(struct static_config, mcp_limits.sessions), RANGE(1, LIMIT_MCP_SESSIONS),
	  .default_value = LIMIT_MCP_SESSIONS, .doc = "extension: MCP sessions of the process; 503 beyond" },
	{ "mcpSessionsPerClient", AS_U32(struct static_config, mcp_limits.sessions_per_client),
	  RANGE(1, LIMIT_MCP_SESSIONS), .default_value = LIMIT_MCP_CLIENT_SESSIONS,
	  .doc = "extension: of one address, from a trusted peer that in X-Forwarded-For; 503 beyond" },
	{ "mcpUninitializedSessions", AS_U32(struct static_config, mcp_limits.uninitialized_sessions),
	  RANGE(1, LIMIT_MCP_SESSIONS), .default_value = LIMIT_MCP_UNINITIALIZED,
	  .doc = "extension: sessions whose clients have sent nothing after `initialize`; 503 beyond" },
	{ "mcpChildren", AS_U32(struct static_config, mcp_limits.children), RANGE(1, LIMIT_MCP_CHILDREN),
	  .default_value = LIMIT_MCP_CHILDREN,
	  .doc = "extension: processes, including those that are ending; a session that needs more gets "
		 "503" },
	{ "mcpMessageBytes", AS_U32(struct static_config, mcp_limits.message_bytes),
	  RANGE(64 * 1024, LIMIT_MCP_MESSAGE_MAX), .default_value = LIMIT_MCP_MESSAGE_BYTES,
	  .doc = "extension: bytes of an MCP message; a larger one from a client gets 413, a larger one "
		 "from a target makes its request an error. Twice as much may wait for a target: 503 "
		 "beyond" },
};
static const struct schema limits_schema = SCHEMA(limits_rows, struct static_config, .check = check_limits);

static const struct schema_row http2_rows[] = {
	{ "maxConcurrentStreams", AS_U32(struct http2_config, max_concurrent_streams),
	  RANGE(1, LIMIT_H2_STREAMS_MAX), .default_value = LIMIT_H2_STREAMS, .reload = RELOAD_ACCEPT,
	  .doc = "open requests of a connection; together they may fill that many stream windows, and "
		 "requests whose response came before their body was read as many again" },
	{ "headers", AS_U32(struct http2_config, max_headers), RANGE(8, LIMIT_H2_HEADERS),
	  .default_value = LIMIT_H2_HEADERS, .reload = RELOAD_ACCEPT,
	  .doc = "fields of a head; its bytes: `limits.headBytes`" },
	{ "idleTimeout", AS_DURATION(struct http2_config, idle_ns),
	  .default_value = LIMIT_H2_IDLE_MS * NS_PER_MS, .reload = RELOAD_ACCEPT,
	  .doc = "ends a connection without requests: time since the last request, the client's last "
		 "PING, or its last answer to a PING; `0s` is off" },
	{ "stallTimeout", AS_DURATION(struct http2_config, stall_ns),
	  .default_value = LIMIT_H2_STALL_MS * NS_PER_MS, .reload = RELOAD_ACCEPT,
	  .doc = "resets the stream of a response for which the client opens no window; `0s` is off" },
};
static const struct schema http2_schema = SCHEMA(http2_rows, struct http2_config);

static const struct schema_row retry_rows[] = {
	{ "honorRetryAfter", AS_BOOL(struct retry_config, honor_retry_after),
	  .doc = "wait as long as the backend's response demands" },
	{ "retryAfterMax", AS_DURATION(struct retry_config, retry_after_max_ns),
	  .default_value = 10 * NS_PER_S, .doc = "longest wait that is honoured" },
	{ "fullJitter", AS_BOOL(struct retry_config, full_jitter), .doc = "wait a random part of `backoff`" },
	{ "budgetPercent", AS_U32(struct retry_config, budget_percent), RANGE(0, 100),
	  .default_doc = "0: no budget",
	  .doc = "retries in flight, as a percentage of the requests in "
		 "flight" },
	{ "budgetMin", AS_U32(struct retry_config, budget_min), RANGE(0, 1000000), .default_value = 10,
	  .doc = "concurrent retries that are always allowed" },
};
static const struct schema retry_schema = SCHEMA(retry_rows, struct retry_config);

/* -------------------------------------------------------------------------------- all of it */

static void check_static(struct decoder *d, const struct yaml_node *node, void *object)
{
	const struct static_config *config = object;
	const struct yaml_node *most = decode_get(node, "connectionTerminationDeadline");

	if (config->termination_min_ns > config->termination_max_ns)
		config_error(d->report, decode_get(node, "connectionMinTerminationDeadline"),
			     "connectionMinTerminationDeadline is longer than connectionTerminationDeadline; "
			     "raise the latter%s",
			     most ? "" : ", which is 5s when not set");
}

/* Keys of agentgateway that this gateway does not have are null in the dump. */
static const struct schema_row mcp_rows[] = {
	{ "sessionTtl", AS_DURATION(struct static_config, mcp_session_ttl_ns), AT_LEAST(0),
	  .default_value = 30 * 60 * NS_PER_S, .doc = "ends an unused MCP session; 0s: never" },
	{ "uninitializedTtl", AS_DURATION(struct static_config, mcp_uninitialized_ttl_ns), AT_LEAST(0),
	  .default_value = LIMIT_MCP_UNINITIALIZED_MS * NS_PER_MS,
	  .doc = "extension: ends an MCP session whose client sends nothing after `initialize`, not even "
		 "`notifications/initialized`; 0s: like any other session" },
	{ "initializeTimeout", AS_DURATION(struct static_config, mcp_initialize_ns), AT_LEAST(0),
	  .default_value = LIMIT_MCP_INITIALIZE_MS * NS_PER_MS,
	  .doc = "extension: time for an MCP target to answer `initialize`, otherwise it is lost; 0s: no "
		 "limit" },
};
static const struct schema mcp_schema = SCHEMA(mcp_rows, struct static_config);

static const struct schema_row static_rows[] = {
	{ "enableIpv6", AS_BOOL(struct static_config, ipv6_enabled), .default_value = true,
	  .reload = RELOAD_START, .shown_as = "ipv6Enabled",
	  .doc = "the gateway binds ports on `[::]`, with IPv4" },
	{ "zone", AS_TEXT(struct static_config, zone), .dump = DUMP_NOT_ZERO, .default_doc = "unknown",
	  .doc = "extension: zone of this gateway, as in `${ZONE}`: [zones](#zones)" },
	{ "network", .refusal = NOT_YET_NETWORK, .shown_as = "network", .default_text = "" },
	{ "connectionTerminationDeadline", AS_DURATION(struct static_config, termination_max_ns),
	  .default_value = 5 * NS_PER_S, .shown_as = "terminationMaxDeadline", .doc = "longest drain" },
	{ "connectionMinTerminationDeadline", AS_DURATION(struct static_config, termination_min_ns),
	  .shown_as = "terminationMinDeadline", .doc = "keep accepting this long after SIGTERM" },
	{ "workerThreads", AS_U32(struct static_config, worker_threads), RANGE(1, LIMIT_WORKERS),
	  .decode = decode_workers, .reload = RELOAD_START, .shown_as = "numWorkerThreads",
	  .value_doc = "1..256, `50%`, or `auto`", .default_doc = "one per processor",
	  .doc = "environment: `WORKER_THREADS`" },
	{ "adminAddr", AS_TEXT(struct static_config, admin_addr), .default_text = "localhost:15000",
	  .decode = decode_address, .reload = RELOAD_START, .value_doc = ADDRESS_DOC,
	  .doc = "environment: `ADMIN_ADDR`" },
	{ "adminAuth", AS_TEXT(struct static_config, admin_auth), .decode = decode_admin_auth,
	  .dump = DUMP_NOT_ZERO, .default_doc = "none",
	  .value_doc = "`{basicAuth: …}` or `{apiKey: …}`, as in policies, with `mode: strict`",
	  .doc = "extension: credentials for requests to the admin port from other hosts; without it they "
		 "may read, and not change anything. Requests over loopback or a Unix socket need none" },
	{ "statsAddr", AS_TEXT(struct static_config, stats_addr), .default_text = "[::]:15020",
	  .decode = decode_address, .reload = RELOAD_START, .value_doc = "the same",
	  .doc = "environment: `STATS_ADDR`" },
	{ "readinessAddr", AS_TEXT(struct static_config, readiness_addr), .default_text = "[::]:15021",
	  .decode = decode_address, .reload = RELOAD_START, .value_doc = "the same",
	  .doc = "environment: `READINESS_ADDR`" },
	{ .shown_as = "selfAddr" },
	{ "hbone", .refusal = NOT_YET_HBONE, .shown_as = "hbone" },
	{ .shown_as = "xds" },
	{ .shown_as = "ca" },
	{ "tracing", AS_MAP(struct static_config, tracing, &config_tracing_schema, struct tracing_policy),
	  SET_BY(struct static_config, has_tracing), .dump = DUMP_NULL },
	{ "metrics", .refusal = "has moved; write frontendPolicies: {metrics: {add: ...}}",
	  .shown_as = "metrics" },
	{ "logging", AS_SECTION(struct static_config, &logging_schema) },
	{ "dns", AS_SECTION(struct static_config, &dns_schema) },
	{ .shown_as = "proxyMetadata" },
	{ .shown_as = "threadingMode", .default_text = "threadPerCore" },
	{ .shown_as = "sessionEncoder" },
	{ "backend", AS_SECTION(struct static_config, &backend_schema) },
	{ "timeouts", AS_MAP(struct static_config, timeouts, &timeouts_schema, struct timeouts_config) },
	{ "splice", AS_MAP(struct static_config, splice, &splice_schema, struct splice_config) },
	{ "limits", AS_SECTION(struct static_config, &limits_schema) },
	{ "http2", AS_MAP(struct static_config, http2, &http2_schema, struct http2_config) },
	{ "forwarded", AS_SECTION(struct static_config, &forwarded_schema) },
	{ "proxyProtocol", AS_SECTION(struct static_config, &proxy_protocol_schema) },
	{ "via", AS_BOOL(struct static_config, via), .doc = "add `Via`" },
	{ "retry", AS_MAP(struct static_config, retry, &retry_schema, struct retry_config) },
	{ "exposeCloseReason", AS_BOOL(struct static_config, expose_close_reason),
	  .doc = "the gateway's error responses have the reason in a header, and details in their body, "
		 "such as names in a backend's certificate, which otherwise only the log has" },
	{ "userTimeout", AS_BOOL(struct static_config, user_timeout), .default_value = true,
	  .reload = RELOAD_ACCEPT, .doc = "TCP_USER_TIMEOUT = time + interval × retries if keepalive is on" },
	{ "listener", .refusal = "has been removed; move it to frontendPolicies" },
	{ "mcp", AS_SECTION(struct static_config, &mcp_schema) },
	{ "session", AS_SECTION(struct static_config, &session_key_schema),
	  SET_BY(struct static_config, has_session) },
	{ "namespace", .refusal = NOT_YET_NAMESPACE },
	{ "gateway", .refusal = NOT_YET_GATEWAY },
	{ "clusterId", .refusal = NOT_YET_CLUSTER_ID },
	{ "serviceAccount", .refusal = NOT_YET_SERVICE_ACCOUNT },
	{ "trustDomain", .refusal = NOT_YET_TRUST_DOMAIN },
	{ "localXdsPath", .refusal = NOT_YET_LOCAL_XDS_PATH },
	{ "xdsAddress", .refusal = NOT_YET_LOCAL_XDS_PATH },
	{ "xdsAuthToken", .refusal = NOT_YET_LOCAL_XDS_PATH },
	{ "xdsRootCert", .refusal = NOT_YET_LOCAL_XDS_PATH },
	{ "caAddress", .refusal = NOT_YET_CA_ADDRESS },
	{ "caAuthToken", .refusal = NOT_YET_CA_ADDRESS },
	{ "caRootCert", .refusal = NOT_YET_CA_ADDRESS },
	{ "modelCatalog", .refusal = NOT_YET_MODEL_CATALOG },
	{ "database", .refusal = NOT_YET_DATABASE },
	{ "storage", .refusal = NOT_YET_DATABASE },
	{ "spiffe", .refusal = NOT_YET_SPIFFE },
	{ "additionalTrustDomains", .refusal = NOT_YET_TRUST_DOMAIN },
	{ "skipValidateTrustDomain", .refusal = NOT_YET_TRUST_DOMAIN },
	{ "standardAttributes", .refusal = NOT_YET_STANDARD_ATTRIBUTES },
	{ "histograms", .refusal = NOT_YET_HISTOGRAMS },
	{ "sensitiveHeaders", .refusal = NOT_YET_SENSITIVE_HEADERS },
	{ "customFunctions", .refusal = NOT_YET_CUSTOM_FUNCTIONS },
};
const struct schema static_schema = SCHEMA(static_rows, struct static_config, .check = check_static);
