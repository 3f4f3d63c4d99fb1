/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "config/core/engine/decode.h"

/*
 * Values with the same form in both configuration styles: host names, header names, targets. Same contract
 * as the functions of config/core/engine/decode.h.
 */

/* Checks the protocol of a listener: false with an error for known protocols that are not supported. */
bool value_protocol_supported(struct decoder *d, const struct yaml_node *node);
/* True for a host name without a wildcard, or an address; reports nothing. */
bool value_is_hostname(struct span s);
/*
 * A host name in lower case, RFC 1123; `has_wildcard` allows "*." in front. Also addresses in [] or plain
 * IPv4.
 */
bool value_hostname(struct decoder *d, const struct yaml_node *node, bool has_wildcard, struct span *ret);

/*
 * A target: "name:port", "1.2.3.4:port", "[::1]:port", "unix:/path". Sets kind, target, endpoint_list,
 * rewrites_host and authority of *backend, and leaves the rest unchanged.
 */
bool value_target(struct decoder *d, const struct yaml_node *node, struct backend *backend);
/* The same for a name or an address (with or without brackets) whose port stands elsewhere. */
bool value_host_target(struct decoder *d, const struct yaml_node *node, uint16_t port,
		       struct backend *backend);
/* Creates an endpoint for a name or a literal address without brackets; -ENOMEM sets d->failed. */
bool value_endpoint(struct decoder *d, struct span host, uint16_t port, struct endpoint *ret);
/* "name:port", or "name" for port 80, as in a Host header (RFC 9110 7.2). */
struct span value_authority(struct decoder *d, struct span host, uint16_t port);

/*
 * Header names as tokens (RFC 9110 5.6.2), lower case. Refuses names that belong to message framing or to
 * the connection: a header modifier must not change where a message ends.
 */
bool value_header_name(struct decoder *d, const struct yaml_node *node, struct span name, struct span *ret);
/* Field values without CTL other than HTAB (RFC 9110 5.5), without outer blanks. */
bool value_header_value(struct decoder *d, const struct yaml_node *node, struct span *ret);
bool value_method(struct decoder *d, const struct yaml_node *node, struct span *ret);
/* Absolute path without query: starts with '/', no blanks, no control bytes, no '?' or '#'. */
bool value_path(struct decoder *d, const struct yaml_node *node, struct span *ret);
bool value_cidr(struct decoder *d, const struct yaml_node *node, struct cidr *ret);
/*
 * `node` asks for PROXY headers, which anybody could send: false with an error if the section `config`,
 * which is decoded before, trusts no proxy.
 */
bool value_trusts_proxies(struct decoder *d, const struct yaml_node *node,
			  const struct static_config *config);
/* `splice` of a listener or a backend: auto, off or sameHost. */
void value_splice_end(struct decoder *d, const struct yaml_node *node, bool *ret_is_off,
		      bool *ret_is_same_host);
/* `splice` of a route, where sameHost is not allowed: true for off. */
bool value_splice_route(struct decoder *d, const struct yaml_node *node);

/* A connect timeout as "10s"; in standalone files also {secs, nanos}. */
bool value_connect_timeout(struct decoder *d, const struct yaml_node *node, uint64_t min_ns, uint64_t *ret_ns,
			   bool *ret_is_object);
/* Statuses: 100..999, without duplicates. */
bool value_codes(struct decoder *d, const struct yaml_node *node, uint16_t **ret_list, uint32_t *ret_count);
/* Redirects: 301, 302, 303, 307, 308. */
bool value_redirect_status(struct decoder *d, const struct yaml_node *node, uint16_t *ret);
bool value_scheme(struct decoder *d, const struct yaml_node *node, struct span *ret); /* http or https */

/*
 * Gateway API: if several entries of a list have the same name, keeps the first and warns about the others.
 * `entries` are *count structures of entry_bytes each that start with their name, one per element of `list`.
 */
void value_first_of_name(struct decoder *d, const struct yaml_node *list, void *entries, size_t entry_bytes,
			 uint32_t *count);
