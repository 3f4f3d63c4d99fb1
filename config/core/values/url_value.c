/* SPDX-License-Identifier: Apache-2.0 */
#include "config/core/values/url_value.h"

#include "config/core/values/mcp_value.h"
#include "config/core/values/tls_value.h"
#include "config/core/values/values.h"
#include "user/base/check.h"

struct backend *url_host(struct decoder *d, struct span host, uint16_t port, struct span name)
{
	struct backend *backend = build_backend(build_of(d));
	struct endpoint *endpoint = decode_take(d, 1, sizeof(*endpoint));

	if (!backend || !endpoint || !value_endpoint(d, host, port, endpoint))
		return NULL;
	backend->kind = BACKEND_HOST;
	backend->name = name;
	backend->target = endpoint->text;
	backend->is_listed = true;
	backend->authority = value_authority(d, endpoint->host, port);
	backend->endpoint_list = endpoint;
	backend->endpoint_count = 1;
	return backend->authority.data ? backend : NULL;
}

/* https: verified with the authorities of the system. */
static bool add_tls(struct decoder *d, const struct yaml_node *node, struct backend *backend)
{
	const struct backend_tls *tls = tls_value_default(d, node);

	if (!tls || !build_values(d, &backend->inline_policies, 1))
		return false;
	build_value(&backend->inline_policies, POLICY_BACKEND_TLS, tls);
	return true;
}

bool url_decode(struct decoder *d, const struct yaml_node *node, struct span text, struct span name,
		struct url_target *ret)
{
	struct backend target = { 0 };
	bool is_tls = span_starts(text, SPAN("https://"));
	struct span path = SPAN("/"), authority;
	struct yaml_node at = *node;
	ptrdiff_t slash;

	if (is_tls)
		text = span_from(text, 8);
	else if (span_starts(text, SPAN("http://")))
		text = span_from(text, 7);
	slash = span_find(text, '/');
	authority = slash < 0 ? text : span_first(text, (size_t)slash);
	if (slash >= 0)
		path = span_from(text, (size_t)slash);
	if (span_ends(authority, SPAN(":")) && span_starts(path, SPAN("//"))) {
		config_error(d->report, node,
			     "%s has a scheme other than http:// and https://; write one of these",
			     QUOTE(text));
		return false;
	}
	if (span_find(authority, ':') < 0 && authority.len)
		authority = decode_text(d, "%.*s:%u", SPAN_FMT(authority), is_tls ? 443 : 80);
	at.kind = YAML_SCALAR;
	at.is_quoted = true;
	at.text = authority;
	if (!mcp_value_path(d, node, path) || !value_target(d, &at, &target))
		return false;
	ret->path = decode_keep(d, path);
	ret->backend = url_host(d, target.endpoint_list[0].host, target.endpoint_list[0].port, name);
	return ret->path.data && ret->backend && (!is_tls || add_tls(d, node, ret->backend));
}
