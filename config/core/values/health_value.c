/* SPDX-License-Identifier: Apache-2.0 */
#include "config/core/values/health_value.h"

#include "config/core/values/values.h"
#include "user/base/base64.h"
#include "user/base/check.h"
#include "user/base/limits.h"
#include "user/base/units.h"

/* -------------------------------------------------------------------------------- payloads */

static bool decode_binary(struct decoder *d, const struct yaml_node *node, struct span *ret)
{
	struct span text;
	char *bytes;
	ssize_t len;

	if (!decode_string(d, node, &text))
		return false;
	bytes = decode_take(d, text.len / 4 * 3 + 3, 1);
	if (!bytes)
		return false;
	len = base64_decode(text, bytes);
	if (len < 0) {
		config_error(d->report, node, "is not base64; write the bytes in base64, or use `text`");
		return false;
	}
	*ret = span_of(bytes, (size_t)len);
	return true;
}

/* {text: …} or {binary: …}; `type`, which Envoy Gateway requires, must agree. */
static bool decode_payload(struct decoder *d, const struct yaml_node *node, void *ret)
{
	static const struct decode_key keys[] = { KEY("type"), KEY("text"), KEY("binary") };
	static const char *const types[] = { "Text", "Binary" }, *const names[] = { "text", "binary" };
	const struct yaml_node *type = decode_get(node, "type"), *value;
	unsigned index, wanted;
	struct span bytes;

	if (!DECODE_MAP(d, node, keys))
		return false;
	value = decode_choice(d, node, names, ARRAY_LEN(names), &index);
	if (!value)
		return false;
	if (DECODE_WORD(d, type, types, &wanted) && wanted != index) {
		config_error(d->report, type, "does not agree with `%s`; write type: %s, or leave it out",
			     names[index], types[index]);
		return false;
	}
	if (!(index ? decode_binary(d, value, &bytes) : decode_string(d, value, &bytes)))
		return false;
	if (bytes.len == 0 || bytes.len > LIMIT_HEALTH_PAYLOAD_BYTES) {
		config_error(d->report, value, "has %zu bytes; write 1 to %d", bytes.len,
			     (int)LIMIT_HEALTH_PAYLOAD_BYTES);
		return false;
	}
	*(struct span *)ret = decode_keep(d, bytes);
	return ((struct span *)ret)->data != NULL;
}

#define PAYLOAD(object, member)                                                                              \
	AS_BYTES(object, member), .decode = decode_payload, .dump = DUMP_NOT_ZERO,                           \
				  .value_doc = "`{text: …}` or `{binary: …}` in base64"

/* -------------------------------------------------------------------------------- kinds of checks */

/* With a query, unlike the paths of matches. */
static bool decode_check_path(struct decoder *d, const struct yaml_node *node, void *ret)
{
	struct span path;

	if (!decode_name(d, node, &path))
		return false;
	for (size_t i = 0; i < path.len; i++) {
		if (path.data[i] > ' ' && path.data[i] < 0x7f && path.data[i] != '#')
			continue;
		config_error(d->report, node, "%s has a character that no path has; encode it with %%",
			     QUOTE(path));
		return false;
	}
	if (path.data[0] != '/') {
		config_error(d->report, node, "%s does not start with /; write a path such as /healthz",
			     QUOTE(path));
		return false;
	}
	*(struct span *)ret = path;
	return true;
}

static bool decode_check_host(struct decoder *d, const struct yaml_node *node, void *ret)
{
	return value_hostname(d, node, false, ret);
}

static bool decode_expected(struct decoder *d, const struct yaml_node *node, void *ret)
{
	struct http_check *http = container_of(ret, struct http_check, expected_list);

	if (!value_codes(d, node, &http->expected_list, &http->expected_count))
		return false;
	if (http->expected_count == 0)
		config_error(d->report, node, "has no status; write one such as [200], or leave it out");
	return true;
}

static bool decode_retriable(struct decoder *d, const struct yaml_node *node, void *ret)
{
	struct http_check *http = container_of(ret, struct http_check, retriable_list);

	return value_codes(d, node, &http->retriable_list, &http->retriable_count);
}

#define STATUSES(list, count)                                                                                \
	AS_LIST(SCHEMA_CODES, struct http_check, list, count, uint16_t), .dump = DUMP_NOT_ZERO,              \
									 .value_doc = "list of statuses"

static const struct schema_row http_rows[] = {
	{ "hostname", AS_TEXT(struct http_check, hostname), .decode = decode_check_host,
	  .dump = DUMP_NOT_ZERO, .value_doc = "name or address",
	  .default_doc = "name and port of the backend, or the address of the endpoint",
	  .doc = "`Host` of the check" },
	{ "path", AS_TEXT(struct http_check, path), .default_text = "/", .decode = decode_check_path,
	  .value_doc = "path", .doc = "may have a query" },
	{ "method", AS_WORD_TEXT(struct http_check, method), .default_text = "GET",
	  WORDS("GET", "HEAD", "POST", "PUT", "OPTIONS"), .doc = "of the check" },
	{ "expectedStatuses", STATUSES(expected_list, expected_count), .decode = decode_expected,
	  .default_doc = "`[200]`", .doc = "a check passes if the response has one of these statuses" },
	{ "retriableStatuses", STATUSES(retriable_list, retriable_count), .decode = decode_retriable,
	  .default_doc = "`[]`",
	  .doc = "count for `unhealthyThreshold`, as no response does; with any other status that is not "
		 "expected the endpoint is unhealthy at once" },
	{ "expectedResponse", PAYLOAD(struct http_check, expected_response), .default_doc = "any",
	  .doc = "must be in the first 64 KiB of the body" },
	{ "requestBody", PAYLOAD(struct http_check, request_body), .default_doc = "none",
	  .doc = "of the check; for POST and PUT" },
};

static void check_http(struct decoder *d, const struct yaml_node *node, void *object)
{
	const struct http_check *http = object;
	bool has_body = span_eq(http->method, SPAN("POST")) || span_eq(http->method, SPAN("PUT"));

	if (http->request_body.len && !has_body)
		config_error(d->report, decode_get(node, "requestBody"),
			     "is not sent with %.*s; write method: POST", SPAN_FMT(http->method));
	if (http->expected_response.len && span_eq(http->method, SPAN("HEAD")))
		config_error(d->report, decode_get(node, "expectedResponse"),
			     "cannot be found, because a response to HEAD has no body; write method: GET");
}

static const struct schema http_schema = SCHEMA(http_rows, struct http_check, .check = check_http);

static const struct schema_row tcp_rows[] = {
	{ "send", PAYLOAD(struct tcp_check, send), .default_doc = "nothing",
	  .doc = "after the connect, and the handshake of TLS" },
	{ "receive", PAYLOAD(struct tcp_check, receive), .default_doc = "a connection is enough",
	  .doc = "must be in the first 64 KiB that the endpoint sends" },
};
static const struct schema tcp_schema = SCHEMA(tcp_rows, struct tcp_check);

static const struct schema_row grpc_rows[] = {
	{ "service", AS_TEXT(struct health_check, grpc_service), .dump = DUMP_NOT_ZERO,
	  .default_doc = "the server as a whole", .doc = "`service` of the request" },
};
static const struct schema grpc_schema = SCHEMA(grpc_rows, struct health_check);

static const struct schema_row override_rows[] = {
	{ "port", AS_U16(struct health_check, port), RANGE(1, UINT16_MAX), .dump = DUMP_NOT_ZERO,
	  .value_doc = "1..65535", .default_doc = "that of the endpoint", .doc = "where checks go" },
};
static const struct schema override_schema = SCHEMA(override_rows, struct health_check);

/* -------------------------------------------------------------------------------- active */

static void check_section(struct decoder *d, const struct yaml_node *node, const char *key,
			  const char *type_name, bool is_of_type)
{
	const struct yaml_node *section = decode_get(node, key);

	if (section && !is_of_type)
		config_error(d->report, section,
			     "is for checks of type: %s; write that type, or leave it out", type_name);
}

static void check_active(struct decoder *d, const struct yaml_node *node, void *object)
{
	const struct health_check *check = object;

	if (check->type == HEALTH_CHECK_UNSET)
		return;
	check_section(d, node, "http", "HTTP", check->type == HEALTH_CHECK_HTTP);
	check_section(d, node, "tcp", "TCP", check->type == HEALTH_CHECK_TCP);
	check_section(d, node, "grpc", "GRPC", check->type == HEALTH_CHECK_GRPC);
}

#define CHECK_INTERVAL AT_LEAST(10 * NS_PER_MS)

static const struct schema_row active_rows[] = {
	{ "timeout", AS_DURATION(struct health_check, timeout_ns), AT_LEAST(NS_PER_MS),
	  .default_value = NS_PER_S, .doc = "of a check, with its connection" },
	{ "interval", AS_DURATION(struct health_check, interval_ns), CHECK_INTERVAL,
	  .default_value = 3 * NS_PER_S,
	  .doc = "from one check of an endpoint to the next, a tenth shorter or longer at random" },
	{ "healthyInterval", AS_OPT_DURATION(struct health_check, healthy_interval), CHECK_INTERVAL,
	  .default_doc = "`interval`", .doc = "the same while the last check passed" },
	{ "initialJitter", AS_OPT_DURATION(struct health_check, initial_jitter),
	  .default_doc = "1 ms for each checked endpoint, at most `interval`",
	  .doc = "the first check begins within this time, at random" },
	{ "unhealthyThreshold", AS_U32(struct health_check, unhealthy_threshold), RANGE(1, INT32_MAX),
	  .default_value = 3, .value_doc = "1 and more",
	  .doc = "consecutive failed checks that make an endpoint unhealthy; the first check decides alone" },
	{ "healthyThreshold", AS_U32(struct health_check, healthy_threshold), RANGE(1, INT32_MAX),
	  .default_value = 1, .value_doc = "1 and more",
	  .doc = "consecutive passed checks that make it healthy" },
	{ "type", AS_WORD(struct health_check, type), .word_base = HEALTH_CHECK_HTTP,
	  WORDS("HTTP", "TCP", "GRPC"), .need = "write type: HTTP, TCP or GRPC",
	  .doc = "`GRPC`: `grpc.health.v1.Health/Check`" },
	{ "http", AS_MAP(struct health_check, http, &http_schema, struct http_check),
	  SET_BY(struct health_check, has_http) },
	{ "tcp", AS_MAP(struct health_check, tcp, &tcp_schema, struct tcp_check),
	  SET_BY(struct health_check, has_tcp) },
	{ "grpc", AS_SECTION(struct health_check, &grpc_schema), SET_BY(struct health_check, has_grpc) },
	{ "overrides", AS_SECTION(struct health_check, &override_schema),
	  SET_BY(struct health_check, has_overrides) },
};
const struct schema health_active_schema = SCHEMA(active_rows, struct health_check, .check = check_active,
						  .example = "{type: HTTP, http: {path: /healthz}}");

/* -------------------------------------------------------------------------------- passive */

#define CONSECUTIVE .range = { 0, INT32_MAX }, .value_doc = "0 and more; `0`: any number"

static const struct schema_row passive_rows[] = {
	{ "interval", AS_DURATION(struct passive_policy, interval_ns), AT_LEAST(NS_PER_MS),
	  .default_value = 3 * NS_PER_S, .doc = "in which `failurePercentageThreshold` counts" },
	{ "consecutiveGatewayErrors", AS_U32(struct passive_policy, gateway_errors), CONSECUTIVE,
	  .doc = "consecutive failures with 502, 503 or 504, or without a response, that eject" },
	{ "consecutive5XxErrors", AS_U32(struct passive_policy, server_errors), CONSECUTIVE,
	  .default_value = 5, .doc = "consecutive failures of any kind that eject" },
	{ "consecutiveLocalOriginFailures", AS_U32(struct passive_policy, local_failures), CONSECUTIVE,
	  .default_value = 5,
	  .doc = "consecutive attempts without a response that eject; only with the next key" },
	{ "splitExternalLocalOriginErrors", AS_BOOL(struct passive_policy, splits_local),
	  .doc = "`true`: attempts without a response count for `consecutiveLocalOriginFailures` only" },
	{ "baseEjectionTime", AS_DURATION(struct passive_policy, base_ejection.ns), AT_LEAST(NS_PER_MS),
	  .default_value = 30 * NS_PER_S,
	  .doc = "least length of the first ejection; the second is twice as long, and so on. It ends when a "
		 "check passes" },
	{ "maxEjectionPercent", AS_U32(struct passive_policy, most_percent), RANGE(0, 100),
	  .default_value = 10, .value_doc = "0..100",
	  .doc = "of the backend's endpoints that are ejected at a time; never the last one that works" },
	{ "failurePercentageThreshold", AS_U32(struct passive_policy, failure_percent), RANGE(0, 100),
	  .value_doc = "0..100; `0`: any share",
	  .doc = "an endpoint whose share of failures in an interval reaches it is ejected" },
	{ "failurePercentageVolume", AS_U32(struct passive_policy, failure_volume), RANGE(1, INT32_MAX),
	  .default_value = 50, .value_doc = "1 and more",
	  .doc = "outcomes in the interval that such a share needs" },
	{ "alwaysEjectOneEndpoint", AS_BOOL(struct passive_policy, always_one), .default_value = true,
	  .doc = "one may be ejected although it is more than `maxEjectionPercent`" },
};

static void check_passive(struct decoder *d, const struct yaml_node *node, void *object)
{
	struct passive_policy *passive = object;

	passive->base_ejection.is_set = true;
	if (!passive->gateway_errors && !passive->server_errors && !passive->failure_percent &&
	    !(passive->splits_local && passive->local_failures))
		config_error(d->report, node,
			     "ejects nothing; write consecutive5XxErrors, consecutiveGatewayErrors or "
			     "failurePercentageThreshold");
	if (passive->most_percent == 0 && !passive->always_one)
		config_error(d->report, node,
			     "ejects nothing; write maxEjectionPercent of 1 or more, or "
			     "alwaysEjectOneEndpoint: true");
}

const struct schema health_passive_schema =
	SCHEMA(passive_rows, struct passive_policy, .check = check_passive);
