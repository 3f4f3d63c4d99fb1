/* SPDX-License-Identifier: Apache-2.0 */
#include "user/restart/announced.h"

#include <errno.h>

#include "user/net/socket.h"

static struct restart_announced *record_of(const struct restart_state *restart_state, int fd)
{
	if (!restart_state || !restart_state->announced || fd < 0 ||
	    (uint32_t)fd >= restart_state->stream_count)
		return NULL;
	return &restart_state->announced[fd];
}

static void keep(const struct address *address, struct sockaddr_in6 *ret)
{
	*ret = (struct sockaddr_in6){ .sin6_family = AF_UNSPEC };
	if (address && address->len <= sizeof(*ret))
		memcpy(ret, &address->any, address->len);
}

/* Validate it: the process that wrote it may have crashed. */
static bool restore(const struct sockaddr_in6 *kept, struct address *ret_address)
{
	*ret_address = (struct address){ 0 };
	if (kept->sin6_family == AF_INET)
		ret_address->len = sizeof(ret_address->v4);
	else if (kept->sin6_family == AF_INET6)
		ret_address->len = sizeof(ret_address->v6);
	memcpy(&ret_address->any, kept, ret_address->len);
	return ret_address->len || kept->sin6_family == AF_UNSPEC;
}

void restart_announced_set(struct restart_state *restart_state, int fd, const struct address *source,
			   const struct address *destination)
{
	struct restart_announced *record = record_of(restart_state, fd);
	uint64_t cookie;

	if (!record || socket_cookie(fd, &cookie) < 0)
		return;
	atomic_store_explicit(&record->cookie, 0, memory_order_release);
	keep(source, &record->source);
	keep(source ? destination : NULL, &record->destination);
	/* Last: a crash in between leaves a record of no connection. */
	atomic_store_explicit(&record->cookie, cookie, memory_order_release);
}

const struct restart_announced *restart_announced_of(const struct restart_state *restart_state, int fd)
{
	const struct restart_announced *record = record_of(restart_state, fd);
	uint64_t cookie = record ? atomic_load_explicit(&record->cookie, memory_order_acquire) : 0;

	return cookie && socket_is(fd, cookie) ? record : NULL;
}

int restart_announced_get(struct restart_state *restart_state, int fd, struct address *ret_source,
			  struct address *ret_destination)
{
	const struct restart_announced *record = restart_announced_of(restart_state, fd);

	if (!record || !restore(&record->source, ret_source) ||
	    !restore(&record->destination, ret_destination))
		return -ENOENT;
	return 0;
}

void restart_announced_put(struct restart_state *restart_state, int fd,
			   const struct restart_announced *announced)
{
	struct restart_announced *record = record_of(restart_state, fd);

	if (record)
		memcpy(record, announced, sizeof(*record));
}
