/* SPDX-License-Identifier: Apache-2.0 */
#include "config/policy_value.h"

#include "config/values.h"
#include "policy/effective.h"
#include "user/base/check.h"
#include "user/base/limits.h"

#define NS_PER_MS 1000000ull
#define NS_PER_S 1000000000ull

/* -------------------------------------------------------------------------------- frontend */

const void *policy_value_frontend_http(struct decoder *d, const struct yaml_node *node)
{
	static const struct decode_key keys[] = {
		KEY("maxBufferSize"),
		KEY("http1MaxHeaders"),
		KEY("http1IdleTimeout"),
		KEY("http2WindowSize"),
		KEY("http2ConnectionWindowSize"),
		KEY("http2FrameSize"),
		KEY("http2KeepaliveInterval"),
		KEY("http2KeepaliveTimeout"),
		KEY_LATER("http1HeaderCase"),
		KEY_LATER("http2MaxHeaderSize"),
		KEY_REFUSED("maxConnectionDuration",
			    "is not supported yet; use config.timeouts.maxConnectionAge"),
	};
	/* The CRD asks for whole seconds and more; files may go down to a millisecond. */
	uint64_t least_ns = d->is_manifest ? NS_PER_S : NS_PER_MS;
	const struct yaml_node *ping_timeout = decode_get(node, "http2KeepaliveTimeout");
	struct frontend_http *policy;
	struct opt_duration idle;

	if (!DECODE_MAP(d, node, keys))
		return NULL;
	policy = decode_take(d, 1, sizeof(*policy));
	if (!policy)
		return NULL;
	*policy = frontend_http_default;
	decode_u64(d, decode_get(node, "maxBufferSize"), 1, UINT32_MAX, &policy->max_buffer_bytes);
	decode_opt_u64(d, decode_get(node, "http1MaxHeaders"), 1, LIMIT_HEADERS_MAX,
		       &policy->http1_max_headers);
	if (decode_opt_duration(d, decode_get(node, "http1IdleTimeout"), least_ns, &idle))
		policy->http1_idle_timeout_ns = idle.ns;
	/* RFC 9113 6.5.2 and 6.9.1 */
	decode_opt_u64(d, decode_get(node, "http2WindowSize"), 1, INT32_MAX, &policy->http2_window_bytes);
	decode_opt_u64(d, decode_get(node, "http2ConnectionWindowSize"), 1, INT32_MAX,
		       &policy->http2_connection_window_bytes);
	decode_opt_u64(d, decode_get(node, "http2FrameSize"), 16384, 16777215, &policy->http2_frame_bytes);
	decode_opt_duration(d, decode_get(node, "http2KeepaliveInterval"), least_ns,
			    &policy->http2_keepalive_interval);
	decode_opt_duration(d, ping_timeout, least_ns, &policy->http2_keepalive_timeout);
	if (ping_timeout && !decode_get(node, "http2KeepaliveInterval"))
		config_warning(d->report, ping_timeout,
			       "has no effect: it is how long a PING may stay unanswered, and none is sent; "
			       "write http2KeepaliveInterval too");
	return policy;
}

const void *policy_value_frontend_tcp(struct decoder *d, const struct yaml_node *node)
{
	static const struct decode_key standalone_keys[] = { KEY("keepalives") };
	static const struct decode_key manifest_keys[] = { KEY("keepalive") };
	const struct yaml_node *keepalives;
	struct frontend_tcp *policy;

	if (!(d->is_manifest ? DECODE_MAP(d, node, manifest_keys) : DECODE_MAP(d, node, standalone_keys)))
		return NULL;
	policy = decode_take(d, 1, sizeof(*policy));
	if (!policy)
		return NULL;
	policy->keepalives = value_keepalive_default();
	keepalives = d->is_manifest ? decode_need(d, node, "keepalive",
						  "write keepalive: {time: ..., interval: ..., retries: ...}")
				    : decode_need(d, node, "keepalives",
						  "write keepalives: {} to switch the defaults on");
	value_keepalive(d, keepalives, &policy->keepalives);
	return policy;
}

const void *policy_value_frontend_connect(struct decoder *d, const struct yaml_node *node)
{
	static const struct decode_key keys[] = { KEY("mode") };
	/* In the order of enum connect_mode. */
	static const char *const standalone_words[] = { "deny", "route" };
	static const char *const manifest_words[] = { "Deny", "Route" };
	struct frontend_connect *policy;
	const struct yaml_node *mode;
	unsigned index;

	if (!DECODE_MAP(d, node, keys))
		return NULL;
	policy = decode_take(d, 1, sizeof(*policy));
	mode = decode_need(d, node, "mode",
			   "say whether CONNECT requests are refused or become tunnels to the backends of "
			   "routes");
	if (!policy || !decode_word(d, mode, d->is_manifest ? manifest_words : standalone_words, 2, &index))
		return NULL;
	policy->mode = (enum connect_mode)index;
	return policy;
}

const void *policy_value_access_log(struct decoder *d, const struct yaml_node *remove)
{
	struct access_log_policy *policy = decode_take(d, 1, sizeof(*policy));

	if (!policy || !decode_list(d, remove))
		return policy;
	policy->remove_list = decode_take(d, remove->count, sizeof(struct span));
	if (!policy->remove_list)
		return NULL;
	yaml_each(child, remove)
		if (decode_name(d, child, &policy->remove_list[policy->remove_count]))
			policy->remove_count++;
	return policy;
}

/* -------------------------------------------------------------------------------- traffic */

const void *policy_value_direct_response(struct decoder *d, const struct yaml_node *node)
{
	static const struct decode_key keys[] = { KEY("status"), KEY("body"), KEY_LATER("bodyExpression"),
						  KEY_LATER("headers") };
	struct direct_response *policy;
	uint32_t status = 200;

	if (!DECODE_MAP(d, node, keys))
		return NULL;
	policy = decode_take(d, 1, sizeof(*policy));
	if (!policy)
		return NULL;
	decode_u32(d, decode_need(d, node, "status", "write the status code, as in status: 503"), 200, 599,
		   &status);
	policy->status = (uint16_t)status;
	if (decode_string(d, decode_get(node, "body"), &policy->body))
		policy->body = decode_keep(d, policy->body);
	/* RFC 9110 15.3.5, 15.4.5 */
	if (policy->body.len && (status == 204 || status == 304))
		config_error(d->report, node, "a response with status %u has no body; remove body", status);
	return policy;
}

void policy_value_removals(struct decoder *d, const struct yaml_node *list, struct header_modifier *modifier)
{
	if (!decode_list(d, list))
		return;
	modifier->remove_list = decode_take(d, list->count, sizeof(struct span));
	if (!modifier->remove_list)
		return;
	yaml_each(child, list) {
		struct span name;

		if (decode_string(d, child, &name) &&
		    value_header_name(d, child, name, &modifier->remove_list[modifier->remove_count]))
			modifier->remove_count++;
	}
}

/* -------------------------------------------------------------------------------- backend */

const void *policy_value_backend_http(struct decoder *d, const struct yaml_node *node)
{
	static const struct decode_key keys[] = { KEY("version"), KEY("requestTimeout") };
	static const char *const standalone_words[] = { "HTTP/1.1", "HTTP/2.0" };
	static const char *const manifest_words[] = KEY_REFUSED("HTTP1", "HTTP2");
	const struct yaml_node *version = decode_get(node, "version");
	struct backend_http *policy;
	unsigned index;

	if (!DECODE_MAP(d, node, keys))
		return NULL;
	policy = decode_take(d, 1, sizeof(*policy));
	if (!policy)
		return NULL;
	if (d->is_manifest ? DECODE_WORD(d, version, manifest_words, &index)
			   : DECODE_WORD(d, version, standalone_words, &index))
		policy->version = index == 0 ? BACKEND_HTTP1 : BACKEND_HTTP2;
	decode_opt_duration(d, decode_get(node, "requestTimeout"), d->is_manifest ? NS_PER_MS : 0,
			    &policy->request_timeout);
	return policy;
}

/* Standalone files have to write both members, even if only {}. */
const void *policy_value_backend_tcp(struct decoder *d, const struct yaml_node *node)
{
	static const struct decode_key standalone_keys[] = { KEY("keepalives"), KEY("connectTimeout") };
	static const struct decode_key manifest_keys[] = { KEY("keepalive"), KEY("connectTimeout") };
	const struct yaml_node *keepalives = decode_get(node, "keepalive"),
			       *timeout = decode_get(node, "connectTimeout");
	struct backend_tcp *policy;

	if (!(d->is_manifest ? DECODE_MAP(d, node, manifest_keys) : DECODE_MAP(d, node, standalone_keys)))
		return NULL;
	if (!d->is_manifest) {
		keepalives = decode_need(d, node, "keepalives", "write keepalives: {} to keep the defaults");
		timeout = decode_need(d, node, "connectTimeout", "write one such as connectTimeout: 10s");
	}
	policy = decode_take(d, 1, sizeof(*policy));
	if (!policy)
		return NULL;
	policy->keepalives = value_keepalive_default();
	value_keepalive(d, keepalives, &policy->keepalives);
	policy->connect_timeout.is_set =
		value_connect_timeout(d, timeout, d->is_manifest ? 100 * NS_PER_MS : NS_PER_MS,
				      &policy->connect_timeout.ns, &policy->connect_timeout_as_object);
	return policy;
}
