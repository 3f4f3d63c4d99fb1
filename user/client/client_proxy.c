/* SPDX-License-Identifier: Apache-2.0 */
#include "user/client/client_proxy.h"

#include <errno.h>

#include "user/base/limits.h"
#include "user/base/mem.h"
#include "user/client/admission.h"
#include "user/client/client_peer.h"
#include "user/client/evict.h"
#include "user/restart/announced.h"

enum {
	PROXY_LOG_INTERVAL_MS = 1000,
	PROXY_READ_BYTES = 1024, /* most headers, with the first bytes of the client */
};

/* ------------------------------------------------------------------------------------ refusals */

static void client_proxy_log(struct proxy *proxy, const struct bind *bind, struct span peer, const char *why)
{
	uint64_t swallowed;

	if (log_rate_pass(&proxy->proxy_log, proxy_now_ms(proxy), PROXY_LOG_INTERVAL_MS, &swallowed))
		log_info("PROXY protocol: %s; peer %.*s at %.*s; %llu more since the last such line", why,
			 SPAN_FMT(peer), SPAN_FMT(bind->key), (unsigned long long)swallowed);
}

static bool client_proxy_refuse(struct client *client, enum end_reason reason, const char *why)
{
	client_proxy_log(client->proxy, client->bind->bind, span_of(client->source, client->source_len), why);
	client_close(client, reason, true);
	return false;
}

static bool client_proxy_distrust(struct proxy *proxy, const struct bind *bind, const struct address *peer)
{
	struct text text;

	text_init(&text);
	address_format(peer, &text);
	client_proxy_log(proxy, bind, text_span(&text),
			 "the peer is in no network of config.proxyProtocol.trusted");
	text_done(&text);
	counter_end(proxy->counters, END_PROXY_UNTRUSTED);
	return false;
}

/* ------------------------------------------------------------------------------------ arrival */

/* The connection of another process, which has read the header. */
static bool client_proxy_recall(struct proxy *proxy, const struct bind *bind, int fd,
				struct proxy_header *header)
{
	int error = restart_announced_get(proxy->shared->restart_state, fd, &header->source,
					  &header->destination);

	header->has_addresses = !error && header->source.len;
	/* Without the record every client of the proxy would have its address. */
	if (!error || !bind->proxy)
		return true;
	counter_end(proxy->counters, END_CONFIG_REMOVED);
	return false;
}

bool client_proxy_admits(struct proxy *proxy, const struct bind *bind, int fd, const struct address *peer,
			 enum client_origin origin, struct client_proxy *ret_arrival)
{
	*ret_arrival = (struct client_proxy){ 0 };
	if (origin != CLIENT_ACCEPTED)
		return client_proxy_recall(proxy, bind, fd, &ret_arrival->header);
	if (!bind->proxy)
		return true;
	ret_arrival->is_expected = client_peer_may_announce(proxy, peer);
	return ret_arrival->is_expected || bind->proxy->mode == PROXY_OPTIONAL ||
	       client_proxy_distrust(proxy, bind, peer);
}

const struct address *client_proxy_peer(const struct client_proxy *arrival, const struct address *peer)
{
	return arrival->header.has_addresses ? &arrival->header.source : peer;
}

/* Names the client, also for a process that takes the connection over. False: it was closed. */
static bool client_proxy_settle(struct client *client, const struct proxy_header *header)
{
	const struct address *source = header->has_addresses ? &header->source : NULL;

	if (source) {
		client->announced = hg_malloc(sizeof(*client->announced));
		if (!client->announced) {
			client_close(client, END_INTERNAL, true);
			return false;
		}
		*client->announced = header->destination;
		client_peer_name(client, source);
	}
	restart_announced_set(client->proxy->shared->restart_state, conn_fd(&client->conn), source,
			      &header->destination);
	return true;
}

bool client_proxy_take(struct client *client, const struct client_proxy *arrival)
{
	const struct bind *bind = client->bind->bind;

	if (arrival->is_expected || !(bind->proxy || arrival->header.has_addresses))
		return true;
	return client_proxy_settle(client, &arrival->header);
}

/* ------------------------------------------------------------------------------------ the header */

/*
 * A trusted peer was not counted, because it connects for others. The announced client is, and so is a peer
 * that has sent no header.
 */
static bool client_proxy_count(struct client *client)
{
	struct quota *quota;
	struct address address;

	/* There was no memory for the name of the client. */
	if (address_parse(span_of(client->source, client->source_len), &address) < 0) {
		client_close(client, END_INTERNAL, true);
		return false;
	}
	quota = admission_client(client->proxy, &address);
	if (!evict_admit_peer(client->proxy, quota)) {
		quota_drop(quota);
		client_close(client, END_LIMIT, true);
		return false;
	}
	client->peer = quota;
	return true;
}

static bool client_proxy_finish(struct client *client, struct proxy_header *header)
{
	struct buf *in = &client->conn.in;

	buf_consume(in, header->bytes);
	buf_release(in);
	client->proxy_header_bytes = (uint16_t)header->bytes;
	address_unmap(&header->source);
	address_unmap(&header->destination);
	if (!client_proxy_settle(client, header))
		return false;
	/* A header without addresses: the proxy itself, which has no limit of its own. */
	return (header->bytes && !header->has_addresses) || client_proxy_count(client);
}

static bool client_proxy_lack(struct client *client)
{
	struct proxy_header none = { 0 };

	if (client->bind->bind->proxy->mode == PROXY_OPTIONAL)
		return client_proxy_finish(client, &none);
	return client_proxy_refuse(client, END_PROXY_HEADER_BAD, "a trusted peer sent no header");
}

static bool client_proxy_parse(struct client *client, enum proxy_header_result *ret_result)
{
	struct proxy_header header;

	*ret_result =
		proxy_header_parse(buf_span(&client->conn.in), client->bind->bind->proxy->version, &header);
	switch (*ret_result) {
	case PROXY_HEADER_MORE:
		break;
	case PROXY_HEADER_DONE:
		return client_proxy_finish(client, &header);
	case PROXY_HEADER_NONE:
		return client_proxy_lack(client);
	case PROXY_HEADER_BAD:
		return client_proxy_refuse(client, END_PROXY_HEADER_BAD, header.fault);
	}
	return false;
}

/* False: a reload has changed the port meanwhile, and the connection was closed. */
static bool client_proxy_is_wanted(struct client *client)
{
	const struct bind *bind = client->bind->bind;

	if (bind && bind->proxy)
		return true;
	client_close(client, END_CONFIG_REMOVED, true);
	return false;
}

/* The end of a connection without a byte is a check of the proxy whether the port is open. */
static void client_proxy_on_end(struct client *client, ssize_t result)
{
	bool has_begun = buf_len(&client->conn.in) > 0;

	if (result < 0)
		client_close(client, conn_end_reason(client->conn.error, END_CLIENT_RST), true);
	else
		client_close(client, has_begun ? END_CLIENT_FIN : END_OK, false);
}

bool client_proxy_read(struct client *client)
{
	enum proxy_header_result result = PROXY_HEADER_MORE;
	struct conn *conn = &client->conn;
	bool is_settled = false;

	if (!client_proxy_is_wanted(client))
		return false;
	while (result == PROXY_HEADER_MORE) {
		ssize_t len;

		if (buf_reserve(&conn->in, PROXY_READ_BYTES, LIMIT_PROXY_HEADER_BYTES + LIMIT_READ_BYTES) <
		    0) {
			client_close(client, END_LIMIT, true);
			return false;
		}
		len = conn_recv(conn, buf_tail(&conn->in), conn->in.size - conn->in.end);
		if (len <= 0) {
			if (len != -EAGAIN)
				client_proxy_on_end(client, len);
			else
				buf_release(&conn->in);
			return false;
		}
		buf_commit(&conn->in, (size_t)len);
		is_settled = client_proxy_parse(client, &result);
	}
	return is_settled;
}

bool client_proxy_start(struct client *client)
{
	client->state = CLIENT_READ_PROXY;
	client->deadline_ms = proxy_now_ms(client->proxy) + LIMIT_PROXY_HEADER_MS;
	client_arm(client);
	return client_proxy_read(client);
}

/* A byte may have arrived in this turn without its event having been delivered: look before closing. */
bool client_proxy_on_timer(struct client *client)
{
	if (conn_has_unread(&client->conn)) {
		conn_look_again(&client->conn);
		if (client_proxy_read(client))
			return true;
	}
	if (client->is_closed || !client_proxy_is_wanted(client))
		return false;
	/* With some protocols the server speaks first. */
	if (!buf_len(&client->conn.in) && client->bind->bind->proxy->mode == PROXY_OPTIONAL)
		return client_proxy_lack(client);
	return client_proxy_refuse(client, END_PROXY_HEADER_TIMEOUT,
				   "a trusted peer sent no whole header in time");
}
