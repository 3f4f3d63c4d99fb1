/* SPDX-License-Identifier: Apache-2.0 */
#include "user/client/client_peer.h"

#include "policy/keepalive.h"
#include "user/net/socket.h"
#include "user/relay/conn_bypass.h"

void client_peer_set_options(const struct proxy *proxy, const struct bind *bind, int fd)
{
	struct socket_keepalive keepalive;

	/* The connection works without the options: ignore errors. */
	(void)socket_set_nodelay(fd);
	if (!bind->tcp)
		return;
	keepalive_options_of(&bind->tcp->keepalives, proxy->lease->snapshot->config.user_timeout, &keepalive);
	(void)socket_set_keepalive(fd, &keepalive);
}

static bool is_in_any(const struct address *peer, const struct cidr *list, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++) {
		if (address_in(peer, &list[i].network, list[i].prefix_bits))
			return true;
	}
	return false;
}

bool client_peer_is_listed(const struct static_config *config, const struct address *peer)
{
	return is_in_any(peer, config->trusted_list, config->trusted_count);
}

bool client_peer_is_trusted(const struct proxy *proxy, const struct address *peer)
{
	return client_peer_is_listed(&proxy->lease->snapshot->config, peer);
}

bool client_peer_may_announce(const struct proxy *proxy, const struct address *peer)
{
	const struct static_config *config = &proxy->lease->snapshot->config;

	return is_in_any(peer, config->proxy_trusted_list, config->proxy_trusted_count);
}

void client_peer_name(struct client *client, const struct address *peer)
{
	char ip[ADDRESS_TEXT_BYTES];
	struct text text;

	text_init(&text);
	address_format(peer, &text);
	client->source_len = (uint8_t)(text.len < sizeof(client->source) ? text.len : sizeof(client->source));
	if (client->source_len)
		memcpy(client->source, text.data, client->source_len);
	text_done(&text);
	client->peer_ip_at = client->source_len && client->source[0] == '[' ? 1 : 0;
	client->peer_ip_len = (uint8_t)address_host_text(peer, ip);
	if (client->peer_ip_at + client->peer_ip_len > client->source_len)
		client->peer_ip_len = 0; /* no memory for the text above */
	client->is_trusted = client_peer_is_trusted(client->proxy, peer);
}

/* "fe80::1%eth0", "[fe80::1%25eth0]:80": the zone has a meaning only on the proxy (RFC 4007 11). */
static bool parse_zoned(struct span text, size_t zone_at, struct address *ret_address)
{
	text = span_first(text, zone_at);
	if (text.len && text.data[0] == '[')
		text = span_from(text, 1);
	return address_parse_ip(text, 0, ret_address) == 0 && ret_address->any.sa_family == AF_INET6;
}

/* An element of X-Forwarded-For: an address, with or without a port. */
static bool parse_forwarded(struct span text, struct address *ret_address)
{
	ptrdiff_t zone_at;

	text = span_trim(text);
	zone_at = span_find(text, '%');
	if (zone_at >= 0)
		return parse_zoned(text, (size_t)zone_at, ret_address);
	if (address_parse_ip(text, 0, ret_address) == 0)
		return true;
	if (text.len > 2 && text.data[0] == '[' && text.data[text.len - 1] == ']')
		return address_parse_ip(span_first(span_from(text, 1), text.len - 2), 0, ret_address) == 0;
	return address_parse(text, ret_address) == 0 && !address_is_unix(ret_address);
}

/* Removes the last element; false: there is none. */
static bool take_last(struct span *list, struct span *ret_element)
{
	size_t at = list->len;

	if (!list->data)
		return false;
	while (at && list->data[at - 1] != ',')
		at--;
	*ret_element = span_from(*list, at);
	*list = at ? span_first(*list, at - 1) : (struct span){ 0 };
	return true;
}

/* Walks from the peer towards the client. True: the walk ends, at an address that is not trusted or none. */
static bool walk_forwarded(const struct proxy *proxy, struct span list, struct address *address)
{
	struct span element;

	while (take_last(&list, &element)) {
		struct address next;

		if (!parse_forwarded(element, &next))
			return true;
		address_unmap(&next);
		*address = next;
		if (!client_peer_is_trusted(proxy, &next))
			return true;
	}
	return false;
}

void client_peer_address(const struct client *client, const struct fields *fields,
			 struct address *ret_address)
{
	if (address_parse(span_of(client->source, client->source_len), ret_address) != 0)
		*ret_address = (struct address){ .len = 0 };
	if (!client->is_trusted || !fields || !fields_have(fields, FIELD_X_FORWARDED_FOR))
		return;
	for (uint32_t i = fields->count; i-- > 0;) {
		if (fields->list[i].id == FIELD_X_FORWARDED_FOR &&
		    walk_forwarded(client->proxy, fields->list[i].value, ret_address))
			return;
	}
}

/* For peers of this host; conn_start_bypass() finds no other peers. */
static bool client_peer_may_bypass(const struct client *client, const struct bind *bind)
{
	const struct proxy *proxy = client->proxy;

	return proxy->relay.local && bind->is_same_host &&
	       splice_bypasses(&proxy->lease->snapshot->config.splice);
}

int client_peer_bypass(struct client *client, const struct bind *bind, enum client_origin origin)
{
	struct local_worker *worker = client->proxy->relay.local_watch.worker;

	client->conn.is_resumed = origin != CLIENT_ACCEPTED;
	if (origin == CLIENT_TAKEN_OVER_BYPASS)
		return conn_resume_bypass(&client->conn, worker);
	if (client_peer_may_bypass(client, bind))
		(void)conn_start_bypass(&client->conn, worker);
	return 0;
}
