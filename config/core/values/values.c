/* SPDX-License-Identifier: Apache-2.0 */
#include "config/core/values/values.h"

#include <stdlib.h>

#include "policy/headers.h"
#include "user/base/check.h"
#include "user/base/limits.h"
#include "user/base/char_class.h"
#include "user/base/units.h"

static bool keep_text(struct decoder *d, struct span s, struct span *ret)
{
	s = decode_keep(d, s);
	if (!s.data)
		return false;
	*ret = s;
	return true;
}

/* -------------------------------------------------------------------------------- host names and targets */

static bool is_alnum(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

/* Labels of letters, digits, - and _ (for internal names), not empty, at most 63 bytes; 253 in total. */
bool value_is_hostname(struct span s)
{
	struct span rest = s, label;

	if (s.len == 0 || s.len > 253)
		return false;
	if (s.len > 1 && s.data[s.len - 1] == '.')
		rest = span_first(s, s.len - 1);
	while (span_split(&rest, '.', &label)) {
		if (label.len == 0 || label.len > 63 || label.data[0] == '-' ||
		    label.data[label.len - 1] == '-')
			return false;
		for (size_t i = 0; i < label.len; i++)
			if (!is_alnum(label.data[i]) && label.data[i] != '-' && label.data[i] != '_')
				return false;
	}
	return true;
}

bool value_protocol_supported(struct decoder *d, const struct yaml_node *node)
{
	static const char *const words[] = { "UDP", "HBONE" };
	static const char *const advices[] = {
		"use HTTP, HTTPS, TCP or TLS",
		"write HTTPS or TLS with authorities of clients, which proves who connects as HBONE does",
	};
	struct span word = node && node->kind == YAML_SCALAR ? node->text : (struct span){ 0 };

	for (size_t i = 0; i < ARRAY_LEN(words); i++) {
		if (!span_eq_nocase(word, span_str(words[i])))
			continue;
		if (d->is_manifest)
			config_warning(d->report, node,
				       "this listener is not served: %s is not supported yet; %s", words[i],
				       advices[i]);
		else
			config_error(d->report, node, "%s listeners are not supported yet; %s", words[i],
				     advices[i]);
		return false;
	}
	return true;
}

/* Reports "user:password@". The text may contain a password: the message does not repeat it. */
static bool has_user(struct decoder *d, const struct yaml_node *node, struct span s)
{
	size_t scheme = span_starts(s, SPAN("https://")) ? 8 : span_starts(s, SPAN("http://")) ? 7 : 0;
	ptrdiff_t slash;

	s = span_from(s, scheme);
	slash = span_find(s, '/');
	if (span_find(slash < 0 ? s : span_first(s, (size_t)slash), '@') < 0)
		return false;
	config_error(
		d->report, node,
		"user and password in an address are not supported; write the address alone, and set the "
		"header Authorization with requestHeaderModifier");
	return true;
}

bool value_hostname(struct decoder *d, const struct yaml_node *node, bool has_wildcard, struct span *ret)
{
	struct span s, name;

	if (!decode_string(d, node, &s))
		return false;
	name = s;
	if (has_wildcard && span_starts(s, SPAN("*.")))
		name = span_from(s, 2);
	if (!value_is_hostname(name)) {
		if (has_user(d, node, s))
			return false;
		if (span_find(s, ':') >= 0)
			config_error(d->report, node,
				     "%s is not a host name; write the name alone, without scheme and port",
				     QUOTE(s));
		else if (span_find(s, '*') >= 0)
			config_error(d->report, node,
				     "%s: a wildcard stands alone in front, as in *.example.com", QUOTE(s));
		else
			config_error(d->report, node,
				     "%s is not a host name; write one such as www.example.com%s", QUOTE(s),
				     has_wildcard ? " or *.example.com" : "");
		return false;
	}
	if (s.data[s.len - 1] == '.')
		s = span_first(s, s.len - 1);
	s = decode_lower(d, s);
	if (!s.data)
		return false;
	*ret = s;
	return true;
}

static bool parse_port(struct span s, uint16_t *ret)
{
	uint64_t port;

	if (span_parse_u63(s, &port) < 0 || port < 1 || port > UINT16_MAX)
		return false;
	*ret = (uint16_t)port;
	return true;
}

struct span value_authority(struct decoder *d, struct span host, uint16_t port)
{
	const char *open = span_find(host, ':') >= 0 ? "[" : "", *close = *open ? "]" : "";

	if (port == 80)
		return decode_text(d, "%s%.*s%s", open, SPAN_FMT(host), close);
	return decode_text(d, "%s%.*s%s:%u", open, SPAN_FMT(host), close, port);
}

bool value_endpoint(struct decoder *d, struct span host, uint16_t port, struct endpoint *ret)
{
	struct endpoint endpoint = { .port = port, .weight = 1 };
	bool is_v6 = span_find(host, ':') >= 0;

	endpoint.is_resolved = address_parse_ip(host, port, &endpoint.address) == 0;
	endpoint.host = decode_lower(d, host);
	endpoint.text = decode_text(d, is_v6 ? "[%.*s]:%u" : "%.*s:%u", SPAN_FMT(endpoint.host), port);
	if (!endpoint.host.data || !endpoint.text.data)
		return false;
	*ret = endpoint;
	return true;
}

static bool target_unix(struct decoder *d, const struct yaml_node *node, struct span s,
			struct backend *backend)
{
	struct endpoint *endpoint;
	struct address address;
	struct span path = span_from(s, 5);

	if (path.len == 0 || path.data[0] != '/' || address_set_unix(&address, path) < 0) {
		config_error(d->report, node,
			     "%s is not a usable socket path; write unix:/path with an absolute path of at "
			     "most 107 bytes",
			     QUOTE(s));
		return false;
	}
	endpoint = decode_take(d, 1, sizeof(*endpoint));
	s = decode_keep(d, s);
	if (!endpoint || !s.data)
		return false;
	*endpoint = (struct endpoint){ .text = s, .is_resolved = true, .address = address, .weight = 1 };
	backend->kind = BACKEND_UNIX;
	backend->target = s;
	backend->endpoint_list = endpoint;
	backend->endpoint_count = 1;
	return true;
}

/* Do not suggest the name of an https URL alone: its requests would be sent in plaintext. */
static void report_url(struct decoder *d, const struct yaml_node *node, struct span s)
{
	if (span_starts(s, SPAN("https:")))
		config_error(d->report, node,
			     "%s is a URL; write only name:port, 443 for https, and backendTLS: {} in the "
			     "policies of the backend",
			     QUOTE(s));
	else
		config_error(d->report, node, "%s is a URL; write only name:port", QUOTE(s));
}

/* Splits "host:port" or "[v6]:port"; reports other texts. */
static bool split_target(struct decoder *d, const struct yaml_node *node, struct span s,
			 struct span *ret_host, struct span *ret_port)
{
	ptrdiff_t colon = span_find(s, ':');
	struct address address;

	if (s.len && s.data[0] == '[') {
		ptrdiff_t end = span_find(s, ']');

		if (end > 0 && (size_t)end + 1 < s.len && s.data[end + 1] == ':') {
			*ret_host = span_of(s.data + 1, (size_t)end - 1);
			*ret_port = span_from(s, (size_t)end + 2);
			return true;
		}
		config_error(d->report, node, "%s is not a target; write an IPv6 address as [::1]:8080",
			     QUOTE(s));
		return false;
	}
	if (address_parse_ip(s, 0, &address) == 0 && address.any.sa_family == AF_INET6) {
		config_error(d->report, node,
			     "%s is an IPv6 address without a port; write it in brackets, as in [%.*s]:8080",
			     QUOTE(s), SPAN_FMT(s));
		return false;
	}
	if (colon >= 0 && span_find(span_from(s, (size_t)colon + 1), ':') >= 0) {
		if (span_find(s, '/') >= 0)
			report_url(d, node, s);
		else
			config_error(d->report, node,
				     "%s has more than one colon; write an IPv6 address in brackets, as in "
				     "[2001:db8::1]:8080",
				     QUOTE(s));
		return false;
	}
	if (colon < 0) {
		config_error(d->report, node, "%s has no port; write name:port, as in %.*s:8080", QUOTE(s),
			     SPAN_FMT(span_first(s, 60)));
		return false;
	}
	*ret_host = span_first(s, (size_t)colon);
	*ret_port = span_from(s, (size_t)colon + 1);
	return true;
}

/* `host` without the brackets that `written` may have: only an address has them. */
static bool set_host(struct decoder *d, const struct yaml_node *node, struct span written, struct span host,
		     uint16_t port, struct backend *backend)
{
	struct endpoint *endpoint = decode_take(d, 1, sizeof(*endpoint));

	if (!endpoint || !value_endpoint(d, host, port, endpoint))
		return false;
	if (!endpoint->is_resolved && (written.data[0] == '[' || !value_is_hostname(host))) {
		config_error(d->report, node, "%s is neither a host name nor an address", QUOTE(host));
		return false;
	}
	backend->kind = BACKEND_HOST;
	backend->endpoint_list = endpoint;
	backend->endpoint_count = 1;
	backend->rewrites_host = !endpoint->is_resolved;
	backend->authority = value_authority(d, endpoint->host, port);
	return true;
}

bool value_target(struct decoder *d, const struct yaml_node *node, struct backend *backend)
{
	struct span s, host, port_text;
	uint16_t port;

	if (!decode_string(d, node, &s))
		return false;
	if (span_starts(s, SPAN("unix:")))
		return target_unix(d, node, s, backend);
	if (has_user(d, node, s) || !split_target(d, node, s, &host, &port_text))
		return false;
	if (span_starts(port_text, SPAN("//"))) {
		report_url(d, node, s);
		return false;
	}
	if (!parse_port(port_text, &port)) {
		config_error(d->report, node, "%s has no usable port; the port is a number from 1 to 65535",
			     QUOTE(s));
		return false;
	}
	s = decode_keep(d, s);
	if (!s.data || !set_host(d, node, s, host, port, backend))
		return false;
	backend->target = s;
	return true;
}

bool value_host_target(struct decoder *d, const struct yaml_node *node, uint16_t port,
		       struct backend *backend)
{
	struct span s, host;

	if (!decode_name(d, node, &s))
		return false;
	host = s.len > 2 && s.data[0] == '[' && s.data[s.len - 1] == ']' ? span_of(s.data + 1, s.len - 2) : s;
	if (has_user(d, node, s))
		return false;
	if (span_find(s, '/') >= 0) {
		config_error(d->report, node, "%s is not a host; write the name or the address alone",
			     QUOTE(s));
		return false;
	}
	if (!set_host(d, node, s, host, port, backend))
		return false;
	backend->target = backend->endpoint_list->text;
	return true;
}

bool value_cidr(struct decoder *d, const struct yaml_node *node, struct cidr *ret)
{
	struct cidr cidr;
	struct span s, bits_text;
	ptrdiff_t slash;
	uint64_t bits, max;

	if (!decode_string(d, node, &s))
		return false;
	slash = span_find(s, '/');
	bits_text = slash < 0 ? (struct span){ 0 } : span_from(s, (size_t)slash + 1);
	if (address_parse_ip(slash < 0 ? s : span_first(s, (size_t)slash), 0, &cidr.network) < 0)
		goto wrong;
	max = cidr.network.any.sa_family == AF_INET6 ? 128 : 32;
	bits = max;
	if (slash >= 0 && (span_parse_u63(bits_text, &bits) < 0 || bits > max))
		goto wrong;
	cidr.prefix_bits = (uint8_t)bits;
	*ret = cidr;
	return true;
wrong:
	config_error(d->report, node,
		     "%s is not a network; write an address with a prefix length, as in 10.0.0.0/8 or "
		     "fd00::/8",
		     QUOTE(s));
	return false;
}

bool value_trusts_proxies(struct decoder *d, const struct yaml_node *node, const struct static_config *config)
{
	if (config->proxy_trusted_count)
		return true;
	config_error(d->report, node,
		     "needs the networks of the proxies that send PROXY headers, because anybody could "
		     "announce any client; write config: {proxyProtocol: {trusted: [10.0.0.0/8]}}");
	return false;
}

/* -------------------------------------------------------------------------------- HTTP */

bool value_header_name(struct decoder *d, const struct yaml_node *node, struct span name, struct span *ret)
{
	struct span lower;

	if (!char_class_is_token(name) || name.len > 256) {
		config_error_key(d->report, node, "%s is not a header name; use letters, digits and - only",
				 QUOTE(name));
		return false;
	}
	lower = decode_lower(d, name);
	if (!lower.data)
		return false;
	if (span_eq(lower, SPAN("host"))) {
		config_error_key(d->report, node,
				 "the Host header is not set by a header modifier; use urlRewrite "
				 "(authority in standalone files, hostname in manifests)");
		return false;
	}
	if (!headers_may_modify(lower)) {
		config_error_key(d->report, node,
				 "the header %.*s belongs to message framing, which the gateway decides; "
				 "remove it here",
				 SPAN_FMT(lower));
		return false;
	}
	*ret = lower;
	return true;
}

bool value_header_value(struct decoder *d, const struct yaml_node *node, struct span *ret)
{
	struct span s;

	if (!decode_string(d, node, &s))
		return false;
	s = span_trim(s);
	for (size_t i = 0; i < s.len; i++) {
		if (((unsigned char)s.data[i] < 0x20 && s.data[i] != '\t') || s.data[i] == 0x7f) {
			config_error(d->report, node,
				     "the header value %s contains a control character or line break; "
				     "write it on one line",
				     QUOTE(s));
			return false;
		}
	}
	return keep_text(d, s, ret);
}

bool value_method(struct decoder *d, const struct yaml_node *node, struct span *ret)
{
	struct span s;

	if (!decode_string(d, node, &s))
		return false;
	if (!char_class_is_token(s)) {
		config_error(d->report, node, "%s is not a method; write one such as GET, in upper case",
			     QUOTE(s));
		return false;
	}
	return keep_text(d, s, ret);
}

bool value_path(struct decoder *d, const struct yaml_node *node, struct span *ret)
{
	struct span s;

	if (!decode_string(d, node, &s))
		return false;
	if (s.len == 0 || s.data[0] != '/') {
		config_error(d->report, node, "%s is not a path; begin it with /", QUOTE(s));
		return false;
	}
	for (size_t i = 0; i < s.len; i++) {
		char c = s.data[i];

		if ((unsigned char)c > 0x20 && c != 0x7f && c != '?' && c != '#')
			continue;
		config_error(d->report, node, "the path %s contains %s; %s", QUOTE(s),
			     c == '?' || c == '#' ? "? or #" : "a blank or control character",
			     c == '?' ? "a path ends before the query" : "write it percent-encoded");
		return false;
	}
	return keep_text(d, s, ret);
}

bool value_redirect_status(struct decoder *d, const struct yaml_node *node, uint16_t *ret)
{
	uint64_t status;

	if (!decode_u64(d, node, 300, 399, &status))
		return false;
	if (status != 301 && status != 302 && status != 303 && status != 307 && status != 308) {
		config_error(d->report, node, "status %llu is not a redirect; use 301, 302, 303, 307 or 308",
			     (unsigned long long)status);
		return false;
	}
	*ret = (uint16_t)status;
	return true;
}

bool value_scheme(struct decoder *d, const struct yaml_node *node, struct span *ret)
{
	static const char *const words[] = { "http", "https" };
	unsigned index;

	if (!DECODE_WORD(d, node, words, &index))
		return false;
	*ret = span_str(words[index]);
	return true;
}

/* -------------------------------------------------------------------------------- timers */

static bool connect_timeout_object(struct decoder *d, const struct yaml_node *node, uint64_t *ret_ns)
{
	static const struct decode_key keys[] = { KEY("secs"), KEY("nanos") };
	uint64_t secs, nanos;

	DECODE_MAP(d, node, keys);
	if (!decode_u64(d, decode_need(d, node, "secs", "write both, as in {secs: 10, nanos: 0}, or \"10s\""),
			0, INT64_MAX / NS_PER_S - 1, &secs) ||
	    !decode_u64(d,
			decode_need(d, node, "nanos", "write both, as in {secs: 10, nanos: 0}, or \"10s\""),
			0, NS_PER_S - 1, &nanos))
		return false;
	*ret_ns = secs * NS_PER_S + nanos;
	return true;
}

bool value_connect_timeout(struct decoder *d, const struct yaml_node *node, uint64_t min_ns, uint64_t *ret_ns,
			   bool *ret_is_object)
{
	uint64_t ns;

	if (!node)
		return false;
	if (d->is_manifest || node->kind != YAML_MAP) {
		if (!decode_duration(d, node, min_ns, &ns))
			return false;
		*ret_is_object = false;
	} else {
		if (!connect_timeout_object(d, node, &ns))
			return false;
		if (ns < min_ns) {
			config_error(
				d->report, node,
				"a connect timeout of 0 would refuse every connection; write 1s or more");
			return false;
		}
		*ret_is_object = true;
	}
	*ret_ns = ns;
	return true;
}

bool value_codes(struct decoder *d, const struct yaml_node *node, uint16_t **ret_list, uint32_t *ret_count)
{
	uint16_t *list;
	uint32_t count = 0;

	if (!decode_list(d, node))
		return false;
	list = decode_take(d, node->count, sizeof(*list));
	if (!list)
		return false;
	yaml_each(child, node) {
		uint64_t code;
		bool is_known = false;

		if (!decode_u64(d, child, 100, 999, &code))
			continue;
		for (uint32_t i = 0; i < count; i++)
			is_known |= list[i] == code;
		if (!is_known)
			list[count++] = (uint16_t)code;
	}
	*ret_list = list;
	*ret_count = count;
	return true;
}

/* -------------------------------------------------------------------------------- kernel lanes */

void value_splice_end(struct decoder *d, const struct yaml_node *node, bool *ret_is_off,
		      bool *ret_is_same_host)
{
	static const char *const words[] = { "auto", "off", "sameHost" };
	unsigned index = 0;

	if (!DECODE_WORD(d, node, words, &index))
		return;
	*ret_is_off = index == 1;
	*ret_is_same_host = index == 2;
}

bool value_splice_route(struct decoder *d, const struct yaml_node *node)
{
	static const char *const words[] = { "auto", "off" };
	unsigned index = 0;

	if (node && node->kind == YAML_SCALAR && span_eq(node->text, SPAN("sameHost"))) {
		config_error(d->report, node,
			     "sameHost is about processes, and a route has none; write it on the listener "
			     "for its clients and on the backend for its process");
		return false;
	}
	return DECODE_WORD(d, node, words, &index) && index == 1;
}

/* -------------------------------------------------------------------------------- names in lists */

static struct span name_at(const char *entries, size_t entry_bytes, uint32_t index)
{
	struct span name;

	memcpy(&name, entries + entry_bytes * index, sizeof(name));
	return name;
}

void value_first_of_name(struct decoder *d, const struct yaml_node *list, void *entries, size_t entry_bytes,
			 uint32_t *count)
{
	uint32_t kept = 0;

	if (!list || list->kind != YAML_LIST || list->count != *count)
		return;
	yaml_each(node, list) {
		struct span name = name_at(entries, entry_bytes, node->index);
		uint32_t i = 0;

		while (i < kept && !span_eq(name_at(entries, entry_bytes, i), name))
			i++;
		if (i < kept && name.len) {
			config_warning(d->report, node,
				       "has no effect: %s stands in this list before, and the first counts",
				       QUOTE(name));
			continue;
		}
		memmove((char *)entries + entry_bytes * kept++, (char *)entries + entry_bytes * node->index,
			entry_bytes);
	}
	*count = kept;
}
