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

bool client_peer_is_trusted(const struct proxy *proxy, const struct address *peer)
{
	const struct static_config *config = &proxy->lease->snapshot->config;

	for (uint32_t i = 0; i < config->trusted_count; i++) {
		if (address_in(peer, &config->trusted_list[i].network, config->trusted_list[i].prefix_bits))
			return true;
	}
	return false;
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

/* For peers of this host; conn_start_bypass() finds no other peers. */
static bool client_peer_may_bypass(const struct client *client, const struct bind *bind)
{
	const struct proxy *proxy = client->proxy;

	return proxy->relay.local && bind->is_same_host && bind->protocol != BIND_TLS &&
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
