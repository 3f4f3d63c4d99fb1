/* SPDX-License-Identifier: Apache-2.0 */
#include "user/gateway/check_bind.h"

#include <errno.h>

#include "user/gateway/options.h"
#include "user/http/target.h"

struct span check_bind_ip(struct span authority)
{
	struct span host = authority_host(authority);

	if (span_starts(host, SPAN("[")) && span_ends(host, SPAN("]")))
		host = span_of(host.data + 1, host.len - 2);
	return host;
}

static bool fits(const struct check_request *request, const struct bind *bind)
{
	return bind->protocol == BIND_TCP || (bind->protocol == BIND_TLS) == request->is_tls;
}

static int refuse_port(const struct check_request *request)
{
	const struct snapshot *snapshot = request->snapshot;
	struct text ports;

	text_init(&ports);
	text_str(&ports, "write one of ");
	for (uint32_t i = 0; i < snapshot->bind_count; i++) {
		const struct bind *bind = &snapshot->bind_list[i];
		char host[ADDRESS_TEXT_BYTES];
		int len = (int)address_host_text(&bind->address, host);

		text_fmt(&ports, "%s%s://%.*s:%u", i ? ", " : "",
			 bind->protocol == BIND_TLS ? "https" : "http",
			 SPAN_FMT(authority_host(request->authority)), bind->port);
		if (!address_is_any(&bind->address))
			text_fmt(&ports, " with --destination %.*s", len, host);
	}
	text_char(&ports, '\0');
	options_fail("no port of the configuration serves this URL", NULL,
		     text_error(&ports) || !snapshot->bind_count ? "add one under gateways" : ports.data);
	text_done(&ports);
	return -EINVAL;
}

/* The address that the client connects to: the option, or that of the URL. False: it is not known. */
static bool destination_of(const struct check_request *request, struct address *ret)
{
	if (request->destination.len)
		*ret = request->destination;
	else if (address_parse_ip(check_bind_ip(request->authority), 0, ret) < 0)
		return false;
	address_unmap(ret);
	return true;
}

/*
 * How well a bind fits the address of a connection, as for the kernel (user/net/listen.h); 0: not at all.
 * NULL: any address, preferably all.
 */
static int rank_of(const struct bind *bind, const struct address *destination)
{
	bool is_any = address_is_any(&bind->address);
	struct address own = bind->address;

	if (!destination)
		return is_any ? 2 : 1;
	address_set_port(&own, 0);
	if (address_eq(&own, destination))
		return 3;
	if (is_any && own.any.sa_family == destination->any.sa_family)
		return 2;
	return is_any && own.any.sa_family == AF_INET6;
}

static bool has_port(const struct check_request *request, uint64_t port)
{
	for (uint32_t i = 0; i < request->snapshot->bind_count; i++)
		if (request->snapshot->bind_list[i].port == port &&
		    fits(request, &request->snapshot->bind_list[i]))
			return true;
	return false;
}

/*
 * The bind of this port that gets the connection; NULL: none, or one of several. Without a port: the only
 * one that fits.
 */
static const struct bind *best_bind(const struct check_request *request, uint64_t port,
				    const struct address *destination)
{
	const struct bind *best = NULL;
	int rank, best_rank = 0;
	uint32_t count = 0;

	for (uint32_t i = 0; i < request->snapshot->bind_count; i++) {
		const struct bind *bind = &request->snapshot->bind_list[i];

		rank = fits(request, bind) && (!port || bind->port == port) ? rank_of(bind, destination) : 0;
		if (rank > best_rank) {
			best = bind;
			best_rank = rank;
			count = 0;
		}
		count += rank && rank == best_rank;
	}
	return count == 1 ? best : NULL;
}

int check_bind_find(struct check_request *request)
{
	struct span digits = authority_port(request->authority);
	uint64_t port = request->is_tls ? 443 : 80;
	struct address destination;
	bool is_known = destination_of(request, &destination);

	if (digits.len && span_parse_u63(digits, &port) < 0)
		return refuse_port(request);
	if (!digits.len && !has_port(request, port))
		port = 0;
	request->bind = best_bind(request, port, is_known ? &destination : NULL);
	/* The address of the URL may be that of something in front of the gateway. */
	if (!request->bind && is_known && !request->destination.len)
		request->bind = best_bind(request, port, NULL);
	return request->bind ? 0 : refuse_port(request);
}
