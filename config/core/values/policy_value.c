/* SPDX-License-Identifier: Apache-2.0 */
#include "config/core/values/policy_value.h"

#include "config/core/values/access_log_value.h"
#include "config/core/values/authorization_value.h"
#include "config/core/values/backend_auth_value.h"
#include "config/core/values/balance_value.h"
#include "config/core/values/callout_value.h"
#include "config/core/values/condition.h"
#include "config/core/values/direct_value.h"
#include "config/core/values/guard_value.h"
#include "config/core/values/jwt_value.h"
#include "config/core/values/mcp_auth_value.h"
#include "config/core/values/resiliency.h"
#include "config/core/values/session_value.h"
#include "config/core/values/size_value.h"
#include "config/core/values/tls_value.h"
#include "config/core/values/tracing_value.h"
#include "config/core/values/transform_value.h"
#include "config/core/values/values.h"
#include "policy/compile/effective.h"
#include "user/base/check.h"
#include "user/base/limits.h"
#include "user/base/units.h"

/* -------------------------------------------------------------------------------- keepalive */

/* TCP_KEEPIDLE and TCP_KEEPINTVL take 1..32767 s, TCP_KEEPCNT 1..127 (tcp(7)). */
static bool decode_keepalive_time(struct decoder *d, const struct yaml_node *node, void *ret_ns)
{
	uint64_t ns;

	if (!decode_duration(d, node, NS_PER_S, &ns))
		return false;
	if (ns > 32767 * NS_PER_S) {
		config_error(d->report, node,
			     "the kernel takes keepalive times of 1s to 32767s (9h6m7s), found %s",
			     FOUND(node));
		return false;
	}
	*(uint64_t *)ret_ns = ns;
	return true;
}

static const struct schema_row keepalive_rows[] = {
	{ "enabled", AS_BOOL(struct keepalive_policy, enabled), .default_value = true,
	  .style = STYLE_STANDALONE, .doc = "`false`: the gateway does not change the socket" },
	{ "time", AS_DURATION(struct keepalive_policy, time_ns), .decode = decode_keepalive_time,
	  .default_value = 180 * NS_PER_S, .value_doc = "`1s`..`32767s`",
	  .doc = "silence before the first probe" },
	{ "interval", AS_DURATION(struct keepalive_policy, interval_ns), .decode = decode_keepalive_time,
	  .default_value = 180 * NS_PER_S, .value_doc = "`1s`..`32767s`", .doc = "between probes" },
	{ "retries", AS_U32(struct keepalive_policy, retries), RANGE(1, 127), MANIFEST_RANGE(1, 64),
	  .default_value = 9, .doc = "probes without an answer before the connection ends" },
};
const struct schema keepalive_schema = SCHEMA(keepalive_rows, struct keepalive_policy);

/* -------------------------------------------------------------------------------- frontend */

#define KEEPALIVE_DOC "members of `config.backend.keepalives`"

static void check_frontend_http(struct decoder *d, const struct yaml_node *node, void *object)
{
	const struct yaml_node *timeout = decode_get(node, "http2KeepaliveTimeout");
	struct frontend_http *policy = object;

	policy->sets_max_buffer = decode_get(node, "maxBufferSize");
	policy->sets_http1_idle_timeout = decode_get(node, "http1IdleTimeout");
	if (timeout && !decode_get(node, "http2KeepaliveInterval"))
		config_warning(d->report, timeout,
			       "has no effect: it is how long a PING may stay unanswered, and none is sent; "
			       "write http2KeepaliveInterval too");
}

/* Timers: the CRD requires at least a second; files allow a millisecond. */
static const struct schema_row frontend_http_rows[] = {
	{ "maxBufferSize", AS_U64(struct frontend_http, max_buffer_bytes), RANGE(1, UINT32_MAX),
	  .doc = "the largest body that `transformations` can read or make, in bytes; `buffer` overrides it. "
		 "The gateway answers a longer request body with 413 and a longer response body with 502. "
		 "Values above 16777216 count as 16777216" },
	{ "http1MaxHeaders", AS_OPT_U64(struct frontend_http, http1_max_headers), RANGE(1, LIMIT_HEADERS_MAX),
	  .dump = DUMP_NULL, .default_doc = "`config.limits.headers`", .doc = "431 beyond" },
	{ "http1IdleTimeout", AS_DURATION(struct frontend_http, http1_idle_timeout_ns), AT_LEAST(NS_PER_MS),
	  MANIFEST_AT_LEAST(NS_PER_S),
	  .doc = "ends an HTTP/1 client connection without bytes in either direction and without a "
		 "request in flight" },
	/* RFC 9113 6.5.2 and 6.9.1 */
	{ "http2WindowSize", AS_OPT_U64(struct frontend_http, http2_window_bytes), RANGE(1, INT32_MAX),
	  .dump = DUMP_NULL, .default_doc = "65536", .doc = "unread bytes of a stream" },
	{ "http2ConnectionWindowSize", AS_OPT_U64(struct frontend_http, http2_connection_window_bytes),
	  RANGE(1, INT32_MAX), .dump = DUMP_NULL,
	  .default_doc = "1048576 or `http2WindowSize`, whichever is more", .doc = "at least 65535 applies" },
	{ "http2FrameSize", AS_OPT_U64(struct frontend_http, http2_frame_bytes), RANGE(16384, 16777215),
	  .dump = DUMP_NULL, .default_doc = "16384", .doc = "largest frame of a client" },
	{ "http2KeepaliveInterval", AS_OPT_DURATION(struct frontend_http, http2_keepalive_interval),
	  AT_LEAST(NS_PER_MS), MANIFEST_AT_LEAST(NS_PER_S), .dump = DUMP_NULL, .default_doc = "no PINGs",
	  .doc = "interval of PINGs" },
	{ "http2KeepaliveTimeout", AS_OPT_DURATION(struct frontend_http, http2_keepalive_timeout),
	  AT_LEAST(NS_PER_MS), MANIFEST_AT_LEAST(NS_PER_S), .dump = DUMP_NULL,
	  .default_doc = "`20s` with PINGs",
	  .doc = "a PING without an answer in this time closes the "
		 "connection" },
	/* The words have the order of the member's enum. */
	{ "normalizePath", AS_WORD(struct frontend_http, normalize_path), .word_base = NORMALIZE_FULL,
	  WORDS("full", "keepSlashes", "off"), MANIFEST_WORDS("Full", "KeepSlashes", "Off"),
	  .default_doc = "`full`",
	  .doc = "the path that routes match and backends get (RFC 3986 6.2.2): escapes of letters, "
		 "digits and `-._~` decoded, dot segments removed, repeated slashes merged (not with "
		 "`keepSlashes`); invalid escapes and `%00` get 400. `off`: the path as received" },
	{ "escapedSlashes", AS_WORD(struct frontend_http, escaped_slashes), .word_base = ESCAPED_REJECT,
	  WORDS("reject", "keep", "decode"), MANIFEST_WORDS("Reject", "Keep", "Decode"),
	  .default_doc = "`reject`",
	  .doc = "`%2F`, `%5C` and backslashes in paths: 400, unchanged, or replaced with a slash; no "
		 "effect if `normalizePath` is `off`" },
	{ "semicolons", AS_WORD(struct frontend_http, semicolons), .word_base = SEMICOLONS_KEEP,
	  WORDS("keep", "strip", "reject"), MANIFEST_WORDS("Keep", "Strip", "Reject"),
	  .default_doc = "`keep`",
	  .doc = "`;` and `%3B` in paths: unchanged, removed with the rest of their segment, or 400; no "
		 "effect if `normalizePath` is `off`. [Servlet "
		 "containers](#paths-that-a-denying-route-does-not-match) need `strip` or `reject`" },
	{ "trace", AS_WORD(struct frontend_http, trace), .word_base = TRACE_METHOD_DENY,
	  WORDS("deny", "forward"), MANIFEST_WORDS("Deny", "Forward"), .default_doc = "`deny`",
	  .doc = "TRACE requests, which show a client the added fields: 405, or treated like other "
		 "requests" },
	{ "headersWithUnderscores", AS_WORD(struct frontend_http, underscores), .word_base = UNDERSCORES_KEEP,
	  WORDS("keep", "drop", "reject"), MANIFEST_WORDS("Keep", "Drop", "Reject"), .default_doc = "`keep`",
	  .doc = "request fields with `_` in their name: passed on, removed, or 400. Names that a "
		 "backend may treat as a field that frames a message are always removed" },
	{ "halfClose", AS_WORD(struct frontend_http, half_close), .word_base = HALF_CLOSE_END,
	  WORDS("end", "keep"), MANIFEST_WORDS("End", "Keep"), .default_doc = "`end`",
	  .doc = "an HTTP/1 client that closes its side of the connection while it waits for a response: "
		 "the gateway ends its request (`close_reason=client_gave_up`) and closes the backend's "
		 "connection, or sends the response" },
	{ "http1HeaderCase", .refusal = NOT_YET_HTTP1_HEADER_CASE },
	{ "http2MaxHeaderSize", .refusal = NOT_YET_HTTP2_MAX_HEADER_SIZE },
	{ "maxConnectionDuration", .refusal = "is not supported yet; use config.timeouts.maxConnectionAge" },
};
static const struct schema frontend_http_schema =
	SCHEMA(frontend_http_rows, struct frontend_http, .default_object = &frontend_http_default,
	       .check = check_frontend_http);

static const struct schema_row frontend_tcp_rows[] = {
	{ "keepalives", AS_MAP(struct frontend_tcp, keepalives, &keepalive_schema, struct keepalive_policy),
	  .style = STYLE_STANDALONE, .need = "write keepalives: {} to switch the defaults on",
	  .doc = KEEPALIVE_DOC "; without this policy client sockets keep the kernel's settings" },
	{ "keepalive", AS_MAP(struct frontend_tcp, keepalives, &keepalive_schema, struct keepalive_policy),
	  .style = STYLE_MANIFEST, .need = "write keepalive: {time: ..., interval: ..., retries: ...}" },
};
static const struct schema frontend_tcp_schema = SCHEMA(frontend_tcp_rows, struct frontend_tcp);

static const struct schema_row frontend_connect_rows[] = {
	/* In the order of enum connect_mode. */
	{ "mode", AS_WORD(struct frontend_connect, mode), WORDS("deny", "route"),
	  MANIFEST_WORDS("Deny", "Route"),
	  .need = "say whether CONNECT requests are refused or become tunnels to the backends of routes",
	  .doc = "`deny` (also without this policy) answers CONNECT with 405; `route` chooses a route as "
		 "for any request, with the path `/`, answers 200 and makes the connection a tunnel to "
		 "the backend of that route, never to the host in the request. Timers, log, lanes and "
		 "drain are those of tunnels. A `directResponse` below 300 answers 405" },
};
static const struct schema frontend_connect_schema = SCHEMA(frontend_connect_rows, struct frontend_connect);

static const struct schema_row frontend_proxy_rows[] = {
	/* In the order of enum proxy_versions and enum proxy_mode. */
	{ "version", AS_WORD(struct frontend_proxy, version), .word_base = PROXY_VERSION_1,
	  WORDS("v1", "v2", "all"), MANIFEST_WORDS("V1", "V2", "All"), .default_value = PROXY_VERSION_2,
	  .doc = "of the header that is accepted" },
	{ "mode", AS_WORD(struct frontend_proxy, mode), WORDS("strict", "optional"),
	  MANIFEST_WORDS("Strict", "Optional"),
	  .doc = "`strict`: connections without a header, and of peers outside "
		 "`config.proxyProtocol.trusted`, are reset; `optional`: they are served under their own "
		 "address. An invalid header resets the connection in both modes" },
};
static const struct schema frontend_proxy_schema = SCHEMA(frontend_proxy_rows, struct frontend_proxy);

static const struct schema_row backend_proxy_rows[] = {
	{ "version", AS_WORD(struct backend_proxy, version), .word_base = PROXY_VERSION_1, WORDS("v1", "v2"),
	  MANIFEST_WORDS("V1", "V2"), .default_value = PROXY_VERSION_2,
	  .doc = "of the [PROXY header](#proxy-protocol-to-backends) that begins each connection; only `v2` "
		 "announces the client's TLS" },
};
static const struct schema backend_proxy_schema = SCHEMA(backend_proxy_rows, struct backend_proxy);

/* -------------------------------------------------------------------------------- traffic */

static void check_timeout(struct decoder *d, const struct yaml_node *node, void *object)
{
	const struct timeout_policy *policy = object;
	const struct yaml_node *attempt = decode_get(node, "backendRequest");

	if (node->count == 0)
		config_error(d->report, node, "sets nothing; write %s",
			     d->is_manifest ? "request or backendRequest"
					    : "requestTimeout or backendRequestTimeout");
	/* As for a rule of an HTTPRoute. */
	if (attempt && policy->request.ns && policy->backend_request.ns > policy->request.ns)
		config_error(d->report, attempt,
			     "is longer than the request timeout, which covers all attempts; write a shorter "
			     "one");
}

static const struct schema_row timeout_rows[] = {
	{ "requestTimeout", AS_OPT_DURATION(struct timeout_policy, request), .style = STYLE_STANDALONE,
	  .default_doc = "off", .doc = "until the head of the response, over all attempts" },
	{ "backendRequestTimeout", AS_OPT_DURATION(struct timeout_policy, backend_request),
	  .style = STYLE_STANDALONE, .default_doc = "off", .doc = "the same per attempt" },
	{ "request", AS_OPT_DURATION(struct timeout_policy, request), MANIFEST_AT_LEAST(NS_PER_MS),
	  .style = STYLE_MANIFEST },
	{ "backendRequest", AS_OPT_DURATION(struct timeout_policy, backend_request),
	  MANIFEST_AT_LEAST(NS_PER_MS), .style = STYLE_MANIFEST },
};
static const struct schema timeout_schema =
	SCHEMA(timeout_rows, struct timeout_policy, .check = check_timeout);

static bool decode_codes(struct decoder *d, const struct yaml_node *node, void *ret)
{
	struct retry_policy *retry = container_of(ret, struct retry_policy, code_list);

	return value_codes(d, node, &retry->code_list, &retry->code_count);
}

static bool decode_precondition(struct decoder *d, const struct yaml_node *node, void *ret)
{
	struct retry_policy *policy = container_of(ret, struct retry_policy, precondition_text);

	if (!decode_lines(d, node, &policy->precondition_text))
		return false;
	policy->precondition = value_condition(d, node, policy->precondition_text, EXPRESSION_AT_REQUEST);
	return policy->precondition != NULL;
}

static bool decode_retry_condition(struct decoder *d, const struct yaml_node *node, void *ret)
{
	struct retry_policy *policy = container_of(ret, struct retry_policy, condition_text);

	if (!decode_lines(d, node, &policy->condition_text))
		return false;
	policy->condition = value_condition(d, node, policy->condition_text, EXPRESSION_AT_RESPONSE);
	return policy->condition != NULL;
}

static void check_retry(struct decoder *d, const struct yaml_node *node, void *object)
{
	struct retry_policy *policy = object;

	(void)d;
	(void)node;
	if (policy->attempts > LIMIT_RETRY_ATTEMPTS)
		policy->attempts = LIMIT_RETRY_ATTEMPTS;
}

static const struct schema_row retry_rows[] = {
	{ "attempts", AS_U32(struct retry_policy, attempts), RANGE(1, LIMIT_RETRY_ATTEMPTS + 1),
	  MANIFEST_RANGE(0, INT32_MAX), .default_value = 1, .value_doc = "1..254",
	  .doc = "number of retries after the first attempt" },
	{ "backoff", AS_OPT_DURATION(struct retry_policy, backoff), .default_doc = "none",
	  .doc = "pause before each retry" },
	{ "codes", AS_LIST(SCHEMA_CODES, struct retry_policy, code_list, code_count, uint16_t),
	  .style = STYLE_MANIFEST, .decode = decode_codes },
	{ "codes", AS_LIST(SCHEMA_CODES, struct retry_policy, code_list, code_count, uint16_t),
	  .style = STYLE_STANDALONE, .decode = decode_codes,
	  .need = "write codes: [] to retry on connection errors only, or a list such as [502, 503]",
	  .doc = "statuses that are retried; `[]`: connection errors only" },
	{ "precondition", AS_TEXT(struct retry_policy, precondition_text), .decode = decode_precondition,
	  .dump = DUMP_NOT_ZERO, .value_doc = "condition", .default_doc = "every request",
	  .doc = "an [expression](../docs/expressions.md) about the request; only requests for which it is "
		 "true are retried, and have their body kept for it" },
	{ "condition", AS_TEXT(struct retry_policy, condition_text), .decode = decode_retry_condition,
	  .dump = DUMP_NOT_ZERO, .value_doc = "condition", .default_doc = "none",
	  .doc = "the same about a response, which is retried if it is true, besides those with one of "
		 "`codes`, as in `response.headers[\"x-try-again\"] == \"1\"`" },
};
static const struct schema retry_schema = SCHEMA(retry_rows, struct retry_policy, .check = check_retry);

/* {name, value} in manifests, a member of a map in standalone files. */
static bool decode_pair(struct decoder *d, const struct yaml_node *node, void *ret)
{
	static const struct decode_key keys[] = { KEY("name"), KEY("value") };
	const struct yaml_node *name_node = node, *value = node;
	struct header_pair *pair = ret;
	struct span name = node->key;
	bool is_valid = true;

	if (d->is_manifest) {
		if (!DECODE_MAP(d, node, keys))
			return false;
		name_node = decode_need(d, node, "name", "write the name of the header");
		value = decode_need(d, node, "value", "write the value of the header");
		is_valid = decode_string(d, name_node, &name);
	}
	is_valid = is_valid && value_header_name(d, name_node, name, &pair->name);
	return value_header_value(d, value, &pair->value) && is_valid;
}

static bool decode_removal(struct decoder *d, const struct yaml_node *node, void *ret)
{
	struct span name;

	return decode_string(d, node, &name) && value_header_name(d, node, name, ret);
}

#define HEADER_PAIRS(list, count)                                                                            \
	AS_LIST(SCHEMA_PAIRS, struct header_modifier, list, count, struct header_pair),                      \
		.element = decode_pair, RANGE(0, LIMIT_HEADERS), .dump = DUMP_NOT_ZERO

static const struct schema_row header_rows[] = {
	{ "add", HEADER_PAIRS(add_list, add_count), .doc = "added to fields of the same name" },
	{ "set", HEADER_PAIRS(set_list, set_count), .doc = "replaces fields of the same name" },
	{ "remove", AS_LIST(SCHEMA_NAMES, struct header_modifier, remove_list, remove_count, struct span),
	  .element = decode_removal, .dump = DUMP_NOT_ZERO, .value_doc = "list of names",
	  .doc = "except fields that frame a message" },
};

static void check_headers(struct decoder *d, const struct yaml_node *node, void *object)
{
	struct header_modifier *modifier = object;

	if (!d->is_manifest)
		return;
	value_first_of_name(d, decode_get(node, "add"), modifier->add_list, sizeof(*modifier->add_list),
			    &modifier->add_count);
	value_first_of_name(d, decode_get(node, "set"), modifier->set_list, sizeof(*modifier->set_list),
			    &modifier->set_count);
}

static const struct schema header_schema =
	SCHEMA(header_rows, struct header_modifier, .check = check_headers);

/* -------------------------------------------------------------------------------- rewrites */

static bool decode_full(struct decoder *d, const struct yaml_node *node, void *ret)
{
	struct span authority;

	if (!decode_name(d, node, &authority))
		return false;
	if (span_find(authority, '/') >= 0 || span_find(authority, ' ') >= 0 ||
	    span_find(authority, '@') >= 0) {
		config_error(d->report, node, "%s is not an authority; write name or name:port",
			     QUOTE(authority));
		return false;
	}
	*(struct span *)ret = authority;
	return true;
}

static bool decode_host(struct decoder *d, const struct yaml_node *node, void *ret)
{
	return value_hostname(d, node, false, ret);
}

static bool decode_path(struct decoder *d, const struct yaml_node *node, void *ret)
{
	return value_path(d, node, ret);
}

static const struct schema_row authority_rows[] = {
	{ "full", AS_TEXT(struct url_rewrite, authority),
	  ONE_OF(struct url_rewrite, authority_kind, AUTHORITY_FULL), .decode = decode_full,
	  .value_doc = "name or `name:port`", .doc = "replaces host and port" },
	{ "host", AS_TEXT(struct url_rewrite, authority),
	  ONE_OF(struct url_rewrite, authority_kind, AUTHORITY_HOST), .decode = decode_host,
	  .value_doc = "name", .doc = "the port stays" },
	{ "port", AS_U16(struct url_rewrite, port), RANGE(1, UINT16_MAX),
	  ONE_OF(struct url_rewrite, authority_kind, AUTHORITY_PORT), .doc = "the host stays" },
};
static const struct schema authority_schema = SCHEMA(authority_rows, struct url_rewrite, .is_one_of = true);

static const struct schema_row path_rows[] = {
	{ "full", AS_TEXT(struct url_rewrite, path), ONE_OF(struct url_rewrite, path_kind, PATH_FULL),
	  .decode = decode_path, .value_doc = "path", .doc = "replaces the whole path" },
	{ "prefix", AS_TEXT(struct url_rewrite, path), ONE_OF(struct url_rewrite, path_kind, PATH_PREFIX),
	  .decode = decode_path, .value_doc = "path", .doc = "replaces the part that `pathPrefix` matched" },
};
static const struct schema path_schema = SCHEMA(path_rows, struct url_rewrite, .is_one_of = true);

#define AUTHORITY_WORDS                                                                                      \
	.word_base = AUTHORITY_AUTO, WORDS("auto", "none"), .form = FORM_WORD, .default_doc = "–"

/* For standalone files; manifests have another form: config/gatewayapi/filter.c. */
static const struct schema_row rewrite_rows[] = {
	{ "authority", AS_WORD(struct url_rewrite, authority_kind), AUTHORITY_WORDS,
	  .doc = "`auto`: the name of the backend; `none`: the client's, also if the backend is given by "
		 "name" },
	{ "authority", AS_SECTION(struct url_rewrite, &authority_schema), .form = FORM_MAP },
	{ "path", AS_SECTION(struct url_rewrite, &path_schema) },
};
static const struct schema rewrite_schema = SCHEMA(rewrite_rows, struct url_rewrite);

static bool decode_redirect_status(struct decoder *d, const struct yaml_node *node, void *ret)
{
	return value_redirect_status(d, node, ret);
}

static void check_redirect(struct decoder *d, const struct yaml_node *node, void *object)
{
	(void)object;
	if (node->count == 0)
		config_error(d->report, node,
			     "a redirect to the same place would never end; write scheme, authority or "
			     "path");
}

static const struct schema_row redirect_rows[] = {
	{ "scheme", AS_WORD_TEXT(struct redirect_policy, scheme), WORDS("http", "https"),
	  .dump = DUMP_NOT_ZERO, .doc = "of `Location`; by default that of the request" },
	{ "authority", AS_WORD(struct redirect_policy, url.authority_kind), AUTHORITY_WORDS,
	  .doc = "the client's" },
	{ "authority", AS_MAP(struct redirect_policy, url, &authority_schema, struct url_rewrite),
	  .form = FORM_MAP },
	{ "path", AS_MAP(struct redirect_policy, url, &path_schema, struct url_rewrite) },
	{ "status", AS_U16(struct redirect_policy, status), .decode = decode_redirect_status,
	  .default_value = 302, .dump = DUMP_NOT_ZERO, .value_doc = "301, 302, 303, 307, 308",
	  .doc = "of the response" },
};
static const struct schema redirect_schema =
	SCHEMA(redirect_rows, struct redirect_policy, .check = check_redirect);

/* -------------------------------------------------------------------------------- backend */

static const struct schema_row backend_http_rows[] = {
	{ "version", AS_WORD(struct backend_http, version), .word_base = BACKEND_HTTP1,
	  WORDS("HTTP/1.1", "HTTP/2.0"), MANIFEST_WORDS("HTTP1", "HTTP2"), .dump = DUMP_NULL,
	  .default_doc = "HTTP/2 for gRPC calls, otherwise HTTP/1.1",
	  .doc = "HTTP/2 is spoken without negotiation" },
	{ "requestTimeout", AS_OPT_DURATION(struct backend_http, request_timeout),
	  MANIFEST_AT_LEAST(NS_PER_MS), .default_doc = "the route's",
	  .doc = "replaces "
		 "`timeout.backendRequestTimeout` of the route" },
};
static const struct schema backend_http_schema = SCHEMA(backend_http_rows, struct backend_http);

static bool decode_connect_timeout(struct decoder *d, const struct yaml_node *node, void *ret)
{
	struct backend_tcp *policy = container_of(ret, struct backend_tcp, connect_timeout.ns);

	return value_connect_timeout(d, node, d->is_manifest ? 100 * NS_PER_MS : NS_PER_MS,
				     &policy->connect_timeout.ns, &policy->connect_timeout_as_object);
}

static void check_backend_tcp(struct decoder *d, const struct yaml_node *node, void *object)
{
	const struct backend_tcp *policy = object;

	if (!d->is_manifest && !policy->has_keepalives && !policy->connect_timeout.is_set)
		config_error(d->report, node, "says nothing; write keepalives, connectTimeout or both");
}

static const struct schema_row backend_tcp_rows[] = {
	{ "keepalives", AS_MAP(struct backend_tcp, keepalives, &keepalive_schema, struct keepalive_policy),
	  SET_BY(struct backend_tcp, has_keepalives), .style = STYLE_STANDALONE,
	  .default_doc = "`config.backend.keepalives`", .doc = KEEPALIVE_DOC },
	{ "keepalive", AS_MAP(struct backend_tcp, keepalives, &keepalive_schema, struct keepalive_policy),
	  SET_BY(struct backend_tcp, has_keepalives), .style = STYLE_MANIFEST },
	{ "connectTimeout", AS_OPT_DURATION(struct backend_tcp, connect_timeout), .style = STYLE_STANDALONE,
	  .decode = decode_connect_timeout, .default_doc = "`config.backend.connectTimeout`",
	  .value_doc = "`1ms` and more, or `{secs: 10, nanos: 0}`",
	  .doc = "all addresses of an attempt "
		 "together" },
	{ "connectTimeout", AS_OPT_DURATION(struct backend_tcp, connect_timeout), .style = STYLE_MANIFEST,
	  .decode = decode_connect_timeout },
};
static const struct schema backend_tcp_schema =
	SCHEMA(backend_tcp_rows, struct backend_tcp, .check = check_backend_tcp);

/* -------------------------------------------------------------------------------- kinds */

const struct schema *policy_schema(enum policy_kind kind)
{
	static const struct schema *const schemas[POLICY_KIND_COUNT] = {
		[POLICY_FRONTEND_HTTP] = &frontend_http_schema,
		[POLICY_FRONTEND_TCP] = &frontend_tcp_schema,
		[POLICY_FRONTEND_TLS] = &frontend_tls_schema,
		[POLICY_FRONTEND_CONNECT] = &frontend_connect_schema,
		[POLICY_FRONTEND_PROXY] = &frontend_proxy_schema,
		[POLICY_NETWORK_AUTHORIZATION] = &network_authorization_schema,
		[POLICY_NETWORK_EXT_AUTHZ] = &network_ext_authz_schema,
		[POLICY_FRONTEND_ACCESS_LOG] = &access_log_schema,
		[POLICY_FRONTEND_METRICS] = &metrics_schema,
		[POLICY_FRONTEND_TRACING] = &tracing_schema,
		[POLICY_TIMEOUT] = &timeout_schema,
		[POLICY_RETRY] = &retry_schema,
		[POLICY_DELAY] = &delay_schema,
		[POLICY_REQUEST_HEADERS] = &header_schema,
		[POLICY_RESPONSE_HEADERS] = &header_schema,
		[POLICY_REDIRECT] = &redirect_schema,
		[POLICY_URL_REWRITE] = &rewrite_schema,
		[POLICY_DIRECT_RESPONSE] = &direct_schema,
		[POLICY_CORS] = &cors_schema,
		[POLICY_JWT_AUTH] = &jwt_auth_schema,
		[POLICY_BASIC_AUTH] = &basic_auth_schema,
		[POLICY_API_KEY] = &api_key_schema,
		[POLICY_EXT_AUTHZ] = &ext_authz_schema,
		[POLICY_REMOTE_RATE_LIMIT] = &remote_limit_schema,
		[POLICY_AUTHORIZATION] = &authorization_schema,
		[POLICY_LIMITS] = &limits_schema,
		[POLICY_BUFFER] = &buffer_schema,
		[POLICY_TRANSFORMATION] = &transformation_schema,
		[POLICY_CSRF] = &csrf_schema,
		[POLICY_SESSION_PERSISTENCE] = &session_schema,
		[POLICY_BACKEND_EXT_AUTHZ] = &ext_authz_schema,
		[POLICY_BACKEND_AUTHORIZATION] = &backend_authorization_schema,
		[POLICY_BACKEND_HTTP] = &backend_http_schema,
		[POLICY_BACKEND_TCP] = &backend_tcp_schema,
		[POLICY_BACKEND_TLS] = &backend_tls_schema,
		[POLICY_BACKEND_AUTH] = &backend_auth_schema,
		[POLICY_BACKEND_TRANSFORMATION] = &backend_transformation_schema,
		[POLICY_MCP_AUTHORIZATION] = &mcp_authorization_schema,
		[POLICY_MCP_AUTHENTICATION] = &mcp_authentication_schema,
		[POLICY_BACKEND_HEALTH] = &health_schema,
		[POLICY_CIRCUIT_BREAKER] = &circuit_breaker_schema,
		[POLICY_BACKEND_PROXY] = &backend_proxy_schema,
		[POLICY_LOAD_BALANCER] = &load_balancer_schema,
		[POLICY_SESSION_AFFINITY] = &session_affinity_schema,
	};

	return schemas[kind];
}

const void *policy_value(struct decoder *d, const struct yaml_node *node, enum policy_kind kind)
{
	const struct schema *schema = policy_schema(kind);

	if (kind == POLICY_DIRECT_RESPONSE)
		return value_direct(d, node);
	if (kind == POLICY_TRANSFORMATION)
		return value_transformation(d, node);
	if (kind == POLICY_LOCAL_RATE_LIMIT)
		return rate_limit_value(d, node);
	if (d->is_manifest && kind == POLICY_FRONTEND_METRICS)
		schema = &manifest_metrics_schema;
	return schema_decode_new(d, node, schema);
}
