/* SPDX-License-Identifier: Apache-2.0 */
#include "user/keeper/inherited.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "user/base/mem.h"
#include "user/net/socket.h"
#include "user/net/syn_filter.h"

struct numbers {
	int *list; /* owner */
	size_t count;
	size_t room;
};

static int numbers_add(struct numbers *numbers, int number)
{
	if (numbers->count == numbers->room) {
		size_t room = numbers->room ? 2 * numbers->room : 256;
		int *list = hg_realloc(numbers->list, room * sizeof(*list));

		if (!list)
			return -ENOMEM;
		numbers->list = list;
		numbers->room = room;
	}
	numbers->list[numbers->count++] = number;
	return 0;
}

/* Noted first and closed afterwards: closing changes what is being read. */
static int numbers_read(struct numbers *numbers, const struct estate *estate)
{
	DIR *directory = opendir("/proc/self/fd");
	const struct dirent *entry;
	int error = 0;

	if (!directory)
		return -errno;
	while (!error && (entry = readdir(directory)) != NULL) {
		int fd = atoi(entry->d_name);

		if (entry->d_name[0] != '.' && fd != dirfd(directory) && !estate_keeps(estate, fd))
			error = numbers_add(numbers, fd);
	}
	closedir(directory);
	return error;
}

static int socket_number(int fd, int name)
{
	int value;
	socklen_t len = sizeof(value);

	return getsockopt(fd, SOL_SOCKET, name, &value, &len) < 0 ? -1 : value;
}

static bool is_tcp(int fd)
{
	int domain = socket_number(fd, SO_DOMAIN);

	return (domain == AF_INET || domain == AF_INET6) && socket_number(fd, SO_TYPE) == SOCK_STREAM;
}

static bool is_connected(int fd)
{
	struct address peer;

	return socket_peer(fd, &peer) == 0;
}

static void inherited_add(struct inherited_socket *list, uint32_t *count, int fd)
{
	struct inherited_socket *socket = &list[*count];

	socket->fd = fd;
	/* Without an address it is nobody's, and goes with those that nobody took. */
	if (socket_local(fd, &socket->local) < 0)
		socket->local = (struct address){ 0 };
	(*count)++;
}

static void inherited_sort(struct inherited *inherited, struct estate *estate, int fd)
{
	enum estate_mark mark = estate_mark_of(estate, fd);
	bool has_room = inherited->listeners && inherited->clients;

	if (!has_room || mark != ESTATE_MARK_IDLE)
		estate_mark(estate, fd, ESTATE_MARK_NONE);
	if (!is_tcp(fd)) {
		close(fd);
	} else if (has_room && socket_number(fd, SO_ACCEPTCONN) > 0) {
		inherited_add(inherited->listeners, &inherited->listener_count, fd);
	} else if (has_room && mark == ESTATE_MARK_IDLE) {
		inherited_add(inherited->clients, &inherited->client_count, fd);
	} else {
		if (mark < ESTATE_MARK_COUNT)
			estate->not_adopted[mark] += mark != ESTATE_MARK_NONE;
		inherited->reset_count += is_connected(fd);
		/* Its peer must not take what has come for all there is. */
		socket_reset(fd);
	}
}

int inherited_collect(struct inherited *inherited, struct estate *estate)
{
	struct numbers numbers = { 0 };
	int error = numbers_read(&numbers, estate);

	*inherited = (struct inherited){ 0 };
	if (!error && numbers.count) {
		inherited->listeners = hg_calloc(numbers.count, sizeof(*inherited->listeners));
		inherited->clients = hg_calloc(numbers.count, sizeof(*inherited->clients));
	}
	for (size_t i = 0; i < numbers.count; i++)
		inherited_sort(inherited, estate, numbers.list[i]);
	hg_free(numbers.list);
	return error;
}

bool inherited_take_listeners(struct inherited *inherited, const struct address *address, uint32_t count,
			      int *ret_fds)
{
	uint32_t found = 0;

	for (uint32_t i = 0; i < inherited->listener_count; i++) {
		struct inherited_socket *socket = &inherited->listeners[i];

		if (socket->fd < 0 || !address_eq(&socket->local, address))
			continue;
		if (found < count)
			ret_fds[found] = socket->fd;
		else
			socket_close(socket->fd);
		found++;
		socket->fd = -1;
	}
	/* Another address of this port would be in the way of what is opened instead. */
	for (uint32_t i = 0; !found && i < inherited->listener_count; i++) {
		struct inherited_socket *socket = &inherited->listeners[i];

		if (socket->fd >= 0 && address_port(&socket->local) == address_port(address)) {
			socket_close(socket->fd);
			socket->fd = -1;
		}
	}
	for (uint32_t i = 0; i < found && i < count; i++) {
		if (found != count)
			socket_close(ret_fds[i]);
		else /* It may have been about to close. */
			syn_filter_detach(ret_fds[i]);
	}
	return found == count;
}

void inherited_leave(struct inherited *inherited)
{
	hg_free(inherited->listeners);
	hg_free(inherited->clients);
	*inherited = (struct inherited){ 0 };
}

void inherited_done(struct inherited *inherited, struct estate *estate)
{
	for (uint32_t i = 0; i < inherited->listener_count; i++)
		socket_close(inherited->listeners[i].fd);
	for (uint32_t i = 0; i < inherited->client_count; i++) {
		if (inherited->clients[i].fd < 0)
			continue;
		estate_mark(estate, inherited->clients[i].fd, ESTATE_MARK_NONE);
		socket_reset(inherited->clients[i].fd);
	}
	inherited_leave(inherited);
}
