/* SPDX-License-Identifier: Apache-2.0 */
#include "user/restart/inherited_fds.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/pidfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "user/base/clock.h"
#include "user/base/limits.h"
#include "user/base/mem.h"
#include "user/net/descriptors.h"
#include "user/net/socket.h"
#include "user/net/syn_filter.h"

struct numbers {
	int *list; /* owner */
	size_t count;
	size_t room;
	const struct restart_state *restart_state; /* borrowed */
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

/* True for descriptors of the keeper, and of its channels to another program. */
static bool is_nobodys(const struct restart_state *restart_state, int fd)
{
	return restart_state_keeps(restart_state, fd) || fd == restart_state->new_process_fd ||
	       fd == restart_state->old_process_fd || fd == restart_state->old_health_fd;
}

static int numbers_note(void *context, int fd)
{
	struct numbers *numbers = context;

	return is_nobodys(numbers->restart_state, fd) ? 0 : numbers_add(numbers, fd);
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

struct inherited_fds_socket inherited_fds_socket(int fd, int backend_fd)
{
	struct inherited_fds_socket socket = { .fd = fd, .backend_fd = backend_fd };

	/* A socket without an address matches no port, and is closed with those that were not taken. */
	if (socket_local(fd, &socket.local) < 0)
		socket.local = (struct address){ 0 };
	return socket;
}

/* Since Linux 6.9; glibc 2.36 does not know it. */
#ifndef PIDFD_SIGNAL_PROCESS_GROUP
#define PIDFD_SIGNAL_PROCESS_GROUP 4u
#endif

/* Signal by pidfd, not by pid: pids are reused. */
static int child_signal(int fd, int number)
{
	if (pidfd_send_signal(fd, number, NULL, PIDFD_SIGNAL_PROCESS_GROUP) == 0 ||
	    (errno != EINVAL && errno != ESRCH))
		return 0;
	return pidfd_send_signal(fd, number, NULL, 0);
}

static bool is_child(int fd)
{
	/* A child that has ended may have left others in its group, and a child may run as another user. */
	return pidfd_send_signal(fd, 0, NULL, 0) == 0 || errno == ESRCH || errno == EPERM;
}

void inherited_fds_kill_children(struct inherited_fds_children *children)
{
	for (uint32_t i = 0; i < children->count; i++) {
		(void)child_signal(children->fds[i], SIGKILL);
		close(children->fds[i]);
	}
	hg_free(children->fds);
	*children = (struct inherited_fds_children){ 0 };
}

/* By descriptor: open, and not sorted yet. */
struct table {
	bool *is_left; /* owner */
	int count;
};

static int table_make(struct table *table, const struct numbers *numbers)
{
	table->count = 0;
	for (size_t i = 0; i < numbers->count; i++) {
		if (numbers->list[i] >= table->count)
			table->count = numbers->list[i] + 1;
	}
	table->is_left = hg_calloc((size_t)table->count + 1, sizeof(*table->is_left));
	if (!table->is_left)
		return -ENOMEM;
	for (size_t i = 0; i < numbers->count; i++)
		table->is_left[numbers->list[i]] = true;
	return 0;
}

/* True if the descriptor was still unsorted; it no longer is. */
static bool table_take(struct table *table, int fd)
{
	bool was_left = fd >= 0 && fd < table->count && table->is_left[fd];

	if (was_left)
		table->is_left[fd] = false;
	return was_left;
}

/* Collects a stream if both sockets are open and the backend's belongs to no other stream. */
static void inherited_fds_take_stream(struct inherited_fds *inherited, struct restart_state *restart_state,
				      struct table *table, int fd)
{
	const struct restart_entry *entry = restart_entry_resumable(restart_state, fd);

	if (!entry || !is_tcp(fd) || !is_tcp(entry->backend_fd) || !socket_is(fd, entry->client_cookie) ||
	    !socket_is(entry->backend_fd, entry->backend_cookie) || !table_take(table, entry->backend_fd))
		return;
	(void)table_take(table, fd);
	inherited->streams[inherited->stream_count++] = inherited_fds_socket(fd, entry->backend_fd);
}

static void inherited_fds_sort(struct inherited_fds *inherited, struct restart_state *restart_state, int fd)
{
	enum conn_status status = conn_status_of(restart_state, fd);

	bool is_idle = status == CONN_STATUS_IDLE || status == CONN_STATUS_IDLE_BYPASS;

	if (!is_idle)
		conn_status_set(restart_state, fd, CONN_STATUS_NONE);
	if (is_child(fd)) {
		inherited->children.fds[inherited->children.count++] = fd;
		(void)child_signal(fd, SIGTERM);
	} else if (!is_tcp(fd)) {
		close(fd);
	} else if (socket_number(fd, SO_ACCEPTCONN) > 0) {
		inherited->listeners[inherited->listener_count++] = inherited_fds_socket(fd, -1);
	} else if (is_idle) {
		inherited->clients[inherited->client_count++] = inherited_fds_socket(fd, -1);
	} else {
		if (status < CONN_STATUS_COUNT)
			atomic_fetch_add(&restart_state->not_resumed[status], status != CONN_STATUS_NONE);
		inherited->reset_count += is_connected(fd);
		/* Reset, so that the peer sees a truncated message. */
		socket_reset(fd);
	}
}

static void objects_keep(const struct restart_objects *objects, struct table *table)
{
	for (uint32_t i = 0; i < objects->count; i++)
		(void)table_take(table, objects->list[i]);
}

static void inherited_fds_sort_all(struct inherited_fds *inherited, struct restart_state *restart_state,
				   struct table *table)
{
	objects_keep(&restart_state->sockmap_objects, table);
	objects_keep(&restart_state->local_objects, table);
	/* Streams first, before anything is closed: either of a stream's two descriptors may come first. */
	for (int fd = 0; fd < table->count; fd++) {
		if (table->is_left[fd])
			inherited_fds_take_stream(inherited, restart_state, table, fd);
	}
	for (int fd = 0; fd < table->count; fd++) {
		if (table->is_left[fd])
			inherited_fds_sort(inherited, restart_state, fd);
	}
}

static void drop(struct restart_state *restart_state, int fd)
{
	conn_status_set(restart_state, fd, CONN_STATUS_NONE);
	/*
	 * Do not reset a listener: SO_LINGER would apply to every connection that it accepts in a process
	 * that shares it.
	 */
	if (socket_number(fd, SO_ACCEPTCONN) > 0)
		close(fd);
	else
		socket_reset(fd);
}

static bool have_ended(struct pollfd *children, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++) {
		if (children[i].fd >= 0 && children[i].revents)
			children[i].fd = -1;
	}
	for (uint32_t i = 0; i < count; i++) {
		if (children[i].fd >= 0)
			return false;
	}
	return true;
}

/* No new process follows that could wait for the children. */
static void end_children(const int *fds, uint32_t count)
{
	struct pollfd children[LIMIT_MCP_CHILDREN];
	uint64_t end_ms = clock_now_ms() + LIMIT_MCP_CHILD_PAUSE_MS;

	for (uint32_t i = 0; i < count; i++) {
		(void)child_signal(fds[i], SIGTERM);
		children[i] = (struct pollfd){ .fd = fds[i], .events = POLLIN };
	}
	while (!have_ended(children, count)) {
		uint64_t now_ms = clock_now_ms();

		if (now_ms >= end_ms || poll(children, count, (int)(end_ms - now_ms)) < 0)
			break;
	}
	/* Also kills the rest of the group of a child that has ended. */
	for (uint32_t i = 0; i < count; i++) {
		(void)child_signal(fds[i], SIGKILL);
		close(fds[i]);
	}
}

void inherited_fds_drop(struct restart_state *restart_state)
{
	int children[LIMIT_MCP_CHILDREN];
	uint32_t count = 0;

	restart_state->sockmap_objects.count = 0;
	restart_state->local_objects.count = 0;
	for (int fd = 0; fd < RESTART_DESCRIPTORS; fd++) {
		if (fcntl(fd, F_GETFD) < 0 || is_nobodys(restart_state, fd))
			continue;
		if (is_child(fd) && count < LIMIT_MCP_CHILDREN)
			children[count++] = fd;
		else
			drop(restart_state, fd);
	}
	if (count)
		end_children(children, count);
}

int inherited_fds_collect(struct inherited_fds *inherited, struct restart_state *restart_state)
{
	struct numbers numbers = { .restart_state = restart_state };
	struct table table = { 0 };
	int error;

	error = descriptors_each(numbers_note, &numbers);
	*inherited = (struct inherited_fds){ 0 };
	if (!error) {
		inherited->listeners = hg_calloc(numbers.count, sizeof(*inherited->listeners));
		inherited->clients = hg_calloc(numbers.count, sizeof(*inherited->clients));
		inherited->streams = hg_calloc(numbers.count, sizeof(*inherited->streams));
		inherited->children.fds = hg_calloc(numbers.count, sizeof(*inherited->children.fds));
	}
	if (inherited->listeners && inherited->clients && inherited->streams && inherited->children.fds &&
	    table_make(&table, &numbers) == 0)
		inherited_fds_sort_all(inherited, restart_state, &table);
	else
		inherited_fds_drop(restart_state);
	hg_free(table.is_left);
	hg_free(numbers.list);
	return error;
}

bool inherited_fds_take_listeners(struct inherited_fds *inherited, const struct address *address,
				  uint32_t count, int *ret_fds)
{
	uint32_t found = 0;

	for (uint32_t i = 0; i < inherited->listener_count; i++) {
		struct inherited_fds_socket *socket = &inherited->listeners[i];

		if (socket->fd < 0 || !address_eq(&socket->local, address))
			continue;
		if (found < count)
			ret_fds[found] = socket->fd;
		else
			socket_close(socket->fd);
		found++;
		socket->fd = -1;
	}
	for (uint32_t i = 0; i < found && i < count; i++) {
		if (found != count)
			socket_close(ret_fds[i]);
		else /* The previous process may have been about to close it. */
			syn_filter_detach(ret_fds[i]);
	}
	return found == count;
}

bool inherited_fds_drop_listeners(struct inherited_fds *inherited, uint16_t port)
{
	bool has_some = false;

	for (uint32_t i = 0; i < inherited->listener_count; i++) {
		struct inherited_fds_socket *socket = &inherited->listeners[i];

		if (socket->fd < 0 || address_port(&socket->local) != port)
			continue;
		socket_close(socket->fd);
		socket->fd = -1;
		has_some = true;
	}
	return has_some;
}

static void inherited_fds_forget(struct inherited_fds *inherited)
{
	struct inherited_fds_children children = inherited->children;

	hg_free(inherited->listeners);
	hg_free(inherited->clients);
	hg_free(inherited->streams);
	*inherited = (struct inherited_fds){ .children = children };
}

void inherited_fds_leave(struct inherited_fds *inherited)
{
	inherited_fds_forget(inherited);
	hg_free(inherited->children.fds);
	inherited->children = (struct inherited_fds_children){ 0 };
}

void inherited_reset(struct inherited_fds_socket *sockets, uint32_t count,
		     struct restart_state *restart_state)
{
	for (uint32_t i = 0; i < count; i++) {
		if (sockets[i].fd < 0)
			continue;
		conn_status_set(restart_state, sockets[i].fd, CONN_STATUS_NONE);
		conn_status_set(restart_state, sockets[i].backend_fd, CONN_STATUS_NONE);
		socket_reset(sockets[i].fd);
		socket_reset(sockets[i].backend_fd);
		sockets[i].fd = -1;
	}
}

void inherited_fds_done(struct inherited_fds *inherited, struct restart_state *restart_state)
{
	for (uint32_t i = 0; i < inherited->listener_count; i++)
		socket_close(inherited->listeners[i].fd);
	inherited_reset(inherited->clients, inherited->client_count, restart_state);
	inherited_reset(inherited->streams, inherited->stream_count, restart_state);
	inherited_fds_forget(inherited);
}
